//! Client connections: accepting, input, closing.

use super::{Client, CloseState, Front, PeerInput, Purpose, Service};
use crate::machine::{Close, ConnId, Endpoint, ListenerId, LogLevel, NetError, Output};
use crate::time::Now;

impl<S: Service> Front<S> {
    /// A listener has accepted a connection.
    pub(crate) fn accepted(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        listener: ListenerId,
        peer: Endpoint,
        local: Endpoint,
    ) {
        if let Purpose::Service(purpose) = self.listeners.purpose(listener) {
            return S::peer(self, now, conn, PeerInput::Accepted { purpose, local, peer });
        }
        let unix = self.listeners.is_unix(listener);
        let id = self.clients.next_id();
        let mut client = Box::new(Client::new(id, conn, peer, local, now.mono));
        self.log_in_as_default(&mut client);
        let error = if self.clients.connected() as u64 >= self.settings().maxclients {
            Some("-ERR max number of clients reached\r\n")
        } else {
            S::refuse_client(self, &client, unix)
        };
        match error {
            Some(text) => {
                client.close_state = CloseState::Closing;
                client.outbox.write(text.as_bytes());
                self.stats.rejected_connections += 1;
                self.outputs.push_back(Output::Close { conn, how: Close::AfterSending });
            }
            None => {
                self.stats.connections_received += 1;
                let address = client.address();
                self.log(LogLevel::Verbose, || format!("Accepted {address}"));
            }
        }
        self.clients.add(client);
    }

    /// Bytes have arrived.
    #[inline]
    pub(crate) fn received(&mut self, now: Now<'_>, conn: ConnId, bytes: &[u8]) {
        let Some(mut client) = self.clients.slot(conn).and_then(|slot| self.clients.take(slot))
        else {
            return S::peer(self, now, conn, PeerInput::Received(bytes));
        };
        client.last_heard = now.mono;
        client.input_bytes = bytes.len();
        self.stats.net_input += bytes.len() as u64;
        self.stats.reads += 1;
        self.serve(now, &mut client, bytes);
        client.input_bytes = 0;
        self.clients.put(client);
    }

    /// The peer has shut down its writing half. As in Redis, this closes the connection once its
    /// requests have been answered.
    pub(crate) fn ended(&mut self, now: Now<'_>, conn: ConnId) {
        let Some(mut client) = self.clients.slot(conn).and_then(|slot| self.clients.take(slot))
        else {
            return S::peer(self, now, conn, PeerInput::Ended);
        };
        if client.close_state == CloseState::Open {
            let held = S::holds_all(self) && client.requests.waiting() > 0;
            if client.pending || client.long.is_some() || client.waiting || held {
                // What has been read is executed first.
                client.ended = true;
            } else {
                client.close_state = CloseState::AfterReply;
                self.log(LogLevel::Verbose, || "Client closed connection".to_owned());
                self.flush(now, &mut client);
            }
        }
        self.clients.put(client);
    }

    /// A connection was closed.
    pub(crate) fn closed(&mut self, now: Now<'_>, conn: ConnId, error: NetError) {
        let Some(mut client) = self.clients.slot(conn).and_then(|slot| self.clients.take(slot))
        else {
            return S::peer(self, now, conn, PeerInput::Closed(error));
        };
        if client.close_state == CloseState::Open {
            self.log(LogLevel::Verbose, || match error {
                NetError::Eof => "Client closed connection".to_owned(),
                error => format!("Reading from client: {error}"),
            });
        }
        if S::keeps_closed(self, &mut client) {
            return self.clients.put(client);
        }
        self.remove_client(client);
    }

    /// Removes a client, with its subscriptions and its state in the service.
    pub(crate) fn remove_client(&mut self, mut client: Box<Client<S>>) {
        self.release(&mut client);
        if let Some(total) = &mut self.client_memory {
            *total = total.saturating_sub(client.counted_memory as u64);
        }
        self.clients.forget(&client);
    }

    /// Removes a client's subscriptions and its state in the service, and drops the rest of a long
    /// reply.
    pub(crate) fn release(&mut self, client: &mut Client<S>) {
        self.unsubscribe_all(client);
        self.stop_tracking(client);
        self.end_long(client);
        if core::mem::take(&mut client.monitor) {
            self.monitors.remove(&client.slot);
        }
        S::release(self, client);
    }

    /// Turns the counting of client memory (`maxmemory-clients`) on or off.
    pub(crate) fn count_client_memory(&mut self, on: bool) {
        if self.client_memory.is_some() == on {
            return;
        }
        let mut total = 0;
        for slot in self.clients.slots() {
            if let Some(client) = self.clients.get_mut(slot) {
                client.counted_memory = 0;
                if on {
                    client.count_memory(&mut total);
                }
            }
        }
        self.client_memory = on.then_some(total);
    }

    /// Closes a client's connection at once and drops its output. The client must not be taken out
    /// of its slot.
    pub(crate) fn cut_off(&mut self, slot: u32) {
        if let Some(client) = self.clients.take(slot) {
            self.outputs.push_back(Output::Close { conn: client.conn, how: Close::Now });
            self.remove_client(client);
        }
    }

    /// The error for a client from another host while no password is set (`protected-mode`).
    pub(crate) fn protected(&self, client: &Client<S>, unix: bool) -> Option<&'static str> {
        let no_password = self.acl.users().default_user().needs_no_password();
        let protected = self.settings().protected_mode && no_password;
        (protected && !unix && !client.is_local()).then_some(PROTECTED_MODE)
    }
}

/// The error of `protected-mode`.
const PROTECTED_MODE: &str = "-DENIED Redis is running in protected mode because protected mode \
is enabled and no password is set for the default user. In this mode connections are only \
accepted from the loopback interface. If you want to connect from external computers to Redis you \
may adopt one of the following solutions: 1) Just disable protected mode sending the command \
'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same \
host the server is running, however MAKE SURE Redis is not publicly accessible from internet if \
you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just \
disable the protected mode by editing the Redis configuration file, and setting the protected \
mode option to 'no', and then restarting the server. 3) If you started the server manually just \
for testing, restart it with the '--protected-mode no' option. 4) Set up an authentication \
password for the default user. NOTE: You only need to do one of the above things in order for the \
server to start accepting connections from the outside.\r\n";
