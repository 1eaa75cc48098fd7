//! The commands that are compared, group by group, as Redis's documentation groups them.

use super::compare::Compare::{self, Exact, Near, Shape, Unordered};

/// Commands whose replies are compared in the same way.
type Rows = &'static [(Compare, &'static [&'static str])];

/// A group of commands, and how to look at a key that it may have written.
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: &'static str,
    /// The shapes of its commands.
    pub(crate) rows: Rows,
}

/// Commands that show the whole of a key; run for every key at the end of a sequence. For a key
/// of another type all but one answer WRONGTYPE, on both servers.
pub(crate) const READERS: &[(&str, Compare)] =
    &[("TYPE", Exact), ("PTTL", Near(60_000)), ("GET", Exact)];

pub(crate) const GROUPS: &[Group] = &[
    Group {
        name: "string",
        rows: &[(
            Exact,
            &[
                "SET key value [NX|XX] [GET] [EX secs|PX ms|EXAT at|PXAT atms|KEEPTTL]",
                "SET key value",
                "GET key",
                "GETSET key value",
                "GETDEL key",
                "GETEX key [EX secs|PX ms|EXAT at|PXAT atms|PERSIST]",
                "SETNX key value",
                "SETEX key secs value",
                "PSETEX key ms value",
                "MGET key+",
                "MSET (key value)+",
                "MSETNX (key value)+",
                "APPEND key value",
                "STRLEN key",
                "GETRANGE key index index",
                "SUBSTR key index index",
                "SETRANGE key offset value",
                "INCR key",
                "DECR key",
                "INCRBY key int",
                "DECRBY key int",
                "INCRBYFLOAT key float",
                "LCS key key [LEN] [IDX] [MINMATCHLEN count] [WITHMATCHLEN]",
            ],
        )],
    },
    Group {
        name: "generic",
        rows: &[
            (
                Exact,
                &[
                    "DEL key+",
                    "UNLINK key+",
                    "EXISTS key+",
                    "TYPE key",
                    "EXPIRE key secs [NX|XX|GT|LT] [NX|XX|GT|LT]",
                    "PEXPIRE key ms [NX|XX|GT|LT]",
                    "EXPIREAT key at [NX|XX|GT|LT]",
                    "PEXPIREAT key atms [NX|XX|GT|LT]",
                    "PERSIST key",
                    "RENAME key key",
                    "RENAMENX key key",
                    "COPY key key [DB db] [REPLACE]",
                    "MOVE key db",
                    "TOUCH key+",
                    "OBJECT ENCODING key",
                    "OBJECT REFCOUNT key",
                    "OBJECT FREQ key",
                    "OBJECT NOSUCH key",
                    "DBSIZE",
                    "FLUSHDB [SYNC|ASYNC|any]",
                    "FLUSHALL [SYNC|ASYNC|any]",
                    "SWAPDB db db",
                    "SCAN (=x|=1x)",
                ],
            ),
            (Unordered, &["KEYS glob", "SCAN 0 COUNT 1000 [MATCH glob] [TYPE type]"]),
            (Near(1), &["TTL key", "EXPIRETIME key", "OBJECT IDLETIME key"]),
            (Near(60_000), &["PTTL key", "PEXPIRETIME key"]),
            (Shape, &["MEMORY USAGE key [SAMPLES count]"]),
        ],
    },
    Group {
        name: "connection",
        rows: &[
            (
                Exact,
                &[
                    "PING [value]",
                    "ECHO value",
                    "SELECT db",
                    "AUTH password",
                    "AUTH name password",
                    "AUTH =default password",
                    "CLIENT SETNAME name",
                    "CLIENT GETNAME",
                    "CLIENT NO-EVICT (ON|OFF|any)",
                    "CLIENT KILL any",
                    "CLIENT KILL ID count",
                    "CLIENT UNPAUSE",
                    "CLIENT REPLY any",
                    "RESET",
                    "QUIT",
                ],
            ),
            (
                Shape,
                &[
                    "CLIENT ID",
                    "HELLO [version [SETNAME name] [AUTH =default password]]",
                    "HELLO version any",
                ],
            ),
        ],
    },
    Group {
        name: "server",
        rows: &[
            (
                Exact,
                &[
                    "CONFIG GET (=maxmemory|=maxclients|=timeout|=databases|=nosuch|=slowlog-log-slower-than)",
                    "CONFIG SET (=slowlog-max-len 64|=timeout 0|=nosuch value|=databases count)",
                    "CONFIG RESETSTAT",
                    "CONFIG NOSUCH [any]",
                    "CLIENT NOSUCH [any]",
                    "COMMAND GETKEYS (SET key value|MSET (key value)+|GET|command any|DEL key+)",
                    "COMMAND INFO (NOSUCH|=nosuch)",
                    "COMMAND NOSUCH [any]",
                    "DEBUG NOSUCH [any]",
                    "SLOWLOG (LEN any|any|GET X|GET -2)",
                    "NOSUCH any*",
                ],
            ),
            (Shape, &["TIME", "COMMAND COUNT", "RANDOMKEY", "LASTSAVE"]),
        ],
    },
];
