//! `predixy.conf`: keys and values, scopes in braces, included files.
//!
//! Accepts and refuses the same files as predixy 1.0.5, with its error messages and `file:line`.
//! Directives for threads, memory and log rotation are parsed but have no effect: there is one
//! thread, and a log file that was moved away is reopened automatically.

mod scopes;

pub(super) use self::scopes::parse_memory;

use core::fmt;
use std::net::{IpAddr, Ipv4Addr};

use self::scopes::Scope;
use super::command::{Commands, Mode};
use crate::machine::{Address, Endpoint};
use crate::sharding::{GroupHash, HashTag};
use crate::time::Duration;

/// A parsed configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of this proxy.
    pub name: String,
    /// The address for clients.
    pub bind: Endpoint,
    /// The configured number of threads.
    pub worker_threads: i32,
    /// The idle timeout of clients.
    pub client_timeout: Option<Duration>,
    /// The buffer size in bytes, only for `CONFIG GET`.
    pub buf_size: i32,
    /// The memory limit in bytes, only for `CONFIG GET`.
    pub max_memory: i64,
    /// The log file; empty for standard output.
    pub log: String,
    /// Only for `CONFIG GET`.
    pub allow_miss_log: bool,
    /// Log sampling: one in so many lines is logged, or none at 0. By level: verbose, debug, info,
    /// notice, warn, error.
    pub samples: [i32; 6],
    /// The data center of this proxy.
    pub local_dc: String,
    /// `Authority`: passwords and their permissions.
    pub authority: Vec<Auth>,
    /// The servers.
    pub pool: Pool,
    /// Data centers.
    pub data_centers: Vec<DataCenter>,
    /// The latency monitors.
    pub monitors: Vec<Monitor>,
    /// All commands, including custom ones.
    pub commands: Commands,
    /// The files that were read, the main file first.
    pub files: Vec<String>,
}

/// The permissions of a password.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// The password; empty for clients without authentication.
    pub password: String,
    /// Whether write commands are allowed; read commands always are.
    pub write: bool,
    /// Whether admin commands are allowed.
    pub admin: bool,
    /// Prefixes of readable keys; empty for all keys.
    pub read_prefixes: Vec<String>,
    /// Prefixes of writable keys; empty for all keys.
    pub write_prefixes: Vec<String>,
}

/// The server pool.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The kind of the pool.
    pub kind: Kind,
    /// The servers' password.
    pub password: String,
    /// The read priority of masters; 0 for never.
    pub master_read_priority: i32,
    /// The read priority of replicas in the configuration file.
    pub static_slave_read_priority: i32,
    /// The read priority of discovered replicas.
    pub dynamic_slave_read_priority: i32,
    /// How often the topology is refreshed.
    pub refresh_interval: Duration,
    /// The timeout of requests.
    pub server_timeout: Option<Duration>,
    /// After how many failures a server is marked as failed.
    pub server_failure_limit: i32,
    /// After how long a failed server is tried again.
    pub server_retry_timeout: Duration,
    /// The number of databases.
    pub databases: i32,
}

/// The kinds of server pools.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A Redis Cluster.
    Cluster {
        /// Seed nodes, from which the others are discovered.
        servers: Vec<ServerAddress>,
    },
    /// Groups of a primary and its replicas (`StandaloneServerPool`).
    Groups {
        /// Sentinels that report the primaries; without them the first server of each group is the
        /// primary.
        sentinels: Vec<ServerAddress>,
        /// The password of the Sentinels.
        sentinel_password: String,
        /// The groups.
        groups: Vec<Group>,
        /// The hash that selects a group; `None` for a random one.
        hash: Option<GroupHash>,
        /// The hash tag: which part of a key is hashed.
        tag: Option<HashTag>,
    },
}

/// A group of a primary and its replicas.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its name, also for the Sentinels.
    pub name: String,
    /// The servers in the configuration file.
    pub servers: Vec<ServerAddress>,
}

/// A server's address as configured, and its own password, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// `host:port`, or the path of a Unix socket.
    pub text: String,
    /// Its own password.
    pub password: Option<String>,
}

/// A data center.
#[derive(Clone, Debug, Default)]
pub struct DataCenter {
    /// Its name.
    pub name: String,
    /// The prefixes of the addresses in it.
    pub prefixes: Vec<String>,
    /// The data centers that proxies in it read from, each with its priority and weight.
    pub read_policy: Vec<(String, i32, i32)>,
}

/// A latency monitor.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    /// Its name.
    pub name: String,
    /// Whether each command is measured, by command number.
    pub commands: Vec<bool>,
    /// The upper bounds of the histogram's buckets, in microseconds.
    pub spans: Vec<u64>,
}

/// An error in a configuration, with predixy's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for ConfigError {}

type Read<'r> = &'r mut dyn FnMut(&str) -> Result<Vec<u8>, String>;

/// The options of the command line: `--Name=`, `--Bind=`, `--WorkerThreads=`, `--LocalDC=`.
const OVERRIDES: [&str; 4] = ["Name", "Bind", "WorkerThreads", "LocalDC"];

impl Config {
    /// Parses a configuration file and the files that it includes, and applies the options of the
    /// command line. `read` returns the contents of a file.
    pub fn parse(file: &str, options: &[String], read: Read<'_>) -> Result<Config, ConfigError> {
        let (root, files) = scopes::load(file, read)?;
        let mut config = Config::new(files);
        config.set_global(&root)?;
        for option in options {
            let known = OVERRIDES.iter().find_map(|name| {
                let (key, value) = option.strip_prefix("--")?.split_once('=')?;
                key.eq_ignore_ascii_case(name).then_some((*name, value))
            });
            match known {
                Some(("Name", value)) => config.name = value.to_owned(),
                Some(("Bind", value)) => config.bind = parse_bind(value)?,
                Some(("WorkerThreads", value)) => {
                    config.worker_threads = value.parse().unwrap_or(0);
                }
                Some((_, value)) => config.local_dc = value.to_owned(),
                None => return Err(ConfigError(format!("invalid argument \"{option}\""))),
            }
        }
        config.check()?;
        Ok(config)
    }

    fn new(files: Vec<String>) -> Config {
        Config {
            name: String::new(),
            bind: Endpoint::Ip((Ipv4Addr::UNSPECIFIED, 7617).into()),
            worker_threads: 1,
            client_timeout: None,
            buf_size: 4096,
            max_memory: 0,
            log: String::new(),
            allow_miss_log: true,
            samples: [0, 0, 0, 1, 1, 1],
            local_dc: String::new(),
            authority: Vec::new(),
            pool: Pool {
                kind: Kind::Cluster { servers: Vec::new() },
                password: String::new(),
                master_read_priority: 50,
                static_slave_read_priority: 0,
                dynamic_slave_read_priority: 0,
                refresh_interval: Duration::from_secs(1),
                server_timeout: None,
                server_failure_limit: 10,
                server_retry_timeout: Duration::from_secs(1),
                databases: 1,
            },
            data_centers: Vec::new(),
            monitors: Vec::new(),
            commands: Commands::default(),
            files,
        }
    }

    fn set_global(&mut self, root: &[Scope]) -> Result<(), ConfigError> {
        const SAMPLES: [&str; 6] = [
            "LogVerbSample",
            "LogDebugSample",
            "LogInfoSample",
            "LogNoticeSample",
            "LogWarnSample",
            "LogErrorSample",
        ];
        let [mut authority, mut cluster, mut standalone, mut centers] = [None; 4];
        let mut monitors = Vec::new();
        for node in root {
            let lower = node.key.to_ascii_lowercase();
            if let Some(i) = SAMPLES.iter().position(|name| node.is(name)) {
                let value = node.int(SAMPLES[i], i64::MIN, i64::MAX)?;
                self.samples[i] = i32::try_from(value).unwrap_or(i32::MAX);
                continue;
            }
            match lower.as_str() {
                "name" => self.name = node.value.clone(),
                "bind" => self.bind = parse_bind(&node.value).map_err(|e| node.error(e.0))?,
                "localdc" => self.local_dc = node.value.clone(),
                "workerthreads" => {
                    self.worker_threads = node.int("WorkerThreads", 1, i32::MAX.into())? as i32;
                }
                "maxmemory" => self.max_memory = node.memory("MaxMemory")?,
                "clienttimeout" => {
                    let seconds = node.int("ClientTimeout", 0, i64::MAX)?;
                    let seconds = u64::try_from(seconds).unwrap_or_default();
                    self.client_timeout = (seconds > 0).then_some(Duration::from_secs(seconds));
                }
                "bufsize" => self.buf_size = node.int("BufSize", 16, i32::MAX.into())? as i32,
                "log" => self.log = node.value.clone(),
                "logrotate" => {
                    let good = node.value.split_whitespace().all(|word| {
                        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
                    });
                    if !good {
                        let text = format!("invalid LogRotate \"{}\"", node.value);
                        return Err(node.error(text));
                    }
                }
                "allowmisslog" => self.allow_miss_log = node.flag("AllowMissLog")?,
                "latencymonitor" => monitors.push(node),
                "authority" => authority = Some(node),
                "clusterserverpool" => cluster = Some(node),
                "sentinelserverpool" | "standaloneserverpool" => standalone = Some(node),
                "datacenter" => centers = Some(node),
                "customcommand" => self.set_custom_commands(node)?,
                _ => return Err(node.unknown()),
            }
        }
        if let Some(node) = authority {
            self.set_authority(node)?;
        }
        match (cluster, standalone) {
            (Some(_), Some(_)) => {
                return Err(ConfigError(
                    "Can't define ClusterServerPool/StandaloneServerPool at the same time".into(),
                ));
            }
            (Some(node), None) => self.set_cluster(node)?,
            (None, Some(node)) => self.set_standalone(node)?,
            (None, None) => return Err(ConfigError("Must define a server pool".into())),
        }
        if let Some(node) = centers {
            self.set_data_centers(node)?;
        }
        for node in monitors {
            self.set_monitor(node)?;
        }
        Ok(())
    }

    fn set_authority(&mut self, node: &Scope) -> Result<(), ConfigError> {
        for auth in node.scope("Authority")? {
            if !auth.is("Auth") {
                return Err(auth.error("Authority allow only Auth element"));
            }
            let mut one = Auth { password: auth.value.clone(), ..Auth::default() };
            let mut both = Vec::new();
            for item in auth.scope("Auth")? {
                let prefixes = || item.value.split_whitespace().map(str::to_owned).collect();
                match item.key.to_ascii_lowercase().as_str() {
                    "mode" => {
                        (one.write, one.admin) = match item.value.to_ascii_lowercase().as_str() {
                            "read" => (false, false),
                            "write" => (true, false),
                            "admin" => (true, true),
                            _ => return Err(item.error("Auth Mode must be read or write")),
                        };
                    }
                    "keyprefix" => both = prefixes(),
                    "readkeyprefix" => one.read_prefixes = prefixes(),
                    "writekeyprefix" => one.write_prefixes = prefixes(),
                    _ => return Err(item.unknown()),
                }
            }
            for own in [&mut one.read_prefixes, &mut one.write_prefixes] {
                if own.is_empty() {
                    own.clone_from(&both);
                }
            }
            self.authority.retain(|other| other.password != one.password);
            self.authority.push(one);
        }
        Ok(())
    }

    /// Sets a directive that all kinds of pools have. False if it is not one.
    fn set_pool(&mut self, node: &Scope) -> Result<bool, ConfigError> {
        let pool = &mut self.pool;
        match node.key.to_ascii_lowercase().as_str() {
            "password" => pool.password = node.value.clone(),
            "masterreadpriority" => {
                pool.master_read_priority = node.int("MasterReadPriority", 0, 100)? as i32;
            }
            "staticslavereadpriority" => {
                pool.static_slave_read_priority =
                    node.int("StaticSlaveReadPriority", 0, 100)? as i32;
            }
            "dynamicslavereadpriority" => {
                pool.dynamic_slave_read_priority =
                    node.int("DynamicSlaveReadPriority", 0, 100)? as i32;
            }
            "refreshinterval" => pool.refresh_interval = node.duration("RefreshInterval")?,
            "servertimeout" => {
                let timeout = node.duration("ServerTimeout")?;
                pool.server_timeout = (!timeout.is_zero()).then_some(timeout);
            }
            "serverfailurelimit" => {
                pool.server_failure_limit =
                    node.int("ServerFailureLimit", 1, i32::MAX.into())? as i32;
            }
            "serverretrytimeout" => {
                pool.server_retry_timeout = node.duration("ServerRetryTimeout")?
            }
            "keepalive" => drop(node.int("KeepAlive", 0, i32::MAX.into())?),
            "databases" => pool.databases = node.int("Databases", 1, 128)? as i32,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_cluster(&mut self, node: &Scope) -> Result<(), ConfigError> {
        let mut servers = Vec::new();
        for item in node.scope("ClusterServerPool")? {
            if self.set_pool(item)? {
            } else if item.is("Servers") {
                servers.extend(item.servers("Servers")?);
            } else {
                return Err(item.unknown());
            }
        }
        if self.pool.databases != 1 {
            return Err(ConfigError("ClusterServerPool Databases must be 1".into()));
        }
        if servers.is_empty() {
            return Err(ConfigError("ClusterServerPool no server".into()));
        }
        self.pool.kind = Kind::Cluster { servers };
        Ok(())
    }

    fn set_standalone(&mut self, node: &Scope) -> Result<(), ConfigError> {
        let mut by_sentinel = node.is("SentinelServerPool").then_some(true);
        let (mut sentinels, mut sentinel_password) = (Vec::new(), String::new());
        let (mut groups, mut hash, mut tag) = (Vec::new(), None, None);
        let mut random = None;
        for item in node.scope("StandaloneServerPool")? {
            if self.set_pool(item)? {
                continue;
            }
            match item.key.to_ascii_lowercase().as_str() {
                "refreshmethod" => {
                    by_sentinel = Some(match item.value.to_ascii_lowercase().as_str() {
                        "fixed" => false,
                        "sentinel" => true,
                        other => {
                            return Err(item.error(format!("unknown RefreshMethod:{other}")));
                        }
                    });
                }
                "distribution" => {
                    random = Some(match item.value.to_ascii_lowercase().as_str() {
                        "modula" => false,
                        "random" => true,
                        _ => return Err(item.error("unknown Distribution")),
                    });
                }
                "hash" => {
                    let known = GroupHash::parse(&item.value);
                    hash = Some(known.ok_or_else(|| item.error("unknown Hash"))?);
                }
                "hashtag" => match item.value.as_bytes() {
                    [] => tag = None,
                    text => {
                        let parsed = HashTag::parse(text);
                        tag = Some(parsed.ok_or_else(|| item.error("HashTag invalid"))?);
                    }
                },
                "sentinels" => {
                    sentinels.extend(item.servers("Sentinels")?);
                    sentinel_password = item.value.clone();
                }
                "group" => {
                    let servers = match &item.scope {
                        Some(scope) if !scope.is_empty() => item.servers("Group")?,
                        _ => Vec::new(),
                    };
                    groups.push(Group { name: item.value.clone(), servers });
                }
                _ => return Err(item.unknown()),
            }
        }
        let refuse = |text: String| Err(ConfigError(text));
        if groups.is_empty() {
            return refuse("StandaloneServerPool no server group".into());
        }
        match by_sentinel {
            None => return refuse("StandaloneServerPool must define RefreshMethod".into()),
            Some(true) if sentinels.is_empty() => {
                return refuse(
                    "StandaloneServerPool with RefreshMethod(sentinel) but no sentinel servers"
                        .into(),
                );
            }
            Some(true) => {}
            Some(false) if !sentinels.is_empty() => {
                return refuse(
                    "StandaloneServerPool with Sentinels but RefreshMethod is not sentinel".into(),
                );
            }
            Some(false) => {
                if let Some(group) = groups.iter().find(|group| group.servers.is_empty()) {
                    return refuse(format!("Group({}) must add servers", group.name));
                }
            }
        }
        if groups.len() > 1 {
            if random.is_none() {
                return refuse(
                    "StandaloneServerPool must define Dsitribution in multi groups".into(),
                );
            }
            if hash.is_none() {
                return refuse("StandaloneServerPool must define Hash in multi groups".into());
            }
        }
        if groups.len() > super::MAX_GROUPS {
            return refuse(format!("at most {} groups are supported", super::MAX_GROUPS));
        }
        let hash = if random == Some(true) { None } else { hash.or(Some(GroupHash::Crc16)) };
        self.pool.kind = Kind::Groups { sentinels, sentinel_password, groups, hash, tag };
        Ok(())
    }

    fn set_data_centers(&mut self, node: &Scope) -> Result<(), ConfigError> {
        for item in node.scope("DataCenter")? {
            if !item.is("DC") {
                return Err(item.error("DataCenter allow only DC element"));
            }
            let mut center = DataCenter { name: item.value.clone(), ..DataCenter::default() };
            for part in item.scope("DC")? {
                if part.is("AddrPrefix") {
                    for prefix in part.scope("AddrPrefix")? {
                        if prefix.key != "+" {
                            return Err(prefix.error("invalid AddrPrefix"));
                        }
                        center.prefixes.push(prefix.value.clone());
                    }
                } else if part.is("ReadPolicy") {
                    for policy in part.scope("ReadPolicy")? {
                        let mut words = policy.value.split_whitespace();
                        let mut number = || words.next().map(str::parse::<i32>);
                        let (priority, weight) = match (number(), number()) {
                            (Some(Ok(priority)), None) => (priority, 1),
                            (Some(Ok(priority)), Some(Ok(weight))) => (priority, weight),
                            _ => {
                                let text = format!("invalid ReadPolicy \"{}\"", policy.value);
                                return Err(policy.error(text));
                            }
                        };
                        center.read_policy.push((policy.key.clone(), priority, weight));
                    }
                } else {
                    return Err(part.unknown());
                }
            }
            self.data_centers.push(center);
        }
        Ok(())
    }

    fn set_custom_commands(&mut self, node: &Scope) -> Result<(), ConfigError> {
        for item in node.scope("CustomCommand")? {
            let (mut min, mut max, mut mode) = (2, 2, Mode::custom("write"));
            for part in item.scope.iter().flatten() {
                match part.key.to_ascii_lowercase().as_str() {
                    "minargs" => min = part.int("MinArgs", 2, i32::MAX.into())?,
                    "maxargs" => max = part.int("MaxArgs", 2, 9999)?,
                    "mode" => {
                        mode = Mode::custom(&part.value);
                        if let Err(text) = &mode {
                            return Err(part.error(text.clone()));
                        }
                    }
                    _ => return Err(part.unknown()),
                }
            }
            if max < min {
                return Err(item.error("must be MaxArgs >= MinArgs"));
            }
            let mode = mode.map_err(|text| item.error(text))?;
            self.commands
                .add(&item.key, min as u32, max as u32, mode)
                .map_err(|text| item.error(text))?;
        }
        Ok(())
    }

    fn set_monitor(&mut self, node: &Scope) -> Result<(), ConfigError> {
        let mut monitor = Monitor { name: node.value.clone(), ..Monitor::default() };
        monitor.commands = vec![false; self.commands.len()];
        for part in node.scope("LatencyMonitor")? {
            if part.is("Commands") {
                for item in part.scope.iter().flatten() {
                    let add = match item.key.as_str() {
                        "+" => true,
                        "-" => false,
                        _ => return Err(item.error("invalid Command assign")),
                    };
                    if item.value.eq_ignore_ascii_case("all") {
                        monitor.commands.fill(add);
                        continue;
                    }
                    let known = self.commands.find(item.value.as_bytes());
                    let place = known.and_then(|id| monitor.commands.get_mut(usize::from(id)));
                    match place {
                        Some(place) => *place = add,
                        None => {
                            return Err(item.error(format!("unknown Command \"{}\"", item.value)));
                        }
                    }
                }
            } else if part.is("TimeSpan") {
                let mut last = 0;
                for item in part.scope.iter().flatten() {
                    if item.key != "+" {
                        return Err(item.error("invalid TimeSpan"));
                    }
                    last = item.int("+", last + 1, i64::MAX)?;
                    monitor.spans.push(last as u64);
                }
            }
        }
        self.monitors.push(monitor);
        Ok(())
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.worker_threads < 1 {
            return Err(ConfigError("WorkerThreads must >= 1".into()));
        }
        let known = |name: &str| self.data_centers.iter().any(|center| center.name == name);
        if self.local_dc.is_empty() {
            if !self.data_centers.is_empty() {
                return Err(ConfigError("conf define DataCenter but not define LocalDC".into()));
            }
            return Ok(());
        }
        if !known(&self.local_dc) {
            let text = format!("LocalDC \"{}\" no exists in DataCenter", self.local_dc);
            return Err(ConfigError(text));
        }
        for center in &self.data_centers {
            for (name, ..) in &center.read_policy {
                if !known(name) {
                    return Err(ConfigError(format!(
                        "DC \"{}\" ReadPolicy \"{name}\" no eixsts in DataCenter",
                        center.name
                    )));
                }
            }
        }
        Ok(())
    }
}

impl ServerAddress {
    /// Parses `[password@]host:port`, or a path.
    pub(super) fn parse(text: &str) -> Option<ServerAddress> {
        let (password, text) = match text.rsplit_once('@') {
            Some((password, text)) => (Some(password.to_owned()), text),
            None => (None, text),
        };
        address(text)?;
        Some(ServerAddress { text: text.to_owned(), password })
    }
}

/// Parses a server's address.
pub(super) fn address(text: &str) -> Option<Address> {
    if text.starts_with('/') {
        return Some(Endpoint::Unix(text.to_owned()).into());
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    if host.is_empty() {
        return None;
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some(match bare.parse::<IpAddr>() {
        Ok(ip) => Endpoint::Ip((ip, port).into()).into(),
        Err(_) if host == "localhost" => Endpoint::Ip((Ipv4Addr::LOCALHOST, port).into()).into(),
        Err(_) => Address::Name { host: host.to_owned(), port },
    })
}

fn parse_bind(text: &str) -> Result<Endpoint, ConfigError> {
    match address(text) {
        Some(Address::Endpoint(at)) => Ok(at),
        _ => Err(ConfigError(format!(
            "Bind {text} is no address to listen on; write for example 127.0.0.1:7617 or a path"
        ))),
    }
}
