//! All databases of a server.

use super::db::{Db, DbMut, Env, ExpireMode};
use super::entry::Entry;
use super::graveyard::{Flush, Graveyard};
use super::table::HashSeed;
use crate::rng::Rng;

/// All databases of a server.
///
/// Databases are numbered from 0; one comes into being when it is first used.
#[derive(Clone, Debug)]
pub struct Keyspace {
    /// What all databases share: the time, the modes, the counters. Whoever runs commands sets
    /// [`Env::now_ms`] before each and takes [`Env::incidents`] away after each.
    pub env: Env,
    dbs: Vec<Db>,
    count: usize,
    last_snapshot: u64,
    /// Databases that were flushed while a snapshot still needs them.
    detached: Vec<Db>,
}

impl Keyspace {
    /// A keyspace of `count` databases without keys. The seed decides how keys are spread, which
    /// random keys are picked, and nothing else.
    pub fn new(count: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let seed = HashSeed(rng.u64(), rng.u64());
        Self {
            env: Env {
                now_ms: 0,
                access: Default::default(),
                expire_mode: ExpireMode::Delete,
                touch: true,
                report_misses: false,
                incidents: Vec::new(),
                hits: 0,
                misses: 0,
                expired: 0,
                seed,
                rng,
                graveyard: Graveyard::default(),
            },
            dbs: Vec::new(),
            count: count.max(1),
            last_snapshot: 0,
            detached: Vec::new(),
        }
    }

    /// How many databases there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A database. The last one stands in for numbers that are too large.
    #[inline]
    pub fn db(&mut self, index: usize) -> DbMut<'_> {
        let index = index.min(self.count - 1);
        self.make(index);
        DbMut { env: &mut self.env, db: &mut self.dbs[index], index }
    }

    /// The databases that hold keys: number, keys, keys that expire, and the mean time in
    /// milliseconds that those have left.
    pub fn summary(&self) -> impl Iterator<Item = (usize, usize, usize, u64)> {
        let now_ms = self.env.now_ms;
        (0..).zip(&self.dbs).filter(|(_, db)| !db.table.is_empty()).map(move |(index, db)| {
            (index, db.table.len(), db.expires.count(), db.expires.mean_ttl(now_ms))
        })
    }

    /// Looks at a key, expired or not, and leaves no trace.
    pub fn peek(&self, index: usize, key: &[u8]) -> Option<&Entry> {
        let table = &self.dbs.get(index)?.table;
        Some(table.get(table.find(table.hash(key), key)?))
    }

    /// Looks at all keys of a database, expired or not, in the order of [`DbMut::scan`].
    pub fn entries(&self, index: usize) -> impl Iterator<Item = &Entry> {
        self.dbs.get(index).into_iter().flat_map(|db| db.table.iter())
    }

    /// Bytes that keys, values and tables take, as an allocator with size classes would count
    /// them. The same on every platform.
    pub fn memory(&self) -> usize {
        self.dbs.iter().chain(&self.detached).map(Db::memory).sum()
    }

    /// Bytes of that which are not the keys and values themselves, for one database.
    pub fn overhead(&self, index: usize) -> usize {
        self.dbs.get(index).map_or(0, |db| db.table.overhead() + db.expires.memory())
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, a: usize, b: usize) {
        if a < self.count && b < self.count {
            self.make(a.max(b));
            self.dbs.swap(a, b);
        }
    }

    /// Deletes all keys of one database, or of all. Returns how many there were.
    pub fn flush(&mut self, index: Option<usize>, how: Flush) -> u64 {
        let mut removed = 0;
        for (number, db) in (0..).zip(&mut self.dbs) {
            if index.is_some_and(|index| index != number) {
                continue;
            }
            let old = core::mem::replace(db, Db::new(self.env.seed));
            removed += old.table.len() as u64;
            if old.table.in_snapshot() {
                self.detached.push(old);
            } else {
                self.env.graveyard.bury(old.table, old.expires, how);
            }
        }
        removed
    }

    /// Deletes keys whose time has come, at most `limit`. Returns how many; what was deleted is
    /// told in [`Env::incidents`].
    pub fn expire_step(&mut self, limit: usize) -> usize {
        if self.env.expire_mode != ExpireMode::Delete {
            return 0;
        }
        let mut count = 0;
        for (index, db) in (0..).zip(&mut self.dbs) {
            if count < limit {
                count += DbMut { env: &mut self.env, db, index }.expire_step(limit - count);
            }
        }
        count
    }

    /// The earliest wall clock time, in milliseconds since 1970, at which a key will have expired.
    pub fn next_expiry(&self) -> Option<u64> {
        let first = self.dbs.iter().filter_map(|db| db.expires.first()).min()?;
        Some(first.0.saturating_add(1))
    }

    /// Frees up to `limit` keys that flushing left. Returns whether more wait.
    pub fn free_step(&mut self, limit: usize) -> bool {
        self.env.graveyard.step(limit)
    }

    /// Whether [`Self::free_step`] has something to do.
    pub fn free_waits(&self) -> bool {
        !self.env.graveyard.is_empty()
    }

    /// Keys that wait to be freed since [`Flush::Async`].
    pub fn free_pending(&self) -> u64 {
        self.env.graveyard.pending()
    }

    /// Keys that were freed in slices since [`Flush::Async`].
    pub fn lazily_freed(&self) -> u64 {
        self.env.graveyard.freed()
    }

    /// Starts a snapshot of what all databases hold now. One that was under way is given up.
    pub fn begin_snapshot(&mut self) {
        self.end_snapshot();
        self.last_snapshot += 1;
        for (index, db) in (0..).zip(&mut self.dbs) {
            db.snapshot_index = index;
            db.table.begin_snapshot(self.last_snapshot);
        }
    }

    /// Hands over at least `count` keys of the snapshot with the number of their database, unless
    /// it ends before. Returns whether it has ended.
    ///
    /// What has changed since the snapshot began comes first, so that it need not be kept long;
    /// keys of one database may therefore come in several runs.
    pub fn snapshot_step(&mut self, count: usize, mut sink: impl FnMut(usize, &Entry)) -> bool {
        let mut left = count;
        while left > 0 {
            let all = || self.detached.iter().chain(&self.dbs);
            let waits = all().position(|db| db.table.snapshot_pending() > 0);
            let Some(next) = waits.or_else(|| all().position(|db| db.table.in_snapshot())) else {
                return true;
            };
            let detached = self.detached.len();
            let db = match self.detached.get_mut(next) {
                Some(db) => db,
                None => &mut self.dbs[next - detached],
            };
            let index = db.snapshot_index;
            let ended = db.table.snapshot_step(left.min(SNAPSHOT_RUN), |entry| {
                left = left.saturating_sub(1);
                sink(index, entry);
            });
            // An empty stretch is work as well.
            left = left.saturating_sub(1);
            if ended && next < detached {
                let db = self.detached.remove(next);
                self.env.graveyard.bury(db.table, db.expires, Flush::Sync);
            }
        }
        false
    }

    /// How many keys wait to be handed over because they have changed since the snapshot began.
    pub fn snapshot_pending(&self) -> usize {
        self.detached.iter().chain(&self.dbs).map(|db| db.table.snapshot_pending()).sum()
    }

    /// Gives up the snapshot that is under way.
    pub fn end_snapshot(&mut self) {
        self.dbs.iter_mut().for_each(|db| db.table.end_snapshot());
        for db in self.detached.drain(..) {
            self.env.graveyard.bury(db.table, db.expires, Flush::Sync);
        }
    }

    #[inline]
    fn make(&mut self, index: usize) {
        if self.dbs.len() <= index {
            self.dbs.resize_with(index + 1, || Db::new(self.env.seed));
        }
    }
}

/// Keys after which a snapshot looks again whether something that has changed waits.
const SNAPSHOT_RUN: usize = 64;
