//! Layouts for servers that replicate, in the direction of the data flow: writers, the primary, its
//! replicas, theirs, and readers. Machines with several servers are side by side.

use super::{Input, Part, Point, Room, guests};

/// Lays out servers in the direction of their streams: primary, replicas, theirs.
pub(crate) fn streams(input: &Input<'_>) -> Vec<Point> {
    let &Input { nodes, room, ref servers, ref clients, ref shells, .. } = input;
    let (along, abreast) = steps(room);
    let followers = |of: Option<usize>| -> Vec<usize> {
        servers.iter().copied().filter(|&server| nodes[server].home == of).collect()
    };
    // Computed for a wide room: x along the stream, y across it.
    let mut at = vec![Point::default(); nodes.len()];
    let roots = followers(None);
    // Shards are side by side, as far apart as the one with the most replicas needs.
    let most = roots.iter().map(|&root| followers(Some(root)).len()).max().unwrap_or(1).max(1);
    let apart = abreast * (most as f64 + 0.15);
    let mut row: Vec<usize> = Vec::new();
    for (i, &root) in roots.iter().enumerate() {
        at[root] = Point::new(0.0, (i as f64 - (roots.len() as f64 - 1.0) / 2.0) * apart);
        row.push(root);
    }
    let lowest = row.iter().fold(0.0, |lowest, &root| f64::max(lowest, at[root].y));
    let mut furthest: f64 = 0.0;
    while !row.is_empty() {
        let mut next = Vec::new();
        for &server in &row {
            let followers = followers(Some(server));
            for (&follower, step) in followers.iter().zip(fan(followers.len(), room)) {
                at[follower] = Point::new(at[server].x + step.x, at[server].y + step.y);
                furthest = furthest.max(at[follower].x);
                next.push(follower);
            }
        }
        row = next;
    }
    let mut seen = vec![0usize; nodes.len()];
    for &client in clients {
        let server = match nodes[client].talks_to[..] {
            [server, ..] => server,
            [] => roots.first().copied().unwrap_or_default(),
        };
        let number = seen[server];
        seen[server] += 1;
        let of_root = clients.iter().filter(|&&c| nodes[c].talks_to.first() == Some(&server));
        let spread = number as f64 - (of_root.count() as f64 - 1.0) / 2.0;
        let from = at[server];
        at[client] = if nodes[server].home.is_none() {
            Point::new(from.x - along * 0.9, from.y + spread * abreast * 0.75)
        } else if followers(Some(server)).is_empty() {
            Point::new(furthest + along * 0.72, from.y + spread * 50.0)
        } else {
            // A reader of a server with replicas is beside it, out of the way of its stream.
            Point::new(from.x + spread * 70.0, from.y + abreast)
        };
    }
    for (i, &shell) in shells.iter().enumerate() {
        at[shell] = Point::new(-along * 0.25, lowest + abreast * 1.05 + i as f64 * 70.0);
    }
    if room == Room::Tall {
        at.iter_mut().for_each(|at| *at = at.transposed());
    }
    guests::add(input, &mut at);
    at
}

/// The distances between servers along the stream, and across it.
fn steps(room: Room) -> (f64, f64) {
    match room {
        Room::Wide => (220.0, 128.0),
        Room::Tall => (150.0, 116.0),
    }
}

/// The positions of `n` replicas relative to their primary, for a wide room. A few are side by
/// side. More take the shape of an arrowhead with the outer ones nearer, which needs less height:
/// so links reach each of them without crossing another.
fn fan(n: usize, room: Room) -> Vec<Point> {
    let (along, abreast) = steps(room);
    if n <= 3 {
        let across = |i| (i as f64 - (n as f64 - 1.0) / 2.0) * abreast;
        return (0..n).map(|i| Point::new(along, across(i))).collect();
    }
    let (gap, deeper) = match room {
        Room::Wide => (88.0, 112.0),
        Room::Tall => (66.0, 122.0),
    };
    // With an even number, two in the middle are equally deep.
    let widest = if n.is_multiple_of(2) { abreast } else { gap };
    let middle = (n - 1) as f64 / 2.0;
    (0..n)
        .map(|i| {
            let off = i as f64 - middle;
            let across = off * gap + off.signum() * (widest - gap) / 2.0;
            Point::new(along * 0.64 + i.min(n - 1 - i) as f64 * deeper, across)
        })
        .collect()
}

/// Lays out machines side by side (in a tall room one below the other), each with its servers side
/// by side. Writers are on one side of the machines, readers on the other.
pub(crate) fn racks(input: &Input<'_>) -> Vec<Point> {
    let &Input { nodes, room, ref servers, ref sentinels, ref clients, ref shells, .. } = input;
    let mut places = vec![Point::default(); nodes.len()];
    const APART: f64 = 124.0;
    const LOWER: f64 = 74.0;
    const SECOND: f64 = 112.0;
    // A server alone on its host counts as a machine.
    let mut machines: Vec<Vec<usize>> = Vec::new();
    let residents = sentinels.iter().copied().filter(|&i| nodes[i].machine.is_some());
    for server in servers.iter().copied().chain(residents) {
        let of = |members: &&mut Vec<usize>| {
            nodes[server].machine.is_some() && nodes[members[0]].machine == nodes[server].machine
        };
        match machines.iter_mut().find(of) {
            Some(members) => members.push(server),
            None => machines.push(vec![server]),
        }
    }
    let count = machines.len();
    // The Sentinels of a machine are in a row below its servers.
    let rows = |on: &[usize]| -> [Vec<usize>; 2] {
        let (below, above) = on.iter().partition(|&&i| nodes[i].part == Part::Sentinel);
        [above, below]
    };
    let most = machines.iter().flat_map(|on| rows(on).map(|row| row.len())).max().unwrap_or(1);
    let most = most as f64;
    let watched = machines.iter().any(|on| !rows(on)[1].is_empty());
    let second = if watched { SECOND } else { 0.0 };
    // The distance from one machine to the next.
    let step = match room {
        Room::Wide => Point::new(most * APART + 84.0, 0.0),
        Room::Tall => Point::new(0.0, 176.0 + second),
    };
    for (machine, on) in machines.iter().enumerate() {
        let nth = machine as f64 - (count as f64 - 1.0) / 2.0;
        // Every other machine is a little lower, so that a stream between two that are not adjacent
        // passes beside the one between them.
        let lower = if room == Room::Wide && machine % 2 == 1 { LOWER } else { 0.0 };
        for (row, y) in rows(on).iter().zip([lower, lower + second]) {
            for (i, &resident) in row.iter().enumerate() {
                let x = (i as f64 - (row.len() as f64 - 1.0) / 2.0) * APART;
                places[resident] = Point::new(step.x * nth + x, step.y * nth + y);
            }
        }
    }
    for &client in clients {
        let server = nodes[client].talks_to.first().copied().unwrap_or_default();
        let at = places[server];
        let writes = nodes[server].home.is_none();
        places[client] = match (room, writes) {
            (Room::Wide, true) => Point::new(at.x, -132.0),
            (Room::Wide, false) => Point::new(at.x, LOWER + second + 136.0),
            (Room::Tall, true) => Point::new(at.x - 96.0, at.y),
            (Room::Tall, false) => Point::new(at.x + 96.0, at.y),
        };
    }
    let last = places.iter().fold(0.0f64, |last, at| last.max(at.x));
    for (i, &shell) in shells.iter().enumerate() {
        let nth = i as f64 * 76.0;
        places[shell] = match room {
            Room::Wide => Point::new(last + 150.0, nth),
            // Below the plate of the last machine.
            Room::Tall => Point::new(nth, step.y * (count as f64 - 1.0) / 2.0 + second + 128.0),
        };
    }
    places
}
