//! Which links of the map are curves: a line that would run through a body or its label passes
//! beside it.

use limpid_core::sorted::SortedMap;

use super::{Area, Bend, Course, Outline, Part, Point, Seat};

/// How each link bends, by the indices of the bodies at its ends.
pub(crate) type Bends = SortedMap<(usize, usize), Bend>;

/// How far to the side of a link the control point of its curve may lie, as a part of its length:
/// so many steps of this size.
const STEPS: u32 = 33;
const STEP: f64 = 0.04;

/// And how far along it, the least bent first.
const ALONG: [f64; 15] =
    [0.5, 0.45, 0.55, 0.38, 0.62, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 0.0, 1.0, -0.15, 1.15];

/// In a larger crowd labels are hidden, and lines are so many that they stay straight.
const CROWD: usize = 64;

/// How much of the room that a body may take is left free in most cases.
const SPARE: f64 = 3.0;

/// The bends of links that lead from the first to the second seat.
pub(crate) fn bends(
    seats: &[Seat],
    places: &[Point],
    links: impl Iterator<Item = (usize, usize)>,
) -> Bends {
    let centre = super::centre(seats, places);
    let areas: Vec<Area> = seats.iter().zip(places).map(|(seat, at)| area(seat, *at)).collect();
    let mut bends = Bends::default();
    for (a, b) in links {
        let (Some(&from), Some(&to)) = (places.get(a), places.get(b)) else { continue };
        // Sentinels reach each other around the others.
        let usual = match [a, b].iter().all(|&end| seats[end].part == Part::Sentinel) {
            true => Bend::around(from, to, centre),
            false => Bend::STRAIGHT,
        };
        let bend = match seats.len() > CROWD {
            true => usual,
            false => {
                let others = areas.iter().enumerate().filter(|(i, _)| *i != a && *i != b);
                let others: Vec<Area> = others.map(|(_, area)| *area).collect();
                clear(from, to, usual, centre, &others)
            }
        };
        bends.insert((a, b), bend);
    }
    bends
}

/// The least bend with which a link runs through none of the areas, or else through the fewest.
fn clear(from: Point, to: Point, usual: Bend, centre: Point, others: &[Area]) -> Bend {
    // Rather away from the middle of the servers than through it.
    let outwards = Bend::around(from, to, centre).aside.signum();
    let tried = (0..STEPS).flat_map(|step| {
        let aside = f64::from(step) * STEP * outwards;
        let both = [aside, -aside];
        both.into_iter().flat_map(|aside| ALONG.map(|along| Bend { along, aside }))
    });
    let mut best = (usize::MAX, usual);
    for bend in [usual].into_iter().chain(tried) {
        let course = Course::bent(from, to, bend);
        let crossed = others.iter().filter(|area| course.crosses(**area)).count();
        if crossed < best.0 {
            best = (crossed, bend);
        }
        if crossed == 0 {
            break;
        }
    }
    best.1
}

/// What a link that leads elsewhere must not run through: the mark of a body, its name and its line
/// of state.
pub(crate) fn area(seat: &Seat, at: Point) -> Area {
    let Outline { aside, above, below, .. } = *seat.outline;
    (at.x - aside + SPARE, at.y - above + SPARE, at.x + aside - SPARE, at.y + below - SPARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::server;

    #[test]
    fn a_link_passes_beside_what_stands_between_its_ends() {
        let seat = || Seat {
            part: Part::Server,
            outline: &server::KIND.outline,
            talks_to: vec![],
            home: None,
            machine: None,
        };
        let seats = [seat(), seat(), seat()];
        let places = [Point::new(0.0, 0.0), Point::new(200.0, 0.0), Point::new(400.0, 0.0)];
        let bends = bends(&seats, &places, [(0, 1), (0, 2), (1, 2)].into_iter());
        for short in [(0, 1), (1, 2)] {
            assert_eq!(bends.get(&short), Some(&Bend::STRAIGHT));
        }
        let bend = bends.get(&(0, 2)).copied().expect("a link");
        let course = Course::bent(places[0], places[2], bend);
        assert!(!course.crosses(area(&seats[1], places[1])));
    }
}
