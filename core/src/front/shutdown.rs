//! SHUTDOWN and the signals that request it: options, and clients that wait for the reply. How a
//! program shuts down is up to its [`Service`].

use core::mem;

use super::{Call, Front, Handler, Rows, Service, ShutdownOptions, row};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};
use crate::machine::{LogLevel, Signal};
use crate::time::{Mono, Now};

impl<S: Service> Rows<S> {
    /// SHUTDOWN.
    pub(crate) const SHUTDOWN: &'static [Row<Handler<S>>] =
        &[row(Group::Server, "shutdown", -1, shutdown)
            .flags(
                flag::ADMIN
                    | flag::NOSCRIPT
                    | flag::LOADING
                    | flag::STALE
                    | flag::NO_MULTI
                    | flag::ALLOW_BUSY,
            )
            .complexity("O(1), or O(N) if it saves, N being the number of keys in all databases.")
            .summary("Ends the server.")
            .syntax("[save-selector: NOSAVE | SAVE] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]")
            .history(&[("7.0.0", "New: `NOW`, `FORCE`, `ABORT`.")])];
}

/// The state of a shutdown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    /// Who has requested it, if it has not begun.
    wanted: Option<Wanted>,
    /// Whether it has begun.
    begun: bool,
    /// The options, once it has begun.
    pub(crate) how: ShutdownOptions,
    /// Ids of the clients that get an error if it fails.
    clients: Vec<u64>,
    /// When the program will exit at the latest, if the shutdown waits for something.
    pub(crate) until: Option<Mono>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Signal(Signal),
    Command(ShutdownOptions),
}

impl Shutdown {
    /// Whether one was requested, or has begun.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.is_some() || self.begun
    }

    /// Whether a signal has requested one that has not begun.
    pub(crate) fn waits_for_signal(&self) -> bool {
        matches!(self.wanted, Some(Wanted::Signal(_)))
    }

    /// How many clients wait for it.
    pub(crate) fn clients(&self) -> usize {
        self.clients.len()
    }
}

impl<S: Service> Front<S> {
    /// Handles a signal: the first one requests a shutdown, a second SIGINT exits the process.
    pub(crate) fn signalled(&mut self, signal: Signal) {
        if !self.is_shutdown_signal(signal) {
            return;
        }
        if self.shutdown.is_wanted() && signal == Signal::Interrupt {
            self.log(LogLevel::Warning, || "You insist... exiting now.".to_owned());
            return self.exit(1);
        }
        let text = match signal {
            Signal::Terminate => "Received SIGTERM scheduling shutdown...",
            _ => "Received SIGINT scheduling shutdown...",
        };
        self.schedule_shutdown(signal, text);
    }

    /// Whether a signal requests a shutdown. Other signals exit the process at once, or do nothing.
    pub(crate) fn is_shutdown_signal(&mut self, signal: Signal) -> bool {
        match signal {
            Signal::Terminate | Signal::Interrupt => return true,
            // As redis-server, which ignores SIGHUP and SIGPIPE.
            Signal::Hangup | Signal::Pipe => {}
            other => self.exit(other.default_exit()),
        }
        false
    }

    /// Requests a shutdown because of a signal; `text` is for the log.
    pub(crate) fn schedule_shutdown(&mut self, signal: Signal, text: &str) {
        self.log(LogLevel::Warning, || text.to_owned());
        self.shutdown.wanted = Some(Wanted::Signal(signal));
    }

    /// Starts a shutdown that was requested.
    pub(crate) fn begin_shutdown(&mut self, now: Now<'_>) {
        if self.shutdown.begun {
            return;
        }
        let settings = self.settings();
        let how = match self.shutdown.wanted {
            None => return,
            Some(Wanted::Signal(Signal::Terminate)) => settings.shutdown_on_sigterm,
            Some(Wanted::Signal(_)) => settings.shutdown_on_sigint,
            Some(Wanted::Command(how)) => how,
        };
        self.shutdown.wanted = None;
        self.shutdown.begun = true;
        self.shutdown.how = how;
        S::shut_down(self, now, how);
    }

    /// Cancels a shutdown that was requested or has begun. Returns the ids of the clients that wait
    /// for it, for [`Front::answer_shutdown`].
    pub(crate) fn forget_shutdown(&mut self) -> Vec<u64> {
        mem::take(&mut self.shutdown).clients
    }

    /// Replies to clients whose SHUTDOWN has failed, except `caller`, which is taken out of its
    /// slot.
    pub(crate) fn answer_shutdown(&mut self, now: Now<'_>, clients: Vec<u64>, caller: Option<u64>) {
        for client in clients.into_iter().filter(|id| Some(*id) != caller) {
            let error = CommandError::text("ERR Errors trying to SHUTDOWN. Check logs.");
            self.answer(now, client, Err(error));
        }
    }
}

fn shutdown<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let (mut how, mut abort) = (ShutdownOptions::default(), false);
    for option in call.args.from(1).iter() {
        match option.to_ascii_lowercase().as_slice() {
            b"nosave" => how.nosave = true,
            b"save" => how.save = true,
            b"now" => how.now = true,
            b"force" => how.force = true,
            b"abort" => abort = true,
            _ => return Err(CommandError::Syntax),
        }
    }
    if (abort && how != ShutdownOptions::default()) || (how.save && how.nosave) {
        return Err(CommandError::Syntax);
    }
    if abort {
        if !front.shutdown.is_wanted() {
            return Err(CommandError::text("ERR No shutdown in progress."));
        }
        S::abort_shutdown(front, call.now, call.client.id);
        front.notice(|| "Shutdown manually aborted.".to_owned());
        return call.ok();
    }
    // The shutdown starts as soon as this command has ended.
    call.client.waiting = true;
    front.shutdown.clients.push(call.client.id);
    if !front.shutdown.begun {
        front.shutdown.wanted = Some(Wanted::Command(how));
    }
    Ok(())
}
