//! MIGRATE: moving keys to another server.
//!
//! * `sockets`: connections to other servers, which are kept for a while;
//! * `conn`: the dialogue on one of them;
//! * here: the command's options, and what follows its end.
//!
//! While keys are moved no other client is served, as in Redis, where the thread waits for the
//! other server: so no client sees a key that is neither here nor there, and none changes a key in
//! transit. Every wait is limited by the command's timeout.

mod conn;
mod sockets;

use std::net::SocketAddr;

use conn::MigrateConn;
use sockets::Sockets;

use super::Command;
use super::Server;
use super::replication::address_of_name;
use super::transactions::Suspended;
use super::{Call, Handler, row};
use crate::command::error::up_to_nul;
use crate::command::meta::{Begin, Find, KeySpec, acl, flag, key, special};
use crate::command::migrate::Word;
use crate::command::{Class, CommandError, Group, Row};
use crate::machine::{Address, Endpoint, Output};
use crate::resp::number::parse_i64;
use crate::resp::reply::Reply;
use crate::resp::request::{Args, OwnedArgs};
use crate::server::{Client, CloseState, ReplyMode};
use crate::time::{Duration, Mono, Now};

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Generic, "migrate", -6, migrate)
    .special(special::MIGRATE)
    .flags(flag::WRITE)
    .acl(acl::KEYSPACE | acl::DANGEROUS)
    .keys(KEYS)
    .since("2.6.0")
    .complexity(
        "That of DUMP and DEL here and of RESTORE there, and O(N) for the way, N being the bytes.",
    )
    .summary("Moves keys to another server.")
    .syntax(
        "host port#integer <key-selector: key | empty-string=\"\"> destination-db#integer \
         timeout#integer [COPY@3.0.0] [REPLACE@3.0.0] \
         [authentication: AUTH auth=password@4.0.7 | AUTH2 <auth2@6.0.0: username password>] \
         [KEYS keys=key#key:1@3.0.6 ...]",
    )
    .tips(&["nondeterministic_output"])
    .history(&[
        ("3.0.0", "New: `COPY`, `REPLACE`."),
        ("3.0.6", "New: `KEYS`."),
        ("4.0.7", "New: `AUTH`."),
        ("6.0.0", "New: `AUTH2`."),
    ])];

const KEYS: &[KeySpec] = &[
    KeySpec::one(3, MOVED),
    KeySpec {
        begin: Begin::Keyword("KEYS", -2),
        find: Find::Range { last: -1, step: 1, limit: 0 },
        flags: MOVED | key::INCOMPLETE,
        notes: "",
    },
];

const MOVED: u32 = key::RW | key::ACCESS | key::DELETE;

/// The timeout if 0 is given.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(1_000);

/// The error when no connection can be established.
const UNREACHABLE: &str = "IOERR error or timeout connecting to the client";

/// The state of MIGRATE, of which one is executed at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Migration {
    at_work: Option<Box<Move>>,
    sockets: Sockets,
    /// Whether paused clients have to be resumed at the end.
    unpause: bool,
}

/// A MIGRATE in progress.
#[derive(Clone, Debug)]
struct Move {
    /// The slot of the client that waits for it. The client is kept until the end, even if it
    /// disconnects.
    slot: u32,
    /// Whether its connection was closed.
    disconnected: bool,
    /// Whether it does not get a reply (CLIENT REPLY).
    no_reply: bool,
    command: &'static Command,
    args: OwnedArgs,
    began: Mono,
    /// The database of the keys.
    db: usize,
    options: Options,
    to: Address,
    /// The indices of the keys among the arguments.
    keys: Vec<usize>,
    /// Keys that the other server has confirmed, and that were deleted here.
    moved: Vec<usize>,
    target: MigrateConn,
    /// The EXEC that it is part of.
    exec: Option<Suspended>,
}

/// The arguments besides the keys.
#[derive(Clone, Copy, Debug)]
struct Options {
    copy: bool,
    replace: bool,
    /// The index and number of the arguments of AUTH or AUTH2.
    login: Option<(usize, usize)>,
    /// The index of the first key.
    first_key: usize,
    /// Number of keys.
    count: usize,
    /// The target database.
    db: i64,
    timeout: Duration,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut options = Options {
            copy: false,
            replace: false,
            login: None,
            first_key: 3,
            count: 1,
            db: 0,
            timeout: DEFAULT_TIMEOUT,
        };
        let mut at = 6;
        while let Some(word) = args.get(at) {
            let left = args.len() - at - 1;
            at += 1;
            match Word::of(word) {
                Some(Word::Copy) => options.copy = true,
                Some(Word::Replace) => options.replace = true,
                Some(Word::Login(words)) => {
                    if left < words {
                        return Err(CommandError::Syntax);
                    }
                    options.login = Some((at, words));
                    at += words;
                }
                Some(Word::Keys) => {
                    if !args.at(3).is_empty() {
                        return Err(CommandError::text(
                            "ERR When using MIGRATE KEYS option, the key argument must be set to \
                             the empty string",
                        ));
                    }
                    (options.first_key, options.count) = (at, left);
                    break;
                }
                None => return Err(CommandError::Syntax),
            }
        }
        let number = |at| parse_i64(args.at(at)).ok_or(CommandError::NotAnInteger);
        if let timeout @ 1.. = number(5)? {
            options.timeout = Duration::from_millis(timeout.unsigned_abs());
        }
        options.db = number(4)?;
        Ok(options)
    }
}

fn migrate(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let options = Options::parse(call.args)?;
    if let Some(refusal) = server.migrate_refusal(call.client) {
        return Err(refusal);
    }
    let keys = server.keys_to_move(call, options);
    if keys.is_empty() {
        call.reply().simple("NOKEY");
        return Ok(());
    }
    let to = address(call.arg(1), call.arg(2)).ok_or(CommandError::text(UNREACHABLE))?;
    call.client.waiting = true;
    server.hold_all();
    let target = server.open_migrate_conn(call.now, call.args, &to, options.timeout);
    server.service.migration.at_work = Some(Box::new(Move {
        slot: call.client.slot,
        disconnected: false,
        no_reply: call.client.replies == ReplyMode::Skip,
        command: call.command,
        args: call.args.into(),
        began: call.now.mono,
        db: call.client.state.db,
        options,
        to,
        keys,
        moved: Vec::new(),
        target,
        exec: None,
    }));
    Ok(())
}

/// The target's address. `None` if it is invalid.
fn address(host: &[u8], port: &[u8]) -> Option<Address> {
    let host = core::str::from_utf8(up_to_nul(host)).ok()?;
    // As C's `atoi`: anything after the digits is ignored.
    let digits = port.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let port = parse_i64(port.get(..digits)?).and_then(|port| u16::try_from(port).ok())?;
    (port != 0).then(|| match address_of_name(host) {
        Some(ip) => Address::Endpoint(Endpoint::Ip(SocketAddr::new(ip, port))),
        None => Address::Name { host: host.to_owned(), port },
    })
}

impl Server {
    /// Whether a MIGRATE is in progress, so that nothing else is executed.
    #[inline]
    pub(super) fn is_migrating(&self) -> bool {
        self.service.migration.at_work.is_some()
    }

    /// Whether a command is in progress that all clients wait for: MIGRATE or a script.
    #[inline]
    pub(super) fn is_halted(&self) -> bool {
        self.is_migrating() || self.script_is_paused()
    }

    /// Whether a transaction is half executed, which must not be visible outside.
    #[inline]
    pub(super) fn is_halfway(&self) -> bool {
        self.service.migration.at_work.as_ref().is_some_and(|at_work| at_work.exec.is_some())
    }

    /// Number of kept connections.
    pub(super) fn migration_sockets(&self) -> usize {
        self.service.migration.sockets.len()
    }

    /// Why MIGRATE is refused now, if it is.
    fn migrate_refusal(&self, client: &Client) -> Option<CommandError> {
        if self.is_loading() {
            return Some(CommandError::text("LOADING Redis is loading the dataset in memory"));
        }
        if client.state.from_primary {
            return Some(CommandError::text(
                "ERR MIGRATE cannot come from a primary, which tells its replicas DEL",
            ));
        }
        self.replication_syncs().then_some(CommandError::text(
            "ERR A copy of the data comes from the master. Wait until it is here, or cut the link \
             with REPLICAOF NO ONE",
        ))
    }

    /// Looks the keys up: returns the indices of those that exist.
    fn keys_to_move(&mut self, call: &Call<'_>, options: Options) -> Vec<usize> {
        self.prepare_env(call.now, call.client);
        let replica = self.service.replication.is_replica();
        if replica {
            self.expire_as(call.client, call.command);
        }
        self.service.effects.begin(self.service.consumers);
        let mut keys = Vec::new();
        for at in (options.first_key..).take(options.count) {
            let mut db = self.service.keyspace.db(call.client.state.db);
            if db.read(db.key(call.arg(at))).is_some() {
                keys.push(at);
            }
        }
        self.after_effects(call.now, None);
        if replica {
            self.update_expire_mode();
        }
        keys
    }

    /// Deletes a key that the other server has confirmed.
    fn moved_key(&mut self, now: Now<'_>, at_work: &mut Move, at: usize) {
        at_work.moved.push(at);
        let (args, db) = (at_work.args.as_args(), at_work.db);
        let name = args.at(at);
        self.service.keyspace.env.now_ms = now.wall.as_millis();
        self.service.effects.begin(self.service.consumers);
        let mut keys = self.service.keyspace.db(db);
        keys.discard(keys.key(name));
        self.service.effects.dirty += 1;
        self.service.effects.touched(db, name);
        self.service.effects.event(db, Class::Generic, "del", name);
        self.after_effects(now, None);
    }

    /// Ends a MIGRATE: effects are propagated, the client gets its reply, and other clients resume.
    fn end_migration(
        &mut self,
        now: Now<'_>,
        at_work: Box<Move>,
        answer: Result<(), CommandError>,
    ) {
        self.release_all();
        let Some(mut client) = self.clients.take(at_work.slot) else { return };
        let Move { args, began, command, .. } = *at_work;
        let args = args.as_args();
        client.waiting = false;
        let mut exec = at_work.exec;
        if let Some(exec) = &mut exec {
            // Effects of the transaction's earlier commands come first.
            self.service.effects.append(exec.take_done());
        }
        if !at_work.moved.is_empty() {
            let names = at_work.moved.iter().map(|at| args.at(*at));
            self.service.effects.begin(self.service.consumers);
            self.service.effects.propagate(at_work.db, [&b"DEL"[..]].into_iter().chain(names));
        }
        if at_work.no_reply {
            client.replies = ReplyMode::Skip;
        }
        match &answer {
            Ok(()) => {
                let (muted, proto) = (client.is_muted(), client.proto);
                Reply::new(client.out(), &mut self.scratch, proto).muted(muted).ok();
            }
            Err(error) => self.answer_error(&mut client, error),
        }
        if at_work.no_reply {
            client.replies = ReplyMode::On;
        }
        let took = now.mono.0.saturating_sub(began.0);
        self.count_call(now, &client, command, args, (took, answer.is_err()));
        if let Some(exec) = exec {
            self.resume_exec(now, &mut client, exec);
            if let Some(next) = &mut self.service.migration.at_work {
                next.disconnected = at_work.disconnected;
                return self.clients.put(client);
            }
        }
        let before = self.service.replication.offset();
        self.follow_up(now, &mut client, command, before);
        if at_work.disconnected {
            self.remove_client(client);
        } else {
            self.serve_and_leave(now, &mut client);
            self.clients.put(client);
        }
        self.resume_link(now);
        self.resume_stream();
        if core::mem::take(&mut self.service.migration.unpause) {
            self.resume_paused(now);
        }
    }

    /// Resumes paused clients at the end of the MIGRATE.
    pub(super) fn unpause_later(&mut self) {
        self.service.migration.unpause = true;
    }

    /// The connection of a client was closed. True if the client is kept nevertheless, because its
    /// MIGRATE is in progress.
    pub(super) fn keeps_client(&mut self, client: &mut Client) -> bool {
        let Some(at_work) =
            self.service.migration.at_work.as_mut().filter(|m| m.slot == client.slot)
        else {
            return false;
        };
        at_work.disconnected = true;
        if client.close_state != CloseState::Closing {
            self.clients.mark_closing(client);
        }
        true
    }

    /// Keeps the rest of an EXEC until the MIGRATE that it has reached has ended.
    pub(super) fn suspend_exec(&mut self, client: &mut Client, exec: Suspended) {
        let Some(at_work) = &mut self.service.migration.at_work else {
            return self.suspend_exec_for_script(client, exec);
        };
        at_work.exec = Some(exec);
        if !client.not_reading {
            client.not_reading = true;
            self.outputs.push_back(Output::Reading { conn: client.conn, on: false });
        }
    }
}
