//! The context menu of a body or link: all actions on it, for pointer and keyboard.

use core::time::Duration;

use limpid_core::sim::Action;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;
use yew::prelude::*;

use crate::figures;
use crate::i18n::{Locale, Text, common};
use crate::icon::{Icon, glyph};
use crate::layout::Point;
use crate::page::{Page, Target, Topic, use_page};
use crate::scene::{Cut, Health, Scene};
use crate::terminal;
use crate::units::BodyId;

/// Latencies to choose from, in milliseconds.
const LATENCIES: [u64; 5] = [1, 10, 50, 200, 1_000];
/// Losses to choose from, in percent.
const LOSSES: [u32; 4] = [0, 5, 20, 50];

/// The menu that is open, if one is.
#[component]
pub(crate) fn Menu() -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Open, Topic::Scene]);
    let node = use_node_ref();
    let menu = page.view().menu;
    {
        let node = node.clone();
        use_effect_with(menu, move |menu| {
            if let (Some(element), Some((_, at))) = (node.cast::<HtmlElement>(), menu) {
                put(&element, *at);
                focus_item(&element, 0);
            }
        });
    }
    let Some((target, _)) = menu else { return Html::default() };
    let close = {
        let page = page.clone();
        Callback::from(move |()| close(&page, target))
    };
    let onkeydown = {
        let (node, close) = (node.clone(), close.clone());
        Callback::from(move |event: KeyboardEvent| {
            let Some(element) = node.cast::<HtmlElement>() else { return };
            match event.key().as_str() {
                "ArrowDown" | "ArrowRight" => focus_item(&element, 1),
                "ArrowUp" | "ArrowLeft" => focus_item(&element, -1),
                "Home" => focus_item(&element, 0),
                "Escape" | "Tab" => close.emit(()),
                _ => return,
            }
            event.prevent_default();
            event.stop_propagation();
        })
    };
    let onfocusout = {
        let (node, page) = (node.clone(), page.clone());
        Callback::from(move |event: FocusEvent| {
            let inside = event
                .related_target()
                .and_then(|target| target.dyn_into::<web_sys::Node>().ok())
                .zip(node.cast::<web_sys::Node>())
                .is_some_and(|(to, menu)| menu.contains(Some(&to)));
            if !inside {
                page.change(Topic::Open, |view| view.menu = None);
            }
        })
    };
    let view = page.view();
    let locale = view.prefs.locale;
    html! {
        <div class="menu" role="menu" ref={node} {onkeydown} {onfocusout} tabindex="-1"
            data-testid="menu">
            { match target {
                Target::Body(body) => of_body(&page, &view.scene, locale, body),
                Target::Link(a, b) => of_link(&page, &view.scene, locale, a, b),
            } }
        </div>
    }
}

fn close(page: &Page, target: Target) {
    page.change(Topic::Open, |view| view.menu = None);
    match target {
        Target::Body(body) => super::focus::focus(&format!("body-{body}")),
        Target::Link(a, b) => super::focus::focus(&format!("link-{a}-{b}")),
    }
}

fn item(
    page: &Page,
    target: Target,
    icon: Icon,
    text: String,
    id: &'static str,
    act: impl Fn(&Page) + 'static,
) -> Html {
    let page = page.clone();
    let onclick = Callback::from(move |_: MouseEvent| {
        close(&page, target);
        act(&page);
    });
    html! {
        <button role="menuitem" tabindex="-1" data-testid={id} {onclick}>
            { glyph(icon) }{ text }
        </button>
    }
}

fn of_body(page: &Page, scene: &Scene, locale: Locale, id: BodyId) -> Html {
    let Some(body) = scene.body(id) else { return Html::default() };
    let target = Target::Body(id);
    let host = &body.host;
    let entry = |icon: Icon, text: Text, id: &'static str, action: Action| {
        item(page, target, icon, locale.say(text).to_owned(), id, move |page| {
            page.act(vec![action.clone()]);
        })
    };
    html! {
        <>
            <h3 role="presentation">{ format!("{} · {}", body.name, body.address) }</h3>
            if body.has_terminal() {
                { item(page, target, Icon::Terminal, locale.say(common::OPEN_TERMINAL).to_owned(),
                    "menu-terminal", move |page| terminal::open(page, id)) }
            }
            { item(page, target, Icon::Inspect, locale.say(common::INSPECT).to_owned(),
                "menu-inspect", move |page| page.inspect(id)) }
            if body.health != Health::Crashed {
                { item(page, target, Icon::Terminal, locale.say(common::OPEN_SHELL).to_owned(),
                    "menu-shell", {
                        let host = host.clone();
                        move |page| terminal::open_shell(page, &host)
                    }) }
            }
            <hr />
            if let Some(process) = &body.process {
                // The machine has other bodies, so the menu acts on the process only.
                if body.health.is_down() {
                    { entry(Icon::Restart, words::START_PROCESS, "menu-start", body.restart()) }
                } else {
                    { entry(Icon::Crash, words::KILL_PROCESS, "menu-kill", body.crash()) }
                    { entry(Icon::Close, words::STOP_PROCESS, "menu-stop",
                        Action::Stop { target: process.clone() }) }
                }
            } else if body.health.is_down() {
                { entry(Icon::Restart, common::RESTART, "menu-restart",
                    Action::Restart { host: host.clone(), disk: true }) }
                { entry(Icon::Restart, words::RESTART_EMPTY, "menu-restart-empty",
                    Action::Restart { host: host.clone(), disk: false }) }
            } else {
                { entry(Icon::Crash, common::CRASH, "menu-crash",
                    Action::Crash { host: host.clone() }) }
                { entry(Icon::Restart, common::RESTART, "menu-restart",
                    Action::Restart { host: host.clone(), disk: true }) }
            }
            if body.health == Health::Paused {
                { entry(Icon::Play, common::RESUME, "menu-resume",
                    Action::Resume { target: body.target() }) }
            } else if !body.health.is_down() {
                { entry(Icon::Pause, common::PAUSE_NODE, "menu-pause",
                    Action::Pause { target: body.target() }) }
            }
            <hr />
            if body.process.is_some() {
                <h3 role="presentation">{ locale.fill(words::WHOLE_MACHINE, &[("name", host)]) }</h3>
                if body.health == Health::Crashed {
                    { entry(Icon::Restart, common::RESTART, "menu-restart",
                        Action::Restart { host: host.clone(), disk: true }) }
                } else {
                    { entry(Icon::Crash, common::CRASH, "menu-crash",
                        Action::Crash { host: host.clone() }) }
                }
            }
            { entry(Icon::Cut, words::ISOLATE, "menu-isolate",
                Action::Partition { a: vec![host.clone()], b: vec![] }) }
            { entry(Icon::Heal, common::HEAL, "menu-heal",
                Action::Heal { a: vec![host.clone()], b: vec![] }) }
        </>
    }
}

fn of_link(page: &Page, scene: &Scene, locale: Locale, a: BodyId, b: BodyId) -> Html {
    let (Some(from), Some(to)) = (scene.body(a), scene.body(b)) else {
        return Html::default();
    };
    let link = scene.links.iter().find(|link| (link.a, link.b) == (a, b));
    let Some(link) = link else { return Html::default() };
    let target = Target::Link(a, b);
    let (na, nb) = (from.host.clone(), to.host.clone());
    let one_way = |from: &String, to: &String, id: &'static str| {
        let text = locale.fill(words::CUT_ONE_WAY, &[("a", from), ("b", to)]);
        let action = Action::PartitionOneWay { from: vec![from.clone()], to: vec![to.clone()] };
        item(page, target, Icon::Cut, text, id, move |page| page.act(vec![action.clone()]))
    };
    let choice = |text: String, on: bool, id: String, action: Action| {
        let page = page.clone();
        let onclick = Callback::from(move |_: MouseEvent| {
            close(&page, target);
            page.act(vec![action.clone()]);
        });
        html! {
            <button role="menuitemradio" aria-checked={on.to_string()} tabindex="-1"
                data-testid={id} {onclick}>{ text }</button>
        }
    };
    html! {
        <>
            <h3 role="presentation">{ format!("{na} – {nb}") }</h3>
            if link.cut != Cut::Both {
                { item(page, target, Icon::Cut, locale.say(words::CUT_LINK).to_owned(), "menu-cut", {
                    let action = Action::Partition { a: vec![na.clone()], b: vec![nb.clone()] };
                    move |page| page.act(vec![action.clone()])
                }) }
            }
            if link.cut == Cut::No {
                { one_way(&na, &nb, "menu-cut-forth") }
                { one_way(&nb, &na, "menu-cut-back") }
            } else {
                { item(page, target, Icon::Heal, locale.say(common::HEAL).to_owned(), "menu-heal", {
                    let action = Action::Heal { a: vec![na.clone()], b: vec![nb.clone()] };
                    move |page| page.act(vec![action.clone()])
                }) }
            }
            <hr />
            <div class="what">{ glyph(Icon::Clock) }{ locale.say(words::LATENCY) }</div>
            <div class="choices">
                { for LATENCIES.iter().map(|&ms| {
                    let latency = Duration::from_millis(ms);
                    choice(figures::duration(latency), link.latency == latency,
                        format!("menu-latency-{ms}"), Action::Latency {
                            a: na.clone(), b: nb.clone(), latency, jitter: None,
                        })
                }) }
            </div>
            <div class="what">{ glyph(Icon::Loss) }{ locale.say(words::LOSS) }</div>
            <div class="choices">
                { for LOSSES.iter().map(|&percent| {
                    let ppm = percent * 10_000;
                    let text = match percent {
                        0 => locale.say(words::LOSS_NONE).to_owned(),
                        n => format!("{n} %"),
                    };
                    choice(text, link.loss_ppm == ppm, format!("menu-loss-{percent}"),
                        Action::Loss { a: na.clone(), b: nb.clone(), ppm })
                }) }
            </div>
        </>
    }
}

/// Positions the menu inside the window.
fn put(element: &HtmlElement, at: Point) {
    let window = gloo::utils::window();
    let size = |value: Result<wasm_bindgen::JsValue, _>| {
        value.ok().and_then(|value| value.as_f64()).unwrap_or(800.0)
    };
    let (width, height) = (size(window.inner_width()), size(window.inner_height()));
    let x = at.x.min(width - f64::from(element.offset_width()) - 8.0).max(8.0);
    let y = at.y.min(height - f64::from(element.offset_height()) - 8.0).max(8.0);
    let _ = element.style().set_property("transform", &format!("translate({x:.0}px, {y:.0}px)"));
}

/// Moves the focus by `step` items; 0 focuses the first one.
fn focus_item(menu: &HtmlElement, step: i32) {
    let Ok(items) = menu.query_selector_all("button") else { return };
    let count = items.length() as i32;
    if count == 0 {
        return;
    }
    let active = gloo::utils::document().active_element();
    let at = (0..count).find(|&i| {
        let item = items.item(i as u32).and_then(|item| item.dyn_into().ok());
        item.is_some() && item == active
    });
    let next = match (step, at) {
        (0, _) | (_, None) => 0,
        (step, Some(at)) => (at + step).rem_euclid(count),
    };
    if let Some(item) = items.item(next as u32) {
        let _ = item.unchecked_into::<HtmlElement>().focus();
    }
}

mod words {
    crate::i18n::texts! {
        RESTART_EMPTY: "Restart with an empty disk", "以空磁盘重启";
        KILL_PROCESS: "Kill the process", "杀死进程";
        STOP_PROCESS: "Ask it to end", "请求进程退出";
        START_PROCESS: "Start the process", "启动进程";
        WHOLE_MACHINE: "All of {name}", "整台 {name}";
        ISOLATE: "Cut off from all", "与其他节点隔离";
        CUT_LINK: "Cut", "断开";
        CUT_ONE_WAY: "Cut {a} → {b} only", "仅断开 {a} → {b}";
        LATENCY: "Latency", "延迟";
        LOSS: "Loss", "丢包";
        LOSS_NONE: "none", "无";
    }
}
