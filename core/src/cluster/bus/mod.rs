//! The cluster bus: the messages between nodes, and their binary format.
//!
//! [`Message`] is a message as Rust types, [`decode`] and [`Message::encode`] convert it from and
//! to bytes, and [`Framer`] splits a stream of bytes into messages; [`frames`] does so for an
//! observer that sees one piece of a stream. The format is that of Redis 7 (version 1 of the
//! protocol). What a node does with a message is decided in [`super::state`].

mod codec;
mod framer;
mod message;
#[cfg(test)]
mod tests;

pub use codec::{Malformed, decode, frames};
pub use framer::{BadFrame, Framer};
pub use message::{Body, Extension, Gossip, Greeting, Header, Kind, Message};
