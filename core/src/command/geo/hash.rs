//! Geohashes: the interleaved bits of longitude and latitude, so that nearby positions mostly have
//! nearby numbers.

/// A position: longitude and latitude in degrees, within the range that can be hashed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Position {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// A cell of the grid that divides the map into 2^step × 2^step cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    bits: u64,
    step: u32,
}

/// The borders of a cell in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Borders {
    pub(super) west: f64,
    pub(super) east: f64,
    pub(super) south: f64,
    pub(super) north: f64,
}

/// The finest grid step: 52 bits, which a double holds exactly.
pub(super) const FINEST: u32 = 26;

const LONGITUDES: (f64, f64) = (-180.0, 180.0);
/// The square map of web mercator (EPSG:3857) ends here; the poles cannot be hashed.
const LATITUDES: (f64, f64) = (-85.051_128_78, 85.051_128_78);
/// The latitude range of standard geohash strings.
const STANDARD_LATITUDES: (f64, f64) = (-90.0, 90.0);

const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;
const LONGITUDE_BITS: u64 = 0xAAAA_AAAA_AAAA_AAAA;

impl Position {
    /// A position, if it is within the range that can be hashed.
    pub(super) fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let within = |n: f64, (min, max): (f64, f64)| n >= min && n <= max;
        (within(longitude, LONGITUDES) && within(latitude, LATITUDES))
            .then_some(Position { longitude, latitude })
    }

    /// The centre of the cell that a score encodes.
    pub(super) fn of_score(score: f64) -> Self {
        // Scores that are no geohashes are converted as on x86: negative ones wrap around, and
        // those that are too large become 0.
        const TWO_63: f64 = 9_223_372_036_854_775_808.0;
        let bits = if score < TWO_63 {
            score as i64 as u64
        } else if score < 2.0 * TWO_63 {
            score as u64
        } else {
            0
        };
        let Borders { west, east, south, north } = Cell { bits, step: FINEST }.borders();
        Position {
            longitude: ((west + east) / 2.0).clamp(LONGITUDES.0, LONGITUDES.1),
            latitude: ((south + north) / 2.0).clamp(LATITUDES.0, LATITUDES.1),
        }
    }

    /// The score under which a sorted set stores the position.
    pub(super) fn score(self) -> f64 {
        self.cell(FINEST).bits as f64
    }

    /// The cell that contains it.
    pub(super) fn cell(self, step: u32) -> Cell {
        Cell { bits: self.encode(step, LATITUDES), step }
    }

    /// The 52 bits of the standard geohash.
    pub(super) fn standard_hash(self) -> u64 {
        self.encode(FINEST, STANDARD_LATITUDES)
    }

    fn encode(self, step: u32, latitudes: (f64, f64)) -> u64 {
        let cells = (1u64 << step) as f64;
        let offset = |n: f64, (min, max): (f64, f64)| ((n - min) / (max - min) * cells) as u32;
        spread(offset(self.latitude, latitudes)) | spread(offset(self.longitude, LONGITUDES)) << 1
    }
}

impl Cell {
    /// Its borders.
    pub(super) fn borders(self) -> Borders {
        let cells = (1u64 << self.step) as f64;
        let edge = |n: u32, (min, max): (f64, f64)| min + (f64::from(n) / cells) * (max - min);
        let (row, column) = (gather(self.bits), gather(self.bits >> 1));
        Borders {
            west: edge(column, LONGITUDES),
            east: edge(column.wrapping_add(1), LONGITUDES),
            south: edge(row, LATITUDES),
            north: edge(row.wrapping_add(1), LATITUDES),
        }
    }

    /// The neighbouring cell, `east` columns and `north` rows away, each -1, 0 or 1. It wraps
    /// around at the edges of the map.
    pub(super) fn neighbour(self, east: i8, north: i8) -> Self {
        let mask = u64::MAX >> (64 - 2 * self.step);
        let (longitude, latitude) = (LONGITUDE_BITS & mask, LATITUDE_BITS & mask);
        // The bits of the other coordinate are set before adding, so that carries pass over them,
        // and cleared before subtracting.
        let moved = |own: u64, other: u64, by: i8| match by {
            0 => self.bits & own,
            1.. => (self.bits & own).wrapping_add(other + 1) & own,
            _ => ((self.bits & own) | other).wrapping_sub(other + 1) & own,
        };
        // A position on the eastern or northern edge has one more bit, which stays if that
        // coordinate does not move.
        let keep = |own: u64, all: u64, by: i8| if by == 0 { self.bits & all } else { own };
        let columns = keep(moved(longitude, latitude, east), LONGITUDE_BITS, east);
        let rows = keep(moved(latitude, longitude, north), LATITUDE_BITS, north);
        Cell { bits: columns | rows, step: self.step }
    }

    /// The half-open range of scores of the positions in the cell.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 2 * (FINEST - self.step);
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }
}

/// Interleaves the bits with zeros.
fn spread(n: u32) -> u64 {
    let mut x = u64::from(n);
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, LATITUDE_BITS),
    ] {
        x = (x | x << shift) & mask;
    }
    x
}

/// Extracts every other bit, beginning with the lowest.
fn gather(n: u64) -> u32 {
    let mut x = n & LATITUDE_BITS;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF),
    ] {
        x = (x | x >> shift) & mask;
    }
    x as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_position_has_its_known_score() {
        // Palermo, in the documentation of GEOADD.
        let palermo = Position::new(13.361389, 38.115556).unwrap();
        assert_eq!(palermo.score(), 3479099956230698.0);
    }

    #[test]
    fn the_poles_are_not_on_the_map() {
        assert_eq!(Position::new(0.0, 86.0), None);
        assert_eq!(Position::new(181.0, 0.0), None);
        assert_eq!(Position::new(f64::NAN, 0.0), None);
    }

    proptest! {
        #[test]
        fn a_position_is_found_again(longitude in -180.0..180.0f64, latitude in -85.05..85.05f64) {
            let position = Position::new(longitude, latitude).unwrap();
            let again = Position::of_score(position.score());
            prop_assert!((again.longitude - longitude).abs() < 1e-5);
            prop_assert!((again.latitude - latitude).abs() < 1e-5);
        }

        #[test]
        fn moving_there_and_back_gives_the_same_cell(
            longitude in -180.0..180.0f64,
            latitude in -85.0..85.0f64,
            step in 1u32..=26,
            east in -1i8..=1,
            north in -1i8..=1,
        ) {
            let cell = Position::new(longitude, latitude).unwrap().cell(step);
            prop_assert_eq!(cell.neighbour(east, north).neighbour(-east, -north), cell);
        }

        #[test]
        fn any_score_is_some_position(score: f64) {
            let position = Position::of_score(score);
            prop_assert!(Position::new(position.longitude, position.latitude).is_some());
        }
    }
}
