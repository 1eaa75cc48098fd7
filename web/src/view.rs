//! The view state: what the person sees and has open. It is no part of the World.

use std::rc::Rc;

use limpid_core::sharding::Slot;
use limpid_core::sim::Action;
use limpid_core::sorted::{SortedMap, SortedSet};

use crate::embed::Embedding;
use crate::figures::Speed;
use crate::inspector::Tab;
use crate::layout::{Course, Point};
use crate::messages::Flight;
use crate::prefs::{self, Prefs};
use crate::questions::Question;
use crate::routes::Routes;
use crate::scene::Scene;
use crate::units::BodyId;

/// The view state of the page.
pub(crate) struct View {
    /// Language and theme.
    pub prefs: Prefs,
    /// Whether virtual time runs.
    pub playing: bool,
    /// The speed of time.
    pub speed: Speed,
    /// Bodies and links.
    pub scene: Rc<Scene>,
    /// The positions of bodies on the map.
    pub places: Rc<SortedMap<BodyId, Point>>,
    /// The routes of links between them.
    pub routes: Rc<Routes>,
    /// The size of the stage in pixels.
    pub stage: (f64, f64),
    /// The chosen slot of a cluster.
    pub slot: Option<Slot>,
    /// The visible part of the map.
    pub camera: Camera,
    /// Whether the person moved the camera, so that it does not follow the layout any more.
    pub camera_held: bool,
    /// Selected bodies.
    pub selected: SortedSet<BodyId>,
    /// The body or link that has, or last had, the keyboard's focus.
    pub focus: Option<Target>,
    /// The menu that is open, and where in the window.
    pub menu: Option<(Target, Point)>,
    /// The message whose card is open, and its position on the stage.
    pub card: Option<(Flight, Point)>,
    /// The position of the pointer on the stage.
    pub pointer: Option<Point>,
    /// Whether the person has done anything on the map yet.
    pub touched: bool,
    /// What the side panel shows.
    pub side: Side,
    /// The tab of the inspector that was opened last, which is kept for the next body; `None` for
    /// the first tab of a body.
    pub tab: Option<&'static Tab>,
    /// The file that the inspector shows, and the offset at which it starts.
    pub file: Option<(String, u64)>,
    /// The key that the inspector shows, with its database.
    pub key: Option<(usize, Vec<u8>)>,
    /// The pane that a narrow window shows.
    pub pane: Pane,
    /// Whether the table is shown in place of the map.
    pub table: bool,
    /// Whether the help is open.
    pub help: bool,
    /// Whether the dialog for sharing is open.
    pub sharing: bool,
    /// Whether the performance figures are shown.
    pub debug: bool,
    /// Actions that wait for the decision about the known future.
    pub pending: Option<Vec<Action>>,
    /// The parameters of an embedding page.
    pub embedding: Embedding,
    /// The text of the toast.
    pub toast: Option<String>,
    /// The question whose card is shown.
    pub asked: Option<&'static Question>,
    /// The state of the lessons' panel.
    #[cfg(feature = "whole")]
    pub study: crate::lesson::Study,
    /// Performance figures of the last frames.
    pub frame: crate::engine::FrameFigures,
}

impl View {
    /// The view state of a page that has just been opened.
    pub(crate) fn new(speed: Speed) -> Self {
        let embedding = Embedding::of_address();
        View {
            prefs: Prefs::load(),
            playing: true,
            speed: embedding.speed(speed),
            scene: Rc::default(),
            places: Rc::default(),
            routes: Rc::default(),
            stage: (0.0, 0.0),
            slot: None,
            camera: Camera { k: 1.0, x: 0.0, y: 0.0 },
            camera_held: false,
            selected: SortedSet::new(),
            focus: None,
            menu: None,
            card: None,
            pointer: None,
            touched: false,
            side: Side::Closed,
            tab: None,
            file: None,
            key: None,
            pane: embedding.first_pane(),
            table: false,
            help: false,
            sharing: false,
            debug: prefs::parameter("debug").is_some(),
            pending: None,
            embedding,
            toast: None,
            asked: None,
            #[cfg(feature = "whole")]
            study: Default::default(),
            frame: Default::default(),
        }
    }

    /// The body at which the Tab key enters the map.
    pub(crate) fn focus_body(&self) -> Option<BodyId> {
        let last = match self.focus {
            Some(Target::Body(body) | Target::Link(body, _)) => self.scene.body(body),
            None => None,
        };
        last.or(self.scene.bodies.first()).map(|body| body.id)
    }

    /// The body that the inspector shows.
    pub(crate) fn inspected(&self) -> Option<BodyId> {
        match self.side {
            Side::Node(body) => Some(body),
            _ => None,
        }
    }

    /// What the side panel shows after its content is closed: the open lesson, if a node or the
    /// ledger hides it.
    pub(crate) fn side_behind(&self) -> Side {
        #[cfg(feature = "whole")]
        if matches!(self.side, Side::Node(_) | Side::Ledger) && self.study.lesson_status().is_some()
        {
            return Side::Lesson;
        }
        Side::Closed
    }

    /// The course between two bodies on the map.
    pub(crate) fn course(&self, a: BodyId, b: BodyId) -> Course {
        self.routes.course((a, self.place(a)), (b, self.place(b)))
    }

    /// The position of a body on the map.
    pub(crate) fn place(&self, body: BodyId) -> Point {
        self.places.get(&body).copied().unwrap_or_default()
    }
}

/// The content of the side panel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// Nothing: it is closed.
    Closed,
    /// The inspector of a body.
    Node(BodyId),
    /// The ledger of writes.
    Ledger,
    /// The lessons.
    Lesson,
}

/// Something on the map that can have the focus or a menu.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// A body.
    Body(BodyId),
    /// A link, by the bodies at its ends.
    Link(BodyId, BodyId),
}

/// A pane: a narrow window shows one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pane {
    /// The map.
    Map,
    /// The terminals.
    Terminal,
    /// The events.
    Events,
    /// The inspector.
    Inspector,
}

impl Pane {
    /// The pane of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [Pane::Map, Pane::Terminal, Pane::Events, Pane::Inspector];
        all.into_iter().find(|pane| pane.name() == name)
    }

    /// Its name in styles.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Pane::Map => "map",
            Pane::Terminal => "terminal",
            Pane::Events => "events",
            Pane::Inspector => "inspector",
        }
    }
}

/// A stage narrower than this, in pixels, has no room for the hint beside its tools. The same value
/// as in the styles.
const NARROW: f64 = 720.0;

/// The camera, which determines the visible part of the map: screen = map × scale + offset.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Camera {
    /// The scale: pixels of the screen per unit of the map.
    pub k: f64,
    /// The horizontal position of the map's origin on the stage, in pixels.
    pub x: f64,
    /// The vertical position of the map's origin on the stage, in pixels.
    pub y: f64,
}

impl Camera {
    /// The smallest scale: with it a hundred nodes fit on a phone.
    const SMALLEST: f64 = 0.08;

    /// The camera that shows a rectangle in the middle of a stage.
    pub(crate) fn fit((l, t, r, b): (f64, f64, f64, f64), (width, height): (f64, f64)) -> Self {
        const MARGIN: f64 = 26.0;
        // The tools take a strip at the bottom, with the hint if there is room beside them;
        // otherwise the hint is at the top.
        let top = if width < NARROW { 44.0 } else { MARGIN };
        const BOTTOM: f64 = 66.0;
        let room = ((width - 2.0 * MARGIN).max(50.0), (height - top - BOTTOM).max(50.0));
        let k = (room.0 / (r - l)).min(room.1 / (b - t)).clamp(Self::SMALLEST, 1.35);
        Camera { k, x: width / 2.0 - (l + r) / 2.0 * k, y: top + room.1 / 2.0 - (t + b) / 2.0 * k }
    }

    /// Converts a point of the map to the stage.
    pub(crate) fn to_stage(self, p: Point) -> Point {
        Point::new(p.x * self.k + self.x, p.y * self.k + self.y)
    }

    /// Converts a point of the stage to the map.
    pub(crate) fn to_map(self, p: Point) -> Point {
        Point::new((p.x - self.x) / self.k, (p.y - self.y) / self.k)
    }

    /// The camera zoomed by a factor around a point of the stage.
    #[must_use]
    pub(crate) fn zoomed(self, factor: f64, around: Point) -> Self {
        let k = (self.k * factor).clamp(Self::SMALLEST, 4.0);
        let fixed = self.to_map(around);
        Camera { k, x: around.x - fixed.x * k, y: around.y - fixed.y * k }
    }
}
