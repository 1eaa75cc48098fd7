//! A session as a file: the content of a link, the progress in a lesson, and what is open on the
//! page.
//!
//! The file is JSON. An embedding page gets the same text by `getState`, and the first program
//! hands it over to the whole one.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::figures::Speed;
use crate::inspector::Tab;
use crate::kinds::KINDS;
use crate::lab::Lab;
use crate::page::{Page, Pane, Side, Topic};
use crate::share::Shared;
use crate::terminal::tabs::Terminals;
use crate::whole;

/// The value of the field `limpid`, by which such a file is recognized.
const KIND: &str = "session";
/// The version of the format. New fields need no new version, since unknown ones are ignored.
const VERSION: u32 = 1;

/// A session with everything around it.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Saved {
    limpid: String,
    version: u32,
    /// Seed, actions and moment, as the fragment of a link.
    pub session: String,
    /// The progress in a lesson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lesson: Option<Place>,
    /// What is open.
    #[serde(default)]
    pub layout: Arrangement,
}

/// The progress in a lesson.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Place {
    /// `chapter/lesson`.
    pub id: String,
    /// The ids of its steps when the file was written.
    pub steps: Vec<String>,
    /// The steps that are done, and when: `limpid_core::lesson::Progress` as JSON.
    pub progress: String,
}

/// What is open on the page.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
#[serde(default)]
pub(crate) struct Arrangement {
    playing: bool,
    /// Virtual nanoseconds in a second.
    speed: u64,
    /// The pane of a narrow window.
    pane: String,
    /// What the side panel shows: `ledger`, `lesson`, or nothing.
    side: String,
    /// The body that is inspected, and the tab.
    inspected: Option<(String, String)>,
    /// The key that is open, with its database.
    key: Option<(usize, Vec<u8>)>,
    /// Names of bodies.
    selected: Vec<String>,
    /// Whether the table is shown in place of the map.
    table: bool,
    /// The open terminals in their order, by process; `None` for all that exist.
    terminals: Option<Vec<String>>,
    front: usize,
    beside: Option<usize>,
    text_size: u8,
}

impl Default for Arrangement {
    fn default() -> Self {
        Arrangement {
            playing: true,
            speed: 0,
            pane: String::new(),
            side: String::new(),
            inspected: None,
            key: None,
            selected: Vec::new(),
            table: false,
            terminals: None,
            front: 0,
            beside: None,
            text_size: Terminals::TEXT_SIZE,
        }
    }
}

/// Why a file cannot be opened.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Unreadable {
    /// It is no session of Limpid.
    Other,
    /// A later version of the page made it.
    Later(u32),
}

impl Saved {
    /// Captures the session that the page shows.
    pub(crate) fn of(page: &Page) -> Self {
        Saved {
            limpid: KIND.to_owned(),
            version: VERSION,
            session: page.lab().shared_exactly().encode(),
            lesson: place(page),
            layout: Arrangement::of(page),
        }
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        // Cannot fail: the value consists of text and numbers.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses the text of a file.
    pub(crate) fn read(text: &str) -> Result<Self, Unreadable> {
        let saved: Saved = serde_json::from_str(text).map_err(|_| Unreadable::Other)?;
        match (saved.limpid.as_str(), saved.version) {
            (KIND, VERSION) => Ok(saved),
            (KIND, later) => Err(Unreadable::Later(later)),
            _ => Err(Unreadable::Other),
        }
    }

    /// Shows the session on the page. A lesson is fetched first.
    pub(crate) fn open(self, page: &Page) {
        if Shared::lesson_of(&self.session).is_some() {
            return open_lesson(self, page);
        }
        let Some((shared, trouble)) = Shared::decode(&self.session) else {
            return page.warn_of(Some(&crate::share::Trouble::Broken));
        };
        if whole::needed_for_session(&shared) {
            return whole::open_saved(page, &self);
        }
        #[cfg(feature = "whole")]
        crate::lesson::leave(page, shared.topology, "topology", shared.topology.name());
        page.open_lab(match trouble {
            None => Lab::open_shared(shared),
            Some(_) => Lab::fresh(shared.topology),
        });
        self.layout.apply(page);
        page.warn_of(trouble.as_ref());
    }
}

#[cfg(feature = "whole")]
fn place(page: &Page) -> Option<Place> {
    crate::lesson::place(page)
}

/// The first program has no lessons.
#[cfg(not(feature = "whole"))]
fn place(_: &Page) -> Option<Place> {
    None
}

#[cfg(feature = "whole")]
fn open_lesson(saved: Saved, page: &Page) {
    crate::lesson::open_saved(page, saved);
}

#[cfg(not(feature = "whole"))]
fn open_lesson(saved: Saved, page: &Page) {
    whole::open_saved(page, &saved);
}

impl Arrangement {
    fn of(page: &Page) -> Self {
        let (view, terminals) = (page.view(), page.terminals());
        let name = |body| view.scene.name(body).to_owned();
        let tab = view.tab.map_or_else(String::new, |tab| tab.id.to_owned());
        let side = match view.side {
            Side::Ledger => "ledger",
            Side::Lesson => "lesson",
            Side::Node(_) | Side::Closed => "",
        };
        Arrangement {
            playing: view.playing,
            speed: u64::try_from(view.speed.a_second().as_nanos()).unwrap_or_default(),
            pane: view.pane.name().to_owned(),
            side: side.to_owned(),
            inspected: view.inspected().map(|body| (name(body), tab)),
            key: view.key.clone(),
            selected: view.selected.iter().map(|&body| name(body)).collect(),
            table: view.table,
            terminals: Some(terminals.tabs.iter().map(|tab| tab.process.clone()).collect()),
            front: terminals.front,
            beside: terminals.beside,
            text_size: terminals.text_size,
        }
    }

    /// Opens the same things on a page with the same session. What the session does not have is
    /// skipped.
    pub(crate) fn apply(&self, page: &Page) {
        let body = |name: &str| page.view().scene.named(name).map(|body| body.id);
        let selected: Vec<_> = self.selected.iter().filter_map(|name| body(name)).collect();
        let inspected = self.inspected.as_ref();
        let side = match (inspected.and_then(|(name, _)| body(name)), self.side.as_str()) {
            (Some(body), _) => Side::Node(body),
            (None, "ledger") => Side::Ledger,
            (None, "lesson") if whole::IS_WHOLE => Side::Lesson,
            (None, _) => Side::Closed,
        };
        let tab = inspected.and_then(|(_, tab)| tab_of(tab));
        page.change_terminals(|terminals| {
            if let Some(processes) = &self.terminals {
                terminals.keep(processes);
            }
            terminals.front = self.front.min(terminals.tabs.len().saturating_sub(1));
            terminals.beside = self.beside.filter(|&index| index < terminals.tabs.len());
            terminals.set_text_size(self.text_size);
        });
        page.change(Topic::Open, |view| {
            view.playing = self.playing;
            if self.speed > 0 {
                view.speed = Speed::nearest(Duration::from_nanos(self.speed));
            }
            view.pane = Pane::named(&self.pane).unwrap_or(view.pane);
            view.selected = selected.into_iter().collect();
            view.side = side;
            view.tab = tab.or(view.tab);
            view.key = self.key.clone();
            view.table = self.table;
            view.touched = true;
        });
        page.notify(Topic::Scene);
        page.notify(Topic::Time);
        page.notify(Topic::Panels);
    }
}

fn tab_of(id: &str) -> Option<&'static Tab> {
    KINDS.iter().flat_map(|kind| kind.tabs).copied().find(|tab| tab.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_version_is_read_and_what_is_no_session_is_refused() {
        // A file of the first version. Never change it: people have such files.
        let file = r#"{"limpid":"session","version":1,
            "session":"v=1&core=0.1.0&topology=3&seed=7&at=1500000000ns&do=1.2s+crash+redis-2",
            "lesson":{"id":"server/first-server","steps":["start"],"progress":"{\"begun\":[]}"},
            "layout":{"playing":false,"speed":20000000,"pane":"map","side":"ledger",
                "inspected":null,"selected":["redis-1"],"table":false,
                "terminals":["cli-redis-1"],"front":0,"beside":null,"text_size":13}}"#;
        let saved = Saved::read(file).expect("a session");
        assert_eq!(saved.layout.selected, ["redis-1"]);
        assert_eq!(Saved::read(&saved.text()), Ok(saved.clone()));
        let (_, trouble) = Shared::decode(&saved.session).expect("a link");
        assert_eq!(trouble, None);

        let bare = r#"{"limpid":"session","version":1,"session":"v=1&topology=3"}"#;
        assert_eq!(Saved::read(bare).expect("a session").layout, Arrangement::default());
        let later = file.replace("\"version\":1", "\"version\":2");
        assert_eq!(Saved::read(&later), Err(Unreadable::Later(2)));
        for other in ["", "[]", "{\"limpid\":\"lesson\",\"version\":1,\"session\":\"\"}"] {
            assert_eq!(Saved::read(other), Err(Unreadable::Other), "{other}");
        }
    }
}
