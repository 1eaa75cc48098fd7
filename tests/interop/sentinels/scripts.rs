//! The scripts that a Sentinel runs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use limpid_core::resp::value::Value;
use limpid_tests::client::Client;
use limpid_tests::process::Kind::Limpid;
use limpid_tests::process::Process;
use limpid_tests::wait::until;

use super::{QUICK, facts};
use crate::replication::field;

/// Writes an executable shell script, replacing an existing one atomically.
fn write_script(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, format!("#!/bin/sh\n{text}\n")).expect("a script");
    std::fs::set_permissions(&new, PermissionsExt::from_mode(0o755)).expect("its mode");
    std::fs::rename(new, path).expect("the script in its place");
}

#[test]
fn scripts_are_told_of_a_failover() {
    let server = || Process::of(Limpid, &["--repl-diskless-sync-delay", "0"]);
    let (mut master, replica) = (server(), server());
    let (from, to) = (master.port().to_string(), replica.port().to_string());
    Client::new(replica.connect()).call(&["REPLICAOF", "127.0.0.1", &from]);
    until(
        || format!("the replica has no copy:\n{}", replica.output()),
        || field(&replica, "master_link_status") == "up",
    );
    let scripts = tempfile::TempDir::new().expect("a directory");
    let path = |name: &str| scripts.path().join(name).display().to_string();
    for (name, file) in [("notify", "told"), ("reconfigure", "changed")] {
        write_script(&scripts.path().join(name), &format!("echo \"$@\" >> {}", path(file)));
    }
    // A relative path starts at the Sentinel's working directory.
    let lines = format!(
        "dir {}
sentinel monitor mymaster 127.0.0.1 {from} 1
sentinel down-after-milliseconds mymaster 300
sentinel notification-script mymaster ./notify
sentinel client-reconfig-script mymaster {}
{QUICK}",
        scripts.path().display(),
        path("reconfigure")
    );
    let mut sentinel = Process::sentinel(Limpid, &lines);
    until(
        || sentinel.output(),
        || {
            let asked = ["SENTINEL", "MASTER", "mymaster"];
            facts(&Client::new(sentinel.connect()).call(&asked))("num-slaves") == "1"
        },
    );
    master.kill();
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap_or_default();
    let wanted = format!("+switch-master mymaster 127.0.0.1 {from} 127.0.0.1 {to}");
    until(|| format!("{}\n{}", read("told"), sentinel.output()), || read("told").contains(&wanted));
    assert!(read("told").contains("+sdown master mymaster"), "{}", read("told"));
    let wanted = format!("mymaster leader start 127.0.0.1 {from} 127.0.0.1 {to}");
    until(
        || format!("{}\n{}", read("changed"), sentinel.output()),
        || read("changed").lines().any(|line| line == wanted),
    );
    // The Sentinel can read its own file again, from its starting directory.
    sentinel.restart(false);
    let pending = ["SENTINEL", "PENDING-SCRIPTS"];
    until(
        || sentinel.output(),
        || Client::new(sentinel.connect()).call(&pending) == Value::Array(Vec::new()),
    );
}

/// Whether a process runs. A zombie has no command line.
fn runs(pid: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty())
}

#[test]
fn sixteen_scripts_run_at_once_and_one_that_hangs_is_ended_and_tried_again() {
    let master = Process::of(Limpid, &[]);
    let dir = tempfile::TempDir::new().expect("a directory");
    let (script, pids) = (dir.path().join("hang"), dir.path().join("pids"));
    // The background process of the script must be killed with it.
    write_script(&script, &format!("sleep 600 &\necho $! >> {}\nwait", pids.display()));
    let sentinel = Process::sentinel(
        Limpid,
        &format!(
            "sentinel monitor mymaster 127.0.0.1 {} 1\n\
             sentinel notification-script mymaster {}\n",
            master.port(),
            script.display()
        ),
    );
    let ask =
        |line: &str| Client::new(sentinel.connect()).call(&line.split(' ').collect::<Vec<_>>());
    // Each job with its state, and how often it was started.
    let jobs = || -> Vec<(String, u32)> {
        let jobs = ask("SENTINEL PENDING-SCRIPTS");
        let told = |job: &Value| {
            let Some([_, argv, rest @ ..]) = job.items() else { panic!("{job:?}") };
            assert_eq!(argv.items().map(<[Value]>::len), Some(3), "its path, the event, what for");
            let facts = facts(&Value::Array(rest.to_vec()));
            (facts("flags"), facts("retry-num").parse().expect("a number"))
        };
        jobs.items().expect("a list").iter().map(told).collect()
    };

    for _ in 0..20 {
        assert_eq!(ask("SENTINEL RESET mymaster"), Value::Integer(1));
    }
    let running = || jobs().iter().filter(|(state, _)| state == "running").count();
    until(|| format!("{:?}", jobs()), || running() == 16);
    let all = jobs();
    assert!(all.len() > 20, "one for each event, {all:?}");
    assert!(all[16..].iter().all(|job| *job == ("scheduled".to_owned(), 0)), "{all:?}");
    let started = || std::fs::read_to_string(&pids).unwrap_or_default();
    until(started, || started().lines().count() == 16);
    let first: Vec<String> = started().lines().map(str::to_owned).collect();
    assert!(first.iter().all(|pid| runs(pid)), "{first:?}");

    // A short timeout in place of a minute.
    ask("SENTINEL DEBUG SCRIPT-MAX-RUNTIME 100 SCRIPT-RETRY-DELAY 50");
    until(|| format!("{first:?} run"), || !first.iter().any(|pid| runs(pid)));
    until(|| format!("{:?}", jobs()), || jobs().iter().any(|(_, tries)| *tries > 1));
    assert!(sentinel.output().contains("-script-timeout"), "{}", sentinel.output());
    // A retry may succeed.
    write_script(&script, "exit 0");
    until(|| format!("{:?}", jobs()), || jobs().is_empty());
    assert!(!started().lines().any(runs), "nothing is left behind");
}
