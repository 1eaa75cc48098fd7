//! The targets of the fuzzer: each parser in the way a client or a file reaches it.

use limpid_core::persist::rdb::{ReadOptions, Reader, Record};
use limpid_core::resp::value::encode_command;

use super::Target;
use super::server::Asked;

const MIB: usize = 1 << 20;

/// All targets.
pub static TARGETS: &[Target] = &[
    Target {
        name: "script",
        seeds: scripts,
        pieces: LUA,
        run: |source| {
            Asked::new().ask(&[b"eval", source, b"1", b"key", b"value"]);
        },
        memory: SCRIPTS,
    },
    Target {
        name: "library",
        seeds: libraries,
        pieces: LUA,
        run: |source| {
            let mut asked = Asked::new();
            asked.ask(&[b"function", b"load", b"replace", source]);
            asked.ask(&[b"function", b"list", b"withcode"]);
            asked.ask(&[b"fcall", b"f", b"1", b"key", b"value"]);
        },
        memory: SCRIPTS,
    },
    Target {
        name: "functions",
        seeds: function_payloads,
        pieces: &[b"\xf5", b"#!lua name=", b"\n"],
        run: |payload| {
            let mut asked = Asked::new();
            asked.ask(&[b"function", b"restore", payload, b"replace"]);
            asked.ask(&[b"function", b"list", b"withcode"]);
        },
        memory: SCRIPTS,
    },
    Target {
        name: "payload",
        seeds: payloads,
        pieces: &[b"\xc3", b"\x80", b"\x81", b"\xff", b"\xfe"],
        run: |payload| {
            let mut asked = Asked::new();
            asked.ask(&[b"restore", b"k", b"0", payload]);
            LOOKS.iter().for_each(|words| asked.ask(words));
        },
        memory: 64 * MIB,
    },
    Target {
        name: "rdb",
        seeds: files,
        pieces: &[b"\xfe", b"\xfb", b"\xfa", b"\xf5", b"\xf8", b"\xf9", b"\xfd", b"\xfc", b"\xff"],
        run: read_file,
        memory: 64 * MIB,
    },
    Target {
        name: "acl",
        seeds: rules,
        pieces: ACL,
        run: |rules| {
            let mut asked = Asked::new();
            let words = rules.split(|byte| *byte == b' ');
            let command: Vec<&[u8]> =
                [&b"acl"[..], b"setuser", b"u"].into_iter().chain(words).collect();
            asked.ask(&command);
            asked.ask(&[b"acl", b"list"]);
            asked.ask(&[b"acl", b"getuser", b"u"]);
            asked.ask(&[b"acl", b"dryrun", b"u", b"get", b"k"]);
            asked.ask(&[b"acl", b"dryrun", b"u", b"eval", b"return 1", b"1", b"k"]);
        },
        memory: 16 * MIB,
    },
    Target {
        name: "aclfile",
        seeds: || rules().iter().map(|rules| [b"user u ", &rules[..], b"\n"].concat()).collect(),
        pieces: ACL,
        run: |text| {
            let mut asked = Asked::with("save \"\"\naclfile users.acl\n", Some(text));
            if asked.ended().is_none() {
                asked.ask(&[b"acl", b"list"]);
            }
        },
        memory: 16 * MIB,
    },
    Target {
        name: "cjson",
        seeds: || {
            texts(&[r#"{"a":[1,2.5e3,null,true,"\u00e9\ud83d\ude00"],"b":{}}"#, "[[[[]]]]", "-0.1"])
        },
        pieces: &[b"[", b"{", b"]", b"}", b"\"", b"\\u", b"e9", b"null", b",", b":", b"1e308"],
        run: |text| decode(b"local v = cjson.decode(ARGV[1]) return cjson.encode(v)", text),
        memory: SCRIPTS,
    },
    Target {
        name: "cmsgpack",
        seeds: packed,
        pieces: &[b"\xdd", b"\xdf", b"\xdc", b"\xde", b"\xd9", b"\xc6", b"\x91", b"\x81", b"\xcb"],
        run: |bytes| {
            decode(b"return cmsgpack.pack(cmsgpack.unpack(ARGV[1]))", bytes);
            decode(b"return cmsgpack.unpack_limit(ARGV[1], 2, 1)", bytes);
        },
        memory: SCRIPTS,
    },
    Target {
        name: "struct",
        seeds: || texts(&[">!4bBhHlLi4I3", "<fdxsc0c3", "i16", "!8 lT"]),
        pieces: &[b"c0", b"s", b"i", b"I", b"!", b">", b"<", b"x", b"c", b"999999999"],
        run: |form| {
            decode(b"return struct.unpack(ARGV[1], ARGV[2])", form);
            decode(b"return struct.unpack('>Bc0i4s', ARGV[1])", form);
            decode(b"return struct.pack(ARGV[1], 1, 2, 'x', 3)", form);
            decode(b"return struct.size(ARGV[1])", form);
        },
        memory: SCRIPTS,
    },
    Target {
        name: "hyperloglog",
        seeds: registers,
        pieces: &[b"HYLL", b"\x00", b"\x7f\xff", b"\x80", b"\xff"],
        run: |bytes| {
            let mut asked = Asked::new();
            asked.ask(&[b"set", b"k", bytes]);
            asked.ask(&[b"pfcount", b"k"]);
            asked.ask(&[b"pfadd", b"k", b"a", b"b"]);
            asked.ask(&[b"pfmerge", b"l", b"k"]);
            asked.ask(&[b"pfdebug", b"decode", b"k"]);
            asked.ask(&[b"pfdebug", b"todense", b"k"]);
            asked.ask(&[b"pfdebug", b"getreg", b"k"]);
        },
        memory: 16 * MIB,
    },
    Target {
        name: "requests",
        seeds: requests,
        pieces: &[
            b"\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"$-1\r\n",
            b"-",
            b"+",
            b"(",
            b"[",
            b"inf",
            b"nan",
        ],
        run: |bytes| Asked::new().send(bytes),
        memory: 64 * MIB,
    },
];

/// The memory limit of scripts (`core::server::scripting::sandbox`) and of the rest, in bytes.
const SCRIPTS: usize = (512 + 128) * MIB;

const LUA: &[&[u8]] = &[
    b"redis.call(",
    b"redis.pcall('get', KEYS[1])",
    b"redis.register_function('f', function(keys, args) return 1 end)",
    b"function() ",
    b" end ",
    b"{",
    b"}",
    b"(",
    b")",
    b"local x = ",
    b"pcall(",
    b"while true do ",
    b"for i = 1, 9 do ",
    b"string.rep('x', 1e9)",
    b"('a'):gsub('(.-)%1', '%0')",
    b"setmetatable({}, {__index = _G})",
    b"coroutine.wrap(",
    b"loadstring(",
    b"cjson.encode(",
    b"cmsgpack.pack(",
    b"struct.pack('i4',",
    b"bit.lshift(1, 99)",
    b"redis.setresp(3)",
    b"redis.error_reply(",
    b"unpack({}, 1, 1e7)",
    b"..",
    b"...",
    b"1e308",
    b"[==[",
    b"]==]",
    b"#!lua name=",
    b"#!lua flags=",
    b"no-writes,",
    b"\n",
];

const ACL: &[&[u8]] = &[
    b" ",
    b"+@all",
    b"-@all",
    b"+get",
    b"-config|set",
    b"~*",
    b"%R~a*",
    b"%W~",
    b"&*",
    b">pw",
    b"<pw",
    b"#",
    b"(",
    b")",
    b"on",
    b"off",
    b"reset",
    b"nopass",
    b"resetkeys",
    b"clearselectors",
    b"sanitize-payload",
    b"user ",
    b"\n",
    b"\"",
    b"%",
    b"|",
];

/// Commands for a restored key.
const LOOKS: &[&[&[u8]]] = &[
    &[b"type", b"k"],
    &[b"object", b"encoding", b"k"],
    &[b"dump", b"k"],
    &[b"debug", b"digest-value", b"k"],
    &[b"get", b"k"],
    &[b"lrange", b"k", b"0", b"-1"],
    &[b"rpoplpush", b"k", b"k"],
    &[b"smembers", b"k"],
    &[b"spop", b"k"],
    &[b"hgetall", b"k"],
    &[b"hset", b"k", b"new", b"value"],
    &[b"zrange", b"k", b"0", b"-1", b"withscores"],
    &[b"zadd", b"k", b"1", b"new"],
    &[b"xinfo", b"stream", b"k", b"full"],
    &[b"xrange", b"k", b"-", b"+"],
    &[b"xadd", b"k", b"*", b"a", b"b"],
    &[b"xtrim", b"k", b"maxlen", b"1"],
    &[b"xautoclaim", b"k", b"g", b"c", b"0", b"0"],
    &[b"copy", b"k", b"l"],
    &[b"del", b"k"],
];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn scripts() -> Vec<Vec<u8>> {
    texts(&[
        "local n = redis.call('incr', KEYS[1]) if n > 2 then return {n, ARGV[1]} end return n",
        "#!lua flags=no-writes,allow-stale\nreturn redis.pcall('get', KEYS[1])",
        "local t = {} for i = 1, 9 do t[#t + 1] = cjson.encode({i, x = tostring(i)}) end return t",
        "return {string.find('key:12', '(%a+):(%d+)'), string.format('%5.2f|%-9s|%q', 1, 'a', 'b')}",
        "local co = coroutine.wrap(function(a) a = coroutine.yield(a + 1) return a end) co(1) return co(2)",
        "redis.setresp(3) return {double = 1.5} , redis.status_reply('x'), redis.sha1hex('')",
    ])
}

fn libraries() -> Vec<Vec<u8>> {
    texts(&[
        "#!lua name=lib\nredis.register_function('f', function(keys, args) return redis.call('get', keys[1]) end)",
        "#!lua name=lib\nredis.register_function{function_name='f', callback=function() return 1 end, \
         description='d', flags={'no-writes', 'allow-oom'}}",
        "#!lua name=lib\nlocal function g(x) return x end\nredis.register_function('f', g) redis.log(redis.LOG_WARNING, 'x')",
    ])
}

fn function_payloads() -> Vec<Vec<u8>> {
    let payload = |source: &Vec<u8>| {
        let mut asked = Asked::new();
        asked.ask(&[b"function", b"load", source]);
        bulk(&asked.reply(&[b"function", b"dump"]))
    };
    libraries().iter().map(payload).collect()
}

/// DUMP payloads of each type and encoding, and of older versions.
fn payloads() -> Vec<Vec<u8>> {
    let long = "x".repeat(100);
    let numbers: Vec<String> = (0..600).map(|n| n.to_string()).collect();
    let numbers = numbers.join(" ");
    let lines = [
        "set k 12345".to_owned(),
        format!("set k {}", long.repeat(3)),
        "rpush k a 12 -4000 b".to_owned(),
        format!("rpush k {numbers}"),
        "sadd k 1 2 300000".to_owned(),
        "sadd k a b 3".to_owned(),
        format!("sadd k {long} b c"),
        format!("sadd k {numbers}"),
        "hset k f v g 12".to_owned(),
        format!("hset k f {long}"),
        "zadd k 1 a 2.5 b -inf c".to_owned(),
        format!("zadd k 1 {long} 2 b"),
        "pfadd k a b c".to_owned(),
    ];
    let mut payloads: Vec<Vec<u8>> = lines.iter().map(|line| dumped(&[line])).collect();
    payloads.push(dumped(&[
        "xadd k 1-1 a 1 b 2",
        "xadd k 1-2 a 3 b 4",
        "xadd k 2-1 c 5",
        "xdel k 1-2",
        "xgroup create k g 0",
        "xreadgroup group g c count 2 streams k >",
    ]));
    // The version and the checksum at the end of a payload are not checked here.
    let old = |kind: u8, body: &[u8]| {
        let len = u8::try_from(body.len()).expect("a short body");
        [&[kind, len], body, &[10, 0], &[0; 8]].concat()
    };
    const ZIPLIST: &[u8] = b"\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\x01b\xff";
    const SCORES: &[u8] = b"\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf3\xff";
    payloads.push(old(9, b"\x01\x01a\x01\0b\xff"));
    payloads.push(old(10, ZIPLIST));
    payloads.push(old(12, SCORES));
    payloads.push(old(13, ZIPLIST));
    payloads.push([&[14, 1, 17], ZIPLIST, &[10, 0], &[0; 8]].concat());
    payloads.push(b"\x03\x01\x01a\x03\x31\x2e\x35\x0a\0\0\0\0\0\0\0\0\0".to_vec());
    payloads.push(b"\x04\x01\x01f\x01v\x0a\0\0\0\0\0\0\0\0\0".to_vec());
    payloads
}

/// The DUMP payload of the key that these commands create.
fn dumped(lines: &[&str]) -> Vec<u8> {
    let mut asked = Asked::new();
    for line in lines {
        asked.ask(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
    }
    bulk(&asked.reply(&[b"dump", b"k"]))
}

/// The text of a bulk string.
fn bulk(reply: &[u8]) -> Vec<u8> {
    let head = reply.iter().position(|byte| *byte == b'\n').expect("a reply") + 1;
    assert!(reply.starts_with(b"$") && reply.len() > head + 2, "{}", reply.escape_ascii());
    reply[head..reply.len() - 2].to_vec()
}

/// Files with one key each, and one with all of them and a library.
fn files() -> Vec<Vec<u8>> {
    const FOOTER: usize = 10;
    let entry = |payload: &Vec<u8>| {
        let body = &payload[..payload.len() - FOOTER];
        [&body[..1], b"\x01k", &body[1..]].concat()
    };
    let file = |records: &[u8]| {
        [b"REDIS0011\xfa\x01a\x01b\xfe\0\xfb\x01\0", records, b"\xff", &[0; 8]].concat()
    };
    let entries: Vec<Vec<u8>> = payloads().iter().map(entry).collect();
    let mut files: Vec<Vec<u8>> = entries.iter().map(|entry| file(entry)).collect();
    let source = &libraries()[0];
    let len = u8::try_from(source.len()).expect("a short library");
    let library = [b"\xf5\x40", &[len][..], source].concat();
    let expiring = [&b"\xfc\0\0\0\0\0\x01\0\0"[..], &entries[0]].concat();
    files.push(file(&[library, expiring, entries.concat()].concat()));
    files
}

/// Reads an RDB file in pieces, and accesses all of its data.
fn read_file(file: &[u8]) {
    let mut reader = Reader::new(ReadOptions { checksum: false, ..ReadOptions::default() });
    for piece in file.chunks(37) {
        reader.feed(piece);
        loop {
            match reader.next_record() {
                Ok(Some(Record::Entry(entry))) => drop(format!("{entry:?}")),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

fn rules() -> Vec<Vec<u8>> {
    texts(&[
        "on >secret ~key:* +@all -@dangerous",
        "on nopass resetkeys %R~in:* %W~out:* &news:* -@all +get +config|get",
        "off #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b allchannels allcommands",
        "on nopass (~a* +get) (%RW~b* +set -@read) clearselectors (+@all ~*)",
        "reset on >secret <secret sanitize-payload skip-sanitize-payload nocommands",
    ])
}

fn decode(script: &[u8], text: &[u8]) {
    Asked::new().ask(&[b"eval", script, b"0", text, b"\x01\x02\x03\x04\x05\x06\x07\x08abc\0defgh"]);
}

fn packed() -> Vec<Vec<u8>> {
    vec![
        b"\x93\x01\xa3abc\xc0".to_vec(),
        b"\x82\xa1a\x92\x01\x02\xa1b\xcb\x3f\xf8\0\0\0\0\0\0".to_vec(),
        b"\xd9\x03abc\xcd\xff\xff\xd3\xff\xff\xff\xff\xff\xff\xff\xfe".to_vec(),
        b"\xdc\0\x02\xc3\xc2\xde\0\x01\x01\x02".to_vec(),
    ]
}

/// HyperLogLogs, sparse and dense.
fn registers() -> Vec<Vec<u8>> {
    let mut asked = Asked::new();
    asked.ask(&[b"pfadd", b"k", b"a", b"b", b"c", b"d"]);
    let sparse = bulk(&asked.reply(&[b"get", b"k"]));
    asked.ask(&[b"pfdebug", b"todense", b"k"]);
    vec![sparse, bulk(&asked.reply(&[b"get", b"k"]))]
}

/// Pipelines of commands on streams, places and HyperLogLogs, and of scripts.
fn requests() -> Vec<Vec<u8>> {
    let pipelines: [&[&str]; 4] = [
        &[
            "xadd s maxlen ~ 100 limit 10 1-1 a 1 b 2",
            "xadd s nomkstream minid = 1-0 * f v",
            "xgroup create s g $ mkstream entriesread 5",
            "xreadgroup group g c count 10 noack streams s >",
            "xautoclaim s g c 0 0-0 count 25 justid",
            "xpending s g idle 0 - + 10 c",
            "xclaim s g c 0 1-1 idle 1 retrycount 3 force lastid 9-9",
            "xsetid s 9-9 entriesadded 9 maxdeletedid 1-1",
            "xinfo stream s full count 1",
            "xrange s - + count 3",
        ],
        &[
            "geoadd g nx ch 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
            "geosearch g fromlonlat 15 37 byradius 200 km asc count 1 any withcoord withdist withhash",
            "geosearchstore d g frommember Palermo bybox 400 400 km storedist",
            "georadius g 15 37 200 km store d",
            "geohash g Palermo",
            "geodist g Palermo Catania ft",
        ],
        &[
            "pfadd h a b c",
            "pfcount h i",
            "pfmerge i h",
            "object freq h",
            "client tracking on bcast prefix a",
        ],
        &[
            "eval return(1) 0",
            "evalsha_ro e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0",
            "script exists a b",
            "function stats",
            "latency histogram get",
            "memory usage h samples 5",
        ],
    ];
    let request = |line: &&str| {
        let mut bytes = Vec::new();
        encode_command(&line.split(' ').collect::<Vec<_>>(), &mut bytes);
        bytes
    };
    pipelines.iter().map(|lines| lines.iter().flat_map(request).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_changed_was_right_before() {
        let ok = |words: &[&[u8]]| {
            let reply = Asked::new().reply(words);
            let told = String::from_utf8_lossy(&reply).into_owned();
            assert!(!reply.is_empty() && !reply.starts_with(b"-"), "{words:?}: {told}");
        };
        payloads().iter().for_each(|payload| ok(&[b"restore", b"k", b"0", payload]));
        scripts().iter().for_each(|source| ok(&[b"eval", source, b"1", b"key", b"value"]));
        libraries().iter().for_each(|source| ok(&[b"function", b"load", source]));
        function_payloads().iter().for_each(|payload| ok(&[b"function", b"restore", payload]));
        packed().iter().for_each(|text| {
            ok(&[b"eval", b"return cmsgpack.pack(cmsgpack.unpack(ARGV[1]))", b"0", text]);
        });
        for rules in rules() {
            let words = rules.split(|byte| *byte == b' ');
            ok(&[&b"acl"[..], b"setuser", b"u"].into_iter().chain(words).collect::<Vec<_>>());
            let file = [b"user u ", &rules[..], b"\n"].concat();
            assert_eq!(Asked::with("save \"\"\naclfile users.acl\n", Some(&file)).ended(), None);
        }
        for registers in registers() {
            let mut asked = Asked::new();
            asked.ask(&[b"set", b"k", &registers]);
            assert_eq!(asked.reply(&[b"pfcount", b"k"]), b":4\r\n");
        }
        for file in files() {
            let mut reader = Reader::new(ReadOptions { checksum: false, ..ReadOptions::default() });
            reader.feed(&file);
            while reader.next_record().expect("a good file").is_some() {}
            assert!(reader.is_done(), "{}", file.escape_ascii());
        }
    }
}
