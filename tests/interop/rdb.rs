//! RDB files and DUMP payloads, exchanged with Redis in both directions.

use std::path::Path;
use std::process::Command;

use limpid_core::persist::rdb::{ReadOptions, Reader, Record, WriteOptions, Writer};
use limpid_core::resp::value::Value;
use limpid_core::store::value::stream::{Consumer, Stream};
use limpid_core::store::{Entry, Keyed, ValueRef};
use limpid_tests::client::Client;
use limpid_tests::process::{Process, binary};
use tempfile::TempDir;

/// The sorted contents of a value.
pub(crate) fn contents(value: ValueRef<'_>) -> Vec<Vec<u8>> {
    let pair = |a: Vec<u8>, b: Vec<u8>| [a, b].join(&b'=');
    let mut parts: Vec<Vec<u8>> = match value {
        ValueRef::String(text) => vec![text.to_vec()],
        ValueRef::List(list) => return list.iter().map(|item| item.to_vec()).collect(),
        ValueRef::Set(set) => set.iter().map(|item| item.to_vec()).collect(),
        ValueRef::Hash(hash) => hash.iter().map(|(f, v)| pair(f.to_vec(), v.to_vec())).collect(),
        ValueRef::ZSet(zset) => {
            zset.iter_from(0).map(|(m, s)| pair(m.to_vec(), s.to_string().into())).collect()
        }
        ValueRef::Stream(stream) => return stream_contents(stream),
    };
    parts.sort();
    parts
}

/// The contents of a stream, except the times at which consumers last got an entry, which are not
/// saved.
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

/// Adds keys of every type, in every size and encoding.
fn fill(client: &mut Client) {
    let mut call = |line: &str| {
        let reply = client.call(&line.split(' ').collect::<Vec<_>>());
        assert!(!reply.is_error(), "{line}: {reply:?}");
    };
    call("SET int 12345");
    call("SET long 9223372036854775807");
    call("SET negative -129");
    call("SET text hello");
    call(&format!("SET repeated {}", "abc".repeat(30_000)));
    call("SETRANGE zeros 1000000 end");
    call("SET expiring value PX 4000000000000");
    for (key, count, width) in
        [("few", 5, 3), ("many", 3_000, 8), ("wide", 20, 5_000), ("wider", 3, 90_000)]
    {
        let text = |n: usize| format!("{n:x}").repeat(width);
        for n in 0..count {
            let text = text(n);
            call(&format!("RPUSH list:{key} {text}"));
            call(&format!("SADD set:{key} {text}"));
            call(&format!("HSET hash:{key} {text} {n}"));
            call(&format!("HSET hash:of:{key} {n} {text}"));
            call(&format!("ZADD zset:{key} {} {text}", n as f64 / 4.0 - 100.0));
        }
        for wide in ["", "00000", "000000000000"] {
            (0..count).for_each(|n| call(&format!("SADD ints{wide}:{key} 1{n}{wide}")));
            (0..count).for_each(|n| call(&format!("RPUSH list:ints{wide}:{key} -{n}{wide}")));
        }
    }
    call("ZADD zset:ends inf a -inf b 1099511627776.5 c 0.5 d");
    call("PEXPIREAT set:many 33333333333333");
    call("SELECT 3");
    call("SET other database");
    call("SELECT 0");
}

/// Adds a stream with groups.
fn fill_streams(client: &mut Client) {
    for n in 0..500 {
        let n = n.to_string();
        client.call(&["XADD", "stream", "*", "field", &n, "other", "value"]);
        client.call(&["XADD", "stream", "*", &format!("f{n}"), "v"]);
    }
    for line in [
        "XADD small 1-1 a b",
        "XGROUP CREATE small empty $",
        "XGROUP CREATE stream group 0",
        "XGROUP CREATE stream other 0",
        "XREADGROUP GROUP group one COUNT 10 STREAMS stream >",
        "XREADGROUP GROUP group two COUNT 10 STREAMS stream >",
        "XTRIM stream MAXLEN 700",
        "XDEL small 1-1",
    ] {
        let reply = client.call(&line.split(' ').collect::<Vec<_>>());
        assert!(!reply.is_error(), "{line}: {reply:?}");
    }
}

fn read(file: &[u8]) -> Vec<Record> {
    let mut reader = Reader::new(ReadOptions::default());
    let mut records = Vec::new();
    for piece in file.chunks(10_000) {
        reader.feed(piece);
        while let Some(record) = reader.next_record().expect("a good file") {
            records.push(record);
        }
    }
    reader.end().expect("a whole file");
    records
}

/// The same data, written by Limpid, large values in slices.
fn write_again(records: &[Record], compression: bool) -> Vec<u8> {
    let options = WriteOptions { compression, ..WriteOptions::default() };
    let mut writer = Writer::new(options);
    let mut file = Vec::new();
    for record in records {
        match record {
            Record::Select(db) => writer.select(*db),
            Record::Resize { keys, expiring } => writer.resize(*keys, *expiring),
            Record::Function(code) => writer.function(code),
            Record::Entry(entry) => {
                let mut rest = writer.entry(entry);
                while let Some(slices) = &mut rest
                    && !slices.step(&mut writer, 1_000)
                {
                    file.extend(writer.take());
                }
            }
            _ => {}
        }
    }
    writer.finish();
    file.extend(writer.take());
    file
}

fn digest(process: &Process) -> Value {
    Client::new(process.connect()).call(&["DEBUG", "DIGEST"])
}

/// The output of a program that checks RDB files, and whether the file is valid.
fn check(program: &mut Command, file: &Path) -> (String, bool) {
    let out = program.arg(file).output().expect("the program runs");
    (String::from_utf8_lossy(&out.stdout).into_owned(), out.status.success())
}

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

/// The reply `OK`.
fn ok() -> Value {
    Value::Simple(b"OK"[..].into())
}

#[test]
fn what_redis_saves_is_read_and_what_is_written_redis_loads() {
    let redis = Process::redis_server(&DEBUG);
    let mut client = Client::new(redis.connect());
    client.call(&[
        "FUNCTION",
        "LOAD",
        "#!lua name=l\nredis.register_function('f', function() end)",
    ]);
    fill(&mut client);
    fill_streams(&mut client);
    assert_eq!(client.call(&["SAVE"]), ok());
    let saved = redis.dir().join("dump.rdb");
    let records = read(&std::fs::read(&saved).expect("the file that Redis saved"));
    let entries = records.iter().filter(|record| matches!(record, Record::Entry(_))).count();
    assert_eq!(client.call(&["DBSIZE"]), Value::Integer(entries as i64 - 1));

    let (report, good) = check(Command::new(binary()).arg("check-rdb"), &saved);
    let (expected, _) = check(&mut Command::new("redis-check-rdb"), &saved);
    assert!(good);
    assert_eq!(report, expected);

    for compression in [true, false] {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("dump.rdb");
        std::fs::write(&path, write_again(&records, compression)).expect("a file");
        let (report, good) = check(&mut Command::new("redis-check-rdb"), &path);
        assert!(good && report.contains("\\o/ RDB looks OK! \\o/"), "{report}");
        let dir = dir.path().to_str().expect("a name");
        let other = Process::redis_server(&[&DEBUG[..], &["--dir", dir]].concat());
        assert_eq!(digest(&other), digest(&redis));
        let functions = ["FUNCTION", "LIST", "WITHCODE"];
        assert_eq!(Client::new(other.connect()).call(&functions), client.call(&functions));
    }
}

#[test]
fn values_go_from_redis_to_limpid_and_back() {
    let redis = Process::redis_server(&DEBUG);
    let limpid = Process::server(&DEBUG);
    let mut from = Client::new(redis.connect());
    let mut to = Client::new(limpid.connect());
    fill(&mut from);
    let Value::Array(keys) = from.call(&["KEYS", "*"]) else { panic!("no keys") };
    let text = |value: &Value| match value {
        Value::Bulk(text) => text.to_vec(),
        other => panic!("{other:?}"),
    };
    for key in &keys {
        let key = text(key);
        // A payload has no expiry, but the digest includes it.
        from.call(&[&b"PERSIST"[..], &key]);
        let payload = text(&from.call(&[&b"DUMP"[..], &key]));
        assert_eq!(to.call(&[b"RESTORE", &key[..], b"0", &payload]), ok());
        let look = [&b"DEBUG"[..], b"DIGEST-VALUE", &key];
        assert_eq!(to.call(&look), from.call(&look), "{}", key.escape_ascii());
        let payload = text(&to.call(&[&b"DUMP"[..], &key]));
        assert_eq!(from.call(&[b"RESTORE", &key[..], b"0", &payload, b"REPLACE"]), ok());
        assert_eq!(from.call(&look), to.call(&look), "{}", key.escape_ascii());
    }
    fill_streams(&mut from);
    let payload = text(&from.call(&["DUMP", "stream"]));
    assert_eq!(to.call(&[&b"RESTORE"[..], b"stream", b"0", &payload]), ok());
    for (line, reply) in [
        ("TYPE stream", Value::Simple(b"stream"[..].into())),
        ("OBJECT ENCODING stream", Value::bulk("stream")),
        ("COPY stream again", Value::Integer(1)),
        ("RENAME again third", ok()),
        ("DEL stream", Value::Integer(1)),
        ("EXPIRE third 1000", Value::Integer(1)),
        ("DUMP third", Value::bulk(payload.clone())),
    ] {
        assert_eq!(to.call(&line.split(' ').collect::<Vec<_>>()), reply, "{line}");
    }
    assert!(to.call(&["LPUSH", "third", "x"]).is_error());
    assert!(to.call(&["GET", "third"]).is_error());
    assert_eq!(from.call(&[&b"RESTORE"[..], b"back", b"0", &payload]), ok());
    let look = |key| ["DEBUG", "DIGEST-VALUE", key];
    assert_eq!(from.call(&look("back")), from.call(&look("stream")));
}

#[test]
fn a_broken_file_is_found_broken() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("broken.rdb");
    let mut writer = Writer::new(WriteOptions::default());
    writer.select(0);
    let entry = Entry::saved(
        b"k",
        limpid_core::store::Value::String(b"v".into()),
        None,
        Default::default(),
    );
    assert_eq!(entry.key(), b"k");
    assert!(writer.entry(&entry).is_none());
    writer.finish();
    let good = writer.take();
    for (file, told) in [
        (&good[..15], "While doing: read-object-value"),
        (b"RUBBISH00", "Wrong signature trying to load DB from file"),
        (&[&good[..15], b"x", &good[16..]].concat(), "RDB CRC error"),
    ] {
        std::fs::write(&path, file).expect("a file");
        let (report, good) = check(Command::new(binary()).arg("check-rdb"), &path);
        assert!(!good && report.contains("--- RDB ERROR DETECTED ---"), "{report}");
        assert!(report.contains(told), "{report}");
        let (expected, _) = check(&mut Command::new("redis-check-rdb"), &path);
        assert!(expected.contains(told), "{expected}");
    }
    let (_, found) = check(Command::new(binary()).arg("check-rdb"), &dir.path().join("none"));
    assert!(!found);
}
