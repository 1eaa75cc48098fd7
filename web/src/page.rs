//! The handle that every component has: the World, the view state, and the listeners for changes.
//!
//! Components subscribe to topics with [`use_page`], and are redrawn only when one of these
//! changes. Messages in flight, which move in every frame, are painted by [`crate::flight`] without
//! components.

use core::cell::{Cell, Ref, RefCell, RefMut};
use std::rc::Rc;

use limpid_core::sim::{Action, ActionError, Future, Step};
use yew::prelude::*;

use crate::embed;
use crate::event_lines::refusal;
use crate::figures::Speed;
use crate::i18n::{Locale, Text};
use crate::inspector::files;
use crate::lab::{Lab, Topology};
use crate::layout::{self, Point, Room};
use crate::prefs::Prefs;
use crate::questions::{self, Question};
use crate::routes::Routes;
use crate::scene::Scene;
use crate::share::{CORE, Shared, Trouble};
use crate::terminal::tabs::Terminals;
use crate::units::BodyId;
use crate::whole;

pub(crate) use crate::view::{Camera, Pane, Side, Target, View};

/// A topic that components subscribe to: a part of the state that they show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Topic {
    /// Language and theme.
    Prefs,
    /// Bodies, links and their positions.
    Scene,
    /// What is selected, and which menus, cards and dialogs are open.
    Open,
    /// The visible part of the map.
    Camera,
    /// The present moment, whether time runs, the speed.
    Time,
    /// The list of events.
    Events,
    /// The contents of terminals.
    Terminals,
    /// The contents of the inspector and the table, about ten times a second.
    Panels,
    /// The performance figures.
    Frame,
}

const TOPICS: usize = Topic::Frame as usize + 1;

/// The listener of a component, with its id.
type Listener = (u64, Callback<()>);

/// The handle of the page.
#[derive(Clone)]
pub(crate) struct Page(Rc<Inner>);

struct Inner {
    lab: RefCell<Lab>,
    view: RefCell<View>,
    terminals: RefCell<Terminals>,
    listeners: [RefCell<Vec<Listener>>; TOPICS],
    next_listener: Cell<u64>,
    /// How often all components have been redrawn at once.
    redraws: Cell<u64>,
}

impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Page {
    /// Creates a page that shows a World.
    pub(crate) fn new(lab: Lab) -> Self {
        let view = View::new(lab.topology().speed());
        let page = Page(Rc::new(Inner {
            terminals: RefCell::new(Terminals::new(&lab)),
            lab: RefCell::new(lab),
            view: RefCell::new(view),
            listeners: Default::default(),
            next_listener: Cell::new(0),
            redraws: Cell::default(),
        }));
        page.refresh_scene();
        page.warn_of_difference();
        page
    }

    /// Creates the page for the address: a shared session, a topology by its name, or the default.
    pub(crate) fn from_address() -> Self {
        let fragment = gloo::utils::window().location().hash().unwrap_or_default();
        let Some((shared, trouble)) = Shared::decode(fragment.trim_start_matches('#')) else {
            let asked = Topology::of_address().filter(|topology| !topology.needs_whole());
            let topology = asked.unwrap_or(Topology::USUAL);
            let page = Page::new(Lab::fresh(topology));
            if let Some(question) = Question::of_address() {
                questions::ask(&page, question);
            }
            return page;
        };
        let page = Page::new(match trouble {
            None => Lab::open_shared(shared),
            Some(_) => Lab::fresh(shared.topology),
        });
        // A shared session is paused at its moment.
        page.play(trouble.is_some());
        page.warn_of(trouble.as_ref());
        page
    }

    /// Shows a warning about a link or a saved session.
    pub(crate) fn warn_of(&self, trouble: Option<&Trouble>) {
        match trouble {
            Some(Trouble::Version(version)) => {
                self.toast(self.fill(words::SHARE_TOO_NEW, &[("version", version)]));
            }
            Some(Trouble::Broken) => self.toast(self.say(words::SHARE_BROKEN).to_owned()),
            None => {}
        }
    }

    /// Shows a warning if another version of the core made the session.
    fn warn_of_difference(&self) {
        let made = self.lab().difference().map(|difference| difference.core.clone());
        if let Some(made) = made {
            self.toast(self.fill(words::OTHER_CORE, &[("made", &made), ("this", CORE)]));
        }
    }

    /// Borrows the World.
    pub(crate) fn lab(&self) -> Ref<'_, Lab> {
        self.0.lab.borrow()
    }

    /// Borrows the World mutably.
    pub(crate) fn lab_mut(&self) -> RefMut<'_, Lab> {
        self.0.lab.borrow_mut()
    }

    /// Borrows the view state.
    pub(crate) fn view(&self) -> Ref<'_, View> {
        self.0.view.borrow()
    }

    /// Borrows the terminals.
    pub(crate) fn terminals(&self) -> Ref<'_, Terminals> {
        self.0.terminals.borrow()
    }

    /// Changes the terminals, and redraws the components that show them.
    pub(crate) fn change_terminals<R>(&self, change: impl FnOnce(&mut Terminals) -> R) -> R {
        let result = change(&mut self.0.terminals.borrow_mut());
        self.notify(Topic::Terminals);
        result
    }

    /// Borrows the view state mutably; changes do not redraw anything.
    #[cfg(feature = "whole")]
    pub(crate) fn view_mut(&self) -> RefMut<'_, View> {
        self.0.view.borrow_mut()
    }

    /// Changes the view state, and redraws the components that subscribed to the topic.
    pub(crate) fn change<R>(&self, topic: Topic, change: impl FnOnce(&mut View) -> R) -> R {
        let result = change(&mut self.0.view.borrow_mut());
        self.notify(topic);
        result
    }

    /// The language.
    pub(crate) fn locale(&self) -> Locale {
        self.view().prefs.locale
    }

    /// A text in the language.
    pub(crate) fn say(&self, text: Text) -> &'static str {
        self.locale().say(text)
    }

    /// A text in the language, with its placeholders filled.
    pub(crate) fn fill(&self, text: Text, values: &[(&str, &str)]) -> String {
        self.locale().fill(text, values)
    }

    /// Redraws the components that subscribed to a topic.
    pub(crate) fn notify(&self, topic: Topic) {
        // A listener only schedules a redraw, so no listener is added or removed here.
        for (_, listener) in self.0.listeners[topic as usize].borrow().iter() {
            listener.emit(());
        }
    }

    fn listen(&self, topics: &'static [Topic], listener: &Callback<()>) -> impl FnOnce() + use<> {
        let id = self.0.next_listener.get();
        self.0.next_listener.set(id + 1);
        for &topic in topics {
            self.0.listeners[topic as usize].borrow_mut().push((id, listener.clone()));
        }
        let page = self.clone();
        move || {
            for &topic in topics {
                page.0.listeners[topic as usize].borrow_mut().retain(|(known, _)| *known != id);
            }
        }
    }

    /// Builds the scene again from the World and, if it changed, redraws the map.
    pub(crate) fn refresh_scene(&self) {
        let mut scene = self.lab().scene();
        let mut view = self.0.view.borrow_mut();
        scene.share_with(&view.scene);
        if scene == *view.scene {
            return;
        }
        let ids = |scene: &Scene| scene.bodies.iter().map(|body| body.id).collect::<Vec<_>>();
        let moved =
            ids(&scene) != ids(&view.scene) || scene.layout_nodes() != view.scene.layout_nodes();
        view.scene = Rc::new(scene);
        let scene = Rc::clone(&view.scene);
        view.selected.retain(|&body| scene.body(body).is_some());
        if view.inspected().is_some_and(|body| scene.body(body).is_none()) {
            view.side = Side::Closed;
        }
        if !moved && !view.routes.are_of(&scene) {
            let places: Vec<Point> = scene.bodies.iter().map(|body| view.place(body.id)).collect();
            view.routes = Rc::new(Routes::of(&scene, &places));
        }
        drop(view);
        if moved {
            self.arrange();
        }
        self.notify(Topic::Scene);
    }

    /// Lays out the bodies for the size of the stage.
    fn arrange(&self) {
        let layout = self.lab().topology().layout();
        let mut view = self.0.view.borrow_mut();
        let nodes = view.scene.layout_nodes();
        let room = Room::of(view.stage.0, view.stage.1);
        let places = layout::place(layout, &nodes, room);
        if !view.camera_held && view.stage.0 > 0.0 {
            view.camera = Camera::fit(layout::bounds(&nodes, &places), view.stage);
        }
        view.routes = Rc::new(Routes::of(&view.scene, &places));
        let ids = view.scene.bodies.iter().map(|body| body.id);
        view.places = Rc::new(ids.zip(places).collect());
        drop(view);
        self.notify(Topic::Camera);
        self.notify(Topic::Scene);
    }

    /// Takes a new size of the stage.
    pub(crate) fn resized(&self, size: (f64, f64)) {
        if size.0 < 1.0 || size == self.view().stage {
            return;
        }
        self.change(Topic::Camera, |view| {
            view.stage = size;
            view.camera_held = false;
        });
        self.arrange();
    }

    /// Shows the whole map.
    pub(crate) fn fit(&self) {
        self.change(Topic::Camera, |view| view.camera_held = false);
        self.arrange();
    }

    /// Zooms around the middle of the stage.
    pub(crate) fn zoom(&self, factor: f64) {
        self.change(Topic::Camera, |view| {
            let middle = Point::new(view.stage.0 / 2.0, view.stage.1 / 2.0);
            view.camera = view.camera.zoomed(factor, middle);
            view.camera_held = true;
        });
    }

    /// Opens another topology, at its beginning.
    pub(crate) fn open(&self, topology: Topology) {
        if topology.needs_whole() {
            return whole::open(self, topology);
        }
        #[cfg(feature = "whole")]
        crate::lesson::leave(self, topology, "topology", topology.name());
        self.open_lab(Lab::fresh(topology));
    }

    /// Opens a session.
    pub(crate) fn open_lab(&self, lab: Lab) {
        let speed = lab.topology().speed();
        *self.0.terminals.borrow_mut() = Terminals::new(&lab);
        *self.lab_mut() = lab;
        self.change(Topic::Time, |view| {
            view.speed = view.embedding.speed(speed);
            view.playing = view.embedding.plays();
            view.selected.clear();
            view.focus = None;
            view.menu = None;
            view.card = None;
            view.side = Side::Closed;
            view.file = None;
            view.key = None;
            view.pending = None;
            view.asked = None;
            view.camera_held = false;
        });
        self.refresh_scene();
        self.arrange();
        self.notify_all();
        self.warn_of_difference();
    }

    /// Carries out actions now. In the past it first asks what to do with the known future.
    pub(crate) fn act(&self, actions: Vec<Action>) {
        // A new terminal gets the size in which it is shown.
        let is_size = |action: &Action| matches!(action, Action::Resize { .. });
        if !actions.iter().all(is_size) && self.refuses() {
            return;
        }
        if actions.iter().any(whole::needed_for) {
            return whole::act(self, actions);
        }
        if self.lab().is_past() && !self.view().embedding.by_embedder {
            self.ask_about_future(actions);
        } else {
            self.carry_out(actions, Future::Discard);
        }
    }

    /// Does something on behalf of the embedding page: it may act on a read-only page, too, and the
    /// known future is discarded without a question.
    pub(crate) fn as_embedder<R>(&self, act: impl FnOnce(&Page) -> R) -> R {
        self.0.view.borrow_mut().embedding.by_embedder = true;
        let result = act(self);
        self.0.view.borrow_mut().embedding.by_embedder = false;
        result
    }

    /// Whether the page is read-only. If so, tells the person.
    fn refuses(&self) -> bool {
        let refuses = {
            let view = self.view();
            view.embedding.read_only && !view.embedding.by_embedder
        };
        if refuses {
            embed::refuse(self);
        }
        refuses
    }

    /// Carries out one action now. The error says why it cannot be done.
    pub(crate) fn try_act(&self, action: Action) -> Result<(), ActionError> {
        if self.refuses() {
            return Ok(());
        }
        if whole::needed_for(&action) {
            whole::act(self, vec![action]);
            return Ok(());
        }
        if self.lab().is_past() && !self.view().embedding.by_embedder {
            self.ask_about_future(vec![action]);
            return Ok(());
        }
        let result = self.lab_mut().act(action, Future::Discard);
        self.look_again();
        result
    }

    fn ask_about_future(&self, actions: Vec<Action>) {
        self.play(false);
        self.change(Topic::Open, |view| {
            view.pending = Some(actions);
            view.menu = None;
        });
    }

    /// Takes the decision about the known future, and carries out the pending actions.
    pub(crate) fn decide(&self, keep: bool) {
        let future = if keep { Future::Keep } else { Future::Discard };
        if let Some(actions) = self.change(Topic::Open, |view| view.pending.take()) {
            self.carry_out(actions, future);
            self.play(true);
        }
    }

    fn carry_out(&self, actions: Vec<Action>, future: Future) {
        for action in actions {
            // The first action keeps or discards the known future; for the others there is none.
            let result = self.lab_mut().act(action, future);
            if let Err(error) = result {
                let why = refusal(self.locale(), &error);
                self.toast(self.fill(words::FAILED, &[("why", &why)]));
            }
        }
        self.change(Topic::Open, |view| view.touched = true);
        self.look_again();
    }

    /// Undoes the last action; returns its text.
    pub(crate) fn undo(&self) -> Option<String> {
        if self.refuses() {
            return None;
        }
        let undone = self.lab_mut().undo();
        self.look_again();
        undone
    }

    /// Switches to the branch that was left last.
    pub(crate) fn switch_branch(&self) {
        self.play(false);
        self.lab_mut().switch_branch();
        self.look_again();
    }

    /// Steps one event forward or back.
    pub(crate) fn step(&self, forward: bool) {
        self.lab_mut().step(forward);
        self.look_again();
    }

    /// Steps to the next event of a kind.
    pub(crate) fn step_to(&self, step: Step) {
        self.lab_mut().step_to(step);
        self.look_again();
    }

    /// Redraws everything after the World has jumped or was replaced.
    fn look_again(&self) {
        self.refresh_scene();
        crate::map::card::refresh(self);
        #[cfg(feature = "whole")]
        crate::lesson::update_progress(self);
        self.notify_all();
        embed::notify(self);
    }

    /// Goes to a moment.
    pub(crate) fn seek(&self, ns: u64) {
        self.lab_mut().seek(ns);
        self.change(Topic::Open, |view| view.card = None);
        self.look_again();
    }

    /// Starts or pauses time.
    pub(crate) fn play(&self, on: bool) {
        self.change(Topic::Time, |view| view.playing = on);
        self.notify(Topic::Terminals);
        embed::notify(self);
    }

    /// Sets how fast time runs.
    pub(crate) fn set_speed(&self, speed: Speed) {
        self.change(Topic::Time, |view| view.speed = speed);
        embed::notify(self);
    }

    /// Shows the table in place of the map, or the map again.
    pub(crate) fn toggle_table(&self) {
        self.change(Topic::Open, |view| view.table = !view.table);
    }

    /// Takes the position of the pointer, which only the painter reads.
    pub(crate) fn point(&self, at: Option<Point>) {
        self.0.view.borrow_mut().pointer = at;
    }

    /// Shows a toast.
    pub(crate) fn toast(&self, text: String) {
        self.change(Topic::Open, |view| view.toast = Some(text));
    }

    /// Opens the inspector on a body. Time keeps running, so that the inspector shows changes.
    pub(crate) fn inspect(&self, body: BodyId) {
        self.change(Topic::Open, |view| {
            view.side = Side::Node(body);
            view.menu = None;
            view.pane = Pane::Inspector;
        });
        self.notify(Topic::Time);
        self.notify(Topic::Panels);
    }

    /// Opens the inspector on the files of a body's host, or on one of them.
    pub(crate) fn show_files(&self, body: BodyId, path: Option<String>) {
        self.change(Topic::Open, |view| {
            view.tab = Some(&files::TAB);
            view.file = path.map(|path| (path, 0));
        });
        self.inspect(body);
    }

    /// Opens or closes the side panel.
    pub(crate) fn show_side(&self, side: Side) {
        let is_open = side != Side::Closed;
        self.change(Topic::Open, |view| {
            view.side = side;
            view.menu = None;
            view.pane = if is_open { Pane::Inspector } else { Pane::Map };
        });
        self.notify(Topic::Panels);
    }

    /// Closes what the side panel shows; a lesson behind it appears again.
    pub(crate) fn close_side(&self) {
        let behind = self.view().side_behind();
        self.change(Topic::Open, |view| {
            view.side = behind;
            view.pane = if behind == Side::Closed { Pane::Map } else { Pane::Inspector };
        });
        self.notify(Topic::Panels);
    }

    /// Opens or closes the ledger of writes.
    pub(crate) fn show_ledger(&self, on: bool) {
        match on {
            true => self.show_side(Side::Ledger),
            false => self.close_side(),
        }
    }

    /// Sets language or theme, and saves the choice.
    pub(crate) fn prefer(&self, change: impl FnOnce(&mut Prefs)) {
        self.prefer_for_now(change);
        self.view().prefs.save();
    }

    /// Sets language or theme until the page is closed.
    pub(crate) fn prefer_for_now(&self, change: impl FnOnce(&mut Prefs)) {
        let prefs = self.change(Topic::Prefs, |view| {
            change(&mut view.prefs);
            view.prefs
        });
        prefs.apply();
        self.notify_all();
    }

    /// How often all components have been redrawn at once, as after a jump in time. When it
    /// changes, earlier counts cannot be compared with new ones.
    pub(crate) fn redraws(&self) -> u64 {
        self.0.redraws.get()
    }

    fn notify_all(&self) {
        self.0.redraws.set(self.redraws() + 1);
        use Topic::{Camera, Events, Frame, Open, Panels, Prefs, Scene, Terminals, Time};
        for topic in [Prefs, Scene, Open, Camera, Time, Events, Terminals, Panels, Frame] {
            self.notify(topic);
        }
    }
}

/// The hook that gives a component the page, and redraws it when one of the topics changes.
#[hook]
pub(crate) fn use_page(topics: &'static [Topic]) -> Page {
    let page = use_context::<Page>().expect("components live inside a page");
    let update = use_force_update();
    let known = page.clone();
    use_effect_with(topics, move |topics| {
        known.listen(topics, &Callback::from(move |()| update.force_update()))
    });
    page
}

mod words {
    crate::i18n::texts! {
        SHARE_TOO_NEW: "This link was made by another version ({version}); the scenario is opened without its history.", "此链接来自另一版本（{version}），仅打开其场景，不含历史。";
        SHARE_BROKEN: "This link cannot be read; the scenario is opened without its history.", "无法读取此链接，仅打开场景，不含历史。";
        OTHER_CORE: "This session was made by Limpid {made}; this is {this}. Scenario and actions are the same, but what came of them may differ.", "此会话由 Limpid {made} 制作，当前版本是 {this}。场景与操作相同，但结果可能有所不同。";
        FAILED: "That did not work: {why}", "未能完成：{why}";
    }
}
