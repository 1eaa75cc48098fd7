//! The buttons for the selected bodies, at the bottom of the stage, where they cover nothing.

use limpid_core::sim::Action;
use yew::prelude::*;

use crate::i18n::{Text, common};
use crate::icon::{Icon, glyph};
use crate::layout::Part;
use crate::live::live;
use crate::page::{Page, Target, Topic, View};
use crate::scene::{Body, Health};
use crate::terminal;
use crate::units::BodyId;

/// The buttons for the selected bodies.
pub(crate) fn acts() -> Html {
    live(&[Topic::Prefs, Topic::Scene, Topic::Open], draw_acts)
}

fn draw_acts(page: &Page) -> Html {
    let view = page.view();
    let selected: Vec<BodyId> = view.selected.iter().copied().collect();
    if selected.is_empty() || view.menu.is_some() {
        return Html::default();
    }
    let locale = view.prefs.locale;
    let button =
        |icon: Icon, text: Text, id: &'static str, alarm: bool, act: Callback<MouseEvent>| {
            html! {
                <button class={classes!("button", alarm.then_some("alarm"))} data-testid={id}
                    title={locale.say(text)} aria-label={locale.say(text)} onclick={act}>
                    { glyph(icon) }<span>{ locale.say(text) }</span>
                </button>
            }
        };
    let act = |actions: Vec<Action>| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| page.act(actions.clone()))
    };
    let bodies: Vec<_> =
        selected.iter().filter_map(|&body| view.scene.body(body).cloned()).collect();
    let whom = match &bodies[..] {
        [one] => one.name.clone(),
        several => locale.fill(words::SELECTED_COUNT, &[("n", &several.len().to_string())]),
    };
    let any_down = bodies.iter().any(|body| body.health.is_down());
    let any_paused = bodies.iter().any(|body| body.health == Health::Paused);
    let any_up = bodies.iter().any(|body| body.health == Health::Online);
    let hosts: Vec<String> = bodies.iter().map(|body| body.host.clone()).collect();
    let each = |make: fn(&Body) -> Action, which: fn(Health) -> bool| -> Vec<Action> {
        bodies.iter().filter(|body| which(body.health)).map(|body| make(body)).collect()
    };
    html! {
        <div class="acts" role="toolbar" aria-label={locale.say(common::ACTIONS)}
            data-testid="acts">
            <span class="whom">{ whom }</span>
            if let [one] = selected[..] && bodies[0].kind.part != Part::Client {
                { button(Icon::Terminal, common::OPEN_TERMINAL, "act-terminal", false, {
                    let page = page.clone();
                    Callback::from(move |_| terminal::open(&page, one))
                }) }
            }
            if let [one] = selected[..] {
                { button(Icon::Inspect, common::INSPECT, "act-inspect", false, {
                    let page = page.clone();
                    Callback::from(move |_| page.inspect(one))
                }) }
            }
            if any_up || any_paused {
                { button(Icon::Crash, common::CRASH, "act-crash", true, act(each(
                    Body::crash,
                    |health| health != Health::Crashed,
                ))) }
            }
            if any_down {
                { button(Icon::Restart, common::RESTART, "act-restart", false, act(each(
                    Body::restart,
                    Health::is_down,
                ))) }
            }
            if any_paused {
                { button(Icon::Play, common::RESUME, "act-resume", false, act(each(
                    |body| Action::Resume { target: body.target() },
                    |health| health == Health::Paused,
                ))) }
            } else if any_up {
                { button(Icon::Pause, common::PAUSE_NODE, "act-pause", false, act(each(
                    |body| Action::Pause { target: body.target() },
                    |health| health == Health::Online,
                ))) }
            }
            if is_cut_off(&view, &selected) {
                { button(Icon::Heal, common::HEAL, "act-heal", false,
                    act(vec![Action::Heal { a: hosts.clone(), b: vec![] }])) }
            } else {
                { button(Icon::Cut, words::ISOLATE_SHORT, "act-partition", true,
                    act(vec![Action::Partition { a: hosts.clone(), b: vec![] }])) }
            }
            <button class="button" data-testid="act-clear" title={locale.say(words::CLEAR_SELECTION)}
                aria-label={locale.say(words::CLEAR_SELECTION)} onclick={clear(page)}>
                { glyph(Icon::Close) }
            </button>
        </div>
    }
}

fn clear(page: &Page) -> Callback<MouseEvent> {
    let page = page.clone();
    Callback::from(move |_| {
        page.change(Topic::Open, |view| view.selected.clear());
        let Some(Target::Body(body)) = page.view().focus else { return };
        super::focus::focus(&format!("body-{body}"));
    })
}

/// Whether every link from the selected bodies to the others is cut.
fn is_cut_off(view: &View, selected: &[BodyId]) -> bool {
    let mut across = view
        .scene
        .links
        .iter()
        .filter(|link| selected.contains(&link.a) != selected.contains(&link.b))
        .peekable();
    across.peek().is_some() && across.all(|link| link.cut == crate::scene::Cut::Both)
}

mod words {
    crate::i18n::texts! {
        ISOLATE_SHORT: "Cut off", "隔离";
        SELECTED_COUNT: "{n} selected", "已选 {n} 个";
        CLEAR_SELECTION: "Clear the selection", "取消选择";
    }
}
