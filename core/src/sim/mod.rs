//! The simulator: a World of hosts, processes, links, disks, clocks and faults, with its history.
//!
//! A [`World`] is a driver of the contract in [`crate::machine`] with virtual time. It is created
//! from a [`Scenario`] and a seed, has one ordered event queue, and is deterministic: the same
//! seed, scenario and [`Action`]s give the same bytes on every platform, which
//! [`World::trace_hash`] verifies. A [`Session`] records the actions and keeps checkpoints, so that
//! a user can go to any time, and branch off from there.
//!
//! | file | content |
//! |---|---|
//! | `world` | the World and its event queue |
//! | `drive`, `proc`, `host` | driving processes; the state of processes and hosts |
//! | `process` | the programs of a World: boxed machines, and the function that creates them |
//! | `children`, `loader`, `streams`, `tty`, `reflow` | child processes, their streams and
//! terminals |
//! | `net`, `tcp`, `link` | TCP: connections, segments, links between hosts |
//! | `disk`, `content`, `device` | a host's files and what survives a power loss; the timing of
//! disk operations |
//! | `action`, `parse`, `faults` | actions on a World: as data, as text, and applying them |
//! | `session`, `checkpoint` | recorded actions: rewind, branch, undo |
//! | `view`, `event`, `ring`, `trace` | read-only views of a World, and its history |
//! | `testing` | fixtures for the tests of machines |
//! | `scenario` | the description that a World is created from |
//!
//! Topologies and the programs to run live in [`crate::lab`]: a World only knows the
//! [`Programs`] function that it was given.

mod action;
mod checkpoint;
mod children;
mod content;
mod device;
mod disk;
mod drive;
mod event;
mod faults;
mod host;
mod ids;
mod link;
mod loader;
mod net;
mod parse;
mod proc;
mod process;
mod reflow;
mod ring;
mod scenario;
mod session;
mod streams;
mod tcp;
pub mod testing;
mod trace;
mod transport;
mod tty;
mod view;
mod world;

pub use action::{Action, ActionError, DiskFault};
pub use disk::{Disk, FileInfo, resolve as resolve_path};
pub use event::{Event, EventKind, LogEntry, Lost};
pub use ids::{HostId, MessageId, ProcId, Side, TcpId};
pub use link::Link;
pub use loader::{EXECUTABLE, find_program};
pub use parse::{USAGES as ACTION_USAGES, nearest as nearest_verb, parse_duration};
pub use proc::ProcState;
pub use process::{
    Boxed, Console, DaemonOptions, Launch, LaunchError, Plain, Process, Programs, WorldRequest,
    daemon, plain,
};
pub use ring::Ring;
pub use scenario::{DiskSpec, HostSpec, LinkRule, LinkSpec, ProcessSpec, Scenario, TcpSpec};
pub use session::{Branch, Future, Marker, Record, Session, Step, Timed};
pub use tcp::{Flight, SegmentKind};
pub use tty::{Tty, TtyId};
pub use view::{ConnView, Delivered, EndView, HostView, MessageView, ProcView};
pub use vt100::{Color, Screen};
pub use world::World;

#[cfg(test)]
mod tests;
