//! One client: its connection, its protocol state, and what its program keeps for it.

use std::sync::Arc;

use super::{LongReply, Subscriptions, Tracking};
use crate::acl::User;
use crate::front::Service;
use crate::machine::{ConnId, Endpoint, Outbox};
use crate::resp::Proto;
use crate::resp::request::{OwnedArgs, Requests};
use crate::time::Mono;

/// One client. The fields that every command reads come first, so that they share cache lines.
#[derive(Clone, Debug)]
#[repr(C)]
#[allow(clippy::struct_excessive_bools)]
pub struct Client<S: Service> {
    /// Its id, larger than those of all that came before.
    pub id: u64,
    /// Its connection.
    pub conn: ConnId,
    /// What it has not read yet.
    pub outbox: Outbox,
    /// What it asked.
    pub requests: Requests,
    /// What is still to be written of its reply, when that is long.
    pub long: Option<Box<LongReply>>,
    /// What it listens to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// How it is told of changes to what it caches, if it wants to be.
    pub tracking: Option<Box<Tracking>>,
    /// When it was last heard of.
    pub last_heard: Mono,
    /// Bytes of its last input that its running command came with.
    pub input_bytes: usize,
    /// Its place among the clients.
    pub slot: u32,
    /// The command that it called last, by its place in the table.
    pub last_command: Option<u16>,
    /// Whether it is on its way out.
    pub standing: Standing,
    /// The version of the protocol that it speaks.
    pub proto: Proto,
    /// Whether the driver is to be told that its outbox holds bytes.
    pub sending: Due,
    /// What of its replies it gets.
    pub replies: ReplyMode,
    /// Whether it has logged in, or came in when no password was needed.
    pub authenticated: bool,
    /// Whether it may call every command on all keys and channels: what its user may do, and
    /// whether it need not log in first, come to that.
    pub unrestricted: bool,
    /// Whether its reads leave access times alone.
    pub no_touch: bool,
    /// Whether it waits for the end of CLIENT PAUSE.
    pub paused: bool,
    /// Whether it waits for the end of something that was begun for it (CONFIG REWRITE).
    pub waiting: bool,
    /// Whether it is in the queue of those with more to do.
    pub pending: bool,
    /// Whether the driver was told to stop reading from it.
    pub not_reading: bool,
    /// What only its program keeps for it.
    pub state: S::Client,
    /// The longest its outbox has been.
    pub outbox_peak: usize,
    /// Since when its outbox is above the soft limit.
    pub above_soft_limit_since: Option<Mono>,
    /// Its address.
    pub peer: Endpoint,
    /// Our address, as it sees it.
    pub local: Endpoint,
    /// Whose permissions it has. `None`: those of the program itself, which may do everything.
    pub user: Option<Arc<User>>,
    /// The name that it gave itself.
    pub name: Vec<u8>,
    /// The name of its library.
    pub lib_name: Vec<u8>,
    /// The version of its library.
    pub lib_version: Vec<u8>,
    /// Whether it stays when memory is short.
    pub no_evict: bool,
    /// The command that it waits to carry out.
    pub held: Option<OwnedArgs>,
    /// Whether it will send no more, and leaves when it has been served.
    pub ended: bool,
    /// When it connected.
    pub created: Mono,
    /// Whether it is in MONITOR.
    pub monitor: bool,
    /// Bytes that the arguments of the running command take.
    pub argv_bytes: usize,
    /// How much of its memory is in the sum of all clients, if that is counted.
    pub counted_memory: usize,
}

/// What a program keeps for a client besides what the front does. What every command reads belongs
/// at the beginning of the type.
pub trait ClientState: Clone + core::fmt::Debug + Default + Send + Sync {
    /// Whether its command waits for something, and its next one has to wait with it.
    #[inline]
    fn is_blocked(&self) -> bool {
        false
    }

    /// Whether its command was blocked before and is carried out again.
    #[inline]
    fn is_resumed(&self) -> bool {
        false
    }

    /// What kind of peer it is.
    #[inline]
    fn kind(&self) -> ClientKind {
        ClientKind::Normal
    }

    /// Whether commands are queued for EXEC.
    #[inline]
    fn in_transaction(&self) -> bool {
        false
    }

    /// How many commands are queued for EXEC, and the bytes that they take.
    fn queued(&self) -> Option<(usize, usize)> {
        None
    }

    /// Bytes that it takes: what is queued, and what it keeps of keys.
    fn memory(&self) -> usize {
        self.queued().map_or(0, |(_, bytes)| bytes)
    }

    /// The selected database.
    fn db(&self) -> usize {
        0
    }
}

impl ClientState for () {}

/// What kind of peer a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// A client like others.
    Normal,
    /// A replica, which is sent a stream of commands.
    Replica,
    /// The primary, whose stream of commands is carried out.
    Primary,
    /// Another node of the cluster, which brings slots.
    Source,
}

/// Whether a client is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The client is served.
    Open,
    /// It will be closed when the command at hand is done and its reply has been sent.
    Closing,
    /// Its connection is being closed; what it sends is not read.
    Leaving,
}

/// Whether a driver is to be told that a client's outbox holds bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It knows, or there are none.
    No,
    /// Pushed messages are queued that may wait for the next turn (`Output::SendSoon`).
    Soon,
    /// There is something that the client waits for.
    Now,
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

impl<S: Service> Client<S> {
    /// Bytes that a client takes by itself: a fixed figure, so that a server tells the same on
    /// every platform.
    const SIZE: usize = 640;

    /// Bytes that a name takes that the client is known under: a channel, a prefix, a key. A fixed
    /// figure as well.
    pub const NAME_SIZE: usize = 64;

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
            authenticated: false,
            unrestricted: false,
            user: None,
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
            sending: Due::No,
            created: now,
            last_heard: now,
            last_command: None,
            above_soft_limit_since: None,
            outbox_peak: 0,
            subscriptions: None,
            tracking: None,
            monitor: false,
            state: S::Client::default(),
            argv_bytes: 0,
            counted_memory: 0,
            input_bytes: 0,
        }
    }

    /// Gives it the rights of the program itself, as the primary has them.
    pub fn trust(&mut self) {
        self.user = None;
        self.authenticated = true;
        self.unrestricted = true;
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
        self.paused || self.waiting || self.state.is_blocked() || self.long.is_some()
    }

    /// Whether it is a replica.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.state.kind() == ClientKind::Replica
    }

    /// Whether it is the primary.
    #[inline]
    pub fn is_primary(&self) -> bool {
        self.state.kind() == ClientKind::Primary
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

    /// Brings the sum of what clients take up to date, in which servers do not count.
    pub(in crate::front) fn count_memory(&mut self, total: &mut u64) {
        let counts = self.state.kind() == ClientKind::Normal;
        let memory = if counts { self.reported_memory() } else { 0 };
        *total = (*total + memory as u64).saturating_sub(self.counted_memory as u64);
        self.counted_memory = memory;
    }

    /// Memory as CLIENT LIST and `maxmemory-clients` count it: with room for a chunk of replies that
    /// every client has in Redis, so that the next small reply changes nothing.
    pub fn reported_memory(&self) -> usize {
        self.memory() + Outbox::CHUNK.saturating_sub(self.outbox.capacity())
    }

    /// Memory that it takes, in bytes.
    pub fn memory(&self) -> usize {
        Self::SIZE
            + self.requests.capacity()
            + self.requests.argv_capacity()
            + self.outbox.capacity()
            + self.name.capacity()
            + self.argv_bytes
            + self.state.memory()
            + self.subscriptions.as_ref().map_or(0, |s| s.len() * Self::NAME_SIZE)
            + self.tracking.as_ref().map_or(0, |t| t.prefixes() * Self::NAME_SIZE)
    }
}
