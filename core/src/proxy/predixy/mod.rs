//! predixy: groups of primaries and replicas that Sentinels tell of, or a Cluster, behind one
//! address. Clients notice a failover or a move of slots by its latency at most.
//!
//! It behaves as predixy 1.0.5. What that loses or garbles is not copied: names of commands of any
//! length, keys of any length, an error instead of nil or 0 where a server is down, and a refusal
//! where keys of several groups would have been answered for the first one's group only. All of
//! publish and subscribe goes through the first group, so that no message is lost between groups.
//!
//! * [`config`] reads `predixy.conf`, `command` has the table of commands;
//! * `pool` knows the servers, `watch` keeps that knowledge up to date (Sentinels, `CLUSTER NODES`,
//!   redirections);
//! * `hold` keeps requests while their primary is being replaced;
//! * `serve` is what becomes of clients' requests, `info` what INFO and CONFIG tell.

mod command;
pub mod config;
mod hold;
mod info;
mod pool;
mod serve;
#[cfg(test)]
mod tests;
mod watch;

pub use command::{Command, Commands};
use config::Auth;
pub use config::{Config, ConfigError};

use self::hold::{Holding, is_refusal};
use self::info::Latency;
use self::pool::{Role, Topology};
use super::engine::{
    self, ClientId, Engine, Flow, Gone, Left, LinkId, Lost, Owner, Pending, Rule, Verdict, Welcome,
};
use super::request::{Request, write};
use super::{PoolView, Proxy, ServerView, View};
use crate::machine::{
    ConnId, DiskDone, DiskError, Endpoint, ListenerId, LogLevel, NetError, OpId, Output, SIGNALLED,
    Signal, Vitals,
};
use crate::rng::Rng;
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono, Now, Wall, earliest};

/// The version of predixy whose behaviour this is.
pub const VERSION: &str = "1.0.5";

/// Bits of a SCAN cursor that tell the group.
const GROUP_BITS: u32 = 10;

/// How many groups there may be.
pub(super) const MAX_GROUPS: usize = 1 << GROUP_BITS;

/// How often a request follows MOVED and ASK.
const MAX_HOPS: u8 = 5;

/// How often clients are looked at that are silent for too long.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// The rule of predixy.
#[derive(Clone, Debug)]
pub struct Predixy {
    config: Config,
    topology: Topology,
    rng: Rng,
    started: Wall,
    listener: Option<ListenerId>,
    /// When the topology is asked for next.
    refresh_at: Mono,
    /// When clients are looked at next.
    idle_at: Mono,
    stats: Stats,
    latencies: Vec<Latency>,
    vitals: Vitals,
    /// The connection on which a Sentinel tells of failovers at once.
    events: Option<LinkId>,
    /// Requests that wait for a primary.
    holding: Holding,
    reload: Option<watch::Reload>,
    last_op: u64,
}

/// What INFO tells of the proxy.
#[derive(Clone, Debug, Default)]
struct Stats {
    accept: u64,
    requests: u64,
    responses: u64,
    recv_client_bytes: u64,
    send_client_bytes: u64,
    recv_server_bytes: u64,
    send_server_bytes: u64,
}

/// What is kept of a client.
#[derive(Clone, Debug, Default)]
pub struct ClientData {
    /// The database.
    db: u16,
    /// The client's `Authority`; `None` for the one without a password.
    auth: Option<usize>,
    /// A connection of its own.
    private: Option<LinkId>,
    /// Whether it watches keys.
    watching: bool,
    /// Whether it has sent MULTI.
    multi: bool,
    /// Whether it waits for messages.
    subscribed: bool,
    /// Whether it waits for an element of a list.
    blocked: bool,
    /// The request by which it stops listening, and how many answers to it are missing.
    leaving: Option<(Owner, usize)>,
}

/// What is kept of a connection to a server.
#[derive(Clone, Copy, Debug)]
pub struct LinkData {
    server: usize,
    db: u16,
    /// The client whose own it is.
    client: Option<ClientId>,
    /// Whether it is shared by all.
    shared: bool,
}

type PredixyEngine = Engine<Predixy>;

/// The server of a connection whose server has left the configuration: it is closed when what was
/// asked on it is answered.
const RETIRED: usize = usize::MAX;

/// What the proxy itself asks servers.
mod ask {
    /// The password.
    pub(super) const AUTH: u32 = 1;
    /// The database.
    pub(super) const SELECT: u32 = 2;
    /// To be allowed to read from a replica of a Cluster.
    pub(super) const READONLY: u32 = 3;
    /// To be served a slot that is moving.
    pub(super) const ASKING: u32 = 4;
    /// The whole Cluster.
    pub(super) const NODES: u32 = 5;
    /// Messages of failovers.
    pub(super) const EVENTS: u32 = 6;
    /// Something for a client that has the connection to itself.
    pub(super) const PASS: u32 = 7;
    /// The other Sentinels, of the group that is added to this.
    pub(super) const SENTINELS: u32 = 1 << 16;
    /// The primary of the group that is added to this.
    pub(super) const MASTER: u32 = 2 << 16;
    /// The replicas of the group that is added to this.
    pub(super) const SLAVES: u32 = 3 << 16;
}

/// The number of a command that the proxy sends by itself.
const OWN: u16 = u16::MAX;

const CLOSED: &[u8] = b"-ERR server connection close\r\n";
const NO_CONNECTION: &[u8] = b"-ERR no server connection avaliable\r\n";
const NO_SERVER: &[u8] = b"-ERR no server avaliable\r\n";

/// A predixy as a machine.
pub fn machine(config: Config, seed: u64) -> Proxy<Predixy> {
    Proxy::new(Predixy::new(config, seed))
}

impl Predixy {
    /// The rule that a configuration describes.
    pub fn new(config: Config, seed: u64) -> Predixy {
        Predixy {
            topology: Topology::new(&config),
            latencies: vec![Latency::default(); config.monitors.len()],
            rng: Rng::new(seed),
            started: Wall(0),
            listener: None,
            refresh_at: Mono::ZERO,
            idle_at: Mono::ZERO,
            stats: Stats::default(),
            vitals: Vitals::default(),
            events: None,
            holding: Holding::default(),
            reload: None,
            last_op: 0,
            config,
        }
    }

    /// A new connection to a server: with its password, the database, and what else it needs.
    fn open(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        server: usize,
        db: u16,
        shared: bool,
    ) -> Option<LinkId> {
        let known = self.topology.servers.get_mut(server)?;
        known.stats.connect += 1;
        let timeout = if shared { self.config.pool.server_timeout } else { None };
        let data = LinkData { server, db, client: None, shared };
        let link = engine.open(known.address.clone(), timeout, data);
        let mut send = |tag, args: &[&[u8]]| {
            let mut request = Vec::new();
            write(&mut request, args.iter().copied());
            engine.send(now.mono, link, Owner::Rule(tag), OWN, [&request]);
        };
        if let Some(password) = &known.password {
            send(ask::AUTH, &[b"AUTH", password.as_bytes()]);
        }
        if db > 0 {
            send(ask::SELECT, &[b"SELECT", db.to_string().as_bytes()]);
        }
        if known.role == Role::Slave && self.topology.is_cluster() {
            send(ask::READONLY, &[b"READONLY"]);
        }
        Some(link)
    }

    /// The connection to a server that all clients share; `None` if it is left alone for now.
    #[inline]
    fn shared(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        server: usize,
        db: u16,
    ) -> Option<LinkId> {
        let known = self.topology.servers.get_mut(server)?;
        if let Some(link) = known.shared.get(&db) {
            return Some(*link);
        }
        if !known.may_try(now.mono, &self.config.pool) {
            return None;
        }
        if known.shared.is_empty() && known.stats.connect == 0 {
            let text = format!("h 0 create connection pool for server {}", known.text);
            engine.log(LogLevel::Notice, text);
        }
        let link = self.open(engine, now, server, db, true)?;
        self.topology.servers.get_mut(server)?.shared.insert(db, link);
        Some(link)
    }

    /// A connection to a server that a client has to itself.
    fn private(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        server: usize,
        db: u16,
    ) -> Option<LinkId> {
        let known = self.topology.servers.get_mut(server)?;
        let link = match known.idle.iter().position(|(of, _)| *of == db) {
            Some(place) => known.idle.swap_remove(place).1,
            None if !known.may_try(now.mono, &self.config.pool) => return None,
            None => self.open(engine, now, server, db, false)?,
        };
        engine.link_mut(link)?.data.client = Some(client);
        engine.client_mut(client)?.data.private = Some(link);
        Some(link)
    }

    /// Takes a client's own connection away from it. It is used again unless it may be in a state of
    /// its own.
    fn release(&mut self, engine: &mut PredixyEngine, client: ClientId, clean: bool) {
        let Some(known) = engine.client_mut(client) else { return };
        let data = &mut known.data;
        (data.watching, data.multi, data.subscribed, data.blocked) = (false, false, false, false);
        let Some(link) = data.private.take() else { return };
        if clean {
            self.give_back(engine, link);
        } else {
            engine.close(link);
        }
    }

    /// Counts the latency of a request.
    #[inline]
    fn measure(&mut self, now: Now<'_>, server: Option<usize>, pending: &Pending) {
        if self.config.monitors.is_empty() {
            return;
        }
        let micros = u64::try_from(now.mono.since(pending.at).as_micros()).unwrap_or(u64::MAX);
        for (i, monitor) in self.config.monitors.iter().enumerate() {
            if !monitor.commands.get(usize::from(pending.command)).is_some_and(|on| *on) {
                continue;
            }
            if let Some(latency) = self.latencies.get_mut(i) {
                latency.add(monitor, micros);
            }
            let server = server.and_then(|server| self.topology.servers.get_mut(server));
            if let Some(latency) = server.and_then(|server| server.latencies.get_mut(i)) {
                latency.add(monitor, micros);
            }
        }
    }
}

impl Proxy<Predixy> {
    /// Groups and servers at this moment.
    pub fn view(&self) -> View {
        let (topology, stats) = (&self.rule.topology, &self.rule.stats);
        let mut servers: Vec<ServerView> = topology
            .servers
            .iter()
            .map(|server| ServerView {
                name: server.text.clone(),
                group: server.group.and_then(|i| topology.groups.get(i)).map(|g| g.name.clone()),
                role: server.role.name(),
                weight: 1,
                in_use: server.online && !server.fail,
                requests: server.stats.requests,
                counters: vec![
                    ("Responses", server.stats.responses),
                    ("SendBytes", server.stats.send_bytes),
                    ("RecvBytes", server.stats.recv_bytes),
                ],
                ..ServerView::default()
            })
            .collect();
        for link in self.engine.links() {
            let Some(view) = servers.get_mut(link.data.server) else { continue };
            let queues = link.queues();
            view.connections += 1;
            view.unsent += queues.unsent;
            view.unanswered += queues.unanswered;
        }
        View {
            pools: vec![PoolView {
                name: self.rule.config.name.clone(),
                listen: info::bind(&self.rule.config.bind),
                clients: self.engine.clients_len() as u64,
                counters: vec![
                    ("Accept", stats.accept),
                    ("TotalRequests", stats.requests),
                    ("TotalResponses", stats.responses),
                    ("TotalRecvClientBytes", stats.recv_client_bytes),
                    ("TotalSendServerBytes", stats.send_server_bytes),
                    ("TotalRecvServerBytes", stats.recv_server_bytes),
                    ("TotalSendClientBytes", stats.send_client_bytes),
                ],
                servers,
            }],
        }
    }
}

impl Rule for Predixy {
    type Client = ClientData;
    type Link = LinkData;

    fn start(&mut self, engine: &mut PredixyEngine, now: Now<'_>) {
        self.started = now.wall;
        self.listener = Some(engine.listen(self.config.bind.clone(), 511));
        if self.config.worker_threads > 1 {
            let text = format!(
                "WorkerThreads {} was asked for; one thread serves all clients",
                self.config.worker_threads
            );
            engine.log(LogLevel::Notice, text);
        }
    }

    fn listening(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        listener: ListenerId,
        result: Result<Endpoint, NetError>,
    ) {
        let bind = info::bind(&self.config.bind);
        match result {
            Err(error) if self.listener == Some(listener) => {
                engine.log(LogLevel::Warning, format!("predixy listen in {bind} fail {error}"));
                engine.output(Output::Exit { code: 1 });
            }
            Err(_) => {}
            Ok(_) => {
                engine.log(LogLevel::Notice, format!("predixy listen in {bind}"));
                let text = format!(
                    "predixy running with Name:{} Workers:{}",
                    self.config.name, self.config.worker_threads
                );
                engine.log(LogLevel::Notice, text);
                self.refresh(engine, now);
            }
        }
    }

    fn accepted(
        &mut self,
        _: &mut PredixyEngine,
        _: Now<'_>,
        _: ConnId,
        _: ListenerId,
        _: &Endpoint,
    ) -> Welcome<ClientData> {
        self.stats.accept += 1;
        let auth = self.config.authority.iter().position(|auth| auth.password.is_empty());
        Welcome { data: ClientData { auth, ..ClientData::default() }, inline: true }
    }

    #[inline]
    fn request(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        request: Request<'_>,
    ) -> Flow {
        self.serve(engine, now, client, request)
    }

    fn ended(&mut self, engine: &mut PredixyEngine, client: ClientId) -> bool {
        // No server takes the request that it waits for.
        engine.client(client).is_some_and(|client| client.data.private.is_some())
    }

    fn left(
        &mut self,
        engine: &mut PredixyEngine,
        _: Now<'_>,
        client: &engine::Client<ClientData>,
        _: Left,
    ) {
        if let Some(link) = client.data.private {
            engine.close(link);
        }
    }

    fn connected(&mut self, engine: &mut PredixyEngine, _: Now<'_>, link: LinkId) {
        let Some(data) = engine.link(link).map(|link| link.data) else { return };
        if let Some(server) = self.topology.servers.get_mut(data.server)
            && server.recover()
        {
            let text = format!("h 0 s {} mark server alive", server.text);
            engine.log(LogLevel::Notice, text);
        }
    }

    #[inline]
    fn replied(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        link: LinkId,
        pending: &mut Pending,
        reply: &[u8],
    ) -> Verdict {
        let Some(data) = engine.link(link).map(|link| link.data) else { return Verdict::Taken };
        self.stats.responses += 1;
        self.stats.recv_server_bytes += reply.len() as u64;
        if let Some(server) = self.topology.servers.get_mut(data.server) {
            server.stats.responses += 1;
            server.stats.recv_bytes += reply.len() as u64;
        } else if data.shared && engine.link(link).is_some_and(|link| link.pending().len() == 0) {
            engine.close(link);
        }
        match pending.owner {
            Owner::Rule(tag) => self.answered(engine, now, link, tag, reply),
            Owner::Client { id, .. } => {
                if pending.kept.is_some()
                    && reply.first() == Some(&b'-')
                    && self.follow(engine, now, pending, reply)
                {
                    return Verdict::Taken;
                }
                if pending.kept.is_some()
                    && is_refusal(reply)
                    && let Some(errand) = self.errand_of(pending)
                {
                    self.hold(engine, now, errand, CLOSED);
                    return Verdict::Taken;
                }
                self.stats.send_client_bytes += reply.len() as u64;
                self.measure(now, Some(data.server), pending);
                if data.shared && !self.is_scan(pending.command) {
                    return Verdict::Forward;
                }
                self.finish(engine, id, data, pending, reply)
            }
        }
    }

    fn unasked(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        link: LinkId,
        reply: &[u8],
    ) -> bool {
        if self.events == Some(link) {
            self.event(engine, now, reply);
            return true;
        }
        let Some(client) = engine.link(link).and_then(|link| link.data.client) else {
            return false;
        };
        self.pass(engine, client, reply);
        true
    }

    fn lost(&mut self, engine: &mut PredixyEngine, now: Now<'_>, gone: Gone<LinkData>, why: Lost) {
        let LinkData { server, db, client, .. } = gone.data;
        if self.events == Some(gone.id) {
            self.events = None;
        }
        if let Some(known) = self.topology.servers.get_mut(server) {
            if known.shared.get(&db) == Some(&gone.id) {
                known.shared.remove(&db);
            }
            known.idle.retain(|(_, link)| *link != gone.id);
            let text = match why {
                Lost::Net(error) => error.to_string(),
                Lost::TimedOut => "Connection timed out".to_owned(),
                Lost::Malformed => "no reply of a Redis server".to_owned(),
                Lost::Unfit => "refused by the proxy".to_owned(),
            };
            let line = format!("h 0 s {} will be close with status {text}", known.text);
            if known.failed(now.mono, &self.config.pool) {
                let line = format!("h 0 s {} mark server failure", known.text);
                engine.log(LogLevel::Notice, line);
            }
            engine.log(LogLevel::Warning, line);
        }
        let text = if gone.up { CLOSED } else { NO_CONNECTION };
        for pending in gone.pending {
            let unsent = !gone.up || pending.end - pending.len >= gone.sent;
            self.rescue(engine, now, pending, unsent, text);
        }
        if let Some(client) = client
            && let Some(known) = engine.client_mut(client)
            && known.data.private == Some(gone.id)
        {
            // What it had begun there is lost; it has to know.
            let stateful = known.data.watching || known.data.multi || known.data.subscribed;
            known.data.private = None;
            if let Some((owner, _)) = known.data.leaving.take() {
                engine.settle(owner, CLOSED);
            }
            self.release(engine, client, false);
            if stateful {
                engine.finish(client);
            }
        }
    }

    fn disk(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        op: OpId,
        result: Result<DiskDone, DiskError>,
    ) {
        self.loaded(engine, now, op, result);
    }

    fn signal(&mut self, engine: &mut PredixyEngine, _: Now<'_>, signal: Signal) {
        match signal {
            Signal::Interrupt | Signal::Terminate => {
                let number = if signal == Signal::Interrupt { 2 } else { 15 };
                engine.log(LogLevel::Notice, format!("predixy will quit ASAP Got signal {number}"));
                engine.output(Output::Exit { code: SIGNALLED + number });
            }
            Signal::Hangup => self.begin_reload(engine),
            Signal::Pipe => {}
            other => engine.output(Output::Exit { code: other.default_exit() }),
        }
    }

    fn vitals(&mut self, vitals: Vitals) {
        self.vitals = vitals;
    }

    fn wake(&mut self, engine: &mut PredixyEngine, now: Now<'_>) {
        self.try_held(engine, now);
        if self.refresh_at <= now.mono {
            self.refresh(engine, now);
        }
        if self.idle_at <= now.mono {
            self.idle_at = now.mono + IDLE_CHECK;
            let Some(timeout) = self.config.client_timeout else { return };
            let silent: Vec<ClientId> = engine
                .clients()
                .filter(|client| {
                    client.unanswered() == 0
                        && !client.data.subscribed
                        && now.mono.since(client.last_heard) >= timeout
                })
                .map(|client| client.id)
                .collect();
            for client in silent {
                engine.refuse(client);
            }
        }
    }

    fn timeout(&self) -> Option<Mono> {
        let idle = self.config.client_timeout.map(|_| self.idle_at);
        earliest([idle, self.holding.timeout(), Some(self.refresh_at)])
    }
}
