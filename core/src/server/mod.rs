//! The server: the front, a keyspace, persistence and replication.
//!
//! [`Server`] is a [`Front`] whose [`Service`](crate::front::Service) is [`Redis`]. The modules,
//! each using only those above it:
//!
//! * [`config`]: the server's directives;
//! * `oom_score`: `oom-score-adj`;
//! * `propagate`: propagating effects to the append-only file and to replicas;
//! * `persistence`: snapshots and loading;
//! * [`aof`]: the append-only file;
//! * `replication`: primary and replicas;
//! * `transactions`, `blocking`, `notify`: MULTI and WATCH, blocked clients, keyspace events;
//! * `migrate`: MIGRATE;
//! * `cluster`: the server as a cluster node;
//! * `peers`: which part of the server a connection belongs to that is not a client's;
//! * `client`: the server's state for a client;
//! * `memory`, `info`: MEMORY, and the sections of INFO;
//! * `eviction`: evicting keys when memory is full;
//! * `prefetch`: prefetching the keys of the next requests;
//! * `checks`: the server's checks before a command is called;
//! * `dispatch`: refusals, calling commands on data, and their effects;
//! * `fast_path`: the same when no check can refuse or delay a command, which is nearly always;
//! * `scripting`: scripts and functions;
//! * `cron`: periodic tasks;
//! * `shutdown`: shutting down;
//! * [`inspect`]: read-only views for observers;
//! * `select`, `basics`, `lolwut`, `modules`, `debug`: commands that fit nowhere else;
//! * [`table`]: all commands;
//! * `service`: the hooks by which the front calls the server, each a line or two.
//!
//! Most functions here are methods of [`Server`], which every module may call: the order of the
//! modules applies to types and free functions. A method that another module calls is a complete
//! step (`propagate`, `flush`, `hold_all`), not an internal detail.
//!
//! Commands on data are in [`command`](crate::command); everything about clients that does not
//! depend on the program is in [`front`].

pub mod aof;
mod basics;
mod blocking;
mod checks;
mod client;
mod cluster;
pub mod config;
mod cron;
mod debug;
mod dispatch;
mod eviction;
mod fast_path;
mod info;
pub mod inspect;
mod lolwut;
mod memory;
mod migrate;
mod modules;
mod notify;
mod oom_score;
mod peers;
mod persistence;
mod prefetch;
mod propagate;
mod replication;
mod scripting;
mod select;
mod service;
mod shutdown;
pub mod table;
mod transactions;

pub use client::ServerClient;
pub use cluster::MovingSlot;
pub use config::{Config, ConfigError};
pub use replication::{BacklogView, PrimaryView, ReplicaView, ReplicationView};
pub use scripting::trace::{ScriptStep, ScriptView};

pub(crate) use crate::front::{CloseState, Flush, PauseReason, ReplyMode, Run, container, row};
pub use crate::front::{Facts, LIMPID_VERSION, VERSION};

use crate::command::Effects;
use crate::command::effects;
use crate::front::{self, Front};
use crate::machine::{DiskOp, FileId};
use crate::store::Keyspace;

/// A Redis-compatible server.
pub type Server = Front<Redis>;

/// A client of a server.
pub type Client = front::Client<Redis>;

/// A command of a server.
pub type Command = front::Command<Redis>;

/// One call of a server command that does not work on data.
pub(crate) type Call<'a> = front::Call<'a, Redis>;

/// The handler of such a command.
pub(crate) type Handler = front::Handler<Redis>;

/// A CONFIG SET that waits for something.
type Change = front::config::Change<config::ServerSchema>;

/// The server's state besides the front's: the keyspace, what connects clients with it, persistence
/// and replication.
#[derive(Clone, Debug)]
pub struct Redis {
    keyspace: Keyspace,
    effects: Effects,
    /// Which effects commands have to report: to the AOF and replicas, WATCH, blocked clients and
    /// so on.
    consumers: effects::Consumers,
    watches: transactions::Watches,
    eviction: eviction::Eviction,
    waiting: blocking::Waiting,
    /// The cluster node, in cluster mode.
    cluster: Option<Box<cluster::Node>>,
    /// Whether closed slots have been opened again, and commands were held back for them.
    cluster_opened: bool,
    /// Whether an EXEC is in progress.
    executing: bool,
    replication: replication::Replication,
    /// Whether prefetching the keys of the next requests pays off, judging by the last ones.
    prefetch_pays: bool,
    /// Changes since the last save.
    dirty: u64,
    /// Whether keys are expired actively (DEBUG SET-ACTIVE-EXPIRE).
    active_expire: bool,
    /// Whether periodic tasks are suspended (DEBUG PAUSE-CRON).
    cron_paused: bool,
    /// Number of expired keys at the last CONFIG RESETSTAT.
    expired_before: u64,
    /// Number of snapshots at the last CONFIG RESETSTAT.
    snapshots_before: u64,
    last_file: u64,
    persistence: persistence::Persistence,
    oom_score: oom_score::Adjustments,
    shutdown: shutdown::Stage,
    aof: aof::Aof,
    migration: migrate::Migration,
    scripting: scripting::Scripting,
    schedule: cron::Schedule,
}

/// What to continue when a disk operation has completed.
#[derive(Clone, Debug)]
pub struct PendingDiskWork(DiskWork);

/// What to continue when a disk operation has completed.
#[derive(Clone, Debug)]
enum DiskWork {
    /// Writing a snapshot.
    Snapshot { job: u64, step: persistence::sink::Step },
    /// Loading a dump from this file.
    LoadRdb(FileId),
    /// Receiving a full sync from the primary.
    Transfer(replication::Receiving),
    /// Sending a file to a replica.
    Sending { client: u64, work: replication::Sent },
    /// `nodes.conf`.
    NodesConf(cluster::ConfStep),
    /// Nothing to continue.
    Nothing,
    /// The append-only file.
    Aof(aof::Step),
}

impl Server {
    /// The purpose of the listener for the cluster bus.
    pub const BUS: front::Purpose = front::Purpose::Service(0);

    /// A server that has not started yet.
    pub fn new(config: Config, facts: Facts) -> Self {
        let mut server = Front::with(config, facts, |config: &Config, rng| {
            let stream_id = rng.hex40();
            let clustered = config.settings().cluster_enabled;
            let mut keyspace = Keyspace::new(config.settings().data.databases, rng.u64());
            if clustered {
                keyspace.partition_by_slot();
            }
            Redis {
                keyspace,
                effects: Effects::default(),
                consumers: effects::Consumers::default(),
                watches: transactions::Watches::default(),
                eviction: eviction::Eviction::default(),
                waiting: blocking::Waiting::default(),
                cluster: clustered.then(Box::default),
                cluster_opened: false,
                executing: false,
                replication: replication::Replication::new(stream_id),
                prefetch_pays: false,
                dirty: 0,
                active_expire: true,
                cron_paused: false,
                expired_before: 0,
                snapshots_before: 0,
                last_file: 0,
                persistence: persistence::Persistence::default(),
                oom_score: oom_score::Adjustments::default(),
                shutdown: shutdown::Stage::default(),
                aof: aof::Aof::default(),
                migration: migrate::Migration::default(),
                scripting: scripting::Scripting::default(),
                schedule: cron::Schedule::default(),
            }
        });
        server.apply_configured_role();
        server
    }

    /// The keyspace, for observers.
    pub fn keyspace(&self) -> &Keyspace {
        &self.service.keyspace
    }

    /// Starts a disk operation; `work` is what to continue when it has completed.
    fn disk_op(&mut self, what: DiskOp, work: DiskWork) {
        self.service_disk_op(what, PendingDiskWork(work));
    }
}

#[cfg(test)]
mod tests;
