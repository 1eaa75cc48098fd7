//! The replies of CLUSTER SLOTS, SHARDS and LINKS.

use crate::cluster::state::{NodeView, PreferredEndpoint};
use crate::resp::reply::Reply;
use crate::server::{Call, Server};

/// CLUSTER SLOTS.
pub(super) fn slots(server: &Server, call: &mut Call<'_>) {
    let Some(state) = server.cluster_state() else { return };
    let kind = state.settings().preferred_endpoint;
    let ranges = state.slot_ranges();
    let mut reply = call.reply();
    reply.array(ranges.len());
    for range in ranges {
        let Some(owner) = state.node_view_of(range.owner) else { continue };
        let replicas = state.available_replicas(range.owner);
        reply.array(3 + replicas.len());
        reply.integer(range.first.into());
        reply.integer(range.last.into());
        for node in [owner].iter().chain(&replicas) {
            endpoint(&mut reply, node, kind);
        }
    }
}

/// A node in the reply of CLUSTER SLOTS: the preferred endpoint, its id, and further metadata.
fn endpoint(reply: &mut Reply<'_>, node: &NodeView, kind: PreferredEndpoint) {
    reply.array(4);
    match kind {
        PreferredEndpoint::Unknown => reply.null(),
        _ => reply.bulk(node.endpoint.as_bytes()),
    }
    reply.integer(node.port.into());
    reply.bulk(node.id.as_bytes());
    let ip = (kind != PreferredEndpoint::Ip).then_some(("ip", &node.ip));
    let hostname = (kind != PreferredEndpoint::Hostname && !node.hostname.is_empty())
        .then_some(("hostname", &node.hostname));
    let more = [ip, hostname];
    reply.map(more.iter().flatten().count());
    for (name, value) in more.into_iter().flatten() {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

/// CLUSTER SHARDS.
pub(super) fn shards(server: &Server, call: &mut Call<'_>) {
    let Some(state) = server.cluster_state() else { return };
    let shards = state.shards();
    let mut reply = call.reply();
    reply.array(shards.len());
    for shard in shards {
        reply.map(2);
        reply.bulk(b"slots");
        reply.array(shard.slots.len() * 2);
        for (first, last) in shard.slots {
            reply.integer(first.into());
            reply.integer(last.into());
        }
        reply.bulk(b"nodes");
        reply.array(shard.nodes.len());
        for node in &shard.nodes {
            node_of_shard(&mut reply, node);
        }
    }
}

fn node_of_shard(reply: &mut Reply<'_>, node: &NodeView) {
    let health = match node {
        _ if node.failed => "fail",
        _ if node.replica && node.offset == 0 => "loading",
        _ => "online",
    };
    let role = if node.replica { "replica" } else { "master" };
    let ports = [("port", node.port), ("tls-port", node.tls_port)];
    let ports = ports.into_iter().filter(|(_, port)| *port > 0);
    let hostname = Some(("hostname", &node.hostname)).filter(|(_, name)| !name.is_empty());
    reply.map(6 + ports.clone().count() + usize::from(hostname.is_some()));
    let mut text = |name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    text("id", node.id.as_str());
    for (name, port) in ports {
        reply.bulk(name.as_bytes());
        reply.integer(port.into());
    }
    let mut text = |name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    text("ip", &node.ip);
    text("endpoint", &node.endpoint);
    if let Some((name, value)) = hostname {
        text(name, value);
    }
    text("role", role);
    reply.bulk(b"replication-offset");
    reply.integer(node.offset as i64);
    reply.bulk(b"health");
    reply.bulk(health.as_bytes());
}

/// CLUSTER LINKS.
pub(super) fn links(server: &Server, call: &mut Call<'_>) {
    let Some(node) = &server.service.cluster else { return };
    let links = node.state().map(|state| state.link_views()).unwrap_or_default();
    let mut reply = call.reply();
    reply.array(links.len());
    for link in links {
        let outbox = node
            .conns
            .get(&link.link)
            .and_then(|conn| node.links.get(conn))
            .map(|bus| (bus.outbox.capacity(), bus.outbox.len()));
        let (allocated, used) = outbox.unwrap_or_default();
        reply.map(6);
        reply.bulk(b"direction");
        reply.bulk(if link.inbound { b"from" } else { b"to" });
        reply.bulk(b"node");
        reply.bulk(link.node.as_bytes());
        reply.bulk(b"create-time");
        reply.integer(link.created as i64);
        reply.bulk(b"events");
        reply.bulk(if used > 0 { b"rw" } else { b"r" });
        reply.bulk(b"send-buffer-allocated");
        reply.integer(allocated as i64);
        reply.bulk(b"send-buffer-used");
        reply.integer(used as i64);
    }
}
