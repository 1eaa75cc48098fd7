//! Observations of the environment in which a lesson is played: a World, or real processes.

use std::net::{Ipv4Addr, SocketAddr};

use crate::machine::{ConnId, Endpoint, Input, ListenerId, Machine};
use crate::resp::value::{Value, decode, encode_command};
use crate::sentinel::SentinelServer;
use crate::server::Server;
use crate::sim::{EventKind, ProcId, ProcState, ProcView, World};
use crate::time::{Mono, Now};

use super::counters;
use super::ledger;
use super::model::{Column, Expect};
use super::typed::{Typed, typed};

/// Observes the environment in which a lesson is played, without changing it.
pub trait Witness {
    /// The current time.
    fn now(&self) -> Mono;

    /// All lines that are still visible in terminals, in order for each terminal.
    fn typed(&self) -> Vec<Typed>;

    /// The lines that any of these processes has logged since a time.
    fn logged(&self, at: &[String], since: Mono) -> Vec<String>;

    /// The replies that these servers and Sentinels would give now, as redis-cli prints them into a
    /// pipe.
    fn asked(&self, at: &[String], password: Option<&str>, command: &[String]) -> Vec<String>;

    /// The state of a process; `Stopped` if it does not exist.
    fn process(&self, name: &str) -> Expect;

    /// The contents of a file on a host.
    fn file(&self, host: &str, path: &str) -> Option<Vec<u8>>;

    /// The value of a counter in each of these clients and proxies.
    fn counted(&self, _at: &[String], _field: &str) -> Vec<String> {
        Vec::new()
    }

    /// The number of writes of these clients and terminals in a column of the ledger; of all, if
    /// none is named. `None` if there is no ledger.
    fn ledger(&self, _column: Column, _at: &[String]) -> Option<u64> {
        None
    }

    /// The number of the next event, if events are numbered.
    fn next_event(&self) -> u64 {
        0
    }

    /// The actions since an event, as text.
    fn done(&self, _since: u64) -> Vec<String> {
        Vec::new()
    }

    /// Whether a host is powered on; `None` if it does not exist.
    fn host(&self, _name: &str) -> Option<bool> {
        None
    }

    /// Whether a link is cut in at least one direction; `None` if it does not exist.
    fn cut(&self, _a: &str, _b: &str) -> Option<bool> {
        None
    }
}

impl Witness for World {
    fn now(&self) -> Mono {
        World::now(self)
    }

    fn typed(&self) -> Vec<Typed> {
        typed(self)
    }

    fn logged(&self, at: &[String], since: Mono) -> Vec<String> {
        let logs = procs(self, at).filter_map(|proc| self.log(proc.id));
        logs.flat_map(|log| log.iter().rev().take_while(|entry| entry.at > since))
            .map(|entry| entry.text.to_string())
            .collect()
    }

    fn asked(&self, at: &[String], password: Option<&str>, command: &[String]) -> Vec<String> {
        procs(self, at).filter_map(|proc| ask(self, proc.id, password, command)).collect()
    }

    fn process(&self, name: &str) -> Expect {
        match self.proc_named(name).map(|proc| proc.state) {
            Some(ProcState::Running) => Expect::Running,
            Some(ProcState::Paused) => Expect::Paused,
            _ => Expect::Stopped,
        }
    }

    fn file(&self, host: &str, path: &str) -> Option<Vec<u8>> {
        let bytes = self.host_named(host)?.disk.read_file(path).ok()?;
        Some(bytes.to_vec())
    }

    fn counted(&self, at: &[String], field: &str) -> Vec<String> {
        procs(self, at).filter_map(|proc| counters::of(self, proc.id, field)).collect()
    }

    fn ledger(&self, column: Column, at: &[String]) -> Option<u64> {
        Some(ledger::count(self, column, at))
    }

    fn next_event(&self) -> u64 {
        self.events().next()
    }

    fn done(&self, since: u64) -> Vec<String> {
        let events = self.events().since(since);
        let actions = events.filter_map(|event| match &event.kind {
            EventKind::Action(done) => Some(done.to_string()),
            _ => None,
        });
        actions.collect()
    }

    fn host(&self, name: &str) -> Option<bool> {
        Some(self.host_named(name)?.on)
    }

    fn cut(&self, a: &str, b: &str) -> Option<bool> {
        let (a, b) = (self.host_named(a)?.id, self.host_named(b)?.id);
        Some(self.cuts().any(|pair| pair == (a, b) || pair == (b, a)))
    }
}

/// The running processes with any of these names: their own, `host:port`, or their host's.
fn procs<'a>(world: &'a World, names: &'a [String]) -> impl Iterator<Item = ProcView<'a>> + 'a {
    world.procs().filter(move |proc| {
        let host = world.host(proc.host).map_or("", |host| host.name);
        proc.state == ProcState::Running
            && names.iter().any(|name| {
                proc.name == name
                    || host == name
                    || name.rsplit_once(':').is_some_and(|(at, port)| {
                        at == host && world.listeners(proc.id).any(|l| l.port().to_string() == port)
                    })
            })
    })
}

/// The reply that a server would give now, as redis-cli prints it into a pipe.
fn ask(world: &World, proc: ProcId, password: Option<&str>, command: &[String]) -> Option<String> {
    let host = world.host(world.proc(proc)?.host)?;
    let now = Now::instantaneous(world.now(), host.wall);
    let port = world.listeners(proc).next().map_or(6379, Endpoint::port);
    if let Some(server) = world.machine::<Server>(proc) {
        return ask_copy(server.clone(), now, port, password, command);
    }
    let sentinel = world.machine::<SentinelServer>(proc)?;
    ask_copy(sentinel.clone(), now, port, password, command)
}

fn ask_copy<M: Machine>(
    mut machine: M,
    now: Now<'_>,
    port: u16,
    password: Option<&str>,
    command: &[String],
) -> Option<String> {
    // Larger than any connection ID in a World.
    let conn = ConnId::accepted(u64::MAX >> 2);
    let at = |port| Endpoint::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listener = ListenerId(u32::MAX);
    machine.handle(now, Input::Accepted { conn, listener, peer: at(1), local: at(port) });
    let mut request = Vec::new();
    if let Some(password) = password {
        encode_command(&["AUTH", password], &mut request);
    }
    encode_command(command, &mut request);
    machine.handle(now, Input::Received { conn, bytes: &request });
    let outbox = machine.outbox(conn)?;
    let mut bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
    if password.is_some() {
        let (_, used) = decode(&bytes).ok()??;
        bytes.drain(..used);
    }
    let (value, _) = decode(&bytes).ok()??;
    Some(printed(&value))
}

/// A reply as redis-cli prints it into a pipe.
pub fn printed(reply: &Value) -> String {
    let mut lines = Vec::new();
    flatten(reply, &mut lines);
    lines.join("\n")
}

/// Writes a value as lines of text.
fn flatten(value: &Value, lines: &mut Vec<String>) {
    if let Some(items) = value.items() {
        return items.iter().for_each(|item| flatten(item, lines));
    }
    lines.push(match value {
        Value::Integer(n) => n.to_string(),
        Value::Null => String::new(),
        Value::Error(text) => String::from_utf8_lossy(text).into_owned(),
        other => String::from_utf8_lossy(other.bytes().unwrap_or_default()).into_owned(),
    });
}
