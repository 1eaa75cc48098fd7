//! The two builds of the page's program, and the handover from one to the other.
//!
//! The *first* program has what the first view needs, so that a visitor waits for no more. The
//! *whole* program (feature `whole`) is fetched on first use: it has the hosts' shell, scripts,
//! proxies and all that depends on these. Both are built from the same sources. A session is its
//! seed and its actions, so the whole program replays what the first one showed and continues from
//! there: the first passes it a [`Handover`] and unmounts its components.

use limpid_core::sim::{Action, Timed};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::spawn_local;

use crate::i18n::Locale;
use crate::lab::{Lab, Topology};
use crate::page::{Page, Topic};
use crate::prefs::{self, Prefs, Theme};
use crate::questions::{self, Question};
use crate::saved::Saved;
use crate::share::Shared;

/// Whether this is the whole program.
pub(crate) const IS_WHOLE: bool = cfg!(feature = "whole");

/// The property of `window` by which the handover is passed to the program that takes over.
const WAITING: &str = "limpidHandover";

#[wasm_bindgen]
extern "C" {
    /// Fetches and compiles the whole program, once. Defined in `start.js`, which `cargo xtask web`
    /// builds.
    #[wasm_bindgen(js_namespace = limpidWhole, js_name = fetch, catch)]
    async fn fetch_whole() -> Result<JsValue, JsValue>;
    /// Starts the whole program after it was fetched.
    #[wasm_bindgen(js_namespace = limpidWhole, js_name = start)]
    fn start_whole();
}

/// The state that the whole program needs to continue where the first one was.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Handover {
    /// The session and what is open.
    saved: Saved,
    locale: String,
    theme: String,
    /// The question whose card is shown.
    asked: Option<String>,
    /// What to do first: the reason for the handover.
    wish: Option<Wish>,
}

/// Something that only the whole program can do.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
pub(crate) enum Wish {
    /// Open a topology.
    Open(String),
    /// Open a shell on a host.
    Shell(String),
    /// Show the lessons.
    Lessons,
    /// Ask a question of the menu.
    Ask(String),
    /// Open a lesson.
    Lesson(String),
    /// Type a line into a shell of a host.
    TypeIntoShell(String, String),
    /// Open a saved session.
    Saved(Box<Saved>),
    /// Carry out these actions, in the form that they have in a link.
    Act(Vec<String>),
}

impl Wish {
    fn act(page: &Page, actions: Vec<Action>) -> Self {
        let at = limpid_core::time::Mono(page.lab().now());
        Wish::Act(actions.into_iter().map(|action| Timed { at, action }.to_string()).collect())
    }
}

/// Whether an action needs the whole program.
pub(crate) fn needed_for(action: &Action) -> bool {
    if IS_WHOLE {
        return false;
    }
    match action {
        Action::Login { .. } | Action::Keys { .. } => true,
        Action::Type { line, .. } => {
            let first = line.split_ascii_whitespace().next().unwrap_or_default();
            SCRIPTS.iter().any(|name| name.eq_ignore_ascii_case(first))
        }
        _ => false,
    }
}

/// Commands that need the script interpreter.
const SCRIPTS: [&str; 8] =
    ["eval", "eval_ro", "evalsha", "evalsha_ro", "script", "function", "fcall", "fcall_ro"];

/// Whether the address asks to show an attached deployment in place of a World.
pub(crate) fn is_attached() -> bool {
    prefs::parameter("attached").is_some()
}

/// Whether a session needs the whole program.
pub(crate) fn needed_for_session(shared: &Shared) -> bool {
    !IS_WHOLE
        && (shared.topology.needs_whole()
            || shared.actions.iter().any(|timed| needed_for(&timed.action)))
}

/// Carries out actions for which the whole program is needed.
pub(crate) fn act(page: &Page, actions: Vec<Action>) {
    let wish = Wish::act(page, actions);
    change(page, Some(wish));
}

/// Opens a topology for which the whole program is needed.
pub(crate) fn open(page: &Page, topology: Topology) {
    change(page, Some(Wish::Open(topology.name().to_owned())));
}

/// Opens a shell, for which the whole program is needed.
#[cfg(not(feature = "whole"))]
pub(crate) fn open_shell(page: &Page, host: &str) {
    change(page, Some(Wish::Shell(host.to_owned())));
}

/// Opens a saved session for which the whole program is needed.
pub(crate) fn open_saved(page: &Page, saved: &Saved) {
    change(page, Some(Wish::Saved(Box::new(saved.clone()))));
}

/// Types a line into a shell of a host, for which the whole program is needed.
#[cfg(not(feature = "whole"))]
pub(crate) fn type_into_shell(page: &Page, host: &str, line: &str) {
    change(page, Some(Wish::TypeIntoShell(host.to_owned(), line.to_owned())));
}

/// Opens a lesson with the progress that this browser has saved.
pub(crate) fn open_lesson(page: &Page, id: &str) {
    #[cfg(feature = "whole")]
    crate::lesson::resume(page, id);
    #[cfg(not(feature = "whole"))]
    change(page, Some(Wish::Lesson(id.to_owned())));
}

/// Shows the lessons, which only the whole program has.
pub(crate) fn lessons(page: &Page) {
    #[cfg(feature = "whole")]
    crate::lesson::show(page);
    #[cfg(not(feature = "whole"))]
    change(page, Some(Wish::Lessons));
}

/// Shows the page that the browser's history went to, back or forward.
pub(crate) fn on_history_change(page: &Page) {
    #[cfg(feature = "whole")]
    crate::lesson::on_history_change(page);
    #[cfg(not(feature = "whole"))]
    match prefs::parameter("lesson") {
        Some(id) if id == "contents" => lessons(page),
        Some(id) => open_lesson(page, &id),
        None => {}
    }
}

/// Asks a question whose topology only the whole program can open.
pub(crate) fn ask(page: &Page, question: &str) {
    change(page, Some(Wish::Ask(question.to_owned())));
}

/// Switches to the whole program, which shows more details of what is open.
#[cfg(not(feature = "whole"))]
pub(crate) fn go_on(page: &Page) {
    change(page, None);
}

/// Fetches the whole program and hands the session over. If fetching fails, the page says so and
/// stays as it was, and the same action tries again.
fn change(page: &Page, wish: Option<Wish>) {
    let page = page.clone();
    page.toast(page.say(words::LOADING).to_owned());
    spawn_local(async move {
        match fetch_whole().await {
            Ok(_) => {
                page.change(Topic::Open, |view| view.toast = None);
                leave(&Handover::of(&page, wish));
            }
            Err(_) => {
                // Closes the key, so that the list of keys is shown and a key can be opened again.
                page.change(Topic::Open, |view| view.key = None);
                page.toast(page.say(words::FAILED).to_owned());
            }
        }
    });
}

fn leave(handover: &Handover) {
    // Cannot fail: the value consists of text and numbers.
    let text = serde_json::to_string(handover).unwrap_or_default();
    let _ = js_sys::Reflect::set(&gloo::utils::window(), &WAITING.into(), &text.into());
    crate::stop();
    start_whole();
}

/// Starts the whole program if the address needs it; calls `otherwise` if it cannot be fetched.
/// False if the first program suffices.
pub(crate) fn start_instead(otherwise: impl FnOnce() + 'static) -> bool {
    if IS_WHOLE {
        return false;
    }
    let fragment = gloo::utils::window().location().hash().unwrap_or_default();
    let fragment = fragment.trim_start_matches('#');
    let needed = match Shared::decode(fragment) {
        _ if is_attached() => true,
        _ if Shared::lesson_of(fragment).is_some() || prefs::parameter("lesson").is_some() => true,
        Some((shared, _)) => needed_for_session(&shared),
        None => Question::of_address()
            .map(Question::topology)
            .or_else(Topology::of_address)
            .is_some_and(Topology::needs_whole),
    };
    if needed {
        spawn_local(async move {
            match fetch_whole().await {
                Ok(_) => start_whole(),
                Err(_) => otherwise(),
            }
        });
    }
    needed
}

/// The page that the first program handed over, if any.
pub(crate) fn taken_over() -> Option<Page> {
    let window = gloo::utils::window();
    let text = js_sys::Reflect::get(&window, &WAITING.into()).ok()?.as_string()?;
    let _ = js_sys::Reflect::set(&window, &WAITING.into(), &JsValue::UNDEFINED);
    let handover: Handover = serde_json::from_str(&text).ok()?;
    Some(handover.page())
}

impl Handover {
    fn of(page: &Page, wish: Option<Wish>) -> Self {
        let prefs = page.view().prefs;
        Handover {
            saved: Saved::of(page),
            locale: prefs.locale.tag().to_owned(),
            theme: prefs.theme.name().to_owned(),
            asked: page.view().asked.map(|question| question.name.to_owned()),
            wish,
        }
    }

    fn page(self) -> Page {
        let shared = Shared::decode(&self.saved.session).map(|(shared, _)| shared);
        let page = Page::new(match shared {
            Some(shared) => Lab::open_shared(shared),
            None => Lab::fresh(Topology::USUAL),
        });
        page.change(Topic::Prefs, |view| {
            view.prefs = Prefs {
                locale: Locale::from_tag(&self.locale).unwrap_or(view.prefs.locale),
                theme: Theme::from_name(&self.theme).unwrap_or(view.prefs.theme),
            };
            view.asked = self.asked.as_deref().and_then(Question::named);
        });
        self.saved.layout.apply(&page);
        match self.wish {
            None => {}
            Some(Wish::Open(name)) => {
                if let Some(topology) = Topology::named(&name) {
                    page.open(topology);
                }
            }
            Some(Wish::Shell(host)) => crate::terminal::open_shell(&page, &host),
            Some(Wish::Lessons) => lessons(&page),
            Some(Wish::Ask(name)) => {
                if let Some(question) = Question::named(&name) {
                    questions::ask(&page, question);
                }
            }
            Some(Wish::Lesson(id)) => open_lesson(&page, &id),
            Some(Wish::TypeIntoShell(host, line)) => {
                page.as_embedder(|page| crate::terminal::type_into_shell(page, &host, &line));
            }
            Some(Wish::Saved(saved)) => saved.open(&page),
            // The first program has asked what to do with the known future.
            Some(Wish::Act(actions)) => {
                let actions = actions.iter().filter_map(|text| text.parse::<Timed>().ok());
                page.as_embedder(|page| page.act(actions.map(|timed| timed.action).collect()));
            }
        }
        page
    }
}

pub(crate) mod words {
    crate::i18n::texts! {
        LOADING: "Loading the rest of the program…", "正在加载程序的其余部分……";
        FAILED: "The rest of the program could not be loaded. Check the connection and try again; nothing is lost.", "程序的其余部分加载失败。请检查网络后重试，当前会话不受影响。";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_goes_on_where_it_was() {
        let session = "v=1&topology=3&seed=7&at=1500000000ns&do=1.2s+crash+redis-2";
        let saved = format!("{{\"limpid\":\"session\",\"version\":1,\"session\":\"{session}\"}}");
        let handover = Handover {
            saved: Saved::read(&saved).expect("a session"),
            locale: "zh-CN".to_owned(),
            theme: "dark".to_owned(),
            asked: Some("clock-jumps".to_owned()),
            wish: Some(Wish::Shell("redis-1".to_owned())),
        };
        let text = serde_json::to_string(&handover).expect("text");
        assert_eq!(serde_json::from_str::<Handover>(&text).expect("a handover"), handover);
    }
}
