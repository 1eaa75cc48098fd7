//! The cluster traffic client as a program of a World.

use crate::client::{self, ClusterTrafficConfig, Routing};
use crate::sim::{Console, Launch, LaunchError};
use crate::time::Now;

use super::traffic::{endpoint, parse_port, parse_rate, runs_client};

/// A [`client::ClusterTraffic`] that accepts the typed line `rate <commands a second>`.
#[derive(Clone, Debug)]
pub struct ClusterTraffic {
    client: client::ClusterTraffic,
}

impl ClusterTraffic {
    /// Parses `cluster-traffic --node <host>[:<port>] [--rate <commands a second>] [--routing
    /// learned|redirected] [--wait <replicas>]`; `--node` can be repeated.
    pub(super) fn launch(launch: &Launch<'_>) -> Result<Self, LaunchError> {
        let (mut nodes, mut rate, mut routing) = (Vec::new(), None, Routing::Learned);
        let mut wait = 0;
        let mut args = launch.args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| {
                LaunchError(format!("'{arg}' needs a value, as in --node node-1 --rate 20"))
            })?;
            match arg.as_str() {
                "--node" => {
                    let (host, port) = value.split_once(':').unwrap_or((value, "6379"));
                    nodes.push(endpoint(launch, host, parse_port(port)?)?);
                }
                "--rate" => rate = Some(parse_rate(value)?),
                "--routing" => {
                    routing = match value.as_str() {
                        "learned" => Routing::Learned,
                        "redirected" => Routing::Redirected,
                        _ => {
                            let text =
                                format!("'{value}' is not a routing; use learned or redirected");
                            return Err(LaunchError(text));
                        }
                    };
                }
                "--wait" => {
                    wait = value.parse().map_err(|_| {
                        LaunchError(format!("'{value}' is not a number of replicas for --wait"))
                    })?;
                }
                _ => {
                    let text =
                        format!("unknown option '{arg}'; use --node, --rate, --routing, --wait");
                    return Err(LaunchError(text));
                }
            }
        }
        if nodes.is_empty() {
            return Err(LaunchError("no node is given; use --node <host>[:<port>]".to_owned()));
        }
        let prefix = format!("{}:{}:", launch.host, launch.pid);
        let mut config = ClusterTrafficConfig::new(nodes, routing, prefix, launch.seed);
        config.per_second = rate.unwrap_or(config.per_second);
        config.wait = wait;
        Ok(ClusterTraffic { client: client::ClusterTraffic::new(config) })
    }

    /// The client, with its configuration and statistics.
    pub fn client(&self) -> &client::ClusterTraffic {
        &self.client
    }
}

impl Console for ClusterTraffic {
    fn line(&mut self, _: Now<'_>, line: &str) {
        let rate = line.trim().strip_prefix("rate ").map(|rate| parse_rate(rate.trim()));
        if let Some(Ok(rate)) = rate {
            self.client.set_rate(rate);
        }
    }

    fn interrupt(&mut self, _: Now<'_>) {
        self.client.set_rate(0.0);
    }
}

runs_client!(ClusterTraffic);
