//! Reads the lessons' files, and generates files from them: the page's index (`index`), the texts
//! for its search (`search`), its glossary (`glossary`), and the table of what the course covers
//! (`course`).
//!
//! Lessons are not checked here: `limpid lesson check` and the tests do that.

pub(crate) mod course;
mod glossary;
mod index;
mod search;

use anyhow::{Context, Result, bail};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use saphyr::{LoadableYamlNode, Yaml};

use crate::web::Site;

/// The languages of the lessons, by their folders.
const LANGUAGES: [&str; 2] = ["en", "zh"];
/// The file with the order of chapters and lessons.
const CONTENTS: &str = "lessons/contents.yaml";

/// Adds the files that the page fetches besides the lessons.
pub(crate) fn add(site: &mut Site) -> Result<()> {
    let chapters = chapters(site)?;
    let terms = glossary::read(site)?;
    let index = index::write(site, &chapters)?;
    let mut made = vec![("lessons/index.json".to_owned(), index)];
    made.push(("lessons/glossary.json".to_owned(), glossary::write(&terms)?));
    for language in LANGUAGES {
        let text = search::write(site, &chapters, language, &terms)?;
        made.push((format!("lessons/search-{language}.json"), text));
    }
    site.remove(CONTENTS);
    site.remove(glossary::FILE);
    site.extend(made);
    Ok(())
}

/// A chapter: its title in each language, and its lessons as `chapter/lesson`.
struct Chapter {
    title: [String; 2],
    lessons: Vec<String>,
}

/// The chapters in their order. Every lesson must be in one.
fn chapters(site: &Site) -> Result<Vec<Chapter>> {
    let contents = yaml(site, CONTENTS)?;
    let mut chapters = Vec::new();
    for chapter in contents.as_sequence().context("contents.yaml is no list of chapters")? {
        let name = text(chapter, "chapter")?;
        chapters.push(Chapter {
            title: [text(chapter, "en")?, text(chapter, "zh")?],
            lessons: list(chapter, "lessons").iter().map(|l| format!("{name}/{l}")).collect(),
        });
    }
    for language in LANGUAGES {
        let folder = format!("lessons/{language}/");
        let listed = |id: &str| chapters.iter().any(|c| c.lessons.iter().any(|l| l == id));
        let ids = site.keys().filter_map(|file| file.strip_prefix(&folder)?.strip_suffix(".md"));
        if let Some(id) = ids.into_iter().find(|id| !listed(id)) {
            bail!("static/{CONTENTS} does not list the lesson '{id}': add it to its chapter");
        }
    }
    Ok(chapters)
}

/// A parsed lesson file.
struct LessonFile<'s> {
    front: Yaml<'s>,
    /// The text before the first step.
    intro: String,
    steps: Vec<StepText>,
}

/// A step: its heading, its text without markup, and its block of conditions.
#[derive(Default)]
struct StepText {
    id: String,
    title: String,
    text: String,
    block: String,
    /// Words of the glossary that it links to.
    terms: Vec<String>,
}

impl LessonFile<'_> {
    /// Parses a lesson file.
    fn read<'s>(site: &'s Site, language: &str, id: &str) -> Result<LessonFile<'s>> {
        let file = format!("lessons/{language}/{id}.md");
        let text = source(site, &file)?;
        let (front, body) = text
            .strip_prefix("---\n")
            .and_then(|rest| rest.split_once("\n---\n"))
            .with_context(|| format!("static/{file} has no front matter"))?;
        let front = parse(front).with_context(|| format!("static/{file}"))?;
        let (intro, steps) = sections(body);
        Ok(LessonFile { front, intro, steps })
    }
}

/// The text before the first step, and the steps, by headings of level two.
fn sections(body: &str) -> (String, Vec<StepText>) {
    let (mut intro, mut steps) = (StepText::default(), Vec::<StepText>::new());
    let (mut heading, mut block) = (false, false);
    for event in Parser::new_ext(body, Options::ENABLE_HEADING_ATTRIBUTES | Options::ENABLE_TABLES)
    {
        if let Event::Start(Tag::Heading { level: HeadingLevel::H2, id, .. }) = &event {
            let id = id.as_ref().map(ToString::to_string).unwrap_or_default();
            steps.push(StepText { id, ..StepText::default() });
            heading = true;
            continue;
        }
        let step = steps.last_mut().unwrap_or(&mut intro);
        match event {
            Event::End(TagEnd::Heading(HeadingLevel::H2)) => heading = false,
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))) => block = &*kind == "step",
            Event::End(TagEnd::CodeBlock) => block = false,
            Event::Start(Tag::Link { dest_url, .. }) => {
                step.terms.extend(dest_url.strip_prefix("term:").map(str::to_owned));
            }
            Event::Text(text) | Event::Code(text) => {
                let part = match (block, heading) {
                    (true, _) => &mut step.block,
                    (_, true) => &mut step.title,
                    _ => &mut step.text,
                };
                part.push_str(&text);
            }
            // Chinese needs no space between two lines, but it does no harm in a search, and it
            // separates paragraphs.
            event if !block && !heading && ends_words(&event) && !step.text.ends_with(' ') => {
                step.text.push(' ');
            }
            _ => {}
        }
    }
    (intro.text.trim().to_owned(), steps)
}

/// Whether a word ends at this event, unlike at the end of emphasis or of a link.
fn ends_words(event: &Event<'_>) -> bool {
    match event {
        Event::SoftBreak | Event::HardBreak => true,
        Event::End(end) => !matches!(end, TagEnd::Link | TagEnd::Emphasis | TagEnd::Strong),
        _ => false,
    }
}

fn source<'s>(site: &'s Site, file: &str) -> Result<&'s str> {
    let bytes = site.get(file).with_context(|| format!("static/{file} is missing"))?;
    std::str::from_utf8(bytes).with_context(|| format!("static/{file} is not UTF-8"))
}

fn yaml<'s>(site: &'s Site, file: &str) -> Result<Yaml<'s>> {
    parse(source(site, file)?).with_context(|| format!("static/{file}"))
}

fn parse(text: &str) -> Result<Yaml<'_>> {
    Yaml::load_from_str(text)?.into_iter().next().context("the file is empty")
}

fn text(node: &Yaml<'_>, key: &str) -> Result<String> {
    let found = node.as_mapping_get(key).and_then(Yaml::as_str);
    Ok(found.with_context(|| format!("'{key}' is missing"))?.to_owned())
}

/// A list; a single value counts as a list of one.
fn list(node: &Yaml<'_>, key: &str) -> Vec<String> {
    let Some(found) = node.as_mapping_get(key) else { return Vec::new() };
    let items = found.as_sequence().map_or(std::slice::from_ref(found), Vec::as_slice);
    items.iter().filter_map(Yaml::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "An *intro*\nof two lines.\n\n## Store it {#store}\n\nType `set k v`, see \
        [the backlog](term:backlog).\n\n```step\ncovers: [A1]\nwait: []\n```\n\n## Next {#next}\n\n\
        | a | b |\n|---|---|\n| c | d |\n";

    #[test]
    fn a_lesson_is_taken_apart_into_text_and_blocks() {
        let (intro, steps) = sections(BODY);
        assert_eq!(intro, "An intro of two lines.");
        let step = &steps[0];
        assert_eq!((step.id.as_str(), step.title.as_str()), ("store", "Store it"));
        assert_eq!(step.text.trim(), "Type set k v, see the backlog.");
        assert_eq!(step.terms, ["backlog"]);
        assert_eq!(list(&parse(&step.block).expect("YAML"), "covers"), ["A1"]);
        assert_eq!(steps[1].text.trim(), "a b c d");
    }
}
