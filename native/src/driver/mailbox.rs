//! How other threads tell the machine's thread something.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use limpid_core::machine::{ChildId, DiskDone, DiskError, ExitStatus, FileId, OpId, Signal};
use mio::Waker;

/// What other threads have to tell. Putting something in wakes the event loop.
#[derive(Debug)]
pub(crate) struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    waker: Waker,
}

/// One thing that another thread tells.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A disk operation has ended; which open file it wrote or read, if it did.
    Disk(Option<FileId>, OpId, Result<DiskDone, DiskError>),
    /// A program that the machine started has ended.
    Child(ChildId, ExitStatus),
    /// The operating system signals.
    Signal(Signal),
    /// A host's name has been looked up: its addresses, none if it is unknown.
    Name(String, Vec<IpAddr>),
}

impl Mailbox {
    pub(super) fn new(waker: Waker) -> Arc<Self> {
        Arc::new(Mailbox { letters: Mutex::default(), waker })
    }

    /// Puts letters in, in order.
    pub(crate) fn put(&self, letters: impl IntoIterator<Item = Letter>) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).extend(letters);
        // It can fail only when the event loop is gone, and then the message does not matter either.
        let _ = self.waker.wake();
    }

    /// Whether a signal waits to be taken out: the event loop is busy with something else.
    pub(crate) fn holds_signal(&self) -> bool {
        let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.iter().any(|letter| matches!(letter, Letter::Signal(_)))
    }

    /// Whether the end of an operation on this open file waits to be told.
    pub(super) fn holds_completion(&self, of: FileId) -> bool {
        let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.iter().any(|letter| matches!(letter, Letter::Disk(Some(file), ..) if *file == of))
    }

    /// Takes all letters out, into `into`, which is empty.
    pub(super) fn take(&self, into: &mut Vec<Letter>) {
        std::mem::swap(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner), into);
    }
}
