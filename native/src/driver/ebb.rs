//! Memory that was freed goes back to the operating system.
//!
//! The allocator gives pages back when they have been free for a second, but it looks for such
//! pages only when it is at work. A server that has been emptied and is left alone would keep all
//! that it ever took. So while a server works, and once after that, a thread of its own makes the
//! allocator look: giving back a gigabyte takes a while, during which others are served.

use std::hint::black_box;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use limpid_core::time::Mono;

/// How often it is looked while there is work.
const EVERY: Duration = Duration::from_secs(1);

/// A little more than the time that mimalloc keeps free pages for (its option `purge_delay`).
const KEPT: Duration = Duration::from_millis(1100);

/// More than mimalloc puts into a page together with other blocks, so that freeing it frees a
/// page; that is when mimalloc looks for pages to give back.
const BLOCK: usize = 1 << 20;

/// Makes the allocator look.
pub(super) struct Ebb {
    due: Option<Mono>,
    /// To the thread, if there is one. Without it the memory stays, and that is all.
    thread: Option<SyncSender<()>>,
}

impl Ebb {
    pub(super) fn new() -> Self {
        let (sender, receiver) = sync_channel(1);
        let thread = std::thread::Builder::new().name("ebb".into()).stack_size(64 * 1024);
        let thread = thread.spawn(move || look(&receiver)).is_ok().then_some(sender);
        Ebb { due: None, thread }
    }

    /// There was work, in which memory may have been freed.
    #[inline]
    pub(super) fn worked(&mut self, now: Mono) {
        if self.due.is_none() && self.thread.is_some() {
            self.due = Some(now + EVERY);
        }
    }

    /// When it is to be looked.
    pub(super) fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Has it looked, if it is time.
    #[inline]
    pub(super) fn turn(&mut self, now: Mono) {
        if self.due.is_some_and(|due| now >= due) {
            self.due = None;
            // If the thread has not got to the last word yet, that one will do.
            let _ = self.thread.as_ref().map(|thread| thread.try_send(()));
        }
    }
}

fn look(wanted: &Receiver<()>) {
    while wanted.recv().is_ok() {
        // What was freed until now can go then.
        std::thread::sleep(KEPT);
        drop(black_box(Vec::<u8>::with_capacity(BLOCK)));
    }
}
