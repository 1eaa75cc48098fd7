//! The CLIENT command.

use super::clients::{check_name, describe, is_printable};
use super::tracking_commands::{caching, getredir, tracking, trackinginfo};
use super::{
    Call, Client, ClientKind, ClientState, CloseState, Front, Handler, ReplyMode, Rows, Service,
    container, row,
};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::resp::number::parse_i64;
use crate::time::Duration;

impl<S: Service> Rows<S> {
    /// The rows of this file.
    pub(crate) const CLIENT: &'static [Row<Handler<S>>] =
        &[row(Group::Connection, "client", -2, container)
            .since("2.4.0")
            .complexity("That of the subcommand.")
            .summary("A container for commands on connections.")
            .subcommands(Self::CLIENT_SUBCOMMANDS)];

    const CLIENT_SUBCOMMANDS: &'static [Row<Handler<S>>] = &[
    on_own_connection("caching", 3, caching)
        .since("6.0.0")
        .summary("Says whether the keys that the next command reads are tracked.")
        .syntax("<mode: YES | NO>"),
    on_own_connection("getname", 2, getname).since("2.6.9").summary("Tells the connection's name."),
    on_own_connection("getredir", 2, getredir)
        .since("6.0.0")
        .summary("Tells who gets the connection's invalidations."),
    on_own_connection("help", 2, help)
        .flags(flag::LOADING | flag::STALE)
        .since("5.0.0")
        .summary("Tells what the subcommands do."),
    on_own_connection("id", 2, id).since("5.0.0").summary("Tells the connection's id."),
    on_own_connection("info", 2, info)
        .since("6.2.0")
        .summary("Tells about the connection.")
        .tips(&["nondeterministic_output"]),
    on_any_connection("kill", -3, kill)
        .since("2.4.0")
        .complexity("O(N), N being the number of connections.")
        .summary("Closes connections.")
        .syntax("<filter: old-format=ip:port@-2.8.12 | <new-format: [ID client-id@2.8.12] | [TYPE <client-type@2.8.12: \"normal\" | \"master\"@3.2.0 | \"slave\" | \"replica\"@5.0.0 | \"pubsub\">] | [USER username] | [ADDR addr=ip:port] | [LADDR laddr=ip:port@6.2.0] | [SKIPME <skipme: YES | NO>]> ...>")
        .history(&[
            ("2.8.12", "New: filters by name and value."),
            ("2.8.12", "New: `ID`."),
            ("3.2.0", "New: `TYPE master`."),
            ("5.0.0", "`TYPE slave` is called `TYPE replica`; the old name goes on working."),
            ("6.2.0", "New: `LADDR`."),
        ]),
    on_any_connection("list", -2, list)
        .since("2.4.0")
        .complexity("O(N), N being the number of connections.")
        .summary("Lists connections.")
        .syntax("[TYPE <client-type@5.0.0: \"normal\" | \"master\" | \"replica\" | \"pubsub\">] [ID client-id@6.2.0 ...]")
        .tips(&["nondeterministic_output"])
        .history(&[
            ("2.8.12", "New: the field `id`."),
            ("5.0.0", "New: `TYPE`."),
            ("6.0.0", "New: the field `user`."),
            ("6.2.0", "New: `ID`, and the fields `argv-mem`, `tot-mem`, `laddr`, `redir`."),
            ("7.0.0", "New: the fields `resp`, `multi-mem`, `rbs`, `rbp`."),
            ("7.0.3", "New: the field `ssub`."),
        ]),
    on_any_connection("no-evict", 3, no_evict)
        .since("7.0.0")
        .summary("Spares the connection when memory is short.")
        .syntax("<enabled: ON | OFF>"),
    on_own_connection("no-touch", 3, no_touch)
        .since("7.2.0")
        .summary("Leaves the access times of keys alone.")
        .syntax("<enabled: ON | OFF>"),
    on_any_connection("pause", -3, pause)
        .since("3.0.0")
        .summary("Holds back all commands, or those that write, for a while.")
        .syntax("timeout#integer [mode@6.2.0: WRITE | ALL]")
        .history(&[("6.2.0", "New: `WRITE` and `ALL`.")]),
    on_own_connection("reply", 3, reply)
        .since("3.2.0")
        .summary("Says which replies the connection gets.")
        .syntax("<action: ON | OFF | SKIP>"),
    on_own_connection("setinfo", 4, setinfo)
        .since("7.2.0")
        .summary("Names the client's library and its version.")
        .syntax("<attr: \"lib-name\" libname | \"lib-ver\" libver>")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    on_own_connection("setname", 3, setname)
        .since("2.6.9")
        .summary("Names the connection.")
        .syntax("connection-name"),
    on_own_connection("tracking", -3, tracking)
        .since("6.0.0")
        .complexity("O(1), and O(N) for N prefixes.")
        .summary("Says whether the connection is told of changes to the keys that it caches.")
        .syntax("<status: ON | OFF> [REDIRECT client-id#integer] [PREFIX prefix] ... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]"),
    on_own_connection("trackinginfo", 2, trackinginfo)
        .since("6.2.0")
        .summary("Tells how the connection's caching is tracked."),
    on_any_connection("unblock", -3, unblock)
        .since("5.0.0")
        .complexity("O(log(N)), N being the number of connections.")
        .summary("Ends the wait of a client that a command has blocked.")
        .syntax("client-id [unblock-type: TIMEOUT | ERROR]"),
    on_any_connection("unpause", 2, unpause)
        .since("6.2.0")
        .complexity("O(N), N being the number of clients held back.")
        .summary("Ends CLIENT PAUSE."),
];
}

const OWN_CONNECTION: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;
const ANY_CONNECTION: u32 = flag::ADMIN | OWN_CONNECTION;

const fn on_own_connection<S: Service>(
    name: &'static str,
    arity: i16,
    handler: Handler<S>,
) -> Row<Handler<S>> {
    row(Group::Connection, name, arity, handler).flags(OWN_CONNECTION).acl(acl::CONNECTION)
}

const fn on_any_connection<S: Service>(
    name: &'static str,
    arity: i16,
    handler: Handler<S>,
) -> Row<Handler<S>> {
    row(Group::Connection, name, arity, handler).flags(ANY_CONNECTION).acl(acl::CONNECTION)
}

fn id<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let id = call.client.id;
    call.reply().integer(id as i64);
    Ok(())
}

fn getname<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let name = call.client.name.clone();
    if name.is_empty() {
        call.reply().null();
    } else {
        call.reply().bulk(&name);
    }
    Ok(())
}

fn setname<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    check_name(call.arg(2))?;
    call.client.name = call.arg(2).to_vec();
    call.ok()
}

fn setinfo<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let (option, value) = (call.arg(2), call.arg(3));
    let field = match option.to_ascii_lowercase().as_slice() {
        b"lib-name" => &mut call.client.lib_name,
        b"lib-ver" => &mut call.client.lib_version,
        _ => {
            return Err(CommandError::quoting("ERR Unrecognized option '", option, "'"));
        }
    };
    if !is_printable(value) {
        let after = " cannot contain spaces, newlines or special characters.";
        return Err(CommandError::quoting("ERR ", option, after));
    }
    *field = value.to_vec();
    call.ok()
}

fn info<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let text = describe(call.client, Some(call.now.mono)) + "\n";
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn list<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let (mut class, mut ids) = (None, None);
    match call.args.get(2).map(<[u8]>::to_ascii_lowercase).as_deref() {
        None => {}
        Some(b"type") if call.args.len() == 4 => class = Some(Class::parse(call.arg(3))?),
        Some(b"id") if call.args.len() > 3 => {
            let parsed: Option<Vec<i64>> = call.args.from(3).iter().map(parse_i64).collect();
            ids = Some(parsed.ok_or(CommandError::text("ERR Invalid client ID"))?);
        }
        _ => return Err(CommandError::Syntax),
    }
    let mut text = String::new();
    let clients =
        front.clients.iter_with(call.client).filter(|c| c.close_state != CloseState::Closing);
    match ids {
        None => {
            for client in clients.filter(|c| class.is_none_or(|class| class == Class::of(c))) {
                text.push_str(&describe(client, Some(call.now.mono)));
                text.push('\n');
            }
        }
        Some(ids) => {
            let clients: Vec<&Client<S>> = clients.collect();
            for id in ids {
                if let Some(client) = clients.iter().find(|c| c.id as i64 == id) {
                    text.push_str(&describe(client, Some(call.now.mono)));
                    text.push('\n');
                }
            }
        }
    }
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

/// The client types that CLIENT LIST and CLIENT KILL filter by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Normal,
    Master,
    Replica,
    Pubsub,
}

impl Class {
    fn parse(name: &[u8]) -> Result<Self, CommandError> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Class::Normal),
            b"master" => Ok(Class::Master),
            b"slave" | b"replica" => Ok(Class::Replica),
            b"pubsub" => Ok(Class::Pubsub),
            _ => Err(CommandError::quoting("ERR Unknown client type '", name, "'")),
        }
    }

    fn of<S: Service>(client: &Client<S>) -> Self {
        match client.state.kind() {
            ClientKind::Primary => Class::Master,
            ClientKind::Replica if !client.monitor => Class::Replica,
            _ if client.subscriptions.is_some() => Class::Pubsub,
            _ => Class::Normal,
        }
    }
}

/// The filters of CLIENT KILL.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    class: Option<Class>,
    address: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
    user: Option<&'a [u8]>,
    skip_me: bool,
}

impl<'a> Filter<'a> {
    fn parse<S: Service>(front: &Front<S>, call: &Call<'a, S>) -> Result<Self, CommandError> {
        if call.args.len() == 3 {
            return Ok(Filter { address: Some(call.arg(2)), ..Filter::default() });
        }
        let mut filter = Filter { skip_me: true, ..Filter::default() };
        for at in (2..call.args.len()).step_by(2) {
            let value = call.args.get(at + 1).ok_or(CommandError::Syntax)?;
            match call.arg(at).to_ascii_lowercase().as_slice() {
                b"id" => {
                    let id = parse_i64(value).filter(|id| *id > 0);
                    filter.id = Some(
                        id.ok_or(CommandError::text("ERR client-id should be greater than 0"))?
                            as u64,
                    );
                }
                b"type" => filter.class = Some(Class::parse(value)?),
                b"addr" => filter.address = Some(value),
                b"laddr" => filter.local = Some(value),
                b"user" if front.acl.users().get(value).is_some() => filter.user = Some(value),
                b"user" => {
                    return Err(CommandError::quoting("ERR No such user '", value, "'"));
                }
                b"skipme" => {
                    filter.skip_me = match value.to_ascii_lowercase().as_slice() {
                        b"yes" => true,
                        b"no" => false,
                        _ => return Err(CommandError::Syntax),
                    };
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(filter)
    }

    fn matches<S: Service>(&self, client: &Client<S>) -> bool {
        client.close_state == CloseState::Open
            && self.id.is_none_or(|id| id == client.id)
            && self.class.is_none_or(|class| class == Class::of(client))
            && self.address.is_none_or(|a| a == client.address().as_bytes())
            && self.local.is_none_or(|a| a == client.local_address().as_bytes())
            && self.user.is_none_or(|name| client.user.as_ref().is_some_and(|u| u.name() == name))
    }
}

fn kill<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let filter = Filter::parse(front, call)?;
    let slots: Vec<u32> =
        front.clients.iter().filter(|c| filter.matches(c)).map(|c| c.slot).collect();
    let mut killed = slots.len();
    for slot in slots {
        front.cut_off(slot);
    }
    let own = filter.matches(call.client) && !filter.skip_me;
    killed += usize::from(own);
    if call.args.len() > 3 {
        call.reply().integer(killed as i64);
    } else if killed == 0 {
        return Err(CommandError::text("ERR No such client"));
    } else {
        call.reply().ok();
    }
    if own {
        call.client.close_state = CloseState::AfterReply;
    }
    Ok(())
}

fn pause<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let all = match call.args.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"all") => true,
        Some(b"write") => false,
        Some(_) => {
            return Err(CommandError::text("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
    };
    if call.args.len() > 4 {
        return Err(CommandError::subcommand("CLIENT", call.arg(1)));
    }
    let timeout = parse_i64(call.arg(2))
        .ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    let timeout =
        u64::try_from(timeout).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    let now = call.now.mono;
    front.pause.begin(now, now + Duration::from_millis(timeout), all);
    S::pause_changed(front, now);
    call.ok()
}

fn unblock<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    if call.args.len() > 4 {
        return Err(CommandError::subcommand_syntax("CLIENT", call.arg(1)));
    }
    let error = match call.args.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"timeout") => None,
        Some(b"error") => Some("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        Some(_) => {
            return Err(CommandError::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
    };
    let id = parse_i64(call.arg(2)).ok_or(CommandError::NotAnInteger)?;
    let slot = u64::try_from(id).ok().and_then(|id| front.clients.by_id(id));
    let mut woken = false;
    if let Some(mut client) = slot.and_then(|slot| front.clients.take(slot)) {
        woken = S::unblock(front, call.now, &mut client, error);
        front.clients.put(client);
    }
    call.reply().integer(i64::from(woken));
    Ok(())
}

fn unpause<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    front.end_pause(call.now);
    call.ok()
}

fn reply<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    match call.arg(2).to_ascii_lowercase().as_slice() {
        b"on" => {
            call.client.replies = ReplyMode::On;
            call.reply().ok();
        }
        b"off" => call.client.replies = ReplyMode::Off,
        b"skip" => {
            if call.client.replies != ReplyMode::Off {
                call.client.replies = ReplyMode::SkipNext;
            }
        }
        _ => return Err(CommandError::Syntax),
    }
    Ok(())
}

fn on_or_off(word: &[u8]) -> Result<bool, CommandError> {
    match word.to_ascii_lowercase().as_slice() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

fn no_evict<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    call.client.no_evict = on_or_off(call.arg(2))?;
    call.ok()
}

fn no_touch<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    call.client.no_touch = on_or_off(call.arg(2))?;
    call.ok()
}

fn help<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    call.reply().help(
        "CLIENT",
        &[
            "CACHING (YES|NO)",
            "    Say whether the keys that the next command reads are tracked, in the modes OPTIN",
            "    and OPTOUT.",
            "GETREDIR",
            "    Tell the id of the connection that gets the invalidations of this one.",
            "GETNAME",
            "    Tell the name of this connection.",
            "ID",
            "    Tell the id of this connection.",
            "INFO",
            "    Tell about this connection.",
            "KILL <ip:port>",
            "    Close the connection from this address.",
            "KILL <option> <value> [<option> <value> [...]]",
            "    Close all connections that fit each of these:",
            "    * ADDR (<ip:port>|<unixsocket>:0): the peer's address",
            "    * LADDR (<ip:port>|<unixsocket>:0): our address",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB): what it is for",
            "    * USER <username>: who logged in",
            "    * ID <client-id>: its id",
            "    * SKIPME (YES|NO): whether to spare this connection (yes if not told)",
            "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [...]]",
            "    List connections.",
            "PAUSE <timeout> [WRITE|ALL]",
            "    Hold back all commands, or those that write, for so many milliseconds.",
            "REPLY (ON|OFF|SKIP)",
            "    Say which replies this connection gets.",
            "SETNAME <name>",
            "    Name this connection.",
            "SETINFO <option> <value>",
            "    Tell about the client: LIB-NAME, LIB-VER.",
            "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
            "         [OPTIN] [OPTOUT] [NOLOOP]",
            "    Say whether this connection is told of changes to the keys that it caches.",
            "TRACKINGINFO",
            "    Tell how the caching of this connection is tracked.",
            "UNBLOCK <clientid> [TIMEOUT|ERROR]",
            "    End the wait of a client that a command has blocked.",
            "UNPAUSE",
            "    End the pause.",
            "NO-EVICT (ON|OFF)",
            "    Spare this connection when memory is short.",
            "NO-TOUCH (ON|OFF)",
            "    Leave the access times of keys alone.",
        ],
    );
    Ok(())
}
