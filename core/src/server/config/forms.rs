//! Parsing and checking values of the server's directives that have an unusual form.

use crate::front::config::file::quoted;
use crate::front::config::value::plain;
use crate::front::config::{DirectiveError, Form, FormLines};

/// `save`: pairs of seconds and changes.
pub(super) static SAVE: Form = Form { read: save, write: write_save };

/// `oom-score-adj-values`: three numbers.
pub(super) static OOM_SCORES: Form = Form { read: oom_scores, write: one_line };

/// `notify-keyspace-events`: letters for classes of events.
pub(super) static EVENTS: Form =
    Form { read: events, write: |value, forced| FormLines { lines: vec![quoted(value)], forced } };

/// `replicaof`: a host and a port, or nothing.
pub(super) static REPLICA_OF: Form = Form {
    read: replica_of,
    write: |value, forced| {
        if value.is_empty() {
            FormLines { lines: Vec::new(), forced }
        } else {
            one_line(value, forced)
        }
    },
};

fn one_line(value: &[u8], forced: bool) -> FormLines {
    FormLines { lines: vec![String::from_utf8_lossy(value).into_owned()], forced }
}

/// Checks `dbfilename`.
pub(super) fn is_dbfilename(word: &[u8]) -> Result<(), &'static str> {
    if word.contains(&b'/') { Err("dbfilename can't be a path, just a filename") } else { Ok(()) }
}

/// Checks `appendfilename`.
pub(super) fn is_appendfilename(word: &[u8]) -> Result<(), &'static str> {
    match word {
        b"" => Err("appendfilename can't be empty"),
        _ if word.contains(&b'/') => Err("appendfilename can't be a path, just a filename"),
        _ => Ok(()),
    }
}

/// Checks `appenddirname`.
pub(super) fn is_appenddirname(word: &[u8]) -> Result<(), &'static str> {
    match word {
        b"" => Err("appenddirname can't be empty"),
        _ if word.contains(&b'/') => Err("appenddirname can't be a path, just a dirname"),
        _ => Ok(()),
    }
}

/// Checks `cluster-announce-hostname`.
pub(super) fn is_hostname(word: &[u8]) -> Result<(), &'static str> {
    /// One more than the longest host name: `NET_HOST_STR_LEN` of Redis.
    const TOO_LONG: usize = 256;
    let fits = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.');
    if word.len() >= TOO_LONG {
        Err("Hostnames must be less than 256 characters")
    } else if !word.iter().all(fits) {
        Err("Hostnames may only contain alphanumeric characters, hyphens or dots")
    } else {
        Ok(())
    }
}

fn save(words: &[&[u8]]) -> Result<Vec<u8>, DirectiveError> {
    let invalid = || DirectiveError::from("Invalid save parameters");
    if words.is_empty() || words == [b""] {
        return Ok(Vec::new());
    }
    if words.len() % 2 == 1 {
        return Err(invalid());
    }
    let mut out = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let least = if i % 2 == 0 { 1 } else { 0 };
        let value = plain(word).filter(|v| *v >= least).ok_or_else(invalid)?;
        out.push(value.to_string());
    }
    Ok(out.join(" ").into_bytes())
}

/// One line for each pair; an empty list has to be written as well.
fn write_save(value: &[u8], _: bool) -> FormLines {
    let text = String::from_utf8_lossy(value).into_owned();
    let words: Vec<&str> = text.split(' ').collect();
    let lines = match value {
        b"" => vec!["\"\"".to_owned()],
        _ => words.chunks(2).map(|pair| pair.join(" ")).collect(),
    };
    FormLines { lines, forced: true }
}

fn oom_scores(words: &[&[u8]]) -> Result<Vec<u8>, DirectiveError> {
    if words.len() != 3 {
        return Err("wrong number of arguments".into());
    }
    if words.iter().any(|w| plain(w).is_none_or(|v| !(-2000..=2000).contains(&v))) {
        return Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into());
    }
    Ok(words.join(&b' '))
}

/// The letters of keyspace events in the order in which they are shown, with their bits.
pub(crate) const EVENT_LETTERS: [(u8, u16); 14] = [
    (b'g', 1 << 2),
    (b'$', 1 << 3),
    (b'l', 1 << 4),
    (b's', 1 << 5),
    (b'h', 1 << 6),
    (b'z', 1 << 7),
    (b'x', 1 << 8),
    (b'e', 1 << 9),
    (b't', 1 << 10),
    (b'd', 1 << 13),
    (b'n', 1 << 14),
    (b'K', 1 << 0),
    (b'E', 1 << 1),
    (b'm', 1 << 11),
];

/// The classes that `A` stands for: all but key misses and new keys.
const EVENTS_ALL: u16 =
    1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 13;

/// Parses the letters of `notify-keyspace-events`.
pub(crate) fn event_bits(letters: &[u8]) -> Option<u16> {
    letters.iter().try_fold(0, |bits, &letter| match letter {
        b'A' => Some(bits | EVENTS_ALL),
        _ => EVENT_LETTERS.iter().find(|(l, _)| *l == letter).map(|(_, bit)| bits | bit),
    })
}

fn events(words: &[&[u8]]) -> Result<Vec<u8>, DirectiveError> {
    let word = words.first().copied().unwrap_or_default();
    let bits = event_bits(word).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
    let mut out = Vec::new();
    let all = bits & EVENTS_ALL == EVENTS_ALL;
    if all {
        out.push(b'A');
    }
    for (letter, bit) in EVENT_LETTERS {
        if bits & bit != 0 && !(all && EVENTS_ALL & bit != 0) {
            out.push(letter);
        }
    }
    Ok(out)
}

fn replica_of(words: &[&[u8]]) -> Result<Vec<u8>, DirectiveError> {
    let [host, port] = words else { return Err("wrong number of arguments".into()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(Vec::new());
    }
    let port = plain(port).filter(|p| (0..=65535).contains(p)).ok_or("Invalid master port")?;
    Ok([*host, port.to_string().as_bytes()].join(&b' '))
}
