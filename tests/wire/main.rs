//! Hostile bytes, limits of the protocol, and misbehaving peers, over real sockets.

mod mirror;
mod peers;
