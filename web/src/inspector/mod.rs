//! The inspector: one body from inside, in a panel on the right that can be closed.

mod files;
pub(crate) mod ledger;
mod replication;
pub(crate) mod tabs;

use yew::prelude::*;

use crate::i18n::Text;
use crate::icon::{Icon, glyph};
use crate::live::live;
use crate::page::{Page, Pane, Topic};
use crate::scene::Role;

use files::files;
use replication::replication;
use tabs::{Searched, connections, log};

/// What of a body is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tab {
    Info,
    Replication,
    Keys,
    Files,
    Config,
    Connections,
    Log,
}

impl Tab {
    const ALL: [(Tab, Text, &'static str); 7] = [
        (Tab::Info, Text::TabInfo, "inspect-info"),
        (Tab::Replication, Text::TabReplication, "inspect-replication"),
        (Tab::Keys, Text::TabKeys, "inspect-keys"),
        (Tab::Files, Text::TabFiles, "inspect-files"),
        (Tab::Config, Text::TabConfig, "inspect-config"),
        (Tab::Connections, Text::TabConnections, "inspect-connections"),
        (Tab::Log, Text::TabLog, "inspect-log"),
    ];

    /// Whether it says something about a body of this role.
    fn suits(self, role: Role) -> bool {
        role.is_server() || !matches!(self, Tab::Replication | Tab::Keys | Tab::Config)
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
    let found =
        view.inspected.and_then(|index| Some((index, view.scene.bodies.get(index)?.clone())));
    let Some((body, shown)) = found else {
        return html! {
            <aside class={classes!("side", "vacant")}>
                <p class="empty">{ locale.say(Text::InspectorTeach) }</p>
                <ul class="choice">
                    { for view.scene.bodies.iter().enumerate().map(|(index, body)| {
                        let page = page.clone();
                        let onclick = Callback::from(move |_: MouseEvent| page.inspect(index));
                        html! { <li><button class="button framed" {onclick}>{ &body.name }</button></li> }
                    }) }
                </ul>
            </aside>
        };
    };
    let close = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| {
            page.change(Topic::Open, |view| {
                view.inspected = None;
                view.pane = Pane::Map;
            });
            crate::map::focus::focus(&format!("body-{body}"));
        })
    };
    let current = if tab.suits(shown.role) { tab } else { Tab::Info };
    let onkeydown = {
        let (page, role) = (page.clone(), shown.role);
        Callback::from(move |event: KeyboardEvent| {
            let step = match event.key().as_str() {
                "ArrowRight" => 1,
                "ArrowLeft" => -1,
                _ => return,
            };
            event.prevent_default();
            event.stop_propagation();
            let tabs: Vec<_> = Tab::ALL.iter().filter(|(tab, ..)| tab.suits(role)).collect();
            let at = tabs.iter().position(|(known, ..)| *known == tab).unwrap_or(0) as isize;
            let next = (at + step).rem_euclid(tabs.len() as isize) as usize;
            if let Some((next, _, id)) = tabs.get(next) {
                page.change(Topic::Open, |view| view.tab = *next);
                crate::map::focus::focus(id);
            }
        })
    };
    let state = locale.say(shown.health.text());
    let state = format!("{} · {state} · {}", locale.say(shown.role.text()), shown.address);
    html! {
        <aside class="side" data-testid="inspector"
            aria-label={locale.fill(Text::InspectorOf, &[("name", &shown.name)])}>
            <header>
                <h2>{ &shown.name }</h2>
                <p class="sub">{ state }</p>
                <button class="button" title={locale.say(Text::Close)} data-testid="inspector-close"
                    aria-label={locale.say(Text::Close)} onclick={close}>
                    { glyph(Icon::Close) }
                </button>
            </header>
            <div class="tabs" role="tablist" {onkeydown}>
                { for Tab::ALL.iter().filter(|(each, ..)| each.suits(shown.role)).map(|&(each, text, id)| {
                    let on = each == current;
                    let page = page.clone();
                    let onclick = Callback::from(move |_: MouseEvent| {
                        page.change(Topic::Open, |view| view.tab = each);
                    });
                    html! {
                        <div class={classes!("tab", on.then_some("on"))}>
                            <button role="tab" {id} aria-selected={on.to_string()}
                                tabindex={if on { "0" } else { "-1" }} data-testid={id} {onclick}>
                                { locale.say(text) }
                            </button>
                        </div>
                    }
                }) }
            </div>
            <div class="pane" role="tabpanel" tabindex="0">
                { match current {
                    Tab::Replication => replication(),
                    Tab::Files => files(),
                    Tab::Connections => connections(),
                    Tab::Log => log(),
                    // The key: what was looked for in one tab is not looked for in the next.
                    tab => html! { <Searched key={tab as usize} {body} {tab} /> },
                } }
            </div>
        </aside>
    }
}
