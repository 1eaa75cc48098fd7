//! What is written is read again, and by Redis's own rules.

use proptest::prelude::*;

use super::*;
use crate::store::value::{End, Hash, Limits, List, Set, ZSet};
use crate::store::{AccessClock, AccessPolicy, Encoding, Entry, Keyed, StringRef, Value, ValueRef};

fn limits() -> Limits {
    Limits::default()
}

/// Everything about an entry that a client can see.
fn contents(entry: &Entry) -> (Vec<u8>, Option<u64>, Encoding, Vec<Vec<u8>>) {
    let mut parts: Vec<Vec<u8>> = match entry.value() {
        ValueRef::String(text) => vec![text.to_vec()],
        ValueRef::List(list) => list.iter().map(|item| item.to_vec()).collect(),
        ValueRef::Set(set) => set.iter().map(|item| item.to_vec()).collect(),
        ValueRef::Hash(hash) => {
            hash.iter().map(|(field, value)| [field.to_vec(), value.to_vec()].join(&b'=')).collect()
        }
        ValueRef::Opaque(opaque) => vec![vec![opaque.form()], opaque.payload().to_vec()],
        ValueRef::ZSet(zset) => zset
            .iter_from(0)
            .map(|(member, score)| {
                [member.to_vec(), score.to_bits().to_string().into()].join(&b'=')
            })
            .collect(),
    };
    if matches!(entry.value(), ValueRef::Set(_) | ValueRef::Hash(_)) {
        parts.sort();
    }
    (entry.key().to_vec(), entry.expire(), entry.encoding(), parts)
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        4 => any::<i8>().prop_map(|n| n.to_string().into_bytes()),
        4 => any::<i32>().prop_map(|n| n.to_string().into_bytes()),
        8 => proptest::collection::vec(any::<u8>(), 0..30),
        4 => (any::<u8>(), 0usize..400).prop_map(|(b, n)| vec![b; n]),
        1 => (any::<u8>(), 0usize..40_000).prop_map(|(b, n)| {
            (0..n).map(|i| (i * i % 251) as u8 ^ b).collect()
        }),
    ]
}

fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![
        4 => proptest::collection::vec(text(), 1..20),
        2 => proptest::collection::vec(text(), 1..300),
        2 => proptest::collection::vec(any::<i32>().prop_map(|n| n.to_string().into()), 1..700),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("a number", |x| !x.is_nan()),
        any::<i16>().prop_map(f64::from),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
    ]
}

pub(super) fn value() -> impl Strategy<Value = Value> {
    let limits = limits();
    let (l, s, h, z) = (limits.clone(), limits.clone(), limits.clone(), limits);
    prop_oneof![
        text().prop_map(Value::String),
        texts().prop_map(move |texts| {
            let mut list = List::default();
            for text in &texts {
                list.grow([&text[..]], &l);
                list.push(End::Right, text, &l);
            }
            Value::List(list)
        }),
        texts().prop_map(move |texts| {
            let mut set = Set::new(&texts[0], 1, &s);
            for text in &texts {
                set.insert(text, &s);
            }
            Value::Set(set)
        }),
        texts().prop_map(move |texts| {
            let mut hash = Hash::default();
            for pair in texts.chunks(2) {
                hash.set(&pair[0], &pair[pair.len() - 1], &h);
            }
            Value::Hash(hash)
        }),
        (texts(), proptest::collection::vec(score(), 1..9)).prop_map(move |(texts, scores)| {
            let mut zset = ZSet::default();
            for (text, score) in texts.iter().zip(scores.iter().cycle()) {
                zset.insert(text, *score + 0.0, &z);
            }
            Value::ZSet(zset)
        }),
    ]
}

pub(super) fn entry() -> impl Strategy<Value = Entry> {
    (text(), value(), proptest::option::of(0..=i64::MAX as u64)).prop_map(|(key, value, expire)| {
        let clock = AccessClock::new(AccessPolicy::Lru, 5_000_000);
        match value {
            Value::String(text) => Entry::string(&key, StringRef::compact(&text), expire, clock),
            value => Entry::new(&key, value, expire, clock),
        }
    })
}

fn write(entries: &[Entry], options: WriteOptions, budget: usize) -> Vec<u8> {
    let mut writer = Writer::new(options);
    let mut file = Vec::new();
    writer.preamble(&Preamble {
        version: "7.2.6",
        created_s: 1,
        used_memory: 2,
        replication: Some(ReplicationState { stream_db: -1, id: &"a".repeat(40), offset: 77 }),
        aof_base: true,
    });
    writer.function(b"#!lua name=one\nredis.register_function('f', function() end)");
    writer.select(0);
    writer.resize(entries.len() as u64, 0);
    for entry in entries {
        if let Some(mut rest) = writer.entry(entry) {
            file.extend(writer.take());
            while !rest.step(&mut writer, budget) {
                file.extend(writer.take());
            }
        }
        file.extend(writer.take());
    }
    writer.finish();
    assert_eq!(writer.written(), (file.len() + writer.len()) as u64);
    file.extend(writer.take());
    file
}

fn read(file: &[u8], options: ReadOptions, piece: usize) -> Result<Vec<Record>, RdbError> {
    let mut reader = Reader::new(options);
    let mut records = Vec::new();
    for piece in file.chunks(piece) {
        reader.feed(piece);
        while let Some(record) = reader.next_record()? {
            records.push(record);
        }
    }
    reader.end()?;
    assert_eq!(reader.offset(), file.len() as u64);
    Ok(records)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read_again(
        entries in proptest::collection::vec(entry(), 0..6),
        compression: bool,
        checksum: bool,
        budget in 1usize..5_000,
        piece in prop_oneof![1usize..40, 40usize..70_000],
    ) {
        let options = WriteOptions { compression, checksum, ..WriteOptions::default() };
        let file = write(&entries, options, budget);
        let records = read(&file, ReadOptions::default(), piece).unwrap();
        let again: Vec<_> = records
            .iter()
            .filter_map(|record| match record {
                Record::Entry(entry) => Some(contents(entry)),
                _ => None,
            })
            .collect();
        let wanted: Vec<_> = entries.iter().map(contents).collect();
        prop_assert_eq!(again, wanted);
        let end = if checksum { Checksum::Right } else { Checksum::Disabled };
        prop_assert!(matches!(records.last(), Some(Record::End(sum)) if *sum == end));
    }
}
