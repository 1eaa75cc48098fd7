//! What a redis-cli needs besides a terminal: splitting a line into arguments, parsing replies,
//! printing them as redis-cli does, hints and completion, and the client as a [`Machine`].
//!
//! Nothing here reads keys or draws; `native` and `web` do.
//!
//! [`Machine`]: crate::machine::Machine
