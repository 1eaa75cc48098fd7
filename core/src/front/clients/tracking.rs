//! How the server tells one client of changes to what it caches (CLIENT TRACKING).

use crate::sorted::SortedSet;

/// The state of CLIENT TRACKING of one client that has it on.
#[derive(Clone, Debug, Default)]
pub struct Tracking {
    /// Which keys it is told of.
    pub mode: TrackingMode,
    /// Whether changes that the client makes itself are left out (`NOLOOP`).
    pub noloop: bool,
    /// Whether CLIENT CACHING has made an exception for the next command.
    pub caching: bool,
    /// The id of the client that gets the invalidations in its place (`REDIRECT`).
    pub redirect: Option<u64>,
    /// Whether that client was gone when it was to get one.
    pub broken: bool,
}

/// Which keys a tracking client is told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TrackingMode {
    /// Those that it has read.
    #[default]
    Default,
    /// Those that it has read with a command behind CLIENT CACHING YES.
    OptIn,
    /// Those that it has read, but for commands behind CLIENT CACHING NO.
    OptOut,
    /// All whose names begin with one of these prefixes.
    Broadcast(SortedSet<Box<[u8]>>),
}

impl Tracking {
    /// Whether invalidations are told by prefix, and reads are not remembered.
    pub fn is_broadcast(&self) -> bool {
        matches!(self.mode, TrackingMode::Broadcast(_))
    }

    /// The id of the client that gets the invalidations, 0 for the client itself.
    pub fn redirection(&self) -> i64 {
        self.redirect.unwrap_or_default() as i64
    }

    /// How many prefixes it is told of.
    pub fn prefixes(&self) -> usize {
        match &self.mode {
            TrackingMode::Broadcast(prefixes) => prefixes.len(),
            _ => 0,
        }
    }

    /// Whether the keys that the running command reads are to be remembered.
    pub(in crate::front) fn remembers(&self) -> bool {
        match self.mode {
            TrackingMode::Default => true,
            TrackingMode::OptIn => self.caching,
            TrackingMode::OptOut => !self.caching,
            TrackingMode::Broadcast(_) => false,
        }
    }
}
