//! The SELECT command.

use super::{Call, Handler, Server, row};
use crate::command::keys::{database, database_number};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Connection, "select", 2, select)
    .flags(flag::LOADING | flag::STALE | flag::FAST)
    .acl(acl::CONNECTION)
    .summary("Chooses a database.")
    .syntax("index")];

fn select(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    // A cluster node has only database 0.
    if database_number(call.arg(1))? != 0 && server.is_clustered() {
        return Err(CommandError::text("ERR SELECT is not allowed in cluster mode"));
    }
    let databases = server.config.settings().data.databases;
    call.client.state.db = database(call.arg(1), databases)?;
    call.ok()
}
