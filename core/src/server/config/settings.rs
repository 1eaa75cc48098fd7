//! The values in use, typed.

use super::Config;
use super::value::{CLIENT_CLASSES, event_bits};
use crate::command::DataConfig;
use crate::command::context::MaxmemoryPolicy;
use crate::machine::LogLevel;
use crate::server::aof::Fsync;

/// The values in use. A field has the name of its directive.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Settings {
    pub data: DataConfig,
    pub port: u16,
    pub bind: Vec<String>,
    pub unixsocket: Option<String>,
    pub unixsocketperm: u32,
    pub tcp_backlog: u32,
    pub tcp_keepalive: u32,
    pub timeout: u64,
    pub maxclients: u64,
    pub protected_mode: bool,
    pub requirepass: Option<Vec<u8>>,
    pub daemonize: bool,
    pub supervised: String,
    pub pidfile: Option<String>,
    pub logfile: String,
    /// `None`: nothing is logged.
    pub loglevel: Option<LogLevel>,
    pub syslog_enabled: bool,
    pub syslog_ident: String,
    pub syslog_facility: String,
    pub always_show_logo: bool,
    pub dir: String,
    pub hz: u32,
    pub active_expire_effort: u32,
    pub activerehashing: bool,
    pub client_query_buffer_limit: u64,
    /// For normal clients, replicas and subscribers.
    pub client_output_buffer_limit: [OutputLimit; 3],
    pub slowlog_log_slower_than: i64,
    /// Milliseconds after which a command is told of; 0 for never.
    pub watchdog_period: u64,
    pub slowlog_max_len: usize,
    pub latency_tracking: bool,
    pub latency_tracking_info_percentiles: Vec<f64>,
    pub maxmemory: u64,
    pub min_replicas_to_write: u64,
    pub min_replicas_max_lag: u64,
    /// Bytes, or if negative a percentage of `maxmemory`.
    pub maxmemory_clients: i64,
    pub maxmemory_policy: String,
    pub maxmemory_samples: usize,
    pub enable_debug_command: Permission,
    pub enable_protected_configs: Permission,
    pub enable_module_command: Permission,
    pub shutdown_timeout: u64,
    pub shutdown_on_sigint: ShutdownOn,
    pub shutdown_on_sigterm: ShutdownOn,
    pub notify_keyspace_events: u16,
    /// Pairs of seconds and changes.
    pub save: Vec<(u64, u64)>,
    pub replicaof: Option<(String, u16)>,
    pub dbfilename: String,
    pub rdbchecksum: bool,
    pub rdb_save_incremental_fsync: bool,
    /// Microseconds for each key; slower than the server can, for tests.
    pub rdb_key_save_delay: i64,
    /// Microseconds for each key; slower than the server can, for tests.
    pub key_load_delay: i64,
    pub stop_writes_on_bgsave_error: bool,
    pub loading_process_events_interval_bytes: u64,
    pub masterauth: Option<Vec<u8>>,
    pub masteruser: Option<Vec<u8>>,
    pub bind_source_addr: Option<String>,
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
    pub replica_read_only: bool,
    pub replica_serve_stale_data: bool,
    pub appendonly: bool,
    pub aof: AofSettings,
}

/// Whether a replica loads a copy of the data without a file (`repl-diskless-load`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DisklessLoad {
    /// Never.
    #[default]
    Disabled,
    /// If it has no keys.
    OnEmptyDb,
    /// Beside the old data, which goes when the new data is complete.
    SwapDb,
}

/// What happens when a command of the primary, or of the append-only file, causes an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PropagationError {
    /// Nothing.
    #[default]
    Ignore,
    /// The server ends.
    Panic,
    /// The server ends if it is a replica.
    PanicOnReplicas,
}

/// What is set of the append-only file.
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

/// How much may wait for a slow reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which it is cut off at once; 0 for never.
    pub hard: u64,
    /// Bytes at which it is cut off if they stay so many; 0 for never.
    pub soft: u64,
    /// For how many seconds they must stay so many.
    pub seconds: u64,
}

/// Who may do something dangerous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permission {
    /// Nobody.
    #[default]
    No,
    /// Everybody.
    Yes,
    /// Clients of the same host.
    Local,
}

/// What a signal's shutdown does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ShutdownOn {
    pub save: bool,
    pub nosave: bool,
    pub now: bool,
    pub force: bool,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Self {
        let text =
            |name| String::from_utf8_lossy(config.get(name).unwrap_or_default()).into_owned();
        let some = |name| Some(text(name)).filter(|t| !t.is_empty());
        let bytes = |name| config.get(name).filter(|t| !t.is_empty()).map(<[u8]>::to_vec);
        let yes = |name| config.get(name) == Some(b"yes");
        let number = |name| text(name).parse::<i64>().unwrap_or_default();
        let size = |name| u64::try_from(number(name)).unwrap_or_default();
        let small = |name| u32::try_from(number(name)).unwrap_or_default();
        let permission = |name| match config.get(name) {
            Some(b"yes") => Permission::Yes,
            Some(b"local") => Permission::Local,
            _ => Permission::No,
        };
        let shutdown = |name| {
            let text = text(name);
            let has = |word| text.split(' ').any(|w| w == word);
            ShutdownOn {
                save: has("save"),
                nosave: has("nosave"),
                now: has("now"),
                force: has("force"),
            }
        };
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
            maxmemory_policy: policy(&text("maxmemory-policy")),
            lfu_log_factor: size("lfu-log-factor"),
            lfu_decay_time: size("lfu-decay-time"),
            lazyfree_lazy_eviction: yes("lazyfree-lazy-eviction"),
            lazyfree_lazy_expire: yes("lazyfree-lazy-expire"),
            lazyfree_lazy_server_del: yes("lazyfree-lazy-server-del"),
            lazyfree_lazy_user_del: yes("lazyfree-lazy-user-del"),
            lazyfree_lazy_user_flush: yes("lazyfree-lazy-user-flush"),
            rdb_compression: yes("rdbcompression"),
            skip_checksum_validation: config.skip_checksum_validation,
        };
        Settings {
            data,
            port: u16::try_from(number("port")).unwrap_or_default(),
            bind: text("bind").split_ascii_whitespace().map(str::to_owned).collect(),
            unixsocket: some("unixsocket"),
            unixsocketperm: u32::from_str_radix(&text("unixsocketperm"), 8).unwrap_or_default(),
            tcp_backlog: small("tcp-backlog"),
            tcp_keepalive: small("tcp-keepalive"),
            timeout: size("timeout"),
            maxclients: size("maxclients"),
            protected_mode: yes("protected-mode"),
            requirepass: bytes("requirepass"),
            daemonize: yes("daemonize"),
            supervised: text("supervised"),
            pidfile: some("pidfile"),
            logfile: text("logfile"),
            loglevel: match config.get("loglevel") {
                Some(b"debug") => Some(LogLevel::Debug),
                Some(b"verbose") => Some(LogLevel::Verbose),
                Some(b"warning") => Some(LogLevel::Warning),
                Some(b"nothing") => None,
                _ => Some(LogLevel::Notice),
            },
            syslog_enabled: yes("syslog-enabled"),
            syslog_ident: text("syslog-ident"),
            syslog_facility: text("syslog-facility"),
            always_show_logo: yes("always-show-logo"),
            dir: text("dir"),
            hz: small("hz").clamp(1, 500),
            active_expire_effort: small("active-expire-effort"),
            activerehashing: yes("activerehashing"),
            client_query_buffer_limit: size("client-query-buffer-limit"),
            client_output_buffer_limit: output_limits(&text("client-output-buffer-limit")),
            slowlog_log_slower_than: number("slowlog-log-slower-than"),
            watchdog_period: u64::try_from(number("watchdog-period")).unwrap_or_default(),
            slowlog_max_len: usize::try_from(number("slowlog-max-len")).unwrap_or_default(),
            latency_tracking: yes("latency-tracking"),
            latency_tracking_info_percentiles: text("latency-tracking-info-percentiles")
                .split_ascii_whitespace()
                .filter_map(|p| p.parse().ok())
                .collect(),
            maxmemory: size("maxmemory"),
            min_replicas_to_write: size("min-replicas-to-write"),
            min_replicas_max_lag: size("min-replicas-max-lag"),
            maxmemory_clients: number("maxmemory-clients"),
            maxmemory_policy: text("maxmemory-policy"),
            maxmemory_samples: usize::try_from(number("maxmemory-samples")).unwrap_or(5),
            enable_debug_command: permission("enable-debug-command"),
            enable_protected_configs: permission("enable-protected-configs"),
            enable_module_command: permission("enable-module-command"),
            shutdown_timeout: size("shutdown-timeout"),
            shutdown_on_sigint: shutdown("shutdown-on-sigint"),
            shutdown_on_sigterm: shutdown("shutdown-on-sigterm"),
            notify_keyspace_events: event_bits(
                config.get("notify-keyspace-events").unwrap_or_default(),
            )
            .unwrap_or_default(),
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
            bind_source_addr: some("bind-source-addr"),
            propagation_error_behavior: match config.get("propagation-error-behavior") {
                Some(b"panic") => PropagationError::Panic,
                Some(b"panic-on-replicas") => PropagationError::PanicOnReplicas,
                _ => PropagationError::Ignore,
            },
            rdb_del_sync_files: yes("rdb-del-sync-files"),
            repl_backlog_size: size("repl-backlog-size"),
            repl_backlog_ttl: size("repl-backlog-ttl"),
            repl_diskless_load: match config.get("repl-diskless-load") {
                Some(b"on-empty-db") => DisklessLoad::OnEmptyDb,
                Some(b"swapdb") => DisklessLoad::SwapDb,
                _ => DisklessLoad::Disabled,
            },
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
            replica_read_only: yes("replica-read-only"),
            replica_serve_stale_data: yes("replica-serve-stale-data"),
            appendonly: yes("appendonly"),
            aof: AofSettings {
                appendfsync: match config.get("appendfsync") {
                    Some(b"always") => Fsync::Always,
                    Some(b"no") => Fsync::No,
                    _ => Fsync::Everysec,
                },
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

fn policy(name: &str) -> MaxmemoryPolicy {
    match name {
        "volatile-lru" => MaxmemoryPolicy::VolatileLru,
        "volatile-lfu" => MaxmemoryPolicy::VolatileLfu,
        "volatile-random" => MaxmemoryPolicy::VolatileRandom,
        "volatile-ttl" => MaxmemoryPolicy::VolatileTtl,
        "allkeys-lru" => MaxmemoryPolicy::AllkeysLru,
        "allkeys-lfu" => MaxmemoryPolicy::AllkeysLfu,
        "allkeys-random" => MaxmemoryPolicy::AllkeysRandom,
        _ => MaxmemoryPolicy::NoEviction,
    }
}

fn output_limits(text: &str) -> [OutputLimit; 3] {
    let words: Vec<&str> = text.split(' ').collect();
    let mut limits = [OutputLimit::default(); 3];
    for (limit, four) in limits.iter_mut().zip(words.chunks(CLIENT_CLASSES.len() + 1)) {
        let number = |i: usize| four.get(i).and_then(|w| w.parse().ok()).unwrap_or_default();
        *limit = OutputLimit { hard: number(1), soft: number(2), seconds: number(3) };
    }
    limits
}

fn pairs(text: &str) -> Vec<(u64, u64)> {
    let numbers: Vec<u64> = text.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect();
    numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}
