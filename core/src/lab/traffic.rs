//! A client that keeps a server busy, and listens to who wants it faster or slower.

use core::any::Any;
use std::net::SocketAddr;

use crate::client;
use crate::machine::{ConnId, Endpoint, Input, Machine, Outbox, Output};
use crate::sim::{Console, Launch, LaunchError, Process};
use crate::time::{Mono, Now};

/// A [`client::Traffic`] into which one can type `rate <commands a second>`.
#[derive(Clone, Debug)]
pub struct Traffic(client::Traffic);

impl Traffic {
    /// The most commands a second.
    const MOST: u32 = 100_000;

    pub(super) fn launch(launch: &Launch<'_>) -> Result<Self, LaunchError> {
        let (mut host, mut port, mut rate) = ("127.0.0.1", 6379, None);
        let mut args = launch.args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| {
                LaunchError(format!("'{arg}' needs a value, as in -h redis-1 -p 6379 --rate 20"))
            })?;
            match arg.as_str() {
                "-h" => host = value,
                "-p" => {
                    port = value.parse().map_err(|_| {
                        LaunchError(format!("'{value}' is not a port; use 1 to 65535"))
                    })?;
                }
                "--rate" => rate = Some(parse_rate(value)?),
                _ => {
                    return Err(LaunchError(format!("unknown option '{arg}'; use -h, -p, --rate")));
                }
            }
        }
        let ip = launch
            .resolve(host)
            .ok_or_else(|| LaunchError(format!("there is no host '{host}'; use a host's name")))?;
        let target = Endpoint::Ip(SocketAddr::new(ip, port));
        let mut config = client::TrafficConfig::new(target, launch.seed);
        config.per_second = rate.unwrap_or(config.per_second);
        Ok(Traffic(client::Traffic::new(config)))
    }

    /// The client: what it does and what it has seen.
    pub fn client(&self) -> &client::Traffic {
        &self.0
    }
}

fn parse_rate(text: &str) -> Result<f64, LaunchError> {
    let rate = text.strip_suffix("/s").unwrap_or(text).parse::<u32>().ok();
    rate.filter(|&rate| rate <= Traffic::MOST).map(f64::from).ok_or_else(|| {
        LaunchError(format!(
            "'{text}' is not a rate; use commands a second, 0 to {}",
            Traffic::MOST
        ))
    })
}

impl Machine for Traffic {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        self.0.handle(now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.0.poll_output()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.0.poll_timeout()
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.0.outbox(conn)
    }
}

impl Console for Traffic {
    fn line(&mut self, _: Now<'_>, line: &str) {
        if let Some(Ok(rate)) = line.trim().strip_prefix("rate ").map(|r| parse_rate(r.trim())) {
            self.0.set_rate(rate);
        }
    }

    fn interrupt(&mut self, _: Now<'_>) {
        self.0.set_rate(0.0);
    }
}

impl Process for Traffic {
    fn clone_box(&self) -> Box<dyn Process> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn console(&mut self) -> Option<&mut dyn Console> {
        Some(self)
    }
}
