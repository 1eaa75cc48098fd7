//! Disk operations that a machine can ask for, and their results.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Wall;

use super::FileId;

/// A disk operation. Paths are relative to the process's working directory.
///
/// Nothing is durable before an fsync has ended: [`DiskOp::Sync`] for a file's bytes,
/// [`DiskOp::SyncDir`] for names (after a creation, a rename or a removal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskOp {
    /// Open a file under the machine's name for it. Done with [`DiskDone::Opened`].
    Open {
        /// The name by which later operations know it.
        file: FileId,
        /// Where it is.
        path: String,
        /// How to open it.
        mode: OpenMode,
    },
    /// Append bytes to the file. A failed append leaves none of its bytes there (unless a power
    /// loss tears it), and appends that were queued behind it fail with it, so a file never has a
    /// gap.
    Append {
        /// The file.
        file: FileId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Read up to `len` bytes from `offset`. Done with [`DiskDone::Data`]; fewer bytes than asked
    /// for mean that the file ends there.
    Read {
        /// The file.
        file: FileId,
        /// Where to start.
        offset: u64,
        /// The maximum length in bytes.
        len: u32,
    },
    /// Make what was written durable.
    Sync {
        /// The file.
        file: FileId,
    },
    /// Cut the file to `len` bytes.
    Truncate {
        /// The file.
        file: FileId,
        /// Its new length.
        len: u64,
    },
    /// Close the file. Its name is free again.
    Close {
        /// The file.
        file: FileId,
    },
    /// Read a whole file. Done with [`DiskDone::Data`]. For small files only.
    Load {
        /// Where it is.
        path: String,
    },
    /// Write a whole file under a temporary name, fsync it, rename it into place and fsync the
    /// directory, so that a reader finds the old file or the new one and nothing between. For
    /// small files only.
    Replace {
        /// The file's path.
        path: String,
        /// The file's new content.
        bytes: Vec<u8>,
    },
    /// Give a file another name, replacing what had it.
    Rename {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// Remove a file.
    Remove {
        /// The file's path.
        path: String,
    },
    /// Make a directory, and those above it. Done as well if it is there already.
    MakeDir {
        /// The directory's path.
        path: String,
    },
    /// List a directory. Done with [`DiskDone::Names`].
    List {
        /// The directory's path.
        path: String,
    },
    /// Make the names in a directory durable.
    SyncDir {
        /// The directory's path.
        path: String,
    },
    /// Read the metadata of a file, following a symbolic link. Done with [`DiskDone::Stat`].
    Stat {
        /// The file's path.
        path: String,
    },
    /// Read the metadata of a path itself, not following a symbolic link. Done with
    /// [`DiskDone::Stat`].
    StatLink {
        /// The path.
        path: String,
    },
    /// Read the target of a symbolic link, as it was given. Done with [`DiskDone::Data`]; an error
    /// if it is no symbolic link.
    ReadLink {
        /// The link's path.
        path: String,
    },
    /// Make a symbolic link; an error if the path exists.
    MakeLink {
        /// The target: any text, relative to the link's directory if it does not begin with `/`. It
        /// need not exist.
        target: String,
        /// The link's path.
        path: String,
    },
    /// Remove a directory that is empty.
    RemoveDir {
        /// The directory's path.
        path: String,
    },
    /// Change the permissions of a file: the nine lowest bits, as `chmod` takes them.
    SetMode {
        /// The file's path.
        path: String,
        /// The bits.
        mode: u16,
    },
    /// Lock the file against other processes, until it is closed or the process ends. Fails with
    /// [`DiskErrorKind::Denied`] if another process has locked it.
    Lock {
        /// The file.
        file: FileId,
    },
    /// Make another directory the process's working directory.
    ChangeDir {
        /// The directory's path.
        path: String,
    },
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To read what is there; an error if nothing is.
    Read,
    /// To append to what is there, or to a new empty file.
    Append,
    /// To write a new file, or over an old one.
    Create,
}

/// The result of a disk operation that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskDone {
    /// It is done.
    Done,
    /// The file is open.
    Opened {
        /// Its length in bytes.
        len: u64,
    },
    /// What was read.
    Data(Vec<u8>),
    /// The names in a directory, sorted, without `.` and `..`.
    Names(Vec<String>),
    /// The metadata of a file.
    Stat(FileStat),
}

/// Metadata of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// Whether it is a directory.
    pub dir: bool,
    /// Whether it is a symbolic link; set by [`DiskOp::StatLink`] only.
    pub link: bool,
    /// Its length in bytes.
    pub len: u64,
    /// Permissions: the nine bits of `chmod`.
    pub mode: u16,
    /// When its content changed last.
    pub modified: Wall,
}

/// Why a disk operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskError {
    /// The kind, for decisions.
    pub kind: DiskErrorKind,
    /// The operating system's words, for people.
    pub message: String,
}

impl core::error::Error for DiskError {}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Kinds of disk failure that machines tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskErrorKind {
    /// No such file or directory.
    NotFound,
    /// Not allowed.
    Denied,
    /// The disk is full.
    NoSpace,
    /// A component of the path is not a directory, or a directory where a file was expected.
    NotADirectory,
    /// The device failed, or anything else.
    Io,
}
