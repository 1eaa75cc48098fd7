//! Parts of the page that show something of it and remember nothing: what they show, and how.
//!
//! Every component of its own costs the page kilobytes of Yew's code, so all of these share one.

use yew::prelude::*;

use crate::page::{Page, Topic, use_page};

/// A part of the page that is drawn again whenever one of the topics changes.
pub(crate) fn live(topics: &'static [Topic], draw: fn(&Page) -> Html) -> Html {
    html! { <Live {topics} {draw} /> }
}

#[derive(Properties)]
struct Props {
    topics: &'static [Topic],
    draw: fn(&Page) -> Html,
}

impl PartialEq for Props {
    fn eq(&self, other: &Self) -> bool {
        self.topics == other.topics && core::ptr::fn_addr_eq(self.draw, other.draw)
    }
}

#[component]
fn Live(props: &Props) -> Html {
    let page = use_page(props.topics);
    (props.draw)(&page)
}
