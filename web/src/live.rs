//! Stateless parts of the page: a list of topics and a draw function each.
//!
//! All such parts share one component, and all parts about one body another, since each component
//! type adds kilobytes to the program.

use yew::prelude::*;

use crate::page::{Page, Topic, use_page};
use crate::units::BodyId;

/// A part of the page that is redrawn when one of the topics changes.
pub(crate) fn live(topics: &'static [Topic], draw: fn(&Page) -> Html) -> Html {
    html! { <Live {topics} {draw} /> }
}

/// The same for a part about one body.
pub(crate) fn live_of(
    body: BodyId,
    topics: &'static [Topic],
    draw: fn(&Page, BodyId) -> Html,
) -> Html {
    html! { <LiveOf {body} {topics} {draw} /> }
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

#[derive(Properties)]
struct BodyProps {
    body: BodyId,
    topics: &'static [Topic],
    draw: fn(&Page, BodyId) -> Html,
}

impl PartialEq for BodyProps {
    fn eq(&self, other: &Self) -> bool {
        self.body == other.body
            && self.topics == other.topics
            && core::ptr::fn_addr_eq(self.draw, other.draw)
    }
}

#[component]
fn LiveOf(props: &BodyProps) -> Html {
    let page = use_page(props.topics);
    (props.draw)(&page, props.body)
}
