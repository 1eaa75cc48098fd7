//! A thread that makes the allocator return freed memory to the operating system.
//!
//! mimalloc returns pages when they have been free for a second (its option `purge_delay`). It
//! looks for such pages during allocations, in the thread that allocates, and returns all at once:
//! a gigabyte takes tens of milliseconds. In the event loop that would block all clients, and a
//! server that is idle after a FLUSHALL would keep its memory. So while a server works, and once
//! after that, this thread purges, more often than the allocator would by itself.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use limpid_core::time::{Duration, Mono};

/// How often pages are returned while there is work: before any has been free for a second.
const EVERY: Duration = Duration::from_millis(700);

/// When to purge, and the thread that does it.
pub(super) struct Purge {
    due: Option<Mono>,
    /// Requests to the thread; `None` if it could not be started: memory is then returned later.
    thread: Option<SyncSender<()>>,
}

impl Purge {
    pub(super) fn new() -> Self {
        let (sender, receiver) = sync_channel(1);
        let thread = std::thread::Builder::new().name("purge".into()).stack_size(64 * 1024);
        let thread = thread.spawn(move || purge(&receiver)).is_ok().then_some(sender);
        Purge { due: None, thread }
    }

    /// Notes that there was work, which may have freed memory.
    #[inline]
    pub(super) fn worked(&mut self, now: Mono) {
        if self.due.is_none() && self.thread.is_some() {
            self.due = Some(now + EVERY);
        }
    }

    /// When the next purge is due.
    pub(super) fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Requests a purge if one is due.
    #[inline]
    pub(super) fn turn(&mut self, now: Mono) {
        if self.due.is_some_and(|due| now >= due) {
            self.due = None;
            // If a purge is already queued, that one will do.
            let _ = self.thread.as_ref().map(|thread| thread.try_send(()));
        }
    }
}

fn purge(wanted: &Receiver<()>) {
    while wanted.recv().is_ok() {
        collect();
    }
}

#[expect(unsafe_code, reason = "mimalloc has no safe function for this")]
fn collect() {
    // SAFETY: `mi_collect` takes no pointer, may be called at any time in any thread, and frees
    // only what no thread uses.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
