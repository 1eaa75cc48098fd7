//! The servers behind predixy: the distribution of keys, read priorities, failures.

use super::config::{self, DataCenter, Kind, ServerAddress};
use super::hold::Destination;
use super::info::Latency;
use super::{Predixy, PredixyEngine};
use crate::machine::Address;
use crate::proxy::engine::LinkId;
use crate::proxy::reply::{elements, text};
use crate::rng::Rng;
use crate::sharding::{GroupHash, HashTag, Slot};
use crate::sorted::SortedMap;
use crate::time::Mono;

/// The maximum number of known servers.
pub(super) const MAX_SERVERS: usize = 2048;

/// The maximum number of idle private connections to a server.
const MAX_IDLE: usize = 64;

/// All servers, and their groups.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    pub(super) servers: Vec<Server>,
    by_text: SortedMap<String, usize>,
    pub(super) groups: Vec<Group>,
    /// Whether Sentinels report the groups' servers.
    pub(super) has_sentinels: bool,
    spread: Spread,
}

/// How keys are distributed over groups.
#[derive(Clone, Debug)]
enum Spread {
    /// A hash modulo the number of groups; `None` for a random group.
    Hash(Option<GroupHash>, Option<HashTag>),
    /// The group of each slot of a Cluster; `None` while the slot has no owner.
    Slots(Vec<Option<u16>>),
}

/// A primary and its replicas.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// Its name; in a Cluster the ID of the primary.
    pub(super) name: String,
    /// Its servers.
    pub(super) servers: Vec<usize>,
}

/// A server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Its address as text.
    pub(super) text: String,
    pub(super) address: Address,
    pub(super) password: Option<String>,
    pub(super) role: Role,
    pub(super) group: Option<usize>,
    /// Whether it is in the configuration file.
    pub(super) fixed: bool,
    /// Whether it was last reported as a member of its group.
    pub(super) online: bool,
    /// Whether it is marked as failed, after repeated failures.
    pub(super) fail: bool,
    failures: i32,
    retry_at: Mono,
    /// Its data center.
    pub(super) center: Option<usize>,
    /// Shared connections, by database.
    pub(super) shared: SortedMap<u16, LinkId>,
    /// Idle private connections, with their selected databases.
    pub(super) idle: Vec<(u16, LinkId)>,
    pub(super) stats: ServerStats,
    pub(super) latencies: Vec<Latency>,
}

/// The role of a server in its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Unknown,
    Master,
    Slave,
    Sentinel,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Unknown => "unknown",
            Role::Master => "master",
            Role::Slave => "slave",
            Role::Sentinel => "sentinel",
        }
    }
}

/// The statistics of a server for INFO.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerStats {
    pub(super) connect: u64,
    pub(super) requests: u64,
    pub(super) responses: u64,
    pub(super) send_bytes: u64,
    pub(super) recv_bytes: u64,
}

/// A server as reported by a Sentinel or a Cluster node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReportedServer {
    pub(super) text: String,
    /// Whether it is reported as reachable.
    pub(super) up: bool,
}

impl Topology {
    pub(super) fn new(config: &config::Config) -> Topology {
        let mut topology = Topology {
            servers: Vec::new(),
            by_text: SortedMap::new(),
            groups: Vec::new(),
            has_sentinels: false,
            spread: Spread::Hash(None, None),
        };
        let monitors = config.monitors.len();
        match &config.pool.kind {
            Kind::Cluster { servers } => {
                topology.spread = Spread::Slots(vec![None; Slot::COUNT.into()]);
                for address in servers {
                    topology.add_fixed(address, config, Role::Unknown, None);
                }
            }
            Kind::Groups { sentinels, groups, hash, tag, sentinel_password } => {
                topology.spread = Spread::Hash(*hash, *tag);
                topology.has_sentinels = !sentinels.is_empty();
                for (index, group) in groups.iter().enumerate() {
                    topology.groups.push(Group { name: group.name.clone(), servers: Vec::new() });
                    for (place, address) in group.servers.iter().enumerate() {
                        let role = match place {
                            _ if !sentinels.is_empty() => Role::Unknown,
                            0 => Role::Master,
                            _ => Role::Slave,
                        };
                        topology.add_fixed(address, config, role, Some(index));
                    }
                }
                for address in sentinels {
                    let server = topology.add_fixed(address, config, Role::Sentinel, None);
                    if let Some(server) = server.and_then(|i| topology.servers.get_mut(i)) {
                        server.password =
                            Some(sentinel_password.clone()).filter(|word| !word.is_empty());
                    }
                }
            }
        }
        for server in &mut topology.servers {
            server.latencies = vec![Latency::default(); monitors];
        }
        topology
    }

    fn add_fixed(
        &mut self,
        address: &ServerAddress,
        config: &config::Config,
        role: Role,
        group: Option<usize>,
    ) -> Option<usize> {
        let index = self.add(&address.text, config)?;
        let server = self.servers.get_mut(index)?;
        server.fixed = true;
        server.role = role;
        server.online = role != Role::Unknown;
        if address.password.is_some() {
            server.password.clone_from(&address.password);
        }
        self.place(index, group);
        Some(index)
    }

    /// The server at an address, added if it is new. `None` if the address is invalid or there are
    /// too many servers.
    pub(super) fn add(&mut self, text: &str, config: &config::Config) -> Option<usize> {
        if let Some(known) = self.by_text.get(text) {
            return Some(*known);
        }
        if self.servers.len() >= MAX_SERVERS {
            return None;
        }
        let address = config::address(text)?;
        self.by_text.insert(text.to_owned(), self.servers.len());
        self.servers.push(Server {
            text: text.to_owned(),
            address,
            password: Some(config.pool.password.clone()).filter(|word| !word.is_empty()),
            role: Role::Unknown,
            group: None,
            fixed: false,
            online: false,
            fail: false,
            failures: 0,
            retry_at: Mono::ZERO,
            center: center_of(&config.data_centers, text),
            shared: SortedMap::new(),
            idle: Vec::new(),
            stats: ServerStats::default(),
            latencies: vec![Latency::default(); config.monitors.len()],
        });
        Some(self.servers.len() - 1)
    }

    pub(super) fn find(&self, text: &str) -> Option<usize> {
        self.by_text.get(text).copied()
    }

    /// Moves a server to a group, and removes it from any other.
    fn place(&mut self, server: usize, group: Option<usize>) {
        if let Some(known) = self.servers.get_mut(server)
            && known.group != group
        {
            let old = core::mem::replace(&mut known.group, group);
            if let Some(old) = old.and_then(|old| self.groups.get_mut(old)) {
                old.servers.retain(|member| *member != server);
            }
        }
        if let Some(group) = group.and_then(|group| self.groups.get_mut(group))
            && !group.servers.contains(&server)
        {
            group.servers.push(server);
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.spread, Spread::Slots(_))
    }

    /// The destination of a key.
    #[inline]
    pub(super) fn place_of(&self, key: &[u8], rng: &mut Rng) -> Destination {
        match &self.spread {
            Spread::Slots(_) => Destination::Slot(Slot::of(key)),
            Spread::Hash(..) => Destination::Group(self.group_of(key, rng).unwrap_or_default()),
        }
    }

    /// The group of a destination; `None` if the slot has no owner.
    #[inline]
    pub(super) fn group_at(&self, place: Destination) -> Option<usize> {
        match (place, &self.spread) {
            (Destination::Group(group), _) => Some(group),
            (Destination::Slot(slot), Spread::Slots(slots)) => {
                slots.get(usize::from(slot)).copied().flatten().map(usize::from)
            }
            (Destination::Slot(_), Spread::Hash(..)) => None,
        }
    }

    /// The group of a key; `None` if its slot has no owner.
    #[inline]
    pub(super) fn group_of(&self, key: &[u8], rng: &mut Rng) -> Option<usize> {
        match &self.spread {
            _ if self.groups.len() == 1 && !self.is_cluster() => Some(0),
            Spread::Hash(Some(hash), tag) => {
                let part = tag.map_or(key, |tag| tag.part(key));
                Some((hash.of(part) % self.groups.len().max(1) as u64) as usize)
            }
            Spread::Hash(None, _) => Some(rng.below(self.groups.len() as u64) as usize),
            Spread::Slots(slots) => {
                slots.get(usize::from(Slot::of(key))).copied().flatten().map(usize::from)
            }
        }
    }

    /// The number of a key's bundle: keys with the same number can be sent in one request.
    pub(super) fn bundle_of(&self, key: &[u8], rng: &mut Rng) -> u32 {
        match &self.spread {
            Spread::Slots(_) => Slot::of(key).number().into(),
            Spread::Hash(..) => self.group_of(key, rng).unwrap_or_default() as u32,
        }
    }

    pub(super) fn master(&self, group: usize) -> Option<usize> {
        let members = &self.groups.get(group)?.servers;
        members
            .iter()
            .copied()
            .find(|&i| self.servers.get(i).is_some_and(|s| s.role == Role::Master && s.online))
    }

    /// Sets the primary of a group, reported by a Sentinel. True if it changed.
    pub(super) fn set_master(
        &mut self,
        group: usize,
        text: &str,
        config: &config::Config,
    ) -> Option<bool> {
        let index = self.add(text, config)?;
        let known = self.servers.get(index)?;
        let new = known.role != Role::Master || known.group != Some(group) || !known.online;
        if new {
            let members = self.groups.get(group)?.servers.clone();
            for member in members {
                if let Some(member) = self.servers.get_mut(member)
                    && member.role == Role::Master
                {
                    // When it comes back, it will be a replica of the new one.
                    member.role = Role::Slave;
                    member.online = false;
                }
            }
        }
        self.place(index, Some(group));
        let server = self.servers.get_mut(index)?;
        (server.role, server.online) = (Role::Master, true);
        if new {
            server.recover();
        }
        Some(new)
    }

    /// Sets the replicas of a group, reported by a Sentinel. Returns the new ones.
    pub(super) fn set_slaves(
        &mut self,
        group: usize,
        told: &[ReportedServer],
        config: &config::Config,
    ) -> Vec<usize> {
        let mut new = Vec::new();
        let mut listed = Vec::new();
        for one in told {
            let Some(index) = self.add(&one.text, config) else { continue };
            let Some(server) = self.servers.get(index) else { continue };
            listed.push(index);
            // Another reply reports the primary (`SENTINEL get-master-addr-by-name`).
            if server.role == Role::Master && server.group == Some(group) {
                continue;
            }
            if server.group != Some(group) {
                new.push(index);
            }
            self.place(index, Some(group));
            if let Some(server) = self.servers.get_mut(index) {
                server.role = Role::Slave;
                server.online = one.up;
            }
        }
        for member in self.groups.get(group).map(|group| group.servers.clone()).unwrap_or_default()
        {
            if let Some(server) = self.servers.get_mut(member)
                && server.role == Role::Slave
                && !listed.contains(&member)
            {
                server.online = false;
            }
        }
        new
    }

    /// Sets the whole topology, reported by a Cluster node (`CLUSTER NODES`). False if the reply is
    /// invalid.
    pub(super) fn set_cluster(&mut self, nodes: &str, config: &config::Config) -> bool {
        let mut slots = vec![None; usize::from(Slot::COUNT)];
        let mut groups: Vec<Group> = Vec::new();
        let mut replicas = Vec::new();
        for line in nodes.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [id, address, flags, master, ..] = words[..] else { continue };
            let text = address.split(['@', ',']).next().unwrap_or_default();
            let has = |flag: &str| flags.split(',').any(|word| word == flag);
            if text.starts_with(':') || has("noaddr") || has("handshake") {
                continue;
            }
            let up = !has("fail");
            if has("slave") {
                replicas.push((text.to_owned(), master.to_owned(), up));
                continue;
            }
            let Some(server) = self.add(text, config) else { continue };
            let number = groups.len();
            groups.push(Group { name: id.to_owned(), servers: vec![server] });
            if let Some(server) = self.servers.get_mut(server) {
                (server.role, server.group, server.online) = (Role::Master, Some(number), true);
            }
            for range in words.iter().skip(8).filter(|word| !word.starts_with('[')) {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
                    continue;
                };
                for slot in first..=last.min(Slot::COUNT - 1) {
                    if let Some(place) = slots.get_mut(usize::from(slot)) {
                        *place = Some(number as u16);
                    }
                }
            }
        }
        if groups.is_empty() || slots.iter().all(Option::is_none) {
            return false;
        }
        let mut named: Vec<usize> = groups.iter().flat_map(|group| group.servers.clone()).collect();
        for (text, master, up) in replicas {
            let Some(number) = groups.iter().position(|group| group.name == master) else {
                continue;
            };
            let Some(index) = self.add(&text, config) else { continue };
            named.push(index);
            if let Some(group) = groups.get_mut(number) {
                group.servers.push(index);
            }
            if let Some(server) = self.servers.get_mut(index) {
                (server.role, server.group, server.online) = (Role::Slave, Some(number), up);
            }
        }
        for (index, server) in self.servers.iter_mut().enumerate() {
            if !named.contains(&index) {
                (server.group, server.online) = (None, false);
            }
        }
        self.groups = groups;
        self.spread = Spread::Slots(slots);
        true
    }

    /// Sets the owner of a slot, reported by a Cluster node.
    pub(super) fn set_slot(&mut self, slot: Slot, server: usize) {
        let group = self.servers.get(server).and_then(|server| server.group);
        if let (Spread::Slots(slots), Some(group)) = (&mut self.spread, group)
            && let Some(place) = slots.get_mut(usize::from(slot))
        {
            *place = Some(group as u16);
        }
    }

    /// A random node of the Cluster that may be asked.
    pub(super) fn random_node(&self, rng: &mut Rng, now: Mono) -> Option<usize> {
        let well = |server: &&usize| {
            self.servers.get(**server).is_some_and(|s| !s.fail || s.retry_at <= now)
        };
        let all: Vec<usize> = (0..self.servers.len())
            .filter(|&i| {
                self.servers
                    .get(i)
                    .is_some_and(|s| s.role != Role::Sentinel && (s.online || s.fixed))
            })
            .collect();
        let good: Vec<usize> = all.iter().filter(well).copied().collect();
        let from = if good.is_empty() { all } else { good };
        from.get(rng.below(from.len() as u64) as usize).copied()
    }

    /// The server of a group to read from: with the highest data center priority, then the highest
    /// read priority, then the fewest unanswered requests. Failed servers come last.
    pub(super) fn reader(
        &self,
        group: usize,
        config: &config::Config,
        rng: &mut Rng,
        pending: impl Fn(&Server) -> usize,
    ) -> Option<usize> {
        let pool = &config.pool;
        let priority = |server: &Server| match server.role {
            Role::Master => pool.master_read_priority,
            Role::Slave if server.fixed => pool.static_slave_read_priority,
            Role::Slave => pool.dynamic_slave_read_priority,
            Role::Unknown | Role::Sentinel => 0,
        };
        let members = self.groups.get(group)?.servers.iter();
        let members = members.filter_map(|&i| Some((i, self.servers.get(i)?)));
        let mut from: Vec<(usize, &Server)> =
            members.filter(|(_, server)| server.online && priority(server) > 0).collect();
        if from.iter().any(|(_, server)| !server.fail) {
            from.retain(|(_, server)| !server.fail);
        }
        if !config.data_centers.is_empty() {
            let local = config.data_centers.iter().find(|dc| dc.name == config.local_dc)?;
            let policy = |server: &Server| {
                let name = &config.data_centers.get(server.center?)?.name;
                let row = local.read_policy.iter().find(|(known, ..)| known == name)?;
                Some((row.1, row.2))
            };
            from.retain(|(_, server)| policy(server).is_some_and(|(priority, _)| priority > 0));
            let best = from.iter().filter_map(|(_, server)| policy(server)).map(|p| p.0).max()?;
            from.retain(|(_, server)| policy(server).is_some_and(|p| p.0 == best));
            let mut centers: Vec<(usize, u64)> = from
                .iter()
                .filter_map(|(_, s)| Some((s.center?, u64::try_from(policy(s)?.1).ok()?)))
                .collect();
            centers.sort_unstable();
            centers.dedup();
            let total: u64 = centers.iter().map(|(_, weight)| weight).sum();
            let mut draw = rng.below(total);
            let center = centers.iter().find(|(_, weight)| {
                let here = draw < *weight;
                draw = draw.saturating_sub(*weight);
                here
            });
            let center = center?.0;
            from.retain(|(_, server)| server.center == Some(center));
        }
        let best = from.iter().map(|(_, server)| priority(server)).max()?;
        from.retain(|(_, server)| priority(server) == best);
        if from.len() > 1 {
            let least = from.iter().map(|(_, server)| pending(server)).min()?;
            from.retain(|(_, server)| pending(server) == least);
        }
        let draw = if from.len() > 1 { rng.below(from.len() as u64) } else { 0 };
        from.get(draw as usize).map(|(index, _)| *index)
    }
}

impl Server {
    /// Whether a connection may be attempted now. A failed server is retried after a while.
    pub(super) fn may_try(&mut self, now: Mono, config: &config::Pool) -> bool {
        if !self.fail {
            return true;
        }
        if self.retry_at > now {
            return false;
        }
        self.retry_at = now + config.server_retry_timeout;
        true
    }

    /// Counts a failed connection. True if the server is marked as failed by it.
    pub(super) fn failed(&mut self, now: Mono, config: &config::Pool) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < config.server_failure_limit {
            return false;
        }
        self.retry_at = now + config.server_retry_timeout;
        !core::mem::replace(&mut self.fail, true)
    }

    /// Clears the failures after a reply. True if the server was marked as failed.
    pub(super) fn recover(&mut self) -> bool {
        self.failures = 0;
        core::mem::take(&mut self.fail)
    }

    /// The number of unanswered requests on the shared connections.
    pub(super) fn pending(&self, engine: &PredixyEngine) -> usize {
        let links = self.shared.values().filter_map(|link| engine.link(*link));
        links.map(|link| link.pending().len()).sum()
    }
}

impl Predixy {
    /// Returns a private connection to the idle ones, or closes it if there are enough.
    pub(super) fn return_private(&mut self, engine: &mut PredixyEngine, link: LinkId) {
        let Some(known) = engine.link_mut(link) else { return };
        let (server, db) = (known.data.server, known.data.db);
        known.data.client = None;
        match self.topology.servers.get_mut(server) {
            Some(server) if server.idle.len() < MAX_IDLE => server.idle.push((db, link)),
            _ => drop(engine.close(link)),
        }
    }
}

fn center_of(centers: &[DataCenter], text: &str) -> Option<usize> {
    let mut best: Option<(usize, usize)> = None;
    for (index, center) in centers.iter().enumerate() {
        for prefix in &center.prefixes {
            if text.starts_with(prefix.as_str()) && best.is_none_or(|(_, len)| prefix.len() > len) {
                best = Some((index, prefix.len()));
            }
        }
    }
    best.map(|(index, _)| index)
}

/// Parses the reply to `SENTINEL slaves` or `SENTINEL sentinels`.
pub(super) fn parse_servers(reply: &[u8]) -> Vec<ReportedServer> {
    let mut all = Vec::new();
    for entry in elements(reply).into_iter().flatten() {
        let fields: Vec<&[u8]> = elements(entry).into_iter().flatten().filter_map(text).collect();
        let field = |name: &[u8]| {
            let pair = fields.chunks_exact(2).find(|pair| pair.first() == Some(&name))?;
            core::str::from_utf8(pair.get(1)?).ok()
        };
        let (Some(ip), Some(port)) = (field(b"ip"), field(b"port")) else { continue };
        let down = |flag: &str| matches!(flag, "s_down" | "o_down" | "disconnected");
        let up = !field(b"flags").unwrap_or_default().split(',').any(down);
        all.push(ReportedServer { text: join(ip, port), up });
    }
    all
}

/// `host:port`, with brackets for IPv6.
pub(super) fn join(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
