//! The nodes of a cluster around the circle of its slots: each primary outside of the slots that it
//! had at the beginning, its replicas outside of it. The middle of the circle is the origin.

use core::f64::consts::TAU;

use super::{Cast, Point, Room};

/// The least distance between two neighbours on the ring of primaries.
const APART: f64 = 128.0;
/// The least radius of that ring.
const LEAST: f64 = 250.0;
/// From a primary outwards to its replica, and from one replica to the next.
const OUTWARD: f64 = 148.0;
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
    let primaries: Vec<usize> =
        servers.iter().copied().filter(|&server| seats[server].home.is_none()).collect();
    let count = primaries.len().max(1) as f64;
    let ring = (count * APART / TAU).max(LEAST);
    let mut furthest = ring;
    for (nth, &primary) in primaries.iter().enumerate() {
        let angle = angle((nth as f64 + 0.5) / count);
        at[primary] = on(angle, ring);
        let replicas = servers.iter().filter(|&&server| seats[server].home == Some(primary));
        for (step, &replica) in replicas.enumerate() {
            let radius = ring + OUTWARD * (step as f64 + 1.0);
            at[replica] = on(angle, radius);
            furthest = furthest.max(radius);
        }
    }
    // Where many are drawn small, names need more room than marks.
    let (step, away) = if primaries.len() > MANY { (STEP * 2.0, 300.0) } else { (STEP, 130.0) };
    let beside = furthest + away;
    let others = clients.iter().chain(shells).copied().collect::<Vec<_>>();
    let middle = (others.len() as f64 - 1.0) / 2.0;
    for (nth, &other) in others.iter().enumerate() {
        let along = (nth as f64 - middle) * step;
        at[other] = match room {
            Room::Wide => Point::new(-beside, along),
            Room::Tall => Point::new(along, -beside),
        };
    }
    at
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
