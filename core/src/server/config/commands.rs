//! CONFIG.

use std::sync::Arc;

use super::rewrite::rewrite;
use super::table::{DIRECTIVES, Directive, Kind, find};
use super::{Config, Permission, Settings, value};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};
use crate::glob;
use crate::machine::{DiskDone, DiskError, DiskErrorKind, DiskOp, LogLevel};
use crate::server::dispatch::{Call, Handler, container, row};
use crate::server::net::is_address;
use crate::server::{DiskWork, Server};
use crate::sorted::SortedSet;
use crate::time::Now;

/// Rows of the command table.
pub static ROWS: &[Row<Handler>] = &[row(Group::Server, "config", -2, container)
    .since("2.0.0")
    .complexity("That of the subcommand.")
    .summary("A container for commands on the configuration.")
    .subcommands(SUBCOMMANDS)];

const FLAGS: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;

static SUBCOMMANDS: &[Row<Handler>] = &[
    row(Group::Server, "get", -3, get)
        .flags(FLAGS)
        .since("2.0.0")
        .complexity("O(N), N being the number of directives given.")
        .summary("Tells what directives are set to.")
        .syntax("parameter ...")
        .history(&[("7.0.0", "Takes several patterns.")]),
    row(Group::Server, "help", 2, help)
        .flags(flag::LOADING | flag::STALE)
        .since("5.0.0")
        .summary("Tells what the subcommands do."),
    row(Group::Server, "resetstat", 2, resetstat)
        .flags(FLAGS)
        .since("2.0.0")
        .summary("Begins statistics anew.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    row(Group::Server, "rewrite", 2, rewrite_file)
        .flags(FLAGS)
        .since("2.8.0")
        .summary("Writes the configuration into its file.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    row(Group::Server, "set", -4, set)
        .flags(FLAGS)
        .since("2.0.0")
        .complexity("O(N), N being the number of directives given.")
        .summary("Sets directives: all of them, or none.")
        .syntax("<data: parameter value> ...")
        .history(&[("7.0.0", "Takes several directives, of which all are set or none.")])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

fn get(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    // Under the name by which each was asked for, once.
    let mut found: Vec<(String, usize)> = Vec::new();
    let mut seen = SortedSet::new();
    for pattern in call.args.from(2).iter() {
        if !pattern.iter().any(|c| matches!(c, b'[' | b'*' | b'?')) {
            if let Some(at) = find(pattern) {
                let name = String::from_utf8_lossy(pattern).to_ascii_lowercase();
                if seen.insert(name.clone()) {
                    found.push((name, at));
                }
            }
            continue;
        }
        for (at, directive) in DIRECTIVES.iter().enumerate().filter(|(_, d)| !d.is_hidden()) {
            for name in [directive.name, directive.alias] {
                if !name.is_empty()
                    && glob::matches_ignoring_case(pattern, name.as_bytes())
                    && seen.insert(name.to_owned())
                {
                    found.push((name.to_owned(), at));
                }
            }
        }
    }
    let mut reply = call.reply();
    reply.map(found.len());
    for (name, at) in found {
        reply.bulk(name.as_bytes());
        if DIRECTIVES[at].kind == Kind::Dir {
            reply.bulk(server.directory.as_bytes());
        } else {
            reply.bulk(server.config.value(at).unwrap_or_default());
        }
    }
    Ok(())
}

/// A change that has been made and waits for the world to agree.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Who asked for it.
    client: u64,
    /// What it was before.
    old: Arc<Config>,
    /// What it needs, by the name of the directive that is to blame if it fails.
    pub(crate) waits: &'static str,
}

fn set(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.args.len() % 2 == 1 {
        return Err(CommandError::Syntax);
    }
    // These say where and how data is loaded.
    let loads = |name: &[u8]| {
        let names = ["appendonly", "repl-diskless-load", "dir"];
        names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    };
    if server.is_loading() && (2..call.args.len()).step_by(2).any(|i| loads(call.arg(i))) {
        return Err(CommandError::text("LOADING Redis is loading the dataset in memory"));
    }
    let mut changes: Vec<(usize, &[u8], &[u8])> = Vec::new();
    for i in (2..call.args.len()).step_by(2) {
        let name = call.arg(i);
        let at = find(name).ok_or_else(|| {
            let before = "ERR Unknown option or number of arguments for CONFIG SET - '";
            CommandError::quoting(before, name, "'")
        })?;
        let protected = DIRECTIVES[at].is_protected() && !may_change_protected(server, call);
        if DIRECTIVES[at].is_immutable() {
            return Err(failed(name, "can't set immutable config"));
        } else if protected {
            return Err(failed(name, "can't set protected config"));
        } else if changes.iter().any(|change| change.0 == at) {
            return Err(failed(name, "duplicate parameter"));
        }
        changes.push((at, name, call.arg(i + 1)));
    }
    let old = Arc::clone(&server.config);
    let mut new = Config::clone(&old);
    let mut directory = None;
    for (at, _, text) in changes {
        let directive: &Directive = &DIRECTIVES[at];
        let value = value::from_one(directive, text, new.value(at).unwrap_or_default())
            .map_err(|why| failed(directive.name.as_bytes(), &why))?;
        if directive.kind == Kind::Dir {
            directory = Some(String::from_utf8_lossy(&value).into_owned());
        }
        new.put(at, value);
    }
    new.settings = Settings::of(&new);
    let (before, after) = (old.settings(), new.settings());
    let other_port = before.port != after.port;
    let listens_elsewhere = other_port || before.bind != after.bind;
    let unknown = |name: &&String| !name.starts_with('-') && !is_address(name);
    if let Some(name) = after.bind.iter().find(unknown) {
        let text = format!("Could not resolve the address {name} of 'bind'");
        server.log(LogLevel::Warning, || text);
        return Err(failed(b"bind", "Failed to bind to specified addresses."));
    }
    if listens_elsewhere && (directory.is_some() || server.relisten.is_some()) {
        return Err(failed(b"port", "change the addresses by themselves, one change at a time"));
    }
    let switches_aof = before.appendonly != after.appendonly;
    server.config = Arc::new(new);
    server.config_changed();
    let client = call.client.id;
    if listens_elsewhere {
        let waits = if other_port { "port" } else { "bind" };
        if server.listen_elsewhere(Change { client, old, waits }) {
            call.client.waiting = true;
        } else {
            call.reply().ok();
        }
    } else if let Some(path) = directory {
        let change = Change { client, old, waits: "dir" };
        server.directory_changes();
        let work = DiskWork::ChangeDir { change, path: path.clone() };
        server.disk_op(DiskOp::ChangeDir { path }, work);
        call.client.waiting = true;
    } else if switches_aof {
        // The change is made good if it waits, and undone if it fails.
        call.client.waiting =
            server.switch_aof(call.now, Change { client, old, waits: "appendonly" });
        if !call.client.waiting {
            call.reply().ok();
        }
    } else {
        call.reply().ok();
    }
    Ok(())
}

fn may_change_protected(server: &Server, call: &Call<'_>) -> bool {
    match server.config.settings().enable_protected_configs {
        Permission::Yes => true,
        Permission::Local => call.client.is_local(),
        Permission::No => false,
    }
}

fn failed(name: &[u8], why: &str) -> CommandError {
    let before = "ERR CONFIG SET failed (possibly related to argument '";
    CommandError::quoting(before, name, &format!("') - {why}"))
}

fn resetstat(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.stats.reset();
    *server.replication.stats() = Default::default();
    let env = &mut server.keyspace.env;
    (env.hits, env.misses) = (0, 0);
    server.expired_before = env.expired;
    call.ok()
}

fn rewrite_file(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let Some(path) = server.config.file.clone() else {
        return Err(CommandError::text("ERR The server is running without a config file"));
    };
    let client = call.client.id;
    server.disk_op(DiskOp::Load { path: path.clone() }, DiskWork::LoadConfig { client, path });
    call.client.waiting = true;
    Ok(())
}

impl Server {
    /// CONFIG REWRITE has read the old file.
    pub(in crate::server) fn config_read(
        &mut self,
        now: Now<'_>,
        client: u64,
        path: String,
        result: Result<DiskDone, DiskError>,
    ) {
        let old = match result {
            Ok(DiskDone::Data(old)) => old,
            Ok(_) => Vec::new(),
            Err(error) if error.kind == DiskErrorKind::NotFound => Vec::new(),
            Err(error) => return self.config_written(now, client, Err(error)),
        };
        let bytes = rewrite(&self.config, &old, &self.directory);
        self.disk_op(DiskOp::Replace { path, bytes }, DiskWork::ReplaceConfig { client });
    }

    /// Another directory is about to become the working directory. What is being written is
    /// completed where it was begun, as by Redis's child, which keeps the directory that it had.
    fn directory_changes(&mut self) {
        self.snapshot_stays();
        self.aof_stays();
        self.transfer_stays();
    }

    /// CONFIG SET dir has gone to the new directory, or has failed.
    pub(in crate::server) fn directory_changed(
        &mut self,
        now: Now<'_>,
        change: &Change,
        path: &str,
        result: Result<DiskDone, DiskError>,
    ) {
        if result.is_ok() {
            self.directory = joined(&self.directory, path);
            self.tell_where_aof_is();
        }
        self.change_done(now, change, result.map(drop).map_err(|error| error.message));
    }

    /// CONFIG REWRITE has written the new file, or has failed.
    pub(in crate::server) fn config_written(
        &mut self,
        now: Now<'_>,
        client: u64,
        result: Result<DiskDone, DiskError>,
    ) {
        let result = match result {
            Ok(_) => {
                self.notice(|| "CONFIG REWRITE executed with success.".to_owned());
                Ok(())
            }
            Err(error) => {
                self.log(LogLevel::Warning, || format!("CONFIG REWRITE failed: {error}"));
                Err(CommandError::composed(format!("ERR Rewriting config file: {error}")))
            }
        };
        self.answer(now, client, result);
    }

    /// Answers a CONFIG SET that waited; what failed is undone.
    pub(in crate::server) fn change_done(
        &mut self,
        now: Now<'_>,
        change: &Change,
        result: Result<(), String>,
    ) {
        let result = result.map_err(|why| {
            self.config = Arc::clone(&change.old);
            self.config_changed();
            failed(change.waits.as_bytes(), &why)
        });
        self.answer(now, change.client, result);
    }
}

/// `path`, seen from `directory`.
fn joined(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|p| !p.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn help(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    call.reply().help(
        "CONFIG",
        &[
            "GET <pattern>",
            "    Tell the directives that fit the pattern, and what they are set to.",
            "SET <directive> <value> [<directive> <value> ...]",
            "    Set directives: all of them, or none if one is refused.",
            "RESETSTAT",
            "    Begin the statistics of INFO anew.",
            "REWRITE",
            "    Write the configuration into its file.",
        ],
    );
    Ok(())
}
