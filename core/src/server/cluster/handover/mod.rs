//! Atomic slot migration: slots move to another node as a whole (`CLUSTER MIGRATESLOTS`).
//!
//! The source opens one connection to the target and sends on it, as ordinary commands, a snapshot
//! of the keys in the slots and then every change made since. Until the end the keys belong to the
//! source: the target redirects clients there, so they see neither half a slot nor ASK nor
//! TRYAGAIN, and KEYS, SCAN, DBSIZE and RANDOMKEY skip the keys. After the snapshot the source asks
//! the target whether it has caught up (`SNAPSHOT-EOF`), until little is in flight. The target
//! answers when its replicas have everything, too. Then the slots change hands at one moment:
//!
//! 1. The source *closes* the slots: commands on their keys are held back. It asks the target
//!    whether it has executed everything (`DRAIN`). The target generates the epoch in which it will
//!    own the slots. It replies with the epoch once its replicas have received everything,
//!    including the epoch and the message that these slots are *granted*, and records when it did
//!    so.
//! 2. The source tells the target to take over (`TAKEOVER`). The target does so only within half of
//!    the time for which the source keeps the slots closed after the reply to `DRAIN`.
//! 3. The target owns the slots in that epoch, and replies once that is on disk. The source accepts
//!    the claim and deletes its keys; clients that were held back are redirected.
//!
//! # When a node fails
//!
//! Any failure before `TAKEOVER` is sent leaves the slots with the source, and the target deletes
//! the keys that it has received. From then on only the target's shard knows who owns the slots.
//! Two rules make sure that every key is kept exactly once: *the source neither serves nor deletes
//! the keys until it knows*, and *a new primary of the target's shard asks the source before it
//! does either*.
//!
//! * The reply is lost: the target claims the slots in every bus message, and nodes that have
//!   received its claim correct the source.
//! * `TAKEOVER` is lost or arrives too late: the target answers a ping that was sent after the
//!   deadline, without claiming the slots. It never will, so the source keeps them.
//! * The target fails after it has taken over, and one of its replicas knows: the replica claims
//!   the slots when it is elected, and the source accepts that.
//! * The target fails and its replica does not know. The replica is elected without these slots,
//!   but they were granted, so it is in doubt: it waits until all primaries have answered pings
//!   sent from now on. If the source claims the slots, it does not know of a takeover either, and
//!   the copies of the keys are deleted. If it does not, it has given them up, and the copies are
//!   the only ones: the replica claims the slots.
//! * In the first of these two outcomes the source notices that the target has failed and been
//!   replaced. It takes an epoch greater than that of the takeover, opens the slots, and keeps
//!   them. The target loses them when it returns with its claim. The same applies to a failed
//!   target without replicas.
//! * The target returns before a replica is elected: it claims the slots, since `nodes.conf` says
//!   so.
//! * The source fails before it knows. Its replica is elected for these slots as well, unless a
//!   majority of the primaries knows of the takeover, whose greater epoch makes them refuse their
//!   votes. A target that no majority can reach loses the writes that it has accepted meanwhile, as
//!   in any failover.
//! * Source and target both fail: the last two cases apply together. The epochs of elections are
//!   greater than that of the takeover, because target and source announce it to all nodes before
//!   it is used.
//!
//! Replicas that were silent for `min-replicas-max-lag` seconds are ignored. If such a replica is
//! elected, it may have only some of the keys, and the slots stay with the target that it has
//! replaced.
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
const MIN_CLOSED: Duration = Duration::from_millis(1_000);
const MAX_CLOSED: Duration = Duration::from_millis(5_000);

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
    uncertain: Option<UncertainSlots>,
    /// Slots with leftover keys that belong to other nodes: of failed migrations, or, on a replica,
    /// of slots that its primary has lost and not deleted yet. They are deleted when a working node
    /// owns the slot.
    leftover: SlotSet,
}

/// Slots that the former primary may have taken over before it failed.
#[derive(Clone, Debug)]
struct UncertainSlots {
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
