//! Saving and loading, on a disk that is fast, full or broken.

use super::*;
use crate::machine::DiskErrorKind;

const DUMP: &str = "dump.rdb";
const TEMPORARY: &str = "temp-1.rdb";

/// A field of INFO.
pub(super) fn info(d: &mut Driver, conn: ConnId, field: &str) -> String {
    let text = d.line(conn, "info persistence");
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("{field} in {text}")).to_owned()
}

fn wake_until(d: &mut Driver, conn: ConnId, field: &str, wanted: &str) {
    for _ in 0..10_000 {
        if info(d, conn, field) == wanted {
            return;
        }
        d.pass(Duration::from_millis(1));
    }
    panic!("{field} never becomes {wanted}");
}

/// A server with the files of this one, as if this one had been killed.
pub(super) fn restarted(d: &Driver, text: &str) -> Driver {
    Driver::with_files(text, Files { all: d.files.all.clone(), ..Files::default() })
}

pub(super) fn populate(d: &mut Driver, conn: ConnId, keys: usize) {
    for n in 0..keys {
        d.line(conn, &format!("set key:{n} value:{n}"));
    }
}

pub(super) fn logged(d: &Driver, text: &str) -> bool {
    d.log.iter().any(|line| line.contains(text))
}

#[test]
fn a_snapshot_is_point_in_time() {
    let mut d = Driver::new("save \"\"\nenable-debug-command yes");
    let conn = d.connect();
    populate(&mut d, conn, 3_000);
    d.line(conn, "rpush list a b c 1 2 3");
    d.send(conn, b"select 9\r\nhset hash f v\r\nset mortal v ex 1000\r\nselect 0\r\n");
    let digest = d.line(conn, "debug digest");
    assert_eq!(d.line(conn, "bgsave"), "+Background saving started\r\n");
    assert_eq!(d.line(conn, "bgsave"), "-ERR Background save already in progress\r\n");
    assert_eq!(d.line(conn, "save"), "-ERR Background save already in progress\r\n");
    // Everything changes between the slices.
    for n in 0..3_000 {
        d.line(conn, &format!("set key:{n} other"));
        if n % 10 == 0 {
            d.input(Input::Wake);
        }
    }
    d.send(conn, b"del list\r\nselect 9\r\nflushdb\r\nselect 0\r\n");
    wake_until(&mut d, conn, "rdb_bgsave_in_progress", "0");
    assert!(logged(&d, "Background saving terminated with success"));
    assert_eq!(d.files.all.keys().collect::<Vec<_>>(), [DUMP]);
    assert_eq!(info(&mut d, conn, "rdb_changes_since_last_save"), "3003");
    assert_ne!(info(&mut d, conn, "rdb_last_cow_size"), "0");

    let mut d = restarted(&d, "enable-debug-command yes");
    assert!(logged(&d, "Done loading RDB, keys loaded: 3003, keys expired: 0."), "{:?}", d.log);
    let conn = d.connect();
    assert_eq!(d.line(conn, "debug digest"), digest);
    assert_eq!(info(&mut d, conn, "rdb_last_load_keys_loaded"), "3003");
}

#[test]
fn clients_wait_while_save_runs() {
    let mut d = Driver::new("save \"\"");
    let (a, b) = (d.connect(), d.connect());
    d.line(a, "set k v");
    d.files.dead = true;
    d.send(a, b"save\r\nget k\r\n");
    assert_eq!(d.send(b, b"set k w\r\nget k\r\n"), "");
    // The disk completes operations again.
    d.files.dead = false;
    while !d.disk.is_empty() {
        for (op, what) in core::mem::take(&mut d.disk) {
            let result = d.files.carry_out(&what).expect("something for the disk");
            d.input(Input::Disk { op, result });
        }
    }
    d.pass(Duration::ZERO);
    assert_eq!(d.take(a), "+OK\r\n$1\r\nv\r\n");
    assert_eq!(d.take(b), "+OK\r\n$1\r\nw\r\n");
    let mut d = restarted(&d, "");
    let conn = d.connect();
    assert_eq!(d.line(conn, "get k"), "$1\r\nv\r\n");
}

#[test]
fn save_points_trigger_to_the_second() {
    let mut d = Driver::new("save 60 1 10 100");
    let conn = d.connect();
    let start = info(&mut d, conn, "rdb_last_save_time");
    d.pass(Duration::from_secs(1));
    d.line(conn, "set k v");
    d.pass(Duration::from_secs(58));
    assert_eq!(info(&mut d, conn, "rdb_saves"), "0");
    d.pass(Duration::from_secs(2));
    assert!(logged(&d, "1 changes in 60 seconds. Saving..."), "{:?}", d.log);
    assert_eq!(info(&mut d, conn, "rdb_saves"), "1");
    assert_eq!(info(&mut d, conn, "rdb_changes_since_last_save"), "0");
    assert_ne!(info(&mut d, conn, "rdb_last_save_time"), start);
    populate(&mut d, conn, 100);
    d.pass(Duration::from_secs(11));
    assert!(logged(&d, "100 changes in 10 seconds. Saving..."));
    // Nothing to save, no reason to wake up.
    assert_eq!(d.server.poll_timeout(), None);
    d.line(conn, "config set save \"\"");
    populate(&mut d, conn, 100);
    d.pass(Duration::from_secs(100));
    assert_eq!(info(&mut d, conn, "rdb_saves"), "2");
}

#[test]
fn a_full_disk_stops_writes_until_saving_works_again() {
    let mut d = Driver::new("save 60 1");
    let conn = d.connect();
    d.line(conn, "set k old");
    d.line(conn, "save");
    let old = d.files.all.clone();
    d.files.fault = Some(DiskErrorKind::NoSpace);
    d.line(conn, "set k new");
    d.line(conn, "bgsave");
    wake_until(&mut d, conn, "rdb_bgsave_in_progress", "0");
    assert_eq!(info(&mut d, conn, "rdb_last_bgsave_status"), "err");
    assert_eq!(d.files.all, old, "the old dump stays, and nothing else");
    for line in [
        "Write error while saving DB to the disk(rdbSaveRio): No space left on device",
        "The data was not saved to 'dump.rdb' in '/'",
        "Background saving error",
    ] {
        assert!(logged(&d, line), "{line} in {:?}", d.log);
    }
    for command in ["set k v", "ping", "del k"] {
        assert!(d.line(conn, command).starts_with("-MISCONF Redis is configured to save RDB"));
    }
    assert_eq!(d.send(conn, b"get k\r\n"), "$3\r\nnew\r\n");
    d.send(conn, b"multi\r\nset k v\r\n");
    assert!(d.line(conn, "exec").starts_with("-EXECABORT"));
    d.line(conn, "config set stop-writes-on-bgsave-error no");
    assert_eq!(d.line(conn, "set k newer"), "+OK\r\n");
    d.line(conn, "config set stop-writes-on-bgsave-error yes");
    // It is retried after at least five seconds.
    d.line(conn, "config set save \"1 1\"");
    let saves = info(&mut d, conn, "rdb_saves");
    d.pass(Duration::from_secs(4));
    assert_eq!(info(&mut d, conn, "rdb_saves"), saves);
    d.files.fault = None;
    d.pass(Duration::from_secs(3));
    assert_eq!(info(&mut d, conn, "rdb_last_bgsave_status"), "ok");
    assert_eq!(d.line(conn, "set k v"), "+OK\r\n");
    let mut d = restarted(&d, "");
    let conn = d.connect();
    assert_eq!(d.line(conn, "get k"), "$5\r\nnewer\r\n");
}

#[test]
fn the_log_names_a_missing_directory() {
    let mut d = Driver::new("save \"\"");
    let conn = d.connect();
    d.files.fault = Some(DiskErrorKind::NotFound);
    assert_eq!(d.line(conn, "save"), "-ERR\r\n");
    assert!(logged(&d, "Bring the directory back, or let CONFIG SET dir name another"));
    assert!(d.files.all.is_empty());
    assert_eq!(d.line(conn, "ping"), "+PONG\r\n");
}

#[test]
fn a_server_killed_while_saving_leaves_the_old_dump() {
    let mut d = Driver::new("save \"\"\nrdb-key-save-delay 1000");
    let conn = d.connect();
    d.line(conn, "set k old");
    d.line(conn, "save");
    d.line(conn, "set k new");
    populate(&mut d, conn, 500);
    d.line(conn, "bgsave");
    d.pass(Duration::from_millis(100));
    assert_eq!(info(&mut d, conn, "rdb_bgsave_in_progress"), "1");
    assert!(d.files.all.contains_key(TEMPORARY));
    let mut d = restarted(&d, "");
    let conn = d.connect();
    assert_eq!(d.line(conn, "get k"), "$3\r\nold\r\n");
    assert_eq!(d.line(conn, "dbsize"), ":1\r\n");
}

#[test]
fn flushall_ends_a_snapshot_and_empties_the_dump() {
    let mut d = Driver::new("rdb-key-save-delay 1000");
    let conn = d.connect();
    populate(&mut d, conn, 500);
    d.line(conn, "bgsave");
    assert_eq!(d.line(conn, "flushall"), "+OK\r\n");
    assert!(logged(&d, "Background saving terminated by signal 10"));
    assert_eq!(info(&mut d, conn, "rdb_bgsave_in_progress"), "0");
    assert_eq!(info(&mut d, conn, "rdb_changes_since_last_save"), "0");
    assert_eq!(d.files.all.keys().collect::<Vec<_>>(), [DUMP]);
    let mut d = restarted(&d, "");
    let conn = d.connect();
    assert_eq!(d.line(conn, "dbsize"), ":0\r\n");
    // Without save points the old dump stays.
    d.line(conn, "config set save \"\"");
    populate(&mut d, conn, 5);
    let before = d.files.all.clone();
    d.line(conn, "flushall");
    assert_eq!(d.files.all, before);
    assert_eq!(info(&mut d, conn, "rdb_changes_since_last_save"), "10");
}

#[test]
fn a_corrupt_dump_stops_the_server_and_is_left_unchanged() {
    let mut d = Driver::new("save \"\"");
    let conn = d.connect();
    populate(&mut d, conn, 100);
    d.line(conn, "save");
    let good = d.files.all[DUMP].clone();
    let mut flipped = good.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let cases = [
        (flipped, "-> RDB CRC error"),
        (good[..good.len() - 20].to_vec(), "Unexpected EOF reading RDB file"),
        (b"nothing of the kind".to_vec(), "Wrong signature trying to load DB from file"),
        (b"REDIS0099 and so on".to_vec(), "Can't handle RDB format version 99"),
        (Vec::new(), "Unexpected EOF"),
    ];
    for (bytes, reason) in cases {
        let mut files = Files::default();
        files.all.insert(DUMP.into(), bytes);
        let d = Driver::with_files("", files.clone());
        assert_eq!(d.exit, Some(1), "{reason}");
        assert!(logged(&d, reason), "{reason} in {:?}", d.log);
        assert!(logged(&d, "reading offset"));
        let last = d.log.last().map(String::as_str);
        assert_eq!(last, Some("Fatal error loading the DB, check server logs. Exiting."));
        assert_eq!(d.files.all, files.all);
    }
}

#[test]
fn a_dump_read_in_many_chunks_is_loaded_completely() {
    let mut d = Driver::new("save \"\"\nrdbcompression no\nenable-debug-command yes");
    let conn = d.connect();
    let value = "x".repeat(3_000);
    for n in 0..2_000 {
        d.line(conn, &format!("set key:{n} {value}"));
    }
    let digest = d.line(conn, "debug digest");
    // File ends between and within slices.
    for n in 0..5 {
        d.line(conn, "save");
        let mut reply = d.line(conn, "debug reload nosave");
        d.pass(Duration::from_secs(1));
        reply += &d.take(conn);
        assert_eq!(reply, "+OK\r\n", "{n}: {:?}", d.log.last());
        assert_eq!(d.line(conn, "debug digest"), digest);
        d.line(conn, &format!("del key:{n}"));
        d.line(conn, &format!("set key:{n} {value}"));
    }
}

#[test]
fn expired_keys_are_not_loaded() {
    let mut d = Driver::new("save \"\"\nenable-debug-command yes");
    let conn = d.connect();
    d.line(conn, "debug set-active-expire 0");
    d.send(conn, b"set a v px 10\r\nset b v ex 100\r\n");
    d.pass(Duration::from_secs(1));
    d.line(conn, "save");
    let mut d = {
        let files = Files { all: d.files.all.clone(), ..Files::default() };
        let mono = d.mono;
        let mut later = Driver::with_files("", files.clone());
        later.mono = mono;
        // The same start, a second later.
        later.server = Server::new(Config::default(), Facts::default());
        later.log.clear();
        later.input(Input::Start);
        later
    };
    assert!(logged(&d, "keys loaded: 1, keys expired: 1."), "{:?}", d.log);
    let conn = d.connect();
    assert_eq!(info(&mut d, conn, "rdb_last_load_keys_expired"), "1");
}

#[test]
fn a_server_that_loads_for_long_answers_loading() {
    let mut d = Driver::new("save \"\"");
    let conn = d.connect();
    populate(&mut d, conn, 2_000);
    d.line(conn, "save");
    let text = "key-load-delay 100\nloading-process-events-interval-bytes 1024";
    let mut d = restarted(&d, text);
    assert!(!logged(&d, "Ready to accept connections tcp"));
    d.pass(Duration::from_millis(50));
    let conn = d.connect();
    let loading = "-LOADING Redis is loading the dataset in memory\r\n";
    assert_eq!(d.line(conn, "get key:1"), loading);
    assert_eq!(d.line(conn, "ping"), loading);
    assert_eq!(info(&mut d, conn, "loading"), "1");
    assert_ne!(info(&mut d, conn, "loading_loaded_perc"), "0.00");
    assert_eq!(d.line(conn, "multi"), "+OK\r\n");
    assert_eq!(d.line(conn, "get key:1"), loading);
    assert!(d.line(conn, "exec").starts_with("-EXECABORT"));
    // A shutdown must not save partially loaded data.
    let before = d.files.all.clone();
    let mut ended = d.clone();
    ended.input(Input::Signal(Signal::Terminate));
    assert_eq!((ended.exit, &ended.files.all), (Some(0), &before));
    d.pass(Duration::from_secs(1));
    assert_eq!(d.line(conn, "get key:1"), "$7\r\nvalue:1\r\n");
    assert!(logged(&d, "Ready to accept connections tcp"));
}

#[test]
fn debug_reload_restores_the_data() {
    let mut d = Driver::new("save \"\"\nenable-debug-command yes");
    let (conn, other) = (d.connect(), d.connect());
    populate(&mut d, conn, 200);
    let digest = d.line(conn, "debug digest");
    d.send(other, b"watch key:1\r\n");
    assert_eq!(d.line(conn, "debug reload"), "+OK\r\n");
    assert_eq!(d.line(conn, "debug digest"), digest);
    assert_eq!(d.send(other, b"multi\r\nping\r\nexec\r\n"), "+OK\r\n+QUEUED\r\n*-1\r\n");
    d.line(conn, "set key:1 changed");
    d.line(conn, "set more v");
    assert_eq!(
        d.line(conn, "debug reload nosave noflush"),
        "-ERR Error trying to load the RDB dump, check server logs.\r\n"
    );
    assert_eq!(d.line(conn, "debug reload nosave noflush merge"), "+OK\r\n");
    assert_eq!(d.line(conn, "get key:1"), "$7\r\nvalue:1\r\n");
    assert_eq!(d.line(conn, "exists more"), ":1\r\n");
    assert_eq!(d.line(conn, "debug reload nosave"), "+OK\r\n");
    assert_eq!(d.line(conn, "debug digest"), digest);
    assert!(d.line(conn, "debug reload sideways").starts_with("-ERR DEBUG RELOAD only supports"));
}

#[test]
fn a_shutdown_saves_or_is_refused() {
    let mut d = Driver::new("save 900 1");
    let (conn, other) = (d.connect(), d.connect());
    d.line(conn, "set k v");
    assert_eq!(d.line(conn, "shutdown abort"), "-ERR No shutdown in progress.\r\n");
    assert_eq!(d.line(conn, "shutdown save nosave"), "-ERR syntax error\r\n");
    let mut unsaved = d.clone();
    unsaved.line(conn, "shutdown nosave");
    assert_eq!((unsaved.exit, unsaved.files.all.len()), (Some(0), 0));

    d.files.fault = Some(DiskErrorKind::NoSpace);
    let refused = "-ERR Errors trying to SHUTDOWN. Check logs.\r\n";
    assert_eq!(d.line(conn, "shutdown"), refused);
    assert!(logged(&d, "Error trying to save the DB, can't exit."));
    assert_eq!(d.line(other, "get k"), "$1\r\nv\r\n");
    d.input(Input::Signal(Signal::Interrupt));
    assert_eq!(d.exit, None);
    // The first signal's shutdown was refused, so this is not a second signal.
    d.input(Input::Signal(Signal::Interrupt));
    assert_eq!(d.exit, None);
    let mut forced = d.clone();
    forced.line(conn, "shutdown force");
    assert_eq!(forced.exit, Some(0));

    d.files.fault = None;
    d.input(Input::Signal(Signal::Terminate));
    assert_eq!(d.exit, Some(0));
    let mut d = restarted(&d, "");
    let conn = d.connect();
    assert_eq!(d.line(conn, "get k"), "$1\r\nv\r\n");
}

#[test]
fn a_second_signal_ends_the_server_without_saving() {
    let mut d = Driver::new("save 900 1\nrdb-key-save-delay 100000");
    let conn = d.connect();
    populate(&mut d, conn, 20);
    d.input(Input::Signal(Signal::Interrupt));
    d.pass(Duration::from_millis(500));
    assert!(d.files.all.contains_key(TEMPORARY));
    d.input(Input::Signal(Signal::Interrupt));
    assert_eq!(d.exit, Some(1));
    assert!(d.files.all.is_empty());
}

#[test]
fn shutdown_abort_cancels_a_signal() {
    let mut d = Driver::new("enable-debug-command yes");
    let conn = d.connect();
    d.line(conn, "debug pause-cron 1");
    d.input(Input::Signal(Signal::Terminate));
    assert_eq!(d.exit, None);
    assert_eq!(d.line(conn, "shutdown abort"), "+OK\r\n");
    d.line(conn, "debug pause-cron 0");
    d.pass(Duration::from_secs(1));
    assert_eq!(d.exit, None);
    assert!(logged(&d, "Shutdown manually aborted."));
}

#[test]
fn a_scheduled_save_waits_for_the_end_of_the_transaction() {
    let mut d = Driver::new("save \"\"");
    let conn = d.connect();
    let text = d.send(conn, b"multi\r\nset a 1\r\nbgsave\r\nset b 2\r\nexec\r\n");
    assert!(text.contains("+Background saving scheduled\r\n"), "{text}");
    d.pass(Duration::from_secs(1));
    assert_eq!(info(&mut d, conn, "rdb_saves"), "1");
    let mut d = restarted(&d, "");
    let conn = d.connect();
    assert_eq!(d.line(conn, "dbsize"), ":2\r\n");
    assert_eq!(d.line(conn, "bgsave schedule"), "+Background saving started\r\n");
    assert_eq!(d.line(conn, "bgsave now"), "-ERR syntax error\r\n");
}

#[test]
fn function_libraries_are_saved_and_loaded() {
    use crate::persist::rdb::{WriteOptions, Writer};
    let mut writer = Writer::new(WriteOptions::default());
    writer.function(b"#!lua name=mine\nredis.register_function('f', function() end)");
    writer.finish();
    let mut files = Files::default();
    files.all.insert(DUMP.into(), writer.take());
    let mut d = Driver::with_files("", files);
    let conn = d.connect();
    d.line(conn, "save");
    let text = String::from_utf8_lossy(&d.files.all[DUMP]).into_owned();
    assert!(text.contains("name=mine"), "{text}");
}

#[test]
fn a_slowed_down_save_or_load_speeds_up_on_config_set() {
    let mut d = Driver::new("save \"\"");
    let conn = d.connect();
    populate(&mut d, conn, 200);
    d.line(conn, "config set rdb-key-save-delay 100000000");
    d.line(conn, "bgsave");
    d.pass(Duration::from_secs(3));
    assert_eq!(info(&mut d, conn, "rdb_bgsave_in_progress"), "1");
    d.line(conn, "config set rdb-key-save-delay 0");
    d.pass(Duration::from_millis(1));
    assert_eq!(info(&mut d, conn, "rdb_bgsave_in_progress"), "0");
    // So does a slow load.
    let slow = "key-load-delay 20000\nloading-process-events-interval-bytes 1024";
    let mut d = restarted(&d, slow);
    let conn = d.connect();
    d.pass(Duration::from_secs(3));
    assert!(d.line(conn, "get key:1").starts_with("-LOADING"));
    d.line(conn, "config set key-load-delay 0");
    d.pass(Duration::from_millis(1));
    assert_eq!(d.line(conn, "get key:1"), "$7\r\nvalue:1\r\n");
}

#[test]
fn partially_loaded_data_is_never_saved() {
    let mut d = Driver::new("save 1 1\nenable-debug-command yes");
    let conn = d.connect();
    populate(&mut d, conn, 400);
    d.line(conn, "save");
    let digest = d.line(conn, "debug digest");
    d.line(conn, "config set key-load-delay 20000 loading-process-events-interval-bytes 1024");
    // A change that triggers a save point.
    d.line(conn, "set key:0 value:0");
    d.send(conn, b"debug reload nosave\r\n");
    d.pass(Duration::from_secs(3));
    let other = d.connect();
    assert!(d.line(other, "get key:1").starts_with("-LOADING"));
    assert!(d.line(other, "debug reload").starts_with("-LOADING"));
    assert!(d.line(other, "debug loadaof").starts_with("-LOADING"));
    assert!(d.line(other, "config set timeout 1 appendonly yes").starts_with("-LOADING"));
    assert_eq!(d.line(other, "config set timeout 0"), "+OK\r\n");
    assert!(!logged(&d, "1 changes in 1 seconds. Saving..."), "{:?}", d.log);
    // A shutdown now keeps the existing dump.
    d.input(Input::Signal(Signal::Terminate));
    d.pass(Duration::from_secs(20));
    assert_eq!(d.exit, Some(0), "{:?}", d.log);
    let mut d = restarted(&d, "enable-debug-command yes");
    let conn = d.connect();
    assert_eq!(d.line(conn, "debug digest"), digest);
}
