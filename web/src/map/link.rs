//! One link of the map: a line that can be focused, with what differs from an ordinary link.

use std::rc::Rc;

use yew::prelude::*;

use crate::figures;
use crate::i18n::Locale;
use crate::layout::{Course, Point};
use crate::page::{Target, Topic, use_page};
use crate::scene::{Cut, Link};

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub link: Rc<Link>,
    /// Where it runs.
    pub course: Course,
    /// Whether it only serves to watch, so that it is drawn faintly.
    pub faint: bool,
    /// How far from `a` to `b` the middle of what is seen of it lies.
    pub middle: f64,
    pub name_a: String,
    pub name_b: String,
    pub locale: Locale,
    pub picked: bool,
    /// Half the gap that a cut leaves, and the height of captions, in units of the map.
    pub unit: f64,
}

/// A link of the map.
#[component]
pub(crate) fn LinkMark(props: &Props) -> Html {
    let page = use_page(&[]);
    let link = &*props.link;
    let (a, b) = (link.a, link.b);
    let onfocus = Callback::from(move |_: FocusEvent| {
        let target = Target::Link(a, b);
        if page.view().focus != Some(target) {
            page.change(Topic::Scene, |view| view.focus = Some(target));
        }
    });
    let label = props.locale.fill(
        words::LINK_SPOKEN,
        &[
            ("a", &props.name_a),
            ("b", &props.name_b),
            ("state", &link.state(props.locale, &props.name_a, &props.name_b)),
        ],
    );
    let told = (link.cut != Cut::No || link.changed).then_some("told");
    let faint = props.faint.then_some("faint");
    let class = classes!("link", told, faint, props.picked.then_some("picked"));
    html! {
        <g {class} {onfocus} id={format!("link-{a}-{b}")} role="button" tabindex="-1"
            aria-label={label} aria-haspopup="menu"
            data-testid={format!("link-{}-{}", props.name_a, props.name_b)}
            data-link={format!("{a}-{b}")}
            data-state={ if link.cut == Cut::No { "whole" } else { "cut" } }>
            <path class="reach" d={props.course.path(0.0, 1.0)} />
            { wire(props) }
            { caption(props) }
        </g>
    }
}

fn wire(props: &Props) -> Html {
    let link = &*props.link;
    let changed = link.changed.then_some("changed");
    if link.cut == Cut::No {
        return html! { <path class={classes!("wire", changed)} d={props.course.path(0.0, 1.0)} /> };
    }
    // Two small gaps with scissors between them.
    let course = &props.course;
    let gap = (props.unit * 15.0 / course.length()).min(0.4);
    let middle = course.at(props.middle);
    let scale = props.unit.clamp(0.9, 1.8);
    html! {
        <>
            <path class="wire severed" d={course.path(0.0, props.middle - gap)} />
            <path class="wire severed" d={course.path(props.middle + gap, 1.0)} />
            <g transform={format!("translate({:.1} {:.1}) scale({scale:.2})", middle.x, middle.y)}>
                { match link.cut {
                    Cut::Both | Cut::No => html! {
                        <path class="scissors"
                            d="M-3.200 2.400a2 2 0 1 0 .1 4a2 2 0 0 0-.1-4M3.200 2.400a2 2 0 1 0 .1 4a2 2 0 0 0-.1-4M-2 2.700 4-7M2 2.700-4-7" />
                    },
                    // One way is open: an arrow against a bar, along the direction that is cut.
                    Cut::Forth | Cut::Back => {
                        let (from, to) = match link.cut {
                            Cut::Back => (course.at(1.0), course.at(0.0)),
                            _ => (course.at(0.0), course.at(1.0)),
                        };
                        html! {
                            <path class="scissors" transform={from.turned_to(to)}
                                d="M-8 0H1M-3-4 1 0-3 4M5-6V6" />
                        }
                    }
                } }
            </g>
        </>
    }
}

/// Latency and loss beside the middle of the line.
fn caption(props: &Props) -> Html {
    let link = &*props.link;
    if link.cut == Cut::Both {
        return Html::default();
    }
    let mut text = figures::duration(link.latency);
    if link.loss_ppm > 0 {
        let percent = f64::from(link.loss_ppm) / 10_000.0;
        text = format!("{text} · {percent} %");
    }
    let scale = props.unit.max(1.0);
    let half = (text.chars().count() as f64 * 3.3 + 5.0) * scale;
    let high = 8.5 * scale;
    // Above the line, or beside a steep one, where no message passes.
    let middle = props.course.at(props.middle);
    let Point { x: along, y: across } = props.course.direction(props.middle);
    let away = high * along.abs() + half * across.abs() + 7.0 * scale;
    let side = if along < 0.0 { -away } else { away };
    let (x, y) = (middle.x + across * side, middle.y - along * side);
    html! {
        <g class="caption" aria-hidden="true"
            transform={format!("translate({x:.1} {y:.1})")}>
            <rect x={format!("{:.1}", -half)} y={format!("{:.1}", -high)}
                width={format!("{:.1}", half * 2.0)} height={format!("{:.1}", high * 2.0)} rx="5" />
            <text>{ text }</text>
        </g>
    }
}

mod words {
    crate::i18n::texts! {
        LINK_SPOKEN: "Link between {a} and {b}, {state}", "{a} 与 {b} 之间的链路，{state}";
    }
}
