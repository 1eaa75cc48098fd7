//! The output of a terminal: typed lines, replies, and suggestions while it is empty.

use limpid_core::lab::{Block, Shown};
use web_sys::Element;
use yew::prelude::*;

use crate::i18n::Locale;
use crate::page::{Page, Topic, use_page};

use super::submit;
use super::tabs::Tab;

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub index: usize,
}

/// The lines of a terminal above its entry.
#[component]
pub(crate) fn Screen(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Terminals]);
    let node = use_node_ref();
    let terminals = page.terminals();
    let Some(tab) = terminals.tabs.get(props.index) else { return Html::default() };
    let console = page.lab().console(&tab.process).unwrap_or_default();
    let lines = console.blocks.len() + tab.notes.len();
    {
        let node = node.clone();
        let amount = (lines, console.length, console.waiting);
        use_effect_with((props.index, amount), move |_| {
            if let Some(screen) = node.cast::<Element>() {
                screen.set_scroll_top(screen.scroll_height());
            }
        });
    }
    let locale = page.locale();
    let playing = page.view().playing;
    let teach = console.blocks.iter().all(|block| block.typed.is_none()) && tab.notes.is_empty();
    html! {
        <div class="screen" ref={node} role="log" aria-live="polite" tabindex="0"
            data-testid={format!("screen-{}", tab.server)}>
            if teach {
                { teaching(&page, props.index, tab, locale) }
            }
            { for pieces(tab, &console) }
            if console.waiting && !playing {
                <p class="waiting" data-testid="terminal-paused">
                    { locale.say(words::TERMINAL_PAUSED) }
                    <button class="button framed" onclick={
                        let page = page.clone();
                        Callback::from(move |_: MouseEvent| page.play(true))
                    }>{ locale.say(words::PRESS_PLAY) }</button>
                </p>
            }
        </div>
    }
}

/// The blocks of redis-cli's output and the answers of meta-commands, in order.
fn pieces(tab: &Tab, console: &Shown) -> Vec<Html> {
    let mut out = Vec::new();
    let mut notes = tab.notes.iter().filter(|note| note.after >= tab.cleared).peekable();
    let mut put_notes = |out: &mut Vec<Html>, before: usize| {
        while let Some(note) = notes.next_if(|note| note.after <= before) {
            let class = if note.refused { "error" } else { "meta" };
            out.push(html! {
                <>
                    <pre class="typed"><span class="prompt">{ &note.prompt }</span>{ &note.typed }</pre>
                    <pre class={class}>{ &note.answer }</pre>
                </>
            });
        }
    };
    for (i, block) in console.blocks.iter().enumerate().skip(tab.cleared) {
        put_notes(&mut out, i);
        out.push(of_block(block));
    }
    // After a rewind, notes of the future stay at the end instead of vanishing.
    put_notes(&mut out, usize::MAX);
    out
}

fn of_block(block: &Block) -> Html {
    html! {
        <>
            if let Some((prompt, line)) = &block.typed {
                <pre class="typed"><span class="prompt">{ prompt }</span>{ line }</pre>
            }
            if !block.printed.is_empty() {
                <pre class={if block.is_error { "error" } else { "reply" }}>{ &block.printed }</pre>
            }
        </>
    }
}

/// Suggests three commands in an empty terminal, unless a lesson is open.
fn teaching(page: &Page, index: usize, tab: &Tab, locale: Locale) -> Html {
    if is_in_lesson(page) {
        return html! {
            <div class="teach">
                <p>{ locale.fill(words::TERMINAL_OF_LESSON, &[("name", &tab.server)]) }</p>
            </div>
        };
    }
    let ideas = [
        ("SET greeting hello".to_owned(), words::TEACH_SET),
        ("GET greeting".to_owned(), words::TEACH_GET),
        (format!(":crash {}", tab.server), words::TEACH_CRASH),
    ];
    html! {
        <div class="teach">
            <p>{ locale.fill(words::TERMINAL_TEACH, &[("name", &tab.server)]) }</p>
            <ul>
                { for ideas.into_iter().map(|(line, text)| {
                    let (page, typed) = (page.clone(), line.clone());
                    let onclick = Callback::from(move |_: MouseEvent| {
                        submit(&page, index, &typed);
                        super::focus_entry();
                    });
                    html! {
                        <li>
                            <button {onclick}>{ line }</button>
                            { locale.say(text) }
                        </li>
                    }
                }) }
            </ul>
        </div>
    }
}

/// Whether a lesson is open.
#[cfg(feature = "whole")]
fn is_in_lesson(page: &Page) -> bool {
    page.view().study.lesson_status().is_some()
}

/// The first program has no lessons.
#[cfg(not(feature = "whole"))]
fn is_in_lesson(_: &Page) -> bool {
    false
}

mod words {
    crate::i18n::texts! {
        TERMINAL_TEACH: "This is a redis-cli connected to {name}. Three things to try:", "这是连接到 {name} 的 redis-cli。不妨试试：";
        TERMINAL_OF_LESSON: "This is a redis-cli connected to {name}. The lesson says what to type.", "这是连接到 {name} 的 redis-cli。要输入什么，课程里会说。";
        TEACH_SET: "store a value, and watch it travel", "存一个值，看它如何传输";
        TEACH_GET: "ask for it again", "再把它取回来";
        TEACH_CRASH: "pull the plug, and ask again", "拔掉电源，再问一次";
        TERMINAL_PAUSED: "Time stands still: press play, and the reply will come.", "时间已停止：按播放键后才会收到回复。";
        PRESS_PLAY: "Play", "播放";
    }
}
