//! predixy: a proxy in front of groups of primaries and replicas with Sentinels, or of a Cluster.
//! Clients notice a failover or a slot migration only by its latency.
//!
//! It behaves like predixy 1.0.5, except for bugs that lose or garble data: command names and keys
//! may have any length, there is an error instead of nil or 0 if a server is down, and a command
//! with keys of several groups is refused instead of being executed in the first key's group only.
//! Publish and subscribe always use the first group, so that no message is lost between groups.
//!
//! * [`config`] parses `predixy.conf`, `command` has the command table;
//! * `pool` contains the servers, `watch` keeps them up to date (Sentinels, `CLUSTER NODES`,
//!   redirections);
//! * `hold` holds requests while their primary is being replaced;
//! * `serve` handles clients' requests, `info` implements INFO and CONFIG.

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

use self::hold::{HoldQueue, is_refusal};
use self::info::Latency;
use self::pool::{Role, Topology};
use super::engine::{
    self, AcceptedClient, ClientId, ClosedLink, DisconnectReason, Engine, Flow, LinkError, LinkId,
    Owner, Pending, ReplyAction, Rule,
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

/// The imitated version of predixy.
pub const VERSION: &str = "1.0.5";

/// The number of bits of a SCAN cursor that contain the group.
const GROUP_BITS: u32 = 10;

/// The maximum number of groups.
pub(super) const MAX_GROUPS: usize = 1 << GROUP_BITS;

/// The maximum number of MOVED and ASK redirections of a request.
const MAX_HOPS: u8 = 5;

/// The interval of the check for idle clients.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// The rule that implements predixy.
#[derive(Clone, Debug)]
pub struct Predixy {
    config: Config,
    topology: Topology,
    rng: Rng,
    started: Wall,
    listener: Option<ListenerId>,
    /// When the topology is next refreshed.
    refresh_at: Mono,
    /// When idle clients are next checked for.
    idle_at: Mono,
    stats: Stats,
    latencies: Vec<Latency>,
    vitals: Vitals,
    /// The connection on which a Sentinel publishes failovers.
    events: Option<LinkId>,
    /// Requests that wait for a primary.
    hold_queue: HoldQueue,
    reload: Option<watch::Reload>,
    last_op: u64,
}

/// The proxy's statistics for INFO.
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

/// The rule's data about a client.
#[derive(Clone, Debug, Default)]
pub struct ClientData {
    /// The selected database.
    db: u16,
    /// The client's `Authority`; `None` for the default without a password.
    auth: Option<usize>,
    /// The client's private connection.
    private: Option<LinkId>,
    /// Whether it has sent WATCH.
    watching: bool,
    /// Whether it has sent MULTI.
    multi: bool,
    /// Whether it has subscriptions.
    subscribed: bool,
    /// Whether it is blocked by a command such as BLPOP.
    blocked: bool,
    /// The request that ends its subscriptions, and the number of its missing replies.
    leaving: Option<(Owner, usize)>,
}

/// The rule's data about a connection to a server.
#[derive(Clone, Copy, Debug)]
pub struct LinkData {
    server: usize,
    db: u16,
    /// The client of a private connection.
    client: Option<ClientId>,
    /// Whether it is shared by all clients.
    shared: bool,
}

type PredixyEngine = Engine<Predixy>;

/// The server index of a connection whose server was removed from the configuration; the connection
/// is closed once its pending requests are answered.
const RETIRED: usize = usize::MAX;

/// The requests of the proxy itself.
mod tag {
    /// AUTH.
    pub(super) const AUTH: u32 = 1;
    /// SELECT.
    pub(super) const SELECT: u32 = 2;
    /// READONLY, for reads from a Cluster's replica.
    pub(super) const READONLY: u32 = 3;
    /// ASKING, for a slot that is being migrated.
    pub(super) const ASKING: u32 = 4;
    /// CLUSTER NODES.
    pub(super) const NODES: u32 = 5;
    /// SUBSCRIBE to a Sentinel's failover messages.
    pub(super) const EVENTS: u32 = 6;
    /// A request of a client with a private connection.
    pub(super) const PASS: u32 = 7;
    /// SENTINEL SENTINELS; the number of the group is added.
    pub(super) const SENTINELS: u32 = 1 << 16;
    /// SENTINEL GET-MASTER-ADDR-BY-NAME; the number of the group is added.
    pub(super) const MASTER: u32 = 2 << 16;
    /// SENTINEL SLAVES; the number of the group is added.
    pub(super) const SLAVES: u32 = 3 << 16;
}

/// The command number of the proxy's own requests.
const OWN: u16 = u16::MAX;

const CLOSED: &[u8] = b"-ERR server connection close\r\n";
const NO_CONNECTION: &[u8] = b"-ERR no server connection avaliable\r\n";
const NO_SERVER: &[u8] = b"-ERR no server avaliable\r\n";

/// A predixy proxy as a machine.
pub fn machine(config: Config, seed: u64) -> Proxy<Predixy> {
    Proxy::new(Predixy::new(config, seed))
}

impl Predixy {
    /// The rule for a configuration.
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
            hold_queue: HoldQueue::default(),
            reload: None,
            last_op: 0,
            config,
        }
    }

    /// Opens a connection to a server, and sends AUTH, SELECT and so on.
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
            send(tag::AUTH, &[b"AUTH", password.as_bytes()]);
        }
        if db > 0 {
            send(tag::SELECT, &[b"SELECT", db.to_string().as_bytes()]);
        }
        if known.role == Role::Slave && self.topology.is_cluster() {
            send(tag::READONLY, &[b"READONLY"]);
        }
        Some(link)
    }

    /// The shared connection to a server; `None` if the server is marked as failed.
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

    /// A private connection to a server for a client.
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

    /// Takes a client's private connection away. It is reused if it is `clean`: without a state of
    /// its own.
    fn release(&mut self, engine: &mut PredixyEngine, client: ClientId, clean: bool) {
        let Some(known) = engine.client_mut(client) else { return };
        let data = &mut known.data;
        (data.watching, data.multi, data.subscribed, data.blocked) = (false, false, false, false);
        let Some(link) = data.private.take() else { return };
        if clean {
            self.return_private(engine, link);
        } else {
            engine.close(link);
        }
    }

    /// Records the latency of a request.
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
    /// The current groups and servers.
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
                "WorkerThreads {} is ignored; one thread serves all clients",
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
    ) -> AcceptedClient<ClientData> {
        self.stats.accept += 1;
        let auth = self.config.authority.iter().position(|auth| auth.password.is_empty());
        AcceptedClient { data: ClientData { auth, ..ClientData::default() }, inline: true }
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
        // Closing the private connection at once cancels a blocking command on it.
        engine.client(client).is_some_and(|client| client.data.private.is_some())
    }

    fn left(
        &mut self,
        engine: &mut PredixyEngine,
        _: Now<'_>,
        client: &engine::Client<ClientData>,
        _: DisconnectReason,
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
    ) -> ReplyAction {
        let Some(data) = engine.link(link).map(|link| link.data) else { return ReplyAction::Taken };
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
                if pending.copy.is_some()
                    && reply.first() == Some(&b'-')
                    && self.follow(engine, now, pending, reply)
                {
                    return ReplyAction::Taken;
                }
                if pending.copy.is_some()
                    && is_refusal(reply)
                    && let Some(routed) = self.routed_from(pending)
                {
                    self.hold(engine, now, routed, CLOSED);
                    return ReplyAction::Taken;
                }
                self.stats.send_client_bytes += reply.len() as u64;
                self.measure(now, Some(data.server), pending);
                if data.shared && !self.is_scan(pending.command) {
                    return ReplyAction::Forward;
                }
                self.finish(engine, id, data, pending, reply)
            }
        }
    }

    fn unexpected_reply(
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

    fn lost(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        gone: ClosedLink<LinkData>,
        why: LinkError,
    ) {
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
                LinkError::Net(error) => error.to_string(),
                LinkError::TimedOut => "Connection timed out".to_owned(),
                LinkError::Malformed => "not a reply of a Redis server".to_owned(),
                LinkError::Unfit => "refused by the proxy".to_owned(),
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
            self.hold_after_loss(engine, now, pending, unsent, text);
        }
        if let Some(client) = client
            && let Some(known) = engine.client_mut(client)
            && known.data.private == Some(gone.id)
        {
            // The client had state on the connection that is lost, so it has to be disconnected.
            let stateful = known.data.watching || known.data.multi || known.data.subscribed;
            known.data.private = None;
            if let Some((owner, _)) = known.data.leaving.take() {
                engine.deliver_reply(owner, CLOSED);
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
        earliest([idle, self.hold_queue.timeout(), Some(self.refresh_at)])
    }
}
