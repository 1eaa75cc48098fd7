//! What the map shows a body for: each server, each client, and the hosts that carry none.
//!
//! A host with one process is one body under the host's name. A machine with several servers is
//! one body for each, under the process's name, on a common plate. Which bodies there are follows
//! from the scenario and never changes.

use std::net::{IpAddr, Ipv4Addr};

use limpid_core::lab::SERVER;
use limpid_core::sim::{HostId, HostSpec, ProcId, ProcView, ProcessSpec, Scenario, World};

/// A body's host and process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Its name on the map.
    pub name: String,
    /// Its host.
    pub host: HostId,
    /// Its process; a host without one of its own shows whichever runs there.
    pub process: Option<ProcId>,
    /// The address of its host.
    pub ip: Ipv4Addr,
    /// Where it listens, if it is a server.
    pub port: Option<u16>,
    /// The unit whose replica the scenario makes it.
    pub home: Option<usize>,
    /// Whether other units are on its host.
    pub shares: bool,
}

/// All units, in the scenario's order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Units(Vec<Unit>);

/// Redis's port.
const PORT: u16 = 6379;

impl Units {
    /// The units of a World at its beginning.
    pub(crate) fn of(world: &World) -> Self {
        let scenario = world.scenario();
        let mut units = Vec::new();
        let mut primaries = Vec::new();
        for host in world.hosts() {
            let Some(spec) = scenario.hosts.iter().find(|spec| spec.name == host.name) else {
                continue;
            };
            let servers: Vec<&ProcessSpec> =
                spec.processes.iter().filter(|process| process.program == SERVER).collect();
            let shares = servers.len() > 1;
            let mut add = |name: &str, process: Option<&ProcessSpec>| {
                let is_server = process.is_some_and(|process| process.program == SERVER);
                let said = |what| process.and_then(|process| directive(spec, process, what));
                units.push(Unit {
                    name: name.to_owned(),
                    host: host.id,
                    process: process.and_then(|p| world.proc_named(&p.name)).map(|proc| proc.id),
                    ip: host.ip,
                    port: is_server
                        .then(|| said("port").and_then(|port| port.parse().ok()).unwrap_or(PORT)),
                    home: None,
                    shares,
                });
                primaries.push(said("replicaof"));
            };
            if shares {
                servers.iter().for_each(|server| add(&server.name, Some(server)));
            } else {
                add(host.name, spec.processes.first());
            }
        }
        let mut units = Units(units);
        for (index, primary) in primaries.into_iter().enumerate() {
            let home = primary.and_then(|primary| {
                let (host, port) = primary.split_once(' ')?;
                units.at(scenario, host, port.trim().parse().ok()?)
            });
            units.0[index].home = home;
        }
        units
    }

    /// Every unit with its index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Unit)> {
        self.0.iter().enumerate()
    }

    /// A unit by its index.
    pub(crate) fn get(&self, index: usize) -> Option<&Unit> {
        self.0.get(index)
    }

    /// A unit by its name.
    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|unit| unit.name == name)
    }

    /// The unit at a host's name or address and a port.
    pub(crate) fn at(&self, scenario: &Scenario, host: &str, port: u16) -> Option<usize> {
        let named = scenario.hosts.iter().find(|spec| spec.name == host).map(|spec| spec.ip);
        self.at_address(named.or_else(|| host.parse().ok())?.into(), port)
    }

    /// The unit at an address; one that has its host to itself, at any port.
    pub(crate) fn at_address(&self, ip: IpAddr, port: u16) -> Option<usize> {
        self.0.iter().position(|unit| ip == unit.ip && (!unit.shares || unit.port == Some(port)))
    }

    /// The unit that a process belongs to.
    pub(crate) fn of_process(&self, proc: &ProcView<'_>) -> Option<usize> {
        let own = self.0.iter().position(|unit| unit.process == Some(proc.id));
        own.or_else(|| self.of_host(proc.host))
    }

    /// The first unit of a host.
    pub(crate) fn of_host(&self, host: HostId) -> Option<usize> {
        self.0.iter().position(|unit| unit.host == host)
    }

    /// The process that a unit is there for.
    pub(crate) fn process(&self, world: &World, index: usize) -> Option<ProcId> {
        let unit = self.get(index)?;
        let any = || world.procs().find(|proc| proc.host == unit.host).map(|proc| proc.id);
        unit.process.or_else(any)
    }

    /// The unit at the end of the scenario's chain of primaries.
    pub(crate) fn root(&self, index: usize) -> usize {
        let mut at = index;
        // The scenario's chains have ends; a broken one shall not hang the page.
        for _ in 0..self.0.len() {
            match self.get(at).and_then(|unit| unit.home) {
                Some(home) => at = home,
                None => break,
            }
        }
        at
    }

    /// How many servers without a primary in the scenario stand before this one.
    pub(crate) fn shard(&self, root: usize) -> usize {
        let before = self.0.iter().take(root);
        before.filter(|unit| unit.port.is_some() && unit.home.is_none()).count()
    }
}

/// What a server's arguments or its file say of a directive.
fn directive(host: &HostSpec, process: &ProcessSpec, name: &str) -> Option<String> {
    let option = format!("--{name}");
    if let Some(at) = process.args.iter().position(|arg| *arg == option) {
        return process.args.get(at + 1).cloned();
    }
    let file = host.files.get(process.args.first()?)?;
    let line = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.to_owned())
}

#[cfg(test)]
mod tests {
    use limpid_core::lab;

    use super::*;

    fn units(scenario: Scenario) -> Units {
        Units::of(&World::new(std::sync::Arc::new(scenario), 1, lab::programs))
    }

    #[test]
    fn a_host_with_one_server_is_a_body_and_a_machine_is_one_for_each() {
        let alone = units(lab::replicas(2));
        let names: Vec<&str> = alone.iter().map(|(_, unit)| unit.name.as_str()).collect();
        assert_eq!(names[..4], ["redis-1", "redis-2", "redis-3", "writer-1"]);
        assert_eq!(alone.get(2).and_then(|unit| unit.home), Some(0));
        assert_eq!((alone.root(2), alone.shard(0)), (0, 0));

        let machines = units(lab::machines(3));
        let replica = machines.named("machine-3:6380").expect("a replica");
        assert_eq!(machines.get(replica).and_then(|unit| unit.home), Some(0));
        assert_eq!(machines.shard(machines.named("machine-2:6379").expect("a primary")), 1);
        assert_eq!(machines.at_address([10, 0, 0, 1].into(), 6380), Some(1));
        assert_eq!(machines.at_address([10, 0, 0, 1].into(), 7000), None);
    }

    #[test]
    fn a_chain_has_one_root() {
        let chain = units(lab::chain(3));
        assert_eq!((0..4).map(|i| chain.root(i)).collect::<Vec<_>>(), [0; 4]);
    }
}
