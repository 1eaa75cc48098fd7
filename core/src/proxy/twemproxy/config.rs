//! `nutcracker.yml`: pools and their directives.
//!
//! The file is a subset of YAML: one document of pools, each a block of `key: value` with one
//! sequence, `servers`. What twemproxy does not accept (flow style, anchors, tags, document
//! markers) is refused here as well, with its error messages and the line. There are two
//! differences: a pool for memcached (`redis: false`) is refused, since Limpid only supports Redis;
//! and syntax errors have the texts of the YAML library.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr};

use saphyr_parser::{Event, Parser, Span};

use crate::machine::{Address, Endpoint};
use crate::sharding::{Hash, HashTag, Node, Rule, Sharding};
use crate::time::Duration;

/// The pools of a configuration file, in twemproxy's order: by length of the name, then by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The pools.
    pub pools: Vec<Pool>,
}

/// A pool of servers, and the address for its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name in the file.
    pub name: String,
    /// The address for clients.
    pub listen: Endpoint,
    /// The permissions of a listening Unix socket.
    pub mode: Option<u32>,
    /// The rule that distributes keys over servers.
    pub rule: Rule,
    /// The hash tag: which part of a key is hashed.
    pub hash_tag: Option<HashTag>,
    /// The timeout of requests.
    pub timeout: Option<Duration>,
    /// The accept backlog of the listener.
    pub backlog: u32,
    /// Whether TCP keepalive is enabled for clients.
    pub tcpkeepalive: bool,
    /// The password for clients and for servers.
    pub redis_auth: Option<String>,
    /// The database to select on servers.
    pub redis_db: u32,
    /// Whether connections to servers are opened at the start.
    pub preconnect: bool,
    /// Whether failed servers are ejected for a while.
    pub auto_eject_hosts: bool,
    /// The maximum number of connections to each server.
    pub server_connections: usize,
    /// How long an ejected server stays ejected.
    pub server_retry_timeout: Duration,
    /// After how many failures a server is ejected.
    pub server_failure_limit: u32,
    /// The servers, in twemproxy's order.
    pub servers: Vec<Server>,
}

/// A server of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The name that is hashed, and used in the statistics.
    pub name: String,
    /// Its share of the keys.
    pub weight: u32,
    /// Its address.
    pub address: Address,
}

/// An error in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The line, unless the error concerns the whole file.
    pub line: Option<usize>,
    /// The error message of twemproxy.
    pub text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conf: {}", self.text)?;
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for ConfigError {}

/// The maximum number of servers in a pool.
const MAX_SERVERS: usize = 1024;

impl Config {
    /// Parses a configuration file; `file` is its name, for error messages.
    pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
        let mut pools = Vec::new();
        for draft in read(file, text)? {
            pools.push(draft.pool()?);
        }
        if pools.is_empty() {
            return Err(whole(format!("'{file}' has no pools")));
        }
        for (i, pool) in pools.iter().enumerate() {
            for other in pools.iter().take(i) {
                if other.listen == pool.listen {
                    return Err(whole(format!(
                        "pools '{}' and '{}' have the same listen address '{}'",
                        other.name,
                        pool.name,
                        listen_name(&pool.listen)
                    )));
                }
                if other.name == pool.name {
                    return Err(whole(format!(
                        "'{file}' has pools with same name '{}'",
                        pool.name
                    )));
                }
            }
        }
        pools.sort_by(|a, b| by_name(&a.name, &b.name));
        Ok(Config { pools })
    }
}

impl Pool {
    /// The mapping of keys to servers.
    pub fn sharding(&self) -> Sharding {
        let node =
            |server: &Server| Node { name: server.name.clone().into(), weight: server.weight };
        Sharding::new(self.servers.iter().map(node).collect(), self.rule.clone(), self.hash_tag)
    }
}

/// The order of pools and servers: shorter names come first.
fn by_name(a: &str, b: &str) -> core::cmp::Ordering {
    (a.len(), a).cmp(&(b.len(), b))
}

/// An error that concerns the whole file.
fn whole(text: String) -> ConfigError {
    ConfigError { line: None, text }
}

fn listen_name(at: &Endpoint) -> String {
    match at {
        Endpoint::Ip(address) => address.to_string(),
        Endpoint::Unix(path) => path.clone(),
    }
}

/// A pool with unparsed values, and the line of each directive.
#[derive(Debug, Default)]
struct Draft {
    name: String,
    values: Vec<(&'static str, String, usize)>,
    servers: Vec<(String, usize)>,
}

/// Directives with one value.
const DIRECTIVES: [&str; 16] = [
    "listen",
    "hash",
    "hash_tag",
    "distribution",
    "timeout",
    "backlog",
    "client_connections",
    "redis",
    "tcpkeepalive",
    "redis_auth",
    "redis_db",
    "preconnect",
    "auto_eject_hosts",
    "server_connections",
    "server_retry_timeout",
    "server_failure_limit",
];

/// The parser's position in the structure.
enum Place {
    Outside,
    /// Between pools.
    Root,
    /// After a pool's name.
    PoolName,
    Pool,
    /// After a directive's name.
    Directive(String, usize),
    Servers,
}

/// Parses the structure of the file.
fn read(file: &str, text: &str) -> Result<Vec<Draft>, ConfigError> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut place = Place::Outside;
    let mut documents = 0;
    if let Some(line) = text.lines().position(|line| line.trim_end() == "...") {
        return Err(at(line + 1, "document end token is disallowed"));
    }
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| at(e.marker().line(), e.info()))?;
        let line = span.start.line();
        let refuse = |what: &str| Err(at(line, format!("{what} token is disallowed")));
        match &event {
            Event::DocumentStart(true) => return refuse("document start"),
            Event::Alias(_) => return refuse("alias"),
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => {
                if *anchor != 0 {
                    return refuse("anchor");
                }
                if tag.is_some() {
                    return refuse("tag");
                }
            }
            _ => {}
        }
        let draft = drafts.last_mut();
        place = match (event, place, draft) {
            (Event::DocumentStart(_), place, _) => {
                documents += 1;
                if documents > 1 {
                    return Err(whole(format!(
                        "'{file}' must contain only 1 document; found {documents} documents"
                    )));
                }
                place
            }
            (Event::MappingStart(..), place, _) => {
                if flow(text, &span, '{') {
                    return refuse("flow mapping start");
                }
                match place {
                    Place::Outside => Place::Root,
                    Place::PoolName => Place::Pool,
                    Place::Root => {
                        return Err(at(
                            line,
                            format!("'{file}' has more than one \"key:value\" at depth 1"),
                        ));
                    }
                    _ => return Err(at(line, format!("'{file}' has a depth greater than 2"))),
                }
            }
            (Event::MappingEnd, Place::Pool, Some(draft)) => {
                if draft.servers.is_empty() {
                    return Err(at(
                        line,
                        format!("'{file}' missing sequence directive at depth 2"),
                    ));
                }
                Place::Root
            }
            (Event::SequenceStart(..), place, Some(draft)) => {
                if flow(text, &span, '[') {
                    return refuse("flow sequence start");
                }
                match place {
                    Place::Directive(..) if !draft.servers.is_empty() => {
                        return Err(at(
                            line,
                            format!("'{file}' has more than one sequence directive"),
                        ));
                    }
                    Place::Directive(name, _) if name == "servers" => Place::Servers,
                    Place::Directive(name, line) => return Err(unknown(&name, line)),
                    _ => {
                        return Err(at(
                            line,
                            format!("'{file}' has sequence at depth 1 instead of 2"),
                        ));
                    }
                }
            }
            (Event::SequenceEnd, Place::Servers, _) => Place::Pool,
            (Event::Scalar(value, ..), Place::Root | Place::Pool | Place::Servers, _)
                if value.is_empty() =>
            {
                return Err(at(line, "an empty name or server is not allowed"));
            }
            (Event::Scalar(value, ..), Place::Directive(name, line), _) if value.is_empty() => {
                return Err(bad(&name, line, "has an empty value"));
            }
            (Event::Scalar(value, ..), Place::Root, _) => {
                drafts.push(Draft { name: value.into_owned(), ..Draft::default() });
                Place::PoolName
            }
            (Event::Scalar(name, ..), Place::Pool, _) => Place::Directive(name.into_owned(), line),
            (Event::Scalar(value, ..), Place::Directive(name, line), Some(draft)) => {
                draft.set(&name, value.into_owned(), line)?;
                Place::Pool
            }
            (Event::Scalar(value, ..), Place::Servers, Some(draft)) => {
                if draft.servers.len() == MAX_SERVERS {
                    let text = format!("pool '{}' has more than {MAX_SERVERS} servers", draft.name);
                    return Err(at(line, text));
                }
                draft.servers.push((value.into_owned(), line));
                Place::Servers
            }
            (Event::Scalar(value, ..), Place::Outside, _) if value.is_empty() => Place::Outside,
            (Event::Scalar(..), Place::Outside, _) => {
                return Err(at(line, format!("'{file}' has invalid empty \"key:\" at depth 0")));
            }
            (Event::Scalar(..), Place::PoolName, _) => {
                return Err(at(line, format!("'{file}' has invalid mapping \"key:\" at depth 1")));
            }
            (Event::SequenceStart(..), ..) => {
                return Err(at(line, format!("'{file}' has sequence at depth 0 instead of 2")));
            }
            (_, place, _) => place,
        };
    }
    Ok(drafts)
}

/// Whether the collection that starts here is in flow style.
fn flow(text: &str, span: &Span, mark: char) -> bool {
    text.chars().nth(span.start.index()) == Some(mark)
}

fn at(line: usize, text: impl Into<String>) -> ConfigError {
    ConfigError { line: Some(line), text: text.into() }
}

fn unknown(name: &str, line: usize) -> ConfigError {
    at(line, format!("directive \"{name}\" is unknown"))
}

fn bad(name: &str, line: usize, what: &str) -> ConfigError {
    at(line, format!("directive \"{name}\" {what}"))
}

impl Draft {
    fn set(&mut self, name: &str, value: String, line: usize) -> Result<(), ConfigError> {
        let known = DIRECTIVES.iter().find(|known| **known == name);
        let Some(&known) = known else {
            return Err(match name {
                "servers" => at(line, "directive \"servers\" is a sequence of servers"),
                "reuseport" => bad(name, line, "is unknown; version 0.5.0 does not have it"),
                _ => unknown(name, line),
            });
        };
        if self.values.iter().any(|(other, ..)| *other == known) {
            return Err(bad(name, line, "is a duplicate"));
        }
        self.values.push((known, value, line));
        Ok(())
    }

    fn get(&self, name: &str) -> Option<(&str, usize)> {
        let found = self.values.iter().find(|(known, ..)| *known == name)?;
        Some((&found.1, found.2))
    }

    fn number(&self, name: &str) -> Result<Option<u32>, ConfigError> {
        let Some((value, line)) = self.get(name) else { return Ok(None) };
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let value = value.parse::<u32>().ok().filter(|n| digits && *n <= i32::MAX as u32);
        value.map(Some).ok_or_else(|| bad(name, line, "is not a number"))
    }

    fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        match self.get(name) {
            None | Some(("false", _)) => Ok(false),
            Some(("true", _)) => Ok(true),
            Some((_, line)) => Err(bad(name, line, "is not \"true\" or \"false\"")),
        }
    }

    fn pool(self) -> Result<Pool, ConfigError> {
        // Values are checked in the order of the file, so that the first error is reported.
        for (name, value, line) in &self.values {
            self.check(name, value, *line)?;
        }
        let Some((listen, line)) = self.get("listen") else {
            return Err(whole("directive \"listen:\" is missing".into()));
        };
        let (listen, mode) = parse_listen(listen).map_err(|what| bad("listen", line, what))?;
        if !self.flag("redis")? {
            return Err(whole(format!(
                "pool '{}' is for memcached, which Limpid does not speak; for Redis servers say \
                 \"redis: true\"",
                self.name
            )));
        }
        let mut servers = Vec::new();
        for (text, line) in &self.servers {
            servers.push(parse_server(text).map_err(|what| bad("servers", *line, what))?);
        }
        servers.sort_by(|a: &Server, b| by_name(&a.name, &b.name));
        for pair in servers.windows(2) {
            if let [a, b] = pair
                && a.name == b.name
            {
                return Err(whole(format!(
                    "pool '{}' has servers with same name '{}'",
                    self.name, a.name
                )));
            }
        }
        let weights: u64 = servers.iter().map(|server| u64::from(server.weight)).sum();
        if weights > u64::from(u32::MAX) {
            return Err(whole(format!(
                "pool '{}' has servers whose weights add up to {weights}; at most {} are \
                 supported",
                self.name,
                u32::MAX
            )));
        }
        let hash = match self.get("hash") {
            None => Hash::default(),
            Some((name, line)) => {
                Hash::parse(name).ok_or_else(|| bad("hash", line, "is not a valid hash"))?
            }
        };
        let rule = match self.get("distribution").map_or("ketama", |(name, _)| name) {
            "modula" => Rule::Modula(hash),
            "random" => Rule::Random,
            _ => Rule::Ketama(hash),
        };
        let server_connections = self.number("server_connections")?.unwrap_or(1) as usize;
        if server_connections == 0 {
            return Err(whole("directive \"server_connections:\" cannot be 0".into()));
        }
        let milliseconds = |n: u32| Duration::from_millis(n.into());
        Ok(Pool {
            listen,
            mode,
            rule,
            hash_tag: self.get("hash_tag").and_then(|(tag, _)| HashTag::parse(tag.as_bytes())),
            timeout: self.number("timeout")?.filter(|n| *n > 0).map(milliseconds),
            backlog: self.number("backlog")?.unwrap_or(512),
            tcpkeepalive: self.flag("tcpkeepalive")?,
            redis_auth: self.get("redis_auth").map(|(auth, _)| auth.to_owned()),
            redis_db: self.number("redis_db")?.unwrap_or(0),
            preconnect: self.flag("preconnect")?,
            auto_eject_hosts: self.flag("auto_eject_hosts")?,
            server_connections,
            server_retry_timeout: milliseconds(
                self.number("server_retry_timeout")?.unwrap_or(30_000),
            ),
            server_failure_limit: self.number("server_failure_limit")?.unwrap_or(2),
            servers,
            name: self.name,
        })
    }

    fn check(&self, name: &str, value: &str, line: usize) -> Result<(), ConfigError> {
        match name {
            "listen" => parse_listen(value).map(drop).map_err(|what| bad(name, line, what)),
            "hash" if Hash::parse(value).is_none() => Err(bad(name, line, "is not a valid hash")),
            "distribution" if !matches!(value, "ketama" | "modula" | "random") => {
                Err(bad(name, line, "is not a valid distribution"))
            }
            "hash_tag" if HashTag::parse(value.as_bytes()).is_none() => {
                Err(bad(name, line, "is not a valid hash tag string with two characters"))
            }
            "redis" | "tcpkeepalive" | "preconnect" | "auto_eject_hosts" => {
                self.flag(name).map(drop)
            }
            "hash" | "distribution" | "hash_tag" | "redis_auth" => Ok(()),
            _ => self.number(name).map(drop),
        }
    }
}

/// Parses `host:port`, or the path of a Unix socket with its permissions.
fn parse_listen(text: &str) -> Result<(Endpoint, Option<u32>), &'static str> {
    if text.starts_with('/') {
        let Some((path, mode)) = text.rsplit_once(' ') else {
            return Ok((Endpoint::Unix(text.to_owned()), None));
        };
        let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
        let mode = mode
            .ok_or("has an invalid file permission in \"socket_path permission\" format string")?;
        return Ok((Endpoint::Unix(path.to_owned()), Some(mode)));
    }
    let (host, port) =
        text.rsplit_once(':').ok_or("has an invalid \"hostname:port\" format string")?;
    let port = parse_port(port).ok_or("has an invalid port in \"hostname:port\" format string")?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let ip = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        "*" | "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        host => host.parse().map_err(
            |_| "has a host that is no address; name the address to listen on, for example 0.0.0.0",
        )?,
    };
    Ok((Endpoint::Ip((ip, port).into()), None))
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

/// Parses `host:port:weight [name]`, or `/path:weight [name]`.
fn parse_server(text: &str) -> Result<Server, &'static str> {
    const FORM: &str = "has an invalid \"hostname:port:weight [name]\"or \
                        \"/path/unix_socket:weight [name]\" format string";
    let (address, name) = match text.rsplit_once(' ') {
        Some((address, name)) => (address, Some(name)),
        None => (text, None),
    };
    let (place, weight) = address.rsplit_once(':').ok_or(FORM)?;
    let weight = || match weight.parse::<u32>() {
        Ok(0) => Err("has a zero weight in \"hostname:port:weight [name]\" format string"),
        Ok(weight) => Ok(weight),
        Err(_) => Err("has an invalid weight in \"hostname:port:weight [name]\" format string"),
    };
    if place.starts_with('/') {
        let weight = weight()?;
        // Without a name, a Unix socket is hashed by its path with the colon, as in twemproxy.
        let name = name.map_or_else(|| format!("{place}:"), str::to_owned);
        let address = Endpoint::Unix(place.to_owned()).into();
        return Ok(Server { name, weight, address });
    }
    let (host, port) = place.rsplit_once(':').ok_or(FORM)?;
    let weight = weight()?;
    let port = parse_port(port)
        .ok_or("has an invalid port in \"hostname:port:weight [name]\" format string")?;
    let name = match name {
        Some(name) => name.to_owned(),
        // Like clients of memcached, twemproxy hashes the default port of memcached without the
        // port.
        None if port == 11211 => host.to_owned(),
        None => place.to_owned(),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = match bare {
        "localhost" => Endpoint::Ip((Ipv4Addr::LOCALHOST, port).into()).into(),
        bare => match bare.parse::<IpAddr>() {
            Ok(ip) => Endpoint::Ip((ip, port).into()).into(),
            Err(_) => Address::Name { host: host.to_owned(), port },
        },
    };
    Ok(Server { name, weight, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "\
alpha:
  listen: 127.0.0.1:22121
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: true
  redis: true
  server_retry_timeout: 2000
  server_failure_limit: 1
  servers:
   - 127.0.0.1:6379:1
   - 127.0.0.1:6380:1
";

    fn error(text: &str) -> String {
        Config::parse("n.yml", text).expect_err("an error").to_string()
    }

    #[test]
    fn the_file_of_the_course_is_read() {
        let config = Config::parse("n.yml", SEED).expect("a good file");
        let [pool] = &config.pools[..] else { panic!("{config:?}") };
        assert_eq!(pool.name, "alpha");
        assert_eq!(pool.rule, Rule::Ketama(Hash::Fnv1a64));
        assert_eq!(pool.server_retry_timeout, Duration::from_secs(2));
        assert_eq!((pool.server_failure_limit, pool.auto_eject_hosts), (1, true));
        let names: Vec<&str> = pool.servers.iter().map(|server| &server.name[..]).collect();
        assert_eq!(names, ["127.0.0.1:6379", "127.0.0.1:6380"]);
    }

    #[test]
    fn servers_have_twemproxys_names_and_order() {
        let text = "p:\n  listen: /tmp/p.sock 0666\n  redis: true\n  servers:\n  - cache:6379:3 zeta\n  \
                    - 10.0.0.1:11211:1\n  - /tmp/r.sock:2\n  - 10.0.0.1:6379:1 b\n";
        let config = Config::parse("n.yml", text).expect("a good file");
        let pool = &config.pools[0];
        assert_eq!((&pool.listen, pool.mode), (&Endpoint::Unix("/tmp/p.sock".into()), Some(0o666)));
        let names: Vec<&str> = pool.servers.iter().map(|server| &server.name[..]).collect();
        assert_eq!(names, ["b", "zeta", "10.0.0.1", "/tmp/r.sock:"]);
        assert_eq!(pool.servers[1].weight, 3);
        let name = Address::Name { host: "cache".into(), port: 6379 };
        assert_eq!(pool.servers[1].address, name);
    }

    #[test]
    fn errors_are_those_of_twemproxy_with_the_line() {
        let with = |line: &str| {
            error(&SEED.replace("  redis: true\n", &format!("  redis: true\n{line}\n")))
        };
        assert_eq!(with("  bogus: 1"), "conf: directive \"bogus\" is unknown (line 7)");
        assert_eq!(with("  hash: md5"), "conf: directive \"hash\" is a duplicate (line 7)");
        assert_eq!(with("  timeout: x"), "conf: directive \"timeout\" is not a number (line 7)");
        assert_eq!(with("  timeout: -1"), "conf: directive \"timeout\" is not a number (line 7)");
        assert_eq!(
            with("  preconnect: yes"),
            "conf: directive \"preconnect\" is not \"true\" or \"false\" (line 7)"
        );
        assert_eq!(
            with("  hash_tag: \"{\""),
            "conf: directive \"hash_tag\" is not a valid hash tag string with two characters (line 7)"
        );
        assert_eq!(
            with("  server_connections: 0"),
            "conf: directive \"server_connections:\" cannot be 0"
        );
        assert_eq!(
            with("  redis_auth: \"\""),
            "conf: directive \"redis_auth\" has an empty value (line 7)"
        );
        assert!(error(&SEED.replace("alpha", "\"\"")).contains("an empty name"));
        assert!(error(&SEED.replace("6380:1", "6379:1")).contains("servers with same name"));
        assert!(error(&SEED.replace("6380:1", "6380:0")).contains("has a zero weight"));
        assert!(error(&SEED.replace("6380:1", "6380")).contains("format string (line 11)"));
        assert!(error(&SEED.replace("fnv1a_64", "sha1")).contains("is not a valid hash (line 3)"));
        assert!(
            error(&SEED.replace("  listen: 127.0.0.1:22121\n", ""))
                .contains("\"listen:\" is missing")
        );
        assert!(error(&format!("{SEED}{SEED}")).contains("same"));
        assert!(error(&format!("---\n{SEED}")).contains("document start token is disallowed"));
        assert!(error("a: {b: c}\n").contains("flow mapping start"));
        assert!(error("a:\n  servers: [b]\n").contains("flow sequence start"));
        assert!(error("a: &x\n  listen: b\n").contains("anchor token is disallowed"));
        assert!(error("").contains("has no pools"));
        assert!(error("a:\n  listen: 127.0.0.1:1\n").contains("missing sequence directive"));
        assert!(error("a: b\n").contains("invalid mapping"));
        assert!(error(&SEED.replace("redis: true", "redis: false")).contains("memcached"));
    }
}
