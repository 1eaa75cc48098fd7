//! The Keys tab: the keys with their types, values and times to live, and the one that is open.

use yew::prelude::*;

use super::Tab;
use super::search::searched;
use crate::figures;
use crate::kinds::server::KeyRow;
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-keys",
    title: words::TAB_KEYS,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels, Topic::Open], opened_or_all),
    suits: |_| true,
};

/// The most keys that are listed; there may be a million.
const KEYS: usize = 200;

/// The key that is open, or all keys.
fn opened_or_all(page: &Page, body: BodyId) -> Html {
    #[cfg(feature = "whole")]
    if let Some((db, key)) = &page.view().key {
        return super::key::key(page, body, *db, key);
    }
    #[cfg(not(feature = "whole"))]
    if page.view().key.is_some() {
        return super::later::later();
    }
    searched(body, keys)
}

/// Opens a key, or closes the one that is open.
pub(super) fn show(page: &Page, key: Option<(usize, Vec<u8>)>) -> Callback<MouseEvent> {
    let page = page.clone();
    Callback::from(move |_: MouseEvent| {
        page.change(Topic::Open, |view| view.key = key.clone());
    })
}

fn keys(page: &Page, body: BodyId, filter: &str) -> Option<Html> {
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
                    { for rows.iter().map(|row| key_row(page, row)) }
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

fn key_row(page: &Page, row: &KeyRow) -> Html {
    let expires = row.expires_in.map_or_else(|| "–".to_owned(), figures::duration);
    let name = match row.db {
        0 => row.key.clone(),
        db => format!("[{db}] {}", row.key),
    };
    html! {
        <tr key={name.clone()}>
            <td>
                <button class="linklike" data-testid={format!("key-{name}")}
                    onclick={show(page, Some((row.db, row.name.clone())))}>{ name.clone() }</button>
            </td>
            <td title={row.kind.clone()}>{ &row.value }</td>
            <td class="num">{ expires }</td>
        </tr>
    }
}

mod words {
    crate::i18n::texts! {
        TAB_KEYS: "Keys", "键";
        NO_KEYS: "No keys yet. Type SET greeting hello in its terminal.", "还没有键。在终端输入 SET greeting hello 试试。";
        NONE_MATCH: "Nothing matches.", "没有匹配项。";
        MORE_KEYS: "and {n} more", "另有 {n} 个";
        KEY: "Key", "键";
        VALUE: "Value", "值";
        EXPIRES: "Expires", "过期";
    }
}
