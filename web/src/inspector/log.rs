//! The Log tab: the log lines of a body's processes.

use yew::prelude::*;

use super::Tab;
use crate::figures;
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-log",
    title: words::TAB_LOG,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels], log),
    suits: |_| true,
};

fn log(page: &Page, body: BodyId) -> Html {
    let locale = page.locale();
    let lines = page.lab().log(body);
    if lines.is_empty() {
        return html! { <p class="empty">{ locale.say(words::NO_LOG) }</p> };
    }
    html! {
        <ol class="loglines">
            { for lines.iter().map(|line| html! {
                <li class={line.is_warning.then_some("warning")}>
                    <time>{ figures::moment(line.at) }</time>
                    <span>{ format!("{} {}", line.mark, line.text) }</span>
                </li>
            }) }
        </ol>
    }
}

mod words {
    crate::i18n::texts! {
        TAB_LOG: "Log", "日志";
        NO_LOG: "It has logged nothing yet.", "尚无日志。";
    }
}
