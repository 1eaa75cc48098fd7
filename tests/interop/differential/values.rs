//! Random arguments of every kind, chosen where behaviour changes: empty, at a limit, just past it,
//! of the wrong form.

use limpid_core::persist::rdb;
use limpid_core::resp::number::parse_double;
use limpid_core::rng::Rng;
use limpid_core::store::Value;
use limpid_core::store::value::{End, Hash, Limits, List, Set, ZSet};

/// A kind of value, by the name that patterns use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind(Generator);

type Generator = fn(&mut Rng) -> Vec<u8>;

/// The names that patterns may use.
const KINDS: &[(&str, Generator)] = &[
    ("key", key),
    ("value", value),
    ("int", int),
    ("float", float),
    ("index", index),
    ("offset", offset),
    ("bit", |rng| pick(rng, &["0", "1", "0", "1", "2", "-1", "x"])),
    ("bitoffset", bit_offset),
    ("bfenc", bitfield_type),
    ("count", |rng| pick(rng, &["0", "1", "2", "3", "10", "1000", "-1", "-2", "-10", "x", ""])),
    ("glob", glob),
    ("type", |rng| pick(rng, &["string", "list", "set", "zset", "hash", "stream", "STRING", "x"])),
    ("db", |rng| pick(rng, &["0", "1", "2", "0", "1", "15", "16", "-1", "x", ""])),
    ("secs", |rng| duration(rng, 1)),
    ("ms", |rng| duration(rng, 1000)),
    ("at", |rng| date(rng, 1)),
    ("atms", |rng| date(rng, 1000)),
    ("name", |rng| pick(rng, &["me", "", "a-b", "with space", "x\ny", "\u{e9}"])),
    ("version", |rng| pick(rng, &["2", "3", "3", "2", "4", "1", "x", ""])),
    ("password", |rng| pick(rng, &["secret", "", "wrong", "default"])),
    ("small", |rng| pick(rng, &["1", "2", "3", "f1", "f2", "f3", "12345678901", "-7", "", "m"])),
    ("score", score),
    ("bound", bound),
    ("lexkey", |rng| pick(rng, &["l1", "l2"])),
    ("lex", |rng| pick(rng, &["-", "+", "[a", "(abc", "[foobar", "(1", "[", "(", "x", "", "[v"])),
    ("payload", payload),
    ("restorettl", |rng| pick(rng, &["0", "0", "0", "100000000", "-1", "x", ""])),
    ("command", command),
    ("longitude", |rng| degrees(rng, 180.0)),
    ("latitude", |rng| degrees(rng, 85.0)),
    ("radius", radius),
    ("unit", |rng| pick(rng, &["m", "km", "km", "mi", "ft", "KM", "x", ""])),
    ("newid", new_id),
    ("id", stream_id),
    ("edge", edge),
    ("group", |rng| pick(rng, &["g", "g", "h", ""])),
    ("consumer", |rng| pick(rng, &["c1", "c2", "c3", ""])),
    ("any", any),
    ("channel", |rng| pick(rng, &["c1", "c2", "c3", "c1", "", "__keyspace@0__:a"])),
    ("pattern", |rng| pick(rng, &["c*", "c?", "c1", "*", "[c]2", "x*", ""])),
    ("events", |rng| pick(rng, &["KEA", "Elg$", "Kz", "KEx", "", "AKE", "Kgh", "y"])),
    // Only the second of these timeouts is short enough to end during a test.
    ("timeout", |rng| pick(rng, &["0", "0.01", "1000000", "0", "2000000", "0", "-1", "x", ""])),
    // Timeouts of XREAD in milliseconds, none of which ends during a test.
    ("wait", |rng| pick(rng, &["0", "1000000000", "0", "0", "-1", "x", "", "1.5"])),
    ("user", |rng| pick(rng, &["u", "v", "u", "v", "w", "with space", ""])),
    ("rule", |rng| pick(rng, RULES)),
    // Stands for the id of one of the test's connections.
    ("client", |rng| pick(rng, &["@0", "@1", "@2", "@3", "@0", "@1", "0", "x"])),
];

/// Kinds of arguments for scripts and functions, which `any` does not use in other commands.
const OF_SCRIPTS: &[(&str, Generator)] = &[
    ("script", script),
    ("sha", |rng| {
        pick(rng, &[SHA_ECHO, SHA_INCR, "ffffffffffffffffffffffffffffffffffffffff", "x"])
    }),
    ("library", |rng| pick(rng, LIBRARIES)),
    ("libname", |rng| pick(rng, &["one", "two", "one", "nosuch", "b*d", ""])),
    ("fname", |rng| pick(rng, &["tell", "write", "peek", "tell", "boom", "nosuch", ""])),
];

/// The digest of `return {KEYS[1], ARGV[1]}`.
const SHA_ECHO: &str = "d006f1a90249474274c76f5be725b8f5804a346b";
/// The digest of `return redis.call('INCR', KEYS[1])`.
const SHA_INCR: &str = "61636018f4e6b5817b89791bbed242f93fa089e3";

/// Libraries for FUNCTION LOAD.
const LIBRARIES: &[&str] = &[
    "#!lua name=one\nredis.register_function('tell', function(keys, args) return {keys, args} end)",
    "#!lua name=one\nredis.register_function('tell', function(keys, args) return #args end)",
    "#!lua name=two\nlocal function write(keys, args) return redis.call('SET', keys[1], args[1] or 'x') end\n\
     redis.register_function('write', write)\n\
     redis.register_function{function_name='peek', flags={'no-writes'}, description='looks', \
     callback=function(keys) return redis.call('GET', keys[1]) end}",
    "#!lua name=two\nredis.register_function{function_name='boom', flags={'no-writes'}, \
     callback=function(keys) return redis.pcall('DEL', keys[1]) end}",
    "#!lua name=three\nredis.register_function('tell', function() return 3 end)",
    "#!lua name=one\nredis.register_function('tell', 1)",
    "#!lua name=one\nredis.register_function('no-such-name', function() end)",
    "#!lua name=one\nredis.register_function{function_name='tell', flags={'nosuch'}, callback=print}",
    "#!lua name=one\nredis.call('GET', 'a')",
    "#!lua name=one\nreturn 1",
    "#!lua name=one\nthis is no Lua",
    "#!lua name=a-b\nreturn 1",
    "#!lua\nreturn 1",
    "#!lua name=one nosuch=1\nreturn 1",
    "#!perl name=one\nprint 1",
    "return 1",
    "",
];

/// Statements of scripts: `a` may be anything, `b` is a number.
const STATEMENTS: &[&str] = &[
    "a = redis.call('GET', KEYS[1])",
    "a = redis.call('SET', KEYS[1], ARGV[1])",
    "a = redis.pcall('INCR', KEYS[2])",
    "b = redis.call('RPUSH', KEYS[1], ARGV[1], b)",
    "a = redis.pcall('LRANGE', KEYS[1], 0, -1)",
    "a = redis.call('HSET', KEYS[2], 'f', b, 'g', ARGV[1])",
    "a = redis.pcall('HGETALL', KEYS[2])",
    "a = redis.pcall('HMGET', KEYS[2], 'f', 'none')",
    "a = redis.pcall('ZADD', KEYS[1], b, 'm')",
    "a = redis.pcall('ZSCORE', KEYS[1], 'm')",
    "a = redis.pcall('TYPE', KEYS[1])",
    "a = redis.call('TYPE', KEYS[1]).ok",
    "a = redis.pcall('EXPIRE', KEYS[1], 1000)",
    "a = redis.pcall('DEL', KEYS[1], KEYS[2])",
    "a = redis.pcall('XADD', KEYS[2], '*', 'f')",
    "a = redis.pcall('SMEMBERS', KEYS[1])",
    "a = redis.pcall('PING', 'x')",
    "a = redis.pcall('SELECT', 1)",
    "a = redis.pcall('SUBSCRIBE', 'c1')",
    "a = redis.pcall('EVAL', 'return 1', 0)",
    "a = redis.pcall('NOSUCH', KEYS[1])",
    "a = redis.pcall('GET')",
    "a = {pcall(redis.call, 'LPOP', KEYS[1])}",
    "redis.call('INCRBYFLOAT', KEYS[1], b)",
    "redis.call('GET', KEYS[1], KEYS[2])",
    "redis.call('GET', {})",
    "redis.call()",
    "redis.setresp(3)",
    "redis.setresp(2)",
    "redis.setresp(4)",
    "redis.log(redis.LOG_DEBUG, 'seen', 'nowhere')",
    "redis.replicate_commands()",
    "redis.set_repl(redis.REPL_ALL)",
    "a = {1, 2.7, 'x', {true, false, 'y'}, nil, 3}",
    "a = {1, 2, nil}",
    "a = {ok = 'fine'}",
    "a = {err = 'ERR oops'}",
    "a = {err = 'oops', ignored = 1}",
    "a = {double = b}",
    "a = {map = {k = b}}",
    "a = {set = {[ARGV[1] or 'x'] = true}}",
    "a = {big_number = '123456789012345678901234567890'}",
    "a = {verbatim_string = {format = 'txt', string = 'words'}}",
    "a = redis.error_reply('My oops')",
    "a = redis.status_reply('well\\r\\ndone')",
    "a = redis.sha1hex(ARGV[1] or '')",
    "a = tonumber(a) or -1",
    "a = type(a)",
    "a = #KEYS + #ARGV",
    "a = string.format('%5.2f|%q|%d|%s', b, 'q\"', 12.9, ARGV[1] or 'none')",
    "a = (ARGV[1] or ''):upper():reverse()",
    "a = string.sub(ARGV[1] or '', 2, -2)",
    "a = string.gsub(ARGV[1] or '', '%a+', '<%0>')",
    "a = table.concat(ARGV, ',')",
    "a = select('#', unpack(ARGV))",
    "a = cjson.encode({b, 'x', {k = ARGV[1]}})",
    "a = cjson.decode('{\"k\": [1, 2.5, null, \"\\\\u00e9\"]}').k",
    "a = cjson.decode(ARGV[1] or '')",
    "a = cmsgpack.pack(ARGV[1], b, {1, 2})",
    "a = cmsgpack.unpack(cmsgpack.pack({b, 'x'}))",
    "a = struct.pack('>I4s', 7, 'x')",
    "a = {struct.unpack('<h', 'ab')}",
    "a = bit.tohex(bit.bxor(b, 255))",
    "b = (tonumber(a) or 2) % 7",
    "b = b * 3 + 0.5",
    "b = math.floor(b / 2)",
    "b = math.max(b, #KEYS)",
    "for i = 1, 3 do b = b + i; redis.pcall('SADD', KEYS[2], i) end",
    "while b < 10 do b = b + 4 end",
    "if a then b = b + 1 else b = b - 1 end",
    "local t = {5, 3, 4}; table.sort(t); a = t",
    "local t = {}; for k in pairs({x = 1, y = 2, 9}) do t[#t + 1] = tostring(k) end; a = t",
    "local co = coroutine.wrap(function(x) coroutine.yield(x + 1) end); a = co(b)",
    "error('stop')",
    "error({err = 'MINE stop'})",
    "error({err = 'stop'})",
    "error()",
    "a = nosuch",
    "nosuch = 1",
    "a = a.b.c",
    "a = b .. {}",
    "local t = setmetatable({}, {__index = function(_, k) return k .. '!' end}); a = t.x",
    "assert(b > 1, 'too small')",
    "a = loadstring('return 1 + 1')()",
    "a = require",
    "this is no Lua",
];

/// The return statements of scripts.
const ENDS: &[&str] = &[
    "return a",
    "return a",
    "return {a, b}",
    "return b",
    "return {a, {b, {a}}}",
    "return {KEYS, ARGV}",
    "return redis.call('EXISTS', KEYS[1])",
    "return true",
    "return false",
    "return nil",
    "return a, b",
    "",
];

/// A script of a few statements.
fn script(rng: &mut Rng) -> Vec<u8> {
    if rng.chance(0.15) {
        return pick(rng, &["return {KEYS[1], ARGV[1]}", "return redis.call('INCR', KEYS[1])"]);
    }
    let shebang = [
        "#!lua\n",
        "#!lua flags=no-writes\n",
        "#!lua flags=allow-oom,allow-stale\n",
        "#!lua flags=no-cluster\n",
        "#!lua flags=nosuch\n",
        "#!lua name=one\n",
        "#!perl\n",
    ];
    let mut text = if rng.chance(0.15) { pick(rng, &shebang) } else { Vec::new() };
    text.extend_from_slice(b"local a, b = ARGV[1], 7\n");
    for _ in 0..1 + rng.below(5) {
        text.extend(pick(rng, STATEMENTS));
        text.push(b'\n');
    }
    text.extend(pick(rng, ENDS));
    text
}

/// ACL rules.
const RULES: &[&str] = &[
    "on",
    "off",
    "nopass",
    "resetpass",
    ">secret",
    "<secret",
    ">x",
    "#abc",
    "~a",
    "~b",
    "~*",
    "%R~a",
    "%W~b",
    "%RW~{t}*",
    "%R~*",
    "%X~a",
    "%~a",
    "~l*",
    "allkeys",
    "resetkeys",
    "&c1",
    "&c*",
    "&*",
    "allchannels",
    "resetchannels",
    "+@all",
    "-@all",
    "+@read",
    "-@read",
    "+@write",
    "-@write",
    "+@string",
    "-@string",
    "-@dangerous",
    "+@keyspace",
    "+@pubsub",
    "+@connection",
    "+@transaction",
    "-@slow",
    "+get",
    "-get",
    "+set",
    "-set",
    "+copy",
    "+acl|whoami",
    "-acl|users",
    "+acl",
    "+client",
    "-client|kill",
    "+select|0",
    "-select",
    "(+get ~b)",
    "(+@all %R~c &c2)",
    "(-@all +set %W~* )",
    "(+get",
    "clearselectors",
    "reset",
    "+nosuch",
    "+@nosuch",
    "+get|x",
    "-get|x",
    "+client|nosuch",
    "sanitize-payload",
    "skip-sanitize-payload",
    "nonsense",
    "",
];

impl Kind {
    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Option<Kind> {
        KINDS
            .iter()
            .chain(OF_SCRIPTS)
            .find(|(n, _)| *n == name)
            .map(|(_, generate)| Kind(*generate))
    }

    /// A value of this kind.
    pub(crate) fn generate(self, rng: &mut Rng) -> Vec<u8> {
        (self.0)(rng)
    }
}

/// A value of a random kind, for arguments where it does not belong.
pub(crate) fn any(rng: &mut Rng) -> Vec<u8> {
    // The last kind is this one.
    let kind = rng.below(KINDS.len() as u64 - 1) as usize;
    (KINDS[kind].1)(rng)
}

/// Replaces times that a random mistake made end within minutes by later ones, so that the result
/// does not depend on the machine's speed; except the times in `meant`.
pub(crate) fn put_off(args: &mut [Vec<u8>], meant: &[&[u8]]) {
    let name = args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let last = args.len().saturating_sub(1);
    let places: Vec<usize> = match name.as_slice() {
        b"EXPIRE" | b"PEXPIRE" | b"SETEX" | b"PSETEX" | b"RESTORE" => vec![2],
        b"BLMPOP" | b"BZMPOP" => vec![1],
        [b'B', b'L' | b'R' | b'Z', ..] => vec![last],
        _ => {
            let units: [&[u8]; 3] = [b"EX", b"PX", b"BLOCK"];
            let unit = |arg: &[u8]| units.iter().any(|unit| arg.eq_ignore_ascii_case(unit));
            (1..args.len()).filter(|&at| unit(&args[at - 1])).collect()
        }
    };
    for at in places {
        let Some(arg) = args.get_mut(at) else { continue };
        let time = parse_double(arg).unwrap_or_default();
        // Versions before 7.2 report a timeout that overflows as negative.
        let near = time < 1e6 || name.starts_with(b"B") && time > 1e12;
        if time > 0.0 && near && !meant.contains(&arg.as_slice()) {
            *arg = b"1000000".to_vec();
        }
    }
}

/// One of few keys, so that commands meet on the same ones.
fn key(rng: &mut Rng) -> Vec<u8> {
    pick(rng, &["a", "b", "c", "a", "b", "{t}1", "{t}2", "", "\0\r\n\u{ff}"])
}

fn value(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0..4 => int(rng),
        4 => float(rng),
        5 => Vec::new(),
        // Around the limit of embedded strings (`embstr`) in Redis.
        6 if rng.chance(0.5) => vec![b'x'; 42 + rng.below(5) as usize],
        // Around the limit of values in compact encodings.
        6 => vec![b'y'; 62 + rng.below(5) as usize],
        7 => (0..rng.below(40)).map(|_| rng.u64() as u8).collect(),
        8 => vec![b'v'; rng.below(20_000) as usize],
        9 => b" 12".to_vec(),
        _ => pick(rng, &["hello", "ohmytext", "mynewtext", "foobar", "abc", "\x7f\0", "+5", "-0"]),
    }
}

fn int(rng: &mut Rng) -> Vec<u8> {
    match rng.below(4) {
        0 => pick(
            rng,
            &[
                "9223372036854775807",
                "-9223372036854775808",
                "9223372036854775808",
                "-9223372036854775809",
                "2147483648",
                "10000",
                "9999",
                "007",
                "1.0",
                "1e3",
                " 1",
                "1 ",
                "x",
                "",
            ],
        ),
        1 => (rng.u64() as i64 >> rng.below(64)).to_string().into_bytes(),
        _ => (rng.below(20) as i64 - 5).to_string().into_bytes(),
    }
}

fn float(rng: &mut Rng) -> Vec<u8> {
    match rng.below(3) {
        0 => pick(
            rng,
            &[
                "inf",
                "-inf",
                "+inf",
                "nan",
                "1e400",
                // Not 1e-400: it leaves an error in errno, which makes Redis reject the next number
                // of a SORT.
                "1e-300",
                "5.0e3",
                "0x10",
                " 1.5",
                "1.5 ",
                "1e17",
                "123456789.123456789",
                "-0.0",
                ".5",
                "5.",
                "1,5",
                "",
                "1e308",
                "3.0e-5",
            ],
        ),
        1 => format!("{}", rng.below(2_000_000) as f64 / 1e4 - 100.0).into_bytes(),
        _ => int(rng),
    }
}

/// Mostly sums of powers of two, so that no precision is lost.
fn score(rng: &mut Rng) -> Vec<u8> {
    match rng.below(8) {
        0 => pick(rng, &["inf", "-inf", "+inf", "nan", "x", "", "1e3", "0x10", "4503599627370497"]),
        1 => pick(rng, &["0.5", "-1.25", "3.75", "1e17", "-2.5e-7"]),
        _ => (rng.below(12) as i64 - 3).to_string().into_bytes(),
    }
}

/// A bound of a range of scores.
fn bound(rng: &mut Rng) -> Vec<u8> {
    let score = score(rng);
    if rng.chance(0.3) { [b"(", &score[..]].concat() } else { score }
}

fn index(rng: &mut Rng) -> Vec<u8> {
    match rng.below(6) {
        0 => int(rng),
        _ => (rng.below(24) as i64 - 12).to_string().into_bytes(),
    }
}

/// An offset for writing into a string: small, or beyond the largest string, but not in between.
fn offset(rng: &mut Rng) -> Vec<u8> {
    match rng.below(6) {
        0 => pick(rng, &["536870912", "536870911999", "-1", "9223372036854775807", "x", ""]),
        1 => rng.below(30_000).to_string().into_bytes(),
        _ => rng.below(16).to_string().into_bytes(),
    }
}

fn bit_offset(rng: &mut Rng) -> Vec<u8> {
    match rng.below(8) {
        0 => pick(rng, &["4294967296", "-1", "9223372036854775807", "x", "", "#1", "#0", "#x"]),
        1 => rng.below(30_000).to_string().into_bytes(),
        _ => rng.below(70).to_string().into_bytes(),
    }
}

fn bitfield_type(rng: &mut Rng) -> Vec<u8> {
    pick(rng, &["u8", "i8", "u1", "i1", "u16", "i16", "u63", "i64", "i5", "u13", "u64", "i65", "x"])
}

fn glob(rng: &mut Rng) -> Vec<u8> {
    pick(rng, &["*", "a*", "?", "[ab]", "[^a]", "{t}*", "\\a", "[a-c]", "", "x", "*1", "[", "a\\"])
}

/// A time to live, never one that could end during a test.
fn duration(rng: &mut Rng, unit: i64) -> Vec<u8> {
    match rng.below(5) {
        0 => pick(rng, &["0", "-1", "9223372036854775807", "9223372036854775", "x", "", "1.5"]),
        _ => ((1_000 + rng.below(100_000) as i64) * unit).to_string().into_bytes(),
    }
}

/// A time long past or far in the future.
fn date(rng: &mut Rng, unit: i64) -> Vec<u8> {
    match rng.below(6) {
        0 => pick(rng, &["0", "-1", "9223372036854775807", "9223372036854775", "x", "", "1"]),
        1 => (1_000_000 * unit).to_string().into_bytes(),
        _ => ((4_000_000_000 + rng.below(1_000) as i64) * unit).to_string().into_bytes(),
    }
}

/// A payload of DUMP with a value of any type, sometimes with a byte or two changed, so that the
/// checksum or the data are wrong.
fn payload(rng: &mut Rng) -> Vec<u8> {
    let limits = Limits::default();
    let texts: Vec<Vec<u8>> = (0..1 + rng.below(12)).map(|_| value(rng)).collect();
    let made = match rng.below(5) {
        0 => Value::String(texts[0].clone()),
        1 => {
            let mut list = List::default();
            texts.iter().for_each(|text| {
                list.grow([&text[..]], &limits);
                list.push(End::Right, text, &limits);
            });
            Value::List(list)
        }
        2 => {
            let mut set = Set::new(&texts[0], 1, &limits);
            for text in &texts {
                set.insert(text, &limits);
            }
            Value::Set(set)
        }
        3 => {
            let mut hash = Hash::default();
            for text in &texts {
                hash.set(text, b"value", &limits);
            }
            Value::Hash(hash)
        }
        _ => {
            let mut zset = ZSet::default();
            for text in &texts {
                zset.insert(text, rng.below(5) as f64 / 4.0, &limits);
            }
            Value::ZSet(zset)
        }
    };
    let mut payload = rdb::dump(made.view(), rng.chance(0.5));
    match rng.below(8) {
        0 => {
            let at = rng.below(payload.len() as u64) as usize;
            payload[at] ^= 1 << rng.below(8);
        }
        1 => payload.truncate(rng.below(payload.len() as u64) as usize),
        _ => {}
    }
    payload
}

fn degrees(rng: &mut Rng, limit: f64) -> Vec<u8> {
    match rng.below(12) {
        0 => pick(rng, &["0", "180", "-180", "85.05112878", "-85.05112878", "86", "181", "x", ""]),
        _ => format!("{:.6}", (rng.below(2_000_000) as f64 / 1e6 - 1.0) * limit).into_bytes(),
    }
}

fn radius(rng: &mut Rng) -> Vec<u8> {
    match rng.below(8) {
        0 => pick(rng, &["0", "-1", "x", "", "0.5", "inf", "1e300"]),
        _ => (rng.below(9_000) * 10u64.pow(rng.below(4) as u32)).to_string().into_bytes(),
    }
}

/// The ID of an entry, one of few, so that commands meet on the same ones.
fn stream_id(rng: &mut Rng) -> Vec<u8> {
    match rng.below(10) {
        0 => pick(
            rng,
            &[
                "0",
                "0-0",
                "-",
                "+",
                "$",
                "18446744073709551615-18446744073709551615",
                "x",
                "",
                "-1",
            ],
        ),
        1 => rng.below(30).to_string().into_bytes(),
        _ => format!("{}-{}", rng.below(30), rng.below(3)).into_bytes(),
    }
}

/// The ID of a new entry, mostly higher than existing ones.
fn new_id(rng: &mut Rng) -> Vec<u8> {
    match rng.below(10) {
        0 => stream_id(rng),
        1..4 => format!("{}-*", rng.below(30)).into_bytes(),
        _ => format!("{}-{}", rng.below(30), 1 + rng.below(1_000)).into_bytes(),
    }
}

/// A bound of a range of IDs.
fn edge(rng: &mut Rng) -> Vec<u8> {
    match rng.below(4) {
        0 => pick(rng, &["-", "+", "-", "+", "(-", "("]),
        1 => [b"(", &stream_id(rng)[..]].concat(),
        _ => stream_id(rng),
    }
}

fn command(rng: &mut Rng) -> Vec<u8> {
    pick(rng, &["get", "SET", "mset", "DEL", "object|encoding", "config", "expire", "nosuch", ""])
}

fn pick(rng: &mut Rng, from: &[&str]) -> Vec<u8> {
    from[rng.below(from.len() as u64) as usize].as_bytes().to_vec()
}
