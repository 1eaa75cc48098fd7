//! The layout of a cluster around the circle of its slots: each primary is outside of the slots
//! that it had at the beginning, its replicas outside of it. A node that a person starts on the
//! machine of another is placed beside that one. The centre of the circle is the origin.

use core::f64::consts::TAU;

use super::{Input, Node, Point, Room, cross, guests, mark, plate};

/// The least distance between two neighbours on the ring of primaries.
const APART: f64 = 128.0;
/// The least radius of that ring.
const LEAST: f64 = 250.0;
/// The distance from a primary outwards to its replica, and from one replica to the next.
const OUTWARD: f64 = 148.0;
/// The distances from a node to another on its machine, sideways and downwards.
const ASIDE: f64 = 124.0;
const BELOW: f64 = 128.0;
/// The distance from the ring of primaries inwards to the circle of slots.
const INWARD: f64 = 112.0;
/// The same for more than [`MANY`] primaries, which are drawn so small that their names reach
/// further inwards.
const FAR_INWARD: f64 = 236.0;
const MANY: usize = 24;
/// The distance between two clients.
const STEP: f64 = 96.0;

/// Lays out a cluster.
pub(crate) fn cluster(input: &Input<'_>) -> Vec<Point> {
    let &Input { nodes, room, ref servers, ref clients, ref shells, .. } = input;
    let mut at = vec![Point::default(); nodes.len()];
    let guests: Vec<(usize, usize)> = servers
        .iter()
        .filter_map(|&server| Some((server, host_of(nodes, servers, server)?)))
        .collect();
    let is_guest = |server: usize| guests.iter().any(|(guest, _)| *guest == server);
    let primaries: Vec<usize> = servers
        .iter()
        .copied()
        .filter(|&server| nodes[server].home.is_none() && !is_guest(server))
        .collect();
    let count = primaries.len().max(1) as f64;
    let (least, apart, outward) = match guests.is_empty() {
        true => (LEAST, APART, OUTWARD),
        // Their machines are wider than one node.
        false => (LEAST * 1.35, APART * 1.5, OUTWARD * 1.15),
    };
    let ring = (count * apart / TAU).max(least);
    let mut furthest = ring;
    let mut placed = primaries.clone();
    for (nth, &primary) in primaries.iter().enumerate() {
        let angle = angle((nth as f64 + 0.5) / count);
        at[primary] = on(angle, ring);
        let replicas = servers.iter().filter(|&&server| nodes[server].home == Some(primary));
        for (step, &replica) in replicas.enumerate() {
            let radius = ring + outward * (step as f64 + 1.0);
            at[replica] = on(angle, radius);
            furthest = furthest.max(radius);
            placed.push(replica);
        }
    }
    for (guest, host) in guests {
        at[guest] = beside(input, &at, &placed, host);
        furthest = furthest.max(at[guest].distance(Point::default()));
        placed.push(guest);
    }
    // In a large cluster, drawn small, names need more room than marks.
    let (step, away) = if primaries.len() > MANY { (STEP * 2.0, 300.0) } else { (STEP, 130.0) };
    let outside = furthest + away;
    let others = clients.iter().chain(shells).copied().collect::<Vec<_>>();
    let middle = (others.len() as f64 - 1.0) / 2.0;
    for (nth, &other) in others.iter().enumerate() {
        let along = (nth as f64 - middle) * step;
        at[other] = match room {
            Room::Wide => Point::new(-outside, along),
            Room::Tall => Point::new(along, -outside),
        };
    }
    guests::add(input, &mut at);
    at
}

/// The first node on the machine of a node that was started by hand: one whose configuration makes
/// it no replica, on a machine that has a node already.
fn host_of(nodes: &[Node], servers: &[usize], server: usize) -> Option<usize> {
    let (machine, home) = (nodes[server].machine?, nodes[server].home);
    let host = servers.iter().copied().find(|&other| nodes[other].machine == Some(machine))?;
    (home.is_none() && host != server).then_some(host)
}

/// The position of a further node on a machine: at the side of the last one where the machine's
/// plate covers no node of another machine, preferably away from the centre.
fn beside(input: &Input<'_>, at: &[Point], placed: &[usize], host: usize) -> Point {
    let machine = input.nodes[host].machine;
    let (members, others): (Vec<usize>, Vec<usize>) =
        placed.iter().partition(|&&server| input.nodes[server].machine == machine);
    let last = at[members.last().copied().unwrap_or(host)];
    let (x, y) = (ASIDE.copysign(last.x), BELOW.copysign(last.y));
    let sides = [(x, 0.0), (0.0, y), (-x, 0.0), (0.0, -y)];
    let sides = sides.map(|(x, y)| Point::new(last.x + x, last.y + y));
    let is_free = |place: &Point| {
        let mine = members.iter().map(|&member| at[member]).chain([*place]);
        let (whole, own) = (plate(mine), mark(&input.nodes[host], *place));
        others.iter().all(|&other| !cross(whole, mark(&input.nodes[other], at[other])))
            && members.iter().all(|&member| !cross(own, mark(&input.nodes[member], at[member])))
    };
    sides.into_iter().find(is_free).unwrap_or(sides[0])
}

/// The radius of the circle of slots, by the positions of the primaries.
pub(crate) fn radius(primaries: impl Iterator<Item = Point>) -> f64 {
    let distances = primaries.map(|at| at.distance(Point::default()));
    let (count, nearest) =
        distances.fold((0, f64::MAX), |(count, least), distance| (count + 1, least.min(distance)));
    let inward = if count > MANY { FAR_INWARD } else { INWARD };
    if count == 0 { LEAST - INWARD } else { (nearest - inward).max(60.0) }
}

/// The angle of a fraction of the circle, which begins at the top and runs clockwise.
pub(crate) fn angle(part: f64) -> f64 {
    (part - 0.25) * TAU
}

/// The point at an angle on a circle around the origin.
pub(crate) fn on(angle: f64, radius: f64) -> Point {
    Point::new(angle.cos() * radius, angle.sin() * radius)
}

/// The fraction of the circle, from 0 to 1, at the angle of a point.
pub(crate) fn part_of(at: Point) -> f64 {
    (at.y.atan2(at.x) / TAU + 0.25).rem_euclid(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_circle_is_found_by_its_point() {
        for part in [0.0, 0.2, 0.5, 0.75, 0.99] {
            assert!((part_of(on(angle(part), 70.0)) - part).abs() < 1e-9);
        }
        let top = on(angle(0.0), 10.0);
        assert!(top.x.abs() < 1e-9 && top.y < 0.0, "it begins on top: {top:?}");
    }
}
