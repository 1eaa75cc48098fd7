//! Sets of strings.

use super::bytes::SmallBytes;
use super::intset::{IntRef, IntSet};
use super::limits::Limits;
use super::listpack::{Item, Listpack, PackRef};
use super::table::{Keyed, Table};
use crate::resp::number::parse_i64;
use crate::rng::Rng;

/// A set, owned and mutable.
#[derive(Clone, Debug)]
pub enum Set {
    /// Integers only (encoding `intset`).
    Ints(IntSet),
    /// Few and short members (encoding `listpack`).
    Pack(Listpack),
    /// Otherwise (encoding `hashtable`).
    Table(Box<Table<SmallBytes>>),
}

/// A view of a set, for reading.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Integers only (encoding `intset`).
    Ints(IntRef<'a>),
    /// Few and short members (encoding `listpack`).
    Pack(PackRef<'a>),
    /// Otherwise (encoding `hashtable`).
    Table(&'a Table<SmallBytes>),
}

impl Keyed for SmallBytes {
    #[inline]
    fn key(&self) -> &[u8] {
        self.as_slice()
    }

    fn heap(&self) -> usize {
        SmallBytes::heap(self)
    }
}

impl Default for Set {
    fn default() -> Self {
        Set::Ints(IntSet::new())
    }
}

impl Set {
    /// An empty set in the encoding that suits its first member and the expected number of members.
    pub fn new(first: &[u8], expected: usize, limits: &Limits) -> Self {
        if expected <= limits.set_max_intset_entries && parse_i64(first).is_some() {
            Set::Ints(IntSet::new())
        } else if expected <= limits.set_max_listpack_entries {
            Set::Pack(Listpack::new())
        } else {
            Set::Table(Box::new(Table::with_capacity(limits.seed, expected.min(1 << 16))))
        }
    }

    /// An empty set with the encoding `hashtable`.
    pub fn new_table(limits: &Limits) -> Self {
        Set::Table(Box::new(Table::new(limits.seed)))
    }

    /// A view for reading.
    #[inline]
    pub fn view(&self) -> SetRef<'_> {
        match self {
            Set::Ints(ints) => SetRef::Ints(ints.view()),
            Set::Pack(pack) => SetRef::Pack(pack.view()),
            Set::Table(table) => SetRef::Table(table),
        }
    }

    /// Converts to a hash table now if that many members are expected.
    pub fn prepare(&mut self, expected: usize, limits: &Limits) {
        let limit = match self {
            Set::Ints(_) => limits.set_max_intset_entries,
            Set::Pack(_) => limits.set_max_listpack_entries,
            Set::Table(_) => return,
        };
        if expected > limit {
            self.expand(limits);
        }
    }

    /// Adds a member; false if it exists already.
    pub fn insert(&mut self, member: &[u8], limits: &Limits) -> bool {
        match self {
            Set::Table(table) => {
                return table.find_or_insert(member, || SmallBytes::new(member)).1;
            }
            Set::Ints(ints) => {
                if let Some(n) = parse_i64(member) {
                    let new = ints.insert(n);
                    if new && ints.view().len() > limits.set_max_intset_entries.min(1 << 30) {
                        self.expand(limits);
                    }
                    return new;
                }
                let view = ints.view();
                let longest = [view.get(0), view.len().checked_sub(1).and_then(|n| view.get(n))]
                    .into_iter()
                    .flatten()
                    .map(|n| Item::Int(n).len())
                    .max();
                if view.len() < limits.set_max_listpack_entries
                    && member.len() <= limits.set_max_listpack_value
                    && longest.unwrap_or(0) <= limits.set_max_listpack_value
                {
                    let mut pack = Listpack::with_capacity(view.len() * 4 + member.len() + 16);
                    for n in view.iter() {
                        pack.insert_item(pack.end(), Item::Int(n));
                    }
                    *self = Set::Pack(pack);
                } else {
                    self.expand(limits);
                }
            }
            Set::Pack(pack) => {
                let view = pack.view();
                if view.first().and_then(|at| view.find(member, at, 0)).is_some() {
                    return false;
                }
                if pack.len() >= limits.set_max_listpack_entries
                    || member.len() > limits.set_max_listpack_value
                    || !pack.fits(member.len())
                {
                    self.expand(limits);
                }
            }
        }
        match self {
            Set::Pack(pack) => pack.push_back(member),
            _ => return self.insert(member, limits),
        }
        true
    }

    /// Removes a member; false if it does not exist.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Set::Ints(ints) => parse_i64(member).is_some_and(|n| ints.remove(n)),
            Set::Pack(pack) => {
                let view = pack.view();
                match view.first().and_then(|at| view.find(member, at, 0)) {
                    Some(at) => {
                        pack.remove(at);
                        true
                    }
                    None => false,
                }
            }
            Set::Table(table) => {
                table.find(member).and_then(|position| table.remove(position)).is_some()
            }
        }
    }

    /// Removes the `n`th member in the order of [`SetRef::iter`] and returns it.
    pub fn remove_nth(&mut self, n: usize) -> Option<Vec<u8>> {
        match self {
            Set::Ints(ints) => {
                let member = ints.view().get(n)?;
                ints.remove(member);
                Some(itoa::Buffer::new().format(member).as_bytes().to_vec())
            }
            Set::Pack(pack) => {
                let at = pack.view().seek(n)?;
                let member = pack.view().get(at).to_vec();
                pack.remove(at);
                Some(member)
            }
            Set::Table(table) => table.remove(n).map(|member| member.as_slice().to_vec()),
        }
    }

    /// Converts a listpack to an intset if all members are integers, as Redis does with the result
    /// of an intersection.
    pub fn compact_to_ints(&mut self, limits: &Limits) {
        let Set::Pack(pack) = self else { return };
        if pack.len() > limits.set_max_intset_entries {
            return;
        }
        let mut ints = IntSet::new();
        for (_, item) in pack.view().iter() {
            match item {
                Item::Int(n) => ints.insert(n),
                Item::Str(_) => return,
            };
        }
        *self = Set::Ints(ints);
    }

    fn expand(&mut self, limits: &Limits) {
        let view = self.view();
        if matches!(view, SetRef::Table(_)) {
            return;
        }
        let mut table = Table::with_capacity(limits.seed, view.len() + 1);
        let mut text = itoa::Buffer::new();
        for member in view.iter() {
            table.insert(SmallBytes::new(member.bytes(&mut text)));
        }
        *self = Set::Table(Box::new(table));
    }
}

impl<'a> SetRef<'a> {
    /// The number of members.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            SetRef::Ints(ints) => ints.len(),
            SetRef::Pack(pack) => pack.len(),
            SetRef::Table(table) => table.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether `member` is in the set.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            SetRef::Ints(ints) => parse_i64(member).is_some_and(|n| ints.contains(n)),
            SetRef::Pack(pack) => pack.first().and_then(|at| pack.find(member, at, 0)).is_some(),
            SetRef::Table(table) => table.find(member).is_some(),
        }
    }

    /// Whether `member` is in the set.
    pub fn contains_item(self, member: Item<'_>) -> bool {
        match (self, member) {
            (SetRef::Ints(ints), Item::Int(n)) => ints.contains(n),
            _ => self.contains(member.bytes(&mut itoa::Buffer::new())),
        }
    }

    /// All members.
    pub fn iter(self) -> Members<'a> {
        self.iter_from(0)
    }

    /// The members from the `n`th on.
    #[inline]
    pub fn iter_from(self, n: usize) -> Members<'a> {
        match self {
            SetRef::Ints(ints) => Members::Ints(ints, n),
            SetRef::Pack(pack) => Members::Pack(pack.iter_from(pack.seek(n).unwrap_or(pack.end()))),
            SetRef::Table(table) => Members::Table(table, n),
        }
    }

    /// A copy for iteration (see [`Table::frozen`]).
    pub fn frozen(self) -> Set {
        match self {
            SetRef::Ints(ints) => Set::Ints(IntSet::from_prefixed(ints.bytes().to_vec(), 0)),
            SetRef::Pack(pack) => Set::Pack(pack.to_owned()),
            SetRef::Table(table) => Set::Table(Box::new(table.frozen())),
        }
    }

    /// The `n`th member in the order of [`SetRef::iter`].
    pub fn nth(self, n: usize) -> Option<Item<'a>> {
        match self {
            SetRef::Ints(ints) => ints.get(n).map(Item::Int),
            SetRef::Pack(pack) => pack.seek(n).map(|at| pack.get(at)),
            SetRef::Table(table) => table.at(n).map(|member| Item::Str(member.as_slice())),
        }
    }

    /// A random member, uniformly distributed.
    pub fn random(self, rng: &mut Rng) -> Option<Item<'a>> {
        self.nth(rng.below(self.len() as u64) as usize)
    }

    /// One step of a scan. Returns the next cursor, 0 at the end.
    pub fn scan(self, cursor: u64, count: usize, mut f: impl FnMut(Item<'_>)) -> u64 {
        match self {
            SetRef::Table(table) => {
                table.scan(cursor, count, |member| f(Item::Str(member.as_slice())))
            }
            _ => {
                self.iter().for_each(f);
                0
            }
        }
    }

    /// Memory used, in bytes.
    pub fn memory(self) -> usize {
        match self {
            SetRef::Ints(ints) => ints.bytes().len(),
            SetRef::Pack(pack) => pack.size(),
            SetRef::Table(table) => table.memory(),
        }
    }
}

/// An iterator over the members of a set.
#[derive(Clone, Debug)]
pub enum Members<'a> {
    /// Integers, from an index on.
    Ints(IntRef<'a>, usize),
    /// Members of a listpack.
    Pack(super::listpack::Iter<'a>),
    /// Members of a table, from a position on.
    Table(&'a Table<SmallBytes>, usize),
}

impl<'a> Iterator for Members<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Members::Ints(ints, at) => {
                let n = ints.get(*at)?;
                *at += 1;
                Some(Item::Int(n))
            }
            Members::Pack(items) => items.next().map(|(_, item)| item),
            Members::Table(table, at) => {
                let member = table.at(*at)?;
                *at += 1;
                Some(Item::Str(member.as_slice()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn limits() -> Limits {
        Limits {
            set_max_intset_entries: 16,
            set_max_listpack_entries: 8,
            set_max_listpack_value: 6,
            ..Limits::default()
        }
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            strings in 0u8..3,
            ops in proptest::collection::vec((0u8..4, 0i64..40), 0..150),
        ) {
            let (mut set, mut model) = (Set::new(b"1", 1, &limits()), BTreeSet::new());
            for (op, n) in ops {
                let member = match strings {
                    0 => format!("{n}"),
                    1 if n < 39 => format!("{n}"),
                    _ => format!("m{}", n * n * n),
                }
                .into_bytes();
                if op > 0 {
                    prop_assert_eq!(set.insert(&member, &limits()), model.insert(member));
                } else {
                    prop_assert_eq!(set.remove(&member), model.remove(&member));
                }
                prop_assert_eq!(set.view().len(), model.len());
            }
            let mut all: Vec<_> = set.view().iter().map(Item::to_vec).collect();
            for (n, member) in all.iter().enumerate() {
                prop_assert!(set.view().contains(member));
                prop_assert_eq!(&set.view().nth(n).unwrap().to_vec(), member);
            }
            all.sort();
            prop_assert!(all.into_iter().eq(model));
        }
    }

    #[test]
    fn it_goes_through_its_forms() {
        let mut set = Set::new(b"1", 1, &limits());
        set.insert(b"1", &limits());
        assert!(matches!(set, Set::Ints(_)));
        set.insert(b"a", &limits());
        assert!(matches!(set, Set::Pack(_)));
        set.insert(b"longer-than-six", &limits());
        assert!(matches!(set, Set::Table(_)));
        let mut set = Set::new(b"1", 1, &limits());
        for n in 0..17 {
            assert!(matches!(set, Set::Ints(_)));
            set.insert(format!("{n}").as_bytes(), &limits());
        }
        assert!(matches!(set, Set::Table(_)));
    }
}
