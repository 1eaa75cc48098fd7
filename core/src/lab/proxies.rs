//! The proxies as programs of a World.

use crate::machine::Endpoint;
use crate::proxy::{predixy, twemproxy};
use crate::sim::{DaemonOptions, Launch, LaunchError, Process, daemon, plain, resolve_path};

/// Starts `nutcracker [-d] [-c file] [-o log file] [-s stats port] [-m mbuf size]`.
pub(super) fn nutcracker(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
    let (mut file, mut port, mut mbuf_size) = ("conf/nutcracker.yml", 22222, twemproxy::MBUF_SIZE);
    let mut daemon_options = DaemonOptions::default();
    let mut words = launch.args.iter();
    while let Some(option) = words.next() {
        if matches!(option.as_str(), "-d" | "--daemonize") {
            daemon_options.daemonizes = true;
            continue;
        }
        let value = words.next().map_or("", String::as_str);
        let number = || value.parse().map_err(|_| wrong(option, "requires a number"));
        match option.as_str() {
            "-c" | "--conf-file" => file = value,
            "-s" | "--stats-port" => port = number()?,
            "-m" | "--mbuf-size" => mbuf_size = usize::from(number()?).max(512),
            "-o" | "--output" => daemon_options.log_file = Some(value.to_owned()),
            // In a World, the log level and the address of the statistics port are fixed.
            "-v" | "-i" | "-a" | "-p" => {}
            _ => return Err(wrong(option, "is not an option of nutcracker here")),
        }
    }
    let path = resolve_path(launch.dir, file);
    let bytes = launch.disk.read_file(&path).map_err(|error| {
        LaunchError(format!("conf: failed to open configuration '{file}': {}", error.message))
    })?;
    let config = twemproxy::Config::parse(file, &String::from_utf8_lossy(&bytes)).map_err(|e| {
        LaunchError(format!("{e}\nnutcracker: configuration file '{file}' syntax is invalid"))
    })?;
    let options = twemproxy::Options {
        file: path,
        stats: Some(Endpoint::Ip((launch.ip, port).into())),
        mbuf_size,
        source: launch.host.to_owned(),
        seed: launch.seed,
    };
    Ok(daemon(twemproxy::machine(config, options), daemon_options))
}

/// Starts `predixy <file> [--Name=name] [--Bind=address] [--WorkerThreads=n] [--LocalDC=dc]`.
pub(super) fn predixy(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
    let Some((file, options)) = launch.args.split_first() else {
        return Err(LaunchError("predixy: name a configuration file".into()));
    };
    let path = resolve_path(launch.dir, file);
    let mut read = |path: &str| launch.disk.read_file(path).map_err(|error| error.message);
    let config = predixy::Config::parse(&path, options, &mut read)
        .map_err(|error| LaunchError(error.to_string()))?;
    Ok(plain(predixy::machine(config, launch.seed)))
}

fn wrong(option: &str, what: &str) -> LaunchError {
    LaunchError(format!("nutcracker: {option} {what}"))
}
