//! A Sentinel's state as plain data, for the page.

use super::Sentinel;
use super::failover::FailoverState;
use super::instance::Instance;
use super::master::{Master, Reconf};
use super::report::Role;
use crate::time::{Duration, Mono};

/// The state of a Sentinel at the time that was passed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelView {
    /// Its ID.
    pub id: String,
    /// The current epoch.
    pub epoch: u64,
    /// How long TILT mode has been active.
    pub tilt: Option<Duration>,
    /// The monitored masters, ordered by name.
    pub masters: Vec<MasterView>,
    /// The numbers of running and of waiting scripts.
    pub scripts: (usize, usize),
}

/// A master, as one Sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterView {
    /// The common state of monitored instances.
    pub seen: InstanceView,
    /// The address for clients: `host:port`.
    pub current: String,
    /// The role that it reports.
    pub role: Role,
    /// How many Sentinels have to consider it to be down for ODOWN.
    pub quorum: u32,
    /// How many Sentinels, including this one, consider it to be down.
    pub down_votes: usize,
    /// How long ODOWN has been set.
    pub odown: Option<Duration>,
    /// The epoch of its configuration.
    pub config_epoch: u64,
    /// The candidate that this Sentinel voted for.
    pub vote: Option<String>,
    /// The epoch of that vote.
    pub vote_epoch: u64,
    /// The current step of a failover led or tried by this Sentinel.
    pub failover: FailoverState,
    /// The epoch of the failover.
    pub failover_epoch: u64,
    /// How long it has been in that step, and the timeout.
    pub in_state: Option<(Duration, Duration)>,
    /// How long until the next failover may be tried, because of a recent attempt.
    pub next_attempt: Option<Duration>,
    /// The replica that is being promoted.
    pub promoted: Option<String>,
    /// Its replicas.
    pub replicas: Vec<ReplicaView>,
    /// The other Sentinels.
    pub sentinels: Vec<OtherView>,
}

/// The common state of a monitored server or Sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    /// The name of a master, `host:port` of a replica, or the ID of a Sentinel.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The run ID that it reports.
    pub run_id: Option<String>,
    /// Whether a connection to it is missing.
    pub disconnected: bool,
    /// How long it has not replied, and after how long it is considered to be down.
    pub silence: (Duration, Duration),
    /// How long SDOWN has been set.
    pub sdown: Option<Duration>,
}

/// A replica, as one Sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// The common state of monitored instances.
    pub seen: InstanceView,
    /// The role that it reports.
    pub role: Role,
    /// The master that it reports to replicate.
    pub follows: Option<(String, u16)>,
    /// Whether its replication link is up.
    pub link_up: bool,
    /// Its replication offset.
    pub offset: u64,
    /// Its priority; 0 prevents a promotion.
    pub priority: u32,
    /// The progress of its reconfiguration to a new master.
    pub reconf: Reconf,
}

/// Another Sentinel, as one Sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherView {
    /// The common state of monitored instances.
    pub seen: InstanceView,
    /// Whether it reported the master as down.
    pub master_down: bool,
    /// The candidate that it reported to have voted for.
    pub vote: Option<String>,
    /// The epoch of that vote.
    pub vote_epoch: u64,
}

impl Sentinel {
    /// The state at this time.
    pub fn view(&self, now: Mono) -> SentinelView {
        let scripts = self.scripts();
        SentinelView {
            id: self.id().to_owned(),
            epoch: self.epoch(),
            tilt: self.tilt().map(|since| now.since(since)),
            masters: self.masters().map(|master| self.master_view(now, master)).collect(),
            scripts: (scripts.running(), scripts.jobs().len() - scripts.running()),
        }
    }

    fn seen(&self, now: Mono, instance: &Instance) -> InstanceView {
        let waiting = self.link(instance.link).and_then(|link| link.ping_waiting);
        InstanceView {
            name: instance.name.clone(),
            host: self.common.host(&instance.addr),
            port: instance.addr.port,
            run_id: instance.run_id.clone(),
            disconnected: self.is_disconnected(instance.link),
            silence: (
                waiting.map_or(Duration::ZERO, |since| now.since(since)),
                instance.down_after,
            ),
            sdown: instance.sdown_since.filter(|_| instance.sdown).map(|since| now.since(since)),
        }
    }

    fn master_view(&self, now: Mono, master: &Master) -> MasterView {
        let failover = &master.failover;
        let limit = match failover.state {
            FailoverState::WaitStart => {
                self.periods().election_timeout.min(master.failover_timeout)
            }
            _ => master.failover_timeout,
        };
        let running = failover.changed.filter(|_| failover.is_running());
        let told = master.sentinels.values().filter(|other| other.master_down).count();
        let addr = master.current_addr();
        MasterView {
            seen: self.seen(now, &master.instance),
            current: addr.with_port(self.settings().announce_hostnames),
            role: master.report.role,
            quorum: master.quorum,
            down_votes: told + usize::from(master.instance.sdown),
            odown: master.odown_since.filter(|_| master.odown).map(|since| now.since(since)),
            config_epoch: master.config_epoch,
            vote: master.vote.leader.clone(),
            vote_epoch: master.vote.epoch,
            failover: failover.state,
            failover_epoch: failover.epoch,
            in_state: running.map(|since| (now.since(since), limit)),
            next_attempt: failover.started.and_then(|started| {
                let next = started + master.failover_timeout * 2;
                (next > now && !failover.is_running()).then(|| next.since(now))
            }),
            promoted: failover.promoted.clone(),
            replicas: master
                .replicas
                .values()
                .map(|replica| ReplicaView {
                    seen: self.seen(now, &replica.instance),
                    role: replica.report.role,
                    follows: replica.report.master.clone(),
                    link_up: replica.report.link_up,
                    offset: replica.report.offset,
                    priority: replica.report.priority,
                    reconf: replica.reconf,
                })
                .collect(),
            sentinels: master
                .sentinels
                .values()
                .map(|other| OtherView {
                    seen: self.seen(now, &other.instance),
                    master_down: other.master_down,
                    vote: other.leader.clone(),
                    vote_epoch: other.leader_epoch,
                })
                .collect(),
        }
    }
}
