//! Parses a lesson file.

use crate::sim::Scenario;
use crate::time::Duration;

use super::conditions;
use super::error::LessonError;
use super::markup::{self, Block, Part};
use super::model::{Beside, Choice, Command, Focus, Lesson, Question, Step};
use super::setup;
use super::yaml::{self, Map, Node};

impl Lesson {
    /// The maximum size of a file in bytes.
    pub const MAX_BYTES: usize = 128 << 10;
    /// The maximum number of steps.
    pub const MAX_STEPS: usize = 40;

    /// Parses the text of a file.
    pub fn parse(text: &str) -> Result<Lesson, LessonError> {
        if text.len() > Self::MAX_BYTES {
            let what = format!("the file has {} bytes", text.len());
            let remedy = format!("keep it below {} bytes: make two lessons of it", Self::MAX_BYTES);
            return Err(LessonError::new(1, what, remedy));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let (front, body, body_line) = split(&text)?;
        let front = yaml::parse(front, 2)?;
        let map = front.map("the front matter", FRONT)?;
        let mut lesson = head(&map)?;
        for part in markup::parse(body, body_line)? {
            match part {
                Part::Step { line, title, id } => {
                    let id = id.filter(|id| is_id(id)).ok_or_else(|| {
                        let what = format!("the step '{title}' has no id");
                        LessonError::new(line, what, "write '## Title {#short-id}'")
                    })?;
                    if lesson.steps.iter().any(|step| step.id == id) {
                        let what = format!("two steps have the id '{id}'");
                        return Err(LessonError::new(line, what, "give one another id"));
                    }
                    if lesson.steps.len() == Self::MAX_STEPS {
                        let what = format!("there are more than {} steps", Self::MAX_STEPS);
                        return Err(LessonError::new(line, what, "make two lessons of it"));
                    }
                    lesson.steps.push(Step::new(id, line, title));
                }
                Part::Declaration { line, text } => {
                    let scenario = &lesson.scenario;
                    let Some(step) = lesson.steps.last_mut() else {
                        let what = "a block 'step' is before the first step";
                        return Err(LessonError::new(line, what, "begin with '## Title {#id}'"));
                    };
                    if !step.is_bare() {
                        let what = format!("the step '{}' has two blocks 'step'", step.id);
                        return Err(LessonError::new(line, what, "keep one"));
                    }
                    declare(step, &yaml::parse(&text, line)?, scenario)?;
                }
                Part::Block(block) => match lesson.steps.last_mut() {
                    Some(step) => step.text.push(block),
                    None => lesson.intro.push(block),
                },
            }
        }
        lesson.complete()?;
        Ok(lesson)
    }

    /// Rejects lessons that cannot be completed.
    fn complete(&self) -> Result<(), LessonError> {
        if self.steps.is_empty() {
            let what = "the lesson has no steps";
            return Err(LessonError::new(1, what, "begin one with '## Title {#id}'"));
        }
        let last = self.steps.len() - 1;
        for (number, step) in self.steps.iter().enumerate() {
            if let Some(other) = step.covers.iter().find(|name| !self.covers.contains(name)) {
                let what =
                    format!("the step '{}' covers '{other}', and the lesson does not", step.id);
                let remedy = "name it in the front matter's 'covers' as well";
                return Err(LessonError::new(step.line, what, remedy));
            }
            if step.open && number != last {
                let what = format!("the step '{}' waits for nothing and is not the last", step.id);
                return Err(LessonError::new(step.line, what, "let it wait for something"));
            }
            if !step.open && step.wait.is_empty() && step.question.is_none() {
                let what = format!("the step '{}' waits for nothing", step.id);
                let remedy = "add 'wait' or 'question' to its block 'step', or 'open: true' if it \
                              is the last and only offers something to try";
                return Err(LessonError::new(step.line, what, remedy));
            }
            if !step.wait.is_empty() && step.solution.is_empty() {
                let what = format!("the step '{}' has no solution", step.id);
                return Err(LessonError::new(
                    step.line,
                    what,
                    "add 'solution', a list of commands",
                ));
            }
        }
        if self.steps[last].open && last == 0 {
            let what = "the lesson waits for nothing";
            return Err(LessonError::new(self.steps[0].line, what, "add a step that waits"));
        }
        Ok(())
    }
}

impl Step {
    fn new(id: String, line: usize, title: String) -> Self {
        Step {
            id,
            line,
            title,
            text: Vec::new(),
            wait: Vec::new(),
            question: None,
            open: false,
            hints: Vec::new(),
            solution: Vec::new(),
            focus: Vec::new(),
            beside: None,
            covers: Vec::new(),
        }
    }

    /// Whether no block `step` has declared anything yet.
    fn is_bare(&self) -> bool {
        self.wait.is_empty()
            && self.question.is_none()
            && !self.open
            && self.hints.is_empty()
            && self.solution.is_empty()
            && self.focus.is_empty()
            && self.beside.is_none()
            && self.covers.is_empty()
    }
}

/// The keys of the front matter.
const FRONT: &[&str] = &[
    "title",
    "goal",
    "minutes",
    "builds-on",
    "covers",
    "native",
    "scenario",
    "hosts",
    "latency",
    "warm-up",
    "speed",
];

/// Splits off the front matter. Returns it, the rest, and the line where the rest begins.
fn split(text: &str) -> Result<(&str, &str, usize), LessonError> {
    let remedy = "begin the file with a line '---', keys such as 'title: …', and a line '---'";
    let rest = text
        .strip_prefix("---\n")
        .ok_or_else(|| LessonError::new(1, "there is no front matter", remedy))?;
    let end = rest
        .find("\n---\n")
        .ok_or_else(|| LessonError::new(1, "the front matter does not end", remedy))?;
    let front = &rest[..=end];
    Ok((front, &rest[end + 5..], front.matches('\n').count() + 3))
}

fn head(map: &Map<'_>) -> Result<Lesson, LessonError> {
    let of = "the front matter";
    let texts = |key: &str| map.get(key).map_or(Ok(Vec::new()), |node| node.texts(key));
    let setup = setup::read(map)?;
    let speed = map.get("speed");
    let speed = speed.map(|node| setup::duration(node, "speed", Duration::from_secs(60)));
    Ok(Lesson {
        title: map.need(of, "title")?.text("title")?.to_owned(),
        goal: map.need(of, "goal")?.text("goal")?.to_owned(),
        minutes: map.need(of, "minutes")?.number("minutes", 120)?,
        builds_on: texts("builds-on")?,
        covers: texts("covers")?,
        native: map.get("native").map_or(Ok(false), |node| node.truth("native"))?,
        topology: setup.topology,
        scenario: setup.scenario,
        warm_up: setup.warm_up,
        speed: speed.transpose()?,
        intro: Vec::new(),
        steps: Vec::new(),
    })
}

/// Parses the block `step` of a step.
fn declare(step: &mut Step, node: &Node, scenario: &Scenario) -> Result<(), LessonError> {
    let known = ["wait", "question", "open", "hints", "solution", "focus", "beside", "covers"];
    let map = node.map("the block 'step'", &known)?;
    if let Some(wait) = map.get("wait") {
        for item in wait.items("wait")? {
            step.wait.push(conditions::read(item, scenario)?);
        }
    }
    step.question = map.get("question").map(question).transpose()?;
    step.open = map.get("open").map_or(Ok(false), |node| node.truth("open"))?;
    if let Some(hints) = map.get("hints") {
        for item in hints.items("hints")? {
            step.hints.push(markup::parse_blocks(item.text("a hint")?, item.line)?);
        }
    }
    if let Some(solution) = map.get("solution") {
        for item in solution.items("solution")? {
            step.solution.push(command(item, scenario)?);
        }
    }
    if let Some(node) = map.get("focus") {
        for text in node.texts("focus")? {
            step.focus.push(focus(&text, node.line, scenario)?);
        }
    }
    if let Some(node) = map.get("beside") {
        let name = node.text("beside")?;
        let found = Beside::ALL.iter().find(|(known, _)| *known == name);
        let Some((_, beside)) = found else {
            let known: Vec<&str> = Beside::ALL.iter().map(|(known, _)| *known).collect();
            let what = format!("'{name}' cannot be drawn beside a step");
            return Err(LessonError::new(
                node.line,
                what,
                format!("choose from {}", known.join(", ")),
            ));
        };
        step.beside = Some(*beside);
    }
    if let Some(covers) = map.get("covers") {
        step.covers = covers.texts("covers")?;
    }
    Ok(())
}

fn question(node: &Node) -> Result<Question, LessonError> {
    let blocks = |node: &Node, what: &str| -> Result<Vec<Block>, LessonError> {
        markup::parse_blocks(node.text(what)?, node.line)
    };
    let map = node.map("the question", &["text", "answers"])?;
    let text = blocks(map.need("the question", "text")?, "text")?;
    let list = map.need("the question", "answers")?;
    let mut answers = Vec::new();
    for item in list.items("answers")? {
        let answer = item.map("an answer", &["text", "right", "because"])?;
        let text = blocks(answer.need("an answer", "text")?, "text")?;
        if markup::has_link(&text) {
            let what = "an answer is pressed as a whole, and has a link in it";
            let remedy = "put the link into the question's text or behind 'because'";
            return Err(LessonError::new(item.line, what, remedy));
        }
        answers.push(Choice {
            text,
            right: answer.get("right").map_or(Ok(false), |node| node.truth("right"))?,
            because: blocks(answer.need("an answer", "because")?, "because")?,
        });
    }
    let right = answers.iter().filter(|answer| answer.right).count();
    if right != 1 || answers.len() < 2 || answers.len() > 8 {
        let what = format!("of {} answers {right} are right", answers.len());
        let remedy = "offer two to eight answers, one of them with 'right: true'";
        return Err(LessonError::new(list.line, what, remedy));
    }
    Ok(Question { text, answers })
}

fn command(node: &Node, scenario: &Scenario) -> Result<Command, LessonError> {
    let text = node.text("a command")?.trim();
    let wrong = |what: String| {
        let remedy = "write 'redis-1> get k' for its redis-cli, 'redis-1$ ls' for a shell, \
                      ':partition redis-1 | redis-2' for something done to the World, or 'wait 3s'";
        LessonError::new(node.line, what, remedy)
    };
    if let Some(action) = text.strip_prefix(':') {
        return action.parse().map(Command::Act).map_err(|error| wrong(error.to_string()));
    }
    if let Some(time) = text.strip_prefix("wait ") {
        return crate::sim::parse_duration(time.trim())
            .filter(|time| *time <= Duration::from_secs(600))
            .map(Command::Wait)
            .ok_or_else(|| wrong(format!("'{time}' is not a time of up to ten minutes")));
    }
    let end = text.find(|c: char| matches!(c, '>' | '$') || c.is_whitespace());
    let Some(end) = end.filter(|&end| end > 0 && !text[end..].starts_with(char::is_whitespace))
    else {
        return Err(wrong(format!("'{text}' does not say where it is typed")));
    };
    let (place, line) = (text[..end].to_owned(), text[end + 1..].trim_start().to_owned());
    let host = place.split([':', '#']).next().unwrap_or_default();
    if !scenario.hosts.iter().any(|known| known.name == host) {
        return Err(wrong(format!("there is no host '{host}'")));
    }
    Ok(match text.as_bytes()[end] {
        b'>' => Command::Cli { at: place, line },
        // A prompt without a number means the first shell of the host.
        _ => Command::Shell { terminal: place.trim_end_matches("#1").to_owned(), line },
    })
}

fn focus(text: &str, line: usize, scenario: &Scenario) -> Result<Focus, LessonError> {
    let known = |name: &str| {
        let host = name.split(':').next().unwrap_or_default();
        scenario
            .hosts
            .iter()
            .any(|h| h.name == host || h.processes.iter().any(|process| process.name == name))
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["link", a, b] if known(a) && known(b) => Ok(Focus::Link(a.to_owned(), b.to_owned())),
        [name] if known(name) => Ok(Focus::Node(name.to_owned())),
        _ => Err(LessonError::new(
            line,
            format!("there is no '{text}' to look at"),
            "write the name of a host or a process, or 'link redis-1 redis-2'",
        )),
    }
}

fn is_id(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !id.is_empty() && id.len() <= 40 && id.chars().all(plain)
}
