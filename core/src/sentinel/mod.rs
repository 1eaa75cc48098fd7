//! Sentinel: monitors masters, detects failures, elects a leader and performs failovers.
//!
//! [`SentinelServer`] is the program `redis-sentinel`: a [`Front`](crate::front::Front) whose
//! service contains a [`Sentinel`]. `commands` and `describe` implement its commands, [`schema`]
//! its configuration file.
//!
//! [`Sentinel`] is the state machine without clients: monitored masters with their replicas and the
//! other Sentinels, connections to all of them, failure detection, elections, failovers, and the
//! lines of `sentinel.conf` that store its state. Its inputs are the events of its own connections
//! and the time, its outputs are machine outputs and [`Effect`]s. Modules:
//!
//! * [`master`]: a monitored master; [`failover`]: agreement and failover;
//! * [`instance`], [`link`], [`addr`], [`report`], [`hello`]: a monitored server or Sentinel, its
//!   connections, its address, its INFO, and hello messages;
//! * [`scripts`]: the queue of notification and reconfiguration scripts;
//! * [`config`]: reads and writes the directives `sentinel ...`; [`set`]: changes them at run time;
//! * [`periods`]: the time constants; [`view`]: the state as plain data.
//!
//! Durations are measured on the monotonic clock, so that a wrong wall clock makes no instance look
//! dead. But if the wall clock jumps, or a timer fires late, a Sentinel enters TILT mode, in which
//! it continues to monitor but does not act, as in Redis.

pub mod addr;
mod commands;
mod common;
pub mod config;
mod describe;
pub mod failover;
pub mod hello;
pub mod instance;
pub mod link;
pub mod master;
pub mod periods;
pub mod report;
pub mod schema;
pub mod scripts;
mod service;
pub mod set;
pub mod view;

#[cfg(test)]
mod tests;

pub use common::{Effect, Settings, SimulatedFailure};
pub use schema::Config;
pub use service::{SentinelServer, SentinelService};
pub use view::SentinelView;

use addr::{Addr, HostNames};
use common::{Common, Saves};
use failover::Ballot;
use hello::Hello;
use link::{InFlight, Lane, LinkId, Links, Purpose};
use master::Master;
use periods::Periods;
use scripts::{Ended, JobResult, Scripts};
use std::collections::VecDeque;

use crate::glob;
use crate::machine::{ConnId, Input, LogLevel, Outbox, Output};
use crate::peer::{CloseReason, Event};
use crate::resp::value::Value;
use crate::rng::Rng;
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono, Now, Wall};

/// The state machine of a Sentinel. See the module.
#[derive(Clone, Debug)]
pub struct Sentinel {
    masters: SortedMap<String, Master>,
    common: Common,
    /// When the timer is due.
    next_tick: Option<Mono>,
    /// The wall clock when the timer last fired.
    last_tick: Option<Wall>,
}

impl Sentinel {
    /// A Sentinel that has no ID and monitors nothing.
    pub fn new(rng: Rng) -> Self {
        Sentinel {
            masters: SortedMap::new(),
            common: Common {
                now: Mono::ZERO,
                wall: Wall::default(),
                id: String::new(),
                epoch: 0,
                periods: Periods::default(),
                settings: Settings::default(),
                names: HostNames::default(),
                tilt: None,
                links: Links::default(),
                scripts: Scripts::default(),
                effects: VecDeque::new(),
                rng,
                simulate: SimulatedFailure::default(),
                saves: Saves::default(),
                last_id: 0,
            },
            next_tick: None,
            last_tick: None,
        }
    }

    // ---- Getters ----

    /// Its ID: forty hexadecimal digits, which stay the same after a restart.
    pub fn id(&self) -> &str {
        &self.common.id
    }

    /// The current epoch.
    pub fn epoch(&self) -> u64 {
        self.common.epoch
    }

    /// The monitored masters, ordered by name.
    pub fn masters(&self) -> impl ExactSizeIterator<Item = &Master> {
        self.masters.iter().map(|(_, master)| master)
    }

    /// The master with this name.
    pub fn master(&self, name: &[u8]) -> Option<&Master> {
        self.masters.get(core::str::from_utf8(name).ok()?)
    }

    /// Its time constants.
    pub fn periods(&self) -> &Periods {
        &self.common.periods
    }

    /// Its time constants, mutable.
    pub fn periods_mut(&mut self) -> &mut Periods {
        &mut self.common.periods
    }

    /// Its own settings.
    pub fn settings(&self) -> &Settings {
        &self.common.settings
    }

    /// Its own settings, mutable.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.common.settings
    }

    /// Whether servers may be given by host names.
    pub fn resolves_hostnames(&self) -> bool {
        self.common.names.resolve
    }

    /// Since when TILT mode has been active.
    pub fn tilt(&self) -> Option<Mono> {
        self.common.tilt
    }

    /// The queue of scripts.
    pub fn scripts(&self) -> &Scripts {
        &self.common.scripts
    }

    /// The simulated crashes.
    pub fn simulated_failure(&self) -> SimulatedFailure {
        self.common.simulate
    }

    /// A link, with the times of its last replies.
    pub fn link(&self, id: LinkId) -> Option<&link::Link> {
        self.common.links.get(id)
    }

    /// Whether a link lacks a connection.
    pub fn is_disconnected(&self, id: LinkId) -> bool {
        self.common.links.is_disconnected(id)
    }

    /// The number of commands in flight on a link.
    pub fn pending_commands(&self, id: LinkId) -> usize {
        self.common.links.pending(id)
    }

    // ---- Inputs and outputs ----

    /// Starts: generates an ID if there is none, and publishes which masters are monitored.
    pub fn start(&mut self, now: Now<'_>) {
        self.set_now(now);
        if self.common.id.is_empty() {
            let id = self.common.rng.hex40();
            self.common.id = String::from_utf8_lossy(&id).into_owned();
            self.common.save();
        }
        let text = format!("Sentinel ID is {}", self.common.id);
        self.common.log(LogLevel::Notice, text);
        for master in self.masters.values() {
            let more = format!(" quorum {}", master.quorum);
            master.event(&mut self.common, LogLevel::Warning, "+monitor", &more);
        }
        self.restart_clocks();
        self.tick();
    }

    /// Handles an input about its own connections. False if the input is about another one.
    pub fn handle(&mut self, now: Now<'_>, input: &Input<'_>) -> bool {
        self.set_now(now);
        let ours = self.common.links.handle(now.mono, input);
        self.handle_link_events();
        ours
    }

    /// Does the work that is due.
    pub fn wake(&mut self, now: Now<'_>) {
        self.set_now(now);
        if self.next_tick.is_some_and(|at| at <= now.mono) {
            self.tick();
        }
    }

    /// When to call [`Sentinel::wake`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.next_tick
    }

    /// Takes the next output for the driver.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.common.links.poll_output()
    }

    /// Takes the next effect for the owner.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.common.effects.pop_front()
    }

    /// The outbox of one of its own connections.
    pub fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.common.links.outbox(conn)
    }

    /// Starts a write of the configuration file. Returns the number of the state to write; `None`
    /// if a write is in progress, after which the next one is started.
    pub fn begin_save(&mut self) -> Option<u64> {
        self.common.saves.begin()
    }

    /// Ends the write of the configuration file, with the error text if it has failed. Continues
    /// what was waiting for it.
    pub fn saved(&mut self, now: Now<'_>, result: Result<(), &str>) {
        self.set_now(now);
        let more = self.common.saves.done(result.is_ok());
        match result {
            Ok(()) => {
                let text = "Sentinel new configuration saved on disk";
                self.common.log(LogLevel::Notice, text.to_owned());
            }
            Err(error) => {
                let text = format!(
                    "WARNING: Sentinel was not able to save the new configuration on disk!!!: {error}"
                );
                self.common.log(LogLevel::Warning, text);
            }
        }
        if more {
            self.common.effects.push_back(Effect::Save);
        }
        for master in self.masters.values_mut() {
            master.saved(&mut self.common);
            master.finish(&mut self.common);
        }
    }

    /// Requests that the state be saved. Returns its number: see [`Sentinel::is_saved`].
    pub fn save(&mut self) -> u64 {
        self.common.save()
    }

    /// Whether a state is on disk.
    pub fn is_saved(&self, state: u64) -> bool {
        self.common.saves.has(state)
    }

    /// A script was started with this process ID.
    pub fn script_started(&mut self, job: u64, pid: u32) {
        self.common.scripts.started(job, pid);
        self.common.event(LogLevel::Debug, "+script-child", pid.to_string(), None);
    }

    /// A script has ended, or could not be started.
    pub fn script_ended(&mut self, now: Now<'_>, job: u64, how: &Ended) {
        self.set_now(now);
        let common = &mut self.common;
        if let Ended::NotStarted(why) = how {
            let argv = common.scripts.jobs().find(|j| j.id == job).map(|job| job.argv.join(" "));
            let text =
                format!("The script '{}' could not be started: {why}", argv.unwrap_or_default());
            common.log(LogLevel::Warning, text);
        } else if let Some(pid) = common.scripts.pid(job) {
            let (signal, status) = how.numbers();
            let text = format!("{pid} {status} {signal}");
            common.event(LogLevel::Debug, "-script-child", text, None);
        }
        let delay = common.periods.script_retry_delay;
        if let JobResult::Failed(path, signal, status) =
            common.scripts.ended(common.now, job, how, delay)
        {
            let text = format!("{path} {signal} {status}");
            common.event(LogLevel::Warning, "-script-error", text, None);
        }
        self.run_scripts();
    }

    // ---- Commands ----

    /// Starts to monitor a master. `port` may be out of range.
    pub fn monitor(
        &mut self,
        name: &str,
        host: &str,
        port: i64,
        quorum: i64,
    ) -> Result<&Master, &'static str> {
        let quorum = u32::try_from(quorum).ok().filter(|quorum| *quorum > 0);
        let quorum = quorum.ok_or("Quorum must be 1 or greater.")?;
        let addr = self.addr(host, port)?;
        if self.masters.contains_key(name) {
            return Err("Duplicate master name.");
        }
        let master = Master::new(&mut self.common, name.to_owned(), addr, quorum);
        self.masters.insert(name.to_owned(), master);
        self.masters.get(name).ok_or("Duplicate master name.")
    }

    /// Publishes that a master is monitored from now on.
    pub fn publish_monitored(&mut self, name: &[u8]) {
        let Some(master) = find(&self.masters, name) else { return };
        let more = format!(" quorum {}", master.quorum);
        master.event(&mut self.common, LogLevel::Warning, "+monitor", &more);
    }

    /// Stops monitoring a master. False if there is no master with this name.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let name = String::from_utf8_lossy(name).into_owned();
        let Some(master) = self.masters.get(&name) else { return false };
        master.event(&mut self.common, LogLevel::Warning, "-monitor", "");
        master.release(&mut self.common);
        self.masters.remove(&name);
        true
    }

    /// Resets the masters whose names match a pattern. Returns their number.
    pub fn reset(&mut self, pattern: &[u8]) -> usize {
        let mut count = 0;
        for master in self.masters.values_mut() {
            if glob::matches(pattern, master.name().as_bytes()) {
                master.reset(&mut self.common, false);
                master.event(&mut self.common, LogLevel::Warning, "+reset-master", "");
                count += 1;
            }
        }
        count
    }

    /// Starts a failover by request.
    pub fn failover(&mut self, name: &[u8]) -> Result<(), &'static str> {
        let master = find_mut(&mut self.masters, name).ok_or("No such master with that name")?;
        master.force_failover(&mut self.common)
    }

    /// Sets the simulated crashes.
    pub fn simulate(&mut self, failure: SimulatedFailure) {
        self.common.simulate = failure;
        for (wanted, what) in [
            (failure.after_election, "being successfully elected as failover leader"),
            (failure.after_promotion, "promoting the selected replica to master"),
        ] {
            if wanted {
                let text = format!("Failure simulation: this Sentinel will crash after {what}");
                self.common.log(LogLevel::Warning, text);
            }
        }
    }

    /// Closes the connections to other Sentinels, so that they authenticate again.
    pub fn drop_sentinel_connections(&mut self) {
        for other in self.masters.values().flat_map(|master| master.sentinels.values()) {
            self.common.links.close(other.instance.link);
        }
    }

    /// Whether this Sentinel considers the master at an address to be down, and its vote if one is
    /// requested.
    ///
    /// A new vote may be sent once `Ballot::state` is on disk: see [`Sentinel::ballot`].
    pub fn is_master_down(
        &mut self,
        host: &str,
        port: u16,
        epoch: u64,
        candidate: Option<&str>,
    ) -> DownReply {
        let at = |master: &&mut Master| {
            let addr = &master.instance.addr;
            addr.port == port && self.common.names.is_at(addr, host)
        };
        let Some(master) = self.masters.values_mut().find(at) else {
            return DownReply { down: false, ballot: None, master: String::new() };
        };
        let down = self.common.tilt.is_none() && master.instance.sdown;
        let ballot = candidate.map(|candidate| master.vote_for(&mut self.common, epoch, candidate));
        DownReply { down, ballot, master: master.name().to_owned() }
    }

    /// The vote in the election for a master, without the candidate if it is not on disk.
    pub fn ballot(&self, master: &str) -> Option<Ballot> {
        self.masters.get(master).map(|master| master.ballot(&self.common))
    }

    /// Handles a hello message, from a server's channel or directly from a Sentinel.
    pub fn hello(&mut self, message: &[u8]) {
        let Some(hello) = Hello::parse(message) else { return };
        if hello.id == self.common.id {
            return;
        }
        self.handle_hello(&hello);
    }

    // ---- Internals ----

    fn set_now(&mut self, now: Now<'_>) {
        (self.common.now, self.common.wall) = (now.mono, now.wall);
    }

    fn addr(&self, host: &str, port: i64) -> Result<Addr, &'static str> {
        let port = u16::try_from(port).map_err(|_| "Invalid port number.")?;
        self.common.names.addr(host, port).ok_or("Can't resolve instance hostname.")
    }

    /// Resets all timeouts, since instances loaded from a file have not been contacted yet.
    fn restart_clocks(&mut self) {
        let now = self.common.now;
        for master in self.masters.values_mut() {
            let own = [(&mut master.instance, Some(&mut master.report))];
            let replicas =
                master.replicas.values_mut().map(|r| (&mut r.instance, Some(&mut r.report)));
            let others = master.sentinels.values_mut().map(|other| {
                (other.last_answer, other.last_hello) = (now, now);
                (&mut other.instance, None)
            });
            for (instance, report) in own.into_iter().chain(replicas).chain(others) {
                instance.last_hello_sent = Some(now);
                self.common.links.reset(now, instance.link);
                if let Some(report) = report {
                    (report.role_since, report.master_since) = (now, now);
                }
            }
        }
    }

    /// The timer, ten to twenty times a second. The interval varies, so that Sentinels that were
    /// started together do not keep asking for votes at the same time.
    fn tick(&mut self) {
        self.check_tilt();
        for master in self.masters.values_mut() {
            master.tick(&mut self.common);
        }
        self.run_scripts();
        let hz = 10 + self.common.rng.below(10);
        self.next_tick = Some(self.common.now + Duration::from_millis(1_000 / hz));
        self.handle_link_events();
    }

    /// Enters TILT mode if the clock went back or too far forward since the last timer, and leaves
    /// it after a while.
    fn check_tilt(&mut self) {
        let common = &mut self.common;
        let last = self.last_tick.replace(common.wall);
        let jumped = last.is_some_and(|last| {
            let trigger =
                u64::try_from(common.periods.tilt_trigger.as_millis()).unwrap_or(u64::MAX);
            common.wall < last || common.wall.as_millis() - last.as_millis() > trigger
        });
        if jumped {
            common.tilt = Some(common.now);
            common.event(LogLevel::Warning, "+tilt", "#tilt mode entered".to_owned(), None);
        } else if common.tilt.is_some_and(|since| common.now.since(since) >= common.periods.tilt) {
            common.tilt = None;
            common.event(LogLevel::Warning, "-tilt", "#tilt mode exited".to_owned(), None);
        }
    }

    fn run_scripts(&mut self) {
        let common = &mut self.common;
        for job in common.scripts.start(common.now) {
            common.effects.push_back(Effect::Run(job));
        }
        for (path, pid) in common.scripts.overdue(common.now, common.periods.script_max_runtime) {
            common.event(LogLevel::Warning, "-script-timeout", format!("{path} {pid}"), None);
            common.effects.push_back(Effect::Kill(pid));
        }
    }

    /// Handles the events of connections.
    fn handle_link_events(&mut self) {
        while let Some(((link, lane), event)) = self.common.links.poll_event(self.common.now) {
            match event {
                Event::Connected { peer, .. } => self.connected(link, &peer),
                Event::Reply { token, value, .. } => self.replied(link, &token, &value),
                Event::Push(items) => self.message(&items),
                Event::Refused { .. } => {}
                Event::Closed { reason, .. } => self.closed(link, lane, &reason),
            }
        }
    }

    /// A connection is established, which tells the IP address of the host name.
    fn connected(&mut self, link: LinkId, peer: &crate::machine::Endpoint) {
        let crate::machine::Endpoint::Ip(peer) = peer else { return };
        let common = &mut self.common;
        for master in self.masters.values_mut() {
            let instances = core::iter::once(&mut master.instance)
                .chain(master.replicas.values_mut().map(|replica| &mut replica.instance))
                .chain(master.sentinels.values_mut().map(|other| &mut other.instance));
            for instance in instances.filter(|instance| instance.link == link) {
                if instance.addr.host.parse::<std::net::IpAddr>().is_err() {
                    common.names.learn(&instance.addr.host, peer.ip());
                    instance.addr.ip = Some(peer.ip());
                }
            }
        }
    }

    fn closed(&mut self, link: LinkId, lane: Lane, reason: &CloseReason) {
        if *reason == CloseReason::Requested {
            return;
        }
        let event = match lane {
            Lane::Commands => "-cmd-link-reconnection",
            Lane::PubSub => "-pubsub-link-reconnection",
        };
        let more = format!(" #{reason}");
        for master in self.masters.values() {
            let common = &mut self.common;
            let of = |instance: &instance::Instance| instance.link == link;
            if of(&master.instance) {
                master.event(common, LogLevel::Debug, event, &more);
            }
            let replicas = master.replicas.values().map(|replica| &replica.instance);
            let others = master.sentinels.values().map(|other| &other.instance);
            for instance in replicas.chain(others).filter(|instance| of(instance)) {
                master.event_of(common, LogLevel::Debug, event, instance, &more);
            }
        }
    }

    fn replied(&mut self, link: LinkId, asked: &InFlight, value: &Value) {
        let now = self.common.now;
        if asked.what == Purpose::Ping
            && let Some(link) = self.common.links.get_mut(link)
            && let Value::Simple(text) | Value::Error(text) = value.plain()
        {
            link.last_pong = now;
            let available = [&b"PONG"[..], b"LOADING", b"MASTERDOWN"];
            if available.iter().any(|word| text.starts_with(word)) {
                link.last_available = now;
                link.ping_waiting = None;
            }
        }
        let master = self.masters.values_mut().find(|master| master.id() == asked.master);
        if let Some(master) = master {
            master.answered(&mut self.common, asked.instance, asked.what, value);
            master.finish(&mut self.common);
        }
    }

    /// Handles a message on a server's hello channel.
    fn message(&mut self, items: &[Value]) {
        if let [Value::Bulk(kind), Value::Bulk(_), Value::Bulk(message)] = items
            && kind == b"message"
        {
            self.hello(message);
        }
    }

    /// Handles a hello message of another Sentinel.
    fn handle_hello(&mut self, hello: &Hello) {
        if !self.masters.contains_key(&hello.master) {
            return;
        }
        let known = self.masters.get(&hello.master).and_then(|master| {
            let other = master.sentinels.get(&hello.id)?;
            let addr = &other.instance.addr;
            Some(addr.port == hello.port && self.common.names.is_at(addr, &hello.host))
        });
        if known != Some(true) {
            self.new_sentinel(hello, known.is_some());
        }
        let common = &mut self.common;
        let Some(master) = self.masters.get_mut(&hello.master) else { return };
        if hello.epoch > common.epoch {
            common.epoch = hello.epoch;
            common.save();
            master.event_text(common, "+new-epoch", hello.epoch.to_string());
        }
        let now = common.now;
        let Some(other) = master.sentinels.get_mut(&hello.id) else { return };
        other.last_hello = now;
        let other = other.instance.clone();
        if master.config_epoch >= hello.config_epoch {
            return;
        }
        // The other Sentinel knows a newer configuration.
        master.config_epoch = hello.config_epoch;
        let from = master.instance.addr.clone();
        if from.port == hello.master_port && common.names.is_at(&from, &hello.master_host) {
            common.save();
            return;
        }
        let Some(to) = common.names.addr(&hello.master_host, hello.master_port) else { return };
        master.event_of(common, LogLevel::Warning, "+config-update-from", &other, "");
        let text = format!(
            "{} {} {} {} {}",
            master.name(),
            common.host(&from),
            from.port,
            hello.master_host,
            hello.master_port
        );
        master.event_text(common, "+switch-master", text);
        master.switch_to(common, to.clone());
        master.reconfigure_clients(common, "observer", &from, &to);
    }

    /// Adds a Sentinel that is unknown, or has a new address.
    fn new_sentinel(&mut self, hello: &Hello, moved: bool) {
        let common = &mut self.common;
        let Some(addr) = common.names.addr(&hello.host, hello.port) else { return };
        if let Some(master) = self.masters.get_mut(&hello.master) {
            if moved {
                master.remove_sentinel(common, &hello.id);
                let more = format!(" ip {} port {} for {}", hello.host, hello.port, hello.id);
                let event = "+sentinel-address-switch";
                master.event(common, LogLevel::Notice, event, &more);
            } else {
                // Another Sentinel had this address before.
                let before = master.sentinels.values().find(|o| o.instance.addr.same_as(&addr));
                if let Some(before) = before.map(|other| other.instance.clone()) {
                    let event = "+sentinel-invalid-addr";
                    master.event_of(common, LogLevel::Notice, event, &before, "");
                    for master in self.masters.values_mut() {
                        master.remove_sentinel(common, &before.name);
                    }
                }
            }
        }
        let Some(master) = self.masters.get_mut(&hello.master) else { return };
        let Some(other) = master.add_sentinel(common, &hello.id, addr) else { return };
        let instance = other.instance.clone();
        if !moved {
            master.event_of(common, LogLevel::Notice, "+sentinel", &instance, "");
        }
        self.share_link(&hello.master, &hello.id);
        if moved {
            self.moved_sentinel(&hello.master, &hello.id);
        }
        self.common.save();
    }

    /// Shares the link to a Sentinel that is already connected because of another master.
    fn share_link(&mut self, master: &str, id: &str) {
        let elsewhere = |(name, other): (&String, &Master)| {
            let other = other.sentinels.get(id).filter(|_| name != master)?;
            Some(other.instance.link)
        };
        let Some(link) = self.masters.iter().find_map(elsewhere) else { return };
        let own = self.masters.get_mut(master).and_then(|master| master.sentinels.get_mut(id));
        if let Some(own) = own
            && own.instance.link != link
        {
            self.common.links.share(link);
            self.common.links.release(core::mem::replace(&mut own.instance.link, link));
        }
    }

    /// Updates the address of a Sentinel for all masters that it monitors, too.
    fn moved_sentinel(&mut self, master: &str, id: &str) {
        let common = &mut self.common;
        let find = |masters: &SortedMap<String, Master>| {
            Some(masters.get(master)?.sentinels.get(id)?.instance.clone())
        };
        let Some(moved) = find(&self.masters) else { return };
        common.links.close(moved.link);
        let mut count = 0;
        for other in self.masters.values_mut().filter(|other| other.name() != master) {
            if let Some(same) = other.sentinels.get_mut(id) {
                common.links.close(same.instance.link);
                same.instance.addr = moved.addr.clone();
                count += 1;
            }
        }
        if count > 0
            && let Some(master) = self.masters.get(master)
        {
            let more = format!(" {count} additional matching instances");
            let event = "+sentinel-address-update";
            master.event_of(common, LogLevel::Notice, event, &moved, &more);
        }
    }
}

/// The reply to another Sentinel's question whether a master is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownReply {
    /// Whether this Sentinel considers it to be down.
    pub down: bool,
    /// The vote, if one was requested.
    pub ballot: Option<Ballot>,
    /// The master's name; empty if this Sentinel does not monitor it.
    pub master: String,
}

fn find<'m>(masters: &'m SortedMap<String, Master>, name: &[u8]) -> Option<&'m Master> {
    masters.get(core::str::from_utf8(name).ok()?)
}

fn find_mut<'m>(masters: &'m mut SortedMap<String, Master>, name: &[u8]) -> Option<&'m mut Master> {
    masters.get_mut(core::str::from_utf8(name).ok()?)
}
