//! Messages from other threads to the machine's thread.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use limpid_core::machine::{ChildId, DiskDone, DiskError, ExitStatus, FileId, OpId, Signal};
use mio::Waker;

/// The queue of messages for the event loop. Adding one wakes it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    messages: Mutex<Vec<Message>>,
    waker: Waker,
}

/// A message to the machine's thread.
#[derive(Debug)]
pub(crate) enum Message {
    /// A disk operation has ended; with the open file that it was about, if any.
    Disk(Option<FileId>, OpId, Result<DiskDone, DiskError>),
    /// A program that the machine started has ended.
    Child(ChildId, ExitStatus),
    /// The process received a signal.
    Signal(Signal),
    /// The result of a name lookup: the addresses of the host, none if it is unknown.
    Name(String, Vec<IpAddr>),
}

impl Mailbox {
    pub(super) fn new(waker: Waker) -> Arc<Self> {
        Arc::new(Mailbox { messages: Mutex::default(), waker })
    }

    /// Adds messages, in order.
    pub(crate) fn put(&self, messages: impl IntoIterator<Item = Message>) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).extend(messages);
        // Fails only when the event loop is gone, and then the message does not matter.
        let _ = self.waker.wake();
    }

    /// Whether a signal has not been taken out yet, since the event loop is busy.
    pub(crate) fn holds_signal(&self) -> bool {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.iter().any(|message| matches!(message, Message::Signal(_)))
    }

    /// Whether the completion of an operation on this open file has not been delivered yet.
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
