//! The Info tab: INFO by section.

use yew::prelude::*;

use super::Tab;
use super::search::searched;
use crate::page::Page;
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-info",
    title: words::TAB_INFO,
    draw: |body| searched(body, info),
    suits: |_| true,
};

fn info(page: &Page, body: BodyId, filter: &str) -> Option<Html> {
    let wanted = filter.to_ascii_lowercase();
    let sections = page.lab().info(body)?;
    Some(html! {
        <>
            { for sections.iter().map(|(title, lines)| {
                let lines: Vec<_> = lines
                    .iter()
                    .filter(|(key, value)| {
                        key.contains(&wanted) || value.to_ascii_lowercase().contains(&wanted)
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

mod words {
    crate::i18n::texts! {
        TAB_INFO: "Info", "概况";
    }
}
