//! Fetching lessons: data files beside the page, loaded on first use.

use std::collections::BTreeMap;

use limpid_core::lesson::Lesson;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;

use crate::i18n::Locale;

/// The contents, a file that `cargo xtask web` writes from the lessons.
#[derive(Deserialize, PartialEq, Debug)]
pub(crate) struct Index {
    pub chapters: Vec<Chapter>,
}

/// A chapter.
#[derive(Deserialize, PartialEq, Debug)]
pub(crate) struct Chapter {
    pub title: Both<String>,
    pub lessons: Vec<Entry>,
}

/// A lesson in the contents.
#[derive(Deserialize, PartialEq, Debug)]
pub(crate) struct Entry {
    /// `chapter/lesson`.
    pub id: String,
    pub minutes: u64,
    /// The ids of lessons to do before it.
    pub after: Vec<String>,
    pub title: Both<String>,
    pub goal: Both<String>,
}

/// The text of a lesson for the search, in one language.
#[derive(Deserialize, PartialEq, Debug)]
pub(crate) struct Text {
    /// `chapter/lesson`.
    pub id: String,
    pub intro: String,
    pub steps: Vec<StepText>,
}

/// A step without its markup.
#[derive(Deserialize, PartialEq, Debug)]
pub(crate) struct StepText {
    pub title: String,
    pub text: String,
}

/// The texts for the search, in both languages.
pub(crate) type Texts = Both<Vec<Text>>;

/// A word of the glossary.
#[derive(Deserialize, PartialEq, Debug)]
pub(crate) struct Term {
    pub name: Both<String>,
    pub means: Both<String>,
}

/// Something in both languages.
#[derive(Deserialize, PartialEq, Debug)]
pub(crate) struct Both<T> {
    en: T,
    zh: T,
}

impl<T> Both<T> {
    /// The value in one language.
    pub(crate) fn of(&self, locale: Locale) -> &T {
        match locale {
            Locale::En => &self.en,
            Locale::Zh => &self.zh,
        }
    }
}

/// Fetches the contents.
pub(super) async fn index() -> Result<Index, String> {
    data("./lessons/index.json").await
}

/// Fetches the glossary: words by their ids.
pub(super) async fn glossary() -> Result<BTreeMap<String, Term>, String> {
    data("./lessons/glossary.json").await
}

/// Fetches the texts for the search.
pub(super) async fn texts() -> Result<Texts, String> {
    let of =
        |locale| async move { data(&format!("./lessons/search-{}.json", folder(locale))).await };
    Ok(Both { en: of(Locale::En).await?, zh: of(Locale::Zh).await? })
}

async fn data<T: DeserializeOwned>(path: &str) -> Result<T, String> {
    let text = fetch(path).await?;
    serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
}

/// The folder of a language's lessons.
pub(super) fn folder(locale: Locale) -> &'static str {
    match locale {
        Locale::En => "en",
        Locale::Zh => "zh",
    }
}

/// Fetches a lesson in a language.
pub(super) async fn lesson(locale: Locale, id: &str) -> Result<Lesson, String> {
    // The id is checked, since it comes from the page's address.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '/');
    if !id.chars().all(plain) {
        return Err(format!("'{id}'"));
    }
    let path = format!("./lessons/{}/{id}.md", folder(locale));
    let text = fetch(&path).await?;
    Lesson::parse(&text).map_err(|error| format!("{path}: {error}"))
}

async fn fetch(path: &str) -> Result<String, String> {
    let failed = |_| path.to_owned();
    let response = JsFuture::from(gloo::utils::window().fetch_with_str(path)).await;
    let response: web_sys::Response = response.map_err(failed)?.unchecked_into();
    if !response.ok() {
        return Err(format!("{path}: {}", response.status()));
    }
    let text = JsFuture::from(response.text().map_err(failed)?).await.map_err(failed)?;
    text.as_string().ok_or_else(|| path.to_owned())
}
