//! Limpid.
fn main() {}
