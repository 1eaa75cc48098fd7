//! Lessons in the page: the contents, the present step, and progress.
//!
//! What a lesson is and when a step is done is decided in `limpid_core::lesson`. Here are the
//! fetching of files (`source`), saved progress (`store`), the open lesson in the address and the
//! history (`address`), the panel (`panel`), the contents with their search (`contents`, `search`),
//! the glossary (`glossary`), the summary of a chapter for printing (`summary`), how to try a
//! lesson with real processes (`natively`), the drawing of texts (`text`), and the conditions of a
//! step (`waits`).

mod address;
mod beside;
mod contents;
mod glossary;
mod natively;
mod panel;
mod search;
mod source;
mod store;
mod summary;
mod text;
mod waits;

use std::rc::Rc;

use limpid_core::lesson::{Answer, Lesson, Progress};
use wasm_bindgen_futures::spawn_local;

use crate::embed::LessonStatus;
use crate::i18n::{Locale, common};
use crate::lab::{Lab, Topology};
use crate::page::{Page, Side, Topic};
use crate::saved::{Arrangement, Place, Saved};
use crate::share::Shared;

use address::Asked;
use glossary::Glossary;
pub(crate) use panel::lesson_panel;
use source::Index;
use summary::Summary;

/// The state of the lessons' panel.
#[derive(Default)]
pub(crate) struct Study {
    /// The contents; `None` until they are fetched.
    index: Option<Rc<Index>>,
    /// The message about something that could not be fetched or read.
    trouble: Option<String>,
    /// The lesson that is open.
    open: Option<Open>,
    /// What to open together with the lesson that is being fetched.
    layout: Option<Arrangement>,
    /// What the panel shows while no lesson is open.
    overview: Overview,
    /// The glossary; `None` until it is fetched.
    glossary: Option<Rc<Glossary>>,
    /// The word whose meaning is shown.
    term: Option<String>,
    /// The texts that the search uses; `None` until they are fetched.
    texts: Option<Rc<source::Texts>>,
    /// The text of the search field.
    sought: String,
    /// The scroll position of the contents when they were last shown, in pixels.
    scrolled: i32,
    /// The number of the last request for a lesson, counted up when one is left, too: of several
    /// that are being fetched, only the last one is shown.
    turn: u64,
}

/// What the panel shows while no lesson is open.
#[derive(Default)]
enum Overview {
    /// All lessons.
    #[default]
    Contents,
    /// The glossary.
    Glossary,
    /// A chapter's summary.
    Summary(Rc<Summary>),
}

impl Overview {
    fn title(&self, locale: Locale) -> String {
        match self {
            Overview::Contents => locale.say(common::LESSONS).to_owned(),
            Overview::Glossary => locale.say(words::GLOSSARY).to_owned(),
            Overview::Summary(summary) => summary.title().to_owned(),
        }
    }
}

impl Study {
    /// The progress in the open lesson.
    pub(crate) fn lesson_status(&self) -> Option<LessonStatus> {
        let open = self.open.as_ref()?;
        let waits = open.lesson.steps.iter().filter(|step| !step.open);
        let steps: Vec<String> = waits.map(|step| step.id.clone()).collect();
        Some(LessonStatus {
            id: open.id.clone(),
            title: open.lesson.title.clone(),
            done: open.progress.done().min(steps.len()),
            steps,
            complete: open.progress.is_complete(&open.lesson),
        })
    }
}

/// A lesson that is open.
struct Open {
    /// `chapter/lesson`.
    id: String,
    locale: Locale,
    lesson: Rc<Lesson>,
    progress: Progress,
    /// The step that is expanded.
    shown: usize,
    /// How many of its hints are shown.
    hints: usize,
    /// Whether its solution is shown.
    solution: bool,
    /// The number of the session's actions when progress was last saved.
    kept: usize,
}

/// Opens the lesson or contents that the address names, if any.
pub(crate) fn begin(page: &Page) {
    let fragment = gloo::utils::window().location().hash().unwrap_or_default();
    let fragment = fragment.trim_start_matches('#').to_owned();
    if let Some(id) = Shared::lesson_of(&fragment) {
        return open(page, &id, Some(fragment), Entry::Same);
    }
    match Asked::of_address() {
        Some(Asked::Contents) => show(page),
        Some(Asked::Lesson(id)) => open(page, &id, kept(&id), Entry::Same),
        None => {}
    }
}

/// Whether opening a lesson adds an entry to the browser's history.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// It adds one.
    New,
    /// The address names the lesson already.
    Same,
}

/// Shows what the browser's history went to, back or forward.
pub(crate) fn on_history_change(page: &Page) {
    address::on_history_change(page);
}

/// Shows the panel, and fetches the contents if they are not loaded.
pub(crate) fn show(page: &Page) {
    page.show_side(Side::Lesson);
    if page.view().study.index.is_some() {
        return;
    }
    let page = page.clone();
    spawn_local(async move {
        let index = source::index().await;
        page.change(Topic::Open, |view| match index {
            Ok(index) => view.study.index = Some(Rc::new(index)),
            Err(trouble) => view.study.trouble = Some(trouble),
        });
    });
}

/// Opens a lesson with the progress that this browser has saved, or at its beginning.
pub(crate) fn resume(page: &Page, id: &str) {
    open(page, id, kept(id), Entry::New);
}

/// The saved session of a lesson.
fn kept(id: &str) -> Option<String> {
    store::Kept::of(id).map(|kept| kept.session)
}

/// Opens a lesson, with a session of it.
fn open(page: &Page, id: &str, session: Option<String>, entry: Entry) {
    show(page);
    let turn = next_turn(page);
    let (page, id, locale) = (page.clone(), id.to_owned(), page.locale());
    spawn_local(async move {
        let lesson = source::lesson(locale, &id).await;
        if page.view().study.turn != turn {
            return;
        }
        let lesson = match lesson {
            Ok(lesson) => Rc::new(lesson),
            Err(trouble) => {
                page.change(Topic::Open, |view| view.study.trouble = Some(trouble));
                return;
            }
        };
        let topology = Topology::of_lesson(&id, &lesson);
        let shared = session.and_then(|text| Shared::decode(&text));
        let (lab, trouble) = match shared {
            Some((shared, None)) if shared.topology == topology => (Lab::open_shared(shared), None),
            Some((_, trouble)) => (Lab::fresh(topology), trouble),
            None => (Lab::fresh(topology), None),
        };
        if entry == Entry::New {
            address::keep_sandbox(&page);
            address::enter(&page, &id);
        }
        page.open_lab(lab);
        page.warn_of(trouble.as_ref());
        let kept = store::Kept::of(&id).and_then(|kept| kept.progress_of(&lesson));
        page.change(Topic::Open, |view| {
            let progress = kept.unwrap_or_default();
            let shown = progress.done();
            view.study.trouble = None;
            view.study.open = Some(Open {
                id,
                locale,
                lesson,
                progress,
                shown,
                hints: 0,
                solution: false,
                kept: 0,
            });
        });
        page.show_side(Side::Lesson);
        let layout = page.change(Topic::Open, |view| view.study.layout.take());
        if let Some(layout) = layout {
            layout.apply(&page);
        }
        update_progress(&page);
    });
}

/// Counts a request for a lesson, or that one is left.
fn next_turn(page: &Page) -> u64 {
    page.change(Topic::Open, |view| {
        view.study.turn += 1;
        view.study.turn
    })
}

/// Shows the contents.
fn contents(page: &Page) {
    if page.view().study.open.is_some() {
        address::enter(page, "contents");
    }
    next_turn(page);
    page.change(Topic::Open, |view| {
        view.study.open = None;
        view.study.term = None;
        view.study.overview = Overview::Contents;
    });
    show(page);
}

/// The progress in the open lesson, for a saved session.
pub(crate) fn place(page: &Page) -> Option<Place> {
    let view = page.view();
    let open = view.study.open.as_ref()?;
    Some(Place {
        id: open.id.clone(),
        steps: open.lesson.steps.iter().map(|step| step.id.clone()).collect(),
        progress: serde_json::to_string(&open.progress).unwrap_or_default(),
    })
}

/// Opens a saved session of a lesson, with its progress.
pub(crate) fn open_saved(page: &Page, saved: Saved) {
    let Some(id) = Shared::lesson_of(&saved.session) else { return };
    if let Some(place) = saved.lesson.filter(|place| place.id == id) {
        store::Kept::take(place, saved.session.clone());
    }
    page.change(Topic::Open, |view| view.study.layout = Some(saved.layout));
    open(page, &id, Some(saved.session), Entry::New);
}

/// Closes the lesson because another World is opened. `parameter` and `value` name that in the
/// address.
pub(crate) fn leave(page: &Page, topology: Topology, parameter: &str, value: &str) {
    let plays_in = {
        let view = page.view();
        let open = view.study.open.as_ref();
        open.is_some_and(|open| {
            topology.name().strip_prefix(Topology::OF_LESSON) == Some(&*open.id)
        })
    };
    if !plays_in {
        close(page);
        address::leave(page, topology, parameter, value);
    }
}

/// Closes the lesson.
fn close(page: &Page) {
    next_turn(page);
    page.change(Topic::Open, |view| view.study.open = None);
}

/// Restarts a lesson.
fn restart(page: &Page) {
    let id = page.view().study.open.as_ref().map(|open| open.id.clone());
    if let Some(id) = id {
        store::Kept::forget(&id);
        open(page, &id, None, Entry::New);
    }
}

/// Loads the same lesson in the page's present language.
fn translate(page: &Page) {
    let (page, locale) = (page.clone(), page.locale());
    let id = match &page.view().study.open {
        Some(open) if open.locale != locale => open.id.clone(),
        _ => return,
    };
    spawn_local(async move {
        let Ok(lesson) = source::lesson(locale, &id).await else { return };
        Topology::of_lesson(&id, &lesson);
        page.change(Topic::Open, |view| {
            if let Some(open) = view.study.open.as_mut().filter(|open| open.id == id) {
                (open.lesson, open.locale) = (Rc::new(lesson), locale);
            }
        });
    });
}

/// Checks whether a step was done, or undone by a rewind.
pub(crate) fn update_progress(page: &Page) {
    let changed = {
        let (mut view, lab) = (page.view_mut(), page.lab());
        let Some(open) = &mut view.study.open else { return };
        let before = open.progress.met(open.progress.done());
        let changed = open.progress.look(&open.lesson, lab.world());
        if changed {
            (open.shown, open.hints, open.solution) = (open.progress.done(), 0, false);
        }
        // A reload continues at the last action.
        if changed || open.kept != lab.actions() {
            open.kept = lab.actions();
            store::Kept::keep(&open.id, &open.lesson, &open.progress, lab.shared().encode());
        }
        changed || open.progress.met(open.progress.done()) != before
    };
    if changed {
        page.notify(Topic::Open);
    }
}

/// Chooses an answer to the question of the present step.
fn answer(page: &Page, step: usize, answer: usize) {
    let now = page.lab().world().now();
    page.change(Topic::Open, |view| {
        if let Some(open) = &mut view.study.open {
            open.progress.answer(step, Answer(answer), now);
        }
    });
    update_progress(page);
}

mod words {
    crate::i18n::texts! {
        GLOSSARY: "Glossary", "术语表";
    }
}
