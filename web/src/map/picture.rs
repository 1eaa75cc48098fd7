//! A still picture of a World: bodies and replication, with nothing to click.

use limpid_core::sorted::SortedMap;
use yew::prelude::*;

use super::chart::{plate, watches};
use super::follow::FollowMark;
use crate::i18n::Locale;
use crate::kinds::{Detail, num};
use crate::lab::Lab;
use crate::layout::{self, Point, Room};
use crate::units::BodyId;

/// Draws a World as it stands; `label` is what a screen reader says of it.
pub(crate) fn picture(lab: &Lab, locale: Locale, label: String) -> Html {
    let scene = lab.scene();
    let seats = scene.seats();
    let places = layout::place(lab.topology().layout(), &seats, Room::Wide);
    let (left, top, right, bottom) = layout::bounds(&seats, &places);
    let ids = scene.bodies.iter().map(|body| body.id);
    let places: SortedMap<BodyId, Point> = ids.zip(places).collect();
    let at = |id: BodyId| places.get(&id).copied().unwrap_or_default();
    let view_box = format!(
        "{} {} {} {}",
        num(left - 10.0),
        num(top - 10.0),
        num(right - left + 20.0),
        num(bottom - top + 20.0)
    );
    html! {
        <svg class="picture" viewBox={view_box} role="img" aria-label={label}>
            { for scene.machines.iter().map(|machine| plate(machine, &places)) }
            { for scene.links.iter().map(|link| {
                let class = classes!("link", watches(&scene, link.a, link.b).then_some("faint"));
                let course = layout::Course::straight(at(link.a), at(link.b));
                html! { <g {class}><path class="wire" d={course.path(0.0, 1.0)} /></g> }
            }) }
            { for scene.follows.iter().map(|follow| html! {
                <FollowMark follow={follow.clone()} a={at(follow.from)} b={at(follow.to)}
                    name_a={scene.name(follow.from).to_owned()}
                    name_b={scene.name(follow.to).to_owned()} {locale} unit={1.0} />
            }) }
            { for scene.bodies.iter().map(|body| {
                let Point { x, y } = at(body.id);
                html! {
                    <g class={classes!("body", body.kind.name, body.role().name)}
                        transform={format!("translate({} {})", num(x), num(y))}>
                        { (body.kind.mark)(body, Detail { near: true, locale }) }
                        <text class="name" y={num(body.kind.name_at)}>{ body.short_name() }</text>
                    </g>
                }
            }) }
        </svg>
    }
}
