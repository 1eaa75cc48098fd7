//! The interface of small programs to the operating system.
//!
//! A program is an `async fn` over [`Os`]. Through a [`Conversation`], its calls become outputs of
//! a machine ([`Program`]), and the machine's inputs become the replies.

mod program;

pub(super) use program::Program;

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
use crate::sim::{Action, Launch, Process, WorldRequest};
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono, Now, Wall};

/// A running program, as a future.
pub(in crate::lab::shell) type Run = Pin<Box<dyn Future<Output = End> + Send>>;

/// How a program, or one of its conversations, ends.
#[derive(Clone)]
pub(in crate::lab::shell) enum End {
    /// The process ends with this status.
    Exit(i32),
    /// The process continues with a new conversation, so that the log of this one can be dropped.
    Again(Entry),
}

/// The start of a program, or of its next conversation.
pub(in crate::lab::shell) type Entry = Arc<dyn Fn(Os) -> Run + Send + Sync>;

/// A system call of a program.
#[derive(Clone, Debug)]
pub(in crate::lab::shell) enum Syscall {
    Read(Stream, u32),
    Write(Stream, Vec<u8>),
    CloseStream(Stream),
    Spawn(Box<Command>),
    SpawnOn(String, Box<Command>),
    NewPipe,
    /// Wait for a change of this child, or of any.
    Wait(Option<ChildId>),
    /// A change of any child, without waiting.
    Poll,
    Kill(i64, Signal),
    Disk(DiskOp),
    Sleep(Duration),
    /// Let some time pass; the reply is whether a signal arrived.
    Tick,
    Now,
    Mode(TerminalMode),
    Foreground(Option<ChildId>),
    Size,
    /// Wait for an interrupt.
    Interrupt,
    /// Wait until the terminal is resized.
    Resize,
    /// Record interrupts from now on, instead of ending the program by them.
    Catch(bool),
    Connect(String, u16),
    Send(ConnId, Vec<u8>),
    Receive(ConnId),
    CloseConn(ConnId),
    WorldRequest(Action),
}

/// The reply to a system call.
#[derive(Clone, Debug)]
pub(in crate::lab::shell) enum Reply {
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

/// What a program is told at its start.
#[derive(Debug)]
pub(in crate::lab::shell) struct Facts {
    pub(in crate::lab::shell) host: String,
    pub(in crate::lab::shell) ip: Ipv4Addr,
    pub(in crate::lab::shell) pid: u32,
    pub(in crate::lab::shell) names: Vec<(String, Ipv4Addr)>,
    pub(in crate::lab::shell) stdin_is_terminal: bool,
    pub(in crate::lab::shell) stdout_is_terminal: bool,
    /// The host's processes and sockets, for programs that list them.
    pub(in crate::lab::shell) snapshot: crate::lab::shell::tools::HostSnapshot,
}

/// The operating system, as seen by one run of a program. Cheap to clone.
#[derive(Clone)]
pub(in crate::lab::shell) struct Os {
    line: Line<Syscall, Reply>,
    pub(in crate::lab::shell) name: Arc<str>,
    pub(in crate::lab::shell) args: Arc<Vec<String>>,
    pub(in crate::lab::shell) env: Arc<Vec<(String, String)>>,
    /// The initial working directory.
    pub(in crate::lab::shell) dir: Arc<str>,
    pub(in crate::lab::shell) facts: Arc<Facts>,
    /// Output that is not written yet.
    out: Arc<Mutex<Vec<u8>>>,
}

impl Os {
    /// The size at which buffered output is written, in bytes.
    const BUFFER_SIZE: usize = 16 << 10;

    async fn call(&self, call: Syscall) -> Reply {
        self.line.ask(call).await
    }

    /// The same, with other arguments.
    pub(in crate::lab::shell) fn with_args(&self, name: &str, args: Vec<String>) -> Os {
        Os { name: name.into(), args: Arc::new(args), ..self.clone() }
    }

    /// The same, with another environment.
    pub(in crate::lab::shell) fn with_env(&self, env: Vec<(String, String)>) -> Os {
        Os { env: Arc::new(env), ..self.clone() }
    }

    pub(in crate::lab::shell) fn var(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    // --- output -------------------------------------------------------------------------------

    /// Prints to the standard output, which is buffered until it is full or the program ends.
    pub(in crate::lab::shell) fn print(&self, text: impl AsRef<[u8]>) {
        self.out().extend_from_slice(text.as_ref());
    }

    pub(in crate::lab::shell) fn println(&self, text: impl AsRef<[u8]>) {
        let mut out = self.out();
        out.extend_from_slice(text.as_ref());
        out.push(b'\n');
    }

    fn out(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the buffered output.
    pub(in crate::lab::shell) fn take_printed(&self) -> Vec<u8> {
        core::mem::take(&mut *self.out())
    }

    /// Writes the buffered output.
    pub(in crate::lab::shell) async fn flush(&self) {
        let bytes = self.take_printed();
        if !bytes.is_empty() {
            // If the reader is gone, the error cannot be printed either.
            let _ = self.write(Stream::Stdout, bytes).await;
        }
    }

    /// Writes the buffered output if the buffer is full.
    pub(in crate::lab::shell) async fn flush_if_full(&self) {
        if self.out().len() >= Self::BUFFER_SIZE {
            self.flush().await;
        }
    }

    pub(in crate::lab::shell) async fn write(
        &self,
        to: Stream,
        bytes: Vec<u8>,
    ) -> Result<(), StreamError> {
        match self.call(Syscall::Write(to, bytes)).await {
            Reply::Written(result) => result,
            _ => Err(StreamError::Io),
        }
    }

    /// Prints to the standard error, prefixed with the program's name.
    pub(in crate::lab::shell) async fn print_error(&self, text: impl AsRef<str>) {
        let line = format!("{}: {}\n", self.name, text.as_ref());
        self.flush().await;
        let _ = self.write(Stream::Stderr, line.into_bytes()).await;
    }

    /// Prints an error, and returns the exit status 1.
    pub(in crate::lab::shell) async fn fail(&self, text: impl AsRef<str>) -> i32 {
        self.print_error(text).await;
        1
    }

    // --- input --------------------------------------------------------------------------------

    /// Reads from a stream; empty at its end.
    pub(in crate::lab::shell) async fn read(&self, from: Stream, most: u32) -> Arc<[u8]> {
        match self.call(Syscall::Read(from, most)).await {
            Reply::Bytes(Ok(bytes)) => bytes,
            _ => Arc::from([]),
        }
    }

    /// Reads a stream to its end.
    pub(in crate::lab::shell) async fn read_all(&self, from: Stream) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let bytes = self.read(from, 64 << 10).await;
            if bytes.is_empty() {
                return all;
            }
            all.extend_from_slice(&bytes);
        }
    }

    pub(in crate::lab::shell) async fn close(&self, stream: Stream) {
        self.call(Syscall::CloseStream(stream)).await;
    }

    /// The contents of a file, or of the standard input for `-`.
    pub(in crate::lab::shell) async fn input(&self, path: &str) -> Result<Vec<u8>, DiskError> {
        if path == "-" {
            return Ok(self.read_all(Stream::Stdin).await);
        }
        self.load(path).await
    }

    // --- files --------------------------------------------------------------------------------

    async fn disk(&self, op: DiskOp) -> Result<Arc<DiskDone>, DiskError> {
        match self.call(Syscall::Disk(op)).await {
            Reply::Disk(result) => result,
            _ => Ok(Arc::new(DiskDone::Done)),
        }
    }

    pub(in crate::lab::shell) async fn load(&self, path: &str) -> Result<Vec<u8>, DiskError> {
        let path = path.into();
        Ok(match &*self.disk(DiskOp::Load { path }).await? {
            DiskDone::Data(bytes) => bytes.clone(),
            _ => Vec::new(),
        })
    }

    pub(in crate::lab::shell) async fn save(
        &self,
        path: &str,
        bytes: Vec<u8>,
    ) -> Result<(), DiskError> {
        let path: String = path.into();
        let mode = self.stat(&path).await.map(|stat| stat.mode);
        self.disk(DiskOp::Replace { path: path.clone(), bytes }).await?;
        if let Ok(mode) = mode {
            self.disk(DiskOp::SetMode { path, mode }).await?;
        }
        Ok(())
    }

    /// Creates a directory and its parents, and syncs them: a journalling file system makes the
    /// names on the path durable with the first sync of a file.
    pub(in crate::lab::shell) async fn make_dir(&self, path: &str) -> Result<(), DiskError> {
        self.do_disk(DiskOp::MakeDir { path: path.into() }).await?;
        let first = if path.starts_with('/') { "/" } else { "." };
        let above =
            path.match_indices('/').map(|(at, _)| &path[..at]).filter(|dir| !dir.is_empty());
        for dir in [first].into_iter().chain(above) {
            self.do_disk(DiskOp::SyncDir { path: dir.into() }).await?;
        }
        Ok(())
    }

    /// The metadata of a file; symbolic links are followed.
    pub(in crate::lab::shell) async fn stat(&self, path: &str) -> Result<FileStat, DiskError> {
        self.stat_of(DiskOp::Stat { path: path.into() }).await
    }

    /// The metadata of a name, which may be a symbolic link.
    pub(in crate::lab::shell) async fn stat_link(&self, path: &str) -> Result<FileStat, DiskError> {
        self.stat_of(DiskOp::StatLink { path: path.into() }).await
    }

    async fn stat_of(&self, op: DiskOp) -> Result<FileStat, DiskError> {
        match &*self.disk(op).await? {
            DiskDone::Stat(stat) => Ok(*stat),
            _ => Ok(FileStat { dir: false, link: false, len: 0, mode: 0, modified: Wall(0) }),
        }
    }

    /// The target of a symbolic link.
    pub(in crate::lab::shell) async fn read_link(&self, path: &str) -> Result<String, DiskError> {
        Ok(match &*self.disk(DiskOp::ReadLink { path: path.into() }).await? {
            DiskDone::Data(target) => String::from_utf8_lossy(target).into_owned(),
            _ => String::new(),
        })
    }

    pub(in crate::lab::shell) async fn is_dir(&self, path: &str) -> bool {
        self.stat(path).await.is_ok_and(|stat| stat.dir)
    }

    pub(in crate::lab::shell) async fn exists(&self, path: &str) -> bool {
        self.stat(path).await.is_ok()
    }

    pub(in crate::lab::shell) async fn list(&self, path: &str) -> Result<Vec<String>, DiskError> {
        let path = path.into();
        Ok(match &*self.disk(DiskOp::List { path }).await? {
            DiskDone::Names(names) => names.clone(),
            _ => Vec::new(),
        })
    }

    pub(in crate::lab::shell) async fn do_disk(&self, op: DiskOp) -> Result<(), DiskError> {
        self.disk(op).await.map(|_| ())
    }

    // --- processes ----------------------------------------------------------------------------

    pub(in crate::lab::shell) async fn spawn(
        &self,
        command: Command,
    ) -> Result<(ChildId, u32), SpawnError> {
        match self.call(Syscall::Spawn(Box::new(command))).await {
            Reply::Spawned(result) => result,
            _ => Err(SpawnError::NotFound),
        }
    }

    pub(in crate::lab::shell) async fn spawn_on(
        &self,
        host: &str,
        command: Command,
    ) -> Result<(ChildId, u32), SpawnError> {
        match self.call(Syscall::SpawnOn(host.into(), Box::new(command))).await {
            Reply::Spawned(result) => result,
            _ => Err(SpawnError::NotFound),
        }
    }

    pub(in crate::lab::shell) async fn new_pipe(&self) -> PipeId {
        match self.call(Syscall::NewPipe).await {
            Reply::Pipe(pipe) => pipe,
            _ => PipeId(u64::MAX),
        }
    }

    /// Waits for a change of a child, or of any.
    pub(in crate::lab::shell) async fn wait(
        &self,
        child: Option<ChildId>,
    ) -> Option<(ChildId, ChildChange)> {
        match self.call(Syscall::Wait(child)).await {
            Reply::Child(change) => change,
            _ => None,
        }
    }

    /// A change of any child, without waiting.
    pub(in crate::lab::shell) async fn poll_child(&self) -> Option<(ChildId, ChildChange)> {
        match self.call(Syscall::Poll).await {
            Reply::Child(change) => change,
            _ => None,
        }
    }

    /// Waits until a child has ended; returns its exit status.
    pub(in crate::lab::shell) async fn wait_end(&self, child: ChildId) -> ExitStatus {
        loop {
            match self.wait(Some(child)).await {
                Some((_, ChildChange::Ended(status))) => return status,
                Some(_) => {}
                None => return ExitStatus::Exited(127),
            }
        }
    }

    pub(in crate::lab::shell) async fn kill(
        &self,
        pid: i64,
        signal: Signal,
    ) -> Result<(), KillError> {
        match self.call(Syscall::Kill(pid, signal)).await {
            Reply::Killed(result) => result,
            _ => Err(KillError::NoProcess),
        }
    }

    // --- time, terminal, network ---------------------------------------------------------------

    pub(in crate::lab::shell) async fn sleep(&self, time: Duration) {
        self.call(Syscall::Sleep(time)).await;
    }

    /// Lets other events happen. Returns whether the program was interrupted.
    pub(in crate::lab::shell) async fn tick(&self) -> bool {
        matches!(self.call(Syscall::Tick).await, Reply::Signalled(true))
    }

    pub(in crate::lab::shell) async fn now(&self) -> (Mono, Wall) {
        match self.call(Syscall::Now).await {
            Reply::Time(mono, wall) => (mono, wall),
            _ => (Mono::ZERO, Wall(0)),
        }
    }

    pub(in crate::lab::shell) async fn set_mode(&self, mode: TerminalMode) {
        self.call(Syscall::Mode(mode)).await;
    }

    pub(in crate::lab::shell) async fn set_foreground(&self, child: Option<ChildId>) {
        self.call(Syscall::Foreground(child)).await;
    }

    /// The size of the terminal: columns and rows.
    pub(in crate::lab::shell) async fn size(&self) -> (usize, usize) {
        match self.call(Syscall::Size).await {
            Reply::Size(columns, rows) => (columns.into(), rows.into()),
            _ => (80, 24),
        }
    }

    pub(in crate::lab::shell) async fn catch_interrupts(&self, on: bool) {
        self.call(Syscall::Catch(on)).await;
    }

    pub(in crate::lab::shell) async fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> Result<ConnId, NetError> {
        match self.call(Syscall::Connect(host.into(), port)).await {
            Reply::Connected(result) => result,
            _ => Err(NetError::Other),
        }
    }

    pub(in crate::lab::shell) async fn send(&self, conn: ConnId, bytes: Vec<u8>) {
        self.call(Syscall::Send(conn, bytes)).await;
    }

    /// Requests the next bytes of a connection; empty when the peer has closed it.
    pub(in crate::lab::shell) fn receive(
        &self,
        conn: ConnId,
    ) -> crate::conversation::Answer<Syscall, Reply> {
        self.line.ask(Syscall::Receive(conn))
    }

    /// Requests the next bytes of a stream.
    pub(in crate::lab::shell) fn ask_read(
        &self,
        from: Stream,
    ) -> crate::conversation::Answer<Syscall, Reply> {
        self.line.ask(Syscall::Read(from, 4096))
    }

    /// Requests a notification after some time.
    pub(in crate::lab::shell) fn ask_sleep(
        &self,
        time: Duration,
    ) -> crate::conversation::Answer<Syscall, Reply> {
        self.line.ask(Syscall::Sleep(time))
    }

    /// Requests a notification of the next interrupt; interrupts have to be caught.
    pub(in crate::lab::shell) fn ask_interrupt(
        &self,
    ) -> crate::conversation::Answer<Syscall, Reply> {
        self.line.ask(Syscall::Interrupt)
    }

    /// Requests a notification when the terminal is resized.
    pub(in crate::lab::shell) fn ask_resize(&self) -> crate::conversation::Answer<Syscall, Reply> {
        self.line.ask(Syscall::Resize)
    }

    pub(in crate::lab::shell) async fn close_conn(&self, conn: ConnId) {
        self.call(Syscall::CloseConn(conn)).await;
    }

    pub(in crate::lab::shell) async fn request_action(&self, action: Action) {
        self.call(Syscall::WorldRequest(action)).await;
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
