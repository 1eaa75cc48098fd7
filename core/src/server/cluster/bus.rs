//! `nodes.conf`, the links to other nodes, and the effects of the cluster's state machine.

use std::net::SocketAddr;

use super::BusLink;
use crate::cluster::{BUS_PORT_OFFSET, Cluster, Effect, LinkId, Local, NodesConf, SlotSet};
use crate::front::{ChannelKind, PauseReason, PeerInput};
use crate::machine::{
    Address, Close, ConnId, DiskDone, DiskError, DiskErrorKind, DiskOp, Endpoint, LogLevel,
    NetError, OpenMode, Outbox, Output,
};
use crate::resp::request::Args;
use crate::server::propagate::Atomic;
use crate::server::replication::address_of_name;
use crate::server::{DiskWork, Server};
use crate::sharding::Slot;
use crate::time::{Mono, Now};

/// An operation on `nodes.conf`.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) enum ConfStep {
    /// The file has been opened, or created, to be locked before it is read.
    Open,
    /// It has been locked against other nodes.
    Lock,
    /// It has been read at the start of the server.
    Read,
    /// It has been written.
    Write,
    /// The file that has replaced it has been opened and locked.
    Relock,
    /// The previous file has been closed, which releases its lock.
    Close,
}

/// How many keys of lost slots are deleted per slice.
const SLICE: usize = 200;

impl Server {
    /// Whether this server is a cluster node.
    #[inline]
    pub(in crate::server) fn is_clustered(&self) -> bool {
        self.service.cluster.is_some()
    }

    /// The state of the cluster.
    #[inline]
    pub(in crate::server) fn cluster_state(&self) -> Option<&Cluster> {
        self.service.cluster.as_ref()?.state()
    }

    /// This node's view of the cluster, for observers.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster_state()
    }

    /// Reads `nodes.conf`; the server opens its listeners afterwards.
    pub(in crate::server) fn load_nodes_conf(&mut self) {
        let settings = &self.config.settings().cluster;
        if settings.bus_port == 0 && settings.port > u16::MAX - BUS_PORT_OFFSET {
            self.log(LogLevel::Warning, || {
                "Redis port number too high. Cluster communication port is 10,000 port numbers \
                 higher than your Redis port. Your Redis port number must be 55535 or less."
                    .to_owned()
            });
            return self.exit(1);
        }
        self.open_nodes_conf(ConfStep::Open);
    }

    /// Opens the current `nodes.conf`.
    fn open_nodes_conf(&mut self, step: ConfStep) {
        let path = self.config.settings().cluster_config_file.clone();
        let file = self.next_file();
        let before = self.service.cluster.as_mut().and_then(|node| node.locked.replace(file));
        let open = DiskOp::Open { file, path, mode: OpenMode::Append };
        self.disk_op(open, DiskWork::NodesConf(step));
        if let Some(file) = before {
            self.disk_op(DiskOp::Close { file }, DiskWork::NodesConf(ConfStep::Close));
        }
    }

    /// `nodes.conf` has been opened.
    fn lock_nodes_conf(&mut self, step: ConfStep) {
        if let Some(file) = self.service.cluster.as_ref().and_then(|node| node.locked) {
            self.disk_op(DiskOp::Lock { file }, DiskWork::NodesConf(step));
        }
    }

    /// An operation on `nodes.conf` has completed.
    pub(in crate::server) fn nodes_conf_done(
        &mut self,
        now: Now<'_>,
        step: ConfStep,
        result: Result<DiskDone, DiskError>,
    ) {
        match (step, result) {
            (ConfStep::Open, Ok(_)) => self.lock_nodes_conf(ConfStep::Lock),
            (ConfStep::Lock, Ok(_)) => {
                let path = self.config.settings().cluster_config_file.clone();
                self.disk_op(DiskOp::Load { path }, DiskWork::NodesConf(ConfStep::Read));
            }
            (ConfStep::Lock, Err(error)) if error.kind == DiskErrorKind::Denied => {
                self.nodes_conf_is_used();
                self.exit(1);
            }
            (ConfStep::Open | ConfStep::Lock, Err(error)) => {
                let path = self.config.settings().cluster_config_file.clone();
                self.log(LogLevel::Warning, || {
                    format!("Can't open {path} in order to acquire a lock: {error}")
                });
                self.exit(1);
            }
            // A process that has locked it meanwhile is running beside this one, which is an error.
            (ConfStep::Relock, Err(_)) => self.nodes_conf_is_used(),
            (ConfStep::Relock, Ok(DiskDone::Opened { .. })) => {
                self.lock_nodes_conf(ConfStep::Relock);
            }
            (ConfStep::Relock | ConfStep::Close, _) => {}
            (ConfStep::Read, result) => self.nodes_conf_read(now, result),
            (ConfStep::Write, Ok(_)) => {
                self.open_nodes_conf(ConfStep::Relock);
                self.with_cluster(now, Cluster::saved);
                for client in self.saved_clients() {
                    self.answer(now, client, Ok(()));
                }
            }
            (ConfStep::Write, Err(error)) => {
                let path = self.config.settings().cluster_config_file.clone();
                self.log(LogLevel::Warning, || {
                    format!("Could not write the cluster config file {path}: {error}")
                });
                self.log(LogLevel::Warning, || {
                    "Fatal: can't update cluster config file.".to_owned()
                });
                self.exit(1);
            }
        }
    }

    /// Answers a client once `nodes.conf` contains all changes made so far.
    pub(in crate::server::cluster) fn answer_when_saved(&mut self, client: u64) {
        if let Some(node) = &mut self.service.cluster
            && let Some(state) = &node.state
        {
            node.savers.push((client, state.saves().0));
        }
    }

    /// Removes and returns the clients whose changes are on disk.
    fn saved_clients(&mut self) -> Vec<u64> {
        let Some(node) = &mut self.service.cluster else { return Vec::new() };
        let saved = node.state.as_ref().map_or(0, |state| state.saves().1);
        let (done, waiting) = node.savers.iter().partition(|(_, change)| *change <= saved);
        let done: Vec<(u64, u64)> = done;
        node.savers = waiting;
        done.into_iter().map(|(client, _)| client).collect()
    }

    fn nodes_conf_is_used(&mut self) {
        let path = self.config.settings().cluster_config_file.clone();
        self.log(LogLevel::Warning, || {
            format!(
                "Sorry, the cluster configuration file {path} is already used by a different Redis \
                 Cluster node. Please make sure that different nodes use different cluster \
                 configuration files."
            )
        });
    }

    fn nodes_conf_read(&mut self, now: Now<'_>, result: Result<DiskDone, DiskError>) {
        let settings = self.config.settings().cluster.clone();
        let path = self.config.settings().cluster_config_file.clone();
        let bytes = match result {
            Ok(DiskDone::Data(bytes)) => bytes,
            Ok(_) => Vec::new(),
            Err(error) if error.kind == DiskErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.log(LogLevel::Warning, || {
                    format!("Loading the cluster node config from {path}: {error}")
                });
                return self.exit(1);
            }
        };
        let rng = self.rng.fork();
        let state = match NodesConf::parse(&String::from_utf8_lossy(&bytes)) {
            Ok(Some(conf)) => Cluster::load(settings, rng, &conf, now.mono.as_millis()),
            Ok(None) => Cluster::new(settings, rng),
            Err(damaged) => {
                self.log(LogLevel::Warning, || {
                    format!(
                        "Unrecoverable error: corrupted cluster config file \"{path}\". In \
                         {damaged}"
                    )
                });
                return self.exit(1);
            }
        };
        if let Some(node) = &mut self.service.cluster {
            node.state = Some(Box::new(state));
        }
        // A replica takes its role before loading, so that it can resume the replication stream
        // where the loaded data ends.
        if let Some((host, port)) = self.with_cluster(now, |state, _| state.resume_role()).flatten()
        {
            self.resume_as_replica(&host, port);
        }
        self.listen();
    }

    /// Applies the directives.
    pub(in crate::server) fn cluster_settings_changed(&mut self) {
        let settings = self.config.settings().cluster.clone();
        let differs = self.cluster_state().is_some_and(|state| *state.settings() != settings);
        if differs {
            let (mono, wall) = self.now;
            let now = Now::instantaneous(mono, wall);
            self.with_cluster(now, |state, local| state.set_settings(local, settings));
        }
    }

    /// Calls the state machine, and carries out its effects.
    pub(in crate::server) fn with_cluster<R>(
        &mut self,
        now: Now<'_>,
        call: impl FnOnce(&mut Cluster, Local) -> R,
    ) -> Option<R> {
        let local = self.cluster_local(now);
        let state = self.service.cluster.as_mut()?.state.as_mut()?;
        let result = call(state, local);
        while let Some(effect) = self.next_effect() {
            self.carry_out_effect(now, effect);
        }
        Some(result)
    }

    fn next_effect(&mut self) -> Option<Effect> {
        self.service.cluster.as_mut()?.state.as_mut()?.poll_effect()
    }

    fn cluster_local(&self, now: Now<'_>) -> Local {
        let silent = self.time_since_primary(now.mono);
        // Until a copy of the data has been loaded there is nothing to read from or fail over to;
        // the offset 0 tells other nodes so.
        let offset = if self.replication_syncs() { 0 } else { self.stream_offset() };
        Local {
            now: now.mono.as_millis(),
            wall: now.wall.as_millis(),
            offset: u64::try_from(offset).unwrap_or(0),
            primary_silent_for: silent.map_or(u64::MAX / 2, |silent| silent.as_millis() as u64),
        }
    }

    fn carry_out_effect(&mut self, now: Now<'_>, effect: Effect) {
        match effect {
            Effect::Connect { link, host, port } => self.connect_bus(link, host, port),
            Effect::Send { link, bytes } => self.send_bus(link, &bytes),
            Effect::Close { link } => {
                if let Some(conn) = self.forget_bus_link(link) {
                    self.outputs.push_back(Output::Close { conn, how: Close::Now });
                }
            }
            Effect::Save { text } => {
                let path = self.config.settings().cluster_config_file.clone();
                let what = DiskOp::Replace { path, bytes: text.into_bytes() };
                self.disk_op(what, DiskWork::NodesConf(ConfStep::Write));
            }
            Effect::Follow { host, port } => {
                self.forget_imports_of_primary();
                self.become_replica_in_cluster(now, &host, port);
            }
            Effect::Promote => {
                self.become_primary_in_cluster(now);
                self.inherit_imports(now);
            }
            Effect::FlushAll => self.empty_in_cluster(now),
            Effect::DropKeys(slots) => {
                if let Some(node) = &mut self.service.cluster {
                    let replica = node.state.as_ref().is_some_and(|state| state.is_replica());
                    match replica {
                        true => node.handover.add_leftover(&slots),
                        false => slots.iter().for_each(|slot| {
                            node.dropping.insert(slot);
                        }),
                    }
                }
                self.hide_foreign_keys();
            }
            Effect::Reroute => {
                if let Some(node) = &mut self.service.cluster {
                    node.reroute = true;
                }
            }
            Effect::PauseWrites { .. } => {
                self.pause.begin_for(PauseReason::Failover);
                self.pause_changed(now.mono);
            }
            Effect::ResumeWrites => self.resume_writes(now),
            Effect::Publish { channel, message, sharded } => {
                let kind = if sharded { ChannelKind::Shard } else { ChannelKind::Channel };
                self.publish(now, None, kind, &channel, &message);
            }
            Effect::Log { level, text } => self.log(level, || text),
        }
    }

    /// Deletes all keys, here and in the append-only file.
    fn empty_in_cluster(&mut self, now: Now<'_>) {
        self.forget_data();
        self.service.effects.begin(self.service.consumers);
        self.service.effects.also_propagate(0, [&b"FLUSHALL"[..]]);
        self.after_effects(now, None);
        self.propagate_as(Atomic::No);
    }

    fn connect_bus(&mut self, link: LinkId, host: String, port: u16) {
        let conn = self.new_conn();
        let to = match address_of_name(&host) {
            Some(ip) => Address::Endpoint(Endpoint::Ip(SocketAddr::new(ip, port))),
            None => Address::Name { host, port },
        };
        let from = self.config.front().bind_source_addr.as_deref().and_then(address_of_name);
        let from = from.map(|ip| Endpoint::Ip(SocketAddr::new(ip, 0)));
        self.add_bus_link(conn, link);
        self.outputs.push_back(Output::Connect { conn, to, from });
    }

    fn add_bus_link(&mut self, conn: ConnId, link: LinkId) {
        if let Some(node) = &mut self.service.cluster {
            node.links.insert(conn, BusLink { link, outbox: Outbox::default() });
            node.conns.insert(link, conn);
        }
    }

    fn forget_bus_link(&mut self, link: LinkId) -> Option<ConnId> {
        let node = self.service.cluster.as_mut()?;
        let conn = node.conns.remove(&link)?;
        node.links.remove(&conn);
        Some(conn)
    }

    fn send_bus(&mut self, link: LinkId, bytes: &[u8]) {
        let Some(node) = &mut self.service.cluster else { return };
        let Some(conn) = node.conns.get(&link).copied() else { return };
        if let Some(bus) = node.links.get_mut(&conn) {
            bus.outbox.write(bytes);
            self.outputs.push_back(Output::Send { conn });
        }
    }

    /// Another node has connected to the bus. While data is being loaded no node is accepted, since
    /// its messages may change the data.
    pub(in crate::server) fn bus_accepted(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        peer: &Endpoint,
        local: &Endpoint,
    ) {
        let ip = |at: &Endpoint| match at {
            Endpoint::Ip(at) => at.ip().to_string(),
            Endpoint::Unix(_) => String::new(),
        };
        let loading = !self.service.persistence.ready && !self.is_replica();
        let link = match loading {
            true => None,
            false => self.with_cluster(now, |state, at| state.accepted(at, ip(peer), ip(local))),
        };
        match link {
            Some(link) => {
                self.log(LogLevel::Verbose, || {
                    format!("Accepting cluster node connection from {peer}")
                });
                self.add_bus_link(conn, link);
            }
            None => self.outputs.push_back(Output::Close { conn, how: Close::Now }),
        }
    }

    /// Whether this is a connection to or from another node.
    #[inline]
    pub(in crate::server) fn is_bus_conn(&self, conn: ConnId) -> bool {
        self.service.cluster.as_ref().is_some_and(|node| node.links.contains_key(&conn))
    }

    /// Whether this is the connection on which slots are exported.
    #[inline]
    pub(in crate::server) fn is_handover_conn(&self, conn: ConnId) -> bool {
        self.service.cluster.as_ref().is_some_and(|node| node.handover.has_conn(conn))
    }

    /// Slots that are being migrated to other nodes as a whole, for observers.
    pub fn leaving_slots(&self) -> Vec<super::MovingSlot> {
        self.service
            .cluster
            .as_ref()
            .map_or_else(Vec::new, |node| node.handover.leaving().collect())
    }

    /// The outbox of a link to another node.
    pub(in crate::server) fn bus_outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        Some(&mut self.service.cluster.as_mut()?.links.get_mut(&conn)?.outbox)
    }

    /// Handles an input about a connection to or from another node.
    pub(in crate::server) fn bus_input(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        input: PeerInput<'_>,
    ) {
        let Some(node) = &self.service.cluster else { return };
        let Some(link) = node.links.get(&conn).map(|bus| bus.link) else { return };
        match input {
            PeerInput::Connected { local, .. } => {
                let ip = match local {
                    Endpoint::Ip(at) => at.ip().to_string(),
                    Endpoint::Unix(_) => String::new(),
                };
                self.with_cluster(now, |state, at| state.connected(at, link, ip));
            }
            PeerInput::Received(bytes) => {
                self.with_cluster(now, |state, local| state.receive(local, link, bytes));
            }
            PeerInput::Ended => {
                self.outputs.push_back(Output::Close { conn, how: Close::Now });
                self.bus_lost(now, link, NetError::Eof);
            }
            PeerInput::ConnectFailed(error) | PeerInput::Closed(error) => {
                self.bus_lost(now, link, error);
            }
            // Accepted connections are handled by `bus_accepted`.
            PeerInput::Accepted { .. } | PeerInput::Drained => {}
        }
    }

    fn bus_lost(&mut self, now: Now<'_>, link: LinkId, error: NetError) {
        self.forget_bus_link(link);
        self.with_cluster(now, |state, local| state.link_lost(local, link, &error.to_string()));
    }

    /// Runs the periodic tasks that are due.
    #[inline]
    pub(in crate::server) fn cluster_cron(&mut self, now: Now<'_>) {
        if self.is_clustered() {
            self.cluster_cron_now(now);
        }
    }

    fn cluster_cron_now(&mut self, now: Now<'_>) {
        let Some(state) = self.cluster_state() else { return };
        let due = state.next_tick() <= now.mono.as_millis();
        if state.awaits_offset() {
            self.with_cluster(now, Cluster::offset_advanced);
        }
        if due && self.service.persistence.ready {
            self.cut_overrun_links(now);
            self.with_cluster(now, Cluster::tick);
        }
        self.export_cron(now);
        self.import_cron(now);
        self.open_slots(now);
        self.drop_lost_keys(now);
        let node = self.service.cluster.as_mut();
        if node.is_some_and(|node| core::mem::take(&mut node.reroute)) {
            self.reroute_waiting(now);
            self.reroute_shard_channels(now);
        }
    }

    /// When [`Server::cluster_cron`] has something to do next.
    pub(in crate::server) fn cluster_wake(&self) -> Option<Mono> {
        let node = self.service.cluster.as_ref()?;
        let state = node.state()?;
        let opened = self.service.cluster_opened;
        if !node.dropping.is_empty() || node.reroute || opened || self.export_waits() {
            return Some(self.now.0);
        }
        if !self.service.persistence.ready {
            return None;
        }
        Some(Mono(state.next_tick().saturating_mul(1_000_000)))
    }

    fn cut_overrun_links(&mut self, now: Now<'_>) {
        let limit = self.config.settings().cluster.link_sendbuf_limit;
        let Some(node) = self.service.cluster.as_ref().filter(|_| limit > 0) else { return };
        let full = node.links.values().filter(|bus| bus.outbox.len() as u64 > limit);
        let full: Vec<(LinkId, u64)> =
            full.map(|bus| (bus.link, bus.outbox.len() as u64)).collect();
        for (link, waiting) in full {
            self.with_cluster(now, |state, local| state.link_overrun(local, link, waiting));
        }
    }

    /// Deletes the remaining keys in a slot that this node has lost, before it gets the slot again.
    pub(in crate::server::cluster) fn drop_lost_slot(&mut self, now: Now<'_>, slot: Slot) {
        let Some(node) = &mut self.service.cluster else { return };
        if node.handover.forget_leftover(slot) {
            node.dropping.insert(slot);
        }
        while self.service.cluster.as_ref().is_some_and(|node| node.dropping.contains(slot)) {
            self.drop_keys_in_slot(now, slot);
        }
    }

    /// Deletes a slice of the keys in slots that other nodes own now.
    fn drop_lost_keys(&mut self, now: Now<'_>) {
        let slot = self.service.cluster.as_ref().and_then(|node| node.dropping.iter().next());
        if let Some(slot) = slot {
            self.drop_keys_in_slot(now, slot);
        }
    }

    /// Deletes some keys in a slot that another node owns now.
    fn drop_keys_in_slot(&mut self, now: Now<'_>, slot: Slot) {
        let Some(node) = &mut self.service.cluster else { return };
        if node.state.as_ref().is_some_and(|state| state.owns(slot) || state.is_replica()) {
            // The slot has come back, or the data comes from a primary.
            node.dropping.remove(slot);
            return self.service.keyspace.env.hidden_slots.retain(|hidden| *hidden != slot);
        }
        let keys = self.service.keyspace.keys_in_slot(slot);
        let keys: Vec<Vec<u8>> = keys.take(SLICE).map(<[u8]>::to_vec).collect();
        if keys.len() < SLICE {
            node.dropping.remove(slot);
            self.service.keyspace.env.hidden_slots.retain(|hidden| *hidden != slot);
        }
        self.service.keyspace.env.now_ms = now.wall.as_millis();
        self.service.effects.begin(self.service.consumers);
        for key in keys {
            let mut db = self.service.keyspace.db(0);
            db.discard(db.key(&key));
            self.service.effects.also_propagate(0, [&b"DEL"[..], &key]);
            self.service.effects.touched(0, &key);
            self.service.effects.event(0, crate::command::Class::Generic, "del", &key);
        }
        self.after_effects(now, None);
        self.propagate_as(Atomic::No);
    }

    /// The data has been loaded.
    pub(in crate::server) fn cluster_ready(&mut self) {
        let (mono, wall) = self.now;
        let now = Now::instantaneous(mono, wall);
        let left_over = self.restore_imports();
        let slots = self.service.keyspace.slots_with_keys();
        let slots: SlotSet = slots.filter(|slot| !left_over.contains(*slot)).collect();
        self.with_cluster(now, |state, local| state.check_data(local, &slots));
    }

    /// Forwards a published message to other nodes; `args` are those of PUBLISH or SPUBLISH.
    pub(in crate::server) fn publish_in_cluster(&mut self, now: Now<'_>, args: Args<'_>) {
        let sharded = args.at(0).eq_ignore_ascii_case(b"spublish");
        self.with_cluster(now, |state, local| {
            state.publish(local, args.at(1), args.at(2), sharded);
        });
    }

    /// Size of the output buffers to other nodes, in bytes.
    pub(in crate::server) fn cluster_links_memory(&self) -> usize {
        self.service.cluster.as_ref().map_or(0, |node| node.links_memory())
    }

    /// Whether there are keys.
    pub(in crate::server) fn has_keys(&self) -> bool {
        self.service.keyspace.summary().next().is_some()
    }
}
