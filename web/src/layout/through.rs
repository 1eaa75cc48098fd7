//! Requests that go through a proxy, in reading direction: clients, proxies, servers, what follows
//! or watches these, and the person below.

use super::{Cast, Point, Room};

/// Columns for clients, proxies, primaries, replicas and Sentinels; on a tall screen rows.
pub(crate) fn columns(cast: &Cast<'_>) -> Vec<Point> {
    let &Cast { seats, room, ref servers, ref proxies, ref clients, .. } = cast;
    let (apart, abreast) = match room {
        Room::Wide => (210.0, 128.0),
        Room::Tall => (150.0, 116.0),
    };
    let (replicas, primaries): (Vec<usize>, Vec<usize>) =
        servers.iter().copied().partition(|&server| seats[server].home.is_some());
    let (first, second) = match (replicas.is_empty(), primaries.len()) {
        // Too many for one column.
        (true, 5..) => {
            let (first, second) = primaries.split_at(primaries.len() / 2);
            (first.to_vec(), second.to_vec())
        }
        _ => (primaries, replicas),
    };
    let all = [clients, proxies, &first, &second, &cast.sentinels];
    let mut places = vec![Point::default(); seats.len()];
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
    for (i, &shell) in cast.shells.iter().enumerate() {
        match room {
            Room::Wide => put(shell, apart * 0.5, lowest + 30.0 + i as f64 * 76.0),
            // Beside the proxy, so that no line runs below what stands further down; above the row
            // of several, so that its line to one does not run through another.
            Room::Tall if !proxies.is_empty() => {
                let beside = (proxies.len() - 1) as f64 / 2.0;
                // On the machine of a proxy it stands in the proxy's row: the plate around both
                // would reach up to the clients.
                let machine = seats[shell].machine;
                let shares = proxies.iter().any(|&proxy| seats[proxy].machine == machine);
                let above = proxies.len() > 1 && !(machine.is_some() && shares);
                let row = if above { apart * 0.5 } else { apart };
                put(shell, row, (beside + i as f64 + 1.2) * abreast);
            }
            Room::Tall => put(shell, x, i as f64 * 76.0),
        }
    }
    places
}
