//! The ACL command: changing and showing users and rules.

use super::disk::UsersWork;
use super::{Call, Front, Handler, Rows, Service, container, row};
use crate::acl::selector::category;
use crate::acl::{Catalog, LogEntry, Request, Selector, User, has_blanks};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::machine::LogLevel;
use crate::resp::number::parse_i64;
use crate::resp::reply::Reply;

impl<S: Service> Rows<S> {
    /// The rows of this file.
    pub(crate) const ACL: &'static [Row<Handler<S>>] = &[row(Group::Server, "acl", -2, container)
        .since("6.0.0")
        .complexity("That of the subcommand.")
        .summary("A container for commands on users and what they may do.")
        .subcommands(Self::ACL_SUBCOMMANDS)];

    const ACL_SUBCOMMANDS: &'static [Row<Handler<S>>] = &[
        row(Group::Server, "cat", -2, cat)
            .flags(OPEN)
            .since("6.0.0")
            .summary("Lists the categories of commands, or the commands of one.")
            .syntax("[category]"),
        row(Group::Server, "deluser", -3, deluser)
            .flags(ADMIN)
            .since("6.0.0")
            .complexity("O(1) for a user with few rules and clients.")
            .summary("Deletes users, and closes their connections.")
            .syntax("username ...")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        row(Group::Server, "dryrun", -4, dryrun)
            .flags(ADMIN)
            .since("7.0.0")
            .summary("Tells whether a user may call a command, without calling it.")
            .syntax("username command [arg ...]"),
        row(Group::Server, "genpass", -2, genpass)
            .flags(OPEN)
            .since("6.0.0")
            .summary("Makes up a password that cannot be guessed.")
            .syntax("[bits#integer]"),
        row(Group::Server, "getuser", 3, getuser)
            .flags(ADMIN)
            .since("6.0.0")
            .complexity("O(N), N being the number of the user's rules.")
            .summary("Shows the rules of a user.")
            .syntax("username")
            .history(&[
                ("6.2.0", "Shows patterns of channels."),
                ("7.0.0", "Shows selectors, and patterns in the form of rules."),
            ]),
        row(Group::Server, "help", 2, help)
            .flags(flag::LOADING | flag::STALE)
            .since("6.0.0")
            .summary("Tells what the subcommands do."),
        row(Group::Server, "list", 2, list)
            .flags(ADMIN)
            .since("6.0.0")
            .complexity("O(N), N being the number of users.")
            .summary("Lists the users as lines of a configuration file."),
        row(Group::Server, "load", 2, load)
            .flags(ADMIN)
            .since("6.0.0")
            .complexity("O(N), N being the number of users.")
            .summary("Reads the users from the file that `aclfile` names."),
        row(Group::Server, "log", -2, log)
            .flags(ADMIN)
            .since("6.0.0")
            .complexity("O(N), N being the number of entries shown.")
            .summary("Shows what was denied lately, newest first.")
            .syntax("[operation: count#integer | RESET]")
            .history(&[(
                "7.2.0",
                "An entry has a number, and tells when it began and when it was last seen.",
            )]),
        row(Group::Server, "save", 2, save)
            .flags(ADMIN)
            .since("6.0.0")
            .complexity("O(N), N being the number of users.")
            .summary("Writes the users into the file that `aclfile` names.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        row(Group::Server, "setuser", -3, setuser)
            .flags(ADMIN)
            .since("6.0.0")
            .complexity("O(N), N being the number of rules.")
            .summary("Creates a user or changes one.")
            .syntax("username [rule ...]")
            .history(&[
                ("6.2.0", "Takes patterns of channels."),
                ("7.0.0", "Takes selectors, and patterns of keys for reading or writing alone."),
            ])
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        row(Group::Server, "users", 2, users)
            .flags(ADMIN)
            .since("6.0.0")
            .complexity("O(N), N being the number of users.")
            .summary("Lists the names of all users."),
        row(Group::Server, "whoami", 2, whoami)
            .flags(OPEN)
            .since("6.0.0")
            .summary("Tells as which user the connection is logged in."),
    ];
}

const OPEN: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;
const ADMIN: u32 = flag::ADMIN | OPEN;

/// The maximum number of bits of ACL GENPASS.
const MAX_BITS: i64 = 4096;

/// The error if a subcommand with one optional argument gets more.
fn at_most_one<S: Service>(call: &Call<'_, S>) -> Result<(), CommandError> {
    match call.args.len() {
        0..=3 => Ok(()),
        _ => Err(CommandError::subcommand_syntax("ACL", call.arg(1))),
    }
}

fn cat<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    at_most_one(call)?;
    let Some(name) = call.args.get(2) else {
        let mut reply = call.reply();
        reply.array(acl::NAMES.len());
        for (_, name) in acl::NAMES {
            reply.bulk(name.as_bytes());
        }
        return Ok(());
    };
    let shown = &name[..name.len().min(128)];
    let bit = category(name).ok_or(CommandError::quoting("ERR Unknown category '", shown, "'"))?;
    let catalog: &dyn Catalog = S::table();
    let names: Vec<&str> = catalog
        .all()
        .filter(|command| command.meta.categories() & bit != 0)
        .map(|command| command.name)
        .collect();
    let mut reply = call.reply();
    reply.array(names.len());
    for name in names {
        reply.bulk(name.as_bytes());
    }
    Ok(())
}

fn setuser<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let name = call.arg(2);
    if has_blanks(name) {
        return Err(CommandError::text("ERR Usernames can't contain spaces or null characters"));
    }
    let rules: Vec<&[u8]> = call.args.from(3).iter().collect();
    front
        .set_user(call.client, name, &rules)
        .map_err(|error| CommandError::Text([b"ERR ", &error[..]].concat().into()))?;
    for rule in rules {
        warn_of_first_argument(front, rule);
    }
    call.ok()
}

/// Logs that a rule allows a first argument, which Redis has deprecated.
fn warn_of_first_argument<S: Service>(front: &mut Front<S>, rule: &[u8]) {
    let [b'+', name @ ..] = rule else { return };
    let Some(bar) = name.iter().rposition(|byte| *byte == b'|') else { return };
    let container = S::table().find(&name[..bar]);
    if container.is_some_and(|command| command.subcommands.is_empty()) {
        let rule = String::from_utf8_lossy(rule).into_owned();
        front.log(LogLevel::Warning, || {
            format!(
                "Deprecation warning: Allowing a first arg of an otherwise blocked command is a \
                 misuse of ACL and may get disabled in the future (offender: {rule})"
            )
        });
    }
}

fn deluser<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let names = call.args.from(2);
    if names.iter().any(|name| name == b"default") {
        return Err(CommandError::text("ERR The 'default' user cannot be removed"));
    }
    let close_state = call.client.close_state;
    let deleted = front.delete_users(call.client, names.iter());
    // A client that deletes its own user still gets the reply before it is disconnected.
    let closing = core::mem::replace(&mut call.client.close_state, close_state);
    call.reply().integer(deleted as i64);
    call.client.close_state = closing;
    Ok(())
}

fn getuser<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    match front.acl.users().get(call.arg(2)) {
        Some(user) => show_user(&mut call.reply(), user),
        None => call.reply().null(),
    }
    Ok(())
}

fn show_user(reply: &mut Reply<'_>, user: &User) {
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(user.flags().count());
    for flag in user.flags() {
        reply.bulk(flag.as_bytes());
    }
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    for digest in user.passwords() {
        reply.bulk(digest.as_bytes());
    }
    let (root, others) = user.selectors().split_first().unzip();
    if let Some(root) = root {
        show_selector(reply, root);
    }
    let others: &[Selector] = others.unwrap_or_default();
    reply.bulk(b"selectors");
    reply.array(others.len());
    for selector in others {
        reply.map(3);
        show_selector(reply, selector);
    }
}

fn show_selector(reply: &mut Reply<'_>, selector: &Selector) {
    reply.bulk(b"commands");
    reply.bulk(&selector.describe_commands());
    reply.bulk(b"keys");
    reply.bulk(&selector.describe_keys());
    reply.bulk(b"channels");
    reply.bulk(&selector.describe_channels());
}

fn list<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let users = front.acl.users();
    let mut reply = call.reply();
    reply.array(users.iter().len());
    for line in users.lines() {
        reply.bulk(&line);
    }
    Ok(())
}

fn users<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let users = front.acl.users().iter();
    let mut reply = call.reply();
    reply.array(users.len());
    for user in users {
        reply.bulk(user.name());
    }
    Ok(())
}

fn whoami<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    match call.client.user.clone() {
        Some(user) => call.reply().bulk(user.name()),
        None => call.reply().null(),
    }
    Ok(())
}

fn load<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    begin(front, call, UsersWork::Load)
}

fn save<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    begin(front, call, UsersWork::Save)
}

fn begin<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
    work: fn(u64) -> UsersWork,
) -> Result<(), CommandError> {
    if !front.begin_users_work(work(call.client.id)) {
        return Err(CommandError::text(
            "ERR This Redis instance is not configured to use an ACL file. You may want to specify \
             users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have \
             a Redis configuration file set) in order to store users in the Redis configuration.",
        ));
    }
    call.client.waiting = true;
    Ok(())
}

fn genpass<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    at_most_one(call)?;
    let bits = match call.args.get(2) {
        Some(bits) => parse_i64(bits).ok_or(CommandError::NotAnInteger)?,
        None => 256,
    };
    if !(1..=MAX_BITS).contains(&bits) {
        return Err(CommandError::text(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a \
             positive number up to 4096",
        ));
    }
    let digits = (bits as usize).div_ceil(4);
    let mut password = String::with_capacity(digits + 16);
    while password.len() < digits {
        password.push_str(&format!("{:016x}", front.rng.u64()));
    }
    call.reply().bulk(&password.as_bytes()[..digits]);
    Ok(())
}

fn log<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    at_most_one(call)?;
    let count = match call.args.get(2) {
        Some(word) if word.eq_ignore_ascii_case(b"reset") => {
            front.acl.log_mut().clear();
            return call.ok();
        }
        Some(count) => parse_i64(count).ok_or(CommandError::NotAnInteger)?,
        None => 10,
    };
    let entries = front.acl.log().entries();
    let count = usize::try_from(count).unwrap_or_default().min(entries.len());
    let now = call.now.wall.as_millis();
    let mut reply = call.reply();
    reply.array(count);
    for entry in entries.take(count) {
        show_entry(&mut reply, entry, now);
    }
    Ok(())
}

fn show_entry(reply: &mut Reply<'_>, entry: &LogEntry, now: u64) {
    let integer = |reply: &mut Reply<'_>, name: &str, value: u64| {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    };
    let text = |reply: &mut Reply<'_>, name: &str, value: &[u8]| {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    };
    reply.map(10);
    integer(reply, "count", entry.count);
    text(reply, "reason", entry.reason.name().as_bytes());
    text(reply, "context", entry.context.name().as_bytes());
    text(reply, "object", &entry.object);
    text(reply, "username", &entry.user);
    reply.bulk(b"age-seconds");
    reply.double(now.saturating_sub(entry.updated) as f64 / 1000.0);
    text(reply, "client-info", entry.client.as_bytes());
    integer(reply, "entry-id", entry.id);
    integer(reply, "timestamp-created", entry.created);
    integer(reply, "timestamp-last-updated", entry.updated);
}

fn dryrun<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let (name, args) = (call.arg(2), call.args.from(3));
    let user = front.acl.users().get(name);
    let user = user.ok_or_else(|| CommandError::quoting("ERR User '", name, "' not found"))?;
    let command = front
        .find_command(args)
        .map_err(|_| CommandError::quoting("ERR Command '", args.at(0), "' not found"))?;
    if !command.meta.takes(args.len()) {
        return Err(CommandError::arity(&command.name));
    }
    match user.check(&mut Request::new(command.info(), args)) {
        Ok(()) => call.reply().ok(),
        Err(denied) => {
            let text = denied.message(name, &command.name, args, true);
            call.reply().bulk(&text);
        }
    }
    Ok(())
}

fn help<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    call.reply().help(
        "ACL",
        &[
            "CAT [<category>]",
            "    List the categories of commands, or the commands of one.",
            "DELUSER <username> [<username> ...]",
            "    Delete users, and close their connections.",
            "DRYRUN <username> <command> [<arg> ...]",
            "    Tell whether the user may call the command, without calling it.",
            "GENPASS [<bits>]",
            "    Make up a password of 256 bits, or of so many.",
            "GETUSER <username>",
            "    Show the rules of a user.",
            "LIST",
            "    List all users as lines of a configuration file.",
            "LOAD",
            "    Read the users from the ACL file.",
            "LOG [<count>|RESET]",
            "    Show what was denied lately, 10 entries if not told otherwise, or forget it.",
            "SAVE",
            "    Write the users into the ACL file.",
            "SETUSER <username> [<rule> ...]",
            "    Create a user or change one by applying the rules, all of them or none.",
            "USERS",
            "    List the names of all users.",
            "WHOAMI",
            "    Tell the name of this connection's user.",
        ],
    );
    Ok(())
}
