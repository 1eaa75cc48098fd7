//! The commands that predixy knows. Its table is its own: what it does not name is refused.

use crate::sorted::SortedMap;

/// A command.
#[derive(Clone, Debug)]
pub struct Command {
    /// Its name, in lower case.
    pub name: String,
    /// The fewest and the most arguments, the name included.
    pub args: (u32, u32),
    /// The permission that it needs, and the positions of its keys.
    pub mode: Mode,
    /// What is special about it.
    pub special: Special,
}

/// The permission that a command needs, and the positions of its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mode {
    /// What it does.
    pub access: Access,
    /// Where its keys are.
    pub keys: Keys,
}

/// What a command does to keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// It reads.
    Read,
    /// It writes.
    Write,
    /// It administers the proxy.
    Admin,
}

/// Where the keys of a command are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keys {
    /// There are none.
    None,
    /// At this index only.
    At(usize),
    /// At the first and the second.
    Two,
    /// From this index to the end.
    From(usize),
    /// From the first to the last but one.
    ButLast,
    /// The first, and as many as the second argument says behind it.
    Store,
    /// As many as the second argument says behind it.
    Eval,
}

/// What is special about a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    /// Nothing: it goes to the server of its key.
    No,
    /// Its keys may be on several servers: values come back in order.
    Mget,
    /// The same with values beside the keys.
    Mset,
    /// The same, and the answer tells if all went well.
    Msetnx,
    /// The same; answers are added up.
    Count,
    /// It may wait for a long time.
    Blocking,
    /// The others, by name.
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

/// All commands, by number and by name.
#[derive(Clone, Debug)]
pub struct Commands {
    all: Vec<Command>,
    by_name: SortedMap<String, u16>,
}

/// No limit.
const MANY: u32 = u32::MAX;

/// The longest name of a command.
const MAX_NAME: usize = 32;

/// How many commands a file may add.
const MAX_CUSTOM: usize = 64;

#[rustfmt::skip]
const TABLE: &[(&str, u32, u32, Access, Keys, Special)] = {
    use Access::{Admin, Read, Write};
    use Keys::{At, ButLast, Eval, From, None, Store, Two};
    use Special::*;
    const K: Keys = At(1);
    &[
        ("ping", 1, 2, Read, None, Ping),
        ("echo", 2, 2, Read, None, Echo),
        ("auth", 2, 2, Read, None, Auth),
        ("select", 2, 2, Read, None, Select),
        ("quit", 1, MANY, Read, None, Quit),
        ("command", 1, 1, Read, None, Command),
        ("info", 1, 4, Read, None, Info),
        ("config", 2, 4, Admin, None, Config),
        ("watch", 2, MANY, Write, From(1), Watch),
        ("unwatch", 1, 1, Write, None, Unwatch),
        ("multi", 1, 1, Write, None, Multi),
        ("exec", 1, 1, Write, None, Exec),
        ("discard", 1, 1, Write, None, Exec),
        ("eval", 3, MANY, Write, Eval, No),
        ("evalsha", 3, MANY, Write, Eval, No),
        ("script", 2, MANY, Write, None, Script),
        ("del", 2, MANY, Write, From(1), Count),
        ("dump", 2, 2, Read, K, No),
        ("exists", 2, MANY, Read, From(1), Count),
        ("expire", 3, 3, Write, K, No),
        ("expireat", 3, 3, Write, K, No),
        ("move", 3, 3, Write, K, No),
        ("persist", 2, 2, Write, K, No),
        ("pexpire", 3, 3, Write, K, No),
        ("pexpireat", 3, 3, Write, K, No),
        ("pttl", 2, 2, Read, K, No),
        ("randomkey", 1, 1, Read, None, Any),
        ("rename", 3, 3, Write, Two, No),
        ("renamenx", 3, 3, Write, Two, No),
        ("restore", 4, 5, Write, K, No),
        ("sort", 2, MANY, Write, K, No),
        ("touch", 2, MANY, Write, From(1), Count),
        ("ttl", 2, 2, Read, K, No),
        ("type", 2, 2, Read, K, No),
        ("unlink", 2, MANY, Write, From(1), Count),
        ("scan", 2, 6, Read, None, Scan),
        ("append", 3, 3, Write, K, No),
        ("bitcount", 2, 4, Read, K, No),
        ("bitfield", 2, MANY, Write, K, No),
        ("bitop", 4, MANY, Write, From(2), No),
        ("bitpos", 3, 5, Read, K, No),
        ("decr", 2, 2, Write, K, No),
        ("decrby", 3, 3, Write, K, No),
        ("get", 2, 2, Read, K, No),
        ("getbit", 3, 3, Read, K, No),
        ("getrange", 4, 4, Read, K, No),
        ("getset", 3, 3, Write, K, No),
        ("incr", 2, 2, Write, K, No),
        ("incrby", 3, 3, Write, K, No),
        ("incrbyfloat", 3, 3, Write, K, No),
        ("mget", 2, MANY, Read, From(1), Mget),
        ("mset", 3, MANY, Write, From(1), Mset),
        ("msetnx", 3, MANY, Write, From(1), Msetnx),
        ("psetex", 4, 4, Write, K, No),
        ("set", 3, 8, Write, K, No),
        ("setbit", 4, 4, Write, K, No),
        ("setex", 4, 4, Write, K, No),
        ("setnx", 3, 3, Write, K, No),
        ("setrange", 4, 4, Write, K, No),
        ("strlen", 2, 2, Read, K, No),
        ("hdel", 3, MANY, Write, K, No),
        ("hexists", 3, 3, Read, K, No),
        ("hget", 3, 3, Read, K, No),
        ("hgetall", 2, 2, Read, K, No),
        ("hincrby", 4, 4, Write, K, No),
        ("hincrbyfloat", 4, 4, Write, K, No),
        ("hkeys", 2, 2, Read, K, No),
        ("hlen", 2, 2, Read, K, No),
        ("hmget", 3, MANY, Read, K, No),
        ("hmset", 4, MANY, Write, K, No),
        ("hscan", 3, 7, Read, K, No),
        ("hset", 4, MANY, Write, K, No),
        ("hsetnx", 4, 4, Write, K, No),
        ("hstrlen", 3, 3, Read, K, No),
        ("hvals", 2, 2, Read, K, No),
        ("blpop", 3, MANY, Write, ButLast, Blocking),
        ("brpop", 3, MANY, Write, ButLast, Blocking),
        ("brpoplpush", 4, 4, Write, Two, Blocking),
        ("lindex", 3, 3, Read, K, No),
        ("linsert", 5, 5, Write, K, No),
        ("llen", 2, 2, Read, K, No),
        ("lpop", 2, 2, Write, K, No),
        ("lpush", 3, MANY, Write, K, No),
        ("lpushx", 3, 3, Write, K, No),
        ("lrange", 4, 4, Read, K, No),
        ("lrem", 4, 4, Write, K, No),
        ("lset", 4, 4, Write, K, No),
        ("ltrim", 4, 4, Write, K, No),
        ("rpop", 2, 2, Write, K, No),
        ("rpoplpush", 3, 3, Write, Two, No),
        ("rpush", 3, MANY, Write, K, No),
        ("rpushx", 3, 3, Write, K, No),
        ("sadd", 3, MANY, Write, K, No),
        ("scard", 2, 2, Read, K, No),
        ("sdiff", 2, MANY, Read, From(1), No),
        ("sdiffstore", 3, MANY, Write, From(1), No),
        ("sinter", 2, MANY, Read, From(1), No),
        ("sinterstore", 3, MANY, Write, From(1), No),
        ("sismember", 3, 3, Read, K, No),
        ("smembers", 2, 2, Read, K, No),
        ("smove", 4, 4, Write, Two, No),
        ("spop", 2, 3, Write, K, No),
        ("srandmember", 2, 3, Read, K, No),
        ("srem", 3, MANY, Write, K, No),
        ("sscan", 3, 7, Read, K, No),
        ("sunion", 2, MANY, Read, From(1), No),
        ("sunionstore", 3, MANY, Write, From(1), No),
        ("zadd", 4, MANY, Write, K, No),
        ("zcard", 2, 2, Read, K, No),
        ("zcount", 4, 4, Read, K, No),
        ("zincrby", 4, 4, Write, K, No),
        ("zinterstore", 4, MANY, Write, Store, No),
        ("zlexcount", 4, 4, Read, K, No),
        ("zpopmax", 2, 3, Write, K, No),
        ("zpopmin", 2, 3, Write, K, No),
        ("zrange", 4, 5, Read, K, No),
        ("zrangebylex", 4, 7, Read, K, No),
        ("zrangebyscore", 4, 8, Read, K, No),
        ("zrank", 3, 3, Read, K, No),
        ("zrem", 3, MANY, Write, K, No),
        ("zremrangebylex", 4, 4, Write, K, No),
        ("zremrangebyrank", 4, 4, Write, K, No),
        ("zremrangebyscore", 4, 4, Write, K, No),
        ("zrevrange", 4, 5, Read, K, No),
        ("zrevrangebylex", 4, 7, Read, K, No),
        ("zrevrangebyscore", 4, 8, Read, K, No),
        ("zrevrank", 3, 3, Read, K, No),
        ("zscan", 3, 7, Read, K, No),
        ("zscore", 3, 3, Read, K, No),
        ("zunionstore", 4, MANY, Write, Store, No),
        ("pfadd", 3, MANY, Write, K, No),
        ("pfcount", 2, MANY, Read, From(1), No),
        ("pfmerge", 3, MANY, Write, From(1), No),
        ("geoadd", 5, MANY, Write, K, No),
        ("geodist", 4, 5, Read, K, No),
        ("geohash", 3, MANY, Read, K, No),
        ("geopos", 3, MANY, Read, K, No),
        ("georadius", 6, 16, Write, K, No),
        ("georadiusbymember", 5, 15, Write, K, No),
        ("psubscribe", 2, MANY, Write, None, Subscribe),
        ("publish", 3, 3, Write, None, Publish),
        ("pubsub", 2, MANY, Read, None, Publish),
        ("punsubscribe", 1, MANY, Write, None, Unsubscribe),
        ("subscribe", 2, MANY, Write, None, Subscribe),
        ("unsubscribe", 1, MANY, Write, None, Unsubscribe),
    ]
};

impl Default for Commands {
    fn default() -> Self {
        let mut commands = Commands { all: Vec::new(), by_name: SortedMap::new() };
        for &(name, min, max, access, keys, special) in TABLE {
            commands.push(Command {
                name: name.to_owned(),
                args: (min, max),
                mode: Mode { access, keys },
                special,
            });
        }
        commands
    }
}

impl Commands {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The command with this number.
    pub fn get(&self, id: u16) -> Option<&Command> {
        self.all.get(usize::from(id))
    }

    /// The number of the command with this name, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        let mut lower = [0; MAX_NAME];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let lower = core::str::from_utf8(lower).ok()?;
        self.by_name.get(lower).copied()
    }

    /// Adds a command that a file describes.
    pub(super) fn add(&mut self, name: &str, min: u32, max: u32, mode: Mode) -> Result<(), String> {
        let name = name.to_ascii_lowercase();
        if self.all.len() >= TABLE.len() + MAX_CUSTOM {
            return Err(format!("too many custom commands(>{MAX_CUSTOM})"));
        }
        if self.by_name.contains_key(name.as_str()) {
            return Err(format!("custom command {name} is duplicated"));
        }
        if name.len() > MAX_NAME {
            return Err(format!("custom command {name} has a name longer than {MAX_NAME} bytes"));
        }
        self.push(Command { name, args: (min, max), mode, special: Special::No });
        Ok(())
    }

    fn push(&mut self, command: Command) {
        self.by_name.insert(command.name.clone(), self.all.len() as u16);
        self.all.push(command);
    }
}

impl Mode {
    /// The mode of a custom command: `read`, `write` or `admin`, and `keyAt2` or `keyAt3`.
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
