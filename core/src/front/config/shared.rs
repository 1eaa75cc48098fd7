//! The directives of every program that serves clients, and their typed values.

use super::directive::flags::{HIDDEN, IMMUTABLE, MULTI, NO_EFFECT, NONE, PROTECTED};
use super::directive::{Directive, Kind, Unit, directive, words};
use super::value::CLIENT_CLASSES;
use super::{Schema, Values};
use crate::machine::LogLevel;

/// The typed values of [`FRONT_DIRECTIVES`]. Each field has the name of its directive.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct FrontSettings {
    pub port: u16,
    pub bind: Vec<String>,
    pub bind_source_addr: Option<String>,
    pub unixsocket: Option<String>,
    pub unixsocketperm: u32,
    pub tcp_backlog: u32,
    pub tcp_keepalive: u32,
    pub timeout: u64,
    pub maxclients: u64,
    pub protected_mode: bool,
    pub requirepass: Option<Vec<u8>>,
    /// Whether new users may use all channels.
    pub acl_pubsub_default: bool,
    pub aclfile: Option<String>,
    pub acllog_max_len: usize,
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
    pub client_query_buffer_limit: u64,
    /// For normal clients, replicas and subscribers.
    pub client_output_buffer_limit: [OutputLimit; 3],
    pub slowlog_log_slower_than: i64,
    /// The duration of a command in milliseconds that the watchdog reports; 0 turns it off.
    pub watchdog_period: u64,
    pub slowlog_max_len: usize,
    /// The duration of an event in milliseconds that counts as a latency spike; 0 turns monitoring
    /// off.
    pub latency_monitor_threshold: u64,
    pub latency_tracking: bool,
    pub latency_tracking_info_percentiles: Vec<f64>,
    pub enable_protected_configs: Permission,
    pub shutdown_on_sigint: ShutdownOptions,
    pub shutdown_on_sigterm: ShutdownOptions,
    pub proto_max_bulk_len: u64,
}

/// `client-output-buffer-limit` of one class of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Outbox size in bytes at which a client is disconnected at once; 0 is no limit.
    pub hard: u64,
    /// Outbox size in bytes at which a client is disconnected if it stays above it for `seconds`; 0
    /// is no limit.
    pub soft: u64,
    /// How long the outbox may stay above the soft limit.
    pub seconds: u64,
}

/// Which connections may use a dangerous command (`enable-debug-command` and its like).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permission {
    /// `no`: none.
    #[default]
    No,
    /// `yes`: all.
    Yes,
    /// `local`: clients of the same host.
    Local,
}

/// How a program shuts down: the options of SHUTDOWN, and of `shutdown-on-sigterm` and
/// `shutdown-on-sigint`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ShutdownOptions {
    pub save: bool,
    pub nosave: bool,
    pub now: bool,
    pub force: bool,
}

impl FrontSettings {
    pub(super) fn of<C: Schema>(values: &Values<C>) -> Self {
        let small = |name| u32::try_from(values.number(name)).unwrap_or_default();
        let shutdown = |name| {
            let text = values.text(name);
            let has = |word| text.split(' ').any(|w| w == word);
            ShutdownOptions {
                save: has("save"),
                nosave: has("nosave"),
                now: has("now"),
                force: has("force"),
            }
        };
        Self {
            port: u16::try_from(values.number("port")).unwrap_or_default(),
            bind: values.text("bind").split_ascii_whitespace().map(str::to_owned).collect(),
            bind_source_addr: values.some_text("bind-source-addr"),
            unixsocket: values.some_text("unixsocket"),
            unixsocketperm: u32::from_str_radix(&values.text("unixsocketperm"), 8)
                .unwrap_or_default(),
            tcp_backlog: small("tcp-backlog"),
            tcp_keepalive: small("tcp-keepalive"),
            timeout: values.size("timeout"),
            maxclients: values.size("maxclients"),
            protected_mode: values.yes("protected-mode"),
            requirepass: values.some_bytes("requirepass"),
            acl_pubsub_default: values.get("acl-pubsub-default") == Some(b"allchannels"),
            aclfile: values.some_text("aclfile"),
            acllog_max_len: usize::try_from(values.number("acllog-max-len")).unwrap_or_default(),
            daemonize: values.yes("daemonize"),
            supervised: values.text("supervised"),
            pidfile: values.some_text("pidfile"),
            logfile: values.text("logfile"),
            loglevel: match values.get("loglevel") {
                Some(b"debug") => Some(LogLevel::Debug),
                Some(b"verbose") => Some(LogLevel::Verbose),
                Some(b"warning") => Some(LogLevel::Warning),
                Some(b"nothing") => None,
                _ => Some(LogLevel::Notice),
            },
            syslog_enabled: values.yes("syslog-enabled"),
            syslog_ident: values.text("syslog-ident"),
            syslog_facility: values.text("syslog-facility"),
            always_show_logo: values.yes("always-show-logo"),
            dir: values.text("dir"),
            hz: small("hz").clamp(1, 500),
            client_query_buffer_limit: values.size("client-query-buffer-limit"),
            client_output_buffer_limit: output_limits(&values.text("client-output-buffer-limit")),
            slowlog_log_slower_than: values.number("slowlog-log-slower-than"),
            watchdog_period: u64::try_from(values.number("watchdog-period")).unwrap_or_default(),
            slowlog_max_len: usize::try_from(values.number("slowlog-max-len")).unwrap_or_default(),
            latency_monitor_threshold: values.size("latency-monitor-threshold"),
            latency_tracking: values.yes("latency-tracking"),
            latency_tracking_info_percentiles: values
                .text("latency-tracking-info-percentiles")
                .split_ascii_whitespace()
                .filter_map(|p| p.parse().ok())
                .collect(),
            enable_protected_configs: values.word("enable-protected-configs", &Permission::WORDS),
            shutdown_on_sigint: shutdown("shutdown-on-sigint"),
            shutdown_on_sigterm: shutdown("shutdown-on-sigterm"),
            proto_max_bulk_len: values.size("proto-max-bulk-len"),
        }
    }
}

impl Permission {
    /// The words of `enable-debug-command` and its like.
    pub const WORDS: [(&'static str, Self); 3] =
        [("no", Self::No), ("yes", Self::Yes), ("local", Self::Local)];
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

const SUPERVISED: &[&str] = &["upstart", "systemd", "auto", "no"];
const SYSLOG_FACILITY: &[&str] =
    &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];
const LOGLEVEL: &[&str] = &["debug", "verbose", "notice", "warning", "nothing"];
const ACL_PUBSUB: &[&str] = &["allchannels", "resetchannels"];
static PROTECTED_ACTION: [&str; 3] = words(&Permission::WORDS);
const SHUTDOWN_ON_SIGNAL: &[&str] = &["default", "save", "nosave", "now", "force"];
const TLS_AUTH: &[&str] = &["no", "yes", "optional"];

/// The directives of every program that serves clients.
pub static FRONT_DIRECTIVES: &[Directive] = &[
    directive("acl-pubsub-default", "", Kind::Choice(ACL_PUBSUB), "resetchannels", NONE),
    directive("aclfile", "", Kind::Text, "", IMMUTABLE),
    directive("acllog-max-len", "", Kind::Number(0, i64::MAX, Unit::Plain), "128", NONE),
    directive("always-show-logo", "", Kind::Bool, "no", IMMUTABLE),
    directive("bind", "", Kind::Bind, "* -::*", MULTI),
    directive("bind-source-addr", "", Kind::Text, "", NONE),
    directive(
        "client-output-buffer-limit",
        "",
        Kind::OutputLimits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        MULTI,
    ),
    directive(
        "client-query-buffer-limit",
        "",
        Kind::Number(1 << 20, i64::MAX, Unit::Memory),
        "1073741824",
        NONE,
    ),
    directive("crash-log-enabled", "", Kind::Bool, "yes", NO_EFFECT),
    directive("crash-memcheck-enabled", "", Kind::Bool, "yes", NO_EFFECT),
    directive("daemonize", "", Kind::Bool, "no", IMMUTABLE),
    directive("dir", "", Kind::Dir, ".", PROTECTED),
    directive("dynamic-hz", "", Kind::Bool, "yes", NO_EFFECT),
    directive("enable-protected-configs", "", Kind::Choice(&PROTECTED_ACTION), "no", IMMUTABLE),
    directive("hz", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "10", NONE),
    directive("ignore-warnings", "", Kind::Text, "", NO_EFFECT),
    directive("latency-monitor-threshold", "", Kind::Number(0, i64::MAX, Unit::Plain), "0", NONE),
    directive("latency-tracking", "", Kind::Bool, "yes", NONE),
    directive("latency-tracking-info-percentiles", "", Kind::Percentiles, "50 99 99.9", MULTI),
    directive("locale-collate", "", Kind::Text, "", NO_EFFECT),
    directive("logfile", "", Kind::Text, "", IMMUTABLE),
    directive("loglevel", "", Kind::Choice(LOGLEVEL), "notice", NONE),
    directive("maxclients", "", Kind::Number(1, u32::MAX as i64, Unit::Plain), "10000", NONE),
    directive("pidfile", "", Kind::Text, "", IMMUTABLE),
    directive("port", "", Kind::Number(0, 65535, Unit::Plain), "6379", NONE),
    directive(
        "proc-title-template",
        "",
        Kind::Text,
        "{title} {listen-addr} {server-mode}",
        NO_EFFECT,
    ),
    directive("protected-mode", "", Kind::Bool, "yes", NONE),
    directive(
        "proto-max-bulk-len",
        "",
        Kind::Number(1 << 20, i64::MAX, Unit::Memory),
        "536870912",
        NONE,
    ),
    directive("requirepass", "", Kind::Text, "", NONE),
    directive("shutdown-on-sigint", "", Kind::Choices(SHUTDOWN_ON_SIGNAL), "default", MULTI),
    directive("shutdown-on-sigterm", "", Kind::Choices(SHUTDOWN_ON_SIGNAL), "default", MULTI),
    directive(
        "slowlog-log-slower-than",
        "",
        Kind::Number(-1, i64::MAX, Unit::Plain),
        "10000",
        NONE,
    ),
    directive("slowlog-max-len", "", Kind::Number(0, i64::MAX, Unit::Plain), "128", NONE),
    directive(
        "socket-mark-id",
        "",
        Kind::Number(0, u32::MAX as i64, Unit::Plain),
        "0",
        IMMUTABLE | NO_EFFECT,
    ),
    directive("supervised", "", Kind::Choice(SUPERVISED), "no", IMMUTABLE),
    directive("syslog-enabled", "", Kind::Bool, "no", IMMUTABLE),
    directive("syslog-facility", "", Kind::Choice(SYSLOG_FACILITY), "local0", IMMUTABLE),
    directive("syslog-ident", "", Kind::Text, "redis", IMMUTABLE),
    directive("tcp-backlog", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "511", IMMUTABLE),
    directive("tcp-keepalive", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "300", NONE),
    directive("timeout", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "0", NONE),
    directive("tls-auth-clients", "", Kind::Choice(TLS_AUTH), "yes", NO_EFFECT),
    directive("tls-ca-cert-dir", "", Kind::Text, "", NO_EFFECT),
    directive("tls-ca-cert-file", "", Kind::Text, "", NO_EFFECT),
    directive("tls-cert-file", "", Kind::Text, "", NO_EFFECT),
    directive("tls-ciphers", "", Kind::Text, "", NO_EFFECT),
    directive("tls-ciphersuites", "", Kind::Text, "", NO_EFFECT),
    directive("tls-client-cert-file", "", Kind::Text, "", NO_EFFECT),
    directive("tls-client-key-file", "", Kind::Text, "", NO_EFFECT),
    directive("tls-client-key-file-pass", "", Kind::Text, "", NO_EFFECT),
    directive("tls-cluster", "", Kind::Bool, "no", NO_EFFECT),
    directive("tls-dh-params-file", "", Kind::Text, "", NO_EFFECT),
    directive("tls-key-file", "", Kind::Text, "", NO_EFFECT),
    directive("tls-key-file-pass", "", Kind::Text, "", NO_EFFECT),
    directive("tls-port", "", Kind::Number(0, 65535, Unit::Plain), "0", NO_EFFECT),
    directive("tls-prefer-server-ciphers", "", Kind::Bool, "no", NO_EFFECT),
    directive("tls-protocols", "", Kind::Text, "", NO_EFFECT),
    directive("tls-replication", "", Kind::Bool, "no", NO_EFFECT),
    directive(
        "tls-session-cache-size",
        "",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "20480",
        NO_EFFECT,
    ),
    directive(
        "tls-session-cache-timeout",
        "",
        Kind::Number(0, i32::MAX as i64, Unit::Plain),
        "300",
        NO_EFFECT,
    ),
    directive("tls-session-caching", "", Kind::Bool, "yes", NO_EFFECT),
    directive("unixsocket", "", Kind::Text, "", IMMUTABLE),
    directive("unixsocketperm", "", Kind::Number(0, 0o777, Unit::Octal), "0", IMMUTABLE),
    directive("use-exit-on-panic", "", Kind::Bool, "no", HIDDEN | NO_EFFECT),
    directive("watchdog-period", "", Kind::Number(0, i32::MAX as i64, Unit::Plain), "0", HIDDEN),
];
