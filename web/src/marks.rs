//! Marks on the time bar, to which a person can jump: faults and commands, which the session
//! records, and decisions of Sentinels and cluster nodes, which are read from their logs as time
//! runs.

use limpid_core::cluster::NodeId;
use limpid_core::machine::LogLevel;
use limpid_core::sim::{Action, EventKind, LogEntry};
use limpid_core::sorted::{SortedMap, SortedSet, sort_by_key};

use crate::lab::{Lab, is_typing};
use crate::layout::Part;

/// A mark on the time bar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// Its time, in nanoseconds.
    pub at: u64,
    /// Its kind.
    pub kind: MarkKind,
}

/// The kind of event that a mark stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MarkKind {
    /// A fault, or the end of one.
    Fault,
    /// A person typed a command.
    Command,
    /// A Sentinel considers a master down (SDOWN).
    Suspected,
    /// Enough Sentinels consider it down (ODOWN).
    Down,
    /// A Sentinel voted.
    Vote,
    /// A Sentinel knows of a new master, or a replica of a cluster has won its election.
    Switch,
    /// A node of a cluster cannot reach another one (PFAIL).
    Unreachable,
    /// Enough nodes agree on that (FAIL).
    Failed,
    /// Slots have a new owner.
    Slots,
}

/// The most marks of decisions that are remembered.
const MOST: usize = 400;

/// The marks of decisions of Sentinels and cluster nodes.
#[derive(Default)]
pub(crate) struct Decisions {
    marks: Vec<Mark>,
    /// Cluster nodes that another node could not reach when the logs were last read.
    suspected: SortedSet<NodeId>,
    /// How many slots each cluster node owned at that time.
    owned: SortedMap<NodeId, usize>,
    /// The time up to which logs have been read.
    until: u64,
}

impl MarkKind {
    /// The decision that a line of a Sentinel's log reports, if any.
    fn of(line: &LogEntry) -> Option<Self> {
        if line.level != LogLevel::Warning {
            return None;
        }
        let mut words = line.text.split(' ');
        match (words.next()?, words.next()) {
            ("+sdown", Some("master")) => Some(MarkKind::Suspected),
            ("+odown", Some("master")) => Some(MarkKind::Down),
            ("+vote-for-leader", _) => Some(MarkKind::Vote),
            ("+switch-master", _) => Some(MarkKind::Switch),
            _ => None,
        }
    }

    /// The decision that a line of a cluster node's log reports, if any.
    fn of_node(line: &LogEntry) -> Option<Self> {
        let text = &line.text;
        if text.starts_with("Marking node ") && text.contains("as failing (quorum reached)") {
            Some(MarkKind::Failed)
        } else if text.starts_with("Failover auth granted to ") {
            Some(MarkKind::Vote)
        } else if text.starts_with("Failover election won") {
            Some(MarkKind::Switch)
        } else {
            None
        }
    }

    /// Its name in styles and tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            MarkKind::Fault => "fault",
            MarkKind::Command => "command",
            MarkKind::Suspected => "suspected",
            MarkKind::Down => "down",
            MarkKind::Vote => "vote",
            MarkKind::Switch => "switch",
            MarkKind::Unreachable => "pfail",
            MarkKind::Failed => "fail",
            MarkKind::Slots => "slots",
        }
    }
}

impl Lab {
    /// All marks, in order of time.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let kind = |event: &EventKind| match event {
            EventKind::Action(Action::Type { .. }) => Some(MarkKind::Command),
            EventKind::Action(action) if is_typing(action) => None,
            _ => Some(MarkKind::Fault),
        };
        let markers = self.session().markers().iter();
        let marks = markers.filter_map(|m| Some(Mark { at: m.at.0, kind: kind(&m.event)? }));
        let mut marks: Vec<Mark> = marks.chain(self.decisions.marks.iter().copied()).collect();
        sort_by_key(&mut marks, |mark| mark.at);
        marks
    }

    /// The time of the next known decision: time has run past it before a rewind.
    pub(crate) fn next_decision(&self) -> Option<u64> {
        let now = self.now();
        self.decisions.marks.iter().map(|mark| mark.at).find(|at| *at > now)
    }

    /// Reads the decisions since the last call; true if there were any.
    pub(crate) fn note_decisions(&mut self) -> bool {
        let (since, now) = (self.decisions.until, self.now());
        if now < since {
            // After a rewind, the decisions ahead are known already.
            return false;
        }
        let mut found = Vec::new();
        for unit in self.units().iter().filter(|unit| unit.kind.part == Part::Sentinel) {
            let Some(log) = unit.process().and_then(|id| self.world().log(id)) else { continue };
            for line in log.iter().rev().take_while(|line| line.at.0 >= since) {
                found.extend(MarkKind::of(line).map(|kind| Mark { at: line.at.0, kind }));
            }
        }
        self.note_cluster(since, &mut found);
        // Some events of the last moment had been read.
        found.retain(|mark| !self.decisions.marks.contains(mark));
        let any = !found.is_empty();
        let decisions = &mut self.decisions;
        decisions.until = now;
        decisions.marks.extend(found);
        sort_by_key(&mut decisions.marks, |mark| mark.at);
        let skipped = decisions.marks.len().saturating_sub(MOST);
        decisions.marks.drain(..skipped);
        any
    }

    /// Reads the decisions of cluster nodes, and changes in reachability and slot owners.
    fn note_cluster(&mut self, since: u64, found: &mut Vec<Mark>) {
        let members = self.members();
        if members.is_empty() {
            return;
        }
        let now = self.now();
        let mut suspected = SortedSet::new();
        let mut owned: SortedMap<NodeId, usize> = SortedMap::new();
        for member in &members {
            let log = member.unit.process().and_then(|id| self.world().log(id));
            for line in log
                .into_iter()
                .flat_map(|log| log.iter().rev())
                .take_while(|line| line.at.0 >= since)
            {
                found.extend(MarkKind::of_node(line).map(|kind| Mark { at: line.at.0, kind }));
            }
            suspected.extend(member.summary.down.iter().map(|(id, _)| *id));
            owned.insert(
                member.summary.id,
                member.server.cluster().map_or(0, |cluster| cluster.my_slots().len()),
            );
        }
        let decisions = &self.decisions;
        if suspected.iter().any(|id| !decisions.suspected.contains(id)) {
            found.push(Mark { at: now, kind: MarkKind::Unreachable });
        }
        let changed = |(id, slots): (&NodeId, &usize)| {
            decisions.owned.get(id).is_some_and(|before| before != slots)
        };
        if owned.iter().any(changed) {
            found.push(Mark { at: now, kind: MarkKind::Slots });
        }
        self.decisions.suspected = suspected;
        self.decisions.owned = owned;
    }

    /// Forgets the decisions after this moment, since an action changes the future.
    pub(crate) fn forget_decisions_ahead(&mut self) {
        let now = self.now();
        self.decisions.marks.retain(|mark| mark.at <= now);
        self.decisions.until = self.decisions.until.min(now);
    }
}
