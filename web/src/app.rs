//! The page as a whole: where its parts stand.

use yew::prelude::*;

use crate::debug::Debug;
use crate::dialogs::Dialogs;
use crate::i18n::Text;
use crate::inspector::Inspector;
use crate::inspector::ledger::LedgerPanel;
use crate::map::menu::Menu;
use crate::map::stage::Stage;
use crate::page::{Page, Pane, Topic, use_page};
use crate::terminal::drawer::Drawer;
use crate::timebar::TimeBar;
use crate::topbar::TopBar;

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub page: Page,
}

/// The page.
#[component]
pub(crate) fn App(props: &Props) -> Html {
    html! {
        <ContextProvider<Page> context={props.page.clone()}>
            <Frame />
        </ContextProvider<Page>>
    }
}

#[component]
fn Frame() -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Open]);
    let view = page.view();
    let skip = {
        let page = page.clone();
        Callback::from(move |event: MouseEvent| {
            event.prevent_default();
            page.change(Topic::Open, |view| view.show(Pane::Terminal));
            crate::terminal::focus_entry();
        })
    };
    html! {
        <div class="page" data-pane={view.pane.name()} data-testid="page">
            <a class="skip" href="#entry" onclick={skip}>{ page.say(Text::SkipToTerminal) }</a>
            <TopBar />
            <Stage />
            <Debug />
            if view.ledger {
                <LedgerPanel />
            } else if view.inspected.is_some() || view.pane == Pane::Inspector {
                <Inspector />
            }
            <TimeBar />
            <Drawer />
            <Panes />
            <Menu />
            <Dialogs />
        </div>
    }
}

/// In a narrow window, the tabs between which one switches.
#[component]
fn Panes() -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Open]);
    let current = page.view().pane;
    let panes = [
        (Pane::Map, Text::PaneMap),
        (Pane::Terminal, Text::PaneTerminal),
        (Pane::Events, Text::PaneEvents),
        (Pane::Inspector, Text::PaneInspector),
    ];
    html! {
        <nav class="panes" role="tablist">
            { for panes.into_iter().map(|(pane, text)| {
                let page = page.clone();
                let chosen = (pane == current).to_string();
                let label = page.say(text);
                let onclick = Callback::from(move |_: MouseEvent| {
                    page.change(Topic::Open, |view| view.show(pane));
                });
                html! {
                    <button role="tab" aria-selected={chosen} {onclick}
                        data-testid={format!("pane-{}", pane.name())}>{ label }</button>
                }
            }) }
        </nav>
    }
}
