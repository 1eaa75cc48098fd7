//! Full-screen programs: `less`, `watch`, `top`, `clear`, and `man`.

use crate::conversation::{Either, first};
use crate::machine::{Command, Group, Stdio, Stream, TerminalMode};
use crate::time::Duration;

use super::super::edit::{Key, Keys};
use super::super::os::Os;
use super::text::lines_of;

pub(super) async fn clear(os: Os) -> i32 {
    os.print("\x1b[H\x1b[2J\x1b[3J");
    0
}

pub(super) async fn less(os: Os) -> i32 {
    let paths: Vec<String> = os.args.iter().filter(|arg| !arg.starts_with('-')).cloned().collect();
    let (lines, status) = lines_of(&os, &paths).await;
    if !os.facts.stdout_is_terminal || !os.facts.stdin_is_terminal {
        // If the input comes from a pipe, there is no keyboard for paging.
        for line in lines {
            os.println(line);
            os.flush_if_full().await;
        }
        return status;
    }
    if lines.is_empty() {
        return status;
    }
    let name = paths.first().cloned().unwrap_or_default();
    view(&os, &name, &lines).await;
    status
}

async fn view(os: &Os, name: &str, lines: &[String]) {
    os.set_mode(TerminalMode::Raw).await;
    os.print("\x1b[?1049h");
    let (mut top, mut wanted, mut message) = (0usize, String::new(), name.to_owned());
    let mut keys = Keys::default();
    loop {
        let (columns, rows) = os.size().await;
        let page = rows.saturating_sub(1).max(1);
        let last = lines.len().saturating_sub(page);
        top = top.min(last);
        os.print("\x1b[H\x1b[2J");
        for line in lines.iter().skip(top).take(page) {
            let shown: String = line.chars().take(columns.saturating_sub(1)).collect();
            os.println(shown);
        }
        for _ in lines.len().saturating_sub(top)..page {
            os.println("~");
        }
        let bottom = if message.is_empty() {
            if top >= last { "(END)".to_owned() } else { ":".to_owned() }
        } else {
            core::mem::take(&mut message)
        };
        os.print(format!("\x1b[7m{bottom}\x1b[0m"));
        os.flush().await;
        let Some(key) = keys.next_or_resized(os).await else { break };
        match key {
            Key::Char('q') | Key::Ctrl('c') => break,
            Key::Char('j') | Key::Down | Key::Enter => top += 1,
            Key::Char('k') | Key::Up => top = top.saturating_sub(1),
            Key::Char(' ' | 'f') | Key::PageDown | Key::Ctrl('f') => top += page,
            Key::Char('b') | Key::PageUp | Key::Ctrl('b') => top = top.saturating_sub(page),
            Key::Char('g') | Key::Home => top = 0,
            Key::Char('G') | Key::End => top = last,
            Key::Char('/') => {
                wanted = ask(os, &mut keys, "/", rows).await;
                match find(lines, &wanted, top) {
                    Some(at) => top = at,
                    None => message = "Pattern not found".into(),
                }
            }
            Key::Char('n') if !wanted.is_empty() => match find(lines, &wanted, top + 1) {
                Some(at) => top = at,
                None => message = "Pattern not found".into(),
            },
            Key::Char('N') if !wanted.is_empty() => {
                let before = lines[..top.min(lines.len())].iter();
                match before.rev().position(|line| line.contains(&wanted)) {
                    Some(back) => top -= back + 1,
                    None => message = "Pattern not found".into(),
                }
            }
            _ => {}
        }
    }
    os.print("\x1b[?1049l");
    os.flush().await;
    os.set_mode(TerminalMode::Cooked).await;
}

fn find(lines: &[String], wanted: &str, from: usize) -> Option<usize> {
    (from..lines.len()).find(|&at| lines[at].contains(wanted))
}

/// Reads a line on the last row of the screen, after a prompt.
pub(super) async fn ask(os: &Os, keys: &mut Keys, mark: &str, rows: usize) -> String {
    let mut text = String::new();
    loop {
        os.print(format!("\x1b[{rows};1H\x1b[2K{mark}{text}"));
        os.flush().await;
        match keys.next(os).await {
            None | Some(Key::Escape | Key::Ctrl('c')) => return String::new(),
            Some(Key::Enter) => return text,
            Some(Key::Backspace) => {
                if text.pop().is_none() {
                    return String::new();
                }
            }
            Some(Key::Char(c)) => text.push(c),
            Some(_) => {}
        }
    }
}

/// `watch [-n seconds] command`: repeats a command until Ctrl-C or q.
pub(super) async fn watch(os: Os) -> i32 {
    let mut every = Duration::from_secs(2);
    let mut args = os.args.iter().cloned();
    let mut words = Vec::new();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-n" => {
                let seconds = args.next().and_then(|n| n.parse::<f64>().ok());
                let time = seconds.and_then(|n| Duration::try_from_secs_f64(n).ok());
                let Some(time) = time.filter(|time| *time >= Duration::from_millis(100)) else {
                    return os.fail("-n needs a number of seconds, 0.1 or more").await;
                };
                every = time;
            }
            "-d" | "-t" => {}
            _ => {
                words.push(arg);
                words.extend(args.by_ref());
            }
        }
    }
    if words.is_empty() {
        return os.fail("usage: watch [-n seconds] command").await;
    }
    let text = words.join(" ");
    os.set_mode(TerminalMode::Raw).await;
    os.print("\x1b[?1049h");
    loop {
        let command = Command {
            env: os.env.to_vec(),
            stdout: Stdio::Piped,
            stderr: Stdio::Stdout,
            group: Group::Same,
            ..Command::new("/bin/sh", &["-c", &text])
        };
        let output = match os.spawn(command).await {
            Ok((child, _)) => {
                let output = os.read_all(Stream::ChildStdout(child)).await;
                os.wait_end(child).await;
                os.close(Stream::ChildStdout(child)).await;
                String::from_utf8_lossy(&output).into_owned()
            }
            Err(error) => error.to_string(),
        };
        let (columns, rows) = os.size().await;
        let head = format!("Every {:.1}s: {text}", every.as_secs_f64());
        os.print(format!("\x1b[H\x1b[2J{head:.columns$}\n\n"));
        for line in output.lines().take(rows.saturating_sub(3)) {
            os.println(line.chars().take(columns).collect::<String>());
        }
        os.flush().await;
        match first(os.ask_read(Stream::Stdin), os.ask_sleep(every)).await {
            Either::Second(_) => {}
            Either::First(super::super::os::Reply::Bytes(Ok(bytes)))
                if !bytes.is_empty() && !matches!(bytes[0], b'q' | 3) => {}
            Either::First(_) => break,
        }
    }
    os.print("\x1b[?1049l");
    os.flush().await;
    os.set_mode(TerminalMode::Cooked).await;
    0
}

/// `top`: prints the current processes once.
pub(super) async fn top(os: Os) -> i32 {
    let snapshot = &os.facts.snapshot;
    let count = snapshot.procs.len();
    os.println(format!("Tasks: {count} total,   1 running, {} sleeping", count.saturating_sub(1)));
    os.println("%Cpu(s):  0.0 us,  0.0 sy,  0.0 ni,100.0 id");
    os.println("\x1b[7m    PID USER      PR  NI  S  %CPU  %MEM     TIME+ COMMAND\x1b[0m");
    for proc in &snapshot.procs {
        let name: String = proc.command.chars().take(40).collect();
        os.println(format!("{:>7} root      20   0  S   0.0   0.3   0:00.00 {name}", proc.pid));
    }
    0
}

/// One-line descriptions of programs.
const MANUAL: [(&str, &str); 20] = [
    ("awk", "pattern scanning and text processing"),
    ("cat", "print files one after the other"),
    ("cd", "change the working directory"),
    ("cp", "copy files: cp [-r] source ... target"),
    ("find", "look for files: find dir -name pattern -type f|d"),
    ("grep", "print lines that match: grep [-inrvc] pattern file ..."),
    ("kill", "send a signal: kill [-9] pid"),
    ("less", "read a text page by page: space, b, /text, n, q"),
    ("ls", "list files: ls [-alhtrR] path"),
    ("ps", "show processes: ps -ef, ps aux"),
    ("redis-cli", "the Redis client: redis-cli -h host -p port [command]"),
    ("redis-server", "the Redis server: redis-server [file] [--directive value ...]"),
    ("sed", "edit text: sed -i 's/old/new/g' file"),
    ("service", "start and stop services: service name start|stop|status"),
    ("ss", "show sockets: ss -tnlp"),
    ("systemctl", "control services: systemctl start|stop|status name"),
    ("tail", "print the end of a file: tail [-f] [-n count] file"),
    ("vi", "edit a file: i inserts, Esc ends it, :wq writes and quits"),
    ("watch", "repeat a command: watch -n 1 command"),
    ("xargs", "run a command with words read: xargs [-t] [-n count] [-I{}] command"),
];

pub(super) async fn man(os: Os) -> i32 {
    let Some(name) = os.args.last() else {
        os.println("What manual page do you want?");
        return 1;
    };
    match MANUAL.iter().find(|(known, _)| known == name) {
        Some((name, text)) => {
            os.println(format!("{name} - {text}"));
            0
        }
        None if super::exists(name) => {
            let options: Vec<&str> = super::options(name).collect();
            os.println(format!("{name} {}", options.join(" ")));
            0
        }
        None => {
            os.println(format!("No manual entry for {name}"));
            16
        }
    }
}
