//! Actions: what can be done to a World, as data shared by menus, typed commands and lesson files.

use core::fmt;
use core::time::Duration;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::ids::MessageId;
use super::parse::{show_bits, show_duration, show_keys, show_ppm, show_word};

/// One action on a World. [`fmt::Display`] and [`core::str::FromStr`] are its text form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Cut the power of a host.
    Crash {
        /// The host.
        host: String,
    },
    /// Power on a host, cutting its power first if it is on.
    Restart {
        /// The host.
        host: String,
        /// Whether it keeps its disk, or gets a new one with the scenario's files only.
        disk: bool,
    },
    /// Freeze a process, or all processes of a host.
    Pause {
        /// A process or a host.
        target: String,
    },
    /// Resume a frozen process, or all of a host.
    Resume {
        /// A process or a host.
        target: String,
    },
    /// Kill a process immediately (SIGKILL).
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
        /// The host.
        host: String,
        /// The file's absolute path.
        path: String,
        /// Its new content.
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
        /// The other; empty for all other hosts.
        b: Vec<String>,
    },
    /// Block all messages from one set of hosts to another.
    PartitionOneWay {
        /// The sending hosts.
        from: Vec<String>,
        /// The receiving hosts; empty for all others.
        to: Vec<String>,
    },
    /// Repair cut links: those between two sets of hosts, or all of them.
    Heal {
        /// One set; empty for all links.
        a: Vec<String>,
        /// The other; empty for all other hosts.
        b: Vec<String>,
    },
    /// Set the latency between two hosts.
    Latency {
        /// One host, or `*` for every host.
        a: String,
        /// The other, or `*`.
        b: String,
        /// The one-way latency.
        latency: Duration,
        /// The maximum additional delay; `None` leaves it unchanged.
        jitter: Option<Duration>,
    },
    /// Set the packet loss between two hosts.
    Loss {
        /// One host, or `*`.
        a: String,
        /// The other, or `*`.
        b: String,
        /// Parts per million.
        ppm: u32,
    },
    /// Set the bandwidth of a link.
    Bandwidth {
        /// One host, or `*`.
        a: String,
        /// The other, or `*`.
        b: String,
        /// Bits per second, `None` for no limit.
        bits: Option<u64>,
    },
    /// Set how far a host's wall clock is ahead of true time (or behind it).
    Skew {
        /// The host.
        host: String,
        /// Microseconds ahead.
        micros: i64,
    },
    /// Set how much faster than true time a host's wall clock runs (or slower).
    Drift {
        /// The host.
        host: String,
        /// Parts per million faster.
        ppm: i64,
    },
    /// Make a host's disk fail, or repair it.
    Disk {
        /// The host.
        host: String,
        /// Its behaviour from now on.
        fault: DiskFault,
    },
    /// Drop a message in flight; the sender's TCP will retransmit it.
    Drop {
        /// The message.
        message: MessageId,
    },
    /// Delay a message.
    Delay {
        /// The message.
        message: MessageId,
        /// The delay.
        by: Duration,
    },
    /// Deliver a message twice; the receiver's TCP will discard the copy.
    Duplicate {
        /// The message.
        message: MessageId,
    },
    /// Hold back a message, and so all that follow it on its connection, until it is released.
    Hold {
        /// The message.
        message: MessageId,
    },
    /// Release a held message.
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
    /// Add a host without processes.
    AddHost {
        /// Its name.
        name: String,
        /// Its address; `None` for the one after the highest.
        ip: Option<Ipv4Addr>,
    },
    /// Open a terminal on a host and log in, or log in again at one whose session has ended.
    Login {
        /// The host.
        host: String,
        /// The terminal's name.
        terminal: String,
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Press keys at a terminal, given as the bytes that a terminal sends for them.
    Keys {
        /// The terminal.
        terminal: String,
        /// The keys.
        keys: String,
    },
    /// Resize a terminal.
    Resize {
        /// The terminal.
        terminal: String,
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Type a line into a process that reads standard input.
    Type {
        /// The process.
        process: String,
        /// The line, without Enter.
        line: String,
    },
    /// Press Ctrl-C in a process that reads its standard input.
    Interrupt {
        /// The process.
        process: String,
    },
}

/// The faults of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskFault {
    /// No fault.
    None,
    /// The disk is full.
    Full,
    /// Every write fails.
    Writes,
    /// Every fsync fails.
    Syncs,
    /// Every read fails.
    Reads,
    /// Every rename fails.
    Renames,
    /// Every operation takes this much longer.
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

/// Why an action could not be parsed or carried out. It names the thing, the value and the remedy.
///
/// The page shows it in the reader's language; [`fmt::Display`] is in English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionError {
    /// The text is empty.
    Empty,
    /// The action is unknown.
    UnknownAction {
        /// What was typed.
        verb: String,
        /// The most similar known action.
        nearest: &'static str,
    },
    /// An argument is missing.
    Missing {
        /// The action.
        verb: &'static str,
        /// What is missing.
        what: &'static str,
        /// The syntax of the action.
        usage: &'static str,
    },
    /// There is an additional argument.
    Surplus {
        /// The action.
        verb: &'static str,
        /// The argument.
        value: String,
        /// The syntax of the action.
        usage: &'static str,
    },
    /// An argument is invalid.
    Invalid {
        /// What is expected.
        what: &'static str,
        /// The given value.
        value: String,
        /// An example of a valid value.
        example: &'static str,
    },
    /// There is no host of this name.
    NoHost {
        /// The name.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// There is no process of this name.
    NoProcess {
        /// The name.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// There is no terminal of this name.
    NoTerminal {
        /// The name.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// There is no message with this number in flight.
    NoMessage {
        /// The number.
        message: MessageId,
    },
    /// The target is in a state in which the action is impossible.
    WrongState {
        /// The host or process.
        name: String,
        /// Its state.
        is: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The name is already used.
    NameTaken {
        /// The name.
        name: String,
    },
    /// The program could not be started.
    NotStarted {
        /// The process.
        name: String,
        /// The reason given by the program.
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
