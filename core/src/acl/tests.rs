//! Rules on a small command table, and properties of arbitrary rules.

use proptest::prelude::*;

use super::users::Declaration;
use super::*;
use crate::command::meta::{KeySpec, acl, flag, key};
use crate::command::{Group, Meta, Row};
use crate::resp::request::OwnedArgs;

const fn command(name: &'static str, flags: u32, categories: u32) -> Row<()> {
    Row::new(Group::Generic, name, -1, ()).flags(flags).acl(categories)
}

static GET: Row<()> = command("get", flag::READONLY | flag::FAST, acl::STRING)
    .keys(&[KeySpec::one(1, key::RO | key::ACCESS)]);
static SET: Row<()> = command("set", flag::WRITE, acl::STRING)
    .keys(&[KeySpec::one(1, key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS)]);
static EXISTS: Row<()> = command("exists", flag::READONLY | flag::FAST, acl::KEYSPACE)
    .keys(&[KeySpec::range(1, -1, 1, key::RO)]);
static COPY: Row<()> = command("copy", flag::WRITE, acl::KEYSPACE)
    .keys(&[KeySpec::one(1, key::RO | key::ACCESS), KeySpec::one(2, key::OW | key::UPDATE)]);
static SELECT: Row<()> = command("select", flag::FAST, acl::CONNECTION);
static PUBLISH: Row<()> = command("publish", flag::PUBSUB | flag::FAST, 0);
static PSUBSCRIBE: Row<()> = command("psubscribe", flag::PUBSUB, 0);
static AUTH: Row<()> = command("auth", flag::NO_AUTH | flag::FAST, acl::CONNECTION);
static CONFIG: Row<()> = command("config", 0, 0);
static CONFIG_GET: Row<()> = command("get", flag::ADMIN, 0);
static CONFIG_SET: Row<()> = command("set", flag::ADMIN, 0);

struct Small;

const CONFIG_ID: u16 = 8;

static ALL: &[(&str, &Row<()>, &[u16])] = &[
    ("get", &GET, &[]),
    ("set", &SET, &[]),
    ("exists", &EXISTS, &[]),
    ("copy", &COPY, &[]),
    ("select", &SELECT, &[]),
    ("publish", &PUBLISH, &[]),
    ("psubscribe", &PSUBSCRIBE, &[]),
    ("auth", &AUTH, &[]),
    ("config", &CONFIG, &[CONFIG_ID + 1, CONFIG_ID + 2]),
    ("config|get", &CONFIG_GET, &[]),
    ("config|set", &CONFIG_SET, &[]),
];

impl Catalog for Small {
    fn find(&self, name: &[u8]) -> Option<CommandInfo<'_>> {
        let at = ALL.iter().position(|(known, ..)| known.as_bytes().eq_ignore_ascii_case(name))?;
        self.get(at as u16)
    }

    fn get(&self, id: u16) -> Option<CommandInfo<'_>> {
        let (name, row, subcommands) = *ALL.get(usize::from(id))?;
        let meta: &'static Meta = &row.meta;
        Some(CommandInfo { id, name, meta, is_subcommand: name.contains('|'), subcommands })
    }
}

const ENV: Env<'static> = Env { commands: &Small, all_channels: false };

fn users(rules: &str) -> Users {
    let mut users = Users::new(ENV);
    set(&mut users, rules).expect("good rules");
    users
}

fn set(users: &mut Users, rules: &str) -> Result<(), String> {
    let rules: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
    users.set(b"u", &rules, ENV).map_err(|error| String::from_utf8_lossy(&error).into_owned())
}

fn described(users: &Users) -> String {
    let user = users.get(b"u").expect("the user");
    String::from_utf8_lossy(&user.describe()).into_owned()
}

/// Why the user may not run this command: the reason and the offending argument.
fn denied(users: &Users, line: &str) -> Option<(Reason, usize)> {
    let mut args = OwnedArgs::default();
    for word in line.split(' ') {
        args.push(word.as_bytes());
    }
    let args = args.as_args();
    let name = match Small.find(args.at(0)) {
        Some(known) if !known.subcommands.is_empty() => {
            [args.at(0), b"|", args.get(1).unwrap_or_default()].concat()
        }
        _ => args.at(0).to_vec(),
    };
    let command = Small.find(&name).expect("a command");
    let user = users.get(b"u").expect("the user");
    let why = user.check(&mut Request::new(command, args)).err()?;
    Some((why.reason, why.at))
}

#[test]
fn a_new_user_may_do_nothing_and_cannot_log_in() {
    let users = users("");
    assert_eq!(described(&users), "off sanitize-payload resetchannels -@all");
    assert_eq!(denied(&users, "get k"), Some((Reason::Command, 0)));
    // Logging in is always allowed.
    assert_eq!(denied(&users, "auth u p"), None);
    assert!(users.authenticate(b"u", b"").is_none());
}

#[test]
fn passwords_are_kept_as_digests() {
    let mut users = users("on >secret");
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    assert!(described(&users).contains(&format!("#{digest}")));
    assert!(users.authenticate(b"u", b"secret").is_some());
    assert!(users.authenticate(b"u", b"Secret").is_none());
    let wrong = set(&mut users, "<other").unwrap_err();
    assert!(wrong.ends_with("does not exist"), "{wrong}");
    assert!(set(&mut users, "#abc").unwrap_err().contains("exactly 64 characters"));
    set(&mut users, &format!("!{digest} >another")).expect("good rules");
    assert!(users.authenticate(b"u", b"secret").is_none());
    set(&mut users, "off").expect("good rules");
    assert!(users.authenticate(b"u", b"another").is_none());
    set(&mut users, "on nopass").expect("good rules");
    assert!(users.authenticate(b"u", b"anything").is_some());
    set(&mut users, "resetpass").expect("good rules");
    assert!(users.authenticate(b"u", b"anything").is_none());
}

#[test]
fn commands_are_allowed_by_name_category_subcommand_and_first_argument() {
    let mut users = users("~* +@string -set +config|get +select|0");
    assert_eq!(denied(&users, "get k"), None);
    assert_eq!(denied(&users, "set k v"), Some((Reason::Command, 0)));
    assert_eq!(denied(&users, "config get x"), None);
    assert_eq!(denied(&users, "config set x y"), Some((Reason::Command, 0)));
    assert_eq!(denied(&users, "select 0"), None);
    assert_eq!(denied(&users, "select 1"), Some((Reason::Command, 0)));
    let text = described(&users);
    assert!(text.ends_with("-@all +@string -set +config|get +select|0"), "{text}");
    // A rule about a command supersedes those about its subcommands.
    set(&mut users, "-config +select").expect("good rules");
    let text = described(&users);
    assert!(text.ends_with("-@all +@string -set -config +select"), "{text}");
    assert_eq!(denied(&users, "config get x"), Some((Reason::Command, 0)));
    set(&mut users, "+@all -@admin").expect("good rules");
    assert!(described(&users).ends_with("+@all -@admin"));
    assert_eq!(denied(&users, "config get x"), Some((Reason::Command, 0)));
    assert_eq!(denied(&users, "set k v"), None);
}

#[test]
fn wrong_rules_change_nothing_and_are_named() {
    let mut users = users("on +get");
    let before = described(&users);
    for (rules, error) in [
        ("+set +nosuch", "modifier '+nosuch': Unknown command or category name in ACL"),
        ("+@nosuch", "'+@nosuch': Unknown command or category name in ACL"),
        ("-select|0", "'-select|0': Unknown command"),
        ("+config|nosuch", "Unknown command"),
        ("+select|", "'+select|': Syntax error"),
        ("+config|get|x", "Allowing first-arg of a subcommand is not supported"),
        ("nosuch", "'nosuch': Syntax error"),
        ("%~k", "'%~k': Syntax error"),
        ("%R", "'%R': Syntax error"),
        ("%RR~k", "Syntax error"),
        ("%X~k", "Syntax error"),
        ("~* ~k", "Try 'resetkeys'"),
        ("allchannels &c", "Try 'resetchannels'"),
        ("~a\tb", "Syntax error"),
        ("(+get ~k", "Unmatched parenthesis in acl selector starting at '(+get'."),
        ("(+nosuch)", "'(+nosuch)': Unknown command"),
    ] {
        let told = set(&mut users, rules).expect_err(rules);
        assert!(told.contains(error), "{rules}: {told}");
        assert_eq!(described(&users), before, "{rules}");
    }
}

#[test]
fn keys_may_be_readable_writable_or_both() {
    let users = users("+@all %R~r:* %W~w:* %r~rw %W~rw ~both:*");
    assert!(described(&users).contains("%R~r:* %W~w:* ~rw ~both:*"));
    let key = |at| Some((Reason::Key, at));
    assert_eq!(denied(&users, "get r:1"), None);
    assert_eq!(denied(&users, "get w:1"), key(1));
    assert_eq!(denied(&users, "set w:1 v"), None);
    assert_eq!(denied(&users, "set w:1 v get"), key(1));
    assert_eq!(denied(&users, "set r:1 v"), key(1));
    assert_eq!(denied(&users, "set rw v get"), None);
    assert_eq!(denied(&users, "set both:1 v get"), None);
    assert_eq!(denied(&users, "copy r:1 w:1"), None);
    assert_eq!(denied(&users, "copy r:1 r:2"), key(2));
    // EXISTS is allowed on every key that the user may access in any way.
    assert_eq!(denied(&users, "exists r:1 w:1"), None);
    assert_eq!(denied(&users, "exists r:1 other"), key(2));
}

#[test]
fn a_request_must_be_allowed_by_one_selector_as_a_whole() {
    let mut users = users("~a:* +get (~b:* +set) ( %R~c:* +@all )");
    let text = described(&users);
    assert!(
        text.ends_with(
            "~a:* resetchannels -@all +get (~b:* resetchannels -@all +set) \
             (%R~c:* resetchannels +@all)"
        ),
        "{text}"
    );
    assert_eq!(denied(&users, "get a:1"), None);
    assert_eq!(denied(&users, "set b:1 v"), None);
    assert_eq!(denied(&users, "get b:1"), Some((Reason::Key, 1)));
    assert_eq!(denied(&users, "set a:1 v"), Some((Reason::Key, 1)));
    assert_eq!(denied(&users, "copy c:1 b:1"), Some((Reason::Key, 2)));
    set(&mut users, "clearselectors").expect("good rules");
    assert_eq!(denied(&users, "set b:1 v"), Some((Reason::Command, 0)));
}

#[test]
fn channels_match_patterns_and_patterns_only_themselves() {
    let mut users = users("+@all &news.* &one");
    let channel = |at| Some((Reason::Channel, at));
    assert_eq!(denied(&users, "publish news.x m"), None);
    assert_eq!(denied(&users, "publish other m"), channel(1));
    assert_eq!(denied(&users, "psubscribe news.* one"), None);
    assert_eq!(denied(&users, "psubscribe one news.x"), channel(2));
    let before = users.get(b"u").expect("the user").clone();
    set(&mut users, "&more").expect("good rules");
    assert!(users.get(b"u").expect("the user").allows_channels_of(&before));
    set(&mut users, "resetchannels &one").expect("good rules");
    let after = users.get(b"u").expect("the user");
    assert!(!after.allows_channels_of(&before));
    assert!(after.may_subscribe(b"one", false) && !after.may_subscribe(b"news.x", false));
}

#[test]
fn a_file_is_read_as_a_whole_or_not_at_all() {
    let users = users("on nopass +get ~x");
    let read = |text: &str| {
        users
            .read_file("users.acl", text.as_bytes(), ENV)
            .map_err(|error| String::from_utf8_lossy(&error).into_owned())
    };
    let again = read(&String::from_utf8_lossy(&users.file_text())).expect("its own text");
    assert_eq!(again.file_text(), users.file_text());
    assert_ne!(again.get(b"u").map(|u| u.id()), users.get(b"u").map(|u| u.id()));
    let error = read(
        "user a on +get\r\n\nnonsense\nuser a off\nuser b +nosuch +@nor ~* ~k\nuser c (+get\n# no\n",
    )
    .expect_err("wrong lines");
    for part in [
        "users.acl:3 should start with user keyword followed by the username. ",
        "WARNING: Duplicate user 'a' found on line 4. ",
        "users.acl:5: Error in applying operation '+nosuch': Unknown command",
        "users.acl:5: Error in applying operation '+@nor': Unknown command",
        "users.acl:5: Adding a pattern after the * pattern",
        "users.acl:6: Unmatched parenthesis in selector definition.",
        "users.acl:7 should start with user keyword",
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let without_default = read("user a on +get").expect("good lines");
    assert!(without_default.default_user().allows_everything() && without_default.is_open());
}

#[test]
fn user_lines_of_a_configuration_file_are_checked_and_applied() {
    let words = |line: &str| -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    };
    let read = |name: &str, rules| Declaration::read(name.as_bytes(), &words(rules), ENV);
    assert!(read("a", "on nonsense").expect_err("wrong").contains("'nonsense': Syntax error"));
    assert!(read("a", "(+get").expect_err("wrong").contains("Unmatched parenthesis"));
    let mut users = Users::new(ENV);
    let lines = [read("default", "on >p ~* +@all").unwrap(), read("a", "+get (+set ~k)").unwrap()];
    assert_eq!(users.declare(&lines, ENV), Ok(vec![b"a".to_vec()]));
    assert!(!users.is_open() && users.authenticate(b"default", b"p").is_some());
    let unknown = [read("b", "+nosuch").expect("known later, perhaps")];
    let error = users.declare(&unknown, ENV).expect_err("unknown");
    assert!(error.starts_with(b"Error loading ACL rule '+nosuch' for the user named 'b': "));
}

#[test]
fn repeated_denials_share_an_entry_of_the_log() {
    let mut log = Log::default();
    let entry = |object: &str, at: u64| LogEntry {
        id: 0,
        count: 0,
        reason: Reason::Key,
        context: Context::TopLevel,
        command: "get".into(),
        object: object.into(),
        user: b"u".to_vec(),
        client: format!("at {at}"),
        created: at,
        updated: at,
    };
    for (object, at) in [("a", 0), ("b", 1), ("a", 60_000), ("a", 200_000), ("c", 200_001)] {
        log.add(entry(object, at), 3);
    }
    let told: Vec<_> = log
        .entries()
        .map(|e| (e.id, e.object[0], e.count, e.created, e.updated, e.client.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (3, b'c', 1, 200_001, 200_001, "at 200001"),
            (2, b'a', 1, 200_000, 200_000, "at 200000"),
            (0, b'a', 2, 0, 60_000, "at 60000"),
        ]
    );
}

/// A rule of any kind, right or wrong.
fn rule() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "on",
        "off",
        "nopass",
        "resetpass",
        "reset",
        "allkeys",
        "~*",
        "resetkeys",
        "allchannels",
        "&*",
        "resetchannels",
        "+@all",
        "-@all",
        "nocommands",
        "clearselectors",
        ">p",
        "<p",
        ">q",
        "+get",
        "-get",
        "+config",
        "-config",
        "+config|get",
        "-config|get",
        "+config|set",
        "+select|0",
        "+select",
        "-select",
        "+@read",
        "-@read",
        "+@admin",
        "-@admin",
        "-@slow",
        "+@string",
        "~k:*",
        "%R~k:*",
        "%W~k:*",
        "%RW~x",
        "&c",
        "&c.*",
        "(+get ~k)",
        "(-@all +@read)",
        "skip-sanitize-payload",
        "sanitize-payload",
    ])
    .prop_map(|word| word.as_bytes().to_vec());
    let chars: Vec<u8> = b"+-@~&%()|><!#*RWkget config".to_vec();
    let noise = prop::collection::vec(prop::sample::select(chars), 0..10);
    let bytes = prop::collection::vec(any::<u8>(), 0..8);
    prop_oneof![8 => word, 1 => noise, 1 => bytes]
}

proptest! {
    /// The description of a user, read back, makes a user with the same rules.
    #[test]
    fn a_description_gives_the_same_user(rules in prop::collection::vec(rule(), 0..12)) {
        let mut users = Users::new(ENV);
        for rule in &rules {
            let _ = users.set(b"u", &[rule], ENV);
        }
        prop_assume!(users.get(b"u").is_some());
        let text = users.file_text();
        let again = users.read_file("f", &text, ENV);
        let again = again.map_err(|e| TestCaseError::fail(String::from_utf8_lossy(&e).into_owned()))?;
        prop_assert_eq!(&again.file_text(), &text);
        for line in ["get k", "get k:1", "set k:1 v", "set x v get", "exists k:1 x", "copy k:1 x",
                     "select 0", "select 1", "config get x", "config set x y", "publish c m",
                     "psubscribe c.*", "psubscribe c.x"] {
            prop_assert_eq!(denied(&users, line), denied(&again, line), "{}", line);
        }
    }

    /// Arbitrary bytes given as rules do no harm.
    #[test]
    fn any_bytes_can_be_given_as_rules(
        rules in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5),
        text in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut users = Users::new(ENV);
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let _ = users.set(b"u", &rules, ENV);
        let _ = users.read_file("f", &text, ENV);
        let _ = users.read_file("f", &[b"user u ", &text[..]].concat(), ENV);
    }
}
