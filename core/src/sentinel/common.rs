//! What all monitored masters share: the time, the epoch, the links, and what is to be done.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::addr::{Addr, Names};
use super::link::Links;
use super::periods::Periods;
use super::scripts::{Job, Scripts};
use crate::machine::LogLevel;
use crate::rng::Rng;
use crate::time::{Mono, Wall};

/// Something that a Sentinel wants done, besides what its connections send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A line for the log.
    Log(LogLevel, String),
    /// A message for the subscribers of an event's channel.
    Publish {
        /// The event, such as `+sdown`.
        channel: String,
        /// What it is about.
        message: String,
    },
    /// The state has changed and is to be written to the configuration file: see
    /// [`Sentinel::begin_save`](super::Sentinel::begin_save).
    Save,
    /// Run a script.
    Run(Job),
    /// Kill the script that runs as this process: it takes too long.
    Kill(u32),
    /// End the process.
    Exit(i32),
}

/// Settings of the Sentinel itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The host that other Sentinels are told to reach us at; by default our end of the connection.
    pub announce_ip: Option<String>,
    /// And the port; 0 for the one that we listen on.
    pub announce_port: u16,
    /// Whether scripts may be set by the file alone.
    pub deny_scripts_reconfig: bool,
    /// The user name for AUTH on connections to other Sentinels (`sentinel-user`).
    pub user: Option<String>,
    /// The password for other Sentinels; by default the one that our own clients need.
    pub password: Option<String>,
    /// Whether servers are shown by their names rather than their IP addresses.
    pub announce_hostnames: bool,
    /// The port that we listen on.
    pub port: u16,
    /// The password that clients need.
    pub requirepass: Option<String>,
    /// The address of its own from which it connects (`bind-source-addr`).
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

/// Failures that SENTINEL SIMULATE-FAILURE asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimulatedFailure {
    /// End the process after having been elected.
    pub after_election: bool,
    /// End it after the promotion of a replica.
    pub after_promotion: bool,
}

impl SimulatedFailure {
    /// The number that INFO shows.
    pub fn flags(self) -> u32 {
        u32::from(self.after_election) | u32::from(self.after_promotion) << 1
    }
}

/// What all masters share.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) now: Mono,
    pub(super) wall: Wall,
    /// Our id: forty hexadecimal digits.
    pub(super) id: String,
    /// The current epoch.
    pub(super) epoch: u64,
    pub(super) periods: Periods,
    pub(super) settings: Settings,
    pub(super) names: Names,
    /// Since when we have been in TILT.
    pub(super) tilt: Option<Mono>,
    pub(super) links: Links,
    pub(super) scripts: Scripts,
    pub(super) effects: VecDeque<Effect>,
    pub(super) rng: Rng,
    pub(super) simulate: SimulatedFailure,
    pub(super) saves: Saves,
    /// The number of the last master or instance.
    pub(super) last_id: u64,
}

/// How far the state is on disk. States are numbered by the saves that they asked for.
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

    /// A write begins; gives the state that it writes. `None` if one is under way.
    pub(super) fn begin(&mut self) -> Option<u64> {
        if self.writing.is_some() {
            return None;
        }
        self.writing = Some(self.wanted);
        self.writing
    }

    /// The write has ended. True if there is something newer to write.
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

    /// Tells of an event: in the log, to subscribers (unless it is chatter), and to the
    /// notification script if it is a warning.
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

    /// The state has changed. Gives the number of the new state.
    pub(super) fn save(&mut self) -> u64 {
        self.saves.wanted += 1;
        if !self.effects.contains(&Effect::Save) {
            self.effects.push_back(Effect::Save);
        }
        self.saves.wanted
    }

    /// How the host of an address is shown.
    pub(super) fn host(&self, addr: &Addr) -> String {
        addr.announced(self.settings.announce_hostnames)
    }

    /// A moment within the next second, so that Sentinels do not all act at once.
    pub(super) fn desync(&mut self) -> Mono {
        self.now + crate::time::Duration::from_millis(self.rng.below(1_000))
    }
}
