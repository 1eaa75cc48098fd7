//! The open lesson in the page's address and in the browser's history.
//!
//! Opening a lesson adds an entry to the history, `?lesson=chapter/lesson`: a reload opens the
//! lesson again, and Back leads to where the person came from. The sandbox's session is kept with
//! the entry that is left. Inside another page the history belongs to that page, so no entry is
//! added, and nothing is kept.

use wasm_bindgen::JsValue;
use web_sys::{History, UrlSearchParams};

use crate::lab::{Lab, Topology};
use crate::page::{Page, Side};
use crate::prefs::parameter;
use crate::questions::{self, Question};
use crate::saved::Saved;

/// The parameter that names the lesson.
const LESSON: &str = "lesson";
/// All parameters that choose a World. The address has at most one of them.
const ALL: [&str; 4] = [LESSON, "topology", "servers", "question"];

/// The part of the lessons that the address names.
pub(super) enum Asked {
    /// The contents.
    Contents,
    /// A lesson, by `chapter/lesson`.
    Lesson(String),
}

impl Asked {
    /// Reads the address; `None` if it names no part of the lessons.
    pub(super) fn of_address() -> Option<Self> {
        Some(match parameter(LESSON)? {
            id if id.is_empty() || id == "contents" => Asked::Contents,
            id => Asked::Lesson(id),
        })
    }
}

/// Saves the sandbox's session with the history entry that is about to be left.
pub(super) fn keep_sandbox(page: &Page) {
    if page.view().embedding.is_framed()
        || parameter(LESSON).is_some()
        || is_of_lesson(page.lab().topology())
    {
        return;
    }
    if let Some(history) = history() {
        // A session that is too long for the browser's history is not saved.
        let _ = history.replace_state(&Saved::of(page).text().into(), "");
    }
}

/// Sets the address to that of a lesson, or of the contents.
pub(super) fn enter(page: &Page, lesson: &str) {
    write(page, LESSON, lesson);
}

/// Sets the address to that of something else, if it is still that of a lesson.
pub(super) fn leave(page: &Page, topology: Topology, name: &str, value: &str) {
    if parameter(LESSON).is_some() && !is_of_lesson(topology) {
        write(page, name, value);
    }
}

/// Shows the history entry to which the browser went.
pub(super) fn on_history_change(page: &Page) {
    let open = page.view().study.open.as_ref().map(|open| open.id.clone());
    match Asked::of_address() {
        Some(Asked::Contents) => super::contents(page),
        Some(Asked::Lesson(id)) if open.as_ref() == Some(&id) => {}
        Some(Asked::Lesson(id)) => super::resume(page, &id),
        None => sandbox(page),
    }
}

/// Opens the sandbox's session that was saved with the entry, or the World that the address names.
/// A change of only the fragment is ignored.
fn sandbox(page: &Page) {
    let kept = history().and_then(|history| history.state().ok()?.as_string());
    if let Some(saved) = kept.and_then(|text| Saved::read(&text).ok()) {
        saved.open(page);
        // The contents of the panel may not be loaded yet.
        if page.view().side == Side::Lesson {
            super::show(page);
        }
    } else if is_of_lesson(page.lab().topology()) {
        match Question::of_address() {
            Some(question) => questions::ask(page, question),
            None => {
                let topology = Topology::of_address().unwrap_or(Topology::USUAL);
                super::close(page);
                page.open_lab(Lab::fresh(topology));
            }
        }
    }
}

/// Replaces all parameters that choose a World by one. Removes a session in the fragment.
fn write(page: &Page, name: &str, value: &str) {
    let location = gloo::utils::window().location();
    let (Ok(query), Ok(path)) = (location.search(), location.pathname()) else { return };
    let Ok(parameters) = UrlSearchParams::new_with_str(&query) else { return };
    let same = parameters.get(name).as_deref() == Some(value);
    for name in ALL {
        parameters.delete(name);
    }
    parameters.set(name, value);
    // A slash needs no escape in a query.
    let text = String::from(parameters.to_string()).replace("%2F", "/");
    let there = Some(format!("{path}?{text}"));
    let Some(history) = history() else { return };
    // Fails without an origin, as in a sandboxed frame.
    let _ = match same || page.view().embedding.is_framed() {
        true => history.replace_state_with_url(&JsValue::NULL, "", there.as_deref()),
        false => history.push_state_with_url(&JsValue::NULL, "", there.as_deref()),
    };
}

fn history() -> Option<History> {
    gloo::utils::window().history().ok()
}

fn is_of_lesson(topology: Topology) -> bool {
    topology.name().starts_with(Topology::OF_LESSON)
}
