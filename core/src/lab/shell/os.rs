//! What a small program sees of the operating system, and the machine around it.
//!
//! A program is an `async fn` over [`Os`]. Its calls become the outputs of a machine
//! ([`Program`]), and inputs their answers, by way of a [`Conversation`].

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::conversation::{Conversation, Line, RequestId};
use crate::machine::{
    Address, ChildChange, ChildId, Close, Command, ConnId, DiskDone, DiskError, DiskOp, ExitStatus,
    FileStat, Input, KillError, Machine, NetError, OpId, Outbox, Output, PipeId, Signal,
    SpawnError, Stream, StreamError, TerminalMode,
};
use crate::sim::{Action, Launch, Process, Wish};
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono, Now, Wall};

/// A running program, as a future.
pub(super) type Run = Pin<Box<dyn Future<Output = End> + Send>>;

/// How a program, or one of its conversations, ends.
#[derive(Clone)]
pub(super) enum End {
    /// The process ends with this status.
    Exit(i32),
    /// The process goes on with another conversation: what was said so far need not be repeated.
    Again(Entry),
}

/// Where a program begins, or goes on.
pub(super) type Entry = Arc<dyn Fn(Os) -> Run + Send + Sync>;

/// What a program asks for.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Read(Stream, u32),
    Write(Stream, Vec<u8>),
    CloseStream(Stream),
    Spawn(Box<Command>),
    SpawnOn(String, Box<Command>),
    NewPipe,
    /// Something about this child, or any.
    Wait(Option<ChildId>),
    /// The same, if there is something already.
    Poll,
    Kill(i64, Signal),
    Disk(DiskOp),
    Sleep(Duration),
    /// Lets time pass, and tells whether a signal came.
    Tick,
    Now,
    Mode(TerminalMode),
    Foreground(Option<ChildId>),
    Size,
    /// Waits for an interrupt.
    Interrupt,
    /// From now on an interrupt is noted instead of ending the program.
    Catch(bool),
    Connect(String, u16),
    Send(ConnId, Vec<u8>),
    Receive(ConnId),
    Hang(ConnId),
    Wish(Action),
}

/// What a program is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Bytes(Result<Arc<[u8]>, StreamError>),
    Written(Result<(), StreamError>),
    Spawned(Result<(ChildId, u32), SpawnError>),
    Child(Option<(ChildId, ChildChange)>),
    Pipe(PipeId),
    Killed(Result<(), KillError>),
    Disk(Result<Arc<DiskDone>, DiskError>),
    Signalled(bool),
    Time(Mono, Wall),
    Size(u16, u16),
    Connected(Result<ConnId, NetError>),
    Received(Result<Arc<[u8]>, NetError>),
    Done,
}

/// What a program knows from its start.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) host: String,
    pub(super) ip: Ipv4Addr,
    pub(super) pid: u32,
    pub(super) names: Vec<(String, Ipv4Addr)>,
    pub(super) stdin_is_terminal: bool,
    pub(super) stdout_is_terminal: bool,
    /// What there is to see of the host's processes and sockets, for the programs that show them.
    pub(super) seen: super::tools::Seen,
}

/// The operating system, as one run of a program sees it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Os {
    line: Line<Call, Reply>,
    pub(super) name: Arc<str>,
    pub(super) args: Arc<Vec<String>>,
    pub(super) env: Arc<Vec<(String, String)>>,
    /// The working directory at the start.
    pub(super) dir: Arc<str>,
    pub(super) facts: Arc<Facts>,
    /// What was printed and not written yet.
    out: Arc<Mutex<Vec<u8>>>,
}

impl Os {
    /// The bytes that are gathered before they are written.
    const GATHERED: usize = 16 << 10;

    async fn call(&self, call: Call) -> Reply {
        self.line.ask(call).await
    }

    /// The same system for a program with other arguments.
    pub(super) fn with_args(&self, name: &str, args: Vec<String>) -> Os {
        Os { name: name.into(), args: Arc::new(args), ..self.clone() }
    }

    /// The same system with another environment.
    pub(super) fn with_env(&self, env: Vec<(String, String)>) -> Os {
        Os { env: Arc::new(env), ..self.clone() }
    }

    pub(super) fn var(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    // --- output -------------------------------------------------------------------------------

    /// Prints to the standard output; it is written when there is enough, and at the end.
    pub(super) fn print(&self, text: impl AsRef<[u8]>) {
        self.out().extend_from_slice(text.as_ref());
    }

    pub(super) fn println(&self, text: impl AsRef<[u8]>) {
        let mut out = self.out();
        out.extend_from_slice(text.as_ref());
        out.push(b'\n');
    }

    fn out(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was printed and not written.
    pub(super) fn take_printed(&self) -> Vec<u8> {
        core::mem::take(&mut *self.out())
    }

    /// Writes what was printed.
    pub(super) async fn flush(&self) {
        let bytes = self.take_printed();
        if !bytes.is_empty() {
            // Where nobody reads, nothing can be said either.
            let _ = self.write(Stream::Stdout, bytes).await;
        }
    }

    /// Writes what was printed if it has become much.
    pub(super) async fn flush_if_full(&self) {
        if self.out().len() >= Self::GATHERED {
            self.flush().await;
        }
    }

    pub(super) async fn write(&self, to: Stream, bytes: Vec<u8>) -> Result<(), StreamError> {
        match self.call(Call::Write(to, bytes)).await {
            Reply::Written(result) => result,
            _ => Err(StreamError::Io),
        }
    }

    /// Says something on the standard error, after the program's name.
    pub(super) async fn complain(&self, text: impl AsRef<str>) {
        let line = format!("{}: {}\n", self.name, text.as_ref());
        self.flush().await;
        let _ = self.write(Stream::Stderr, line.into_bytes()).await;
    }

    /// Complains, and gives the status with which to end.
    pub(super) async fn fail(&self, text: impl AsRef<str>) -> i32 {
        self.complain(text).await;
        1
    }

    // --- input --------------------------------------------------------------------------------

    /// Reads from a stream; nothing at its end.
    pub(super) async fn read(&self, from: Stream, most: u32) -> Arc<[u8]> {
        match self.call(Call::Read(from, most)).await {
            Reply::Bytes(Ok(bytes)) => bytes,
            _ => Arc::from([]),
        }
    }

    /// The standard input to its end.
    pub(super) async fn read_all(&self, from: Stream) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let bytes = self.read(from, 64 << 10).await;
            if bytes.is_empty() {
                return all;
            }
            all.extend_from_slice(&bytes);
        }
    }

    pub(super) async fn close(&self, stream: Stream) {
        self.call(Call::CloseStream(stream)).await;
    }

    /// A file, or the standard input for `-`.
    pub(super) async fn input(&self, path: &str) -> Result<Vec<u8>, DiskError> {
        if path == "-" {
            return Ok(self.read_all(Stream::Stdin).await);
        }
        self.load(path).await
    }

    // --- files --------------------------------------------------------------------------------

    async fn disk(&self, op: DiskOp) -> Result<Arc<DiskDone>, DiskError> {
        match self.call(Call::Disk(op)).await {
            Reply::Disk(result) => result,
            _ => Ok(Arc::new(DiskDone::Done)),
        }
    }

    pub(super) async fn load(&self, path: &str) -> Result<Vec<u8>, DiskError> {
        let path = path.into();
        Ok(match &*self.disk(DiskOp::Load { path }).await? {
            DiskDone::Data(bytes) => bytes.clone(),
            _ => Vec::new(),
        })
    }

    pub(super) async fn save(&self, path: &str, bytes: Vec<u8>) -> Result<(), DiskError> {
        let path: String = path.into();
        let mode = self.stat(&path).await.map(|stat| stat.mode);
        self.disk(DiskOp::Replace { path: path.clone(), bytes }).await?;
        if let Ok(mode) = mode {
            self.disk(DiskOp::SetMode { path, mode }).await?;
        }
        Ok(())
    }

    pub(super) async fn stat(&self, path: &str) -> Result<FileStat, DiskError> {
        let path = path.into();
        match &*self.disk(DiskOp::Stat { path }).await? {
            DiskDone::Stat(stat) => Ok(*stat),
            _ => Ok(FileStat { dir: false, len: 0, mode: 0, modified: Wall(0) }),
        }
    }

    pub(super) async fn is_dir(&self, path: &str) -> bool {
        self.stat(path).await.is_ok_and(|stat| stat.dir)
    }

    pub(super) async fn exists(&self, path: &str) -> bool {
        self.stat(path).await.is_ok()
    }

    pub(super) async fn list(&self, path: &str) -> Result<Vec<String>, DiskError> {
        let path = path.into();
        Ok(match &*self.disk(DiskOp::List { path }).await? {
            DiskDone::Names(names) => names.clone(),
            _ => Vec::new(),
        })
    }

    pub(super) async fn do_disk(&self, op: DiskOp) -> Result<(), DiskError> {
        self.disk(op).await.map(|_| ())
    }

    // --- processes ----------------------------------------------------------------------------

    pub(super) async fn spawn(&self, command: Command) -> Result<(ChildId, u32), SpawnError> {
        match self.call(Call::Spawn(Box::new(command))).await {
            Reply::Spawned(result) => result,
            _ => Err(SpawnError::NotFound),
        }
    }

    pub(super) async fn spawn_on(
        &self,
        host: &str,
        command: Command,
    ) -> Result<(ChildId, u32), SpawnError> {
        match self.call(Call::SpawnOn(host.into(), Box::new(command))).await {
            Reply::Spawned(result) => result,
            _ => Err(SpawnError::NotFound),
        }
    }

    pub(super) async fn new_pipe(&self) -> PipeId {
        match self.call(Call::NewPipe).await {
            Reply::Pipe(pipe) => pipe,
            _ => PipeId(u64::MAX),
        }
    }

    /// Waits until something becomes of a child, or of any.
    pub(super) async fn wait(&self, child: Option<ChildId>) -> Option<(ChildId, ChildChange)> {
        match self.call(Call::Wait(child)).await {
            Reply::Child(change) => change,
            _ => None,
        }
    }

    /// What has become of a child that nobody has asked about yet.
    pub(super) async fn poll_child(&self) -> Option<(ChildId, ChildChange)> {
        match self.call(Call::Poll).await {
            Reply::Child(change) => change,
            _ => None,
        }
    }

    /// Waits until a child has ended; its status as `$?` shows it.
    pub(super) async fn wait_end(&self, child: ChildId) -> ExitStatus {
        loop {
            match self.wait(Some(child)).await {
                Some((_, ChildChange::Ended(status))) => return status,
                Some(_) => {}
                None => return ExitStatus::Exited(127),
            }
        }
    }

    pub(super) async fn kill(&self, pid: i64, signal: Signal) -> Result<(), KillError> {
        match self.call(Call::Kill(pid, signal)).await {
            Reply::Killed(result) => result,
            _ => Err(KillError::NoProcess),
        }
    }

    // --- time, terminal, network ---------------------------------------------------------------

    pub(super) async fn sleep(&self, time: Duration) {
        self.call(Call::Sleep(time)).await;
    }

    /// Lets other things happen. True if the program was interrupted.
    pub(super) async fn tick(&self) -> bool {
        matches!(self.call(Call::Tick).await, Reply::Signalled(true))
    }

    pub(super) async fn now(&self) -> (Mono, Wall) {
        match self.call(Call::Now).await {
            Reply::Time(mono, wall) => (mono, wall),
            _ => (Mono::ZERO, Wall(0)),
        }
    }

    pub(super) async fn set_mode(&self, mode: TerminalMode) {
        self.call(Call::Mode(mode)).await;
    }

    pub(super) async fn set_foreground(&self, child: Option<ChildId>) {
        self.call(Call::Foreground(child)).await;
    }

    /// The columns and rows of the terminal.
    pub(super) async fn size(&self) -> (usize, usize) {
        match self.call(Call::Size).await {
            Reply::Size(columns, rows) => (columns.into(), rows.into()),
            _ => (80, 24),
        }
    }

    pub(super) async fn catch_interrupts(&self, on: bool) {
        self.call(Call::Catch(on)).await;
    }

    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<ConnId, NetError> {
        match self.call(Call::Connect(host.into(), port)).await {
            Reply::Connected(result) => result,
            _ => Err(NetError::Other),
        }
    }

    pub(super) async fn send(&self, conn: ConnId, bytes: Vec<u8>) {
        self.call(Call::Send(conn, bytes)).await;
    }

    /// Asks for what comes next on a connection; nothing when the peer has ended.
    pub(super) fn receive(&self, conn: ConnId) -> crate::conversation::Answer<Call, Reply> {
        self.line.ask(Call::Receive(conn))
    }

    /// Asks for what comes next on a stream.
    pub(super) fn ask_read(&self, from: Stream) -> crate::conversation::Answer<Call, Reply> {
        self.line.ask(Call::Read(from, 4096))
    }

    /// Asks to be told when a time has passed.
    pub(super) fn ask_sleep(&self, time: Duration) -> crate::conversation::Answer<Call, Reply> {
        self.line.ask(Call::Sleep(time))
    }

    /// Asks to be told of the next interrupt; they have to be caught.
    pub(super) fn ask_interrupt(&self) -> crate::conversation::Answer<Call, Reply> {
        self.line.ask(Call::Interrupt)
    }

    pub(super) async fn hang_up(&self, conn: ConnId) {
        self.call(Call::Hang(conn)).await;
    }

    pub(super) async fn wish(&self, action: Action) {
        self.call(Call::Wish(action)).await;
    }
}

/// A program as a process of a World.
#[derive(Clone)]
pub(super) struct Program {
    given: Given,
    talk: Conversation<Call, Reply, End>,
    facts: Arc<Facts>,
    outputs: VecDeque<Output>,
    wishes: VecDeque<Wish>,
    exit: bool,
    children: u64,
    pipes: u64,
    operations: u64,
    connections: u64,
    now: (Mono, Wall),
    size: (u16, u16),
    /// Interrupts are noted in `interrupted` instead of ending the program.
    catches: bool,
    interrupted: bool,
    /// Whether the files of an installation are to be put on the disk.
    installs: bool,
    timers: SortedMap<RequestId, Mono>,
    ticks: VecDeque<RequestId>,
    interrupts: Option<RequestId>,
    reads: SortedMap<Stream, RequestId>,
    writes: SortedMap<Stream, VecDeque<RequestId>>,
    spawning: SortedMap<ChildId, RequestId>,
    changes: VecDeque<(ChildId, ChildChange)>,
    waiting: VecDeque<(RequestId, Option<ChildId>)>,
    kills: VecDeque<RequestId>,
    disk: SortedMap<OpId, RequestId>,
    conns: SortedMap<ConnId, Conn>,
}

/// What a conversation of a program is made from.
#[derive(Clone)]
struct Given {
    name: Arc<str>,
    args: Arc<Vec<String>>,
    env: Arc<Vec<(String, String)>>,
    dir: Arc<str>,
}

#[derive(Clone, Default)]
struct Conn {
    outbox: Outbox,
    connecting: Option<RequestId>,
    receiving: Option<RequestId>,
    received: Vec<u8>,
    over: Option<NetError>,
}

impl Program {
    /// What a tick takes.
    const TICK: Duration = Duration::from_micros(50);

    pub(super) fn new(launch: &Launch<'_>, entry: Entry, seen: super::tools::Seen) -> Self {
        let facts = Arc::new(Facts {
            host: launch.host.into(),
            ip: launch.ip,
            pid: launch.pid,
            names: launch.names().map(|(name, ip)| (name.to_owned(), ip)).collect(),
            stdin_is_terminal: launch.stdin_is_terminal,
            stdout_is_terminal: launch.stdout_is_terminal,
            seen,
        });
        let given = Given {
            name: launch.program.into(),
            args: Arc::new(launch.args.to_vec()),
            env: Arc::new(launch.env.to_vec()),
            dir: launch.dir.into(),
        };
        Program {
            talk: converse(&given, &facts, entry),
            given,
            facts,
            outputs: VecDeque::new(),
            wishes: VecDeque::new(),
            exit: false,
            children: 0,
            pipes: 0,
            operations: 0,
            connections: 0,
            now: (launch.now.mono, launch.now.wall),
            size: (80, 24),
            catches: false,
            interrupted: false,
            installs: false,
            timers: SortedMap::new(),
            ticks: VecDeque::new(),
            interrupts: None,
            reads: SortedMap::new(),
            writes: SortedMap::new(),
            spawning: SortedMap::new(),
            changes: VecDeque::new(),
            waiting: VecDeque::new(),
            kills: VecDeque::new(),
            disk: SortedMap::new(),
            conns: SortedMap::new(),
        }
    }

    /// The same, and the host gets the files of an installed machine if it lacks them.
    pub(super) fn installing(mut self) -> Self {
        self.installs = true;
        self
    }

    fn finish(&mut self, code: i32) {
        if !self.exit {
            self.exit = true;
            self.outputs.push_back(Output::Exit { code });
        }
    }

    /// Carries out what the program asks for, until it waits.
    fn proceed(&mut self) {
        while !self.exit {
            while let Some((id, call)) = self.talk.poll_request() {
                self.carry_out(id, call);
            }
            match self.talk.take_result() {
                None => return,
                Some(End::Exit(code)) => self.finish(code),
                Some(End::Again(entry)) => {
                    // What the conversation before asked for and did not wait for is forgotten; a
                    // read stays under way.
                    self.timers.clear();
                    self.ticks.clear();
                    self.interrupts = None;
                    self.waiting.clear();
                    for conn in self.conns.values_mut() {
                        conn.receiving = None;
                    }
                    let stale = RequestId(u64::MAX);
                    for read in self.reads.values_mut() {
                        *read = stale;
                    }
                    self.talk = converse(&self.given, &self.facts, entry);
                }
            }
        }
    }

    fn carry_out(&mut self, id: RequestId, call: Call) {
        match call {
            Call::Read(stream, most) => {
                // A read that a conversation left behind is taken over.
                if self.reads.insert(stream, id).is_none() {
                    self.outputs.push_back(Output::Read { stream, most });
                }
            }
            Call::Write(stream, bytes) => {
                self.writes.get_or_default(stream).push_back(id);
                self.outputs.push_back(Output::Write { stream, bytes });
            }
            Call::CloseStream(stream) => {
                self.outputs.push_back(Output::CloseStream { stream });
                self.talk.answer(id, Reply::Done);
            }
            Call::Spawn(command) => {
                let child = self.next_child(id);
                self.outputs.push_back(Output::Spawn { child, command });
            }
            Call::SpawnOn(host, command) => {
                let child = self.next_child(id);
                self.wishes.push_back(Wish::SpawnOn { host, child, command });
            }
            Call::NewPipe => {
                self.pipes += 1;
                self.talk.answer(id, Reply::Pipe(PipeId(self.pipes)));
            }
            Call::Wait(child) => {
                self.waiting.push_back((id, child));
                self.answer_waiting();
            }
            Call::Poll => {
                let change = self.changes.pop_front();
                self.talk.answer(id, Reply::Child(change));
            }
            Call::Kill(pid, signal) => {
                self.kills.push_back(id);
                self.outputs.push_back(Output::Kill { pid, signal });
            }
            Call::Disk(what) => {
                let op = OpId(self.operations);
                self.operations += 1;
                self.disk.insert(op, id);
                self.outputs.push_back(Output::Disk { op, what });
            }
            Call::Sleep(time) => {
                self.timers.insert(id, self.now.0 + time);
            }
            Call::Tick => {
                self.ticks.push_back(id);
                self.timers.insert(id, self.now.0 + Self::TICK);
            }
            Call::Now => self.talk.answer(id, Reply::Time(self.now.0, self.now.1)),
            Call::Mode(mode) => {
                self.outputs.push_back(Output::TerminalMode(mode));
                self.talk.answer(id, Reply::Done);
            }
            Call::Foreground(group) => {
                self.outputs.push_back(Output::Foreground { group });
                self.talk.answer(id, Reply::Done);
            }
            Call::Size => self.talk.answer(id, Reply::Size(self.size.0, self.size.1)),
            Call::Interrupt => self.interrupts = Some(id),
            Call::Catch(on) => {
                (self.catches, self.interrupted) = (on, false);
                self.talk.answer(id, Reply::Done);
            }
            Call::Connect(host, port) => {
                let conn = ConnId::connected(self.connections);
                self.connections += 1;
                let connecting = Some(id);
                self.conns.insert(conn, Conn { connecting, ..Conn::default() });
                let to = Address::Name { host, port };
                self.outputs.push_back(Output::Connect { conn, to, from: None });
            }
            Call::Send(conn, bytes) => {
                if let Some(known) = self.conns.get_mut(&conn) {
                    known.outbox.write(&bytes);
                    self.outputs.push_back(Output::Send { conn });
                }
                self.talk.answer(id, Reply::Done);
            }
            Call::Receive(conn) => {
                if let Some(known) = self.conns.get_mut(&conn) {
                    known.receiving = Some(id);
                }
                self.answer_receiving(conn);
            }
            Call::Hang(conn) => {
                if self.conns.remove(&conn).is_some() {
                    self.outputs.push_back(Output::Close { conn, how: Close::Now });
                }
                self.talk.answer(id, Reply::Done);
            }
            Call::Wish(action) => {
                self.wishes.push_back(Wish::Act(action));
                self.talk.answer(id, Reply::Done);
            }
        }
    }

    fn next_child(&mut self, id: RequestId) -> ChildId {
        let child = ChildId(self.children);
        self.children += 1;
        self.spawning.insert(child, id);
        child
    }

    fn answer_waiting(&mut self) {
        let mut place = 0;
        while let Some(&(id, wanted)) = self.waiting.get(place) {
            let fits = |(child, _): &(ChildId, ChildChange)| wanted.is_none_or(|w| w == *child);
            match self.changes.iter().position(fits) {
                Some(at) => {
                    let change = self.changes.remove(at);
                    self.waiting.remove(place);
                    self.talk.answer(id, Reply::Child(change));
                }
                None => place += 1,
            }
        }
    }

    fn answer_receiving(&mut self, conn: ConnId) {
        let Some(known) = self.conns.get_mut(&conn) else { return };
        let Some(id) = known.receiving else { return };
        let result = match known.over {
            _ if !known.received.is_empty() => Ok(core::mem::take(&mut known.received).into()),
            Some(NetError::Eof) => Ok(Arc::from([])),
            Some(error) => Err(error),
            None => return,
        };
        known.receiving = None;
        self.talk.answer(id, Reply::Received(result));
    }

    fn on_wake(&mut self) {
        let now = self.now.0;
        let due: Vec<RequestId> =
            self.timers.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.timers.remove(&id);
            let reply = if let Some(place) = self.ticks.iter().position(|tick| *tick == id) {
                self.ticks.remove(place);
                Reply::Signalled(core::mem::take(&mut self.interrupted))
            } else {
                Reply::Done
            };
            self.talk.answer(id, reply);
        }
    }
}

fn converse(given: &Given, facts: &Arc<Facts>, entry: Entry) -> Conversation<Call, Reply, End> {
    let (given, facts) = (given.clone(), facts.clone());
    Conversation::new(move |line| {
        let os = Os {
            line,
            name: given.name.clone(),
            args: given.args.clone(),
            env: given.env.clone(),
            dir: given.dir.clone(),
            facts: facts.clone(),
            out: Arc::default(),
        };
        let last = os.clone();
        let run = entry(os);
        async move {
            let end = run.await;
            last.flush().await;
            end
        }
    })
}

impl Machine for Program {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        self.now = (now.mono, now.wall);
        match input {
            Input::Wake => self.on_wake(),
            Input::Read { stream, result } => {
                if let Some(id) = self.reads.remove(&stream) {
                    self.talk.answer(id, Reply::Bytes(result.map(Arc::from)));
                }
            }
            Input::Written { stream, result } => {
                let waiting = self.writes.get_mut(&stream).and_then(VecDeque::pop_front);
                if let Some(id) = waiting {
                    self.talk.answer(id, Reply::Written(result));
                }
            }
            Input::Spawned { child, result } => {
                if let Some(id) = self.spawning.remove(&child) {
                    self.talk.answer(id, Reply::Spawned(result.map(|pid| (child, pid))));
                }
            }
            Input::ChildChanged { child, change } => {
                self.changes.push_back((child, change));
                self.answer_waiting();
            }
            Input::Killed { result, .. } => {
                if let Some(id) = self.kills.pop_front() {
                    self.talk.answer(id, Reply::Killed(result));
                }
            }
            Input::Disk { op, result } => {
                if let Some(id) = self.disk.remove(&op) {
                    self.talk.answer(id, Reply::Disk(result.map(Arc::new)));
                }
            }
            Input::Terminal { columns, rows } => self.size = (columns, rows),
            Input::Signal(Signal::Interrupt) if self.catches => match self.interrupts.take() {
                Some(id) => self.talk.answer(id, Reply::Signalled(true)),
                None => self.interrupted = true,
            },
            Input::Signal(signal) => self.finish(signal.default_exit()),
            Input::Connected { conn, .. } => {
                if let Some(id) = self.conns.get_mut(&conn).and_then(|c| c.connecting.take()) {
                    self.talk.answer(id, Reply::Connected(Ok(conn)));
                }
            }
            Input::ConnectFailed { conn, error } => {
                if let Some(id) = self.conns.remove(&conn).and_then(|c| c.connecting) {
                    self.talk.answer(id, Reply::Connected(Err(error)));
                }
            }
            Input::Received { conn, bytes } => {
                if let Some(known) = self.conns.get_mut(&conn) {
                    known.received.extend_from_slice(bytes);
                }
                self.answer_receiving(conn);
            }
            Input::Ended { conn } => {
                if let Some(known) = self.conns.get_mut(&conn) {
                    known.over = Some(NetError::Eof);
                }
                self.answer_receiving(conn);
            }
            Input::Closed { conn, error } => {
                if let Some(known) = self.conns.get_mut(&conn) {
                    known.over = Some(error);
                }
                self.answer_receiving(conn);
            }
            _ => {}
        }
        self.proceed();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.timers.values().min().copied()
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.conns.get_mut(&conn).map(|conn| &mut conn.outbox)
    }
}

impl Process for Program {
    fn is_tool(&self) -> bool {
        true
    }

    fn files(&self) -> Vec<(String, Vec<u8>, u16)> {
        if self.installs { super::skeleton::files(&self.facts) } else { Vec::new() }
    }

    fn poll_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("name", &self.given.name).finish()
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exit(code) => write!(f, "Exit({code})"),
            End::Again(_) => f.write_str("Again"),
        }
    }
}
