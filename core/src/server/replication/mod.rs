//! Replication: a primary and its replicas.
//!
//! * `backlog`: the latest part of the stream of commands;
//! * `primary`: a primary's view of its replicas: who they are, how far each has come, and what it
//!   is sent next;
//! * `psync`: a replica asks to be sent the stream; `sync`: the copy of the data that a replica gets first;
//! * `replica`: a replica's view of its primary: the link, what is known when it is cut, and how
//!   a server becomes a replica and a primary again;
//! * `handshake`: how the two make themselves known;
//! * `transfer`: receiving a copy of the data; `load`: loading it;
//! * `stream`: carrying out what the primary sends;
//! * `wait`: clients that wait until replicas have what they wrote;
//! * `failover`: handing the primary's place to a replica;
//! * `rules`: what may be done on a replica and by a replica, and how keys expire there;
//! * `cron`: what is done because time passes;
//! * `commands`, `info`: what can be asked and told; `view`: what an observer sees.
//!
//! The protocol is that of Redis 7 (PSYNC2). A stream has an id and an offset, which counts its
//! bytes; both survive a change of primary, because the new one remembers the old id, up to the
//! offset at which it took over, as its second.

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

/// The name of a stream: forty hexadecimal digits.
pub(super) type StreamId = [u8; 40];

/// What stands where there is no second id.
const NO_ID: StreamId = [b'0'; 40];

/// What a server knows of its stream, of its replicas and of its primary.
#[derive(Clone, Debug)]
pub(super) struct Replication {
    /// The stream's id.
    id: StreamId,
    /// The id that the stream had before this server took over, or zeros.
    second_id: StreamId,
    /// The first offset that is not the second id's; -1 if there is none.
    second_offset: i64,
    /// The offset of the stream's last byte.
    offset: i64,
    backlog: Option<Backlog>,
    feed: Feed,
    /// Slots of the replicas, in the order in which they came.
    replicas: Vec<u32>,
    /// Since when there are none.
    no_replicas_since: Mono,
    /// Whether the backlog holds what replicas have not been given.
    news: bool,
    /// Whether replicas have acknowledged more, or those that wait for acknowledgements should look
    /// again.
    acked: bool,
    /// Whether replicas shall be asked how far they have come.
    ask: bool,
    /// Whether a replica is new, so that a copy of the data may have to be made.
    arrived: bool,
    /// The primary, if this server is a replica.
    primary: Option<replica::Primary>,
    /// Where the stream was when the link to a primary was cut, or when this server became a
    /// replica: it may go on from there.
    cached: Option<replica::Cached>,
    failover: Option<failover::Failover>,
    /// Slots of clients in WAIT or WAITAOF, in the order in which they began.
    waiting: Vec<u32>,
    sync: sync::State,
    schedule: cron::Schedule,
    own_keys: rules::OwnKeys,
    stats: Stats,
}

/// What INFO counts.
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

/// What a snapshot keeps of the stream, so that it can be gone on with after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The name of the stream (`repl-id`).
    pub(super) id: StreamId,
    /// Bytes of it so far (`repl-offset`).
    pub(super) offset: u64,
    /// The database that is selected in it (`repl-stream-db`); -1 if none is yet.
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
            news: false,
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

    /// Whether there is nothing to look after: it follows nobody, nobody follows it, and no part of the
    /// stream is kept for somebody who comes back.
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

    /// The offset of the stream's last byte: what a write has to be acknowledged up to.
    #[inline]
    pub(super) fn offset(&self) -> i64 {
        self.offset
    }

    /// How many replicas there are.
    pub(super) fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// What INFO tells.
    pub(super) fn counted(&self) -> Stats {
        self.stats
    }

    /// What INFO tells, to count.
    pub(super) fn stats(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// Begins the stream's backlog, if there is none.
    fn open_backlog(&mut self) {
        if self.backlog.is_none() {
            self.backlog = Some(Backlog::new(self.offset));
        }
    }

    fn forget_second_id(&mut self) {
        (self.second_id, self.second_offset) = (NO_ID, -1);
    }

    /// Adds to the stream.
    fn append(&mut self, write: impl FnOnce(&mut Feed, &mut Vec<u8>)) {
        if let Some(backlog) = &mut self.backlog {
            let feed = &mut self.feed;
            self.offset += backlog.append(|out| write(feed, out)) as i64;
            self.news = true;
        }
    }

    /// What a snapshot that is taken now keeps of the stream. `None` if nothing could be gone on
    /// with from there.
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
    /// Whether replicas, or the backlog that is kept for them, want commands.
    pub(super) fn replicas_follow(&self) -> bool {
        self.service.replication.backlog.is_some() && !self.service.replication.is_replica()
    }

    /// Whether this server follows a primary.
    pub(super) fn is_replica(&self) -> bool {
        self.service.replication.is_replica()
    }

    /// Stops the append-only file while the data is replaced.
    fn pause_aof(&mut self, now: Now<'_>) {
        self.stop_aof(now);
    }

    /// Begins the append-only file anew, with the data as it is now, if it was stopped.
    fn resume_aof(&mut self, now: Now<'_>) {
        if self.config.settings().appendonly && self.aof_is_off() {
            self.start_aof(now, None);
        }
    }

    /// How far the stream has come here.
    pub(in crate::server) fn stream_offset(&self) -> i64 {
        self.service
            .replication
            .stream()
            .map_or(self.service.replication.offset, |stream| stream.applied)
    }

    /// Sends commands to the replicas. A replica passes on what it gets from its primary instead,
    /// so that all have the same stream.
    pub(super) fn feed_replicas(&mut self, commands: &[Propagated], whole: bool) {
        let replication = &mut self.service.replication;
        if replication.is_replica() {
            return;
        }
        if replication.backlog.is_none() {
            // There is no replica, but WAITAOF waits for offsets.
            replication.offset += commands.len() as i64;
            return;
        }
        replication.append(|feed, out| feed.write(out, commands, whole));
    }

    /// Adds a command to the stream that is about the stream itself, and about no database.
    fn feed_words(&mut self, words: &[&[u8]]) {
        if !self.service.replication.is_replica() {
            self.service.replication.append(|_, out| write_words(out, words.iter().copied()));
        }
    }

    /// Sends a command to the replicas only, not to the append-only file.
    pub(super) fn tell_replicas(&mut self, db: usize, args: crate::resp::request::Args<'_>) {
        if self.replicas_follow() {
            self.service.effects.for_replicas(db, args);
        }
    }

    /// What a snapshot that is taken now keeps of the stream.
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

    /// Takes up the stream where the snapshot from which the data was read when the server started
    /// had come. `left_out` are keys that were not loaded because their time had come.
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
        // Replicas may go on with the old stream up to here. What comes is a new one, since what
        // this server sent before it ended may be more than it knows of.
        (replication.second_id, replication.second_offset) = (id, offset.saturating_add(1));
        replication.backlog = Some(Backlog::new(offset));
        replication.no_replicas_since = now.mono;
        // Replicas still have the keys that were left out.
        let delete = |(db, key): &(u64, Vec<u8>)| Propagated {
            db: u32::try_from(*db).unwrap_or_default(),
            args: [&b"DEL"[..], key].into_iter().collect(),
            to: PropagateTo::All,
        };
        let commands: Vec<Propagated> = left_out.iter().map(delete).collect();
        self.feed_replicas(&commands, false);
        self.followers_changed();
    }

    /// Gives the stream another id, as if it were another stream.
    pub(super) fn change_stream_id(&mut self) {
        self.service.replication.id = self.rng.hex40();
        self.service.replication.forget_second_id();
    }

    /// Memory that the backlog takes: as much as it is configured to, and what is kept beyond that
    /// because replicas still need it.
    pub(super) fn backlog_memory(&self) -> (usize, usize) {
        let all = self.service.replication.backlog.as_ref().map_or(0, Backlog::memory);
        let size = self.config.settings().repl_backlog_size.max(backlog::MIN_SIZE);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        (all.min(size), all.saturating_sub(size))
    }

    /// Does what has become necessary by what was just done: gives replicas what is new, asks
    /// them how far they are, tells those who wait. Called when no client is at work.
    #[inline]
    pub(super) fn replicate(&mut self, now: Now<'_>) {
        let replication = &self.service.replication;
        if replication.ask || replication.news || replication.acked || replication.arrived {
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
            self.tell_awaiting_sources(now);
        }
        if core::mem::take(&mut self.service.replication.arrived) {
            self.begin_sync(now);
        }
        if core::mem::take(&mut self.service.replication.news) {
            self.pass_on_news(now);
        }
    }
}
