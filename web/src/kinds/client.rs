//! Clients that make traffic, drawn as a small square.

use core::time::Duration;

use limpid_core::client::Routing;
use limpid_core::lab::{CLUSTER_TRAFFIC, ClusterTraffic, TRAFFIC, Traffic};
use yew::prelude::*;

use super::{Detail, Kind, NodeView, Role, per_second, target};
use crate::i18n::Locale;
use crate::inspector::{connections, files, info, log};
use crate::lab::Lab;
use crate::layout::{Outline, Part, Rim};
use crate::scene::{Body, Health};
use crate::units::Unit;

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "client",
    programs: &[CLUSTER_TRAFFIC, TRAFFIC],
    port: None,
    part: Part::Client,
    outline: Outline { aside: 30.0, above: 16.0, below: 44.0, rim: Rim::Circle(13.0) },
    read,
    mark,
    reach: |_, _| 40.0,
    name_at: 25.0,
    line,
    second_line: |_, _| None,
    info,
    tabs: &[&info::TAB, &files::TAB, &connections::TAB, &log::TAB],
};

/// Its role.
pub(super) const ROLE: Role = Role { name: "client", text: words::ROLE_CLIENT };

/// The number of unanswered commands from which on a client counts as stuck: at twenty commands per
/// second, one or two are in flight at any time.
const WAITING: usize = 6;

/// What the map shows of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ClientNode {
    /// Replies per second.
    pub rate: u64,
    /// Whether a reply or a connection is overdue.
    pub stuck: bool,
}

fn read(lab: &Lab, unit: &Unit) -> NodeView {
    if let Some(traffic) = lab.machine::<ClusterTraffic>(unit) {
        let client = traffic.client();
        let stuck = !client.is_connected() || client.pending() >= WAITING;
        return NodeView::Client(ClientNode { rate: lab.rate(unit.id), stuck });
    }
    let stuck = lab.machine::<Traffic>(unit).is_some_and(|traffic| {
        let client = traffic.client();
        !client.is_connected() || client.pending() >= WAITING
    });
    NodeView::Client(ClientNode { rate: lab.rate(unit.id), stuck })
}

fn line(body: &Body, locale: Locale) -> String {
    match &body.node {
        NodeView::Client(client) if client.stuck => locale.say(words::WAITING).to_owned(),
        NodeView::Client(client) if client.rate > 0 => per_second(locale, client.rate),
        _ => locale.say(words::IDLE).to_owned(),
    }
}

fn mark(body: &Body, _: Detail) -> Html {
    html! {
        <>
            { target(&body.kind.outline) }
            <rect class="square" x="-10" y="-10" width="20" height="20" rx="5" />
            { match body.health {
                Health::Online => html! {
                    <rect class="square-dot" x="-3.5" y="-3.5" width="7" height="7" rx="1.5" />
                },
                Health::Paused => html! { <path class="dead" d="M-3 -4V4M3 -4V4" /> },
                Health::Stopped | Health::Crashed => html! {
                    <path class="dead" d="M-4 -4 4 4M4 -4 -4 4" />
                },
            } }
        </>
    }
}

/// A client's counters, in the format of INFO.
fn info(lab: &Lab, unit: &Unit) -> Option<String> {
    if let Some(traffic) = lab.machine::<ClusterTraffic>(unit) {
        return Some(cluster_info(traffic.client()));
    }
    let traffic = lab.machine::<Traffic>(unit)?.client();
    let stats = traffic.stats();
    let millis = |d: Duration| format!("{:.3} ms", d.as_secs_f64() * 1e3);
    let answered = stats.replies + stats.errors;
    let mean = stats.latency.total / u32::try_from(answered.max(1)).unwrap_or(u32::MAX);
    Some(format!(
        "# Client\ntarget:{}\nconnected:{}\nwaiting:{}\n# Traffic\nsent:{}\nreplies:{}\n\
         errors:{}\nlost:{}\nskipped:{}\nconnections:{}\nfailures:{}\n# Latency\nlast:{}\n\
         mean:{}\np99:{}\nmax:{}\n",
        traffic.config().target,
        if traffic.is_connected() { "yes" } else { "no" },
        traffic.pending(),
        stats.sent,
        stats.replies,
        stats.errors,
        stats.lost,
        stats.skipped,
        stats.connects,
        stats.failures,
        millis(stats.latency.last),
        millis(mean),
        millis(stats.latency.quantile(0.99)),
        millis(stats.latency.max),
    ))
}

/// The counters of a cluster client, in the format of INFO.
fn cluster_info(client: &limpid_core::client::ClusterTraffic) -> String {
    let stats = client.stats();
    let traffic = &stats.traffic;
    let routing = match client.config().routing {
        Routing::Learned => "learned",
        Routing::Redirected => "redirected",
    };
    let at = client.current().map_or("-".to_owned(), ToString::to_string);
    let error = traffic.last_error.as_deref().unwrap_or("-");
    format!(
        "# Client\nrouting:{routing}\nnode:{at}\nwaiting:{}\n# Traffic\nsent:{}\nreplies:{}\n\
         errors:{}\nlast_error:{error}\nskipped:{}\nconnections:{}\nfailures:{}\n# Cluster\n\
         moved:{}\nasked:{}\nretries:{}\nlearned:{}\nwrites_gone:{}\nreplies_wrong:{}\n",
        client.pending(),
        traffic.sent,
        traffic.replies,
        traffic.errors,
        traffic.skipped,
        traffic.connects,
        traffic.failures,
        stats.moved,
        stats.asked,
        stats.retries,
        stats.learned,
        stats.gone,
        stats.wrong,
    )
}

mod words {
    crate::i18n::texts! {
        ROLE_CLIENT: "client", "客户端";
        WAITING: "no reply", "无回复";
        IDLE: "idle", "空闲";
    }
}
