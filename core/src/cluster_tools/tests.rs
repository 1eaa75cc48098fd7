//! Tests of the tools against scripted nodes.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use super::node::Node;
use super::*;
use crate::resp::value::Value;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn cli(line: &str) -> Result<Invocation, String> {
    let mut rest: VecDeque<String> = words(line).into();
    let mut it = Invocation::take(&mut rest)?;
    while let Some(option) = rest.pop_front_if(|word| word.starts_with("--")) {
        if !it.option(&option, &mut rest) {
            return Err(option);
        }
    }
    it.complete(&mut rest).map(|()| it)
}

/// Runs a tool against nodes that reply by `reply`; returns its output and its status.
fn play(invocation: Invocation, reply: impl Fn(&Place, &str) -> Value) -> (String, Status) {
    let mut talk = conversation(invocation, Settings::default());
    let (mut printed, mut asked) = (Vec::new(), VecDeque::new());
    loop {
        while let Some((id, ask)) = talk.poll_request() {
            match ask {
                Request::Print(bytes) | Request::PrintError(bytes) => printed.extend(bytes),
                other => asked.push_back((id, other)),
            }
        }
        let Some((id, ask)) = asked.pop_front() else { break };
        let told = match ask {
            Request::Commands { to, commands } => {
                let line = |command: &Vec<Vec<u8>>| {
                    String::from_utf8_lossy(&command.join(&b' ')).into_owned()
                };
                let replies = commands.iter().map(|command| reply(&to, &line(command)));
                Response::Replies(Ok(Arc::new(replies.collect())))
            }
            Request::Line => Response::Line(None),
            Request::Seed => Response::Seed(1),
            Request::Save { .. } => Response::Saved(Ok(())),
            _ => Response::Done,
        };
        talk.answer(id, told);
        // A clone continues in the same way.
        talk = talk.clone();
    }
    (String::from_utf8_lossy(&printed).into_owned(), talk.take_result().expect("it ended"))
}

fn id(letter: char) -> String {
    letter.to_string().repeat(40)
}

/// A cluster of three masters, the second of which is migrating slot 6000 to the third.
fn three(to: &Place, line: &str) -> Value {
    let nodes = [('a', 1, "0-5460"), ('b', 2, "5461-10922"), ('c', 3, "10923-16383")];
    Value::bulk(match line {
        "INFO cluster" => "# Cluster\r\ncluster_enabled:1\r\n".to_owned(),
        "CLUSTER NODES" => nodes
            .iter()
            .map(|(name, port, slots)| {
                let me = if to.port == *port { "myself," } else { "" };
                let open = match (name, me) {
                    ('b', "myself,") => format!(" [6000->-{}]", id('c')),
                    _ => String::new(),
                };
                let id = id(*name);
                format!(
                    "{id} h:{port}@1000{port} {me}master - 0 0 {port} connected {slots}{open}\n"
                )
            })
            .collect(),
        _ => return Value::Integer(4),
    })
}

#[test]
fn options_stand_before_or_behind_the_nodes() {
    let one = cli("create a:1 b:2 c:3 --cluster-replicas 1 --cluster-yes").unwrap();
    let other = cli("create --cluster-replicas 1 --cluster-yes a:1 b:2 c:3").unwrap();
    assert_eq!(one, other);
    assert_eq!((one.options.replicas, one.options.yes, one.args.len()), (1, true, 3));
    let weights = cli("rebalance a:1 --cluster-weight x=1 y=2 --cluster-simulate").unwrap();
    assert_eq!(weights.options.weights, ["x=1", "y=2"]);
    assert!(weights.options.simulate);
    assert_eq!(cli("nonsense").unwrap_err(), "Unknown --cluster subcommand");
    assert!(cli("del-node a:1").unwrap_err().contains("Wrong number of arguments"));
    assert_eq!(cli("check a:1 --cluster-nonsense").unwrap_err(), "--cluster-nonsense");
}

#[test]
fn the_command_line_of_redis_4_is_read() {
    let it = parse_trib(&words("reshard --from all --to x --slots 5 --yes a:1")).unwrap();
    assert_eq!(it.options.from.as_deref(), Some("all"));
    assert_eq!((it.options.slots, it.options.yes), (Some(5), true));
    let call = parse_trib(&words("call a:1 config get --x")).unwrap();
    assert_eq!(call.args, ["a:1", "config", "get", "--x"]);
    assert!(parse_trib(&words("add-node --slave a:1")).is_err());
    assert_eq!(parse_trib(&[]).unwrap().name, Name::Help);
    assert!(parse_trib(&words("check --nonsense a:1")).unwrap_err().contains("--nonsense"));
}

#[test]
fn check_prints_masters_and_open_slots() {
    let (printed, status) = play(cli("check h:1").unwrap(), three);
    assert_eq!(status, 1);
    assert!(
        printed.contains("h:2 (bbbbbbbb...) -> 4 keys | 5462 slots | 0 slaves.\n"),
        "{printed}"
    );
    assert!(printed.contains("[OK] 12 keys in 3 masters.\n"), "{printed}");
    assert!(
        printed.contains("[WARNING] Node h:2 has slots in migrating state 6000.\n"),
        "{printed}"
    );
    assert!(printed.contains("[WARNING] The following slots are open: 6000.\n"), "{printed}");
    assert!(printed.contains("[OK] All 16384 slots covered.\n"), "{printed}");
}

#[test]
fn a_simulated_rebalance_prints_what_it_would_move() {
    let well = |to: &Place, line: &str| match three(to, line) {
        Value::Bulk(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let end = text.find(" [6000").unwrap_or(text.len());
            let rest = text.get(end..).and_then(|rest| rest.split_once(']'));
            Value::bulk(text[..end].to_owned() + rest.map_or("", |(_, rest)| rest))
        }
        other => other,
    };
    let line = format!("rebalance h:1 --cluster-simulate --cluster-weight {}=0", id('c'));
    let (printed, status) = play(cli(&line).unwrap(), well);
    assert_eq!(status, 0, "{printed}");
    assert!(printed.contains(">>> Rebalancing across 3 nodes. Total weight = 2.00\n"), "{printed}");
    assert!(printed.contains("Moving 2731 slots from h:3 to h:1\n"), "{printed}");
    assert!(printed.contains("Moving 2730 slots from h:3 to h:2\n"), "{printed}");
}

/// The same masters without an open slot. If `moved` is set, slot 5461 belongs to the first.
fn three_at_rest(to: &Place, line: &str, moved: bool) -> Value {
    let (first, second) = if moved { ("0-5461", "5462-10922") } else { ("0-5460", "5461-10922") };
    let nodes = [('a', 1, first), ('b', 2, second), ('c', 3, "10923-16383")];
    match line {
        "INFO cluster" => Value::bulk("# Cluster\r\ncluster_enabled:1\r\n"),
        "CLUSTER NODES" => {
            let describe = |(name, port, slots): (char, u16, &str)| {
                let (id, me) = (id(name), if to.port == port { "myself," } else { "" });
                format!("{id} h:{port}@1000{port} {me}master - 0 0 {port} connected {slots}\n")
            };
            Value::bulk(nodes.map(describe).concat())
        }
        "PING" => Value::Simple("PONG".into()),
        line if line.starts_with("CLUSTER GETKEYSINSLOT") => Value::Array(Vec::new()),
        line if line.starts_with("CLUSTER COUNTKEYSINSLOT") => Value::Integer(0),
        _ => Value::Simple("OK".into()),
    }
}

fn reshard_one_slot() -> Invocation {
    let line = format!(
        "reshard h:1 --cluster-from {} --cluster-to {} --cluster-slots 1 --cluster-yes",
        id('b'),
        id('a')
    );
    cli(&line).unwrap()
}

#[test]
fn a_source_that_has_forgotten_a_move_does_not_make_it_fail_when_the_target_has_the_slot() {
    for arrives in [true, false] {
        let moved = Cell::new(false);
        let (printed, status) = play(reshard_one_slot(), |to, line| match line {
            "CLUSTER GETSLOTMIGRATIONS" => Value::Array(Vec::new()),
            _ => {
                moved.set(moved.get() || (arrives && line.starts_with("CLUSTER MIGRATESLOTS")));
                three_at_rest(to, line, moved.get())
            }
        });
        assert_eq!(status, i32::from(!arrives), "{printed}");
        assert_eq!(
            printed.contains("h:2 has no record of the move of 5461"),
            !arrives,
            "{printed}"
        );
    }
}

#[test]
fn a_master_that_has_become_a_replica_meanwhile_does_not_stop_a_move() {
    let told = Cell::new(0);
    let (printed, status) = play(reshard_one_slot(), |to, line| match line {
        line if line.starts_with("CLUSTER MIGRATESLOTS") => {
            Value::Error("ERR unknown subcommand 'MIGRATESLOTS'".into())
        }
        line if line.starts_with("CLUSTER SETSLOT 5461 NODE") && to.port != 1 => {
            told.set(told.get() + 1);
            Value::Error("ERR Please use SETSLOT only with masters.".into())
        }
        line => three_at_rest(to, line, false),
    });
    assert_eq!((status, told.get()), (0, 2), "{printed}");
}

#[test]
fn replicas_go_to_other_hosts() {
    let node = |host: &str, master: Option<usize>| Node {
        place: Place { host: host.into(), port: 1 },
        replicates: master.map(|n| format!("{n}")),
        ..Node::parse(&format!("{} h:1@2 master - 0 0 0 connected", host.len())).unwrap()
    };
    let mut nodes: Vec<Node> = (0..3).map(|n| node(["a", "b", "c"][n], None)).collect();
    (0..3).for_each(|n| nodes[n].id = format!("{n}"));
    // Each replica starts on its master's host.
    nodes.extend((0..3).map(|n| node(["a", "b", "c"][n], Some(n))));
    assert_eq!(affinity::score(&nodes), 30_000);
    affinity::optimize(&mut nodes, 1);
    assert_eq!(affinity::score(&nodes), 0);
    let order = affinity::interleaved(&[
        node("a", None),
        node("a", None),
        node("b", None),
        node("a", None),
        node("b", None),
    ]);
    assert_eq!(order, [0, 2, 1, 4, 3]);
}

#[test]
fn a_dump_is_framed_by_a_length_or_an_eof_mark() {
    let mut dump = Dump::after(1);
    assert_eq!(dump.feed(b"+OK\r\n\n\n$5\r\nREDI"), None);
    assert_eq!(dump.feed(b"Smore"), Some(Ok(b"REDIS".to_vec())));
    let mut dump = Dump::default();
    assert_eq!(dump.feed(b"$EOF:0123\r\nREDIS01"), None);
    assert_eq!(dump.feed(b"23"), Some(Ok(b"REDIS".to_vec())));
    let refused = Dump::default().feed(b"-NOAUTH Authentication required.\r\n");
    assert_eq!(refused, Some(Err("-NOAUTH Authentication required.".into())));
}

#[test]
fn the_help_names_every_tool() {
    let (printed, status) = play(cli("help").unwrap(), |_, _| Value::Null);
    assert_eq!(status, 1, "as redis-cli ends");
    assert!(printed.starts_with("Cluster Manager Commands:\n  create         host1:port1"));
    assert!(Dialect::Trib.help().starts_with("Usage: redis-trib <command> <options>"));
}
