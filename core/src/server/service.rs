//! The hooks by which the front calls the server.

use core::ops::ControlFlow;

use super::{
    Change, Client, Command, DiskWork, PendingDiskWork, Redis, Server, ServerClient, checks,
    config, table,
};
use crate::command::{CommandError, Handler};
use crate::front::config::OutputLimit;
use crate::front::info_text::Text;
use crate::front::{Check, Obstacles, PeerInput, Purpose, Service, ShutdownOptions, Table};
use crate::machine::{ConnId, DiskDone, DiskError, Outbox, Signal};
use crate::resp::request::Args;
use crate::store::{AccessPolicy, Entry};
use crate::time::{Mono, Now};

impl Service for Redis {
    type Client = ServerClient;
    type Schema = config::ServerSchema;
    type DiskWork = PendingDiskWork;

    const MODE: &'static str = "standalone";

    const INFO: &'static [(&'static str, bool)] = &[
        ("server", true),
        ("clients", true),
        ("memory", true),
        ("persistence", true),
        ("stats", true),
        ("replication", true),
        ("cpu", true),
        ("modules", true),
        ("commandstats", false),
        ("errorstats", true),
        ("latencystats", false),
        ("cluster", true),
        ("keyspace", true),
    ];

    const CHECKS: &'static [Check<Self>] = checks::CHECKS;

    fn table() -> &'static Table<Self> {
        table::table()
    }

    fn start(server: &mut Server, now: Now<'_>) {
        server.start(now);
    }

    fn listening(server: &mut Server, _now: Now<'_>) {
        server.notice(|| "Server initialized".to_owned());
        server.load_at_start();
    }

    fn config_changed(server: &mut Server) {
        server.server_config_changed();
    }

    fn log_role(server: &Server) -> char {
        if server.is_replica() { 'S' } else { 'M' }
    }

    fn signal(server: &mut Server, signal: Signal) {
        server.signal(signal);
    }

    fn shut_down(server: &mut Server, now: Now<'_>, how: ShutdownOptions) {
        server.shut_down(now, how);
    }

    fn abort_shutdown(server: &mut Server, now: Now<'_>, caller: u64) {
        server.cancel_shutdown(now, Some(caller));
    }

    fn wake(server: &mut Server, now: Now<'_>) {
        server.background(now);
    }

    fn cron(server: &mut Server, now: Now<'_>) {
        if server.shutdown.is_wanted() {
            server.shutdown_cron(now);
        }
        server.server_cron(now);
    }

    fn next_wake(server: &Server) -> Option<Mono> {
        server.next_wake()
    }

    fn role(server: &Server) -> Option<&'static str> {
        Some(if server.is_replica() { "replica" } else { "master" })
    }

    fn mode(server: &Server) -> &'static str {
        if server.is_clustered() { "cluster" } else { Self::MODE }
    }

    fn ports(config: &super::Config) -> Vec<(Purpose, u16)> {
        let cluster = &config.settings().cluster;
        let bus = config.settings().cluster_enabled.then(|| (Server::BUS, cluster.listen_port()));
        bus.into_iter().chain([(Purpose::Clients, config.front().port)]).collect()
    }

    fn release(server: &mut Server, client: &mut Client) {
        server.end_transaction(client);
        server.unblock(client);
        server.replica_disconnected(client);
        server.drop_copy(client);
        if client.state.imports {
            let now = Now::instantaneous(server.now.0, server.now.1);
            server.import_failed(now, client.id, "the connection to the source was closed");
        }
        if client.state.from_primary {
            server.primary_disconnected(client);
        }
    }

    fn reset(client: &mut Client) {
        client.state.db = 0;
        client.state.readonly = false;
        client.state.asking = false;
    }

    fn keeps_closed(server: &mut Server, client: &mut Client) -> bool {
        server.keeps_client(client) || server.script_keeps_client(client)
    }

    fn peer(server: &mut Server, now: Now<'_>, conn: ConnId, input: PeerInput<'_>) {
        server.peer_input(now, conn, input);
    }

    fn outbox(server: &mut Server, conn: ConnId) -> Option<&mut Outbox> {
        server.peer_outbox(conn)
    }

    fn disk_done(
        server: &mut Server,
        now: Now<'_>,
        PendingDiskWork(work): PendingDiskWork,
        result: Result<DiskDone, DiskError>,
    ) {
        match work {
            DiskWork::Snapshot { job, step } => server.snapshot_disk_done(now, job, step, result),
            DiskWork::LoadRdb(file) => server.load_disk_done(now, file, result),
            DiskWork::Transfer(work) => server.transfer_disk_done(now, work, result),
            DiskWork::Sending { client, work } => {
                server.sending_disk_done(now, client, work, result);
            }
            DiskWork::Aof(step) => server.aof_disk_done(now, step, result),
            DiskWork::NodesConf(step) => server.nodes_conf_done(now, step, result),
            DiskWork::Nothing => {}
        }
    }

    #[inline]
    fn prefetch<'b>(server: &mut Server, arrived: impl Iterator<Item = (ConnId, &'b [u8])>) {
        if server.service.prefetch_pays {
            server.prefetch_first_keys(arrived);
        }
    }

    #[inline]
    fn prefetch_requests(server: &mut Server, client: &Client, bytes: &[u8]) -> usize {
        server.prefetch_keys(client, bytes)
    }

    #[inline]
    fn holds_all(server: &Server) -> bool {
        server.holds_all()
    }

    fn serve_primary(server: &mut Server, now: Now<'_>, client: &mut Client, bytes: &[u8]) {
        server.serve_primary(now, client, bytes);
    }

    #[inline(always)]
    fn look_for_obstacles(
        server: &Server,
        client: &Client,
        found: impl FnMut(Obstacles, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        server.look_for_server_obstacles(client, found)
    }

    #[inline]
    fn serve_fast(
        server: &mut Server,
        now: Now<'_>,
        client: &mut Client,
        bytes: &mut &[u8],
        left: &mut u32,
    ) {
        if server.can_skip_checks(client) {
            server.serve_plain_requests(now, client, bytes, left);
        }
    }

    #[inline]
    fn execute_fast(
        server: &mut Server,
        now: Now<'_>,
        client: &mut Client,
        args: Args<'_>,
        obstacles: Obstacles,
    ) -> bool {
        if !obstacles.is_empty() && server.is_debugging(client) {
            server.debug(now, client, args);
            return true;
        }
        if obstacles.except(checks::CLUSTER).is_empty()
            && let Some(command) = server.plain_command(args)
            && server.serves_keys(command, args)
        {
            server.execute_plain(now, client, command, args);
            return true;
        }
        false
    }

    #[inline]
    fn unavailable(server: &Server, command: &Command) -> Option<CommandError> {
        let text = command.meta.not_in_cluster.filter(|_| server.is_clustered())?;
        Some(CommandError::text(text))
    }

    fn forbidden(server: &Server, client: &Client, command: &Command) -> Option<CommandError> {
        server.debug_forbidden(client, command)
    }

    fn refuse(
        server: &mut Server,
        client: &mut Client,
        command: Option<&'static Command>,
        args: Args<'_>,
        error: &CommandError,
    ) {
        server.refuse(client, command, args, error);
    }

    fn carry_out(
        server: &mut Server,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) {
        server.carry_out(now, client, command, args);
    }

    fn call_data(
        server: &mut Server,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        handler: Handler,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        server.call_data(now, client, command, handler, args)
    }

    #[inline]
    fn continues_later(server: &Server, client: &Client) -> bool {
        client.state.blocked.is_some() || server.is_halted()
    }

    fn is_in_script(server: &Server) -> bool {
        server.service.scripting.is_calling()
    }

    fn published(server: &mut Server, now: Now<'_>, client: &Client, args: Args<'_>) {
        if server.is_clustered() {
            if client.state.from_primary && server.handle_imports_message(now, args) {
                return;
            }
            return server.publish_in_cluster(now, args);
        }
        server.propagate_to_replicas(client.state.db, args);
    }

    fn tracking_changed(server: &mut Server) {
        server.note_watching();
    }

    fn error_between_servers(server: &mut Server, client: &Client, text: &[u8]) {
        server.error_between_servers(client, text);
    }

    fn before_sending(server: &mut Server) -> bool {
        if server.tracking.has_changes() {
            let now = Now::instantaneous(server.now.0, server.now.1);
            server.send_broadcasts(now);
        }
        server.limit_client_memory(server.now.0);
        if !server.outputs.is_empty() {
            return false;
        }
        if server.service.aof.has_unwritten() {
            // All inputs have been handled: their writes are appended at once, before any reply is
            // sent.
            server.drive_log();
            if !server.outputs.is_empty() {
                return false;
            }
        }
        if server.is_halfway() {
            return false;
        }
        if server.is_unwritten() {
            server.keep_all_unwritten();
        }
        true
    }

    #[inline]
    fn may_send(server: &mut Server, now: Mono, client: &mut Client) -> bool {
        server.gate_replies(now, client)
    }

    fn last_flush(server: &mut Server, client: &mut Client) {
        server.keep_unwritten(client);
    }

    fn drained(server: &mut Server, now: Now<'_>, client: &mut Client) {
        if client.is_replica() {
            server.send_more(now, client);
            server.fill_outbox(now, client);
        }
    }

    #[inline]
    fn waiting_bytes(server: &Server, client: &Client) -> u64 {
        server.waiting_bytes(client)
    }

    #[inline]
    fn output_limit(server: &Server, client: &Client) -> Option<OutputLimit> {
        if client.state.from_primary {
            return None;
        }
        let limits = &server.config.front().client_output_buffer_limit;
        if !client.is_replica() {
            return Some(limits[usize::from(client.subscriptions.is_some()) * 2]);
        }
        let mut limit = limits[1];
        if limit.hard != 0 {
            // A replica that has resumed must not be disconnected because of what it has to catch
            // up on.
            limit.hard = limit.hard.max(server.config.settings().repl_backlog_size);
        }
        Some(limit)
    }

    fn free_copy(server: &mut Server, copy: Entry) {
        server.service.keyspace.free_copy_later(copy);
    }

    fn before_info(server: &mut Server, caller: &Client) {
        server.note_memory(Some(caller));
    }

    fn info_section(server: &Server, section: &str, text: &mut Text, caller: Option<&Client>) {
        server.info_section(section, text, caller);
    }

    fn reset_stats(server: &mut Server) {
        *server.service.replication.stats() = Default::default();
        server.service.keyspace.reset_lazily_freed();
        let env = &mut server.service.keyspace.env;
        (env.hits, env.misses) = (0, 0);
        server.service.expired_before = env.expired;
        server.service.snapshots_before = server.snapshots_begun();
    }

    fn pause_changed(server: &mut Server, now: Mono) {
        server.pause_changed(now);
    }

    fn keeps_paused(server: &mut Server) -> bool {
        let migrating = server.is_migrating();
        if migrating {
            // A paused client has started a MIGRATE.
            server.unpause_later();
        }
        migrating
    }

    fn held_executed(server: &mut Server, client: &Client) {
        server.held_executed(client);
    }

    fn unblock(
        server: &mut Server,
        now: Now<'_>,
        client: &mut Client,
        error: Option<&str>,
    ) -> bool {
        server.give_up(now, client, error)
    }

    fn check_config_set(server: &Server, names: &[&[u8]]) -> Result<(), CommandError> {
        // These directives determine where and how data is loaded.
        let loads = |name: &[u8]| {
            let known = ["appendonly", "repl-diskless-load", "dir"];
            known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        };
        if server.is_loading() && names.iter().any(|name| loads(name)) {
            return Err(CommandError::text("LOADING Redis is loading the dataset in memory"));
        }
        Ok(())
    }

    fn config_set(server: &mut Server, now: Now<'_>, mut change: Change) -> bool {
        // The score first: it is restored at once if the file cannot be opened.
        if server.is_to_adjust_oom_score(&change.old) {
            change.waits = "oom-score-adj";
            server.adjust_oom_score(Some(change));
            return true;
        }
        server.switch_aof_for(now, change)
    }

    fn oom_score_adjusted(server: &mut Server, now: Now<'_>, result: Result<(), String>) {
        server.oom_score_adjusted(now, result);
    }

    fn directory_changes(server: &mut Server, done: bool) {
        if done {
            return server.log_aof_location();
        }
        // Files that are being written are completed in their old directory, as by Redis's child
        // process, which keeps its working directory.
        server.keep_snapshot_in_place();
        server.keep_aof_in_place();
        server.keep_transfer_in_place();
    }
}

impl Server {
    fn start(&mut self, now: Now<'_>) {
        self.service.persistence.saves.last = now.wall.as_secs();
        self.log_start();
        self.adjust_oom_score(None);
        if self.is_clustered() {
            // In cluster mode, the server listens once it knows its node id.
            return self.load_nodes_conf();
        }
        self.listen();
    }

    /// Updates what the server derives from the configuration.
    fn server_config_changed(&mut self) {
        let data = &self.config.settings().data;
        self.service.keyspace.env.access = if data.maxmemory_policy.is_lfu() {
            AccessPolicy::Lfu {
                log_factor: u32::try_from(data.lfu_log_factor).unwrap_or(u32::MAX),
                decay_minutes: u32::try_from(data.lfu_decay_time).unwrap_or(u32::MAX),
            }
        } else {
            AccessPolicy::Lru
        };
        self.service.consumers.events = self.config.settings().notify_keyspace_events;
        self.followers_changed();
        self.aof_settings_changed();
        self.service.eviction.forget();
        self.service.eviction.incomplete = self.config.settings().maxmemory > 0;
        self.client_limit_changed();
        self.replication_config_changed();
        self.delays_changed();
        self.cluster_settings_changed();
    }

    /// The data is loaded: logs that, and serves clients.
    pub(super) fn ready(&mut self) {
        self.announce_ready();
        self.replication_ready();
        self.hold_all();
        self.service.persistence.ready = true;
        self.cluster_ready();
        self.release_all();
    }
}
