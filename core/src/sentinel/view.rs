//! A Sentinel's state as plain data, for inspectors.

use super::Sentinel;
use super::failover::FailoverState;
use super::instance::Instance;
use super::master::{Master, Reconf};
use super::report::Role;
use crate::time::{Duration, Mono};

/// What a Sentinel believes. Made when it is asked for; times are as of the moment that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelView {
    /// Its id.
    pub id: String,
    /// The current epoch.
    pub epoch: u64,
    /// For how long it has been in TILT, if it is.
    pub tilt: Option<Duration>,
    /// The masters that it monitors, by name.
    pub masters: Vec<MasterView>,
    /// Scripts that run, and that wait.
    pub scripts: (usize, usize),
}

/// A master as one Sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterView {
    /// What is seen of everything that is watched.
    pub seen: Seen,
    /// Where clients are sent: `host:port`.
    pub current: String,
    /// What it reports to be.
    pub role: Role,
    /// How many must hold it to be down.
    pub quorum: u32,
    /// How many do, this Sentinel included.
    pub down_votes: usize,
    /// For how long it has been down for enough of them.
    pub odown: Option<Duration>,
    /// The epoch of the configuration.
    pub config_epoch: u64,
    /// The candidate that this Sentinel voted for.
    pub vote: Option<String>,
    /// In which epoch.
    pub vote_epoch: u64,
    /// How far a failover has come that this Sentinel leads or wants to lead.
    pub failover: FailoverState,
    /// Its epoch.
    pub failover_epoch: u64,
    /// For how long it has been in that state, and how long it may be.
    pub in_state: Option<(Duration, Duration)>,
    /// How long no failover will be tried, because the last attempt was a short while ago.
    pub next_attempt: Option<Duration>,
    /// The replica that is promoted.
    pub promoted: Option<String>,
    /// Its replicas.
    pub replicas: Vec<ReplicaView>,
    /// The other Sentinels.
    pub sentinels: Vec<OtherView>,
}

/// What is seen of a server or Sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// A master's name, a replica's `host:port`, a Sentinel's id.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The run id that it reports.
    pub run_id: Option<String>,
    /// Whether a connection to it is missing.
    pub disconnected: bool,
    /// For how long nothing has been heard of it, and after how long it is held to be down.
    pub silence: (Duration, Duration),
    /// For how long it has been held to be down.
    pub sdown: Option<Duration>,
}

/// A replica as one Sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// What is seen of everything that is watched.
    pub seen: Seen,
    /// What it reports to be.
    pub role: Role,
    /// The master that it reports to follow.
    pub follows: Option<(String, u16)>,
    /// Whether its link to that is up.
    pub link_up: bool,
    /// How far it has come in the master's stream.
    pub offset: u64,
    /// Its priority; 0 bars it.
    pub priority: u32,
    /// How far it has come in following a new master.
    pub reconf: Reconf,
}

/// Another Sentinel as one Sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherView {
    /// What is seen of everything that is watched.
    pub seen: Seen,
    /// Whether it told that it holds the master to be down.
    pub master_down: bool,
    /// The candidate that it said to have voted for.
    pub vote: Option<String>,
    /// In which epoch.
    pub vote_epoch: u64,
}

impl Sentinel {
    /// What it believes at this moment.
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

    fn seen(&self, now: Mono, instance: &Instance) -> Seen {
        let waiting = self.link(instance.link).and_then(|link| link.ping_waiting);
        Seen {
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
