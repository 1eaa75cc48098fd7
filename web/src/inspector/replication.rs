//! The Replication tab: what a server reports about its replication stream, beside what the other
//! servers of its shard report.

use limpid_core::server::{BacklogView, ReplicationView};
use yew::prelude::*;

use super::{Tab, not_running};
use crate::figures;
use crate::i18n::{Locale, common};
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::scene::FollowState;
use crate::units::BodyId;

/// How many characters of an id are shown.
const ID: usize = 8;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-replication",
    title: words::TAB_REPLICATION,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels], replication),
    suits: |_| true,
};

/// What a server reports about its stream, its primary and its replicas.
fn replication(page: &Page, body: BodyId) -> Html {
    let locale = page.locale();
    let lab = page.lab();
    let Some(view) = lab.replication(body) else { return not_running(locale) };
    let info = lab.info_section(body, "replication").unwrap_or_default();
    html! {
        <div data-testid="replication">
            <p class="gist">{ gist(page, locale, &view) }</p>
            { side_by_side(page, body, locale) }
            <h3>{ locale.say(words::BACKLOG) }</h3>
            { match &view.backlog {
                Some(backlog) => bar(page, locale, &view, *backlog),
                None => html! { <p class="dim">{ locale.say(words::NO_BACKLOG) }</p> },
            } }
            <h3>{ locale.say(words::STREAM_IDS) }</h3>
            <dl class="ids">
                <dt>{ "replid" }</dt><dd>{ &view.id }</dd>
                if let Some((id, offset)) = &view.second {
                    <dt>{ "replid2" }</dt>
                    <dd>{ id }<br />
                        { locale.fill(words::UP_TO_OFFSET, &[("offset", &offset.to_string())]) }</dd>
                }
            </dl>
            <h3>{ "INFO replication" }</h3>
            <dl class="pairs">
                { for info.iter().map(|(key, value)| html! {
                    <><dt title={key.clone()}>{ key }</dt><dd>{ value }</dd></>
                }) }
            </dl>
        </div>
    }
}

/// Its role, in a sentence.
fn gist(page: &Page, locale: Locale, view: &ReplicationView) -> String {
    let lab = page.lab();
    let Some(primary) = &view.primary else {
        return match view.replicas.len() {
            0 => locale.say(words::PRIMARY_ALONE).to_owned(),
            n => locale.fill(words::PRIMARY_OF, &[("n", &n.to_string())]),
        };
    };
    let unit = lab.primary_of(view).and_then(|id| lab.units().get(id));
    let name =
        unit.map_or_else(|| format!("{}:{}", primary.host, primary.port), |unit| unit.name.clone());
    let mut text = locale.fill(words::REPLICA_OF, &[("name", &name), ("state", primary.state)]);
    if let Some(silent) = primary.silent {
        text += &locale.fill(words::HEARD_OF, &[("time", &figures::duration(silent))]);
    }
    if let Some(down) = primary.down {
        text += &locale.fill(words::DOWN_SINCE, &[("time", &figures::duration(down))]);
    }
    text
}

/// The servers of each shard side by side.
#[cfg(feature = "whole")]
pub(crate) fn offsets(page: &Page) -> Html {
    let heads: Vec<BodyId> = {
        let lab = page.lab();
        let mut seen = Vec::new();
        let heads = lab.units().servers().filter(|unit| {
            let shard = lab.shard(unit.id);
            let is_new = !seen.contains(&shard);
            seen.push(shard);
            is_new
        });
        heads.map(|unit| unit.id).collect()
    };
    let locale = page.locale();
    html! { <>{ for heads.into_iter().map(|head| side_by_side(page, head, locale)) }</> }
}

/// The servers of its shard, each with the offset that it reports itself.
fn side_by_side(page: &Page, body: BodyId, locale: Locale) -> Html {
    let lab = page.lab();
    let shard = lab.shard(body);
    let follows = lab.follows();
    let members: Vec<_> = lab
        .units()
        .servers()
        .filter(|unit| lab.shard(unit.id) == shard)
        .map(|unit| (unit.id, unit.name.clone(), lab.replication(unit.id)))
        .collect();
    let most = members.iter().filter_map(|(.., view)| view.as_ref()).map(|view| view.offset).max();
    let ids = |view: &ReplicationView| view.id.get(..ID).unwrap_or_default().to_owned();
    let own = members.iter().find(|(id, ..)| *id == body);
    let own_id = own.and_then(|(.., view)| view.as_ref()).map(ids);
    html! {
        <table class="facts" data-testid="offsets">
            <thead><tr>
                <th scope="col">{ locale.say(common::NODE) }</th>
                <th scope="col">{ locale.say(words::STREAM_ID) }</th>
                <th scope="col" class="num">{ locale.say(words::OFFSET) }</th>
                <th scope="col" class="num">{ locale.say(words::BEHIND) }</th>
            </tr></thead>
            <tbody>
                { for members.iter().map(|(id, name, view)| {
                    let Some(view) = view else {
                        return html! {
                            <tr key={id.to_string()} class="off">
                                <td>{ name }</td>
                                <td colspan="3">{ locale.say(common::NOT_RUNNING_SHORT) }</td>
                            </tr>
                        };
                    };
                    let follow = follows.iter().find(|follow| follow.to == *id);
                    let stream = ids(view);
                    let other = own_id.as_ref().is_some_and(|own| *own != stream);
                    let behind = most.unwrap_or_default().saturating_sub(view.offset);
                    let role = match follow.map(|follow| follow.state) {
                        None => locale.say(common::ROLE_PRIMARY),
                        Some(FollowState::Online) => "",
                        Some(state) => locale.say(state.text()),
                    };
                    html! {
                        <tr key={id.to_string()} class={(*id == body).then_some("own")}>
                            <td>{ name }if !role.is_empty() { <span class="dim">{ format!(" · {role}") }</span> }</td>
                            <td class={classes!("id", other.then_some("other"))}>{ stream }</td>
                            <td class="num">{ figures::count(u64::try_from(view.offset).unwrap_or_default()) }</td>
                            <td class="num">{ match behind {
                                0 => "–".to_owned(),
                                n => figures::bytes(u64::try_from(n).unwrap_or_default()),
                            } }</td>
                        </tr>
                    }
                }) }
            </tbody>
        </table>
    }
}

/// The backlog as a bar: how full it is, and the offset of each replica.
fn bar(page: &Page, locale: Locale, view: &ReplicationView, backlog: BacklogView) -> Html {
    let lab = page.lab();
    let last = backlog.first.saturating_add(i64::try_from(backlog.len).unwrap_or(i64::MAX)) - 1;
    let filled = share(backlog.len as f64, backlog.size as f64);
    let mark = |acked: i64| share((acked - backlog.first + 1) as f64, backlog.len as f64);
    html! {
        <div class="backlog" data-testid="backlog">
            <div class="vessel" title={format!("{} / {}", figures::bytes(backlog.len), figures::bytes(backlog.size))}>
                <i style={format!("width:{filled:.1}%")}></i>
            </div>
            <p class="dim">{ locale.fill(words::BACKLOG_HOLDS, &[
                ("len", &figures::bytes(backlog.len)), ("size", &figures::bytes(backlog.size)),
            ]) }</p>
            <div class="scale">
                { for view.replicas.iter().map(|replica| {
                    let scenario = lab.world().scenario();
                    let at = format!("{}:{}", replica.address, replica.port);
                    let unit = lab.units().at(scenario, &replica.address, replica.port);
                    let name = unit.and_then(|unit| lab.units().get(unit));
                    let name = name.map_or_else(|| at.clone(), |unit| unit.name.clone());
                    let text = locale.fill(words::ACKED_BY, &[
                        ("name", &name), ("offset", &replica.acked.to_string()),
                        ("time", &figures::duration(replica.silent)), ("state", replica.state),
                    ]);
                    html! {
                        <div class="acked" key={at}>
                            <span class="track"><i style={format!("width:{:.1}%", mark(replica.acked))}></i></span>
                            <span>{ text }</span>
                        </div>
                    }
                }) }
            </div>
            <dl class="ends">
                <dt>{ locale.say(words::FIRST_OFFSET) }</dt><dd>{ backlog.first.to_string() }</dd>
                <dt>{ locale.say(words::LAST_OFFSET) }</dt><dd>{ last.to_string() }</dd>
            </dl>
        </div>
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole * 100.0).clamp(0.0, 100.0) } else { 0.0 }
}

mod words {
    crate::i18n::texts! {
        TAB_REPLICATION: "Replication", "复制";
        PRIMARY_ALONE: "A primary that nobody follows.", "主节点，没有从节点。";
        PRIMARY_OF: "A primary; {n} follow it directly.", "主节点，直接从节点 {n} 个。";
        REPLICA_OF: "A replica of {name}: {state}", "{name} 的从节点：{state}";
        HEARD_OF: ", heard of {time} ago", "，{time}前收到过数据";
        DOWN_SINCE: ", without its stream for {time}", "，已中断 {time}";
        OFFSET: "Offset", "偏移量";
        BEHIND: "Behind", "落后";
        STREAM_ID: "Stream", "复制流";
        STREAM_IDS: "Replication ids", "复制 ID";
        UP_TO_OFFSET: "up to offset {offset}", "到偏移量 {offset} 为止";
        BACKLOG: "Backlog", "复制积压缓冲区";
        NO_BACKLOG: "None is kept: no replica has ever come.", "尚未创建：还没有从节点连接过。";
        BACKLOG_HOLDS: "{len} of {size}", "{len} / {size}";
        FIRST_OFFSET: "first offset", "起始偏移量";
        LAST_OFFSET: "last offset", "末尾偏移量";
        ACKED_BY: "{name}: {state}, acknowledged {offset}, {time} ago", "{name}：{state}，{time}前确认到 {offset}";
    }
}
