//! Hashes: fields with values.

use super::bytes::Pair;
use super::limits::Limits;
use super::listpack::{Item, Listpack, PackRef};
use super::table::{Keyed, Table};
use crate::rng::Rng;

/// A hash, owned and mutable.
#[derive(Clone, Debug)]
pub enum Hash {
    /// Few and short fields (encoding `listpack`): fields and values alternating.
    Pack(Listpack),
    /// Otherwise (encoding `hashtable`).
    Table(Box<Table<Pair>>),
}

/// A view of a hash, for reading.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// Few and short fields (encoding `listpack`): fields and values alternating.
    Pack(PackRef<'a>),
    /// Otherwise (encoding `hashtable`).
    Table(&'a Table<Pair>),
}

impl Keyed for Pair {
    #[inline]
    fn key(&self) -> &[u8] {
        self.field()
    }

    fn heap(&self) -> usize {
        Pair::heap(self)
    }
}

impl Default for Hash {
    fn default() -> Self {
        Hash::Pack(Listpack::new())
    }
}

impl Hash {
    /// An empty hash with the encoding `hashtable`.
    pub fn new_table(limits: &Limits) -> Self {
        Hash::Table(Box::new(Table::new(limits.seed)))
    }

    /// A view for reading.
    #[inline]
    pub fn view(&self) -> HashRef<'_> {
        match self {
            Hash::Pack(pack) => HashRef::Pack(pack.view()),
            Hash::Table(table) => HashRef::Table(table),
        }
    }

    /// Sets a field; true if the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        if let Hash::Pack(pack) = self {
            let longest = limits.hash_max_listpack_value;
            if field.len() > longest
                || value.len() > longest
                || !pack.fits(field.len() + value.len())
            {
                self.expand(limits);
            }
        }
        match self {
            Hash::Pack(pack) => {
                let found = find(pack.view(), field);
                match found {
                    Some(at) => pack.replace(at, value),
                    None => {
                        pack.push_back(field);
                        pack.push_back(value);
                        if pack.len() / 2 > limits.hash_max_listpack_entries {
                            self.expand(limits);
                        }
                    }
                }
                found.is_none()
            }
            Hash::Table(table) => {
                let (at, new) = table.find_or_insert(field, || Pair::new(field, value));
                if !new {
                    table.change(at, |pair| pair.set(value));
                }
                new
            }
        }
    }

    /// Removes a field; false if it does not exist.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Hash::Pack(pack) => {
                match pack.view().first().and_then(|at| pack.view().find(field, at, 1)) {
                    Some(at) => {
                        pack.remove_range(at, 2);
                        true
                    }
                    None => false,
                }
            }
            Hash::Table(table) => {
                table.find(field).and_then(|position| table.remove(position)).is_some()
            }
        }
    }

    /// Converts to a hash table if one of these arguments is too long for a listpack.
    pub fn prepare<'t>(&mut self, texts: impl IntoIterator<Item = &'t [u8]>, limits: &Limits) {
        if let Hash::Pack(pack) = self {
            let mut sum = 0usize;
            for text in texts {
                sum = sum.saturating_add(text.len());
                if text.len() > limits.hash_max_listpack_value {
                    return self.expand(limits);
                }
            }
            if !pack.fits(sum) {
                self.expand(limits);
            }
        }
    }

    fn expand(&mut self, limits: &Limits) {
        if let Hash::Pack(pack) = self {
            let view = HashRef::Pack(pack.view());
            let mut table = Table::with_capacity(limits.seed, view.len() + 1);
            for (field, value) in view.iter() {
                table.insert(Pair::new(&field.to_vec(), &value.to_vec()));
            }
            *self = Hash::Table(Box::new(table));
        }
    }
}

impl<'a> HashRef<'a> {
    /// The number of fields.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            HashRef::Pack(pack) => pack.len() / 2,
            HashRef::Table(table) => table.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<Item<'a>> {
        match self {
            HashRef::Pack(pack) => find(pack, field).map(|at| pack.get(at)),
            HashRef::Table(table) => table.get(field).map(|pair| Item::Str(pair.value())),
        }
    }

    /// All fields with their values.
    pub fn iter(self) -> Pairs<'a> {
        self.iter_from(0)
    }

    /// The fields from the `n`th on, with their values.
    #[inline]
    pub fn iter_from(self, n: usize) -> Pairs<'a> {
        match self {
            HashRef::Pack(pack) => {
                let at = n.checked_mul(2).and_then(|i| pack.seek(i)).unwrap_or(pack.end());
                Pairs::Pack(pack.iter_from(at))
            }
            HashRef::Table(table) => Pairs::Table(table, n),
        }
    }

    /// A copy for iteration (see [`Table::frozen`]).
    pub fn frozen(self) -> Hash {
        match self {
            HashRef::Pack(pack) => Hash::Pack(pack.to_owned()),
            HashRef::Table(table) => Hash::Table(Box::new(table.frozen())),
        }
    }

    /// The `n`th field in the order of [`HashRef::iter`], and its value.
    pub fn nth(self, n: usize) -> Option<(Item<'a>, Item<'a>)> {
        match self {
            HashRef::Pack(pack) => {
                let field = pack.seek(n.checked_mul(2)?)?;
                Some((pack.get(field), pack.get(pack.next(field)?)))
            }
            HashRef::Table(table) => table.at(n).map(pair_of),
        }
    }

    /// A random field, uniformly distributed, with its value.
    pub fn random(self, rng: &mut Rng) -> Option<(Item<'a>, Item<'a>)> {
        self.nth(rng.below(self.len() as u64) as usize)
    }

    /// One step of a scan. Returns the next cursor, 0 at the end.
    pub fn scan(self, cursor: u64, count: usize, mut f: impl FnMut(Item<'_>, Item<'_>)) -> u64 {
        match self {
            HashRef::Pack(_) => {
                self.iter().for_each(|(field, value)| f(field, value));
                0
            }
            HashRef::Table(table) => table.scan(cursor, count, |pair| {
                let (field, value) = pair_of(pair);
                f(field, value);
            }),
        }
    }

    /// Memory used, in bytes.
    pub fn memory(self) -> usize {
        match self {
            HashRef::Pack(pack) => pack.size(),
            HashRef::Table(table) => table.memory(),
        }
    }
}

/// An iterator over fields with their values.
#[derive(Clone, Debug)]
pub enum Pairs<'a> {
    /// Fields of a listpack.
    Pack(super::listpack::Iter<'a>),
    /// Fields of a table, from a position on.
    Table(&'a Table<Pair>, usize),
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Pairs::Pack(items) => Some((items.next()?.1, items.next()?.1)),
            Pairs::Table(table, at) => {
                let pair = table.at(*at)?;
                *at += 1;
                Some(pair_of(pair))
            }
        }
    }
}

fn pair_of(pair: &Pair) -> (Item<'_>, Item<'_>) {
    let (field, value) = pair.parts();
    (Item::Str(field), Item::Str(value))
}

/// The position of the value of a field.
#[inline]
fn find(pack: PackRef<'_>, field: &[u8]) -> Option<usize> {
    pack.next(pack.find(field, pack.first()?, 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn limits() -> Limits {
        Limits { hash_max_listpack_entries: 8, hash_max_listpack_value: 12, ..Limits::default() }
    }

    proptest! {
        #[test]
        fn it_is_a_map(ops in proptest::collection::vec(
            (0u8..4, 0u8..20, "[a-z0-9]{0,14}"), 0..120)) {
            let (mut hash, mut model) = (Hash::default(), BTreeMap::new());
            for (op, field, value) in ops {
                let field = format!("f{field}").into_bytes();
                if op > 0 {
                    let new = hash.set(&field, value.as_bytes(), &limits());
                    prop_assert_eq!(new, model.insert(field, value.into_bytes()).is_none());
                } else {
                    prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some());
                }
                prop_assert_eq!(hash.view().len(), model.len());
            }
            let mut all: Vec<_> =
                hash.view().iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
            for (n, (field, value)) in all.iter().enumerate() {
                prop_assert_eq!(hash.view().get(field).map(Item::to_vec), Some(value.clone()));
                prop_assert_eq!(hash.view().nth(n).unwrap().0.to_vec(), field.clone());
            }
            all.sort();
            prop_assert!(all.into_iter().eq(model));
        }
    }

    #[test]
    fn it_leaves_the_compact_form_at_its_limits() {
        let mut hash = Hash::default();
        for n in 0..8 {
            hash.set(format!("{n}").as_bytes(), b"v", &limits());
        }
        assert!(matches!(hash, Hash::Pack(_)));
        let mut long = hash.clone();
        long.set(b"0", b"thirteen byte", &limits());
        assert!(matches!(long, Hash::Table(_)));
        hash.set(b"ninth", b"v", &limits());
        assert!(matches!(hash, Hash::Table(_)));
    }
}
