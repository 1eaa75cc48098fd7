//! A small pattern language for commands, so that a group of commands is a table of text.
//!
//! `SET key value [NX|XX] [GET] [EX secs|KEEPTTL]` reads as in Redis's documentation: words in
//! capitals stand for themselves (as does any word after `=`), words in small letters are kinds
//! of values (see [`Kind`](super::values::Kind)), `[…]` may be left out, `(…)` groups, `|` chooses,
//! and `+` or `*` after a word or a group repeats it, at least once or not.

use limpid_core::rng::Rng;

use super::values::Kind;

/// The pattern of a command.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    root: Vec<Node>,
}

/// The arguments of a command.
pub(crate) type Args = Vec<Vec<u8>>;

#[derive(Debug, Clone)]
enum Node {
    Word(String),
    Value(Kind),
    /// One of the alternatives; with `optional` possibly none.
    Group {
        choices: Vec<Vec<Node>>,
        optional: bool,
    },
    Repeat {
        node: Box<Node>,
        at_least: u64,
    },
}

impl Pattern {
    /// Parses a pattern. Panics if it is invalid, since patterns are part of the test.
    pub(crate) fn parse(text: &str) -> Self {
        let mut spaced = String::new();
        for c in text.chars() {
            match c {
                '[' | ']' | '(' | ')' | '|' | '+' | '*' => spaced.extend([' ', c, ' ']),
                c => spaced.push(c),
            }
        }
        let mut tokens = spaced.split_whitespace();
        let mut choices = choices(&mut tokens, None, text);
        assert_eq!(choices.len(), 1, "a choice needs brackets: {text}");
        Pattern { root: choices.remove(0) }
    }

    /// Generates a random command.
    pub(crate) fn generate(&self, rng: &mut Rng) -> Args {
        let mut out = Vec::new();
        generate(&self.root, rng, &mut out);
        out
    }
}

/// Parses alternatives up to `end`.
fn choices<'a>(
    tokens: &mut impl Iterator<Item = &'a str>,
    end: Option<&str>,
    text: &str,
) -> Vec<Vec<Node>> {
    let mut all = vec![Vec::new()];
    while let Some(token) = tokens.next() {
        if Some(token) == end {
            return all;
        }
        let last = all.last_mut().expect("there is always one");
        let node = match token {
            "|" => {
                all.push(Vec::new());
                continue;
            }
            "+" | "*" => {
                let node = last.pop().unwrap_or_else(|| panic!("{token} repeats nothing: {text}"));
                Node::Repeat { node: Box::new(node), at_least: u64::from(token == "+") }
            }
            "[" => Node::Group { choices: choices(tokens, Some("]"), text), optional: true },
            "(" => Node::Group { choices: choices(tokens, Some(")"), text), optional: false },
            word if word.starts_with(|c: char| c.is_ascii_lowercase()) => Node::Value(
                Kind::named(word)
                    .unwrap_or_else(|| panic!("no such kind of value: {word}: {text}")),
            ),
            word => Node::Word(word.strip_prefix('=').unwrap_or(word).to_owned()),
        };
        last.push(node);
    }
    assert!(end.is_none(), "{end:?} is missing: {text}");
    all
}

fn generate(nodes: &[Node], rng: &mut Rng, out: &mut Args) {
    for node in nodes {
        match node {
            Node::Word(word) if rng.chance(0.1) => out.push(word.to_ascii_lowercase().into_bytes()),
            Node::Word(word) => out.push(word.clone().into_bytes()),
            Node::Value(kind) => out.push(kind.generate(rng)),
            Node::Group { choices, optional } => {
                // Options are generated more often than left out.
                if !optional || rng.chance(0.4) {
                    let choice = rng.below(choices.len() as u64) as usize;
                    generate(&choices[choice], rng, out);
                }
            }
            Node::Repeat { node, at_least } => {
                for _ in 0..at_least + rng.below(4) {
                    generate(std::slice::from_ref(node), rng, out);
                }
            }
        }
    }
}

#[test]
fn a_pattern_gives_what_it_says() {
    let pattern = Pattern::parse("MSET (key value)+ [NX|XX]");
    let mut rng = Rng::new(1);
    for _ in 0..100 {
        let args = pattern.generate(&mut rng);
        assert!(args[0].eq_ignore_ascii_case(b"mset"));
        let last = args.last().expect("at least three").to_ascii_uppercase();
        let options = usize::from(last == b"NX" || last == b"XX");
        assert!(args.len() >= 3 && (args.len() - options) % 2 == 1, "{args:?}");
    }
}
