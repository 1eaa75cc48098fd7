//! Conditions that can refuse or delay a command ([`Obstacles`]), and the [`Check`]s for them.
//!
//! A check runs only if one of its obstacles is present, and the fast path is taken only if none
//! is. So a check that no obstacle triggers never runs at all, which the first test of a new
//! feature shows.

use core::ops::ControlFlow;

use super::{Admission, Client, ClientState, CloseState, Command, Front, ReplyMode, Service};
use crate::command::CommandError;
use crate::resp::request::Args;
use crate::time::Now;

/// A set of conditions under which a command may be refused or delayed, or needs more than a call:
/// states of the client, and of the whole program. One bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Obstacles(u32);

impl Obstacles {
    /// The client is being closed: its replies are dropped.
    pub const CLOSING: Self = Self(1);
    /// The client has to authenticate, or may not call every command on every key.
    pub const RESTRICTED: Self = Self(1 << 1);
    /// CLIENT REPLY is not ON: the client does not get all replies.
    pub const REPLIES: Self = Self(1 << 2);
    /// The client is subscribed: in RESP2 only (un)subscribe commands are allowed.
    pub const SUBSCRIBED: Self = Self(1 << 3);
    /// CLIENT TRACKING is on: keys that are read are remembered, and invalidations are sent before
    /// replies.
    pub const TRACKS: Self = Self(1 << 4);
    /// The client is blocked or held back: its next command has to wait.
    pub const HELD: Self = Self(1 << 5);
    /// The client is in a transaction: commands are queued.
    pub const TRANSACTION: Self = Self(1 << 6);
    /// A client is in MONITOR: it gets a copy of every command.
    pub const MONITORS: Self = Self(1 << 7);
    /// CLIENT PAUSE, or another reason to hold commands back, is in force.
    pub const PAUSE: Self = Self(1 << 8);
    /// DEBUG SLEEP has stopped the process during this input: the time is later than the input
    /// says.
    pub const STALLED: Self = Self(1 << 9);

    /// The first bit for obstacles of the service.
    const SERVICE: u32 = 16;

    /// An obstacle that the service defines, by a number below 16.
    pub const fn of_service(number: u32) -> Self {
        Self(1 << (Self::SERVICE + number))
    }

    /// The union of both sets.
    #[inline(always)]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// The difference: these obstacles without others.
    #[inline(always)]
    pub const fn except(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether the sets intersect.
    #[inline(always)]
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether the set is empty.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A check that runs before a command is called.
pub struct Check<S: Service> {
    /// The obstacles that trigger it.
    pub(crate) about: Obstacles,
    pub(crate) check: CheckFn<S>,
}

/// Refuses a command with an error, or decides what happens to it. [`Admission::Call`] leaves the
/// decision to the next check.
type CheckFn<S> = fn(
    &mut Front<S>,
    Now<'_>,
    &mut Client<S>,
    &'static Command<S>,
    Args<'_>,
) -> Result<Admission, CommandError>;

impl<S: Service> Front<S> {
    /// Examines every obstacle to a client's commands: calls `found` with each one and whether it
    /// is present, until `found` breaks.
    #[inline(always)]
    fn look_for_obstacles(
        &self,
        client: &Client<S>,
        mut found: impl FnMut(Obstacles, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        found(Obstacles::CLOSING, client.close_state != CloseState::Open)?;
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

    /// Whether all obstacles to a client's commands are among the `allowed` ones.
    #[inline(always)]
    pub(crate) fn is_unobstructed(&self, client: &Client<S>, allowed: Obstacles) -> bool {
        self.look_for_obstacles(client, |obstacle, there| match there && !obstacle.meets(allowed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
        .is_continue()
    }

    /// The obstacles to a client's commands.
    #[inline]
    pub(super) fn obstacles(&self, client: &Client<S>) -> Obstacles {
        // Usually there are none, and this is faster.
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

    /// Runs the checks that these obstacles trigger: those of the front, then those of the service.
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
