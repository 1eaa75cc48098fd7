use super::*;
use crate::rng::Rng;
use crate::store::value::stream::NodeLimits;
use crate::store::value::{End, Limits, Stream, StreamId};

fn text(entry: &Entry) -> Vec<u8> {
    let ValueRef::String(string) = entry.value() else { panic!("not a string") };
    string.to_vec()
}

fn entry(key: &[u8], value: &[u8], expire: Option<u64>) -> Entry {
    Entry::string(key, StringRef::compact(value), expire, AccessClock::default())
}

#[test]
#[cfg(target_pointer_width = "64")]
fn an_entry_takes_sixteen_bytes_and_a_short_key_one_allocation() {
    assert_eq!(size_of::<Entry>(), 16);
    assert_eq!(size_of::<Object>(), 80);
    assert_eq!(entry(b"key:999999", &[b'x'; 64], None).memory(), 80);
}

#[test]
fn packed_entries_round_trip() {
    for key_len in [0, 1, 255, 256, 70_000] {
        for value in [&b""[..], b"12", b"-5", b"hello", &[7; 300]] {
            for expire in [None, Some(0), Some(u64::MAX)] {
                let key = vec![b'k'; key_len];
                let mut e = entry(&key, value, expire);
                assert_eq!((e.key(), text(&e), e.expire()), (&key[..], value.to_vec(), expire));
                e.set_clock(AccessClock::new(Default::default(), 77_000));
                for other in [Some(5), Some(6), None, None, Some(7)] {
                    e.set_expire(other);
                    assert_eq!((e.expire(), text(&e)), (other, value.to_vec()));
                }
                let e = e.renamed(b"other");
                assert_eq!(
                    (e.key(), text(&e), e.expire()),
                    (&b"other"[..], value.to_vec(), Some(7))
                );
                assert_eq!(e.clock().idle_seconds(78_000), 1);
            }
        }
    }
}

#[test]
fn a_collection_keeps_key_expiry_and_contents_through_all_its_forms() {
    let limits = Limits::default();
    for key in [&b"k"[..], &[b'k'; 300]] {
        let mut e = Entry::new(key, Value::Set(Set::new(b"1", 1, &limits)), Some(9), default());
        let mut forms = Vec::new();
        for n in 0..300 {
            let member = if n < 20 { n.to_string() } else { format!("m{n}") };
            e.edit(|set: &mut Set| set.insert(member.as_bytes(), &limits)).expect("a set");
            assert_eq!((e.key(), e.expire(), e.value().elements()), (key, Some(9), n + 1));
            e.set_expire(Some(8));
            e.set_expire(None);
            e.set_expire(Some(9));
            forms.push(e.encoding());
        }
        forms.dedup();
        assert_eq!(forms, [Encoding::Intset, Encoding::Listpack, Encoding::Hashtable]);
        assert_eq!(e.edit(|_: &mut Hash| ()), None);
        let e = e.renamed(b"other");
        assert_eq!((e.key(), e.value().elements()), (&b"other"[..], 300));
    }
}

#[test]
fn a_list_that_shrinks_is_packed_again() {
    let limits = Limits::default();
    let mut e = Entry::new(b"k", Value::List(List::default()), None, default());
    for n in 0..3_000 {
        e.edit(|list: &mut List| {
            list.grow([&b"element"[..]], &limits);
            list.push(End::Left, format!("element{n}").as_bytes(), &limits);
        });
    }
    assert_eq!(e.encoding(), Encoding::Quicklist);
    let large = e.memory();
    for _ in 0..2_999 {
        e.edit(|list: &mut List| {
            list.pop(End::Left, |_| ());
            list.shrink(&limits);
        });
    }
    assert_eq!((e.encoding(), e.value().elements()), (Encoding::Listpack, 1));
    assert!(e.memory() < large / 100);
}

fn default() -> AccessClock {
    AccessClock::default()
}

#[test]
fn a_value_of_the_same_shape_is_overwritten_in_place() {
    let mut e = entry(b"k", b"abc", None);
    assert!(e.overwrite(StringRef::Bytes(b"xyz"), None));
    assert!(!e.overwrite(StringRef::Bytes(b"wxyz"), None));
    assert!(!e.overwrite(StringRef::Int(5), None));
    assert!(!e.overwrite(StringRef::Bytes(b"xyz"), Some(1)));
    assert_eq!(text(&e), b"xyz");
    let mut e = entry(b"k", b"12", Some(4));
    assert!(e.overwrite(StringRef::Int(-77), Some(9)));
    assert_eq!((text(&e), e.expire()), (b"-77".to_vec(), Some(9)));
}

#[test]
fn an_edited_string_grows_with_zeros_and_is_encoded_raw() {
    let mut e = entry(b"k", b"12", Some(4));
    assert_eq!(e.encoding(), Encoding::Int);
    e.edit_string(4, |b| b[3] = b'!');
    assert_eq!(text(&e), b"12\0!");
    assert_eq!((e.encoding(), e.expire()), (Encoding::Raw, Some(4)));
    e.edit_string(0, |b| b[0] = b'x');
    for len in [10, 60, 100, 1_000, 3_000_000, 10] {
        let before = text(&e);
        e.edit_string(len, |_| ()).unwrap();
        let after = text(&e);
        assert_eq!(after.len(), before.len().max(len));
        assert!(after.starts_with(b"x2\0!"));
        assert_eq!((e.key(), e.expire(), e.encoding()), (&b"k"[..], Some(4), Encoding::Raw));
    }
    assert!(e.memory() < 3_000_000 + 2 * MAX_PREALLOC);
    assert_eq!(entry(b"k", &[b'x'; 44], None).encoding(), Encoding::Embstr);
    assert_eq!(entry(b"k", &[b'x'; 45], None).encoding(), Encoding::Raw);
}

/// Changes a collection, or a long string, in one of several ways.
fn change(entry: &mut Entry, rng: &mut Rng, limits: &Limits) {
    let name = format!("element:{}", rng.below(60_000)).into_bytes();
    let grow = rng.chance(0.5);
    entry.edit_string(0, |bytes| {
        let at = rng.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1;
    });
    entry.edit(|list: &mut List| {
        let at = rng.below(list.len() as u64) as usize;
        match (grow, rng.chance(0.2)) {
            (true, true) => list.push(End::Right, &name, limits),
            (true, false) => list.insert(at, &name, limits),
            (false, true) => _ = list.pop(End::Left, |_| ()),
            (false, false) => list.remove(at, 3, limits),
        }
    });
    entry.edit(|set: &mut Set| match grow {
        true => set.insert(&name, limits),
        false => set.remove(&name),
    });
    entry.edit(|hash: &mut Hash| match grow {
        true => hash.set(&name, &rng.below(1 << 40).to_le_bytes(), limits),
        false => hash.remove(&name),
    });
    entry.edit(|stream: &mut Stream| match grow {
        true => {
            let id = stream.counters().last_id.next().unwrap();
            stream.append(id, &[(b"f", &name)], NODES);
        }
        false => {
            let rank = rng.below(stream.len() as u64) as usize;
            let id = stream.iter_from(rank).next().unwrap().id;
            assert!(stream.delete(id));
        }
    });
    entry.edit(|zset: &mut ZSet| match grow {
        true => zset.insert(&name, rng.below(1_000) as f64, limits),
        false => zset.remove(&name),
    });
}

const NODES: NodeLimits = NodeLimits { bytes: 4096, entries: 100 };

/// The content of an entry, in iteration order.
fn contents(entry: &Entry) -> Vec<Vec<u8>> {
    match entry.value() {
        ValueRef::String(string) => vec![string.to_vec()],
        ValueRef::Stream(stream) => {
            let entries = stream.iter_from(0).flat_map(|entry| {
                let fields = entry.fields().flat_map(|(f, v)| [f.to_vec(), v.to_vec()]);
                core::iter::once(entry.id.to_string().into_bytes())
                    .chain(fields)
                    .collect::<Vec<_>>()
            });
            entries.collect()
        }
        ValueRef::List(list) => list.iter().map(|item| item.to_vec()).collect(),
        ValueRef::Set(set) => set.iter().map(|item| item.to_vec()).collect(),
        ValueRef::Hash(hash) => hash.iter().flat_map(|(f, v)| [f.to_vec(), v.to_vec()]).collect(),
        ValueRef::ZSet(zset) => {
            zset.iter_from(0).map(|(m, s)| [m.to_vec(), format!(" {s}").into()].concat()).collect()
        }
    }
}

fn large_values(limits: &Limits) -> Vec<Value> {
    let names = || (0..50_000).map(|n| format!("element:{n}").into_bytes());
    let (mut list, mut hash, mut zset) = (List::default(), Hash::default(), ZSet::default());
    let mut set = Set::new(b"element", 1, limits);
    for (n, name) in names().enumerate() {
        list.grow([&name[..]], limits);
        list.push(End::Right, &name, limits);
        set.insert(&name, limits);
        hash.set(&name, &[b'v'; 40][..n % 40], limits);
        zset.insert(&name, (n % 700) as f64, limits);
    }
    let string = Value::String(names().flatten().collect());
    let mut stream = Stream::new();
    for (n, name) in names().enumerate() {
        stream.append(StreamId::new(1, n as u64), &[(b"f", &name)], NODES);
    }
    let stream = Value::Stream(Box::new(stream));
    vec![string, Value::List(list), Value::Set(set), Value::Hash(hash), Value::ZSet(zset), stream]
}

#[test]
fn copies_of_large_values_are_independent() {
    let limits = Limits::default();
    for value in large_values(&limits) {
        let original = Entry::new(b"k", value, Some(9), default());
        let wanted = contents(&original);
        for frozen in [false, true] {
            let mut rng = Rng::new(3);
            let mut changed = original.clone();
            let mut copy = if frozen { original.frozen() } else { original.clone() };
            assert_eq!((copy.key(), copy.expire()), (original.key(), original.expire()));
            // The same changes to a value that shares nothing are the reference.
            for _ in 0..300 {
                change(&mut changed, &mut rng, &limits);
            }
            let after = contents(&changed);
            assert!(after != wanted);
            assert!(contents(&copy) == wanted);
            assert_eq!(copy.memory(), original.memory());
            // The other way round, changing the copy after it has been used.
            for _ in 0..300 {
                change(&mut copy, &mut rng, &limits);
            }
            assert!(contents(&copy) != wanted);
            assert!(contents(&changed) == after);
            // Lookups still work in both.
            for entry in [&copy, &changed] {
                match entry.value() {
                    ValueRef::Set(set) => {
                        assert!(set.iter().all(|m| set.contains(&m.to_vec())));
                    }
                    ValueRef::Hash(hash) => {
                        assert!(hash.iter().all(|(f, v)| hash.get(&f.to_vec()) == Some(v)));
                    }
                    ValueRef::ZSet(zset) => {
                        let mut members = zset.iter_from(0).enumerate();
                        assert!(members.all(|(n, (m, s))| zset.rank(&m.to_vec()) == Some((n, s))));
                    }
                    ValueRef::Stream(stream) => {
                        let mut entries = stream.iter_from(0).enumerate();
                        assert!(entries.all(|(n, entry)| stream.rank(entry.id) == n));
                    }
                    ValueRef::String(_) | ValueRef::List(_) => {}
                }
            }
        }
        assert!(contents(&original) == wanted);
    }
}

#[test]
fn shared_data_is_freed_in_slices_with_the_last_copy() {
    let limits = Limits::default();
    for value in large_values(&limits).into_iter().skip(1) {
        let mut original = Entry::new(b"k", value, None, default());
        let copy = original.frozen();
        change(&mut original, &mut Rng::new(1), &limits);
        let runs = matches!(copy.encoding(), Encoding::Quicklist | Encoding::Stream);
        let slice = if runs { 10 } else { 5_000 };
        let steps = |entry: Entry| {
            let mut remains = entry.into_pending_free().expect("a large value");
            let mut steps = 0;
            while remains.free_some(slice) >= slice {
                steps += 1;
            }
            steps
        };
        assert!(steps(original) >= 1);
        let last = steps(copy);
        assert!(last >= 2, "{last}");
    }
}

#[test]
fn a_frozen_table_can_be_used_like_any_other() {
    let limits = Limits::default();
    let mut set = Set::new(b"element", 1, &limits);
    (0..2_000).for_each(|n| _ = set.insert(format!("m{n}").as_bytes(), &limits));
    let original = Entry::new(b"k", Value::Set(set), None, default());
    for n in 0..3 {
        let mut copy = original.frozen();
        let ValueRef::Set(view) = copy.value() else { panic!("not a set") };
        assert!(view.contains(b"m1999") && !view.contains(b"m2000"));
        copy.edit(|set: &mut Set| match n {
            0 => assert!(set.remove(b"m7")),
            1 => assert!(!set.insert(b"m7", &limits)),
            _ => assert!(set.insert(b"m2000", &limits)),
        });
        let ValueRef::Set(view) = copy.value() else { panic!("not a set") };
        assert_eq!((view.contains(b"m7"), view.contains(b"m2000")), (n != 0, n == 2));
    }
}
