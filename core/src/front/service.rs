//! [`Service`]: a program behind a [`Front`], and the hooks that the front calls.

use core::fmt::Debug;
use core::ops::ControlFlow;

use super::config::{Change, FrontSettings, OutputLimit, Schema};
use super::info_text::Text;
use super::{
    Check, Client, ClientState, Command, Config, Front, Obstacles, ShutdownOptions, Table,
};
use crate::command::CommandError;
use crate::machine::{
    ChildChange, ChildId, ConnId, DiskDone, DiskError, Endpoint, NetError, Outbox, Signal,
    SpawnError,
};
use crate::resp::request::Args;
use crate::store::Entry;
use crate::time::{Mono, Now};

/// A program that serves clients through a [`Front`].
///
/// The value is the program's own state; the front holds it as `front.service`. Every hook is an
/// associated function that gets the whole front. Hooks are listed in the order in which a request
/// reaches them; those without a default are required.
pub trait Service: Clone + Debug + Send + Sync + Sized + 'static {
    /// What the program keeps for a client.
    type Client: ClientState;
    /// Its configuration: directives, and their typed values.
    type Schema: Schema;
    /// What to continue when a disk operation of the program has completed.
    type DiskWork: Clone + Debug + Send + Sync;

    /// The mode that HELLO and INFO report: `standalone`, `sentinel`.
    const MODE: &'static str;

    /// The sections of INFO in order, in lower case, and whether each one is a default section.
    const INFO: &'static [(&'static str, bool)];

    /// The program's checks, which run after those of the front. The default is CLIENT PAUSE.
    const CHECKS: &'static [Check<Self>] =
        &[Check { about: Obstacles::PAUSE, check: Front::check_pause }];

    /// The command table: one value for all instances.
    fn table() -> &'static Table<Self>;

    // ---- The life of the process ----

    /// The process has started. Opens listeners with `front.listen()`.
    fn start(front: &mut Front<Self>, now: Now<'_>);

    /// All listeners are open for the first time.
    fn listening(front: &mut Front<Self>, now: Now<'_>);

    /// Updates what the program derives from the configuration.
    fn config_changed(_front: &mut Front<Self>) {}

    /// The role letter in the program's log lines: `M`, `S`, `X`.
    fn log_role(front: &Front<Self>) -> char;

    /// An operating-system signal.
    fn signal(front: &mut Front<Self>, signal: Signal) {
        front.signalled(signal);
    }

    /// Starts a shutdown that SHUTDOWN or a signal has requested. The default exits the process.
    fn shut_down(front: &mut Front<Self>, _now: Now<'_>, _how: ShutdownOptions) {
        front.exit(0);
    }

    /// SHUTDOWN ABORT by the client `caller`, which is taken out of its slot: cancels the shutdown.
    fn abort_shutdown(front: &mut Front<Self>, now: Now<'_>, caller: u64) {
        let clients = front.forget_shutdown();
        front.answer_shutdown(now, clients, Some(caller));
    }

    // ---- Time ----

    /// The time of [`Service::next_wake`] has come; [`Service::cron`] follows.
    fn wake(_front: &mut Front<Self>, _now: Now<'_>) {}

    /// Called at the end of every event-loop iteration: runs the periodic tasks that are due.
    fn cron(front: &mut Front<Self>, now: Now<'_>) {
        front.cron(now);
    }

    /// When [`Service::cron`] has to be called at the latest.
    fn next_wake(front: &Front<Self>) -> Option<Mono> {
        front.cron_wake()
    }

    // ---- Connections ----

    /// The ports to listen on, each at every address of `bind`, with the purpose of their
    /// connections; port 0 for none.
    fn ports(config: &Config<Self::Schema>) -> Vec<(Purpose, u16)> {
        vec![(Purpose::Clients, config.front().port)]
    }

    /// Why a new client is refused, if it is: an encoded error reply.
    fn refuse_client(
        front: &Front<Self>,
        client: &Client<Self>,
        unix: bool,
    ) -> Option<&'static str> {
        front.protected(client, unix)
    }

    /// The `role` that HELLO reports, if any.
    fn role(_front: &Front<Self>) -> Option<&'static str> {
        None
    }

    /// The mode that HELLO and INFO report.
    fn mode(_front: &Front<Self>) -> &'static str {
        Self::MODE
    }

    /// Removes a client's ties to the program: it is being closed, or RESET.
    fn release(_front: &mut Front<Self>, _client: &mut Client<Self>) {}

    /// RESET: makes the program's state for a client that of a new client.
    fn reset(_client: &mut Client<Self>) {}

    /// A client's connection has been closed. True if the client has to be kept nevertheless, until
    /// the program calls `front.remove_client(client)`.
    fn keeps_closed(_front: &mut Front<Self>, _client: &mut Client<Self>) -> bool {
        false
    }

    /// Handles an input about a connection that is not a client's: one that the program has opened,
    /// or that was accepted by a listener of its own.
    fn peer(_front: &mut Front<Self>, _now: Now<'_>, _conn: ConnId, _input: PeerInput<'_>) {}

    /// The outbox of a connection that is not a client's.
    fn outbox(_front: &mut Front<Self>, _conn: ConnId) -> Option<&mut Outbox> {
        None
    }

    /// Handles the change of a child process started with
    /// [`Output::Spawn`](crate::machine::Output::Spawn).
    fn child(_front: &mut Front<Self>, _now: Now<'_>, _child: ChildId, _news: ChildNews) {}

    /// A disk operation of the program has completed.
    fn disk_done(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _work: Self::DiskWork,
        _result: Result<DiskDone, DiskError>,
    ) {
    }

    // ---- Requests ----

    /// Prefetches memory for the bytes that arrived on several connections.
    #[inline]
    fn prefetch<'b>(_front: &mut Front<Self>, arrived: impl Iterator<Item = (ConnId, &'b [u8])>) {
        drop(arrived);
    }

    /// Prefetches memory for the next requests of one client. Returns for how many, at least 1.
    #[inline]
    fn prefetch_requests(_front: &mut Front<Self>, _client: &Client<Self>, _bytes: &[u8]) -> usize {
        usize::MAX
    }

    /// Whether requests of all clients are kept back for now.
    #[inline]
    fn holds_all(_front: &Front<Self>) -> bool {
        false
    }

    /// Handles the bytes of a client of the kind
    /// [`ClientKind::Primary`](super::ClientKind::Primary).
    fn serve_primary(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _client: &mut Client<Self>,
        _bytes: &[u8],
    ) {
    }

    /// Examines the obstacles that are the program's own: calls `found` with each one and whether
    /// it is present, until `found` breaks. [`Service::CHECKS`] are triggered by them.
    #[inline]
    fn look_for_obstacles(
        _front: &Front<Self>,
        _client: &Client<Self>,
        _found: impl FnMut(Obstacles, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// The fast path for whole requests: executes those at the start of `bytes` that need no check,
    /// at most `left`, and leaves the rest to the dispatch.
    #[inline]
    fn serve_fast(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _client: &mut Client<Self>,
        _bytes: &mut &[u8],
        _left: &mut u32,
    ) {
    }

    /// The fast path for one request, with these obstacles present. True if it was executed.
    #[inline]
    fn execute_fast(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _client: &mut Client<Self>,
        _args: Args<'_>,
        _obstacles: Obstacles,
    ) -> bool {
        false
    }

    /// Why a client may not call a command, whether it has authenticated or not.
    #[inline]
    fn forbidden(
        _front: &Front<Self>,
        _client: &Client<Self>,
        _command: &Command<Self>,
    ) -> Option<CommandError> {
        None
    }

    /// Why a command cannot be executed in the program's current mode, although it may be queued.
    #[inline]
    fn unavailable(_front: &Front<Self>, _command: &Command<Self>) -> Option<CommandError> {
        None
    }

    /// Replies with the error of a command that was refused, or is unknown (`None`).
    fn refuse(
        front: &mut Front<Self>,
        client: &mut Client<Self>,
        _command: Option<&'static Command<Self>>,
        _args: Args<'_>,
        error: &CommandError,
    ) {
        front.answer_error(client, error);
    }

    /// Calls a command that has passed the checks, with `front.call()`, and handles its effects.
    fn carry_out(
        front: &mut Front<Self>,
        now: Now<'_>,
        client: &mut Client<Self>,
        command: &'static Command<Self>,
        args: Args<'_>,
    ) {
        front.call(now, client, command, args);
        front.deliver_queued_for_current(client);
    }

    /// Calls a command on data ([`Run::Data`](super::Run::Data)). A program without keys has none.
    fn call_data(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _client: &mut Client<Self>,
        command: &'static Command<Self>,
        _handler: crate::command::Handler,
        _args: Args<'_>,
    ) -> Result<(), CommandError> {
        Err(CommandError::arity(&command.name))
    }

    /// Whether the command that was just called continues later, and its statistics with it.
    #[inline]
    fn continues_later(_front: &Front<Self>, client: &Client<Self>) -> bool {
        client.state.is_blocked()
    }

    /// Whether the running command was called by a script.
    fn is_in_script(_front: &Front<Self>) -> bool {
        false
    }

    /// A message was published; `args` are those of PUBLISH or SPUBLISH.
    fn published(_front: &mut Front<Self>, _now: Now<'_>, _client: &Client<Self>, _args: Args<'_>) {
    }

    /// An error reply was sent to a replica or to the primary, which indicates a bug in one of the
    /// two.
    fn error_between_servers(_front: &mut Front<Self>, _client: &Client<Self>, _text: &[u8]) {}

    /// A client turned tracking on or off: the program finds out whether it has to report changed
    /// keys.
    fn tracking_changed(_front: &mut Front<Self>) {}

    // ---- Replies ----

    /// Called when all inputs are handled and replies are about to be sent. False to delay them.
    #[inline]
    fn before_sending(_front: &mut Front<Self>) -> bool {
        true
    }

    /// Decides how much of a client's outbox may be sent. False if nothing.
    #[inline]
    fn may_send(_front: &mut Front<Self>, _now: Mono, client: &mut Client<Self>) -> bool {
        client.outbox.ready() > 0
    }

    /// A client is about to be closed: its output will be sent without a further
    /// [`Service::may_send`].
    fn last_flush(_front: &mut Front<Self>, _client: &mut Client<Self>) {}

    /// A client's outbox has sunk to its low-water mark.
    fn drained(_front: &mut Front<Self>, _now: Now<'_>, _client: &mut Client<Self>) {}

    /// Bytes of a client's output that count against its limit.
    #[inline]
    fn waiting_bytes(_front: &Front<Self>, client: &Client<Self>) -> u64 {
        client.unsent() as u64
    }

    /// The output limit of a client; `None` for no limit.
    #[inline]
    fn output_limit(front: &Front<Self>, client: &Client<Self>) -> Option<OutputLimit> {
        let class = usize::from(client.subscriptions.is_some()) * 2;
        Some(front.config.front().client_output_buffer_limit[class])
    }

    /// Frees the copy of a value that a long reply held.
    fn free_copy(_front: &mut Front<Self>, copy: Entry) {
        drop(copy);
    }

    // ---- Commands of the front ----

    /// Called before INFO is generated.
    fn before_info(_front: &mut Front<Self>, _caller: &Client<Self>) {}

    /// Writes one section of INFO; `caller` is the client that asks, which is taken out of its
    /// slot.
    fn info_section(
        front: &Front<Self>,
        section: &str,
        text: &mut Text,
        caller: Option<&Client<Self>>,
    );

    /// CONFIG RESETSTAT: resets the program's own statistics.
    fn reset_stats(_front: &mut Front<Self>) {}

    /// CLIENT PAUSE has begun or ended.
    fn pause_changed(_front: &mut Front<Self>, _now: Mono) {}

    /// Whether paused clients have to go on waiting although the pause has ended.
    fn keeps_paused(_front: &mut Front<Self>) -> bool {
        false
    }

    /// A command that was held back by a pause has been executed.
    fn held_executed(_front: &mut Front<Self>, _client: &Client<Self>) {}

    /// CLIENT UNBLOCK, optionally with an error. False if the client was not blocked.
    fn unblock(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _client: &mut Client<Self>,
        _error: Option<&str>,
    ) -> bool {
        false
    }

    /// The configuration file has been written as of the call of `front.save_config()` that
    /// returned this number, or writing it has failed.
    fn config_saved(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _number: u64,
        _result: Result<(), DiskError>,
    ) {
    }

    /// May refuse a CONFIG SET of these directives.
    fn check_config_set(_front: &Front<Self>, _names: &[&[u8]]) -> Result<(), CommandError> {
        Ok(())
    }

    /// Starts the program's part of a CONFIG SET, once the new configuration is applied. True if
    /// the client has to wait until `front.change_done()`.
    fn config_set(_front: &mut Front<Self>, _now: Now<'_>, _change: Change<Self::Schema>) -> bool {
        false
    }

    /// The driver has adjusted the OOM score of the process, or that failed.
    fn oom_score_adjusted(_front: &mut Front<Self>, _now: Now<'_>, _result: Result<(), String>) {}

    /// The working directory is about to change, or has changed (`done`).
    fn directory_changes(_front: &mut Front<Self>, _done: bool) {}
}

/// The purpose of a listener and of the connections that it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Clients of the front.
    Clients,
    /// Peers of the service, identified by a number that it defines (the cluster bus).
    Service(u32),
}

/// What happens to a command that no check has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is called.
    Call,
    /// It was queued in a transaction, and answered.
    Queued,
    /// It is held back and will be executed later.
    Held,
}

/// An input about a connection of the program's own.
#[derive(Debug)]
pub enum PeerInput<'a> {
    /// A listener of the program's own has accepted a connection.
    Accepted {
        /// The number of the listener's [`Purpose::Service`].
        purpose: u32,
        /// The local address.
        local: Endpoint,
        /// The peer's address.
        peer: Endpoint,
    },
    /// An outgoing connection is established.
    Connected {
        /// The local address.
        local: Endpoint,
        /// The peer's address.
        peer: Endpoint,
    },
    /// The connection could not be established, and is gone.
    ConnectFailed(NetError),
    /// Bytes have been received.
    Received(&'a [u8]),
    /// The peer has shut down its writing half.
    Ended,
    /// The outbox has sunk to its low-water mark.
    Drained,
    /// The connection is gone.
    Closed(NetError),
}

/// A change of a child process that the program has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildNews {
    /// The child has started with this process id, or could not be started.
    Spawned(Result<u32, SpawnError>),
    /// The child ended, was suspended, or was continued.
    Changed(ChildChange),
}

impl<S: Service> Front<S> {
    /// The typed values of the directives that all programs share.
    #[inline]
    pub(crate) fn settings(&self) -> &FrontSettings {
        self.config.front()
    }
}
