//! The server: clients, configuration, the dispatch of commands, and the commands that administer
//! these things.
//!
//! [`Server`] is a [`Machine`]. Its parts:
//!
//! * `net`: listeners, connections that come and go, what waits to be sent;
//! * [`dispatch`]: from bytes to replies, through the checks and the statistics; `plain`: the same
//!   where nothing can stand against a command, which is nearly always; `ahead`: what the next
//!   requests will look up;
//! * [`table`]: the one table of commands;
//! * [`clients`], [`config`]: what their names say, each with its commands beside it;
//! * `eviction`: what goes when memory is full;
//! * `cron`: what is done because time passes, and the reasons to be woken;
//! * `stats`, `slowlog`, `info`, `memory`, `inspect`: what the server tells about itself;
//! * `commands`, `getkeys`: what COMMAND tells about the table;
//! * `connection`, `basics`, `debug`: commands that fit nowhere else;
//! * `shutdown`: how it ends.
//!
//! * `transactions`, `pubsub`, `blocking`, `monitor`: what binds clients to keys and to each other.
//!
//! * `migrate`: keys that move to another server;
//! * `propagate`: from what commands changed to those who follow: `aof`, `replication`;
//! * `persistence`: snapshots, and loading.
//!
//! Commands on data are not here but in [`command`](crate::command).

mod ahead;
pub mod aof;
mod basics;
mod blocking;
pub mod clients;
mod commands;
pub mod config;
mod connection;
mod cron;
mod debug;
pub mod dispatch;
mod eviction;
pub mod getkeys;
mod info;
pub mod inspect;
mod memory;
mod migrate;
mod monitor;
mod net;
mod pause;
mod persistence;
mod plain;
mod propagate;
mod pubsub;
mod replication;
mod shutdown;
pub mod slowlog;
pub mod stats;
pub mod table;
mod transactions;

use std::collections::VecDeque;
use std::sync::Arc;

use clients::{Clients, Due};
pub use config::{Config, ConfigError};
use net::Listeners;
use pause::Pause;
pub use replication::{BacklogView, PrimaryView, ReplicaView, ReplicationView};
use slowlog::Slowlog;
use stats::Stats;
use table::Names;

use crate::command::Effects;
use crate::command::effects;
use crate::machine::{
    ConnId, DiskDone, DiskError, DiskOp, FileId, Input, LogLevel, LogLine, Machine, OpId, Outbox,
    Output, Vitals,
};
use crate::resp::reply::Scratch;
use crate::rng::Rng;
use crate::sorted::{SortedMap, SortedSet};
use crate::store::Keyspace;
use crate::time::{Duration, Mono, Now, Wall};

/// The version of Redis whose behaviour this is.
pub const VERSION: &str = "7.2.6";

/// The version of Limpid.
pub const LIMPID_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a server cannot know by itself.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where its randomness comes from.
    pub seed: u64,
    /// Its process id.
    pub pid: u32,
    /// The path of its program.
    pub executable: String,
    /// Its working directory when it starts; its driver has gone to `dir` already.
    pub directory: String,
    /// System, release and machine, as `uname -srm` prints them.
    pub os: String,
    /// The width of a pointer in bits.
    pub arch_bits: u32,
    /// How the driver waits for events.
    pub multiplexing: String,
    /// Whether a person at a terminal reads the log.
    pub terminal: bool,
}

impl Default for Facts {
    /// Facts of a simulated process.
    fn default() -> Self {
        Self {
            seed: 0,
            pid: 1,
            executable: "/usr/local/bin/redis-server".into(),
            directory: "/".into(),
            os: "Limpid virtual x86_64".into(),
            arch_bits: 64,
            multiplexing: "virtual".into(),
            terminal: false,
        }
    }
}

/// A Redis-compatible server.
#[derive(Clone, Debug)]
pub struct Server {
    config: Arc<Config>,
    facts: Arc<Facts>,
    names: Names,
    keyspace: Keyspace,
    clients: Clients,
    listeners_open: Listeners,
    effects: Effects,
    /// Who listens to effects.
    listeners: effects::Listeners,
    rng: Rng,
    scratch: Scratch,
    /// Outputs, but for the news that outboxes hold bytes.
    outputs: VecDeque<Output>,
    /// Slots of clients whose outbox holds bytes that the driver does not know of.
    to_send: VecDeque<u32>,
    /// The same of clients that wait for nothing of what their outbox holds.
    to_send_soon: VecDeque<u32>,
    /// Slots of clients that have more to do than one turn allows.
    pending: VecDeque<u32>,
    pause: Pause,
    watches: transactions::Watches,
    pubsub: pubsub::Pubsub,
    eviction: eviction::Eviction,
    waiting: blocking::Waiting,
    /// Slots of clients that look on (MONITOR).
    monitors: SortedSet<u32>,
    /// Whether an EXEC is at work.
    executing: bool,
    stats: Stats,
    slowlog: Slowlog,
    /// From how many nanoseconds on a command is worth a note.
    slow: Option<u64>,
    vitals: Vitals,
    run_id: [u8; 40],
    replication: replication::Replication,
    started: Mono,
    started_wall: Wall,
    /// The last moment that was told.
    now: (Mono, Wall),
    /// Whether it pays to prefetch the keys of the next requests, judged by the last ones.
    prefetch_pays: bool,
    /// When the command before ended, in nanoseconds from the start of the input at hand.
    elapsed: u64,
    /// For how many nanoseconds the server has been told to stand still since the start of the
    /// input at hand: what comes behind that is later.
    stalled: u64,
    /// Changes since the last save.
    dirty: u64,
    /// Whether keys expire by themselves (DEBUG SET-ACTIVE-EXPIRE).
    active_expire: bool,
    /// Whether nothing is done because time passes (DEBUG PAUSE-CRON).
    cron_paused: bool,
    /// The working directory.
    directory: String,
    /// Keys that had expired when statistics began anew.
    expired_before: u64,
    /// A CONFIG SET that waits for its listeners.
    relisten: Option<config::commands::Change>,
    /// What is to be done when a disk operation has ended.
    disk: SortedMap<OpId, DiskWork>,
    last_op: u64,
    last_file: u64,
    persistence: persistence::Persistence,
    shutdown: shutdown::Shutdown,
    aof: aof::Aof,
    migration: migrate::Migration,
    /// Connections that were asked for.
    last_conn: u64,
    schedule: cron::Schedule,
    /// Whether some client's outbox is above the soft limit.
    watch_outboxes: bool,
    /// `tcp-keepalive` as the driver knows it.
    keepalive: u32,
}

/// What waits for a disk operation.
#[derive(Clone, Debug)]
enum DiskWork {
    /// CONFIG REWRITE reads the old file.
    LoadConfig { client: u64, path: String },
    /// CONFIG REWRITE writes the new file.
    ReplaceConfig { client: u64 },
    /// CONFIG SET dir.
    ChangeDir { change: config::commands::Change, path: String },
    /// A snapshot is written.
    Snapshot { job: u64, step: persistence::sink::Step },
    /// A dump is loaded, from this file.
    LoadRdb(FileId),
    /// A copy of the data comes from the primary.
    Transfer(replication::Receiving),
    /// A replica is sent a file.
    Sending { client: u64, work: replication::Sent },
    /// Nothing waits for it.
    Nothing,
    /// The append-only file.
    Aof(aof::Step),
}

impl Server {
    /// A server that has not started yet.
    pub fn new(config: Config, facts: Facts) -> Self {
        let mut rng = Rng::new(facts.seed);
        let (run_id, stream_id) = (rng.hex40(), rng.hex40());
        let keyspace = Keyspace::new(config.settings().data.databases, rng.u64());
        let mut server = Self {
            names: Names::new(config.renames()),
            keyspace,
            clients: Clients::default(),
            listeners_open: Listeners::default(),
            effects: Effects::default(),
            listeners: effects::Listeners::default(),
            rng,
            scratch: Scratch::default(),
            outputs: VecDeque::new(),
            to_send: VecDeque::new(),
            to_send_soon: VecDeque::new(),
            pending: VecDeque::new(),
            pause: Pause::default(),
            watches: transactions::Watches::default(),
            pubsub: pubsub::Pubsub::default(),
            eviction: eviction::Eviction::default(),
            waiting: blocking::Waiting::default(),
            monitors: SortedSet::new(),
            executing: false,
            stats: Stats::default(),
            slowlog: Slowlog::default(),
            slow: None,
            vitals: Vitals::default(),
            run_id,
            replication: replication::Replication::new(stream_id),
            started: Mono::ZERO,
            started_wall: Wall::default(),
            now: (Mono::ZERO, Wall::default()),
            prefetch_pays: false,
            elapsed: 0,
            stalled: 0,
            dirty: 0,
            active_expire: true,
            cron_paused: false,
            directory: facts.directory.clone(),
            expired_before: 0,
            relisten: None,
            disk: SortedMap::new(),
            last_op: 0,
            last_file: 0,
            persistence: persistence::Persistence::default(),
            shutdown: shutdown::Shutdown::default(),
            aof: aof::Aof::default(),
            migration: migrate::Migration::default(),
            last_conn: 0,
            schedule: cron::Schedule::default(),
            watch_outboxes: false,
            keepalive: config.settings().tcp_keepalive,
            config: Arc::new(config),
            facts: Arc::new(facts),
        };
        server.config_changed();
        server.take_role();
        server
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The data, to look at.
    pub fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.facts.pid
    }

    /// Brings what is derived from the configuration up to date.
    fn config_changed(&mut self) {
        use crate::store::AccessPolicy;
        let data = &self.config.settings().data;
        self.keyspace.env.access = if data.maxmemory_policy.is_lfu() {
            AccessPolicy::Lfu {
                log_factor: u32::try_from(data.lfu_log_factor).unwrap_or(u32::MAX),
                decay_minutes: u32::try_from(data.lfu_decay_time).unwrap_or(u32::MAX),
            }
        } else {
            AccessPolicy::Lru
        };
        self.listeners.events = self.config.settings().notify_keyspace_events;
        self.followers_changed();
        self.aof_settings_changed();
        self.eviction.forget();
        self.eviction.going_on = self.config.settings().maxmemory > 0;
        self.replication_config_changed();
        self.delays_changed();
        self.slowness_changed();
        let keepalive = self.config.settings().tcp_keepalive;
        if core::mem::replace(&mut self.keepalive, keepalive) != keepalive {
            let after = (keepalive > 0).then(|| Duration::from_secs(keepalive.into()));
            self.outputs.push_back(Output::KeepAlive(after));
        }
    }

    fn start(&mut self, now: Now<'_>) {
        self.started = now.mono;
        self.started_wall = now.wall;
        self.persistence.saves.last = now.wall.as_secs();
        let starting =
            |text: String| Output::Log(LogLine { level: LogLevel::Notice, role: 'C', text });
        let pid = self.facts.pid;
        let bits = self.facts.arch_bits;
        let lines = [
            "oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo".to_owned(),
            format!(
                "Redis version={VERSION}, bits={bits}, commit=00000000, modified=0, pid={pid}, \
                 just started"
            ),
            match &self.config.file {
                Some(_) => "Configuration loaded".to_owned(),
                None => format!(
                    "Warning: no config file specified, using the default config. In order to \
                     specify a config file use {} /path/to/redis.conf",
                    self.facts.executable
                ),
            },
        ];
        self.outputs.extend(lines.into_iter().map(starting));
        self.notice(|| "monotonic clock: POSIX clock_gettime".to_owned());
        let port = self.config.settings().port;
        let settings = self.config.settings();
        let to_terminal =
            self.facts.terminal && settings.logfile.is_empty() && !settings.syslog_enabled;
        if settings.always_show_logo || to_terminal {
            let lines = [
                format!("Limpid {LIMPID_VERSION} - Redis {VERSION} - {bits} bit"),
                "Running in standalone mode".to_owned(),
                format!("Port: {port}"),
                format!("PID: {pid}"),
            ];
            for line in lines {
                self.notice(|| line);
            }
        } else {
            self.notice(|| format!("Running mode=standalone, port={port}."));
        }
        for warning in self.config.warnings() {
            self.log(LogLevel::Warning, || warning);
        }
        self.listen();
    }

    /// Asks for a disk operation; `work` is what goes on when it has ended.
    fn disk_op(&mut self, what: DiskOp, work: DiskWork) {
        self.last_op += 1;
        let op = OpId(self.last_op);
        self.disk.insert(op, work);
        self.outputs.push_back(Output::Disk { op, what });
    }

    /// Goes on with what waited for a disk operation.
    fn disk_done(&mut self, now: Now<'_>, work: DiskWork, result: Result<DiskDone, DiskError>) {
        match work {
            DiskWork::LoadConfig { client, path } => self.config_read(now, client, path, result),
            DiskWork::ReplaceConfig { client } => self.config_written(now, client, result),
            DiskWork::ChangeDir { change, path } => {
                self.directory_changed(now, &change, &path, result);
            }
            DiskWork::Snapshot { job, step } => self.snapshot_disk_done(now, job, step, result),
            DiskWork::LoadRdb(file) => self.load_disk_done(now, file, result),
            DiskWork::Transfer(work) => self.transfer_disk_done(now, work, result),
            DiskWork::Sending { client, work } => {
                self.sending_disk_done(now, client, work, result);
            }
            DiskWork::Aof(step) => self.aof_disk_done(now, step, result),
            DiskWork::Nothing => {}
        }
    }

    /// Writes a line to the log, if its level is wanted.
    fn log(&mut self, level: LogLevel, text: impl FnOnce() -> String) {
        self.log_as(self.role(), level, text);
    }

    /// Who speaks in the log: a master or a replica.
    fn role(&self) -> char {
        if self.replication.is_replica() { 'S' } else { 'M' }
    }

    /// Writes a line to the log as somebody else (see [`LogLine::role`]).
    fn log_as(&mut self, role: char, level: LogLevel, text: impl FnOnce() -> String) {
        if self.config.settings().loglevel.is_some_and(|least| level >= least) {
            self.outputs.push_back(Output::Log(LogLine { level, role, text: text() }));
        }
    }

    fn notice(&mut self, text: impl FnOnce() -> String) {
        self.log(LogLevel::Notice, text);
    }
}

impl Machine for Server {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        self.now = (now.mono, now.wall);
        self.elapsed = 0;
        self.stalled = 0;
        let commands = self.stats.commands_processed;
        match input {
            Input::Start => self.start(now),
            Input::Wake => self.background(now),
            Input::Listening { listener, result } => self.listening(now, listener, result),
            Input::Accepted { conn, listener, peer, local } => {
                self.accepted(now, conn, listener, peer, local);
            }
            Input::Received { conn, bytes } => self.received(now, conn, bytes),
            Input::Ended { conn } => self.ended(now, conn),
            Input::Drained { conn } => self.drained(now, conn),
            Input::Closed { conn, error } => self.closed(now, conn, error),
            Input::Connected { conn, .. } if self.is_migrate_conn(conn) => {
                self.migrate_connected(now, conn);
            }
            Input::Connected { conn, local, peer } => {
                self.link_connected(now, conn, local, peer);
            }
            Input::ConnectFailed { conn, error } if self.is_migrate_conn(conn) => {
                self.migrate_closed(now, conn, error);
            }
            Input::ConnectFailed { conn, error } => self.connect_failed(conn, error),
            Input::Disk { op, result } => {
                if let Some(work) = self.disk.remove(&op) {
                    self.disk_done(now, work, result);
                }
            }
            Input::Signal(signal) => self.signal(signal),
            Input::Vitals(vitals) => self.vitals = vitals,
        }
        self.go_on_shutting_down(now);
        self.cron(now);
        let commands = self.stats.commands_processed.saturating_sub(commands);
        self.stats.cycles.count(commands, self.elapsed, now.nanos());
    }

    fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.aof.has_news() {
            // Everything that was ready has been handled: what it changed is written in one go,
            // before any reply leaves.
            self.pump_log();
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
        }
        if self.is_halfway() {
            return None;
        }
        if self.is_unwritten() {
            self.keep_all_unwritten();
        }
        while let Some(slot) = self.to_send.pop_front() {
            if let Some(client) = self.clients.get_mut(slot)
                && client.sending == Due::Now
            {
                client.sending = Due::No;
                self.stats.writes += 1;
                return Some(Output::Send { conn: client.conn });
            }
        }
        while let Some(slot) = self.to_send_soon.pop_front() {
            if let Some(client) = self.clients.get_mut(slot)
                && client.sending == Due::Soon
            {
                client.sending = Due::No;
                self.stats.writes += 1;
                return Some(Output::SendSoon { conn: client.conn });
            }
        }
        None
    }

    #[inline]
    fn prefetch<'b>(&mut self, arrived: impl Iterator<Item = (ConnId, &'b [u8])>) {
        if self.prefetch_pays {
            self.look_ahead(arrived);
        }
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.next_wake()
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        let Some(slot) = self.clients.slot(conn) else {
            if self.is_migrate_conn(conn) {
                return self.migrate_outbox(conn);
            }
            return self.link_outbox(conn);
        };
        Some(&mut self.clients.get_mut(slot)?.outbox)
    }
}

#[cfg(test)]
mod tests;
