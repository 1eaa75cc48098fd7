//! Parsing and formatting of actions as text, for typed commands and lesson files.

use core::str::FromStr;
use core::time::Duration;

use super::action::{Action, ActionError, DiskFault};
use super::ids::MessageId;

/// The verb and the syntax of every action, for help, hints and completion.
pub const USAGES: &[(&str, &str)] = &[
    ("crash", "crash <host>"),
    ("restart", "restart <host> [--no-disk]"),
    ("pause", "pause <process or host>"),
    ("resume", "resume <process or host>"),
    ("kill", "kill <process or host>"),
    ("stop", "stop <process or host>"),
    ("reload", "reload <process or host>"),
    ("write", "write <host> <file> <text, with \\n for the end of a line>"),
    ("start", "start <process or host>"),
    ("partition", "partition <host>[,<host>...] [| <host>[,<host>...]]"),
    ("partition-oneway", "partition-oneway <from>[,<from>...] [| <to>[,<to>...]]"),
    ("heal", "heal [<host>[,<host>...] [| <host>[,<host>...]]]"),
    ("latency", "latency <host> <host> <time> [<jitter>]"),
    ("loss", "loss <host> <host> <percent>"),
    ("bandwidth", "bandwidth <host> <host> <rate or unlimited>"),
    ("skew", "skew <host> <+time or -time>"),
    ("drift", "drift <host> <+ppm or -ppm>"),
    (
        "disk",
        "disk <host> <ok, full, fail-writes, fail-syncs, fail-reads, fail-renames or slow <time>>",
    ),
    ("drop", "drop <message>"),
    ("delay", "delay <message> <time>"),
    ("duplicate", "duplicate <message>"),
    ("hold", "hold <message>"),
    ("release", "release <message>"),
    ("run", "run <host> <name> <program> [<argument>...]"),
    ("add-host", "add-host <name> [<address>]"),
    ("login", "login <host> <terminal> [<columns> <rows>]"),
    ("keys", "keys <terminal> <keys, with \\r for Enter and \\x03 for Ctrl-C>"),
    ("resize", "resize <terminal> <columns> <rows>"),
    ("type", "type <process or terminal> <line>"),
    ("interrupt", "interrupt <process>"),
];

impl FromStr for Action {
    type Err = ActionError;

    fn from_str(text: &str) -> Result<Self, ActionError> {
        let text = text.trim();
        let (verb, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if verb.is_empty() {
            return Err(ActionError::Empty);
        }
        let Some(&(verb, usage)) = USAGES.iter().find(|(known, _)| *known == verb) else {
            return Err(ActionError::UnknownAction {
                verb: verb.into(),
                nearest: nearest_of_all(verb),
            });
        };
        let mut words = Words { verb, usage, rest: rest.trim_start() };
        let action = parse(&mut words)?;
        words.end()?;
        Ok(action)
    }
}

fn parse(words: &mut Words<'_>) -> Result<Action, ActionError> {
    Ok(match words.verb {
        "crash" => Action::Crash { host: words.name("a host")? },
        "restart" => {
            let host = words.name("a host")?;
            let disk = match words.next() {
                None => true,
                Some("--no-disk") => false,
                Some(other) => return Err(words.surplus(other)),
            };
            Action::Restart { host, disk }
        }
        "pause" => Action::Pause { target: words.name("a process or host")? },
        "resume" => Action::Resume { target: words.name("a process or host")? },
        "kill" => Action::Kill { target: words.name("a process or host")? },
        "stop" => Action::Stop { target: words.name("a process or host")? },
        "reload" => Action::Reload { target: words.name("a process or host")? },
        "write" => Action::Write {
            host: words.name("a host, a file and a text")?,
            path: words.quoted("a file and a text")?,
            text: parse_keys(words.rest_of_line())
                .ok_or_else(|| invalid("a text", "\\", r"port 6379\n"))?,
        },
        "start" => Action::Start { target: words.name("a process or host")? },
        "partition" => {
            let (a, b) = words.sets()?;
            Action::Partition { a: words.some(a)?, b }
        }
        "partition-oneway" => {
            let (from, to) = words.sets()?;
            Action::PartitionOneWay { from: words.some(from)?, to }
        }
        "heal" => {
            let (a, b) = words.sets()?;
            Action::Heal { a, b }
        }
        "latency" => Action::Latency {
            a: words.name("two hosts and a time")?,
            b: words.name("a second host and a time")?,
            latency: words.value("a time", parse_duration, TIME)?,
            jitter: words
                .next()
                .map(|w| parse_duration(w).ok_or_else(|| invalid("a time", w, TIME)))
                .transpose()?,
        },
        "loss" => Action::Loss {
            a: words.name("two hosts and a percentage")?,
            b: words.name("a second host and a percentage")?,
            ppm: words.value("a percentage from 0% to 100%", parse_ppm, "5% or 0.1%")?,
        },
        "bandwidth" => Action::Bandwidth {
            a: words.name("two hosts and a rate")?,
            b: words.name("a second host and a rate")?,
            bits: words.value("a rate", parse_bits, "10mbit, 64kbit, 1gbit or unlimited")?,
        },
        "skew" => Action::Skew {
            host: words.name("a host and a time")?,
            micros: words.value("a time with a sign", parse_skew, "+5s or -200ms")?,
        },
        "drift" => Action::Drift {
            host: words.name("a host and a rate")?,
            ppm: words.value("a rate in parts per million", parse_drift, "+50ppm or -50ppm")?,
        },
        "disk" => Action::Disk {
            host: words.name("a host and a fault")?,
            fault: match words.next() {
                Some("ok") => DiskFault::None,
                Some("full") => DiskFault::Full,
                Some("fail-writes") => DiskFault::Writes,
                Some("fail-syncs") => DiskFault::Syncs,
                Some("fail-reads") => DiskFault::Reads,
                Some("fail-renames") => DiskFault::Renames,
                Some("slow") => DiskFault::Slow(words.value("a time", parse_duration, TIME)?),
                Some(other) => return Err(invalid("a disk fault", other, "full or fail-syncs")),
                None => return Err(words.missing("a fault")),
            },
        },
        "drop" => Action::Drop { message: words.message()? },
        "delay" => Action::Delay {
            message: words.message()?,
            by: words.value("a time", parse_duration, TIME)?,
        },
        "duplicate" => Action::Duplicate { message: words.message()? },
        "hold" => Action::Hold { message: words.message()? },
        "release" => Action::Release { message: words.message()? },
        "run" => {
            let host = words.name("a host, a name and a program")?;
            let name = words.name("a name and a program")?;
            let mut line = split_words(words.rest_of_line())?.into_iter();
            let program = line.next().ok_or_else(|| words.missing("a program"))?;
            Action::Run { host, name, program, args: line.collect() }
        }
        "add-host" => Action::AddHost {
            name: words.name("a name")?,
            ip: words
                .next()
                .map(|w| w.parse().map_err(|_| invalid("an address", w, "10.0.0.9")))
                .transpose()?,
        },
        "login" => {
            let (host, terminal) = (words.name("a host")?, words.name("a terminal's name")?);
            let (columns, rows) = match words.next() {
                None => (80, 24),
                Some(columns) => {
                    let columns = parse_size(columns);
                    (
                        columns.ok_or_else(|| invalid("a number of columns", "", SIZE))?,
                        words.value("a number of rows", parse_size, SIZE)?,
                    )
                }
            };
            Action::Login { host, terminal, columns, rows }
        }
        "keys" => Action::Keys {
            terminal: words.name("a terminal and keys")?,
            keys: parse_keys(words.rest_of_line())
                .ok_or_else(|| invalid("keys", "\\", r"ls\r or \x03"))?,
        },
        "resize" => Action::Resize {
            terminal: words.name("a terminal, columns and rows")?,
            columns: words.value("a number of columns", parse_size, SIZE)?,
            rows: words.value("a number of rows", parse_size, SIZE)?,
        },
        "type" => Action::Type {
            process: words.name("a process and a line")?,
            line: words.rest_of_line().into(),
        },
        // The last verb of the table above.
        _ => Action::Interrupt { process: words.name("a process")? },
    })
}

const TIME: &str = "20ms, 1.5s, 300us or 2m";

const SIZE: &str = "80 or 24";

fn parse_size(text: &str) -> Option<u16> {
    text.parse().ok().filter(|size| (1..=1_000).contains(size))
}

/// Parses keys in the format of [`show_keys`].
fn parse_keys(text: &str) -> Option<String> {
    let mut keys = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => keys.push(match chars.next()? {
                'r' => '\r',
                'n' => '\n',
                't' => '\t',
                'e' => '\x1b',
                's' => ' ',
                '\\' => '\\',
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    char::from(u8::from_str_radix(&digits, 16).ok().filter(u8::is_ascii)?)
                }
                _ => return None,
            }),
            c => keys.push(c),
        }
    }
    Some(keys)
}

/// Formats keys on one line: control characters as escapes, a blank at either end as `\s`.
pub(super) fn show_keys(keys: &str) -> String {
    let mut text = String::new();
    let last = keys.chars().count().saturating_sub(1);
    for (at, c) in keys.chars().enumerate() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\r' => text.push_str("\\r"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\x1b' => text.push_str("\\e"),
            ' ' if at == 0 || at == last => text.push_str("\\s"),
            c if c.is_ascii_control() => text.push_str(&format!("\\x{:02x}", c as u32)),
            c => text.push(c),
        }
    }
    text
}

/// The unread words of an action.
struct Words<'a> {
    verb: &'static str,
    usage: &'static str,
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        self.rest = rest;
        Some(word)
    }

    fn missing(&self, what: &'static str) -> ActionError {
        ActionError::Missing { verb: self.verb, what, usage: self.usage }
    }

    fn surplus(&self, value: &str) -> ActionError {
        ActionError::Surplus { verb: self.verb, value: value.into(), usage: self.usage }
    }

    fn name(&mut self, what: &'static str) -> Result<String, ActionError> {
        self.next().map(Into::into).ok_or_else(|| self.missing(what))
    }

    /// A word that may be in quotes.
    fn quoted(&mut self, what: &'static str) -> Result<String, ActionError> {
        let (word, rest) = quoted_word(self.rest)?.ok_or_else(|| self.missing(what))?;
        self.rest = rest;
        Ok(word)
    }

    fn value<T>(
        &mut self,
        what: &'static str,
        parse: fn(&str) -> Option<T>,
        example: &'static str,
    ) -> Result<T, ActionError> {
        let word = self.next().ok_or_else(|| self.missing(what))?;
        parse(word).ok_or_else(|| invalid(what, word, example))
    }

    fn message(&mut self) -> Result<MessageId, ActionError> {
        self.value("a message number", |w| w.strip_prefix('#').unwrap_or(w).parse().ok(), "#1234")
            .map(MessageId)
    }

    /// Two sets of hosts, `a,b | c`; names are separated by commas or blanks.
    fn sets(&mut self) -> Result<(Vec<String>, Vec<String>), ActionError> {
        let line = self.rest_of_line();
        let (a, b) = line.split_once('|').unwrap_or((line, ""));
        if let Some((_, more)) = b.split_once('|') {
            return Err(self.surplus(&format!("|{more}")));
        }
        let names = |text: &str| {
            let words = text.split(|c: char| c == ',' || c.is_whitespace());
            words.filter(|w| !w.is_empty()).map(Into::into).collect::<Vec<String>>()
        };
        let sets = (names(a), names(b));
        if sets.0.is_empty() && !sets.1.is_empty() { Err(self.missing("a host")) } else { Ok(sets) }
    }

    fn some(&self, names: Vec<String>) -> Result<Vec<String>, ActionError> {
        if names.is_empty() { Err(self.missing("a host")) } else { Ok(names) }
    }

    fn rest_of_line(&mut self) -> &'a str {
        core::mem::take(&mut self.rest).trim_start()
    }

    fn end(&mut self) -> Result<(), ActionError> {
        self.next().map_or(Ok(()), |word| Err(self.surplus(word)))
    }
}

fn invalid(what: &'static str, value: &str, example: &'static str) -> ActionError {
    ActionError::Invalid { what, value: value.into(), example }
}

fn nearest_of_all(typed: &str) -> &'static str {
    nearest(typed, USAGES).unwrap_or("crash")
}

/// The verb with the smallest edit distance to what was typed.
pub fn nearest(typed: &str, known: &[(&'static str, &'static str)]) -> Option<&'static str> {
    let distance = |known: &str| {
        let typed: Vec<char> = typed.chars().take(40).collect();
        let mut row: Vec<usize> = (0..=typed.len()).collect();
        for (i, k) in known.chars().enumerate() {
            let mut corner = core::mem::replace(&mut row[0], i + 1);
            for (j, t) in typed.iter().enumerate() {
                let cost = corner + usize::from(*t != k);
                corner = row[j + 1];
                row[j + 1] = cost.min(corner + 1).min(row[j] + 1);
            }
        }
        row[typed.len()]
    };
    known.iter().map(|(verb, _)| *verb).min_by_key(|verb| distance(verb))
}

/// Splits a line into words, see [`quoted_word`].
fn split_words(mut line: &str) -> Result<Vec<String>, ActionError> {
    let mut words = Vec::new();
    while let Some((word, rest)) = quoted_word(line)? {
        words.push(word);
        line = rest;
    }
    Ok(words)
}

/// The first word of a line, and the text after the blank behind it. Quotes keep blanks together,
/// and a backslash escapes the next character.
fn quoted_word(line: &str) -> Result<Option<(String, &str)>, ActionError> {
    let line = line.trim_start();
    let (mut word, mut quote) = (None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => break,
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(invalid("a line with its quotes closed", line, "\"two words\""));
    }
    Ok(word.map(|word| (word, chars.as_str())))
}

/// Formats a word so that [`quoted_word`] parses it.
pub(super) fn show_word(word: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\');
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Parses a number with at most `digits` decimals, as a multiple of the smallest of them.
fn parse_decimal(text: &str, digits: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(part) || part.len() > digits {
        return None;
    }
    let scale = 10u64.checked_pow(u32::try_from(digits).ok()?)?;
    let fraction = if digits == 0 { 0 } else { format!("{part:0<digits$}").parse().ok()? };
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(fraction)
}

/// Units of time, longest name first so that `ms` is not read as `s`.
const TIMES: [(&str, usize, u64); 6] =
    [("ms", 6, 1), ("us", 3, 1), ("ns", 0, 1), ("s", 9, 1), ("m", 9, 60), ("h", 9, 3600)];

/// Parses a time in the format of actions: `20ms`, `1.5s`, `300us`, `2m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (unit, digits, times) = TIMES.iter().find(|(unit, ..)| text.ends_with(unit))?;
    let nanos = parse_decimal(text.strip_suffix(unit)?, *digits)?;
    Some(Duration::from_nanos(nanos.checked_mul(*times)?))
}

/// Formats a time in the unit that makes it shortest.
pub(super) fn show_duration(d: Duration) -> String {
    let nanos = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    let (unit, digits) = match nanos {
        1_000_000_000.. => ("s", 9),
        1_000_000.. => ("ms", 6),
        1_000.. => ("us", 3),
        0 => return "0ms".into(),
        _ => ("ns", 0),
    };
    format!("{}{unit}", show_decimal(nanos, digits))
}

fn show_decimal(n: u64, digits: u32) -> String {
    let scale = 10u64.pow(digits);
    let fraction = format!("{:0width$}", n % scale, width = digits as usize);
    match fraction.trim_end_matches('0') {
        "" => format!("{}", n / scale),
        part => format!("{}.{part}", n / scale),
    }
}

fn parse_ppm(text: &str) -> Option<u32> {
    let ppm = parse_decimal(text.strip_suffix('%').unwrap_or(text), 4)?;
    u32::try_from(ppm).ok().filter(|&ppm| ppm <= 1_000_000)
}

pub(super) fn show_ppm(ppm: u32) -> String {
    format!("{}%", show_decimal(u64::from(ppm), 4))
}

fn parse_bits(text: &str) -> Option<Option<u64>> {
    if text == "unlimited" {
        return Some(None);
    }
    let (number, digits) = [("kbit", 3), ("mbit", 6), ("gbit", 9), ("bit", 0)]
        .iter()
        .find_map(|(unit, digits)| Some((text.strip_suffix(unit)?, *digits)))?;
    parse_decimal(number, digits).filter(|&bits| bits > 0).map(Some)
}

pub(super) fn show_bits(bits: Option<u64>) -> String {
    match bits {
        None => "unlimited".into(),
        Some(bits @ 1_000_000_000..) => format!("{}gbit", show_decimal(bits, 9)),
        Some(bits @ 1_000_000..) => format!("{}mbit", show_decimal(bits, 6)),
        Some(bits @ 1_000..) => format!("{}kbit", show_decimal(bits, 3)),
        Some(bits) => format!("{bits}bit"),
    }
}

fn parse_skew(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let micros = parse_duration(rest)?.as_micros();
    // At most a century in either direction; more is probably a typing error.
    i64::try_from(micros).ok().filter(|&m| m <= 3_200_000_000_000_000).map(|m| sign * m)
}

fn parse_drift(text: &str) -> Option<i64> {
    let number = text.strip_suffix("ppm").unwrap_or(text);
    number.parse::<i64>().ok().filter(|ppm| ppm.unsigned_abs() <= 500_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_and_shown() {
        for line in [
            "crash redis-1",
            "restart redis-1 --no-disk",
            "partition a,b | c",
            "partition-oneway a",
            "heal",
            "heal a | b,c",
            "latency a b 20ms",
            "latency a * 1.5s 300us",
            "loss a b 0.5%",
            "bandwidth a b 1.5mbit",
            "bandwidth * * unlimited",
            "skew a -200ms",
            "drift a +50ppm",
            "disk a slow 30ms",
            "delay #12 50ms",
            "run h t redis-cli -h redis-1 set k \"a b\" \"\"",
            "type t set k  \"two  blanks\"",
        ] {
            assert_eq!(line.parse::<Action>().map(|a| a.to_string()), Ok(line.into()));
        }
        let loose = "  partition  a b  |c ".parse::<Action>().map(|a| a.to_string());
        assert_eq!(loose, Ok("partition a,b | c".into()));
    }

    #[test]
    fn errors_name_the_thing_the_value_and_the_remedy() {
        for (line, words) in [
            ("", "no action given; try: crash <host>"),
            ("partitoin a", "unknown action 'partitoin'; did you mean 'partition'?"),
            ("crash", "'crash' needs a host; usage: crash <host>"),
            ("crash a b", "'crash' does not know what to do with 'b'; usage: crash <host>"),
            ("latency a b soon", "'soon' is not a time; write it like 20ms, 1.5s, 300us or 2m"),
            (
                "loss a b 101%",
                "'101%' is not a percentage from 0% to 100%; write it like 5% or 0.1%",
            ),
            ("drop x", "'x' is not a message number; write it like #1234"),
            ("disk a broken", "'broken' is not a disk fault; write it like full or fail-syncs"),
            (
                "partition | b",
                "'partition' needs a host; usage: \
                 partition <host>[,<host>...] [| <host>[,<host>...]]",
            ),
        ] {
            assert_eq!(line.parse::<Action>().map_err(|e| e.to_string()), Err(words.into()));
        }
    }

    #[test]
    fn every_verb_of_the_table_is_parsed() {
        for (verb, _) in USAGES {
            let known = verb.parse::<Action>();
            assert!(!matches!(known, Err(ActionError::UnknownAction { .. })), "{verb}");
        }
    }
}
