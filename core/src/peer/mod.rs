//! Outgoing connections: what a machine needs in order to be a client of another server.
//!
//! [`Peer`] is one connection to one server. It connects by address or by name, starts with a
//! [`Preamble`] (AUTH, HELLO, SELECT, CLIENT SETNAME, ...), sends requests in a pipeline with a
//! token that identifies each reply, delivers published messages apart from replies, and closes the
//! connection with a [`CloseReason`]. It can reconnect with exponential back-off ([`Backoff`]).
//! [`Peers`] holds all connections of one machine under keys of the machine's own, assigns their
//! [`ConnId`](crate::machine::ConnId)s, and finds the connection that an input is about.
//!
//! Nothing here knows why a machine talks to another server: what to send, how often, and what a
//! reply means is up to the caller. Connections that other programs have made *to* this one belong
//! to [`front`](crate::front).

mod connection;
mod peers;
mod preamble;
mod tally;

pub use connection::{
    Backoff, CloseReason, Event, InFlight, Peer, PeerConfig, PeerState, RequestError,
};
pub use peers::Peers;
pub use preamble::{Preamble, Step};
pub use tally::Tally;

#[cfg(test)]
mod tests;
