//! Clients blocked on keys: BLPOP and the like.
//!
//! A handler that finds nothing to return says in [`Ctx::wait`] what it waits for. The client is
//! then blocked until one of its keys is ready, and its command is executed again from the start;
//! if another client was served first and nothing is left, it stays blocked. Clients are served in
//! the order in which they blocked.
//!
//! [`Ctx::wait`]: crate::command::Ctx::wait

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Command;
use super::Server;
use super::propagate::Atomic;
use super::replication::Acks;
use super::{Client, CloseState};
use crate::acl::Context;
use crate::command::context::EmptyReply;
use crate::command::{CommandError, Wait};
use crate::resp::reply::Reply;
use crate::resp::request::{Args, OwnedArgs};
use crate::sorted;
use crate::store::Type;
use crate::time::{Duration, Mono, Now};

type Place = (u32, Box<[u8]>);

/// How many clients are served at once. Others are served at the next wake-up.
const BATCH: usize = 128;

/// A blocked command, and what it waits for.
#[derive(Clone, Debug)]
pub struct Blocked {
    command: &'static Command,
    args: OwnedArgs,
    keys: Vec<Place>,
    until: Option<Mono>,
    empty: EmptyReply,
    kind: Type,
    /// Whether it is also woken when a key is deleted or becomes another type.
    unblock_on_nokey: bool,
    /// Set if it waits for replicas instead of keys (WAIT, WAITAOF).
    acks: Option<Acks>,
}

impl Blocked {
    /// The first of the keys that it waits for.
    pub(super) fn first_key(&self) -> Option<&[u8]> {
        self.keys.first().map(|(_, key)| &key[..])
    }

    /// Whether it is a write command.
    pub(super) fn writes(&self) -> bool {
        self.command.meta.has(crate::command::meta::flag::WRITE)
    }

    /// What it waits for, if it waits for replicas.
    pub(super) fn acks(&self) -> Option<Acks> {
        self.acks
    }
}

/// All blocked clients, by key, in the order in which they blocked.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    by_key: BTreeMap<Place, VecDeque<u32>>,
    /// Deadlines in nanoseconds, with client slots. Pairs of numbers are in other sets too, so the
    /// page carries no further instance of the B-tree's code.
    deadlines: BTreeSet<(u64, u64)>,
    /// Keys that may unblock a client, in the order in which they became ready.
    ready: VecDeque<Place>,
    /// Number of blocked clients.
    count: usize,
    /// Number of clients that are also woken by the deletion of a key (XREADGROUP).
    unblock_on_nokey: usize,
    /// The clients still to be served at the first ready key, once that has started.
    turns: Option<VecDeque<u32>>,
}

impl Waiting {
    /// Number of blocked clients.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Number of keys that clients are blocked on.
    pub(super) fn keys(&self) -> usize {
        self.by_key.len()
    }

    /// Number of blocked clients with a timeout.
    pub(super) fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// The next deadline of a blocked client.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.deadlines.first().map(|&(at, _)| Mono(at))
    }

    /// Whether there are keys that may unblock a client.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Records a key that may unblock a client.
    pub(super) fn note_ready(&mut self, place: Place) {
        if self.by_key.contains_key(&place) && !self.ready.contains(&place) {
            self.ready.push_back(place);
        }
    }

    /// Whether a client may be woken by the deletion of a key.
    pub(super) fn serves_on_deletion(&self) -> bool {
        self.unblock_on_nokey > 0
    }

    /// Records all keys of a database whose contents were replaced.
    pub(super) fn note_replaced(&mut self, db: u32) {
        let first = (db, Box::from([]));
        let keys = self.by_key.range(first..).take_while(|(place, _)| place.0 == db);
        for place in keys.map(|(place, _)| place.clone()).collect::<Vec<_>>() {
            self.note_ready(place);
        }
    }
}

impl Server {
    /// Blocks a client. If it was blocked before, its deadline stays.
    pub(super) fn block(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
        mut wait: Wait,
    ) {
        let until = match client.state.resumed.take() {
            Some(until) => until,
            None => wait.timeout.map(|timeout| now.mono + timeout),
        };
        let mut keys: Vec<Place> = Vec::with_capacity(wait.keys.len());
        for key in core::mem::take(&mut wait.keys) {
            let place = (client.state.db as u32, key);
            if !keys.contains(&place) {
                self.service
                    .waiting
                    .by_key
                    .entry(place.clone())
                    .or_default()
                    .push_back(client.slot);
                keys.push(place);
            }
        }
        if let Some(until) = until {
            self.service.waiting.deadlines.insert((until.0, client.slot.into()));
        }
        self.service.waiting.count += 1;
        self.service.consumers.blocked = true;
        let Wait { empty, kind, args: resolved, unblock_on_nokey, .. } = wait;
        if unblock_on_nokey {
            self.service.waiting.unblock_on_nokey += 1;
            self.service.consumers.watching = true;
        }
        let args = resolved.unwrap_or_else(|| args.into());
        let blocked =
            Blocked { command, args, keys, until, empty, kind, unblock_on_nokey, acks: None };
        client.state.blocked = Some(Box::new(blocked));
    }

    /// Blocks a client that waits for replicas.
    pub(super) fn block_for_acks(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
        acks: Acks,
        timeout: Option<Duration>,
    ) {
        let wait = Wait {
            keys: Vec::new(),
            timeout,
            empty: EmptyReply::Null,
            kind: Type::String,
            args: None,
            unblock_on_nokey: false,
        };
        self.block(now, client, command, args, wait);
        if let Some(blocked) = &mut client.state.blocked {
            blocked.acks = Some(acks);
        }
    }

    /// Removes a client from all lists and returns what it waited for.
    pub(super) fn unblock(&mut self, client: &mut Client) -> Option<Box<Blocked>> {
        let blocked = client.state.blocked.take()?;
        for place in &blocked.keys {
            if let Some(queue) = self.service.waiting.by_key.get_mut(place) {
                queue.retain(|slot| *slot != client.slot);
                if queue.is_empty() {
                    self.service.waiting.by_key.remove(place);
                }
            }
        }
        if let Some(until) = blocked.until {
            self.service.waiting.deadlines.remove(&(until.0, client.slot.into()));
        }
        if blocked.acks.is_some() {
            self.acks_ended(client.slot);
        }
        if blocked.unblock_on_nokey {
            self.service.waiting.unblock_on_nokey -= 1;
            self.note_watching();
        }
        self.service.waiting.count -= 1;
        self.service.consumers.blocked = self.service.waiting.count > 0;
        Some(blocked)
    }

    /// Serves clients whose keys have become ready, a limited number at a time.
    #[cold]
    pub(super) fn serve_waiting(&mut self, now: Now<'_>) {
        for _ in 0..BATCH {
            let Some(place) = self.service.waiting.ready.front().cloned() else { return };
            let kind = self.kind_of(now, &place);
            let none_to_serve = kind.is_none() && !self.service.waiting.serves_on_deletion();
            // A client that blocks again after its turn goes to the back of the queue and gets no
            // second turn.
            let queue = self.service.waiting.by_key.get(&place);
            let turns = self
                .service
                .waiting
                .turns
                .get_or_insert_with(|| queue.cloned().unwrap_or_default());
            let Some(slot) = turns.pop_front().filter(|_| !none_to_serve) else {
                self.service.waiting.ready.pop_front();
                self.service.waiting.turns = None;
                continue;
            };
            let Some(mut client) = self.clients.take(slot) else { continue };
            let waits = |blocked: &Blocked| {
                (blocked.unblock_on_nokey || Some(blocked.kind) == kind)
                    && blocked.keys.contains(&place)
            };
            if client.state.blocked.as_deref().is_some_and(waits) {
                self.resume(now, &mut client);
            }
            self.clients.put(client);
        }
    }

    /// Number of keys whose deletion wakes a client.
    pub(super) fn keys_watched_for_deletion(&self) -> usize {
        let blocked = self.clients.iter().filter_map(|client| client.state.blocked.as_deref());
        let mut keys: Vec<&Place> = blocked
            .filter(|blocked| blocked.unblock_on_nokey)
            .flat_map(|blocked| &blocked.keys)
            .collect();
        sorted::sort_by(&mut keys, Ord::cmp);
        keys.dedup();
        keys.len()
    }

    /// A key has changed: if it was deleted, or is no longer a stream, the clients that wait for
    /// that are woken.
    pub(super) fn note_deletion(&mut self, now: Now<'_>, db: u32, key: &[u8]) {
        let place = (db, key.into());
        if self.service.waiting.by_key.contains_key(&place)
            && self.kind_of(now, &place) != Some(Type::Stream)
        {
            self.service.waiting.note_ready(place);
        }
    }

    /// The type of a key, if it exists. Does not delete an expired key: that happens, with its
    /// events, when a command accesses it.
    fn kind_of(&mut self, now: Now<'_>, place: &Place) -> Option<Type> {
        self.service.keyspace.env.now_ms = now.wall.as_millis();
        let db = self.service.keyspace.db(place.0 as usize);
        Some(db.peek(db.key(&place.1))?.kind())
    }

    /// Executes the command of a blocked client again.
    fn resume(&mut self, now: Now<'_>, client: &mut Client) {
        let Some(blocked) = self.unblock(client) else { return };
        if !client.unrestricted && self.denies_resumed(now, client, &blocked) {
            return self.wake(now, client);
        }
        client.state.resumed = Some(blocked.until);
        let before = self.service.replication.offset();
        self.call(now, client, blocked.command, blocked.args.as_args());
        self.propagate_as(Atomic::Yes);
        if self.service.replication.offset() != before {
            client.state.write_offset = self.service.replication.offset();
        }
        client.state.resumed = None;
        if self.pubsub.has_queued_for_current() {
            self.deliver_queued_for_current(client);
        }
        if client.state.blocked.is_none() {
            self.end_caching_exception(client, blocked.command);
            self.wake(now, client);
        }
    }

    /// Replies with an error if ACL rules no longer allow the blocked command to the client's user.
    fn denies_resumed(&mut self, now: Now<'_>, client: &mut Client, blocked: &Blocked) -> bool {
        let (command, args) = (blocked.command, blocked.args.as_args());
        let context = Context::TopLevel;
        let Err(denied) = self.check_permission(now, client, command, args, context) else {
            return false;
        };
        let text = Self::denial(client, command, args, denied);
        self.stats.command(command.id).rejected += 1;
        self.answer_error(client, &CommandError::Text([b"NOPERM ", &text[..]].concat().into()));
        true
    }

    /// Continues with the requests that an unblocked client has pipelined.
    fn wake(&mut self, now: Now<'_>, client: &mut Client) {
        if client.requests.waiting() > 0 && !client.pending {
            client.pending = true;
            self.pending.push_back(client.slot);
        }
        if client.ended && !client.pending && client.close_state == CloseState::Open {
            client.close_state = CloseState::AfterReply;
        }
        self.flush(now, client);
    }

    /// Unblocks the clients whose timeout has expired.
    #[inline]
    pub(super) fn time_out_blocked(&mut self, now: Now<'_>) {
        while let Some(&(at, slot)) = self.service.waiting.deadlines.first() {
            if at > now.mono.0 {
                return;
            }
            self.service.waiting.deadlines.pop_first();
            if let Some(mut client) = self.clients.take(slot as u32) {
                self.give_up(now, &mut client, None);
                self.clients.put(client);
            }
        }
    }

    /// Unblocks a client with an empty reply, or with an error (CLIENT UNBLOCK). False if it was
    /// not blocked.
    pub(super) fn give_up(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        error: Option<&str>,
    ) -> bool {
        let Some(blocked) = self.unblock(client) else { return false };
        let tracked = self.config.front().latency_tracking;
        self.stats.called(blocked.command.id, 0, error.is_some(), tracked);
        if let (None, Some(acks)) = (error, blocked.acks) {
            self.write_acks(client, acks);
            self.wake(now, client);
            return true;
        }
        let (muted, proto) = (client.is_muted(), client.proto);
        let mut reply = Reply::new(client.out(), &mut self.scratch, proto).muted(muted);
        match (error, blocked.empty) {
            (Some(text), _) => {
                reply.error(text);
                self.stats.error(text.split(' ').next().unwrap_or_default());
            }
            (None, EmptyReply::Null) => reply.null(),
            (None, EmptyReply::NullArray) => reply.null_array(),
        }
        self.wake(now, client);
        true
    }
}
