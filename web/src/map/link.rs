//! A link of the map: a line that can be focused, with a caption for what differs from an ordinary
//! one.

use std::rc::Rc;

use yew::prelude::*;

use crate::figures;
use crate::i18n::Locale;
use crate::layout::{Area, Course, Point};
use crate::page::{Target, Topic, use_page};
use crate::scene::{Cut, Link};

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub link: Rc<Link>,
    /// Its course.
    pub course: Course,
    /// Whether it is only used for monitoring, and is drawn faintly.
    pub faint: bool,
    /// The fraction at the middle of its visible part.
    pub middle: f64,
    /// The position of its caption.
    pub spot: Spot,
    pub name_a: String,
    pub name_b: String,
    pub locale: Locale,
    pub picked: bool,
    /// Half the gap that a cut leaves, and the height of captions, in units of the map.
    pub unit: f64,
}

/// The position of a link's caption: a fraction of the course, and a side.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spot {
    part: f64,
    side: f64,
}

/// Whether a link differs from an ordinary one, so that its caption is always shown.
pub(super) fn has_caption(link: &Link) -> bool {
    link.cut != Cut::No || link.changed
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
    let told = has_caption(link).then_some("told");
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
    // Cut in both directions: two small gaps with scissors between them.
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
                    // Cut in one direction: an arrow against a bar, along that direction.
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

/// The caption: latency and loss beside the line.
fn caption(props: &Props) -> Html {
    let link = &*props.link;
    if link.cut == Cut::Both {
        return Html::default();
    }
    let (left, top, right, bottom) = props.spot.area(link, &props.course, props.unit);
    let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0);
    let (wide, high) = (right - left, bottom - top);
    html! {
        <g class="caption" aria-hidden="true"
            transform={format!("translate({x:.1} {y:.1})")}>
            <rect x={format!("{:.1}", -wide / 2.0)} y={format!("{:.1}", -high / 2.0)}
                width={format!("{wide:.1}")} height={format!("{high:.1}")} rx="5" />
            <text>{ figures_of(link) }</text>
        </g>
    }
}

fn figures_of(link: &Link) -> String {
    let text = figures::duration(link.latency);
    match link.loss_ppm {
        0 => text,
        loss => format!("{text} · {} %", f64::from(loss) / 10_000.0),
    }
}

impl Spot {
    /// Finds the position of a caption: beside the middle of the link's visible part, above the
    /// line, or beside a steep one, where no message passes. If that is taken, the nearest free
    /// position along the line on either side, or otherwise the one with the least overlap.
    pub(super) fn find(
        link: &Link,
        course: &Course,
        middle: f64,
        unit: f64,
        taken: &[Area],
    ) -> Self {
        const STEPS: [f64; 9] = [0.0, 0.08, -0.08, 0.16, -0.16, 0.24, -0.24, 0.32, -0.32];
        let spots = STEPS.into_iter().flat_map(|step| {
            let part = (middle + step).clamp(0.05, 0.95);
            [1.0, -1.0].map(|side| Spot { part, side })
        });
        let mut best = (f64::MAX, Spot { part: middle, side: 1.0 });
        for spot in spots {
            let area = spot.area(link, course, unit);
            let covered = taken.iter().map(|other| common(area, *other)).sum();
            if covered < best.0 {
                best = (covered, spot);
            }
            if covered <= 0.0 {
                break;
            }
        }
        best.1
    }

    /// The area of the caption at this position.
    pub(super) fn area(self, link: &Link, course: &Course, unit: f64) -> Area {
        let scale = unit.max(1.0);
        let half = (figures_of(link).chars().count() as f64 * 3.3 + 5.0) * scale;
        let high = 8.5 * scale;
        let at = course.at(self.part);
        let Point { x: along, y: across } = course.direction(self.part);
        let away = (high * along.abs() + half * across.abs() + 7.0 * scale) * self.side;
        let side = if along < 0.0 { -away } else { away };
        let (x, y) = (at.x + across * side, at.y - along * side);
        (x - half, y - high, x + half, y + high)
    }
}

/// The size of the overlap of two areas.
fn common(a: Area, b: Area) -> f64 {
    let wide = a.2.min(b.2) - a.0.max(b.0);
    let high = a.3.min(b.3) - a.1.max(b.1);
    if wide > 0.0 && high > 0.0 { wide * high } else { 0.0 }
}

mod words {
    crate::i18n::texts! {
        LINK_SPOKEN: "Link between {a} and {b}, {state}", "{a} 与 {b} 之间的链路，{state}";
    }
}
