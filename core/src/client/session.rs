//! An interactive redis-cli session without a terminal and without sockets: it takes typed lines
//! and received bytes, and produces output, bytes to send and connections to open.
//!
//! Both the page's terminal and the native program run it; its output equals that of redis-cli. The
//! driver carries out the [`Action`]s in order, shows [`Session::prompt`] while
//! [`Session::waiting`] is [`Waiting::Line`], and reports what happens.

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
use link::{Link, Pushes, SessionRequest};

/// A redis-cli session. See the module.
#[derive(Clone, Debug)]
pub struct Session {
    config: SessionConfig,
    help: Arc<Help>,
    hints: bool,
    /// Whether the server still has to be asked for its commands.
    asks_commands: bool,
    target: Target,
    link: Link,
    /// Requests of the session itself (AUTH, SELECT, ...) whose replies come before those of
    /// commands.
    own_requests: VecDeque<SessionRequest>,
    decoder: Decoder,
    /// The database selected on the current connection.
    db: i64,
    /// The database to select on new connections.
    wanted_db: i64,
    in_multi: bool,
    db_before_multi: i64,
    resp3: bool,
    subscribed: bool,
    pushes: Pushes,
    command: Option<Command>,
    /// Whether it waits for messages of subscriptions.
    reading: bool,
    /// Whether the notice that says so is on the screen.
    notice: bool,
    /// Whether the prompt was requested in spite of subscriptions.
    typing: bool,
    actions: VecDeque<Action>,
    answers: Vec<Answer>,
    ended: bool,
}

impl Session {
    /// A session that is not connected yet.
    pub fn new(config: SessionConfig, help: Arc<Help>) -> Self {
        let target = match &config.socket {
            Some(path) => Target::Unix(path.clone()),
            None => Target::Tcp(config.host.clone(), config.port),
        };
        Session {
            asks_commands: config.learn_commands,
            wanted_db: config.db,
            pushes: if config.show_pushes { Pushes::Print } else { Pushes::Drop },
            config,
            help,
            hints: true,
            target,
            link: Link::Down,
            own_requests: VecDeque::new(),
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

    /// Connects. An interactive session is started by this; otherwise the first command connects.
    pub fn start(&mut self) {
        self.connect();
    }

    /// Takes the next action.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Takes the commands replied to since the last call, if the configuration asks for them.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        core::mem::take(&mut self.answers)
    }

    /// When to call [`Session::wake`], unless something else happens before.
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.command.as_ref()?.phase {
            Phase::Pause(until) => Some(until),
            _ => None,
        }
    }

    /// Whether lines are typed, in contrast to a single command.
    pub fn is_interactive(&self) -> bool {
        self.config.interactive
    }

    /// Ends the session.
    pub fn quit(&mut self) {
        self.exit(0);
    }

    /// What the session is waiting for.
    pub fn waiting(&self) -> Waiting {
        if self.ended {
            Waiting::Ended
        } else if self.command.as_ref().is_some_and(Command::is_monitoring) {
            Waiting::Monitor
        } else if self.command.is_some()
            || self.link.is_connecting()
            || !self.own_requests.is_empty()
        {
            Waiting::Reply
        } else if self.reading {
            Waiting::Messages
        } else {
            Waiting::Line
        }
    }

    /// The prompt, such as `127.0.0.1:6379[1](TX)> `.
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

    /// The database of the connection.
    pub fn db(&self) -> i64 {
        self.db
    }

    /// The server it is connected to, or would connect to; a redirection changes it.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The format of replies.
    pub fn format(&self) -> &Format {
        &self.config.format
    }

    /// The documentation of the commands.
    pub fn help(&self) -> &Help {
        &self.help
    }

    /// The same, shared.
    pub fn shared_help(&self) -> Arc<Help> {
        Arc::clone(&self.help)
    }

    /// Whether hints are enabled.
    pub fn shows_hints(&self) -> bool {
        self.hints
    }

    /// Replaces the documentation of the commands.
    pub fn set_help(&mut self, help: Arc<Help>) {
        self.help = help;
    }

    /// The hint after `line`, which begins with a blank if `line` does not end in one. `None` if
    /// there is none, or hints are disabled.
    pub fn hint(&self, line: &str) -> Option<String> {
        if !self.hints {
            return None;
        }
        let hint = self.help.hint(line).filter(|hint| !hint.is_empty())?;
        let blank = if line.ends_with(|c: char| c.is_ascii_whitespace()) { "" } else { " " };
        Some(format!("{blank}{hint}"))
    }

    /// Whether a line contains no secret, so that it may be written to a history.
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

    /// A typed line for other viewers, with passwords and the like redacted as in MONITOR.
    pub fn without_secrets(line: &str) -> Cow<'_, str> {
        // Unclosed quotes must not reveal a secret.
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
        self.resume_reading();
    }

    /// Runs one command, `repeat` times; forever if that is negative.
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

    /// A key was pressed while waiting for messages: shows the prompt.
    pub fn key(&mut self) {
        if self.reading {
            self.erase_notice();
            self.reading = false;
            self.typing = true;
        }
    }

    /// Handles Ctrl-C: ends a subscription, MONITOR, or a command that takes too long. The
    /// connection is replaced by a new one.
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

    /// Handles the end of the input (Ctrl-D).
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

    /// Has to be called at the time of [`Session::poll_timeout`].
    pub fn wake(&mut self, now: Mono) {
        if self.poll_timeout().is_some_and(|until| until <= now) {
            self.next_round(now);
        }
    }

    /// The connection is established.
    pub fn connected(&mut self, now: Mono) {
        if !self.link.is_connecting() {
            return;
        }
        self.link = Link::Up;
        self.start_handshake();
        self.advance(now);
    }

    /// The connection failed; `reason` is the error text of the operating system.
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

    /// Handles received bytes.
    pub fn received(&mut self, now: Mono, bytes: &[u8]) {
        if !matches!(self.link, Link::Up) {
            return;
        }
        self.decoder.feed(bytes);
        self.read(now);
        self.resume_reading();
    }

    /// The connection was closed; `reason` is the text printed after `Error: `.
    pub fn closed(&mut self, now: Mono, reason: &str) {
        match self.link {
            Link::Up => {}
            Link::Connecting => return self.connect_failed(now, reason),
            Link::Down | Link::Broken(_) => return,
        }
        let shutdown = self.command.as_ref().is_some_and(|command| command.is("shutdown"));
        if self.waiting() == Waiting::Line {
            // redis-cli notices this when it next sends something.
            self.link = Link::Broken(reason.to_string());
            return;
        }
        self.erase_notice();
        (self.reading, self.subscribed) = (false, false);
        self.reset_link();
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

    /// Continues the current command as far as possible without new input.
    fn advance(&mut self, now: Mono) {
        let Some(command) = &mut self.command else { return };
        match &self.link {
            Link::Connecting => {}
            Link::Down => self.connect(),
            Link::Broken(reason) => {
                let reason = reason.clone();
                self.reset_link();
                self.print_error(format!("Error: {reason}\n"));
                self.finish(now, false);
            }
            Link::Up if !self.own_requests.is_empty() || command.phase != Phase::Ready => {}
            Link::Up if core::mem::take(&mut command.asking) => {
                self.ask(SessionRequest::Asking, &[b"ASKING"]);
            }
            Link::Up => {
                command.send();
                if command.changes_subscriptions() {
                    // In RESP3, confirmations of subscriptions are pushes, but count as the
                    // replies.
                    self.pushes = Pushes::Reply;
                }
                let mut bytes = Vec::new();
                encode_command(&command.args, &mut bytes);
                self.actions.push_back(Action::Send(bytes));
                // Messages that arrived while the prompt was shown come before the reply.
                self.read(now);
            }
        }
    }

    /// Handles received values, as far as the session is waiting for any.
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
            && (!self.own_requests.is_empty()
                || self.reading
                || self.command.as_ref().is_some_and(|command| command.phase == Phase::Sent))
    }

    fn value(&mut self, now: Mono, value: Value) {
        if let Value::Push(_) = value
            && (self.pushes != Pushes::Reply || !self.own_requests.is_empty())
        {
            if self.pushes != Pushes::Drop {
                let shown = self.config.format.push(&value);
                self.erase_notice();
                self.print(shown);
            }
        } else if let Some(request) = self.own_requests.pop_front() {
            self.handshake_reply(now, request, &value);
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
                    // A published message that arrived before the confirmation.
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

    /// Updates the state of the connection after a reply.
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

    /// After a reply: waits, repeats the command, or ends it.
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

    /// Ends the current command.
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

    /// Waits for messages again, if there are subscriptions and no command.
    fn resume_reading(&mut self) {
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

/// If a command takes at least this long, its duration is printed.
const SLOW: Duration = Duration::from_millis(500);

const NOTICE: &str = "Reading messages... (press Ctrl-C to quit or any key to type command)";

enum Repetition {
    /// The number of repetitions, and the number of words before the command.
    Times(i64, usize),
    /// An invalid number of repetitions.
    Invalid,
}

/// Parses a repetition: `5 incr x` runs five times.
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
