//! The nodes of a cluster around the circle of its slots: each primary outside of the slots that it
//! had at the beginning, its replicas outside of it, or beside it where the primaries are few. A node that
//! somebody has started on the machine of another stands beside that one. The middle of the circle is the
//! origin.

use core::f64::consts::TAU;

use super::routes::area;
use super::{Bend, Course, Input, Node, Point, Room, cross, guests, mark, plate};

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
/// The most primaries that have their replicas beside them, in the longer direction of the room: the
/// picture is less high (in a wide room) and so drawn larger. More primaries stand too close together.
const FEW: usize = 6;
/// Between two clients.
const STEP: f64 = 96.0;
/// By how many of these steps the line of clients may be moved, so that links run through fewer nodes.
const SHIFTS: [f64; 9] = [0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, -2.0];

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
    let mut placed = primaries.clone();
    for (nth, &primary) in primaries.iter().enumerate() {
        let angle = angle((nth as f64 + 0.5) / count);
        at[primary] = on(angle, ring);
        let replicas = servers.iter().filter(|&&server| nodes[server].home == Some(primary));
        for (step, &replica) in replicas.enumerate() {
            let away = outward * (step as f64 + 1.0);
            at[replica] = match primaries.len() <= FEW {
                true => alongside(at[primary], away, room),
                false => on(angle, ring + away),
            };
            placed.push(replica);
        }
    }
    for (guest, host) in guests {
        at[guest] = beside(input, &at, &placed, host);
        placed.push(guest);
    }
    let reach = |server: &usize| match (primaries.len() <= FEW, room) {
        (false, _) => at[*server].distance(Point::default()),
        (true, Room::Wide) => at[*server].x.abs(),
        (true, Room::Tall) => at[*server].y.abs(),
    };
    let furthest = placed.iter().map(reach).fold(ring, f64::max);
    // Where many are drawn small, names need more room than marks.
    let (step, away) = if primaries.len() > MANY { (STEP * 2.0, 300.0) } else { (STEP, 130.0) };
    let outside = furthest + away;
    let others = clients.iter().chain(shells).copied().collect::<Vec<_>>();
    let middle = (others.len() as f64 - 1.0) / 2.0;
    let line = |shift: f64| {
        let places = others.iter().enumerate().map(move |(nth, &other)| {
            let along = (nth as f64 - middle + shift) * step;
            match room {
                Room::Wide => (other, Point::new(-outside, along)),
                Room::Tall => (other, Point::new(along, -outside)),
            }
        });
        places.collect::<Vec<_>>()
    };
    // Where the fewest of their links run through nodes.
    let shifts: &[f64] = if primaries.len() <= FEW { &SHIFTS } else { &[0.0] };
    let shift = shifts.iter().copied().min_by_key(|&shift| {
        let to = primaries.iter().map(|&primary| at[primary]);
        line(shift)
            .into_iter()
            .map(|(_, from)| crossed(input, &at, from, to.clone()))
            .sum::<usize>()
    });
    for (other, place) in line(shift.unwrap_or_default()) {
        at[other] = place;
    }
    guests::add(input, &mut at);
    at
}

/// A replica's place beside its primary: away from the middle, in the longer direction of the room.
fn alongside(primary: Point, away: f64, room: Room) -> Point {
    let outwards = |part: f64| if part < -1.0 { -away } else { away };
    match room {
        Room::Wide => Point::new(primary.x + outwards(primary.x), primary.y),
        Room::Tall => Point::new(primary.x, primary.y + outwards(primary.y)),
    }
}

/// How many nodes straight links from a place to some others run through.
fn crossed(input: &Input<'_>, at: &[Point], from: Point, to: impl Iterator<Item = Point>) -> usize {
    to.map(|to| {
        let course = Course::bent(from, to, Bend::STRAIGHT);
        let others = input.servers.iter().filter(|&&server| at[server] != to);
        others.filter(|&&server| course.crosses(area(&input.nodes[server], at[server]))).count()
    })
    .sum()
}

/// The first node of the machine on which another was started by hand: its configuration makes it nobody's
/// replica, and the machine has a node already.
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
