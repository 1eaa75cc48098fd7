//! The command table: the metadata of commands. COMMAND, cluster routing, the proxies, the
//! terminal's hints and the documentation are all derived from it.

/// One row of the table: a command and its handler.
#[derive(Debug)]
pub struct Row<H: 'static> {
    /// Its metadata.
    pub meta: Meta,
    /// The function that executes it. For a container, the call without a subcommand.
    pub handler: H,
    /// Its subcommands.
    pub subcommands: &'static [Row<H>],
}

/// The metadata of a command.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// Its name in lower case; for a subcommand without the container's name.
    pub name: &'static str,
    /// The number of arguments including the name(s); negative for a minimum.
    pub arity: i16,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Bits of [`acl`], besides those that follow from the flags.
    pub acl: u32,
    /// Its key specifications.
    pub keys: &'static [KeySpec],
    /// The group of the Redis documentation.
    pub group: Group,
    /// The version of Redis that introduced it.
    pub since: &'static str,
    /// Its time complexity.
    pub complexity: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Its arguments in the notation of [`super::syntax`].
    pub syntax: &'static str,
    /// Hints for clients and proxies.
    pub tips: &'static [&'static str],
    /// What changed in which version.
    pub history: &'static [(&'static str, &'static str)],
    /// The version that deprecated it, and its replacement.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Whether it is a system command, for servers and their developers rather than for clients.
    pub system: bool,
    /// Bits of [`special`].
    pub special: u32,
    /// The error of a node of a cluster, if it always refuses the command.
    pub not_in_cluster: Option<&'static str>,
}

impl<H: Copy> Row<H> {
    /// A command of `group` with its handler, its name in lower case, and its arity.
    pub const fn new(group: Group, name: &'static str, arity: i16, handler: H) -> Self {
        let meta = Meta {
            name,
            arity,
            flags: 0,
            acl: 0,
            keys: &[],
            group,
            since: "1.0.0",
            complexity: "O(1)",
            summary: "",
            syntax: "",
            tips: &[],
            history: &[],
            deprecated: None,
            system: false,
            special: 0,
            not_in_cluster: None,
        };
        Self { meta, handler, subcommands: &[] }
    }

    /// With these bits of [`flag`].
    pub const fn flags(mut self, flags: u32) -> Self {
        self.meta.flags = flags;
        self
    }

    /// With these bits of [`acl`], besides those which follow from the flags.
    pub const fn acl(mut self, categories: u32) -> Self {
        self.meta.acl = categories;
        self
    }

    /// With these key specifications.
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Self {
        self.meta.keys = keys;
        self
    }

    /// With the version of Redis that introduced it.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.meta.since = version;
        self
    }

    /// With its time complexity; O(1) if not given.
    pub const fn complexity(mut self, complexity: &'static str) -> Self {
        self.meta.complexity = complexity;
        self
    }

    /// With its summary.
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.meta.summary = summary;
        self
    }

    /// With its arguments in the notation of [`super::syntax`].
    pub const fn syntax(mut self, syntax: &'static str) -> Self {
        self.meta.syntax = syntax;
        self
    }

    /// With hints for clients and proxies.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.meta.tips = tips;
        self
    }

    /// With what changed in which version.
    pub const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Self {
        self.meta.history = history;
        self
    }

    /// Deprecated since a version, in favour of something.
    pub const fn deprecated(mut self, since: &'static str, by: &'static str) -> Self {
        self.meta.deprecated = Some((since, by));
        self
    }

    /// A system command, for servers and their developers rather than for clients.
    pub const fn system(mut self) -> Self {
        self.meta.system = true;
        self
    }

    /// With these bits of [`special`].
    pub const fn special(mut self, special: u32) -> Self {
        self.meta.special = special;
        self
    }

    /// Refused by a node of a cluster, with this error.
    pub const fn not_in_cluster(mut self, error: &'static str) -> Self {
        self.meta.not_in_cluster = Some(error);
        self
    }

    /// With subcommands.
    pub const fn subcommands(mut self, rows: &'static [Row<H>]) -> Self {
        self.subcommands = rows;
        self
    }
}

impl Meta {
    /// Whether `count` arguments, including the name(s), fit the arity.
    #[inline]
    pub fn takes(&self, count: usize) -> bool {
        let least = usize::from(self.arity.unsigned_abs());
        if self.arity >= 0 { count == least } else { count >= least }
    }

    /// Whether all of these bits of [`flag`] are set.
    #[inline]
    pub fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Whether any of these bits of [`special`] is set.
    #[inline]
    pub fn is(&self, special: u32) -> bool {
        self.special & special != 0
    }

    /// All ACL categories: those given, and those that follow from the flags as in Redis.
    pub fn categories(&self) -> u32 {
        let mut all = self.acl;
        let implied = [
            (flag::WRITE, acl::WRITE),
            (flag::ADMIN, acl::ADMIN | acl::DANGEROUS),
            (flag::PUBSUB, acl::PUBSUB),
            (flag::FAST, acl::FAST),
            (flag::BLOCKING, acl::BLOCKING),
        ];
        for (flag, categories) in implied {
            if self.has(flag) {
                all |= categories;
            }
        }
        // Scripts are not in @read although they are flagged so, since they may do anything.
        if self.has(flag::READONLY) && all & acl::SCRIPTING == 0 {
            all |= acl::READ;
        }
        if !self.has(flag::FAST) {
            all |= acl::SLOW;
        }
        all
    }
}

/// Properties of single commands that the dispatch needs. COMMAND does not report them.
pub mod special {
    /// EXEC: it is checked as all the commands that it executes, and ends the transaction even if
    /// it is refused.
    pub const EXEC: u32 = 1;
    /// MULTI.
    pub const MULTI: u32 = 1 << 1;
    /// It is executed immediately inside a transaction.
    pub const NOT_QUEUED: u32 = 1 << 2;
    /// It discards a transaction, so it is allowed when memory is full.
    pub const DROPS_QUEUE: u32 = 1 << 3;
    /// It is allowed to a subscribed client in version 2 of the protocol.
    pub const WHILE_SUBSCRIBED: u32 = 1 << 4;
    /// It works on channels that belong to slots.
    pub const SHARD_CHANNELS: u32 = 1 << 5;
    /// It reports that writes are refused, although it writes nothing (PING).
    pub const TELLS_DISK_ERROR: u32 = 1 << 6;
    /// It changes nothing, but may find expired keys, whose deletions need no common transaction.
    pub const ONLY_EXPIRES: u32 = 1 << 7;
    /// MIGRATE: its keys may be migrating.
    pub const MIGRATE: u32 = 1 << 8;
    /// Callable only where `enable-debug-command` allows it.
    pub const DEBUG: u32 = 1 << 9;
    /// SORT: its option STORE, which names a key, may stand anywhere.
    pub const SORT: u32 = 1 << 10;
}

/// A key specification: where keys are among the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// How the first key is found.
    pub begin: Begin,
    /// How the other keys are found.
    pub find: Find,
    /// Bits of [`key`].
    pub flags: u32,
    /// A note.
    pub notes: &'static str,
}

/// How the first key is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At this position; the command's name is position 0.
    Index(i32),
    /// After this keyword, searched from this position on; a negative position counts from the end
    /// and searches backwards.
    Keyword(&'static str, i32),
    /// Not derivable from the arguments.
    Unknown,
}

/// How the other keys are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// From the first to `last`, which counts from the first, or from the end if negative; every
    /// `step`th; and if `limit` is above 1, only the first 1/`limit` of what is left.
    Range {
        /// The last key.
        last: i32,
        /// The distance.
        step: i32,
        /// The divisor.
        limit: i32,
    },
    /// An argument gives the number of keys.
    Keynum {
        /// The position of that argument, counted from the beginning.
        at: i32,
        /// The position of the first key, counted from the beginning.
        first: i32,
        /// The distance.
        step: i32,
    },
    /// Not derivable.
    Unknown,
}

impl KeySpec {
    /// One key at `index`.
    pub const fn one(index: i32, flags: u32) -> Self {
        Self::range(index, 0, 1, flags)
    }

    /// Keys from `index` to `last` (counted from `index`, or from the end if negative), every
    /// `step`th.
    pub const fn range(index: i32, last: i32, step: i32, flags: u32) -> Self {
        Self {
            begin: Begin::Index(index),
            find: Find::Range { last, step, limit: 0 },
            flags,
            notes: "",
        }
    }

    /// As many keys as the argument at `index` says, directly after it.
    pub const fn counted(index: i32, flags: u32) -> Self {
        let find = Find::Keynum { at: 0, first: 1, step: 1 };
        Self { begin: Begin::Index(index), find, flags, notes: "" }
    }

    /// One key after the keyword `word`, searched from `from` on.
    pub const fn behind(word: &'static str, from: i32, flags: u32) -> Self {
        let find = Find::Range { last: 0, step: 1, limit: 0 };
        Self { begin: Begin::Keyword(word, from), find, flags, notes: "" }
    }

    /// Keys that cannot be derived from the arguments.
    pub const fn unknown(flags: u32) -> Self {
        Self { begin: Begin::Unknown, find: Find::Unknown, flags, notes: "" }
    }

    /// With a note.
    pub const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = notes;
        self
    }
}

/// The groups of the Redis documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Pubsub,
    Transactions,
    Connection,
    Server,
    Scripting,
    Hyperloglog,
    Cluster,
    Sentinel,
    Geo,
    Stream,
    Bitmap,
}

impl Group {
    /// The name that COMMAND DOCS reports.
    pub fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::Hyperloglog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Sentinel => "sentinel",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
        }
    }
}

/// Declares bit flags and their names, in the order in which Redis lists them.
macro_rules! bits {
    ($(#[$doc:meta])* $module:ident: $($name:ident = $bit:expr, $text:literal;)*) => {
        $(#[$doc])*
        #[allow(missing_docs)]
        pub mod $module {
            $(pub const $name: u32 = 1 << $bit;)*
            /// Each bit with its name, in the order in which they are listed.
            pub const NAMES: &[(u32, &str)] = &[$(($name, $text),)*];

            /// The names of the bits that are set.
            pub fn names(bits: u32) -> impl Iterator<Item = &'static str> + Clone {
                NAMES.iter().filter(move |(bit, _)| bits & bit != 0).map(|(_, name)| *name)
            }
        }
    };
}

bits! {
    /// What a command does and where it is allowed; the names are those that COMMAND gives.
    flag:
    WRITE = 0, "write";
    READONLY = 1, "readonly";
    DENYOOM = 2, "denyoom";
    MODULE = 3, "module";
    ADMIN = 4, "admin";
    PUBSUB = 5, "pubsub";
    NOSCRIPT = 6, "noscript";
    BLOCKING = 7, "blocking";
    LOADING = 8, "loading";
    STALE = 9, "stale";
    SKIP_MONITOR = 10, "skip_monitor";
    SKIP_SLOWLOG = 11, "skip_slowlog";
    ASKING = 12, "asking";
    FAST = 13, "fast";
    NO_AUTH = 14, "no_auth";
    MAY_REPLICATE = 15, "may_replicate";
    NO_MANDATORY_KEYS = 16, "no_mandatory_keys";
    NO_ASYNC_LOADING = 17, "no_async_loading";
    NO_MULTI = 18, "no_multi";
    ALLOW_BUSY = 19, "allow_busy";
    MOVABLEKEYS = 20, "movablekeys";
}

bits! {
    /// The ACL categories.
    acl:
    KEYSPACE = 0, "keyspace";
    READ = 1, "read";
    WRITE = 2, "write";
    SET = 3, "set";
    SORTEDSET = 4, "sortedset";
    LIST = 5, "list";
    HASH = 6, "hash";
    STRING = 7, "string";
    BITMAP = 8, "bitmap";
    HYPERLOGLOG = 9, "hyperloglog";
    GEO = 10, "geo";
    STREAM = 11, "stream";
    PUBSUB = 12, "pubsub";
    ADMIN = 13, "admin";
    FAST = 14, "fast";
    SLOW = 15, "slow";
    BLOCKING = 16, "blocking";
    DANGEROUS = 17, "dangerous";
    CONNECTION = 18, "connection";
    TRANSACTION = 19, "transaction";
    SCRIPTING = 20, "scripting";
}

bits! {
    /// What a command does with a key, and with the value behind it.
    key:
    RO = 0, "RO";
    RW = 1, "RW";
    OW = 2, "OW";
    RM = 3, "RM";
    ACCESS = 4, "access";
    UPDATE = 5, "update";
    INSERT = 6, "insert";
    DELETE = 7, "delete";
    NOT_KEY = 8, "not_key";
    INCOMPLETE = 9, "incomplete";
    VARIABLE_FLAGS = 10, "variable_flags";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arity_counts_the_name() {
        static GET: Row<()> = Row::new(Group::String, "get", 2, ());
        static MGET: Row<()> = Row::new(Group::String, "mget", -2, ());
        assert!(GET.meta.takes(2) && !GET.meta.takes(3) && !GET.meta.takes(1));
        assert!(MGET.meta.takes(2) && MGET.meta.takes(9) && !MGET.meta.takes(1));
    }

    #[test]
    fn categories_follow_from_flags() {
        static SET: Row<()> = Row::new(Group::String, "set", -3, ())
            .flags(flag::WRITE | flag::DENYOOM)
            .acl(acl::STRING);
        let names: Vec<_> = acl::names(SET.meta.categories()).collect();
        assert_eq!(names, ["write", "string", "slow"]);
    }
}
