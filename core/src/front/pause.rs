//! CLIENT PAUSE, and other reasons to hold commands back.

use super::{Admission, Client, Command, Front, Service};
use crate::command::CommandError;
use crate::command::meta::flag;
use crate::resp::request::Args;
use crate::time::{Mono, Now};

/// Which commands are held back, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pause {
    until: Option<Mono>,
    all: bool,
    /// Bits of [`PauseReason`].
    reasons: u8,
}

/// Reasons to hold writes back until they are withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PauseReason {
    /// The server is shutting down, and lets replicas catch up first.
    Shutdown = 1,
    /// A replica is about to take over (FAILOVER), and has to catch up first.
    Failover = 2,
}

impl Pause {
    /// Starts CLIENT PAUSE until `until`, for all commands or for writes. A pause that is in force
    /// is only extended: it never ends sooner or holds back fewer commands.
    pub(crate) fn begin(&mut self, now: Mono, until: Mono, all: bool) {
        let going_on = self.until.is_some_and(|until| now < until);
        self.all = all || (going_on && self.all);
        self.until = if going_on { self.until.max(Some(until)) } else { Some(until) };
    }

    /// Holds writes back until [`Pause::end_for`].
    pub(crate) fn begin_for(&mut self, reason: PauseReason) {
        self.reasons |= reason as u8;
    }

    /// Ends the pause that [`Pause::begin`] has started.
    pub(crate) fn end(&mut self) {
        *self = Pause { reasons: self.reasons, ..Pause::default() };
    }

    /// Ends what [`Pause::begin_for`] has started.
    pub(crate) fn end_for(&mut self, reason: PauseReason) {
        self.reasons &= !(reason as u8);
    }

    /// When the pause of [`Pause::begin`] expires.
    pub(crate) fn until(&self) -> Option<Mono> {
        self.until
    }

    /// Whether clients are held back.
    pub(crate) fn is_on(&self, now: Mono) -> bool {
        self.reasons != 0 || self.until.is_some_and(|until| now < until)
    }

    /// Whether there is a pause, even one that has expired but was not ended yet.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.until.is_some() || self.reasons != 0
    }

    /// Whether a command with these flags has to wait. For EXEC, the flags are those of its queued
    /// commands.
    #[inline]
    pub(crate) fn holds(&self, now: Mono, flags: u32) -> bool {
        if !self.is_set() {
            return false;
        }
        let writes = flags & (flag::WRITE | flag::MAY_REPLICATE) != 0;
        let paused = self.until.is_some_and(|until| now < until);
        paused && (self.all || writes) || self.reasons != 0 && writes
    }
}

impl<S: Service> Front<S> {
    /// Holds a command back if the pause applies to it.
    #[inline]
    pub(crate) fn hold_if_paused(
        &self,
        now: Now<'_>,
        client: &mut Client<S>,
        flags: u32,
        args: Args<'_>,
    ) -> Admission {
        if !self.pause.holds(now.mono, flags) || client.is_replica() {
            return Admission::Call;
        }
        client.held = Some(args.into());
        client.paused = true;
        Admission::Held
    }

    /// As a check: holds a command back if the pause applies to its own flags.
    pub(super) fn check_pause(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        Ok(self.hold_if_paused(now, client, command.meta.flags, args))
    }

    /// Ends CLIENT PAUSE, and resumes the clients that were held back.
    pub(crate) fn end_pause(&mut self, now: Now<'_>) {
        self.pause.end();
        S::pause_changed(self, now.mono);
        self.resume_paused(now);
    }

    /// Executes the commands that were held back, unless they still have to wait.
    pub(crate) fn resume_paused(&mut self, now: Now<'_>) {
        for slot in self.clients.slots() {
            if S::keeps_paused(self) {
                return;
            }
            let Some(mut client) = self.clients.take(slot) else { continue };
            if core::mem::take(&mut client.paused) {
                if let Some(args) = client.held.take() {
                    self.execute(now, &mut client, args.as_args());
                    S::held_executed(self, &client);
                }
                self.serve_and_leave(now, &mut client);
            }
            self.clients.put(client);
        }
    }
}
