//! Counters of clients and proxies, for programs without INFO.

use crate::client::TrafficStats;
use crate::lab::{ClusterTraffic, Sharding, Traffic};
use crate::sim::{ProcId, World};

/// The value of a counter of a client or a proxy.
pub(super) fn of(world: &World, proc: ProcId, field: &str) -> Option<String> {
    if let Some(program) = world.machine::<Sharding>(proc) {
        let client = program.client();
        let own = client.sharding_stats();
        let found = match field {
            "hits" => Some(own.hits),
            "misses" => Some(own.misses),
            "popped" => Some(own.popped),
            "wrong" => Some(own.wrong),
            "servers" => Some(own.sent.len() as u64),
            _ => None,
        };
        let sent = || {
            let mut nodes = client.config().nodes.iter().zip(&own.sent);
            nodes.find(|((node, _), _)| node.name == field.as_bytes()).map(|(_, sent)| *sent)
        };
        let found = found.or_else(|| traffic(client.stats(), field)).or_else(sent);
        return found.map(|number| number.to_string());
    }
    if let Some(program) = world.machine::<ClusterTraffic>(proc) {
        let stats = program.client().stats();
        let found = match field {
            "moved" => Some(stats.moved),
            "asked" => Some(stats.asked),
            "retries" => Some(stats.retries),
            "gone" => Some(stats.gone),
            "wrong" => Some(stats.wrong),
            _ => traffic(&stats.traffic, field),
        };
        return found.map(|number| number.to_string());
    }
    if let Some(program) = world.machine::<Traffic>(proc) {
        return traffic(program.client().stats(), field).map(|number| number.to_string());
    }
    proxy(world, proc, field)
}

/// The counters that all clients have.
fn traffic(stats: &TrafficStats, field: &str) -> Option<u64> {
    match field {
        "sent" => Some(stats.sent),
        "replies" => Some(stats.replies),
        "errors" => Some(stats.errors),
        "lost" => Some(stats.lost),
        _ => None,
    }
}

/// Whether a proxy uses a server or, with `requests` after the server's name, how many requests it
/// has sent to it.
#[cfg(feature = "proxies")]
fn proxy(world: &World, proc: ProcId, field: &str) -> Option<String> {
    use crate::proxy::Proxy;
    use crate::proxy::predixy::Predixy;
    use crate::proxy::twemproxy::Twemproxy;

    let twemproxy = world.machine::<Proxy<Twemproxy>>(proc).map(Proxy::<Twemproxy>::view);
    let predixy = || world.machine::<Proxy<Predixy>>(proc).map(Proxy::<Predixy>::view);
    let view = twemproxy.or_else(predixy)?;
    let (name, counts) =
        field.strip_suffix(" requests").map_or((field, false), |name| (name, true));
    let server = view.pools.iter().flat_map(|pool| &pool.servers).find(|s| s.name == name)?;
    Some(match (counts, server.in_use) {
        (true, _) => server.requests.to_string(),
        (false, true) => "in use".to_owned(),
        (false, false) => "out".to_owned(),
    })
}

#[cfg(not(feature = "proxies"))]
fn proxy(_: &World, _: ProcId, _: &str) -> Option<String> {
    None
}
