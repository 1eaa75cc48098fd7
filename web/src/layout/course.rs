//! The way of a link on the map: a straight line, or a curve where a straight one would run over
//! what stands between its ends.

use super::Point;

/// The way from one body to another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Course {
    from: Point,
    to: Point,
    /// The control point of a quadratic curve; `None` for a straight line.
    bend: Option<Point>,
}

impl Course {
    /// How far a curve leaves the straight line, as a part of its length.
    const BOW: f64 = 0.46;
    /// Pieces of which a curve is drawn.
    const PIECES: u32 = 14;

    /// A straight line.
    pub(crate) fn straight(from: Point, to: Point) -> Self {
        Course { from, to, bend: None }
    }

    /// A curve that passes on the side that is turned away from a point.
    pub(crate) fn around(from: Point, to: Point, centre: Point) -> Self {
        let middle = from.toward(to, 0.5);
        let (x, y) = (from.y - to.y, to.x - from.x);
        let inwards = x * (middle.x - centre.x) + y * (middle.y - centre.y) < 0.0;
        let bow = if inwards { -Self::BOW } else { Self::BOW };
        Course { from, to, bend: Some(Point::new(middle.x + x * bow, middle.y + y * bow)) }
    }

    /// The distance between its ends.
    pub(crate) fn length(&self) -> f64 {
        self.from.distance(self.to).max(1.0)
    }

    /// The point a part `t` of the way along.
    pub(crate) fn at(&self, t: f64) -> Point {
        match self.bend {
            None => self.from.toward(self.to, t),
            Some(bend) => self.from.toward(bend, t).toward(bend.toward(self.to, t), t),
        }
    }

    /// The direction a part `t` of the way along, of length 1.
    pub(crate) fn direction(&self, t: f64) -> Point {
        let (a, b) = match self.bend {
            None => (self.from, self.to),
            Some(bend) => (self.from.toward(bend, t), bend.toward(self.to, t)),
        };
        let length = a.distance(b).max(0.01);
        Point::new((b.x - a.x) / length, (b.y - a.y) / length)
    }

    /// The path of an SVG along a part of the way.
    pub(crate) fn path(&self, from: f64, to: f64) -> String {
        let pieces = if self.bend.is_some() { Self::PIECES } else { 1 };
        let mut path = String::new();
        for piece in 0..=pieces {
            let at = self.at(from + (to - from) * f64::from(piece) / f64::from(pieces));
            let letter = if piece == 0 { 'M' } else { 'L' };
            path += &format!("{letter}{:.1} {:.1}", at.x, at.y);
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_joins_its_ends_and_keeps_away_from_the_centre() {
        let (a, b) = (Point::new(-100.0, 0.0), Point::new(100.0, 0.0));
        let course = Course::around(a, b, Point::new(0.0, 200.0));
        assert_eq!((course.at(0.0), course.at(1.0)), (a, b));
        assert!(course.at(0.5).y < -40.0, "{:?}", course.at(0.5));
        assert_eq!(Course::around(b, a, Point::new(0.0, 200.0)).at(0.5), course.at(0.5));
        assert_eq!(Course::straight(a, b).path(0.0, 1.0), "M-100.0 0.0L100.0 0.0");
    }
}
