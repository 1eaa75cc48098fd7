//! The Connections tab: the connections of a process.

use yew::prelude::*;

use super::Tab;
use crate::figures;
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-connections",
    title: words::TAB_CONNECTIONS,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels], connections),
    suits: |_| true,
};

fn connections(page: &Page, body: BodyId) -> Html {
    let locale = page.locale();
    let rows = page.lab().connections(body);
    if rows.is_empty() {
        return html! { <p class="empty">{ locale.say(words::NO_CONNECTIONS) }</p> };
    }
    html! {
        <table class="facts">
            <thead><tr>
                <th scope="col">{ locale.say(words::PEER) }</th>
                <th scope="col" class="num">{ locale.say(words::AGE) }</th>
                <th scope="col" class="num">{ locale.say(words::SENT_BYTES) }</th>
                <th scope="col" class="num">{ locale.say(words::READ_BYTES) }</th>
            </tr></thead>
            <tbody>
                { for rows.iter().map(|row| html! {
                    <tr key={row.number}>
                        <td>{ &row.peer }</td>
                        <td class="num">{ figures::duration(row.age) }</td>
                        <td class="num">{ figures::bytes(row.sent) }</td>
                        <td class="num">{ figures::bytes(row.read) }</td>
                    </tr>
                }) }
            </tbody>
        </table>
    }
}

mod words {
    crate::i18n::texts! {
        TAB_CONNECTIONS: "Connections", "连接";
        NO_CONNECTIONS: "Nobody is connected.", "没有连接。";
        PEER: "Peer", "对端";
        AGE: "Age", "时长";
        SENT_BYTES: "Sent", "已发";
        READ_BYTES: "Read", "已读";
    }
}
