//! The command table of predixy. Commands that are not in it are refused.

use crate::sorted::SortedMap;

/// A row of the command table.
#[derive(Clone, Debug)]
pub struct Command {
    /// Its name, in lower case.
    pub name: String,
    /// The minimum and maximum number of arguments, including the name.
    pub args: (u32, u32),
    /// The required permission, and the positions of the keys.
    pub mode: Mode,
    /// Its special treatment.
    pub special: Special,
}

/// The permission that a command requires, and the positions of its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mode {
    /// The required permission.
    pub access: Access,
    /// The positions of its keys.
    pub keys: Keys,
}

/// The permission that a command requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// It reads.
    Read,
    /// It writes.
    Write,
    /// It administers the proxy.
    Admin,
}

/// The positions of a command's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keys {
    /// No keys.
    None,
    /// At this index only.
    At(usize),
    /// At indices 1 and 2.
    Two,
    /// From this index to the end.
    From(usize),
    /// From index 1 to the last but one.
    ButLast,
    /// At index 1, and after index 2, which has their number.
    Store,
    /// After index 2, which has their number.
    Eval,
}

/// The special treatment of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    /// None: it is sent to the server of its key.
    No,
    /// Split by key; the values are joined in order.
    Mget,
    /// Split by key, with values between the keys.
    Mset,
    /// The same, and the reply says whether all parts succeeded.
    Msetnx,
    /// Split by key; the replies are added up.
    Count,
    /// It may block for a long time.
    Blocking,
    /// PING.
    Ping,
    /// ECHO.
    Echo,
    /// AUTH.
    Auth,
    /// SELECT.
    Select,
    /// QUIT.
    Quit,
    /// COMMAND.
    Command,
    /// INFO.
    Info,
    /// CONFIG.
    Config,
    /// WATCH.
    Watch,
    /// UNWATCH.
    Unwatch,
    /// MULTI.
    Multi,
    /// EXEC and DISCARD.
    Exec,
    /// SCRIPT.
    Script,
    /// RANDOMKEY.
    Any,
    /// SCAN.
    Scan,
    /// SUBSCRIBE and PSUBSCRIBE.
    Subscribe,
    /// UNSUBSCRIBE and PUNSUBSCRIBE.
    Unsubscribe,
    /// PUBLISH and PUBSUB.
    Publish,
}

/// The command table, indexed by number and by name.
#[derive(Clone, Debug)]
pub struct Commands {
    all: Vec<Command>,
    by_name: SortedMap<String, u16>,
    /// The number of custom commands of the configuration file.
    custom: usize,
}

/// No maximum.
const MANY: u32 = u32::MAX;

/// The maximum length of a custom command's name.
const MAX_NAME: usize = 32;

/// The maximum number of custom commands.
const MAX_CUSTOM: usize = 64;

/// The commands in groups: treatment, permission, key positions, minimum and maximum number of
/// arguments, and the names.
#[rustfmt::skip]
const TABLE: &[(Special, Access, Keys, u32, u32, &str)] = {
    use Access::{Admin, Read, Write};
    use Keys::{At, ButLast, Eval, From, None, Store, Two};
    use Special::*;
    const K: Keys = At(1);
    &[
        (Ping, Read, None, 1, 2, "ping"),
        (Echo, Read, None, 2, 2, "echo"),
        (Auth, Read, None, 2, 2, "auth"),
        (Select, Read, None, 2, 2, "select"),
        (Quit, Read, None, 1, MANY, "quit"),
        (Command, Read, None, 1, 1, "command"),
        (Info, Read, None, 1, 4, "info"),
        (Config, Admin, None, 2, 4, "config"),
        (Watch, Write, From(1), 2, MANY, "watch"),
        (Unwatch, Write, None, 1, 1, "unwatch"),
        (Multi, Write, None, 1, 1, "multi"),
        (Exec, Write, None, 1, 1, "exec discard"),
        (Script, Write, None, 2, MANY, "script"),
        (Count, Read, From(1), 2, MANY, "exists"),
        (Count, Write, From(1), 2, MANY, "del touch unlink"),
        (Any, Read, None, 1, 1, "randomkey"),
        (Scan, Read, None, 2, 6, "scan"),
        (Mget, Read, From(1), 2, MANY, "mget"),
        (Mset, Write, From(1), 3, MANY, "mset"),
        (Msetnx, Write, From(1), 3, MANY, "msetnx"),
        (Blocking, Write, Two, 4, 4, "brpoplpush"),
        (Blocking, Write, ButLast, 3, MANY, "blpop brpop"),
        (Subscribe, Write, None, 2, MANY, "psubscribe subscribe"),
        (Publish, Read, None, 2, MANY, "pubsub"),
        (Publish, Write, None, 3, 3, "publish"),
        (Unsubscribe, Write, None, 1, MANY, "punsubscribe unsubscribe"),
        (No, Read, K, 2, 2,
            "dump pttl ttl type get strlen hgetall hkeys hlen hvals llen scard smembers zcard"),
        (No, Read, K, 2, 3, "srandmember"),
        (No, Read, K, 2, 4, "bitcount"),
        (No, Read, K, 3, 3, "getbit hexists hget hstrlen lindex sismember zrank zrevrank zscore"),
        (No, Read, K, 3, 5, "bitpos"),
        (No, Read, K, 3, 7, "hscan sscan zscan"),
        (No, Read, K, 3, MANY, "hmget geohash geopos"),
        (No, Read, K, 4, 4, "getrange lrange zcount zlexcount"),
        (No, Read, K, 4, 5, "zrange zrevrange geodist"),
        (No, Read, K, 4, 7, "zrangebylex zrevrangebylex"),
        (No, Read, K, 4, 8, "zrangebyscore zrevrangebyscore"),
        (No, Read, From(1), 2, MANY, "sdiff sinter sunion pfcount"),
        (No, Write, K, 2, 2, "persist decr incr lpop rpop"),
        (No, Write, K, 2, 3, "spop zpopmax zpopmin"),
        (No, Write, K, 2, MANY, "sort bitfield"),
        (No, Write, K, 3, 3,
            "expire expireat move pexpire pexpireat append decrby getset incrby incrbyfloat setnx \
             lpushx rpushx"),
        (No, Write, K, 3, 8, "set"),
        (No, Write, K, 3, MANY, "hdel lpush rpush sadd srem zrem pfadd"),
        (No, Write, K, 4, 4,
            "psetex setbit setex setrange hincrby hincrbyfloat hsetnx lrem lset ltrim zincrby \
             zremrangebylex zremrangebyrank zremrangebyscore"),
        (No, Write, K, 4, 5, "restore"),
        (No, Write, K, 4, MANY, "hmset hset zadd"),
        (No, Write, K, 5, 5, "linsert"),
        (No, Write, K, 5, 15, "georadiusbymember"),
        (No, Write, K, 5, MANY, "geoadd"),
        (No, Write, K, 6, 16, "georadius"),
        (No, Write, Two, 3, 3, "rename renamenx rpoplpush"),
        (No, Write, Two, 4, 4, "smove"),
        (No, Write, From(1), 3, MANY, "sdiffstore sinterstore sunionstore pfmerge"),
        (No, Write, From(2), 4, MANY, "bitop"),
        (No, Write, Store, 4, MANY, "zinterstore zunionstore"),
        (No, Write, Eval, 3, MANY, "eval evalsha"),
    ]
};

impl Default for Commands {
    fn default() -> Self {
        let mut commands = Commands { all: Vec::new(), by_name: SortedMap::new(), custom: 0 };
        for &(special, access, keys, min, max, names) in TABLE {
            for name in names.split(' ') {
                commands.push(Command {
                    name: name.to_owned(),
                    args: (min, max),
                    mode: Mode { access, keys },
                    special,
                });
            }
        }
        commands
    }
}

impl Commands {
    /// The number of commands.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are no commands.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The command with this number.
    pub fn get(&self, id: u16) -> Option<&Command> {
        self.all.get(usize::from(id))
    }

    /// The number of the command with this name, ignoring case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        let mut lower = [0; MAX_NAME];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let lower = core::str::from_utf8(lower).ok()?;
        self.by_name.get(lower).copied()
    }

    /// Adds a custom command of the configuration file.
    pub(super) fn add(&mut self, name: &str, min: u32, max: u32, mode: Mode) -> Result<(), String> {
        let name = name.to_ascii_lowercase();
        if self.custom >= MAX_CUSTOM {
            return Err(format!("too many custom commands(>{MAX_CUSTOM})"));
        }
        if self.by_name.contains_key(name.as_str()) {
            return Err(format!("custom command {name} is duplicated"));
        }
        if name.len() > MAX_NAME {
            return Err(format!("custom command {name} has a name longer than {MAX_NAME} bytes"));
        }
        self.custom += 1;
        self.push(Command { name, args: (min, max), mode, special: Special::No });
        Ok(())
    }

    fn push(&mut self, command: Command) {
        self.by_name.insert(command.name.clone(), self.all.len() as u16);
        self.all.push(command);
    }
}

impl Mode {
    /// Parses the mode of a custom command: `read`, `write` or `admin`, and `keyAt2` or `keyAt3`.
    pub(super) fn custom(text: &str) -> Result<Mode, String> {
        let (mut access, mut keys) = (None, None);
        let twice = |what: &str| format!("Mode require exclusive {what}");
        for word in text.split('|').filter(|word| !word.is_empty()) {
            let place = match word.to_ascii_lowercase().as_str() {
                "read" => Err(Access::Read),
                "write" => Err(Access::Write),
                "admin" => Err(Access::Admin),
                "keyat2" => Ok(Keys::At(2)),
                "keyat3" => Ok(Keys::At(3)),
                _ => return Err(format!("unknown mode {word}")),
            };
            match place {
                Ok(at) if keys.replace(at).is_some() => return Err(twice("key pos")),
                Err(what) if access.replace(what).is_some() => return Err(twice("mode")),
                _ => {}
            }
        }
        Ok(Mode { access: access.unwrap_or(Access::Write), keys: keys.unwrap_or(Keys::At(1)) })
    }
}
