//! A world with random faults, and its invariants.

use std::time::Duration;

use limpid_core::lab::{Traffic, programs, sandbox};
use limpid_core::rng::Rng;
use limpid_core::sim::{Action, Future, Session, World};
use limpid_core::time::Mono;

/// How long faults are injected.
const TROUBLE: Duration = Duration::from_secs(20);

/// How long the world may take to recover: longer than the timeouts of its TCP.
const RECOVERY: Duration = Duration::from_secs(60);

/// The result of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The virtual time that was simulated, including replays.
    pub virtual_time: Duration,
    /// The trace hash.
    pub hash: u64,
}

/// Runs a world of this seed. The error says which invariant failed.
///
/// The invariants: after all faults have ended, every client is served again; a rewind and a replay
/// change nothing; and the same actions with the same seed give the same world.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let mut rng = Rng::new(seed);
    let servers = 1 + rng.below(5) as u8;
    let mut session = Session::new(sandbox(servers), seed, programs);
    let hosts: Vec<String> = session.world().hosts().map(|host| host.name.to_owned()).collect();

    while session.now() < Mono::ZERO + TROUBLE {
        let pause = Duration::from_millis(1 + rng.below(800));
        session.advance(session.now() + pause, u64::MAX);
        let line = fault(&mut rng, &hosts, session.world());
        // Actions may be refused, for instance a crash of a host that is down.
        let _ = session.act(action(&line)?, Future::Discard);
    }
    mend(&mut session, &hosts)?;
    let before = served(session.world());
    let end = session.now() + RECOVERY;
    session.advance(end, u64::MAX);
    for ((name, was), (_, is)) in before.iter().zip(served(session.world())) {
        if is <= *was {
            return Err(format!("{name} is not served again after everything was mended"));
        }
    }

    let hash = session.world().trace_hash();
    let record = session.record();
    let back = Duration::from_nanos(rng.below(end.0));
    session.seek(Mono::ZERO + back);
    session.seek(end);
    if session.world().trace_hash() != hash {
        return Err(format!("going back to {back:?} and forward again gives another world"));
    }
    let mut again = Session::from_record(record, programs);
    again.advance(end, u64::MAX);
    if again.world().trace_hash() != hash {
        return Err("the same seed and actions give another world".into());
    }
    let once = end.since(Mono::ZERO);
    Ok(Outcome { virtual_time: once * 2 + (once - back), hash })
}

/// A random fault or repair, as a typed action.
fn fault(rng: &mut Rng, hosts: &[String], world: &World) -> String {
    let mut host = || &hosts[rng.below(hosts.len() as u64) as usize];
    let (a, b) = (host(), host());
    let ms = 1 + rng.below(300);
    match rng.below(20) {
        0 => format!("crash {a}"),
        1 => format!("restart {a}"),
        2 => format!("restart {a} --no-disk"),
        3 => format!("pause {a}"),
        4 => format!("resume {a}"),
        5 => format!("kill {a}"),
        6 => format!("stop {a}"),
        7 => format!("start {a}"),
        8 => format!("partition {a}"),
        9 => format!("partition {a} | {b}"),
        10 => format!("partition-oneway {a} | {b}"),
        11 => "heal".into(),
        12 => format!("latency {a} {b} {ms}ms {}ms", ms / 2),
        13 => format!("loss {a} {b} {}%", rng.below(40)),
        14 => format!("bandwidth {a} {b} {}kbit", 8 + rng.below(1_000)),
        15 => format!("skew {a} +{}s", rng.below(100)),
        16 => format!("disk {a} {}", ["full", "fail-syncs", "ok"][rng.below(3) as usize]),
        n => {
            let flying: Vec<_> = world.in_flight().map(|message| message.id).collect();
            if flying.is_empty() {
                return "heal".into();
            }
            let message = flying[rng.below(flying.len() as u64) as usize];
            match n {
                17 => format!("drop {message}"),
                18 => format!("delay {message} {ms}ms"),
                _ => format!("duplicate {message}"),
            }
        }
    }
}

/// Ends all faults and starts everything again.
fn mend(session: &mut Session, hosts: &[String]) -> Result<(), String> {
    let everywhere = ["heal", "loss * * 0%", "latency * * 1ms 0ms", "bandwidth * * unlimited"];
    let mut lines: Vec<String> = everywhere.map(str::to_owned).to_vec();
    for host in hosts {
        lines.extend(["disk {} ok", "skew {} +0s", "resume {}"].map(|act| act.replace("{}", host)));
    }
    act_all(session, &lines)?;
    // A server that is shutting down must end before it can be started again.
    session.advance(session.now() + Duration::from_secs(15), u64::MAX);
    let up = |host: &String| {
        let on = session.world().host_named(host).is_some_and(|host| host.on);
        format!("{} {host}", if on { "start" } else { "restart" })
    };
    let lines: Vec<String> = hosts.iter().map(up).collect();
    act_all(session, &lines)
}

/// Carries out actions; refusals are ignored, since a running process can be neither resumed nor
/// started.
fn act_all(session: &mut Session, lines: &[String]) -> Result<(), String> {
    for line in lines {
        let _ = session.act(action(line)?, Future::Discard);
    }
    Ok(())
}

fn action(line: &str) -> Result<Action, String> {
    line.parse().map_err(|error| format!("`{line}` is no action: {error}"))
}

/// The number of replies that each client has got.
fn served(world: &World) -> Vec<(String, u64)> {
    let clients = world.procs().filter_map(|proc| {
        let traffic = world.machine::<Traffic>(proc.id)?;
        Some((proc.name.to_owned(), traffic.client().stats().replies))
    });
    clients.collect()
}
