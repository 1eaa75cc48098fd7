//! Hints: the grey text after the cursor, which shows the arguments that may follow.
//!
//! The words typed so far are matched with the command's [`Argument`]s, and the remaining arguments
//! are written in the notation of the documentation. Options may come in any order, an incomplete
//! option is shown first, and a word that does not match ends the hint.

use crate::command::syntax::{Argument, Kind};

/// The hint after `words`, which follow the command's name; `None` if they do not match.
pub(crate) fn hint<W: AsRef<[u8]>>(arguments: &[Argument], words: &[W]) -> Option<String> {
    let mut slots: Vec<Slot<'_>> = arguments.iter().map(Slot::new).collect();
    let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
    if match_all(&mut slots, &words) != words.len() {
        return None;
    }
    let mut out = String::new();
    show_all(&mut out, &mut slots, " ");
    Some(out)
}

/// All arguments of a command in the notation of hints.
pub(crate) fn syntax(arguments: &[Argument]) -> String {
    hint::<&[u8]>(arguments, &[]).unwrap_or_default()
}

/// An argument, and how much of it was typed.
struct Slot<'a> {
    argument: &'a Argument,
    /// The number of words that it has matched.
    matched: usize,
    token: bool,
    name: bool,
    all: bool,
    parts: Vec<Slot<'a>>,
}

impl<'a> Slot<'a> {
    fn new(argument: &'a Argument) -> Self {
        let parts = argument.parts.iter().map(Slot::new).collect();
        Slot { argument, matched: 0, token: false, name: false, all: false, parts }
    }

    fn clear(&mut self) {
        (self.matched, self.token, self.name, self.all) = (0, false, false, false);
        self.parts.iter_mut().for_each(Slot::clear);
    }

    /// Matches as many words as possible; returns how many.
    fn take(&mut self, words: &[&[u8]]) -> usize {
        let mut once = self.take_once(words);
        if !self.argument.multiple {
            return once;
        }
        let mut taken = once;
        while self.all && taken < words.len() {
            self.clear();
            let rest = words.get(taken..).unwrap_or_default();
            if self.argument.token.is_some() && !self.argument.multiple_token {
                // Only the first repetition begins with the token; here it counts as seen.
                once = self.take_value(rest);
                self.token = self.matched > 0;
            } else {
                once = self.take_once(rest);
            }
            taken += once;
        }
        // Another repetition may always follow.
        self.all = false;
        taken
    }

    fn take_once(&mut self, words: &[&[u8]]) -> usize {
        let Some(token) = &self.argument.token else {
            return self.take_value(words);
        };
        let Some((first, rest)) = words.split_first() else { return 0 };
        if !first.eq_ignore_ascii_case(token.as_bytes()) {
            return 0;
        }
        self.token = true;
        self.matched = 1;
        if self.argument.kind == Kind::Token {
            self.all = true;
            return 1;
        }
        if rest.is_empty() || self.take_value(rest) > 0 { self.matched } else { 0 }
    }

    fn take_value(&mut self, words: &[&[u8]]) -> usize {
        let Some(first) = words.first() else { return 0 };
        match self.argument.kind {
            Kind::Block => {
                self.matched += match_all(&mut self.parts, words);
                self.all = self.parts.iter().all(|part| part.all);
            }
            Kind::OneOf => {
                for part in &mut self.parts {
                    if part.take(words) > 0 {
                        self.matched += part.matched;
                        self.all = part.all;
                        break;
                    }
                }
            }
            kind => {
                let fits = match kind {
                    Kind::Integer | Kind::UnixTime => begins_with_number(first, false),
                    Kind::Double => begins_with_number(first, true),
                    _ => true,
                };
                self.matched = if fits { self.matched + 1 } else { 0 };
                self.name = fits;
                self.all |= fits;
            }
        }
        self.matched
    }

    fn show(&mut self, out: &mut String) {
        if self.all {
            return;
        }
        let argument = self.argument;
        if argument.optional && self.matched == 0 {
            out.push('[');
        }
        if let Some(token) = &argument.token
            && !self.token
        {
            push_token(out, token);
            if argument.kind != Kind::Token {
                out.push(' ');
            }
        }
        match argument.kind {
            Kind::OneOf if self.matched == 0 => show_all(out, &mut self.parts, "|"),
            Kind::OneOf => {
                for part in self.parts.iter_mut().filter(|part| part.matched > 0) {
                    part.show(out);
                }
            }
            Kind::Block => show_all(out, &mut self.parts, " "),
            Kind::Token => {}
            _ if self.name => {}
            _ => out.push_str(argument.shown()),
        }
        if argument.multiple {
            self.show_repetition(out);
        }
        if argument.optional && self.matched == 0 {
            out.push(']');
        }
    }

    fn show_repetition(&mut self, out: &mut String) {
        // The repeating part is shown completely, even if some of it was typed.
        self.clear();
        if !out.is_empty() {
            out.push(' ');
        }
        out.push('[');
        let argument = self.argument;
        if let Some(token) = &argument.token
            && argument.multiple_token
        {
            push_token(out, token);
            if argument.kind != Kind::Token {
                out.push(' ');
            }
        }
        match argument.kind {
            Kind::OneOf => show_all(out, &mut self.parts, "|"),
            Kind::Block => show_all(out, &mut self.parts, " "),
            Kind::Token => {}
            _ => out.push_str(argument.shown()),
        }
        out.push_str(" ...]");
    }
}

/// Matches words with consecutive arguments; returns how many, or 0 if one does not match.
fn match_all(slots: &mut [Slot<'_>], words: &[&[u8]]) -> usize {
    let (mut taken, mut at) = (0, 0);
    while taken < words.len() && at < slots.len() {
        let rest = words.get(taken..).unwrap_or_default();
        let Some(after) = slots.get_mut(at..) else { break };
        let options = after.iter().take_while(|slot| slot.argument.optional).count();
        if options > 0 {
            taken += match_options(after.get_mut(..options).unwrap_or_default(), rest);
            at += options;
        } else {
            let n = after.first_mut().map_or(0, |slot| slot.take(rest));
            if n == 0 {
                return 0;
            }
            taken += n;
            at += 1;
        }
    }
    taken
}

/// Matches words with options, which may come in any order.
fn match_options(slots: &mut [Slot<'_>], words: &[&[u8]]) -> usize {
    let mut taken = 0;
    let mut last: Option<usize> = None;
    while let Some(rest) = words.get(taken..).filter(|rest| !rest.is_empty()) {
        let found = slots
            .iter_mut()
            .enumerate()
            .filter(|(_, slot)| slot.matched == 0)
            .find_map(|(i, slot)| Some((i, slot.take(rest))).filter(|(_, n)| *n > 0));
        let Some((i, n)) = found else { break };
        // An earlier option has ended, complete or not.
        if let Some(last) = last.and_then(|last| slots.get_mut(last)) {
            last.all = true;
        }
        last = Some(i);
        taken += n;
    }
    taken
}

fn show_all(out: &mut String, slots: &mut [Slot<'_>], separator: &str) {
    let count = slots.len();
    let mut len = out.len();
    let mut separate = |out: &mut String, last: bool| {
        if out.len() > len && !last {
            out.push_str(separator);
            len = out.len();
        }
    };
    let mut i = 0;
    while i < count {
        let options = slots.iter().skip(i).take_while(|slot| slot.argument.optional).count();
        if options == 0 {
            if let Some(slot) = slots.get_mut(i) {
                slot.show(out);
            }
            separate(out, i + 1 == count);
            i += 1;
            continue;
        }
        let end = i + options;
        let mut begun = None;
        for j in i..end {
            if let Some(slot) = slots.get_mut(j)
                && slot.matched > 0
                && !slot.all
            {
                slot.show(out);
                separate(out, i + 1 == count);
                begun = Some(j);
            }
        }
        // Once a later argument was typed, the options before it are no longer possible.
        if slots.get(end).is_none_or(|next| next.matched == 0) {
            for j in i..end {
                if begun != Some(j)
                    && let Some(slot) = slots.get_mut(j)
                {
                    slot.show(out);
                    separate(out, j + 1 == count);
                }
            }
        }
        i = end;
    }
    // Removes a separator that nothing follows.
    if out.ends_with(separator) && out.len() == len {
        out.truncate(out.len() - separator.len());
    }
}

fn push_token(out: &mut String, token: &str) {
    out.push_str(if token.is_empty() { "\"\"" } else { token });
}

/// As with `scanf`, a number at the start is sufficient.
fn begins_with_number(word: &[u8], fraction: bool) -> bool {
    let word = word.trim_ascii_start();
    let digits = match word {
        [b'+' | b'-', rest @ ..] => rest,
        rest => rest,
    };
    let lower = digits.get(..3).unwrap_or_default().to_ascii_lowercase();
    match digits {
        [b'0'..=b'9', ..] => true,
        [b'.', b'0'..=b'9', ..] => fraction,
        _ => fraction && (lower == b"inf" || lower == b"nan"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::syntax::parse;

    fn hint_for(notation: &str, typed: &str) -> String {
        let words: Vec<&str> = typed.split_ascii_whitespace().collect();
        hint(&parse(notation), &words).unwrap_or_default()
    }

    const SET: &str = "key value [NX | XX] [GET] [EX seconds | PX milliseconds | \
        EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]";
    const GEORADIUS: &str = "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] \
        [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]";
    const ZADD: &str = "key [NX | XX] [GT | LT] [CH] [INCR] <score member> ...";

    #[test]
    fn typed_arguments_disappear_from_the_hint() {
        assert_eq!(hint_for("key decrement", ""), "key decrement");
        assert_eq!(hint_for("key decrement", "k"), "decrement");
        assert_eq!(hint_for("key decrement", "k 2"), "");
        assert_eq!(hint_for("key start end [COUNT count]", "k 4 2 COUNT"), "count");
        assert_eq!(hint_for("key [count [WITHSCORES]]", "k 3"), "[WITHSCORES]");
        assert_eq!(hint_for("key ...", "k k"), "[key ...]");
        assert_eq!(hint_for("<parameter value> ...", "p"), "value [parameter value ...]");
    }

    #[test]
    fn options_come_in_any_order() {
        let rest = "[NX|XX] [GET]";
        assert_eq!(hint_for(SET, "k v EX"), format!("seconds {rest}"));
        assert_eq!(hint_for(SET, "k v EX 23"), rest);
        assert_eq!(hint_for(SET, "k v KEEPTTL"), rest);
        assert!(hint_for(SET, "k v").starts_with("[NX|XX] [GET] [EX seconds|PX milliseconds|EXAT"));
        assert_eq!(
            hint_for("cursor [MATCH pattern] [COUNT count] [TYPE type]", "2 COUNT"),
            "count [MATCH pattern] [TYPE type]"
        );
    }

    #[test]
    fn a_begun_option_is_shown_first() {
        let rest = "[WITHCOORD] [WITHDIST] [WITHHASH]";
        let tail = "[ASC|DESC] [STORE key|STOREDIST key]";
        assert_eq!(hint_for(GEORADIUS, "k 1 2 3 M COUNT"), format!("count [ANY] {rest} {tail}"));
        assert_eq!(hint_for(GEORADIUS, "k 1 -2.3 3 M COUNT 9"), format!("[ANY] {rest} {tail}"));
        assert_eq!(
            hint_for(GEORADIUS, "k 1 2 3 M COUNT 12 ASC"),
            format!("{rest} [STORE key|STOREDIST key]")
        );
    }

    #[test]
    fn options_end_where_what_follows_begins() {
        assert_eq!(hint_for(ZADD, "k CH LT"), "[NX|XX] [INCR] score member [score member ...]");
        assert_eq!(hint_for(ZADD, "k 0"), "member [score member ...]");
    }

    #[test]
    fn choices_and_empty_tokens() {
        let lmove = "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout";
        assert_eq!(hint_for(lmove, "a b LEFT"), "LEFT|RIGHT timeout");
        assert_eq!(
            hint_for("host port <key | empty=\"\"> destination-db", "h 1"),
            "key|\"\" destination-db"
        );
    }

    #[test]
    fn repeated_blocks_with_tokens() {
        let field = "key [GET <encoding offset>] ...";
        assert_eq!(hint_for(field, "k"), "[GET encoding offset [GET encoding offset ...]]");
        assert_eq!(hint_for(field, "k GET u8 12 GET u8"), "offset [GET encoding offset ...]]");
    }

    #[test]
    fn a_word_out_of_place_ends_the_hint() {
        assert_eq!(hint(&parse(SET), &["k", "v", "FOOBAR"]), None);
        assert_eq!(hint(&parse(SET), &["k", "v", "EX", "sec"]), None);
        assert_eq!(hint(&parse(GEORADIUS), &["k", "1", "X"]), None);
    }
}
