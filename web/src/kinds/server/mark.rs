//! The mark of a server.

use yew::prelude::*;

use super::{ServerNode, stream_line};
use crate::kinds::{Detail, NodeView, num};
use crate::scene::{Body, FollowState, Health};

/// Draws a disc in the shard's hue on the plate of its host; a primary's disc is inside a ring.
pub(super) fn mark(body: &Body, detail: Detail) -> Html {
    let NodeView::Server(server) = &body.node else { return Html::default() };
    let outline = &body.kind.outline;
    let (half, above, below) = (outline.aside, outline.above, outline.below);
    let stream = stream_line(body, detail.locale);
    let lags = server.stream.and_then(|stream| stream.follows);
    let lags = matches!(lags, Some((FollowState::Online, Some(1..))));
    let stale = server.is_stale();
    html! {
        <>
            <rect class="plate" x={num(-half)} y={num(-above)} width={num(half * 2.0)}
                height={num(above + reach(body, detail.near))} rx="16" />
            { disc(body, server) }
            { grain(body) }
            { sign(body.health) }
            { badge(body) }
            if let Some(stream) = stream {
                <text class={classes!("offset", lags.then_some("lags"), stale.then_some("broken"))}
                    y={num(below + 4.0)}>{ stream }</text>
            } else if detail.near {
                <text class="address" y={num(below + 4.0)}>{ &body.address }</text>
            }
        </>
    }
}

/// How far the plate reaches down: it may have one line more.
pub(super) fn reach(body: &Body, near: bool) -> f64 {
    let below = body.kind.outline.below;
    let NodeView::Server(server) = &body.node else { return below };
    if near || server.stream.is_some() { below + 12.0 } else { below - 2.0 }
}

fn disc(body: &Body, server: &ServerNode) -> Html {
    let hue = format!("hue-{}", body.shard.unwrap_or_default() % 7);
    let follows = server.stream.and_then(|stream| stream.follows);
    let syncing = follows.is_some_and(|(state, _)| state == FollowState::Sync);
    let crown = (!server.is_replica).then_some("on");
    html! {
        <>
            // The ring is always drawn, so that it fades in and out when the role changes.
            <circle class={classes!("crown", hue.clone(), crown)} r="23.5" />
            <circle class={classes!("mark", hue.clone(), server.is_stale().then_some("stale"))} r="18" />
            if syncing {
                <circle class={classes!("filling", hue)} r="23.5" />
            }
        </>
    }
}

/// The pattern in the disc: from the eighth shard on the hues repeat, and patterns distinguish
/// them.
fn grain(body: &Body) -> Html {
    if body.health.is_down() {
        return Html::default();
    }
    let path = match (body.shard.unwrap_or_default() / 7) % 7 {
        0 => return Html::default(),
        1 => "M-18 0H18",
        2 => "M0 -18V18",
        3 => "M-12.700 -12.700 12.700 12.700",
        4 => "M-12.700 12.700 12.700 -12.700",
        5 => "M-18 0H18M0 -18V18",
        _ => "M-12.700 -12.700 12.700 12.700M-12.700 12.700 12.700 -12.700",
    };
    html! { <path class="grain" d={path} /> }
}

/// The badge with the beliefs of Sentinels about the server (SDOWN, ODOWN), or those of the other
/// nodes of its cluster (PFAIL, FAIL).
fn badge(body: &Body) -> Html {
    let Some(judged) = body.judged.filter(|judged| judged.down_for > 0) else {
        return Html::default();
    };
    let (name, sign) = if judged.objectively { ("odown", "✕") } else { ("sdown", "?") };
    let told = match (judged.in_cluster, judged.objectively) {
        (false, _) => name,
        (true, true) => "fail",
        (true, false) => "pfail",
    };
    let outline = &body.kind.outline;
    html! {
        <g class={classes!("badge", name)} data-testid={format!("judged-{}", body.name)}
            data-judged={told} transform={format!("translate({} {})", num(outline.aside - 10.0), num(-outline.above))}>
            <rect x="-24" y="-10" width="48" height="20" rx="10" />
            <text y="4">{ format!("{sign} {}/{}", judged.down_for, judged.watched_by) }</text>
        </g>
    }
}

/// The sign over the disc of a server that does not run.
fn sign(health: Health) -> Html {
    match health {
        Health::Online => Html::default(),
        Health::Paused => html! { <path class="sign" d="M-5 -7V7M5 -7V7" /> },
        Health::Stopped => html! { <rect class="dead" x="-6" y="-6" width="12" height="12" /> },
        Health::Crashed => html! { <path class="dead" d="M-7 -7 7 7M7 -7 -7 7" /> },
    }
}
