//! CLIENT PAUSE.

use super::table::Command;
use crate::command::meta::flag;
use crate::time::Mono;

/// Whether clients are held back, which, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    until: Option<Mono>,
    all: bool,
}

impl Pause {
    /// Holds clients back until `until`: all, or those that write. A pause that is under way only
    /// grows: it does not end sooner, and holds whom it held.
    pub(super) fn begin(&mut self, now: Mono, until: Mono, all: bool) {
        let going_on = self.is_on(now);
        self.all = all || (going_on && self.all);
        self.until = if going_on { self.until.max(Some(until)) } else { Some(until) };
    }

    /// Ends it.
    pub(super) fn end(&mut self) {
        *self = Pause::default();
    }

    /// When it ends by itself.
    pub(super) fn until(&self) -> Option<Mono> {
        self.until
    }

    /// Whether somebody is held back.
    pub(super) fn is_on(&self, now: Mono) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Whether this command has to wait. EXEC does as what it would carry out, whose flags are
    /// `queued`.
    #[inline]
    pub(super) fn holds(&self, now: Mono, command: &Command, queued: u32) -> bool {
        self.until.is_some()
            && self.is_on(now)
            && (self.all
                || (command.meta.flags | queued) & (flag::WRITE | flag::MAY_REPLICATE) != 0)
    }
}
