//! Commands on the five basic types and on the server, typed into redis-cli, into `limpid cli`, and
//! into a terminal of the page.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use limpid_core::lab::{Terminal, programs, sandbox};
use limpid_core::resp::value::Value;
use limpid_core::sim::World;
use limpid_tests::client::Client;
use limpid_tests::process::{Process, binary};

/// Typed lines with the expected output. A list that starts with `~` may have any order.
const LESSON: &[(&str, &str)] = &[
    ("SETNX mykey tom", "(integer) 1"),
    ("SETNX mykey jerry", "(integer) 0"),
    ("GET mykey", "\"tom\""),
    ("SET mykey jerry", "OK"),
    ("GET mykey", "\"jerry\""),
    ("MSET one 1 two 2", "OK"),
    ("MGET one two", "1 2"),
    ("SET counts 10", "OK"),
    ("INCR counts", "(integer) 11"),
    ("INCR counts", "(integer) 12"),
    ("INCR counts", "(integer) 13"),
    ("INCR counts", "(integer) 14"),
    ("DECR counts", "(integer) 13"),
    ("DECR counts", "(integer) 12"),
    ("DECR counts", "(integer) 11"),
    ("DECR counts", "(integer) 10"),
    ("LPUSH mylist 10 11 12 14 19 20 30 99 2 29 76", "(integer) 11"),
    ("LINDEX mylist 0", "\"76\""),
    ("LINDEX mylist 1", "\"29\""),
    ("LINDEX mylist", "(error) ERR wrong number of arguments for 'lindex' command"),
    ("LLEN mylist", "(integer) 11"),
    ("LRANGE mylist 0 5", "76 29 2 99 30 20"),
    ("LREM mylist 0", "(error) ERR wrong number of arguments for 'lrem' command"),
    ("LREM mylist 0 76", "(integer) 1"),
    ("LLEN mylist", "(integer) 10"),
    ("HSET stu id 1", "(integer) 1"),
    ("HSET stu name 'maxie'", "(integer) 1"),
    ("HSET stu id 1", "(integer) 0"),
    ("HGET stu name", "\"maxie\""),
    ("HGET stu id", "\"1\""),
    ("HSET stu age 22", "(integer) 1"),
    ("HVALS stu", "1 maxie 22"),
    ("HGETALL stu", "id 1 name maxie age 22"),
    ("SADD students 'tom' 'jerry' 'lucy' 'lily'", "(integer) 4"),
    ("SADD teachers 'sam' 'trump'", "(integer) 2"),
    ("SADD teachers 'lucy' 'tom'", "(integer) 2"),
    ("SMEMBERS teachers", "~ lucy sam tom trump"),
    ("SMEMBERS students", "~ jerry lily lucy tom"),
    ("SUNION students teachers", "~ jerry lily lucy sam tom trump"),
    ("SDIFF students teachers", "~ jerry lily"),
    ("SDIFF teachers students", "~ sam trump"),
    ("ZADD stus 90 'maxie' 100 'tom' 69 'lily' 85 'jerry' 95 'sam'", "(integer) 5"),
    ("ZCARD stus", "(integer) 5"),
    ("ZRANK stus 'tom'", "(integer) 4"),
    ("ZRANGE stus 0 4", "lily jerry maxie sam tom"),
    ("ZRANGEBYSCORE stus 0 3", "(empty array)"),
    ("ZRANGEBYSCORE stus 60 90", "lily jerry maxie"),
    ("CLIENT SETNAME test-1", "OK"),
    ("CLIENT GETNAME", "\"test-1\""),
];

/// The fields of CLIENT LIST in the notes.
const CLIENT_FIELDS: &[&str] = &[
    "id",
    "addr",
    "fd",
    "name",
    "age",
    "idle",
    "flags",
    "db",
    "sub",
    "psub",
    "multi",
    "qbuf",
    "qbuf-free",
    "obl",
    "oll",
    "omem",
    "events",
    "cmd",
];

#[test]
fn the_lesson_typed_into_redis_cli() {
    shell(Command::new("redis-cli"));
}

#[test]
fn the_lesson_typed_into_limpid_cli() {
    let mut cli = Command::new(binary());
    cli.arg("cli");
    shell(cli);
}

fn shell(mut cli: Command) {
    let server = Process::server(&["--requirepass", "mypass"]);
    let mut other = Client::new(server.connect());
    other.call(&["AUTH", "mypass"]);
    let Value::Integer(id) = other.call(&["CLIENT", "ID"]) else { panic!("no id") };
    cli.args(["-p", &server.port().to_string(), "-a", "mypass", "--no-auth-warning"]);
    cli.env("FAKETTY", "1").env("TERM", "dumb");
    cli.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = cli.spawn().expect("the client starts");
    let mut input = child.stdin.take().expect("piped");
    // A separator line between replies.
    for (line, _) in LESSON {
        writeln!(input, "{line}\nECHO ----").expect("sent");
    }
    writeln!(input, "CLIENT LIST\nECHO ----").expect("sent");
    writeln!(input, "CLIENT KILL ID {id}\nECHO ----").expect("sent");
    drop(input);
    let output = child.wait_with_output().expect("its output");
    let output = String::from_utf8(output.stdout).expect("text");
    let mut answers = output.split("\"----\"\n");
    for ((line, wanted), printed) in LESSON.iter().zip(answers.by_ref()) {
        assert_eq!(plain(printed.trim_end(), wanted), *wanted, "{line}");
    }
    check_clients(answers.next().expect("CLIENT LIST"));
    assert_eq!(answers.next(), Some("(integer) 1\n"), "CLIENT KILL");
    assert!(other.read().is_none(), "the other one is sent away");
}

#[test]
fn the_lesson_typed_into_a_terminal_of_the_page() {
    let mut world = World::new(Arc::new(sandbox(1)), 1, programs);
    act(&mut world, "run client-1 t redis-cli -h redis-1");
    act(&mut world, "run client-1 other redis-cli -h redis-1");
    for (line, wanted) in LESSON {
        assert_eq!(plain(typed(&mut world, "t", line).trim_end(), wanted), *wanted, "{line}");
    }
    typed(&mut world, "other", "PING");
    let clients = typed(&mut world, "t", "CLIENT LIST");
    check_clients(&clients);
    // The other client is killed.
    let other = clients.lines().rfind(|line| line.contains("cmd=ping")).expect("the other one");
    let id = other.split([' ', '=']).nth(1).expect("its id");
    assert_eq!(typed(&mut world, "t", &format!("CLIENT KILL ID {id}")), "(integer) 1\n");
}

fn act(world: &mut World, line: &str) {
    world.apply(&line.parse().expect(line)).unwrap_or_else(|why| panic!("{line}: {why}"));
    world.run_for(Duration::from_millis(50));
}

/// What a typed line prints on the screen.
fn typed(world: &mut World, terminal: &str, line: &str) -> String {
    act(world, &format!("type {terminal} {line}"));
    let id = world.proc_named(terminal).expect("a terminal").id;
    let shown = world.machine::<Terminal>(id).expect("a terminal").shown();
    let last = shown.blocks.last().expect("something was typed");
    assert_eq!(last.typed.as_ref().map(|(_, line)| line.as_str()), Some(line));
    last.printed.clone()
}

/// Converts a printed list to the form of the table above.
fn plain(printed: &str, wanted: &str) -> String {
    let element = |(n, line): (usize, &str)| {
        let text = line.trim_start().strip_prefix(&format!("{}) \"", n + 1))?;
        text.strip_suffix('"').map(str::to_owned)
    };
    let elements: Option<Vec<String>> = printed.lines().enumerate().map(element).collect();
    let Some(mut elements) = elements.filter(|elements| !elements.is_empty()) else {
        return printed.to_owned();
    };
    if wanted.starts_with('~') {
        elements.sort();
        elements.insert(0, "~".into());
    }
    elements.join(" ")
}

fn check_clients(printed: &str) {
    for line in printed.lines().filter(|line| line.contains("id=")) {
        for field in CLIENT_FIELDS {
            let there = line.split(' ').any(|word| word.starts_with(&format!("{field}=")));
            assert!(there || line.starts_with(&format!("{field}=")), "no {field} in {line}");
        }
    }
    assert!(printed.contains("id=") && printed.contains("cmd=client|list"), "{printed}");
}
