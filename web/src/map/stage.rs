//! The stage: the map in its frame, the canvas over it, and the handling of pointer and keys.

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};
use yew::prelude::*;

use crate::i18n::{Text, common};
use crate::icon::{Icon, glyph};
use crate::layout::Point;
use crate::map::acts::acts;
use crate::map::card::Card;
use crate::map::chart::Chart;
use crate::map::focus::{key_on_map, target_of};
use crate::map::gesture::{self, Gesture};
use crate::map::sheet::sheet;
use crate::page::{Page, Target, Topic, use_page};
use crate::prefs;

/// The map and everything on it.
#[component]
pub(crate) fn Stage() -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Scene, Topic::Open, Topic::Camera]);
    let frame = use_node_ref();
    let gesture = use_state_eq(|| None::<Gesture>);
    let lasso_on = use_state_eq(|| false);
    // A press that opened a message's card is no click on the body below it.
    let spent = use_mut_ref(|| false);
    // Pointers (fingers) that are down, with their positions.
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
            // Messages are above everything else, but a click inside a body is meant for the body.
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
                // Without capture the gesture ends at the edge of the stage, which is acceptable.
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
                // Zooming in and out by the same amount of scrolling cancel each other.
                let turned = (event.delta_y() * 0.0016).clamp(-2.0, 2.0);
                let factor = 1.0 + turned.abs() + turned * turned / 2.0;
                let factor = if turned < 0.0 { factor } else { 1.0 / factor };
                view.camera = view.camera.zoomed(factor, at);
                view.camera_held = true;
            });
        })
    };
    let onclick = {
        let (page, frame) = (page.clone(), frame.clone());
        Callback::from(move |event: MouseEvent| {
            if core::mem::take(&mut *spent.borrow_mut()) {
                return;
            }
            if let Some(target) = target_of(event.target()) {
                activate(&page, target, event.shift_key() || event.ctrl_key(), &event);
            } else {
                let at = on_stage(&frame, event.client_x(), event.client_y());
                crate::map::circle::choose(&page, at);
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
        true => words::MAP_HINT_TOUCH,
        false => words::MAP_HINT,
    };
    let touched = view.touched;
    let button = |icon: Icon, text: Text, id: &'static str, act: Callback<MouseEvent>| {
        html! {
            <button class="button" title={locale.say(text)} aria-label={locale.say(text)}
                data-testid={id} onclick={act}>
                { glyph(icon) }
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
                { sheet() }
            } else {
                <Chart gesture={(*gesture).clone()} />
                <canvas class="flight" id="flight" aria-hidden="true"></canvas>
                <Card />
            }
            <div class="foot">
                <div class="tools" role="toolbar" aria-label={locale.say(common::MAP)}>
                    if !view.table {
                        { button(Icon::Plus, words::ZOOM_IN, "zoom-in", on(|page| page.zoom(1.3))) }
                        { button(Icon::Minus, words::ZOOM_OUT, "zoom-out", on(|page| page.zoom(1.0 / 1.3))) }
                        { button(Icon::Fit, words::ZOOM_FIT, "zoom-fit", on(Page::fit)) }
                        <button class="button" title={locale.say(words::LASSO)}
                            aria-label={locale.say(words::LASSO)} data-testid="lasso"
                            aria-pressed={lasso_on.to_string()} onclick={toggle_lasso}>
                            { glyph(Icon::Lasso) }
                        </button>
                    }
                    { button(
                        if view.table { Icon::Map } else { Icon::Table },
                        if view.table { words::MAP_VIEW } else { words::TABLE_VIEW },
                        "table",
                        on(Page::toggle_table),
                    ) }
                </div>
                if !view.table {
                    if !touched && view.selected.is_empty() {
                        <p class="hint">{ locale.say(hint) }</p>
                    }
                    { acts() }
                }
            </div>
        </main>
    }
}

/// A hook that observes the size of the stage.
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
            let inside = view.places.iter().filter(|(_, at)| gesture::is_inside(**at, points));
            inside.map(|(&body, _)| body).collect()
        }
    };
    page.change(Topic::Open, |view| {
        view.selected = inside;
        view.menu = None;
    });
    page.notify(Topic::Scene);
}

/// Opens the card of the message at a point of the stage, if there is one.
fn pick_message(page: &Page, at: Point) -> bool {
    let Some(flight) = crate::flight::hit(page, at) else { return false };
    page.change(Topic::Open, |view| {
        view.card = Some((flight, at));
        view.playing = false;
        view.menu = None;
    });
    page.notify(Topic::Time);
    true
}

/// Handles a click on a body or link, or Enter.
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
            page.change(Topic::Scene, |view| view.focus = Some(target));
        }
        Target::Link(..) => {
            let at = Point::new(event.client_x().into(), event.client_y().into());
            page.change(Topic::Open, |view| view.menu = Some((target, at)));
        }
    }
}

fn on_stage(frame: &NodeRef, x: i32, y: i32) -> Point {
    let rect = frame.cast::<Element>().map(|frame| frame.get_bounding_client_rect());
    let (left, top) = rect.map_or((0.0, 0.0), |rect| (rect.left(), rect.top()));
    Point::new(f64::from(x) - left, f64::from(y) - top)
}

/// Whether an event happened on a button, a card or the table, which handle it themselves.
fn is_control(event: &PointerEvent) -> bool {
    let element = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    element.is_some_and(|element| {
        let controls = ".tools, .acts, .card, .sheet, .debug";
        element.closest(controls).is_ok_and(|found| found.is_some())
    })
}

mod words {
    crate::i18n::texts! {
        MAP_HINT: "Click a node to act on it. Drag a loop around several to cut them off.", "点击节点进行操作；拖出一个圈，可把圈内节点隔离。";
        MAP_HINT_TOUCH: "Tap a node to act on it.", "点按节点进行操作。";
        ZOOM_IN: "Zoom in", "放大";
        ZOOM_OUT: "Zoom out", "缩小";
        ZOOM_FIT: "Show everything", "显示全部";
        LASSO: "Lasso: drag a loop around nodes", "套索：拖动圈选节点";
        TABLE_VIEW: "Table instead of map", "以表格显示";
        MAP_VIEW: "Map instead of table", "以地图显示";
    }
}
