//! The contents of the lessons: `lessons/index.json` of the page, from `contents.yaml` and from the
//! front matter of the files.

use anyhow::{Context, Result, bail};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Value, json};

use crate::web::Site;

/// Where chapters and lessons stand in their order.
const CONTENTS: &str = "lessons/contents.yaml";

/// Puts the index beside the lessons.
pub(crate) fn add_index(site: &mut Site) -> Result<()> {
    let index = serde_json::to_vec(&json!({ "chapters": chapters(site)? }))?;
    site.remove(CONTENTS);
    site.insert("lessons/index.json".into(), index);
    Ok(())
}

fn chapters(site: &Site) -> Result<Vec<Value>> {
    let contents = load(site, CONTENTS)?;
    let mut chapters = Vec::new();
    for chapter in contents.as_sequence().context("contents.yaml is no list of chapters")? {
        let name = text(chapter, "chapter")?;
        let mut lessons = Vec::new();
        for lesson in list(chapter, "lessons") {
            lessons.push(entry(site, &format!("{name}/{lesson}"))?);
        }
        let title = json!({ "en": text(chapter, "en")?, "zh": text(chapter, "zh")? });
        chapters.push(json!({ "title": title, "lessons": lessons }));
    }
    let listed = chapters.iter().flat_map(|c| c["lessons"].as_array()).map(Vec::len).sum::<usize>();
    let there = site.keys().filter(|file| file.starts_with("lessons/en/")).count();
    if listed != there {
        bail!("static/{CONTENTS} lists {listed} lessons, and static/lessons/en holds {there}");
    }
    Ok(chapters)
}

/// What the contents say of a lesson.
fn entry(site: &Site, id: &str) -> Result<Value> {
    let file = |language: &str| format!("lessons/{language}/{id}.md");
    let (en, zh) = (load(site, &file("en"))?, load(site, &file("zh"))?);
    let both = |key: &str| -> Result<Value> {
        Ok(json!({ "en": text(&en, key)?, "zh": text(&zh, key)? }))
    };
    let minutes = en.as_mapping_get("minutes").and_then(Yaml::as_integer);
    Ok(json!({
        "id": id,
        "minutes": minutes.with_context(|| format!("{id} has no 'minutes'"))?,
        "after": list(&en, "builds-on"),
        "title": both("title")?,
        "goal": both("goal")?,
    }))
}

/// The YAML of a file, or its front matter.
fn load<'s>(site: &'s Site, file: &str) -> Result<Yaml<'s>> {
    let bytes = site.get(file).with_context(|| format!("static/{file} is missing"))?;
    let text = std::str::from_utf8(bytes).with_context(|| format!("static/{file} is no text"))?;
    let front = text.strip_prefix("---\n").and_then(|rest| rest.split("\n---\n").next());
    let documents = Yaml::load_from_str(front.unwrap_or(text));
    let documents = documents.with_context(|| format!("static/{file}"))?;
    documents.into_iter().next().with_context(|| format!("static/{file} is empty"))
}

fn text(node: &Yaml<'_>, key: &str) -> Result<String> {
    let found = node.as_mapping_get(key).and_then(Yaml::as_str);
    Ok(found.with_context(|| format!("there is no '{key}' in a lesson's front matter"))?.to_owned())
}

fn list(node: &Yaml<'_>, key: &str) -> Vec<String> {
    let items = node.as_mapping_get(key).and_then(Yaml::as_sequence);
    items.into_iter().flatten().filter_map(Yaml::as_str).map(str::to_owned).collect()
}
