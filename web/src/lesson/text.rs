//! Draws the text of a lesson from its tree.
//!
//! The prompt at the beginning of a line of code, such as `redis-1> get k` or `app-1$ ls`, says
//! where it is typed. It becomes a button that opens that terminal.

use limpid_core::lesson::{Block, Inline, Link};
use limpid_core::sim::Action;
use yew::prelude::*;

use crate::layout::Part;
use crate::page::Page;
use crate::units::BodyId;

/// Blocks, one below the other.
pub(super) fn blocks(page: &Page, blocks: &[Block]) -> Html {
    html! { <>{ for blocks.iter().map(|block| draw(page, block)) }</> }
}

fn draw(page: &Page, block: &Block) -> Html {
    match block {
        Block::Paragraph(text) => html! { <p>{ inline(page, text) }</p> },
        Block::Heading(text) => html! { <h4>{ inline(page, text) }</h4> },
        Block::Code { text, .. } if text.lines().any(|line| is_for_somewhere(page, line)) => {
            html! {
                <div class="lines">
                    { for text.trim_end().lines().map(|line| html! { <p>{ typed(page, line) }</p> }) }
                </div>
            }
        }
        Block::Code { text, .. } => {
            html! { <pre class="lines" tabindex="0"><code>{ text.trim_end() }</code></pre> }
        }
        Block::List { first, items } => {
            let items = items.iter().map(|item| html! { <li>{ blocks(page, item) }</li> });
            match first {
                Some(first) => html! { <ol start={first.to_string()}>{ for items }</ol> },
                None => html! { <ul>{ for items }</ul> },
            }
        }
        Block::Quote(inside) => html! { <blockquote>{ blocks(page, inside) }</blockquote> },
        Block::Table(rows) => {
            let (head, body) = rows.split_at(rows.len().min(1));
            let head = head.iter().flatten().map(|cell| {
                html! { <th scope="col">{ inline(page, cell) }</th> }
            });
            let row = |row: &Vec<Vec<Inline>>| {
                let cells = row.iter().map(|cell| html! { <td>{ inline(page, cell) }</td> });
                html! { <tr>{ for cells }</tr> }
            };
            html! {
                <table class="facts told">
                    <thead><tr>{ for head }</tr></thead>
                    <tbody>{ for body.iter().map(row) }</tbody>
                </table>
            }
        }
    }
}

/// Whether a line of code is an action or has a prompt.
fn is_for_somewhere(page: &Page, line: &str) -> bool {
    line.starts_with(':') || Prompt::of(line).is_some_and(|prompt| prompt.place(page).is_some())
}

/// A line that is typed, with its prompt as a button.
fn typed(page: &Page, line: &str) -> Html {
    let found = Prompt::of(line).and_then(|prompt| Some((prompt, prompt.place(page)?)));
    let Some((prompt, place)) = found else { return code(page, line) };
    let title = page.locale().fill(words::OPEN_TERMINAL, &[("name", prompt.name)]);
    let page = page.clone();
    let onclick = Callback::from(move |_: MouseEvent| place.open(&page));
    html! {
        <>
            <button class="prompt" {title} {onclick}>{ prompt.text }</button>
            <code>{ unbroken(prompt.rest) }</code>
        </>
    }
}

/// The prompt before a typed line: `redis-1>`, `machine:7001>`, `app-1$`, `you#2$`.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Prompt<'l> {
    /// The whole prompt.
    text: &'l str,
    /// The server or host.
    name: &'l str,
    /// Which shell of the host, counted from 1; `None` for a redis-cli.
    shell: Option<usize>,
    /// The line after it.
    rest: &'l str,
}

impl<'l> Prompt<'l> {
    fn of(line: &'l str) -> Option<Self> {
        let end = line.find([' ', '>', '$'])?;
        let (text, rest) = line.split_at(end + 1);
        let is_shell = match text.as_bytes()[end] {
            b'>' => false,
            b'$' => true,
            _ => return None,
        };
        let (name, number) = match text[..end].split_once('#') {
            Some((name, number)) => (name, number.parse().ok()?),
            None => (&text[..end], 1),
        };
        let rest = rest.strip_prefix(' ')?;
        let suits = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
        (!name.is_empty() && name.chars().all(suits)).then_some(Prompt {
            text,
            name,
            shell: is_shell.then_some(number),
            rest,
        })
    }

    /// The terminal of the prompt, if the World has it.
    fn place(&self, page: &Page) -> Option<Place> {
        if self.shell.is_none() {
            let (view, host) = (page.view(), self.name.split(':').next()?);
            // The terminal of a server alone on its host has the host's name. On a host with
            // several servers it has a port, and the host's name means the default port.
            let usual = format!("{}:6379", self.name);
            let mut bodies =
                [self.name, host, &usual].into_iter().filter_map(|name| view.scene.named(name));
            if let Some(body) = bodies.find(|body| body.has_terminal()) {
                return Some(Place::Cli(body.id));
            }
        }
        // A redis-cli may have been started in a shell.
        Place::shell(page, self.name, self.shell.unwrap_or(1))
    }
}

/// A terminal.
#[derive(Clone, PartialEq)]
enum Place {
    /// The redis-cli of a server, a Sentinel or a proxy.
    Cli(BodyId),
    /// A shell of a host, counted from 1.
    Shell(String, usize),
}

impl Place {
    fn shell(page: &Page, host: &str, number: usize) -> Option<Self> {
        let lab = page.lab();
        let known = lab.world().hosts().any(|known| known.name == host);
        known.then(|| Place::Shell(host.to_owned(), number))
    }

    fn open(&self, page: &Page) {
        match self {
            Place::Cli(body) => crate::terminal::open(page, *body),
            Place::Shell(host, number) => crate::terminal::show_shell(page, host, *number),
        }
    }
}

/// Opens the target of a link: the terminal of a server, the panel of a client, or a shell of a
/// host.
fn visit(page: &Page, name: &str) {
    let body = page.view().scene.named(name).cloned();
    match body {
        Some(body) if body.has_terminal() => crate::terminal::open(page, body.id),
        Some(body) if body.kind.part != Part::Shell => page.inspect(body.id),
        _ => {
            if let Some(place) = Place::shell(page, name, 1) {
                place.open(page);
            }
        }
    }
}

/// Draws code. An action of the World (after a colon) can be clicked, since no shell understands
/// it.
fn code(page: &Page, text: &str) -> Html {
    let Some(action) = action_in(text) else {
        return html! { <code>{ unbroken(text) }</code> };
    };
    let title = page.say(words::DO_IT);
    let page = page.clone();
    let onclick = Callback::from(move |_: MouseEvent| page.act(vec![action.clone()]));
    html! { <button class="deed" {title} {onclick}><code>{ text }</code></button> }
}

/// The action of the World in a piece of code, if it is one.
fn action_in(code: &str) -> Option<Action> {
    code.strip_prefix(':')?.parse().ok()
}

/// A command without line breaks after hyphens, unless a word is longer than a line.
fn unbroken(command: &str) -> Html {
    const FITS: usize = 32;
    let words = command.split_inclusive(' ').map(|word| {
        let bare = word.trim_end();
        let whole = bare.contains('-') && bare.len() <= FITS;
        // The space after a word stays outside of it, so that the line can break there.
        let (whole, rest) = word.split_at(if whole { bare.len() } else { 0 });
        html! {
            <>
                if !whole.is_empty() {
                    <span class="whole">{ whole }</span>
                }
                { rest }
            </>
        }
    });
    html! { <>{ for words }</> }
}

fn inline(page: &Page, text: &[Inline]) -> Html {
    let pieces = pieces(text).into_iter().map(|piece| match piece {
        Piece::Text(text) => html! { { text } },
        Piece::Inline(piece) => draw_inline(page, piece),
        Piece::Held { before, button, after } => html! {
            <span class="held">{ before }{ draw_inline(page, button) }{ after }</span>
        },
    });
    html! { <>{ for pieces }</> }
}

/// A part of a paragraph.
#[derive(PartialEq, Debug)]
enum Piece<'t> {
    /// A text, without the part that belongs to a button next to it.
    Text(&'t str),
    /// An element that is no text.
    Inline(&'t Inline),
    /// A button with the text that must stay on the same line, where browsers would break it.
    Held { before: &'t str, button: &'t Inline, after: &'t str },
}

/// The parts of a paragraph. No line breaks between a button and the punctuation or word ending
/// after it, or the bracket before it.
fn pieces(text: &[Inline]) -> Vec<Piece<'_>> {
    let is_button = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(is_button);
    let words = |at: Option<usize>| match at.and_then(|at| text.get(at)) {
        Some(Inline::Text(text)) => text.as_str(),
        _ => "",
    };
    let mut pieces = Vec::new();
    for (at, piece) in text.iter().enumerate() {
        let (last, next) = (at.checked_sub(1), at.checked_add(1));
        if let Inline::Text(text) = piece {
            let from = if is_button(last) { ending(text).len() } else { 0 };
            let to = text.len() - if is_button(next) { opening(text).len() } else { 0 };
            pieces.extend(text.get(from..to).filter(|rest| !rest.is_empty()).map(Piece::Text));
            continue;
        }
        let (before, after) = (opening(words(last)), ending(words(next)));
        pieces.push(match is_button(Some(at)) && !(before.is_empty() && after.is_empty()) {
            true => Piece::Held { before, button: piece, after },
            false => Piece::Inline(piece),
        });
    }
    pieces
}

/// Whether an element is drawn as a button, before and after which a line may break.
fn is_button(piece: &Inline) -> bool {
    match piece {
        Inline::Link { to, .. } => !matches!(to, Link::Web(_)),
        Inline::Code(text) => action_in(text).is_some(),
        Inline::Emphasis(inside) | Inline::Strong(inside) => inside.last().is_some_and(is_button),
        _ => false,
    }
}

/// The beginning of a text that belongs to the word before it.
fn ending(text: &str) -> &str {
    let belongs =
        |c: char| c.is_ascii_alphanumeric() || "，。、；：！？）」』】》”’…,.;:!?)]'-".contains(c);
    &text[..text.find(|c| !belongs(c)).unwrap_or(text.len())]
}

/// The end of a text that belongs to the word after it.
fn opening(text: &str) -> &str {
    &text[text.trim_end_matches(|c| "（「『【《“‘([".contains(c)).len()..]
}

fn draw_inline(page: &Page, piece: &Inline) -> Html {
    match piece {
        Inline::Text(text) => html! { { text } },
        Inline::Code(text) => code(page, text),
        Inline::Emphasis(text) => html! { <em>{ inline(page, text) }</em> },
        Inline::Strong(text) => html! { <strong>{ inline(page, text) }</strong> },
        Inline::Break => html! { <br /> },
        Inline::Link { to, text } => match to {
            Link::Web(url) => html! {
                <a href={url.clone()} target="_blank" rel="noopener noreferrer">
                    { inline(page, text) }
                </a>
            },
            Link::Lesson(id) => {
                let (page, id) = (page.clone(), id.clone());
                let inside = inline(&page, text);
                let onclick = Callback::from(move |_: MouseEvent| super::resume(&page, &id));
                html! { <button class="inline" {onclick}>{ inside }</button> }
            }
            Link::Node(name) => {
                let known = page.view().scene.named(name).is_some()
                    || Place::shell(page, name, 1).is_some();
                let inside = inline(page, text);
                let (page, name) = (page.clone(), name.clone());
                let onclick = Callback::from(move |_: MouseEvent| visit(&page, &name));
                html! { <button class="inline" {onclick} disabled={!known}>{ inside }</button> }
            }
            Link::Term(id) => super::glossary::link(page, id, inline(page, text)),
        },
    }
}

mod words {
    crate::i18n::texts! {
        OPEN_TERMINAL: "Open the terminal of {name}", "打开 {name} 的终端";
        DO_IT: "Do this to the World", "对这个世界执行";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_ends_between_a_button_and_the_mark_behind_it() {
        let text = |text: &str| Inline::Text(text.to_owned());
        let term =
            || Inline::Link { to: Link::Term("slot".to_owned()), text: vec![text("槽位")] };
        let web = Inline::Link { to: Link::Web("https://a.example".to_owned()), text: vec![] };
        let paragraph =
            [text("每个（"), term(), text("）、"), term(), text("，各有主。"), web, text("。")];
        assert_eq!(
            pieces(&paragraph),
            [
                Piece::Text("每个"),
                Piece::Held { before: "（", button: &term(), after: "）、" },
                Piece::Held { before: "", button: &term(), after: "，" },
                Piece::Text("各有主。"),
                Piece::Inline(&paragraph[5]),
                Piece::Text("。"),
            ]
        );
        // A word ending, and an action.
        let paragraph = [text("Two "), term(), text("s, then "), Inline::Code(":crash a".into())];
        assert_eq!(
            pieces(&paragraph),
            [
                Piece::Text("Two "),
                Piece::Held { before: "", button: &term(), after: "s," },
                Piece::Text(" then "),
                Piece::Inline(&paragraph[3]),
            ]
        );
        assert!(is_button(&paragraph[3]) && !is_button(&Inline::Code(":wq".into())));
    }

    #[test]
    fn a_prompt_says_where_a_line_is_typed() {
        let prompt = |line| Prompt::of(line).map(|p| (p.name, p.shell, p.rest));
        assert_eq!(prompt("redis-1> get k"), Some(("redis-1", None, "get k")));
        assert_eq!(prompt("machine:7001> get k"), Some(("machine:7001", None, "get k")));
        assert_eq!(prompt("app-1$ ls $HOME"), Some(("app-1", Some(1), "ls $HOME")));
        assert_eq!(prompt("you#2$ predixy x"), Some(("you", Some(2), "predixy x")));
        for line in ["set k v", "get >", "echo $HOME", "<a> b", "$ ls", "a/b> c", "redis-1>"] {
            assert_eq!(prompt(line), None, "{line}");
        }
    }
}
