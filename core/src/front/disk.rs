//! Disk operations, and what continues when they complete.

use super::config::{Change, Rewriter};
use super::{Front, Service};
use crate::machine::{DiskDone, DiskError, DiskOp, OpId, Output};
use crate::time::Now;

/// What to continue when a disk operation has completed.
#[derive(Clone, Debug)]
pub(crate) enum DiskWork<S: Service> {
    /// The old configuration file is being read, to be rewritten.
    LoadConfig { by: Rewriter, path: String },
    /// The new configuration file is being written.
    ReplaceConfig { by: Rewriter },
    /// CONFIG SET dir.
    ChangeDir { change: Change<S::Schema>, path: String },
    /// The `aclfile`.
    Users(UsersWork),
    /// An operation of the service.
    Service(S::DiskWork),
}

/// What to continue when the `aclfile` has been read or written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UsersWork {
    /// Starting the program.
    Start,
    /// ACL LOAD of this client.
    Load(u64),
    /// ACL SAVE of this client.
    Save(u64),
}

impl<S: Service> Front<S> {
    /// Starts a disk operation of the service; `work` is what to continue when it has completed.
    pub(crate) fn service_disk_op(&mut self, what: DiskOp, work: S::DiskWork) {
        self.front_disk_op(what, DiskWork::Service(work));
    }

    /// Starts a disk operation.
    pub(super) fn front_disk_op(&mut self, what: DiskOp, work: DiskWork<S>) {
        self.last_op += 1;
        let op = OpId(self.last_op);
        self.disk.insert(op, work);
        self.outputs.push_back(Output::Disk { op, what });
    }

    /// Continues what waited for a disk operation.
    pub(super) fn disk_done(
        &mut self,
        now: Now<'_>,
        op: OpId,
        result: Result<DiskDone, DiskError>,
    ) {
        let Some(work) = self.disk.remove(&op) else { return };
        match work {
            DiskWork::LoadConfig { by, path } => self.config_read(now, by, path, result),
            DiskWork::ReplaceConfig { by } => self.config_written(now, by, result),
            DiskWork::ChangeDir { change, path } => {
                self.directory_changed(now, change, &path, result);
            }
            DiskWork::Users(work) => self.users_disk_done(now, work, result),
            DiskWork::Service(work) => S::disk_done(self, now, work, result),
        }
    }
}
