//! The source of a slot migration: a connection to the target, a snapshot, the changes after it,
//! and the moment at which the slots change hands.

use core::iter;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{MAX_CLOSED, MIN_CLOSED, Record};
use crate::cluster::Cluster;
use crate::command::effects::{PropagateTo, Propagated};
use crate::command::feed::write_request;
use crate::command::find_keys;
use crate::front::{PeerInput, Service};
use crate::machine::{Address, ConnId, Endpoint, LogLevel, Outbox};
use crate::peer::{CloseReason, Event, Peer, PeerConfig, Preamble};
use crate::resp::request::Args;
use crate::resp::value::{Limits, Value};
use crate::server::persistence::snapshot::{Failure, Purpose};
use crate::server::replication::address_of_name;
use crate::server::{Redis, Server};
use crate::sharding::Slot;
use crate::time::{Duration, Mono, Now};

/// How many bytes of the snapshot may be in the outbox.
const WINDOW: usize = 2 << 20;

/// How many bytes of changes may be buffered, waiting for the snapshot to end or for the target to
/// receive them. Beyond that, clients write faster than the target can follow, and the migration is
/// aborted.
const MAX_CHANGES: usize = 256 << 20;

/// Outbox size in bytes at which the slots are closed, so that they are closed only briefly; and the
/// number of times that the target is asked to catch up before they are closed anyway.
const LOW_UNSENT: usize = 64 << 10;
const MAX_ROUNDS: u32 = 20;

/// Limits on replies: every request is answered by a single line.
const LIMITS: Limits = Limits { depth: 1, string: 4096, elements: 16, line: 4096 };

/// A migration of slots from this node.
#[derive(Clone, Debug)]
pub(super) struct Export {
    pub(super) record: Record,
    /// The connection to the target. A request's token is the stage that waits for its reply.
    peer: Option<Peer<Stage>>,
    stage: Stage,
    /// Changes since the snapshot began.
    changes: Vec<u8>,
    /// How often the target was asked to catch up.
    rounds: u32,
    /// When the migration is aborted if the target stays silent; in the last stage, when the target
    /// can no longer take over.
    deadline: Mono,
}

/// The stage of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waiting for another migration or snapshot.
    Queued,
    Connecting,
    /// The target was asked to import the slots.
    Establishing,
    /// The target is ready, but another snapshot has started meanwhile.
    WaitsForSnapshot,
    Snapshot,
    /// The target was asked whether it has everything that was sent.
    CatchingUp,
    /// It has. The slots are closed as soon as no script or transaction is half executed.
    Ready,
    /// The slots are closed. The target was asked whether it has the last changes.
    Draining,
    /// The target was told to take over. Only its shard now knows who owns the slots.
    TakingOver,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Stage::Queued => "queued",
            Stage::Connecting => "connecting",
            Stage::Establishing => "establishing",
            Stage::WaitsForSnapshot => "waiting-to-snapshot",
            Stage::Snapshot => "snapshotting",
            Stage::CatchingUp | Stage::Ready => "streaming",
            Stage::Draining => "waiting-for-paused",
            Stage::TakingOver => "failover-granted",
        }
    }
}

impl Export {
    pub(super) fn new(record: Record) -> Self {
        Self {
            record,
            peer: None,
            stage: Stage::Queued,
            changes: Vec::new(),
            rounds: 0,
            deadline: Mono::default(),
        }
    }

    /// Whether this is the connection to the target.
    pub(super) fn has_conn(&self, conn: ConnId) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.is(conn))
    }

    /// Size of the outbox in bytes.
    fn unsent(&self) -> usize {
        self.peer.as_ref().map_or(0, Peer::unsent)
    }

    /// Whether changes have to be sent after the snapshot.
    pub(super) fn follows(&self) -> bool {
        matches!(self.stage, Stage::Snapshot | Stage::CatchingUp | Stage::Ready)
    }

    /// Whether the slots may already have changed hands.
    fn is_uncertain(&self) -> bool {
        self.stage == Stage::TakingOver
    }

    fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Draining | Stage::TakingOver)
    }
}

impl Server {
    fn export(&mut self) -> Option<&mut Export> {
        self.service.cluster.as_mut()?.handover.exports.front_mut()
    }

    fn export_stage(&self) -> Option<Stage> {
        Some(self.service.cluster.as_ref()?.handover.exports.front()?.stage)
    }

    /// Continues the current migration.
    pub(in crate::server::cluster) fn export_cron(&mut self, now: Now<'_>) {
        let Some(node) = &self.service.cluster else { return };
        let (Some(export), Some(state)) = (node.handover.exports.front(), node.state()) else {
            return;
        };
        let (stage, slots, late) =
            (export.stage, &export.record.slots, now.mono >= export.deadline);
        let mine = slots.iter().filter(|slot| state.owns(*slot)).count();
        let taken = slots.iter().all(|slot| state.owner_of(slot) == Some(export.record.target));
        if stage == Stage::TakingOver && taken {
            return self.end_export(now, None);
        }
        if state.is_replica() || mine < slots.len() {
            let why = "this node no longer owns the slots";
            return self.end_export(now, Some(why.to_owned()));
        }
        match stage {
            Stage::Queued if self.snapshot().is_none() && !self.is_halted() => {
                self.connect_export(now);
            }
            Stage::WaitsForSnapshot if !late => self.begin_slots_snapshot(now),
            Stage::Ready if !self.is_halted() => self.close_slots(now),
            Stage::Queued | Stage::Ready => {}
            Stage::TakingOver if late => self.resolve_takeover(now),
            _ if late => {
                let name = stage.name();
                let why = format!("the target timed out in state {name}");
                self.end_export(now, Some(why));
            }
            _ => {}
        }
    }

    /// The target was told to take over, and has not answered. The slots stay closed until it is
    /// certain that it has not taken over, or that its claim will not prevail.
    fn resolve_takeover(&mut self, now: Now<'_>) {
        let Some((target, over)) =
            self.export().map(|export| (export.record.target, export.deadline))
        else {
            return;
        };
        let Some(state) = self.cluster_state() else { return };
        if state.has_answered_since(target, over.as_millis()) {
            let why = "the target received TAKEOVER too late";
            self.end_export(now, Some(why.to_owned()));
        } else if state.is_given_up(target) {
            self.with_cluster(now, Cluster::keep_slots);
            let why = "the target failed during the takeover";
            self.end_export(now, Some(why.to_owned()));
        }
    }

    /// Whether [`Server::export_cron`] has something to do at once.
    pub(in crate::server::cluster) fn export_waits(&self) -> bool {
        match self.export_stage() {
            Some(Stage::Queued) => self.snapshot().is_none() && !self.is_halted(),
            Some(Stage::Ready) => !self.is_halted(),
            _ => false,
        }
    }

    /// How long the target may be silent.
    fn export_timeout(&self) -> Duration {
        Duration::from_secs(self.config.settings().repl_timeout.max(1))
    }

    /// How long slots stay closed.
    fn closed_time(&self) -> Duration {
        let timeout = Duration::from_millis(self.config.settings().cluster.node_timeout);
        timeout.clamp(MIN_CLOSED, MAX_CLOSED)
    }

    fn set_export_stage(&mut self, now: Now<'_>, stage: Stage, within: Duration) {
        if let Some(export) = self.export() {
            export.stage = stage;
            export.deadline = now.mono + within;
            export.record.becomes(stage.name(), now.wall);
        }
        self.followers_changed();
    }

    fn connect_export(&mut self, now: Now<'_>) {
        let Some(target) = self.export().map(|export| export.record.target) else { return };
        let view = self.cluster_state().and_then(|state| state.node_view_of(target));
        let Some(view) = view.filter(|view| !view.failed && view.port != 0) else {
            return self.end_export(now, Some("the target cannot be reached".to_owned()));
        };
        let to = match address_of_name(&view.ip) {
            Some(ip) => Address::Endpoint(Endpoint::Ip(SocketAddr::new(ip, view.port))),
            None => Address::Name { host: view.ip, port: view.port },
        };
        let settings = self.config.settings();
        let preamble = match &settings.masterauth {
            Some(password) => Preamble::new().auth(settings.masteruser.as_deref(), password),
            None => Preamble::new(),
        };
        let outbox_limit = usize::MAX;
        let config = PeerConfig { preamble, outbox_limit, limits: LIMITS, ..PeerConfig::new(to) };
        let conn = self.new_conn();
        let mut peer = Peer::new(config);
        peer.connect(now.mono, conn);
        if let Some(export) = self.export() {
            export.peer = Some(peer);
        }
        let patience = self.closed_time();
        self.set_export_stage(now, Stage::Connecting, patience);
        self.with_target(|_| ());
    }

    /// Does something with the connection to the target.
    fn with_target<R>(&mut self, what: impl FnOnce(&mut Peer<Stage>) -> R) -> Option<R> {
        let peer = self.service.cluster.as_mut()?.handover.exports.front_mut()?.peer.as_mut()?;
        let result = what(peer);
        if peer.unsent() > WINDOW / 2 {
            peer.outbox().set_low_water(WINDOW / 2);
        }
        self.outputs.extend(iter::from_fn(|| peer.poll_output()));
        Some(result)
    }

    /// Handles an input about the connection to the target.
    pub(in crate::server) fn export_input(&mut self, now: Now<'_>, input: PeerInput<'_>) {
        let mono = now.mono;
        match input {
            PeerInput::Connected { local, peer: there } => {
                self.with_target(|peer| peer.connected(mono, local, there));
            }
            PeerInput::Received(bytes) => {
                self.with_target(|peer| peer.received(mono, bytes));
            }
            PeerInput::Ended => {
                self.with_target(|peer| peer.ended(mono));
            }
            PeerInput::ConnectFailed(error) | PeerInput::Closed(error) => {
                self.with_target(|peer| peer.disconnected(mono, error));
            }
            PeerInput::Drained => {
                let patience = self.export_timeout();
                if let Some(export) = self.export().filter(|export| !export.is_closed()) {
                    export.deadline = now.mono + patience;
                }
            }
            PeerInput::Accepted { .. } => {}
        }
        // The next migration in the queue has no connection yet.
        while let Some(Some(event)) = self.with_target(Peer::poll_event) {
            self.export_event(now, event);
        }
    }

    fn export_event(&mut self, now: Now<'_>, event: Event<Stage>) {
        match event {
            Event::Connected { .. } => self.establish_export(now),
            Event::Reply { value: Value::Error(text), .. } => {
                let text = String::from_utf8_lossy(&text).into_owned();
                self.end_export(now, Some(format!("the target answered: {text}")));
            }
            Event::Reply { token: Stage::Establishing, .. } => self.begin_slots_snapshot(now),
            Event::Reply { token: Stage::CatchingUp, .. } => self.caught_up(now),
            Event::Reply { token: Stage::Draining, value, .. } => self.target_has_all(now, &value),
            Event::Reply { token: Stage::TakingOver, .. } => self.end_export(now, None),
            Event::Reply { .. } | Event::Refused { .. } | Event::Push(_) => {
                let why = "unexpected reply of the target";
                self.end_export(now, Some(why.to_owned()));
            }
            Event::Closed { reason, .. } => {
                if self.export().is_some_and(|export| !export.is_uncertain()) {
                    let why = format!("the connection to the target was closed: {reason}");
                    self.end_export(now, Some(why));
                }
            }
        }
    }

    /// The outbox of the connection to the target.
    pub(in crate::server) fn export_outbox(&mut self) -> Option<&mut Outbox> {
        Some(self.export()?.peer.as_mut()?.outbox())
    }

    /// Sends a request to the target, and enters the stage that waits for its reply.
    fn ask_target(&mut self, now: Now<'_>, words: &[&[u8]], stage: Stage, within: Duration) {
        self.with_target(|peer| peer.request(now.mono, words, stage));
        self.set_export_stage(now, stage, within);
    }

    /// Sends commands that get no reply.
    fn send_to_target(&mut self, bytes: &[u8]) {
        self.with_target(|peer| peer.extend_request(bytes));
    }

    fn establish_export(&mut self, now: Now<'_>) {
        let Some(record) = self.export().map(|export| export.record.clone()) else { return };
        let numbers: Vec<String> = record
            .slots
            .ranges()
            .flat_map(|(first, last)| [first.to_string(), last.to_string()])
            .collect();
        let source = record.source.to_string();
        let mut words: Vec<&[u8]> = vec![b"CLUSTER", b"SYNCSLOTS", b"ESTABLISH", b"SOURCE"];
        words.extend([source.as_bytes(), b"NAME", record.name.as_bytes(), b"SLOTSRANGE"]);
        words.extend(numbers.iter().map(|number| number.as_bytes()));
        let patience = self.export_timeout();
        self.ask_target(now, &words, Stage::Establishing, patience);
    }

    fn begin_slots_snapshot(&mut self, now: Now<'_>) {
        let Some(slots) = self.export().map(|export| Arc::new(export.record.slots.clone())) else {
            return;
        };
        let patience = self.export_timeout();
        match self.begin_snapshot(now, Purpose::Slots { slots }) {
            Ok(()) => self.set_export_stage(now, Stage::Snapshot, patience),
            Err(_) if self.export_stage() == Some(Stage::WaitsForSnapshot) => {}
            Err(_) => self.set_export_stage(now, Stage::WaitsForSnapshot, patience),
        }
    }

    /// How many bytes of the snapshot may be sent now.
    pub(in crate::server) fn slots_snapshot_room(&self) -> usize {
        let node = self.service.cluster.as_ref();
        let export = node.and_then(|node| node.handover.exports.front());
        export
            .filter(|export| export.stage == Stage::Snapshot)
            .map_or(0, |export| WINDOW.saturating_sub(export.unsent()))
    }

    /// Sends bytes of the snapshot.
    pub(in crate::server) fn slots_snapshot_bytes(&mut self, bytes: &[u8]) {
        self.send_to_target(bytes);
    }

    /// The snapshot has ended: sends the changes made meanwhile.
    pub(in crate::server) fn slots_snapshot_ended(
        &mut self,
        now: Now<'_>,
        result: Result<(), Failure>,
    ) {
        if self.export_stage() != Some(Stage::Snapshot) {
            return;
        }
        if let Err(failure) = result {
            let why = match failure {
                Failure::Behind => "the target receives the keys more slowly than clients write",
                Failure::Disk(_) | Failure::Killed => "the snapshot was aborted",
            };
            return self.end_export(now, Some(why.to_owned()));
        }
        let changes = self.export().map(|export| core::mem::take(&mut export.changes));
        self.send_to_target(&changes.unwrap_or_default());
        self.ask_to_catch_up(now);
    }

    fn ask_to_catch_up(&mut self, now: Now<'_>) {
        let patience = self.export_timeout();
        let words: [&[u8]; 3] = [b"CLUSTER", b"SYNCSLOTS", b"SNAPSHOT-EOF"];
        self.ask_target(now, &words, Stage::CatchingUp, patience);
    }

    fn caught_up(&mut self, now: Now<'_>) {
        let Some(export) = self.export() else { return };
        export.rounds += 1;
        if export.unsent() > LOW_UNSENT && export.rounds < MAX_ROUNDS {
            return self.ask_to_catch_up(now);
        }
        let patience = self.export_timeout();
        self.set_export_stage(now, Stage::Ready, patience);
        if !self.is_halted() {
            self.close_slots(now);
        }
    }

    /// Closes the slots: commands on them are held back, so that nothing in them changes.
    fn close_slots(&mut self, now: Now<'_>) {
        let Some(slots) = self.export().map(|export| export.record.slots.clone()) else { return };
        self.with_cluster(now, |state, _| state.close_slots(Some(slots)));
        let closed = self.closed_time();
        self.ask_target(now, &[b"CLUSTER", b"SYNCSLOTS", b"DRAIN"], Stage::Draining, closed);
    }

    /// The target has everything, and says in which epoch it will own the slots. The time for which
    /// they stay closed restarts, and the target, which has answered before now, has half of it.
    fn target_has_all(&mut self, now: Now<'_>, reply: &Value) {
        let epoch = match reply {
            Value::Integer(epoch) => u64::try_from(*epoch).ok(),
            _ => None,
        };
        let Some(epoch) = epoch else {
            let why = "the target did not reply with the epoch in which it will own the slots";
            return self.end_export(now, Some(why.to_owned()));
        };
        self.with_cluster(now, |state, local| state.announce_epoch(local, epoch));
        let closed = self.closed_time();
        let half = (closed.as_millis() / 2).to_string();
        let words: [&[u8]; 4] = [b"CLUSTER", b"SYNCSLOTS", b"TAKEOVER", half.as_bytes()];
        self.ask_target(now, &words, Stage::TakingOver, closed);
    }

    /// The current migration has ended: successfully, or for this reason.
    pub(super) fn end_export(&mut self, now: Now<'_>, failure: Option<String>) {
        self.with_target(|peer| peer.close(CloseReason::Requested));
        let Some(node) = &mut self.service.cluster else { return };
        let Some(mut export) = node.handover.exports.pop_front() else { return };
        let snapshot = export.stage == Stage::Snapshot;
        let Record { target, slots, .. } = &export.record;
        let (target, slots) = (*target, slots.clone());
        export.record.becomes(if failure.is_none() { "success" } else { "failed" }, now.wall);
        let text = slots.to_text(" ");
        match &failure {
            None => self.notice(|| format!("Slots {text} have moved to node {target}")),
            Some(why) => self.log(LogLevel::Warning, || {
                format!("Slots {text} have not moved to node {target}: {why}")
            }),
        }
        let succeeded = failure.is_none();
        export.record.message = failure.unwrap_or_default();
        let was_closed = export.is_closed();
        if let Some(node) = &mut self.service.cluster {
            node.handover.remember(export.record);
        }
        if snapshot {
            self.kill_snapshot(now);
        }
        if succeeded {
            self.with_cluster(now, |state, local| state.hand_over(local, &slots, target));
        }
        if was_closed {
            self.with_cluster(now, |state, _| state.close_slots(None));
            self.service.cluster_opened = true;
        }
        self.followers_changed();
    }

    /// Executes the commands that were held back for closed slots.
    pub(in crate::server::cluster) fn open_slots(&mut self, now: Now<'_>) {
        if core::mem::take(&mut self.service.cluster_opened) {
            self.resume_paused(now);
        }
    }

    /// Cancels all migrations from this node.
    pub(super) fn cancel_exports(&mut self, now: Now<'_>) -> Result<(), &'static str> {
        if self.export().is_some_and(|export| export.is_uncertain()) {
            return Err("ERR The slots are changing hands. See CLUSTER GETSLOTMIGRATIONS");
        }
        while self.export_stage().is_some() {
            self.end_export(now, Some("it was cancelled".to_owned()));
        }
        Ok(())
    }

    /// Records what commands have changed, while slots are migrated.
    pub(in crate::server) fn feed_handover(&mut self, commands: &[Propagated]) {
        let follows = self.service.cluster.as_ref().is_some_and(|node| node.handover.follows());
        if !follows {
            return;
        }
        let (mono, wall) = self.now;
        let now = Now::instantaneous(mono, wall);
        for command in commands.iter().filter(|command| command.to != PropagateTo::Aof) {
            let args = command.args.as_args();
            let name = args.at(0);
            if name.eq_ignore_ascii_case(b"flushall") || name.eq_ignore_ascii_case(b"flushdb") {
                self.end_imports(now, "all keys were deleted");
                if self.export().is_some_and(|export| export.follows()) {
                    self.end_export(now, Some("all keys were deleted".to_owned()));
                }
                return;
            }
            if let Some(slot) = slot_of(args) {
                self.feed_export(now, slot, args);
            }
        }
    }

    fn feed_export(&mut self, now: Now<'_>, slot: Slot, args: Args<'_>) {
        let Some(export) = self.export() else { return };
        if !export.follows() || !export.record.slots.contains(slot) {
            return;
        }
        let waiting = if export.stage == Stage::Snapshot {
            write_request(&mut export.changes, args);
            export.changes.len()
        } else {
            let mut bytes = Vec::new();
            write_request(&mut bytes, args);
            self.send_to_target(&bytes);
            self.export().map_or(0, |export| export.unsent())
        };
        if waiting > MAX_CHANGES {
            let why = "clients write faster than the target receives the changes";
            self.end_export(now, Some(why.to_owned()));
        }
    }
}

/// The slot of the keys of a propagated command.
fn slot_of(args: Args<'_>) -> Option<Slot> {
    let table = Redis::table();
    let name = args.at(0).to_ascii_lowercase();
    let command = table.by_name(core::str::from_utf8(&name).ok()?)?;
    let command = match command.subcommands.is_empty() {
        true => command,
        false => table.subcommand(command, args.get(1)?)?,
    };
    let places = find_keys::keys(command.meta, args)?;
    let (at, _) = places.into_iter().next()?;
    Some(Slot::of(args.get(at)?))
}
