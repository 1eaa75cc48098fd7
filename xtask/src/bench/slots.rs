//! Measures how long it takes to move 100 slots with all their keys, and starts servers in cluster
//! mode.
//!
//! Each program uses its own tool. Limpid's moves slots as a whole between nodes of Limpid, and
//! with MIGRATE if the other node is Redis.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::failover::{Kind, Node, free_port, until};
use super::server::{Server, encode};
use super::verdict::{Findings, Ratio};
use super::{Programs, order_of};

/// The number of slots that move.
const SLOTS: usize = 100;

/// The number of keys that are sent before replies are read.
const BATCH: u64 = 1_000;

/// The longest time, as a multiple of Redis's: between nodes of Limpid, and from a node of Limpid
/// to one of Redis.
const GOALS: [f64; 2] = [0.5, 1.0];

/// Prints how long it takes to move 100 slots with `keys` keys. Returns the rows that missed their
/// goal.
pub(super) fn moved(programs: &Programs, keys: u64, rounds: usize) -> Result<Findings> {
    let mut found = Findings::default();
    println!(
        "\n{SLOTS} slots with {keys} keys move to another node, in {rounds} rounds\n\
         {:28} {:>8} {:>8} {:>6} {:>6}",
        "", "Limpid", "Redis", "ratio", "goal"
    );
    for (target, goal) in GOALS.into_iter().enumerate() {
        let name = ["slots: to its like", "slots: to Redis"][target];
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            for which in order_of(round) {
                // Redis only moves slots to Redis.
                let to = if which == 0 { target } else { 1 };
                let kinds = [Kind::of(programs, which), Kind::of(programs, to)];
                let took = once(programs, which, &kinds, keys).with_context(|| name.to_owned())?;
                times[which].push(took.as_secs_f64());
            }
        }
        let [limpid, redis] = times.map(|times| Ratio::of(&times));
        let ratio = limpid.median / redis.median;
        let verdict = Ratio::of(&[ratio]).against(goal);
        let row = format!("{name}, median, s");
        println!(
            "{row:28} {:>8.2} {:>8.2} {ratio:>6.2} {goal:>6.2}{}",
            limpid.median,
            redis.median,
            verdict.mark()
        );
        found.note(name, verdict);
    }
    Ok(found)
}

/// Moves the slots once, with the tool of the program `which`.
fn once(programs: &Programs, which: usize, kinds: &[Kind; 2], keys: u64) -> Result<Duration> {
    let options = ["--cluster-enabled", "yes", "--cluster-allow-replica-migration", "no"];
    let options = [&options[..], &["--save", "", "--appendonly", "no"]].concat();
    let [source, target] = kinds;
    // The third node owns the slots that do not move.
    let nodes = [source, target, target].map(|kind| Node::start(kind, "", &options));
    let [source, target, other] = nodes;
    let (source, target, other) = (source?, target?, other?);
    let tags = some_tags(&source)?;
    let moving: Vec<String> = tags.iter().map(|(slot, _)| slot.to_string()).collect();
    let staying: Vec<String> = (0..16_384_u16)
        .filter(|slot| !tags.iter().any(|(moving, _)| moving == slot))
        .map(|slot| slot.to_string())
        .collect();
    for (epoch, (node, slots)) in [(&source, &moving), (&other, &staying)].into_iter().enumerate() {
        node.call(&["CLUSTER", "SET-CONFIG-EPOCH", &(epoch + 1).to_string()])?;
        let words: Vec<&str> =
            ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
        node.call(&words)?;
    }
    target.call(&["CLUSTER", "SET-CONFIG-EPOCH", "3"])?;
    let nodes = [&source, &target, &other];
    let port = source.port.to_string();
    until("all to have met", || {
        let mut ready = true;
        for node in nodes {
            let met = node.cluster_info("cluster_known_nodes:3")?;
            if !met && node.port != source.port {
                node.call(&["CLUSTER", "MEET", "127.0.0.1", &port])?;
            }
            ready &= met && node.cluster_info("cluster_state:ok")?;
        }
        Ok(ready)
    })?;
    fill(&source, &tags, keys)?;
    let id = |node: &Node| node.call(&["CLUSTER", "MYID"]).map(|words| words.concat());
    let mut tool = match which {
        0 => {
            let mut tool = Command::new(&programs.limpid);
            tool.arg("cli");
            tool
        }
        _ => Command::new("redis-cli"),
    };
    let at = format!("127.0.0.1:{}", source.port);
    tool.args(["--cluster", "reshard", &at, "--cluster-from", &id(&source)?]);
    tool.args(["--cluster-to", &id(&target)?, "--cluster-slots", &SLOTS.to_string()]);
    tool.arg("--cluster-yes").stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    let status = tool.status().context("cannot start the tool")?;
    let took = begin.elapsed();
    ensure!(status.success(), "the tool fails ({status})");
    let there = target.call(&["DBSIZE"])?.concat();
    ensure!(there == keys.to_string(), "{there} of {keys} keys have moved");
    Ok(took)
}

/// Hash tags, one for each slot that moves.
fn some_tags(node: &Node) -> Result<Vec<(u16, String)>> {
    let mut connection = node.connect()?;
    let mut tags: Vec<(u16, String)> = Vec::new();
    for n in 0_u32.. {
        if tags.len() == SLOTS {
            break;
        }
        let tag = format!("t{n}");
        let slot = connection.call(&["CLUSTER", "KEYSLOT", &tag])?.concat().parse()?;
        if tags.iter().all(|(other, _)| *other != slot) {
            tags.push((slot, tag));
        }
    }
    Ok(tags)
}

/// Sets `keys` keys with values of 64 bytes.
fn fill(node: &Node, tags: &[(u16, String)], keys: u64) -> Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, node.port))?;
    let value = [b'x'; 64];
    for first in (0..keys).step_by(BATCH as usize) {
        let mut requests = Vec::new();
        let many = BATCH.min(keys - first);
        for n in first..first + many {
            let (_, tag) = &tags[n as usize % tags.len()];
            encode(&mut requests, &[b"SET", format!("{{{tag}}}{n}").as_bytes(), &value]);
        }
        stream.write_all(&requests)?;
        let mut replies = vec![0; many as usize * b"+OK\r\n".len()];
        stream.read_exact(&mut replies)?;
        ensure!(replies.starts_with(b"+OK"), "{}", String::from_utf8_lossy(&replies));
    }
    Ok(())
}

/// Starts both servers in cluster mode, each with all slots.
pub(super) fn start_alone(programs: &Programs) -> Result<[Server; 2]> {
    let bus = free_port()?.to_string();
    let other_bus = free_port()?.to_string();
    let options = |bus| ["--cluster-enabled", "yes", "--cluster-port", bus];
    let limpid = [&["server"][..], &options(&bus)].concat();
    let servers = [
        Server::start(&programs.limpid, &limpid)?,
        Server::start(&programs.redis, &options(&other_bus))?,
    ];
    for server in &servers {
        server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])?;
        until("a cluster of one to work", || {
            Ok(server.ask(&["CLUSTER", "INFO"])?.contains("cluster_state:ok"))
        })?;
    }
    Ok(servers)
}
