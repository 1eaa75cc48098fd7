//! The replica's handshake with its primary, before the replication stream starts.

use super::transfer::Transfer;
use super::{NO_ID, StreamId};
use crate::command::feed::write_words;
use crate::machine::{Address, ConnId, Endpoint, LogLevel, NetError, Outbox, Output};
use crate::server::Server;
use crate::time::{Mono, Now};

/// The longest line that a primary may send here: Redis's buffer for it.
const MAX_LINE: usize = 1024;

/// The connection to a primary before the replication stream starts.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) conn: ConnId,
    pub(super) peer: Endpoint,
    /// Whether the primary's host name is still being resolved.
    pub(super) is_resolving: bool,
    pub(super) local: Option<Endpoint>,
    pub(super) outbox: Outbox,
    pub(super) step: Step,
    /// Bytes received and not processed.
    pub(super) input: Vec<u8>,
    /// When anything was last sent or received.
    pub(super) last_io: Mono,
    /// The replication id that the primary announced.
    pub(super) id: StreamId,
    /// The replication offset of the full sync; -1 if not announced.
    pub(super) offset: i64,
    /// Whether the connection is closed already.
    pub(super) is_closed: bool,
    /// Whether the driver was told to stop reading (back-pressure).
    pub(super) not_reading: bool,
}

/// The step of the handshake: what it waits for.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The connection.
    Connecting,
    /// The reply to PING.
    Ping,
    /// The reply to AUTH.
    Auth,
    /// The reply to REPLCONF listening-port.
    Port,
    /// The reply to REPLCONF ip-address.
    Address,
    /// The reply to REPLCONF capa.
    Capabilities,
    /// The reply to PSYNC.
    Psync,
    /// A full sync.
    Transfer(Box<Transfer>),
}

/// The result of a line.
enum Outcome {
    /// Another line is expected.
    Next,
    /// The handshake has failed; it is retried later.
    Failed,
    /// A full sync follows.
    FullResync,
    /// The stream continues (partial resynchronization).
    Continue,
}

impl Link {
    pub(super) fn new(conn: ConnId, to: &Address, now: Mono) -> Self {
        let (peer, is_resolving) = match to {
            Address::Endpoint(peer) => (peer.clone(), false),
            Address::Name { .. } => (Endpoint::Unix(String::new()), true),
        };
        Self {
            conn,
            peer,
            is_resolving,
            local: None,
            outbox: Outbox::default(),
            step: Step::Connecting,
            input: Vec::new(),
            last_io: now,
            id: NO_ID,
            offset: -1,
            is_closed: false,
            not_reading: false,
        }
    }

    fn send(&mut self, words: &[&[u8]]) {
        let mut bytes = Vec::new();
        write_words(&mut bytes, words.iter().copied());
        self.outbox.write(&bytes);
    }

    /// The next line, without its line end.
    pub(super) fn line(&mut self) -> Option<Vec<u8>> {
        let end = memchr::memchr(b'\n', &self.input)?;
        let mut line: Vec<u8> = self.input.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }
}

impl Server {
    /// Whether this is the connection to the primary, before the stream starts.
    pub(in crate::server) fn is_primary_conn(&self, conn: ConnId) -> bool {
        self.service.replication.link().is_some_and(|link| link.conn == conn)
    }

    /// The outbox of the connection to the primary, before the stream starts.
    pub(in crate::server) fn link_outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        let link = self.service.replication.link_mut().filter(|link| link.conn == conn)?;
        Some(&mut link.outbox)
    }

    /// The connection to the primary is established.
    pub(in crate::server) fn link_connected(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        local: Endpoint,
        peer: Endpoint,
    ) {
        self.connecting_to_primary(conn);
        let Some(link) = self.service.replication.link_mut().filter(|link| link.conn == conn)
        else {
            return;
        };
        link.local = Some(local);
        link.peer = peer;
        link.last_io = now.mono;
        link.step = Step::Ping;
        link.send(&[b"PING"]);
        self.notice(|| "Non blocking connect for SYNC fired the event.".to_owned());
        self.outputs.push_back(Output::Send { conn });
    }

    /// Bytes have arrived from the primary, before the stream starts.
    pub(in crate::server) fn link_received(&mut self, now: Now<'_>, conn: ConnId, bytes: &[u8]) {
        let Some(primary) = &mut self.service.replication.primary else { return };
        let Some(mut link) = primary.link.take_if(|link| link.conn == conn) else { return };
        self.service.replication.stats.net_input += bytes.len() as u64;
        link.last_io = now.mono;
        link.input.extend_from_slice(bytes);
        if self.service.persistence.reloading || self.is_migrating() || self.is_ending() {
            // A full sync must not interfere, nor change anything during a shutdown.
            return self.put_link(link);
        }
        self.process_link(now, link);
    }

    /// Processes bytes of the primary that were received while processing had to wait.
    pub(in crate::server) fn resume_link(&mut self, now: Now<'_>) {
        let Some(primary) = &mut self.service.replication.primary else { return };
        if let Some(link) = primary.link.take_if(|link| !link.input.is_empty()) {
            self.process_link(now, link);
        }
    }

    /// Continues with the bytes received on the connection to the primary, which is taken out
    /// meanwhile.
    pub(super) fn process_link(&mut self, now: Now<'_>, mut link: Box<Link>) {
        let outcome = loop {
            if matches!(link.step, Step::Transfer(_)) {
                return self.transfer_received(now, link);
            }
            let Some(line) = link.line() else {
                if link.input.len() <= MAX_LINE {
                    break Outcome::Next;
                }
                self.log(LogLevel::Warning, || {
                    "Master did not respond to command during SYNC handshake".to_owned()
                });
                break Outcome::Failed;
            };
            let text = String::from_utf8_lossy(&line).into_owned();
            match self.handshake(&mut link, &text) {
                Outcome::Next => {}
                Outcome::FullResync => {
                    link.step = Step::Transfer(Box::new(Transfer::new()));
                    // A primary that does not know PSYNC, or refused it, is sent SYNC.
                    if !link.outbox.is_empty() {
                        self.outputs.push_back(Output::Send { conn: link.conn });
                    }
                }
                outcome => break outcome,
            }
        };
        if !link.outbox.is_empty() {
            self.outputs.push_back(Output::Send { conn: link.conn });
        }
        match outcome {
            Outcome::Continue => {
                self.notice(|| {
                    "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization."
                        .to_owned()
                });
                self.begin_stream(now, *link);
            }
            outcome => {
                self.put_link(link);
                if matches!(outcome, Outcome::Failed) {
                    self.abandon_link(now, false);
                }
            }
        }
    }

    /// Puts back the connection to the primary.
    pub(super) fn put_link(&mut self, link: Box<Link>) {
        match &mut self.service.replication.primary {
            Some(primary) if primary.link.is_none() && primary.stream.is_none() => {
                primary.link = Some(link);
            }
            // It was replaced meanwhile, or is no longer wanted.
            _ => self.drop_link(*link),
        }
    }

    /// The connection to the primary was closed, before the stream started.
    pub(in crate::server) fn link_closed(&mut self, now: Now<'_>, conn: ConnId, error: NetError) {
        let Some(link) = self.service.replication.link_mut().filter(|link| link.conn == conn)
        else {
            return;
        };
        link.is_closed = true;
        match &link.step {
            Step::Transfer(transfer) if transfer.has_all() => return,
            Step::Transfer(transfer) => {
                let text = if transfer.knows_framing() {
                    "I/O error trying to sync with MASTER: connection lost".to_owned()
                } else {
                    format!("I/O error reading bulk count from MASTER: {error}")
                };
                self.log(LogLevel::Warning, || text);
                return self.abandon_link(now, true);
            }
            step => {
                let is_psync = matches!(step, Step::Psync);
                self.log(LogLevel::Warning, || {
                    format!("Failed to read response from the server: {error}")
                });
                self.log(LogLevel::Warning, || {
                    if is_psync {
                        "Master did not reply to PSYNC, will try later".to_owned()
                    } else {
                        "Master did not respond to command during SYNC handshake".to_owned()
                    }
                });
                if is_psync {
                    self.psync_refused();
                }
            }
        }
        self.abandon_link(now, false);
    }

    /// Handles one reply and sends the next command.
    fn handshake(&mut self, link: &mut Link, line: &str) -> Outcome {
        let is_error = line.starts_with('-');
        let settings = self.config.settings();
        let has_address = settings.replica_announce_ip.is_some();
        let misses = |what: &str| {
            format!("(Non critical) Master does not understand REPLCONF {what}: {line}")
        };
        match link.step {
            Step::Ping => {
                let locked = ["-NOAUTH", "-NOPERM", "-ERR operation not permitted"];
                if !line.starts_with('+') && !locked.iter().any(|start| line.starts_with(start)) {
                    let text = format!("Error reply to PING from master: '{line}'");
                    self.log(LogLevel::Warning, || text);
                    return Outcome::Failed;
                }
                self.introduce(link);
                self.notice(|| "Master replied to PING, replication can continue...".to_owned());
            }
            Step::Auth if is_error => {
                self.log(LogLevel::Warning, || format!("Unable to AUTH to MASTER: {line}"));
                return Outcome::Failed;
            }
            Step::Auth => link.step = Step::Port,
            Step::Port => {
                if is_error {
                    self.notice(|| misses("listening-port"));
                }
                link.step = if has_address { Step::Address } else { Step::Capabilities };
            }
            Step::Address => {
                if is_error {
                    self.notice(|| misses("ip-address"));
                }
                link.step = Step::Capabilities;
            }
            Step::Capabilities => {
                if is_error {
                    self.notice(|| misses("capa"));
                }
                self.ask_for_stream(link);
            }
            Step::Psync => return self.psync_reply(link, line),
            Step::Connecting | Step::Transfer(_) => {}
        }
        Outcome::Next
    }

    /// Sends REPLCONF with the port, address and capabilities.
    fn introduce(&mut self, link: &mut Link) {
        let settings = self.config.settings();
        link.step = Step::Port;
        if let Some(password) = &settings.masterauth {
            match &settings.masteruser {
                Some(user) => link.send(&[b"AUTH", user, password]),
                None => link.send(&[b"AUTH", password]),
            }
            link.step = Step::Auth;
        }
        let port = match settings.replica_announce_port {
            0 => self.config.front().port,
            port => port,
        };
        link.send(&[b"REPLCONF", b"listening-port", port.to_string().as_bytes()]);
        if let Some(address) = &settings.replica_announce_ip {
            link.send(&[b"REPLCONF", b"ip-address", address.as_bytes()]);
        }
        link.send(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]);
    }

    /// Sends PSYNC: for the rest of the stream if its position is known, else for a full sync.
    fn ask_for_stream(&mut self, link: &mut Link) {
        let (id, next) = match &self.service.replication.cached {
            Some(cached) => (cached.id.to_vec(), cached.offset + 1),
            None => (b"?".to_vec(), -1),
        };
        self.notice(|| {
            if next < 0 {
                "Partial resynchronization not possible (no cached master)".to_owned()
            } else {
                let id = String::from_utf8_lossy(&id);
                format!("Trying a partial resynchronization (request {id}:{next}).")
            }
        });
        let next = next.to_string();
        if self.is_failing_over() {
            link.send(&[b"PSYNC", &id, next.as_bytes(), b"FAILOVER"]);
        } else {
            link.send(&[b"PSYNC", &id, next.as_bytes()]);
        }
        link.step = Step::Psync;
    }

    fn psync_reply(&mut self, link: &mut Link, line: &str) -> Outcome {
        if line.is_empty() {
            // An empty line keeps the connection alive.
            return Outcome::Next;
        }
        let is_full = line.starts_with("+FULLRESYNC");
        let is_partial = line.starts_with("+CONTINUE") && self.service.replication.cached.is_some();
        if is_full || is_partial {
            self.psync_agreed();
        }
        if is_full {
            let mut words = line.split(' ').skip(1);
            let id = words.next().and_then(|id| StreamId::try_from(id.as_bytes()).ok());
            match (id, words.next()) {
                (Some(id), Some(offset)) => {
                    (link.id, link.offset) = (id, offset.parse().unwrap_or(0));
                    let (name, offset) = (String::from_utf8_lossy(&id), link.offset);
                    self.notice(|| format!("Full resync from master: {name}:{offset}"));
                }
                _ => self.log(LogLevel::Warning, || {
                    "Master replied with wrong +FULLRESYNC syntax.".to_owned()
                }),
            }
            return Outcome::FullResync;
        }
        if is_partial {
            self.notice(|| "Successful partial resynchronization with master.".to_owned());
            let id = line.split(' ').nth(1).unwrap_or_default();
            if let Ok(id) = StreamId::try_from(id.as_bytes()) {
                self.stream_renamed(id);
            }
            return Outcome::Continue;
        }
        if line.starts_with("-NOMASTERLINK") || line.starts_with("-LOADING") {
            self.notice(|| {
                format!("Master is currently unable to PSYNC but should be in the future: {line}")
            });
            self.psync_refused();
            return Outcome::Failed;
        }
        if line.starts_with("-ERR") {
            self.notice(|| {
                format!("Master does not support PSYNC or is in error state (reply: {line})")
            });
        } else {
            self.log(LogLevel::Warning, || {
                format!("Unexpected reply to PSYNC from master: {line}")
            });
        }
        if self.psync_refused() {
            return Outcome::Failed;
        }
        self.notice(|| "Retrying with SYNC...".to_owned());
        link.outbox.write(b"SYNC\r\n");
        Outcome::FullResync
    }

    /// The primary continues the stream under another id: it has taken over from the previous
    /// primary.
    fn stream_renamed(&mut self, id: StreamId) {
        let replication = &mut self.service.replication;
        let Some(cached) = &mut replication.cached else { return };
        if cached.id == id {
            return;
        }
        replication.second_id = cached.id;
        replication.second_offset = replication.offset + 1;
        (replication.id, cached.id) = (id, id);
        let name = String::from_utf8_lossy(&id).into_owned();
        self.notice(|| format!("Master replication ID changed to {name}"));
        self.disconnect_replicas();
    }
}
