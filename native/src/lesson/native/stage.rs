//! The stage of a lesson on this machine: each host is a directory and a loopback address, with
//! wrappers around the programs of Redis that use these.
//!
//! Paths, names and addresses of the lesson are replaced by those of the stage before a line is
//! typed, and the other way round in what is read back.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use limpid_core::lesson::{Expect, Lesson, Typed, Witness, printed, typed_in, waits_for_line};
use limpid_core::resp::value::{Value, decode, encode_command};
use limpid_core::time::Mono;
use portable_pty::CommandBuilder;
use tempfile::TempDir;

use super::terminal::Terminal;

/// The host of the person: in a World redis-cli runs there, and lessons type into its shell.
const DESK: &str = "you";
/// The address by which lessons without several hosts reach their servers.
const LOOPBACK: &str = "127.0.0.1";
/// Folders of a host that a lesson may name.
const FOLDERS: [&str; 8] = ["data", "etc", "var", "root", "home", "tmp", "opt", "srv"];
/// How long to wait for a server's reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// The environment variable by which the processes of a stage are found, daemons included.
const MARK: &str = "LIMPID_LESSON";

/// The hosts of a lesson with their terminals and logs.
pub(super) struct Stage {
    hosts: Vec<Host>,
    terminals: BTreeMap<String, Terminal>,
    begun: Instant,
    logs: Logs,
    // The last field, so that it is dropped (and the directory removed) after the terminals.
    scratch: TempDir,
}

/// A host of the lesson.
struct Host {
    name: String,
    /// Its address in the lesson, and the loopback address that stands for it here.
    address: (String, String),
    root: PathBuf,
}

/// Log lines, from files and terminals: host, time at which the line was first seen, text.
#[derive(Default)]
struct Logs {
    /// How many bytes of each file, or of each terminal's text, have been read.
    read: BTreeMap<String, usize>,
    lines: Vec<(String, Mono, String)>,
}

impl Stage {
    /// Creates the hosts and starts the programs that the lesson begins with.
    pub(super) fn set(lesson: &Lesson) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("limpid-lesson-").tempdir()?;
        // Addresses that depend on our process id, so that lessons can be played in parallel.
        let number = std::process::id();
        let net = format!("127.{}.{}", 64 + number / 256 % 128, number % 256);
        let specs = lesson.scenario.hosts.iter().filter(|host| host.name != DESK);
        let is_alone = specs.clone().count() == 1;
        let mut hosts = Vec::new();
        for (place, spec) in specs.clone().enumerate() {
            let here = format!("{net}.{}", place + 1);
            let root = scratch.path().join(&spec.name);
            let ip = spec.ip.to_string();
            let loopback = is_alone && !format!("{:?}", lesson.steps).contains(&ip);
            let address = if loopback { LOOPBACK.to_owned() } else { ip };
            hosts.push(Host { name: spec.name.clone(), address: (address, here), root });
        }
        // The desk comes last, with an address that no lesson mentions.
        let here = format!("{net}.{}", hosts.len() + 1);
        hosts.push(Host {
            name: DESK.to_owned(),
            address: (here.clone(), here),
            root: scratch.path().join(DESK),
        });
        let begun = Instant::now();
        let mut stage =
            Stage { hosts, terminals: BTreeMap::new(), begun, logs: Logs::default(), scratch };
        for place in 0..stage.hosts.len() {
            stage.set_up_host(place)?;
        }
        for (place, spec) in specs.enumerate() {
            for (path, text) in &spec.files {
                let file = stage.hosts[place].path(path);
                std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
                std::fs::write(&file, stage.to_here(place, text))?;
            }
            for process in &spec.processes {
                let words: Vec<String> =
                    process.args.iter().map(|word| quoted(&stage.to_here(place, word))).collect();
                let dir = stage.hosts[place].path(&process.dir);
                std::fs::create_dir_all(&dir)?;
                let log = format!("{}.log", process.name.replace(':', "-"));
                let log = stage.hosts[place].root.join("log").join(log);
                let line = format!(
                    "cd {} && exec {} {} >>{} 2>&1",
                    quoted(&dir.display().to_string()),
                    process.program,
                    words.join(" "),
                    quoted(&log.display().to_string()),
                );
                let name = format!("program {}", process.name);
                let mut command = stage.command(place);
                command.args(["-c", &line]);
                stage.terminals.insert(name, Terminal::start(&stage.hosts[place].name, command)?);
            }
        }
        stage.wait_for_programs(lesson);
        Ok(stage)
    }

    /// The time since the stage was set.
    pub(super) fn now(&self) -> Mono {
        Mono(u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The terminal with a redis-cli connected to a server; opened on first use.
    pub(super) fn cli(&mut self, at: &str) -> Result<String> {
        let name = format!("cli {at}");
        let (host, port) = at.split_once(':').unwrap_or((at, "6379"));
        let place = self.place(host)?;
        if !self.is_alive(&name) {
            let line = format!("exec redis-cli -p {}", quoted(port));
            let mut command = self.command(place);
            command.args(["-c", &line]);
            self.terminals.insert(name.clone(), Terminal::start(host, command)?);
        }
        Ok(name)
    }

    /// The terminal of a shell, by its name in the lesson.
    pub(super) fn shell(&mut self, terminal: &str) -> Result<String> {
        if !self.is_alive(terminal) {
            let host = terminal.split('#').next().unwrap_or_default();
            let place = self.place(host)?;
            let mut command = self.command(place);
            command.args(["--norc", "--noprofile", "-i"]);
            self.terminals.insert(terminal.to_owned(), Terminal::start(host, command)?);
        }
        Ok(terminal.to_owned())
    }

    /// Whether a terminal shows a prompt.
    pub(super) fn waits_for_line(&self, terminal: &str) -> bool {
        waits_for_line(&self.text(terminal))
    }

    /// The whole text of a terminal; empty if there is none of this name.
    pub(super) fn text(&self, terminal: &str) -> String {
        self.terminals.get(terminal).map(Terminal::text).unwrap_or_default()
    }

    /// Types a line of the lesson.
    pub(super) fn type_line(&mut self, terminal: &str, line: &str) -> Result<()> {
        let host = self.terminals.get(terminal).map_or("", |terminal| &terminal.host);
        let place = self.place(host)?;
        let keys = match line {
            "^C" => "\u{3}".to_owned(),
            line => format!("{}\r", self.to_here(place, line)),
        };
        let terminal = self.terminals.get_mut(terminal).context("the terminal is gone")?;
        terminal.press(&keys)
    }

    /// Reads the lines that were logged since the last call.
    pub(super) fn read_logs(&mut self) {
        let now = self.now();
        let mut texts = Vec::new();
        for host in &self.hosts {
            for file in log_files(&host.root) {
                let bytes = std::fs::read(&file).unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                texts.push((file.display().to_string(), host.name.clone(), text));
            }
        }
        // A server in the foreground logs on its terminal.
        for (name, terminal) in &self.terminals {
            texts.push((name.clone(), terminal.host.clone(), terminal.text()));
        }
        for (place, host, text) in texts {
            let read = self.logs.read.entry(place).or_default();
            // An incomplete last line is read later.
            let whole = text.rfind('\n').map_or(0, |at| at + 1);
            for line in text.get(*read..whole).unwrap_or_default().lines() {
                if let Some(message) = message(line) {
                    self.logs.lines.push((host.clone(), now, message.to_owned()));
                }
            }
            *read = whole;
        }
    }

    /// The text of all terminals, for an error message.
    pub(super) fn shown(&self) -> String {
        let texts = self
            .terminals
            .iter()
            .map(|(name, terminal)| format!("--- {name}\n{}", self.to_lesson(&terminal.text())));
        texts.collect::<Vec<_>>().join("\n")
    }

    fn is_alive(&mut self, terminal: &str) -> bool {
        self.terminals.get_mut(terminal).is_some_and(Terminal::is_alive)
    }

    fn place(&self, host: &str) -> Result<usize> {
        let place = self.hosts.iter().position(|known| known.name == host);
        place.with_context(|| format!("the lesson has no host '{host}'"))
    }

    /// Creates the directories of a host and the wrappers around the programs.
    fn set_up_host(&self, place: usize) -> Result<()> {
        let Host { root, address, .. } = &self.hosts[place];
        let limpid = std::env::current_exe().context("the path of this program is unknown")?;
        let limpid = quoted(&limpid.display().to_string());
        for folder in FOLDERS.iter().chain(&["bin", "log"]) {
            std::fs::create_dir_all(root.join(folder))?;
        }
        let ip = &address.1;
        // Outgoing connections must come from the host's address: nodes and Sentinels learn each
        // other's addresses from them.
        let bound = format!("--bind {ip} --bind-source-addr {ip}");
        let trib = format!("#!/bin/sh\nexec {limpid} trib \"$@\"\n");
        let wrappers = [
            ("redis-server", format!("exec {limpid} server \"$@\" {bound}")),
            ("redis-sentinel", format!("exec {limpid} sentinel \"$@\" {bound}")),
            ("redis-cli", format!("exec {limpid} cli -h {ip} \"$@\"")),
            ("redis-trib.rb", format!("exec {limpid} trib \"$@\"")),
            ("redis-check-aof", format!("exec {limpid} check-aof \"$@\"")),
            ("redis-check-rdb", format!("exec {limpid} check-rdb \"$@\"")),
            ("limpid", format!("exec {limpid} \"$@\"")),
        ];
        for (name, line) in wrappers {
            let file = root.join("bin").join(name);
            std::fs::write(&file, format!("#!/bin/sh\n{line}\n"))?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&file, mode)?;
        }
        // The sample configuration of a server, at its path in a World.
        for file in ["etc/redis.conf", "tmp/redis-6.2.4/redis.conf"] {
            let file = root.join(file);
            std::fs::create_dir_all(file.parent().unwrap_or(root))?;
            std::fs::write(&file, limpid_core::lab::redis_conf())?;
        }
        // The cluster tool of older releases, which a lesson copies into the path.
        let source = root.join("root/redis-4.0.8/src/redis-trib.rb");
        std::fs::create_dir_all(source.parent().unwrap_or(root))?;
        std::fs::write(&source, trib)?;
        // One binary provides several programs, and chooses by the name it is started under.
        for name in ["nutcracker", "predixy"] {
            std::os::unix::fs::symlink(std::env::current_exe()?, root.join("bin").join(name))?;
        }
        Ok(())
    }

    /// A shell on a host.
    fn command(&self, place: usize) -> CommandBuilder {
        let Host { root, name, .. } = &self.hosts[place];
        let mut command = CommandBuilder::new("bash");
        let paths = std::env::var("PATH").unwrap_or_default();
        let own = [root.join("root/bin"), root.join("bin")].map(|path| path.display().to_string());
        command.env("PATH", format!("{}:{paths}", own.join(":")));
        command.env("HOME", root.join("root"));
        command.env("PS1", format!("[root@{name} \\W]# "));
        command.env("TERM", "xterm");
        command.env("LC_ALL", "C.UTF-8");
        command.env("HISTFILE", "");
        command.env(MARK, self.scratch.path());
        command.cwd(root.join("root"));
        command
    }

    /// Waits until the programs that a lesson begins with answer, replicas among them are in sync,
    /// and a cluster with all slots assigned is ok. Gives up silently: the step that needs a
    /// program that is not ready reports it.
    fn wait_for_programs(&self, lesson: &Lesson) {
        let end = Instant::now() + Duration::from_secs(10);
        for host in &lesson.scenario.hosts {
            for process in host.processes.iter().filter(|p| p.program.starts_with("redis-")) {
                let at = [process.name.clone()];
                let begins = |words: &[&str], ready: fn(&[String]) -> bool| {
                    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
                    while !ready(&self.asked(&at, None, &words)) && Instant::now() < end {
                        std::thread::sleep(super::POLL_INTERVAL);
                    }
                };
                begins(&["ping"], |told| !told.is_empty());
                begins(&["info", "replication"], |told| {
                    !told.iter().any(|told| told.contains("master_link_status:down"))
                });
                begins(&["cluster", "info"], |told| {
                    let whole = |told: &String| told.contains("cluster_slots_assigned:16384");
                    !told.iter().any(|told| whole(told) && !told.contains("cluster_state:ok"))
                });
            }
        }
    }

    /// Converts a text of the lesson to names, paths and addresses of this stage.
    fn to_here(&self, place: usize, text: &str) -> String {
        let own = &self.hosts[place];
        // `limpid shard` only computes: it prints the node names that it is given.
        if text.contains("limpid shard ") {
            return own.with_paths(text);
        }
        let mut out = text.to_owned();
        // Nothing connects to the desk, and its name is a common word.
        for host in self.hosts.iter().filter(|host| host.name != DESK) {
            out = replace_words(&out, &host.name, &host.address.1);
            out = replace_words(&out, &host.address.0, &host.address.1);
        }
        for loopback in [LOOPBACK, "localhost"] {
            out = replace_words(&out, loopback, &own.address.1);
        }
        own.with_paths(&out)
    }

    /// Converts output of this stage back to the lesson's names, paths and addresses.
    fn to_lesson(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for host in &self.hosts {
            out = out.replace(&host.root.display().to_string(), "");
            out = replace_words(&out, &host.address.1, &host.address.0);
        }
        out
    }

    /// The addresses of servers that a name stands for: a host, `host:port`, or a process.
    fn addresses(&self, name: &str) -> Vec<SocketAddr> {
        let (host, ports) = match name.rsplit_once(':') {
            Some((host, port)) => (host, vec![port.parse().unwrap_or_default()]),
            None => (name, vec![6379, 26379]),
        };
        let known = self.hosts.iter().find(|known| known.name == host);
        let ip = known.and_then(|host| host.address.1.parse().ok());
        ip.into_iter()
            .flat_map(|ip| ports.iter().map(move |&port| SocketAddr::new(ip, port)))
            .collect()
    }
}

impl Witness for Stage {
    fn now(&self) -> Mono {
        Stage::now(self)
    }

    fn typed(&self) -> Vec<Typed> {
        let places: Vec<(String, String)> =
            self.hosts.iter().map(|host| (host.name.clone(), host.address.0.clone())).collect();
        let terminals = self.terminals.values();
        terminals
            .flat_map(|terminal| {
                typed_in(&self.to_lesson(&terminal.text()), &terminal.host, &places)
            })
            .collect()
    }

    fn logged(&self, at: &[String], since: Mono) -> Vec<String> {
        let host_of = |name: &String| name.split(':').next().unwrap_or_default().to_owned();
        let hosts: Vec<String> = at.iter().map(host_of).collect();
        let lines = self.logs.lines.iter();
        lines
            .filter(|(host, seen, _)| hosts.contains(host) && *seen > since)
            .map(|(_, _, line)| self.to_lesson(line))
            .collect()
    }

    fn asked(&self, at: &[String], password: Option<&str>, command: &[String]) -> Vec<String> {
        let addresses = at.iter().flat_map(|name| self.addresses(name));
        let answers = addresses.filter_map(|address| ask(address, password, command).ok());
        answers.map(|answer| self.to_lesson(&printed(&answer))).collect()
    }

    fn process(&self, name: &str) -> Expect {
        let listens = self.addresses(name).iter().any(|at| connect(*at).is_ok());
        if listens { Expect::Running } else { Expect::Stopped }
    }

    fn file(&self, host: &str, path: &str) -> Option<Vec<u8>> {
        let place = self.place(host).ok()?;
        let bytes = std::fs::read(self.hosts[place].path(path)).ok()?;
        Some(self.to_lesson(&String::from_utf8_lossy(&bytes)).into_bytes())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.terminals.clear();
        end_marked(self.scratch.path());
    }
}

impl Host {
    /// Where a path of the host is on this machine.
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Replaces paths of the host in a text by those of this machine. In scripts of `sed`, slashes
    /// are escaped.
    fn with_paths(&self, text: &str) -> String {
        let root = self.root.display().to_string();
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('/') {
            let (before, after) = rest.split_at(at);
            let escaped = before.ends_with('\\');
            let begins = before.trim_end_matches('\\').chars().last();
            let begins = begins.or(out.chars().last()).is_none_or(|c| " \t\n\"'=:(".contains(c));
            let folder = FOLDERS.iter().any(|folder| {
                after[1..].strip_prefix(folder).is_some_and(|end| {
                    end.chars().next().is_none_or(|c| !c.is_ascii_alphanumeric() && c != '.')
                })
            });
            if begins && folder {
                match escaped {
                    true => {
                        out.push_str(before.trim_end_matches('\\'));
                        out.push_str(&root.replace('/', "\\/"));
                        out.push('\\');
                    }
                    false => {
                        out.push_str(before);
                        out.push_str(&root);
                    }
                }
            } else {
                out.push_str(before);
            }
            out.push('/');
            rest = &after[1..];
        }
        out + rest
    }
}

/// Replaces a name or an address wherever it is a whole word.
fn replace_words(text: &str, word: &str, by: &str) -> String {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, found) = rest.split_at(at);
        let after = &found[word.len()..];
        let last = before.chars().last().or(out.chars().last());
        let stands = !last.is_some_and(inside) && !after.chars().next().is_some_and(inside);
        out.push_str(before);
        out.push_str(if stands { by } else { word });
        rest = after;
    }
    out + rest
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The log files of a host: the output of its programs, and files named like logs.
fn log_files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(path),
                Ok(kind) if kind.is_file() && path.extension().is_some_and(|end| end == "log") => {
                    found.push(path);
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// The message of a log line, without process, time and level (`7:M 29 Nov 2026 10:00:00.000 * …`,
/// or the forms of the proxies). `None` for text that is no log line.
fn message(line: &str) -> Option<&str> {
    let (head, rest) = line.split_once(' ')?;
    if let Some((process, role)) = head.split_once(':')
        && role.len() == 1
        && process.bytes().all(|byte| byte.is_ascii_digit())
    {
        let at = ["* ", "# ", "- ", ". "].iter().filter_map(|mark| rest.find(mark)).min()?;
        return Some(&rest[at + 2..]);
    }
    // `[2026-11-29 10:00:00.000] nc_core.c:43 …` and `2026-11-29 10:00:00.000 N Proxy.cpp:112 …`
    let is_date = head.trim_start_matches('[').starts_with("20") && head.contains('-');
    is_date.then_some(rest)
}

fn connect(at: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&at, REPLY_TIMEOUT)?;
    stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
    Ok(stream)
}

fn ask(at: SocketAddr, password: Option<&str>, command: &[String]) -> Result<Value> {
    let mut stream = connect(at)?;
    if let Some(password) = password {
        exchange(&mut stream, &["AUTH", password])?;
    }
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    exchange(&mut stream, &words)
}

fn exchange(stream: &mut TcpStream, command: &[&str]) -> Result<Value> {
    let mut request = Vec::new();
    encode_command(command, &mut request);
    stream.write_all(&request)?;
    let mut reply = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let length = stream.read(&mut buffer)?;
        anyhow::ensure!(length > 0, "the server closed the connection");
        reply.extend_from_slice(&buffer[..length]);
        let whole = decode(&reply).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        if let Some((value, _)) = whole {
            return Ok(value);
        }
    }
}

/// Kills the processes that were started on a stage: they have its directory in their environment.
fn end_marked(scratch: &Path) {
    let mark = format!("{MARK}={}", scratch.display());
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().parse().ok();
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { continue };
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_replaced_where_they_stand_for_themselves() {
        assert_eq!(
            replace_words("-h redis-1 redis-10 a.redis-1", "redis-1", "X"),
            "-h X redis-10 a.redis-1"
        );
        assert_eq!(replace_words("10.0.0.1:6379,10.0.0.11", "10.0.0.1", "X"), "X:6379,10.0.0.11");
        let host = Host { name: "h".to_owned(), address: Default::default(), root: "/s/h".into() };
        for (typed, here) in [
            ("cat /data/dump.rdb", "cat /s/h/data/dump.rdb"),
            ("dir /var/lib/redis", "dir /s/h/var/lib/redis"),
            ("cd /tmp", "cd /s/h/tmp"),
            (
                "sed 's/dir .\\//dir \\/tmp\\/7001\\//g' x",
                "sed 's/dir .\\//dir \\/s\\/h\\/tmp\\/7001\\//g' x",
            ),
            ("ls data/etc ./etc /database /bin/sh", "ls data/etc ./etc /database /bin/sh"),
        ] {
            assert_eq!(host.with_paths(typed), here, "{typed}");
        }
    }

    #[test]
    fn the_message_of_a_log_line_is_what_follows_its_level() {
        let line = "7:M 29 Nov 2026 10:00:00.000 * Ready to accept - or not";
        assert_eq!(message(line), Some("Ready to accept - or not"));
        assert_eq!(message("OK"), None);
        let line = "[2026-11-29 10:00:00.000] nc_core.c:43 max fds 1024";
        assert_eq!(message(line), Some("10:00:00.000] nc_core.c:43 max fds 1024"));
    }
}
