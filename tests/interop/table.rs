//! Compares the command table (COMMAND INFO, DOCS, LIST) with that of redis-server.

use std::collections::{BTreeMap, BTreeSet};

use limpid_core::resp::value::Value;
use limpid_tests::client::{Client, text};
use limpid_tests::process::Process;

/// Commands, subcommands among them, by name.
type Table = BTreeMap<String, Value>;

/// Differences between Redis 7.2, whose table Limpid has, and 7.0.15: the command, and the index in
/// the reply of COMMAND INFO.
const NEWER: &[(&str, usize)] = &[
    // WITHSCORE is an option since 7.2.
    ("zrank", ARITY),
    ("zrevrank", ARITY),
    // Since 7.2 scripts may call these, without blocking.
    ("wait", FLAGS),
    ("blmove", FLAGS),
    ("blpop", FLAGS),
    ("brpop", FLAGS),
    ("brpoplpush", FLAGS),
    ("bzpopmax", FLAGS),
    ("bzpopmin", FLAGS),
    // Since 7.2 these are allowed while loading.
    ("cluster|info", FLAGS),
    ("cluster|keyslot", FLAGS),
    ("cluster|links", FLAGS),
    ("cluster|myid", FLAGS),
    ("cluster|nodes", FLAGS),
    ("cluster|shards", FLAGS),
    ("cluster|slots", FLAGS),
    // Since 7.2 a tip says that these go to every node of a cluster.
    ("acl|deluser", TIPS),
    ("acl|save", TIPS),
    ("acl|setuser", TIPS),
    ("config|resetstat", TIPS),
    ("config|rewrite", TIPS),
];

/// Commands that 7.0.15 does not have: of Redis 7.2, and those by which slots move as a whole.
const NEW: &[&str] = &[
    "client|no-touch",
    "client|setinfo",
    "cluster|cancelslotmigrations",
    "cluster|getslotmigrations",
    "cluster|migrateslots",
    "cluster|myshardid",
    "cluster|syncslots",
    "waitaof",
];

/// Commands whose arguments Redis 7.2 describes differently from 7.0.15.
const NEWER_ARGUMENTS: &[&str] = &[
    // CONFIG and ARGS are separate arguments in 7.2.
    "module|loadex",
    // The category has another name.
    "acl|cat",
    // 7.2 lists each operation as a separate argument.
    "bitop",
    // The values of SKIPME are separate arguments, and the types are in lower case.
    "client|kill",
    "client|list",
    // The bus port is spelled with underscores.
    "cluster|meet",
    // 7.0.15 lists no arguments for these.
    "command|getkeys",
    "command|getkeysandflags",
    // Optional arguments are marked.
    "geohash",
    "geopos",
    "georadius",
    "georadiusbymember",
    "pfmerge",
    // The names of arguments are consistent, without underscores.
    "xadd",
    "xclaim",
    "xgroup|create",
    "xgroup|createconsumer",
    "xgroup|delconsumer",
    "xgroup|destroy",
    "xgroup|setid",
    "xinfo|consumers",
    "xinfo|stream",
    "xsetid",
    // These have groups of a single argument.
    "config|get",
    "psubscribe",
    // Two arguments have the same name.
    "lcs",
    // A password is optional within an optional argument.
    "migrate",
    // WITHSCORE again.
    "zrank",
    "zrevrank",
];

const ARITY: usize = 1;
const FLAGS: usize = 2;
const CATEGORIES: usize = 6;
const TIPS: usize = 7;
const SUBCOMMANDS: usize = 9;

#[test]
fn commands_are_described_as_redis_describes_them() {
    let (ours, theirs) = (Process::server(&[]), Process::redis_server(&[]));
    let (ours, theirs) = (information(&ours), information(&theirs));
    for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
        assert!(NEW.contains(&name.as_str()), "redis-server does not have {name}");
    }
    for (name, theirs) in &theirs {
        let Some(ours) = ours.get(name) else { continue };
        let (ours, theirs) = (ours.items().unwrap_or(&[]), theirs.items().unwrap_or(&[]));
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            let newer = NEWER.contains(&(name.as_str(), at));
            let unordered = at == CATEGORIES || at == TIPS;
            let same =
                at == SUBCOMMANDS || ours == theirs || unordered && sorted(ours) == sorted(theirs);
            assert_ne!(same, newer, "{name}, element {at}: Limpid {ours:?}, Redis {theirs:?}");
        }
    }
}

#[test]
fn commands_are_counted_and_listed() {
    let server = Process::server(&[]);
    let mut client = Client::new(server.connect());
    let table = information(&server);
    let containers = table.keys().filter(|name| !name.contains('|')).count();
    assert_eq!(client.call(&["COMMAND", "COUNT"]), Value::Integer(containers as i64));
    // Subcommands are listed, too, as since 7.2.
    let list = texts(&client.call(&["COMMAND", "LIST"]));
    assert!(list.iter().collect::<BTreeSet<_>>().into_iter().eq(table.keys()), "{list:?}");
    let docs = docs(&server);
    assert!(docs.keys().eq(table.keys()), "COMMAND DOCS tells of every command");
}

#[test]
fn commands_are_of_the_group_and_as_old_as_in_redis() {
    let (ours, theirs) = (Process::server(&[]), Process::redis_server(&[]));
    let (ours, theirs) = (docs(&ours), docs(&theirs));
    for (name, ours) in &ours {
        let Some(theirs) = theirs.get(name) else { continue };
        for field in ["group", "since"] {
            let (ours, theirs) = (field_of(ours, field), field_of(theirs, field));
            // 7.0.15 has a version that was never released.
            let theirs = theirs.map(|text| if text == "2.9.50" { "3.0.0".into() } else { text });
            assert_eq!(ours, theirs, "{field} of {name}");
        }
        for field in ["summary", "complexity"] {
            let said = field_of(ours, field).unwrap_or_default();
            assert!(!said.is_empty() || field_of(theirs, field).is_none(), "{field} of {name}");
        }
    }
}

#[test]
fn arguments_are_those_of_redis() {
    let (ours, theirs) = (Process::server(&[]), Process::redis_server(&[]));
    let (ours, theirs) = (docs(&ours), docs(&theirs));
    for (name, theirs) in &theirs {
        let Some(ours) = ours.get(name) else { continue };
        let (ours, theirs) = (outline(ours), outline(theirs));
        let newer = NEWER_ARGUMENTS.contains(&name.as_str());
        assert_ne!(ours == theirs, newer, "{name}: Limpid {ours:#?}, Redis {theirs:#?}");
    }
}

/// The tree of a command's arguments, one line each, without the names of groups, which all differ
/// in 7.2.
fn outline(about: &Value) -> Vec<String> {
    fn add(lines: &mut Vec<String>, depth: usize, arguments: &Value) {
        for argument in arguments.items().expect("arguments") {
            let field = |name: &str| field_of(argument, name);
            let kind = field("type").expect("a type");
            let name = match kind.as_str() {
                "oneof" | "block" => None,
                // 7.2 has the display text separately, which is the name in 7.0.15.
                _ => field("display_text").or_else(|| field("name")),
            };
            let find = |name: &str| {
                let mut pairs = argument.pairs().into_iter();
                pairs.find(|(key, _)| key.bytes() == Some(name.as_bytes())).map(|(_, value)| value)
            };
            let (flags, key) = (find("flags").map(sorted), find("key_spec_index"));
            let (token, since) = (field("token"), field("since"));
            lines.push(format!("{depth} {kind} {name:?} {token:?} {since:?} {flags:?} {key:?}"));
            if let Some(parts) = find("arguments") {
                add(lines, depth + 1, parts);
            }
        }
    }
    let mut lines = Vec::new();
    let pairs = about.pairs();
    if let Some((_, all)) = pairs.iter().find(|(key, _)| key.bytes() == Some(b"arguments")) {
        add(&mut lines, 0, all);
    }
    lines
}

/// The reply of COMMAND INFO in RESP3.
fn information(server: &Process) -> Table {
    let mut client = Client::new(server.connect());
    client.call(&["HELLO", "3"]);
    let mut table = Table::new();
    let reply = client.call(&["COMMAND", "INFO"]);
    for command in reply.items().expect("commands") {
        add(&mut table, command);
    }
    table
}

fn add(table: &mut Table, command: &Value) {
    let fields = command.items().expect("a description");
    for subcommand in fields[SUBCOMMANDS].items().unwrap_or(&[]) {
        add(table, subcommand);
    }
    table.insert(text(&fields[0]), command.clone());
}

/// The reply of COMMAND DOCS.
fn docs(server: &Process) -> Table {
    let mut client = Client::new(server.connect());
    client.call(&["HELLO", "3"]);
    let mut table = Table::new();
    for (name, about) in client.call(&["COMMAND", "DOCS"]).pairs() {
        let find = |(key, _): &(&Value, &Value)| key.bytes() == Some(b"subcommands");
        for (name, about) in
            about.pairs().into_iter().find(find).map_or(Vec::new(), |(_, all)| all.pairs())
        {
            table.insert(text(name), about.clone());
        }
        table.insert(text(name), about.clone());
    }
    table
}

fn field_of(about: &Value, field: &str) -> Option<String> {
    let pairs = about.pairs();
    let found = pairs.into_iter().find(|(key, _)| key.bytes() == Some(field.as_bytes()));
    found.map(|(_, value)| text(value))
}

fn sorted(value: &Value) -> Vec<String> {
    let mut texts = texts(value);
    texts.sort();
    texts
}

fn texts(value: &Value) -> Vec<String> {
    value.items().unwrap_or(&[]).iter().map(text).collect()
}
