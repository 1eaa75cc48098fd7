//! The state of a cluster as plain data for the page, read from its nodes: slot owners, migrating
//! slots, and what the nodes believe about each other.

use limpid_core::cluster::NodeId;
use limpid_core::cluster::state::ClusterSummary;
use limpid_core::server::Server;
use limpid_core::sharding::Slot;
use limpid_core::sim::HostId;

use crate::lab::Lab;
use crate::scene::Judgement;
use crate::topology::Group;
use crate::units::{BodyId, Unit};
use crate::whole::IS_WHOLE;

/// The circle of slots at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Circle {
    /// Ranges of slots that have an owner, in their order.
    pub claims: Vec<Claim>,
    /// Slots that are migrating from one node to another.
    pub moving: Vec<Moving>,
}

/// A range of slots with their owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Claim {
    /// The first slot.
    pub first: u16,
    /// The last slot.
    pub last: u16,
    /// The node that claims them with the highest config epoch.
    pub owner: BodyId,
    /// Whether that node runs.
    pub served: bool,
    /// Another node that claims them, too, because it does not know of the owner yet.
    pub rival: Option<BodyId>,
}

/// A slot that migrates from one node to another, key by key or as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moving {
    /// The slot.
    pub slot: u16,
    /// The node that it leaves.
    pub from: BodyId,
    /// The node that it goes to.
    pub to: BodyId,
    /// The fraction that has arrived, from 0 to 1.
    pub part: f64,
}

impl PartialEq for Moving {
    fn eq(&self, other: &Self) -> bool {
        let plain = |cell: &Moving| (cell.slot, cell.from, cell.to, cell.part.to_bits());
        plain(self) == plain(other)
    }
}

impl Eq for Moving {}

/// A running node of a cluster.
pub(crate) struct Member<'a> {
    /// Its unit.
    pub unit: &'a Unit,
    /// The server.
    pub server: &'a Server,
    /// What it holds of the cluster.
    pub summary: ClusterSummary,
}

impl Circle {
    /// How many slots are served by a running node.
    pub(crate) fn served(&self) -> u16 {
        self.claims
            .iter()
            .filter(|claim| claim.served)
            .map(|claim| claim.last - claim.first + 1)
            .sum()
    }

    /// The range that contains a slot.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Claim> {
        self.claims.iter().find(|claim| (claim.first..=claim.last).contains(&slot))
    }
}

impl Lab {
    /// The running nodes of clusters.
    pub(crate) fn members(&self) -> Vec<Member<'_>> {
        if !IS_WHOLE {
            return Vec::new();
        }
        let members = self.units().servers().filter_map(|unit| {
            let server = self.server(unit.id)?;
            Some(Member { unit, server, summary: server.cluster()?.summary() })
        });
        members.collect()
    }

    /// The body of a node by its node id.
    pub(crate) fn node_named(&self, members: &[Member<'_>], id: NodeId) -> Option<BodyId> {
        let running = members.iter().find(|member| member.summary.id == id);
        running.map(|member| member.unit.id).or_else(|| {
            // The node does not run, but others know its last address.
            let views =
                members.iter().filter_map(|member| member.server.cluster()?.node_view_of(id));
            views
                .filter_map(|view| self.units().at_address(view.ip.parse().ok()?, view.port))
                .next()
        })
    }

    /// What the nodes of a cluster believe about one of them (PFAIL, FAIL).
    pub(crate) fn judged_by(&self, members: &[Member<'_>], body: BodyId) -> Option<Judgement> {
        let id = match members.iter().find(|member| member.unit.id == body) {
            Some(member) => member.summary.id,
            None => {
                // It does not run: by its address.
                let down = members.iter().flat_map(|member| &member.summary.down);
                down.map(|(id, _)| *id).find(|&id| self.node_named(members, id) == Some(body))?
            }
        };
        Some(judgement(members, id))
    }

    /// Tells, by a unit's index in the list, whether the links on which it gossips are left out:
    /// they are in large clusters.
    pub(crate) fn gossips(&self) -> impl Fn(usize) -> bool {
        /// With more servers than this, links for gossip are not drawn.
        const MANY: usize = 14;
        let members: Vec<bool> = match self.units().servers().count() > MANY {
            true => self
                .units()
                .iter()
                .map(|unit| self.server(unit.id).is_some_and(|server| server.cluster().is_some()))
                .collect(),
            false => Vec::new(),
        };
        move |place| members.get(place).copied().unwrap_or_default()
    }

    /// The index of a host's unit in the list, if the host has only one.
    pub(crate) fn alone(&self, host: HostId) -> Option<usize> {
        let place = self.units().place_of_host(host)?;
        self.units().nth(place).filter(|unit| !unit.shares).map(|_| place)
    }

    /// The circle of slots, if the topology is that of a cluster.
    pub(crate) fn circle(&self, members: &[Member<'_>]) -> Option<Circle> {
        // Other layouts have no room for it.
        if self.topology().group() != Group::Cluster {
            return None;
        }
        if members.is_empty() {
            return None;
        }
        let mut slots = vec![Claims::default(); usize::from(Slot::COUNT)];
        let bodies: Vec<BodyId> = members.iter().map(|member| member.unit.id).collect();
        for (place, member) in (0..).zip(members) {
            let Some(cluster) = member.server.cluster() else { continue };
            for (first, last) in cluster.my_slots().ranges() {
                let range = usize::from(first.number())..=usize::from(last.number());
                for claims in slots.get_mut(range).into_iter().flatten() {
                    claims.add(member.summary.config_epoch, place);
                }
            }
        }
        let mut circle =
            Circle { claims: self.claims(members, &slots, &bodies), moving: Vec::new() };
        for member in members {
            let Some(cluster) = member.server.cluster() else { continue };
            // The slot migrates key by key, or as a whole.
            let open = cluster.open_slot_views().into_iter().filter(|(_, gives, _)| *gives);
            let open = open.map(|(slot, _, other)| (slot, other));
            let whole = member.server.leaving_slots();
            let whole = whole.into_iter().map(|moving| (moving.slot, moving.target));
            for (slot, other) in open.chain(whole) {
                let Some(to) = self.node_named(members, other) else { continue };
                let keys = |server: Option<&Server>| {
                    server.map_or(0, |server| server.keyspace().count_in_slot(slot))
                };
                let (here, there) = (keys(Some(member.server)), keys(self.server(to)));
                let part = there as f64 / (here + there).max(1) as f64;
                circle.moving.push(Moving { slot: slot.number(), from: member.unit.id, to, part });
            }
        }
        Some(circle)
    }

    /// Ranges of slots with the same owner. Of slots that no running node claims, the owner is the
    /// one that the node which knows the most others remembers.
    fn claims(&self, members: &[Member<'_>], slots: &[Claims], bodies: &[BodyId]) -> Vec<Claim> {
        let remembered = members.iter().max_by_key(|member| member.summary.known);
        let ranges = match slots.iter().any(|claims| claims.best.is_none()) {
            true => remembered.and_then(|member| Some(member.server.cluster()?.slot_ranges())),
            false => None,
        };
        let absent: Vec<(u16, u16, BodyId)> = ranges
            .into_iter()
            .flatten()
            .filter(|range| members.iter().all(|member| member.summary.id != range.owner))
            .filter_map(|range| {
                Some((range.first, range.last, self.node_named(members, range.owner)?))
            })
            .collect();
        let body = |place: u16| bodies.get(usize::from(place)).copied();
        let mut out: Vec<Claim> = Vec::new();
        for (number, claims) in (0..).zip(slots) {
            let (owner, served) = match claims.best.and_then(|(_, place)| body(place)) {
                Some(owner) => (owner, true),
                None => {
                    match absent.iter().find(|(first, last, _)| (*first..=*last).contains(&number))
                    {
                        Some((_, _, owner)) => (*owner, false),
                        None => continue,
                    }
                }
            };
            let rival = claims.rival.and_then(body);
            match out.last_mut() {
                Some(last)
                    if last.last + 1 == number
                        && (last.owner, last.served, last.rival) == (owner, served, rival) =>
                {
                    last.last = number;
                }
                _ => out.push(Claim { first: number, last: number, owner, served, rival }),
            }
        }
        out
    }
}

/// The nodes that claim one slot, by their indexes in the list of members.
#[derive(Clone, Default)]
struct Claims {
    /// The highest epoch, and the node that claims the slot with it.
    best: Option<(u64, u16)>,
    /// Another node that claims the slot.
    rival: Option<u16>,
}

impl Claims {
    fn add(&mut self, epoch: u64, place: u16) {
        match self.best {
            Some((best, _)) if best >= epoch => self.rival = Some(place),
            before => {
                self.rival = before.map(|(_, place)| place);
                self.best = Some((epoch, place));
            }
        }
    }
}

/// The beliefs of all running nodes about one of them, taken together.
fn judgement(members: &[Member<'_>], id: NodeId) -> Judgement {
    let others = members.iter().filter(|member| member.summary.id != id);
    let verdict = |member: &Member<'_>| {
        member.summary.down.iter().find(|(node, _)| *node == id).map(|(_, failed)| *failed)
    };
    Judgement {
        watched_by: others.clone().filter(|member| member.summary.votes).count(),
        down_for: others
            .clone()
            .filter(|member| member.summary.votes && verdict(member).is_some())
            .count(),
        objectively: others.clone().any(|member| verdict(member) == Some(true)),
        in_cluster: true,
    }
}
