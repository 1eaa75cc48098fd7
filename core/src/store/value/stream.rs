//! Streams: entries ordered by ID, and consumer groups that read them.
//!
//! * [`id`] is the ID of an entry.
//! * [`node`] holds consecutive entries in one listpack, in the format of RDB.
//! * [`group`] is a group with its consumers and pending entries.
//!
//! Nodes are kept in a tree, by the ID of their first entry. The tree knows the number of entries
//! in each subtree, so that entries have ranks like the members of a sorted set. Copies share
//! nodes, groups and consumers until one of them changes (copy-on-write).

pub mod group;
pub mod id;
pub mod node;

use triomphe::Arc;

pub use group::{Consumer, Delivery, Group};
pub use id::StreamId;
pub use node::{Entry, Malformed, Node};

use super::seq::{self, Seq};
use crate::store::size::allocated;

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    nodes: Seq<Node>,
    /// The number of nodes.
    node_count: usize,
    counters: Counters,
    /// The groups, sorted by name.
    groups: Vec<Arc<Group>>,
    node_bytes: usize,
    group_bytes: usize,
}

/// A view of a stream, for reading.
pub type StreamRef<'a> = &'a Stream;

/// An iterator over entries in the order of their IDs: the rest of a node, and the nodes after it.
#[derive(Debug)]
pub struct Iter<'a>(Option<(seq::Cursor<'a, Node>, node::Entries<'a>)>);

/// The metadata of a stream, which outlives deleted entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The ID of the last entry ever added, or the one set by XSETID.
    pub last_id: StreamId,
    /// The ID of the first entry; 0-0 if there is none.
    pub first_id: StreamId,
    /// The largest ID that XDEL has deleted.
    pub max_deleted_id: StreamId,
    /// The number of entries ever added.
    pub entries_added: u64,
}

/// The limits up to which entries are added to a node.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// `stream-node-max-bytes`; 0 for no limit.
    pub bytes: u64,
    /// `stream-node-max-entries`; 0 for no limit.
    pub entries: u64,
}

/// The threshold of trimming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Keep this many entries.
    MaxLen(u64),
    /// Keep entries from this ID on.
    MinId(StreamId),
}

/// The largest listpack, and the largest entry, in bytes. Redis's `STREAM_LISTPACK_MAX_SIZE`.
pub const MAX_NODE_BYTES: usize = 1 << 30;

/// The largest initial capacity of a node in bytes: what a node holds by default.
const MAX_NODE_ROOM: usize = 4096;

impl Stream {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.nodes.weight() as usize
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of nodes.
    pub fn node_count(&self) -> usize {
        self.node_count
    }

    /// Its metadata.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Sets its metadata.
    pub fn set_counters(&mut self, counters: Counters) {
        self.counters = counters;
    }

    /// Memory used, in bytes.
    pub fn memory(&self) -> usize {
        allocated(176) + self.node_bytes + self.group_bytes + allocated(self.groups.len() * 8)
    }

    /// Appends an entry; `pairs` are its fields with their values. The caller must ensure that the
    /// ID is larger than the last one.
    pub fn append(&mut self, id: StreamId, pairs: &[(&[u8], &[u8])], limits: NodeLimits) {
        let last = self.nodes.weight().checked_sub(1);
        let room = |node: &Node| node.has_room(pairs, limits);
        match last.filter(|last| self.nodes.get(*last).is_some_and(|(node, _)| room(node))) {
            Some(last) => self.change_node(last, |node, _| node.append(id, pairs)).unwrap_or(()),
            None => {
                // It will be about as large as its predecessor, so its capacity is reserved at
                // once.
                let before = last.and_then(|last| self.nodes.get(last));
                let room = before.map_or(0, |(node, _)| node.size()).min(MAX_NODE_ROOM);
                self.push_node(Node::new(id, pairs, room));
            }
        }
        self.counters.last_id = id;
        self.counters.entries_added = self.counters.entries_added.wrapping_add(1);
        if self.len() == 1 {
            self.counters.first_id = id;
        }
    }

    /// Appends a node. One without live entries is dropped.
    pub fn push_node(&mut self, node: Node) {
        if node.live() == 0 {
            return;
        }
        self.node_bytes += node.memory();
        self.node_count += 1;
        self.nodes.insert(self.nodes.weight(), node);
    }

    /// Deletes an entry. Returns whether it existed.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some(rank) = self.find(id).map(|(rank, _)| rank) else { return false };
        self.delete_at(rank);
        if id == self.counters.first_id || self.is_empty() {
            self.update_first_id();
        }
        self.counters.max_deleted_id = self.counters.max_deleted_id.max(id);
        true
    }

    /// Removes entries from the front. With `whole`, only nodes all of whose entries go; at most
    /// `limit` entries, if it is not 0. Returns how many were removed.
    pub fn trim(&mut self, to: Trim, whole: bool, limit: u64) -> u64 {
        let mut removed = 0;
        while let Some((node, _)) = self.nodes.get(0) {
            let (len, entries) = (self.len() as u64, node.live() as u64);
            let excess = match to {
                Trim::MaxLen(max) if len <= max => break,
                Trim::MaxLen(max) => len - max,
                Trim::MinId(_) => 0,
            };
            if limit > 0 && removed + entries > limit {
                break;
            }
            let goes = match to {
                Trim::MaxLen(_) => excess >= entries,
                // After the last live entry there may be deleted ones with larger IDs.
                Trim::MinId(id) => {
                    node.last_id() < id || !whole && node.entries().all(|entry| entry.id < id)
                }
            };
            if goes {
                self.remove_node(0);
                removed += entries;
                continue;
            }
            if !whole {
                let trimmed = self.change_node(0, |node, _| match to {
                    Trim::MaxLen(_) => node.delete_front(|n, _| n < excess),
                    Trim::MinId(id) => node.delete_front(|_, entry| entry < id),
                });
                removed += trimmed.unwrap_or_default();
            }
            break;
        }
        if removed > 0 || self.is_empty() {
            self.update_first_id();
        }
        removed
    }

    /// The number of entries with smaller IDs.
    pub fn rank(&self, id: StreamId) -> usize {
        self.seek(id).0
    }

    /// The number of entries with smaller IDs, and an iterator over the others.
    pub fn seek(&self, id: StreamId) -> (usize, Iter<'_>) {
        let Some((nodes, start)) = self.nodes.seek(|first| first <= id) else {
            return (0, Iter(None));
        };
        let (before, entries) = nodes.get().seek(id);
        ((start + before) as usize, Iter(Some((nodes, entries))))
    }

    /// The entry with this ID, and its rank.
    pub fn find(&self, id: StreamId) -> Option<(usize, Entry<'_>)> {
        let (rank, mut entries) = self.seek(id);
        entries.next().filter(|entry| entry.id == id).map(|entry| (rank, entry))
    }

    /// The entries from `rank` on.
    pub fn iter_from(&self, rank: usize) -> Iter<'_> {
        let at = self.nodes.cursor_within(rank as u64);
        Iter(at.map(|(nodes, within)| {
            let entries = nodes.get().entries_behind(within);
            (nodes, entries)
        }))
    }

    /// The entries from `rank` back to the first.
    pub fn iter_back_from(&self, rank: usize) -> impl Iterator<Item = Entry<'_>> {
        let at = rank as u64;
        let behind = self.nodes.get(at).map_or(0, |(node, n)| node.live() as u64 - 1 - n);
        self.nodes.iter_back_from(at).flat_map(Node::entries_back).skip(behind as usize)
    }

    /// The ID of the last entry.
    pub fn top_id(&self) -> Option<StreamId> {
        self.nodes.last()?.entries_back().next().map(|entry| entry.id)
    }

    /// The ID of the first entry in the first node, deleted or not.
    pub fn front_id(&self) -> Option<StreamId> {
        self.nodes.get(0).and_then(|(node, _)| node.first_id())
    }

    /// The nodes from the one with the entry of this rank on.
    pub fn nodes_from(&self, rank: usize) -> impl Iterator<Item = &Node> {
        self.nodes.iter_from(rank as u64)
    }

    /// The groups, sorted by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.groups.iter().map(|group| &**group)
    }

    /// The group with this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        let at = self.group_at(name).ok()?;
        self.groups.get(at).map(|group| &**group)
    }

    /// Lets `change` change the group with this name.
    pub fn change_group<R>(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&mut Group) -> R,
    ) -> Option<R> {
        let at = self.group_at(name).ok()?;
        let group = Arc::make_mut(self.groups.get_mut(at)?);
        let before = group.memory();
        let result = change(group);
        self.group_bytes = (self.group_bytes + group.memory()).saturating_sub(before);
        Some(result)
    }

    /// Adds a group. Returns whether its name is new.
    pub fn add_group(&mut self, group: Group) -> bool {
        let Err(at) = self.group_at(group.name()) else { return false };
        self.group_bytes += group.memory();
        self.groups.insert(at, Arc::new(group));
        true
    }

    /// Removes a group and returns it, since it may be too large to be freed at once.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Arc<Group>> {
        let at = self.group_at(name).ok()?;
        let group = self.groups.remove(at);
        self.group_bytes = self.group_bytes.saturating_sub(group.memory());
        Some(group)
    }

    /// A stream that holds only a group, to be freed lazily.
    pub fn of_group(group: Arc<Group>) -> Self {
        Self { groups: vec![group], ..Self::default() }
    }

    /// The number of entries ever added up to this ID, if known: it is unknown where entries
    /// between the first and the last may have been deleted.
    pub fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        let Counters { last_id, first_id, max_deleted_id, entries_added } = self.counters;
        let len = self.len() as u64;
        if entries_added == 0 {
            return Some(0);
        }
        if id == last_id || (len == 0 && id < last_id) {
            return Some(entries_added);
        }
        let whole = max_deleted_id == StreamId::MIN || max_deleted_id < first_id;
        let before = entries_added.wrapping_sub(len);
        match id.cmp(&first_id) {
            core::cmp::Ordering::Less if whole && id < last_id => Some(before),
            core::cmp::Ordering::Equal if whole => Some(before.wrapping_add(1)),
            _ => None,
        }
    }

    /// Whether XDEL has deleted an entry at or after `from` that counts would include.
    pub fn has_gaps_from(&self, from: StreamId) -> bool {
        let Counters { first_id, max_deleted_id, .. } = self.counters;
        !self.is_empty()
            && max_deleted_id != StreamId::MIN
            && first_id <= max_deleted_id
            && from <= max_deleted_id
    }

    /// The number of entries that a group has not read yet, if known.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.counters.entries_added;
        if added == 0 {
            return Some(0);
        }
        let read = match group.entries_read() {
            Some(read) if !self.has_gaps_from(group.last_id()) => read,
            _ => self.entries_up_to(group.last_id())?,
        };
        Some(added.wrapping_sub(read) as i64)
    }

    /// The new `entries_read` of a group that had read `read` entries and has now read this one.
    pub fn entries_read_with(&self, read: Option<u64>, id: StreamId) -> Option<u64> {
        match read {
            Some(read) if !self.has_gaps_from(id) => Some(read.wrapping_add(1)),
            read if self.counters.entries_added == 0 => read,
            _ => self.entries_up_to(id),
        }
    }

    /// Frees about `budget` entries or pending entries, or all if there are fewer, and returns how
    /// many.
    pub(in crate::store) fn free_some(&mut self, budget: usize) -> usize {
        let mut freed = self.nodes.free_some(budget);
        while freed < budget {
            let Some(group) = self.groups.last_mut() else { break };
            // Shared nodes are freed with the last copy that holds them.
            match Arc::get_mut(group).map_or(0, |group| group.free_some(budget - freed)) {
                0 => drop(self.groups.pop()),
                n => freed += n,
            }
        }
        freed
    }

    fn group_at(&self, name: &[u8]) -> Result<usize, usize> {
        self.groups.binary_search_by(|group| group.name().cmp(name))
    }

    fn update_first_id(&mut self) {
        let first = self.iter_from(0).next().map(|entry| entry.id);
        self.counters.first_id = first.unwrap_or_default();
    }

    fn delete_at(&mut self, rank: usize) {
        let at = rank as u64;
        match self.nodes.get(at) {
            Some((node, _)) if node.live() == 1 => self.remove_node(at),
            _ => self.change_node(at, |node, within| node.delete(within)).unwrap_or(()),
        }
    }

    fn remove_node(&mut self, at: u64) {
        if let Some(node) = self.nodes.remove(at) {
            self.node_bytes = self.node_bytes.saturating_sub(node.memory());
            self.node_count -= 1;
        }
    }

    fn change_node<R>(&mut self, at: u64, change: impl FnOnce(&mut Node, u64) -> R) -> Option<R> {
        let (result, before, after) = self.nodes.update(at, |node, within| {
            let before = node.memory();
            let result = change(node, within);
            (result, before, node.memory())
        })?;
        self.node_bytes = (self.node_bytes + after).saturating_sub(before);
        Some(result)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let (nodes, entries) = self.0.as_mut()?;
            if let Some(entry) = entries.next() {
                return Some(entry);
            }
            match nodes.forward() {
                true => *entries = nodes.get().entries(),
                false => self.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
