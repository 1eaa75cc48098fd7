//! Messages of the cluster bus as readable lines.

use limpid_core::cluster::bus::{Body, Extension, Gossip, Header, Kind, Message, decode, frames};
use limpid_core::cluster::{NodeId, SlotSet};
use limpid_core::lab::wire::type_name;

use crate::figures;
use crate::i18n::Locale;
use crate::whole::IS_WHOLE;

/// Finds the name of a node on the map, if it is known.
type Names<'a> = &'a dyn Fn(NodeId) -> Option<String>;

/// How many characters of a node id are shown.
const ID: usize = 8;

/// The most slot ranges that are listed; the total count of slots is shown, too.
const RANGES: usize = 12;

/// Messages of the bus as lines. `at` is the sender's clock when it sent them, as Unix time in
/// seconds.
pub(crate) fn decoded(bytes: &[u8], locale: Locale, at: u64, names: Names<'_>) -> Option<String> {
    let teller = Teller { locale, at, names };
    let mut length = 0;
    let mut lines = Vec::new();
    for (kind, frame) in said(bytes) {
        length += frame.len();
        lines.push(type_name(kind).to_owned());
        match decode(frame) {
            Ok(message) => teller.tell(&message, &mut lines),
            Err(_) => lines.push(format!("… {} B", frame.len())),
        }
    }
    if lines.is_empty() {
        return None;
    }
    if length < bytes.len() {
        lines.push(format!("… {} B", bytes.len() - length));
    }
    Some(lines.join("\n"))
}

/// The messages in a piece of a stream. Only the whole program has clusters.
fn said(bytes: &[u8]) -> impl Iterator<Item = (Kind, &[u8])> {
    frames(if IS_WHOLE { bytes } else { &[] })
}

fn name(names: Names<'_>, id: NodeId) -> String {
    names(id).unwrap_or_else(|| short(id))
}

fn short(id: NodeId) -> String {
    id.as_str().get(..ID).unwrap_or_default().to_owned()
}

/// Writes messages as readable lines.
struct Teller<'a> {
    locale: Locale,
    at: u64,
    names: Names<'a>,
}

impl Teller<'_> {
    fn tell(&self, message: &Message, lines: &mut Vec<String>) {
        let locale = self.locale;
        let epoch = message.header.current_epoch.to_string();
        match &message.body {
            Body::Fail(node) => {
                lines.push(locale.fill(words::FAILED, &[("name", &self.name(*node))]));
            }
            Body::AuthRequest => lines.push(locale.fill(words::ASKS, &[("epoch", &epoch)])),
            Body::AuthAck => lines.push(locale.fill(words::VOTES, &[("epoch", &epoch)])),
            Body::Update { node, config_epoch, slots } => {
                let (name, epoch) = (self.name(*node), config_epoch.to_string());
                let values = [("name", &*name), ("epoch", &epoch)];
                lines.push(locale.fill(words::UPDATE, &values));
                lines.push(self.slots(slots));
            }
            Body::ManualFailover => lines.push(locale.say(words::MANUAL).to_owned()),
            Body::Publish { channel, message, .. } => {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                lines.push(format!("{} {}", text(channel), text(message)));
            }
            Body::Module { .. } | Body::Gossip { .. } => {}
        }
        self.header(&message.header, lines);
        if let Body::Gossip { about, extensions, .. } = &message.body {
            lines.extend(extensions.iter().filter_map(|extension| self.extension(extension)));
            if !about.is_empty() {
                let n = about.len().to_string();
                lines.push(locale.fill(words::GOSSIP, &[("n", &n)]));
                lines.extend(about.iter().map(|entry| self.gossip(entry)));
            }
        }
    }

    /// The header, which every message has: facts about its sender.
    fn header(&self, header: &Header, lines: &mut Vec<String>) {
        let locale = self.locale;
        if let Some(sender) = header.sender {
            let values = [("name", &*self.name(sender)), ("id", &short(sender))];
            lines.push(locale.fill(words::SENDER, &values));
        }
        let flags = header.flags.to_string();
        lines.push(match header.master {
            None => locale.fill(words::FLAGS, &[("flags", &flags)]),
            Some(master) => {
                let values = [("flags", &*flags), ("name", &self.name(master))];
                locale.fill(words::FLAGS_OF_REPLICA, &values)
            }
        });
        let (current, config) = (header.current_epoch.to_string(), header.config_epoch.to_string());
        lines.push(locale.fill(words::EPOCHS, &[("current", &current), ("config", &config)]));
        lines.push(self.slots(&header.slots));
        lines.push(locale.fill(words::OFFSET, &[("n", &figures::count(header.offset))]));
        let state = if header.down { "fail" } else { "ok" };
        lines.push(locale.fill(words::STATE, &[("state", state)]));
        let marks = [(header.paused, words::PAUSED), (header.force_ack, words::FORCED)];
        lines.extend(
            marks.iter().filter(|(set, _)| *set).map(|(_, text)| locale.say(*text).to_owned()),
        );
    }

    /// Slot ranges with their count: `0-5460 (5461)`.
    fn slots(&self, slots: &SlotSet) -> String {
        if slots.is_empty() {
            return self.locale.say(words::NO_SLOTS).to_owned();
        }
        let mut ranges: Vec<String> = slots
            .ranges()
            .take(RANGES + 1)
            .map(|(first, last)| match first == last {
                true => first.number().to_string(),
                false => format!("{}-{}", first.number(), last.number()),
            })
            .collect();
        if ranges.len() > RANGES {
            ranges[RANGES] = "…".to_owned();
        }
        let values = [("ranges", &*ranges.join(" ")), ("n", &slots.len().to_string())];
        self.locale.fill(words::SLOTS, &values)
    }

    /// A gossip entry: the sender's view of another node.
    fn gossip(&self, entry: &Gossip) -> String {
        let ago = |then: u32| {
            let seconds = self.at.saturating_sub(then.into());
            seconds.to_string()
        };
        let heard = match (entry.ping_sent, entry.pong_received) {
            (0, 0) => self.locale.say(words::NEVER).to_owned(),
            (0, pong) => self.locale.fill(words::HEARD, &[("n", &ago(pong))]),
            (ping, _) => self.locale.fill(words::WAITING, &[("n", &ago(ping))]),
        };
        format!("  {} · {} · {heard}", self.name(entry.node), entry.flags)
    }

    fn extension(&self, extension: &Extension) -> Option<String> {
        let locale = self.locale;
        Some(match extension {
            Extension::Shard(shard) => locale.fill(words::SHARD, &[("id", &short(*shard))]),
            Extension::Hostname(host) => locale.fill(words::HOSTNAME, &[("name", host)]),
            Extension::HumanNodename(name) => locale.fill(words::NODENAME, &[("name", name)]),
            Extension::Forgotten { node, ttl } => {
                let values = [("name", &*self.name(*node)), ("n", &ttl.to_string())];
                locale.fill(words::FORGOTTEN, &values)
            }
            Extension::Unknown(_) => return None,
        })
    }

    fn name(&self, id: NodeId) -> String {
        name(self.names, id)
    }
}

mod words {
    crate::i18n::texts! {
        SENDER: "from {name} ({id})", "发自 {name}（{id}）";
        FLAGS: "flags: {flags}", "标志：{flags}";
        FLAGS_OF_REPLICA: "flags: {flags}; replica of {name}", "标志：{flags}；{name} 的从节点";
        EPOCHS: "epoch {current}; its slots are claimed in epoch {config}", "当前纪元 {current}；槽位的配置纪元 {config}";
        SLOTS: "slots: {ranges} ({n} in all)", "槽位：{ranges}（共 {n} 个）";
        NO_SLOTS: "no slots", "没有槽位";
        OFFSET: "replication offset: {n}", "复制偏移量：{n}";
        STATE: "cluster_state in its eyes: {state}", "它眼中的 cluster_state：{state}";
        PAUSED: "its clients are paused for a manual failover", "正在手动故障转移，已暂停客户端";
        FORCED: "the vote is asked for although the primary is up (manual failover)", "主节点仍在线，也请求投票（手动故障转移）";
        GOSSIP: "gossip, nodes: {n}", "gossip，节点数：{n}";
        HEARD: "last PONG {n} s ago", "{n} 秒前收到 PONG";
        WAITING: "PING sent {n} s ago, no PONG yet", "{n} 秒前发出 PING，尚未收到 PONG";
        NEVER: "no PONG ever", "从未收到 PONG";
        SHARD: "shard {id}", "分片 {id}";
        HOSTNAME: "hostname: {name}", "主机名：{name}";
        NODENAME: "node name: {name}", "节点名：{name}";
        FORGOTTEN: "{name} is forgotten, for {n} s more", "已忘记 {name}，剩余 {n} 秒";
        FAILED: "{name} has failed: most masters cannot reach it", "{name} 已下线：过半主节点无法与它通信";
        ASKS: "asks the masters for their votes in epoch {epoch}", "请求各主节点在纪元 {epoch} 中投票给它";
        VOTES: "gives its vote in epoch {epoch}", "在纪元 {epoch} 中投出自己的一票";
        UPDATE: "{name} has claimed these slots in epoch {epoch}:", "{name} 已在纪元 {epoch} 中取得以下槽位：";
        MANUAL: "asks its primary to pause its clients: a manual failover begins", "请求主节点暂停客户端：手动故障转移开始";
    }
}

#[cfg(all(test, feature = "whole"))]
mod tests {
    use limpid_core::cluster::NodeFlags;
    use limpid_core::cluster::bus::Greeting;
    use limpid_core::rng::Rng;
    use limpid_core::sharding::Slot;

    use super::*;

    fn id(n: u64) -> NodeId {
        NodeId::random(&mut Rng::new(n))
    }

    /// Nodes 1 to 3 are on the map.
    fn names(node: NodeId) -> Option<String> {
        (1..=3).find(|n| id(*n) == node).map(|n| format!("node-{n}"))
    }

    fn message(body: Body) -> Vec<u8> {
        let header = Header {
            sender: Some(id(1)),
            current_epoch: 7,
            config_epoch: 3,
            offset: 1234,
            slots: (0..=5460).filter_map(Slot::new).collect(),
            flags: NodeFlags::MASTER,
            ..Header::default()
        };
        Message { header, body }.encode()
    }

    fn ping() -> Vec<u8> {
        let entry = |n, flags, ping_sent, pong_received| Gossip {
            node: id(n),
            ping_sent,
            pong_received,
            ip: format!("10.0.0.{n}"),
            port: 6379,
            other_port: 0,
            bus_port: 16379,
            flags,
        };
        let failing = NodeFlags::MASTER.and(NodeFlags::PFAIL);
        let about = vec![entry(2, NodeFlags::MASTER, 0, 998), entry(9, failing, 995, 990)];
        message(Body::Gossip { greeting: Greeting::Ping, about, extensions: Vec::new() })
    }

    #[test]
    fn a_ping_carries_its_sender_and_its_gossip() {
        let text = decoded(&ping(), Locale::En, 1_000, &names).expect("a message");
        let lines: Vec<&str> = text.lines().collect();
        let sender = format!("from node-1 ({})", short(id(1)));
        let unknown = format!("  {} · master,fail? · PING sent 5 s ago, no PONG yet", short(id(9)));
        assert_eq!(
            lines,
            [
                "PING",
                &sender,
                "flags: master",
                "epoch 7; its slots are claimed in epoch 3",
                "slots: 0-5460 (5461 in all)",
                "replication offset: 1\u{202f}234",
                "cluster_state in its eyes: ok",
                "gossip, nodes: 2",
                "  node-2 · master · last PONG 2 s ago",
                &unknown,
            ]
        );
    }

    #[test]
    fn what_is_cut_off_is_counted_and_never_read_beyond() {
        let whole = [ping(), ping()].concat();
        for end in 0..whole.len() {
            let _ = decoded(&whole[..end], Locale::Zh, 0, &names);
        }
        let text = decoded(&whole[..whole.len() - 1], Locale::En, 0, &names).expect("one message");
        assert!(text.ends_with(&format!("… {} B", ping().len() - 1)), "{text}");
    }
}
