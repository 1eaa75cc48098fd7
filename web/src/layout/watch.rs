//! Layouts with Sentinels on an arc beside the servers that they watch: at their right in a wide
//! room, below them in a tall one.

use super::{Input, Part, Point, Room, replicated};

/// The distance between two Sentinels in a wide and in a tall room, and between the arc and the
/// nearest body.
const STEP: f64 = 108.0;
const STEP_TALL: f64 = 112.0;
const AWAY: f64 = 128.0;
/// How much nearer the ends of the arc are than its middle.
const BOW: f64 = 44.0;

/// Lays out servers that replicate, and Sentinels that watch them.
pub(crate) fn over_streams(input: &Input<'_>) -> Vec<Point> {
    over(input, replicated::streams(input))
}

/// Lays out machines with several processes each, and Sentinels that have a host of their own.
pub(crate) fn over_racks(input: &Input<'_>) -> Vec<Point> {
    over(input, replicated::racks(input))
}

fn over(input: &Input<'_>, mut places: Vec<Point>) -> Vec<Point> {
    // A Sentinel that shares a machine with servers is placed there.
    let free: Vec<usize> =
        input.sentinels.iter().copied().filter(|&i| input.nodes[i].machine.is_none()).collect();
    // Computed for a wide room; in a tall one the same is turned.
    let turned = |at: Point| if input.room == Room::Wide { at } else { at.transposed() };
    let others = (0..places.len()).filter(|i| !free.contains(i)).map(|i| (i, turned(places[i])));
    let (mut top, mut bottom, mut right) = (f64::MAX, f64::MIN, f64::MIN);
    for (i, at) in others {
        right = right.max(at.x);
        if input.nodes[i].part == Part::Server {
            (top, bottom) = (top.min(at.y), bottom.max(at.y));
        }
    }
    let step = if input.room == Room::Wide { STEP } else { STEP_TALL };
    let middle = (free.len() as f64 - 1.0) / 2.0;
    for (nth, &sentinel) in free.iter().enumerate() {
        let along = nth as f64 - middle;
        let bow = BOW * (along / middle.max(1.0)).powi(2);
        places[sentinel] =
            turned(Point::new(right + AWAY + BOW - bow, (top + bottom) / 2.0 + along * step));
    }
    places
}
