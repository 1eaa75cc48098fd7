//! Rewrites without a server and without a disk: events in, actions out.

use super::*;
use crate::machine::DiskErrorKind;
use crate::persist::aof::Part;

/// The replication offset in these tests.
const OFFSET: i64 = 700;

/// A test harness: an append-only file whose actions are recorded in words.
struct Harness {
    aof: Aof,
    settings: AofSettings,
    now: u64,
    is_whole: bool,
    last_file: u64,
    /// Pending operations.
    disk: Vec<(DiskOp, Step)>,
    /// Recorded actions, abbreviated.
    done: Vec<String>,
}

impl Harness {
    /// With files for this state: `On` has a base and an open incremental file.
    fn new(state: State) -> Self {
        let mut aof = Aof { state, ..Aof::default() };
        if state == State::On {
            let text = b"file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n";
            aof.manifest = Manifest::parse(text).expect("a manifest");
            aof.log.open(FileId(1), 100);
        }
        let settings = AofSettings {
            appendfilename: "a".into(),
            appenddirname: "dir".into(),
            auto_aof_rewrite_percentage: 100,
            auto_aof_rewrite_min_size: 1_000,
            aof_use_rdb_preamble: true,
            ..AofSettings::default()
        };
        Self {
            aof,
            settings,
            now: 1_000,
            is_whole: true,
            last_file: 1,
            disk: Vec::new(),
            done: Vec::new(),
        }
    }

    fn event(&mut self, event: Event) {
        let mut ctx = Context {
            settings: &self.settings,
            pid: 42,
            now: Wall(self.now * 1_000_000),
            offset: OFFSET,
            is_whole: self.is_whole,
            reloading: false,
            copied: 5,
            last_file: &mut self.last_file,
        };
        for action in self.aof.rewrite_event(&mut ctx, event) {
            self.done.push(match &action {
                Action::Disk(what, _) => match what {
                    DiskOp::Open { path, .. } => format!("open {path}"),
                    DiskOp::Remove { path } => format!("remove {path}"),
                    DiskOp::Rename { from, to } => format!("rename {from} {to}"),
                    DiskOp::Replace { path, .. } => format!("write {path}"),
                    DiskOp::Close { file } => format!("close {}", file.0),
                    DiskOp::MakeDir { path } => format!("mkdir {path}"),
                    other => format!("{other:?}").to_lowercase(),
                },
                Action::Snapshot { path } => format!("snapshot {path}"),
                Action::KillSnapshot => "kill snapshot".into(),
                Action::Answer(_, result) => format!("answer {result:?}"),
                Action::Log(..) | Action::Resume => continue,
                Action::FollowersChanged => "followers".into(),
                Action::OffsetsChanged => "offsets".into(),
            });
            if let Action::Disk(what, Some(step)) = action {
                self.disk.push((what, step));
            }
        }
    }

    /// Completes the oldest disk operation.
    fn disk(&mut self) {
        let (what, step) = self.disk.remove(0);
        let opened = matches!(what, DiskOp::Open { mode: OpenMode::Read, .. });
        let done = if opened { DiskDone::Opened { len: 2_000 } } else { DiskDone::Done };
        self.event(Event::Disk(step, Ok(done)));
    }

    fn disk_fails(&mut self) {
        let (_, step) = self.disk.remove(0);
        let error = DiskError { kind: DiskErrorKind::NoSpace, message: "No space left".into() };
        self.event(Event::Disk(step, Err(error)));
    }

    /// The actions since the last call.
    fn done(&mut self) -> Vec<String> {
        mem::take(&mut self.done)
    }

    /// A rewrite requested by a client, up to the request for the snapshot.
    fn request_rewrite(&mut self) {
        self.event(Event::Begin { requester: Some(Requester::Client(7)) });
        self.disk();
        self.disk();
    }

    fn names(&self) -> (Option<String>, Vec<String>, usize) {
        let Manifest { base, incr, history, .. } = &self.aof.manifest;
        let name = |part: &Part| part.name.clone();
        (base.as_ref().map(name), incr.iter().map(name).collect(), history.len())
    }
}

/// The base, incremental files, and size of the history.
fn names(base: &str, incr: &[&str]) -> (Option<String>, Vec<String>, usize) {
    (Some(base.to_owned()), incr.iter().map(|name| (*name).to_owned()).collect(), 0)
}

#[test]
fn a_rewrite_replaces_the_base_and_keeps_commands_received_meanwhile() {
    let mut b = Harness::new(State::On);
    b.request_rewrite();
    assert_eq!(
        b.done(),
        [
            "mkdir dir",
            "syncdir { path: \".\" }",
            "remove dir/a.2.incr.aof",
            "open dir/a.2.incr.aof",
            "snapshot temp-rewriteaof-bg-42.aof"
        ]
    );
    assert!(b.aof.rewrite.is_on());
    b.event(Event::Snapshot { begun: true });
    assert_eq!(b.done(), ["answer Ok(\"Background append only file rewriting started\")"]);
    // The previous file is durable: the manifest names the new one, and commands go there.
    b.event(Event::Durable);
    b.event(Event::Durable);
    b.disk();
    assert_eq!(b.done(), ["write dir/a.manifest", "close 1"]);
    assert_eq!(b.names(), names("a.1.base.rdb", &["a.1.incr.aof", "a.2.incr.aof"]));
    b.now += 9;
    b.event(Event::SnapshotEnded(Ok(())));
    b.disk();
    b.disk();
    b.disk();
    assert_eq!(
        b.done(),
        [
            "open temp-rewriteaof-bg-42.aof",
            "close 3",
            "rename temp-rewriteaof-bg-42.aof dir/a.2.base.rdb",
            "write dir/a.manifest",
            "remove dir/a.1.incr.aof",
            "remove dir/a.1.base.rdb",
            "write dir/a.manifest"
        ]
    );
    assert_eq!(b.names(), names("a.2.base.rdb", &["a.2.incr.aof"]));
    let Aof { rewrite, current_size, base_size, .. } = &b.aof;
    assert!(!rewrite.is_on() && !rewrite.failed);
    assert_eq!((rewrite.count, rewrite.took, rewrite.copied), (1, Some(9), 5));
    assert_eq!((*current_size, *base_size), (2_000, 2_000));
}

#[test]
fn a_base_written_early_waits_for_the_manifest_with_the_new_file() {
    let mut b = Harness::new(State::On);
    b.request_rewrite();
    b.event(Event::Snapshot { begun: true });
    b.done();
    b.event(Event::SnapshotEnded(Ok(())));
    assert_eq!(b.done(), [""; 0]);
    b.event(Event::Durable);
    b.disk();
    assert_eq!(b.done(), ["write dir/a.manifest", "close 1", "open temp-rewriteaof-bg-42.aof"]);
}

#[test]
fn a_new_file_that_may_be_in_the_manifest_is_kept() {
    let mut b = Harness::new(State::On);
    b.request_rewrite();
    b.event(Event::Snapshot { begun: true });
    b.event(Event::Durable);
    b.done();
    // The failure may have happened before or after the rename.
    b.disk_fails();
    assert_eq!(b.done(), ["close 2", "kill snapshot"]);
    b.event(Event::SnapshotEnded(Err(Failure::Killed)));
    assert!(b.aof.rewrite.failed && !b.aof.rewrite.is_on());
    assert_eq!(b.aof.rewrite.backoff.failures(), 1);
    assert_eq!(b.names(), names("a.1.base.rdb", &["a.1.incr.aof"]));
}

#[test]
fn an_aborted_rewrite_deletes_a_new_file_that_is_not_in_the_manifest() {
    let mut b = Harness::new(State::On);
    b.request_rewrite();
    b.event(Event::Snapshot { begun: true });
    b.done();
    b.event(Event::Abort);
    assert_eq!(b.done(), ["close 2", "remove dir/a.2.incr.aof", "kill snapshot"]);
}

#[test]
fn a_rewrite_is_scheduled_during_another_snapshot() {
    for whole in [true, false] {
        let mut b = Harness::new(State::On);
        b.is_whole = whole;
        b.request_rewrite();
        if whole {
            b.event(Event::Snapshot { begun: false });
        }
        let done = b.done();
        let end = [
            "close 2",
            "remove dir/a.2.incr.aof",
            "answer Ok(\"Background append only file rewriting scheduled\")",
        ];
        assert!(done.ends_with(&end.map(str::to_owned)), "{done:?}");
        assert_eq!(done.iter().any(|what| what.starts_with("snapshot")), whole);
        assert!(b.aof.rewrite.scheduled && !b.aof.rewrite.is_on());
    }
}

#[test]
fn turning_the_file_off_discards_the_new_part() {
    let mut b = Harness::new(State::On);
    b.event(Event::Begin { requester: Some(Requester::Client(7)) });
    b.disk();
    b.aof.state = State::Off;
    b.done();
    b.disk();
    assert_eq!(
        b.done(),
        [
            "close 2",
            "remove dir/a.2.incr.aof",
            "answer Err(\"Unable to turn on AOF. Check server logs.\")",
            "followers"
        ]
    );
    assert!(b.aof.rewrite.failed && !b.aof.rewrite.is_on());
}

#[test]
fn the_file_is_on_once_the_first_base_is_written() {
    let mut b = Harness::new(State::WaitRewrite);
    b.request_rewrite();
    b.event(Event::Snapshot { begun: true });
    assert!(b.done().contains(&"open dir/temp-a.incr".to_owned()));
    assert_eq!(b.aof.log.synced_offset, OFFSET);
    b.event(Event::SnapshotEnded(Ok(())));
    b.disk();
    b.disk();
    b.disk();
    assert_eq!(b.aof.state, State::WaitRewrite);
    b.disk();
    assert_eq!(
        b.done(),
        [
            "open temp-rewriteaof-bg-42.aof",
            "close 3",
            "rename temp-rewriteaof-bg-42.aof dir/a.1.base.rdb",
            "rename dir/temp-a.incr dir/a.1.incr.aof",
            "write dir/a.manifest",
            "offsets"
        ]
    );
    assert_eq!(b.aof.state, State::On);
    assert_eq!(b.names(), names("a.1.base.rdb", &["a.1.incr.aof"]));
}

#[test]
fn a_failed_first_base_is_retried() {
    let mut b = Harness::new(State::WaitRewrite);
    b.request_rewrite();
    b.event(Event::Snapshot { begun: true });
    b.done();
    b.event(Event::SnapshotEnded(Err(Failure::Behind)));
    assert_eq!(b.done(), ["close 2", "remove dir/temp-a.incr", "followers"]);
    assert!(b.aof.rewrite.scheduled && b.aof.rewrite.failed && !b.aof.log.is_open());
    assert_eq!(b.aof.state, State::WaitRewrite);
}

#[test]
fn if_the_base_cannot_be_renamed_the_old_files_stay() {
    for failing in 0..3 {
        let mut b = Harness::new(State::On);
        b.request_rewrite();
        b.event(Event::Snapshot { begun: true });
        b.event(Event::Durable);
        b.disk();
        b.event(Event::SnapshotEnded(Ok(())));
        for _ in 0..failing {
            b.disk();
        }
        b.done();
        b.disk_fails();
        assert_eq!(b.done(), ["remove temp-rewriteaof-bg-42.aof"]);
        assert_eq!(b.names(), names("a.1.base.rdb", &["a.1.incr.aof", "a.2.incr.aof"]));
        assert_eq!(b.aof.rewrite.backoff.failures(), 1);
    }
}

#[test]
fn growth_makes_a_rewrite_due_and_failures_delay_it() {
    let mut b = Harness::new(State::On);
    (b.aof.base_size, b.aof.current_size) = (600, 1_199);
    assert_eq!(b.aof.due_growth(&b.settings), None);
    b.aof.current_size = 1_200;
    assert_eq!(b.aof.due_growth(&b.settings), Some(100));
    for _ in 0..3 {
        b.event(Event::Due { growth: Some(100) });
        assert_eq!(b.done()[0], "mkdir dir");
        b.disk_fails();
        b.aof.rewrite.fail();
        b.done();
    }
    b.event(Event::Due { growth: Some(100) });
    assert_eq!(b.done(), [""; 0]);
    b.now += 60;
    b.event(Event::Due { growth: Some(100) });
    assert_eq!(b.done()[0], "mkdir dir");
    b.settings.auto_aof_rewrite_percentage = 0;
    assert_eq!(b.aof.due_growth(&b.settings), None);
}

#[test]
fn history_files_are_kept_with_aof_disable_auto_gc() {
    let mut b = Harness::new(State::On);
    let text = b"file a.1.base.rdb seq 1 type h\nfile a.2.base.rdb seq 2 type b\n";
    b.aof.manifest = Manifest::parse(text).expect("a manifest");
    b.settings.aof_disable_auto_gc = true;
    b.event(Event::Collect);
    assert_eq!(b.done(), [""; 0]);
    b.settings.aof_disable_auto_gc = false;
    b.event(Event::Collect);
    assert_eq!(b.done(), ["remove dir/a.1.base.rdb", "write dir/a.manifest"]);
}
