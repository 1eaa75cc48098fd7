//! A file that is read sequentially, with read-ahead.

use std::collections::VecDeque;

use crate::machine::{DiskDone, DiskError, DiskOp, FileId, OpenMode};

/// Bytes that are read at once.
const CHUNK: u32 = 1 << 20;

/// Reads that are under way or waiting to be taken in.
const AHEAD: usize = 3;

/// A file that is being read.
#[derive(Clone, Debug)]
pub(in crate::server) struct FileSource {
    file: FileId,
    path: String,
    /// Its length when it was opened; `None` before that.
    len: Option<u64>,
    /// Up to where reads were asked for.
    asked: u64,
    /// Reads that have not ended.
    reading: usize,
    /// What was read and not taken yet, in order.
    chunks: VecDeque<Vec<u8>>,
    /// Whether the end has been read.
    ended: bool,
}

impl FileSource {
    /// A file of this name, and the operation that opens it.
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

    /// The machine's name for it.
    pub(in crate::server) fn file(&self) -> FileId {
        self.file
    }

    /// Its name.
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

    /// The next operation to be carried out, if it is time for one.
    pub(in crate::server) fn read_ahead(&mut self) -> Option<DiskOp> {
        if !self.is_open() || self.ended || self.reading + self.chunks.len() >= AHEAD {
            return None;
        }
        let offset = self.asked;
        self.asked += u64::from(CHUNK);
        self.reading += 1;
        Some(DiskOp::Read { file: self.file, offset, len: CHUNK })
    }

    /// An operation has ended: the first is the one that opened the file, the others are reads.
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

    /// Whether [`FileSource::take`] has something to give.
    pub(in crate::server) fn is_ready(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// Takes what was read next.
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
