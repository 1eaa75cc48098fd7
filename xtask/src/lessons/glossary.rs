//! Generates the page's `lessons/glossary.json` from `glossary.yaml`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use saphyr::Yaml;
use serde_json::json;

use super::{text, yaml};
use crate::web::Site;

/// The source file, written by hand.
pub(super) const FILE: &str = "lessons/glossary.yaml";

/// A word: its name and what it means, in English and in Chinese.
pub(super) struct Term {
    name: [String; 2],
    means: [String; 2],
}

/// Reads the words by their ids, which lessons link to as `term:id`.
pub(super) fn read(site: &Site) -> Result<BTreeMap<String, Term>> {
    let file = yaml(site, FILE)?;
    let mut terms = BTreeMap::new();
    for (id, words) in file.as_mapping().context("glossary.yaml is no map of words")? {
        let id = id.as_str().context("a word's id is no text")?;
        let said = |language: &str| -> Result<(String, String)> {
            let words = words.as_mapping_get(language);
            let words = words.with_context(|| format!("'{id}' lacks '{language}'"))?;
            one(words).with_context(|| format!("'{id}' in '{language}'"))
        };
        let ((en, en_means), (zh, zh_means)) = (said("en")?, said("zh")?);
        let term = Term { name: [en, zh], means: [en_means, zh_means] };
        ensure!(terms.insert(id.to_owned(), term).is_none(), "'{id}' stands twice in {FILE}");
    }
    Ok(terms)
}

fn one(words: &Yaml<'_>) -> Result<(String, String)> {
    Ok((text(words, "name")?, text(words, "means")?))
}

/// The content of the file.
pub(super) fn write(terms: &BTreeMap<String, Term>) -> Result<Vec<u8>> {
    let both = |of: &[String; 2]| json!({ "en": of[0], "zh": of[1] });
    let entry = |(id, term): (&String, &Term)| {
        (id.clone(), json!({ "name": both(&term.name), "means": both(&term.means) }))
    };
    Ok(serde_json::to_vec(&terms.iter().map(entry).collect::<serde_json::Map<_, _>>())?)
}
