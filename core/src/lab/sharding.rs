//! The client-side sharding client as a program of a World.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::client::{Sharded, ShardedConfig};
use crate::machine::Endpoint;
use crate::sharding::{Hash, Node, Rule};
use crate::sim::{Console, Launch, LaunchError};
use crate::sorted::SortedMap;
use crate::time::Now;

use super::traffic::{endpoint, parse_port, parse_rate, runs_client};

/// A [`Sharded`] client that accepts the typed lines `rate <commands a second>`, `add
/// <host>[:<port>]` and `remove <node>`.
#[derive(Clone, Debug)]
pub struct Sharding {
    client: Sharded,
    /// The names and addresses of all hosts.
    names: Arc<SortedMap<String, IpAddr>>,
}

impl Sharding {
    /// Parses `sharding-client --node <host>[:<port>] ... [--rule ketama|modula|random|table]
    /// [--hash <hash>] [--table <prefix>=<host>] ... [--rate <commands a second>]`.
    pub(super) fn launch(launch: &Launch<'_>) -> Result<Self, LaunchError> {
        let (mut nodes, mut table) = (Vec::new(), Vec::new());
        let (mut rule, mut hash, mut rate) = ("ketama", Hash::default(), None);
        let mut args = launch.args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| {
                LaunchError(format!("'{arg}' needs a value, as in --node redis-1 --rule ketama"))
            })?;
            match arg.as_str() {
                "--node" => {
                    let (host, port) = value.split_once(':').unwrap_or((value, "6379"));
                    let at = endpoint(launch, host, parse_port(port)?)?;
                    nodes.push((Node::new(value.as_bytes()), at));
                }
                "--rule" => rule = value,
                "--hash" => hash = Hash::parse(value).ok_or_else(|| unknown("hash", value))?,
                "--table" => {
                    let row = value.rsplit_once('=').ok_or_else(|| {
                        let text = format!("'{value}' is not a row; write --table user:=redis-1");
                        LaunchError(text)
                    })?;
                    table.push(row);
                }
                "--rate" => rate = Some(parse_rate(value)?),
                _ => return Err(unknown("option", arg)),
            }
        }
        let mut prefixes = Vec::new();
        let rule = match rule {
            "ketama" => Rule::Ketama(hash),
            "modula" => Rule::Modula(hash),
            "random" => Rule::Random,
            "table" => {
                let mut rows = Vec::new();
                for (prefix, name) in table {
                    let place = nodes.iter().position(|(node, _)| node.name == name.as_bytes());
                    let place = place.ok_or_else(|| unknown("node", name))?;
                    rows.push((prefix.as_bytes().to_vec(), place as u32));
                    prefixes.push(prefix.to_owned());
                }
                Rule::Table(rows)
            }
            other => return Err(unknown("rule", other)),
        };
        let mut config = ShardedConfig::new(nodes, rule, launch.seed);
        config.per_second = rate.unwrap_or(config.per_second);
        if !prefixes.is_empty() {
            config.prefixes = prefixes;
        }
        let names = launch.names().map(|(name, ip)| (name.to_owned(), ip.into())).collect();
        Ok(Sharding { client: Sharded::new(config), names: Arc::new(names) })
    }

    /// The client, with its configuration and statistics.
    pub fn client(&self) -> &Sharded {
        &self.client
    }

    /// The endpoint that `redis-4`, `redis-4:6380` or `10.0.0.4` means.
    fn place(&self, text: &str) -> Option<Endpoint> {
        let (host, port) = text.split_once(':').unwrap_or((text, "6379"));
        let ip = self.names.get(host).copied().or_else(|| host.parse().ok())?;
        Some(Endpoint::Ip(SocketAddr::new(ip, parse_port(port).ok()?)))
    }
}

fn unknown(what: &str, value: &str) -> LaunchError {
    LaunchError(format!(
        "unknown {what} '{value}'; write --node <host>[:<port>], --rule \
         ketama|modula|random|table, --hash <hash of twemproxy>, --table <prefix>=<node>, --rate <n>"
    ))
}

impl Console for Sharding {
    fn line(&mut self, _: Now<'_>, line: &str) {
        let (verb, rest) = line.trim().split_once(' ').unwrap_or_default();
        let rest = rest.trim();
        match verb {
            "rate" => {
                if let Ok(rate) = parse_rate(rest) {
                    self.client.set_rate(rate);
                }
            }
            "add" => {
                if let Some(at) = self.place(rest) {
                    self.client.add(Node::new(rest.as_bytes()), at);
                }
            }
            "remove" => {
                self.client.remove(rest.as_bytes());
            }
            _ => {}
        }
    }

    fn interrupt(&mut self, _: Now<'_>) {
        self.client.set_rate(0.0);
    }
}

runs_client!(Sharding);
