//! Redacts secrets in typed commands, for histories and for other viewers.

use super::quote::repr;
use crate::command::secrets::{REDACTED, is_secret};
use crate::resp::request::OwnedArgs;

/// Whether a command contains a secret, so that it must not be written to a history.
pub(super) fn is_sensitive(args: &[Vec<u8>]) -> bool {
    !places(args).is_empty()
}

/// The words of a command with its secrets redacted, or `None` if it has none.
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

/// The indices of the words that are secrets.
fn places(args: &[Vec<u8>]) -> Vec<usize> {
    let word =
        |i: usize| args.get(i).map(|word| String::from_utf8_lossy(word).to_ascii_lowercase());
    let Some(mut name) = word(0) else { return Vec::new() };
    if let ("acl" | "config", Some(subcommand)) = (name.as_str(), word(1)) {
        name = format!("{name}|{subcommand}");
    }
    let words: OwnedArgs = args.iter().collect();
    (1..args.len()).filter(|&i| is_secret(&name, words.as_args(), i)).collect()
}

/// Whether a word can be typed without quotes.
fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && !word.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\''))
}
