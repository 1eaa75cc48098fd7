//! Executing the replication stream of the primary, and forwarding it.

use super::handshake::Link;
use crate::machine::{ConnId, Endpoint, LogLevel};
use crate::resp::request::Limits;
use crate::server::Server;
use crate::server::{Client, CloseState, ReplyMode};
use crate::time::Now;

/// How many commands of the primary are executed before other clients are served.
const BATCH: u32 = 1024;

/// The replication stream from the primary.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// The slot of the client that executes it.
    pub(super) slot: u32,
    pub(super) conn: ConnId,
    /// The offset of the last byte that was executed.
    pub(super) applied: i64,
    /// The offset of the last byte that was received.
    pub(super) read: i64,
    /// Bytes received and not forwarded: replicas of this server get them unchanged, once they have
    /// been executed.
    pending: Vec<u8>,
    /// How many of these have been executed.
    done: usize,
    /// Whether it was invalid.
    pub(super) is_broken: bool,
    /// Whether the primary does not support offsets.
    pub(super) is_old: bool,
}

impl Server {
    /// Turns the connection to the primary into a replication stream: resumed, or after a full
    /// sync.
    pub(super) fn begin_stream(&mut self, now: Now<'_>, mut link: Link) {
        self.hold_link(&mut link, false);
        let Some(cached) = self.service.replication.cached.take() else {
            return self.drop_link(link);
        };
        let id = self.clients.next_id();
        let local = link.local.unwrap_or_else(|| Endpoint::Unix(String::new()));
        let mut client = Box::new(Client::new(id, link.conn, link.peer, local, now.mono));
        client.grant_everything();
        client.state.from_primary = true;
        client.replies = ReplyMode::Off;
        client.state.db = cached.db as usize;
        client.outbox = link.outbox;
        self.clients.add(client);
        let Some(slot) = self.clients.slot(link.conn) else { return };
        let stream = Stream {
            slot,
            conn: link.conn,
            applied: cached.offset,
            read: cached.offset,
            pending: Vec::new(),
            done: 0,
            is_broken: false,
            is_old: cached.offset < 0,
        };
        self.service.replication.open_backlog();
        if let Some(primary) = &mut self.service.replication.primary {
            primary.stream = Some(stream);
            primary.down_since = None;
        }
        self.followers_changed();
        self.stream_started(now, slot, &link.input, link.is_closed);
    }

    /// Processes the bytes that followed the reply after which the stream starts.
    fn stream_started(&mut self, now: Now<'_>, slot: u32, input: &[u8], is_closed: bool) {
        if let Some(mut client) = self.clients.take(slot) {
            if !input.is_empty() {
                self.serve(now, &mut client, input);
            }
            self.flush(now, &mut client);
            self.clients.put(client);
        }
        if is_closed && let Some(conn) = self.service.replication.stream().map(|stream| stream.conn)
        {
            self.closed(now, conn, crate::machine::NetError::Eof);
        }
    }

    /// Executes the commands in `bytes`, after those left in the query buffer.
    pub(in crate::server) fn serve_primary(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        mut bytes: &[u8],
    ) {
        if let Some(stream) = self.service.replication.stream_mut() {
            stream.read += bytes.len() as i64;
            stream.pending.extend_from_slice(bytes);
        }
        self.service.replication.stats.net_input += bytes.len() as u64;
        let mut requests = core::mem::take(&mut client.requests);
        let limits = Limits { bulk: u64::MAX, unauthenticated: false };
        let mut left = BATCH;
        while client.close_state == CloseState::Open
            && !client.is_held()
            && !self.holds_all()
            && !self.is_loading_in_place()
            && left > 0
        {
            match requests.next(&mut bytes, limits) {
                Ok(Some(args)) => {
                    let now = self.after_stall(0, now);
                    self.execute(now, client, args);
                    // What could not be executed does not count, and is not forwarded.
                    if client.close_state != CloseState::Open && self.stream_is_broken() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    if let Some(stream) = self.service.replication.stream_mut() {
                        stream.is_broken = true;
                    }
                    self.protocol_error(client, error);
                    break;
                }
            }
            self.carried_out(client, requests.waiting() + bytes.len());
            left -= 1;
        }
        if client.close_state == CloseState::Open {
            requests.keep(bytes);
            if left == 0 && requests.waiting() > 0 && !client.pending {
                client.pending = true;
                self.pending.push_back(client.slot);
            }
        }
        client.requests = requests;
        self.pass_on();
        self.flush(now, client);
        self.apply_back_pressure(client);
    }

    /// Executes what the primary has sent while data was being loaded.
    pub(in crate::server) fn resume_stream(&mut self) {
        let Some(slot) = self.service.replication.stream().map(|stream| stream.slot) else {
            return;
        };
        if let Some(client) = self.clients.get_mut(slot)
            && client.requests.waiting() > 0
            && !client.pending
        {
            client.pending = true;
            self.pending.push_back(slot);
        }
    }

    fn stream_is_broken(&self) -> bool {
        self.service.replication.stream().is_some_and(|stream| stream.is_broken)
    }

    /// Counts executed bytes; `left` bytes of those received are still to be processed. A
    /// transaction counts when it ends.
    fn carried_out(&mut self, client: &Client, left: usize) {
        if client.state.transaction.is_some() || client.held.is_some() {
            return;
        }
        let Some(stream) = self.service.replication.stream_mut() else { return };
        let done = stream.pending.len().saturating_sub(left).max(stream.done);
        stream.applied += (done - stream.done) as i64;
        stream.done = done;
        let offset = stream.applied;
        self.service.replication.offset = offset;
    }

    /// Forwards what was executed to replicas, unchanged.
    fn pass_on(&mut self) {
        let replication = &mut self.service.replication;
        let Some(stream) = replication.primary.as_mut().and_then(|p| p.stream.as_mut()) else {
            return;
        };
        let done = core::mem::take(&mut stream.done);
        if done > 0 {
            if let Some(backlog) = &mut replication.backlog {
                backlog.append(|out| out.extend_from_slice(&stream.pending[..done]));
                replication.has_unsent = true;
            }
            stream.pending.drain(..done);
        }
    }

    /// The primary sent a command that this server does not know. Skipping it would silently make
    /// the data differ from the primary's. So the link is closed, and a full sync is requested
    /// later, which contains the effects of such commands. That is expensive for the primary, so it
    /// is not done at once (`repl-timeout`).
    #[cold]
    pub(in crate::server) fn cannot_follow(&mut self, client: &mut Client, name: &[u8]) {
        client.close_state = CloseState::AfterReply;
        let Some(primary) = &mut self.service.replication.primary else { return };
        primary.left_at = Some(self.now.0);
        if let Some(stream) = &mut primary.stream {
            stream.is_broken = true;
        }
        let seconds = self.config.settings().repl_timeout;
        let name = String::from_utf8_lossy(name.get(..128).unwrap_or(name)).into_owned();
        self.log(LogLevel::Warning, || {
            format!(
                "The primary sent '{name}', a command that this server does not know. To leave it \
                 out would make the data here silently differ, so the link to the primary is \
                 closed. A full copy is asked for in {seconds} seconds (repl-timeout); it will \
                 have what '{name}' changed, but the link will be closed again when the next such \
                 command comes. To follow this primary for good, keep its clients from sending \
                 '{name}', or put a version in this server's place that knows it."
            )
        });
    }

    /// A command of the primary that was held back has been executed.
    pub(in crate::server) fn held_executed(&mut self, client: &Client) {
        if client.state.from_primary {
            self.carried_out(client, client.requests.waiting());
            self.pass_on();
        }
    }

    /// Sends the primary our offset (REPLCONF ACK).
    pub(super) fn send_ack(&mut self, now: Now<'_>, client: &mut Client) {
        let Some(stream) = self.service.replication.stream().filter(|stream| !stream.is_old) else {
            return;
        };
        let (applied, fsynced) = (stream.applied, self.fsynced_offset());
        let (applied, fsynced) = (applied.to_string(), fsynced.map(|offset| offset.to_string()));
        let mut bytes = Vec::new();
        let words: &[&[u8]] = match &fsynced {
            Some(fsynced) => {
                &[b"REPLCONF", b"ACK", applied.as_bytes(), b"FACK", fsynced.as_bytes()]
            }
            None => &[b"REPLCONF", b"ACK", applied.as_bytes()],
        };
        crate::command::feed::write_words(&mut bytes, words.iter().copied());
        client.outbox.write(&bytes);
        self.flush(now, client);
    }
}
