//! Parsing the words of a directive into the one form in which its value is stored.

use core::fmt;

use super::directive::{Directive, Kind, Unit};
use crate::resp::number::parse_double;
use crate::resp::quote::split_args;

/// The classes of clients with an output-buffer limit, as CONFIG GET names them.
pub(super) const CLIENT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// Why a directive, or its value, is not accepted: in Redis's words, where Redis has some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectiveError(pub String);

impl fmt::Display for DirectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for DirectiveError {}

impl From<&str> for DirectiveError {
    fn from(why: &str) -> Self {
        Self(why.to_owned())
    }
}

impl From<String> for DirectiveError {
    fn from(why: String) -> Self {
        Self(why)
    }
}

/// Parses a value given as one word (CONFIG SET). `old` is the current value.
pub(in crate::front) fn from_one(
    d: &Directive,
    word: &[u8],
    old: &[u8],
) -> Result<Vec<u8>, DirectiveError> {
    if d.takes_several() && !word.is_empty() {
        let words: Vec<&[u8]> = word.split(|&c| c == b' ').collect();
        from_words(d, &words, old)
    } else {
        from_words(d, &[word], old)
    }
}

/// Parses a value given as several words (a line of a file). `old` is the current value.
pub(super) fn from_line(
    d: &Directive,
    words: &[Vec<u8>],
    old: &[u8],
) -> Result<Vec<u8>, DirectiveError> {
    let wrong = || Err("wrong number of arguments".into());
    if !d.takes_several() && words.len() != 1 {
        return wrong();
    }
    // `--save "900 1"`: one word that contains several.
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

fn from_words(d: &Directive, words: &[&[u8]], old: &[u8]) -> Result<Vec<u8>, DirectiveError> {
    let first = words.first().copied().unwrap_or_default();
    match d.kind {
        Kind::Bool => match first.to_ascii_lowercase().as_slice() {
            b"yes" => Ok(b"yes".to_vec()),
            b"no" => Ok(b"no".to_vec()),
            _ => Err("argument must be 'yes' or 'no'".into()),
        },
        Kind::Text => Ok(first.to_vec()),
        Kind::TextIf(check) => check(first).map(|()| first.to_vec()).map_err(Into::into),
        Kind::Custom(form) => (form.read)(words),
        Kind::Choice(allowed) => choices(allowed, &words[..words.len().min(1)]),
        Kind::Choices(allowed) => choices(allowed, words),
        Kind::Number(min, max, unit) => number(first, min, max, unit),
        Kind::Dir => Ok(first.to_vec()),
        Kind::OutputLimits => output_limits(words, old),
        Kind::Bind => {
            if words.len() > 16 {
                return Err("Too many bind addresses specified.".into());
            }
            Ok(words.join(&b' '))
        }
        Kind::Percentiles => percentiles(words),
    }
}

fn choices(allowed: &[&str], words: &[&[u8]]) -> Result<Vec<u8>, DirectiveError> {
    let is = |choice: &str, word: &[u8]| choice.as_bytes().eq_ignore_ascii_case(word);
    let known = |word: &&[u8]| allowed.iter().any(|choice| is(choice, word));
    if words.is_empty() || !words.iter().all(known) {
        let known = allowed.join(", ");
        return Err(format!("argument(s) must be one of the following: {known}").into());
    }
    // In the order of the choices, whatever the order of the words.
    let given = |choice: &&str| words.iter().any(|word| is(choice, word));
    let mut chosen: Vec<&str> = allowed.iter().copied().filter(given).collect();
    if chosen.contains(&"save") && chosen.contains(&"nosave") {
        return Err(
            "shutdown-on-sigterm and shutdown-on-sigint cannot have both save and nosave".into()
        );
    }
    if chosen.len() > 1 {
        chosen.retain(|word| *word != "default");
    }
    // Two words that mean the same value.
    let chosen: Vec<&str> =
        chosen.into_iter().map(|w| if w == "relative" { "yes" } else { w }).collect();
    Ok(chosen.join(" ").into_bytes())
}

fn number(word: &[u8], min: i64, max: i64, unit: Unit) -> Result<Vec<u8>, DirectiveError> {
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
        return Err(match unit {
            Unit::Octal => format!("argument must be between {min:o} and {max:o} inclusive"),
            _ => format!("argument must be between {min} and {max} inclusive"),
        }
        .into());
    }
    Ok(match unit {
        Unit::Octal => format!("{value:o}"),
        Unit::MemoryOrPercent if value < 0 => format!("{}%", -value),
        _ => value.to_string(),
    }
    .into_bytes())
}

/// Reads a decimal integer.
pub(crate) fn plain(word: &[u8]) -> Option<i64> {
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

fn output_limits(words: &[&[u8]], old: &[u8]) -> Result<Vec<u8>, DirectiveError> {
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

fn percentiles(words: &[&[u8]]) -> Result<Vec<u8>, DirectiveError> {
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
