//! The scenario with the `redis` crate, over both versions of the protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::thread;

use limpid_tests::process::{PATIENCE, Process};
use limpid_tests::wait::until;
use redis::{
    Client, Commands, Connection, Direction, PushInfo, PushKind, RedisResult, Value, pipe,
};

#[test]
fn redis_rs_plays_its_scenario_in_version_2() {
    plays("");
}

#[test]
fn redis_rs_plays_its_scenario_in_version_3() {
    plays("?protocol=resp3");
}

fn plays(protocol: &str) {
    for server in [Process::redis_server(&[]), Process::server(&[])] {
        let url = format!("redis://127.0.0.1:{}/{protocol}", server.port());
        let client = Client::open(url).expect("an address");
        pipelines(&client).expect("pipelines");
        transactions(&client).expect("transactions");
        messages(&client).expect("messages");
        if !protocol.is_empty() {
            pushes(&client).expect("pushes");
        }
        blocking(&client).expect("blocking");
        scans(&client).expect("scans");
        types(&client).expect("types");
    }
}

fn connect(client: &Client) -> Connection {
    let connection = client.get_connection().expect("a connection");
    connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    connection
}

/// Waits until this many clients are blocked.
fn until_blocked(db: &mut Connection, count: u64) {
    let mut blocked = || -> Option<u64> {
        let info: redis::InfoDict =
            redis::cmd("INFO").arg("clients").query(db).expect("information");
        info.get("blocked_clients")
    };
    until(|| format!("{count} clients wait for keys"), || blocked() == Some(count));
}

fn pipelines(client: &Client) -> RedisResult<()> {
    let mut db = connect(client);
    let mut pipe = pipe();
    for n in 0..1_000 {
        pipe.set(format!("key:{n}"), n).ignore().get(format!("key:{n}"));
    }
    let values: Vec<i64> = pipe.query(&mut db)?;
    assert_eq!(values, (0..1_000).collect::<Vec<_>>());
    let bytes = vec![0, 255, 13, 10, 36];
    let back: (Vec<u8>, Option<Vec<u8>>) =
        redis::pipe().set(&bytes, &bytes).ignore().get(&bytes).get("none").query(&mut db)?;
    assert_eq!(back, (bytes, None));
    Ok(())
}

/// Several clients that add to one balance by WATCH and MULTI lose no update.
fn transactions(client: &Client) -> RedisResult<()> {
    const ADDERS: usize = 6;
    const TIMES: usize = 50;
    let mut db = connect(client);
    let () = db.set("balance", 0)?;
    thread::scope(|scope| {
        for _ in 0..ADDERS {
            scope.spawn(|| {
                let mut own = connect(client);
                for _ in 0..TIMES {
                    let done = redis::transaction(&mut own, &["balance"], |db, pipe| {
                        let balance: usize = db.get("balance")?;
                        pipe.set("balance", balance + 1).rpush("ledger", balance).query(db)
                    });
                    let _: (String, usize) = done.expect("a transaction");
                }
            });
        }
    });
    assert_eq!(db.get::<_, usize>("balance")?, ADDERS * TIMES);
    let ledger: Vec<usize> = db.lrange("ledger", 0, -1)?;
    assert_eq!(ledger, (0..ADDERS * TIMES).collect::<Vec<_>>());
    Ok(())
}

fn messages(client: &Client) -> RedisResult<()> {
    let (mut db, mut listener) = (connect(client), connect(client));
    let mut listener = listener.as_pubsub();
    listener.subscribe("news")?;
    listener.psubscribe(&["news.*", "[x-z]?"])?;
    let sent = [("news", "1", 1), ("news.sport", "2", 1), ("y1", "3", 1), ("w1", "4", 0)];
    for (channel, text, reaches) in sent {
        assert_eq!(db.publish::<_, _, u64>(channel, text)?, reaches, "{channel}");
    }
    let mut heard = Vec::new();
    for _ in 0..3 {
        let message = listener.get_message()?;
        let pattern: Option<String> = message.get_pattern()?;
        heard.push((pattern, message.get_channel_name().to_owned(), message.get_payload()?));
    }
    let of = |pattern: Option<&str>, channel: &str, text: &str| {
        (pattern.map(str::to_owned), channel.to_owned(), text.to_owned())
    };
    let wanted = [
        of(None, "news", "1"),
        of(Some("news.*"), "news.sport", "2"),
        of(Some("[x-z]?"), "y1", "3"),
    ];
    assert_eq!(heard, wanted);
    Ok(())
}

/// In RESP3 messages arrive between replies as pushes.
fn pushes(client: &Client) -> RedisResult<()> {
    let (mut db, mut listener) = (connect(client), connect(client));
    let (sender, pushed) = channel();
    listener.set_push_sender(sender);
    listener.subscribe_resp3("pushed")?;
    listener.psubscribe_resp3("push*")?;
    let () = listener.set("while", "subscribed")?;
    assert_eq!(db.publish::<_, _, u64>("pushed", "hello")?, 2);
    assert_eq!(listener.get::<_, String>("while")?, "subscribed");
    let () = listener.ping()?;
    let text = |text: &str| Value::BulkString(text.into());
    let wanted = [
        (PushKind::Subscribe, vec![text("pushed"), Value::Int(1)]),
        (PushKind::PSubscribe, vec![text("push*"), Value::Int(2)]),
        (PushKind::Message, vec![text("pushed"), text("hello")]),
        (PushKind::PMessage, vec![text("push*"), text("pushed"), text("hello")]),
    ];
    let got: Vec<PushInfo> = pushed.try_iter().collect();
    let wanted: Vec<PushInfo> =
        wanted.into_iter().map(|(kind, data)| PushInfo { kind, data }).collect();
    assert_eq!(got, wanted);
    Ok(())
}

/// The client that has waited longest is served first; and LMOVE serves a client of its target.
fn blocking(client: &Client) -> RedisResult<()> {
    let mut db = connect(client);
    thread::scope(|scope| -> RedisResult<()> {
        let mut waiting = Vec::new();
        for n in 0..4_u64 {
            waiting.push(scope.spawn(move || {
                let keys = ["jobs", "other"];
                connect(client).blpop::<_, (String, u64)>(&keys, 30.0).expect("an item")
            }));
            until_blocked(&mut db, n + 1);
        }
        for (n, key) in ["jobs", "other", "other", "jobs"].into_iter().enumerate() {
            let () = db.rpush(key, n)?;
        }
        let served: Vec<_> = waiting.into_iter().map(|one| one.join().expect("served")).collect();
        let wanted = [("jobs", 0), ("other", 1), ("other", 2), ("jobs", 3)];
        assert_eq!(served, wanted.map(|(key, n)| (key.to_owned(), n)));

        let moved = scope.spawn(|| {
            let (from, to) = (Direction::Right, Direction::Left);
            connect(client).blmove::<_, _, String>("source", "target", from, to, 30.0)
        });
        let popped = scope.spawn(|| connect(client).brpop::<_, (String, String)>("target", 30.0));
        let least =
            scope.spawn(|| connect(client).bzpopmin::<_, (String, String, f64)>("scores", 30.0));
        until_blocked(&mut db, 3);
        let () = db.lpush("source", "item")?;
        let () = db.zadd_multiple("scores", &[(2, "b"), (1, "a")])?;
        assert_eq!(moved.join().expect("moved")?, "item");
        assert_eq!(popped.join().expect("popped")?, ("target".into(), "item".into()));
        assert_eq!(least.join().expect("popped")?, ("scores".into(), "a".into(), 1.0));
        Ok(())
    })?;
    assert_eq!(db.blpop::<_, Option<(String, String)>>("nothing", 0.05)?, None);
    Ok(())
}

fn scans(client: &Client) -> RedisResult<()> {
    let mut db = connect(client);
    let keys: BTreeMap<String, u64> = (0..2_000).map(|n| (format!("scan:{n}"), n)).collect();
    let pairs: Vec<(&String, &u64)> = keys.iter().collect();
    let () = db.mset(&pairs)?;
    let () = db.hset_multiple("hash", &pairs)?;
    let found: BTreeSet<String> = db.scan_match("scan:*")?.collect();
    assert!(found.iter().eq(keys.keys()), "{} keys", found.len());
    let fields: BTreeMap<String, u64> = db.hscan("hash")?.collect();
    assert_eq!(fields, keys);
    Ok(())
}

fn types(client: &Client) -> RedisResult<()> {
    let mut db = connect(client);
    let () = db.hset_multiple("h", &[("a", "1"), ("b", "x")])?;
    let fields: BTreeMap<String, String> = db.hgetall("h")?;
    assert_eq!(fields, BTreeMap::from([("a", "1"), ("b", "x")].map(|(k, v)| (k.into(), v.into()))));
    let () = db.zadd_multiple("z", &[(1.0, "a"), (2.5, "b"), (f64::INFINITY, "c")])?;
    let top: Vec<(String, f64)> = db.zrevrange_withscores("z", 0, 1)?;
    assert_eq!(top, [("c".to_owned(), f64::INFINITY), ("b".to_owned(), 2.5)]);
    let () = db.sadd("s", &["a", "b", "a"])?;
    assert_eq!(db.smembers::<_, BTreeSet<String>>("s")?.len(), 2);
    let () = db.set_ex("k", "v", 100)?;
    assert!((1..=100).contains(&db.ttl::<_, i64>("k")?));
    let refused = db.lpush::<_, _, u64>("k", "x").expect_err("another type");
    assert_eq!(refused.code(), Some("WRONGTYPE"), "{refused}");
    Ok(())
}
