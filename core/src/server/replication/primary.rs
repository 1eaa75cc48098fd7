//! A primary's view of its replicas.

use super::backlog::Backlog;
use crate::machine::Endpoint;
use crate::server::Server;
use crate::server::{Client, Standing};
use crate::time::{Duration, Mono, Now};

/// Bytes of the stream that one replica's outbox holds at most. What it has not read beyond that
/// stays in the backlog, which all replicas share.
const WINDOW: usize = 256 * 1024;

/// What a primary knows of one replica.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)]
pub(in crate::server) struct Replica {
    pub(super) state: State,
    /// The port at which it says it listens.
    pub(super) port: i64,
    /// The address at which it says it can be reached.
    pub(super) address: Option<Vec<u8>>,
    pub(super) can: Capabilities,
    pub(super) wants: Wants,
    /// Whether it came with SYNC, and tells nothing of how far it is.
    pub(super) old: bool,
    /// The offset up to which it has carried out the stream.
    pub(super) acked: i64,
    /// The offset up to which the stream is in its append-only file for good.
    pub(super) fsynced: i64,
    /// When it was heard of.
    pub(super) acked_at: Mono,
    /// Whether it is given the stream only when it says that it has loaded its copy of the data.
    pub(super) on_ack: bool,
    /// The offset at which its copy of the data was made.
    pub(super) initial_offset: i64,
    /// The offset of the first byte that it has not been given.
    pub(super) next: i64,
    /// Since when it waits for a copy of the data to be begun.
    pub(super) since: Mono,
    /// The copy of the data that it is being sent from a file.
    pub(super) file: Option<super::sync::Sending>,
    /// Bytes that waited for it when it was looked at last, and since when they are so many.
    stuck: (usize, Mono),
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has only made itself known; it may be something else.
    Handshake,
    /// It waits for a copy of the data to be begun.
    WaitsForBegin,
    /// Its copy is being made, and perhaps sent as it is made.
    WaitsForEnd,
    /// It is sent its copy from a file.
    Sending,
    /// It gets the stream.
    Online,
    /// It has got its copy, which is all that it wanted.
    Done,
}

/// What a replica can do (`REPLCONF capa`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// It understands a copy of the data whose length is not told beforehand.
    pub(super) eof: bool,
    /// It understands that the id of the stream changes.
    pub(super) psync2: bool,
}

impl Capabilities {
    /// Whether it can do all that `other` can.
    pub(super) fn covers(self, other: Self) -> bool {
        (self.eof || !other.eof) && (self.psync2 || !other.psync2)
    }

    /// What both can do.
    pub(super) fn and(self, other: Self) -> Self {
        Self { eof: self.eof && other.eof, psync2: self.psync2 && other.psync2 }
    }
}

/// What a replica wants of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wants {
    /// A copy of the data and nothing behind it.
    pub(super) only_copy: bool,
    /// No keys.
    pub(super) no_data: bool,
    /// No functions.
    pub(super) no_functions: bool,
}

impl Wants {
    /// Whether it wants less than all.
    pub(super) fn is_filtered(self) -> bool {
        self.no_data || self.no_functions
    }

    /// Whether the same copy of the data serves both.
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

    /// Whether it gets the stream as it comes.
    fn streams(&self) -> bool {
        self.state == State::Online && !self.on_ack
    }

    /// Whether the stream is kept for it.
    fn is_fed(&self) -> bool {
        !self.wants.only_copy
            && matches!(self.state, State::WaitsForEnd | State::Sending | State::Online)
    }

    /// Seconds since it was heard of, if it gets the stream.
    pub(super) fn lag(&self, now: Mono) -> u64 {
        if self.state == State::Online { now.since(self.acked_at).as_secs() } else { 0 }
    }

    /// Whether it has read nothing for so long of a copy of the data that is made as it is sent.
    pub(super) fn is_stuck(&mut self, now: Mono, waiting: usize, timeout: Duration) -> bool {
        if waiting == 0 || waiting != self.stuck.0 {
            self.stuck = (waiting, now);
        }
        now.since(self.stuck.1) >= timeout
    }

    /// Bytes of the stream that it still has to be given.
    fn behind(&self, backlog: &Backlog) -> u64 {
        let left = if self.is_fed() { backlog.next() - self.next } else { 0 };
        u64::try_from(left).unwrap_or_default()
    }
}

impl Replica {
    /// Whether it has done more than make itself known.
    #[inline]
    pub(in crate::server) fn is_known(&self) -> bool {
        self.state != State::Handshake
    }
}

impl Client {
    /// What is known of it as a replica, from now on.
    pub(super) fn as_replica(&mut self, now: Mono) -> &mut Replica {
        self.state.replica.get_or_insert_with(|| Box::new(Replica::new(now)))
    }

    /// The address at which a replica can be reached.
    pub(super) fn replica_address(&self) -> String {
        let announced =
            self.state.replica.as_deref().and_then(|replica| replica.address.as_deref());
        match (announced, &self.peer) {
            (Some(address), _) => String::from_utf8_lossy(address).into_owned(),
            (None, Endpoint::Ip(address)) => address.ip().to_canonical().to_string(),
            (None, Endpoint::Unix(_)) => String::new(),
        }
    }

    /// Whether two connections are those of one replica: they come from one address and name one port.
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

    /// A replica as the log names it.
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
    /// The replicas, in the order in which they came.
    pub(in crate::server) fn all_replicas(&self) -> impl Iterator<Item = (&Client, &Replica)> {
        let slots = self.service.replication.replicas.iter();
        slots.filter_map(|slot| {
            let client = self.clients.get(*slot)?;
            Some((client, client.state.replica.as_deref()?))
        })
    }

    /// Replicas that are up to date enough for writes to be accepted (`min-replicas-max-lag`).
    pub(in crate::server) fn good_replicas(&self, now: Mono) -> u64 {
        let most = self.config.settings().min_replicas_max_lag;
        let good = |replica: &Replica| {
            replica.state == State::Online && now.since(replica.acked_at).as_secs() <= most
        };
        self.all_replicas().filter(|(_, replica)| good(replica)).count() as u64
    }

    /// Whether these replicas have said that they have got the stream up to an offset; true if there
    /// are none.
    pub(in crate::server) fn good_replicas_have(&self, now: Mono, offset: i64) -> bool {
        let most = self.config.settings().min_replicas_max_lag;
        let lags = |replica: &Replica| {
            replica.state == State::Online
                && now.since(replica.acked_at).as_secs() <= most
                && replica.acked < offset
        };
        !self.all_replicas().any(|(_, replica)| lags(replica))
    }

    /// Whether all replicas have said that they have got all of the stream; true if there are none.
    pub(in crate::server) fn replicas_are_in_sync(&self) -> bool {
        let offset = self.service.replication.offset;
        self.all_replicas()
            .filter(|(_, replica)| !replica.wants.only_copy)
            .all(|(_, replica)| replica.acked == offset)
    }

    /// Asks all replicas how much of the stream they have got.
    pub(in crate::server) fn ask_replicas_for_offsets(&mut self, now: Now<'_>) {
        self.feed_words(&[b"REPLCONF", b"GETACK", b"*"]);
        self.pass_on_news(now);
    }

    /// Tells the log which replicas lag when the server ends.
    pub(in crate::server) fn tell_of_replicas_at_shutdown(&mut self, now: Now<'_>) {
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

    /// Sends to replicas what waits for them, as far as that can be done at once.
    pub(in crate::server) fn flush_replicas(&mut self) {
        let (mono, wall) = self.now;
        self.pass_on_news(Now::instantaneous(mono, wall));
    }

    /// Adds a client to the replicas.
    pub(super) fn enlist(&mut self, now: Mono, client: &mut Client, state: State) {
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

    /// Forgets a client that is a replica, and is closed.
    pub(in crate::server) fn replica_left(&mut self, client: &mut Client) {
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
            self.waiting_replica_left();
        }
        // What was kept for it alone can go.
        self.service.replication.news = true;
        self.followers_changed();
    }

    /// Cuts all replicas off, so that they come again and learn what has changed.
    pub(super) fn disconnect_replicas(&mut self) {
        for slot in self.service.replication.replicas.clone() {
            self.cut_off(slot);
        }
    }

    /// Gives replicas what is new in the stream, as much as their outboxes hold.
    pub(super) fn pass_on_news(&mut self, now: Now<'_>) {
        for slot in self.service.replication.replicas.clone() {
            let Some(mut client) = self.clients.take(slot) else { continue };
            self.top_up(now, &mut client);
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
    pub(in crate::server) fn top_up(&mut self, now: Now<'_>, client: &mut Client) {
        if client.standing != Standing::Open {
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

    /// Bytes that wait for a client, with those that only wait in the backlog.
    #[inline(always)]
    pub(in crate::server) fn waiting_bytes(&self, client: &Client) -> u64 {
        let behind = match (&client.state.replica, &self.service.replication.backlog) {
            (Some(replica), Some(backlog)) => replica.behind(backlog),
            _ => 0,
        };
        client.unsent() as u64 + behind
    }

    /// A replica has its copy of the data: from now on it counts.
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
            client.standing = Standing::Closing;
            self.flush(now, client);
            return;
        }
        replica.state = State::Online;
        replica.acked_at = now.mono;
        self.service.replication.acked = true;
        self.service.replication.news = true;
        self.notice(|| format!("Synchronization with replica {name} succeeded"));
    }
}

impl State {
    /// Its name in INFO.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::WaitsForBegin | State::WaitsForEnd => "wait_bgsave",
            State::Sending => "send_bulk",
            State::Online => "online",
            State::Handshake | State::Done => "",
        }
    }
}
