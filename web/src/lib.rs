//! The page: draws a simulated world of Limpid nodes and turns clicks into its actions.
//!
//! `lab` holds the World and knows nothing of the browser; `page` is the handle that every
//! component holds; `engine` runs frame by frame; `flight` paints what moves. Everything else
//! is a component or a pure part that one uses.

mod app;
mod bodies;
mod debug;
mod dialogs;
mod engine;
mod event_lines;
mod events;
mod figures;
mod files;
mod flight;
mod frames;
mod i18n;
mod icon;
mod inspect;
mod inspector;
mod keys;
mod kinds;
mod lab;
mod layout;
mod ledger;
mod live;
mod map;
mod marks;
mod messages;
mod meter;
mod page;
mod prefs;
mod replication;
mod scene;
mod share;
mod terminal;
mod timebar;
mod topbar;
mod topology;
mod units;
mod view;

use wasm_bindgen::prelude::wasm_bindgen;

/// Starts the page.
#[wasm_bindgen(start)]
pub fn start() {
    let document = gloo::utils::document();
    let Some(root) = document.get_element_by_id("app") else { return };
    root.set_inner_html("");
    let page = page::Page::from_address();
    page.view().prefs.apply();
    keys::listen(&page);
    engine::start(page.clone());
    yew::Renderer::<app::App>::with_root_and_props(root, app::Props { page }).render();
}

/// The hash of the session with faults of every kind, in hexadecimal: the same as natively.
#[wasm_bindgen]
pub fn limpid_parity_hash() -> String {
    format!("{:016x}", limpid_core::lab::parity_hash())
}
