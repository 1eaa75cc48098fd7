//! The server's configuration, parsed and written as Redis does.

use super::*;
use crate::front::VERSION;
use crate::front::config::rewrite::{RewriteScope, rewrite};
use crate::front::config::{Directive, Kind};

#[test]
fn every_directive_is_found_by_each_of_its_names() {
    let directives = ServerSchema::directives();
    for (i, directive) in directives.all().iter().enumerate() {
        let upper = directive.name.to_ascii_uppercase();
        assert_eq!(directives.place(upper.as_bytes()), Some(i));
        if !directive.alias.is_empty() {
            assert_eq!(directives.place(directive.alias.as_bytes()), Some(i));
        }
    }
    assert_eq!(directives.place(b"nonsense"), None);
}

fn parse(text: &str, arguments: &[&str]) -> Result<Config, ConfigError> {
    let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
    Config::parse(text.as_bytes(), &arguments, &mut |path| match path {
        "more.conf" => Ok(b"maxclients 7\ninclude more.conf2".to_vec()),
        "more.conf2" => Ok(b"timeout 9".to_vec()),
        "self.conf" => Ok(b"include self.conf".to_vec()),
        _ => Err("No such file or directory".into()),
    })
}

fn get(config: &Config, name: &str) -> String {
    String::from_utf8(config.get(name).expect("a directive").to_vec()).expect("text")
}

#[test]
fn a_file_is_read_as_redis_reads_it() {
    let config = parse(
        "# comment\n  PORT 7000\nbind 127.0.0.1 -::1\r\nrequirepass \"a b\\x21\"\n\
         maxmemory 2gb\nsave 900 1\nsave 300 10\nactivedefrag yes\nslave-priority 5\n\
         client-output-buffer-limit replica 1mb 512kb 30\ninclude more.conf\n",
        &["--port", "7001", "--dir", "--odd", "--loglevel", "verbose"],
    )
    .expect("a good file");
    assert_eq!(config.front().port, 7001);
    assert_eq!(config.front().bind, ["127.0.0.1", "-::1"]);
    assert_eq!(config.front().requirepass.as_deref(), Some(&b"a b!"[..]));
    assert_eq!(get(&config, "maxmemory"), "2147483648");
    assert_eq!(get(&config, "save"), "900 1 300 10");
    assert_eq!(get(&config, "replica-priority"), "5");
    assert_eq!(get(&config, "dir"), "--odd");
    assert_eq!(get(&config, "loglevel"), "verbose");
    assert_eq!((config.front().maxclients, config.front().timeout), (7, 9));
    assert_eq!(
        get(&config, "client-output-buffer-limit"),
        "normal 0 0 0 slave 1048576 524288 30 pubsub 33554432 8388608 60"
    );
    assert!(config.warnings().iter().any(|w| w.contains("'activedefrag'")));
    assert!(!config.warnings().iter().any(|w| w.contains("'port'")));
}

#[test]
fn a_save_argument_may_be_empty() {
    for arguments in [&["--save", "", "--port", "1"][..], &["--save", "--port", "1"]] {
        let config = parse("", arguments).expect("good arguments");
        assert_eq!((get(&config, "save"), config.front().port), (String::new(), 1));
    }
    let config = parse("", &["--save", "60 1 5 7"]).expect("good arguments");
    assert_eq!(get(&config, "save"), "60 1 5 7");
    let config = parse("", &["--replicaof", "127.0.0.1", "6379"]).expect("good arguments");
    assert_eq!(config.settings().replicaof, Some(("127.0.0.1".into(), 6379)));
}

#[test]
fn users_are_kept_as_they_were_declared() {
    let text = "user default on >secret ~* &* +@all\nUSER alice on (+get ~a)";
    let config = parse(text, &["--user", "bob", "+nosuch"]).expect("good lines");
    let names: Vec<&[u8]> = config.users().iter().map(|user| &user.name[..]).collect();
    assert_eq!(names, [&b"default"[..], b"alice", b"bob"]);
    assert_eq!(config.users()[1].rules, [&b"on"[..], b"(+get ~a)"]);
}

#[test]
fn errors_name_their_line() {
    let error = parse("port 1\nfoo bar\n", &[]).expect_err("an error");
    assert_eq!(
        error.to_string(),
        format!(
            "\n*** FATAL CONFIG FILE ERROR (Redis {VERSION}) ***\n\
             Reading the configuration file, at line 2\n>>> 'foo bar'\n\
             Bad directive or wrong number of arguments"
        )
    );
    for (text, message) in [
        ("port 70000", "argument must be between 0 and 65535 inclusive"),
        ("port x", "argument couldn't be parsed into an integer"),
        ("port 1 2", "wrong number of arguments"),
        ("maxmemory 1x", "argument must be a memory value"),
        ("daemonize maybe", "argument must be 'yes' or 'no'"),
        ("requirepass \"a", "Unbalanced quotes in configuration line"),
        ("save 1", "Invalid save parameters"),
        ("user alice nonsense", "Error in user declaration 'nonsense': Syntax error"),
        ("user alice on\nuser alice on", "A user can only be defined once in config files"),
        ("user", "Bad directive or wrong number of arguments"),
        ("rename-command nonsense x", "No such command in rename-command"),
        ("rename-command ping echo", "Target command name already exists"),
        (
            "include nowhere.conf",
            "Fatal error, can't open config file 'nowhere.conf': No such file or directory",
        ),
        ("include self.conf", "Too many levels"),
    ] {
        let error = parse(text, &[]).expect_err(text).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn comments_and_order_stay_and_values_change() {
    let old = "# mine\nport 7000\n\n\nslave-priority 50\nsave 900 1\nsave 300 10\nnonsense x\n\
               include other.conf\nmaxmemory 100\n";
    let mut config =
        Config::parse(b"port 7000\nslave-priority 50", &[], &mut |_| Err(String::new()))
            .expect("good");
    for (name, value) in
        [("port", "7001"), ("save", "60 5"), ("maxmemory", "1073741824"), ("timeout", "9")]
    {
        config.set(name, value.as_bytes()).expect(name);
    }
    let new =
        String::from_utf8(rewrite(&config, &[], old.as_bytes(), "/data", RewriteScope::Changed))
            .expect("text");
    assert_eq!(
        new,
        "# mine\nport 7001\n\nreplica-priority 50\nsave 60 5\n# ??? nonsense x\n\
         include other.conf\nmaxmemory 1gb\n# Generated by CONFIG REWRITE\ndir \"/data\"\n\
         timeout 9\n"
    );
    let again = rewrite(&config, &[], new.as_bytes(), "/data", RewriteScope::Changed);
    assert_eq!(String::from_utf8(again).expect("text"), new);
}

#[test]
fn a_rewritten_file_parses_to_the_same_configuration() {
    let mut config = Config::default();
    for (name, value) in [
        ("requirepass", "a \"b\" \u{7}\n"),
        ("save", ""),
        ("client-output-buffer-limit", "pubsub 1048576 1 7"),
        ("notify-keyspace-events", "KEA"),
        ("bind", "127.0.0.1 -::1"),
        ("maxmemory-clients", "5%"),
        ("shutdown-on-sigterm", "nosave now"),
    ] {
        config.set(name, value.as_bytes()).expect(name);
    }
    for extent in [RewriteScope::Changed, RewriteScope::All] {
        let text = rewrite(&config, &[], b"", "/", extent);
        let all = String::from_utf8_lossy(&text).contains("\nport 6379\n");
        assert_eq!(all, extent == RewriteScope::All);
        let read = Config::parse(&text, &[], &mut |_| Err(String::new())).expect("readable");
        for directive in ServerSchema::directives().all() {
            if !matches!(directive.kind, Kind::Dir) {
                let name = directive.name;
                assert_eq!(config.get(name), read.get(name), "{name}");
            }
        }
    }
}

/// Directives without a typed value that have an effect, and others of which the reverse is true.
const UNUSUAL: [(&str, &str); 2] = [
    ("sanitize-dump-payload", "payloads are always checked to the last byte, whatever it says"),
    ("tls-port", "nothing listens there, but a node of a cluster tells the others of it"),
];

/// A value that a directive does not have in `config`.
fn another_value(config: &Config, directive: &Directive) -> Vec<u8> {
    let now = get(config, directive.name);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let candidates = match directive.kind {
        Kind::Bool => words(&["yes", "no"]),
        Kind::Text | Kind::TextIf(_) | Kind::Dir => words(&["x"]),
        Kind::Choice(allowed) | Kind::Choices(allowed) => words(allowed),
        Kind::Number(..) => vec![now.parse().map_or(1, |n: i64| n + 1).to_string(), "1".into()],
        Kind::OutputLimits => words(&["normal 1 2 3"]),
        Kind::Bind => words(&["127.0.0.1"]),
        Kind::Percentiles => words(&["1"]),
        Kind::Custom(_) => words(&["7 7", "1 2 3", "KEA"]),
    };
    let mut other = config.clone();
    let mut is_another = |value: &&String| {
        other.set(directive.name, value.as_bytes()).is_ok() && get(&other, directive.name) != now
    };
    let found = candidates.iter().find(&mut is_another);
    found.unwrap_or_else(|| panic!("no value of {}", directive.name)).clone().into_bytes()
}

#[test]
fn a_directive_has_a_typed_value_unless_it_has_no_effect() {
    let mut config = Config::default();
    // Without it, the next directive's values are of no interest.
    config.set("oom-score-adj", b"absolute").expect("a value");
    let typed = |config: &Config| format!("{:?} {:?}", config.front(), config.settings());
    for directive in ServerSchema::directives().all() {
        let mut changed = config.clone();
        changed.set(directive.name, &another_value(&config, directive)).expect("a value");
        let is_unusual = UNUSUAL.iter().any(|(name, _)| *name == directive.name);
        let is_typed = typed(&changed) != typed(&config);
        assert_eq!(is_typed, directive.has_no_effect() == is_unusual, "{}", directive.name);
    }
}
