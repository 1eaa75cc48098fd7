//! Transactions: MULTI, EXEC, DISCARD and WATCH.

use std::collections::{BTreeMap, BTreeSet};

use super::Client;
use super::Command;
use super::Server;
use super::{Call, Handler, row};
use crate::acl::Context;
use crate::command::effects::Propagated;
use crate::command::meta::{KeySpec, acl, flag, key, special};
use crate::command::{CommandError, Group, Row};
use crate::resp::request::{Args, OwnedArgs};
use crate::store::Presence;
use crate::time::{Mono, Now};

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[
    row(Group::Transactions, "multi", 1, multi)
        .special(special::MULTI | special::NOT_QUEUED)
        .flags(COMMON | flag::FAST)
        .acl(acl::TRANSACTION)
        .since("1.2.0")
        .summary("Begins a transaction: the commands that follow wait for EXEC."),
    row(Group::Transactions, "exec", 1, exec)
        .special(special::EXEC | special::NOT_QUEUED)
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::SKIP_SLOWLOG)
        .acl(acl::TRANSACTION)
        .since("1.2.0")
        .complexity("The sum of the commands that wait.")
        .summary("Carries out the transaction, unless a watched key has changed."),
    row(Group::Transactions, "discard", 1, discard)
        .special(special::NOT_QUEUED | special::DROPS_QUEUE)
        .flags(COMMON | flag::FAST)
        .acl(acl::TRANSACTION)
        .since("2.0.0")
        .complexity("O(N), N being the number of commands that wait.")
        .summary("Drops the transaction."),
    row(Group::Transactions, "watch", -2, watch)
        .special(special::NOT_QUEUED)
        .flags(COMMON | flag::FAST)
        .acl(acl::TRANSACTION)
        .keys(&[KeySpec::range(1, -1, 1, key::RO)])
        .since("2.2.0")
        .complexity("O(1) for every key.")
        .summary("Guards the next transaction: it fails if one of the keys changes before.")
        .syntax("key ..."),
    row(Group::Transactions, "unwatch", 1, unwatch)
        .flags(COMMON | flag::FAST)
        .acl(acl::TRANSACTION)
        .since("2.2.0")
        .summary("Forgets the watched keys."),
];

const COMMON: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::ALLOW_BUSY;

/// Commands queued for EXEC.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    queue: Vec<(&'static Command, OwnedArgs)>,
    /// Whether a command was refused when it was queued, so that EXEC will fail.
    refused: bool,
    bytes: usize,
    /// The union of the queued commands' flags.
    flags: u32,
    /// The flags that at least one queued command lacks.
    lacked: u32,
}

impl Transaction {
    /// Number of queued commands.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no command is queued.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Memory of the queued commands in bytes.
    pub fn memory(&self) -> usize {
        self.bytes + self.queue.capacity() * size_of::<(&Command, OwnedArgs)>()
    }

    /// The union of the queued commands' flags.
    pub(super) fn flags(&self) -> u32 {
        self.flags
    }

    /// The flags that at least one queued command lacks.
    pub(super) fn lacked(&self) -> u32 {
        self.lacked
    }

    /// The queued commands.
    pub(super) fn commands(&self) -> impl Iterator<Item = (&'static Command, Args<'_>)> {
        self.queue.iter().map(|(command, args)| (*command, args.as_args()))
    }

    /// Makes EXEC fail.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Queues a command. `flags` are its own, or those of the script that it runs.
    pub(super) fn queue(&mut self, command: &'static Command, flags: u32, args: Args<'_>) {
        self.bytes += args.bytes();
        self.flags |= flags;
        self.lacked |= !flags;
        self.queue.push((command, args.into()));
    }
}

/// A key that a client watches.
#[derive(Clone, Debug)]
pub struct Watched {
    db: u32,
    key: Box<[u8]>,
    /// Whether the key existed when WATCH was called. As long as it is not touched, it still does.
    existed: bool,
    /// Whether the key had already expired at WATCH: its deletion then changes nothing.
    expired: bool,
}

/// The clients that watch each key.
#[derive(Clone, Debug, Default)]
pub(super) struct Watches {
    by_key: BTreeMap<(u32, Box<[u8]>), BTreeSet<u32>>,
    /// Slots of clients with a changed watched key.
    changed: BTreeSet<u32>,
}

impl Watches {
    /// Number of watched keys.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

/// Whether a command is executed at once even inside a transaction.
pub(super) fn is_immediate(command: &Command) -> bool {
    command.meta.is(special::NOT_QUEUED)
}

impl Server {
    /// Ends a client's transaction and its watches.
    pub(super) fn end_transaction(&mut self, client: &mut Client) {
        client.state.transaction = None;
        self.forget_watches(client);
    }

    /// Updates whether changed keys have to be reported for WATCH.
    pub(super) fn note_watching(&mut self) {
        self.service.consumers.watching = !self.service.watches.is_empty()
            || self.service.waiting.serves_on_deletion()
            || !self.tracking.is_idle();
    }

    /// Marks the transactions of clients that watch `key` as dirty.
    pub(super) fn watched_key_touched(
        &mut self,
        db: u32,
        at_work: Option<&Client>,
        key: Box<[u8]>,
    ) {
        let place = (db, key);
        let Some(slots) = self.service.watches.by_key.get(&place) else { return };
        let slots: Vec<u32> = slots.iter().copied().collect();
        let (db, key) = place;
        for slot in slots {
            let watcher = at_work.filter(|client| client.slot == slot);
            let watcher = watcher.or_else(|| self.clients.get(slot));
            let ghost = watcher.is_some_and(|client| {
                client.state.watching.iter().any(|w| w.expired && w.db == db && w.key == key)
            });
            if ghost && !self.key_exists(db, &key) {
                continue;
            }
            self.service.watches.changed.insert(slot);
        }
    }

    /// Marks the transactions of clients that watch keys of a database as dirty: it was emptied or
    /// swapped.
    pub(super) fn watched_db_replaced(&mut self, mut at_work: Option<&mut Client>, db: u32) {
        let watched: Vec<_> = self
            .service
            .watches
            .by_key
            .range((db, Box::from([]))..)
            .take_while(|((watched, _), _)| *watched == db)
            .flat_map(|((_, key), slots)| slots.iter().map(move |slot| (key.clone(), *slot)))
            .collect();
        for (key, slot) in watched {
            let presence = self.presence(db, &key);
            let watcher = at_work.as_deref_mut().filter(|client| client.slot == slot);
            let watcher = watcher.or_else(|| self.clients.get_mut(slot));
            let watched = watcher.and_then(|client| {
                client.state.watching.iter_mut().find(|w| w.db == db && w.key == key)
            });
            if watched.as_ref().is_some_and(|w| w.existed) || presence == Presence::Live {
                self.service.watches.changed.insert(slot);
            } else if let Some(watched) = watched {
                // An expired key counts as missing, and its deletion changes nothing.
                watched.expired = presence == Presence::Expired;
            }
        }
    }

    fn key_exists(&mut self, db: u32, key: &[u8]) -> bool {
        self.presence(db, key) == Presence::Live
    }

    fn presence(&mut self, db: u32, key: &[u8]) -> Presence {
        let db = self.service.keyspace.db(db as usize);
        db.presence(db.key(key))
    }

    /// Removes a client's watches.
    pub(super) fn forget_watches(&mut self, client: &mut Client) {
        for watched in client.state.watching.drain(..) {
            let place = (watched.db, watched.key);
            if let Some(slots) = self.service.watches.by_key.get_mut(&place) {
                slots.remove(&client.slot);
                if slots.is_empty() {
                    self.service.watches.by_key.remove(&place);
                }
            }
        }
        self.service.watches.changed.remove(&client.slot);
        self.note_watching();
    }

    /// Whether a key that a client watches has changed, or has expired since.
    fn watch_broken(&mut self, client: &Client) -> bool {
        self.service.watches.changed.contains(&client.slot)
            || client.state.watching.iter().any(|watched| {
                !watched.expired && self.presence(watched.db, &watched.key) == Presence::Expired
            })
    }
}

fn multi(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.client.state.transaction.is_some() {
        return Err(CommandError::text("ERR MULTI calls can not be nested"));
    }
    call.client.state.transaction = Some(Box::default());
    call.ok()
}

fn discard(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.client.state.transaction.is_none() {
        return Err(CommandError::text("ERR DISCARD without MULTI"));
    }
    server.end_transaction(call.client);
    call.ok()
}

fn exec(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let Some(transaction) = call.client.state.transaction.take() else {
        return Err(CommandError::text("ERR EXEC without MULTI"));
    };
    server.service.keyspace.env.now_ms = call.now.wall.as_millis();
    let broken = server.watch_broken(call.client);
    server.forget_watches(call.client);
    if transaction.refused {
        return Err(CommandError::text(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    if broken {
        call.reply().null_array();
        return Ok(());
    }
    call.reply().array(transaction.queue.len());
    let mut rest = transaction.queue.into_iter();
    server.execute_queue(call.now, call.client, &mut rest);
    if server.is_halted() {
        let (exec, began) = (call.command, call.now.mono);
        let done = server.service.effects.take_commands();
        server.suspend_exec(call.client, Suspended { exec, rest, began, done });
    }
    Ok(())
}

/// Commands of a transaction that are still to be executed.
type Queue = std::vec::IntoIter<(&'static Command, OwnedArgs)>;

/// An EXEC that has reached a command that takes time. All clients wait for it.
#[derive(Clone, Debug)]
pub(super) struct Suspended {
    exec: &'static Command,
    rest: Queue,
    began: Mono,
    /// Effects of the executed commands, to be propagated.
    done: Vec<Propagated>,
}

impl Suspended {
    /// Effects of the executed commands, to be propagated.
    pub(super) fn take_done(&mut self) -> Vec<Propagated> {
        core::mem::take(&mut self.done)
    }
}

impl Server {
    /// Executes the commands of an EXEC, up to one that takes time.
    fn execute_queue(&mut self, now: Now<'_>, client: &mut Client, queue: &mut Queue) {
        let (outer, began) = (client.last_command, self.stalled);
        self.service.executing = true;
        for (command, args) in queue {
            client.last_command = outer;
            if !client.unrestricted && self.denies_queued(now, client, command, args.as_args()) {
                continue;
            }
            self.call(self.after_stall(began, now), client, command, args.as_args());
            if self.is_halted() {
                break;
            }
        }
        self.service.executing = false;
        client.last_command = outer;
    }

    /// Replies with an error if ACL rules no longer allow a queued command to the client's user.
    fn denies_queued(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> bool {
        let context = Context::Transaction;
        let Err(denied) = self.check_permission(now, client, command, args, context) else {
            return false;
        };
        let reason = denied.reason.in_transaction();
        self.answer_error(
            client,
            &CommandError::composed(format!(
                "NOPERM ACLs rules changed between the moment the transaction was accumulated and \
                 the EXEC call. This command is no longer allowed for the following reason: {reason}"
            )),
        );
        true
    }

    /// Executes the rest of an EXEC.
    pub(super) fn resume_exec(&mut self, now: Now<'_>, client: &mut Client, mut exec: Suspended) {
        self.execute_queue(now, client, &mut exec.rest);
        if self.is_halted() {
            exec.done = self.service.effects.take_commands();
            return self.suspend_exec(client, exec);
        }
        let took = now.mono.0.saturating_sub(exec.began.0);
        let tracked = self.config.front().latency_tracking;
        self.stats.called(exec.exec.id, took, false, tracked);
    }
}

fn watch(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.client.state.transaction.is_some() {
        return Err(CommandError::text("ERR WATCH inside MULTI is not allowed"));
    }
    // If a watched key has already changed, the transaction fails anyway.
    if server.service.watches.changed.contains(&call.client.slot) {
        return call.ok();
    }
    server.service.keyspace.env.now_ms = call.now.wall.as_millis();
    let index = call.client.state.db as u32;
    for key in call.args.from(1).iter() {
        if call.client.state.watching.iter().any(|w| w.db == index && *w.key == *key) {
            continue;
        }
        let presence = server.presence(index, key);
        call.client.state.watching.push(Watched {
            db: index,
            key: key.into(),
            existed: presence == Presence::Live,
            expired: presence == Presence::Expired,
        });
        let slots = server.service.watches.by_key.entry((index, key.into())).or_default();
        slots.insert(call.client.slot);
    }
    server.service.consumers.watching = true;
    call.ok()
}

fn unwatch(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.forget_watches(call.client);
    call.ok()
}
