//! The map of a deployment, drawn with the marks of the lab's map; nodes can be chosen on it.

use limpid_core::sorted::SortedMap;
use yew::prelude::*;

use crate::i18n::{Locale, common};
use crate::kinds::{Detail, num};
use crate::layout::{self, Layout, Point, Room};
use crate::map::circle::{Plan, circle_of_slots};
use crate::map::follow::FollowMark;
use crate::routes::Routes;
use crate::scene::{Body, Health, Scene};
use crate::units::BodyId;

/// Room around the bodies.
const MARGIN: f64 = 24.0;

/// Draws the bodies of a scene. `choose` is called with the address of one that is clicked.
pub(super) fn map(
    scene: &Scene,
    layout: Layout,
    locale: Locale,
    chosen: Option<BodyId>,
    choose: &Callback<Option<String>>,
) -> Html {
    let nodes = scene.layout_nodes();
    let places = layout::place(layout, &nodes, room());
    let (left, top, right, bottom) = layout::bounds(&nodes, &places);
    let routes = Routes::of(scene, &places);
    let ids = scene.bodies.iter().map(|body| body.id);
    let places: SortedMap<BodyId, Point> = ids.zip(places).collect();
    let at = |id: BodyId| places.get(&id).copied().unwrap_or_default();
    let view_box = format!(
        "{} {} {} {}",
        num(left - MARGIN),
        num(top - MARGIN),
        num(right - left + MARGIN * 2.0),
        num(bottom - top + MARGIN * 2.0)
    );
    html! {
        <svg class="map still" viewBox={view_box} role="group" aria-label={locale.say(common::MAP)}>
            { circle_of_slots(&Plan { scene, places: &places, locale, slot: None, unit: 1.0, live: false }) }
            { for scene.follows.iter().map(|follow| html! {
                <FollowMark follow={follow.clone()} course={routes.course((follow.from, at(follow.from)), (follow.to, at(follow.to)))}
                    name_a={scene.name(follow.from).to_owned()}
                    name_b={scene.name(follow.to).to_owned()} {locale} unit={1.0} />
            }) }
            { for scene.bodies.iter().map(|each| {
                body(each, at(each.id), locale, chosen == Some(each.id), choose)
            }) }
        </svg>
    }
}

/// The shape of the window's area for the map.
fn room() -> Room {
    let side = |value: Result<wasm_bindgen::JsValue, _>| {
        value.ok().and_then(|value| value.as_f64()).unwrap_or(1000.0)
    };
    let window = gloo::utils::window();
    Room::of(side(window.inner_width()), side(window.inner_height()))
}

fn body(
    body: &Body,
    Point { x, y }: Point,
    locale: Locale,
    chosen: bool,
    choose: &Callback<Option<String>>,
) -> Html {
    let onclick = {
        let (choose, address) = (choose.clone(), body.address.clone());
        Callback::from(move |_: MouseEvent| choose.emit(Some(address.clone())))
    };
    let onkeydown = {
        let (choose, address) = (choose.clone(), body.address.clone());
        Callback::from(move |event: KeyboardEvent| {
            if matches!(event.key().as_str(), "Enter" | " ") {
                event.prevent_default();
                choose.emit(Some(address.clone()));
            }
        })
    };
    let down = body.health.is_down().then_some("down");
    let picked = chosen.then_some("picked");
    let class = classes!("body", body.kind.name, body.role().name, down, picked);
    let (half, above) = (body.kind.outline.aside + 4.0, body.kind.outline.above + 4.0);
    let high = above + (body.kind.reach)(body, true) + 4.0;
    let line = match body.health {
        Health::Online => body.line(locale),
        _ => locale.say(words::SILENT).to_owned(),
    };
    html! {
        <g {class} role="button" tabindex="0" aria-pressed={chosen.to_string()}
            aria-label={body.spoken(locale)} data-testid={format!("node-{}", body.address)}
            data-state={body.health.name()} data-role={body.role().name} {onclick} {onkeydown}
            transform={format!("translate({} {})", num(x), num(y))}>
            <rect class="halo" x={num(-half)} y={num(-above)} width={num(half * 2.0)}
                height={num(high)} rx="20" />
            { (body.kind.mark)(body, Detail { near: true, locale }) }
            <text class="name" y={num(body.kind.name_at)}>{ &body.name }</text>
            if !line.is_empty() {
                <text class="doing" y={num(body.kind.name_at + 15.0)}>{ line }</text>
            }
        </g>
    }
}

mod words {
    crate::i18n::texts! {
        SILENT: "no answer", "无响应";
    }
}
