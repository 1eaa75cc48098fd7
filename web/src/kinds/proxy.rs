//! Proxies, drawn as a gate with one input and several outputs. A crossed bar is a server to which
//! the proxy sends nothing.

use std::net::Ipv4Addr;

use limpid_core::lab::{NUTCRACKER, PREDIXY};
use limpid_core::proxy::predixy::Predixy;
use limpid_core::proxy::twemproxy::Twemproxy;
use limpid_core::proxy::{PoolView, Proxy, ServerView, View};
use yew::prelude::*;

use super::{Detail, Kind, NodeView, Role, num, per_second, target};
use crate::i18n::Locale;
use crate::inspector::{connections, files, info, log, pools, proxy_files, ring};
use crate::lab::Lab;
use crate::layout::{Outline, Part, Rim};
use crate::scene::{Body, Health};
use crate::units::Unit;

/// The kind of twemproxy.
pub(crate) static TWEMPROXY: Kind = Kind {
    name: "proxy",
    programs: &[NUTCRACKER],
    port: Some(22_121),
    part: Part::Proxy,
    outline: Outline { aside: 48.0, above: 42.0, below: 58.0, rim: Rim::Circle(30.0) },
    read,
    mark,
    reach: |_, _| 54.0,
    name_at: 44.0,
    line,
    second_line: shared_address,
    info,
    tabs: &[
        &pools::TAB,
        &ring::TAB,
        &proxy_files::TAB,
        &info::TAB,
        &files::TAB,
        &connections::TAB,
        &log::TAB,
    ],
};

/// The kind of predixy.
pub(crate) static PREDIXY_KIND: Kind = Kind {
    programs: &[PREDIXY],
    port: Some(7_617),
    tabs: &[&pools::TAB, &proxy_files::TAB, &info::TAB, &files::TAB, &connections::TAB, &log::TAB],
    ..TWEMPROXY
};

const ROLE: Role = Role { name: "proxy", text: words::ROLE };

/// What the map shows of a proxy.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct ProxyNode {
    /// Replies per second.
    pub rate: u64,
    /// For each server with data, in the proxy's order, whether requests are sent to it.
    pub in_use: Vec<bool>,
    /// The virtual address that its host shares with others, if it has it now.
    pub address: Option<Ipv4Addr>,
}

impl ProxyNode {
    pub(super) fn role() -> Role {
        ROLE
    }

    /// The number of servers to which it sends nothing.
    fn out(&self) -> usize {
        self.in_use.iter().filter(|in_use| !**in_use).count()
    }
}

impl Lab {
    /// The state of a proxy, if it runs.
    pub(crate) fn proxy(&self, unit: &Unit) -> Option<View> {
        let twemproxy = self.machine::<Proxy<Twemproxy>>(unit).map(Proxy::<Twemproxy>::view);
        twemproxy.or_else(|| self.machine::<Proxy<Predixy>>(unit).map(Proxy::<Predixy>::view))
    }
}

/// The servers of a pool that have data.
pub(crate) fn servers(pool: &PoolView) -> impl Iterator<Item = &ServerView> {
    pool.servers.iter().filter(|server| server.role != "sentinel")
}

fn read(lab: &Lab, unit: &Unit) -> NodeView {
    let view = lab.proxy(unit).unwrap_or_default();
    let in_use = view.pools.iter().flat_map(servers).map(|server| server.in_use).collect();
    let address = lab.world().claimed(unit.host).next();
    NodeView::Proxy(ProxyNode { rate: lab.rate(unit.id), in_use, address })
}

fn line(body: &Body, locale: Locale) -> String {
    match &body.node {
        NodeView::Proxy(proxy) if proxy.out() > 0 => {
            locale.fill(words::OUT, &[("n", &proxy.out().to_string())])
        }
        NodeView::Proxy(proxy) if proxy.rate > 0 => per_second(locale, proxy.rate),
        _ => locale.say(words::IDLE).to_owned(),
    }
}

/// The line with the virtual address, on the proxy that has it.
fn shared_address(body: &Body, _: Locale) -> Option<String> {
    let NodeView::Proxy(proxy) = &body.node else { return None };
    proxy.address.map(|address| format!("VIP {address}"))
}

/// Draws the gate: requests enter at the left and leave by one of the bars at the right.
fn mark(body: &Body, _: Detail) -> Html {
    let NodeView::Proxy(proxy) = &body.node else { return Html::default() };
    let count = proxy.in_use.len().max(1) as f64;
    html! {
        <g class="gate" data-out={proxy.out().to_string()}>
            { target(&body.kind.outline) }
            <path class="frame" d="M-24 0 0 -24 24 -24 24 24 0 24Z" />
            if proxy.address.is_some() {
                <text class="shared" y="-31">{ "VIP" }</text>
            }
            { match body.health {
                Health::Online => html! {
                    { for proxy.in_use.iter().enumerate().map(|(i, in_use)| {
                        let y = (i as f64 - (count - 1.0) / 2.0) * (36.0 / count).min(13.0);
                        let class = classes!("way", (!in_use).then_some("barred"));
                        html! { <path {class} d={format!("M-12 0L4 {0}L17 {0}", num(y))} /> }
                    }) }
                },
                Health::Paused => html! { <path class="dead" d="M2 -6V6M10 -6V6" /> },
                Health::Stopped | Health::Crashed => html! {
                    <path class="dead" d="M1 -6 13 6M13 -6 1 6" />
                },
            } }
        </g>
    }
}

/// Its counters, in the format of INFO.
fn info(lab: &Lab, unit: &Unit) -> Option<String> {
    let mut text = String::new();
    for pool in lab.proxy(unit)?.pools {
        text += &format!("# {}\nlisten:{}\nclients:{}\n", pool.name, pool.listen, pool.clients);
        count(&mut text, &pool.counters);
        for server in &pool.servers {
            text += &format!("# {}\n", server.name);
            if let Some(group) = &server.group {
                text += &format!("group:{group}\nrole:{}\n", server.role);
            }
            text += &format!(
                "in_use:{}\nconnections:{}\nrequests:{}\nin_queue:{}\nout_queue:{}\n",
                if server.in_use { "yes" } else { "no" },
                server.connections,
                server.requests,
                server.unsent,
                server.unanswered,
            );
            count(&mut text, &server.counters);
        }
    }
    Some(text)
}

/// Adds a line for each counter.
fn count(text: &mut String, counters: &[(&str, u64)]) {
    text.extend(counters.iter().map(|(name, value)| format!("{name}:{value}\n")));
}

mod words {
    crate::i18n::texts! {
        ROLE: "proxy", "代理";
        IDLE: "idle", "空闲";
        OUT: "{n} left out", "已剔除 {n} 个";
    }
}
