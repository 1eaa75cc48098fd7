//! The list of events: faults, commands, and what servers log, newest last, each a way back to its
//! moment.

use web_sys::Element;
use yew::prelude::*;

use crate::figures;
use crate::happenings::{Happening, HappeningKind};
use crate::i18n::Text;
use crate::page::{Page, Topic, use_page};

/// Lines that are shown; older ones are behind the time bar.
const SHOWN: usize = 120;

/// Which lines are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    All,
    Faults,
    Logs,
}

/// The list of events.
#[component]
pub(crate) fn Events() -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Events]);
    let filter = use_state_eq(|| Filter::All);
    let node = use_node_ref();
    let locale = page.locale();
    let mut lines = page.lab().happenings(locale);
    lines.retain(|line| match *filter {
        // Ordinary log lines would drown the rest; warnings are among them.
        Filter::All => line.kind != HappeningKind::Log || line.is_warning,
        Filter::Faults => line.kind != HappeningKind::Log,
        Filter::Logs => line.kind == HappeningKind::Log,
    });
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
        <section class="events" aria-label={locale.say(Text::Events)}>
            <header>
                <h2>{ locale.say(Text::Events) }</h2>
                { choose(Filter::All, Text::EventsFilterAll) }
                { choose(Filter::Faults, Text::EventsFilterFaults) }
                { choose(Filter::Logs, Text::EventsFilterLogs) }
            </header>
            if lines.is_empty() {
                <p class="empty">{ locale.say(Text::EventsTeach) }</p>
            }
            <ol ref={node} role="log" aria-live="polite" data-testid="events">
                { for lines.iter().map(|line| row(&page, line)) }
            </ol>
        </section>
    }
}

fn row(page: &Page, line: &Happening) -> Html {
    let class = match line.kind {
        HappeningKind::Fault => "fault",
        HappeningKind::Command => "command",
        HappeningKind::Log if line.is_warning => "log warning",
        HappeningKind::Log => "log",
        HappeningKind::News => "news",
    };
    let at = line.at;
    let moment = figures::moment(at);
    let title = page.fill(Text::JumpTo, &[("time", &moment)]);
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
