//! YAML values with their line numbers, so that errors can name the line.
//!
//! Aliases, anchors and tags are rejected: no lesson needs them, and by aliases a short file could
//! expand to an enormous value.

use saphyr_parser::{Event, Parser};

use super::error::LessonError;

/// A value, and the line where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// The line of the file, counted from 1.
    pub line: usize,
    /// The value.
    pub kind: Kind,
}

/// The kinds of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, a number, or a text.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A map: its keys with their lines, and its values, in the order of the file.
    Map(Vec<(String, usize, Node)>),
}

/// The maximum number of values in a document.
const MAX_NODES: usize = 4_000;
/// The maximum nesting depth.
const MAX_DEPTH: usize = 12;

/// A list or a map that is still open.
enum Open {
    List(Vec<Node>),
    Map(Vec<(String, usize, Node)>, Option<(String, usize)>),
}

/// Parses one document, whose first line is line `first` of the file.
pub(super) fn parse(text: &str, first: usize) -> Result<Node, LessonError> {
    let at = |line: usize| (line + first).saturating_sub(1);
    let mut open: Vec<(usize, Open)> = Vec::new();
    let mut root = None;
    let mut nodes = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let remedy =
                "check the indentation, and put quotes around a text that holds ': ' or ' #'";
            LessonError::new(at(error.marker().line()), error.info(), remedy)
        })?;
        let line = at(span.start.line());
        let refuse = |what: &str, remedy: &str| Err(LessonError::new(line, what, remedy));
        if let Event::Scalar(_, _, anchor, tag)
        | Event::SequenceStart(anchor, tag)
        | Event::MappingStart(anchor, tag) = &event
            && (*anchor != 0 || tag.is_some())
        {
            return refuse("anchors and tags are not allowed", "write the value itself");
        }
        let complete = match event {
            Event::Alias(_) => return refuse("aliases are not allowed", "write the value itself"),
            Event::Scalar(text, ..) => Some(Node { line, kind: Kind::Scalar(text.into_owned()) }),
            Event::SequenceStart(..) => {
                open.push((line, Open::List(Vec::new())));
                None
            }
            Event::MappingStart(..) => {
                open.push((line, Open::Map(Vec::new(), None)));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|(line, open)| Node {
                line,
                kind: match open {
                    Open::List(items) => Kind::List(items),
                    Open::Map(pairs, _) => Kind::Map(pairs),
                },
            }),
            _ => None,
        };
        nodes += 1;
        if nodes > MAX_NODES || open.len() > MAX_DEPTH {
            return refuse("there are too many values, or they are nested too deeply", "split it");
        }
        let Some(node) = complete else { continue };
        match open.last_mut() {
            None if root.is_some() => {
                return refuse("there is a second document", "keep one");
            }
            None => root = Some(node),
            Some((_, Open::List(items))) => items.push(node),
            Some((_, Open::Map(pairs, key))) => match (key.take(), node.kind) {
                (Some((key, at)), kind) => pairs.push((key, at, Node { line: node.line, kind })),
                (None, Kind::Scalar(name)) => {
                    if pairs.iter().any(|(known, ..)| *known == name) {
                        return refuse(&format!("'{name}' appears here twice"), "keep one of them");
                    }
                    *key = Some((name, node.line));
                }
                (None, _) => return refuse("a key is a list or a map", "use a word as key"),
            },
        }
    }
    root.ok_or_else(|| LessonError::new(first, "it is empty", "write 'key: value' lines"))
}

impl Node {
    /// The value as a text.
    pub(super) fn text(&self, what: &str) -> Result<&str, LessonError> {
        match &self.kind {
            Kind::Scalar(text) => Ok(text),
            _ => Err(self.wrong(what, "a text", "write it on one line, in quotes if need be")),
        }
    }

    /// The value as an integer up to a maximum.
    pub(super) fn number(&self, what: &str, most: u64) -> Result<u64, LessonError> {
        let text = self.text(what)?;
        text.parse().ok().filter(|&n| n <= most).ok_or_else(|| {
            self.wrong(what, &format!("a number from 0 to {most}"), "write digits only")
        })
    }

    /// The value as `true` or `false`.
    pub(super) fn truth(&self, what: &str) -> Result<bool, LessonError> {
        match self.text(what)? {
            "true" | "yes" => Ok(true),
            "false" | "no" => Ok(false),
            _ => Err(self.wrong(what, "true or false", "write one of the two")),
        }
    }

    /// The value as a list.
    pub(super) fn items(&self, what: &str) -> Result<&[Node], LessonError> {
        match &self.kind {
            Kind::List(items) => Ok(items),
            _ => Err(self.wrong(what, "a list", "begin each item with '- '")),
        }
    }

    /// The value as a list of texts; a single text is a list of one.
    pub(super) fn texts(&self, what: &str) -> Result<Vec<String>, LessonError> {
        match &self.kind {
            Kind::Scalar(text) => Ok(vec![text.clone()]),
            _ => self.items(what)?.iter().map(|item| item.text(what).map(str::to_owned)).collect(),
        }
    }

    /// The value as a map, all of whose keys must be in `known`.
    pub(super) fn map<'n>(&'n self, what: &str, known: &[&str]) -> Result<Map<'n>, LessonError> {
        let Kind::Map(pairs) = &self.kind else {
            return Err(self.wrong(what, "a map", &format!("write keys: {}", known.join(", "))));
        };
        if let Some((key, line, _)) = pairs.iter().find(|(key, ..)| !known.contains(&&**key)) {
            let remedy = format!("keys are {}", known.join(", "));
            return Err(LessonError::new(*line, format!("{what} has no '{key}'"), remedy));
        }
        Ok(Map { line: self.line, pairs })
    }

    fn wrong(&self, what: &str, should: &str, remedy: &str) -> LessonError {
        let is = match &self.kind {
            Kind::Scalar(text) => format!("'{text}'"),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a map".into(),
        };
        LessonError::new(self.line, format!("{what} is {is}, not {should}"), remedy)
    }
}

/// A map whose keys have been checked.
#[derive(Clone, Copy)]
pub(super) struct Map<'n> {
    pub line: usize,
    pairs: &'n [(String, usize, Node)],
}

impl<'n> Map<'n> {
    /// The value of a key, if it exists.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.pairs.iter().find(|(known, ..)| known == key).map(|(.., node)| node)
    }

    /// The value of a required key.
    pub(super) fn need(&self, what: &str, key: &str) -> Result<&'n Node, LessonError> {
        self.get(key).ok_or_else(|| {
            LessonError::new(self.line, format!("{what} has no '{key}'"), format!("add '{key}: …'"))
        })
    }

    /// The text of a key, if it exists.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, LessonError> {
        self.get(key).map(|node| node.text(key).map(str::to_owned)).transpose()
    }
}
