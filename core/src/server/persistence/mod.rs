//! Snapshots of the data: writing them while commands are executed, and loading them.
//!
//! * [`snapshot`]: the job that writes a point-in-time snapshot, in slices: for the dump, for an
//!   AOF rewrite, for replicas;
//! * [`image`]: serializing keys into a snapshot;
//! * [`sink`]: the file that it is written to;
//! * [`save`]: the dump: SAVE, BGSAVE, LASTSAVE, save points, and failed saves;
//! * [`loading`]: loading at the start, and for DEBUG RELOAD;
//! * [`intake`]: loading keys from the bytes of a snapshot;
//! * [`source`]: the file that they are read from;
//! * [`info`]: the section of INFO;
//! * [`hold`]: holding back all requests while one command proceeds in slices.
//!
//! The formats are in [`persist`](crate::persist).

pub(super) mod hold;
pub(super) mod image;
mod info;
pub(super) mod intake;
pub(super) mod loading;
pub(super) mod reload;
pub(super) mod save;
pub(super) mod sink;
pub(super) mod snapshot;
pub(super) mod source;

use self::loading::{LoadCounts, Loading, RdbLoad};
use self::save::Saves;
use self::snapshot::Job;
use super::Server;
use crate::time::{Duration, Mono, Now, Wall, earliest};

/// The longest wait for a wall clock time without checking again, since that clock may jump.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The state of snapshots and loading.
#[derive(Clone, Debug, Default)]
pub(super) struct Persistence {
    /// The snapshot that is being written. There is one at a time, as Redis has one child process.
    pub(super) job: Option<Box<Job>>,
    /// Number of snapshots so far.
    jobs: u64,
    pub(super) saves: Saves,
    pub(super) hold: hold::Hold,
    /// The load in progress, from any source.
    loading: Option<Loading>,
    /// The RDB file that is being loaded.
    rdb_load: Option<Box<RdbLoad>>,
    pub(super) loads: LoadCounts,
    /// Whether the server has loaded its data.
    pub(super) ready: bool,
    /// Whether the data is being reloaded from disk (DEBUG RELOAD, DEBUG LOADAOF), from the moment
    /// of the request.
    pub(super) reloading: bool,
    /// The sources of function libraries, which came with a snapshot and are written into the next.
    pub(super) libraries: Vec<Vec<u8>>,
}

impl Server {
    /// Continues background work by a slice. Once per event-loop iteration, so that a slice comes
    /// after the pending requests of all clients, and not between any two.
    pub(super) fn background(&mut self, now: Now<'_>) {
        if self.service.persistence.job.is_some() {
            self.snapshot_slice(now);
        }
        self.memory_load_slice(now);
        if self.service.persistence.rdb_load.is_some() {
            self.load_slice(now);
        }
        self.replay_slice(now);
    }

    /// When to continue background work.
    pub(super) fn background_wake(&self) -> Option<Mono> {
        earliest([
            self.aof_wake(),
            self.replay_wake(),
            self.rewrite_wake(),
            self.snapshot_wake(),
            self.load_wake(),
            self.saves_wake(),
            self.memory_load_wake(),
        ])
    }

    /// The monotonic time at which the wall clock will show this second since 1970, or an earlier
    /// time at which to check again.
    fn at_second(&self, second: u64) -> Mono {
        let (mono, wall) = self.now;
        let wait = Duration::from_micros(second.saturating_mul(1_000_000).saturating_sub(wall.0));
        mono + wait.clamp(Duration::from_millis(1), LONGEST_WAIT)
    }

    /// The directory's name in messages.
    pub(super) fn directory_name(&self) -> &str {
        &self.directory
    }
}

/// Whole seconds between two times, as Redis counts them.
fn seconds_between(from: Wall, to: Wall) -> i64 {
    i64::try_from(to.as_secs()).unwrap_or(i64::MAX).saturating_sub_unsigned(from.as_secs())
}
