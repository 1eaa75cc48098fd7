//! What a connection counts, for INFO and for decisions about its health.

use crate::time::Mono;

/// Counts and times of one [`Peer`](super::Peer), over all of its connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were established.
    pub connects: u64,
    /// Connections that could not be made, or that ended without having been asked to.
    pub failures: u64,
    /// Requests sent, without those of the preamble.
    pub requests: u64,
    /// Replies to them, errors included.
    pub replies: u64,
    /// Replies that were errors.
    pub errors: u64,
    /// Bytes handed over to be sent.
    pub bytes_out: u64,
    /// Bytes that arrived.
    pub bytes_in: u64,
    /// When the latest attempt to connect began.
    pub last_attempt: Option<Mono>,
    /// When anything last arrived.
    pub last_received: Option<Mono>,
    /// When a reply to a request last arrived.
    pub last_reply: Option<Mono>,
}
