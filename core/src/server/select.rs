//! SELECT.

use super::{Call, Handler, Server, row};
use crate::command::keys::database;
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Connection, "select", 2, select)
    .flags(flag::LOADING | flag::STALE | flag::FAST)
    .acl(acl::CONNECTION)
    .summary("Chooses a database.")
    .syntax("index")];

fn select(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let db = database(call.arg(1), server.config.settings().data.databases)?;
    server.check_database(db)?;
    call.client.state.db = db;
    call.ok()
}
