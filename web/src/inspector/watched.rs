//! The Sentinels tab of a server: what each Sentinel believes about it.

use yew::prelude::*;

use super::Tab;
use crate::figures;
use crate::i18n::common;
use crate::kinds::sentinel::seen_as;
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The tab, which appears if there are Sentinels.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-watched",
    title: words::TAB_WATCHED,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels], watched),
    suits: |lab| !lab.sentinels().is_empty(),
};

fn watched(page: &Page, body: BodyId) -> Html {
    let locale = page.locale();
    let lab = page.lab();
    html! {
        <table class="facts" data-testid="watched">
            <thead><tr>
                <th scope="col">{ locale.say(words::SENTINEL) }</th>
                <th scope="col">{ locale.say(words::WATCHED_AS) }</th>
                <th scope="col">{ locale.say(words::VERDICT) }</th>
                <th scope="col" class="num">{ locale.say(words::SILENCE) }</th>
            </tr></thead>
            <tbody>
                { for lab.sentinels().iter().map(|(unit, view)| {
                    let Some(view) = view else {
                        return html! {
                            <tr key={unit.id.to_string()} class="off"><td>{ &unit.name }</td>
                                <td colspan="3">{ locale.say(common::NOT_RUNNING_SHORT) }</td></tr>
                        };
                    };
                    let seen = view.masters.iter().find_map(|master| {
                        Some((master, seen_as(&lab, master, body)?))
                    });
                    let Some((master, (seen, is_master))) = seen else {
                        return html! {
                            <tr key={unit.id.to_string()}><td>{ &unit.name }</td>
                                <td colspan="3">{ locale.say(words::UNKNOWN) }</td></tr>
                        };
                    };
                    let role = if is_master { words::AS_MASTER } else { words::AS_REPLICA };
                    let state = match (is_master && master.odown.is_some(), seen.sdown.is_some()) {
                        (true, _) => format!("ODOWN {}/{}", master.down_votes, master.quorum),
                        (false, true) => "SDOWN".to_owned(),
                        (false, false) => "ok".to_owned(),
                    };
                    let down = seen.sdown.is_some();
                    html! {
                        <tr key={unit.id.to_string()}>
                            <td>{ &unit.name }</td>
                            <td>{ locale.fill(role, &[("name", &master.seen.name)]) }</td>
                            <td class={down.then_some("alarming")}>{ state }</td>
                            <td class="num">{ figures::duration(seen.silence.0) }</td>
                        </tr>
                    }
                }) }
            </tbody>
        </table>
    }
}

mod words {
    crate::i18n::texts! {
        TAB_WATCHED: "Sentinels", "哨兵";
        SENTINEL: "Sentinel", "哨兵";
        WATCHED_AS: "Sees it as", "视为";
        VERDICT: "Holds it to be", "判断";
        SILENCE: "No answer for", "无应答";
        AS_MASTER: "master {name}", "主节点 {name}";
        AS_REPLICA: "replica of {name}", "{name} 的从节点";
        UNKNOWN: "does not know it", "不认识它";
    }
}
