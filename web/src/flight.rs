//! Messages in flight: painted in every frame on a canvas over the map, and found by the pointer.
//!
//! This uses no components. A message is a dot with a short tail in its sender's hue: filled for a
//! request, hollow for a reply, a square for a push message. How far along its link it is drawn is
//! proportional to the virtual time since it was sent. When time runs too fast for dots to be seen,
//! links glow by the number of messages on them.

use limpid_core::sorted::SortedMap;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use crate::layout::{Course, Part, Point};
use crate::messages::{Flight, FlightKind, FlightState};
use crate::page::{Page, View};
use crate::prefs;
use crate::scene::Body;
use crate::units::BodyId;

/// The Okabe-Ito hues of the shards, as in the styles.
pub(crate) const HUES: [&str; 7] =
    ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442"];

/// The media query that matches if the person wants no animation.
const STILL: &str = "(prefers-reduced-motion: reduce)";
/// The most messages that are painted: more could not be told apart.
const MOST: usize = 3_000;
/// With more messages than this, only the one under the pointer has a label.
const MOST_LABELS: usize = 16;
/// The length in pixels from which on a link has labels: on a shorter one they would cover its
/// surroundings.
const LABELLED: f64 = 90.0;
/// How far the pointer may be from a message to hit it, in pixels.
const REACH: f64 = 13.0;

/// Paints messages.
#[derive(Default)]
pub(crate) struct Painter {
    canvas: Option<HtmlCanvasElement>,
    context: Option<CanvasRenderingContext2d>,
    size: (f64, f64, f64),
    flights: Vec<Flight>,
    /// How much each link glows, by its ends.
    glow: SortedMap<(BodyId, BodyId), f64>,
    /// The messages that each direction had carried at the last frame.
    carried: SortedMap<(BodyId, BodyId), u64>,
    dark: bool,
    still: bool,
    looked: f64,
}

impl Painter {
    /// How many messages are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Paints the messages of this moment; `between` is the time since the last frame in
    /// milliseconds.
    pub(crate) fn paint(&mut self, page: &Page, between: f64) {
        let Some(context) = self.prepare(page) else {
            self.flights.clear();
            return;
        };
        let view = page.view();
        let lab = page.lab();
        self.flights.clear();
        lab.flights(MOST, &mut self.flights);
        self.look_at_system(&view, between);
        self.update_glow(&lab.carried(), between, view.playing);

        let (width, height, ratio) = self.size;
        let _ = context.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0);
        context.clear_rect(0.0, 0.0, width, height);
        self.paint_glow(&context, &view);
        let now = lab.now();
        let hovered =
            view.pointer.and_then(|at| nearest(&self.flights, &view, now, at, self.still));
        let chosen = view.card.as_ref().map(|(flight, _)| flight.id);
        let slow = view.speed.a_second().as_millis() <= 50 || !view.playing;
        let labels = slow && self.flights.len() <= MOST_LABELS && view.camera.k > 0.55;
        for (index, flight) in self.flights.iter().enumerate() {
            let Some(spot) = spot(flight, &view, now, self.still) else { continue };
            let strong = hovered == Some(index) || chosen == Some(flight.id);
            self.paint_one(&context, &view, flight, &spot, strong);
            // Near its ends a label would cover the names of bodies.
            let free = (0.16..0.84).contains(&spot.part) && spot.length > LABELLED;
            if strong || (labels && free && !is_faint(flight.kind)) {
                self.paint_label(&context, &lab.label(flight), &spot, strong);
            }
        }
        if let Some(canvas) = &self.canvas {
            let pointed = if hovered.is_some() { "1" } else { "0" };
            // For the styles of the stage, and for tests that look for messages.
            if canvas.get_attribute("data-pointed").as_deref() != Some(pointed) {
                let _ = canvas.set_attribute("data-pointed", pointed);
            }
        }
    }

    /// The canvas in its right size, if the map is on the page.
    fn prepare(&mut self, page: &Page) -> Option<CanvasRenderingContext2d> {
        if page.view().table {
            return None;
        }
        if self.canvas.as_ref().is_none_or(|canvas| !canvas.is_connected()) {
            let found = gloo::utils::document().get_element_by_id("flight")?;
            let canvas: HtmlCanvasElement = found.dyn_into().ok()?;
            self.context = canvas.get_context("2d").ok().flatten()?.dyn_into().ok();
            self.canvas = Some(canvas);
            self.size = (0.0, 0.0, 0.0);
        }
        let canvas = self.canvas.as_ref()?;
        let ratio = gloo::utils::window().device_pixel_ratio().clamp(1.0, 2.0);
        let (width, height) = page.view().stage;
        if width < 1.0 || canvas.client_width() == 0 {
            return None;
        }
        if self.size != (width, height, ratio) {
            self.size = (width, height, ratio);
            canvas.set_width((width * ratio) as u32);
            canvas.set_height((height * ratio) as u32);
        }
        self.context.clone()
    }

    /// Reads theme and preferred motion now and then; they may change at any time.
    fn look_at_system(&mut self, view: &View, between: f64) {
        self.looked -= between;
        if self.looked <= 0.0 {
            self.looked = 250.0;
            self.dark = view.prefs.is_dark();
            self.still = prefs::media_matches(STILL);
        }
    }

    fn update_glow(&mut self, carried: &[(BodyId, BodyId, u64)], between: f64, playing: bool) {
        let passed = between / 220.0;
        let fade = 1.0 / (1.0 + passed + passed * passed / 2.0);
        if playing {
            self.glow.values_mut().for_each(|glow| *glow *= fade);
        }
        for &(from, to, count) in carried {
            let before = self.carried.insert((from, to), count).unwrap_or(count);
            let new = count.saturating_sub(before);
            if new > 0 {
                let glow = self.glow.get_or_default((from.min(to), from.max(to)));
                *glow = (*glow + 0.10 * (new as f64).sqrt()).min(1.0);
            }
        }
        self.glow.retain(|_, glow| *glow > 0.01);
    }

    fn paint_glow(&self, context: &CanvasRenderingContext2d, view: &View) {
        context.set_line_cap("round");
        for (&(a, b), &glow) in self.glow.iter() {
            let (Some(course), Some(hue)) = (seen(view, a, b), hue_between(view, a, b)) else {
                continue;
            };
            context.set_global_alpha(glow * 0.55);
            context.set_stroke_style_str(hue);
            context.set_line_width(2.4);
            context.begin_path();
            for at in course.points(0.0, 1.0) {
                context.line_to(at.x, at.y);
            }
            context.stroke();
        }
        context.set_global_alpha(1.0);
    }

    fn paint_one(
        &self,
        context: &CanvasRenderingContext2d,
        view: &View,
        flight: &Flight,
        spot: &Spot,
        strong: bool,
    ) {
        let scale = view.camera.k.clamp(0.6, 1.3);
        let small = is_faint(flight.kind);
        let radius = if strong {
            6.0
        } else if small {
            2.2
        } else {
            4.2
        } * scale;
        let hue = self.hue(view, flight.from);
        context.set_fill_style_str(hue);
        context.set_stroke_style_str(hue);
        context.set_global_alpha(match flight.state {
            FlightState::Flying { .. } if small => 0.55,
            FlightState::Flying { .. } => 1.0,
            FlightState::Held | FlightState::Waiting => 0.9,
            FlightState::Lost { .. } => spot.fade,
        });
        let flying = matches!(flight.state, FlightState::Flying { .. });
        if flying && !small && !self.still {
            let tail = Point::new(
                spot.at.x - spot.along.x * radius * 3.6,
                spot.at.y - spot.along.y * radius * 3.6,
            );
            context.set_line_width(radius * 0.85);
            context.set_global_alpha(0.35);
            context.begin_path();
            context.move_to(tail.x, tail.y);
            context.line_to(spot.at.x, spot.at.y);
            context.stroke();
            context.set_global_alpha(1.0);
        }
        context.begin_path();
        let circle = |radius: f64| {
            // Fails only for a negative radius.
            let _ = context.arc(spot.at.x, spot.at.y, radius, 0.0, core::f64::consts::TAU);
        };
        match flight.kind {
            _ if matches!(flight.state, FlightState::Lost { .. }) => {
                let r = radius;
                for (dx, dy) in [(r, r), (r, -r)] {
                    context.move_to(spot.at.x - dx, spot.at.y - dy);
                    context.line_to(spot.at.x + dx, spot.at.y + dy);
                }
                context.set_line_width(1.8);
                context.stroke();
            }
            FlightKind::Reply | FlightKind::Ballot => {
                circle(radius - 0.8);
                context.set_fill_style_str(if self.dark { "#0E1116" } else { "#FBFBF8" });
                context.fill();
                context.set_line_width(1.9);
                context.stroke();
            }
            // A push message: a square.
            FlightKind::Push => {
                let r = radius - 0.5;
                context.fill_rect(spot.at.x - r, spot.at.y - r, 2.0 * r, 2.0 * r);
            }
            FlightKind::Request
            | FlightKind::Vote
            | FlightKind::Bus
            | FlightKind::Stream
            | FlightKind::Beat
            | FlightKind::Transport => {
                circle(radius);
                context.fill();
            }
        }
        if flight.state == FlightState::Held {
            context.set_stroke_style_str(if self.dark { "#E6EDF3" } else { "#1B1F24" });
            context.set_line_width(1.2);
            context.begin_path();
            circle(radius + 3.5);
            context.stroke();
        }
        context.set_global_alpha(1.0);
    }

    fn paint_label(
        &self,
        context: &CanvasRenderingContext2d,
        label: &str,
        spot: &Spot,
        strong: bool,
    ) {
        if label.is_empty() {
            return;
        }
        context.set_font("11px ui-monospace, Menlo, Consolas, \"DejaVu Sans Mono\", monospace");
        context.set_text_align("center");
        context.set_text_baseline("middle");
        // On the outer side of the message's lane, so that labels of opposite messages do not
        // overlap.
        let up = spot.aside.y < 0.0 || (spot.aside.y == 0.0 && spot.aside.x < 0.0);
        let y = spot.at.y + if up { -14.0 } else { 14.0 };
        let width = context.measure_text(label).map_or(60.0, |m| m.width()) + 8.0;
        // On a level link a label must clear the bodies at both ends.
        let room = spot.part.min(1.0 - spot.part) * spot.length;
        if !strong && spot.along.x.abs() > 0.5 && room < width / 2.0 + 26.0 {
            return;
        }
        context.set_fill_style_str(if self.dark { "#0E1116" } else { "#FBFBF8" });
        context.set_global_alpha(0.82);
        context.fill_rect(spot.at.x - width / 2.0, y - 7.5, width, 15.0);
        context.set_global_alpha(1.0);
        context.set_fill_style_str(match (self.dark, strong) {
            (true, true) => "#E6EDF3",
            (true, false) => "#9DA7B3",
            (false, true) => "#1B1F24",
            (false, false) => "#57606A",
        });
        let _ = context.fill_text(label, spot.at.x, y);
    }

    fn hue(&self, view: &View, body: BodyId) -> &'static str {
        match view.scene.body(body).map(|body| &**body) {
            Some(Body { shard: Some(shard), .. }) => HUES[shard % HUES.len()],
            Some(body) if matches!(body.kind.part, Part::Shell | Part::Sentinel) => {
                if self.dark {
                    "#56B4E9"
                } else {
                    "#0072B2"
                }
            }
            _ if self.dark => "#C3CBD4",
            _ => "#57606A",
        }
    }
}

/// Whether messages of a kind are painted small, since there are many and each matters little.
fn is_faint(kind: FlightKind) -> bool {
    matches!(kind, FlightKind::Transport | FlightKind::Beat)
}

/// The position of a message on the stage.
struct Spot {
    at: Point,
    /// The direction in which it moves, of length 1.
    along: Point,
    /// The direction from the link to the message's lane, of length 1.
    aside: Point,
    /// The length of its link on the stage.
    length: f64,
    /// How far along it is, from 0 to 1.
    part: f64,
    fade: f64,
}

/// The message at a point of the stage.
pub(crate) fn hit(page: &Page, at: Point) -> Option<Flight> {
    let (view, lab) = (page.view(), page.lab());
    let mut flights = Vec::new();
    lab.flights(MOST, &mut flights);
    let still = prefs::media_matches(STILL);
    let index = nearest(&flights, &view, lab.now(), at, still)?;
    Some(flights.swap_remove(index))
}

fn nearest(flights: &[Flight], view: &View, now: u64, at: Point, still: bool) -> Option<usize> {
    flights
        .iter()
        .enumerate()
        .filter_map(|(i, flight)| Some((i, spot(flight, view, now, still)?.at.distance(at))))
        .filter(|&(_, distance)| distance <= REACH)
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(i, _)| i)
}

fn spot(flight: &Flight, view: &View, now: u64, still: bool) -> Option<Spot> {
    let course = course(view, flight.from, flight.to)?;
    let length = course.length();
    let (t, fade) = progress(flight, now, still);
    let along = course.direction(t);
    // Right-hand traffic: messages in opposite directions use different lanes.
    let lane = 5.0 * view.camera.k.clamp(0.5, 1.2);
    let aside = Point::new(-along.y, along.x);
    let on_line = course.at(t);
    let at = Point::new(on_line.x + aside.x * lane, on_line.y + aside.y * lane);
    Some(Spot { at, along, aside, length, part: t, fade })
}

/// How far along its link a message is, and its opacity.
fn progress(flight: &Flight, now: u64, still: bool) -> (f64, f64) {
    let part = |begin: u64, end: u64| {
        let span = end.saturating_sub(begin).max(1) as f64;
        (now.saturating_sub(begin) as f64 / span).clamp(0.0, 1.0)
    };
    match flight.state {
        // With `prefers-reduced-motion` messages appear and disappear.
        FlightState::Flying { .. } if still => (0.5, 1.0),
        FlightState::Flying { begun, due } => (part(begun, due), 1.0),
        FlightState::Waiting => (0.94, 1.0),
        FlightState::Held => (0.5, 1.0),
        FlightState::Lost { begun, latency } => {
            // A lost message goes as far as the cut, stays for a while, and fades. It keeps a trace
            // until it is retransmitted.
            let after = now.saturating_sub(begun) as f64 / latency.max(1) as f64;
            ((after * 0.9).min(0.45), (2.2 - after * 0.5).clamp(0.28, 1.0))
        }
    }
}

/// The course of messages between two bodies on the stage: from the edge of one body's drawing to
/// that of the other, so that messages cover no names. Between bodies that are close together it
/// begins and ends at the servers' discs, since their plates would leave no room.
fn course(view: &View, a: BodyId, b: BodyId) -> Option<Course> {
    const SHORTEST: f64 = 90.0;
    const DISC: f64 = 24.0;
    let (course, (mut first, mut last)) = between(view, a, b)?;
    let length = course.length();
    if (last - first) * length < SHORTEST {
        first = first.min(DISC / length);
        last = last.max(1.0 - DISC / length);
    }
    Some(course.between(first, last).map(|at| view.camera.to_stage(at)))
}

/// The part of that course that no plate covers.
fn seen(view: &View, a: BodyId, b: BodyId) -> Option<Course> {
    let (course, (first, last)) = between(view, a, b)?;
    (first < last).then(|| course.between(first, last).map(|at| view.camera.to_stage(at)))
}

/// The course between the centres of two bodies, and the fractions of it at which the visible part
/// begins and ends.
fn between(view: &View, a: BodyId, b: BodyId) -> Option<(Course, (f64, f64))> {
    if !view.places.contains_key(&a) || !view.places.contains_key(&b) {
        return None;
    }
    let outline = |id: BodyId| Some(&view.scene.body(id)?.kind.outline);
    let course = view.course(a, b);
    let seen = course.seen(outline(a)?, outline(b)?);
    Some((course, seen))
}

/// The hue of the server at one end of a link; none if the link only serves to watch.
fn hue_between(view: &View, a: BodyId, b: BodyId) -> Option<&'static str> {
    let watches = |id| view.scene.body(id).is_some_and(|b| b.kind.part == Part::Sentinel);
    if watches(a) || watches(b) {
        return None;
    }
    let shard = |id: BodyId| view.scene.body(id)?.shard;
    shard(a).or_else(|| shard(b)).map(|shard| HUES[shard % HUES.len()])
}
