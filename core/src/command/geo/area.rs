//! Distances on the earth, and the grid cells that cover an area.

use core::f64::consts::PI;

use super::hash::{Cell, FINEST, Position};

/// An area around a position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    centre: Position,
    shape: Shape,
    origin: Origin,
}

/// A position that distances are measured from, in radians.
#[derive(Clone, Copy, Debug)]
struct Origin {
    longitude: f64,
    latitude: f64,
    /// The cosine of its latitude.
    cos: f64,
}

/// The shape of an area, in metres.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

/// The quadratic mean radius of the earth in metres (WGS 84).
const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// Half the side of the map in metres, the value that Redis uses.
const HALF_MAP: f64 = 20_037_726.37;
const RADIANS: f64 = PI / 180.0;

/// The distance between two positions in metres, by the haversine formula.
pub(super) fn distance(from: Position, to: Position) -> f64 {
    Origin::new(from).distance(to, f64::INFINITY)
}

impl Origin {
    fn new(position: Position) -> Self {
        let (longitude, latitude) = (position.longitude * RADIANS, position.latitude * RADIANS);
        Origin { longitude, latitude, cos: libm::cos(latitude) }
    }

    /// The distance to a position in metres. If it is more than `most` it may be infinite instead:
    /// most positions that a search examines are outside, and are rejected early.
    fn distance(&self, to: Position, most: f64) -> f64 {
        // Enough above the limit that rounding errors do not matter.
        let beyond = most * (1.0 + 1e-9) + 1e-3;
        let north_south = north_south_radians(self.latitude, to.latitude * RADIANS);
        if north_south > beyond {
            return f64::INFINITY;
        }
        let v = libm::sin((to.longitude * RADIANS - self.longitude) / 2.0);
        if v == 0.0 {
            return north_south;
        }
        let latitude = to.latitude * RADIANS;
        let east_west = self.cos * libm::cos(latitude) * v * v;
        // Since sin x <= x, this bounds the root of the haversine of every position within the
        // limit.
        let root = beyond / (2.0 * EARTH_RADIUS);
        if east_west > root * root {
            return f64::INFINITY;
        }
        let u = libm::sin((latitude - self.latitude) / 2.0);
        let a = u * u + east_west;
        if a > root * root {
            return f64::INFINITY;
        }
        2.0 * EARTH_RADIUS * libm::asin(a.sqrt())
    }
}

/// The distance between two latitudes in metres.
fn north_south(from: f64, to: f64) -> f64 {
    north_south_radians(from * RADIANS, to * RADIANS)
}

fn north_south_radians(from: f64, to: f64) -> f64 {
    EARTH_RADIUS * (to - from).abs()
}

impl Area {
    /// An area of this shape.
    pub(super) fn new(centre: Position, shape: Shape) -> Self {
        Area { centre, shape, origin: Origin::new(centre) }
    }

    /// The distance of a position from the centre, if it lies within the area.
    pub(super) fn distance_within(&self, position: Position) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius } => {
                let distance = self.origin.distance(position, radius);
                (distance <= radius).then_some(distance)
            }
            Shape::Box { width, height } => {
                if north_south(position.latitude, self.centre.latitude) > height / 2.0 {
                    return None;
                }
                let same_latitude = Position { latitude: position.latitude, ..self.centre };
                if distance(position, same_latitude) > width / 2.0 {
                    return None;
                }
                Some(self.origin.distance(position, f64::INFINITY))
            }
        }
    }

    /// The cells that cover the area: that of the centre, and the necessary ones of its eight
    /// neighbours, in the order of Redis, which is the order in which members are found.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let bounds = self.bounds();
        let mut step = self.step();
        let mut cell = self.centre.cell(step);
        // Near the edge of its cell an area may reach beyond the neighbouring cells.
        let reaches_beyond = cell.neighbour(0, 1).borders().north < bounds.north
            || cell.neighbour(0, -1).borders().south > bounds.south
            || cell.neighbour(1, 0).borders().east < bounds.east
            || cell.neighbour(-1, 0).borders().west > bounds.west;
        if step > 1 && reaches_beyond {
            step -= 1;
            cell = self.centre.cell(step);
        }
        let own = cell.borders();
        let useless = |east: i8, north: i8| {
            step >= 2
                && ((north < 0 && own.south < bounds.south)
                    || (north > 0 && own.north > bounds.north)
                    || (east < 0 && own.west < bounds.west)
                    || (east > 0 && own.east > bounds.east))
        };
        const AROUND: [(i8, i8); 8] =
            [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let mut cells = vec![cell];
        for (east, north) in AROUND {
            let next = cell.neighbour(east, north);
            // Where cells are large, a neighbour may be the same cell as the previous one (other
            // than the centre), which is not searched twice.
            let again = cells.len() > 1 && cells.last() == Some(&next);
            if !useless(east, north) && !again {
                cells.push(next);
            }
        }
        cells
    }

    /// The bounding box in degrees, as wide as its longest parallel needs.
    fn bounds(&self) -> super::hash::Borders {
        let (half_width, half_height) = match self.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let Position { longitude, latitude } = self.centre;
        let up = half_height / EARTH_RADIUS / RADIANS;
        let widest = if latitude < 0.0 { latitude - up } else { latitude + up };
        let aside = half_width / EARTH_RADIUS / libm::cos(widest * RADIANS) / RADIANS;
        super::hash::Borders {
            west: longitude - aside,
            east: longitude + aside,
            south: latitude - up,
            north: latitude + up,
        }
    }

    /// The finest grid step at which a cell and its neighbours cover the area.
    fn step(&self) -> u32 {
        let mut range = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        if range == 0.0 {
            return FINEST;
        }
        let mut step = 1i32;
        // A bounded loop: even the smallest double reaches the size of the map after 1,100
        // doublings.
        while range < HALF_MAP {
            range *= 2.0;
            step += 1;
        }
        step -= 2;
        // Cells are narrower towards the poles.
        let latitude = self.centre.latitude.abs();
        if latitude > 66.0 {
            step -= 1;
        }
        if latitude > 80.0 {
            step -= 1;
        }
        step.clamp(1, FINEST as i32) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn distances_are_those_of_the_documentation() {
        let palermo = Position::of_score(3479099956230698.0);
        let catania = Position::of_score(3479447370796909.0);
        assert_eq!(format!("{:.4}", distance(palermo, catania)), "166274.1516");
        assert_eq!(distance(palermo, palermo), 0.0);
    }

    #[test]
    fn a_small_area_takes_few_cells() {
        let centre = Position::new(13.361389, 38.115556).unwrap();
        let area = Area::new(centre, Shape::Circle { radius: 100.0 });
        let cells = area.cells();
        assert!(cells.len() <= 4, "{cells:?}");
        let found = cells.iter().any(|cell| {
            let (from, to) = cell.scores();
            (from..to).contains(&centre.score())
        });
        assert!(found);
    }

    proptest! {
        #[test]
        fn a_circle_contains_the_positions_that_are_near_enough(
            longitude in -180.0..180.0f64,
            latitude in -85.0..85.0f64,
            (east, north) in (-1.0..1.0f64, -1.0..1.0f64),
            size in 0.0..8.0f64,
            part in 0.0..2.0f64,
        ) {
            let reach = 10f64.powf(-size) * 180.0;
            let centre = Position::new(longitude, latitude).unwrap();
            let position = Position {
                longitude: (longitude + east * reach).clamp(-180.0, 180.0),
                latitude: (latitude + north * reach).clamp(-85.0, 85.0),
            };
            let distance = distance(centre, position);
            for radius in [distance, distance * part] {
                let within = Area::new(centre, Shape::Circle { radius }).distance_within(position);
                prop_assert_eq!(within, (distance <= radius).then_some(distance));
            }
        }
    }
}
