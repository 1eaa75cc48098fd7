//! The state machine of one node of a cluster.
//!
//! [`Cluster`] is what the node knows and does. In goes what arrives on its links, the results of
//! saving, the commands of administrators, and every tenth of a second a [`Cluster::tick`]; out come
//! [`Effect`]s. Its parts:
//!
//! * `nodes`: the nodes that it knows, and `links`: the connections to and from them;
//! * `settings`: the directives `cluster-*`; `effect`: what it wants done;
//! * `receiving`: what a message changes, and `sending`: what goes into one;
//! * `failure`: PFAIL and FAIL; `claims`: owners of slots, and their epochs;
//! * `election`: votes, and how a replica becomes a primary; `migration`: replicas that move to a
//!   primary without any;
//! * `cron`: what is done because time passes; `saving`: `nodes.conf`;
//! * `handover`: slots that change hands at one moment;
//! * `admin`: what `CLUSTER` changes; `route`: where a command belongs; `view`: what it tells.

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
use nodes::{Node, Nodes, Ref};
pub use route::{Presence, Request, Route};
use saving::Saving;
pub use settings::{PreferredEndpoint, Settings};
pub use view::{Glance, LinkView, NodeView, ShardView, SlotRange};

use super::bus::Kind;
use super::{NodeFlags, NodeId, NodesConf, SlotSet};
use crate::machine::LogLevel;
use crate::rng::Rng;
use crate::sharding::Slot;
use crate::sorted::SortedMap;

/// One node's knowledge of its cluster, and what it does about it.
#[derive(Clone, Debug)]
pub struct Cluster {
    settings: Settings,
    rng: Rng,
    nodes: Nodes,
    myself: Ref,
    /// The owner of each slot, or [`UNOWNED`].
    owners: Arc<[Ref; Slot::COUNT as usize]>,
    /// Slots that their owners no longer claim and that no other node claims yet.
    unclaimed: SlotSet,
    /// Slots that this node is giving to others.
    migrating: SortedMap<Slot, Ref>,
    /// Slots that this node is taking from others.
    importing: SortedMap<Slot, Ref>,
    /// Slots of this node on which no command is carried out, since they are about to change hands.
    closed: Option<Box<SlotSet>>,
    /// Slots whose keys are arriving from their owners, to change hands at one moment.
    arriving: SlotSet,
    current_epoch: u64,
    last_vote_epoch: u64,
    /// Whether the cluster is up in the eyes of this node.
    up: bool,
    /// How many primaries serve slots.
    size: usize,
    links: SortedMap<LinkId, Link>,
    last_link: u64,
    /// Nodes that were forgotten, and until when they must not come back.
    banned: SortedMap<NodeId, u64>,
    election: Election,
    manual: Manual,
    /// The primary that the server has been told to follow.
    following: Option<Ref>,
    /// When this node was last in a minority.
    minority_at: Option<u64>,
    /// When the state of the cluster was first looked at.
    first_look: Option<u64>,
    ticks: u64,
    next_tick: u64,
    sent: [u64; Kind::COUNT],
    received: [u64; Kind::COUNT],
    /// Which messages are dropped when they arrive, for tests.
    dropped: Option<PacketFilter>,
    /// Links that were cut because too much waited on them.
    links_overrun: u64,
    todo: Todo,
    /// Whether slots have got other owners, or the cluster went up or down, in this call.
    rerouted: bool,
    saving: Saving,
    /// Messages of this call, and what else must wait until what it rests on is on the disk.
    outgoing: Vec<Effect>,
    effects: VecDeque<Effect>,
    local: Local,
}

/// No node owns the slot.
const UNOWNED: Ref = Ref::NONE;

/// What is still to be done before a call ends.
#[derive(Clone, Copy, Debug, Default)]
struct Todo {
    /// See whether a manual failover can go on.
    manual: bool,
    /// See whether an election can go on.
    election: bool,
    /// See whether the cluster is up.
    state: bool,
    /// Save `nodes.conf`.
    save: bool,
    /// Let nothing leave before that has been done.
    sync: bool,
}

impl Cluster {
    /// A node that knows no other nodes. `rng` makes up its node id.
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

    /// A node that knows what its `nodes.conf` says. `now` is on the monotonic clock, in milliseconds:
    /// others have as long from now on to be heard of as if they had just been pinged.
    pub fn load(settings: Settings, rng: Rng, conf: &NodesConf, now: u64) -> Self {
        let mut cluster = Self::restore(settings, rng, conf, now);
        let id = cluster.my_id();
        cluster.log(LogLevel::Notice, || format!("Node configuration loaded, I'm {id}"));
        cluster.settings_changed();
        cluster
    }

    fn around(settings: Settings, rng: Rng, nodes: Nodes, myself: Ref) -> Self {
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
            first_look: None,
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

    /// Takes new settings over (CONFIG SET).
    pub fn set_settings(&mut self, local: Local, settings: Settings) {
        self.begin(local);
        self.settings = settings;
        self.settings_changed();
        self.finish();
    }

    /// The next thing to do.
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

    /// Every call from outside begins here.
    fn begin(&mut self, local: Local) {
        self.local = local;
    }

    /// Every call from outside ends here: what it has set in motion is done, and what may leave
    /// leaves.
    fn finish(&mut self) {
        // Each thing to do may ask for others, but not for itself again and again.
        for _ in 0..4 {
            let todo = core::mem::take(&mut self.todo);
            if todo.manual && self.i_am_replica() {
                self.go_on_with_manual_failover();
                self.go_on_with_election();
            } else if todo.election {
                self.go_on_with_election();
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

    /// Takes over what the settings say about this node itself.
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

    /// The node that claims the slots that this node's messages tell of: itself or its primary.
    fn my_claimant(&self) -> Ref {
        self.me().master.filter(|_| self.i_am_replica()).unwrap_or(self.myself)
    }

    fn i_am_replica(&self) -> bool {
        self.me().is_replica()
    }

    fn owner(&self, slot: Slot) -> Option<Ref> {
        Some(self.owners[usize::from(slot)]).filter(|owner| *owner != UNOWNED)
    }

    /// How many primaries are a majority.
    fn quorum(&self) -> usize {
        self.size / 2 + 1
    }

    fn log(&mut self, level: LogLevel, text: impl FnOnce() -> String) {
        self.effects.push_back(Effect::Log { level, text: text() });
    }
}
