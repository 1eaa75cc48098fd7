//! Installs what a build or a test needs besides cargo.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, on_path, print, run, step};

/// The target that the page is compiled for.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// Makes sure that rustc can compile for wasm32.
///
/// `rust-toolchain.toml` names the target too, but rustup only installs it by itself if automatic
/// installation is enabled, so this installs it explicitly.
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
    // The folder may exist and be empty, so this looks for the compiled standard library.
    Ok(entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("libstd-")))
}

/// Programs that the tests need, and their Debian packages.
const TEST_PROGRAMS: [(&str, &str); 10] = [
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("redis-benchmark", "redis-tools"),
    ("redis-sentinel", "redis-sentinel"),
    ("nutcracker", "nutcracker"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

/// The part of Python that Debian has in a package of its own.
const VENV: (&str, &str) = ("python3's venv", "python3-venv");

/// The Debian packages of the programs that the tests need and that are not installed.
///
/// Where [`install`] cannot install them (not root, or not Debian) this fails, and says what to install.
pub(crate) fn missing_test_programs() -> Result<Vec<&'static str>> {
    let mut missing: Vec<_> = TEST_PROGRAMS.iter().filter(|(p, _)| on_path(p).is_none()).collect();
    if !has_venv() {
        missing.push(&VENV);
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    if !packages.is_empty() && (on_path("apt-get").is_none() || !is_root()) {
        let programs = missing.iter().map(|(p, _)| *p).collect::<Vec<_>>().join(", ");
        let packages = packages.join(" ");
        bail!(
            "the tests need programs that are not here: {programs}. On Debian: \
             `sudo apt-get install {packages}`; elsewhere, install them as your system does."
        );
    }
    Ok(packages)
}

/// Installs packages, as root on Debian and its descendants.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    step(&format!("apt-get install {}", packages.join(" ")));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    };
    // If updating the lists fails, the present ones may suffice.
    if let Err(error) = run(apt().args(["update", "-qq"])) {
        print(format!("{error}; going on with the package lists that are there\n").as_bytes());
    }
    run(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages))
        .context("the tests need programs of these packages")
}

fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]).stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// Makes sure that the client libraries for the tests are installed under target/, in the versions
/// of `tests/interop/libraries`. The first time it needs PyPI and the npm registry.
pub(crate) fn client_libraries(ws: &Workspace) -> Result<()> {
    let wanted = ws.root().join("tests/interop/libraries");
    let here = ws.target().join("libraries");
    let remedy = "the tests drive redis-py, ioredis, BullMQ, Redlock and axe-core; check the network \
                  (PyPI and the npm registry are asked once for each version of them) and try again";

    let (requirements, python) = (wanted.join("requirements.txt"), here.join("python"));
    installed(&[&requirements], &python, || {
        step("Installing redis-py for the tests (pip, under target/)");
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&python))?;
        let mut pip = Command::new(python.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run(pip.args(["--require-hashes", "-r"]).arg(&requirements))
    })
    .context(remedy)?;

    let (package, lock) = (wanted.join("package.json"), wanted.join("package-lock.json"));
    let node = here.join("node");
    installed(&[&package, &lock], &node, || {
        step("Installing ioredis, BullMQ, Redlock and axe-core for the tests (npm, under target/)");
        for file in [&package, &lock] {
            std::fs::copy(file, node.join(file.file_name().unwrap_or_default()))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]);
        run(npm.current_dir(&node))
    })
    .context(remedy)
}

/// Fills the folder `to` by calling `install`, unless it was filled before from the same `files`.
fn installed(files: &[&Path], to: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut wanted = Vec::new();
    for file in files {
        wanted.extend(std::fs::read(file).with_context(|| format!("cannot read {file:?}"))?);
    }
    // The marker is beside the folder, since package managers may empty the folder itself.
    let done = to.with_extension("installed");
    if std::fs::read(&done).is_ok_and(|from| from == wanted) {
        return Ok(());
    }
    if to.exists() {
        std::fs::remove_dir_all(to).with_context(|| format!("cannot empty {to:?}"))?;
    }
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {to:?}"))?;
    install()?;
    Ok(std::fs::write(done, wanted)?)
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}
