//! INFO.

use core::fmt::{Display, Write as _};

use super::clients::Client;
use super::dispatch::{Call, Handler, row};
use super::net::bind_name;
use super::{LIMPID_VERSION, Server, VERSION, table};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::machine::Endpoint;
use crate::resp::number::format_double;
use crate::sorted::SortedSet;
use crate::time::Duration;

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Server, "info", -1, info)
    .flags(flag::LOADING | flag::STALE)
    .acl(acl::DANGEROUS)
    .summary("Tells how the server is, section by section.")
    .syntax("[section ...]")
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
    .history(&[("7.0.0", "Takes several sections.")])];

/// The sections in their order, and whether each is among the default ones.
const SECTIONS: [(&str, bool); 13] = [
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

fn info(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let sections: Vec<String> = call
        .args
        .from(1)
        .iter()
        .map(|section| String::from_utf8_lossy(section).to_ascii_lowercase())
        .collect();
    let text = server.info_text(&sections, Some(call.client));
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

impl Server {
    /// The text of INFO for these sections, in lower case; the default ones if there are none.
    pub fn info(&mut self, sections: &[&str]) -> String {
        let sections: Vec<String> = sections.iter().map(|s| (*s).to_owned()).collect();
        self.info_text(&sections, None)
    }

    /// `caller` is the client that asks, which is taken out meanwhile.
    fn info_text(&mut self, sections: &[String], caller: Option<&Client>) -> String {
        let mut wanted = SortedSet::new();
        for section in sections {
            match section.as_str() {
                "default" => wanted.extend(SECTIONS.iter().filter(|s| s.1).map(|s| s.0)),
                "all" | "everything" => wanted.extend(SECTIONS.iter().map(|s| s.0)),
                name => wanted.extend(SECTIONS.iter().map(|s| s.0).find(|s| *s == name)),
            }
        }
        if sections.is_empty() {
            wanted.extend(SECTIONS.iter().filter(|s| s.1).map(|s| s.0));
        }
        self.keyspace.env.now_ms = self.now.1.as_millis();
        let memory = self.memory(caller);
        let mut text = Text(String::new());
        for (section, _) in SECTIONS {
            if !wanted.contains(section) {
                continue;
            }
            match section {
                "server" => self.server_section(&mut text),
                "clients" => self.clients_section(&mut text, caller),
                "memory" => self.memory_section(&mut text, &memory),
                "persistence" => self.persistence_section(&mut text),
                "stats" => self.stats_section(&mut text),
                "replication" => self.replication_section(&mut text),
                "cpu" => self.cpu_section(&mut text),
                "modules" => text.section("Modules"),
                "commandstats" => self.commandstats_section(&mut text),
                "errorstats" => self.errorstats_section(&mut text),
                "latencystats" => self.latencystats_section(&mut text),
                "cluster" => {
                    text.section("Cluster");
                    text.field("cluster_enabled", 0);
                }
                _ => self.keyspace_section(&mut text),
            }
        }
        if sections.iter().any(|section| section == "debug") {
            self.debug_section(&mut text);
        }
        text.0
    }

    fn server_section(&self, text: &mut Text) {
        let settings = self.config.settings();
        let uptime = self.uptime().as_secs();
        text.section("Server");
        text.field("redis_version", VERSION);
        text.field("redis_git_sha1", "00000000");
        text.field("redis_git_dirty", 0);
        text.field("redis_build_id", "0");
        text.field("redis_mode", "standalone");
        text.field("os", &self.facts.os);
        text.field("arch_bits", self.facts.arch_bits);
        text.field("monotonic_clock", "POSIX clock_gettime");
        text.field("multiplexing_api", &self.facts.multiplexing);
        text.field("atomicvar_api", "rust-builtin");
        text.field("gcc_version", "0.0.0");
        text.field("process_id", self.facts.pid);
        text.field("process_supervised", &settings.supervised);
        text.field("run_id", String::from_utf8_lossy(&self.run_id));
        text.field("tcp_port", settings.port);
        text.field("server_time_usec", self.now.1.0);
        text.field("uptime_in_seconds", uptime);
        text.field("uptime_in_days", uptime / 86_400);
        text.field("hz", settings.hz);
        text.field("configured_hz", settings.hz);
        text.field("lru_clock", self.now.1.as_secs() & 0xFF_FFFF);
        text.field("executable", &self.facts.executable);
        text.field("config_file", self.config.file.as_deref().unwrap_or_default());
        text.field("io_threads_active", 0);
        if let Some(at) = self.shutdown_deadline() {
            text.field("shutdown_in_milliseconds", at.since(self.now.0).as_millis());
        }
        let (mut tcp, mut unix, mut port) = (String::new(), None, 0);
        for address in self.listeners_open.addresses() {
            match address {
                Endpoint::Ip(address) => {
                    tcp.push_str(&format!(",bind={}", bind_name(address.ip())));
                    port = address.port();
                }
                Endpoint::Unix(path) => unix = Some(format!("name=unix,bind={path}")),
            }
        }
        let tcp = (!tcp.is_empty()).then(|| format!("name=tcp{tcp},port={port}"));
        for (i, listener) in tcp.into_iter().chain(unix).enumerate() {
            text.field(&format!("listener{i}"), listener);
        }
        text.field("limpid_version", LIMPID_VERSION);
    }

    fn clients_section(&self, text: &mut Text, caller: Option<&Client>) {
        text.section("Clients");
        text.field("connected_clients", self.clients.connected() - self.replication.replicas());
        text.field("cluster_connections", 0);
        text.field("maxclients", self.config.settings().maxclients);
        let of_caller = caller.map_or(0, |c| c.requests.capacity());
        let input = self.clients.iter().map(|c| c.requests.capacity()).max().unwrap_or(0);
        let output = self.clients.iter().map(|c| c.outbox.capacity()).max().unwrap_or(0);
        text.field("client_recent_max_input_buffer", input.max(of_caller));
        text.field("client_recent_max_output_buffer", output);
        let paused = self.clients.iter().filter(|c| c.paused).count();
        text.field("blocked_clients", self.waiting.len() + paused + self.shutdown.clients.len());
        text.field("tracking_clients", 0);
        let everyone = || self.clients.iter().chain(caller);
        let listening = everyone().filter(|c| c.subscriptions.is_some()).count();
        text.field("pubsub_clients", listening);
        text.field("watching_clients", everyone().filter(|c| !c.watching.is_empty()).count());
        text.field("clients_in_timeout_table", self.waiting.deadlines());
        text.field("total_watched_keys", self.watches.len());
        text.field("total_blocking_keys", self.waiting.keys());
        text.field("total_blocking_keys_on_nokey", 0);
    }

    fn memory_section(&self, text: &mut Text, m: &Memory) {
        let settings = self.config.settings();
        let resident = self.vitals.resident;
        text.section("Memory");
        text.bytes("used_memory", m.used);
        text.bytes("used_memory_rss", resident);
        text.bytes("used_memory_peak", m.peak);
        text.field("used_memory_peak_perc", format_args!("{:.2}%", m.peak_percentage()));
        text.field("used_memory_overhead", m.overhead);
        text.field("used_memory_startup", m.startup);
        text.field("used_memory_dataset", m.dataset());
        text.field("used_memory_dataset_perc", format_args!("{:.2}%", m.dataset_percentage()));
        text.field("allocator_allocated", m.used);
        text.field("allocator_active", m.held());
        text.field("allocator_resident", m.held());
        text.bytes("total_system_memory", self.vitals.host_memory);
        text.field("used_memory_lua", 0);
        text.field("used_memory_vm_eval", 0);
        text.field("used_memory_lua_human", "0B");
        text.field("used_memory_scripts_eval", 0);
        text.field("number_of_cached_scripts", 0);
        text.field("number_of_functions", 0);
        text.field("number_of_libraries", 0);
        text.field("used_memory_vm_functions", 0);
        text.bytes("used_memory_vm_total", 0);
        text.field("used_memory_functions", 0);
        text.bytes("used_memory_scripts", 0);
        text.bytes("maxmemory", settings.maxmemory);
        text.field("maxmemory_policy", &settings.maxmemory_policy);
        text.field("allocator_frag_ratio", format_args!("{:.2}", m.fragmentation()));
        text.field("allocator_frag_bytes", m.unused());
        text.field("allocator_rss_ratio", "1.00");
        text.field("allocator_rss_bytes", 0);
        text.field("rss_overhead_ratio", "1.00");
        text.field("rss_overhead_bytes", 0);
        text.field("mem_fragmentation_ratio", format_args!("{:.2}", m.fragmentation()));
        text.field("mem_fragmentation_bytes", m.unused());
        text.field("mem_not_counted_for_evict", m.uncounted);
        text.field("mem_replication_backlog", m.backlog);
        text.field("mem_total_replication_buffers", m.stream);
        text.field("mem_clients_slaves", m.replicas);
        text.field("mem_clients_normal", m.clients);
        text.field("mem_cluster_links", 0);
        text.field("mem_aof_buffer", m.aof);
        text.field("mem_allocator", "system");
        text.field("active_defrag_running", 0);
        text.field("lazyfree_pending_objects", self.keyspace.free_pending());
        text.field("lazyfreed_objects", self.keyspace.lazily_freed());
    }

    fn stats_section(&mut self, text: &mut Text) {
        let [commands, input, output, cycles, nanos] = self.stats.rates(self.now.0);
        let kilobytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
        let replication = *self.replication.stats();
        let (stats, env) = (&self.stats, &self.keyspace.env);
        text.section("Stats");
        text.field("total_connections_received", stats.connections_received);
        text.field("total_commands_processed", stats.commands_processed);
        text.field("instantaneous_ops_per_sec", commands);
        text.field("total_net_input_bytes", stats.net_input);
        text.field("total_net_output_bytes", stats.net_output);
        text.field("total_net_repl_input_bytes", replication.net_input);
        text.field("total_net_repl_output_bytes", replication.net_output);
        text.field("instantaneous_input_kbps", kilobytes(input));
        text.field("instantaneous_output_kbps", kilobytes(output));
        text.field("instantaneous_input_repl_kbps", "0.00");
        text.field("instantaneous_output_repl_kbps", "0.00");
        text.field("rejected_connections", stats.rejected_connections);
        text.field("sync_full", replication.sync_full);
        text.field("sync_partial_ok", replication.sync_partial_ok);
        text.field("sync_partial_err", replication.sync_partial_err);
        text.field("expired_keys", env.expired - self.expired_before);
        text.field("expired_stale_perc", "0.00");
        text.field("expired_time_cap_reached_count", 0);
        text.field("expire_cycle_cpu_milliseconds", 0);
        text.field("evicted_keys", self.stats.evicted_keys);
        text.field("evicted_clients", self.stats.evicted_clients);
        text.field("total_eviction_exceeded_time", 0);
        text.field("current_eviction_exceeded_time", 0);
        text.field("keyspace_hits", env.hits);
        text.field("keyspace_misses", env.misses);
        text.field("pubsub_channels", self.pubsub.channels());
        text.field("pubsub_patterns", self.pubsub.patterns());
        text.field("pubsubshard_channels", self.pubsub.shards());
        text.field("latest_fork_usec", 0);
        text.field("total_forks", 0);
        text.field("migrate_cached_sockets", self.migration_sockets());
        text.field("slave_expires_tracked_keys", self.own_keys());
        text.field("active_defrag_hits", 0);
        text.field("active_defrag_misses", 0);
        text.field("active_defrag_key_hits", 0);
        text.field("active_defrag_key_misses", 0);
        text.field("total_active_defrag_time", 0);
        text.field("current_active_defrag_time", 0);
        text.field("tracking_total_keys", 0);
        text.field("tracking_total_items", 0);
        text.field("tracking_total_prefixes", 0);
        text.field("unexpected_error_replies", replication.unexpected_error_replies);
        text.field("total_error_replies", stats.error_replies);
        text.field("dump_payload_sanitizations", 0);
        text.field("total_reads_processed", stats.reads);
        text.field("total_writes_processed", stats.writes);
        text.field("io_threaded_reads_processed", 0);
        text.field("io_threaded_writes_processed", 0);
        text.field("client_query_buffer_limit_disconnections", stats.query_limit_disconnections);
        text.field("client_output_buffer_limit_disconnections", stats.output_limit_disconnections);
        text.field("reply_buffer_shrinks", 0);
        text.field("reply_buffer_expands", 0);
        text.field("acl_access_denied_auth", stats.denied_logins);
        text.field("acl_access_denied_cmd", 0);
        text.field("acl_access_denied_key", 0);
        text.field("acl_access_denied_channel", 0);
        let loops = &stats.cycles;
        text.field("eventloop_cycles", loops.count);
        text.field("eventloop_duration_sum", loops.took / 1000);
        text.field("eventloop_duration_cmd_sum", loops.commands_took / 1000);
        text.field("instantaneous_eventloop_cycles_per_sec", cycles.div_ceil(1000));
        let mean = nanos.checked_div(cycles).unwrap_or_default();
        text.field("instantaneous_eventloop_duration_usec", mean);
    }

    /// What only who asks for it by name gets to see.
    fn debug_section(&self, text: &mut Text) {
        let loops = &self.stats.cycles;
        text.section("Debug");
        text.field("eventloop_duration_aof_sum", 0);
        text.field("eventloop_duration_cron_sum", loops.cron_took / 1000);
        text.field("eventloop_duration_max", loops.longest / 1000);
        text.field("eventloop_cmd_per_cycle_max", loops.most_commands);
    }

    fn cpu_section(&self, text: &mut Text) {
        let seconds = |d: Duration| format!("{}.{:06}", d.as_secs(), d.subsec_micros());
        text.section("CPU");
        text.field("used_cpu_sys", seconds(self.vitals.cpu_system));
        text.field("used_cpu_user", seconds(self.vitals.cpu_user));
        text.field("used_cpu_sys_children", "0.000000");
        text.field("used_cpu_user_children", "0.000000");
        text.field("used_cpu_sys_main_thread", seconds(self.vitals.cpu_system));
        text.field("used_cpu_user_main_thread", seconds(self.vitals.cpu_user));
    }

    fn commandstats_section(&self, text: &mut Text) {
        text.section("Commandstats");
        for (command, stats) in table::all().iter().zip(self.stats.commands()) {
            if stats.calls + stats.rejected + stats.failed == 0 {
                continue;
            }
            let usec = stats.took / 1000;
            let per_call = if stats.calls == 0 {
                0.0
            } else {
                stats.took as f64 / 1000.0 / stats.calls as f64
            };
            text.field(
                &format!("cmdstat_{}", command.name),
                format_args!(
                    "calls={},usec={usec},usec_per_call={per_call:.2},rejected_calls={},\
                     failed_calls={}",
                    stats.calls, stats.rejected, stats.failed
                ),
            );
        }
    }

    fn errorstats_section(&self, text: &mut Text) {
        text.section("Errorstats");
        for (code, count) in self.stats.errors.iter() {
            text.field(&format!("errorstat_{code}"), format_args!("count={count}"));
        }
    }

    fn latencystats_section(&self, text: &mut Text) {
        text.section("Latencystats");
        let percentiles = &self.config.settings().latency_tracking_info_percentiles;
        for (command, stats) in table::all().iter().zip(self.stats.commands()) {
            let Some(histogram) = &stats.histogram else { continue };
            let values: Vec<String> = percentiles
                .iter()
                .map(|p| {
                    let name = format_double(*p);
                    let micros = histogram.percentile(*p) as f64 / 1000.0;
                    format!("p{}={micros:.3}", String::from_utf8_lossy(&name))
                })
                .collect();
            text.field(&format!("latency_percentiles_usec_{}", command.name), values.join(","));
        }
    }

    fn keyspace_section(&self, text: &mut Text) {
        text.section("Keyspace");
        for (db, keys, expires, mean_ttl) in self.keyspace.summary() {
            text.field(
                &format!("db{db}"),
                format_args!("keys={keys},expires={expires},avg_ttl={mean_ttl}"),
            );
        }
    }

    /// How long the server has been up.
    pub(super) fn uptime(&self) -> Duration {
        self.now.0.since(self.started)
    }

    /// Memory that clients take. `caller` is the one that is taken out meanwhile.
    pub(super) fn client_memory(&self, caller: Option<&Client>) -> usize {
        self.clients.iter().map(Client::memory).sum::<usize>() + caller.map_or(0, Client::memory)
    }

    /// Where memory goes.
    pub(super) fn memory(&mut self, caller: Option<&Client>) -> Memory {
        let clients = self.client_memory(caller);
        let replicas: usize =
            self.clients.iter().filter(|c| c.is_replica()).map(Client::memory).sum();
        let (backlog, beyond) = self.backlog_memory();
        // What the backlog keeps beyond its size it keeps for replicas, or will drop at once.
        let of_replicas = if replicas > 0 { beyond } else { 0 };
        let databases: Vec<(usize, usize)> = self.keyspace.summary().map(|s| (s.0, s.1)).collect();
        let keys = databases.iter().map(|(_, keys)| keys).sum();
        let tables: usize = databases.iter().flat_map(|(db, _)| self.keyspace.overheads(*db)).sum();
        let startup = STARTUP_MEMORY;
        let (aof, uncounted) = (self.aof_memory(), self.uncounted_memory(caller));
        let beside = startup + (clients + backlog + beyond + aof) as u64;
        let used = beside + self.keyspace.memory() as u64;
        self.stats.memory_peak = self.stats.memory_peak.max(used);
        Memory {
            used,
            peak: self.stats.memory_peak,
            startup,
            clients: (clients - replicas) as u64,
            replicas: (replicas + of_replicas) as u64,
            backlog: (backlog + beyond - of_replicas) as u64,
            stream: (backlog + beyond) as u64,
            aof: aof as u64,
            uncounted: uncounted as u64,
            overhead: beside + tables as u64,
            keys,
            resident: self.vitals.resident,
        }
    }
}

/// What the process takes before it holds anything. A fixed figure, so that the same session tells
/// the same numbers everywhere.
pub(super) const STARTUP_MEMORY: u64 = 900_000;

/// Where memory goes, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) used: u64,
    pub(super) peak: u64,
    pub(super) startup: u64,
    /// Clients that are no replicas.
    pub(super) clients: u64,
    /// Replicas, with what is kept for them.
    pub(super) replicas: u64,
    pub(super) backlog: u64,
    /// The backlog, with what it keeps beyond its size.
    pub(super) stream: u64,
    /// What the append-only file has yet to be given.
    pub(super) aof: u64,
    /// What is no reason to evict.
    pub(super) uncounted: u64,
    pub(super) overhead: u64,
    pub(super) keys: usize,
    pub(super) resident: u64,
}

impl Memory {
    pub(super) fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead)
    }

    pub(super) fn dataset_percentage(&self) -> f64 {
        let net = self.used.saturating_sub(self.startup).max(1);
        self.dataset() as f64 * 100.0 / net as f64
    }

    pub(super) fn peak_percentage(&self) -> f64 {
        self.used as f64 * 100.0 / self.peak.max(1) as f64
    }

    /// What the allocator holds. It tells nothing about itself, and so this is all that the
    /// process takes, as Redis has it where it cannot ask; where nobody knows that, what is used.
    pub(super) fn held(&self) -> u64 {
        if self.resident == 0 { self.used } else { self.resident }
    }

    /// What is held and not used.
    pub(super) fn unused(&self) -> i64 {
        self.held() as i64 - self.used as i64
    }

    pub(super) fn fragmentation(&self) -> f64 {
        self.held() as f64 / self.used.max(1) as f64
    }
}

pub(super) struct Text(String);

impl Text {
    pub(super) fn section(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        // Writing to a string does not fail.
        let _ = write!(self.0, "# {name}\r\n");
    }

    pub(super) fn field(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// A number of bytes, then the same for people.
    fn bytes(&mut self, name: &str, value: u64) {
        self.field(name, value);
        self.field(&format!("{name}_human"), human(value));
    }
}

/// A number of bytes for people: `1.50M`.
pub(super) fn human(bytes: u64) -> String {
    let units = [(1u64 << 50, 'P'), (1 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, letter)) => format!("{:.2}{letter}", bytes as f64 / unit as f64),
        None => format!("{bytes}B"),
    }
}
