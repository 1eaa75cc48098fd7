//! The course of a link on the map: a straight line, or a curve if a straight one would cross a
//! body between its ends.

use super::{Area, Outline, Point};

/// The course from one body to another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Course {
    from: Point,
    to: Point,
    /// The control point of a quadratic curve; `None` for a straight line.
    bend: Option<Point>,
    /// The part of that line which the course covers, as two fractions.
    span: (f64, f64),
}

/// The bend of a link: the position of the control point of its curve, relative to its first end.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Bend {
    /// The position along the straight line, as a fraction of its length.
    pub along: f64,
    /// The distance to the right of the straight line, as a fraction of its length, with y growing
    /// downwards; 0 for a straight link.
    pub aside: f64,
}

impl Bend {
    /// How far a curve around a centre deviates from the straight line, as a fraction of its
    /// length.
    const AROUND: f64 = 0.46;
    /// No bend.
    pub(crate) const STRAIGHT: Bend = Bend { along: 0.5, aside: 0.0 };

    /// The bend of a curve that passes on the side away from `centre`.
    pub(crate) fn around(from: Point, to: Point, centre: Point) -> Self {
        let middle = from.toward(to, 0.5);
        let (x, y) = (from.y - to.y, to.x - from.x);
        let inwards = x * (middle.x - centre.x) + y * (middle.y - centre.y) < 0.0;
        Bend { along: 0.5, aside: if inwards { -Self::AROUND } else { Self::AROUND } }
    }

    /// The bend of the same curve, relative to its other end.
    pub(crate) fn back(self) -> Self {
        Bend { along: 1.0 - self.along, aside: -self.aside }
    }
}

impl Course {
    /// The number of straight pieces that approximate a curve.
    const PIECES: u32 = 14;

    /// A straight line.
    pub(crate) fn straight(from: Point, to: Point) -> Self {
        Course { from, to, bend: None, span: (0.0, 1.0) }
    }

    /// A line with a bend.
    pub(crate) fn bent(from: Point, to: Point, bend: Bend) -> Self {
        if bend.aside == 0.0 {
            return Course::straight(from, to);
        }
        let beside = from.toward(to, bend.along);
        let (x, y) = (from.y - to.y, to.x - from.x);
        let bend = Some(Point::new(beside.x + x * bend.aside, beside.y + y * bend.aside));
        Course { bend, ..Course::straight(from, to) }
    }

    /// The distance between its ends.
    pub(crate) fn length(&self) -> f64 {
        self.at(0.0).distance(self.at(1.0)).max(1.0)
    }

    /// The point at a fraction `t` of the course.
    pub(crate) fn at(&self, t: f64) -> Point {
        let t = self.on_line(t);
        match self.bend {
            None => self.from.toward(self.to, t),
            Some(bend) => self.from.toward(bend, t).toward(bend.toward(self.to, t), t),
        }
    }

    /// The direction at a fraction `t` of the course, of length 1.
    pub(crate) fn direction(&self, t: f64) -> Point {
        let t = self.on_line(t);
        let (a, b) = match self.bend {
            None => (self.from, self.to),
            Some(bend) => (self.from.toward(bend, t), bend.toward(self.to, t)),
        };
        let length = a.distance(b).max(0.01);
        Point::new((b.x - a.x) / length, (b.y - a.y) / length)
    }

    /// The fractions between which the course is visible: the rest is over the bodies at its ends.
    pub(crate) fn seen(&self, a: &Outline, b: &Outline) -> (f64, f64) {
        let (toward_a, toward_b) = match self.bend {
            None => (self.from, self.to),
            // A quadratic curve starts towards its control point, at twice the speed.
            Some(bend) => (self.to.toward(bend, 2.0), self.from.toward(bend, 2.0)),
        };
        let first = a.over(toward_b.x - self.from.x, toward_b.y - self.from.y);
        let last = b.over(toward_a.x - self.to.x, toward_a.y - self.to.y);
        (first, 1.0 - last)
    }

    /// The fraction at the middle of the visible part.
    pub(crate) fn middle(&self, a: &Outline, b: &Outline) -> f64 {
        let (first, last) = self.seen(a, b);
        (first + last) / 2.0
    }

    /// The part of the course between two fractions.
    pub(crate) fn between(&self, first: f64, last: f64) -> Self {
        Course { span: (self.on_line(first), self.on_line(last)), ..*self }
    }

    /// The course with its points transformed.
    pub(crate) fn map(&self, change: impl Fn(Point) -> Point) -> Self {
        Course {
            from: change(self.from),
            to: change(self.to),
            bend: self.bend.map(&change),
            span: self.span,
        }
    }

    /// The points by which the course is drawn between two fractions.
    pub(crate) fn points(&self, from: f64, to: f64) -> impl Iterator<Item = Point> + '_ {
        let pieces = if self.bend.is_some() { Self::PIECES } else { 1 };
        (0..=pieces)
            .map(move |piece| self.at(from + (to - from) * f64::from(piece) / f64::from(pieces)))
    }

    /// The SVG path between two fractions.
    pub(crate) fn path(&self, from: f64, to: f64) -> String {
        let mut path = String::new();
        for (number, at) in self.points(from, to).enumerate() {
            let letter = if number == 0 { 'M' } else { 'L' };
            path += &format!("{letter}{:.1} {:.1}", at.x, at.y);
        }
        path
    }

    /// Whether the course crosses an area.
    pub(crate) fn crosses(&self, area: Area) -> bool {
        let mut before = self.at(0.0);
        self.points(0.0, 1.0).any(|at| {
            let crosses = meets(before, at, area);
            before = at;
            crosses
        })
    }

    fn on_line(&self, t: f64) -> f64 {
        self.span.0 + (self.span.1 - self.span.0) * t
    }
}

/// Whether the straight line between two points crosses an area.
fn meets(a: Point, b: Point, (left, top, right, bottom): Area) -> bool {
    // The fractions at which the line enters and leaves the area, by each coordinate in turn.
    let (mut enters, mut leaves) = (0.0f64, 1.0f64);
    for (start, step, low, high) in [(a.x, b.x - a.x, left, right), (a.y, b.y - a.y, top, bottom)] {
        if step.abs() < 1e-9 {
            if start < low || start > high {
                return false;
            }
            continue;
        }
        let (one, other) = ((low - start) / step, (high - start) / step);
        enters = enters.max(one.min(other));
        leaves = leaves.min(one.max(other));
    }
    enters <= leaves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bend(aside: f64) -> Bend {
        Bend { along: 0.5, aside }
    }

    #[test]
    fn a_curve_joins_its_ends_and_keeps_away_from_the_centre() {
        let (a, b) = (Point::new(-100.0, 0.0), Point::new(100.0, 0.0));
        let centre = Point::new(0.0, 200.0);
        let around = |a, b| Course::bent(a, b, Bend::around(a, b, centre));
        let course = around(a, b);
        assert_eq!((course.at(0.0), course.at(1.0)), (a, b));
        assert!(course.at(0.5).y < -40.0, "{:?}", course.at(0.5));
        assert_eq!(around(b, a).at(0.5), course.at(0.5));
        let bend = Bend { along: 0.75, aside: 0.5 };
        assert_eq!(Course::bent(b, a, bend.back()).at(0.25), Course::bent(a, b, bend).at(0.75));
        assert_eq!(Course::straight(a, b).path(0.0, 1.0), "M-100.0 0.0L100.0 0.0");
    }

    #[test]
    fn a_part_of_a_curve_lies_on_it() {
        let course = Course::bent(Point::new(0.0, 0.0), Point::new(100.0, 40.0), bend(0.4));
        let part = course.between(0.25, 0.75);
        assert_eq!((part.at(0.0), part.at(1.0)), (course.at(0.25), course.at(0.75)));
        assert_eq!(part.at(0.5), course.at(0.5));
    }

    #[test]
    fn a_line_crosses_what_it_runs_through() {
        let area = (-10.0, -10.0, 10.0, 10.0);
        let (a, b) = (Point::new(-100.0, 0.0), Point::new(100.0, 0.0));
        assert!(Course::straight(a, b).crosses(area));
        assert!(!Course::bent(a, b, bend(0.3)).crosses(area));
        assert!(!Course::straight(a, Point::new(-20.0, 0.0)).crosses(area));
        assert!(!Course::straight(a, Point::new(100.0, 60.0)).crosses(area));
    }
}
