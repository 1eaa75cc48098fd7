//! Positions for guests: Sentinels and proxies that were started later, in a layout that has none
//! for them. They go beside the servers of their machine, or, on a host of their own, beside
//! everything.

use super::{Input, Point, Room, cross, mark, plate};

/// The distance from a server to a guest beside it, and between two guests.
const AWAY: f64 = 124.0;
const STEP: f64 = 112.0;
/// The distance from everything to a guest with a host of its own.
const FAR: f64 = 150.0;

/// Adds the guests: Sentinels at the right of the servers, and proxies at the left.
pub(crate) fn add(input: &Input<'_>, places: &mut [Point]) {
    let machine = |i: usize| input.nodes[i].machine;
    // Computed for a wide room; in a tall one the same is turned.
    let turned = |at: Point| if input.room == Room::Wide { at } else { at.transposed() };
    let is_guest = |i: &usize| input.sentinels.contains(i) || input.proxies.contains(i);
    let hosts: Vec<(usize, Point)> =
        (0..places.len()).filter(|i| !is_guest(i)).map(|i| (i, turned(places[i]))).collect();
    let mut taken: Vec<Point> = hosts.iter().map(|&(_, at)| at).collect();
    for (guests, side) in [(&input.sentinels, 1.0), (&input.proxies, -1.0)] {
        // Machine by machine. A machine that only has guests counts as none.
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
            // The plate of a machine must cover no body of another.
            let covers_none = |column: &[Point]| {
                let (own, others): (Vec<usize>, Vec<usize>) =
                    (0..places.len()).filter(|i| !is_guest(i)).partition(|&i| machine(i) == on);
                let own = own.iter().map(|&i| places[i]);
                let whole = plate(own.chain(column.iter().map(|&at| turned(at))));
                others.iter().all(|&other| !cross(whole, mark(&input.nodes[other], places[other])))
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
    shells_off_plates(input, places);
}

/// Moves terminals off the plates of machines, which guests may have made wider.
fn shells_off_plates(input: &Input<'_>, places: &mut [Point]) {
    const GAP: f64 = 12.0;
    let machine = |i: usize| input.nodes[i].machine;
    for (nth, &shell) in input.shells.iter().enumerate() {
        let node = &input.nodes[shell];
        for first in (0..places.len()).filter(|&i| machine(i).is_some()) {
            let on = machine(first);
            let members = (0..places.len()).filter(|&i| machine(i) == on);
            let plate = plate(members.map(|i| places[i]));
            if node.machine == on || !cross(plate, mark(node, places[shell])) {
                continue;
            }
            let further = GAP + nth as f64 * 70.0;
            match input.room {
                Room::Wide => places[shell].y = plate.3 + node.outline.above + further,
                Room::Tall => places[shell].x = plate.2 + node.outline.aside + further,
            }
        }
    }
}

/// The bounding box of points.
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
