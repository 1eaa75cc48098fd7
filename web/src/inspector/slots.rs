//! The Cluster tab of a node: the slot of a key and its owner as the node knows it, its epochs,
//! migrating slots, links, and the nodes that it knows.

use limpid_core::sharding::Slot;
use yew::prelude::*;

use super::Tab;
use super::search::searched_for;
use crate::figures;
use crate::page::Page;
use crate::units::BodyId;
use crate::whole::IS_WHOLE;

/// The tab, which appears if there is a cluster.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-slots",
    title: words::TAB_SLOTS,
    draw: |body| match IS_WHOLE {
        true => searched_for(body, words::KEY_OR_SLOT, cluster),
        false => Html::default(),
    },
    suits: |lab| IS_WHOLE && !lab.members().is_empty(),
};

/// How many characters of a node id are shown.
const ID: usize = 8;

fn cluster(page: &Page, body: BodyId, sought: &str) -> Option<Html> {
    let locale = page.locale();
    let lab = page.lab();
    let members = lab.members();
    let member = members.iter().find(|member| member.unit.id == body)?;
    let cluster = member.server.cluster()?;
    let name = |id| {
        lab.node_named(&members, id)
            .map_or("?".to_owned(), |body| lab.units().name(body).to_owned())
    };
    let slot = match sought.parse().ok().and_then(Slot::new) {
        Some(slot) => Some(slot),
        None => (!sought.is_empty()).then(|| Slot::of(sought.as_bytes())),
    };
    let summary = &member.summary;
    let links = cluster.link_views();
    let inbound = links.iter().filter(|link| link.inbound).count();
    let facts = [
        (words::ID, summary.id.to_string()),
        (words::STATE, if summary.up { "ok" } else { "fail" }.to_owned()),
        (words::EPOCHS, format!("{} / {}", summary.current_epoch, summary.config_epoch)),
        (words::SLOTS, figures::count(cluster.my_slots().len() as u64)),
        (words::LINKS, format!("{} / {inbound}", links.len() - inbound)),
    ];
    Some(html! {
        <div data-testid="slots">
            if let Some(slot) = slot {
                <p class="gist" data-testid="slot-found">{ locale.fill(words::FOUND, &[
                    ("slot", &slot.number().to_string()),
                    ("owner", &cluster.owner_of(slot).map_or("–".to_owned(), name)),
                    ("keys", &member.server.keyspace().count_in_slot(slot).to_string()),
                ]) }</p>
            }
            <table class="facts"><tbody>
                { for facts.iter().map(|(text, value)| html! {
                    <tr><th scope="row">{ locale.say(*text) }</th><td>{ value }</td></tr>
                }) }
                { for cluster.open_slot_views().into_iter().map(|(slot, gives, other)| html! {
                    <tr><th scope="row">{ locale.say(if gives { words::MIGRATING } else { words::IMPORTING }) }</th>
                        <td>{ format!("{} {} {}", slot.number(), if gives { "→" } else { "←" }, name(other)) }</td></tr>
                }) }
                { for member.server.leaving_slots().into_iter().map(|moving| html! {
                    <tr><th scope="row">{ locale.say(words::MIGRATING) }</th>
                        <td>{ format!("{} → {}", moving.slot.number(), name(moving.target)) }</td></tr>
                }) }
            </tbody></table>
            <div class="wide-table"><table class="facts">
                <thead><tr>
                    <th scope="col">{ locale.say(words::NODE) }</th>
                    <th scope="col">{ "id" }</th>
                    <th scope="col">{ locale.say(words::FLAGS) }</th>
                    <th scope="col">{ locale.say(words::CONFIG_EPOCH) }</th>
                    <th scope="col">{ locale.say(words::SLOTS) }</th>
                </tr></thead>
                <tbody>
                    { for cluster.node_views().into_iter().map(|view| html! {
                        <tr key={view.id.to_string()}>
                            <td>{ name(view.id) }</td>
                            <td>{ view.id.to_string().chars().take(ID).collect::<String>() }</td>
                            <td class={(view.failed || view.suspected).then_some("alarming")}>{ &view.flags }</td>
                            <td class="num">{ view.config_epoch }</td>
                            <td>{ view.slots.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") })
                                .collect::<Vec<_>>().join(" ") }</td>
                        </tr>
                    }) }
                </tbody>
            </table></div>
        </div>
    })
}

mod words {
    crate::i18n::texts! {
        TAB_SLOTS: "Cluster", "集群";
        KEY_OR_SLOT: "A key, or the number of a slot", "键名或槽位编号";
        FOUND: "Slot {slot} belongs to {owner} in the eyes of this node, which holds {keys} of its keys.", "本节点认为槽位 {slot} 归 {owner} 所有；本节点存有其中 {keys} 个键。";
        ID: "id", "节点 ID";
        STATE: "cluster state", "集群状态";
        EPOCHS: "current / config epoch", "当前 / 配置纪元";
        SLOTS: "slots", "槽位";
        LINKS: "bus links to / from others", "总线连接（出 / 入）";
        MIGRATING: "migrating", "迁出中";
        IMPORTING: "importing", "迁入中";
        NODE: "node", "节点";
        FLAGS: "flags", "标志";
        CONFIG_EPOCH: "config epoch", "配置纪元";
    }
}
