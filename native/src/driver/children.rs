//! Child processes that the machine starts.
//!
//! Each standard stream of a child is closed, inherited, or a file. What only a shell needs (pipes
//! between children, process groups of a terminal) is not supported: such a request is refused with
//! an error.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, Child};
use std::sync::Arc;

use limpid_core::machine::{
    ChildId, Command, ExitStatus, FileMode, Group, KillError, Signal, SpawnError, Stdio,
};
use rustix::process::{Pid, Signal as Number, kill_process, kill_process_group};

use super::mailbox::{Mailbox, Message};

/// Starts child processes, and reports their exit statuses to the machine.
#[derive(Debug)]
pub(super) struct Children {
    mailbox: Arc<Mailbox>,
    /// Process ids of the running children, so that no signal reaches another process.
    pids: HashMap<ChildId, u32>,
}

impl Children {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Children { mailbox, pids: HashMap::new() }
    }

    /// Starts a program. Returns its process id.
    pub(super) fn spawn(&mut self, child: ChildId, command: &Command) -> Result<u32, SpawnError> {
        let started = start(command)?;
        let pid = started.id();
        self.pids.insert(child, pid);
        let mailbox = self.mailbox.clone();
        let thread = std::thread::Builder::new().name("child".into());
        // The thread owns the child: if no thread can be started, its end is not reported.
        let waiting = thread.spawn(move || {
            let status = wait(started);
            mailbox.put([Message::Child(child, status)]);
        });
        match waiting {
            Ok(_) => Ok(pid),
            Err(error) => {
                self.pids.remove(&child);
                Err(SpawnError::Refused(format!("no thread to wait for it: {error}")))
            }
        }
    }

    /// Forgets a child whose end is being reported to the machine.
    pub(super) fn ended(&mut self, child: ChildId) {
        self.pids.remove(&child);
    }

    /// Sends a signal to a process, or to a process group if `pid` is negative.
    pub(super) fn kill(&self, pid: i64, signal: Signal) -> Result<(), KillError> {
        let number = i32::try_from(pid.unsigned_abs()).ok().and_then(Pid::from_raw);
        let (Some(number), Some(signal)) = (number, number_of(signal)) else {
            return Err(KillError::NoProcess);
        };
        let sent =
            if pid < 0 { kill_process_group(number, signal) } else { kill_process(number, signal) };
        sent.map_err(|error| match error {
            rustix::io::Errno::PERM => KillError::Denied,
            _ => KillError::NoProcess,
        })
    }
}

fn start(command: &Command) -> Result<Child, SpawnError> {
    let dir = command.dir.as_deref().unwrap_or(".");
    let mut builder = process::Command::new(&command.program);
    builder.args(&command.args).env_clear().envs(command.env.iter().cloned()).current_dir(dir);
    let input = stdio(&command.stdin, dir)?;
    let output = stdio(&command.stdout, dir)?;
    let errors = match &command.stderr {
        Stdio::Stdout => stdio(&command.stdout, dir)?,
        errors => stdio(errors, dir)?,
    };
    builder.stdin(input).stdout(output).stderr(errors);
    if command.group != Group::Same {
        builder.process_group(0);
    }
    builder.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => SpawnError::NotFound,
        ErrorKind::PermissionDenied => SpawnError::Denied,
        _ => SpawnError::Refused(error.to_string()),
    })
}

fn stdio(wanted: &Stdio, dir: &str) -> Result<process::Stdio, SpawnError> {
    match wanted {
        Stdio::Inherit => Ok(process::Stdio::inherit()),
        Stdio::Null => Ok(process::Stdio::null()),
        Stdio::File { path, mode } => {
            let full = Path::new(dir).join(path);
            let opened = match mode {
                FileMode::Read => File::open(full),
                FileMode::Truncate => File::create(full),
                FileMode::Append => OpenOptions::new().append(true).create(true).open(full),
            };
            let failed = |error: std::io::Error| SpawnError::Stream {
                path: path.clone(),
                message: error.to_string(),
            };
            opened.map(process::Stdio::from).map_err(failed)
        }
        Stdio::Piped | Stdio::Pipe(_) | Stdio::Stdout | Stdio::Stderr => {
            Err(SpawnError::Refused("a pipe to a child is not supported here; use a file".into()))
        }
    }
}

fn wait(mut child: Child) -> ExitStatus {
    match child.wait() {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => ExitStatus::Exited(code),
            (None, number) => {
                let known = Signal::ALL.iter().find(|(.., known)| Some(*known) == number);
                ExitStatus::Signalled(known.map_or(Signal::Kill, |&(signal, ..)| signal))
            }
        },
        Err(_) => ExitStatus::Exited(-1),
    }
}

fn number_of(signal: Signal) -> Option<Number> {
    Some(match signal {
        Signal::Terminate => Number::TERM,
        Signal::Interrupt => Number::INT,
        Signal::Hangup => Number::HUP,
        Signal::Quit => Number::QUIT,
        Signal::Kill => Number::KILL,
        Signal::Suspend => Number::TSTP,
        Signal::Stop => Number::STOP,
        Signal::Continue => Number::CONT,
        Signal::Pipe => Number::PIPE,
        Signal::User1 => Number::USR1,
        Signal::User2 => Number::USR2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_and_a_file_that_is_not_are_told_apart() {
        assert_eq!(start(&Command::new("/no/such/program", &[])).err(), Some(SpawnError::NotFound));
        let stdin = Stdio::File { path: "/no/such/file".into(), mode: FileMode::Read };
        let command = Command { stdin, ..Command::new("/bin/true", &[]) };
        assert!(matches!(start(&command), Err(SpawnError::Stream { .. })));
    }

    #[test]
    fn the_end_of_a_program_is_told_with_its_status() {
        let ends = |script: &str| wait(start(&Command::new("/bin/sh", &["-c", script])).unwrap());
        assert_eq!(ends("exit 3"), ExitStatus::Exited(3));
        assert_eq!(ends("kill -TERM $$"), ExitStatus::Signalled(Signal::Terminate));
    }
}
