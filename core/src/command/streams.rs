//! Stream commands.
//!
//! * `ids` parses IDs and ranges of them.
//! * `add` holds XADD and XTRIM, `range` what reads or deletes by ID.
//! * `read` holds XREAD and XREADGROUP.
//! * `groups` administers consumer groups; `pending` handles pending entries.
//! * `info` holds XINFO.

mod add;
mod groups;
mod ids;
mod info;
mod pending;
mod range;
mod read;

use super::collection::write_item;
use super::meta::{acl, flag, key};
use super::{CommandError, Ctx, Group, Handler, KeySpec, Row};
use crate::resp::reply::Reply;
use crate::store::value::StreamId;
use crate::store::value::stream::Entry;

/// The rows of the stream commands.
pub static ROWS: &[Row<Handler>] = &[
    row("xack", -4, pending::xack)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .complexity("O(log(N)) for each ID, N being the number of pending entries.")
        .summary("Acknowledges entries that a group has delivered.")
        .syntax("key group id ..."),
    row("xadd", -5, add::xadd)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)
            .notes("UPDATE instead of INSERT because of the optional trimming feature")])
        .complexity("O(log(N)), N being the size of the stream; O(M) for trimming M entries.")
        .summary("Adds an entry to a stream, creating the stream if it does not exist.")
        .syntax("key [NOMKSTREAM@6.2.0] [trim: <strategy: MAXLEN | MINID@6.2.0> [operator: equal== | approximately=~] threshold [LIMIT count@6.2.0]] <id-selector: auto-id=* | id> <data: field value> ...")
        .history(&[
            ("6.2.0", "New: `NOMKSTREAM`, `MINID`, `LIMIT`."),
            ("7.0.0", "IDs of the form `<ms>-*`."),
        ])
        .tips(&["nondeterministic_output"]),
    row("xautoclaim", -6, pending::xautoclaim)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .since("6.2.0")
        .complexity("O(M*log(N)), M being the number of entries looked at and N that of pending ones.")
        .summary("Gives pending entries that were idle for long to another consumer.")
        .syntax("key group consumer min-idle-time start#string [COUNT count] [JUSTID]")
        .history(&[("7.0.0", "The reply tells which entries are gone from the stream.")])
        .tips(&["nondeterministic_output"]),
    row("xclaim", -6, pending::xclaim)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .complexity("O(log(N)) for each ID, N being the number of pending entries.")
        .summary("Gives pending entries to another consumer.")
        .syntax("key group consumer min-idle-time id ... [IDLE ms#integer] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]")
        .tips(&["nondeterministic_output"]),
    row("xdel", -3, range::xdel)
        .flags(flag::WRITE | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .complexity("O(log(N)) for each ID, N being the size of the stream.")
        .summary("Deletes entries.")
        .syntax("key id ..."),
    row("xgroup", -2, container)
        .acl(0)
        .complexity("That of the subcommand.")
        .summary("A container for commands that administer consumer groups.")
        .subcommands(&[
            row("create", -5, groups::create)
                .flags(flag::WRITE | flag::DENYOOM)
                .keys(&[KeySpec::one(2, key::RW | key::INSERT)])
                .summary("Creates a group.")
                .syntax("key group <id-selector: id | new-id=$> [MKSTREAM] [ENTRIESREAD entries-read#integer]")
                .history(&[("7.0.0", "New: `ENTRIESREAD`.")]),
            row("createconsumer", 5, groups::create_consumer)
                .flags(flag::WRITE | flag::DENYOOM)
                .keys(&[KeySpec::one(2, key::RW | key::INSERT)])
                .since("6.2.0")
                .summary("Creates a consumer in a group.")
                .syntax("key group consumer"),
            row("delconsumer", 5, groups::delete_consumer)
                .flags(flag::WRITE)
                .keys(&[KeySpec::one(2, key::RW | key::DELETE)])
                .summary("Deletes a consumer of a group, with what it has not acknowledged.")
                .syntax("key group consumer"),
            row("destroy", 4, groups::destroy)
                .flags(flag::WRITE)
                .keys(&[KeySpec::one(2, key::RW | key::DELETE)])
                .complexity("O(N), N being the number of pending entries; they are freed later.")
                .summary("Deletes a group.")
                .syntax("key group"),
            row("help", 2, groups::help)
                .flags(flag::LOADING | flag::STALE)
                .summary("Explains the subcommands."),
            row("setid", -5, groups::set_id)
                .flags(flag::WRITE)
                .keys(&[KeySpec::one(2, key::RW | key::UPDATE)])
                .summary("Sets up to where a group has read.")
                .syntax("key group <id-selector: id | new-id=$> [ENTRIESREAD entriesread=entries-read#integer]")
                .history(&[("7.0.0", "New: `ENTRIESREAD`.")]),
        ]),
    row("xinfo", -2, container)
        .acl(0)
        .complexity("That of the subcommand.")
        .summary("A container for commands that look into streams.")
        .subcommands(&[
            row("consumers", 4, info::consumers)
                .flags(flag::READONLY)
                .keys(&[KeySpec::one(2, key::RO | key::ACCESS)])
                .summary("Lists the consumers of a group.")
                .syntax("key group")
                .history(&[("7.2.0", "New field: `inactive`.")])
                .tips(&["nondeterministic_output"]),
            row("groups", 3, info::groups)
                .flags(flag::READONLY)
                .keys(&[KeySpec::one(2, key::RO | key::ACCESS)])
                .summary("Lists the groups of a stream.")
                .syntax("key")
                .history(&[("7.0.0", "New fields: `entries-read`, `lag`.")]),
            row("help", 2, info::help)
                .flags(flag::LOADING | flag::STALE)
                .summary("Explains the subcommands."),
            row("stream", -3, info::stream)
                .flags(flag::READONLY)
                .keys(&[KeySpec::one(2, key::RO | key::ACCESS)])
                .summary("Tells about a stream.")
                .syntax("key [full-block: FULL [COUNT count]]")
                .history(&[
                    ("6.0.0", "New: `FULL`."),
                    ("7.0.0", "New fields: `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read`, `lag`."),
                    ("7.2.0", "New field: `active-time`. `seen-time` means attempts, too."),
                ]),
        ]),
    row("xlen", 2, range::xlen)
        .flags(flag::READONLY | flag::FAST)
        .keys(&[KeySpec::one(1, key::RO)])
        .summary("Counts the entries of a stream.")
        .syntax("key"),
    row("xpending", -3, pending::xpending)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .complexity("O(N), N being the number of entries looked at, or of consumers.")
        .summary("Tells which entries a group has delivered that are not acknowledged.")
        .syntax("key group [filters: [IDLE min-idle-time#integer@6.2.0] start#string end#string count [consumer]]")
        .history(&[("6.2.0", "New: `IDLE`, and intervals without their ends.")])
        .tips(&["nondeterministic_output"]),
    row("xrange", -4, range::xrange)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .complexity("O(log(N)+M), N being the size of the stream and M the number of entries given.")
        .summary("Gives the entries with IDs in an interval.")
        .syntax("key start#string end#string [COUNT count]")
        .history(&[("6.2.0", "Intervals without their ends.")]),
    row("xread", -4, read::xread)
        .flags(flag::READONLY | flag::BLOCKING | flag::MOVABLEKEYS)
        .keys(&[streams_spec(1)])
        .complexity("O(log(N)+M) for each stream, N being its size and M the number of entries given.")
        .summary("Gives the entries behind some IDs in several streams, waiting if there are none.")
        .syntax("[COUNT count] [BLOCK milliseconds#integer] STREAMS <streams: key ... id ...>"),
    row("xreadgroup", -7, read::xreadgroup)
        .flags(flag::WRITE | flag::BLOCKING | flag::MOVABLEKEYS)
        .keys(&[streams_spec(4)])
        .complexity("O(M*log(N)) for each stream, N being its size and M the number of entries given.")
        .summary("Gives a consumer entries that its group has not delivered, or those that it has not acknowledged.")
        .syntax("GROUP <group-block: group consumer> [COUNT count] [BLOCK milliseconds#integer] [NOACK] STREAMS <streams: key ... id ...>"),
    row("xrevrange", -4, range::xrevrange)
        .flags(flag::READONLY)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS)])
        .complexity("O(log(N)+M), N being the size of the stream and M the number of entries given.")
        .summary("Gives the entries with IDs in an interval, the last one first.")
        .syntax("key end#string start#string [COUNT count]")
        .history(&[("6.2.0", "Intervals without their ends.")]),
    row("xsetid", -3, range::xsetid)
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .summary("Sets the last ID of a stream. For the use of servers.")
        .syntax("key last-id [ENTRIESADDED entries-added#integer@7.0.0] [MAXDELETEDID max-deleted-id@7.0.0]")
        .history(&[("7.0.0", "New: `ENTRIESADDED`, `MAXDELETEDID`.")]),
    row("xtrim", -4, add::xtrim)
        .flags(flag::WRITE)
        .keys(&[KeySpec::one(1, key::RW | key::DELETE)])
        .complexity("O(N), N being the number of entries removed; whole nodes of them at once.")
        .summary("Removes entries from the front of a stream.")
        .syntax("key <trim: <strategy: MAXLEN | MINID@6.2.0> [operator: equal== | approximately=~] threshold [LIMIT count@6.2.0]>")
        .history(&[("6.2.0", "New: `MINID`, `LIMIT`.")])
        .tips(&["nondeterministic_output"]),
];

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::Stream, name, arity, handler).acl(acl::STREAM).since("5.0.0")
}

/// A key specification for what follows STREAMS: keys up to the middle, then as many IDs.
const fn streams_spec(from: i32) -> KeySpec {
    let mut spec = KeySpec::behind("STREAMS", from, key::RO | key::ACCESS);
    spec.find = super::meta::Find::Range { last: -1, step: 1, limit: 2 };
    spec
}

fn container(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let name = String::from_utf8_lossy(ctx.args.at(0)).to_ascii_lowercase();
    Err(CommandError::arity(&name))
}

/// Writes an entry: its ID, and its fields with their values.
pub(super) fn write_entry(reply: &mut Reply<'_>, entry: &Entry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    reply.array(entry.len() * 2);
    for (field, value) in entry.fields() {
        write_item(reply, field);
        write_item(reply, value);
    }
}

fn write_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(&id_text(id));
}

/// Formats an ID without an allocation.
fn id_text(id: StreamId) -> IdText {
    let mut text = IdText { bytes: [b'-'; 41], len: 0 };
    let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (ms, seq) = (ms.format(id.ms).as_bytes(), seq.format(id.seq).as_bytes());
    text.len = ms.len() + 1 + seq.len();
    text.bytes[..ms.len()].copy_from_slice(ms);
    text.bytes[ms.len() + 1..text.len].copy_from_slice(seq);
    text
}

/// The text of an ID: two numbers of up to twenty digits and a dash.
struct IdText {
    bytes: [u8; 41],
    len: usize,
}

impl core::ops::Deref for IdText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
