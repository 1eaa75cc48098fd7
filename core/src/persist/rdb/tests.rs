//! Round trips through the writer and the reader, and files in the formats of Redis.

use proptest::prelude::*;

use super::*;
use crate::store::value::stream::{Consumer, Group, NodeLimits};
use crate::store::value::{End, Hash, Item, Limits, List, Set, Stream, StreamId, ZSet};
use crate::store::{
    AccessClock, AccessPolicy, Collection, Encoding, Entry, Keyed, StringRef, Value, ValueRef,
};

fn limits() -> Limits {
    Limits::default()
}

/// Everything about an entry that is visible to a client.
fn contents(entry: &Entry) -> (Vec<u8>, Option<u64>, Encoding, Vec<Vec<u8>>) {
    let mut parts: Vec<Vec<u8>> = match entry.value() {
        ValueRef::String(text) => vec![text.to_vec()],
        ValueRef::List(list) => list.iter().map(|item| item.to_vec()).collect(),
        ValueRef::Set(set) => set.iter().map(|item| item.to_vec()).collect(),
        ValueRef::Hash(hash) => {
            hash.iter().map(|(field, value)| [field.to_vec(), value.to_vec()].join(&b'=')).collect()
        }
        ValueRef::Stream(stream) => stream_contents(stream),
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

/// The content of a stream, without the last active times of consumers, which are not written.
fn stream_contents(stream: &Stream) -> Vec<Vec<u8>> {
    let mut parts = vec![format!("{:?}", stream.counters())];
    for node in stream.nodes_from(0) {
        parts.push(format!("{} {:?}", node.id(), node.pack()));
    }
    for group in stream.groups() {
        let (name, last, read) = (group.name(), group.last_id(), group.entries_read());
        parts.push(format!("group {name:?} {last} {read:?}"));
        for delivery in group.pending_from_rank(0) {
            let consumer = group.consumer_of(delivery).map(Consumer::name);
            let (id, time, count) = (delivery.id, delivery.time, delivery.count);
            parts.push(format!("{id} {time} {count} {consumer:?}"));
        }
        for consumer in group.consumers() {
            let pending: Vec<_> = consumer.pending_from_rank(0).collect();
            parts.push(format!("consumer {:?} {} {pending:?}", consumer.name(), consumer.seen));
        }
    }
    parts.into_iter().map(String::into_bytes).collect()
}

/// A stream in which some entries are deleted, with groups that have read some of them.
fn stream_value() -> impl Strategy<Value = Value> {
    let entries = proptest::collection::vec((0u64..3, texts(), any::<bool>()), 0..40);
    let groups = proptest::collection::vec((text(), 0usize..40, 1usize..4, any::<bool>()), 0..4);
    (entries, groups).prop_map(|(entries, groups)| {
        let mut stream = Stream::new();
        let mut ids = Vec::new();
        for (ahead, texts, deleted) in &entries {
            let last = stream.counters().last_id;
            let id = StreamId::new(last.ms + ahead, last.seq + 1);
            let pairs: Vec<(&[u8], &[u8])> =
                texts.iter().take(4).map(|text| (&text[..], &texts[0][..])).collect();
            stream.append(id, &pairs, NodeLimits { bytes: 4096, entries: 7 });
            match deleted {
                true => drop(stream.delete(id)),
                false => ids.push(id),
            }
        }
        for (name, read, consumers, known) in groups {
            let last = ids.get(read).copied().unwrap_or_default();
            let mut group = Group::new(&name, last, known.then_some(read as u64));
            for (n, id) in ids.iter().take(read).enumerate() {
                let consumer = [&name[..], &[b'0' + (n % consumers) as u8]].concat();
                group.add_consumer(&consumer, n as i64);
                group.deliver(*id, &consumer, 7 * n as i64, n as u64);
            }
            stream.add_group(group);
        }
        stream.into_value()
    })
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
        stream_value(),
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
                // A long value that a short one replaces leaves a hash table that may be a listpack
                // when it is read again.
                if hash.view().get(&pair[0]).is_none() {
                    hash.set(&pair[0], &pair[pair.len() - 1], &h);
                }
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
    fn files_round_trip(
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

/// A file of an old version: the version, the bytes of its records, and a checksum if that version
/// had one.
fn old(version: u16, records: &[&[u8]]) -> Vec<u8> {
    let mut file = format!("REDIS{version:04}").into_bytes();
    records.iter().for_each(|record| file.extend_from_slice(record));
    file.push(opcode::EOF);
    if version >= 5 {
        let sum = Crc64::of(&file);
        file.extend(sum.to_le_bytes());
    }
    file
}

/// A key `k` with an encoded value of this type.
fn keyed(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind, 1, b'k'], value].concat()
}

/// A string encoded without compression.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    string::put_len(&mut out, text.len() as u64);
    out.extend_from_slice(text);
    out
}

/// The entry of a file with exactly one, or the error.
fn only(file: &[u8]) -> Result<Entry, RdbError> {
    let whole = read(file, ReadOptions::default(), file.len())?;
    let pieces = read(file, ReadOptions::default(), 1)?;
    assert_eq!(whole.len(), pieces.len());
    let mut entries = whole.into_iter().filter_map(|record| match record {
        Record::Entry(entry) => Some(entry),
        _ => None,
    });
    Ok(entries.next().expect("an entry"))
}

fn parts(entry: &Entry) -> Vec<String> {
    contents(entry).3.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

fn list_of(items: &[&str]) -> Vec<u8> {
    let items: Vec<Item<'_>> = items.iter().map(|text| Item::of(text.as_bytes())).collect();
    plain(&ziplist::tests::ziplist(&items))
}

#[test]
fn a_file_of_redis_2_8_is_read() {
    let file = old(
        6,
        &[
            &[opcode::SELECTDB, 3],
            &[opcode::EXPIRETIME, 0x78, 0x56, 0x34, 0x12],
            &keyed(kind::LIST, b"\x03\x01a\xc0\xfe\xc3\x09\x14\x01aa\xe0\x07\x00\x01aa"),
        ],
    );
    let entry = only(&file).unwrap();
    assert_eq!(entry.expire(), Some(0x1234_5678 * 1_000));
    assert_eq!(parts(&entry), ["a", "-2", &"a".repeat(20)]);
}

#[test]
fn compact_encodings_of_old_files_become_listpacks() {
    let entry = only(&old(2, &[&keyed(kind::HASH_ZIPMAP, &plain(b"\x01\x01a\x01\x00b\xff"))]));
    let entry = entry.unwrap();
    assert_eq!((entry.encoding(), parts(&entry)), (Encoding::Listpack, vec!["a=b".to_owned()]));
    for (form, parts_now) in [
        (kind::LIST_ZIPLIST, vec!["a", "1", "b", "-70000"]),
        (kind::HASH_ZIPLIST, vec!["a=1", "b=-70000"]),
    ] {
        let entry = only(&old(6, &[&keyed(form, &list_of(&["a", "1", "b", "-70000"]))])).unwrap();
        assert_eq!((entry.encoding(), parts(&entry)), (Encoding::Listpack, strings(&parts_now)));
    }
    let zset = keyed(kind::ZSET_ZIPLIST, &list_of(&["a", "-inf", "b", "1.5"]));
    let entry = only(&old(7, &[&zset])).unwrap();
    let ValueRef::ZSet(zset) = entry.value() else { panic!("{entry:?}") };
    assert_eq!(zset.score(b"a"), Some(f64::NEG_INFINITY));
    assert_eq!(zset.rank(b"b"), Some((1, 1.5)));
    assert_eq!(entry.encoding(), Encoding::Listpack);
    let runs = [&[2][..], &list_of(&["a", "b"]), &list_of(&["c"])].concat();
    let entry = only(&old(9, &[&keyed(kind::LIST_QUICKLIST, &runs)])).unwrap();
    assert_eq!(parts(&entry), ["a", "b", "c"]);
}

#[test]
fn scores_as_text_are_read() {
    let zset = b"\x04\x01a\x03-25\x01b\xfe\x01c\xff\x01d\x1433.33333333333333600";
    let entry = only(&old(6, &[&keyed(kind::ZSET, zset)])).unwrap();
    let ValueRef::ZSet(zset) = entry.value() else { panic!("{entry:?}") };
    let order: Vec<_> = zset.iter_from(0).map(|(member, score)| (member.to_vec(), score)).collect();
    let expected = [("c", f64::NEG_INFINITY), ("a", -25.0), ("d", 33.333_333_333_333_336)];
    for ((member, score), (name, wanted)) in order.iter().zip(expected) {
        assert_eq!((&member[..], *score), (name.as_bytes(), wanted));
    }
    let nan = only(&old(6, &[&keyed(kind::ZSET, b"\x01\x01a\xfd")])).unwrap_err();
    assert_eq!(nan.reason, "Zset with NAN score detected");
}

#[test]
fn a_set_of_redis_7_2_is_read_and_written_so_that_7_0_reads_it() {
    let pack: crate::store::value::listpack::Listpack = ["a", "b", "3"].iter().collect();
    let set = keyed(kind::SET_LISTPACK, &plain(&pack.view().to_bytes()));
    let entry = only(&old(11, &[&set])).unwrap();
    assert_eq!((entry.encoding(), parts(&entry)), (Encoding::Listpack, strings(&["3", "a", "b"])));
    assert_eq!(dump(entry.value(), true)[0], kind::SET);
}

#[test]
fn collections_too_large_for_their_encoding_are_converted() {
    let limits = Limits { hash_max_listpack_entries: 1, ..limits() };
    let options = ReadOptions { limits, ..ReadOptions::default() };
    let file = old(6, &[&keyed(kind::HASH_ZIPLIST, &list_of(&["a", "1", "b", "2"]))]);
    let records = read(&file, options, 5).unwrap();
    let Some(Record::Entry(entry)) = records.get(1) else { panic!("{records:?}") };
    assert_eq!((entry.encoding(), parts(entry)), (Encoding::Hashtable, strings(&["a=1", "b=2"])));
}

#[test]
fn an_integer_that_was_written_as_a_text_is_found() {
    let pack = b"\x0d\0\0\0\x02\0\x8212\x03\x05\x01\xff";
    let entry = only(&old(10, &[&keyed(kind::HASH_LISTPACK, &plain(pack))])).unwrap();
    let ValueRef::Hash(hash) = entry.value() else { panic!("{entry:?}") };
    assert!(hash.get(b"12").is_some());
}

#[test]
fn broken_collections_are_refused_with_a_reason() {
    for (form, value, reason) in [
        (kind::SET, b"\x02\x01a\x01a".to_vec(), "Duplicate set members detected"),
        (kind::HASH, b"\x02\x01a\x01b\x01a\x01b".to_vec(), "Duplicate hash fields detected"),
        (
            kind::HASH_ZIPLIST,
            list_of(&["a", "1", "a", "2"]),
            "Hash ziplist integrity check failed.",
        ),
        (kind::HASH_ZIPLIST, list_of(&["a"]), "Hash ziplist integrity check failed."),
        (kind::ZSET_ZIPLIST, list_of(&["a", "b"]), "Zset ziplist integrity check failed."),
        (kind::SET_INTSET, plain(b"\x02\0\0\0\x01\0\0\0"), "Intset integrity check failed."),
        (kind::LIST_QUICKLIST_2, b"\x01\x02\x03abc".to_vec(), "Listpack integrity check failed."),
        (kind::LIST_QUICKLIST_2, b"\x01\x03\x03abc".to_vec(), "Quicklist integrity check failed."),
        (kind::MODULE_2, b"\x81\x7a\x5b\xf7\x1c\x2a\x1a\x2c\x01\0".to_vec(), "The RDB file"),
        (kind::MODULE_PRE_GA, b"".to_vec(), "Pre-release module format not supported"),
        (8, b"".to_vec(), "Invalid object type: 8"),
        (100, b"".to_vec(), "Invalid object type: 100"),
    ] {
        let error = only(&old(9, &[&keyed(form, &value)])).unwrap_err();
        assert!(error.reason.starts_with(reason), "{form}: {error}");
        assert!(error.offset > 9, "{error}");
    }
    let error = only(&old(12, &[])).unwrap_err();
    assert_eq!(error.to_string(), "at offset 9: Can't handle RDB format version 12");
    let error = only(b"RADIS0009\xff").unwrap_err();
    assert_eq!(error.reason, "Wrong signature trying to load DB from file");
    let mut file = old(9, &[&keyed(kind::STRING, b"\x01v")]);
    file[13] ^= 1;
    assert!(
        only(&file)
            .unwrap_err()
            .reason
            .starts_with("RDB CRC error: Wrong RDB checksum expected: (")
    );
    file.truncate(file.len() - 1);
    assert_eq!(only(&file).unwrap_err().reason, "Unexpected EOF reading RDB file");
}

#[test]
fn empty_collections_are_skipped() {
    let empty = keyed(kind::HASH, b"\0");
    let pack = keyed(kind::ZSET_LISTPACK, &plain(b"\x07\0\0\0\0\0\xff"));
    let runs = [&[kind::LIST_QUICKLIST_2, 1, b'k', 1, 2][..], &plain(b"\x07\0\0\0\0\0\xff")];
    let file = old(10, &[&empty, &pack, &runs.concat(), &keyed(kind::STRING, b"\x01v")]);
    for piece in [1, file.len()] {
        let records = read(&file, ReadOptions::default(), piece).unwrap();
        let is_empty = |record: &&Record| matches!(record, Record::EmptyKey(key) if key == b"k");
        assert_eq!(records.iter().filter(is_empty).count(), 3);
        assert_eq!(parts(&only(&file).unwrap()), ["v"]);
    }
}

#[test]
fn modules_are_skipped_where_allowed() {
    let id = b"\x81\x7a\x5b\xf7\x1c\x2a\x1a\x2c\x01";
    let body = b"\x02\x05\x01\x07\x05\x03abc\x03abcd\x04abcdefgh\x00";
    let aux = [&[opcode::MODULE_AUX][..], id, b"\x02\x01", body].concat();
    let value = [&[kind::MODULE_2, 1, b'm'][..], id, body].concat();
    let file = old(10, &[&aux, &keyed(kind::STRING, b"\x01v"), &value]);
    let options = ReadOptions { modules: Modules::Skip, ..ReadOptions::default() };
    let records = read(&file, options, 3).unwrap();
    assert!(matches!(&records[1], Record::ModuleAux { module } if module.len() == 9));
    assert!(matches!(&records[3], Record::ModuleValue { key, .. } if key == b"m"));
    let error = only(&file).unwrap_err();
    assert!(error.reason.contains("no matching module type '"), "{error}");
    assert_eq!(module::type_name(0x7A5B_F71C_2A1A_2C01).len(), 9);
}

#[test]
fn function_libraries_are_returned() {
    let early = b"\xf6\x03lib\x03LUA\x01\x04desc\x04code";
    let file = old(10, &[&[opcode::FUNCTION2, 4], b"text", early]);
    let records = read(&file, ReadOptions::default(), 2).unwrap();
    let functions: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Function(code) => Some(String::from_utf8_lossy(code)),
            _ => None,
        })
        .collect();
    assert_eq!(functions, ["text", "#!LUA name=lib\ncode"]);
}

#[test]
fn idle_times_and_frequencies_come_back() {
    let key = keyed(kind::STRING, b"\x01v");
    let file = old(9, &[&[opcode::IDLE, 40], &[opcode::FREQ, 99], &key]);
    let lfu = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 1 };
    for access in [AccessPolicy::Lru, lfu] {
        let options = ReadOptions { access, now_ms: 10_000_000, ..ReadOptions::default() };
        let records = read(&file, options, 1).unwrap();
        let Some(Record::Entry(entry)) = records.get(1) else { panic!("{records:?}") };
        let options = WriteOptions {
            access: Some(access),
            now_ms: 10_005_000,
            checksum: false,
            ..WriteOptions::default()
        };
        let mut writer = Writer::new(options);
        assert!(writer.entry(entry).is_none());
        let written = writer.take();
        let clock: &[u8] = match access {
            AccessPolicy::Lru => &[opcode::IDLE, 45],
            AccessPolicy::Lfu { .. } => &[opcode::FREQ, 99],
        };
        assert_eq!(written, [&b"REDIS0010"[..], clock, &key].concat());
    }
}

/// A stream in the format of Redis 5, with two entries, a group, a consumer and a pending entry.
fn stream() -> Vec<u8> {
    let entries: crate::store::value::listpack::Listpack =
        ["2", "0", "1", "f", "0", "2", "0", "0", "v", "4", "2", "5", "0", "w", "4"]
            .iter()
            .collect();
    let id = [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut value = vec![1];
    value.extend(plain(&id));
    value.extend(plain(&entries.view().to_bytes()));
    value.extend([2, 12, 0]);
    value.extend([1, 5]);
    value.extend(b"group");
    value.extend([7, 0, 1]);
    value.extend(id);
    value.extend([9; 8]);
    value.extend([1, 1, 3]);
    value.extend(b"one");
    value.extend([8; 8]);
    value.push(1);
    value.extend(id);
    value
}

#[test]
fn an_old_stream_is_written_in_the_current_format() {
    let value = stream();
    let entry = only(&old(9, &[&keyed(kind::STREAM_LISTPACKS, &value)])).unwrap();
    assert_eq!((entry.value().kind().name(), entry.encoding().name()), ("stream", "stream"));
    let payload = dump(entry.value(), true);
    assert_eq!(payload[0], kind::STREAM_LISTPACKS_2);
    let again = restore(&payload, &limits(), true).unwrap();
    assert_eq!(dump(again.view(), true), payload);
    let ValueRef::Stream(stream) = entry.value() else { panic!("{entry:?}") };
    let counters = stream.counters();
    assert_eq!((counters.first_id, counters.last_id), (StreamId::new(7, 0), StreamId::new(12, 0)));
    assert_eq!(counters.entries_added, 2);
    let group = stream.group(b"group").unwrap();
    assert_eq!((group.pending_count(), group.entries_read()), (1, Some(1)));
    let mut broken = value.clone();
    *broken.last_mut().unwrap() = 1;
    let error = only(&old(9, &[&keyed(kind::STREAM_LISTPACKS, &broken)])).unwrap_err();
    assert_eq!(error.reason, "Consumer entry not found in group global PEL");
    assert!(error.offset > 9 + value.len() as u64);
}

#[test]
fn a_checker_reports_its_findings() {
    let key = keyed(kind::STRING, b"\x01v");
    let expiring = [&[opcode::EXPIRETIME_MS][..], &7u64.to_le_bytes(), &key].concat();
    let aux = [&[opcode::AUX][..], &plain(b"redis-ver"), &plain(b"6.2.1")].concat();
    let file = old(9, &[&aux, &[opcode::SELECTDB, 0], &key, &expiring]);
    let mut checker = Checker::new(b"dump.rdb", 8);
    assert!(!checker.feed(&file));
    assert!(checker.end());
    let report = String::from_utf8(checker.take_report()).unwrap();
    let end = file.len();
    let expected = format!(
        "[offset 0] Checking RDB file dump.rdb\n[offset 26] AUX FIELD redis-ver = '6.2.1'\n\
         [offset 28] Selecting DB ID 0\n[offset {end}] Checksum OK\n\
         [offset {end}] \\o/ RDB looks OK! \\o/\n\
         [info] 2 keys read\n[info] 1 expires\n[info] 1 already expired\n"
    );
    assert_eq!(report, expected);
    let mut checker = Checker::new(b"dump.rdb", 8);
    assert!(checker.feed(&file[..file.len() - 12]));
    assert!(!checker.end());
    let report = String::from_utf8(checker.take_report()).unwrap();
    let told = "--- RDB ERROR DETECTED ---\n[offset 44] Unexpected EOF reading RDB file\n\
                [additional info] While doing: read-key\n\
                [additional info] Reading type 0 (string)\n[info] 1 keys read\n";
    assert!(report.contains(told), "{report}");
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_payload_restores_its_value(entry in entry(), compression: bool) {
        let payload = dump(entry.value(), compression);
        let value = restore(&payload, &limits(), true).unwrap();
        let again = Entry::saved(entry.key(), value, entry.expire(), entry.clock());
        prop_assert_eq!(contents(&again), contents(&entry));
        prop_assert_eq!(dump(again.value(), compression).len(), payload.len());
        let mut broken = payload.clone();
        broken[payload.len() / 2] ^= 1;
        prop_assert_eq!(restore(&broken, &limits(), true).unwrap_err(), PayloadError::Footer);
    }

    #[test]
    fn corrupt_files_cause_no_panic_and_bounded_memory(
        entries in proptest::collection::vec(entry(), 1..4),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
        compression: bool,
        piece in 1usize..5_000,
    ) {
        let options = WriteOptions { compression, checksum: false, ..WriteOptions::default() };
        let mut file = write(&entries, options, 1_000);
        let len = file.len();
        for &(at, bits) in &changes {
            file[9 + at % (len - 9)] ^= bits;
        }
        let mut reader = Reader::new(ReadOptions { checksum: false, ..ReadOptions::default() });
        'file: for piece in file.chunks(piece) {
            reader.feed(piece);
            loop {
                match reader.next_record() {
                    Ok(Some(Record::Entry(entry))) => {
                        // The highest compression ratio expands to 88 times the size.
                        prop_assert!(entry.memory() < 300 * len + 4_096, "{}", entry.memory());
                        contents(&entry);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        prop_assert!(error.offset <= len as u64);
                        break 'file;
                    }
                }
            }
        }
        for entry in &entries {
            let mut payload = dump(entry.value(), compression);
            let len = payload.len() - 10;
            for &(at, bits) in &changes {
                payload[at % len] ^= bits;
            }
            if let Ok(value) = restore(&payload, &limits(), false) {
                let entry = Entry::saved(b"k", value, None, entry.clock());
                prop_assert!(entry.memory() < 300 * len + 4_096, "{}", entry.memory());
                contents(&entry);
            }
        }
    }
}
