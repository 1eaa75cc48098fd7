//! Outgoing connections: what a machine needs in order to be a client of another server.
//!
//! [`Peer`] is one connection to one server. It connects by address or by name, introduces itself
//! with a [`Preamble`] (AUTH, HELLO, SELECT, CLIENT SETNAME, ...), sends requests in a pipeline with
//! a token that says who waits for which reply, hands over published messages apart from replies,
//! and closes the connection for a stated [`CloseReason`]. It can reconnect by itself after a delay
//! that grows ([`Backoff`]). [`Peers`] holds all connections of one machine under keys of the
//! machine's own, gives out their [`ConnId`](crate::machine::ConnId)s, and finds the connection that
//! an input is about.
//!
//! Nothing here knows why a machine talks to another server: what is sent, how often, and what a
//! reply means is the business of the caller. Connections that peers have *made to us* are not here
//! either, but with those who serve clients.

mod connection;
mod peers;
mod preamble;
mod tally;

pub use connection::{
    Backoff, CloseReason, Event, Peer, PeerConfig, PeerState, RequestError, Waiting,
};
pub use peers::Peers;
pub use preamble::{Preamble, Step};
pub use tally::Tally;

#[cfg(test)]
mod tests;
