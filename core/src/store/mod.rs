//! The keyspace: databases of keys, their values and their expiry times.

/// All databases of a server.
#[derive(Clone, Debug, Default)]
pub struct Keyspace {}
