//! The data model: a lesson, its World, and its steps.

use core::fmt;

use crate::sim::{Action, Scenario};
use crate::time::Duration;

use super::markup::Block;

/// A lesson, as described by its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// Its title.
    pub title: String,
    /// What a learner can do or knows afterwards, in one sentence.
    pub goal: String,
    /// Its expected duration in minutes.
    pub minutes: u64,
    /// The lessons it builds on, as `chapter/lesson`.
    pub builds_on: Vec<String>,
    /// The items of the curriculum that it covers.
    pub covers: Vec<String>,
    /// Whether it can be played with real processes, since it needs no virtual faults.
    pub native: bool,
    /// The topology in which it is played, unless it has hosts of its own.
    pub topology: Option<String>,
    /// The initial scenario of the World.
    pub scenario: Scenario,
    /// How long the World runs before the lesson begins.
    pub warm_up: Duration,
    /// Virtual time per real second; `None` for the page's default.
    pub speed: Option<Duration>,
    /// The text before the first step.
    pub intro: Vec<Block>,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// A step of a lesson.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its ID in links and in stored progress, which stays the same when the text is edited.
    pub id: String,
    /// The line of the file where it begins.
    pub line: usize,
    /// Its title.
    pub title: String,
    /// Its text.
    pub text: Vec<Block>,
    /// The conditions that must all be met.
    pub wait: Vec<Requirement>,
    /// A question that must be answered, too.
    pub question: Option<Question>,
    /// Whether the step has no conditions, like suggestions at the end.
    pub open: bool,
    /// Hints, from vague to specific.
    pub hints: Vec<Vec<Block>>,
    /// The solution, as a list of commands.
    pub solution: Vec<Command>,
    /// The nodes and links to point out.
    pub focus: Vec<Focus>,
    /// The view to show beside the step.
    pub beside: Option<Beside>,
    /// The items of the curriculum that this step covers, a subset of the lesson's.
    pub covers: Vec<String>,
}

/// A condition, and for how long it must be true.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    /// The condition.
    pub condition: Condition,
    /// How long it must have been true without interruption.
    pub hold: Duration,
}

/// A condition on a World: an event, or a state.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A line has been typed into a terminal since the step began.
    Typed {
        /// A glob for the line; blanks are collapsed, and case is ignored.
        line: String,
        /// Hosts or servers at which it may be typed; empty for any.
        at: Vec<String>,
        /// A glob for a line of its output.
        shows: Option<String>,
    },
    /// A line has been logged since the step began.
    Logged {
        /// A glob for the line.
        line: String,
        /// The processes that may log it; any of them.
        at: Vec<String>,
    },
    /// An action has been applied to the World since the step began.
    Did {
        /// A glob for the action's text form.
        action: String,
    },
    /// A command would get this reply now.
    Asked {
        /// The command's name and arguments.
        command: Vec<String>,
        /// The processes to ask; any of them.
        at: Vec<String>,
        /// The password, if one is required.
        password: Option<String>,
        /// The expected reply.
        check: Check,
    },
    /// A field of INFO (or of CLUSTER INFO) has this value now.
    Info {
        /// The field.
        field: String,
        /// The processes to ask; any of them.
        at: Vec<String>,
        /// The password, if one is required.
        password: Option<String>,
        /// The expected value.
        check: Check,
    },
    /// A process is in this state.
    Process {
        /// The name of the process.
        name: String,
        /// The expected state.
        is: Expect,
    },
    /// A host is powered on or off.
    Host {
        /// The host's name.
        name: String,
        /// Whether it is powered on.
        on: bool,
    },
    /// The link between two hosts is cut in at least one direction, or not.
    Link {
        /// The hosts.
        between: (String, String),
        /// Whether it is cut.
        cut: bool,
    },
    /// A file exists, and contains a line.
    File {
        /// Its path.
        path: String,
        /// The host.
        at: String,
        /// A glob for one of its lines; `None` if the file only has to exist.
        has: Option<String>,
    },
    /// A column of the ledger has this number of writes now.
    Ledger {
        /// The column.
        column: Column,
        /// Clients or terminals, by their names or their hosts; empty for all.
        at: Vec<String>,
        /// The expected number.
        check: Check,
    },
}

/// A column of the ledger of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Acknowledged writes.
    Acknowledged,
    /// Acknowledged writes that no running server has.
    Lost,
}

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It is running.
    Running,
    /// It is not running, or does not exist.
    Stopped,
    /// It is paused.
    Paused,
}

/// The expectation on a reply or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// All of it matches this glob.
    Is(String),
    /// It does not match this glob.
    Not(String),
    /// One of its lines matches this glob.
    Has(String),
    /// It is a number, at least this.
    AtLeast(i64),
    /// It is a number, at most this.
    AtMost(i64),
}

/// A multiple-choice question.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The question.
    pub text: Vec<Block>,
    /// The answers.
    pub answers: Vec<Choice>,
}

/// An answer to choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The answer.
    pub text: Vec<Block>,
    /// Whether it is right.
    pub right: bool,
    /// The explanation that is shown when it is chosen.
    pub because: Vec<Block>,
}

/// A command of a solution.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Type a line into the redis-cli of a server: `redis-1> get k`.
    Cli {
        /// The host of the server, or host and port.
        at: String,
        /// The line.
        line: String,
    },
    /// Type a line into a terminal with a shell: `redis-1$ ls`.
    Shell {
        /// The terminal's name: its host, and `#2` for a second one.
        terminal: String,
        /// The line; `^C` for Ctrl-C.
        line: String,
    },
    /// Apply an action to the World: `:partition redis-1 | redis-2`.
    Act(Action),
    /// Let time pass: `wait 3s`.
    Wait(Duration),
}

/// Something to point out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Focus {
    /// A host or a process.
    Node(String),
    /// The link between two hosts.
    Link(String, String),
}

/// The views that can be shown beside a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// The ring of slots.
    Slots,
    /// The ring of consistent hashing.
    Ring,
    /// The ledger of writes.
    Ledger,
    /// Replication offsets over time.
    Offsets,
    /// The list of events.
    Events,
}

impl Beside {
    pub(super) const ALL: [(&'static str, Beside); 5] = [
        ("slots", Beside::Slots),
        ("ring", Beside::Ring),
        ("ledger", Beside::Ledger),
        ("offsets", Beside::Offsets),
        ("events", Beside::Events),
    ];
}

impl fmt::Display for Command {
    /// The command as written in a lesson file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Cli { at, line } => write!(f, "{at}> {line}"),
            Command::Shell { terminal, line } => write!(f, "{terminal}$ {line}"),
            Command::Act(action) => write!(f, ":{action}"),
            Command::Wait(time) => write!(f, "wait {time:?}"),
        }
    }
}

/// Lists the differences between two language versions of a lesson, in everything that must be the
/// same.
pub fn differences(one: &Lesson, other: &Lesson) -> Vec<String> {
    let mut found = Vec::new();
    let mut same = |what: String, same: bool| {
        if !same {
            found.push(what);
        }
    };
    same("minutes".into(), one.minutes == other.minutes);
    same("builds-on".into(), one.builds_on == other.builds_on);
    same("covers".into(), one.covers == other.covers);
    same("native".into(), one.native == other.native);
    same("the hosts".into(), one.scenario == other.scenario && one.warm_up == other.warm_up);
    let ids = |lesson: &Lesson| -> Vec<String> {
        lesson.steps.iter().map(|step| step.id.clone()).collect()
    };
    same("the steps".into(), ids(one) == ids(other));
    for (a, b) in one.steps.iter().zip(&other.steps) {
        let id = &a.id;
        same(format!("what step '{id}' waits for"), a.wait == b.wait && a.open == b.open);
        same(format!("the number of hints of step '{id}'"), a.hints.len() == b.hints.len());
        same(format!("the solution of step '{id}'"), a.solution == b.solution);
        same(format!("what step '{id}' covers"), a.covers == b.covers);
        same(format!("what step '{id}' shows"), a.focus == b.focus && a.beside == b.beside);
        let answers = |step: &Step| -> Option<Vec<bool>> {
            step.question.as_ref().map(|q| q.answers.iter().map(|answer| answer.right).collect())
        };
        same(format!("the answers of step '{id}'"), answers(a) == answers(b));
    }
    found
}
