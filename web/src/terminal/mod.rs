//! Terminals: a redis-cli for each server, which runs in the World as a process.

pub(crate) mod drawer;
pub(crate) mod editor;
pub(crate) mod entry;
pub(crate) mod meta;
pub(crate) mod screen;
#[cfg(feature = "whole")]
mod shell;
pub(crate) mod tabs;

use limpid_core::sim::{Action, ActionError};

use crate::event_lines::refusal;
use crate::figures::{self, Speed};
use crate::i18n::{Locale, Text, common};
use crate::page::{Page, Pane, Topic};
use crate::scene::Health;
use crate::units::BodyId;

use meta::Meta;
use tabs::{Note, Tab};

/// Opens the terminal of a body, or brings it to the front.
pub(crate) fn open(page: &Page, body: BodyId) {
    let found = page.view().scene.body(body).cloned();
    let Some(body) = found else { return };
    if body.has_terminal() {
        let known = page.terminals().find(&body.name);
        match known {
            Some(index) => page.change_terminals(|terminals| terminals.front = index),
            None => {
                let (process, run) = page.lab().terminal_for(&body.name);
                page.change_terminals(|terminals| {
                    terminals.add(Tab::new(body.name.clone(), process))
                });
                if let Some(run) = run {
                    page.act(vec![run]);
                }
            }
        }
    } else if body.health != Health::Crashed {
        // redis-cli cannot connect to it, but its host has a shell.
        open_shell(page, &body.host);
    }
    page.change(Topic::Open, |view| {
        view.pane = Pane::Terminal;
        view.menu = None;
    });
    focus_entry();
}

/// Opens a new shell on a host.
pub(crate) fn open_shell(page: &Page, host: &str) {
    #[cfg(feature = "whole")]
    shell::open(page, host);
    #[cfg(not(feature = "whole"))]
    crate::whole::open_shell(page, host);
}

/// Shows a shell of a host by its number, counted from 1. Opens the shells up to it.
#[cfg(feature = "whole")]
pub(crate) fn show_shell(page: &Page, host: &str, number: usize) {
    shell::show(page, host, number);
}

/// Types a line into the last opened shell of a host, or into a new one.
pub(crate) fn type_into_shell(page: &Page, host: &str, line: &str) {
    #[cfg(feature = "whole")]
    shell::type_line(page, host, line);
    #[cfg(not(feature = "whole"))]
    crate::whole::type_into_shell(page, host, line);
}

/// Puts the cursor into the terminal in front, once it is drawn.
pub(crate) fn focus_entry() {
    gloo::timers::callback::Timeout::new(0, || crate::map::focus::focus("entry")).forget();
}

/// Submits a typed line.
pub(crate) fn submit(page: &Page, index: usize, line: &str) {
    let process = page.change_terminals(|terminals| {
        terminals.tabs.get_mut(index).map(|tab| {
            tab.history.remember(line);
            tab.process.clone()
        })
    });
    let Some(process) = process else { return };
    if line.trim_start().starts_with(':') {
        // The note is added where it was typed, whatever its answer will be.
        let (after, prompt) = {
            let console = page.lab().console(&process).unwrap_or_default();
            (console.blocks.len(), console.prompt)
        };
        let (answer, refused) = match meta::parse(line) {
            Ok(meta) => carry_out(page, meta),
            Err(error) => (refusal(page.locale(), &error), true),
        };
        let typed = line.trim().to_owned();
        page.change_terminals(|terminals| {
            if let Some(tab) = terminals.tabs.get_mut(index) {
                tab.notes.push(Note { after, prompt, typed, answer, refused });
            }
        });
        return;
    }
    let mut actions = Vec::new();
    if !page.lab().is_running(&process) {
        actions.push(Action::Start { target: process.clone() });
    }
    actions.push(Action::Type { process, line: line.to_owned() });
    page.act(actions);
}

/// Handles Ctrl-C in a terminal.
pub(crate) fn interrupt(page: &Page, index: usize) {
    let process = page.terminals().tabs.get(index).map(|tab| tab.process.clone());
    if let Some(process) = process {
        page.act(vec![Action::Interrupt { process }]);
    }
}

/// Carries out a meta-command. Returns the answer, and whether it is an error.
fn carry_out(page: &Page, meta: Meta) -> (String, bool) {
    let locale = page.locale();
    let done = locale.say(words::META_DONE).to_owned();
    match meta {
        Meta::Help => (help(locale), false),
        Meta::Play => {
            page.play(true);
            (done, false)
        }
        Meta::Stop => {
            page.play(false);
            (done, false)
        }
        Meta::Speed(there) => {
            let speed = Speed::nearest(there);
            page.set_speed(speed);
            let there = figures::duration(speed.a_second());
            let means = locale.fill(common::SPEED_MEANS, &[("there", &there)]);
            (format!("{} · {means}", speed.pace(locale)), false)
        }
        Meta::Go(to) => {
            page.play(false);
            page.seek(u64::try_from(to.as_nanos()).unwrap_or(u64::MAX));
            (figures::moment(page.lab().now()), false)
        }
        Meta::Undo => match page.undo() {
            Some(action) => (locale.fill(words::UNDONE, &[("action", &action)]), false),
            None => (locale.say(words::NOTHING_TO_UNDO).to_owned(), true),
        },
        Meta::Open(topology) => {
            page.open(topology);
            (topology.title(locale), false)
        }
        Meta::Ledger => {
            page.show_ledger(true);
            (done, false)
        }
        Meta::Inspect(name) => look(page, &name, |body| page.inspect(body)),
        Meta::Files(name, path) => look(page, &name, |body| page.show_files(body, path)),
        Meta::Act(action) => match page.try_act(action) {
            Ok(()) if page.view().pending.is_some() => {
                (locale.say(common::PAST_TITLE).to_owned(), false)
            }
            Ok(()) => (done, false),
            Err(error) => (refusal(locale, &error), true),
        },
    }
}

/// Calls `act` with the body of a name. Returns the answer, and whether it is an error.
fn look(page: &Page, name: &str, act: impl FnOnce(BodyId)) -> (String, bool) {
    let body = page.view().scene.named(name).map(|body| body.id);
    match body {
        Some(body) => {
            act(body);
            (page.say(words::META_DONE).to_owned(), false)
        }
        None => {
            let names = page.view().scene.bodies.iter().map(|body| body.name.clone()).collect();
            let error = ActionError::NoHost { name: name.to_owned(), known: names };
            (refusal(page.locale(), &error), true)
        }
    }
}

/// The most used meta-commands, one per line.
fn help(locale: Locale) -> String {
    let lines = help_lines();
    let widest = lines.iter().map(|(usage, _)| usage.chars().count()).max().unwrap_or_default();
    let lines = lines.iter().map(|(usage, text)| format!("{usage:widest$}  {}", locale.say(*text)));
    lines.collect::<Vec<_>>().join("\n")
}

/// The syntax and the description of meta-commands.
pub(crate) fn help_lines() -> [(&'static str, Text); 18] {
    [
        (":crash redis-1", words::META_CRASH),
        (":restart redis-1", words::META_RESTART),
        (":pause redis-1", words::META_PAUSE),
        (":partition redis-1 | client-1,client-2", words::META_PARTITION),
        (":partition-oneway redis-1 | client-1", words::META_ONE_WAY),
        (":heal", words::META_HEAL),
        (":latency redis-1 client-1 200ms", words::META_LATENCY),
        (":loss redis-1 client-1 20%", words::META_LOSS),
        (":bandwidth redis-1 client-1 1mbit", words::META_BANDWIDTH),
        (":skew redis-1 +5s", words::META_SKEW),
        (":hold #12", words::META_HOLD),
        (":undo", words::META_UNDO),
        (":speed 10ms", words::META_SPEED),
        (":go 1.5s", words::META_GO),
        (":open replicas-2", words::META_OPEN),
        (":files redis-1 /data/dump.rdb", words::META_FILES),
        (":ledger", words::META_LEDGER),
        (":help", words::META_HELP),
    ]
}

mod words {
    crate::i18n::texts! {
        UNDONE: "taken back: {action}", "已撤销：{action}";
        NOTHING_TO_UNDO: "There is nothing to take back.", "没有可撤销的操作。";
        META_DONE: "done", "完成";
        META_CRASH: "power off at once", "立即断电";
        META_RESTART: "start again, with the disk as it was", "以原磁盘重启";
        META_PAUSE: "freeze the process; :resume lets it go on", "冻结进程；:resume 恢复";
        META_PARTITION: "cut every link between two sides", "断开两侧之间的所有链路";
        META_ONE_WAY: "cut them in one direction only", "只断开一个方向";
        META_HEAL: "mend links: all, or those of a node", "修复链路：全部或某个节点的";
        META_LATENCY: "set the latency of a link", "设置链路延迟";
        META_LOSS: "lose packets on a link", "设置链路丢包";
        META_BANDWIDTH: "set how much a link carries", "设置链路带宽";
        META_SKEW: "set a host's clock ahead or behind", "让主机时钟快或慢";
        META_HOLD: "keep a message back; likewise drop, delay, duplicate, release", "扣住一条消息；drop、delay、duplicate、release 同理";
        META_UNDO: "take the last action back", "撤销上一步操作";
        META_HELP: "this list", "显示本列表";
        META_SPEED: "how much happens in one second", "每秒推进多少";
        META_OPEN: "open another scenario", "打开另一个场景";
        META_FILES: "look into a file; without a name, at all of them", "查看文件；不写文件名则列出全部";
        META_LEDGER: "who holds which acknowledged write", "查看已确认的写入在谁那里";
        META_GO: "go to a moment", "跳到某一时刻";
    }
}
