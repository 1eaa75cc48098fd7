//! What a server knows of one client.

use std::collections::VecDeque;

use super::LongReply;
use crate::machine::{ConnId, Endpoint, Outbox};
use crate::resp::Proto;
use crate::resp::request::{OwnedArgs, Requests};
use crate::server::aof::Held;
use crate::server::blocking::Blocked;
use crate::server::pubsub::Subscriptions;
use crate::server::replication::Replica;
use crate::server::transactions::{Transaction, Watched};
use crate::time::Mono;

/// What a server knows of one client.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)]
pub struct Client {
    /// Its id, larger than those of all that came before.
    pub id: u64,
    /// Its connection.
    pub conn: ConnId,
    /// Its place among the clients.
    pub slot: u32,
    /// Whether it is on its way out.
    pub standing: Standing,
    /// Its address.
    pub peer: Endpoint,
    /// Our address, as it sees it.
    pub local: Endpoint,
    /// What it asked.
    pub requests: Requests,
    /// What it has not read yet.
    pub outbox: Outbox,
    /// What is still to be written of its reply, when that is long.
    pub long: Option<Box<LongReply>>,
    /// The version of the protocol that it speaks.
    pub proto: Proto,
    /// The database that it selected.
    pub db: usize,
    /// Whether it may use more than AUTH and the like.
    pub authenticated: bool,
    /// The name that it gave itself.
    pub name: Vec<u8>,
    /// The name of its library.
    pub lib_name: Vec<u8>,
    /// The version of its library.
    pub lib_version: Vec<u8>,
    /// What of its replies it gets.
    pub replies: ReplyMode,
    /// Whether it stays when memory is short.
    pub no_evict: bool,
    /// Whether its reads leave access times alone.
    pub no_touch: bool,
    /// Whether it waits for the end of CLIENT PAUSE.
    pub paused: bool,
    /// Whether it waits for the end of something that was begun for it (CONFIG REWRITE).
    pub waiting: bool,
    /// The command that it waits to carry out.
    pub held: Option<OwnedArgs>,
    /// Whether it is in the queue of those with more to do.
    pub pending: bool,
    /// Whether it will send no more, and leaves when it has been served.
    pub ended: bool,
    /// Whether the driver was told to stop reading from it.
    pub not_reading: bool,
    /// Whether the driver was told that its outbox holds bytes.
    pub sending: bool,
    /// Replies that stay until the append-only file is durable up to some point.
    pub(crate) gated: VecDeque<Held>,
    /// When it connected.
    pub created: Mono,
    /// When it was last heard of.
    pub last_heard: Mono,
    /// The command that it called last, by its place in the table.
    pub last_command: Option<u16>,
    /// Since when its outbox is above the soft limit.
    pub above_soft_limit_since: Option<Mono>,
    /// The longest its outbox has been.
    pub outbox_peak: usize,
    /// What waits for EXEC, after MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// The keys that it watches.
    pub watching: Vec<Watched>,
    /// What it listens to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// What it waits for.
    pub blocked: Option<Box<Blocked>>,
    /// The deadline of the wait from which it has just been taken.
    pub resumed: Option<Option<Mono>>,
    /// Whether it looks on (MONITOR).
    pub monitor: bool,
    /// What is known of it as a replica, if it has made itself known as one.
    pub(in crate::server) replica: Option<Box<Replica>>,
    /// Whether it is the primary, whose stream of commands is carried out.
    pub from_primary: bool,
    /// The offset of the stream of commands behind what it wrote last.
    pub write_offset: i64,
    /// Bytes that the arguments of the running command take.
    pub argv_bytes: usize,
    /// Bytes of its last input that its running command came with.
    pub input_bytes: usize,
}

/// Whether a client is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not.
    Open,
    /// It will be closed when the command at hand is done and its reply has been sent.
    Closing,
    /// Its connection is being closed; what it sends is not read.
    Leaving,
}

/// What of its replies a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// All but the reply to this command.
    Skip,
    /// All but the reply to the next command.
    SkipNext,
}

impl Client {
    /// Bytes that a client takes by itself: a fixed figure, so that a server tells the same on
    /// every platform.
    const SIZE: usize = 640;

    /// A client that has just connected.
    pub fn new(id: u64, conn: ConnId, peer: Endpoint, local: Endpoint, now: Mono) -> Self {
        Self {
            id,
            conn,
            slot: 0,
            standing: Standing::Open,
            peer,
            local,
            requests: Requests::default(),
            outbox: Outbox::default(),
            long: None,
            proto: Proto::default(),
            db: 0,
            authenticated: false,
            name: Vec::new(),
            lib_name: Vec::new(),
            lib_version: Vec::new(),
            replies: ReplyMode::On,
            no_evict: false,
            no_touch: false,
            paused: false,
            waiting: false,
            held: None,
            pending: false,
            ended: false,
            not_reading: false,
            sending: false,
            gated: VecDeque::new(),
            created: now,
            last_heard: now,
            last_command: None,
            above_soft_limit_since: None,
            outbox_peak: 0,
            transaction: None,
            watching: Vec::new(),
            subscriptions: None,
            blocked: None,
            resumed: None,
            monitor: false,
            replica: None,
            from_primary: false,
            write_offset: 0,
            argv_bytes: 0,
            input_bytes: 0,
        }
    }

    /// Whether its peer is on this host.
    pub fn is_local(&self) -> bool {
        match &self.peer {
            Endpoint::Ip(address) => address.ip().to_canonical().is_loopback(),
            Endpoint::Unix(_) => true,
        }
    }

    /// Whether its next command has to wait.
    #[inline]
    pub fn is_held(&self) -> bool {
        self.paused || self.waiting || self.blocked.is_some() || self.long.is_some()
    }

    /// Whether nothing about it can stand against a command on data, or make its reply other than
    /// usual.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.authenticated
            && self.replies == ReplyMode::On
            && self.transaction.is_none()
            && self.subscriptions.is_none()
            && self.replica.is_none()
            && !self.from_primary
    }

    /// Bytes that wait for it.
    pub fn unsent(&self) -> usize {
        self.outbox.len() + self.long.as_ref().map_or(0, |long| long.behind())
    }

    /// Whether the reply to the running command is dropped.
    #[inline]
    pub fn is_muted(&self) -> bool {
        // Once it is to be closed, nothing is added to what it was told.
        matches!(self.replies, ReplyMode::Off | ReplyMode::Skip) || self.standing != Standing::Open
    }

    /// Whether it may only change what it listens to, since in version 2 of the protocol it could
    /// not tell replies from messages.
    #[inline]
    pub fn only_listens(&self) -> bool {
        self.subscriptions.is_some() && self.proto == Proto::Resp2
    }

    /// The peer's address as CLIENT LIST shows it.
    pub fn address(&self) -> String {
        match &self.peer {
            Endpoint::Unix(_) => self.local.to_string(),
            ip @ Endpoint::Ip(_) => ip.to_string(),
        }
    }

    /// Our address as CLIENT LIST shows it.
    pub fn local_address(&self) -> String {
        self.local.to_string()
    }

    /// Memory that it takes, in bytes.
    pub fn memory(&self) -> usize {
        Self::SIZE
            + self.requests.capacity()
            + self.requests.argv_capacity()
            + self.outbox.capacity()
            + self.name.capacity()
    }
}
