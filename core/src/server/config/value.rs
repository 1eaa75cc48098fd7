//! Reading the words of a directive into the one form in which its value is kept.

use super::table::{Directive, Kind, Unit};
use crate::resp::number::parse_double;
use crate::resp::quote::split_args;

/// The classes of clients with an output-buffer limit, as CONFIG GET names them.
pub(super) const CLIENT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// Reads a value that came as one word (CONFIG SET). `old` is the value so far.
pub(super) fn from_one(d: &Directive, word: &[u8], old: &[u8]) -> Result<Vec<u8>, String> {
    if d.takes_several() && !word.is_empty() {
        let words: Vec<&[u8]> = word.split(|&c| c == b' ').collect();
        from_words(d, &words, old)
    } else {
        from_words(d, &[word], old)
    }
}

/// Reads a value that came as words (a line of a file). `old` is the value so far.
pub(super) fn from_line(d: &Directive, words: &[Vec<u8>], old: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = || Err("wrong number of arguments".to_owned());
    if !d.takes_several() && words.len() != 1 {
        return wrong();
    }
    // `--save "900 1"`: one word that holds several.
    if let [word] = words
        && d.takes_several()
        && !word.is_empty()
    {
        let Some(words) = split_args(word) else { return wrong() };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        return from_words(d, &words, old);
    }
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    from_words(d, &words, old)
}

fn from_words(d: &Directive, words: &[&[u8]], old: &[u8]) -> Result<Vec<u8>, String> {
    let first = words.first().copied().unwrap_or_default();
    match d.kind {
        Kind::Bool => match first.to_ascii_lowercase().as_slice() {
            b"yes" => Ok(b"yes".to_vec()),
            b"no" => Ok(b"no".to_vec()),
            _ => Err("argument must be 'yes' or 'no'".into()),
        },
        Kind::Text => text(d.name, first),
        Kind::Choice(allowed) => choices(allowed, &words[..words.len().min(1)]),
        Kind::Choices(allowed) => choices(allowed, words),
        Kind::Number(min, max, unit) => number(first, min, max, unit),
        Kind::Dir => Ok(first.to_vec()),
        Kind::Save => save(words),
        Kind::OutputLimits => output_limits(words, old),
        Kind::OomScores => oom_scores(words),
        Kind::Events => events(first),
        Kind::Bind => {
            if words.len() > 16 {
                return Err("Too many bind addresses specified.".into());
            }
            Ok(words.join(&b' '))
        }
        Kind::ReplicaOf => replica_of(words),
        Kind::Percentiles => percentiles(words),
    }
}

fn text(name: &str, word: &[u8]) -> Result<Vec<u8>, String> {
    let has_path = || word.contains(&b'/');
    match name {
        "dbfilename" if has_path() => Err("dbfilename can't be a path, just a filename".into()),
        "appendfilename" if word.is_empty() => Err("appendfilename can't be empty".into()),
        "appendfilename" if has_path() => {
            Err("appendfilename can't be a path, just a filename".into())
        }
        "appenddirname" if word.is_empty() => Err("appenddirname can't be empty".into()),
        "appenddirname" if has_path() => {
            Err("appenddirname can't be a path, just a dirname".into())
        }
        _ => Ok(word.to_vec()),
    }
}

fn choices(allowed: &[&str], words: &[&[u8]]) -> Result<Vec<u8>, String> {
    let mut chosen = Vec::new();
    for word in words {
        match allowed.iter().find(|a| a.as_bytes().eq_ignore_ascii_case(word)) {
            Some(word) if !chosen.contains(word) => chosen.push(*word),
            Some(_) => {}
            None => {
                return Err(format!(
                    "argument(s) must be one of the following: {}",
                    allowed.join(", ")
                ));
            }
        }
    }
    if chosen.is_empty() {
        return Err("wrong number of arguments".into());
    }
    if chosen.contains(&"save") && chosen.contains(&"nosave") {
        return Err(
            "shutdown-on-sigterm and shutdown-on-sigint cannot have both save and nosave".into()
        );
    }
    if chosen.len() > 1 {
        chosen.retain(|word| *word != "default");
    }
    // The other name of one value.
    let chosen: Vec<&str> =
        chosen.into_iter().map(|w| if w == "relative" { "yes" } else { w }).collect();
    Ok(chosen.join(" ").into_bytes())
}

fn number(word: &[u8], min: i64, max: i64, unit: Unit) -> Result<Vec<u8>, String> {
    let value = match unit {
        Unit::Plain => plain(word).ok_or("argument couldn't be parsed into an integer")?,
        Unit::Octal => core::str::from_utf8(word)
            .ok()
            .and_then(|w| i64::from_str_radix(w, 8).ok())
            .ok_or("argument couldn't be parsed as an octal number")?,
        Unit::Memory => memory(word).ok_or("argument must be a memory value")?,
        Unit::MemoryOrPercent => match word.strip_suffix(b"%") {
            Some(percent) => plain(percent)
                .filter(|p| *p >= 0)
                .map(|p| -p)
                .ok_or("argument must be a memory or percent value")?,
            None => memory(word).ok_or("argument must be a memory or percent value")?,
        },
    };
    if unit == Unit::MemoryOrPercent && value < 0 && -value > 100 {
        return Err("percentage argument must be less or equal to 100".into());
    }
    if value < min || value > max {
        return Err(if unit == Unit::Octal {
            format!("argument must be between {min:o} and {max:o} inclusive")
        } else {
            format!("argument must be between {min} and {max} inclusive")
        });
    }
    Ok(match unit {
        Unit::Octal => format!("{value:o}"),
        Unit::MemoryOrPercent if value < 0 => format!("{}%", -value),
        _ => value.to_string(),
    }
    .into_bytes())
}

fn plain(word: &[u8]) -> Option<i64> {
    crate::resp::number::parse_i64(word)
}

/// Reads a number of bytes with an optional unit: `k` is 1000, `kb` is 1024, and so on.
pub fn memory(word: &[u8]) -> Option<i64> {
    let word = core::str::from_utf8(word).ok()?;
    let end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (digits, unit) = word.split_at(end);
    let unit: i64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(unit)
}

fn save(words: &[&[u8]]) -> Result<Vec<u8>, String> {
    let invalid = || "Invalid save parameters".to_owned();
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

fn output_limits(words: &[&[u8]], old: &[u8]) -> Result<Vec<u8>, String> {
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let mut all: Vec<Vec<u8>> = old.split(|&c| c == b' ').map(<[u8]>::to_vec).collect();
    for four in words.chunks(4) {
        let [class, hard, soft, seconds] = four else { continue };
        let class = match class.to_ascii_lowercase().as_slice() {
            b"normal" => 0,
            b"slave" | b"replica" => 1,
            b"pubsub" => 2,
            _ => {
                return Err("Invalid client class specified in buffer limit configuration.".into());
            }
        };
        let (Some(hard), Some(soft), Some(seconds)) =
            (memory(hard), memory(soft), plain(seconds).filter(|s| *s >= 0))
        else {
            return Err(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.".into(),
            );
        };
        for (i, value) in [hard, soft, seconds].into_iter().enumerate() {
            if let Some(slot) = all.get_mut(class * 4 + 1 + i) {
                *slot = value.to_string().into_bytes();
            }
        }
    }
    Ok(all.join(&b' '))
}

fn oom_scores(words: &[&[u8]]) -> Result<Vec<u8>, String> {
    if words.len() != 3 {
        return Err("wrong number of arguments".into());
    }
    if words.iter().any(|w| plain(w).is_none_or(|v| !(-2000..=2000).contains(&v))) {
        return Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into());
    }
    Ok(words.join(&b' '))
}

/// The letters of keyspace events in the order in which they are shown, with their bits.
pub(super) const EVENTS: [(u8, u16); 14] = [
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
    (b'K', 1 << 0),
    (b'E', 1 << 1),
    (b'm', 1 << 11),
    (b'n', 1 << 14),
];

/// The classes that `A` stands for: all but misses and new keys.
const EVENTS_ALL: u16 =
    1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 13;

/// The bits that letters of keyspace events stand for.
pub(super) fn event_bits(letters: &[u8]) -> Option<u16> {
    letters.iter().try_fold(0, |bits, &letter| match letter {
        b'A' => Some(bits | EVENTS_ALL),
        _ => EVENTS.iter().find(|(l, _)| *l == letter).map(|(_, bit)| bits | bit),
    })
}

fn events(word: &[u8]) -> Result<Vec<u8>, String> {
    let bits = event_bits(word).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
    let mut out = Vec::new();
    let all = bits & EVENTS_ALL == EVENTS_ALL;
    if all {
        out.push(b'A');
    }
    for (letter, bit) in EVENTS {
        if bits & bit != 0 && !(all && EVENTS_ALL & bit != 0) {
            out.push(letter);
        }
    }
    Ok(out)
}

fn replica_of(words: &[&[u8]]) -> Result<Vec<u8>, String> {
    let [host, port] = words else { return Err("wrong number of arguments".into()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        return Ok(Vec::new());
    }
    let port = plain(port).filter(|p| (0..=65535).contains(p)).ok_or("Invalid master port")?;
    Ok([*host, port.to_string().as_bytes()].join(&b' '))
}

fn percentiles(words: &[&[u8]]) -> Result<Vec<u8>, String> {
    if words == [b""] {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for word in words {
        let value =
            parse_double(word).ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&value) {
            return Err(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                    .into(),
            );
        }
        let text = format!("{value:.6}");
        out.push(text.trim_end_matches('0').trim_end_matches('.').to_owned());
    }
    Ok(out.join(" ").into_bytes())
}
