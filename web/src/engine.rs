//! The frame loop: runs the World for its share of a frame, paints messages in flight, and notifies
//! components that are redrawn less often.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;

use crate::flight::Painter;
use crate::page::{Page, Topic};

/// Performance figures of the last frames.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct FrameFigures {
    /// Milliseconds per frame that the World took, on average.
    pub world_ms: f64,
    /// Milliseconds that painting took, on average.
    pub draw_ms: f64,
    /// Milliseconds from one frame to the next, on average.
    pub between_ms: f64,
    /// Events of the World per second.
    pub events: f64,
    /// Messages in flight.
    pub in_flight: usize,
    /// Virtual nanoseconds that pass in a second, if that is less than the chosen speed.
    pub behind: Option<u64>,
}

/// Milliseconds of a frame that the World may take.
const WORLD_BUDGET_MS: f64 = 8.0;
/// Events between two readings of the clock.
const BATCH: u64 = 64;
/// Milliseconds between two redraws of the panels.
const PANELS_MS: f64 = 100.0;
/// Milliseconds between two redraws of the time bar's knob.
const TIME_MS: f64 = 50.0;
/// The most milliseconds that one frame counts for: one may take longer (a hidden tab, a laptop
/// that slept).
const LONGEST_FRAME_MS: f64 = 100.0;

/// The running loop, which stops when this is dropped.
pub(crate) struct Running(Rc<Cell<bool>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Starts the loop.
pub(crate) fn start(page: Page) -> Running {
    type Frame = Rc<RefCell<Option<Closure<dyn FnMut(f64)>>>>;
    let ended = Rc::new(Cell::new(false));
    let frame: Frame = Rc::default();
    let (again, over) = (Rc::clone(&frame), Rc::clone(&ended));
    let mut engine = Engine::new(page);
    *frame.borrow_mut() = Some(Closure::new(move |now| {
        if over.get() {
            // The closure is dropped once the loop does not run any more.
            let last = again.take();
            gloo::timers::callback::Timeout::new(0, move || drop(last)).forget();
            return;
        }
        engine.frame(now);
        request(&again);
    }));
    request(&frame);
    return Running(ended);

    fn request(frame: &Frame) {
        if let Some(closure) = frame.borrow().as_ref() {
            let callback = closure.as_ref().unchecked_ref();
            // Fails only in a window that is gone.
            let _ = gloo::utils::window().request_animation_frame(callback);
        }
    }
}

struct Engine {
    page: Page,
    painter: Painter,
    last: Option<f64>,
    /// The virtual time that the World should have reached, in nanoseconds with a fraction.
    target: f64,
    panels_at: f64,
    time_at: f64,
    events_seen: u64,
    lines_seen: u64,
    redraws_seen: u64,
    shells_seen: u64,
    figures: FrameFigures,
    steps: u64,
    since: f64,
    virtual_since: u64,
}

impl Engine {
    fn new(page: Page) -> Self {
        Engine {
            page,
            painter: Painter::default(),
            last: None,
            target: 0.0,
            panels_at: 0.0,
            time_at: 0.0,
            events_seen: 0,
            lines_seen: 0,
            redraws_seen: 0,
            shells_seen: 0,
            figures: FrameFigures::default(),
            steps: 0,
            since: 0.0,
            virtual_since: 0,
        }
    }

    fn frame(&mut self, now: f64) {
        let between = self.last.map_or(16.0, |last| (now - last).clamp(0.0, 1_000.0));
        self.last = Some(now);
        if self.page.view().embedding.asleep {
            return;
        }
        let begun = clock();
        let ran = self.run_world(between.min(LONGEST_FRAME_MS) / 1_000.0, begun);
        let run = clock();
        self.painter.paint(&self.page, between);
        let drawn = clock();
        smooth(&mut self.figures.world_ms, run - begun);
        smooth(&mut self.figures.draw_ms, drawn - run);
        smooth(&mut self.figures.between_ms, between);
        self.notify_components(now, ran);
    }

    /// Runs the World for a frame; false if it is paused.
    fn run_world(&mut self, seconds: f64, begun: f64) -> bool {
        let (playing, speed) = {
            let view = self.page.view();
            (view.playing, view.speed)
        };
        let mut lab = self.page.lab_mut();
        let now = lab.now() as f64;
        if !playing {
            self.target = now;
            return false;
        }
        // A larger difference is a jump in time. Fractions of a nanosecond matter at slow speeds.
        if (self.target - now).abs() > 1.0 {
            self.target = now;
        }
        self.target += speed.in_seconds(seconds).as_nanos() as f64;
        let goal = self.target as u64;
        // If the World is too busy for this speed, it falls behind, and the rest is not caught up.
        lab.run_while(goal, BATCH, || clock() - begun > WORLD_BUDGET_MS);
        true
    }

    /// Notifies the components whose redraw is due.
    fn notify_components(&mut self, now: f64, ran: bool) {
        if ran && now - self.time_at >= TIME_MS {
            self.time_at = now;
            self.page.notify(Topic::Time);
        }
        // Typing into a shell must be visible at once.
        let shown = self.page.lab().shown_by_shells();
        if core::mem::replace(&mut self.shells_seen, shown) != shown {
            self.page.notify(Topic::Terminals);
        }
        if now - self.panels_at < PANELS_MS {
            return;
        }
        let elapsed = (now - self.panels_at) / 1_000.0;
        self.panels_at = now;
        if !ran {
            return;
        }
        self.page.refresh_scene();
        let (events, lines, steps, at) = {
            let lab = self.page.lab();
            (lab.event_count(), lab.line_count(&self.page.terminals()), lab.steps(), lab.now())
        };
        // After a jump in time equal counts may belong to different contents.
        let redraws = self.page.redraws();
        let jumped = core::mem::replace(&mut self.redraws_seen, redraws) != redraws;
        if core::mem::replace(&mut self.events_seen, events) != events || jumped {
            self.page.notify(Topic::Events);
        }
        if core::mem::replace(&mut self.lines_seen, lines) != lines || jumped {
            self.page.notify(Topic::Terminals);
        }
        #[cfg(feature = "whole")]
        crate::lesson::update_progress(&self.page);
        self.page.notify(Topic::Panels);
        crate::embed::notify(&self.page);

        let a_second = |amount: u64| amount as f64 / elapsed.clamp(0.01, 1e6);
        smooth(&mut self.figures.events, a_second(steps.saturating_sub(self.steps)));
        self.steps = steps;
        self.measure_pace(now, at);
        self.figures.in_flight = self.painter.in_flight();
        let figures = self.figures;
        self.page.change(Topic::Frame, |view| view.frame = figures);
    }

    /// Checks, once a second, whether virtual time keeps up with the chosen speed.
    fn measure_pace(&mut self, now: f64, at: u64) {
        let elapsed = now - self.since;
        if elapsed < 1_000.0 {
            return;
        }
        let wanted = self.page.view().speed.a_second().as_nanos() as f64;
        let pace = at.saturating_sub(self.virtual_since) as f64 / elapsed * 1_000.0;
        let behind = pace < wanted * 0.7 && pace > 0.0 && elapsed < 1_500.0;
        self.figures.behind = behind.then_some(pace as u64);
        self.since = now;
        self.virtual_since = at;
    }
}

fn smooth(average: &mut f64, value: f64) {
    *average += (value - *average) * 0.1;
}

/// The time since the page was opened, in milliseconds.
pub(crate) fn clock() -> f64 {
    gloo::utils::window().performance().map_or(0.0, |performance| performance.now())
}
