//! Snapshots: the content of a table at one moment, produced incrementally while the table changes.
//!
//! A snapshot iterates over the table in hash order. Before an entry changes in a bucket that the
//! iteration has not reached, the whole bucket is copied to the queue of the snapshot and marked
//! with the snapshot's id, so that the iteration skips it. There is no fork, and only what changes
//! while the snapshot runs is copied (copy-on-write); of a large collection, only the parts that
//! change ([`Keyed::frozen`]).

use std::collections::VecDeque;

use super::table::{Keyed, Table};

/// The most bytes that a copy is counted with: a large one shares most of its memory with the
/// entry.
const MAX_COPY_BYTES: usize = 4096;

/// A snapshot in progress.
#[derive(Clone, Debug)]
pub(super) struct TableSnapshot<E> {
    /// Its id, larger than that of every snapshot before it.
    id: u64,
    /// The position in hash order that the iteration has reached; `None` at the end.
    position: Option<u64>,
    /// Copies of entries that have changed since.
    pending: VecDeque<E>,
    /// An upper estimate of the bytes that these hold (see [`Keyed::held`]).
    held: usize,
}

impl<E: Keyed> Table<E> {
    /// Starts a snapshot of the table's current content. A snapshot in progress is abandoned. `id`
    /// must be larger than that of every snapshot before.
    pub fn begin_snapshot(&mut self, id: u64) {
        let position = (self.buckets > 0).then_some(0);
        self.copied = 0;
        let pending = VecDeque::new();
        self.snapshot = Some(Box::new(TableSnapshot { id, position, pending, held: 0 }));
    }

    /// Whether a snapshot is in progress.
    pub fn in_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Abandons the snapshot in progress, and returns its copies.
    pub fn end_snapshot(&mut self) -> VecDeque<E> {
        self.snapshot.take().map(|snapshot| snapshot.pending).unwrap_or_default()
    }

    /// The number of entries that were copied because they changed before the iteration reached
    /// them.
    pub fn snapshot_pending(&self) -> usize {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.pending.len())
    }

    /// An upper estimate of the bytes that these copies hold: a collection shares most with its
    /// current version.
    pub fn snapshot_held_at_most(&self) -> usize {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.held)
    }

    /// An estimate of the bytes that only these copies hold. Visits each of them.
    pub fn snapshot_held(&self) -> usize {
        let pending = self.snapshot.iter().flat_map(|snapshot| &snapshot.pending);
        pending.map(|entry| entry.held(true)).sum()
    }

    /// Bytes of the entries that were copied for the last snapshot because they changed before the
    /// iteration reached them.
    pub fn snapshot_copied(&self) -> u64 {
        self.copied
    }

    /// Passes at least `count` entries of the snapshot to the sink, unless the snapshot ends
    /// before. Returns whether it has ended. `spent` gets the copies that are no longer needed.
    pub fn snapshot_step(
        &mut self,
        count: usize,
        mut sink: impl FnMut(&E),
        mut spent: impl FnMut(E),
    ) -> bool {
        let Some(mut snapshot) = self.snapshot.take() else { return true };
        let mut handed = 0;
        while handed < count {
            if let Some(entry) = snapshot.pending.pop_front() {
                snapshot.held = snapshot.held.saturating_sub(entry.held(false));
                if snapshot.pending.is_empty() {
                    snapshot.held = 0;
                }
                sink(&entry);
                spent(entry);
                handed += 1;
                continue;
            }
            let Some(position) = snapshot.position.filter(|_| self.buckets > 0) else {
                return true;
            };
            let interval = self.interval(position);
            let bucket = self.bucket(interval.bucket);
            if snapshot.wants(interval.start, bucket.version) {
                bucket.entries.iter().for_each(&mut sink);
                handed += bucket.entries.len();
            }
            // Empty buckets count too, so that a step is bounded whatever the table looks like.
            handed += 1;
            snapshot.position = interval.end;
        }
        if snapshot.position.is_none() && snapshot.pending.is_empty() {
            return true;
        }
        self.snapshot = Some(snapshot);
        false
    }

    /// Must be called before the entries of a bucket change.
    #[inline]
    pub(super) fn before_change(&mut self, bucket: usize) {
        if self.snapshot.is_some() {
            self.save_bucket(bucket);
        }
    }

    /// Must be called before two buckets are merged: either both or neither must have been
    /// processed.
    pub(super) fn before_merge(&mut self, into: usize, from: usize) {
        let Some(snapshot) = &self.snapshot else { return };
        let wanted = |bucket: usize| snapshot.wants_bucket(bucket, self.bucket(bucket).version);
        if !(wanted(into) && wanted(from)) {
            self.save_bucket(into);
            self.save_bucket(from);
            // A half that the iteration has passed carries no mark, but the merged bucket needs
            // one.
            if let Some(id) = self.snapshot.as_ref().map(|snapshot| snapshot.id) {
                self.bucket_mut(into).version = id;
            }
        }
    }

    #[cold]
    fn save_bucket(&mut self, index: usize) {
        let Some(mut snapshot) = self.snapshot.take() else { return };
        let bucket = self.bucket_mut(index);
        let mut copied = 0;
        if snapshot.wants_bucket(index, bucket.version) {
            snapshot.pending.extend(bucket.entries.iter().map(E::frozen));
            copied = bucket.entries.iter().map(|entry| entry.memory().min(MAX_COPY_BYTES)).sum();
            snapshot.held += bucket.entries.iter().map(|entry| entry.held(false)).sum::<usize>();
            bucket.version = snapshot.id;
        }
        self.copied += copied as u64;
        self.snapshot = Some(snapshot);
    }
}

impl<E> TableSnapshot<E> {
    fn wants_bucket(&self, index: usize, version: u64) -> bool {
        self.wants((index as u64).reverse_bits(), version)
    }

    /// Whether a bucket that starts at this position is still to be processed.
    fn wants(&self, start: u64, version: u64) -> bool {
        version < self.id && self.position.is_some_and(|position| start >= position)
    }
}
