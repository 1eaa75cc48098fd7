//! The circle of slots: an arc for each range of slots in its owner's hue, migrating slots, and the
//! chosen slot.

use limpid_core::sharding::Slot;
use limpid_core::sorted::SortedMap;
use yew::prelude::*;

use crate::cluster::{Circle, Claim, Moving};
use crate::figures;
use crate::i18n::Locale;
use crate::kinds::num;
use crate::layout::{Point, circle};
use crate::page::{Page, Topic, View};
use crate::scene::Scene;
use crate::units::BodyId;

/// The thickness of the circle, and how far from it a click still hits it, as fractions of its
/// radius.
const BAND: f64 = 0.085;
const REACH: f64 = 0.12;
/// The most migrating slots that are drawn.
const MOST_MOVING: usize = 300;

/// The input for drawing the circle.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// The scene, with bodies and slots.
    pub scene: &'a Scene,
    /// The positions of bodies.
    pub places: &'a SortedMap<BodyId, Point>,
    /// The language.
    pub locale: Locale,
    /// The chosen slot.
    pub slot: Option<Slot>,
    /// Units of the map for a pixel.
    pub unit: f64,
    /// Whether a slot can be chosen.
    pub live: bool,
}

impl<'a> Plan<'a> {
    /// The input from the view state.
    pub(super) fn of(view: &'a View) -> Self {
        Plan {
            scene: &view.scene,
            places: &view.places,
            locale: view.prefs.locale,
            slot: view.slot,
            unit: 1.0 / view.camera.k,
            live: true,
        }
    }

    fn place(&self, body: BodyId) -> Point {
        self.places.get(&body).copied().unwrap_or_default()
    }
}

/// The radius of the circle's centre line on the map; `None` if there is no circle.
fn radius(plan: &Plan<'_>) -> Option<f64> {
    plan.scene.circle.as_ref()?;
    let primaries =
        plan.scene.bodies.iter().filter(|body| body.shard.is_some() && body.home.is_none());
    Some(circle::radius(primaries.map(|body| plan.place(body.id))))
}

/// The slot at a point of the map, if the point is on the circle.
fn slot_at(plan: &Plan<'_>, at: Point) -> Option<Slot> {
    let radius = radius(plan)?;
    let off = (at.distance(Point::default()) - radius).abs();
    let number = (circle::part_of(at) * f64::from(Slot::COUNT)) as u16;
    (off <= radius * REACH).then(|| Slot::new(number.min(Slot::COUNT - 1)))?
}

/// Chooses the slot at a point of the stage, if the point is on the circle.
pub(super) fn choose(page: &Page, at: Point) -> bool {
    let slot = {
        let view = page.view();
        slot_at(&Plan::of(&view), view.camera.to_map(at))
    };
    if slot.is_some() {
        page.change(Topic::Scene, |view| view.slot = slot);
    }
    slot.is_some()
}

/// The circle, if there is a cluster.
pub(crate) fn circle_of_slots(plan: &Plan<'_>) -> Html {
    let (Some(shown), Some(radius)) = (&plan.scene.circle, radius(plan)) else {
        return Html::default();
    };
    let locale = plan.locale;
    html! {
        <g class="circle" data-testid="circle" data-served={shown.served().to_string()}
            data-moving={shown.moving.len().to_string()} role="img"
            aria-label={summary(locale, shown)}>
            <circle class="unowned" r={num(radius)} stroke-width={num(radius * BAND)} />
            { for shown.claims.iter().map(|claim| arc(plan, claim, radius)) }
            { for shown.moving.iter().take(MOST_MOVING).map(|cell| moving(plan, cell, radius)) }
            { chosen(plan, shown, radius) }
        </g>
    }
}

/// The text on how many slots are served.
fn summary(locale: Locale, shown: &Circle) -> String {
    locale.fill(
        words::SERVED,
        &[
            ("n", &figures::count(shown.served().into())),
            ("all", &figures::count(Slot::COUNT.into())),
        ],
    )
}

/// The arc of a range of slots. It is pale while no node serves it; a second node that claims the
/// range has a thin arc inside.
fn arc(plan: &Plan<'_>, claim: &Claim, radius: f64) -> Html {
    let hue = |body| {
        let shard = plan.scene.body(body).and_then(|body| body.shard).unwrap_or_default();
        format!("hue-{}", shard % 7)
    };
    let path = |radius: f64| sector(claim.first, claim.last, radius);
    let served = if claim.served { "served" } else { "unserved" };
    let title = format!("{}–{} {}", claim.first, claim.last, plan.scene.name(claim.owner));
    html! {
        <g key={claim.first}>
            <path class={classes!("arc", served, hue(claim.owner))} d={path(radius)}
                stroke-width={num(radius * BAND)}><title>{ title }</title></path>
            if let Some(rival) = claim.rival {
                <path class={classes!("arc", "rival", hue(rival))} d={path(radius * (1.0 - BAND))}
                    stroke-width={num(radius * BAND * 0.35)}>
                    <title>{ plan.scene.name(rival) }</title>
                </path>
            }
        </g>
    }
}

/// An arc over slots, as a path to be stroked.
fn sector(first: u16, last: u16, radius: f64) -> String {
    let all = f64::from(Slot::COUNT);
    let (from, to) = (f64::from(first) / all, (f64::from(last) + 1.0) / all);
    // A gap between adjacent arcs, if there is room.
    let gap = if to - from > 0.004 && to - from < 1.0 { 0.0008 } else { 0.0 };
    let ends = [from + gap, (from + to) / 2.0, to - gap]
        .map(|part| circle::on(circle::angle(part), radius));
    let [a, b, c] = ends;
    // In two pieces, since an SVG arc of more than half a circle needs another flag.
    format!(
        "M{:.1} {:.1}A{radius:.1} {radius:.1} 0 0 1 {:.1} {:.1}A{radius:.1} {radius:.1} 0 0 1 {:.1} {:.1}",
        a.x, a.y, b.x, b.y, c.x, c.y
    )
}

/// A migrating slot: a cell that moves along the inside of the circle as its keys arrive.
fn moving(plan: &Plan<'_>, cell: &Moving, radius: f64) -> Html {
    let from = f64::from(cell.slot) / f64::from(Slot::COUNT);
    let to = circle::part_of(plan.place(cell.to));
    // The shorter way around.
    let way = (to - from + 0.5).rem_euclid(1.0) - 0.5;
    let inside = radius * (1.0 - BAND * 1.3);
    let at = circle::on(circle::angle(from + way * cell.part), inside);
    let home = circle::on(circle::angle(from), radius);
    let hue = |body| {
        let shard = plan.scene.body(body).and_then(|body| body.shard).unwrap_or_default();
        format!("hue-{}", shard % 7)
    };
    let size = radius * BAND * 0.5;
    html! {
        <g key={format!("m{}", cell.slot)} class="moving" data-testid={format!("moving-{}", cell.slot)}
            data-part={format!("{:.2}", cell.part)}>
            <path class="thread" d={format!("M{:.1} {:.1}L{:.1} {:.1}", home.x, home.y, at.x, at.y)} />
            <rect class={classes!("cell", hue(cell.from))} x={num(at.x - size)} y={num(at.y - size)}
                width={num(size * 2.0)} height={num(size * 2.0)} rx={num(size * 0.3)}>
                <title>{ format!("{} {} → {}", cell.slot, plan.scene.name(cell.from), plan.scene.name(cell.to)) }</title>
            </rect>
        </g>
    }
}

/// The text inside the circle: how many slots are served, and the chosen slot with its owner.
fn chosen(plan: &Plan<'_>, shown: &Circle, radius: f64) -> Html {
    let locale = plan.locale;
    // As large as is readable, but inside the circle.
    let size = (radius * 0.115).max(plan.unit * 11.0).min(radius * 0.2);
    let line = |nth: f64, class: &'static str, text: String| {
        html! { <text {class} y={num(size * (nth * 1.35 + 0.35))} font-size={num(size)}>{ text }</text> }
    };
    let Some(slot) = plan.slot else {
        let all = figures::count(Slot::COUNT.into());
        let count = [("n", &*figures::count(shown.served().into())), ("all", &*all)];
        return html! {
            <>
                { line(-1.0, "told", locale.fill(words::SERVED_COUNT, &count)) }
                { line(0.0, "told", locale.say(words::SERVED_WHAT).to_owned()) }
                if plan.live {
                    { line(1.0, "hint-slot", locale.say(words::CHOOSE).to_owned()) }
                }
            </>
        };
    };
    let part = (f64::from(slot.number()) + 0.5) / f64::from(Slot::COUNT);
    let ends =
        [1.0 - BAND * 1.4, 1.0 + BAND * 0.7].map(|r| circle::on(circle::angle(part), radius * r));
    let owner = shown.owner(slot.number()).map(|claim| plan.scene.name(claim.owner).to_owned());
    html! {
        <>
            <path class="chosen" d={format!("M{:.1} {:.1}L{:.1} {:.1}", ends[0].x, ends[0].y, ends[1].x, ends[1].y)} />
            { line(-0.5, "told", locale.fill(words::SLOT, &[("n", &slot.number().to_string())])) }
            { line(0.5, "told", owner.unwrap_or_else(|| locale.say(words::NO_OWNER).to_owned())) }
        </>
    }
}

mod words {
    crate::i18n::texts! {
        SERVED: "{n} of {all} slots served", "已有 {n} / {all} 个槽位可用";
        SERVED_COUNT: "{n} of {all}", "{n} / {all}";
        SERVED_WHAT: "slots served", "个槽位可用";
        CHOOSE: "click the ring", "点击圆环看槽位";
        SLOT: "slot {n}", "槽位 {n}";
        NO_OWNER: "no owner", "无归属";
    }
}
