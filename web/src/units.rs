//! Units: what has a body on the map. That is each process of a kind that the map knows (see
//! [`crate::kinds`]), and each host that has none.
//!
//! The list is derived from the World's processes whenever these may have changed, so that a
//! process that a person starts appears. A body keeps its id as long as the World knows its
//! process, whether that runs or not. A process that is alone on its host has the host's name;
//! several on one host have their own names.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr};

use limpid_core::machine::Endpoint;
use limpid_core::sim::{
    HostId, HostView, ProcId, ProcState, ProcView, Scenario, World, resolve_path,
};
use limpid_core::sorted::SortedMap;

use crate::kinds::{Kind, shell};
use crate::layout::Part;
use crate::topology::SHELL;

/// The id of a unit and its body: a process, or a host without one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum BodyId {
    /// A host.
    Host(HostId),
    /// A process.
    Process(ProcId),
}

/// A unit: a process or a host that has a body on the map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unit {
    /// Its id.
    pub id: BodyId,
    /// Its kind.
    pub kind: &'static Kind,
    /// Its name on the map.
    pub name: String,
    /// Its host.
    pub host: HostId,
    /// The address of its host.
    pub ip: Ipv4Addr,
    /// The port that redis-cli can connect to, if any.
    pub port: Option<u16>,
    /// Its primary by its configuration, if it is a replica.
    pub home: Option<BodyId>,
    /// Whether other units are on the same host.
    pub shares: bool,
}

/// All units, host by host in the scenario's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Units {
    list: Vec<Unit>,
    /// The index of each in the list, since a frame looks up thousands.
    places: SortedMap<BodyId, usize>,
    /// The index of the first unit of each host, by the host's number.
    first: Vec<Option<usize>>,
}

impl Units {
    /// Derives the units of a World.
    pub(crate) fn of(world: &World) -> Self {
        let mut units = Vec::new();
        let mut primaries = Vec::new();
        for host in world.hosts() {
            let on_map: Vec<(ProcView<'_>, &'static Kind)> = world
                .procs()
                .filter(|process| process.host == host.id && !is_gone(&host, process))
                .filter_map(|process| Some((process, Kind::of(&process)?)))
                .collect();
            let has_shell = on_map.is_empty() || host.name == SHELL;
            let shares = on_map.len() + usize::from(has_shell) > 1;
            let unit = |id, kind, name: &str| Unit {
                id,
                kind,
                name: name.to_owned(),
                host: host.id,
                ip: host.ip,
                port: None,
                home: None,
                shares,
            };
            if has_shell {
                units.push(unit(BodyId::Host(host.id), &shell::KIND, host.name));
                primaries.push(None);
            }
            for (process, kind) in on_map {
                let said = |what| directive(world.scenario(), &host, &process, what);
                let port = port(world, &host, &process, kind);
                let of_shell = port.filter(|_| is_of_shell(&host, &process));
                let name = match of_shell {
                    _ if !shares => host.name.to_owned(),
                    // For a process that a shell started: its port says more than its process id.
                    Some(port) => format!("{}:{port}", host.name),
                    None => process.name.to_owned(),
                };
                let mut unit = unit(BodyId::Process(process.id), kind, &name);
                unit.port = port;
                units.push(unit);
                let in_cluster = || primary_in_cluster(world.scenario(), &host, &process);
                primaries.push(said("replicaof").or_else(in_cluster));
            }
        }
        let mut units = Units::listed(units);
        for (index, primary) in primaries.into_iter().enumerate() {
            let home = primary.and_then(|primary| {
                let (host, port) = primary.split_once(' ')?;
                units.at(world.scenario(), host, port.trim().parse().ok()?)
            });
            units.list[index].home = home;
        }
        units
    }

    fn listed(list: Vec<Unit>) -> Self {
        let places = list.iter().enumerate().map(|(place, unit)| (unit.id, place)).collect();
        let mut first = Vec::new();
        for (place, unit) in list.iter().enumerate() {
            let host = usize::from(unit.host.0);
            first.resize(first.len().max(host + 1), None);
            first[host].get_or_insert(place);
        }
        Units { list, places, first }
    }

    /// The numbers of known, running and listening processes. The units may have changed if these
    /// have.
    pub(crate) fn process_counts(world: &World) -> [usize; 3] {
        let procs = || world.procs().filter(|process| !process.tool);
        let up = || procs().filter(|process| is_up(process));
        let listen = up().filter(|process| world.listeners(process.id).next().is_some());
        [procs().count(), up().count(), listen.count()]
    }

    /// Every unit.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.list.iter()
    }

    /// The servers among them.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Unit> {
        self.list.iter().filter(|unit| unit.kind.part == Part::Server)
    }

    /// Whether there are Sentinels.
    pub(crate) fn has_sentinels(&self) -> bool {
        self.list.iter().any(|unit| unit.kind.part == Part::Sentinel)
    }

    /// A unit by its id.
    pub(crate) fn get(&self, id: BodyId) -> Option<&Unit> {
        self.list.get(self.place(id)?)
    }

    /// The index of a unit in the list.
    pub(crate) fn place(&self, id: BodyId) -> Option<usize> {
        self.places.get(&id).copied()
    }

    /// The unit at an index of the list.
    pub(crate) fn nth(&self, place: usize) -> Option<&Unit> {
        self.list.get(place)
    }

    /// The index of the first unit of a host.
    pub(crate) fn place_of_host(&self, host: HostId) -> Option<usize> {
        self.first.get(usize::from(host.0)).copied().flatten()
    }

    /// The name of a unit; empty if there is none of that id.
    pub(crate) fn name(&self, id: BodyId) -> &str {
        self.get(id).map_or("", |unit| &unit.name)
    }

    /// A unit by its name.
    pub(crate) fn named(&self, name: &str) -> Option<&Unit> {
        self.list.iter().find(|unit| unit.name == name)
    }

    /// The unit at a host's name or address and a port.
    pub(crate) fn at(&self, scenario: &Scenario, host: &str, port: u16) -> Option<BodyId> {
        let named = scenario.hosts.iter().find(|spec| spec.name == host).map(|spec| spec.ip);
        self.at_address(named.or_else(|| host.parse().ok())?.into(), port)
    }

    /// The unit at an address; one that is alone on its host is found at any port. A loopback
    /// address does not say on which host: it means the unit with that port, if there is only one.
    pub(crate) fn at_address(&self, ip: IpAddr, port: u16) -> Option<BodyId> {
        if ip.is_loopback() {
            let mut there = self.list.iter().filter(|unit| unit.port == Some(port));
            return there.next().filter(|_| there.next().is_none()).map(|unit| unit.id);
        }
        let at = |unit: &&Unit| ip == unit.ip && (!unit.shares || unit.port == Some(port));
        self.list.iter().find(at).map(|unit| unit.id)
    }

    /// The port of a process, also of one that ran before, if redis-cli can connect to it.
    pub(crate) fn port(&self, world: &World, proc: &ProcView<'_>) -> Option<u16> {
        match self.get(BodyId::Process(proc.id)) {
            Some(unit) => unit.port,
            None => port(world, &world.host(proc.host)?, proc, Kind::of(proc)?),
        }
    }

    /// The unit of a process: its own, or that of its host.
    pub(crate) fn of_process(&self, proc: &ProcView<'_>) -> Option<BodyId> {
        let own = BodyId::Process(proc.id);
        self.get(own).map(|unit| unit.id).or_else(|| self.of_host(proc.host))
    }

    /// The first unit of a host: the host's own, if it has one.
    pub(crate) fn of_host(&self, host: HostId) -> Option<BodyId> {
        self.nth(self.place_of_host(host)?).map(|unit| unit.id)
    }

    /// The primary at the end of a unit's chain of primaries, by the configuration.
    pub(crate) fn root(&self, id: BodyId) -> BodyId {
        let mut at = id;
        // The steps are limited, since a ring has no end.
        for _ in 0..self.list.len() {
            match self.get(at).and_then(|unit| unit.home) {
                Some(home) => at = home,
                None => break,
            }
        }
        at
    }

    /// The index of a primary among all servers that are primaries by the configuration.
    pub(crate) fn shard(&self, root: BodyId) -> usize {
        self.servers().filter(|unit| unit.home.is_none()).take_while(|unit| unit.id != root).count()
    }
}

impl Unit {
    /// Its process, unless it is a host.
    pub(crate) fn process(&self) -> Option<ProcId> {
        match self.id {
            BodyId::Process(process) => Some(process),
            BodyId::Host(_) => None,
        }
    }

    /// Whether a process belongs to this unit: its own, or any on its host if the unit is alone
    /// there.
    pub(crate) fn owns(&self, process: Option<ProcId>, host: HostId) -> bool {
        match self.shares {
            true => process.is_some() && process == self.process(),
            false => host == self.host,
        }
    }
}

/// The form in attributes of the document: `h3`, `p12`.
impl fmt::Display for BodyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyId::Host(HostId(n)) => write!(f, "h{n}"),
            BodyId::Process(ProcId(n)) => write!(f, "p{n}"),
        }
    }
}

impl FromStr for BodyId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let id = match text.split_at_checked(1) {
            Some(("h", n)) => n.parse().ok().map(|n| BodyId::Host(HostId(n))),
            Some(("p", n)) => n.parse().ok().map(|n| BodyId::Process(ProcId(n))),
            _ => None,
        };
        id.ok_or(())
    }
}

/// Whether a process was started by another program on its host, and has a name with its process
/// id.
fn is_of_shell(host: &HostView<'_>, process: &ProcView<'_>) -> bool {
    let pid = process.name.strip_prefix(host.name).and_then(|rest| rest.strip_prefix(':'));
    pid.is_some_and(|pid| pid.parse() == Ok(process.pid))
}

/// Whether a process is gone for good, so that only the shell could start it again.
fn is_gone(host: &HostView<'_>, process: &ProcView<'_>) -> bool {
    is_of_shell(host, process) && !is_up(process)
}

fn is_up(process: &ProcView<'_>) -> bool {
    matches!(process.state, ProcState::Running | ProcState::Paused)
}

/// The port of a process, if redis-cli can connect to it.
fn port(world: &World, host: &HostView<'_>, process: &ProcView<'_>, kind: &Kind) -> Option<u16> {
    let usual = kind.port?;
    let given = directive(world.scenario(), host, process, "port").and_then(|p| p.parse().ok());
    given.or_else(|| listens_at(world, process, kind)).or(Some(usual))
}

/// The port on which a server or a Sentinel listens, by its running state. Used when its
/// configuration file is not found: the path is as it was typed, and the directive `dir` may have
/// changed the process's directory since.
fn listens_at(world: &World, process: &ProcView<'_>, kind: &Kind) -> Option<u16> {
    let first = || world.listeners(process.id).next().map(Endpoint::port);
    matches!(kind.part, Part::Server | Part::Sentinel).then(first).flatten()
}

/// The value of a directive in a process's arguments or configuration file. A file of the scenario
/// is read as it was at the beginning, so that the layout does not change with it.
fn directive(
    scenario: &Scenario,
    host: &HostView<'_>,
    process: &ProcView<'_>,
    name: &str,
) -> Option<String> {
    let option = format!("--{name}");
    if let Some(at) = process.args.iter().position(|arg| *arg == option) {
        let values = process.args[at + 1..].iter().take_while(|arg| !arg.starts_with("--"));
        return Some(values.cloned().collect::<Vec<_>>().join(" "));
    }
    let path = process.args.first().filter(|arg| !arg.starts_with("--"))?;
    let spec = scenario.hosts.iter().find(|spec| spec.name == host.name);
    let text = match spec.and_then(|spec| spec.files.get(path)) {
        Some(text) => text.clone(),
        None => {
            let path = resolve_path(process.dir, path);
            String::from_utf8_lossy(&host.disk.read_file(&path).ok()?).into_owned()
        }
    };
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.to_owned())
}

/// The primary of a node by the scenario's `nodes.conf`, in the form of a `replicaof` directive.
fn primary_in_cluster(
    scenario: &Scenario,
    host: &HostView<'_>,
    process: &ProcView<'_>,
) -> Option<String> {
    let spec = scenario.hosts.iter().find(|spec| spec.name == host.name)?;
    let text = spec.files.get(&resolve_path(process.dir, "nodes.conf"))?;
    // Name, address, flags, name of the primary.
    let lines = || text.lines().map(|line| line.split(' '));
    let mut own = lines().find(|line| line.clone().nth(2).is_some_and(|f| f.contains("myself")))?;
    let primary = own.nth(3).filter(|primary| *primary != "-")?;
    let mut line = lines().find(|line| line.clone().next() == Some(primary))?;
    let (host, port) = line.nth(1)?.split_once('@')?.0.rsplit_once(':')?;
    Some(format!("{host} {port}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use limpid_core::lab;
    use limpid_core::sim::ProcessSpec;

    use super::*;

    #[test]
    fn arguments_make_a_replica_and_a_sentinel() {
        let mut scenario = lab::replicas(1);
        let replica =
            scenario.hosts.iter_mut().find(|host| host.name == "redis-2").expect("a host");
        let words = |line: &str| line.split(' ').map(str::to_owned).collect();
        replica.processes[0].args = words("--port 6379 --replicaof redis-1 6379 --save 60 1");
        let sentinel = ProcessSpec {
            name: "redis-2:26379".to_owned(),
            args: words("/data/26379.conf --sentinel --daemonize yes"),
            ..replica.processes[0].clone()
        };
        replica.processes.push(sentinel);
        let units = units(scenario);
        let home = units.named("redis-2:6379").and_then(|unit| unit.home);
        assert_eq!(home, units.named("redis-1").map(|unit| unit.id));
        let kind = units.named("redis-2:26379").map(|unit| unit.kind.part);
        assert_eq!(kind, Some(Part::Sentinel));
    }

    fn units(scenario: Scenario) -> Units {
        Units::of(&World::new(Arc::new(scenario), 1, lab::programs))
    }

    #[test]
    fn a_host_with_one_server_is_a_body_and_a_machine_is_one_for_each() {
        let alone = units(lab::replicas(2));
        let names: Vec<&str> = alone.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names[..4], ["redis-1", "redis-2", "redis-3", "writer-1"]);
        let id = |name: &str| alone.named(name).expect(name).id;
        assert_eq!(alone.get(id("redis-3")).and_then(|unit| unit.home), Some(id("redis-1")));
        assert_eq!(alone.root(id("redis-3")), id("redis-1"));
        assert_eq!(alone.shard(id("redis-1")), 0);

        let machines = units(lab::machines(3));
        let id = |name: &str| machines.named(name).expect(name).id;
        let replica = machines.named("machine-3:6380").expect("a replica");
        assert_eq!(replica.home, Some(id("machine-1:6379")));
        assert_eq!(machines.shard(id("machine-2:6379")), 1);
        assert_eq!(machines.at_address([10, 0, 0, 1].into(), 6380), Some(id("machine-1:6380")));
        assert_eq!(machines.at_address([10, 0, 0, 1].into(), 7000), None);
    }

    #[test]
    fn a_unit_is_found_by_its_id_its_place_and_its_host() {
        for scenario in [lab::replicas(2), lab::machines(3)] {
            let units = units(scenario);
            for (place, unit) in units.iter().enumerate() {
                assert_eq!(units.place(unit.id), Some(place), "{}", unit.name);
                assert_eq!(units.get(unit.id), Some(unit));
                let first = units.iter().find(|other| other.host == unit.host);
                assert_eq!(units.of_host(unit.host), first.map(|unit| unit.id), "{}", unit.name);
            }
            assert_eq!(units.of_host(HostId(u16::MAX)), None);
        }
    }

    #[test]
    fn a_loopback_address_stands_for_the_only_server_with_its_port() {
        let mut scenario = lab::machines(3);
        scenario.hosts.truncate(1);
        let machine = units(scenario);
        let replica = machine.named("machine-1:6380").expect("a replica").id;
        assert_eq!(machine.at_address([127, 0, 0, 1].into(), 6380), Some(replica));
        assert_eq!(units(lab::machines(3)).at_address([127, 0, 0, 1].into(), 6380), None);
    }

    #[test]
    fn a_chain_has_one_root() {
        let chain = units(lab::chain(3));
        let first = chain.named("redis-1").expect("the first").id;
        assert!(chain.servers().all(|unit| chain.root(unit.id) == first));
    }

    #[test]
    fn an_id_is_written_and_read() {
        for id in [BodyId::Host(HostId(3)), BodyId::Process(ProcId(12))] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!("".parse::<BodyId>(), Err(()));
        assert_eq!("x1".parse::<BodyId>(), Err(()));
    }
}
