//! The front: what every program that serves clients of the Redis protocol has in common.
//!
//! [`Front`] is a [`Machine`]: listeners, connections, parsing requests, sending replies,
//! dispatching commands through a table, and everything about clients and commands in general:
//! CLIENT, COMMAND, CONFIG, HELLO, AUTH, the frame of INFO, pub/sub, MONITOR, SLOWLOG, statistics.
//! It knows nothing about keys, files or replication. What a program does with its commands is
//! defined by a [`Service`], which the front holds and calls:
//!
//! ```text
//!   driver ── Input ──▶ Front<S> ── hooks ──▶ S: Service      Server   = Front<Redis>
//!          ◀─ Output ──          ◀─ methods ─                 Sentinel = Front<…>
//! ```
//!
//! A hook is an associated function of [`Service`] that gets the whole front, so that it can answer
//! clients, log, connect and read the configuration; most have a default. Everything is
//! monomorphised, so a hook costs no more than a function call.
//!
//! The modules, each using only those above it:
//!
//! * [`stats`]: counters and rates;
//! * [`info_text`]: the writer for the text of INFO;
//! * [`config`]: directives: reading, checking, rewriting files;
//! * [`service`], [`clients`], [`table`], [`names`], [`call`], `obstacles`: the core types: the
//!   trait of a program, a client's state, commands and how they are found, one call, and the
//!   checks that can refuse or delay a command. They refer to each other, as a trait and the types
//!   with that parameter do;
//! * `log`, `disk`, `listeners`, `output`, `pause`: the log, disk operations, listeners, output
//!   buffers, CLIENT PAUSE;
//! * `acl`: which client is logged in as which user, and enforcing the rules of [`crate::acl`];
//! * `pubsub`, `tracking`, `monitor`: messages to clients that are not replies;
//! * [`slowlog`], `latency`: slow commands and events;
//! * `dispatch`: executing requests, through the checks;
//! * `connections`: accepting, reading and closing client connections;
//! * `cron`: periodic tasks;
//! * `start`: the first lines of the log;
//! * `commands`, `tracking_commands`, `client_commands`, `config_commands`, `acl_commands`: COMMAND,
//!   CLIENT, CONFIG, ACL;
//! * `connection`, `latency_commands`: commands on the connection itself, and LATENCY;
//! * [`info`], `shutdown`: INFO and SHUTDOWN.
//!
//! A service composes its table from [`Rows`] of the front and rows of its own.

mod acl;
mod acl_commands;
pub mod call;
mod client_commands;
pub mod clients;
mod commands;
pub mod config;
mod config_commands;
mod connection;
mod connections;
mod cron;
mod disk;
mod dispatch;
pub mod info;
pub mod info_text;
pub mod latency;
mod latency_commands;
mod listeners;
mod log;
mod monitor;
pub mod names;
mod obstacles;
mod output;
mod pause;
mod pubsub;
pub mod service;
mod shutdown;
pub mod slowlog;
mod start;
pub mod stats;
pub mod table;
mod tracking;
mod tracking_commands;

use std::collections::VecDeque;
use std::sync::Arc;

pub use call::{Call, Handler, container, row};
pub(crate) use clients::ChannelKind;
pub use clients::{
    Client, ClientKind, ClientState, Clients, CloseState, Flush, ReplyMode, Subscriptions,
};
pub use config::{Config, Permission, ShutdownOptions};
pub(crate) use config_commands::joined;
pub(crate) use disk::DiskWork;
pub(crate) use listeners::{Listeners, bind_name};
pub use names::Names;
pub use obstacles::{Check, Obstacles};
pub(crate) use pause::{Pause, PauseReason};
pub(crate) use pubsub::{Pubsub, Push};
pub use service::{Admission, ChildNews, PeerInput, Purpose, Service};
pub use table::{Command, Rows, Run, Table};
pub(crate) use tracking::TrackingTable;

use crate::machine::{ConnId, Input, Machine, OpId, Outbox, Output, Vitals};
use crate::resp::reply::Scratch;
use crate::rng::Rng;
use crate::sorted::{SortedMap, SortedSet};
use crate::time::{Mono, Now, Wall};
use latency::LatencyMonitor;
use slowlog::Slowlog;
use stats::Stats;

/// The version of Redis that is reported to clients.
pub const VERSION: &str = "7.2.6";

/// The version of Limpid.
pub const LIMPID_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Facts about the process that only its driver knows.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The seed of the random number generator.
    pub seed: u64,
    /// The process id.
    pub pid: u32,
    /// The path of the executable.
    pub executable: String,
    /// The working directory at the start, after the driver has changed to `dir`.
    pub directory: String,
    /// System, release and machine, as `uname -srm` prints them.
    pub os: String,
    /// The width of a pointer in bits (`arch_bits` of INFO).
    pub arch_bits: u32,
    /// How the driver waits for events (`multiplexing_api` of INFO).
    pub multiplexing: String,
    /// Whether the log goes to a terminal.
    pub terminal: bool,
    /// The environment, which child processes inherit.
    pub environment: Vec<(String, String)>,
}

impl Default for Facts {
    /// The facts of a process in a World.
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
            environment: Vec::new(),
        }
    }
}

/// A program that serves clients: the front, and the [`Service`] behind it.
#[derive(Clone, Debug)]
pub struct Front<S: Service> {
    /// The program's own state.
    pub(crate) service: S,
    pub(crate) config: Arc<Config<S::Schema>>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) names: Names<S>,
    pub(crate) clients: Clients<S>,
    /// Total memory of ordinary clients in bytes, if `maxmemory-clients` limits it.
    pub(crate) client_memory: Option<u64>,
    /// [`output::MAX_UNSENT`], lowered by tests.
    pub(crate) max_unsent: usize,
    pub(crate) listeners: Listeners,
    pub(crate) rng: Rng,
    pub(crate) scratch: Scratch,
    /// Outputs other than [`Output::Send`] and [`Output::SendSoon`].
    pub(crate) outputs: VecDeque<Output>,
    /// Slots of clients for which the driver has to be asked to send.
    pub(crate) to_send: VecDeque<u32>,
    /// The same for clients whose outboxes hold only messages that they have not asked for.
    pub(crate) to_send_soon: VecDeque<u32>,
    /// Slots of clients that have more requests than one event-loop iteration executes.
    pub(crate) pending: VecDeque<u32>,
    pub(crate) pause: Pause,
    pub(crate) acl: acl::Acl,
    pub(crate) pubsub: Pubsub,
    pub(crate) tracking: TrackingTable,
    /// Slots of clients in MONITOR.
    pub(crate) monitors: SortedSet<u32>,
    pub(crate) stats: Stats,
    pub(crate) slowlog: Slowlog,
    pub(crate) latency: LatencyMonitor,
    /// The shortest duration in nanoseconds that is slow for any of the slow log, the latency
    /// monitor and the watchdog.
    pub(crate) slow: Option<u64>,
    pub(crate) vitals: Vitals,
    pub(crate) run_id: [u8; 40],
    pub(crate) started: Mono,
    pub(crate) started_wall: Wall,
    /// The time of the last input.
    pub(crate) now: (Mono, Wall),
    /// When the last command ended, in nanoseconds from the start of the current input.
    pub(crate) elapsed: u64,
    /// For how many nanoseconds DEBUG SLEEP has stopped the process since the start of the current
    /// input, so that the time is later by as much.
    pub(crate) stalled: u64,
    pub(crate) saves: config::ConfigSaves,
    /// A CONFIG SET that waits for its listeners.
    pub(crate) relisten: Option<config::Change<S::Schema>>,
    /// What to continue when a disk operation has completed.
    pub(crate) disk: SortedMap<OpId, DiskWork<S>>,
    pub(crate) last_op: u64,
    /// The number of the last outgoing connection.
    pub(crate) last_conn: u64,
    /// When the clients are next checked for timeouts and output limits.
    pub(crate) clients_due: Option<Mono>,
    /// Whether some client's outbox is above the soft limit.
    pub(crate) watch_outboxes: bool,
    /// `tcp-keepalive` as last set in the driver.
    pub(crate) keepalive: u32,
    /// The working directory.
    pub(crate) directory: String,
    /// The state of a shutdown.
    pub(crate) shutdown: shutdown::Shutdown,
}

impl<S: Service> Front<S> {
    /// A front that has not started yet. `service` creates the program behind it, from the
    /// configuration and the random number generator.
    pub(crate) fn with(
        config: Config<S::Schema>,
        facts: Facts,
        service: impl FnOnce(&Config<S::Schema>, &mut Rng) -> S,
    ) -> Self {
        let mut rng = Rng::new(facts.seed);
        let run_id = rng.hex40();
        let service = service(&config, &mut rng);
        let mut front = Self {
            service,
            names: Names::new(S::table(), config.renames()),
            clients: Clients::default(),
            client_memory: None,
            max_unsent: output::MAX_UNSENT,
            listeners: Listeners::default(),
            rng,
            scratch: Scratch::default(),
            outputs: VecDeque::new(),
            to_send: VecDeque::new(),
            to_send_soon: VecDeque::new(),
            pending: VecDeque::new(),
            pause: Pause::default(),
            acl: acl::Acl::new(S::table()),
            pubsub: Pubsub::default(),
            tracking: TrackingTable::default(),
            monitors: SortedSet::new(),
            stats: Stats::new(S::table().all().len()),
            slowlog: Slowlog::default(),
            latency: LatencyMonitor::default(),
            slow: None,
            vitals: Vitals::default(),
            run_id,
            started: Mono::ZERO,
            started_wall: Wall::default(),
            now: (Mono::ZERO, Wall::default()),
            elapsed: 0,
            stalled: 0,
            saves: config::ConfigSaves::default(),
            relisten: None,
            disk: SortedMap::new(),
            last_op: 0,
            last_conn: 0,
            clients_due: None,
            watch_outboxes: false,
            keepalive: config.front().tcp_keepalive,
            directory: facts.directory.clone(),
            shutdown: shutdown::Shutdown::default(),
            config: Arc::new(config),
            facts: Arc::new(facts),
        };
        front.config_changed();
        front
    }

    /// The configuration.
    pub fn config(&self) -> &Config<S::Schema> {
        &self.config
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.facts.pid
    }

    /// Time since the start.
    pub(crate) fn uptime(&self) -> crate::time::Duration {
        self.now.0.since(self.started)
    }

    /// The id for a new outgoing connection.
    pub(crate) fn new_conn(&mut self) -> ConnId {
        self.last_conn += 1;
        ConnId::connected(self.last_conn)
    }

    /// Exits the process.
    pub(crate) fn exit(&mut self, code: i32) {
        self.outputs.push_back(Output::Exit { code });
    }

    /// `now`, later by the time for which DEBUG SLEEP has stopped the process since `began`.
    #[inline]
    pub(crate) fn after_stall<'n>(&self, began: u64, now: Now<'n>) -> Now<'n> {
        let stalled = self.stalled.saturating_sub(began);
        let mut later = now;
        later.mono = Mono(now.mono.0.saturating_add(stalled));
        later.wall = Wall(now.wall.0.saturating_add(stalled / 1_000));
        later
    }
}

impl<S: Service> Machine for Front<S> {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        self.now = (now.mono, now.wall);
        self.elapsed = 0;
        self.stalled = 0;
        let commands = self.stats.commands_processed;
        match input {
            Input::Start => {
                (self.started, self.started_wall) = (now.mono, now.wall);
                S::start(self, now);
            }
            Input::Wake => S::wake(self, now),
            Input::Listening { listener, result } => self.listening(now, listener, result),
            Input::Accepted { conn, listener, peer, local } => {
                self.accepted(now, conn, listener, peer, local);
            }
            Input::Received { conn, bytes } => self.received(now, conn, bytes),
            Input::Ended { conn } => self.ended(now, conn),
            Input::Drained { conn } => self.drained(now, conn),
            Input::Closed { conn, error } => self.closed(now, conn, error),
            Input::Connected { conn, local, peer } => {
                S::peer(self, now, conn, PeerInput::Connected { local, peer });
            }
            Input::ConnectFailed { conn, error } => {
                S::peer(self, now, conn, PeerInput::ConnectFailed(error));
            }
            Input::Disk { op, result } => self.disk_done(now, op, result),
            Input::Signal(signal) => S::signal(self, signal),
            Input::Vitals(vitals) => self.vitals = vitals,
            Input::OomScore { result } => S::oom_score_adjusted(self, now, result),
            Input::Spawned { child, result } => {
                S::child(self, now, child, ChildNews::Spawned(result));
            }
            Input::ChildChanged { child, change } => {
                S::child(self, now, child, ChildNews::Changed(change));
            }
            // The end of a child follows a signal to it; a server reads no streams.
            _ => {}
        }
        S::cron(self, now);
        let commands = self.stats.commands_processed.saturating_sub(commands);
        self.stats.cycles.count(commands, self.elapsed, now.nanos());
    }

    fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if !S::before_sending(self) {
            return self.outputs.pop_front();
        }
        self.next_send()
    }

    #[inline]
    fn prefetch<'b>(&mut self, arrived: impl Iterator<Item = (ConnId, &'b [u8])>) {
        S::prefetch(self, arrived);
    }

    fn poll_timeout(&self) -> Option<Mono> {
        S::next_wake(self)
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        match self.clients.slot(conn) {
            Some(slot) => Some(&mut self.clients.get_mut(slot)?.outbox),
            None => S::outbox(self, conn),
        }
    }
}

#[cfg(test)]
mod tests;
