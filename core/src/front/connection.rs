//! Commands on the connection itself: AUTH, HELLO, PING, ECHO, QUIT, RESET.

use super::{Call, CloseState, Front, Handler, ReplyMode, Rows, Service, VERSION, row};
use crate::command::meta::{acl, flag, special};
use crate::command::{CommandError, Group, Row};
use crate::resp::Proto;
use crate::resp::number::parse_i64;

impl<S: Service> Rows<S> {
    /// The rows of this file.
    pub(crate) const CONNECTION: &'static [Row<Handler<S>>] = &[
        row(Group::Connection, "auth", -2, auth)
            .flags(BEFORE_AUTH)
            .acl(acl::CONNECTION)
            .complexity("O(N), N being the number of passwords of the user.")
            .summary("Proves who the client is.")
            .syntax("[username@6.0.0] password")
            .history(&[("6.0.0", "A user's name may stand before the password.")]),
        row(Group::Connection, "echo", 2, echo)
            .flags(flag::LOADING | flag::STALE | flag::FAST)
            .acl(acl::CONNECTION)
            .summary("Gives the message back.")
            .syntax("message"),
        row(Group::Connection, "hello", -1, hello)
            .flags(BEFORE_AUTH)
            .acl(acl::CONNECTION)
            .since("6.0.0")
            .summary("Agrees on a version of the protocol and tells about the server.")
            .syntax("[arguments: protover [AUTH <auth: username password>] [SETNAME clientname]]")
            .history(&[("6.2.0", "The version may be left out: nothing is changed then.")]),
        row(Group::Connection, "ping", -1, ping)
            .special(special::WHILE_SUBSCRIBED | special::TELLS_DISK_ERROR)
            .flags(flag::FAST)
            .acl(acl::CONNECTION)
            .summary("Shows that the server answers.")
            .syntax("[message]")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        row(Group::Connection, "quit", -1, quit)
            .special(special::NOT_QUEUED | special::DROPS_QUEUE | special::WHILE_SUBSCRIBED)
            .flags(BEFORE_AUTH)
            .acl(acl::CONNECTION)
            .summary("Closes the connection.")
            .deprecated("7.2.0", "just closing the connection"),
        row(Group::Connection, "reset", 1, reset)
            .special(special::NOT_QUEUED | special::DROPS_QUEUE | special::WHILE_SUBSCRIBED)
            .flags(BEFORE_AUTH)
            .acl(acl::CONNECTION)
            .since("6.2.0")
            .summary("Makes the connection as it was when it was new."),
    ];
}

/// Flags of commands that are allowed before authentication.
const BEFORE_AUTH: u32 =
    flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::NO_AUTH | flag::ALLOW_BUSY;

fn ping<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let listens = call.client.is_subscribe_only();
    match call.args.len() {
        1 | 2 if listens => {
            let message = call.arg(1);
            let mut reply = call.reply();
            reply.array(2);
            reply.bulk(b"pong");
            reply.bulk(message);
        }
        1 => call.reply().simple("PONG"),
        2 => {
            let message = call.arg(1);
            call.reply().bulk(message);
        }
        _ => return Err(CommandError::arity("ping")),
    }
    Ok(())
}

fn echo<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let message = call.arg(1);
    call.reply().bulk(message);
    Ok(())
}

fn quit<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    call.ok()?;
    call.client.close_state = CloseState::AfterReply;
    Ok(())
}

fn reset<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    front.release(call.client);
    S::reset(call.client);
    let client = &mut *call.client;
    client.proto = Proto::Resp2;
    client.name.clear();
    client.no_evict = false;
    client.no_touch = false;
    client.replies = ReplyMode::On;
    front.log_in_as_default(client);
    call.reply().simple("RESET");
    Ok(())
}

fn auth<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let (user, password) = match call.args.len() {
        2 => {
            if front.acl.users().default_user().needs_no_password() {
                return Err(CommandError::text(
                    "ERR AUTH <password> called without any password configured for the default \
                     user. Are you sure your configuration is correct?",
                ));
            }
            (&b"default"[..], call.arg(1))
        }
        3 => (call.arg(1), call.arg(2)),
        _ => return Err(CommandError::Syntax),
    };
    authenticate(front, call, user, password)?;
    call.ok()
}

/// Logs the client in, or returns the error of a failed authentication.
fn authenticate<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
    user: &[u8],
    password: &[u8],
) -> Result<(), CommandError> {
    if front.log_in(call.now, call.client, user, password, call.arg(0)) {
        Ok(())
    } else {
        Err(CommandError::text("WRONGPASS invalid username-password pair or user is disabled."))
    }
}

fn hello<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let mut proto = None;
    if call.args.len() >= 2 {
        let version = parse_i64(call.arg(1))
            .ok_or(CommandError::text("ERR Protocol version is not an integer or out of range"))?;
        proto = Some(match version {
            2 => Proto::Resp2,
            3 => Proto::Resp3,
            _ => return Err(CommandError::text("NOPROTO unsupported protocol version")),
        });
    }
    let (mut login, mut name) = (None, None);
    let mut at = 2;
    while at < call.args.len() {
        let left = call.args.len() - at - 1;
        let option = call.arg(at);
        if option.eq_ignore_ascii_case(b"auth") && left >= 2 {
            login = Some((call.arg(at + 1), call.arg(at + 2)));
            at += 3;
        } else if option.eq_ignore_ascii_case(b"setname") && left >= 1 {
            super::clients::check_name(call.arg(at + 1))?;
            name = Some(call.arg(at + 1));
            at += 2;
        } else {
            return Err(CommandError::quoting("ERR Syntax error in HELLO option '", option, "'"));
        }
    }
    if let Some((user, password)) = login {
        authenticate(front, call, user, password)?;
    }
    if !call.client.authenticated {
        return Err(CommandError::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        call.client.name = name.to_vec();
    }
    if let Some(proto) = proto {
        call.client.proto = proto;
    }
    let (id, version) = (call.client.id, call.client.proto.number());
    let role = S::role(front);
    let mut reply = call.reply();
    reply.map(6 + usize::from(role.is_some()));
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(i64::from(version));
    reply.bulk(b"id");
    reply.integer(id as i64);
    reply.bulk(b"mode");
    reply.bulk(S::mode(front).as_bytes());
    if let Some(role) = role {
        reply.bulk(b"role");
        reply.bulk(role.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}
