//! Clients that shard by themselves: drawn as a client with a ring around its square.

use limpid_core::lab::{SHARDING, Sharding};
use limpid_core::sharding::Rule;
use yew::prelude::*;

use super::{Detail, Kind, NodeView, client, per_second, target};
use crate::i18n::Locale;
use crate::inspector::{connections, files, info, log, ring};
use crate::lab::Lab;
use crate::layout::{Outline, Part, Rim};
use crate::scene::{Body, Health};
use crate::units::Unit;

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "sharding",
    programs: &[SHARDING],
    port: None,
    part: Part::Client,
    outline: Outline { aside: 34.0, above: 20.0, below: 48.0, rim: Rim::Circle(17.0) },
    read,
    mark,
    reach: |_, _| 44.0,
    name_at: 29.0,
    line,
    second_line: |_, _| None,
    info,
    tabs: &[&ring::TAB, &info::TAB, &files::TAB, &connections::TAB, &log::TAB],
};

/// What the map shows of a client that shards.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct ShardingNode {
    /// Replies per second.
    pub rate: u64,
    /// The number of servers over which it shards.
    pub servers: usize,
    /// Whether a connection is missing.
    pub stuck: bool,
}

impl ShardingNode {
    pub(super) fn role() -> super::Role {
        client::ROLE
    }
}

fn read(lab: &Lab, unit: &Unit) -> NodeView {
    let rate = lab.rate(unit.id);
    NodeView::Sharding(match lab.machine::<Sharding>(unit).map(Sharding::client) {
        None => ShardingNode { rate, ..ShardingNode::default() },
        Some(client) => ShardingNode {
            rate,
            servers: client.config().nodes.len(),
            stuck: client.connected().any(|up| !up),
        },
    })
}

fn line(body: &Body, locale: Locale) -> String {
    match &body.node {
        NodeView::Sharding(client) if client.stuck => locale.say(words::MISSES_SERVER).to_owned(),
        NodeView::Sharding(client) => per_second(locale, client.rate),
        _ => String::new(),
    }
}

fn mark(body: &Body, _: Detail) -> Html {
    html! {
        <>
            { target(&body.kind.outline) }
            <circle class="orbit" r="16" />
            <rect class="square" x="-8" y="-8" width="16" height="16" rx="4" />
            { match body.health {
                Health::Online => html! {
                    <rect class="square-dot" x="-3" y="-3" width="6" height="6" rx="1.5" />
                },
                Health::Paused => html! { <path class="dead" d="M-3 -4V4M3 -4V4" /> },
                Health::Stopped | Health::Crashed => html! {
                    <path class="dead" d="M-4 -4 4 4M4 -4 -4 4" />
                },
            } }
        </>
    }
}

/// Its counters, in the format of INFO.
fn info(lab: &Lab, unit: &Unit) -> Option<String> {
    let client = lab.machine::<Sharding>(unit)?.client();
    let (stats, own) = (client.stats(), client.sharding_stats());
    let rule = match client.config().rule {
        Rule::Ketama(_) => "ketama",
        Rule::Modula(_) | Rule::Groups(_) => "modula",
        Rule::Table(_) => "table",
        Rule::Random => "random",
        Rule::Slots => "slots",
    };
    let mut text = format!(
        "# Sharding\nrule:{rule}\nhits:{}\nmisses:{}\npopped:{}\nwrong:{}\n# Traffic\nsent:{}\n\
         replies:{}\nerrors:{}\nlost:{}\nskipped:{}\n# Servers\n",
        own.hits,
        own.misses,
        own.popped,
        own.wrong,
        stats.sent,
        stats.replies,
        stats.errors,
        stats.lost,
        stats.skipped,
    );
    for ((node, _), sent) in client.config().nodes.iter().zip(&own.sent) {
        text += &format!("{}:{sent}\n", String::from_utf8_lossy(&node.name));
    }
    Some(text)
}

mod words {
    crate::i18n::texts! {
        MISSES_SERVER: "a server is missing", "有服务器未连接";
    }
}
