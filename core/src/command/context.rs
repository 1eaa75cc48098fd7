//! What a handler works with.

use super::{Class, CommandError, Effects, Rest};
use crate::resp::reply::Reply;
use crate::resp::request::{Args, OwnedArgs};
use crate::rng::Rng;
use crate::store::value::Limits;
use crate::store::{Keyspace, Type};
use crate::time::{Duration, Now};

/// A command on data. It either writes one reply and returns `Ok`, or writes nothing, changes
/// nothing and returns the error.
pub type Handler = fn(&mut Ctx<'_>) -> Result<(), CommandError>;

/// Everything that one call of a command may see and change.
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
    /// Where changes are told.
    pub effects: &'a mut Effects,
    /// The server's randomness.
    pub rng: &'a mut Rng,
    /// What the configuration says about data.
    pub config: &'a DataConfig,
    /// The calling client.
    pub caller: Caller,
    /// Set by a handler that has written no reply, because its caller shall wait for keys.
    pub wait: Option<Wait>,
    /// Set by a handler that has written the beginning of a long reply.
    pub rest: Option<Rest>,
    /// What the log shall tell at the level `verbose`.
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

    /// Tells that `key` is new in the selected database, if it is.
    #[inline]
    pub fn stored(&mut self, key: &[u8], new: bool) {
        if new {
            self.effects.event(self.db, Class::New, "new", key);
        }
    }

    /// Tells of a change to `key` in the selected database: it counts for persistence, wakes
    /// watchers, and is published as a keyspace event if events of `class` are enabled.
    #[inline]
    pub fn changed(&mut self, class: Class, event: &'static str, key: &[u8]) {
        self.effects.dirty += 1;
        // Mostly no client watches keys or listens to events.
        if self.effects.consumers().follow_keys() {
            self.tell_of_change(class, event, key);
        }
    }

    pub(super) fn tell_of_change(&mut self, class: Class, event: &'static str, key: &[u8]) {
        self.effects.touched(self.db, key);
        self.effects.event(self.db, class, event, key);
    }
}

/// What a caller waits for. When a key has become ready (see [`Effects::ready`]) its command is
/// carried out again.
#[derive(Clone, Debug)]
pub struct Wait {
    /// The keys, in the order of the arguments.
    pub keys: Vec<Box<[u8]>>,
    /// How long; `None` for ever.
    pub patience: Option<Duration>,
    /// What it gets when its patience ends.
    pub empty: EmptyReply,
    /// The type that a key must have to serve it.
    pub kind: Type,
    /// The command to carry out again, if it is another than the one that was given: what is
    /// relative to the moment (`$` of XREAD) has been resolved.
    pub args: Option<OwnedArgs>,
    /// Whether the command is carried out again, too, when a key is gone or of another type.
    pub or_gone: bool,
}

/// The reply of a command that has waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyReply {
    /// Nothing in place of a value.
    Null,
    /// Nothing in place of an array.
    NullArray,
}

/// What a handler may want to know of its caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// The client's id; 0 for the server itself.
    pub client: u64,
    /// Whether reading shall leave access times alone (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// Whether the call comes from the primary of this replica, which alone may write and to
    /// which no key has expired.
    pub from_primary: bool,
    /// Whether it may read every key there may be, named or not.
    pub reads_all_keys: bool,
    /// Whether the call must not block (inside MULTI or a script).
    pub deny_blocking: bool,
    /// Whether a script calls.
    pub in_script: bool,
}

/// The part of the configuration that commands on data and the keyspace look at. The names are
/// those of the directives.
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
    /// No directive: `DEBUG SET-SKIP-CHECKSUM-VALIDATION` sets it.
    pub skip_checksum_validation: bool,
}

impl DataConfig {
    /// The thresholds of the compact forms, for collections whose order is made unpredictable by
    /// `seed`.
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

/// What goes first when memory is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MaxmemoryPolicy {
    /// Nothing: writes are refused.
    #[default]
    NoEviction,
    /// Keys with an expiry time, least recently used first.
    VolatileLru,
    /// Keys with an expiry time, least frequently used first.
    VolatileLfu,
    /// Keys with an expiry time, any.
    VolatileRandom,
    /// Keys with an expiry time, the nearest first.
    VolatileTtl,
    /// Least recently used first.
    AllkeysLru,
    /// Least frequently used first.
    AllkeysLfu,
    /// Any.
    AllkeysRandom,
}

impl MaxmemoryPolicy {
    /// The words of `maxmemory-policy`, in the order in which Redis lists them.
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

    /// Whether objects count how often they are used, instead of when they were.
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::VolatileLfu | Self::AllkeysLfu)
    }

    /// Whether objects remember when they were used.
    pub fn is_lru(self) -> bool {
        matches!(self, Self::VolatileLru | Self::AllkeysLru)
    }
}
