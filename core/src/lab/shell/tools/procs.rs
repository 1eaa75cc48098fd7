//! Programs about processes, time and the system.

use core::fmt::Write;

use crate::machine::{Command, Group, Signal, Stdio, Stream};
use crate::sim::{Action, ProcState};
use crate::time::{Date, Duration, Wall};

use super::super::os::Os;
use super::{ProcInfo, human, join, parse, unsupported};

pub(super) async fn fail(_: Os) -> i32 {
    1
}

pub(super) async fn succeed(_: Os) -> i32 {
    0
}

/// The memory that a host reports, in bytes.
const MEMORY: u64 = 1 << 30;

pub(super) async fn ps(os: Os) -> i32 {
    let options = os.args.join(" ");
    let bsd = options.contains('u') && !options.contains("-u");
    let all = options.contains('e') || options.contains('a') || options.contains('A') || bsd;
    let full = options.contains('f');
    let own = os.facts.snapshot.procs.iter().find(|proc| proc.pid == os.facts.pid);
    let tty = own.map_or("?", |proc| proc.tty.as_str()).to_owned();
    if bsd {
        os.println("USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND");
    } else if full {
        os.println("UID          PID    PPID  C STIME TTY          TIME CMD");
    } else {
        os.println("    PID TTY          TIME CMD");
    }
    let mut procs = os.facts.snapshot.procs.clone();
    procs.sort_by_key(|proc| proc.pid);
    if all {
        let init = ProcInfo {
            pid: 1,
            parent: 0,
            tty: "?".into(),
            command: "/sbin/init".into(),
            program: "init".into(),
            started: procs.first().map_or(Wall(0), |proc| proc.started),
            state: ProcState::Running,
        };
        procs.insert(0, init);
    }
    for proc in procs.iter().filter(|proc| all || proc.tty == tty) {
        let date = Date::of(proc.started);
        let time = format!("{:02}:{:02}", date.hour, date.minute);
        let state = if proc.state == ProcState::Paused { "T" } else { "S" };
        let server = proc.program.starts_with("redis-s");
        os.println(if bsd {
            let memory = if server { 9_480 } else { 3_320 };
            format!(
                "root     {:>7}  0.0  0.{} {:>6} {memory:>5} {:<8} {state:<4} {time}   0:00 {}",
                proc.pid,
                if server { 9 } else { 3 },
                memory * 6,
                proc.tty,
                proc.command
            )
        } else if full {
            format!(
                "root     {:>7} {:>7}  0 {time} {:<8} 00:00:00 {}",
                proc.pid, proc.parent, proc.tty, proc.command
            )
        } else {
            let name = proc.command.split_whitespace().next().unwrap_or("");
            format!("{:>7} {:<8} 00:00:00 {}", proc.pid, proc.tty, super::base(name))
        });
    }
    0
}

/// The processes that match a name or pattern, except the one that searches.
fn matching(os: &Os, pattern: &str, exact: bool, full: bool) -> Vec<ProcInfo> {
    let fits = |proc: &&ProcInfo| {
        let name = proc.command.split_whitespace().next().unwrap_or("");
        let name = super::base(name);
        proc.pid != os.facts.pid
            && match (exact, full) {
                (true, _) => name == pattern,
                (_, true) => proc.command.contains(pattern),
                _ => name.contains(pattern),
            }
    };
    os.facts.snapshot.procs.iter().filter(fits).cloned().collect()
}

pub(super) async fn pgrep(os: Os) -> i32 {
    let parsed = match parse(&os, "flax", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let exact = os.name.as_ref() == "pidof" || parsed.has('x');
    let Some(pattern) = parsed.operands.first() else { return os.fail("no pattern given").await };
    let found = matching(&os, pattern, exact, parsed.has('f'));
    if exact && os.name.as_ref() == "pidof" {
        let pids: Vec<String> = found.iter().rev().map(|proc| proc.pid.to_string()).collect();
        if !pids.is_empty() {
            os.println(pids.join(" "));
        }
    } else {
        for proc in &found {
            if parsed.has('l') || parsed.has('a') {
                os.println(format!("{} {}", proc.pid, proc.command));
            } else {
                os.println(proc.pid.to_string());
            }
        }
    }
    i32::from(found.is_empty())
}

pub(super) async fn pkill(os: Os) -> i32 {
    let mut signal = Signal::Terminate;
    let (mut full, mut pattern) = (false, None);
    for arg in os.args.iter() {
        match arg.strip_prefix('-') {
            Some("f") => full = true,
            Some(name) => match Signal::parse(name) {
                Some(known) => signal = known,
                None => return unsupported(&os, arg).await,
            },
            None => pattern = Some(arg.clone()),
        }
    }
    let Some(pattern) = pattern else { return os.fail("no process name given").await };
    let exact = os.name.as_ref() == "killall";
    let found = matching(&os, &pattern, exact, full);
    for proc in &found {
        let _ = os.kill(proc.pid.into(), signal).await;
    }
    if found.is_empty() && exact {
        os.print_error(format!("{pattern}: no process found")).await;
    }
    i32::from(found.is_empty())
}

/// `kill [-s signal | -signal] pid ...` as a program; the shell has a builtin.
pub(super) async fn kill(os: Os) -> i32 {
    let mut signal = Signal::Terminate;
    let mut pids = Vec::new();
    let mut words = os.args.iter();
    while let Some(word) = words.next() {
        let named = match word.as_str() {
            "-s" | "-n" => words.next().map(String::as_str),
            word => word.strip_prefix('-').filter(|_| pids.is_empty()),
        };
        match named {
            Some(name) => match Signal::parse(name) {
                Some(known) => signal = known,
                None => return os.fail(format!("{name}: invalid signal specification")).await,
            },
            None => pids.push(word),
        }
    }
    if pids.is_empty() {
        return os.fail("usage: kill [-s signal | -signal] pid ...").await;
    }
    let mut status = 0;
    for word in pids {
        let error = match word.parse::<i64>() {
            Err(_) => format!("failed to parse argument: '{word}'"),
            Ok(pid) => match os.kill(pid, signal).await {
                Ok(()) => continue,
                Err(error) => format!("({word}): {error}"),
            },
        };
        status = os.fail(error).await;
    }
    status
}

pub(super) async fn sleep(os: Os) -> i32 {
    let mut time = Duration::ZERO;
    for arg in os.args.iter() {
        let (digits, unit) = match arg.char_indices().find(|(_, c)| c.is_ascii_alphabetic()) {
            Some((at, _)) => arg.split_at(at),
            None => (arg.as_str(), "s"),
        };
        let scale = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => 0.0,
        };
        match digits.parse::<f64>().map(|n| Duration::try_from_secs_f64(n * scale)) {
            Ok(Ok(more)) if scale > 0.0 => time = time.saturating_add(more),
            _ => return os.fail(format!("invalid time interval '{arg}'")).await,
        }
    }
    os.sleep(time).await;
    0
}

pub(super) async fn date(os: Os) -> i32 {
    let (_, now) = os.now().await;
    let date = Date::of(now);
    let format = os.args.iter().find_map(|arg| arg.strip_prefix('+'));
    let Some(format) = format else {
        os.println(format!(
            "{} {} {:2} {:02}:{:02}:{:02} UTC {}",
            date.weekday_name(),
            date.month_name(),
            date.day,
            date.hour,
            date.minute,
            date.second,
            date.year
        ));
        return 0;
    };
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        // Writing to a string cannot fail.
        let _ = match chars.next() {
            Some('Y') => write!(out, "{}", date.year),
            Some('m') => write!(out, "{:02}", date.month),
            Some('d') => write!(out, "{:02}", date.day),
            Some('H') => write!(out, "{:02}", date.hour),
            Some('M') => write!(out, "{:02}", date.minute),
            Some('S') => write!(out, "{:02}", date.second),
            Some('s') => write!(out, "{}", now.0 / 1_000_000),
            Some('N') => write!(out, "{:09}", now.0 % 1_000_000 * 1_000),
            Some('F') => write!(out, "{}-{:02}-{:02}", date.year, date.month, date.day),
            Some('T') => write!(out, "{:02}:{:02}:{:02}", date.hour, date.minute, date.second),
            Some('b') => write!(out, "{}", date.month_name()),
            Some('a') => write!(out, "{}", date.weekday_name()),
            Some('%') => write!(out, "%"),
            Some(other) => write!(out, "%{other}"),
            None => write!(out, "%"),
        };
    }
    os.println(out);
    0
}

pub(super) async fn uptime(os: Os) -> i32 {
    let (mono, wall) = os.now().await;
    let date = Date::of(wall);
    let minutes = mono.0 / 60_000_000_000;
    os.println(format!(
        " {:02}:{:02}:{:02} up {minutes} min,  1 user,  load average: 0.00, 0.00, 0.00",
        date.hour, date.minute, date.second
    ));
    0
}

pub(super) async fn free(os: Os) -> i32 {
    let options = os.args.join("");
    let show = |bytes: u64| {
        if options.contains('h') {
            format!("{}i", human(bytes))
        } else if options.contains('m') {
            (bytes >> 20).to_string()
        } else {
            (bytes >> 10).to_string()
        }
    };
    let used = 96 << 20 | (os.facts.snapshot.procs.len() as u64 * 9_480) << 10;
    let free = MEMORY.saturating_sub(used);
    os.println("               total        used        free      shared  buff/cache   available");
    os.println(format!(
        "Mem:    {:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
        show(MEMORY),
        show(used),
        show(free),
        show(0),
        show(0),
        show(free)
    ));
    os.println(format!("Swap:   {:>12}{:>12}{:>12}", show(0), show(0), show(0)));
    0
}

pub(super) async fn df(os: Os) -> i32 {
    let size: u64 = 10_000_000_000;
    let used = os.facts.snapshot.used;
    let show = |bytes: u64| {
        if os.args.iter().any(|arg| arg.contains('h')) {
            human(bytes)
        } else {
            (bytes / 1024).to_string()
        }
    };
    let percent = (used * 100).div_ceil(size);
    os.println("Filesystem     1K-blocks    Used Available Use% Mounted on");
    os.println(format!(
        "/dev/vda1      {:>9} {:>7} {:>9} {percent:>3}% /",
        show(size),
        show(used),
        show(size - used.min(size))
    ));
    0
}

pub(super) async fn uname(os: Os) -> i32 {
    if os.args.iter().any(|arg| arg.contains('a')) {
        os.println(format!("Linux {} 5.14.0 #1 SMP x86_64 GNU/Linux", os.facts.host));
    } else if os.args.iter().any(|arg| arg == "-r") {
        os.println("5.14.0");
    } else if os.args.iter().any(|arg| arg == "-m") {
        os.println("x86_64");
    } else {
        os.println("Linux");
    }
    0
}

pub(super) async fn whoami(os: Os) -> i32 {
    os.println("root");
    0
}

pub(super) async fn id(os: Os) -> i32 {
    os.println("uid=0(root) gid=0(root) groups=0(root)");
    0
}

pub(super) async fn which(os: Os) -> i32 {
    let path = os.var("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin").to_owned();
    let mut status = 0;
    'names: for name in os.args.iter() {
        for place in path.split(':') {
            let file = join(place, name);
            if os.stat(&file).await.is_ok_and(|stat| !stat.dir && stat.mode & 0o111 != 0) {
                os.println(file);
                continue 'names;
            }
        }
        status = 1;
        os.print_error(format!("no {name} in ({path})")).await;
    }
    status
}

/// Runs another program with the same streams.
async fn run(os: &Os, program: &str, args: Vec<String>, env: Vec<(String, String)>) -> i32 {
    run_with(os, program, args, env, Stdio::Inherit).await
}

async fn run_with(
    os: &Os,
    program: &str,
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Stdio,
) -> i32 {
    os.flush().await;
    let command = Command {
        program: program.into(),
        args,
        env,
        dir: None,
        stdin,
        stdout: Stdio::Inherit,
        stderr: Stdio::Inherit,
        group: Group::Same,
    };
    match os.spawn(command).await {
        Ok((child, _)) => os.wait_end(child).await.code(),
        Err(error) => {
            os.print_error(format!("{program}: {error}")).await;
            127
        }
    }
}

pub(super) async fn env(os: Os) -> i32 {
    if os.name.as_ref() == "printenv" && !os.args.is_empty() {
        let mut status = 0;
        for name in os.args.iter() {
            match os.var(name) {
                Some(value) => os.println(value),
                None => status = 1,
            }
        }
        return status;
    }
    let mut env = os.env.to_vec();
    let mut args = os.args.iter().cloned();
    while let Some(arg) = args.next() {
        if arg == "-i" {
            env.clear();
        } else if let Some((name, value)) = arg.split_once('=') {
            env.retain(|(known, _)| known != name);
            env.push((name.into(), value.into()));
        } else {
            return run(&os, &arg, args.collect(), env).await;
        }
    }
    for (name, value) in env {
        os.println(format!("{name}={value}"));
    }
    0
}

pub(super) async fn sudo(os: Os) -> i32 {
    // Ctrl-C is for the program, and sudo waits for its end.
    os.catch_interrupts(true).await;
    let mut args = os.args.iter().cloned().skip_while(|arg| arg.starts_with('-'));
    match args.next() {
        Some(program) if program == "su" => {
            run(&os, "/bin/sh", vec!["-l".into()], os.env.to_vec()).await
        }
        Some(program) => run(&os, &program, args.collect(), os.env.to_vec()).await,
        None => os.fail("usage: sudo command").await,
    }
}

/// `ruby file [argument ...]`: only runs Redis's own Ruby programs, which are built in here under
/// their names.
pub(super) async fn ruby(os: Os) -> i32 {
    let mut args = os.args.iter().cloned();
    match args.next() {
        None => os.fail("a file is needed").await,
        Some(flag) if flag == "-v" || flag == "--version" => {
            os.println("ruby 2.7.8p225 (2023-03-30 revision 1f4d455848) [x86_64-linux]");
            0
        }
        Some(file) => {
            let program = if os.exists(&file).await && !file.contains('/') {
                format!("./{file}")
            } else {
                file
            };
            run(&os, &program, args.collect(), os.env.to_vec()).await
        }
    }
}

pub(super) async fn reboot(os: Os) -> i32 {
    let host = os.facts.host.clone();
    os.flush().await;
    os.request_action(if os.name.as_ref() == "reboot" {
        Action::Restart { host, disk: true }
    } else {
        Action::Crash { host }
    })
    .await;
    0
}

pub(super) async fn xargs(os: Os) -> i32 {
    let (mut trace, mut per, mut place, mut no_run, mut zero) = (false, None, None, false, false);
    let mut args = os.args.iter().cloned();
    let mut command = Vec::new();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-t" => trace = true,
            "-r" => no_run = true,
            "-0" => zero = true,
            "-n" => per = args.next().and_then(|n| n.parse::<usize>().ok()),
            "-I" => place = args.next(),
            "-i" => place = Some("{}".into()),
            flag if flag.starts_with("-n") => per = flag[2..].parse().ok(),
            flag if flag.starts_with("-I") => place = Some(flag[2..].to_owned()),
            flag if flag.starts_with('-') => return unsupported(&os, flag).await,
            _ => {
                command.push(arg);
                command.extend(args.by_ref());
            }
        }
    }
    if command.is_empty() {
        command.push("echo".into());
    }
    let text = String::from_utf8_lossy(&os.read_all(Stream::Stdin).await).into_owned();
    let words: Vec<String> = if zero {
        text.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    } else if place.is_some() {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    } else {
        words_of(&text)
    };
    let runs: Vec<Vec<String>> = match &place {
        Some(place) => words
            .iter()
            .map(|word| command.iter().map(|arg| arg.replace(place.as_str(), word)).collect())
            .collect(),
        None if words.is_empty() && no_run => Vec::new(),
        None if words.is_empty() => vec![command],
        None => words
            .chunks(per.unwrap_or(words.len()).max(1))
            .map(|words| command.iter().chain(words).cloned().collect())
            .collect(),
    };
    let mut status = 0;
    for mut run in runs {
        if trace {
            let line = format!("{}\n", run.join(" "));
            os.flush().await;
            let _ = os.write(Stream::Stderr, line.into_bytes()).await;
        }
        let program = run.remove(0);
        match run_with(&os, &program, run, os.env.to_vec(), Stdio::Null).await {
            0 => {}
            127 => return 127,
            _ => status = 123,
        }
    }
    status
}

/// Splits a text into words, with quotes and backslashes as `xargs` reads them.
fn words_of(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None) => word.get_or_insert_default().extend(chars.next()),
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

pub(super) async fn test(os: Os) -> i32 {
    let mut args = os.args.to_vec();
    if os.name.as_ref() == "[" && args.pop().as_deref() != Some("]") {
        os.print_error("missing `]'").await;
        return 2;
    }
    match any(&os, &args).await {
        Ok(yes) => i32::from(!yes),
        Err(error) => {
            os.print_error(error).await;
            2
        }
    }
}

pub(super) async fn any(os: &Os, args: &[String]) -> Result<bool, String> {
    if args.is_empty() {
        return Ok(false);
    }
    // With few words an operator is binary or unary; with more, `-o` has a lower precedence than
    // `-a`.
    if args.len() > 3 {
        for sign in ["-o", "-a"] {
            let from = 1;
            if let Some(at) = args.iter().skip(from).position(|arg| arg == sign) {
                let (left, right) = (&args[..at + from], &args[at + from + 1..]);
                let left = Box::pin(any(os, left)).await?;
                let right = Box::pin(any(os, right)).await?;
                return Ok(if sign == "-o" { left || right } else { left && right });
            }
        }
    }
    match args {
        [not, rest @ ..] if not == "!" && !rest.is_empty() => Ok(!Box::pin(any(os, rest)).await?),
        [open, inner @ .., close] if open == "(" && close == ")" && !inner.is_empty() => {
            Box::pin(any(os, inner)).await
        }
        [text] => Ok(!text.is_empty()),
        [op, text] => match op.as_str() {
            "-n" => Ok(!text.is_empty()),
            "-z" => Ok(text.is_empty()),
            "-e" => Ok(os.exists(text).await),
            "-f" => Ok(os.stat(text).await.is_ok_and(|stat| !stat.dir)),
            "-d" => Ok(os.is_dir(text).await),
            "-s" => Ok(os.stat(text).await.is_ok_and(|stat| stat.len > 0)),
            "-r" | "-w" => Ok(os.exists(text).await),
            "-x" => Ok(os.stat(text).await.is_ok_and(|stat| stat.dir || stat.mode & 0o111 != 0)),
            "-L" | "-h" => Ok(os.stat_link(text).await.is_ok_and(|stat| stat.link)),
            "-t" => Ok(os.facts.stdin_is_terminal),
            op => Err(format!("{op}: unary operator expected")),
        },
        [left, op, right] => {
            let number = |text: &String| {
                let parsed = text.trim().parse::<i64>();
                parsed.map_err(|_| format!("{text}: integer expression expected"))
            };
            Ok(match op.as_str() {
                "=" | "==" => left == right,
                "!=" => left != right,
                "<" => left < right,
                ">" => left > right,
                "-eq" => number(left)? == number(right)?,
                "-ne" => number(left)? != number(right)?,
                "-lt" => number(left)? < number(right)?,
                "-le" => number(left)? <= number(right)?,
                "-gt" => number(left)? > number(right)?,
                "-ge" => number(left)? >= number(right)?,
                op => return Err(format!("{op}: binary operator expected")),
            })
        }
        _ => Err("too many arguments".into()),
    }
}
