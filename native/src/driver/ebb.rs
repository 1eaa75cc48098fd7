//! Memory that was freed goes back to the operating system.
//!
//! The allocator gives pages back when they have been free for a second (its option
//! `purge_delay`). It looks for such pages when it is at work, in whatever thread that is, and then
//! gives back all at once: a gigabyte takes a while. In the server's thread that would stop
//! everybody, and a server that has been emptied and is left alone would keep all that it ever
//! took. So while a server works, and once after that, a thread of its own makes the allocator give
//! back what is free, more often than the allocator would do it by itself.

use std::hint::black_box;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use limpid_core::time::{Duration, Mono};

/// How often pages are given back while there is work: before any has been free for a second.
const EVERY: Duration = Duration::from_millis(700);

/// More than there is. Before mimalloc says that it has no memory for somebody, it gives back all
/// that is free and looks once more; that is the one way to have it do so which needs no call
/// into C. If it does not, pages go back when it finds them.
const TOO_MUCH: usize = isize::MAX as usize / 2;

/// Makes the allocator give back.
pub(super) struct Ebb {
    due: Option<Mono>,
    /// To the thread, if there is one. Without it the memory goes back later, and that is all.
    thread: Option<SyncSender<()>>,
}

impl Ebb {
    pub(super) fn new() -> Self {
        let (sender, receiver) = sync_channel(1);
        let thread = std::thread::Builder::new().name("ebb".into()).stack_size(64 * 1024);
        let thread = thread.spawn(move || give_back(&receiver)).is_ok().then_some(sender);
        Ebb { due: None, thread }
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

fn give_back(wanted: &Receiver<()>) {
    while wanted.recv().is_ok() {
        let mut none = Vec::<u8>::new();
        let refused = none.try_reserve_exact(black_box(TOO_MUCH));
        let _ = black_box((none, refused));
    }
}
