//! The list of events: faults, commands, and log lines of servers, newest last. A click on one goes
//! to its moment.

use web_sys::Element;
use yew::prelude::*;

use crate::event_lines::{EventLine, LineKind};
use crate::figures;
use crate::i18n::Text;
use crate::page::{Page, Topic, use_page};

/// The most lines that are shown; older ones are reached by the time bar.
const SHOWN: usize = 120;

/// The filter of the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    Main,
    Faults,
    Logs,
}

impl Filter {
    fn keeps(self, line: &EventLine) -> bool {
        match self {
            // Of the log only warnings: ordinary lines would drown the rest.
            Filter::Main => line.kind != LineKind::Log || line.is_warning,
            // Faults, and what ends them.
            Filter::Faults => matches!(line.kind, LineKind::Fault | LineKind::News),
            Filter::Logs => line.kind == LineKind::Log,
        }
    }
}

/// The list of events.
#[component]
pub(crate) fn Events() -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Events]);
    let filter = use_state_eq(|| Filter::Main);
    let node = use_node_ref();
    let locale = page.locale();
    let mut lines = page.lab().event_lines(locale);
    lines.retain(|line| filter.keeps(line));
    let skipped = lines.len().saturating_sub(SHOWN);
    let lines = lines.split_off(skipped);
    {
        let node = node.clone();
        let last = lines.last().map(|line| (line.at, lines.len()));
        use_effect_with(last, move |_| {
            if let Some(list) = node.cast::<Element>() {
                list.set_scroll_top(list.scroll_height());
            }
        });
    }
    let choose = |which: Filter, text: Text| {
        let on = *filter == which;
        let filter = filter.clone();
        let onclick = Callback::from(move |_: MouseEvent| filter.set(which));
        html! {
            <button class="button" aria-pressed={on.to_string()} {onclick}>
                { locale.say(text) }
            </button>
        }
    };
    html! {
        <section class="events" aria-label={locale.say(words::EVENTS)}>
            <header>
                <h2>{ locale.say(words::EVENTS) }</h2>
                { choose(Filter::Main, words::EVENTS_FILTER_MAIN) }
                { choose(Filter::Faults, words::EVENTS_FILTER_FAULTS) }
                { choose(Filter::Logs, words::EVENTS_FILTER_LOGS) }
            </header>
            if lines.is_empty() {
                <p class="empty">{ locale.say(words::EVENTS_TEACH) }</p>
            }
            <div class="heard" role="log" aria-live="polite">
                <ol ref={node} data-testid="events">
                    { for lines.iter().map(|line| row(&page, line)) }
                </ol>
            </div>
        </section>
    }
}

fn row(page: &Page, line: &EventLine) -> Html {
    let class = match line.kind {
        LineKind::Fault => "fault",
        LineKind::Command => "command",
        LineKind::Log if line.is_warning => "log warning",
        LineKind::Log => "log",
        LineKind::News => "news",
    };
    let at = line.at;
    let moment = figures::moment(at);
    let title = page.fill(words::JUMP_TO, &[("time", &moment)]);
    let page = page.clone();
    let onclick = Callback::from(move |_: MouseEvent| {
        page.play(false);
        page.seek(at);
    });
    html! {
        <li {class} key={line.number}>
            <button {title} {onclick}>
                <time>{ moment }</time>
                <span class="what">{ &line.text }</span>
            </button>
        </li>
    }
}

mod words {
    crate::i18n::texts! {
        EVENTS: "Events", "事件";
        EVENTS_TEACH: "Faults, commands and warnings will appear here as time runs. Logs has every line that servers log.", "随着时间推进，故障、命令与警告会出现在这里；“日志”里有服务器记下的每一行。";
        EVENTS_FILTER_MAIN: "Main", "要点";
        EVENTS_FILTER_FAULTS: "Faults", "故障";
        EVENTS_FILTER_LOGS: "Logs", "日志";
        JUMP_TO: "Go to {time}", "跳到 {time}";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Locale;
    use crate::lab::{Lab, Topology};

    #[test]
    fn faults_are_shown_without_what_was_typed() {
        let mut lab = Lab::fresh(Topology::USUAL);
        for line in ["type cli-redis-1 set k v", "crash redis-2", "restart redis-2"] {
            let done = lab.act(line.parse().expect(line), limpid_core::sim::Future::Discard);
            done.unwrap_or_else(|why| panic!("{line}: {why}"));
        }
        let lines = lab.event_lines(Locale::En);
        let kept = |filter: Filter| -> String {
            let kept = lines.iter().filter(|line| filter.keeps(line));
            kept.map(|line| format!("{}\n", line.text)).collect()
        };
        let (main, faults) = (kept(Filter::Main), kept(Filter::Faults));
        assert!(main.contains("redis-1> set k v") && main.contains(":crash redis-2"), "{main}");
        assert!(!faults.contains("set k v"), "{faults}");
        assert!(faults.contains(":crash redis-2") && faults.contains(":restart"), "{faults}");
    }
}
