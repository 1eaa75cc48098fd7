//! The plan for installing or removing a service: directories, files and commands. A dry run prints
//! it.

use core::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Init;
use super::installed::Installed;

/// The description of a service to install.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// The port that clients connect to.
    pub port: u16,
    pub config: PathBuf,
    pub log: PathBuf,
    pub data: PathBuf,
    /// The path of `limpid`, or of a program named `redis-server`.
    pub executable: PathBuf,
    /// The user that it runs as; `None` for root.
    pub user: Option<String>,
    pub init: Init,
}

/// A file to write.
#[derive(Debug)]
pub(super) struct File {
    pub path: PathBuf,
    pub text: String,
    pub mode: u32,
    /// Whether an existing file is kept.
    pub keeps: bool,
}

/// The steps in order: create directories and files, run commands; or run commands, and remove
/// files.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub directories: Vec<PathBuf>,
    pub files: Vec<File>,
    commands: Vec<Vec<String>>,
    pub removed: Vec<PathBuf>,
    afterwards: Vec<Vec<String>>,
}

impl Service {
    /// The name of the service. Several on one machine differ by their ports.
    pub(super) fn name(&self) -> String {
        format!("limpid_{}", self.port)
    }

    /// The path of the unit file or init script.
    fn entry(&self) -> PathBuf {
        entry(self.init, &self.name())
    }

    /// The command by which a person starts the service.
    pub(super) fn start_by_hand(&self) -> String {
        match self.init {
            Init::Systemd => format!("systemctl enable --now {}", self.name()),
            Init::Sysv => format!("{} start", self.entry().display()),
        }
    }

    /// The command that runs the server in the foreground.
    fn command(&self) -> String {
        let executable = quoted(&self.executable);
        let named = self.executable.file_name().is_some_and(|name| name == "redis-server");
        let server = if named { "" } else { " server" };
        format!("{executable}{server} {}", quoted(&self.config))
    }

    /// Comment lines by which `limpid service list` recognizes the service.
    fn notes(&self) -> String {
        format!(
            "# Installed by `limpid service install`; `limpid service remove {}` takes it away.\n\
             # limpid port {}\n# limpid config {}\n# limpid log {}\n# limpid data {}\n",
            self.name(),
            self.port,
            self.config.display(),
            self.log.display(),
            self.data.display(),
        )
    }

    fn configuration(&self) -> String {
        let daemonize = if self.init == Init::Sysv { "yes" } else { "no" };
        format!(
            "# The configuration of {}, written when the service was installed. It is yours to edit.\n\
             bind 127.0.0.1 -::1\nprotected-mode yes\nport {}\ndaemonize {daemonize}\n\
             pidfile {}\nlogfile {}\ndir {}\n",
            self.name(),
            self.port,
            quoted(&pidfile(&self.name())),
            quoted(&self.log),
            quoted(&self.data),
        )
    }

    fn unit(&self) -> String {
        let user = self.user.as_ref().map(|user| format!("User={user}\n")).unwrap_or_default();
        format!(
            "{}[Unit]\nDescription=Limpid, a Redis-compatible server, on port {}\n\
             Wants=network-online.target\nAfter=network-online.target\n\n\
             [Service]\n{user}ExecStart={}\nRestart=on-failure\nLimitNOFILE=65535\n\
             RuntimeDirectory={}\n\n[Install]\nWantedBy=multi-user.target\n",
            self.notes(),
            self.port,
            // Percent signs are special in a unit file.
            self.command().replace('%', "%%"),
            self.name(),
        )
    }

    fn script(&self) -> String {
        let command = match &self.user {
            Some(user) => {
                format!("su -s /bin/sh {user} -c '{}'", self.command().replace('\'', "'\\''"))
            }
            None => self.command(),
        };
        let name = self.name();
        let pidfile = pidfile(&name);
        format!(
            r#"#!/bin/sh
# chkconfig: 2345 90 10
# description: Limpid, a Redis-compatible server, on port {port}
### BEGIN INIT INFO
# Provides: {name}
# Required-Start: $network $local_fs $remote_fs
# Required-Stop: $network $local_fs $remote_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: Limpid on port {port}
### END INIT INFO
{notes}
pidfile={pidfile}

running() {{
    [ -f "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null
}}

case "$1" in
start)
    if running; then
        echo "{name} runs already (process $(cat "$pidfile"))"
    else
        mkdir -p {run}
        {command} || exit 1
        echo "{name} has been started"
    fi
    ;;
stop)
    if running; then
        pid=$(cat "$pidfile")
        kill "$pid"
        while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
        echo "{name} has been stopped"
    else
        echo "{name} does not run"
    fi
    ;;
status)
    if running; then
        echo "{name} runs (process $(cat "$pidfile"))"
    else
        echo "{name} does not run"
        exit 3
    fi
    ;;
restart)
    "$0" stop
    "$0" start
    ;;
*)
    echo "usage: $0 start|stop|restart|status" >&2
    exit 2
    ;;
esac
"#,
            port = self.port,
            notes = self.notes().trim_end(),
            pidfile = quoted(&pidfile),
            run = quoted(pidfile.parent().unwrap_or(Path::new("/run"))),
        )
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.entry();
        for (name, value) in [
            ("Service", entry.as_path()),
            ("Configuration", &self.config),
            ("Log file", &self.log),
            ("Data directory", &self.data),
            ("Program", &self.executable),
        ] {
            writeln!(f, "{name:<15}: {}", value.display())?;
        }
        write!(f, "{:<15}: {}", "User", self.user.as_deref().unwrap_or("root"))
    }
}

impl Plan {
    /// The plan for installing a service; with `starts`, commands register and start it.
    pub(super) fn install(service: &Service, starts: bool) -> Self {
        let parent = |path: &Path| path.parent().map(Path::to_owned);
        let entry = service.entry();
        let places = [parent(&service.config), parent(&service.log), parent(&entry)];
        let mut directories: Vec<PathBuf> = places.into_iter().flatten().collect();
        directories.push(service.data.clone());
        let (text, mode) = match service.init {
            Init::Systemd => (service.unit(), 0o644),
            Init::Sysv => (service.script(), 0o755),
        };
        let files = vec![
            File {
                path: service.config.clone(),
                text: service.configuration(),
                mode: 0o644,
                keeps: true,
            },
            File { path: entry.clone(), text, mode, keeps: false },
        ];
        let name = service.name();
        let commands = match (starts, service.init) {
            (false, _) => Vec::new(),
            (true, Init::Systemd) => vec![
                words(&["systemctl", "daemon-reload"]),
                words(&["systemctl", "enable", "--now", &name]),
            ],
            (true, Init::Sysv) => {
                let entry = entry.to_string_lossy();
                let mut commands = registration(&name, true);
                commands.push(words(&[&entry, "start"]));
                commands
            }
        };
        Plan { directories, files, commands, ..Plan::default() }
    }

    /// The plan for removing a service; with `purge` also its data, configuration and log.
    pub(super) fn remove(service: &Installed, purge: bool, stops: bool) -> Self {
        let mut plan = Plan { removed: vec![service.entry.clone()], ..Plan::default() };
        if purge {
            let stored = [&service.config, &service.log, &service.data];
            plan.removed.extend(stored.into_iter().cloned());
        }
        let name = &service.name;
        match (stops, service.init) {
            (false, _) => {}
            (true, Init::Systemd) => {
                plan.commands = vec![words(&["systemctl", "disable", "--now", name])];
                plan.afterwards = vec![words(&["systemctl", "daemon-reload"])];
            }
            (true, Init::Sysv) => {
                plan.commands = vec![words(&[&service.entry.to_string_lossy(), "stop"])];
                plan.afterwards = registration(name, false);
            }
        }
        plan
    }

    /// Runs the commands.
    pub(super) fn run(&self) -> Result<()> {
        self.commands.iter().try_for_each(|words| run(words))
    }

    /// Runs the commands that come after files were removed.
    pub(super) fn run_afterwards(&self) -> Result<()> {
        self.afterwards.iter().try_for_each(|words| run(words))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for directory in &self.directories {
            writeln!(f, "would make {}", directory.display())?;
        }
        for file in &self.files {
            let unless = if file.keeps { ", unless it is there already" } else { "" };
            writeln!(f, "would write {} (mode {:o}{unless}):", file.path.display(), file.mode)?;
            for line in file.text.lines() {
                writeln!(f, "    {line}")?;
            }
        }
        let ran = |f: &mut fmt::Formatter<'_>, commands: &[Vec<String>]| {
            commands.iter().try_for_each(|words| writeln!(f, "would run {}", words.join(" ")))
        };
        ran(f, &self.commands)?;
        for path in &self.removed {
            writeln!(f, "would remove {}", path.display())?;
        }
        ran(f, &self.afterwards)
    }
}

/// The path of the unit file or init script of a service.
pub(super) fn entry(init: Init, name: &str) -> PathBuf {
    match init {
        Init::Systemd => format!("/etc/systemd/system/{name}.service").into(),
        Init::Sysv => format!("/etc/init.d/{name}").into(),
    }
}

fn pidfile(name: &str) -> PathBuf {
    format!("/run/{name}/server.pid").into()
}

/// The commands by which distributions enable or disable an init script; the first that exists is
/// used.
fn registration(name: &str, adds: bool) -> Vec<Vec<String>> {
    let there = |program: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|dir| dir.join(program).is_file())
    };
    match (there("update-rc.d"), there("chkconfig")) {
        (true, _) if adds => vec![words(&["update-rc.d", name, "defaults"])],
        (true, _) => vec![words(&["update-rc.d", name, "remove"])],
        (false, true) if adds => vec![words(&["chkconfig", "--add", name])],
        (false, true) => vec![words(&["chkconfig", "--del", name])],
        (false, false) => Vec::new(),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn run(words: &[String]) -> Result<()> {
    let Some((program, args)) = words.split_first() else { return Ok(()) };
    let status = Command::new(program).args(args).status();
    let status = status.with_context(|| format!("cannot start {program}"))?;
    ensure!(
        status.success(),
        "'{}' ended with {status}; its own message says why",
        words.join(" ")
    );
    Ok(())
}

/// Quotes a path for use in a configuration, a unit file and a shell alike.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '%' | '+');
    if text.chars().all(plain) { text } else { format!("\"{text}\"") }
}
