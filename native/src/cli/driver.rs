//! The driver of a [`Session`]: carries out its outputs on a blocking socket.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use limpid_core::client::{Action, Session, Waiting};
use limpid_core::time::Mono;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::client::{Stream, strerror};

/// A session with its socket.
pub(super) struct Driver {
    pub(super) session: Session,
    stream: Option<Stream>,
    /// Readable after Ctrl-C was pressed.
    interrupts: Option<UnixStream>,
    origin: Instant,
    buffer: Vec<u8>,
    exit: Option<i32>,
}

/// Why [`Driver::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The session made progress.
    Session,
    /// The watched input is readable.
    Input,
}

impl Driver {
    pub(super) fn new(session: Session, interrupts: Option<UnixStream>) -> Self {
        Driver {
            session,
            stream: None,
            interrupts,
            origin: Instant::now(),
            buffer: vec![0; 64 * 1024],
            exit: None,
        }
    }

    pub(super) fn now(&self) -> Mono {
        Mono::ZERO + self.origin.elapsed()
    }

    /// Runs until the session ends; returns the exit status.
    pub(super) fn run_to_end(&mut self) -> i32 {
        loop {
            self.carry_out();
            if let Some(code) = self.exit {
                return code;
            }
            if self.session.waiting() == Waiting::Line {
                return 0;
            }
            self.wait(None);
        }
    }

    /// Runs until the session wants a line or shows messages. `None` when it has ended, with its
    /// exit status in [`Driver::exit_status`].
    pub(super) fn run_to_input(&mut self) -> Option<Waiting> {
        loop {
            self.carry_out();
            if self.exit.is_some() {
                return None;
            }
            match self.session.waiting() {
                waiting @ (Waiting::Line | Waiting::Messages) => return Some(waiting),
                Waiting::Ended => return None,
                Waiting::Reply | Waiting::Monitor => {
                    self.wait(None);
                }
            }
        }
    }

    /// The status with which the program is to end.
    pub(super) fn exit_status(&self) -> i32 {
        self.exit.unwrap_or(0)
    }

    /// Waits for bytes, Ctrl-C, the session's timeout, or readable input.
    pub(super) fn wait(&mut self, input: Option<BorrowedFd<'_>>) -> Woken {
        let ready = self.poll(input);
        if ready.interrupt {
            self.interrupted();
        }
        if ready.stream {
            self.read();
        }
        let now = self.now();
        self.session.wake(now);
        if ready.input && !ready.stream { Woken::Input } else { Woken::Session }
    }

    /// Carries out the session's outputs.
    pub(super) fn carry_out(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect(target) => {
                    self.flush();
                    match Stream::connect(&target) {
                        Ok(stream) => {
                            self.stream = Some(stream);
                            let now = self.now();
                            self.session.connected(now);
                        }
                        Err(error) => {
                            let now = self.now();
                            self.session.connect_failed(now, &strerror(&error));
                        }
                    }
                }
                Action::Disconnect => self.stream = None,
                Action::Send(bytes) => {
                    if let Some(stream) = &mut self.stream
                        && let Err(error) = stream.write_all(&bytes)
                    {
                        self.lost(&error);
                    }
                }
                Action::Print(bytes) => self.print(&bytes),
                Action::PrintError(bytes) => {
                    self.flush();
                    // If this fails there is nowhere left to report it.
                    let _ = io::stderr().write_all(&bytes);
                }
                Action::ClearScreen => self.print(b"\x1b[H\x1b[2J"),
                Action::Exit(code) => self.exit = Some(code),
            }
        }
        self.flush();
    }

    fn print(&mut self, bytes: &[u8]) {
        if io::stdout().write_all(bytes).is_err() {
            // The reader of the output is gone (`EPIPE`).
            self.exit = Some(1);
        }
    }

    fn flush(&mut self) {
        if io::stdout().flush().is_err() {
            self.exit = Some(1);
        }
    }

    fn interrupted(&mut self) {
        if let Some(interrupts) = &mut self.interrupts {
            // Several interrupts count as one.
            let _ = interrupts.read(&mut self.buffer);
        }
        match self.session.waiting() {
            Waiting::Messages | Waiting::Monitor => {
                let now = self.now();
                self.session.interrupt(now);
            }
            // Nothing to interrupt: Ctrl-C ends the program.
            _ => self.exit = Some(1),
        }
    }

    fn read(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        match stream.read(&mut self.buffer) {
            Ok(0) => self.lost(&io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                let now = self.now();
                self.session.received(now, self.buffer.get(..n).unwrap_or_default());
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) => {}
            Err(error) => self.lost(&error),
        }
    }

    fn lost(&mut self, error: &io::Error) {
        self.stream = None;
        let now = self.now();
        self.session.closed(now, &strerror(error));
    }

    fn poll(&self, input: Option<BorrowedFd<'_>>) -> Ready {
        let timeout = self.session.poll_timeout().map(|until| until.since(self.now()));
        let none = PollFlags::empty();
        let watched = [
            self.stream.as_ref().map(AsFd::as_fd),
            self.interrupts.as_ref().map(AsFd::as_fd),
            input,
        ];
        // An unused place gets another descriptor with no events; its result is ignored below.
        let Some(any) = watched.iter().flatten().next().copied() else {
            std::thread::sleep(timeout.unwrap_or(Duration::ZERO));
            return Ready::default();
        };
        let mut fds = watched.map(|fd| {
            let flags = if fd.is_some() { PollFlags::IN } else { none };
            PollFd::from_borrowed_fd(fd.unwrap_or(any), flags)
        });
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // If a signal interrupts it, the caller's loop polls again.
        let _ = poll(&mut fds, timeout.as_ref());
        let [stream, interrupt, input] = fds.each_ref().map(|fd| fd.revents() != none);
        Ready {
            stream: stream && watched[0].is_some(),
            interrupt: interrupt && watched[1].is_some(),
            input: input && watched[2].is_some(),
        }
    }
}

#[derive(Default)]
struct Ready {
    stream: bool,
    interrupt: bool,
    input: bool,
}
