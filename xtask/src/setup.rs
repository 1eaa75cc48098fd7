//! What a build or a test needs besides cargo, and how to get it.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, on_path, run, step};

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

/// Programs that the tests drive, and the Debian packages that they come in.
const TEST_PROGRAMS: [(&str, &str); 6] = [
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("redis-benchmark", "redis-tools"),
    ("redis-sentinel", "redis-sentinel"),
];

/// Sees to it that the browser and the peers that the tests need are there.
///
/// As root on Debian and its descendants it installs what is missing; elsewhere it says what to
/// install.
pub(crate) fn test_programs() -> Result<()> {
    let missing: Vec<_> = TEST_PROGRAMS.iter().filter(|(p, _)| on_path(p).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let programs = missing.iter().map(|(p, _)| *p).collect::<Vec<_>>().join(", ");
    let packages_text = packages.join(" ");
    if on_path("apt-get").is_none() || !is_root() {
        bail!(
            "the tests need programs that are not on PATH: {programs}. On Debian: \
             `sudo apt-get install {packages_text}`; elsewhere, install them as your system does."
        );
    }
    step(&format!("apt-get install {packages_text} (the tests need {programs})"));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdin(std::process::Stdio::null());
        command
    };
    // If the lists cannot be renewed, those that are there may still do.
    if let Err(error) = run(apt().args(["update", "-qq"])) {
        eprintln!("{error}; going on with the package lists that are there");
    }
    run(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(&packages))
        .with_context(|| format!("the tests need {programs}"))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}
