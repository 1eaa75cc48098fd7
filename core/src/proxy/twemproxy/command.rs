//! The command table of twemproxy, with the required arguments.
//!
//! The table is that of the original: it lacks newer commands of Redis and knows only the first key
//! of most commands. Any other command closes the client's connection.

use crate::proxy::request::{PartialRequest, Request};

/// How twemproxy handles a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Command {
    /// Answered by the proxy.
    Ping,
    /// Ends the connection.
    Quit,
    /// Checked by the proxy.
    Auth,
    /// Forwarded to the server of its key, which is at this index; 0 if it has no key.
    Forward(u8),
    /// Split by its keys.
    Split(Split),
}

/// How a command with several keys is split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Split {
    /// MGET: the values are joined in the order of the keys.
    Mget,
    /// MSET: each key is followed by its value.
    Mset,
    /// DEL, TOUCH, UNLINK: the replies are added up. With the command's name for the parts.
    Count(&'static str),
}

/// The arguments of a command after its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// No arguments.
    Nothing,
    /// Any arguments, and no key.
    NoKey,
    /// A key, and exactly this many further arguments.
    Exactly(u8),
    /// A key, and any further arguments.
    Any,
    /// Only keys.
    Keys(Split),
    /// A script, the number of keys, keys, arguments.
    Eval,
}

impl Command {
    /// Classifies a complete request; `None` if twemproxy refuses it.
    #[inline]
    pub(super) fn of(request: &Request<'_>, longest_key: usize) -> Option<Command> {
        let shape = shape(request.arg(0))?;
        shape.fits(request.len())?;
        let command = match shape {
            Shape::Nothing | Shape::Exactly(_) => match request.arg(0).len() {
                4 if request.arg(0).eq_ignore_ascii_case(b"ping") => Command::Ping,
                4 if request.arg(0).eq_ignore_ascii_case(b"quit") => Command::Quit,
                4 if request.arg(0).eq_ignore_ascii_case(b"auth") => Command::Auth,
                _ if shape == Shape::Nothing => Command::Forward(0),
                _ => Command::Forward(1),
            },
            Shape::NoKey => Command::Forward(0),
            Shape::Any => Command::Forward(1),
            Shape::Keys(split) => {
                let step = if split == Split::Mset { 2 } else { 1 };
                let long = |i: &usize| request.arg(*i).len() >= longest_key;
                if (1..request.len()).step_by(step).any(|i| long(&i)) {
                    return None;
                }
                if request.len() > 1 + step { Command::Split(split) } else { Command::Forward(1) }
            }
            Shape::Eval => {
                let keys = request.arg(2);
                let digits = !keys.is_empty() && keys.iter().all(u8::is_ascii_digit);
                if !digits || keys.iter().all(|&b| b == b'0') {
                    return None;
                }
                Command::Forward(3)
            }
        };
        if let Command::Forward(key @ 1..) = command
            && request.arg(key.into()).len() >= longest_key
        {
            return None;
        }
        Some(command)
    }

    /// Whether an incomplete request can still become one that is accepted.
    pub(super) fn can_become(partial: &PartialRequest<'_>) -> bool {
        if partial.request.is_empty() {
            return true;
        }
        shape(partial.request.arg(0)).and_then(|shape| shape.fits(partial.len)).is_some()
    }
}

impl Shape {
    /// Whether a request may have this many arguments, including its name.
    fn fits(self, len: usize) -> Option<()> {
        let fits = match self {
            Shape::Nothing => len == 1,
            Shape::NoKey => true,
            Shape::Exactly(count) => len == 2 + usize::from(count),
            Shape::Any => len >= 2,
            Shape::Keys(Split::Mset) => len >= 3 && len % 2 == 1,
            Shape::Keys(_) => len >= 2,
            Shape::Eval => len >= 4,
        };
        fits.then_some(())
    }
}

/// The arguments of a command; `None` for unknown commands.
#[inline]
fn shape(name: &[u8]) -> Option<Shape> {
    const LONGEST: usize = 17;
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"ping" | b"quit" | b"command" => Shape::Nothing,
        b"lolwut" => Shape::NoKey,

        b"persist" | b"pttl" | b"ttl" | b"type" | b"dump" | b"decr" | b"get" | b"getdel"
        | b"incr" | b"strlen" | b"hgetall" | b"hkeys" | b"hlen" | b"hvals" | b"llen" | b"scard"
        | b"smembers" | b"zcard" | b"auth" => Shape::Exactly(0),

        b"expire" | b"expireat" | b"pexpire" | b"pexpireat" | b"append" | b"decrby" | b"getbit"
        | b"getset" | b"incrby" | b"incrbyfloat" | b"setnx" | b"hexists" | b"hget" | b"hstrlen"
        | b"lindex" | b"rpoplpush" | b"sismember" | b"zrank" | b"zrevrank" | b"zscore" => {
            Shape::Exactly(1)
        }

        b"getrange" | b"psetex" | b"setbit" | b"setex" | b"setrange" | b"hincrby"
        | b"hincrbyfloat" | b"hsetnx" | b"lrange" | b"lrem" | b"lset" | b"ltrim" | b"smove"
        | b"zcount" | b"zlexcount" | b"zincrby" | b"zremrangebylex" | b"zremrangebyrank"
        | b"zremrangebyscore" => Shape::Exactly(2),

        b"linsert" | b"lmove" => Shape::Exactly(3),

        b"sort" | b"copy" | b"bitcount" | b"bitpos" | b"bitfield" | b"exists" | b"getex"
        | b"set" | b"hdel" | b"hmget" | b"hmset" | b"hscan" | b"hset" | b"hrandfield"
        | b"lpush" | b"lpushx" | b"rpush" | b"rpushx" | b"lpop" | b"rpop" | b"lpos" | b"sadd"
        | b"sdiff" | b"sdiffstore" | b"sinter" | b"sinterstore" | b"srem" | b"sunion"
        | b"sunionstore" | b"srandmember" | b"sscan" | b"spop" | b"smismember" | b"pfadd"
        | b"pfmerge" | b"pfcount" | b"zadd" | b"zdiff" | b"zdiffstore" | b"zinter"
        | b"zinterstore" | b"zmscore" | b"zpopmax" | b"zpopmin" | b"zrandmember" | b"zrange"
        | b"zrangebylex" | b"zrangebyscore" | b"zrangestore" | b"zrem" | b"zrevrange"
        | b"zrevrangebylex" | b"zrevrangebyscore" | b"zscan" | b"zunion" | b"zunionstore"
        | b"geodist" | b"geopos" | b"geohash" | b"geoadd" | b"georadius" | b"georadiusbymember"
        | b"geosearch" | b"geosearchstore" | b"restore" => Shape::Any,

        b"mget" => Shape::Keys(Split::Mget),
        b"mset" => Shape::Keys(Split::Mset),
        b"del" => Shape::Keys(Split::Count("del")),
        b"touch" => Shape::Keys(Split::Count("touch")),
        b"unlink" => Shape::Keys(Split::Count("unlink")),

        b"eval" | b"evalsha" => Shape::Eval,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::request::{Requests, write};

    fn command(line: &str) -> Option<Command> {
        let mut text = Vec::new();
        write(&mut text, line.split(' ').map(str::as_bytes));
        let (mut requests, mut rest) = (Requests::default(), &text[..]);
        let request = requests.next(&mut rest).expect("well formed").expect("whole");
        Command::of(&request, 16336)
    }

    #[test]
    fn known_commands_are_forwarded_and_others_refused() {
        assert_eq!(command("GET k"), Some(Command::Forward(1)));
        assert_eq!(command("ping"), Some(Command::Ping));
        assert_eq!(command("PING x"), None);
        assert_eq!(command("mget a"), Some(Command::Forward(1)));
        assert_eq!(command("mget a b"), Some(Command::Split(Split::Mget)));
        assert_eq!(command("mset a 1"), Some(Command::Forward(1)));
        assert_eq!(command("mset a 1 b"), None);
        assert_eq!(command("mset a 1 b 2"), Some(Command::Split(Split::Mset)));
        assert_eq!(command("eval x 1 k"), Some(Command::Forward(3)));
        assert_eq!(command("eval x 0 k"), None);
        assert_eq!(command("get k v"), None);
        assert_eq!(command("lolwut version 5"), Some(Command::Forward(0)));
        for refused in ["keys *", "multi", "watch k", "select 1", "blpop k 0", "rename a b"] {
            assert_eq!(command(refused), None, "{refused}");
        }
        assert_eq!(command(&format!("get {}", "k".repeat(16336))), None);
        assert_eq!(command(&format!("get {}", "k".repeat(16335))), Some(Command::Forward(1)));
        assert_eq!(command("averyveryverylongcommand k"), None);
    }
}
