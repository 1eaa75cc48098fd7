//! Lists of strings.

use super::limits::Limits;
use super::listpack::{self, Item, Listpack, PackRef};
use super::seq::{self, Cursor, Seq};
use crate::store::size::allocated;
use triomphe::Arc;

/// A list, owned and mutable.
#[derive(Clone, Debug)]
pub enum List {
    /// A single listpack (encoding `listpack`).
    Pack(Listpack),
    /// Several listpacks (encoding `quicklist`).
    Quick(Box<Quicklist>),
}

/// A view of a list, for reading.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// A single listpack (encoding `listpack`).
    Pack(PackRef<'a>),
    /// Several listpacks (encoding `quicklist`).
    Quick(&'a Quicklist),
}

/// The two ends of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head.
    Left,
    /// The tail.
    Right,
}

/// A node of a quicklist: a listpack with at least one element.
#[derive(Clone, Debug)]
pub struct QuicklistNode(Arc<Listpack>);

impl seq::Item for QuicklistNode {
    type Key = ();
    const UNIT: bool = false;

    fn key(&self) {}

    #[inline]
    fn weight(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A quicklist: its nodes, and the memory that they take.
#[derive(Clone, Debug, Default)]
pub struct Quicklist {
    seq: Seq<QuicklistNode>,
    bytes: usize,
}

impl Quicklist {
    #[inline]
    fn weight(&self) -> u64 {
        self.seq.weight()
    }

    #[inline]
    fn get(&self, offset: u64) -> Option<(&QuicklistNode, u64)> {
        self.seq.get(offset)
    }

    #[inline]
    fn update<R>(
        &mut self,
        offset: u64,
        f: impl FnOnce(&mut QuicklistNode, u64) -> R,
    ) -> Option<R> {
        let bytes = &mut self.bytes;
        self.seq.update(offset, |node, rem| {
            *bytes -= node.memory();
            let result = f(node, rem);
            *bytes += node.memory();
            result
        })
    }

    fn insert(&mut self, offset: u64, node: QuicklistNode) {
        self.bytes += node.memory();
        self.seq.insert(offset, node);
    }

    fn remove(&mut self, offset: u64) -> Option<QuicklistNode> {
        let node = self.seq.remove(offset)?;
        self.bytes -= node.memory();
        Some(node)
    }

    fn cursor(&self, offset: u64) -> Option<Cursor<'_, QuicklistNode>> {
        self.seq.cursor(offset)
    }

    /// The approximate number of nodes, which is the cost of freeing them.
    pub(in crate::store) fn count(&self) -> usize {
        self.bytes / 4096
    }

    /// Frees about `budget` nodes, or all if there are fewer, and returns how many.
    pub(in crate::store) fn free_some(&mut self, budget: usize) -> usize {
        self.seq.free_some(budget)
    }
}

impl QuicklistNode {
    fn of(pack: Listpack) -> Self {
        QuicklistNode(Arc::new(pack))
    }

    /// The node's listpack, to change it.
    #[inline]
    fn pack(&mut self) -> &mut Listpack {
        Arc::make_mut(&mut self.0)
    }

    /// The node's listpack.
    pub fn view(&self) -> PackRef<'_> {
        self.0.view()
    }

    #[inline]
    fn memory(&self) -> usize {
        allocated(self.0.end()) + 56
    }

    fn takes(&self, text: &[u8], limits: &Limits) -> bool {
        takes(&self.0, text, limits)
    }
}

impl Default for List {
    fn default() -> Self {
        List::Pack(Listpack::new())
    }
}

impl List {
    /// A view for reading.
    #[inline]
    pub fn view(&self) -> ListRef<'_> {
        match self {
            List::Pack(pack) => ListRef::Pack(pack.view()),
            List::Quick(nodes) => ListRef::Quick(nodes),
        }
    }

    /// The number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Converts to a quicklist if the listpack would become too large with these elements, which
    /// are about to be added.
    pub fn grow<'t>(&mut self, texts: impl IntoIterator<Item = &'t [u8]>, limits: &Limits) {
        let List::Pack(pack) = self else { return };
        let (mut bytes, mut count) = (pack.size(), pack.len());
        for text in texts {
            bytes = bytes.saturating_add(text.len());
            count += 1;
        }
        if limits.list_node_exceeds(bytes, count) {
            self.expand();
        }
    }

    /// Converts back to a listpack if the list is small enough, by the rules of Redis: at half of
    /// the limit if it has been shortened, at the limit itself if it was built anew.
    pub fn shrink(&mut self, limits: &Limits) {
        let List::Quick(nodes) = self else { return };
        let lone = match nodes.get(0) {
            Some((node, _)) if node.0.len() as u64 == nodes.weight() => node,
            _ => return,
        };
        if limits.list_node_is_small(lone.0.size(), lone.0.len())
            && let Some(node) = nodes.remove(0)
        {
            *self = List::Pack(Arc::unwrap_or_clone(node.0));
        }
    }

    /// Pushes an element to an end.
    pub fn push(&mut self, end: End, text: &[u8], limits: &Limits) {
        let nodes = match self {
            List::Pack(pack) => {
                return match end {
                    End::Left => pack.push_front(text),
                    End::Right => pack.push_back(text),
                };
            }
            List::Quick(nodes) => nodes,
        };
        let at = match end {
            End::Left => 0,
            End::Right => nodes.weight().saturating_sub(1),
        };
        let done = nodes.update(at, |node, _| {
            let fits = node.takes(text, limits);
            if fits {
                match end {
                    End::Left => node.pack().push_front(text),
                    End::Right => node.pack().push_back(text),
                }
            }
            fits
        });
        if done != Some(true) {
            let at = match end {
                End::Left => 0,
                End::Right => nodes.weight(),
            };
            nodes.insert(at, QuicklistNode::of([text].iter().collect()));
        }
    }

    /// Pops the element at an end and passes it to `f`. The caller must call [`List::shrink`]
    /// afterwards.
    pub fn pop<R>(&mut self, end: End, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self {
            List::Pack(pack) => pop(pack, end, f),
            List::Quick(nodes) => {
                let at = match end {
                    End::Left => 0,
                    End::Right => nodes.weight().checked_sub(1)?,
                };
                let (node, _) = nodes.get(at)?;
                if node.0.len() == 1 {
                    let mut node = nodes.remove(at)?;
                    pop(node.pack(), end, f)
                } else {
                    nodes.update(at, |node, _| pop(node.pack(), end, f))?
                }
            }
        }
    }

    /// Replaces the element at `index` by `text`; false if there is none. The caller must call
    /// [`List::grow`] before.
    pub fn set(&mut self, index: usize, text: &[u8], limits: &Limits) -> bool {
        match self {
            List::Pack(pack) => match pack.view().seek(index) {
                Some(at) => {
                    pack.replace(at, text);
                    true
                }
                None => false,
            },
            List::Quick(nodes) => {
                let fits = nodes.update(index as u64, |node, rem| {
                    let old = node.view().seek(rem as usize);
                    let fits = node.0.len() == 1 || node.takes(text, limits);
                    if let Some(at) = old
                        && fits
                    {
                        node.pack().replace(at, text);
                    }
                    fits
                });
                match fits {
                    None => false,
                    Some(true) => true,
                    Some(false) => {
                        self.insert(index, text, limits);
                        self.remove(index + 1, 1, limits);
                        true
                    }
                }
            }
        }
    }

    /// Inserts before the element at `index`, or at the end. The caller must call [`List::grow`]
    /// before.
    pub fn insert(&mut self, index: usize, text: &[u8], limits: &Limits) {
        match self {
            List::Pack(pack) => {
                let at = pack.view().seek(index).unwrap_or(pack.end());
                pack.insert(at, text);
            }
            List::Quick(_) if index == 0 => self.push(End::Left, text, limits),
            List::Quick(nodes) if index as u64 >= nodes.weight() => {
                self.push(End::Right, text, limits);
            }
            List::Quick(nodes) => {
                let index = index as u64;
                // At the beginning of a node, the end of the previous one serves as well.
                for (offset, after) in [(index, 0), (index - 1, 1)] {
                    let done = nodes.update(offset, |node, rem| {
                        let rem = rem as usize + after;
                        if (after == 1 && rem != node.0.len()) || !node.takes(text, limits) {
                            return false;
                        }
                        let at = node.view().seek(rem).unwrap_or(node.0.end());
                        node.pack().insert(at, text);
                        true
                    });
                    if done == Some(true) {
                        return;
                    }
                }
                let right = nodes.update(index, |node, rem| {
                    let at = (rem > 0).then(|| node.view().seek(rem as usize))??;
                    Some(node.pack().split_off(at))
                });
                if let Some(Some(right)) = right {
                    nodes.insert(index, QuicklistNode::of(right));
                }
                nodes.insert(index, QuicklistNode::of([text].iter().collect()));
                join(nodes, index, limits);
                join(nodes, index - 1, limits);
            }
        }
    }

    /// Removes `count` elements from `index` on. The caller must call [`List::shrink`] afterwards.
    pub fn remove(&mut self, index: usize, count: usize, limits: &Limits) {
        match self {
            List::Pack(pack) => {
                if let Some(at) = pack.view().seek(index) {
                    pack.remove_range(at, count);
                }
            }
            List::Quick(nodes) => {
                let index = index as u64;
                let mut left = (count as u64).min(nodes.weight().saturating_sub(index));
                while left > 0 {
                    let Some((node, rem)) = nodes.get(index) else { return };
                    let len = node.0.len() as u64;
                    let n = left.min(len - rem);
                    if n == len {
                        nodes.remove(index);
                    } else {
                        nodes.update(index, |node, rem| {
                            if let Some(at) = node.view().seek(rem as usize) {
                                node.pack().remove_range(at, n as usize);
                            }
                        });
                    }
                    left -= n;
                }
                join(nodes, index, limits);
                join(nodes, index.saturating_sub(1), limits);
            }
        }
    }

    /// Removes up to `limit` elements equal to `text`, searching from `from`. Returns how many. The
    /// caller must call [`List::shrink`] afterwards.
    pub fn remove_equal(&mut self, text: &[u8], from: End, limit: usize, limits: &Limits) -> usize {
        match self {
            List::Pack(pack) => remove_equal(pack, text, from, limit),
            List::Quick(nodes) => {
                let gone = remove_equal_in_nodes(nodes, text, from, limit);
                let mut offset = 0;
                while gone > 0
                    && let Some((node, _)) = nodes.get(offset)
                {
                    let len = node.0.len() as u64;
                    if !join(nodes, offset, limits) {
                        offset += len;
                    }
                }
                gone
            }
        }
    }

    /// Appends a node that comes from a dump: as it is, unless it is so large that changing it
    /// would take long.
    pub fn push_node(&mut self, pack: Listpack, limits: &Limits) {
        if pack.is_empty() {
            return;
        }
        if self.is_empty() && !limits.list_node_exceeds(pack.size(), pack.len()) {
            *self = List::Pack(pack);
            return;
        }
        self.expand();
        if pack.size() > LARGEST_NODE && pack.len() > 1 {
            let mut text = itoa::Buffer::new();
            for (_, item) in pack.view().iter() {
                self.push(End::Right, item.bytes(&mut text), limits);
            }
            return;
        }
        if let List::Quick(nodes) = self {
            nodes.insert(nodes.weight(), QuicklistNode::of(pack));
        }
    }

    fn expand(&mut self) {
        if let List::Pack(pack) = self {
            let mut nodes = Quicklist::default();
            if !pack.is_empty() {
                // A copy, since the listpack may share its allocation with a key.
                let mut copy = Listpack::with_capacity(pack.size());
                copy.append(pack.view());
                nodes.insert(0, QuicklistNode::of(copy));
            }
            *self = List::Quick(Box::new(nodes));
        }
    }
}

impl<'a> ListRef<'a> {
    /// The number of elements.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            ListRef::Pack(pack) => pack.len(),
            ListRef::Quick(nodes) => nodes.weight() as usize,
        }
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at `index`.
    pub fn get(self, index: usize) -> Option<Item<'a>> {
        match self {
            ListRef::Pack(pack) => pack.seek(index).map(|at| pack.get(at)),
            ListRef::Quick(nodes) => {
                let (node, rem) = nodes.get(index as u64)?;
                node.view().seek(rem as usize).map(|at| node.view().get(at))
            }
        }
    }

    /// The elements from `index` on.
    pub fn iter_from(self, index: usize) -> Forward<'a> {
        let (pack, rem, cursor) = match self {
            ListRef::Pack(pack) => (pack, index, None),
            ListRef::Quick(nodes) => match (nodes.get(index as u64), nodes.cursor(index as u64)) {
                (Some((node, rem)), cursor) => (node.view(), rem as usize, cursor),
                _ => (EMPTY, 0, None),
            },
        };
        let at = pack.seek(rem).unwrap_or(pack.end());
        Forward { items: pack.iter_from(at), cursor }
    }

    /// All elements.
    pub fn iter(self) -> Forward<'a> {
        self.iter_from(0)
    }

    /// The elements from `index` back to the first.
    pub fn iter_back_from(self, index: usize) -> Backward<'a> {
        let (pack, rem, cursor) = match self {
            ListRef::Pack(pack) => (pack, index, None),
            ListRef::Quick(nodes) => match (nodes.get(index as u64), nodes.cursor(index as u64)) {
                (Some((node, rem)), cursor) => (node.view(), rem as usize, cursor),
                _ => (EMPTY, 0, None),
            },
        };
        let at = match pack.seek(rem) {
            Some(at) => pack.next(at).unwrap_or(pack.end()),
            None => 0,
        };
        Backward { pack, at, cursor }
    }

    /// The nodes in the form in which they are saved, from the one with the element at `index` on.
    pub fn nodes_from(self, index: usize) -> impl Iterator<Item = PackRef<'a>> {
        let (one, many) = match self {
            ListRef::Pack(pack) => (Some(pack), None),
            ListRef::Quick(nodes) => {
                (None, Some(nodes.seq.iter_from(index as u64).map(QuicklistNode::view)))
            }
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// A copy, which shares all nodes (copy-on-write).
    pub fn frozen(self) -> List {
        match self {
            ListRef::Pack(pack) => List::Pack(pack.to_owned()),
            ListRef::Quick(nodes) => List::Quick(Box::new(nodes.clone())),
        }
    }

    /// Memory used, in bytes.
    pub fn memory(self) -> usize {
        match self {
            ListRef::Pack(pack) => pack.size(),
            ListRef::Quick(nodes) => nodes.bytes + 64,
        }
    }
}

/// The largest node that the size classes of `list-max-listpack-size` allow, in bytes.
const LARGEST_NODE: usize = 64 * 1024;

/// An empty listpack.
const EMPTY: PackRef<'static> = PackRef::new(&[0, 0]);

/// An iterator from head to tail.
#[derive(Debug)]
pub struct Forward<'a> {
    items: listpack::Iter<'a>,
    cursor: Option<Cursor<'a, QuicklistNode>>,
}

impl<'a> Iterator for Forward<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some((_, item)) = self.items.next() {
                return Some(item);
            }
            let cursor = self.cursor.as_mut()?;
            if !cursor.forward() {
                self.cursor = None;
                return None;
            }
            self.items = cursor.get().view().iter();
        }
    }
}

/// An iterator from tail to head.
#[derive(Debug)]
pub struct Backward<'a> {
    pack: PackRef<'a>,
    at: usize,
    cursor: Option<Cursor<'a, QuicklistNode>>,
}

impl<'a> Iterator for Backward<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some(at) = self.pack.prev(self.at) {
                self.at = at;
                return Some(self.pack.get(at));
            }
            let cursor = self.cursor.as_mut()?;
            if !cursor.backward() {
                self.cursor = None;
                return None;
            }
            self.pack = cursor.get().view();
            self.at = self.pack.end();
        }
    }
}

/// Whether a node may take one more element. Like Redis, it adds eight bytes for the overhead.
fn takes(pack: &Listpack, text: &[u8], limits: &Limits) -> bool {
    !limits.list_node_exceeds(pack.size().saturating_add(text.len() + 8), pack.len() + 1)
}

fn pop<R>(pack: &mut Listpack, end: End, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
    let at = match end {
        End::Left => pack.view().first()?,
        End::Right => pack.view().last()?,
    };
    let result = f(pack.view().get(at));
    pack.remove(at);
    Some(result)
}

fn remove_equal(pack: &mut Listpack, text: &[u8], from: End, limit: usize) -> usize {
    let mut gone = 0;
    match from {
        End::Left => {
            let mut at = pack.view().first();
            while gone < limit
                && let Some(found) = at.and_then(|at| pack.view().find(text, at, 0))
            {
                at = pack.remove(found);
                gone += 1;
            }
        }
        End::Right => {
            let wanted = Item::of(text);
            let mut at = pack.end();
            while gone < limit {
                let mut before = pack.view().iter_back_from(at);
                let Some((found, _)) = before.find(|(_, item)| *item == wanted) else { break };
                drop(before);
                pack.remove(found);
                at = found;
                gone += 1;
            }
        }
    }
    gone
}

fn remove_equal_in_nodes(nodes: &mut Quicklist, text: &[u8], from: End, limit: usize) -> usize {
    let wanted = Item::of(text);
    let mut gone = 0;
    // The range that is still to be searched.
    let (mut begin, mut end) = (0, nodes.weight());
    while gone < limit && begin < end {
        let at = match from {
            End::Left => begin,
            End::Right => end - 1,
        };
        let Some((node, rem)) = nodes.get(at) else { break };
        let len = node.0.len() as u64;
        let start = at - rem;
        let equal = node.view().iter().filter(|(_, item)| *item == wanted).count();
        let n = equal.min(limit - gone);
        if n as u64 == len {
            nodes.remove(start);
        } else if n > 0 {
            nodes.update(start, |node, _| remove_equal(node.pack(), text, from, n));
        }
        gone += n;
        match from {
            End::Left => {
                begin += len - n as u64;
                end -= n as u64;
            }
            End::Right => end = start,
        }
    }
    gone
}

/// Merges the node at `offset` with the next one if both together fill less than half a node.
fn join(nodes: &mut Quicklist, offset: u64, limits: &Limits) -> bool {
    let Some((node, rem)) = nodes.get(offset) else { return false };
    let start = offset - rem;
    let next = start + node.0.len() as u64;
    let Some((right, _)) = nodes.get(next) else { return false };
    let (bytes, count) = (node.0.size() + right.0.size(), node.0.len() + right.0.len());
    if !limits.list_node_is_small(bytes, count) || limits.list_node_exceeds(bytes, count) {
        return false;
    }
    let Some(right) = nodes.remove(next) else { return false };
    nodes.update(start, |node, _| node.pack().append(right.view())).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[derive(Clone, Debug)]
    enum Op {
        Push(End, Vec<u8>),
        Pop(End),
        Insert(usize, Vec<u8>),
        Set(usize, Vec<u8>),
        Remove(usize, usize),
        RemoveEqual(Vec<u8>, End, usize),
    }

    fn end() -> impl Strategy<Value = End> {
        prop_oneof![Just(End::Left), Just(End::Right)]
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => (0u8..5).prop_map(|n| n.to_string().into_bytes()),
            2 => "[a-c]{1,3}".prop_map(String::into_bytes),
            1 => (0usize..9_000).prop_map(|n| vec![b'x'; n]),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (end(), text()).prop_map(|(e, t)| Op::Push(e, t)),
            1 => end().prop_map(Op::Pop),
            4 => (any::<usize>(), text()).prop_map(|(i, t)| Op::Insert(i, t)),
            2 => (any::<usize>(), text()).prop_map(|(i, t)| Op::Set(i, t)),
            1 => (any::<usize>(), 0usize..5).prop_map(|(i, n)| Op::Remove(i, n)),
            1 => (text(), end(), 1usize..4).prop_map(|(t, e, n)| Op::RemoveEqual(t, e, n)),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_list(size in -2i32..5, ops in proptest::collection::vec(op(), 0..120)) {
            let limits = Limits { list_max_listpack_size: size, ..Limits::default() };
            let (mut list, mut model) = (List::default(), VecDeque::<Vec<u8>>::new());
            for op in ops {
                match op {
                    Op::Push(end, text) => {
                        list.grow([&text[..]], &limits);
                        list.push(end, &text, &limits);
                        match end {
                            End::Left => model.push_front(text),
                            End::Right => model.push_back(text),
                        }
                    }
                    Op::Pop(end) => {
                        let wanted = match end {
                            End::Left => model.pop_front(),
                            End::Right => model.pop_back(),
                        };
                        prop_assert_eq!(list.pop(end, |item| item.to_vec()), wanted);
                        list.shrink(&limits);
                    }
                    Op::Insert(i, text) => {
                        let i = i % (model.len() + 1);
                        list.grow([&text[..]], &limits);
                        list.insert(i, &text, &limits);
                        model.insert(i, text);
                    }
                    Op::Set(i, text) if !model.is_empty() => {
                        let i = i % model.len();
                        list.grow([&text[..]], &limits);
                        prop_assert!(list.set(i, &text, &limits));
                        model[i] = text;
                    }
                    Op::Remove(i, n) if !model.is_empty() => {
                        let i = i % model.len();
                        list.remove(i, n, &limits);
                        list.shrink(&limits);
                        model.drain(i..(i + n).min(model.len()));
                    }
                    Op::RemoveEqual(text, end, limit) => {
                        let gone = list.remove_equal(&text, end, limit, &limits);
                        list.shrink(&limits);
                        let before = model.len();
                        for _ in 0..limit {
                            let found = match end {
                                End::Left => model.iter().position(|t| *t == text),
                                End::Right => model.iter().rposition(|t| *t == text),
                            };
                            found.map(|i| model.remove(i));
                        }
                        prop_assert_eq!(gone, before - model.len());
                    }
                    _ => {}
                }
                prop_assert_eq!(list.len(), model.len());
            }
            let view = list.view();
            prop_assert!(view.iter().map(Item::to_vec).eq(model.iter().cloned()));
            for i in 0..model.len() {
                prop_assert_eq!(view.get(i).map(Item::to_vec), model.get(i).cloned());
                let back = view.iter_back_from(i).map(Item::to_vec);
                prop_assert!(back.eq(model.iter().take(i + 1).rev().cloned()));
                let forth = view.iter_from(i).map(Item::to_vec);
                prop_assert!(forth.eq(model.iter().skip(i).cloned()));
            }
        }
    }

    #[test]
    fn a_long_list_is_several_nodes_and_a_short_one_is_one_listpack_again() {
        let limits = Limits::default();
        let mut list = List::default();
        for n in 0..5_000 {
            let text = format!("element:{n}");
            list.grow([text.as_bytes()], &limits);
            list.push(End::Right, text.as_bytes(), &limits);
        }
        assert!(matches!(list, List::Quick(_)));
        assert!(list.view().nodes_from(0).all(|node| node.size() <= 8192));
        assert!(list.view().nodes_from(0).count() < 12);
        while list.pop(End::Left, |_| ()).is_some() {
            list.shrink(&limits);
        }
        assert!(matches!(list, List::Pack(_)));
    }
}
