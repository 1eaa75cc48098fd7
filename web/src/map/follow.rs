//! A replication line of the map: drawn from a primary to its replica over their link, in the hue
//! of the shard, with the state of the stream as a caption.

use std::rc::Rc;

use yew::prelude::*;

use crate::figures;
use crate::i18n::{Locale, common};
use crate::kinds::server;
use crate::layout::{Course, Point};
use crate::scene::{Cut, Follow, FollowState};

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub follow: Rc<Follow>,
    /// From the primary to the replica.
    pub course: Course,
    /// The names of both, for tests.
    pub name_a: String,
    pub name_b: String,
    pub locale: Locale,
    /// Units of the map for a pixel.
    pub unit: f64,
}

/// The length in pixels below which a line has no caption, since it would collide with its
/// neighbour's. The replica's line of state has the same text.
const SHORT: f64 = 60.0;

/// A replication link.
#[component]
pub(crate) fn FollowMark(props: &Props) -> Html {
    draw(props)
}

/// Draws it.
pub(super) fn draw(props: &Props) -> Html {
    let follow = &*props.follow;
    let course = &props.course;
    let length = course.length();
    let outline = &server::KIND.outline;
    let (first, last) = course.seen(outline, outline);
    // A little space between the line and the plates. A plate extends further down than up, so the
    // visible part of a short line need not be at its middle.
    let room = (3.0 / length).min((last - first) / 4.0);
    let (first, last) = if last > first { (first + room, last - room) } else { (0.45, 0.55) };
    let end = course.at(last);
    let hue = format!("hue-{}", follow.shard % 7);
    // The gap of a cut link is in this line, too.
    let gap = (props.unit * 16.0 / length).min(0.3);
    let half = course.middle(outline, outline);
    let path = match follow.cut {
        Cut::No => course.path(first, last),
        _ => course.path(first, half - gap) + &course.path(half + gap, last),
    };
    // A small lag is only shown at the replica; a caption here would flicker with each write.
    let caption = match (follow.state, follow.lag) {
        (FollowState::Online, Some(1..)) if follow.cut == Cut::No => None,
        (FollowState::Online, Some(0) | None) => None,
        (FollowState::Online, Some(lag)) => Some(format!("−{}", figures::bytes(lag))),
        (state, _) => Some(props.locale.say(state.text()).to_owned()),
    };
    let caption = caption.filter(|_| (last - first) * length >= SHORT * props.unit);
    let scale = props.unit.max(1.0);
    let noted = first + (last - first) * 0.62;
    html! {
        <g class={classes!("follow", follow.state.name(), hue)}
            data-testid={format!("follow-{}-{}", props.name_a, props.name_b)}
            data-state={follow.state.name()}
            data-lag={follow.lag.map(|lag| lag.to_string())}>
            <title>{ props.locale.fill(common::FOLLOW_SPOKEN,
                &[("a", &props.name_a), ("b", &props.name_b), ("state", props.locale.say(follow.state.text()))]) }</title>
            <path class="stream" d={path} />
            <path class="head" d="M-9 -5.500 0 0-9 5.500"
                transform={format!("translate({:.1} {:.1}) {}", end.x, end.y, turned(course.direction(last)))} />
            if let Some(caption) = caption {
                { note(&caption, course.at(noted), course.direction(noted), scale) }
            }
        </g>
    }
}

/// The caption below the line, or beside a steep one. Lost messages are painted on the line itself.
fn note(text: &str, at: Point, direction: Point, scale: f64) -> Html {
    let Point { x: along, y: across } = direction;
    // Chinese characters are twice as wide as Latin ones.
    let wide: f64 = text.chars().map(|c| if c > '\u{2e80}' { 6.2 } else { 3.3 }).sum();
    let (half, high) = ((wide + 5.0) * scale, 8.5 * scale);
    let away = high * along.abs() + half * across.abs() + 5.0 * scale;
    let away = if along < 0.0 { -away } else { away };
    let at = Point::new(at.x - across * away, at.y + along * away);
    html! {
        <g class="note" aria-hidden="true"
            transform={format!("translate({:.1} {:.1})", at.x, at.y)}>
            <rect x={format!("{:.1}", -half)} y={format!("{:.1}", -high)}
                width={format!("{:.1}", half * 2.0)} height={format!("{:.1}", high * 2.0)} rx="5" />
            <text>{ text }</text>
        </g>
    }
}

/// The SVG transform that turns something from pointing right to a direction.
fn turned(direction: Point) -> String {
    Point::default().turned_to(direction)
}
