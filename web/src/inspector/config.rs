//! The Config tab: the configuration, directives that differ from the default first.

use yew::prelude::*;

use super::Tab;
use super::search::searched;
use crate::page::Page;
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-config",
    title: words::TAB_CONFIG,
    draw: |body| searched(body, config),
    suits: |_| true,
};

fn config(page: &Page, body: BodyId, filter: &str) -> Option<Html> {
    let wanted = filter.to_ascii_lowercase();
    let lines = page.lab().config(body)?;
    Some(html! {
        <dl class="pairs">
            { for lines.iter().filter(|(key, _)| key.contains(&wanted)).map(|(key, value)| html! {
                <><dt title={key.clone()}>{ key }</dt><dd>{ value }</dd></>
            }) }
        </dl>
    })
}

mod words {
    crate::i18n::texts! {
        TAB_CONFIG: "Config", "配置";
    }
}
