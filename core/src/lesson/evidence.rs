//! Whether a condition holds in a World. Nothing here changes anything: a server that is asked
//! something is asked in a copy.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::glob::matches_ignoring_case;
use crate::machine::{ConnId, Endpoint, Input, ListenerId, Machine};
use crate::resp::value::{Value, decode, encode_command};
use crate::sentinel::SentinelServer;
use crate::server::Server;
use crate::sim::{EventKind, ProcId, ProcState, ProcView, World};
use crate::time::{Mono, Now};

use super::counters;
use super::ledger;
use super::model::{Check, Condition, Expect};
use super::typed::{Typed, typed};

/// What a World shows at a moment, found out once for all conditions.
pub(super) struct Evidence<'w> {
    world: &'w World,
    typed: Vec<Typed>,
}

/// What had happened already when a step began, and so is no evidence for it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Before {
    /// When it began.
    pub at: Mono,
    /// The number of the event that came next.
    pub event: u64,
    /// How often what a condition waits for could be seen in terminals.
    pub seen: Vec<u32>,
}

impl<'w> Evidence<'w> {
    pub(super) fn of(world: &'w World) -> Self {
        Evidence { world, typed: typed(world) }
    }

    /// How often the line that a condition waits for stands in terminals.
    pub(super) fn count(&self, condition: &Condition) -> u32 {
        let Condition::Typed { line, at, shows } = condition else { return 0 };
        let found = self.typed.iter().filter(|typed| {
            like(line, &typed.line)
                && (at.is_empty() || at.iter().any(|at| typed.at.contains(at)))
                && shows.as_ref().is_none_or(|shows| {
                    typed.printed.lines().any(|printed| like(shows, printed.trim()))
                })
        });
        u32::try_from(found.count()).unwrap_or(u32::MAX)
    }

    /// Whether a condition holds now; `number` is its place among those of its step.
    pub(super) fn holds(&self, condition: &Condition, number: usize, before: &Before) -> bool {
        let world = self.world;
        match condition {
            Condition::Typed { .. } => {
                self.count(condition) > before.seen.get(number).copied().unwrap_or_default()
            }
            Condition::Logged { line, at } => self.procs(at).any(|proc| {
                let log = world.log(proc.id).into_iter().flat_map(|log| log.iter());
                log.rev().take_while(|entry| entry.at > before.at).any(|e| like(line, &e.text))
            }),
            Condition::Did { action } => world.events().since(before.event).any(|event| {
                matches!(&event.kind, EventKind::Action(done) if like(action, &done.to_string()))
            }),
            Condition::Asked { command, at, password, check } => self
                .procs(at)
                .filter_map(|proc| ask(world, proc.id, password.as_deref(), command))
                .any(|answer| satisfies(check, &answer)),
            Condition::Info { field, at, password, check } => self
                .procs(at)
                .filter_map(|proc| info(world, proc.id, password.as_deref(), field))
                .any(|value| satisfies(check, &value)),
            Condition::Process { name, is } => {
                let state = world.proc_named(name).map(|proc| proc.state);
                match is {
                    Expect::Running => state == Some(ProcState::Running),
                    Expect::Paused => state == Some(ProcState::Paused),
                    Expect::Stopped => {
                        !matches!(state, Some(ProcState::Running | ProcState::Paused))
                    }
                }
            }
            Condition::Host { name, on } => {
                world.host_named(name).is_some_and(|host| host.on == *on)
            }
            Condition::Link { between: (a, b), cut } => {
                let ids = world.host_named(a).map(|h| h.id).zip(world.host_named(b).map(|h| h.id));
                ids.is_some_and(|(a, b)| {
                    world.cuts().any(|pair| pair == (a, b) || pair == (b, a)) == *cut
                })
            }
            Condition::Ledger { column, at, check } => {
                satisfies(check, &ledger::count(world, *column, at).to_string())
            }
            Condition::File { path, at, has } => {
                let file = world.host_named(at).and_then(|host| host.disk.read_file(path).ok());
                file.is_some_and(|bytes| {
                    has.as_ref().is_none_or(|has| {
                        String::from_utf8_lossy(&bytes).lines().any(|line| like(has, line.trim()))
                    })
                })
            }
        }
    }

    /// The running processes of any of these names: their own, `host:port`, or their host's.
    fn procs<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = ProcView<'w>> + 'a {
        let world = self.world;
        world.procs().filter(move |proc| {
            let host = world.host(proc.host).map_or("", |host| host.name);
            proc.state == ProcState::Running
                && names.iter().any(|name| {
                    proc.name == name
                        || host == name
                        || name.rsplit_once(':').is_some_and(|(at, port)| {
                            at == host
                                && world.listeners(proc.id).any(|l| l.port().to_string() == port)
                        })
                })
        })
    }
}

/// Whether a text looks like a pattern, whatever the case of its letters.
fn like(pattern: &str, text: &str) -> bool {
    matches_ignoring_case(pattern.as_bytes(), text.as_bytes())
}

fn satisfies(check: &Check, value: &str) -> bool {
    let number = || value.trim().parse::<i64>().ok();
    match check {
        Check::Is(pattern) => like(pattern, value),
        Check::Not(pattern) => !like(pattern, value),
        Check::Has(pattern) => value.lines().any(|line| like(pattern, line)),
        Check::AtLeast(least) => number().is_some_and(|n| n >= *least),
        Check::AtMost(most) => number().is_some_and(|n| n <= *most),
    }
}

/// A field of INFO, of CLUSTER INFO where there is one, or of what a client or a proxy counts.
fn info(world: &World, proc: ProcId, password: Option<&str>, field: &str) -> Option<String> {
    let of = |command: &[&str]| {
        let words: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let text = ask(world, proc, password, &words)?;
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key == field).then(|| value.trim_end().to_owned())
        })
    };
    of(&["INFO", "everything"])
        .or_else(|| of(&["CLUSTER", "INFO"]))
        .or_else(|| counters::of(world, proc, field))
}

/// What a server would answer now, as redis-cli prints it into a pipe.
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
    // Higher than any that a World gives.
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
    let mut lines = Vec::new();
    flatten(&value, &mut lines);
    Some(lines.join("\n"))
}

/// A value as lines of text.
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
