//! The small programs: one function each, and the table of their names.

mod awk;
mod files;
mod find;
mod grep;
mod install;
mod links;
mod listing;
mod net;
mod print;
mod procs;
mod regex;
mod screen;
mod sed;
mod shard;
mod text;
mod vi;

use core::future::Future;
use core::pin::Pin;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::machine::Endpoint;
use crate::sim::{Launch, ProcState, resolve_path};
use crate::time::Wall;

use super::os::{End, Entry, Os};

pub(super) use self::install::{SHARED, init_script};

/// A boxed future, for recursive functions.
type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A program: its name, its options for completion, and its function.
struct Tool {
    name: &'static str,
    options: &'static str,
    run: fn(Os) -> Pin<Box<dyn Future<Output = i32> + Send>>,
}

macro_rules! tools {
    ($($name:literal $options:literal $run:path;)*) => {
        &[$(Tool { name: $name, options: $options, run: |os| Box::pin($run(os)) }),*]
    };
}

/// The table of all programs.
const TOOLS: &[Tool] = tools! {
    "[" "" procs::test;
    "apt" "" install::installed;
    "apt-get" "" install::installed;
    "autoreconf" "" install::installed;
    "awk" "-F -v" awk::awk;
    "basename" "" files::basename;
    "cat" "-n" text::cat;
    "chkconfig" "--add --list" install::chkconfig;
    "chmod" "-R" files::chmod;
    "chown" "-R" files::chown;
    "clear" "" screen::clear;
    "configure" "" install::installed;
    "cp" "-r -v" files::cp;
    "cut" "-d -f -c" text::cut;
    "date" "+%s" procs::date;
    "df" "-h" procs::df;
    "diff" "-u" text::diff;
    "dirname" "" files::dirname;
    "du" "-s -h" listing::du;
    "echo" "-n -e" print::echo;
    "env" "" procs::env;
    "false" "" procs::fail;
    "file" "" listing::file;
    "find" "-name -type -maxdepth -delete -exec" find::find;
    "free" "-m -h" procs::free;
    "gem" "" install::installed;
    "git" "" install::installed;
    "grep" "-c -E -i -n -o -q -r -v -w -A -B" grep::grep;
    "egrep" "-c -i -n -o -q -r -v" grep::grep;
    "head" "-n -c" text::head;
    "hostname" "-I -i" net::hostname;
    "id" "" procs::id;
    "ifconfig" "" net::ifconfig;
    "install_server.sh" "" install::install_server;
    "ip" "" net::ip;
    "iptables" "-A -D -F -L" net::iptables;
    "kill" "-9 -s" procs::kill;
    "killall" "-9" procs::pkill;
    "less" "-N" screen::less;
    "limpid" "--add --count --hash --help --keys --node --plot --remove --rule --seed --table --tag" shard::limpid;
    "ln" "-f -n -s -v" links::ln;
    "ls" "-a -h -l -R -t" listing::ls;
    "make" "" install::installed;
    "man" "" screen::man;
    "mkdir" "-p -v" files::mkdir;
    "more" "" screen::less;
    "mv" "-f -v" files::mv;
    "nano" "" vi::nano;
    "nc" "-z -v" net::nc;
    "netstat" "-t -u -n -l -p -a" net::netstat;
    "ntpdate" "" install::installed;
    "pgrep" "-f -l" procs::pgrep;
    "pidof" "" procs::pgrep;
    "ping" "-c" net::ping;
    "pkill" "-f -9" procs::pkill;
    "poweroff" "" procs::reboot;
    "printenv" "" procs::env;
    "printf" "" print::printf;
    "ps" "-e -f aux" procs::ps;
    "pwd" "" files::pwd;
    "readlink" "-e -f" links::readlink;
    "reboot" "" procs::reboot;
    "rm" "-f -r" files::rm;
    "rmdir" "" files::rmdir;
    "ruby" "" procs::ruby;
    "scp" "-r" net::scp;
    "sed" "-e -E -i -n" sed::sed;
    "seq" "" text::seq;
    "service" "" install::service;
    "sleep" "" procs::sleep;
    "sort" "-k -n -r -t -u" text::sort;
    "ss" "-a -l -n -p -t" net::ss;
    "ssh-keygen" "-t -C" install::installed;
    "stat" "" listing::stat;
    "sudo" "" procs::sudo;
    "systemctl" "daemon-reload enable restart start status stop" install::systemctl;
    "tail" "-c -f -n" text::tail;
    "tar" "" install::installed;
    "tee" "-a" text::tee;
    "telnet" "" net::nc;
    "test" "" procs::test;
    "top" "-b -n" screen::top;
    "touch" "" files::touch;
    "tr" "-d -s" text::tr;
    "tree" "" listing::tree;
    "true" "" procs::succeed;
    "uname" "-a" procs::uname;
    "uniq" "-c -d" text::uniq;
    "uptime" "" procs::uptime;
    "vi" "" vi::vi;
    "vim" "" vi::vi;
    "watch" "-n" screen::watch;
    "wc" "-c -l -w" text::wc;
    "wget" "" install::installed;
    "which" "" procs::which;
    "whoami" "" procs::whoami;
    "xargs" "-I -n -t" procs::xargs;
    "yes" "" text::yes;
    "yum" "" install::installed;
};

fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

pub(super) fn exists(name: &str) -> bool {
    find(name).is_some()
}

/// The names of all programs.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|tool| tool.name)
}

/// The options of a program, for completion.
pub(super) fn options(name: &str) -> impl Iterator<Item = &'static str> {
    find(name).into_iter().flat_map(|tool| tool.options.split(' ').filter(|o| !o.is_empty()))
}

/// The entry point of a program.
pub(super) fn entry(name: &str) -> Option<Entry> {
    let run = find(name)?.run;
    Some(Arc::new(move |os| Box::pin(async move { End::Exit(run(os).await) })))
}

/// Runs a program in the shell's own process, for those that are builtins as well.
pub(super) async fn run_in_place(os: &Os, name: &str, args: Vec<String>) -> i32 {
    match find(name) {
        Some(tool) => (tool.run)(os.with_args(name, args)).await,
        None => 127,
    }
}

/// Evaluates a condition of `test`, such as `-f path`.
pub(super) async fn holds(os: &Os, args: &[String]) -> Result<bool, String> {
    procs::any(os, args).await
}

/// Whether an extended regular expression matches a part of a text.
pub(super) fn regex_finds(pattern: &str, text: &str) -> Result<bool, String> {
    Ok(regex::compile(pattern, true, false)?.is_match(text))
}

/// The state of a host when a program that lists it was started.
#[derive(Clone, Debug, Default)]
pub(super) struct HostSnapshot {
    pub(super) procs: Vec<ProcInfo>,
    pub(super) sockets: Vec<SocketInfo>,
    pub(super) used: u64,
    pub(super) services: Vec<String>,
}

/// A process, as `ps` lists it.
#[derive(Clone, Debug)]
pub(super) struct ProcInfo {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) tty: String,
    pub(super) command: String,
    pub(super) program: String,
    pub(super) started: Wall,
    pub(super) state: ProcState,
}

/// A socket, as `ss` lists it.
#[derive(Clone, Debug)]
pub(super) struct SocketInfo {
    pub(super) local: Endpoint,
    pub(super) peer: Option<Endpoint>,
    pub(super) program: String,
    pub(super) pid: u32,
}

impl HostSnapshot {
    /// The state that the program of a launch needs.
    pub(super) fn of(launch: &Launch<'_>) -> HostSnapshot {
        let looks = matches!(
            launch.program,
            "ps" | "pgrep"
                | "pidof"
                | "pkill"
                | "killall"
                | "top"
                | "ss"
                | "netstat"
                | "df"
                | "free"
                | "uptime"
                | "systemctl"
                | "service"
        );
        if !looks {
            return HostSnapshot::default();
        }
        let world = launch.world;
        let Some(host) = world.host_named(launch.host) else { return HostSnapshot::default() };
        let ahead = launch.now.wall.0.saturating_sub(launch.now.mono.0 / 1_000);
        let mut snapshot = HostSnapshot { used: host.disk.used(), ..HostSnapshot::default() };
        for proc in world.procs().filter(|proc| proc.host == host.id) {
            if !matches!(proc.state, ProcState::Running | ProcState::Paused) {
                continue;
            }
            let listens: Vec<&Endpoint> = world.listeners(proc.id).collect();
            snapshot.procs.push(ProcInfo {
                pid: proc.pid,
                parent: proc.parent,
                tty: proc.tty.map_or("?".into(), |tty| format!("pts/{}", tty.0)),
                command: title(proc.program, proc.args, &listens),
                program: proc.program.into(),
                started: Wall(ahead + proc.started.0 / 1_000),
                state: proc.state,
            });
            for at in world.listeners(proc.id) {
                snapshot.sockets.push(SocketInfo {
                    local: at.clone(),
                    peer: None,
                    program: proc.program.into(),
                    pid: proc.pid,
                });
            }
        }
        for conn in world.conns() {
            for (end, other) in [(0, 1), (1, 0)] {
                let (end, other) = (&conn.ends[end], &conn.ends[other]);
                let proc = end.proc.and_then(|id| world.proc(id));
                if end.host != host.id || !end.open {
                    continue;
                }
                snapshot.sockets.push(SocketInfo {
                    local: end.addr.clone(),
                    peer: Some(other.addr.clone()),
                    program: proc.map_or(String::new(), |proc| proc.program.into()),
                    pid: proc.map_or(0, |proc| proc.pid),
                });
            }
        }
        if let Ok(files) = host.disk.list("/etc/init.d") {
            let names = files.into_iter().map(|file| file.name);
            snapshot.services.extend(names.filter(|name| name != SHARED));
        }
        snapshot
    }
}

/// The command line of a process as `ps` shows it: a server shows its first address, as Redis does.
fn title(program: &str, args: &[String], listens: &[&Endpoint]) -> String {
    let sentinel = program == "redis-sentinel" || args.iter().any(|arg| arg == "--sentinel");
    // A cluster node's bus port is 10000 above its port for clients.
    match (program, listens.iter().min_by_key(|at| at.port())) {
        ("redis-server" | "redis-sentinel", Some(&at)) => {
            let name = if sentinel { "redis-sentinel" } else { "redis-server" };
            let is_bus = |other: &&Endpoint| Some(other.port()) == at.port().checked_add(10_000);
            let mark = match (sentinel, listens.iter().any(is_bus)) {
                (true, _) => " [sentinel]",
                (_, true) => " [cluster]",
                _ => "",
            };
            // Redis shows the wildcard address as a star by default, but as zeros if it was
            // configured.
            let chosen = args.first().is_some_and(|arg| !arg.starts_with('-'))
                || args.iter().any(|arg| arg == "--bind");
            match at {
                Endpoint::Ip(ip) if ip.ip().is_unspecified() && !chosen => {
                    format!("{name} *:{}{mark}", ip.port())
                }
                at => format!("{name} {at}{mark}"),
            }
        }
        ("login", _) => "-bash".into(),
        _ => core::iter::once(program)
            .chain(args.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Parsed command-line arguments: options and operands.
#[derive(Clone, Debug, Default)]
struct Parsed {
    flags: Vec<char>,
    values: Vec<(char, String)>,
    operands: Vec<String>,
}

impl Parsed {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }

    fn value(&self, flag: char) -> Option<&str> {
        self.values.iter().rev().find(|(known, _)| *known == flag).map(|(_, value)| value.as_str())
    }
}

/// Parses arguments: `flags` have no value, `valued` have one. Prints an error for others.
async fn parse(os: &Os, flags: &str, valued: &str) -> Result<Parsed, i32> {
    let mut parsed = Parsed::default();
    let mut args = os.args.iter();
    let mut over = false;
    while let Some(arg) = args.next() {
        if over || arg == "-" || !arg.starts_with('-') {
            parsed.operands.push(arg.clone());
            continue;
        }
        if arg == "--" {
            over = true;
            continue;
        }
        if let Some(long) = arg.strip_prefix("--") {
            let known = [("recursive", 'r'), ("all", 'a'), ("force", 'f'), ("parents", 'p')];
            let flag = known.iter().find(|(name, _)| *name == long).map(|(_, flag)| *flag);
            match flag.filter(|flag| flags.contains(*flag)) {
                Some(flag) => parsed.flags.push(flag),
                None if long.starts_with("color") => {}
                None => return Err(unsupported(os, arg).await),
            }
            continue;
        }
        let mut letters = arg.chars().skip(1);
        while let Some(letter) = letters.next() {
            if valued.contains(letter) {
                let rest: String = letters.collect();
                let value = if rest.is_empty() { args.next().cloned() } else { Some(rest) };
                let Some(value) = value else {
                    os.print_error(format!("option requires an argument -- '{letter}'")).await;
                    return Err(2);
                };
                parsed.values.push((letter, value));
                break;
            }
            if flags.contains(letter) {
                parsed.flags.push(letter);
            } else {
                return Err(unsupported(os, &format!("-{letter}")).await);
            }
        }
    }
    Ok(parsed)
}

async fn unsupported(os: &Os, option: &str) -> i32 {
    os.print_error(format!("the option {option} is not supported here")).await;
    2
}

/// Prints an error about a path.
async fn path_error(os: &Os, doing: &str, path: &str, error: impl core::fmt::Display) -> i32 {
    let text = if doing.is_empty() {
        format!("{path}: {error}")
    } else {
        format!("{doing} '{path}': {error}")
    };
    os.fail(text).await
}

/// Joins a directory and a name.
fn join(dir: &str, name: &str) -> String {
    match dir {
        "" => name.to_owned(),
        dir if dir.ends_with('/') => format!("{dir}{name}"),
        dir => format!("{dir}/{name}"),
    }
}

/// The last component of a path.
fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("/")
}

fn absolute(os: &Os, path: &str) -> String {
    resolve_path(os.var("PWD").unwrap_or(&os.dir), path)
}

/// A human-readable number of bytes: `1.5K`.
fn human(bytes: u64) -> String {
    let units = ["", "K", "M", "G", "T"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => bytes.to_string(),
        _ if size < 10.0 => format!("{:.1}{}", size, units[unit]),
        _ => format!("{:.0}{}", size.ceil(), units[unit]),
    }
}

/// Resolves a host name or an address.
fn host_of(os: &Os, host: &str) -> Option<(String, Ipv4Addr)> {
    if matches!(host, "localhost" | "127.0.0.1") {
        return Some((os.facts.host.clone(), os.facts.ip));
    }
    os.facts.names.iter().find(|(name, ip)| name == host || ip.to_string() == host).cloned()
}
