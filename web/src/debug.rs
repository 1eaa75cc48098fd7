//! The panel of `?debug`: frame times and other performance figures.

use yew::prelude::*;

use crate::figures;
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
        (words::DEBUG_WORLD, format!("{:.2} ms", frame.world_ms)),
        (words::DEBUG_DRAW, format!("{:.2} ms", frame.draw_ms)),
        (words::DEBUG_FRAME, format!("{:.1} ms", frame.between_ms)),
        (words::DEBUG_RATE, format!("{rate:.0}")),
        (words::DEBUG_EVENTS, figures::count(frame.events as u64)),
        (words::DEBUG_MESSAGES, frame.in_flight.to_string()),
        (words::DEBUG_MEMORY, figures::bytes(u64::from(buffer.byte_length()))),
        (words::DEBUG_TRACE, format!("{:016x}", page.lab().trace_hash())),
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

mod words {
    crate::i18n::texts! {
        DEBUG_WORLD: "World", "世界";
        DEBUG_DRAW: "Draw", "绘制";
        DEBUG_FRAME: "Between frames", "帧间隔";
        DEBUG_RATE: "Frames a second", "帧率";
        DEBUG_EVENTS: "Events a second", "事件/秒";
        DEBUG_MESSAGES: "In flight", "传输中";
        DEBUG_MEMORY: "Memory", "内存";
        DEBUG_TRACE: "Trace", "轨迹";
    }
}
