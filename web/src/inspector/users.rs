//! The Users tab: ACL users of a server with their rules, and the latest denials.

use limpid_core::acl::{Context, Reason};
use limpid_core::server::inspect::{DenialView, UserView};
use yew::prelude::*;

use super::Tab;
use crate::figures;
use crate::i18n::{Locale, Text, common};
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The tab, which appears if there are users besides the default one, or if something was denied.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-users",
    title: common::USERS,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels], users),
    suits: |lab| lab.has_users(),
};

fn users(page: &Page, body: BodyId) -> Html {
    let locale = page.locale();
    let Some((users, denials)) = page.lab().users(body) else {
        return html! { <p class="empty">{ locale.say(words::NOT_RUNNING) }</p> };
    };
    html! {
        <div class="users">
            { refused(locale, &users, &denials) }
            <h3>{ locale.say(words::USERS) }</h3>
            { for users.iter().map(|user| one_user(locale, user)) }
        </div>
    }
}

/// The latest denials, newest first, each with the rule that is missing.
fn refused(locale: Locale, users: &[UserView], denials: &[DenialView]) -> Html {
    html! {
        <>
            <h3>{ locale.say(words::REFUSED) }</h3>
            if denials.is_empty() {
                <p class="empty">{ locale.say(words::NOTHING_REFUSED) }</p>
            }
            <ol class="denials" data-testid="denials">
                { for denials.iter().map(|denial| {
                    let user = users.iter().find(|user| user.name == denial.user);
                    html! {
                        <li key={denial.id}>
                            <p>{ sentence(locale, denial) }</p>
                            if let Some(user) = user {
                                <p class="because">{ because(locale, user, denial) }</p>
                            }
                            if let Some(rule) = &denial.missing {
                                <p>{ locale.say(words::WOULD_ALLOW) }{ " " }
                                    <code>{ format!("ACL SETUSER {} {rule}", denial.user) }</code></p>
                            }
                            <p class="when">{ locale.fill(words::WHEN, &[
                                ("context", locale.say(context(denial.context))),
                                ("client", &denial.client),
                                ("ago", &figures::duration(denial.ago)),
                                ("count", &denial.count.to_string()),
                            ]) }</p>
                        </li>
                    }
                }) }
            </ol>
        </>
    }
}

fn sentence(locale: Locale, denial: &DenialView) -> String {
    let text = match denial.reason {
        Reason::Command => words::NO_COMMAND,
        Reason::Key => words::NO_KEY,
        Reason::Channel => words::NO_CHANNEL,
        Reason::Login => words::NO_LOGIN,
    };
    let (user, command) = (denial.user.as_str(), denial.command.as_str());
    locale.fill(text, &[("user", user), ("command", command), ("object", &denial.object)])
}

/// Why the rules denied a request.
fn because(locale: Locale, user: &UserView, denial: &DenialView) -> String {
    let rules = |of: fn(&limpid_core::server::inspect::SelectorView) -> &str| {
        let all: Vec<&str> =
            user.selectors.iter().map(of).filter(|text| !text.is_empty()).collect();
        if all.is_empty() { locale.say(words::NO_PATTERN).to_owned() } else { all.join(" · ") }
    };
    let (text, rules) = match denial.reason {
        Reason::Command => (words::ALLOWED_COMMANDS, rules(|selector| &selector.commands)),
        Reason::Key => (words::ALLOWED_KEYS, rules(|selector| &selector.keys)),
        Reason::Channel => (words::ALLOWED_CHANNELS, rules(|selector| &selector.channels)),
        Reason::Login if !user.enabled => return locale.say(words::IS_OFF).to_owned(),
        Reason::Login => return locale.say(words::WRONG_PASSWORD).to_owned(),
    };
    locale.fill(text, &[("rules", &rules)])
}

fn context(context: Context) -> Text {
    match context {
        Context::TopLevel => words::BY_CLIENT,
        Context::Transaction => words::IN_TRANSACTION,
        Context::Script => words::IN_SCRIPT,
    }
}

/// A user with its rules, a line for each selector.
fn one_user(locale: Locale, user: &UserView) -> Html {
    let login = match (user.enabled, user.needs_no_password, user.passwords) {
        (false, ..) => locale.say(words::OFF).to_owned(),
        (true, true, _) => locale.say(words::ANY_PASSWORD).to_owned(),
        (true, false, count) => locale.fill(words::PASSWORDS, &[("count", &count.to_string())]),
    };
    let clients = locale.fill(words::CLIENTS, &[("count", &user.clients.to_string())]);
    html! {
        <section key={user.name.clone()} class={classes!("user", (!user.enabled).then_some("off"))}
            data-testid={format!("user-{}", user.name)}>
            <h4>{ &user.name }</h4>
            <p class="when">{ login }{ " · " }{ clients }</p>
            { for user.selectors.iter().map(|selector| html! {
                <dl class="pairs">
                    <dt>{ locale.say(words::COMMANDS) }</dt><dd>{ &selector.commands }</dd>
                    <dt>{ locale.say(words::KEYS) }</dt><dd>{ or_dash(&selector.keys) }</dd>
                    <dt>{ locale.say(words::CHANNELS) }</dt><dd>{ or_dash(&selector.channels) }</dd>
                </dl>
            }) }
        </section>
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

mod words {
    crate::i18n::texts! {
        NOT_RUNNING: "The server is not running.", "服务器没有运行。";
        USERS: "Users and their rules", "用户与规则";
        REFUSED: "Refused lately", "最近被拒绝的操作";
        NOTHING_REFUSED: "Nothing was refused. When a command is, the reason appears here.",
            "没有操作被拒绝。命令被拒绝时，这里会显示原因。";
        NO_COMMAND: "{user} may not call {command}: none of its rules allows this command.",
            "{user} 不能执行 {command}：没有规则允许这条命令。";
        NO_KEY: "{user} called {command}, but may not use the key {object} in that way.",
            "{user} 执行了 {command}，但无权这样访问键 {object}。";
        NO_CHANNEL: "{user} called {command}, but may not use the channel {object}.",
            "{user} 执行了 {command}，但无权使用频道 {object}。";
        NO_LOGIN: "Somebody could not log in as {user} ({command}).",
            "有人未能以 {user} 的身份登录（{command}）。";
        ALLOWED_COMMANDS: "Its rules about commands are: {rules}", "它的命令规则是：{rules}";
        ALLOWED_KEYS: "Keys that it may use (%R only to read, %W only to write): {rules}",
            "它可以访问的键（%R 只读，%W 只写）：{rules}";
        ALLOWED_CHANNELS: "Channels that it may use: {rules}", "它可以使用的频道：{rules}";
        NO_PATTERN: "none", "无";
        IS_OFF: "The user is switched off.", "该用户已停用。";
        WRONG_PASSWORD: "The password was wrong.", "密码错误。";
        WOULD_ALLOW: "The missing rule:", "缺少的规则：";
        WHEN: "{context} {client}, {ago} ago, {count} ×", "{context} {client}，{ago}前，{count} 次";
        BY_CLIENT: "from", "来自";
        IN_TRANSACTION: "in a transaction of", "事务中，来自";
        IN_SCRIPT: "in a script called by", "脚本中，来自";
        OFF: "cannot log in (off)", "不能登录（off）";
        ANY_PASSWORD: "logs in with any password (nopass)", "任意密码都可登录（nopass）";
        PASSWORDS: "passwords: {count}", "密码：{count} 个";
        CLIENTS: "connections: {count}", "连接：{count}";
        COMMANDS: "Commands", "命令";
        KEYS: "Keys", "键";
        CHANNELS: "Channels", "频道";
    }
}
