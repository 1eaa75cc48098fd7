//! "Try this on your own machine": how to play a lesson with real processes. For a lesson that
//! needs no World this is a command; for others the commands that start its programs and replace
//! its faults.

use limpid_core::lab;
use limpid_core::lesson::{Command, Lesson};
use limpid_core::sim::ProcessSpec;
use yew::prelude::*;

use super::Open;
use super::source::folder;
use crate::i18n::{Locale, Text};

/// The collapsed section below the introduction of a lesson.
pub(super) fn natively(locale: Locale, open: &Open) -> Html {
    html! {
        <details class="natively" data-testid="natively">
            <summary>{ locale.say(words::NATIVELY) }</summary>
            if open.lesson.native {
                <p>{ locale.say(words::AS_A_WHOLE) }</p>
                { lines(&[played(open.locale, &open.id)]) }
            } else {
                { by_hand(locale, &open.lesson) }
            }
        </details>
    }
}

/// The command that plays a lesson with real processes.
fn played(locale: Locale, id: &str) -> String {
    format!("limpid lesson run static/lessons/{}/{id}.md --native", folder(locale))
}

fn by_hand(locale: Locale, lesson: &Lesson) -> Html {
    let programs = programs(lesson);
    let stand_ins = stand_ins(lesson);
    html! {
        <>
            if programs.is_empty() {
                <p>{ locale.say(words::NOTHING_RUNS) }</p>
            } else {
                <p>{ locale.say(words::START) }</p>
                { lines(&programs) }
            }
            if !stand_ins.is_empty() {
                <p>{ locale.say(words::FAULTS) }</p>
                <dl>
                    { for stand_ins.into_iter().map(|(what, command)| html! {
                        <>
                            <dt>{ locale.say(what) }</dt>
                            <dd><code>{ command }</code></dd>
                        </>
                    }) }
                </dl>
            }
        </>
    }
}

fn lines(lines: &[String]) -> Html {
    html! { <pre class="lines" tabindex="0"><code>{ lines.join("\n") }</code></pre> }
}

/// The commands that start the programs of a lesson, host by host.
fn programs(lesson: &Lesson) -> Vec<String> {
    let mut lines = Vec::new();
    for host in &lesson.scenario.hosts {
        let started: Vec<String> = host.processes.iter().filter_map(started).collect();
        if !started.is_empty() {
            lines.push(format!("# {}, {}", host.name, host.ip));
            lines.extend(started);
        }
    }
    lines
}

/// The command that starts a process of a World on a real machine.
fn started(process: &ProcessSpec) -> Option<String> {
    let args = || process.args.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let option = |name: &str| {
        let at = process.args.iter().position(|word| word == name)?;
        process.args.get(at + 1).cloned()
    };
    let line = match process.program.as_str() {
        lab::SERVER => format!("limpid server {}", args()),
        lab::SENTINEL => format!("limpid sentinel {}", args()),
        lab::PREDIXY => format!("limpid proxy {}", args()),
        lab::NUTCRACKER => format!("limpid proxy --twemproxy {}", option("-c")?),
        // A client that makes traffic in a World becomes a redis-cli that repeats a command.
        lab::TRAFFIC => {
            let host = option("-h")?;
            let rate: f64 = option("--rate").and_then(|rate| rate.parse().ok()).unwrap_or(10.0);
            format!("limpid cli -h {host} -r -1 -i {} incr counter", 1.0 / rate.max(1.0))
        }
        _ => return None,
    };
    Some(line.trim_end().to_owned())
}

/// A word, quoted for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// The commands that have the effect of a lesson's faults on a real machine.
fn stand_ins(lesson: &Lesson) -> Vec<(Text, &'static str)> {
    const ALL: [(&str, Text, &str); 8] = [
        ("crash", words::CRASH, "kill -9 PID"),
        ("kill", words::KILL, "kill -9 PID"),
        ("stop", words::STOP, "limpid cli -h HOST shutdown"),
        ("pause", words::PAUSE, "kill -STOP PID; kill -CONT PID"),
        ("partition", words::PARTITION, "iptables -A INPUT -s HOST -j DROP"),
        ("heal", words::HEAL, "iptables -D INPUT -s HOST -j DROP"),
        ("latency", words::LATENCY, "tc qdisc add dev eth0 root netem delay 400ms"),
        ("skew", words::SKEW, "date -s '+1 hour'"),
    ];
    let commands = lesson.steps.iter().flat_map(|step| &step.solution);
    let acts: Vec<String> = commands
        .filter_map(|command| match command {
            Command::Act(action) => Some(action.to_string()),
            _ => None,
        })
        .collect();
    let is_used = |verb: &str| acts.iter().any(|act| act.split(' ').next() == Some(verb));
    let used = ALL.into_iter().filter(|(verb, ..)| is_used(verb));
    used.map(|(_, what, command)| (what, command)).collect()
}

mod words {
    crate::i18n::texts! {
        NATIVELY: "Try this on your own machine", "在自己的机器上试";
        AS_A_WHOLE: "This lesson needs nothing that only the page has. In a checkout of Limpid, this starts its servers for real, types the solution, and checks each step:", "这一课不需要页面独有的功能。在 Limpid 的源码目录里，下面的命令会真正启动这些服务器，输入答案，并检查每一步：";
        START: "Start this, each host on a machine of its own, and put that machine's address where one of these stands. In the page, cat shows the files of a host. What the steps ask for is typed the same way; limpid cli is the redis-cli.", "在各台机器上分别启动下面的程序，地址换成机器自己的地址。主机上的文件可以在页面里用 cat 查看。之后各步骤的命令照样输入，limpid cli 就是 redis-cli。";
        NOTHING_RUNS: "This lesson begins with bare machines: type the same commands on yours. A symbolic link gives limpid the name of one of Redis's programs: ln -s limpid redis-server, and redis-cli likewise.", "这一课从空机器开始，把同样的命令输入到自己的机器上即可。用符号链接可以让 limpid 以 Redis 各个程序的名字运行：ln -s limpid redis-server，redis-cli 同理。";
        FAULTS: "What the page does to hosts and links, you do on Linux, as root:", "页面对主机和链路做的事，在 Linux 上用 root 这样做：";
        CRASH: "Cut the power (an ordinary process loses no file by it)", "断电（只杀进程，文件不会丢）";
        KILL: "Kill a process", "杀掉进程";
        STOP: "Stop a server", "停止服务器";
        PAUSE: "Pause a process, and let it go on", "暂停进程，再让它继续";
        PARTITION: "Cut a link, on both machines", "断开链路，两台机器都要执行";
        HEAL: "Mend it", "恢复链路";
        LATENCY: "Make a link slow", "增加链路延迟";
        SKEW: "Change the clock", "调整时钟";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lesson(text: &str) -> Lesson {
        Lesson::parse(text).expect("a lesson")
    }

    #[test]
    fn programs_and_faults_of_a_lesson_are_told_as_commands() {
        let lesson = lesson(
            "---\ntitle: T\ngoal: G.\nminutes: 5\nhosts:\n  - name: a\n    run:\n      \
             - redis-server --protected-mode no\n      - traffic -h a --rate 20 --only writes\n---\n\n\
             ## One {#one}\n\nText.\n\n```step\nwait:\n  - did: crash a\nsolution:\n  - :crash a\n```\n",
        );
        assert_eq!(
            programs(&lesson),
            [
                "# a, 10.0.0.1",
                "limpid server --protected-mode no",
                "limpid cli -h a -r -1 -i 0.05 incr counter"
            ]
        );
        let commands: Vec<&str> =
            stand_ins(&lesson).into_iter().map(|(_, command)| command).collect();
        assert_eq!(commands, ["kill -9 PID"]);
        assert_eq!(
            played(Locale::Zh, "a/b"),
            "limpid lesson run static/lessons/zh/a/b.md --native"
        );
    }
}
