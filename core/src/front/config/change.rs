//! Changes of the configuration that take time.

use std::sync::Arc;

use super::rewrite::Extent;
use super::{Config, Schema};

/// The caller of CONFIG REWRITE.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rewriter {
    /// A client, by CONFIG REWRITE or DEBUG CONFIG-REWRITE-FORCE-ALL.
    Client(u64, Extent),
    /// The program, by the request of this number.
    Program(u64),
}

/// The program's own requests to write the configuration into its file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConfigSaves {
    /// How many there were.
    pub(in crate::front) asked: u64,
    /// Whether one is being carried out.
    pub(in crate::front) running: bool,
}

/// A CONFIG SET that is in place, and waits for what it needs: listeners or a directory first, then
/// what the program needs besides (a file, a score). If one fails, those before it are undone.
#[derive(Clone, Debug)]
pub struct Change<C: Schema> {
    /// The client that asked for it. Nobody asks for what undoes another change.
    pub(in crate::front) client: Option<u64>,
    /// What it was before.
    pub(crate) old: Arc<Config<C>>,
    /// What it became.
    pub(in crate::front) new: Arc<Config<C>>,
    /// The working directory before, if it became another.
    pub(in crate::front) directory: Option<String>,
    /// What it needs, by the name of the directive that is to blame if it fails.
    pub(crate) waits: &'static str,
}
