//! The one table of commands, assembled from the rows that stand beside their handlers.

use core::hash::Hasher as _;
use std::sync::{Arc, OnceLock};

use hashbrown::HashTable;

use super::dispatch::Handler;
use crate::command::{self, Group, Meta, Row};
use crate::persist;

/// Rows of commands on data, a slice for each group.
const DATA: &[&[Row<command::Handler>]] = &[
    command::strings::ROWS,
    command::keys::ROWS,
    command::lists::ROWS,
    command::sets::ROWS,
    command::hashes::ROWS,
    command::zsets::ROWS,
    command::bitmaps::ROWS,
    command::sort::ROWS,
    command::blocking::ROWS,
    persist::rdb::commands::ROWS,
];

/// Rows of commands that administer something.
const ADMINISTRATION: &[&[Row<Handler>]] = &[
    super::connection::ROWS,
    super::clients::commands::ROWS,
    super::config::commands::ROWS,
    super::commands::ROWS,
    super::info::ROWS,
    super::basics::ROWS,
    super::memory::ROWS,
    super::debug::ROWS,
    super::transactions::ROWS,
    super::pubsub::ROWS,
    super::monitor::ROWS,
    super::persistence::save::ROWS,
    super::shutdown::ROWS,
    super::replication::ROWS,
    super::replication::GENERIC_ROWS,
    super::aof::ROWS,
    super::migrate::ROWS,
];

/// The longest name of a command; what is longer is unknown without looking.
const MAX_NAME: usize = 32;

/// One command, or one subcommand.
#[derive(Debug)]
pub struct Command {
    /// Its place in [`all`], which statistics are kept by.
    pub id: u16,
    /// Its full name in lower case: `get`, `client|list`.
    pub name: String,
    /// What is known of it.
    pub meta: &'static Meta,
    /// What it does.
    pub run: Run,
    /// Whether it works on keys alone, without subcommands: nothing that can stand against a command
    /// changes while such are carried out.
    pub plain: bool,
    /// The container that it is a subcommand of.
    pub parent: Option<u16>,
    /// Its subcommands.
    pub subcommands: Vec<u16>,
}

/// What a command does.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// It works on data.
    Data(command::Handler),
    /// It works on the server.
    Server(Handler),
}

/// All commands in the order of the table, each followed by its subcommands.
pub fn all() -> &'static [Command] {
    &standard().commands
}

/// The command of this full name, whatever commands were renamed to.
pub fn by_name(name: &str) -> Option<&'static Command> {
    let (container, sub) = match name.split_once('|') {
        Some((container, sub)) => (container, Some(sub)),
        None => (name, None),
    };
    let command = find(&standard().names, container.as_bytes())?;
    match sub {
        None => Some(command),
        Some(sub) => command.subcommand(sub.as_bytes()),
    }
}

/// Whether there is a command of this name.
pub fn exists(name: &str) -> bool {
    find(&standard().names, name.as_bytes()).is_some()
}

/// The names by which a server knows its commands.
#[derive(Clone, Debug)]
pub struct Names {
    renamed: Option<Arc<Index>>,
}

impl Names {
    /// The standard names, except for those that were renamed; a new name that is empty takes the
    /// command away.
    pub fn new(renames: &[(String, String)]) -> Self {
        if renames.is_empty() {
            return Self { renamed: None };
        }
        let gone = |name: &str| renames.iter().any(|(old, _)| old == name);
        let kept = all()
            .iter()
            .filter(|c| c.parent.is_none() && !gone(&c.name))
            .map(|c| (c.name.clone(), c.id));
        let renamed = renames
            .iter()
            .filter(|(_, new)| !new.is_empty())
            .filter_map(|(old, new)| Some((new.to_ascii_lowercase(), by_name(old)?.id)));
        Self { renamed: Some(Arc::new(Index::new(kept.chain(renamed)))) }
    }

    /// The command that a client calls by this name, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Command> {
        let standard = standard();
        let index = self.renamed.as_deref().unwrap_or(&standard.names);
        standard.commands.get(usize::from(place(index, name)?))
    }

    /// How many commands there are.
    pub fn len(&self) -> usize {
        self.renamed.as_deref().unwrap_or(&standard().names).all.len()
    }

    /// Whether there are no commands.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All commands that can be called, in the order of the table, with the name of each.
    pub fn list(&self) -> Vec<(&str, &'static Command)> {
        let index = self.renamed.as_deref().unwrap_or(&standard().names);
        let mut list: Vec<_> = index
            .all
            .iter()
            .filter_map(|(name, id)| Some((name.as_str(), all().get(usize::from(*id))?)))
            .collect();
        // The hash table's order differs between platforms.
        crate::sorted::sort_by_key(&mut list, |(_, command)| command.id);
        list
    }
}

impl Command {
    /// The subcommand of this name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Command> {
        self.subcommands
            .iter()
            .filter_map(|id| all().get(usize::from(*id)))
            .find(|sub| sub.meta.name.as_bytes().eq_ignore_ascii_case(name))
    }
}

struct Standard {
    commands: Vec<Command>,
    names: Index,
}

/// Names in lower case.
#[derive(Debug)]
struct Index {
    /// Names that fit into two words, by these and their hash, each at the first place behind its
    /// hash that was free. Nearly every call is of one of these.
    short: Box<[([u64; 2], u16); PLACES]>,
    all: HashTable<(String, u16)>,
}

impl Index {
    fn new(names: impl Iterator<Item = (String, u16)>) -> Self {
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
}

fn find(index: &Index, name: &[u8]) -> Option<&'static Command> {
    standard().commands.get(usize::from(place(index, name)?))
}

/// The place in the table of the command of this name.
#[inline]
fn place(index: &Index, name: &[u8]) -> Option<u16> {
    let Some(words) = words(name) else { return find_long(index, name) };
    let mut place = hash_words(words);
    loop {
        match index.short[place] {
            (found, id) if found == words => return Some(id),
            ([0, 0], _) => return None,
            _ => place = (place + 1) % PLACES,
        }
    }
}

/// Places for short names: several times as many as there are commands.
const PLACES: usize = 1024;

/// A name of one to sixteen letters as two numbers, in lower case.
#[inline]
fn words(name: &[u8]) -> Option<[u64; 2]> {
    let len = name.len();
    // A zero at the end would not show in the numbers.
    if len > 16 || name.last().is_none_or(|last| *last == 0) {
        return None;
    }
    if len > 8 {
        let (first, last) = (name.first_chunk()?, name.last_chunk()?);
        let last = u64::from_le_bytes(*last) >> ((16 - len) * 8);
        return Some([u64::from_le_bytes(*first), last].map(lower));
    }
    let word = match *name {
        // Two halves that overlap where there are fewer than eight.
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
    // The upper bit of each byte that is at least `A`, and of each that is more than `Z`.
    let from_a = low + EACH * (0x80 - b'A' as u64);
    let from_z = low + EACH * (0x7F - b'Z' as u64);
    let upper = from_a & !from_z & !word & (EACH * 0x80);
    word | upper >> 2
}

/// Where the search for a name begins.
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

/// FNV over whole words: names are few, short and our own, so that nobody can make them collide.
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

fn standard() -> &'static Standard {
    static STANDARD: OnceLock<Standard> = OnceLock::new();
    STANDARD.get_or_init(|| {
        let mut commands = Vec::new();
        for row in DATA.iter().copied().flatten() {
            add(&mut commands, row, Run::Data, None);
        }
        for row in ADMINISTRATION.iter().copied().flatten() {
            add(&mut commands, row, Run::Server, None);
        }
        let names = Index::new(
            commands.iter().filter(|c| c.parent.is_none()).map(|c| (c.name.clone(), c.id)),
        );
        Standard { commands, names }
    })
}

fn add<H: Copy>(
    commands: &mut Vec<Command>,
    row: &'static Row<H>,
    run: fn(H) -> Run,
    parent: Option<u16>,
) {
    let id = commands.len() as u16;
    let name = match parent.and_then(|p| commands.get(usize::from(p))) {
        Some(parent) => format!("{}|{}", parent.name, row.meta.name),
        None => row.meta.name.to_owned(),
    };
    let run_as = run(row.handler);
    let on_data = matches!(run_as, Run::Data(_)) && row.meta.group != Group::Server;
    commands.push(Command {
        id,
        name,
        meta: &row.meta,
        run: run_as,
        plain: on_data && row.subcommands.is_empty() && parent.is_none(),
        parent,
        subcommands: Vec::new(),
    });
    for sub in row.subcommands {
        let sub_id = commands.len() as u16;
        commands[usize::from(id)].subcommands.push(sub_id);
        add(commands, sub, run, Some(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_in_any_case_and_under_its_new_name_only() {
        let names = Names::new(&[]);
        assert_eq!(names.find(b"PiNg").map(|c| c.name.as_str()), Some("ping"));
        assert!(names.find(b"pin").is_none() && names.find(&[b'x'; 100]).is_none());
        let names = Names::new(&[("ping".into(), "POng".into()), ("echo".into(), String::new())]);
        assert_eq!(names.find(b"pong").map(|c| c.name.as_str()), Some("ping"));
        assert!(names.find(b"ping").is_none() && names.find(b"echo").is_none());
        assert!(names.find(b"select").is_some());
    }

    #[test]
    fn two_words_are_the_name_in_lower_case_and_of_no_other_name() {
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

    #[test]
    fn names_are_unique_and_short_enough_to_be_found() {
        for command in all() {
            assert!(command.name.len() <= MAX_NAME, "{}", command.name);
            assert_eq!(by_name(&command.name).map(|c| c.id), Some(command.id), "{}", command.name);
        }
    }
}
