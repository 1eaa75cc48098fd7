//! The thresholds of the compact encodings.

/// The configuration directives that set the thresholds, with the defaults of Redis 7.2, and the
/// hash seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `list-max-listpack-size`: elements per node if positive, a size class if negative.
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
    /// The hash seed, which makes the order of hash tables unpredictable for clients that choose
    /// the keys.
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
    /// Whether a list node of this size exceeds the limit.
    pub(super) fn list_node_exceeds(&self, bytes: usize, elements: usize) -> bool {
        match self.node_limit() {
            NodeLimit::Bytes(limit) => bytes > limit,
            NodeLimit::Elements(limit) => bytes > SAFE_NODE_BYTES || elements > limit,
        }
    }

    /// Whether a single remaining node is small enough to become a listpack again: half of the
    /// limit.
    pub(super) fn list_node_is_small(&self, bytes: usize, elements: usize) -> bool {
        match self.node_limit() {
            NodeLimit::Bytes(limit) => bytes <= limit / 2,
            NodeLimit::Elements(limit) => elements <= limit / 2,
        }
    }

    fn node_limit(&self) -> NodeLimit {
        match self.list_max_listpack_size {
            0 => NodeLimit::Elements(1),
            n @ 1.. => NodeLimit::Elements(n as usize),
            n => NodeLimit::Bytes(4096 << (n.unsigned_abs() - 1).min(4)),
        }
    }
}

/// The size limit in bytes of a node whose number of elements is limited: Redis's
/// `SIZE_SAFETY_LIMIT`.
const SAFE_NODE_BYTES: usize = 8192;

enum NodeLimit {
    Bytes(usize),
    Elements(usize),
}
