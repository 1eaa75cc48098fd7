//! The test programs: building them, and running each.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::summary::{Count, Ran};
use crate::workspace::{Workspace, print, spawn_piped, step};

/// This command has been compiled already, with features of its dependencies that differ from those
/// that the rest of the workspace asks for; together they would be compiled again.
const REST: [&str; 5] = ["--workspace", "--exclude", "xtask", "--features", "limpid-web/whole"];

/// Test programs that only compute, so that their results do not depend on their speed.
const COMPUTING: [&str; 10] = [
    "parity/main.rs",
    "lessons/main.rs",
    "limpid_core",
    "limpid_lua",
    "tests/hostile.rs",
    "tests/memory.rs",
    "tests/puc.rs",
    "limpid_web",
    "xtask",
    "documentation",
];

/// Test programs whose tests run real servers or a browser in real time, several in parallel. They are
/// the longest, and run last.
const IN_REAL_TIME: [&str; 2] = ["interop/main.rs", "browser/main.rs"];

/// The program whose tests mostly wait for servers, and how many of them run in parallel for each
/// processor. (Of browser tests, which need the processor, it is one.)
const WAITING: (&str, usize) = ("interop/main.rs", 2);

/// The environment variable with the number of tests that a program runs in parallel.
const THREADS: &str = "RUST_TEST_THREADS";

/// A program that holds tests.
#[derive(Debug, PartialEq)]
pub(super) struct Program {
    /// What the summary calls it: the crate whose unit tests it holds, or its source's place in the
    /// package, as in `interop/main.rs`.
    name: String,
    file: PathBuf,
    /// The folder of its package, in which cargo would start it.
    folder: PathBuf,
}

/// The scheduling priority of a test program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// For programs in real time.
    Usual,
    /// For programs that only use idle processor time (`nice`).
    Low,
}

/// Builds the test programs, and the binary that they start. Those that could be built are added to
/// `programs`, though others fail.
pub(super) fn build(ws: &Workspace, programs: &mut Vec<Program>) -> Result<()> {
    let own = ["test", "--no-run", "--package", "xtask"];
    // `cargo test` does not build the binary that the tests start. Examples are left to clippy.
    let rest = [&["build", "--lib", "--bins", "--tests"][..], &REST].concat();
    let mut result = Ok(());
    for what in [&own[..], &rest] {
        // A compiler may crash because memory or disk ran short for a moment. What it has built
        // stays, so a second try costs little, and a mistake in the code fails again at once.
        let built = built(ws, what).or_else(|error| {
            eprintln!("{error:#}; once more");
            built(ws, what)
        });
        match built {
            Ok(built) => programs.extend(built),
            Err(error) => result = Err(error),
        }
    }
    programs.sort_by_key(|program| {
        let place = |names: &[&str]| names.iter().position(|name| *name == program.name);
        (place(&COMPUTING), place(&IN_REAL_TIME), program.name.clone())
    });
    result
}

fn built(ws: &Workspace, what: &[&str]) -> Result<Vec<Program>> {
    let mut cargo = ws.cargo();
    cargo.args(what).args(["--locked", "--message-format", "json-render-diagnostics"]);
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let mut programs = Vec::new();
    for line in BufReader::new(child.stdout.take().context("piped")?).lines() {
        // What build scripts and macros print comes between the messages.
        let Ok(message) = serde_json::from_str(&line?) else { continue };
        programs.extend(program(&message));
    }
    let status = child.wait()?;
    ensure!(status.success(), "`cargo {}` failed ({status})", what.join(" "));
    Ok(programs)
}

/// The test program that a message of cargo tells of.
fn program(message: &Value) -> Option<Program> {
    if message["profile"]["test"] != true {
        return None;
    }
    let file = PathBuf::from(message["executable"].as_str()?);
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let target = &message["target"];
    let name = if target["kind"][0] == "test" {
        let source = Path::new(target["src_path"].as_str()?);
        source.strip_prefix(&folder).unwrap_or(source).to_string_lossy().into_owned()
    } else {
        target["name"].as_str()?.replace('-', "_")
    };
    Some(Program { name, file, folder })
}

/// Runs the examples in the documentation, which cargo compiles when they are asked for.
pub(super) fn documentation(ws: &Workspace, filter: Option<&str>, at: Priority) -> Result<Ran> {
    let mut command = with_priority(&ws.cargo(), at);
    command.args(["test", "--doc", "--locked", "--no-fail-fast"]).args(REST).args(filter);
    counted("documentation", &mut command)
}

impl Program {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn only_computes(&self) -> bool {
        COMPUTING.contains(&&*self.name)
    }

    pub(super) fn is_in_real_time(&self) -> bool {
        IN_REAL_TIME.contains(&&*self.name)
    }

    /// Runs its tests.
    pub(super) fn run(&self, ws: &Workspace, filter: Option<&str>, at: Priority) -> Result<Ran> {
        counted(&self.name, self.command(ws, at).args(filter))
    }

    /// Whether a test of it passes when nothing else runs.
    pub(super) fn passes_alone(&self, ws: &Workspace, test: &str) -> Result<bool> {
        step(&format!("{test} once more, alone"));
        let mut command = self.command(ws, Priority::Usual);
        Ok(command.args(["--exact", test]).status().context("cannot start a test")?.success())
    }

    fn command(&self, ws: &Workspace, at: Priority) -> Command {
        let mut command = Command::new(&self.file);
        command.current_dir(&self.folder);
        command.env("LIMPID_BIN", ws.target().join("debug").join("limpid"));
        if self.name == WAITING.0 && std::env::var_os(THREADS).is_none() {
            let processors = thread::available_parallelism().map_or(1, usize::from);
            command.env(THREADS, (WAITING.1 * processors).to_string());
        }
        with_priority(&command, at)
    }
}

/// The same command, started by `nice` if it is to leave the processors to others.
fn with_priority(command: &Command, at: Priority) -> Command {
    let program = command.get_program();
    let mut with = match at {
        Priority::Usual => Command::new(program),
        Priority::Low => {
            let mut nice = Command::new("nice");
            nice.args(["-n", "19"]).arg(program);
            nice
        }
    };
    with.args(command.get_args());
    with.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        with.current_dir(folder);
    }
    with
}

/// Runs test programs, shows what they print, and counts.
fn counted(name: &str, command: &mut Command) -> Result<Ran> {
    step(&format!("Tests: {name}"));
    command.env("CARGO_TERM_COLOR", "never");
    let start = Instant::now();
    let (output, mut child) =
        spawn_piped(command).with_context(|| format!("cannot start {name}"))?;
    let mut count = Count::new(name);
    for line in BufReader::new(output).split(b'\n') {
        let mut line = line?;
        count.line(&String::from_utf8_lossy(&line));
        line.push(b'\n');
        print(&line);
    }
    Ok(count.end(child.wait()?, start.elapsed()))
}
