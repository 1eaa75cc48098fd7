//! Failover: how Sentinels agree that a master is down, elect a leader, and how the leader replaces
//! the master.
//!
//! A failover is tried when enough Sentinels consider the master to be down (ODOWN). A Sentinel
//! that tries it starts a new epoch and asks the others for their votes. Each Sentinel votes once
//! in an epoch, for the first that asks. With votes from the majority, and at least from the
//! quorum, it is the leader of the epoch: it promotes the best replica, tags the new configuration
//! with the epoch, and reconfigures the other replicas. The other Sentinels accept the
//! configuration from its hello messages, because its epoch is larger.

use super::common::Common;
use super::instance::Instance;
use super::link::Purpose;
use super::master::{Master, OtherSentinel, Reconf, Replica, Vote};
use crate::machine::LogLevel;
use crate::resp::value::Value;
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono};

/// The state of the failover of one master.
///
/// `failover-timeout` limits four things: the duration of an election (if that is less than ten
/// seconds), the duration of the promotion, how long the other replicas may take to follow the new
/// master, and, doubled, the time between two attempts.
#[derive(Clone, Debug, Default)]
pub struct Failover {
    /// Its current step.
    pub state: FailoverState,
    /// Its epoch.
    pub epoch: u64,
    /// When the last attempt started: its own, or that of a Sentinel that it voted for.
    pub started: Option<Mono>,
    /// When the state last changed.
    pub changed: Option<Mono>,
    /// Whether it was requested by SENTINEL FAILOVER, and so needs neither ODOWN nor an election.
    pub forced: bool,
    /// The name of the replica that is being promoted.
    pub promoted: Option<String>,
    /// The attempt for which the delay of the next one has been logged.
    delay_logged: Option<Mono>,
}

/// The steps of a failover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailoverState {
    /// No failover is in progress.
    #[default]
    None,
    /// This Sentinel asks for votes.
    WaitStart,
    /// This Sentinel is the leader, and selects a replica.
    SelectReplica,
    /// The selected replica has to be sent REPLICAOF NO ONE.
    SendReplicaofNoOne,
    /// The selected replica was sent it, and has to report that it is a master.
    WaitPromotion,
    /// The replica was promoted. The other replicas are being reconfigured.
    ReconfReplicas,
    /// The promoted replica replaces the old master in the configuration.
    UpdateConfig,
}

impl FailoverState {
    /// The name that `SENTINEL MASTER` shows.
    pub fn word(self) -> &'static str {
        match self {
            FailoverState::None => "none",
            FailoverState::WaitStart => "wait_start",
            FailoverState::SelectReplica => "select_slave",
            FailoverState::SendReplicaofNoOne => "send_slaveof_noone",
            FailoverState::WaitPromotion => "wait_promotion",
            FailoverState::ReconfReplicas => "reconf_slaves",
            FailoverState::UpdateConfig => "update_config",
        }
    }
}

impl Failover {
    /// Whether a failover is in progress.
    pub fn is_running(&self) -> bool {
        self.state != FailoverState::None
    }

    /// Resets everything, including the last attempt.
    pub(super) fn forget(&mut self) {
        *self = Failover { epoch: self.epoch, ..Failover::default() };
    }

    fn enter(&mut self, now: Mono, state: FailoverState) {
        self.state = state;
        self.changed = Some(now);
    }

    /// How long it has been in its current step.
    fn time_in_state(&self, now: Mono) -> Duration {
        self.changed.map_or(Duration::ZERO, |changed| now.since(changed))
    }
}

/// A vote, as sent to another Sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// The ID of the Sentinel voted for, if the vote is on disk.
    pub leader: Option<String>,
    /// The epoch of the vote.
    pub epoch: u64,
    /// The state that has to be on disk before the vote is sent.
    pub(super) state: u64,
}

impl Master {
    /// Checks for ODOWN, starts a failover if necessary, and continues the one in progress.
    pub(super) fn advance(&mut self, common: &mut Common) {
        if common.tilt.is_some() {
            return;
        }
        self.update_odown(common);
        if self.start_if_needed(common) {
            self.ask_others(common, true);
        }
        loop {
            let before = self.failover.state;
            match before {
                FailoverState::None | FailoverState::UpdateConfig => {}
                FailoverState::WaitStart => self.wait_start(common),
                FailoverState::SelectReplica => self.select(common),
                FailoverState::SendReplicaofNoOne => self.promote(common),
                FailoverState::WaitPromotion => {
                    if self.failover.time_in_state(common.now) > self.failover_timeout {
                        self.abort(common, "-failover-abort-slave-timeout");
                    }
                }
                FailoverState::ReconfReplicas => self.reconfigure_replicas(common),
            }
            if self.failover.state == before {
                return;
            }
        }
    }

    /// Starts a failover requested by SENTINEL FAILOVER. An error if one is in progress, or no
    /// replica can be promoted.
    pub(super) fn force_failover(&mut self, common: &mut Common) -> Result<(), &'static str> {
        if self.failover.is_running() {
            return Err("INPROG Failover already in progress");
        }
        if self.best_replica(common).is_none() {
            return Err("NOGOODSLAVE No suitable replica to promote");
        }
        let text = format!("Executing user requested FAILOVER of '{}'", self.name());
        common.log(LogLevel::Notice, text);
        self.start(common);
        self.failover.forced = true;
        Ok(())
    }

    // ---- Objectively down ----

    /// Updates ODOWN: whether enough Sentinels consider the master to be down.
    fn update_odown(&mut self, common: &mut Common) {
        let others = self.sentinels.values().filter(|other| other.master_down).count();
        let votes = 1 + u32::try_from(others).unwrap_or(u32::MAX - 1);
        let down = self.instance.sdown && votes >= self.quorum;
        if down == self.odown {
            return;
        }
        self.odown = down;
        if down {
            self.odown_since = Some(common.now);
            let more = format!(" #quorum {votes}/{}", self.quorum);
            self.event(common, LogLevel::Warning, "+odown", &more);
        } else {
            self.event(common, LogLevel::Warning, "-odown", "");
        }
    }

    /// Asks the other Sentinels whether they consider the master to be down and, during an
    /// election, for their votes.
    pub(super) fn ask_others(&mut self, common: &mut Common, at_once: bool) {
        let (now, ask) = (common.now, common.periods.ask);
        let id = self.id();
        let candidate = match self.failover.is_running() {
            true => common.id.clone(),
            false => "*".to_owned(),
        };
        let words = [
            self.access.name("SENTINEL"),
            "is-master-down-by-addr".to_owned(),
            common.host(&self.instance.addr),
            self.instance.addr.port.to_string(),
            common.epoch.to_string(),
            candidate,
        ];
        for other in self.sentinels.values_mut() {
            let elapsed = now.since(other.last_answer);
            if elapsed > ask * 5 {
                other.master_down = false;
                other.leader = None;
            }
            if self.instance.sdown
                && !common.links.is_disconnected(other.instance.link)
                && (at_once || elapsed >= ask)
            {
                other.instance.send(common, id, Purpose::MasterDown, &words);
            }
        }
    }

    /// Handles another Sentinel's reply: whether it considers the master to be down, and its vote.
    pub(super) fn handle_down_reply(&mut self, common: &mut Common, id: u64, value: &Value) {
        let Some([Value::Integer(down), Value::Bulk(leader), Value::Integer(epoch)]) =
            value.plain().items()
        else {
            return;
        };
        let other = self.sentinels.values_mut().find(|other| other.instance.id == id);
        let Some(other) = other else { return };
        other.last_answer = common.now;
        other.master_down = *down == 1;
        if leader != b"*" {
            let leader = String::from_utf8_lossy(leader).into_owned();
            let epoch = u64::try_from(*epoch).unwrap_or(0);
            if other.leader_epoch != epoch {
                let text = format!("{} voted for {leader} {epoch}", other.instance.name);
                common.log(LogLevel::Notice, text);
            }
            other.leader = Some(leader);
            other.leader_epoch = epoch;
        }
        self.advance(common);
    }

    // ---- Votes ----

    /// Votes for a candidate in an epoch, unless this Sentinel has already voted in it, or knows a
    /// later one.
    pub(super) fn vote_for(&mut self, common: &mut Common, epoch: u64, candidate: &str) -> Ballot {
        if epoch > common.epoch {
            common.epoch = epoch;
            common.save();
            self.event_text(common, "+new-epoch", epoch.to_string());
        }
        if self.vote.epoch < epoch && common.epoch <= epoch {
            self.vote.leader = Some(candidate.to_owned());
            self.vote.epoch = common.epoch;
            self.vote.state = common.save();
            self.vote.unpublished = true;
            // Delays this Sentinel's own attempt, so that the candidate has time for its failover.
            if candidate != common.id {
                self.failover.started = Some(common.desync());
            }
        }
        self.ballot(common)
    }

    /// The vote, without the candidate if it is not on disk yet.
    pub(super) fn ballot(&self, common: &Common) -> Ballot {
        let Vote { leader, epoch, state, .. } = self.vote.clone();
        Ballot { leader: leader.filter(|_| common.saves.has(state)), epoch, state }
    }

    /// A state is on disk, so a vote in it counts from now on.
    pub(super) fn saved(&mut self, common: &mut Common) {
        if self.vote.unpublished && common.saves.has(self.vote.state) {
            self.vote.unpublished = false;
            if let Some(leader) = &self.vote.leader {
                let text = format!("{leader} {}", self.vote.epoch);
                self.event_text(common, "+vote-for-leader", text);
            }
            self.advance(common);
        }
    }

    /// The leader of an epoch, if the majority of the known Sentinels, and at least the quorum,
    /// have voted for the same one.
    fn leader(&mut self, common: &mut Common, epoch: u64) -> Option<String> {
        let mut votes: SortedMap<String, usize> = SortedMap::new();
        for other in self.sentinels.values() {
            if let Some(leader) = &other.leader
                && other.leader_epoch == common.epoch
            {
                *votes.get_or_default(leader.clone()) += 1;
            }
        }
        let most = |votes: &SortedMap<String, usize>| {
            let most = votes.values().max().copied()?;
            votes.iter().find(|(_, count)| **count == most).map(|(id, count)| (id.clone(), *count))
        };
        // Vote for the candidate with the most votes, or for itself if there are no votes yet.
        let candidate = most(&votes).map_or_else(|| common.id.clone(), |(id, _)| id);
        let ballot = self.vote_for(common, epoch, &candidate);
        if let Some(leader) = ballot.leader
            && ballot.epoch == epoch
        {
            *votes.get_or_default(leader) += 1;
        } else if self.vote.unpublished && !common.saves.is_writing() {
            // The write that included the vote has failed.
            self.vote.state = common.save();
        }
        let voters = self.sentinels.len() + 1;
        let needed = (voters / 2 + 1).max(self.quorum as usize);
        most(&votes).filter(|(_, count)| *count >= needed).map(|(id, _)| id)
    }

    // ---- Steps ----

    fn start_if_needed(&mut self, common: &mut Common) -> bool {
        if !self.odown || self.failover.is_running() {
            return false;
        }
        let pause = self.failover_timeout * 2;
        if let Some(started) = self.failover.started
            && common.now.since(started) < pause
        {
            if self.failover.delay_logged != Some(started) {
                self.failover.delay_logged = Some(started);
                let left =
                    pause.saturating_sub(common.now.since(started)) + started.since(common.now);
                let at = common.wall.as_secs() + left.as_secs();
                let text =
                    format!("Next failover delay: I will not start a failover before {}", date(at));
                common.log(LogLevel::Notice, text);
            }
            return false;
        }
        self.start(common);
        true
    }

    fn start(&mut self, common: &mut Common) {
        common.epoch += 1;
        self.failover.enter(common.now, FailoverState::WaitStart);
        self.failover.epoch = common.epoch;
        self.event_text(common, "+new-epoch", common.epoch.to_string());
        self.event(common, LogLevel::Warning, "+try-failover", "");
        self.failover.started = Some(common.desync());
    }

    fn wait_start(&mut self, common: &mut Common) {
        let leader = self.leader(common, self.failover.epoch);
        if leader.as_deref() != Some(common.id.as_str()) && !self.failover.forced {
            let patience = common.periods.election_timeout.min(self.failover_timeout);
            let started = self.failover.started.unwrap_or(common.now);
            if common.now.since(started) > patience {
                self.abort(common, "-failover-abort-not-elected");
            }
            return;
        }
        self.event(common, LogLevel::Warning, "+elected-leader", "");
        if common.simulate.after_election {
            return crash(common);
        }
        self.failover.enter(common.now, FailoverState::SelectReplica);
        self.event(common, LogLevel::Warning, "+failover-state-select-slave", "");
        // INFO is usually sent every ten seconds, but the selection needs recent offsets.
        let info = self.access.name("INFO");
        for replica in self.replicas.values() {
            replica.instance.send(common, self.id(), Purpose::Info, &[&info]);
        }
    }

    fn select(&mut self, common: &mut Common) {
        let asked = self.failover.changed;
        let silent = |replica: &Replica| {
            !replica.instance.sdown
                && !common.links.is_disconnected(replica.instance.link)
                && replica.report.refreshed < asked
        };
        let patience = common.periods.ping;
        if self.failover.time_in_state(common.now) <= patience && self.replicas.values().any(silent)
        {
            return;
        }
        let Some(best) = self.best_replica(common).map(|best| best.instance.clone()) else {
            return self.abort(common, "-failover-abort-no-good-slave");
        };
        self.event_of(common, LogLevel::Warning, "+selected-slave", &best, "");
        self.failover.promoted = Some(best.name.clone());
        self.failover.enter(common.now, FailoverState::SendReplicaofNoOne);
        let event = "+failover-state-send-slaveof-noone";
        self.event_of(common, LogLevel::Notice, event, &best, "");
    }

    fn promote(&mut self, common: &mut Common) {
        let Some(instance) = self.promoted().map(|replica| replica.instance.clone()) else {
            return self.abort(common, "-failover-abort-no-good-slave");
        };
        let connected = !common.links.is_disconnected(instance.link);
        if connected && self.send_replicaof(common, &instance, None) {
            let event = "+failover-state-wait-promotion";
            self.event_of(common, LogLevel::Notice, event, &instance, "");
            self.failover.enter(common.now, FailoverState::WaitPromotion);
        } else if self.failover.time_in_state(common.now) > self.failover_timeout {
            self.abort(common, "-failover-abort-slave-timeout");
        }
    }

    /// The promoted replica reports that it is a master. From now on the failover is not aborted:
    /// the new configuration has its epoch, and is announced.
    pub(super) fn promotion_seen(&mut self, common: &mut Common) {
        let Some(instance) = self.promoted().map(|replica| replica.instance.clone()) else {
            return;
        };
        self.config_epoch = self.failover.epoch;
        self.failover.enter(common.now, FailoverState::ReconfReplicas);
        common.save();
        self.event_of(common, LogLevel::Warning, "+promoted-slave", &instance, "");
        if common.simulate.after_promotion {
            return crash(common);
        }
        self.event(common, LogLevel::Warning, "+failover-state-reconf-slaves", "");
        let from = self.instance.addr.clone();
        self.reconfigure_clients(common, "leader", &from, &instance.addr);
        self.make_hello_due();
    }

    /// Reconfigures replicas, at most `parallel-syncs` at the same time.
    fn reconfigure_replicas(&mut self, common: &mut Common) {
        let Some(to) = self.promoted().map(|replica| replica.instance.addr.clone()) else { return };
        let now = common.now;
        let under_way =
            |replica: &Replica| matches!(replica.reconf, Reconf::Sent(_) | Reconf::InProgress);
        self.give_up_slow_replicas(common);
        let mut count = self.replicas.values().filter(|replica| under_way(replica)).count();
        for name in self.replicas.keys().cloned().collect::<Vec<_>>() {
            if count >= self.parallel_syncs as usize {
                break;
            }
            let Some(replica) = self.replicas.get(&name) else { continue };
            if Some(&name) == self.failover.promoted.as_ref() || replica.reconf == Reconf::Done {
                continue;
            }
            let instance = replica.instance.clone();
            if under_way(replica) || common.links.is_disconnected(instance.link) {
                continue;
            }
            if self.send_replicaof(common, &instance, Some(&to)) {
                self.set_reconf(&name, Reconf::Sent(now));
                self.event_of(common, LogLevel::Notice, "+slave-reconf-sent", &instance, "");
                count += 1;
            }
        }
        self.detect_end(common, &to);
    }

    /// Stops waiting for replicas that do not follow the new master in time. They are corrected
    /// later, like any replica with a wrong configuration.
    fn give_up_slow_replicas(&mut self, common: &mut Common) {
        let (now, timeout) = (common.now, common.periods.replica_reconf_timeout);
        let mut slow = Vec::new();
        for replica in self.replicas.values_mut() {
            if let Reconf::Sent(at) = replica.reconf
                && now.since(at) > timeout
            {
                replica.reconf = Reconf::Done;
                slow.push(replica.instance.clone());
            }
        }
        for instance in slow {
            let event = "-slave-reconf-sent-timeout";
            self.event_of(common, LogLevel::Notice, event, &instance, "");
        }
    }

    fn detect_end(&mut self, common: &mut Common, to: &super::addr::Addr) {
        if self.promoted().is_none_or(|replica| replica.instance.sdown) {
            return;
        }
        let promoted = self.failover.promoted.clone();
        let waits = |name: &String, replica: &Replica| {
            Some(name) != promoted.as_ref()
                && replica.reconf != Reconf::Done
                && !replica.instance.sdown
        };
        let waiting = self.replicas.iter().any(|(name, replica)| waits(name, replica));
        let late = self.failover.time_in_state(common.now) > self.failover_timeout;
        if late {
            self.event(common, LogLevel::Warning, "+failover-end-for-timeout", "");
        }
        if waiting && !late {
            return;
        }
        self.event(common, LogLevel::Warning, "+failover-end", "");
        self.failover.enter(common.now, FailoverState::UpdateConfig);
        if !late {
            return;
        }
        // The remaining replicas are also reconfigured, without waiting for them.
        for (name, replica) in self.replicas.clone().iter() {
            if Some(name) != promoted.as_ref()
                && replica.reconf == Reconf::None
                && !common.links.is_disconnected(replica.instance.link)
                && self.send_replicaof(common, &replica.instance, Some(to))
            {
                self.set_reconf(name, Reconf::Sent(common.now));
                let event = "+slave-reconf-sent-be";
                self.event_of(common, LogLevel::Notice, event, &replica.instance, "");
            }
        }
    }

    /// Replaces the old master by the promoted replica.
    pub(super) fn switch_to_promoted(&mut self, common: &mut Common) {
        let from = self.instance.addr.clone();
        let to = self.promoted().map_or_else(|| from.clone(), |new| new.instance.addr.clone());
        let text = format!(
            "{} {} {} {} {}",
            self.name(),
            common.host(&from),
            from.port,
            common.host(&to),
            to.port
        );
        self.event_text(common, "+switch-master", text);
        self.switch_to(common, to);
    }

    fn abort(&mut self, common: &mut Common, event: &str) {
        self.event(common, LogLevel::Warning, event, "");
        self.failover.enter(common.now, FailoverState::None);
        self.failover.forced = false;
        self.failover.promoted = None;
    }

    fn promoted(&self) -> Option<&Replica> {
        self.replicas.get(self.failover.promoted.as_ref()?)
    }

    fn set_reconf(&mut self, name: &str, reconf: Reconf) {
        if let Some(replica) = self.replicas.get_mut(name) {
            replica.reconf = reconf;
        }
    }

    // ---- Selection ----

    /// The replica to promote: it must be up, connected, have replied recently, have a priority
    /// above 0, and not have been disconnected from the master for long. Of these, the one with the
    /// lowest priority, then the largest offset, then the smallest run ID.
    pub(super) fn best_replica(&self, common: &Common) -> Option<&Replica> {
        let now = common.now;
        let (ping, info) = (common.periods.ping, common.periods.info);
        let down_for = match self.instance.sdown {
            true => self.instance.sdown_since.map_or(Duration::ZERO, |since| now.since(since)),
            false => Duration::ZERO,
        };
        let longest_cut = down_for + self.instance.down_after * 10;
        let freshness = if self.instance.sdown { ping * 5 } else { info * 3 };
        let suitable = |replica: &&Replica| {
            let Instance { sdown, link, .. } = replica.instance;
            let heard = common.links.get(link).map(|link| now.since(link.last_available));
            !sdown
                && !common.links.is_disconnected(link)
                && heard.is_some_and(|heard| heard <= ping * 5)
                && replica.report.priority > 0
                && replica.report.is_fresh(now, freshness)
                && replica.report.link_down <= longest_cut
        };
        let rank = |replica: &&Replica| {
            let run_id = replica.instance.run_id.as_ref().map(|id| id.to_ascii_lowercase());
            (
                replica.report.priority,
                u64::MAX - replica.report.offset,
                // A replica without a run ID comes last.
                run_id.is_none(),
                run_id,
            )
        };
        self.replicas.values().filter(suitable).min_by_key(rank)
    }

    /// The number of reachable Sentinels including this one, and whether they are enough for the
    /// quorum and for the majority.
    pub fn usable_sentinels(&self) -> (usize, bool, bool) {
        let up = |other: &&OtherSentinel| !other.instance.sdown;
        let usable = 1 + self.sentinels.values().filter(up).count();
        let voters = self.sentinels.len() + 1;
        (usable, usable >= self.quorum as usize, usable > voters / 2)
    }
}

/// Exits, as requested by SENTINEL SIMULATE-FAILURE.
fn crash(common: &mut Common) {
    let text = "Sentinel CRASH because of SENTINEL simulate-failure";
    common.log(LogLevel::Warning, text.to_owned());
    common.effects.push_back(super::common::Effect::Exit(99));
}

/// A time in the format of C's `ctime`: `Fri Nov 20 21:15:59 2020`, in UTC.
fn date(secs: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = secs / 86_400;
    let weekday = DAYS[(days % 7) as usize];
    let (mut year, mut left) = (1970, days);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    let month = MONTHS[month.min(11)];
    let (hour, minute, second) = (secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    format!("{weekday} {month} {:2} {hour:02}:{minute:02}:{second:02} {year}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_have_the_format_of_ctime() {
        assert_eq!(date(0), "Thu Jan  1 00:00:00 1970");
        assert_eq!(date(1_605_906_959), "Fri Nov 20 21:15:59 2020");
        assert_eq!(date(1_709_251_199), "Thu Feb 29 23:59:59 2024");
    }
}
