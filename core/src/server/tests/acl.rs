//! ACL: denials on every path to a command.

use super::*;
use crate::machine::DiskErrorKind;

/// Ten seconds.
const LATER: Duration = Duration::from_secs(10);

/// A server with a user `u` with these rules, a connection of the default user, and one of `u`.
fn with_user(rules: &str) -> (Driver, ConnId, ConnId) {
    let mut d = Driver::new("");
    let admin = d.connect();
    assert_eq!(d.line(admin, &format!("acl setuser u on >p {rules}")), "+OK\r\n");
    let user = d.connect();
    assert_eq!(d.line(user, "auth u p"), "+OK\r\n");
    (d, admin, user)
}

/// Completes the server's pending operations on whole files.
fn finish_files(d: &mut Driver) {
    while !d.disk.is_empty() {
        let (op, what) = d.disk.remove(0);
        let result = match what {
            DiskOp::Load { path } => match d.files.all.get(&path) {
                Some(text) => Ok(DiskDone::Data(text.clone())),
                None => Err(files::error(DiskErrorKind::NotFound)),
            },
            DiskOp::Replace { path, bytes } => {
                d.files.all.insert(path, bytes);
                Ok(DiskDone::Done)
            }
            other => panic!("{other:?}"),
        };
        d.input(Input::Disk { op, result });
    }
}

#[test]
fn commands_keys_and_channels_are_denied_with_their_reasons() {
    let (mut d, admin, user) = with_user("+@all -config|set ~mine:* %R~read:* &news");
    for (line, reply) in [
        ("set mine:1 v", "+OK\r\n"),
        ("set other v", "-NOPERM No permissions to access a key\r\n"),
        ("get read:1", "$-1\r\n"),
        ("set read:1 v", "-NOPERM No permissions to access a key\r\n"),
        ("mget mine:1 other", "-NOPERM No permissions to access a key\r\n"),
        (
            "config set port 1",
            "-NOPERM User u has no permissions to run the 'config|set' command\r\n",
        ),
        ("publish news m", ":0\r\n"),
        ("publish olds m", "-NOPERM No permissions to access a channel\r\n"),
        ("spublish olds m", "-NOPERM No permissions to access a channel\r\n"),
        ("psubscribe n*", "-NOPERM No permissions to access a channel\r\n"),
        (
            "sort mine:l by w_*",
            "-ERR BY option of SORT denied due to insufficient ACL permissions.\r\n",
        ),
        (
            "sort mine:l get #",
            "-ERR GET option of SORT denied due to insufficient ACL permissions.\r\n",
        ),
        ("sort mine:l by nosort", "*0\r\n"),
        ("sort mine:l store other", "-NOPERM No permissions to access a key\r\n"),
        ("acl whoami", "$1\r\nu\r\n"),
        // Errors of the command itself come first.
        ("get", "-ERR wrong number of arguments for 'get' command\r\n"),
        ("nonsense", "-ERR unknown command 'nonsense', with args beginning with: \r\n"),
    ] {
        assert_eq!(d.line(user, line), reply, "{line}");
    }
    // Pipelined as well, where other clients use the fast path.
    let replies = d.send(user, b"set mine:1 a\r\nset other b\r\nget mine:1\r\nget other\r\n");
    let denied = "-NOPERM No permissions to access a key\r\n";
    assert_eq!(replies, format!("+OK\r\n{denied}$1\r\na\r\n{denied}"));
    assert_eq!(d.line(admin, "exists other"), ":0\r\n");
    let info = d.line(admin, "info stats");
    for field in [
        "acl_access_denied_auth:0",
        "acl_access_denied_cmd:1",
        "acl_access_denied_key:6",
        "acl_access_denied_channel:3",
    ] {
        assert!(info.contains(field), "{field}: {info}");
    }
}

#[test]
fn new_rules_hold_at_once_for_connected_clients() {
    let (mut d, admin, user) = with_user("+get ~*");
    assert!(d.line(user, "set k v").starts_with("-NOPERM User u"));
    d.line(admin, "acl setuser u +@all &*");
    assert_eq!(d.line(user, "set k v"), "+OK\r\n");
    d.line(admin, "acl setuser u -set");
    assert!(d.line(user, "set k v").starts_with("-NOPERM User u"));
    // For the default user as well, which is logged in here.
    assert_eq!(d.line(admin, "acl setuser default -get"), "+OK\r\n");
    assert!(d.line(admin, "get k").starts_with("-NOPERM User default"));
    assert_eq!(d.line(user, "get k"), "$1\r\nv\r\n");
}

#[test]
fn a_login_decides_whose_rules_hold() {
    let (mut d, admin, user) = with_user("+get +auth +acl|whoami ~*");
    let conn = d.connect();
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    assert_eq!(d.line(conn, "auth u wrong"), wrong);
    assert_eq!(d.line(conn, "auth nobody p"), wrong);
    assert_eq!(d.line(conn, "hello 2 auth u wrong"), wrong);
    assert!(d.line(conn, "auth p").contains("without any password configured"));
    assert!(d.line(conn, "hello 2 auth u p").starts_with("*14\r\n"));
    assert_eq!(d.line(conn, "acl whoami"), "$1\r\nu\r\n");
    assert!(d.line(conn, "ping").starts_with("-NOPERM"));
    assert_eq!(d.line(conn, "reset"), "+RESET\r\n");
    assert_eq!(d.line(conn, "acl whoami"), "$7\r\ndefault\r\n");
    let list = d.line(admin, "client list");
    assert!(list.contains(" user=u ") && list.contains(" user=default "), "{list}");
    // A disabled user's connection stays, but the user cannot log in again.
    d.line(admin, "acl setuser u off");
    assert_eq!(d.line(user, "get k"), "$-1\r\n");
    assert_eq!(d.line(user, "auth u p"), wrong);
    assert!(d.line(admin, "info stats").contains("acl_access_denied_auth:4"));
}

#[test]
fn requirepass_is_the_password_of_the_default_user() {
    let mut d = Driver::new("requirepass secret");
    let conn = d.connect();
    assert_eq!(d.line(conn, "get k"), "-NOAUTH Authentication required.\r\n");
    assert_eq!(d.line(conn, "auth secret"), "+OK\r\n");
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    assert!(d.line(conn, "acl getuser default").contains(digest));
    d.line(conn, "acl setuser default resetpass >other");
    let second = d.connect();
    assert!(d.line(second, "auth secret").starts_with("-WRONGPASS"));
    assert_eq!(d.line(second, "auth default other"), "+OK\r\n");
    // CONFIG SET replaces all other passwords.
    assert_eq!(d.line(conn, "config set requirepass third"), "+OK\r\n");
    let third = d.connect();
    assert!(d.line(third, "auth other").starts_with("-WRONGPASS"));
    assert_eq!(d.line(conn, "config set requirepass ''"), "+OK\r\n");
    // Connections from before are authenticated as well, until a password is required again.
    assert_eq!(d.line(third, "get k"), "$-1\r\n");
    assert_eq!(d.line(third, "config set requirepass fourth"), "+OK\r\n");
    assert_eq!(d.line(third, "get k"), "-NOAUTH Authentication required.\r\n");
}

#[test]
fn deleting_a_user_disconnects_its_clients() {
    let (mut d, admin, user) = with_user("+@all ~* &*");
    assert_eq!(
        d.line(admin, "acl deluser default"),
        "-ERR The 'default' user cannot be removed\r\n"
    );
    assert_eq!(d.line(admin, "acl deluser nobody u"), ":1\r\n");
    assert!(d.is_closed(user));
    d.line(admin, "acl setuser u on nopass +@all ~* &*");
    let own = d.connect();
    d.line(own, "auth u x");
    // A client that deletes its own user gets the reply, and none of its further commands is
    // executed.
    assert_eq!(d.send(own, b"acl deluser u\r\nset k v\r\n"), ":1\r\n");
    assert!(d.is_closed(own));
    assert_eq!(d.line(admin, "exists k"), ":0\r\n");
    let list = d.line(admin, "client kill user u");
    assert_eq!(list, "-ERR No such user 'u'\r\n");
}

#[test]
fn subscribers_are_disconnected_when_they_lose_their_channels() {
    let (mut d, admin, user) = with_user("+@all &news.* &one");
    let second = d.connect();
    d.line(second, "auth u p");
    assert!(d.line(user, "subscribe news.x").contains("subscribe"));
    assert!(d.line(second, "psubscribe one").contains("psubscribe"));
    d.line(admin, "acl setuser u &more");
    assert!(!d.is_closed(user) && !d.is_closed(second));
    d.line(admin, "acl setuser u resetchannels &one");
    assert!(d.is_closed(user) && !d.is_closed(second));
    d.line(admin, "acl setuser u resetchannels &*");
    assert!(!d.is_closed(second));
}

#[test]
fn transactions_are_checked_when_queued_and_when_executed() {
    let (mut d, admin, user) = with_user("+multi +exec +set +get ~*");
    d.line(user, "multi");
    assert!(d.line(user, "incr k").starts_with("-NOPERM User u has no permissions"));
    assert!(d.line(user, "exec").starts_with("-EXECABORT"));
    d.line(user, "multi");
    assert_eq!(d.send(user, b"set k v\r\nget k\r\n"), "+QUEUED\r\n+QUEUED\r\n");
    d.line(admin, "acl setuser u -get resetkeys ~j");
    let reply = d.line(user, "exec");
    assert!(reply.starts_with("*2\r\n-NOPERM ACLs rules changed between the moment"), "{reply}");
    assert!(reply.contains("no permission to touch the specified keys\r\n"), "{reply}");
    assert!(reply.ends_with("no permission to execute the command or subcommand\r\n"), "{reply}");
    let log = d.line(admin, "acl log");
    assert!(log.contains("multi") && !log.contains("toplevel"), "{log}");
    assert!(log.contains("cmd=exec") && !log.contains("cmd=get"), "{log}");
}

#[test]
fn scripts_have_the_rights_of_their_caller() {
    let (mut d, admin, user) = with_user("+eval +get +set ~k");
    let mut eval = |script: &str| d.send(user, &encoded(&["eval", script, "1", "k"]));
    assert_eq!(eval("return redis.call('set','k','v')"), "+OK\r\n");
    let reply = eval("return redis.call('set','j','v')");
    assert!(reply.starts_with("-ERR ACL failure in script: No permissions to access a key"));
    let reply = eval("return redis.pcall('incr','k')");
    assert!(reply.contains("ACL failure in script: User u has no permissions to run the 'incr'"));
    for (args, reply) in
        [("'set','k','v'", ":1\r\n"), ("'set','j','v'", "$-1\r\n"), ("'incr','k'", "$-1\r\n")]
    {
        assert_eq!(eval(&format!("return redis.acl_check_cmd({args})")), reply, "{args}");
    }
    assert!(d.send(user, &encoded(&["eval", "return 1", "1", "j"])).starts_with("-NOPERM"));
    let log = d.line(admin, "acl log");
    assert!(log.contains("lua") && log.contains("toplevel"), "{log}");
}

#[test]
fn a_blocked_client_is_checked_again_when_it_is_served() {
    let (mut d, admin, user) = with_user("+@all ~*");
    assert_eq!(d.line(user, "blpop l 0"), "");
    d.line(admin, "acl setuser u resetkeys");
    assert_eq!(d.line(admin, "rpush l x"), ":1\r\n");
    assert_eq!(d.take(user), "-NOPERM No permissions to access a key\r\n");
    assert_eq!(d.line(admin, "llen l"), ":1\r\n");
    assert_eq!(d.line(user, "ping"), "+PONG\r\n");
}

#[test]
fn acl_log_names_users_and_what_they_were_denied() {
    let (mut d, admin, user) = with_user("+@all -incr ~k");
    d.line(user, "incr k");
    d.line(user, "get other");
    d.line(user, "get other");
    d.line(user, "client setname somebody");
    d.pass(LATER);
    d.line(user, "get other");
    d.line(user, "AUTH nobody wrong");
    let log = d.line(admin, "acl log");
    let entries: Vec<&str> = log.split("$5\r\ncount\r\n").collect();
    assert_eq!(entries.len(), 4, "{log}");
    for (entry, parts) in [
        (
            1,
            &[
                ":1\r\n",
                "auth",
                "toplevel",
                "\r\nAUTH\r\n",
                "nobody",
                "name=somebody",
                "$1\r\n0\r\n",
            ][..],
        ),
        (2, &[":3\r\n", "key", "toplevel", "\r\nother\r\n", "\r\nu\r\n", "entry-id\r\n:1\r\n"]),
        (
            3,
            &[
                ":1\r\n",
                "command",
                "\r\nincr\r\n",
                "cmd=incr",
                "$2\r\n10\r\n",
                "entry-id\r\n:0\r\n",
            ],
        ),
    ] {
        for part in parts {
            assert!(entries[entry].contains(part), "{part:?} in {:?}", entries[entry]);
        }
    }
    assert_eq!(d.line(admin, "acl log 1").matches("count\r\n").count(), 1);
    assert_eq!(d.line(admin, "acl log -1"), "*0\r\n");
    assert_eq!(d.line(admin, "acl log x"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(d.line(admin, "acl log reset"), "+OK\r\n");
    assert_eq!(d.line(admin, "acl log"), "*0\r\n");
    d.line(admin, "config set acllog-max-len 1");
    d.line(user, "get a");
    d.line(user, "get b");
    assert_eq!(d.line(admin, "acl log").matches("count\r\n").count(), 1);
}

#[test]
fn users_and_the_missing_rule_of_a_denial_are_shown_to_observers() {
    let (mut d, _, user) = with_user("+get +publish ~mine:* &news");
    for line in ["get other", "set mine:1 v", "publish olds m", "auth u wrong"] {
        d.line(user, line);
    }
    let denials = d.server.denials_view();
    let told: Vec<_> = denials
        .iter()
        .map(|denial| (denial.command.as_str(), &*denial.object, denial.missing.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("auth", "auth", None),
            ("publish", "olds", Some("&olds")),
            ("set", "set", Some("+set")),
            ("get", "other", Some("~other")),
        ]
    );
    assert_eq!(denials[0].client, "127.0.0.1:40000");
    let users = d.server.users_view();
    assert_eq!((users[1].name.as_str(), users[1].clients, users[1].passwords), ("u", 1, 1));
    assert_eq!(users[1].selectors[0].keys, "~mine:*");
    assert!(!users[1].selectors[0].commands.contains("set") && users[1].enabled);
}

#[test]
fn dryrun_has_no_effect() {
    let (mut d, admin, _) = with_user("+get ~k &c");
    for (line, reply) in [
        ("u get k", "+OK\r\n"),
        ("u get j", "User u has no permissions to access the 'j' key\r\n"),
        ("u set k v", "User u has no permissions to run the 'set' command\r\n"),
        ("nobody get k", "-ERR User 'nobody' not found\r\n"),
        ("u nosuch k", "-ERR Command 'nosuch' not found\r\n"),
        ("u get", "-ERR wrong number of arguments for 'get' command\r\n"),
        ("u get a b", "-ERR wrong number of arguments for 'get' command\r\n"),
    ] {
        let told = d.line(admin, &format!("acl dryrun {line}"));
        assert!(told.ends_with(reply), "{line}: {told}");
    }
    assert_eq!(d.line(admin, "acl log"), "*0\r\n");
}

#[test]
fn genpass_generates_passwords() {
    let (mut d, admin, _) = with_user("");
    let one = d.line(admin, "acl genpass");
    assert!(one.starts_with("$64\r\n") && one != d.line(admin, "acl genpass"), "{one}");
    assert!(d.line(admin, "acl genpass 5").starts_with("$2\r\n"));
    for wrong in ["0", "-1", "4097"] {
        let told = d.line(admin, &format!("acl genpass {wrong}"));
        assert!(told.starts_with("-ERR ACL GENPASS argument must be the number of bits"), "{told}");
    }
}

#[test]
fn users_are_read_from_the_configuration_and_written_back() {
    let text = "user a on >p ~k* (+get %R~r*) +set\nuser default on nopass ~* &* +@all";
    let mut d = Driver::new(text);
    assert_eq!(d.exit, None, "{:?}", d.log);
    let conn = d.connect();
    assert_eq!(d.line(conn, "auth a p"), "+OK\r\n");
    assert_eq!(d.line(conn, "set k1 v"), "+OK\r\n");
    assert_eq!(d.line(conn, "get r1"), "$-1\r\n");
    let lines = d.server.user_lines();
    assert_eq!(lines.len(), 2);
    let again = Driver::new(&lines.join("\n"));
    assert_eq!(again.server.user_lines(), lines);
    // Names that are not a single word are quoted.
    let admin = d.connect();
    d.send(admin, &encoded(&["acl", "setuser", "q", "~\"x\"\u{7}"]));
    let lines = d.server.user_lines();
    assert!(lines[2].contains(r#" "~\"x\"\a" "#), "{lines:?}");
    assert_eq!(Driver::new(&lines.join("\n")).server.user_lines(), lines);
}

#[test]
fn wrong_users_keep_the_server_from_starting() {
    let parse = |text: &str| Config::parse(text.as_bytes(), &[], &mut |_| Err(String::new()));
    let error = parse("user a nonsense").expect_err("no rule").to_string();
    assert!(error.ends_with("Error in user declaration 'nonsense': Syntax error"), "{error}");
    assert!(parse("user a on\nuser a on").expect_err("twice").to_string().contains("Duplicate"));
    let d = Driver::new("user a +nosuch");
    assert_eq!(d.exit, Some(1));
    let told = "Error loading ACL rule '+nosuch' for the user named 'a': Unknown command";
    assert!(d.log.iter().any(|line| line.starts_with(told)), "{:?}", d.log);
    assert_eq!(Driver::new("user a on\naclfile users.acl").exit, Some(1));
    let mut d = Driver::new("aclfile users.acl");
    finish_files(&mut d);
    assert_eq!(d.exit, Some(1));
    let told = "Aborting Redis startup because of ACL errors: Error loading ACLs, opening file";
    assert!(d.log.iter().any(|line| line.starts_with(told)), "{:?}", d.log);
}

#[test]
fn a_file_of_users_is_loaded_and_saved() {
    let mut files = Files::default();
    let text = "user a on nopass +@all ~* &*\nuser b on nopass +@all\n";
    files.all.insert("users.acl".into(), text.into());
    let mut d = Driver::with_files("aclfile users.acl", files);
    finish_files(&mut d);
    let (admin, a, b) = (d.connect(), d.connect(), d.connect());
    d.line(a, "auth a x");
    d.line(b, "auth b x");
    assert_eq!(d.line(admin, "acl users"), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$7\r\ndefault\r\n");
    d.line(admin, "acl setuser c on +get ~k");
    let ask = |d: &mut Driver, conn, bytes: &[u8]| {
        d.send(conn, bytes);
        finish_files(d);
        d.take(conn)
    };
    assert_eq!(ask(&mut d, admin, b"acl save\r\n"), "+OK\r\n");
    let saved = String::from_utf8_lossy(&d.files.all["users.acl"]).into_owned();
    assert!(saved.contains("user c on sanitize-payload ~k resetchannels -@all +get\n"), "{saved}");
    assert!(saved.contains("user default on nopass sanitize-payload ~* &* +@all\n"), "{saved}");
    // A file with an error changes nothing.
    d.files.all.insert("users.acl".into(), b"user a on\nuser x nonsense\n".to_vec());
    let error = ask(&mut d, admin, b"acl load\r\n");
    assert!(error.starts_with("-ERR users.acl:2: Syntax error. WARNING: ACL errors"), "{error}");
    assert!(!d.is_closed(a));
    d.files.all.insert("users.acl".into(), text.into());
    // A client whose user is not in the file gets the reply, and is disconnected.
    assert_eq!(ask(&mut d, a, b"acl load\r\nset k v\r\n"), "+OK\r\n");
    assert!(d.is_closed(a) && d.is_closed(b) && !d.is_closed(admin));
    assert_eq!(d.line(admin, "acl users"), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$7\r\ndefault\r\n");
    assert_eq!(d.line(admin, "exists k"), ":0\r\n");
    assert!(d.server.user_lines().is_empty());
}

#[test]
fn without_a_file_there_is_nothing_to_load() {
    let (mut d, admin, _) = with_user("");
    for line in ["acl load", "acl save"] {
        let told = d.line(admin, line);
        assert!(told.starts_with("-ERR This Redis instance is not configured to use an ACL file"));
    }
}

#[test]
fn a_selector_has_room_for_every_command() {
    assert!(super::table::all().len() <= 512);
}
