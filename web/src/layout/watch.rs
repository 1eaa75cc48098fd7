//! Sentinels on an arc outside of what they watch: above it where the room is wide, at its right
//! where it is tall.

use super::{Cast, Point, Room, replicated};

/// Between two Sentinels, and between the arc and what is nearest to it.
const STEP: f64 = 132.0;
const AWAY: f64 = 118.0;
/// How much lower the ends of the arc are than its middle.
const BOW: f64 = 44.0;

/// Servers that replicate, and Sentinels that watch them.
pub(crate) fn over_streams(cast: &Cast<'_>) -> Vec<Point> {
    over(cast, replicated::streams(cast))
}

/// Machines with several processes each, and Sentinels that have a host of their own.
pub(crate) fn over_racks(cast: &Cast<'_>) -> Vec<Point> {
    over(cast, replicated::racks(cast))
}

fn over(cast: &Cast<'_>, mut places: Vec<Point>) -> Vec<Point> {
    // One that shares a machine with servers stands there.
    let free: Vec<usize> =
        cast.sentinels.iter().copied().filter(|&i| cast.seats[i].machine.is_none()).collect();
    // As if the room were wide; a tall one is the same, turned.
    let turned = |at: Point| if cast.room == Room::Wide { at } else { Point::new(at.y, -at.x) };
    let others = (0..places.len()).filter(|i| !free.contains(i)).map(|i| turned(places[i]));
    let (mut left, mut right, mut top) = (f64::MAX, f64::MIN, f64::MAX);
    for at in others {
        (left, right, top) = (left.min(at.x), right.max(at.x), top.min(at.y));
    }
    let middle = (free.len() as f64 - 1.0) / 2.0;
    for (nth, &sentinel) in free.iter().enumerate() {
        let along = nth as f64 - middle;
        let bow = BOW * (along / middle.max(1.0)).powi(2);
        let at = Point::new((left + right) / 2.0 + along * STEP, top - AWAY - BOW + bow);
        places[sentinel] = if cast.room == Room::Wide { at } else { Point::new(-at.y, at.x) };
    }
    places
}
