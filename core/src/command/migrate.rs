//! Parses the options of MIGRATE: where its keys and its passwords are.

use crate::resp::request::Args;

/// A keyword among the options.
pub(crate) enum Word {
    /// `COPY`
    Copy,
    /// `REPLACE`
    Replace,
    /// `AUTH` or `AUTH2`, followed by this many words.
    Login(usize),
    /// `KEYS`, followed by all keys.
    Keys,
}

impl Word {
    /// Parses a keyword.
    pub(crate) fn of(word: &[u8]) -> Option<Self> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("copy") => Some(Word::Copy),
            () if is("replace") => Some(Word::Replace),
            () if is("auth") => Some(Word::Login(1)),
            () if is("auth2") => Some(Word::Login(2)),
            () if is("keys") => Some(Word::Keys),
            () => None,
        }
    }
}

/// The position of the first key, and the number of keys. With both KEYS and a key in the usual
/// position there are none, since that is an error.
pub(crate) fn key_positions(args: Args<'_>) -> (usize, usize) {
    let mut at = 6;
    while let Some(word) = args.get(at) {
        at += match Word::of(word) {
            Some(Word::Keys) if args.at(3).is_empty() => return (at + 1, args.len() - at - 1),
            Some(Word::Keys) => return (at + 1, 0),
            Some(Word::Login(words)) => words + 1,
            _ => 1,
        };
    }
    (3, 1)
}

/// Whether an argument of MIGRATE is a user name or a password.
pub(crate) fn is_secret(args: Args<'_>, index: usize) -> bool {
    let mut at = 6;
    while at < index {
        at += match args.get(at).and_then(Word::of) {
            Some(Word::Keys) => return false,
            Some(Word::Login(words)) if index <= at + words => return true,
            Some(Word::Login(words)) => words + 1,
            _ => 1,
        };
    }
    false
}
