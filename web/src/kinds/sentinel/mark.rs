//! The mark of a Sentinel.

use yew::prelude::*;

use super::Verdict;
use crate::kinds::{Detail, NodeView, target};
use crate::scene::{Body, Health};

/// The radius of the ring that shows a timer.
const RING: f64 = 27.0;

/// Draws an eye. Its pupil is filled while the master answers, hollow with a question mark for
/// SDOWN, hatched for ODOWN. The leader of a failover has a second lid.
pub(super) fn mark(body: &Body, detail: Detail) -> Html {
    let NodeView::Sentinel(sentinel) = &body.node else { return Html::default() };
    let verdict = sentinel.worst().map_or(Verdict::Up, Verdict::of);
    let timer = sentinel.timer().filter(|_| body.health == Health::Online);
    html! {
        <g class={classes!("eye", verdict.name())} data-verdict={verdict.name()}>
            <title>{ detail.locale.say(verdict.text()) }</title>
            { target(&body.kind.outline) }
            if verdict >= Verdict::Candidate {
                <path class="second lid" d="M-29 0Q0 -28 29 0Q0 28 -29 0Z" />
            }
            if let Some(timer) = timer {
                <circle class={classes!("timer", timer.name)} r={RING.to_string()}
                    transform="rotate(-90)" pathLength="100" data-timer={timer.name}
                    stroke-dasharray={format!("{:.1} 100", timer.part * 100.0)}>
                    <title>{ detail.locale.say(timer.text) }</title>
                </circle>
            }
            <path class="lid" d="M-23 0Q0 -23 23 0Q0 23 -23 0Z" />
            { match body.health {
                Health::Online => pupil(verdict),
                Health::Paused => html! { <path class="dead" d="M-4 -5V5M4 -5V5" /> },
                Health::Stopped | Health::Crashed => html! {
                    <path class="dead" d="M-5 -5 5 5M5 -5 -5 5" />
                },
            } }
        </g>
    }
}

fn pupil(verdict: Verdict) -> Html {
    match verdict {
        Verdict::Up => html! { <circle class="pupil" r="6.5" /> },
        Verdict::Subjective => html! {
            <>
                <circle class="pupil hollow" r="7.5" />
                <text class="doubt" y="4">{ "?" }</text>
            </>
        },
        Verdict::Objective => html! {
            <>
                <circle class="pupil hollow" r="7.5" />
                <path class="hatch" d="M-6 3 3 -6M-4 6 6 -4M-7 0 0 -7M0 7 7 0" />
            </>
        },
        Verdict::Candidate => html! {
            <>
                <circle class="pupil hollow" r="7.5" />
                <circle class="pupil" r="3" />
            </>
        },
        Verdict::Leader => html! {
            <>
                <circle class="pupil hollow" r="9" />
                <circle class="pupil" r="6" />
            </>
        },
    }
}
