//! The append-only file, on a disk that completes operations on request.

use super::persistence::{info, logged, populate, restarted};
use super::*;
use crate::machine::DiskErrorKind;

const AOF: &str = "appendonly yes\nappendfsync always\nsave \"\"\nenable-debug-command yes";

/// Completes pending disk operations: all, or this many.
fn complete_disk(d: &mut Driver, most: usize) {
    for _ in 0..most {
        if d.disk.is_empty() {
            return;
        }
        let (op, what) = d.disk.remove(0);
        let dead = core::mem::replace(&mut d.files.dead, false);
        let result = d.files.carry_out(&what).expect("something for the disk");
        d.files.dead = dead;
        d.input(Input::Disk { op, result });
        d.pass(Duration::ZERO);
    }
}

#[test]
fn files_can_be_loaded_whenever_and_however_a_rewrite_is_interrupted() {
    for end in
        ["config set appendonly no", "shutdown nosave force", "debug loadaof", "debug reload"]
    {
        for steps in 0..40 {
            let mut d = Driver::new(AOF);
            let (a, b) = (d.connect(), d.connect());
            populate(&mut d, a, 50);
            d.line(a, "bgrewriteaof");
            populate(&mut d, a, 60);
            d.pass(Duration::from_secs(1));
            let digest = d.line(a, "debug digest");
            // From here on the disk completes operations only on request.
            d.files.dead = true;
            d.send(a, b"bgrewriteaof\r\n");
            complete_disk(&mut d, steps);
            d.send(b, format!("{end}\r\n").as_bytes());
            d.files.dead = false;
            complete_disk(&mut d, usize::MAX);
            d.pass(Duration::from_secs(5));
            complete_disk(&mut d, usize::MAX);
            let d = restarted(&d, AOF);
            assert_eq!(d.exit, None, "{end} after {steps}: {:#?} {:?}", d.log, d.files.all.keys());
            let mut d = d;
            let conn = d.connect();
            assert_eq!(d.line(conn, "debug digest"), digest, "{end} after {steps}: {:#?}", d.log);
        }
    }
}

#[test]
fn the_file_may_be_turned_off_and_on_at_any_moment_of_a_rewrite() {
    for steps in 0..40 {
        for more in [0, 1, 3] {
            let mut d = Driver::new(AOF);
            let (a, b) = (d.connect(), d.connect());
            populate(&mut d, a, 50);
            d.files.dead = true;
            d.send(a, b"bgrewriteaof\r\n");
            complete_disk(&mut d, steps);
            d.send(b, b"config set appendonly no\r\n");
            complete_disk(&mut d, more);
            d.send(b, b"config set appendonly yes\r\n");
            d.files.dead = false;
            complete_disk(&mut d, usize::MAX);
            d.pass(Duration::from_secs(5));
            complete_disk(&mut d, usize::MAX);
            let conn = d.connect();
            assert_eq!(d.line(conn, "set last 1"), "+OK\r\n", "{steps}/{more}");
            d.pass(Duration::from_secs(5));
            let context = format!("{steps}/{more}: {:#?}", d.log);
            assert_eq!(info(&mut d, conn, "aof_enabled"), "1", "{context}");
            assert_eq!(info(&mut d, conn, "aof_rewrite_in_progress"), "0", "{context}");
            let digest = d.line(conn, "debug digest");
            let mut d = restarted(&d, AOF);
            assert_eq!(d.exit, None, "{context} {:#?}", d.log);
            let conn = d.connect();
            assert_eq!(d.line(conn, "debug digest"), digest, "{context}");
        }
    }
}

#[test]
fn a_shutdown_waits_for_the_end_of_a_reload() {
    for (command, text) in [("debug reload", "save 3600 1"), ("debug loadaof", "appendonly yes")] {
        let text = format!("{text}\nenable-debug-command yes");
        for steps in 0..12 {
            let mut d = Driver::new(&text);
            let conn = d.connect();
            populate(&mut d, conn, 50);
            let digest = d.line(conn, "debug digest");
            d.files.dead = true;
            d.send(conn, format!("{command}\r\n").as_bytes());
            complete_disk(&mut d, steps);
            d.input(Input::Signal(Signal::Terminate));
            d.files.dead = false;
            complete_disk(&mut d, usize::MAX);
            d.pass(Duration::from_secs(20));
            complete_disk(&mut d, usize::MAX);
            assert_eq!(d.exit, Some(0), "{command} after {steps}: {:#?}", d.log);
            let mut d = restarted(&d, &text);
            let conn = d.connect();
            assert_eq!(d.line(conn, "debug digest"), digest, "{command} after {steps}");
        }
    }
}

const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";

/// The name of the nth incremental file.
fn incr(n: u32) -> String {
    format!("appendonlydir/appendonly.aof.{n}.incr.aof")
}

/// A server that finds these incremental files when it starts.
fn starting(parts: &[Vec<u8>]) -> Driver {
    let mut files = Files::default();
    let mut manifest = String::new();
    for (n, part) in (1..).zip(parts) {
        files.all.insert(incr(n), part.clone());
        manifest.push_str(&format!("file appendonly.aof.{n}.incr.aof seq {n} type i\n"));
    }
    files.all.insert(MANIFEST.to_owned(), manifest.into_bytes());
    Driver::with_files(AOF, files)
}

#[test]
fn a_file_torn_inside_a_transaction_is_truncated_before_it() {
    let before = [encoded(&["SELECT", "0"]), encoded(&["SET", "k", "v"])].concat();
    let begun = [encoded(&["MULTI"]), encoded(&["SET", "half", "1"])].concat();
    let torn = [&before[..], &begun, b"*3\r\n$3\r\nSET\r\n$4\r\nha"].concat();
    for torn in
        [torn.clone(), [&before[..], &begun].concat(), [&before[..], b"*1\r\n$5\r\nMU"].concat()]
    {
        let mut d = starting(&[torn]);
        let conn = d.connect();
        assert_eq!(d.files.all[&incr(1)], before, "{:?}", d.log);
        // New commands are not part of the torn transaction.
        assert_eq!(d.line(conn, "set later 1"), "+OK\r\n");
        let mut d = restarted(&d, AOF);
        let conn = d.connect();
        assert_eq!(d.line(conn, "mget k half later"), "*3\r\n$1\r\nv\r\n$-1\r\n$1\r\n1\r\n");
    }
    // The log gives the same offset, for a person who has to truncate the file.
    let mut broken = torn;
    broken.extend(b"\0\0\0\0*1\r\n$4\r\nEXEC\r\n");
    let d = starting(&[broken]);
    assert_eq!(d.exit, Some(1));
    let told =
        format!("The AOF file appendonly.aof.1.incr.aof is in order up to byte {}.", before.len());
    assert!(logged(&d, &told), "{told} in {:#?}", d.log);
}

#[test]
fn the_file_before_an_empty_one_may_be_torn() {
    let whole = [encoded(&["SELECT", "0"]), encoded(&["SET", "k", "v"])].concat();
    let torn = [&whole[..], b"*3\r\n$3\r\nSE"].concat();
    let mut d = starting(&[whole.clone(), torn.clone(), Vec::new()]);
    let conn = d.connect();
    assert_eq!(d.files.all[&incr(2)], whole, "{:?}", d.log);
    assert_eq!(d.line(conn, "set l w"), "+OK\r\n");
    assert!(!d.files.all[&incr(3)].is_empty(), "the last one is appended to");
    let mut d = restarted(&d, AOF);
    let conn = d.connect();
    assert_eq!(d.line(conn, "mget k l"), "*2\r\n$1\r\nv\r\n$1\r\nw\r\n");
    // A file before one that is not empty may not be torn.
    let d = starting(&[torn, whole]);
    assert_eq!(d.exit, Some(1));
    assert!(logged(&d, "Fatal error: the truncated file is not the last file"), "{:?}", d.log);
}

#[test]
fn turning_the_file_off_during_a_rewrite_loses_no_acknowledged_write() {
    for again in [false, true] {
        for steps in 0..30 {
            let mut d = Driver::new(AOF);
            let (a, b, c) = (d.connect(), d.connect(), d.connect());
            populate(&mut d, a, 5);
            d.files.dead = true;
            d.send(a, b"bgrewriteaof\r\n");
            complete_disk(&mut d, steps);
            let mut reply = d.send(b, b"set behind 1\r\n");
            while reply.is_empty() {
                complete_disk(&mut d, 1);
                reply = d.take(b);
            }
            assert_eq!(reply, "+OK\r\n");
            let check = |d: &Driver, what: &str| {
                let context = format!("{what}, {steps} steps, again {again}: {:#?}", d.log);
                let mut d = restarted(d, AOF);
                assert_eq!(d.exit, None, "{context} {:#?}", d.log);
                let conn = d.connect();
                assert_eq!(
                    d.line(conn, "mget key:4 behind"),
                    "*2\r\n$7\r\nvalue:4\r\n$1\r\n1\r\n",
                    "{context}"
                );
            };
            d.send(c, b"config set appendonly no\r\n");
            check(&d, "killed when it was turned off");
            if again {
                d.send(c, b"config set appendonly yes\r\n");
            }
            while !d.disk.is_empty() {
                complete_disk(&mut d, 1);
                check(&d, "killed later");
            }
        }
    }
}

#[test]
fn a_new_file_replaces_an_old_one_of_the_same_name() {
    let mut d = starting(&[]);
    let stale = encoded(&["SET", "stale", "1"]);
    // A rewrite without an append-only file leaves a manifest with only its base.
    let base = "appendonlydir/appendonly.aof.1.base.aof".to_owned();
    d.files.all.insert(base, encoded(&["SET", "k", "v"]));
    let manifest = b"file appendonly.aof.1.base.aof seq 1 type b\n".to_vec();
    d.files.all.insert(MANIFEST.to_owned(), manifest);
    d.files.all.insert(incr(1), stale);
    let mut d = restarted(&d, AOF);
    let conn = d.connect();
    assert_eq!(d.line(conn, "set l w"), "+OK\r\n");
    let mut d = restarted(&d, AOF);
    let conn = d.connect();
    assert_eq!(d.line(conn, "mget k l stale"), "*3\r\n$1\r\nv\r\n$1\r\nw\r\n$-1\r\n");
}

#[test]
fn waitaof_does_not_count_what_could_not_be_appended() {
    let mut d = Driver::new("appendonly yes\nappendfsync everysec\nsave \"\"");
    let conn = d.connect();
    d.line(conn, "set a 1");
    // There has just been an fsync, so this write waits for the next.
    d.line(conn, "set a 2");
    // The next append is not completed before an fsync is due that covers the previous one as well.
    d.files.dead = true;
    d.mono += Duration::from_secs(1);
    d.line(conn, "set a 3");
    let ops = core::mem::take(&mut d.disk);
    let [(append, DiskOp::Append { .. }), (sync, DiskOp::Sync { .. })] = &ops[..] else {
        panic!("{ops:?}");
    };
    let error =
        DiskError { kind: DiskErrorKind::NoSpace, message: "No space left on device".into() };
    d.input(Input::Disk { op: *append, result: Err(error) });
    d.input(Input::Disk { op: *sync, result: Ok(DiskDone::Done) });
    assert_eq!(d.take(conn), "+OK\r\n", "the reply has waited for the append");
    assert_eq!(d.send(conn, b"waitaof 1 0 100\r\n"), "");
    d.pass(Duration::from_millis(200));
    assert_eq!(d.take(conn), "*2\r\n:0\r\n:0\r\n");
    // Once there is room it is written and fsynced.
    d.files.dead = false;
    complete_disk(&mut d, usize::MAX);
    d.send(conn, b"waitaof 1 0 0\r\n");
    d.pass(Duration::from_secs(5));
    assert_eq!(d.take(conn), "*2\r\n:1\r\n:0\r\n");
    assert!(logged(&d, "AOF write error looks solved, Redis can write again."), "{:?}", d.log);
}

#[test]
fn waitaof_does_not_count_writes_buffered_for_the_next_file() {
    let mut d = Driver::new("appendonly yes\nappendfsync everysec\nsave \"\"");
    let (a, b) = (d.connect(), d.connect());
    d.files.dead = true;
    d.line(a, "set k 1");
    complete_disk(&mut d, 1);
    // An fsync is in progress, and this write is being appended.
    d.line(a, "set k 2");
    d.send(b, b"bgrewriteaof\r\n");
    let (sync, append) = (d.disk.remove(0), d.disk.remove(0));
    assert!(matches!(sync.1, DiskOp::Sync { .. }), "{sync:?}");
    assert!(matches!(append.1, DiskOp::Append { .. }), "{append:?}");
    while !logged(&d, "Background append only file rewriting started") {
        complete_disk(&mut d, 1);
    }
    // This write comes after the new base, in a file that is not in the manifest yet.
    d.line(a, "set k 3");
    d.disk = vec![sync, append];
    for wanted in ["Sync", "Append", "Sync"] {
        assert!(format!("{:?}", d.disk[0].1).starts_with(wanted), "{wanted}: {:?}", d.disk);
        complete_disk(&mut d, 1);
    }
    d.take(a);
    assert_eq!(d.send(a, b"waitaof 1 0 0\r\n"), "");
    d.pass(Duration::from_millis(500));
    assert_eq!(d.take(a), "");
    d.files.dead = false;
    complete_disk(&mut d, usize::MAX);
    d.pass(Duration::from_secs(3));
    assert_eq!(d.take(a), "+OK\r\n*2\r\n:1\r\n:0\r\n");
}

#[test]
fn writes_are_refused_when_the_file_cannot_be_appended_to() {
    let text = "appendonly yes\nappendfsync everysec\nsave 3600 1\nstop-writes-on-bgsave-error no";
    let mut d = Driver::new(text);
    let conn = d.connect();
    assert_eq!(d.line(conn, "set k v"), "+OK\r\n");
    d.files.fault = Some(DiskErrorKind::NoSpace);
    d.line(conn, "bgsave");
    d.pass(Duration::from_secs(1));
    assert_eq!(info(&mut d, conn, "rdb_last_bgsave_status"), "err");
    // This write cannot be appended, and the next are refused.
    d.line(conn, "set k w");
    let refused = "-MISCONF Errors writing to the AOF file: No space left on device\r\n";
    assert_eq!(d.line(conn, "set k x"), refused);
    d.files.fault = None;
    d.pass(Duration::from_secs(2));
    assert_eq!(d.line(conn, "set k x"), "+OK\r\n");
}

#[test]
fn a_rewrite_keeps_function_libraries_with_either_format_of_the_base() {
    for preamble in ["yes", "no"] {
        let config = format!("{AOF}\naof-use-rdb-preamble {preamble}");
        let mut d = Driver::new(&config);
        let conn = d.connect();
        let library = "#!lua name=lib\nredis.register_function('answer', function() return 42 end)";
        d.send(conn, &encoded(&["function", "load", library]));
        d.line(conn, "bgrewriteaof");
        d.pass(Duration::from_secs(1));
        let mut d = restarted(&d, &config);
        let conn = d.connect();
        assert_eq!(d.line(conn, "fcall answer 0"), ":42\r\n", "preamble {preamble}");
    }
}

#[test]
fn one_config_set_turns_the_file_on_and_changes_port_or_directory() {
    for place in ["port 7777", "dir sub"] {
        let mut d = Driver::new("enable-protected-configs yes\nport 7000");
        let conn = d.connect();
        d.files.unopened = true;
        let mut reply = d.line(conn, &format!("config set {place} appendonly yes"));
        with_files(&mut d, &mut BTreeMap::new());
        reply += &d.take(conn);
        let error = "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - ";
        assert!(reply.starts_with(error), "{place}: {reply}");
        // Everything is undone: the listener and the files are where they were.
        with_files(&mut d, &mut BTreeMap::new());
        assert!(d.line(conn, "config get port").contains("\r\n7000\r\n"));
        assert!(d.line(conn, "info server").contains("port=7000"), "{place}");
        assert!(!d.line(conn, "config get dir").contains("/sub"), "{place}");
        assert_eq!(info(&mut d, conn, "aof_enabled"), "0");

        d.files.unopened = false;
        let mut reply = d.line(conn, &format!("config set {place} appendonly yes"));
        with_files(&mut d, &mut BTreeMap::new());
        reply += &d.take(conn);
        assert_eq!(reply, "+OK\r\n", "{place}");
        assert_eq!(info(&mut d, conn, "aof_enabled"), "1", "{place}");
        let shown = d.line(conn, "config get dir") + &d.line(conn, "info server");
        assert!(shown.contains("port=7777") || shown.contains("/sub"), "{place}: {shown}");
    }
}
