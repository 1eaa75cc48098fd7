//! The programs that a World can start, by their names.

use std::sync::{Arc, OnceLock};

use crate::client::Help;
use crate::server::{Config, Facts, Server, table};
use crate::sim::{Launch, LaunchError, Process, plain, resolve_path};

use super::terminal::Terminal;
use super::traffic::Traffic;

/// The server.
pub const SERVER: &str = "redis-server";
/// The interactive client.
pub const CLI: &str = "redis-cli";
/// A client that makes traffic: `traffic -h <host> [-p <port>] [--rate <commands a second>]`.
pub const TRAFFIC: &str = "traffic";

/// Starts a program: the [`Programs`](crate::sim::Programs) of every World of the lab.
pub fn programs(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
    match launch.program {
        SERVER => server(launch),
        CLI => Ok(Box::new(Terminal::launch(launch)?)),
        TRAFFIC => Ok(Box::new(Traffic::launch(launch)?)),
        other => {
            let known = [SERVER, CLI, TRAFFIC].join(", ");
            Err(LaunchError(format!("{other}: command not found; there are {known}")))
        }
    }
}

/// What redis-cli knows of commands before it has asked a server.
pub fn help() -> Arc<Help> {
    static HELP: OnceLock<Arc<Help>> = OnceLock::new();
    let of_table = || {
        Arc::new(Help::of_metas(table::all().iter().map(|command| {
            let parent = command.parent.and_then(|id| table::all().get(usize::from(id)));
            (command.meta, parent.map(|parent| parent.meta.name))
        })))
    };
    HELP.get_or_init(of_table).clone()
}

/// `redis-server [file] [--directive value ...]`.
fn server(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
    let (file, arguments) = match launch.args.split_first() {
        Some((file, rest)) if !file.starts_with("--") => (Some(file), rest),
        _ => (None, launch.args),
    };
    let mut read = |path: &str| {
        let path = resolve_path(launch.dir, path);
        launch.disk.read_file(&path).map_err(|error| error.message)
    };
    let text = match file {
        None => Vec::new(),
        Some(file) => read(file).map_err(|error| {
            LaunchError(format!("Fatal error, can't open config file '{file}': {error}"))
        })?,
    };
    let mut config = Config::parse(&text, arguments, &mut read)
        .map_err(|error| LaunchError(error.to_string()))?;
    config.file = file.map(|file| resolve_path(launch.dir, file));
    let facts = Facts {
        seed: launch.seed,
        pid: launch.pid,
        directory: launch.dir.to_owned(),
        ..Facts::default()
    };
    Ok(plain(Server::new(config, facts)))
}
