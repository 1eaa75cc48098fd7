//! The TIME command.

use super::Server;
use super::{Call, Handler, row};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Server, "time", 1, time)
    .flags(flag::LOADING | flag::STALE | flag::FAST)
    .since("2.6.0")
    .summary("Tells the server's time.")
    .tips(&["nondeterministic_output"])];

fn time(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let micros = call.now.wall.0;
    let mut reply = call.reply();
    reply.array(2);
    reply.bulk_integer((micros / 1_000_000) as i64);
    reply.bulk_integer((micros % 1_000_000) as i64);
    Ok(())
}
