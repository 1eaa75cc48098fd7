//! Which arguments of a typed command are passwords or tell about users, and stay out of histories
//! and of what others see.

use super::quote::repr;

/// What stands in the place of a secret, as in MONITOR and SLOWLOG.
const REDACTED: &str = "(redacted)";

/// Directives of CONFIG SET whose values are secret, as redis-cli knows them.
const SECRET_DIRECTIVES: [&[u8]; 4] =
    [b"masterauth", b"masteruser", b"requirepass", b"tls-key-file-pass"];

/// Whether a command carries a secret and shall not be written to a history.
pub(super) fn is_sensitive(args: &[Vec<u8>]) -> bool {
    !places(args).is_empty()
}

/// The words of a command with its secrets replaced, or `None` if it has none.
pub(super) fn redacted(args: &[Vec<u8>]) -> Option<Vec<String>> {
    let places = places(args);
    if places.is_empty() {
        return None;
    }
    let shown = args.iter().enumerate().map(|(i, word)| match core::str::from_utf8(word) {
        _ if places.contains(&i) => REDACTED.to_owned(),
        Ok(word) if is_plain(word) => word.to_owned(),
        _ => repr(word),
    });
    Some(shown.collect())
}

/// The places of secrets among the words of a command.
fn places(args: &[Vec<u8>]) -> Vec<usize> {
    let is = |i: usize, word: &[u8]| args.get(i).is_some_and(|arg| arg.eq_ignore_ascii_case(word));
    let n = args.len();
    if is(0, b"auth") {
        return (1..n).collect();
    }
    if is(0, b"acl") && is(1, b"setuser") {
        return (2..n).collect();
    }
    if is(0, b"config") && is(1, b"set") {
        let named = |i: &usize| SECRET_DIRECTIVES.iter().any(|name| is(*i, name));
        return (2..n).step_by(2).filter(named).map(|i| i + 1).filter(|i| *i < n).collect();
    }
    if is(0, b"hello") {
        let login = (2..n).find(|&i| is(i, b"auth"));
        return login.map_or_else(Vec::new, |i| (i + 1..n.min(i + 3)).collect());
    }
    if is(0, b"migrate") {
        // Behind KEYS there are only keys.
        let keys = (6..n).find(|&i| is(i, b"keys")).unwrap_or(n);
        let mut places = Vec::new();
        let mut at = 6;
        while at < keys {
            let words = if is(at, b"auth") {
                1
            } else if is(at, b"auth2") {
                2
            } else {
                0
            };
            places.extend(at + 1..keys.min(at + 1 + words));
            at += 1 + words;
        }
        return places;
    }
    Vec::new()
}

/// Whether a word reads the same when it is typed without quotes.
fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && !word.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\''))
}
