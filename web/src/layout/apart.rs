//! Layouts for independent servers: a few in a column, a dozen on a ring with the person in its
//! middle, many in staggered rows, each with its client beside it.

use super::{Input, Node, Point, Room, guests, length};

/// Clients in a column, servers in the next, the person in the last.
pub(crate) fn flow(input: &Input<'_>) -> Vec<Point> {
    let &Input { nodes, room, ref servers, ref clients, ref shells, .. } = input;
    let mut places = vec![Point::default(); nodes.len()];
    let column = |places: &mut [Point], members: &[usize], x: f64, gap: f64, bend: f64| {
        for (i, &member) in members.iter().enumerate() {
            let along = i as f64 - (members.len() as f64 - 1.0) / 2.0;
            let at = Point::new(x + bend * along * along, along * gap);
            // In a tall room the same picture is turned: clients on top, the person below.
            places[member] = if room == Room::Wide { at } else { at.transposed() };
        }
    };
    let (apart, server_gap, client_gap) = match room {
        Room::Wide => (330.0, 122.0, 122.0),
        Room::Tall => (170.0, 124.0, 124.0),
    };
    let client_gap = if clients.len() > 4 { 74.0 } else { client_gap };
    column(&mut places, servers, 0.0, server_gap, 0.0);
    column(&mut places, clients, -apart, client_gap, if servers.len() == 1 { 26.0 } else { 0.0 });
    column(&mut places, shells, apart, client_gap, 0.0);
    guests::add(input, &mut places);
    places
}

/// Servers on an ellipse; a client with one server outside of it, others in its middle.
pub(crate) fn ring(input: &Input<'_>) -> Vec<Point> {
    let &Input { nodes, room, ref servers, ref clients, ref shells, .. } = input;
    let mut places = vec![Point::default(); nodes.len()];
    let n = servers.len() as f64;
    let (rx, ry) = match room {
        Room::Wide => ((44.0 * n).max(230.0), (13.0 * n).max(140.0)),
        Room::Tall => ((12.0 * n).max(130.0), (40.0 * n).max(210.0)),
    };
    for (&server, at) in servers.iter().zip(evenly(servers.len(), rx, ry)) {
        places[server] = at;
    }
    let (outer, inner) = split_by_targets(nodes, clients);
    let mut seen = vec![0u32; nodes.len()];
    for (client, server) in outer {
        // Moves outwards from the server until nothing overlaps; the second client beyond the
        // first.
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
    // Clients of several servers are in the middle, along the longer axis.
    let middle: Vec<usize> = inner.iter().chain(shells).copied().collect();
    for (i, &body) in middle.iter().enumerate() {
        let along = (i as f64 - (middle.len() as f64 - 1.0) / 2.0) * 76.0;
        places[body] = match room {
            Room::Wide => Point::new(along, 0.0),
            Room::Tall => Point::new(0.0, along),
        };
    }
    guests::add(input, &mut places);
    places
}

/// `n` points that divide the circumference of an ellipse evenly, clockwise from the top.
fn evenly(n: usize, rx: f64, ry: f64) -> Vec<Point> {
    const PARTS: usize = 720;
    // Sine and cosine of one step as constants: the page uses trigonometric functions nowhere else.
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

/// Servers in staggered rows, each with its clients at its upper left.
pub(crate) fn rows(input: &Input<'_>) -> Vec<Point> {
    let &Input { nodes, room, ref servers, ref clients, ref shells, .. } = input;
    let mut places = vec![Point::default(); nodes.len()];
    const WIDE: f64 = 168.0;
    const HIGH: f64 = 112.0;
    // The number of columns only changes every 16 servers, so that one server more keeps the others
    // where they are.
    let class = servers.len().div_ceil(16) * 16;
    let columns = match room {
        Room::Wide => ((class as f64 * 2.1).sqrt().round() as usize).max(4),
        Room::Tall => ((class as f64 * 0.36).sqrt().round() as usize).max(3),
    };
    let height = servers.len().div_ceil(columns) as f64;
    let spot = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        let stagger = if row % 2 == 1 { WIDE / 2.0 } else { 0.0 };
        Point::new(
            (column as f64 - (columns as f64 - 1.0) / 2.0) * WIDE + stagger - WIDE / 4.0,
            (row as f64 - (height - 1.0) / 2.0) * HIGH,
        )
    };
    for (i, &server) in servers.iter().enumerate() {
        places[server] = spot(i);
    }
    let (beside, free) = split_by_targets(nodes, clients);
    let mut seen = vec![0u32; nodes.len()];
    for (client, server) in beside {
        let nth = f64::from(seen[server]);
        seen[server] += 1;
        let from = places[server];
        places[client] = Point::new(from.x - 82.0, from.y - 18.0 + nth * 44.0);
    }
    // Other bodies take the positions after the last server.
    for (i, &body) in shells.iter().chain(&free).enumerate() {
        places[body] = spot(servers.len() + i);
    }
    guests::add(input, &mut places);
    places
}

/// Splits clients into those that talk to one server, each with that server, and the others.
fn split_by_targets(nodes: &[Node], clients: &[usize]) -> (Vec<(usize, usize)>, Vec<usize>) {
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for &client in clients {
        match nodes[client].talks_to[..] {
            [server] => one.push((client, server)),
            _ => many.push(client),
        }
    }
    (one, many)
}
