//! `limpid cli`, also as `redis-cli`: reads the options, and connects a terminal or a pipe to a
//! server's socket.
//!
//! Input and replies go through a [`Session`] of the core, which prints as redis-cli does. The
//! modes that work differently (`--scan`, `--bigkeys`, `--latency`, ...) use a connection of their
//! own.
//!
//! [`Session`]: limpid_core::client::Session

mod client;
mod cluster;
mod driver;
mod hints;
mod history;
mod keys;
mod latency;
mod lines;
mod options;
mod pipe;
mod rdb;
mod repl;
mod replica;
mod scan;
mod stat;
mod terminal;
mod usage;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::sync::Arc;

use limpid_core::client::quote::unquote;
use limpid_core::client::session::Protocol;
use limpid_core::client::{Format, Help, Output, Session, SessionConfig};

use client::Client;
pub(crate) use cluster::trib_main;
use driver::Driver;
use limpid_core::cluster_tools::{Dialect, Login};
use limpid_core::lab;
use options::{Mode, Options};

/// The version of Redis whose redis-cli this is.
const VERSION: &str = "7.2.6";

/// Runs the program with the arguments that follow its name.
pub(crate) fn main(args: Vec<OsString>) -> ExitCode {
    let args = args.into_iter().map(OsString::into_vec).collect();
    let code = match Options::parse(args) {
        Ok(options) => run(options),
        Err(options::Stop::Help) => print(&usage::text(VERSION)),
        Err(options::Stop::Version) => print(&format!("redis-cli {VERSION}\n")),
        Err(options::Stop::Refused(message)) => fail(&message),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn run(mut options: Options) -> i32 {
    if options.password.is_some() && !options.password_from_env && !options.no_auth_warning {
        eprintln!(
            "Warning: Using a password with '-a' or '-u' option on the command line interface \
             may not be safe."
        );
    }
    if options.ask_password {
        match terminal::ask_password("Please input password: ") {
            Ok(password) => options.password = Some(password),
            Err(error) => return fail(&format!("Cannot read the password: {error}")),
        }
    }
    if let Some(tool) = options.tool.take() {
        let login = Login { user: options.user, password: options.password };
        return cluster::run(tool, Dialect::Cli, login, options.verbose);
    }
    let with_client = |work: fn(&mut Client, &Options) -> i32| match Client::open(&options) {
        Ok(mut client) => work(&mut client, &options),
        Err(message) => fail(&message),
    };
    match &options.mode {
        Some(Mode::Latency) => with_client(latency::sample),
        Some(Mode::Replica) => with_client(replica::follow),
        Some(Mode::Rdb) => with_client(rdb::fetch),
        Some(Mode::FunctionsRdb) => with_client(rdb::fetch_functions),
        Some(Mode::Pipe) => with_client(pipe::transfer),
        Some(Mode::BigKeys) => with_client(keys::biggest_by_length),
        Some(Mode::MemKeys) => with_client(keys::biggest_by_memory),
        Some(Mode::HotKeys) => with_client(keys::hottest),
        Some(Mode::Stat) => with_client(stat::watch),
        Some(Mode::Scan) => with_client(scan::list),
        Some(Mode::IntrinsicLatency(seconds)) => latency::intrinsic(*seconds),
        Some(Mode::Hint(line)) => hints::show(&options, line),
        Some(Mode::HintFile(path)) => hints::check(&options, path),
        Some(Mode::Eval(script)) => eval(&options, script),
        None if options.command.is_empty() => repl::run(&options),
        None => match command(&options) {
            Ok(args) => one_shot(&options, args),
            Err(code) => code,
        },
    }
}

/// Sends one command and prints its reply.
fn one_shot(options: &Options, args: Vec<Vec<u8>>) -> i32 {
    let session = Session::new(session_config(options, false), known_commands());
    let mut driver = Driver::new(session, None);
    let now = driver.now();
    driver.session.run(now, args, options.repeat);
    driver.run_to_end()
}

fn eval(options: &Options, path: &str) -> i32 {
    let script = match std::fs::read(path) {
        Ok(script) => script,
        Err(error) => {
            return fail(&format!("Can't open file '{path}': {}", client::strerror(&error)));
        }
    };
    // A comma by itself separates keys from arguments.
    let keys = options.command.iter().position(|arg| arg == b",");
    let count = keys.unwrap_or(options.command.len());
    let mut args = vec![b"EVAL".to_vec(), script, count.to_string().into_bytes()];
    args.extend(options.command.iter().filter(|arg| *arg != b",").cloned());
    one_shot(options, args)
}

/// The command and its arguments, as the command line and standard input give them.
fn command(options: &Options) -> Result<Vec<Vec<u8>>, i32> {
    let mut args = Vec::new();
    for arg in &options.command {
        match if options.quoted_input { unquote(arg) } else { Some(arg.clone()) } {
            Some(arg) => args.push(arg),
            None => {
                print("Invalid quoted string\n");
                return Err(1);
            }
        }
    }
    let read = || {
        let mut input = Vec::new();
        match std::io::stdin().lock().read_to_end(&mut input) {
            Ok(_) => Ok(input),
            Err(error) => Err(fail(&format!("Reading from standard input: {error}"))),
        }
    };
    if options.stdin_last {
        args.push(read()?);
    } else if let Some(tag) = &options.stdin_tag {
        match args.iter_mut().find(|arg| *arg == tag) {
            Some(arg) => *arg = read()?,
            None => return Err(fail("Using -X option but stdin tag not match.")),
        }
    }
    Ok(args)
}

fn session_config(options: &Options, interactive: bool) -> SessionConfig {
    let tty = terminal::stdout_is_tty();
    SessionConfig {
        socket: options.socket.clone(),
        user: options.user.clone(),
        password: options.password.clone(),
        db: options.db,
        protocol: options.protocol(),
        cluster: options.cluster,
        format: format(options),
        interactive,
        tty,
        color: tty && terminal::has_colors(),
        show_pushes: options.show_pushes.unwrap_or(tty),
        exit_on_error: options.exit_on_error,
        interval: options.interval,
        version: VERSION.to_string(),
        ..SessionConfig::interactive(&options.host, options.port)
    }
}

fn format(options: &Options) -> Format {
    let by_default = if terminal::stdout_is_tty() { Output::Standard } else { Output::Raw };
    let mut format = Format::new(options.output.unwrap_or(by_default));
    if let Some(delimiter) = &options.element_delimiter {
        format.element_delimiter = delimiter.clone();
    }
    if let Some(delimiter) = &options.reply_delimiter {
        format.reply_delimiter = delimiter.clone();
    }
    format
}

/// The commands of Limpid's own server, for when no server can be asked.
fn known_commands() -> Arc<Help> {
    lab::help()
}

impl Options {
    fn protocol(&self) -> Protocol {
        match (self.resp2, self.resp3, self.output) {
            (true, _, _) => Protocol::Resp2,
            (_, true, _) => Protocol::Resp3,
            (_, _, Some(Output::Json | Output::QuotedJson)) => Protocol::Resp3IfKnown,
            _ => Protocol::Default,
        }
    }
}

/// Prints to standard output; a closed pipe is no error.
fn print(text: &str) -> i32 {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    0
}

fn fail(message: &str) -> i32 {
    if !message.is_empty() {
        eprintln!("{message}");
    }
    1
}
