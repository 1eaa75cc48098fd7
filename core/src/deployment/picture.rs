//! The picture of a deployment, computed from the reports of all nodes.

use std::collections::BTreeMap;

use super::report::{Kind, Report, address, field, has_flag};

/// A deployment at one moment: its nodes, ordered by address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deployment {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// A node of a deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its latest report.
    pub report: Report,
    /// The program it runs; if it has never answered, according to other nodes.
    pub kind: Kind,
    /// Whether it is a replica.
    pub is_replica: bool,
    /// Its primary, by index in [`Deployment::nodes`], and the state of the replication link.
    pub primary: Option<(usize, Link)>,
    /// Its replication offset, if it replicates.
    pub offset: Option<u64>,
    /// The number of keys in all databases.
    pub keys: u64,
    /// Commands per second.
    pub rate: u64,
    /// Its own view of its part in a cluster.
    pub cluster: Option<ClusterRole>,
    /// Whether other nodes consider it to be down, if any observe it.
    pub judged: Option<Judgement>,
}

/// The state of a replica's link to its primary, as the replica reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not connected.
    Down,
    /// A full synchronization is in progress.
    Sync,
    /// Receiving the replication stream; with the lag in bytes, if both offsets are known.
    Online(Option<u64>),
}

/// A node's part in its cluster, as the node reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRole {
    /// Its node ID.
    pub id: String,
    /// Its config epoch.
    pub epoch: u64,
    /// Its slots, as inclusive ranges.
    pub slots: Vec<(u16, u16)>,
}

/// What the Sentinels, or the other nodes of the cluster, report about a node, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The number of observers that answer.
    pub watched_by: usize,
    /// How many of them consider it to be down (SDOWN, PFAIL).
    pub down_for: usize,
    /// Whether any of them reports agreement on that (ODOWN, FAIL).
    pub objectively: bool,
    /// Whether the observers are nodes of its cluster, and not Sentinels.
    pub in_cluster: bool,
}

impl ClusterRole {
    /// The number of its slots.
    pub fn slot_count(&self) -> usize {
        self.slots.iter().map(|(first, last)| usize::from(last - first) + 1).sum()
    }
}

impl Deployment {
    /// Computes the picture. A node known by several addresses appears once.
    pub fn of(reports: &[Report]) -> Self {
        let (reports, places) = distinct(reports);
        let find = |address: &str| places.get(address).copied();
        let mut nodes: Vec<Node> = reports.iter().map(alone).collect();
        for (at, report) in reports.iter().enumerate() {
            let Some(primary) = report.primary().and_then(|address| find(&address)) else {
                continue;
            };
            if primary != at {
                let link = link(report, nodes.get(primary).and_then(|node| node.offset));
                nodes[at].primary = Some((primary, link));
            }
        }
        judge(&mut nodes, &reports, &find);
        Deployment { nodes }
    }

    /// Looks up a node by its address.
    pub fn node(&self, address: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.report.address == address)
    }

    /// Whether any node is in a cluster.
    pub fn has_cluster(&self) -> bool {
        self.nodes.iter().any(|node| node.cluster.is_some())
    }

    /// Whether any node is a Sentinel.
    pub fn has_sentinels(&self) -> bool {
        self.nodes.iter().any(|node| node.kind == Kind::Sentinel)
    }
}

/// The reports without duplicates, and for every known address the index of its report.
fn distinct(reports: &[Report]) -> (Vec<Report>, BTreeMap<String, usize>) {
    let mut sorted: Vec<&Report> = reports.iter().collect();
    crate::sorted::sort_by(&mut sorted, |a, b| sort_key(&a.address).cmp(&sort_key(&b.address)));
    let (mut nodes, mut places) = (Vec::<Report>::new(), BTreeMap::new());
    for report in sorted {
        // A stored reply of an earlier process at this address does not describe the current one.
        let same = |known: &Report| {
            known.run_id().is_some()
                && known.run_id() == report.run_id()
                && known.error.is_none()
                && report.error.is_none()
        };
        let place = nodes.iter().position(same).unwrap_or(nodes.len());
        if place == nodes.len() {
            nodes.push(report.clone());
        }
        places.insert(report.address.clone(), place);
    }
    (nodes, places)
}

/// The sort key of an address, which orders ports as numbers.
fn sort_key(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    (host, port.parse().unwrap_or(0))
}

/// A node according to its own report only.
fn alone(report: &Report) -> Node {
    let keys = report.info.lines().filter_map(|line| {
        let (name, value) = line.split_once(":keys=")?;
        name.strip_prefix("db")?.parse::<u16>().ok()?;
        value.split(',').next()?.parse::<u64>().ok()
    });
    let is_replica = report.field("role") == Some("slave");
    let offset = match is_replica {
        true => report.number("slave_repl_offset"),
        false => report
            .number("master_repl_offset")
            .filter(|_| report.number::<u64>("connected_slaves").is_some_and(|n| n > 0)),
    };
    Node {
        kind: report.kind(),
        is_replica,
        primary: None,
        offset,
        keys: keys.sum(),
        rate: report.number("instantaneous_ops_per_sec").unwrap_or(0),
        cluster: cluster_role(report),
        judged: None,
        report: report.clone(),
    }
}

fn cluster_role(report: &Report) -> Option<ClusterRole> {
    let myself = report.members().find(|node| node.has_flag("myself"))?;
    let ranges = myself.slots.ranges();
    let slots = ranges.map(|(first, last)| (first.number(), last.number())).collect();
    Some(ClusterRole { id: myself.id, epoch: myself.epoch, slots })
}

fn link(replica: &Report, primary_offset: Option<u64>) -> Link {
    match (replica.field("master_link_status"), replica.field("master_sync_in_progress")) {
        (Some("up"), _) => {
            let offset = replica.number::<u64>("slave_repl_offset");
            // The two reports are from different moments, so the replica may seem to be ahead.
            let behind = primary_offset.zip(offset).map(|(p, r)| p.saturating_sub(r));
            Link::Online(behind)
        }
        (_, Some("1")) => Link::Sync,
        _ => Link::Down,
    }
}

/// Adds what Sentinels and cluster nodes report about each other.
fn judge(nodes: &mut [Node], reports: &[Report], find: &dyn Fn(&str) -> Option<usize>) {
    let mut vote = |address: &str, down: bool, agreed: bool, in_cluster: bool| {
        if let Some(node) = find(address).and_then(|at| nodes.get_mut(at)) {
            let judged = node.judged.get_or_insert_default();
            judged.watched_by += 1;
            judged.down_for += usize::from(down);
            judged.objectively |= agreed;
            judged.in_cluster = in_cluster;
        }
    };
    let mut sentinels = Vec::new();
    for report in reports.iter().filter(|report| report.error.is_none()) {
        for watched in &report.masters {
            for fields in [&watched.master].into_iter().chain(&watched.replicas) {
                if let Some(address) = address(fields) {
                    vote(&address, has_flag(fields, "s_down"), has_flag(fields, "o_down"), false);
                }
            }
            sentinels.extend(watched.sentinels.iter().filter_map(|fields| address(fields)));
        }
        for node in report.members().filter(|node| !node.has_flag("myself")) {
            let (pfail, fail) = (node.has_flag("fail?"), node.has_flag("fail"));
            vote(&node.place.to_string(), pfail || fail, fail, true);
        }
    }
    // A Sentinel that has never answered is recognized by the reports of others.
    for at in sentinels.iter().filter_map(|address| find(address)) {
        if let Some(node) = nodes.get_mut(at).filter(|node| node.report.info.is_empty()) {
            node.kind = Kind::Sentinel;
        }
    }
}

impl super::report::Watched {
    /// The address that the Sentinel gives to clients: `host:port`.
    pub fn address(&self) -> String {
        address(&self.master).unwrap_or_default()
    }

    /// A field of the master.
    pub fn field(&self, name: &str) -> &str {
        field(&self.master, name).unwrap_or_default()
    }

    /// The flags that the Sentinel reports for the master or replica at an address.
    pub fn flags_of(&self, at: &str) -> Option<&str> {
        let all = [&self.master].into_iter().chain(&self.replicas);
        all.into_iter()
            .find(|fields| address(fields).as_deref() == Some(at))
            .and_then(|fields| field(fields, "flags"))
    }

    /// Whether the master has a flag, such as `s_down`.
    pub fn has_flag(&self, flag: &str) -> bool {
        has_flag(&self.master, flag)
    }
}
