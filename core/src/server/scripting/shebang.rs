//! The shebang line of a script, `#!lua name=value ...`, and the flags in it and in
//! `redis.register_function`.

use crate::command::CommandError;
use crate::command::meta::flag;
use crate::resp::quote::split_args;

/// The flags of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    bits: u8,
    /// There is no shebang: nothing is declared, and each command is checked by itself.
    pub(super) unknown: bool,
}

/// The flags with their names.
const NAMES: [(u8, &str); 5] = [
    (Flags::NO_WRITES, "no-writes"),
    (Flags::ALLOW_OOM, "allow-oom"),
    (Flags::ALLOW_STALE, "allow-stale"),
    (Flags::NO_CLUSTER, "no-cluster"),
    (Flags::ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"),
];

impl Flags {
    pub(super) const NO_WRITES: u8 = 1;
    pub(super) const ALLOW_OOM: u8 = 2;
    pub(super) const ALLOW_STALE: u8 = 4;
    pub(super) const NO_CLUSTER: u8 = 8;
    pub(super) const ALLOW_CROSS_SLOT_KEYS: u8 = 16;

    /// The flags of a script without a shebang.
    pub(super) fn unknown() -> Flags {
        Flags { bits: 0, unknown: true }
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.bits & flag != 0
    }

    /// The flags of a command (`command`) that runs this script.
    pub(super) fn apply_to(self, command: u32) -> u32 {
        let rest = !(flag::STALE | flag::DENYOOM | flag::WRITE | flag::MAY_REPLICATE);
        let mut flags = command & rest;
        if !self.has(Flags::NO_WRITES) {
            flags |= flag::WRITE;
            if !self.has(Flags::ALLOW_OOM) {
                flags |= flag::DENYOOM;
            }
        }
        if self.has(Flags::ALLOW_STALE) {
            flags |= flag::STALE;
        }
        flags
    }

    /// Adds a flag by name. Returns whether it exists.
    pub(super) fn add(&mut self, name: &[u8]) -> bool {
        let found = NAMES.iter().find(|(_, known)| known.as_bytes() == name);
        self.bits |= found.map_or(0, |(bit, _)| *bit);
        found.is_some()
    }

    /// The names of the flags that are set.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, name)| name)
    }
}

/// Parses the shebang line of a script. Returns its flags, and the source without that line but
/// with its line break, so that line numbers stay the same.
pub(super) fn of_script(body: &[u8]) -> Result<(Flags, &[u8]), CommandError> {
    if !body.starts_with(b"#!") {
        return Ok((Flags::unknown(), body));
    }
    let Some(end) = body.iter().position(|&b| b == b'\n') else {
        return Err(CommandError::text("ERR Invalid script shebang"));
    };
    let (line, rest) = body.split_at(end);
    let mut words = line.split(|&b| b == b' ').filter(|word| !word.is_empty());
    let engine = words.next().unwrap_or_default();
    if engine != b"#!lua" {
        return Err(CommandError::quoting("ERR Unexpected engine in script shebang: ", engine, ""));
    }
    let mut flags = Flags::default();
    for word in words {
        let Some(list) = word.strip_prefix(b"flags=") else {
            return Err(CommandError::quoting("ERR Unknown lua shebang option: ", word, ""));
        };
        for flag in list.split(|&b| b == b',').filter(|flag| !flag.is_empty()) {
            if !flags.add(flag) {
                let before = "ERR Unexpected flag in script shebang: ";
                return Err(CommandError::quoting(before, flag, ""));
            }
        }
    }
    Ok((flags, rest))
}

/// Parses the shebang line of a library: its name, and the source without that line.
pub(super) fn of_library(code: &[u8]) -> Result<(String, &[u8]), CommandError> {
    if !code.starts_with(b"#!") {
        return Err(CommandError::text("ERR Missing library metadata"));
    }
    let Some(end) = code.iter().position(|&b| b == b'\n') else {
        return Err(CommandError::text("ERR Invalid library metadata"));
    };
    let (line, rest) = code.split_at(end);
    // The words may be quoted.
    let words = split_args(line).ok_or(CommandError::text("ERR Invalid library metadata"))?;
    let mut words = words.iter().map(Vec::as_slice);
    let engine = words.next().and_then(|word| word.strip_prefix(b"#!")).unwrap_or_default();
    let mut name = None;
    for word in words {
        match word.strip_prefix(b"name=") {
            Some(_) if name.is_some() => {
                let before = "ERR Invalid metadata value, name argument was given multiple times";
                return Err(CommandError::text(before));
            }
            Some(given) => name = Some(given),
            None => {
                return Err(CommandError::quoting("ERR Invalid metadata value given: ", word, ""));
            }
        }
    }
    let Some(name) = name else { return Err(CommandError::text("ERR Library name was not given")) };
    let name = check_name(name)?;
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(CommandError::quoting("ERR Engine '", engine, "' not found"));
    }
    Ok((name, rest))
}

/// Checks the name of a library or a function.
pub(super) fn check_name(name: &[u8]) -> Result<String, CommandError> {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    match core::str::from_utf8(name) {
        Ok(text) if !name.is_empty() && name.iter().all(fits) => Ok(text.to_owned()),
        _ => Err(CommandError::text(
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be at \
             least one character long",
        )),
    }
}
