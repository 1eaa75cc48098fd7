//! Moments that one can jump to: faults and commands, which the session remembers, and what Sentinels
//! decided, which is read off their logs as time runs.

use limpid_core::cluster::NodeId;
use limpid_core::machine::LogLevel;
use limpid_core::sim::{Action, EventKind, LogEntry};
use limpid_core::sorted::{SortedMap, SortedSet, sort_by_key};

use crate::lab::{Lab, is_typing};
use crate::layout::Part;

/// A moment that one can jump to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// When, in nanoseconds.
    pub at: u64,
    /// What happened.
    pub kind: MarkKind,
}

/// What happened at a moment that one can jump to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MarkKind {
    /// Something broke, or was broken, or mended.
    Fault,
    /// A person typed a command.
    Command,
    /// A Sentinel holds a master to be down (SDOWN).
    Suspected,
    /// Enough Sentinels do (ODOWN).
    Down,
    /// A Sentinel voted.
    Vote,
    /// A Sentinel knows of a new master, or a replica of a cluster has won its election.
    Switch,
    /// A node of a cluster cannot reach another one (PFAIL).
    Unreachable,
    /// Enough nodes agree on that (FAIL).
    Failed,
    /// Slots have got another owner.
    Slots,
}

/// Marks of Sentinels that are remembered; a session that long is seen in pieces anyway.
const MOST: usize = 400;

/// The marks that Sentinels made, up to a moment.
#[derive(Default)]
pub(crate) struct Decisions {
    marks: Vec<Mark>,
    /// Nodes of a cluster that another node could not reach when it was last looked at.
    suspected: SortedSet<NodeId>,
    /// How many slots each node of a cluster owned then.
    owned: SortedMap<NodeId, usize>,
    /// Logs have been read up to here.
    until: u64,
}

impl MarkKind {
    /// What a line of a Sentinel's log tells, if it is a decision.
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

    /// What a line of the log of a cluster's node tells, if it is a decision.
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

    /// As styles and tests know it.
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
    /// Moments that one can jump to, in their order.
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

    /// When the next decision comes that is known, because time has run through it before.
    pub(crate) fn next_decision(&self) -> Option<u64> {
        let now = self.now();
        self.decisions.marks.iter().map(|mark| mark.at).find(|at| *at > now)
    }

    /// Reads what Sentinels decided since the last time; true if there was anything.
    pub(crate) fn note_decisions(&mut self) -> bool {
        let (since, now) = (self.decisions.until, self.now());
        if now < since {
            // What lies ahead is known from the first time that it was seen.
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
        // Of the last moment some of the events had been read.
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

    /// Reads what the nodes of a cluster decided, and what has changed in what they hold.
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

    /// What was to come after this moment will not, or not in the same way.
    pub(crate) fn forget_decisions_ahead(&mut self) {
        let now = self.now();
        self.decisions.marks.retain(|mark| mark.at <= now);
        self.decisions.until = self.decisions.until.min(now);
    }
}
