//! A still picture of a World, drawn with the parts of the map: for summaries that are printed, and
//! for the posters of embedded labs.

use limpid_core::sorted::SortedMap;
use yew::prelude::*;

use super::chart::{plate, watches};
use super::circle::{Plan, circle_of_slots};
use super::{body, follow};
use crate::i18n::Locale;
use crate::kinds::{Detail, num};
use crate::lab::Lab;
use crate::layout::{self, Point, Room};
use crate::routes::Routes;
use crate::scene::Scene;
use crate::units::BodyId;

/// The margin around the map.
const MARGIN: f64 = 24.0;

/// The picture of a World, and its area.
pub(crate) struct Picture {
    /// Left, top, width and height.
    pub area: (f64, f64, f64, f64),
    /// Plain SVG elements without event listeners, in the coordinates of that area.
    pub drawing: Html,
}

impl Picture {
    /// Draws a World in its present state.
    pub(crate) fn of(lab: &Lab, locale: Locale) -> Self {
        let scene = lab.scene();
        let nodes = scene.layout_nodes();
        let places = layout::place(lab.topology().layout(), &nodes, Room::Wide);
        let (left, top, right, bottom) = layout::bounds(&nodes, &places);
        let routes = Routes::of(&scene, &places);
        let ids = scene.bodies.iter().map(|body| body.id);
        let places: SortedMap<BodyId, Point> = ids.zip(places).collect();
        Picture {
            area: (
                left - MARGIN,
                top - MARGIN,
                right - left + 2.0 * MARGIN,
                bottom - top + 2.0 * MARGIN,
            ),
            drawing: drawing(&scene, &places, &routes, locale),
        }
    }

    /// The area in the form of an SVG's `viewBox`.
    pub(crate) fn view_box(&self) -> String {
        let (left, top, width, height) = self.area;
        format!("{left:.0} {top:.0} {width:.0} {height:.0}")
    }
}

fn drawing(
    scene: &Scene,
    places: &SortedMap<BodyId, Point>,
    routes: &Routes,
    locale: Locale,
) -> Html {
    let at = |id: BodyId| places.get(&id).copied().unwrap_or_default();
    let course = |a: BodyId, b: BodyId| routes.course((a, at(a)), (b, at(b)));
    let circle = Plan { scene, places, locale, slot: None, unit: 1.0, live: false };
    html! {
        <>
            { circle_of_slots(&circle) }
            { for scene.machines.iter().map(|machine| plate(machine, places)) }
            { for scene.links.iter().map(|link| {
                let class = classes!("link", watches(scene, link.a, link.b).then_some("faint"));
                let path = course(link.a, link.b).path(0.0, 1.0);
                html! { <g {class}><path class="wire" d={path} /></g> }
            }) }
            { for scene.follows.iter().map(|follow| follow::draw(&follow::Props {
                follow: follow.clone(),
                course: course(follow.from, follow.to),
                name_a: scene.name(follow.from).to_owned(),
                name_b: scene.name(follow.to).to_owned(),
                locale,
                unit: 1.0,
            })) }
            { for scene.bodies.iter().map(|body| {
                let Point { x, y } = at(body.id);
                html! {
                    <g class={body::class(body)} transform={format!("translate({} {})", num(x), num(y))}>
                        { body::face(body, Detail { near: false, locale }) }
                    </g>
                }
            }) }
        </>
    }
}
