//! Routing: whether this node serves a command, or the client is redirected or refused.

use super::{Cluster, NodeId, NodeRef, PreferredEndpoint, UNOWNED};
use crate::sharding::Slot;

/// The properties of a command, other than its keys, that decide where it is served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Whether it writes.
    pub writes: bool,
    /// Whether the client has said `READONLY`.
    pub readonly: bool,
    /// Whether the client has sent `ASKING`, or the command implies it.
    pub asking: bool,
    /// Whether the keys are sharded channels.
    pub shard_channels: bool,
    /// Whether it is `MIGRATE`, which is allowed on slots that are being moved.
    pub migrates: bool,
}

/// How many of a command's keys this node has. Only needed for slots that are being moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presence {
    /// Number of keys that this node has.
    pub here: usize,
    /// Number of keys that it does not have.
    pub missing: usize,
    /// Whether the command has at least two different keys.
    pub several: bool,
}

/// Where a command has to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// By this node.
    Here,
    /// Nowhere: reply with this error, which starts with its code.
    Refused(&'static str),
    /// By another node, permanently: reply with MOVED.
    Moved {
        /// The slot.
        slot: Slot,
        /// The host that clients are given; may be empty.
        host: String,
        /// Its port.
        port: u16,
    },
    /// By another node, this once: reply with ASK.
    Ask {
        /// The slot.
        slot: Slot,
        /// The host that clients are given; may be empty.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// The error for a command whose keys are in several slots.
const CROSS_SLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";
const UNBOUND: &str = "CLUSTERDOWN Hash slot not served";
const DOWN: &str = "CLUSTERDOWN The cluster is down";
const DOWN_READS: &str = "CLUSTERDOWN The cluster is down and only accepts read commands";
const TRY_AGAIN: &str = "TRYAGAIN Multiple keys request during rehashing of slot";

impl Cluster {
    /// Whether this node serves all commands on a slot. The fast path, which holds for nearly all
    /// commands.
    #[inline]
    pub fn serves(&self, slot: Slot) -> bool {
        self.up
            && self.owners[usize::from(slot)] == self.myself
            && self.migrating.is_empty()
            && self.importing.is_empty()
            && self.closed.is_none()
    }

    /// The slot of a command's keys, or an error if there are several slots; `None` without keys.
    pub fn slot_of<'k>(mut keys: impl Iterator<Item = &'k [u8]>) -> Result<Option<Slot>, Route> {
        let Some(slot) = keys.next().map(Slot::of) else { return Ok(None) };
        match keys.all(|key| Slot::of(key) == slot) {
            true => Ok(Some(slot)),
            false => Err(Route::Refused(CROSS_SLOT)),
        }
    }

    /// The error for a command whose keys are in several slots. As in Redis, a first slot without
    /// an owner comes before CROSSSLOT.
    pub fn refusal_of(&self, first: &[u8], several: Route) -> Route {
        match self.owner(Slot::of(first)) {
            None => Route::Refused(UNBOUND),
            Some(_) => several,
        }
    }

    /// Decides where a command on one slot is served. `presence` looks up the keys.
    pub fn route(
        &self,
        slot: Slot,
        request: Request,
        presence: impl FnOnce() -> Presence,
    ) -> Route {
        let Some(owner) = self.owner(slot) else { return Route::Refused(UNBOUND) };
        if !self.up {
            if request.shard_channels {
                if !self.settings.allow_pubsubshard_when_down {
                    return Route::Refused(DOWN);
                }
            } else if !self.settings.allow_reads_when_down {
                return Route::Refused(DOWN);
            } else if request.writes {
                return Route::Refused(DOWN_READS);
            }
        }
        let mine = owner == self.myself;
        let target = self.migrating.get(&slot).filter(|_| mine);
        let imports = target.is_none() && self.importing.contains_key(&slot);
        if (target.is_some() || imports) && request.migrates {
            return Route::Here;
        }
        if (target.is_some() || (imports && request.asking)) && !request.shard_channels {
            let Presence { here, missing, several } = presence();
            match target {
                Some(_) if missing > 0 && here > 0 => return Route::Refused(TRY_AGAIN),
                Some(target) if missing > 0 => {
                    let (host, port) = self.client_endpoint(*target);
                    return Route::Ask { slot, host, port };
                }
                None if several && missing > 0 => return Route::Refused(TRY_AGAIN),
                _ => return Route::Here,
            }
        }
        let by_replica = (request.readonly || request.shard_channels)
            && !request.writes
            && self.i_am_replica()
            && self.me().master == Some(owner);
        if mine || by_replica || (imports && request.asking) {
            return Route::Here;
        }
        let (host, port) = self.client_endpoint(owner);
        Route::Moved { slot, host, port }
    }

    /// The error or redirection for a blocked client that waits for keys in a slot, if this node
    /// does not serve it any more. `readonly`: a replica may serve it.
    pub fn error_for_blocked_client(&self, slot: Slot, readonly: bool) -> Option<Route> {
        if !self.up {
            return Some(Route::Refused(DOWN));
        }
        let request = Request { readonly, asking: true, ..Request::default() };
        let route = self.route(slot, request, || Presence { here: 1, ..Presence::default() });
        (route != Route::Here).then_some(route)
    }

    /// Whether this node, as primary or replica, serves the slot of a sharded channel.
    pub fn serves_channel(&self, slot: Slot) -> bool {
        let owner = self.owners[usize::from(slot)];
        owner != UNOWNED && owner == self.my_claimant()
    }

    /// Whether this node considers the cluster to be up.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether this node owns a slot.
    pub fn owns(&self, slot: Slot) -> bool {
        self.owners[usize::from(slot)] == self.myself
    }

    /// The ID of a slot's owner.
    pub fn owner_of(&self, slot: Slot) -> Option<NodeId> {
        self.owner(slot).map(|owner| self.nodes[owner].id)
    }

    /// The host and the port of a node that clients are given.
    fn client_endpoint(&self, node: NodeRef) -> (String, u16) {
        let node = &self.nodes[node];
        (endpoint(self.settings.preferred_endpoint, &node.ip, &node.hostname), node.port)
    }
}

/// The host of a node that clients are given; see `cluster-preferred-endpoint-type`.
pub(super) fn endpoint(kind: PreferredEndpoint, ip: &str, hostname: &str) -> String {
    match kind {
        PreferredEndpoint::Ip => ip.to_owned(),
        PreferredEndpoint::Hostname if hostname.is_empty() => "?".to_owned(),
        PreferredEndpoint::Hostname => hostname.to_owned(),
        PreferredEndpoint::Unknown => String::new(),
    }
}
