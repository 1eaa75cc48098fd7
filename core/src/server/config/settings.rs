//! The typed values of the server's own directives.

use super::ServerSchema;
use super::forms::event_bits;
use crate::cluster;
use crate::command::DataConfig;
use crate::command::context::MaxmemoryPolicy;
use crate::front::config::{Permission, Values};
use crate::machine::OomScore;

/// The typed values of the server's own directives. Each field has the name of its directive.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Settings {
    pub data: DataConfig,
    pub cluster_enabled: bool,
    pub cluster_config_file: String,
    pub cluster: cluster::Settings,
    pub active_expire_effort: u32,
    pub activerehashing: bool,
    pub maxmemory: u64,
    pub min_replicas_to_write: u64,
    pub min_replicas_max_lag: u64,
    /// Bytes, or if negative a percentage of `maxmemory`.
    pub maxmemory_clients: i64,
    pub maxmemory_samples: usize,
    pub enable_debug_command: Permission,
    pub enable_module_command: Permission,
    pub shutdown_timeout: u64,
    pub notify_keyspace_events: u16,
    /// As a primary, and as a replica.
    pub oom_score_adj: [OomScore; 2],
    /// 0 is no limit.
    pub tracking_table_max_keys: u64,
    /// Save points: seconds and changes.
    pub save: Vec<(u64, u64)>,
    pub replicaof: Option<(String, u16)>,
    pub dbfilename: String,
    pub rdbchecksum: bool,
    pub rdb_save_incremental_fsync: bool,
    /// Microseconds per key, to slow saving down in tests.
    pub rdb_key_save_delay: i64,
    /// Microseconds per key, to slow loading down in tests.
    pub key_load_delay: i64,
    pub stop_writes_on_bgsave_error: bool,
    pub loading_process_events_interval_bytes: u64,
    pub masterauth: Option<Vec<u8>>,
    pub masteruser: Option<Vec<u8>>,
    pub propagation_error_behavior: PropagationError,
    pub rdb_del_sync_files: bool,
    pub repl_backlog_size: u64,
    pub repl_backlog_ttl: u64,
    pub repl_diskless_load: DisklessLoad,
    pub repl_diskless_sync: bool,
    pub repl_diskless_sync_delay: u64,
    pub repl_diskless_sync_max_replicas: u64,
    pub repl_ping_replica_period: u64,
    pub repl_timeout: u64,
    pub replica_announce_ip: Option<String>,
    pub replica_announce_port: u16,
    pub replica_announced: bool,
    pub replica_ignore_maxmemory: bool,
    pub replica_lazy_flush: bool,
    pub replica_priority: i64,
    /// After how many milliseconds of a script other clients get `BUSY`.
    pub busy_reply_threshold: u64,
    pub replica_read_only: bool,
    pub replica_serve_stale_data: bool,
    pub appendonly: bool,
    pub aof: AofSettings,
}

/// Whether a replica loads a full sync without a file (`repl-diskless-load`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DisklessLoad {
    /// Never.
    #[default]
    Disabled,
    /// If the replica has no keys.
    OnEmptyDb,
    /// Beside the old data, which is dropped when the new data is complete.
    SwapDb,
}

impl DisklessLoad {
    /// The words of `repl-diskless-load`.
    pub const WORDS: [(&'static str, Self); 3] =
        [("disabled", Self::Disabled), ("on-empty-db", Self::OnEmptyDb), ("swapdb", Self::SwapDb)];
}

/// What happens when a command of the primary or of the append-only file fails
/// (`propagation-error-behavior`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PropagationError {
    /// The error is ignored.
    #[default]
    Ignore,
    /// The server exits.
    Panic,
    /// The server exits if it is a replica.
    PanicOnReplicas,
}

impl PropagationError {
    /// The words of `propagation-error-behavior`.
    pub const WORDS: [(&'static str, Self); 3] = [
        ("ignore", Self::Ignore),
        ("panic", Self::Panic),
        ("panic-on-replicas", Self::PanicOnReplicas),
    ];
}

/// When the append-only file is fsynced (`appendfsync`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before the reply to a write is sent.
    Always,
    /// Every second.
    #[default]
    Everysec,
    /// When the operating system chooses to.
    No,
}

impl Fsync {
    /// The words of `appendfsync`.
    pub const WORDS: [(&'static str, Self); 3] =
        [("everysec", Self::Everysec), ("always", Self::Always), ("no", Self::No)];
}

/// The settings of the append-only file.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct AofSettings {
    pub appendfsync: Fsync,
    pub appendfilename: String,
    pub appenddirname: String,
    pub no_appendfsync_on_rewrite: bool,
    pub auto_aof_rewrite_percentage: u64,
    pub auto_aof_rewrite_min_size: u64,
    pub aof_load_truncated: bool,
    pub aof_use_rdb_preamble: bool,
    pub aof_timestamp_enabled: bool,
    pub aof_disable_auto_gc: bool,
    pub aof_rewrite_incremental_fsync: bool,
}

impl Settings {
    pub(super) fn of(values: &Values<ServerSchema>) -> Self {
        let text = |name| values.text(name);
        let some = |name| values.some_text(name);
        let bytes = |name| values.some_bytes(name);
        let yes = |name| values.yes(name);
        let number = |name| values.number(name);
        let size = |name| values.size(name);
        let small = |name| u32::try_from(values.number(name)).unwrap_or_default();
        let permission = |name| values.word(name, &Permission::WORDS);
        let data = DataConfig {
            databases: usize::try_from(number("databases")).unwrap_or(1),
            proto_max_bulk_len: size("proto-max-bulk-len"),
            hash_max_listpack_entries: size("hash-max-listpack-entries"),
            hash_max_listpack_value: size("hash-max-listpack-value"),
            list_max_listpack_size: number("list-max-listpack-size"),
            list_compress_depth: size("list-compress-depth"),
            set_max_intset_entries: size("set-max-intset-entries"),
            set_max_listpack_entries: size("set-max-listpack-entries"),
            set_max_listpack_value: size("set-max-listpack-value"),
            zset_max_listpack_entries: size("zset-max-listpack-entries"),
            zset_max_listpack_value: size("zset-max-listpack-value"),
            hll_sparse_max_bytes: size("hll-sparse-max-bytes"),
            stream_node_max_bytes: size("stream-node-max-bytes"),
            stream_node_max_entries: size("stream-node-max-entries"),
            maxmemory_policy: values.word("maxmemory-policy", &MaxmemoryPolicy::WORDS),
            lfu_log_factor: size("lfu-log-factor"),
            lfu_decay_time: size("lfu-decay-time"),
            lazyfree_lazy_eviction: yes("lazyfree-lazy-eviction"),
            lazyfree_lazy_expire: yes("lazyfree-lazy-expire"),
            lazyfree_lazy_server_del: yes("lazyfree-lazy-server-del"),
            lazyfree_lazy_user_del: yes("lazyfree-lazy-user-del"),
            lazyfree_lazy_user_flush: yes("lazyfree-lazy-user-flush"),
            rdb_compression: yes("rdbcompression"),
            skip_checksum_validation: values.state.skip_checksum_validation,
        };
        Settings {
            data,
            cluster_enabled: yes("cluster-enabled"),
            cluster_config_file: text("cluster-config-file"),
            cluster: cluster_settings(values),
            active_expire_effort: small("active-expire-effort"),
            activerehashing: yes("activerehashing"),
            maxmemory: size("maxmemory"),
            min_replicas_to_write: size("min-replicas-to-write"),
            min_replicas_max_lag: size("min-replicas-max-lag"),
            maxmemory_clients: number("maxmemory-clients"),
            maxmemory_samples: usize::try_from(number("maxmemory-samples")).unwrap_or(5),
            enable_debug_command: permission("enable-debug-command"),
            enable_module_command: permission("enable-module-command"),
            shutdown_timeout: size("shutdown-timeout"),
            notify_keyspace_events: event_bits(
                values.get("notify-keyspace-events").unwrap_or_default(),
            )
            .unwrap_or_default(),
            tracking_table_max_keys: size("tracking-table-max-keys"),
            save: pairs(&text("save")),
            dbfilename: text("dbfilename"),
            rdbchecksum: yes("rdbchecksum"),
            rdb_save_incremental_fsync: yes("rdb-save-incremental-fsync"),
            rdb_key_save_delay: number("rdb-key-save-delay"),
            key_load_delay: number("key-load-delay"),
            stop_writes_on_bgsave_error: yes("stop-writes-on-bgsave-error"),
            loading_process_events_interval_bytes: size("loading-process-events-interval-bytes"),
            replicaof: text("replicaof")
                .split_once(' ')
                .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?))),
            masterauth: bytes("masterauth"),
            masteruser: bytes("masteruser"),
            propagation_error_behavior: values
                .word("propagation-error-behavior", &PropagationError::WORDS),
            rdb_del_sync_files: yes("rdb-del-sync-files"),
            repl_backlog_size: size("repl-backlog-size"),
            repl_backlog_ttl: size("repl-backlog-ttl"),
            oom_score_adj: oom_scores(values),
            repl_diskless_load: values.word("repl-diskless-load", &DisklessLoad::WORDS),
            repl_diskless_sync: yes("repl-diskless-sync"),
            repl_diskless_sync_delay: size("repl-diskless-sync-delay"),
            repl_diskless_sync_max_replicas: size("repl-diskless-sync-max-replicas"),
            repl_ping_replica_period: size("repl-ping-replica-period"),
            repl_timeout: size("repl-timeout"),
            replica_announce_ip: some("replica-announce-ip"),
            replica_announce_port: u16::try_from(number("replica-announce-port"))
                .unwrap_or_default(),
            replica_announced: yes("replica-announced"),
            replica_ignore_maxmemory: yes("replica-ignore-maxmemory"),
            replica_lazy_flush: yes("replica-lazy-flush"),
            replica_priority: number("replica-priority"),
            busy_reply_threshold: number("busy-reply-threshold").unsigned_abs(),
            replica_read_only: yes("replica-read-only"),
            replica_serve_stale_data: yes("replica-serve-stale-data"),
            appendonly: yes("appendonly"),
            aof: AofSettings {
                appendfsync: values.word("appendfsync", &Fsync::WORDS),
                appendfilename: text("appendfilename"),
                appenddirname: text("appenddirname"),
                no_appendfsync_on_rewrite: yes("no-appendfsync-on-rewrite"),
                auto_aof_rewrite_percentage: size("auto-aof-rewrite-percentage"),
                auto_aof_rewrite_min_size: size("auto-aof-rewrite-min-size"),
                aof_load_truncated: yes("aof-load-truncated"),
                aof_use_rdb_preamble: yes("aof-use-rdb-preamble"),
                aof_timestamp_enabled: yes("aof-timestamp-enabled"),
                aof_disable_auto_gc: yes("aof-disable-auto-gc"),
                aof_rewrite_incremental_fsync: yes("aof-rewrite-incremental-fsync"),
            },
        }
    }
}

fn cluster_settings(values: &Values<ServerSchema>) -> cluster::Settings {
    let port = |name| u16::try_from(values.number(name)).unwrap_or_default();
    let number = |name| u64::try_from(values.number(name)).unwrap_or_default();
    let yes = |name| values.yes(name);
    cluster::Settings {
        port: port("port"),
        tls_port: port("tls-port"),
        bus_port: port("cluster-port"),
        node_timeout: number("cluster-node-timeout"),
        announce_ip: values.some_text("cluster-announce-ip"),
        announce_port: port("cluster-announce-port"),
        announce_tls_port: port("cluster-announce-tls-port"),
        announce_bus_port: port("cluster-announce-bus-port"),
        announce_hostname: values.text("cluster-announce-hostname"),
        announce_human_nodename: values.text("cluster-announce-human-nodename"),
        preferred_endpoint: values
            .word("cluster-preferred-endpoint-type", &cluster::PreferredEndpoint::WORDS),
        require_full_coverage: yes("cluster-require-full-coverage"),
        replica_validity_factor: number("cluster-replica-validity-factor"),
        replica_ping_period: number("repl-ping-replica-period").saturating_mul(1_000),
        replica_no_failover: yes("cluster-replica-no-failover"),
        migration_barrier: number("cluster-migration-barrier"),
        allow_replica_migration: yes("cluster-allow-replica-migration"),
        allow_reads_when_down: yes("cluster-allow-reads-when-down"),
        allow_pubsubshard_when_down: yes("cluster-allow-pubsubshard-when-down"),
        link_sendbuf_limit: number("cluster-link-sendbuf-limit"),
        ping_interval: number("cluster-ping-interval"),
    }
}

fn pairs(text: &str) -> Vec<(u64, u64)> {
    let numbers: Vec<u64> = text.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect();
    numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// `oom-score-adj`, with the first two of `oom-score-adj-values`; the third is for child processes
/// that write snapshots, which this server does not have.
fn oom_scores(values: &Values<ServerSchema>) -> [OomScore; 2] {
    let text = values.text("oom-score-adj-values");
    let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or_default());
    let mode = values.text("oom-score-adj");
    [(); 2].map(|()| {
        let number = numbers.next().unwrap_or_default();
        match mode.as_str() {
            "no" => OomScore::Inherited,
            "absolute" => OomScore::Absolute(number),
            _ => OomScore::Relative(number),
        }
    })
}
