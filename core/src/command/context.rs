//! The context of a command: what a handler is called with.

use super::{Class, CommandError, Effects, Rest};
use crate::resp::reply::Reply;
use crate::resp::request::{Args, OwnedArgs};
use crate::rng::Rng;
use crate::store::value::Limits;
use crate::store::{Keyspace, Type};
use crate::time::{Duration, Now};

/// A handler of a command on data. It either writes one reply and returns `Ok`, or writes nothing,
/// changes nothing and returns the error.
pub type Handler = fn(&mut Ctx<'_>) -> Result<(), CommandError>;

/// The context of one call of a command: everything that the handler may see and change.
pub struct Ctx<'a> {
    /// When the command runs.
    pub now: Now<'a>,
    /// All databases.
    pub keyspace: &'a mut Keyspace,
    /// The database that the caller selected. Always below the number of databases.
    pub db: usize,
    /// The command's name and its arguments; their number agrees with the arity.
    pub args: Args<'a>,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// Records the changes.
    pub effects: &'a mut Effects,
    /// The server's randomness.
    pub rng: &'a mut Rng,
    /// The configuration that concerns data.
    pub config: &'a DataConfig,
    /// The calling client.
    pub caller: Caller,
    /// Set by a handler that has written no reply, because its client is to block on keys.
    pub wait: Option<Wait>,
    /// Set by a handler that has written the beginning of a long reply: the rest of it.
    pub rest: Option<Rest>,
    /// A message for the log at level `verbose`.
    pub remark: Option<String>,
}

impl<'a> Ctx<'a> {
    /// The argument at `index`; 0 is the command's name.
    #[inline]
    pub fn arg(&self, index: usize) -> &'a [u8] {
        self.args.at(index)
    }

    /// The argument at `index` as an integer.
    pub fn integer(&self, index: usize) -> Result<i64, CommandError> {
        crate::resp::number::parse_i64(self.args.at(index)).ok_or(CommandError::NotAnInteger)
    }

    /// Milliseconds since 1970, the unit of expiry times.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.now.wall.as_millis()
    }

    /// Reports that `key` is new in the selected database, if it is.
    #[inline]
    pub fn stored(&mut self, key: &[u8], new: bool) {
        if new {
            self.effects.event(self.db, Class::New, "new", key);
        }
    }

    /// Reports a change to `key` in the selected database: it counts as dirty, touches watched
    /// keys, and is published as a keyspace event if events of `class` are enabled.
    #[inline]
    pub fn changed(&mut self, class: Class, event: &'static str, key: &[u8]) {
        self.effects.dirty += 1;
        // Usually no client watches keys or listens to events.
        if self.effects.consumers().follow_keys() {
            self.report_change(class, event, key);
        }
    }

    pub(super) fn report_change(&mut self, class: Class, event: &'static str, key: &[u8]) {
        self.effects.touched(self.db, key);
        self.effects.event(self.db, class, event, key);
    }
}

/// What a client blocks on. When a key becomes ready (see [`Effects::ready`]) the command is
/// executed again.
#[derive(Clone, Debug)]
pub struct Wait {
    /// The keys, in the order of the arguments.
    pub keys: Vec<Box<[u8]>>,
    /// The timeout; `None` for ever.
    pub timeout: Option<Duration>,
    /// The reply after the timeout.
    pub empty: EmptyReply,
    /// The type that unblocks the client.
    pub kind: Type,
    /// The command to execute again, if it differs from the original: relative arguments (`$` of
    /// XREAD) are resolved.
    pub args: Option<OwnedArgs>,
    /// Whether the command is executed again, too, when a key is deleted or changes its type.
    pub unblock_on_nokey: bool,
}

/// The reply of a blocked command whose timeout has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyReply {
    /// A null.
    Null,
    /// A null array.
    NullArray,
}

/// The properties of the calling client that handlers depend on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// The client's id; 0 for the server itself.
    pub client: u64,
    /// Whether reads leave access times alone (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// Whether the call comes from the primary of this replica, which alone may write, and for
    /// which no key counts as expired.
    pub from_primary: bool,
    /// Whether the ACL lets it read all keys, also those that the command does not name.
    pub reads_all_keys: bool,
    /// Whether the call must not block (inside MULTI or a script).
    pub deny_blocking: bool,
    /// Whether the call comes from a script.
    pub in_script: bool,
}

/// The configuration that commands on data and the keyspace depend on. Each field is named after
/// its directive.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The directives are described where they are declared.
pub struct DataConfig {
    pub databases: usize,
    pub proto_max_bulk_len: u64,
    pub hash_max_listpack_entries: u64,
    pub hash_max_listpack_value: u64,
    pub list_max_listpack_size: i64,
    pub list_compress_depth: u64,
    pub set_max_intset_entries: u64,
    pub set_max_listpack_entries: u64,
    pub set_max_listpack_value: u64,
    pub zset_max_listpack_entries: u64,
    pub zset_max_listpack_value: u64,
    pub hll_sparse_max_bytes: u64,
    pub stream_node_max_bytes: u64,
    pub stream_node_max_entries: u64,
    pub maxmemory_policy: MaxmemoryPolicy,
    pub lfu_log_factor: u64,
    pub lfu_decay_time: u64,
    pub lazyfree_lazy_eviction: bool,
    pub lazyfree_lazy_expire: bool,
    pub lazyfree_lazy_server_del: bool,
    pub lazyfree_lazy_user_del: bool,
    pub lazyfree_lazy_user_flush: bool,
    pub rdb_compression: bool,
    /// Not a directive: `DEBUG SET-SKIP-CHECKSUM-VALIDATION` sets it.
    pub skip_checksum_validation: bool,
}

impl DataConfig {
    /// The thresholds of the compact encodings. `seed` makes the order of hash tables
    /// unpredictable.
    pub fn limits(&self, seed: u64) -> Limits {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Limits {
            list_max_listpack_size: self.list_max_listpack_size.clamp(-5, 1 << 24) as i32,
            hash_max_listpack_entries: size(self.hash_max_listpack_entries),
            hash_max_listpack_value: size(self.hash_max_listpack_value),
            set_max_intset_entries: size(self.set_max_intset_entries),
            set_max_listpack_entries: size(self.set_max_listpack_entries),
            set_max_listpack_value: size(self.set_max_listpack_value),
            zset_max_listpack_entries: size(self.zset_max_listpack_entries),
            zset_max_listpack_value: size(self.zset_max_listpack_value),
            seed,
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            databases: 16,
            proto_max_bulk_len: 512 << 20,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            list_max_listpack_size: -2,
            list_compress_depth: 0,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            hll_sparse_max_bytes: 3000,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            maxmemory_policy: MaxmemoryPolicy::NoEviction,
            lfu_log_factor: 10,
            lfu_decay_time: 1,
            lazyfree_lazy_eviction: false,
            lazyfree_lazy_expire: false,
            lazyfree_lazy_server_del: false,
            lazyfree_lazy_user_del: false,
            lazyfree_lazy_user_flush: false,
            rdb_compression: true,
            skip_checksum_validation: false,
        }
    }
}

/// The eviction policy: which keys are evicted when memory is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MaxmemoryPolicy {
    /// No eviction: writes are refused.
    #[default]
    NoEviction,
    /// Keys with an expiry time, least recently used first.
    VolatileLru,
    /// Keys with an expiry time, least frequently used first.
    VolatileLfu,
    /// Keys with an expiry time, at random.
    VolatileRandom,
    /// Keys with an expiry time, the next to expire first.
    VolatileTtl,
    /// All keys, least recently used first.
    AllkeysLru,
    /// All keys, least frequently used first.
    AllkeysLfu,
    /// All keys, at random.
    AllkeysRandom,
}

impl MaxmemoryPolicy {
    /// The values of `maxmemory-policy`, in the order in which Redis lists them.
    pub const WORDS: [(&'static str, Self); 8] = [
        ("volatile-lru", Self::VolatileLru),
        ("volatile-lfu", Self::VolatileLfu),
        ("volatile-random", Self::VolatileRandom),
        ("volatile-ttl", Self::VolatileTtl),
        ("allkeys-lru", Self::AllkeysLru),
        ("allkeys-lfu", Self::AllkeysLfu),
        ("allkeys-random", Self::AllkeysRandom),
        ("noeviction", Self::NoEviction),
    ];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        Self::WORDS.iter().find(|(_, policy)| *policy == self).map_or("", |(name, _)| name)
    }

    /// Whether keys count how often they are used, instead of when they were used last.
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::VolatileLfu | Self::AllkeysLfu)
    }

    /// Whether keys record when they were used last.
    pub fn is_lru(self) -> bool {
        matches!(self, Self::VolatileLru | Self::AllkeysLru)
    }
}
