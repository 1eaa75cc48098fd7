//! A view of the World that a step shows beside its text, such as the ledger.

use limpid_core::lesson::Beside;
use yew::prelude::*;

use crate::events::Events;
use crate::i18n::Text;
use crate::inspector::{Tab, ledger, replication, ring, slots};
use crate::lab::Lab;
use crate::live::live;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// Draws the view.
pub(super) fn beside(what: Beside) -> Html {
    let topics = &[Topic::Prefs, Topic::Scene, Topic::Panels];
    let (title, inside) = match what {
        Beside::Ledger => (words::LEDGER, live(topics, ledger::account)),
        Beside::Events => (words::EVENTS, html! { <Events /> }),
        Beside::Slots => (words::SLOTS, live(topics, |page| first(page, &slots::TAB, is_member))),
        Beside::Ring => (words::RING, live(topics, |page| first(page, &ring::TAB, ring::spreads))),
        Beside::Offsets => (words::OFFSETS, live(topics, replication::offsets)),
    };
    html! { <Drawn {title}>{ inside }</Drawn> }
}

/// A tab of the inspector, for the first body that it suits.
fn first(page: &Page, tab: &'static Tab, suits: fn(&Lab, BodyId) -> bool) -> Html {
    let bodies: Vec<BodyId> = page.view().scene.bodies.iter().map(|body| body.id).collect();
    let body = bodies.into_iter().find(|body| suits(&page.lab(), *body));
    body.map(tab.draw).unwrap_or_default()
}

/// Whether a body is a node of a cluster.
fn is_member(lab: &Lab, body: BodyId) -> bool {
    lab.members().iter().any(|member| member.unit.id == body)
}

#[derive(Properties, PartialEq)]
struct Props {
    title: Text,
    children: Html,
}

#[component]
fn Drawn(props: &Props) -> Html {
    let page = crate::page::use_page(&[Topic::Prefs]);
    html! {
        <details class="beside" open={true} data-testid="beside">
            <summary>{ page.say(props.title) }</summary>
            { props.children.clone() }
        </details>
    }
}

mod words {
    crate::i18n::texts! {
        LEDGER: "The ledger of writes", "写入账本";
        EVENTS: "What happened", "发生了什么";
        SLOTS: "Slots", "槽位";
        RING: "The ring", "哈希环";
        OFFSETS: "How far each server is", "各服务器的进度";
    }
}
