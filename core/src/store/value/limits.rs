//! Up to where collections keep their compact form.

/// The directives that set the thresholds, with the defaults of Redis 7.2, and the seed of the
/// hash functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `list-max-listpack-size`: elements of a run if positive, a size class if negative.
    pub list_max_listpack_size: i32,
    /// `hash-max-listpack-entries`
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`, in bytes.
    pub hash_max_listpack_value: usize,
    /// `set-max-intset-entries`
    pub set_max_intset_entries: usize,
    /// `set-max-listpack-entries`
    pub set_max_listpack_entries: usize,
    /// `set-max-listpack-value`, in bytes.
    pub set_max_listpack_value: usize,
    /// `zset-max-listpack-entries`
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`, in bytes.
    pub zset_max_listpack_value: usize,
    /// Seed that makes the order of hash tables unpredictable for clients that choose the keys.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            list_max_listpack_size: -2,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            seed: 0,
        }
    }
}

impl Limits {
    /// Whether a run of a list may not become as large as this.
    pub(super) fn list_run_exceeds(&self, bytes: usize, elements: usize) -> bool {
        match self.list_run() {
            Run::Bytes(limit) => bytes > limit,
            Run::Elements(limit) => bytes > SAFE_RUN || elements > limit,
        }
    }

    /// Whether a lone run is small enough to be kept as a listpack again: half of the limit.
    pub(super) fn list_run_is_small(&self, bytes: usize, elements: usize) -> bool {
        match self.list_run() {
            Run::Bytes(limit) => bytes <= limit / 2,
            Run::Elements(limit) => elements <= limit / 2,
        }
    }

    fn list_run(&self) -> Run {
        match self.list_max_listpack_size {
            0 => Run::Elements(1),
            n @ 1.. => Run::Elements(n as usize),
            n => Run::Bytes(4096 << (n.unsigned_abs() - 1).min(4)),
        }
    }
}

/// Bytes that a run limited by its number of elements may take: Redis's `SIZE_SAFETY_LIMIT`.
const SAFE_RUN: usize = 8192;

enum Run {
    Bytes(usize),
    Elements(usize),
}
