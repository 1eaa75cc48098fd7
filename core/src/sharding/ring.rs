//! The consistent hash ring of ketama.

use super::hash::md5_points;
use super::rule::Node;

/// A consistent hash ring of 2³² positions, on which every node has many points (virtual nodes). A
/// key belongs to the node of the first point at or after its hash, so when a node joins, only the
/// arcs before its points move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Sorted by position.
    points: Vec<Point>,
}

/// A virtual node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its position on the ring.
    pub at: u32,
    /// The node that it belongs to, as an index into the nodes.
    pub node: u32,
}

/// An arc of the ring whose keys belong to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arc {
    /// Its first position.
    pub start: u32,
    /// Its number of positions, at most 2³².
    pub len: u64,
    /// The node that it belongs to, as an index into the nodes.
    pub node: u32,
}

/// Points of a node of average weight.
const POINTS: u32 = 160;

impl Ring {
    /// The number of positions on a ring.
    pub const PLACES: u64 = 1 << 32;

    /// The ring of those `nodes` for which `live` holds, as twemproxy lays it out. A node has 160
    /// points times its share of the weight times the number of nodes, in steps of four.
    pub fn new(nodes: &[Node], live: impl Fn(usize) -> bool) -> Ring {
        let alive = || nodes.iter().enumerate().filter(|(i, _)| live(*i));
        let count = alive().count();
        let total: u64 = alive().map(|(_, node)| u64::from(node.weight)).sum();
        let mut points = Vec::new();
        for (index, node) in alive() {
            for j in 0..digests(node.weight, total, count) {
                let label = [&node.name[..], b"-", j.to_string().as_bytes()].concat();
                let node = index as u32;
                points.extend(md5_points(&label).map(|at| Point { at, node }));
            }
        }
        points.sort_by_key(|point| point.at);
        Ring { points }
    }

    /// The node of a hash; `None` if the ring has no points.
    #[inline]
    pub fn node(&self, hash: u32) -> Option<u32> {
        let next = self.points.partition_point(|point| point.at < hash);
        self.points.get(next).or(self.points.first()).map(|point| point.node)
    }

    /// All points, sorted by position.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The ring as arcs that each belong to one node; neighbouring arcs of one node are joined. The
    /// first begins behind the last point, so it may wrap around.
    pub fn arcs(&self) -> Vec<Arc> {
        let mut arcs: Vec<Arc> = Vec::new();
        let Some(last) = self.points.last() else { return arcs };
        let mut start = last.at.wrapping_add(1);
        for (i, point) in self.points.iter().enumerate() {
            let len = match i {
                0 if self.points.len() == 1 => Self::PLACES,
                _ => u64::from(point.at.wrapping_sub(start).wrapping_add(1)),
            };
            // Two points at one position: the later one has no keys.
            if len == 0 || i > 0 && self.points.get(i - 1).is_some_and(|p| p.at == point.at) {
                continue;
            }
            match arcs.last_mut() {
                Some(arc) if arc.node == point.node => arc.len += len,
                _ => arcs.push(Arc { start, len, node: point.node }),
            }
            start = point.at.wrapping_add(1);
        }
        arcs
    }
}

/// How many digests, of four points each, a node has. Twemproxy computes in `float`, with one
/// addition in `double`, which for some numbers of nodes makes one digest less than arithmetic
/// would. IEEE 754 gives the same on every platform.
fn digests(weight: u32, total: u64, nodes: usize) -> u32 {
    let share = weight as f32 / total as f32;
    let product = share * POINTS as f32 / 4.0 * nodes as f32;
    (f64::from(product) + 1e-10) as f32 as u32
}
