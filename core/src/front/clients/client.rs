//! One client: its connection, its protocol state, and the service's own state for it.

use std::sync::Arc;

use super::{LongReply, Subscriptions, Tracking};
use crate::acl::User;
use crate::front::Service;
use crate::machine::{ConnId, Endpoint, Outbox};
use crate::resp::Proto;
use crate::resp::request::{OwnedArgs, Requests};
use crate::time::Mono;

/// One connected client. The fields that every command reads come first, so that they share cache
/// lines.
#[derive(Clone, Debug)]
#[repr(C)]
#[allow(clippy::struct_excessive_bools)]
pub struct Client<S: Service> {
    /// The client id, larger than all before it.
    pub id: u64,
    /// The connection.
    pub conn: ConnId,
    /// The output buffer.
    pub outbox: Outbox,
    /// The query buffer.
    pub requests: Requests,
    /// The rest of a long reply that is written in slices.
    pub long: Option<Box<LongReply>>,
    /// The channels and patterns that it is subscribed to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// CLIENT TRACKING, if it is on.
    pub tracking: Option<Box<Tracking>>,
    /// When bytes last arrived from it; for `timeout` and `idle`.
    pub last_heard: Mono,
    /// Bytes of the last input that belong to the running command.
    pub input_bytes: usize,
    /// Index among the clients.
    pub slot: u32,
    /// The id of its last command in the table.
    pub last_command: Option<u16>,
    /// Whether the connection is being closed.
    pub close_state: CloseState,
    /// The protocol version.
    pub proto: Proto,
    /// Whether the driver has to be told that the outbox holds bytes.
    pub sending: Flush,
    /// CLIENT REPLY: which replies it gets.
    pub replies: ReplyMode,
    /// Whether it has authenticated, or connected when no password was required.
    pub authenticated: bool,
    /// Whether it may call every command on all keys and channels: its user allows everything, and
    /// it need not authenticate first.
    pub unrestricted: bool,
    /// CLIENT NO-TOUCH: whether its reads leave access times alone.
    pub no_touch: bool,
    /// Whether its command is held back by CLIENT PAUSE.
    pub paused: bool,
    /// Whether it waits for an operation that it has started (CONFIG REWRITE).
    pub waiting: bool,
    /// Whether it is in the queue of clients with more requests to execute.
    pub pending: bool,
    /// Whether the driver was told to stop reading from it (back-pressure).
    pub not_reading: bool,
    /// What the service keeps for it.
    pub state: S::Client,
    /// The largest size of its outbox so far, in bytes.
    pub outbox_peak: usize,
    /// Since when the outbox has been above the soft output limit.
    pub above_soft_limit_since: Option<Mono>,
    /// The peer's address.
    pub peer: Endpoint,
    /// The local address.
    pub local: Endpoint,
    /// The user that it is logged in as. `None` is the program itself, which may do everything.
    pub user: Option<Arc<User>>,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: Vec<u8>,
    /// CLIENT NO-EVICT: whether `maxmemory-clients` spares it.
    pub no_evict: bool,
    /// The command that is held back and will be executed later.
    pub held: Option<OwnedArgs>,
    /// Whether the peer has shut down its writing half; the client is closed once it has been
    /// served.
    pub ended: bool,
    /// When it connected.
    pub created: Mono,
    /// Whether it is in MONITOR.
    pub monitor: bool,
    /// Bytes that the arguments of the running command occupy.
    pub argv_bytes: usize,
    /// Its share of the total of client memory, if that is counted.
    pub counted_memory: usize,
}

/// What a service keeps for a client besides what the front does. Fields that every command reads
/// belong at the start of the type.
pub trait ClientState: Clone + core::fmt::Debug + Default + Send + Sync {
    /// Whether its command is blocked, so that the next one has to wait.
    #[inline]
    fn is_blocked(&self) -> bool {
        false
    }

    /// Whether its command was blocked before and is being executed again.
    #[inline]
    fn is_resumed(&self) -> bool {
        false
    }

    /// Which kind of peer it is.
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

    /// Bytes of memory: queued commands, and what refers to keys.
    fn memory(&self) -> usize {
        self.queued().map_or(0, |(_, bytes)| bytes)
    }

    /// The selected database.
    fn db(&self) -> usize {
        0
    }
}

impl ClientState for () {}

/// Which kind of peer a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// An ordinary client.
    Normal,
    /// A replica, which is sent the replication stream.
    Replica,
    /// The primary, whose replication stream is executed.
    Primary,
    /// Another node of the cluster, from which slots are imported.
    Source,
}

/// Whether a client is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseState {
    /// The client is served.
    Open,
    /// It will be closed once the current command is done and its reply sent.
    AfterReply,
    /// The connection is being closed; no more input is read.
    Closing,
}

/// Whether the driver has to be told that a client's outbox holds bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// No: it knows, or the outbox is empty.
    No,
    /// Only push messages, which may wait for the next event-loop iteration (`Output::SendSoon`).
    Soon,
    /// Yes: the client waits for them.
    Now,
}

/// CLIENT REPLY: which replies a client gets.
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
    /// Bytes of a client without its buffers: a fixed figure, so that the server reports the same
    /// on every platform.
    const SIZE: usize = 640;

    /// Bytes of each reference to the client under a channel, a prefix or a key. A fixed figure as
    /// well.
    pub const NAME_SIZE: usize = 64;

    /// A client that has just connected.
    pub fn new(id: u64, conn: ConnId, peer: Endpoint, local: Endpoint, now: Mono) -> Self {
        Self {
            id,
            conn,
            slot: 0,
            close_state: CloseState::Open,
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
            sending: Flush::No,
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

    /// Gives the client the permissions of the program itself, as the primary has them.
    pub fn grant_everything(&mut self) {
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

    /// Bytes in its output buffers.
    pub fn unsent(&self) -> usize {
        self.outbox.len() + self.long.as_ref().map_or(0, |long| long.behind())
    }

    /// Whether the reply to the running command is dropped.
    #[inline]
    pub fn is_muted(&self) -> bool {
        // While the client is being closed, no more replies are added.
        matches!(self.replies, ReplyMode::Off | ReplyMode::Skip)
            || self.close_state != CloseState::Open
    }

    /// Whether only (un)subscribe commands are allowed: RESP2 cannot tell replies from messages.
    #[inline]
    pub fn is_subscribe_only(&self) -> bool {
        self.subscriptions.is_some() && self.proto == Proto::Resp2
    }

    /// The peer's address as CLIENT LIST shows it.
    pub fn address(&self) -> String {
        match &self.peer {
            Endpoint::Unix(_) => self.local.to_string(),
            ip @ Endpoint::Ip(_) => ip.to_string(),
        }
    }

    /// The local address as CLIENT LIST shows it.
    pub fn local_address(&self) -> String {
        self.local.to_string()
    }

    /// Updates the total of client memory, in which replicas and the primary do not count.
    pub(in crate::front) fn count_memory(&mut self, total: &mut u64) {
        let counts = self.state.kind() == ClientKind::Normal;
        let memory = if counts { self.reported_memory() } else { 0 };
        *total = (*total + memory as u64).saturating_sub(self.counted_memory as u64);
        self.counted_memory = memory;
    }

    /// Memory in bytes, as CLIENT LIST and `maxmemory-clients` count it: including the reply buffer
    /// that every client has in Redis, so that small replies do not change the figure.
    pub fn reported_memory(&self) -> usize {
        self.memory() + Outbox::CHUNK.saturating_sub(self.outbox.capacity())
    }

    /// Memory in bytes.
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
