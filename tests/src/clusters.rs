//! Worlds with a cluster of 6 to 40 nodes under traffic, in which slots move and replicas take over
//! during random faults of hosts, links, clocks and processes, and their invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use limpid_core::cluster::{Cluster, SlotSet};
use limpid_core::lab::{ClusterTraffic, busy_cluster, programs};
use limpid_core::rng::Rng;
use limpid_core::server::Server;
use limpid_core::sharding::Slot;
use limpid_core::sim::{Action, Plain, ProcId, ProcState, Scenario, World};
use limpid_core::store::{StringRef, ValueRef};

/// The number of steps: faults, repairs, and moves of slots.
const STEPS: u64 = 24;

/// How long two masters may both serve a slot: until the one that is cut off from the majority
/// stops (`cluster-node-timeout`, 3 s), and until nodes that are connected again have exchanged
/// messages.
const OVERLAP: Duration = Duration::from_secs(9);

/// How often the owners of slots are checked, in virtual time.
const LOOK: Duration = Duration::from_millis(500);

/// How long the nodes may take to agree after all faults have ended: TCP connections time out,
/// votes are delayed, and the tool has to close open slots, possibly in several runs.
const RECOVERY: Duration = Duration::from_secs(180);

/// How long a node that was told to end, and goes on meanwhile, may take to do so.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

/// How many replies each client must get in the end, and how soon.
const SERVED: u64 = 5;
const SERVED_WITHIN: Duration = Duration::from_secs(10);

/// The result of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The virtual time that was simulated.
    pub virtual_time: Duration,
    /// The number of failovers.
    pub failovers: u64,
    /// The number of slots that changed owner.
    pub moved: u64,
    /// Replies that the clients got.
    pub replies: u64,
    /// Keys whose owner has the last acknowledged write, or a later one.
    pub kept: u64,
}

/// The random parameters of a world.
#[derive(Debug, Clone, Copy)]
struct Plan {
    primaries: u8,
    /// The number of replicas of each primary.
    replicas: u8,
    /// Whether there are faults of nodes, links and clocks. Otherwise only the tools are
    /// interrupted.
    nodes_fail: bool,
    /// Whether slots move key by key (MIGRATE), as between nodes of Redis, or as a whole.
    by_key: bool,
    /// Whether a client counts a write as acknowledged only when all replicas of the primary have
    /// it (WAIT), and the nodes reply only when it is on disk (`appendfsync always`).
    confirms: bool,
}

impl Plan {
    fn draw(rng: &mut Rng) -> Plan {
        let (primaries, replicas) = match rng.below(40) {
            0 => (20, 1),
            1..=3 => (3, 2),
            4..=9 => (4 + rng.below(3) as u8, 1),
            _ => (3, 1),
        };
        let (nodes_fail, by_key, confirms) = (rng.chance(0.7), rng.chance(0.3), rng.chance(0.5));
        // MIGRATE deletes a key once the target has it, even if the target's replica does not: a
        // write confirmed by WAIT could be lost with the target, as in Redis.
        let confirms = confirms && !(nodes_fail && by_key);
        Plan { primaries, replicas, nodes_fail, by_key, confirms }
    }

    /// Whether a move is ended and repaired before the next one, since two at a time might lose
    /// keys even without other faults.
    fn is_tidy(self) -> bool {
        self.by_key && !self.nodes_fail
    }

    fn scenario(self) -> Scenario {
        let mut scenario = busy_cluster(self.primaries, self.replicas);
        let mut conf = String::new();
        if self.by_key {
            conf.push_str("user default on nopass ~* &* +@all -cluster|migrateslots\n");
        }
        if self.confirms {
            // No replica migration, since WAIT would not wait for a replica that moves to another
            // primary.
            conf.push_str("appendfsync always\ncluster-allow-replica-migration no\n");
        }
        for host in &mut scenario.hosts {
            if let Some(text) = host.files.get_mut("/data/redis.conf") {
                text.push_str(&conf);
            } else if self.confirms && host.name == "app-1" {
                let wait = ["--wait".to_owned(), self.replicas.to_string()];
                host.processes.iter_mut().for_each(|client| client.args.extend(wait.clone()));
            }
        }
        scenario
    }
}

/// Runs a world of this seed. The error says which invariant failed.
///
/// The invariants: two masters do not both serve a slot for longer than `OVERLAP`; no reply is
/// wrong; no acknowledged write is lost in a world without failing nodes, wherever a resharding was
/// interrupted, and in any world no write that WAIT has confirmed; and after all faults have ended,
/// all nodes agree on one owner of every slot, no other node has keys of it, replicas follow, and
/// the clients are served.
///
/// In most worlds several tools may move slots at the same time, also in opposite directions, which
/// is not supported when slots move key by key. As with Redis, a slot may then end up without an
/// owner: the target of a move gets it by `SETSLOT` without a new epoch, since its epoch is the
/// highest that it knows, while the source has got a higher one by another move and takes the slot
/// back until it gets `SETSLOT`, too. So in the end `fix` is run and its proposals are accepted. In
/// worlds without failing nodes where slots move key by key, this is done after each interrupted
/// move.
pub fn run(seed: u64) -> Result<Outcome, String> {
    play(seed, false)
}

/// The same, printing every action and the nodes' log lines with the virtual time.
pub fn show(seed: u64) -> Result<Outcome, String> {
    play(seed, true)
}

fn play(seed: u64, shows: bool) -> Result<Outcome, String> {
    let mut rng = Rng::new(seed ^ 0xc1_057e);
    let plan = Plan::draw(&mut rng);
    let world = World::new(Arc::new(plan.scenario()), seed, programs);
    let mut trial = Trial::new(world, plan, shows);
    if shows {
        println!("{plan:?}");
    }
    trial.run_for(Duration::from_secs(4))?;
    for _ in 0..STEPS {
        let line = match rng.below(11) {
            0..=2 => trial.resharding(&mut rng)?,
            3 => trial.interruption(),
            4 => trial.failover(&mut rng)?,
            _ if plan.nodes_fail => Some(fault(&mut rng, &trial.hosts)),
            _ => trial.resharding(&mut rng)?,
        };
        if let Some(line) = line {
            trial.act(&line)?;
        }
        trial.run_for(Duration::from_millis(1 + rng.below(2_500)))?;
    }
    trial.mend()?;
    trial.agree()?;
    trial.judge_clients()?;
    let replies = trial.clients().map(|client| client.stats().traffic.replies).sum();
    let kept = trial.all_is_kept()?;
    let virtual_time = trial.world.now().since(Default::default());
    Ok(Outcome { virtual_time, failovers: trial.failovers, moved: trial.moved, replies, kept })
}

struct Trial {
    world: World,
    plan: Plan,
    /// Whether events are printed.
    shows: bool,
    hosts: Vec<String>,
    nodes: Vec<ProcId>,
    clients: Vec<ProcId>,
    /// Hosts whose node was told to end and has not been started since.
    ending: BTreeSet<String>,
    /// The number of tool runs so far.
    tools: u64,
    /// How long each slot has been served by two masters.
    shared: BTreeMap<u16, Duration>,
    /// The slots that each node served at its last check.
    served: Vec<SlotSet>,
    failovers: u64,
    moved: u64,
    /// The position up to which each node's log has been read.
    read: BTreeMap<ProcId, u64>,
}

impl Trial {
    fn new(world: World, plan: Plan, shows: bool) -> Self {
        let named = |begin: &str| {
            let procs = world.procs().filter(move |proc| proc.name.starts_with(begin));
            procs.map(|proc| proc.id).collect::<Vec<_>>()
        };
        let nodes = named("node-");
        let hosts = world.hosts().map(|host| host.name.to_owned());
        Trial {
            plan,
            shows,
            hosts: hosts.filter(|name| name.starts_with("node-")).collect(),
            served: vec![SlotSet::new(); nodes.len()],
            nodes,
            clients: ["app-1", "plain-1"].iter().flat_map(|name| named(name)).collect(),
            ending: BTreeSet::new(),
            tools: 0,
            shared: BTreeMap::new(),
            failovers: 0,
            moved: 0,
            read: BTreeMap::new(),
            world,
        }
    }

    fn server(&self, id: ProcId) -> Option<&Server> {
        self.world.machine::<Plain<Server>>(id).map(|plain| &plain.0)
    }

    /// The cluster state of each running node, with its index in `nodes`.
    fn members(&self) -> impl Iterator<Item = (usize, &Cluster)> {
        let running =
            |id: ProcId| self.world.proc(id).is_some_and(|p| p.state == ProcState::Running);
        let nodes = self.nodes.iter().enumerate().filter(move |(_, id)| running(**id));
        nodes.filter_map(|(place, id)| Some((place, self.server(*id)?.cluster()?)))
    }

    fn clients(&self) -> impl Iterator<Item = &limpid_core::client::ClusterTraffic> {
        let clients = self.clients.iter();
        clients.filter_map(|id| Some(self.world.machine::<ClusterTraffic>(*id)?.client()))
    }

    fn act(&mut self, line: &str) -> Result<(), String> {
        let action: Action = line.parse().map_err(|error| format!("`{line}`: {error}"))?;
        if self.shows {
            println!("{} {line}", self.seconds());
        }
        // A refused action, such as killing a process that does not run, is no failure.
        if self.world.apply(&action).is_ok() {
            match action {
                Action::Stop { target } => drop(self.ending.insert(target)),
                Action::Start { target } => drop(self.ending.remove(&target)),
                Action::Restart { host, .. } => drop(self.ending.remove(&host)),
                _ => {}
            }
        }
        Ok(())
    }

    fn run_for(&mut self, time: Duration) -> Result<(), String> {
        let end = self.world.now() + time;
        while self.world.now() < end {
            let step = LOOK.min(end.since(self.world.now()));
            self.world.run_for(step);
            self.look(step)?;
        }
        Ok(())
    }

    /// Checks the owners of slots: two masters must not share one for long.
    fn look(&mut self, since_last: Duration) -> Result<(), String> {
        let serving = |(_, node): &(usize, &Cluster)| node.is_up() && !node.is_replica();
        let masters: Vec<(usize, SlotSet)> = self
            .members()
            .filter(serving)
            .map(|(place, node)| (place, node.my_slots().clone()))
            .collect();
        let mut shared: BTreeMap<u16, (usize, usize)> = BTreeMap::new();
        for (at, (a, slots)) in masters.iter().enumerate() {
            for (b, others) in &masters[..at] {
                for slot in slots.without(&slots.without(others)).iter() {
                    shared.insert(slot.number(), (*b, *a));
                }
            }
        }
        self.shared.retain(|slot, _| shared.contains_key(slot));
        for (slot, (a, b)) in shared {
            let time = self.shared.entry(slot).or_default();
            *time += since_last;
            if *time > OVERLAP {
                let (a, b) = (self.name(a), self.name(b));
                return Err(format!("{a} and {b} have both served slot {slot} for {OVERLAP:?}"));
            }
        }
        for (place, slots) in masters {
            for slot in slots.without(&self.served[place]).iter() {
                let others = self.served.iter_mut().filter(|served| served.contains(slot));
                self.moved += others.map(|served| u64::from(served.remove(slot))).sum::<u64>();
                self.served[place].insert(slot);
            }
        }
        for id in &self.nodes {
            let Some(log) = self.world.log(*id) else { continue };
            let from = self.read.insert(*id, log.next()).unwrap_or(0);
            if self.shows {
                let name = self.world.proc(*id).map_or("?", |proc| proc.name);
                let at = self.seconds();
                log.since(from).for_each(|entry| println!("{at} {name} {}", entry.text));
            }
            let won = |entry: &&limpid_core::sim::LogEntry| {
                entry.text.starts_with("Failover election won")
            };
            self.failovers += log.since(from).filter(won).count() as u64;
        }
        Ok(())
    }

    fn seconds(&self) -> String {
        format!("{:9.3}", self.world.now().since(Default::default()).as_secs_f64())
    }

    fn name(&self, place: usize) -> &str {
        self.hosts.get(place).map_or("?", String::as_str)
    }

    /// The action that starts a resharding on the host of the first client.
    fn resharding(&mut self, rng: &mut Rng) -> Result<Option<String>, String> {
        self.tidy_up()?;
        let masters: Vec<(usize, String)> = self
            .members()
            .filter(|(_, node)| !node.is_replica() && !node.my_slots().is_empty())
            .map(|(place, node)| (place, node.my_id().to_string()))
            .collect();
        if masters.len() < 2 {
            return Ok(None);
        }
        let from = rng.below(masters.len() as u64) as usize;
        let to = (from + 1 + rng.below(masters.len() as u64 - 1) as usize) % masters.len();
        let slots = 1 + rng.below(400);
        self.tools += 1;
        Ok(Some(format!(
            "run app-1 tool-{} redis-trib.rb reshard --from {} --to {} --slots {slots} --yes {}:6379",
            self.tools,
            masters[from].1,
            masters[to].1,
            self.address(masters[to].0)
        )))
    }

    /// Ends the move in progress and repairs its effects, if [`Plan::is_tidy`].
    fn tidy_up(&mut self) -> Result<(), String> {
        if let Some(line) = self.interruption().filter(|_| self.plan.is_tidy()) {
            self.act(&line)?;
            self.fix()?;
        }
        Ok(())
    }

    /// Starts a manual failover of a replica.
    fn failover(&mut self, rng: &mut Rng) -> Result<Option<String>, String> {
        self.tidy_up()?;
        let replicas = self.members().filter(|(_, node)| node.is_replica());
        let places: Vec<usize> = replicas.map(|(place, _)| place).collect();
        let any = rng.below(places.len().max(1) as u64) as usize;
        let Some(place) = places.get(any).copied() else { return Ok(None) };
        let at = self.address(place);
        self.tools += 1;
        let tool = self.tools;
        Ok(Some(format!("run app-1 tool-{tool} redis-cli -h {at} cluster failover")))
    }

    /// The action that kills the last tool, in whatever state it is.
    fn interruption(&self) -> Option<String> {
        (self.tools > 0).then(|| format!("kill tool-{}", self.tools))
    }

    fn address(&self, place: usize) -> String {
        let host = self.world.host_named(self.name(place));
        host.map(|host| host.ip.to_string()).unwrap_or_default()
    }

    /// Ends all faults and starts everything again.
    fn mend(&mut self) -> Result<(), String> {
        for line in ["heal", "loss * * 0%", "latency * * 1ms 0ms"] {
            self.act(line)?;
        }
        for host in self.hosts.clone() {
            for act in ["skew {} +0s", "resume {}"] {
                self.act(&act.replace("{}", &host))?;
            }
        }
        // A process that is shutting down must end before it can be started again.
        self.run_for(Duration::from_secs(10))?;
        self.wait_for_ends()?;
        for host in self.hosts.clone() {
            let on = self.world.host_named(&host).is_some_and(|host| host.on);
            self.act(&format!("{} {host}", if on { "start" } else { "restart" }))?;
        }
        if let Some(line) = self.interruption() {
            self.act(&line)?;
        }
        Ok(())
    }

    /// Waits until the nodes that were told to end have ended, so that they can be started: one that is frozen
    /// hears of it when it goes on, and a primary gives its replicas time first (`shutdown-timeout`).
    fn wait_for_ends(&mut self) -> Result<(), String> {
        let end = self.world.now() + ENDED_WITHIN;
        while let Some(host) = self.ending.iter().find(|host| self.runs_on(host)) {
            if self.world.now() >= end {
                return Err(format!("{host} has not ended {ENDED_WITHIN:?} after it was told to"));
            }
            self.run_for(LOOK)?;
        }
        Ok(())
    }

    /// Whether the node of a host runs.
    fn runs_on(&self, host: &str) -> bool {
        self.hosts.iter().zip(&self.nodes).any(|(name, id)| {
            name == host && self.world.proc(*id).is_some_and(|p| p.state == ProcState::Running)
        })
    }

    /// Waits until all nodes agree. The tool's `fix` closes open slots and assigns slots without an
    /// owner; its questions are answered.
    fn agree(&mut self) -> Result<(), String> {
        let end = self.world.now() + RECOVERY;
        let mut next_fix = self.world.now() + Duration::from_secs(20);
        while let Err(what) = self.agreement() {
            if self.world.now() > end {
                return Err(format!("{what}, {RECOVERY:?} after everything was mended"));
            }
            if self.world.now() > next_fix {
                next_fix = self.world.now() + Duration::from_secs(30);
                self.fix()?;
            }
            self.run_for(LOOK)?;
        }
        Ok(())
    }

    fn fix(&mut self) -> Result<(), String> {
        self.tools += 1;
        let (terminal, at) = (format!("fix-{}", self.tools), self.address(0));
        self.act(&format!("login app-1 {terminal}"))?;
        self.run_for(LOOK)?;
        self.act(&format!("type {terminal} redis-trib.rb fix {at}:6379; echo fixed"))?;
        // The tool asks separately for slots without keys, with keys at one node, and with keys at
        // several nodes, and waits for each answer.
        for _ in 0..60 {
            self.run_for(Duration::from_millis(200))?;
            let tty = self.world.tty_named(&terminal).ok_or("nobody can log in")?;
            let text = tty.text();
            if text.lines().any(|line| line == "fixed") {
                break;
            }
            if text.trim_end().ends_with("(type 'yes' to accept):") {
                self.act(&format!("type {terminal} yes"))?;
            }
        }
        if self.shows {
            let tty = self.world.tty_named(&terminal);
            println!("{}", tty.map(|tty| tty.text()).unwrap_or_default());
            for (place, node) in self.members() {
                println!("{}\n{}", self.name(place), node.nodes_text());
            }
        }
        Ok(())
    }

    /// Checks that all nodes run and agree, and have only keys of their own slots.
    fn agreement(&self) -> Result<(), String> {
        let members: Vec<(usize, &Cluster)> = self.members().collect();
        if members.len() < self.nodes.len() {
            return Err(format!("{} of {} nodes run", members.len(), self.nodes.len()));
        }
        let (_, first) = members[0];
        for (place, node) in &members {
            let name = self.name(*place);
            if !node.is_up() {
                return Err(format!("{name} refuses clients"));
            }
            if node.known_nodes() != self.nodes.len() {
                return Err(format!("{name} knows {} nodes", node.known_nodes()));
            }
            if let Some((slot, ..)) = node.open_slot_views().first() {
                return Err(format!("slot {} of {name} is open", slot.number()));
            }
            let server = self.server(self.nodes[*place]).ok_or("a node is gone")?;
            if node.is_replica()
                && server.replication_view().primary.is_none_or(|primary| primary.down.is_some())
            {
                return Err(format!("{name} does not follow its master"));
            }
        }
        // Checked last, since it takes longest.
        for (place, node) in &members {
            let name = self.name(*place);
            let server = self.server(self.nodes[*place]).ok_or("a node is gone")?;
            for slot in Slot::all() {
                let owner = node.owner_of(slot);
                if owner.is_none() || owner != first.owner_of(slot) {
                    return Err(format!("{name} knows another owner of slot {}", slot.number()));
                }
                let keys = server.keyspace().count_in_slot(slot);
                if keys > 0 && !node.is_replica() && owner != Some(node.my_id()) {
                    return Err(format!("{name} holds {keys} keys of slot {}", slot.number()));
                }
            }
        }
        Ok(())
    }

    /// Checks that every owner has the acknowledged writes that must not be lost. Returns the
    /// number of their keys.
    fn all_is_kept(&self) -> Result<u64, String> {
        let client = self.clients().next().ok_or("the client is gone")?;
        if self.plan.nodes_fail && !self.plan.confirms {
            return Ok(0);
        }
        for (key, acknowledged) in client.acknowledged() {
            let slot = Slot::of(key.as_bytes());
            let owner = self.members().find(|(_, node)| node.owns(slot));
            let (place, _) = owner.ok_or_else(|| format!("nobody owns slot {slot}"))?;
            let server = self.server(self.nodes[place]).ok_or("a node is gone")?;
            let entry = server.keyspace().peek(0, key.as_bytes());
            let value = match entry.map(|entry| entry.value()) {
                Some(ValueRef::String(StringRef::Bytes(bytes))) => bytes,
                _ => &[],
            };
            let value = String::from_utf8_lossy(value);
            let number = value.split_once('=').and_then(|(_, number)| number.parse::<u64>().ok());
            if number.is_none_or(|number| number < acknowledged) {
                let name = self.name(place);
                return Err(format!(
                    "write {acknowledged} of {key} (slot {slot}) was acknowledged, and {name} has {value:?}"
                ));
            }
        }
        Ok(client.acknowledged().count() as u64)
    }

    /// Checks that the clients are served, and got no wrong reply.
    fn judge_clients(&mut self) -> Result<(), String> {
        let replies = |trial: &Self| -> Vec<u64> {
            trial.clients().map(|client| client.stats().traffic.replies).collect()
        };
        let before = replies(self);
        let end = self.world.now() + SERVED_WITHIN;
        let is_served = |trial: &Self| {
            let now = replies(trial);
            let served = |(now, before): (&u64, &u64)| *now >= before + SERVED;
            now.len() >= 2 && now.iter().zip(&before).all(served)
        };
        while !is_served(self) {
            if self.world.now() >= end {
                return Err("a client is not served although all nodes agree".into());
            }
            self.run_for(LOOK)?;
        }
        for client in self.clients() {
            let stats = client.stats();
            if stats.wrong > 0 {
                return Err(format!("{} replies were wrong", stats.wrong));
            }
            if !self.plan.nodes_fail && stats.gone > 0 {
                return Err(format!("{} acknowledged writes are gone", stats.gone));
            }
            if !self.plan.nodes_fail && stats.traffic.errors > 0 {
                let error = stats.traffic.last_error.as_deref().unwrap_or_default();
                return Err(format!("{} commands failed: {error}", stats.traffic.errors));
            }
        }
        Ok(())
    }
}

/// A random fault or repair of a node or its links, as a typed action.
fn fault(rng: &mut Rng, hosts: &[String]) -> String {
    let mut host = || &hosts[rng.below(hosts.len() as u64) as usize];
    let (a, b, c) = (host(), host(), host());
    match rng.below(22) {
        0 => format!("crash {a}"),
        1 | 2 => format!("restart {a}"),
        3 => format!("kill {a}"),
        4 => format!("stop {a}"),
        5..=7 => format!("start {a}"),
        8 => format!("pause {a}"),
        9 | 10 => format!("resume {a}"),
        11 => format!("partition {a}"),
        12 => format!("partition {a},{b}"),
        13 => format!("partition {a} | {b},{c}"),
        14 => format!("partition-oneway {a} | {b}"),
        15..=17 => "heal".into(),
        18 => format!("latency {a} {b} {}ms 50ms", 1 + rng.below(2_000)),
        19 => format!("loss {a} {b} {}%", rng.below(30)),
        20 => format!("skew {a} +{}s", rng.below(100)),
        _ => "latency * * 1ms 0ms".into(),
    }
}
