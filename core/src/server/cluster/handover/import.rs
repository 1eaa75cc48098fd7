//! The target of a slot migration: keys arrive as commands of one client, and belong to the source
//! until the takeover.

use super::super::routing::keys_of_request;
use super::{Handover, Record, UncertainSlots};
use crate::cluster::{Cluster, NodeId, SlotSet};
use crate::command::CommandError;
use crate::machine::LogLevel;
use crate::resp::request::{Args, OwnedArgs};
use crate::server::propagate::Atomic;
use crate::server::{Client, Command, Server};
use crate::sharding::Slot;
use crate::time::{Duration, Mono, Now};

/// The channel on which a target tells its replicas which slots it is importing. A replica that
/// takes its place deletes their keys, or finds out whether it owns them.
const CHANNEL: &[u8] = b"__limpid__:slots";

/// How often it does so.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(1_000);

/// A migration of slots to this node.
#[derive(Clone, Debug)]
pub(super) struct Import {
    /// The id of the client that sends the keys.
    client: u64,
    pub(super) record: Record,
    /// What the source waits for, if anything.
    awaited: Option<Awaited>,
    /// The epoch in which this node will own the slots, once the source has closed them.
    epoch: Option<u64>,
    /// When the source was last told that everything was executed after it had closed the slots.
    drained: Option<Mono>,
    /// When something was last received from the source.
    heard: Mono,
    /// When the replicas were last told.
    announced: Option<Mono>,
}

/// A source that waits for the replicas of this node.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    /// The replication offset that the replicas have to acknowledge.
    offset: i64,
    /// Whether the source has closed the slots, so that nothing more follows.
    is_all: bool,
}

impl Server {
    fn imports(&self) -> &[Import] {
        self.service.cluster.as_ref().map_or(&[], |node| &node.handover.imports)
    }

    fn import_of(&mut self, client: u64) -> Option<&mut Import> {
        let node = self.service.cluster.as_mut()?;
        node.handover.imports.iter_mut().find(|import| import.client == client)
    }

    /// `SYNCSLOTS ESTABLISH`: prepares the import of these slots from a client. The reply is sent
    /// when `nodes.conf` records the import, since the keys must be recognized as foreign after a
    /// crash.
    pub(super) fn begin_import(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        name: String,
        source: NodeId,
        slots: SlotSet,
    ) -> Result<(), CommandError> {
        let composed = |text: String| CommandError::composed(format!("ERR {text}"));
        let Some(state) = self.cluster_state() else { return Ok(()) };
        if state.is_replica() {
            return Err(CommandError::text(
                "ERR This node is a replica: slots move to its primary",
            ));
        }
        if let Some(slot) = slots.iter().find(|slot| state.owner_of(*slot) != Some(source)) {
            return Err(composed(format!("Slot {slot} does not belong to node {source} here")));
        }
        let open = state.open_slot_views();
        if let Some((slot, ..)) = open.iter().find(|(slot, ..)| slots.contains(*slot)) {
            return Err(composed(format!(
                "Slot {slot} is being moved key by key. Close it with CLUSTER SETSLOT {slot} STABLE"
            )));
        }
        let target = state.my_id();
        for slot in slots.iter() {
            self.drop_lost_slot(now, slot);
        }
        let Some(node) = &mut self.service.cluster else { return Ok(()) };
        if let Some(slot) = node.handover.busy_slot(&slots) {
            return Err(composed(format!("Slot {slot} is being moved already")));
        }
        let keyspace = &self.service.keyspace;
        if let Some(slot) = slots.iter().find(|slot| keyspace.count_in_slot(*slot) > 0) {
            return Err(composed(format!(
                "Slot {slot} still has keys here, left by an earlier move. Try again later"
            )));
        }
        let record = Record {
            name,
            is_export: false,
            slots: slots.clone(),
            source,
            target,
            created: now.wall,
            updated: now.wall,
            state: "receiving",
            message: String::new(),
        };
        let (id, heard) = (client.id, now.mono);
        let import = Import {
            client: id,
            record,
            awaited: None,
            epoch: None,
            drained: None,
            heard,
            announced: None,
        };
        node.handover.imports.push(import);
        client.state.imports = true;
        client.waiting = true;
        self.notice(|| format!("Slots {} are moving here from node {source}", slots.to_text(" ")));
        self.hide_foreign_keys();
        self.with_cluster(now, |state, local| state.set_arriving(local, &slots));
        self.answer_when_saved(id);
        self.followers_changed();
        Ok(())
    }

    /// Why a command of the client that sends the keys is refused, if it is.
    pub(in crate::server) fn import_refusal(
        &mut self,
        client: &Client,
        command: &Command,
        args: Args<'_>,
    ) -> Option<CommandError> {
        let mono = self.now.0;
        let keys = keys_of_request(client, command, args);
        let Some(import) = self.import_of(client.id) else {
            return Some(CommandError::text("ERR The migration of these slots was aborted"));
        };
        import.heard = mono;
        let foreign = |key: &&[u8]| !import.record.slots.contains(Slot::of(key));
        keys.iter()
            .any(foreign)
            .then_some(CommandError::text("ERR The key is in none of the slots that are moving"))
    }

    /// `SYNCSLOTS SNAPSHOT-EOF` and, once the slots are closed (`is_all`), `SYNCSLOTS DRAIN`:
    /// everything before it was executed. The reply is sent when the replicas have it as well: one
    /// of them may have to replace this node right after the takeover, when the source has already
    /// deleted its keys. The reply to DRAIN is the epoch in which this node will own the slots.
    /// Replicas that were silent for `min-replicas-max-lag` seconds are ignored. If a replica is
    /// slow, the first of the two commands waits, while clients can use the slots; if it becomes
    /// slow in between, the source may abort the migration, and the slots stay with it.
    pub(super) fn import_awaits_replicas(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        is_all: bool,
    ) -> Result<(), CommandError> {
        self.import_of(client.id).ok_or(NO_MOVE)?;
        if is_all {
            let epoch = self.with_cluster(now, Cluster::reserve_epoch);
            self.import_of(client.id).ok_or(NO_MOVE)?.epoch = epoch;
            self.announce_imports();
        }
        let offset = self.stream_offset();
        let import = self.import_of(client.id).ok_or(NO_MOVE)?;
        import.awaited = Some(Awaited { offset, is_all });
        import.record.becomes(if is_all { "draining" } else { "receiving" }, now.wall);
        client.waiting = true;
        self.await_replicas();
        Ok(())
    }

    /// Answers sources whose keys the replicas have acknowledged.
    pub(in crate::server) fn answer_awaiting_sources(&mut self, now: Now<'_>) {
        let awaits = |import: &Import| Some((import.client, import.awaited?));
        let waiting: Vec<(u64, Awaited)> = self.imports().iter().filter_map(awaits).collect();
        for (client, awaited) in waiting {
            if !self.replicas_within_lag_have(now.mono, awaited.offset) {
                continue;
            }
            let mut epoch = None;
            if let Some(import) = self.import_of(client) {
                import.awaited = None;
                // A source that may still wait here was alive when it sent the request.
                import.heard = now.mono;
                import.drained = awaited.is_all.then_some(now.mono);
                epoch = import.epoch.filter(|_| awaited.is_all);
            }
            match epoch {
                Some(epoch) => self.answer_with(now, client, |reply| {
                    reply.integer(i64::try_from(epoch).unwrap_or(i64::MAX));
                    Ok(())
                }),
                None => self.answer(now, client, Ok(())),
            }
        }
    }

    /// `SYNCSLOTS TAKEOVER`: this node takes the slots over, unless the permission is too old. The
    /// reply is sent when `nodes.conf` records it.
    pub(super) fn import_takes_over(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        within: Duration,
    ) -> Result<(), CommandError> {
        let import = self.import_of(client.id).ok_or(NO_MOVE)?;
        let epoch =
            import.epoch.filter(|_| import.drained.is_some_and(|at| now.mono <= at + within));
        let (source, slots) = (import.record.source, import.record.slots.clone());
        let state = self.cluster_state();
        let unchanged = state.is_some_and(|state| {
            !state.is_replica() && slots.iter().all(|slot| state.owner_of(slot) == Some(source))
        });
        let takes_over = epoch.filter(|_| unchanged).and_then(|epoch| {
            self.with_cluster(now, |state, local| state.take_over_slots(local, &slots, epoch))
        });
        if takes_over != Some(true) {
            return Err(CommandError::text(
                "ERR TAKEOVER is too late: the slots stay with the source",
            ));
        }
        let Some(node) = &mut self.service.cluster else { return Ok(()) };
        let at = node.handover.imports.iter().position(|import| import.client == client.id);
        if let Some(mut import) = at.map(|at| node.handover.imports.remove(at)) {
            import.record.becomes("success", now.wall);
            node.handover.remember(import.record);
        }
        client.state.imports = false;
        client.waiting = true;
        self.notice(|| format!("Slots {} have moved here from node {source}", slots.to_text(" ")));
        self.hide_foreign_keys();
        self.answer_when_saved(client.id);
        self.followers_changed();
        Ok(())
    }

    /// The client that sends the keys has disconnected, or made an error.
    pub(in crate::server) fn import_failed(&mut self, now: Now<'_>, client: u64, why: &str) {
        let Some(node) = &mut self.service.cluster else { return };
        let Some(at) = node.handover.imports.iter().position(|import| import.client == client)
        else {
            return;
        };
        let Import { mut record, .. } = node.handover.imports.remove(at);
        record.becomes("failed", now.wall);
        record.message = why.to_owned();
        let (source, slots) = (record.source, record.slots.clone());
        node.handover.remember(record);
        node.handover.add_leftover(&slots);
        self.log(LogLevel::Warning, || {
            let slots = slots.to_text(" ");
            format!("Slots {slots} stay with node {source}: {why}")
        });
        self.announce_imports();
        self.followers_changed();
    }

    /// Aborts all migrations to this node.
    pub(super) fn end_imports(&mut self, now: Now<'_>, why: &str) {
        let clients: Vec<u64> = self.imports().iter().map(|import| import.client).collect();
        for client in clients {
            self.import_failed(now, client, why);
        }
    }

    /// Aborts migrations whose source is gone, and deletes the keys of those that failed.
    pub(in crate::server::cluster) fn import_cron(&mut self, now: Now<'_>) {
        self.forget_granted();
        self.resolve_uncertain_slots(now);
        self.drop_leftover();
        // A replica that has disconnected no longer delays the acknowledgement.
        self.answer_awaiting_sources(now);
        if self.imports().is_empty() {
            return self.forget_arriving(now);
        }
        let Some(state) = self.cluster_state() else { return };
        let patience = Duration::from_secs(self.config.settings().repl_timeout.max(1));
        let mut given_up: Vec<(u64, &str)> = Vec::new();
        for import in self.imports() {
            let Record { source, slots, .. } = &import.record;
            if state.is_replica() {
                given_up.push((import.client, "this node has become a replica"));
            } else if slots.iter().any(|slot| state.owner_of(slot) != Some(*source)) {
                given_up.push((import.client, "their owner has changed"));
            } else if now.mono >= import.heard + patience {
                given_up.push((import.client, "the source timed out"));
            }
        }
        for (client, why) in given_up {
            self.import_failed(now, client, why);
            if let Some(slot) = self.clients.by_id(client) {
                self.cut_off(slot);
            }
        }
        let due =
            |import: &Import| import.announced.is_none_or(|at| now.mono >= at + ANNOUNCE_EVERY);
        if self.imports().iter().any(due) {
            self.announce_imports();
            let Some(node) = &mut self.service.cluster else { return };
            node.handover.imports.iter_mut().for_each(|import| import.announced = Some(now.mono));
        }
    }

    /// Once all leftover keys are deleted, `nodes.conf` need no longer record them.
    fn forget_arriving(&mut self, now: Now<'_>) {
        let Some(node) = &self.service.cluster else { return };
        let cleared = node.dropping.is_empty() && node.handover.leftover.is_empty();
        if cleared && node.state().is_some_and(|state| state.has_arriving()) {
            self.with_cluster(now, |state, local| drop(state.take_arriving(local)));
        }
    }

    /// This node follows another primary, and does not know yet which slots that one is importing.
    pub(in crate::server::cluster) fn forget_imports_of_primary(&mut self) {
        if let Some(node) = &mut self.service.cluster {
            let handover = &mut node.handover;
            (handover.of_primary, handover.granted) = (SlotSet::new(), SlotSet::new());
            handover.uncertain = None;
            // The data will be a copy of the primary's.
            handover.leftover = SlotSet::new();
        }
        self.hide_foreign_keys();
    }

    /// Tells the replicas which slots are being imported, and which of them this node may take over
    /// any moment, with the largest epoch for that.
    fn announce_imports(&mut self) {
        if self.is_replica() {
            return;
        }
        let slots = |imports: &mut dyn Iterator<Item = &Import>| -> String {
            let slots: SlotSet = imports.flat_map(|import| import.record.slots.iter()).collect();
            slots.to_text(" ")
        };
        let imports = self.imports();
        let granted = |import: &&Import| import.epoch.is_some();
        let epoch = imports.iter().filter_map(|import| import.epoch).max().unwrap_or(0);
        let arriving = slots(&mut imports.iter());
        let granted = slots(&mut imports.iter().filter(granted));
        let text = format!("{arriving},{granted},{epoch}");
        let args: OwnedArgs = [&b"PUBLISH"[..], CHANNEL, text.as_bytes()].into_iter().collect();
        self.service.effects.begin(self.service.consumers);
        self.propagate_to_replicas(0, args.as_args());
        self.propagate_as(Atomic::No);
    }

    /// Handles a message if it is the primary telling which slots it is importing. True if it is.
    pub(in crate::server) fn handle_imports_message(
        &mut self,
        now: Now<'_>,
        args: Args<'_>,
    ) -> bool {
        if args.get(1) != Some(CHANNEL) {
            return false;
        }
        let text = String::from_utf8_lossy(args.get(2).unwrap_or_default()).into_owned();
        let mut parts = text.split(',');
        let mut slots = || SlotSet::from_text(parts.next()?, ' ');
        let (arriving, granted) = (slots().unwrap_or_default(), slots().unwrap_or_default());
        let epoch = parts.next().and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        if let Some(node) = &mut self.service.cluster {
            node.handover.of_primary = arriving;
            // Slots that the primary no longer mentions may have been taken over. That is only
            // determined if it matters.
            granted.iter().for_each(|slot| {
                node.handover.granted.insert(slot);
            });
        }
        if !granted.is_empty() {
            self.with_cluster(now, |state, local| state.learn_epoch(local, epoch));
        }
        self.hide_foreign_keys();
        true
    }

    /// This node replaces its primary: slots that were being imported no longer are, and those that
    /// may have been taken over are in doubt.
    pub(in crate::server::cluster) fn inherit_imports(&mut self, now: Now<'_>) {
        self.forget_granted();
        let Some(node) = &mut self.service.cluster else { return };
        let granted = core::mem::take(&mut node.handover.granted);
        let slots = core::mem::take(&mut node.handover.of_primary).without(&granted);
        node.handover.add_leftover(&slots);
        let uncertain = UncertainSlots { slots: granted, since: now.mono.as_millis() };
        node.handover.uncertain = Some(uncertain).filter(|uncertain| !uncertain.slots.is_empty());
        self.hide_foreign_keys();
    }

    /// Forgets granted slots that are known to have changed hands.
    fn forget_granted(&mut self) {
        let Some(node) = &mut self.service.cluster else { return };
        let Some(state) = node.state.as_deref().filter(|_| !node.handover.granted.is_empty())
        else {
            return;
        };
        let me = state.my_id();
        let mine = state.node_view_of(me).and_then(|view| view.master).unwrap_or(me);
        let granted = node.handover.granted.iter();
        node.handover.granted =
            granted.filter(|slot| state.owner_of(*slot) != Some(mine)).collect();
    }

    /// Decides about slots that the former primary may have taken over, once the other primaries
    /// have answered: if their owner no longer claims them, the copies here are the only ones.
    fn resolve_uncertain_slots(&mut self, now: Now<'_>) {
        let Some(node) = &mut self.service.cluster else { return };
        let (Some(state), Some(uncertain)) = (node.state.as_deref(), &node.handover.uncertain)
        else {
            return;
        };
        if !state.primaries_have_answered_since(uncertain.since) {
            return;
        }
        // If the owner has failed, a node that replaces it claims them, or not.
        let is_decided = |slot: &Slot| {
            let view = state.owner_of(*slot).and_then(|owner| state.node_view_of(owner));
            state.is_replica() || view.is_none_or(|view| !view.failed)
        };
        let decided: SlotSet = uncertain.slots.iter().filter(is_decided).collect();
        let is_mine = |slot: &Slot| !state.is_replica() && state.is_given_away(*slot);
        let mine: SlotSet = decided.iter().filter(is_mine).collect();
        let slots = uncertain.slots.without(&decided);
        let since = uncertain.since;
        node.handover.add_leftover(&decided.without(&mine));
        node.handover.uncertain =
            Some(UncertainSlots { slots, since }).filter(|left| !left.slots.is_empty());
        if !mine.is_empty() {
            self.notice(|| {
                let slots = mine.to_text(" ");
                format!("Slots {slots} were taken over by the primary that this node has replaced")
            });
            self.with_cluster(now, |state, local| state.claim_slots(local, &mine));
        }
        self.hide_foreign_keys();
    }

    /// The data has been loaded: keys of unfinished migrations are leftovers. Returns their slots.
    pub(in crate::server::cluster) fn restore_imports(&mut self) -> SlotSet {
        let slots = self.cluster_state().map(|state| state.arriving_slots().clone());
        let slots = slots.unwrap_or_default();
        if let Some(node) = &mut self.service.cluster {
            node.handover.leftover.clone_from(&slots);
        }
        self.hide_foreign_keys();
        slots
    }

    /// Hides keys that belong to another node from KEYS, SCAN, DBSIZE and RANDOMKEY: those being
    /// imported, here or at the primary, and those that are still to be deleted.
    pub(in crate::server::cluster) fn hide_foreign_keys(&mut self) {
        let Some(node) = &self.service.cluster else { return };
        let mut hidden = node.dropping.clone();
        let Handover { imports, of_primary, granted, uncertain, leftover, .. } = &node.handover;
        let arriving = imports.iter().map(|import| &import.record.slots);
        let in_doubt = uncertain.iter().map(|uncertain| &uncertain.slots);
        let foreign = arriving.chain([of_primary, granted, leftover]).chain(in_doubt);
        for slot in foreign.flat_map(SlotSet::iter) {
            hidden.insert(slot);
        }
        let owned = |slot: &Slot| node.state().is_some_and(|state| state.owns(*slot));
        let hidden = hidden.iter().filter(|slot| !owned(slot)).collect();
        self.service.keyspace.env.hidden_slots = hidden;
    }

    /// Deletes the keys that failed migrations have left, once another node serves their slots.
    fn drop_leftover(&mut self) {
        let Some(node) = &mut self.service.cluster else { return };
        if node.handover.leftover.is_empty() {
            return;
        }
        let Some(state) = node.state.as_deref() else { return };
        let mut waits = SlotSet::new();
        for slot in node.handover.leftover.iter() {
            let owner = state.owner_of(slot);
            if state.owns(slot) {
                continue;
            }
            if state.is_replica() {
                // The primary deletes them, unless it owns the slot again.
                let me = state.node_view_of(state.my_id());
                let kept = owner == me.and_then(|me| me.master);
                if !kept && self.service.keyspace.count_in_slot(slot) > 0 {
                    waits.insert(slot);
                }
                continue;
            }
            let view = owner.and_then(|owner| state.node_view_of(owner));
            if view.is_some_and(|view| !view.failed) {
                node.dropping.insert(slot);
            } else {
                waits.insert(slot);
            }
        }
        let changed = node.handover.leftover != waits;
        node.handover.leftover = waits;
        if changed {
            self.hide_foreign_keys();
        }
    }
}

const NO_MOVE: CommandError = CommandError::text("ERR No slots are moving on this connection");
