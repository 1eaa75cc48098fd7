//! The inspector: one body from inside, in a panel on the right that can be closed.

mod files;
pub(crate) mod ledger;
mod replication;
pub(crate) mod tabs;

use yew::prelude::*;

use crate::i18n::{Text, common};
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
        (Tab::Info, words::TAB_INFO, "inspect-info"),
        (Tab::Replication, words::TAB_REPLICATION, "inspect-replication"),
        (Tab::Keys, words::TAB_KEYS, "inspect-keys"),
        (Tab::Files, words::TAB_FILES, "inspect-files"),
        (Tab::Config, words::TAB_CONFIG, "inspect-config"),
        (Tab::Connections, words::TAB_CONNECTIONS, "inspect-connections"),
        (Tab::Log, words::TAB_LOG, "inspect-log"),
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
                <p class="empty">{ locale.say(words::INSPECTOR_TEACH) }</p>
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
            aria-label={locale.fill(words::INSPECTOR_OF, &[("name", &shown.name)])}>
            <header>
                <h2>{ &shown.name }</h2>
                <p class="sub">{ state }</p>
                <button class="button" title={locale.say(common::CLOSE)} data-testid="inspector-close"
                    aria-label={locale.say(common::CLOSE)} onclick={close}>
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

mod words {
    crate::i18n::texts! {
        INSPECTOR_OF: "Inside {name}", "{name} 的内部";
        INSPECTOR_TEACH: "Choose a node on the map, then Inspect, to look inside it.", "在地图上选择一个节点，再点“查看”，即可看到它的内部。";
        TAB_INFO: "Info", "概况";
        TAB_REPLICATION: "Replication", "复制";
        TAB_FILES: "Files", "文件";
        TAB_KEYS: "Keys", "键";
        TAB_CONFIG: "Config", "配置";
        TAB_CONNECTIONS: "Connections", "连接";
        TAB_LOG: "Log", "日志";
    }
}
