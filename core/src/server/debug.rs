//! The DEBUG command, for tests of servers and clients.

use std::sync::Arc;

use sha1_smol::Sha1;

use super::Server;
use super::{Call, Handler, row};
use crate::cluster::state::{LinkDirection, PacketFilter};
use crate::command::meta::{flag, special};
use crate::command::{CommandError, Group, Row};
use crate::glob;
use crate::machine::{LogLevel, Output, SIGNALLED};
use crate::persist::rdb;
use crate::resp::Proto;
use crate::resp::number::{format_double, parse_double, parse_i64};
use crate::store::{Entry, Keyed, NewExpire, StringRef, Type, ValueRef};
use crate::time::Duration;

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Server, "debug", -2, debug)
    .special(special::DEBUG)
    .system()
    .flags(flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE)
    .complexity("That of the subcommand.")
    .summary("A container for commands that test the server.")];

/// The signal of DEBUG SEGFAULT.
const SIGSEGV: i32 = 11;

/// The longest duration of DEBUG SLEEP, in seconds.
const MAX_SLEEP: f64 = 86_400.0 * 365.0;

fn debug(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let name = call.arg(1).to_ascii_lowercase();
    match (name.as_slice(), call.args.len()) {
        (b"help", 2) => help(call),
        (b"sleep", 3) => {
            let seconds = parse_double(call.arg(2)).unwrap_or(0.0).clamp(0.0, MAX_SLEEP);
            server.stall(Duration::from_secs_f64(seconds));
            call.reply().ok();
        }
        (b"segfault", 2) => server.exit(SIGNALLED + SIGSEGV),
        (b"log", 3) => {
            let text = String::from_utf8_lossy(call.arg(2)).into_owned();
            server.log(LogLevel::Warning, || format!("DEBUG LOG: {text}"));
            call.reply().ok();
        }
        (b"error", 3) => {
            let text = String::from_utf8_lossy(call.arg(2)).into_owned();
            return Err(CommandError::composed(text));
        }
        (b"object", 3) => object(server, call)?,
        (b"sdslen", 3) => sdslen(server, call)?,
        (b"digest", 2) => {
            let digest = server.digest();
            call.reply().simple(&hex(digest));
        }
        (b"digest-value", _) => {
            let digests: Vec<Digest> = call
                .args
                .from(2)
                .iter()
                .map(|name| {
                    let mut digest = Digest::default();
                    if let Some(entry) = server.service.keyspace.peek(call.client.state.db, name) {
                        digest.entry(entry);
                    }
                    digest
                })
                .collect();
            let mut reply = call.reply();
            reply.array(digests.len());
            for digest in digests {
                reply.simple(&hex(digest));
            }
        }
        (b"loadaof", 2) => {
            if let Some(refusal) = server.reload_refusal() {
                return Err(refusal);
            }
            call.client.waiting = true;
            server.reload_aof(call.now, call.client.id);
        }
        (b"aof-flush-sleep", 3) => call.reply().ok(),
        (b"reload", _) => super::persistence::reload::reload(server, call)?,
        (b"populate", 3..=5) => populate(server, call)?,
        (b"protocol", 3) => protocol(call)?,
        (b"set-active-expire", 3) => {
            server.service.active_expire = call.arg(2) != b"0";
            call.reply().ok();
        }
        (b"pause-cron", 3) => {
            server.service.cron_paused = call.arg(2) != b"0";
            call.reply().ok();
        }
        (b"set-skip-checksum-validation", 3) => {
            let skip = call.arg(2) != b"0";
            let config = Arc::make_mut(&mut server.config);
            config.change_state(|state| state.skip_checksum_validation = skip);
            call.reply().ok();
        }
        (b"set-disable-deny-scripts", 3) => {
            server.service.scripting.may_call_all = call.arg(2) != b"0";
            call.reply().ok();
        }
        (b"quicklist-packed-threshold", 3) => call.reply().ok(),
        (b"replybuffer", 4) => call.reply().ok(),
        (b"config-rewrite-force-all", 2) => server.rewrite_all(call)?,
        (b"replicate", 3..) => {
            server.service.effects.begin(server.service.consumers);
            server.service.effects.propagate(call.client.state.db, call.args.from(2).iter());
            call.reply().ok();
        }
        (b"drop-cluster-packet-filter", 3) => {
            let filter = match parse_i64(call.arg(2)).ok_or(CommandError::NotAnInteger)? {
                -1 => None,
                kind => Some(u16::try_from(kind).map_or(PacketFilter::All, PacketFilter::Kind)),
            };
            server.with_cluster(call.now, |state, _| state.drop_packets(filter));
            call.reply().ok();
        }
        (b"clusterlink", 5) if call.arg(2).eq_ignore_ascii_case(b"kill") => {
            let which = match call.arg(3).to_ascii_lowercase().as_slice() {
                b"to" => LinkDirection::To,
                b"from" => LinkDirection::From,
                b"all" => LinkDirection::All,
                _ => return Err(CommandError::text("ERR Unknown direction: use to, from or all")),
            };
            let name = call.args.at(4);
            let killed =
                server.with_cluster(call.now, |state, local| state.kill_links(local, name, which));
            let disabled = || Err("This instance has cluster support disabled".to_owned());
            killed
                .unwrap_or_else(disabled)
                .map_err(|text| CommandError::composed(format!("ERR {text}")))?;
            call.reply().ok();
        }
        (b"htstats", 3..=4) => table_stats(server, call)?,
        (b"change-repl-id", 2) => {
            server.change_stream_id();
            server.notice(|| "Changing replication IDs after receiving change-repl-id".to_owned());
            call.reply().ok();
        }
        (b"stringmatch-len", 4) => {
            let matches = glob::matches(call.arg(2), call.arg(3));
            call.reply().integer(i64::from(matches));
        }
        _ => {
            return Err(CommandError::subcommand_syntax("DEBUG", call.arg(1)));
        }
    }
    Ok(())
}

fn object(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let now = call.now.wall.as_millis();
    let entry = server
        .service
        .keyspace
        .peek(call.client.state.db, call.arg(2))
        .ok_or(CommandError::NoSuchKey)?;
    let idle = entry.clock().idle_seconds(now);
    let text = format!(
        "Value at:0x{:012x} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        // An address would not be the same on every platform.
        0,
        entry.encoding().name(),
        rdb::serialized_len(entry.value(), server.config.settings().data.rdb_compression),
        (now / 1000).saturating_sub(idle) & 0xFF_FFFF,
        idle,
    );
    call.reply().simple(&text);
    Ok(())
}

/// DEBUG HTSTATS: number of entries and memory of a database's table.
fn table_stats(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let index = parse_i64(call.arg(2)).ok_or(CommandError::NotAnInteger)?;
    let databases = server.config.settings().data.databases;
    let index = usize::try_from(index).ok().filter(|&index| index < databases);
    let index = index.ok_or(CommandError::text("ERR Out of range database"))?;
    let found = server.service.keyspace.summary().find(|summary| summary.0 == index);
    let (_, keys, expiring) = found.unwrap_or((index, 0, 0));
    let [main, expires] = server.service.keyspace.overheads(index);
    let text = format!(
        "[Dictionary HT]\nHash table 0 stats (main hash table):\n number of elements: {keys}\n \
         memory of the table: {main}\n[Expires HT]\nHash table 0 stats (main hash table):\n \
         number of elements: {expiring}\n memory of the table: {expires}\n"
    );
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn sdslen(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let name = call.arg(2);
    let entry =
        server.service.keyspace.peek(call.client.state.db, name).ok_or(CommandError::NoSuchKey)?;
    let ValueRef::String(StringRef::Bytes(value)) = entry.value() else {
        return Err(CommandError::text("ERR Not an sds encoded string."));
    };
    let text = format!(
        "key_sds_len:{0}, key_sds_avail:0, key_zmalloc: {0}, val_sds_len:{1}, val_sds_avail:0, \
         val_zmalloc: {1}",
        name.len(),
        value.len()
    );
    call.reply().simple(&text);
    Ok(())
}

fn populate(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let positive = |text: &[u8]| {
        parse_i64(text)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(CommandError::text("ERR value is out of range, must be positive"))
    };
    let count = positive(call.arg(2))?;
    let prefix = call.args.get(3).unwrap_or(b"key");
    let size = call.args.get(4).map(positive).transpose()?.unwrap_or(0);
    if size as u64 > server.config.settings().data.proto_max_bulk_len {
        return Err(CommandError::OutOfRange);
    }
    server.service.keyspace.env.now_ms = call.now.wall.as_millis();
    let mut db = server.service.keyspace.db(call.client.state.db);
    for i in 0..count {
        let name = [prefix, b":", i.to_string().as_bytes()].concat();
        let key = db.key(&name);
        if db.contains(key) {
            continue;
        }
        let mut value = format!("value:{i}").into_bytes();
        if size > 0 {
            value.resize(size, 0);
        }
        db.set_string(key, StringRef::compact(&value), NewExpire::Never);
    }
    call.ok()
}

fn protocol(call: &mut Call<'_>) -> Result<(), CommandError> {
    let kind = call.arg(2).to_ascii_lowercase();
    let mut reply = call.reply();
    match kind.as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(3141.0 / 1000.0),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.integer(n);
                reply.bool(n == 1);
            }
        }
        b"attrib" => {
            if reply.proto() == Proto::Resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if reply.proto() == Proto::Resp2 {
                return Err(CommandError::text("ERR RESP2 is not supported by this command"));
            }
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        _ => {
            return Err(CommandError::text(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

impl Server {
    /// Blocks the process for a while.
    fn stall(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.stalled = self.stalled.saturating_add(nanos);
        self.outputs.push_back(Output::Stall(time));
    }

    /// The digest of all keys and values, as in DEBUG DIGEST: servers with the same data have the
    /// same digest.
    pub fn data_digest(&self) -> String {
        hex(self.digest())
    }

    /// A digest of all keys and values, which is equal for servers with the same data, Redis
    /// included.
    fn digest(&self) -> Digest {
        let mut all = Digest::default();
        let databases: Vec<usize> = self.service.keyspace.summary().map(|s| s.0).collect();
        for index in databases {
            all.mix(&(index as u32).to_be_bytes());
            for entry in self.service.keyspace.entries(index) {
                let mut one = Digest::default();
                one.mix(entry.key());
                one.entry(entry);
                all.xor(&one.0);
            }
        }
        all
    }
}

/// Redis's digest: `mix` depends on the order, `xor` does not.
#[derive(Clone, Copy, Default)]
struct Digest([u8; 20]);

impl Digest {
    fn xor(&mut self, bytes: &[u8]) {
        for (own, other) in self.0.iter_mut().zip(sha1(bytes)) {
            *own ^= other;
        }
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.xor(bytes);
        self.0 = sha1(&self.0);
    }

    /// Mixes in a value and whether it expires.
    fn entry(&mut self, entry: &Entry) {
        let kind: u32 = match entry.value().kind() {
            Type::String => 0,
            Type::List => 1,
            Type::Set => 2,
            Type::ZSet => 3,
            Type::Hash => 4,
            Type::Stream => 6,
        };
        self.mix(&kind.to_be_bytes());
        match entry.value() {
            ValueRef::String(string) => self.mix(&string.to_vec()),
            ValueRef::Stream(stream) => {
                for entry in stream.iter_from(0) {
                    // The digest writes stream IDs with a point.
                    self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                    for (field, value) in entry.fields() {
                        self.mix(&field.to_vec());
                        self.mix(&value.to_vec());
                    }
                }
            }
            ValueRef::List(list) => list.iter().for_each(|item| self.mix(&item.to_vec())),
            ValueRef::Set(set) => set.iter().for_each(|item| self.xor(&item.to_vec())),
            ValueRef::ZSet(zset) => {
                for (member, score) in zset.iter_from(0) {
                    let mut one = Digest::default();
                    one.mix(&member.to_vec());
                    one.mix(&format_double(score));
                    self.xor(&one.0);
                }
            }
            ValueRef::Hash(hash) => {
                for (field, value) in hash.iter() {
                    let mut one = Digest::default();
                    one.mix(&field.to_vec());
                    one.mix(&value.to_vec());
                    self.xor(&one.0);
                }
            }
        }
        if entry.expire().is_some() {
            self.xor(b"!!expire!!");
        }
    }
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    Sha1::from(bytes).digest().bytes()
}

fn hex(digest: Digest) -> String {
    base16ct::lower::encode_string(&digest.0)
}

fn help(call: &mut Call<'_>) {
    call.reply().help(
        "DEBUG",
        &[
            "CHANGE-REPL-ID",
            "    Give this server another replication id.",
            "CLUSTERLINK KILL <to|from|all> <node-id>",
            "    Cut the connections to a node of the cluster, from it, or both.",
            "CONFIG-REWRITE-FORCE-ALL",
            "    Write all directives into the configuration file.",
            "DIGEST",
            "    A digest of all keys and values.",
            "DIGEST-VALUE <key> [<key> ...]",
            "    A digest of the value of each key.",
            "DROP-CLUSTER-PACKET-FILTER <packet-type>",
            "    Drop messages of this type that come from other nodes; -1: none, -2: drop all.",
            "ERROR <string>",
            "    Reply this error.",
            "HTSTATS <dbid>",
            "    Tell how many entries the tables of a database have, and what they take.",
            "LOADAOF",
            "    Write what waits for the append-only file, forget all data, and load it again.",
            "LOG <message>",
            "    Write this to the log.",
            "OBJECT <key>",
            "    Tell how a value is kept.",
            "PAUSE-CRON <0|1>",
            "    Stop doing things because time passes, or go on.",
            "POPULATE <count> [<prefix>] [<size>]",
            "    Make keys named <prefix>:<number> with values of <size> bytes.",
            "PROTOCOL <type>",
            "    Reply a value of this type of the protocol: string, integer, double, bignum,",
            "    null, array, set, map, attrib, push, verbatim, true, false.",
            "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
            "    Save the data, forget it, and load it again. Like LOADAOF, not within MULTI.",
            "REPLICATE <command>",
            "    Propagate a command to the replicas and the append-only file, without carrying it out.",
            "SEGFAULT",
            "    Crash, with a report in the log.",
            "SET-DISABLE-DENY-SCRIPTS <0|1>",
            "    Whether scripts may call commands that scripts must not.",
            "SET-ACTIVE-EXPIRE <0|1>",
            "    Whether keys are deleted when their time has come, or only when they are met.",
            "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
            "    Whether the checksums of RDB files and of payloads may be wrong.",
            "SLEEP <seconds>",
            "    Do nothing for so long.",
            "STRINGMATCH-LEN <pattern> <string>",
            "    Whether the string matches the pattern.",
        ],
    );
}
