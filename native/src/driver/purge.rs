//! A thread that has the allocator give freed memory back to the operating system.
//!
//! mimalloc gives pages back when they have been free for a second (its option `purge_delay`). It
//! looks for such pages when it is at work, in the thread that allocates, and gives back all at
//! once: a gigabyte takes tens of milliseconds. In the event loop that would stop all clients, and
//! an emptied server that is left alone would keep all that it ever took. So while a server works,
//! and once after that, this thread purges, more often than the allocator would by itself.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use limpid_core::time::{Duration, Mono};

/// How often pages are given back while there is work: before any has been free for a second.
const EVERY: Duration = Duration::from_millis(700);

/// When to purge, and the thread that does it.
pub(super) struct Purge {
    due: Option<Mono>,
    /// To the thread, if there is one. Without it the memory goes back later, and that is all.
    thread: Option<SyncSender<()>>,
}

impl Purge {
    pub(super) fn new() -> Self {
        let (sender, receiver) = sync_channel(1);
        let thread = std::thread::Builder::new().name("purge".into()).stack_size(64 * 1024);
        let thread = thread.spawn(move || purge(&receiver)).is_ok().then_some(sender);
        Purge { due: None, thread }
    }

    /// There was work, in which memory may have been freed.
    #[inline]
    pub(super) fn worked(&mut self, now: Mono) {
        if self.due.is_none() && self.thread.is_some() {
            self.due = Some(now + EVERY);
        }
    }

    /// When memory is to be given back.
    pub(super) fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Has it given back, if it is time.
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
