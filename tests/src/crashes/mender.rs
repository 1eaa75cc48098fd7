//! A program that repairs an append-only file which the server refuses: truncates it at the offset
//! that the server has logged, as `redis-check-aof --fix` does.

use std::collections::VecDeque;

use limpid_core::machine::{
    ConnId, DiskOp, FileId, Input, Machine, OpId, OpenMode, Outbox, Output,
};
use limpid_core::sim::{Launch, LaunchError};
use limpid_core::time::{Mono, Now};

/// `mender <file> <length>`: truncates the file, syncs it, and ends.
#[derive(Debug, Clone)]
pub(super) struct Mender {
    outputs: VecDeque<Output>,
    left: u64,
    failed: bool,
}

impl Mender {
    pub(super) fn launch(launch: &Launch<'_>) -> Result<Self, LaunchError> {
        let usage = || LaunchError("usage: mender <file> <length>".into());
        let [path, len] = launch.args else { return Err(usage()) };
        let (file, len) = (FileId(1), len.parse().map_err(|_| usage())?);
        let whats = [
            DiskOp::Open { file, path: path.clone(), mode: OpenMode::Append },
            DiskOp::Truncate { file, len },
            DiskOp::Sync { file },
        ];
        let disk = |(n, what)| Output::Disk { op: OpId(n), what };
        let outputs: VecDeque<Output> = (0..).zip(whats).map(disk).collect();
        Ok(Mender { left: outputs.len() as u64, outputs, failed: false })
    }
}

impl Machine for Mender {
    fn handle(&mut self, _: Now<'_>, input: Input<'_>) {
        if let Input::Disk { result, .. } = input {
            self.left -= 1;
            self.failed |= result.is_err();
            if self.left == 0 {
                self.outputs.push_back(Output::Exit { code: i32::from(self.failed) });
            }
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        None
    }

    fn outbox(&mut self, _: ConnId) -> Option<&mut Outbox> {
        None
    }
}
