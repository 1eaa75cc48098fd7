//! The Pools tab of a proxy: its pools and their servers as the proxy sees them, with their queues.

use limpid_core::proxy::PoolView;
use yew::prelude::*;

use super::{Tab, not_running};
use crate::figures;
use crate::i18n::{Locale, Text, common};
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-pools",
    title: words::TAB_POOLS,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels], pools),
    suits: |_| true,
};

fn pools(page: &Page, body: BodyId) -> Html {
    let locale = page.locale();
    let lab = page.lab();
    let view = lab.units().get(body).and_then(|unit| lab.proxy(unit));
    let Some(view) = view else { return not_running(locale) };
    html! {
        <div data-testid="pools">{ for view.pools.iter().map(|pool| one(locale, pool)) }</div>
    }
}

fn one(locale: Locale, pool: &PoolView) -> Html {
    let has_groups = pool.servers.iter().any(|server| server.group.is_some());
    let head = |text: Text, num: bool| {
        html! {
            <th scope="col" class={num.then_some("num")}>{ locale.say(text) }</th>
        }
    };
    html! {
        <section key={pool.name.clone()}>
            <h3>{ format!("{} · {}", pool.name, pool.listen) }</h3>
            <p class="dim">{ locale.fill(words::CLIENTS, &[("n", &figures::count(pool.clients))]) }</p>
            <div class="wide-table">
            <table class="facts">
                <thead><tr>
                    { head(common::NODE, false) }
                    if has_groups { { head(words::GROUP, false) } }
                    { head(words::STATE, false) }
                    { head(words::UNSENT, true) }
                    { head(words::UNANSWERED, true) }
                    { head(words::REQUESTS, true) }
                </tr></thead>
                <tbody>{ for pool.servers.iter().map(|server| html! {
                    <tr key={server.name.clone()} class={(!server.in_use).then_some("off")}
                        data-testid={format!("pool-{}", server.name)}
                        data-in-use={server.in_use.to_string()}>
                        <td>{ &server.name }</td>
                        if has_groups {
                            <td>{ match &server.group {
                                Some(group) => format!("{group} · {}", server.role),
                                None => server.role.to_owned(),
                            } }</td>
                        }
                        <td>{ locale.say(if server.in_use { words::IN_USE } else { words::LEFT_OUT }) }</td>
                        <td class="num">{ figures::count(server.unsent) }</td>
                        <td class="num">{ figures::count(server.unanswered) }</td>
                        <td class="num">{ figures::count(server.requests) }</td>
                    </tr>
                }) }</tbody>
            </table>
            </div>
        </section>
    }
}

mod words {
    crate::i18n::texts! {
        TAB_POOLS: "Pools", "连接池";
        CLIENTS: "{n} clients are connected.", "已连接 {n} 个客户端。";
        GROUP: "Group", "分组";
        STATE: "State", "状态";
        IN_USE: "in use", "使用中";
        LEFT_OUT: "left out", "已剔除";
        UNSENT: "Unsent", "待发送";
        UNANSWERED: "Unanswered", "待应答";
        REQUESTS: "Requests", "请求数";
    }
}
