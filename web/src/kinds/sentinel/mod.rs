//! Sentinels, drawn as an eye. A ring around it is a running timer, and the pupil shows what the
//! Sentinel believes about the master in the worst state.

mod mark;
mod read;

pub(crate) use read::{judgement, seen_as};

use limpid_core::lab::SENTINEL;
use limpid_core::sentinel::SentinelView;
use limpid_core::sentinel::failover::FailoverState;
use limpid_core::sentinel::view::MasterView;

use super::{Kind, NodeView, Role};
use crate::figures;
use crate::i18n::{Locale, Text};
use crate::inspector::{beliefs, connections, files, info, log};
use crate::layout::{Outline, Part, Rim};
use crate::scene::Body;

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "sentinel",
    programs: &[SENTINEL],
    port: Some(26_379),
    part: Part::Sentinel,
    outline: Outline { aside: 48.0, above: 28.0, below: 50.0, rim: Rim::Circle(27.0) },
    read: read::node,
    mark: mark::mark,
    reach: |_, _| 46.0,
    name_at: 38.0,
    line,
    second_line: |_, _| None,
    info: read::info,
    tabs: &[&beliefs::TAB, &info::TAB, &files::TAB, &connections::TAB, &log::TAB],
};

const ROLE: Role = Role { name: "sentinel", text: words::ROLE };

/// What the map shows of a Sentinel: its beliefs, if it runs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct SentinelNode(pub Option<SentinelView>);

/// A Sentinel's belief about a master, from good to bad, then the stages of a failover.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Verdict {
    /// The master answers.
    Up,
    /// Only this Sentinel considers it down (SDOWN).
    Subjective,
    /// Enough Sentinels consider it down (ODOWN).
    Objective,
    /// This Sentinel wants to lead the failover, and asks for votes.
    Candidate,
    /// It leads the failover.
    Leader,
}

/// A running timer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Timer {
    /// Its name in styles.
    pub name: &'static str,
    /// Its name for people.
    pub text: Text,
    /// The fraction of it that has passed, from 0 to 1.
    pub part: f64,
}

impl Verdict {
    /// A Sentinel's belief about a master.
    pub(crate) fn of(master: &MasterView) -> Self {
        match master.failover {
            FailoverState::WaitStart => Verdict::Candidate,
            FailoverState::None if master.odown.is_some() => Verdict::Objective,
            FailoverState::None if master.seen.sdown.is_some() => Verdict::Subjective,
            FailoverState::None => Verdict::Up,
            _ => Verdict::Leader,
        }
    }

    /// Its name in styles and tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verdict::Up => "up",
            Verdict::Subjective => "sdown",
            Verdict::Objective => "odown",
            Verdict::Candidate => "candidate",
            Verdict::Leader => "leader",
        }
    }

    /// Its name for people.
    pub(crate) fn text(self) -> Text {
        match self {
            Verdict::Up => words::UP,
            Verdict::Subjective => words::SUBJECTIVE,
            Verdict::Objective => words::OBJECTIVE,
            Verdict::Candidate => words::CANDIDATE,
            Verdict::Leader => words::LEADER,
        }
    }
}

impl SentinelNode {
    pub(super) fn role() -> Role {
        ROLE
    }

    /// The master in the worst state, as this Sentinel sees it.
    fn worst(&self) -> Option<&MasterView> {
        self.0.as_ref()?.masters.iter().max_by_key(|master| Verdict::of(master))
    }

    /// The most important timer: of a failover, of an election, or of a silence that is longer than
    /// usual.
    pub(crate) fn timer(&self) -> Option<Timer> {
        let master = self.worst()?;
        let part = |(passed, limit): (core::time::Duration, core::time::Duration)| {
            (passed.as_secs_f64() / limit.as_secs_f64().max(1e-9)).clamp(0.0, 1.0)
        };
        if let Some(state) = master.in_state {
            let (name, text) = match master.failover {
                FailoverState::WaitStart => ("election", words::TIMER_ELECTION),
                _ => ("failover", words::TIMER_FAILOVER),
            };
            return Some(Timer { name, text, part: part(state) });
        }
        // The usual silence between two replies is not shown.
        const USUAL: f64 = 0.25;
        let silence = part(master.seen.silence);
        (silence > USUAL && master.seen.sdown.is_none()).then_some(Timer {
            name: "silence",
            text: words::TIMER_SILENCE,
            part: silence,
        })
    }
}

fn line(body: &Body, locale: Locale) -> String {
    let NodeView::Sentinel(sentinel) = &body.node else { return String::new() };
    let Some(view) = &sentinel.0 else { return String::new() };
    let epoch = locale.fill(words::EPOCH, &[("n", &figures::count(view.epoch))]);
    if view.tilt.is_some() {
        return format!("{epoch} · TILT");
    }
    let Some(master) = sentinel.worst() else { return epoch };
    match Verdict::of(master) {
        Verdict::Up => epoch,
        Verdict::Subjective => format!("SDOWN {}/{}", master.down_votes, master.quorum),
        Verdict::Objective => format!("ODOWN {}/{}", master.down_votes, master.quorum),
        Verdict::Candidate => format!("{epoch} · {}", locale.say(words::CANDIDATE)),
        Verdict::Leader => format!("{epoch} · {}", locale.say(words::LEADER)),
    }
}

mod words {
    crate::i18n::texts! {
        ROLE: "Sentinel", "哨兵";
        EPOCH: "epoch {n}", "纪元 {n}";
        UP: "up", "正常";
        SUBJECTIVE: "down for it alone (SDOWN)", "主观下线（SDOWN）";
        OBJECTIVE: "down for enough of them (ODOWN)", "客观下线（ODOWN）";
        CANDIDATE: "asks for votes", "拉票中";
        LEADER: "leads", "领导者";
        TIMER_SILENCE: "silence, until down-after-milliseconds", "无应答计时，至 down-after-milliseconds";
        TIMER_ELECTION: "election", "选举";
        TIMER_FAILOVER: "step of the failover, until failover-timeout", "故障转移步骤计时，至 failover-timeout";
    }
}
