//! The page embedded in another one: parameters of its address, and functions for the other page.
//!
//! `static/bridge.js` carries the messages between the two (`docs/embedding.md` describes them). It
//! calls the functions here, and the event `limpid-change` tells it that the status may have
//! changed. Another page only passes text and numbers, and changes nothing but the World.

use core::time::Duration;

use limpid_core::sim::{Action, ActionError, Timed};
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::event_lines::{LineKind, refusal};
use crate::figures::Speed;
use crate::i18n::{Locale, common};
use crate::lab::Topology;
use crate::page::{Page, Pane, Topic};
use crate::prefs::{Theme, parameter};
use crate::saved::{Saved, Unreadable};
use crate::terminal::{self, tabs::Tab};
use crate::whole;

/// The parameters of the address that serve an embedding page.
#[derive(Default)]
pub(crate) struct Embedding {
    /// Whether this page is inside another one.
    framed: bool,
    controls: Controls,
    /// The panes that are shown; `None` for all.
    panes: Option<Vec<Shown>>,
    /// Whether the person may only look.
    pub read_only: bool,
    /// Whether time runs from the start; `None` for the default.
    autoplay: Option<bool>,
    speed: Option<Speed>,
    /// The moment at which to start, in nanoseconds.
    at: Option<u64>,
    /// Whether the page is scrolled out of view, so that the World is paused.
    pub asleep: bool,
    /// Whether the action at hand comes from the embedding page.
    pub by_embedder: bool,
}

/// Which controls are shown.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Controls {
    /// Everything.
    #[default]
    Full,
    /// The time bar.
    Min,
    /// Nothing.
    None,
}

/// A part of the page that can be left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Map,
    Terminal,
    Log,
    /// The side panel: lessons, inspector, ledger.
    Side,
}

/// The farthest moment to which the World is run at once, whatever the address says.
const FURTHEST: Duration = Duration::from_secs(600);

impl Embedding {
    /// Reads the address.
    pub(crate) fn of_address() -> Self {
        let window = gloo::utils::window();
        let framed = window.parent().ok().flatten().is_some_and(|parent| parent != window);
        let is = |name: &str| {
            let value = parameter(name)?;
            Some(!matches!(value.as_str(), "0" | "false" | "no"))
        };
        let panes =
            parameter("panes").map(|names| names.split(',').filter_map(Shown::named).collect());
        Embedding {
            framed,
            controls: match parameter("controls").as_deref() {
                Some("min") => Controls::Min,
                Some("none") => Controls::None,
                _ => Controls::Full,
            },
            panes: panes.filter(|panes: &Vec<Shown>| !panes.is_empty()),
            read_only: is("readonly").unwrap_or_default(),
            autoplay: is("autoplay"),
            speed: parameter("speed").and_then(|text| moment(&text).ok()).map(Speed::nearest),
            at: parameter("at").and_then(|text| moment(&text).ok()).map(nanos),
            ..Embedding::default()
        }
    }

    /// Whether this page is inside another one.
    #[cfg(feature = "whole")]
    pub(crate) fn is_framed(&self) -> bool {
        self.framed
    }

    /// The initial speed of a session.
    pub(crate) fn speed(&self, usual: Speed) -> Speed {
        self.speed.unwrap_or(usual)
    }

    /// Whether time runs when a session is opened.
    pub(crate) fn plays(&self) -> bool {
        self.autoplay.unwrap_or(true)
    }

    /// Whether a pane of a narrow window is shown.
    pub(crate) fn shows(&self, pane: Pane) -> bool {
        let shown = match pane {
            Pane::Map => Shown::Map,
            Pane::Terminal => Shown::Terminal,
            Pane::Events => Shown::Log,
            Pane::Inspector => Shown::Side,
        };
        self.panes.as_ref().is_none_or(|panes| panes.contains(&shown))
    }

    /// The pane that a narrow window shows first.
    pub(crate) fn first_pane(&self) -> Pane {
        let all = [Pane::Map, Pane::Terminal, Pane::Events, Pane::Inspector];
        all.into_iter().find(|&pane| self.shows(pane)).unwrap_or(Pane::Map)
    }

    /// Classes for the styles.
    pub(crate) fn classes(&self) -> Vec<&'static str> {
        let mut classes = Vec::new();
        let without = [
            (Pane::Map, "no-map"),
            (Pane::Terminal, "no-terminal"),
            (Pane::Events, "no-log"),
            (Pane::Inspector, "no-side"),
        ];
        classes.extend(without.iter().filter(|(pane, _)| !self.shows(*pane)).map(|(_, name)| name));
        if classes.len() == 3 {
            classes.push("one-pane");
        }
        match self.controls {
            Controls::Full => {}
            Controls::Min => classes.push("no-top"),
            Controls::None => classes.extend(["no-top", "no-time"]),
        }
        if self.read_only {
            classes.push("read-only");
        }
        classes
    }
}

impl Shown {
    fn named(name: &str) -> Option<Self> {
        match name.trim() {
            "map" => Some(Shown::Map),
            "terminal" => Some(Shown::Terminal),
            "log" => Some(Shown::Log),
            "lesson" | "side" => Some(Shown::Side),
            _ => None,
        }
    }
}

/// Applies the parameters to the session that the page starts with.
pub(crate) fn begin(page: &Page) {
    let (at, autoplay) = {
        let view = page.view();
        (view.embedding.at, view.embedding.autoplay)
    };
    if let Some(at) = at {
        page.seek(at);
    }
    if let Some(plays) = autoplay {
        page.play(plays);
    }
}

/// Notifies the embedding page that the status may have changed.
pub(crate) fn notify(page: &Page) {
    if page.view().embedding.framed
        && let Ok(event) = web_sys::Event::new("limpid-change")
    {
        let _ = gloo::utils::window().dispatch_event(&event);
    }
}

/// The state of the page that an embedding page gets.
#[derive(Serialize)]
struct Status {
    scenario: &'static str,
    /// The present moment, and the end of the known future, in milliseconds.
    now: f64,
    end: f64,
    playing: bool,
    /// Virtual milliseconds in a second.
    speed: f64,
    locale: &'static str,
    core: &'static str,
    lesson: Option<LessonStatus>,
}

/// The reader's progress in a lesson.
#[derive(Serialize)]
pub(crate) struct LessonStatus {
    /// `chapter/lesson`.
    pub id: String,
    /// Its title, in the language of the page.
    pub title: String,
    /// The ids of the steps that have conditions.
    pub steps: Vec<String>,
    /// How many of them are done.
    pub done: usize,
    /// Whether all of them are done.
    pub complete: bool,
}

/// An event, as an embedding page gets it.
#[derive(Serialize)]
struct Happened {
    /// Its time, in milliseconds.
    at: f64,
    kind: &'static str,
    text: String,
}

/// A command whose answer the embedding page waits for.
#[derive(Serialize)]
struct Asked {
    process: String,
    line: String,
    /// The length of the terminal's text before the command.
    length: f64,
}

/// The state of the page, as JSON.
#[wasm_bindgen]
pub fn limpid_status() -> String {
    let Some(page) = crate::running() else { return "null".to_owned() };
    let (lab, view) = (page.lab(), page.view());
    let status = Status {
        scenario: lab.topology().name(),
        now: millis(lab.now()),
        end: millis(lab.end()),
        playing: view.playing,
        speed: view.speed.a_second().as_secs_f64() * 1e3,
        locale: view.prefs.locale.tag(),
        core: crate::share::CORE,
        lesson: lesson_status(&view),
    };
    json(&status)
}

/// The events after a moment, given in milliseconds, as JSON.
#[wasm_bindgen]
pub fn limpid_events(after: f64) -> String {
    let Some(page) = crate::running() else { return "[]".to_owned() };
    let lines = page.lab().event_lines(page.locale());
    let told = lines.into_iter().filter(|line| millis(line.at) > after);
    let told = told.filter(|line| line.kind != LineKind::Log || line.is_warning);
    let events: Vec<Happened> = told
        .map(|line| Happened {
            at: millis(line.at),
            kind: match line.kind {
                LineKind::Fault => "fault",
                LineKind::News => "news",
                LineKind::Command => "command",
                LineKind::Log => "log",
            },
            text: line.text,
        })
        .collect();
    json(&events)
}

/// Starts or pauses time.
#[wasm_bindgen]
pub fn limpid_play(on: bool) {
    if let Some(page) = crate::running() {
        page.play(on);
    }
}

/// Goes to a moment such as `1.5s`, and pauses there.
///
/// # Errors
///
/// If the moment cannot be parsed, or is too far ahead.
#[wasm_bindgen]
pub fn limpid_seek(to: &str) -> Result<(), String> {
    let page = page()?;
    let to = moment(to)?;
    page.play(false);
    page.seek(nanos(to));
    Ok(())
}

/// Sets the speed as the virtual time that passes in a second, such as `50ms`.
///
/// # Errors
///
/// If the time cannot be parsed.
#[wasm_bindgen]
pub fn limpid_speed(there: &str) -> Result<(), String> {
    let page = page()?;
    page.set_speed(Speed::nearest(moment(there)?));
    Ok(())
}

/// Types a line: into the redis-cli of a server, into the shell of a host, or, if it begins with a
/// colon, as an action of the World. Returns what [`limpid_answer`] needs, as JSON; `null` if there
/// will be no answer.
///
/// # Errors
///
/// If there is no such server or host, or the World refuses.
#[wasm_bindgen]
pub fn limpid_exec(at: &str, line: &str, shell: bool) -> Result<String, String> {
    let page = page()?;
    let line = line.trim_end();
    if line.chars().any(char::is_control) {
        return Err("a line holds no control characters".to_owned());
    }
    let asked = page.as_embedder(|page| match (line.strip_prefix(':'), shell) {
        (Some(action), _) => to_world(page, action).map(|()| None),
        (None, true) => to_shell(page, at, line).map(|()| None),
        (None, false) => to_cli(page, at, line).map(Some),
    })?;
    page.play(true);
    Ok(json(&asked))
}

/// What a terminal printed after a line; `None` until its prompt is back.
#[wasm_bindgen]
pub fn limpid_answer(process: &str, line: &str, length: f64) -> Option<String> {
    let shown = crate::running()?.lab().console(process)?;
    let block = shown.blocks.iter().rev().find(|block| block.typed.is_some())?;
    let is_it = block.typed.as_ref().is_some_and(|(_, typed)| typed == line);
    let is_over = !shown.waiting && shown.length as f64 > length;
    (is_it && is_over).then(|| block.printed.trim_end().to_owned())
}

/// Opens a lesson, or if none is given a scenario, at its beginning.
///
/// # Errors
///
/// If there is no such scenario. A lesson that cannot be fetched is reported on the page.
#[wasm_bindgen]
pub fn limpid_load(lesson: &str, scenario: &str) -> Result<(), String> {
    let page = page()?;
    if !lesson.is_empty() {
        whole::open_lesson(&page, lesson);
        return Ok(());
    }
    let topology = Topology::named(scenario);
    page.open(topology.ok_or_else(|| format!("there is no scenario '{scenario}'"))?);
    Ok(())
}

/// The session, the progress in a lesson, and what is open, as JSON: the text of a saved file.
#[wasm_bindgen]
pub fn limpid_state() -> String {
    crate::running().map_or_else(String::new, |page| Saved::of(&page).text())
}

/// Opens a session that [`limpid_state`] returned.
///
/// # Errors
///
/// If the text is something else, or of a later version.
#[wasm_bindgen]
pub fn limpid_set_state(text: &str) -> Result<(), String> {
    let page = page()?;
    let saved = Saved::read(text).map_err(|why| match why {
        Unreadable::Other => "this is no state of a lab".to_owned(),
        Unreadable::Later(version) => {
            format!("this state has the form {version}, which is of a later version of Limpid")
        }
    })?;
    saved.open(&page);
    Ok(())
}

/// Sets language and theme until the page is closed; an empty name changes nothing.
#[wasm_bindgen]
pub fn limpid_prefer(locale: &str, theme: &str) {
    if let Some(page) = crate::running() {
        page.prefer_for_now(|prefs| {
            prefs.locale = Locale::from_tag(locale).unwrap_or(prefs.locale);
            prefs.theme = Theme::from_name(theme).unwrap_or(prefs.theme);
        });
    }
}

/// Tells whether the page is in view. Out of view its World is paused.
#[wasm_bindgen]
pub fn limpid_show(in_sight: bool) {
    if let Some(page) = crate::running() {
        page.change(Topic::Time, |view| view.embedding.asleep = !in_sight);
    }
}

fn page() -> Result<Page, String> {
    crate::running().ok_or_else(|| "the lab has not started yet".to_owned())
}

fn to_world(page: &Page, action: &str) -> Result<(), String> {
    let action: Action = action.trim().parse().map_err(|error| refusal(page.locale(), &error))?;
    page.try_act(action).map_err(|error| refusal(page.locale(), &error))
}

fn to_cli(page: &Page, at: &str, line: &str) -> Result<Asked, String> {
    let body = page.view().scene.named(at).filter(|body| body.has_terminal()).cloned();
    let body = body.ok_or_else(|| no_host(page, at))?;
    let (process, run) = page.lab().terminal_for(&body.name);
    let known = page.terminals().find(&body.name);
    page.change_terminals(|terminals| match known {
        Some(index) => terminals.front = index,
        None => terminals.add(Tab::new(body.name.clone(), process.clone())),
    });
    let length = page.lab().console(&process).unwrap_or_default().length as f64;
    let is_new = run.is_some();
    let mut actions: Vec<Action> = run.into_iter().collect();
    if !is_new && !page.lab().is_running(&process) {
        actions.push(Action::Start { target: process.clone() });
    }
    actions.push(Action::Type { process: process.clone(), line: line.to_owned() });
    page.act(actions);
    Ok(Asked { process, line: line.to_owned(), length })
}

fn to_shell(page: &Page, at: &str, line: &str) -> Result<(), String> {
    if page.lab().world().host_named(at).is_none() {
        return Err(no_host(page, at));
    }
    terminal::type_into_shell(page, at, line);
    Ok(())
}

fn no_host(page: &Page, name: &str) -> String {
    let known = page.view().scene.names();
    refusal(page.locale(), &ActionError::NoHost { name: name.to_owned(), known })
}

#[cfg(feature = "whole")]
fn lesson_status(view: &crate::view::View) -> Option<LessonStatus> {
    view.study.lesson_status()
}

/// The first program has no lessons.
#[cfg(not(feature = "whole"))]
fn lesson_status(_: &crate::view::View) -> Option<LessonStatus> {
    None
}

/// Parses a time such as `1.5s`.
fn moment(text: &str) -> Result<Duration, String> {
    let read = format!("{} heal", text.trim()).parse::<Timed>();
    let read = read.map(|timed| Duration::from_nanos(timed.at.0));
    match read {
        Ok(time) if time <= FURTHEST => Ok(time),
        Ok(_) => Err(format!("'{text}' is further than {} s", FURTHEST.as_secs())),
        Err(_) => Err(format!("'{text}' is no time; write it as in 1.5s or 200ms")),
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn json(value: &impl Serialize) -> String {
    // Cannot fail: the value consists of text and numbers.
    serde_json::to_string(value).unwrap_or_default()
}

/// The message for a person who tries to act on a read-only page.
pub(crate) fn refuse(page: &Page) {
    page.toast(page.say(common::READ_ONLY).to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_and_controls_are_classes_and_a_narrow_window_begins_with_one_that_is_shown() {
        let mut embedding = Embedding::default();
        assert!(embedding.classes().is_empty());
        embedding.panes =
            Some(["terminal", "nonsense"].into_iter().filter_map(Shown::named).collect());
        embedding.controls = Controls::None;
        assert_eq!(
            embedding.classes(),
            ["no-map", "no-log", "no-side", "one-pane", "no-top", "no-time"]
        );
        assert_eq!(embedding.first_pane(), Pane::Terminal);
    }

    #[test]
    fn times_are_read_and_a_far_one_is_refused() {
        assert_eq!(moment(" 1.5s"), Ok(Duration::from_millis(1500)));
        assert!(moment("9999s").is_err_and(|why| why.contains("9999s")));
        assert!(moment("soon").is_err_and(|why| why.contains("soon")));
    }
}
