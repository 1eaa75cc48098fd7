//! The INFO of a monitored server.

use std::sync::Arc;

use crate::time::{Duration, Mono};

/// The role that a server reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `role:master`
    Master,
    /// `role:slave`
    Replica,
}

impl Role {
    /// The name of the role in Redis's protocol.
    pub fn word(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Replica => "slave",
        }
    }
}

/// The last INFO of a server.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its reported role; before the first INFO the expected role.
    pub role: Role,
    /// Since when it has reported this role.
    pub role_since: Mono,
    /// When the last INFO arrived.
    pub refreshed: Option<Mono>,
    /// The text of the last INFO.
    pub text: Option<Arc<[u8]>>,
    /// The master that a replica replicates.
    pub master: Option<(String, u16)>,
    /// Since when it has replicated that master.
    pub master_since: Mono,
    /// Whether its replication link is up.
    pub link_up: bool,
    /// How long its replication link has been down.
    pub link_down: Duration,
    /// `replica-priority`; 0 prevents a promotion.
    pub priority: u32,
    /// The replication offset of a replica.
    pub offset: u64,
    /// Whether a replica may be shown to clients (`replica-announced`).
    pub announced: bool,
}

impl Report {
    /// The report of a server before its first INFO, with its expected role.
    pub fn none(role: Role, now: Mono) -> Self {
        Report {
            role,
            role_since: now,
            refreshed: None,
            text: None,
            master: None,
            master_since: now,
            link_up: false,
            link_down: Duration::ZERO,
            priority: 100,
            offset: 0,
            announced: true,
        }
    }

    /// Whether the last INFO is more recent than this.
    pub fn is_fresh(&self, now: Mono, age: Duration) -> bool {
        self.refreshed.is_some_and(|at| now.since(at) <= age)
    }
}

/// The fields of INFO that a Sentinel uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// `run_id`
    pub run_id: Option<String>,
    /// `role`
    pub role: Option<Role>,
    /// Replicas of a master: host and port.
    pub replicas: Vec<(String, u16)>,
    /// `master_host` and `master_port`
    pub master: Option<(String, u16)>,
    /// `master_link_status`
    pub link_up: Option<bool>,
    /// `master_link_down_since_seconds`
    pub link_down: Duration,
    /// `slave_priority`
    pub priority: Option<u32>,
    /// `slave_repl_offset`
    pub offset: Option<u64>,
    /// `replica_announced`
    pub announced: Option<bool>,
}

impl Info {
    /// Parses the text of INFO. Unknown or invalid lines are ignored.
    pub fn parse(text: &[u8]) -> Self {
        let mut info = Info::default();
        let (mut host, mut port) = (None, None);
        for line in String::from_utf8_lossy(text).lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            match name {
                "run_id" if value.len() >= 40 => info.run_id = value.get(..40).map(Into::into),
                "role" if value.starts_with("master") => info.role = Some(Role::Master),
                "role" if value.starts_with("slave") => info.role = Some(Role::Replica),
                "master_host" => host = Some(value.to_owned()),
                "master_port" => port = value.parse().ok(),
                "master_link_status" => info.link_up = Some(value.eq_ignore_ascii_case("up")),
                "master_link_down_since_seconds" => {
                    // -1 means that it was never up.
                    let seconds: i64 = value.parse().unwrap_or(0);
                    info.link_down = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                }
                "slave_priority" => info.priority = value.parse().ok(),
                "slave_repl_offset" => info.offset = value.parse().ok(),
                "replica_announced" => info.announced = Some(value != "0"),
                _ => {
                    let number = name.strip_prefix("slave");
                    if number.is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit())) {
                        info.replicas.extend(replica(value));
                    }
                }
            }
        }
        info.master = host.zip(port);
        info
    }
}

/// `ip=127.0.0.1,port=6380,state=online,...`, or as in old versions `127.0.0.1,6380,online`.
fn replica(value: &str) -> Option<(String, u16)> {
    let mut words = value.split(',');
    if !value.contains("ip=") {
        return Some((words.next()?.to_owned(), words.next()?.parse().ok()?));
    }
    let field = |name: &str| value.split(',').find_map(|field| field.strip_prefix(name));
    Some((field("ip=")?.to_owned(), field("port=")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_tells_its_replicas() {
        let text = b"# Server\r\nrun_id:0123456789012345678901234567890123456789\r\n\
            # Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
            slave0:ip=10.0.0.2,port=6380,state=online,offset=1,lag=0\r\nslave1:10.0.0.3,6381,online\r\n";
        let info = Info::parse(text);
        assert_eq!(info.role, Some(Role::Master));
        assert_eq!(info.replicas, [("10.0.0.2".into(), 6380), ("10.0.0.3".into(), 6381)]);
        assert_eq!(info.run_id.as_deref(), Some("0123456789012345678901234567890123456789"));
    }

    #[test]
    fn a_replica_tells_about_its_link() {
        let text = b"role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n\
            master_link_status:down\r\nmaster_link_down_since_seconds:12\r\nslave_repl_offset:77\r\n\
            slave_priority:0\r\nreplica_announced:0\r\n";
        let info = Info::parse(text);
        assert_eq!(info.master, Some(("10.0.0.1".into(), 6379)));
        assert_eq!((info.link_up, info.link_down), (Some(false), Duration::from_secs(12)));
        assert_eq!((info.offset, info.priority, info.announced), (Some(77), Some(0), Some(false)));
    }
}
