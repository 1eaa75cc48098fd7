//! The OOM score: how soon the kernel ends a process when memory runs out.

/// The OOM score adjustment of a process (`/proc/self/oom_score_adj` of Linux): the higher, the
/// sooner the kernel ends it. A driver keeps the score within -1000 and 1000, which is all that
/// Linux takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OomScore {
    /// The initial value, before the first change.
    #[default]
    Inherited,
    /// This score.
    Absolute(i32),
    /// The initial value plus this.
    Relative(i32),
}
