//! Where bodies lie on the map: computed, deterministic, and stable.
//!
//! The same topology always lies the same way, whatever happens to it. Requests flow in reading
//! direction where there is room for it: clients on the left (or on top, on a tall screen),
//! servers in the middle, the person on the right. [`apart`] places servers that know nothing of each
//! other, [`replicated`] those that follow each other.

mod apart;
mod replicated;

/// A point on the map. One unit is one pixel when the map is not scaled.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Point {
    /// To the right.
    pub x: f64,
    /// Downwards.
    pub y: f64,
}

impl Point {
    /// A point.
    pub(crate) const fn new(x: f64, y: f64) -> Self {
        Point { x, y }
    }

    /// The distance to another point.
    pub(crate) fn distance(self, other: Point) -> f64 {
        length(self.x - other.x, self.y - other.y)
    }

    /// The point a part `t` of the way to another.
    pub(crate) fn toward(self, other: Point, t: f64) -> Point {
        Point::new(self.x + (other.x - self.x) * t, self.y + (other.y - self.y) * t)
    }

    /// How an SVG transform turns what points to the right towards another point.
    pub(crate) fn turned_to(self, other: Point) -> String {
        let length = self.distance(other).max(0.01);
        let (cos, sin) = ((other.x - self.x) / length, (other.y - self.y) / length);
        format!("matrix({cos:.3} {sin:.3} {:.3} {cos:.3} 0 0)", -sin)
    }

    fn transposed(self) -> Point {
        Point::new(self.y, self.x)
    }
}

/// What the layout needs to know of a body.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Seat {
    /// What it is.
    pub kind: Kind,
    /// The servers that it talks to, by index into the seats; what a server talks to is ignored.
    pub talks_to: Vec<usize>,
    /// The server whose replica it is by the scenario.
    pub home: Option<usize>,
    /// The machine that it shares with others, by number.
    pub machine: Option<usize>,
}

/// What a body is, as far as its place depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Serves others.
    Server,
    /// Sends requests by itself.
    Client,
    /// A person's terminals.
    Shell,
}

/// The form of the room for the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// Clearly wider than high.
    Wide,
    /// About as high as wide, or higher.
    Tall,
}

impl Room {
    /// The form of a room of so many pixels.
    pub(crate) fn of(width: f64, height: f64) -> Self {
        if width >= height * 1.15 { Room::Wide } else { Room::Tall }
    }
}

/// How far a body's marks reach around its centre: half its width, above, and below (where its
/// name and its line of state stand).
pub(crate) fn extent(kind: Kind) -> (f64, f64, f64) {
    match kind {
        Kind::Server => (50.0, 32.0, 66.0),
        Kind::Client => (30.0, 16.0, 44.0),
        Kind::Shell => (30.0, 18.0, 34.0),
    }
}

/// Who is to be placed, and where.
struct Cast<'a> {
    seats: &'a [Seat],
    room: Room,
    /// Indices into the seats, in their order.
    servers: Vec<usize>,
    clients: Vec<usize>,
    shells: Vec<usize>,
}

/// How much of the way from a body's place in a direction lies over what is drawn of it: a server's
/// plate, another's mark. At most nearly half.
pub(crate) fn over(kind: Kind, dx: f64, dy: f64) -> f64 {
    let (aside, above, below) = match kind {
        Kind::Server => (50.0, 32.0, 78.0),
        Kind::Client => return (13.0 / length(dx, dy).max(0.01)).min(0.45),
        Kind::Shell => return (16.0 / length(dx, dy).max(0.01)).min(0.45),
    };
    let high = if dy < 0.0 { above } else { below };
    (aside / dx.abs().max(0.01)).min(high / dy.abs().max(0.01)).min(0.45)
}

/// Where on the way from one body to another the middle of what is seen of the way lies.
pub(crate) fn middle(a: (Kind, Point), b: (Kind, Point)) -> f64 {
    let (dx, dy) = (b.1.x - a.1.x, b.1.y - a.1.y);
    (over(a.0, dx, dy) + 1.0 - over(b.0, -dx, -dy)) / 2.0
}

/// Places for the seats, in their order.
pub(crate) fn place(seats: &[Seat], room: Room) -> Vec<Point> {
    let of = |kind| -> Vec<usize> { (0..seats.len()).filter(|&i| seats[i].kind == kind).collect() };
    let cast = Cast {
        seats,
        room,
        servers: of(Kind::Server),
        clients: of(Kind::Client),
        shells: of(Kind::Shell),
    };
    let any = |has: fn(&Seat) -> bool| seats.iter().any(has);
    match cast.servers.len() {
        _ if any(|seat| seat.machine.is_some()) => replicated::racks(&cast),
        _ if any(|seat| seat.home.is_some()) => replicated::streams(&cast),
        0..=3 => apart::flow(&cast),
        4..=16 => apart::ring(&cast),
        _ => apart::rows(&cast),
    }
}

/// The plate of a machine: left, top, right and bottom around its bodies' places.
pub(crate) fn plate(members: impl Iterator<Item = Point>) -> (f64, f64, f64, f64) {
    let around = |p: Point| (p.x - 62.0, p.y - 60.0, p.x + 62.0, p.y + 84.0);
    let join = |a: (f64, f64, f64, f64), b: (f64, f64, f64, f64)| {
        (a.0.min(b.0), a.1.min(b.1), a.2.max(b.2), a.3.max(b.3))
    };
    members.map(around).reduce(join).unwrap_or_default()
}

fn length(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}

/// The rectangle around bodies with all their marks: left, top, right, bottom.
pub(crate) fn bounds(seats: &[Seat], places: &[Point]) -> (f64, f64, f64, f64) {
    let mut all: Option<(f64, f64, f64, f64)> = None;
    for (seat, at) in seats.iter().zip(places) {
        let (half, above, below) = extent(seat.kind);
        let one = (at.x - half, at.y - above, at.x + half, at.y + below);
        all =
            Some(all.map_or(one, |(l, t, r, b)| {
                (l.min(one.0), t.min(one.1), r.max(one.2), b.max(one.3))
            }));
    }
    all.unwrap_or((-100.0, -100.0, 100.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(home: Option<usize>, machine: Option<usize>) -> Seat {
        Seat { kind: Kind::Server, talks_to: vec![], home, machine }
    }

    fn other(kind: Kind, talks_to: Vec<usize>) -> Seat {
        Seat { kind, talks_to, home: None, machine: None }
    }

    /// A primary with `n` replicas, two writers, and a reader for each replica.
    fn replicas(n: usize) -> Vec<Seat> {
        let servers = (0..=n).map(|i| server((i > 0).then_some(0), None));
        let writers = (0..2).map(|_| other(Kind::Client, vec![0]));
        let readers = (1..=n).map(|i| other(Kind::Client, vec![i]));
        servers.chain(writers).chain(readers).chain([other(Kind::Shell, vec![0])]).collect()
    }

    /// A primary and a line of `n` replicas.
    fn chain(n: usize) -> Vec<Seat> {
        let servers = (0..=n).map(|i| server(i.checked_sub(1), None));
        let readers = (0..=n).map(|i| other(Kind::Client, vec![i]));
        servers.chain(readers).chain([other(Kind::Shell, vec![0])]).collect()
    }

    /// `n` machines with a primary and the next one's replica.
    fn racks(n: usize) -> Vec<Seat> {
        let servers =
            (0..n).flat_map(|i| [server(None, Some(i)), server(Some((i + 1) % n * 2), Some(i))]);
        let clients = (0..n * 2).map(|i| other(Kind::Client, vec![i]));
        servers.chain(clients).chain([other(Kind::Shell, vec![0])]).collect()
    }

    /// `n` servers with a client each, and a person's terminals.
    fn pairs(n: usize) -> Vec<Seat> {
        let servers = (0..n).map(|_| server(None, None));
        let clients = (0..n).map(|i| other(Kind::Client, vec![i]));
        let shell = other(Kind::Shell, vec![0]);
        servers.chain(clients).chain([shell]).collect()
    }

    /// `n` servers with `m` clients that talk to all of them.
    fn mesh(n: usize, m: usize) -> Vec<Seat> {
        let servers = (0..n).map(|_| server(None, None));
        let clients = (0..m).map(|_| other(Kind::Client, (0..n).collect()));
        let shell = other(Kind::Shell, vec![0]);
        servers.chain(clients).chain([shell]).collect()
    }

    fn overlaps(seats: &[Seat], places: &[Point]) -> Vec<(usize, usize)> {
        let side = |i: usize| {
            let (half, above, below) = extent(seats[i].kind);
            let at: Point = places[i];
            (at.x - half, at.y - above, at.x + half, at.y + below)
        };
        let mut found = Vec::new();
        for i in 0..seats.len() {
            for j in i + 1..seats.len() {
                let (a, b) = (side(i), side(j));
                if a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3 {
                    found.push((i, j));
                }
            }
        }
        found
    }

    #[test]
    fn nothing_overlaps_in_any_topology_or_room() {
        for room in [Room::Wide, Room::Tall] {
            for seats in [1, 2, 3, 4, 6, 12, 16, 17, 48, 64].map(pairs).into_iter().chain([
                mesh(1, 3),
                mesh(3, 6),
                mesh(12, 6),
                mesh(48, 48),
                replicas(1),
                replicas(2),
                replicas(3),
                replicas(5),
                replicas(8),
                chain(2),
                chain(3),
                racks(3),
            ]) {
                let places = place(&seats, room);
                let found = overlaps(&seats, &places);
                assert!(found.is_empty(), "{} seats, {room:?}: {found:?}", seats.len());
            }
        }
    }

    #[test]
    fn the_same_topology_lies_the_same_way() {
        assert_eq!(place(&pairs(48), Room::Wide), place(&pairs(48), Room::Wide));
    }

    #[test]
    fn a_server_more_moves_the_others_little() {
        let (before, after) = (place(&pairs(41), Room::Wide), place(&pairs(42), Room::Wide));
        for i in 0..41 {
            assert_eq!(before[i].x, after[i].x);
            assert!((before[i].y - after[i].y).abs() <= 56.0);
        }
    }
}
