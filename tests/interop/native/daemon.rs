//! Servers in the background.

use std::path::Path;
use std::process::Command;

use limpid_tests::process::{Process, free_bus_port, free_port};

use super::{connect, ping};

/// A daemon, which is killed at the end of the test.
struct Daemon(String);

impl Daemon {
    fn of(pidfile: &Path) -> Self {
        Daemon(std::fs::read_to_string(pidfile).expect("a pid file").trim().to_owned())
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.0]).status();
        assert!(status.is_ok_and(|status| status.success()), "daemon {} is there", self.0);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.0]).output();
    }
}

#[test]
fn a_daemon_listens_when_its_starter_has_ended_and_takes_its_pid_file_along() {
    let port = free_port();
    let conf = format!(
        "bind 127.0.0.1\nport {port}\ndaemonize yes\npidfile limpid.pid\nlogfile limpid.log\n"
    );
    let mut starter = Process::start(&["server", "redis.conf"], &[("redis.conf", &conf)], port);
    assert_eq!(starter.wait().code(), Some(0), "{}", starter.output());
    let pidfile = starter.dir().join("limpid.pid");
    let daemon = Daemon::of(&pidfile);
    assert_ne!(daemon.0, starter.pid().to_string());
    let mut stream = connect(port);
    ping(&mut stream);
    daemon.signal("-TERM");
    // The connection closes when the process ends.
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut rest).expect("the end");
    let log = starter.dir().join("limpid.log");
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.contains("bye bye..."), "{log}");
}

/// A cluster node only listens after it has locked and read its configuration file.
#[test]
fn a_node_of_a_cluster_in_the_background_listens_when_its_starter_has_ended() {
    let port = free_bus_port();
    let conf = format!(
        "bind 127.0.0.1\nport {port}\ncluster-enabled yes\ndaemonize yes\npidfile limpid.pid\n\
         logfile limpid.log\n"
    );
    let mut starter = Process::start(&["server", "redis.conf"], &[("redis.conf", &conf)], port);
    assert_eq!(starter.wait().code(), Some(0), "{}", starter.output());
    let pidfile = starter.dir().join("limpid.pid");
    let mut daemon = Daemon::of(&pidfile);
    for _ in 0..20 {
        let mut stream = connect(port);
        ping(&mut stream);
        daemon.signal("-TERM");
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut rest).expect("the end");
        starter.restart_to_its_end();
        daemon = Daemon::of(&pidfile);
    }
}

#[test]
fn a_daemon_that_cannot_listen_fails_its_starter_and_leaves_the_other_alone() {
    let first = Process::server(&[]);
    let port = first.port().to_string();
    let args = ["server", "--port", &port, "--bind", "127.0.0.1", "--daemonize", "yes"];
    let args = [&args[..], &["--pidfile", "limpid.pid", "--logfile", "limpid.log"]].concat();
    let mut starter = Process::start(&args, &[("limpid.pid", "other\n")], 0);
    assert_eq!(starter.wait().code(), Some(1));
    let log = std::fs::read_to_string(starter.dir().join("limpid.log")).expect("a log");
    assert!(log.contains("bind: Address already in use"), "{log}");
    let pidfile = std::fs::read_to_string(starter.dir().join("limpid.pid")).expect("a pid file");
    assert_eq!(pidfile, "other\n", "the pid file of a server that runs stays");
}
