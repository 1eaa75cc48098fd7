//! The ledger: every write that was acknowledged to a client of the World, and which servers hold
//! it.
//!
//! Nothing is stored here. Clients remember which writes were acknowledged (see
//! `limpid_core::client::Marks` and `limpid_core::lab::Writes`); what servers hold is looked up in
//! their keyspaces. Both are part of the World, so the ledger is right after a rewind, too.

use limpid_core::client::marks::has_bit;
use limpid_core::lab::{ClusterTraffic, Kept, Terminal, Traffic};
use limpid_core::machine::Endpoint;
use limpid_core::server::Server;
use limpid_core::sharding::Slot;
use limpid_core::sorted::{SortedMap, SortedSet, sort_by_key};
use limpid_core::store::{StringRef, ValueRef};

use crate::cluster::Member;
use crate::lab::Lab;
use crate::units::BodyId;
use crate::whole::IS_WHOLE;

/// The ledger at one moment.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Ledger {
    /// Totals of all writers.
    pub sum: Sums,
    /// Each writer with its totals.
    pub writers: Vec<(String, Sums)>,
    /// The servers, in the order of [`Row::held`].
    pub servers: Vec<BodyId>,
    /// The latest writes: lost ones first, then newest first.
    pub rows: Vec<Row>,
}

/// Totals of writes, by how many servers hold them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Sums {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Held by every server of the shard.
    pub everywhere: u64,
    /// Held by several servers of the shard, but not by all.
    pub several: u64,
    /// Held by one server only.
    pub single: u64,
    /// Held by no running server.
    pub lost: u64,
}

/// A write.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    /// An id that is unique in the ledger.
    pub id: String,
    /// The writer's name.
    pub who: String,
    /// The write, in short.
    pub what: String,
    /// When it was acknowledged, in nanoseconds, if that is known.
    pub at: Option<u64>,
    /// For each server, whether it holds the write.
    pub held: Vec<Held>,
    /// Whether no running server holds it.
    pub lost: bool,
}

/// Whether a server holds a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Held {
    /// The server holds the write.
    Yes,
    /// The server does not hold it.
    No,
    /// The key was overwritten since.
    Overwritten,
    /// The server does not run, so this is unknown.
    Down,
    /// It belongs to another shard.
    Apart,
}

impl Held {
    /// Its name in styles and tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Held::Yes => "yes",
            Held::No => "no",
            Held::Overwritten => "over",
            Held::Down => "down",
            Held::Apart => "apart",
        }
    }
}

/// The most lost writes, and the most latest writes of each writer, that are listed.
const LISTED: usize = 12;
/// The most rows that are shown in total.
const ROWS: usize = 60;

impl Sums {
    fn add(&mut self, other: Sums) {
        self.acknowledged += other.acknowledged;
        self.everywhere += other.everywhere;
        self.several += other.several;
        self.single += other.single;
        self.lost += other.lost;
    }

    fn count(&mut self, held: u32, of: usize) {
        self.acknowledged += 1;
        *match held {
            0 => &mut self.lost,
            n if n as usize == of => &mut self.everywhere,
            1 => &mut self.single,
            _ => &mut self.several,
        } += 1;
    }
}

impl Lab {
    /// Builds the ledger of the present moment.
    pub(crate) fn ledger(&self) -> Ledger {
        let servers: Vec<BodyId> = self.units().servers().map(|unit| unit.id).collect();
        let shards: SortedMap<BodyId, usize> =
            servers.iter().map(|&server| (server, self.shard(server))).collect();
        let mut ledger = Ledger { servers: servers.clone(), ..Ledger::default() };
        for unit in self.units().iter() {
            let Some(traffic) = self.machine::<Traffic>(unit).map(Traffic::client) else {
                continue;
            };
            let Some(key) = &traffic.config().marks else { continue };
            let Endpoint::Ip(at) = &traffic.config().target else { continue };
            let Some(target) = self.units().at_address(at.ip(), at.port()) else { continue };
            let strings: Vec<Option<Option<&[u8]>>> = servers
                .iter()
                .map(|&server| {
                    if shards.get(&server) != shards.get(&target) {
                        return None;
                    }
                    let server = self.server(server);
                    Some(server.map(|server| match server.keyspace().peek(0, key.as_bytes()) {
                        None => &[][..],
                        Some(entry) => match entry.value() {
                            ValueRef::String(StringRef::Bytes(bytes)) => bytes,
                            _ => &[],
                        },
                    }))
                })
                .collect();
            let marks = traffic.marks();
            let mut sums = Sums::default();
            // A server that does not run cannot be asked; "everywhere" needs all of the shard.
            let members = strings.iter().flatten().count();
            let mut lost = Vec::new();
            for (at, &acknowledged) in marks.acknowledged.iter().enumerate() {
                let bytes = || {
                    strings.iter().flatten().flatten().map(move |b| b.get(at).copied().unwrap_or(0))
                };
                let everywhere = bytes().fold(acknowledged, |all, byte| all & byte);
                // The usual case: all servers hold the eight writes of a byte.
                if everywhere == acknowledged && bytes().count() == members {
                    let n = u64::from(acknowledged.count_ones());
                    sums.add(Sums { acknowledged: n, everywhere: n, ..Sums::default() });
                    continue;
                }
                for bit in (0..8).filter(|bit| acknowledged & (0x80 >> bit) != 0) {
                    let held = bytes().filter(|byte| byte & (0x80 >> bit) != 0).count() as u32;
                    sums.count(held, members);
                    if held == 0 {
                        lost.push(at as u64 * 8 + bit);
                    }
                }
            }
            let row = |number: u64, at: Option<u64>| {
                let held: Vec<Held> = strings
                    .iter()
                    .map(|string| match string {
                        None => Held::Apart,
                        Some(None) => Held::Down,
                        Some(Some(bytes)) if has_bit(bytes, number) => Held::Yes,
                        Some(Some(_)) => Held::No,
                    })
                    .collect();
                Row {
                    id: format!("{} {number}", unit.name),
                    who: unit.name.clone(),
                    what: format!("#{number}"),
                    at,
                    lost: !held.contains(&Held::Yes),
                    held,
                }
            };
            let time = |number: u64| {
                let known = marks.latest.iter().rev().find(|(known, _)| *known == number);
                known.map(|(_, at)| at.0)
            };
            let latest = marks.latest.iter().rev().take(LISTED);
            let numbers: SortedSet<u64> = lost
                .iter()
                .rev()
                .take(LISTED)
                .copied()
                .chain(latest.map(|(number, _)| *number))
                .collect();
            ledger.rows.extend(numbers.into_iter().map(|number| row(number, time(number))));
            ledger.sum.add(sums);
            ledger.writers.push((unit.name.clone(), sums));
        }
        if IS_WHOLE {
            self.add_cluster_clients(&mut ledger, &shards);
        }
        self.add_terminals(&mut ledger, &shards);
        sort_by_key(&mut ledger.rows, |row| (!row.lost, core::cmp::Reverse(row.at)));
        ledger.rows.truncate(ROWS);
        ledger
    }

    /// Adds the writes of cluster clients: for each key the latest acknowledged one. A write that a
    /// client found to be missing when it read the key is lost for good.
    fn add_cluster_clients(&self, ledger: &mut Ledger, shards: &SortedMap<BodyId, usize>) {
        let members = self.members();
        for unit in self.units().iter() {
            let Some(client) = self.machine::<ClusterTraffic>(unit).map(ClusterTraffic::client)
            else {
                continue;
            };
            let gone = client.stats().gone;
            let mut sums = Sums { acknowledged: gone, lost: gone, ..Sums::default() };
            let mut rows = Vec::new();
            for (key, number) in client.acknowledged() {
                let owner = self.slot_owner(&members, Slot::of(key.as_bytes()));
                let shard = owner.and_then(|owner| shards.get(&owner));
                let held: Vec<Held> = ledger
                    .servers
                    .iter()
                    .map(|server| match self.server(*server) {
                        // While a slot migrates, a key may be on the target before the slot is.
                        Some(server) if last_write(server, &key) >= Some(number) => Held::Yes,
                        _ if shards.get(server) != shard => Held::Apart,
                        Some(_) => Held::No,
                        None => Held::Down,
                    })
                    .collect();
                let count = |what| held.iter().filter(|&&held| held == what).count();
                let (holders, members) = (count(Held::Yes), held.len() - count(Held::Apart));
                sums.count(holders as u32, members);
                let (who, what) = (unit.name.clone(), format!("{key}={number}"));
                let row = Row { id: key, who, what, at: None, lost: holders == 0, held };
                rows.push((holders == members, row));
            }
            if sums.acknowledged > 0 {
                // Writes that not all servers hold come first.
                sort_by_key(&mut rows, |(everywhere, row)| (!row.lost, *everywhere));
                ledger.rows.extend(rows.into_iter().take(LISTED).map(|(_, row)| row));
                ledger.sum.add(sums);
                ledger.writers.push((unit.name.clone(), sums));
            }
        }
    }

    /// The running node that owns a slot; if there is none, the one that others know as its owner.
    fn slot_owner(&self, members: &[Member<'_>], slot: Slot) -> Option<BodyId> {
        let owns = |member: &&Member<'_>| {
            member.server.cluster().is_some_and(|cluster| cluster.my_slots().contains(slot))
        };
        let owner = members.iter().filter(owns).max_by_key(|member| member.summary.config_epoch);
        owner.map(|member| member.unit.id).or_else(|| {
            let known = |member: &Member<'_>| member.server.cluster()?.owner_of(slot);
            self.node_named(members, members.iter().find_map(known)?)
        })
    }

    /// Adds the writes that were typed into terminals.
    fn add_terminals(&self, ledger: &mut Ledger, shards: &SortedMap<BodyId, usize>) {
        let scenario = self.world().scenario();
        // If several terminals wrote to the same key, the last write counts.
        let mut latest: SortedMap<(usize, usize, &[u8]), u64> = SortedMap::new();
        let terminals = || {
            self.world().procs().filter_map(|proc| {
                Some((proc.name, self.world().machine::<Terminal>(proc.id)?.writes()))
            })
        };
        let shard_of = |place: &(String, u16)| {
            let server = self.units().at(scenario, &place.0, place.1)?;
            shards.get(&server).copied()
        };
        for (_, writes) in terminals() {
            for write in writes.list.iter().filter(|write| !write.replaced) {
                let Some(shard) = shard_of(&write.server) else { continue };
                let at = latest.get_or_default((shard, write.db, &write.key));
                *at = (*at).max(write.at.0);
            }
        }
        for (name, writes) in terminals() {
            let who = name.strip_prefix("cli-").unwrap_or(name);
            let mut sums = Sums::default();
            for write in writes.list.iter().filter(|write| !write.replaced) {
                let Some(shard) = shard_of(&write.server) else { continue };
                if latest.get(&(shard, write.db, &write.key)).is_some_and(|&at| at > write.at.0) {
                    continue;
                }
                let held: Vec<Held> = ledger
                    .servers
                    .iter()
                    .map(|server| match self.server(*server) {
                        _ if shards.get(server) != Some(&shard) => Held::Apart,
                        None => Held::Down,
                        Some(server) => match writes.kept(server, write) {
                            Kept::Yes => Held::Yes,
                            Kept::No => Held::No,
                            Kept::Overwritten => Held::Overwritten,
                        },
                    })
                    .collect();
                // After another client's write to the key, nothing is known of this one.
                if held.contains(&Held::Overwritten) {
                    continue;
                }
                let count = |what| held.iter().filter(|&&held| held == what).count();
                let members = held.len() - count(Held::Apart);
                sums.count(count(Held::Yes) as u32, members);
                ledger.rows.push(Row {
                    id: format!("{name} {} {}", write.number, String::from_utf8_lossy(&write.key)),
                    who: who.to_owned(),
                    what: write.line.clone(),
                    at: Some(write.at.0),
                    lost: count(Held::Yes) == 0,
                    held,
                });
            }
            if sums.acknowledged > 0 {
                ledger.sum.add(sums);
                ledger.writers.push((who.to_owned(), sums));
            }
        }
    }
}

/// The number of the write whose value a server has for a key of a cluster client.
fn last_write(server: &Server, key: &str) -> Option<u64> {
    match server.keyspace().peek(0, key.as_bytes())?.value() {
        ValueRef::String(StringRef::Bytes(bytes)) => {
            core::str::from_utf8(bytes).ok()?.strip_prefix(key)?.strip_prefix('=')?.parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use limpid_core::sim::Future;

    use super::*;
    use crate::topology::Topology;

    fn act(lab: &mut Lab, line: &str) {
        lab.act(line.parse().expect(line), Future::Discard).unwrap_or_else(|e| panic!("{e}"));
    }

    fn run(lab: &mut Lab, ms: u64) {
        let until = lab.now() + Duration::from_millis(ms).as_nanos() as u64;
        lab.run_until(until, u64::MAX);
    }

    #[test]
    fn a_write_that_no_replica_has_is_lost_with_its_primary_until_the_past_comes_back() {
        let mut lab = Lab::fresh(Topology::named("replicas-2").expect("a topology"));
        run(&mut lab, 2_000);
        let calm = lab.ledger();
        assert!(calm.sum.acknowledged > 10, "{:?}", calm.sum);
        assert_eq!(calm.sum.lost, 0);
        assert!(calm.sum.everywhere > 0, "{:?}", calm.sum);
        act(&mut lab, "partition redis-1 | redis-2,redis-3");
        act(&mut lab, "type cli-redis-1 SET only here");
        run(&mut lab, 300);
        let before = lab.now();
        let alone = lab.ledger();
        assert!(alone.sum.single > 1, "{:?}", alone.sum);
        let row = |ledger: &Ledger| ledger.rows.iter().find(|r| r.what.contains("only")).cloned();
        let typed = row(&alone).expect("what was typed");
        assert_eq!(typed.held, [Held::Yes, Held::No, Held::No]);
        act(&mut lab, "crash redis-1");
        let crashed = lab.ledger();
        assert_eq!(crashed.sum.lost, alone.sum.single, "{:?}", crashed.sum);
        assert_eq!(row(&crashed).expect("it").held, [Held::Down, Held::No, Held::No]);
        assert!(crashed.rows[0].lost);
        // A rewind to the crash includes it.
        lab.seek(before - 1);
        assert_eq!(lab.ledger().rows, alone.rows);
    }

    #[cfg(feature = "whole")]
    #[test]
    fn what_clients_of_a_cluster_wrote_is_held_by_the_shard_of_its_slot() {
        let mut lab = Lab::fresh(Topology::named("cluster-6").expect("a topology"));
        run(&mut lab, 5_000);
        let calm = lab.ledger();
        let names: Vec<&str> = calm.writers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["app-1", "plain-1"]);
        assert!(calm.sum.acknowledged > 20, "{:?}", calm.sum);
        assert_eq!(calm.sum.lost, 0, "{:?}", calm.sum);
        assert!(calm.sum.everywhere > calm.sum.acknowledged / 2, "{:?}", calm.sum);
        for row in &calm.rows {
            let members = row.held.iter().filter(|held| **held != Held::Apart).count();
            assert_eq!(members, 2, "a primary and its replica: {row:?}");
        }
        // With both down, no running server has their writes.
        act(&mut lab, "crash node-1");
        act(&mut lab, "crash node-4");
        let crashed = lab.ledger();
        assert!(crashed.sum.lost > 5, "{:?}", crashed.sum);
        assert_eq!(crashed.sum.acknowledged, calm.sum.acknowledged);
        assert!(crashed.rows[0].lost && crashed.rows[0].held.contains(&Held::Down));
    }
}
