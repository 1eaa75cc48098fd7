//! XGROUP: creating, changing and deleting consumer groups.

use super::ids;
use crate::command::error::up_to_nul;
use crate::command::{Class, CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::resp::request::Args;
use crate::store::Collection;
use crate::store::value::stream::Group;
use crate::store::value::{Stream, StreamId};

const NO_KEY: CommandError = CommandError::text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

/// The error for a missing group.
pub(super) fn no_group(name: &[u8], key: &[u8]) -> CommandError {
    let text = [b"NOGROUP No such consumer group '", up_to_nul(name), b"' for key name '"].concat();
    CommandError::Text([&text, up_to_nul(key), b"'"].concat().into())
}

/// The options after the ID of CREATE and SETID.
#[derive(Default)]
struct Options {
    /// `MKSTREAM`
    make: bool,
    /// `ENTRIESREAD`
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: Args<'_>, creating: bool) -> Result<Self, CommandError> {
        let mut options = Options::default();
        let mut words = args.from(5).iter();
        while let Some(word) = words.next() {
            if creating && word.eq_ignore_ascii_case(b"mkstream") {
                options.make = true;
                continue;
            }
            let value = words.next().filter(|_| word.eq_ignore_ascii_case(b"entriesread"));
            let value =
                value.ok_or_else(|| CommandError::subcommand_syntax("XGROUP", args.at(1)))?;
            let read = parse_i64(value).ok_or(CommandError::NotAnInteger)?;
            if read < -1 {
                return Err(CommandError::text("ERR value for ENTRIESREAD must be positive or -1"));
            }
            options.entries_read = u64::try_from(read).ok();
        }
        Ok(options)
    }
}

pub(super) fn create(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let args = ctx.args;
    let (name, group) = (args.at(2), args.at(3));
    let options = Options::parse(args, true)?;
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    let there = db.check::<Stream>(key)?.is_some();
    if !there && !options.make {
        return Err(NO_KEY);
    }
    if args.len() > 8 {
        return Err(CommandError::subcommand_syntax("XGROUP", args.at(1)));
    }
    let given = match args.at(4) {
        b"$" => None,
        text => Some(ids::strict(text)?),
    };
    let add = |stream: &mut Stream| {
        let id = given.unwrap_or(stream.counters().last_id);
        stream.add_group(Group::new(group, id, options.entries_read))
    };
    let added = match db.edit(key, add)? {
        Some((added, _)) => added,
        None => {
            let mut stream = Stream::new();
            let added = add(&mut stream);
            db.set_value(key, stream.into_value());
            added
        }
    };
    if !added {
        return Err(CommandError::text("BUSYGROUP Consumer Group name already exists"));
    }
    ctx.stored(name, !there);
    if !there {
        ctx.effects.touched(ctx.db, name);
    }
    record_group_change(ctx, "xgroup-create", name);
    ctx.reply.ok();
    Ok(())
}

pub(super) fn set_id(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let args = ctx.args;
    let name = args.at(2);
    let options = Options::parse(args, false)?;
    change(ctx, |stream, group| {
        if !matches!(args.len(), 5 | 7) {
            return Err(CommandError::subcommand_syntax("XGROUP", args.at(1)));
        }
        let id = match args.at(4) {
            b"$" => stream.counters().last_id,
            text => ids::lenient(text, 0)?,
        };
        stream.change_group(group, |group| group.set_last_id(id, options.entries_read));
        Ok(())
    })?;
    record_group_change(ctx, "xgroup-setid", name);
    ctx.reply.ok();
    Ok(())
}

pub(super) fn create_consumer(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, consumer) = (ctx.args.at(2), ctx.args.at(4));
    let now = ctx.now_ms() as i64;
    let created = change(ctx, |stream, group| {
        Ok(stream.change_group(group, |group| group.add_consumer(consumer, now)) == Some(true))
    })?;
    if created {
        record_group_change(ctx, "xgroup-createconsumer", name);
    }
    ctx.reply.integer(i64::from(created));
    Ok(())
}

pub(super) fn delete_consumer(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, consumer) = (ctx.args.at(2), ctx.args.at(4));
    let pending = change(ctx, |stream, group| {
        Ok(stream.change_group(group, |group| group.remove_consumer(consumer)).flatten())
    })?;
    if pending.is_some() {
        record_group_change(ctx, "xgroup-delconsumer", name);
    }
    ctx.reply.integer(pending.unwrap_or(0) as i64);
    Ok(())
}

pub(super) fn destroy(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let (name, group) = (ctx.args.at(2), ctx.args.at(3));
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |stream: &mut Stream| stream.remove_group(group))?;
    let removed = edited.ok_or(NO_KEY)?.0;
    ctx.reply.integer(i64::from(removed.is_some()));
    if let Some(group) = removed {
        db.free_later(Stream::of_group(group).into_value());
        record_group_change(ctx, "xgroup-destroy", name);
        // Clients that are blocked on this group get an error.
        ctx.effects.ready(ctx.db, name);
    }
    Ok(())
}

/// Records a change to a group. It does not touch watched keys: the entries are the same.
fn record_group_change(ctx: &mut Ctx<'_>, event: &'static str, name: &[u8]) {
    ctx.effects.dirty += 1;
    ctx.effects.event(ctx.db, Class::Stream, event, name);
}

/// Lets `change` change the stream of a command, which must have the group of the command.
fn change<R>(
    ctx: &mut Ctx<'_>,
    change: impl FnOnce(&mut Stream, &[u8]) -> Result<R, CommandError>,
) -> Result<R, CommandError> {
    let (name, group) = (ctx.args.at(2), ctx.args.at(3));
    let mut db = ctx.keyspace.db(ctx.db);
    let edited = db.edit(db.key(name), |stream: &mut Stream| {
        if stream.group(group).is_none() {
            return Err(no_group(group, name));
        }
        change(stream, group)
    })?;
    edited.ok_or(NO_KEY)?.0
}

pub(super) fn help(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    ctx.reply.help(
        "XGROUP",
        &[
            "CREATE <key> <groupname> <id|$> [option]",
            "    Create a group that reads entries behind this ID. Options are:",
            "    * MKSTREAM",
            "      Create the stream, without entries, if it does not exist.",
            "    * ENTRIESREAD entries_read",
            "      How many entries the group has read, for the use of servers.",
            "CREATECONSUMER <key> <groupname> <consumer>",
            "    Create a consumer in the group.",
            "DELCONSUMER <key> <groupname> <consumer>",
            "    Delete a consumer, with what it has not acknowledged.",
            "DESTROY <key> <groupname>",
            "    Delete the group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
            "    Let the group go on behind this ID.",
        ],
    );
    Ok(())
}

/// Propagates the last delivered ID of a group.
pub(super) fn propagate_last_id(ctx: &mut Ctx<'_>, key: &[u8], group: &[u8], last: Progress) {
    let (db, id) = (ctx.db, super::id_text(last.id));
    let read = last.read.map_or(-1, |read| read as i64);
    let read = itoa::Buffer::new().format(read).to_owned();
    let words: [&[u8]; 7] = [b"XGROUP", b"SETID", key, group, &id, b"ENTRIESREAD", read.as_bytes()];
    ctx.effects.also_propagate(db, words);
}

/// A group's reading position.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) id: StreamId,
    pub(super) read: Option<u64>,
}
