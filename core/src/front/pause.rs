//! CLIENT PAUSE, and other reasons to hold writes back.

use super::{Admission, Client, Command, Front, Service};
use crate::command::CommandError;
use crate::command::meta::flag;
use crate::resp::request::Args;
use crate::time::{Mono, Now};

/// Whether clients are held back, which, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pause {
    until: Option<Mono>,
    all: bool,
    /// Bits of [`PauseReason`].
    reasons: u8,
}

/// Why writes are held back until the reason is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PauseReason {
    /// The server ends, and replicas catch up before.
    Shutdown = 1,
    /// A replica is to take over, and catches up before.
    Failover = 2,
}

impl Pause {
    /// Holds clients back until `until`: all, or those that write. A pause that is under way only
    /// grows: it never ends sooner nor holds back fewer commands.
    pub(crate) fn begin(&mut self, now: Mono, until: Mono, all: bool) {
        let going_on = self.until.is_some_and(|until| now < until);
        self.all = all || (going_on && self.all);
        self.until = if going_on { self.until.max(Some(until)) } else { Some(until) };
    }

    /// Holds those back that write, until [`Pause::end_for`].
    pub(crate) fn begin_for(&mut self, reason: PauseReason) {
        self.reasons |= reason as u8;
    }

    /// Ends what [`Pause::begin`] began.
    pub(crate) fn end(&mut self) {
        *self = Pause { reasons: self.reasons, ..Pause::default() };
    }

    /// Ends what [`Pause::begin_for`] began.
    pub(crate) fn end_for(&mut self, reason: PauseReason) {
        self.reasons &= !(reason as u8);
    }

    /// When what [`Pause::begin`] began ends by itself.
    pub(crate) fn until(&self) -> Option<Mono> {
        self.until
    }

    /// Whether clients are held back.
    pub(crate) fn is_on(&self, now: Mono) -> bool {
        self.reasons != 0 || self.until.is_some_and(|until| now < until)
    }

    /// Whether there is a pause, or one that has run out but was not ended yet.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.until.is_some() || self.reasons != 0
    }

    /// Whether a command with these flags has to wait. EXEC has those of what it would carry out.
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
    /// Holds a command back that the pause says has to wait.
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

    /// Holds a command back that the pause says has to wait, by the flags of the command alone.
    pub(super) fn check_pause(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        Ok(self.hold_if_paused(now, client, command.meta.flags, args))
    }

    /// Resumes the clients that were held back.
    pub(crate) fn end_pause(&mut self, now: Now<'_>) {
        self.pause.end();
        S::pause_changed(self, now.mono);
        self.let_paused_go_on(now);
    }

    /// Carries out what paused clients asked for, unless it has to wait still.
    pub(crate) fn let_paused_go_on(&mut self, now: Now<'_>) {
        for slot in self.clients.slots() {
            if S::keeps_paused(self) {
                return;
            }
            let Some(mut client) = self.clients.take(slot) else { continue };
            if core::mem::take(&mut client.paused) {
                if let Some(args) = client.held.take() {
                    self.execute(now, &mut client, args.as_args());
                    S::held_carried_out(self, &client);
                }
                self.serve_and_leave(now, &mut client);
            }
            self.clients.put(client);
        }
    }
}
