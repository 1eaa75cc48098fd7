//! A monitored master with its replicas and the other Sentinels.

use super::addr::Addr;
use super::common::Common;
use super::failover::{Failover, FailoverState};
use super::hello::{CHANNEL, Hello};
use super::instance::{Access, Instance, Kind};
use super::link::Purpose;
use super::report::{Info, Report, Role};
use crate::machine::LogLevel;
use crate::resp::value::Value;
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono};

/// A monitored master.
#[derive(Clone, Debug)]
pub struct Master {
    /// The common state of monitored instances.
    pub instance: Instance,
    /// Its last INFO.
    pub report: Report,
    /// How many Sentinels have to consider it to be down for ODOWN.
    pub quorum: u32,
    /// How many replicas are reconfigured at the same time after a failover.
    pub parallel_syncs: u32,
    /// See [`Failover`] for what it limits.
    pub failover_timeout: Duration,
    /// How to authenticate to its servers.
    pub access: Access,
    /// The script that is run for every warning.
    pub notification_script: Option<String>,
    /// The script that is run for every change of the master.
    pub client_reconfig_script: Option<String>,
    /// How long it may take to be reachable again after a restart; zero disables this.
    pub reboot_down_after: Duration,
    /// Since when it has been restarting.
    pub rebooting: Option<Mono>,
    /// The epoch of its configuration.
    pub config_epoch: u64,
    /// This Sentinel's vote in the leader election.
    pub vote: Vote,
    /// Whether enough Sentinels consider it to be down (ODOWN).
    pub odown: bool,
    /// Since when ODOWN is set, or was set the last time.
    pub odown_since: Option<Mono>,
    /// The state of its failover.
    pub failover: Failover,
    /// Its replicas, by host and port.
    pub replicas: SortedMap<String, Replica>,
    /// The other Sentinels that monitor it, by ID.
    pub sentinels: SortedMap<String, OtherSentinel>,
}

/// A vote in the election of a failover's leader.
#[derive(Clone, Debug, Default)]
pub struct Vote {
    /// The candidate. `None` after a restart, since only the epoch is saved.
    pub leader: Option<String>,
    /// The epoch; there is one vote in each.
    pub epoch: u64,
    /// The state that contains the vote, which is not sent before that is on disk.
    pub(super) state: u64,
    /// Whether the event of the vote was not published yet.
    pub(super) unpublished: bool,
}

/// A replica of a monitored master.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The common state of monitored instances.
    pub instance: Instance,
    /// Its last INFO.
    pub report: Report,
    /// The progress of its reconfiguration to a new master.
    pub reconf: Reconf,
}

/// The progress of reconfiguring a replica to a new master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconf {
    /// REPLICAOF was not sent yet.
    None,
    /// REPLICAOF was sent at this time.
    Sent(Mono),
    /// It reports that it replicates the new master.
    InProgress,
    /// It is in sync with the new master, or has timed out.
    Done,
}

/// Another Sentinel.
#[derive(Clone, Debug)]
pub struct OtherSentinel {
    /// The common state of monitored instances.
    pub instance: Instance,
    /// Whether it reported the master as down.
    pub master_down: bool,
    /// When it last replied to that question.
    pub last_answer: Mono,
    /// When its last hello message arrived.
    pub last_hello: Mono,
    /// The candidate that it voted for.
    pub leader: Option<String>,
    /// The epoch of that vote.
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

    /// The address of the master for clients: that of the promoted replica once the promotion is
    /// confirmed.
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

    /// Publishes an event about the master.
    pub(super) fn event(&self, common: &mut Common, level: LogLevel, event: &str, more: &str) {
        let message = format!("{}{more}", self.instance.label(common, None));
        common.event(level, event, message, self.notification_script.as_deref());
    }

    /// Publishes an event about a replica or another Sentinel.
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

    /// Publishes an event with its own text.
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

    /// Adds a replica. `None` if it exists already.
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

    /// Adds another Sentinel. `None` if it exists already.
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

    /// Removes another Sentinel. True if it existed.
    pub(super) fn remove_sentinel(&mut self, common: &mut Common, id: &str) -> bool {
        let removed = self.sentinels.remove(id);
        if let Some(other) = &removed {
            common.links.release(other.instance.link);
        }
        removed.is_some()
    }

    /// Sets `down-after-milliseconds` of all instances.
    pub(super) fn set_down_after(&mut self, down_after: Duration) {
        self.instance.down_after = down_after;
        for replica in self.replicas.values_mut() {
            replica.instance.down_after = down_after;
        }
        for other in self.sentinels.values_mut() {
            other.instance.down_after = down_after;
        }
    }

    /// Closes the connections to the master and its replicas, so that they authenticate again.
    pub(super) fn drop_connections(&self, common: &mut Common) {
        common.links.close(self.instance.link);
        for replica in self.replicas.values() {
            common.links.close(replica.instance.link);
        }
    }

    /// Releases the links of all instances, when the master is removed.
    pub(super) fn release(&self, common: &mut Common) {
        common.links.release(self.instance.link);
        for replica in self.replicas.values() {
            common.links.release(replica.instance.link);
        }
        for other in self.sentinels.values() {
            common.links.release(other.instance.link);
        }
    }

    /// Forgets everything discovered: replicas, the failover in progress and, unless
    /// `keep_sentinels` is set, the other Sentinels.
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
        self.vote.unpublished = false;
        self.failover.forget();
        self.report = Report::none(Role::Master, common.now);
    }

    /// Changes the address of the master. The old address becomes a replica, so that it is
    /// reconfigured when it is reachable again.
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

    /// Runs the client reconfiguration script.
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

    // ---- Monitoring ----

    /// Does the periodic work: connects, sends commands, updates SDOWN, and continues a failover.
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

    /// Replaces the master by the promoted replica, if the failover has come to that.
    pub(super) fn finish(&mut self, common: &mut Common) {
        if self.failover.state == FailoverState::UpdateConfig {
            self.switch_to_promoted(common);
        }
    }

    fn tick_own(&mut self, common: &mut Common) {
        let report = Some((&self.report, common.periods.info));
        self.contact(common, &self.instance, report);
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
        // INFO is sent more often while it may become a master, or its replication link is down.
        let close = self.odown || self.failover.is_running() || !replica.report.link_down.is_zero();
        let period = if close { Duration::from_secs(1) } else { common.periods.info };
        self.contact(common, &replica.instance, Some((&replica.report, period)));
        if let Some(replica) = self.replicas.get_mut(name) {
            let change = update_sdown(common, &mut replica.instance);
            self.publish_change(common, change);
        }
    }

    fn tick_sentinel(&mut self, common: &mut Common, id: &str) {
        let Some(other) = self.sentinels.get(id) else { return };
        self.contact(common, &other.instance, None);
        if let Some(other) = self.sentinels.get_mut(id) {
            let change = update_sdown(common, &mut other.instance);
            self.publish_change(common, change);
        }
    }

    /// Connects to an instance, sends INFO (to servers), PING and hello messages that are due, and
    /// closes dead connections unless in TILT.
    fn contact(
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
                watched.send(common, id, Purpose::Info, &[access.name("INFO")]);
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

    fn publish_change(&self, common: &mut Common, change: Option<(&'static str, Instance)>) {
        if let Some((event, instance)) = change {
            self.event_of(common, LogLevel::Warning, event, &instance, "");
        }
    }

    /// Sends a hello message: this Sentinel, and the configuration that it knows.
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
        to.send(common, self.id(), Purpose::Hello, &words);
    }

    /// Makes hello messages due at the next tick, to announce a change.
    pub(super) fn make_hello_due(&mut self) {
        self.instance.last_hello_sent = None;
        for replica in self.replicas.values_mut() {
            replica.instance.last_hello_sent = None;
        }
        for other in self.sentinels.values_mut() {
            other.instance.last_hello_sent = None;
        }
    }

    // ---- Replies ----

    /// Handles the reply to a command for one of its instances.
    pub(super) fn answered(
        &mut self,
        common: &mut Common,
        id: u64,
        question: Purpose,
        value: &Value,
    ) {
        match question {
            Purpose::Nothing => {}
            Purpose::Ping => self.handle_pong(common, id, value),
            Purpose::Hello if value.is_error() => {}
            Purpose::Hello => {
                let now = common.now;
                if let Some(instance) = self.instance_mut(id) {
                    instance.last_hello_sent = Some(now);
                }
            }
            Purpose::Info => {
                if let Value::Bulk(text) | Value::Verbatim { text, .. } = value.plain() {
                    self.handle_info(common, id, text);
                }
            }
            Purpose::MasterDown => self.handle_down_reply(common, id, value),
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

    /// Handles the reply to PING: ends the wait for a restart, and sends SCRIPT KILL to a server
    /// that is down because a script keeps it busy.
    fn handle_pong(&mut self, common: &mut Common, id: u64, value: &Value) {
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
            instance.send(common, master, Purpose::Nothing, &[kill.as_str(), "KILL"]);
        }
    }

    /// Handles the reply to INFO.
    fn handle_info(&mut self, common: &mut Common, id: u64, text: &[u8]) {
        let info = Info::parse(text);
        if self.instance.id == id {
            self.update_run_id(common, None, &info);
            self.find_replicas(common, &info);
            if self.report.update(common.now, &info, text) {
                self.role_changed(common, None);
            }
            return;
        }
        let name = self.replicas.iter().find(|(_, replica)| replica.instance.id == id);
        let Some(name) = name.map(|(name, _)| name.clone()) else { return };
        self.update_run_id(common, Some(&name), &info);
        let now = common.now;
        let changed = self
            .replicas
            .get_mut(&name)
            .is_some_and(|replica| replica.report.update(now, &info, text));
        if changed {
            self.role_changed(common, Some(&name));
        }
        if common.tilt.is_none() {
            self.check_replica(common, &name);
            self.advance(common);
        }
    }

    /// Updates the run ID; if it has changed, the server was restarted.
    fn update_run_id(&mut self, common: &mut Common, replica: Option<&str>, info: &Info) {
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

    /// Acts on the role that a replica reports.
    fn check_replica(&mut self, common: &mut Common, name: &str) {
        let Some(replica) = self.replicas.get(name) else { return };
        let (now, master_addr) = (common.now, &self.instance.addr);
        let report = &replica.report;
        let promoted = self.failover.promoted.as_deref() == Some(name);
        if report.role == Role::Master {
            if promoted && self.failover.state == FailoverState::WaitPromotion {
                return self.promotion_seen(common);
            }
            // A replica that became a master without this Sentinel is reconfigured, but only after
            // the time in which other Sentinels may announce a newer configuration.
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

    /// Updates the progress of a replica that was sent REPLICAOF.
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

    /// Whether the master reports to be a master, is up and has replied recently.
    fn looks_sane(&self, common: &Common) -> bool {
        self.report.role == Role::Master
            && !self.instance.sdown
            && !self.odown
            && self.report.is_fresh(common.now, common.periods.info * 2)
    }

    /// Sends REPLICAOF, CONFIG REWRITE and CLIENT KILL, so that the server replicates `to` (or
    /// nobody) and its clients ask for the master again. The effect shows in INFO, which is sent
    /// right afterwards. False if there is no connection.
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
        commands.iter().all(|words| instance.send(common, id, Purpose::Nothing, words))
            && instance.send(common, id, Purpose::Info, &[info])
    }
}

impl Report {
    /// Updates the report. Returns whether the role has changed.
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

/// Updates SDOWN of a replica or a Sentinel by its last valid reply. Returns the event if it has
/// changed.
fn update_sdown(common: &Common, watched: &mut Instance) -> Option<(&'static str, Instance)> {
    if common.tilt.is_some() {
        return None;
    }
    let down = watched.silence(common) > watched.down_after;
    let event = watched.set_sdown(common.now, down)?;
    Some((event, watched.clone()))
}

/// Whether an instance has not been SDOWN within this time.
fn not_down_for(instance: &Instance, now: Mono, wait: Duration) -> bool {
    instance.sdown_since.is_none_or(|since| now.since(since) > wait)
}
