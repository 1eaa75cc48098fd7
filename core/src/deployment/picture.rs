//! The picture that the reports of all nodes make together.

use std::collections::BTreeMap;

use super::report::{Kind, Report, address, field, has_flag};

/// A deployment at one moment: its nodes in the order of their addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deployment {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it answered.
    pub report: Report,
    /// What kind of program it is; by what others say of it, if it has never answered.
    pub kind: Kind,
    /// Whether it is a replica.
    pub is_replica: bool,
    /// Its primary, by place in [`Deployment::nodes`], and how it stands to it.
    pub primary: Option<(usize, Link)>,
    /// Its replication offset, if it replicates.
    pub offset: Option<u64>,
    /// Keys over all databases.
    pub keys: u64,
    /// Commands a second.
    pub rate: u64,
    /// What it holds of its cluster.
    pub cluster: Option<ClusterRole>,
    /// What the others hold of it, if any watch it.
    pub judged: Option<Judgement>,
}

/// How a replica stands to its primary, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It has no connection.
    Down,
    /// It gets a copy of the data.
    Sync,
    /// It gets the stream, and is so many bytes behind, where both offsets are known.
    Online(Option<u64>),
}

/// A node's part in its cluster, as it sees it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRole {
    /// Its id.
    pub id: String,
    /// The epoch of its configuration.
    pub epoch: u64,
    /// Its slots, in ranges of first and last.
    pub slots: Vec<(u16, u16)>,
}

/// What Sentinels, or the other nodes of the cluster, hold of a node, taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// How many of those that answer watch it.
    pub watched_by: usize,
    /// How many of them hold it to be down (SDOWN, PFAIL).
    pub down_for: usize,
    /// Whether one of them holds that to be agreed (ODOWN, FAIL).
    pub objectively: bool,
    /// Whether the judges are nodes of its cluster, and not Sentinels.
    pub in_cluster: bool,
}

impl ClusterRole {
    /// How many slots it has.
    pub fn slot_count(&self) -> usize {
        self.slots.iter().map(|(first, last)| usize::from(last - first) + 1).sum()
    }
}

impl Deployment {
    /// The picture that these reports make. A node that is known under several addresses appears once.
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

    /// The node at an address.
    pub fn node(&self, address: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.report.address == address)
    }

    /// Whether there is a cluster.
    pub fn has_cluster(&self) -> bool {
        self.nodes.iter().any(|node| node.cluster.is_some())
    }

    /// Whether there are Sentinels.
    pub fn has_sentinels(&self) -> bool {
        self.nodes.iter().any(|node| node.kind == Kind::Sentinel)
    }
}

/// Each node once, with the place of every address under which it is known.
fn distinct(reports: &[Report]) -> (Vec<Report>, BTreeMap<String, usize>) {
    let mut sorted: Vec<&Report> = reports.iter().collect();
    crate::sorted::sort_by(&mut sorted, |a, b| sort_key(&a.address).cmp(&sort_key(&b.address)));
    let (mut nodes, mut places) = (Vec::<Report>::new(), BTreeMap::new());
    for report in sorted {
        // An answer of an earlier process at this address says nothing about the one that is asked now.
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

/// Addresses in the order of their ports as numbers.
fn sort_key(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    (host, port.parse().unwrap_or(0))
}

/// What is known of a node by its own report.
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
            // The two were asked at different moments, so the replica may seem to be ahead.
            let behind = primary_offset.zip(offset).map(|(p, r)| p.saturating_sub(r));
            Link::Online(behind)
        }
        (_, Some("1")) => Link::Sync,
        _ => Link::Down,
    }
}

/// Adds what Sentinels and the nodes of clusters that answer hold of each other.
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
    // A Sentinel that has never answered says nothing of its kind.
    for at in sentinels.iter().filter_map(|address| find(address)) {
        if let Some(node) = nodes.get_mut(at).filter(|node| node.report.info.is_empty()) {
            node.kind = Kind::Sentinel;
        }
    }
}

impl super::report::Watched {
    /// Where the Sentinel sends clients: `host:port`.
    pub fn address(&self) -> String {
        address(&self.master).unwrap_or_default()
    }

    /// A field of the master's table.
    pub fn field(&self, name: &str) -> &str {
        field(&self.master, name).unwrap_or_default()
    }

    /// The flags that the Sentinel gives to the master or a replica at an address.
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
