//! The Ring tab of clients and proxies that shard: the hash ring with the servers' points as ticks
//! and keys as dots, and which keys move when one more server joins.

use limpid_core::lab::Sharding as Client;
use limpid_core::proxy::Proxy;
use limpid_core::proxy::twemproxy::Twemproxy;
use limpid_core::sharding::{Node, Place, Ring, Sharding, moves};
use limpid_core::sim::Action;
use yew::prelude::*;

use super::{Tab, not_running};
use crate::i18n::{Locale, common};
use crate::kinds::num;
use crate::lab::Lab;
use crate::page::{Topic, use_page};
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-ring",
    title: words::TAB_RING,
    draw: |body| html! { <RingTab {body} /> },
    suits: |_| true,
};

/// The number of sample keys that are shown for a proxy, which has no list of the keys in use.
const KEYS: u64 = 100;

/// The radius of the ring.
const RADIUS: f64 = 100.0;

#[derive(Properties, PartialEq)]
struct Props {
    body: BodyId,
}

/// A sharding rule, and keys.
struct Spread {
    sharding: Sharding,
    keys: Vec<String>,
}

fn spread(lab: &Lab, body: BodyId) -> Option<Spread> {
    let unit = lab.units().get(body)?;
    if let Some(client) = lab.machine::<Client>(unit).map(Client::client) {
        return Some(Spread { sharding: client.sharding().clone(), keys: client.keys().collect() });
    }
    let sharding = lab.machine::<Proxy<Twemproxy>>(unit)?.shardings().next()?.clone();
    Some(Spread { sharding, keys: (0..KEYS).map(|n| format!("key:{n}")).collect() })
}

/// Whether a body shards keys over servers.
pub(crate) fn spreads(lab: &Lab, body: BodyId) -> bool {
    spread(lab, body).is_some()
}

/// Servers of the map that the sharding rule does not have yet.
fn candidates(lab: &Lab, sharding: &Sharding) -> Vec<String> {
    let part = |name: &str| sharding.nodes().iter().any(|node| node.name == name.as_bytes());
    lab.units().servers().map(|unit| unit.name.clone()).filter(|name| !part(name)).collect()
}

#[component]
fn RingTab(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Scene, Topic::Open]);
    let joins = use_state_eq(|| None::<String>);
    let locale = page.locale();
    let lab = page.lab();
    let Some(spread) = spread(&lab, props.body) else { return not_running(locale) };
    let candidates = candidates(&lab, &spread.sharding);
    let joiner = joins.as_ref().filter(|name| candidates.contains(name));
    let after = joiner.map(|name| spread.sharding.joined(Node::new(name.as_bytes())));
    let join = {
        let (page, body, joins) = (page.clone(), props.body, joins.clone());
        Callback::from(move |_: MouseEvent| {
            if let Some(name) = &*joins {
                let actions = adding(&page.lab(), body, name);
                page.act(actions);
                joins.set(None);
            }
        })
    };
    html! {
        <div class="ring" data-testid="ring" data-servers={spread.sharding.nodes().len().to_string()}>
            { match spread.sharding.ring() {
                Some(_) => drawing(locale, &spread, after.as_ref()),
                None => html! { <p class="gist">{ locale.say(words::NO_RING) }</p> },
            } }
            { shares(locale, &spread) }
            <p class="choices">
                { for candidates.iter().map(|name| {
                    let on = joiner == Some(name);
                    let (joins, chosen) = (joins.clone(), (!on).then(|| name.clone()));
                    let onclick = Callback::from(move |_: MouseEvent| joins.set(chosen.clone()));
                    html! {
                        <button class="button framed" aria-pressed={on.to_string()} {onclick}
                            data-testid={format!("ring-try-{name}")}>
                            { locale.fill(words::WHAT_IF, &[("name", name)]) }
                        </button>
                    }
                }) }
            </p>
            if let (Some(after), Some(name)) = (&after, joiner) {
                { moved(locale, &spread, after) }
                <button class="button framed" data-testid="ring-add" onclick={join}>
                    { locale.fill(words::ADD, &[("name", name)]) }
                </button>
            }
        </div>
    }
}

/// The actions that make a server join: a line typed into a client, or a line added to a proxy's
/// file.
fn adding(lab: &Lab, body: BodyId, name: &str) -> Vec<Action> {
    let world = lab.world();
    let Some(unit) = lab.units().get(body) else { return Vec::new() };
    let Some(process) = unit.process().and_then(|id| world.proc(id)) else { return Vec::new() };
    let process = process.name.to_owned();
    if lab.machine::<Client>(unit).is_some() {
        return vec![Action::Type { process, line: format!("add {name}") }];
    }
    let (Some(host), Some(server)) = (world.host(unit.host), lab.units().named(name)) else {
        return Vec::new();
    };
    const FILE: &str = "/etc/nutcracker/nutcracker.yml";
    let Ok(bytes) = host.disk.read_file(FILE) else { return Vec::new() };
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    let port = server.port.unwrap_or(6379);
    text += &format!("   - {}:{port}:1 {name}\n", server.ip);
    vec![
        Action::Write { host: host.name.to_owned(), path: FILE.to_owned(), text },
        Action::Reload { target: process },
    ]
}

/// The angle of a point on the ring, in degrees.
fn degrees(at: u32) -> f64 {
    f64::from(at) / Ring::PLACES as f64 * 360.0
}

fn turned(at: u32) -> String {
    format!("rotate({})", num(degrees(at)))
}

fn hue(node: u32) -> String {
    format!("hue-{}", node % 7)
}

fn drawing(locale: Locale, spread: &Spread, after: Option<&Sharding>) -> Html {
    let Some(ring) = spread.sharding.ring() else { return Html::default() };
    let shown = after.unwrap_or(&spread.sharding);
    let mut changing = Vec::new();
    if let Some(new) = after.and_then(Sharding::ring) {
        moves::for_each_range(ring, new, |start, len, from, to| {
            if from != to {
                changing.push((start, len, to));
            }
        });
    }
    let points = shown.ring().map(Ring::points).unwrap_or_default();
    html! {
        <svg viewBox="-124 -124 248 248" role="img" aria-label={locale.say(words::RING_SPOKEN)}>
            <circle class="base" r={num(RADIUS)} />
            { for changing.iter().map(|&(start, len, to)| {
                // A stroke begins at the right, and the ring at the top.
                let from = format!("rotate({})", num(degrees(start) - 90.0));
                let dash = format!("{:.3} 360", len as f64 / Ring::PLACES as f64 * 360.0);
                html! {
                    <circle class={classes!("moving", hue(to))} r={num(RADIUS)} pathLength="360"
                        stroke-dasharray={dash} transform={from} />
                }
            }) }
            { for points.iter().map(|point| html! {
                <line class={classes!("point", hue(point.node))} y1="-100" y2="-110"
                    transform={turned(point.at)} />
            }) }
            { for spread.keys.iter().map(|key| {
                let at = spread.sharding.hash(key.as_bytes()).unwrap_or_default() as u32;
                let Place::Node(node) = shown.locate(key.as_bytes()) else { return Html::default() };
                let moves = spread.sharding.locate(key.as_bytes()) != Place::Node(node);
                html! {
                    <circle class={classes!("key", hue(node), moves.then_some("moves"))} cy="-88"
                        r={if moves { "3.4" } else { "2.2" }} transform={turned(at)}>
                        <title>{ key }</title>
                    </circle>
                }
            }) }
        </svg>
    }
}

/// The share of the keys that each server has.
fn shares(locale: Locale, spread: &Spread) -> Html {
    let nodes = spread.sharding.nodes();
    let of = |index: usize| {
        let here = Place::Node(index as u32);
        spread.keys.iter().filter(|key| spread.sharding.locate(key.as_bytes()) == here).count()
    };
    html! {
        <table class="facts">
            <thead><tr>
                <th scope="col">{ locale.say(common::NODE) }</th>
                <th scope="col" class="num">{ locale.fill(words::KEYS_OF, &[("n", &spread.keys.len().to_string())]) }</th>
            </tr></thead>
            <tbody>{ for nodes.iter().enumerate().map(|(index, node)| html! {
                <tr>
                    <td><svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">
                            <circle class={hue(index as u32)} cx="5" cy="5" r="4.5" />
                        </svg>
                        { String::from_utf8_lossy(&node.name) }</td>
                    <td class="num">{ of(index) }</td>
                </tr>
            }) }</tbody>
        </table>
    }
}

/// The keys that move if the server joins, and from which servers.
fn moved(locale: Locale, spread: &Spread, after: &Sharding) -> Html {
    let keys = || spread.keys.iter().map(String::as_bytes);
    let of_keys = moves::of_keys(&spread.sharding, after, keys());
    let total: u64 = of_keys.iter().map(|one| one.amount).sum();
    let places: u64 = moves::of_ring(&spread.sharding, after).iter().map(|one| one.amount).sum();
    let arcs = places as f64 / Ring::PLACES as f64 * 100.0;
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    html! {
        <div data-testid="ring-moves" data-moved={total.to_string()}>
            <p class="gist">{ locale.fill(words::MOVED, &[
                ("n", &total.to_string()), ("all", &spread.keys.len().to_string()),
            ]) }{ if places > 0 {
                locale.fill(words::MOVED_ARCS, &[("share", &format!("{arcs:.1}"))])
            } else { String::new() } }</p>
            <ul class="moves">{ for of_keys.iter().map(|one| html! {
                <li>{ format!("{} → {}: {}", name(&one.from), name(&one.to), one.amount) }</li>
            }) }</ul>
        </div>
    }
}

mod words {
    crate::i18n::texts! {
        TAB_RING: "Ring", "哈希环";
        RING_SPOKEN: "The hash ring: points of the servers, and keys", "哈希环：服务器的虚拟节点与键";
        NO_RING: "This rule uses no ring. What a server that joins would change is counted all the same.", "此规则不使用哈希环，但仍可统计新增服务器带来的变化。";
        KEYS_OF: "Keys, of {n}", "键数（共 {n}）";
        WHAT_IF: "What if {name} joined?", "如果加入 {name}？";
        ADD: "Let {name} join", "加入 {name}";
        MOVED: "{n} of {all} keys change hands.", "{all} 个键中有 {n} 个换了归属。";
        MOVED_ARCS: " So does {share} % of the ring: the arcs that are lit.", "环上有 {share}% 的弧段易主，即高亮部分。";
    }
}
