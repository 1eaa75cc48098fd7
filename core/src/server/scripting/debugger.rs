//! The Lua debugger (SCRIPT DEBUG): a session in which a client steps through a script line by
//! line.
//!
//! The script is compiled so that it reports every line ([`Lua::load_with_lines`]). When it stops,
//! it is paused like one that has used up its slice, but until its client continues it: that
//! client's input is debugger commands until then. Other clients are answered `BUSY` meanwhile. The
//! session ends with the script, and the connection with the session, as in Redis.

use core::mem;
use std::collections::BTreeSet;

use limpid_lua::{Lua, Step, Value};

use super::super::{Client, Server};
use super::run::Run;
use super::text_of::{repr_of_reply, repr_of_value};
use crate::machine::LogLevel;
use crate::resp::number::parse_i64;
use crate::resp::request::Args;
use crate::time::Now;

/// Lines of context that `list` shows by default.
const CONTEXT: i64 = 5;
/// Lines of context around a breakpoint that has been set.
const CONTEXT_OF_BREAK: i64 = 1;
/// Redis's `LDB_BREAKPOINTS_MAX`.
const MAX_BREAKPOINTS: usize = 64;
/// How many bytes of a value are shown by default, and the minimum for `maxlen`.
const MAX_LEN: usize = 256;
const MIN_MAX_LEN: usize = 60;
/// How many instructions `eval` may execute, since it cannot be interrupted.
const EVAL_BUDGET: u64 = 10_000_000;

/// A debugger session.
#[derive(Clone, Debug)]
pub(super) struct Debugger {
    /// The lines of the script.
    source: Vec<Vec<u8>>,
    breakpoints: BTreeSet<usize>,
    /// Whether to stop at the next line.
    step: bool,
    /// Whether `redis.breakpoint()` was called on the last line.
    break_called: bool,
    /// The current line.
    line: usize,
    /// How many bytes of a value are shown; 0 is no limit.
    max_len: usize,
    /// Whether the client was told that values are truncated.
    hint_given: bool,
    /// Lines of the next reply.
    said: Vec<Vec<u8>>,
}

/// What happens to a stopped script after a debugger command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It stays stopped.
    Stays,
    GoesOn,
    Ends,
}

impl Debugger {
    pub(super) fn new(script: &[u8]) -> Self {
        let script = script.trim_ascii();
        Debugger {
            source: script.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect(),
            breakpoints: BTreeSet::new(),
            step: true,
            break_called: false,
            line: 1,
            max_len: MAX_LEN,
            hint_given: false,
            said: Vec::new(),
        }
    }

    /// Called at each line. Returns whether the script stops there.
    pub(super) fn stops_at(&mut self, lua: &Lua) -> bool {
        self.line = lua.levels().first().map_or(0, |level| level.line as usize);
        let called = mem::take(&mut self.break_called);
        let reason = if called {
            "redis.breakpoint() called"
        } else if self.breakpoints.contains(&self.line) {
            "break point"
        } else if self.step {
            "step over"
        } else {
            return false;
        };
        self.step = false;
        self.say(format!("* Stopped at {}, stop reason = {reason}", self.line));
        self.say_line(self.line);
        true
    }

    /// `redis.breakpoint()`
    pub(super) fn break_at_next_line(&mut self) {
        self.break_called = true;
    }

    /// `redis.debug(...)`
    pub(super) fn say_values(&mut self, lua: &Lua, values: &[Value]) {
        let mut text = format!("<debug> line {}: ", self.line).into_bytes();
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                text.extend(b", ");
            }
            text.extend(repr_of_value(lua, *value));
        }
        self.say_truncated(text);
    }

    /// Logs a command called by the script, while single-stepping.
    pub(super) fn say_call(&mut self, request: Args<'_>, reply: &[u8]) {
        if !self.step {
            return;
        }
        self.say_words(request.iter());
        let mut text = b"<reply> ".to_vec();
        text.extend(repr_of_reply(reply));
        self.say_truncated(text);
    }

    /// Logs a command that the script may not call, or that does not exist.
    pub(super) fn say_refused_call<'w>(
        &mut self,
        words: impl Iterator<Item = &'w [u8]>,
        error: &[u8],
    ) {
        if !self.step {
            return;
        }
        self.say_words(words);
        // As in Redis, where the general error code is added later.
        self.say(match error.strip_prefix(b"ERR ") {
            Some(plain) => [b"<error> ", plain].concat(),
            None => [b"<error> -", error].concat(),
        });
    }

    fn say_words<'w>(&mut self, words: impl Iterator<Item = &'w [u8]>) {
        let mut text = b"<redis>".to_vec();
        for word in words {
            text.push(b' ');
            text.extend(word);
        }
        self.say_truncated(text);
    }

    /// The client has disconnected: the script runs to its end.
    pub(super) fn detach(&mut self) {
        self.step = false;
        self.breakpoints.clear();
        self.said.clear();
    }

    /// Writes the pending lines into the client's outbox, as an array.
    pub(super) fn tell(&mut self, client: &mut Client) {
        let said = mem::take(&mut self.said);
        let outbox = client.out();
        outbox.write(format!("*{}\r\n", said.len()).as_bytes());
        for line in said {
            let line: Vec<u8> =
                line.iter().map(|&b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }).collect();
            outbox.write_parts([b"+", &line, b"\r\n"]);
        }
    }

    /// Ends the session: writes the pending lines and the end mark.
    pub(super) fn end(&mut self, client: &mut Client) {
        self.say("<endsession>");
        self.tell(client);
    }

    fn say(&mut self, text: impl Into<Vec<u8>>) {
        self.said.push(text.into());
    }

    /// Adds a value, truncated.
    fn say_truncated(&mut self, mut text: Vec<u8>) {
        let cut = self.max_len > 0 && text.len() > self.max_len;
        if cut {
            text.truncate(self.max_len);
            text.extend(b" ...");
        }
        self.said.push(text);
        if cut && !mem::replace(&mut self.hint_given, true) {
            self.say("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.");
        }
    }

    /// Adds a source line, marked if it is the current line or has a breakpoint.
    fn say_line(&mut self, line: usize) {
        let here = if line == self.line { "->" } else { "  " };
        let mark = if self.breakpoints.contains(&line) { "#" } else { " " };
        let text = line.checked_sub(1).and_then(|at| self.source.get(at));
        let text = text.map_or(&b"<out of range source code line>"[..], Vec::as_slice);
        self.said.push([format!("{here}{mark}{line:<3} ").as_bytes(), text].concat());
    }

    fn list(&mut self, around: i64, context: i64) {
        for line in 1..=self.source.len() {
            let away = (around - i64::try_from(line).unwrap_or(i64::MAX)).abs();
            if around == 0 || away <= context {
                self.say_line(line);
            }
        }
    }

    /// `break`: shows, sets and removes breakpoints.
    fn set_breakpoints(&mut self, lines: Args<'_>) {
        if lines.is_empty() {
            let count = self.breakpoints.len();
            if count == 0 {
                return self.say("No breakpoints set. Use 'b <line>' to add one.");
            }
            self.say(format!("{count} breakpoints set:"));
            let all: Vec<usize> = self.breakpoints.iter().copied().collect();
            all.into_iter().for_each(|line| self.say_line(line));
        }
        for word in lines.iter() {
            let Some(number) = parse_i64(word) else {
                self.say([b"Invalid argument:'", word, b"'"].concat());
                continue;
            };
            let line = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
            if number == 0 {
                self.breakpoints.clear();
                self.say("All breakpoints removed.");
            } else if number < 0 {
                let removed = self.breakpoints.remove(&line);
                self.say(match removed {
                    true => "Breakpoint removed.",
                    false => "No breakpoint in the specified line.",
                });
            } else if self.breakpoints.len() >= MAX_BREAKPOINTS {
                self.say("Too many breakpoints set.");
            } else if line > self.source.len() {
                self.say("Wrong line number.");
            } else {
                self.breakpoints.insert(line);
                self.list(number, CONTEXT_OF_BREAK);
            }
        }
    }

    /// `print`: one variable in any frame, or all local variables of the current function.
    fn print(&mut self, lua: &mut Lua, name: Option<&[u8]>) {
        let Some(name) = name else {
            let locals = lua.locals(0);
            if locals.is_empty() {
                self.say("No local variables in the current context.");
            }
            for (name, value) in locals.into_iter().filter(|(name, _)| !name.starts_with(b"(")) {
                let value = repr_of_value(lua, value);
                self.say_truncated([b"<value> ", &name[..], b" = ", &value].concat());
            }
            return;
        };
        let local = (0..lua.levels().len()).find_map(|level| {
            // The last declaration shadows the others.
            lua.locals(level).into_iter().rev().find(|(known, _)| known == name)
        });
        let value = match local {
            Some((_, value)) => value,
            None if matches!(name, b"KEYS" | b"ARGV") => {
                let globals = lua.globals();
                lua.raw_get_name(globals, &String::from_utf8_lossy(name))
            }
            None => return self.say("No such variable."),
        };
        self.say_truncated([b"<value> ", &repr_of_value(lua, value)[..]].concat());
    }

    /// `trace`: the call stack.
    fn trace(&mut self, lua: &Lua) {
        let levels = lua.levels();
        for (i, level) in levels.iter().filter(|l| l.source.contains("user_script")).enumerate() {
            let name = level.name.as_deref().unwrap_or("top level");
            self.say(format!("{} {name}:", if i == 0 { "In" } else { "From" }));
            self.say_line(level.line as usize);
        }
    }

    fn set_max_len(&mut self, len: Option<&[u8]>) {
        if let Some(len) = len {
            let len = parse_i64(len).and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
            self.max_len = if len == 0 { 0 } else { len.max(MIN_MAX_LEN) };
            self.hint_given = true;
        }
        let len = self.max_len;
        self.say(match len {
            0 => "<value> replies are unlimited.".to_owned(),
            len => format!("<value> replies are truncated at {len} bytes."),
        });
    }
}

impl Server {
    /// Executes a debugger command.
    pub(super) fn debug_command(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        run: &mut Run,
        args: Args<'_>,
    ) -> After {
        let Some(mut debugger) = run.debugger.take() else { return After::GoesOn };
        let after = self.debug_with(now, client, run, &mut debugger, args);
        run.debugger = Some(debugger);
        after
    }

    fn debug_with(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        run: &mut Run,
        debugger: &mut Debugger,
        args: Args<'_>,
    ) -> After {
        let name = args.at(0).to_ascii_lowercase();
        let number = |at: usize| args.get(at).and_then(parse_i64);
        match (name.as_slice(), args.len()) {
            (b"h" | b"help", _) => HELP.iter().for_each(|line| debugger.say(*line)),
            (b"s" | b"step" | b"n" | b"next", _) => {
                debugger.step = true;
                return After::GoesOn;
            }
            (b"c" | b"continue", _) => return After::GoesOn,
            (b"a" | b"abort", _) => return After::Ends,
            (b"b" | b"break", _) => debugger.set_breakpoints(args.from(1)),
            (b"m" | b"maxlen", _) => debugger.set_max_len(args.get(1)),
            (b"l" | b"list", _) => {
                let here = i64::try_from(debugger.line).unwrap_or(0);
                let around = number(1).filter(|line| *line > 0).unwrap_or(here);
                debugger.list(around, number(2).unwrap_or(CONTEXT));
            }
            (b"w" | b"whole", _) => debugger.list(0, 0),
            (b"t" | b"trace", _) => run.with_lua(|lua| debugger.trace(lua)),
            (b"p" | b"print", len) => {
                let name = args.get(1).filter(|_| len == 2);
                run.with_lua(|lua| debugger.print(lua, name));
            }
            (b"e" | b"eval", _) => {
                let words: Vec<&[u8]> = args.from(1).iter().collect();
                self.debug_eval(now, client, run, debugger, &words.join(&b' '));
            }
            (b"r" | b"redis", 2..) => self.debug_call(now, client, run, debugger, args.from(1)),
            _ => debugger
                .say("<error> Unknown Redis Lua debugger command or wrong number of arguments."),
        }
        After::Stays
    }

    /// `redis`: calls a command as the script would.
    fn debug_call(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        run: &mut Run,
        debugger: &mut Debugger,
        words: Args<'_>,
    ) {
        // The called command is shown.
        let step = mem::replace(&mut debugger.step, true);
        run.debugger = Some(Box::new(mem::replace(debugger, Debugger::new(b""))));
        let mut lua = run.take_lua().unwrap_or_default();
        {
            let lua = std::sync::Arc::make_mut(&mut lua);
            let args: Vec<Value> = words.iter().map(|word| lua.string(word)).collect();
            // The command's error has been shown like a reply.
            _ = self.script_call(now, client, run, lua, &args);
        }
        run.put_lua(lua);
        if let Some(back) = run.debugger.take() {
            *debugger = *back;
        }
        debugger.step = step;
    }

    /// `eval`: runs code of the client. It sees a copy of the script's globals; its changes of the
    /// data persist.
    fn debug_eval(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        run: &mut Run,
        debugger: &mut Debugger,
        code: &[u8],
    ) {
        let shared = run.take_lua().unwrap_or_default();
        let mut copy = Lua::clone(&shared);
        run.put_lua(shared);
        const NAME: &[u8] = b"@ldb_eval";
        let value = copy.load(&[b"return ", code].concat(), NAME);
        let function = match value.or_else(|_| copy.load(code, NAME)) {
            Ok(function) => function,
            Err(error) => return debugger.say([b"<error> ", &error[..]].concat()),
        };
        copy.start(function, &[]);
        let mut left = EVAL_BUDGET;
        loop {
            match copy.run(left) {
                Step::Done => {
                    let value = copy.results().first().copied().unwrap_or(Value::Nil);
                    let value = repr_of_value(&copy, value);
                    return debugger.say_truncated([b"<retval> ", &value[..]].concat());
                }
                Step::Host(tag) => {
                    left = u64::try_from(copy.budget_left()).unwrap_or(0);
                    self.call_redis_function(now, client, run, &mut copy, tag);
                }
                Step::Failed(failure) => {
                    let error = match failure.value {
                        Value::Table(table) => copy.raw_get_name(table, "err"),
                        value => value,
                    };
                    let error = copy.to_text(error).unwrap_or_default();
                    return debugger.say([b"<error> ", &error[..]].concat());
                }
                Step::Line => {}
                Step::Paused => {
                    return debugger.say("<error> The code executes too many instructions.");
                }
            }
        }
    }

    /// Logs the start or the end of a session.
    pub(super) fn log_debugging(&mut self, what: &str) {
        let how = if self.service.scripting.is_copy { "copied" } else { "synchronous" };
        let text = format!("Redis {how} debugging eval session {what}");
        self.log(LogLevel::Notice, || text);
    }
}

const HELP: &[&str] = &[
    "Redis Lua debugger help:",
    "[h]elp               These lines.",
    "[s]tep               Carry out this line and stop at the next one.",
    "[n]ext               The same as step.",
    "[c]ontinue           Go on to the next breakpoint.",
    "[l]ist               List the lines around this one.",
    "[l]ist [line]        List the lines around that one.",
    "[l]ist [line] [ctx]  And so many before and behind it.",
    "[w]hole              List the whole script.",
    "[p]rint              Show all local variables.",
    "[p]rint <var>        Show one variable, or KEYS or ARGV.",
    "[b]reak              Show all breakpoints.",
    "[b]reak <line>       Set a breakpoint.",
    "[b]reak -<line>      Remove a breakpoint.",
    "[b]reak 0            Remove all breakpoints.",
    "[t]race              Show the calls that led here.",
    "[e]val <code>        Run code; it does not see local variables.",
    "[r]edis <cmd>        Call a command.",
    "[m]axlen [len]       Show no more than so many bytes of a value; 0 for all.",
    "[a]bort              End the script. In sync mode what it has changed stays changed.",
    "",
    "In a script: redis.debug() shows values, redis.breakpoint() stops at the next line.",
];
