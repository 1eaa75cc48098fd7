//! The frame's figures, for `?debug`.

use yew::prelude::*;

use crate::figures;
use crate::i18n::Text;
use crate::live::live;
use crate::page::{Page, Topic};

/// The panel.
pub(crate) fn debug() -> Html {
    live(&[Topic::Prefs, Topic::Frame], draw_debug)
}

fn draw_debug(page: &Page) -> Html {
    let view = page.view();
    if !view.debug {
        return Html::default();
    }
    let frame = view.frame;
    let memory = wasm_bindgen::memory();
    let memory: js_sys::WebAssembly::Memory = wasm_bindgen::JsCast::unchecked_into(memory);
    let buffer: js_sys::ArrayBuffer = wasm_bindgen::JsCast::unchecked_into(memory.buffer());
    let rate = if frame.between_ms > 0.0 { 1_000.0 / frame.between_ms } else { 0.0 };
    let rows = [
        (Text::DebugWorld, format!("{:.2} ms", frame.world_ms)),
        (Text::DebugDraw, format!("{:.2} ms", frame.draw_ms)),
        (Text::DebugFrame, format!("{:.1} ms", frame.between_ms)),
        (Text::DebugRate, format!("{rate:.0}")),
        (Text::DebugEvents, figures::count(frame.events as u64)),
        (Text::DebugMessages, frame.in_flight.to_string()),
        (Text::DebugMemory, figures::bytes(u64::from(buffer.byte_length()))),
        (Text::DebugTrace, format!("{:016x}", page.lab().trace_hash())),
    ];
    html! {
        <aside class="debug" data-testid="debug">
            <dl>
                { for rows.into_iter().map(|(text, value)| html! {
                    <><dt>{ view.prefs.locale.say(text) }</dt><dd>{ value }</dd></>
                }) }
            </dl>
        </aside>
    }
}
