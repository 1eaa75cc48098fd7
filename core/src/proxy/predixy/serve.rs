//! Handling of clients' requests.

use super::command::{Access, Command, Keys, Special};
use super::hold::{Destination, RoutedRequest};
use super::{
    Auth, ClientData, ClientId, Flow, GROUP_BITS, LinkData, LinkId, NO_CONNECTION, NO_SERVER, OWN,
    Owner, Pending, Predixy, PredixyEngine, ReplyAction, Request, SortedMap, tag, write,
};
use crate::proxy::engine::{Join, JoinKind, RequestCopy};
use crate::proxy::reply::{elements, integer, text};
use crate::proxy::request::{write_bulk, write_head};
use crate::sharding::Slot;
use crate::time::Now;

impl Predixy {
    /// Handles a request of a client.
    #[inline]
    pub(super) fn serve(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        request: Request<'_>,
    ) -> Flow {
        if request.is_empty() {
            return Flow::Done;
        }
        self.stats.requests += 1;
        self.stats.recv_client_bytes += request.bytes.len() as u64;
        let Some((id, command)) = self.command(&request) else {
            let name = request.arg(0);
            let shown = name.get(..name.len().min(128)).unwrap_or_default().to_ascii_lowercase();
            let text = format!("-ERR unknown command '{}'\r\n", shown.escape_ascii());
            engine.answer(client, text.as_bytes());
            return Flow::Done;
        };
        let (fewest, most) = command.args;
        let len = request.len() as u32;
        let pairs = matches!(command.special, Special::Mset | Special::Msetnx);
        if len < fewest || len > most || pairs && len.is_multiple_of(2) {
            let name = &command.name;
            let text = format!("-ERR wrong number of arguments for '{name}' command\r\n");
            engine.answer(client, text.as_bytes());
            return Flow::Done;
        }
        let (special, mode) = (command.special, command.mode);
        let Some(data) = engine.client(client).map(|client| &client.data) else {
            return Flow::Done;
        };
        if special != Special::Auth && !self.config.authority.is_empty() {
            let allowed = match data.auth.and_then(|i| self.config.authority.get(i)) {
                Some(auth) if is_permitted(auth, mode.access, mode.keys, &request) => Ok(()),
                Some(_) => Err(&b"-ERR auth permission deny\r\n"[..]),
                None => Err(&b"-NOAUTH Authentication required.\r\n"[..]),
            };
            if let Err(text) = allowed {
                engine.answer(client, text);
                return Flow::Done;
            }
        }
        if data.private.is_none() && special == Special::No && !matches!(mode.keys, Keys::None) {
            self.forward(engine, now, client, id, mode.access, mode.keys, &request);
            return Flow::Done;
        }
        self.serve_special(engine, now, client, id, &request)
    }

    /// Handles a request with a special treatment, or of a client with a private connection.
    fn serve_special(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        id: u16,
        request: &Request<'_>,
    ) -> Flow {
        let Some(command) = self.config.commands.get(id) else { return Flow::Done };
        let (special, mode, name) = (command.special, command.mode, command.name.clone());
        let Some(known) = engine.client(client) else { return Flow::Done };
        let data = known.data.clone();
        let first = known.unanswered() == 0;
        if data.subscribed {
            return self.serve_subscriber(engine, now, client, special, &data, request);
        }
        if data.multi || data.watching {
            let forbidden = matches!(special, Special::Select | Special::Subscribe)
                || special == Special::Blocking && data.watching && !data.multi;
            if forbidden {
                let text = format!("-ERR forbid command \"{name}\" in transaction\r\n");
                engine.answer(client, text.as_bytes());
                engine.finish(client);
                return Flow::Done;
            }
        }
        match special {
            Special::Ping | Special::Echo if !data.multi => {
                let mut reply = Vec::new();
                match request.len() {
                    1 => reply.extend_from_slice(b"+PONG\r\n"),
                    _ => write_bulk(&mut reply, request.arg(1)),
                }
                engine.answer(client, &reply);
            }
            Special::Auth => self.authenticate(engine, client, request.arg(1)),
            Special::Select => {
                let db = core::str::from_utf8(request.arg(1)).ok().and_then(|n| n.parse().ok());
                match db.filter(|db: &u16| i32::from(*db) < self.config.pool.databases) {
                    Some(db) => {
                        if let Some(client) = engine.client_mut(client) {
                            client.data.db = db;
                        }
                        engine.answer(client, b"+OK\r\n");
                    }
                    None => engine.answer(client, b"-ERR invalid DB index\r\n"),
                }
            }
            Special::Quit => {
                engine.answer(client, b"+OK\r\n");
                engine.finish(client);
            }
            Special::Command => engine.answer(client, b"*0\r\n"),
            Special::Info => self.info(engine, now, client, request),
            Special::Config => self.config_command(engine, client, request),
            Special::Multi | Special::Watch if !self.has_transactions() => {
                engine.answer(client, b"-ERR forbid transaction in current server pool\r\n");
            }
            Special::Subscribe | Special::Blocking | Special::Multi | Special::Watch if !first => {
                // Earlier requests were sent on other connections, and must be executed first.
                return Flow::Later;
            }
            Special::Subscribe => self.subscribe(engine, now, client, &data, request),
            Special::Unsubscribe => self.unsubscribe_nothing(engine, client, &name, request),
            Special::Multi | Special::Watch => {
                self.send_private(engine, now, client, id, 0, &data, request);
                engine.wait(client);
            }
            Special::Exec | Special::Unwatch => match data.private {
                Some(link) => {
                    if !first {
                        return Flow::Later;
                    }
                    self.send_own(engine, now, client, link, id, request);
                    engine.wait(client);
                }
                None if special == Special::Unwatch => engine.answer(client, b"+OK\r\n"),
                None => {
                    let text = format!("-ERR {} without MULTI\r\n", name.to_ascii_uppercase());
                    engine.answer(client, text.as_bytes());
                }
            },
            _ if data.private.is_some() => {
                let Some(link) = data.private else { return Flow::Done };
                self.send_own(engine, now, client, link, id, request);
            }
            Special::Blocking => match self.place_of_all(mode.keys, request) {
                Ok(to) => {
                    let group = self.topology.group_at(to).unwrap_or(usize::MAX);
                    if self.send_private(engine, now, client, id, group, &data, request)
                        && let Some(client) = engine.client_mut(client)
                    {
                        client.data.blocked = true;
                    }
                    engine.wait(client);
                }
                Err(text) => engine.answer(client, &text),
            },
            Special::Mget | Special::Mset | Special::Msetnx | Special::Count => {
                self.split(engine, now, client, id, special, mode.access, request);
            }
            Special::Script => self.script(engine, now, client, id, request),
            Special::Scan => self.scan(engine, now, client, id, request),
            Special::Any => {
                let groups = self.topology.groups.len() as u64;
                let to = Destination::Group(self.rng.below(groups) as usize);
                self.send_whole(engine, now, client, id, mode.access, to, request.bytes);
            }
            Special::Publish => {
                let first = Destination::Group(0);
                self.send_whole(engine, now, client, id, Access::Write, first, request.bytes);
            }
            Special::No | Special::Ping | Special::Echo => {
                let first = Destination::Group(0);
                self.send_whole(engine, now, client, id, mode.access, first, request.bytes);
            }
        }
        Flow::Done
    }

    #[inline]
    fn command(&self, request: &Request<'_>) -> Option<(u16, &Command)> {
        let id = self.config.commands.find(request.arg(0))?;
        Some((id, self.config.commands.get(id)?))
    }

    pub(super) fn is_scan(&self, id: u16) -> bool {
        self.config.commands.get(id).is_some_and(|command| command.special == Special::Scan)
    }

    fn has_transactions(&self) -> bool {
        !self.topology.is_cluster() && self.topology.groups.len() == 1
    }

    fn authenticate(&mut self, engine: &mut PredixyEngine, client: ClientId, word: &[u8]) {
        if self.config.authority.is_empty() {
            return engine.answer(client, b"-ERR Client sent AUTH, but no password is set\r\n");
        }
        let known = |auth: &Auth| auth.password.as_bytes() == word;
        let Some(auth) = self.config.authority.iter().position(known) else {
            return engine.answer(client, b"-ERR invalid password\r\n");
        };
        if let Some(client) = engine.client_mut(client) {
            client.data.auth = Some(auth);
        }
        engine.answer(client, b"+OK\r\n");
    }

    /// Sends a request to the server of its keys.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    fn forward(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        id: u16,
        access: Access,
        keys: Keys,
        request: &Request<'_>,
    ) {
        let to = match keys {
            Keys::At(index) => Ok(self.topology.place_of(request.arg(index), &mut self.rng)),
            keys => self.place_of_all(keys, request),
        };
        match to {
            Ok(to) => self.send_whole(engine, now, client, id, access, to, request.bytes),
            Err(text) => engine.answer(client, &text),
        }
    }

    /// The destination of all keys of a request, or the error if they differ.
    fn place_of_all(&mut self, keys: Keys, request: &Request<'_>) -> Result<Destination, Vec<u8>> {
        let range = key_range(keys, request).ok_or_else(|| b"-ERR argument wrong\r\n".to_vec())?;
        let mut found = None;
        for index in range {
            let place = self.topology.place_of(request.arg(index), &mut self.rng);
            match found {
                None => found = Some(place),
                Some(first) if first == place => {}
                // A Cluster node replies with CROSSSLOT itself.
                Some(_) if self.topology.is_cluster() => {}
                Some(_) => {
                    return Err(format!(
                        "-ERR keys of '{}' are in different groups\r\n",
                        request.arg(0).to_ascii_lowercase().escape_ascii()
                    )
                    .into_bytes());
                }
            }
        }
        Ok(found.unwrap_or(Destination::Group(0)))
    }

    /// The server of a group for a request, or the error if there is none.
    #[inline]
    fn server_for(
        &mut self,
        engine: &PredixyEngine,
        access: Access,
        group: usize,
    ) -> Option<usize> {
        match access {
            Access::Read => {
                let pending = |server: &super::pool::Server| server.pending(engine);
                self.topology.reader(group, &self.config, &mut self.rng, pending)
            }
            Access::Write | Access::Admin => self.topology.master(group),
        }
    }

    /// Sends a request that is not split.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    fn send_whole(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        command: u16,
        access: Access,
        to: Destination,
        bytes: &[u8],
    ) {
        let seq = engine.expect_reply(client);
        let owner = Owner::Client { id: client, seq, part: 0 };
        let routed = RoutedRequest { owner, command, access, to, until: None, bytes };
        self.send_routed(engine, now, routed);
    }

    /// Sends a request, or a part of one, to a server, or holds it until there is one.
    #[inline]
    pub(super) fn send_routed(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        routed: RoutedRequest<&[u8]>,
    ) {
        let Owner::Client { id: client, .. } = routed.owner else { return };
        let link = if self.hold_queue.holds(client) {
            Err(NO_CONNECTION)
        } else {
            let db = engine.client(client).map_or(0, |client| client.data.db);
            let group = self.topology.group_at(routed.to);
            match group.and_then(|group| self.server_for(engine, routed.access, group)) {
                None => Err(NO_SERVER),
                Some(server) => self
                    .shared(engine, now, server, db)
                    .map(|link| (link, server))
                    .ok_or(NO_CONNECTION),
            }
        };
        match link {
            Ok((link, server)) => self.send(engine, now, link, server, &routed, 0),
            Err(error) => {
                let RoutedRequest { owner, command, access, to, until, bytes } = routed;
                let bytes = bytes.into();
                let routed = RoutedRequest { owner, command, access, to, until, bytes };
                self.hold(engine, now, routed, error);
            }
        }
    }

    /// Sends a request on a connection, and counts it.
    #[inline]
    pub(super) fn send(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        link: LinkId,
        server: usize,
        routed: &RoutedRequest<&[u8]>,
        hops: u8,
    ) {
        let bytes = routed.bytes;
        engine.send(now.mono, link, routed.owner, routed.command, [bytes]);
        if self.is_dynamic() {
            let kept = RequestCopy { bytes: bytes.into(), place: routed.to.number() };
            engine.copy_last(link, kept, hops);
        }
        self.stats.send_server_bytes += bytes.len() as u64;
        if let Some(server) = self.topology.servers.get_mut(server) {
            server.stats.requests += 1;
            server.stats.send_bytes += bytes.len() as u64;
        }
    }

    /// Sends a request on a client's private connection.
    fn send_own(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        link: LinkId,
        id: u16,
        request: &Request<'_>,
    ) {
        let seq = engine.expect_reply(client);
        let owner = Owner::Client { id: client, seq, part: 0 };
        if !engine.send(now.mono, link, owner, id, [request.bytes]) {
            engine.deliver_reply(owner, super::CLOSED);
        }
    }

    /// Sends a request on a new private connection of the client. False if there is none.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    fn send_private(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        id: u16,
        group: usize,
        data: &ClientData,
        request: &Request<'_>,
    ) -> bool {
        let link = match data.private {
            Some(link) => Ok(link),
            None => self.new_private(engine, now, client, group, data.db),
        };
        match link {
            Ok(link) => {
                self.send_own(engine, now, client, link, id, request);
                true
            }
            Err(text) => {
                engine.answer(client, text);
                false
            }
        }
    }

    /// A new private connection to the primary of a group, or the error for the client.
    fn new_private(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        group: usize,
        db: u16,
    ) -> Result<LinkId, &'static [u8]> {
        let server = self.topology.master(group).ok_or(NO_SERVER)?;
        self.private(engine, now, client, server, db).ok_or(NO_CONNECTION)
    }

    /// Splits a request with many keys, and sends the parts to the servers of the keys.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    fn split(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        id: u16,
        special: Special,
        access: Access,
        request: &Request<'_>,
    ) {
        let step = if matches!(special, Special::Mset | Special::Msetnx) { 2 } else { 1 };
        let whole = self.topology.groups.len() == 1 && !self.topology.is_cluster();
        if whole || request.len() == 1 + step {
            let to = self.topology.place_of(request.arg(1), &mut self.rng);
            return self.send_whole(engine, now, client, id, access, to, request.bytes);
        }
        // The keys of a bundle stay together.
        let mut bundles: SortedMap<u32, (usize, Vec<u8>)> = SortedMap::new();
        let mut order = Vec::new();
        for i in (1..request.len()).step_by(step) {
            let bundle = self.topology.bundle_of(request.arg(i), &mut self.rng);
            order.push((bundle, i));
            let (args, body) = bundles.get_or_default(bundle);
            *args += step;
            for i in i..i + step {
                write_bulk(body, request.arg(i));
            }
        }
        let joined = match special {
            Special::Mget => {
                let place = |(bundle, _): &(u32, usize)| {
                    bundles.keys().position(|known| known == bundle).unwrap_or_default() as u32
                };
                JoinKind::Array(order.iter().map(place).collect())
            }
            Special::Mset => JoinKind::First,
            Special::Msetnx => JoinKind::All,
            _ => JoinKind::Sum,
        };
        let seq = engine.split(client, Join::new(joined, bundles.len()));
        for (part, (bundle, (args, body))) in bundles.iter().enumerate() {
            let owner = Owner::Client { id: client, seq, part: part as u32 };
            let mut bytes = Vec::new();
            write_head(&mut bytes, b'*', args + 1);
            write_bulk(&mut bytes, request.arg(0));
            bytes.extend_from_slice(body);
            let to = match Slot::new(*bundle as u16) {
                Some(slot) if self.topology.is_cluster() => Destination::Slot(slot),
                _ => Destination::Group(*bundle as usize),
            };
            let routed =
                RoutedRequest { owner, command: id, access, to, until: None, bytes: &bytes[..] };
            self.send_routed(engine, now, routed);
        }
    }

    /// Sends `SCRIPT LOAD` to every primary.
    fn script(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        id: u16,
        request: &Request<'_>,
    ) {
        if !request.arg(1).eq_ignore_ascii_case(b"load") || request.len() != 3 {
            return engine.answer(client, b"-ERR unknown command\r\n");
        }
        let groups = self.topology.groups.len();
        if groups == 0 {
            return engine.answer(client, NO_SERVER);
        }
        let seq = engine.split(client, Join::new(JoinKind::First, groups));
        for group in 0..groups {
            let owner = Owner::Client { id: client, seq, part: group as u32 };
            let (access, to) = (Access::Write, Destination::Group(group));
            let bytes = request.bytes;
            let routed = RoutedRequest { owner, command: id, access, to, until: None, bytes };
            self.send_routed(engine, now, routed);
        }
    }

    /// SCAN iterates over the groups one by one; the low bits of the cursor contain the group.
    fn scan(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        id: u16,
        request: &Request<'_>,
    ) {
        let cursor = core::str::from_utf8(request.arg(1)).ok().and_then(|n| n.parse::<u64>().ok());
        let cursor = cursor.unwrap_or(0);
        let group = (cursor & ((1 << GROUP_BITS) - 1)) as usize;
        if group >= self.topology.groups.len() {
            return engine.answer(client, b"-ERR invalid cursor\r\n");
        }
        let inner = (cursor >> GROUP_BITS).to_string();
        let args: Vec<&[u8]> =
            [request.arg(0), inner.as_bytes()].into_iter().chain(request.args_from(2)).collect();
        let mut bytes = Vec::new();
        write(&mut bytes, args.iter().copied());
        let to = Destination::Group(group);
        self.send_whole(engine, now, client, id, Access::Write, to, &bytes);
    }

    /// Rewrites the cursor in a reply to SCAN, so that it continues with the same or the next
    /// group.
    fn scanned(&self, data: LinkData, reply: &[u8]) -> Option<Vec<u8>> {
        let mut parts = elements(reply)?;
        let (cursor, keys) = (parts.next()?, parts.next()?);
        let cursor: u64 = core::str::from_utf8(text(cursor)?).ok()?.parse().ok()?;
        let group = self.topology.servers.get(data.server)?.group?;
        let next = match cursor {
            0 if group + 1 < self.topology.groups.len() => group as u64 + 1,
            0 => 0,
            cursor => cursor.checked_mul(1 << GROUP_BITS)? | group as u64,
        };
        let mut out = b"*2\r\n".to_vec();
        write_bulk(&mut out, next.to_string().as_bytes());
        out.extend_from_slice(keys);
        Some(out)
    }

    /// The effects of a reply, besides its being forwarded.
    pub(super) fn finish(
        &mut self,
        engine: &mut PredixyEngine,
        client: ClientId,
        data: LinkData,
        pending: &Pending,
        reply: &[u8],
    ) -> ReplyAction {
        let special = self.config.commands.get(pending.command).map(|command| command.special);
        if special == Some(Special::Scan) {
            if let Some(other) = self.scanned(data, reply) {
                engine.deliver_reply(pending.owner, &other);
                return ReplyAction::Taken;
            }
            return ReplyAction::Forward;
        }
        let good = reply.first() != Some(&b'-');
        let Some(known) = engine.client_mut(client) else { return ReplyAction::Forward };
        match special {
            Some(Special::Watch) if good && !known.data.multi => known.data.watching = true,
            Some(Special::Multi) if good => known.data.multi = true,
            Some(Special::Exec) => (known.data.multi, known.data.watching) = (false, false),
            Some(Special::Unwatch) if !known.data.multi => known.data.watching = false,
            Some(Special::Blocking) => known.data.blocked = false,
            _ => {}
        }
        let needed = known.data.multi || known.data.watching || known.data.blocked;
        if !needed && !known.data.subscribed && known.unanswered() <= 1 {
            self.release(engine, client, true);
        }
        ReplyAction::Forward
    }

    /// Subscribes a client to channels.
    fn subscribe(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        data: &ClientData,
        request: &Request<'_>,
    ) {
        match self.new_private(engine, now, client, 0, data.db) {
            Err(text) => engine.answer(client, text),
            Ok(link) => {
                if let Some(client) = engine.client_mut(client) {
                    client.data.subscribed = true;
                }
                engine.send(now.mono, link, Owner::Rule(tag::PASS), OWN, [request.bytes]);
            }
        }
    }

    /// Handles a request of a client with subscriptions.
    fn serve_subscriber(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        special: Special,
        data: &ClientData,
        request: &Request<'_>,
    ) -> Flow {
        // All requests go to the server, which replies in order and knows which are allowed.
        let Some(link) = data.private else { return Flow::Done };
        engine.send(now.mono, link, Owner::Rule(tag::PASS), OWN, [request.bytes]);
        if special == Special::Unsubscribe {
            // Later requests may go to other connections again.
            let seq = engine.expect_reply(client);
            let owner = Owner::Client { id: client, seq, part: 0 };
            if let Some(client) = engine.client_mut(client) {
                client.data.leaving = Some((owner, request.len().saturating_sub(1).max(1)));
            }
            engine.wait(client);
        }
        Flow::Done
    }

    /// Handles UNSUBSCRIBE of a client without subscriptions.
    fn unsubscribe_nothing(
        &mut self,
        engine: &mut PredixyEngine,
        client: ClientId,
        name: &str,
        request: &Request<'_>,
    ) {
        let mut reply = Vec::new();
        let mut one = |channel: Option<&[u8]>| {
            write_head(&mut reply, b'*', 3);
            write_bulk(&mut reply, name.as_bytes());
            match channel {
                Some(channel) => write_bulk(&mut reply, channel),
                None => reply.extend_from_slice(b"$-1\r\n"),
            }
            reply.extend_from_slice(b":0\r\n");
        };
        if request.len() == 1 {
            one(None);
        }
        request.args_from(1).for_each(|channel| one(Some(channel)));
        engine.answer(client, &reply);
    }

    /// Forwards what arrives on the connection of a client with subscriptions.
    pub(super) fn pass(&mut self, engine: &mut PredixyEngine, client: ClientId, reply: &[u8]) {
        self.stats.send_client_bytes += reply.len() as u64;
        let parts: Vec<&[u8]> = elements(reply).into_iter().flatten().take(3).collect();
        let count = match parts[..] {
            [kind, _, count] if matches!(text(kind), Some(b"unsubscribe" | b"punsubscribe")) => {
                integer(count)
            }
            _ => return engine.push(client, reply),
        };
        let leaving = engine.client_mut(client).and_then(|client| client.data.leaving.take());
        match leaving {
            None => engine.push(client, reply),
            Some((owner, 1)) => engine.deliver_reply(owner, reply),
            Some((owner, _)) if count == Some(0) => engine.deliver_reply(owner, reply),
            Some((owner, left)) => {
                if let Some(client) = engine.client_mut(client) {
                    client.data.leaving = Some((owner, left - 1));
                }
                engine.push(client, reply);
            }
        }
        if count == Some(0) {
            self.release(engine, client, true);
        }
    }
}

/// The indices of the keys of a request; `None` if its number of keys is invalid.
fn key_range(keys: Keys, request: &Request<'_>) -> Option<Vec<usize>> {
    let len = request.len();
    let counted = |at: usize| {
        let count = core::str::from_utf8(request.arg(at)).ok()?.parse::<usize>().ok()?;
        (count < len.saturating_sub(at)).then_some(at + 1..at + 1 + count)
    };
    Some(match keys {
        Keys::None => Vec::new(),
        Keys::At(index) => vec![index],
        Keys::Two => vec![1, 2],
        Keys::From(first) => (first..len).collect(),
        Keys::ButLast => (1..len - 1).collect(),
        Keys::Store => [1].into_iter().chain(counted(2)?).collect(),
        Keys::Eval => counted(2)?.collect(),
    })
}

/// Whether an `Authority` permits this access to these keys.
fn is_permitted(auth: &Auth, access: Access, keys: Keys, request: &Request<'_>) -> bool {
    let (allowed, prefixes) = match access {
        Access::Read => (true, &auth.read_prefixes),
        Access::Write => (auth.write, &auth.write_prefixes),
        Access::Admin => return auth.admin,
    };
    if !allowed || prefixes.is_empty() {
        return allowed;
    }
    let step = if request.arg(0).to_ascii_lowercase().starts_with(b"mset") { 2 } else { 1 };
    key_range(keys, request).is_some_and(|keys| {
        keys.into_iter().step_by(step).all(|index| {
            let key = request.arg(index);
            prefixes.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
        })
    })
}
