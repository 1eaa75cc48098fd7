//! The Scripts tab: the last scripts and functions, each with the commands that it called.

use yew::prelude::*;

use super::Tab;
use crate::frames;
use crate::lab::Lab;
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-scripts",
    title: words::TAB_SCRIPTS,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels], scripts),
    suits: Lab::has_scripts,
};

impl Lab {
    /// Whether a script ran on any server.
    fn has_scripts(&self) -> bool {
        let servers = self.units().servers().filter_map(|unit| self.server(unit.id));
        servers.into_iter().any(|server| server.script_views().next().is_some())
    }
}

fn scripts(page: &Page, body: BodyId) -> Html {
    let locale = page.locale();
    let lab = page.lab();
    let Some(server) = lab.server(body) else { return super::not_running(locale) };
    let mut views = server.script_views().peekable();
    if views.peek().is_none() {
        return html! { <p class="empty">{ locale.say(words::NO_SCRIPTS) }</p> };
    }
    html! {
        <div data-testid="scripts">
            { for views.map(|script| html! {
                <section key={script.number}>
                    <h3 class="script"><code>{ &script.call }</code></h3>
                    if script.steps.is_empty() {
                        <p class="sub">{ locale.say(words::NO_STEPS) }</p>
                    } else {
                        <table class="facts">
                            <thead><tr>
                                <th scope="col" class="num">{ "#" }</th>
                                <th scope="col">{ locale.say(words::COMMAND) }</th>
                                <th scope="col">{ locale.say(words::REPLY) }</th>
                            </tr></thead>
                            <tbody>
                                { for script.steps.iter().enumerate().map(|(at, step)| html! {
                                    <tr key={at}>
                                        <td class="num">{ at + 1 }</td>
                                        <td><code>{ &step.command }</code></td>
                                        <td>{ frames::label(&step.reply, false) }</td>
                                    </tr>
                                }) }
                                if script.more > 0 {
                                    <tr class="whole"><td colspan="3">{
                                        locale.fill(words::MORE_STEPS,
                                            &[("n", &script.more.to_string())])
                                    }</td></tr>
                                }
                            </tbody>
                        </table>
                    }
                </section>
            }) }
        </div>
    }
}

mod words {
    crate::i18n::texts! {
        TAB_SCRIPTS: "Scripts", "脚本";
        NO_SCRIPTS: "No script has run here. Type EVAL \"return redis.call('INCR', KEYS[1])\" 1 n in its terminal.", "这里还没有运行过脚本。在终端输入 EVAL \"return redis.call('INCR', KEYS[1])\" 1 n 试试。";
        NO_STEPS: "It called no command.", "它没有调用任何命令。";
        COMMAND: "Command called", "调用的命令";
        REPLY: "Reply", "回复";
        MORE_STEPS: "and {n} more", "另有 {n} 条";
    }
}
