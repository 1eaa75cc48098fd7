//! `limpid playground --attach` on a deployment of redis-server and redis-sentinel.

use std::collections::BTreeMap;

use limpid_core::deployment::{Deployment, Kind, Link, Report};
use limpid_tests::client::Client;
use limpid_tests::process::Kind::Redis;
use limpid_tests::process::{Process, free_port};
use limpid_tests::wait::until_some;

use super::playground::{ask, ask_as};

fn attach(addresses: &[&str]) -> (Process, u16) {
    let http = free_port();
    let port = http.to_string();
    let mut args = vec!["playground", "--http-port", &port];
    args.extend(addresses.iter().flat_map(|address| ["--attach", address]));
    let mut process = Process::start(&args, &[], http);
    process.wait_for_line("?attached").expect("the address of the page");
    (process, http)
}

/// Waits until `look` finds something in the deployment.
fn seen<T>(http: u16, mut look: impl FnMut(&Deployment) -> Option<T>) -> T {
    let reports = || -> Vec<Report> {
        let answer = ask(http, "GET", "/attached.json", "");
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).expect("reports")
    };
    until_some(
        || format!("{:#?}", Deployment::of(&reports())),
        || look(&Deployment::of(&reports())),
    )
}

#[test]
fn from_one_sentinel_all_nodes_are_found_and_a_dead_one_is_told() {
    let primary = Process::redis_server(&["--requirepass", "secret"]);
    let port = primary.port();
    let of = port.to_string();
    let login = ["--requirepass", "secret", "--masterauth", "secret"];
    let directives = [&["--replicaof", "127.0.0.1", &of][..], &login].concat();
    let mut replica = Process::redis_server(&directives);
    let lines = format!(
        "sentinel monitor mymaster 127.0.0.1 {port} 1\nsentinel auth-pass mymaster secret\n"
    );
    let sentinel = Process::sentinel(Redis, &lines);
    // The Sentinel has no password; the servers that it names have the one that was given.
    let (_process, http) = attach(&[&format!("redis://:secret@127.0.0.1:{}", sentinel.port())]);
    seen(http, |deployment| {
        let node = |process: &Process| deployment.node(&process.address().to_string());
        let (primary, replica, sentinel) = (node(&primary)?, node(&replica)?, node(&sentinel)?);
        let online = matches!(replica.primary, Some((_, Link::Online(_))));
        let kinds = (primary.kind, sentinel.kind) == (Kind::Server, Kind::Sentinel);
        (online && kinds && primary.judged?.watched_by == 1 && deployment.nodes.len() == 3)
            .then_some(())
    });
    replica.kill();
    let error = seen(http, |deployment| {
        let node = deployment.node(&replica.address().to_string())?;
        node.report.error.clone()
    });
    assert!(!error.is_empty());
    // It only reads: all commands that it sent were logins and queries.
    let mut client = Client::new(primary.connect());
    client.call(&["AUTH", "secret"]);
    let stats = client.info("commandstats");
    let calls: BTreeMap<&str, &str> =
        stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(':')).collect();
    for command in ["set", "config|set", "client|kill", "keys", "scan"] {
        assert!(!calls.contains_key(command), "{stats}");
    }
}

#[test]
fn the_reports_are_for_the_page_that_it_serves_and_for_no_other() {
    let server = Process::server(&[]);
    let (_process, http) = attach(&[&server.address().to_string()]);
    let answer = ask(http, "GET", "/attached.json", "Origin: http://evil.example\r\n");
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    assert_eq!(ask_as("evil.example", http, "GET", "/attached.json", "").status, 403);
}

#[test]
fn what_cannot_be_attached_to_is_named() {
    let closed = format!("127.0.0.1:{}", free_port());
    let mut process = Process::start(&["playground", "--attach", &closed], &[], 0);
    assert_eq!(process.wait().code(), Some(1));
    let told = process.output();
    assert!(told.contains("nothing to attach to") && told.contains(&closed), "{told}");

    let mut process = Process::start(&["playground", "--attach", "rediss://127.0.0.1"], &[], 0);
    assert_eq!(process.wait().code(), Some(2));
    assert!(process.output().contains("without TLS"), "{}", process.output());
}
