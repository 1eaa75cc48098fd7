//! The sections of INFO about keys, memory and replication.

use super::{Client, Server};
use crate::front::info::{ClientCounts, ServiceStats};
use crate::front::info_text::Text;

impl Server {
    /// Writes one section of INFO.
    pub(super) fn info_section(&self, section: &str, text: &mut Text, caller: Option<&Client>) {
        match section {
            "server" => self.server_section(text),
            "clients" => {
                let counts = self.client_counts(caller);
                self.clients_section(text, caller, counts);
            }
            "memory" => {
                let memory = self.memory(caller);
                self.memory_section(text, &memory);
            }
            "persistence" => self.persistence_section(text),
            "stats" => {
                let stats = self.service_stats();
                self.stats_section(text, &stats);
            }
            "replication" => self.replication_section(text),
            "cpu" => self.cpu_section(text),
            "modules" => text.section("Modules"),
            "commandstats" => self.commandstats_section(text),
            "errorstats" => self.errorstats_section(text),
            "latencystats" => self.latencystats_section(text),
            "cluster" => {
                text.section("Cluster");
                text.field("cluster_enabled", u8::from(self.is_clustered()));
            }
            _ => self.keyspace_section(text),
        }
    }

    fn client_counts(&self, caller: Option<&Client>) -> ClientCounts {
        let everyone = self.clients.iter().chain(caller);
        ClientCounts {
            replicas: self.service.replication.replicas(),
            blocked: self.service.waiting.len(),
            watching: everyone.filter(|c| !c.state.watching.is_empty()).count(),
            timeouts: self.service.waiting.deadlines(),
            watched_keys: self.service.watches.len(),
            blocking_keys: self.service.waiting.keys(),
            blocking_keys_on_nokey: self.keys_watched_for_deletion(),
        }
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
        let scripts = self.service.scripting.usage();
        text.field("used_memory_vm_eval", scripts.eval_memory);
        text.bytes("used_memory_lua", scripts.eval_memory);
        text.field("used_memory_scripts_eval", scripts.script_bytes);
        text.field("number_of_cached_scripts", scripts.scripts);
        text.field("number_of_functions", scripts.functions);
        text.field("number_of_libraries", scripts.libraries);
        text.field("used_memory_vm_functions", scripts.functions_memory);
        text.bytes("used_memory_vm_total", scripts.eval_memory + scripts.functions_memory);
        text.field("used_memory_functions", scripts.library_bytes);
        text.bytes("used_memory_scripts", scripts.script_bytes + scripts.library_bytes);
        text.bytes("maxmemory", settings.maxmemory);
        text.field("maxmemory_policy", settings.data.maxmemory_policy.name());
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
        text.field("mem_cluster_links", self.cluster_links_memory());
        text.field("mem_aof_buffer", m.aof);
        text.field("mem_allocator", "system");
        text.field("active_defrag_running", 0);
        text.field("lazyfree_pending_objects", self.service.keyspace.free_pending());
        text.field("lazyfreed_objects", self.service.keyspace.lazily_freed());
    }

    fn service_stats(&self) -> ServiceStats {
        let replication = self.service.replication.counted();
        let env = &self.service.keyspace.env;
        ServiceStats {
            net_repl_input: replication.net_input,
            net_repl_output: replication.net_output,
            sync_full: replication.sync_full,
            sync_partial_ok: replication.sync_partial_ok,
            sync_partial_err: replication.sync_partial_err,
            expired_keys: env.expired - self.service.expired_before,
            keyspace_hits: env.hits,
            keyspace_misses: env.misses,
            migrate_cached_sockets: self.migration_sockets() as u64,
            slave_expires_tracked_keys: self.own_keys() as u64,
            unexpected_error_replies: replication.unexpected_error_replies,
            snapshots: self.snapshots_begun() - self.service.snapshots_before,
        }
    }

    fn keyspace_section(&self, text: &mut Text) {
        text.section("Keyspace");
        for (db, keys, expires) in self.service.keyspace.summary() {
            let mean_ttl = self.service.keyspace.mean_ttl(db, self.now.1.as_millis());
            text.field(
                &format!("db{db}"),
                format_args!("keys={keys},expires={expires},avg_ttl={mean_ttl}"),
            );
        }
    }

    /// Memory of clients in bytes. `caller` is the client that is taken out of its slot.
    pub(super) fn client_memory(&self, caller: Option<&Client>) -> usize {
        self.clients.iter().map(Client::memory).sum::<usize>() + caller.map_or(0, Client::memory)
    }

    /// Updates the peak of used memory.
    pub(super) fn note_memory(&mut self, caller: Option<&Client>) {
        self.stats.memory_peak = self.memory(caller).peak;
    }

    /// The memory statistics.
    pub(super) fn memory(&self, caller: Option<&Client>) -> Memory {
        let clients = self.client_memory(caller);
        let replicas: usize =
            self.clients.iter().filter(|c| c.is_replica()).map(Client::memory).sum();
        let (backlog, beyond) = self.backlog_memory();
        // What the backlog keeps beyond its size is for replicas, or about to be dropped.
        let of_replicas = if replicas > 0 { beyond } else { 0 };
        let databases: Vec<(usize, usize)> =
            self.service.keyspace.summary().map(|s| (s.0, s.1)).collect();
        let keys = databases.iter().map(|(_, keys)| keys).sum();
        let tables: usize =
            databases.iter().flat_map(|(db, _)| self.service.keyspace.overheads(*db)).sum();
        let startup = STARTUP_MEMORY;
        let (aof, uncounted) = (self.aof_memory(), self.uncounted_memory(caller));
        let beside = startup + (clients + backlog + beyond + aof) as u64;
        let used = beside + self.service.keyspace.memory() as u64;
        Memory {
            used,
            peak: self.stats.memory_peak.max(used),
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

/// The memory of a process without data, in bytes. A fixed figure, so that the same session shows
/// the same numbers everywhere.
pub(super) const STARTUP_MEMORY: u64 = 900_000;

/// Memory statistics, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) used: u64,
    pub(super) peak: u64,
    pub(super) startup: u64,
    /// Clients other than replicas.
    pub(super) clients: u64,
    /// Replicas, with the part of the backlog that is kept for them.
    pub(super) replicas: u64,
    pub(super) backlog: u64,
    /// The backlog, including what exceeds its configured size.
    pub(super) stream: u64,
    /// Buffered commands of the append-only file.
    pub(super) aof: u64,
    /// Memory that does not count against `maxmemory`.
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

    /// What the allocator holds. It has no statistics, so this is the resident memory of the
    /// process, as in Redis without jemalloc; if that is unknown, the used memory.
    pub(super) fn held(&self) -> u64 {
        if self.resident == 0 { self.used } else { self.resident }
    }

    /// Memory that is held but not used.
    pub(super) fn unused(&self) -> i64 {
        self.held() as i64 - self.used as i64
    }

    pub(super) fn fragmentation(&self) -> f64 {
        self.held() as f64 / self.used.max(1) as f64
    }
}
