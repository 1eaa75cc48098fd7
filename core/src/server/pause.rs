//! CLIENT PAUSE, and other reasons to hold writes back.

use super::table::Command;
use crate::command::meta::flag;
use crate::time::Mono;

/// Whether clients are held back, which, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    until: Option<Mono>,
    all: bool,
    /// Bits of [`Reason`].
    reasons: u8,
}

/// Why writes are held back until somebody says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Reason {
    /// The server ends, and replicas catch up before.
    Shutdown = 1,
    /// A replica is to take over, and catches up before.
    Failover = 2,
}

impl Pause {
    /// Holds clients back until `until`: all, or those that write. A pause that is under way only
    /// grows: it does not end sooner, and holds whom it held.
    pub(super) fn begin(&mut self, now: Mono, until: Mono, all: bool) {
        let going_on = self.until.is_some_and(|until| now < until);
        self.all = all || (going_on && self.all);
        self.until = if going_on { self.until.max(Some(until)) } else { Some(until) };
    }

    /// Holds those back that write, until [`Pause::end_for`].
    pub(super) fn begin_for(&mut self, reason: Reason) {
        self.reasons |= reason as u8;
    }

    /// Ends what [`Pause::begin`] began.
    pub(super) fn end(&mut self) {
        *self = Pause { reasons: self.reasons, ..Pause::default() };
    }

    /// Ends what [`Pause::begin_for`] began.
    pub(super) fn end_for(&mut self, reason: Reason) {
        self.reasons &= !(reason as u8);
    }

    /// When what [`Pause::begin`] began ends by itself.
    pub(super) fn until(&self) -> Option<Mono> {
        self.until
    }

    /// Whether somebody is held back.
    pub(super) fn is_on(&self, now: Mono) -> bool {
        self.reasons != 0 || self.until.is_some_and(|until| now < until)
    }

    /// Whether there is a pause, or was one that nobody has ended yet.
    #[inline]
    pub(super) fn is_set(&self) -> bool {
        self.until.is_some() || self.reasons != 0
    }

    /// Whether this command has to wait. EXEC does as what it would carry out, whose flags are
    /// `queued`.
    #[inline]
    pub(super) fn holds(&self, now: Mono, command: &Command, queued: u32) -> bool {
        if !self.is_set() {
            return false;
        }
        let writes = (command.meta.flags | queued) & (flag::WRITE | flag::MAY_REPLICATE) != 0;
        let paused = self.until.is_some_and(|until| now < until);
        paused && (self.all || writes) || self.reasons != 0 && writes
    }
}
