//! Sorted sets: members with scores, ordered by score.

use core::cmp::Ordering;

use super::bytes::SmallBytes;
use super::limits::Limits;
use super::listpack::{self, Item, Listpack, PackRef};
use super::seq::{self, Cursor, Seq};
use super::table::{Keyed, Table};
use crate::resp::number::{format_double, parse_double};

/// A sorted set, owned and mutable.
#[derive(Clone, Debug)]
pub enum ZSet {
    /// Few and short members (encoding `listpack`): members and scores alternating, in order.
    Pack(Listpack),
    /// Otherwise (encoding `skiplist`).
    Tree(Box<Tree>),
}

/// A view of a sorted set, for reading.
#[derive(Clone, Copy, Debug)]
pub enum ZSetRef<'a> {
    /// Few and short members (encoding `listpack`): members and scores alternating, in order.
    Pack(PackRef<'a>),
    /// Otherwise (encoding `skiplist`).
    Tree(&'a Tree),
}

/// A large sorted set: a hash table of members with their scores, and a tree of their positions in
/// order of score.
#[derive(Clone, Debug)]
pub struct Tree {
    table: Table<Scored>,
    order: Seq<Place>,
}

/// A member with its score.
#[derive(Clone, Debug)]
pub struct Scored {
    score: f64,
    member: SmallBytes,
}

/// The score of a member and its position in the table, in 12 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    score: [u32; 2],
    position: u32,
}

impl Place {
    fn new(score: f64, position: usize) -> Self {
        let bits = score.to_bits();
        Self { score: [bits as u32, (bits >> 32) as u32], position: position as u32 }
    }
}

impl seq::Item for Place {
    type Key = (f64, u32);
    const UNIT: bool = true;

    #[inline]
    fn key(&self) -> (f64, u32) {
        let bits = u64::from(self.score[1]) << 32 | u64::from(self.score[0]);
        (f64::from_bits(bits), self.position)
    }

    fn weight(&self) -> u64 {
        1
    }
}

impl Keyed for Scored {
    #[inline]
    fn key(&self) -> &[u8] {
        self.member.as_slice()
    }

    fn heap(&self) -> usize {
        self.member.heap()
    }
}

impl Default for ZSet {
    fn default() -> Self {
        ZSet::Pack(Listpack::new())
    }
}

impl ZSet {
    /// An empty set in the encoding that suits the expected number of members and the length in
    /// bytes of the longest.
    pub fn new(expected: usize, longest: usize, limits: &Limits) -> Self {
        if limits.zset_max_listpack_entries == 0
            || expected > limits.zset_max_listpack_entries
            || longest > limits.zset_max_listpack_value
        {
            ZSet::Tree(Box::new(Tree::new(limits.seed, 0)))
        } else {
            ZSet::default()
        }
    }

    /// A view for reading.
    #[inline]
    pub fn view(&self) -> ZSetRef<'_> {
        match self {
            ZSet::Pack(pack) => ZSetRef::Pack(pack.view()),
            ZSet::Tree(tree) => ZSetRef::Tree(tree),
        }
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Converts to the large encoding now if that many members are expected.
    pub fn prepare(&mut self, expected: usize, limits: &Limits) {
        if expected > limits.zset_max_listpack_entries {
            self.expand(limits);
        }
    }

    /// Sets the score of a member, which must not be NaN; returns the old score.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &Limits) -> Option<f64> {
        if let ZSet::Pack(pack) = self {
            match find(pack.view(), member) {
                Some((at, old)) => {
                    if old != score {
                        pack.remove_range(at, 2);
                        insert_in_order(pack, member, score);
                    }
                    return Some(old);
                }
                None => {
                    if pack.len() / 2 + 1 > limits.zset_max_listpack_entries
                        || member.len() > limits.zset_max_listpack_value
                        || !pack.fits(member.len())
                    {
                        self.expand(limits);
                    } else {
                        insert_in_order(pack, member, score);
                        return None;
                    }
                }
            }
        }
        match self {
            ZSet::Tree(tree) => tree.insert(member, score),
            ZSet::Pack(_) => None,
        }
    }

    /// Removes a member and returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self {
            ZSet::Pack(pack) => {
                let (at, score) = find(pack.view(), member)?;
                pack.remove_range(at, 2);
                Some(score)
            }
            ZSet::Tree(tree) => {
                let position = tree.table.find(member)?;
                let score = tree.table.at(position)?.score;
                let rank = tree.rank_of(score, member);
                tree.remove_at(rank);
                Some(score)
            }
        }
    }

    /// Removes `count` members from `rank` on and passes each to `f`.
    pub fn remove_ranks(&mut self, rank: usize, count: usize, mut f: impl FnMut(&[u8], f64)) {
        match self {
            ZSet::Pack(pack) => {
                let Some(at) = rank.checked_mul(2).and_then(|i| pack.view().seek(i)) else {
                    return;
                };
                let mut text = itoa::Buffer::new();
                for (member, score) in pairs(pack.view(), at).take(count) {
                    f(member.bytes(&mut text), score);
                }
                pack.remove_range(at, count.saturating_mul(2));
            }
            ZSet::Tree(tree) => {
                for _ in 0..count.min(tree.table.len().saturating_sub(rank)) {
                    match tree.remove_at(rank as u64) {
                        Some(entry) => f(entry.key(), entry.score),
                        None => return,
                    }
                }
            }
        }
    }

    /// Converts to a listpack if the limits allow it, as Redis does with the result of a union.
    pub fn compact(&mut self, limits: &Limits) {
        let ZSet::Tree(tree) = self else { return };
        if tree.table.len() > limits.zset_max_listpack_entries
            || tree.table.iter().any(|e| e.key().len() > limits.zset_max_listpack_value)
        {
            return;
        }
        let mut pack = Listpack::new();
        for (member, score) in ZSetRef::Tree(tree).iter_from(0) {
            pack.insert_item(pack.end(), member);
            push_score(&mut pack, score);
        }
        *self = ZSet::Pack(pack);
    }

    fn expand(&mut self, limits: &Limits) {
        if let ZSet::Pack(pack) = self {
            let view = pack.view();
            let mut tree = Tree::new(limits.seed, view.len() / 2 + 1);
            let mut text = itoa::Buffer::new();
            for (member, score) in ZSetRef::Pack(view).iter_from(0) {
                tree.insert(member.bytes(&mut text), score);
            }
            *self = ZSet::Tree(Box::new(tree));
        }
    }
}

impl Tree {
    fn new(seed: u64, capacity: usize) -> Self {
        Self { table: Table::with_capacity(seed, capacity), order: Seq::new() }
    }

    /// A copy for iteration, see [`Table::frozen`].
    pub(in crate::store) fn frozen(&self) -> Self {
        Self { table: self.table.frozen(), order: self.order.clone() }
    }

    /// Frees about `budget` members or tree items, or all if there are fewer, and returns how many.
    pub(in crate::store) fn free_some(&mut self, budget: usize) -> usize {
        match self.order.free_some(budget) {
            0 => self.table.free_some(budget),
            n => n,
        }
    }

    fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let make = || Scored { score, member: SmallBytes::new(member) };
        let (position, new) = self.table.find_or_insert(member, make);
        let mut old = None;
        if !new {
            let before = self.table.at(position)?.score;
            if before == score {
                return Some(before);
            }
            self.order.remove(self.rank_of(before, member));
            self.table.change(position, |entry| entry.score = score);
            old = Some(before);
        }
        let table = &self.table;
        self.order.insert_by(
            |(s, p)| compare(table, s, p, score, member) == Ordering::Less,
            Place::new(score, position),
        );
        old
    }

    /// Removes the member with this rank.
    fn remove_at(&mut self, rank: u64) -> Option<Scored> {
        let place = self.order.remove(rank)?;
        let (_, position) = seq::Item::key(&place);
        let last = self.table.len().checked_sub(1)?;
        if position as usize != last {
            // The table will move its last entry into the gap, so the tree item of that entry must
            // be updated.
            let entry = self.table.at(last)?;
            let rank = self.rank_of(entry.score, entry.key());
            let moved = Place::new(entry.score, position as usize);
            self.order.update(rank, |place, _| *place = moved);
        }
        self.table.remove(position as usize)
    }

    fn rank_of(&self, score: f64, member: &[u8]) -> u64 {
        self.order.rank(|(s, p)| compare(&self.table, s, p, score, member) == Ordering::Less)
    }

    fn entry(&self, place: &Place) -> Option<&Scored> {
        self.table.at(seq::Item::key(place).1 as usize)
    }
}

impl<'a> ZSetRef<'a> {
    /// The number of members.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            ZSetRef::Pack(pack) => pack.len() / 2,
            ZSetRef::Tree(tree) => tree.table.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            ZSetRef::Pack(pack) => find(pack, member).map(|(_, score)| score),
            ZSetRef::Tree(tree) => tree.table.get(member).map(|entry| entry.score),
        }
    }

    /// The rank of a member, and its score.
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            ZSetRef::Pack(_) => {
                let wanted = Item::of(member);
                self.iter_from(0)
                    .enumerate()
                    .find(|(_, (item, _))| *item == wanted)
                    .map(|(rank, (_, score))| (rank, score))
            }
            ZSetRef::Tree(tree) => {
                let score = tree.table.get(member)?.score;
                Some((tree.rank_of(score, member) as usize, score))
            }
        }
    }

    /// The number of members before the first for which `before` is false. `before` must be
    /// monotonic: true for a prefix of the set and false for the rest.
    pub fn count_while(self, mut before: impl FnMut(f64, &[u8]) -> bool) -> usize {
        match self {
            ZSetRef::Pack(pack) => {
                let mut text = itoa::Buffer::new();
                let Some(first) = pack.first() else { return 0 };
                pairs(pack, first)
                    .take_while(|(member, score)| before(*score, member.bytes(&mut text)))
                    .count()
            }
            ZSetRef::Tree(tree) => {
                let rank = tree.order.rank(|(score, position)| {
                    tree.table.at(position as usize).is_some_and(|e| before(score, e.key()))
                });
                rank as usize
            }
        }
    }

    /// The member with this rank, and its score.
    pub fn nth(self, rank: usize) -> Option<(Item<'a>, f64)> {
        match self {
            ZSetRef::Pack(pack) => pairs(pack, pack.seek(rank.checked_mul(2)?)?).next(),
            ZSetRef::Tree(tree) => {
                let entry = tree.entry(tree.order.get(rank as u64)?.0)?;
                Some((Item::Str(entry.key()), entry.score))
            }
        }
    }

    /// The members from `rank` on, with their scores.
    pub fn iter_from(self, rank: usize) -> Ascending<'a> {
        match self {
            ZSetRef::Pack(pack) => {
                let at = rank.checked_mul(2).and_then(|i| pack.seek(i)).unwrap_or(pack.end());
                Ascending::Pack(pack.iter_from(at))
            }
            ZSetRef::Tree(tree) => Ascending::Tree(tree, tree.order.cursor(rank as u64)),
        }
    }

    /// The members from `rank` back to the first, with their scores.
    pub fn iter_back_from(self, rank: usize) -> Descending<'a> {
        match self {
            ZSetRef::Pack(pack) => {
                let at = match rank.checked_mul(2).and_then(|i| pack.seek(i + 1)) {
                    Some(score) => pack.next(score).unwrap_or(pack.end()),
                    None => 0,
                };
                Descending::Pack(pack, at)
            }
            ZSetRef::Tree(tree) => Descending::Tree(tree, tree.order.cursor(rank as u64)),
        }
    }

    /// A copy for iteration.
    pub fn frozen(self) -> ZSet {
        match self {
            ZSetRef::Pack(pack) => ZSet::Pack(pack.to_owned()),
            ZSetRef::Tree(tree) => ZSet::Tree(Box::new(tree.frozen())),
        }
    }

    /// One step of a scan. Returns the next cursor, 0 at the end.
    pub fn scan(self, cursor: u64, count: usize, mut f: impl FnMut(Item<'_>, f64)) -> u64 {
        match self {
            ZSetRef::Pack(_) => {
                self.iter_from(0).for_each(|(member, score)| f(member, score));
                0
            }
            ZSetRef::Tree(tree) => {
                tree.table.scan(cursor, count, |entry| f(Item::Str(entry.key()), entry.score))
            }
        }
    }

    /// Memory used, in bytes.
    pub fn memory(self) -> usize {
        match self {
            ZSetRef::Pack(pack) => pack.size(),
            ZSetRef::Tree(tree) => tree.table.memory() + tree.table.len() * 16,
        }
    }
}

/// An iterator over members with their scores, ascending.
#[derive(Debug)]
pub enum Ascending<'a> {
    /// Members of a listpack.
    Pack(listpack::Iter<'a>),
    /// Members of a tree.
    Tree(&'a Tree, Option<Cursor<'a, Place>>),
}

/// An iterator over members with their scores, descending.
#[derive(Debug)]
pub enum Descending<'a> {
    /// Members of a listpack, before a position.
    Pack(PackRef<'a>, usize),
    /// Members of a tree.
    Tree(&'a Tree, Option<Cursor<'a, Place>>),
}

impl<'a> Iterator for Ascending<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Ascending::Pack(items) => Some((items.next()?.1, score_of(items.next()?.1))),
            Ascending::Tree(tree, cursor) => {
                let entry = tree.entry(cursor.as_ref()?.get())?;
                if !cursor.as_mut()?.forward() {
                    *cursor = None;
                }
                Some((Item::Str(entry.key()), entry.score))
            }
        }
    }
}

impl<'a> Iterator for Descending<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Descending::Pack(pack, at) => {
                let score = pack.prev(*at)?;
                let member = pack.prev(score)?;
                *at = member;
                Some((pack.get(member), score_of(pack.get(score))))
            }
            Descending::Tree(tree, cursor) => {
                let entry = tree.entry(cursor.as_ref()?.get())?;
                if !cursor.as_mut()?.backward() {
                    *cursor = None;
                }
                Some((Item::Str(entry.key()), entry.score))
            }
        }
    }
}

/// The order of sorted sets: by score, then by the members' bytes.
pub fn order(a: (f64, &[u8]), b: (f64, &[u8])) -> Ordering {
    a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(b.1))
}

#[inline]
fn compare(
    table: &Table<Scored>,
    score: f64,
    position: u32,
    other: f64,
    member: &[u8],
) -> Ordering {
    score.partial_cmp(&other).unwrap_or(Ordering::Equal).then_with(|| {
        table.at(position as usize).map_or(Ordering::Less, |entry| entry.key().cmp(member))
    })
}

/// The position of a member, and its score.
#[inline]
fn find(pack: PackRef<'_>, member: &[u8]) -> Option<(usize, f64)> {
    let at = pack.find(member, pack.first()?, 1)?;
    Some((at, score_of(pack.get(pack.next(at)?))))
}

fn score_of(item: Item<'_>) -> f64 {
    match item {
        Item::Int(n) => n as f64,
        Item::Str(text) => parse_double(text).unwrap_or(0.0),
    }
}

fn pairs(pack: PackRef<'_>, at: usize) -> Ascending<'_> {
    Ascending::Pack(pack.iter_from(at))
}

fn push_score(pack: &mut Listpack, score: f64) {
    insert_score(pack, pack.end(), score);
}

fn insert_score(pack: &mut Listpack, at: usize, score: f64) {
    // A listpack cannot store a negative zero.
    let score = if score == 0.0 { 0.0 } else { score };
    pack.insert(at, &format_double(score));
}

fn insert_in_order(pack: &mut Listpack, member: &[u8], score: f64) {
    let mut text = itoa::Buffer::new();
    let view = pack.view();
    let mut at = view.end();
    let mut items = view.iter();
    while let (Some((position, item)), Some((_, s))) = (items.next(), items.next()) {
        if order((score_of(s), item.bytes(&mut text)), (score, member)) == Ordering::Greater {
            at = position;
            break;
        }
    }
    insert_score(pack, at, score);
    pack.insert(at, member);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn check(set: &ZSet, model: &BTreeMap<Vec<u8>, f64>) {
        let view = set.view();
        let mut wanted: Vec<_> = model.iter().map(|(m, s)| (m.clone(), *s)).collect();
        wanted.sort_by(|a, b| order((a.1, &a.0), (b.1, &b.0)));
        let all: Vec<_> = view.iter_from(0).map(|(m, s)| (m.to_vec(), s)).collect();
        assert_eq!(all, wanted);
        for (rank, (member, score)) in wanted.iter().enumerate() {
            assert_eq!(view.rank(member), Some((rank, *score)));
            assert_eq!(view.score(member), Some(*score));
            assert_eq!(view.nth(rank).map(|(m, s)| (m.to_vec(), s)), Some(wanted[rank].clone()));
            assert!(view.count_while(|s, _| s < *score) <= rank);
        }
        let middle = wanted.len() / 2;
        let mut below: Vec<_> = view.iter_back_from(middle).map(|(m, s)| (m.to_vec(), s)).collect();
        below.reverse();
        assert_eq!(below, wanted[..(middle + 1).min(wanted.len())]);
    }

    proptest! {
        #[test]
        fn it_is_a_map_in_order_of_scores(
            limit in prop_oneof![Just(0usize), Just(1000), Just(20)],
            ops in proptest::collection::vec((0u8..8, 0u16..60, -4i8..5), 0..200),
        ) {
            let limits = Limits { zset_max_listpack_entries: limit, ..Limits::default() };
            let mut set = ZSet::new(1, 1, &limits);
            let mut model = BTreeMap::new();
            for (op, n, score) in ops {
                let member = if n % 2 == 0 { format!("{n}") } else { format!("m{n}") }.into_bytes();
                let score = f64::from(score) / 2.0;
                match op {
                    0 | 1 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                    2 => {
                        let mut gone = Vec::new();
                        set.remove_ranks(usize::from(n), 2, |m, _| gone.push(m.to_vec()));
                        gone.iter().for_each(|m| {
                            model.remove(m);
                        });
                    }
                    _ => {
                        prop_assert_eq!(
                            set.insert(&member, score, &limits),
                            model.insert(member, score)
                        );
                    }
                }
                prop_assert_eq!(set.len(), model.len());
            }
            check(&set, &model);
        }
    }

    #[test]
    fn a_large_one_holds_its_order_through_many_changes() {
        let limits = Limits::default();
        let mut rng = crate::rng::Rng::new(4);
        let (mut set, mut model) = (ZSet::default(), BTreeMap::new());
        for round in 0..30_000 {
            let member = format!("member:{}", rng.below(6_000)).into_bytes();
            if rng.chance(if round < 20_000 { 0.8 } else { 0.2 }) {
                let score = rng.below(500) as f64;
                assert_eq!(set.insert(&member, score, &limits), model.insert(member, score));
            } else {
                assert_eq!(set.remove(&member), model.remove(&member));
            }
        }
        check(&set, &model);
        let len = set.len();
        let mut gone = 0;
        set.remove_ranks(10, len - 20, |_, _| gone += 1);
        assert_eq!((gone, set.len()), (len - 20, 20));
    }
}
