//! The topologies that the page offers.

use core::time::Duration;
use std::net::Ipv4Addr;

use limpid_core::lab;
use limpid_core::sim::{HostSpec, LinkSpec, Scenario};

use crate::figures::Speed;
use crate::i18n::Locale;

/// The host on which a person's terminals run.
pub(crate) const SHELL: &str = "you";

/// What stands on the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Topology {
    /// So many servers that know nothing of each other.
    Servers(u8),
    /// A primary with so many replicas.
    Replicas(u8),
    /// A primary, its replica, a replica of that, and so on: so many replicas.
    Chain(u8),
    /// So many machines, each with a primary and another's replica.
    Machines(u8),
}

impl Topology {
    /// What is opened when nobody asks for anything.
    pub(crate) const USUAL: Topology = Topology::Servers(3);

    /// Those of servers that know nothing of each other.
    pub(crate) const APART: [Topology; 4] =
        [Topology::Servers(1), Topology::Servers(3), Topology::Servers(12), Topology::Servers(48)];

    /// Those in which servers replicate.
    pub(crate) const REPLICATED: [Topology; 4] =
        [Topology::Replicas(2), Topology::Replicas(5), Topology::Chain(3), Topology::Machines(3)];

    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Topology> {
        Self::APART.into_iter().chain(Self::REPLICATED)
    }

    /// As addresses and links name it.
    pub(crate) fn name(self) -> String {
        match self {
            Topology::Servers(n) => n.to_string(),
            Topology::Replicas(n) => format!("replicas-{n}"),
            Topology::Chain(n) => format!("chain-{n}"),
            Topology::Machines(n) => format!("machines-{n}"),
        }
    }

    /// The topology of that name, if the page offers it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all().find(|topology| topology.name() == name)
    }

    /// What a person calls it.
    pub(crate) fn title(self, locale: Locale) -> String {
        let (text, n) = match self {
            Topology::Servers(1) => return locale.say(words::SCENARIO_SERVER).to_owned(),
            Topology::Servers(n) => (words::SCENARIO_SERVERS, n),
            Topology::Replicas(n) => (words::SCENARIO_REPLICAS, n),
            Topology::Chain(n) => (words::SCENARIO_CHAIN, n + 1),
            Topology::Machines(n) => (words::SCENARIO_MACHINES, n),
        };
        locale.fill(text, &[("n", &n.to_string())])
    }

    /// The server whose terminal is open at the beginning.
    pub(crate) fn first_server(self) -> &'static str {
        match self {
            Topology::Machines(_) => "machine-1:6379",
            _ => "redis-1",
        }
    }

    /// The speed at which it is calm, and still something happens.
    pub(crate) fn speed(self) -> Speed {
        Speed::nearest(Duration::from_millis(match self {
            Topology::Servers(0..=3) => 20,
            Topology::Servers(4..=12) => 10,
            Topology::Servers(_) => 5,
            _ => 50,
        }))
    }

    /// How long the world has run already when it is opened: what one sees first is alive.
    pub(crate) fn warm_up(self) -> Duration {
        match self {
            Topology::Servers(13..) => Duration::from_millis(400),
            Topology::Servers(_) => Duration::from_millis(1_000),
            // By then every replica has its copy.
            _ => Duration::from_millis(4_000),
        }
    }

    /// The world at its beginning.
    pub(crate) fn scenario(self) -> Scenario {
        let mut scenario = match self {
            Topology::Servers(n) => lab::sandbox(n),
            Topology::Replicas(n) => lab::replicas(n),
            Topology::Chain(n) => lab::chain(n),
            Topology::Machines(n) => lab::machines(n),
        };
        // Slow enough to be watched, as between two regions.
        scenario.link = LinkSpec {
            latency: Duration::from_millis(10),
            jitter: Duration::from_millis(3),
            ..LinkSpec::default()
        };
        scenario.hosts.push(HostSpec::new(SHELL, Ipv4Addr::new(10, 0, 2, 1)));
        scenario
    }
}

mod words {
    crate::i18n::texts! {
        SCENARIO_SERVERS: "{n} servers", "{n} 台服务器";
        SCENARIO_SERVER: "1 server", "1 台服务器";
        SCENARIO_REPLICAS: "1 primary, {n} replicas", "1 主 {n} 从";
        SCENARIO_CHAIN: "A chain of {n}", "{n} 级链式复制";
        SCENARIO_MACHINES: "{n} machines, 2 servers on each", "{n} 台机器，每台 2 个实例";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_is_found_by_its_name_and_has_the_server_that_comes_first() {
        for topology in Topology::all() {
            assert_eq!(Topology::named(&topology.name()), Some(topology));
            let scenario = topology.scenario();
            let first = topology.first_server();
            let found = scenario.hosts.iter().any(|host| {
                host.name == first || host.processes.iter().any(|process| process.name == first)
            });
            assert!(found, "{topology:?}");
        }
        assert_eq!(Topology::named("5"), None);
    }
}
