//! A tab with a search field.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::i18n::Text;
use crate::page::{Page, Topic, use_page};
use crate::units::BodyId;

use super::not_running;

/// Draws the matches of a body; `None` if it does not run.
type Draw = fn(&Page, BodyId, &str) -> Option<Html>;

/// A search field, and the matches below it.
pub(super) fn searched(body: BodyId, draw: Draw) -> Html {
    searched_for(body, words::FILTER, draw)
}

/// The same with a label for the field.
pub(super) fn searched_for(body: BodyId, label: Text, draw: Draw) -> Html {
    html! { <Searched {body} {draw} {label} /> }
}

#[derive(Properties)]
struct Props {
    body: BodyId,
    draw: Draw,
    label: Text,
}

impl PartialEq for Props {
    fn eq(&self, other: &Self) -> bool {
        self.body == other.body && core::ptr::fn_addr_eq(self.draw, other.draw)
    }
}

#[component]
fn Searched(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Panels]);
    let filter = use_state_eq(String::new);
    let oninput = {
        let filter = filter.clone();
        Callback::from(move |event: InputEvent| {
            let input: HtmlInputElement = event.target_unchecked_into();
            filter.set(input.value());
        })
    };
    let label = page.say(props.label);
    let found = (props.draw)(&page, props.body, &filter);
    html! {
        <>
            <input class="find" type="search" placeholder={label} aria-label={label}
                value={(*filter).clone()} {oninput} />
            { found.unwrap_or_else(|| not_running(page.locale())) }
        </>
    }
}

mod words {
    crate::i18n::texts! {
        FILTER: "Filter", "筛选";
    }
}
