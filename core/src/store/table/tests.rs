//! The guarantees of the table, compared with a simple model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::rng::Rng;

/// A test entry with a number, so that a change can be observed.
#[derive(Clone, Debug, PartialEq)]
struct Thing {
    key: Vec<u8>,
    value: u32,
}

impl Keyed for Thing {
    fn key(&self) -> &[u8] {
        &self.key
    }

    fn memory(&self) -> usize {
        self.key.len()
    }

    fn weight(&self) -> u8 {
        self.key.len() as u8
    }
}

/// A table and its model.
struct Pair {
    table: Table<Thing>,
    model: BTreeMap<Vec<u8>, u32>,
}

/// A random step. Keys are small numbers, so that steps collide.
#[derive(Clone, Debug)]
enum Step {
    /// Set these keys.
    Put(u16, u16),
    /// Remove these keys.
    Cut(u16, u16),
}

fn step() -> impl Strategy<Value = Step> {
    let run = prop_oneof![3 => 0u16..8, 2 => 0u16..200, 1 => 0u16..2_000];
    (any::<bool>(), 0u16..3_000, run).prop_map(|(put, from, count)| {
        if put { Step::Put(from, count) } else { Step::Cut(from, count) }
    })
}

fn name(number: u16) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

impl Pair {
    fn new(seed: u64) -> Self {
        Self { table: Table::new(HashSeed::new(seed, 7)), model: BTreeMap::new() }
    }

    fn put(&mut self, key: Vec<u8>, value: u32) {
        let hash = self.table.hash(&key);
        match self.table.find(hash, &key) {
            Some(slot) => self.table.change(slot, |thing| thing.value = value),
            None => self.table.insert(hash, Thing { key: key.clone(), value }),
        }
        self.model.insert(key, value);
    }

    fn cut(&mut self, key: &[u8]) {
        let hash = self.table.hash(key);
        let gone = self.table.find(hash, key).map(|slot| self.table.remove(slot).value);
        assert_eq!(gone, self.model.remove(key));
    }

    fn apply(&mut self, step: &Step, value: u32) {
        match *step {
            Step::Put(from, count) => (from..from + count).for_each(|n| self.put(name(n), value)),
            Step::Cut(from, count) => (from..from + count).for_each(|n| self.cut(&name(n))),
        }
    }

    fn check(&self) {
        assert_eq!(self.table.len(), self.model.len());
        assert_eq!(self.table.iter().count(), self.model.len());
        for (key, value) in &self.model {
            let slot = self.table.find(self.table.hash(key), key).expect("it is there");
            assert_eq!(self.table.get(slot).value, *value);
        }
        let keys = self.model.keys().map(Vec::as_slice);
        Table::prefetch(keys, |key| self.table.hash(key), |_| Some(&self.table));
        // The accounting equals a fresh count.
        let payload: usize = self.model.keys().map(Vec::len).sum();
        let places = self.table.chunks.iter().flatten().map(|b| b.memory() + BUCKET_BYTES);
        assert_eq!(self.table.memory(), payload + places.sum::<usize>());
        // Neither overfull nor mostly empty.
        let (len, buckets) = (self.table.len(), self.table.buckets());
        assert!(len <= buckets * SPLIT_LOAD);
        assert!(buckets <= 1 || len >= (buckets - 1) * MERGE_LOAD - 1, "{len} in {buckets}");
    }
}

proptest! {
    #[test]
    fn it_is_a_map(seed: u64, steps in prop::collection::vec(step(), 1..40)) {
        let mut pair = Pair::new(seed);
        for (number, step) in steps.iter().enumerate() {
            pair.apply(step, number as u32);
        }
        pair.check();
        (0..5_000).for_each(|n| pair.cut(&name(n)));
        prop_assert_eq!(pair.table.memory(), 0);
    }

    #[test]
    fn a_scan_sees_once_what_is_there_all_the_time(
        seed: u64,
        start in prop::collection::vec(step(), 1..10),
        steps in prop::collection::vec((step(), 1usize..300), 0..60),
    ) {
        let mut pair = Pair::new(seed);
        start.iter().for_each(|step| pair.apply(step, 0));
        let mut always: BTreeSet<_> = pair.model.keys().cloned().collect();
        let mut ever = always.clone();
        let mut seen = BTreeMap::<Vec<u8>, u32>::new();
        let (mut cursor, mut changes) = (0, steps.iter());
        loop {
            let (step, count) = match changes.next() {
                Some((step, count)) => (Some(step), *count),
                None => (None, 50),
            };
            cursor = pair.table.scan(cursor, count, |thing| {
                *seen.entry(thing.key.clone()).or_default() += 1;
            });
            prop_assert!(cursor < 1 << 48);
            if cursor == 0 {
                break;
            }
            if let Some(step) = step {
                pair.apply(step, 1);
                always.retain(|key| pair.model.contains_key(key));
                ever.extend(pair.model.keys().cloned());
            }
        }
        for key in &always {
            prop_assert_eq!(seen.get(key), Some(&1));
        }
        prop_assert!(seen.iter().all(|(key, &times)| times == 1 && ever.contains(key)));
    }

    #[test]
    fn a_snapshot_is_what_was_there_when_it_began(
        seed: u64,
        start in prop::collection::vec(step(), 0..10),
        steps in prop::collection::vec((step(), 1usize..300), 0..60),
    ) {
        let mut pair = Pair::new(seed);
        start.iter().enumerate().for_each(|(n, step)| pair.apply(step, n as u32));
        // Several snapshots, one after the other: the marks of one must not mislead the next.
        let mut changes = steps.iter();
        for id in 1..4 {
            let expected = pair.model.clone();
            pair.table.begin_snapshot(id);
            let mut got = Vec::new();
            loop {
                let (step, count) = match changes.next() {
                    Some((step, count)) => (Some(step), *count),
                    None => (None, 50),
                };
                if let Some(step) = step {
                    pair.apply(step, 1_000 * id as u32);
                }
                let mut take = |thing: &Thing| got.push((thing.key.clone(), thing.value));
                if pair.table.snapshot_step(count, &mut take, drop) {
                    break;
                }
            }
            prop_assert_eq!(got.len(), expected.len());
            prop_assert_eq!(got.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
        pair.check();
    }
}

#[test]
fn an_empty_table_allocates_nothing_and_a_small_one_little() {
    let mut pair = Pair::new(1);
    assert_eq!((pair.table.memory(), pair.table.chunks.capacity()), (0, 0));
    assert_eq!(pair.table.scan(0, 10, |_| ()), 0);
    assert_eq!(pair.table.random(&mut Rng::new(1)), None);
    pair.put(name(1), 1);
    assert!(pair.table.memory() < 100);
    assert_eq!(pair.table.chunks[0].capacity(), 1);
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_bucket_is_one_cache_line() {
    assert_eq!(size_of::<Bucket<crate::store::Entry>>(), 64);
    assert!(size_of::<Table<crate::store::Entry>>() <= 96);
}

#[test]
fn random_keys_are_fair() {
    let mut pair = Pair::new(5);
    pair.apply(&Step::Put(0, 200), 0);
    let (mut rng, mut drawn) = (Rng::new(9), BTreeMap::<Vec<u8>, u32>::new());
    for _ in 0..40_000 {
        let slot = pair.table.random(&mut rng).expect("keys");
        *drawn.entry(pair.table.get(slot).key.clone()).or_default() += 1;
    }
    // 200 on average; the probability that one of 200 deviates by 90 is about one in ten million.
    assert_eq!(drawn.len(), 200);
    assert!(drawn.values().all(|n| (110..290).contains(n)), "{drawn:?}");
}

#[test]
fn a_bad_cursor_does_no_harm() {
    let mut pair = Pair::new(5);
    pair.apply(&Step::Put(0, 2_000), 0);
    for cursor in [1, 12_345, 1 << 47, (1 << 48) - 1, 1 << 48, u64::MAX] {
        let next = pair.table.scan(cursor, 10, |_| ());
        assert!(next == 0 || next > cursor);
    }
}

#[test]
fn keys_in_one_bucket_are_distinguished_even_beyond_the_tags() {
    // One bucket without splits, with as many entries as in the worst case.
    let mut bucket = Bucket::new();
    let seed = HashSeed::new(1, 2);
    for n in 0..200 {
        let thing = Thing { key: name(n), value: u32::from(n) };
        bucket.push(tag(seed.hash(&thing.key)), thing);
    }
    for n in (0..200).step_by(3) {
        let (index, _) = bucket.find(seed.hash(&name(n)), &name(n)).expect("it is there");
        assert_eq!(bucket.swap_remove(seed, index).value, u32::from(n));
    }
    for n in 0..200 {
        let found = bucket.find(seed.hash(&name(n)), &name(n));
        assert_eq!(found.map(|(_, thing)| thing.value), (n % 3 != 0).then_some(u32::from(n)));
    }
}

#[test]
fn reserving_changes_only_the_buckets() {
    let mut table = Table::new(HashSeed::new(1, 2));
    while !table.reserve_step(5_000, 100) {}
    assert_eq!(table.buckets(), 5_000 / SPLIT_LOAD);
    for n in 0..5_000 {
        let entry = Thing { key: name(n), value: u32::from(n) };
        let hash = table.hash(entry.key());
        table.insert(hash, entry);
    }
    for n in 0..5_000 {
        let key = name(n);
        let slot = table.find(table.hash(&key), &key).expect("a key");
        assert_eq!(table.get(slot).value, u32::from(n));
        if n >= 100 {
            table.remove(slot);
        }
    }
    while !table.reserve_step(5_000, 100) {}
    let before: usize = table.memory();
    while !table.shrink_step(100) {}
    assert!(table.memory() < before);
    assert_eq!((table.len(), table.buckets()), (100, 100 / MERGE_LOAD));
    assert_eq!(table.iter().count(), 100);
}
