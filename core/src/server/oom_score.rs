//! `oom-score-adj`: how likely the kernel is to kill the server when memory runs out.
//!
//! A replica gets a higher score than a primary.

use std::collections::VecDeque;

use super::config::Config;
use super::{Change, Server};
use crate::machine::{LogLevel, OomScore, Output};
use crate::time::Now;

/// Adjustments requested from the driver.
#[derive(Clone, Debug, Default)]
pub(super) struct Adjustments {
    /// Those that it has not answered, oldest first, with the CONFIG SET that waits.
    waiting: VecDeque<Option<Change>>,
    /// The last requested score.
    last: OomScore,
}

impl Server {
    /// Whether a new configuration needs another score.
    pub(super) fn is_to_adjust_oom_score(&self, old: &Config) -> bool {
        self.config.settings().oom_score_adj != old.settings().oom_score_adj
    }

    /// Requests the score for the current configuration and role. `change` is completed when that
    /// is done, and undone if the kernel refuses.
    pub(super) fn adjust_oom_score(&mut self, change: Option<Change>) {
        let score = self.wanted_oom_score();
        if change.is_none() && score == self.service.oom_score.last {
            return;
        }
        self.service.oom_score.waiting.push_back(change);
        self.service.oom_score.last = score;
        self.outputs.push_back(Output::OomScore(score));
    }

    /// The driver has answered the oldest adjustment.
    pub(super) fn oom_score_adjusted(&mut self, now: Now<'_>, result: Result<(), String>) {
        let change = self.service.oom_score.waiting.pop_front().flatten();
        if let Err(why) = &result {
            self.log(LogLevel::Warning, || format!("Unable to write oom_score_adj: {why}"));
        }
        let Some(change) = change else { return };
        if result.is_ok() && self.switch_aof_for(now, change.clone()) {
            return;
        }
        let error = "Failed to set current oom_score_adj. Check server logs.";
        self.change_done(now, &change, result.map_err(|_| error.to_owned()));
        self.adjust_oom_score(None);
    }

    fn wanted_oom_score(&self) -> OomScore {
        self.config.settings().oom_score_adj[usize::from(self.is_replica())]
    }
}
