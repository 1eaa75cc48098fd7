//! Small commands about the server: TIME, LOLWUT, SLOWLOG.

use super::dispatch::{Call, Handler, container, row};
use super::{LIMPID_VERSION, Server, VERSION};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};
use crate::resp::number::parse_i64;

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[
    row(Group::Server, "lolwut", -1, lolwut)
        .flags(flag::READONLY | flag::FAST)
        .since("5.0.0")
        .summary("Draws a little picture and tells the version.")
        .syntax("[VERSION version]"),
    row(Group::Server, "slowlog", -2, container)
        .since("2.2.12")
        .complexity("That of the subcommand.")
        .summary("A container for commands on the log of slow commands.")
        .subcommands(SLOWLOG),
    row(Group::Server, "time", 1, time)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .since("2.6.0")
        .summary("Tells the server's time.")
        .tips(&["nondeterministic_output"]),
];

static SLOWLOG: &[Row<Handler>] = &[
    row(Group::Server, "get", -2, slowlog_get)
        .flags(flag::ADMIN | flag::LOADING | flag::STALE)
        .since("2.2.12")
        .complexity("O(N), N being the number of entries returned.")
        .summary("Lists slow commands, newest first.")
        .syntax("[count]")
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .history(&[("4.0.0", "An entry tells the client's address and name.")]),
    row(Group::Server, "help", 2, slowlog_help)
        .flags(flag::LOADING | flag::STALE)
        .since("6.2.0")
        .summary("Tells what the subcommands do."),
    row(Group::Server, "len", 2, slowlog_len)
        .flags(flag::ADMIN | flag::LOADING | flag::STALE)
        .since("2.2.12")
        .summary("Tells how many slow commands are kept.")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
    row(Group::Server, "reset", 2, slowlog_reset)
        .flags(flag::ADMIN | flag::LOADING | flag::STALE)
        .since("2.2.12")
        .complexity("O(N), N being the number of entries in the log.")
        .summary("Forgets all slow commands.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

fn time(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let micros = call.now.wall.0;
    let mut reply = call.reply();
    reply.array(2);
    reply.bulk_integer((micros / 1_000_000) as i64);
    reply.bulk_integer((micros % 1_000_000) as i64);
    Ok(())
}

fn lolwut(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    // Ripples on clear water, each time others.
    let mut picture = String::new();
    let drops: Vec<(f64, f64)> =
        (0..3).map(|_| (server.rng.unit() * 60.0, server.rng.unit() * 24.0)).collect();
    for y in 0..12 {
        for x in 0..60 {
            let nearest = drops
                .iter()
                .map(|(cx, cy)| {
                    let (dx, dy) = (f64::from(x) - cx, f64::from(y) * 2.0 - cy);
                    (dx * dx + dy * dy).sqrt()
                })
                .fold(f64::MAX, f64::min);
            // Square roots and sums are the same on every platform; sines are not.
            let ring = (nearest / 3.0) as u32;
            picture.push(match ring {
                0 => 'o',
                r if r > 6 => ' ',
                r if r % 2 == 0 => '~',
                _ => ' ',
            });
        }
        let end = picture.trim_end().len();
        picture.truncate(end);
        picture.push('\n');
    }
    let text = format!("{picture}\nRedis ver. {VERSION} (Limpid {LIMPID_VERSION})\n");
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn slowlog_get(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut count = 10;
    if call.args.len() > 3 {
        return Err(CommandError::subcommand_syntax("SLOWLOG", call.arg(1)));
    }
    if let Some(text) = call.args.get(2) {
        count = match parse_i64(text) {
            Some(-1) => usize::MAX,
            Some(count) if count >= 0 => count as usize,
            _ => {
                return Err(CommandError::text("ERR count should be greater than or equal to -1"));
            }
        };
    }
    let entries = server.slowlog.entries();
    let mut reply = call.reply();
    reply.array(count.min(entries.len()));
    for entry in entries.take(count) {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.at as i64);
        reply.integer(entry.took.as_micros() as i64);
        reply.array(entry.args.len());
        for arg in &entry.args {
            reply.bulk(arg);
        }
        reply.bulk(entry.address.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(())
}

fn slowlog_len(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let len = server.slowlog.entries().len();
    call.reply().integer(len as i64);
    Ok(())
}

fn slowlog_reset(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.slowlog.clear();
    call.ok()
}

fn slowlog_help(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    call.reply().help(
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    List the newest slow commands, 10 if not told otherwise, all for -1: number,",
            "    time of the call, microseconds it took, arguments, caller's address and name.",
            "LEN",
            "    Tell how many are kept.",
            "RESET",
            "    Forget them.",
        ],
    );
    Ok(())
}
