//! Parses the text of a lesson into a tree of blocks and inline pieces, with the `pulldown-cmark`
//! crate.
//!
//! A page draws this tree with elements of its own choice, so nothing in a file can become an
//! element, an attribute or a script. Raw HTML and images are errors, and so are links to anything
//! other than an HTTPS page, a lesson, a glossary term or a node.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag};

use super::error::LessonError;

/// A block of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A paragraph.
    Paragraph(Vec<Inline>),
    /// A heading within a step.
    Heading(Vec<Inline>),
    /// Code, or the contents of a terminal.
    Code {
        /// The language, if the file names one.
        language: String,
        /// The code.
        text: String,
    },
    /// A list.
    List {
        /// The number of its first item, if items are numbered.
        first: Option<u64>,
        /// Its items.
        items: Vec<Vec<Block>>,
    },
    /// A quotation, or a side note.
    Quote(Vec<Block>),
    /// A table: its head, then its rows; each a list of cells.
    Table(Vec<Vec<Vec<Inline>>>),
}

/// An inline piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inline {
    /// Plain text.
    Text(String),
    /// A command, a key, a file.
    Code(String),
    /// Emphasis.
    Emphasis(Vec<Inline>),
    /// Strong emphasis.
    Strong(Vec<Inline>),
    /// A link.
    Link {
        /// The target.
        to: Link,
        /// The text to click.
        text: Vec<Inline>,
    },
    /// A line break.
    Break,
}

/// The target of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// A web page; always over HTTPS.
    Web(String),
    /// Another lesson: `lesson:chapter/name`.
    Lesson(String),
    /// A glossary term: `term:backlog`.
    Term(String),
    /// A host or a process: `node:redis-1`.
    Node(String),
}

/// The maximum nesting depth of blocks and emphasis.
const MAX_DEPTH: usize = 12;

/// A top-level part of a file.
#[derive(Debug)]
pub(super) enum Part {
    /// A heading of level two, which begins a step: its title and ID.
    Step { line: usize, title: String, id: Option<String> },
    /// The block `step`, which declares the conditions of a step: its first line, and its text.
    Declaration { line: usize, text: String },
    /// Text.
    Block(Block),
}

/// Parses a text that contains no steps.
pub(super) fn parse_blocks(text: &str, first_line: usize) -> Result<Vec<Block>, LessonError> {
    parse(text, first_line)?
        .into_iter()
        .map(|part| match part {
            Part::Block(block) => Ok(block),
            Part::Step { line, .. } | Part::Declaration { line, .. } => Err(LessonError::new(
                line,
                "a step cannot begin here",
                "keep to paragraphs, lists and code",
            )),
        })
        .collect()
}

/// Parses a text whose first line is line `first_line` of the file.
pub(super) fn parse(text: &str, first_line: usize) -> Result<Vec<Part>, LessonError> {
    let options = Options::ENABLE_HEADING_ATTRIBUTES | Options::ENABLE_TABLES;
    let mut lines = Lines { text, first_line, at: 0, line: 0 };
    let mut tree = Tree { open: Vec::new(), parts: Vec::new() };
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        let line = lines.of(range.start);
        tree.take(event, line)?;
    }
    Ok(tree.parts)
}

/// Maps byte offsets to line numbers; fast if the offsets ascend.
struct Lines<'t> {
    text: &'t str,
    first_line: usize,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn of(&mut self, at: usize) -> usize {
        if at < self.at {
            (self.at, self.line) = (0, 0);
        }
        let passed = &self.text.as_bytes()[self.at..at];
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count();
        self.at = at;
        self.first_line + self.line
    }
}

/// An element that is still open, with its contents so far.
enum Open {
    Paragraph(Vec<Inline>),
    Heading {
        level: HeadingLevel,
        id: Option<String>,
        line: usize,
        text: Vec<Inline>,
    },
    Code {
        language: String,
        line: usize,
        text: String,
    },
    List {
        first: Option<u64>,
        items: Vec<Vec<Block>>,
    },
    /// A list item, whose text may not be in a paragraph.
    Item {
        blocks: Vec<Block>,
        loose: Vec<Inline>,
    },
    Quote(Vec<Block>),
    Table(Vec<Vec<Vec<Inline>>>),
    Row(Vec<Vec<Inline>>),
    Cell(Vec<Inline>),
    Emphasis(Vec<Inline>),
    Strong(Vec<Inline>),
    Link {
        to: Link,
        text: Vec<Inline>,
    },
}

struct Tree {
    open: Vec<Open>,
    parts: Vec<Part>,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), LessonError> {
        match event {
            Event::Start(tag) => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(LessonError::new(
                        line,
                        "lists, quotes or emphasis are nested too deeply",
                        "reduce the nesting",
                    ));
                }
                let open = start(tag, line)?;
                self.open.push(open);
            }
            Event::End(_) => self.end()?,
            Event::Text(text) => match self.open.last_mut() {
                Some(Open::Code { text: code, .. }) => code.push_str(&text),
                _ => self.inline(Inline::Text(text.into_string())),
            },
            Event::Code(text) => self.inline(Inline::Code(text.into_string())),
            Event::SoftBreak => self.inline(Inline::Text("\n".into())),
            Event::HardBreak => self.inline(Inline::Break),
            Event::Html(_) | Event::InlineHtml(_) => return Err(no_html(line)),
            _ => {
                return Err(LessonError::new(
                    line,
                    "this kind of Markdown is not used in lessons",
                    "keep to paragraphs, headings, lists, tables, quotes and code",
                ));
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), LessonError> {
        let Some(done) = self.open.pop() else { return Ok(()) };
        match done {
            Open::Paragraph(text) => self.block(Block::Paragraph(text)),
            Open::Heading { level: HeadingLevel::H2, id, line, text } if self.open.is_empty() => {
                self.parts.push(Part::Step { line, title: plain(&text), id });
            }
            Open::Heading { level: HeadingLevel::H1 | HeadingLevel::H2, line, .. } => {
                return Err(LessonError::new(
                    line,
                    "a heading of this level does not belong here",
                    "the title stands in the front matter, '## Title {#id}' begins a step, and \
                     headings within a step begin with '###'",
                ));
            }
            Open::Heading { text, .. } => self.block(Block::Heading(text)),
            Open::Code { language, line, text } if language == "step" => {
                if !self.open.is_empty() {
                    return Err(LessonError::new(
                        line,
                        "the block 'step' is inside another element",
                        "begin it at the left margin",
                    ));
                }
                // The text begins on the line after the fence.
                self.parts.push(Part::Declaration { line: line + 1, text });
            }
            Open::Code { language, text, .. } => self.block(Block::Code { language, text }),
            Open::List { first, items } => self.block(Block::List { first, items }),
            Open::Item { mut blocks, loose } => {
                if !loose.is_empty() {
                    blocks.insert(0, Block::Paragraph(loose));
                }
                if let Some(Open::List { items, .. }) = self.open.last_mut() {
                    items.push(blocks);
                }
            }
            Open::Quote(blocks) => self.block(Block::Quote(blocks)),
            Open::Table(rows) => self.block(Block::Table(rows)),
            Open::Row(cells) => {
                if let Some(Open::Table(rows)) = self.open.last_mut() {
                    rows.push(cells);
                }
            }
            Open::Cell(text) => {
                if let Some(Open::Row(cells)) = self.open.last_mut() {
                    cells.push(text);
                }
            }
            Open::Emphasis(text) => self.inline(Inline::Emphasis(text)),
            Open::Strong(text) => self.inline(Inline::Strong(text)),
            Open::Link { to, text } => self.inline(Inline::Link { to, text }),
        }
        Ok(())
    }

    fn inline(&mut self, piece: Inline) {
        let text = match self.open.last_mut() {
            Some(
                Open::Paragraph(text)
                | Open::Heading { text, .. }
                | Open::Cell(text)
                | Open::Emphasis(text)
                | Open::Strong(text)
                | Open::Link { text, .. }
                | Open::Item { loose: text, .. },
            ) => text,
            _ => return,
        };
        match (text.last_mut(), piece) {
            (Some(Inline::Text(before)), Inline::Text(more)) => join(before, &more),
            (_, piece) => text.push(piece),
        }
    }

    fn block(&mut self, block: Block) {
        match self.open.last_mut() {
            Some(Open::Item { blocks, .. } | Open::Quote(blocks)) => blocks.push(block),
            Some(_) => {}
            None => self.parts.push(Part::Block(block)),
        }
    }
}

/// Appends text. A line break becomes a blank, except between Chinese characters.
fn join(before: &mut String, more: &str) {
    const IDEOGRAPHS: char = '\u{2e80}';
    if before.ends_with('\n') {
        before.pop();
        let is_wide = |c: Option<char>| c.is_some_and(|c| c >= IDEOGRAPHS);
        if !is_wide(before.chars().next_back()) || !is_wide(more.chars().next()) {
            before.push(' ');
        }
    }
    before.push_str(more);
}

fn start(tag: Tag<'_>, line: usize) -> Result<Open, LessonError> {
    Ok(match tag {
        Tag::Paragraph => Open::Paragraph(Vec::new()),
        Tag::Heading { level, id, .. } => {
            Open::Heading { level, id: id.map(|id| id.into_string()), line, text: Vec::new() }
        }
        Tag::CodeBlock(kind) => {
            let language = match kind {
                CodeBlockKind::Fenced(language) => language.into_string(),
                CodeBlockKind::Indented => String::new(),
            };
            Open::Code { language, line, text: String::new() }
        }
        Tag::List(first) => Open::List { first, items: Vec::new() },
        Tag::Item => Open::Item { blocks: Vec::new(), loose: Vec::new() },
        Tag::BlockQuote(_) => Open::Quote(Vec::new()),
        Tag::Table(_) => Open::Table(Vec::new()),
        Tag::TableHead | Tag::TableRow => Open::Row(Vec::new()),
        Tag::TableCell => Open::Cell(Vec::new()),
        Tag::Emphasis => Open::Emphasis(Vec::new()),
        Tag::Strong => Open::Strong(Vec::new()),
        Tag::Link { dest_url, .. } => Open::Link { to: link(&dest_url, line)?, text: Vec::new() },
        Tag::HtmlBlock => return Err(no_html(line)),
        _ => {
            return Err(LessonError::new(
                line,
                "images and footnotes are not used in lessons",
                "use 'focus' and 'beside' to show something of the World",
            ));
        }
    })
}

fn link(to: &str, line: usize) -> Result<Link, LessonError> {
    let (scheme, rest) = to.split_once(':').unwrap_or(("", to));
    let is_name = |name: &str| {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '/' | ':' | '_');
        !name.is_empty() && name.chars().all(plain)
    };
    match scheme {
        "https" if rest.starts_with("//") => Ok(Link::Web(to.to_owned())),
        "lesson" if is_name(rest) => Ok(Link::Lesson(rest.to_owned())),
        "term" if is_name(rest) => Ok(Link::Term(rest.to_owned())),
        "node" if is_name(rest) => Ok(Link::Node(rest.to_owned())),
        _ => Err(LessonError::new(
            line,
            format!("a link leads to '{to}'"),
            "links lead to https://…, lesson:chapter/name, term:word or node:name",
        )),
    }
}

fn no_html(line: usize) -> LessonError {
    LessonError::new(
        line,
        "there is HTML in the text",
        "write Markdown, or put '<' between backticks",
    )
}

/// The text without formatting and links.
pub(super) fn plain(text: &[Inline]) -> String {
    let piece = |piece: &Inline| match piece {
        Inline::Text(text) | Inline::Code(text) => text.clone(),
        Inline::Emphasis(text) | Inline::Strong(text) | Inline::Link { text, .. } => plain(text),
        Inline::Break => " ".into(),
    };
    text.iter().map(piece).collect()
}

/// Whether a text contains something that can be clicked.
pub(super) fn has_link(text: &[Block]) -> bool {
    let in_lines = |lines: &[Inline]| lines.iter().any(leads_somewhere);
    text.iter().any(|block| match block {
        Block::Paragraph(text) | Block::Heading(text) => in_lines(text),
        Block::Code { .. } => false,
        Block::List { items, .. } => items.iter().any(|item| has_link(item)),
        Block::Quote(text) => has_link(text),
        Block::Table(rows) => rows.iter().flatten().any(|cell| in_lines(cell)),
    })
}

fn leads_somewhere(inline: &Inline) -> bool {
    match inline {
        Inline::Link { .. } => true,
        Inline::Emphasis(text) | Inline::Strong(text) => text.iter().any(leads_somewhere),
        Inline::Text(_) | Inline::Code(_) | Inline::Break => false,
    }
}
