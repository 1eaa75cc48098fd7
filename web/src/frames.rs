//! What messages say: RESP frames as a short label and as lines for people.

use limpid_core::client::format::{Format, Output};
use limpid_core::resp::value::{self, Value};

/// Characters that fit beside a dot.
const LABEL: usize = 26;

/// The frames of a message; the rest if it begins or ends inside one.
fn frames(bytes: &[u8]) -> (Vec<Value>, &[u8]) {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        match value::decode(rest) {
            Ok(Some((frame, used))) if used > 0 => {
                out.push(frame);
                rest = rest.get(used..).unwrap_or_default();
            }
            _ => break,
        }
    }
    (out, rest)
}

/// The words of a command, if a frame is one.
fn words(frame: &Value) -> Option<Vec<String>> {
    let items = frame.items()?;
    let word = |item: &Value| item.bytes().map(|b| String::from_utf8_lossy(b).into_owned());
    (!items.is_empty()).then(|| items.iter().map(word).collect()).flatten()
}

/// Whether a message between servers is a sign of life, and nothing else.
pub(crate) fn is_beat(bytes: &[u8]) -> bool {
    const BEATS: [&[u8]; 3] =
        [b"*1\r\n$4\r\nPING\r\n", b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n", b"\n"];
    // Longer than any acknowledgement it carries something besides.
    bytes.len() < 80 && BEATS.iter().any(|beat| bytes.starts_with(beat))
}

/// Whether a message begins with a copy of the data, or a piece of one is all it has.
fn is_copy(bytes: &[u8]) -> bool {
    bytes.starts_with(b"$EOF:")
        || bytes.starts_with(b"REDIS0")
        || bytes.starts_with(b"$") && bytes.windows(6).take(40).any(|piece| piece == b"REDIS0")
}

/// A message in a few characters: `GET key:7`, `"hello"`, `(nil)`, `+2 more`.
pub(crate) fn label(bytes: &[u8], is_request: bool) -> String {
    if is_copy(bytes) {
        return format!("RDB {} B", bytes.len());
    }
    let (frames, _) = frames(bytes);
    let Some(first) = frames.first() else { return format!("… {} B", bytes.len()) };
    let mut text = match words(first).filter(|_| is_request) {
        // The command and its key say enough beside a dot; the card has the rest.
        Some(words) => match words.len() {
            0..=2 => words.join(" "),
            _ => words[..2].join(" ") + " …",
        },
        None => {
            let printed = Format::new(Output::Standard).reply(first);
            let printed = String::from_utf8_lossy(&printed).into_owned();
            let mut lines = printed.lines();
            let line = lines.next().unwrap_or_default().to_owned();
            if lines.next().is_some() { format!("{line} …") } else { line }
        }
    };
    if text.chars().count() > LABEL {
        text = text.chars().take(LABEL - 1).collect::<String>() + "…";
    }
    match frames.len() {
        1 => text,
        n => format!("{text} +{}", n - 1),
    }
}

/// A message as lines: each command in words, each reply as redis-cli prints it.
pub(crate) fn decoded(bytes: &[u8], is_request: bool) -> String {
    let (frames, rest) = frames(bytes);
    let mut out = String::new();
    for frame in &frames {
        match words(frame).filter(|_| is_request) {
            Some(words) => out.push_str(&words.join(" ")),
            None => {
                let printed = Format::new(Output::Standard).reply(frame);
                out.push_str(String::from_utf8_lossy(&printed).trim_end());
            }
        }
        out.push('\n');
    }
    if !rest.is_empty() {
        out.push_str(&format!("… {} B", rest.len()));
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_in_a_few_characters() {
        assert_eq!(label(b"*2\r\n$3\r\nGET\r\n$5\r\nkey:7\r\n", true), "GET key:7");
        assert_eq!(label(b"$-1\r\n", false), "(nil)");
        assert_eq!(label(b"+OK\r\n:3\r\n", false), "OK +1");
        assert_eq!(label(b"ab", false), "… 2 B");
        assert_eq!(
            label(b"$40\r\n0123456789012345678901234567890123456789\r\n", false).chars().count(),
            26
        );
    }

    #[test]
    fn signs_of_life_and_copies_are_told_apart_from_commands() {
        assert!(is_beat(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n"));
        assert!(!is_beat(b"*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n"));
        assert_eq!(label(b"$180\r\nREDIS0010", true), "RDB 15 B");
    }

    #[test]
    fn frames_are_decoded_line_by_line() {
        assert_eq!(
            decoded(b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n", true),
            "PING\nGET k\n… 4 B"
        );
    }
}
