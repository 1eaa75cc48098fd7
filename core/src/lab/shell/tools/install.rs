//! Services: the installer of the Redis distribution, `service`, `systemctl`, `chkconfig`; and
//! package managers and compilers, for which everything is installed already.

use crate::machine::{Command, DiskOp, Group, Signal, Stdio};
use crate::time::Duration;

use super::super::builtins::read_line;
use super::super::os::Os;

/// The directories of unit files, in the order in which they are searched.
const UNITS: [&str; 2] = ["/etc/systemd/system", "/usr/lib/systemd/system"];

/// The file among the init scripts that is not one itself.
pub(in super::super) const SHARED: &str = "functions";

/// Programs that install something: they print that it is installed already.
pub(super) async fn installed(os: Os) -> i32 {
    let what = os.args.iter().find(|arg| {
        !arg.starts_with('-')
            && !matches!(arg.as_str(), "install" | "update" | "clone" | "search" | "clean" | "-y")
            && !matches!(arg.as_str(), "groupinstall" | "all" | "x" | "xf" | "build")
    });
    match what {
        Some(what) => {
            os.println(format!("{}: {what} is already on this machine, nothing to do", os.name))
        }
        None => {
            os.println(format!("{}: nothing to do, all of it is on this machine already", os.name))
        }
    }
    0
}

async fn ask(os: &Os, prompt: &str) -> Option<String> {
    os.print(prompt);
    os.flush().await;
    let line = read_line(os).await?;
    if !os.facts.stdin_is_terminal {
        os.print("\n");
    }
    Some(line.trim().to_owned())
}

/// The installer: asks for port, files and executable, and installs a service.
pub(super) async fn install_server(os: Os) -> i32 {
    os.println("Welcome to the redis service installer");
    os.println("This script will help you easily set up a running redis server\n");
    let Some(port) = ask(&os, "Please select the redis port for this instance: [6379] ").await
    else {
        return 1;
    };
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 => port,
        _ => {
            os.println("Selecting default: 6379");
            6379
        }
    };
    let questions = [
        ("Please select the redis config file name", format!("/etc/redis/{port}.conf")),
        ("Please select the redis log file name", format!("/var/log/redis_{port}.log")),
        ("Please select the data directory for this instance", format!("/var/lib/redis/{port}")),
    ];
    let mut answers = Vec::new();
    for (question, default) in questions {
        let Some(answer) = ask(&os, &format!("{question} [{default}] ")).await else { return 1 };
        if answer.is_empty() {
            os.println(format!("Selected default - {default}"));
            answers.push(default);
        } else {
            answers.push(answer);
        }
    }
    let default = "/usr/local/bin/redis-server";
    let question = format!("Please select the redis executable path [{default}] ");
    let Some(answer) = ask(&os, &question).await else { return 1 };
    let executable = if answer.is_empty() { default.to_owned() } else { answer };
    if !os.stat(&executable).await.is_ok_and(|stat| !stat.dir && stat.mode & 0o111 != 0) {
        os.println(format!(
            "Mmmmm...  it seems like you don't have a redis executable at {executable}. \
             Give the path of redis-server, as in {default}"
        ));
        return 1;
    }
    let cli = executable.replace("redis-server", "redis-cli");
    let [config, log, data] = answers.as_slice() else { return 1 };
    os.println("Selected config:");
    for (name, value) in [
        ("Port", &port.to_string()),
        ("Config file", config),
        ("Log file", log),
        ("Data dir", data),
        ("Executable", &executable),
        ("Cli Executable", &cli),
    ] {
        os.println(format!("{name:<15}: {value}"));
    }
    let confirm = "Is this ok? Then press ENTER to go on or Ctrl-C to abort.";
    if ask(&os, confirm).await.is_none() {
        return 1;
    }
    let script = format!("/etc/init.d/redis_{port}");
    let stock = super::super::skeleton::redis_conf();
    let conf = settled(&stock, port, log, data);
    let files = [
        (config.clone(), conf, 0o644),
        (script.clone(), init_script(port, config, &executable, &cli), 0o755),
    ];
    for dir in [data.as_str(), parent(config), parent(log), "/etc/init.d"] {
        if let Err(error) = os.make_dir(dir).await {
            return os.fail(format!("cannot create directory '{dir}': {error}")).await;
        }
    }
    for (path, text, mode) in files {
        let saved = os.save(&path, text.into_bytes()).await;
        let set = match saved {
            Ok(()) => os.do_disk(DiskOp::SetMode { path: path.clone(), mode }).await,
            error => error,
        };
        if let Err(error) = set {
            return os.fail(format!("cannot write '{path}': {error}")).await;
        }
    }
    os.println(format!("Copied /tmp/{port}.conf => {script}"));
    os.println("Installing service...");
    os.println("Successfully added to chkconfig!");
    os.println("Successfully added to runlevels 345!");
    let status = run(&os, &script, &["start"]).await;
    if status != 0 {
        os.println("Failed starting service...");
        return status;
    }
    os.println("Installation successful!");
    0
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        None => ".",
        Some(("", _)) => "/",
        Some((dir, _)) => dir,
    }
}

/// The default configuration with the installer's settings.
fn settled(stock: &str, port: u16, log: &str, data: &str) -> String {
    let mut text = String::new();
    for line in stock.lines() {
        let line = match line.split_once(' ').map_or(line, |(name, _)| name) {
            "port" => format!("port {port}"),
            "logfile" => format!("logfile {log}"),
            "dir" => format!("dir {data}"),
            "daemonize" => "daemonize yes".into(),
            "pidfile" => format!("pidfile /var/run/redis_{port}.pid"),
            _ => line.to_owned(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The init script of one instance.
pub(in super::super) fn init_script(port: u16, config: &str, server: &str, cli: &str) -> String {
    format!(
        r#"#!/bin/sh
# chkconfig: 345 90 10
# Starts and stops the Redis server on port {port}.
PORT={port}
CONF="{config}"
SERVER="{server}"
CLI="{cli}"

alive() {{
    $CLI -p $PORT ping > /dev/null 2>&1
}}

case "$1" in
    start)
        if alive; then
            echo "A server already answers on port $PORT"
        else
            echo "Starting Redis server..."
            $SERVER $CONF
        fi
        ;;
    stop)
        if alive; then
            echo "Stopping ..."
            $CLI -p $PORT shutdown
            while alive; do
                echo "Waiting for Redis to shutdown ..."
                sleep 1
            done
            echo "Redis stopped"
        else
            echo "No server answers on port $PORT"
        fi
        ;;
    status)
        if alive; then
            echo "Redis is running on port $PORT"
        else
            echo "Redis is not running"
            exit 3
        fi
        ;;
    restart)
        $0 stop
        $0 start
        ;;
    *)
        echo "Please use start, stop, restart or status as first argument"
        exit 1
        ;;
esac
"#
    )
}

async fn run(os: &Os, program: &str, args: &[&str]) -> i32 {
    os.flush().await;
    let command = Command {
        env: os.env.to_vec(),
        stdin: Stdio::Inherit,
        stdout: Stdio::Inherit,
        stderr: Stdio::Inherit,
        group: Group::Same,
        ..Command::new(program, args)
    };
    match os.spawn(command).await {
        Ok((child, _)) => os.wait_end(child).await.code(),
        Err(error) => os.fail(format!("{program}: {error}")).await,
    }
}

pub(super) async fn service(os: Os) -> i32 {
    let words: Vec<&str> = os.args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--status-all"] => {
            for name in &os.facts.snapshot.services {
                os.println(format!(" [ ? ]  {name}"));
            }
            0
        }
        [name, verb] => control(&os, name, verb).await,
        _ => os.fail("Usage: service < option > | --status-all | [ service_name command ]").await,
    }
}

pub(super) async fn systemctl(os: Os) -> i32 {
    let words: Vec<&str> =
        os.args.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    match words.as_slice() {
        ["daemon-reload"] => 0,
        [] | ["list-units", ..] => {
            for unit in units(&os).await {
                let running = unit_pid(&os, &unit).await.is_some();
                let state = if running { "active running" } else { "inactive dead" };
                os.println(format!("{unit:<30} loaded {state}"));
            }
            0
        }
        [verb @ ("enable" | "disable"), names @ ..] => {
            for name in names {
                let name = name.trim_end_matches(".service");
                if find_unit(&os, name).await.is_none() && !has_script(&os, name).await {
                    return os.fail(format!("Unit {name}.service could not be found.")).await;
                }
                if *verb == "enable" {
                    os.println(format!("Created symlink for {name}.service."));
                } else {
                    os.println(format!("Removed symlink for {name}.service."));
                }
            }
            0
        }
        [verb, names @ ..] if !names.is_empty() => {
            let mut status = 0;
            for name in names {
                let done = control(&os, name, verb).await;
                status = if done == 0 { status } else { done };
            }
            status
        }
        [verb, ..] => os.fail(format!("Too few arguments: systemctl {verb} NAME")).await,
    }
}

pub(super) async fn chkconfig(os: Os) -> i32 {
    let words: Vec<&str> = os.args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["--list"] => {
            for name in scripts(&os).await {
                os.println(format!(
                    "{name:<15} 0:off   1:off   2:on    3:on    4:on    5:on    6:off"
                ));
            }
            0
        }
        ["--add" | "--del", name] | [name, "on" | "off"] | ["--level", _, name, _] => {
            if has_script(&os, name).await {
                return 0;
            }
            os.fail(format!(
                "error reading information on service {name}: No such file or directory"
            ))
            .await
        }
        _ => os.fail("usage: chkconfig --list | --add name | name on|off").await,
    }
}

/// The names of all init scripts.
async fn scripts(os: &Os) -> Vec<String> {
    let mut names = os.list("/etc/init.d").await.unwrap_or_default();
    names.retain(|name| name != SHARED);
    names
}

async fn has_script(os: &Os, name: &str) -> bool {
    os.exists(&format!("/etc/init.d/{name}")).await
}

async fn units(os: &Os) -> Vec<String> {
    let mut all = Vec::new();
    for place in UNITS {
        let names = os.list(place).await.unwrap_or_default();
        all.extend(names.into_iter().filter(|name| name.ends_with(".service")));
    }
    for name in scripts(os).await {
        all.push(format!("{name}.service"));
    }
    all.sort();
    all.dedup();
    all
}

/// The command in the unit file of a service.
async fn find_unit(os: &Os, name: &str) -> Option<String> {
    for place in UNITS {
        if let Ok(bytes) = os.load(&format!("{place}/{name}.service")).await {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return text.lines().find_map(|line| {
                line.trim().strip_prefix("ExecStart=").map(|command| command.trim().to_owned())
            });
        }
    }
    None
}

fn pid_file(name: &str) -> String {
    format!("/run/{}.pid", name.trim_end_matches(".service"))
}

/// The process ID of a unit, if it is running.
async fn unit_pid(os: &Os, name: &str) -> Option<u32> {
    let bytes = os.load(&pid_file(name)).await.ok()?;
    let pid = String::from_utf8_lossy(&bytes).trim().parse().ok()?;
    os.facts.snapshot.procs.iter().any(|proc| proc.pid == pid).then_some(pid)
}

/// Starts, stops or queries a service, by its unit file or its init script.
async fn control(os: &Os, name: &str, verb: &str) -> i32 {
    let name = name.trim_end_matches(".service");
    let unit = find_unit(os, name).await;
    let Some(start) = unit else {
        if has_script(os, name).await {
            return run(os, &format!("/etc/init.d/{name}"), &[verb]).await;
        }
        return match os.name.as_ref() {
            "service" => os.fail(format!("{name}: unrecognized service")).await,
            _ => {
                os.print_error(format!(
                    "Failed to {verb} {name}.service: Unit {name}.service not found."
                ))
                .await;
                5
            }
        };
    };
    let pid = unit_pid(os, name).await;
    match (verb, pid) {
        ("start", Some(_)) => 0,
        ("start", None) => begin(os, name, &start).await,
        ("stop", None) => 0,
        ("stop", Some(pid)) => end(os, name, pid).await,
        ("restart", pid) => {
            if let Some(pid) = pid {
                end(os, name, pid).await;
            }
            begin(os, name, &start).await
        }
        ("status", pid) => {
            let (mark, state) = match pid {
                Some(_) => ("●", "active (running)"),
                None => ("○", "inactive (dead)"),
            };
            os.println(format!("{mark} {name}.service"));
            os.println(format!("     Loaded: loaded (/usr/lib/systemd/system/{name}.service)"));
            os.println(format!("     Active: {state}"));
            if let Some(pid) = pid {
                let proc = os.facts.snapshot.procs.iter().find(|proc| proc.pid == pid);
                let command = proc.map_or("", |proc| proc.command.as_str());
                os.println(format!("   Main PID: {pid} ({command})"));
            }
            if pid.is_some() { 0 } else { 3 }
        }
        ("is-active", pid) => {
            os.println(if pid.is_some() { "active" } else { "inactive" });
            if pid.is_some() { 0 } else { 3 }
        }
        (verb, _) => os.fail(format!("Unknown command verb {verb}.")).await,
    }
}

async fn begin(os: &Os, name: &str, start: &str) -> i32 {
    let words: Vec<String> = start.split_whitespace().map(str::to_owned).collect();
    let Some((program, args)) = words.split_first() else {
        return os.fail(format!("{name}.service has no ExecStart=")).await;
    };
    let command = Command {
        args: args.to_vec(),
        env: os.env.to_vec(),
        dir: Some("/".into()),
        ..Command::new(program, &[])
    };
    match os.spawn(command).await {
        Ok((child, pid)) => {
            let saved = os.save(&pid_file(name), format!("{pid}\n").into_bytes()).await;
            if saved.is_err() {
                return os.fail(format!("cannot write {}", pid_file(name))).await;
            }
            // A service that exits at once has failed, unless it daemonized itself.
            os.sleep(Duration::from_millis(50)).await;
            match os.poll_child().await {
                Some((ended, crate::machine::ChildChange::Ended(status)))
                    if ended == child && status.code() != 0 =>
                {
                    os.print_error(format!(
                        "Job for {name}.service failed because the control process exited with \
                         error code."
                    ))
                    .await;
                    1
                }
                _ => 0,
            }
        }
        Err(error) => {
            os.print_error(format!("Job for {name}.service failed: {program}: {error}")).await;
            1
        }
    }
}

async fn end(os: &Os, name: &str, pid: u32) -> i32 {
    /// How often the program checks whether the service has ended, before it kills it.
    const MAX_POLLS: u32 = 900;
    let mut signal = Signal::Terminate;
    for look in 0..=MAX_POLLS {
        let gone = match look {
            0 | MAX_POLLS => os.kill(pid.into(), signal).await.is_err(),
            _ => os.kill(pid.into(), Signal::Continue).await.is_err(),
        };
        if gone {
            break;
        }
        if look + 1 == MAX_POLLS {
            signal = Signal::Kill;
        }
        os.sleep(Duration::from_millis(100)).await;
    }
    // It is fine if the file does not exist any more.
    let _ = os.do_disk(DiskOp::Remove { path: pid_file(name) }).await;
    0
}
