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
    /// The file for the output of this thread, if it is not shown at once.
    static OUTPUT_FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Does something whose output (its steps, and the output of its commands) goes to a file, since
/// other work is on the screen.
pub(crate) fn with_output_to<T>(file: File, work: impl FnOnce() -> T) -> T {
    OUTPUT_FILE.set(Some(file));
    let result = work();
    OUTPUT_FILE.set(None);
    result
}

/// Prints text to standard output, or to the file of [`with_output_to`].
pub(crate) fn print(text: &[u8]) {
    // A screen or a disk that is full is no reason to stop.
    let _ = OUTPUT_FILE.with_borrow_mut(|kept| match kept {
        Some(file) => file.write_all(text),
        None => std::io::stdout().write_all(text),
    });
}

/// Runs a command to its end with its output shown, and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = describe(command);
    OUTPUT_FILE.with_borrow(|kept| {
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

/// Starts a command. Returns a pipe with its standard output and standard error, in their order.
pub(crate) fn spawn_piped(command: &mut Command) -> std::io::Result<(PipeReader, Child)> {
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
    match OUTPUT_FILE.with_borrow(Option::is_some) {
        true => print(line.as_bytes()),
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
