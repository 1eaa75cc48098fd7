//! Where a command belongs: here, or at the owner of its keys' slot.

use super::{Cluster, NodeId, PreferredEndpoint, Ref, UNOWNED};
use crate::sharding::Slot;

/// What decides about the place of a command besides its keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Whether it writes.
    pub writes: bool,
    /// Whether the client has said `READONLY`.
    pub readonly: bool,
    /// Whether the client has said `ASKING`, or the command says it by itself.
    pub asking: bool,
    /// Whether the keys are sharded channels.
    pub shard_channels: bool,
    /// Whether it is `MIGRATE`, which moves what is on its way.
    pub migrates: bool,
}

/// Which of a command's keys are here. Asked only of slots that are on their way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presence {
    /// Keys that are here.
    pub here: usize,
    /// Keys that are not.
    pub missing: usize,
    /// Whether there are several different keys.
    pub several: bool,
}

/// Where a command belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Here.
    Here,
    /// Nowhere: the error to answer, with its code.
    Refused(&'static str),
    /// At another node, for good.
    Moved {
        /// The slot.
        slot: Slot,
        /// The node's name or address, as clients are told; may be empty.
        host: String,
        /// Its port.
        port: u16,
    },
    /// At another node, this once.
    Ask {
        /// The slot.
        slot: Slot,
        /// The node's name or address, as clients are told; may be empty.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// Keys of one command are in several slots.
const CROSS_SLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";
const UNBOUND: &str = "CLUSTERDOWN Hash slot not served";
const DOWN: &str = "CLUSTERDOWN The cluster is down";
const DOWN_READS: &str = "CLUSTERDOWN The cluster is down and only accepts read commands";
const TRY_AGAIN: &str = "TRYAGAIN Multiple keys request during rehashing of slot";

impl Cluster {
    /// Whether every command on a slot is carried out here: what is asked of every command, and true
    /// of nearly all.
    #[inline]
    pub fn serves(&self, slot: Slot) -> bool {
        self.up
            && self.owners[usize::from(slot)] == self.myself
            && self.migrating.is_empty()
            && self.importing.is_empty()
            && self.closed.is_none()
    }

    /// The one slot of a command's keys, or the error that there are several; `None` without keys.
    pub fn slot_of<'k>(mut keys: impl Iterator<Item = &'k [u8]>) -> Result<Option<Slot>, Route> {
        let Some(slot) = keys.next().map(Slot::of) else { return Ok(None) };
        match keys.all(|key| Slot::of(key) == slot) {
            true => Ok(Some(slot)),
            false => Err(Route::Refused(CROSS_SLOT)),
        }
    }

    /// Why a command is refused whose keys are in several slots: that nobody serves the first is told
    /// before that.
    pub fn refusal_of(&self, first: &[u8], several: Route) -> Route {
        match self.owner(Slot::of(first)) {
            None => Route::Refused(UNBOUND),
            Some(_) => several,
        }
    }

    /// Where a command belongs whose keys are all in one slot. `presence` looks for the keys.
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
                    let (host, port) = self.told(*target);
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
        let (host, port) = self.told(owner);
        Route::Moved { slot, host, port }
    }

    /// What a client that waits for keys in a slot is to be told, if it waits in vain: `readonly` is
    /// whether a replica may serve it.
    pub fn evicts_waiting(&self, slot: Slot, readonly: bool) -> Option<Route> {
        if !self.up {
            return Some(Route::Refused(DOWN));
        }
        let request = Request { readonly, asking: true, ..Request::default() };
        let route = self.route(slot, request, || Presence { here: 1, ..Presence::default() });
        (route != Route::Here).then_some(route)
    }

    /// Whether this node serves a sharded channel's slot, as primary or as replica.
    pub fn serves_channel(&self, slot: Slot) -> bool {
        let owner = self.owners[usize::from(slot)];
        owner != UNOWNED && owner == self.my_claimant()
    }

    /// Whether the cluster is up in the eyes of this node.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether this node owns a slot.
    pub fn owns(&self, slot: Slot) -> bool {
        self.owners[usize::from(slot)] == self.myself
    }

    /// The name of the owner of a slot.
    pub fn owner_of(&self, slot: Slot) -> Option<NodeId> {
        self.owner(slot).map(|owner| self.nodes[owner].id)
    }

    /// Name or address, and port, of a node, as clients are told.
    fn told(&self, node: Ref) -> (String, u16) {
        let node = &self.nodes[node];
        (endpoint(self.settings.preferred_endpoint, &node.ip, &node.hostname), node.port)
    }
}

/// The name or address under which clients are told of a node.
pub(super) fn endpoint(kind: PreferredEndpoint, ip: &str, hostname: &str) -> String {
    match kind {
        PreferredEndpoint::Ip => ip.to_owned(),
        PreferredEndpoint::Hostname if hostname.is_empty() => "?".to_owned(),
        PreferredEndpoint::Hostname => hostname.to_owned(),
        PreferredEndpoint::Unknown => String::new(),
    }
}
