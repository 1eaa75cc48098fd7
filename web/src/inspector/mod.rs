//! The inspector: the side panel with the inner state of one body.
//!
//! A tab is a file here with a [`Tab`]; the kind of a body lists its tabs (see
//! [`crate::kinds::Kind::tabs`]). The ledger of writes, which uses the same panel, is here too.

pub(crate) mod beliefs;
pub(crate) mod config;
pub(crate) mod connections;
#[cfg(feature = "whole")]
pub(crate) mod files;
pub(crate) mod info;
#[cfg(feature = "whole")]
mod key;
pub(crate) mod keys;
#[cfg(not(feature = "whole"))]
pub(crate) mod later;
#[cfg(not(feature = "whole"))]
pub(crate) use later::files;
pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod matrix;
#[cfg(feature = "whole")]
pub(crate) mod pools;
#[cfg(feature = "whole")]
pub(crate) mod proxy_files;
pub(crate) mod replication;
#[cfg(feature = "whole")]
pub(crate) mod ring;
#[cfg(feature = "whole")]
pub(crate) mod scripts;
mod search;
pub(crate) mod slots;
#[cfg(feature = "whole")]
pub(crate) mod users;
pub(crate) mod watched;

use yew::prelude::*;

use crate::i18n::{Locale, Text, common};
use crate::icon::{Icon, glyph};
use crate::lab::Lab;
use crate::live::live;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// A tab of the inspector.
pub(crate) struct Tab {
    /// Its name in the document and in tests.
    pub id: &'static str,
    /// Its title.
    pub title: Text,
    /// Draws it for a body.
    pub draw: fn(BodyId) -> Html,
    /// Whether it has something to show in this World.
    pub suits: fn(&Lab) -> bool,
}

impl PartialEq for Tab {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// The panel, if it is open.
pub(crate) fn inspector() -> Html {
    live(&[Topic::Prefs, Topic::Open, Topic::Scene], draw_inspector)
}

fn draw_inspector(page: &Page) -> Html {
    let view = page.view();
    let tab = view.tab;
    let locale = view.prefs.locale;
    let Some(shown) = view.inspected().and_then(|id| view.scene.body(id).cloned()) else {
        return html! {
            <aside class={classes!("side", "vacant")}>
                <p class="empty">{ locale.say(words::INSPECTOR_TEACH) }</p>
                <ul class="choice">
                    { for view.scene.bodies.iter().map(|body| {
                        let (page, id) = (page.clone(), body.id);
                        let onclick = Callback::from(move |_: MouseEvent| page.inspect(id));
                        html! { <li><button class="button framed" {onclick}>{ &body.name }</button></li> }
                    }) }
                </ul>
            </aside>
        };
    };
    let body = shown.id;
    let close = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| {
            page.close_side();
            crate::map::focus::focus(&format!("body-{body}"));
        })
    };
    let tabs: Vec<&'static Tab> =
        shown.kind.tabs.iter().copied().filter(|tab| (tab.suits)(&page.lab())).collect();
    let at = tabs.iter().position(|known| Some(*known) == tab).unwrap_or_default();
    let onkeydown = {
        let (page, tabs) = (page.clone(), tabs.clone());
        Callback::from(move |event: KeyboardEvent| {
            let next = match event.key().as_str() {
                "ArrowRight" => at + 1,
                "ArrowLeft" => at + tabs.len() - 1,
                _ => return,
            };
            event.prevent_default();
            event.stop_propagation();
            let next = tabs[next % tabs.len()];
            page.change(Topic::Open, |view| view.tab = Some(next));
            crate::map::focus::focus(next.id);
        })
    };
    let state = locale.say(shown.health.text());
    let state = format!("{} · {state} · {}", locale.say(shown.role().text), shown.address);
    html! {
        <aside class="side" data-testid="inspector"
            aria-label={locale.fill(words::INSPECTOR_OF, &[("name", &shown.name)])}>
            { way_back(page) }
            <header>
                <h2>{ &shown.name }</h2>
                <p class="sub">{ state }</p>
                <button class="button" title={locale.say(common::CLOSE)} data-testid="inspector-close"
                    aria-label={locale.say(common::CLOSE)} onclick={close}>
                    { glyph(Icon::Close) }
                </button>
            </header>
            <div class="tabs" role="tablist" {onkeydown}>
                { for tabs.iter().enumerate().map(|(index, &each)| {
                    let on = index == at;
                    let (id, title) = (each.id, each.title);
                    let page = page.clone();
                    let onclick = Callback::from(move |_: MouseEvent| {
                        page.change(Topic::Open, |view| view.tab = Some(each));
                    });
                    html! {
                        <div class={classes!("tab", on.then_some("on"))}>
                            <button role="tab" {id} aria-selected={on.to_string()}
                                tabindex={if on { "0" } else { "-1" }} data-testid={id} {onclick}>
                                { locale.say(title) }
                            </button>
                        </div>
                    }
                }) }
            </div>
            <div class="pane" role="tabpanel" tabindex="0">
                // The key resets the search field when another tab is opened.
                <key={tabs[at].id}>{ (tabs[at].draw)(body) }</>
            </div>
        </aside>
    }
}

/// A link back to the lesson that is open behind the panel, if there is one.
pub(crate) fn way_back(page: &Page) -> Html {
    #[cfg(feature = "whole")]
    if let Some(lesson) = page.view().study.lesson_status() {
        let text = page.fill(lesson_words::BACK_TO, &[("lesson", &lesson.title)]);
        let onclick = {
            let page = page.clone();
            Callback::from(move |_: MouseEvent| page.show_side(crate::page::Side::Lesson))
        };
        return html! {
            <button class="button back" data-testid="back-to-lesson" {onclick}>
                { glyph(Icon::JumpBack) }<span>{ text }</span>
            </button>
        };
    }
    let _ = page;
    Html::default()
}

pub(crate) fn not_running(locale: Locale) -> Html {
    html! { <p class="empty">{ locale.say(words::NOT_RUNNING) }</p> }
}

mod words {
    crate::i18n::texts! {
        NOT_RUNNING: "It is not running. Restart it to look inside.", "进程未运行，重启后才能查看。";
        INSPECTOR_OF: "Inside {name}", "{name} 的内部";
        INSPECTOR_TEACH: "Choose a node on the map, then Inspect, to look inside it.", "在地图上选择一个节点，再点“查看”，即可看到它的内部。";
    }
}

/// Only the whole program has lessons.
#[cfg(feature = "whole")]
mod lesson_words {
    crate::i18n::texts! {
        BACK_TO: "Back to the lesson “{lesson}”", "返回课程“{lesson}”";
    }
}
