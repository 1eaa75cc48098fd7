//! The programs that a World can start, by name.

use std::sync::{Arc, OnceLock};

use crate::client::Help;
use crate::front::{Front, Service};
use crate::sentinel::SentinelServer;
use crate::server::{Config, Facts, Server, table};
use crate::sim::{DaemonOptions, Launch, LaunchError, Process, daemon, resolve_path};

use super::cluster_traffic::ClusterTraffic;
#[cfg(feature = "proxies")]
use super::sharding::Sharding;
#[cfg(feature = "shell")]
use super::shell;
use super::terminal::Terminal;
use super::traffic::Traffic;
#[cfg(feature = "shell")]
use super::worlds::Worlds;

/// The server.
pub const SERVER: &str = "redis-server";
/// The Sentinel: `redis-sentinel <file>`.
pub const SENTINEL: &str = "redis-sentinel";
/// The interactive client.
pub const CLI: &str = "redis-cli";
/// A traffic client: `traffic -h <host> [-p <port>] [--rate <commands a second>]`.
pub const TRAFFIC: &str = "traffic";
/// A client-side sharding client, with the feature `proxies`: `sharding-client --node <host> ...
/// [--rule <rule>]`.
pub const SHARDING: &str = "sharding-client";
/// A traffic client for a cluster:
/// `cluster-traffic --node <host>... [--rate <commands a second>] [--routing learned|redirected]`.
pub const CLUSTER_TRAFFIC: &str = "cluster-traffic";
/// An experiment in many Worlds, with the feature `shell`:
/// `worlds [--sentinels <count>] [--down <percent>] [--count <Worlds>]`.
pub(crate) const WORLDS: &str = "worlds";
/// twemproxy, with the feature `proxies`: `nutcracker -c <file>`.
pub const NUTCRACKER: &str = "nutcracker";
/// predixy, with the feature `proxies`: `predixy <file>`.
pub const PREDIXY: &str = "predixy";
/// keepalived, which moves an address to another host when its host fails, with the feature
/// `proxies`: `keepalived [-f <file>]`.
pub const KEEPALIVED: &str = "keepalived";

/// The cluster tools of Redis 4, with the feature `shell`.
#[cfg(feature = "shell")]
pub(crate) const TRIB: &str = "redis-trib.rb";

/// The programs in `/usr/local/bin` of an installed machine, besides the tools of its shell.
#[cfg(feature = "shell")]
pub(crate) const EXECUTABLES: &[&str] =
    &[SERVER, SENTINEL, CLI, TRIB, NUTCRACKER, PREDIXY, KEEPALIVED];

/// Starts a program by its name. This is the [`Programs`](crate::sim::Programs) of the lab's
/// Worlds.
pub fn programs(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
    #[cfg(feature = "shell")]
    if let Some(program) = shell::program(launch) {
        return Ok(program);
    }
    match launch.program {
        SERVER if launch.args.iter().any(|arg| arg == "--sentinel") => sentinel(launch),
        SERVER => server(launch),
        SENTINEL => sentinel(launch),
        CLI => Ok(Box::new(Terminal::launch(launch)?)),
        TRAFFIC => Ok(Box::new(Traffic::launch(launch)?)),
        #[cfg(feature = "proxies")]
        SHARDING => Ok(Box::new(Sharding::launch(launch)?)),
        CLUSTER_TRAFFIC => Ok(Box::new(ClusterTraffic::launch(launch)?)),
        #[cfg(feature = "shell")]
        WORLDS => Ok(Box::new(Worlds::launch(launch)?)),
        #[cfg(feature = "proxies")]
        NUTCRACKER => super::proxies::nutcracker(launch),
        #[cfg(feature = "proxies")]
        PREDIXY => super::proxies::predixy(launch),
        #[cfg(feature = "proxies")]
        KEEPALIVED => Ok(Box::new(super::keepalived::Keepalived::launch(launch)?)),
        other => {
            let known = [
                SERVER,
                SENTINEL,
                CLI,
                TRAFFIC,
                CLUSTER_TRAFFIC,
                SHARDING,
                NUTCRACKER,
                PREDIXY,
                KEEPALIVED,
                WORLDS,
            ]
            .join(", ");
            Err(LaunchError(format!("{other}: command not found; available are {known}")))
        }
    }
}

/// The documentation of the commands that redis-cli has before it asks a server.
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

/// Starts `redis-server [file] [--directive value ...]`.
fn server(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
    let Configured { file, text, arguments } = Configured::of(launch)?;
    let mut config = Config::parse(&text, arguments, &mut |path| read(launch, path))
        .map_err(|error| LaunchError(error.to_string()))?;
    config.file = file;
    // Its working directory is `dir`, as natively.
    let directory = resolve_path(launch.dir, &config.front().dir);
    if !launch.disk.is_dir(&directory) {
        let dir = &config.front().dir;
        return Err(LaunchError(format!("Can't chdir to '{dir}': No such file or directory")));
    }
    let facts = Facts { directory, ..facts(launch) };
    let mut server = Server::new(config, facts);
    server.trace_scripts();
    Ok(background(server))
}

/// Starts `redis-sentinel file [--directive value ...]`, or `redis-server file --sentinel`.
fn sentinel(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
    let Configured { file, text, arguments } = Configured::of(launch)?;
    let arguments: Vec<String> =
        arguments.iter().filter(|word| *word != "--sentinel").cloned().collect();
    let executable = &mut |path: &str| {
        let stat = launch.disk.stat(&resolve_path(launch.dir, path));
        stat.is_ok_and(|stat| !stat.dir && stat.mode & 0o111 != 0)
    };
    let loader = &mut |path: &str| read(launch, path);
    SentinelServer::configured(file, &text, &arguments, facts(launch), loader, executable)
        .map(background)
        .map_err(|error| LaunchError(error.to_string()))
}

/// A server program as a process that respects `daemonize` and `logfile`.
fn background<S>(program: Front<S>) -> Box<dyn Process>
where
    S: Service,
    Front<S>: Clone + Send + Sync + 'static,
{
    let settings = program.settings();
    let log_file = Some(settings.logfile.clone()).filter(|path| !path.is_empty());
    let directory = Some(settings.dir.clone());
    let background = DaemonOptions { daemonizes: settings.daemonize, log_file, directory };
    daemon(program, background)
}

/// The configuration that a program was started with.
struct Configured<'l> {
    /// The path of its configuration file.
    file: Option<String>,
    /// The contents of that file.
    text: Vec<u8>,
    /// The arguments after the file.
    arguments: &'l [String],
}

impl<'l> Configured<'l> {
    fn of(launch: &Launch<'l>) -> Result<Self, LaunchError> {
        let (file, arguments) = match launch.args.split_first() {
            Some((file, rest)) if !file.starts_with("--") => (Some(file), rest),
            _ => (None, launch.args),
        };
        let text = match file {
            None => Vec::new(),
            Some(file) => read(launch, file).map_err(|error| {
                LaunchError(format!("Fatal error, can't open config file '{file}': {error}"))
            })?,
        };
        let file = file.map(|file| resolve_path(launch.dir, file));
        Ok(Configured { file, text, arguments })
    }
}

fn read(launch: &Launch<'_>, path: &str) -> Result<Vec<u8>, String> {
    launch.disk.read_file(&resolve_path(launch.dir, path)).map_err(|error| error.message)
}

fn facts(launch: &Launch<'_>) -> Facts {
    Facts {
        seed: launch.seed,
        pid: launch.pid,
        directory: launch.dir.to_owned(),
        environment: launch.env.to_vec(),
        ..Facts::default()
    }
}
