//! A world in which machines run: hosts, processes, links, disks, clocks, faults, and history.
//!
//! A [`World`] is the driver of the contract in [`crate::machine`], with virtual time. It is made
//! from a [`Scenario`] and a seed, holds one ordered queue of events, and does exactly the same
//! thing every time: the same seed, scenario and [`Action`]s give the same bytes on every
//! platform, which [`World::trace_hash`] witnesses. A [`Session`] remembers the actions and keeps
//! checkpoints, so that a person can go to any time, and branch off from there.
//!
//! | file | noun |
//! |---|---|
//! | `world` | the World and its queue of events |
//! | `drive`, `proc`, `host` | how a process is driven, and what belongs to it and to its host |
//! | `process` | what the World runs: machines in boxes, and the recipes they start from |
//! | `children`, `loader`, `streams`, `tty`, `reflow` | processes that start others, their streams and terminals |
//! | `net`, `tcp`, `link` | transport as TCP shows it: connections, segments, links between hosts |
//! | `disk`, `content`, `device` | a host's files and what a power loss leaves of them; the operations' timing |
//! | `action`, `parse`, `faults` | what can be done to a World: as data, as text, and doing it |
//! | `session`, `checkpoint` | actions over time: rewind, branch, undo |
//! | `view`, `event`, `ring`, `trace` | what can be seen of a World, and its history |
//! | `testing` | a tiny World for the tests of other machines |
//! | `scenario` | what a World is made from |
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
    Background, Boxed, Console, Launch, LaunchError, Plain, Process, Programs, Wish, daemon, plain,
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
