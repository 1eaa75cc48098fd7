//! Execution of commands: pipelines, redirections, jobs, functions, loops.

mod compound;
mod conditions;
mod jobs;

pub(super) use jobs::Job;

use core::future::Future;
use core::pin::Pin;

use crate::machine::{
    ChildChange, ChildId, Command as Launch, DiskOp, FileMode, Group, SpawnError, Stdio, Stream,
    TerminalMode,
};
use crate::sim::resolve_path;
use crate::sorted::SortedMap;

use super::os::Os;
use super::syntax::{Command, Item, Link, List, Pipeline, Redirect, RedirectKind, Stage, parse};

/// The state that a shell keeps between commands.
#[derive(Clone, Debug, Default)]
pub(in crate::lab::shell) struct Shell {
    vars: SortedMap<String, Var>,
    /// Functions, as source text.
    pub(in crate::lab::shell) functions: SortedMap<String, String>,
    pub(in crate::lab::shell) aliases: SortedMap<String, String>,
    pub(in crate::lab::shell) name: String,
    pub(in crate::lab::shell) params: Vec<String>,
    pub(in crate::lab::shell) status: i32,
    pub(in crate::lab::shell) dir: String,
    pub(in crate::lab::shell) pid: u32,
    pub(in crate::lab::shell) last_background: Option<u32>,
    pub(in crate::lab::shell) jobs: Vec<Job>,
    pub(in crate::lab::shell) history: Vec<String>,
    /// Whether the shell runs on a terminal.
    pub(in crate::lab::shell) interactive: bool,
    /// Whether Ctrl-C ended the foreground program of a terminal.
    child_interrupted: bool,
    pub(in crate::lab::shell) stop_at_error: bool,
    pub(in crate::lab::shell) unset_is_error: bool,
    pub(in crate::lab::shell) trace: bool,
    /// The command of the EXIT trap.
    pub(in crate::lab::shell) at_exit: Option<String>,
    depth: u32,
}

#[derive(Clone, Debug, Default)]
struct Var {
    value: String,
    exported: bool,
}

/// How execution continues after a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::lab::shell) enum Flow {
    Next,
    Break(u32),
    Continue(u32),
    Return,
    Exit,
}

/// A boxed future, since commands are recursive.
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Shell {
    /// The maximum nesting of functions and `source`.
    const DEPTH: u32 = 16;

    pub(in crate::lab::shell) fn new(os: &Os) -> Self {
        let mut shell = Shell {
            name: "sh".into(),
            dir: os.dir.to_string(),
            pid: os.facts.pid,
            ..Shell::default()
        };
        for (name, value) in os.env.iter() {
            shell.vars.insert(name.clone(), Var { value: value.clone(), exported: true });
        }
        shell
    }

    // --- variables ----------------------------------------------------------------------------

    pub(in crate::lab::shell) fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(|var| var.value.as_str())
    }

    pub(in crate::lab::shell) fn set(&mut self, name: &str, value: &str) {
        self.vars.get_or_default(name.to_owned()).value = value.to_owned();
    }

    pub(in crate::lab::shell) fn export(&mut self, name: &str) {
        self.vars.get_or_default(name.to_owned()).exported = true;
    }

    pub(in crate::lab::shell) fn unset(&mut self, name: &str) {
        self.vars.remove(name);
    }

    pub(in crate::lab::shell) fn all_vars(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.vars.iter().map(|(name, var)| (name.as_str(), var.value.as_str(), var.exported))
    }

    /// The value of a variable or a special parameter.
    pub(in crate::lab::shell) fn special(&self, name: &str) -> Option<String> {
        Some(match name {
            "?" => self.status.to_string(),
            "$" => self.pid.to_string(),
            "!" => self.last_background?.to_string(),
            "#" => self.params.len().to_string(),
            "@" | "*" => self.params.join(" "),
            "-" => if self.interactive { "himBHs" } else { "hB" }.into(),
            "0" => self.name.clone(),
            "PWD" => self.dir.clone(),
            "RANDOM" => ((self.pid.wrapping_mul(7919)) % 32_768).to_string(),
            name if name.bytes().all(|byte| byte.is_ascii_digit()) => {
                let n: usize = name.parse().ok()?;
                self.params.get(n.checked_sub(1)?)?.clone()
            }
            name => self.var(name)?.to_owned(),
        })
    }

    fn environment(&self, extra: &[(String, String)]) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = self
            .all_vars()
            .filter(|(name, _, exported)| *exported && *name != "PWD")
            .map(|(name, value, _)| (name.to_owned(), value.to_owned()))
            .collect();
        env.push(("PWD".into(), self.dir.clone()));
        for (name, value) in extra {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
        env
    }

    /// The commands that give a subshell the state of this shell.
    fn prelude(&self) -> String {
        let mut text = String::new();
        for (name, value, exported) in self.all_vars() {
            if !exported {
                text.push_str(&format!("{name}={}\n", quote(value)));
            }
        }
        for (name, body) in self.functions.iter() {
            text.push_str(&format!("{name}() {body}\n"));
        }
        if self.unset_is_error {
            text.push_str("set -u\n");
        }
        if self.status != 0 {
            text.push_str(&format!("(exit {})\n", self.status));
        }
        text
    }

    /// The command that runs `text` in a subshell.
    fn subshell(&self, text: &str) -> Launch {
        let mut args =
            vec!["-c".to_owned(), format!("{}{text}", self.prelude()), self.name.clone()];
        args.extend(self.params.iter().cloned());
        Launch {
            program: "/bin/sh".into(),
            args,
            env: self.environment(&[]),
            dir: Some(self.dir.clone()),
            stdin: Stdio::Inherit,
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            group: Group::Same,
        }
    }

    /// Command substitution: the output of a command.
    pub(in crate::lab::shell) async fn substitute(
        &mut self,
        os: &Os,
        text: &str,
    ) -> Result<Vec<u8>, String> {
        os.flush().await;
        let command = Launch { stdout: Stdio::Piped, ..self.subshell(text) };
        let (child, _) = os.spawn(command).await.map_err(|error| error.to_string())?;
        let printed = os.read_all(Stream::ChildStdout(child)).await;
        self.status = os.wait_end(child).await.code();
        os.close(Stream::ChildStdout(child)).await;
        Ok(printed)
    }

    // --- lists --------------------------------------------------------------------------------

    /// Parses and runs commands.
    pub(in crate::lab::shell) fn run_text<'a>(
        &'a mut self,
        os: &'a Os,
        text: &'a str,
    ) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            match parse(text) {
                Ok(list) => self.run_list(os, &list).await,
                Err(error) => {
                    self.say(os, &error.to_string()).await;
                    self.status = 2;
                    Flow::Next
                }
            }
        })
    }

    /// Prints an error, prefixed with the shell's name.
    pub(in crate::lab::shell) async fn say(&self, os: &Os, text: &str) {
        let name = if self.interactive { "-bash" } else { &self.name };
        os.flush().await;
        let _ = os.write(Stream::Stderr, format!("{name}: {text}\n").into_bytes()).await;
    }

    pub(in crate::lab::shell) fn run_list<'a>(
        &'a mut self,
        os: &'a Os,
        list: &'a List,
    ) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            for item in &list.0 {
                let flow = self.run_item(os, item).await;
                if flow != Flow::Next {
                    return flow;
                }
                if core::mem::take(&mut self.child_interrupted) {
                    // As in bash, Ctrl-C that ends a program also ends the enclosing loops and
                    // lists.
                    return Flow::Break(u32::MAX);
                }
            }
            Flow::Next
        })
    }

    async fn run_item(&mut self, os: &Os, item: &Item) -> Flow {
        if item.background {
            self.run_background(os, item).await;
            return Flow::Next;
        }
        let mut flow = self.run_pipeline(os, &item.first, &item.text).await;
        let mut tested = item.first.negated;
        for (link, pipeline) in &item.rest {
            if flow != Flow::Next {
                return flow;
            }
            if (*link == Link::And) == (self.status == 0) {
                flow = self.run_pipeline(os, pipeline, &item.text).await;
                tested = pipeline.negated;
            } else {
                tested = true;
            }
        }
        if flow == Flow::Next && self.stop_at_error && self.status != 0 && !tested {
            return Flow::Exit;
        }
        flow
    }

    // --- pipelines ----------------------------------------------------------------------------

    async fn run_pipeline(&mut self, os: &Os, pipeline: &Pipeline, text: &str) -> Flow {
        let mut flow = Flow::Next;
        match pipeline.stages.as_slice() {
            [stage] => flow = self.run_stage(os, stage, text).await,
            stages => self.run_stages(os, stages, text).await,
        }
        if pipeline.negated {
            self.status = i32::from(self.status == 0);
        }
        flow
    }

    async fn run_stages(&mut self, os: &Os, stages: &[Stage], text: &str) {
        os.flush().await;
        let mut children: Vec<(ChildId, u32, Option<i32>)> = Vec::new();
        let mut last_failed = None;
        let mut input = Stdio::Inherit;
        for (n, stage) in stages.iter().enumerate() {
            let is_last = n + 1 == stages.len();
            let (output, next) = if is_last {
                (Stdio::Inherit, Stdio::Null)
            } else {
                let pipe = os.new_pipe().await;
                (Stdio::Pipe(pipe), Stdio::Pipe(pipe))
            };
            let group = self.group(children.first().map(|(child, ..)| *child));
            let stdin = core::mem::replace(&mut input, next);
            match self.spawn_stage(os, stage, stdin, output, group).await {
                Ok((child, pid)) => children.push((child, pid, None)),
                Err((name, error)) => {
                    self.report_spawn_error(os, Some(stage), &name, &error).await;
                    if is_last {
                        last_failed = Some(self.status);
                    }
                }
            }
        }
        self.wait_foreground(os, children, text).await;
        if let Some(status) = last_failed {
            self.status = status;
        }
    }

    fn group(&self, leader: Option<ChildId>) -> Group {
        match leader {
            _ if !self.interactive => Group::Same,
            None => Group::NewForeground,
            Some(leader) => Group::Join(leader),
        }
    }

    /// Starts one stage of a pipeline as a process.
    async fn spawn_stage(
        &mut self,
        os: &Os,
        stage: &Stage,
        stdin: Stdio,
        stdout: Stdio,
        group: Group,
    ) -> Result<(ChildId, u32), (String, SpawnError)> {
        let mut command = match &stage.command {
            Command::Simple { assigns, words } => {
                let refused = |error: String| (String::new(), SpawnError::Refused(error));
                let args = self.expand_all(os, words).await.map_err(refused)?;
                let args = self.expand_alias(args);
                let in_shell = args.first().is_none_or(|name| {
                    self.functions.contains_key(name) || super::builtins::is_special(name)
                });
                if in_shell {
                    self.subshell(&stage.text)
                } else {
                    let mut extra = Vec::new();
                    for (name, word) in assigns {
                        let value = self.expand_one(os, word).await.map_err(refused)?;
                        extra.push((name.clone(), value));
                    }
                    self.command(args, &extra)
                }
            }
            _ => self.subshell(&stage.text),
        };
        (command.stdin, command.stdout, command.group) = (stdin, stdout, group);
        let name = command.program.clone();
        let mut here = None;
        let refused = |error: String| (name.clone(), SpawnError::Refused(error));
        self.redirect(os, stage, &mut command, &mut here).await.map_err(refused)?;
        let (child, pid) = os.spawn(command).await.map_err(|error| (name, error))?;
        if let Some(text) = here {
            // It is fine if the program does not read its here-document.
            let _ = os.write(Stream::ChildStdin(child), text.into_bytes()).await;
            os.close(Stream::ChildStdin(child)).await;
        }
        Ok((child, pid))
    }

    fn command(&self, mut args: Vec<String>, extra: &[(String, String)]) -> Launch {
        let program = args.remove(0);
        Launch {
            program,
            args,
            env: self.environment(extra),
            dir: Some(self.dir.clone()),
            stdin: Stdio::Inherit,
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            group: Group::Same,
        }
    }

    /// Expands an alias in the first word of a command.
    pub(in crate::lab::shell) fn expand_alias(&self, args: Vec<String>) -> Vec<String> {
        let Some(text) = args.first().and_then(|name| self.aliases.get(name)) else { return args };
        let words = text.split_whitespace().map(str::to_owned);
        words.chain(args.into_iter().skip(1)).collect()
    }

    async fn redirect(
        &mut self,
        os: &Os,
        stage: &Stage,
        command: &mut Launch,
        here: &mut Option<String>,
    ) -> Result<(), String> {
        for redirect in &stage.redirects {
            let stdio = match &redirect.kind {
                RedirectKind::Read(word)
                | RedirectKind::Write(word)
                | RedirectKind::Append(word) => {
                    let mode = match redirect.kind {
                        RedirectKind::Read(_) => FileMode::Read,
                        RedirectKind::Write(_) => FileMode::Truncate,
                        _ => FileMode::Append,
                    };
                    Stdio::File { path: self.expand_one(os, word).await?, mode }
                }
                RedirectKind::Same(1) => Stdio::Stdout,
                RedirectKind::Same(2) => Stdio::Stderr,
                RedirectKind::Same(fd) => {
                    return Err(format!("{fd}: only the streams 0, 1 and 2 are supported"));
                }
                RedirectKind::Close => Stdio::Null,
                RedirectKind::Here(word) => {
                    *here = Some(self.expand_one(os, word).await?);
                    Stdio::Piped
                }
            };
            match redirect.fd {
                0 => command.stdin = stdio,
                1 => command.stdout = stdio,
                2 => command.stderr = stdio,
                12 => {
                    command.stdout = stdio;
                    command.stderr = Stdio::Stdout;
                }
                fd => return Err(format!("{fd}: only the streams 0, 1 and 2 are supported")),
            }
        }
        Ok(())
    }

    /// Prints why a program could not be started, to where its standard error goes.
    async fn report_spawn_error(
        &mut self,
        os: &Os,
        stage: Option<&Stage>,
        name: &str,
        error: &SpawnError,
    ) {
        let text = match error {
            SpawnError::Refused(why) if name.is_empty() => why.clone(),
            SpawnError::Refused(why) => why.trim_end().to_owned(),
            SpawnError::Stream { .. } => error.to_string(),
            SpawnError::NotFound if name.contains('/') => {
                format!("{name}: No such file or directory")
            }
            error => format!("{name}: {error}"),
        };
        let own_words = matches!(error, SpawnError::Refused(_)) && !name.is_empty();
        let status = match error {
            SpawnError::NotFound => 127,
            SpawnError::Denied => 126,
            _ => 1,
        };
        let line = match (own_words, self.interactive) {
            (true, _) => format!("{text}\n"),
            (false, true) => format!("-bash: {text}\n"),
            (false, false) => format!("{}: {text}\n", self.name),
        };
        let errors = stage.into_iter().flat_map(|stage| &stage.redirects);
        let errors: Vec<Redirect> = errors
            .filter(|redirect| matches!(redirect.fd, 2 | 12))
            .map(|redirect| Redirect { fd: 1, kind: redirect.kind.clone() })
            .collect();
        let elsewhere = !matches!(error, SpawnError::Stream { .. })
            && errors.iter().any(|redirect| !matches!(redirect.kind, RedirectKind::Same(_)));
        if let (true, Some(stage)) = (elsewhere, stage) {
            let stage = Stage { redirects: errors, ..stage.clone() };
            self.captured(os, &stage, line.into_bytes()).await;
        } else {
            os.flush().await;
            let _ = os.write(Stream::Stderr, line.into_bytes()).await;
        }
        self.status = status;
    }

    // --- single commands -------------------------------------------------------------------------

    async fn run_stage(&mut self, os: &Os, stage: &Stage, text: &str) -> Flow {
        if let Command::Simple { assigns, words } = &stage.command {
            let mut values = Vec::new();
            let args = match self.expand_all(os, words).await {
                Ok(args) => self.expand_alias(args),
                Err(error) => return self.give_up(os, &error).await,
            };
            for (name, word) in assigns {
                match self.expand_one(os, word).await {
                    Ok(value) => values.push((name.clone(), value)),
                    Err(error) => return self.give_up(os, &error).await,
                }
            }
            if self.trace && !args.is_empty() {
                let line = format!("+ {}\n", args.join(" "));
                os.flush().await;
                let _ = os.write(Stream::Stderr, line.into_bytes()).await;
            }
            let Some(name) = args.first().cloned() else {
                let substitutes = assigns.iter().flat_map(|(_, word)| &word.0);
                let mut substitutes =
                    substitutes.filter(|part| matches!(part, super::syntax::Part::Command { .. }));
                if substitutes.next().is_none() {
                    self.status = 0;
                }
                for (name, value) in values {
                    self.set(&name, &value);
                }
                if !stage.redirects.is_empty() {
                    // `> file` creates the file.
                    self.captured(os, stage, Vec::new()).await;
                }
                return Flow::Next;
            };
            if let Some(body) = self.functions.get(&name).cloned() {
                if !stage.redirects.is_empty() {
                    return self.run_process(os, stage, text).await;
                }
                return self.call(os, &body, args).await;
            }
            if super::builtins::is_builtin(&name) {
                let saved: Vec<(String, Option<Var>)> = values
                    .iter()
                    .map(|(name, _)| (name.clone(), self.vars.get(name).cloned()))
                    .collect();
                for (name, value) in &values {
                    self.set(name, value);
                }
                let flow = self.run_builtin(os, stage, args).await;
                for (name, old) in saved {
                    match old {
                        Some(old) => {
                            self.vars.insert(name, old);
                        }
                        None => self.unset(&name),
                    }
                }
                return flow;
            }
            return self.run_process(os, stage, text).await;
        }
        if !stage.redirects.is_empty() {
            return self.run_process(os, stage, text).await;
        }
        self.depth += 1;
        if self.depth > Self::DEPTH {
            self.depth -= 1;
            return self.give_up(os, "commands are nested too deeply").await;
        }
        let flow = self.run_compound(os, &stage.command, &stage.text).await;
        self.depth -= 1;
        flow
    }

    async fn give_up(&mut self, os: &Os, error: &str) -> Flow {
        self.say(os, error).await;
        self.status = 1;
        if self.interactive { Flow::Next } else { Flow::Exit }
    }

    async fn run_process(&mut self, os: &Os, stage: &Stage, text: &str) -> Flow {
        os.flush().await;
        let group = self.group(None);
        match self.spawn_stage(os, stage, Stdio::Inherit, Stdio::Inherit, group).await {
            Ok((child, pid)) => {
                self.wait_foreground(os, vec![(child, pid, None)], text).await;
            }
            Err((name, error)) => self.report_spawn_error(os, Some(stage), &name, &error).await,
        }
        Flow::Next
    }

    /// Calls a function.
    pub(in crate::lab::shell) async fn call(
        &mut self,
        os: &Os,
        body: &str,
        args: Vec<String>,
    ) -> Flow {
        if self.depth >= Self::DEPTH {
            let error = format!("{}: maximum function nesting level exceeded", args[0]);
            return self.give_up(os, &error).await;
        }
        self.depth += 1;
        let params = core::mem::replace(&mut self.params, args.into_iter().skip(1).collect());
        let flow = self.run_text(os, body).await;
        self.params = params;
        self.depth -= 1;
        if flow == Flow::Return { Flow::Next } else { flow }
    }

    async fn run_builtin(&mut self, os: &Os, stage: &Stage, args: Vec<String>) -> Flow {
        if stage.redirects.is_empty() {
            let flow = super::builtins::run(self, os, args, None).await;
            os.flush().await;
            return flow;
        }
        os.flush().await;
        let mut input = None;
        for redirect in &stage.redirects {
            let text = match &redirect.kind {
                RedirectKind::Here(word) => self.expand_one(os, word).await,
                RedirectKind::Read(word) => match self.expand_one(os, word).await {
                    Ok(path) => match os.load(&path).await {
                        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                        Err(error) => Err(format!("{path}: {error}")),
                    },
                    Err(error) => Err(error),
                },
                _ => continue,
            };
            match text {
                Ok(text) => input = Some(text),
                Err(error) => {
                    self.say(os, &error).await;
                    self.status = 1;
                    return Flow::Next;
                }
            }
        }
        let flow = super::builtins::run(self, os, args, input).await;
        let printed = os.take_printed();
        let status = self.status;
        self.captured(os, stage, printed).await;
        if self.status == 0 {
            self.status = status;
        }
        flow
    }

    /// Writes the captured output of a builtin to the targets of its redirections.
    async fn captured(&mut self, os: &Os, stage: &Stage, printed: Vec<u8>) {
        self.status = 0;
        let mut command = Launch::new("/bin/cat", &[]);
        (command.stdout, command.stderr) = (Stdio::Inherit, Stdio::Inherit);
        (command.env, command.dir) = (self.environment(&[]), Some(self.dir.clone()));
        let mut here = None;
        let redirected = self.redirect(os, stage, &mut command, &mut here).await;
        command.stdin = Stdio::Piped;
        command.group = Group::Same;
        let spawned = match redirected {
            Ok(()) => os.spawn(command).await.map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match spawned {
            Ok((child, _)) => {
                let _ = os.write(Stream::ChildStdin(child), printed).await;
                os.close(Stream::ChildStdin(child)).await;
                os.wait_end(child).await;
            }
            Err(error) => {
                self.say(os, &error).await;
                self.status = 1;
            }
        }
    }

    async fn interrupted(&mut self, os: &Os) -> Flow {
        self.status = 130;
        os.print("\n");
        os.flush().await;
        if self.interactive { Flow::Break(u32::MAX) } else { Flow::Exit }
    }

    /// Changes the working directory.
    pub(in crate::lab::shell) async fn change_dir(
        &mut self,
        os: &Os,
        path: &str,
    ) -> Result<(), String> {
        let full = resolve_path(&self.dir, path);
        let changed = os.do_disk(DiskOp::ChangeDir { path: full.clone() }).await;
        changed.map_err(|error| format!("{path}: {error}"))?;
        let old = core::mem::replace(&mut self.dir, full);
        self.set("OLDPWD", &old);
        Ok(())
    }
}

/// Quotes a word so that a shell reads it back unchanged.
pub(in crate::lab::shell) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
