//! The SVG of the map: links below, bodies above, and between them the lasso.

use limpid_core::sorted::{SortedMap, sort_by};
use yew::prelude::*;

use crate::i18n::common;
use crate::layout::{Area, Outline, Part, Point};
use crate::map::body::BodyMark;
use crate::map::circle::{Plan, circle_of_slots};
use crate::map::follow::FollowMark;
use crate::map::gesture::{self, Gesture};
use crate::map::link::{self, LinkMark, Spot};
use crate::page::{Target, Topic, View, use_page};
use crate::scene::{Body, Cut, Machine, Scene};
use crate::units::BodyId;

/// With more bodies than this, the names of clients are shown only on demand.
const CROWD: usize = 20;

/// With more bodies than this, names are shortened to a number when the map is zoomed out.
const THRONG: usize = 60;

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub gesture: Option<Gesture>,
}

/// The links, the bodies, and the lasso of a gesture.
#[component]
pub(crate) fn Chart(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Scene, Topic::Open, Topic::Camera]);
    let node = use_node_ref();
    let view = page.view();
    let camera = view.camera;
    {
        let node = node.clone();
        use_effect_with(camera.k.to_bits(), move |_| {
            if let Some(svg) = node.cast::<web_sys::SvgElement>() {
                // Labels keep their size on the screen: the styles divide by the scale.
                let _ = svg.style().set_property("--k", &format!("{:.4}", camera.k));
            }
        });
    }
    let locale = view.prefs.locale;
    let crowded = view.scene.bodies.len() > CROWD;
    let thronged = view.scene.bodies.len() > THRONG;
    let distance = match camera.k {
        k if k < 0.7 && thronged => "map far middling thronged",
        // At this zoom a plate is narrower than its server's line of state.
        k if k < 0.7 => "map far middling",
        _ if crowded && camera.k < 1.0 => "map middling",
        _ => "map",
    };
    let (scene, places) = (&view.scene, &view.places);
    let at = |id: BodyId| view.place(id);
    let name = |id: BodyId| scene.name(id).to_owned();
    let unit = round(1.0 / camera.k);
    let near = camera.k >= 0.95;
    // The areas that captions must not cover: bodies, and other captions.
    let mut taken: Vec<Area> = scene.bodies.iter().map(|body| area(body, at(body.id))).collect();
    let links: Vec<Html> = scene
        .links
        .iter()
        .map(|link| {
            let (a, b) = (link.a, link.b);
            let (course, middle) = (view.course(a, b), middle(&view, a, b));
            let picked = picked(&view, a, b);
            let spot = Spot::find(link, &course, middle, unit, &taken);
            if (picked || link::has_caption(link)) && link.cut != Cut::Both {
                taken.push(spot.area(link, &course, unit));
            }
            html! {
                <LinkMark key={format!("{a}-{b}")} link={link.clone()} {locale} {course}
                    faint={watches(scene, a, b)} {middle} {spot} name_a={name(a)} name_b={name(b)}
                    {picked} {unit} />
            }
        })
        .collect();
    html! {
        <svg class={distance} ref={node} role="group" data-testid="map"
            aria-label={locale.say(common::MAP)}>
            <g transform={format!("translate({:.2} {:.2}) scale({:.4})", camera.x, camera.y, camera.k)}>
                { circle_of_slots(&Plan::of(&view)) }
                { for scene.machines.iter().map(|machine| plate(machine, places)) }
                { for links }
                { for scene.follows.iter().map(|follow| html! {
                    <FollowMark key={format!("f{}-{}", follow.from, follow.to)}
                        follow={follow.clone()} course={view.course(follow.from, follow.to)}
                        name_a={name(follow.from)} name_b={name(follow.to)} {locale} {unit} />
                }) }
                { wall(&view) }
                { for scene.bodies.iter().map(|body| html! {
                    <BodyMark key={body.id.to_string()} body={body.clone()} at={at(body.id)}
                        {locale} picked={view.selected.contains(&body.id)}
                        reachable={view.focus_body() == Some(body.id)} {near} />
                }) }
                if let Some(Gesture::Lasso { points }) = &props.gesture {
                    <path class="loop" d={gesture::path(points)} />
                }
            </g>
        </svg>
    }
}

/// The area of a body with its name and its line of state.
fn area(body: &Body, at: Point) -> Area {
    let Outline { aside, above, below, .. } = body.kind.outline;
    (at.x - aside, at.y - above, at.x + aside, at.y + below + 12.0)
}

/// The average width of a character of a machine's label.
const LABEL_CHAR: f64 = 6.2;

/// The plate under the bodies of a machine, with its name.
pub(super) fn plate(machine: &Machine, places: &SortedMap<BodyId, Point>) -> Html {
    let members = machine.members.iter().filter_map(|member| places.get(member).copied());
    let (left, top, right, bottom) = crate::layout::plate(members);
    let class = if machine.on { "machine" } else { "machine off" };
    let num = |value: f64| format!("{value:.1}");
    let label = format!("{} · {}", machine.name, machine.address);
    // A label that is wider than the plate goes above it.
    let fits = label.chars().count() as f64 * LABEL_CHAR < right - left - 16.0;
    let label_at = if fits { top + 18.0 } else { top - 7.0 };
    html! {
        <g {class} key={machine.name.clone()} data-testid={format!("machine-{}", machine.name)}>
            <rect x={num(left)} y={num(top)} width={num(right - left)} height={num(bottom - top)}
                rx="22" />
            <text x={num((left + right) / 2.0)} y={num(label_at)}>{ label }</text>
        </g>
    }
}

/// Whether a link ends at a selected body, so that its caption is shown.
fn picked(view: &View, a: BodyId, b: BodyId) -> bool {
    match view.menu {
        Some((Target::Link(x, y), _)) => (x, y) == (a, b),
        _ => view.selected.contains(&a) || view.selected.contains(&b),
    }
}

/// Whether a link is only used for monitoring: one end is a Sentinel, or both are cluster nodes
/// that gossip.
pub(super) fn watches(scene: &Scene, a: BodyId, b: BodyId) -> bool {
    let holds_data = |id| scene.body(id).is_some_and(|body| body.shard.is_some());
    if scene.circle.is_some() && holds_data(a) && holds_data(b) {
        return true;
    }
    let is = |id| scene.body(id).is_some_and(|body| body.kind.part == Part::Sentinel);
    is(a) || is(b)
}

/// Rounds the size of a pixel, so that links are not redrawn for every step of a zoom.
fn round(unit: f64) -> f64 {
    (unit * 8.0).round() / 8.0
}

/// The fraction of a link at the middle of its visible part.
fn middle(view: &View, a: BodyId, b: BodyId) -> f64 {
    let outline = |id: BodyId| Some(&view.scene.body(id)?.kind.outline);
    outline(a).zip(outline(b)).map_or(0.5, |(one, other)| view.course(a, b).middle(one, other))
}

/// Draws a partition: a translucent curve through the middles of the links that are cut,
/// interrupted where it would cross a body.
fn wall(view: &View) -> Html {
    let mut middles: Vec<(Point, Point)> = view
        .scene
        .links
        .iter()
        .filter(|link| link.cut != Cut::No)
        .filter_map(|link| {
            let (a, b) = (*view.places.get(&link.a)?, *view.places.get(&link.b)?);
            let length = a.distance(b).max(1.0);
            // Across the link, always to the same side.
            let (x, y) = ((a.y - b.y) / length, (b.x - a.x) / length);
            let side = if (y, x) < (0.0, 0.0) { -1.0 } else { 1.0 };
            let at = view.course(link.a, link.b).at(middle(view, link.a, link.b));
            Some((at, Point::new(x * side, y * side)))
        })
        .collect();
    if middles.len() < 2 {
        return Html::default();
    }
    // Sorted along the longer side of their area, so that the curve does not zigzag.
    let spread = |of: fn(&Point) -> f64| {
        let (low, high) = middles
            .iter()
            .fold((f64::MAX, f64::MIN), |(low, high), (p, _)| (low.min(of(p)), high.max(of(p))));
        high - low
    };
    let by: fn(&Point) -> f64 = if spread(|p| p.x) > spread(|p| p.y) { |p| p.x } else { |p| p.y };
    sort_by(&mut middles, |(a, _), (b, _)| by(a).total_cmp(&by(b)));
    let mut path = String::new();
    let mut begins = 0;
    for end in 1..=middles.len() {
        if end == middles.len() || is_blocked(view, middles[end - 1].0, middles[end].0) {
            path += &stretch(&middles[begins..end]);
            begins = end;
        }
    }
    html! { <path class="wall" d={path} /> }
}

/// Whether a body lies between two points.
fn is_blocked(view: &View, a: Point, b: Point) -> bool {
    /// The distance within which a body is in the way.
    const NEAR: f64 = 58.0;
    let length = a.distance(b).max(1.0);
    view.places.values().any(|at| {
        let along = ((at.x - a.x) * (b.x - a.x) + (at.y - a.y) * (b.y - a.y)) / (length * length);
        at.distance(a.toward(b, along.clamp(0.0, 1.0))) < NEAR
    })
}

/// The path of one piece of the partition, which extends a little beyond the links at its ends, so
/// that it does not look like a link. A piece with a single link crosses it.
fn stretch(middles: &[(Point, Point)]) -> String {
    const BEYOND: f64 = 34.0;
    let (Some(&(first, across)), Some(&(last, _))) = (middles.first(), middles.last()) else {
        return String::new();
    };
    let by = |p: Point, t: f64| Point::new(p.x + across.x * t, p.y + across.y * t);
    let beyond =
        |end: Point, inner: Point| inner.toward(end, 1.0 + BEYOND / inner.distance(end).max(1.0));
    let (before, after) = match middles {
        [_] => (by(first, -BEYOND), by(first, BEYOND)),
        [_, (second, _), ..] => {
            (beyond(first, *second), beyond(last, middles[middles.len() - 2].0))
        }
        [] => return String::new(),
    };
    let mut points = vec![before];
    points.extend(middles.iter().map(|(at, _)| *at));
    points.push(after);
    let mut path = format!("M{:.1} {:.1}", before.x, before.y);
    for pair in points.windows(2) {
        let half = pair[0].toward(pair[1], 0.5);
        path += &format!("Q{:.1} {:.1} {:.1} {:.1}", pair[0].x, pair[0].y, half.x, half.y);
    }
    path + &format!("L{:.1} {:.1}", after.x, after.y)
}
