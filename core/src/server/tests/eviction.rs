//! `maxmemory` and `maxmemory-clients`.

use super::*;
use crate::machine::Vitals;

/// A numeric field of INFO.
fn field(driver: &mut Driver, conn: ConnId, name: &str) -> u64 {
    number(&driver.line(conn, "info everything"), name)
}

fn number(info: &str, name: &str) -> u64 {
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {name}: {info}"))
}

/// A primary with a hundred keys of ten thousand bytes, and a replica of it.
fn primary(config: &str) -> (Driver, ConnId, ConnId) {
    let config = format!("maxmemory-policy allkeys-random\nrepl-diskless-sync-delay 0\n{config}");
    let mut driver = Driver::new(&config);
    let (conn, replica) = (driver.connect(), driver.connect());
    for n in 0..100 {
        driver.line(conn, &format!("setrange key:{n} 10000 x"));
    }
    driver.line(replica, "replconf listening-port 7000 capa eof capa psync2");
    driver.line(replica, "psync ? -1");
    driver.pass(Duration::from_secs(2));
    driver.line(replica, "replconf ack 1");
    assert!(driver.line(conn, "info replication").contains("state=online"));
    (driver, conn, replica)
}

#[test]
fn output_of_replicas_does_not_cause_evictions() {
    let (mut driver, conn, replica) = primary("");
    let before = field(&mut driver, conn, "used_memory");
    let limit = before - field(&mut driver, conn, "mem_not_counted_for_evict") + 32 * 1024;
    driver.line(conn, &format!("config set maxmemory {limit} repl-backlog-size 16384"));
    driver.not_reading = Some(replica);
    let value = "x".repeat(100);
    for _ in 0..20_000 {
        driver.line(conn, &format!("setrange key:0 0 {value}"));
    }
    driver.pass(Duration::from_secs(1));
    assert_eq!(driver.line(conn, "dbsize"), ":100\r\n");
    assert_eq!(field(&mut driver, conn, "evicted_keys"), 0);
    let unread = field(&mut driver, conn, "mem_clients_slaves");
    assert!(unread > 2 << 20, "{unread}");
    // The difference is the memory that does not count.
    let used = field(&mut driver, conn, "used_memory");
    let counted = used - field(&mut driver, conn, "mem_not_counted_for_evict");
    assert!(used > before + (2 << 20) && counted <= limit, "{counted} of {used}");
    // The replica disconnects, and what was kept for it is freed.
    driver.line(conn, "client kill type slave");
    driver.pass(Duration::from_secs(1));
    assert_eq!(field(&mut driver, conn, "mem_clients_slaves"), 0);
    let used = field(&mut driver, conn, "used_memory");
    assert!(used <= limit + 64 * 1024, "{used} of {limit}");
    assert_eq!(driver.line(conn, "dbsize"), ":100\r\n");
}

#[test]
fn nothing_is_evicted_while_data_is_loaded() {
    let mut driver = Driver::new("save \"\"");
    let conn = driver.connect();
    for n in 0..2_000 {
        driver.line(conn, &format!("set key:{n} value"));
    }
    driver.line(conn, "save");
    let files = Files { all: driver.files.all, ..Files::default() };
    let config = "maxmemory 1000000\nmaxmemory-policy allkeys-lru\nkey-load-delay 100\n\
                  loading-process-events-interval-bytes 1024";
    let mut driver = Driver::with_files(config, files);
    driver.pass(Duration::from_millis(50));
    let conn = driver.connect();
    while field(&mut driver, conn, "loading") == 1 {
        assert_eq!(field(&mut driver, conn, "evicted_keys"), 0);
        driver.pass(Duration::from_millis(10));
    }
    // Only now the limit is noticed.
    driver.pass(Duration::from_secs(1));
    assert!(field(&mut driver, conn, "evicted_keys") > 100);
    // The client that asks uses some memory itself.
    assert!(field(&mut driver, conn, "used_memory") < 1_001_000);
}

#[test]
fn memory_statistics_add_up() {
    let (mut driver, conn, replica) = primary("");
    driver.line(conn, "expire key:1 100");
    driver.input(Input::Vitals(Vitals { resident: 50_000_000, ..Vitals::default() }));
    driver.not_reading = Some(replica);
    driver.line(conn, &format!("set other {}", "x".repeat(100_000)));
    let info = driver.line(conn, "info memory");
    let get = |name| number(&info, name);
    let used = get("used_memory");
    assert_eq!(get("allocator_allocated"), used);
    assert_eq!(get("allocator_active"), 50_000_000);
    assert_eq!(get("allocator_frag_bytes"), 50_000_000 - used);
    assert_eq!(get("mem_fragmentation_bytes"), 50_000_000 - used);
    assert_eq!(get("used_memory_overhead") + get("used_memory_dataset"), used);
    assert!(get("used_memory_dataset") > 1_000_000);
    assert!(get("used_memory_overhead") > get("used_memory_startup"));
    // MEMORY STATS has the same figures, plus those of each database.
    let stats = driver.line(conn, "memory stats");
    let backlog = get("mem_replication_backlog");
    assert!(stats.contains(&format!("$19\r\nreplication.backlog\r\n:{backlog}\r\n")), "{stats}");
    assert!(stats.contains("db.0\r\n*6\r\n") && !stats.contains("hashtable.expires\r\n:0\r\n"));
    assert!(stats.starts_with("*56\r\n"), "{stats}");
}

#[test]
fn maxmemory_clients_evicts_the_largest_clients_first() {
    let mut driver = Driver::new("maxmemory 10000000\nmaxmemory-clients 10%");
    let (small, large, spared) = (driver.connect(), driver.connect(), driver.connect());
    driver.line(spared, "client no-evict on");
    // Memory for an argument is allocated when its length is known.
    let begin = |bytes: usize| format!("*1\r\n${bytes}\r\n{}", "x".repeat(bytes)).into_bytes();
    driver.send(spared, &begin(524_000));
    driver.send(large, &begin(131_000));
    driver.send(small, &begin(65_000));
    assert!(driver.closing.is_empty(), "all together take less");
    // Each client counts 16 KB more, for the reply buffer that it has in Redis.
    for _ in 0..3 {
        let more = driver.connect();
        driver.send(more, &begin(65_000));
    }
    assert!(driver.is_closed(large), "the largest that is not spared");
    assert!(!driver.is_closed(spared) && !driver.is_closed(small));
    let conn = driver.connect();
    assert!(driver.line(conn, "info stats").contains("evicted_clients:1\r\n"));
}

#[test]
fn client_eviction_counts_the_memory_that_client_list_shows() {
    let mut driver = Driver::new("");
    let control = driver.connect();
    driver.line(control, "client no-evict on");
    let clients: Vec<_> = (0..4).map(|_| driver.connect()).collect();
    for client in &clients {
        driver.send(*client, &[b"*1\r\n$100000\r\n", &[b'x'; 99_000][..]].concat());
    }
    let list = driver.send(control, &encoded(&["client", "list"]));
    let field = |name: &str| -> Vec<u64> {
        let values = list.split(' ').filter_map(|field| field.strip_prefix(name));
        values.map(|value| value.parse().expect("a number")).collect()
    };
    assert_eq!(field("qbuf=")[1..], [99_000; 4], "of an argument, without what announces it");
    let memory = field("tot-mem=");
    let limit = memory[0] + 2 * memory[1];
    driver.send(control, &encoded(&["config", "set", "maxmemory-clients", &limit.to_string()]));
    let closed = clients.iter().filter(|client| driver.is_closed(**client)).count();
    assert_eq!(closed, 2);
}

#[test]
fn a_command_counts_one_access_to_its_key() {
    let mut d = Driver::new("maxmemory-policy allkeys-lfu\nlfu-log-factor 0");
    let conn = d.connect();
    // A new key starts with 5. With this factor every access counts.
    for (line, freq) in [
        ("set n 1", 5),
        ("incr n", 6),
        ("incrbyfloat n 1.5", 7),
        ("get n", 8),
        ("copy n m", 9),
        ("object freq n", 9),
    ] {
        d.line(conn, line);
        assert_eq!(d.line(conn, "object freq n"), format!(":{freq}\r\n"), "{line}");
    }
    assert_eq!(d.line(conn, "object freq m"), ":5\r\n");
}
