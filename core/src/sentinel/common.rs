//! State shared by all monitored masters: the time, the epoch, links, and pending effects.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::addr::{Addr, HostNames};
use super::link::Links;
use super::periods::Periods;
use super::scripts::{Job, Scripts};
use crate::machine::LogLevel;
use crate::rng::Rng;
use crate::time::{Mono, Wall};

/// An effect that the owner of the state machine has to carry out, besides outputs for connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A line for the log.
    Log(LogLevel, String),
    /// Publish an event to its channel.
    Publish {
        /// The event, such as `+sdown`.
        channel: String,
        /// Its description.
        message: String,
    },
    /// The state has changed and has to be saved in the configuration file: see
    /// [`Sentinel::begin_save`](super::Sentinel::begin_save).
    Save,
    /// Run a script.
    Run(Job),
    /// Kill the script with this process ID, since it has run for too long.
    Kill(u32),
    /// End the process.
    Exit(i32),
}

/// Settings of the Sentinel itself, not of a master.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The host announced to other Sentinels; by default the local address of the connection.
    pub announce_ip: Option<String>,
    /// The announced port; 0 for the port that it listens on.
    pub announce_port: u16,
    /// Whether scripts can only be configured in the file.
    pub deny_scripts_reconfig: bool,
    /// The user name for AUTH on connections to other Sentinels (`sentinel-user`).
    pub user: Option<String>,
    /// The password for other Sentinels; by default the one that its own clients need.
    pub password: Option<String>,
    /// Whether servers are shown by host name instead of by IP address.
    pub announce_hostnames: bool,
    /// The port that it listens on.
    pub port: u16,
    /// The password that clients need.
    pub requirepass: Option<String>,
    /// The local address for outgoing connections (`bind-source-addr`).
    pub bind_source_addr: Option<IpAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            announce_ip: None,
            announce_port: 0,
            deny_scripts_reconfig: true,
            user: None,
            password: None,
            announce_hostnames: false,
            port: 26_379,
            requirepass: None,
            bind_source_addr: None,
        }
    }
}

/// Crashes simulated by SENTINEL SIMULATE-FAILURE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimulatedFailure {
    /// Exit after winning an election.
    pub after_election: bool,
    /// Exit after the promotion of a replica.
    pub after_promotion: bool,
}

impl SimulatedFailure {
    /// The flags that INFO shows.
    pub fn flags(self) -> u32 {
        u32::from(self.after_election) | u32::from(self.after_promotion) << 1
    }
}

/// State shared by all monitored masters.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) now: Mono,
    pub(super) wall: Wall,
    /// The Sentinel's ID: forty hexadecimal digits.
    pub(super) id: String,
    /// The current epoch.
    pub(super) epoch: u64,
    pub(super) periods: Periods,
    pub(super) settings: Settings,
    pub(super) names: HostNames,
    /// Since when TILT mode has been active.
    pub(super) tilt: Option<Mono>,
    pub(super) links: Links,
    pub(super) scripts: Scripts,
    pub(super) effects: VecDeque<Effect>,
    pub(super) rng: Rng,
    pub(super) simulate: SimulatedFailure,
    pub(super) saves: Saves,
    /// The number that was last assigned to a master or another instance.
    pub(super) last_id: u64,
}

/// How far the state is saved. States are numbered by the requests to save them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Saves {
    /// The latest state.
    wanted: u64,
    /// The state that is being written.
    writing: Option<u64>,
    /// The state that is on disk.
    written: u64,
}

impl Saves {
    /// Whether a state is on disk.
    pub(super) fn has(&self, state: u64) -> bool {
        self.written >= state
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Starts a write. Returns the state to write; `None` if a write is in progress.
    pub(super) fn begin(&mut self) -> Option<u64> {
        if self.writing.is_some() {
            return None;
        }
        self.writing = Some(self.wanted);
        self.writing
    }

    /// Ends a write. Returns whether there is a newer state to write.
    pub(super) fn done(&mut self, ok: bool) -> bool {
        let written = self.writing.take();
        if let (true, Some(written)) = (ok, written) {
            self.written = self.written.max(written);
        }
        written.is_some_and(|written| self.wanted > written)
    }
}

impl Common {
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn log(&mut self, level: LogLevel, text: String) {
        self.effects.push_back(Effect::Log(level, text));
    }

    /// Reports an event: in the log, to subscribers (unless it is verbose), and to the notification
    /// script if it is a warning.
    pub(super) fn event(
        &mut self,
        level: LogLevel,
        event: &str,
        message: String,
        script: Option<&str>,
    ) {
        self.log(level, format!("{event} {message}"));
        if level == LogLevel::Warning
            && let Some(script) = script
        {
            self.scripts.schedule(vec![script.to_owned(), event.to_owned(), message.clone()]);
        }
        if level != LogLevel::Debug {
            self.effects.push_back(Effect::Publish { channel: event.to_owned(), message });
        }
    }

    /// Requests that the state be saved. Returns the number of the new state.
    pub(super) fn save(&mut self) -> u64 {
        self.saves.wanted += 1;
        if !self.effects.contains(&Effect::Save) {
            self.effects.push_back(Effect::Save);
        }
        self.saves.wanted
    }

    /// The host of an address as shown to others.
    pub(super) fn host(&self, addr: &Addr) -> String {
        addr.announced(self.settings.announce_hostnames)
    }

    /// A random time within the next second, so that Sentinels do not act simultaneously.
    pub(super) fn desync(&mut self) -> Mono {
        self.now + crate::time::Duration::from_millis(self.rng.below(1_000))
    }
}
