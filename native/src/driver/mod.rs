//! The native driver: carries out, on real sockets, files and signals, what a [`Machine`] asks
//! for, and tells it what happens.
//!
//! One thread runs the machine, in a loop around epoll (kqueue elsewhere). System calls are what
//! a Redis server spends its time on, so the loop is built to make few of them:
//!
//! * sockets are watched edge-triggered, and a read that did not fill the buffer is not repeated:
//!   the kernel tells when more comes;
//! * every ready connection is read before the machine hears of any, and all are heard before
//!   anything is written; then each connection with something to say is written to once, however
//!   many replies that is. So the kernel's code for reading, the machine's and the kernel's for
//!   writing follow each other in long runs, and do not push each other out of the processor's
//!   caches with every request;
//! * whether a socket is writable is asked only after it was not;
//! * one reading of the clock serves a whole turn of the loop;
//! * a loop with nothing to do does not wait for the next request of a crowd, but for the next few
//!   (see [`moderation`]).
//!
//! So a request that comes alone costs one read, one write, and a share of one wait. Nothing is
//! allocated on that way.
//!
//! No connection can keep the others waiting: each is read from once a turn (up to
//! [`READ_BUFFER`] bytes), written to once a turn (up to [`MAX_SLICES`] chunks), and a storm of
//! new connections is let in [`MAX_ACCEPTS`] at a time.
//!
//! What nobody has asked for (the messages of a channel, see [`Output::SendSoon`]) leaves with what
//! the next turn adds, ahead of the replies of that turn, so that a hundred listeners to a busy
//! channel do not cost a hundred system calls for each message. Whoever has been answered about
//! something later finds that the messages of what was earlier are on their way.
//!
//! What this room does not know: Redis. Configuration files, daemons and log files are next door
//! in `server`.

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

/// Bytes that one read takes at most. As large as a full socket buffer usually is, so that a deep
/// pipeline needs few system calls, and small enough to stay in the second-level cache.
const READ_BUFFER: usize = 64 * 1024;

/// Bytes that are read before the machine hears of them: many short requests, or one full read.
const GATHERED: usize = 2 * READ_BUFFER;

/// Chunks that one write hands over at most: a mebibyte of [`Outbox::CHUNK`]s.
const MAX_SLICES: usize = 64;

/// Connections that one listener takes in one turn of the loop.
const MAX_ACCEPTS: usize = 128;

/// Events taken from the kernel in one turn of the loop.
const MAX_EVENTS: usize = 1024;

/// How often in one turn the machine is asked for more after what it said was sent.
const MAX_ROUNDS: usize = 4;

/// How long to stop accepting after the operating system had no file descriptor for another
/// connection, unless one is closed before that.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a busy loop reports what the operating system says of the process.
const VITALS_EVERY: Duration = Duration::from_millis(100);

const WAKER: Token = Token(usize::MAX);
/// Listeners have the tokens from here on, connections those below.
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
    /// Accepted connections so far, which numbers the next.
    accepted: u64,
    listeners: Vec<Option<OpenListener>>,
    /// Until when accepting is stopped for want of file descriptors.
    accept_pause: Option<Mono>,
    /// Whether the log says already that there is no room.
    exhausted: bool,
    /// What was read since the machine was last told, one after the other.
    buffer: Box<[u8]>,
    /// The connections that the bytes came from, and where each one's bytes end.
    arrived: Vec<(ConnId, usize)>,
    /// Connections that may have more to read.
    again: Vec<Slot>,
    /// Connections that may have something to write.
    dirty: Vec<Slot>,
    /// Connections for which messages are being gathered, until the next turn of the loop.
    gathering: Vec<Slot>,
    /// What writing brought up, for the machine to hear.
    notices: Vec<Notice>,
    messages: Vec<Message>,
    /// The machine may have more to say before anything else happens.
    eager: bool,
    /// No [`Input::Wake`] is due before this time, as far as is known.
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
    /// A driver for `machine` that hands its log lines to `log`.
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

    /// Through which other threads tell this one something.
    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        self.mailbox.clone()
    }

    /// Runs the machine until it ends the process, and returns its exit status. Disk operations
    /// that it has asked for are carried out before that. `listening` is called once, when it first
    /// listens somewhere.
    pub(crate) fn run(mut self, listening: impl FnOnce()) -> io::Result<i32> {
        let mut events = Events::with_capacity(MAX_EVENTS);
        Moderation::sharpen();
        self.clock.tick();
        self.report_vitals();
        self.hand(Input::Start);
        self.settle();
        let mut listening = Some(listening);
        loop {
            if let Some(code) = self.exit {
                // Whoever sees its connection end finds nobody listening.
                self.listeners.clear();
                self.disk.finish();
                return Ok(code);
            }
            // A node of a cluster listens when it has locked and read its configuration file.
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
            // What this turn has brought up is asked for before the next one.
            if self.asleep_until <= self.clock.mono()
                && self.machine.poll_timeout().is_some_and(|at| at <= self.clock.mono())
            {
                self.purge.worked(self.clock.mono());
                self.hand(Input::Wake);
            }
            self.purge.turn(self.clock.mono());
            self.release_gathered();
            self.settle();
        }
    }

    /// Tells the machine something, after what has been read before.
    fn hand(&mut self, input: Input<'_>) {
        self.tell_arrived();
        let watch = self.clock.stopwatch();
        self.machine.handle(Now::new(self.clock.mono(), self.clock.wall(), &watch), input);
    }

    fn report_vitals(&mut self) {
        self.vitals_at = self.clock.mono();
        let vitals = self.gauge.read();
        self.hand(Input::Vitals(vitals));
    }

    /// Waits for events, or until it is time for something else.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let patience = self.patience();
        if let Some(nap) = self.moderation.nap()
            && patience.is_none_or(|patience| patience > nap)
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
            return self.poll.poll(events, patience.map(|patience| patience.saturating_sub(took)));
        }
        self.poll.poll(events, patience)
    }

    /// How long to wait for events.
    fn patience(&mut self) -> Option<Duration> {
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
        // Handling what was ready took its time, too.
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
                    self.hand(Input::Disk { op, result });
                }
                Message::Signal(signal) => self.hand(Input::Signal(signal)),
                Message::Child(child, status) => {
                    self.children.ended(child);
                    let change = ChildChange::Ended(status);
                    self.hand(Input::ChildChanged { child, change });
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

    /// Something happened to a connection's socket. What exactly is found out by using it: an
    /// event may be about a connection that had the slot before.
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
                // The process has no reader for the error any more.
                let error = match connection.socket.take_error() {
                    Ok(Some(error)) | Err(error) => net_error(&error),
                    Ok(None) => return,
                };
                self.lose(slot, error);
            }
        }
    }

    /// A connection that was begun stands or has failed.
    fn finish_connect(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let conn = connection.id;
        match connection.socket.outcome() {
            Ok((local, peer)) => {
                connection.connecting = false;
                self.names.take(conn);
                mark(slot, &mut connection.in_dirty, &mut self.dirty);
                // What came with the news that it stands is not told a second time.
                connection.readable = true;
                mark(slot, &mut connection.in_again, &mut self.again);
                self.hand(Input::Connected { conn, local, peer });
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => {
                self.connections.remove(slot);
                let error = net_error(&e);
                match self.names.take(conn) {
                    Some(wanted) => self.try_next(wanted, error),
                    None => self.hand(Input::ConnectFailed { conn, error }),
                }
            }
        }
    }

    /// The connection is gone, and the machine does not know it yet.
    fn lose(&mut self, slot: Slot, error: NetError) {
        if let Some(connection) = self.connections.remove(slot) {
            self.accept_pause = None;
            self.notices.push(Notice::Closed(connection.id, error));
        }
    }

    /// Carries out what the machine wants and sends what it says, until it has nothing to add or
    /// others have waited long enough.
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
                    Notice::Drained(conn) => self.hand(Input::Drained { conn }),
                    Notice::Closed(conn, error) => self.hand(Input::Closed { conn, error }),
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
                    self.hand(Input::Disk { op, result });
                }
            }
            Output::Spawn { child, command } => {
                let result = self.children.spawn(child, &command);
                self.hand(Input::Spawned { child, result });
            }
            Output::Kill { pid, signal } => {
                let result = self.children.kill(pid, signal);
                self.hand(Input::Killed { pid, result });
            }
            // No program that this driver runs reads or writes its standard streams by itself.
            Output::Read { stream, .. } => {
                let result = Err(StreamError::BadDescriptor);
                self.hand(Input::Read { stream, result });
            }
            Output::Write { stream, .. } => {
                let result = Err(StreamError::BadDescriptor);
                self.hand(Input::Written { stream, result });
            }
            Output::CloseStream { .. } | Output::TerminalMode(_) | Output::Foreground { .. } => {}
            Output::Log(line) => (self.log)(line),
            Output::KeepAlive(after) => self.options.keepalive = after,
            Output::OomScore(score) => {
                let result = self.oom_score.adjust(score);
                self.hand(Input::OomScore { result });
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
                    return self.lose(slot, NetError::Eof);
                }
                connection.closing = true;
                mark(slot, &mut connection.in_dirty, &mut self.dirty);
            }
        }
    }
}

/// Puts a slot on a list that it is not on yet.
#[inline]
fn mark(slot: Slot, marked: &mut bool, list: &mut Vec<Slot>) {
    if !std::mem::replace(marked, true) {
        list.push(slot);
    }
}
