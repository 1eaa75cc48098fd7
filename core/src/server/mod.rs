//! The server: the front, a keyspace, and what makes the data last.
//!
//! [`Server`] is a [`Front`] whose [`Service`](crate::front::Service) is [`Redis`]. The rooms, each
//! using those above it:
//!
//! * [`config`]: the server's directives;
//! * `oom_score`: how soon the kernel ends the process when memory runs out;
//! * `propagate`: effects of commands handed to the append-only file and to replicas;
//! * `persistence`: snapshots, and loading;
//! * [`aof`]: the append-only file;
//! * `replication`: a primary and its replicas;
//! * `transactions`, `blocking`, `notify`: what binds clients to keys and to each other;
//! * `migrate`: keys that move to another server;
//! * `cluster`: the server as a node of a cluster;
//! * `peers`: which conversation a connection that is no client's belongs to;
//! * `client`: what the server keeps for a client: something of each of these;
//! * `memory`, `info`: where memory goes, and the sections of INFO;
//! * `eviction`: which keys go when memory is full;
//! * `prefetch`: which keys the next requests will look up;
//! * `checks`: the server's checks before a command is called;
//! * `dispatch`: refusals, calls of commands on data, and what follows from a command;
//! * `fast_path`: the same where no check can refuse or delay a command, which is nearly always;
//! * `scripting`: scripts and functions;
//! * `cron`: what is done because time passes, and the reasons to be woken;
//! * `shutdown`: how it ends;
//! * [`inspect`]: what an observer sees;
//! * `select`, `basics`, `lolwut`, `modules`, `debug`: commands that fit nowhere else;
//! * [`table`]: all commands;
//! * `service`: the hooks by which the front calls the server, each a line or two.
//!
//! Most of what is here are methods of [`Server`], which any of these rooms may call: the order is
//! that of types and functions. A method that is called from another room is a step of that room's
//! own (`propagate`, `flush`, `hold_all`), never its inside.
//!
//! Commands on data are in [`command`](crate::command); what clients have in common whatever the
//! program is in [`front`].

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

pub(crate) use crate::front::{Due, PauseReason, ReplyMode, Run, Standing, container, row};
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

/// One call of a command of a server that administers something.
pub(crate) type Call<'a> = front::Call<'a, Redis>;

/// The handler of such a command.
pub(crate) type Handler = front::Handler<Redis>;

/// A CONFIG SET that waits for what it needs.
type Change = front::config::Change<config::ServerSchema>;

/// What a server has besides the front: the keyspace, what binds clients to it, and what makes it
/// last.
#[derive(Clone, Debug)]
pub struct Redis {
    keyspace: Keyspace,
    effects: Effects,
    /// Which effects commands have to report: to followers, watchers, blocked clients.
    consumers: effects::Consumers,
    watches: transactions::Watches,
    eviction: eviction::Eviction,
    waiting: blocking::Waiting,
    /// What a node of a cluster has besides, if this is one.
    cluster: Option<Box<cluster::Node>>,
    /// Whether slots that were closed are open again, and clients wait for that.
    cluster_opened: bool,
    /// Whether an EXEC is running.
    executing: bool,
    replication: replication::Replication,
    /// Whether it pays to prefetch the keys of the next requests, judged by the last ones.
    prefetch_pays: bool,
    /// Changes since the last save.
    dirty: u64,
    /// Whether keys expire by themselves (DEBUG SET-ACTIVE-EXPIRE).
    active_expire: bool,
    /// Whether nothing is done because time passes (DEBUG PAUSE-CRON).
    cron_paused: bool,
    /// Keys that had expired when statistics were reset.
    expired_before: u64,
    /// Snapshots that had begun when statistics were reset.
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

/// What goes on when a disk operation has ended.
#[derive(Clone, Debug)]
pub struct PendingDiskWork(DiskWork);

/// What waits for a disk operation.
#[derive(Clone, Debug)]
enum DiskWork {
    /// A snapshot is written.
    Snapshot { job: u64, step: persistence::sink::Step },
    /// A dump is loaded, from this file.
    LoadRdb(FileId),
    /// A copy of the data comes from the primary.
    Transfer(replication::Receiving),
    /// A replica is sent a file.
    Sending { client: u64, work: replication::Sent },
    /// `nodes.conf`.
    NodesConf(cluster::ConfStep),
    /// Nothing waits for it.
    Nothing,
    /// The append-only file.
    Aof(aof::Step),
}

impl Server {
    /// What a listener for the bus of the cluster is for.
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
        server.take_role();
        server
    }

    /// The data, to look at.
    pub fn keyspace(&self) -> &Keyspace {
        &self.service.keyspace
    }

    /// Asks for a disk operation; `work` is what goes on when it has ended.
    fn disk_op(&mut self, what: DiskOp, work: DiskWork) {
        self.service_disk_op(what, PendingDiskWork(work));
    }
}

#[cfg(test)]
mod tests;
