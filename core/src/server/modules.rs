//! The MODULE command. Limpid has no modules: the list is empty, and none can be loaded.

use super::{Call, Handler, Server, container, row};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};
use crate::front::Permission;

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Server, "module", -2, container)
    .since("4.0.0")
    .complexity("That of the subcommand.")
    .summary("A container for commands on modules.")
    .subcommands(SUBCOMMANDS)];

const LOADING: u32 = flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING;

static SUBCOMMANDS: &[Row<Handler>] = &[
    row(Group::Server, "help", 2, help)
        .flags(flag::LOADING | flag::STALE)
        .since("5.0.0")
        .summary("Tells what the subcommands do."),
    row(Group::Server, "list", 2, list)
        .flags(flag::ADMIN | flag::NOSCRIPT)
        .since("4.0.0")
        .complexity("O(N), N being the number of modules.")
        .summary("Lists the modules: none.")
        .tips(&["nondeterministic_output_order"]),
    row(Group::Server, "load", -3, load)
        .flags(LOADING)
        .since("4.0.0")
        .summary("Refuses to load a module.")
        .syntax("path [arg ...]"),
    row(Group::Server, "loadex", -3, load)
        .flags(LOADING)
        .since("7.0.0")
        .summary("Refuses to load a module with a configuration.")
        .syntax("path [<configs: CONFIG name value> ...] [<args: ARGS arg> ...]"),
    row(Group::Server, "unload", 3, unload)
        .flags(LOADING)
        .since("4.0.0")
        .summary("Tells that there is no such module.")
        .syntax("name"),
];

fn list(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    call.reply().array(0);
    Ok(())
}

/// Refuses MODULE commands if `enable-module-command` does not allow them to this client.
fn check_allowed(server: &Server, call: &Call<'_>) -> Result<(), CommandError> {
    let allowed = match server.config.settings().enable_module_command {
        Permission::Yes => true,
        Permission::Local => call.client.is_local(),
        Permission::No => false,
    };
    if allowed {
        return Ok(());
    }
    Err(CommandError::text(
        "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", \
         you can run it from a local connection, otherwise you need to set this option in the \
         configuration file, and then restart the server.",
    ))
}

fn load(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    check_allowed(server, call)?;
    Err(CommandError::quoting(
        "ERR Error loading the extension '",
        call.arg(2),
        "': this server cannot load modules. Use a function (FUNCTION LOAD) or a script instead.",
    ))
}

fn unload(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    check_allowed(server, call)?;
    Err(CommandError::text("ERR Error unloading module: no such module with that name"))
}

fn help(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    call.reply().help(
        "MODULE",
        &[
            "LIST",
            "    List the modules. There are none.",
            "LOAD <path> [<arg> ...]",
            "    Modules cannot be loaded: this answers an error that says so.",
            "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
            "    The same with a configuration for the module.",
            "UNLOAD <name>",
            "    Answers that there is no such module.",
        ],
    );
    Ok(())
}
