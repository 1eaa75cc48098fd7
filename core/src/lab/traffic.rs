//! The traffic client as a program of a World.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::client::{self, Mix};
use crate::machine::Endpoint;
use crate::sim::{Console, Launch, LaunchError};
use crate::sorted::SortedMap;
use crate::time::{Duration, Now};

/// Implements `Machine` and `Process` for a type by its field `client`.
macro_rules! runs_client {
    ($program:ty) => {
        impl crate::machine::Machine for $program {
            fn handle(&mut self, now: crate::time::Now<'_>, input: crate::machine::Input<'_>) {
                self.client.handle(now, input);
            }

            fn poll_output(&mut self) -> Option<crate::machine::Output> {
                self.client.poll_output()
            }

            fn poll_timeout(&self) -> Option<crate::time::Mono> {
                self.client.poll_timeout()
            }

            fn outbox(
                &mut self,
                conn: crate::machine::ConnId,
            ) -> Option<&mut crate::machine::Outbox> {
                self.client.outbox(conn)
            }
        }

        impl crate::sim::Process for $program {
            fn console(&mut self) -> Option<&mut dyn crate::sim::Console> {
                Some(self)
            }
        }
    };
}
pub(super) use runs_client;

/// A [`client::Traffic`] that accepts the typed lines `rate <commands a second>`, `to <host>
/// [<port>]`, and `wait <replicas>`, the number of replicas that have to acknowledge each mark.
#[derive(Clone, Debug)]
pub struct Traffic {
    client: client::Traffic,
    /// The names and addresses of all hosts, as in `/etc/hosts`.
    names: Arc<SortedMap<String, IpAddr>>,
}

impl Traffic {
    /// The maximum rate in commands per second.
    const MOST: u32 = 100_000;

    /// Parses `traffic -h <host> [-p <port>] [--rate <commands a second>] [--only
    /// reads|writes|several] [--patience <seconds>]`, or, instead of a server, `--sentinel
    /// <host>[:<port>]`, which can be repeated, and `--master <name>`.
    pub(super) fn launch(launch: &Launch<'_>) -> Result<Self, LaunchError> {
        let (mut host, mut port, mut rate, mut mix) = ("127.0.0.1", 6379, None, None);
        let (mut sentinels, mut master) = (Vec::new(), "mymaster".to_owned());
        let mut patience = None;
        let mut args = launch.args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| {
                LaunchError(format!("'{arg}' needs a value, as in -h redis-1 -p 6379 --rate 20"))
            })?;
            match arg.as_str() {
                "-h" => host = value,
                "-p" => port = parse_port(value)?,
                "--sentinel" => {
                    let (host, port) = value.split_once(':').unwrap_or((value, "26379"));
                    sentinels.push(endpoint(launch, host, parse_port(port)?)?);
                }
                "--master" => master = value.clone(),
                "--patience" => {
                    let seconds = value.parse().map_err(|_| {
                        LaunchError(format!("'{value}' is not a timeout; use seconds, 1 to 3600"))
                    })?;
                    patience = Some(Duration::from_secs(u64::clamp(seconds, 1, 3_600)));
                }
                "--rate" => rate = Some(parse_rate(value)?),
                "--only" => {
                    mix = Some(match value.as_str() {
                        "reads" => Mix::READS,
                        "writes" => Mix::WRITES,
                        "several" => Mix::SEVERAL,
                        _ => {
                            let text =
                                format!("'{value}' is not a mix; use reads, writes or several");
                            return Err(LaunchError(text));
                        }
                    });
                }
                _ => {
                    return Err(LaunchError(format!(
                        "unknown option '{arg}'; use -h, -p, --sentinel, --master, --rate, \
                         --only, --patience"
                    )));
                }
            }
        }
        let target = endpoint(launch, host, port)?;
        let mut config = client::TrafficConfig::new(target, launch.seed);
        if !sentinels.is_empty() {
            config.sentinels = Some(client::Sentinels { at: sentinels, master });
        }
        config.per_second = rate.unwrap_or(config.per_second);
        config.patience = patience.unwrap_or(config.patience);
        if let Some(mix) = mix {
            config.mix = mix;
            // A key for this process only, since earlier processes' marks say nothing about it.
            config.marks = (mix.mark > 0).then(|| format!("marks:{}:{}", launch.host, launch.pid));
        }
        let names = launch.names().map(|(name, ip)| (name.to_owned(), ip.into())).collect();
        Ok(Traffic { client: client::Traffic::new(config), names: Arc::new(names) })
    }

    /// The client, with its configuration and statistics.
    pub fn client(&self) -> &client::Traffic {
        &self.client
    }

    /// The endpoint that `redis-2`, `redis-2 6380` or `10.0.0.2` means.
    fn target(&self, text: &str) -> Option<Endpoint> {
        let mut words = text.split_whitespace();
        let host = words.next()?;
        let ip = self.names.get(host).copied().or_else(|| host.parse().ok())?;
        let port = words.next().map_or(Ok(6379), parse_port).ok()?;
        words.next().is_none().then(|| Endpoint::Ip(SocketAddr::new(ip, port)))
    }
}

pub(super) fn endpoint(
    launch: &Launch<'_>,
    host: &str,
    port: u16,
) -> Result<Endpoint, LaunchError> {
    let ip = launch
        .resolve(host)
        .ok_or_else(|| LaunchError(format!("there is no host '{host}'; use a host's name")))?;
    Ok(Endpoint::Ip(SocketAddr::new(ip, port)))
}

pub(super) fn parse_port(text: &str) -> Result<u16, LaunchError> {
    text.parse().map_err(|_| LaunchError(format!("'{text}' is not a port; use 1 to 65535")))
}

pub(super) fn parse_rate(text: &str) -> Result<f64, LaunchError> {
    let rate = text.strip_suffix("/s").unwrap_or(text).parse::<u32>().ok();
    rate.filter(|&rate| rate <= Traffic::MOST).map(f64::from).ok_or_else(|| {
        LaunchError(format!(
            "'{text}' is not a rate; use commands a second, 0 to {}",
            Traffic::MOST
        ))
    })
}

impl Console for Traffic {
    fn line(&mut self, _: Now<'_>, line: &str) {
        let line = line.trim();
        if let Some(Ok(rate)) = line.strip_prefix("rate ").map(|rate| parse_rate(rate.trim())) {
            self.client.set_rate(rate);
        } else if let Some(Ok(replicas)) = line.strip_prefix("wait ").map(|n| n.trim().parse()) {
            self.client.set_wait(replicas);
        } else if let Some(to) = line.strip_prefix("to ").and_then(|to| self.target(to)) {
            self.client.set_target(to);
        }
    }

    fn interrupt(&mut self, _: Now<'_>) {
        self.client.set_rate(0.0);
    }
}

runs_client!(Traffic);
