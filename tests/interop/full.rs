//! Full disks: writes acknowledged as durable are kept, and the server continues when there is
//! space again. Also read-only disks.

use std::path::Path;
use std::process::Command;

use limpid_core::resp::value::Value;
use limpid_tests::client::{Client, field};
use limpid_tests::process::Process;
use limpid_tests::wait::{until, until_some};
use tempfile::TempDir;

/// A small file system for a test.
struct Disk(TempDir);

impl Disk {
    /// Mounts a file system of this size.
    ///
    /// # Panics
    ///
    /// If mounting is not permitted, since a skipped test would look like one that passed.
    fn mount(size: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir.path());
        let output = mount.output().expect("mount starts");
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "cannot mount a tmpfs of {size} to fill up: {why}. That takes root; run the tests as \
             root, or in a container."
        );
        Disk(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills the remaining space.
    fn fill(&self) {
        let zeros = [0; 4096];
        let mut file = std::fs::File::create(self.path().join("filler")).expect("a file");
        while std::io::Write::write_all(&mut file, &zeros).is_ok() {}
    }

    /// Makes it read-only, also for root.
    fn write_protect(&self) {
        let mut remount = Command::new("mount");
        let status = remount.args(["-o", "remount,ro"]).arg(self.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot mount it read-only");
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("it was filled");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A lazy unmount, since a server that is being killed may still use it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn server(disk: &Disk, more: &[&str]) -> Process {
    let dir = disk.path().to_str().expect("UTF-8");
    Process::server(&[&["--dir", dir, "--appendonly", "yes"], more].concat())
}

/// Appends numbers to a list until an error, or until the connection ends. Returns how many were
/// acknowledged.
fn push(client: &mut Client, mut number: u64) -> (u64, Option<Value>) {
    let wide = "x".repeat(500);
    let refused = || {
        client.send(&["RPUSH", "list", &format!("{number} {wide}")]);
        match client.read().map(|reply| reply.value) {
            Some(Value::Integer(_)) => {
                number += 1;
                None
            }
            other => Some(other),
        }
    };
    let end = until_some(|| "a full disk refuses nothing".into(), refused);
    (number, end)
}

fn length(client: &mut Client) -> u64 {
    match client.call(&["LLEN", "list"]) {
        Value::Integer(n) => n.unsigned_abs(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room_and_loses_none() {
    let disk = Disk::mount("4m");
    let mut server = server(&disk, &["--appendfsync", "everysec"]);
    let mut client = Client::new(server.connect());
    assert_eq!(client.call(&["RPUSH", "list", "first"]), Value::Integer(1));
    disk.fill();
    let (acknowledged, refusal) = push(&mut client, 1);
    let Some(Value::Error(refusal)) = refusal else { panic!("{refusal:?}") };
    let refusal = String::from_utf8_lossy(&refusal).into_owned();
    assert!(
        refusal.starts_with("MISCONF Errors writing to the AOF file: No space left"),
        "{refusal}"
    );
    server.wait_for_line("No space left on device").expect("a line that says why");
    assert_eq!(field(&client.info("persistence"), "aof_last_write_status"), "err");
    // Reads are still served.
    assert_eq!(length(&mut client), acknowledged);

    disk.free();
    until(
        || "there is room again, but nothing is written".into(),
        || !client.call(&["RPUSH", "list", "last"]).is_error(),
    );
    server.wait_for_line("AOF write error looks solved").expect("a line that says so");
    server.restart(false);
    let mut client = Client::new(server.connect());
    assert_eq!(length(&mut client), acknowledged + 1);
}

#[test]
fn with_always_a_full_disk_ends_the_server_and_loses_nothing_acknowledged() {
    let disk = Disk::mount("4m");
    let mut server = server(&disk, &["--appendfsync", "always"]);
    let mut client = Client::new(server.connect());
    disk.fill();
    let (acknowledged, end) = push(&mut client, 0);
    assert_eq!(end, None, "nobody is told that it was written");
    assert_eq!(server.wait().code(), Some(1));
    assert!(server.output().contains("when the AOF fsync policy is 'always'. Exiting..."));
    disk.free();
    server.restart(true);
    let mut client = Client::new(server.connect());
    let kept = length(&mut client);
    assert!((acknowledged..=acknowledged + 1).contains(&kept), "{kept} of {acknowledged}");
}

#[test]
fn a_dump_for_which_there_is_no_room_leaves_the_old_one() {
    let disk = Disk::mount("4m");
    let dir = disk.path().to_str().expect("UTF-8");
    let mut server = Process::server(&["--dir", dir, "--rdbcompression", "no"]);
    let mut client = Client::new(server.connect());
    client.call(&["SET", "k", "v"]);
    assert_eq!(client.call(&["SAVE"]), Value::Simple(b"OK".to_vec()));
    let before = std::fs::read(disk.path().join("dump.rdb")).expect("a dump");
    client.call(&["SET", "big", &"x".repeat(6 << 20)]);
    let reply = client.call(&["SAVE"]);
    assert!(reply.is_error(), "{reply:?}");
    let after = std::fs::read(disk.path().join("dump.rdb")).expect("a dump");
    assert_eq!(before, after);
    // The temporary file is removed after the reply.
    let files = || std::fs::read_dir(disk.path()).expect("a directory").count();
    until(
        || "something is left of the attempt".into(),
        || {
            client.call(&["PING"]);
            files() == 1
        },
    );
    server.restart(true);
    let mut client = Client::new(server.connect());
    assert_eq!(client.call(&["GET", "k"]), Value::bulk("v"));
}

#[test]
fn a_sentinel_whose_file_cannot_be_written_does_not_start() {
    let disk = Disk::mount("1m");
    let file = disk.path().join("sentinel.conf");
    std::fs::write(&file, "port 0\nsentinel monitor mymaster 127.0.0.1 6379 1\n").expect("a file");
    disk.write_protect();
    let file = file.to_str().expect("UTF-8");
    let mut sentinel = Process::start(&["sentinel", file], &[], 0);
    assert_eq!(sentinel.wait().code(), Some(1), "{}", sentinel.output());
    let said =
        format!("Sentinel config file {file} is not writable: Read-only file system. Exiting...");
    assert!(sentinel.output().contains(&said), "{}", sentinel.output());
}
