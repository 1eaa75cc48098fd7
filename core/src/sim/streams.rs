//! Standard streams: pipes between processes, files and terminals, and blocked readers and writers.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::machine::{Command, DiskErrorKind, FileMode, SpawnError, Stdio, Stream, StreamError};
use crate::time::Duration;

use super::disk::{NodeId, resolve};
use super::ids::{HostId, ProcId};
use super::proc::PendingInput;
use super::tty::TtyId;
use super::world::{Tick, World};

/// The id of a pipe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PipeNo(pub(super) u64);

/// A pipe between processes.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe {
    buffer: VecDeque<u8>,
    readers: u32,
    writers: u32,
    /// Writes that wait for room: the process and its incarnation, the stream, the bytes.
    waiting: VecDeque<(ProcId, u32, Stream, Vec<u8>)>,
}

/// What a process's stream is connected to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Descriptor {
    #[default]
    Closed,
    Null,
    Reader(PipeNo),
    Writer(PipeNo),
    Tty(TtyId),
    File {
        host: HostId,
        node: NodeId,
        /// The read position.
        offset: u64,
        writes: bool,
    },
}

/// The result of an attempt to read.
enum Got {
    Bytes(Vec<u8>),
    Nothing,
    Error(StreamError),
}

impl World {
    /// The virtual time of a stream operation, so that time advances.
    const STREAM: Duration = Duration::from_micros(5);
    /// The capacity of a pipe in bytes, above which writers wait.
    const PIPE: usize = 64 << 10;

    /// Delivers an input after a short delay, in the order of all delayed inputs.
    pub(super) fn notify_later(&mut self, id: ProcId, input: PendingInput) {
        let (at, incarnation) = (self.now + Self::STREAM, self.at_proc(id).incarnation);
        self.proc_mut(id).later.push_back(input);
        self.schedule(at, Tick::Later { proc: id, incarnation });
    }

    /// Delivers the oldest delayed input.
    pub(super) fn notify_next(&mut self, id: ProcId) {
        if let Some(input) = self.proc_mut(id).later.pop_front() {
            self.notify(id, input);
        }
    }

    /// Connects the standard streams of a child. Returns the parent's ends and the child's ends.
    pub(super) fn connect_stdio(
        &mut self,
        parent: ProcId,
        host: HostId,
        dir: &str,
        command: &Command,
    ) -> Result<([Descriptor; 3], [Descriptor; 3]), SpawnError> {
        let (mut ours, mut theirs) = (<[Descriptor; 3]>::default(), <[Descriptor; 3]>::default());
        let wanted = [&command.stdin, &command.stdout, &command.stderr];
        for (n, stdio) in wanted.into_iter().enumerate() {
            let end = match stdio {
                Stdio::Inherit => Ok(self.at_proc(parent).relations.stdio[n].clone()),
                Stdio::Null => Ok(Descriptor::Null),
                Stdio::Piped => {
                    let pipe = self.new_pipe();
                    let (reader, writer) = (Descriptor::Reader(pipe), Descriptor::Writer(pipe));
                    let (our, their) = if n == 0 { (writer, reader) } else { (reader, writer) };
                    self.open_descriptor(&our);
                    ours[n] = our;
                    Ok(their)
                }
                Stdio::Pipe(name) => {
                    let known = self.at_proc(parent).relations.pipes.get(name).copied();
                    let pipe = known.unwrap_or_else(|| {
                        let pipe = self.new_pipe();
                        self.proc_mut(parent).relations.pipes.insert(*name, pipe);
                        // Both ends are kept open until the other child has its own.
                        let made = self.pipes.get_mut(&pipe);
                        if let Some(made) = made {
                            (made.readers, made.writers) = (1, 1);
                        }
                        pipe
                    });
                    if known.is_some() {
                        self.proc_mut(parent).relations.pipes.remove(name);
                    }
                    // The end that was kept open is replaced by the one that is handed out now.
                    if let Some(made) = self.pipes.get_mut(&pipe) {
                        if n == 0 { made.readers -= 1 } else { made.writers -= 1 }
                    }
                    Ok(if n == 0 { Descriptor::Reader(pipe) } else { Descriptor::Writer(pipe) })
                }
                Stdio::File { path, mode } => self.open_stream(host, dir, path, *mode),
                Stdio::Stdout => Ok(theirs[1].clone()),
                Stdio::Stderr => Ok(Descriptor::Closed),
            };
            match end {
                Ok(end) => {
                    self.open_descriptor(&end);
                    theirs[n] = end;
                }
                Err(error) => {
                    for descriptor in ours.into_iter().chain(theirs) {
                        self.close_descriptor(descriptor);
                    }
                    return Err(error);
                }
            }
        }
        if command.stdout == Stdio::Stderr {
            theirs[1] = theirs[2].clone();
            let end = theirs[1].clone();
            self.open_descriptor(&end);
        }
        Ok((ours, theirs))
    }

    fn new_pipe(&mut self) -> PipeNo {
        let number = PipeNo(self.next_pipe);
        self.next_pipe += 1;
        self.pipes.insert(number, Pipe::default());
        number
    }

    fn open_stream(
        &mut self,
        host: HostId,
        dir: &str,
        path: &str,
        mode: FileMode,
    ) -> Result<Descriptor, SpawnError> {
        if path == "/dev/null" {
            return Ok(Descriptor::Null);
        }
        let full = resolve(dir, path);
        let wall = self.wall(host);
        let disk = Arc::make_mut(&mut self.host_mut(host).disk);
        disk.set_clock(wall);
        let node = match mode {
            FileMode::Truncate => disk.create(&full),
            FileMode::Read => disk.find(&full),
            FileMode::Append => match disk.find(&full) {
                Err(error) if error.kind == DiskErrorKind::NotFound => disk.create(&full),
                found => found,
            },
        };
        let node =
            node.map_err(|error| SpawnError::Stream { path: path.into(), message: error.message })?;
        Ok(Descriptor::File { host, node, offset: 0, writes: mode != FileMode::Read })
    }

    fn open_descriptor(&mut self, descriptor: &Descriptor) {
        match descriptor {
            Descriptor::Reader(pipe) => {
                if let Some(pipe) = self.pipes.get_mut(pipe) {
                    pipe.readers += 1;
                }
            }
            Descriptor::Writer(pipe) => {
                if let Some(pipe) = self.pipes.get_mut(pipe) {
                    pipe.writers += 1;
                }
            }
            Descriptor::File { host, node, .. } => {
                Arc::make_mut(&mut self.host_mut(*host).disk).open(*node);
            }
            Descriptor::Closed | Descriptor::Null | Descriptor::Tty(_) => {}
        }
    }

    pub(super) fn close_descriptor(&mut self, descriptor: Descriptor) {
        match descriptor {
            Descriptor::Reader(number) => {
                let Some(pipe) = self.pipes.get_mut(&number) else { return };
                pipe.readers = pipe.readers.saturating_sub(1);
                if pipe.readers == 0 {
                    pipe.buffer.clear();
                    for (proc, incarnation, stream, _) in core::mem::take(&mut pipe.waiting) {
                        self.written(proc, incarnation, stream, Err(StreamError::BrokenPipe));
                    }
                }
                self.forget_pipe(number);
            }
            Descriptor::Writer(number) => {
                let Some(pipe) = self.pipes.get_mut(&number) else { return };
                pipe.writers = pipe.writers.saturating_sub(1);
                self.forget_pipe(number);
                self.retry_reads();
            }
            Descriptor::File { host, node, .. } => {
                Arc::make_mut(&mut self.host_mut(host).disk).close(node);
            }
            Descriptor::Closed | Descriptor::Null | Descriptor::Tty(_) => {}
        }
    }

    fn forget_pipe(&mut self, number: PipeNo) {
        let over = self.pipes.get(&number).is_some_and(|p| p.readers == 0 && p.writers == 0);
        if over {
            self.pipes.remove(&number);
        }
    }

    fn descriptor(&mut self, id: ProcId, stream: Stream) -> Option<&mut Descriptor> {
        let relations = &mut self.proc_mut(id).relations;
        let (child, n) = match stream {
            Stream::Stdin => return relations.stdio.get_mut(0),
            Stream::Stdout => return relations.stdio.get_mut(1),
            Stream::Stderr => return relations.stdio.get_mut(2),
            Stream::ChildStdin(child) => (child, 0),
            Stream::ChildStdout(child) => (child, 1),
            Stream::ChildStderr(child) => (child, 2),
        };
        relations.children.get_mut(&child)?.stdio.get_mut(n)
    }

    pub(super) fn close_stream(&mut self, id: ProcId, stream: Stream) {
        if let Some(descriptor) = self.descriptor(id, stream).map(core::mem::take) {
            self.close_descriptor(descriptor);
        }
    }

    pub(super) fn read_stream(&mut self, id: ProcId, stream: Stream, most: u32) {
        let result = match self.try_read(id, stream, most) {
            Got::Bytes(bytes) => Ok(bytes),
            Got::Error(error) => Err(error),
            Got::Nothing => {
                self.proc_mut(id).relations.reads.insert(stream, most);
                return;
            }
        };
        self.notify_later(id, PendingInput::Read(stream, result));
    }

    /// Wakes readers for which there is now something to read.
    pub(super) fn retry_reads(&mut self) {
        for id in self.proc_ids() {
            if self.at_proc(id).relations.reads.is_empty() {
                continue;
            }
            let waiting: Vec<(Stream, u32)> = self
                .at_proc(id)
                .relations
                .reads
                .iter()
                .map(|(stream, most)| (*stream, *most))
                .collect();
            for (stream, most) in waiting {
                let result = match self.try_read(id, stream, most) {
                    Got::Bytes(bytes) => Ok(bytes),
                    Got::Error(error) => Err(error),
                    Got::Nothing => continue,
                };
                self.proc_mut(id).relations.reads.remove(&stream);
                self.notify_later(id, PendingInput::Read(stream, result));
            }
        }
    }

    fn try_read(&mut self, id: ProcId, stream: Stream, most: u32) -> Got {
        let most = most as usize;
        let (host, group) = (self.at_proc(id).host, self.at_proc(id).relations.group);
        match self.descriptor(id, stream).cloned() {
            Some(Descriptor::Null) => Got::Bytes(Vec::new()),
            Some(Descriptor::Reader(number)) => {
                let Some(pipe) = self.pipes.get_mut(&number) else { return Got::Bytes(Vec::new()) };
                if pipe.buffer.is_empty() {
                    let over = pipe.writers == 0;
                    return if over { Got::Bytes(Vec::new()) } else { Got::Nothing };
                }
                let n = most.min(pipe.buffer.len());
                let bytes: Vec<u8> = pipe.buffer.drain(..n).collect();
                self.fill_pipe(number);
                Got::Bytes(bytes)
            }
            Some(Descriptor::Tty(tty)) => {
                let tty = &mut self.ttys[tty.0 as usize];
                if tty.foreground != (host, group) {
                    return Got::Nothing;
                }
                if tty.input.is_empty() {
                    let over = core::mem::take(&mut tty.ended);
                    return if over { Got::Bytes(Vec::new()) } else { Got::Nothing };
                }
                let n = most.min(tty.input.len());
                Got::Bytes(tty.input.drain(..n).collect())
            }
            Some(Descriptor::File { host, node, offset, writes: false }) => {
                let bytes = self.at_host(host).disk.read(node, offset, most as u64);
                let read = bytes.len() as u64;
                if let Some(Descriptor::File { offset, .. }) = self.descriptor(id, stream) {
                    *offset += read;
                }
                Got::Bytes(bytes)
            }
            _ => Got::Error(StreamError::BadDescriptor),
        }
    }

    /// Wakes writers that wait for room in a pipe.
    fn fill_pipe(&mut self, number: PipeNo) {
        while let Some(pipe) = self.pipes.get_mut(&number)
            && pipe.buffer.len() < Self::PIPE
            && let Some((proc, incarnation, stream, bytes)) = pipe.waiting.pop_front()
        {
            pipe.buffer.extend(bytes);
            self.written(proc, incarnation, stream, Ok(()));
        }
    }

    fn written(
        &mut self,
        id: ProcId,
        incarnation: u32,
        stream: Stream,
        result: Result<(), StreamError>,
    ) {
        if self.at_proc(id).incarnation == incarnation && self.is_alive(id) {
            self.notify_later(id, PendingInput::Written(stream, result));
        }
    }

    pub(super) fn write_stream(&mut self, id: ProcId, stream: Stream, bytes: Vec<u8>) {
        self.trace.bytes(&bytes);
        let incarnation = self.at_proc(id).incarnation;
        let result = match self.descriptor(id, stream).cloned() {
            Some(Descriptor::Writer(number)) => {
                let Some(pipe) = self.pipes.get_mut(&number).filter(|pipe| pipe.readers > 0) else {
                    return self.written(id, incarnation, stream, Err(StreamError::BrokenPipe));
                };
                if pipe.buffer.len() >= Self::PIPE || !pipe.waiting.is_empty() {
                    pipe.waiting.push_back((id, incarnation, stream, bytes));
                    return;
                }
                pipe.buffer.extend(bytes);
                self.retry_reads();
                Ok(())
            }
            Some(end) => self.put(&end, &bytes),
            None => Err(StreamError::BadDescriptor),
        };
        self.written(id, incarnation, stream, result);
    }

    /// Writes to a destination that never blocks the writer.
    fn put(&mut self, end: &Descriptor, bytes: &[u8]) -> Result<(), StreamError> {
        match *end {
            Descriptor::Null => Ok(()),
            Descriptor::Tty(tty) => {
                self.ttys[tty.0 as usize].show(bytes);
                Ok(())
            }
            Descriptor::File { host, node, writes: true, .. } => {
                let wall = self.wall(host);
                let host = self.host_mut(host);
                let full = host.fault == super::action::DiskFault::Full;
                let capacity = if full { 0 } else { host.device.capacity };
                let disk = Arc::make_mut(&mut host.disk);
                disk.set_clock(wall);
                disk.append(node, bytes, capacity).map_err(|_| StreamError::NoSpace)
            }
            Descriptor::Writer(number) => {
                // Log lines: what does not fit is dropped.
                if let Some(pipe) = self.pipes.get_mut(&number) {
                    pipe.buffer.extend(bytes);
                    self.retry_reads();
                }
                Ok(())
            }
            _ => Err(StreamError::BadDescriptor),
        }
    }

    /// Writes a log line of a process to its log file or its standard output.
    pub(super) fn write_log_line(&mut self, id: ProcId, line: &str) {
        let proc = self.at_proc(id);
        let (host, dir) = (proc.host, proc.dir.clone());
        match self.at_proc(id).log_file.clone() {
            Some(path) => {
                if let Ok(end) = self.open_stream(host, &dir, &path, FileMode::Append) {
                    // A failure to write a log line must not stop the program.
                    let _ = self.put(&end, line.as_bytes());
                }
            }
            None => {
                let end = self.at_proc(id).relations.stdio[1].clone();
                if end != Descriptor::Closed {
                    let _ = self.put(&end, line.as_bytes());
                }
            }
        }
    }
}
