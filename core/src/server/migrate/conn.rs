//! The conversation with the target of MIGRATE on one connection: requests out, replies in.
//!
//! AUTH if that is asked for, SELECT if another database was selected there, and a RESTORE for
//! each key, one behind the other. Each answer is waited for no longer than the command says, and
//! so is each piece of what is sent. A key is deleted when the other server has said that it has
//! it. A connection that turns out to be closed before anything was answered is made anew, once:
//! one that was kept often ends so.

use std::collections::VecDeque;

use super::{Move, UNREACHABLE};
use crate::command::CommandError;
use crate::command::feed::write_words;
use crate::machine::{Address, Close, ConnId, NetError, Outbox, Output};
use crate::persist::rdb::PayloadWriter;
use crate::resp::request::Args;
use crate::server::Server;
use crate::time::{Duration, Mono, Now};

/// Bytes that wait to be sent before no more are made, and down to how many they have to sink then.
const MOST_UNSENT: usize = 128 * 1024;
const FEW_UNSENT: usize = 64 * 1024;

/// Bytes of a payload that are made in one go.
const SLICE: usize = 256 * 1024;

/// The longest line that is an answer: Redis's buffer for them.
const MAX_LINE: usize = 1024;

/// The error when not everything could be said.
const WRITING: &str = "IOERR error or timeout writing to target instance";

/// The state of the conversation with the target of a MIGRATE.
#[derive(Clone, Debug)]
pub(super) struct MigrateConn {
    conn: ConnId,
    /// Whether anything was said.
    greeted: bool,
    /// How many of the keys have been looked at.
    next: usize,
    /// What makes the payloads.
    writer: Box<PayloadWriter>,
    /// Whether it has begun that of the key before `next`.
    making: bool,
    /// A payload that is being sent, and how much of it has been.
    payload: Option<(Vec<u8>, usize)>,
    /// What the answers that are to come answer.
    awaited: VecDeque<Awaited>,
    /// The beginning of an answer.
    line: Vec<u8>,
    /// How many keys were answered.
    answered: usize,
    /// The first error that the other server answered.
    refusal: Option<Vec<u8>>,
    /// Whether it refused what comes before the keys: then it may have put them anywhere, if at all.
    lost: bool,
    /// Whether this is the second connection.
    again: bool,
    /// Until when something has to happen.
    deadline: Mono,
}

/// What an answer is to.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    Login,
    Select,
    /// The key at this place.
    Key(usize),
}

/// Why it has come to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The connection is gone.
    Closed,
    /// Nothing has come for too long.
    TimedOut,
    /// What has come is no answer.
    Nonsense,
}

impl MigrateConn {
    /// Begins anew, on another connection.
    fn new(conn: ConnId, deadline: Mono, compression: bool) -> Self {
        Self {
            conn,
            greeted: false,
            next: 0,
            writer: Box::new(PayloadWriter::new(compression)),
            making: false,
            payload: None,
            awaited: VecDeque::new(),
            line: Vec::new(),
            answered: 0,
            refusal: None,
            lost: false,
            again: false,
            deadline,
        }
    }

    /// Whether nothing is left to be said.
    fn has_said_all(&self, keys: usize) -> bool {
        self.greeted && self.next >= keys && !self.making && self.payload.is_none()
    }
}

impl Server {
    /// Begins the conversation on a connection that is there, or that is made now.
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
                if let Some(spare) = self.service.migration.sockets.add(name, conn, now.mono) {
                    self.outputs.push_back(Output::Close { conn: spare.conn, how: Close::Now });
                }
                self.outputs.push_back(Output::Connect { conn, to: to.clone(), from: None });
                conn
            }
        };
        let compression = self.config.settings().data.rdb_compression;
        MigrateConn::new(conn, now.mono + timeout, compression)
    }

    /// Whether a connection is one to the target of a MIGRATE.
    pub(in crate::server) fn is_migrate_conn(&mut self, conn: ConnId) -> bool {
        self.service.migration.sockets.get(conn).is_some()
    }

    /// The outbox of a connection to the target of a MIGRATE.
    pub(in crate::server) fn migrate_outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        Some(&mut self.service.migration.sockets.get(conn)?.outbox)
    }

    /// A connection stands.
    pub(in crate::server) fn migrate_connected(&mut self, now: Now<'_>, conn: ConnId) {
        if let Some(socket) = self.service.migration.sockets.get(conn) {
            socket.stands = true;
        }
        self.extend_migrate_deadline(now, conn);
    }

    /// Extends the deadline of a MIGRATE: its connection has made progress.
    pub(in crate::server) fn extend_migrate_deadline(&mut self, now: Now<'_>, conn: ConnId) {
        if let Some(at_work) =
            self.service.migration.at_work.as_mut().filter(|m| m.target.conn == conn)
        {
            at_work.target.deadline = now.mono + at_work.options.timeout;
        }
    }

    /// A connection is gone, or could not be made.
    pub(in crate::server) fn migrate_closed(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        error: NetError,
    ) {
        let Some(socket) = self.service.migration.sockets.remove(conn) else { return };
        if let Some(at_work) = self.service.migration.at_work.take_if(|m| m.target.conn == conn) {
            if socket.stands {
                let unsent = !socket.outbox.is_empty();
                self.migrate_conn_failed(now, at_work, Trouble::Closed, unsent);
            } else {
                // Redis learns that it was refused when it writes.
                let text = match error {
                    NetError::Refused | NetError::Reset | NetError::Unreachable => WRITING,
                    _ => UNREACHABLE,
                };
                self.end_migration(now, at_work, Err(CommandError::text(text)));
            }
        }
    }

    /// The other server has answered.
    pub(in crate::server) fn migrate_received(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        mut bytes: &[u8],
    ) {
        let Some(mut at_work) = self.service.migration.at_work.take_if(|m| m.target.conn == conn)
        else {
            // Nothing was asked.
            return self.drop_migrate_conn(conn);
        };
        at_work.target.deadline = now.mono + at_work.options.timeout;
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let target = &at_work.target;
            if target.awaited.is_empty() && target.has_said_all(at_work.keys.len()) {
                // Everything has been answered already, and this belongs to nothing.
                self.service.migration.at_work = Some(at_work);
                self.migration_cron(now);
                return self.drop_migrate_conn(conn);
            }
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            let mut whole = core::mem::take(&mut at_work.target.line);
            whole.extend_from_slice(line);
            let line = whole.strip_suffix(b"\r").unwrap_or(&whole);
            if !self.take_migrate_reply(now, &mut at_work, line) {
                return self.abort_migrate_conn(now, at_work, Trouble::Nonsense);
            }
        }
        at_work.target.line.extend_from_slice(bytes);
        if at_work.target.line.len() > MAX_LINE {
            return self.abort_migrate_conn(now, at_work, Trouble::Nonsense);
        }
        self.service.migration.at_work = Some(at_work);
    }

    /// Takes in one answer. False if it is none.
    fn take_migrate_reply(&mut self, now: Now<'_>, at_work: &mut Move, line: &[u8]) -> bool {
        let target = &mut at_work.target;
        let Some(awaited) = target.awaited.pop_front() else { return false };
        target.answered += usize::from(matches!(awaited, Awaited::Key(_)));
        if let Some(text) = line.strip_prefix(b"-") {
            target.lost |= !matches!(awaited, Awaited::Key(_));
            target.refusal.get_or_insert_with(|| text.to_vec());
            return true;
        }
        if line != b"+OK" {
            return false;
        }
        if let Awaited::Key(at) = awaited
            && !target.lost
            && !at_work.options.copy
        {
            self.moved_key(now, at_work, at);
        }
        true
    }

    /// Goes on with what is to be said, and ends when all was answered or nothing is any more.
    pub(in crate::server) fn migration_cron(&mut self, now: Now<'_>) {
        let Some(mut at_work) = self.service.migration.at_work.take() else { return };
        self.speak(now, &mut at_work);
        let target = &at_work.target;
        if target.has_said_all(at_work.keys.len()) && target.awaited.is_empty() {
            let (conn, db) = (target.conn, at_work.options.db);
            self.service.migration.sockets.used(conn, now.mono);
            if let Some(socket) = self.service.migration.sockets.get(conn) {
                socket.db = target.refusal.is_none().then_some(db);
            }
            let answer = target.refusal.as_deref().map_or(Ok(()), |text| Err(refused(text)));
            return self.end_migration(now, at_work, answer);
        }
        if now.mono >= target.deadline {
            return self.abort_migrate_conn(now, at_work, Trouble::TimedOut);
        }
        self.service.migration.at_work = Some(at_work);
    }

    /// When that is to be gone on with.
    pub(in crate::server) fn migration_wake(&self) -> Option<Mono> {
        let target = &self.service.migration.at_work.as_ref()?.target;
        let speaks = || self.service.migration.sockets.stands(target.conn) && !target.greeted;
        Some(if target.making || speaks() { self.now.0 } else { target.deadline })
    }

    /// Closes connections that have not been used for a while.
    #[inline]
    pub(in crate::server) fn close_idle_migrate_conns(&mut self, now: Now<'_>) {
        while let Some(conn) = self.service.migration.sockets.idle(now.mono) {
            self.drop_migrate_conn(conn);
        }
    }

    /// When the next of them has not been used for a while.
    pub(in crate::server) fn migrate_conns_wake(&self) -> Option<Mono> {
        self.service.migration.sockets.next_idle()
    }

    fn drop_migrate_conn(&mut self, conn: ConnId) {
        if self.service.migration.sockets.remove(conn).is_some() {
            self.outputs.push_back(Output::Close { conn, how: Close::Now });
        }
    }

    /// Ends it on a connection that is still there.
    fn abort_migrate_conn(&mut self, now: Now<'_>, at_work: Box<Move>, trouble: Trouble) {
        let conn = at_work.target.conn;
        let socket = self.service.migration.sockets.get(conn);
        let (stands, unsent) =
            socket.map_or((false, false), |socket| (socket.stands, !socket.outbox.is_empty()));
        self.drop_migrate_conn(conn);
        if stands {
            self.migrate_conn_failed(now, at_work, trouble, unsent);
        } else {
            self.end_migration(now, at_work, Err(CommandError::text(UNREACHABLE)));
        }
    }

    /// It has come to an end before its time, on a connection that is gone by now.
    fn migrate_conn_failed(
        &mut self,
        now: Now<'_>,
        mut at_work: Box<Move>,
        trouble: Trouble,
        unsent: bool,
    ) {
        let target = &at_work.target;
        let unheard = target.answered == 0 && target.refusal.is_none();
        if trouble == Trouble::Closed && unheard && !target.again {
            let timeout = at_work.options.timeout;
            let args = at_work.args.as_args();
            at_work.target = self.open_migrate_conn(now, args, &at_work.to, timeout);
            at_work.target.again = true;
            self.service.migration.at_work = Some(at_work);
            return;
        }
        let unsaid = unsent || !target.has_said_all(at_work.keys.len());
        let error = match &target.refusal {
            Some(text) => refused(text),
            None if unsaid => CommandError::text(WRITING),
            None => CommandError::text("IOERR error or timeout reading to target instance"),
        };
        self.end_migration(now, at_work, Err(error));
    }

    /// Says more, as far as there is room for it.
    fn speak(&mut self, now: Now<'_>, at_work: &mut Move) {
        let command: &[u8] = if self.is_clustered() { b"RESTORE-ASKING" } else { b"RESTORE" };
        let Move { target, args, options, keys, db, .. } = at_work;
        let Some(socket) = self.service.migration.sockets.get(target.conn) else { return };
        if !socket.stands {
            return;
        }
        let args = args.as_args();
        let before = socket.outbox.end();
        let mut words = Vec::new();
        if !core::mem::replace(&mut target.greeted, true) {
            if let Some((at, count)) = options.login {
                let login = (at..at + count).map(|at| args.at(at));
                let login: Vec<&[u8]> = [&b"AUTH"[..]].into_iter().chain(login).collect();
                write_words(&mut words, login);
                target.awaited.push_back(Awaited::Login);
            }
            if socket.db != Some(options.db) {
                let digits = itoa::Buffer::new().format(options.db).to_owned();
                write_words(&mut words, [&b"SELECT"[..], digits.as_bytes()]);
                target.awaited.push_back(Awaited::Select);
            }
            // Whatever comes of it, the next one has to make sure.
            socket.db = None;
        }
        while socket.outbox.len() + words.len() < MOST_UNSENT {
            if let Some((payload, sent)) = &mut target.payload {
                let piece = payload.get(*sent..).unwrap_or_default();
                let piece = piece.get(..MOST_UNSENT).unwrap_or(piece);
                words.extend_from_slice(piece);
                *sent += piece.len();
                if *sent < payload.len() {
                    break;
                }
                target.payload = None;
                words.extend_from_slice(b"\r\n");
                if options.replace {
                    words.extend_from_slice(b"$7\r\nREPLACE\r\n");
                }
                continue;
            }
            if target.making {
                // That takes time, but not the other server's.
                target.deadline = now.mono + options.timeout;
                let Some(payload) = target.writer.step(SLICE) else { break };
                target.making = false;
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
                restore_head(&mut words, command, name, ttl, payload.len(), options.replace);
                target.payload = Some((payload, 0));
                target.awaited.push_back(Awaited::Key(at));
                continue;
            }
            let Some(at) = keys.get(target.next).copied() else { break };
            target.next += 1;
            let entry = self.service.keyspace.peek(*db, args.at(at));
            // One whose time has come meanwhile stays behind.
            if let (Some(entry), Some(_)) = (entry, time_left(entry, now)) {
                target.writer.begin(entry);
                target.making = true;
            }
        }
        if !words.is_empty() {
            socket.outbox.write(&words);
        }
        if socket.outbox.end() != before {
            target.deadline = now.mono + options.timeout;
            if socket.outbox.len() > FEW_UNSENT {
                socket.outbox.set_low_water(FEW_UNSENT);
            }
            self.outputs.push_back(Output::Send { conn: target.conn });
        }
    }
}

/// The milliseconds that an entry has left, 0 if it does not expire. `None` if it has expired or is
/// not there.
fn time_left(entry: Option<&crate::store::Entry>, now: Now<'_>) -> Option<u64> {
    match entry?.expire() {
        None => Some(0),
        Some(at) => Some(at.checked_sub(now.wall.as_millis())?.max(1)),
    }
}

/// The head of a RESTORE, or of what that is called between nodes of a cluster, up to the payload.
fn restore_head(
    out: &mut Vec<u8>,
    command: &[u8],
    key: &[u8],
    ttl: u64,
    payload: usize,
    replace: bool,
) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(if replace { b"*5\r\n" } else { b"*4\r\n" });
    for word in [command, key, digits.format(ttl).as_bytes()] {
        write_bulk(out, word);
    }
    out.push(b'$');
    out.extend_from_slice(itoa::Buffer::new().format(payload).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_bulk(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'$');
    out.extend_from_slice(itoa::Buffer::new().format(word.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// The error when the other server has answered one.
fn refused(text: &[u8]) -> CommandError {
    CommandError::quoting("ERR Target instance replied with error: ", text, "")
}
