//! Messages in RESP as short labels and as lines, and the messages of servers and Sentinels.

use super::LABEL;
use crate::client::format::{Format, Output};
use crate::resp::value::{self, Value};
use crate::sentinel::hello::{CHANNEL, Hello};

/// The number of characters of an ID that are shown.
const ID: usize = 6;

/// The complete frames of a message, and the remaining bytes if it begins or ends inside one.
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

/// The words of a command, if the frame is one.
fn words(frame: &Value) -> Option<Vec<String>> {
    let items = frame.items()?;
    let word = |item: &Value| item.bytes().map(|b| String::from_utf8_lossy(b).into_owned());
    (!items.is_empty()).then(|| items.iter().map(word).collect()).flatten()
}

/// Whether a message between servers is only a heartbeat.
pub(super) fn is_heartbeat(bytes: &[u8]) -> bool {
    const BEATS: [&[u8]; 3] =
        [b"*1\r\n$4\r\nPING\r\n", b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n", b"\n"];
    // A longer message contains more than an acknowledgement.
    bytes.len() < 80 && BEATS.iter().any(|beat| bytes.starts_with(beat))
}

/// Whether a Sentinel's message is only monitoring: all its commands are queries, or publish a
/// hello.
pub(super) fn is_watching(bytes: &[u8]) -> bool {
    const WATCHING: [&str; 8] =
        ["PING", "INFO", "PUBLISH", "SUBSCRIBE", "CLIENT", "AUTH", "ROLE", "SCRIPT"];
    let (frames, rest) = frames(bytes);
    let watches = |frame: &Value| {
        let word = words(frame).and_then(|words| words.into_iter().next());
        word.is_some_and(|word| WATCHING.iter().any(|known| word.eq_ignore_ascii_case(known)))
    };
    rest.is_empty() && frames.iter().all(watches)
}

/// A short label for a Sentinel's question to another about a master: `down?`, or `vote? @3` in
/// epoch 3.
pub(super) fn vote(bytes: &[u8]) -> Option<String> {
    let (frames, _) = frames(bytes);
    frames.iter().rev().filter_map(words).find_map(|words| match &words[..] {
        [first, second, _, _, epoch, candidate]
            if first.eq_ignore_ascii_case("SENTINEL")
                && second.eq_ignore_ascii_case("is-master-down-by-addr") =>
        {
            Some(match candidate.as_str() {
                "*" => "down?".to_owned(),
                _ => format!("vote? @{epoch}"),
            })
        }
        _ => None,
    })
}

/// A short label for the reply to that: `up`, `down`, or `votes 0a1b2c @3`.
pub(super) fn ballot(bytes: &[u8]) -> Option<String> {
    let (frames, _) = frames(bytes);
    frames.iter().rev().find_map(|frame| {
        let [down, leader, epoch] = frame.items()? else { return None };
        let (&Value::Integer(down), &Value::Integer(epoch)) = (down, epoch) else { return None };
        let leader = String::from_utf8_lossy(leader.bytes()?).into_owned();
        Some(match (leader.as_str(), down) {
            ("*", 0) => "up".to_owned(),
            ("*", _) => "down".to_owned(),
            (leader, _) => format!("votes {} @{epoch}", leader.get(..ID).unwrap_or(leader)),
        })
    })
}

/// The hello messages in a message, whether published by a Sentinel or delivered to one.
pub fn hellos(bytes: &[u8]) -> Vec<Hello> {
    let (frames, _) = frames(bytes);
    let hello = |frame: &Value| {
        let items = frame.items()?;
        // The items of `PUBLISH channel text`, or of `message channel text`.
        let [.., channel, text] = items else { return None };
        (channel.bytes() == Some(CHANNEL.as_bytes())).then(|| Hello::parse(text.bytes()?)).flatten()
    };
    frames.iter().filter_map(hello).collect()
}

/// A push to a client: an invalidation for client-side caching, or a published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// These keys have changed; `None` means all keys.
    Invalidated(Option<Vec<String>>),
    /// Another push: its words, beginning with its type.
    Other(Vec<String>),
}

/// The channel of invalidations for RESP2 clients.
const INVALIDATIONS: &str = "__redis__:invalidate";

/// Whether a message begins with a push. In RESP2, pushes are short arrays.
pub(super) fn is_push(bytes: &[u8]) -> bool {
    const IN_RESP2: [&[u8]; 3] =
        [b"*3\r\n$7\r\nmessage\r\n", b"*4\r\n$8\r\npmessage\r\n", b"*3\r\n$8\r\nsmessage\r\n"];
    bytes.starts_with(b">") || IN_RESP2.iter().any(|head| bytes.starts_with(head))
}

/// All pushes in a message, in order.
pub fn pushed(bytes: &[u8]) -> Vec<Pushed> {
    let text = |value: &Value| value.bytes().map(|b| String::from_utf8_lossy(b).into_owned());
    let pushed = |frame: &Value| {
        let (Value::Push(items) | Value::Array(items)) = frame else { return None };
        let [first, middle @ .., last] = items.as_slice() else { return None };
        let is_invalidation = text(first).is_some_and(|kind| kind == "invalidate")
            || middle.iter().any(|channel| text(channel).is_some_and(|name| name == INVALIDATIONS));
        Some(match last {
            Value::Array(keys) if is_invalidation => {
                Pushed::Invalidated(Some(keys.iter().filter_map(text).collect()))
            }
            Value::Null if is_invalidation => Pushed::Invalidated(None),
            _ => Pushed::Other(items.iter().filter_map(text).collect()),
        })
    };
    frames(bytes).0.iter().filter_map(pushed).collect()
}

/// A short label for a push: `invalidate k`, `message news hello`.
pub(super) fn push_label(bytes: &[u8]) -> Option<String> {
    let pushed = pushed(bytes);
    let label = match pushed.first()? {
        Pushed::Invalidated(Some(keys)) => format!("invalidate {}", keys.join(" ")),
        Pushed::Invalidated(None) => "invalidate *".to_owned(),
        Pushed::Other(words) => words.join(" "),
    };
    Some(labelled(label, pushed.len()))
}

/// Whether a message begins with a full synchronization, or is only a piece of one.
fn is_copy(bytes: &[u8]) -> bool {
    bytes.starts_with(b"$EOF:")
        || bytes.starts_with(b"REDIS0")
        || bytes.starts_with(b"$") && bytes.windows(6).take(40).any(|piece| piece == b"REDIS0")
}

/// A short label for a message: `GET key:7`, `"hello"`, `(nil)`, `+2 more`.
pub(super) fn label(bytes: &[u8], is_request: bool) -> String {
    if is_copy(bytes) {
        return format!("RDB {} B", bytes.len());
    }
    let (frames, _) = frames(bytes);
    let Some(first) = frames.first() else { return format!("… {} B", bytes.len()) };
    let text = match words(first).filter(|_| is_request) {
        // The command and its key are enough for the map; the card shows the rest.
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
    labelled(text, frames.len())
}

/// A label of limited length for the first of several frames.
fn labelled(mut text: String, frames: usize) -> String {
    if text.chars().count() > LABEL {
        text = text.chars().take(LABEL - 1).collect::<String>() + "…";
    }
    match frames {
        1 => text,
        n => format!("{text} +{}", n - 1),
    }
}

/// Complete replies as redis-cli prints them, and the remaining bytes.
pub fn replies(bytes: &[u8]) -> (String, &[u8]) {
    let (frames, rest) = frames(bytes);
    let text: Vec<u8> = frames.iter().flat_map(printed).collect();
    (String::from_utf8_lossy(&text).trim_end().to_owned(), rest)
}

/// A frame of a server as redis-cli prints it.
fn printed(frame: &Value) -> Vec<u8> {
    // Frames other than pushes are printed as replies.
    Format::new(Output::Standard).push(frame)
}

/// A message in RESP as lines: commands as words, replies as redis-cli prints them.
pub fn decoded(bytes: &[u8], is_request: bool) -> String {
    let (frames, rest) = frames(bytes);
    let mut out = String::new();
    for frame in &frames {
        match words(frame).filter(|_| is_request) {
            Some(words) => out.push_str(&words.join(" ")),
            None => {
                out.push_str(String::from_utf8_lossy(&printed(frame)).trim_end());
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
    fn messages_have_short_labels() {
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
    fn heartbeats_and_full_resyncs_are_distinguished_from_commands() {
        assert!(is_heartbeat(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n"));
        assert!(!is_heartbeat(b"*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n"));
        assert_eq!(label(b"$180\r\nREDIS0010", true), "RDB 15 B");
    }

    #[test]
    fn questions_and_replies_about_a_master_have_labels() {
        let ask = |candidate: &str| {
            let words = ["SENTINEL", "is-master-down-by-addr", "10.0.0.1", "6379", "3", candidate];
            let bulk = words.map(|word| format!("${}\r\n{word}\r\n", word.len())).concat();
            format!("*6\r\n{bulk}").into_bytes()
        };
        assert_eq!(vote(&ask("*")).as_deref(), Some("down?"));
        assert_eq!(vote(&ask("0a1b2c3d4e")).as_deref(), Some("vote? @3"));
        assert_eq!(ballot(b"*3\r\n:1\r\n$1\r\n*\r\n:0\r\n").as_deref(), Some("down"));
        let voted = b"*3\r\n:1\r\n$8\r\n0a1b2c3d\r\n:3\r\n";
        assert_eq!(ballot(voted).as_deref(), Some("votes 0a1b2c @3"));
        assert_eq!(ballot(b"+PONG\r\n"), None);
        assert!(is_watching(b"*1\r\n$4\r\nPING\r\n"));
        assert!(!is_watching(b"*3\r\n$7\r\nSLAVEOF\r\n$2\r\nNO\r\n$3\r\nONE\r\n"));
    }

    #[test]
    fn a_hello_is_read_where_it_is_published_and_where_it_arrives() {
        let text = "10.0.2.1,26379,0a1b,3,mymaster,10.0.0.1,6379,2";
        for first in ["PUBLISH", "message"] {
            let words = [first, CHANNEL, text];
            let bulk = words.map(|word| format!("${}\r\n{word}\r\n", word.len())).concat();
            let hellos = hellos(format!("*3\r\n{bulk}").as_bytes());
            let [hello] = &hellos[..] else { panic!("{hellos:?}") };
            assert_eq!(hello.to_string(), text);
        }
        assert_eq!(hellos(b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\nx\r\n"), []);
    }

    #[test]
    fn pushes_have_labels_in_both_protocols() {
        let in_resp3 = b">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\nk\r\n$1\r\nm\r\n";
        let in_resp2 =
            b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*2\r\n$1\r\nk\r\n$1\r\nm\r\n";
        let keys = Some(vec!["k".to_owned(), "m".to_owned()]);
        for bytes in [&in_resp3[..], &in_resp2[..]] {
            assert!(is_push(bytes));
            assert_eq!(push_label(bytes).as_deref(), Some("invalidate k m"));
            assert_eq!(pushed(bytes), [Pushed::Invalidated(keys.clone())]);
        }
        let all = b">2\r\n$10\r\ninvalidate\r\n_\r\n";
        assert_eq!(pushed(all), [Pushed::Invalidated(None)]);
        let message = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n";
        assert_eq!(push_label(message).as_deref(), Some("message c hi"));
        assert!(!is_push(b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"));
        assert_eq!(push_label(b">2\r\n$10\r\ninval"), None);
    }

    #[test]
    fn frames_are_decoded_line_by_line() {
        assert_eq!(
            decoded(b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n", true),
            "PING\nGET k\n… 4 B"
        );
    }
}
