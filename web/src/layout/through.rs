//! The layout for requests through a proxy, in reading direction: clients, proxies, servers, their
//! replicas and Sentinels, and the person below.

use super::{Input, Point, Room};

/// Lays out clients, proxies, primaries, replicas and Sentinels in columns, on a tall screen in
/// rows.
pub(crate) fn columns(input: &Input<'_>) -> Vec<Point> {
    let &Input { nodes, room, ref servers, ref proxies, ref clients, .. } = input;
    let (apart, abreast) = match room {
        Room::Wide => (210.0, 128.0),
        Room::Tall => (150.0, 116.0),
    };
    let (replicas, primaries): (Vec<usize>, Vec<usize>) =
        servers.iter().copied().partition(|&server| nodes[server].home.is_some());
    let (first, second) = match (replicas.is_empty(), primaries.len()) {
        // Too many for one column.
        (true, 5..) => {
            let (first, second) = primaries.split_at(primaries.len() / 2);
            (first.to_vec(), second.to_vec())
        }
        _ => (primaries, replicas),
    };
    let all = [clients, proxies, &first, &second, &input.sentinels];
    let mut places = vec![Point::default(); nodes.len()];
    let mut lowest: f64 = 0.0;
    let mut put = |member: usize, x: f64, y: f64| {
        let at = Point::new(x, y);
        places[member] = if room == Room::Wide { at } else { at.transposed() };
    };
    let mut x = 0.0;
    for column in all.into_iter().filter(|column| !column.is_empty()) {
        for (i, &member) in column.iter().enumerate() {
            let y = (i as f64 - (column.len() as f64 - 1.0) / 2.0) * abreast;
            lowest = lowest.max(y);
            put(member, x, y);
        }
        x += apart;
    }
    for (i, &shell) in input.shells.iter().enumerate() {
        match room {
            Room::Wide => put(shell, apart * 0.5, lowest + 30.0 + i as f64 * 76.0),
            // Beside the proxy, so that its line does not pass under bodies further down; above the
            // row if there are several, so that its line to one does not cross another.
            Room::Tall if !proxies.is_empty() => {
                let beside = (proxies.len() - 1) as f64 / 2.0;
                // A terminal on the machine of a proxy is in the proxy's row: otherwise the plate
                // around both would reach up to the clients.
                let machine = nodes[shell].machine;
                let shares = proxies.iter().any(|&proxy| nodes[proxy].machine == machine);
                let above = proxies.len() > 1 && !(machine.is_some() && shares);
                let row = if above { apart * 0.5 } else { apart };
                put(shell, row, (beside + i as f64 + 1.2) * abreast);
            }
            Room::Tall => put(shell, x, i as f64 * 76.0),
        }
    }
    places
}
