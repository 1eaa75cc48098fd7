//! The topologies that the page offers.

use core::time::Duration;
use std::net::Ipv4Addr;

use limpid_core::lab;
use limpid_core::sim::{HostSpec, LinkSpec, Scenario};

use crate::figures::Speed;

/// The host on which a person's terminals run.
pub(crate) const SHELL: &str = "you";

/// How many servers there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Topology {
    /// One, with three clients.
    One,
    /// Three, with a client each.
    Three,
    /// A dozen, with a client each.
    Dozen,
    /// Forty-eight, with a client each.
    Many,
}

impl Topology {
    /// All of them.
    pub(crate) const ALL: &'static [Topology] =
        &[Topology::One, Topology::Three, Topology::Dozen, Topology::Many];

    /// How many servers there are.
    pub(crate) fn servers(self) -> usize {
        match self {
            Topology::One => 1,
            Topology::Three => 3,
            Topology::Dozen => 12,
            Topology::Many => 48,
        }
    }

    /// The topology with so many servers.
    pub(crate) fn of(servers: usize) -> Option<Self> {
        Self::ALL.iter().copied().find(|topology| topology.servers() == servers)
    }

    /// The speed at which it is calm, and still something happens.
    pub(crate) fn speed(self) -> Speed {
        Speed::nearest(Duration::from_millis(match self {
            Topology::One | Topology::Three => 20,
            Topology::Dozen => 10,
            Topology::Many => 5,
        }))
    }

    /// How long the world has run already when it is opened: what one sees first is alive.
    pub(crate) fn warm_up(self) -> Duration {
        match self {
            Topology::Many => Duration::from_millis(400),
            _ => Duration::from_millis(1_000),
        }
    }

    /// The world at its beginning.
    pub(crate) fn scenario(self) -> Scenario {
        let mut scenario = lab::sandbox(u8::try_from(self.servers()).unwrap_or(u8::MAX));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_is_found_by_its_servers() {
        for &topology in Topology::ALL {
            assert_eq!(Topology::of(topology.servers()), Some(topology));
            let scenario = topology.scenario();
            let servers = scenario.hosts.iter().filter(|host| host.name.starts_with("redis-"));
            assert_eq!(servers.count(), topology.servers());
        }
        assert_eq!(Topology::of(5), None);
    }
}
