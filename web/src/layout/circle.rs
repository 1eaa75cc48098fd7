//! The nodes of a cluster around the circle of its slots: each primary outside of the slots that it
//! had at the beginning, its replicas outside of it. A node that somebody has started on the
//! machine of another stands beside that one. The middle of the circle is the origin.

use core::f64::consts::TAU;

use super::{Cast, Point, Room, Seat, cross, guests, mark, plate};

/// The least distance between two neighbours on the ring of primaries.
const APART: f64 = 128.0;
/// The least radius of that ring.
const LEAST: f64 = 250.0;
/// From a primary outwards to its replica, and from one replica to the next.
const OUTWARD: f64 = 148.0;
/// From a node to another on its machine, to the side and downwards.
const ASIDE: f64 = 124.0;
const BELOW: f64 = 128.0;
/// From the ring of primaries inwards to the circle of slots.
const INWARD: f64 = 112.0;
/// The same where more than [`MANY`] are drawn so small that their names reach further in.
const FAR_INWARD: f64 = 236.0;
const MANY: usize = 24;
/// Between two clients.
const STEP: f64 = 96.0;

/// A cluster.
pub(crate) fn cluster(cast: &Cast<'_>) -> Vec<Point> {
    let &Cast { seats, room, ref servers, ref clients, ref shells, .. } = cast;
    let mut at = vec![Point::default(); seats.len()];
    let guests: Vec<(usize, usize)> = servers
        .iter()
        .filter_map(|&server| Some((server, host_of(seats, servers, server)?)))
        .collect();
    let is_guest = |server: usize| guests.iter().any(|(guest, _)| *guest == server);
    let primaries: Vec<usize> = servers
        .iter()
        .copied()
        .filter(|&server| seats[server].home.is_none() && !is_guest(server))
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
        let replicas = servers.iter().filter(|&&server| seats[server].home == Some(primary));
        for (step, &replica) in replicas.enumerate() {
            let radius = ring + outward * (step as f64 + 1.0);
            at[replica] = on(angle, radius);
            furthest = furthest.max(radius);
            placed.push(replica);
        }
    }
    for (guest, host) in guests {
        at[guest] = beside(cast, &at, &placed, host);
        furthest = furthest.max(at[guest].distance(Point::default()));
        placed.push(guest);
    }
    // Where many are drawn small, names need more room than marks.
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
    guests::seat(cast, &mut at);
    at
}

/// The first node of the machine on which another was started by hand: its configuration makes it
/// nobody's replica, and the machine has a node already.
fn host_of(seats: &[Seat], servers: &[usize], server: usize) -> Option<usize> {
    let (machine, home) = (seats[server].machine?, seats[server].home);
    let host = servers.iter().copied().find(|&other| seats[other].machine == Some(machine))?;
    (home.is_none() && host != server).then_some(host)
}

/// Where the next node of a machine stands: on the side of the last one where the machine's plate
/// covers no node of another machine, away from the middle if it can be.
fn beside(cast: &Cast<'_>, at: &[Point], placed: &[usize], host: usize) -> Point {
    let machine = cast.seats[host].machine;
    let (members, others): (Vec<usize>, Vec<usize>) =
        placed.iter().partition(|&&server| cast.seats[server].machine == machine);
    let last = at[members.last().copied().unwrap_or(host)];
    let (x, y) = (ASIDE.copysign(last.x), BELOW.copysign(last.y));
    let sides = [(x, 0.0), (0.0, y), (-x, 0.0), (0.0, -y)];
    let sides = sides.map(|(x, y)| Point::new(last.x + x, last.y + y));
    let is_free = |place: &Point| {
        let mine = members.iter().map(|&member| at[member]).chain([*place]);
        let (whole, own) = (plate(mine), mark(&cast.seats[host], *place));
        others.iter().all(|&other| !cross(whole, mark(&cast.seats[other], at[other])))
            && members.iter().all(|&member| !cross(own, mark(&cast.seats[member], at[member])))
    };
    sides.into_iter().find(is_free).unwrap_or(sides[0])
}

/// The radius of the circle of slots, by the places of the primaries.
pub(crate) fn radius(primaries: impl Iterator<Item = Point>) -> f64 {
    let distances = primaries.map(|at| at.distance(Point::default()));
    let (count, nearest) =
        distances.fold((0, f64::MAX), |(count, least), distance| (count + 1, least.min(distance)));
    let inward = if count > MANY { FAR_INWARD } else { INWARD };
    if count == 0 { LEAST - INWARD } else { (nearest - inward).max(60.0) }
}

/// The direction of a part of the circle, which begins on top and runs clockwise.
pub(crate) fn angle(part: f64) -> f64 {
    (part - 0.25) * TAU
}

/// The point of the circle with this radius in a direction.
pub(crate) fn on(angle: f64, radius: f64) -> Point {
    Point::new(angle.cos() * radius, angle.sin() * radius)
}

/// Which part of the circle a point lies at, from 0 to 1.
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
