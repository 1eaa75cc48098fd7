//! A primary's view of its replicas.

use super::backlog::Backlog;
use crate::machine::Endpoint;
use crate::server::Server;
use crate::server::{Client, CloseState};
use crate::time::{Duration, Mono, Now};

/// How many bytes of the stream a replica's outbox may hold. The rest stays in the backlog, which
/// all replicas share.
const WINDOW: usize = 256 * 1024;

/// The state of one replica.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)]
pub(in crate::server) struct Replica {
    pub(super) state: State,
    /// The port that it announced.
    pub(super) port: i64,
    /// The address that it announced, if any.
    pub(super) address: Option<Vec<u8>>,
    pub(super) can: Capabilities,
    pub(super) wants: Wants,
    /// Whether it connected with SYNC, and does not acknowledge offsets.
    pub(super) old: bool,
    /// The offset that it has acknowledged.
    pub(super) acked: i64,
    /// The offset up to which it has fsynced its append-only file.
    pub(super) fsynced: i64,
    /// When it last acknowledged an offset.
    pub(super) acked_at: Mono,
    /// Whether it is sent the stream only after its first acknowledgement, when it has loaded its
    /// full sync.
    pub(super) on_ack: bool,
    /// The replication offset of its full sync.
    pub(super) initial_offset: i64,
    /// The offset of the next byte to send.
    pub(super) next: i64,
    /// Since when it has been waiting for a full sync to start.
    pub(super) since: Mono,
    /// The file of its full sync that it is being sent.
    pub(super) file: Option<super::sync::Sending>,
    /// Outbox size in bytes when last checked, and since when it has not shrunk.
    stuck: (usize, Mono),
}

/// The state of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has only sent REPLCONF, and may yet turn out to be something else.
    Handshake,
    /// It waits for a full sync to start.
    WaitsForBegin,
    /// Its full sync is being written, and perhaps sent at the same time.
    WaitsForEnd,
    /// It is being sent its full sync from a file.
    Sending,
    /// It receives the stream.
    Online,
    /// It has got its full sync, which is all that it wanted.
    Done,
}

/// The capabilities of a replica (`REPLCONF capa`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// It accepts a full sync of unknown length, with an end mark.
    pub(super) eof: bool,
    /// It accepts a change of the replication id.
    pub(super) psync2: bool,
}

impl Capabilities {
    /// Whether it has all capabilities of `other`.
    pub(super) fn covers(self, other: Self) -> bool {
        (self.eof || !other.eof) && (self.psync2 || !other.psync2)
    }

    /// The common capabilities.
    pub(super) fn and(self, other: Self) -> Self {
        Self { eof: self.eof && other.eof, psync2: self.psync2 && other.psync2 }
    }
}

/// What a replica wants (`REPLCONF rdb-only`, `rdb-filter-only`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wants {
    /// A full sync without the stream.
    pub(super) only_copy: bool,
    /// No keys.
    pub(super) no_data: bool,
    /// No functions.
    pub(super) no_functions: bool,
}

impl Wants {
    /// Whether it does not want all data.
    pub(super) fn is_filtered(self) -> bool {
        self.no_data || self.no_functions
    }

    /// Whether the same full sync serves both.
    pub(super) fn same_copy(self, other: Self) -> bool {
        (self.no_data, self.no_functions) == (other.no_data, other.no_functions)
    }
}

impl Replica {
    pub(super) fn new(now: Mono) -> Self {
        Self {
            state: State::Handshake,
            port: 0,
            address: None,
            can: Capabilities::default(),
            wants: Wants::default(),
            old: false,
            acked: 0,
            fsynced: 0,
            acked_at: now,
            on_ack: false,
            initial_offset: 0,
            next: 0,
            since: now,
            file: None,
            stuck: (0, now),
        }
    }

    /// Whether it receives the stream as it is produced.
    fn streams(&self) -> bool {
        self.state == State::Online && !self.on_ack
    }

    /// Whether the backlog has to keep the stream for it.
    fn is_fed(&self) -> bool {
        !self.wants.only_copy
            && matches!(self.state, State::WaitsForEnd | State::Sending | State::Online)
    }

    /// Seconds since its last acknowledgement, if it receives the stream.
    pub(super) fn lag(&self, now: Mono) -> u64 {
        if self.state == State::Online { now.since(self.acked_at).as_secs() } else { 0 }
    }

    /// Whether it has not read anything of a diskless full sync for `timeout`.
    pub(super) fn is_stuck(&mut self, now: Mono, waiting: usize, timeout: Duration) -> bool {
        if waiting == 0 || waiting != self.stuck.0 {
            self.stuck = (waiting, now);
        }
        now.since(self.stuck.1) >= timeout
    }

    /// Bytes of the stream that it has not been sent.
    fn behind(&self, backlog: &Backlog) -> u64 {
        let left = if self.is_fed() { backlog.next() - self.next } else { 0 };
        u64::try_from(left).unwrap_or_default()
    }
}

impl Replica {
    /// Whether it has done more than the handshake.
    #[inline]
    pub(in crate::server) fn is_registered(&self) -> bool {
        self.state != State::Handshake
    }
}

impl Client {
    /// The replication state of this client, created if necessary.
    pub(super) fn as_replica(&mut self, now: Mono) -> &mut Replica {
        self.state.replica.get_or_insert_with(|| Box::new(Replica::new(now)))
    }

    /// The address of a replica.
    pub(super) fn replica_address(&self) -> String {
        let announced =
            self.state.replica.as_deref().and_then(|replica| replica.address.as_deref());
        match (announced, &self.peer) {
            (Some(address), _) => String::from_utf8_lossy(address).into_owned(),
            (None, Endpoint::Ip(address)) => address.ip().to_canonical().to_string(),
            (None, Endpoint::Unix(_)) => String::new(),
        }
    }

    /// Whether two connections belong to the same replica: same address, same announced port.
    pub(super) fn is_same_replica(&self, other: &Client) -> bool {
        let host = |client: &Client| match &client.peer {
            Endpoint::Ip(address) => Some(address.ip()),
            Endpoint::Unix(_) => None,
        };
        let (Some(ours), Some(others)) = (&self.state.replica, &other.state.replica) else {
            return false;
        };
        ours.port != 0
            && ours.port == others.port
            && ours.address == others.address
            && host(self) == host(other)
    }

    /// A replica's name in the log.
    pub(super) fn replica_name(&self) -> String {
        let address = self.replica_address();
        match self.state.replica.as_deref().map(|replica| replica.port) {
            Some(port) if port != 0 && address.contains(':') => format!("[{address}]:{port}"),
            Some(port) if port != 0 => format!("{address}:{port}"),
            _ => format!("{address}:<unknown-replica-port>"),
        }
    }
}

impl Server {
    /// All replicas, in the order in which they connected.
    pub(in crate::server) fn all_replicas(&self) -> impl Iterator<Item = (&Client, &Replica)> {
        let slots = self.service.replication.replicas.iter();
        slots.filter_map(|slot| {
            let client = self.clients.get(*slot)?;
            Some((client, client.state.replica.as_deref()?))
        })
    }

    /// Number of replicas whose lag is within `min-replicas-max-lag`.
    pub(in crate::server) fn replicas_within_lag(&self, now: Mono) -> u64 {
        let most = self.config.settings().min_replicas_max_lag;
        let good = |replica: &Replica| {
            replica.state == State::Online && now.since(replica.acked_at).as_secs() <= most
        };
        self.all_replicas().filter(|(_, replica)| good(replica)).count() as u64
    }

    /// Whether all replicas that are not lagging have acknowledged an offset; true if there are
    /// none.
    pub(in crate::server) fn replicas_within_lag_have(&self, now: Mono, offset: i64) -> bool {
        let most = self.config.settings().min_replicas_max_lag;
        let lags = |replica: &Replica| {
            replica.state == State::Online
                && now.since(replica.acked_at).as_secs() <= most
                && replica.acked < offset
        };
        !self.all_replicas().any(|(_, replica)| lags(replica))
    }

    /// Whether all replicas have acknowledged the whole stream; true if there are none.
    pub(in crate::server) fn replicas_are_in_sync(&self) -> bool {
        let offset = self.service.replication.offset;
        self.all_replicas()
            .filter(|(_, replica)| !replica.wants.only_copy)
            .all(|(_, replica)| replica.acked == offset)
    }

    /// Asks all replicas for their offsets.
    pub(in crate::server) fn ask_replicas_for_offsets(&mut self, now: Now<'_>) {
        self.feed_words(&[b"REPLCONF", b"GETACK", b"*"]);
        self.send_stream_to_replicas(now);
    }

    /// Logs which replicas lag at a shutdown.
    pub(in crate::server) fn log_replicas_at_shutdown(&mut self, now: Now<'_>) {
        let offset = self.service.replication.offset;
        let lagging: Vec<String> = self
            .all_replicas()
            .filter(|(_, replica)| replica.acked != offset)
            .map(|(client, replica)| {
                format!(
                    "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
                    client.replica_name(),
                    offset - replica.acked,
                    replica.lag(now.mono),
                    replica.state.name()
                )
            })
            .collect();
        let all = self.service.replication.replicas.len();
        let in_sync = all.saturating_sub(lagging.len());
        for line in lagging {
            self.notice(|| line);
        }
        if all > 0 {
            self.notice(|| format!("{in_sync} of {all} replicas are in sync when shutting down."));
        }
    }

    /// Sends replicas their pending output, as far as that can be done at once.
    pub(in crate::server) fn flush_replicas(&mut self) {
        let (mono, wall) = self.now;
        self.send_stream_to_replicas(Now::instantaneous(mono, wall));
    }

    /// Registers a client as a replica.
    pub(super) fn add_replica(&mut self, now: Mono, client: &mut Client, state: State) {
        let replica = client.as_replica(now);
        replica.state = state;
        replica.acked_at = now;
        replica.since = now;
        if !self.service.replication.replicas.contains(&client.slot) {
            self.service.replication.replicas.push(client.slot);
        }
        self.followers_changed();
        self.wake_replication(now);
    }

    /// Removes a replica whose connection was closed.
    pub(in crate::server) fn replica_disconnected(&mut self, client: &mut Client) {
        if !client.is_replica() {
            client.state.replica = None;
            return;
        }
        self.notice(|| format!("Connection with replica {} lost.", client.replica_name()));
        let left = client.state.replica.take();
        self.service.replication.replicas.retain(|slot| *slot != client.slot);
        if self.service.replication.replicas.is_empty() {
            self.service.replication.no_replicas_since = self.now.0;
        }
        if let Some(file) = left.as_ref().and_then(|replica| replica.file.as_ref()) {
            self.stop_sending(file);
        }
        if left.is_some_and(|replica| replica.state == State::WaitsForEnd) {
            self.waiting_replica_disconnected();
        }
        // The part of the backlog kept only for it can be dropped.
        self.service.replication.has_unsent = true;
        self.followers_changed();
    }

    /// Disconnects all replicas, so that they reconnect and learn about a change.
    pub(super) fn disconnect_replicas(&mut self) {
        for slot in self.service.replication.replicas.clone() {
            self.cut_off(slot);
        }
    }

    /// Sends replicas new parts of the stream, as much as their outboxes hold.
    pub(super) fn send_stream_to_replicas(&mut self, now: Now<'_>) {
        for slot in self.service.replication.replicas.clone() {
            let Some(mut client) = self.clients.take(slot) else { continue };
            self.fill_outbox(now, &mut client);
            self.clients.put(client);
        }
        let size = self.config.settings().repl_backlog_size;
        let needed = self
            .all_replicas()
            .filter(|(_, replica)| replica.is_fed())
            .map(|(_, replica)| replica.next)
            .min();
        if let Some(backlog) = &mut self.service.replication.backlog {
            backlog.trim(size, needed.unwrap_or(i64::MAX));
        }
    }

    /// Fills a replica's outbox from the backlog.
    pub(in crate::server) fn fill_outbox(&mut self, now: Now<'_>, client: &mut Client) {
        if client.close_state != CloseState::Open {
            return;
        }
        let Some(backlog) = &self.service.replication.backlog else { return };
        let Some(replica) = client.state.replica.as_deref_mut() else { return };
        if replica.streams() && replica.is_fed() {
            let room = WINDOW.saturating_sub(client.outbox.len());
            let given = backlog.read(replica.next, room, &mut client.outbox);
            replica.next += given as i64;
            self.service.replication.stats.net_output += given as u64;
            if replica.next < backlog.next() {
                client.outbox.set_low_water(WINDOW / 2);
            }
        }
        self.flush(now, client);
    }

    /// A client's pending output in bytes, for a replica including its part of the backlog.
    #[inline(always)]
    pub(in crate::server) fn waiting_bytes(&self, client: &Client) -> u64 {
        let behind = match (&client.state.replica, &self.service.replication.backlog) {
            (Some(replica), Some(backlog)) => replica.behind(backlog),
            _ => 0,
        };
        client.unsent() as u64 + behind
    }

    /// A replica has its full sync: from now on it is online.
    pub(super) fn put_online(&mut self, now: Now<'_>, client: &mut Client) {
        let name = client.replica_name();
        let replica = client.as_replica(now.mono);
        if replica.wants.only_copy {
            replica.state = State::Done;
            self.notice(|| {
                format!(
                    "RDB transfer completed, rdb only replica ({name}) should be disconnected asap"
                )
            });
            client.close_state = CloseState::AfterReply;
            self.flush(now, client);
            return;
        }
        replica.state = State::Online;
        replica.acked_at = now.mono;
        self.service.replication.acked = true;
        self.service.replication.has_unsent = true;
        self.notice(|| format!("Synchronization with replica {name} succeeded"));
    }
}

impl State {
    /// The name in INFO.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::WaitsForBegin | State::WaitsForEnd => "wait_bgsave",
            State::Sending => "send_bulk",
            State::Online => "online",
            State::Handshake | State::Done => "",
        }
    }
}
