//! The COMMAND command, which describes the command table.

use super::{Call, Command, Front, Handler, Rows, Service, row};
use crate::command::meta::{Begin, Find, acl, flag, key};
use crate::command::syntax::{self, Argument, Kind};
use crate::command::{CommandError, Group, KeySpec, Row, find_keys};
use crate::glob;
use crate::resp::reply::{Aggregate, Reply};

impl<S: Service> Rows<S> {
    /// The rows of this file.
    pub(crate) const COMMAND: &'static [Row<Handler<S>>] =
        &[row(Group::Server, "command", -1, command)
            .flags(FLAGS)
            .acl(acl::CONNECTION)
            .since("2.8.13")
            .complexity("O(N), N being the number of all commands.")
            .summary("Tells about all commands.")
            .tips(&["nondeterministic_output_order"])
            .subcommands(Self::COMMAND_SUBCOMMANDS)];

    const COMMAND_SUBCOMMANDS: &'static [Row<Handler<S>>] = &[
        about("count", 2, count).since("2.8.13").summary("Tells how many commands there are."),
        about("docs", -2, docs)
            .since("7.0.0")
            .complexity("O(N), N being the number of commands asked for.")
            .summary("Tells what commands are for and how they are called.")
            .syntax("[command-name ...]")
            .tips(&["nondeterministic_output_order"]),
        about("getkeys", -4, getkeys)
            .since("2.8.13")
            .complexity("O(N), N being the number of arguments.")
            .summary("Finds the keys among arguments.")
            .syntax("command [arg ...]"),
        about("getkeysandflags", -4, getkeysandflags)
            .since("7.0.0")
            .complexity("O(N), N being the number of arguments.")
            .summary("Finds the keys among arguments, and what is done with each.")
            .syntax("command [arg ...]"),
        about("help", 2, help).since("5.0.0").summary("Tells what the subcommands do."),
        about("info", -2, info)
            .since("2.8.13")
            .complexity("O(N), N being the number of commands asked for.")
            .summary("Tells about some commands, or all.")
            .syntax("[command-name ...]")
            .tips(&["nondeterministic_output_order"])
            .history(&[("7.0.0", "Without names, all commands are told of.")]),
        about("list", -2, list)
            .since("7.0.0")
            .complexity("O(N), N being the number of all commands.")
            .summary("Lists the names of commands.")
            .syntax("[FILTERBY <filterby: MODULE module-name | ACLCAT category | PATTERN pattern>]")
            .tips(&["nondeterministic_output_order"]),
    ];
}

const FLAGS: u32 = flag::LOADING | flag::STALE;

const fn about<S: Service>(name: &'static str, arity: i16, handler: Handler<S>) -> Row<Handler<S>> {
    row(Group::Server, name, arity, handler).flags(FLAGS).acl(acl::CONNECTION)
}

fn command<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let list = front.names.list();
    let mut reply = call.reply();
    reply.array(list.len());
    for (_, command) in list {
        describe(&mut reply, command);
    }
    Ok(())
}

fn count<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let count = front.names.len();
    call.reply().integer(count as i64);
    Ok(())
}

fn info<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    if call.args.len() == 2 {
        return command(front, call);
    }
    let names = call.args.from(2);
    let mut reply = call.reply();
    reply.array(names.len());
    for name in names.iter() {
        match front.names.find_full(name) {
            Some(command) => describe(&mut reply, command),
            None => reply.null(),
        }
    }
    Ok(())
}

fn describe<S: Service>(reply: &mut Reply<'_>, command: &Command<S>) {
    let meta = command.meta;
    let (first, last, step, _) = find_keys::legacy_range(meta.keys);
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(i64::from(meta.arity));
    // Redis does not show the flag of commands that may replicate without writing.
    let flags = find_keys::all_flags(meta) & !flag::MAY_REPLICATE;
    names(reply, flag::names(flags), "");
    reply.integer(i64::from(first));
    reply.integer(i64::from(last));
    reply.integer(i64::from(step));
    names(reply, acl::names(meta.categories()), "@");
    reply.set(meta.tips.len());
    for tip in meta.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(meta.keys.len());
    for spec in meta.keys {
        describe_keys(reply, spec);
    }
    let subcommands: Vec<&Command<S>> = subcommands(command).collect();
    if subcommands.is_empty() {
        reply.set(0);
        return;
    }
    reply.array(subcommands.len());
    for sub in subcommands {
        describe(reply, sub);
    }
}

fn subcommands<S: Service>(command: &Command<S>) -> impl Iterator<Item = &'static Command<S>> {
    S::table().subcommands(command)
}

fn names(reply: &mut Reply<'_>, names: impl Iterator<Item = &'static str> + Clone, prefix: &str) {
    reply.set(names.clone().count());
    for name in names {
        reply.simple(&format!("{prefix}{name}"));
    }
}

fn describe_keys(reply: &mut Reply<'_>, spec: &KeySpec) {
    let text = |reply: &mut Reply<'_>, text: &str| reply.bulk(text.as_bytes());
    let number = |reply: &mut Reply<'_>, name: &str, value: i32| {
        reply.bulk(name.as_bytes());
        reply.integer(i64::from(value));
    };
    reply.map(if spec.notes.is_empty() { 3 } else { 4 });
    if !spec.notes.is_empty() {
        text(reply, "notes");
        text(reply, spec.notes);
    }
    text(reply, "flags");
    names(reply, key::names(spec.flags), "");
    text(reply, "begin_search");
    reply.map(2);
    text(reply, "type");
    match spec.begin {
        Begin::Index(index) => {
            text(reply, "index");
            text(reply, "spec");
            reply.map(1);
            number(reply, "index", index);
        }
        Begin::Keyword(word, from) => {
            text(reply, "keyword");
            text(reply, "spec");
            reply.map(2);
            text(reply, "keyword");
            text(reply, word);
            number(reply, "startfrom", from);
        }
        Begin::Unknown => {
            text(reply, "unknown");
            text(reply, "spec");
            reply.map(0);
        }
    }
    text(reply, "find_keys");
    reply.map(2);
    text(reply, "type");
    match spec.find {
        Find::Range { last, step, limit } => {
            text(reply, "range");
            text(reply, "spec");
            reply.map(3);
            number(reply, "lastkey", last);
            number(reply, "keystep", step);
            number(reply, "limit", limit);
        }
        Find::Keynum { at, first, step } => {
            text(reply, "keynum");
            text(reply, "spec");
            reply.map(3);
            number(reply, "keynumidx", at);
            number(reply, "firstkey", first);
            number(reply, "keystep", step);
        }
        Find::Unknown => {
            text(reply, "unknown");
            text(reply, "spec");
            reply.map(0);
        }
    }
}

fn docs<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let commands: Vec<&'static Command<S>> = if call.args.len() == 2 {
        front.names.list().into_iter().map(|(_, command)| command).collect()
    } else {
        call.args.from(2).iter().filter_map(|name| front.names.find_full(name)).collect()
    };
    let mut reply = call.reply();
    reply.map(commands.len());
    for command in commands {
        reply.bulk(command.name.as_bytes());
        document(&mut reply, command);
    }
    Ok(())
}

fn document<S: Service>(reply: &mut Reply<'_>, command: &Command<S>) {
    let meta = command.meta;
    let map = reply.begin(Aggregate::Map);
    let mut fields = 0;
    let mut field = |reply: &mut Reply<'_>, name: &str| {
        reply.bulk(name.as_bytes());
        fields += 1;
    };
    let texts = [
        ("summary", meta.summary),
        ("since", meta.since),
        ("group", meta.group.name()),
        ("complexity", meta.complexity),
    ];
    for (name, text) in texts {
        field(reply, name);
        reply.bulk(text.as_bytes());
    }
    let flags = [(meta.deprecated.is_some(), "deprecated"), (meta.system, "syscmd")];
    let flags = || flags.iter().filter(|(set, _)| *set);
    if flags().count() > 0 {
        field(reply, "doc_flags");
        reply.set(flags().count());
        flags().for_each(|(_, name)| reply.simple(name));
    }
    if let Some((since, by)) = meta.deprecated {
        field(reply, "deprecated_since");
        reply.bulk(since.as_bytes());
        field(reply, "replaced_by");
        reply.bulk(by.as_bytes());
    }
    if !meta.history.is_empty() {
        field(reply, "history");
        reply.set(meta.history.len());
        for (version, change) in meta.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    let arguments = syntax::parse(meta.syntax);
    if !arguments.is_empty() {
        field(reply, "arguments");
        document_arguments(reply, &arguments);
    }
    if !command.subcommands.is_empty() {
        field(reply, "subcommands");
        reply.map(command.subcommands.len());
        for sub in subcommands(command) {
            reply.bulk(sub.name.as_bytes());
            document(reply, sub);
        }
    }
    reply.end(map, fields);
}

fn document_arguments(reply: &mut Reply<'_>, arguments: &[Argument]) {
    reply.array(arguments.len());
    for argument in arguments {
        let map = reply.begin(Aggregate::Map);
        let fields = document_argument(reply, argument);
        reply.end(map, fields);
    }
}

/// Returns the number of fields written.
fn document_argument(reply: &mut Reply<'_>, argument: &Argument) -> usize {
    let grouped = matches!(argument.kind, Kind::OneOf | Kind::Block);
    let texts = [
        ("name", Some(argument.name.as_str())),
        ("type", Some(argument.kind.name())),
        ("display_text", (!grouped).then(|| argument.shown())),
        ("token", argument.token.as_deref()),
        ("since", argument.since.as_deref()),
        ("deprecated_since", argument.deprecated_since.as_deref()),
    ];
    let mut fields = 0;
    for (name, text) in texts {
        if let Some(text) = text {
            reply.bulk(name.as_bytes());
            reply.bulk(text.as_bytes());
            fields += 1;
        }
        if let (Some(spec), "display_text") = (argument.key_spec, name) {
            reply.bulk(b"key_spec_index");
            reply.integer(spec as i64);
            fields += 1;
        }
    }
    let flags: Vec<&str> = [
        (argument.optional, "optional"),
        (argument.multiple, "multiple"),
        (argument.multiple_token, "multiple_token"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect();
    if !flags.is_empty() {
        reply.bulk(b"flags");
        reply.set(flags.len());
        for flag in flags {
            reply.simple(flag);
        }
        fields += 1;
    }
    if grouped {
        reply.bulk(b"arguments");
        document_arguments(reply, &argument.parts);
        fields += 1;
    }
    fields
}

fn list<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    enum Filter<'a> {
        All,
        None,
        Category(u32),
        Pattern(&'a [u8]),
    }
    let filter = match call.args.len() {
        2 => Filter::All,
        5 if call.arg(2).eq_ignore_ascii_case(b"filterby") => {
            let value = call.arg(4);
            match call.arg(3).to_ascii_lowercase().as_slice() {
                // Limpid has no modules.
                b"module" => Filter::None,
                b"aclcat" => acl::NAMES
                    .iter()
                    .find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(value))
                    .map_or(Filter::None, |(bit, _)| Filter::Category(*bit)),
                b"pattern" => Filter::Pattern(value),
                _ => return Err(CommandError::Syntax),
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    let mut found: Vec<&str> = Vec::new();
    let listed = front.names.list();
    for (_, command) in &listed {
        for command in [*command].into_iter().chain(subcommands(command)) {
            let fits = match filter {
                Filter::All => true,
                Filter::None => false,
                Filter::Category(bit) => command.meta.categories() & bit != 0,
                Filter::Pattern(pattern) => {
                    glob::matches_ignoring_case(pattern, command.name.as_bytes())
                }
            };
            if fits {
                found.push(&command.name);
            }
        }
    }
    let mut reply = call.reply();
    reply.set(found.len());
    for name in found {
        reply.bulk(name.as_bytes());
    }
    Ok(())
}

fn getkeys<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let found = found_keys(front, call)?;
    let args = call.args.from(2);
    let mut reply = call.reply();
    reply.array(found.len());
    for (at, _) in found {
        reply.bulk(args.at(at));
    }
    Ok(())
}

fn getkeysandflags<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
) -> Result<(), CommandError> {
    let found = found_keys(front, call)?;
    let args = call.args.from(2);
    let mut reply = call.reply();
    reply.array(found.len());
    for (at, flags) in found {
        reply.array(2);
        reply.bulk(args.at(at));
        names(&mut reply, key::names(flags), "");
    }
    Ok(())
}

fn found_keys<S: Service>(
    front: &Front<S>,
    call: &Call<'_, S>,
) -> Result<Vec<(usize, u32)>, CommandError> {
    let args = call.args.from(2);
    let command = front
        .names
        .find(args.at(0))
        .and_then(|command| match args.get(1) {
            Some(sub) if !command.subcommands.is_empty() => S::table().subcommand(command, sub),
            _ => Some(command),
        })
        .ok_or(CommandError::text("ERR Invalid command specified"))?;
    if command.meta.keys.is_empty() {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    if !command.meta.takes(args.len()) {
        return Err(CommandError::text("ERR Invalid number of arguments specified for command"));
    }
    let found = find_keys::keys(command.meta, args)
        .ok_or(CommandError::text("ERR Invalid arguments specified for command"))?;
    if found.is_empty() && !command.meta.has(flag::NO_MANDATORY_KEYS) {
        return Err(CommandError::text("ERR Invalid arguments specified for command"));
    }
    Ok(found)
}

fn help<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    call.reply().help(
        "COMMAND",
        &[
            "(no subcommand)",
            "    Tell about all commands.",
            "COUNT",
            "    Tell how many commands there are.",
            "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
            "    List the names of commands.",
            "INFO [<command-name> ...]",
            "    Tell about these commands, or all.",
            "DOCS [<command-name> ...]",
            "    Tell what these commands are for, or all, and how they are called.",
            "GETKEYS <full-command>",
            "    Find the keys among the arguments.",
            "GETKEYSANDFLAGS <full-command>",
            "    Find the keys among the arguments, and what is done with each.",
        ],
    );
    Ok(())
}
