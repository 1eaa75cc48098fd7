//! The text of a lesson, drawn from its tree.

use limpid_core::lesson::{Block, Inline, Link};
use limpid_core::sim::Action;
use yew::prelude::*;

use crate::page::Page;

/// Blocks, one below the other.
pub(super) fn blocks(page: &Page, blocks: &[Block]) -> Html {
    html! { <>{ for blocks.iter().map(|block| draw(page, block)) }</> }
}

fn draw(page: &Page, block: &Block) -> Html {
    match block {
        Block::Paragraph(text) => html! { <p>{ inline(page, text) }</p> },
        Block::Heading(text) => html! { <h4>{ inline(page, text) }</h4> },
        Block::Code { text, .. } if text.lines().all(|line| line.starts_with(':')) => html! {
            <div class="lines">{ for text.lines().map(|line| html! { <p>{ code(page, line) }</p> }) }</div>
        },
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
                <table class="facts">
                    <thead><tr>{ for head }</tr></thead>
                    <tbody>{ for body.iter().map(row) }</tbody>
                </table>
            }
        }
    }
}

/// Code. What begins with a colon and is done to the World can be clicked: a shell does not know it.
fn code(page: &Page, text: &str) -> Html {
    let Some(Ok(action)) = text.strip_prefix(':').map(str::parse::<Action>) else {
        return html! { <code>{ text }</code> };
    };
    let title = page.say(words::DO_IT);
    let page = page.clone();
    let onclick = Callback::from(move |_: MouseEvent| page.act(vec![action.clone()]));
    html! { <button class="deed" {title} {onclick}><code>{ text }</code></button> }
}

fn inline(page: &Page, text: &[Inline]) -> Html {
    html! { <>{ for text.iter().map(|piece| draw_inline(page, piece)) }</> }
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
                let body = page.view().scene.named(name).map(|body| body.id);
                let inside = inline(page, text);
                let page = page.clone();
                let onclick = Callback::from(move |_: MouseEvent| {
                    if let Some(body) = body {
                        crate::terminal::open(&page, body);
                    }
                });
                html! { <button class="inline" {onclick} disabled={body.is_none()}>{ inside }</button> }
            }
            Link::Term(id) => super::glossary::link(page, id, inline(page, text)),
        },
    }
}

mod words {
    crate::i18n::texts! {
        DO_IT: "Do this to the World", "对这个世界执行";
    }
}
