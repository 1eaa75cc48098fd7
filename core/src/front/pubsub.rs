//! Publish and subscribe: channels, patterns, shard channels.

use std::collections::{BTreeMap, BTreeSet};

use super::clients::ChannelKind;
use super::{Call, Client, CloseState, Front, Handler, Rows, Service, container, row};
use crate::command::meta::{KeySpec, flag, key, special};
use crate::command::{CommandError, Group, Row};
use crate::glob;
use crate::machine::Outbox;
use crate::resp::Proto;
use crate::resp::reply::{Reply, Scratch};
use crate::time::Now;

impl<S: Service> Rows<S> {
    /// The rows of this file.
    pub(crate) const PUBSUB: &'static [Row<Handler<S>>] = &[
    row(Group::Pubsub, "subscribe", -2, |s, c| subscribe(s, c, ChannelKind::Channel)).special(special::WHILE_SUBSCRIBED)
        .flags(SUBSCRIBING)
        .since("2.0.0")
        .complexity("O(N), N being the number of channels given.")
        .summary("Listens to messages published on channels.")
        .syntax("channel ..."),
    row(Group::Pubsub, "unsubscribe", -1, |s, c| unsubscribe(s, c, ChannelKind::Channel)).special(special::WHILE_SUBSCRIBED)
        .flags(SUBSCRIBING)
        .since("2.0.0")
        .complexity("O(N), N being the number of channels left.")
        .summary("Stops listening to channels, to all if none is named.")
        .syntax("[channel ...]"),
    row(Group::Pubsub, "psubscribe", -2, |s, c| subscribe(s, c, ChannelKind::Pattern)).special(special::WHILE_SUBSCRIBED)
        .flags(SUBSCRIBING)
        .since("2.0.0")
        .complexity("O(N), N being the number of patterns given.")
        .summary("Listens to messages published on channels whose names match patterns.")
        .syntax("pattern ..."),
    row(Group::Pubsub, "punsubscribe", -1, |s, c| unsubscribe(s, c, ChannelKind::Pattern)).special(special::WHILE_SUBSCRIBED)
        .flags(SUBSCRIBING)
        .since("2.0.0")
        .complexity("O(N), N being the number of patterns left.")
        .summary("Stops listening to patterns, to all if none is named.")
        .syntax("[pattern ...]"),
    row(Group::Pubsub, "ssubscribe", -2, |s, c| subscribe(s, c, ChannelKind::Shard)).special(special::WHILE_SUBSCRIBED | special::SHARD_CHANNELS)
        .flags(SUBSCRIBING)
        .keys(&[KeySpec::range(1, -1, 1, key::NOT_KEY)])
        .since("7.0.0")
        .complexity("O(N), N being the number of channels given.")
        .summary("Listens to messages published on shard channels.")
        .syntax("shardchannel ..."),
    row(Group::Pubsub, "sunsubscribe", -1, |s, c| unsubscribe(s, c, ChannelKind::Shard)).special(special::WHILE_SUBSCRIBED | special::SHARD_CHANNELS)
        .flags(SUBSCRIBING)
        .keys(&[KeySpec::range(1, -1, 1, key::NOT_KEY)])
        .since("7.0.0")
        .complexity("O(N), N being the number of channels left.")
        .summary("Stops listening to shard channels, to all if none is named.")
        .syntax("[shardchannel ...]"),
    row(Group::Pubsub, "publish", 3, publish)
        .flags(PUBLISHING)
        .since("2.0.0")
        .complexity(
            "O(N+M), N being the number of the channel's subscribers and M the number of all patterns.",
        )
        .summary("Sends a message to all who listen to a channel.")
        .syntax("channel message"),
    row(Group::Pubsub, "spublish", 3, spublish).special(special::SHARD_CHANNELS)
        .flags(PUBLISHING)
        .keys(&[KeySpec::one(1, key::NOT_KEY)])
        .since("7.0.0")
        .complexity(
            "O(N), N being the number of the channel's subscribers.",
        )
        .summary("Sends a message to all who listen to a shard channel.")
        .syntax("shardchannel message"),
    row(Group::Pubsub, "pubsub", -2, container)
        .since("2.8.0")
        .complexity("That of the subcommand.")
        .summary("A container for commands that tell who listens to what.")
        .subcommands(&[
            row(Group::Pubsub, "channels", -2, |s, c| channels(s, c, ChannelKind::Channel))
                .flags(ASKING)
                .since("2.8.0")
                .complexity(
                    "O(N), N being the number of channels that have subscribers; more for long patterns.",
                )
                .summary("The channels that have subscribers.")
                .syntax("[pattern]"),
            row(Group::Pubsub, "numsub", -2, |s, c| numsub(s, c, ChannelKind::Channel))
                .flags(ASKING)
                .since("2.8.0")
                .complexity(
                    "O(N), N being the number of channels asked for.",
                )
                .summary("How many listen to each of some channels.")
                .syntax("[channel ...]"),
            row(Group::Pubsub, "numpat", 2, numpat)
                .flags(ASKING)
                .since("2.8.0")
                .summary("How many patterns have subscribers."),
            row(Group::Pubsub, "shardchannels", -2, |s, c| channels(s, c, ChannelKind::Shard))
                .flags(ASKING)
                .since("7.0.0")
                .complexity(
                    "O(N), N being the number of channels that have subscribers; more for long patterns.",
                )
                .summary("The shard channels that have subscribers.")
                .syntax("[pattern]"),
            row(Group::Pubsub, "shardnumsub", -2, |s, c| numsub(s, c, ChannelKind::Shard))
                .flags(ASKING)
                .since("7.0.0")
                .complexity(
                    "O(N), N being the number of channels asked for.",
                )
                .summary("How many listen to each of some shard channels.")
                .syntax("[shardchannel ...]"),
            row(Group::Pubsub, "help", 2, help)
                .flags(flag::LOADING | flag::STALE)
                .since("6.2.0")
                .summary("Explains the subcommands."),
        ]),
];
}

const SUBSCRIBING: u32 = flag::PUBSUB | flag::NOSCRIPT | flag::LOADING | flag::STALE;
const PUBLISHING: u32 =
    flag::PUBSUB | flag::LOADING | flag::STALE | flag::FAST | flag::MAY_REPLICATE;
const ASKING: u32 = flag::PUBSUB | flag::LOADING | flag::STALE;

/// A map from channel names or patterns.
type Named<T> = BTreeMap<Box<[u8]>, T>;

/// All subscriptions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pubsub {
    channels: Named<BTreeSet<u32>>,
    patterns: Named<BTreeSet<u32>>,
    shards: Named<BTreeSet<u32>>,
    /// Queued pushes for clients that were taken out of their slots when the push was sent.
    queued_for_others: Vec<(u32, Push)>,
    /// Queued pushes for the client whose command is running, sent after its reply.
    queued_for_current: Vec<Push>,
}

/// A message to a client that is not a reply. It is encoded when it is delivered, since its form
/// depends on the client's protocol version at that time.
#[derive(Clone, Debug)]
pub(crate) enum Push {
    /// A message in its RESP2 form, or a line of MONITOR.
    Message(Vec<u8>),
    /// Keys that a client caches have changed: an encoded array of them, empty for all.
    /// `redirected`: they are in the cache of another client (`REDIRECT`).
    Invalidation { keys: Vec<u8>, redirected: bool },
    /// The client with this id, which received the invalidations, is gone.
    RedirectionBroken(u64),
}

/// The channel on which RESP2 clients receive invalidations.
const INVALIDATIONS: &[u8] = b"__redis__:invalidate";

impl Pubsub {
    /// Number of channels with subscribers.
    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Number of patterns with subscribers.
    pub(crate) fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Whether messages are queued for the client whose command is running.
    pub(crate) fn has_queued_for_current(&self) -> bool {
        !self.queued_for_current.is_empty()
    }

    /// Number of shard channels with subscribers.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The shard channels with subscribers.
    pub(crate) fn shard_names(&self) -> impl Iterator<Item = &[u8]> {
        self.shards.keys().map(|name| &name[..])
    }

    fn of(&mut self, kind: ChannelKind) -> &mut Named<BTreeSet<u32>> {
        match kind {
            ChannelKind::Channel => &mut self.channels,
            ChannelKind::Pattern => &mut self.patterns,
            ChannelKind::Shard => &mut self.shards,
        }
    }

    fn leave(&mut self, kind: ChannelKind, name: &[u8], slot: u32) {
        let named = self.of(kind);
        if let Some(slots) = named.get_mut(name) {
            slots.remove(&slot);
            if slots.is_empty() {
                named.remove(name);
            }
        }
    }
}

impl<S: Service> Front<S> {
    /// Removes all subscriptions of a client.
    pub(crate) fn unsubscribe_all(&mut self, client: &mut Client<S>) {
        let Some(mut subscriptions) = client.subscriptions.take() else { return };
        for kind in [ChannelKind::Channel, ChannelKind::Pattern, ChannelKind::Shard] {
            for name in core::mem::take(subscriptions.of(kind)) {
                self.pubsub.leave(kind, &name, client.slot);
            }
        }
    }

    /// Removes all subscriptions to a channel, and notifies the subscribers.
    pub(crate) fn end_subscriptions(&mut self, now: Now<'_>, kind: ChannelKind, name: &[u8]) {
        let Some(slots) = self.pubsub.of(kind).remove(name) else { return };
        for slot in slots {
            let Some(mut client) = self.clients.take(slot) else { continue };
            if let Some(subscriptions) = &mut client.subscriptions {
                subscriptions.of(kind).remove(name);
                let (count, empty) = (subscriptions.count(kind), subscriptions.is_empty());
                if empty {
                    client.subscriptions = None;
                }
                let proto = client.proto;
                let mut reply = Reply::new(client.out(), &mut self.scratch, proto);
                reply.push(3);
                reply.bulk(verb(kind, false));
                reply.bulk(name);
                reply.integer(count as i64);
                self.flush(now, &mut client);
            }
            self.clients.put(client);
        }
    }

    /// Publishes a message. `current` is the client that is being served, if any. Returns the
    /// number of receivers.
    pub(crate) fn publish(
        &mut self,
        now: Now<'_>,
        mut current: Option<&mut Client<S>>,
        kind: ChannelKind,
        channel: &[u8],
        message: &[u8],
    ) -> usize {
        let mut receivers = 0;
        let verb: &[u8] = if kind == ChannelKind::Shard { b"smessage" } else { b"message" };
        if let Some(slots) = self.pubsub.of(kind).get(channel) {
            let slots: Vec<u32> = slots.iter().copied().collect();
            let push = Push::Message(encode(&[verb, channel, message]));
            for slot in slots {
                self.deliver(now, &mut current, slot, &push);
                receivers += 1;
            }
        }
        if kind == ChannelKind::Channel && !self.pubsub.patterns.is_empty() {
            let matching: Vec<_> = self
                .pubsub
                .patterns
                .iter()
                .filter(|(pattern, _)| glob::matches(pattern, channel))
                .map(|(pattern, slots)| (pattern.clone(), slots.clone()))
                .collect();
            for (pattern, slots) in matching {
                let push = Push::Message(encode(&[b"pmessage", &pattern, channel, message]));
                for slot in slots {
                    self.deliver(now, &mut current, slot, &push);
                    receivers += 1;
                }
            }
        }
        receivers
    }

    /// Writes a push message into a client's outbox.
    pub(crate) fn deliver(
        &mut self,
        now: Now<'_>,
        current: &mut Option<&mut Client<S>>,
        slot: u32,
        push: &Push,
    ) {
        if current.as_deref().is_some_and(|client| client.slot == slot) {
            self.pubsub.queued_for_current.push(push.clone());
            return;
        }
        match self.clients.take(slot) {
            Some(mut client) => {
                write(&mut client, push);
                self.flush_soon(now, &mut client);
                self.clients.put(client);
            }
            None => self.pubsub.queued_for_others.push((slot, push.clone())),
        }
    }

    /// Sends the messages that the running command queued for its own client.
    #[cold]
    pub(crate) fn deliver_queued_for_current(&mut self, client: &mut Client<S>) {
        for push in core::mem::take(&mut self.pubsub.queued_for_current) {
            write(client, &push);
        }
    }

    /// Sends the messages queued for clients that were taken out of their slots.
    #[inline]
    pub(crate) fn deliver_queued_for_others(&mut self, now: Now<'_>) {
        if !self.pubsub.queued_for_others.is_empty() {
            for (slot, push) in core::mem::take(&mut self.pubsub.queued_for_others) {
                if self.clients.get(slot).is_some() {
                    self.deliver(now, &mut None, slot, &push);
                }
            }
        }
    }
}

fn write<S: Service>(client: &mut Client<S>, push: &Push) {
    if client.close_state != CloseState::Open {
        return;
    }
    match (push, client.proto) {
        (Push::Message(bytes), proto) => match (proto, bytes.as_slice()) {
            // Only the first byte differs between the protocols, except for MONITOR's lines.
            (Proto::Resp3, [b'*', rest @ ..]) => client.out().write_parts([b">", rest]),
            (_, bytes) => client.out().write(bytes),
        },
        (Push::Invalidation { keys, .. }, Proto::Resp3) => {
            let keys: &[u8] = if keys.is_empty() { b"_\r\n" } else { keys };
            client.out().write_parts([b">2\r\n$10\r\ninvalidate\r\n", keys]);
        }
        // RESP2 has no push type: only subscribers get messages apart from replies.
        (Push::Invalidation { keys, redirected }, Proto::Resp2) => {
            if *redirected && client.subscriptions.is_some() {
                let keys: &[u8] = if keys.is_empty() { b"$-1\r\n" } else { keys };
                client.out().write_parts([b"*3\r\n$7\r\nmessage\r\n$20\r\n", INVALIDATIONS]);
                client.out().write_parts([b"\r\n", keys]);
            }
        }
        (Push::RedirectionBroken(id), Proto::Resp3) => {
            let text = format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n");
            client.out().write(text.as_bytes());
        }
        (Push::RedirectionBroken(_), Proto::Resp2) => {}
    }
}

/// Encodes a push in its RESP2 form: an array of strings.
fn encode(parts: &[&[u8]]) -> Vec<u8> {
    let (mut outbox, mut scratch) = (Outbox::default(), Scratch::default());
    let mut reply = Reply::new(&mut outbox, &mut scratch, Proto::Resp2);
    reply.push(parts.len());
    for part in parts {
        reply.bulk(part);
    }
    outbox.slices().flatten().copied().collect()
}

fn verb(kind: ChannelKind, on: bool) -> &'static [u8] {
    match (kind, on) {
        (ChannelKind::Channel, true) => b"subscribe",
        (ChannelKind::Channel, false) => b"unsubscribe",
        (ChannelKind::Pattern, true) => b"psubscribe",
        (ChannelKind::Pattern, false) => b"punsubscribe",
        (ChannelKind::Shard, true) => b"ssubscribe",
        (ChannelKind::Shard, false) => b"sunsubscribe",
    }
}

fn subscribe<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
    kind: ChannelKind,
) -> Result<(), CommandError> {
    let slot = call.client.slot;
    for name in call.args.from(1).iter() {
        let subscriptions = call.client.subscriptions.get_or_insert_default();
        if subscriptions.of(kind).insert(name.into()) {
            front.pubsub.of(kind).entry(name.into()).or_default().insert(slot);
        }
        let count = subscriptions.count(kind);
        answer(call, verb(kind, true), Some(name), count);
    }
    Ok(())
}

fn unsubscribe<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
    kind: ChannelKind,
) -> Result<(), CommandError> {
    let mut subscriptions = call.client.subscriptions.take().unwrap_or_default();
    let names: Vec<Box<[u8]>> = if call.args.len() > 1 {
        call.args.from(1).iter().map(Box::from).collect()
    } else {
        subscriptions.of(kind).iter().cloned().collect()
    };
    if names.is_empty() {
        answer(call, verb(kind, false), None, subscriptions.count(kind));
    }
    for name in names {
        if subscriptions.of(kind).remove(&name) {
            front.pubsub.leave(kind, &name, call.client.slot);
        }
        answer(call, verb(kind, false), Some(&name), subscriptions.count(kind));
    }
    if !subscriptions.is_empty() {
        call.client.subscriptions = Some(subscriptions);
    }
    Ok(())
}

fn answer<S: Service>(call: &mut Call<'_, S>, verb: &[u8], name: Option<&[u8]>, count: usize) {
    let mut reply = call.push();
    reply.push(3);
    reply.bulk(verb);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(count as i64);
}

fn publish<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    send(front, call, ChannelKind::Channel)
}

fn spublish<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    send(front, call, ChannelKind::Shard)
}

fn send<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
    kind: ChannelKind,
) -> Result<(), CommandError> {
    let (channel, message) = (call.arg(1), call.arg(2));
    let receivers = front.publish(call.now, Some(&mut *call.client), kind, channel, message);
    S::published(front, call.now, call.client, call.args);
    call.reply().integer(receivers as i64);
    Ok(())
}

fn channels<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
    kind: ChannelKind,
) -> Result<(), CommandError> {
    if call.args.len() > 3 {
        return Err(CommandError::subcommand_syntax("PUBSUB", call.arg(1)));
    }
    let pattern = call.args.get(2);
    let names: Vec<_> = front
        .pubsub
        .of(kind)
        .keys()
        .filter(|name| pattern.is_none_or(|pattern| glob::matches(pattern, name)))
        .collect();
    let mut reply = call.reply();
    reply.array(names.len());
    for name in names {
        reply.bulk(name);
    }
    Ok(())
}

fn numsub<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
    kind: ChannelKind,
) -> Result<(), CommandError> {
    let names = call.args.from(2);
    let mut reply = call.reply();
    reply.array(names.len() * 2);
    for name in names.iter() {
        reply.bulk(name);
        reply.integer(front.pubsub.of(kind).get(name).map_or(0, BTreeSet::len) as i64);
    }
    Ok(())
}

fn numpat<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    call.reply().integer(front.pubsub.patterns.len() as i64);
    Ok(())
}

fn help<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    call.reply().help(
        "PUBSUB",
        &[
            "CHANNELS [<pattern>]",
            "    The channels that have subscribers, all or those that match the pattern.",
            "NUMPAT",
            "    How many patterns have subscribers.",
            "NUMSUB [<channel> ...]",
            "    How many listen to each of the channels, patterns left aside.",
            "SHARDCHANNELS [<pattern>]",
            "    The shard channels that have subscribers.",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    How many listen to each of the shard channels.",
        ],
    );
    Ok(())
}
