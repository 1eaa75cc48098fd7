//! What the inspector's tabs show.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::figures;
use crate::i18n::Locale;
use crate::inspect::KeyRow;
use crate::live::live;
use crate::page::{Page, Topic, use_page};

use super::Tab;

/// Keys that are listed; there may be a million.
const KEYS: usize = 200;

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub body: usize,
    /// What is shown, of that which has a field to search it.
    pub tab: Tab,
}

/// A tab with a field in which one types what one looks for.
#[component]
pub(crate) fn Searched(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Panels]);
    let filter = use_state_eq(String::new);
    let shown = match props.tab {
        Tab::Keys => keys(&page, props.body, &filter),
        Tab::Config => config(&page, props.body, &filter.to_ascii_lowercase()),
        _ => info(&page, props.body, &filter.to_ascii_lowercase()),
    };
    html! {
        <>
            { find(page.locale(), &filter) }
            { shown.unwrap_or_else(|| not_running(page.locale())) }
        </>
    }
}

/// What INFO says, by section.
fn info(page: &Page, body: usize, wanted: &str) -> Option<Html> {
    let sections = page.lab().info(body)?;
    Some(html! {
        <>
            { for sections.iter().map(|(title, lines)| {
                let lines: Vec<_> = lines
                    .iter()
                    .filter(|(key, value)| {
                        key.contains(wanted) || value.to_ascii_lowercase().contains(wanted)
                    })
                    .collect();
                if lines.is_empty() {
                    return Html::default();
                }
                html! {
                    <>
                        <h3>{ title }</h3>
                        <dl class="pairs">
                            { for lines.iter().map(|(key, value)| html! {
                                <><dt title={key.clone()}>{ key }</dt><dd>{ value }</dd></>
                            }) }
                        </dl>
                    </>
                }
            }) }
        </>
    })
}

/// The keys with their types, sizes and times to live.
fn keys(page: &Page, body: usize, filter: &str) -> Option<Html> {
    let locale = page.locale();
    let (rows, total) = page.lab().keys(body, filter, KEYS)?;
    if total == 0 {
        return Some(html! { <p class="empty">{ locale.say(words::NO_KEYS) }</p> });
    }
    Some(html! {
        <>
            if rows.is_empty() {
                <p class="empty">{ locale.say(words::NONE_MATCH) }</p>
            }
            <table class="facts" data-testid="keys">
                <thead><tr>
                    <th scope="col">{ locale.say(words::KEY) }</th>
                    <th scope="col">{ locale.say(words::VALUE) }</th>
                    <th scope="col" class="num">{ locale.say(words::EXPIRES) }</th>
                </tr></thead>
                <tbody>
                    { for rows.iter().map(|row| key_row(locale, row)) }
                    if total > rows.len() && filter.is_empty() {
                        <tr class="whole"><td colspan="3">{
                            locale.fill(words::MORE_KEYS,
                                &[("n", &figures::count((total - rows.len()) as u64))])
                        }</td></tr>
                    }
                </tbody>
            </table>
        </>
    })
}

fn key_row(_locale: Locale, row: &KeyRow) -> Html {
    let expires = row.expires_in.map_or_else(|| "–".to_owned(), figures::duration);
    let name = match row.db {
        0 => row.key.clone(),
        db => format!("[{db}] {}", row.key),
    };
    html! {
        <tr key={name.clone()}>
            <td>{ name }</td>
            <td title={row.kind.clone()}>{ &row.value }</td>
            <td class="num">{ expires }</td>
        </tr>
    }
}

/// The configuration, with what differs from the default first.
fn config(page: &Page, body: usize, wanted: &str) -> Option<Html> {
    let lines = page.lab().config(body)?;
    Some(html! {
        <dl class="pairs">
            { for lines.iter().filter(|(key, _)| key.contains(wanted)).map(|(key, value)| html! {
                <><dt title={key.clone()}>{ key }</dt><dd>{ value }</dd></>
            }) }
        </dl>
    })
}

/// Who is connected.
pub(crate) fn connections() -> Html {
    live(&[Topic::Prefs, Topic::Panels], draw_connections)
}

fn draw_connections(page: &Page) -> Html {
    let Some(body) = page.view().inspected else { return Html::default() };
    let locale = page.locale();
    let rows = page.lab().connections(body);
    if rows.is_empty() {
        return html! { <p class="empty">{ locale.say(words::NO_CONNECTIONS) }</p> };
    }
    html! {
        <table class="facts">
            <thead><tr>
                <th scope="col">{ locale.say(words::PEER) }</th>
                <th scope="col" class="num">{ locale.say(words::AGE) }</th>
                <th scope="col" class="num">{ locale.say(words::SENT_BYTES) }</th>
                <th scope="col" class="num">{ locale.say(words::READ_BYTES) }</th>
            </tr></thead>
            <tbody>
                { for rows.iter().map(|row| html! {
                    <tr key={row.number}>
                        <td>{ &row.peer }</td>
                        <td class="num">{ figures::duration(row.age) }</td>
                        <td class="num">{ figures::bytes(row.sent) }</td>
                        <td class="num">{ figures::bytes(row.read) }</td>
                    </tr>
                }) }
            </tbody>
        </table>
    }
}

/// What its processes have logged.
pub(crate) fn log() -> Html {
    live(&[Topic::Prefs, Topic::Panels], draw_log)
}

fn draw_log(page: &Page) -> Html {
    let Some(body) = page.view().inspected else { return Html::default() };
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

fn find(locale: Locale, filter: &UseStateHandle<String>) -> Html {
    let state = filter.clone();
    let oninput = Callback::from(move |event: InputEvent| {
        let input: HtmlInputElement = event.target_unchecked_into();
        state.set(input.value());
    });
    html! {
        <input class="find" type="search" placeholder={locale.say(words::FILTER)}
            aria-label={locale.say(words::FILTER)} value={(**filter).clone()} {oninput} />
    }
}

pub(super) fn not_running(locale: Locale) -> Html {
    html! { <p class="empty">{ locale.say(words::NOT_RUNNING) }</p> }
}

mod words {
    crate::i18n::texts! {
        FILTER: "Filter", "筛选";
        NO_KEYS: "No keys yet. Type SET greeting hello in its terminal.", "还没有键。在终端输入 SET greeting hello 试试。";
        NO_CONNECTIONS: "Nobody is connected.", "没有连接。";
        NO_LOG: "It has logged nothing yet.", "尚无日志。";
        NONE_MATCH: "Nothing matches.", "没有匹配项。";
        MORE_KEYS: "and {n} more", "另有 {n} 个";
        NOT_RUNNING: "It is not running. Restart it to look inside.", "进程未运行，重启后才能查看。";
        KEY: "Key", "键";
        EXPIRES: "Expires", "过期";
        VALUE: "Value", "值";
        PEER: "Peer", "对端";
        AGE: "Age", "时长";
        SENT_BYTES: "Sent", "已发";
        READ_BYTES: "Read", "已读";
    }
}
