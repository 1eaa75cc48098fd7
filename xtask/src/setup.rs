//! What a build or a test needs besides cargo, and how to get it.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, step};

/// The target that the page is compiled for.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// Sees to it that rustc can compile for wasm32.
///
/// `rust-toolchain.toml` names the target too, but rustup only acts on that where installing
/// without being asked is allowed, so this asks.
pub(crate) fn wasm_target(ws: &Workspace) -> Result<()> {
    if has_wasm_target(ws)? {
        return Ok(());
    }
    step(&format!("rustup target add {WASM}"));
    let added =
        Command::new("rustup").args(["target", "add", WASM]).current_dir(ws.root()).status();
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!(
            "`rustup target add {WASM}` failed ({status}). The page cannot be built without that \
             target; check the network and try the command by hand."
        ),
        Err(error) => bail!(
            "the page needs Rust's {WASM} target, and rustup cannot be started ({error}). Install \
             the target with your package manager, or get rustup from https://rustup.rs."
        ),
    }
}

fn has_wasm_target(ws: &Workspace) -> Result<bool> {
    let out = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", WASM])
        .current_dir(ws.root())
        .output()
        .context("cannot start rustc")?;
    let dir = String::from_utf8_lossy(&out.stdout);
    let Ok(entries) = std::fs::read_dir(dir.trim()) else { return Ok(false) };
    // The folder may be there and empty; what counts is the compiled standard library.
    Ok(entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("libstd-")))
}
