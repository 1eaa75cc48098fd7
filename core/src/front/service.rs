//! [`Service`]: what a program behind a [`Front`] is, and the hooks by which the front calls it.

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
/// meets them; those without a default are what a program must say.
pub trait Service: Clone + Debug + Send + Sync + Sized + 'static {
    /// What only this program keeps for a client.
    type Client: ClientState;
    /// Its configuration: directives, and their typed values.
    type Schema: Schema;
    /// What goes on when a disk operation of the program has ended.
    type DiskWork: Clone + Debug + Send + Sync;

    /// What HELLO and INFO call the mode: `standalone`, `sentinel`.
    const MODE: &'static str;

    /// The sections of INFO in their order, in lower case, and whether each is among the default
    /// ones.
    const INFO: &'static [(&'static str, bool)];

    /// Its own checks before a command is called, behind those of the front. The default holds back
    /// what CLIENT PAUSE says.
    const CHECKS: &'static [Check<Self>] =
        &[Check { about: Obstacles::PAUSE, check: Front::check_pause }];

    /// All its commands: one value for all instances.
    fn table() -> &'static Table<Self>;

    // ---- The life of the process ----

    /// The process has started. Asks for listeners with `front.listen()`.
    fn start(front: &mut Front<Self>, now: Now<'_>);

    /// All listeners are open, for the first time.
    fn listening(front: &mut Front<Self>, now: Now<'_>);

    /// Brings up to date what the program derives from the configuration.
    fn config_changed(_front: &mut Front<Self>) {}

    /// The letter by which the program signs its lines of the log: `M`, `S`, `X`.
    fn log_role(front: &Front<Self>) -> char;

    /// An operating-system signal.
    fn signal(front: &mut Front<Self>, signal: Signal) {
        front.signalled(signal);
    }

    /// A shutdown that SHUTDOWN or a signal asked for begins now. The default ends the process.
    fn shut_down(front: &mut Front<Self>, _now: Now<'_>, _how: ShutdownOptions) {
        front.exit(0);
    }

    /// SHUTDOWN ABORT, from the client `caller`, which is taken out: stays.
    fn abort_shutdown(front: &mut Front<Self>, now: Now<'_>, caller: u64) {
        let clients = front.forget_shutdown();
        front.answer_shutdown(now, clients, Some(caller));
    }

    // ---- Time ----

    /// The time asked for with [`Service::next_wake`] has come; [`Service::cron`] follows.
    fn wake(_front: &mut Front<Self>, _now: Now<'_>) {}

    /// Called at the end of every event-loop iteration: does what is due.
    fn cron(front: &mut Front<Self>, now: Now<'_>) {
        front.cron(now);
    }

    /// When [`Service::cron`] wants to be called at the latest.
    fn next_wake(front: &Front<Self>) -> Option<Mono> {
        front.cron_wake()
    }

    // ---- Connections ----

    /// The ports on which it listens, each at every address of `bind`, and what the connections
    /// there are; port 0 for none.
    fn ports(config: &Config<Self::Schema>) -> Vec<(Purpose, u16)> {
        vec![(Purpose::Clients, config.front().port)]
    }

    /// Why a new client is turned away, as a reply with its line end, if it is.
    fn turn_away(front: &Front<Self>, client: &Client<Self>, unix: bool) -> Option<&'static str> {
        front.protected(client, unix)
    }

    /// What HELLO tells as `role`, if anything.
    fn role(_front: &Front<Self>) -> Option<&'static str> {
        None
    }

    /// What HELLO and INFO call the mode.
    fn mode(_front: &Front<Self>) -> &'static str {
        Self::MODE
    }

    /// Undoes what binds a client to the program: it leaves, or RESET makes it new.
    fn release(_front: &mut Front<Self>, _client: &mut Client<Self>) {}

    /// RESET: makes what the program keeps for a client as it was when the client was new.
    fn reset(_client: &mut Client<Self>) {}

    /// A client's connection is closed. True if its state stays nevertheless, until the program
    /// calls `front.gone(client)`.
    fn keeps_closed(_front: &mut Front<Self>, _client: &mut Client<Self>) -> bool {
        false
    }

    /// Something happened on a connection that is no client's: one that the program asked for, or
    /// that was made through a listener of its own.
    fn peer(_front: &mut Front<Self>, _now: Now<'_>, _conn: ConnId, _input: PeerInput<'_>) {}

    /// The outbox of such a connection.
    fn outbox(_front: &mut Front<Self>, _conn: ConnId) -> Option<&mut Outbox> {
        None
    }

    /// The news about a child process that the program has started with
    /// [`Output::Spawn`](crate::machine::Output::Spawn).
    fn child(_front: &mut Front<Self>, _now: Now<'_>, _child: ChildId, _news: ChildNews) {}

    /// A disk operation of the program has ended.
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

    /// Whether no client's requests are carried out now; they are kept.
    #[inline]
    fn holds_all(_front: &Front<Self>) -> bool {
        false
    }

    /// Takes in bytes of a client of the kind [`ClientKind::Primary`](super::ClientKind::Primary).
    fn serve_primary(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _client: &mut Client<Self>,
        _bytes: &[u8],
    ) {
    }

    /// What of the program's own state can refuse or delay a client's commands: tells `found` of each
    /// obstacle whether it is there, until it breaks off. [`Service::CHECKS`] are about these.
    #[inline]
    fn look_for_obstacles(
        _front: &Front<Self>,
        _client: &Client<Self>,
        _found: impl FnMut(Obstacles, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// The fast path for whole requests: carries out those at the beginning of `bytes` that need no
    /// check, `left` at most, and leaves the rest to the dispatch.
    #[inline]
    fn serve_fast(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _client: &mut Client<Self>,
        _bytes: &mut &[u8],
        _left: &mut u32,
    ) {
    }

    /// The fast path for one request, where these obstacles are there. True if it was carried out.
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

    /// Why a command is forbidden to a client, whether it has come in or not.
    #[inline]
    fn forbidden(
        _front: &Front<Self>,
        _client: &Client<Self>,
        _command: &Command<Self>,
    ) -> Option<CommandError> {
        None
    }

    /// Why a command cannot be carried out by the program as it has been started, though it may be
    /// queued.
    #[inline]
    fn unfit(_front: &Front<Self>, _command: &Command<Self>) -> Option<CommandError> {
        None
    }

    /// A command was refused, or is unknown (`None`): answers the error.
    fn refuse(
        front: &mut Front<Self>,
        client: &mut Client<Self>,
        _command: Option<&'static Command<Self>>,
        _args: Args<'_>,
        error: &CommandError,
    ) {
        front.answer_error(client, error);
    }

    /// Calls an admitted command with `front.call()`, and does what follows from it.
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

    /// Whether the command that has just been called goes on, and is counted when it has ended.
    #[inline]
    fn goes_on(_front: &Front<Self>, client: &Client<Self>) -> bool {
        client.state.is_blocked()
    }

    /// Whether the command that is running was called by a script.
    fn is_in_script(_front: &Front<Self>) -> bool {
        false
    }

    /// A message was published; `args` are those of PUBLISH or SPUBLISH.
    fn published(_front: &mut Front<Self>, _now: Now<'_>, _client: &Client<Self>, _args: Args<'_>) {
    }

    /// An error was answered to a replica or to the primary, which is a fault of one of the two.
    fn error_between_servers(_front: &mut Front<Self>, _client: &Client<Self>, _text: &[u8]) {}

    /// Tracking was turned on or off for a client: the program finds out whether it has to tell of
    /// keys that change.
    fn tracking_changed(_front: &mut Front<Self>) {}

    // ---- Replies ----

    /// Called when all inputs were handled and replies are about to leave. False: not yet.
    #[inline]
    fn before_sending(_front: &mut Front<Self>) -> bool {
        true
    }

    /// Decides whether what is in a client's outbox may leave. False if none of it may.
    #[inline]
    fn may_send(_front: &mut Front<Self>, _now: Mono, client: &mut Client<Self>) -> bool {
        client.outbox.ready() > 0
    }

    /// A client is sent what it has without being asked about again, and closed then.
    fn last_flush(_front: &mut Front<Self>, _client: &mut Client<Self>) {}

    /// A client's outbox has sunk to its low-water mark.
    fn drained(_front: &mut Front<Self>, _now: Now<'_>, _client: &mut Client<Self>) {}

    /// Bytes that wait for a client.
    #[inline]
    fn waiting_bytes(_front: &Front<Self>, client: &Client<Self>) -> u64 {
        client.unsent() as u64
    }

    /// The output limit of a client; `None` if it has none.
    #[inline]
    fn output_limit(front: &Front<Self>, client: &Client<Self>) -> Option<OutputLimit> {
        let class = usize::from(client.subscriptions.is_some()) * 2;
        Some(front.config.front().client_output_buffer_limit[class])
    }

    /// Frees the copy of a value that a long reply was written from.
    fn free_copy(_front: &mut Front<Self>, copy: Entry) {
        drop(copy);
    }

    // ---- Commands of the front ----

    /// INFO is about to be asked for.
    fn before_info(_front: &mut Front<Self>, _caller: &Client<Self>) {}

    /// Writes one section of INFO; `caller` is the client that asks, which is taken out meanwhile.
    fn info_section(
        front: &Front<Self>,
        section: &str,
        text: &mut Text,
        caller: Option<&Client<Self>>,
    );

    /// CONFIG RESETSTAT: resets what the program counts itself.
    fn reset_stats(_front: &mut Front<Self>) {}

    /// CLIENT PAUSE has begun or ended.
    fn pause_changed(_front: &mut Front<Self>, _now: Mono) {}

    /// Whether paused clients have to go on waiting, although the pause has ended.
    fn keeps_paused(_front: &mut Front<Self>) -> bool {
        false
    }

    /// A command that a pause held back has been carried out.
    fn held_carried_out(_front: &mut Front<Self>, _client: &Client<Self>) {}

    /// CLIENT UNBLOCK, with an error if one is given. False if the client was not blocked.
    fn unblock(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _client: &mut Client<Self>,
        _error: Option<&str>,
    ) -> bool {
        false
    }

    /// The configuration file says what it had to say when `front.save_config()` gave this number,
    /// or could not be written.
    fn config_saved(
        _front: &mut Front<Self>,
        _now: Now<'_>,
        _number: u64,
        _result: Result<(), DiskError>,
    ) {
    }

    /// Refuses a CONFIG SET of these directives.
    fn check_config_set(_front: &Front<Self>, _names: &[&[u8]]) -> Result<(), CommandError> {
        Ok(())
    }

    /// Begins what a CONFIG SET needs besides, once the new configuration is in place. True if the
    /// client waits for that, until `front.change_done()`.
    fn config_set(_front: &mut Front<Self>, _now: Now<'_>, _change: Change<Self::Schema>) -> bool {
        false
    }

    /// The driver has adjusted the OOM score of the process, or could not.
    fn oom_score_adjusted(_front: &mut Front<Self>, _now: Now<'_>, _result: Result<(), String>) {}

    /// The working directory is about to change, or has changed (`done`).
    fn directory_changes(_front: &mut Front<Self>, _done: bool) {}
}

/// What the connections are that are made through a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Clients of the front.
    Clients,
    /// Peers of the service, told apart by a number of its own (the bus of a cluster).
    Service(u32),
}

/// What becomes of a command that no check has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is called.
    Call,
    /// It is queued in a transaction, and has been answered.
    Queued,
    /// It is held back.
    Held,
}

/// What happened on a connection that is a program's own.
#[derive(Debug)]
pub enum PeerInput<'a> {
    /// A peer has connected to a listener of the program's own.
    Accepted {
        /// The number in the listener's [`Purpose::Service`].
        purpose: u32,
        /// Our address, as the peer sees it.
        local: Endpoint,
        /// The peer's address.
        peer: Endpoint,
    },
    /// A connection that was asked for stands.
    Connected {
        /// Our address on it.
        local: Endpoint,
        /// The peer's address.
        peer: Endpoint,
    },
    /// It could not be made. It is gone.
    ConnectFailed(NetError),
    /// Bytes have arrived.
    Received(&'a [u8]),
    /// The peer will send no more.
    Ended,
    /// The outbox has sunk to its low-water mark.
    Drained,
    /// It is gone.
    Closed(NetError),
}

/// What a program hears about a child process that it has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildNews {
    /// The child runs as this process, or could not be started.
    Spawned(Result<u32, SpawnError>),
    /// The child ended, was suspended, or was continued.
    Changed(ChildChange),
}

impl<S: Service> Front<S> {
    /// The typed values of the directives that every program has which serves clients.
    #[inline]
    pub(crate) fn settings(&self) -> &FrontSettings {
        self.config.front()
    }
}
