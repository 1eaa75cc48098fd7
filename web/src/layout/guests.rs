//! Sentinels and proxies in a picture that has no place for them, since somebody started them
//! later: beside the servers of their machine, or, on a host of their own, beside everything.

use super::{Cast, Point, Room, cross, mark, plate};

/// From a server to what stands beside it, and between two of those.
const AWAY: f64 = 124.0;
const STEP: f64 = 112.0;
/// From everything to what has a host of its own.
const FAR: f64 = 150.0;

/// Gives Sentinels places at the right of what is there, and proxies at the left.
pub(crate) fn seat(cast: &Cast<'_>, places: &mut [Point]) {
    let machine = |i: usize| cast.seats[i].machine;
    // As if the room were wide; a tall one is the same, turned.
    let turned = |at: Point| if cast.room == Room::Wide { at } else { at.transposed() };
    let is_guest = |i: &usize| cast.sentinels.contains(i) || cast.proxies.contains(i);
    let hosts: Vec<(usize, Point)> =
        (0..places.len()).filter(|i| !is_guest(i)).map(|i| (i, turned(places[i]))).collect();
    let mut taken: Vec<Point> = hosts.iter().map(|&(_, at)| at).collect();
    for (guests, side) in [(&cast.sentinels, 1.0), (&cast.proxies, -1.0)] {
        // Machine by machine; a machine of guests alone is none.
        let beside = |guest: usize| {
            machine(guest).filter(|&on| hosts.iter().any(|&(host, _)| machine(host) == Some(on)))
        };
        let mut rest = guests.clone();
        while let Some(on) = rest.first().map(|&first| beside(first)) {
            let (these, later): (Vec<usize>, Vec<usize>) =
                rest.into_iter().partition(|&guest| beside(guest) == on);
            rest = later;
            let all = Span::around(taken.iter().copied());
            let members = hosts.iter().filter(|&&(host, _)| on.is_some() && machine(host) == on);
            let near = Span::around(members.map(|&(_, at)| at));
            let column = |area: &Span, side: f64, away: f64| -> Vec<Point> {
                let x = if side > 0.0 { area.right + away } else { area.left - away };
                let middle = (near.top + near.bottom) / 2.0;
                let half = (these.len() as f64 - 1.0) / 2.0;
                let along = |nth: usize| middle + (nth as f64 - half) * STEP;
                (0..these.len()).map(|nth| Point::new(x, along(nth))).collect()
            };
            let columns = match on {
                Some(_) => vec![
                    column(&near, side, AWAY),
                    column(&near, -side, AWAY),
                    column(&all, side, FAR),
                    column(&all, -side, FAR),
                ],
                None => Vec::new(),
            };
            let is_free = |at: &Point| {
                taken.iter().all(|t| (t.x - at.x).abs() > 100.0 || (t.y - at.y).abs() > 110.0)
            };
            // The plate of a machine covers no body of another.
            let covers_none = |column: &[Point]| {
                let (own, others): (Vec<usize>, Vec<usize>) =
                    (0..places.len()).filter(|i| !is_guest(i)).partition(|&i| machine(i) == on);
                let own = own.iter().map(|&i| places[i]);
                let whole = plate(own.chain(column.iter().map(|&at| turned(at))));
                others.iter().all(|&other| !cross(whole, mark(&cast.seats[other], places[other])))
            };
            let is_good = |column: &Vec<Point>| column.iter().all(is_free) && covers_none(column);
            let chosen = columns.into_iter().find(is_good);
            for (&guest, at) in these.iter().zip(chosen.unwrap_or_else(|| column(&all, side, FAR)))
            {
                taken.push(at);
                places[guest] = turned(at);
            }
        }
    }
    shells_off_plates(cast, places);
}

/// Moves terminals off the plates of machines, which may be wider than the layout knew.
fn shells_off_plates(cast: &Cast<'_>, places: &mut [Point]) {
    const GAP: f64 = 12.0;
    let machine = |i: usize| cast.seats[i].machine;
    for (nth, &shell) in cast.shells.iter().enumerate() {
        let seat = &cast.seats[shell];
        for first in (0..places.len()).filter(|&i| machine(i).is_some()) {
            let on = machine(first);
            let members = (0..places.len()).filter(|&i| machine(i) == on);
            let plate = plate(members.map(|i| places[i]));
            if seat.machine == on || !cross(plate, mark(seat, places[shell])) {
                continue;
            }
            let further = GAP + nth as f64 * 70.0;
            match cast.room {
                Room::Wide => places[shell].y = plate.3 + seat.outline.above + further,
                Room::Tall => places[shell].x = plate.2 + seat.outline.aside + further,
            }
        }
    }
}

/// How far points reach.
#[derive(Default)]
struct Span {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Span {
    fn around(points: impl Iterator<Item = Point>) -> Self {
        let point = |at: Point| Span { left: at.x, top: at.y, right: at.x, bottom: at.y };
        let join = |a: Span, b: Span| Span {
            left: a.left.min(b.left),
            top: a.top.min(b.top),
            right: a.right.max(b.right),
            bottom: a.bottom.max(b.bottom),
        };
        points.map(point).reduce(join).unwrap_or_default()
    }
}
