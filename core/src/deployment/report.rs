//! The replies of one node.

use serde::{Deserialize, Serialize};

use crate::cluster_tools::ClusterNode;

/// The replies of one node, as text, since the page shows them unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its address, `host:port`.
    pub address: String,
    /// Why it does not answer now. The other fields are from its last answer.
    pub error: Option<String>,
    /// The reply to INFO; empty if it has never answered.
    pub info: String,
    /// The reply to CLUSTER NODES; empty if cluster mode is off.
    pub cluster_nodes: String,
    /// The masters that a Sentinel monitors.
    pub masters: Vec<Watched>,
}

/// A master that a Sentinel monitors, in the fields of `SENTINEL MASTER`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The fields of the master.
    pub master: Vec<(String, String)>,
    /// The fields of each of its replicas.
    pub replicas: Vec<Vec<(String, String)>>,
    /// The fields of each other Sentinel.
    pub sentinels: Vec<Vec<(String, String)>>,
}

/// The program that a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A server.
    Server,
    /// A Sentinel.
    Sentinel,
}

impl Report {
    /// The report of a node that has not answered yet.
    pub fn unanswered(address: &str, error: &str) -> Self {
        let error = Some(error.to_owned());
        Report { address: address.to_owned(), error, ..Report::default() }
    }

    /// The program that it runs.
    pub fn kind(&self) -> Kind {
        match self.field("redis_mode") {
            Some("sentinel") => Kind::Sentinel,
            _ => Kind::Server,
        }
    }

    /// A field of INFO.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.info
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .find_map(|(field, value)| (field == name).then_some(value))
    }

    /// A numeric field of INFO.
    pub fn number<T: core::str::FromStr>(&self, name: &str) -> Option<T> {
        self.field(name)?.parse().ok()
    }

    /// The run ID of the process, which identifies a node known by several addresses.
    pub fn run_id(&self) -> Option<&str> {
        self.field("run_id")
    }

    /// Whether it is a node of a cluster.
    pub fn in_cluster(&self) -> bool {
        self.field("cluster_enabled") == Some("1")
    }

    /// The address of its primary, `host:port`.
    pub fn primary(&self) -> Option<String> {
        (self.field("role") == Some("slave"))
            .then(|| Some(format!("{}:{}", self.field("master_host")?, self.field("master_port")?)))
            .flatten()
    }

    /// All nodes of the cluster, according to this node.
    pub(super) fn members(&self) -> impl Iterator<Item = ClusterNode> + '_ {
        self.cluster_nodes.lines().filter_map(|line| ClusterNode::parse(line.trim_end()))
    }

    /// The addresses of all other nodes that the report names, without duplicates.
    pub fn named(&self) -> Vec<String> {
        let mut named: Vec<String> = self.primary().into_iter().collect();
        // slave0:ip=127.0.0.1,port=6380,state=online,...
        let replicas = (0..).map_while(|n| self.field(&format!("slave{n}")));
        named.extend(replicas.filter_map(|replica| {
            let of = |key| replica.split(',').find_map(|word| word.strip_prefix(key));
            Some(format!("{}:{}", of("ip=")?, of("port=")?))
        }));
        let hidden = ["myself", "noaddr", "handshake"];
        named.extend(
            self.members()
                .filter(|node| !hidden.iter().any(|flag| node.has_flag(flag)))
                .map(|node| node.place.to_string()),
        );
        for watched in &self.masters {
            let all = watched.replicas.iter().chain(&watched.sentinels);
            named.extend([&watched.master].into_iter().chain(all).filter_map(|one| address(one)));
        }
        let mut once = Vec::new();
        for address in named {
            if address != self.address && !once.contains(&address) {
                once.push(address);
            }
        }
        once
    }
}

impl Watched {
    /// The name of the master.
    pub fn name(&self) -> &str {
        field(&self.master, "name").unwrap_or_default()
    }
}

/// A field of a table in a reply of SENTINEL.
pub(super) fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
}

/// The address of the server or Sentinel that a table describes: `host:port`.
pub(super) fn address(fields: &[(String, String)]) -> Option<String> {
    let (ip, port) = (field(fields, "ip")?, field(fields, "port")?);
    (!ip.is_empty() && port != "0").then(|| format!("{ip}:{port}"))
}

/// Whether a table has a flag in its comma-separated `flags`.
pub(super) fn has_flag(fields: &[(String, String)], flag: &str) -> bool {
    field(fields, "flags").is_some_and(|flags| flags.split(',').any(|known| known == flag))
}
