//! The program `redis-sentinel`: the Sentinel state machine as the service of a front.

use core::mem;

use super::commands::table;
use super::common::Effect;
use super::config::Line;
use super::schema::{Config, SentinelSchema, key};
use super::scripts::{Ended, Job};
use super::{DownReply, Sentinel};
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

/// A Sentinel with its clients: the program `redis-sentinel`.
pub type SentinelServer = Front<SentinelService>;

/// The service behind the front.
#[derive(Clone, Debug)]
pub struct SentinelService {
    pub(super) sentinel: Sentinel,
    /// The number of the state that is being written.
    saving: Option<u64>,
    /// Clients that get their reply once a state is on disk.
    waiting: Vec<Waiting>,
    /// Each SENTINEL SET that waits for a check whether its scripts are executable.
    checks: Vec<ScriptCheck>,
    /// Running scripts: the job of each child process.
    children: SortedMap<ChildId, u64>,
    /// The number of the last child process.
    last_child: u64,
}

/// A client that waits until a state is on disk.
#[derive(Clone, Debug)]
struct Waiting {
    state: u64,
    client: u64,
    answer: Answer,
}

/// A client's SENTINEL SET, whose scripts are being checked.
#[derive(Clone, Debug)]
struct ScriptCheck {
    client: u64,
    /// The master's name, and the options to set.
    words: Vec<Vec<u8>>,
    /// The number of scripts that are not checked yet.
    pending: usize,
    /// The executable ones.
    executable: Vec<String>,
}

/// The reply to a client that waits for a state.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// OK.
    Ok,
    /// Whether a master is down, and a vote.
    Verdict(DownReply),
}

/// The purpose of a disk operation.
#[derive(Clone, Debug)]
pub enum DiskWork {
    /// The configuration file was read, in order to rewrite it.
    Read,
    /// The configuration file was written.
    Written,
    /// A script of a client's SENTINEL SET was checked.
    Script {
        /// The client's ID.
        client: u64,
        /// The path of the script.
        path: String,
    },
}

impl SentinelService {
    /// Replies to a client once a state is on disk.
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
    /// A Sentinel with the configuration of a file and the arguments after it. `path` is the
    /// absolute path of the file; `loader` reads included files; `executable` says whether a script
    /// is executable.
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
        // Scripts are relative to `dir`, to which it changes before it runs.
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

    /// The state machine.
    pub fn watch(&self) -> &Sentinel {
        &self.service.sentinel
    }

    /// The state machine's state as plain data, at the last known time.
    pub fn view(&self) -> super::SentinelView {
        self.service.sentinel.view(self.now.0)
    }

    /// Carries out the effects of the state machine.
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
                    // Kills the process group, since a shell does not kill the child it waits for.
                    self.outputs
                        .push_back(Output::Kill { pid: -i64::from(pid), signal: Signal::Kill });
                }
            }
        }
        while let Some(output) = self.service.sentinel.poll_output() {
            self.outputs.push_back(output);
        }
    }

    /// Starts a script, with the environment and output of this process.
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

    /// A script was started, could not be started, or has ended.
    fn handle_script_change(&mut self, now: Now<'_>, child: ChildId, news: ChildNews) {
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

    /// Starts to write the configuration file, unless a write is in progress, which another one
    /// follows.
    fn begin_save(&mut self) {
        let Some(path) = self.config.file.clone() else { return };
        if let Some(state) = self.service.sentinel.begin_save() {
            self.service.saving = Some(state);
            self.service_disk_op(DiskOp::Load { path }, DiskWork::Read);
        }
    }

    /// The old file was read: its other lines and comments are kept.
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

    /// The configuration with the lines of the current state.
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

    /// Checks whether these scripts are executable, before a client's SENTINEL SET is executed.
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

    /// A script was checked. After the last one, SENTINEL SET is executed.
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
                        sentinel.write_down_reply(&verdict, reply);
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
        front.handle_script_change(now, child, news);
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

/// The line number of the `index`th line (from 0) of a file that begins with `sentinel`; 0 if the
/// line is not in this file.
fn number_of(text: &[u8], index: usize) -> usize {
    let is_sentinel = |line: &[u8]| {
        let word = line.trim_ascii().split(u8::is_ascii_whitespace).next();
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"sentinel"))
    };
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines.filter(|(_, line)| is_sentinel(line)).nth(index).map_or(0, |(at, _)| at + 1)
}
