//! Counters of a connection, for INFO and for health checks.

use crate::time::Mono;

/// Counters and times of one [`Peer`](super::Peer), over all of its connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were established.
    pub connects: u64,
    /// Connections that could not be established, or that were closed without being asked to.
    pub failures: u64,
    /// Requests sent, not counting the preamble.
    pub requests: u64,
    /// Replies to them, errors included.
    pub replies: u64,
    /// Replies that were errors.
    pub errors: u64,
    /// Bytes written to the outbox.
    pub bytes_out: u64,
    /// Bytes that arrived.
    pub bytes_in: u64,
    /// When the latest attempt to connect began.
    pub last_attempt: Option<Mono>,
    /// When anything was last received.
    pub last_received: Option<Mono>,
    /// When a reply to a request was last received.
    pub last_reply: Option<Mono>,
}
