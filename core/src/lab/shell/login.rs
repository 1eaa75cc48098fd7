//! The shell on a terminal, `sh -c`, and scripts.

use std::sync::Arc;

use super::edit::{Completer, Typed, read_line};
use super::os::{End, Os, Run};
use super::run::{Flow, Shell};
use super::syntax::{SyntaxError, parse};
use super::{builtins, login_env};

/// The maximum number of lines in the history.
const HISTORY: usize = 500;

/// The login shell of a terminal.
pub(super) fn login(os: Os) -> Run {
    Box::pin(async move {
        let os = os.with_env(login_env());
        let mut shell = Shell::new(&os);
        shell.interactive = true;
        shell.name = "-bash".into();
        begin(&os, &mut shell).await;
        again(shell)
    })
}

/// Runs `sh [-e] [-l] [-c text [name [argument ...]]] [file [argument ...]]`.
pub(super) fn sh(os: Os) -> Run {
    Box::pin(async move {
        let mut shell = Shell::new(&os);
        let mut args = os.args.iter().cloned();
        let (mut text, mut login) = (None, false);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-c" => {
                    text = Some(args.next().unwrap_or_default());
                    if let Some(name) = args.next() {
                        shell.name = name;
                    }
                    break;
                }
                "-l" | "--login" => login = true,
                "-i" => shell.interactive = true,
                flags if flags.starts_with('-') && flags.len() > 1 => {
                    shell.stop_at_error |= flags.contains('e');
                    shell.unset_is_error |= flags.contains('u');
                    shell.trace |= flags.contains('x');
                }
                path => {
                    shell.name = path.to_owned();
                    match os.load(path).await {
                        Ok(bytes) => text = Some(String::from_utf8_lossy(&bytes).into_owned()),
                        Err(error) => {
                            shell.name = "sh".into();
                            shell.say(&os, &format!("{path}: {error}")).await;
                            return End::Exit(127);
                        }
                    }
                    break;
                }
            }
        }
        shell.params = args.collect();
        match text {
            Some(text) => {
                // Runs command by command, so that those before a syntax error are executed.
                shell.run_text(&os, &text).await;
                builtins::run_exit_trap(&mut shell, &os).await;
                End::Exit(shell.status)
            }
            None if os.facts.stdin_is_terminal => {
                shell.interactive = true;
                if login {
                    begin(&os, &mut shell).await;
                }
                again(shell)
            }
            None => {
                let bytes = os.read_all(crate::machine::Stream::Stdin).await;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                shell.run_text(&os, &text).await;
                End::Exit(shell.status)
            }
        }
    })
}

async fn begin(os: &Os, shell: &mut Shell) {
    let home = shell.var("HOME").unwrap_or("/").to_owned();
    // Without a home directory, the shell stays in the root directory.
    let _ = shell.change_dir(os, &home).await;
    shell.set("HOSTNAME", &os.facts.host);
    for (name, text) in [("ll", "ls -l"), ("la", "ls -A")] {
        shell.aliases.insert(name.into(), text.into());
    }
    os.catch_interrupts(true).await;
    for file in ["/etc/profile", ".bashrc"] {
        if let Ok(bytes) = os.load(file).await {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            shell.run_text(os, &text).await;
        }
    }
}

/// Continues with the next prompt, in a new conversation.
fn again(shell: Shell) -> End {
    End::Again(Arc::new(move |os| {
        let shell = shell.clone();
        Box::pin(prompt(os, shell))
    }))
}

async fn prompt(os: Os, mut shell: Shell) -> End {
    for line in shell.update_jobs(&os).await {
        os.println(line);
    }
    let mut text = String::new();
    loop {
        let (history, prompt) = (shell.history.clone(), shell.prompt(&os, text.is_empty()));
        let mut completion = Completion { shell: &shell };
        match read_line(&os, &prompt, &history, &mut completion).await {
            Typed::Line(line) => {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&line);
            }
            Typed::Interrupt => {
                shell.status = 130;
                return again(shell);
            }
            Typed::End => {
                os.println("exit");
                return End::Exit(shell.status);
            }
        }
        if !matches!(parse(&text), Err(SyntaxError::Incomplete(_))) {
            break;
        }
    }
    let line = match expand_history(&shell, &text) {
        Ok(Some(line)) => {
            os.println(&line);
            line
        }
        Ok(None) => text,
        Err(error) => {
            shell.say(&os, &error).await;
            return again(shell);
        }
    };
    if !line.trim().is_empty() && shell.history.last() != Some(&line) && !line.starts_with(' ') {
        shell.history.push(line.clone());
        if shell.history.len() > HISTORY {
            shell.history.remove(0);
        }
    }
    match shell.run_text(&os, &line).await {
        Flow::Exit => {
            builtins::run_exit_trap(&mut shell, &os).await;
            os.println("exit");
            End::Exit(shell.status)
        }
        _ => again(shell),
    }
}

/// History expansion: the line of the history that `!…` refers to.
fn expand_history(shell: &Shell, text: &str) -> Result<Option<String>, String> {
    let Some(event) = text.strip_prefix('!').filter(|rest| !rest.starts_with([' ', '='])) else {
        return Ok(None);
    };
    let event = event.trim();
    let found = if event.is_empty() {
        return Ok(None);
    } else if event == "!" {
        shell.history.last()
    } else if let Ok(number) = event.parse::<usize>() {
        number.checked_sub(1).and_then(|at| shell.history.get(at))
    } else {
        shell.history.iter().rev().find(|line| line.starts_with(event))
    };
    found.cloned().map(Some).ok_or_else(|| format!("!{event}: event not found"))
}

impl Shell {
    fn prompt(&self, os: &Os, first: bool) -> String {
        if !first {
            return "> ".into();
        }
        let home = self.var("HOME").unwrap_or("/root");
        let dir = match self.dir.strip_prefix(home) {
            Some("") => "~",
            _ => self.dir.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("/"),
        };
        format!("[{}@{} {dir}]# ", self.var("USER").unwrap_or("root"), os.facts.host)
    }
}

struct Completion<'a> {
    shell: &'a Shell,
}

impl Completer for Completion<'_> {
    async fn complete(&mut self, os: &Os, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind([' ', '|', ';', '&', '>', '<', '=']).map_or(0, |at| at + 1);
        let word = &line[start..];
        let before = line[..start].trim_end();
        let is_command = before.is_empty() || before.ends_with(['|', ';', '&']);
        let mut choices = Vec::new();
        if is_command && !word.contains('/') {
            let mut names: Vec<String> =
                builtins::BUILTINS.iter().map(|&name| name.to_owned()).collect();
            names.extend(self.shell.functions.keys().cloned());
            names.extend(self.shell.aliases.keys().cloned());
            for place in self.shell.var("PATH").unwrap_or("/bin").split(':') {
                names.extend(os.list(place).await.unwrap_or_default());
            }
            names.sort();
            names.dedup();
            choices.extend(names.into_iter().filter(|name| name.starts_with(word)));
        } else if word.starts_with('-') {
            let name = before.rsplit(['|', ';', '&']).next().unwrap_or("").trim();
            let program = name.split_whitespace().next().unwrap_or("");
            let options = super::tools::options(program);
            choices.extend(options.filter(|o| o.starts_with(word)).map(str::to_owned));
        } else {
            let (dir, name) = word
                .rsplit_once('/')
                .map_or(("", word), |(dir, name)| (&word[..dir.len() + 1], name));
            let place = match dir {
                "" => ".".to_owned(),
                dir => match dir.strip_prefix('~') {
                    Some(rest) => format!("{}{rest}", self.shell.var("HOME").unwrap_or("/root")),
                    None => dir.to_owned(),
                },
            };
            for entry in os.list(&place).await.unwrap_or_default() {
                if entry.starts_with(name) && (!entry.starts_with('.') || name.starts_with('.')) {
                    let full = format!("{}/{entry}", place.trim_end_matches('/'));
                    let slash = if os.is_dir(&full).await { "/" } else { "" };
                    choices.push(format!("{dir}{entry}{slash}"));
                }
            }
            if choices.is_empty() {
                let hosts = os.facts.names.iter().map(|(host, _)| host.clone());
                choices.extend(hosts.filter(|host| !word.is_empty() && host.starts_with(word)));
            }
        }
        if let [only] = choices.as_mut_slice()
            && !only.ends_with('/')
        {
            only.push(' ');
        }
        (line[..start].chars().count(), choices)
    }

    fn hint(&self, _: &str) -> Option<String> {
        None
    }
}
