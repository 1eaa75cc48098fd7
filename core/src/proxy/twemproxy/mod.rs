//! twemproxy: a proxy that distributes keys over many servers by a hash, and ejects failed servers
//! for a while.
//!
//! All replies are those of nutcracker 0.5.0. There are four intended differences, all where the
//! original has a defect: `redis_db` is selected after AUTH instead of before; a reply longer than
//! a few hundred kilobytes is streamed; an invalid reply to a part of a split request is an error
//! instead of a crash; and SIGHUP reloads the configuration, without closing connections of pools
//! that stay.

mod command;
mod config;
mod pool;
pub mod stats;
#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError, Pool, Server};

use self::command::{Command, Split};
use self::pool::PoolState;
use super::engine::{
    AcceptedClient, ClientId, ClosedLink, DisconnectReason, Engine, Flow, Join, JoinKind,
    LinkError, LinkId, Owner, Pending, ReplyAction, Rule,
};
use super::request::{PartialRequest, Request, write_bulk, write_head};
use super::{PoolView, Proxy, ServerView, View, engine};
use crate::machine::{
    ConnId, DiskDone, DiskError, DiskOp, Endpoint, ListenerId, LogLevel, NetError, OpId, Output,
    SIGNALLED, Signal,
};
use crate::rng::Rng;
use crate::sharding::Sharding;
use crate::sorted::SortedMap;
use crate::time::{Mono, Now, Wall};

/// The imitated version of nutcracker.
pub const VERSION: &str = "0.5.0";

/// The default size of an mbuf chunk in bytes; a key must fit into one with its header.
pub const MBUF_SIZE: usize = 16 * 1024;

/// The size of an mbuf chunk's header in bytes.
const MBUF_HEADER: usize = 48;

/// Options besides the configuration file.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file, which SIGHUP reloads. Empty for none.
    pub file: String,
    /// The address of the statistics.
    pub stats: Option<Endpoint>,
    /// The size of an mbuf chunk in bytes, which limits the length of keys.
    pub mbuf_size: usize,
    /// The name of this host, for the statistics.
    pub source: String,
    /// The seed of the distribution `random`.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            file: String::new(),
            stats: None,
            mbuf_size: MBUF_SIZE,
            source: String::new(),
            seed: 0,
        }
    }
}

/// The rule that implements twemproxy.
#[derive(Clone, Debug)]
pub struct Twemproxy {
    options: Options,
    /// The pools, in the order in which they were added; `None` for those that were removed.
    pools: Vec<Option<PoolState>>,
    listeners: SortedMap<ListenerId, Listener>,
    rng: Rng,
    started: Wall,
    /// The number of connections of all kinds so far.
    connections: u64,
    /// The operation that is loading the configuration file.
    reload: Option<OpId>,
    last_op: u64,
}

#[derive(Clone, Debug)]
struct Listener {
    at: Endpoint,
    serves: Serves,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Serves {
    Pool(usize),
    Stats,
}

/// The rule's data about a client.
#[derive(Clone, Copy, Debug)]
pub struct ClientData {
    /// The pool; `None` for a connection to the statistics.
    pool: Option<u32>,
    authenticated: bool,
}

impl ClientData {
    fn pool(self) -> Option<usize> {
        self.pool.map(|index| index as usize)
    }
}

/// The rule's data about a connection to a server.
#[derive(Clone, Copy, Debug)]
pub struct LinkData {
    pool: usize,
    /// The server's index in its pool; `None` once it was removed from the configuration.
    server: Option<usize>,
}

/// The kinds of requests to servers.
mod sent {
    /// A client's request, unchanged.
    pub(super) const WHOLE: u16 = 0;
    /// A part of MGET.
    pub(super) const VALUES: u16 = 1;
    /// A part of a request whose replies are integers.
    pub(super) const COUNT: u16 = 2;
    /// A part of MSET.
    pub(super) const PAIRS: u16 = 3;
    /// AUTH.
    pub(super) const AUTH: u16 = 4;
    /// SELECT.
    pub(super) const SELECT: u16 = 5;
}

type Nutcracker = Engine<Twemproxy>;

/// The reply if a request cannot be sent.
const REFUSED: &[u8] = b"-ERR Connection refused\r\n";

/// A twemproxy proxy as a machine.
pub fn machine(config: Config, options: Options) -> Proxy<Twemproxy> {
    Proxy::new(Twemproxy::new(config, options))
}

impl Twemproxy {
    /// The rule for a configuration.
    pub fn new(config: Config, options: Options) -> Twemproxy {
        let pools = config.pools.into_iter().map(|pool| Some(PoolState::new(pool))).collect();
        Twemproxy {
            rng: Rng::new(options.seed),
            options,
            pools,
            listeners: SortedMap::new(),
            started: Wall(0),
            connections: 0,
            reload: None,
            last_op: 0,
        }
    }

    fn pool(&mut self, index: usize) -> Option<&mut PoolState> {
        self.pools.get_mut(index)?.as_mut()
    }

    fn listen(&mut self, engine: &mut Nutcracker, index: usize) {
        let Some(pool) = self.pool(index) else { return };
        let (at, backlog) = (pool.config.listen.clone(), pool.config.backlog);
        let id = engine.listen(at.clone(), backlog);
        self.listeners.insert(id, Listener { at, serves: Serves::Pool(index) });
        self.connections += 1;
    }

    fn preconnect(&mut self, engine: &mut Nutcracker, now: Now<'_>, index: usize) {
        let Some(pool) = self.pools.get_mut(index).and_then(Option::as_mut) else { return };
        if pool.config.preconnect {
            for server in 0..pool.config.servers.len() {
                if pool.link(engine, now, index, server).is_some_and(|(_, new)| new) {
                    self.connections += 1;
                }
            }
        }
    }

    /// Forwards a request to the server of its key, or replies with an error.
    #[inline]
    fn forward(
        &mut self,
        engine: &mut Nutcracker,
        now: Now<'_>,
        client: ClientId,
        index: usize,
        request: Request<'_>,
        key: &[u8],
    ) {
        let Some(pool) = self.pools.get_mut(index).and_then(Option::as_mut) else { return };
        let seq = engine.expect_reply(client);
        let owner = Owner::Client { id: client, seq, part: 0 };
        let server = match pool.update(now) {
            true => pool.sharding.pick(key, &mut self.rng),
            false => None,
        };
        let link = server.and_then(|server| pool.link(engine, now, index, server as usize));
        let Some((link, new)) = link else {
            pool.forward_error += 1;
            return engine.deliver_reply(owner, REFUSED);
        };
        self.connections += u64::from(new);
        engine.send(now.mono, link, owner, sent::WHOLE, [request.bytes]);
        if let Some(server) = server {
            pool.requested(server as usize, request.bytes.len());
        }
    }

    /// Splits a request, and sends the parts to the servers of its keys.
    fn split(
        &mut self,
        engine: &mut Nutcracker,
        now: Now<'_>,
        client: ClientId,
        index: usize,
        request: Request<'_>,
        split: Split,
    ) {
        let Some(pool) = self.pools.get_mut(index).and_then(Option::as_mut) else { return };
        let live = pool.update(now);
        let step = if split == Split::Mset { 2 } else { 1 };
        // The parts are ordered by server.
        let mut parts: SortedMap<u32, Part> = SortedMap::new();
        let mut servers = Vec::new();
        for i in (1..request.len()).step_by(step) {
            let server = pool.sharding.pick(request.arg(i), &mut self.rng).unwrap_or_default();
            servers.push(server);
            let part = parts.get_or_default(server);
            part.args += step;
            for i in i..i + step {
                write_bulk(&mut part.body, request.arg(i));
            }
        }
        let (name, command, joined) = match split {
            Split::Mget => {
                let order = |server: &u32| {
                    parts.keys().position(|known| known == server).unwrap_or_default() as u32
                };
                ("mget", sent::VALUES, JoinKind::Array(servers.iter().map(order).collect()))
            }
            Split::Mset => ("mset", sent::PAIRS, JoinKind::First),
            Split::Count(name) => (name, sent::COUNT, JoinKind::Sum),
        };
        pool.fragments += parts.len() as u64;
        let seq = engine.split(client, Join::new(joined, parts.len()));
        let mut failed = Vec::new();
        for (number, (&server, part)) in parts.iter().enumerate() {
            let owner = Owner::Client { id: client, seq, part: number as u32 };
            let link = match live {
                true => pool.link(engine, now, index, server as usize),
                false => None,
            };
            let Some((link, new)) = link else {
                failed.push(owner);
                continue;
            };
            self.connections += u64::from(new);
            let mut head = Vec::new();
            write_head(&mut head, b'*', part.args + 1);
            write_bulk(&mut head, name.as_bytes());
            engine.send(now.mono, link, owner, command, [&head, &part.body]);
            pool.requested(server as usize, head.len() + part.body.len());
        }
        pool.forward_error += u64::from(!failed.is_empty());
        for owner in failed {
            match split {
                Split::Mget => engine.deliver_last_reply(owner, REFUSED),
                Split::Mset | Split::Count(_) => engine.deliver_reply(owner, REFUSED),
            }
        }
    }

    fn authenticate(
        &mut self,
        engine: &mut Nutcracker,
        client: ClientId,
        index: usize,
        word: &[u8],
    ) {
        let wanted = self.pool(index).and_then(|pool| pool.config.redis_auth.clone());
        let Some(wanted) = wanted else {
            return engine.answer(client, b"-ERR Client sent AUTH, but no password is set\r\n");
        };
        let right = wanted.as_bytes() == word;
        if let Some(client) = engine.client_mut(client) {
            client.data.authenticated = right;
        }
        let reply: &[u8] = if right { b"+OK\r\n" } else { b"-ERR invalid password\r\n" };
        engine.answer(client, reply);
    }

    fn log_refused(&self, engine: &mut Nutcracker, request: &Request<'_>) {
        let name = request.arg(0);
        let shown = name.get(..name.len().min(64)).unwrap_or_default().escape_ascii();
        engine.log(LogLevel::Warning, format!("parsed unsupported command '{shown}'"));
    }

    /// Applies a changed configuration. Pools with an unchanged name and address keep their
    /// clients, and servers with an unchanged name and address their connections.
    fn apply_config(&mut self, engine: &mut Nutcracker, now: Now<'_>, config: Config) {
        let mut wanted: Vec<Option<Pool>> = config.pools.into_iter().map(Some).collect();
        for index in 0..self.pools.len() {
            let Some(pool) = self.pools.get_mut(index).and_then(Option::as_mut) else { continue };
            let same = |new: &&mut Option<Pool>| {
                new.as_ref().is_some_and(|new| {
                    new.name == pool.config.name && new.listen == pool.config.listen
                })
            };
            match wanted.iter_mut().find(same).and_then(Option::take) {
                Some(new) => pool.apply_config(engine, index, new),
                None => self.close_pool(engine, index),
            }
            self.preconnect(engine, now, index);
        }
        for pool in wanted.into_iter().flatten() {
            self.pools.push(Some(PoolState::new(pool)));
            let index = self.pools.len() - 1;
            self.listen(engine, index);
            self.preconnect(engine, now, index);
        }
    }

    /// Removes a pool: it accepts no connections any more, and its clients are closed once their
    /// requests are answered.
    fn close_pool(&mut self, engine: &mut Nutcracker, index: usize) {
        let gone: Vec<ListenerId> = self
            .listeners
            .iter()
            .filter(|(_, listener)| listener.serves == Serves::Pool(index))
            .map(|(id, _)| *id)
            .collect();
        for listener in gone {
            self.listeners.remove(&listener);
            engine.output(Output::Unlisten { listener });
        }
        let clients: Vec<ClientId> = engine
            .clients()
            .filter(|client| client.data.pool() == Some(index))
            .map(|client| client.id)
            .collect();
        for client in clients {
            engine.finish(client);
        }
        if let Some(pool) = self.pool(index) {
            pool.leaving = true;
            pool.retire_all(engine, index);
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Part {
    body: Vec<u8>,
    args: usize,
}

impl Rule for Twemproxy {
    type Client = ClientData;
    type Link = LinkData;

    fn start(&mut self, engine: &mut Nutcracker, now: Now<'_>) {
        self.started = now.wall;
        for index in 0..self.pools.len() {
            self.listen(engine, index);
        }
        if let Some(at) = self.options.stats.clone() {
            let id = engine.listen(at.clone(), 10);
            self.listeners.insert(id, Listener { at, serves: Serves::Stats });
        }
        for index in 0..self.pools.len() {
            self.preconnect(engine, now, index);
        }
    }

    fn listening(
        &mut self,
        engine: &mut Nutcracker,
        _: Now<'_>,
        listener: ListenerId,
        result: Result<Endpoint, NetError>,
    ) {
        let Err(error) = result else { return };
        let Some(failed) = self.listeners.remove(&listener) else { return };
        let what = match failed.serves {
            Serves::Pool(_) => "bind",
            Serves::Stats => "bind of the statistics",
        };
        engine.log(LogLevel::Warning, format!("{what} on {} failed: {error}", failed.at));
        engine.output(Output::Exit { code: 1 });
    }

    fn accepted(
        &mut self,
        _: &mut Nutcracker,
        _: Now<'_>,
        _: ConnId,
        listener: ListenerId,
        _: &Endpoint,
    ) -> AcceptedClient<ClientData> {
        let serves = self.listeners.get(&listener).map_or(Serves::Stats, |l| l.serves);
        let pool = match serves {
            Serves::Pool(index) => Some(index),
            Serves::Stats => None,
        };
        let number = pool.and_then(|index| u32::try_from(index).ok());
        let standing = pool.and_then(|index| self.pool(index));
        let authenticated =
            standing.as_ref().is_none_or(|standing| standing.config.redis_auth.is_none());
        if let Some(standing) = standing {
            standing.client_connections += 1;
            self.connections += 1;
        }
        AcceptedClient { data: ClientData { pool: number, authenticated }, inline: false }
    }

    fn client_added(&mut self, engine: &mut Nutcracker, now: Now<'_>, client: ClientId) {
        if engine.client(client).is_some_and(|client| client.data.pool.is_none()) {
            let text = self.stats_json(engine, now);
            engine.push(client, text.as_bytes());
            engine.finish(client);
        }
    }

    #[inline]
    fn request(
        &mut self,
        engine: &mut Nutcracker,
        now: Now<'_>,
        client: ClientId,
        request: Request<'_>,
    ) -> Flow {
        let Some(data) = engine.client(client).map(|client| client.data) else {
            return Flow::Done;
        };
        let Some(pool) = data.pool() else { return Flow::Done };
        let authenticated = data.authenticated;
        let longest = self.options.mbuf_size - MBUF_HEADER;
        match Command::of(&request, longest) {
            None => {
                self.log_refused(engine, &request);
                engine.refuse(client);
            }
            Some(Command::Quit) => engine.finish(client),
            Some(Command::Auth) => self.authenticate(engine, client, pool, request.arg(1)),
            Some(_) if !authenticated => {
                engine.answer(client, b"-NOAUTH Authentication required\r\n");
            }
            Some(Command::Ping) => engine.answer(client, b"+PONG\r\n"),
            Some(Command::Forward(key)) => {
                let key = if key == 0 { &[] } else { request.arg(key.into()) };
                self.forward(engine, now, client, pool, request, key);
            }
            Some(Command::Split(split)) => self.split(engine, now, client, pool, request, split),
        }
        Flow::Done
    }

    fn check_partial(&mut self, engine: &mut Nutcracker, partial: PartialRequest<'_>) -> bool {
        let good = Command::can_become(&partial);
        if !good {
            self.log_refused(engine, &partial.request);
        }
        good
    }

    fn left(
        &mut self,
        _: &mut Nutcracker,
        _: Now<'_>,
        client: &engine::Client<ClientData>,
        why: DisconnectReason,
    ) {
        let Some(pool) = client.data.pool().and_then(|index| self.pool(index)) else { return };
        pool.client_connections -= 1;
        match why {
            DisconnectReason::Eof => pool.client_eof += 1,
            DisconnectReason::Broken(_) | DisconnectReason::Refused => pool.client_err += 1,
        }
    }

    fn connected(&mut self, engine: &mut Nutcracker, _: Now<'_>, link: LinkId) {
        let Some(LinkData { pool, server: Some(server) }) = engine.link(link).map(|link| link.data)
        else {
            return;
        };
        if let Some(server) = self.pool(pool).and_then(|pool| pool.servers.get_mut(server)) {
            server.counters.connections += 1;
        }
    }

    #[inline]
    fn replied(
        &mut self,
        engine: &mut Nutcracker,
        _: Now<'_>,
        link: LinkId,
        pending: &mut Pending,
        reply: &[u8],
    ) -> ReplyAction {
        let Some(LinkData { pool, server }) = engine.link(link).map(|link| link.data) else {
            return ReplyAction::Taken;
        };
        let kind = reply.first().copied();
        if kind == Some(b'-') && is_failure(reply) {
            return ReplyAction::Break(LinkError::Unfit);
        }
        if let Some(standing) = self.pools.get_mut(pool).and_then(Option::as_mut) {
            match server.and_then(|server| standing.servers.get_mut(server)) {
                Some(server) => server.replied(reply.len()),
                None => standing.close_idle(engine, link),
            }
        }
        match (pending.command, kind) {
            (sent::WHOLE, _) => ReplyAction::Forward,
            (sent::AUTH | sent::SELECT, kind) => {
                if kind == Some(b'-') {
                    self.log_setup_error(engine, pool, server, pending.command, reply);
                }
                ReplyAction::Taken
            }
            (sent::VALUES, Some(b'*')) | (sent::COUNT, Some(b':')) => ReplyAction::Forward,
            (sent::PAIRS, Some(b'+')) => ReplyAction::Replace(b"+OK\r\n"),
            _ => ReplyAction::Replace(b"-ERR Invalid argument\r\n"),
        }
    }

    fn lost(
        &mut self,
        engine: &mut Nutcracker,
        now: Now<'_>,
        gone: ClosedLink<LinkData>,
        why: LinkError,
    ) {
        let text: &[u8] = match why {
            // As in nutcracker, a regular close has no error code, hence the text.
            LinkError::Net(NetError::Eof) => b"-ERR unknown\r\n",
            LinkError::Net(NetError::UnknownName) => b"-ERR Host is down\r\n",
            LinkError::Net(NetError::Reset) => b"-ERR Connection reset by peer\r\n",
            LinkError::Net(NetError::TimedOut) | LinkError::TimedOut => {
                b"-ERR Connection timed out\r\n"
            }
            LinkError::Net(NetError::Unreachable) => b"-ERR No route to host\r\n",
            LinkError::Net(_) => REFUSED,
            LinkError::Malformed | LinkError::Unfit => b"-ERR Invalid argument\r\n",
        };
        if let Some(pool) = self.pool(gone.data.pool) {
            if let Some(server) = gone.data.server {
                pool.failed(engine, now, server, &gone, why);
            }
            let asked = |pending: &&Pending| matches!(pending.owner, Owner::Client { .. });
            pool.forward_error += gone.pending.iter().filter(asked).count() as u64;
        }
        for pending in gone.pending {
            match pending.command {
                sent::VALUES => engine.deliver_last_reply(pending.owner, text),
                _ => engine.deliver_reply(pending.owner, text),
            }
        }
    }

    fn disk(
        &mut self,
        engine: &mut Nutcracker,
        now: Now<'_>,
        op: OpId,
        result: Result<DiskDone, DiskError>,
    ) {
        if self.reload != Some(op) {
            return;
        }
        self.reload = None;
        let file = self.options.file.clone();
        let config = match result {
            Ok(DiskDone::Data(bytes)) => Config::parse(&file, &String::from_utf8_lossy(&bytes))
                .map_err(|error| error.to_string()),
            Ok(_) => return,
            Err(error) => Err(format!("conf: failed to open configuration '{file}': {error}")),
        };
        match config {
            Ok(config) => {
                self.apply_config(engine, now, config);
                engine.log(LogLevel::Notice, format!("configuration file '{file}' reloaded"));
            }
            Err(error) => {
                engine.log(LogLevel::Warning, error);
                let text =
                    format!("configuration file '{file}' is invalid; the old one stays in use");
                engine.log(LogLevel::Warning, text);
            }
        }
    }

    fn signal(&mut self, engine: &mut Nutcracker, _: Now<'_>, signal: Signal) {
        match signal {
            Signal::Interrupt => {
                engine.log(LogLevel::Warning, "signal 2 (SIGINT) received, exiting");
                engine.output(Output::Exit { code: 1 });
            }
            Signal::Terminate => engine.output(Output::Exit { code: SIGNALLED + 15 }),
            Signal::Hangup => {
                engine.log(LogLevel::Warning, "signal 1 (SIGHUP) received, reopening log file");
                if self.reload.is_none() && !self.options.file.is_empty() {
                    self.last_op += 1;
                    let op = OpId(self.last_op);
                    self.reload = Some(op);
                    let what = DiskOp::Load { path: self.options.file.clone() };
                    engine.output(Output::Disk { op, what });
                }
            }
            Signal::Pipe => {}
            other => engine.output(Output::Exit { code: other.default_exit() }),
        }
    }

    fn wake(&mut self, _: &mut Nutcracker, _: Now<'_>) {}

    fn timeout(&self) -> Option<Mono> {
        None
    }
}

impl Proxy<Twemproxy> {
    /// For each pool the distribution of keys over servers that are not ejected, in the order of
    /// the view.
    pub fn shardings(&self) -> impl Iterator<Item = &Sharding> {
        self.rule.pools.iter().flatten().filter(|pool| !pool.leaving).map(|pool| &pool.sharding)
    }

    /// Whether the listener at this address serves the statistics.
    pub fn serves_stats_at(&self, at: &Endpoint) -> bool {
        let mut all = self.rule.listeners.values();
        all.any(|l| l.serves == Serves::Stats && l.at.port() == at.port())
    }

    /// The current pools and servers.
    pub fn view(&self) -> View {
        let server = |(config, server): (&Server, &pool::Server)| {
            let mut view = ServerView {
                name: config.name.clone(),
                weight: config.weight,
                in_use: !server.is_ejected(),
                requests: server.counters.requests,
                counters: vec![
                    ("server_eof", server.counters.eof),
                    ("server_err", server.counters.err),
                    ("server_timedout", server.counters.timedout),
                    ("request_bytes", server.counters.request_bytes),
                    ("responses", server.counters.responses),
                    ("response_bytes", server.counters.response_bytes),
                ],
                ..ServerView::default()
            };
            for link in server.links.iter().filter_map(|link| self.engine.link(*link)) {
                let queues = link.queues();
                view.connections += 1;
                view.unsent += queues.unsent;
                view.unanswered += queues.unanswered;
            }
            view
        };
        let pool = |pool: &PoolState| PoolView {
            name: pool.config.name.clone(),
            listen: match &pool.config.listen {
                Endpoint::Ip(address) => address.to_string(),
                Endpoint::Unix(path) => path.clone(),
            },
            clients: pool.client_connections,
            counters: vec![
                ("client_eof", pool.client_eof),
                ("client_err", pool.client_err),
                ("server_ejects", pool.server_ejects),
                ("forward_error", pool.forward_error),
                ("fragments", pool.fragments),
            ],
            servers: pool.config.servers.iter().zip(&pool.servers).map(server).collect(),
        };
        View { pools: self.rule.pools.iter().flatten().filter(|p| !p.leaving).map(pool).collect() }
    }
}

impl Twemproxy {
    fn log_setup_error(
        &mut self,
        engine: &mut Nutcracker,
        index: usize,
        server: Option<usize>,
        command: u16,
        reply: &[u8],
    ) {
        let Some(pool) = self.pool(index) else { return };
        let what = match command {
            sent::SELECT => format!("SELECT {}", pool.config.redis_db),
            _ => "AUTH".to_owned(),
        };
        let server = server.and_then(|server| pool.config.servers.get(server));
        let server = server.map_or("", |server| &server.name);
        let error = String::from_utf8_lossy(reply.get(1..).unwrap_or_default());
        let text =
            format!("{what} failed on {} | {server}: {}", pool.config.name, error.trim_end());
        engine.log(LogLevel::Warning, text);
    }
}

/// Whether an error means that the server cannot serve requests now.
fn is_failure(reply: &[u8]) -> bool {
    let word = reply.split(|b| matches!(b, b' ' | b'\r')).next();
    matches!(word, Some(b"-OOM" | b"-BUSY" | b"-LOADING"))
}
