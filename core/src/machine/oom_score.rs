//! How soon the kernel ends a process when memory runs out.

/// The OOM score adjustment of a process (`/proc/self/oom_score_adj` of Linux): the higher, the
/// sooner the kernel ends it. A driver keeps the score within -1000 and 1000, which is all that
/// Linux takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OomScore {
    /// What it was before the first of the others was asked for.
    #[default]
    Inherited,
    /// This score.
    Absolute(i32),
    /// So much more than what it was before the first was asked for.
    Relative(i32),
}
