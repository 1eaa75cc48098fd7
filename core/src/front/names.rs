//! Command names, and the lookup of a command by name.

use core::hash::Hasher as _;
use std::sync::Arc;

use hashbrown::HashTable;

use super::Service;
use super::table::{Command, Table};

/// The longest command name; longer ones are rejected without a lookup.
pub(super) const MAX_NAME: usize = 32;

/// The names by which clients call the commands of a table, after `rename-command`.
#[derive(Debug)]
pub struct Names<S: Service> {
    table: &'static Table<S>,
    renamed: Option<Arc<Index>>,
}

impl<S: Service> Clone for Names<S> {
    fn clone(&self) -> Self {
        Self { table: self.table, renamed: self.renamed.clone() }
    }
}

impl<S: Service> Names<S> {
    /// The standard names, after `renames`: an empty new name removes the command.
    pub fn new(table: &'static Table<S>, renames: &[(String, String)]) -> Self {
        if renames.is_empty() {
            return Self { table, renamed: None };
        }
        let gone = |name: &str| renames.iter().any(|(old, _)| old == name);
        let kept = table
            .all()
            .iter()
            .filter(|c| c.parent.is_none() && !gone(&c.name))
            .map(|c| (c.name.clone(), c.id));
        let renamed = renames
            .iter()
            .filter(|(_, new)| !new.is_empty())
            .filter_map(|(old, new)| Some((new.to_ascii_lowercase(), table.by_name(old)?.id)));
        Self { table, renamed: Some(Arc::new(Index::new(kept.chain(renamed)))) }
    }

    /// Finds the command that clients call by this name, ignoring case.
    #[inline(always)]
    pub fn find(&self, name: &[u8]) -> Option<&'static Command<S>> {
        self.table.all().get(usize::from(self.index().place(name)?))
    }

    /// Finds a command or subcommand by its full name (`client|list`).
    pub fn find_full(&self, name: &[u8]) -> Option<&'static Command<S>> {
        match name.iter().position(|c| *c == b'|') {
            None => self.find(name),
            Some(bar) => self.table.subcommand(self.find(&name[..bar])?, &name[bar + 1..]),
        }
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.index().all.len()
    }

    /// Whether there are no commands.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All commands that can be called, in the order of the table, with their current names.
    pub fn list(&self) -> Vec<(&str, &'static Command<S>)> {
        let mut list: Vec<_> = self
            .index()
            .all
            .iter()
            .filter_map(|(name, id)| Some((name.as_str(), self.table.all().get(usize::from(*id))?)))
            .collect();
        // The iteration order of the hash table differs between platforms.
        crate::sorted::sort_by_key(&mut list, |(_, command)| command.id);
        list
    }

    #[inline]
    fn index(&self) -> &Index {
        self.renamed.as_deref().unwrap_or(self.table.names())
    }
}

/// An index of command names in lower case.
///
/// Every request looks up a name, so short ones are compared as two words instead of as text.
/// Measured with callgrind, a SISMEMBER request took 3,093 instructions that way and 3,251 with the
/// hash table alone; in a pipeline of 16 it took 1,959 and 2,108.
#[derive(Debug)]
pub(super) struct Index {
    /// An open-addressing hash table of the names that fit into two words, which nearly all calls
    /// use.
    short: Box<[([u64; 2], u16); PLACES]>,
    all: HashTable<(String, u16)>,
}

impl Index {
    pub(super) fn new(names: impl Iterator<Item = (String, u16)>) -> Self {
        let mut index = Index { short: Box::new([([0; 2], 0); PLACES]), all: HashTable::new() };
        for (name, id) in names {
            if let Some(words) = words(name.as_bytes()) {
                let mut place = hash_words(words);
                while index.short[place].0 != [0; 2] {
                    place = (place + 1) % PLACES;
                }
                index.short[place] = (words, id);
            }
            let hashed = hash(name.as_bytes());
            index.all.insert_unique(hashed, (name, id), |(n, _)| hash(n.as_bytes()));
        }
        index
    }

    /// The id of the command with this name, ignoring case.
    #[inline(always)]
    pub(super) fn place(&self, name: &[u8]) -> Option<u16> {
        let Some(words) = words(name) else { return find_long(self, name) };
        let mut place = hash_words(words);
        loop {
            match self.short[place] {
                (found, id) if found == words => return Some(id),
                ([0, 0], _) => return None,
                _ => place = (place + 1) % PLACES,
            }
        }
    }
}

/// Slots for short names: several times the number of commands.
const PLACES: usize = 1024;

/// A name of one to sixteen letters in lower case, as two words.
#[inline]
fn words(name: &[u8]) -> Option<[u64; 2]> {
    let len = name.len();
    // Trailing zero bytes would be lost in the words.
    if len > 16 || name.last().is_none_or(|last| *last == 0) {
        return None;
    }
    if len > 8 {
        let (first, last) = (name.first_chunk()?, name.last_chunk()?);
        let last = u64::from_le_bytes(*last) >> ((16 - len) * 8);
        return Some([u64::from_le_bytes(*first), last].map(lower));
    }
    let word = match *name {
        // Two halves that overlap if there are fewer than eight bytes.
        [a, b, c, d, ..] => {
            let last = u64::from(u32::from_le_bytes(*name.last_chunk()?));
            u64::from(u32::from_le_bytes([a, b, c, d])) | last << ((len - 4) * 8)
        }
        [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        _ => u64::from(name[0]),
    };
    Some([lower(word), 0])
}

/// Eight letters in lower case.
#[inline]
fn lower(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = word & (EACH * 0x7F);
    // The high bit of each byte that is at least `A`, and of each that is greater than `Z`.
    let from_a = low + EACH * (0x80 - b'A' as u64);
    let from_z = low + EACH * (0x7F - b'Z' as u64);
    let upper = from_a & !from_z & !word & (EACH * 0x80);
    word | upper >> 2
}

/// The slot at which the search for a name starts.
#[inline]
fn hash_words([first, last]: [u64; 2]) -> usize {
    let mixed = (first ^ last.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 54) as usize % PLACES
}

fn find_long(index: &Index, name: &[u8]) -> Option<u16> {
    let mut lower = [0; MAX_NAME];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let lower = &*lower;
    let (_, id) = index.all.find(hash(lower), |(name, _)| name.as_bytes() == lower)?;
    Some(*id)
}

/// A multiplicative hash over whole words: the names are few, short and our own, so clients cannot
/// cause collisions.
#[inline]
fn hash(name: &[u8]) -> u64 {
    let mut hasher = WordHasher(0xcbf2_9ce4_8422_2325);
    hasher.write(name);
    hasher.finish()
}

struct WordHasher(u64);

impl core::hash::Hasher for WordHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = 0;
        for &byte in rest {
            last = last << 8 | u64::from(byte);
        }
        self.write_u64(last ^ (bytes.len() as u64) << 56);
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_hashed_in_lower_case_and_without_collisions() {
        let slow = |name: &[u8]| {
            let mut bytes = [[0; 8]; 2];
            let room = bytes.as_flattened_mut().get_mut(..name.len())?;
            room.copy_from_slice(&name.to_ascii_lowercase());
            let plain = !name.is_empty() && name.last() != Some(&0);
            plain.then_some(bytes.map(u64::from_le_bytes))
        };
        let mut rng = crate::rng::Rng::new(1);
        for _ in 0..20_000 {
            let len = rng.below(19) as usize;
            let name: Vec<u8> = (0..len).map(|_| rng.u64() as u8).collect();
            assert_eq!(words(&name), slow(&name), "{name:?}");
        }
        for byte in 0..=255u8 {
            assert_eq!(words(&[b'x', byte, b'Y', 1]), slow(&[b'x', byte, b'Y', 1]), "{byte}");
        }
    }
}
