//! Snapshots of the data: writing them while commands go on, and loading them.
