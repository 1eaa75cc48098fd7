//! The CLIENT TRACKING state of one client.

use crate::sorted::SortedSet;

/// The CLIENT TRACKING state of a client that has it on.
#[derive(Clone, Debug, Default)]
pub struct Tracking {
    /// Which keys it gets invalidations for.
    pub mode: TrackingMode,
    /// Whether changes that the client makes itself are left out (`NOLOOP`).
    pub noloop: bool,
    /// Whether CLIENT CACHING applies to the next command.
    pub caching: bool,
    /// The id of the client that receives its invalidations (`REDIRECT`).
    pub redirect: Option<u64>,
    /// Whether that client was found to be gone when an invalidation was due.
    pub broken: bool,
}

/// Which keys a tracking client gets invalidations for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TrackingMode {
    /// Keys that it has read.
    #[default]
    Default,
    /// Keys that it has read with a command after CLIENT CACHING YES.
    OptIn,
    /// Keys that it has read, except with a command after CLIENT CACHING NO.
    OptOut,
    /// All keys with one of these prefixes (`BCAST`).
    Broadcast(SortedSet<Box<[u8]>>),
}

impl Tracking {
    /// Whether invalidations are sent by prefix, and reads are not remembered.
    pub fn is_broadcast(&self) -> bool {
        matches!(self.mode, TrackingMode::Broadcast(_))
    }

    /// The id of the client that receives the invalidations, 0 for the client itself.
    pub fn redirection(&self) -> i64 {
        self.redirect.unwrap_or_default() as i64
    }

    /// Number of prefixes.
    pub fn prefixes(&self) -> usize {
        match &self.mode {
            TrackingMode::Broadcast(prefixes) => prefixes.len(),
            _ => 0,
        }
    }

    /// Whether the keys that the running command reads are remembered.
    pub(in crate::front) fn remembers(&self) -> bool {
        match self.mode {
            TrackingMode::Default => true,
            TrackingMode::OptIn => self.caching,
            TrackingMode::OptOut => !self.caching,
            TrackingMode::Broadcast(_) => false,
        }
    }
}
