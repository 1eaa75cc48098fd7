//! Posters: the map of a scenario at its first moment, as an SVG of its own.
//!
//! An embedded lab shows its poster until somebody wants to use it. The marks are those of the page,
//! and so are the styles, of which a poster holds what it needs. `cargo xtask web` writes them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::rc::Rc;

use limpid_core::lesson::Lesson;
use yew::virtual_dom::VNode;

use crate::i18n::Locale;
use crate::kinds::{Detail, num};
use crate::lab::{Lab, Topology};
use crate::layout::{self, Course, Part, Point, Room};
use crate::scene::{Body, Health, Scene};

/// The styles of the page.
const STYLES: &str = include_str!("../../static/style.css");
/// Room around the map.
const MARGIN: f64 = 24.0;

/// The names of all scenarios.
pub fn scenarios() -> impl Iterator<Item = &'static str> {
    Topology::all().map(Topology::name)
}

/// The poster of a scenario, in Chinese or in English; `None` if there is none of that name.
pub fn of_scenario(name: &str, chinese: bool) -> Option<String> {
    Some(draw(Topology::named(name)?, locale(chinese)))
}

/// The poster of a lesson: `chapter/lesson` and the text of its file.
///
/// # Errors
///
/// If the file cannot be read as a lesson.
pub fn of_lesson(id: &str, text: &str, chinese: bool) -> Result<String, String> {
    let lesson = Lesson::parse(text).map_err(|error| error.to_string())?;
    Ok(draw(Topology::of_lesson(id, &lesson), locale(chinese)))
}

fn locale(chinese: bool) -> Locale {
    if chinese { Locale::Zh } else { Locale::En }
}

fn draw(topology: Topology, locale: Locale) -> String {
    let lab = Lab::fresh(topology);
    let scene = lab.scene();
    let seats = scene.seats();
    let places = layout::place(topology.layout(), &seats, Room::Wide);
    let (left, top, right, bottom) = layout::bounds(&seats, &places);
    let map = Map { scene: &scene, centre: layout::centre(&seats, &places), places };
    let body = map.svg(locale);
    let title = text(&topology.title(locale));
    let (x, y) = (left - MARGIN, top - MARGIN);
    let (width, height) = (right - left + 2.0 * MARGIN, bottom - top + 2.0 * MARGIN);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{x:.0} {y:.0} {width:.0} {height:.0}\" \
         role=\"img\" lang=\"{}\" class=\"map\"><title>{title}</title><style>{}</style>\
         <rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         fill=\"var(--ground)\"/>{body}</svg>\n",
        locale.tag(),
        styles(&body),
    )
}

/// A scene with the places of its bodies, in their order.
struct Map<'s> {
    scene: &'s Scene,
    places: Vec<Point>,
    centre: Point,
}

impl Map<'_> {
    fn svg(&self, locale: Locale) -> String {
        let mut out = String::new();
        for machine in &self.scene.machines {
            let members = machine.members.iter().filter_map(|&id| self.place(id));
            let (left, top, right, bottom) = layout::plate(members);
            let _ = write!(
                out,
                "<g class=\"machine\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"22\"/>\
                 <text x=\"{}\" y=\"{}\">{}</text></g>",
                num(left),
                num(top),
                num(right - left),
                num(bottom - top),
                num((left + right) / 2.0),
                num(top + 18.0),
                text(&format!("{} · {}", machine.name, machine.address)),
            );
        }
        for link in &self.scene.links {
            let (Some(a), Some(b)) = (self.end(link.a), self.end(link.b)) else { continue };
            let watch = [a.0, b.0].map(|body| body.kind.part == Part::Sentinel);
            let course = match watch {
                [true, true] => Course::around(a.1, b.1, self.centre),
                _ => Course::straight(a.1, b.1),
            };
            let gossips = self.scene.circle.is_some() && a.0.shard.is_some() && b.0.shard.is_some();
            let faint = if gossips || watch.contains(&true) { " faint" } else { "" };
            let path = course.path(0.0, 1.0);
            let _ = write!(out, "<g class=\"link{faint}\"><path class=\"wire\" d=\"{path}\"/></g>");
        }
        for follow in &self.scene.follows {
            let (Some(from), Some(to)) = (self.end(follow.from), self.end(follow.to)) else {
                continue;
            };
            let outline = &from.0.kind.outline;
            let (dx, dy) = (to.1.x - from.1.x, to.1.y - from.1.y);
            let (first, last) = (outline.over(dx, dy), 1.0 - outline.over(-dx, -dy));
            let (start, end) = (from.1.toward(to.1, first), from.1.toward(to.1, last));
            let _ = write!(
                out,
                "<g class=\"follow {} hue-{}\"><path class=\"stream\" d=\"M{} {}L{} {}\"/>\
                 <path class=\"head\" d=\"M-9 -5.5 0 0-9 5.5\" transform=\"translate({} {}) {}\"/></g>",
                follow.state.name(),
                follow.shard % 7,
                num(start.x),
                num(start.y),
                num(end.x),
                num(end.y),
                num(end.x),
                num(end.y),
                from.1.turned_to(to.1),
            );
        }
        for (body, place) in self.scene.bodies.iter().zip(&self.places) {
            self.body(&mut out, body, *place, locale);
        }
        out
    }

    fn body(&self, out: &mut String, body: &Body, place: Point, locale: Locale) {
        let down = if body.health == Health::Online { "" } else { " down" };
        let _ = write!(
            out,
            "<g class=\"body {} {}{down}\" transform=\"translate({} {})\">",
            body.kind.name,
            body.role().name,
            num(place.x),
            num(place.y),
        );
        markup(&(body.kind.mark)(body, Detail { near: false, locale }), out);
        let at = num(body.kind.name_at);
        let _ =
            write!(out, "<text class=\"name\" y=\"{at}\">{}</text></g>", text(body.short_name()));
    }

    fn end(&self, id: crate::units::BodyId) -> Option<(&Rc<Body>, Point)> {
        Some((self.scene.body(id)?, self.place(id)?))
    }

    fn place(&self, id: crate::units::BodyId) -> Option<Point> {
        let index = self.scene.bodies.iter().position(|body| body.id == id)?;
        self.places.get(index).copied()
    }
}

/// Writes a mark as text. Marks are plain elements: nothing in them listens.
fn markup(node: &VNode, out: &mut String) {
    match node {
        VNode::VTag(tag) => {
            let _ = write!(out, "<{}", tag.tag());
            for (name, value) in tag.attributes.iter() {
                if !name.starts_with("data-") {
                    let _ = write!(out, " {name}=\"{}\"", text(value));
                }
            }
            out.push('>');
            if let Some(children) = tag.children() {
                markup(children, out);
            }
            let _ = write!(out, "</{}>", tag.tag());
        }
        VNode::VList(list) => list.iter().for_each(|node| markup(node, out)),
        VNode::VText(words) => out.push_str(&text(&words.text)),
        _ => {}
    }
}

fn text(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// The colours of both themes, and those rules of the map whose classes are all in the markup.
fn styles(body: &str) -> String {
    let classes: BTreeSet<&str> = body
        .split("class=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .flat_map(str::split_whitespace)
        .chain(["map"])
        .collect();
    let between = |from: &str, to: &str| {
        let start = STYLES.find(from).map_or(STYLES.len(), |at| at + from.len());
        STYLES[start..].split(to).next().unwrap_or_default()
    };
    let mut out = format!(":root{{{}", between(":root {", "/* The same once more"));
    out.push_str("svg{font:14px/1.5 var(--sans)}");
    for line in between("/* Stage", "\n.foot {").lines() {
        // A rule is a line, or several in one.
        for rule in line.split_inclusive('}') {
            let selector = rule.split('{').next().unwrap_or_default();
            if rule.ends_with('}') && selector.split(',').any(|one| suits(one, &classes)) {
                out.push_str(rule.trim());
            }
        }
    }
    out
}

/// Whether a selector can find something among elements with these classes.
fn suits(selector: &str, classes: &BTreeSet<&str>) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut names = selector.split('.').skip(1).map(|rest| rest.split(|c| !is_name(c)).next());
    !selector.contains([':', '['])
        && selector.contains('.')
        && names.all(|name| name.is_some_and(|name| classes.contains(name)))
        || selector.contains("[class*=\"hue-\"]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poster_shows_the_nodes_of_its_scenario_and_names_nothing_outside_of_it() {
        let poster = of_scenario("replicas-2", false).expect("a scenario");
        for part in ["redis-1", "redis-2", "redis-3", "class=\"stream\"", "crown hue-0 on"] {
            assert!(poster.contains(part), "{part}: {poster}");
        }
        assert!(!poster.contains("url(") && !poster.contains("href"), "{poster}");
        assert!(poster.contains(".body .plate{") || poster.contains(".body .plate {"), "{poster}");
        assert!(poster.len() < 20_000, "{} bytes", poster.len());
        let chinese = of_scenario("replicas-2", true).expect("a scenario");
        assert!(chinese.contains("1 主 2 从"));
        assert_eq!(of_scenario("nothing", false), None);
    }
}
