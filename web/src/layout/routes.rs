//! Routing: a link that would cross a body or its label becomes a curve around it.

use limpid_core::sorted::SortedMap;

use super::{Area, Bend, Course, Node, Outline, Part, Point};

/// The bend of each link, by the indices of the bodies at its ends.
pub(crate) type Bends = SortedMap<(usize, usize), Bend>;

/// The distances to the side of a link that are tried for the control point of its curve: this many
/// steps of this size, as a fraction of the link's length.
const STEPS: u32 = 33;
const STEP: f64 = 0.04;

/// The positions along the link that are tried, as fractions of its length, the middle first.
const ALONG: [f64; 15] =
    [0.5, 0.45, 0.55, 0.38, 0.62, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 0.0, 1.0, -0.15, 1.15];

/// With more bodies than this, links stay straight: labels are hidden then, and there are too many
/// lines.
const CROWD: usize = 64;

/// The margin of a body's outline that most bodies leave free.
const SPARE: f64 = 3.0;

/// Computes the bends of links, given by the indices of their ends.
pub(crate) fn bends(
    nodes: &[Node],
    places: &[Point],
    links: impl Iterator<Item = (usize, usize)>,
) -> Bends {
    let centre = super::centre(nodes, places);
    let areas: Vec<Area> = nodes.iter().zip(places).map(|(node, at)| area(node, *at)).collect();
    let mut bends = Bends::default();
    for (a, b) in links {
        let (Some(&from), Some(&to)) = (places.get(a), places.get(b)) else { continue };
        // Links between Sentinels go around the servers.
        let usual = match [a, b].iter().all(|&end| nodes[end].part == Part::Sentinel) {
            true => Bend::around(from, to, centre),
            false => Bend::STRAIGHT,
        };
        let bend = match nodes.len() > CROWD {
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

/// The smallest bend with which a link crosses none of the areas, or otherwise the fewest.
fn clear(from: Point, to: Point, usual: Bend, centre: Point, others: &[Area]) -> Bend {
    // Prefers the side away from the centre of the servers.
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

/// The area of a body that other links must not cross: its mark, its name and its line of state.
pub(crate) fn area(node: &Node, at: Point) -> Area {
    let Outline { aside, above, below, .. } = *node.outline;
    (at.x - aside + SPARE, at.y - above + SPARE, at.x + aside - SPARE, at.y + below - SPARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::server;

    #[test]
    fn a_link_passes_beside_what_stands_between_its_ends() {
        let node = || Node {
            part: Part::Server,
            outline: &server::KIND.outline,
            talks_to: vec![],
            home: None,
            machine: None,
        };
        let nodes = [node(), node(), node()];
        let places = [Point::new(0.0, 0.0), Point::new(200.0, 0.0), Point::new(400.0, 0.0)];
        let bends = bends(&nodes, &places, [(0, 1), (0, 2), (1, 2)].into_iter());
        for short in [(0, 1), (1, 2)] {
            assert_eq!(bends.get(&short), Some(&Bend::STRAIGHT));
        }
        let bend = bends.get(&(0, 2)).copied().expect("a link");
        let course = Course::bent(places[0], places[2], bend);
        assert!(!course.crosses(area(&nodes[1], places[1])));
    }
}
