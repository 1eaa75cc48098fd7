//! The card of a message: sender, receiver, kind, times, decoded text, and bytes.

use core::time::Duration;

use limpid_core::sim::{Action, MessageId};
use web_sys::HtmlElement;
use yew::prelude::*;

use crate::figures;
use crate::i18n::{Text, common};
use crate::icon::{Icon, glyph};
use crate::layout::Point;
use crate::messages::{FlightKind, FlightState};
use crate::page::{Page, Topic, use_page};
use crate::units::BodyId;

/// By how much "Delay" delays a message.
const DELAY: Duration = Duration::from_millis(100);
/// The most bytes that are shown.
const SHOWN: usize = 2_048;

/// The card that is open, if one is.
#[component]
pub(crate) fn Card() -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Open, Topic::Panels]);
    let node = use_node_ref();
    let view = page.view();
    {
        let (node, stage) = (node.clone(), view.stage);
        let at = view.card.as_ref().map(|(flight, at)| (flight.id, *at));
        use_effect(move || {
            if let (Some(element), Some((_, at))) = (node.cast::<HtmlElement>(), at) {
                put(&element, at, stage);
            }
        });
    }
    let Some((flight, _)) = &view.card else { return Html::default() };
    let locale = view.prefs.locale;
    let name = |body: BodyId| view.scene.name(body).to_owned();
    let lab = page.lab();
    let on_its_way = lab.is_in_flight(flight.id);
    let kind = match flight.kind {
        FlightKind::Request => words::KIND_REQUEST,
        FlightKind::Reply => words::KIND_REPLY,
        FlightKind::Push => words::KIND_PUSH,
        FlightKind::Stream => words::KIND_STREAM,
        FlightKind::Beat => words::KIND_BEAT,
        FlightKind::Bus => words::KIND_BUS,
        FlightKind::Vote => words::KIND_VOTE,
        FlightKind::Ballot => words::KIND_BALLOT,
        FlightKind::Transport => words::KIND_CONNECT,
    };
    let due = match flight.state {
        FlightState::Flying { due, .. } => figures::moment(due),
        FlightState::Held => locale.say(words::STATE_HELD).to_owned(),
        FlightState::Waiting => locale.say(words::STATE_WAITING).to_owned(),
        FlightState::Lost { .. } => locale.say(words::STATE_LOST).to_owned(),
    };
    let bytes = &flight.bytes[..flight.bytes.len().min(SHOWN)];
    let size = match flight.bytes.len() {
        1 => locale.say(words::BYTE).to_owned(),
        n => locale.fill(words::BYTES, &[("n", &figures::count(n as u64))]),
    };
    let close = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| page.change(Topic::Open, |view| view.card = None))
    };
    let button = |text: Text, id: &'static str, make: fn(MessageId) -> Action| {
        let (page, action) = (page.clone(), make(flight.id));
        let onclick = Callback::from(move |_: MouseEvent| page.act(vec![action.clone()]));
        html! {
            <button class="button framed" data-testid={id} {onclick}>{ locale.say(text) }</button>
        }
    };
    html! {
        <section class="card" ref={node} data-testid="message-card"
            aria-label={locale.say(words::MESSAGE)}>
            <header>
                <h2>{ lab.label(flight) }</h2>
                <button class="button" title={locale.say(common::CLOSE)}
                    aria-label={locale.say(common::CLOSE)} onclick={close}>
                    { glyph(Icon::Close) }
                </button>
            </header>
            <dl>
                <dt>{ locale.say(words::FROM) }</dt><dd>{ name(flight.from) }</dd>
                <dt>{ locale.say(words::TO) }</dt><dd>{ name(flight.to) }</dd>
                <dt>{ locale.say(words::KIND) }</dt>
                <dd>{ format!("{} · {size}", locale.say(kind)) }</dd>
                <dt>{ locale.say(words::SENT) }</dt><dd>{ figures::moment(flight.sent) }</dd>
                <dt>{ locale.say(words::DUE) }</dt><dd>{ due }</dd>
            </dl>
            if !bytes.is_empty() {
                <h3>{ locale.say(words::DECODED) }</h3>
                <pre data-testid="message-decoded">{ lab.decoded(flight, locale) }</pre>
                <h3>{ locale.say(words::RAW_BYTES) }</h3>
                <pre class="bytes" data-testid="message-bytes">{ dump(bytes) }</pre>
            }
            if on_its_way && flight.kind != FlightKind::Transport {
                <div class="foot">
                    if flight.state == FlightState::Held {
                        { button(words::RELEASE, "message-release", |message| {
                            Action::Release { message }
                        }) }
                    } else {
                        { button(words::HOLD, "message-hold", |message| Action::Hold { message }) }
                        { button(words::DELAY, "message-delay", |message| {
                            Action::Delay { message, by: DELAY }
                        }) }
                        { button(words::DROP, "message-drop", |message| Action::Drop { message }) }
                        { button(words::DUPLICATE, "message-duplicate", |message| {
                            Action::Duplicate { message }
                        }) }
                    }
                </div>
            }
        </section>
    }
}

/// Reads the message of the open card again, since its state may have changed.
pub(crate) fn refresh(page: &Page) {
    let Some(id) = page.view().card.as_ref().map(|(flight, _)| flight.id) else { return };
    let Some(flight) = page.lab().flight(id) else { return };
    page.change(Topic::Open, |view| {
        if let Some((known, _)) = &mut view.card {
            *known = flight;
        }
    });
}

/// A hex dump: sixteen bytes per line, in hexadecimal and as text.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (i, line) in bytes.chunks(16).enumerate() {
        let hex: String = line.iter().map(|byte| format!("{byte:02x} ")).collect();
        let text: String = line
            .iter()
            .map(|&byte| if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '·' })
            .collect();
        out.push_str(&format!("{:04x}  {hex:<48} {text}\n", i * 16));
    }
    out
}

/// Positions the card beside the message, inside the stage.
fn put(element: &HtmlElement, at: Point, stage: (f64, f64)) {
    let (width, height) = (f64::from(element.offset_width()), f64::from(element.offset_height()));
    let x = if at.x + 20.0 + width < stage.0 { at.x + 20.0 } else { at.x - width - 20.0 };
    let x = x.clamp(8.0, (stage.0 - width - 8.0).max(8.0));
    let y = (at.y - 60.0).clamp(8.0, (stage.1 - height - 8.0).max(8.0));
    let _ = element.style().set_property("transform", &format!("translate({x:.0}px, {y:.0}px)"));
}

mod words {
    crate::i18n::texts! {
        MESSAGE: "Message", "消息";
        FROM: "From", "来自";
        TO: "To", "发往";
        KIND: "Kind", "类别";
        SENT: "Sent", "发出";
        DUE: "Due", "到达";
        DECODED: "Decoded", "解码";
        RAW_BYTES: "Raw bytes", "原始字节";
        BYTES: "{n} bytes", "{n} 字节";
        BYTE: "1 byte", "1 字节";
        KIND_REQUEST: "request", "请求";
        KIND_REPLY: "reply", "回复";
        KIND_PUSH: "push", "推送";
        KIND_STREAM: "replication", "复制";
        KIND_BEAT: "sign of life", "心跳";
        KIND_BUS: "cluster bus", "集群总线";
        KIND_VOTE: "question for a vote", "拉票";
        KIND_BALLOT: "vote", "投票";
        KIND_CONNECT: "transport (TCP)", "传输层（TCP）";
        STATE_HELD: "held back", "被扣留";
        STATE_WAITING: "arrived, waiting for one before it", "已到达，等待前一条";
        STATE_LOST: "lost, to be sent again", "已丢失，将重发";
        HOLD: "Hold", "扣留";
        RELEASE: "Release", "放行";
        DELAY: "Delay 100 ms", "推迟 100 毫秒";
        DROP: "Drop", "丢弃";
        DUPLICATE: "Duplicate", "复制一份";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_hexadecimal_and_text() {
        assert_eq!(
            dump(b"*1\r\n$4\r\nPING\r\n\xff"),
            "0000  2a 31 0d 0a 24 34 0d 0a 50 49 4e 47 0d 0a ff     *1··$4··PING···\n"
        );
    }
}
