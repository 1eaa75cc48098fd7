//! The root component of the page, which lays out its parts.

use yew::prelude::*;

use crate::debug::debug;
use crate::dialogs::dialogs;
use crate::i18n::common;
use crate::inspector::inspector;
use crate::inspector::ledger::ledger_panel;
use crate::live::live;
use crate::map::menu::Menu;
use crate::map::stage::Stage;
use crate::page::{Page, Pane, Side, Topic};
use crate::terminal::drawer::drawer;
use crate::timebar::time_bar;
use crate::topbar::top_bar;

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub page: Page,
}

/// The page.
#[component]
pub(crate) fn App(props: &Props) -> Html {
    html! {
        <ContextProvider<Page> context={props.page.clone()}>
            { frame() }
        </ContextProvider<Page>>
    }
}

fn frame() -> Html {
    live(&[Topic::Prefs, Topic::Open], draw_frame)
}

fn draw_frame(page: &Page) -> Html {
    let view = page.view();
    let skip = {
        let page = page.clone();
        Callback::from(move |event: MouseEvent| {
            event.prevent_default();
            page.change(Topic::Open, |view| view.pane = Pane::Terminal);
            crate::terminal::focus_entry();
        })
    };
    html! {
        <div class={classes!("page", view.embedding.classes())} data-pane={view.pane.name()} data-testid="page">
            <a class="skip" href="#entry" onclick={skip}>{ page.say(words::SKIP_TO_TERMINAL) }</a>
            { top_bar() }
            <Stage />
            { crate::questions::card() }
            { debug() }
            { match view.side {
                Side::Ledger => ledger_panel(),
                Side::Lesson => lessons(),
                Side::Node(_) => inspector(),
                // A narrow window shows the pane even when empty, with a text that says what it is
                // for.
                Side::Closed if view.pane == Pane::Inspector => inspector(),
                Side::Closed => Html::default(),
            } }
            { time_bar() }
            { drawer() }
            { panes() }
            <Menu />
            { dialogs() }
        </div>
    }
}

/// The panel of lessons, which only the whole program has.
fn lessons() -> Html {
    #[cfg(feature = "whole")]
    return crate::lesson::lesson_panel();
    #[cfg(not(feature = "whole"))]
    Html::default()
}

/// The tabs that switch panes in a narrow window.
fn panes() -> Html {
    live(&[Topic::Prefs, Topic::Open], draw_panes)
}

fn draw_panes(page: &Page) -> Html {
    let (current, side) = (page.view().pane, page.view().side);
    let panes = [
        (Pane::Map, words::PANE_MAP),
        (Pane::Terminal, words::PANE_TERMINAL),
        (Pane::Events, words::PANE_EVENTS),
        (Pane::Inspector, words::PANE_INSPECTOR),
    ];
    let shown = panes.into_iter().filter(|(pane, _)| page.view().embedding.shows(*pane));
    html! {
        <nav class="panes" role="tablist">
            { for shown.map(|(pane, text)| {
                // The side panel may show something else than a node.
                let text = match (pane, side) {
                    (Pane::Inspector, Side::Lesson) => common::LESSONS,
                    (Pane::Inspector, Side::Ledger) => common::LEDGER,
                    _ => text,
                };
                let page = page.clone();
                let chosen = (pane == current).to_string();
                let label = page.say(text);
                let onclick = Callback::from(move |_: MouseEvent| {
                    page.change(Topic::Open, |view| view.pane = pane);
                });
                html! {
                    <button role="tab" aria-selected={chosen} {onclick}
                        data-testid={format!("pane-{}", pane.name())}>{ label }</button>
                }
            }) }
        </nav>
    }
}

mod words {
    crate::i18n::texts! {
        SKIP_TO_TERMINAL: "Skip to the terminal", "跳到终端";
        PANE_MAP: "Map", "地图";
        PANE_TERMINAL: "Terminal", "终端";
        PANE_EVENTS: "Log", "日志";
        PANE_INSPECTOR: "Node", "节点";
    }
}
