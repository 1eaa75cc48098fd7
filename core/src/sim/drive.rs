//! Driving processes: starting them, delivering inputs, and carrying out their outputs.

use crate::machine::{
    Close, Input, LogLevel, LogLine, Output, Signal, Stream, StreamError, Vitals,
};
use crate::time::{Date, Duration, Mono, Wall};

use super::children::{Relations, status_of};
use super::disk;
use super::event::{EventKind, LogEntry};
use super::ids::ProcId;
use super::proc::{PendingInput, ProcState};
use super::process::{Launch, LaunchError, Process};
use super::streams::Descriptor;
use super::world::{Tick, World};

impl World {
    /// The virtual time of a slice of work if a machine asks to be woken immediately, so that time
    /// advances.
    const SLICE: Duration = Duration::from_micros(20);
    /// Physical memory of a host, in bytes.
    const MEMORY: u64 = 1 << 30;

    /// Starts a process. If its program fails to start, the reason is in its state and the events.
    pub(super) fn launch(&mut self, id: ProcId) {
        let host_id = self.at_proc(id).host;
        let host = self.host_mut(host_id);
        host.next_pid += 1;
        let pid = host.next_pid;
        let started_at = self.now;
        let proc = self.proc_mut(id);
        proc.incarnation += 1;
        proc.pid = pid;
        proc.started = started_at;
        let dir = disk::resolve("/", &proc.spec.dir);
        let started = self.create_machine(id, &Relations { group: pid, ..Relations::default() });
        self.trace.number(u64::from(id.0));
        let proc = self.proc_mut(id);
        proc.reset();
        proc.pid = pid;
        match started {
            Ok(machine) => {
                proc.log_file = machine.log_file();
                let moved = machine.directory().map(|path| disk::resolve(&dir, &path));
                proc.relations.group = pid;
                proc.machine = Some(machine);
                proc.state = ProcState::Running;
                proc.dir = moved.unwrap_or(dir);
                self.happened(EventKind::Started(id));
                self.notify(id, PendingInput::Start);
            }
            Err(error) => {
                proc.state = ProcState::Failed;
                self.happened(EventKind::NotStarted(id, error.0));
            }
        }
    }

    /// The machine of a process that is about to start.
    pub(super) fn create_machine(
        &self,
        id: ProcId,
        relations: &Relations,
    ) -> Result<Box<dyn Process>, LaunchError> {
        let proc = self.at_proc(id);
        let host = self.at_host(proc.host);
        let names: Vec<_> = self.hosts.iter().map(|h| (h.spec.name.as_str(), h.spec.ip)).collect();
        let is_terminal = |n: usize| matches!(relations.stdio.get(n), Some(Descriptor::Tty(_)));
        (self.programs)(&Launch {
            program: &proc.spec.program,
            args: &proc.spec.args,
            dir: &disk::resolve("/", &proc.spec.dir),
            seed: self.stream(2, u64::from(id.0) << 32 | u64::from(proc.incarnation)).u64(),
            pid: proc.pid,
            host: &host.spec.name,
            ip: host.spec.ip,
            now: self.moment(proc.host),
            disk: &host.disk,
            env: &relations.env,
            stdin_is_terminal: is_terminal(0),
            stdout_is_terminal: is_terminal(1),
            is_child: relations.stdio.iter().any(|end| *end != Descriptor::Closed),
            world: self,
            names: &names,
        })
    }

    pub(super) fn is_runnable(&self, id: ProcId) -> bool {
        let proc = self.at_proc(id);
        proc.state == ProcState::Running && proc.machine.is_some() && proc.stalled <= self.now
    }

    /// Delivers an input: immediately if the process can run and nothing older is pending,
    /// otherwise later.
    pub(super) fn notify(&mut self, id: ProcId, input: PendingInput) {
        if !matches!(self.at_proc(id).state, ProcState::Running | ProcState::Paused) {
            return;
        }
        if self.at_proc(id).pending.is_empty() && self.is_runnable(id) {
            self.deliver(id, input);
        } else {
            self.proc_mut(id).pending.push_back(input);
            self.schedule_delivery(id);
        }
    }

    /// Schedules the delivery of pending inputs, if there are any and the process runs.
    pub(super) fn schedule_delivery(&mut self, id: ProcId) {
        let proc = self.at_proc(id);
        if proc.state == ProcState::Running && !proc.pending.is_empty() && !proc.delivery_scheduled
        {
            let (at, incarnation) = (proc.stalled, proc.incarnation);
            self.proc_mut(id).delivery_scheduled = true;
            self.schedule(at, Tick::Deliver { proc: id, incarnation });
        }
    }

    pub(super) fn deliver_pending(&mut self, id: ProcId) {
        while self.is_runnable(id) {
            let Some(input) = self.proc_mut(id).pending.pop_front() else { return };
            self.deliver(id, input);
        }
        self.schedule_delivery(id);
    }

    fn deliver(&mut self, id: ProcId, input: PendingInput) {
        match input {
            PendingInput::Start => {
                self.give(id, Input::Start);
                let vitals = Vitals { host_memory: Self::MEMORY, ..Vitals::default() };
                self.give(id, Input::Vitals(vitals));
            }
            PendingInput::Listening(listener, result) => {
                self.give(id, Input::Listening { listener, result });
            }
            PendingInput::Accept(tcp) => self.accept(id, tcp),
            PendingInput::OomScore => self.give(id, Input::OomScore { result: Ok(()) }),
            PendingInput::Connected(tcp) => self.connected(id, tcp),
            PendingInput::ConnectFailed(conn, error) => {
                self.proc_mut(id).conns.remove(&conn);
                self.give(id, Input::ConnectFailed { conn, error });
            }
            PendingInput::Readable(tcp, side) => self.read_pieces(id, tcp, side),
            PendingInput::Drained(conn) => {
                if self.at_proc(id).conns.contains_key(&conn) {
                    self.give(id, Input::Drained { conn });
                }
            }
            PendingInput::Closed(conn, error) => {
                if self.proc_mut(id).conns.remove(&conn).is_some() {
                    self.give(id, Input::Closed { conn, error });
                }
            }
            PendingInput::Disk(op, result) => self.give(id, Input::Disk { op, result }),
            PendingInput::Signal(Signal::Kill) => self.kill(id),
            PendingInput::Signal(signal) => self.give(id, Input::Signal(signal)),
            PendingInput::Read(stream, result) => {
                let result = result.as_deref().map_err(|error| *error);
                self.give(id, Input::Read { stream, result });
            }
            // As for a program that does not ignore SIGPIPE.
            PendingInput::Written(
                Stream::Stdout | Stream::Stderr,
                Err(StreamError::BrokenPipe),
            ) => {
                self.exit(id, Signal::Pipe.default_exit());
            }
            PendingInput::Written(stream, result) => {
                self.give(id, Input::Written { stream, result })
            }
            PendingInput::Spawned(child, result) => self.give(id, Input::Spawned { child, result }),
            PendingInput::Child(child, change) => {
                self.give(id, Input::ChildChanged { child, change })
            }
            PendingInput::KillAnswer(pid, result) => self.give(id, Input::Killed { pid, result }),
            PendingInput::Terminal(columns, rows) => {
                self.give(id, Input::Terminal { columns, rows })
            }
            PendingInput::Line(line) => self.type_into(id, Some(&line)),
            PendingInput::Interrupt => self.type_into(id, None),
        }
    }

    fn type_into(&mut self, id: ProcId, line: Option<&str>) {
        let Some(mut machine) = self.proc_mut(id).machine.take() else { return };
        let now = self.moment(self.at_proc(id).host);
        if let Some(console) = machine.console() {
            match line {
                Some(line) => console.line(now, line),
                None => console.interrupt(now),
            }
        }
        self.process_outputs(id, machine);
    }

    /// Hands one input to a process that can run, and carries out its outputs.
    pub(super) fn give(&mut self, id: ProcId, input: Input<'_>) {
        let Some(mut machine) = self.proc_mut(id).machine.take() else { return };
        machine.handle(self.moment(self.at_proc(id).host), input);
        self.process_outputs(id, machine);
    }

    /// Carries out the outputs of a machine, and puts it back into its process.
    pub(super) fn process_outputs(&mut self, id: ProcId, mut machine: Box<dyn Process>) {
        while let Some(output) = machine.poll_output() {
            if let Output::Exit { code } = output {
                // Its last requests are still carried out.
                while let Some(request) = machine.poll_world_request() {
                    self.execute_request(id, request);
                }
                self.exit(id, code);
                return;
            }
            self.carry_out(id, &mut *machine, output);
        }
        let wanted = machine.poll_timeout();
        let mut requests = Vec::new();
        while let Some(request) = machine.poll_world_request() {
            requests.push(request);
        }
        self.proc_mut(id).machine = Some(machine);
        self.set_wake(id, wanted);
        self.schedule_delivery(id);
        for request in requests {
            self.execute_request(id, request);
        }
    }

    fn set_wake(&mut self, id: ProcId, wanted: Option<Mono>) {
        // An earlier entry is kept: when its time comes, the machine is asked for its timeout
        // again. So a timeout that moves with every input costs nothing.
        let proc = self.at_proc(id);
        let Some(wanted) = wanted else { return };
        let at = wanted.max(self.now + Self::SLICE).max(proc.stalled);
        if proc.wake.is_none_or(|(scheduled, _)| at < scheduled) {
            let sequence = self.schedule(at, Tick::Wake(id));
            self.proc_mut(id).wake = Some((at, sequence));
        }
    }

    pub(super) fn wake(&mut self, id: ProcId) {
        self.proc_mut(id).wake = None;
        if !self.is_runnable(id) {
            // When the process is resumed, its timeout is scheduled again.
            return;
        }
        let wanted = self.at_proc(id).machine.as_ref().and_then(|m| m.poll_timeout());
        match wanted {
            Some(at) if at <= self.now => self.give(id, Input::Wake),
            later => self.set_wake(id, later),
        }
    }

    /// Continues a process that was blocked or frozen.
    pub(super) fn continue_process(&mut self, id: ProcId) {
        let wanted = self.at_proc(id).machine.as_ref().and_then(|m| m.poll_timeout());
        self.set_wake(id, wanted);
        self.schedule_delivery(id);
    }

    fn carry_out(&mut self, id: ProcId, machine: &mut dyn Process, output: Output) {
        match output {
            Output::Listen { listener, at, backlog } => self.listen(id, listener, at, backlog),
            Output::Unlisten { listener } => {
                self.proc_mut(id).listeners.remove(&listener);
            }
            Output::Connect { conn, to, from } => self.connect(id, conn, to, from),
            Output::Send { conn } | Output::SendSoon { conn } => {
                if let Some(&(tcp, side)) = self.at_proc(id).conns.get(&conn) {
                    self.pump(tcp, side, machine);
                }
            }
            Output::Reading { conn, on } => self.set_reading(id, conn, on),
            Output::Close { conn, how: Close::Now } => self.close_now(id, conn),
            Output::Close { conn, how: Close::AfterSending } => {
                self.close_after_sending(id, conn, machine);
            }
            Output::Disk { op, what } => self.start_operation(id, op, what),
            Output::Log(line) => self.write_log(id, line),
            Output::Stall(time) => {
                let until = self.now + time;
                self.proc_mut(id).stalled = until;
            }
            Output::Read { stream, most } => self.read_stream(id, stream, most),
            Output::Write { stream, bytes } => self.write_stream(id, stream, bytes),
            Output::CloseStream { stream } => self.close_stream(id, stream),
            Output::Spawn { child, command } => {
                let host = self.at_proc(id).host;
                self.spawn(id, host, child, *command);
            }
            Output::Kill { pid, signal } => self.kill_pid(id, pid, signal),
            Output::TerminalMode(mode) => self.set_terminal_mode(id, mode),
            // The hosts of a World have enough memory.
            Output::OomScore(_) => self.notify_later(id, PendingInput::OomScore),
            Output::Foreground { group } => self.set_foreground(id, group),
            // The World reports a dead peer without keepalive.
            Output::KeepAlive(_) | Output::Exit { .. } => {}
        }
    }

    fn write_log(&mut self, id: ProcId, line: LogLine) {
        self.trace.bytes(line.text.as_bytes());
        let (at, wall) = (self.now, self.wall(self.at_proc(id).host));
        let LogLine { level, role, text } = line;
        let proc = self.at_proc(id);
        if proc.log_file.is_some() || proc.relations.stdio[1] != Descriptor::Closed {
            let line = log_line(proc.pid, role, wall, level, &text);
            self.write_log_line(id, &line);
        }
        let proc = self.proc_mut(id);
        proc.log.push(LogEntry { at, wall, pid: proc.pid, level, role, text });
    }

    fn exit(&mut self, id: ProcId, code: i32) {
        self.trace.number(u64::from(code.unsigned_abs()));
        self.finish_operations(id);
        let tool = self.at_proc(id).tool;
        self.take_down(id, ProcState::Exited { code });
        if !tool {
            self.happened(EventKind::Exited(id, code));
        }
    }

    /// Ends a process whose host lost its power: no peer is notified.
    pub(super) fn lose_power(&mut self, id: ProcId) {
        self.clean_up_relations(id, status_of(ProcState::Down));
        self.release_all(id);
        self.forget_tool(id);
        let proc = self.proc_mut(id);
        proc.reset();
        proc.state = ProcState::Down;
    }

    /// Removes a process from its host: its machine, connections, listeners and files.
    pub(super) fn take_down(&mut self, id: ProcId, state: ProcState) {
        self.drop_connections(id, state != ProcState::Killed);
        self.close_files(id);
        self.release_all(id);
        self.clean_up_relations(id, status_of(state));
        let proc = self.proc_mut(id);
        proc.reset();
        proc.state = state;
        self.forget_tool(id);
    }
}

/// A log line in the format of redis-server.
fn log_line(pid: u32, role: char, wall: Wall, level: LogLevel, text: &str) -> String {
    let date = Date::of(wall);
    let millis = wall.0 / 1_000 % 1_000;
    format!(
        "{pid}:{role} {:02} {} {} {:02}:{:02}:{:02}.{millis:03} {} {text}\n",
        date.day,
        date.month_name(),
        date.year,
        date.hour,
        date.minute,
        date.second,
        level.mark(),
    )
}
