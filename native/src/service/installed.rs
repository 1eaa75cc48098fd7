//! The installed services of Limpid, found by their unit files and init scripts.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::plan::entry;
use super::{Init, Where};

/// An installed service.
#[derive(Debug)]
pub(super) struct Installed {
    pub name: String,
    pub port: u16,
    pub config: PathBuf,
    pub log: PathBuf,
    pub data: PathBuf,
    pub init: Init,
    /// Its unit file or init script.
    pub entry: PathBuf,
}

/// All installed services, sorted by port.
pub(super) fn all(place: &Where) -> Result<Vec<Installed>> {
    let mut found = Vec::new();
    for init in [Init::Systemd, Init::Sysv] {
        let example = entry(init, "any");
        let folder = place.path(example.parent().unwrap_or(Path::new("/")));
        let files = match std::fs::read_dir(&folder) {
            Ok(files) => files,
            // A machine has one of the two, or none yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot list {folder:?}")),
        };
        for file in files.flatten() {
            // Files of other services need not be text.
            let text = std::fs::read(file.path()).unwrap_or_default();
            let name = file.file_name().to_string_lossy().into_owned();
            let name = name.strip_suffix(".service").unwrap_or(&name).to_owned();
            found.extend(read(&String::from_utf8_lossy(&text), name, init));
        }
    }
    found.sort_by_key(|service| service.port);
    Ok(found)
}

/// Whether something listens on a port of this machine.
pub(super) fn is_listening(port: u16) -> bool {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&at, TIMEOUT).is_ok()
}

/// Reads a service from the notes in its unit file or script; `None` if there are none.
fn read(text: &str, name: String, init: Init) -> Option<Installed> {
    let note = |key: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix("# limpid ")?.strip_prefix(key)?.strip_prefix(' '))
    };
    Some(Installed {
        port: note("port")?.parse().ok()?,
        config: note("config")?.into(),
        log: note("log")?.into(),
        data: note("data")?.into(),
        entry: entry(init, &name),
        name,
        init,
    })
}
