//! What can be done to a World, as data that menus, typed commands and lesson files share.

use core::fmt;
use core::time::Duration;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::ids::MessageId;
use super::parse::{show_bits, show_duration, show_keys, show_ppm, show_word};

/// One thing to do to a World. [`fmt::Display`] and [`core::str::FromStr`] are its text form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Cut a host's power.
    Crash {
        /// Which host.
        host: String,
    },
    /// Bring a host up, cutting its power first if it is up.
    Restart {
        /// Which host.
        host: String,
        /// Whether it keeps its disk, or gets one with the scenario's files only.
        disk: bool,
    },
    /// Freeze a process, or every process of a host.
    Pause {
        /// A process or a host.
        target: String,
    },
    /// Let a frozen process, or every process of a host, go on.
    Resume {
        /// A process or a host.
        target: String,
    },
    /// Kill a process at once (SIGKILL).
    Kill {
        /// A process, or a host for all of its processes.
        target: String,
    },
    /// Ask a process to end (SIGTERM).
    Stop {
        /// A process, or a host for all of its processes.
        target: String,
    },
    /// Ask a process to read its configuration again (SIGHUP).
    Reload {
        /// A process, or a host for all of its processes.
        target: String,
    },
    /// Write a file on a host's disk, as an editor does.
    Write {
        /// Which host.
        host: String,
        /// The file's absolute path.
        path: String,
        /// What is in it from now on.
        text: String,
    },
    /// Start a process that is not running.
    Start {
        /// A process, or a host for all of its processes.
        target: String,
    },
    /// Cut every link between two sets of hosts.
    Partition {
        /// One set.
        a: Vec<String>,
        /// The other; empty for all the rest.
        b: Vec<String>,
    },
    /// Let nothing through from one set of hosts to another.
    PartitionOneWay {
        /// From where.
        from: Vec<String>,
        /// To where; empty for all the rest.
        to: Vec<String>,
    },
    /// Mend cut links: those between two sets of hosts, or all of them.
    Heal {
        /// One set; empty for all links.
        a: Vec<String>,
        /// The other; empty for all the rest.
        b: Vec<String>,
    },
    /// Set how long messages take between two hosts.
    Latency {
        /// One host, or `*` for every host.
        a: String,
        /// The other, or `*`.
        b: String,
        /// Time for one way.
        latency: Duration,
        /// What it may take longer at worst; `None` leaves it as it is.
        jitter: Option<Duration>,
    },
    /// Set how many messages get lost between two hosts.
    Loss {
        /// One host, or `*`.
        a: String,
        /// The other, or `*`.
        b: String,
        /// Parts per million.
        ppm: u32,
    },
    /// Set how much a link carries.
    Bandwidth {
        /// One host, or `*`.
        a: String,
        /// The other, or `*`.
        b: String,
        /// Bits a second, `None` for no limit.
        bits: Option<u64>,
    },
    /// Set a host's wall clock ahead of true time (or behind it).
    Skew {
        /// Which host.
        host: String,
        /// Microseconds ahead.
        micros: i64,
    },
    /// Let a host's wall clock run faster than true time (or slower).
    Drift {
        /// Which host.
        host: String,
        /// Parts per million faster.
        ppm: i64,
    },
    /// Break a host's disk, or mend it.
    Disk {
        /// Which host.
        host: String,
        /// How it behaves from now on.
        fault: DiskFault,
    },
    /// Lose a message on its way; the sender's TCP will send it again.
    Drop {
        /// The message.
        message: MessageId,
    },
    /// Let a message arrive later.
    Delay {
        /// The message.
        message: MessageId,
        /// By how much.
        by: Duration,
    },
    /// Let a message arrive a second time; the receiver's TCP will discard it.
    Duplicate {
        /// The message.
        message: MessageId,
    },
    /// Keep a message, and so all that follow it on its connection, until it is released.
    Hold {
        /// The message.
        message: MessageId,
    },
    /// Let a held message go on.
    Release {
        /// The message.
        message: MessageId,
    },
    /// Start a new process on a host: a terminal, a server, traffic.
    Run {
        /// The host.
        host: String,
        /// The new process's name.
        name: String,
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// Add a host with nothing on it.
    AddHost {
        /// Its name.
        name: String,
        /// Its address; `None` for the one after the highest.
        ip: Option<Ipv4Addr>,
    },
    /// Open a terminal on a host and log in, or log in again at one that somebody has left.
    Login {
        /// The host.
        host: String,
        /// The terminal's name.
        terminal: String,
        /// Characters in a line.
        columns: u16,
        /// Lines.
        rows: u16,
    },
    /// Press keys at a terminal, as the bytes that a terminal sends for them.
    Keys {
        /// The terminal.
        terminal: String,
        /// What is typed.
        keys: String,
    },
    /// Give a terminal another size.
    Resize {
        /// The terminal.
        terminal: String,
        /// Characters in a line.
        columns: u16,
        /// Lines.
        rows: u16,
    },
    /// Type a line into a process that reads its standard input.
    Type {
        /// The process.
        process: String,
        /// What to type, without Enter.
        line: String,
    },
    /// Press Ctrl-C in a process that reads its standard input.
    Interrupt {
        /// The process.
        process: String,
    },
}

/// How a disk misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskFault {
    /// Not at all.
    None,
    /// Nothing more fits on it.
    Full,
    /// Every write fails.
    Writes,
    /// Every fsync fails.
    Syncs,
    /// Every read fails.
    Reads,
    /// No file can be given another name.
    Renames,
    /// Every operation takes so much longer.
    Slow(Duration),
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskFault::None => f.write_str("ok"),
            DiskFault::Full => f.write_str("full"),
            DiskFault::Writes => f.write_str("fail-writes"),
            DiskFault::Syncs => f.write_str("fail-syncs"),
            DiskFault::Reads => f.write_str("fail-reads"),
            DiskFault::Renames => f.write_str("fail-renames"),
            DiskFault::Slow(by) => write!(f, "slow {}", show_duration(*by)),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::AddHost { name, ip: None } => write!(f, "add-host {name}"),
            Action::AddHost { name, ip: Some(ip) } => write!(f, "add-host {name} {ip}"),
            Action::Login { host, terminal, columns, rows } => {
                write!(f, "login {host} {terminal} {columns} {rows}")
            }
            Action::Keys { terminal, keys } => write!(f, "keys {terminal} {}", show_keys(keys)),
            Action::Resize { terminal, columns, rows } => {
                write!(f, "resize {terminal} {columns} {rows}")
            }
            Action::Crash { host } => write!(f, "crash {host}"),
            Action::Restart { host, disk: true } => write!(f, "restart {host}"),
            Action::Restart { host, disk: false } => write!(f, "restart {host} --no-disk"),
            Action::Pause { target } => write!(f, "pause {target}"),
            Action::Resume { target } => write!(f, "resume {target}"),
            Action::Kill { target } => write!(f, "kill {target}"),
            Action::Stop { target } => write!(f, "stop {target}"),
            Action::Reload { target } => write!(f, "reload {target}"),
            Action::Write { host, path, text } => {
                write!(f, "write {host} {} {}", show_word(path), show_keys(text))
            }
            Action::Start { target } => write!(f, "start {target}"),
            Action::Partition { a, b } => write!(f, "partition {}", Sets(a, b)),
            Action::PartitionOneWay { from, to } => {
                write!(f, "partition-oneway {}", Sets(from, to))
            }
            Action::Heal { a, .. } if a.is_empty() => f.write_str("heal"),
            Action::Heal { a, b } => write!(f, "heal {}", Sets(a, b)),
            Action::Latency { a, b, latency, jitter } => {
                write!(f, "latency {a} {b} {}", show_duration(*latency))?;
                jitter.map_or(Ok(()), |j| write!(f, " {}", show_duration(j)))
            }
            Action::Loss { a, b, ppm } => write!(f, "loss {a} {b} {}", show_ppm(*ppm)),
            Action::Bandwidth { a, b, bits } => {
                write!(f, "bandwidth {a} {b} {}", show_bits(*bits))
            }
            Action::Skew { host, micros } => {
                let sign = if *micros < 0 { '-' } else { '+' };
                let by = show_duration(Duration::from_micros(micros.unsigned_abs()));
                write!(f, "skew {host} {sign}{by}")
            }
            Action::Drift { host, ppm } => write!(f, "drift {host} {ppm:+}ppm"),
            Action::Disk { host, fault } => write!(f, "disk {host} {fault}"),
            Action::Drop { message } => write!(f, "drop {message}"),
            Action::Delay { message, by } => write!(f, "delay {message} {}", show_duration(*by)),
            Action::Duplicate { message } => write!(f, "duplicate {message}"),
            Action::Hold { message } => write!(f, "hold {message}"),
            Action::Release { message } => write!(f, "release {message}"),
            Action::Run { host, name, program, args } => {
                write!(f, "run {host} {name} {}", show_word(program))?;
                args.iter().try_for_each(|a| write!(f, " {}", show_word(a)))
            }
            Action::Type { process, line } if line.is_empty() => write!(f, "type {process}"),
            Action::Type { process, line } => write!(f, "type {process} {line}"),
            Action::Interrupt { process } => write!(f, "interrupt {process}"),
        }
    }
}

/// Two sets of hosts, as `a,b | c`.
struct Sets<'a>(&'a [String], &'a [String]);

impl fmt::Display for Sets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))?;
        if self.1.is_empty() { Ok(()) } else { write!(f, " | {}", self.1.join(",")) }
    }
}

/// Why an action could not be understood or done. It names the thing, the value and the remedy.
///
/// The page says it in its reader's language; [`fmt::Display`] says it in English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionError {
    /// Nothing was typed.
    Empty,
    /// There is no such action.
    UnknownAction {
        /// What was typed.
        verb: String,
        /// The action that looks most like it.
        nearest: &'static str,
    },
    /// An argument is missing.
    Missing {
        /// The action.
        verb: &'static str,
        /// What is missing.
        what: &'static str,
        /// How the action is written.
        usage: &'static str,
    },
    /// There is an argument too many.
    Surplus {
        /// The action.
        verb: &'static str,
        /// The argument.
        value: String,
        /// How the action is written.
        usage: &'static str,
    },
    /// An argument is not what it should be.
    Invalid {
        /// What it should be.
        what: &'static str,
        /// What it is.
        value: String,
        /// How one is written.
        example: &'static str,
    },
    /// There is no host of this name.
    NoHost {
        /// The name.
        name: String,
        /// Names that there are.
        known: Vec<String>,
    },
    /// There is no process of this name.
    NoProcess {
        /// The name.
        name: String,
        /// Names that there are.
        known: Vec<String>,
    },
    /// There is no terminal of this name.
    NoTerminal {
        /// The name.
        name: String,
        /// Names that there are.
        known: Vec<String>,
    },
    /// There is no message of this number on its way.
    NoMessage {
        /// The number.
        message: MessageId,
    },
    /// The thing is not in a state in which this can be done.
    WrongState {
        /// The host or process.
        name: String,
        /// What it is now.
        is: &'static str,
        /// What would help.
        remedy: &'static str,
    },
    /// The name is taken.
    NameTaken {
        /// The name.
        name: String,
    },
    /// The program could not be started.
    NotStarted {
        /// The process.
        name: String,
        /// The program's words.
        why: String,
    },
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ActionError::Empty => write!(f, "no action given; try: crash <host>"),
            ActionError::UnknownAction { verb, nearest } => {
                write!(f, "unknown action '{verb}'; did you mean '{nearest}'?")
            }
            ActionError::Missing { verb, what, usage } => {
                write!(f, "'{verb}' needs {what}; usage: {usage}")
            }
            ActionError::Surplus { verb, value, usage } => {
                write!(f, "'{verb}' does not know what to do with '{value}'; usage: {usage}")
            }
            ActionError::Invalid { what, value, example } => {
                write!(f, "'{value}' is not {what}; write it like {example}")
            }
            ActionError::NoHost { name, known } => {
                write!(f, "there is no host '{name}'; hosts are {}", known.join(", "))
            }
            ActionError::NoProcess { name, known } => {
                write!(f, "there is no process '{name}'; processes are {}", known.join(", "))
            }
            ActionError::NoTerminal { name, known } if known.is_empty() => {
                write!(f, "there is no terminal '{name}'; open one: login <host> <terminal>")
            }
            ActionError::NoTerminal { name, known } => {
                write!(f, "there is no terminal '{name}'; terminals are {}", known.join(", "))
            }
            ActionError::NoMessage { message } => {
                write!(f, "message {message} is not on its way; choose one that is in flight")
            }
            ActionError::WrongState { name, is, remedy } => write!(f, "{name} is {is}; {remedy}"),
            ActionError::NameTaken { name } => {
                write!(f, "the name '{name}' is taken; choose another one")
            }
            ActionError::NotStarted { name, why } => write!(f, "{name} did not start: {why}"),
        }
    }
}

impl core::error::Error for ActionError {}
