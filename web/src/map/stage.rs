//! The stage: the map in its frame, the canvas over it, and what pointer and keys do there.

use limpid_core::sorted::sort_by;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};
use yew::prelude::*;

use crate::i18n::Text;
use crate::icon::{Glyph, Icon};
use crate::layout::Point;
use crate::map::acts::Acts;
use crate::map::body::BodyMark;
use crate::map::card::Card;
use crate::map::follow::FollowMark;
use crate::map::gesture::{self, Gesture};
use crate::map::link::LinkMark;
use crate::map::sheet::Sheet;
use crate::page::{Page, Pane, Target, Topic, View, use_page};
use crate::prefs;
use crate::scene::{Cut, Machine};

/// The map and everything on it.
#[component]
pub(crate) fn Stage() -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Scene, Topic::Open, Topic::Camera]);
    let frame = use_node_ref();
    let gesture = use_state_eq(|| None::<Gesture>);
    let lasso_on = use_state_eq(|| false);
    // A press that opened a message's card is no click on what lies below it.
    let spent = use_mut_ref(|| false);
    // Fingers that are down, with where they are.
    let fingers = use_mut_ref(Vec::<(i32, Point)>::new);

    use_size_of(&page, &frame);

    let onpointerdown = {
        let (page, gesture, lasso_on, frame, spent) =
            (page.clone(), gesture.clone(), lasso_on.clone(), frame.clone(), spent.clone());
        let fingers = fingers.clone();
        Callback::from(move |event: PointerEvent| {
            *spent.borrow_mut() = false;
            if event.button() > 1 || is_control(&event) {
                return;
            }
            let at = on_stage(&frame, event.client_x(), event.client_y());
            if event.pointer_type() == "touch" && !page.view().table {
                let mut fingers = fingers.borrow_mut();
                fingers.retain(|(id, _)| *id != event.pointer_id());
                fingers.push((event.pointer_id(), at));
                if let [(_, a), (_, b)] = fingers[..] {
                    if let Some(frame) = frame.cast::<Element>() {
                        let _ = frame.set_pointer_capture(event.pointer_id());
                    }
                    let camera = page.view().camera;
                    gesture.set(Some(Gesture::Pinch { from: (a, b), camera }));
                    *spent.borrow_mut() = true;
                    return;
                }
            }
            // A message lies above everything else, but nobody aims at one inside a body.
            if event.button() == 0 && pick_message(&page, at) {
                event.prevent_default();
                *spent.borrow_mut() = true;
                return;
            }
            if target_of(event.target()).is_some() && event.button() == 0 {
                return;
            }
            page.change(Topic::Open, |view| view.card = None);
            let lasso =
                event.button() == 0 && event.pointer_type() != "touch" && !page.view().camera_held;
            let begun = if lasso || event.shift_key() || *lasso_on {
                Gesture::Lasso { points: vec![page.view().camera.to_map(at)] }
            } else {
                Gesture::Pan { from: at, camera: page.view().camera, moved: false }
            };
            if let Some(frame) = frame.cast::<Element>() {
                // Without capture the gesture merely ends at the edge of the stage.
                let _ = frame.set_pointer_capture(event.pointer_id());
            }
            gesture.set(Some(begun));
        })
    };
    let onpointermove = {
        let (page, gesture, frame) = (page.clone(), gesture.clone(), frame.clone());
        let fingers = fingers.clone();
        Callback::from(move |event: PointerEvent| {
            let at = on_stage(&frame, event.client_x(), event.client_y());
            let mut fingers = fingers.borrow_mut();
            if let Some(finger) = fingers.iter_mut().find(|(id, _)| *id == event.pointer_id()) {
                finger.1 = at;
            }
            if let (Some(Gesture::Pinch { from, camera }), [(_, a), (_, b), ..]) =
                (&*gesture, &fingers[..])
            {
                page.change(Topic::Camera, |view| {
                    view.camera = gesture::pinched(*camera, *from, (*a, *b));
                    view.camera_held = true;
                });
                return;
            }
            let Some(begun) = &*gesture else {
                page.point(Some(at));
                return;
            };
            gesture.set(Some(moved(&page, begun, at)));
        })
    };
    let onpointerleave = {
        let page = page.clone();
        Callback::from(move |_: PointerEvent| page.point(None))
    };
    let onpointerup = {
        let (page, gesture, lasso_on) = (page.clone(), gesture.clone(), lasso_on.clone());
        let fingers = fingers.clone();
        Callback::from(move |event: PointerEvent| {
            fingers.borrow_mut().retain(|(id, _)| *id != event.pointer_id());
            if let Some(begun) = &*gesture {
                ended(&page, begun);
                lasso_on.set(false);
            }
            gesture.set(None);
        })
    };
    let onpointercancel = {
        let gesture = gesture.clone();
        Callback::from(move |event: PointerEvent| {
            fingers.borrow_mut().retain(|(id, _)| *id != event.pointer_id());
            gesture.set(None);
        })
    };
    let onwheel = {
        let (page, frame) = (page.clone(), frame.clone());
        Callback::from(move |event: WheelEvent| {
            if page.view().table {
                return;
            }
            event.prevent_default();
            let at = on_stage(&frame, event.client_x(), event.client_y());
            page.change(Topic::Camera, |view| {
                // As much forth as back, however far it is turned.
                let turned = (event.delta_y() * 0.0016).clamp(-2.0, 2.0);
                let factor = 1.0 + turned.abs() + turned * turned / 2.0;
                let factor = if turned < 0.0 { factor } else { 1.0 / factor };
                view.camera = view.camera.zoomed(factor, at);
                view.camera_held = true;
            });
        })
    };
    let onclick = {
        let page = page.clone();
        Callback::from(move |event: MouseEvent| {
            if core::mem::take(&mut *spent.borrow_mut()) {
                return;
            }
            if let Some(target) = target_of(event.target()) {
                activate(&page, target, event.shift_key() || event.ctrl_key(), &event);
            }
        })
    };
    let ondblclick = {
        let page = page.clone();
        Callback::from(move |event: MouseEvent| {
            if let Some(Target::Body(body)) = target_of(event.target()) {
                crate::terminal::open(&page, body);
            }
        })
    };
    let oncontextmenu = {
        let page = page.clone();
        Callback::from(move |event: MouseEvent| {
            if let Some(target) = target_of(event.target()) {
                event.prevent_default();
                let at = Point::new(event.client_x().into(), event.client_y().into());
                page.change(Topic::Open, |view| view.menu = Some((target, at)));
            }
        })
    };
    let onkeydown = {
        let page = page.clone();
        Callback::from(move |event: KeyboardEvent| key_on_map(&page, &event))
    };

    let view = page.view();
    let locale = view.prefs.locale;
    let class = classes!(
        "stage",
        view.table.then_some("tabled"),
        matches!(*gesture, Some(Gesture::Pan { moved: true, .. })).then_some("moving"),
        (*lasso_on || matches!(*gesture, Some(Gesture::Lasso { .. }))).then_some("lassoing"),
    );
    let short = view.stage.0 < 640.0 || prefs::media_matches("(pointer: coarse)");
    let hint = match short {
        true => Text::MapHintTouch,
        false => Text::MapHint,
    };
    let touched = view.touched;
    let button = |icon: Icon, text: Text, id: &'static str, act: Callback<MouseEvent>| {
        html! {
            <button class="button" title={locale.say(text)} aria-label={locale.say(text)}
                data-testid={id} onclick={act}>
                <Glyph {icon} />
            </button>
        }
    };
    let on = |act: fn(&Page)| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| act(&page))
    };
    let toggle_lasso = {
        let lasso_on = lasso_on.clone();
        Callback::from(move |_: MouseEvent| lasso_on.set(!*lasso_on))
    };
    html! {
        <main {class} ref={frame} id="stage" {onpointerdown} {onpointermove} {onpointerup}
            {onpointerleave} {onpointercancel} {onwheel} {onclick} {ondblclick} {oncontextmenu}
            {onkeydown}>
            if view.table {
                <Sheet />
            } else {
                <Map gesture={(*gesture).clone()} />
                <canvas class="flight" id="flight" aria-hidden="true"></canvas>
                if !touched && view.selected.is_empty() {
                    <p class="hint">{ locale.say(hint) }</p>
                }
                <Acts />
                <Card />
            }
            <div class="tools" role="toolbar" aria-label={locale.say(Text::Map)}>
                if !view.table {
                    { button(Icon::Plus, Text::ZoomIn, "zoom-in", on(|page| page.zoom(1.3))) }
                    { button(Icon::Minus, Text::ZoomOut, "zoom-out", on(|page| page.zoom(1.0 / 1.3))) }
                    { button(Icon::Fit, Text::ZoomFit, "zoom-fit", on(Page::fit)) }
                    <button class="button" title={locale.say(Text::Lasso)}
                        aria-label={locale.say(Text::Lasso)} data-testid="lasso"
                        aria-pressed={lasso_on.to_string()} onclick={toggle_lasso}>
                        <Glyph icon={Icon::Lasso} />
                    </button>
                }
                { button(
                    if view.table { Icon::Map } else { Icon::Table },
                    if view.table { Text::MapView } else { Text::TableView },
                    "table",
                    on(|page| page.change(Topic::Open, |view| view.table = !view.table)),
                ) }
            </div>
        </main>
    }
}

/// Among more bodies than this, the names of clients are shown on demand only.
const CROWD: usize = 20;

#[derive(Properties, PartialEq)]
struct MapProps {
    gesture: Option<Gesture>,
}

/// Links below, bodies above, and between them what a gesture draws.
#[component]
fn Map(props: &MapProps) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Scene, Topic::Open, Topic::Camera]);
    let node = use_node_ref();
    let view = page.view();
    let camera = view.camera;
    {
        let node = node.clone();
        use_effect_with(camera.k.to_bits(), move |_| {
            if let Some(svg) = node.cast::<web_sys::SvgElement>() {
                // Labels keep their size on the screen; the styles divide by this.
                let _ = svg.style().set_property("--k", &format!("{:.4}", camera.k));
            }
        });
    }
    let locale = view.prefs.locale;
    let crowded = view.scene.bodies.len() > CROWD;
    let distance = match camera.k {
        k if k < 0.58 => "map far middling",
        k if k < 0.64 || (crowded && k < 1.0) => "map middling",
        _ => "map",
    };
    let (scene, places) = (&view.scene, &view.places);
    let at = |index: usize| places.get(index).copied().unwrap_or_default();
    let name =
        |index: usize| scene.bodies.get(index).map(|body| body.name.clone()).unwrap_or_default();
    html! {
        <svg class={distance} ref={node} role="group" data-testid="map"
            aria-label={locale.say(Text::Map)}>
            <g transform={format!("translate({:.2} {:.2}) scale({:.4})", camera.x, camera.y, camera.k)}>
                { for scene.machines.iter().map(|machine| plate(machine, places)) }
                { for scene.links.iter().map(|link| html! {
                    <LinkMark key={format!("{}-{}", link.a, link.b)} link={link.clone()} {locale}
                        a={at(link.a)} b={at(link.b)} name_a={name(link.a)} name_b={name(link.b)}
                        picked={picked(&view, link.a, link.b)} unit={round(1.0 / camera.k)} />
                }) }
                { for scene.follows.iter().map(|follow| html! {
                    <FollowMark key={format!("f{}-{}", follow.from, follow.to)}
                        follow={follow.clone()} a={at(follow.from)} b={at(follow.to)}
                        name_a={name(follow.from)} name_b={name(follow.to)} {locale}
                        unit={round(1.0 / camera.k)} />
                }) }
                { wall(&view) }
                { for scene.bodies.iter().enumerate().map(|(index, body)| html! {
                    <BodyMark key={body.name.clone()} {index} body={body.clone()} at={at(index)}
                        {locale} picked={view.selected.contains(&index)}
                        reachable={view.focus_body() == index} near={camera.k >= 0.95} />
                }) }
                if let Some(Gesture::Lasso { points }) = &props.gesture {
                    <path class="loop" d={gesture::path(points)} />
                }
            </g>
        </svg>
    }
}

/// The plate under the bodies of a machine, with its name.
fn plate(machine: &Machine, places: &[Point]) -> Html {
    let members = machine.members.iter().filter_map(|&member| places.get(member).copied());
    let (left, top, right, bottom) = crate::layout::plate(members);
    let class = if machine.on { "machine" } else { "machine off" };
    let num = |value: f64| format!("{value:.1}");
    html! {
        <g {class} key={machine.name.clone()} data-testid={format!("machine-{}", machine.name)}>
            <rect x={num(left)} y={num(top)} width={num(right - left)} height={num(bottom - top)}
                rx="22" />
            <text x={num((left + right) / 2.0)} y={num(top + 18.0)}>
                { format!("{} · {}", machine.name, machine.address) }
            </text>
        </g>
    }
}

/// Whether a link leads to a selected body, so that its figures are shown.
fn picked(view: &View, a: usize, b: usize) -> bool {
    match view.menu {
        Some((Target::Link(x, y), _)) => (x, y) == (a, b),
        _ => view.selected.contains(&a) || view.selected.contains(&b),
    }
}

/// Links need not be drawn anew for every step of a zoom.
fn round(unit: f64) -> f64 {
    (unit * 8.0).round() / 8.0
}

/// A partition: a translucent curve through the middles of the links that are cut.
fn wall(view: &View) -> Html {
    let mut middles: Vec<Point> = view
        .scene
        .links
        .iter()
        .filter(|link| link.cut != Cut::No)
        .filter_map(|link| Some(view.places.get(link.a)?.toward(*view.places.get(link.b)?, 0.5)))
        .collect();
    if middles.len() < 2 {
        return Html::default();
    }
    // Along the longer side of the area that they cover, so that the curve does not go to and fro.
    let spread = |of: fn(&Point) -> f64| {
        let (low, high) = middles
            .iter()
            .fold((f64::MAX, f64::MIN), |(low, high), p| (low.min(of(p)), high.max(of(p))));
        high - low
    };
    if spread(|p| p.x) > spread(|p| p.y) {
        sort_by(&mut middles, |a, b| a.x.total_cmp(&b.x));
    } else {
        sort_by(&mut middles, |a, b| a.y.total_cmp(&b.y));
    }
    // A little beyond the outermost links, so that it reads as a wall and not as a link.
    let (first, last) = (middles[0], middles[middles.len() - 1]);
    let beyond =
        |end: Point, inner: Point| inner.toward(end, 1.0 + 40.0 / inner.distance(end).max(1.0));
    let (before, after) = (beyond(first, middles[1]), beyond(last, middles[middles.len() - 2]));
    middles.insert(0, before);
    middles.push(after);
    let mut path = format!("M{:.1} {:.1}", before.x, before.y);
    for pair in middles.windows(2) {
        let half = pair[0].toward(pair[1], 0.5);
        path += &format!("Q{:.1} {:.1} {:.1} {:.1}", pair[0].x, pair[0].y, half.x, half.y);
    }
    if let Some(last) = middles.last() {
        path += &format!("L{:.1} {:.1}", last.x, last.y);
    }
    html! { <path class="wall" d={path} /> }
}

/// Follows the size of the stage.
#[hook]
fn use_size_of(page: &Page, frame: &NodeRef) {
    let (page, frame) = (page.clone(), frame.clone());
    use_effect_with((), move |()| {
        let element = frame.cast::<HtmlElement>();
        let measured = element.clone();
        let measure = wasm_bindgen::prelude::Closure::<dyn FnMut()>::new(move || {
            if let Some(element) = &measured {
                let size = (element.client_width().into(), element.client_height().into());
                page.resized(size);
            }
        });
        let observer = web_sys::ResizeObserver::new(measure.as_ref().unchecked_ref()).ok();
        if let (Some(observer), Some(element)) = (&observer, &element) {
            observer.observe(element);
        }
        move || {
            if let Some(observer) = observer {
                observer.disconnect();
            }
            drop(measure);
        }
    });
}

fn moved(page: &Page, begun: &Gesture, at: Point) -> Gesture {
    match begun {
        Gesture::Pan { from, camera, moved } => {
            let moved = *moved || from.distance(at) > gesture::CLICK;
            if moved {
                page.change(Topic::Camera, |view| {
                    view.camera.x = camera.x + at.x - from.x;
                    view.camera.y = camera.y + at.y - from.y;
                    view.camera_held = true;
                });
            }
            Gesture::Pan { from: *from, camera: *camera, moved }
        }
        Gesture::Pinch { .. } => begun.clone(),
        Gesture::Lasso { points } => {
            let mut points = points.clone();
            points.push(page.view().camera.to_map(at));
            Gesture::Lasso { points }
        }
    }
}

fn ended(page: &Page, gesture: &Gesture) {
    let inside = match gesture {
        Gesture::Pan { moved: true, .. } | Gesture::Pinch { .. } => return,
        Gesture::Pan { .. } => Default::default(),
        Gesture::Lasso { points } => {
            let view = page.view();
            let bodies = view.places.iter().enumerate();
            bodies.filter(|(_, at)| gesture::is_inside(**at, points)).map(|(i, _)| i).collect()
        }
    };
    page.change(Topic::Open, |view| {
        view.selected = inside;
        view.menu = None;
    });
    page.tell(Topic::Scene);
}

/// Opens the card of the message at a point of the stage, if there is one.
fn pick_message(page: &Page, at: Point) -> bool {
    let Some(flight) = crate::flight::hit(page, at) else { return false };
    page.change(Topic::Open, |view| {
        view.card = Some((flight, at));
        view.playing = false;
        view.menu = None;
    });
    page.tell(Topic::Time);
    true
}

/// A click on a body or link, or Enter.
fn activate(page: &Page, target: Target, more: bool, event: &MouseEvent) {
    match target {
        Target::Body(body) => {
            page.change(Topic::Open, |view| {
                let was = view.selected.contains(&body);
                if !more {
                    let only = view.selected.len() == 1;
                    view.selected.clear();
                    if was && only {
                        return;
                    }
                }
                if was && more {
                    view.selected.remove(&body);
                } else {
                    view.selected.insert(body);
                }
            });
            page.change(Topic::Scene, |view| view.focus = target);
        }
        Target::Link(..) => {
            let at = Point::new(event.client_x().into(), event.client_y().into());
            page.change(Topic::Open, |view| view.menu = Some((target, at)));
        }
    }
}

/// Keys while the focus is on the map: arrows walk, Enter acts, `m` opens the menu, `l` goes to
/// the links of a body.
fn key_on_map(page: &Page, event: &KeyboardEvent) {
    let Some(target) = target_of(event.target()) else { return };
    if event.ctrl_key() || event.alt_key() || event.meta_key() {
        return;
    }
    let key = event.key();
    let place = |view: &View| match target {
        Target::Body(body) => view.places.get(body).copied().unwrap_or_default(),
        Target::Link(a, b) => {
            let at = |i: usize| view.places.get(i).copied().unwrap_or_default();
            at(a).toward(at(b), 0.5)
        }
    };
    match key.as_str() {
        "Enter" | " " => match target {
            Target::Body(body) => {
                page.change(Topic::Open, |view| {
                    if event.shift_key() {
                        if !view.selected.remove(&body) {
                            view.selected.insert(body);
                        }
                    } else {
                        view.selected = [body].into();
                    }
                });
                page.tell(Topic::Scene);
            }
            Target::Link(..) => open_menu(page, target),
        },
        "m" | "ContextMenu" => open_menu(page, target),
        "F10" if event.shift_key() => open_menu(page, target),
        "t" => {
            if let Target::Body(body) = target {
                crate::terminal::open(page, body);
            }
        }
        "i" => {
            if let Target::Body(body) = target {
                page.inspect(body);
            }
        }
        "l" => {
            let next = next_link(&page.view(), target);
            if let Some((a, b)) = next {
                focus(&format!("link-{a}-{b}"));
            }
        }
        "ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown" => {
            let next = {
                let view = page.view();
                let others = view.places.iter().copied().enumerate();
                let others = others.filter(|(i, _)| Target::Body(*i) != target);
                gesture::nearest_towards(place(&view), &key, others)
            };
            if let Some(next) = next {
                focus(&format!("body-{next}"));
            }
        }
        _ => return,
    }
    event.prevent_default();
    event.stop_propagation();
}

/// Opens the menu of a body or link where it stands.
pub(crate) fn open_menu(page: &Page, target: Target) {
    let at = {
        let view = page.view();
        let at = |i: usize| view.places.get(i).copied().unwrap_or_default();
        let on_map = match target {
            Target::Body(body) => at(body),
            Target::Link(a, b) => at(a).toward(at(b), 0.5),
        };
        view.camera.to_stage(on_map)
    };
    let document = gloo::utils::document();
    let origin = document.get_element_by_id("stage").map(|stage| stage.get_bounding_client_rect());
    let (left, top) = origin.map_or((0.0, 0.0), |rect| (rect.left(), rect.top()));
    let at = Point::new(at.x + left + 24.0, at.y + top);
    page.change(Topic::Open, |view| view.menu = Some((target, at)));
}

/// The link after this one at the body that has the focus; the first at a body.
fn next_link(view: &View, target: Target) -> Option<(usize, usize)> {
    let links: Vec<(usize, usize)> = view.scene.links.iter().map(|link| (link.a, link.b)).collect();
    match target {
        Target::Body(body) => links.into_iter().find(|&(a, b)| a == body || b == body),
        Target::Link(a, b) => {
            let at = links.iter().position(|&link| link == (a, b))?;
            let with = |&&(x, y): &&(usize, usize)| x == a || y == b || x == b || y == a;
            links[at + 1..].iter().chain(&links[..at]).find(with).copied()
        }
    }
}

/// Moves the keyboard's focus.
pub(crate) fn focus(id: &str) {
    let element = gloo::utils::document().get_element_by_id(id);
    if let Some(element) = element {
        // An SVG element focuses as an HTML element does; the binding is the same method.
        let _ = element.unchecked_into::<HtmlElement>().focus();
    }
}

/// Moves the keyboard's focus to the body that had it last.
pub(crate) fn focus_map(page: &Page) {
    let body = page.view().focus_body();
    focus(&format!("body-{body}"));
}

fn on_stage(frame: &NodeRef, x: i32, y: i32) -> Point {
    let rect = frame.cast::<Element>().map(|frame| frame.get_bounding_client_rect());
    let (left, top) = rect.map_or((0.0, 0.0), |rect| (rect.left(), rect.top()));
    Point::new(f64::from(x) - left, f64::from(y) - top)
}

/// The body or link that an event happened on.
fn target_of(target: Option<web_sys::EventTarget>) -> Option<Target> {
    let element = target?.dyn_into::<Element>().ok()?;
    if let Some(body) = element.closest("[data-body]").ok()? {
        return body.get_attribute("data-body")?.parse().ok().map(Target::Body);
    }
    let link = element.closest("[data-link]").ok()??.get_attribute("data-link")?;
    let (a, b) = link.split_once('-')?;
    Some(Target::Link(a.parse().ok()?, b.parse().ok()?))
}

/// Whether an event happened on a button, a card or the table, which see to it themselves.
fn is_control(event: &PointerEvent) -> bool {
    let element = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    element.is_some_and(|element| {
        let controls = ".tools, .acts, .card, .sheet, .debug";
        element.closest(controls).is_ok_and(|found| found.is_some())
    })
}

impl View {
    /// The body at which the Tab key enters the map.
    fn focus_body(&self) -> usize {
        match self.focus {
            Target::Body(body) if body < self.scene.bodies.len() => body,
            Target::Body(_) => 0,
            Target::Link(a, _) => a,
        }
    }

    /// What a narrow window shows when a terminal is asked for.
    pub(crate) fn show(&mut self, pane: Pane) {
        self.pane = pane;
    }
}
