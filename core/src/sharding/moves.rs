//! Comparing two shardings: which keys and ranges move when nodes join or leave.

use super::{Place, Ring, Sharding};
use crate::sorted::SortedMap;

/// Keys or ring positions that move from one node to another. Nodes are identified by name, since a
/// node may have another index afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The old node.
    pub from: Vec<u8>,
    /// The new node.
    pub to: Vec<u8>,
    /// The number of keys, or of positions on the ring.
    pub amount: u64,
}

/// How many of `keys` move, for each pair of old and new node. Keys that may be on any node do not
/// move.
pub fn of_keys<'k>(
    before: &Sharding,
    after: &Sharding,
    keys: impl IntoIterator<Item = &'k [u8]>,
) -> Vec<Move> {
    let mut moved = Moved::default();
    for key in keys {
        moved.note(name(before, before.locate(key)), name(after, after.locate(key)), 1);
    }
    moved.moves()
}

/// How many positions of the ring move, for each pair of old and new owner.
pub fn of_ring(before: &Sharding, after: &Sharding) -> Vec<Move> {
    let (Some(old), Some(new)) = (before.ring(), after.ring()) else { return Vec::new() };
    let mut moved = Moved::default();
    for_each_range(old, new, |_, len, from, to| {
        moved.note(name(before, Place::Node(from)), name(after, Place::Node(to)), len);
    });
    moved.moves()
}

/// Calls `each` for every range (its first position and its length) in which neither ring has a
/// point, with its owner on the old and on the new ring.
pub fn for_each_range(old: &Ring, new: &Ring, mut each: impl FnMut(u32, u64, u32, u32)) {
    let mut ends: Vec<u32> =
        old.points().iter().chain(new.points()).map(|point| point.at).collect();
    ends.sort_unstable();
    ends.dedup();
    let Some(&last) = ends.last() else { return };
    let mut start = last.wrapping_add(1);
    let only = ends.len() == 1;
    for end in ends {
        let len = if only { Ring::PLACES } else { u64::from(end.wrapping_sub(start)) + 1 };
        if let (Some(from), Some(to)) = (old.node(end), new.node(end)) {
            each(start, len, from, to);
        }
        start = end.wrapping_add(1);
    }
}

fn name(sharding: &Sharding, place: Place) -> Option<&[u8]> {
    match place {
        Place::Node(node) => Some(&sharding.nodes().get(node as usize)?.name),
        Place::Anywhere | Place::Nowhere => None,
    }
}

#[derive(Default)]
struct Moved(SortedMap<(Vec<u8>, Vec<u8>), u64>);

impl Moved {
    fn note(&mut self, from: Option<&[u8]>, to: Option<&[u8]>, amount: u64) {
        let (Some(from), Some(to)) = (from, to) else { return };
        if from == to {
            return;
        }
        let way = (from.to_vec(), to.to_vec());
        match self.0.get_mut(&way) {
            Some(sum) => *sum += amount,
            None => {
                self.0.insert(way, amount);
            }
        }
    }

    fn moves(self) -> Vec<Move> {
        let each = self.0.iter().map(|((from, to), amount)| Move {
            from: from.clone(),
            to: to.clone(),
            amount: *amount,
        });
        each.collect()
    }
}
