//! The conditions of the present step: one line each, ticked when it holds.

use limpid_core::lesson::{Check, Column, Condition, Expect, Requirement, Step};
use yew::prelude::*;

use super::Open;
use super::panel::tick;
use crate::i18n::{Locale, Text};
use crate::live::live;
use crate::page::{Page, Topic};

/// The list of conditions of the next step.
pub(super) fn waits(locale: Locale, open: &Open, number: usize, step: &Step) -> Html {
    if step.open || number != open.progress.done() {
        return Html::default();
    }
    let met = open.progress.met(number);
    let question = step.question.as_ref().map(|question| {
        let right =
            open.progress.answered(number).and_then(|answer| question.answers.get(answer.0));
        (right.is_some_and(|answer| answer.right), locale.say(words::ANSWER).to_owned())
    });
    let conditions =
        step.wait.iter().enumerate().map(|(place, waited)| {
            (met.get(place).copied().unwrap_or_default(), told(locale, waited))
        });
    html! {
        <div class="waits" data-testid="waits">
            <p>{ locale.say(words::WAITS) }</p>
            <ul>
                { for conditions.chain(question).map(|(met, text)| html! {
                    <li data-met={met.to_string()}>{ tick(locale, met) }<span>{ with_code(&text) }</span></li>
                }) }
            </ul>
            { live(&[Topic::Prefs, Topic::Time], standstill) }
        </div>
    }
}

/// The notice that nothing can happen while time is paused.
fn standstill(page: &Page) -> Html {
    if page.view().playing {
        return Html::default();
    }
    let onclick = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| page.play(true))
    };
    html! {
        <p class="standstill">
            { page.say(words::STANDSTILL) }{ " " }
            <button class="inline" {onclick}>{ page.say(words::PLAY) }</button>
        </p>
    }
}

/// A text in which parts between backticks are code; short code does not break across lines.
fn with_code(text: &str) -> Html {
    const FITS: usize = 24;
    let parts = text.split('`').enumerate().map(|(number, part)| match number % 2 {
        0 => html! { { part } },
        _ => html! { <code class={(part.len() <= FITS).then_some("whole")}>{ part }</code> },
    });
    html! { <>{ for parts }</> }
}

/// A condition in words. What is typed or compared stands between backticks.
fn told(locale: Locale, waited: &Requirement) -> String {
    let fill = |text: Text, values: &[(&str, &str)]| locale.fill(text, values);
    let places = |at: &[String]| at.join(locale.say(words::OR));
    let told = match &waited.condition {
        Condition::Typed { line, at, shows } => {
            let line = plain(line);
            let typed = match at.is_empty() {
                true => fill(words::TYPED, &[("line", &line)]),
                false => fill(words::TYPED_AT, &[("line", &line), ("at", &places(at))]),
            };
            match shows {
                Some(shows) => typed + &fill(words::SHOWS, &[("line", &plain(shows))]),
                None => typed,
            }
        }
        Condition::Logged { line, at } => {
            fill(words::LOGGED, &[("line", &plain(line)), ("at", &places(at))])
        }
        Condition::Did { action } => fill(words::DID, &[("line", &plain(action))]),
        Condition::Asked { command, at, check, .. } => fill(
            words::ASKED,
            &[("line", &command.join(" ")), ("at", &places(at)), ("is", &checked(locale, check))],
        ),
        Condition::Info { field, at, check, .. } => fill(
            words::INFO,
            &[("field", field), ("at", &places(at)), ("is", &checked(locale, check))],
        ),
        Condition::Process { name, is } => {
            let text = match is {
                Expect::Running => words::RUNNING,
                Expect::Stopped => words::STOPPED,
                Expect::Paused => words::PAUSED,
            };
            fill(text, &[("name", name)])
        }
        Condition::Host { name, on } => {
            fill(if *on { words::HOST_ON } else { words::HOST_OFF }, &[("name", name)])
        }
        Condition::Link { between: (a, b), cut } => {
            fill(if *cut { words::LINK_CUT } else { words::LINK_OPEN }, &[("a", a), ("b", b)])
        }
        Condition::File { path, at, has } => {
            let file = fill(words::FILE, &[("path", path), ("at", at)]);
            match has {
                Some(has) => file + &fill(words::SHOWS, &[("line", &plain(has))]),
                None => file,
            }
        }
        Condition::Ledger { column, at, check } => {
            let text = match column {
                Column::Acknowledged => words::ACKNOWLEDGED,
                Column::Lost => words::LOST,
            };
            let at = match at.is_empty() {
                true => locale.say(words::ALL).to_owned(),
                false => places(at),
            };
            fill(text, &[("at", &at), ("is", &checked(locale, check))])
        }
    };
    match waited.hold.as_millis() {
        0 => told,
        hold => {
            let seconds = (hold as f64 / 1000.0).to_string();
            told + &fill(words::HOLD, &[("seconds", &seconds)])
        }
    }
}

/// A comparison as text.
fn checked(locale: Locale, check: &Check) -> String {
    let fill = |text: Text, value: &str| locale.fill(text, &[("value", value)]);
    match check {
        Check::Is(value) if value.is_empty() => locale.say(words::IS_EMPTY).to_owned(),
        Check::Is(value) => fill(words::IS, &plain(value)),
        Check::Not(value) if value.is_empty() => locale.say(words::IS_NOT_EMPTY).to_owned(),
        Check::Not(value) => fill(words::IS_NOT, &plain(value)),
        Check::Has(value) => fill(words::HAS, &plain(value)),
        Check::AtLeast(value) => fill(words::AT_LEAST, &value.to_string()),
        Check::AtMost(value) => fill(words::AT_MOST, &value.to_string()),
    }
}

/// A glob for people: `*` becomes an ellipsis.
fn plain(glob: &str) -> String {
    let mut out = String::new();
    let mut chars = glob.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            '*' => out.push('…'),
            c => out.push(c),
        }
    }
    out
}

mod words {
    crate::i18n::texts! {
        WAITS: "This step waits for:", "这一步在等：";
        STANDSTILL: "Time stands still, and nothing happens until it runs.", "时间停着，什么也不会发生。";
        PLAY: "Let it run", "让时间走";
        ANSWER: "the right answer to the question", "答对这道题";
        OR: " or ", " 或 ";
        ALL: "all clients", "所有客户端";
        TYPED: "typed: `{line}`", "输入过：`{line}`";
        TYPED_AT: "typed to {at}: `{line}`", "向 {at} 输入过：`{line}`";
        SHOWS: ", with a line `{line}`", "，其中有一行 `{line}`";
        LOGGED: "a line in the log of {at}: `{line}`", "{at} 的日志里出现：`{line}`";
        DID: "done to the World: `{line}`", "对这个世界做过：`{line}`";
        ASKED: "`{line}` at {at} {is}", "在 {at} 执行 `{line}`，结果{is}";
        INFO: "`{field}` of {at} {is}", "{at} 的 `{field}` {is}";
        RUNNING: "{name} runs", "{name} 在运行";
        STOPPED: "{name} is stopped", "{name} 已停止";
        PAUSED: "{name} is paused", "{name} 已暂停";
        HOST_ON: "{name} has power", "{name} 有电";
        HOST_OFF: "{name} has no power", "{name} 断了电";
        LINK_CUT: "the link between {a} and {b} is cut", "{a} 与 {b} 之间的链路已断开";
        LINK_OPEN: "the link between {a} and {b} is open", "{a} 与 {b} 之间的链路畅通";
        FILE: "the file `{path}` on {at}", "{at} 上有文件 `{path}`";
        ACKNOWLEDGED: "the number of acknowledged writes of {at} {is}", "已确认的写入条数（{at}）{is}";
        LOST: "the number of lost writes of {at} {is}", "丢失的写入条数（{at}）{is}";
        HOLD: ", for {seconds} s without a break", "，并持续 {seconds} 秒";
        IS: "is `{value}`", "是 `{value}`";
        IS_EMPTY: "is empty", "为空";
        IS_NOT: "is not `{value}`", "不是 `{value}`";
        IS_NOT_EMPTY: "is not empty", "不为空";
        HAS: "has a line `{value}`", "有一行 `{value}`";
        AT_LEAST: "is at least `{value}`", "至少为 `{value}`";
        AT_MOST: "is at most `{value}`", "至多为 `{value}`";
    }
}

#[cfg(test)]
mod tests {
    use limpid_core::time::Duration;

    use super::*;

    #[test]
    fn a_condition_is_told_in_both_languages_without_globs() {
        let condition = Condition::Info {
            field: "role".into(),
            at: vec!["redis-2".into(), "redis-3".into()],
            password: None,
            check: Check::Is("master".into()),
        };
        let waited = Requirement { condition, hold: Duration::from_secs(3) };
        assert_eq!(
            told(Locale::En, &waited),
            "`role` of redis-2 or redis-3 is `master`, for 3 s without a break"
        );
        assert_eq!(
            told(Locale::Zh, &waited),
            "redis-2 或 redis-3 的 `role` 是 `master`，并持续 3 秒"
        );
        assert_eq!(plain(r"keys \*"), "keys *");
        assert_eq!(plain("*Full resync*"), "…Full resync…");
    }
}
