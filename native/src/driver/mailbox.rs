//! How other threads tell the machine's thread something.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use limpid_core::machine::{ChildId, DiskDone, DiskError, ExitStatus, FileId, OpId, Signal};
use mio::Waker;

/// What other threads have to tell. Putting something in wakes the event loop.
#[derive(Debug)]
pub(crate) struct Mailbox {
    messages: Mutex<Vec<Message>>,
    waker: Waker,
}

/// One thing that another thread tells.
#[derive(Debug)]
pub(crate) enum Message {
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
        Arc::new(Mailbox { messages: Mutex::default(), waker })
    }

    /// Puts messages in, in order.
    pub(crate) fn put(&self, messages: impl IntoIterator<Item = Message>) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).extend(messages);
        // It can fail only when the event loop is gone, and then the message does not matter either.
        let _ = self.waker.wake();
    }

    /// Whether a signal waits to be taken out: the event loop is busy with something else.
    pub(crate) fn holds_signal(&self) -> bool {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.iter().any(|message| matches!(message, Message::Signal(_)))
    }

    /// Whether the end of an operation on this open file waits to be told.
    pub(super) fn holds_completion(&self, of: FileId) -> bool {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages
            .iter()
            .any(|message| matches!(message, Message::Disk(Some(file), ..) if *file == of))
    }

    /// Takes all messages out, into `into`, which is empty.
    pub(super) fn take(&self, into: &mut Vec<Message>) {
        std::mem::swap(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner), into);
    }
}
