//! What the inspector's tabs show.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::figures;
use crate::i18n::{Locale, Text};
use crate::inspect::KeyRow;
use crate::page::{Topic, use_page};

/// Keys that are listed; there may be a million.
const KEYS: usize = 200;

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub body: usize,
}

/// What INFO says, by section.
#[component]
pub(crate) fn Info(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Panels]);
    let filter = use_state_eq(String::new);
    let locale = page.locale();
    let Some(sections) = page.lab().info(props.body) else { return not_running(locale) };
    let wanted = filter.to_lowercase();
    html! {
        <>
            { find(locale, &filter) }
            { for sections.iter().map(|(title, lines)| {
                let lines: Vec<_> = lines
                    .iter()
                    .filter(|(key, value)| key.contains(&wanted) || value.to_lowercase().contains(&wanted))
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
    }
}

/// The keys with their types, sizes and times to live.
#[component]
pub(crate) fn Keys(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Panels]);
    let filter = use_state_eq(String::new);
    let locale = page.locale();
    let Some((rows, total)) = page.lab().keys(props.body, &filter, KEYS) else {
        return not_running(locale);
    };
    if total == 0 {
        return html! { <p class="empty">{ locale.say(Text::NoKeys) }</p> };
    }
    html! {
        <>
            { find(locale, &filter) }
            if rows.is_empty() {
                <p class="empty">{ locale.say(Text::NoneMatch) }</p>
            }
            <table class="facts" data-testid="keys">
                <thead><tr>
                    <th scope="col">{ locale.say(Text::Key) }</th>
                    <th scope="col">{ locale.say(Text::Value) }</th>
                    <th scope="col" class="num">{ locale.say(Text::Expires) }</th>
                </tr></thead>
                <tbody>
                    { for rows.iter().map(|row| key_row(locale, row)) }
                    if total > rows.len() && filter.is_empty() {
                        <tr class="whole"><td colspan="3">{
                            locale.fill(Text::MoreKeys,
                                &[("n", &figures::count((total - rows.len()) as u64))])
                        }</td></tr>
                    }
                </tbody>
            </table>
        </>
    }
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
#[component]
pub(crate) fn Config(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Panels]);
    let filter = use_state_eq(String::new);
    let locale = page.locale();
    let Some(lines) = page.lab().config(props.body) else { return not_running(locale) };
    let wanted = filter.to_lowercase();
    html! {
        <>
            { find(locale, &filter) }
            <dl class="pairs">
                { for lines.iter().filter(|(key, _)| key.contains(&wanted)).map(|(key, value)| html! {
                    <><dt title={key.clone()}>{ key }</dt><dd>{ value }</dd></>
                }) }
            </dl>
        </>
    }
}

/// Who is connected.
#[component]
pub(crate) fn Connections(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Panels]);
    let locale = page.locale();
    let rows = page.lab().connections(props.body);
    if rows.is_empty() {
        return html! { <p class="empty">{ locale.say(Text::NoConnections) }</p> };
    }
    html! {
        <table class="facts">
            <thead><tr>
                <th scope="col">{ locale.say(Text::Peer) }</th>
                <th scope="col" class="num">{ locale.say(Text::Age) }</th>
                <th scope="col" class="num">{ locale.say(Text::SentBytes) }</th>
                <th scope="col" class="num">{ locale.say(Text::ReadBytes) }</th>
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
#[component]
pub(crate) fn Log(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Panels]);
    let locale = page.locale();
    let lines = page.lab().log(props.body);
    if lines.is_empty() {
        return html! { <p class="empty">{ locale.say(Text::NoLog) }</p> };
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
        <input class="find" type="search" placeholder={locale.say(Text::Filter)}
            aria-label={locale.say(Text::Filter)} value={(**filter).clone()} {oninput} />
    }
}

pub(super) fn not_running(locale: Locale) -> Html {
    html! { <p class="empty">{ locale.say(Text::NotRunning) }</p> }
}
