//! Configuration changes that complete asynchronously.

use std::sync::Arc;

use super::rewrite::RewriteScope;
use super::{Config, Schema};

/// Who asked to write the configuration file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rewriter {
    /// A client, by CONFIG REWRITE or DEBUG CONFIG-REWRITE-FORCE-ALL.
    Client(u64, RewriteScope),
    /// The program itself, with the number of its request.
    Program(u64),
}

/// The program's own requests to write its configuration file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConfigSaves {
    /// Number of requests so far.
    pub(in crate::front) asked: u64,
    /// Whether a write is in progress.
    pub(in crate::front) running: bool,
}

/// A CONFIG SET that is applied, and waits for what it depends on: listeners or a directory first,
/// then whatever the service needs (a file, the OOM score). If one step fails, the change is
/// undone.
#[derive(Clone, Debug)]
pub struct Change<C: Schema> {
    /// The client that asked for it; `None` when another change is being undone.
    pub(in crate::front) client: Option<u64>,
    /// The configuration before.
    pub(crate) old: Arc<Config<C>>,
    /// The configuration after.
    pub(in crate::front) new: Arc<Config<C>>,
    /// The old working directory, if it was changed.
    pub(in crate::front) directory: Option<String>,
    /// What it waits for: the directive to name in the error if that fails.
    pub(crate) waits: &'static str,
}
