//! The order of disk operations: which may run in parallel, and which must wait.
//!
//! Operations that touch the same path keep their order; others do not wait for each other, so
//! that a slow fsync of one file does not hold up the reading of another. Appends do not wait for
//! an fsync of their own file either, once that runs. Operations on one open file that are
//! submitted while an earlier one runs make up one [`Batch`], so that a single fsync serves all of
//! them.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use limpid_core::machine::{DiskOp, FileId, OpId};

/// The operations that were submitted and have not ended.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Oldest first.
    batches: VecDeque<Batch>,
    /// The path of each open file after all operations submitted so far.
    paths: HashMap<FileId, PathBuf>,
    next: u64,
}

/// Operations that one worker carries out together, in order.
#[derive(Debug)]
struct Batch {
    number: u64,
    /// The open file that all operations of the batch are about; `None` if the batch is a single
    /// operation of another kind.
    file: Option<FileId>,
    scope: Scope,
    ops: Vec<(OpId, DiskOp)>,
    running: bool,
    /// Whether all operations are fsyncs. Set when the batch starts to run.
    only_syncs: bool,
}

/// What an operation touches, which decides what it waits for.
#[derive(Debug, Default)]
struct Scope {
    paths: Vec<PathBuf>,
    /// Waits for all operations before it.
    after_all: bool,
    /// All operations after it wait for it.
    before_all: bool,
    /// May add, remove or rename files.
    names: bool,
    /// Operations after it that set `names` wait for it.
    before_names: bool,
}

/// A batch that a worker carries out.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) file: Option<FileId>,
    pub(super) ops: Vec<(OpId, DiskOp)>,
}

impl Schedule {
    /// Adds an operation.
    pub(super) fn submit(&mut self, op: OpId, what: DiskOp) {
        let scope = self.scope(&what);
        let file = data_file(&what);
        let blocker = self.batches.iter_mut().rev().find(|b| scope.waits_for(&b.scope));
        if let (Some(file), Some(batch)) = (file, blocker)
            && batch.file == Some(file)
            && !batch.running
        {
            batch.ops.push((op, what));
            return;
        }
        self.next += 1;
        let ops = vec![(op, what)];
        let (running, only_syncs) = (false, false);
        self.batches.push_back(Batch { number: self.next, file, scope, ops, running, only_syncs });
    }

    /// Whether an operation would not have to wait for any other.
    pub(super) fn is_free_for(&mut self, what: &DiskOp) -> bool {
        let scope = self.scope(what);
        !self.batches.iter().any(|earlier| scope.waits_for(&earlier.scope))
    }

    /// Starts the oldest batch that may begin now.
    pub(super) fn begin(&mut self) -> Option<Job> {
        let index = (0..self.batches.len()).find(|&i| {
            let batch = &self.batches[i];
            !batch.running && !self.batches.iter().take(i).any(|earlier| batch.waits_for(earlier))
        })?;
        let batch = self.batches.get_mut(index)?;
        batch.running = true;
        batch.only_syncs = batch.ops.iter().all(|(_, what)| matches!(what, DiskOp::Sync { .. }));
        let ops = std::mem::take(&mut batch.ops);
        Some(Job { number: batch.number, file: batch.file, ops })
    }

    /// Removes a batch that has ended.
    pub(super) fn end(&mut self, number: u64) {
        self.batches.retain(|batch| batch.number != number);
    }

    /// Whether nothing waits and nothing runs.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    fn scope(&mut self, what: &DiskOp) -> Scope {
        let names = data_file(what).is_none();
        let paths = match what {
            DiskOp::Open { file, path, .. } => {
                self.paths.insert(*file, plain(path));
                vec![plain(path)]
            }
            DiskOp::Append { file, .. }
            | DiskOp::Read { file, .. }
            | DiskOp::Sync { file }
            | DiskOp::Lock { file }
            | DiskOp::Truncate { file, .. } => self.paths.get(file).cloned().into_iter().collect(),
            DiskOp::Close { file } => self.paths.remove(file).into_iter().collect(),
            DiskOp::Load { path }
            | DiskOp::Replace { path, .. }
            | DiskOp::Remove { path }
            | DiskOp::Stat { path }
            | DiskOp::StatLink { path }
            | DiskOp::ReadLink { path }
            | DiskOp::SetMode { path, .. } => {
                vec![plain(path)]
            }
            DiskOp::Rename { from, to } => {
                let (from, to) = (plain(from), plain(to));
                // An open file goes along with its name.
                for path in self.paths.values_mut().filter(|path| **path == from) {
                    path.clone_from(&to);
                }
                vec![from, to]
            }
            // Lists, or makes durable, the names as the operations before left them.
            DiskOp::List { .. } | DiskOp::SyncDir { .. } => {
                return Scope { after_all: true, before_names: true, ..Scope::default() };
            }
            // These change what a path refers to.
            DiskOp::MakeDir { .. }
            | DiskOp::MakeLink { .. }
            | DiskOp::RemoveDir { .. }
            | DiskOp::ChangeDir { .. } => {
                return Scope { after_all: true, before_all: true, ..Scope::default() };
            }
        };
        Scope { paths, names, ..Scope::default() }
    }
}

impl Batch {
    fn waits_for(&self, earlier: &Batch) -> bool {
        if !self.scope.waits_for(&earlier.scope) {
            return false;
        }
        // An append need not wait for a running fsync: that only covers what was written before it.
        let appends =
            |batch: &Batch| batch.ops.iter().all(|(_, what)| matches!(what, DiskOp::Append { .. }));
        let passes = earlier.running && earlier.only_syncs && earlier.file == self.file;
        !(passes && self.file.is_some() && appends(self))
    }
}

impl Scope {
    fn waits_for(&self, earlier: &Scope) -> bool {
        self.after_all
            || earlier.before_all
            || earlier.before_names && self.names
            || self.paths.iter().any(|path| earlier.paths.contains(path))
    }
}

/// The open file of an operation that may share a batch.
fn data_file(what: &DiskOp) -> Option<FileId> {
    match what {
        DiskOp::Append { file, .. }
        | DiskOp::Read { file, .. }
        | DiskOp::Sync { file }
        | DiskOp::Lock { file }
        | DiskOp::Truncate { file, .. } => Some(*file),
        _ => None,
    }
}

/// A path without `.` components, so that different spellings compare equal.
fn plain(path: &str) -> PathBuf {
    Path::new(path).components().filter(|c| c.as_os_str() != ".").collect()
}

#[cfg(test)]
mod tests {
    use limpid_core::machine::OpenMode;

    use super::*;

    fn ids(job: Option<Job>) -> Vec<u64> {
        job.map(|job| job.ops.iter().map(|(op, _)| op.0).collect()).unwrap_or_default()
    }

    fn open(schedule: &mut Schedule, op: u64, file: u64, path: &str) {
        let what = DiskOp::Open { file: FileId(file), path: path.into(), mode: OpenMode::Append };
        schedule.submit(OpId(op), what);
        let job = schedule.begin().expect("nothing else touches the path");
        schedule.end(job.number);
    }

    fn append(file: u64) -> DiskOp {
        DiskOp::Append { file: FileId(file), bytes: b"x".to_vec() }
    }

    #[test]
    fn operations_on_a_busy_file_gather_and_others_pass_by() {
        let mut schedule = Schedule::default();
        open(&mut schedule, 1, 1, "a");
        open(&mut schedule, 2, 2, "b");
        schedule.submit(OpId(3), append(1));
        let first = schedule.begin();
        let number = first.as_ref().map(|job| job.number).unwrap_or_default();
        assert_eq!(ids(first), [3]);
        schedule.submit(OpId(4), DiskOp::Sync { file: FileId(1) });
        schedule.submit(OpId(5), append(1));
        schedule.submit(OpId(6), append(2));
        schedule.submit(OpId(7), DiskOp::Sync { file: FileId(1) });
        assert_eq!(ids(schedule.begin()), [6]);
        assert_eq!(ids(schedule.begin()), [0u64; 0]);
        schedule.end(number);
        assert_eq!(ids(schedule.begin()), [4, 5, 7]);
    }

    #[test]
    fn an_append_does_not_wait_for_an_fsync_that_runs() {
        let mut schedule = Schedule::default();
        open(&mut schedule, 1, 1, "a");
        schedule.submit(OpId(2), append(1));
        schedule.submit(OpId(3), DiskOp::Sync { file: FileId(1) });
        assert_eq!(ids(schedule.begin()), [2, 3]);
        schedule.submit(OpId(4), append(1));
        assert_eq!(ids(schedule.begin()), [0u64; 0], "there is an append before the fsync");
        schedule.end(2);
        let job = schedule.begin();
        let number = job.as_ref().map(|job| job.number).unwrap_or_default();
        assert_eq!(ids(job), [4]);
        schedule.end(number);
        schedule.submit(OpId(5), DiskOp::Sync { file: FileId(1) });
        assert_eq!(ids(schedule.begin()), [5]);
        schedule.submit(OpId(6), append(1));
        assert!(!schedule.is_free_for(&append(1)));
        assert_eq!(ids(schedule.begin()), [6]);
        schedule.submit(OpId(7), DiskOp::Sync { file: FileId(1) });
        assert_eq!(ids(schedule.begin()), [0u64; 0], "an fsync waits for what it is to cover");
    }

    #[test]
    fn a_rename_keeps_its_place_between_what_touches_either_name() {
        let mut schedule = Schedule::default();
        open(&mut schedule, 1, 1, "./temp");
        schedule.submit(OpId(2), append(1));
        schedule.submit(OpId(3), DiskOp::Rename { from: "temp".into(), to: "dump".into() });
        schedule.submit(OpId(4), append(1));
        schedule.submit(OpId(5), DiskOp::Load { path: "./dump".into() });
        schedule.submit(OpId(6), DiskOp::SyncDir { path: ".".into() });
        for expected in 2..=6 {
            let job = schedule.begin().expect("the next in order");
            assert!(schedule.begin().is_none(), "{expected} runs alone");
            let number = job.number;
            assert_eq!(ids(Some(job)), [expected]);
            schedule.end(number);
        }
        assert!(schedule.is_empty());
    }
}
