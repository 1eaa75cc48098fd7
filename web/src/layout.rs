//! Where bodies lie on the map: computed, deterministic, and stable.
//!
//! The same topology always lies the same way, whatever happens to it. Requests flow in reading
//! direction where there is room for it: clients on the left (or on top, on a tall screen),
//! servers in the middle, the person on the right. A few servers stand in a column, a dozen on a
//! ring with the person in its middle, many in staggered rows, each with its client at its side.
//! Servers that replicate stand in the order in which data flows: who writes, the primary, its
//! replicas, theirs, and who reads. Machines with several servers stand abreast.

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

/// Places for the seats, in their order.
pub(crate) fn place(seats: &[Seat], room: Room) -> Vec<Point> {
    let of = |kind| -> Vec<usize> { (0..seats.len()).filter(|&i| seats[i].kind == kind).collect() };
    let (servers, clients, shells) = (of(Kind::Server), of(Kind::Client), of(Kind::Shell));
    let mut places = vec![Point::default(); seats.len()];
    let any = |has: fn(&Seat) -> bool| seats.iter().any(has);
    match servers.len() {
        _ if any(|seat| seat.machine.is_some()) => {
            racks(&mut places, seats, &servers, &clients, &shells, room);
        }
        _ if any(|seat| seat.home.is_some()) => {
            streams(&mut places, seats, &servers, &clients, &shells, room);
        }
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

/// Servers in the direction of their streams: primary, replicas, theirs.
fn streams(
    places: &mut [Point],
    seats: &[Seat],
    servers: &[usize],
    clients: &[usize],
    shells: &[usize],
    room: Room,
) {
    // From one to the next in the direction of the stream, and between two that stand abreast.
    let (along, abreast) = match room {
        Room::Wide => (220.0, 128.0),
        Room::Tall => (150.0, 116.0),
    };
    let followers = |of: Option<usize>| -> Vec<usize> {
        servers.iter().copied().filter(|&server| seats[server].home == of).collect()
    };
    // Places as if the room were wide: x with the stream, y across it.
    let mut at = vec![Point::default(); seats.len()];
    let roots = followers(None);
    let mut row: Vec<usize> = Vec::new();
    for (i, &root) in roots.iter().enumerate() {
        at[root] = Point::new(0.0, (i as f64 - (roots.len() as f64 - 1.0) / 2.0) * 3.0 * abreast);
        row.push(root);
    }
    let mut furthest: f64 = 0.0;
    while !row.is_empty() {
        let mut next = Vec::new();
        for &server in &row {
            let followers = followers(Some(server));
            // More than a few stand in two staggered columns, so that they take less height.
            let staggered = followers.len() > 3;
            let gap = if staggered { abreast * 0.58 } else { abreast };
            for (i, &follower) in followers.iter().enumerate() {
                let across = (i as f64 - (followers.len() as f64 - 1.0) / 2.0) * gap;
                let step = if staggered && i % 2 == 1 { along * 1.75 } else { along };
                at[follower] = Point::new(at[server].x + step, at[server].y + across);
                furthest = furthest.max(at[follower].x);
                next.push(follower);
            }
        }
        row = next;
    }
    let mut seen = vec![0usize; seats.len()];
    for &client in clients {
        let server = match seats[client].talks_to[..] {
            [server, ..] => server,
            [] => roots.first().copied().unwrap_or_default(),
        };
        let number = seen[server];
        seen[server] += 1;
        let of_root = clients.iter().filter(|&&c| seats[c].talks_to.first() == Some(&server));
        let spread = number as f64 - (of_root.count() as f64 - 1.0) / 2.0;
        let from = at[server];
        at[client] = if seats[server].home.is_none() {
            Point::new(from.x - along * 0.9, from.y + spread * abreast * 0.75)
        } else if followers(Some(server)).is_empty() {
            Point::new(furthest + along * 0.72, from.y + spread * 50.0)
        } else {
            // Beside one that has replicas of its own, out of the way of its stream.
            Point::new(from.x + spread * 70.0, from.y + abreast)
        };
    }
    for (i, &shell) in shells.iter().enumerate() {
        at[shell] = Point::new(-along * 0.25, abreast * 1.05 + i as f64 * 70.0);
    }
    for (place, at) in places.iter_mut().zip(at) {
        *place = if room == Room::Wide { at } else { at.transposed() };
    }
}

/// Machines abreast, each with its servers side by side; in a tall room one below the other.
/// Who writes stands on one side of them, who reads on the other.
fn racks(
    places: &mut [Point],
    seats: &[Seat],
    servers: &[usize],
    clients: &[usize],
    shells: &[usize],
    room: Room,
) {
    const APART: f64 = 124.0;
    let count = seats.iter().filter_map(|seat| seat.machine).max().map_or(1, |last| last + 1);
    let on = |machine: usize| -> Vec<usize> {
        servers.iter().copied().filter(|&s| seats[s].machine == Some(machine)).collect()
    };
    let most = (0..count).map(|machine| on(machine).len()).max().unwrap_or(1) as f64;
    // From one machine to the next.
    let step = match room {
        Room::Wide => Point::new(most * APART + 84.0, 0.0),
        Room::Tall => Point::new(0.0, 176.0),
    };
    for machine in 0..count {
        let on = on(machine);
        let nth = machine as f64 - (count as f64 - 1.0) / 2.0;
        for (i, &server) in on.iter().enumerate() {
            let x = (i as f64 - (on.len() as f64 - 1.0) / 2.0) * APART;
            // Every other machine a little lower, so that a stream between two that are no
            // neighbours passes beside the one between them.
            let y = if room == Room::Wide && machine % 2 == 1 { 74.0 } else { 0.0 };
            places[server] = Point::new(step.x * nth + x, step.y * nth + y);
        }
    }
    for &client in clients {
        let server = seats[client].talks_to.first().copied().unwrap_or_default();
        let at = places[server];
        let writes = seats[server].home.is_none();
        places[client] = match (room, writes) {
            (Room::Wide, true) => Point::new(at.x, at.y - 128.0),
            (Room::Wide, false) => Point::new(at.x, at.y + 132.0),
            (Room::Tall, true) => Point::new(at.x - 96.0, at.y),
            (Room::Tall, false) => Point::new(at.x + 96.0, at.y),
        };
    }
    let last = places.iter().fold(0.0f64, |last, at| last.max(at.x));
    for (i, &shell) in shells.iter().enumerate() {
        let nth = i as f64 * 76.0;
        places[shell] = match room {
            Room::Wide => Point::new(last + 150.0, nth),
            Room::Tall => Point::new(nth, step.y * count as f64 / 2.0 + 40.0),
        };
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
    for (&server, at) in servers.iter().zip(evenly(servers.len(), rx, ry)) {
        places[server] = at;
    }
    let (outer, inner) = split_by_targets(seats, clients);
    let mut seen = vec![0u32; seats.len()];
    for (client, server) in outer {
        // Outwards from the server until nothing covers anything; the second one beyond the first.
        let from = places[server];
        let nth = f64::from(seen[server]);
        seen[server] += 1;
        let (x, y) = (from.x / rx, from.y / ry);
        let away = length(x, y).max(0.01);
        let (ux, uy) = (x / away, y / away);
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

/// Points of an ellipse from the top, clockwise, that divide its circumference evenly.
fn evenly(n: usize, rx: f64, ry: f64) -> Vec<Point> {
    const PARTS: usize = 720;
    // Sine and cosine of one part of a turn; the page has no other use for such functions.
    const SIN: f64 = 0.008_726_535_498_373_935;
    const COS: f64 = 0.999_961_923_064_171_3;
    let (mut points, mut lengths) = (Vec::new(), Vec::new());
    let ((mut x, mut y), mut total) = ((0.0, -1.0), 0.0);
    for _ in 0..PARTS {
        points.push(Point::new(rx * x, ry * y));
        lengths.push(total);
        let next = (x * COS - y * SIN, x * SIN + y * COS);
        total += length(rx * (next.0 - x), ry * (next.1 - y));
        (x, y) = next;
    }
    (0..n)
        .map(|i| {
            let wanted = total * i as f64 / n as f64;
            let at = lengths.partition_point(|&length| length < wanted);
            points[at.min(PARTS - 1)]
        })
        .collect()
}

fn length(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
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
