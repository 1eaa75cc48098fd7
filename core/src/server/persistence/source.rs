//! A file that is read sequentially, with read-ahead.

use std::collections::VecDeque;

use crate::machine::{DiskDone, DiskError, DiskOp, FileId, OpenMode};

/// Bytes per read.
const CHUNK: u32 = 1 << 20;

/// How many chunks may be read ahead.
const AHEAD: usize = 3;

/// A file that is read sequentially.
#[derive(Clone, Debug)]
pub(in crate::server) struct FileSource {
    file: FileId,
    path: String,
    /// Its length when it was opened; `None` before that.
    len: Option<u64>,
    /// The offset up to which reads were requested.
    asked: u64,
    /// Reads in progress.
    reading: usize,
    /// Chunks that were read and not taken, in order.
    chunks: VecDeque<Vec<u8>>,
    /// Whether the end of the file has been reached.
    ended: bool,
}

impl FileSource {
    /// A file with this path, and the operation that opens it.
    pub(in crate::server) fn open(file: FileId, path: String) -> (Self, DiskOp) {
        let open = DiskOp::Open { file, path: path.clone(), mode: OpenMode::Read };
        let source = Self {
            file,
            path,
            len: None,
            asked: 0,
            reading: 0,
            chunks: VecDeque::new(),
            ended: false,
        };
        (source, open)
    }

    /// The id of the file.
    pub(in crate::server) fn file(&self) -> FileId {
        self.file
    }

    /// The path.
    pub(in crate::server) fn path(&self) -> &str {
        &self.path
    }

    /// Its length when it was opened, in bytes; 0 before that.
    pub(in crate::server) fn len(&self) -> u64 {
        self.len.unwrap_or(0)
    }

    /// Whether it is open.
    pub(in crate::server) fn is_open(&self) -> bool {
        self.len.is_some()
    }

    /// The next read, if one is due.
    pub(in crate::server) fn read_ahead(&mut self) -> Option<DiskOp> {
        if !self.is_open() || self.ended || self.reading + self.chunks.len() >= AHEAD {
            return None;
        }
        let offset = self.asked;
        self.asked += u64::from(CHUNK);
        self.reading += 1;
        Some(DiskOp::Read { file: self.file, offset, len: CHUNK })
    }

    /// An operation has completed: first the one that opened the file, then reads.
    pub(in crate::server) fn ended(
        &mut self,
        result: Result<DiskDone, DiskError>,
    ) -> Result<(), DiskError> {
        match result? {
            DiskDone::Opened { len } => self.len = Some(len),
            DiskDone::Data(bytes) => {
                self.reading = self.reading.saturating_sub(1);
                if !self.ended {
                    self.ended = bytes.len() < CHUNK as usize;
                    if !bytes.is_empty() {
                        self.chunks.push_back(bytes);
                    }
                }
            }
            DiskDone::Done | DiskDone::Names(_) | DiskDone::Stat(_) => {}
        }
        Ok(())
    }

    /// Whether [`FileSource::take`] has something to return.
    pub(in crate::server) fn is_ready(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// Removes and returns the next chunk.
    pub(in crate::server) fn take(&mut self) -> Option<Vec<u8>> {
        self.chunks.pop_front()
    }

    /// Whether everything has been read and taken.
    pub(in crate::server) fn is_exhausted(&self) -> bool {
        self.ended && self.chunks.is_empty()
    }

    /// The operation that closes it, if it is open.
    pub(in crate::server) fn close(&self) -> Option<DiskOp> {
        self.is_open().then_some(DiskOp::Close { file: self.file })
    }
}
