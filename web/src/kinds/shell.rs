//! Hosts with a person's terminals, drawn as a prompt in a box.

use yew::prelude::*;

use super::{Detail, Kind, NodeView, Role, target};
use crate::inspector::{connections, files, info, log};
use crate::layout::{Outline, Part, Rim};
use crate::scene::Body;

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "shell",
    programs: &[],
    port: None,
    part: Part::Shell,
    outline: Outline { aside: 30.0, above: 18.0, below: 34.0, rim: Rim::Circle(16.0) },
    read: |_, _| NodeView::Shell,
    mark,
    reach: |_, _| 30.0,
    name_at: 25.0,
    line: |_, _| String::new(),
    second_line: |_, _| None,
    info: |_, _| None,
    tabs: &[&info::TAB, &files::TAB, &connections::TAB, &log::TAB],
};

/// Its role.
pub(super) const ROLE: Role = Role { name: "terminal", text: words::ROLE_TERMINAL };

fn mark(body: &Body, _: Detail) -> Html {
    html! {
        <>
            { target(&body.kind.outline) }
            <rect class="caret-box" x="-14" y="-11" width="28" height="22" rx="6" />
            <path class="caret" d="M-7.500 -4.500 -3 0 -7.500 4.500M0.500 5H7" />
        </>
    }
}

mod words {
    crate::i18n::texts! {
        ROLE_TERMINAL: "terminal", "终端";
    }
}
