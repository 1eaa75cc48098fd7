//! Kinds of processes: how the page reads, draws and inspects each.
//!
//! To add a kind, write a file here that fills in a [`Kind`], and add a line to [`KINDS`]. A tab
//! that only this kind has is a file in [`crate::inspector`], listed in [`Kind::tabs`]; a position
//! of its own in layouts is a file in [`crate::layout`].

pub(crate) mod client;
#[cfg(feature = "whole")]
pub(crate) mod proxy;
pub(crate) mod sentinel;
pub(crate) mod server;
#[cfg(feature = "whole")]
pub(crate) mod sharding;
pub(crate) mod shell;

use core::fmt;

use limpid_core::sim::ProcView;
use yew::prelude::*;

use crate::i18n::{Locale, Text};
use crate::inspector::Tab;
use crate::lab::Lab;
use crate::layout::{Outline, Part};
use crate::scene::Body;
use crate::units::Unit;

/// The kinds that have processes on the map.
pub(crate) const KINDS: &[&Kind] = &[
    &server::KIND,
    &sentinel::KIND,
    &client::KIND,
    #[cfg(feature = "whole")]
    &sharding::KIND,
    #[cfg(feature = "whole")]
    &proxy::TWEMPROXY,
    #[cfg(feature = "whole")]
    &proxy::PREDIXY_KIND,
];

/// A kind of process, with everything that the page needs for it.
pub(crate) struct Kind {
    /// Its name in styles and tests.
    pub name: &'static str,
    /// The programs that are of this kind.
    pub programs: &'static [&'static str],
    /// Its default port for redis-cli; `None` if redis-cli cannot connect to it.
    pub port: Option<u16>,
    /// Its part in layouts.
    pub part: Part,
    /// The space that its mark takes on the map.
    pub outline: Outline,
    /// Reads what the map shows from its machine, which may not run.
    pub read: fn(&Lab, &Unit) -> NodeView,
    /// Draws its mark.
    pub mark: fn(&Body, Detail) -> Html,
    /// How far the drawing reaches below its position.
    pub reach: fn(&Body, near: bool) -> f64,
    /// How far below its position its name is.
    pub name_at: f64,
    /// The line of state under its name while it runs.
    pub line: fn(&Body, Locale) -> String,
    /// A second line, if there is one.
    pub second_line: fn(&Body, Locale) -> Option<String>,
    /// The text of INFO, or a similar text for programs without INFO.
    pub info: fn(&Lab, &Unit) -> Option<String>,
    /// The tabs of its inspector.
    pub tabs: &'static [&'static Tab],
}

/// The level of detail of a mark.
#[derive(Clone, Copy)]
pub(crate) struct Detail {
    /// Whether the zoom leaves room for an address.
    pub near: bool,
    /// The language of its texts.
    pub locale: Locale,
}

/// What the map shows of a node, as plain data.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum NodeView {
    /// A server.
    Server(server::ServerNode),
    /// A Sentinel.
    Sentinel(sentinel::SentinelNode),
    /// A client that makes traffic.
    Client(client::ClientNode),
    /// A client that shards by itself.
    #[cfg(feature = "whole")]
    Sharding(sharding::ShardingNode),
    /// A proxy.
    #[cfg(feature = "whole")]
    Proxy(proxy::ProxyNode),
    /// A host with a person's terminals, which has no state to show.
    Shell,
}

/// The role of a node, which may change during its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Role {
    /// As styles and tests know it.
    pub name: &'static str,
    /// Its name for people.
    pub text: Text,
}

impl NodeView {
    /// The role of the node.
    pub(crate) fn role(&self) -> Role {
        match self {
            NodeView::Server(server) => server.role(),
            NodeView::Sentinel(_) => sentinel::SentinelNode::role(),
            NodeView::Client(_) => client::ROLE,
            #[cfg(feature = "whole")]
            NodeView::Sharding(_) => sharding::ShardingNode::role(),
            #[cfg(feature = "whole")]
            NodeView::Proxy(_) => proxy::ProxyNode::role(),
            NodeView::Shell => shell::ROLE,
        }
    }

    /// Whether the node itself notices a problem.
    pub(crate) fn is_troubled(&self) -> bool {
        match self {
            NodeView::Client(client) => client.stuck,
            #[cfg(feature = "whole")]
            NodeView::Sharding(client) => client.stuck,
            _ => false,
        }
    }
}

impl Kind {
    /// The kind of a process, if it has a body on the map.
    pub(crate) fn of(process: &ProcView<'_>) -> Option<&'static Kind> {
        let kind = KINDS.iter().copied().find(|kind| kind.programs.contains(&process.program))?;
        // A server becomes a Sentinel by an argument.
        let watches = *kind == server::KIND && process.args.iter().any(|arg| arg == "--sentinel");
        Some(if watches { &sentinel::KIND } else { kind })
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Formats a coordinate of the map for an attribute.
pub(crate) fn num(value: f64) -> String {
    format!("{value:.1}")
}

/// A touch target around a small mark.
pub(crate) fn target(outline: &Outline) -> Html {
    let Outline { aside, above, below, .. } = *outline;
    html! {
        <rect x={num(-aside)} y={num(-above)} width={num(aside * 2.0)}
            height={num(above + below)} fill="transparent" />
    }
}

/// The text for a rate per second.
pub(crate) fn per_second(locale: Locale, n: u64) -> String {
    locale.fill(words::OPS_COUNT, &[("n", &crate::figures::count(n))])
}

mod words {
    crate::i18n::texts! {
        OPS_COUNT: "{n}/s", "{n}/秒";
    }
}
