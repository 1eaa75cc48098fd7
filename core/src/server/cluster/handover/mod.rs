//! Atomic slot migration: slots move to another node as a whole (`CLUSTER MIGRATESLOTS`).
//!
//! The source opens one connection to the target and sends on it, as ordinary commands, a snapshot
//! of the keys in the slots and then every change made since. Until the end the keys belong to the
//! source: the target redirects clients there, so they see neither half a slot nor ASK nor
//! TRYAGAIN, and KEYS, SCAN, DBSIZE and RANDOMKEY skip the keys. After the snapshot the source asks
//! the target whether it has caught up (`SNAPSHOT-EOF`), until little is in flight. The target
//! answers when its replicas have everything, too. Then the slots change hands at one moment:
//!
//! 1. The source *closes* the slots: commands on their keys wait. It asks the target whether it has
//!    executed everything (`DRAIN`). The target generates the epoch in which it will own them, and
//!    answers with it when its replicas have everything too, the epoch and that these slots are *granted*
//!    included. It remembers when it said so.
//! 2. The source lets the target take over (`TAKEOVER`). The target does so only within half of the
//!    time for which the source keeps the slots closed after the answer to `DRAIN`.
//! 3. The target owns the slots in that epoch, and answers when that is on its disk. The source takes its
//!    claim over and deletes its keys; clients that waited are redirected.
//!
//! # When a node is lost
//!
//! Whatever fails before `TAKEOVER` is sent leaves the slots with the source, and the target deletes what
//! it has got. From then on only the target's shard knows whose they are. Two rules keep every key once:
//! *the source neither serves nor deletes the keys until it knows*, and *a new primary of the target's
//! shard asks the source before it does either*.
//!
//! * The answer is lost: the target claims the slots in every message on the bus, and who has heard of its
//!   claim corrects the source.
//! * `TAKEOVER` is lost or comes too late: the target answers a ping that was sent after the time was over,
//!   and does not claim the slots. It never will, and the source goes on.
//! * The target is lost after it has taken over, and a replica of it has heard of that: the replica claims
//!   them when it is elected, and the source gives them to it.
//! * The target is lost and its replica has not heard of it. It is elected without these slots, but they
//!   were granted, so it is in doubt: it waits for answers of all primaries to pings that it sends from now
//!   on. If the source claims the slots, it has not heard of the takeover either, and the copies are
//!   deleted. If it does not, it has let go of them, and the copies are the only ones: the replica claims
//!   them.
//! * In the former case the source sees that the target has failed and been replaced. It gives itself an
//!   epoch that is larger than the one of the takeover, opens the slots, and goes on. The target loses them
//!   when it comes back with its claim. The same holds for a target without replicas that has failed.
//! * The target comes back before a replica is elected: it claims the slots, since `nodes.conf` says so.
//! * The source is lost before it knows. Its replica is elected for the slots, too, unless a majority of the
//!   primaries has heard of the takeover, whose larger epoch makes them refuse their votes. A target of
//!   which no majority hears any more has lost what it was told meanwhile, as in any failover.
//! * Source and target are lost: both of the last two apply. The epochs that elections get are larger than
//!   that of the takeover, because target and source announce it to all before it is used.
//!
//! A replica that was not heard of for `min-replicas-max-lag` seconds is not waited for. If such a one is
//! elected, it may hold a part of the keys only, and the slots stay with the target that it has replaced.
//!
//! * `export`: the source; `import`: the target; `commands`: the subcommands of CLUSTER.
//!
//! MIGRATE, which moves key by key, is in [`migrate`](crate::server::migrate).

mod commands;
mod export;
mod import;

use std::collections::VecDeque;

pub(super) use commands::{cancel, migrate_slots, migrations, sync_slots};
use export::Export;
use import::Import;

use crate::cluster::{NodeId, SlotSet};
use crate::machine::ConnId;
use crate::time::{Duration, Wall};

/// How many finished migrations are kept for `CLUSTER GETSLOTMIGRATIONS`.
const REMEMBERED: usize = 64;

/// How long slots stay closed at most: the node timeout, clamped to these bounds.
const LEAST_CLOSED: Duration = Duration::from_millis(1_000);
const MOST_CLOSED: Duration = Duration::from_millis(5_000);

/// The migrations of slots from and to this node.
#[derive(Clone, Debug, Default)]
pub(super) struct Handover {
    /// Migrations to other nodes. Only the first one is active, since there is one snapshot at a
    /// time.
    exports: VecDeque<Export>,
    /// Migrations to this node.
    imports: Vec<Import>,
    ended: VecDeque<Record>,
    /// On a replica: the slots that its primary is importing.
    of_primary: SlotSet,
    /// On a replica: the slots of which it has all keys, and that its primary may have taken over
    /// without this node knowing yet.
    granted: SlotSet,
    /// On a replica that has become a primary: those of them whose owner is not known yet.
    doubts: Option<Doubts>,
    /// Slots with leftover keys that belong to other nodes: of failed migrations, or, on a replica,
    /// of slots that its primary has lost and not deleted yet. They are deleted when a working node
    /// owns the slot.
    leftover: SlotSet,
}

/// Slots that the former primary may have taken over before it failed.
#[derive(Clone, Debug)]
struct Doubts {
    slots: SlotSet,
    /// When the other primaries were first asked, in milliseconds on the monotonic clock.
    since: u64,
}

/// What GETSLOTMIGRATIONS shows of a migration.
#[derive(Clone, Debug)]
pub(in crate::server) struct Record {
    /// A name of 40 hexadecimal digits.
    name: String,
    is_export: bool,
    slots: SlotSet,
    source: NodeId,
    target: NodeId,
    /// When it was requested, and when its state last changed.
    created: Wall,
    updated: Wall,
    state: &'static str,
    /// Why it failed; empty if it did not.
    message: String,
}

/// A slot that is being migrated as a whole, for observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovingSlot {
    /// The slot.
    pub slot: crate::sharding::Slot,
    /// Its owner.
    pub source: NodeId,
    /// The node that will get it.
    pub target: NodeId,
}

impl Handover {
    /// Whether changes of keys must be recorded: they have to be sent, or a flush aborts a
    /// migration.
    pub(super) fn follows(&self) -> bool {
        !self.imports.is_empty() || self.exports.front().is_some_and(Export::follows)
    }

    /// Whether this is the connection to the target of a migration.
    pub(super) fn has_conn(&self, conn: ConnId) -> bool {
        self.exports.front().is_some_and(|export| export.has_conn(conn))
    }

    /// A slot among these that is already being migrated.
    fn busy_slot(&self, slots: &SlotSet) -> Option<crate::sharding::Slot> {
        let exports = self.exports.iter().map(|export| &export.record.slots);
        let imports = self.imports.iter().map(|import| &import.record.slots);
        let moving: Vec<&SlotSet> = exports.chain(imports).collect();
        slots.iter().find(|slot| moving.iter().any(|set| set.contains(*slot)))
    }

    /// Forgets that a slot has leftover keys. True if it had.
    pub(super) fn forget_leftover(&mut self, slot: crate::sharding::Slot) -> bool {
        self.leftover.remove(slot)
    }

    /// Records that the keys in these slots belong to other nodes.
    pub(super) fn add_leftover(&mut self, slots: &SlotSet) {
        slots.iter().for_each(|slot| {
            self.leftover.insert(slot);
        });
    }

    fn remember(&mut self, record: Record) {
        self.ended.push_front(record);
        self.ended.truncate(REMEMBERED);
    }

    /// All migrations, newest first.
    fn records(&self) -> impl Iterator<Item = &Record> {
        let exports = self.exports.iter().map(|export| &export.record);
        let imports = self.imports.iter().map(|import| &import.record);
        exports.chain(imports).chain(&self.ended)
    }

    /// Slots that this node is migrating to others.
    pub(super) fn leaving(&self) -> impl Iterator<Item = MovingSlot> {
        self.exports.iter().flat_map(|export| {
            let Record { source, target, .. } = export.record;
            export.record.slots.iter().map(move |slot| MovingSlot { slot, source, target })
        })
    }
}

impl Record {
    fn becomes(&mut self, state: &'static str, now: Wall) {
        self.state = state;
        self.updated = now;
    }
}
