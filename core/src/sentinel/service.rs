//! The Sentinel as a program: what it monitors, behind the front that serves its clients.

use core::mem;

use super::commands::table;
use super::common::Effect;
use super::config::Line;
use super::schema::{Config, SentinelSchema, key};
use super::scripts::{Ended, Job};
use super::{Sentinel, Verdicts};
use crate::command::CommandError;
use crate::front::config::ConfigError;
use crate::front::config::file::Loader;
use crate::front::config::rewrite::{RewriteScope, rewrite};
use crate::front::info::{ClientCounts, ServiceStats};
use crate::front::info_text::Text;
use crate::front::{
    ChannelKind, ChildNews, Client, Facts, Front, PeerInput, Service, ShutdownOptions, Table,
    joined,
};
use crate::machine::{
    ChildChange, ChildId, Command, ConnId, DiskDone, DiskError, DiskErrorKind, DiskOp, ExitStatus,
    Input, LogLevel, Outbox, Output, Signal, Stdio,
};
use crate::resp::request::Args;
use crate::rng::Rng;
use crate::sorted::SortedMap;
use crate::time::{Mono, Now, earliest};

/// A Sentinel with the clients that it serves: what `redis-sentinel` is.
pub type SentinelServer = Front<SentinelService>;

/// What a Sentinel has besides the front.
#[derive(Clone, Debug)]
pub struct SentinelService {
    pub(super) sentinel: Sentinel,
    /// The state that is being written.
    saving: Option<u64>,
    /// Clients that are answered when a state is on disk.
    waiting: Vec<Waiting>,
    /// Each SENTINEL SET that waits to hear whether the scripts that it names can be run.
    checks: Vec<ScriptCheck>,
    /// The scripts that run: which job each child process is.
    children: SortedMap<ChildId, u64>,
    /// The number of the last child process.
    last_child: u64,
}

/// A client that waits for a state to be on disk.
#[derive(Clone, Debug)]
struct Waiting {
    state: u64,
    client: u64,
    answer: Answer,
}

/// A SENTINEL SET of a client, of whose scripts the disk is asked.
#[derive(Clone, Debug)]
struct ScriptCheck {
    client: u64,
    /// The master's name, and what is to be set.
    words: Vec<Vec<u8>>,
    /// How many scripts the disk has not answered about.
    pending: usize,
    /// Those that can be run.
    executable: Vec<String>,
}

/// What a client is answered when a state is on disk.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// OK.
    Ok,
    /// Whether a master is down, and a vote.
    Verdict(Verdicts),
}

/// What goes on when a disk operation has ended.
#[derive(Clone, Debug)]
pub enum DiskWork {
    /// The configuration file was read, to be rewritten.
    Read,
    /// It was written.
    Written,
    /// A script of a client's SENTINEL SET was looked at.
    Script {
        /// The id of the client.
        client: u64,
        /// Where the script is.
        path: String,
    },
}

impl SentinelService {
    /// Answers a client when a state is on disk.
    pub(super) fn answer_when_saved(
        &mut self,
        state: u64,
        client: &mut Client<Self>,
        answer: Answer,
    ) {
        client.waiting = true;
        self.waiting.push(Waiting { state, client: client.id, answer });
    }
}

impl SentinelServer {
    /// A Sentinel with the configuration that a file and the arguments behind it give. `path` is the
    /// file's, as an absolute one; `loader` reads the files that it includes; `executable` says
    /// whether a script can be run.
    pub fn configured(
        path: Option<String>,
        text: &[u8],
        arguments: &[String],
        facts: Facts,
        loader: Loader<'_>,
        executable: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Self, ConfigError> {
        let mut config = Config::parse(text, arguments, loader)?;
        config.file = path;
        // It changes to its `dir` before it runs, and a script's path begins there.
        let directory = joined(&facts.directory, &config.front().dir);
        let facts = Facts { directory: directory.clone(), ..facts };
        let mut result = Ok(());
        let front = Front::with(config, facts, |config: &Config, rng: &mut Rng| {
            let mut sentinel = Sentinel::new(rng.fork());
            let front = config.front();
            let settings = sentinel.settings_mut();
            settings.port = front.port;
            let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
            settings.requirepass = front.requirepass.as_ref().map(text);
            let from = front.bind_source_addr.as_deref();
            settings.bind_source_addr = from.and_then(|address| address.parse().ok());
            let mut executable = |path: &str| executable(&joined(&directory, path));
            result = sentinel.load(&config.state().read, &mut executable);
            SentinelService {
                sentinel,
                saving: None,
                waiting: Vec::new(),
                checks: Vec::new(),
                children: SortedMap::new(),
                last_child: 0,
            }
        });
        match result {
            Ok(()) => Ok(front),
            Err((index, message)) => {
                let wrong = front.config.state().read.get(index);
                let line = wrong.map(|line| line.text.clone()).unwrap_or_default();
                Err(ConfigError::Line { number: number_of(text, index), line, message })
            }
        }
    }

    /// What it monitors, and what it believes.
    pub fn watch(&self) -> &Sentinel {
        &self.service.sentinel
    }

    /// What it believes at the last moment that it was told of.
    pub fn view(&self) -> super::SentinelView {
        self.service.sentinel.view(self.now.0)
    }

    /// Does what the Sentinel wants done.
    fn carry_out(&mut self, now: Now<'_>) {
        while let Some(effect) = self.service.sentinel.poll_effect() {
            match effect {
                Effect::Log(level, text) => self.log(level, || text),
                Effect::Publish { channel, message } => {
                    let (channel, message) = (channel.as_bytes(), message.as_bytes());
                    self.publish(now, None, ChannelKind::Channel, channel, message);
                }
                Effect::Save => self.begin_save(),
                Effect::Exit(code) => self.exit(code),
                Effect::Run(job) => self.run_script(job),
                Effect::Kill(pid) => {
                    // Its process group: a shell does not take along what it waits for.
                    self.outputs
                        .push_back(Output::Kill { pid: -i64::from(pid), signal: Signal::Kill });
                }
            }
        }
        while let Some(output) = self.service.sentinel.poll_output() {
            self.outputs.push_back(output);
        }
    }

    /// Starts a script, with our environment and output.
    fn run_script(&mut self, job: Job) {
        let mut words = job.argv.into_iter();
        let program = words.next().unwrap_or_default();
        let command = Command {
            args: words.collect(),
            env: self.facts.environment.clone(),
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            ..Command::new(&program, &[])
        };
        self.service.last_child += 1;
        let child = ChildId(self.service.last_child);
        self.service.children.insert(child, job.id);
        self.outputs.push_back(Output::Spawn { child, command: Box::new(command) });
    }

    /// A script runs, could not be started, or has ended.
    fn script_news(&mut self, now: Now<'_>, child: ChildId, news: ChildNews) {
        let Some(&job) = self.service.children.get(&child) else { return };
        let ended = match news {
            ChildNews::Spawned(Ok(pid)) => {
                return self.service.sentinel.script_started(job, pid);
            }
            ChildNews::Spawned(Err(error)) => Ended::NotStarted(error.to_string()),
            ChildNews::Changed(ChildChange::Ended(ExitStatus::Exited(status))) => {
                Ended::Exited(status)
            }
            ChildNews::Changed(ChildChange::Ended(ExitStatus::Signalled(signal))) => {
                Ended::Signalled(signal.number())
            }
            ChildNews::Changed(ChildChange::Suspended | ChildChange::Continued) => return,
        };
        self.service.children.remove(&child);
        self.service.sentinel.script_ended(now, job, &ended);
    }

    /// Writes the state into the file, unless that is under way: the next write follows it then.
    fn begin_save(&mut self) {
        let Some(path) = self.config.file.clone() else { return };
        if let Some(state) = self.service.sentinel.begin_save() {
            self.service.saving = Some(state);
            self.service_disk_op(DiskOp::Load { path }, DiskWork::Read);
        }
    }

    /// The file's old text is there: what people wrote into it stays.
    fn file_read(&mut self, now: Now<'_>, result: Result<DiskDone, DiskError>) {
        let old = match result {
            Ok(DiskDone::Data(old)) => old,
            Ok(_) => Vec::new(),
            Err(error) if error.kind == DiskErrorKind::NotFound => Vec::new(),
            Err(error) => return self.file_written(now, Err(error)),
        };
        let Some(path) = self.config.file.clone() else { return };
        let config = self.config_with_state();
        let bytes =
            rewrite(&config, &self.user_lines(), &old, &self.directory, RewriteScope::Changed);
        self.service_disk_op(DiskOp::Replace { path, bytes }, DiskWork::Written);
    }

    /// The configuration with the lines that hold the state as it is now.
    fn config_with_state(&self) -> Config {
        let sentinel = &self.service.sentinel;
        let mut config = (*self.config).clone();
        let stood_there = |directive: &str, read: &[Line]| {
            read.iter().any(|line| line.words[0].eq_ignore_ascii_case(directive))
        };
        config.change_state(|lines| {
            let written = sentinel.lines().into_iter().filter(|(directive, _)| {
                !sentinel.is_default_line(directive) || stood_there(directive, &lines.read)
            });
            lines.written = written.map(|(directive, line)| (key(directive), line)).collect();
        });
        config
    }

    /// Asks the disk whether these scripts can be run, before a client's SENTINEL SET is carried out.
    pub(super) fn check_scripts(
        &mut self,
        client: &mut Client<SentinelService>,
        words: Args<'_>,
        scripts: Vec<String>,
    ) {
        client.waiting = true;
        self.service.checks.push(ScriptCheck {
            client: client.id,
            words: words.iter().map(<[u8]>::to_vec).collect(),
            pending: scripts.len(),
            executable: Vec::new(),
        });
        for path in scripts {
            let work = DiskWork::Script { client: client.id, path: path.clone() };
            self.service_disk_op(DiskOp::Stat { path }, work);
        }
    }

    /// A script was looked at. The last one of a SENTINEL SET lets it go on.
    fn script_checked(&mut self, now: Now<'_>, client: u64, path: String, can_run: bool) {
        let checks = &mut self.service.checks;
        let Some(at) = checks.iter().position(|check| check.client == client) else { return };
        let check = &mut checks[at];
        check.pending -= 1;
        if can_run {
            check.executable.push(path);
        }
        if check.pending > 0 {
            return;
        }
        let ScriptCheck { words, executable, .. } = checks.remove(at);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let [name, words @ ..] = words.as_slice() else { return };
        let executable = |path: &str| executable.iter().any(|known| known == path);
        let outcome = self.service.sentinel.set(name, words, &executable);
        let state = outcome.changed.then(|| self.service.sentinel.save());
        match (outcome.error, state) {
            (Some(error), _) => self.answer(now, client, Err(CommandError::composed(error))),
            (None, None) => self.answer(now, client, Ok(())),
            (None, Some(state)) => {
                self.service.waiting.push(Waiting { state, client, answer: Answer::Ok });
            }
        }
    }

    fn file_written(&mut self, now: Now<'_>, result: Result<DiskDone, DiskError>) {
        let result = result.map(drop).map_err(|error| error.message);
        self.service.sentinel.saved(now, result.as_ref().copied().map_err(String::as_str));
        let Some(state) = self.service.saving.take() else { return };
        let (due, later) =
            mem::take(&mut self.service.waiting).into_iter().partition(|w| w.state <= state);
        self.service.waiting = later;
        for Waiting { client, answer, .. } in due {
            match answer {
                Answer::Ok if result.is_err() => {
                    let text = "ERR Failed to save config file. Check server logs.";
                    self.answer(now, client, Err(CommandError::text(text)));
                }
                Answer::Ok => self.answer(now, client, Ok(())),
                Answer::Verdict(verdict) => {
                    let sentinel = self.service.sentinel.clone();
                    self.answer_with(now, client, |reply| {
                        sentinel.answer_verdict(&verdict, reply);
                        Ok(())
                    });
                }
            }
        }
    }

    /// The section `sentinel` of INFO.
    fn sentinel_section(&self, text: &mut Text) {
        let sentinel = &self.service.sentinel;
        let tilt = sentinel.tilt();
        text.section("Sentinel");
        text.field("sentinel_masters", sentinel.masters().len());
        text.field("sentinel_tilt", u8::from(tilt.is_some()));
        match tilt {
            Some(since) => {
                text.field("sentinel_tilt_since_seconds", self.now.0.since(since).as_secs());
            }
            None => text.field("sentinel_tilt_since_seconds", -1),
        }
        text.field("sentinel_running_scripts", sentinel.scripts().running());
        text.field("sentinel_scripts_queue_length", sentinel.scripts().jobs().len());
        text.field("sentinel_simulate_failure_flags", sentinel.simulated_failure().flags());
        for (number, master) in sentinel.masters().enumerate() {
            let status = match (master.odown, master.instance.sdown) {
                (true, _) => "odown",
                (false, true) => "sdown",
                (false, false) => "ok",
            };
            let host = sentinel.common.host(&master.instance.addr);
            text.field(
                &format!("master{number}"),
                format_args!(
                    "name={},status={status},address={host}:{},slaves={},sentinels={}",
                    master.name(),
                    master.instance.addr.port,
                    master.replicas.len(),
                    master.sentinels.len() + 1
                ),
            );
        }
    }
}

impl Service for SentinelService {
    type Client = ();
    type Schema = SentinelSchema;
    type DiskWork = DiskWork;

    const MODE: &'static str = "sentinel";

    const INFO: &'static [(&'static str, bool)] =
        &[("server", true), ("clients", true), ("stats", true), ("cpu", true), ("sentinel", true)];

    fn table() -> &'static Table<Self> {
        table()
    }

    fn start(front: &mut SentinelServer, _now: Now<'_>) {
        front.log_start();
        if front.config.file.is_none() {
            let text = "Sentinel needs config file on disk to save state. Exiting...";
            front.log(LogLevel::Warning, || text.to_owned());
            return front.exit(1);
        }
        front.listen();
    }

    fn listening(front: &mut SentinelServer, now: Now<'_>) {
        front.service.sentinel.start(now);
    }

    fn log_role(_: &SentinelServer) -> char {
        'X'
    }

    fn shut_down(front: &mut SentinelServer, _now: Now<'_>, _how: ShutdownOptions) {
        front.log(LogLevel::Warning, || "User requested shutdown...".to_owned());
        front.log(LogLevel::Warning, || "Sentinel is now ready to exit, bye bye...".to_owned());
        front.exit(0);
    }

    fn wake(front: &mut SentinelServer, now: Now<'_>) {
        front.service.sentinel.wake(now);
    }

    fn cron(front: &mut SentinelServer, now: Now<'_>) {
        front.cron(now);
        front.carry_out(now);
    }

    fn next_wake(front: &SentinelServer) -> Option<Mono> {
        let wakes = [front.cron_wake(), front.service.sentinel.poll_timeout()];
        earliest(wakes)
    }

    fn peer(front: &mut SentinelServer, now: Now<'_>, conn: ConnId, input: PeerInput<'_>) {
        let input = match input {
            PeerInput::Connected { local, peer } => Input::Connected { conn, local, peer },
            PeerInput::ConnectFailed(error) => Input::ConnectFailed { conn, error },
            PeerInput::Received(bytes) => Input::Received { conn, bytes },
            PeerInput::Ended => Input::Ended { conn },
            PeerInput::Closed(error) => Input::Closed { conn, error },
            PeerInput::Accepted { .. } | PeerInput::Drained => return,
        };
        front.service.sentinel.handle(now, &input);
    }

    fn outbox(front: &mut SentinelServer, conn: ConnId) -> Option<&mut Outbox> {
        front.service.sentinel.outbox(conn)
    }

    fn child(front: &mut SentinelServer, now: Now<'_>, child: ChildId, news: ChildNews) {
        front.script_news(now, child, news);
    }

    fn disk_done(
        front: &mut SentinelServer,
        now: Now<'_>,
        work: DiskWork,
        result: Result<DiskDone, DiskError>,
    ) {
        match work {
            DiskWork::Read => front.file_read(now, result),
            DiskWork::Written => front.file_written(now, result),
            DiskWork::Script { client, path } => {
                let can_run = matches!(
                    result,
                    Ok(DiskDone::Stat(stat)) if !stat.dir && stat.mode & 0o111 != 0
                );
                front.script_checked(now, client, path, can_run);
            }
        }
    }

    fn info_section(
        front: &SentinelServer,
        section: &str,
        text: &mut Text,
        caller: Option<&Client<Self>>,
    ) {
        match section {
            "server" => front.server_section(text),
            "clients" => front.clients_section(text, caller, ClientCounts::default()),
            "stats" => front.stats_section(text, &ServiceStats::default()),
            "cpu" => front.cpu_section(text),
            _ => front.sentinel_section(text),
        }
    }
}

/// The number of the line of a file that is the `index`th that begins with `sentinel`, from 0; of
/// one that is not in this file 0.
fn number_of(text: &[u8], index: usize) -> usize {
    let is_sentinel = |line: &[u8]| {
        let word = line.trim_ascii().split(u8::is_ascii_whitespace).next();
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"sentinel"))
    };
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines.filter(|(_, line)| is_sentinel(line)).nth(index).map_or(0, |(at, _)| at + 1)
}
