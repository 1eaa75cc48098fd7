//! Failover: how a replica becomes a primary, after the failure of its primary or by `CLUSTER
//! FAILOVER`.

use super::{Cluster, Effect, LinkId, NodeFlags, NodeRef, Settings};
use crate::cluster::bus::{Body, Greeting, Header};
use crate::machine::LogLevel;

/// An election in which this node, a replica, asks for votes.
#[derive(Clone, Debug, Default)]
pub(super) struct Election {
    /// When this node asks for votes.
    at: Option<u64>,
    /// Whether it has asked.
    asked: bool,
    votes: usize,
    /// This node's rank: how many replicas of the same primary have a larger offset.
    rank: usize,
    epoch: u64,
    obstacle: Option<Obstacle>,
    obstacle_logged: u64,
}

/// A manual failover (`CLUSTER FAILOVER`).
#[derive(Clone, Debug, Default)]
pub(super) struct Manual {
    /// When it times out.
    end: Option<u64>,
    /// In a replica: whether it has applied all of its primary's stream, so that the election may
    /// start.
    ready: bool,
    /// In a primary: the replica that is to take over.
    replica: Option<NodeRef>,
    /// In a replica: the offset at which its primary paused.
    offset: Option<u64>,
}

/// Why a replica does not take over, as its log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    DataAge,
    Delay,
    Expired,
    Votes,
}

/// The minimum time to wait for votes, in milliseconds; otherwise two node timeouts.
const MIN_ELECTION: u64 = 2_000;

/// The fixed delay of an election in milliseconds, so that all nodes hear of the failure first. A
/// random delay of up to the same length is added, so that replicas do not ask at the same time.
const ELECTION_DELAY: u64 = 500;

/// The additional delay in milliseconds for each rank.
const RANK_DELAY: u64 = 1_000;

/// The timeout of a manual failover in milliseconds.
const MANUAL_TIMEOUT: u64 = 5_000;

/// A primary's pause for a manual failover lasts at most this many times [`MANUAL_TIMEOUT`].
const PAUSE_FACTOR: u64 = 2;

/// How often the same obstacle is logged again, in milliseconds.
const LOG_AGAIN_AFTER: u64 = 10_000;

/// How long after a failure obstacles are not logged yet, in milliseconds, in addition to the node
/// timeout.
const LOG_DELAY_AFTER_FAILURE: u64 = 5_000;

impl Manual {
    pub(super) fn is_under_way(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn replica(&self) -> Option<NodeRef> {
        self.replica
    }
}

impl Cluster {
    /// Handles a vote request (FAILOVER_AUTH_REQUEST).
    pub(super) fn vote(&mut self, candidate: NodeRef, request: &Header) {
        if !self.me().votes() {
            return;
        }
        match self.why_no_vote(candidate, request) {
            Some(reason) => {
                let called = self.nodes[candidate].called();
                self.log(LogLevel::Warning, || {
                    format!("Failover auth denied to {called}: {reason}")
                });
            }
            None => {
                let now = self.now();
                let epoch = self.current_epoch;
                self.last_vote_epoch = epoch;
                if let Some(master) = self.nodes[candidate].master {
                    self.nodes[master].voted_at = Some(now);
                }
                // The vote is sent once it is on disk, so that a node that is killed does not vote
                // twice.
                self.todo.save = true;
                self.todo.sync = true;
                self.send_to(candidate, Body::AuthAck);
                let called = self.nodes[candidate].called();
                self.log(LogLevel::Notice, || {
                    format!("Failover auth granted to {called} for epoch {epoch}")
                });
            }
        }
    }

    fn why_no_vote(&self, candidate: NodeRef, request: &Header) -> Option<String> {
        let current = self.current_epoch;
        if request.current_epoch < current {
            let asked = request.current_epoch;
            return Some(format!("reqEpoch ({asked}) < curEpoch({current})"));
        }
        if self.last_vote_epoch == current {
            return Some(format!("already voted for epoch {current}"));
        }
        let node = &self.nodes[candidate];
        if node.is_primary() {
            return Some("it is a master node".to_owned());
        }
        let Some(master) = node.master else {
            return Some("I don't know its master".to_owned());
        };
        let master = &self.nodes[master];
        if !master.has_failed() && !request.force_ack {
            return Some("its master is up".to_owned());
        }
        let patience = self.settings.node_timeout * 2;
        let since = master.voted_at.map(|at| self.now().saturating_sub(at));
        if let Some(since) = since.filter(|since| *since < patience) {
            let left = patience - since;
            return Some(format!("can't vote about this master before {left} milliseconds"));
        }
        let (slot, epoch) = request.slots.iter().find_map(|slot| {
            let owner = self.owner(slot).filter(|_| !self.is_unclaimed(slot))?;
            let epoch = self.nodes[owner].config_epoch;
            (epoch > request.config_epoch).then_some((slot, epoch))
        })?;
        Some(format!("slot {slot} epoch ({epoch}) > reqEpoch ({})", request.config_epoch))
    }

    /// Counts a vote for this node (FAILOVER_AUTH_ACK).
    pub(super) fn count_vote(&mut self, voter: NodeRef, epoch: u64) {
        if self.nodes[voter].votes() && epoch >= self.election.epoch {
            self.election.votes += 1;
            self.todo.election = true;
        }
    }

    /// While this node asks for votes: the votes that it has, the votes that it needs, and the
    /// epoch.
    pub(super) fn votes_so_far(&self) -> Option<(usize, usize, u64)> {
        let asks = self.election.asked && self.i_am_replica() && self.election.at.is_some();
        let master = self.me().master.map(|master| &self.nodes[master])?;
        let asks = asks && (master.has_failed() || self.manual.is_under_way());
        asks.then(|| (self.election.votes, self.quorum(), self.election.epoch))
    }

    /// When the scheduled election starts.
    pub(super) fn election_due(&self) -> Option<u64> {
        self.election.at.filter(|at| !self.election.asked && *at > self.local.now)
    }

    /// Continues the failover to this node if its primary has failed or a manual failover is under
    /// way: schedules the election, asks for votes, and takes over with a majority.
    pub(super) fn continue_election(&mut self) {
        let now = self.now();
        let manual = self.manual.is_under_way() && self.manual.ready;
        let master = self.me().master.filter(|master| {
            let master = &self.nodes[*master];
            (master.has_failed() || manual) && !master.slots.is_empty()
        });
        if !self.i_am_replica()
            || master.is_none()
            || (self.settings.replica_no_failover && !manual)
        {
            self.election.obstacle = None;
            return;
        }
        if !manual && self.data_is_too_old() {
            return self.log_obstacle(Obstacle::DataAge);
        }
        let timeout = (self.settings.node_timeout * 2).max(MIN_ELECTION);
        let age = self.election.at.map(|at| now.saturating_sub(at));
        if age.is_none_or(|age| age > timeout * 2) {
            return self.schedule_election();
        }
        self.update_rank();
        if self.election.at.is_some_and(|at| now < at) {
            return self.log_obstacle(Obstacle::Delay);
        }
        if age.is_some_and(|age| age > timeout) {
            return self.log_obstacle(Obstacle::Expired);
        }
        if !self.election.asked {
            self.current_epoch += 1;
            let epoch = self.current_epoch;
            self.election.epoch = epoch;
            self.election.asked = true;
            self.log(LogLevel::Notice, || {
                format!("Starting a failover election for epoch {epoch}.")
            });
            self.broadcast(Body::AuthRequest);
            self.todo.save = true;
            self.todo.sync = true;
            self.todo.state = true;
            return;
        }
        if self.election.votes < self.quorum() {
            return self.log_obstacle(Obstacle::Votes);
        }
        self.log(LogLevel::Notice, || "Failover election won: I'm the new master.".to_owned());
        let epoch = self.election.epoch;
        if self.me().config_epoch < epoch {
            self.nodes[self.myself].config_epoch = epoch;
            self.log(LogLevel::Notice, || {
                format!("configEpoch set to {epoch} after successful failover")
            });
        }
        self.replace_my_primary();
    }

    /// Whether the primary has been silent for so long that this node's data is too old
    /// (`cluster-replica-validity-factor`).
    fn data_is_too_old(&self) -> bool {
        let Settings { node_timeout, replica_validity_factor, replica_ping_period, .. } =
            &self.settings;
        let silent = self.local.primary_silent_for;
        // A primary counts as failed only after a node timeout, which is not held against the
        // replica.
        let age = if silent > *node_timeout { silent - node_timeout } else { silent };
        *replica_validity_factor > 0
            && age > replica_ping_period + node_timeout * replica_validity_factor
    }

    fn schedule_election(&mut self) {
        let now = self.now();
        let rank = if self.manual.is_under_way() { 0 } else { self.rank() };
        let delay = if self.manual.is_under_way() {
            self.todo.election = true;
            0
        } else {
            ELECTION_DELAY + self.rng.below(ELECTION_DELAY) + rank as u64 * RANK_DELAY
        };
        self.election.at = Some(now + delay);
        self.election.votes = 0;
        self.election.asked = false;
        self.election.rank = rank;
        let offset = self.local.offset;
        self.log(LogLevel::Notice, || {
            format!(
                "Start of election delayed for {delay} milliseconds (rank #{rank}, offset \
                 {offset})."
            )
        });
        self.pong_to_replicas();
    }

    /// Updates the rank: others may have reported larger offsets since the election was scheduled.
    fn update_rank(&mut self) {
        if self.election.asked || self.manual.is_under_way() {
            return;
        }
        let rank = self.rank();
        if rank > self.election.rank {
            let delay = (rank - self.election.rank) as u64 * RANK_DELAY;
            self.election.at = self.election.at.map(|at| at + delay);
            self.election.rank = rank;
            self.log(LogLevel::Notice, || {
                format!("Replica rank updated to #{rank}, added {delay} milliseconds of delay.")
            });
        }
    }

    fn rank(&self) -> usize {
        let Some(master) = self.me().master else { return 0 };
        let others = self.nodes.replicas(master).filter(|(node, _)| *node != self.myself);
        let able = others.filter(|(_, node)| !node.flags.any(NodeFlags::NOFAILOVER));
        able.filter(|(_, node)| node.offset > self.local.offset).count()
    }

    /// Makes this node the primary of its primary's slots. The caller has set its config epoch.
    fn replace_my_primary(&mut self) {
        let Some(old) = self.me().master.filter(|_| self.i_am_replica()) else { return };
        self.set_primary(self.myself);
        self.lead();
        let slots = self.nodes[old].slots.clone();
        for slot in slots.iter() {
            self.delete_slot(slot);
            self.add_slot(self.myself, slot);
        }
        self.update_state();
        self.todo.save = true;
        self.todo.sync = true;
        self.pong_to_all();
        self.end_manual_failover();
    }

    pub(super) fn lead(&mut self) {
        self.following = None;
        self.election.at = None;
        self.outgoing.push(Effect::Promote);
    }

    fn log_obstacle(&mut self, obstacle: Obstacle) {
        let now = self.now();
        let told = now.saturating_sub(self.election.obstacle_logged) < LOG_AGAIN_AFTER;
        if self.election.obstacle == Some(obstacle) && told {
            return;
        }
        self.election.obstacle = Some(obstacle);
        let failed = self.me().master.map(|master| &self.nodes[master]);
        let silence = self.settings.node_timeout + LOG_DELAY_AFTER_FAILURE;
        if failed.is_some_and(|master| {
            master.has_failed() && now.saturating_sub(master.failed_at) < silence
        }) {
            return;
        }
        self.election.obstacle_logged = now;
        let text = match obstacle {
            Obstacle::DataAge => {
                "Disconnected from master for longer than allowed. Please check the \
                 'cluster-replica-validity-factor' configuration option."
            }
            Obstacle::Delay => "Waiting the delay before I can start a new failover.",
            Obstacle::Expired => "Failover attempt expired.",
            Obstacle::Votes => "Waiting for votes, but majority still not reached.",
        };
        self.log(LogLevel::Notice, || format!("Currently unable to failover: {text}"));
        if matches!(obstacle, Obstacle::Votes | Obstacle::Expired) {
            let (quorum, votes) = (self.quorum(), self.election.votes);
            self.log(LogLevel::Notice, || {
                format!("Needed quorum: {quorum}. Number of votes received so far: {votes}")
            });
        }
    }

    /// `CLUSTER FAILOVER`: asks the primary to pause.
    pub(super) fn begin_manual_failover(&mut self) {
        self.end_manual_failover();
        self.manual.end = Some(self.now() + MANUAL_TIMEOUT);
        self.election.at = None;
    }

    /// `CLUSTER FAILOVER FORCE`: starts the election without asking the primary to pause.
    pub(super) fn force_manual_failover(&mut self) {
        self.begin_manual_failover();
        self.manual.ready = true;
        self.todo.manual = true;
    }

    /// `CLUSTER FAILOVER TAKEOVER`: takes over without an election.
    pub(super) fn take_over(&mut self) {
        self.begin_manual_failover();
        self.bump_epoch();
        self.replace_my_primary();
    }

    /// Handles a replica's request to pause clients (MFSTART).
    pub(super) fn pause_for(&mut self, replica: NodeRef, link: LinkId) {
        if self.nodes[replica].master != Some(self.myself) {
            return;
        }
        self.end_manual_failover();
        self.manual.end = Some(self.now() + MANUAL_TIMEOUT);
        self.manual.replica = Some(replica);
        self.outgoing.push(Effect::PauseWrites { millis: MANUAL_TIMEOUT * PAUSE_FACTOR });
        let called = self.nodes[replica].called();
        self.log(LogLevel::Notice, || format!("Manual failover requested by replica {called}."));
        // The PING carries the offset at which the clients were paused.
        self.greet(link, Greeting::Ping);
    }

    /// Handles a primary's report of the offset at which it paused its clients.
    pub(super) fn primary_has_paused(&mut self, offset: u64) {
        if !self.manual.is_under_way() || self.manual.offset.is_some() {
            return;
        }
        self.manual.offset = Some(offset);
        self.todo.manual = true;
        self.log(LogLevel::Notice, || {
            format!("Received replication offset for paused master manual failover: {offset}")
        });
    }

    /// Whether a manual failover waits for the replication stream. Then
    /// [`Cluster::offset_advanced`] must be called when more of it has been applied.
    pub fn awaits_offset(&self) -> bool {
        self.manual.offset.is_some() && !self.manual.ready
    }

    /// The server has applied more of the replication stream.
    pub fn offset_advanced(&mut self, local: super::Local) {
        self.begin(local);
        self.todo.manual |= self.awaits_offset();
        self.finish();
    }

    pub(super) fn continue_manual_failover(&mut self) {
        let reached = self.manual.offset.is_some_and(|offset| offset == self.local.offset);
        if self.manual.is_under_way() && !self.manual.ready && reached {
            self.manual.ready = true;
            self.log(LogLevel::Notice, || {
                "All master replication stream processed, manual failover can start.".to_owned()
            });
            self.todo.election = true;
        }
    }

    pub(super) fn check_manual_timeout(&mut self) {
        if self.manual.end.is_some_and(|end| end < self.now()) {
            self.log(LogLevel::Warning, || "Manual failover timed out.".to_owned());
            self.end_manual_failover();
        }
    }

    pub(super) fn end_manual_failover(&mut self) {
        if self.manual.replica.is_some() {
            self.outgoing.push(Effect::ResumeWrites);
        }
        self.manual = Manual::default();
    }

    /// Removes a deleted node from the manual failover.
    pub(super) fn forget_in_manual_failover(&mut self, node: NodeRef) {
        if self.manual.replica == Some(node) {
            self.end_manual_failover();
        }
    }
}
