//! A body of the map: a plate, the mark of its kind, its name and a line of state.

use std::rc::Rc;

use yew::prelude::*;

use crate::i18n::Locale;
use crate::kinds::{Detail, num};
use crate::layout::Point;
use crate::page::{Target, Topic, use_page};
use crate::scene::{Body, Health};

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub body: Rc<Body>,
    pub at: Point,
    pub locale: Locale,
    pub picked: bool,
    /// Whether the Tab key reaches it; arrow keys move on from here.
    pub reachable: bool,
    /// Whether there is room for its address.
    pub near: bool,
}

/// A body of the map.
#[component]
pub(crate) fn BodyMark(props: &Props) -> Html {
    // Draws only from the properties and does not subscribe to topics.
    let page = use_page(&[]);
    let body = &*props.body;
    let id = body.id;
    let (half, above) = (body.kind.outline.aside, body.kind.outline.above);
    let high = above + (body.kind.reach)(body, props.near);

    let onfocus = {
        let page = page.clone();
        Callback::from(move |_: FocusEvent| {
            let target = Target::Body(id);
            if page.view().focus != Some(target) {
                page.change(Topic::Scene, |view| view.focus = Some(target));
            }
        })
    };
    let class = classes!(class(body), props.picked.then_some("picked"));
    let label = body.spoken(props.locale);
    let pressed = if props.picked { "true" } else { "false" };
    html! {
        <g {class} {onfocus} id={format!("body-{id}")}
            role="button" tabindex={if props.reachable { "0" } else { "-1" }}
            aria-label={label} aria-pressed={pressed} aria-haspopup="menu"
            data-testid={format!("node-{}", body.name)} data-body={id.to_string()}
            data-state={body.health.name()} data-role={body.role().name}
            transform={format!("translate({:.1} {:.1})", props.at.x, props.at.y)}>
            <rect class="halo" x={num(-half - 4.0)} y={num(-above - 4.0)}
                width={num(half * 2.0 + 8.0)} height={num(high + 8.0)} rx="20" />
            // Hidden from screen readers, since the label has the whole text.
            <g aria-hidden="true">{ face(body, Detail { near: props.near, locale: props.locale }) }</g>
        </g>
    }
}

/// The classes of a body for styles: kind, role and state.
pub(super) fn class(body: &Body) -> Classes {
    let state = match body.health {
        Health::Online => None,
        Health::Paused => Some("paused"),
        Health::Stopped | Health::Crashed => Some("down"),
    };
    let troubled = body.node.is_troubled().then_some("troubled");
    classes!("body", body.kind.name, body.role().name, state, troubled)
}

/// The mark of a body with its name and its line of state.
pub(super) fn face(body: &Body, detail: Detail) -> Html {
    let line = body.line(detail.locale);
    let name = body.short_name();
    let (stem, number) =
        match name.rfind('-').filter(|_| name.ends_with(|c: char| c.is_ascii_digit())) {
            Some(at) => name.split_at(at + 1),
            None => ("", name),
        };
    html! {
        <>
            { (body.kind.mark)(body, detail) }
            <text class="name" y={num(body.kind.name_at)}>
                // With very many bodies only the number at the end of the name is shown.
                <tspan class="stem">{ stem.to_owned() }</tspan>{ number.to_owned() }
            </text>
            if !line.is_empty() {
                <text class="doing" y={num(body.kind.name_at + 15.0)}>{ line }</text>
            }
        </>
    }
}
