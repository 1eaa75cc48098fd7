//! A sequence with logarithmic access by position: a B+tree whose inner nodes know the weight of
//! each subtree (an order-statistic tree).
//!
//! In a sorted set an item is a score with the position of a member and weighs 1, so an offset is a
//! rank. In a list an item is a node with several elements and weighs their number, so an offset is
//! an index into the list.
//!
//! A clone shares all nodes below the root (copy-on-write). A change to one of the two copies only
//! the nodes on the path to the change.

use smallvec::SmallVec;
use triomphe::Arc;

/// The most items in a leaf.
const LEAF: usize = 64;
/// The most children of an inner node.
const FANOUT: usize = 32;

/// An item of a sequence.
pub trait Item: Clone {
    /// The sort key, if items are ordered.
    type Key: Copy + core::fmt::Debug;
    /// Whether every item weighs 1.
    const UNIT: bool;
    /// The item's key.
    fn key(&self) -> Self::Key;
    /// How many positions the item takes, at least one.
    fn weight(&self) -> u64;
}

/// A sequence of items. See the module documentation.
#[derive(Clone, Debug)]
pub struct Seq<T: Item> {
    root: Node<T>,
    weight: u64,
}

#[derive(Clone, Debug)]
enum Node<T: Item> {
    Leaf(Vec<T>),
    Inner(Vec<Child<T>>),
}

#[derive(Clone, Debug)]
struct Child<T: Item> {
    weight: u64,
    /// The key of the first item in the subtree.
    key: T::Key,
    node: Arc<Node<T>>,
}

impl<T: Item> Default for Seq<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Item> Seq<T> {
    /// An empty sequence.
    pub fn new() -> Self {
        Self { root: Node::Leaf(Vec::new()), weight: 0 }
    }

    /// The total weight of all items.
    #[inline]
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// The number of positions before the first item for whose key `before` is false. `before` must
    /// be monotonic: true for a prefix of the sequence and false for the rest.
    #[inline]
    pub fn rank(&self, mut before: impl FnMut(T::Key) -> bool) -> u64 {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Inner(children) => {
                    let i = children.partition_point(|child| before(child.key)).saturating_sub(1);
                    rank += children[..i].iter().map(|child| child.weight).sum::<u64>();
                    match children.get(i) {
                        Some(child) => node = &child.node,
                        None => return rank,
                    }
                }
                Node::Leaf(items) => {
                    let i = items.partition_point(|item| before(item.key()));
                    return rank + weight_of(&items[..i]);
                }
            }
        }
    }

    /// The item that covers `offset`, and the offset within it.
    #[inline]
    pub fn get(&self, offset: u64) -> Option<(&T, u64)> {
        let (mut node, mut offset) = (&self.root, offset);
        if offset.checked_add(1) == Some(self.weight) {
            while let Node::Inner(children) = node {
                node = &children.last()?.node;
            }
            let Node::Leaf(items) = node else { return None };
            return items.last().map(|item| (item, item.weight() - 1));
        }
        loop {
            match node {
                Node::Inner(children) => {
                    let i = covering_child(children, &mut offset)?;
                    node = &children.get(i)?.node;
                }
                Node::Leaf(items) => {
                    let i = covering_item(items, &mut offset)?;
                    return items.get(i).map(|item| (item, offset));
                }
            }
        }
    }

    /// Lets `f` change the item that covers `offset`; it also gets the offset within it. The item
    /// must keep its place in the order and a weight of at least one.
    pub fn update<R>(&mut self, offset: u64, f: impl FnOnce(&mut T, u64) -> R) -> Option<R> {
        if offset >= self.weight {
            return None;
        }
        // Lists grow at their ends: the last item is found without adding up weights.
        let (result, delta) = if offset + 1 == self.weight {
            update_last(&mut self.root, f)?
        } else {
            update(&mut self.root, offset, f)?
        };
        self.weight = self.weight.wrapping_add_signed(delta);
        Some(result)
    }

    /// Inserts an item at `offset`, which must be a boundary between items, the beginning or the
    /// end.
    pub fn insert(&mut self, offset: u64, item: T) {
        self.place(&mut AtOffset(offset), item);
    }

    /// Inserts an item before the first one for whose key `before` is false.
    pub fn insert_by(&mut self, before: impl FnMut(T::Key) -> bool, item: T) {
        self.place(&mut InOrder(before), item);
    }

    /// Removes the item that covers `offset`.
    pub fn remove(&mut self, offset: u64) -> Option<T> {
        if offset >= self.weight {
            return None;
        }
        let item = remove(&mut self.root, offset)?;
        self.weight -= item.weight();
        while let Node::Inner(children) = &mut self.root {
            if children.len() > 1 {
                break;
            }
            self.root = match children.pop() {
                Some(child) => Arc::unwrap_or_clone(child.node),
                None => Node::Leaf(Vec::new()),
            };
        }
        Some(item)
    }

    /// A cursor on the last item for whose key `before` is true, or on the first item if there is
    /// none, and the number of positions before it. As with [`Seq::rank`], `before` must be
    /// monotonic.
    pub fn seek(&self, mut before: impl FnMut(T::Key) -> bool) -> Option<(Cursor<'_, T>, u64)> {
        let (mut node, mut rank) = (&self.root, 0);
        let mut path = SmallVec::new();
        loop {
            match node {
                Node::Inner(children) => {
                    let i = children.partition_point(|child| before(child.key)).saturating_sub(1);
                    rank += children[..i].iter().map(|child| child.weight).sum::<u64>();
                    path.push((children.as_slice(), i));
                    node = &children.get(i)?.node;
                }
                Node::Leaf(items) => {
                    let at = items.partition_point(|item| before(item.key())).saturating_sub(1);
                    rank += weight_of(&items[..at]);
                    return (at < items.len()).then_some((Cursor { path, items, at }, rank));
                }
            }
        }
    }

    /// The last item.
    #[inline]
    pub fn last(&self) -> Option<&T> {
        self.get(self.weight.checked_sub(1)?).map(|(item, _)| item)
    }

    /// A cursor on the item that covers `offset`.
    pub fn cursor(&self, offset: u64) -> Option<Cursor<'_, T>> {
        self.cursor_within(offset).map(|(cursor, _)| cursor)
    }

    /// A cursor on the item that covers `offset`, and the offset within it.
    pub fn cursor_within(&self, offset: u64) -> Option<(Cursor<'_, T>, u64)> {
        let (mut node, mut offset) = (&self.root, offset);
        let mut path = SmallVec::new();
        loop {
            match node {
                Node::Inner(children) => {
                    let i = covering_child(children, &mut offset)?;
                    path.push((children.as_slice(), i));
                    node = &children.get(i)?.node;
                }
                Node::Leaf(items) => {
                    let at = covering_item(items, &mut offset)?;
                    return Some((Cursor { path, items, at }, offset));
                }
            }
        }
    }

    /// The items from the one that covers `offset` on.
    pub fn iter_from(&self, offset: u64) -> impl Iterator<Item = &T> {
        let mut cursor = self.cursor(offset);
        core::iter::from_fn(move || {
            let item = cursor.as_ref()?.get();
            if !cursor.as_mut()?.forward() {
                cursor = None;
            }
            Some(item)
        })
    }

    /// The items from the one that covers `offset` back to the first.
    pub fn iter_back_from(&self, offset: u64) -> impl Iterator<Item = &T> {
        let mut cursor = self.cursor(offset);
        core::iter::from_fn(move || {
            let item = cursor.as_ref()?.get();
            if !cursor.as_mut()?.backward() {
                cursor = None;
            }
            Some(item)
        })
    }

    /// Drops about `budget` items from the end, or all if there are fewer, and returns how many.
    /// The sequence must not be used afterwards.
    pub fn free_some(&mut self, budget: usize) -> usize {
        let mut gone = 0;
        while gone < budget {
            match pop_leaf(&mut self.root) {
                0 => break,
                n => gone += n,
            }
        }
        gone
    }

    fn place(&mut self, place: &mut impl Place<T>, item: T) {
        self.weight += item.weight();
        if let Some(right) = insert(&mut self.root, place, item) {
            let left = core::mem::replace(&mut self.root, Node::Inner(Vec::with_capacity(4)));
            if let Node::Inner(children) = &mut self.root
                && let Some(left) = child_of(left)
            {
                children.push(left);
                children.push(right);
            }
        }
    }
}

/// The children chosen, from the root down.
type Path<'a, T> = SmallVec<[(&'a [Child<T>], usize); 5]>;

/// A bidirectional cursor in a sequence.
#[derive(Debug)]
pub struct Cursor<'a, T: Item> {
    path: Path<'a, T>,
    items: &'a [T],
    at: usize,
}

impl<'a, T: Item> Cursor<'a, T> {
    /// The item at the cursor.
    #[inline]
    pub fn get(&self) -> &'a T {
        &self.items[self.at]
    }

    /// Moves to the next item; false if there is none.
    #[inline]
    pub fn forward(&mut self) -> bool {
        if self.at + 1 < self.items.len() {
            self.at += 1;
            return true;
        }
        self.turn(|children, i| (i + 1 < children.len()).then_some(i + 1), |_| 0)
    }

    /// Moves to the previous item; false if there is none.
    #[inline]
    pub fn backward(&mut self) -> bool {
        if self.at > 0 {
            self.at -= 1;
            return true;
        }
        self.turn(|_, i| i.checked_sub(1), |len| len.saturating_sub(1))
    }

    fn turn(
        &mut self,
        beside: impl Fn(&[Child<T>], usize) -> Option<usize>,
        edge: impl Fn(usize) -> usize,
    ) -> bool {
        let depth = self.path.len();
        let Some((up, to)) =
            (0..depth).rev().find_map(|d| beside(self.path[d].0, self.path[d].1).map(|to| (d, to)))
        else {
            return false;
        };
        self.path.truncate(up + 1);
        self.path[up].1 = to;
        let mut node: &'a Node<T> = &self.path[up].0[to].node;
        loop {
            match node {
                Node::Inner(children) => {
                    let i = edge(children.len());
                    self.path.push((children, i));
                    node = &children[i].node;
                }
                Node::Leaf(items) => {
                    self.items = items;
                    self.at = edge(items.len());
                    return true;
                }
            }
        }
    }
}

/// The insertion point of an item: which child to descend to, which slot of a leaf.
trait Place<T: Item> {
    fn child(&mut self, children: &[Child<T>]) -> usize;
    fn slot(&mut self, items: &[T]) -> usize;
}

struct AtOffset(u64);

impl<T: Item> Place<T> for AtOffset {
    fn child(&mut self, children: &[Child<T>]) -> usize {
        for (i, child) in children.iter().enumerate() {
            if self.0 <= child.weight {
                return i;
            }
            self.0 -= child.weight;
        }
        children.len().saturating_sub(1)
    }

    fn slot(&mut self, items: &[T]) -> usize {
        if T::UNIT {
            return items.len().min(self.0 as usize);
        }
        for (i, item) in items.iter().enumerate() {
            if self.0 == 0 {
                return i;
            }
            self.0 = self.0.saturating_sub(item.weight());
        }
        items.len()
    }
}

struct InOrder<F>(F);

impl<T: Item, F: FnMut(T::Key) -> bool> Place<T> for InOrder<F> {
    #[inline]
    fn child(&mut self, children: &[Child<T>]) -> usize {
        children.partition_point(|child| (self.0)(child.key)).saturating_sub(1)
    }

    #[inline]
    fn slot(&mut self, items: &[T]) -> usize {
        items.partition_point(|item| (self.0)(item.key()))
    }
}

impl<T: Item> Node<T> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(children) => children.len(),
        }
    }

    fn limit(&self) -> usize {
        match self {
            Node::Leaf(_) => LEAF,
            Node::Inner(_) => FANOUT,
        }
    }

    fn key(&self) -> Option<T::Key> {
        match self {
            Node::Leaf(items) => items.first().map(T::key),
            Node::Inner(children) => children.first().map(|child| child.key),
        }
    }

    fn weight(&self) -> u64 {
        match self {
            Node::Leaf(items) => weight_of(items),
            Node::Inner(children) => children.iter().map(|child| child.weight).sum(),
        }
    }
}

fn child_of<T: Item>(node: Node<T>) -> Option<Child<T>> {
    Some(Child { weight: node.weight(), key: node.key()?, node: Arc::new(node) })
}

#[inline]
fn weight_of<T: Item>(items: &[T]) -> u64 {
    if T::UNIT { items.len() as u64 } else { items.iter().map(T::weight).sum() }
}

#[inline]
fn covering_child<T: Item>(children: &[Child<T>], offset: &mut u64) -> Option<usize> {
    for (i, child) in children.iter().enumerate() {
        if *offset < child.weight {
            return Some(i);
        }
        *offset -= child.weight;
    }
    None
}

#[inline]
fn covering_item<T: Item>(items: &[T], offset: &mut u64) -> Option<usize> {
    if T::UNIT {
        let i = *offset as usize;
        *offset = 0;
        return (i < items.len()).then_some(i);
    }
    for (i, item) in items.iter().enumerate() {
        if *offset < item.weight() {
            return Some(i);
        }
        *offset -= item.weight();
    }
    None
}

fn update_last<T: Item, R>(
    node: &mut Node<T>,
    f: impl FnOnce(&mut T, u64) -> R,
) -> Option<(R, i64)> {
    match node {
        Node::Inner(children) => {
            let child = children.last_mut()?;
            let (result, delta) = update_last(Arc::make_mut(&mut child.node), f)?;
            child.weight = child.weight.wrapping_add_signed(delta);
            if let Some(key) = child.node.key() {
                child.key = key;
            }
            Some((result, delta))
        }
        Node::Leaf(items) => {
            let item = items.last_mut()?;
            let before = item.weight();
            let result = f(item, before - 1);
            Some((result, item.weight().wrapping_sub(before) as i64))
        }
    }
}

fn update<T: Item, R>(
    node: &mut Node<T>,
    mut offset: u64,
    f: impl FnOnce(&mut T, u64) -> R,
) -> Option<(R, i64)> {
    match node {
        Node::Inner(children) => {
            let i = covering_child(children, &mut offset)?;
            let child = children.get_mut(i)?;
            let (result, delta) = update(Arc::make_mut(&mut child.node), offset, f)?;
            child.weight = child.weight.wrapping_add_signed(delta);
            if let Some(key) = child.node.key() {
                child.key = key;
            }
            Some((result, delta))
        }
        Node::Leaf(items) => {
            let i = covering_item(items, &mut offset)?;
            let item = items.get_mut(i)?;
            let before = item.weight();
            let result = f(item, offset);
            Some((result, item.weight().wrapping_sub(before) as i64))
        }
    }
}

/// Inserts below `node`; returns a right sibling if it had to be split.
fn insert<T: Item>(node: &mut Node<T>, place: &mut impl Place<T>, item: T) -> Option<Child<T>> {
    match node {
        Node::Inner(children) => {
            let i = place.child(children);
            let child = children.get_mut(i)?;
            let weight = item.weight();
            let split = insert(Arc::make_mut(&mut child.node), place, item);
            child.weight += weight;
            if let Some(key) = child.node.key() {
                child.key = key;
            }
            let right = split?;
            child.weight -= right.weight;
            let right = push_or_split(children, i + 1, right, FANOUT)?;
            child_of(Node::Inner(right))
        }
        Node::Leaf(items) => {
            let i = place.slot(items);
            child_of(Node::Leaf(push_or_split(items, i, item, LEAF)?))
        }
    }
}

/// Inserts into one node's vector. If it is full, the right part is returned; on appending, that is
/// the new element alone, so that nodes are full if elements are added in order.
fn push_or_split<E>(all: &mut Vec<E>, i: usize, element: E, limit: usize) -> Option<Vec<E>> {
    if all.len() < limit {
        if all.len() == all.capacity() {
            all.reserve_exact((all.len() / 2).max(4).min(limit - all.len()));
        }
        all.insert(i, element);
        return None;
    }
    if i == all.len() {
        let mut right = Vec::with_capacity(4);
        right.push(element);
        return Some(right);
    }
    let middle = if i == 0 { 0 } else { limit / 2 };
    let mut right = Vec::with_capacity(limit);
    right.extend(all.drain(middle..));
    if i <= middle {
        all.insert(i, element);
    } else {
        right.insert(i - middle, element);
    }
    Some(right)
}

fn remove<T: Item>(node: &mut Node<T>, mut offset: u64) -> Option<T> {
    match node {
        Node::Leaf(items) => {
            let i = covering_item(items, &mut offset)?;
            Some(items.remove(i))
        }
        Node::Inner(children) => {
            let i = covering_child(children, &mut offset)?;
            let child = children.get_mut(i)?;
            let item = remove(Arc::make_mut(&mut child.node), offset)?;
            child.weight -= item.weight();
            match child.node.key() {
                Some(key) => {
                    child.key = key;
                    if child.node.len() < child.node.limit() / 4 {
                        merge_near(children, i);
                    }
                }
                None => {
                    children.remove(i);
                }
            }
            Some(item)
        }
    }
}

/// Merges an underfull node with a neighbour, if the result leaves some room.
fn merge_near<T: Item>(children: &mut Vec<Child<T>>, i: usize) {
    let fits = |a: usize, b: usize| match (children.get(a), children.get(b)) {
        (Some(a), Some(b)) => a.node.len() + b.node.len() <= a.node.limit() * 3 / 4,
        _ => false,
    };
    let left = if fits(i, i + 1) {
        i
    } else if i > 0 && fits(i - 1, i) {
        i - 1
    } else {
        return;
    };
    let right = children.remove(left + 1);
    let Some(child) = children.get_mut(left) else { return };
    child.weight += right.weight;
    match (Arc::make_mut(&mut child.node), Arc::unwrap_or_clone(right.node)) {
        (Node::Leaf(a), Node::Leaf(b)) => a.extend(b),
        (Node::Inner(a), Node::Inner(b)) => a.extend(b),
        // All leaves are at one depth, so two neighbours have the same kind.
        _ => {}
    }
}

/// Drops the last leaf, or the last node that another owner shares. Returns the number of its items
/// or children.
fn pop_leaf<T: Item>(node: &mut Node<T>) -> usize {
    match node {
        Node::Leaf(items) => core::mem::take(items).len(),
        Node::Inner(children) => {
            let Some(child) = children.last_mut() else { return 0 };
            let (n, empty) = match Arc::get_mut(&mut child.node) {
                Some(node) => (pop_leaf(node), node.len() == 0),
                None => (child.node.len(), true),
            };
            if empty {
                children.pop();
            }
            n
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[derive(Clone, Debug, PartialEq)]
    struct Run(u64, u64);

    impl Item for Run {
        type Key = u64;
        const UNIT: bool = false;
        fn key(&self) -> u64 {
            self.0
        }
        fn weight(&self) -> u64 {
            self.1
        }
    }

    #[derive(Clone, Debug, PartialEq)]
    struct One(u64);

    impl Item for One {
        type Key = u64;
        const UNIT: bool = true;
        fn key(&self) -> u64 {
            self.0
        }
        fn weight(&self) -> u64 {
            1
        }
    }

    #[test]
    fn it_keeps_order_and_ranks() {
        for seed in 0..6 {
            let mut rng = Rng::new(seed);
            let mut seq = Seq::new();
            let mut model = std::collections::BTreeSet::new();
            for round in 0..20_000u64 {
                let key = match seed {
                    0 => round,
                    1 => 100_000 - round,
                    _ => rng.below(30_000),
                };
                let grow = (round / 5_000) % 2 == 0;
                if rng.chance(if grow { 0.95 } else { 0.05 }) {
                    if model.insert(key) {
                        seq.insert_by(|k| k < key, One(key));
                    }
                } else if let Some(&first) = model.range(key / 2..).next() {
                    model.remove(&first);
                    let rank = seq.rank(|k| k < first);
                    assert_eq!(seq.remove(rank), Some(One(first)));
                }
                assert_eq!(seq.weight(), model.len() as u64);
            }
            assert!(seq.iter_from(0).map(|o| o.0).eq(model.iter().copied()));
            for (rank, &key) in model.iter().enumerate() {
                assert_eq!(seq.rank(|k| k < key), rank as u64);
                assert_eq!(seq.get(rank as u64), Some((&One(key), 0)));
                let (cursor, before) = seq.seek(|k| k <= key).expect("an item");
                assert_eq!((cursor.get(), before), (&One(key), rank as u64));
            }
            let from = model.len() / 3;
            assert!(
                seq.iter_back_from(from as u64).map(|o| o.0).eq(model
                    .iter()
                    .take(from + 1)
                    .rev()
                    .copied())
            );
            while seq.free_some(500) > 0 {}
        }
    }

    #[test]
    fn it_finds_runs_by_offset() {
        let mut rng = Rng::new(77);
        let (mut seq, mut model) = (Seq::new(), Vec::<Run>::new());
        for round in 0..6_000u64 {
            let grow = (round / 2_000) % 2 == 0;
            let i = rng.below(model.len() as u64 + 1) as usize;
            let offset: u64 = model[..i].iter().map(|r| r.1).sum();
            if rng.chance(if grow { 0.8 } else { 0.2 }) {
                let run = Run(round, 1 + rng.below(9));
                seq.insert(offset, run.clone());
                model.insert(i, run);
            } else if i < model.len() {
                let within = rng.below(model[i].1);
                if rng.chance(0.5) {
                    let weight = 1 + rng.below(9);
                    let got = seq.update(offset + within, |run, rem| {
                        run.1 = weight;
                        rem
                    });
                    assert_eq!(got, Some(within));
                    model[i].1 = weight;
                } else {
                    assert_eq!(seq.remove(offset + within), Some(model.remove(i)));
                }
            }
            assert_eq!(seq.weight(), model.iter().map(|r| r.1).sum::<u64>());
        }
        assert!(seq.iter_from(0).eq(model.iter()));
        assert!(seq.iter_back_from(seq.weight() - 1).eq(model.iter().rev()));
    }

    thread_local! {
        static COPIED: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
    }

    struct Counted(u64);

    impl Clone for Counted {
        fn clone(&self) -> Self {
            COPIED.set(COPIED.get() + 1);
            Counted(self.0)
        }
    }

    impl Item for Counted {
        type Key = u64;
        const UNIT: bool = true;
        fn key(&self) -> u64 {
            self.0
        }
        fn weight(&self) -> u64 {
            1
        }
    }

    #[test]
    fn a_copy_of_a_million_items_costs_what_is_changed_in_it() {
        let mut seq = Seq::new();
        for n in 0..1_000_000 {
            seq.insert(n, Counted(2 * n));
        }
        let copied = || COPIED.replace(0);
        let copy = seq.clone();
        assert_eq!(copied(), 0);
        seq.insert_by(|key| key < 600_001, Counted(600_001));
        assert!(copied() <= LEAF);
        seq.remove(700_000);
        seq.update(700_000, |_, _| ());
        assert!(copied() <= 2 * LEAF);
        assert!(copy.iter_from(0).map(|item| item.0).eq((0..1_000_000).map(|n| 2 * n)));
        drop(copy);
        seq.insert_by(|key| key < 800_001, Counted(800_001));
        assert_eq!(copied(), 0, "nobody else has it any more");
    }
}
