//! A monitored master with its replicas and the other Sentinels, and how it is watched.

use super::addr::Addr;
use super::common::Common;
use super::failover::{Failover, FailoverState};
use super::hello::{CHANNEL, Hello};
use super::instance::{Access, Instance, Kind};
use super::link::Question;
use super::report::{Info, Report, Role};
use crate::machine::LogLevel;
use crate::resp::value::Value;
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono};

/// A master that is monitored.
#[derive(Clone, Debug)]
pub struct Master {
    /// What it has in common with all that is watched.
    pub instance: Instance,
    /// What it says of itself.
    pub report: Report,
    /// How many Sentinels must hold it to be down before it is (ODOWN).
    pub quorum: u32,
    /// How many replicas are turned to a new master at once.
    pub parallel_syncs: u32,
    /// See [`Failover`] for what it bounds.
    pub failover_timeout: Duration,
    /// How its servers are spoken to.
    pub access: Access,
    /// Told of every warning.
    pub notification_script: Option<String>,
    /// Told of every change of the master.
    pub client_reconfig_script: Option<String>,
    /// How long it may take to come back after a restart; zero if a restart is nothing special.
    pub reboot_down_after: Duration,
    /// Since when it has been restarting, if it is.
    pub rebooting: Option<Mono>,
    /// The epoch in which this configuration was decided.
    pub config_epoch: u64,
    /// Our vote in the leader election, with its epoch.
    pub vote: Vote,
    /// Whether enough Sentinels hold it to be down.
    pub odown: bool,
    /// Since when they do, or last did.
    pub odown_since: Option<Mono>,
    /// The failover that is under way, and when the last one began.
    pub failover: Failover,
    /// Its replicas, by host and port.
    pub replicas: SortedMap<String, Replica>,
    /// The other Sentinels that monitor it, by their ids.
    pub sentinels: SortedMap<String, OtherSentinel>,
}

/// A vote for the leader of a failover.
#[derive(Clone, Debug, Default)]
pub struct Vote {
    /// The candidate. `None` after a restart: only the epoch of the vote is kept on disk.
    pub leader: Option<String>,
    /// The epoch. There is one vote in each.
    pub epoch: u64,
    /// The state that holds the vote. It is not given before that is on disk.
    pub(super) state: u64,
    /// Whether the vote has still to be told of.
    pub(super) news: bool,
}

/// A replica of a monitored master.
#[derive(Clone, Debug)]
pub struct Replica {
    /// What it has in common with all that is watched.
    pub instance: Instance,
    /// What it says of itself.
    pub report: Report,
    /// How far it has come in following a new master.
    pub reconf: Reconf,
}

/// How far a replica has come in following a new master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconf {
    /// It has not been told.
    None,
    /// It has been told, at this time.
    Sent(Mono),
    /// It says that it follows the new master.
    InProgress,
    /// It is in step with the new master, or took too long.
    Done,
}

/// Another Sentinel.
#[derive(Clone, Debug)]
pub struct OtherSentinel {
    /// What it has in common with all that is watched.
    pub instance: Instance,
    /// Whether it told that it holds the master to be down.
    pub master_down: bool,
    /// When it last answered whether it does.
    pub last_answer: Mono,
    /// When its last hello message came.
    pub last_hello: Mono,
    /// The candidate that it voted for.
    pub leader: Option<String>,
    /// In which epoch.
    pub leader_epoch: u64,
}

impl Master {
    pub(super) fn new(common: &mut Common, name: String, addr: Addr, quorum: u32) -> Self {
        let down_after = common.periods.default_down_after;
        Master {
            instance: Instance::new(common, Kind::Master, name, addr, down_after),
            report: Report::none(Role::Master, common.now),
            quorum,
            parallel_syncs: 1,
            failover_timeout: common.periods.default_failover_timeout,
            access: Access::default(),
            notification_script: None,
            client_reconfig_script: None,
            reboot_down_after: Duration::ZERO,
            rebooting: None,
            config_epoch: 0,
            vote: Vote::default(),
            odown: false,
            odown_since: None,
            failover: Failover::default(),
            replicas: SortedMap::new(),
            sentinels: SortedMap::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.instance.name
    }

    pub(super) fn id(&self) -> u64 {
        self.instance.id
    }

    /// Where clients find the master: at the promoted replica as soon as that is one.
    pub fn current_addr(&self) -> &Addr {
        let promoted = self.failover.promoted.as_ref().and_then(|name| self.replicas.get(name));
        match promoted {
            Some(replica) if self.failover.state >= FailoverState::ReconfReplicas => {
                &replica.instance.addr
            }
            _ => &self.instance.addr,
        }
    }

    // ---- Events ----

    /// Tells of an event that is about the master.
    pub(super) fn event(&self, common: &mut Common, level: LogLevel, event: &str, more: &str) {
        let message = format!("{}{more}", self.instance.label(common, None));
        common.event(level, event, message, self.notification_script.as_deref());
    }

    /// Tells of an event that is about a replica or another Sentinel.
    pub(super) fn event_of(
        &self,
        common: &mut Common,
        level: LogLevel,
        event: &str,
        of: &Instance,
        more: &str,
    ) {
        let message = format!("{}{more}", of.label(common, Some(&self.instance)));
        common.event(level, event, message, self.notification_script.as_deref());
    }

    /// Tells of an event with a text of its own.
    pub(super) fn event_text(&self, common: &mut Common, event: &str, text: String) {
        common.event(LogLevel::Warning, event, text, self.notification_script.as_deref());
    }

    // ---- Instances ----

    /// The replica at a host and port.
    pub(super) fn replica_at(&self, common: &Common, host: &str, port: u16) -> Option<&Replica> {
        self.replicas.values().find(|replica| {
            let addr = &replica.instance.addr;
            addr.port == port && common.names.is_at(addr, host)
        })
    }

    /// Adds a replica. `None` if it is known.
    pub(super) fn add_replica(&mut self, common: &mut Common, addr: Addr) -> Option<&Replica> {
        let name = addr.with_port(common.settings.announce_hostnames);
        if self.replicas.contains_key(&name) {
            return None;
        }
        let down_after = self.instance.down_after;
        let instance = Instance::new(common, Kind::Replica, name.clone(), addr, down_after);
        let report = Report::none(Role::Replica, common.now);
        self.replicas.insert(name.clone(), Replica { instance, report, reconf: Reconf::None });
        self.replicas.get(&name)
    }

    /// Adds another Sentinel. `None` if it is known.
    pub(super) fn add_sentinel(
        &mut self,
        common: &mut Common,
        id: &str,
        addr: Addr,
    ) -> Option<&mut OtherSentinel> {
        if self.sentinels.contains_key(id) {
            return None;
        }
        let down_after = self.instance.down_after;
        let mut instance = Instance::new(common, Kind::Sentinel, id.to_owned(), addr, down_after);
        instance.run_id = Some(id.to_owned());
        let now = common.now;
        let other = OtherSentinel {
            instance,
            master_down: false,
            last_answer: now,
            last_hello: now,
            leader: None,
            leader_epoch: 0,
        };
        self.sentinels.insert(id.to_owned(), other);
        self.sentinels.get_mut(id)
    }

    /// Forgets another Sentinel. True if it was known.
    pub(super) fn remove_sentinel(&mut self, common: &mut Common, id: &str) -> bool {
        let removed = self.sentinels.remove(id);
        if let Some(other) = &removed {
            common.links.release(other.instance.link);
        }
        removed.is_some()
    }

    /// Sets after how long without a sign of life something is down.
    pub(super) fn set_down_after(&mut self, down_after: Duration) {
        self.instance.down_after = down_after;
        for replica in self.replicas.values_mut() {
            replica.instance.down_after = down_after;
        }
        for other in self.sentinels.values_mut() {
            other.instance.down_after = down_after;
        }
    }

    /// Closes the connections to the master and its replicas: they are to authenticate anew.
    pub(super) fn drop_connections(&self, common: &mut Common) {
        common.links.close(self.instance.link);
        for replica in self.replicas.values() {
            common.links.close(replica.instance.link);
        }
    }

    /// Forgets the links of all that belongs to it, because it is no longer monitored.
    pub(super) fn release(&self, common: &mut Common) {
        common.links.release(self.instance.link);
        for replica in self.replicas.values() {
            common.links.release(replica.instance.link);
        }
        for other in self.sentinels.values() {
            common.links.release(other.instance.link);
        }
    }

    /// Forgets what was learned at run time: replicas, the failover under way, and unless it is to
    /// keep them the other Sentinels.
    pub(super) fn reset(&mut self, common: &mut Common, keep_sentinels: bool) {
        for replica in self.replicas.values() {
            common.links.release(replica.instance.link);
        }
        self.replicas.clear();
        if !keep_sentinels {
            for other in self.sentinels.values() {
                common.links.release(other.instance.link);
            }
            self.sentinels.clear();
        }
        common.links.reset(common.now, self.instance.link);
        self.instance.sdown = false;
        self.instance.script_kill_sent = false;
        self.instance.run_id = None;
        self.odown = false;
        self.rebooting = None;
        self.vote.leader = None;
        self.vote.news = false;
        self.failover.forget();
        self.report = Report::none(Role::Master, common.now);
    }

    /// The master is at another address from now on. The old one becomes a replica, so that it is
    /// turned into one when it comes back.
    pub(super) fn switch_to(&mut self, common: &mut Common, addr: Addr) {
        let mut replicas: Vec<Addr> = self
            .replicas
            .values()
            .map(|replica| replica.instance.addr.clone())
            .filter(|old| !old.same_as(&addr))
            .collect();
        if !addr.same_as(&self.instance.addr) {
            replicas.push(self.instance.addr.clone());
        }
        self.reset(common, true);
        self.instance.addr = addr;
        self.instance.sdown_since = None;
        self.odown_since = None;
        for addr in replicas {
            if let Some(replica) = self.add_replica(common, addr) {
                let instance = replica.instance.clone();
                self.event_of(common, LogLevel::Notice, "+slave", &instance, "");
            }
        }
        common.save();
    }

    /// Runs the script that tells clients where the master is now.
    pub(super) fn reconfigure_clients(
        &self,
        common: &mut Common,
        role: &str,
        from: &Addr,
        to: &Addr,
    ) {
        let Some(script) = &self.client_reconfig_script else { return };
        let words = [self.name(), role, "start"].map(str::to_owned);
        let ends = [from, to].map(|addr| [common.host(addr), addr.port.to_string()]);
        let argv = [script.clone()].into_iter().chain(words).chain(ends.into_iter().flatten());
        common.scripts.schedule(argv.collect());
    }

    // ---- Watching ----

    /// Does what is due: connects, asks, judges, and goes on with a failover.
    pub(super) fn tick(&mut self, common: &mut Common) {
        self.tick_own(common);
        let names: Vec<String> = self.replicas.keys().cloned().collect();
        for name in names {
            self.tick_replica(common, &name);
        }
        let ids: Vec<String> = self.sentinels.keys().cloned().collect();
        for id in ids {
            self.tick_sentinel(common, &id);
        }
        self.finish(common);
    }

    /// Puts the promoted replica into the master's place, if a failover has come that far.
    pub(super) fn finish(&mut self, common: &mut Common) {
        if self.failover.state == FailoverState::UpdateConfig {
            self.switch_to_promoted(common);
        }
    }

    fn tick_own(&mut self, common: &mut Common) {
        let report = Some((&self.report, common.periods.info));
        self.keep_in_touch(common, &self.instance, report);
        if common.tilt.is_some() {
            return;
        }
        let now = common.now;
        let patience = self.instance.down_after + common.periods.info * 2;
        let deserted =
            self.report.role == Role::Replica && now.since(self.report.role_since) > patience;
        let late = self.rebooting.is_some_and(|since| now.since(since) > self.reboot_down_after);
        let down = self.instance.silence(common) > self.instance.down_after || deserted || late;
        if let Some(event) = self.instance.set_sdown(now, down) {
            self.event(common, LogLevel::Warning, event, "");
        }
        self.advance(common);
        self.ask_others(common, false);
    }

    fn tick_replica(&mut self, common: &mut Common, name: &str) {
        let Some(replica) = self.replicas.get(name) else { return };
        // It is watched closely while it may become a master, and while its own link is down.
        let close = self.odown || self.failover.is_running() || !replica.report.link_down.is_zero();
        let period = if close { Duration::from_secs(1) } else { common.periods.info };
        self.keep_in_touch(common, &replica.instance, Some((&replica.report, period)));
        if let Some(replica) = self.replicas.get_mut(name) {
            let change = judge_silence(common, &mut replica.instance);
            self.tell_change(common, change);
        }
    }

    fn tick_sentinel(&mut self, common: &mut Common, id: &str) {
        let Some(other) = self.sentinels.get(id) else { return };
        self.keep_in_touch(common, &other.instance, None);
        if let Some(other) = self.sentinels.get_mut(id) {
            let change = judge_silence(common, &mut other.instance);
            self.tell_change(common, change);
        }
    }

    /// Connects to an instance, and asks it what is due: INFO, if it tells of itself, PING, and that it
    /// publishes our hello. Closes what is dead, unless the clock is not to be trusted.
    fn keep_in_touch(
        &self,
        common: &mut Common,
        watched: &Instance,
        report: Option<(&Report, Duration)>,
    ) {
        let (id, access) = (self.id(), &self.access);
        watched.reconnect(common, id, access);
        if !common.links.is_disconnected(watched.link) && !watched.is_congested(common) {
            if let Some((report, period)) = report
                && Instance::info_due(common, report, period)
            {
                watched.send(common, id, Question::Info, &[access.name("INFO")]);
            }
            if watched.ping_due(common) {
                watched.ping(common, id, access);
            }
            if watched.hello_due(common) {
                self.send_hello(common, watched);
            }
        }
        if common.tilt.is_none() {
            watched.close_dead_connections(common);
        }
    }

    fn tell_change(&self, common: &mut Common, change: Option<(&'static str, Instance)>) {
        if let Some((event, instance)) = change {
            self.event_of(common, LogLevel::Warning, event, &instance, "");
        }
    }

    /// Tells about us, and about what we hold to be the configuration.
    fn send_hello(&self, common: &mut Common, to: &Instance) {
        let local = common.links.get(to.link).and_then(|link| link.local);
        let settings = &common.settings;
        let host = settings.announce_ip.clone().or_else(|| local.map(|ip| ip.to_string()));
        let Some(host) = host else { return };
        let port = match settings.announce_port {
            0 => settings.port,
            port => port,
        };
        let addr = self.current_addr();
        let hello = Hello {
            host,
            port,
            id: common.id.clone(),
            epoch: common.epoch,
            master: self.name().to_owned(),
            master_host: common.host(addr),
            master_port: addr.port,
            config_epoch: self.config_epoch,
        };
        let words = [self.access.name("PUBLISH"), CHANNEL.to_owned(), hello.to_string()];
        to.send(common, self.id(), Question::Hello, &words);
    }

    /// Has hello messages sent to all at the next tick, because there is something new to tell.
    pub(super) fn hello_soon(&mut self) {
        self.instance.last_hello_sent = None;
        for replica in self.replicas.values_mut() {
            replica.instance.last_hello_sent = None;
        }
        for other in self.sentinels.values_mut() {
            other.instance.last_hello_sent = None;
        }
    }

    // ---- Replies ----

    /// A reply came to something that was asked about one of its instances.
    pub(super) fn answered(
        &mut self,
        common: &mut Common,
        id: u64,
        question: Question,
        value: &Value,
    ) {
        match question {
            Question::Nothing => {}
            Question::Ping => self.pong(common, id, value),
            Question::Hello if value.is_error() => {}
            Question::Hello => {
                let now = common.now;
                if let Some(instance) = self.instance_mut(id) {
                    instance.last_hello_sent = Some(now);
                }
            }
            Question::Info => {
                if let Value::Bulk(text) | Value::Verbatim { text, .. } = value.plain() {
                    self.informed(common, id, text);
                }
            }
            Question::MasterDown => self.heard_verdict(common, id, value),
        }
    }

    fn instance_mut(&mut self, id: u64) -> Option<&mut Instance> {
        if self.instance.id == id {
            return Some(&mut self.instance);
        }
        let replicas = self.replicas.values_mut().map(|replica| &mut replica.instance);
        let sentinels = self.sentinels.values_mut().map(|other| &mut other.instance);
        replicas.chain(sentinels).find(|instance| instance.id == id)
    }

    /// The reply to PING: any is a sign of life, but a server that is busy with a script, or says
    /// anything else, is not available.
    fn pong(&mut self, common: &mut Common, id: u64, value: &Value) {
        let (Value::Simple(text) | Value::Error(text)) = value.plain() else { return };
        if text.starts_with(b"PONG") && self.instance.id == id {
            self.rebooting = None;
        }
        if !text.starts_with(b"BUSY") {
            return;
        }
        let (master, kill) = (self.id(), self.access.name("SCRIPT"));
        if let Some(instance) = self.instance_mut(id)
            && instance.sdown
            && !instance.script_kill_sent
        {
            instance.script_kill_sent = true;
            instance.send(common, master, Question::Nothing, &[kill.as_str(), "KILL"]);
        }
    }

    /// The reply to INFO.
    fn informed(&mut self, common: &mut Common, id: u64, text: &[u8]) {
        let info = Info::parse(text);
        if self.instance.id == id {
            self.rebooted(common, None, &info);
            self.find_replicas(common, &info);
            if self.report.update(common.now, &info, text) {
                self.role_changed(common, None);
            }
            return;
        }
        let name = self.replicas.iter().find(|(_, replica)| replica.instance.id == id);
        let Some(name) = name.map(|(name, _)| name.clone()) else { return };
        self.rebooted(common, Some(&name), &info);
        let now = common.now;
        let changed = self
            .replicas
            .get_mut(&name)
            .is_some_and(|replica| replica.report.update(now, &info, text));
        if changed {
            self.role_changed(common, Some(&name));
        }
        if common.tilt.is_none() {
            self.replica_informed(common, &name);
            self.advance(common);
        }
    }

    /// Notes the run id; another one than before shows that the server was restarted.
    fn rebooted(&mut self, common: &mut Common, replica: Option<&str>, info: &Info) {
        let Some(run_id) = &info.run_id else { return };
        let instance = match replica {
            None => Some(&mut self.instance),
            Some(name) => self.replicas.get_mut(name).map(|replica| &mut replica.instance),
        };
        let Some(instance) = instance else { return };
        let before = instance.run_id.replace(run_id.clone());
        if before.is_none_or(|before| before == *run_id) {
            return;
        }
        match replica {
            Some(_) => {
                let instance = instance.clone();
                self.event_of(common, LogLevel::Notice, "+reboot", &instance, "");
            }
            None => {
                self.event(common, LogLevel::Notice, "+reboot", "");
                if !self.reboot_down_after.is_zero() {
                    self.rebooting = Some(common.now);
                }
            }
        }
    }

    fn find_replicas(&mut self, common: &mut Common, info: &Info) {
        for (host, port) in &info.replicas {
            if self.replica_at(common, host, *port).is_some() {
                continue;
            }
            let Some(addr) = common.names.addr(host, *port) else { continue };
            if let Some(replica) = self.add_replica(common, addr) {
                let instance = replica.instance.clone();
                self.event_of(common, LogLevel::Notice, "+slave", &instance, "");
                common.save();
            }
        }
    }

    fn role_changed(&self, common: &mut Common, replica: Option<&str>) {
        let replica = replica.and_then(|name| self.replicas.get(name));
        let (role, thought) = match replica {
            None => (self.report.role, Role::Master),
            Some(replica) => (replica.report.role, Role::Replica),
        };
        let event = if role == thought { "+role-change" } else { "-role-change" };
        let more = format!(" new reported role is {}", role.word());
        match replica {
            None => self.event(common, LogLevel::Verbose, event, &more),
            Some(replica) => {
                self.event_of(common, LogLevel::Verbose, event, &replica.instance, &more);
            }
        }
    }

    /// Acts on what a replica has told of itself.
    fn replica_informed(&mut self, common: &mut Common, name: &str) {
        let Some(replica) = self.replicas.get(name) else { return };
        let (now, master_addr) = (common.now, &self.instance.addr);
        let report = &replica.report;
        let promoted = self.failover.promoted.as_deref() == Some(name);
        if report.role == Role::Master {
            if promoted && self.failover.state == FailoverState::WaitPromotion {
                return self.promotion_seen(common);
            }
            // A replica that has become a master without us is turned back, but not before those
            // who may know more had the time to tell.
            let wait = common.periods.publish * 4;
            if !promoted
                && self.looks_sane(common)
                && not_down_for(&replica.instance, now, wait)
                && now.since(report.role_since) > wait
            {
                let (instance, to) = (replica.instance.clone(), master_addr.clone());
                if self.send_replicaof(common, &instance, Some(&to)) {
                    self.event_of(common, LogLevel::Notice, "+convert-to-slave", &instance, "");
                }
            }
            return;
        }
        let follows = |addr: &Addr| {
            report
                .master
                .as_ref()
                .is_some_and(|(host, port)| *port == addr.port && common.names.is_at(addr, host))
        };
        let wait = self.failover_timeout;
        if !follows(master_addr)
            && self.looks_sane(common)
            && not_down_for(&replica.instance, now, wait)
            && now.since(report.master_since) > wait
        {
            let (instance, to) = (replica.instance.clone(), master_addr.clone());
            if self.send_replicaof(common, &instance, Some(&to)) {
                self.event_of(common, LogLevel::Notice, "+fix-slave-config", &instance, "");
            }
            return;
        }
        let new_master = self.failover.promoted.as_ref().and_then(|name| self.replicas.get(name));
        let follows_new = new_master.is_some_and(|new| follows(&new.instance.addr));
        let link_up = report.link_up;
        self.reconf_progress(common, name, follows_new, link_up);
    }

    /// A replica that was told to follow the new master says how far it has come.
    fn reconf_progress(&mut self, common: &mut Common, name: &str, follows: bool, link_up: bool) {
        let Some(replica) = self.replicas.get_mut(name) else { return };
        let instance = replica.instance.clone();
        let mut events = Vec::new();
        if matches!(replica.reconf, Reconf::Sent(_)) && follows {
            replica.reconf = Reconf::InProgress;
            events.push("+slave-reconf-inprog");
        }
        if replica.reconf == Reconf::InProgress && link_up {
            replica.reconf = Reconf::Done;
            events.push("+slave-reconf-done");
        }
        for event in events {
            self.event_of(common, LogLevel::Notice, event, &instance, "");
        }
    }

    /// Whether the master is one, says so, is up and was heard of lately.
    fn looks_sane(&self, common: &Common) -> bool {
        self.report.role == Role::Master
            && !self.instance.sdown
            && !self.odown
            && self.report.is_fresh(common.now, common.periods.info * 2)
    }

    /// Has a server follow `to`, or no server, write that down, and close the connections of its
    /// clients, which are to ask for the master anew. What it does shows in INFO, which is asked
    /// for right behind. False if there is no connection.
    pub(super) fn send_replicaof(
        &self,
        common: &mut Common,
        instance: &Instance,
        to: Option<&Addr>,
    ) -> bool {
        let (host, port) = match to {
            None => ("NO".to_owned(), "ONE".to_owned()),
            Some(addr) => (common.host(addr), addr.port.to_string()),
        };
        let [multi, slaveof, config, client, exec, info] =
            ["MULTI", "SLAVEOF", "CONFIG", "CLIENT", "EXEC", "INFO"]
                .map(|name| self.access.name(name));
        let commands: [&[&str]; 6] = [
            &[&multi],
            &[&slaveof, &host, &port],
            &[&config, "REWRITE"],
            &[&client, "KILL", "TYPE", "normal"],
            &[&client, "KILL", "TYPE", "pubsub"],
            &[&exec],
        ];
        let id = self.id();
        commands.iter().all(|words| instance.send(common, id, Question::Nothing, words))
            && instance.send(common, id, Question::Info, &[info])
    }
}

impl Report {
    /// Takes in a new report. True if the role is another one than before.
    pub(super) fn update(&mut self, now: Mono, info: &Info, text: &[u8]) -> bool {
        self.text = Some(text.into());
        self.refreshed = Some(now);
        self.link_down = info.link_down;
        if info.role == Some(Role::Replica) {
            let same =
                |a: &(String, u16), b: &(String, u16)| a.1 == b.1 && a.0.eq_ignore_ascii_case(&b.0);
            if let Some(master) = &info.master
                && !self.master.as_ref().is_some_and(|before| same(before, master))
            {
                self.master = Some(master.clone());
                self.master_since = now;
            }
            self.link_up = info.link_up.unwrap_or(self.link_up);
            self.priority = info.priority.unwrap_or(self.priority);
            self.offset = info.offset.unwrap_or(self.offset);
            self.announced = info.announced.unwrap_or(self.announced);
        }
        match info.role {
            Some(role) if role != self.role => {
                self.role = role;
                self.role_since = now;
                if role == Role::Replica {
                    self.master_since = now;
                }
                true
            }
            _ => false,
        }
    }
}

/// Holds a replica or a Sentinel to be down (SDOWN) that has been silent for too long, or up again. The
/// event, if that is new.
fn judge_silence(common: &Common, watched: &mut Instance) -> Option<(&'static str, Instance)> {
    if common.tilt.is_some() {
        return None;
    }
    let down = watched.silence(common) > watched.down_after;
    let event = watched.set_sdown(common.now, down)?;
    Some((event, watched.clone()))
}

/// Whether something has not been down within the last while.
fn not_down_for(instance: &Instance, now: Mono, wait: Duration) -> bool {
    instance.sdown_since.is_none_or(|since| now.since(since) > wait)
}
