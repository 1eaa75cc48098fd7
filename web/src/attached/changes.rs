//! The list of changes in the deployment since the page was opened, latest first.

use std::collections::VecDeque;

use limpid_core::deployment::Change;
use yew::prelude::*;

use crate::i18n::Locale;

/// A change with the time at which it was seen.
pub(super) struct Line {
    /// The time of day.
    pub time: String,
    /// The change.
    pub change: Change,
}

/// Draws the list.
pub(super) fn change_list(
    lines: &VecDeque<Line>,
    locale: Locale,
    choose: &Callback<Option<String>>,
) -> Html {
    html! {
        <section class="events changes" aria-label={locale.say(words::TITLE)}>
            <header><h2>{ locale.say(words::TITLE) }</h2></header>
            if lines.is_empty() {
                <p class="empty">{ locale.say(words::EMPTY) }</p>
            }
            <ol aria-live="polite" data-testid="attached-changes">
                { for lines.iter().map(|line| {
                    let address = address(&line.change).to_owned();
                    let choose = choose.clone();
                    let onclick =
                        Callback::from(move |_: MouseEvent| choose.emit(Some(address.clone())));
                    let class = is_trouble(&line.change).then_some("fault");
                    html! {
                        <li {class}>
                            <button {onclick}>
                                <time>{ &line.time }</time>
                                <span class="what">{ text(&line.change, locale) }</span>
                            </button>
                        </li>
                    }
                }) }
            </ol>
        </section>
    }
}

/// The node that a change is about.
fn address(change: &Change) -> &str {
    match change {
        Change::Appeared(node)
        | Change::Lost(node, _)
        | Change::Returned(node)
        | Change::Restarted(node)
        | Change::Promoted(node)
        | Change::Follows(node, _)
        | Change::LinkLost(node)
        | Change::LinkUp(node)
        | Change::Judged(node, ..)
        | Change::Slots(node, ..) => node,
    }
}

fn is_trouble(change: &Change) -> bool {
    match change {
        Change::Lost(..) | Change::LinkLost(_) => true,
        Change::Judged(_, down_for, ..) => *down_for > 0,
        _ => false,
    }
}

/// A change in a sentence.
fn text(change: &Change, locale: Locale) -> String {
    let with = |text, values: &[(&str, &str)]| locale.fill(text, values);
    match change {
        Change::Appeared(node) => with(words::APPEARED, &[("node", node)]),
        Change::Lost(node, why) => with(words::LOST, &[("node", node), ("why", why)]),
        Change::Returned(node) => with(words::RETURNED, &[("node", node)]),
        Change::Restarted(node) => with(words::RESTARTED, &[("node", node)]),
        Change::Promoted(node) => with(words::PROMOTED, &[("node", node)]),
        Change::Follows(node, Some(of)) => with(words::FOLLOWS, &[("node", node), ("of", of)]),
        Change::Follows(node, None) => with(words::FOLLOWS_UNKNOWN, &[("node", node)]),
        Change::LinkLost(node) => with(words::LINK_LOST, &[("node", node)]),
        Change::LinkUp(node) => with(words::LINK_UP, &[("node", node)]),
        Change::Judged(node, 0, ..) => with(words::TRUSTED, &[("node", node)]),
        Change::Judged(node, n, all, agreed) => {
            let text = if *agreed { words::JUDGED_AGREED } else { words::JUDGED };
            with(text, &[("node", node), ("n", &n.to_string()), ("all", &all.to_string())])
        }
        Change::Slots(node, now, before) => {
            let (now, before) = (now.to_string(), before.to_string());
            with(words::SLOTS, &[("node", node), ("now", &now), ("before", &before)])
        }
    }
}

mod words {
    crate::i18n::texts! {
        TITLE: "What changed", "变化";
        EMPTY: "Nothing yet. Failovers, broken links, restarts and slots that move are listed here.",
            "暂时没有。故障转移、断开的连接、重启与迁移的槽位会列在这里。";
        APPEARED: "{node} was discovered", "发现 {node}";
        LOST: "{node} does not answer: {why}", "{node} 无响应：{why}";
        RETURNED: "{node} answers again", "{node} 恢复响应";
        RESTARTED: "{node} was restarted", "{node} 已重启";
        PROMOTED: "{node} became a primary", "{node} 成为主节点";
        FOLLOWS: "{node} replicates {of} now", "{node} 现在复制 {of}";
        FOLLOWS_UNKNOWN: "{node} became a replica", "{node} 成为从节点";
        LINK_LOST: "{node} lost the link to its primary", "{node} 与主节点的连接断开";
        LINK_UP: "{node} gets the stream of its primary", "{node} 正在接收主节点的数据流";
        TRUSTED: "{node} counts as reachable again", "{node} 重新被认为可达";
        JUDGED: "{n} of {all} cannot reach {node}", "{all} 个节点中有 {n} 个联系不上 {node}";
        JUDGED_AGREED: "{node} counts as down by agreement; {n} of {all} cannot reach it",
            "{node} 已被一致判定下线；{all} 个节点中有 {n} 个联系不上它";
        SLOTS: "{node} has {now} slots, after {before}", "{node} 现有 {now} 个槽位（之前 {before} 个）";
    }
}
