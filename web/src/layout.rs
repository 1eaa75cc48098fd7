//! Where bodies lie on the map: computed, deterministic, and stable.
//!
//! The same topology always lies the same way, whatever happens to it. Requests flow in reading
//! direction where there is room for it: clients on the left (or on top, on a tall screen),
//! servers in the middle, the person on the right. A few servers stand in a column, a dozen on a
//! ring with the person in its middle, many in staggered rows, each with its client at its side.

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
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// The point a part `t` of the way to another.
    pub(crate) fn toward(self, other: Point, t: f64) -> Point {
        Point::new(self.x + (other.x - self.x) * t, self.y + (other.y - self.y) * t)
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

/// Places for the seats, in their order.
pub(crate) fn place(seats: &[Seat], room: Room) -> Vec<Point> {
    let of = |kind| -> Vec<usize> { (0..seats.len()).filter(|&i| seats[i].kind == kind).collect() };
    let (servers, clients, shells) = (of(Kind::Server), of(Kind::Client), of(Kind::Shell));
    let mut places = vec![Point::default(); seats.len()];
    match servers.len() {
        0..=3 => flow(&mut places, &servers, &clients, &shells, room),
        4..=16 => ring(&mut places, seats, &servers, &clients, &shells, room),
        _ => rows(&mut places, seats, &servers, &clients, &shells, room),
    }
    places
}

/// Clients in a column, servers in the next, the person in the last.
fn flow(places: &mut [Point], servers: &[usize], clients: &[usize], shells: &[usize], room: Room) {
    let column = |places: &mut [Point], members: &[usize], x: f64, gap: f64, bend: f64| {
        for (i, &member) in members.iter().enumerate() {
            let along = i as f64 - (members.len() as f64 - 1.0) / 2.0;
            let at = Point::new(x + bend * along * along, along * gap);
            // A tall room holds the same picture, turned: clients on top, the person below.
            places[member] = if room == Room::Wide { at } else { at.transposed() };
        }
    };
    let (apart, server_gap, client_gap) = match room {
        Room::Wide => (330.0, 122.0, 122.0),
        Room::Tall => (170.0, 124.0, 124.0),
    };
    let client_gap = if clients.len() > 4 { 74.0 } else { client_gap };
    column(places, servers, 0.0, server_gap, 0.0);
    column(places, clients, -apart, client_gap, if servers.len() == 1 { 26.0 } else { 0.0 });
    column(places, shells, apart, client_gap, 0.0);
}

/// Servers on an ellipse; a client with one server outside of it, others in its middle.
fn ring(
    places: &mut [Point],
    seats: &[Seat],
    servers: &[usize],
    clients: &[usize],
    shells: &[usize],
    room: Room,
) {
    let n = servers.len() as f64;
    let (rx, ry) = match room {
        Room::Wide => ((44.0 * n).max(230.0), (13.0 * n).max(140.0)),
        Room::Tall => ((12.0 * n).max(130.0), (40.0 * n).max(210.0)),
    };
    let angles = even_angles(servers.len(), rx, ry);
    let at = |angle: f64, rx: f64, ry: f64| Point::new(rx * angle.cos(), ry * angle.sin());
    for (&server, &angle) in servers.iter().zip(&angles) {
        places[server] = at(angle, rx, ry);
    }
    let (outer, inner) = split_by_targets(seats, clients);
    let mut seen = vec![0u32; seats.len()];
    for (client, server) in outer {
        // Outwards from the server until nothing covers anything; the second one beyond the first.
        let from = places[server];
        let nth = f64::from(seen[server]);
        seen[server] += 1;
        let (x, y) = (from.x / rx, from.y / ry);
        let length = x.hypot(y).max(0.01);
        let (ux, uy) = (x / length, y / length);
        let high = if uy > 0.0 { 108.0 } else { 88.0 };
        let away = (98.0 / ux.abs().max(0.01)).min(high / uy.abs().max(0.01)) + nth * 110.0;
        places[client] = Point::new(from.x + ux * away, from.y + uy * away);
    }
    // Whoever talks to several stands in the middle, along the longer axis.
    let middle: Vec<usize> = inner.iter().chain(shells).copied().collect();
    for (i, &body) in middle.iter().enumerate() {
        let along = (i as f64 - (middle.len() as f64 - 1.0) / 2.0) * 76.0;
        places[body] = match room {
            Room::Wide => Point::new(along, 0.0),
            Room::Tall => Point::new(0.0, along),
        };
    }
}

/// Angles from the top, clockwise, that divide the circumference of an ellipse evenly.
fn even_angles(n: usize, rx: f64, ry: f64) -> Vec<f64> {
    const PARTS: usize = 720;
    let start = -core::f64::consts::FRAC_PI_2;
    let angle = |part: usize| start + part as f64 / PARTS as f64 * core::f64::consts::TAU;
    let mut lengths = Vec::with_capacity(PARTS + 1);
    let mut total = 0.0;
    lengths.push(0.0);
    for part in 0..PARTS {
        let (a, b) = (angle(part), angle(part + 1));
        total += (rx * (b.cos() - a.cos())).hypot(ry * (b.sin() - a.sin()));
        lengths.push(total);
    }
    (0..n)
        .map(|i| {
            let wanted = total * i as f64 / n as f64;
            angle(lengths.partition_point(|&length| length < wanted))
        })
        .collect()
}

/// Servers in staggered rows, each with its clients at its upper left.
fn rows(
    places: &mut [Point],
    seats: &[Seat],
    servers: &[usize],
    clients: &[usize],
    shells: &[usize],
    room: Room,
) {
    const WIDE: f64 = 168.0;
    const HIGH: f64 = 112.0;
    // The number of columns depends on a class of size only, so that one server more keeps the
    // others where they are.
    let class = servers.len().div_ceil(16) * 16;
    let columns = match room {
        Room::Wide => ((class as f64 * 2.1).sqrt().round() as usize).max(4),
        Room::Tall => ((class as f64 * 0.36).sqrt().round() as usize).max(3),
    };
    let height = servers.len().div_ceil(columns) as f64;
    let seat = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        let stagger = if row % 2 == 1 { WIDE / 2.0 } else { 0.0 };
        Point::new(
            (column as f64 - (columns as f64 - 1.0) / 2.0) * WIDE + stagger - WIDE / 4.0,
            (row as f64 - (height - 1.0) / 2.0) * HIGH,
        )
    };
    for (i, &server) in servers.iter().enumerate() {
        places[server] = seat(i);
    }
    let (beside, free) = split_by_targets(seats, clients);
    let mut seen = vec![0u32; seats.len()];
    for (client, server) in beside {
        let nth = f64::from(seen[server]);
        seen[server] += 1;
        let from = places[server];
        places[client] = Point::new(from.x - 82.0, from.y - 18.0 + nth * 44.0);
    }
    // Whoever has no place of its own takes the seats after the last server.
    for (i, &body) in shells.iter().chain(&free).enumerate() {
        places[body] = seat(servers.len() + i);
    }
}

/// Clients that talk to one server, with it; and the others.
fn split_by_targets(seats: &[Seat], clients: &[usize]) -> (Vec<(usize, usize)>, Vec<usize>) {
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for &client in clients {
        match seats[client].talks_to[..] {
            [server] => one.push((client, server)),
            _ => many.push(client),
        }
    }
    (one, many)
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

    /// `n` servers with a client each, and a person's terminals.
    fn pairs(n: usize) -> Vec<Seat> {
        let servers = (0..n).map(|_| Seat { kind: Kind::Server, talks_to: vec![] });
        let clients = (0..n).map(|i| Seat { kind: Kind::Client, talks_to: vec![i] });
        let shell = Seat { kind: Kind::Shell, talks_to: vec![0] };
        servers.chain(clients).chain([shell]).collect()
    }

    /// `n` servers with `m` clients that talk to all of them.
    fn mesh(n: usize, m: usize) -> Vec<Seat> {
        let servers = (0..n).map(|_| Seat { kind: Kind::Server, talks_to: vec![] });
        let clients = (0..m).map(|_| Seat { kind: Kind::Client, talks_to: (0..n).collect() });
        let shell = Seat { kind: Kind::Shell, talks_to: vec![0] };
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
