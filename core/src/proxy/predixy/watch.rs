//! Keeps the topology up to date: Sentinels, `CLUSTER NODES`, redirections, and reloads of the
//! configuration.

use std::collections::BTreeMap;

use super::config::{Config, Kind};
use super::hold::RoutedRequest;
use super::pool::{Topology, join, parse_servers};
use super::{
    ClientId, LinkId, MAX_HOPS, NO_CONNECTION, OWN, Owner, Pending, Predixy, PredixyEngine,
    RETIRED, ReplyAction, tag, write,
};
use crate::machine::{DiskDone, DiskError, DiskOp, LogLevel, OpId, Output};
use crate::proxy::engine::LinkError;
use crate::proxy::reply::{elements, text};
use crate::sharding::Slot;
use crate::time::Now;

/// A reload of the configuration files.
#[derive(Clone, Debug)]
pub(super) struct Reload {
    /// The files that were read so far.
    files: BTreeMap<String, Vec<u8>>,
    /// The current operation, and its file.
    op: OpId,
    file: String,
}

impl Predixy {
    /// Requests the topology.
    pub(super) fn refresh(&mut self, engine: &mut PredixyEngine, now: Now<'_>) {
        self.refresh_at = now.mono + self.config.pool.refresh_interval;
        match &self.config.pool.kind {
            Kind::Cluster { .. } => {
                let Some(server) = self.topology.random_node(&mut self.rng, now.mono) else {
                    return;
                };
                let Some(link) = self.shared(engine, now, server, 0) else { return };
                own(engine, now, link, tag::NODES, &[b"CLUSTER", b"NODES"]);
            }
            Kind::Groups { sentinels, groups, .. } => {
                if sentinels.is_empty() {
                    return;
                }
                let names: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
                let Some(sentinel) = self.sentinel(now) else { return };
                let Some(link) = self.shared(engine, now, sentinel, 0) else { return };
                for (i, name) in names.iter().enumerate() {
                    let (i, name) = (i as u32, name.as_bytes());
                    let mut ask = |tag, word: &[u8]| {
                        own(engine, now, link, tag + i, &[b"sentinel", word, name]);
                    };
                    ask(tag::SENTINELS, b"sentinels");
                    ask(tag::MASTER, b"get-master-addr-by-name");
                    ask(tag::SLAVES, b"slaves");
                }
                self.listen_for_events(engine, now, sentinel);
            }
        }
    }

    /// A random Sentinel that is not marked as failed.
    fn sentinel(&mut self, now: Now<'_>) -> Option<usize> {
        let is = |server: &super::pool::Server| server.role == super::Role::Sentinel;
        let all: Vec<usize> = (0..self.topology.servers.len())
            .filter(|&i| self.topology.servers.get(i).is_some_and(is))
            .collect();
        let well: Vec<usize> = all
            .iter()
            .copied()
            .filter(|&i| self.topology.servers.get(i).is_some_and(|server| !server.fail))
            .collect();
        let _ = now;
        let from = if well.is_empty() { all } else { well };
        from.get(self.rng.below(from.len() as u64) as usize).copied()
    }

    /// Subscribes to a Sentinel's failover messages, which arrive sooner than the next refresh.
    fn listen_for_events(&mut self, engine: &mut PredixyEngine, now: Now<'_>, sentinel: usize) {
        if self.events.is_some() {
            return;
        }
        let Some(link) = self.open(engine, now, sentinel, 0, false) else { return };
        own(engine, now, link, tag::EVENTS, &[b"SUBSCRIBE", b"+switch-master"]);
        self.events = Some(link);
    }

    /// Handles a reply to a request of the proxy itself.
    pub(super) fn answered(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        link: LinkId,
        tag: u32,
        reply: &[u8],
    ) -> ReplyAction {
        let Some(data) = engine.link(link).map(|link| link.data) else { return ReplyAction::Taken };
        let failed = reply.first() == Some(&b'-');
        match tag {
            tag::AUTH | tag::SELECT | tag::READONLY if failed => {
                let what = match tag {
                    tag::AUTH => "auth",
                    tag::SELECT => "db select",
                    _ => "readonly",
                };
                let server = self.topology.servers.get(data.server);
                let name = server.map_or("", |server| &server.text);
                engine.log(LogLevel::Warning, format!("h 0 s {name} {what} fail"));
                return ReplyAction::Break(LinkError::Unfit);
            }
            tag::NODES => {
                let nodes = text(reply).filter(|_| !failed);
                let nodes = nodes.map(|nodes| String::from_utf8_lossy(nodes).into_owned());
                if !nodes.is_some_and(|nodes| self.topology.set_cluster(&nodes, &self.config)) {
                    engine.log(LogLevel::Verbose, "redis cluster nodes parse error");
                }
            }
            tag::PASS => {
                if let Some(client) = data.client {
                    self.pass(engine, client, reply);
                }
            }
            _ if tag >= tag::SENTINELS && !failed => {
                let group = (tag & 0xffff) as usize;
                match tag & !0xffff {
                    tag::SENTINELS => {
                        for one in parse_servers(reply) {
                            self.new_sentinel(engine, &one.text);
                        }
                    }
                    tag::MASTER => {
                        let parts: Vec<&[u8]> =
                            elements(reply).into_iter().flatten().filter_map(text).collect();
                        if let [ip, port] = parts[..] {
                            let (ip, port) =
                                (String::from_utf8_lossy(ip), String::from_utf8_lossy(port));
                            self.new_master(engine, group, &join(&ip, &port));
                        }
                    }
                    _ => {
                        let new =
                            self.topology.set_slaves(group, &parse_servers(reply), &self.config);
                        for server in new {
                            self.log_created(engine, group, server, "slave");
                        }
                    }
                }
            }
            _ => {}
        }
        let _ = now;
        ReplyAction::Taken
    }

    fn new_sentinel(&mut self, engine: &mut PredixyEngine, address: &str) {
        if self.topology.find(address).is_some() {
            return;
        }
        let Some(server) = self.topology.add(address, &self.config) else { return };
        let Kind::Groups { sentinel_password, .. } = &self.config.pool.kind else { return };
        if let Some(server) = self.topology.servers.get_mut(server) {
            server.role = super::Role::Sentinel;
            server.password = Some(sentinel_password.clone()).filter(|word| !word.is_empty());
        }
        engine.log(LogLevel::Notice, format!("h 0 create new sentinel {address}"));
    }

    fn new_master(&mut self, engine: &mut PredixyEngine, group: usize, address: &str) {
        if self.topology.set_master(group, address, &self.config) == Some(true)
            && let Some(server) = self.topology.find(address)
        {
            self.log_created(engine, group, server, "master");
        }
    }

    fn log_created(&self, engine: &mut PredixyEngine, group: usize, server: usize, role: &str) {
        let name = self.topology.groups.get(group).map_or("", |group| &group.name);
        let Some(server) = self.topology.servers.get(server) else { return };
        let center = server.center.and_then(|i| self.config.data_centers.get(i));
        let text = format!(
            "sentinel server pool group {name} create {role} server {} {}",
            server.text,
            center.map_or("", |center| &center.name)
        );
        engine.log(LogLevel::Notice, text);
    }

    /// Handles a Sentinel's message about a failover: `+switch-master <name> <old ip> <old port>
    /// <ip> <port>`.
    pub(super) fn event(&mut self, engine: &mut PredixyEngine, now: Now<'_>, message: &[u8]) {
        let parts: Vec<&[u8]> = elements(message).into_iter().flatten().filter_map(text).collect();
        let [b"message", _, words] = parts[..] else { return };
        let words = String::from_utf8_lossy(words).into_owned();
        let words: Vec<&str> = words.split(' ').collect();
        let [name, _, _, ip, port] = words[..] else { return };
        let group = self.topology.groups.iter().position(|group| group.name == name);
        if let Some(group) = group {
            self.new_master(engine, group, &join(ip, port));
            self.refresh(engine, now);
        }
    }

    /// Follows MOVED and ASK. True if the request was sent again.
    pub(super) fn follow(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        pending: &mut Pending,
        reply: &[u8],
    ) -> bool {
        let line = String::from_utf8_lossy(reply).into_owned();
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        let [kind @ ("-MOVED" | "-ASK"), slot, address] = words[..] else { return false };
        if pending.hops >= MAX_HOPS {
            return false;
        }
        let Some(slot) = slot.parse().ok().and_then(Slot::new) else { return false };
        let Some(server) = self.topology.add(address, &self.config) else { return false };
        if kind == "-MOVED" {
            self.topology.set_slot(slot, server);
            // The rest of the changes is requested soon.
            self.refresh_at = self.refresh_at.min(now.mono);
        }
        let hops = pending.hops + 1;
        let Some(routed) = self.routed_from(pending) else { return false };
        let Some(link) = self.shared(engine, now, server, 0) else {
            self.hold(engine, now, routed, NO_CONNECTION);
            return true;
        };
        if kind == "-ASK" {
            own(engine, now, link, tag::ASKING, &[b"ASKING"]);
        }
        let RoutedRequest { owner, command, access, to, until, ref bytes } = routed;
        let routed = RoutedRequest { owner, command, access, to, until, bytes: &bytes[..] };
        self.send(engine, now, link, server, &routed, hops);
        true
    }

    /// Starts to reload the configuration.
    pub(super) fn begin_reload(&mut self, engine: &mut PredixyEngine) {
        let Some(file) = self.config.files.first().cloned() else { return };
        engine.log(LogLevel::Notice, format!("predixy reads {file} again"));
        self.load(engine, BTreeMap::new(), file);
    }

    fn load(&mut self, engine: &mut PredixyEngine, files: BTreeMap<String, Vec<u8>>, file: String) {
        self.last_op += 1;
        let op = OpId(self.last_op);
        engine.output(Output::Disk { op, what: DiskOp::Load { path: file.clone() } });
        self.reload = Some(Reload { files, op, file });
    }

    /// Handles a configuration file that was read.
    pub(super) fn loaded(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        op: OpId,
        result: Result<DiskDone, DiskError>,
    ) {
        let Some(mut reload) = self.reload.take_if(|reload| reload.op == op) else { return };
        match result {
            Ok(DiskDone::Data(bytes)) => {
                reload.files.insert(reload.file, bytes);
            }
            Ok(_) => return,
            Err(error) => {
                let text =
                    format!("open file {} fail {error}; the old one stays in use", reload.file);
                return engine.log(LogLevel::Warning, text);
            }
        }
        let Some(first) = self.config.files.first().cloned() else { return };
        // Included files are read one by one.
        let mut missing = None;
        let config = Config::parse(&first, &[], &mut |path| match reload.files.get(path) {
            Some(bytes) => Ok(bytes.clone()),
            None => {
                missing = Some(path.to_owned());
                Err("has to be read first".to_owned())
            }
        });
        match (config, missing) {
            (_, Some(file)) => self.load(engine, reload.files, file),
            (Ok(config), None) => self.apply_config(engine, now, config),
            (Err(error), None) => {
                engine
                    .log(LogLevel::Warning, format!("{error}; the old configuration stays in use"));
            }
        }
    }

    /// Applies a changed configuration. Clients stay connected; pending requests are finished on
    /// the old connections.
    fn apply_config(&mut self, engine: &mut PredixyEngine, now: Now<'_>, config: Config) {
        if config.bind != self.config.bind {
            if let Some(listener) = self.listener.take() {
                engine.output(Output::Unlisten { listener });
            }
            self.listener = Some(engine.listen(config.bind.clone(), 511));
        }
        self.config = config;
        self.topology = Topology::new(&self.config);
        self.latencies = vec![Default::default(); self.config.monitors.len()];
        self.events = None;
        for client in engine.clients().map(|client| client.id).collect::<Vec<ClientId>>() {
            if let Some(client) = engine.client_mut(client) {
                let open = |auth: &super::config::Auth| auth.password.is_empty();
                client.data.auth = self.config.authority.iter().position(open);
            }
        }
        let mut unused = Vec::new();
        for link in engine.links_mut() {
            link.data.server = RETIRED;
            if link.pending().len() == 0 && link.data.client.is_none() {
                unused.push(link.id);
            }
        }
        for link in unused {
            engine.close(link);
        }
        engine.log(LogLevel::Notice, "predixy has reloaded the configuration");
        self.refresh(engine, now);
    }
}

/// Sends a request of the proxy itself.
fn own(engine: &mut PredixyEngine, now: Now<'_>, link: LinkId, tag: u32, args: &[&[u8]]) {
    let mut request = Vec::new();
    write(&mut request, args.iter().copied());
    engine.send(now.mono, link, Owner::Rule(tag), OWN, [&request]);
}
