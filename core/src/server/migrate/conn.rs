//! The dialogue with the target of MIGRATE on one connection: requests and replies.
//!
//! AUTH if requested, SELECT if another database was selected there, and a RESTORE for each key,
//! pipelined. Every reply, and every piece of what is sent, has to arrive within the command's
//! timeout. A key is deleted once the target has confirmed it. If the connection turns out to be
//! closed before the first reply, as kept connections often are, the dialogue is repeated once on a
//! new one.

use core::iter;

use super::{Move, UNREACHABLE};
use crate::command::CommandError;
use crate::front::PeerInput;
use crate::machine::{Address, ConnId, NetError, Outbox};
use crate::peer::{CloseReason, Event};
use crate::persist::rdb::PayloadWriter;
use crate::resp::request::Args;
use crate::resp::value::Value;
use crate::server::Server;
use crate::time::{Duration, Mono, Now};

/// Outbox size in bytes above which no more requests are written, and to which it then has to sink.
const HIGH_WATER: usize = 128 * 1024;
const LOW_WATER: usize = 64 * 1024;

/// Bytes of a payload that are serialized per slice.
const SLICE: usize = 256 * 1024;

/// The error when not everything could be sent.
const WRITING: &str = "IOERR error or timeout writing to target instance";

/// The state of the dialogue with the target of a MIGRATE.
#[derive(Clone, Debug)]
pub(super) struct MigrateConn {
    conn: ConnId,
    /// Whether AUTH and SELECT have been sent.
    preamble_sent: bool,
    /// How many keys have been processed.
    next: usize,
    /// Serializes the payloads.
    writer: Box<PayloadWriter>,
    /// Whether it is serializing the key before `next`.
    serializing: bool,
    /// The payload that is being sent, and how much of it has been sent.
    payload: Option<(Vec<u8>, usize)>,
    /// How many keys have been answered.
    answered: usize,
    /// The first error reply of the target.
    refusal: Option<Vec<u8>>,
    /// Whether the target refused AUTH or SELECT: then the keys may be in any database, or nowhere.
    preamble_refused: bool,
    /// Whether this is the second attempt.
    is_retry: bool,
    /// When the timeout expires.
    deadline: Mono,
}

/// What a reply belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Awaited {
    Login,
    Select,
    /// The key with this index.
    Key(usize),
}

/// Why the dialogue has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DialogueError {
    /// The connection was closed.
    Closed,
    /// The timeout has expired.
    TimedOut,
    /// An invalid reply.
    Nonsense,
}

impl MigrateConn {
    /// A new dialogue, on another connection.
    fn new(conn: ConnId, deadline: Mono, compression: bool) -> Self {
        Self {
            conn,
            preamble_sent: false,
            next: 0,
            writer: Box::new(PayloadWriter::new(compression)),
            serializing: false,
            payload: None,
            answered: 0,
            refusal: None,
            preamble_refused: false,
            is_retry: false,
            deadline,
        }
    }

    /// Whether everything has been sent.
    fn has_sent_all(&self, keys: usize) -> bool {
        self.preamble_sent && self.next >= keys && !self.serializing && self.payload.is_none()
    }
}

impl Server {
    /// Starts the dialogue on a kept connection, or on a new one.
    pub(super) fn open_migrate_conn(
        &mut self,
        now: Now<'_>,
        args: Args<'_>,
        to: &Address,
        timeout: Duration,
    ) -> MigrateConn {
        let name = [args.at(1), args.at(2)].join(&b':');
        let conn = match self.service.migration.sockets.find(&name, now.mono) {
            Some(conn) => conn,
            None => {
                let conn = self.new_conn();
                let sockets = &mut self.service.migration.sockets;
                self.outputs.extend(sockets.add(name, conn, to, now.mono));
                conn
            }
        };
        let compression = self.config.settings().data.rdb_compression;
        MigrateConn::new(conn, now.mono + timeout, compression)
    }

    /// Whether this is a connection to the target of a MIGRATE.
    pub(in crate::server) fn is_migrate_conn(&self, conn: ConnId) -> bool {
        self.service.migration.sockets.has(conn)
    }

    /// The outbox of a connection to the target of a MIGRATE.
    pub(in crate::server) fn migrate_outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        Some(self.service.migration.sockets.get(conn)?.peer.outbox())
    }

    /// Handles an input about a connection to the target of a MIGRATE.
    pub(in crate::server) fn migrate_input(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        input: PeerInput<'_>,
    ) {
        let Some(socket) = self.service.migration.sockets.get(conn) else { return };
        let peer = &mut socket.peer;
        let unsent = !peer.outbox().is_empty();
        match input {
            PeerInput::Accepted { .. } | PeerInput::Drained => {}
            PeerInput::Connected { local, peer: there } => peer.connected(now.mono, local, there),
            PeerInput::Received(bytes) => peer.received(now.mono, bytes),
            PeerInput::Ended => peer.ended(now.mono),
            PeerInput::ConnectFailed(error) | PeerInput::Closed(error) => {
                peer.disconnected(now.mono, error);
            }
        }
        let events: Vec<Event<Awaited>> = iter::from_fn(|| peer.poll_event()).collect();
        self.outputs.extend(iter::from_fn(|| peer.poll_output()));
        if peer.conn().is_none() {
            self.service.migration.sockets.forget_closed();
        }
        if let Some(at_work) = &mut self.service.migration.at_work
            && at_work.target.conn == conn
        {
            at_work.target.deadline = now.mono + at_work.options.timeout;
        }
        for event in events {
            let migration = &mut self.service.migration;
            let Some(mut at_work) = migration.at_work.take_if(|m| m.target.conn == conn) else {
                return;
            };
            match event {
                Event::Connected { .. } => self.service.migration.at_work = Some(at_work),
                Event::Reply { token, value, .. } => {
                    if !self.take_migrate_reply(now, &mut at_work, token, &value) {
                        return self.abort_migrate_conn(now, at_work, DialogueError::Nonsense);
                    }
                    self.service.migration.at_work = Some(at_work);
                }
                Event::Push(_) | Event::Refused { .. } => {
                    return self.abort_migrate_conn(now, at_work, DialogueError::Nonsense);
                }
                Event::Closed { reason, lost } => {
                    return self.migrate_closed(now, at_work, &reason, lost.is_empty(), unsent);
                }
            }
        }
    }

    /// The connection of the current MIGRATE was closed, or could not be established.
    fn migrate_closed(
        &mut self,
        now: Now<'_>,
        at_work: Box<Move>,
        reason: &CloseReason,
        all_answered: bool,
        unsent: bool,
    ) {
        match reason {
            CloseReason::ConnectFailed(error) => {
                // Redis notices a refused connection when it writes.
                let text = match error {
                    NetError::Refused | NetError::Reset | NetError::Unreachable => WRITING,
                    _ => UNREACHABLE,
                };
                self.end_migration(now, at_work, Err(CommandError::text(text)));
            }
            CloseReason::Protocol(_)
                if all_answered && at_work.target.has_sent_all(at_work.keys.len()) =>
            {
                // Surplus replies do not matter to the keys.
                self.service.migration.at_work = Some(at_work);
                self.migration_cron(now);
            }
            CloseReason::Protocol(_) => {
                self.migrate_conn_failed(now, at_work, DialogueError::Nonsense, unsent);
            }
            _ => self.migrate_conn_failed(now, at_work, DialogueError::Closed, unsent),
        }
    }

    /// Handles one reply. False if it is not a possible reply to these requests.
    fn take_migrate_reply(
        &mut self,
        now: Now<'_>,
        at_work: &mut Move,
        awaited: Awaited,
        value: &Value,
    ) -> bool {
        let target = &mut at_work.target;
        target.answered += usize::from(matches!(awaited, Awaited::Key(_)));
        match value {
            Value::Error(text) => {
                target.preamble_refused |= !matches!(awaited, Awaited::Key(_));
                target.refusal.get_or_insert_with(|| text.to_vec());
                return true;
            }
            Value::Simple(text) if text.as_slice() == b"OK" => {}
            _ => return false,
        }
        if let Awaited::Key(at) = awaited
            && !target.preamble_refused
            && !at_work.options.copy
        {
            self.moved_key(now, at_work, at);
        }
        true
    }

    /// Continues sending, and ends the MIGRATE when all replies have arrived or it has failed.
    pub(in crate::server) fn migration_cron(&mut self, now: Now<'_>) {
        let Some(mut at_work) = self.service.migration.at_work.take() else { return };
        self.send_requests(now, &mut at_work);
        let target = &at_work.target;
        let pending = self.service.migration.sockets.pending(target.conn);
        if target.has_sent_all(at_work.keys.len()) && pending == 0 {
            let (conn, db) = (target.conn, at_work.options.db);
            self.service.migration.sockets.used(conn, now.mono);
            if let Some(socket) = self.service.migration.sockets.get(conn) {
                socket.db = target.refusal.is_none().then_some(db);
            }
            let answer = target.refusal.as_deref().map_or(Ok(()), |text| Err(refused(text)));
            return self.end_migration(now, at_work, answer);
        }
        if now.mono >= target.deadline {
            return self.abort_migrate_conn(now, at_work, DialogueError::TimedOut);
        }
        self.service.migration.at_work = Some(at_work);
    }

    /// When to continue.
    pub(in crate::server) fn migration_wake(&self) -> Option<Mono> {
        let target = &self.service.migration.at_work.as_ref()?.target;
        let speaks = || self.service.migration.sockets.is_up(target.conn) && !target.preamble_sent;
        Some(if target.serializing || speaks() { self.now.0 } else { target.deadline })
    }

    /// Closes connections that have not been used for a while.
    #[inline]
    pub(in crate::server) fn close_idle_migrate_conns(&mut self, now: Now<'_>) {
        while let Some(conn) = self.service.migration.sockets.idle(now.mono) {
            self.drop_migrate_conn(conn);
        }
    }

    /// When the next connection has been idle for long enough.
    pub(in crate::server) fn migrate_conns_wake(&self) -> Option<Mono> {
        self.service.migration.sockets.next_idle()
    }

    fn drop_migrate_conn(&mut self, conn: ConnId) {
        self.outputs.extend(self.service.migration.sockets.close(conn));
    }

    /// Aborts the dialogue on a connection that is still open.
    fn abort_migrate_conn(&mut self, now: Now<'_>, at_work: Box<Move>, trouble: DialogueError) {
        let conn = at_work.target.conn;
        let socket = self.service.migration.sockets.get(conn);
        let (is_up, unsent) = socket.map_or((false, false), |socket| {
            (socket.peer.is_up(), !socket.peer.outbox().is_empty())
        });
        self.drop_migrate_conn(conn);
        if is_up {
            self.migrate_conn_failed(now, at_work, trouble, unsent);
        } else {
            self.end_migration(now, at_work, Err(CommandError::text(UNREACHABLE)));
        }
    }

    /// The dialogue has failed, and its connection is closed.
    fn migrate_conn_failed(
        &mut self,
        now: Now<'_>,
        mut at_work: Box<Move>,
        trouble: DialogueError,
        unsent: bool,
    ) {
        let target = &at_work.target;
        let unheard = target.answered == 0 && target.refusal.is_none();
        if trouble == DialogueError::Closed && unheard && !target.is_retry {
            let timeout = at_work.options.timeout;
            let args = at_work.args.as_args();
            at_work.target = self.open_migrate_conn(now, args, &at_work.to, timeout);
            at_work.target.is_retry = true;
            self.service.migration.at_work = Some(at_work);
            return;
        }
        let unsaid = unsent || !target.has_sent_all(at_work.keys.len());
        let error = match &target.refusal {
            Some(text) => refused(text),
            None if unsaid => CommandError::text(WRITING),
            None => CommandError::text("IOERR error or timeout reading to target instance"),
        };
        self.end_migration(now, at_work, Err(error));
    }

    /// Sends more requests, as far as the outbox has room.
    fn send_requests(&mut self, now: Now<'_>, at_work: &mut Move) {
        let command: &[u8] = if self.is_clustered() { b"RESTORE-ASKING" } else { b"RESTORE" };
        let Move { target, args, options, keys, db, .. } = at_work;
        let Some(socket) = self.service.migration.sockets.get(target.conn) else { return };
        let peer = &mut socket.peer;
        if !peer.is_up() {
            return;
        }
        let args = args.as_args();
        let before = peer.outbox().end();
        // Never false: the outbox is far from its limit.
        let mut taken = true;
        if !core::mem::replace(&mut target.preamble_sent, true) {
            if let Some((at, count)) = options.login {
                let login = (at..at + count).map(|at| args.at(at));
                let login: Vec<&[u8]> = iter::once(&b"AUTH"[..]).chain(login).collect();
                taken &= peer.request(now.mono, &login, Awaited::Login).is_ok();
            }
            if socket.db != Some(options.db) {
                let digits = itoa::Buffer::new().format(options.db).to_owned();
                let select = [&b"SELECT"[..], digits.as_bytes()];
                taken &= peer.request(now.mono, &select, Awaited::Select).is_ok();
            }
            // If SELECT fails, the next MIGRATE has to repeat it.
            socket.db = None;
        }
        while taken && peer.outbox().len() < HIGH_WATER {
            if let Some((payload, sent)) = &mut target.payload {
                let piece = payload.get(*sent..).unwrap_or_default();
                let piece = piece.get(..HIGH_WATER).unwrap_or(piece);
                peer.extend_request(piece);
                *sent += piece.len();
                if *sent < payload.len() {
                    break;
                }
                target.payload = None;
                peer.extend_request(b"\r\n");
                if options.replace {
                    peer.extend_request(b"$7\r\nREPLACE\r\n");
                }
                continue;
            }
            if target.serializing {
                // Serializing takes time, which does not count against the timeout.
                target.deadline = now.mono + options.timeout;
                let Some(payload) = target.writer.step(SLICE) else { break };
                target.serializing = false;
                if let Some(copy) = target.writer.take_copy() {
                    self.service.keyspace.free_copy_later(copy);
                }
                let Some(at) = target.next.checked_sub(1).and_then(|n| keys.get(n).copied()) else {
                    break;
                };
                let name = args.at(at);
                let Some(ttl) = time_left(self.service.keyspace.peek(*db, name), now) else {
                    continue;
                };
                let head = restore_head(command, name, ttl, payload.len(), options.replace);
                target.payload = Some((payload, 0));
                taken &= peer.request_encoded(now.mono, &head, Awaited::Key(at)).is_ok();
                continue;
            }
            let Some(at) = keys.get(target.next).copied() else { break };
            target.next += 1;
            let entry = self.service.keyspace.peek(*db, args.at(at));
            // A key that has expired meanwhile is skipped.
            if let (Some(entry), Some(_)) = (entry, time_left(entry, now)) {
                target.writer.begin(entry);
                target.serializing = true;
            }
        }
        if peer.outbox().end() != before {
            target.deadline = now.mono + options.timeout;
            if peer.outbox().len() > LOW_WATER {
                peer.outbox().set_low_water(LOW_WATER);
            }
        }
        self.outputs.extend(iter::from_fn(|| peer.poll_output()));
    }
}

/// The remaining time to live of an entry in milliseconds, 0 if it does not expire. `None` if it
/// has expired or does not exist.
fn time_left(entry: Option<&crate::store::Entry>, now: Now<'_>) -> Option<u64> {
    match entry?.expire() {
        None => Some(0),
        Some(at) => Some(at.checked_sub(now.wall.as_millis())?.max(1)),
    }
}

/// The start of a RESTORE (RESTORE-ASKING between cluster nodes), up to the payload.
fn restore_head(command: &[u8], key: &[u8], ttl: u64, payload: usize, replace: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(if replace { b"*5\r\n" } else { b"*4\r\n" });
    for word in [command, key, digits.format(ttl).as_bytes()] {
        write_bulk(&mut out, word);
    }
    out.push(b'$');
    out.extend_from_slice(itoa::Buffer::new().format(payload).as_bytes());
    out.extend_from_slice(b"\r\n");
    out
}

fn write_bulk(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'$');
    out.extend_from_slice(itoa::Buffer::new().format(word.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// The error when the target has replied with one.
fn refused(text: &[u8]) -> CommandError {
    CommandError::quoting("ERR Target instance replied with error: ", text, "")
}
