//! A world of servers and Sentinels with random faults of hosts, links, clocks and disks, and its
//! invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use limpid_core::client::marks::has_bit;
use limpid_core::lab::{
    Link, SHELL, Terminal, Traffic, as_in_page, programs, sentinels, sentinels_on_servers,
};
use limpid_core::rng::Rng;
use limpid_core::sentinel::SentinelServer;
use limpid_core::server::Server;
use limpid_core::sim::{Action, Plain, ProcId, Record, Session, Timed, World};
use limpid_core::store::{StringRef, ValueRef};
use limpid_core::time::Mono;

/// The number of steps: faults and repairs.
const STEPS: u64 = 60;

/// How long the Sentinels may take to agree: TILT, a failover that is delayed because of the one
/// before, one that times out, and the timeouts of TCP.
const RECOVERY: Duration = Duration::from_secs(300);

/// The result of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The virtual time that was simulated.
    pub virtual_time: Duration,
    /// The number of elected leaders.
    pub elected: u64,
    /// The number of writes that both replicas acknowledged.
    pub confirmed: u64,
}

/// How many replicas must have a write before the writer counts it as confirmed: both, which is the
/// smallest majority of two.
const MAJORITY: u32 = 2;

/// Runs a world of this seed. The error says which invariant failed, and how to see it in the page.
///
/// The invariants: a Sentinel votes once per epoch, whatever happens to it; a failover needs the
/// votes of the majority, so there is at most one leader per epoch; and after all faults have ended
/// there is one master, all servers follow it, all Sentinels know it, and the writer, which asks
/// them, is served; and no write is missing that the replicas had acknowledged (WAIT), since with
/// `appendfsync always` they had it on disk.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let (topology, mut trial, mut rng) = Trial::of(seed);
    let outcome = trial.play(&mut rng);
    outcome.map_err(|what| {
        let actions = &trial.actions[..];
        let link = Link { topology, seed, at: trial.world.now(), actions };
        format!("{what}\nin the page (`cargo xtask run`): http://127.0.0.1:8080/#{link}")
    })
}

/// Whether the page can show the world of this seed: a session with the same actions has the same
/// trace.
pub fn is_replayed_by_a_session(seed: u64) -> bool {
    let (_, mut trial, mut rng) = Trial::of(seed);
    let scenario = (**trial.world.scenario()).clone();
    // The invariants may fail or hold; here only the trace matters.
    let _ = trial.play(&mut rng);
    let record = Record { seed, scenario, actions: trial.actions };
    let mut session = Session::from_record(record, programs);
    session.advance(trial.world.now(), u64::MAX);
    session.world().trace_hash() == trial.world.trace_hash()
}

struct Trial {
    world: World,
    /// The actions so far.
    actions: Vec<Timed>,
    hosts: Vec<String>,
    servers: Vec<ProcId>,
    sentinels: Vec<ProcId>,
    writer: ProcId,
    /// The position up to which each Sentinel's log has been read.
    read: BTreeMap<ProcId, u64>,
    /// The last epoch of each Sentinel.
    epochs: BTreeMap<ProcId, u64>,
    /// The vote of each Sentinel in each epoch.
    votes: BTreeMap<(ProcId, u64), String>,
    /// The elected leader of each epoch.
    leaders: BTreeMap<u64, ProcId>,
}

impl Trial {
    /// The world of a seed, with the page's name of its topology and the random generator.
    fn of(seed: u64) -> (&'static str, Self, Rng) {
        let mut rng = Rng::new(seed ^ 0x5e_471e1);
        let (topology, scenario) = match rng.chance(0.5) {
            true => ("sentinels-3", sentinels()),
            false => ("sentinels-5", sentinels_on_servers()),
        };
        let world = World::new(Arc::new(as_in_page(scenario)), seed, programs);
        (topology, Trial::new(world), rng)
    }

    fn new(world: World) -> Self {
        let names: Vec<(ProcId, String)> =
            world.procs().map(|proc| (proc.id, proc.name.to_owned())).collect();
        let of = |port: u16| {
            let end = move |name: &str| name.rsplit(':').next() == Some(&port.to_string());
            names.iter().filter(move |(_, name)| end(name)).map(|(id, _)| *id)
        };
        let hosts = world.hosts().map(|host| host.name.to_owned());
        let hosts = hosts.filter(|name| !name.starts_with("writer") && name != SHELL).collect();
        Trial {
            hosts,
            servers: of(6379).collect(),
            sentinels: of(26_379).chain(of(26_380)).collect(),
            writer: world.proc_named("writer-1").expect("a writer").id,
            read: BTreeMap::new(),
            epochs: BTreeMap::new(),
            votes: BTreeMap::new(),
            leaders: BTreeMap::new(),
            actions: Vec::new(),
            world,
        }
    }

    fn play(&mut self, rng: &mut Rng) -> Result<Outcome, String> {
        // Sentinels discover replicas by INFO, every ten seconds; a replica that none knows cannot
        // be reconfigured.
        self.run_for(Duration::from_secs(15))?;
        self.keep_what_is_acknowledged()?;
        for _ in 0..STEPS {
            let pause = 1 + rng.below(2_500);
            self.run_for(Duration::from_millis(pause))?;
            let line = fault(rng, &self.hosts);
            self.act(&line)?;
        }
        self.mend()?;
        self.agree()?;
        let confirmed = self.all_is_kept()?;
        let elected = self.leaders.len() as u64;
        let virtual_time = self.world.now().since(Default::default());
        Ok(Outcome { virtual_time, elected, confirmed })
    }

    /// Sets `appendfsync always` on every server, also for restarts, and makes the writer WAIT for
    /// replicas.
    fn keep_what_is_acknowledged(&mut self) -> Result<(), String> {
        for id in self.servers.clone() {
            let host = self.world.proc(id).and_then(|proc| self.world.host(proc.host));
            let host = host.map(|host| host.name.to_owned()).unwrap_or_default();
            let terminal = format!("always-{host}");
            self.act(&format!("run {SHELL} {terminal} redis-cli -h {host}"))?;
            self.run_for(Duration::from_millis(500))?;
            for line in ["CONFIG SET appendfsync always", "CONFIG REWRITE"] {
                self.act(&format!("type {terminal} {line}"))?;
                self.run_for(Duration::from_millis(500))?;
                let proc = self.world.proc_named(&terminal).ok_or("no terminal")?.id;
                let shown = self.world.machine::<Terminal>(proc).ok_or("no terminal")?.shown();
                let printed = shown.blocks.last().map_or("", |block| block.printed.as_str());
                if printed.trim_end() != "OK" {
                    return Err(format!("{host} answers {line} with {printed}"));
                }
            }
        }
        let writer = self.name(self.writer);
        self.act(&format!("type {writer} wait {MAJORITY}"))
    }

    /// Checks that no confirmed write is missing. Returns the number of these writes.
    fn all_is_kept(&self) -> Result<u64, String> {
        let traffic = self.world.machine::<Traffic>(self.writer).ok_or("the writer is gone")?;
        let marks = traffic.client().marks();
        let key = traffic.client().config().marks.as_ref().ok_or("the writer leaves no marks")?;
        let confirmed: Vec<u64> = (0..marks.sent).filter(|n| marks.is_confirmed(*n)).collect();
        for id in &self.servers {
            let server = self.world.machine::<Plain<Server>>(*id).ok_or("a server is down")?;
            let entry = server.0.keyspace().peek(0, key.as_bytes());
            let held: &[u8] = match entry.map(|entry| entry.value()) {
                Some(ValueRef::String(StringRef::Bytes(bytes))) => bytes,
                _ => &[],
            };
            let missing: Vec<&u64> = confirmed.iter().filter(|n| !has_bit(held, **n)).collect();
            if !missing.is_empty() {
                return Err(format!(
                    "{} of {} writes that {MAJORITY} replicas had acknowledged are missing on {}: \
                     {missing:?} of {key}",
                    missing.len(),
                    confirmed.len(),
                    self.name(*id)
                ));
            }
        }
        Ok(confirmed.len() as u64)
    }

    fn run_for(&mut self, time: Duration) -> Result<(), String> {
        self.world.run_for(time);
        self.read_logs()
    }

    fn act(&mut self, line: &str) -> Result<(), String> {
        let action: Action = line.parse().map_err(|error| format!("`{line}`: {error}"))?;
        // A refused action, such as killing a process that does not run, is no failure.
        if self.world.apply(&action).is_ok() {
            self.actions.push(Timed { at: self.world.now(), action });
        }
        Ok(())
    }

    /// Reads the new log lines of the Sentinels, and checks the invariants on votes and leaders.
    fn read_logs(&mut self) -> Result<(), String> {
        let mut lines = Vec::new();
        for id in &self.sentinels {
            let Some(log) = self.world.log(*id) else { continue };
            let from = self.read.insert(*id, log.next()).unwrap_or(0);
            lines.extend(log.since(from).map(|entry| (entry.at, *id, entry.text.clone())));
        }
        lines.sort_by_key(|(at, ..)| *at);
        // A vote is logged before it is sent, possibly at the same moment.
        let is_vote = |line: &str| line.starts_with("+vote-for-leader");
        for (_, id, line) in lines.iter().filter(|(.., line)| is_vote(line)) {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, leader, epoch] = words[..] else { return Err(format!("`{line}`")) };
            let epoch: u64 = epoch.parse().map_err(|_| format!("`{line}`"))?;
            let before = self.votes.insert((*id, epoch), leader.to_owned());
            if before.is_some() {
                let name = self.name(*id);
                return Err(format!(
                    "{name} voted twice in epoch {epoch}: {before:?} and {leader}"
                ));
            }
        }
        for (_, id, line) in &lines {
            if let Some(epoch) = line.strip_prefix("+new-epoch ") {
                self.epochs.insert(*id, epoch.parse().unwrap_or(0));
            } else if line.starts_with("+elected-leader") {
                self.elected(*id)?;
            }
        }
        Ok(())
    }

    fn elected(&mut self, id: ProcId) -> Result<(), String> {
        let name = self.name(id);
        let own = self.sentinel(id).map(|sentinel| sentinel.watch().id().to_owned());
        let Some(own) = own else { return Ok(()) };
        // It may have learned of a later epoch after it was elected in its own.
        let epoch = self.epochs.get(&id).copied().unwrap_or(0);
        let votes = |epoch: u64| {
            let of = self.votes.iter().filter(|((_, e), leader)| *e == epoch && **leader == own);
            of.count()
        };
        let needed = self.sentinels.len() / 2 + 1;
        let won = (1..=epoch).rev().find(|epoch| votes(*epoch) >= needed);
        let Some(won) = won else {
            return Err(format!("{name} leads in epoch {epoch} with {} votes", votes(epoch)));
        };
        match self.leaders.insert(won, id) {
            Some(other) if other != id => {
                Err(format!("{name} and {} lead in epoch {won}", self.name(other)))
            }
            _ => Ok(()),
        }
    }

    fn name(&self, id: ProcId) -> String {
        self.world.proc(id).map(|proc| proc.name.to_owned()).unwrap_or_default()
    }

    fn sentinel(&self, id: ProcId) -> Option<&SentinelServer> {
        self.world.machine::<Plain<SentinelServer>>(id).map(|plain| &plain.0)
    }

    /// Ends all faults and starts everything again.
    fn mend(&mut self) -> Result<(), String> {
        for line in ["heal", "loss * * 0%", "latency * * 1ms 0ms"] {
            self.act(line)?;
        }
        for host in self.hosts.clone() {
            for act in ["disk {} ok", "skew {} +0s", "resume {}"] {
                self.act(&act.replace("{}", &host))?;
            }
        }
        // A process that is shutting down must end before it can be started again.
        self.run_for(Duration::from_secs(15))?;
        for host in self.hosts.clone() {
            let on = self.world.host_named(&host).is_some_and(|host| host.on);
            self.act(&format!("{} {host}", if on { "start" } else { "restart" }))?;
        }
        Ok(())
    }

    /// Waits until all agree and the writer is served, and then until all agree again, since a
    /// failover that was decided just before the faults ended may come last.
    fn agree(&mut self) -> Result<(), String> {
        let end = self.world.now() + RECOVERY;
        self.until_agreement(end)?;
        let served = |trial: &Self| {
            let traffic = trial.world.machine::<Traffic>(trial.writer);
            traffic.map_or(0, |traffic| traffic.client().stats().replies)
        };
        let before = served(self);
        self.run_for(Duration::from_secs(10))?;
        if served(self) <= before {
            return Err("the writer is not served by the master that all agree on".into());
        }
        self.until_agreement(end)
    }

    fn until_agreement(&mut self, end: Mono) -> Result<(), String> {
        while let Err(what) = self.agreement() {
            if self.world.now() > end {
                let after = RECOVERY.as_secs();
                return Err(format!("{what}, {after} s after everything was mended"));
            }
            self.run_for(Duration::from_millis(500))?;
        }
        Ok(())
    }

    /// Checks that there is one master that all replicas follow and all Sentinels know.
    fn agreement(&self) -> Result<(), String> {
        let mut known = BTreeSet::new();
        for id in &self.sentinels {
            let view = self.sentinel(*id).ok_or_else(|| format!("{} is down", self.name(*id)))?;
            known.extend(view.view().masters.iter().map(|master| master.current.clone()));
        }
        let mut known = known.into_iter();
        let (Some(master), None) = (known.next(), known.next()) else {
            return Err("the Sentinels know of different masters".into());
        };
        for id in &self.servers {
            let name = self.name(*id);
            let server = self.world.machine::<Plain<Server>>(*id).map(|plain| &plain.0);
            let view = server.ok_or_else(|| format!("{name} is down"))?.replication_view();
            let proc = self.world.proc(*id).expect("known");
            let host = self.world.host(proc.host).expect("known");
            let address = format!("{}:6379", host.ip);
            match view.primary {
                None if address == master => {}
                None => return Err(format!("{name} is a master, and should follow {master}")),
                Some(_) if address == master => {
                    return Err(format!("{name} should be the master, and is a replica"));
                }
                Some(primary) => {
                    let follows = format!("{}:{}", primary.host, primary.port);
                    if follows != master || primary.down.is_some() {
                        let knows = |id: &&ProcId| {
                            let view = self.sentinel(**id).map(SentinelServer::view);
                            view.is_some_and(|view| {
                                let replicas = view.masters.iter().flat_map(|m| &m.replicas);
                                replicas.into_iter().any(|replica| replica.seen.name == address)
                            })
                        };
                        let known = self.sentinels.iter().filter(knows).count();
                        return Err(format!(
                            "{name} follows {follows}, and not {master}; {known} Sentinels know it"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// A random fault or repair, as a typed action.
fn fault(rng: &mut Rng, hosts: &[String]) -> String {
    let mut host = || &hosts[rng.below(hosts.len() as u64) as usize];
    let (a, b) = (host(), host());
    match rng.below(24) {
        0 | 1 => format!("crash {a}"),
        2..=4 => format!("restart {a}"),
        5 => format!("kill {a}"),
        6 => format!("stop {a}"),
        7..=9 => format!("start {a}"),
        10 => format!("pause {a}"),
        11 | 12 => format!("resume {a}"),
        13 => format!("partition {a}"),
        14 => format!("partition {a} | {b}"),
        15 => format!("partition-oneway {a} | {b}"),
        16..=18 => "heal".into(),
        // Sometimes longer than down-after-milliseconds.
        19 => format!("latency {a} {b} {}ms 50ms", 1 + rng.below(4_000)),
        20 => format!("loss {a} {b} {}%", rng.below(30)),
        21 => format!("skew {a} +{}s", rng.below(100)),
        22 => format!("disk {a} {}", ["full", "fail-syncs", "ok"][rng.below(3) as usize]),
        _ => "latency * * 1ms 0ms".into(),
    }
}
