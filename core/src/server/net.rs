//! Listeners, connections that come and go, and what waits to be sent on them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Server;
use super::clients::{Client, Due, Standing};
use super::config::commands::Change;
use crate::machine::{Close, ConnId, Endpoint, ListenerId, LogLevel, NetError, Outbox, Output};
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono, Now};

/// Listeners that were asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Listeners {
    all: SortedMap<ListenerId, Listener>,
    last: u32,
    ready: bool,
}

#[derive(Clone, Debug)]
struct Listener {
    at: Endpoint,
    /// Whether the server starts without it.
    optional: bool,
    /// Where it really listens, once it does.
    open: Option<Endpoint>,
    answered: bool,
    /// Whether it was asked for by a CONFIG SET that has not ended.
    new: bool,
    /// Whether it goes when that has ended well.
    retiring: bool,
}

impl Listeners {
    /// Whether this is a Unix socket.
    fn is_unix(&self, id: ListenerId) -> bool {
        self.all.get(&id).is_some_and(|l| matches!(l.at, Endpoint::Unix(_)))
    }

    /// The addresses that are listened on.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &Endpoint> {
        self.all.values().filter_map(|l| l.open.as_ref())
    }
}

/// Bytes that may wait for a client before no more of its requests are read. Far above what a
/// client makes wait that sends all its requests first and reads the replies then.
pub(super) const MAX_UNSENT: usize = 128 << 20;

/// Bytes that may wait for a client before a long reply goes on, and down to how many they have to
/// sink first.
pub(super) const MAX_LONG_UNSENT: usize = 1 << 20;
const LOW_LONG_UNSENT: usize = 256 << 10;

/// Bytes that a client may send ahead while its next command has to wait.
const MAX_AHEAD: usize = 1 << 20;

impl Server {
    /// Asks for all listeners that the configuration names.
    pub(super) fn listen(&mut self) {
        let settings = self.config.settings();
        let mut wanted = Vec::new();
        if settings.port != 0 {
            for address in &settings.bind {
                let optional = address.starts_with('-');
                let name = address.strip_prefix('-').unwrap_or(address);
                match bind_address(name) {
                    Some(ip) => {
                        let at = Endpoint::Ip(SocketAddr::new(ip, settings.port));
                        wanted.push((at, optional));
                    }
                    None if optional => {}
                    None => {
                        let port = settings.port;
                        let name = name.to_owned();
                        self.log(LogLevel::Warning, || {
                            format!(
                                "Could not create server TCP listening socket {name}:{port}: Name \
                                 or service not known"
                            )
                        });
                        return self.abort_listening(port);
                    }
                }
            }
        }
        if let Some(path) = &settings.unixsocket {
            wanted.push((Endpoint::Unix(path.clone()), false));
        }
        if wanted.is_empty() {
            self.log(LogLevel::Warning, || {
                "Configured to not listen anywhere, exiting.".to_owned()
            });
            return self.exit(1);
        }
        let backlog = settings.tcp_backlog;
        for (at, optional) in wanted {
            self.listen_at(at, optional, backlog);
        }
    }

    fn listen_at(&mut self, at: Endpoint, optional: bool, backlog: u32) {
        self.listeners_open.last += 1;
        let listener = ListenerId(self.listeners_open.last);
        let new = self.relisten.is_some();
        let entry = Listener {
            at: at.clone(),
            optional,
            open: None,
            answered: false,
            new,
            retiring: false,
        };
        self.listeners_open.all.insert(listener, entry);
        self.outputs.push_back(Output::Listen { listener, at, backlog });
    }

    /// Asks for the listeners of a configuration that was changed. Those that it has in common
    /// with the old one stay. False if nothing has to be waited for.
    pub(super) fn listen_elsewhere(&mut self, change: Change) -> bool {
        let settings = self.config.settings();
        let (port, backlog) = (settings.port, settings.tcp_backlog);
        let mut wanted: Vec<(Endpoint, bool)> = Vec::new();
        for address in settings.bind.iter().filter(|_| port != 0) {
            let name = address.strip_prefix('-').unwrap_or(address);
            if let Some(ip) = bind_address(name) {
                let at = Endpoint::Ip(SocketAddr::new(ip, port));
                wanted.push((at, address.starts_with('-')));
            }
        }
        for listener in self.listeners_open.all.values_mut() {
            let is_ip = matches!(listener.at, Endpoint::Ip(_));
            listener.retiring = is_ip && !wanted.iter().any(|(at, _)| *at == listener.at);
        }
        let open: Vec<Endpoint> = self.listeners_open.all.values().map(|l| l.at.clone()).collect();
        wanted.retain(|(at, _)| !open.contains(at));
        if wanted.is_empty() {
            self.retire();
            return false;
        }
        self.relisten = Some(change);
        for (at, optional) in wanted {
            self.listen_at(at, optional, backlog);
        }
        true
    }

    /// Closes the listeners that are not wanted any more.
    fn retire(&mut self) {
        let all = &mut self.listeners_open.all;
        let gone: Vec<ListenerId> =
            all.iter().filter(|(_, l)| l.retiring).map(|(id, _)| *id).collect();
        for listener in gone {
            all.remove(&listener);
            self.outputs.push_back(Output::Unlisten { listener });
        }
        for listener in all.values_mut() {
            (listener.retiring, listener.new) = (false, false);
        }
    }

    /// Ends a CONFIG SET when all its listeners have answered.
    fn finish_relisten(&mut self, now: Now<'_>, failed: bool) {
        let all = &mut self.listeners_open.all;
        if !failed && !all.values().all(|l| l.answered) {
            return;
        }
        let Some(change) = self.relisten.take() else { return };
        if failed {
            // The new ones go instead of the old ones.
            all.values_mut().for_each(|l| l.retiring = l.new);
        }
        self.retire();
        let result = if failed {
            Err(match change.waits {
                "port" => "Unable to listen on this port. Check server logs.".to_owned(),
                _ => "Failed to bind to specified addresses.".to_owned(),
            })
        } else {
            Ok(())
        };
        self.change_done(now, &change, result);
    }

    pub(super) fn listening(
        &mut self,
        now: Now<'_>,
        id: ListenerId,
        result: Result<Endpoint, NetError>,
    ) {
        let Some(listener) = self.listeners_open.all.get_mut(&id) else { return };
        listener.answered = true;
        match result {
            Ok(at) => listener.open = Some(at),
            Err(error) => {
                let Listener { at, optional, .. } = listener.clone();
                self.listeners_open.all.remove(&id);
                let missing = matches!(error, NetError::AddrNotAvailable | NetError::Unreachable);
                if !(optional && missing) {
                    if self.relisten.is_some() {
                        self.log(LogLevel::Warning, || {
                            format!("Could not create server TCP listening socket {at}: {error}")
                        });
                        return self.finish_relisten(now, true);
                    }
                    return self.listen_failed(&at, error);
                }
            }
        }
        if self.relisten.is_some() {
            return self.finish_relisten(now, false);
        }
        let all = &self.listeners_open.all;
        if self.listeners_open.ready || !all.values().all(|l| l.answered) {
            return;
        }
        self.listeners_open.ready = true;
        if all.is_empty() {
            let port = self.config.settings().port;
            return self.abort_listening(port);
        }
        self.notice(|| "Server initialized".to_owned());
        self.load_at_start();
    }

    /// Tells that everything is as it should be and that clients are served.
    pub(super) fn ready(&mut self) {
        let all = &self.listeners_open.all;
        let tcp = all.values().any(|l| matches!(l.at, Endpoint::Ip(_)));
        let unix = all.values().any(|l| matches!(l.at, Endpoint::Unix(_)));
        if tcp {
            self.notice(|| "Ready to accept connections tcp".to_owned());
        }
        if unix {
            self.notice(|| "Ready to accept connections unix".to_owned());
        }
        self.replication_ready();
        self.hold_all();
        self.persistence.ready = true;
        self.release_all();
    }

    fn listen_failed(&mut self, at: &Endpoint, error: NetError) {
        match at {
            Endpoint::Ip(address) => {
                let (ip, port) = (bind_name(address.ip()), address.port());
                self.log(LogLevel::Warning, || {
                    format!(
                        "Could not create server TCP listening socket {ip}:{port}: bind: {error}"
                    )
                });
                self.abort_listening(port);
            }
            Endpoint::Unix(_) => {
                self.log(LogLevel::Warning, || {
                    format!("Failed opening Unix socket: bind: {error}")
                });
                self.exit(1);
            }
        }
    }

    fn abort_listening(&mut self, port: u16) {
        self.log(LogLevel::Warning, || format!("Failed listening on port {port} (tcp), aborting."));
        self.exit(1);
    }

    /// The name for a connection that is about to be asked for.
    pub(super) fn new_conn(&mut self) -> ConnId {
        self.last_conn += 1;
        ConnId::connected(self.last_conn)
    }

    pub(super) fn exit(&mut self, code: i32) {
        self.outputs.push_back(Output::Exit { code });
    }

    pub(super) fn accepted(
        &mut self,
        now: Now<'_>,
        conn: ConnId,
        listener: ListenerId,
        peer: Endpoint,
        local: Endpoint,
    ) {
        let unix = self.listeners_open.is_unix(listener);
        let id = self.clients.next_id();
        let mut client = Box::new(Client::new(id, conn, peer, local, now.mono));
        let settings = self.config.settings();
        client.authenticated = settings.requirepass.is_none();
        let error = if self.clients.connected() as u64 >= settings.maxclients {
            Some("-ERR max number of clients reached\r\n")
        } else if settings.protected_mode
            && settings.requirepass.is_none()
            && !unix
            && !client.is_local()
        {
            Some(PROTECTED_MODE)
        } else {
            None
        };
        match error {
            Some(text) => {
                client.standing = Standing::Leaving;
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

    #[inline]
    pub(super) fn received(&mut self, now: Now<'_>, conn: ConnId, bytes: &[u8]) {
        let Some(mut client) = self.clients.slot(conn).and_then(|slot| self.clients.take(slot))
        else {
            if self.is_migrate_conn(conn) {
                return self.migrate_received(now, conn, bytes);
            }
            return self.link_received(now, conn, bytes);
        };
        client.last_heard = now.mono;
        client.input_bytes = bytes.len();
        self.stats.net_input += bytes.len() as u64;
        self.stats.reads += 1;
        self.serve(now, &mut client, bytes);
        client.input_bytes = 0;
        self.clients.put(client);
    }

    /// The peer sends no more. Redis takes that for the end of the connection, as most clients
    /// mean it; what was asked before is still answered.
    pub(super) fn ended(&mut self, now: Now<'_>, conn: ConnId) {
        let Some(mut client) = self.clients.slot(conn).and_then(|slot| self.clients.take(slot))
        else {
            if self.is_migrate_conn(conn) {
                self.outputs.push_back(Output::Close { conn, how: Close::Now });
                return self.migrate_closed(now, conn, NetError::Eof);
            }
            return self.link_closed(now, conn, NetError::Eof);
        };
        if client.standing == Standing::Open {
            let held = self.holds_all() && client.requests.waiting() > 0;
            if client.pending || client.long.is_some() || client.waiting || held {
                // What has been read is carried out first.
                client.ended = true;
            } else {
                client.standing = Standing::Closing;
                self.log(LogLevel::Verbose, || "Client closed connection".to_owned());
                self.flush(now, &mut client);
            }
        }
        self.clients.put(client);
    }

    pub(super) fn closed(&mut self, now: Now<'_>, conn: ConnId, error: NetError) {
        let Some(mut client) = self.clients.slot(conn).and_then(|slot| self.clients.take(slot))
        else {
            if self.is_migrate_conn(conn) {
                return self.migrate_closed(now, conn, error);
            }
            return self.link_closed(now, conn, error);
        };
        if client.standing == Standing::Open {
            self.log(LogLevel::Verbose, || match error {
                NetError::Eof => "Client closed connection".to_owned(),
                error => format!("Reading from client: {error}"),
            });
        }
        if self.keeps_client(&mut client) {
            return self.clients.put(client);
        }
        self.gone(client);
    }

    /// Forgets a client, and all that bound it to keys and channels.
    pub(super) fn gone(&mut self, mut client: Box<Client>) {
        self.release(&mut client);
        self.clients.forget(&client);
    }

    /// Unties all that binds a client to keys and channels.
    pub(super) fn release(&mut self, client: &mut Client) {
        self.end_transaction(client);
        self.unsubscribe_all(client);
        self.unblock(client);
        self.end_long(client);
        if core::mem::take(&mut client.monitor) {
            self.monitors.remove(&client.slot);
        }
        self.replica_left(client);
        if client.from_primary {
            self.primary_left(client);
        }
    }

    /// Drops what is still to be written of a long reply.
    fn end_long(&mut self, client: &mut Client) {
        if let Some(long) = client.long.take() {
            long.end(|copy| self.keyspace.free_copy_later(copy));
        }
    }

    /// Closes a client at once and drops what it was to be sent. It must not be taken out.
    pub(super) fn cut_off(&mut self, slot: u32) {
        if let Some(client) = self.clients.take(slot) {
            self.outputs.push_back(Output::Close { conn: client.conn, how: Close::Now });
            self.gone(client);
        }
    }

    /// Lets leave what a client is to be sent, and closes it then if it shall go.
    pub(super) fn flush(&mut self, now: Now<'_>, client: &mut Client) {
        self.flush_as(now, client, Due::Now);
    }

    /// The same when the client has not asked for it, so that it may wait for what follows, unless
    /// there is so much that nothing is gained by that.
    pub(super) fn flush_soon(&mut self, now: Now<'_>, client: &mut Client) {
        let enough = client.outbox.len() >= Outbox::CHUNK;
        self.flush_as(now, client, if enough { Due::Now } else { Due::Soon });
    }

    #[inline]
    fn flush_as(&mut self, now: Now<'_>, client: &mut Client, sending: Due) {
        let may_leave = self.gate_replies(now.mono, client);
        if client.standing == Standing::Closing && client.long.is_none() {
            // It will be sent what it has without being asked about again.
            self.keep_unwritten(client);
            self.release(client);
            self.clients.leaving(client);
            self.outputs.push_back(Output::Close { conn: client.conn, how: Close::AfterSending });
            return;
        }
        let waiting = client.outbox.len();
        if waiting == 0 && client.replica.is_none() {
            client.above_soft_limit_since = None;
            return;
        }
        self.stats.longest_output = self.stats.longest_output.max(waiting);
        client.outbox_peak = client.outbox_peak.max(waiting);
        if may_leave {
            match (client.sending, sending) {
                (Due::No | Due::Soon, Due::Now) => {
                    client.sending = Due::Now;
                    self.to_send.push_back(client.slot);
                }
                (Due::No, Due::Soon) => {
                    client.sending = Due::Soon;
                    self.to_send_soon.push_back(client.slot);
                }
                _ => {}
            }
        }
        if self.is_too_slow(now.mono, client) {
            let text = super::clients::commands::describe(client, Some(now.mono));
            self.log(LogLevel::Warning, || {
                format!(
                    "Client {text} scheduled to be closed ASAP for overcoming of output buffer \
                     limits."
                )
            });
            self.stats.output_limit_disconnections += 1;
            self.end_long(client);
            client.outbox.clear();
            client.standing = Standing::Closing;
            self.release(client);
            self.clients.leaving(client);
            self.outputs.push_back(Output::Close { conn: client.conn, how: Close::AfterSending });
        }
    }

    /// Stops reading from a client that is far ahead, and goes on when it is not any more.
    pub(super) fn press_back(&mut self, client: &mut Client) {
        let full = client.outbox.len() > MAX_UNSENT;
        let held = client.is_held() || self.holds_all();
        let ahead = held && client.requests.waiting() > MAX_AHEAD;
        if client.long.is_some() && client.outbox.len() > MAX_LONG_UNSENT {
            client.outbox.set_low_water(LOW_LONG_UNSENT);
        } else if full {
            client.outbox.set_low_water(MAX_UNSENT / 2);
        }
        let stop = full || ahead;
        if stop != client.not_reading && client.standing == Standing::Open {
            client.not_reading = stop;
            self.outputs.push_back(Output::Reading { conn: client.conn, on: !stop });
        }
    }

    /// A client whose outbox was full has read most of it.
    pub(super) fn drained(&mut self, now: Now<'_>, conn: ConnId) {
        let Some(mut client) = self.clients.slot(conn).and_then(|slot| self.clients.take(slot))
        else {
            return self.extend_migrate_deadline(now, conn);
        };
        if client.is_replica() {
            self.send_more(now, &mut client);
            self.top_up(now, &mut client);
        }
        self.serve_and_leave(now, &mut client);
        self.clients.put(client);
    }

    /// Goes on with what a client has asked, and lets it go when that is done if it has gone.
    pub(super) fn serve_and_leave(&mut self, now: Now<'_>, client: &mut Client) {
        self.serve(now, client, &[]);
        let held = self.holds_all() && client.requests.waiting() > 0;
        let busy = client.pending || client.long.is_some() || held;
        if client.ended && !busy && client.standing == Standing::Open {
            client.standing = Standing::Closing;
            self.flush(now, client);
        }
    }

    /// Whether more waits for a client than its class may have waiting.
    pub(super) fn is_too_slow(&mut self, now: Mono, client: &mut Client) -> bool {
        let class = match client {
            _ if client.from_primary => return false,
            _ if client.is_replica() => 1,
            _ if client.subscriptions.is_some() => 2,
            _ => 0,
        };
        let mut limit = self.config.settings().client_output_buffer_limit[class];
        if class == 1 && limit.hard != 0 {
            // A replica that went on where it was cut off must not be cut off again for that.
            limit.hard = limit.hard.max(self.config.settings().repl_backlog_size);
        }
        if limit.hard == 0 && limit.soft == 0 {
            client.above_soft_limit_since = None;
            return false;
        }
        let waiting = self.waiting_bytes(client);
        // A reply may not be longer than the limit, although not all of it waits.
        let long = client.long.as_ref().map_or(0, |long| long.whole()) as u64;
        if limit.hard != 0 && waiting.max(long) >= limit.hard {
            return true;
        }
        if limit.soft == 0 || waiting < limit.soft {
            client.above_soft_limit_since = None;
            return false;
        }
        let since = *client.above_soft_limit_since.get_or_insert(now);
        self.watch_outboxes = true;
        now.since(since) > Duration::from_secs(limit.seconds)
    }

    /// Cuts a client off whose requests are longer than is allowed.
    pub(super) fn check_query_buffer(&mut self, client: &mut Client) {
        let waiting = client.requests.waiting();
        self.stats.longest_input = self.stats.longest_input.max(waiting);
        let limit = self.config.settings().client_query_buffer_limit;
        if waiting as u64 > limit && !client.from_primary && client.standing == Standing::Open {
            let text = super::clients::commands::describe(client, None);
            self.log(LogLevel::Warning, || {
                format!("Closing client that reached max query buffer length: {text}")
            });
            self.stats.query_limit_disconnections += 1;
            client.requests.clear();
            self.end_long(client);
            client.outbox.clear();
            client.standing = Standing::Closing;
        }
    }
}

/// The address that a word of `bind` means.
/// Whether `bind` takes this name for an address.
pub(super) fn is_address(name: &str) -> bool {
    bind_address(name).is_some()
}

fn bind_address(name: &str) -> Option<IpAddr> {
    match name {
        "*" => Some(Ipv4Addr::UNSPECIFIED.into()),
        "::*" => Some(Ipv6Addr::UNSPECIFIED.into()),
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        _ => name.parse().ok(),
    }
}

/// An address as `bind` names it.
pub(super) fn bind_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => "*".to_owned(),
        IpAddr::V6(v6) if v6.is_unspecified() => "::*".to_owned(),
        ip => ip.to_string(),
    }
}

/// What a stranger is told by a server without a password that is open to the network.
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
