//! CLIENT TRACKING (server-assisted client-side caching): which client has read which key, and the
//! invalidations that it is sent when the key changes.
//!
//! The front knows keys only by name. A service that has keys reports those that have changed
//! ([`Front::invalidate`], [`Front::invalidate_all`]) and regularly calls
//! [`Front::send_broadcasts`] and [`Front::limit_tracking`]. Reads are recorded by the dispatch.

use std::collections::BTreeSet;

use hashbrown::HashTable;

use super::clients::{Tracking, TrackingMode};
use super::pubsub::Push;
use super::{Client, ClientState, CloseState, Command, Front, Service};
use crate::command::meta::flag;
use crate::command::{Group, find_keys};
use crate::resp::request::Args;
use crate::sorted::{SortedMap, SortedSet, sort_by_key};
use crate::store::hash::sip13;
use crate::time::Now;

/// How many keys are evicted from a table that exceeds its limit in one slice.
const LIMIT_SLICE: usize = 1_000;

/// The tracking table: keys and prefixes, with the clients that cache them.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrackingTable {
    /// Ids of the tracking clients, with their slots.
    clients: BTreeSet<(u64, u64)>,
    keys: TrackedKeys,
    /// Broadcasts by prefix.
    broadcasts: SortedMap<Box<[u8]>, Broadcast>,
    /// Whether keys with one of the prefixes have changed since the last broadcast.
    has_changes: bool,
    /// Invalidations for clients that were taken out of their slots when a key changed; no keys
    /// means all.
    queued: Vec<(u32, Vec<u8>)>,
}

/// A prefix of broadcasting mode (`BCAST`).
#[derive(Clone, Debug, Default)]
struct Broadcast {
    /// Ids of the clients that track it.
    clients: SortedSet<u64>,
    /// Keys that have changed since the last broadcast.
    changed: Vec<Changed>,
}

/// A changed key, and the id of the client that changed it; 0 if none did.
type Changed = (Box<[u8]>, u64);

impl TrackingTable {
    /// Whether no client uses tracking.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.clients.is_empty()
    }

    /// Number of tracking clients.
    pub(crate) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Number of remembered keys.
    pub(crate) fn keys(&self) -> usize {
        self.keys.entries.len()
    }

    /// Number of remembered reads: pairs of a key and a client.
    pub(crate) fn items(&self) -> u64 {
        self.keys.items
    }

    /// Number of prefixes.
    pub(crate) fn prefixes(&self) -> usize {
        self.broadcasts.len()
    }

    /// Whether a broadcast is due.
    #[inline]
    pub(crate) fn has_changes(&self) -> bool {
        self.has_changes
    }

    /// Whether more keys than `limit` are remembered; 0 is no limit.
    #[inline]
    pub(crate) fn exceeds(&self, limit: u64) -> bool {
        limit > 0 && self.keys() as u64 > limit
    }

    /// Adds a changed key to the broadcasts for its prefixes.
    fn note_change(&mut self, key: &[u8], by: u64) {
        for (prefix, broadcast) in self.broadcasts.iter_mut() {
            if key.starts_with(prefix) {
                broadcast.changed.push((key.into(), by));
                self.has_changes = true;
            }
        }
    }
}

/// Keys that clients have read, and for which no invalidation was sent since.
///
/// The entries are in a vector, so that random ones can be evicted when there are too many.
#[derive(Clone, Debug, Default)]
struct TrackedKeys {
    /// The key of the hash function, generated on first use.
    seed: Option<(u64, u64)>,
    entries: Vec<TrackedKey>,
    /// Indices of entries.
    index: HashTable<u32>,
    items: u64,
}

#[derive(Clone, Debug)]
struct TrackedKey {
    hash: u64,
    key: Box<[u8]>,
    /// Ids of the clients that have read it.
    clients: SortedSet<u64>,
}

impl TrackedKeys {
    fn hash(&self, key: &[u8]) -> u64 {
        let (k0, k1) = self.seed.unwrap_or_default();
        sip13(k0, k1, key)
    }

    /// Records that a client has read a key.
    fn insert(&mut self, key: &[u8], client: u64) {
        let hash = self.hash(key);
        let entries = &mut self.entries;
        let found = self.index.find(hash, |at| *entries[*at as usize].key == *key);
        let at = match found {
            Some(at) => *at as usize,
            None => {
                let at = entries.len();
                entries.push(TrackedKey { hash, key: key.into(), clients: SortedSet::new() });
                self.index.insert_unique(hash, at as u32, |at| entries[*at as usize].hash);
                at
            }
        };
        if entries[at].clients.insert(client) {
            self.items += 1;
        }
    }

    /// Removes a key. Returns the clients that have read it.
    fn remove(&mut self, key: &[u8]) -> Option<SortedSet<u64>> {
        let hash = self.hash(key);
        let entries = &self.entries;
        let found = self.index.find_entry(hash, |at| *entries[*at as usize].key == *key);
        let (at, _) = found.ok()?.remove();
        Some(self.take(at).clients)
    }

    /// Removes a random key.
    fn remove_any(&mut self, random: u64) -> Option<TrackedKey> {
        let at = random.checked_rem(self.entries.len() as u64)? as u32;
        let hash = self.entries[at as usize].hash;
        if let Ok(found) = self.index.find_entry(hash, |other| *other == at) {
            found.remove();
        }
        Some(self.take(at))
    }

    /// Removes an entry that is no longer in the index; the last one takes its place.
    fn take(&mut self, at: u32) -> TrackedKey {
        let last = (self.entries.len() - 1) as u32;
        let taken = self.entries.swap_remove(at as usize);
        if let Some(moved) = self.entries.get(at as usize)
            && let Some(place) = self.index.find_mut(moved.hash, |other| *other == last)
        {
            *place = at;
        }
        self.items -= taken.clients.len() as u64;
        taken
    }

    fn clear(&mut self) {
        *self = TrackedKeys { seed: self.seed, ..TrackedKeys::default() };
    }
}

impl<S: Service> Front<S> {
    /// Turns tracking on for a client, or changes its options.
    pub(crate) fn start_tracking(&mut self, client: &mut Client<S>, tracking: Tracking) {
        self.tracking.keys.seed.get_or_insert_with(|| (self.rng.u64(), self.rng.u64()));
        self.tracking.clients.insert((client.id, client.slot.into()));
        if let TrackingMode::Broadcast(prefixes) = &tracking.mode {
            for prefix in prefixes.iter() {
                self.tracking.broadcasts.get_or_default(prefix.clone()).clients.insert(client.id);
            }
        }
        client.tracking = Some(Box::new(tracking));
        S::tracking_changed(self);
    }

    /// Turns tracking off for a client, if it is on. Its reads stay recorded until the keys change
    /// or no client tracks any more: removing them now would need a scan of all keys.
    pub(crate) fn stop_tracking(&mut self, client: &mut Client<S>) {
        let Some(tracking) = client.tracking.take() else { return };
        self.tracking.clients.remove(&(client.id, client.slot.into()));
        if self.tracking.is_idle() {
            self.tracking.keys.clear();
        }
        if let TrackingMode::Broadcast(prefixes) = tracking.mode {
            for prefix in prefixes.iter() {
                if let Some(broadcast) = self.tracking.broadcasts.get_mut(prefix) {
                    broadcast.clients.remove(&client.id);
                    if broadcast.clients.is_empty() {
                        self.tracking.broadcasts.remove(prefix);
                    }
                }
            }
        }
        S::tracking_changed(self);
    }

    /// Records the keys that a command of a tracking client has read. For a script, the commands
    /// that it calls are recorded.
    #[cold]
    pub(crate) fn remember_read(
        &mut self,
        client: &Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
    ) {
        let remembers = client.tracking.as_deref().is_some_and(Tracking::remembers);
        let reads = command.meta.has(flag::READONLY)
            && !command.meta.has(flag::PUBSUB)
            && command.meta.group != Group::Scripting;
        if !remembers || !reads {
            return;
        }
        for (at, _) in find_keys::keys(command.meta, args).unwrap_or_default() {
            self.tracking.keys.insert(args.at(at), client.id);
        }
    }

    /// Resets CLIENT CACHING, which applies to one command or one transaction.
    pub(crate) fn end_caching_exception(
        &mut self,
        client: &mut Client<S>,
        command: &'static Command<S>,
    ) {
        if client.tracking.is_none()
            || client.state.in_transaction()
            || client.is_held()
            || command.name.starts_with("client|")
        {
            return;
        }
        if let Some(tracking) = client.tracking.as_deref_mut() {
            tracking.caching = false;
        }
    }

    /// Sends invalidations of `key` to the clients that have read it, and forgets their reads.
    /// `current` is the client that is being served; it is not the cause if the key changed
    /// `expired_or_evicted`.
    pub(crate) fn invalidate(
        &mut self,
        now: Now<'_>,
        mut current: Option<&mut Client<S>>,
        key: &[u8],
        expired_or_evicted: bool,
    ) {
        let at_work = current.as_deref().map_or(0, |client| client.id);
        self.tracking.note_change(key, if expired_or_evicted { 0 } else { at_work });
        if let Some(clients) = self.tracking.keys.remove(key) {
            self.invalidate_readers(now, &mut current, key, &clients);
        }
    }

    /// Sends invalidations to clients that have read a key.
    fn invalidate_readers(
        &mut self,
        now: Now<'_>,
        current: &mut Option<&mut Client<S>>,
        key: &[u8],
        readers: &SortedSet<u64>,
    ) {
        let keys = key_list([key]);
        for &id in readers.iter() {
            let Some(slot) = self.clients.by_id(id) else { continue };
            let tracking = match current.as_deref() {
                Some(client) if client.slot == slot => client.tracking.as_deref(),
                _ => self.clients.get(slot).and_then(|client| client.tracking.as_deref()),
            };
            let own = current.as_deref().is_some_and(|client| client.slot == slot);
            if tracking.is_some_and(|t| t.is_broadcast() || t.noloop && own) {
                continue;
            }
            self.send_invalidation(now, current, slot, &keys);
        }
    }

    /// Sends invalidations of all keys to all tracking clients.
    pub(crate) fn invalidate_all(&mut self, now: Now<'_>, mut current: Option<&mut Client<S>>) {
        self.tracking.keys.clear();
        let slots: Vec<u32> = self.tracking.clients.iter().map(|&(_, slot)| slot as u32).collect();
        for slot in slots {
            self.send_invalidation(now, &mut current, slot, &[]);
        }
    }

    /// Sends an invalidation of a list of keys, empty for all keys, to a tracking client or to its
    /// redirection target.
    fn send_invalidation(
        &mut self,
        now: Now<'_>,
        current: &mut Option<&mut Client<S>>,
        slot: u32,
        keys: &[u8],
    ) {
        let tracker = match current {
            Some(client) if client.slot == slot => &mut **client,
            _ => match self.clients.get_mut(slot) {
                Some(client) => client,
                None => return self.tracking.queued.push((slot, keys.to_vec())),
            },
        };
        let Some(tracking) = tracker.tracking.as_deref_mut() else { return };
        let Some(id) = tracking.redirect else {
            let push = Push::Invalidation { keys: keys.to_vec(), redirected: false };
            return self.deliver(now, current, slot, &push);
        };
        let receiver = self.clients.by_id(id).filter(|&slot| match current.as_deref() {
            Some(client) if client.slot == slot => client.close_state == CloseState::Open,
            _ => self.clients.get(slot).is_none_or(|client| client.close_state == CloseState::Open),
        });
        match receiver {
            Some(receiver) => {
                let push = Push::Invalidation { keys: keys.to_vec(), redirected: true };
                self.deliver(now, current, receiver, &push);
            }
            None => {
                let tracker = match current {
                    Some(client) if client.slot == slot => Some(&mut **client),
                    _ => self.clients.get_mut(slot),
                };
                if let Some(tracking) = tracker.and_then(|client| client.tracking.as_deref_mut()) {
                    tracking.broken = true;
                }
                self.deliver(now, current, slot, &Push::RedirectionBroken(id));
            }
        }
    }

    /// Delivers the invalidations that were queued for clients taken out of their slots.
    #[inline]
    pub(crate) fn deliver_queued_invalidations(&mut self, now: Now<'_>) {
        if !self.tracking.queued.is_empty() {
            for (slot, keys) in core::mem::take(&mut self.tracking.queued) {
                if self.clients.get(slot).is_some() {
                    self.send_invalidation(now, &mut None, slot, &keys);
                }
            }
        }
    }

    /// Sends the changed keys to clients in broadcasting mode: one message for each prefix.
    #[cold]
    pub(crate) fn send_broadcasts(&mut self, now: Now<'_>) {
        self.tracking.has_changes = false;
        let due: Vec<(SortedSet<u64>, Vec<Changed>)> = self
            .tracking
            .broadcasts
            .values_mut()
            .filter(|broadcast| !broadcast.changed.is_empty())
            .map(|broadcast| (broadcast.clients.clone(), core::mem::take(&mut broadcast.changed)))
            .collect();
        for (clients, mut changed) in due {
            sort_by_key(&mut changed, |(key, by)| (key.clone(), *by));
            changed.dedup();
            let all = keys_changed(&changed, None);
            for &id in clients.iter() {
                let Some(slot) = self.clients.by_id(id) else { continue };
                let client = self.clients.get(slot).and_then(|client| client.tracking.as_deref());
                match client.is_some_and(|tracking| tracking.noloop) {
                    false => self.send_invalidation(now, &mut None, slot, &all),
                    true => {
                        let keys = keys_changed(&changed, Some(id));
                        if !keys.is_empty() {
                            self.send_invalidation(now, &mut None, slot, &keys);
                        }
                    }
                }
            }
        }
    }

    /// Evicts random keys until no more than `limit` are left, or as many as one slice may. Their
    /// readers are sent invalidations, as if the keys had changed.
    #[cold]
    pub(crate) fn limit_tracking(
        &mut self,
        now: Now<'_>,
        mut current: Option<&mut Client<S>>,
        limit: u64,
    ) {
        for _ in 0..LIMIT_SLICE {
            if !self.tracking.exceeds(limit) {
                break;
            }
            let random = self.rng.u64();
            let Some(forgotten) = self.tracking.keys.remove_any(random) else { break };
            self.invalidate_readers(now, &mut current, &forgotten.key, &forgotten.clients);
        }
    }
}

/// The keys that a client other than `but` has changed; empty if there are none.
/// `changed` is sorted.
fn keys_changed(changed: &[Changed], but: Option<u64>) -> Vec<u8> {
    let mut keys: Vec<&[u8]> =
        changed.iter().filter(|(_, by)| Some(*by) != but).map(|(key, _)| &key[..]).collect();
    keys.dedup();
    if keys.is_empty() { Vec::new() } else { key_list(keys) }
}

/// An array of keys in the protocol.
fn key_list<'k>(keys: impl IntoIterator<Item = &'k [u8], IntoIter: ExactSizeIterator>) -> Vec<u8> {
    let keys = keys.into_iter();
    let mut bytes = format!("*{}\r\n", keys.len()).into_bytes();
    for key in keys {
        bytes.extend(format!("${}\r\n", key.len()).into_bytes());
        bytes.extend(key);
        bytes.extend(b"\r\n");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracked_keys_survive_the_removal_of_others() {
        let mut keys = TrackedKeys::default();
        let name = |n: u64| format!("key:{n}").into_bytes();
        for n in 0..1000 {
            keys.insert(&name(n), n % 7);
            keys.insert(&name(n), 7 + n % 2);
            keys.insert(&name(n), 7 + n % 2);
        }
        assert_eq!((keys.entries.len(), keys.items), (1000, 2000));
        let mut gone = SortedSet::new();
        for n in (0..1000).step_by(3) {
            let clients = keys.remove(&name(n)).expect("a remembered key");
            assert!(clients.contains(&(n % 7)) && clients.len() == 2);
            gone.insert(name(n));
        }
        for random in 0..100 {
            let taken = keys.remove_any(random * 7919).expect("one of many");
            assert!(gone.insert(taken.key.to_vec()), "taken twice");
        }
        for n in 0..1000 {
            assert_eq!(keys.remove(&name(n)).is_some(), !gone.contains(&name(n)), "{n}");
        }
        assert_eq!((keys.entries.len(), keys.index.len(), keys.items), (0, 0, 0));
        assert!(keys.remove_any(1).is_none());
    }
}
