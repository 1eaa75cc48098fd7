//! Posters: the map of a scenario at its first moment, as a self-contained SVG.
//!
//! An embedded lab shows its poster until a person starts it. The [`Picture`] is the one of lesson
//! summaries; a poster adds the page's styles that it needs. `cargo xtask web` writes the files.

use std::collections::BTreeSet;
use std::fmt::Write;

use limpid_core::lesson::Lesson;
use yew::virtual_dom::VNode;

use crate::i18n::Locale;
use crate::lab::{Lab, Topology};
use crate::map::picture::Picture;

/// The styles of the page.
const STYLES: &str = include_str!("../../static/style.css");

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
    let picture = Picture::of(&Lab::fresh(topology), locale);
    let mut body = String::new();
    markup(&picture.drawing, &mut body);
    let title = text(&topology.title(locale));
    let (x, y, width, height) = picture.area;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{}\" \
         role=\"img\" lang=\"{}\" class=\"map\"><title>{title}</title><style>{}</style>\
         <rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         fill=\"var(--ground)\"/>{body}</svg>\n",
        picture.view_box(),
        locale.tag(),
        styles(&body),
    )
}

/// Serializes the elements of a picture.
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

/// The CSS of a poster: the colours of both themes, and the rules whose classes are all in the
/// markup.
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
    let themes = between(":root {", ":root[data-theme");
    // Without the comment on the rule that ends them.
    let themes = themes.rsplit_once("/*").map_or(themes, |(themes, _)| themes);
    let mut out = format!(":root{{{themes}");
    out.push_str("svg{font:14px/1.5 var(--sans)}");
    for line in between("/* Stage", "\n.foot {").lines() {
        // A line has one rule or several.
        for rule in line.split_inclusive('}') {
            let selector = rule.split('{').next().unwrap_or_default();
            if rule.ends_with('}') && selector.split(',').any(|one| suits(one, &classes)) {
                out.push_str(rule.trim());
            }
        }
    }
    out
}

/// Whether a selector may match elements that have these classes.
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
