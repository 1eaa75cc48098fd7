//! Short labels for messages of the cluster bus.

use super::MessageKind;
use crate::cluster::NodeId;
use crate::cluster::bus::{Body, Kind, Message, decode, frames};

/// The number of characters of an ID that are shown.
const ID: usize = 8;

/// The kind of a piece of a stream: that of its most important message. A piece that begins inside
/// a message is most likely gossip.
pub(super) fn kind(bytes: &[u8]) -> MessageKind {
    let said = frames(bytes).map(|(kind, _)| kind).max_by_key(|kind| weight(*kind));
    match said {
        None | Some(Kind::Ping | Kind::Pong) => MessageKind::Beat,
        Some(Kind::AuthRequest) => MessageKind::Vote,
        Some(Kind::AuthAck) => MessageKind::Ballot,
        Some(_) => MessageKind::Bus,
    }
}

/// A short label for a piece of a stream: `PING`, `FAIL redis-2`, or `vote? @7` in epoch 7. `None`
/// if it begins inside a message.
pub(super) fn label(bytes: &[u8], names: &dyn Fn(NodeId) -> Option<String>) -> Option<String> {
    let (kind, frame) = frames(bytes).max_by_key(|(kind, _)| weight(*kind))?;
    let name = |node: NodeId| {
        names(node).unwrap_or_else(|| node.as_str().get(..ID).unwrap_or_default().to_owned())
    };
    let text = match decode(frame) {
        Err(_) => type_name(kind).to_owned(),
        Ok(Message { header, body }) => match body {
            Body::AuthRequest => format!("vote? @{}", header.current_epoch),
            Body::AuthAck => format!("vote @{}", header.current_epoch),
            Body::Fail(node) => format!("FAIL {}", name(node)),
            Body::Update { node, config_epoch, .. } => {
                format!("UPDATE {} @{config_epoch}", name(node))
            }
            Body::Publish { channel, .. } => {
                format!("{} {}", type_name(kind), String::from_utf8_lossy(&channel))
            }
            _ => type_name(kind).to_owned(),
        },
    };
    Some(match frames(bytes).count() {
        1 => text,
        n => format!("{text} +{}", n - 1),
    })
}

/// The importance of a message: votes before other news, and those before gossip.
fn weight(kind: Kind) -> u8 {
    match kind {
        Kind::Ping | Kind::Pong => 0,
        Kind::AuthRequest | Kind::AuthAck => 2,
        _ => 1,
    }
}

/// The name of a message type in the documentation of Redis.
pub fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ping => "PING",
        Kind::Pong => "PONG",
        Kind::Meet => "MEET",
        Kind::Fail => "FAIL",
        Kind::Publish => "PUBLISH",
        Kind::AuthRequest => "FAILOVER_AUTH_REQUEST",
        Kind::AuthAck => "FAILOVER_AUTH_ACK",
        Kind::Update => "UPDATE",
        Kind::ManualFailover => "MFSTART",
        Kind::Module => "MODULE",
        Kind::PublishShard => "PUBLISHSHARD",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::NodeFlags;
    use crate::cluster::bus::{Greeting, Header};
    use crate::rng::Rng;

    fn id(n: u64) -> NodeId {
        NodeId::random(&mut Rng::new(n))
    }

    /// The map names nodes 1 to 3.
    fn names(node: NodeId) -> Option<String> {
        (1..=3).find(|n| id(*n) == node).map(|n| format!("node-{n}"))
    }

    fn message(body: Body) -> Vec<u8> {
        let header = Header {
            sender: Some(id(1)),
            current_epoch: 7,
            config_epoch: 3,
            flags: NodeFlags::MASTER,
            ..Header::default()
        };
        Message { header, body }.encode()
    }

    fn ping() -> Vec<u8> {
        let (about, extensions) = (Vec::new(), Vec::new());
        message(Body::Gossip { greeting: Greeting::Ping, about, extensions })
    }

    #[test]
    fn messages_have_short_labels() {
        let told = |body| label(&message(body), &names);
        assert_eq!(label(&ping(), &names).as_deref(), Some("PING"));
        assert_eq!(told(Body::Fail(id(2))).as_deref(), Some("FAIL node-2"));
        assert_eq!(told(Body::AuthRequest).as_deref(), Some("vote? @7"));
        assert_eq!(told(Body::AuthAck).as_deref(), Some("vote @7"));
        assert_eq!(label(b"RCmb", &names), None);
    }

    #[test]
    fn the_label_of_several_messages_is_that_of_the_one_that_is_not_gossip() {
        let both = [ping(), message(Body::Fail(id(3)))].concat();
        assert_eq!(label(&both, &names).as_deref(), Some("FAIL node-3 +1"));
        assert_eq!(kind(&both), MessageKind::Bus);
        assert_eq!(kind(&ping()), MessageKind::Beat);
        assert_eq!(kind(&message(Body::AuthRequest)), MessageKind::Vote);
        assert_eq!(kind(&ping()[1..]), MessageKind::Beat);
    }
}
