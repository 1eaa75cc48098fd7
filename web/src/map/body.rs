//! One body of the map: a plate, the mark of its role, its name and one line of state.

use std::rc::Rc;

use yew::prelude::*;

use crate::i18n::Locale;
use crate::layout::{self, Point};
use crate::page::{Target, Topic, use_page};
use crate::scene::{Body, Doing, FollowState, Health, Role};

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub index: usize,
    pub body: Rc<Body>,
    pub at: Point,
    pub locale: Locale,
    pub picked: bool,
    /// Whether the Tab key leads here; from here the arrow keys lead on.
    pub reachable: bool,
    /// Whether there is room for its address.
    pub near: bool,
}

/// A body of the map.
#[component]
pub(crate) fn BodyMark(props: &Props) -> Html {
    // Nothing of the page is shown but what the properties say.
    let page = use_page(&[]);
    let body = &*props.body;
    let index = props.index;
    let (half, above, below) = layout::extent(body.kind);

    let onfocus = {
        let page = page.clone();
        Callback::from(move |_: FocusEvent| {
            let target = Target::Body(index);
            if page.view().focus != target {
                page.change(Topic::Scene, |view| view.focus = target);
            }
        })
    };
    let state = match body.health {
        Health::Online => None,
        Health::Paused => Some("paused"),
        Health::Stopped | Health::Crashed => Some("down"),
    };
    let role = match body.role {
        Role::Primary => "server",
        Role::Replica => "server replica",
        Role::Client => "client",
        Role::Shell => "shell",
    };
    let troubled = matches!(body.doing, Doing::Asking { stuck: true, .. }).then_some("troubled");
    let class = classes!("body", role, state, troubled, props.picked.then_some("picked"));
    let label = body.spoken(props.locale);
    let line = body.line(props.locale);
    let pressed = if props.picked { "true" } else { "false" };
    html! {
        <g {class} {onfocus} id={format!("body-{index}")}
            role="button" tabindex={if props.reachable { "0" } else { "-1" }}
            aria-label={label} aria-pressed={pressed} aria-haspopup="menu"
            data-testid={format!("node-{}", body.name)} data-body={index.to_string()}
            data-state={body.health.name()} data-role={body.role.name()}
            transform={format!("translate({:.1} {:.1})", props.at.x, props.at.y)}>
            <rect class="halo" x={num(-half - 4.0)} y={num(-above - 4.0)}
                width={num(half * 2.0 + 8.0)} height={num(above + height(body, props.near) + 8.0)} rx="20" />
            { match body.role {
                Role::Primary | Role::Replica => {
                    server(body, props.near, props.locale)
                }
                Role::Client => client(body, half, above, below),
                Role::Shell => shell(half, above, below),
            } }
            <text class="name" y={num(name_at(body.role))}>{ body.short_name() }</text>
            if !line.is_empty() {
                <text class="doing" y={num(name_at(body.role) + 15.0)}>{ line }</text>
            }
        </g>
    }
}

/// How far a body's marks reach below its place: a server's plate may hold a line more.
fn height(body: &Body, near: bool) -> f64 {
    let (.., below) = layout::extent(body.kind);
    match body.role {
        Role::Primary | Role::Replica if near || body.stream.is_some() => below + 12.0,
        Role::Primary | Role::Replica => below - 2.0,
        Role::Client | Role::Shell => below - 4.0,
    }
}

fn name_at(role: Role) -> f64 {
    match role {
        Role::Primary | Role::Replica => 41.0,
        Role::Client | Role::Shell => 25.0,
    }
}

/// On the plate of its host a disc in its shard's hue: a primary's stands inside a ring.
fn server(body: &Body, near: bool, locale: Locale) -> Html {
    let (half, above, below) = layout::extent(body.kind);
    let hue = format!("hue-{}", body.shard % 7);
    let stream = body.stream_line(locale);
    let follows = body.stream.and_then(|stream| stream.follows);
    let lags = matches!(follows, Some((FollowState::Online, Some(1..))));
    html! {
        <>
            <rect class="plate" x={num(-half)} y={num(-above)} width={num(half * 2.0)}
                height={num(above + height(body, near))} rx="16" />
            if body.role == Role::Primary {
                <circle class={classes!("crown", hue.clone())} r="23.5" />
                <circle class={classes!("mark", hue)} r="18" />
            } else {
                <circle class={classes!("mark", hue.clone(), body.is_stale().then_some("stale"))} r="18" />
                if follows.is_some_and(|(state, _)| state == FollowState::Sync) {
                    <circle class={classes!("filling", hue)} r="23.5" />
                }
            }
            { grain(body) }
            { sign(body.health) }
            if let Some(stream) = stream {
                <text class={classes!("offset", lags.then_some("lags"), body.is_stale().then_some("broken"))}
                    y={num(below + 4.0)}>{ stream }</text>
            } else if near {
                <text class="address" y={num(below + 4.0)}>{ &body.address }</text>
            }
        </>
    }
}

/// From the eighth shard on the hues come again, told apart by a grain in the disc.
fn grain(body: &Body) -> Html {
    if body.health.is_down() {
        return Html::default();
    }
    let path = match (body.shard / 7) % 7 {
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

/// What is drawn over the disc when the body is not at work.
fn sign(health: Health) -> Html {
    match health {
        Health::Online => Html::default(),
        Health::Paused => html! { <path class="sign" d="M-5 -7V7M5 -7V7" /> },
        Health::Stopped => html! { <rect class="dead" x="-6" y="-6" width="12" height="12" /> },
        Health::Crashed => html! { <path class="dead" d="M-7 -7 7 7M7 -7 -7 7" /> },
    }
}

/// A small square.
fn client(body: &Body, half: f64, above: f64, below: f64) -> Html {
    html! {
        <>
            <rect x={num(-half)} y={num(-above)} width={num(half * 2.0)}
                height={num(above + below)} fill="transparent" />
            <rect class="square" x="-10" y="-10" width="20" height="20" rx="5" />
            { match body.health {
                Health::Online => html! {
                    <rect class="square-dot" x="-3.5" y="-3.5" width="7" height="7" rx="1.5" />
                },
                Health::Paused => html! { <path class="dead" d="M-3 -4V4M3 -4V4" /> },
                Health::Stopped | Health::Crashed => html! {
                    <path class="dead" d="M-4 -4 4 4M4 -4 -4 4" />
                },
            } }
        </>
    }
}

/// A caret in a box.
fn shell(half: f64, above: f64, below: f64) -> Html {
    html! {
        <>
            <rect x={num(-half)} y={num(-above)} width={num(half * 2.0)}
                height={num(above + below)} fill="transparent" />
            <rect class="caret-box" x="-14" y="-11" width="28" height="22" rx="6" />
            <path class="caret" d="M-7.500 -4.500 -3 0 -7.500 4.500M0.500 5H7" />
        </>
    }
}

fn num(value: f64) -> String {
    format!("{value:.1}")
}
