//! Builtins: commands that change the shell itself, and those that are too small for a process.

use crate::machine::{ChildChange, ChildId, Signal, Stream};

use super::os::Os;
use super::run::{Flow, Shell, quote};
use super::tools;

/// The names of all builtins, for completion and `help`.
pub(super) const BUILTINS: [&str; 37] = [
    ".", ":", "[", "alias", "bg", "break", "cd", "command", "continue", "echo", "eval", "exec",
    "exit", "export", "false", "fg", "help", "history", "jobs", "kill", "let", "local", "logout",
    "printf", "pwd", "read", "return", "set", "shift", "source", "test", "true", "type", "umask",
    "unalias", "unset", "wait",
];

pub(super) fn is_builtin(name: &str) -> bool {
    BUILTINS.contains(&name) || matches!(name, "trap" | "ulimit" | "hash" | "declare" | "ssh")
}

/// Whether a command exists only in the shell, so that a pipeline needs a subshell for it.
pub(super) fn is_special(name: &str) -> bool {
    is_builtin(name) && !tools::exists(name)
}

/// Runs a builtin; `input` is the text that its standard input was redirected from.
pub(super) async fn run(
    shell: &mut Shell,
    os: &Os,
    args: Vec<String>,
    input: Option<String>,
) -> Flow {
    let name = args[0].clone();
    let rest: Vec<String> = args[1..].to_vec();
    let before = core::mem::take(&mut shell.status);
    match name.as_str() {
        ":" | "true" | "umask" | "ulimit" | "hash" => {}
        "false" => shell.status = 1,
        "cd" => {
            let old = shell.var("OLDPWD").map(str::to_owned);
            let target = match rest.first().map(String::as_str) {
                None => shell.var("HOME").unwrap_or("/").to_owned(),
                Some("-") => match old {
                    Some(old) => {
                        os.println(&old);
                        old
                    }
                    None => return wrong(shell, os, "cd: OLDPWD not set").await,
                },
                Some(path) => path.to_owned(),
            };
            if let Err(error) = shell.change_dir(os, &target).await {
                return wrong(shell, os, &format!("cd: {error}")).await;
            }
        }
        "pwd" => os.println(&shell.dir),
        "echo" | "printf" | "test" | "[" => {
            shell.status = tools::run_in_place(os, &name, rest).await;
        }
        "exit" | "logout" => {
            let status = rest.first().map(|status| status.parse::<i32>());
            match status {
                None => shell.status = before,
                Some(Ok(status)) => shell.status = status & 0xff,
                Some(Err(_)) => {
                    let text = format!("exit: {}: numeric argument required", rest[0]);
                    wrong(shell, os, &text).await;
                    shell.status = 2;
                }
            }
            return Flow::Exit;
        }
        "return" => {
            shell.status = rest.first().and_then(|status| status.parse().ok()).unwrap_or(0);
            return Flow::Return;
        }
        "break" => return Flow::Break(rest.first().and_then(|n| n.parse().ok()).unwrap_or(1)),
        "continue" => {
            return Flow::Continue(rest.first().and_then(|n| n.parse().ok()).unwrap_or(1));
        }
        "export" | "declare" => {
            for word in rest.iter().filter(|word| !word.starts_with('-')) {
                let (name, value) =
                    word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v)));
                if let Some(value) = value {
                    shell.set(name, value);
                }
                shell.export(name);
            }
            if rest.is_empty() || rest == ["-p"] {
                for (name, value, exported) in shell.all_vars() {
                    if exported {
                        os.println(format!("declare -x {name}=\"{value}\""));
                    }
                }
            }
        }
        "local" => {
            for word in &rest {
                let (name, value) = word.split_once('=').unwrap_or((word, ""));
                shell.set(name, value);
            }
        }
        "unset" => {
            for name in rest.iter().filter(|name| !name.starts_with('-')) {
                shell.unset(name);
                shell.functions.remove(name);
            }
        }
        "set" => return set(shell, os, rest).await,
        "shift" => {
            let n = rest.first().and_then(|n| n.parse().ok()).unwrap_or(1).min(shell.params.len());
            shell.params.drain(..n);
        }
        "alias" => {
            for word in &rest {
                match word.split_once('=') {
                    Some((name, text)) => {
                        shell.aliases.insert(name.into(), text.into());
                    }
                    None => match shell.aliases.get(word) {
                        Some(text) => os.println(format!("alias {word}={}", quote(text))),
                        None => {
                            return wrong(shell, os, &format!("alias: {word}: not found")).await;
                        }
                    },
                }
            }
            if rest.is_empty() {
                for (name, text) in shell.aliases.iter() {
                    os.println(format!("alias {name}={}", quote(text)));
                }
            }
        }
        "unalias" => {
            for word in &rest {
                shell.aliases.remove(word);
            }
        }
        "history" => {
            for (n, line) in shell.history.iter().enumerate() {
                os.println(format!("{:5}  {line}", n + 1));
            }
        }
        "help" => {
            os.println("Builtin commands of the shell:");
            os.println(BUILTINS.join(" "));
            os.println("Programs are in /bin, /usr/bin and /usr/local/bin.");
        }
        "type" | "command" => return describe(shell, os, &name, rest).await,
        "eval" => {
            let text = rest.join(" ");
            return shell.run_text(os, &text).await;
        }
        "." | "source" => {
            let Some(path) = rest.first() else {
                return wrong(shell, os, &format!("{name}: filename argument required")).await;
            };
            match os.load(path).await {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let flow = shell.run_text(os, &text).await;
                    return if flow == Flow::Return { Flow::Next } else { flow };
                }
                Err(error) => return wrong(shell, os, &format!("{path}: {error}")).await,
            }
        }
        "exec" => {
            if rest.is_empty() {
                return Flow::Next;
            }
            let text = rest.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            shell.run_text(os, &text).await;
            return Flow::Exit;
        }
        "read" => return read(shell, os, rest, input).await,
        "let" => {
            let mut value = 0;
            for text in &rest {
                match super::arith::eval(text, shell) {
                    Ok(result) => value = result,
                    Err(error) => return wrong(shell, os, &format!("let: {error}")).await,
                }
            }
            shell.status = i32::from(value == 0);
        }
        "jobs" => {
            for line in shell.update_jobs(os).await {
                os.println(line);
            }
            for job in &shell.jobs {
                let state = if job.suspended { "Stopped" } else { "Running" };
                let amp = if job.suspended { "" } else { " &" };
                os.println(format!("[{}]+  {state:<24}{}{amp}", job.number, job.text));
            }
        }
        "fg" | "bg" => return resume(shell, os, &name, rest.first()).await,
        "wait" => {
            wait(shell, os, &rest).await;
        }
        "kill" => return kill(shell, os, rest).await,
        "trap" => return trap(shell, os, &rest).await,
        "ssh" => return ssh(shell, os, rest).await,
        _ => {}
    }
    Flow::Next
}

async fn wrong(shell: &mut Shell, os: &Os, text: &str) -> Flow {
    shell.say(os, text).await;
    shell.status = 1;
    Flow::Next
}

/// The builtin `trap`: `trap 'commands' EXIT`, `trap - EXIT`, or `trap` alone, which lists.
async fn trap(shell: &mut Shell, os: &Os, rest: &[String]) -> Flow {
    let words: Vec<&str> = rest.iter().map(String::as_str).filter(|word| *word != "--").collect();
    let (command, signals) = match words.as_slice() {
        [] | ["-p"] => {
            if let Some(text) = &shell.at_exit {
                os.println(format!("trap -- {} EXIT", quote(text)));
            }
            return Flow::Next;
        }
        [_] => {
            let usage = "trap: usage: trap 'commands' EXIT, or trap - EXIT";
            wrong(shell, os, usage).await;
            shell.status = 2;
            return Flow::Next;
        }
        [command, signals @ ..] => (*command, signals),
    };
    for signal in signals {
        if !matches!(*signal, "EXIT" | "0") {
            let text = format!("trap: {signal}: this shell traps EXIT only");
            return wrong(shell, os, &text).await;
        }
        shell.at_exit = (command != "-").then(|| command.to_owned());
    }
    Flow::Next
}

/// Runs the EXIT trap of a shell; the exit status does not change.
pub(super) async fn run_exit_trap(shell: &mut Shell, os: &Os) {
    if let Some(text) = shell.at_exit.take() {
        let status = shell.status;
        shell.run_text(os, &text).await;
        shell.status = status;
    }
}

async fn set(shell: &mut Shell, os: &Os, rest: Vec<String>) -> Flow {
    let mut words = rest.into_iter();
    while let Some(word) = words.next() {
        let on = word.starts_with('-');
        match word.as_str() {
            "--" => {
                shell.params = words.collect();
                return Flow::Next;
            }
            "-o" | "+o" => match words.next().as_deref() {
                Some("errexit") => shell.stop_at_error = on,
                Some("nounset") => shell.unset_is_error = on,
                Some("xtrace") => shell.trace = on,
                other => {
                    let text = format!("set: {}: option not supported", other.unwrap_or("-o"));
                    return wrong(shell, os, &text).await;
                }
            },
            flags if flags.len() > 1 && (on || flags.starts_with('+')) => {
                for flag in flags.chars().skip(1) {
                    match flag {
                        'e' => shell.stop_at_error = on,
                        'u' => shell.unset_is_error = on,
                        'x' => shell.trace = on,
                        other => {
                            let text = format!("set: -{other}: option not supported");
                            return wrong(shell, os, &text).await;
                        }
                    }
                }
            }
            _ => {
                shell.params = core::iter::once(word).chain(words).collect();
                return Flow::Next;
            }
        }
    }
    Flow::Next
}

async fn describe(shell: &mut Shell, os: &Os, command: &str, mut rest: Vec<String>) -> Flow {
    let short = rest.first().is_some_and(|flag| flag == "-v");
    if command == "command" && !short {
        let text = rest.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
        return shell.run_text(os, &text).await;
    }
    rest.retain(|word| !word.starts_with('-'));
    for name in rest {
        let file = which(shell, os, &name).await;
        let (long, brief) = if shell.aliases.contains_key(&name) {
            (format!("{name} is aliased to `{}'", shell.aliases.get(&name).map_or("", |a| a)), name)
        } else if shell.functions.contains_key(&name) {
            (format!("{name} is a function"), name)
        } else if is_builtin(&name) {
            (format!("{name} is a shell builtin"), name)
        } else if let Some(file) = file {
            (format!("{name} is {file}"), file)
        } else {
            shell.status = 1;
            if !short {
                shell.say(os, &format!("{command}: {name}: not found")).await;
                shell.status = 1;
            }
            continue;
        };
        os.println(if short { brief } else { long });
    }
    Flow::Next
}

/// The path of the executable that a command name refers to.
pub(super) async fn which(shell: &Shell, os: &Os, name: &str) -> Option<String> {
    let places = shell.var("PATH").unwrap_or("/bin").to_owned();
    for place in places.split(':') {
        let path = format!("{place}/{name}");
        if os.stat(&path).await.is_ok_and(|stat| !stat.dir && stat.mode & 0o111 != 0) {
            return Some(path);
        }
    }
    None
}

async fn read(shell: &mut Shell, os: &Os, rest: Vec<String>, input: Option<String>) -> Flow {
    let mut names = Vec::new();
    let mut words = rest.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-r" => {}
            "-p" => {
                os.print(words.next().unwrap_or_default());
                os.flush().await;
            }
            flag if flag.starts_with('-') => {
                return wrong(shell, os, &format!("read: {flag}: option not supported")).await;
            }
            name => names.push(name.to_owned()),
        }
    }
    let line = match input {
        Some(input) => input.split_inclusive('\n').next().map(str::to_owned),
        None => read_line(os).await,
    };
    shell.status = i32::from(!line.as_ref().is_some_and(|line| line.ends_with('\n')));
    let line = line.unwrap_or_default();
    let mut rest = line.trim_matches(|c: char| c == '\n' || c == ' ' || c == '\t');
    if names.is_empty() {
        names.push("REPLY".into());
    }
    let count = names.len();
    for (n, name) in names.iter().enumerate() {
        let (word, more) = match rest.split_once([' ', '\t']) {
            Some((word, more)) if n + 1 < count => (word, more.trim_start()),
            _ => (rest, ""),
        };
        shell.set(name, word);
        rest = more;
    }
    Flow::Next
}

/// Reads a line of the standard input, byte by byte, since the rest belongs to the next reader.
pub(super) async fn read_line(os: &Os) -> Option<String> {
    let mut line = Vec::new();
    loop {
        let byte = os.read(Stream::Stdin, 1).await;
        let Some(&byte) = byte.first() else { break };
        line.push(byte);
        if byte == b'\n' {
            break;
        }
    }
    (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned())
}

/// The index of the job that `%1`, `1` or no argument refers to.
fn find_job(shell: &Shell, name: Option<&String>) -> Option<usize> {
    match name {
        None => shell.jobs.len().checked_sub(1),
        Some(name) => {
            let name = name.trim_start_matches('%');
            if matches!(name, "" | "%" | "+") {
                return shell.jobs.len().checked_sub(1);
            }
            let number: usize = name.parse().ok()?;
            shell.jobs.iter().position(|job| job.number == number)
        }
    }
}

async fn resume(shell: &mut Shell, os: &Os, name: &str, job: Option<&String>) -> Flow {
    shell.update_jobs(os).await;
    let Some(place) = find_job(shell, job) else {
        let which = job.map_or("current", |job| job);
        return wrong(shell, os, &format!("{name}: {which}: no such job")).await;
    };
    let Some(&(leader, pid, _)) = shell.jobs[place].children.first() else { return Flow::Next };
    if name == "bg" {
        let job = &mut shell.jobs[place];
        job.suspended = false;
        os.println(format!("[{}]+ {} &", job.number, job.text));
        let _ = os.kill(-i64::from(pid), Signal::Continue).await;
        return Flow::Next;
    }
    let job = shell.jobs.remove(place);
    os.println(&job.text);
    os.flush().await;
    os.set_foreground(Some(leader)).await;
    let _ = os.kill(-i64::from(pid), Signal::Continue).await;
    shell.wait_foreground(os, job.children, &job.text).await;
    Flow::Next
}

async fn wait(shell: &mut Shell, os: &Os, rest: &[String]) {
    let wanted = |child: &(ChildId, u32, Option<i32>), number: usize| {
        rest.is_empty()
            || rest.iter().any(|name| *name == child.1.to_string() || *name == format!("%{number}"))
    };
    loop {
        let open: Vec<ChildId> = shell
            .jobs
            .iter()
            .flat_map(|job| job.children.iter().map(move |child| (job.number, child)))
            .filter(|(number, child)| child.2.is_none() && wanted(child, *number))
            .map(|(_, child)| child.0)
            .collect();
        let Some(&child) = open.first() else { break };
        match os.wait(Some(child)).await {
            Some((child, change)) => {
                if let ChildChange::Ended(status) = change {
                    shell.status = status.code();
                }
                shell.note_change(child, change);
            }
            None => break,
        }
    }
    let status = shell.status;
    if !shell.interactive {
        shell.update_jobs(os).await;
    }
    shell.status = status;
}

async fn kill(shell: &mut Shell, os: &Os, rest: Vec<String>) -> Flow {
    let mut signal = Signal::Terminate;
    let mut targets = Vec::new();
    let mut words = rest.into_iter();
    while let Some(word) = words.next() {
        if word == "-l" {
            for (_, name, number) in Signal::ALL {
                os.println(format!("{number:2}) SIG{name}"));
            }
            return Flow::Next;
        }
        let named = if word == "-s" || word == "-n" {
            words.next()
        } else {
            word.strip_prefix('-').filter(|_| targets.is_empty()).map(str::to_owned)
        };
        match named {
            Some(name) => match Signal::parse(&name) {
                Some(known) => signal = known,
                None => {
                    let text = format!("kill: {name}: invalid signal specification");
                    return wrong(shell, os, &text).await;
                }
            },
            None => targets.push(word),
        }
    }
    if targets.is_empty() {
        return wrong(shell, os, "kill: usage: kill [-s signal | -signal] pid ...").await;
    }
    for target in targets {
        let pid = if target.starts_with('%') {
            find_job(shell, Some(&target)).and_then(|place| {
                shell.jobs[place].children.first().map(|(_, pid, _)| -i64::from(*pid))
            })
        } else {
            target.parse().ok()
        };
        let result = match pid {
            None => Err("arguments must be process or job IDs".to_owned()),
            Some(pid) => {
                let killed = os.kill(pid, signal).await;
                if killed.is_ok() && matches!(signal, Signal::Terminate | Signal::Hangup) {
                    // A suspended process receives the signal when it is resumed.
                    let suspended = shell.jobs.iter().any(|job| {
                        job.suspended && job.children.iter().any(|c| i64::from(c.1) == pid.abs())
                    });
                    if suspended {
                        let _ = os.kill(pid, Signal::Continue).await;
                    }
                }
                killed.map_err(|error| format!("({}) - {error}", pid.abs()))
            }
        };
        if let Err(error) = result {
            let text = if pid.is_some() { error } else { format!("{target}: {error}") };
            wrong(shell, os, &format!("kill: {text}")).await;
        }
    }
    Flow::Next
}

/// `ssh [-p port] [user@]host [command]`: a shell on another host, on the same terminal.
async fn ssh(shell: &mut Shell, os: &Os, rest: Vec<String>) -> Flow {
    use crate::machine::{Command, Group, Stdio};
    let mut words = rest.into_iter().peekable();
    while words.peek().is_some_and(|word| word.starts_with('-')) {
        let flag = words.next().unwrap_or_default();
        if matches!(flag.as_str(), "-p" | "-l" | "-i" | "-o") {
            words.next();
        }
    }
    let Some(target) = words.next() else {
        return wrong(shell, os, "usage: ssh [user@]host [command]").await;
    };
    let host = target.rsplit('@').next().unwrap_or(&target).to_owned();
    let known = os.facts.names.iter().find(|(name, ip)| *name == host || ip.to_string() == host);
    let Some((name, _)) = known.cloned() else {
        let text = format!("ssh: Could not resolve hostname {host}: Name or service not known");
        os.flush().await;
        let _ = os.write(Stream::Stderr, format!("{text}\n").into_bytes()).await;
        shell.status = 255;
        return Flow::Next;
    };
    let command: Vec<String> = words.collect();
    let args = if command.is_empty() {
        vec!["-l".to_owned()]
    } else {
        vec!["-c".to_owned(), command.join(" ")]
    };
    os.flush().await;
    let group = if shell.interactive { Group::NewForeground } else { Group::Same };
    let launch = Command {
        program: "/bin/sh".into(),
        args,
        env: super::login_env(),
        dir: Some("/root".into()),
        stdin: Stdio::Inherit,
        stdout: Stdio::Inherit,
        stderr: Stdio::Inherit,
        group,
    };
    match os.spawn_on(&name, launch).await {
        Ok((child, pid)) => {
            shell.wait_foreground(os, vec![(child, pid, None)], "ssh").await;
            if command.is_empty() {
                os.println(format!("Connection to {host} closed."));
            }
        }
        Err(error) => {
            let text = format!("ssh: connect to host {host} port 22: {error}\n");
            let _ = os.write(Stream::Stderr, text.into_bytes()).await;
            shell.status = 255;
        }
    }
    Flow::Next
}
