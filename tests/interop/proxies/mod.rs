//! The proxies in front of real servers: compared with the original twemproxy, used as in the
//! course notes, and under faults.

mod course;
mod crowd;
mod faults;
mod mirror;
mod reload;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use limpid_tests::client::Client;
use limpid_tests::process::{PATIENCE, free_port};
use limpid_tests::wait::until;
use tempfile::TempDir;

/// A program that listens on a port, with its own directory of files.
#[derive(Debug)]
struct Program {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Program {
    /// Starts a program and waits until it listens on `port`.
    fn start(program: &Path, args: &[&str], files: &[(&str, &str)], port: u16) -> Program {
        let dir = TempDir::new().expect("a temporary directory");
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).expect("a file for the program");
        }
        let mut command = Command::new(program);
        command.args(args).current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|e| panic!("{program:?} does not start: {e}"));
        let mut started = Program { child, port, _dir: dir };
        until(
            || format!("{program:?} does not listen on port {port}"),
            || {
                let ended = started.child.try_wait().expect("its status");
                assert_eq!(ended, None, "{program:?} ended at once");
                std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            },
        );
        started
    }

    fn client(&self) -> Client {
        client(self.port)
    }

    fn kill(&mut self) {
        // The program may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server of this machine on a port; `args` follow.
fn redis(port: u16, args: &[&str]) -> Program {
    let port_text = port.to_string();
    let own = ["--port", &port_text, "--save", "", "--repl-diskless-sync-delay", "0"];
    Program::start(Path::new("redis-server"), &[&own, args].concat(), &[], port)
}

fn client(port: u16) -> Client {
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    Client::new(stream)
}

fn ports<const N: usize>() -> [u16; N] {
    core::array::from_fn(|_| free_port())
}
