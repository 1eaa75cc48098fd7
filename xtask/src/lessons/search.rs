//! Generates the texts for the page's search: all lessons of a language without markup.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::json;

use super::glossary::Term;
use super::{Chapter, LessonFile};
use crate::web::Site;

/// The content of `lessons/search-<language>.json`: for each lesson its id, introduction, and
/// steps. Fails if a lesson links to a word that is not in the glossary.
pub(super) fn write(
    site: &Site,
    chapters: &[Chapter],
    language: &str,
    glossary: &BTreeMap<String, Term>,
) -> Result<Vec<u8>> {
    let mut lessons = Vec::new();
    for id in chapters.iter().flat_map(|chapter| &chapter.lessons) {
        let lesson = LessonFile::read(site, language, id)?;
        for term in lesson.steps.iter().flat_map(|step| &step.terms) {
            ensure!(
                glossary.contains_key(term),
                "static/lessons/{language}/{id}.md links to term:{term}, which the glossary lacks"
            );
        }
        let step =
            |step: &super::StepText| json!({ "title": step.title, "text": step.text.trim() });
        let steps: Vec<_> = lesson.steps.iter().map(step).collect();
        lessons.push(json!({ "id": id, "intro": lesson.intro, "steps": steps }));
    }
    Ok(serde_json::to_vec(&lessons)?)
}
