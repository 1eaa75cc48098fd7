//! The syntax of a command's arguments: parses notation such as `key value [condition: NX | XX]
//! [expiration: EX seconds | PX milliseconds]` into a tree, from which hints and `COMMAND DOCS` are
//! generated.
//!
//! The notation follows that of the documentation: lower-case words are values, upper-case words
//! and punctuation are literal tokens; `[ ]` encloses optional arguments, `< >` groups, `|`
//! separates alternatives, and `...` marks what may be repeated. What `COMMAND DOCS` tells and the
//! documentation does not show is written as follows:
//!
//! * `[name: A | B]`, `<name: a b>`: the group's name;
//! * `TOKEN value`, `TOKEN <name: a b>`: the token belongs to what follows. `KEYS key ...` has it
//!   once, `[GET pattern] ...` each time;
//! * `"normal"`: a token that is not in upper case; `change=CH`: a token whose name is not its own;
//! * `addr=ip:port`: a value whose displayed text differs from its name;
//! * `name#double`: the type of the value, if `kind_of` does not know it; `name#key:2`: also that
//!   it belongs to the third key specification, if that is not just the next;
//! * `name@6.2.0`: the version of Redis that introduced it; `name@-2.8.12`: that deprecated it.

/// One argument, or several that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// The text shown in place of the name; empty for the name.
    pub display: String,
    /// The token in front of it.
    pub token: Option<String>,
    /// Its type.
    pub kind: Kind,
    /// The index of the key specification that finds it.
    pub key_spec: Option<usize>,
    /// The version of Redis that introduced it, if not the same as the command's.
    pub since: Option<String>,
    /// The version of Redis that deprecated it.
    pub deprecated_since: Option<String>,
    /// Whether it is optional.
    pub optional: bool,
    /// Whether it may be repeated.
    pub multiple: bool,
    /// Whether its token is repeated with it.
    pub multiple_token: bool,
    /// The alternatives of [`Kind::OneOf`], or the parts of [`Kind::Block`].
    pub parts: Vec<Argument>,
}

impl Argument {
    /// The text that documentation shows for the value.
    pub fn shown(&self) -> &str {
        if self.display.is_empty() { &self.name } else { &self.display }
    }
}

/// The type of an argument, as COMMAND DOCS gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kind {
    /// A string of any form.
    #[default]
    Text,
    /// The name of a key.
    Key,
    /// A pattern as KEYS takes it.
    Pattern,
    /// An integer.
    Integer,
    /// A floating-point number.
    Double,
    /// A point in time as an integer.
    UnixTime,
    /// A token without a value.
    Token,
    /// One of the alternatives.
    OneOf,
    /// All of the parts, in order.
    Block,
}

impl Kind {
    const NAMES: &[(Kind, &str)] = &[
        (Kind::Text, "string"),
        (Kind::Key, "key"),
        (Kind::Pattern, "pattern"),
        (Kind::Integer, "integer"),
        (Kind::Double, "double"),
        (Kind::UnixTime, "unix-time"),
        (Kind::Token, "pure-token"),
        (Kind::OneOf, "oneof"),
        (Kind::Block, "block"),
    ];

    /// The name that COMMAND DOCS gives.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("string", |(_, name)| name)
    }

    /// The type with this name; text for an unknown name.
    pub fn of_name(name: &str) -> Self {
        Self::NAMES.iter().find(|(_, known)| *known == name).map_or(Kind::Text, |(kind, _)| *kind)
    }
}

/// The deepest nesting of groups; brackets beyond it are ignored.
const MAX_DEPTH: usize = 16;

/// Parses the notation. Malformed notation is parsed as well as possible.
pub fn parse(syntax: &str) -> Vec<Argument> {
    let words = words(syntax);
    let mut parser = Parser { words: &words, at: 0 };
    let mut arguments = parser.alternatives("", 0);
    while parser.at < words.len() {
        // An unmatched closing bracket.
        parser.at += 1;
        arguments.extend(parser.alternatives("", 0));
    }
    number_keys(&mut arguments, &mut 0);
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
    /// Parses sequences separated by bars, up to `close` or the end.
    fn alternatives(&mut self, close: &str, depth: usize) -> Vec<Argument> {
        let mut sequences: Vec<Vec<Argument>> = vec![Vec::new()];
        // Whether the last argument was in brackets, including its token.
        let mut bracketed = false;
        while let Some(&word) = self.words.get(self.at) {
            if word == close || (word == "]" || word == ">") && close.is_empty() {
                break;
            }
            self.at += 1;
            let Some(sequence) = sequences.last_mut() else { break };
            match word {
                "|" => sequences.push(Vec::new()),
                "[" | "<" if depth < MAX_DEPTH => {
                    let argument = self.group(word, depth);
                    let token = sequence.last_mut().filter(|last| {
                        word == "<" && argument.token.is_none() && awaits_value(last)
                    });
                    bracketed = token.is_none();
                    match token {
                        Some(last) => {
                            *last = Argument { token: last.token.take(), ..argument };
                        }
                        None => sequence.push(argument),
                    }
                }
                "..." => {
                    if let Some(last) = sequence.last_mut() {
                        last.multiple = true;
                        last.multiple_token = bracketed && last.token.is_some();
                    }
                }
                "[" | "<" | "]" | ">" => {}
                _ => {
                    bracketed = false;
                    push_word(sequence, word);
                }
            }
        }
        if sequences.len() == 1 {
            return sequences.pop().unwrap_or_default();
        }
        let parts = sequences.into_iter().map(as_one).collect();
        vec![Argument { kind: Kind::OneOf, parts, ..Argument::default() }]
    }

    /// Parses a bracketed group, whose opening bracket has been read.
    fn group(&mut self, open: &str, depth: usize) -> Argument {
        let label = self.words.get(self.at).and_then(|word| word.strip_suffix(':'));
        self.at += usize::from(label.is_some());
        let inner = self.alternatives(if open == "[" { "]" } else { ">" }, depth + 1);
        self.at += 1;
        let mut argument = as_one(inner);
        if let Some(label) = label {
            if !argument.name.is_empty() {
                argument =
                    Argument { kind: Kind::Block, parts: vec![argument], ..Argument::default() };
            }
            let Word { name, since, deprecated_since, .. } = Word::of(label);
            argument = Argument { name, since, deprecated_since, ..argument };
        }
        argument.optional |= open == "[";
        argument
    }
}

/// Whether a value follows this token, as in `COUNT count`.
fn awaits_value(last: &Argument) -> bool {
    last.kind == Kind::Token && !last.optional && last.token.as_deref() != Some("")
}

fn push_word(sequence: &mut Vec<Argument>, word: &str) {
    let Word { name, rest, kind, key_spec, since, deprecated_since } = Word::of(word);
    let argument = Argument { key_spec, since, deprecated_since, ..Argument::default() };
    let token = token_of(rest.as_deref().unwrap_or(&name)).map(str::to_string);
    if let (None, Some(token)) = (kind, token) {
        let name = if rest.is_some() { name } else { token.to_ascii_lowercase() };
        let token = Some(token);
        sequence.push(Argument { name, token, kind: Kind::Token, ..argument });
        return;
    }
    let kind = kind.unwrap_or_else(|| kind_of(&name));
    let argument = Argument { kind, name, display: rest.unwrap_or_default(), ..argument };
    match sequence.last_mut() {
        Some(last) if awaits_value(last) => {
            *last = Argument { token: last.token.take(), ..argument };
        }
        _ => sequence.push(argument),
    }
}

/// A word, taken apart: `name=rest#kind:key_spec@since-deprecated_since`.
struct Word {
    name: String,
    rest: Option<String>,
    kind: Option<Kind>,
    key_spec: Option<usize>,
    since: Option<String>,
    deprecated_since: Option<String>,
}

impl Word {
    fn of(word: &str) -> Self {
        let (word, versions) = word.split_once('@').unwrap_or((word, ""));
        let (since, deprecated) = versions.split_once('-').unwrap_or((versions, ""));
        let (word, kind) =
            word.split_once('#').map_or((word, None), |(word, kind)| (word, Some(kind)));
        let (kind, key_spec) = kind.map_or((None, None), |kind| {
            kind.split_once(':')
                .map_or((Some(kind), None), |(kind, spec)| (Some(kind), spec.parse().ok()))
        });
        let (name, rest) =
            word.split_once('=').map_or((word, None), |(name, rest)| (name, Some(rest)));
        let version = |text: &str| (!text.is_empty()).then(|| text.to_string());
        Self {
            name: name.to_string(),
            rest: rest.map(str::to_string),
            kind: kind.map(Kind::of_name),
            key_spec,
            since: version(since),
            deprecated_since: version(deprecated),
        }
    }
}

/// The token, if the word is one: upper case, punctuation, or in quotes.
fn token_of(word: &str) -> Option<&str> {
    let quoted = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    quoted.or_else(|| (!word.chars().any(|c| c.is_ascii_lowercase())).then_some(word))
}

/// The type of an argument, from the names that the documentation uses.
fn kind_of(name: &str) -> Kind {
    match name {
        "key" | "key1" | "key2" | "newkey" | "destkey" | "sourcekey" | "source" | "destination"
        | "src" | "dst" => Kind::Key,
        "pattern" => Kind::Pattern,
        "client-id" | "count" | "cursor" | "db" | "decrement" | "destination-db" | "end"
        | "frequency" | "index" | "index1" | "index2" | "len" | "limit" | "milliseconds"
        | "min-match-len" | "num-matches" | "numkeys" | "numlocal" | "numreplicas" | "offset"
        | "port" | "protover" | "rank" | "seconds" | "start" | "stop" | "ttl" | "version"
        | "weight" => Kind::Integer,
        "height" | "increment" | "latitude" | "longitude" | "radius" | "score" | "timeout"
        | "width" => Kind::Double,
        "unix-time-seconds" | "unix-time-milliseconds" => Kind::UnixTime,
        _ => Kind::Text,
    }
}

/// Combines several arguments into one block.
fn as_one(mut arguments: Vec<Argument>) -> Argument {
    match arguments.len() {
        1 => arguments.pop().unwrap_or_default(),
        _ => Argument { kind: Kind::Block, parts: arguments, ..Argument::default() },
    }
}

/// Assigns each key the next key specification, unless the notation names one.
fn number_keys(arguments: &mut [Argument], next: &mut usize) {
    for argument in arguments {
        if argument.kind == Kind::Key {
            argument.key_spec.get_or_insert(*next);
            *next += 1;
        }
        number_keys(&mut argument.parts, next);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(name: &str) -> Argument {
        Argument { name: name.into(), kind: kind_of(name), ..Argument::default() }
    }

    fn key(name: &str, spec: usize) -> Argument {
        Argument { key_spec: Some(spec), ..value(name) }
    }

    fn token(word: &str) -> Argument {
        Argument {
            name: word.to_ascii_lowercase(),
            token: Some(word.into()),
            kind: Kind::Token,
            ..Argument::default()
        }
    }

    fn group(kind: Kind, name: &str, parts: Vec<Argument>) -> Argument {
        Argument { kind, name: name.into(), parts, ..Argument::default() }
    }

    #[test]
    fn values_tokens_and_choices() {
        let parsed = parse("key value [condition@2.6.12: NX | XX] [EX seconds@6.0.0|KEEPTTL]");
        let ex =
            Argument { token: Some("EX".into()), since: Some("6.0.0".into()), ..value("seconds") };
        let condition = group(Kind::OneOf, "condition", vec![token("NX"), token("XX")]);
        let unnamed = group(Kind::OneOf, "", vec![ex, token("KEEPTTL")]);
        assert_eq!(
            parsed,
            [
                key("key", 0),
                value("value"),
                Argument { optional: true, since: Some("2.6.12".into()), ..condition },
                Argument { optional: true, ..unnamed },
            ]
        );
    }

    #[test]
    fn repetitions() {
        let multiple = |argument| Argument { multiple: true, ..argument };
        assert_eq!(parse("key ..."), [multiple(key("key", 0))]);
        let pair = group(Kind::Block, "data", vec![value("score"), value("member")]);
        assert_eq!(parse("key <data: score member> ..."), [key("key", 0), multiple(pair)]);
        let keys = Argument { token: Some("KEYS".into()), optional: true, ..key("key", 0) };
        assert_eq!(parse("[KEYS key ...]"), [multiple(keys)]);
        let get = Argument { token: Some("GET".into()), ..value("pattern") };
        assert_eq!(
            parse("[GET pattern] ..."),
            [Argument { multiple: true, multiple_token: true, optional: true, ..get }]
        );
    }

    #[test]
    fn tokens_in_front_of_groups() {
        let choice = group(Kind::OneOf, "type", vec![token("normal"), token("pubsub")]);
        assert_eq!(
            parse("[TYPE <type: \"normal\" | \"pubsub\">]"),
            [Argument { token: Some("TYPE".into()), optional: true, ..choice }]
        );
    }

    #[test]
    fn annotations_beyond_the_documentation() {
        let shown = Argument {
            display: "ip:port".into(),
            deprecated_since: Some("2.8.12".into()),
            ..value("addr")
        };
        assert_eq!(parse("addr=ip:port@-2.8.12"), [shown]);
        assert_eq!(parse("change=CH"), [Argument { name: "change".into(), ..token("CH") }]);
        let empty = Argument { name: "empty-string".into(), ..token("") };
        assert_eq!(parse("empty-string=\"\""), [empty]);
        assert_eq!(parse("key1 key2#key:0"), [key("key1", 0), key("key2", 0)]);
        assert_eq!(
            parse("start#string ID#string"),
            [Argument { kind: Kind::Text, ..value("start") }, value("ID"),]
        );
    }

    proptest! {
        #[test]
        fn any_notation_is_read(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "[", "]", "<", ">", "|", "...", "key", "NX", "\"\"", "count", "name:", "a#", "@", "b=",
                ]),
                0..30,
            ),
        ) {
            let _ = parse(&words.join(" "));
        }
    }
}
