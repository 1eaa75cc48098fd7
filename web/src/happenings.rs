//! The list of events in words: what was done, what broke, what was logged.

use limpid_core::lab::CLI;
use limpid_core::machine::{LogLevel, NetError};
use limpid_core::sim::{Action, ActionError, Event, EventKind, HostId, ProcId};
use limpid_core::sorted::sort_by_key;

use crate::i18n::{Locale, Text};
use crate::lab::{Lab, is_typing};

/// A line of the list of events.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Happening {
    /// Its number, unique in a list.
    pub number: u64,
    /// When, in nanoseconds.
    pub at: u64,
    /// What sort of thing.
    pub kind: HappeningKind,
    /// What happened.
    pub text: String,
    /// Whether somebody did it, rather than that it came of something.
    pub(crate) is_action: bool,
    /// Whether it is a warning of a log.
    pub is_warning: bool,
}

/// Sorts of things that happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HappeningKind {
    /// Something broke.
    Fault,
    /// Something came back, or somebody did something harmless.
    News,
    /// Somebody typed a command.
    Command,
    /// A line of a log.
    Log,
}

/// Lines that are put into words; older ones are behind the time bar.
const LINES: usize = 240;
/// Until when things start because the World begins, in nanoseconds.
const BEGINNING: u64 = 30_000_000;
/// Lines of each log that are looked at.
const LOG_LINES: usize = 24;

impl Lab {
    /// A number that changes when the list does.
    pub(crate) fn event_count(&self) -> u64 {
        let world = self.world();
        let logged = world.procs().filter_map(|proc| world.log(proc.id)).map(|log| log.next());
        world.events().next() + logged.sum::<u64>()
    }

    /// The list of events, oldest first.
    pub(crate) fn happenings(&self, locale: Locale) -> Vec<Happening> {
        let world = self.world();
        let mut lines = Vec::new();
        let mut number = world.events().next();
        for event in world.events().iter().rev() {
            number -= 1;
            let is_action = matches!(event.kind, EventKind::Action(_));
            if let Some((kind, text)) = self.tell(locale, event) {
                lines.push(Happening {
                    number,
                    at: event.at.0,
                    kind,
                    text,
                    is_action,
                    is_warning: false,
                });
                if lines.len() == LINES {
                    break;
                }
            }
        }
        for proc in world.procs() {
            let Some(log) = world.log(proc.id) else { continue };
            let name = self.proc_name(proc.id);
            let mut number = log.next();
            for line in log.iter().rev().take(LOG_LINES) {
                number -= 1;
                let mark = line.level.mark();
                lines.push(Happening {
                    number: (u64::from(proc.id.0) + 1) << 40 | number,
                    at: line.at.0,
                    kind: HappeningKind::Log,
                    text: format!("{name} {mark} {}", line.text),
                    is_action: false,
                    is_warning: line.level == LogLevel::Warning,
                });
            }
        }
        // What was done stands before what came of it.
        sort_by_key(&mut lines, |line| (line.at, !line.is_action, line.number));
        let skipped = lines.len().saturating_sub(LINES);
        lines.split_off(skipped)
    }

    /// An event in words, if it is worth a line.
    fn tell(&self, locale: Locale, event: &Event) -> Option<(HappeningKind, String)> {
        use HappeningKind::{Command, Fault, News};
        let host = |id: HostId| self.host_name(id);
        let proc = |id: ProcId| self.proc_name(id);
        let say = |text: Text, name: &str| locale.fill(text, &[("name", name)]);
        Some(match &event.kind {
            EventKind::Action(Action::Type { process, line }) => {
                let server = process.strip_prefix("cli-").unwrap_or(process);
                (Command, format!("{server}> {line}"))
            }
            EventKind::Action(action) if is_typing(action) => return None,
            EventKind::Action(action) => {
                let mends = matches!(
                    action,
                    Action::Heal { .. } | Action::Restart { .. } | Action::Resume { .. }
                );
                (if mends { News } else { Fault }, format!(":{action}"))
            }
            // At the very beginning everything comes up.
            EventKind::HostUp(_) | EventKind::Started(_) if event.at.0 < BEGINNING => return None,
            EventKind::HostUp(id) => (News, say(Text::EventHostUp, &host(*id))),
            EventKind::HostDown(id) => (Fault, say(Text::EventHostDown, &host(*id))),
            EventKind::Started(id) if self.is_quiet(*id) => return None,
            EventKind::Started(id) => (News, say(Text::EventStarted, &proc(*id))),
            EventKind::NotStarted(id, why) => {
                let values = [("name", &*proc(*id)), ("why", why)];
                (Fault, locale.fill(Text::EventNotStarted, &values))
            }
            EventKind::Exited(id, _) if self.is_quiet(*id) => return None,
            EventKind::Exited(id, code) => {
                let values = [("name", &*proc(*id)), ("code", &*code.to_string())];
                (if *code == 0 { News } else { Fault }, locale.fill(Text::EventExited, &values))
            }
            EventKind::Killed(id) if self.is_quiet(*id) => return None,
            EventKind::Killed(id) => (Fault, say(Text::EventKilled, &proc(*id))),
            EventKind::Paused(id) => (Fault, say(Text::EventPaused, &proc(*id))),
            EventKind::Resumed(id) => (News, say(Text::EventResumed, &proc(*id))),
            EventKind::ConnectFailed { from, error, .. } => {
                let values = [("name", &*proc(*from)), ("why", net_error(locale, *error))];
                (Fault, locale.fill(Text::EventConnectFailed, &values))
            }
            // An end in good order is no event.
            EventKind::Broken { error: NetError::Eof, .. } => return None,
            EventKind::Broken { proc: id, error, .. } => {
                let values = [("name", &*proc(*id)), ("why", net_error(locale, *error))];
                (Fault, locale.fill(Text::EventBroken, &values))
            }
            EventKind::DiskFailed { host: id, .. } => {
                (Fault, say(Text::EventDiskFailed, &host(*id)))
            }
            EventKind::BytesLost { host: id, bytes } => {
                let values = [("name", &*host(*id)), ("n", &*crate::figures::count(*bytes))];
                (Fault, locale.fill(Text::EventBytesLost, &values))
            }
            EventKind::Connected { .. } | EventKind::Lost { .. } => return None,
        })
    }

    fn host_name(&self, id: HostId) -> String {
        self.world().host(id).map_or_else(|| "?".to_owned(), |host| host.name.to_owned())
    }

    /// A process is told by its body on the map.
    fn proc_name(&self, id: ProcId) -> String {
        let body = self.world().proc(id).and_then(|proc| self.units().of_process(&proc));
        let unit = body.and_then(|body| self.units().get(body));
        unit.map_or_else(|| "?".to_owned(), |unit| unit.name.clone())
    }

    /// Terminals come and go without a line.
    fn is_quiet(&self, id: ProcId) -> bool {
        self.world().proc(id).is_none_or(|proc| proc.program == CLI)
    }
}

fn net_error(locale: Locale, error: NetError) -> &'static str {
    locale.say(match error {
        NetError::Refused => Text::NetRefused,
        NetError::Reset => Text::NetReset,
        NetError::Eof => Text::NetClosed,
        NetError::TimedOut => Text::NetTimedOut,
        NetError::Unreachable => Text::NetUnreachable,
        _ => Text::NetOther,
    })
}

/// Why an action could not be understood or done.
pub(crate) fn refusal(locale: Locale, error: &ActionError) -> String {
    if locale == Locale::En {
        return error.to_string();
    }
    let fill = |text: Text, values: &[(&str, &str)]| locale.fill(text, values);
    match error {
        ActionError::Empty => locale.say(Text::RefusedEmpty).to_owned(),
        ActionError::UnknownAction { verb, nearest } => {
            fill(Text::RefusedUnknown, &[("verb", verb), ("nearest", nearest)])
        }
        ActionError::Missing { verb, usage, .. } => {
            fill(Text::RefusedMissing, &[("verb", verb), ("usage", usage)])
        }
        ActionError::Surplus { verb, value, usage } => {
            fill(Text::RefusedSurplus, &[("verb", verb), ("value", value), ("usage", usage)])
        }
        ActionError::Invalid { value, example, .. } => {
            fill(Text::RefusedInvalid, &[("value", value), ("example", example)])
        }
        ActionError::NoHost { name, known } | ActionError::NoProcess { name, known } => {
            fill(Text::RefusedNoSuch, &[("name", name), ("known", &known.join("、"))])
        }
        ActionError::NoMessage { message } => {
            fill(Text::RefusedNoMessage, &[("message", &message.to_string())])
        }
        ActionError::WrongState { name, .. } => fill(Text::RefusedState, &[("name", name)]),
        ActionError::NameTaken { name } => fill(Text::RefusedTaken, &[("name", name)]),
        ActionError::NotStarted { name, why } => {
            fill(Text::EventNotStarted, &[("name", name), ("why", why)])
        }
    }
}
