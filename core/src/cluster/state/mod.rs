//! The state machine of one node of a cluster.
//!
//! [`Cluster`] is a node's view of its cluster and the decisions it makes. Its inputs are the bytes
//! on its links, completed saves, administrators' commands, and a [`Cluster::tick`] every 100 ms;
//! its outputs are [`Effect`]s. Modules:
//!
//! * `nodes`: the known nodes; `links`: the connections to and from them;
//! * `settings`: the directives `cluster-*`; `effect`: the outputs;
//! * `receiving` and `sending`: incoming and outgoing messages;
//! * `failure`: PFAIL and FAIL; `claims`: slot owners and their epochs; `election`: votes and
//!   failover; `migration`: replicas that move to a primary without any;
//! * `cron`: periodic work; `saving`: `nodes.conf`;
//! * `handover`: atomic slot migration;
//! * `admin`: the changes of `CLUSTER`; `route`: which node serves a command; `view`: reports for
//!   `CLUSTER`, `INFO` and the page.

mod admin;
mod claims;
mod cron;
mod effect;
mod election;
mod failure;
mod handover;
mod links;
mod migration;
mod nodes;
mod receiving;
mod route;
mod saving;
mod sending;
mod settings;
#[cfg(test)]
mod tests;
mod view;

use std::collections::VecDeque;
use std::sync::Arc;

pub use admin::{LinkDirection, ManualFailover, PacketFilter, Reset, SetSlot};
pub use effect::{Effect, LinkId, Local};
use election::Election;
use election::Manual;
use links::Link;
use nodes::{Node, NodeRef, Nodes};
pub use route::{Presence, Request, Route};
use saving::Saving;
pub use settings::{PreferredEndpoint, Settings};
pub use view::{ClusterSummary, LinkView, NodeView, ShardView, SlotRange};

use super::bus::Kind;
use super::{NodeFlags, NodeId, NodesConf, SlotSet};
use crate::machine::LogLevel;
use crate::rng::Rng;
use crate::sharding::Slot;
use crate::sorted::SortedMap;

/// One node's view of its cluster, and the state machine that acts on it.
#[derive(Clone, Debug)]
pub struct Cluster {
    settings: Settings,
    rng: Rng,
    nodes: Nodes,
    myself: NodeRef,
    /// The owner of each slot, or [`UNOWNED`].
    owners: Arc<[NodeRef; Slot::COUNT as usize]>,
    /// Slots that their owners no longer claim and that no other node claims yet.
    unclaimed: SlotSet,
    /// Slots that are being migrated away, with their targets.
    migrating: SortedMap<Slot, NodeRef>,
    /// Slots that are being imported, with their sources.
    importing: SortedMap<Slot, NodeRef>,
    /// Slots of this node on which commands are refused, since they are about to change owners.
    closed: Option<Box<SlotSet>>,
    /// Slots whose keys are arriving in an atomic migration.
    arriving: SlotSet,
    current_epoch: u64,
    last_vote_epoch: u64,
    /// Whether this node considers the cluster to be up.
    up: bool,
    /// The number of primaries with slots.
    size: usize,
    links: SortedMap<LinkId, Link>,
    last_link: u64,
    /// Forgotten nodes, and when their bans end.
    banned: SortedMap<NodeId, u64>,
    election: Election,
    manual: Manual,
    /// The primary that the server was told to replicate.
    following: Option<NodeRef>,
    /// When this node was last in a minority.
    minority_at: Option<u64>,
    /// When the state of the cluster was first computed.
    first_update: Option<u64>,
    ticks: u64,
    next_tick: u64,
    sent: [u64; Kind::COUNT],
    received: [u64; Kind::COUNT],
    /// Which incoming messages are dropped, for tests.
    dropped: Option<PacketFilter>,
    /// Number of links that were cut because of their output buffers.
    links_overrun: u64,
    todo: Todo,
    /// Whether slot owners or the state of the cluster have changed in this call.
    rerouted: bool,
    saving: Saving,
    /// Effects of this call that must wait until the state they depend on is saved.
    outgoing: Vec<Effect>,
    effects: VecDeque<Effect>,
    local: Local,
}

/// The owner of a slot that no node owns.
const UNOWNED: NodeRef = NodeRef::NONE;

/// Work to do before the current call ends.
#[derive(Clone, Copy, Debug, Default)]
struct Todo {
    /// Continue the manual failover.
    manual: bool,
    /// Continue the election.
    election: bool,
    /// Recompute whether the cluster is up.
    state: bool,
    /// Save `nodes.conf`.
    save: bool,
    /// Hold effects back until that is on disk.
    sync: bool,
}

impl Cluster {
    /// A new node that knows no others. Its ID is generated with `rng`.
    pub fn new(settings: Settings, mut rng: Rng) -> Self {
        let mut nodes = Nodes::default();
        let id = NodeId::random(&mut rng);
        let flags = NodeFlags::MYSELF.and(NodeFlags::MASTER);
        let myself = nodes.add(Node::new(id, NodeId::random(&mut rng), flags, 0));
        let mut cluster = Self::around(settings, rng, nodes, myself);
        cluster.log(LogLevel::Notice, || format!("No cluster configuration found, I'm {id}"));
        cluster.settings_changed();
        cluster.todo.save = true;
        cluster.todo.sync = true;
        cluster
    }

    /// A node restored from `nodes.conf`. `now` is on the monotonic clock in milliseconds: node
    /// timeouts count from then, as if all nodes had just been pinged.
    pub fn load(settings: Settings, rng: Rng, conf: &NodesConf, now: u64) -> Self {
        let mut cluster = Self::restore(settings, rng, conf, now);
        let id = cluster.my_id();
        cluster.log(LogLevel::Notice, || format!("Node configuration loaded, I'm {id}"));
        cluster.settings_changed();
        cluster
    }

    fn around(settings: Settings, rng: Rng, nodes: Nodes, myself: NodeRef) -> Self {
        Self {
            settings,
            rng,
            nodes,
            myself,
            owners: Arc::new([UNOWNED; Slot::COUNT as usize]),
            unclaimed: SlotSet::new(),
            migrating: SortedMap::new(),
            importing: SortedMap::new(),
            closed: None,
            arriving: SlotSet::new(),
            current_epoch: 0,
            last_vote_epoch: 0,
            up: false,
            size: 0,
            links: SortedMap::new(),
            last_link: 0,
            banned: SortedMap::new(),
            election: Election::default(),
            manual: Manual::default(),
            following: None,
            minority_at: None,
            first_update: None,
            ticks: 0,
            next_tick: 0,
            sent: [0; Kind::COUNT],
            received: [0; Kind::COUNT],
            dropped: None,
            links_overrun: 0,
            todo: Todo::default(),
            rerouted: false,
            saving: Saving::default(),
            outgoing: Vec::new(),
            effects: VecDeque::new(),
            local: Local::default(),
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Replaces the settings (CONFIG SET).
    pub fn set_settings(&mut self, local: Local, settings: Settings) {
        self.begin(local);
        self.settings = settings;
        self.settings_changed();
        self.finish();
    }

    /// Takes the next effect.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Cluster::tick`] is due, in milliseconds on the monotonic clock.
    pub fn next_tick(&self) -> u64 {
        match self.election_due() {
            Some(at) => self.next_tick.min(at),
            None => self.next_tick,
        }
    }

    /// The start of every public call.
    fn begin(&mut self, local: Local) {
        self.local = local;
    }

    /// The end of every public call: does the pending work, and releases effects.
    fn finish(&mut self) {
        // One kind of work may request others, but this ends after few rounds.
        for _ in 0..4 {
            let todo = core::mem::take(&mut self.todo);
            if todo.manual && self.i_am_replica() {
                self.continue_manual_failover();
                self.continue_election();
            } else if todo.election {
                self.continue_election();
            }
            if todo.state {
                self.update_state();
            }
            if todo.save {
                self.saving.changed(todo.sync);
            }
            let Todo { manual, election, state, save, .. } = self.todo;
            if !(manual || election || state || save) {
                break;
            }
        }
        self.save();
        self.release();
    }

    /// Applies the settings that concern this node itself.
    fn settings_changed(&mut self) {
        let ports = self.settings.announced_ports();
        let me = &mut self.nodes[self.myself];
        (me.port, me.tls_port, me.bus_port) = ports;
        if let Some(ip) = &self.settings.announce_ip {
            me.ip.clone_from(ip);
        }
        let mut changed = false;
        if me.hostname != self.settings.announce_hostname {
            me.hostname.clone_from(&self.settings.announce_hostname);
            changed = true;
        }
        if me.human_nodename != self.settings.announce_human_nodename {
            me.human_nodename.clone_from(&self.settings.announce_human_nodename);
            changed = true;
        }
        let before = me.flags;
        me.flags.clear(NodeFlags::NOFAILOVER);
        if self.settings.replica_no_failover {
            me.flags.set(NodeFlags::NOFAILOVER);
        }
        changed |= me.flags != before;
        self.todo.save |= changed;
        self.todo.state |= changed;
    }

    fn now(&self) -> u64 {
        self.local.now
    }

    fn me(&self) -> &Node {
        &self.nodes[self.myself]
    }

    /// The node whose slots this node's headers name: itself, or its primary.
    fn my_claimant(&self) -> NodeRef {
        self.me().master.filter(|_| self.i_am_replica()).unwrap_or(self.myself)
    }

    fn i_am_replica(&self) -> bool {
        self.me().is_replica()
    }

    fn owner(&self, slot: Slot) -> Option<NodeRef> {
        Some(self.owners[usize::from(slot)]).filter(|owner| *owner != UNOWNED)
    }

    /// The number of votes that is a majority.
    fn quorum(&self) -> usize {
        self.size / 2 + 1
    }

    fn log(&mut self, level: LogLevel, text: impl FnOnce() -> String) {
        self.effects.push_back(Effect::Log { level, text: text() });
    }
}
