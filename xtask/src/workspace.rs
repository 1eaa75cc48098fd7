//! The cargo workspace: its folders, and running programs in it.

use std::cell::RefCell;
use std::fs::File;
use std::io::{PipeReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The checkout that this command was started in.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the workspace by asking cargo, which respects `CARGO_TARGET_DIR` and configuration
    /// files.
    pub(crate) fn find() -> Result<Self> {
        let out = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("cannot start cargo")?;
        ensure!(
            out.status.success(),
            "cargo metadata failed:\n{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let meta: serde_json::Value = serde_json::from_slice(&out.stdout)?;
        let path = |key: &str| {
            let value =
                meta[key].as_str().with_context(|| format!("no {key} in cargo metadata"))?;
            anyhow::Ok(PathBuf::from(value))
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// The folder with the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of build results.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A command that starts cargo in the workspace's root.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(cargo());
        command.current_dir(&self.root);
        command
    }
}

thread_local! {
    /// Where what this thread says is kept, if it is to be heard later.
    static KEPT: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Does something while other work is on the screen. What it says (its steps, and what the commands
/// print that it runs) is kept in a file.
pub(crate) fn unheard<T>(file: File, work: impl FnOnce() -> T) -> T {
    KEPT.set(Some(file));
    let result = work();
    KEPT.set(None);
    result
}

/// Shows a piece of the output of a command, or keeps it.
pub(crate) fn say(text: &[u8]) {
    // A screen or a disk that is full is no reason to stop.
    let _ = KEPT.with_borrow_mut(|kept| match kept {
        Some(file) => file.write_all(text),
        None => std::io::stdout().write_all(text),
    });
}

/// Runs a command to its end with its output shown, and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = describe(command);
    KEPT.with_borrow(|kept| {
        let Some(file) = kept else { return Ok(()) };
        command.stdout(file.try_clone()?).stderr(file.try_clone()?).stdin(Stdio::null());
        std::io::Result::Ok(())
    })?;
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Starts a command and gives all that it prints, standard output and standard error in their order.
pub(crate) fn listen(command: &mut Command) -> std::io::Result<(PipeReader, Child)> {
    let (output, into) = std::io::pipe()?;
    command.stdout(into.try_clone()?).stderr(into).stdin(Stdio::null());
    let child = command.spawn();
    // The command holds this end of the pipe; it would never close.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((output, child?))
}

/// Says what is being done, so that a long build is never silent.
pub(crate) fn step(what: &str) {
    let line = format!("\n\x1b[1m== {what}\x1b[0m\n");
    match KEPT.with_borrow(Option::is_some) {
        true => say(line.as_bytes()),
        false => eprint!("{line}"),
    }
}

/// Finds a program on the PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The cargo that started this command, so that the same toolchain is used.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
