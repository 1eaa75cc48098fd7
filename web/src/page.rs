//! The one handle that every component holds: the World, what the person has open, and who wants
//! to be told when something changes.
//!
//! Components say with [`use_page`] what they show; only they are drawn again when it changes.
//! What moves in every frame is not drawn by components at all, but by [`crate::flight`].

use core::cell::{Cell, Ref, RefCell, RefMut};
use std::rc::Rc;

use limpid_core::sim::{Action, ActionError, Future, Step};
use yew::prelude::*;

use crate::embed;
use crate::event_lines::refusal;
use crate::i18n::{Locale, Text};
use crate::inspector::files;
use crate::lab::{Lab, Topology};
use crate::layout::{self, Point, Room};
use crate::prefs::Prefs;
use crate::questions::{self, Question};
use crate::routes::Routes;
use crate::scene::Scene;
use crate::share::{CORE, Shared, Trouble};
use crate::terminal::desk::Desk;
use crate::units::BodyId;
use crate::whole;

pub(crate) use crate::view::{Camera, Pane, Side, Target, View};

/// Something that components show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Topic {
    /// Language and theme.
    Prefs,
    /// Bodies, links and their places.
    Scene,
    /// What is selected, and which menus, cards and dialogs are open.
    Open,
    /// The part of the map that is seen.
    Camera,
    /// The present moment, playing or not, speed.
    Time,
    /// The list of events.
    Events,
    /// What terminals show.
    Terminals,
    /// What the inspector and the table show, about ten times a second.
    Panels,
    /// The figures of the frame.
    Frame,
}

const TOPICS: usize = Topic::Frame as usize + 1;

/// A component that is told of changes, by a number of its own.
type Listener = (u64, Callback<()>);

/// The handle.
#[derive(Clone)]
pub(crate) struct Page(Rc<Inner>);

struct Inner {
    lab: RefCell<Lab>,
    view: RefCell<View>,
    desk: RefCell<Desk>,
    listeners: [RefCell<Vec<Listener>>; TOPICS],
    next_listener: Cell<u64>,
    /// How often everything has been drawn again at once.
    showings: Cell<u64>,
}

impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Page {
    /// A page that shows a World.
    pub(crate) fn new(lab: Lab) -> Self {
        let view = View::new(lab.topology().speed());
        let page = Page(Rc::new(Inner {
            desk: RefCell::new(Desk::new(&lab)),
            lab: RefCell::new(lab),
            view: RefCell::new(view),
            listeners: Default::default(),
            next_listener: Cell::new(0),
            showings: Cell::default(),
        }));
        page.refresh_scene();
        page.warn_of_difference();
        page
    }

    /// The page that the address asks for: a shared session, a topology by its name, or the usual.
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
            None => Lab::follow(shared),
            Some(_) => Lab::fresh(shared.topology),
        });
        // A shared moment is to be looked at first.
        page.play(trouble.is_some());
        page.warn_of(trouble.as_ref());
        page
    }

    /// Says what is wrong with a link or a saved session.
    pub(crate) fn warn_of(&self, trouble: Option<&Trouble>) {
        match trouble {
            Some(Trouble::Version(version)) => {
                self.toast(self.fill(words::SHARE_TOO_NEW, &[("version", version)]));
            }
            Some(Trouble::Broken) => self.toast(self.say(words::SHARE_BROKEN).to_owned()),
            None => {}
        }
    }

    /// Says so if another core made the session.
    fn warn_of_difference(&self) {
        let made = self.lab().difference().map(|difference| difference.core.clone());
        if let Some(made) = made {
            self.toast(self.fill(words::OTHER_CORE, &[("made", &made), ("this", CORE)]));
        }
    }

    /// The World, to look at.
    pub(crate) fn lab(&self) -> Ref<'_, Lab> {
        self.0.lab.borrow()
    }

    /// The World, to act on.
    pub(crate) fn lab_mut(&self) -> RefMut<'_, Lab> {
        self.0.lab.borrow_mut()
    }

    /// What the person sees.
    pub(crate) fn view(&self) -> Ref<'_, View> {
        self.0.view.borrow()
    }

    /// The terminals.
    pub(crate) fn desk(&self) -> Ref<'_, Desk> {
        self.0.desk.borrow()
    }

    /// Changes the terminals, and redraws the components that show them.
    pub(crate) fn change_desk<R>(&self, change: impl FnOnce(&mut Desk) -> R) -> R {
        let result = change(&mut self.0.desk.borrow_mut());
        self.tell(Topic::Terminals);
        result
    }

    /// What the person sees, to be changed without anybody being told.
    #[cfg(feature = "whole")]
    pub(crate) fn view_mut(&self) -> RefMut<'_, View> {
        self.0.view.borrow_mut()
    }

    /// Changes the view, and redraws the components that show it.
    pub(crate) fn change<R>(&self, topic: Topic, change: impl FnOnce(&mut View) -> R) -> R {
        let result = change(&mut self.0.view.borrow_mut());
        self.tell(topic);
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
    pub(crate) fn tell(&self, topic: Topic) {
        // A listener only puts its component on the list to be drawn, so nothing changes here.
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

    /// Reads the scene off the World again and, if it changed, redraws the map.
    pub(crate) fn refresh_scene(&self) {
        let mut scene = self.lab().scene();
        let mut view = self.0.view.borrow_mut();
        scene.share_with(&view.scene);
        if scene == *view.scene {
            return;
        }
        let ids = |scene: &Scene| scene.bodies.iter().map(|body| body.id).collect::<Vec<_>>();
        let moved = ids(&scene) != ids(&view.scene) || scene.seats() != view.scene.seats();
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
        self.tell(Topic::Scene);
    }

    /// Gives the bodies their places, for the room that there is.
    fn arrange(&self) {
        let layout = self.lab().topology().layout();
        let mut view = self.0.view.borrow_mut();
        let seats = view.scene.seats();
        let room = Room::of(view.stage.0, view.stage.1);
        let places = layout::place(layout, &seats, room);
        if !view.camera_held && view.stage.0 > 0.0 {
            view.camera = Camera::fit(layout::bounds(&seats, &places), view.stage);
        }
        view.routes = Rc::new(Routes::of(&view.scene, &places));
        let ids = view.scene.bodies.iter().map(|body| body.id);
        view.places = Rc::new(ids.zip(places).collect());
        drop(view);
        self.tell(Topic::Camera);
        self.tell(Topic::Scene);
    }

    /// The stage has another size.
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
        *self.0.desk.borrow_mut() = Desk::new(&lab);
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
        self.tell_all();
        self.warn_of_difference();
    }

    /// Does things to the World now. In the past it first asks what shall become of the future.
    pub(crate) fn act(&self, actions: Vec<Action>) {
        // A terminal has the size that it is shown in.
        let is_size = |action: &Action| matches!(action, Action::Resize { .. });
        if !actions.iter().all(is_size) && self.refuses() {
            return;
        }
        if actions.iter().any(whole::needed_for) {
            return whole::act(self, actions);
        }
        if self.lab().is_past() && !self.view().embedding.by_host {
            self.ask_about_future(actions);
        } else {
            self.carry_out(actions, Future::Discard);
        }
    }

    /// Does something for the page around this one: it may also act where a person may only look,
    /// and what was known of the future is discarded without a question.
    pub(crate) fn as_host<R>(&self, act: impl FnOnce(&Page) -> R) -> R {
        self.0.view.borrow_mut().embedding.by_host = true;
        let result = act(self);
        self.0.view.borrow_mut().embedding.by_host = false;
        result
    }

    /// Says so if a person may only look here.
    fn refuses(&self) -> bool {
        let refuses = {
            let view = self.view();
            view.embedding.read_only && !view.embedding.by_host
        };
        if refuses {
            embed::refuse(self);
        }
        refuses
    }

    /// Does one thing, and says why if it cannot be done.
    pub(crate) fn try_act(&self, action: Action) -> Result<(), ActionError> {
        if self.refuses() {
            return Ok(());
        }
        if whole::needed_for(&action) {
            whole::act(self, vec![action]);
            return Ok(());
        }
        if self.lab().is_past() && !self.view().embedding.by_host {
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

    /// Decides what shall become of the future, and does what waited for it.
    pub(crate) fn decide(&self, keep: bool) {
        let future = if keep { Future::Keep } else { Future::Discard };
        if let Some(actions) = self.change(Topic::Open, |view| view.pending.take()) {
            self.carry_out(actions, future);
            self.play(true);
        }
    }

    fn carry_out(&self, actions: Vec<Action>, future: Future) {
        for action in actions {
            // The first one decides about the future; afterwards there is none.
            let result = self.lab_mut().act(action, future);
            if let Err(error) = result {
                let why = refusal(self.locale(), &error);
                self.toast(self.fill(words::FAILED, &[("why", &why)]));
            }
        }
        self.change(Topic::Open, |view| view.touched = true);
        self.look_again();
    }

    /// Takes the last action back; says which it was.
    pub(crate) fn undo(&self) -> Option<String> {
        if self.refuses() {
            return None;
        }
        let undone = self.lab_mut().undo();
        self.look_again();
        undone
    }

    /// Goes to the timeline that was left last.
    pub(crate) fn switch_branch(&self) {
        self.play(false);
        self.lab_mut().switch_branch();
        self.look_again();
    }

    /// One event forward or back.
    pub(crate) fn step(&self, forward: bool) {
        self.lab_mut().step(forward);
        self.look_again();
    }

    /// To the next event of a sort.
    pub(crate) fn step_to(&self, step: Step) {
        self.lab_mut().step_to(step);
        self.look_again();
    }

    /// The World is another one: everything that shows it looks again.
    fn look_again(&self) {
        self.refresh_scene();
        crate::map::card::refresh(self);
        #[cfg(feature = "whole")]
        crate::lesson::look(self);
        self.tell_all();
        embed::tell(self);
    }

    /// Goes to a moment.
    pub(crate) fn seek(&self, ns: u64) {
        self.lab_mut().seek(ns);
        self.change(Topic::Open, |view| view.card = None);
        self.look_again();
    }

    /// Lets time run or stand still.
    pub(crate) fn play(&self, on: bool) {
        self.change(Topic::Time, |view| view.playing = on);
        self.tell(Topic::Terminals);
        embed::tell(self);
    }

    /// Where the pointer is; only the painter asks.
    pub(crate) fn point(&self, at: Option<Point>) {
        self.0.view.borrow_mut().pointer = at;
    }

    /// Says a word to the person.
    pub(crate) fn toast(&self, text: String) {
        self.change(Topic::Open, |view| view.toast = Some(text));
    }

    /// Opens the inspector on a body. Time goes on: the inspector shows what the body does.
    pub(crate) fn inspect(&self, body: BodyId) {
        self.change(Topic::Open, |view| {
            view.side = Side::Node(body);
            view.menu = None;
            view.pane = Pane::Inspector;
        });
        self.tell(Topic::Time);
        self.tell(Topic::Panels);
    }

    /// Opens the inspector on the files of a body's host, or on one of them.
    pub(crate) fn show_files(&self, body: BodyId, path: Option<String>) {
        self.change(Topic::Open, |view| {
            view.tab = Some(&files::TAB);
            view.file = path.map(|path| (path, 0));
        });
        self.inspect(body);
    }

    /// Shows something in the panel at the side, or closes that.
    pub(crate) fn show_side(&self, side: Side) {
        let is_open = side != Side::Closed;
        self.change(Topic::Open, |view| {
            view.side = side;
            view.menu = None;
            view.pane = if is_open { Pane::Inspector } else { Pane::Map };
        });
        self.tell(Topic::Panels);
    }

    /// Closes what the panel at the side shows; a lesson that it hid is seen again.
    pub(crate) fn close_side(&self) {
        let behind = self.view().side_behind();
        self.change(Topic::Open, |view| {
            view.side = behind;
            view.pane = if behind == Side::Closed { Pane::Map } else { Pane::Inspector };
        });
        self.tell(Topic::Panels);
    }

    /// Opens or closes the ledger of writes.
    pub(crate) fn show_ledger(&self, on: bool) {
        match on {
            true => self.show_side(Side::Ledger),
            false => self.close_side(),
        }
    }

    /// Sets language or theme, now and for the next time.
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
        self.tell_all();
    }

    /// A number that changes when everything has been drawn again at once: what was seen before
    /// is no measure of what is new any more.
    pub(crate) fn showings(&self) -> u64 {
        self.0.showings.get()
    }

    fn tell_all(&self) {
        self.0.showings.set(self.showings() + 1);
        use Topic::{Camera, Events, Frame, Open, Panels, Prefs, Scene, Terminals, Time};
        for topic in [Prefs, Scene, Open, Camera, Time, Events, Terminals, Panels, Frame] {
            self.tell(topic);
        }
    }
}

/// The page around a component, which is drawn again whenever one of the topics changes.
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
