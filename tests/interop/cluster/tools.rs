//! Compares `redis-cli --cluster` of Debian and of Limpid, on equal clusters of Redis and of
//! Limpid: they must print the same, line for line.
//!
//! Node ids, ports and times differ between runs, and so does the order in which a node lists the
//! others. So ids, ports and times are replaced, and adjacent lines about different nodes are
//! sorted.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use limpid_core::resp::value::Value;
use limpid_tests::process::Kind::{self, Limpid, Redis};
use limpid_tests::process::{Process, binary};
use limpid_tests::wait::until;
use tempfile::TempDir;

use super::{address, call, text};

/// A tool of one kind, the nodes of one kind, and what the tool has printed.
struct Desk {
    tool: Kind,
    nodes: Vec<Process>,
    ids: Vec<String>,
    /// A server that is not in cluster mode.
    apart: Process,
    dir: TempDir,
    told: String,
}

impl Desk {
    fn new(tool: Kind, nodes: Kind) -> Desk {
        let nodes: Vec<Process> =
            (0..6).map(|_| Process::node(nodes, &["--repl-diskless-sync-delay", "0"])).collect();
        let ids = nodes.iter().map(|node| text(node, "CLUSTER MYID")).collect();
        let apart = Process::redis_server(&[]);
        let dir = TempDir::new().expect("a temporary directory");
        Desk { tool, nodes, ids, apart, dir, told: String::new() }
    }

    /// Runs the tool with a line of arguments, in which `@1` stands for the address of a node, `#1`
    /// for its id, `@a` for the server without cluster mode and `%` for a directory.
    fn run(&mut self, line: &str, input: &str) {
        let words = line.split(' ').map(|word| self.meant(word));
        let mut command = match self.tool {
            Limpid => Command::new(binary()),
            Redis => Command::new("redis-cli"),
        };
        if self.tool == Limpid {
            command.arg("cli");
        }
        command.arg("--cluster").args(words).env("TERM", "dumb");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A tool that ends without reading closes the pipe.
        let _ = stdin.write_all(self.meant_in_text(input).as_bytes());
        drop(stdin);
        let out = child.wait_with_output().expect("its output");
        let printed = String::from_utf8_lossy(&out.stdout).into_owned();
        let complained = String::from_utf8_lossy(&out.stderr).into_owned();
        let status = out.status.code().unwrap_or(-1);
        let told = self.general(&printed) + &self.general(&complained);
        writeln!(self.told, "$ --cluster {line}\n{}(status {status})", sorted(&told))
            .expect("text");
    }

    fn meant(&self, word: &str) -> String {
        match word {
            "@a" => address(&self.apart),
            "%" => self.dir.path().to_str().expect("UTF-8").to_owned(),
            _ => self.meant_in_text(word),
        }
    }

    fn meant_in_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (n, (node, id)) in self.nodes.iter().zip(&self.ids).enumerate() {
            text = text.replace(&format!("@{n}"), &address(node)).replace(&format!("#{n}"), id);
        }
        text
    }

    /// Replaces what differs between runs.
    fn general(&self, text: &str) -> String {
        let mut text = text.replace("\r\n", "\n");
        for (n, (node, id)) in self.nodes.iter().zip(&self.ids).enumerate() {
            text = text.replace(id.as_str(), &format!("#{n}"));
            text = text.replace(&format!("{}...", &id[..8]), &format!("#{n}..."));
            text = text.replace(&address(node), &format!("@{n}"));
            text = text.replace(&node.port().to_string(), &format!("port-{n}"));
        }
        text = text.replace(&self.apart.port().to_string(), "port-a");
        let dir = self.dir.path().to_str().expect("UTF-8");
        text = text.replace(dir, "%");
        // The size of an RDB dump depends on the server.
        let line = |line: &str| match line.split_once(", writing ") {
            Some((before, after)) => {
                let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{before}, writing{after}\n")
            }
            None => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    /// Sends a command to a node.
    fn ask(&self, node: usize, line: &str) -> Value {
        call(&self.nodes[node], &self.meant_in_text(line))
    }

    /// Waits until these nodes agree on the owners of slots.
    fn agree(&self, members: &[usize]) {
        let view = |node: &Process| {
            let nodes = text(node, "CLUSTER NODES");
            let mut lines: Vec<String> = nodes
                .lines()
                .map(|line| {
                    let words: Vec<&str> = line.split(' ').collect();
                    let role = words[2].replace("myself,", "");
                    let slots = words.iter().skip(8).filter(|word| !word.starts_with('['));
                    format!("{} {role} {} {:?}", words[0], words[3], slots.collect::<Vec<_>>())
                })
                .collect();
            lines.sort();
            lines
        };
        until(
            || {
                format!(
                    "{:?} differs from {:?}",
                    view(&self.nodes[0]),
                    view(&self.nodes[members[1]])
                )
            },
            || {
                let first = view(&self.nodes[members[0]]);
                first.len() == members.len()
                    && first
                        .iter()
                        .all(|line| !line.contains("handshake") && !line.contains("fail"))
                    && members.iter().all(|n| {
                        view(&self.nodes[*n]) == first
                            && text(&self.nodes[*n], "CLUSTER INFO").contains("cluster_state:ok")
                    })
            },
        );
    }
}

/// The sort of a line: adjacent lines of the same sort may come in any order and are sorted. `None`
/// if the position of the line matters.
fn sort_of(line: &str) -> Option<&'static str> {
    // `@1 (#1...) -> 0 keys`, `127.0.0.1:7000: OK`
    let is_about_node = |line: &str| {
        let first = line.split(' ').next().unwrap_or_default();
        let first = first.trim_end_matches(':');
        line.contains(' ')
            && (first.starts_with('@')
                || first.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()))
    };
    match line {
        _ if line.starts_with("M: ") || line.starts_with("S: ") => Some("node"),
        _ if is_about_node(line) => Some("about"),
        _ if line.starts_with("Migrating ") => Some("migrating"),
        _ if line.starts_with("[WARNING] Node @") => Some("open"),
        _ if line.starts_with("*** New timeout set for ") => Some("timeout"),
        _ if line.starts_with("ERR setting node-timeout for ") => Some("timeout"),
        _ if line.starts_with(">>> Node @") && line.contains("-> Saving RDB") => Some("saving"),
        _ if line.starts_with("SYNC sent to master") => Some("copying"),
        "Transfer finished with success." => Some("copying"),
        _ => None,
    }
}

/// Sorts adjacent blocks of the same sort. A line that begins with three blanks belongs to the one
/// before it.
pub(crate) fn sorted(text: &str) -> String {
    let mut blocks: Vec<(Option<&str>, String)> = Vec::new();
    for line in text.lines() {
        // The tool prints a dot for each second that it waits.
        if line.chars().all(|c| c == '.') {
            continue;
        }
        match blocks.last_mut() {
            Some((Some("node"), block)) if line.starts_with("   ") => {
                writeln!(block, "{line}").expect("text");
            }
            _ => blocks.push((sort_of(line), format!("{line}\n"))),
        }
    }
    for run in blocks.chunk_by_mut(|(a, _), (b, _)| a == b) {
        if run[0].0.is_some() {
            run.sort();
        }
    }
    blocks.into_iter().map(|(_, block)| block).collect()
}

/// Runs `script` with both tools on nodes of both kinds, and compares the output.
fn both_print_the_same(script: impl Fn(&mut Desk) + Sync) {
    let pairs = [(Redis, Redis), (Limpid, Redis), (Redis, Limpid), (Limpid, Limpid)];
    let play = |(tool, nodes)| {
        let mut desk = Desk::new(tool, nodes);
        script(&mut desk);
        desk.told
    };
    let told: Vec<String> = thread::scope(|scope| {
        let plays: Vec<_> = pairs.iter().map(|pair| scope.spawn(move || play(*pair))).collect();
        plays.into_iter().map(|play| play.join().expect("a script that is played")).collect()
    });
    for (pair, told_by_this) in pairs.iter().zip(&told).skip(1) {
        for (n, (ours, wanted)) in told_by_this.lines().zip(told[0].lines()).enumerate() {
            let before: Vec<&str> = told[0].lines().take(n).collect();
            let (tool, nodes) = pair;
            let context = before[n.saturating_sub(12)..].join("\n");
            assert_eq!(
                ours, wanted,
                "{tool:?}'s tool on {nodes:?}'s nodes, after\n{context}\n\nall of it:\n{told_by_this}"
            );
        }
        assert_eq!(told_by_this.lines().count(), told[0].lines().count(), "{told_by_this}");
    }
}

#[test]
fn slots_are_rebalanced() {
    const REBALANCE: &str = "rebalance @0 --cluster-use-empty-masters";
    // Each slot costs several writes of nodes.conf, so only few move. The sum of the weights
    // divides the slots without a remainder, which the tool would give to the node that it saw
    // first.
    const WEIGHTS: &str = "--cluster-weight #0=42 #1=43 #2=42 #3=1";
    both_print_the_same(|desk| {
        desk.run("create @0 @1 @2 --cluster-yes", "");
        desk.agree(&[0, 1, 2]);
        desk.run("rebalance @0", "");
        desk.run("rebalance @0 --cluster-weight #0=3 #1=2 --cluster-simulate", "");
        desk.run("rebalance @0 --cluster-weight #9=3", "");
        desk.run("rebalance @0 --cluster-weight #0=43 #1=43 #2=42 --cluster-threshold 1", "");
        desk.agree(&[0, 1, 2]);
        desk.run("add-node @3 @0", "");
        desk.agree(&[0, 1, 2, 3]);
        desk.run("rebalance @0 --cluster-threshold 99", "");
        desk.run(&format!("{REBALANCE} --cluster-simulate {WEIGHTS}"), "");
        desk.run(&format!("{REBALANCE} {WEIGHTS}"), "");
        desk.agree(&[0, 1, 2, 3]);
        desk.run("info @0", "");
    });
}

#[test]
fn what_is_broken_is_found_and_mended() {
    both_print_the_same(|desk| {
        desk.run("create @0 @1 @2 --cluster-yes", "");
        desk.agree(&[0, 1, 2]);
        // A migrating slot with a key; an importing one; both ends of one.
        desk.ask(0, "SET k2 value");
        desk.ask(0, "CLUSTER SETSLOT 449 MIGRATING #1");
        desk.run("check @0", "");
        desk.run("fix @0", "");
        desk.agree(&[0, 1, 2]);
        desk.ask(1, "CLUSTER SETSLOT 100 IMPORTING #0");
        desk.run("check @1", "");
        desk.run("fix @1", "");
        desk.agree(&[0, 1, 2]);
        desk.ask(1, "CLUSTER SETSLOT 449 IMPORTING #0");
        desk.ask(0, "CLUSTER SETSLOT 449 MIGRATING #1");
        desk.run("check @2", "");
        desk.run("fix @2", "");
        desk.agree(&[0, 1, 2]);
        // An unassigned slot with a key.
        for node in 0..3 {
            desk.ask(node, "CONFIG SET cluster-require-full-coverage no");
            desk.ask(node, "CLUSTER DELSLOTS 12706");
        }
        desk.run("check @0", "");
        desk.run("fix @0", "no\n");
        desk.run("check 127.0.0.1:1", "");
        desk.run("check", "");
        desk.run("fix @0 --cluster-bogus", "");
        desk.run("bogus @0", "");
        desk.run("reshard", "");
        desk.run("add-node @3", "");
        desk.run("check @a", "");
    });
}

#[test]
fn keys_are_imported_and_nodes_are_backed_up() {
    both_print_the_same(|desk| {
        desk.run("create @0 @1 @2 --cluster-yes", "");
        desk.agree(&[0, 1, 2]);
        for key in ["k1", "k2", "b", "c"] {
            call(&desk.apart, &format!("SET {key} value"));
        }
        desk.run("import @0 --cluster-from @a --cluster-copy", "");
        desk.run("import @0 --cluster-from @a --cluster-copy --cluster-replace", "");
        desk.run("import @0 --cluster-from @a --cluster-replace", "");
        assert_eq!(call(&desk.apart, "DBSIZE"), Value::Integer(0));
        desk.run("import @0", "");
        desk.run("info @0", "");
        desk.run("backup @0 %", "");
        let dir = std::fs::read_dir(desk.dir.path()).expect("the directory");
        let mut files: Vec<String> = dir
            .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
            .map(|name| desk.general(&name))
            .collect();
        files.sort();
        let nodes =
            std::fs::read_to_string(desk.dir.path().join("nodes.json")).expect("nodes.json");
        let mut nodes: Vec<String> = desk.general(&nodes).lines().map(str::to_owned).collect();
        nodes.sort();
        writeln!(desk.told, "{files:?}\n{}", nodes.join("\n")).expect("text");
    });
}

#[test]
fn a_cluster_is_built_grows_and_shrinks() {
    both_print_the_same(|desk| {
        desk.run("help", "");
        desk.run("create @0 @1", "");
        desk.run("create @0 @1 @2", "no\n");
        desk.run("create @0 @1 @2", "yes\n");
        desk.agree(&[0, 1, 2]);
        desk.run("create @0 @1 @2 --cluster-yes", "");
        desk.run("check @1", "");
        desk.run("info @2", "");
        for (node, key) in [(2, "k1"), (0, "k2"), (1, "c"), (0, "b"), (2, "a")] {
            let reply = desk.ask(node, &format!("SET {key} value"));
            assert_eq!(reply, Value::Simple("OK".into()), "{key}");
        }
        desk.run("call @0 ping", "");
        desk.run("call @0 ping --cluster-only-masters", "");
        desk.run("set-timeout @0 50", "");
        desk.run("set-timeout @0 20000", "");
        desk.run("add-node @3 @0", "");
        desk.agree(&[0, 1, 2, 3]);
        desk.run("add-node @4 @0 --cluster-slave --cluster-master-id #1", "");
        desk.agree(&[0, 1, 2, 3, 4]);
        desk.run("add-node @4 @0", "");
        desk.run("add-node @5 @0 --cluster-slave --cluster-master-id #9", "");
        desk.run("call @0 ping --cluster-only-replicas", "");
        desk.run(
            "reshard @0 --cluster-from #0 --cluster-to #3 --cluster-slots 12 --cluster-yes",
            "",
        );
        desk.agree(&[0, 1, 2, 3, 4]);
        // Debian's tool reads the whole pipe at once, so each run can only be given one answer.
        desk.run(
            "reshard @0 --cluster-from #1,#3,#0 --cluster-to #3 --cluster-slots 8 --cluster-yes",
            "",
        );
        desk.agree(&[0, 1, 2, 3, 4]);
        desk.run("reshard @0 --cluster-from #2 --cluster-to #3 --cluster-slots 5", "no\n");
        desk.run("reshard @0 --cluster-from #1 --cluster-to #9 --cluster-slots 5", "");
        desk.run("reshard @0 --cluster-from #4 --cluster-to #1 --cluster-slots 5", "");
        desk.run("check @0", "");
        desk.run("info @0", "");
        desk.run("del-node @0 #3", "");
        desk.run("del-node @0 #9", "");
        desk.run("del-node @0 #4", "");
        desk.agree(&[0, 1, 2, 3]);
        desk.run(
            "reshard @0 --cluster-from #3 --cluster-to #2 --cluster-slots 20 --cluster-yes",
            "",
        );
        desk.agree(&[0, 1, 2, 3]);
        desk.run("del-node @0 #3", "");
        desk.agree(&[0, 1, 2]);
        desk.run("check @0", "");
    });
}
