//! A test network: nodes, their connections and their disks, in virtual time.

use std::collections::VecDeque;

use crate::cluster::state::{ManualFailover, Reset, SetSlot};
use crate::cluster::{Cluster, Effect, LinkId, Local, NodeId, NodesConf, Settings, SlotSet};
use crate::rng::Rng;
use crate::sharding::Slot;

pub(super) struct Net {
    now: u64,
    rng: Rng,
    hosts: Vec<Host>,
    wires: Vec<Wire>,
    /// Nodes on one side of a network partition.
    island: Vec<usize>,
    /// Nodes whose version does not send shard IDs.
    old: Vec<usize>,
}

struct Host {
    cluster: Cluster,
    alive: bool,
    ip: String,
    offset: u64,
    silence: u64,
    file: String,
    disk_stalled: bool,
    saving: VecDeque<String>,
    log: Vec<String>,
    paused: bool,
    published: Vec<Vec<u8>>,
}

/// A connection: for each end the node and its link ID.
struct Wire {
    ends: [(usize, LinkId); 2],
    /// Messages in flight: arrival time, receiving end, bytes.
    flight: VecDeque<(u64, usize, Vec<u8>)>,
}

/// One-way latency in milliseconds.
const LATENCY: u64 = 2;

pub(super) fn slots(numbers: impl IntoIterator<Item = u16>) -> SlotSet {
    numbers.into_iter().filter_map(Slot::new).collect()
}

/// Turns the shard extension into one of an unknown type.
fn leave_out_shard(message: &mut [u8], shard: NodeId) {
    let name = shard.as_bytes();
    let place = message.windows(name.len()).rposition(|window| window == name);
    // Before the ID: length (4), type (2), padding (2).
    if let Some(kind) = place.and_then(|at| message.get_mut(at - 4..at - 2)) {
        kind.copy_from_slice(&u16::MAX.to_be_bytes());
    }
}

impl Net {
    pub(super) fn new(count: usize, seed: u64, timeout: u64) -> Net {
        let mut rng = Rng::new(seed);
        let hosts = (0..count).map(|index| {
            let settings = Settings { node_timeout: timeout, ..Settings::default() };
            Host {
                cluster: Cluster::new(settings, rng.fork()),
                alive: true,
                ip: format!("10.0.0.{index}"),
                offset: 1,
                silence: 0,
                file: String::new(),
                disk_stalled: false,
                saving: VecDeque::new(),
                log: Vec::new(),
                paused: false,
                published: Vec::new(),
            }
        });
        let hosts = hosts.collect();
        Net { now: 1_000, rng, hosts, wires: Vec::new(), island: Vec::new(), old: Vec::new() }
    }

    /// A running cluster: primaries first, then replicas, assigned round-robin.
    pub(super) fn cluster(primaries: usize, replicas: usize, seed: u64, timeout: u64) -> Net {
        Net::cluster_with_old(primaries, replicas, seed, timeout, &[])
    }

    /// Like [`Net::cluster`], but some nodes do not send shard IDs.
    pub(super) fn cluster_with_old(
        primaries: usize,
        replicas: usize,
        seed: u64,
        timeout: u64,
        old: &[usize],
    ) -> Net {
        let mut net = Net::new(primaries + replicas, seed, timeout);
        net.old = old.to_vec();
        net.meet_all();
        let count = net.hosts.len();
        net.until("all know all", |net| net.nodes().all(|node| node.known_nodes() == count));
        net.assign_evenly(primaries);
        for replica in primaries..count {
            let master = net.node(replica % primaries).my_id();
            net.call(replica, |cluster, local| {
                cluster.replicate(local, master.as_bytes(), false).expect("an empty node");
            });
        }
        net.until("up", |net| net.nodes().all(|node| node.is_up()));
        net.until("roles are known", |net| {
            net.nodes().all(|node| {
                node.node_views().iter().filter(|view| view.replica).count() == replicas
            })
        });
        net.run(2_000);
        net
    }

    pub(super) fn node(&self, index: usize) -> &Cluster {
        &self.hosts[index].cluster
    }

    /// The nodes that are alive.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Cluster> {
        self.hosts.iter().filter(|place| place.alive).map(|place| &place.cluster)
    }

    pub(super) fn log_of(&self, index: usize) -> &[String] {
        &self.hosts[index].log
    }

    pub(super) fn file_of(&self, index: usize) -> String {
        self.hosts[index].file.clone()
    }

    /// Replaces the file of a stopped node.
    pub(super) fn write_file(&mut self, index: usize, change: impl FnOnce(&str) -> String) {
        self.hosts[index].file = change(&self.hosts[index].file);
    }

    pub(super) fn published(&self, index: usize) -> &[Vec<u8>] {
        &self.hosts[index].published
    }

    pub(super) fn writes_paused(&self, index: usize) -> bool {
        self.hosts[index].paused
    }

    pub(super) fn set_offset(&mut self, index: usize, offset: u64) {
        self.hosts[index].offset = offset;
        self.call(index, |cluster, local| cluster.offset_advanced(local));
    }

    pub(super) fn set_silence(&mut self, index: usize, silence: u64) {
        self.hosts[index].silence = silence;
    }

    pub(super) fn stop_disk(&mut self, index: usize) {
        self.hosts[index].disk_stalled = true;
    }

    pub(super) fn start_disk(&mut self, index: usize) {
        self.hosts[index].disk_stalled = false;
    }

    pub(super) fn change_ip(&mut self, index: usize, ip: &str) {
        self.hosts[index].ip = ip.to_owned();
    }

    pub(super) fn meet(&mut self, index: usize, other: usize) {
        let ip = self.hosts[other].ip.clone();
        self.call(index, |cluster, local| {
            cluster.meet(local, &ip, 6379, 16379).expect("a good address");
        });
    }

    pub(super) fn meet_all(&mut self) {
        (1..self.hosts.len()).for_each(|other| self.meet(0, other));
    }

    pub(super) fn assign_evenly(&mut self, primaries: usize) {
        let count = usize::from(Slot::COUNT);
        for index in 0..primaries {
            let range = (index * count / primaries)..((index + 1) * count / primaries);
            let slots = slots(range.map(|number| number as u16));
            self.call(index, |cluster, local| {
                cluster.add_slots(local, &slots).expect("free slots");
            });
        }
    }

    pub(super) fn failover(&mut self, index: usize, how: ManualFailover) {
        self.call(index, |cluster, local| cluster.failover(local, how).expect("a replica"));
    }

    pub(super) fn forget(&mut self, index: usize, id: NodeId) {
        self.call(index, |cluster, local| {
            cluster.forget(local, id.as_bytes()).expect("a known node");
        });
    }

    pub(super) fn reset(&mut self, index: usize, how: Reset) {
        self.call(index, |cluster, local| cluster.reset(local, how, false).expect("no keys"));
    }

    pub(super) fn publish(&mut self, index: usize, channel: &[u8], sharded: bool) {
        self.call(index, |cluster, local| cluster.publish(local, channel, b"", sharded));
    }

    pub(super) fn set_slot(
        &mut self,
        index: usize,
        slot: Slot,
        what: SetSlot<'_>,
        keys: usize,
    ) -> Result<(), String> {
        self.call(index, |cluster, local| cluster.set_slot(local, slot, what, keys))
    }

    /// Sends random bytes that look like a message, on a new connection.
    pub(super) fn inject(&mut self, index: usize, rng: &mut Rng) {
        use crate::cluster::bus::{Body, Greeting, Header, Message};
        let bodies = [
            Body::bare(Greeting::Ping),
            Body::bare(Greeting::Pong),
            Body::Fail(self.node(1).my_id()),
            Body::AuthRequest,
            Body::AuthAck,
            Body::ManualFailover,
            Body::Update {
                node: self.node(1).my_id(),
                config_epoch: rng.u64(),
                slots: slots(0..16384),
            },
        ];
        let header = Header {
            sender: Some(NodeId::random(rng)),
            current_epoch: rng.u64(),
            config_epoch: rng.u64(),
            slots: slots(0..16384),
            ..Header::default()
        };
        let body = bodies[rng.below(bodies.len() as u64) as usize].clone();
        let mut bytes = Message { header, body }.encode();
        if rng.chance(0.5) {
            let place = rng.below(bytes.len() as u64) as usize;
            // Leave the sender's ID that of an unknown node.
            if !(40..80).contains(&place) {
                bytes[place] = rng.u64() as u8;
            }
        }
        self.call(index, |cluster, local| {
            let link = cluster.accepted(local, "10.9.9.9".into(), "10.0.0.0".into());
            cluster.receive(local, link, &bytes);
            cluster.link_lost(local, link, "closed");
        });
    }

    pub(super) fn kill(&mut self, index: usize) {
        self.hosts[index].alive = false;
        let gone =
            self.wires.extract_if(.., |wire| wire.ends.iter().any(|(node, _)| *node == index));
        for wire in gone.collect::<Vec<_>>() {
            for (node, link) in wire.ends {
                if self.hosts[node].alive {
                    self.call(node, |cluster, local| cluster.link_lost(local, link, "reset"));
                }
            }
        }
    }

    /// Restarts a node from its file.
    pub(super) fn start(&mut self, index: usize) {
        let conf = NodesConf::parse(&self.hosts[index].file);
        let conf = conf.expect("a good file").expect("a file");
        let place = &mut self.hosts[index];
        let settings = place.cluster.settings().clone();
        place.cluster = Cluster::load(settings, self.rng.fork(), &conf, self.now);
        place.alive = true;
        place.saving.clear();
        self.call(index, |_, _| ());
    }

    pub(super) fn partition(&mut self, island: &[usize]) {
        self.island = island.to_vec();
    }

    pub(super) fn heal(&mut self) {
        self.island.clear();
    }

    fn is_partitioned(&self, a: usize, b: usize) -> bool {
        self.island.contains(&a) != self.island.contains(&b)
    }

    pub(super) fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.step();
        }
    }

    pub(super) fn until(&mut self, what: &str, holds: impl Fn(&Net) -> bool) {
        let end = self.now + 120_000;
        while !holds(self) {
            if self.now >= end {
                for (index, place) in self.hosts.iter().enumerate() {
                    println!("{index} alive={} {:#?}", place.alive, place.log);
                    println!("{}", place.cluster.nodes_text());
                }
                panic!("never: {what}");
            }
            self.step();
        }
    }

    /// Asserts that at most one living primary claims each slot.
    pub(super) fn one_owner_a_slot(&self) {
        let mut owned = SlotSet::new();
        for node in self.nodes() {
            for slot in node.my_slots().iter() {
                assert!(owned.insert(slot), "slot {slot} has two owners");
            }
        }
    }

    fn step(&mut self) {
        self.now += 1;
        for index in 0..self.hosts.len() {
            let place = &mut self.hosts[index];
            if !place.alive {
                continue;
            }
            if !place.disk_stalled
                && let Some(text) = place.saving.pop_front()
            {
                place.file = text;
                self.call(index, |cluster, local| cluster.saved(local));
            }
            if self.node(index).next_tick() <= self.now {
                self.call(index, |cluster, local| cluster.tick(local));
            }
        }
        let mut index = 0;
        while index < self.wires.len() {
            let is_partitioned =
                self.is_partitioned(self.wires[index].ends[0].0, self.wires[index].ends[1].0);
            let now = self.now;
            let wire = &mut self.wires[index];
            index += 1;
            let due = wire.flight.front().is_some_and(|(at, _, _)| *at <= now);
            if due
                && !is_partitioned
                && let Some((_, end, bytes)) = wire.flight.pop_front()
            {
                let (node, link) = wire.ends[end];
                index -= 1;
                self.call(node, |cluster, local| cluster.receive(local, link, &bytes));
            }
        }
    }

    fn local(&self, index: usize) -> Local {
        let place = &self.hosts[index];
        Local {
            now: self.now,
            wall: 1_700_000_000_000 + self.now,
            offset: place.offset,
            primary_silent_for: place.silence,
        }
    }

    fn call<R>(&mut self, index: usize, what: impl FnOnce(&mut Cluster, Local) -> R) -> R {
        let local = self.local(index);
        let result = what(&mut self.hosts[index].cluster, local);
        while let Some(effect) = self.hosts[index].cluster.poll_effect() {
            self.carry_out(index, effect);
        }
        result
    }

    fn carry_out(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::Connect { link, host, port } => {
                let other = self.hosts.iter().position(|place| place.alive && place.ip == host);
                let other = other.filter(|_| port == 16379);
                match other.filter(|other| !self.is_partitioned(index, *other)) {
                    Some(other) => {
                        let (my_ip, ip) =
                            (self.hosts[index].ip.clone(), self.hosts[other].ip.clone());
                        let to = ip.clone();
                        let from = my_ip.clone();
                        let theirs =
                            self.call(other, |cluster, local| cluster.accepted(local, from, to));
                        let ends = [(index, link), (other, theirs)];
                        self.wires.push(Wire { ends, flight: VecDeque::new() });
                        self.call(index, |cluster, local| cluster.connected(local, link, my_ip));
                    }
                    None => {
                        self.call(index, |cluster, local| {
                            cluster.link_lost(local, link, "Connection refused");
                        });
                    }
                }
            }
            Effect::Send { link, bytes } => {
                let mut bytes = bytes.to_vec();
                if self.old.contains(&index) {
                    leave_out_shard(&mut bytes, self.hosts[index].cluster.my_shard());
                }
                let at = self.now + LATENCY;
                for wire in &mut self.wires {
                    if let Some(end) = wire.ends.iter().position(|end| *end == (index, link)) {
                        wire.flight.push_back((at, 1 - end, bytes.clone()));
                    }
                }
            }
            Effect::Close { link } => {
                let place = self.wires.iter().position(|wire| wire.ends.contains(&(index, link)));
                if let Some(place) = place {
                    let wire = self.wires.remove(place);
                    let other = wire.ends.into_iter().find(|end| *end != (index, link));
                    if let Some((node, link)) = other {
                        self.call(node, |cluster, local| cluster.link_lost(local, link, "closed"));
                    }
                }
            }
            Effect::Save { text } => self.hosts[index].saving.push_back(text),
            Effect::Log { text, .. } => self.hosts[index].log.push(text),
            Effect::PauseWrites { .. } => self.hosts[index].paused = true,
            Effect::ResumeWrites => self.hosts[index].paused = false,
            Effect::Publish { channel, .. } => self.hosts[index].published.push(channel),
            Effect::Follow { .. }
            | Effect::Promote
            | Effect::FlushAll
            | Effect::DropKeys(_)
            | Effect::Reroute => {}
        }
    }
}
