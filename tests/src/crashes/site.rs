//! The world of the crash tests: a host with a server, and one with its clients.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use limpid_core::lab;
use limpid_core::machine::LogLevel;
use limpid_core::rng::Rng;
use limpid_core::server::Server;
use limpid_core::sim::{
    HostSpec, Launch, LaunchError, ProcState, Process, ProcessSpec, Scenario, World, plain,
};

use super::mender::Mender;
use super::writer::Writer;

/// Clients that write, and the one that administers.
pub(super) const WRITERS: [&str; 3] = ["a", "b", "c"];
pub(super) const ADMIN: &str = "admin";

const SERVER: &str = "redis-server";
const CONF: &str = "/data/redis.conf";

/// The state of the server after a start.
pub(super) enum Start {
    Ready,
    /// It has ended, with these log lines.
    Refused(Vec<String>),
    /// It is neither ready nor has it ended.
    Waiting,
}

pub(super) struct Site {
    pub(super) world: World,
    /// Whether a power loss may leave later pages of a write without earlier ones.
    pub(super) scattered: bool,
    /// Whether the server saves at a shutdown.
    pub(super) saves: bool,
    menders: u32,
}

impl Site {
    pub(super) fn new(seed: u64, rng: &mut Rng) -> Self {
        let pick = |rng: &mut Rng, words: &[&str]| {
            words[rng.below(words.len() as u64) as usize].to_owned()
        };
        let save = pick(rng, &["\"\"", "1 1", "3600 1"]);
        let saves = save != "\"\"";
        let mut conf = format!(
            "port 6379\nprotected-mode no\ndir /data\nsave {save}\nappendonly {}\n\
             appendfsync {}\naof-use-rdb-preamble {}\nauto-aof-rewrite-min-size {}\n\
             auto-aof-rewrite-percentage {}\naof-timestamp-enabled {}\n\
             stop-writes-on-bgsave-error {}\nrdb-key-save-delay {}\n",
            pick(rng, &["yes", "yes", "yes", "no"]),
            pick(rng, &["always", "always", "everysec", "everysec", "no"]),
            pick(rng, &["yes", "no"]),
            pick(rng, &["600", "20kb", "64mb"]),
            pick(rng, &["20", "60", "100"]),
            pick(rng, &["yes", "no"]),
            pick(rng, &["yes", "no"]),
            pick(rng, &["0", "0", "50", "2000"]),
        );
        if rng.below(3) == 0 {
            conf.push_str("aof-disable-auto-gc yes\n");
        }
        let mut host = HostSpec::new("server", Ipv4Addr::new(10, 0, 0, 1));
        host.files.insert(CONF.to_owned(), conf);
        host.disk.access = Duration::from_micros(1 + rng.below(200));
        host.disk.sync = Duration::from_micros(50 + rng.below(20_000));
        host.disk.bandwidth = 1_000_000 << rng.below(10);
        host.disk.scattered = rng.below(3) == 0;
        let scattered = host.disk.scattered;
        let mut server = ProcessSpec::new(SERVER, lab::SERVER, &[CONF]);
        server.dir = "/data".to_owned();
        // The server is started explicitly.
        server.boot = false;
        let mut clients = HostSpec::new("clients", Ipv4Addr::new(10, 0, 0, 2));
        for name in WRITERS.iter().chain([&ADMIN]) {
            let process = ProcessSpec::new(name, "writer", &[name, "10.0.0.1:6379"]);
            clients = clients.with(process);
        }
        let scenario = Scenario {
            name: "crashes".into(),
            epoch_ms: 1_700_000_000_000,
            hosts: vec![host.with(server), clients],
            link: Default::default(),
            links: Vec::new(),
            tcp: Default::default(),
        };
        let mut world = World::new(Arc::new(scenario), seed, programs);
        world.run_for(Duration::from_millis(1));
        Self { world, scattered, saves, menders: 0 }
    }

    /// Carries out an action; a refusal, such as killing a process that does not run, is no
    /// failure.
    pub(super) fn act(&mut self, line: &str) {
        let action = line.parse().unwrap_or_else(|error| panic!("`{line}`: {error}"));
        let _ = self.world.apply(&action);
    }

    pub(super) fn tell(&mut self, name: &str, line: &str) {
        self.act(&format!("type {name} {line}"));
    }

    pub(super) fn state(&self) -> ProcState {
        self.world.proc_named(SERVER).map_or(ProcState::Failed, |proc| proc.state)
    }

    pub(super) fn server(&self) -> Option<&Server> {
        self.world.machine(self.world.proc_named(SERVER)?.id)
    }

    pub(super) fn writer(&self, name: &str) -> &Writer {
        let writer = self.world.proc_named(name).and_then(|proc| self.world.machine(proc.id));
        writer.expect("clients run all the time")
    }

    /// The text of `INFO persistence`.
    pub(super) fn persistence(&self) -> Option<String> {
        self.server().map(|server| server.info(&["persistence"]))
    }

    /// The value of a directive in the configuration file.
    pub(super) fn config(&self, name: &str) -> String {
        let host = self.world.host_named("server").expect("the host");
        let text = host.disk.read_file(CONF).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let values = text.lines().filter_map(|line| line.split_once(' '));
        let mut values = values.filter(|(key, _)| *key == name);
        values.next_back().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    }

    /// Starts the server, and waits until it is ready or has ended, at most for `most`.
    pub(super) fn start(&mut self, most: Duration) -> Start {
        let begun = self.world.now();
        if self.world.host_named("server").is_some_and(|host| !host.on) {
            self.act("restart server");
            self.world.run_for(Duration::from_millis(21));
        }
        self.act(&format!("start {SERVER}"));
        while self.world.now().since(begun) < most {
            let step = Duration::from_millis(2).min(most);
            self.world.run_for(step);
            let lines = || {
                let log = self.world.proc_named(SERVER).and_then(|proc| self.world.log(proc.id));
                log.into_iter().flat_map(|log| log.iter()).filter(|line| line.at >= begun)
            };
            if lines().any(|line| line.text.starts_with("Ready to accept connections")) {
                return Start::Ready;
            }
            if self.state() != ProcState::Running {
                let warnings = lines().filter(|line| line.level == LogLevel::Warning);
                return Start::Refused(warnings.map(|line| line.text.clone()).collect());
            }
        }
        Start::Waiting
    }

    /// The truncated file that the server has logged, and the length of its valid part.
    pub(super) fn torn(&self, said: &[String]) -> Option<(String, u64)> {
        said.iter().find_map(|line| {
            let rest = line.strip_prefix("The AOF file ")?;
            let (name, rest) = rest.split_once(" is in order up to byte ")?;
            Some((format!("/data/appendonlydir/{name}"), rest.trim_end_matches('.').parse().ok()?))
        })
    }

    /// Truncates a file.
    pub(super) fn mend(&mut self, file: &str, len: u64) -> Result<(), String> {
        self.menders += 1;
        let name = format!("mender-{}", self.menders);
        self.act(&format!("run server {name} mender {file} {len}"));
        // The disk may still be busy with operations of the killed server.
        for _ in 0..120 {
            self.world.run_for(Duration::from_secs(1));
            match self.world.proc_named(&name).map(|proc| proc.state) {
                Some(ProcState::Exited { code: 0 }) => return Ok(()),
                Some(ProcState::Running) => {}
                state => return Err(format!("{file} could not be cut: {state:?}")),
            }
        }
        Err(format!("{file} is not cut after two minutes"))
    }

    /// Details for an error message: files, and the end of the log.
    pub(super) fn report(&self) -> String {
        let host = self.world.host_named("server").expect("the host");
        let mut out = format!("at {}, files:\n", super::ledger::show(self.world.now()));
        for dir in ["/data", "/data/appendonlydir"] {
            for file in host.disk.list(dir).unwrap_or_default() {
                let info = format!("  {dir}/{}: {} ({})\n", file.name, file.len, file.synced);
                out.push_str(&info);
            }
        }
        if let Ok(dir) = std::env::var("LIMPID_KEEP_FILES") {
            for (path, is_dir) in host.disk.tree().filter(|(path, _)| path.starts_with("/data")) {
                let to = format!("{dir}{path}");
                let _ = if is_dir {
                    std::fs::create_dir_all(to)
                } else {
                    std::fs::write(to, host.disk.read_file(path).unwrap_or_default())
                };
            }
        }
        let conf = host.disk.read_file(CONF).unwrap_or_default();
        out.push_str(&String::from_utf8_lossy(&conf));
        let log = self.world.proc_named(SERVER).and_then(|proc| self.world.log(proc.id));
        let log: Vec<_> = log.into_iter().flat_map(|log| log.iter()).collect();
        for line in &log[log.len().saturating_sub(60)..] {
            let at = super::ledger::show(line.at);
            out.push_str(&format!("  {at} {} {:?} {}\n", line.pid, line.level, line.text));
        }
        out
    }
}

fn programs(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
    match launch.program {
        "writer" => Ok(Box::new(Writer::launch(launch)?)),
        "mender" => Ok(plain(Mender::launch(launch)?)),
        _ => lab::programs(launch),
    }
}
