//! Snapshots of the data: writing them while commands go on, and loading them.
//!
//! * [`snapshot`]: the job that writes what the data was at one moment, in slices: for the dump, for
//!   a rewrite of the append-only file, for replicas;
//! * [`image`]: from keys to the bytes of such a snapshot;
//! * [`sink`]: the file that it is written to;
//! * [`save`]: the dump: SAVE, BGSAVE, LASTSAVE, save points, and what follows when saving fails;
//! * [`loading`]: what is read at the start, and by DEBUG RELOAD;
//! * [`intake`]: from the bytes of a snapshot to keys;
//! * [`source`]: the file that they are read from;
//! * [`info`]: what INFO tells of all that;
//! * [`hold`]: holding back all requests while one command goes on in slices.
//!
//! The form of the bytes is next door, in [`persist`](crate::persist).

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

use self::loading::{Loading, Loads, RdbLoad};
use self::save::Saves;
use self::snapshot::Job;
use super::Server;
use crate::time::{Duration, Mono, Now, Wall, earliest};

/// The longest that a wall clock time is waited for without looking again, since that clock jumps.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a server knows of its snapshots.
#[derive(Clone, Debug, Default)]
pub(super) struct Persistence {
    /// The snapshot that is being written. There is one at a time, as Redis has one child.
    pub(super) job: Option<Box<Job>>,
    /// How many there were.
    jobs: u64,
    pub(super) saves: Saves,
    pub(super) hold: hold::Hold,
    /// What is being loaded, from wherever.
    loading: Option<Loading>,
    /// The RDB file that is being loaded.
    rdb_load: Option<Box<RdbLoad>>,
    pub(super) loads: Loads,
    /// Whether the server has all its data.
    pub(super) ready: bool,
    /// Whether the data is being replaced by what is on disk (DEBUG RELOAD, DEBUG LOADAOF), from
    /// the moment at which that is asked for.
    pub(super) reloading: bool,
    /// Libraries of functions, as their source texts. They came with a snapshot, and go along with
    /// the next.
    pub(super) libraries: Vec<Vec<u8>>,
}

impl Server {
    /// Does a slice of what goes on in the background. Once a turn of the driver, so that a slice
    /// comes between the requests of all clients and those that follow, and not between any two.
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

    /// When something in the background is to go on.
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

    /// The monotonic time at which the wall clock will show so many seconds since 1970, or a time
    /// before that at which to look again.
    fn at_second(&self, second: u64) -> Mono {
        let (mono, wall) = self.now;
        let wait = Duration::from_micros(second.saturating_mul(1_000_000).saturating_sub(wall.0));
        mono + wait.clamp(Duration::from_millis(1), LONGEST_WAIT)
    }

    /// What a person is told of a directory.
    pub(super) fn directory_name(&self) -> &str {
        &self.directory
    }
}

/// Whole seconds from one moment to another, as Redis counts them.
fn seconds_between(from: Wall, to: Wall) -> i64 {
    i64::try_from(to.as_secs()).unwrap_or(i64::MAX).saturating_sub_unsigned(from.as_secs())
}
