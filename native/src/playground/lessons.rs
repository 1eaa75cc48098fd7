//! `--lessons`: serves a teacher's own lessons. The files of a folder are read for each request, so
//! that an open page can show what has just been saved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Path as Wanted, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use limpid_core::lesson::Lesson;
use serde_json::{Value, json};

/// How often the folder is checked while a page waits for a change.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// How long a request for changes is held before it is answered anyway, and the page asks again.
const LONG_POLL: Duration = Duration::from_secs(25);
/// The most folders between the root and a lesson.
const MAX_DEPTH: usize = 4;

/// Answers requests below `lessons/`.
pub(super) fn router(folder: PathBuf) -> Router {
    Router::new()
        .route("/lessons/index.json", get(index))
        .route("/lessons/changed", get(changed))
        .route("/lessons/reload.js", get(async || ([(CONTENT_TYPE, "text/javascript")], RELOAD)))
        .route("/lessons/{language}/{*lesson}", get(lesson))
        .with_state(folder)
}

/// Adds the script to a page that reloads it when a lesson has changed.
pub(super) fn with_reload(html: &str) -> String {
    html.replacen("</head>", "<script src=\"./lessons/reload.js\"></script></head>", 1)
}

/// The script that reloads the page. The browser keeps the place in a lesson, so nothing is lost.
const RELOAD: &str = "
(async () => {
  let since = null;
  for (;;) {
    try {
      const query = since === null ? '' : `?since=${since}`;
      const state = await (await fetch(`./lessons/changed${query}`)).text();
      if (since !== null && state !== since) return location.reload();
      since = state;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
})();
";

/// The contents: each folder is a chapter, in the order of the names.
async fn index(State(folder): State<PathBuf>) -> Response {
    let mut chapters: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (id, files) in lessons(&folder) {
        let (chapter, name) = id.rsplit_once('/').unwrap_or(("", &id));
        let read = |language: &str| {
            let file = files.get(language).or(files.values().next())?;
            let text = std::fs::read_to_string(file).ok()?;
            Some(match Lesson::parse(&text) {
                Ok(lesson) => (lesson.title, lesson.goal, lesson.minutes, lesson.builds_on),
                // A lesson with an error is listed with that error.
                Err(error) => (name.to_owned(), error.to_string(), 0, Vec::new()),
            })
        };
        let (Some(en), Some(zh)) = (read("en"), read("zh")) else { continue };
        chapters.entry(chapter.to_owned()).or_default().push(json!({
            "id": id,
            "minutes": en.2,
            "after": en.3,
            "title": { "en": en.0, "zh": zh.0 },
            "goal": { "en": en.1, "zh": zh.1 },
        }));
    }
    let chapters: Vec<Value> = chapters
        .into_iter()
        .map(|(name, lessons)| json!({ "title": { "en": name, "zh": name }, "lessons": lessons }))
        .collect();
    fresh("application/json", json!({ "chapters": chapters }).to_string())
}

/// A lesson in the requested language, or in the one that it exists in.
async fn lesson(
    State(folder): State<PathBuf>,
    Wanted((language, name)): Wanted<(String, String)>,
) -> Response {
    let found = name.strip_suffix(".md").and_then(|id| lessons(&folder).remove(id));
    let file = found.and_then(|mut files| {
        let own = files.remove(&language);
        own.or_else(|| files.into_values().next())
    });
    match file.and_then(|file| std::fs::read_to_string(file).ok()) {
        Some(text) => fresh("text/markdown; charset=utf-8", text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A number that changes with the files. With `since`, the answer waits until it differs from that.
async fn changed(
    State(folder): State<PathBuf>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let since = query.get("since");
    let end = tokio::time::Instant::now() + LONG_POLL;
    loop {
        let state = state(&folder).to_string();
        if since != Some(&state) || tokio::time::Instant::now() >= end {
            return fresh("text/plain", state);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The files of all lessons: by id (`chapter/lesson`), and by language. A lesson in no folder of a
/// language is in all of them.
fn lessons(folder: &Path) -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let mut found: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for file in files(folder) {
        let Ok(path) = file.strip_prefix(folder) else { continue };
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let (language, parts) = match parts.first().map(String::as_str) {
            Some(language @ ("en" | "zh")) if parts.len() > 1 => (language, &parts[1..]),
            _ => ("", &parts[..]),
        };
        let id = parts.join("/");
        let Some(id) = id.strip_suffix(".md") else { continue };
        // Only characters that are allowed in addresses of lessons.
        if id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '/')) {
            found.entry(id.to_owned()).or_default().insert(language.to_owned(), file.clone());
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && depth < MAX_DEPTH {
                open.push((path, depth + 1));
            } else if path.extension().is_some_and(|end| end == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A hash of the names, lengths and modification times of the files.
fn state(folder: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for file in files(folder) {
        let about = file.metadata().ok();
        let time = about.as_ref().and_then(|about| about.modified().ok());
        let length = about.map(|about| about.len());
        (file, time.unwrap_or(SystemTime::UNIX_EPOCH), length).hash(&mut hasher);
    }
    hasher.finish()
}

fn fresh(kind: &'static str, text: String) -> Response {
    let headers: [(HeaderName, &str); 2] = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lessons_are_found_by_chapter_and_language_and_a_change_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            std::fs::write(file, text).expect("written");
        };
        write("mine/first.md", "one");
        write("en/other/second.md", "two");
        write("zh/other/second.md", "二");
        write("notes.txt", "no lesson");
        let found = lessons(folder.path());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["mine/first", "other/second"]);
        assert_eq!(found["other/second"].keys().collect::<Vec<_>>(), ["en", "zh"]);

        let before = state(folder.path());
        assert_eq!(state(folder.path()), before);
        write("mine/first.md", "one and more");
        assert_ne!(state(folder.path()), before);
    }

    #[test]
    fn a_page_loads_the_script_before_its_head_ends() {
        let page = with_reload("<html><head><title>x</title></head><body></body></html>");
        assert!(page.contains("reload.js\"></script></head>"), "{page}");
    }
}
