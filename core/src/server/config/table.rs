//! Every directive of Redis 7.2, with its bounds and its default.

/// A directive.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: &'static str,
    /// Its older name, or empty.
    pub alias: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Its default, in the form that CONFIG GET shows.
    pub default: &'static str,
    flags: u8,
}

/// What a directive's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several of these words.
    Choices(&'static [&'static str]),
    /// A number from the first to the second.
    Number(i64, i64, Unit),
    /// A directory, which becomes the working directory.
    Dir,
    /// Pairs of seconds and changes.
    Save,
    /// Four words for each class of client.
    OutputLimits,
    /// Three numbers.
    OomScores,
    /// Letters for classes of keyspace events.
    Events,
    /// Addresses.
    Bind,
    /// A host and a port.
    ReplicaOf,
    /// Numbers from 0 to 100.
    Percentiles,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// In decimal digits.
    Plain,
    /// With a unit such as `kb` (1024) or `k` (1000).
    Memory,
    /// Like memory, or a percentage, which is kept as a negative number.
    MemoryOrPercent,
    /// In octal digits.
    Octal,
}

impl Directive {
    /// Whether it can be set only when the server starts.
    pub fn is_immutable(&self) -> bool {
        self.flags & IMMUTABLE != 0
    }

    /// Whether only an exact name finds it.
    pub fn is_hidden(&self) -> bool {
        self.flags & HIDDEN != 0
    }

    /// Whether its value is kept out of logs.
    pub fn is_sensitive(&self) -> bool {
        self.flags & SENSITIVE != 0
    }

    /// Whether `enable-protected-configs` guards it.
    pub fn is_protected(&self) -> bool {
        self.flags & PROTECTED != 0
    }

    /// Whether it takes several words.
    pub fn takes_several(&self) -> bool {
        self.flags & MULTI != 0
    }

    /// Whether it is known, but setting it changes nothing yet.
    pub fn has_no_effect(&self) -> bool {
        self.flags & NO_EFFECT != 0
    }
}

/// The place in [`DIRECTIVES`] of a name or an alias, in any case.
pub fn find(name: &[u8]) -> Option<usize> {
    let name = core::str::from_utf8(name).ok()?.to_ascii_lowercase();
    DIRECTIVES
        .binary_search_by(|d| d.name.cmp(&name))
        .ok()
        .or_else(|| DIRECTIVES.iter().position(|d| !d.alias.is_empty() && d.alias == name))
}

/// Directives of older versions that are read and forgotten.
pub const FORGOTTEN: &[&str] =
    &["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

const NONE: u8 = 0;
const IMMUTABLE: u8 = 1;
const HIDDEN: u8 = 2;
const SENSITIVE: u8 = 4;
const PROTECTED: u8 = 8;
const MULTI: u8 = 16;
const NO_EFFECT: u8 = 32;

const fn row(
    name: &'static str,
    alias: &'static str,
    kind: Kind,
    default: &'static str,
    flags: u8,
) -> Directive {
    Directive { name, alias, kind, default, flags }
}

const SUPERVISED: &[&str] = &["upstart", "systemd", "auto", "no"];
const SYSLOG_FACILITY: &[&str] =
    &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];
const REPL_DISKLESS_LOAD: &[&str] = &["disabled", "on-empty-db", "swapdb"];
const LOGLEVEL: &[&str] = &["debug", "verbose", "notice", "warning", "nothing"];
const MAXMEMORY_POLICY: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
];
const APPENDFSYNC: &[&str] = &["everysec", "always", "no"];
const OOM_SCORE_ADJ: &[&str] = &["no", "yes", "relative", "absolute"];
const ACL_PUBSUB: &[&str] = &["allchannels", "resetchannels"];
const SANITIZE: &[&str] = &["no", "yes", "clients"];
const PROTECTED_ACTION: &[&str] = &["no", "yes", "local"];
const ENDPOINT_TYPE: &[&str] = &["ip", "hostname", "unknown-endpoint"];
const PROPAGATION_ERROR: &[&str] = &["ignore", "panic", "panic-on-replicas"];
const SHUTDOWN_ON_SIGNAL: &[&str] = &["default", "save", "nosave", "now", "force"];
const TLS_AUTH: &[&str] = &["no", "yes", "optional"];

/// All directives, by name.
pub static DIRECTIVES: &[Directive] = &[
    row("acl-pubsub-default", "", Kind::Choice(ACL_PUBSUB), "resetchannels", NO_EFFECT),
    row("aclfile", "", Kind::Text, "", IMMUTABLE | NO_EFFECT),
    row("acllog-max-len", "", Kind::Number(0, i64::MAX, Unit::Plain), "128", NO_EFFECT),
    row("active-defrag-cycle-max", "", Kind::Number(1, 99, Unit::Plain), "25", NO_EFFECT),
    row("active-defrag-cycle-min", "", Kind::Number(1, 99, Unit::Plain), "1", NO_EFFECT),
    row(
        "active-defrag-ignore-bytes",
        "",
        Kind::Number(1, i64::MAX, Unit::Memory),
        "104857600",
        NO_EFFECT,
    ),
    row(
        "active-defrag-max-scan-fields",
        "",
        Kind::Number(1, i64::MAX, Unit::Plain),
        "1000",
        NO_EFFECT,
    ),
    row("active-defrag-threshold-lower", "", Kind::Number(0, 1000, Unit::Plain), "10", NO_EFFECT),
    row("active-defrag-threshold-upper", "", Kind::Number(0, 1000, Unit::Plain), "100", NO_EFFECT),
    row("active-expire-effort", "", Kind::Number(1, 10, Unit::Plain), "1", NONE),
    row("activedefrag", "", Kind::Bool, "no", NO_EFFECT),
    row("activerehashing", "", Kind::Bool, "yes", NONE),
    row("always-show-logo", "", Kind::Bool, "no", IMMUTABLE),
    row("aof-disable-auto-gc", "", Kind::Bool, "no", HIDDEN),
    row("aof-load-truncated", "", Kind::Bool, "yes", NONE),
    row("aof-rewrite-incremental-fsync", "", Kind::Bool, "yes", NONE),
    row("aof-timestamp-enabled", "", Kind::Bool, "no", NONE),
    row("aof-use-rdb-preamble", "", Kind::Bool, "yes", NONE),
    row("aof_rewrite_cpulist", "", Kind::Text, "", IMMUTABLE | NO_EFFECT),
    row("appenddirname", "", Kind::Text, "appendonlydir", IMMUTABLE),
    row("appendfilename", "", Kind::Text, "appendonly.aof", IMMUTABLE),
    row("appendfsync", "", Kind::Choice(APPENDFSYNC), "everysec", NONE),
    row("appendonly", "", Kind::Bool, "no", NONE),
    row("auto-aof-rewrite-min-size", "", Kind::Number(0, i64::MAX, Unit::Memory), "67108864", NONE),
    row(
        "auto-aof-rewrite-percentage",
        "",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "100",
        NONE,
    ),
    row("bgsave_cpulist", "", Kind::Text, "", IMMUTABLE | NO_EFFECT),
    row("bind", "", Kind::Bind, "* -::*", MULTI),
    row("bind-source-addr", "", Kind::Text, "", NONE),
    row("bio_cpulist", "", Kind::Text, "", IMMUTABLE | NO_EFFECT),
    row(
        "busy-reply-threshold",
        "lua-time-limit",
        Kind::Number(0, i64::MAX, Unit::Plain),
        "5000",
        NO_EFFECT,
    ),
    row(
        "client-output-buffer-limit",
        "",
        Kind::OutputLimits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        MULTI,
    ),
    row(
        "client-query-buffer-limit",
        "",
        Kind::Number(1 << 20, i64::MAX, Unit::Memory),
        "1073741824",
        NONE,
    ),
    row("cluster-allow-pubsubshard-when-down", "", Kind::Bool, "yes", NO_EFFECT),
    row("cluster-allow-reads-when-down", "", Kind::Bool, "no", NO_EFFECT),
    row("cluster-allow-replica-migration", "", Kind::Bool, "yes", NO_EFFECT),
    row("cluster-announce-bus-port", "", Kind::Number(0, 65535, Unit::Plain), "0", NO_EFFECT),
    row("cluster-announce-hostname", "", Kind::Text, "", NO_EFFECT),
    row("cluster-announce-human-nodename", "", Kind::Text, "", NO_EFFECT),
    row("cluster-announce-ip", "", Kind::Text, "", NO_EFFECT),
    row("cluster-announce-port", "", Kind::Number(0, 65535, Unit::Plain), "0", NO_EFFECT),
    row("cluster-announce-tls-port", "", Kind::Number(0, 65535, Unit::Plain), "0", NO_EFFECT),
    row("cluster-config-file", "", Kind::Text, "nodes.conf", IMMUTABLE | NO_EFFECT),
    row("cluster-enabled", "", Kind::Bool, "no", IMMUTABLE | NO_EFFECT),
    row("cluster-link-sendbuf-limit", "", Kind::Number(0, i64::MAX, Unit::Memory), "0", NO_EFFECT),
    row(
        "cluster-migration-barrier",
        "",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "1",
        NO_EFFECT,
    ),
    row("cluster-node-timeout", "", Kind::Number(0, i64::MAX, Unit::Plain), "15000", NO_EFFECT),
    row(
        "cluster-ping-interval",
        "",
        Kind::Number(0, i64::MAX, Unit::Plain),
        "0",
        HIDDEN | NO_EFFECT,
    ),
    row("cluster-port", "", Kind::Number(0, 65535, Unit::Plain), "0", IMMUTABLE | NO_EFFECT),
    row("cluster-preferred-endpoint-type", "", Kind::Choice(ENDPOINT_TYPE), "ip", NO_EFFECT),
    row("cluster-replica-no-failover", "cluster-slave-no-failover", Kind::Bool, "no", NO_EFFECT),
    row(
        "cluster-replica-validity-factor",
        "cluster-slave-validity-factor",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "10",
        NO_EFFECT,
    ),
    row("cluster-require-full-coverage", "", Kind::Bool, "yes", NO_EFFECT),
    row("crash-log-enabled", "", Kind::Bool, "yes", NO_EFFECT),
    row("crash-memcheck-enabled", "", Kind::Bool, "yes", NO_EFFECT),
    row("daemonize", "", Kind::Bool, "no", IMMUTABLE),
    row("databases", "", Kind::Number(1, i32::MAX as i64, Unit::Plain), "16", IMMUTABLE),
    row("dbfilename", "", Kind::Text, "dump.rdb", PROTECTED),
    row("dir", "", Kind::Dir, ".", PROTECTED),
    row("disable-thp", "", Kind::Bool, "yes", IMMUTABLE | NO_EFFECT),
    row("dynamic-hz", "", Kind::Bool, "yes", NONE),
    row("enable-debug-command", "", Kind::Choice(PROTECTED_ACTION), "no", IMMUTABLE),
    row("enable-module-command", "", Kind::Choice(PROTECTED_ACTION), "no", IMMUTABLE),
    row("enable-protected-configs", "", Kind::Choice(PROTECTED_ACTION), "no", IMMUTABLE),
    row(
        "hash-max-listpack-entries",
        "hash-max-ziplist-entries",
        Kind::Number(0, i64::MAX, Unit::Plain),
        "512",
        NONE,
    ),
    row(
        "hash-max-listpack-value",
        "hash-max-ziplist-value",
        Kind::Number(0, i64::MAX, Unit::Memory),
        "64",
        NONE,
    ),
    row("hll-sparse-max-bytes", "", Kind::Number(0, i64::MAX, Unit::Memory), "3000", NONE),
    row("hz", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "10", NONE),
    row("ignore-warnings", "", Kind::Text, "", NO_EFFECT),
    row("io-threads", "", Kind::Number(1, 128, Unit::Plain), "1", IMMUTABLE | NO_EFFECT),
    row("io-threads-do-reads", "", Kind::Bool, "no", IMMUTABLE | NO_EFFECT),
    row("jemalloc-bg-thread", "", Kind::Bool, "yes", NO_EFFECT),
    row(
        "key-load-delay",
        "",
        Kind::Number(i32::MIN as i64, i32::MAX as i64, Unit::Plain),
        "0",
        HIDDEN,
    ),
    row("latency-monitor-threshold", "", Kind::Number(0, i64::MAX, Unit::Plain), "0", NO_EFFECT),
    row("latency-tracking", "", Kind::Bool, "yes", NONE),
    row("latency-tracking-info-percentiles", "", Kind::Percentiles, "50 99 99.9", MULTI),
    row("lazyfree-lazy-eviction", "", Kind::Bool, "no", NONE),
    row("lazyfree-lazy-expire", "", Kind::Bool, "no", NONE),
    row("lazyfree-lazy-server-del", "", Kind::Bool, "no", NONE),
    row("lazyfree-lazy-user-del", "", Kind::Bool, "no", NONE),
    row("lazyfree-lazy-user-flush", "", Kind::Bool, "no", NONE),
    row("lfu-decay-time", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "1", NONE),
    row("lfu-log-factor", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "10", NONE),
    row("list-compress-depth", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "0", NONE),
    row(
        "list-max-listpack-size",
        "list-max-ziplist-size",
        Kind::Number(i32::MIN as i64, i32::MAX as i64, Unit::Plain),
        "-2",
        NONE,
    ),
    row(
        "loading-process-events-interval-bytes",
        "",
        Kind::Number(1024, i32::MAX as i64, Unit::Plain),
        "2097152",
        HIDDEN,
    ),
    row("locale-collate", "", Kind::Text, "", NO_EFFECT),
    row("logfile", "", Kind::Text, "", IMMUTABLE),
    row("loglevel", "", Kind::Choice(LOGLEVEL), "notice", NONE),
    row("masterauth", "", Kind::Text, "", SENSITIVE),
    row("masteruser", "", Kind::Text, "", SENSITIVE),
    row("maxclients", "", Kind::Number(1, u32::MAX as i64, Unit::Plain), "10000", NONE),
    row("maxmemory", "", Kind::Number(0, i64::MAX, Unit::Memory), "0", NONE),
    row("maxmemory-clients", "", Kind::Number(-100, i64::MAX, Unit::MemoryOrPercent), "0", NONE),
    row("maxmemory-eviction-tenacity", "", Kind::Number(0, 100, Unit::Plain), "10", NO_EFFECT),
    row("maxmemory-policy", "", Kind::Choice(MAXMEMORY_POLICY), "noeviction", NONE),
    row("maxmemory-samples", "", Kind::Number(1, 64, Unit::Plain), "5", NONE),
    row(
        "min-replicas-max-lag",
        "min-slaves-max-lag",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "10",
        NONE,
    ),
    row(
        "min-replicas-to-write",
        "min-slaves-to-write",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "0",
        NONE,
    ),
    row("no-appendfsync-on-rewrite", "", Kind::Bool, "no", NONE),
    row("notify-keyspace-events", "", Kind::Events, "", NONE),
    row("oom-score-adj", "", Kind::Choice(OOM_SCORE_ADJ), "no", NO_EFFECT),
    row("oom-score-adj-values", "", Kind::OomScores, "0 200 800", MULTI | NO_EFFECT),
    row("pidfile", "", Kind::Text, "", IMMUTABLE),
    row("port", "", Kind::Number(0, 65535, Unit::Plain), "6379", NONE),
    row("proc-title-template", "", Kind::Text, "{title} {listen-addr} {server-mode}", NO_EFFECT),
    row("propagation-error-behavior", "", Kind::Choice(PROPAGATION_ERROR), "ignore", NONE),
    row("protected-mode", "", Kind::Bool, "yes", NONE),
    row("proto-max-bulk-len", "", Kind::Number(1 << 20, i64::MAX, Unit::Memory), "536870912", NONE),
    row("rdb-del-sync-files", "", Kind::Bool, "no", NONE),
    row(
        "rdb-key-save-delay",
        "",
        Kind::Number(i32::MIN as i64, i32::MAX as i64, Unit::Plain),
        "0",
        HIDDEN,
    ),
    row("rdb-save-incremental-fsync", "", Kind::Bool, "yes", NONE),
    row("rdbchecksum", "", Kind::Bool, "yes", IMMUTABLE),
    row("rdbcompression", "", Kind::Bool, "yes", NONE),
    row("repl-backlog-size", "", Kind::Number(1, i64::MAX, Unit::Memory), "1048576", NONE),
    row("repl-backlog-ttl", "", Kind::Number(0, i64::MAX, Unit::Plain), "3600", NONE),
    row("repl-disable-tcp-nodelay", "", Kind::Bool, "no", NONE),
    row("repl-diskless-load", "", Kind::Choice(REPL_DISKLESS_LOAD), "disabled", NONE),
    row("repl-diskless-sync", "", Kind::Bool, "yes", NONE),
    row("repl-diskless-sync-delay", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "5", NONE),
    row(
        "repl-diskless-sync-max-replicas",
        "",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "0",
        NONE,
    ),
    row(
        "repl-ping-replica-period",
        "repl-ping-slave-period",
        Kind::Number(1, i32::MAX as i64, Unit::Plain),
        "10",
        NONE,
    ),
    row("repl-timeout", "", Kind::Number(1, i32::MAX as i64, Unit::Plain), "60", NONE),
    row("replica-announce-ip", "slave-announce-ip", Kind::Text, "", NONE),
    row(
        "replica-announce-port",
        "slave-announce-port",
        Kind::Number(0, 65535, Unit::Plain),
        "0",
        NONE,
    ),
    row("replica-announced", "", Kind::Bool, "yes", NONE),
    row("replica-ignore-disk-write-errors", "", Kind::Bool, "no", NO_EFFECT),
    row("replica-ignore-maxmemory", "slave-ignore-maxmemory", Kind::Bool, "yes", NONE),
    row("replica-lazy-flush", "slave-lazy-flush", Kind::Bool, "no", NONE),
    row(
        "replica-priority",
        "slave-priority",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "100",
        NONE,
    ),
    row("replica-read-only", "slave-read-only", Kind::Bool, "yes", NONE),
    row("replica-serve-stale-data", "slave-serve-stale-data", Kind::Bool, "yes", NONE),
    row("replicaof", "slaveof", Kind::ReplicaOf, "", IMMUTABLE | MULTI),
    row("requirepass", "", Kind::Text, "", SENSITIVE),
    // Whatever it says: payloads are always checked to the last byte.
    row("sanitize-dump-payload", "", Kind::Choice(SANITIZE), "no", NONE),
    row("save", "", Kind::Save, "3600 1 300 100 60 10000", MULTI),
    row("server_cpulist", "", Kind::Text, "", IMMUTABLE | NO_EFFECT),
    row("set-max-intset-entries", "", Kind::Number(0, i64::MAX, Unit::Plain), "512", NONE),
    row("set-max-listpack-entries", "", Kind::Number(0, i64::MAX, Unit::Plain), "128", NONE),
    row("set-max-listpack-value", "", Kind::Number(0, i64::MAX, Unit::Plain), "64", NONE),
    row("set-proc-title", "", Kind::Bool, "yes", IMMUTABLE),
    row("shutdown-on-sigint", "", Kind::Choices(SHUTDOWN_ON_SIGNAL), "default", MULTI),
    row("shutdown-on-sigterm", "", Kind::Choices(SHUTDOWN_ON_SIGNAL), "default", MULTI),
    row("shutdown-timeout", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "10", NONE),
    row("slowlog-log-slower-than", "", Kind::Number(-1, i64::MAX, Unit::Plain), "10000", NONE),
    row("slowlog-max-len", "", Kind::Number(0, i64::MAX, Unit::Plain), "128", NONE),
    row(
        "socket-mark-id",
        "",
        Kind::Number(0, u32::MAX as i64, Unit::Plain),
        "0",
        IMMUTABLE | NO_EFFECT,
    ),
    row("stop-writes-on-bgsave-error", "", Kind::Bool, "yes", NONE),
    row("stream-node-max-bytes", "", Kind::Number(0, i64::MAX, Unit::Memory), "4096", NONE),
    row("stream-node-max-entries", "", Kind::Number(0, i64::MAX, Unit::Plain), "100", NONE),
    row("supervised", "", Kind::Choice(SUPERVISED), "no", IMMUTABLE),
    row("syslog-enabled", "", Kind::Bool, "no", IMMUTABLE),
    row("syslog-facility", "", Kind::Choice(SYSLOG_FACILITY), "local0", IMMUTABLE),
    row("syslog-ident", "", Kind::Text, "redis", IMMUTABLE),
    row("tcp-backlog", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "511", IMMUTABLE),
    row("tcp-keepalive", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "300", NONE),
    row("timeout", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "0", NONE),
    row("tls-auth-clients", "", Kind::Choice(TLS_AUTH), "yes", NO_EFFECT),
    row("tls-ca-cert-dir", "", Kind::Text, "", NO_EFFECT),
    row("tls-ca-cert-file", "", Kind::Text, "", NO_EFFECT),
    row("tls-cert-file", "", Kind::Text, "", NO_EFFECT),
    row("tls-ciphers", "", Kind::Text, "", NO_EFFECT),
    row("tls-ciphersuites", "", Kind::Text, "", NO_EFFECT),
    row("tls-client-cert-file", "", Kind::Text, "", NO_EFFECT),
    row("tls-client-key-file", "", Kind::Text, "", NO_EFFECT),
    row("tls-client-key-file-pass", "", Kind::Text, "", SENSITIVE | NO_EFFECT),
    row("tls-cluster", "", Kind::Bool, "no", NO_EFFECT),
    row("tls-dh-params-file", "", Kind::Text, "", NO_EFFECT),
    row("tls-key-file", "", Kind::Text, "", NO_EFFECT),
    row("tls-key-file-pass", "", Kind::Text, "", SENSITIVE | NO_EFFECT),
    row("tls-port", "", Kind::Number(0, 65535, Unit::Plain), "0", NO_EFFECT),
    row("tls-prefer-server-ciphers", "", Kind::Bool, "no", NO_EFFECT),
    row("tls-protocols", "", Kind::Text, "", NO_EFFECT),
    row("tls-replication", "", Kind::Bool, "no", NO_EFFECT),
    row(
        "tls-session-cache-size",
        "",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "20480",
        NO_EFFECT,
    ),
    row(
        "tls-session-cache-timeout",
        "",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "300",
        NO_EFFECT,
    ),
    row("tls-session-caching", "", Kind::Bool, "yes", NO_EFFECT),
    row(
        "tracking-table-max-keys",
        "",
        Kind::Number(0, i64::MAX, Unit::Plain),
        "1000000",
        NO_EFFECT,
    ),
    row("unixsocket", "", Kind::Text, "", IMMUTABLE),
    row("unixsocketperm", "", Kind::Number(0, 0o777, Unit::Octal), "0", IMMUTABLE),
    row("use-exit-on-panic", "", Kind::Bool, "no", HIDDEN | NO_EFFECT),
    row("watchdog-period", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "0", HIDDEN),
    row(
        "zset-max-listpack-entries",
        "zset-max-ziplist-entries",
        Kind::Number(0, i64::MAX, Unit::Plain),
        "128",
        NONE,
    ),
    row(
        "zset-max-listpack-value",
        "zset-max-ziplist-value",
        Kind::Number(0, i64::MAX, Unit::Memory),
        "64",
        NONE,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directive_is_found_by_each_of_its_names() {
        for (i, directive) in DIRECTIVES.iter().enumerate() {
            assert_eq!(find(directive.name.to_ascii_uppercase().as_bytes()), Some(i));
            if !directive.alias.is_empty() {
                assert_eq!(find(directive.alias.as_bytes()), Some(i));
            }
        }
        assert_eq!(find(b"nonsense"), None);
    }
}
