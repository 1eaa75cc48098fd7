//! A disk for tests, which completes every operation at once, and fails on request.

use std::collections::BTreeMap;

use crate::machine::{DiskDone, DiskError, DiskErrorKind, DiskOp, FileId, OpenMode};

/// The files of a server under test, by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub(super) all: BTreeMap<String, Vec<u8>>,
    pub(super) open: BTreeMap<FileId, String>,
    /// The error of appending, syncing and renaming, if any.
    pub(super) fault: Option<DiskErrorKind>,
    /// Whether opening files fails.
    pub(super) unopened: bool,
    /// Whether operations are never completed from now on.
    pub(super) dead: bool,
}

impl Files {
    /// Completes one operation. `None` if this disk does not support it.
    pub(super) fn carry_out(&mut self, what: &DiskOp) -> Option<Result<DiskDone, DiskError>> {
        if self.dead {
            return None;
        }
        let fault = match what {
            DiskOp::Append { .. } | DiskOp::Sync { .. } | DiskOp::Rename { .. } => self.fault,
            DiskOp::Open { .. } if self.unopened => Some(DiskErrorKind::NoSpace),
            _ => None,
        };
        if let Some(kind) = fault {
            return Some(Err(error(kind)));
        }
        Some(match what {
            DiskOp::Open { file, path, mode } => self.open(*file, path, *mode),
            DiskOp::Append { file, bytes } => self.of(*file).map(|content| {
                content.extend_from_slice(bytes);
                DiskDone::Done
            }),
            DiskOp::Read { file, offset, len } => self.of(*file).map(|content| {
                let from = usize::try_from(*offset).unwrap_or(usize::MAX).min(content.len());
                let to = from.saturating_add(*len as usize).min(content.len());
                DiskDone::Data(content[from..to].to_vec())
            }),
            DiskOp::Close { file } => {
                self.open.remove(file);
                Ok(DiskDone::Done)
            }
            DiskOp::Rename { from, to } => match self.all.remove(from) {
                Some(content) => {
                    self.all.insert(to.clone(), content);
                    // An open file stays open under its new name.
                    let moved = self.open.values_mut().filter(|path| *path == from);
                    moved.for_each(|path| path.clone_from(to));
                    Ok(DiskDone::Done)
                }
                None => Err(error(DiskErrorKind::NotFound)),
            },
            DiskOp::Remove { path } => match self.all.remove(path) {
                Some(_) => Ok(DiskDone::Done),
                None => Err(error(DiskErrorKind::NotFound)),
            },
            DiskOp::Sync { .. } | DiskOp::SyncDir { .. } | DiskOp::MakeDir { .. } => {
                Ok(DiskDone::Done)
            }
            DiskOp::Load { path } if path.ends_with(".manifest") => match self.all.get(path) {
                Some(content) => Ok(DiskDone::Data(content.clone())),
                None => Err(error(DiskErrorKind::NotFound)),
            },
            DiskOp::Replace { path, bytes } if path.starts_with("appendonlydir/") => {
                self.all.insert(path.clone(), bytes.clone());
                Ok(DiskDone::Done)
            }
            DiskOp::Truncate { file, len } => self.of(*file).map(|content| {
                content.truncate(usize::try_from(*len).unwrap_or(usize::MAX));
                DiskDone::Done
            }),
            _ => return None,
        })
    }

    fn open(&mut self, file: FileId, path: &str, mode: OpenMode) -> Result<DiskDone, DiskError> {
        if mode == OpenMode::Read && !self.all.contains_key(path) {
            return Err(error(DiskErrorKind::NotFound));
        }
        let content = self.all.entry(path.to_owned()).or_default();
        if mode == OpenMode::Create {
            content.clear();
        }
        let len = content.len() as u64;
        self.open.insert(file, path.to_owned());
        Ok(DiskDone::Opened { len })
    }

    fn of(&mut self, file: FileId) -> Result<&mut Vec<u8>, DiskError> {
        let path = self.open.get(&file).ok_or_else(|| error(DiskErrorKind::Io))?;
        self.all.get_mut(path).ok_or_else(|| error(DiskErrorKind::NotFound))
    }
}

pub(super) fn error(kind: DiskErrorKind) -> DiskError {
    let message = match kind {
        DiskErrorKind::NotFound => "No such file or directory",
        DiskErrorKind::NoSpace => "No space left on device",
        DiskErrorKind::Denied => "Permission denied",
        DiskErrorKind::NotADirectory => "Not a directory",
        DiskErrorKind::Io => "Input/output error",
    };
    DiskError { kind, message: message.into() }
}
