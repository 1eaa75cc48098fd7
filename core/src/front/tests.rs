//! The front with a minimal service that has nothing to do with keys: what Sentinel and others get
//! for free.

use std::sync::{Arc, OnceLock};

use super::config::{DirectiveError, Directives, FRONT_DIRECTIVES, Schema, Values};
use super::info_text::Text;
use super::table::Groups;
use super::*;
use crate::acl::Catalog;
use crate::command::{CommandError, Group, Row};
use crate::machine::{
    DiskDone, DiskError, DiskOp, Endpoint, Input, ListenerId, LogLevel, Output, Signal,
};
use crate::time::{Mono, Now, Wall};

/// A service that shouts at every name it was given, and keeps the names in its configuration file.
#[derive(Clone, Debug, Default)]
struct Shouter {
    saved: Vec<u64>,
    bus: Vec<(u32, Vec<u8>)>,
}

#[derive(Clone, Debug)]
struct ShouterSchema;

impl Schema for ShouterSchema {
    type Settings = ();
    type State = Vec<String>;

    fn directives() -> &'static Directives {
        static ALL: OnceLock<Directives> = OnceLock::new();
        ALL.get_or_init(|| Directives::new(&[FRONT_DIRECTIVES]))
    }

    fn settings(_: &Values<Self>) {}

    fn commands() -> &'static dyn Catalog {
        Shouter::table()
    }

    fn read_line(
        config: &mut Config<Self>,
        name: &str,
        words: &[Vec<u8>],
    ) -> Result<(), DirectiveError> {
        match (name, words) {
            ("shout", [at, who]) if at == b"at" => {
                let who = String::from_utf8_lossy(who).into_owned();
                config.change_state(|names| names.push(who));
                Ok(())
            }
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }

    fn state_key(words: &[Vec<u8>]) -> Option<String> {
        matches!(words, [shout, at, _] if shout == b"shout" && at == b"at")
            .then(|| "shout at".to_owned())
    }

    fn state_lines(config: &Config<Self>) -> Vec<(String, String)> {
        let line = |who: &String| ("shout at".to_owned(), format!("shout at {who}"));
        config.state().iter().map(line).collect()
    }
}

impl Service for Shouter {
    type Client = ();
    type Schema = ShouterSchema;
    type DiskWork = ();

    const MODE: &'static str = "shouter";
    const INFO: &'static [(&'static str, bool)] = &[("server", true), ("shouting", true)];

    fn table() -> &'static Table<Self> {
        static TABLE: OnceLock<Table<Shouter>> = OnceLock::new();
        const GROUPS: Groups<Shouter> = &[
            Rows::<Shouter>::CONNECTION,
            Rows::<Shouter>::CLIENT,
            Rows::<Shouter>::COMMAND,
            Rows::<Shouter>::CONFIG,
            Rows::<Shouter>::INFO,
            Rows::<Shouter>::MONITOR,
            Rows::<Shouter>::PUBSUB,
            Rows::<Shouter>::SHUTDOWN,
            Rows::<Shouter>::SLOWLOG,
            SHOUT,
        ];
        TABLE.get_or_init(|| Table::new(&[], GROUPS))
    }

    fn start(front: &mut Front<Self>, _: Now<'_>) {
        front.listen();
    }

    fn listening(front: &mut Front<Self>, _: Now<'_>) {
        front.announce_ready();
    }

    fn log_role(_: &Front<Self>) -> char {
        'X'
    }

    fn ports(config: &Config<ShouterSchema>) -> Vec<(Purpose, u16)> {
        let port = config.front().port;
        vec![(Purpose::Clients, port), (Purpose::Service(7), port + 10)]
    }

    fn peer(front: &mut Front<Self>, _: Now<'_>, _: ConnId, input: PeerInput<'_>) {
        let bus = &mut front.service.bus;
        match input {
            PeerInput::Accepted { purpose, .. } => bus.push((purpose, Vec::new())),
            PeerInput::Received(bytes) => {
                bus.last_mut().expect("accepted before").1.extend_from_slice(bytes);
            }
            _ => {}
        }
    }

    fn info_section(front: &Front<Self>, section: &str, text: &mut Text, _: Option<&Client<Self>>) {
        match section {
            "server" => front.server_section(text),
            _ => {
                text.section("Shouting");
                text.field("names", front.config.state().len());
            }
        }
    }

    fn config_saved(
        front: &mut Front<Self>,
        _: Now<'_>,
        number: u64,
        result: Result<(), DiskError>,
    ) {
        result.expect("the disk is well");
        front.service.saved.push(number);
    }
}

const SHOUT: &[Row<Handler<Shouter>>] = &[row(Group::Server, "shout", 2, shout)];

fn shout(front: &mut Front<Shouter>, call: &mut Call<'_, Shouter>) -> Result<(), CommandError> {
    let who = String::from_utf8_lossy(call.arg(1)).into_owned();
    if who.is_empty() {
        return Err(CommandError::text("ERR at whom?"));
    }
    call.reply().simple(&format!("HEY {}", who.to_uppercase()));
    Arc::make_mut(&mut front.config).change_state(|names| names.push(who));
    front.save_config();
    Ok(())
}

/// A fixture: the program with its file, driven by hand.
struct Driver {
    front: Front<Shouter>,
    file: Vec<u8>,
    /// Whether disk operations are delayed.
    disk_waits: bool,
    waiting: Vec<Output>,
    ports: Vec<u16>,
    log: Vec<String>,
    exit: Option<i32>,
}

fn now() -> Now<'static> {
    Now::instantaneous(Mono(1), Wall(1))
}

const ONE: ConnId = ConnId(2);
const TWO: ConnId = ConnId(4);

impl Driver {
    fn start(file: &str) -> Self {
        let mut config =
            Config::parse(file.as_bytes(), &[], &mut |_| Err(String::new())).expect("good");
        config.file = Some("/shouter.conf".into());
        let front = Front::with(config, Facts::default(), |_, _| Shouter::default());
        let file = file.as_bytes().to_vec();
        let mut driver = Self {
            front,
            file,
            disk_waits: false,
            waiting: Vec::new(),
            ports: Vec::new(),
            log: Vec::new(),
            exit: None,
        };
        driver.input(Input::Start);
        driver
    }

    fn input(&mut self, input: Input<'_>) {
        self.front.handle(now(), input);
        while let Some(output) = self.front.poll_output() {
            match output {
                Output::Listen { listener, at, .. } => {
                    self.ports.push(at.port());
                    self.front.handle(now(), Input::Listening { listener, result: Ok(at) });
                }
                Output::Log(line) => self.log.push(format!("{} {}", line.role, line.text)),
                Output::Exit { code } => self.exit = Some(code),
                Output::Disk { .. } if self.disk_waits => self.waiting.push(output),
                Output::Disk { op, what } => self.disk(op, what),
                _ => {}
            }
        }
    }

    fn disk(&mut self, op: OpId, what: DiskOp) {
        let done = match what {
            DiskOp::Load { .. } => DiskDone::Data(self.file.clone()),
            DiskOp::Replace { bytes, .. } => {
                self.file = bytes;
                DiskDone::Done
            }
            other => panic!("{other:?}"),
        };
        self.front.handle(now(), Input::Disk { op, result: Ok(done) });
    }

    /// Completes the delayed disk operations.
    fn end_disk(&mut self) {
        self.disk_waits = false;
        for output in core::mem::take(&mut self.waiting) {
            if let Output::Disk { op, what } = output {
                self.disk(op, what);
            }
        }
        self.input(Input::Wake);
    }

    fn connect(&mut self, conn: ConnId, listener: u32) {
        let at = |port| Endpoint::Ip(([127, 0, 0, 1], port).into());
        let listener = ListenerId(listener);
        self.input(Input::Accepted { conn, listener, peer: at(40_000), local: at(1) });
    }

    fn say(&mut self, conn: ConnId, line: &str) -> String {
        self.input(Input::Received { conn, bytes: format!("{line}\r\n").as_bytes() });
        self.heard(conn)
    }

    fn heard(&mut self, conn: ConnId) -> String {
        let Some(outbox) = self.front.outbox(conn) else { return "gone".into() };
        let bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
        outbox.consume(bytes.len());
        String::from_utf8(bytes).expect("text")
    }
}

#[test]
fn a_service_gets_the_commands_of_the_front() {
    let mut driver = Driver::start("bind 127.0.0.1\nport 500\nrequirepass secret\n");
    driver.connect(ONE, 1);
    assert_eq!(driver.say(ONE, "SHOUT ada"), "-NOAUTH Authentication required.\r\n");
    assert_eq!(driver.say(ONE, "AUTH secret"), "+OK\r\n");
    assert_eq!(driver.say(ONE, "SHOUT ada"), "+HEY ADA\r\n");
    assert_eq!(driver.say(ONE, "SHOUT"), "-ERR wrong number of arguments for 'shout' command\r\n");
    assert!(driver.say(ONE, "GET key").starts_with("-ERR unknown command 'GET'"));
    assert!(driver.say(ONE, "HELLO 3").contains("$4\r\nmode\r\n$7\r\nshouter\r\n"));
    let info = driver.say(ONE, "INFO");
    assert!(info.contains("redis_mode:shouter") && info.contains("# Shouting\r\nnames:1\r\n"));
    assert!(driver.say(ONE, "CLIENT LIST").contains("cmd=client|list user=default"));
    assert_eq!(driver.say(ONE, "COMMAND COUNT").as_bytes()[0], b':');
    assert!(driver.log.iter().all(|line| line.starts_with("X ")));
}

#[test]
fn messages_reach_subscribers_and_monitors_see_commands() {
    let mut driver = Driver::start("bind 127.0.0.1\nport 500\n");
    driver.connect(ONE, 1);
    driver.connect(TWO, 1);
    assert_eq!(driver.say(ONE, "SUBSCRIBE news"), "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    assert_eq!(driver.say(TWO, "PUBLISH news hi"), ":1\r\n");
    assert_eq!(driver.heard(ONE), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
    assert_eq!(driver.say(ONE, "RESET"), "+RESET\r\n");
    assert_eq!(driver.say(ONE, "MONITOR"), "+OK\r\n");
    driver.say(TWO, "SHOUT ada");
    assert!(driver.heard(ONE).contains("\"SHOUT\" \"ada\""));
}

#[test]
fn config_rewrite_keeps_the_position_of_state_lines() {
    let old = "# who\nbind 127.0.0.1\nport 500\nshout at ada\n# more\nshout at bob\n";
    let mut driver = Driver::start(old);
    driver.connect(ONE, 1);
    assert_eq!(driver.say(ONE, "CONFIG SET timeout 9"), "+OK\r\n");
    assert_eq!(driver.say(ONE, "SHOUT eve"), "+HEY EVE\r\n");
    assert_eq!(
        String::from_utf8_lossy(&driver.file),
        "# who\nbind 127.0.0.1\nport 500\nshout at ada\n# more\nshout at bob\n\
         # Generated by CONFIG REWRITE\ndir \"/\"\ntimeout 9\n\
         user default on nopass sanitize-payload ~* &* +@all\nshout at eve\n"
    );
    assert_eq!(driver.front.service.saved, [1]);
}

#[test]
fn changes_during_a_config_rewrite_are_written_together() {
    let mut driver = Driver::start("bind 127.0.0.1\nport 500\n");
    driver.connect(ONE, 1);
    driver.disk_waits = true;
    for who in ["ada", "bob", "eve"] {
        driver.say(ONE, &format!("SHOUT {who}"));
    }
    assert_eq!(driver.waiting.len(), 1, "one write at a time");
    driver.end_disk();
    assert_eq!(driver.front.service.saved, [1, 3]);
    assert!(driver.file.ends_with(b"shout at ada\nshout at bob\nshout at eve\n"));
}

#[test]
fn connections_of_the_services_own_listener_are_not_clients() {
    let mut driver = Driver::start("bind 127.0.0.1\nport 500\n");
    assert_eq!(driver.ports, [500, 510]);
    driver.connect(ONE, 2);
    driver.input(Input::Received { conn: ONE, bytes: b"PING\r\n" });
    assert_eq!(driver.heard(ONE), "gone");
    assert_eq!(driver.front.service.bus, [(7, b"PING\r\n".to_vec())]);
    driver.connect(TWO, 1);
    assert_eq!(driver.say(TWO, "CONFIG SET port 600"), "+OK\r\n");
    assert_eq!(driver.ports, [500, 510, 600, 610]);
}

#[test]
fn a_signal_or_a_command_ends_the_program() {
    let mut driver = Driver::start("bind 127.0.0.1\nport 500\n");
    driver.input(Input::Signal(Signal::Terminate));
    assert_eq!(driver.exit, Some(0));
    let mut driver = Driver::start("bind 127.0.0.1\nport 500\nloglevel warning\n");
    driver.connect(ONE, 1);
    assert_eq!(driver.say(ONE, "SHUTDOWN ABORT"), "-ERR No shutdown in progress.\r\n");
    assert_eq!(driver.say(ONE, "SHUTDOWN NOSAVE"), "");
    assert_eq!(driver.exit, Some(0));
    assert!(driver.front.settings().loglevel == Some(LogLevel::Warning));
}
