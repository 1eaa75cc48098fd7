//! The machine around a program: system calls become outputs, and inputs their replies.

use super::*;

#[derive(Clone)]
pub(in crate::lab::shell) struct Program {
    start_info: StartInfo,
    talk: Conversation<Syscall, Reply, End>,
    facts: Arc<Facts>,
    outputs: VecDeque<Output>,
    world_requests: VecDeque<WorldRequest>,
    exit: bool,
    children: u64,
    pipes: u64,
    operations: u64,
    connections: u64,
    now: (Mono, Wall),
    size: (u16, u16),
    /// Whether interrupts set `interrupted` instead of ending the program.
    catches: bool,
    interrupted: bool,
    /// Whether the files of an installed machine are to be written to the disk.
    installs: bool,
    timers: SortedMap<RequestId, Mono>,
    ticks: VecDeque<RequestId>,
    interrupts: Option<RequestId>,
    /// The request that waits for a change of the terminal's size.
    resizes: Option<RequestId>,
    reads: SortedMap<Stream, RequestId>,
    writes: SortedMap<Stream, VecDeque<RequestId>>,
    spawning: SortedMap<ChildId, RequestId>,
    changes: VecDeque<(ChildId, ChildChange)>,
    waiting: VecDeque<(RequestId, Option<ChildId>)>,
    kills: VecDeque<RequestId>,
    disk: SortedMap<OpId, RequestId>,
    conns: SortedMap<ConnId, Conn>,
}

/// What a new conversation of a program starts with.
#[derive(Clone)]
struct StartInfo {
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
    /// The duration of a tick.
    const TICK: Duration = Duration::from_micros(50);

    pub(in crate::lab::shell) fn new(
        launch: &Launch<'_>,
        entry: Entry,
        snapshot: crate::lab::shell::tools::HostSnapshot,
    ) -> Self {
        let facts = Arc::new(Facts {
            host: launch.host.into(),
            ip: launch.ip,
            pid: launch.pid,
            names: launch.names().map(|(name, ip)| (name.to_owned(), ip)).collect(),
            stdin_is_terminal: launch.stdin_is_terminal,
            stdout_is_terminal: launch.stdout_is_terminal,
            snapshot,
        });
        let start_info = StartInfo {
            name: launch.program.into(),
            args: Arc::new(launch.args.to_vec()),
            env: Arc::new(launch.env.to_vec()),
            dir: launch.dir.into(),
        };
        Program {
            talk: converse(&start_info, &facts, entry),
            start_info,
            facts,
            outputs: VecDeque::new(),
            world_requests: VecDeque::new(),
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
            resizes: None,
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

    /// The same, but the host gets the files of an installed machine if it lacks them.
    pub(in crate::lab::shell) fn installing(mut self) -> Self {
        self.installs = true;
        self
    }

    fn finish(&mut self, code: i32) {
        if !self.exit {
            self.exit = true;
            self.outputs.push_back(Output::Exit { code });
        }
    }

    /// Carries out the program's requests until it waits.
    fn proceed(&mut self) {
        while !self.exit {
            while let Some((id, call)) = self.talk.poll_request() {
                self.carry_out(id, call);
            }
            match self.talk.take_result() {
                None => return,
                Some(End::Exit(code)) => self.finish(code),
                Some(End::Again(entry)) => {
                    // Drops the pending requests of the previous conversation, except reads.
                    self.timers.clear();
                    self.ticks.clear();
                    self.interrupts = None;
                    self.resizes = None;
                    self.waiting.clear();
                    for conn in self.conns.values_mut() {
                        conn.receiving = None;
                    }
                    let stale = RequestId(u64::MAX);
                    for read in self.reads.values_mut() {
                        *read = stale;
                    }
                    self.talk = converse(&self.start_info, &self.facts, entry);
                }
            }
        }
    }

    fn carry_out(&mut self, id: RequestId, call: Syscall) {
        match call {
            Syscall::Read(stream, most) => {
                // Takes over a read that the previous conversation left pending.
                if self.reads.insert(stream, id).is_none() {
                    self.outputs.push_back(Output::Read { stream, most });
                }
            }
            Syscall::Write(stream, bytes) => {
                self.writes.get_or_default(stream).push_back(id);
                self.outputs.push_back(Output::Write { stream, bytes });
            }
            Syscall::CloseStream(stream) => {
                self.outputs.push_back(Output::CloseStream { stream });
                self.talk.answer(id, Reply::Done);
            }
            Syscall::Spawn(command) => {
                let child = self.next_child(id);
                self.outputs.push_back(Output::Spawn { child, command });
            }
            Syscall::SpawnOn(host, command) => {
                let child = self.next_child(id);
                self.world_requests.push_back(WorldRequest::SpawnOn { host, child, command });
            }
            Syscall::NewPipe => {
                self.pipes += 1;
                self.talk.answer(id, Reply::Pipe(PipeId(self.pipes)));
            }
            Syscall::Wait(child) => {
                self.waiting.push_back((id, child));
                self.answer_waiting();
            }
            Syscall::Poll => {
                let change = self.changes.pop_front();
                self.talk.answer(id, Reply::Child(change));
            }
            Syscall::Kill(pid, signal) => {
                self.kills.push_back(id);
                self.outputs.push_back(Output::Kill { pid, signal });
            }
            Syscall::Disk(what) => {
                let op = OpId(self.operations);
                self.operations += 1;
                self.disk.insert(op, id);
                self.outputs.push_back(Output::Disk { op, what });
            }
            Syscall::Sleep(time) => {
                self.timers.insert(id, self.now.0 + time);
            }
            Syscall::Tick => {
                self.ticks.push_back(id);
                self.timers.insert(id, self.now.0 + Self::TICK);
            }
            Syscall::Now => self.talk.answer(id, Reply::Time(self.now.0, self.now.1)),
            Syscall::Mode(mode) => {
                self.outputs.push_back(Output::TerminalMode(mode));
                self.talk.answer(id, Reply::Done);
            }
            Syscall::Foreground(group) => {
                self.outputs.push_back(Output::Foreground { group });
                self.talk.answer(id, Reply::Done);
            }
            Syscall::Size => self.talk.answer(id, Reply::Size(self.size.0, self.size.1)),
            Syscall::Interrupt => self.interrupts = Some(id),
            Syscall::Resize => self.resizes = Some(id),
            Syscall::Catch(on) => {
                (self.catches, self.interrupted) = (on, false);
                self.talk.answer(id, Reply::Done);
            }
            Syscall::Connect(host, port) => {
                let conn = ConnId::connected(self.connections);
                self.connections += 1;
                let connecting = Some(id);
                self.conns.insert(conn, Conn { connecting, ..Conn::default() });
                let to = Address::Name { host, port };
                self.outputs.push_back(Output::Connect { conn, to, from: None });
            }
            Syscall::Send(conn, bytes) => {
                if let Some(known) = self.conns.get_mut(&conn) {
                    known.outbox.write(&bytes);
                    self.outputs.push_back(Output::Send { conn });
                }
                self.talk.answer(id, Reply::Done);
            }
            Syscall::Receive(conn) => {
                if let Some(known) = self.conns.get_mut(&conn) {
                    known.receiving = Some(id);
                }
                self.answer_receiving(conn);
            }
            Syscall::CloseConn(conn) => {
                if self.conns.remove(&conn).is_some() {
                    self.outputs.push_back(Output::Close { conn, how: Close::Now });
                }
                self.talk.answer(id, Reply::Done);
            }
            Syscall::WorldRequest(action) => {
                self.world_requests.push_back(WorldRequest::Act(action));
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

fn converse(
    start_info: &StartInfo,
    facts: &Arc<Facts>,
    entry: Entry,
) -> Conversation<Syscall, Reply, End> {
    let (start_info, facts) = (start_info.clone(), facts.clone());
    Conversation::new(move |line| {
        let os = Os {
            line,
            name: start_info.name.clone(),
            args: start_info.args.clone(),
            env: start_info.env.clone(),
            dir: start_info.dir.clone(),
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
            Input::Terminal { columns, rows } => {
                let known = core::mem::replace(&mut self.size, (columns, rows));
                if known != self.size
                    && let Some(id) = self.resizes.take()
                {
                    self.talk.answer(id, Reply::Done);
                }
            }
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
        if self.installs { crate::lab::shell::skeleton::files(&self.facts) } else { Vec::new() }
    }

    fn poll_world_request(&mut self) -> Option<WorldRequest> {
        self.world_requests.pop_front()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("name", &self.start_info.name).finish()
    }
}
