//! `limpid service`: installs, lists and removes servers that the machine starts by itself.
//!
//! This module has the options ([`Install`]) and carries them out. [`plan`] decides which files are
//! written, [`installed`] finds services that exist. Nothing here runs a server.

mod installed;
mod plan;

use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::{Subcommand, ValueEnum};

use installed::Installed;
use plan::{Plan, Service};

/// What to do with services.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Install a server as a service: asks for what no option says
    Install(Install),
    /// Remove a service; its data, configuration and log stay
    Remove(Remove),
    /// List the services that this program installed
    List(Where),
}

/// A service to install.
#[derive(Debug, clap::Args)]
pub(crate) struct Install {
    /// The port that clients connect to
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The configuration file; one that is there already is used as it is
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The log file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The program that the service runs
    #[arg(long, value_name = "FILE")]
    executable: Option<PathBuf>,
    /// The user that it runs as; without it, root
    #[arg(long)]
    user: Option<String>,
    /// What starts services on this machine; found out by itself
    #[arg(long, value_enum)]
    init: Option<Init>,
    /// Ask nothing: what no option says has its usual value
    #[arg(long, short)]
    yes: bool,
    /// Install it without starting it
    #[arg(long)]
    no_start: bool,
    /// Show what would be written and run, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
}

/// A service to remove.
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// Its name, such as limpid_6379, or its port
    name: String,
    /// Remove its data, configuration and log as well
    #[arg(long)]
    purge: bool,
    /// Show what would be removed and run, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
}

/// The machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Where {
    /// The root of another file system: files are written below it, and nothing is started
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// What starts services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Init {
    /// A unit file
    Systemd,
    /// A script in /etc/init.d
    Sysv,
}

/// Runs `limpid service`.
pub(crate) fn main(action: Action) -> ExitCode {
    let done = match action {
        Action::Install(options) => install(&options),
        Action::Remove(options) => remove(&options),
        Action::List(place) => list(&place),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limpid service: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Where {
    /// Where a path of the machine is in this file system.
    fn path(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whether this is the running machine, and not a mounted file system of another one.
    fn is_here(&self) -> bool {
        self.root == Path::new("/")
    }

    /// What starts services there.
    fn init(&self) -> Init {
        let systemd = match self.is_here() {
            true => Path::new("/run/systemd/system").is_dir(),
            false => !self.path(Path::new("/etc/init.d")).is_dir(),
        };
        if systemd { Init::Systemd } else { Init::Sysv }
    }
}

fn install(options: &Install) -> Result<()> {
    let service = service(options)?;
    let place = &options.place;
    let known = installed::all(place)?;
    if let Some(same) = known.iter().find(|known| known.port == service.port) {
        bail!(
            "port {} has a service already, {}. Choose another port with --port, or remove that \
             one: limpid service remove {}",
            service.port,
            same.name,
            same.name
        );
    }
    let plan = Plan::install(&service, !options.no_start && place.is_here());
    if options.dry_run {
        print!("{plan}");
        return Ok(());
    }
    let executable = place.path(&service.executable);
    ensure!(
        is_executable(&executable),
        "there is no program at {}. Give the path of limpid or of redis-server with --executable",
        executable.display()
    );
    for directory in &plan.directories {
        let path = place.path(directory);
        std::fs::create_dir_all(&path).with_context(|| refused("make", &path))?;
        // The server's user owns the directories that the server writes into.
        if directory == &service.data && place.is_here() {
            own(&path, service.user.as_deref())?;
        }
    }
    for file in &plan.files {
        let path = place.path(&file.path);
        if file.keeps && path.exists() {
            println!("{} exists already and is kept", file.path.display());
            continue;
        }
        std::fs::write(&path, &file.text).with_context(|| refused("write", &path))?;
        let mode = std::fs::Permissions::from_mode(file.mode);
        std::fs::set_permissions(&path, mode).with_context(|| refused("write", &path))?;
        println!("wrote {}", file.path.display());
    }
    plan.run()?;
    println!("{} is installed on port {}", service.name(), service.port);
    if !place.is_here() || options.no_start {
        println!("start it with: {}", service.start_by_hand());
    }
    Ok(())
}

fn remove(options: &Remove) -> Result<()> {
    let place = &options.place;
    let known = installed::all(place)?;
    let is_it = |service: &&Installed| {
        service.name == options.name || service.port.to_string() == options.name
    };
    let Some(service) = known.iter().find(is_it) else {
        let names: Vec<&str> = known.iter().map(|service| service.name.as_str()).collect();
        bail!(
            "there is no service '{}' of Limpid here; {}",
            options.name,
            match names.is_empty() {
                true => "there are none at all".to_owned(),
                false => format!("there are: {}", names.join(", ")),
            }
        );
    };
    let plan = Plan::remove(service, options.purge, place.is_here());
    if options.dry_run {
        print!("{plan}");
        return Ok(());
    }
    plan.run()?;
    for path in &plan.removed {
        let there = place.path(path);
        let done = match there.is_dir() {
            true => std::fs::remove_dir_all(&there),
            false => std::fs::remove_file(&there),
        };
        match done {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| refused("remove", &there));
            }
            _ => println!("removed {}", path.display()),
        }
    }
    plan.run_afterwards()?;
    if !options.purge {
        let (config, data) = (service.config.display(), service.data.display());
        println!("{config} and {data} stay; with --purge they go as well");
    }
    Ok(())
}

fn list(place: &Where) -> Result<()> {
    let services = installed::all(place)?;
    if services.is_empty() {
        println!("no services of Limpid are installed; limpid service install makes one");
        return Ok(());
    }
    println!("{:<20} {:>5}  {:<8} {:<32} DATA", "NAME", "PORT", "STATE", "CONFIG");
    for service in services {
        let state = match (place.is_here(), installed::is_listening(service.port)) {
            (false, _) => "-",
            (true, true) => "running",
            (true, false) => "stopped",
        };
        println!(
            "{:<20} {:>5}  {state:<8} {:<32} {}",
            service.name,
            service.port,
            service.config.display(),
            service.data.display()
        );
    }
    Ok(())
}

/// Builds the service from the options, and from the answers to questions where these are missing.
fn service(options: &Install) -> Result<Service> {
    let asks = !options.yes && !options.dry_run && std::io::stdin().is_terminal();
    let port = match options.port {
        Some(port) => port,
        None if asks => {
            let answer = ask("Port", "6379")?;
            let port = answer.parse().ok().filter(|port| *port > 0);
            port.with_context(|| format!("'{answer}' is no port; it is a number up to 65535"))?
        }
        None => 6379,
    };
    let path = |given: &Option<PathBuf>, question: &str, usual: String| -> Result<PathBuf> {
        let path = match given {
            Some(path) => path.clone(),
            None if asks => ask(question, &usual)?.into(),
            None => usual.into(),
        };
        let text = path.to_str().filter(|text| !text.chars().any(|c| c.is_control() || c == '"'));
        ensure!(
            path.is_absolute() && text.is_some(),
            "{} cannot be used as {}: give an absolute path without quotes and control characters",
            path.display(),
            question.to_lowercase()
        );
        Ok(path)
    };
    let own = std::env::current_exe().context("the path of this program is unknown")?;
    let own = own.to_string_lossy().into_owned();
    let service = Service {
        port,
        config: path(&options.config, "Configuration file", format!("/etc/limpid/{port}.conf"))?,
        log: path(&options.log, "Log file", format!("/var/log/limpid_{port}.log"))?,
        data: path(&options.data, "Data directory", format!("/var/lib/limpid/{port}"))?,
        executable: path(&options.executable, "Program", own)?,
        user: options.user.clone(),
        init: options.init.unwrap_or_else(|| options.place.init()),
    };
    if let Some(user) = &service.user {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        ensure!(!user.is_empty() && user.chars().all(plain), "'{user}' is no name of a user");
    }
    if asks {
        println!("\n{service}\n");
        ask("Press Enter to install it, Ctrl-C to leave it", "")?;
    }
    Ok(service)
}

/// Asks a question; an empty answer means the default.
fn ask(question: &str, usual: &str) -> Result<String> {
    match usual {
        "" => print!("{question} "),
        usual => print!("{question} [{usual}] "),
    }
    std::io::stdout().flush()?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line)?;
    ensure!(read > 0, "the input ended; nothing has been installed");
    let answer = line.trim();
    Ok(if answer.is_empty() { usual.to_owned() } else { answer.to_owned() })
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// Makes a user the owner of a directory.
fn own(path: &Path, user: Option<&str>) -> Result<()> {
    let Some(user) = user else { return Ok(()) };
    let status = Command::new("chown").arg("-R").arg(user).arg(path).status();
    ensure!(
        status.context("cannot start chown")?.success(),
        "{} cannot be given to {user}; see whether there is such a user: getent passwd {user}",
        path.display()
    );
    Ok(())
}

fn refused(what: &str, path: &Path) -> String {
    format!("cannot {what} {}. Run it as root, or name other places by options", path.display())
}
