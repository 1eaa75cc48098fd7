//! The page: draws a simulated World of Limpid nodes and turns clicks into actions of the World.
//!
//! `lab` has the World and does not depend on the browser; `page` is the handle that every
//! component has; `engine` is the frame loop; `flight` paints messages in flight. Everything else
//! is a component or a pure function that one uses.

mod app;
#[cfg(feature = "whole")]
mod attached;
mod bodies;
mod bus;
mod cluster;
mod debug;
mod dialogs;
mod disk;
pub mod embed;
mod engine;
mod event_lines;
mod events;
mod figures;
#[cfg(feature = "whole")]
mod files;
mod flight;
mod i18n;
mod icon;
mod inspect;
mod inspector;
mod keys;
mod kinds;
mod lab;
mod layout;
mod ledger;
#[cfg(feature = "whole")]
mod lesson;
mod live;
mod map;
mod marks;
mod messages;
mod meter;
mod page;
#[cfg(feature = "whole")]
pub mod poster;
mod prefs;
mod questions;
mod replication;
mod routes;
mod saved;
mod scene;
mod scroll;
mod share;
mod storage;
mod terminal;
mod timebar;
mod topbar;
mod topology;
mod units;
mod view;
mod whole;

use core::cell::RefCell;

use gloo::events::EventListener;
use wasm_bindgen::prelude::wasm_bindgen;
use yew::AppHandle;

use crate::page::Page;

/// The running page with its listeners.
struct Running {
    page: Page,
    app: AppHandle<app::App>,
    _keys: EventListener,
    _history: EventListener,
    _frames: engine::Running,
}

thread_local! {
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// Starts the page, or the whole program if the address needs it.
#[wasm_bindgen(start)]
pub fn start() {
    #[cfg(feature = "whole")]
    if whole::is_attached() {
        return attached::show();
    }
    if let Some(page) = whole::taken_over() {
        return show(page, false);
    }
    if !whole::start_instead(|| show(Page::from_address(), true)) {
        show(Page::from_address(), true);
    }
}

/// Shows a page: a new one, to which the address applies, or one that the first program handed
/// over.
fn show(page: Page, is_new: bool) {
    let Some(root) = gloo::utils::document().get_element_by_id("app") else { return };
    root.set_inner_html("");
    page.view().prefs.apply();
    let keys = keys::listen(&page);
    let history = EventListener::new(&gloo::utils::window(), "popstate", {
        let page = page.clone();
        move |_| whole::on_history_change(&page)
    });
    if is_new {
        embed::begin(&page);
        #[cfg(feature = "whole")]
        lesson::begin(&page);
    }
    let frames = engine::start(page.clone());
    let props = app::Props { page: page.clone() };
    let app = yew::Renderer::<app::App>::with_root_and_props(root, props).render();
    RUNNING.set(Some(Running { page, app, _keys: keys, _history: history, _frames: frames }));
}

/// The running page.
fn running() -> Option<Page> {
    RUNNING.with_borrow(|running| running.as_ref().map(|running| running.page.clone()))
}

/// Takes the page down, for another program to take over.
fn stop() {
    if let Some(Running { app, .. }) = RUNNING.take() {
        app.destroy();
    }
}

/// Whether this is the whole program of the page.
#[wasm_bindgen]
pub fn limpid_is_whole() -> bool {
    whole::IS_WHOLE
}

/// The trace hash of the parity test's session in hexadecimal, which must be the same natively.
#[cfg(feature = "whole")]
#[wasm_bindgen]
pub fn limpid_parity_hash() -> String {
    format!("{:016x}", limpid_core::lab::parity_hash())
}
