//! Pointer gestures on the map: click, pan, pinch, or lasso.

use crate::layout::Point;
use crate::page::Camera;

/// A gesture in progress.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Gesture {
    /// Panning the map.
    Pan {
        /// Where the pointer went down.
        from: Point,
        /// The camera at that moment.
        camera: Camera,
        /// Whether it has moved far enough not to be a click.
        moved: bool,
    },
    /// Pinching with two fingers.
    Pinch {
        /// Where they went down.
        from: (Point, Point),
        /// The camera at that moment.
        camera: Camera,
    },
    /// Drawing a lasso, in units of the map.
    Lasso {
        /// Its points so far.
        points: Vec<Point>,
    },
}

/// How far a pointer may move for a click, in pixels.
pub(crate) const CLICK: f64 = 5.0;

/// The camera after a pinch that moved two fingers from one pair of points to another: the same
/// points of the map stay under the fingers.
pub(crate) fn pinched(camera: Camera, from: (Point, Point), to: (Point, Point)) -> Camera {
    // The least distance of the fingers, since touching ones determine no scale.
    const LEAST: f64 = 8.0;
    let (before, after) = (from.0.distance(from.1), to.0.distance(to.1));
    let (start, end) = (from.0.toward(from.1, 0.5), to.0.toward(to.1, 0.5));
    let zoomed = camera.zoomed(after.max(LEAST) / before.max(LEAST), start);
    Camera { x: zoomed.x + end.x - start.x, y: zoomed.y + end.y - start.y, ..zoomed }
}

/// Whether a point lies inside a closed loop (even-odd rule).
pub(crate) fn is_inside(point: Point, corners: &[Point]) -> bool {
    let mut inside = false;
    let mut last = match corners.last() {
        Some(&last) => last,
        None => return false,
    };
    for &corner in corners {
        let crosses = (corner.y > point.y) != (last.y > point.y);
        let side = (last.x - corner.x) * (point.y - corner.y) / (last.y - corner.y) + corner.x;
        if crosses && point.x < side {
            inside = !inside;
        }
        last = corner;
    }
    inside
}

/// A loop as an SVG path.
pub(crate) fn path(points: &[Point]) -> String {
    let mut path = String::new();
    for (i, point) in points.iter().enumerate() {
        let letter = if i == 0 { 'M' } else { 'L' };
        path.push_str(&format!("{letter}{:.1} {:.1}", point.x, point.y));
    }
    path + "Z"
}

/// The nearest of `others` in the direction of an arrow key.
pub(crate) fn nearest_towards<T>(
    from: Point,
    key: &str,
    others: impl Iterator<Item = (T, Point)>,
) -> Option<T> {
    let (ux, uy) = match key {
        "ArrowLeft" => (-1.0, 0.0),
        "ArrowRight" => (1.0, 0.0),
        "ArrowUp" => (0.0, -1.0),
        "ArrowDown" => (0.0, 1.0),
        _ => return None,
    };
    others
        .filter_map(|(other, at)| {
            let (dx, dy) = (at.x - from.x, at.y - from.y);
            let ahead = dx * ux + dy * uy;
            let aside = (dx * uy - dy * ux).abs();
            // A point that is more to the side than ahead belongs to another key.
            (ahead > 1.0 && aside <= ahead * 1.6).then_some((other, ahead + aside * 2.0))
        })
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(other, _)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_holds_what_is_inside_it() {
        let square = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)];
        let square: Vec<Point> = square.iter().map(|&(x, y)| Point::new(x, y)).collect();
        assert!(is_inside(Point::new(5.0, 5.0), &square));
        assert!(!is_inside(Point::new(15.0, 5.0), &square));
        assert!(!is_inside(Point::new(5.0, -1.0), &square));
        assert!(!is_inside(Point::new(5.0, 5.0), &[]));
    }

    #[test]
    fn what_lies_between_two_fingers_stays_there() {
        let camera = Camera { k: 1.0, x: 10.0, y: 20.0 };
        let p = Point::new;
        let from = (p(100.0, 100.0), p(200.0, 100.0));
        let to = (p(100.0, 150.0), p(300.0, 150.0));
        let after = pinched(camera, from, to);
        assert_eq!(after.k, 2.0);
        let middle = camera.to_map(p(150.0, 100.0));
        assert!(after.to_stage(middle).distance(p(200.0, 150.0)) < 1e-9);
    }

    #[test]
    fn arrows_lead_to_the_nearest_in_their_direction() {
        let places = [(0.0, 0.0), (100.0, 10.0), (50.0, 90.0), (0.0, 50.0)];
        let others = || places.iter().enumerate().skip(1).map(|(i, &(x, y))| (i, Point::new(x, y)));
        let from = Point::new(0.0, 0.0);
        assert_eq!(nearest_towards(from, "ArrowRight", others()), Some(1));
        assert_eq!(nearest_towards(from, "ArrowDown", others()), Some(3));
        assert_eq!(nearest_towards(from, "ArrowLeft", others()), None);
        assert_eq!(nearest_towards(from, "x", others()), None);
    }
}
