//! What a small program sees of the operating system, and the machine around it.
//!
//! A program is an `async fn` over [`Os`]. Its calls become the outputs of a machine
//! ([`Program`]), and inputs their answers, by way of a [`Conversation`].

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
    /// The process goes on with another conversation: what was said so far need not be repeated.
    Again(Entry),
}

/// Where a program begins, or goes on.
pub(in crate::lab::shell) type Entry = Arc<dyn Fn(Os) -> Run + Send + Sync>;

/// What a program asks for.
#[derive(Clone, Debug)]
pub(in crate::lab::shell) enum Call {
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
    /// Waits until the terminal has another size.
    Resize,
    /// From now on an interrupt is noted instead of ending the program.
    Catch(bool),
    Connect(String, u16),
    Send(ConnId, Vec<u8>),
    Receive(ConnId),
    Hang(ConnId),
    WorldRequest(Action),
}

/// What a program is answered.
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

/// What a program knows from its start.
#[derive(Debug)]
pub(in crate::lab::shell) struct Facts {
    pub(in crate::lab::shell) host: String,
    pub(in crate::lab::shell) ip: Ipv4Addr,
    pub(in crate::lab::shell) pid: u32,
    pub(in crate::lab::shell) names: Vec<(String, Ipv4Addr)>,
    pub(in crate::lab::shell) stdin_is_terminal: bool,
    pub(in crate::lab::shell) stdout_is_terminal: bool,
    /// What there is to see of the host's processes and sockets, for the programs that show them.
    pub(in crate::lab::shell) seen: crate::lab::shell::tools::Seen,
}

/// The operating system, as one run of a program sees it. Cheap to clone.
#[derive(Clone)]
pub(in crate::lab::shell) struct Os {
    line: Line<Call, Reply>,
    pub(in crate::lab::shell) name: Arc<str>,
    pub(in crate::lab::shell) args: Arc<Vec<String>>,
    pub(in crate::lab::shell) env: Arc<Vec<(String, String)>>,
    /// The working directory at the start.
    pub(in crate::lab::shell) dir: Arc<str>,
    pub(in crate::lab::shell) facts: Arc<Facts>,
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
    pub(in crate::lab::shell) fn with_args(&self, name: &str, args: Vec<String>) -> Os {
        Os { name: name.into(), args: Arc::new(args), ..self.clone() }
    }

    /// The same system with another environment.
    pub(in crate::lab::shell) fn with_env(&self, env: Vec<(String, String)>) -> Os {
        Os { env: Arc::new(env), ..self.clone() }
    }

    pub(in crate::lab::shell) fn var(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    // --- output -------------------------------------------------------------------------------

    /// Prints to the standard output; it is written when there is enough, and at the end.
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

    /// Takes what was printed and not written.
    pub(in crate::lab::shell) fn take_printed(&self) -> Vec<u8> {
        core::mem::take(&mut *self.out())
    }

    /// Writes what was printed.
    pub(in crate::lab::shell) async fn flush(&self) {
        let bytes = self.take_printed();
        if !bytes.is_empty() {
            // If the reader is gone, the error cannot be printed either.
            let _ = self.write(Stream::Stdout, bytes).await;
        }
    }

    /// Writes what was printed if it has become much.
    pub(in crate::lab::shell) async fn flush_if_full(&self) {
        if self.out().len() >= Self::GATHERED {
            self.flush().await;
        }
    }

    pub(in crate::lab::shell) async fn write(
        &self,
        to: Stream,
        bytes: Vec<u8>,
    ) -> Result<(), StreamError> {
        match self.call(Call::Write(to, bytes)).await {
            Reply::Written(result) => result,
            _ => Err(StreamError::Io),
        }
    }

    /// Says something on the standard error, after the program's name.
    pub(in crate::lab::shell) async fn complain(&self, text: impl AsRef<str>) {
        let line = format!("{}: {}\n", self.name, text.as_ref());
        self.flush().await;
        let _ = self.write(Stream::Stderr, line.into_bytes()).await;
    }

    /// Complains, and gives the status with which to end.
    pub(in crate::lab::shell) async fn fail(&self, text: impl AsRef<str>) -> i32 {
        self.complain(text).await;
        1
    }

    // --- input --------------------------------------------------------------------------------

    /// Reads from a stream; nothing at its end.
    pub(in crate::lab::shell) async fn read(&self, from: Stream, most: u32) -> Arc<[u8]> {
        match self.call(Call::Read(from, most)).await {
            Reply::Bytes(Ok(bytes)) => bytes,
            _ => Arc::from([]),
        }
    }

    /// The standard input to its end.
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
        self.call(Call::CloseStream(stream)).await;
    }

    /// A file, or the standard input for `-`.
    pub(in crate::lab::shell) async fn input(&self, path: &str) -> Result<Vec<u8>, DiskError> {
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

    /// Makes a directory and those above it, and syncs their names: a journalling file system
    /// writes the names on the way to a file with the first sync of that file.
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

    /// What is known of a file; a symbolic link is followed.
    pub(in crate::lab::shell) async fn stat(&self, path: &str) -> Result<FileStat, DiskError> {
        self.stat_of(DiskOp::Stat { path: path.into() }).await
    }

    /// What is known of a name, which may be a symbolic link.
    pub(in crate::lab::shell) async fn stat_link(&self, path: &str) -> Result<FileStat, DiskError> {
        self.stat_of(DiskOp::StatLink { path: path.into() }).await
    }

    async fn stat_of(&self, op: DiskOp) -> Result<FileStat, DiskError> {
        match &*self.disk(op).await? {
            DiskDone::Stat(stat) => Ok(*stat),
            _ => Ok(FileStat { dir: false, link: false, len: 0, mode: 0, modified: Wall(0) }),
        }
    }

    /// Where a symbolic link leads.
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
        match self.call(Call::Spawn(Box::new(command))).await {
            Reply::Spawned(result) => result,
            _ => Err(SpawnError::NotFound),
        }
    }

    pub(in crate::lab::shell) async fn spawn_on(
        &self,
        host: &str,
        command: Command,
    ) -> Result<(ChildId, u32), SpawnError> {
        match self.call(Call::SpawnOn(host.into(), Box::new(command))).await {
            Reply::Spawned(result) => result,
            _ => Err(SpawnError::NotFound),
        }
    }

    pub(in crate::lab::shell) async fn new_pipe(&self) -> PipeId {
        match self.call(Call::NewPipe).await {
            Reply::Pipe(pipe) => pipe,
            _ => PipeId(u64::MAX),
        }
    }

    /// Waits until something becomes of a child, or of any.
    pub(in crate::lab::shell) async fn wait(
        &self,
        child: Option<ChildId>,
    ) -> Option<(ChildId, ChildChange)> {
        match self.call(Call::Wait(child)).await {
            Reply::Child(change) => change,
            _ => None,
        }
    }

    /// The exit status of a child that has not been waited for yet.
    pub(in crate::lab::shell) async fn poll_child(&self) -> Option<(ChildId, ChildChange)> {
        match self.call(Call::Poll).await {
            Reply::Child(change) => change,
            _ => None,
        }
    }

    /// Waits until a child has ended; its status as `$?` shows it.
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
        match self.call(Call::Kill(pid, signal)).await {
            Reply::Killed(result) => result,
            _ => Err(KillError::NoProcess),
        }
    }

    // --- time, terminal, network ---------------------------------------------------------------

    pub(in crate::lab::shell) async fn sleep(&self, time: Duration) {
        self.call(Call::Sleep(time)).await;
    }

    /// Lets other things happen. True if the program was interrupted.
    pub(in crate::lab::shell) async fn tick(&self) -> bool {
        matches!(self.call(Call::Tick).await, Reply::Signalled(true))
    }

    pub(in crate::lab::shell) async fn now(&self) -> (Mono, Wall) {
        match self.call(Call::Now).await {
            Reply::Time(mono, wall) => (mono, wall),
            _ => (Mono::ZERO, Wall(0)),
        }
    }

    pub(in crate::lab::shell) async fn set_mode(&self, mode: TerminalMode) {
        self.call(Call::Mode(mode)).await;
    }

    pub(in crate::lab::shell) async fn set_foreground(&self, child: Option<ChildId>) {
        self.call(Call::Foreground(child)).await;
    }

    /// The columns and rows of the terminal.
    pub(in crate::lab::shell) async fn size(&self) -> (usize, usize) {
        match self.call(Call::Size).await {
            Reply::Size(columns, rows) => (columns.into(), rows.into()),
            _ => (80, 24),
        }
    }

    pub(in crate::lab::shell) async fn catch_interrupts(&self, on: bool) {
        self.call(Call::Catch(on)).await;
    }

    pub(in crate::lab::shell) async fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> Result<ConnId, NetError> {
        match self.call(Call::Connect(host.into(), port)).await {
            Reply::Connected(result) => result,
            _ => Err(NetError::Other),
        }
    }

    pub(in crate::lab::shell) async fn send(&self, conn: ConnId, bytes: Vec<u8>) {
        self.call(Call::Send(conn, bytes)).await;
    }

    /// Asks for what comes next on a connection; nothing when the peer has ended.
    pub(in crate::lab::shell) fn receive(
        &self,
        conn: ConnId,
    ) -> crate::conversation::Answer<Call, Reply> {
        self.line.ask(Call::Receive(conn))
    }

    /// Asks for what comes next on a stream.
    pub(in crate::lab::shell) fn ask_read(
        &self,
        from: Stream,
    ) -> crate::conversation::Answer<Call, Reply> {
        self.line.ask(Call::Read(from, 4096))
    }

    /// Asks to be told when a time has passed.
    pub(in crate::lab::shell) fn ask_sleep(
        &self,
        time: Duration,
    ) -> crate::conversation::Answer<Call, Reply> {
        self.line.ask(Call::Sleep(time))
    }

    /// Asks to be told of the next interrupt; they have to be caught.
    pub(in crate::lab::shell) fn ask_interrupt(&self) -> crate::conversation::Answer<Call, Reply> {
        self.line.ask(Call::Interrupt)
    }

    /// Asks to be told when the terminal has another size.
    pub(in crate::lab::shell) fn ask_resize(&self) -> crate::conversation::Answer<Call, Reply> {
        self.line.ask(Call::Resize)
    }

    pub(in crate::lab::shell) async fn hang_up(&self, conn: ConnId) {
        self.call(Call::Hang(conn)).await;
    }

    pub(in crate::lab::shell) async fn request_action(&self, action: Action) {
        self.call(Call::WorldRequest(action)).await;
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
