//! The bus: the messages between nodes, and their binary form.
//!
//! [`Message`] is what a node says, [`decode`] and [`Message::encode`] lead from bytes to messages
//! and back, and [`Framer`] cuts a stream of bytes into messages; [`frames`] does so for an
//! observer that sees a piece of a stream. The format is that of Redis 7
//! (version 1 of the protocol); what a message means is decided in [`super::state`].

mod codec;
mod framer;
mod message;
#[cfg(test)]
mod tests;

pub use codec::{Malformed, decode, frames};
pub use framer::{BadFrame, Framer};
pub use message::{Body, Extension, Gossip, Greeting, Header, Kind, Message};
