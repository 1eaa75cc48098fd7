//! Generates the page's table of contents, `lessons/index.json`, from `contents.yaml` and the
//! lessons' front matter.

use anyhow::{Context, Result};
use saphyr::Yaml;
use serde_json::{Value, json};

use super::{Chapter, LessonFile, list, text};
use crate::web::Site;

/// The content of the file.
pub(super) fn write(site: &Site, chapters: &[Chapter]) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for Chapter { title: [en, zh], lessons } in chapters {
        let entries: Vec<_> = lessons.iter().map(|id| entry(site, id)).collect::<Result<_>>()?;
        all.push(json!({ "title": { "en": en, "zh": zh }, "lessons": entries }));
    }
    Ok(serde_json::to_vec(&json!({ "chapters": all }))?)
}

/// The entry of a lesson.
fn entry(site: &Site, id: &str) -> Result<Value> {
    let (en, zh) = (LessonFile::read(site, "en", id)?, LessonFile::read(site, "zh", id)?);
    let both = |key: &str| -> Result<Value> {
        Ok(json!({ "en": text(&en.front, key)?, "zh": text(&zh.front, key)? }))
    };
    let minutes = en.front.as_mapping_get("minutes").and_then(Yaml::as_integer);
    Ok(json!({
        "id": id,
        "minutes": minutes.with_context(|| format!("{id} has no 'minutes'"))?,
        "after": list(&en.front, "builds-on"),
        "title": both("title")?,
        "goal": both("goal")?,
    }))
}
