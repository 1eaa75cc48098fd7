//! Keyboard control of the map: focus, moving between bodies and links, and opening menus.

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};
use yew::prelude::*;

use crate::layout::Point;
use crate::map::gesture;
use crate::page::{Page, Target, Topic, View};
use crate::units::BodyId;

/// Handles keys while the focus is on the map: arrows move, Enter acts, `m` opens the menu, `l`
/// goes to the links of a body.
pub(super) fn key_on_map(page: &Page, event: &KeyboardEvent) {
    let Some(target) = target_of(event.target()) else { return };
    if event.ctrl_key() || event.alt_key() || event.meta_key() {
        return;
    }
    let key = event.key();
    let place = |view: &View| match target {
        Target::Body(body) => view.place(body),
        Target::Link(a, b) => view.place(a).toward(view.place(b), 0.5),
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
                page.notify(Topic::Scene);
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
                let others = view.places.iter().map(|(&body, &at)| (body, at));
                let others = others.filter(|(body, _)| Target::Body(*body) != target);
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

/// Opens the menu of a body or link at its position.
pub(crate) fn open_menu(page: &Page, target: Target) {
    let at = {
        let view = page.view();
        let on_map = match target {
            Target::Body(body) => view.place(body),
            Target::Link(a, b) => view.place(a).toward(view.place(b), 0.5),
        };
        view.camera.to_stage(on_map)
    };
    let document = gloo::utils::document();
    let origin = document.get_element_by_id("stage").map(|stage| stage.get_bounding_client_rect());
    let (left, top) = origin.map_or((0.0, 0.0), |rect| (rect.left(), rect.top()));
    let at = Point::new(at.x + left + 24.0, at.y + top);
    page.change(Topic::Open, |view| view.menu = Some((target, at)));
}

/// The next link of the focused body after `target`; the first one if `target` is the body.
fn next_link(view: &View, target: Target) -> Option<(BodyId, BodyId)> {
    let links: Vec<(BodyId, BodyId)> =
        view.scene.links.iter().map(|link| (link.a, link.b)).collect();
    match target {
        Target::Body(body) => links.into_iter().find(|&(a, b)| a == body || b == body),
        Target::Link(a, b) => {
            let at = links.iter().position(|&link| link == (a, b))?;
            let with = |&&(x, y): &&(BodyId, BodyId)| x == a || y == b || x == b || y == a;
            links[at + 1..].iter().chain(&links[..at]).find(with).copied()
        }
    }
}

/// Moves the keyboard's focus.
pub(crate) fn focus(id: &str) {
    let element = gloo::utils::document().get_element_by_id(id);
    if let Some(element) = element {
        // An SVG element has the same `focus` method as an HTML element, so the cast is fine.
        let _ = element.unchecked_into::<HtmlElement>().focus();
    }
}

/// Moves the keyboard's focus to the body that last had it.
pub(crate) fn focus_map(page: &Page) {
    let Some(body) = page.view().focus_body() else { return };
    focus(&format!("body-{body}"));
}

/// The body or link that an event happened on.
pub(super) fn target_of(target: Option<web_sys::EventTarget>) -> Option<Target> {
    let element = target?.dyn_into::<Element>().ok()?;
    if let Some(body) = element.closest("[data-body]").ok()? {
        return body.get_attribute("data-body")?.parse().ok().map(Target::Body);
    }
    let link = element.closest("[data-link]").ok()??.get_attribute("data-link")?;
    let (a, b) = link.split_once('-')?;
    Some(Target::Link(a.parse().ok()?, b.parse().ok()?))
}
