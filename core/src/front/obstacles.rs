//! What keeps a command from being carried out at once: [`Obstacles`], and the [`Check`]s against
//! them.
//!
//! A check is made only if one of its obstacles is there, and the fast path is taken only if none
//! is. So a check that the fast path does not know of is never made at all: the first test of the
//! new feature shows that.

use core::ops::ControlFlow;

use super::{Admission, Client, ClientState, Command, Front, ReplyMode, Service, Standing};
use crate::command::CommandError;
use crate::resp::request::Args;
use crate::time::Now;

/// A set of things that can refuse or delay a command of a client, or that ask for more than its
/// call: states of the client, and states of the whole program. One bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Obstacles(u32);

impl Obstacles {
    /// The client is on its way out: its replies are dropped.
    pub const LEAVING: Self = Self(1);
    /// The client has to log in, or may not call every command on every key.
    pub const RESTRICTED: Self = Self(1 << 1);
    /// CLIENT REPLY: the client does not get all replies.
    pub const REPLIES: Self = Self(1 << 2);
    /// The client is subscribed: in RESP2 it may only change what it listens to.
    pub const SUBSCRIBED: Self = Self(1 << 3);
    /// The client tracks: what it reads is remembered, and invalidations go before its replies.
    pub const TRACKS: Self = Self(1 << 4);
    /// The client waits for something: its command has to wait as well.
    pub const HELD: Self = Self(1 << 5);
    /// The client is in a transaction: its commands are queued.
    pub const TRANSACTION: Self = Self(1 << 6);
    /// A client is in MONITOR: it is shown every command.
    pub const MONITORS: Self = Self(1 << 7);
    /// CLIENT PAUSE, or another reason to hold clients back, is in force.
    pub const PAUSE: Self = Self(1 << 8);
    /// The process stood still during this input (DEBUG SLEEP): it is later than the input says.
    pub const STALLED: Self = Self(1 << 9);

    /// The first bit of those that the service names by [`Obstacles::of_service`].
    const SERVICE: u32 = 16;

    /// An obstacle of the service's own, by a number below 16.
    pub const fn of_service(number: u32) -> Self {
        Self(1 << (Self::SERVICE + number))
    }

    /// These obstacles and others.
    #[inline(always)]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These obstacles without others.
    #[inline(always)]
    pub const fn except(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether one of these obstacles is among others.
    #[inline(always)]
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether there are none.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A check before a command is called.
pub struct Check<S: Service> {
    /// The obstacles that it is about: without one of them it is not made.
    pub(crate) about: Obstacles,
    pub(crate) check: CheckFn<S>,
}

/// Refuses a command with an error, or says what becomes of it. [`Admission::Call`] leaves it to the
/// next check.
type CheckFn<S> = fn(
    &mut Front<S>,
    Now<'_>,
    &mut Client<S>,
    &'static Command<S>,
    Args<'_>,
) -> Result<Admission, CommandError>;

impl<S: Service> Front<S> {
    /// Looks at all that can stand in the way of a client's commands: tells `found` of each obstacle
    /// whether it is there, until it breaks off.
    #[inline(always)]
    fn look_for_obstacles(
        &self,
        client: &Client<S>,
        mut found: impl FnMut(Obstacles, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        found(Obstacles::LEAVING, client.standing != Standing::Open)?;
        found(Obstacles::RESTRICTED, !client.unrestricted)?;
        found(Obstacles::REPLIES, client.replies != ReplyMode::On)?;
        found(Obstacles::SUBSCRIBED, client.subscriptions.is_some())?;
        found(Obstacles::TRACKS, client.tracking.is_some())?;
        found(Obstacles::HELD, client.is_held())?;
        found(Obstacles::TRANSACTION, client.state.in_transaction())?;
        found(Obstacles::MONITORS, !self.monitors.is_empty())?;
        found(Obstacles::PAUSE, self.pause.is_set())?;
        found(Obstacles::STALLED, self.stalled != 0)?;
        S::look_for_obstacles(self, client, found)
    }

    /// Whether there is no obstacle to a client's commands but such as are `allowed`.
    #[inline(always)]
    pub(crate) fn is_unobstructed(&self, client: &Client<S>, allowed: Obstacles) -> bool {
        self.look_for_obstacles(client, |obstacle, there| match there && !obstacle.meets(allowed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
        .is_continue()
    }

    /// What stands in the way of a client's commands.
    #[inline]
    pub(super) fn obstacles(&self, client: &Client<S>) -> Obstacles {
        // Nearly always there are none, and nothing has to be gathered.
        if self.is_unobstructed(client, Obstacles::default()) {
            return Obstacles::default();
        }
        self.gather_obstacles(client)
    }

    #[cold]
    fn gather_obstacles(&self, client: &Client<S>) -> Obstacles {
        let mut all = Obstacles::default();
        let _ = self.look_for_obstacles(client, |obstacle, there| {
            all = if there { all.and(obstacle) } else { all };
            ControlFlow::Continue(())
        });
        all
    }

    /// Makes the checks that a command needs before it is called, where these obstacles are there:
    /// those of the front, then those of the service.
    pub(super) fn check(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
        obstacles: Obstacles,
    ) -> Result<Admission, CommandError> {
        if !command.meta.takes(args.len()) {
            return Err(CommandError::arity(&command.name));
        }
        if let Some(error) = S::forbidden(self, client, command) {
            return Err(error);
        }
        if obstacles.is_empty() {
            return Ok(Admission::Call);
        }
        for Check { about, check } in Self::CHECKS.iter().chain(S::CHECKS) {
            if about.meets(obstacles) {
                let admission = check(self, now, client, command, args)?;
                if admission != Admission::Call {
                    return Ok(admission);
                }
            }
        }
        Ok(Admission::Call)
    }
}
