//! The CONFIG command.

use std::sync::Arc;

use super::config::rewrite::{RewriteScope, rewrite};
use super::config::{Change, Config, Kind, Permission, Rewriter, Schema, value};
use super::listeners::bind_address;
use super::{Call, DiskWork, Front, Handler, Rows, Service, container, row};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};
use crate::glob;
use crate::machine::{DiskDone, DiskError, DiskErrorKind, DiskOp, LogLevel, Output};
use crate::sorted::SortedSet;
use crate::time::{Duration, Now};

impl<S: Service> Rows<S> {
    /// The rows of this file.
    pub(crate) const CONFIG: &'static [Row<Handler<S>>] =
        &[row(Group::Server, "config", -2, container)
            .since("2.0.0")
            .complexity("That of the subcommand.")
            .summary("A container for commands on the configuration.")
            .subcommands(Self::CONFIG_SUBCOMMANDS)];

    const CONFIG_SUBCOMMANDS: &'static [Row<Handler<S>>] = &[
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
}

const FLAGS: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;

fn get<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    // Each directive once, under the name by which it was asked for.
    let directives = S::Schema::directives();
    let mut found: Vec<(String, usize)> = Vec::new();
    let mut seen = SortedSet::new();
    for pattern in call.args.from(2).iter() {
        if !pattern.iter().any(|c| matches!(c, b'[' | b'*' | b'?')) {
            if let Some(at) = directives.place(pattern) {
                let name = String::from_utf8_lossy(pattern).to_ascii_lowercase();
                if seen.insert(name.clone()) {
                    found.push((name, at));
                }
            }
            continue;
        }
        for (at, directive) in directives.all().iter().enumerate().filter(|(_, d)| !d.is_hidden()) {
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
        if matches!(directives.all()[at].kind, Kind::Dir) {
            reply.bulk(front.directory.as_bytes());
        } else {
            reply.bulk(front.config.value(at).unwrap_or_default());
        }
    }
    Ok(())
}

fn set<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    if call.args.len() % 2 == 1 {
        return Err(CommandError::Syntax);
    }
    let names: Vec<&[u8]> = (2..call.args.len()).step_by(2).map(|i| call.arg(i)).collect();
    S::check_config_set(front, &names)?;
    let directives = S::Schema::directives();
    let mut changes: Vec<(usize, &[u8], &[u8])> = Vec::new();
    for i in (2..call.args.len()).step_by(2) {
        let name = call.arg(i);
        let at = directives.place(name).ok_or_else(|| {
            let before = "ERR Unknown option or number of arguments for CONFIG SET - '";
            CommandError::quoting(before, name, "'")
        })?;
        let directive = directives.all()[at];
        let protected = directive.is_protected() && !may_change_protected(front, call);
        if directive.is_immutable() {
            return Err(failed(name, "can't set immutable config"));
        } else if protected {
            return Err(failed(name, "can't set protected config"));
        } else if changes.iter().any(|change| change.0 == at) {
            return Err(failed(name, "duplicate parameter"));
        }
        changes.push((at, name, call.arg(i + 1)));
    }
    let old = Arc::clone(&front.config);
    let mut new = Config::clone(&old);
    let mut directory = None;
    for (at, _, text) in changes {
        let directive = directives.all()[at];
        let value = value::from_one(directive, text, new.value(at).unwrap_or_default())
            .map_err(|why| failed(directive.name.as_bytes(), &why.0))?;
        if matches!(directive.kind, Kind::Dir) {
            directory = Some(String::from_utf8_lossy(&value).into_owned());
        }
        new.put(at, value);
    }
    new.changed();
    let other_port = S::ports(&old) != S::ports(&new);
    let listens_elsewhere = listens_elsewhere::<S>(&old, &new);
    let unknown = |name: &&String| !name.starts_with('-') && bind_address(name).is_none();
    if let Some(name) = new.front().bind.iter().find(unknown) {
        let text = format!("Could not resolve the address {name} of 'bind'");
        front.log(LogLevel::Warning, || text);
        return Err(failed(b"bind", "Failed to bind to specified addresses."));
    }
    if listens_elsewhere && (directory.is_some() || front.relisten.is_some()) {
        return Err(failed(
            b"port",
            "addresses cannot change together with 'dir', or during another such change",
        ));
    }
    let new = Arc::new(new);
    front.config = Arc::clone(&new);
    front.config_changed();
    front.update_rights(call.client);
    let waits = if other_port { "port" } else { "bind" };
    let change = Change { client: Some(call.client.id), old, new, directory: None, waits };
    if let Some(path) = directory {
        front.change_directory(Change { waits: "dir", ..change }, path);
        call.client.waiting = true;
    } else if listens_elsewhere && front.replace_listeners(&change)
        || S::config_set(front, call.now, change)
    {
        call.client.waiting = true;
    } else {
        call.reply().ok();
    }
    Ok(())
}

/// Whether two configurations differ in the addresses to listen at.
fn listens_elsewhere<S: Service>(old: &Config<S::Schema>, new: &Config<S::Schema>) -> bool {
    S::ports(old) != S::ports(new) || old.front().bind != new.front().bind
}

fn may_change_protected<S: Service>(front: &Front<S>, call: &Call<'_, S>) -> bool {
    match front.settings().enable_protected_configs {
        Permission::Yes => true,
        Permission::Local => call.client.is_local(),
        Permission::No => false,
    }
}

fn failed(name: &[u8], why: &str) -> CommandError {
    let before = "ERR CONFIG SET failed (possibly related to argument '";
    CommandError::quoting(before, name, &format!("') - {why}"))
}

fn resetstat<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    front.stats.reset();
    S::reset_stats(front);
    call.ok()
}

fn rewrite_file<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
) -> Result<(), CommandError> {
    rewrite_file_to(front, call, RewriteScope::Changed)
}

fn rewrite_file_to<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
    scope: RewriteScope,
) -> Result<(), CommandError> {
    let Some(path) = front.config.file.clone() else {
        return Err(CommandError::text("ERR The server is running without a config file"));
    };
    let client = call.client.id;
    front.rewrite_config(path, Rewriter::Client(client, scope));
    call.client.waiting = true;
    Ok(())
}

impl<S: Service> Front<S> {
    /// CONFIG REWRITE of all directives, for DEBUG CONFIG-REWRITE-FORCE-ALL.
    pub(crate) fn rewrite_all(&mut self, call: &mut Call<'_, S>) -> Result<(), CommandError> {
        rewrite_file_to(self, call, RewriteScope::All)
    }

    /// Updates what is derived from the configuration.
    pub(crate) fn config_changed(&mut self) {
        S::config_changed(self);
        self.password_changed();
        self.slowness_changed();
        let keepalive = self.settings().tcp_keepalive;
        if core::mem::replace(&mut self.keepalive, keepalive) != keepalive {
            let after = (keepalive > 0).then(|| Duration::from_secs(keepalive.into()));
            self.outputs.push_back(Output::KeepAlive(after));
        }
    }

    /// Writes the configuration file because the program itself has changed its configuration.
    /// Returns the number of the request, which [`Service::config_saved`] reports once the file
    /// contains the change; `None` if there is no file. Requests that come during a write are
    /// answered together.
    pub fn save_config(&mut self) -> Option<u64> {
        let path = self.config.file.clone()?;
        self.saves.asked += 1;
        if !self.saves.running {
            self.saves.running = true;
            self.rewrite_config(path, Rewriter::Program(self.saves.asked));
        }
        Some(self.saves.asked)
    }

    /// Starts a rewrite by reading the old file.
    fn rewrite_config(&mut self, path: String, by: Rewriter) {
        let work = DiskWork::LoadConfig { by, path: path.clone() };
        self.front_disk_op(DiskOp::Load { path }, work);
    }

    /// The old file has been read: writes the new one.
    pub(crate) fn config_read(
        &mut self,
        now: Now<'_>,
        by: Rewriter,
        path: String,
        result: Result<DiskDone, DiskError>,
    ) {
        let old = match result {
            Ok(DiskDone::Data(old)) => old,
            Ok(_) => Vec::new(),
            Err(error) if error.kind == DiskErrorKind::NotFound => Vec::new(),
            Err(error) => return self.config_written(now, by, Err(error)),
        };
        let scope = match by {
            Rewriter::Client(_, scope) => scope,
            Rewriter::Program(_) => RewriteScope::Changed,
        };
        let bytes = rewrite(&self.config, &self.user_lines(), &old, &self.directory, scope);
        self.front_disk_op(DiskOp::Replace { path, bytes }, DiskWork::ReplaceConfig { by });
    }

    /// Changes the working directory for a CONFIG SET that waits for it.
    fn change_directory(&mut self, change: Change<S::Schema>, path: String) {
        S::directory_changes(self, false);
        let work = DiskWork::ChangeDir { change, path: path.clone() };
        self.front_disk_op(DiskOp::ChangeDir { path }, work);
    }

    /// The working directory of a CONFIG SET has been changed, or that failed.
    pub(crate) fn directory_changed(
        &mut self,
        now: Now<'_>,
        mut change: Change<S::Schema>,
        path: &str,
        result: Result<DiskDone, DiskError>,
    ) {
        if result.is_ok() {
            let directory = joined(&self.directory, path);
            change.directory = Some(core::mem::replace(&mut self.directory, directory));
            S::directory_changes(self, true);
        }
        self.listeners_or_directory_changed(
            now,
            change,
            result.map(drop).map_err(|error| error.message),
        );
    }

    /// The listeners or the directory of a change are in place, or that failed. The service's part
    /// comes next.
    pub(crate) fn listeners_or_directory_changed(
        &mut self,
        now: Now<'_>,
        change: Change<S::Schema>,
        result: Result<(), String>,
    ) {
        let asked = change.client.is_some();
        if !(asked && result.is_ok() && S::config_set(self, now, change.clone())) {
            self.change_done(now, &change, result);
        }
    }

    /// The new file has been written, or that failed.
    pub(crate) fn config_written(
        &mut self,
        now: Now<'_>,
        by: Rewriter,
        result: Result<DiskDone, DiskError>,
    ) {
        match by {
            Rewriter::Client(client, _) => {
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
            Rewriter::Program(number) => {
                self.saves.running = false;
                S::config_saved(self, now, number, result.map(drop));
                if self.saves.asked > number
                    && !self.saves.running
                    && let Some(path) = self.config.file.clone()
                {
                    self.saves.running = true;
                    self.rewrite_config(path, Rewriter::Program(self.saves.asked));
                }
            }
        }
    }

    /// Answers a CONFIG SET that has waited, and undoes it if it failed.
    pub(crate) fn change_done(
        &mut self,
        now: Now<'_>,
        change: &Change<S::Schema>,
        result: Result<(), String>,
    ) {
        let Some(client) = change.client else {
            if let Err(why) = result {
                let name = change.waits;
                self.log(LogLevel::Warning, || format!("Failed to set {name} back: {why}"));
            }
            return;
        };
        let result = result.map_err(|why| {
            self.undo(change);
            failed(change.waits.as_bytes(), &why)
        });
        self.answer(now, client, result);
    }

    /// Undoes a change. Later changes by others stay.
    fn undo(&mut self, change: &Change<S::Schema>) {
        let before = Arc::clone(&self.config);
        self.config = Arc::new(before.without(&change.old, &change.new));
        self.config_changed();
        let new = Arc::clone(&self.config);
        let undoing = Change { client: None, old: before, new, directory: None, waits: "" };
        if let Some(path) = change.directory.clone() {
            self.change_directory(Change { waits: "dir", ..undoing }, path);
        } else if self.relisten.is_none() && listens_elsewhere::<S>(&undoing.old, &undoing.new) {
            self.replace_listeners(&Change { waits: "port", ..undoing });
        }
    }
}

/// Resolves `path` relative to `directory`.
pub(crate) fn joined(directory: &str, path: &str) -> String {
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

fn help<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
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
