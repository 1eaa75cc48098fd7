//! A world of one server with power losses, kills and disk faults, while clients write; checks that
//! the acknowledged writes are there after each restart.
//!
//! | file | noun |
//! |---|---|
//! | `mod` | the course of a world: faults and actions, chosen by its seed |
//! | `site` | the world itself: hosts, the server's files and log, lines typed into clients |
//! | `writer` | a client that records the replies to its writes |
//! | `ledger` | acknowledged writes, and whether the server still has them |
//! | `mender` | truncates a file that the server refuses |

mod ledger;
mod mender;
mod site;
mod writer;

use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::time::Duration;

use limpid_core::resp::value::Value;
use limpid_core::rng::Rng;
use limpid_core::sim::ProcState;
use limpid_core::time::Mono;

use crate::client::field;
use ledger::{Owed, Policy};
use site::{ADMIN, Site, Start, WRITERS};
use writer::Write;

/// The statistics of worlds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The virtual time that was simulated.
    pub virtual_time: Duration,
    /// How often the power failed.
    pub power_losses: u64,
    /// How often the server was killed (SIGKILL).
    pub kills: u64,
    /// How often it was shut down (SIGTERM).
    pub stops: u64,
    /// How often it exited by itself, as with `appendfsync always` when a write fails.
    pub exits: u64,
    /// The number of disk faults.
    pub faults: u64,
    /// How often it refused to start with a log line: for a disk fault, or a truncated file.
    pub refusals: u64,
    /// Truncated files that were cut at the offset that the server logged.
    pub mended: u64,
    /// Snapshots and rewrites that succeeded.
    pub written: u64,
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// The number of confirmations by WAITAOF.
    pub confirmed: u64,
    /// Acknowledged writes that were lost and may be: with `everysec` the latest, with `no` those
    /// that the system had not written, without an append-only file those after the last dump.
    pub lost: u64,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Outcome) {
        self.virtual_time += other.virtual_time;
        self.power_losses += other.power_losses;
        self.kills += other.kills;
        self.stops += other.stops;
        self.exits += other.exits;
        self.faults += other.faults;
        self.refusals += other.refusals;
        self.mended += other.mended;
        self.written += other.written;
        self.acknowledged += other.acknowledged;
        self.confirmed += other.confirmed;
        self.lost += other.lost;
    }
}

/// Runs a world of this seed. The error says which write is missing, or which one is there that was
/// never sent.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let mut course = Course::new(seed);
    match course.run() {
        Ok(()) => Ok(course.outcome),
        Err(why) => Err(format!("{why}\n{}", course.site.report())),
    }
}

/// How a run of the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By a power loss.
    Power,
    /// By SIGKILL.
    Kill,
    /// By SIGTERM.
    Stop,
    /// By itself.
    Exit,
}

struct Course {
    site: Site,
    rng: Rng,
    outcome: Outcome,
    owed: Owed,
    /// The fault of the disk, and whether it only makes it slow.
    fault: Option<(String, bool)>,
    /// Whether `appendonly` is meant to be on, by the last CONFIG SET.
    wanted: bool,
    /// When `appendonly` was turned off.
    off_since: Mono,
    /// When the pending switch to `appendonly yes` was sent.
    switching: Option<Mono>,
    /// When the running snapshot was requested; `rewriting` is the same for a rewrite.
    saving: Option<Mono>,
    rewriting: Option<Mono>,
    /// The number of replies to the administrator that were handled.
    read: usize,
    /// Numbers of each writer that are known to be lost.
    gone: Vec<BTreeSet<u64>>,
}

impl Course {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xc4a5_4e50);
        let site = Site::new(seed, &mut rng);
        let owed = Owed {
            aof: Mono::ZERO,
            rdb: Mono::ZERO,
            follows: false,
            policy: Policy::No,
            policy_since: Mono::ZERO,
            well_since: None,
            slow: None,
        };
        Self {
            site,
            rng,
            outcome: Outcome::default(),
            owed,
            fault: None,
            wanted: false,
            off_since: Mono::ZERO,
            switching: None,
            saving: None,
            rewriting: None,
            read: 0,
            gone: vec![BTreeSet::new(); WRITERS.len()],
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.up(Mono::ZERO)?;
        for _ in 0..3 + self.rng.below(5) {
            let end = self.live()?;
            self.down_and_up(end)?;
        }
        self.recover()?;
        self.outcome.acknowledged = self.writes().iter().map(|(_, writes)| count(writes)).sum();
        let writers = WRITERS.iter().map(|name| self.site.writer(name).confirmed);
        self.outcome.confirmed = writers.sum();
        self.outcome.virtual_time = self.site.world.now().since(Mono::ZERO);
        Ok(())
    }

    /// Runs the server while clients write. Returns how it ends.
    fn live(&mut self) -> Result<End, String> {
        self.site.tell(ADMIN, "go 0");
        for name in WRITERS {
            let pause = 1_000 + self.rng.below(12_000);
            self.site.tell(name, &format!("go {pause}"));
        }
        for _ in 0..2 + self.rng.below(30) {
            let longest = if self.rng.below(6) == 0 { 1_500_000 } else { 120_000 };
            self.site.world.run_for(Duration::from_micros(self.rng.below(longest)));
            self.observe();
            if self.site.state() != ProcState::Running {
                return Ok(End::Exit);
            }
            self.disturb();
        }
        // Ends at a random moment, not always just after a request.
        self.site.world.run_for(Duration::from_micros(self.rng.below(40_000)));
        self.observe();
        if self.site.state() != ProcState::Running {
            return Ok(End::Exit);
        }
        Ok(match self.rng.below(8) {
            0..4 => End::Power,
            4..7 => End::Kill,
            _ => End::Stop,
        })
    }

    /// A random action of the administrator, or a random fault.
    fn disturb(&mut self) {
        let now = self.site.world.now();
        match self.rng.below(22) {
            0 | 1 => self.ask("BGREWRITEAOF"),
            2 | 3 => self.ask("BGSAVE"),
            4 => self.ask("SAVE"),
            5 => {
                let policy =
                    [Policy::Always, Policy::Everysec, Policy::No][self.rng.below(3) as usize];
                if policy as u8 > self.owed.policy as u8 {
                    // A weaker guarantee holds from now on; a stronger one only from the reply on.
                    self.owed.advance(now, self.last());
                    (self.owed.policy, self.owed.policy_since) = (policy, now);
                }
                self.ask(&format!("CONFIG SET appendfsync {}", policy.name()));
            }
            6 if self.wanted => {
                self.owed.advance(now, self.last());
                (self.wanted, self.owed.follows, self.off_since) = (false, false, now);
                (self.switching, self.rewriting) = (None, None);
                self.ask("CONFIG SET appendonly no");
            }
            7..10 if !self.wanted => {
                self.wanted = true;
                self.ask("CONFIG SET appendonly yes");
            }
            10 | 11 => self.rewrite_config(),
            12 | 13 => {
                let fault = match self.rng.below(8) {
                    0 | 1 => "full".to_owned(),
                    2 => "fail-writes".to_owned(),
                    3 => "fail-syncs".to_owned(),
                    4 => "fail-renames".to_owned(),
                    5 => "fail-reads".to_owned(),
                    _ => format!("slow {}ms", 1 + self.rng.below(3_000)),
                };
                self.break_disk(fault);
            }
            14..18 => self.mend_disk(),
            _ => {}
        }
    }

    /// Sends CONFIG REWRITE, if a restart with the new file would find the latest data.
    fn rewrite_config(&mut self) {
        let written = self.site.config("appendonly") == "yes";
        let safe = match (written, self.wanted) {
            (true, false) => self.owed.rdb > self.off_since,
            (false, true) => self.owed.follows,
            _ => self.wanted == self.owed.follows,
        };
        if safe {
            self.ask("CONFIG REWRITE");
        }
    }

    fn ask(&mut self, line: &str) {
        self.site.tell(ADMIN, &format!("do {line}"));
    }

    fn break_disk(&mut self, fault: String) {
        let (now, last) = (self.site.world.now(), self.last());
        let slow = fault.starts_with("slow");
        self.outcome.faults += 1;
        if slow {
            self.owed.slow = Some(now);
        } else {
            self.owed.disk_fails(now, last);
        }
        self.site.act(&format!("disk server {fault}"));
        self.fault = Some((fault, slow));
    }

    fn mend_disk(&mut self) {
        if self.fault.take().is_some() {
            self.site.act("disk server ok");
        }
    }

    /// When the last acknowledgement arrived; with `appendfsync always`, that of a write that was
    /// sent under this policy.
    fn last(&self) -> Mono {
        let since = match self.owed.policy {
            Policy::Always => self.owed.policy_since,
            _ => Mono::ZERO,
        };
        let last = WRITERS.iter().map(|name| self.site.writer(name).last_acknowledgement(since));
        last.max().unwrap_or(Mono::ZERO)
    }

    /// Reads the state of the server, and updates the writes that must be kept.
    fn observe(&mut self) {
        let (now, last) = (self.site.world.now(), self.last());
        let slow = self.fault.as_ref().is_some_and(|(_, slow)| *slow);
        if slow {
            self.owed.slow = Some(now);
        }
        self.owed.advance(now, last);
        let admin = self.site.writer(ADMIN);
        let news = admin.typed.get(self.read..).unwrap_or_default().to_vec();
        self.read = admin.typed.len();
        for typed in news {
            self.answered(&typed);
        }
        let Some(info) = self.site.persistence() else { return };
        let is = |name: &str, value: &str| field(&info, name) == value;
        let rewritten = is("aof_rewrite_in_progress", "0")
            && is("aof_rewrite_scheduled", "0")
            && is("aof_last_bgrewrite_status", "ok");
        if let Some(sent) = self.saving.filter(|_| is("rdb_bgsave_in_progress", "0")) {
            self.saving = None;
            if is("rdb_last_bgsave_status", "ok") {
                self.outcome.written += 1;
                self.owed.rdb = self.owed.rdb.max(sent);
            }
        }
        if let Some(sent) = self.rewriting.filter(|_| rewritten && self.owed.follows) {
            self.rewriting = None;
            self.outcome.written += 1;
            self.owed.aof = self.owed.aof.max(sent);
        }
        let works = self.fault.as_ref().is_none_or(|(_, slow)| *slow);
        if let Some(sent) = self.switching.filter(|_| is("aof_enabled", "1") && rewritten) {
            self.switching = None;
            self.outcome.written += 1;
            self.owed.follows = true;
            self.owed.aof = self.owed.aof.max(sent);
            self.owed.well_since = works.then_some(now);
        }
        if works && self.owed.well_since.is_none() && is("aof_last_write_status", "ok") {
            self.owed.well_since = Some(now);
        }
    }

    /// Handles a reply to the administrator.
    fn answered(&mut self, typed: &writer::Typed) {
        if typed.reply.is_error() {
            if typed.line == "CONFIG SET appendonly yes" {
                self.wanted = false;
            }
            return;
        }
        let ok = typed.reply == Value::Simple(b"OK".to_vec());
        let begun = |what: &str| matches!(&typed.reply, Value::Simple(text) if text.starts_with(what.as_bytes()));
        match typed.line.as_str() {
            "SAVE" if ok => {
                self.outcome.written += 1;
                self.owed.rdb = self.owed.rdb.max(typed.sent);
            }
            "BGSAVE" if begun("Background saving started") => self.saving = Some(typed.sent),
            "BGREWRITEAOF" if begun("Background append only file rewriting started") => {
                self.rewriting = Some(typed.sent);
            }
            "CONFIG SET appendonly yes" if ok && self.wanted => self.switching = Some(typed.sent),
            line if ok => {
                let Some(name) = line.strip_prefix("CONFIG SET appendfsync ") else { return };
                let policy = policy(name);
                if policy == Policy::Everysec && self.owed.policy == Policy::No {
                    self.owed.well_since = None;
                }
                if policy != self.owed.policy {
                    self.owed.policy_since = self.site.world.now();
                }
                self.owed.policy = policy;
            }
            _ => {}
        }
    }

    /// Ends the server in the given way, and starts it until it is up again.
    fn down_and_up(&mut self, end: End) -> Result<(), String> {
        let (now, last) = (self.site.world.now(), self.last());
        self.owed.advance(now, last);
        // Data in the page cache survives a kill: with a disk that is not slow, all but the writes
        // in the disk's queue (which may be behind a snapshot).
        let quick = self.owed.slow.is_none_or(|at| now.since(at) > Duration::from_secs(8));
        let works = self.owed.well_since.is_some_and(|at| now.since(at) > Duration::from_secs(3));
        let mut cached = Mono::ZERO;
        if quick && works && self.owed.follows {
            cached = Mono(now.0.saturating_sub(1_000_000_000));
        }
        let mut power = false;
        match end {
            End::Power => power = true,
            End::Kill => {
                self.outcome.kills += 1;
                self.site.act("kill redis-server");
            }
            End::Stop => {
                self.outcome.stops += 1;
                self.stop();
            }
            End::Exit => self.outcome.exits += 1,
        }
        if end != End::Power && self.rng.below(4) == 0 {
            self.site.world.run_for(Duration::from_micros(self.rng.below(30_000)));
            power = true;
        }
        if power {
            self.outcome.power_losses += 1;
            self.site.act("crash server");
            cached = Mono::ZERO;
        }
        for name in WRITERS.iter().chain([&ADMIN]) {
            self.site.tell(name, "leave");
        }
        self.read = self.site.writer(ADMIN).typed.len();
        (self.switching, self.saving, self.rewriting) = (None, None, None);
        match self.rng.below(8) {
            0..5 => self.mend_disk(),
            5 | 6 => {
                let faults = ["full", "fail-writes", "fail-syncs", "fail-reads", "fail-renames"];
                let fault = faults[self.rng.below(5) as usize];
                self.break_disk(fault.to_owned());
            }
            _ => {}
        }
        self.up(cached)
    }

    /// Shuts the server down, and notes which writes that makes durable.
    fn stop(&mut self) {
        self.site.act("stop redis-server");
        let mut patience = 200;
        while self.site.state() == ProcState::Running && patience > 0 {
            self.site.world.run_for(Duration::from_millis(50));
            patience -= 1;
        }
        let now = self.site.world.now();
        if self.fault.as_ref().is_some_and(|(_, slow)| *slow) {
            self.owed.slow = Some(now);
        }
        match self.site.state() {
            ProcState::Exited { code: 0 } => {
                if self.owed.follows && self.owed.well_since.is_some() {
                    self.owed.aof = now;
                }
                if self.site.saves {
                    self.owed.rdb = now;
                }
            }
            ProcState::Exited { .. } => {}
            // The server refuses to shut down if it would lose data.
            _ => self.site.act("kill redis-server"),
        }
    }

    /// Starts the server repeatedly until it is up; then checks its data. `cached` is the moment up
    /// to which writes are in the page cache.
    fn up(&mut self, cached: Mono) -> Result<(), String> {
        let mut cached = cached;
        let mut mended = false;
        for attempt in 0.. {
            // It may be hit by a fault while loading.
            let hit = attempt < 2 && self.rng.below(6) == 0;
            let most = if hit { self.rng.below(40_000) } else { 120_000_000 };
            match self.site.start(Duration::from_micros(most)) {
                Start::Ready => break,
                Start::Refused(why) => {
                    self.outcome.refusals += 1;
                    if why.is_empty() {
                        return Err("the server ended at its start and did not say why".into());
                    }
                    if self.fault.is_some() {
                        self.mend_disk();
                    } else if let Some((file, len)) =
                        self.site.torn(&why).filter(|_| self.site.scattered && !mended)
                    {
                        mended = true;
                        self.outcome.mended += 1;
                        self.site.mend(&file, len)?;
                    } else {
                        return Err(format!("the server refuses to start: {why:#?}"));
                    }
                }
                Start::Waiting if hit => {
                    if self.rng.below(2) == 0 {
                        self.outcome.kills += 1;
                        self.site.act("kill redis-server");
                    } else {
                        self.outcome.power_losses += 1;
                        self.site.act("crash server");
                        cached = Mono::ZERO;
                    }
                }
                Start::Waiting if self.fault.is_some() => {
                    self.mend_disk();
                    self.site.act("kill redis-server");
                }
                Start::Waiting => return Err("the server does not come up".into()),
            }
        }
        self.settle(cached)
    }

    fn settle(&mut self, cached: Mono) -> Result<(), String> {
        let now = self.site.world.now();
        let follows = self.site.config("appendonly") == "yes";
        let owed = if follows { self.owed.aof.max(cached) } else { self.owed.rdb };
        let mut writers = self.writes();
        let server = self.site.server().ok_or("there is no server")?;
        let found = ledger::settle(server, &mut writers, owed, follows)?;
        self.outcome.lost += found.lost;
        for ((_, writes), gone) in writers.iter().zip(&mut self.gone) {
            gone.extend(writes.iter().filter(|write| write.gone).map(|write| write.number));
        }
        self.wanted = follows;
        self.owed.follows = follows;
        self.owed.policy = policy(&self.site.config("appendfsync"));
        self.owed.policy_since = now;
        let works = self.fault.as_ref().is_none_or(|(_, slow)| *slow);
        self.owed.well_since = works.then_some(now);
        Ok(())
    }

    /// The writes of each writer, with those that are known to be lost.
    fn writes(&self) -> Vec<(String, Vec<Write>)> {
        let all = WRITERS.iter().zip(&self.gone).map(|(name, gone)| {
            let mut writes = self.site.writer(name).writes.clone();
            for write in &mut writes {
                write.gone = gone.contains(&write.number);
            }
            (name.to_string(), writes)
        });
        all.collect()
    }

    /// Ends all faults, and checks that the server accepts writes again and keeps them at a
    /// shutdown.
    fn recover(&mut self) -> Result<(), String> {
        self.mend_disk();
        let before = self.site.world.now();
        if self.site.state() != ProcState::Running {
            self.up(Mono::ZERO)?;
        }
        self.site.tell(ADMIN, "go 0");
        for name in WRITERS {
            self.site.tell(name, "go 8000");
        }
        // The server retries failed writes every second, connections take time, and a slow disk has
        // to catch up.
        for _ in 0..20 {
            self.site.world.run_for(Duration::from_secs(6));
            self.observe();
            if self.last() > before {
                break;
            }
        }
        if self.last() <= before {
            return Err("writes are refused after everything was mended".into());
        }
        self.down_and_up(End::Stop)
    }
}

fn count(writes: &[Write]) -> u64 {
    writes.iter().filter(|write| matches!(write.answer, writer::Answer::Done(_))).count() as u64
}

fn policy(name: &str) -> Policy {
    match name {
        "always" => Policy::Always,
        "no" => Policy::No,
        _ => Policy::Everysec,
    }
}
