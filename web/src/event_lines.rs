//! The text of the list of events: actions, faults, and log lines.

use limpid_core::client::Session;
use limpid_core::lab::CLI;
use limpid_core::machine::{LogLevel, NetError};
use limpid_core::sim::{Action, ActionError, Event, EventKind, HostId, ProcId};
use limpid_core::sorted::{SortedMap, SortedSet, sort_by_key};

use crate::i18n::{Locale, Text};
use crate::lab::{Lab, is_typing};

/// A line of the list of events.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct EventLine {
    /// Its number, unique in a list.
    pub number: u64,
    /// Its time, in nanoseconds.
    pub at: u64,
    /// Its kind.
    pub kind: LineKind,
    /// Its text.
    pub text: String,
    /// Whether it is an action of the person, and no consequence of one.
    pub(crate) is_action: bool,
    /// Whether it is a log line of level warning.
    pub is_warning: bool,
}

/// The kind of event that a line is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LineKind {
    /// A fault.
    Fault,
    /// The end of a fault, or a harmless action.
    News,
    /// A person typed a command.
    Command,
    /// A line of a log.
    Log,
}

/// The most lines that are listed; older ones are reached by the time bar.
const LINES: usize = 240;
/// The end of the World's start-up, in nanoseconds: starts of hosts and processes before it are not
/// listed.
const BEGINNING: u64 = 30_000_000;
/// The least number of lines of each log that are considered; with few logs it is more.
const LOG_LINES: usize = 24;

impl Lab {
    /// A number that changes when the list does.
    pub(crate) fn event_count(&self) -> u64 {
        let world = self.world();
        let logged = world.procs().filter_map(|proc| world.log(proc.id)).map(|log| log.next());
        world.events().next() + logged.sum::<u64>()
    }

    /// The list of events, oldest first.
    pub(crate) fn event_lines(&self, locale: Locale) -> Vec<EventLine> {
        let world = self.world();
        let names = Names::of(self);
        let mut lines = Vec::new();
        let mut number = world.events().next();
        for event in world.events().iter().rev() {
            number -= 1;
            let is_action = matches!(event.kind, EventKind::Action(_));
            if let Some((kind, text)) = self.tell(locale, &names, event) {
                lines.push(EventLine {
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
        let each = (4 * LINES / world.procs().count().max(1)).max(LOG_LINES);
        for proc in world.procs() {
            let Some(log) = world.log(proc.id) else { continue };
            let name = names.of_proc(proc.id);
            let mut number = log.next();
            for line in log.iter().rev().take(each) {
                number -= 1;
                let mark = line.level.mark();
                lines.push(EventLine {
                    number: (u64::from(proc.id.0) + 1) << 40 | number,
                    at: line.at.0,
                    kind: LineKind::Log,
                    text: format!("{name} {mark} {}", line.text),
                    is_action: false,
                    is_warning: line.level == LogLevel::Warning,
                });
            }
        }
        // At the same time, an action comes before its consequences.
        sort_by_key(&mut lines, |line| (line.at, !line.is_action, line.number));
        let skipped = lines.len().saturating_sub(LINES);
        lines.split_off(skipped)
    }

    /// The text of an event, if it is worth a line.
    fn tell(&self, locale: Locale, names: &Names<'_>, event: &Event) -> Option<(LineKind, String)> {
        use LineKind::{Command, Fault, News};
        let host = |id: HostId| names.of_host(id);
        let proc = |id: ProcId| names.of_proc(id);
        let say = |text: Text, name: &str| locale.fill(text, &[("name", name)]);
        Some(match &event.kind {
            EventKind::Action(Action::Type { process, line }) => {
                let server = process.strip_prefix("cli-").unwrap_or(process);
                (Command, format!("{server}> {}", Session::without_secrets(line)))
            }
            EventKind::Action(action) if is_typing(action) => return None,
            EventKind::Action(action) => {
                let mends = matches!(
                    action,
                    Action::Heal { .. } | Action::Restart { .. } | Action::Resume { .. }
                );
                (if mends { News } else { Fault }, format!(":{action}"))
            }
            // At the very beginning everything starts.
            EventKind::HostUp(_) | EventKind::Started(_) if event.at.0 < BEGINNING => return None,
            EventKind::HostUp(id) => (News, say(words::EVENT_HOST_UP, &host(*id))),
            EventKind::HostDown(id) => (Fault, say(words::EVENT_HOST_DOWN, &host(*id))),
            EventKind::Started(id) if self.is_quiet(*id) => return None,
            EventKind::Started(id) => (News, say(words::EVENT_STARTED, &proc(*id))),
            EventKind::NotStarted(id, why) => {
                let values = [("name", &*proc(*id)), ("why", why)];
                (Fault, locale.fill(words::EVENT_NOT_STARTED, &values))
            }
            EventKind::Exited(id, _) if self.is_quiet(*id) => return None,
            EventKind::Exited(id, code) => {
                let values = [("name", &*proc(*id)), ("code", &*code.to_string())];
                (if *code == 0 { News } else { Fault }, locale.fill(words::EVENT_EXITED, &values))
            }
            EventKind::Killed(id) if self.is_quiet(*id) => return None,
            EventKind::Killed(id) => (Fault, say(words::EVENT_KILLED, &proc(*id))),
            EventKind::Paused(id) => (Fault, say(words::EVENT_PAUSED, &proc(*id))),
            EventKind::Resumed(id) => (News, say(words::EVENT_RESUMED, &proc(*id))),
            EventKind::ConnectFailed { from, error, .. } => {
                let values = [("name", &*proc(*from)), ("why", net_error(locale, *error))];
                (Fault, locale.fill(words::EVENT_CONNECT_FAILED, &values))
            }
            // A normal exit is not listed.
            EventKind::Broken { error: NetError::Eof, .. } => return None,
            EventKind::Broken { proc: id, error, .. } => {
                let values = [("name", &*proc(*id)), ("why", net_error(locale, *error))];
                (Fault, locale.fill(words::EVENT_BROKEN, &values))
            }
            EventKind::DiskFailed { host: id, .. } => {
                (Fault, say(words::EVENT_DISK_FAILED, &host(*id)))
            }
            EventKind::BytesLost { host: id, bytes } => {
                let values = [("name", &*host(*id)), ("n", &*crate::figures::count(*bytes))];
                (Fault, locale.fill(words::EVENT_BYTES_LOST, &values))
            }
            EventKind::Connected { .. } | EventKind::Lost { .. } => return None,
        })
    }

    /// Whether a process is a terminal, whose start and end are not listed.
    fn is_quiet(&self, id: ProcId) -> bool {
        self.world().proc(id).is_none_or(|proc| proc.program == CLI)
    }
}

/// What hosts and processes are called in the list of events.
struct Names<'l> {
    lab: &'l Lab,
    /// Hosts that have had servers at several ports.
    shared: SortedSet<HostId>,
}

impl<'l> Names<'l> {
    fn of(lab: &'l Lab) -> Self {
        let (world, units) = (lab.world(), lab.units());
        let mut ports = SortedMap::new();
        let mut shared = SortedSet::new();
        for proc in world.procs() {
            let Some(port) = units.port(world, &proc) else { continue };
            if ports.insert(proc.host, port).is_some_and(|other| other != port) {
                shared.insert(proc.host);
            }
        }
        Names { lab, shared }
    }

    fn of_host(&self, id: HostId) -> String {
        self.lab.world().host(id).map_or_else(|| "?".to_owned(), |host| host.name.to_owned())
    }

    /// The name of a process: that of its body on the map. Of several servers that a host has had,
    /// one without a body, or one that had the host to itself later, is named by its port.
    fn of_proc(&self, id: ProcId) -> String {
        let (world, units) = (self.lab.world(), self.lab.units());
        let Some(proc) = world.proc(id) else { return "?".to_owned() };
        let unit = units.of_process(&proc).and_then(|body| units.get(body));
        let has_name = unit.is_some_and(|unit| unit.process() == Some(id) && unit.shares);
        if !has_name
            && self.shared.contains(&proc.host)
            && let Some(port) = units.port(world, &proc)
        {
            return format!("{}:{port}", self.of_host(proc.host));
        }
        unit.map_or("?", |unit| &unit.name).to_owned()
    }
}

fn net_error(locale: Locale, error: NetError) -> &'static str {
    locale.say(match error {
        NetError::Refused => words::NET_REFUSED,
        NetError::Reset => words::NET_RESET,
        NetError::Eof => words::NET_CLOSED,
        NetError::TimedOut => words::NET_TIMED_OUT,
        NetError::Unreachable => words::NET_UNREACHABLE,
        _ => words::NET_OTHER,
    })
}

/// The message for an action that could not be parsed or done.
pub(crate) fn refusal(locale: Locale, error: &ActionError) -> String {
    if locale == Locale::En {
        return error.to_string();
    }
    let fill = |text: Text, values: &[(&str, &str)]| locale.fill(text, values);
    match error {
        ActionError::Empty => locale.say(words::REFUSED_EMPTY).to_owned(),
        ActionError::UnknownAction { verb, nearest } => {
            fill(words::REFUSED_UNKNOWN, &[("verb", verb), ("nearest", nearest)])
        }
        ActionError::Missing { verb, usage, .. } => {
            fill(words::REFUSED_MISSING, &[("verb", verb), ("usage", usage)])
        }
        ActionError::Surplus { verb, value, usage } => {
            fill(words::REFUSED_SURPLUS, &[("verb", verb), ("value", value), ("usage", usage)])
        }
        ActionError::Invalid { value, example, .. } => {
            fill(words::REFUSED_INVALID, &[("value", value), ("example", example)])
        }
        ActionError::NoHost { name, known }
        | ActionError::NoProcess { name, known }
        | ActionError::NoTerminal { name, known } => {
            fill(words::REFUSED_NO_SUCH, &[("name", name), ("known", &known.join("、"))])
        }
        ActionError::NoMessage { message } => {
            fill(words::REFUSED_NO_MESSAGE, &[("message", &message.to_string())])
        }
        ActionError::WrongState { name, .. } => fill(words::REFUSED_STATE, &[("name", name)]),
        ActionError::NameTaken { name } => fill(words::REFUSED_TAKEN, &[("name", name)]),
        ActionError::NotStarted { name, why } => {
            fill(words::EVENT_NOT_STARTED, &[("name", name), ("why", why)])
        }
    }
}

mod words {
    crate::i18n::texts! {
        EVENT_HOST_UP: "{name} has power again", "{name} 已恢复供电";
        EVENT_HOST_DOWN: "{name} lost its power", "{name} 断电";
        EVENT_STARTED: "{name} started its process", "{name} 的进程已启动";
        EVENT_NOT_STARTED: "{name} did not start: {why}", "{name} 未能启动：{why}";
        EVENT_EXITED: "{name}: the process ended with status {code}", "{name}：进程退出，状态码 {code}";
        EVENT_KILLED: "{name}: the process was killed", "{name}：进程被杀死";
        EVENT_PAUSED: "{name} is frozen", "{name} 已冻结";
        EVENT_RESUMED: "{name} goes on", "{name} 已恢复运行";
        EVENT_CONNECT_FAILED: "{name} could not connect: {why}", "{name} 无法建立连接：{why}";
        EVENT_BROKEN: "{name} lost a connection: {why}", "{name} 的连接中断：{why}";
        EVENT_DISK_FAILED: "{name}: the disk failed", "{name}：磁盘出错";
        EVENT_BYTES_LOST: "{name} lost {n} bytes that were not on disk yet", "{name} 丢失了 {n} 字节尚未落盘的数据";
        NET_REFUSED: "refused", "被拒绝";
        NET_RESET: "reset by the other side", "被对端重置";
        NET_CLOSED: "closed by the other side", "被对端关闭";
        NET_TIMED_OUT: "no answer in time", "超时无应答";
        NET_UNREACHABLE: "no route", "没有路由";
        NET_OTHER: "the network failed", "网络故障";
        REFUSED_EMPTY: "Nothing was typed. Try :help", "没有输入内容。试试 :help";
        REFUSED_UNKNOWN: "unknown action '{verb}'; did you mean '{nearest}'?", "没有操作“{verb}”；是否想输入“{nearest}”？";
        REFUSED_MISSING: "'{verb}' needs more; usage: {usage}", "“{verb}”缺少参数；用法：{usage}";
        REFUSED_SURPLUS: "'{verb}' does not know what to do with '{value}'; usage: {usage}", "“{verb}”不认识“{value}”；用法：{usage}";
        REFUSED_INVALID: "'{value}' does not fit; write it like {example}", "“{value}”格式不对；正确写法如 {example}";
        REFUSED_NO_SUCH: "there is no '{name}'; there are {known}", "没有“{name}”；现有：{known}";
        REFUSED_NO_MESSAGE: "message {message} is not on its way", "消息 {message} 已不在途中";
        REFUSED_STATE: "{name} is not in a state for that", "{name} 当前状态不允许此操作";
        REFUSED_TAKEN: "the name '{name}' is taken", "名称“{name}”已被占用";
    }
}

#[cfg(test)]
mod tests {
    use limpid_core::sim::Future;

    use super::*;
    use crate::lab::Topology;

    fn texts(lab: &Lab) -> String {
        let lines = lab.event_lines(Locale::En).into_iter();
        lines.map(|line| line.text + "\n").collect()
    }

    #[test]
    fn servers_of_one_host_are_told_apart_also_those_that_are_gone() {
        let mut lab = Lab::fresh(Topology::USUAL);
        for port in ["6380", "6381"] {
            let world = lab.world();
            let host = world.host_named("redis-2").expect("a host").id;
            let pids = world.procs().filter(|proc| proc.host == host).map(|proc| proc.pid);
            let run = Action::Run {
                host: "redis-2".to_owned(),
                // A process that a shell names and starts, and that is forgotten when it ends.
                name: format!("redis-2:{}", pids.max().expect("a process") + 1),
                program: limpid_core::lab::SERVER.to_owned(),
                args: vec!["--port".to_owned(), port.to_owned()],
            };
            lab.act(run, Future::Discard).expect("a server");
            lab.run_until(lab.now() + 1_000_000_000, u64::MAX);
        }
        for port in [6380, 6381] {
            let unit = lab.units().iter().find(|unit| unit.port == Some(port)).expect("a body");
            let process = unit.process().and_then(|id| lab.world().proc(id)).expect("a process");
            let kill = Action::Kill { target: process.name.to_owned() };
            lab.act(kill, Future::Discard).expect("it runs");
            let told = format!("redis-2:{port}: the process was killed");
            assert!(texts(&lab).contains(&told), "{told} in {}", texts(&lab));
        }
        // The first one has the host to itself again, and still differs from the others by name.
        let texts = texts(&lab);
        for log in ["redis-2:6379 * ", "redis-2:6380 * ", "redis-2:6381 * "] {
            assert!(texts.contains(log), "{log} in {texts}");
        }
        assert!(texts.contains("redis-1 * "), "{texts}");
    }
}
