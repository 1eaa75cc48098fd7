//! Replication: a line from a primary to its replica over the link between them, in the hue of
//! their shard, with what can be said of the stream on it.

use std::rc::Rc;

use yew::prelude::*;

use crate::figures;
use crate::i18n::{Locale, common};
use crate::kinds::server;
use crate::layout::{self, Point};
use crate::scene::{Cut, Follow, FollowState};

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub follow: Rc<Follow>,
    /// The primary's place.
    pub a: Point,
    /// The replica's place.
    pub b: Point,
    /// The names of both, for tests.
    pub name_a: String,
    pub name_b: String,
    pub locale: Locale,
    /// Units of the map for a pixel.
    pub unit: f64,
}

/// A replication link.
#[component]
pub(crate) fn FollowMark(props: &Props) -> Html {
    draw(props)
}

/// Draws it.
pub(super) fn draw(props: &Props) -> Html {
    let follow = &*props.follow;
    let length = props.a.distance(props.b).max(1.0);
    let at = |t: f64| props.a.toward(props.b, t);
    let (dx, dy) = (props.b.x - props.a.x, props.b.y - props.a.y);
    // A little room between the line and the plates.
    let outline = &server::KIND.outline;
    let rim = |dx, dy| (outline.over(dx, dy) + 3.0 / length).min(0.45);
    let (first, last) = (rim(dx, dy), 1.0 - rim(-dx, -dy));
    let (start, end) = (at(first), at(last));
    let hue = format!("hue-{}", follow.shard % 7);
    // A cut leaves its gap in this line, too.
    let gap = (props.unit * 16.0 / length).min(0.3);
    let half = layout::middle((outline, props.a), (outline, props.b));
    let path = match follow.cut {
        Cut::No => format!("{} {}", moved(start), lined(end)),
        _ => format!(
            "{} {} {} {}",
            moved(start),
            lined(at(half - gap)),
            moved(at(half + gap)),
            lined(end)
        ),
    };
    // What is only under way is told at the replica; a word here would come and go with each write.
    let caption = match (follow.state, follow.lag) {
        (FollowState::Online, Some(1..)) if follow.cut == Cut::No => None,
        (FollowState::Online, Some(0) | None) => None,
        (FollowState::Online, Some(lag)) => Some(format!("−{}", figures::bytes(lag))),
        (state, _) => Some(props.locale.say(state.text()).to_owned()),
    };
    let scale = props.unit.max(1.0);
    let middle = at(first + (last - first) * 0.62);
    html! {
        <g class={classes!("follow", follow.state.name(), hue)}
            data-testid={format!("follow-{}-{}", props.name_a, props.name_b)}
            data-state={follow.state.name()}
            data-lag={follow.lag.map(|lag| lag.to_string())}>
            <title>{ props.locale.fill(common::FOLLOW_SPOKEN,
                &[("a", &props.name_a), ("b", &props.name_b), ("state", props.locale.say(follow.state.text()))]) }</title>
            <path class="stream" d={path} />
            <path class="head" d="M-9 -5.500 0 0-9 5.500"
                transform={format!("translate({:.1} {:.1}) {}", end.x, end.y, props.a.turned_to(props.b))} />
            if let Some(caption) = caption {
                { note(&caption, middle, (dx / length, dy / length), scale) }
            }
        </g>
    }
}

/// A word below the line, or beside a steep one: what is lost on the way is painted on it.
fn note(text: &str, at: Point, (along, across): (f64, f64), scale: f64) -> Html {
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

fn moved(at: Point) -> String {
    format!("M{:.1} {:.1}", at.x, at.y)
}

fn lined(at: Point) -> String {
    format!("L{:.1} {:.1}", at.x, at.y)
}
