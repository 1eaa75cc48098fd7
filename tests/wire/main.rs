//! Hostile bytes, the protocol's limits, and peers that do not behave, over real sockets.

mod mirror;
mod peers;
