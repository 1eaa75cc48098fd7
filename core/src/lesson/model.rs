//! The lesson: what it is about, the World that it plays in, and its steps.

use core::fmt;

use crate::sim::{Action, Scenario};
use crate::time::Duration;

use super::markup::Block;

/// A lesson, as its file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// What it is called.
    pub title: String,
    /// What one can do or knows afterwards, in a sentence.
    pub goal: String,
    /// How many minutes it takes.
    pub minutes: u64,
    /// Lessons that come before it, as `chapter/lesson`.
    pub builds_on: Vec<String>,
    /// What of the curriculum it covers, by the names that the course gives to its pieces.
    pub covers: Vec<String>,
    /// Whether real processes can play it: it needs no virtual fault.
    pub native: bool,
    /// The topology that it plays in, if not in hosts of its own.
    pub topology: Option<String>,
    /// The World at its beginning.
    pub scenario: Scenario,
    /// How long the World has run already when the lesson begins.
    pub warm_up: Duration,
    /// Virtual time in a real second; `None` for the page's choice.
    pub speed: Option<Duration>,
    /// The text before the first step.
    pub intro: Vec<Block>,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// A step of a lesson.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name in links and in stored progress: it stays when the text is reworded.
    pub id: String,
    /// The line of the file in which it begins.
    pub line: usize,
    /// What it is called.
    pub title: String,
    /// What it says.
    pub text: Vec<Block>,
    /// What is waited for; all of it.
    pub wait: Vec<Waited>,
    /// A question that must be answered as well.
    pub question: Option<Question>,
    /// Whether nothing is waited for: what is left to try at the end.
    pub open: bool,
    /// Hints, the vaguest first.
    pub hints: Vec<Vec<Block>>,
    /// What to do, if one does not find out.
    pub solution: Vec<Command>,
    /// What to look at.
    pub focus: Vec<Focus>,
    /// What is drawn beside.
    pub beside: Option<Beside>,
    /// What of the curriculum this step covers, of what the lesson covers.
    pub covers: Vec<String>,
}

/// A condition, and for how long it must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Waited {
    /// The condition.
    pub condition: Condition,
    /// How long it must have held without a break.
    pub hold: Duration,
}

/// Something that happens or holds in a World.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A line was typed into a terminal since the step began.
    Typed {
        /// What it looks like: a glob over the line, blanks as one, case ignored.
        line: String,
        /// Hosts or servers at which it may have been typed; empty for anywhere.
        at: Vec<String>,
        /// What a line of its output looks like.
        shows: Option<String>,
    },
    /// A line was logged since the step began.
    Logged {
        /// What it looks like.
        line: String,
        /// The processes that may report it; any of them.
        at: Vec<String>,
    },
    /// Something was done to the World since the step began.
    Did {
        /// What its text form looks like.
        action: String,
    },
    /// A command would be answered so now.
    Asked {
        /// The command's words.
        command: Vec<String>,
        /// The processes that it may be about; any of them.
        at: Vec<String>,
        /// The password, if it asks for one.
        password: Option<String>,
        /// What the answer is.
        check: Check,
    },
    /// A field of INFO (or of CLUSTER INFO) has a value now.
    Info {
        /// The field.
        field: String,
        /// Whose; any of them.
        at: Vec<String>,
        /// The password, if it asks for one.
        password: Option<String>,
        /// What the value is.
        check: Check,
    },
    /// A process is in a state.
    Process {
        /// The process's name.
        name: String,
        /// Whether it runs, is stopped (or never was), or is paused.
        is: Expect,
    },
    /// A host has power, or not.
    Host {
        /// The host's name.
        name: String,
        /// Whether it is on.
        on: bool,
    },
    /// The link between two hosts is cut in at least one direction, or not.
    Link {
        /// The hosts.
        between: (String, String),
        /// Whether it is cut.
        cut: bool,
    },
    /// A file exists and has a line of some sort.
    File {
        /// Its path.
        path: String,
        /// On which host.
        at: String,
        /// What one of its lines looks like; `None` if it only has to exist.
        has: Option<String>,
    },
    /// So many writes stand in a column of the ledger now.
    Ledger {
        /// The column.
        column: Column,
        /// Whose writes: clients or terminals, by their name or their host's; empty for all.
        at: Vec<String>,
        /// What the number is.
        check: Check,
    },
}

/// A column of the ledger of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Writes that a server acknowledged.
    Acknowledged,
    /// Those of them that no running server holds.
    Lost,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It runs.
    Running,
    /// It does not run.
    Stopped,
    /// It is frozen.
    Paused,
}

/// What an answer or a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// All of it looks like this.
    Is(String),
    /// All of it looks different.
    Not(String),
    /// One of its lines looks like this.
    Has(String),
    /// It is a number, and no less than this.
    AtLeast(i64),
    /// It is a number, and no more than this.
    AtMost(i64),
}

/// A question with answers to choose from.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The question.
    pub text: Vec<Block>,
    /// The answers, and whether each is right, and why.
    pub answers: Vec<Offered>,
}

/// An answer that can be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    /// The answer.
    pub text: Vec<Block>,
    /// Whether it is right.
    pub right: bool,
    /// What is said when it is chosen.
    pub because: Vec<Block>,
}

/// One thing that a solution does.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Type a line into the redis-cli of a server: `redis-1> get k`.
    Cli {
        /// The server's host, or host and port.
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
    /// Do something to the World: `:partition redis-1 | redis-2`.
    Act(Action),
    /// Let time pass: `wait 3s`.
    Wait(Duration),
}

/// Something that is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Focus {
    /// A host or a process.
    Node(String),
    /// The link between two hosts.
    Link(String, String),
}

/// What can be drawn beside a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// The circle of slots.
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
    /// As a lesson file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Cli { at, line } => write!(f, "{at}> {line}"),
            Command::Shell { terminal, line } => write!(f, "{terminal}$ {line}"),
            Command::Act(action) => write!(f, ":{action}"),
            Command::Wait(time) => write!(f, "wait {time:?}"),
        }
    }
}

/// In what two versions of a lesson in different languages differ that must be the same in both.
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
