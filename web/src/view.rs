//! What the person sees and has open. It is the page's own: the World knows nothing of it.

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

/// What the person sees and has open.
pub(crate) struct View {
    /// Language and theme.
    pub prefs: Prefs,
    /// Whether virtual time runs.
    pub playing: bool,
    /// How fast.
    pub speed: Speed,
    /// Bodies and links.
    pub scene: Rc<Scene>,
    /// Where the bodies are.
    pub places: Rc<SortedMap<BodyId, Point>>,
    /// How links run between them.
    pub routes: Rc<Routes>,
    /// The size of the stage in pixels.
    pub stage: (f64, f64),
    /// The slot of a cluster that was chosen.
    pub slot: Option<Slot>,
    /// The part of the map that is seen.
    pub camera: Camera,
    /// Whether the person moved the camera, so that it is left alone.
    pub camera_held: bool,
    /// Selected bodies.
    pub selected: SortedSet<BodyId>,
    /// The body or link that has, or last had, the keyboard's focus.
    pub focus: Option<Target>,
    /// The menu that is open, and where in the window.
    pub menu: Option<(Target, Point)>,
    /// The message whose card is open, and where on the stage it was.
    pub card: Option<(Flight, Point)>,
    /// Where the pointer is on the stage.
    pub pointer: Option<Point>,
    /// Whether the person has done anything on the map yet.
    pub touched: bool,
    /// What the panel at the side shows.
    pub side: Side,
    /// The tab of the inspector that was opened last, which is shown of the next body too; at first
    /// it is the first one that a body has.
    pub tab: Option<&'static Tab>,
    /// The file that the inspector shows, and from where on.
    pub file: Option<(String, u64)>,
    /// The key that the inspector shows, with its database.
    pub key: Option<(usize, Vec<u8>)>,
    /// The pane that a narrow window shows.
    pub pane: Pane,
    /// Whether the table stands in for the map.
    pub table: bool,
    /// Whether the list of keys is open.
    pub help: bool,
    /// Whether the ways to share the session are open.
    pub sharing: bool,
    /// Whether the frame's figures are shown.
    pub debug: bool,
    /// Something to do that waits for what shall become of the future.
    pub pending: Option<Vec<Action>>,
    /// What a page around this one asked for.
    pub embedding: Embedding,
    /// A word to the person.
    pub toast: Option<String>,
    /// The question whose card is shown.
    pub asked: Option<&'static Question>,
    /// What is open of the lessons.
    #[cfg(feature = "whole")]
    pub study: crate::lesson::Study,
    /// How long the parts of a frame took.
    pub frame: crate::engine::FrameFigures,
}

impl View {
    /// What is seen of a page that has just been opened.
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

    /// What the panel at the side shows when its present content is closed: the lesson that is open,
    /// if a node or the ledger hides it.
    pub(crate) fn side_behind(&self) -> Side {
        #[cfg(feature = "whole")]
        if matches!(self.side, Side::Node(_) | Side::Ledger) && self.study.standing().is_some() {
            return Side::Lesson;
        }
        Side::Closed
    }

    /// The course between two bodies on the map.
    pub(crate) fn course(&self, a: BodyId, b: BodyId) -> Course {
        self.routes.course((a, self.place(a)), (b, self.place(b)))
    }

    /// Where a body is.
    pub(crate) fn place(&self, body: BodyId) -> Point {
        self.places.get(&body).copied().unwrap_or_default()
    }
}

/// What the panel at the side shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// Nothing: it is closed.
    Closed,
    /// A body from inside.
    Node(BodyId),
    /// The ledger of writes.
    Ledger,
    /// The lessons.
    Lesson,
}

/// A body or a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// A body.
    Body(BodyId),
    /// A link, by the bodies at its ends.
    Link(BodyId, BodyId),
}

/// What a narrow window shows.
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

    /// As the styles know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Pane::Map => "map",
            Pane::Terminal => "terminal",
            Pane::Events => "events",
            Pane::Inspector => "inspector",
        }
    }
}

/// Narrower than this, the stage has no room for words beside its tools; as the styles have it.
const NARROW: f64 = 720.0;

/// The part of the map that is seen: screen = map × scale + offset.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Camera {
    /// Pixels of the screen for one unit of the map.
    pub k: f64,
    /// How far right on the stage the map's origin is.
    pub x: f64,
    /// How far down on the stage the map's origin is.
    pub y: f64,
}

impl Camera {
    /// The least scale: a hundred nodes fit a phone with it.
    const SMALLEST: f64 = 0.08;

    /// The camera that shows a rectangle in the middle of a stage.
    pub(crate) fn fit((l, t, r, b): (f64, f64, f64, f64), (width, height): (f64, f64)) -> Self {
        const MARGIN: f64 = 26.0;
        // The tools stand in a strip at the bottom, and so does the hint where there is room beside
        // them; else it stands at the top.
        let top = if width < NARROW { 44.0 } else { MARGIN };
        const BOTTOM: f64 = 66.0;
        let room = ((width - 2.0 * MARGIN).max(50.0), (height - top - BOTTOM).max(50.0));
        let k = (room.0 / (r - l)).min(room.1 / (b - t)).clamp(Self::SMALLEST, 1.35);
        Camera { k, x: width / 2.0 - (l + r) / 2.0 * k, y: top + room.1 / 2.0 - (t + b) / 2.0 * k }
    }

    /// A point of the map, on the stage.
    pub(crate) fn to_stage(self, p: Point) -> Point {
        Point::new(p.x * self.k + self.x, p.y * self.k + self.y)
    }

    /// A point of the stage, on the map.
    pub(crate) fn to_map(self, p: Point) -> Point {
        Point::new((p.x - self.x) / self.k, (p.y - self.y) / self.k)
    }

    /// Zoomed by a factor around a point of the stage.
    #[must_use]
    pub(crate) fn zoomed(self, factor: f64, around: Point) -> Self {
        let k = (self.k * factor).clamp(Self::SMALLEST, 4.0);
        let fixed = self.to_map(around);
        Camera { k, x: around.x - fixed.x * k, y: around.y - fixed.y * k }
    }
}
