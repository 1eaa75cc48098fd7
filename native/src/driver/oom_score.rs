//! The OOM score of this process: how soon the kernel kills it when memory runs out.

use std::fs;

use limpid_core::machine::OomScore;

use super::disk::strerror;

/// The file by which the score is set on Linux. Other systems have nothing like it.
const FILE: &str = "/proc/self/oom_score_adj";

/// Adjusts the OOM score of this process.
#[derive(Debug, Default)]
pub(super) struct Adjuster {
    /// The score before it was adjusted; `None` if it is not adjusted.
    inherited: Option<i32>,
}

impl Adjuster {
    /// Sets the score. A score that the kernel refuses changes nothing.
    pub(super) fn adjust(&mut self, to: OomScore) -> Result<(), String> {
        let Some(inherited) = self.inherited.or_else(|| (to != OomScore::Inherited).then(read))
        else {
            return Ok(());
        };
        let score = match to {
            OomScore::Inherited => inherited,
            OomScore::Absolute(score) => score,
            OomScore::Relative(more) => inherited.saturating_add(more),
        };
        fs::write(FILE, score.clamp(-1000, 1000).to_string()).map_err(|e| strerror(&e))?;
        self.inherited = (to != OomScore::Inherited).then_some(inherited);
        Ok(())
    }
}

fn read() -> i32 {
    fs::read_to_string(FILE).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
