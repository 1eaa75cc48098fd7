//! The programs of a World: boxed machines, and the function that creates them.

use core::any::Any;
use core::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::machine::{ChildId, Command, ConnId, Input, Machine, Outbox, Output};
use crate::time::{Mono, Now};

use super::action::Action;
use super::disk::Disk;
use super::world::World;

/// A machine in the form in which a World runs it: boxed, cloneable, and open to read-only
/// inspection.
///
/// Use [`plain`] for a machine without a console.
pub trait Process: Machine + Boxed + Send + Sync {
    /// The console for typed lines, if the program reads its standard input.
    fn console(&mut self) -> Option<&mut dyn Console> {
        None
    }

    /// Whether it is a shell tool, which produces no events and is not shown on maps.
    fn is_tool(&self) -> bool {
        false
    }

    /// Whether it daemonizes when a shell starts it (`daemonize yes`).
    fn daemonizes(&self) -> bool {
        false
    }

    /// Its log file, if it does not log to its standard output (`logfile`).
    fn log_file(&self) -> Option<String> {
        None
    }

    /// The working directory that it changes to when it starts (`dir`).
    fn directory(&self) -> Option<String> {
        None
    }

    /// Files that its installation would bring along: path, content and mode. They are written to
    /// its host's disk when it starts, unless they exist.
    fn files(&self) -> Vec<(String, Vec<u8>, u16)> {
        Vec::new()
    }

    /// The next request to the World, besides its outputs. Polled after them.
    fn poll_world_request(&mut self) -> Option<WorldRequest> {
        None
    }
}

/// A request to the World that no operating system offers.
#[derive(Clone, Debug)]
pub enum WorldRequest {
    /// Apply an action to the World: `iptables` cuts a link.
    Act(Action),
    /// Give its host an additional address (`ip address add`), taking it from any other host, until
    /// it is released or the process ends.
    Claim(Ipv4Addr),
    /// Take that address from its host.
    Release(Ipv4Addr),
    /// As [`Output::Spawn`], on another host: `ssh` starts a shell there.
    SpawnOn {
        /// The other host's name.
        host: String,
        /// The machine's name for the child.
        child: ChildId,
        /// The command.
        command: Box<Command>,
    },
}

/// What a boxed process provides. Implemented for everything that can be cloned.
pub trait Boxed {
    /// A boxed clone.
    fn clone_box(&self) -> Box<dyn Process>;

    /// The process as [`Any`], for an observer that knows its type.
    fn as_any(&self) -> &dyn Any;
}

impl<P: Process + Clone + 'static> Boxed for P {
    fn clone_box(&self) -> Box<dyn Process> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Clone for Box<dyn Process> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

impl fmt::Debug for Box<dyn Process> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process")
    }
}

/// A console, into which a person can type. The World polls for outputs afterwards, as after
/// [`Machine::handle`].
pub trait Console {
    /// A line was entered.
    fn line(&mut self, now: Now<'_>, line: &str);

    /// Ctrl-C was pressed.
    fn interrupt(&mut self, now: Now<'_>);
}

/// Boxes a machine without a console.
pub fn plain<M: Machine + Clone + Send + Sync + 'static>(machine: M) -> Box<dyn Process> {
    daemon(machine, DaemonOptions::default())
}

/// Boxes a machine with the properties of a daemon: whether it daemonizes, its log file and its
/// directory.
pub fn daemon<M: Machine + Clone + Send + Sync + 'static>(
    machine: M,
    background: DaemonOptions,
) -> Box<dyn Process> {
    Box::new(Plain(machine, background))
}

/// A machine without a console.
#[derive(Clone, Debug)]
pub struct Plain<M>(pub M, DaemonOptions);

/// The properties of a daemon, from its configuration.
#[derive(Clone, Debug, Default)]
pub struct DaemonOptions {
    /// Whether it goes to the background by itself.
    pub daemonizes: bool,
    /// The file that its log goes to.
    pub log_file: Option<String>,
    /// The directory that it changes to.
    pub directory: Option<String>,
}

impl<M: Machine> Machine for Plain<M> {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        self.0.handle(now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.0.poll_output()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.0.poll_timeout()
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.0.outbox(conn)
    }
}

impl<M: Machine + Clone + Send + Sync + 'static> Process for Plain<M> {
    fn daemonizes(&self) -> bool {
        self.1.daemonizes
    }

    fn log_file(&self) -> Option<String> {
        self.1.log_file.clone()
    }

    fn directory(&self) -> Option<String> {
        self.1.directory.clone()
    }
}

/// Creates the machine of a program when it starts in a World.
///
/// It must be a pure function of its [`Launch`], like everything in a World.
pub type Programs = fn(&Launch<'_>) -> Result<Box<dyn Process>, LaunchError>;

/// A program that is about to start.
pub struct Launch<'a> {
    /// Its name, for example `redis-server`.
    pub program: &'a str,
    /// Its arguments, without the program's name.
    pub args: &'a [String],
    /// The directory in which it starts.
    pub dir: &'a str,
    /// The seed of its randomness, different at every start.
    pub seed: u64,
    /// Its process id.
    pub pid: u32,
    /// The name of its host.
    pub host: &'a str,
    /// The address of its host.
    pub ip: Ipv4Addr,
    /// The time on its host's clocks.
    pub now: Now<'a>,
    /// The files of its host.
    pub disk: &'a Disk,
    /// Its environment; empty for a process of the scenario.
    pub env: &'a [(String, String)],
    /// Whether its standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// Whether its standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether another process started it, and gave it standard streams.
    pub is_child: bool,
    /// The World, for programs that inspect processes, sockets and links.
    pub world: &'a World,
    /// Every host's name and address.
    pub(super) names: &'a [(&'a str, Ipv4Addr)],
}

impl Launch<'_> {
    /// Every host's name and address.
    pub fn names(&self) -> impl Iterator<Item = (&str, Ipv4Addr)> {
        self.names.iter().copied()
    }

    /// A variable of the environment.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The address of a host name, or of an address in text form.
    pub fn resolve(&self, name: &str) -> Option<IpAddr> {
        if name == "localhost" {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        let known = self.names.iter().find(|(known, _)| *known == name);
        known.map(|&(_, ip)| ip.into()).or_else(|| name.parse().ok())
    }
}

/// Why a program did not start, in a message for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchError(pub String);

impl core::error::Error for LaunchError {}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
