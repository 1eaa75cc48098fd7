//! `create-cluster`: starts, joins and stops the nodes of a small cluster in the current directory.
//!
//! Runs the same script that the hosts of a World have, by the system's shell, so that a
//! `config.sh` works as with Redis's own script. The nodes and redis-cli are this binary.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use limpid_core::lab::CREATE_CLUSTER;

/// Replaces this process by a shell that runs the script. `name` is what the script calls itself.
pub(crate) fn main(name: &str, args: &[String]) -> ExitCode {
    let limpid = match std::env::current_exe() {
        Ok(path) => path,
        Err(error) => {
            eprintln!("{name}: the path of this program is unknown: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", CREATE_CLUSTER, name]).args(args).env("LIMPID", limpid);
    let error = shell.exec();
    eprintln!("{name}: cannot run /bin/sh: {error}");
    ExitCode::FAILURE
}
