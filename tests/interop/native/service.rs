//! `limpid service`, tested in a scratch root directory.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use limpid_tests::process::{binary, free_port};
use limpid_tests::wait::until;
use tempfile::TempDir;

/// Runs `limpid service` on the file system below a folder.
fn service(root: &Path, args: &[&str]) -> Output {
    let mut limpid = Command::new(binary());
    limpid.arg("service").args(args).arg("--root").arg(root);
    limpid.output().expect("limpid starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// A file system with the program in it.
fn machine() -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let bin = root.path().join("usr/local/bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    std::os::unix::fs::symlink(binary(), bin.join("limpid")).expect("a link");
    root
}

const PROGRAM: [&str; 3] = ["--executable", "/usr/local/bin/limpid", "--yes"];

#[test]
fn a_unit_file_and_its_directories_are_shown_written_listed_and_removed() {
    let machine = machine();
    let root = machine.path();
    let install = [&["install", "--port", "6380", "--user", "redis"], &PROGRAM[..]].concat();

    let shown = service(root, &[&install[..], &["--dry-run"]].concat());
    assert!(shown.status.success(), "{}", said(&shown));
    let text = said(&shown);
    for line in [
        "would make /var/lib/limpid/6380",
        "would write /etc/limpid/6380.conf (mode 644, unless it is there already):",
        "    port 6380",
        "    ExecStart=/usr/local/bin/limpid server /etc/limpid/6380.conf",
        "    User=redis",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    assert!(!root.join("etc").exists(), "a dry run has written something");

    let done = service(root, &install);
    assert!(done.status.success(), "{}", said(&done));
    assert!(root.join("etc/systemd/system/limpid_6380.service").is_file());
    assert!(root.join("var/lib/limpid/6380").is_dir());
    let listed = said(&service(root, &["list"]));
    assert!(listed.contains("limpid_6380") && listed.contains("/etc/limpid/6380.conf"), "{listed}");

    // A port can have only one service, and an edited configuration is kept.
    let again = service(root, &install);
    assert!(!again.status.success());
    assert!(said(&again).contains("limpid service remove limpid_6380"), "{}", said(&again));
    let config = root.join("etc/limpid/6380.conf");
    std::fs::write(&config, "port 6380\n# mine\n").expect("written");

    let removed = service(root, &["remove", "6380"]);
    assert!(removed.status.success(), "{}", said(&removed));
    assert!(!root.join("etc/systemd/system/limpid_6380.service").exists());
    assert!(root.join("var/lib/limpid/6380").is_dir(), "data went without having been asked for");
    let done = service(root, &install);
    assert!(said(&done).contains("exists already and is kept"), "{}", said(&done));
    assert!(std::fs::read_to_string(&config).expect("a file").contains("# mine"));

    let purged = service(root, &["remove", "limpid_6380", "--purge"]);
    assert!(purged.status.success(), "{}", said(&purged));
    assert!(!config.exists() && !root.join("var/lib/limpid/6380").exists());
    let missing = service(root, &["remove", "limpid_6380"]);
    assert!(!missing.status.success());
    assert!(said(&missing).contains("there is no service 'limpid_6380'"), "{}", said(&missing));
}

#[test]
fn what_cannot_be_used_is_named_with_a_remedy() {
    let machine = machine();
    for (args, why) in [
        (["--data", "relative/path"], "absolute path"),
        (["--config", "/etc/a\"b.conf"], "quotes"),
        (["--user", "a;b"], "'a;b' is no name of a user"),
    ] {
        let refused = service(machine.path(), &[&["install", "--yes"], &args[..]].concat());
        assert!(!refused.status.success());
        assert!(said(&refused).contains(why), "{}", said(&refused));
    }
    let missing = ["install", "--yes", "--executable", "/usr/local/bin/nothing"];
    let refused = service(machine.path(), &missing);
    assert!(said(&refused).contains("--executable"), "{}", said(&refused));
}

#[test]
fn an_init_script_starts_a_server_with_its_configuration_and_stops_it() {
    let machine = machine();
    let root = machine.path();
    let port = free_port().to_string();
    let install = [&["install", "--init", "sysv", "--port", &port], &PROGRAM[..]].concat();
    let done = service(root, &install);
    assert!(done.status.success(), "{}", said(&done));

    // The files are for the root directory, so paths in them are replaced by those of the scratch
    // root.
    let script = root.join(format!("etc/init.d/limpid_{port}"));
    assert_eq!(script.metadata().expect("a script").permissions().mode() & 0o777, 0o755);
    for file in [script.clone(), root.join(format!("etc/limpid/{port}.conf"))] {
        let mut text = std::fs::read_to_string(&file).expect("a file");
        for folder in ["/etc/limpid/", "/var/log/", "/var/lib/", "/run/limpid", "/usr/local/bin/"] {
            text = text.replace(folder, &format!("{}{folder}", root.display()));
        }
        std::fs::write(&file, text).expect("written");
    }
    let run = |word: &str| {
        let output = Command::new("sh").arg(&script).arg(word).output().expect("a shell");
        (output.status.code(), said(&output))
    };
    assert_eq!(run("status").0, Some(3));
    let (code, text) = run("start");
    assert_eq!(code, Some(0), "{text}");
    let at = format!("127.0.0.1:{port}");
    until(|| "the server to listen".to_owned(), || std::net::TcpStream::connect(&at).is_ok());
    let log = root.join(format!("var/log/limpid_{port}.log"));
    until(
        || "the log".to_owned(),
        || {
            std::fs::read_to_string(&log)
                .is_ok_and(|log| log.contains("Ready to accept connections"))
        },
    );
    assert_eq!(run("status").0, Some(0));
    assert!(run("start").1.contains("runs already"));
    assert_eq!(run("stop").0, Some(0));
    assert_eq!(run("status").0, Some(3));
    assert!(std::net::TcpStream::connect(&at).is_err(), "it still listens");
    // The data was saved in the configured directory.
    assert!(root.join(format!("var/lib/limpid/{port}")).is_dir());
    let unknown = run("dance");
    assert_eq!(unknown.0, Some(2), "{}", unknown.1);
}
