//! A command's arguments as a tree, read off the notation of the documentation: the one place
//! where `key value [NX | XX] [EX seconds | PX milliseconds]` gets a meaning. Hints and
//! `COMMAND DOCS` are made from it.
//!
//! The notation: lower-case words are values, upper-case words and punctuation are typed as they
//! stand, `[ ]` holds what may be left out, `< >` groups, `|` separates alternatives, and
//! `[x ...]` behind an `x` says that it may be repeated.

/// One argument, or several that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Argument {
    /// The name of a value; empty for groups.
    pub name: String,
    /// A word to be typed in front of it.
    pub token: Option<String>,
    /// What it consists of.
    pub kind: Kind,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be repeated.
    pub multiple: bool,
    /// Whether its token is repeated with it.
    pub multiple_token: bool,
    /// The alternatives of [`Kind::OneOf`], the parts of [`Kind::Block`].
    pub parts: Vec<Argument>,
}

/// What an argument consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kind {
    /// A value of any form.
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// A token and nothing else.
    Token,
    /// One of the parts.
    OneOf,
    /// All of the parts.
    Block,
}

/// Groups within groups; what is nested deeper is read as if it were not.
const MAX_DEPTH: usize = 16;

/// Reads the arguments off the notation. What does not keep to it is read as well as it can be.
pub fn parse(syntax: &str) -> Vec<Argument> {
    let words = words(syntax);
    let mut parser = Parser { words: &words, at: 0 };
    let mut arguments = parser.alternatives("", 0);
    while parser.at < words.len() {
        // A closing bracket that nothing opened.
        parser.at += 1;
        arguments.extend(parser.alternatives("", 0));
    }
    arguments
}

fn words(syntax: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for chunk in syntax.split_ascii_whitespace() {
        let mut rest = chunk;
        while let Some(first) = rest.chars().next() {
            let bracket = |c: char| "[]<>|".contains(c);
            let len = if bracket(first) {
                first.len_utf8()
            } else {
                rest.find(bracket).unwrap_or(rest.len())
            };
            let (word, after) = rest.split_at(len);
            words.push(word);
            rest = after;
        }
    }
    words
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl Parser<'_> {
    /// Sequences separated by bars, up to `close` or the end.
    fn alternatives(&mut self, close: &str, depth: usize) -> Vec<Argument> {
        let mut sequences: Vec<Vec<Argument>> = vec![Vec::new()];
        let mut repeated = false;
        while let Some(&word) = self.words.get(self.at) {
            if word == close || (word == "]" || word == ">") && close.is_empty() {
                break;
            }
            self.at += 1;
            match word {
                "|" => sequences.push(Vec::new()),
                "[" | "<" if depth < MAX_DEPTH => {
                    let close = if word == "[" { "]" } else { ">" };
                    let inner = self.alternatives(close, depth + 1);
                    let repeats = self.words.get(self.at.wrapping_sub(1)) == Some(&"...");
                    self.at += 1;
                    if repeats && is_repetition_of_all(&sequences, &inner) {
                        repeated = true;
                        continue;
                    }
                    let Some(sequence) = sequences.last_mut() else { continue };
                    if repeats && repeat(sequence, &inner) {
                        continue;
                    }
                    let mut argument = group(inner);
                    argument.optional |= word == "[";
                    argument.multiple |= repeats;
                    sequence.push(argument);
                }
                // What it repeats is known when the bracket closes.
                "..." => {}
                "[" | "<" | "]" | ">" => {}
                _ => {
                    if let Some(sequence) = sequences.last_mut() {
                        push_word(sequence, word);
                    }
                }
            }
        }
        let mut arguments = if sequences.len() == 1 {
            sequences.pop().unwrap_or_default()
        } else {
            let parts = sequences.into_iter().map(group).collect();
            vec![Argument { kind: Kind::OneOf, parts, ..Argument::default() }]
        };
        if repeated {
            arguments = vec![Argument { multiple: true, ..group(arguments) }];
        }
        arguments
    }
}

fn push_word(sequence: &mut Vec<Argument>, word: &str) {
    if is_token(word) {
        let token = if word == "\"\"" { "" } else { word };
        sequence.push(Argument {
            token: Some(token.to_string()),
            kind: Kind::Token,
            ..Argument::default()
        });
        return;
    }
    match sequence.last_mut() {
        // `COUNT count`: a value behind a token belongs to it.
        Some(last)
            if last.kind == Kind::Token && !last.optional && last.token.as_deref() != Some("") =>
        {
            last.name = word.to_string();
            last.kind = kind_of(word);
        }
        _ => sequence.push(Argument {
            name: word.to_string(),
            kind: kind_of(word),
            ..Argument::default()
        }),
    }
}

/// Upper-case words and punctuation are typed as they stand.
fn is_token(word: &str) -> bool {
    !word.chars().any(|c| c.is_ascii_lowercase())
}

/// The documentation's names of numbers; a value that is no number cannot stand there.
fn kind_of(name: &str) -> Kind {
    match name {
        "count"
        | "seconds"
        | "milliseconds"
        | "unix-time-seconds"
        | "unix-time-milliseconds"
        | "numkeys"
        | "numreplicas"
        | "numlocal"
        | "decrement"
        | "index"
        | "cursor"
        | "offset"
        | "destination-db"
        | "index1"
        | "index2"
        | "protover"
        | "numfields" => Kind::Integer,
        "longitude" | "latitude" | "radius" | "width" | "height" | "score" | "timeout"
        | "weight" => Kind::Double,
        _ => Kind::Text,
    }
}

/// Several arguments as one.
fn group(mut arguments: Vec<Argument>) -> Argument {
    match arguments.len() {
        1 => arguments.pop().unwrap_or_default(),
        _ => Argument { kind: Kind::Block, parts: arguments, ..Argument::default() },
    }
}

/// Marks the end of `sequence` as repeatable if that is what `inner` says again.
fn repeat(sequence: &mut Vec<Argument>, inner: &[Argument]) -> bool {
    if inner.is_empty() {
        return false;
    }
    // `KEYS key [key ...]`: the value is repeated without its token.
    if let ([only], Some(last)) = (inner, sequence.last_mut())
        && only.token.is_none()
        && last.token.is_some()
        && last.name == only.name
        && last.kind == only.kind
        && only.kind != Kind::Block
        && only.kind != Kind::OneOf
    {
        last.multiple = true;
        return true;
    }
    let Some(start) = sequence.len().checked_sub(inner.len()) else { return false };
    if sequence.get(start..) != Some(inner) {
        return false;
    }
    let repeated = sequence.split_off(start);
    let mut argument = group(repeated);
    argument.multiple = true;
    argument.multiple_token = argument.token.is_some();
    sequence.push(argument);
    true
}

/// Whether `a | b [a | b ...]` repeats the whole choice.
fn is_repetition_of_all(sequences: &[Vec<Argument>], inner: &[Argument]) -> bool {
    let [only] = inner else { return false };
    sequences.len() > 1
        && only.kind == Kind::OneOf
        && only.parts.len() == sequences.len()
        && only.parts.iter().zip(sequences).all(|(part, sequence)| match sequence.as_slice() {
            [one] => part == one,
            many => part.kind == Kind::Block && part.parts == many,
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(name: &str) -> Argument {
        Argument { name: name.into(), kind: kind_of(name), ..Argument::default() }
    }

    fn token(word: &str) -> Argument {
        Argument { token: Some(word.into()), kind: Kind::Token, ..Argument::default() }
    }

    #[test]
    fn values_tokens_and_choices() {
        let parsed = parse("key value [NX | XX] [EX seconds|KEEPTTL]");
        let one_of =
            |parts| Argument { kind: Kind::OneOf, optional: true, parts, ..Argument::default() };
        let ex = Argument { token: Some("EX".into()), ..value("seconds") };
        assert_eq!(
            parsed,
            [
                value("key"),
                value("value"),
                one_of(vec![token("NX"), token("XX")]),
                one_of(vec![ex, token("KEEPTTL")]),
            ]
        );
    }

    #[test]
    fn repetitions() {
        let multiple = |argument| Argument { multiple: true, ..argument };
        assert_eq!(parse("key [key ...]"), [multiple(value("key"))]);
        let pair = Argument {
            kind: Kind::Block,
            parts: vec![value("score"), value("member")],
            ..Argument::default()
        };
        assert_eq!(parse("key score member [score member ...]"), [value("key"), multiple(pair)]);
        let keys = Argument { token: Some("KEYS".into()), optional: true, ..value("key") };
        assert_eq!(parse("[KEYS key [key ...]]"), [multiple(keys)]);
        let get = Argument { token: Some("GET".into()), ..value("pattern") };
        assert_eq!(
            parse("[GET pattern [GET pattern ...]]"),
            [Argument { multiple: true, multiple_token: true, optional: true, ..get }]
        );
    }

    proptest! {
        #[test]
        fn any_notation_is_read(
            words in prop::collection::vec(
                prop::sample::select(vec!["[", "]", "<", ">", "|", "...", "key", "NX", "\"\"", "count"]),
                0..30,
            ),
        ) {
            let _ = parse(&words.join(" "));
        }
    }
}
