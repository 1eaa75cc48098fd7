//! Daemonizing, the pid file, and notifying systemd.
//!
//! A process with threads cannot fork safely, so the daemon is the same program, started again in a
//! session of its own. The first process waits until the daemon listens, or ends with its exit
//! status if it fails before that.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// The environment variable that tells a process that it is the daemon.
const MARK: &str = "LIMPID_DAEMON";

/// The message of the daemon to the first process when it listens.
const READY: &[u8] = b"ready\n";

/// Whether this process was started by [`start`].
pub(crate) fn is_daemon() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Starts this program again, with the same arguments, as a daemon. `stdin` is its standard input.
/// Returns when the daemon listens or has failed.
pub(crate) fn start(stdin: &[u8]) -> io::Result<ExitCode> {
    let mut args = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0(args.next().unwrap_or_default()).args(args).env(MARK, "1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A daemon that ends before it reads its input says why by its exit status.
        let _ = pipe.write_all(stdin);
    }
    let mut said = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut said)?;
    }
    if said.ends_with(READY) {
        return Ok(ExitCode::SUCCESS);
    }
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// Leaves the session of the starting process (`setsid`).
pub(crate) fn detach() {
    // Fails if the process leads a session already, which is what is wanted.
    let _ = rustix::process::setsid();
}

/// Tells the process that called [`start`] that the daemon listens, and closes the terminal.
pub(crate) fn announce() -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(READY)?;
    out.flush()?;
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// The pid file, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file.
    pub(crate) fn create(path: &str) -> io::Result<Self> {
        fs::write(path, format!("{}\n", std::process::id()))?;
        // An absolute path, since the working directory may change before the file is removed.
        Ok(PidFile(fs::canonicalize(path)?))
    }
}

impl Drop for PidFile {
    /// Removes the file, unless another server has written its process id into it meanwhile.
    fn drop(&mut self) {
        let is_own = |text: &str| text.trim_end() == std::process::id().to_string();
        if fs::read_to_string(&self.0).is_ok_and(|text| is_own(&text)) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Sends a message to systemd by `NOTIFY_SOCKET`, if that is set.
pub(crate) fn notify_systemd(message: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let path = path.to_string_lossy();
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&*path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_goes_with_its_server_unless_it_is_anothers_by_then() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("limpid.pid");
        let name = path.to_str().expect("a name");
        drop(PidFile::create(name).expect("a pid file"));
        assert!(!path.exists());

        let file = PidFile::create(name).expect("a pid file");
        fs::write(&path, "1\n").expect("another's");
        drop(file);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "1\n");
    }
}
