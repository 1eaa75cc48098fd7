//! The Scripts tab: the scripts and functions that a server ran last, each with the commands that
//! it called, their replies, and what it returned.

use limpid_core::lab::wire;
use limpid_core::server::{ScriptStep, ScriptView};
use yew::prelude::*;

use super::{Tab, not_running};
use crate::figures;
use crate::i18n::Locale;
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The tab, which appears if a server has run a script.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-scripts",
    title: words::TAB_SCRIPTS,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels], scripts),
    suits: |lab| lab.has_run_scripts(),
};

fn scripts(page: &Page, body: BodyId) -> Html {
    let (locale, lab) = (page.locale(), page.lab());
    let Some(server) = lab.server(body) else { return not_running(locale) };
    let mut views = server.script_views().peekable();
    if views.peek().is_none() {
        return html! { <p class="empty">{ locale.say(words::NONE) }</p> };
    }
    let now = lab.wall_of(body);
    html! {
        <div class="scripts">
            <p class="dim">{ locale.say(words::TEACH) }</p>
            <ol data-testid="scripts">{ for views.map(|view| script(locale, view, now)) }</ol>
        </div>
    }
}

fn script(locale: Locale, view: &ScriptView, now: u64) -> Html {
    let ago = core::time::Duration::from_millis(now.saturating_sub(view.at.as_millis()));
    let when = locale.fill(
        words::WHEN,
        &[("client", &view.client.to_string()), ("ago", &figures::duration(ago))],
    );
    html! {
        <li key={view.number}>
            <code class="call">{ &view.call }</code>
            <p class="dim">{ when }</p>
            <table class="facts steps">
                <thead><tr>
                    <th scope="col" class="num">{ "#" }</th>
                    <th scope="col">{ locale.say(words::COMMAND) }</th>
                    <th scope="col">{ locale.say(words::REPLY) }</th>
                </tr></thead>
                <tbody>
                    { for view.steps.iter().enumerate().map(|(i, each)| step(i, each)) }
                    if view.steps.is_empty() {
                        <tr class="whole"><td colspan="3">{ locale.say(words::NO_STEPS) }</td></tr>
                    }
                    if view.more > 0 {
                        <tr class="whole"><td colspan="3">{
                            locale.fill(words::MORE, &[("n", &figures::count(view.more))])
                        }</td></tr>
                    }
                </tbody>
            </table>
            <p class="result">
                <span class="dim">{ locale.say(words::RETURNED) }</span>{ " " }
                { match &view.result {
                    Some(reply) => html! { <code>{ told(reply) }</code> },
                    None => html! { locale.say(words::RUNNING) },
                } }
            </p>
        </li>
    }
}

fn step(index: usize, step: &ScriptStep) -> Html {
    html! {
        <tr key={index}>
            <td class="num">{ index + 1 }</td>
            <td>{ &step.command }</td>
            <td class="reply">{ told(&step.reply) }</td>
        </tr>
    }
}

/// A reply as redis-cli prints it; one that was shortened is shown as raw text.
fn told(reply: &[u8]) -> String {
    let (frames, rest) = wire::replies(reply);
    match rest.is_empty() {
        true => frames,
        false => {
            // A string begins with a quote as in redis-cli, without its length.
            let head = reply.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let (quote, bytes) = match reply.first() {
                Some(b'$') => ("\"", reply.get(head..).unwrap_or_default()),
                _ => ("", reply),
            };
            let text = String::from_utf8_lossy(bytes).trim_end().replace("\r\n", " ");
            format!("{quote}{text}…")
        }
    }
}

mod words {
    crate::i18n::texts! {
        TAB_SCRIPTS: "Scripts", "脚本";
        NONE: "This server has run no script. Try EVAL or FCALL in its terminal.", "该服务器还没有运行过脚本。在终端里试试 EVAL 或 FCALL。";
        TEACH: "A script runs alone: between these commands the server carries out no other client's.", "脚本独占执行：在这些命令之间，服务器不会执行其他客户端的命令。";
        WHEN: "called by client {client}, {ago} ago", "由客户端 {client} 调用，{ago}前";
        COMMAND: "Command", "命令";
        REPLY: "Reply", "回复";
        NO_STEPS: "It called no command.", "没有调用任何命令。";
        MORE: "and {n} more", "另有 {n} 条";
        RETURNED: "Returned:", "返回：";
        RUNNING: "still running", "仍在运行";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_whole_or_as_far_as_they_were_kept() {
        assert_eq!(told(b"$2\r\nhi\r\n"), "\"hi\"");
        assert_eq!(told(b"*2\r\n:1\r\n$-1\r\n"), "1) (integer) 1\n2) (nil)");
        assert_eq!(told(b"$9\r\nsho"), "\"sho…");
        assert_eq!(told(b"*2\r\n:1\r\n$9\r\nsho"), "*2 :1 $9 sho…");
    }
}
