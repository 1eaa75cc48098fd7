use super::*;

/// A session with its output and the bytes that it sent.
struct Fixture {
    session: Session,
    screen: String,
    errors: String,
    sent: String,
    connects: Vec<Target>,
    exit: Option<i32>,
    now: Mono,
}

impl Fixture {
    fn new(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut config = SessionConfig::interactive("127.0.0.1", 6379);
        change(&mut config);
        Fixture {
            session: Session::new(config, Arc::default()),
            screen: String::new(),
            errors: String::new(),
            sent: String::new(),
            connects: Vec::new(),
            exit: None,
            now: Mono::ZERO,
        }
    }

    /// An interactive session that is connected.
    fn connected() -> Self {
        let mut fixture = Fixture::new(|_| {});
        fixture.session.start();
        fixture.accept();
        fixture
    }

    fn accept(&mut self) {
        self.session.connected(self.now);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(action) = self.session.poll_action() {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            match action {
                Action::Connect(target) => self.connects.push(target),
                Action::Send(bytes) => self.sent.push_str(&text(bytes)),
                Action::Print(bytes) => self.screen.push_str(&text(bytes)),
                Action::PrintError(bytes) => self.errors.push_str(&text(bytes)),
                Action::Exit(code) => self.exit = Some(code),
                Action::Disconnect | Action::ClearScreen => {}
            }
        }
    }

    /// Types a line; returns the bytes sent.
    fn line(&mut self, line: &str) -> String {
        self.session.line(self.now, line.as_bytes());
        self.settle();
        core::mem::take(&mut self.sent)
    }

    /// Receives a reply; returns the output.
    fn answer(&mut self, bytes: &str) -> String {
        self.session.received(self.now, bytes.as_bytes());
        self.settle();
        self.printed()
    }

    fn printed(&mut self) -> String {
        core::mem::take(&mut self.screen)
    }

    /// Types a line and receives a reply; returns the output.
    fn ask(&mut self, line: &str, answer: &str) -> String {
        self.line(line);
        self.answer(answer)
    }

    fn closed(&mut self) {
        self.session.closed(self.now, "Server closed the connection");
        self.settle();
    }

    fn errors(&mut self) -> String {
        self.settle();
        core::mem::take(&mut self.errors)
    }
}

fn resp(args: &[&str]) -> String {
    let mut bytes = Vec::new();
    encode_command(args, &mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_line_is_sent_and_its_reply_printed() {
    let mut fixture = Fixture::connected();
    assert_eq!(fixture.session.waiting(), Waiting::Line);
    assert_eq!(fixture.line("set k \"a b\""), resp(&["set", "k", "a b"]));
    assert_eq!(fixture.session.waiting(), Waiting::Reply);
    assert_eq!(fixture.answer("+O"), "");
    assert_eq!(fixture.answer("K\r\n"), "OK\n");
    assert_eq!(fixture.session.waiting(), Waiting::Line);
    assert_eq!(fixture.ask("info", "$6\r\n# Srv\n\r\n"), "# Srv\n");
    fixture.line("get \"k");
    assert_eq!(fixture.printed(), "Invalid argument(s)\n");
}

#[test]
fn the_prompt_shows_where_one_is() {
    let mut fixture = Fixture::connected();
    assert_eq!(fixture.session.prompt(), "127.0.0.1:6379> ");
    fixture.ask("select 2", "+OK\r\n");
    assert_eq!(fixture.session.prompt(), "127.0.0.1:6379[2]> ");
    fixture.ask("multi", "+OK\r\n");
    assert_eq!(fixture.session.prompt(), "127.0.0.1:6379[2](TX)> ");
    fixture.ask("select 5", "+QUEUED\r\n");
    fixture.ask("discard", "+OK\r\n");
    assert_eq!(fixture.session.prompt(), "127.0.0.1:6379[2]> ");
    fixture.ask("select 99", "-ERR DB index is out of range\r\n");
    assert_eq!(fixture.session.prompt(), "127.0.0.1:6379[2]> ");
}

#[test]
fn a_refused_connection_is_reported() {
    let mut fixture = Fixture::new(|_| {});
    fixture.session.start();
    fixture.session.connect_failed(fixture.now, "Connection refused");
    let refused = "Could not connect to Redis at 127.0.0.1:6379: Connection refused\n";
    assert_eq!(fixture.errors(), refused);
    assert_eq!(fixture.session.prompt(), "not connected> ");
    fixture.line("ping");
    fixture.session.connect_failed(fixture.now, "Connection refused");
    assert_eq!(fixture.errors(), refused);
    fixture.line("ping");
    fixture.accept();
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["ping"]));
    assert_eq!(fixture.answer("+PONG\r\n"), "PONG\n");
}

#[test]
fn a_lost_connection_is_reported_and_the_database_selected_again() {
    let mut fixture = Fixture::connected();
    fixture.ask("select 3", "+OK\r\n");
    fixture.line("blpop q 0");
    fixture.closed();
    assert_eq!(fixture.errors(), "Error: Server closed the connection\n");
    assert_eq!(fixture.session.prompt(), "not connected> ");
    fixture.line("get k");
    fixture.accept();
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["SELECT", "3"]));
    fixture.answer("+OK\r\n");
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["get", "k"]));
    assert_eq!(fixture.session.prompt(), "127.0.0.1:6379[3]> ");
    fixture.answer("$-1\r\n");
    // Lost while idle: printed when the next command notices it.
    fixture.closed();
    assert_eq!(fixture.errors(), "");
    fixture.line("ping");
    assert_eq!(fixture.errors(), "Error: Server closed the connection\n");
    assert_eq!(fixture.session.prompt(), "not connected> ");
}

#[test]
fn shutdown_ends_without_complaint() {
    let mut fixture = Fixture::connected();
    fixture.line("shutdown nosave");
    fixture.closed();
    assert_eq!(fixture.errors(), "");
    assert_eq!(fixture.session.prompt(), "not connected> ");
}

#[test]
fn a_password_is_sent_on_every_connection() {
    let mut fixture = Fixture::new(|config| {
        config.password = Some(b"secret".to_vec());
        config.db = 1;
        config.protocol = Protocol::Resp3;
    });
    fixture.session.start();
    fixture.accept();
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["AUTH", "secret"]));
    fixture.answer("+OK\r\n");
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["SELECT", "1"]));
    fixture.answer("+OK\r\n");
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["HELLO", "3"]));
    assert_eq!(fixture.session.waiting(), Waiting::Reply);
    fixture.answer("%0\r\n");
    assert_eq!(fixture.session.waiting(), Waiting::Line);
    fixture.line("connect 10.0.0.2 7000");
    fixture.accept();
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["AUTH", "secret"]));
    fixture.answer("-WRONGPASS no\r\n");
    assert_eq!(fixture.errors(), "AUTH failed: WRONGPASS no\n");
    assert_eq!(fixture.session.prompt(), "10.0.0.2:7000> ");
}

#[test]
fn auth_typed_later_selects_the_database() {
    let mut fixture = Fixture::new(|config| config.db = 1);
    fixture.session.start();
    fixture.accept();
    fixture.answer("-NOAUTH Authentication required.\r\n");
    assert_eq!(fixture.errors(), "SELECT 1 failed: NOAUTH Authentication required.\n");
    fixture.sent.clear();
    fixture.line("auth secret");
    fixture.answer("+OK\r\n");
    assert_eq!(fixture.sent, resp(&["SELECT", "1"]));
    fixture.answer("+OK\r\n");
    assert_eq!(fixture.session.prompt(), "127.0.0.1:6379[1]> ");
}

#[test]
fn a_number_in_front_repeats() {
    let mut fixture = Fixture::connected();
    assert_eq!(fixture.line("2 incr x"), resp(&["incr", "x"]));
    assert_eq!(fixture.answer(":1\r\n"), "(integer) 1\n");
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["incr", "x"]));
    assert_eq!(fixture.answer(":2\r\n"), "(integer) 2\n");
    assert_eq!(fixture.session.waiting(), Waiting::Line);
    fixture.line("0 incr x");
    assert_eq!(fixture.printed(), "Invalid redis-cli repeat command option value.\n");
}

#[test]
fn the_interval_follows_each_repetition() {
    let mut fixture = Fixture::new(|config| {
        config.interactive = false;
        config.interval = Duration::from_secs(1);
    });
    fixture.session.run(fixture.now, vec![b"ping".to_vec()], 2);
    fixture.settle();
    fixture.accept();
    fixture.answer("+PONG\r\n");
    let until = fixture.session.poll_timeout().unwrap();
    assert_eq!(until, Mono::ZERO + Duration::from_secs(1));
    fixture.sent.clear();
    fixture.session.wake(until);
    fixture.settle();
    assert_eq!(fixture.sent, resp(&["ping"]));
    fixture.now = until;
    fixture.answer("+PONG\r\n");
    assert_eq!(fixture.exit, None);
    let until = fixture.session.poll_timeout().unwrap();
    fixture.session.wake(until);
    fixture.settle();
    assert_eq!(fixture.exit, Some(0));
}

#[test]
fn slow_commands_say_how_slow() {
    let mut fixture = Fixture::connected();
    fixture.line("blpop q 1");
    fixture.now = Mono::ZERO + Duration::from_millis(1_024);
    assert_eq!(fixture.answer("*-1\r\n"), "(nil)\n(1.02s)\n");
}

const NOTICE_LINE: &str = "Reading messages... (press Ctrl-C to quit or any key to type command)\r";

fn confirmation(kind: &str, channel: &str, n: u32) -> String {
    let (a, b) = (kind.len(), channel.len());
    format!("*3\r\n${a}\r\n{kind}\r\n${b}\r\n{channel}\r\n:{n}\r\n")
}

#[test]
fn subscriptions_stream_until_interrupted() {
    let mut fixture = Fixture::connected();
    fixture.line("subscribe a b");
    let both = confirmation("subscribe", "a", 1) + &confirmation("subscribe", "b", 2);
    let shown =
        "1) \"subscribe\"\n2) \"a\"\n3) (integer) 1\n1) \"subscribe\"\n2) \"b\"\n3) (integer) 2\n";
    assert_eq!(fixture.answer(&both), format!("{shown}{NOTICE_LINE}"));
    assert_eq!(fixture.session.waiting(), Waiting::Messages);
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n";
    let shown = "1) \"message\"\n2) \"a\"\n3) \"hi\"\n";
    assert_eq!(fixture.answer(message), format!("\x1b[K{shown}{NOTICE_LINE}"));
    fixture.session.key();
    fixture.settle();
    assert_eq!(fixture.printed(), "\x1b[K");
    assert_eq!(fixture.session.prompt(), "127.0.0.1:6379(subscribed mode)> ");
    // Messages that arrive while a line is typed are printed after it.
    assert_eq!(fixture.answer(message), "");
    fixture.line("ping");
    assert_eq!(fixture.printed(), shown);
    assert_eq!(
        fixture.answer("*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
        format!("1) \"pong\"\n2) \"\"\n{NOTICE_LINE}")
    );
    fixture.session.interrupt(fixture.now);
    fixture.settle();
    assert_eq!(fixture.printed(), "\x1b[K");
    fixture.accept();
    assert_eq!(fixture.session.waiting(), Waiting::Line);
    assert_eq!(fixture.session.prompt(), "127.0.0.1:6379> ");
}

#[test]
fn reset_ends_subscriptions() {
    let mut fixture = Fixture::connected();
    fixture.ask("subscribe a", &confirmation("subscribe", "a", 1));
    assert_eq!(fixture.ask("reset", "+RESET\r\n"), "\x1b[KRESET\n");
    assert_eq!(fixture.session.waiting(), Waiting::Line);
}

#[test]
fn pushes_of_resp3_confirm_subscriptions_and_show_invalidations() {
    let mut fixture = Fixture::connected();
    fixture.ask("hello 3", "%1\r\n+proto\r\n:3\r\n");
    let push = confirmation("subscribe", "a", 1).replacen('*', ">", 1);
    fixture.line("subscribe a");
    assert!(fixture.answer(&push).ends_with(NOTICE_LINE));
    assert_eq!(fixture.ask("reset", "+RESET\r\n"), "\x1b[KRESET\n");
    fixture.ask("hello 3", "%1\r\n+proto\r\n:3\r\n");
    fixture.line("get k");
    let invalidation = ">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n";
    assert_eq!(
        fixture.answer(&format!("{invalidation}$1\r\nv\r\n")),
        "-> invalidate: 'a', 'b'\n\"v\"\n"
    );
}

#[test]
fn monitor_streams_until_interrupted() {
    let mut fixture = Fixture::connected();
    fixture.line("monitor");
    assert_eq!(fixture.answer("+OK\r\n+1.1 \"ping\"\r\n"), "OK\n1.1 \"ping\"\n");
    assert_eq!(fixture.session.waiting(), Waiting::Monitor);
    fixture.session.interrupt(fixture.now);
    fixture.settle();
    fixture.accept();
    assert_eq!(fixture.session.waiting(), Waiting::Line);
    assert_eq!(fixture.connects.len(), 2);
}

#[test]
fn redirections_are_followed() {
    let mut fixture = Fixture::new(|config| config.cluster = true);
    fixture.session.start();
    fixture.accept();
    fixture.line("get k");
    assert_eq!(
        fixture.answer("-MOVED 12706 10.0.0.3:7002\r\n"),
        "-> Redirected to slot [12706] located at 10.0.0.3:7002\n"
    );
    assert_eq!(fixture.session.prompt(), "10.0.0.3:7002> ");
    fixture.accept();
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["get", "k"]));
    // A node that does not know its own address leaves the host empty.
    fixture.answer("-ASK 12706 :7003\r\n");
    assert_eq!(fixture.connects.last(), Some(&Target::Tcp("10.0.0.3".into(), 7003)));
    fixture.accept();
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["ASKING"]));
    fixture.answer("+OK\r\n");
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["get", "k"]));
    assert_eq!(fixture.answer("$1\r\nv\r\n"), "\"v\"\n");
}

#[test]
fn without_c_a_redirection_is_an_error() {
    let mut fixture = Fixture::connected();
    assert_eq!(
        fixture.ask("get k", "-MOVED 12706 10.0.0.3:7002\r\n"),
        "(error) MOVED 12706 10.0.0.3:7002\n"
    );
}

#[test]
fn a_single_command_ends_the_session() {
    let run = |exit_on_error: bool, answer: Option<&str>| {
        let mut fixture = Fixture::new(|config| {
            config.interactive = false;
            config.exit_on_error = exit_on_error;
            config.format = Format::new(Output::Raw);
        });
        fixture.session.run(fixture.now, vec![b"get".to_vec(), b"k".to_vec()], 1);
        match answer {
            None => fixture.session.connect_failed(fixture.now, "Connection refused"),
            Some(answer) => {
                fixture.accept();
                fixture.session.received(fixture.now, answer.as_bytes());
            }
        }
        fixture.settle();
        (fixture.screen, fixture.errors, fixture.exit)
    };
    assert_eq!(run(false, Some("$1\r\nv\r\n")), ("v\n".into(), String::new(), Some(0)));
    assert_eq!(run(false, Some("-ERR x\r\n")), ("ERR x\n\n".into(), String::new(), Some(0)));
    assert_eq!(run(true, Some("-ERR x\r\n")), (String::new(), "ERR x\n".into(), Some(1)));
    assert_eq!(run(false, None).2, Some(1));
}

#[test]
fn lines_for_the_client_itself() {
    let mut fixture = Fixture::connected();
    assert_eq!(fixture.line(":set nohints"), "");
    assert_eq!(fixture.session.hint("get "), None);
    fixture.line(":set colours");
    assert_eq!(fixture.printed(), "unknown redis-cli preference 'colours'\n");
    fixture.line("help");
    assert!(fixture.printed().starts_with("redis-cli 7.2.6\n"));
    fixture.line("quit");
    assert_eq!(fixture.exit, Some(0));
}

#[test]
fn secrets_stay_out_of_the_history() {
    for line in [
        "auth secret",
        "3 AUTH secret",
        "config set maxmemory 1 requirepass x",
        "acl setuser u on >p",
        "hello 3 AUTH u p",
        "acl setuser u",
        "migrate h 1 \"\" 0 10 AUTH p KEYS a",
    ] {
        assert!(!Session::may_remember(line.as_bytes()), "{line}");
    }
    for line in
        ["get auth", "config get requirepass", "migrate h 1 \"\" 0 10 KEYS auth x", "get \"k"]
    {
        assert!(Session::may_remember(line.as_bytes()), "{line}");
    }
}

#[test]
fn a_line_is_shown_to_others_without_its_secrets() {
    for (line, shown) in [
        ("auth secret", "auth (redacted)"),
        ("AUTH me  'se cret'", "AUTH (redacted) (redacted)"),
        ("3 auth secret", "3 auth (redacted)"),
        ("hello 3 auth me secret setname x", "hello 3 auth (redacted) (redacted) setname x"),
        ("hello 3 auth me", "hello 3 auth (redacted)"),
        ("ACL SETUSER me on >secret ~*", "ACL SETUSER (redacted) (redacted) (redacted) (redacted)"),
        (
            "config set requirepass secret maxmemory 1 masterauth secret",
            "config set requirepass (redacted) maxmemory 1 masterauth (redacted)",
        ),
        (
            "migrate h 1 \"\" 0 9 copy auth secret keys a auth",
            "migrate h 1 \"\" 0 9 copy auth (redacted) keys a auth",
        ),
        ("auth \"secret", "auth (redacted)"),
        ("migrate h 1 k 0 9 auth2 me secret", "migrate h 1 k 0 9 auth2 (redacted) (redacted)"),
    ] {
        assert_eq!(Session::without_secrets(line), shown);
    }
    for line in ["get  auth", "config get requirepass", "set k \"a b\"", "get \"k", "auth", ""] {
        assert_eq!(Session::without_secrets(line), line);
    }
}

#[test]
fn a_protocol_error_is_reported() {
    let mut fixture = Fixture::connected();
    fixture.ask("ping", "HTTP/1.1 400 Bad Request\r\n");
    assert_eq!(fixture.errors(), "Error: Protocol error, got \"H\" as reply type byte\n");
    assert_eq!(fixture.session.prompt(), "not connected> ");
}

#[test]
fn the_server_is_asked_for_its_commands_once() {
    let mut fixture = Fixture::new(|config| config.learn_commands = true);
    fixture.session.start();
    fixture.accept();
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["COMMAND", "DOCS"]));
    fixture.answer("-ERR unknown subcommand\r\n");
    assert_eq!(core::mem::take(&mut fixture.sent), resp(&["COMMAND"]));
    fixture.answer("*1\r\n*4\r\n$3\r\nfoo\r\n:2\r\n*0\r\n:1\r\n");
    assert_eq!(fixture.session.waiting(), Waiting::Line);
    assert_eq!(fixture.session.hint("foo").as_deref(), None);
    assert_eq!(fixture.session.hint("foo ").as_deref(), Some("key "));
    fixture.line("connect 10.0.0.2 7000");
    fixture.accept();
    assert_eq!(fixture.sent, "");
}
