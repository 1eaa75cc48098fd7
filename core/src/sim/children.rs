//! Child processes: spawning, process groups, signals, and cleaning up after processes.

use core::mem;
use std::sync::Arc;

use crate::machine::{
    ChildChange, ChildId, Command, ExitStatus, Group, KillError, PipeId, SIGNALLED, Signal,
    SpawnError, Stream, TerminalMode,
};
use crate::sorted::SortedMap;

use super::event::EventKind;
use super::ids::{HostId, ProcId};
use super::loader::load;
use super::proc::{PendingInput, Proc, ProcState};
use super::process::{Process, WorldRequest};
use super::scenario::ProcessSpec;
use super::streams::{Descriptor, PipeNo};
use super::tty::{Keyed, Tty, TtyId};
use super::world::World;

/// The relations of a process: its parent, children, terminal and streams.
#[derive(Clone, Debug, Default)]
pub(super) struct Relations {
    /// The parent, the incarnation of it that started this process, and its id for this process.
    pub(super) parent: Option<(ProcId, u32, ChildId)>,
    /// The process id of its group's leader.
    pub(super) group: u32,
    pub(super) tty: Option<TtyId>,
    /// The environment, shared between checkpoints and with children that inherit it.
    pub(super) env: Arc<Vec<(String, String)>>,
    pub(super) stdio: [Descriptor; 3],
    pub(super) children: SortedMap<ChildId, Child>,
    pub(super) pipes: SortedMap<PipeId, PipeNo>,
    /// Pending reads, with the number of bytes that they asked for.
    pub(super) reads: SortedMap<Stream, u32>,
}

/// A child process, as its parent sees it.
#[derive(Clone, Debug)]
pub(super) struct Child {
    proc: ProcId,
    incarnation: u32,
    pid: u32,
    ended: bool,
    /// The parent's ends of its standard streams.
    pub(super) stdio: [Descriptor; 3],
}

impl World {
    /// The program that a new terminal starts.
    pub const LOGIN: &'static str = "login";

    pub(super) fn spawn(&mut self, parent: ProcId, host: HostId, child: ChildId, command: Command) {
        let result = self.try_spawn(parent, host, child, command);
        self.notify_later(parent, PendingInput::Spawned(child, result));
    }

    fn try_spawn(
        &mut self,
        parent: ProcId,
        host: HostId,
        child: ChildId,
        command: Command,
    ) -> Result<u32, SpawnError> {
        let dir = match (&command.dir, self.at_proc(parent).host == host) {
            (Some(dir), _) => super::disk::resolve(&self.at_proc(parent).dir, dir),
            (None, true) => self.at_proc(parent).dir.clone(),
            (None, false) => "/".into(),
        };
        let look_up = |world: &World| {
            let disk = &world.at_host(host).disk;
            load(disk, &dir, &command.env, &command.program, &command.args)
        };
        let mut loaded = look_up(self);
        // A host gets its shell on first use.
        if loaded == Err(SpawnError::NotFound) && self.at_host(host).disk.stat("/bin/sh").is_err() {
            self.install_login_files(host);
            loaded = look_up(self);
        }
        // As in a shell, files are opened and pipes are connected even if the program does not
        // exist.
        let (ours, theirs) = self.connect_stdio(parent, host, &dir, &command)?;
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                for descriptor in ours.into_iter().chain(theirs) {
                    self.close_descriptor(descriptor);
                }
                return Err(error);
            }
        };
        let relations = &self.at_proc(parent).relations;
        let group = match command.group {
            Group::Same => relations.group,
            Group::New | Group::NewForeground => 0,
            Group::Join(other) => {
                relations.children.get(&other).map_or(0, |child| child.group(self))
            }
        };
        let incarnation = self.at_proc(parent).incarnation;
        let mut child_kin = Relations {
            parent: Some((parent, incarnation, child)),
            group,
            tty: relations.tty,
            env: Arc::new(command.env),
            stdio: theirs,
            ..Relations::default()
        };
        let tty = child_kin.tty;
        let foreground = command.group == Group::NewForeground;
        let id = self.take_slot(host);
        let spec = ProcessSpec {
            boot: false,
            args: loaded.args,
            dir,
            ..ProcessSpec::new("", &loaded.program, &[])
        };
        let descriptors = child_kin.stdio.clone();
        let started = self.launch_as(id, spec, &mut child_kin);
        let pid = self.at_proc(id).pid;
        match started {
            Ok(()) => {
                let known = Child {
                    proc: id,
                    incarnation: self.at_proc(id).incarnation,
                    pid,
                    ended: false,
                    stdio: ours,
                };
                self.proc_mut(parent).relations.children.insert(child, known);
                if let Some(tty) = tty.filter(|_| foreground) {
                    self.ttys[tty.0 as usize].foreground = (host, pid);
                }
                if self.at_proc(id).machine.as_ref().is_some_and(|m| m.daemonizes()) {
                    self.daemonize(id);
                }
                Ok(pid)
            }
            Err(error) => {
                for descriptor in ours.into_iter().chain(descriptors) {
                    self.close_descriptor(descriptor);
                }
                self.free_slot(id);
                Err(SpawnError::Refused(error))
            }
        }
    }

    /// Detaches a process from its terminal, and tells its parent that it ended.
    fn daemonize(&mut self, id: ProcId) {
        let pid = self.at_proc(id).pid;
        let relations = &mut self.proc_mut(id).relations;
        let parent = relations.parent.take();
        (relations.group, relations.tty) = (pid, None);
        for descriptor in mem::take(&mut relations.stdio) {
            self.close_descriptor(descriptor);
        }
        self.notify_parent(parent, ChildChange::Ended(ExitStatus::Exited(0)));
    }

    /// A slot for a process that is not part of the scenario.
    fn take_slot(&mut self, host: HostId) -> ProcId {
        let spec = Arc::new(ProcessSpec::new("", "", &[]));
        if let Some(id) = self.free.pop() {
            let incarnation = self.at_proc(id).incarnation;
            *self.proc_mut(id) = Proc { incarnation, ..Proc::new(host, spec) };
            return id;
        }
        let id = ProcId(u32::try_from(self.procs.len()).unwrap_or(u32::MAX));
        self.procs.push(Proc::new(host, spec));
        id
    }

    fn free_slot(&mut self, id: ProcId) {
        let proc = self.proc_mut(id);
        proc.reset();
        proc.gone = true;
        proc.state = ProcState::Down;
        self.free.push(id);
    }

    /// Starts a program in a slot.
    fn launch_as(
        &mut self,
        id: ProcId,
        spec: ProcessSpec,
        relations: &mut Relations,
    ) -> Result<(), String> {
        let host_id = self.at_proc(id).host;
        let host = self.host_mut(host_id);
        host.next_pid += 1;
        let pid = host.next_pid;
        let name = format!("{}:{pid}", host.spec.name);
        if relations.group == 0 {
            relations.group = pid;
        }
        let proc = self.proc_mut(id);
        proc.incarnation += 1;
        let name = if spec.name.is_empty() { name } else { spec.name.clone() };
        proc.spec = Arc::new(ProcessSpec { name, ..spec });
        proc.pid = pid;
        let started = self.create_machine(id, relations);
        self.trace.number(u64::from(pid));
        let machine = started.map_err(|error| error.0)?;
        self.install_files(host_id, &*machine);
        let now = self.now;
        let proc = self.proc_mut(id);
        proc.log_file = machine.log_file();
        proc.tool = machine.is_tool();
        let dir = super::disk::resolve("/", &proc.spec.dir);
        let moved = machine.directory().map(|path| super::disk::resolve(&dir, &path));
        proc.dir = moved.unwrap_or(dir);
        proc.started = now;
        proc.machine = Some(machine);
        proc.state = ProcState::Running;
        proc.relations = mem::take(relations);
        if !proc.tool {
            self.happened(EventKind::Started(id));
        }
        self.notify_later(id, PendingInput::Start);
        if let Some(Descriptor::Tty(tty)) = self.at_proc(id).relations.stdio.first() {
            let (columns, rows) = self.ttys[tty.0 as usize].size();
            self.notify_later(id, PendingInput::Terminal(columns, rows));
        }
        Ok(())
    }

    /// Installs the files that a first login creates on a host.
    fn install_login_files(&mut self, host: HostId) {
        let id = self.take_slot(host);
        self.proc_mut(id).spec = Arc::new(ProcessSpec::new("", Self::LOGIN, &[]));
        if let Ok(machine) = self.create_machine(id, &Relations::default()) {
            self.install_files(host, &*machine);
        }
        self.free_slot(id);
    }

    /// Installs the files that a program brings along on a host's disk.
    fn install_files(&mut self, host: HostId, machine: &dyn Process) {
        let files = machine.files();
        if files.is_empty() {
            return;
        }
        let wall = self.wall(host);
        let disk = Arc::make_mut(&mut self.host_mut(host).disk);
        disk.set_clock(wall);
        for (path, bytes, mode) in files {
            disk.install(&path, &bytes, mode);
        }
    }

    /// Opens a terminal on a host, or logs in again at one whose session has ended.
    pub(super) fn log_in(&mut self, host: HostId, name: &str, size: (u16, u16)) -> Option<String> {
        let found = self.ttys.iter().position(|tty| tty.name() == name && tty.host() == host);
        let place = found.unwrap_or(self.ttys.len());
        if found.is_none() {
            self.ttys.push(Tty::new(name, host, size.0, size.1));
        }
        let tty = TtyId(u32::try_from(place).unwrap_or(u32::MAX));
        self.ttys[place].set_mode(TerminalMode::Cooked);
        let mut relations = Relations {
            tty: Some(tty),
            stdio: [Descriptor::Tty(tty), Descriptor::Tty(tty), Descriptor::Tty(tty)],
            ..Relations::default()
        };
        let id = self.take_slot(host);
        let spec = ProcessSpec { boot: false, ..ProcessSpec::new(name, Self::LOGIN, &[]) };
        match self.launch_as(id, spec, &mut relations) {
            Ok(()) => {
                let pid = self.at_proc(id).pid;
                let tty = &mut self.ttys[place];
                tty.session = Some(id);
                tty.foreground = (host, pid);
                None
            }
            Err(error) => {
                self.free_slot(id);
                Some(error)
            }
        }
    }

    /// Handles keys pressed at a terminal.
    pub(super) fn press(&mut self, tty: usize, keys: &[u8]) {
        for &key in keys {
            match self.ttys[tty].key(key) {
                Keyed::Nothing | Keyed::Readable => {}
                Keyed::Signal(signal) => {
                    let (host, group) = self.ttys[tty].foreground;
                    self.signal_group(host, group, signal);
                }
            }
        }
        self.retry_reads();
    }

    /// Changes the size of a terminal.
    pub(super) fn resize(&mut self, tty: usize, columns: u16, rows: u16) {
        self.ttys[tty].set_size(columns, rows);
        let id = TtyId(u32::try_from(tty).unwrap_or(u32::MAX));
        for proc in self.proc_ids() {
            let at_it = self.at_proc(proc).relations.stdio.first() == Some(&Descriptor::Tty(id));
            if at_it && self.is_alive(proc) {
                self.notify_later(proc, PendingInput::Terminal(columns, rows));
            }
        }
    }

    pub(super) fn kill_pid(&mut self, id: ProcId, pid: i64, signal: Signal) {
        let host = self.at_proc(id).host;
        let number = u32::try_from(pid.unsigned_abs()).unwrap_or(u32::MAX);
        let of = |w: &World, p: ProcId| {
            let proc = w.at_proc(p);
            let number_fits =
                if pid < 0 { proc.relations.group == number } else { proc.pid == number };
            proc.host == host && number_fits && w.is_alive(p)
        };
        let found: Vec<ProcId> = self.proc_ids().filter(|&p| of(self, p)).collect();
        for &proc in &found {
            self.signal(proc, signal);
        }
        let result = if found.is_empty() { Err(KillError::NoProcess) } else { Ok(()) };
        self.notify_later(id, PendingInput::KillAnswer(pid, result));
    }

    fn signal_group(&mut self, host: HostId, group: u32, signal: Signal) {
        for id in self.proc_ids() {
            let proc = self.at_proc(id);
            if proc.host == host && proc.relations.group == group && group != 0 && self.is_alive(id)
            {
                self.signal(id, signal);
            }
        }
    }

    /// Delivers a signal to a process.
    pub(super) fn signal(&mut self, id: ProcId, signal: Signal) {
        match signal {
            Signal::Kill if self.at_proc(id).machine.is_some() => self.kill(id),
            Signal::Suspend | Signal::Stop => {
                if self.at_proc(id).state == ProcState::Running {
                    self.proc_mut(id).state = ProcState::Paused;
                    self.changed(id, EventKind::Paused(id), ChildChange::Suspended);
                }
            }
            Signal::Continue => {
                if self.at_proc(id).state == ProcState::Paused {
                    self.proc_mut(id).state = ProcState::Running;
                    self.changed(id, EventKind::Resumed(id), ChildChange::Continued);
                    self.continue_process(id);
                    self.retry_reads();
                }
            }
            signal => self.notify_later(id, PendingInput::Signal(signal)),
        }
    }

    /// Kills a process immediately.
    pub(super) fn kill(&mut self, id: ProcId) {
        let tool = self.at_proc(id).tool;
        self.abort_operations(id);
        self.take_down(id, ProcState::Killed);
        if !tool {
            self.happened(EventKind::Killed(id));
        }
    }

    fn changed(&mut self, id: ProcId, event: EventKind, change: ChildChange) {
        if !self.at_proc(id).tool {
            self.happened(event);
        }
        let parent = self.at_proc(id).relations.parent;
        self.notify_parent(parent, change);
    }

    fn notify_parent(&mut self, parent: Option<(ProcId, u32, ChildId)>, change: ChildChange) {
        let Some((parent, incarnation, child)) = parent else { return };
        if self.at_proc(parent).incarnation != incarnation || !self.is_alive(parent) {
            return;
        }
        let children = &mut self.proc_mut(parent).relations.children;
        if let (ChildChange::Ended(_), Some(known)) = (change, children.get_mut(&child)) {
            known.ended = true;
            if known.stdio.iter().all(|end| *end == Descriptor::Closed) {
                children.remove(&child);
            }
        }
        self.notify_later(parent, PendingInput::Child(child, change));
    }

    /// Cleans up after a process that has ended: its streams, its children, its parent.
    pub(super) fn clean_up_relations(&mut self, id: ProcId, status: ExitStatus) {
        let relations = mem::take(&mut self.proc_mut(id).relations);
        for descriptor in relations.stdio {
            self.close_descriptor(descriptor);
        }
        for (_, child) in relations.children {
            for descriptor in child.stdio {
                self.close_descriptor(descriptor);
            }
            if !child.ended && self.at_proc(child.proc).incarnation == child.incarnation {
                self.proc_mut(child.proc).relations.parent = None;
            }
        }
        if let Some(tty) = relations.tty.and_then(|tty| self.ttys.get_mut(tty.0 as usize))
            && tty.session == Some(id)
        {
            tty.session = None;
            tty.foreground.1 = 0;
        }
        self.notify_parent(relations.parent, ChildChange::Ended(status));
        self.retry_reads();
    }

    /// Removes a shell tool that has ended.
    pub(super) fn forget_tool(&mut self, id: ProcId) {
        if self.at_proc(id).tool && !self.at_proc(id).gone {
            self.free_slot(id);
        }
    }

    pub(super) fn set_terminal_mode(&mut self, id: ProcId, mode: TerminalMode) {
        if let Some(tty) = self.at_proc(id).relations.tty {
            self.ttys[tty.0 as usize].set_mode(mode);
            self.retry_reads();
        }
    }

    pub(super) fn set_foreground(&mut self, id: ProcId, child: Option<ChildId>) {
        let proc = self.at_proc(id);
        let Some(tty) = proc.relations.tty else { return };
        let group = match child {
            None => Some((proc.host, proc.relations.group)),
            Some(child) => proc
                .relations
                .children
                .get(&child)
                .map(|child| (self.at_proc(child.proc).host, child.group(self))),
        };
        if let Some(group) = group {
            self.ttys[tty.0 as usize].foreground = group;
            self.retry_reads();
        }
    }

    /// Carries out a request of a program to the World.
    pub(super) fn execute_request(&mut self, id: ProcId, request: WorldRequest) {
        match request {
            WorldRequest::Act(action) => {
                // Programs validate their requests; what is impossible is ignored.
                if self.do_action(&action).is_ok() {
                    self.trace.bytes(action.to_string().as_bytes());
                    self.happened(EventKind::Action(action));
                }
            }
            WorldRequest::Claim(ip) => self.claim(id, ip),
            WorldRequest::Release(ip) if self.claimed.get(&ip) == Some(&id) => self.release(ip),
            WorldRequest::Release(_) => {}
            WorldRequest::SpawnOn { host, child, command } => {
                let from = self.at_proc(id).host;
                let to = self.hosts().find(|view| view.name == host).map(|view| (view.id, view.on));
                let reached = to.filter(|&(to, on)| on && !self.cuts.contains(&(from, to)));
                match reached {
                    Some((to, _)) => {
                        self.install_login_files(to);
                        self.spawn(id, to, child, *command);
                    }
                    None => {
                        let error = SpawnError::Refused("Connection timed out".into());
                        self.notify_later(id, PendingInput::Spawned(child, Err(error)));
                    }
                }
            }
        }
    }
}

impl Child {
    fn group(&self, world: &World) -> u32 {
        let proc = world.at_proc(self.proc);
        if proc.incarnation == self.incarnation && !self.ended {
            proc.relations.group
        } else {
            self.pid
        }
    }
}

/// The exit status that corresponds to a process state.
pub(super) fn status_of(state: ProcState) -> ExitStatus {
    match state {
        ProcState::Exited { code } => {
            let signal = Signal::ALL.iter().find(|(_, _, number)| code == SIGNALLED + number);
            signal.map_or(ExitStatus::Exited(code), |&(signal, ..)| ExitStatus::Signalled(signal))
        }
        ProcState::Killed => ExitStatus::Signalled(Signal::Kill),
        _ => ExitStatus::Signalled(Signal::Hangup),
    }
}
