//! The Cluster beliefs tab of a node: what each node believes about each other one, with
//! disagreement marked.

use limpid_core::cluster::state::NodeView;
use yew::prelude::*;

use super::beliefs::most;
use super::{Tab, not_running};
use crate::cluster::Member;
use crate::i18n::common;
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;
use crate::whole::IS_WHOLE;

/// The tab, which appears if there is a cluster.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-matrix",
    title: words::TAB_MATRIX,
    draw: |body| match IS_WHOLE {
        true => live_of(body, &[Topic::Prefs, Topic::Panels], matrix),
        false => Html::default(),
    },
    suits: |lab| IS_WHOLE && !lab.members().is_empty(),
};

/// With more nodes than this, only disputed ones are shown, and at most this many views of them.
const CROWD: usize = 16;

/// One node as all running nodes see it.
struct Row {
    name: String,
    own: bool,
    /// The belief of each member about it.
    told: Vec<String>,
    usual: Option<String>,
}

impl Row {
    fn is_disputed(&self) -> bool {
        self.told.iter().any(|told| Some(told) != self.usual.as_ref())
    }
}

fn matrix(page: &Page, body: BodyId) -> Html {
    let locale = page.locale();
    let lab = page.lab();
    let members = lab.members();
    if !members.iter().any(|member| member.unit.id == body) {
        return not_running(locale);
    }
    let crowded = members.len() > CROWD;
    let rows: Vec<Row> = rows(page, &members, body)
        .into_iter()
        .filter(|row| !crowded || row.own || row.is_disputed())
        .collect();
    let dissents = |place: usize| rows.iter().any(|row| row.told.get(place) != row.usual.as_ref());
    // The node's own view first, then those that differ from the majority.
    let mut columns: Vec<usize> = (0..members.len()).collect();
    columns
        .sort_by_key(|&place| (members[place].unit.id != body, crowded && !dissents(place), place));
    if crowded {
        columns.truncate(CROWD);
    }
    let disputed = rows.iter().filter(|row| row.is_disputed()).count();
    html! {
        <div data-testid="matrix" data-disputed={disputed.to_string()}>
            <p class="gist">{ match disputed {
                0 => locale.say(words::AGREED).to_owned(),
                n => locale.fill(words::DISPUTED, &[("n", &n.to_string())]),
            } }</p>
            <div class="wide-table">
            <table class="facts beliefs">
                <thead><tr>
                    <th scope="col">{ locale.say(words::OF) }</th>
                    { for columns.iter().map(|&place| html! {
                        <th scope="col" class={(members[place].unit.id == body).then_some("own")}>{ &members[place].unit.name }</th>
                    }) }
                </tr></thead>
                <tbody>
                    { for rows.iter().map(|row| html! {
                        <tr key={row.name.clone()}>
                            <th scope="row" class={row.own.then_some("own")}>{ &row.name }</th>
                            { for columns.iter().filter_map(|&place| row.told.get(place)).map(|told| {
                                let odd = Some(told) != row.usual.as_ref();
                                html! { <td class={odd.then_some("other")} data-odd={odd.to_string()}>{ told }</td> }
                            }) }
                        </tr>
                    }) }
                </tbody>
            </table>
            </div>
            <p class="dim">{ locale.say(words::KEY) }</p>
            if members.len() < lab.units().servers().count() {
                <p class="dim">{ locale.say(common::NOT_RUNNING_SHORT) }{ ": " }{
                    lab.units().servers()
                        .filter(|unit| members.iter().all(|member| member.unit.id != unit.id))
                        .map(|unit| unit.name.clone()).collect::<Vec<_>>().join(", ")
                }</p>
            }
        </div>
    }
}

fn rows(page: &Page, members: &[Member<'_>], body: BodyId) -> Vec<Row> {
    let lab = page.lab();
    let views: Vec<Vec<NodeView>> = members
        .iter()
        .map(|member| {
            member.server.cluster().map(|cluster| cluster.node_views()).unwrap_or_default()
        })
        .collect();
    let mut ids: Vec<_> = views.iter().flatten().map(|view| view.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut rows: Vec<Row> = ids
        .into_iter()
        .filter_map(|id| {
            let about = lab.node_named(members, id)?;
            let of = |views: &Vec<NodeView>| {
                views.iter().find(|view| view.id == id).map_or("–".to_owned(), belief)
            };
            let told: Vec<String> = views.iter().map(of).collect();
            let usual = most(told.iter());
            Some(Row { name: lab.units().name(about).to_owned(), own: about == body, told, usual })
        })
        .collect();
    let place = |name: &str| lab.units().iter().position(|unit| unit.name == name);
    rows.sort_by_key(|row| place(&row.name));
    rows
}

/// A node's belief about another: role, slots, epoch, and whether it is down.
fn belief(view: &NodeView) -> String {
    let role = if view.replica { "S" } else { "M" };
    let down = match (view.failed, view.suspected) {
        (true, _) => " FAIL",
        (false, true) => " PFAIL",
        (false, false) => "",
    };
    let slots: u32 = view.slots.iter().map(|(first, last)| u32::from(last - first) + 1).sum();
    let slots = if view.replica { String::new() } else { format!(" {slots}") };
    format!("{role}{slots} e{}{down}", view.config_epoch)
}

mod words {
    crate::i18n::texts! {
        TAB_MATRIX: "Views", "各方看法";
        AGREED: "All nodes that run agree. A row is a node, a column is who says so.", "所有运行中的节点看法一致。行是被看的节点，列是持看法的节点。";
        DISPUTED: "Nodes that are seen differently: {n}. A row is a node, a column is who says so.", "有 {n} 个节点存在分歧。行是被看的节点，列是持看法的节点。";
        OF: "node", "节点";
        KEY: "M: master with so many slots, S: replica, e: config epoch, –: unknown", "M：主节点及其槽位数，S：从节点，e：配置纪元，–：不认识";
    }
}
