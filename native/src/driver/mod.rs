//! The native driver: runs a [`Machine`] on real sockets, files and signals. It carries out the
//! machine's outputs and gives it events as inputs.
//!
//! One thread runs the machine, in a loop around epoll (kqueue elsewhere). A Redis server spends
//! most of its time in system calls, so the loop is built to make few of them:
//!
//! * sockets are watched edge-triggered, and a read that did not fill the buffer is not repeated:
//!   the kernel reports when more arrives;
//! * every ready connection is read before the machine gets any input, and all input is handled
//!   before anything is written; then each connection with output is written to once, however many
//!   replies that is. So the kernel's code for reading, the machine's code and the kernel's code
//!   for writing run in long stretches, and do not evict each other from the processor's caches
//!   with every request;
//! * a socket is watched for writability only after a write did not take everything;
//! * one reading of the clock serves a whole turn of the loop;
//! * with many busy clients, an idle loop does not wait for the next request, but for the next few
//!   (see [`moderation`]).
//!
//! So a request that arrives alone costs one read, one write, and a share of one wait, and no
//! allocation.
//!
//! No connection can starve the others: in each turn, each is read from once (up to [`READ_BUFFER`]
//! bytes) and written to once (up to [`MAX_SLICES`] chunks), and at most [`MAX_ACCEPTS`] new
//! connections are accepted per listener.
//!
//! Push messages (those of a channel, see [`Output::SendSoon`]) are gathered until the next turn
//! and sent ahead of its replies, so that a hundred subscribers of a busy channel do not cost a
//! hundred system calls for each message. A client that has the reply to a later command can rely
//! on it that messages of earlier commands were sent.
//!
//! The driver knows nothing of Redis. Configuration files, daemons and log files are the business
//! of `server`.

mod children;
mod clock;
mod connecting;
mod connections;
mod disk;
mod mailbox;
mod moderation;
mod names;
mod oom_score;
mod purge;
mod reading;
mod schedule;
mod sending;
mod socket;
#[cfg(test)]
mod tests;
mod vitals;

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use limpid_core::machine::{
    Address, ChildChange, Close, ConnId, Endpoint, Input, ListenerId, LogLevel, LogLine, Machine,
    NetError, Outbox, Output, StreamError,
};
use limpid_core::time::{Mono, Now};
use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};

use self::children::Children;
use self::clock::Clock;
use self::connections::{Connection, Connections, Slot};
use self::disk::Disk;
pub(crate) use self::mailbox::{Mailbox, Message};
use self::moderation::Moderation;
use self::names::{Names, Wanted};
use self::oom_score::Adjuster;
use self::purge::Purge;
pub(crate) use self::socket::SocketOptions;
use self::socket::{Listener, Socket, is_exhaustion, net_error};
use self::vitals::Gauge;

/// The most bytes that one read takes. As large as a full socket buffer usually is, so that a deep
/// pipeline needs few system calls, and small enough to stay in the L2 cache.
const READ_BUFFER: usize = 64 * 1024;

/// Bytes that are read before the machine is given them: many short requests, or one full read.
const GATHERED: usize = 2 * READ_BUFFER;

/// The most chunks that one write passes to the kernel: a mebibyte of [`Outbox::CHUNK`]s.
const MAX_SLICES: usize = 64;

/// The most connections that one listener accepts in one turn of the loop.
const MAX_ACCEPTS: usize = 128;

/// The most events that are taken from the kernel in one turn of the loop.
const MAX_EVENTS: usize = 1024;

/// How often in one turn the machine is asked for more output after its output was sent.
const MAX_ROUNDS: usize = 4;

/// How long accepting pauses when the process is out of file descriptors, unless a connection is
/// closed before that.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a busy loop reports the process's memory and CPU time to the machine.
const VITALS_EVERY: Duration = Duration::from_millis(100);

const WAKER: Token = Token(usize::MAX);
/// The first token of listeners; those of connections are lower.
const FIRST_LISTENER: usize = 1 << 30;

/// Runs one machine on this thread.
pub(crate) struct Driver<M, L> {
    machine: M,
    log: L,
    options: SocketOptions,
    poll: Poll,
    mailbox: Arc<Mailbox>,
    clock: Clock,
    gauge: Gauge,
    oom_score: Adjuster,
    vitals_at: Mono,
    purge: Purge,
    moderation: Moderation,
    disk: Disk,
    children: Children,
    connections: Connections,
    names: Names,
    /// The number of connections accepted so far, from which the next gets its id.
    accepted: u64,
    listeners: Vec<Option<OpenListener>>,
    /// Accepting is paused until this time, for lack of file descriptors.
    accept_pause: Option<Mono>,
    /// Whether the lack of file descriptors has been logged.
    exhausted: bool,
    /// Bytes read since the machine was last given any, of all connections in order.
    buffer: Box<[u8]>,
    /// The connections that the bytes in `buffer` came from, and where those of each end.
    arrived: Vec<(ConnId, usize)>,
    /// Connections that may have more to read.
    again: Vec<Slot>,
    /// Connections that may have something to write.
    dirty: Vec<Slot>,
    /// Connections for which messages are being gathered, until the next iteration of the loop.
    gathering: Vec<Slot>,
    /// Events that writing caused, to be given to the machine.
    notices: Vec<Notice>,
    messages: Vec<Message>,
    /// The machine may have more output without a further input: do not wait for events.
    eager: bool,
    /// The earliest time at which [`Input::Wake`] may be due, as far as is known.
    asleep_until: Mono,
    exit: Option<i32>,
}

struct OpenListener {
    id: ListenerId,
    listener: Listener,
    /// A connection may be waiting to be accepted.
    ready: bool,
}

enum Notice {
    Drained(ConnId),
    Closed(ConnId, NetError),
}

impl<M: Machine, L: FnMut(LogLine)> Driver<M, L> {
    /// Creates a driver for `machine`; its log lines go to `log`.
    pub(crate) fn new(machine: M, options: SocketOptions, log: L) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mailbox = Mailbox::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Driver {
            machine,
            log,
            options,
            poll,
            disk: Disk::new(mailbox.clone()),
            children: Children::new(mailbox.clone()),
            names: Names::new(mailbox.clone()),
            mailbox,
            clock: Clock::new(),
            gauge: Gauge::new(),
            oom_score: Adjuster::default(),
            vitals_at: Mono::ZERO,
            purge: Purge::new(),
            moderation: Moderation::new(),
            connections: Connections::default(),
            accepted: 0,
            listeners: Vec::new(),
            accept_pause: None,
            exhausted: false,
            buffer: vec![0; GATHERED].into_boxed_slice(),
            arrived: Vec::new(),
            again: Vec::new(),
            dirty: Vec::new(),
            gathering: Vec::new(),
            notices: Vec::new(),
            messages: Vec::new(),
            eager: false,
            asleep_until: Mono::ZERO,
            exit: None,
        })
    }

    /// The queue by which other threads send messages to this one.
    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        self.mailbox.clone()
    }

    /// Runs the machine until it ends the process, and returns its exit status. Pending disk
    /// operations are carried out before that. `listening` is called once, when the first listener
    /// is open.
    pub(crate) fn run(mut self, listening: impl FnOnce()) -> io::Result<i32> {
        let mut events = Events::with_capacity(MAX_EVENTS);
        Moderation::sharpen();
        self.clock.tick();
        self.report_vitals();
        self.deliver(Input::Start);
        self.settle();
        let mut listening = Some(listening);
        loop {
            if let Some(code) = self.exit {
                // Listeners close first: a client whose connection ends must not reach this process
                // again.
                self.listeners.clear();
                self.disk.finish();
                return Ok(code);
            }
            // A cluster node only listens after it has locked and read its configuration file.
            if self.listeners.iter().any(Option::is_some)
                && let Some(listening) = listening.take()
            {
                listening();
            }
            match self.wait(&mut events) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            self.clock.tick();
            self.moderation.turn(self.clock.mono());
            if !events.is_empty() {
                self.purge.worked(self.clock.mono());
            }
            self.read_again();
            for event in &events {
                self.dispatch(event);
            }
            self.tell_arrived();
            self.accept_waiting();
            if self.clock.mono().since(self.vitals_at) >= VITALS_EVERY {
                self.report_vitals();
            }
            // Output that this turn caused is sent before the next one.
            if self.asleep_until <= self.clock.mono()
                && self.machine.poll_timeout().is_some_and(|at| at <= self.clock.mono())
            {
                self.purge.worked(self.clock.mono());
                self.deliver(Input::Wake);
            }
            self.purge.turn(self.clock.mono());
            self.release_gathered();
            self.settle();
        }
    }

    /// Gives the machine an input, after the bytes that were read before it.
    fn deliver(&mut self, input: Input<'_>) {
        self.tell_arrived();
        let watch = self.clock.stopwatch();
        self.machine.handle(Now::new(self.clock.mono(), self.clock.wall(), &watch), input);
    }

    fn report_vitals(&mut self) {
        self.vitals_at = self.clock.mono();
        let vitals = self.gauge.read();
        self.deliver(Input::Vitals(vitals));
    }

    /// Waits for events, or until the next timeout.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = self.poll_timeout();
        if let Some(nap) = self.moderation.nap()
            && timeout.is_none_or(|timeout| timeout > nap)
        {
            self.poll.poll(events, Some(Duration::ZERO))?;
            if !events.is_empty() {
                return Ok(());
            }
            self.clock.tick();
            let asleep = self.clock.mono();
            std::thread::sleep(nap);
            self.clock.tick();
            let awake = self.clock.mono();
            let took = awake.since(asleep);
            self.moderation.slept(nap, took, awake);
            return self.poll.poll(events, timeout.map(|timeout| timeout.saturating_sub(took)));
        }
        self.poll.poll(events, timeout)
    }

    /// How long to wait for events; `None` without limit.
    fn poll_timeout(&mut self) -> Option<Duration> {
        let waiting =
            self.accept_pause.is_none() && self.listeners.iter().flatten().any(|l| l.ready);
        let busy = !(self.again.is_empty() && self.dirty.is_empty() && self.gathering.is_empty());
        if self.eager || waiting || busy {
            self.asleep_until = Mono::ZERO;
            return Some(Duration::ZERO);
        }
        let wake = self.machine.poll_timeout();
        self.asleep_until = wake.unwrap_or(Mono(u64::MAX));
        let until = [wake, self.accept_pause, self.purge.due()].into_iter().flatten().min()?;
        if until <= self.clock.mono() {
            return Some(Duration::ZERO);
        }
        // Handling the events before took time, too.
        self.clock.tick();
        Some(until.since(self.clock.mono()))
    }

    fn dispatch(&mut self, event: &Event) {
        match event.token() {
            WAKER => self.read_mailbox(),
            Token(token) if token >= FIRST_LISTENER => {
                if let Some(Some(open)) = self.listeners.get_mut(token - FIRST_LISTENER) {
                    open.ready = true;
                }
            }
            Token(slot) => self.on_socket_event(slot, event),
        }
    }

    fn read_mailbox(&mut self) {
        let mut messages = std::mem::take(&mut self.messages);
        self.mailbox.take(&mut messages);
        for message in messages.drain(..) {
            match message {
                Message::Disk(_, op, result) => {
                    self.disk.completed(op, &result);
                    self.deliver(Input::Disk { op, result });
                }
                Message::Signal(signal) => self.deliver(Input::Signal(signal)),
                Message::Child(child, status) => {
                    self.children.ended(child);
                    let change = ChildChange::Ended(status);
                    self.deliver(Input::ChildChanged { child, change });
                }
                Message::Name(host, addresses) => {
                    for wanted in self.names.found(&host, addresses) {
                        self.try_next(wanted, NetError::UnknownName);
                    }
                }
            }
        }
        self.messages = messages;
    }

    /// Handles an event of a connection's socket. What happened is found out by using the socket,
    /// since the event may be about a connection that had the slot before.
    fn on_socket_event(&mut self, slot: Slot, event: &Event) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.connecting {
            return self.finish_connect(slot);
        }
        if event.is_writable() && connection.blocked {
            connection.blocked = false;
            mark(slot, &mut connection.in_dirty, &mut self.dirty);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.readable = true;
            connection.hung_up |= event.is_read_closed() || event.is_error();
            if connection.may_read() {
                self.read(slot);
            } else if event.is_error() {
                // Nothing reads from this socket now, so the error is taken from it here.
                let error = match connection.socket.take_error() {
                    Ok(Some(error)) | Err(error) => net_error(&error),
                    Ok(None) => return,
                };
                self.on_failed(slot, error);
            }
        }
    }

    /// Reports an outgoing connection that was established or has failed.
    fn finish_connect(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let conn = connection.id;
        match connection.socket.outcome() {
            Ok((local, peer)) => {
                connection.connecting = false;
                self.names.take(conn);
                mark(slot, &mut connection.in_dirty, &mut self.dirty);
                // The kernel does not report bytes again that arrived with the connection.
                connection.readable = true;
                mark(slot, &mut connection.in_again, &mut self.again);
                self.deliver(Input::Connected { conn, local, peer });
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => {
                self.connections.remove(slot);
                let error = net_error(&e);
                match self.names.take(conn) {
                    Some(wanted) => self.try_next(wanted, error),
                    None => self.deliver(Input::ConnectFailed { conn, error }),
                }
            }
        }
    }

    /// Removes a connection that failed, and reports that to the machine.
    fn on_failed(&mut self, slot: Slot, error: NetError) {
        if let Some(connection) = self.connections.remove(slot) {
            self.accept_pause = None;
            self.notices.push(Notice::Closed(connection.id, error));
        }
    }

    /// Carries out the machine's outputs and sends its replies, until it has none left or
    /// [`MAX_ROUNDS`] is reached.
    fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            self.eager = false;
            self.carry_out();
            if self.exit.is_some() {
                return;
            }
            self.flush();
            if self.notices.is_empty() {
                return;
            }
            let mut notices = std::mem::take(&mut self.notices);
            for notice in notices.drain(..) {
                match notice {
                    Notice::Drained(conn) => self.deliver(Input::Drained { conn }),
                    Notice::Closed(conn, error) => self.deliver(Input::Closed { conn, error }),
                }
            }
            self.notices = notices;
            self.eager = true;
        }
    }

    /// Carries out all that the machine asks for.
    fn carry_out(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                // By far the most frequent one.
                Output::Send { conn } => self.mark_dirty(conn),
                other => self.carry_out_one(other),
            }
            if self.exit.is_some() {
                return;
            }
        }
    }

    #[inline]
    fn mark_dirty(&mut self, conn: ConnId) {
        if let Some((slot, connection)) = self.connections.find(conn) {
            mark(slot, &mut connection.in_dirty, &mut self.dirty);
        }
    }

    /// Apart from the loop, so that the loop stays small.
    #[inline(never)]
    fn carry_out_one(&mut self, output: Output) {
        match output {
            Output::Send { conn } => self.mark_dirty(conn),
            Output::SendSoon { conn } => {
                if let Some((slot, connection)) = self.connections.find(conn) {
                    mark(slot, &mut connection.in_gathering, &mut self.gathering);
                }
            }
            Output::Reading { conn, on } => self.set_reading(conn, on),
            Output::Close { conn, how } => self.close(conn, how),
            Output::Listen { listener, at, backlog } => self.listen(listener, &at, backlog),
            Output::Unlisten { listener } => self.unlisten(listener),
            Output::Connect { conn, to, from } => self.connect(conn, to, from),
            Output::Disk { op, what } => {
                if let Some(result) = self.disk.submit(op, what) {
                    self.deliver(Input::Disk { op, result });
                }
            }
            Output::Spawn { child, command } => {
                let result = self.children.spawn(child, &command);
                self.deliver(Input::Spawned { child, result });
            }
            Output::Kill { pid, signal } => {
                let result = self.children.kill(pid, signal);
                self.deliver(Input::Killed { pid, result });
            }
            // No program that this driver runs reads or writes its standard streams by itself.
            Output::Read { stream, .. } => {
                let result = Err(StreamError::BadDescriptor);
                self.deliver(Input::Read { stream, result });
            }
            Output::Write { stream, .. } => {
                let result = Err(StreamError::BadDescriptor);
                self.deliver(Input::Written { stream, result });
            }
            Output::CloseStream { .. } | Output::TerminalMode(_) | Output::Foreground { .. } => {}
            Output::Log(line) => (self.log)(line),
            Output::KeepAlive(after) => self.options.keepalive = after,
            Output::OomScore(score) => {
                let result = self.oom_score.adjust(score);
                self.deliver(Input::OomScore { result });
            }
            Output::Stall(time) => {
                self.release_gathered();
                self.flush();
                std::thread::sleep(time);
            }
            Output::Exit { code } => {
                self.release_gathered();
                self.flush();
                self.exit = Some(code);
            }
        }
    }

    fn set_reading(&mut self, conn: ConnId, on: bool) {
        let Some((slot, connection)) = self.connections.find(conn) else { return };
        connection.paused = !on;
        if on && connection.readable {
            mark(slot, &mut connection.in_again, &mut self.again);
        }
    }

    fn close(&mut self, conn: ConnId, how: Close) {
        let Some((slot, connection)) = self.connections.find(conn) else {
            return self.names.forget(conn);
        };
        match how {
            Close::Now => {
                if connection.connecting {
                    self.names.forget(conn);
                }
                self.connections.remove(slot);
                self.accept_pause = None;
            }
            Close::AfterSending => {
                if self.machine.outbox(conn).is_none_or(|outbox| outbox.is_empty()) {
                    return self.on_failed(slot, NetError::Eof);
                }
                connection.closing = true;
                mark(slot, &mut connection.in_dirty, &mut self.dirty);
            }
        }
    }
}

/// Adds a slot to a list unless `marked` says that it is on it.
#[inline]
fn mark(slot: Slot, marked: &mut bool, list: &mut Vec<Slot>) {
    if !std::mem::replace(marked, true) {
        list.push(slot);
    }
}
