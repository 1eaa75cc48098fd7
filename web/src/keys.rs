//! Keyboard shortcuts: single keys that act while no text field has the focus.

use gloo::events::{EventListener, EventListenerOptions};
use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent};

use crate::figures::Speed;
use crate::page::{Page, Pane, Side, Topic};
use crate::{terminal, timebar};

/// By how many seconds of real time an arrow key moves.
const ARROW_SECONDS: f64 = 5.0;

/// Installs the key listener, which is removed when the result is dropped.
pub(crate) fn listen(page: &Page) -> EventListener {
    let page = page.clone();
    let options = EventListenerOptions::enable_prevent_default();
    EventListener::new_with_options(&gloo::utils::document(), "keydown", options, move |event| {
        let Some(event) = event.dyn_ref::<KeyboardEvent>() else { return };
        if press(&page, event) {
            event.prevent_default();
        }
    })
}

/// Handles a key; true if it is a shortcut.
fn press(page: &Page, event: &KeyboardEvent) -> bool {
    let key = event.key();
    // The focused part of the page has handled the key.
    if event.default_prevented()
        || event.ctrl_key()
        || event.alt_key()
        || event.meta_key()
        || event.is_composing()
    {
        return false;
    }
    if key == "Escape" {
        return escape(page, event);
    }
    if is_typing(event) {
        return false;
    }
    match key.as_str() {
        // A button that has the focus takes the space bar and Enter for itself.
        " " if is_on_control(event) => return false,
        " " => {
            let playing = page.view().playing;
            page.play(!playing);
        }
        "." => timebar::step_forward(page),
        "," => timebar::step_back(page),
        ">" => timebar::step_to_change(page),
        "n" => timebar::step_at_node(page),
        "[" => timebar::jump(page, false),
        "]" => timebar::jump(page, true),
        // A slider, a splitter or a list of tabs that has the focus takes the arrows for itself.
        "ArrowLeft" | "ArrowRight" if moves_by_arrows(event) => return false,
        "ArrowLeft" => arrow(page, -ARROW_SECONDS),
        "ArrowRight" => arrow(page, ARROW_SECONDS),
        "+" | "=" => faster(page, 1),
        "-" => faster(page, -1),
        "/" => terminal::focus_entry(),
        // The colon itself is then typed into the entry field, which gets the focus.
        ":" => {
            page.change(Topic::Open, |view| view.pane = Pane::Terminal);
            crate::map::focus::focus("entry");
            return false;
        }
        "f" => full_screen(),
        "v" => page.toggle_table(),
        "w" => {
            let open = page.view().side == Side::Ledger;
            page.show_ledger(!open);
        }
        "?" => page.change(Topic::Open, |view| view.help = !view.help),
        _ => return false,
    }
    true
}

/// Closes what is open, the topmost first.
fn escape(page: &Page, event: &KeyboardEvent) -> bool {
    let done = page.change(Topic::Open, |view| {
        if view.help || view.sharing || view.menu.is_some() || view.pending.is_some() {
            view.help = false;
            view.sharing = false;
            view.menu = None;
            view.pending = None;
        } else if view.card.is_some() {
            view.card = None;
        } else if !is_typing(event) && !view.selected.is_empty() {
            view.selected.clear();
        } else if !is_typing(event) && view.side != Side::Closed {
            view.side = view.side_behind();
        } else {
            return false;
        }
        true
    });
    page.notify(Topic::Scene);
    if !done && is_typing(event) {
        // Leaves the terminal for the map, so that shortcuts act again.
        crate::map::focus::focus_map(page);
    }
    done
}

/// Moves by some seconds of real time at the present speed, backward or forward.
fn arrow(page: &Page, seconds: f64) {
    let there = page.view().speed.in_seconds(seconds.abs());
    let there = u64::try_from(there.as_nanos()).unwrap_or(u64::MAX);
    let (now, end) = {
        let lab = page.lab();
        (lab.now(), lab.end())
    };
    page.play(false);
    page.seek(match seconds < 0.0 {
        true => now.saturating_sub(there),
        false => now.saturating_add(there).min(end),
    });
}

fn faster(page: &Page, step: i16) {
    let index = i16::from(page.view().speed.index()) + step;
    page.set_speed(Speed::step(u8::try_from(index.max(0)).unwrap_or(0)));
}

fn full_screen() {
    let document = gloo::utils::document();
    if document.fullscreen_element().is_some() {
        document.exit_fullscreen();
    } else if let Some(root) = document.document_element() {
        // An embedding page may forbid full screen; then nothing happens.
        let _ = root.request_fullscreen();
    }
}

fn closest(event: &KeyboardEvent, css: &str) -> bool {
    let element = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    element.is_some_and(|element| element.closest(css).is_ok_and(|found| found.is_some()))
}

fn is_typing(event: &KeyboardEvent) -> bool {
    closest(event, "input:not([type=range]):not([type=radio]), textarea, select")
}

fn moves_by_arrows(event: &KeyboardEvent) -> bool {
    closest(event, "input, [role=slider], [role=separator], [role=tab]")
}

fn is_on_control(event: &KeyboardEvent) -> bool {
    closest(event, "button, [role=button], input, a")
}
