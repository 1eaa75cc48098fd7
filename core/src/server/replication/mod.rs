//! Replication between a primary and its replicas.
//!
//! * `backlog`: the latest part of the replication stream;
//! * `primary`: a primary's view of its replicas: their state, their offsets, and what they are
//!   sent;
//! * `psync`: PSYNC and SYNC; `sync`: sending a full sync;
//! * `replica`: a replica's view of its primary: the link, the cached position, and how a server
//!   becomes a replica or a primary;
//! * `handshake`: the replica's handshake;
//! * `transfer`: receiving a full sync; `load`: loading it;
//! * `stream`: executing the primary's commands;
//! * `wait`: WAIT and WAITAOF;
//! * `failover`: FAILOVER;
//! * `rules`: what is allowed on and by a replica, and how keys expire there;
//! * `cron`: periodic tasks;
//! * `commands`, `info`: commands and INFO; `view`: read-only views for observers.
//!
//! The protocol is that of Redis 7 (PSYNC2). A replication stream has an id and an offset in bytes;
//! both survive a change of primary, because the new primary keeps the old id as its second one,
//! valid up to the offset at which it took over.

mod backlog;
mod commands;
mod cron;
mod failover;
mod handshake;
mod info;
mod load;
mod primary;
mod psync;
mod replica;
mod rules;
mod stream;
mod sync;
mod transfer;
mod view;
mod wait;

use backlog::Backlog;
pub(super) use commands::{GENERIC_ROWS, ROWS};
pub(super) use primary::Replica;
pub(super) use replica::address_of_name;
pub(super) use rules::MASTERDOWN;
pub(super) use sync::Work as Sent;
pub(super) use transfer::Work as Receiving;
pub use view::{BacklogView, PrimaryView, ReplicaView, ReplicationView};
pub(super) use wait::Acks;

use super::Server;
use super::persistence::intake::LoadedPosition;
use crate::command::effects::{PropagateTo, Propagated};
use crate::command::feed::{Feed, write_words};
use crate::time::{Mono, Now};

/// A replication id: forty hexadecimal digits.
pub(super) type StreamId = [u8; 40];

/// The value of a missing second id.
const NO_ID: StreamId = [b'0'; 40];

/// The state of replication: the stream, the replicas and the primary.
#[derive(Clone, Debug)]
pub(super) struct Replication {
    /// The replication id.
    id: StreamId,
    /// The id that the stream had before this server took over, or zeros.
    second_id: StreamId,
    /// The first offset that does not belong to the second id; -1 if there is none.
    second_offset: i64,
    /// The offset of the last byte of the stream.
    offset: i64,
    backlog: Option<Backlog>,
    feed: Feed,
    /// Slots of the replicas, in the order in which they connected.
    replicas: Vec<u32>,
    /// Since when there are none.
    no_replicas_since: Mono,
    /// Whether the backlog has bytes that replicas have not been sent.
    has_unsent: bool,
    /// Whether replicas have acknowledged more, or WAITs have to be checked again for another
    /// reason.
    acked: bool,
    /// Whether to ask replicas for their offsets (REPLCONF GETACK).
    ask: bool,
    /// Whether a replica is new, so that a full sync may have to be started.
    arrived: bool,
    /// The primary, if this server is a replica.
    primary: Option<replica::Primary>,
    /// The stream's position when the link to a primary was lost, or when this server became a
    /// replica: from there it may be resumed.
    cached: Option<replica::Cached>,
    failover: Option<failover::Failover>,
    /// Slots of clients in WAIT or WAITAOF, in the order in which they blocked.
    waiting: Vec<u32>,
    sync: sync::State,
    schedule: cron::Schedule,
    own_keys: rules::OwnKeys,
    stats: Stats,
}

/// Counters for INFO.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub(super) struct Stats {
    pub(super) sync_full: u64,
    pub(super) sync_partial_ok: u64,
    pub(super) sync_partial_err: u64,
    pub(super) unexpected_error_replies: u64,
    pub(super) net_input: u64,
    pub(super) net_output: u64,
}

/// The replication position in a snapshot, from which the stream can be resumed after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The replication id (`repl-id`).
    pub(super) id: StreamId,
    /// The offset (`repl-offset`).
    pub(super) offset: u64,
    /// The database selected in the stream (`repl-stream-db`); -1 if none is yet.
    pub(super) db: i64,
}

impl Replication {
    pub(super) fn new(id: StreamId) -> Self {
        Self {
            id,
            second_id: NO_ID,
            second_offset: -1,
            offset: 0,
            backlog: None,
            feed: Feed::default(),
            replicas: Vec::new(),
            no_replicas_since: Mono::ZERO,
            has_unsent: false,
            acked: false,
            ask: false,
            arrived: false,
            primary: None,
            cached: None,
            failover: None,
            waiting: Vec::new(),
            sync: sync::State::default(),
            schedule: cron::Schedule::default(),
            own_keys: rules::OwnKeys::default(),
            stats: Stats::default(),
        }
    }

    /// Whether there is nothing to do: the server is not a replica, has no replicas, and keeps no
    /// backlog for any that may reconnect.
    #[inline]
    fn is_alone(&self) -> bool {
        self.primary.is_none()
            && self.replicas.is_empty()
            && self.backlog.is_none()
            && self.failover.is_none()
            && self.own_keys.len() == 0
            && !self.schedule.unpause
    }

    /// Whether this server is a replica.
    #[inline]
    pub(super) fn is_replica(&self) -> bool {
        self.primary.is_some()
    }

    /// The offset of the last byte of the stream, which the replicas of a write have to
    /// acknowledge.
    #[inline]
    pub(super) fn offset(&self) -> i64 {
        self.offset
    }

    /// Number of replicas.
    pub(super) fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// The counters of INFO.
    pub(super) fn counted(&self) -> Stats {
        self.stats
    }

    /// The counters of INFO, to be updated.
    pub(super) fn stats(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// Creates the backlog, if there is none.
    fn open_backlog(&mut self) {
        if self.backlog.is_none() {
            self.backlog = Some(Backlog::new(self.offset));
        }
    }

    fn forget_second_id(&mut self) {
        (self.second_id, self.second_offset) = (NO_ID, -1);
    }

    /// Appends to the stream.
    fn append(&mut self, write: impl FnOnce(&mut Feed, &mut Vec<u8>)) {
        if let Some(backlog) = &mut self.backlog {
            let feed = &mut self.feed;
            self.offset += backlog.append(|out| write(feed, out)) as i64;
            self.has_unsent = true;
        }
    }

    /// The position for a snapshot that is taken now. `None` if the stream could not be resumed
    /// from there.
    fn position(&self, db_of_primary: Option<usize>) -> Option<Position> {
        let db = match (&self.primary, db_of_primary, &self.cached) {
            (None, ..) if self.backlog.is_some() => i64::from(self.feed.selected().unwrap_or(0)),
            (None, ..) => return None,
            (Some(_), Some(db), _) => db as i64,
            (Some(_), None, Some(cached)) => i64::from(cached.db),
            (Some(_), None, None) => return None,
        };
        Some(Position { id: self.id, offset: u64::try_from(self.offset).unwrap_or_default(), db })
    }
}

impl Server {
    /// Whether commands have to be appended to the stream, for replicas or for the backlog.
    pub(super) fn replicas_follow(&self) -> bool {
        self.service.replication.backlog.is_some() && !self.service.replication.is_replica()
    }

    /// Whether this server is a replica.
    pub(super) fn is_replica(&self) -> bool {
        self.service.replication.is_replica()
    }

    /// Stops the append-only file while the data is replaced.
    fn pause_aof(&mut self, now: Now<'_>) {
        self.stop_aof(now);
    }

    /// Restarts the append-only file with the current data, if it was stopped.
    fn resume_aof(&mut self, now: Now<'_>) {
        if self.config.settings().appendonly && self.aof_is_off() {
            self.start_aof(now, None);
        }
    }

    /// The current replication offset.
    pub(in crate::server) fn stream_offset(&self) -> i64 {
        self.service
            .replication
            .stream()
            .map_or(self.service.replication.offset, |stream| stream.applied)
    }

    /// Propagates commands to the replicas. A replica instead forwards what it receives from its
    /// primary, so that all have the same stream.
    pub(super) fn feed_replicas(&mut self, commands: &[Propagated], whole: bool) {
        let replication = &mut self.service.replication;
        if replication.is_replica() {
            return;
        }
        if replication.backlog.is_none() {
            // There are no replicas, but WAITAOF depends on offsets.
            replication.offset += commands.len() as i64;
            return;
        }
        replication.append(|feed, out| feed.write(out, commands, whole));
    }

    /// Appends a command about the stream itself, which belongs to no database.
    fn feed_words(&mut self, words: &[&[u8]]) {
        if !self.service.replication.is_replica() {
            self.service.replication.append(|_, out| write_words(out, words.iter().copied()));
        }
    }

    /// Propagates a command to the replicas only, not to the append-only file.
    pub(super) fn propagate_to_replicas(
        &mut self,
        db: usize,
        args: crate::resp::request::Args<'_>,
    ) {
        if self.replicas_follow() {
            self.service.effects.for_replicas(db, args);
        }
    }

    /// The position for a snapshot that is taken now.
    pub(super) fn replication_position(&self) -> Option<Position> {
        let slot = self
            .service
            .replication
            .primary
            .as_ref()
            .and_then(|p| p.stream.as_ref())
            .map(|s| s.slot);
        let db = slot.and_then(|slot| self.clients.get(slot)).map(|client| client.state.db);
        self.service.replication.position(db)
    }

    /// Resumes the stream at the position of the snapshot that was loaded at the start. `left_out`
    /// are keys that were dropped because they had expired.
    pub(super) fn position_loaded(
        &mut self,
        now: Now<'_>,
        position: &LoadedPosition,
        left_out: &[(u64, Vec<u8>)],
    ) {
        let (Some(id), Some(offset), Some(db)) = (position.id, position.offset, position.db) else {
            return;
        };
        let (Ok(db), false) = (u32::try_from(db), offset < 0) else { return };
        let replication = &mut self.service.replication;
        replication.offset = offset;
        if replication.is_replica() {
            replication.id = id;
            replication.cached = Some(replica::Cached { id, offset, db });
            return self.notice(replica::SYNTHESIZED);
        }
        // Replicas may resume the old stream up to this position. From here on it is a new stream,
        // since before the restart more may have been sent than was saved.
        (replication.second_id, replication.second_offset) = (id, offset.saturating_add(1));
        replication.backlog = Some(Backlog::new(offset));
        replication.no_replicas_since = now.mono;
        // Replicas still have the dropped keys.
        let delete = |(db, key): &(u64, Vec<u8>)| Propagated {
            db: u32::try_from(*db).unwrap_or_default(),
            args: [&b"DEL"[..], key].into_iter().collect(),
            to: PropagateTo::All,
        };
        let commands: Vec<Propagated> = left_out.iter().map(delete).collect();
        self.feed_replicas(&commands, false);
        self.followers_changed();
    }

    /// Changes the replication id, as if this were another stream.
    pub(super) fn change_stream_id(&mut self) {
        self.service.replication.id = self.rng.hex40();
        self.service.replication.forget_second_id();
    }

    /// Memory of the backlog in bytes: up to its configured size, and beyond it for replicas that
    /// still need it.
    pub(super) fn backlog_memory(&self) -> (usize, usize) {
        let all = self.service.replication.backlog.as_ref().map_or(0, Backlog::memory);
        let size = self.config.settings().repl_backlog_size.max(backlog::MIN_SIZE);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        (all.min(size), all.saturating_sub(size))
    }

    /// Handles the consequences of what was just done: sends replicas new parts of the stream, asks
    /// for their offsets, answers WAITs. Called when no client is being served.
    #[inline]
    pub(super) fn replicate(&mut self, now: Now<'_>) {
        let replication = &self.service.replication;
        if replication.ask || replication.has_unsent || replication.acked || replication.arrived {
            self.replicate_now(now);
        }
    }

    #[cold]
    fn replicate_now(&mut self, now: Now<'_>) {
        if self.service.replication.ask && !self.pause.is_on(now.mono) {
            self.service.replication.ask = false;
            if !self.service.replication.replicas.is_empty() {
                self.feed_words(&[b"REPLCONF", b"GETACK", b"*"]);
            }
        }
        if core::mem::take(&mut self.service.replication.acked) {
            self.update_failover(now);
            self.serve_acks(now);
            self.answer_awaiting_sources(now);
        }
        if core::mem::take(&mut self.service.replication.arrived) {
            self.begin_sync(now);
        }
        if core::mem::take(&mut self.service.replication.has_unsent) {
            self.send_stream_to_replicas(now);
        }
    }
}
