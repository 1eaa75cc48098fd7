//! The progress in lessons in the browser's storage: steps that are done, and the session.

use std::collections::BTreeMap;

use limpid_core::lesson::{Lesson, Progress};
use serde::{Deserialize, Serialize};

use crate::saved::Place;
use crate::storage;

/// The key of the entry in the browser's storage.
const KEY: &str = "limpid-lessons";

/// The saved progress of all lessons, by their ids.
type All = BTreeMap<String, Kept>;

/// The saved progress of a lesson.
#[derive(Serialize, Deserialize, Clone)]
pub(super) struct Kept {
    /// The ids of its steps when it was saved.
    steps: Vec<String>,
    /// Whether the lesson was completed once. Stays true when it is restarted.
    pub complete: bool,
    progress: Progress,
    /// The session, in the form of a link's fragment.
    pub session: String,
}

impl Kept {
    /// The saved progress of a lesson.
    pub(super) fn of(id: &str) -> Option<Kept> {
        all().remove(id).filter(|kept| !kept.session.is_empty())
    }

    /// Whether a lesson was completed once.
    pub(super) fn was_completed(id: &str) -> bool {
        all().get(id).is_some_and(|kept| kept.complete)
    }

    /// The progress, if the steps that were done are still the first ones of the lesson.
    pub(super) fn progress_of(&self, lesson: &Lesson) -> Option<Progress> {
        let done = self.progress.done();
        let same = self.steps.iter().zip(&lesson.steps).take(done + 1).all(|(a, b)| *a == b.id);
        same.then(|| self.progress.clone())
    }

    pub(super) fn keep(id: &str, lesson: &Lesson, progress: &Progress, session: String) {
        let mut all = all();
        let complete =
            progress.is_complete(lesson) || all.get(id).is_some_and(|kept| kept.complete);
        let steps = lesson.steps.iter().map(|step| step.id.clone()).collect();
        all.insert(id.to_owned(), Kept { steps, complete, progress: progress.clone(), session });
        // Without storage in the browser, progress is lost.
        write(&all);
    }

    /// Takes over the progress of a saved session.
    pub(super) fn take(place: Place, session: String) {
        let Ok(progress) = serde_json::from_str(&place.progress) else { return };
        let mut all = all();
        let complete = all.get(&place.id).is_some_and(|kept| kept.complete);
        all.insert(place.id, Kept { steps: place.steps, complete, progress, session });
        write(&all);
    }

    /// Forgets the progress in a lesson, but not that it was completed.
    pub(super) fn forget(id: &str) {
        let mut all = all();
        if let Some(kept) = all.get_mut(id) {
            kept.session.clear();
            kept.progress = Progress::default();
            write(&all);
        }
    }
}

/// All progress as text.
pub(super) fn export() -> String {
    serde_json::to_string(&all()).unwrap_or_default()
}

/// Takes over the text of [`export`]; false if it is something else.
pub(super) fn import(text: &str) -> bool {
    let Ok(imported) = serde_json::from_str::<All>(text) else { return false };
    let mut all = all();
    all.extend(imported);
    write(&all)
}

fn all() -> All {
    storage::get(KEY).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn write(all: &All) -> bool {
    serde_json::to_string(all).is_ok_and(|text| storage::set(KEY, &text))
}
