//! Sentinels on an arc outside of what they watch: at its right where the room is wide, below it
//! where it is tall.

use super::{Cast, Part, Point, Room, replicated};

/// Between two Sentinels in a wide and in a tall room, and between the arc and what is nearest to
/// it.
const STEP: f64 = 108.0;
const STEP_TALL: f64 = 112.0;
const AWAY: f64 = 128.0;
/// How much nearer the ends of the arc are than its middle.
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
    let turned = |at: Point| if cast.room == Room::Wide { at } else { at.transposed() };
    let others = (0..places.len()).filter(|i| !free.contains(i)).map(|i| (i, turned(places[i])));
    let (mut top, mut bottom, mut right) = (f64::MAX, f64::MIN, f64::MIN);
    for (i, at) in others {
        right = right.max(at.x);
        if cast.seats[i].part == Part::Server {
            (top, bottom) = (top.min(at.y), bottom.max(at.y));
        }
    }
    let step = if cast.room == Room::Wide { STEP } else { STEP_TALL };
    let middle = (free.len() as f64 - 1.0) / 2.0;
    for (nth, &sentinel) in free.iter().enumerate() {
        let along = nth as f64 - middle;
        let bow = BOW * (along / middle.max(1.0)).powi(2);
        places[sentinel] =
            turned(Point::new(right + AWAY + BOW - bow, (top + bottom) / 2.0 + along * step));
    }
    places
}
