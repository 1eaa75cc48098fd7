//! What a World runs: machines in boxes, and the function that creates them.

use core::any::Any;
use core::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::machine::{ChildId, Command, ConnId, Input, Machine, Outbox, Output};
use crate::time::{Mono, Now};

use super::action::Action;
use super::disk::Disk;
use super::world::World;

/// A machine as a World runs it: in a box, cloneable, and open to read-only inspection.
///
/// Wrap a machine with [`plain`] unless it has a terminal.
pub trait Process: Machine + Boxed + Send + Sync {
    /// Where a person types, if the program reads its standard input.
    fn console(&mut self) -> Option<&mut dyn Console> {
        None
    }

    /// Whether it is one of the small programs of a shell: it makes no event and stands on no map.
    fn is_tool(&self) -> bool {
        false
    }

    /// Whether it goes to the background by itself when a shell starts it (`daemonize yes`).
    fn daemonizes(&self) -> bool {
        false
    }

    /// The file that its log goes to, if not to its standard output (`logfile`).
    fn log_file(&self) -> Option<String> {
        None
    }

    /// The directory that it changes to before it begins (`dir`).
    fn directory(&self) -> Option<String> {
        None
    }

    /// Files that it brings along as an installation would: path, content and mode. They are put
    /// on its host's disk when it starts, where nothing of that name is.
    fn files(&self) -> Vec<(String, Vec<u8>, u16)> {
        Vec::new()
    }

    /// What it wants of the World besides its outputs. Asked for after them.
    fn poll_wish(&mut self) -> Option<Wish> {
        None
    }
}

/// What only programs of a World can want, since no operating system offers it.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Do something to the World: `iptables` cuts a link.
    Act(Action),
    /// Give its host one more address (`ip address add`), which another host may have had until now,
    /// until it is released, or the process ends.
    Claim(Ipv4Addr),
    /// Take that address away from its host.
    Release(Ipv4Addr),
    /// As [`Output::Spawn`], on another host: `ssh` runs a shell there.
    SpawnOn {
        /// The other host's name.
        host: String,
        /// The machine's name for the child.
        child: ChildId,
        /// What to start.
        command: Box<Command>,
    },
}

/// What a process can do from inside its box. Whatever can be cloned has it.
pub trait Boxed {
    /// A clone in a box of its own.
    fn clone_box(&self) -> Box<dyn Process>;

    /// What is in the box, for an observer that knows its type.
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

/// What can be typed into a program. The World asks for its outputs afterwards, as after
/// [`Machine::handle`].
pub trait Console {
    /// A line and Enter.
    fn line(&mut self, now: Now<'_>, line: &str);

    /// Ctrl-C.
    fn interrupt(&mut self, now: Now<'_>);
}

/// Boxes a machine without a console.
pub fn plain<M: Machine + Clone + Send + Sync + 'static>(machine: M) -> Box<dyn Process> {
    daemon(machine, Background::default())
}

/// Boxes a machine that goes to the background when a shell starts it, or whose log goes to a file.
pub fn daemon<M: Machine + Clone + Send + Sync + 'static>(
    machine: M,
    background: Background,
) -> Box<dyn Process> {
    Box::new(Plain(machine, background))
}

/// A machine without a console.
#[derive(Clone, Debug)]
pub struct Plain<M>(pub M, Background);

/// What a program does besides running its machine, by its configuration.
#[derive(Clone, Debug, Default)]
pub struct Background {
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

/// Creates the machine for a program, whenever one starts in a World.
///
/// It must be a pure function of what the [`Launch`] gives it, as everything in a World.
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
    /// The moment, as its host's clocks show it.
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
    /// The World, for programs that look at processes, sockets and links.
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

    /// The address of a host by its name, or of an address by its text.
    pub fn resolve(&self, name: &str) -> Option<IpAddr> {
        if name == "localhost" {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        let known = self.names.iter().find(|(known, _)| *known == name);
        known.map(|&(_, ip)| ip.into()).or_else(|| name.parse().ok())
    }
}

/// Why a program did not start, in words for the person who started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchError(pub String);

impl core::error::Error for LaunchError {}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
