//! The words of MIGRATE: where its keys and its passwords stand.

use crate::resp::request::Args;

/// A word among the options.
pub(crate) enum Word {
    /// `COPY`
    Copy,
    /// `REPLACE`
    Replace,
    /// `AUTH` or `AUTH2`, which so many words follow.
    Login(usize),
    /// `KEYS`, which all keys follow.
    Keys,
}

impl Word {
    /// What this word means, if it is one of these.
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

/// Where the keys of a MIGRATE stand: the first, and how many there are. With KEYS and a key in
/// its usual place as well there is none, since that is an error.
pub(crate) fn places_of_keys(args: Args<'_>) -> (usize, usize) {
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

/// Whether an argument of a MIGRATE is a name or a password.
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
