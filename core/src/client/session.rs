//! An interactive client without a terminal and without a socket: it takes typed lines and
//! arrived bytes, and says what to print, what to send, and where to connect.
//!
//! The page's terminal and the native program both run this; what it prints, and when, is what
//! redis-cli prints. Its driver carries out its [`Action`]s in order, shows
//! [`Session::prompt`] while [`Session::waiting`] says [`Waiting::Line`], and tells it what
//! happened.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::resp::value::{Decoder, Value, encode_command};
use crate::time::{Duration, Mono};

use super::format::{Format, Output};
use super::help::Help;
use super::quote::split_args;
use super::secrets::{self, is_sensitive};

mod command;
mod config;
mod link;

pub use config::{Action, Answer, Protocol, SessionConfig, Target, Waiting};

use command::{Change, Command, Phase};
use link::{Greeting, Link, Pushes};

/// The client. See the module.
#[derive(Clone, Debug)]
pub struct Session {
    config: SessionConfig,
    help: Arc<Help>,
    hints: bool,
    /// Whether the server is still to be asked for its commands.
    learns: bool,
    target: Target,
    link: Link,
    /// Requests of the session's own whose replies come before those of commands.
    greeting: VecDeque<Greeting>,
    decoder: Decoder,
    /// The database selected on this connection.
    db: i64,
    /// The database to select on the next connection.
    wanted_db: i64,
    in_multi: bool,
    db_before_multi: i64,
    resp3: bool,
    subscribed: bool,
    pushes: Pushes,
    command: Option<Command>,
    /// Whether messages are awaited, with the notice on the screen that says so.
    reading: bool,
    notice: bool,
    /// Whether the prompt was asked for although there are subscriptions.
    typing: bool,
    actions: VecDeque<Action>,
    answers: Vec<Answer>,
    ended: bool,
}

impl Session {
    /// A session that has not connected yet.
    pub fn new(config: SessionConfig, help: Arc<Help>) -> Self {
        let target = match &config.socket {
            Some(path) => Target::Unix(path.clone()),
            None => Target::Tcp(config.host.clone(), config.port),
        };
        Session {
            learns: config.learn_commands,
            wanted_db: config.db,
            pushes: if config.show_pushes { Pushes::Print } else { Pushes::Drop },
            config,
            help,
            hints: true,
            target,
            link: Link::Down,
            greeting: VecDeque::new(),
            decoder: Decoder::new(),
            db: 0,
            in_multi: false,
            db_before_multi: 0,
            resp3: false,
            subscribed: false,
            command: None,
            reading: false,
            notice: false,
            typing: false,
            actions: VecDeque::new(),
            answers: Vec::new(),
            ended: false,
        }
    }

    /// Connects. An interactive session does so at its start; otherwise the first command does.
    pub fn start(&mut self) {
        self.connect();
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The commands that were answered since the last time, if the configuration asks for them.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        core::mem::take(&mut self.answers)
    }

    /// When [`Session::wake`] is to be called, if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.command.as_ref()?.phase {
            Phase::Pause(until) => Some(until),
            _ => None,
        }
    }

    /// Whether lines are typed.
    pub fn is_interactive(&self) -> bool {
        self.config.interactive
    }

    /// Ends it.
    pub fn quit(&mut self) {
        self.exit(0);
    }

    /// What it waits for.
    pub fn waiting(&self) -> Waiting {
        if self.ended {
            Waiting::Ended
        } else if self.command.as_ref().is_some_and(Command::is_monitoring) {
            Waiting::Monitor
        } else if self.command.is_some() || self.link.is_connecting() || !self.greeting.is_empty() {
            Waiting::Reply
        } else if self.reading {
            Waiting::Messages
        } else {
            Waiting::Line
        }
    }

    /// The prompt: `127.0.0.1:6379[1](TX)> `.
    pub fn prompt(&self) -> String {
        if matches!(self.link, Link::Down) {
            return "not connected> ".to_string();
        }
        let mut prompt = match &self.target {
            Target::Unix(path) => format!("redis {path}"),
            Target::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Target::Tcp(host, port) => format!("{host}:{port}"),
        };
        if self.db != 0 {
            prompt.push_str(&format!("[{}]", self.db));
        }
        if self.in_multi {
            prompt.push_str("(TX)");
        }
        if self.subscribed {
            prompt.push_str("(subscribed mode)");
        }
        prompt + "> "
    }

    /// The connection's database.
    pub fn db(&self) -> i64 {
        self.db
    }

    /// Where it is connected, or would connect; a redirection changes it.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How replies are printed.
    pub fn format(&self) -> &Format {
        &self.config.format
    }

    /// What is known of the commands.
    pub fn help(&self) -> &Help {
        &self.help
    }

    /// The same, to be kept beside the session.
    pub fn shared_help(&self) -> Arc<Help> {
        Arc::clone(&self.help)
    }

    /// Whether hints are switched on.
    pub fn shows_hints(&self) -> bool {
        self.hints
    }

    /// Knows the commands by this from now on.
    pub fn set_help(&mut self, help: Arc<Help>) {
        self.help = help;
    }

    /// What may still be typed behind `line`, to be shown behind the cursor; begins with a blank
    /// if one is missing. `None` if nothing is known, or hints are switched off.
    pub fn hint(&self, line: &str) -> Option<String> {
        if !self.hints {
            return None;
        }
        let hint = self.help.hint(line).filter(|hint| !hint.is_empty())?;
        let blank = if line.ends_with(|c: char| c.is_ascii_whitespace()) { "" } else { " " };
        Some(format!("{blank}{hint}"))
    }

    /// Whether a line may be kept in a history: it carries no secret.
    pub fn may_remember(line: &[u8]) -> bool {
        match split_args(line) {
            None => true,
            Some(args) if args.is_empty() => false,
            Some(args) => match repetition(&args) {
                Repetition::Invalid => false,
                Repetition::Times(_, skip) => !is_sensitive(args.get(skip..).unwrap_or_default()),
            },
        }
    }

    /// A typed line as it may be shown to others: passwords and the like are replaced, as MONITOR
    /// replaces them.
    pub fn without_secrets(line: &str) -> Cow<'_, str> {
        // Quotes that are not closed do not make a secret fit to be seen.
        let words = || line.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        let args = split_args(line.as_bytes()).unwrap_or_else(words);
        let skip = match repetition(&args) {
            Repetition::Invalid => 0,
            Repetition::Times(_, skip) => skip,
        };
        let (before, command) = args.split_at(skip.min(args.len()));
        match secrets::redacted(command) {
            Some(shown) => {
                let before = before.iter().map(|word| String::from_utf8_lossy(word).into_owned());
                Cow::Owned(before.chain(shown).collect::<Vec<_>>().join(" "))
            }
            None => Cow::Borrowed(line),
        }
    }

    /// Takes a line of the preferences file (`~/.redisclirc`).
    pub fn preference(&mut self, line: &[u8]) {
        if let Some(args) = split_args(line)
            && !args.is_empty()
        {
            self.set_preference(&args, ".redisclirc: ");
        }
    }

    /// Takes a typed line.
    pub fn line(&mut self, now: Mono, line: &[u8]) {
        if self.ended {
            return;
        }
        self.key();
        self.typing = false;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            self.typed(now, line);
        }
        self.read_on();
    }

    /// Runs one command, again and again if `repeat` says so (for ever if it is negative).
    pub fn run(&mut self, now: Mono, args: Vec<Vec<u8>>, repeat: i64) {
        let Some(name) = args.first() else { return };
        if name.eq_ignore_ascii_case(b"help") || name == b"?" {
            let topics: Vec<String> = args
                .iter()
                .skip(1)
                .map(|topic| String::from_utf8_lossy(topic).into_owned())
                .collect();
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            let text = self.help.text(&topics, &self.config.version, self.config.color);
            self.print(text);
            return self.finish_without_command();
        }
        self.command = Some(Command::new(args, repeat, now));
        self.advance(now);
    }

    /// Any key was pressed while messages were awaited: the prompt is wanted.
    pub fn key(&mut self) {
        if self.reading {
            self.erase_notice();
            self.reading = false;
            self.typing = true;
        }
    }

    /// The person wants out (Ctrl-C): of a subscription, of MONITOR, or of a command that takes
    /// too long. The connection is replaced by a new one.
    pub fn interrupt(&mut self, now: Mono) {
        if self.ended || self.waiting() == Waiting::Line && !self.subscribed {
            return;
        }
        self.erase_notice();
        self.reading = false;
        self.subscribed = false;
        self.disconnect();
        self.finish(now, true);
        if !self.ended {
            self.connect();
        }
    }

    /// There are no more lines (Ctrl-D).
    pub fn end(&mut self) {
        if self.ended {
            return;
        }
        self.key();
        if self.subscribed {
            self.subscribed = false;
            self.disconnect();
            self.connect();
        } else {
            self.exit(0);
        }
    }

    /// The time that [`Session::poll_timeout`] named has come.
    pub fn wake(&mut self, now: Mono) {
        if self.poll_timeout().is_some_and(|until| until <= now) {
            self.next_round(now);
        }
    }

    /// The connection stands.
    pub fn connected(&mut self, now: Mono) {
        if !self.link.is_connecting() {
            return;
        }
        self.link = Link::Up;
        self.greet();
        self.advance(now);
    }

    /// The connection could not be made, for a reason in the words of the operating system.
    pub fn connect_failed(&mut self, now: Mono, reason: &str) {
        if !self.link.is_connecting() {
            return;
        }
        let whereto = match &self.target {
            Target::Tcp(host, port) => format!("{host}:{port}"),
            Target::Unix(path) => path.clone(),
        };
        self.link = Link::Down;
        self.print_error(format!("Could not connect to Redis at {whereto}: {reason}\n"));
        self.finish(now, false);
    }

    /// Bytes have arrived.
    pub fn received(&mut self, now: Mono, bytes: &[u8]) {
        if !matches!(self.link, Link::Up) {
            return;
        }
        self.decoder.feed(bytes);
        self.read(now);
        self.read_on();
    }

    /// The connection is gone, for a reason in the words that follow `Error: `.
    pub fn closed(&mut self, now: Mono, reason: &str) {
        match self.link {
            Link::Up => {}
            Link::Connecting => return self.connect_failed(now, reason),
            Link::Down | Link::Broken(_) => return,
        }
        let shutdown = self.command.as_ref().is_some_and(|command| command.is("shutdown"));
        if self.waiting() == Waiting::Line {
            // A redis-cli notices when it next wants to send something.
            self.link = Link::Broken(reason.to_string());
            return;
        }
        self.erase_notice();
        (self.reading, self.subscribed) = (false, false);
        self.lose();
        if !shutdown {
            self.print_error(format!("Error: {reason}\n"));
        }
        self.finish(now, shutdown);
    }

    fn typed(&mut self, now: Mono, line: &[u8]) {
        let Some(mut args) = split_args(line) else {
            return self.print("Invalid argument(s)\n");
        };
        let Repetition::Times(times, skip) = repetition(&args) else {
            return self.print("Invalid redis-cli repeat command option value.\n");
        };
        args.drain(..skip);
        let Some(name) = args.first() else { return };
        let is = |word: &str| skip == 0 && name.eq_ignore_ascii_case(word.as_bytes());
        if is("quit") || is("exit") {
            self.exit(0);
        } else if skip == 0 && name.starts_with(b":") {
            self.set_preference(&args, "");
        } else if is("restart") {
            self.print("Use 'restart' only in Lua debugging mode.\n");
        } else if is("connect") && args.len() == 3 {
            self.go_to(&args);
        } else if is("clear") && args.len() == 1 {
            self.actions.push_back(Action::ClearScreen);
        } else {
            self.run(now, args, times);
        }
    }

    fn go_to(&mut self, args: &[Vec<u8>]) {
        if let [_, host, port] = args {
            let port = String::from_utf8_lossy(port).parse().unwrap_or(0);
            self.target = Target::Tcp(String::from_utf8_lossy(host).into_owned(), port);
            self.disconnect();
            self.connect();
        }
    }

    fn set_preference(&mut self, args: &[Vec<u8>], place: &str) {
        let is = |i: usize, word: &str| {
            args.get(i).is_some_and(|arg: &Vec<u8>| arg.eq_ignore_ascii_case(word.as_bytes()))
        };
        let shown =
            |i: usize| String::from_utf8_lossy(args.get(i).map_or(&[][..], |a| a)).into_owned();
        if is(0, ":set") && args.len() >= 2 {
            if is(1, "hints") {
                self.hints = true;
            } else if is(1, "nohints") {
                self.hints = false;
            } else {
                let what = shown(1);
                self.print(format!("{place}unknown redis-cli preference '{what}'\n"));
            }
        } else {
            let what = shown(0);
            self.print(format!("{place}unknown redis-cli internal command '{what}'\n"));
        }
    }

    /// Takes the command at hand as far as it goes without news.
    fn advance(&mut self, now: Mono) {
        let Some(command) = &mut self.command else { return };
        match &self.link {
            Link::Connecting => {}
            Link::Down => self.connect(),
            Link::Broken(reason) => {
                let reason = reason.clone();
                self.lose();
                self.print_error(format!("Error: {reason}\n"));
                self.finish(now, false);
            }
            Link::Up if !self.greeting.is_empty() || command.phase != Phase::Ready => {}
            Link::Up if core::mem::take(&mut command.asking) => {
                self.ask(Greeting::Asking, &[b"ASKING"]);
            }
            Link::Up => {
                command.send();
                if command.changes_subscriptions() {
                    // Confirmations are pushes in RESP3, and are the replies all the same.
                    self.pushes = Pushes::Reply;
                }
                let mut bytes = Vec::new();
                encode_command(&command.args, &mut bytes);
                self.actions.push_back(Action::Send(bytes));
                // Messages that came while the prompt was shown stand before the reply.
                self.read(now);
            }
        }
    }

    /// Looks at what has arrived, as far as it is waited for.
    fn read(&mut self, now: Mono) {
        while self.awaits_values() {
            match self.decoder.next_value() {
                Ok(Some(value)) => self.value(now, value),
                Ok(None) => return,
                Err(error) => {
                    self.erase_notice();
                    (self.reading, self.subscribed) = (false, false);
                    self.disconnect();
                    self.print_error(format!("Error: {error}\n"));
                    return self.finish(now, false);
                }
            }
        }
    }

    fn awaits_values(&self) -> bool {
        matches!(self.link, Link::Up)
            && (!self.greeting.is_empty()
                || self.reading
                || self.command.as_ref().is_some_and(|command| command.phase == Phase::Sent))
    }

    fn value(&mut self, now: Mono, value: Value) {
        if let Value::Push(_) = value
            && (self.pushes != Pushes::Reply || !self.greeting.is_empty())
        {
            if self.pushes != Pushes::Drop {
                let shown = self.config.format.push(&value);
                self.erase_notice();
                self.print(shown);
            }
        } else if let Some(greeting) = self.greeting.pop_front() {
            self.greeted(now, greeting, &value);
        } else if self.command.is_some() {
            self.reply(now, value);
        } else {
            self.erase_notice();
            let shown = self.config.format.reply(&value);
            self.print(shown);
        }
    }

    fn reply(&mut self, now: Mono, value: Value) {
        let Some(command) = &mut self.command else { return };
        if self.config.cluster
            && let Some(redirection) = link::Redirection::parse(&value, &self.target)
        {
            if self.config.interactive {
                let shown = redirection.to_string();
                self.actions.push_back(Action::Print(shown.into_bytes()));
            }
            command.phase = Phase::Ready;
            command.repeat_once_more();
            command.asking = redirection.asking;
            self.target = redirection.target;
            self.disconnect();
            return self.connect();
        }
        if self.config.keeps_answers {
            self.answers.push(Answer {
                args: command.args.clone(),
                db: self.db,
                target: self.target.clone(),
                reply: value.clone(),
            });
        }
        let is_error = value.is_error();
        if is_error && !self.config.interactive && self.config.exit_on_error {
            let mut text = value.plain().bytes().unwrap_or_default().to_vec();
            text.push(b'\n');
            self.actions.push_back(Action::PrintError(text));
            return self.exit(1);
        }
        let shown = if command.is_report() {
            self.config.format.report(&value)
        } else {
            self.config.format.reply(&value)
        };
        self.actions.push_back(Action::Print(shown));
        if command.is_monitoring() {
            if is_error {
                self.finish(now, true);
            }
            return;
        }
        if self.subscribed || command.expects_confirmations() {
            if link::is_pubsub_message(&value, self.resp3) {
                let Some(entered) = command.confirmed_by(&value) else {
                    // A message that came in between.
                    return;
                };
                self.subscribed |= entered;
                if command.expects_confirmations() {
                    return;
                }
            } else if matches!(value, Value::Push(_)) {
                return;
            }
        }
        let change = command.change(&value);
        self.apply(change);
        self.next_round(now);
    }

    /// What a reply changes about the connection.
    fn apply(&mut self, change: Change) {
        match change {
            Change::None => {}
            Change::Selected(db) => (self.db, self.wanted_db) = (db, db),
            Change::Authenticated => {
                if self.wanted_db != self.db {
                    self.select();
                }
            }
            Change::Multi => {
                self.in_multi = true;
                self.db_before_multi = self.db;
            }
            Change::Executed if self.in_multi => self.in_multi = false,
            Change::Aborted if self.in_multi => {
                self.in_multi = false;
                (self.db, self.wanted_db) = (self.db_before_multi, self.db_before_multi);
            }
            Change::Executed | Change::Aborted => {}
            Change::Reset => {
                (self.in_multi, self.resp3, self.subscribed) = (false, false, false);
                (self.db, self.wanted_db) = (0, 0);
            }
            Change::Protocol { resp3 } => self.resp3 = resp3,
        }
        if !self.subscribed {
            self.pushes = if self.config.show_pushes { Pushes::Print } else { Pushes::Drop };
        }
    }

    /// After a reply: pauses, repeats, or ends the command.
    fn next_round(&mut self, now: Mono) {
        let Some(command) = &mut self.command else { return };
        if self.config.interval > Duration::ZERO && !command.paused {
            command.paused = true;
            command.phase = Phase::Pause(now + self.config.interval);
        } else if command.repeats() {
            command.phase = Phase::Ready;
            self.advance(now);
        } else {
            self.finish(now, true);
        }
    }

    /// Ends the command at hand.
    fn finish(&mut self, now: Mono, well: bool) {
        let Some(command) = self.command.take() else {
            if !self.config.interactive && !well {
                self.exit(1);
            }
            return;
        };
        if !self.config.interactive {
            return match (well, self.subscribed) {
                (true, true) => {}
                (true, false) => self.exit(0),
                (false, _) => self.exit(1),
            };
        }
        let took = now.since(command.started);
        if took >= SLOW && self.config.format.output == Output::Standard {
            self.print(format!("({:.2}s)\n", took.as_millis() as f64 / 1000.0));
        }
    }

    fn finish_without_command(&mut self) {
        if !self.config.interactive {
            self.exit(0);
        }
    }

    /// Goes back to awaiting messages, if there are subscriptions and nothing else to do.
    fn read_on(&mut self) {
        if self.subscribed
            && !self.typing
            && self.waiting() == Waiting::Line
            && !matches!(self.link, Link::Broken(_))
        {
            self.reading = true;
        }
        if self.reading && !self.notice && self.waiting() == Waiting::Messages {
            self.read(Mono::ZERO);
            self.notice = true;
            if self.shows_notice() {
                let (on, off) =
                    if self.config.color { ("\x1b[1;90m", "\x1b[0m") } else { ("", "") };
                self.print(format!("{on}{NOTICE}\r{off}"));
            }
        }
    }

    fn erase_notice(&mut self) {
        if core::mem::take(&mut self.notice) && self.shows_notice() {
            self.print("\x1b[K");
        }
    }

    fn shows_notice(&self) -> bool {
        self.config.interactive && self.config.tty && self.config.format.output != Output::Raw
    }

    fn exit(&mut self, code: i32) {
        if !self.ended {
            self.ended = true;
            self.actions.push_back(Action::Exit(code));
        }
    }

    fn print(&mut self, text: impl Into<Vec<u8>>) {
        let text = text.into();
        if !text.is_empty() {
            self.actions.push_back(Action::Print(text));
        }
    }

    fn print_error(&mut self, text: String) {
        self.actions.push_back(Action::PrintError(text.into_bytes()));
    }
}

/// A command that took so long is told how long it took.
const SLOW: Duration = Duration::from_millis(500);

const NOTICE: &str = "Reading messages... (press Ctrl-C to quit or any key to type command)";

enum Repetition {
    /// So many times, said by so many words in front.
    Times(i64, usize),
    /// A number that no command can be repeated by.
    Invalid,
}

/// `5 incr x` runs five times.
fn repetition(args: &[Vec<u8>]) -> Repetition {
    let Some(first) = args.first().filter(|_| args.len() > 1) else {
        return Repetition::Times(1, 0);
    };
    let digits = match first.as_slice() {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Repetition::Times(1, 0);
    }
    match String::from_utf8_lossy(first).parse() {
        Ok(times @ 1..) => Repetition::Times(times, 1),
        _ => Repetition::Invalid,
    }
}

#[cfg(test)]
mod tests;
