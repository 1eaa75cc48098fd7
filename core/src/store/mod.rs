//! The keyspace: databases of keys, their values and their expiry times.
