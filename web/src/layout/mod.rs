//! The layout of the map: a deterministic and stable position for each body.
//!
//! The same topology always has the same layout, whatever happens to it. Requests flow in reading
//! direction where there is room for it: clients on the left (or on top, on a tall screen), servers
//! in the middle, the person on the right. [`apart`] places independent servers, [`replicated`]
//! those that replicate, [`watch`] the Sentinels beside them, [`through`] clients and servers
//! around a proxy, [`guests`] what was started later and has no position in the layout. [`routes`]
//! leads links around bodies between their ends.

pub(crate) mod apart;
pub(crate) mod circle;
mod course;
mod guests;
pub(crate) mod replicated;
mod routes;
pub(crate) mod through;
pub(crate) mod watch;

pub(crate) use course::{Bend, Course};
#[cfg(all(test, feature = "whole"))]
pub(crate) use routes::area;
pub(crate) use routes::bends;

/// A point on the map. One unit is one pixel when the map is not scaled.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Point {
    /// The horizontal coordinate, growing to the right.
    pub x: f64,
    /// The vertical coordinate, growing downwards.
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

    /// The point at a fraction `t` of the way to another.
    pub(crate) fn toward(self, other: Point, t: f64) -> Point {
        Point::new(self.x + (other.x - self.x) * t, self.y + (other.y - self.y) * t)
    }

    /// The SVG transform that turns something from pointing right to pointing at another point.
    pub(crate) fn turned_to(self, other: Point) -> String {
        let length = self.distance(other).max(0.01);
        let (cos, sin) = ((other.x - self.x) / length, (other.y - self.y) / length);
        format!("matrix({cos:.3} {sin:.3} {:.3} {cos:.3} 0 0)", -sin)
    }

    fn transposed(self) -> Point {
        Point::new(self.y, self.x)
    }
}

/// An area of the map: left, top, right and bottom.
pub(crate) type Area = (f64, f64, f64, f64);

/// A body, as the layout needs it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Node {
    /// Its part in the layout.
    pub part: Part,
    /// The space that its mark takes.
    pub outline: &'static Outline,
    /// The servers that a client talks to, by index of their nodes; empty for other bodies.
    pub talks_to: Vec<usize>,
    /// Its primary by the scenario, by index, if it is a replica.
    pub home: Option<usize>,
    /// The machine that it shares with others, by number.
    pub machine: Option<usize>,
}

/// The part of a body in the layout, on which its position depends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// A server.
    Server,
    /// A Sentinel.
    Sentinel,
    /// A proxy.
    Proxy,
    /// A client that sends requests by itself.
    Client,
    /// A person's terminals.
    Shell,
}

/// The shape of the area for the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// Clearly wider than high.
    Wide,
    /// About as high as wide, or higher.
    Tall,
}

impl Room {
    /// The shape of an area, by its size in pixels.
    pub(crate) fn of(width: f64, height: f64) -> Self {
        if width >= height * 1.15 { Room::Wide } else { Room::Tall }
    }
}

/// The space that a body's mark takes around its position.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Outline {
    /// Half its width.
    pub aside: f64,
    /// How far it reaches upwards.
    pub above: f64,
    /// How far it reaches downwards, including its name and its line of state.
    pub below: f64,
    /// Where links end.
    pub rim: Rim,
}

/// The edge of a body's drawing, at which links end.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Rim {
    /// A plate that extends by these distances.
    Plate {
        /// To both sides.
        aside: f64,
        /// Upwards.
        above: f64,
        /// Downwards.
        below: f64,
    },
    /// A mark of this radius.
    Circle(f64),
}

impl Outline {
    /// The fraction of a way from the body's position that is over its drawing, at most 0.45.
    pub(crate) fn over(&self, dx: f64, dy: f64) -> f64 {
        let part = match self.rim {
            Rim::Circle(radius) => radius / length(dx, dy).max(0.01),
            Rim::Plate { aside, above, below } => {
                let high = if dy < 0.0 { above } else { below };
                (aside / dx.abs().max(0.01)).min(high / dy.abs().max(0.01))
            }
        };
        part.min(0.45)
    }
}

/// The input of a layout: the nodes to place, and the shape of the area.
pub(crate) struct Input<'a> {
    nodes: &'a [Node],
    room: Room,
    /// The indices of the nodes of each part, in their order.
    servers: Vec<usize>,
    sentinels: Vec<usize>,
    proxies: Vec<usize>,
    clients: Vec<usize>,
    shells: Vec<usize>,
}

/// A layout: computes the position of every node.
pub(crate) type Layout = fn(&Input<'_>) -> Vec<Point>;

/// Computes the positions of nodes, in their order.
pub(crate) fn place(layout: Layout, nodes: &[Node], room: Room) -> Vec<Point> {
    let of = |part| -> Vec<usize> { (0..nodes.len()).filter(|&i| nodes[i].part == part).collect() };
    layout(&Input {
        nodes,
        room,
        servers: of(Part::Server),
        sentinels: of(Part::Sentinel),
        proxies: of(Part::Proxy),
        clients: of(Part::Client),
        shells: of(Part::Shell),
    })
}

/// The area of a body's mark at a position.
fn mark(node: &Node, at: Point) -> Area {
    let Outline { aside, above, below, .. } = *node.outline;
    (at.x - aside, at.y - above, at.x + aside, at.y + below)
}

/// Whether two areas overlap.
fn cross(a: Area, b: Area) -> bool {
    a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3
}

/// The plate of a machine around the positions of its bodies: left, top, right, bottom.
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

/// The centre of the servers.
pub(crate) fn centre(nodes: &[Node], places: &[Point]) -> Point {
    let mut sum = (0.0, 0.0, 0.0);
    for (_, at) in nodes.iter().zip(places).filter(|(node, _)| node.part == Part::Server) {
        sum = (sum.0 + at.x, sum.1 + at.y, sum.2 + 1.0);
    }
    let count = f64::max(sum.2, 1.0);
    Point::new(sum.0 / count, sum.1 / count)
}

/// The bounding box of all marks and of the plates of machines: left, top, right, bottom.
pub(crate) fn bounds(nodes: &[Node], places: &[Point]) -> (f64, f64, f64, f64) {
    let marks = nodes.iter().zip(places).map(|(node, at)| mark(node, *at));
    let machines = nodes.iter().filter_map(|node| node.machine).max().map_or(0, |last| last + 1);
    let plates = (0..machines).map(|machine| {
        let on = nodes.iter().zip(places).filter(|(node, _)| node.machine == Some(machine));
        plate(on.map(|(_, at)| *at))
    });
    let join = |a: (f64, f64, f64, f64), b: (f64, f64, f64, f64)| {
        (a.0.min(b.0), a.1.min(b.1), a.2.max(b.2), a.3.max(b.3))
    };
    marks.chain(plates).reduce(join).unwrap_or((-100.0, -100.0, 100.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Kind, client, sentinel, server, shell};

    fn server(home: Option<usize>, machine: Option<usize>) -> Node {
        Node { home, machine, ..node(&server::KIND, vec![]) }
    }

    fn node(kind: &'static Kind, talks_to: Vec<usize>) -> Node {
        Node { part: kind.part, outline: &kind.outline, talks_to, home: None, machine: None }
    }

    /// A primary with `n` replicas, two writers, and a reader for each replica.
    fn replicas(n: usize) -> Vec<Node> {
        let servers = (0..=n).map(|i| server((i > 0).then_some(0), None));
        let writers = (0..2).map(|_| node(&client::KIND, vec![0]));
        let readers = (1..=n).map(|i| node(&client::KIND, vec![i]));
        servers.chain(writers).chain(readers).chain([node(&shell::KIND, vec![0])]).collect()
    }

    /// A primary and a line of `n` replicas.
    fn chain(n: usize) -> Vec<Node> {
        let servers = (0..=n).map(|i| server(i.checked_sub(1), None));
        let readers = (0..=n).map(|i| node(&client::KIND, vec![i]));
        servers.chain(readers).chain([node(&shell::KIND, vec![0])]).collect()
    }

    /// `n` machines with a primary and the next one's replica.
    fn racks(n: usize) -> Vec<Node> {
        let servers =
            (0..n).flat_map(|i| [server(None, Some(i)), server(Some((i + 1) % n * 2), Some(i))]);
        let clients = (0..n * 2).map(|i| node(&client::KIND, vec![i]));
        servers.chain(clients).chain([node(&shell::KIND, vec![0])]).collect()
    }

    /// `n` servers with a client each, and a person's terminals.
    fn pairs(n: usize) -> Vec<Node> {
        let servers = (0..n).map(|_| server(None, None));
        let clients = (0..n).map(|i| node(&client::KIND, vec![i]));
        let shell = node(&shell::KIND, vec![0]);
        servers.chain(clients).chain([shell]).collect()
    }

    /// `n` servers with `m` clients that talk to all of them.
    fn mesh(n: usize, m: usize) -> Vec<Node> {
        let servers = (0..n).map(|_| server(None, None));
        let clients = (0..m).map(|_| node(&client::KIND, (0..n).collect()));
        let shell = node(&shell::KIND, vec![0]);
        servers.chain(clients).chain([shell]).collect()
    }

    /// A cluster of `n` primaries with `m` replicas each, on machines of their own; on each of the
    /// machines in `shared` another node was started.
    fn cluster(n: usize, m: usize, shared: &[usize]) -> Vec<Node> {
        let machine = |i: usize| shared.contains(&i).then_some(i);
        let primaries = (0..n).map(|i| server(None, machine(i)));
        let replicas = (n..n * (m + 1)).map(|i| server(Some(i % n), machine(i)));
        let guests = shared.iter().map(|i| server(None, Some(*i)));
        let clients = (0..2).map(|_| node(&client::KIND, (0..n).collect()));
        let shells = [node(&shell::KIND, vec![])];
        primaries.chain(replicas).chain(clients).chain(shells).chain(guests).collect()
    }

    /// Adds `n` Sentinels to other nodes.
    fn with_sentinels(mut nodes: Vec<Node>, n: usize) -> Vec<Node> {
        nodes.extend((0..n).map(|_| node(&sentinel::KIND, vec![])));
        nodes
    }

    fn overlaps(nodes: &[Node], places: &[Point]) -> Vec<(usize, usize)> {
        let side = |i: usize| mark(&nodes[i], places[i]);
        let mut found = Vec::new();
        for i in 0..nodes.len() {
            found.extend((i + 1..nodes.len()).filter(|j| cross(side(i), side(*j))).map(|j| (i, j)));
            // The plate of a machine must not be under the body of another either.
            let machine = nodes[i].machine;
            let members = (0..nodes.len()).filter(|j| nodes[*j].machine == machine);
            if machine.is_some() && members.clone().next() == Some(i) {
                let plate = plate(members.map(|j| places[j]));
                let others = (0..nodes.len()).filter(|j| nodes[*j].machine != machine);
                found.extend(others.filter(|j| cross(plate, side(*j))).map(|j| (i, j)));
            }
        }
        found
    }

    #[test]
    fn nothing_overlaps_in_any_topology_or_room() {
        let apart = |n: usize| -> Layout {
            match n {
                0..=3 => apart::flow,
                4..=16 => apart::ring,
                _ => apart::rows,
            }
        };
        let pairs = [1, 2, 3, 4, 6, 12, 16, 17, 48, 64].map(|n| (apart(n), pairs(n)));
        let meshes = [(1, 3), (3, 6), (12, 6), (48, 48)].map(|(n, m)| (apart(n), mesh(n, m)));
        let streams = [1, 2, 3, 5, 8].map(replicas).into_iter().chain([2, 3].map(chain));
        let all = pairs
            .into_iter()
            .chain(meshes)
            .chain(streams.map(|nodes| (replicated::streams as Layout, nodes)))
            .chain([(replicated::racks as Layout, racks(3))])
            .chain([(watch::over_streams as Layout, with_sentinels(replicas(2), 3))])
            .chain([(watch::over_streams as Layout, with_sentinels(replicas(2), 5))])
            .chain([(watch::over_racks as Layout, with_sentinels(racks(3), 3))]);
        let clusters = [
            cluster(3, 1, &[]),
            cluster(6, 1, &[]),
            cluster(7, 1, &[]),
            cluster(1, 2, &[]),
            cluster(2, 1, &[]),
            cluster(5, 2, &[]),
            cluster(6, 2, &[]),
            cluster(3, 1, &[0]),
            cluster(3, 1, &[3]),
            cluster(4, 1, &[5]),
            cluster(6, 1, &[2]),
            cluster(6, 1, &[11]),
            cluster(3, 0, &[0, 0]),
        ];
        let clusters = clusters.into_iter().map(|nodes| (circle::cluster as Layout, nodes));
        for (layout, nodes) in all.chain(clusters) {
            for room in [Room::Wide, Room::Tall] {
                let places = place(layout, &nodes, room);
                let found = overlaps(&nodes, &places);
                assert!(found.is_empty(), "{} nodes, {room:?}: {found:?}", nodes.len());
            }
        }
    }

    #[test]
    fn sentinels_and_proxies_that_are_started_later_cover_nothing() {
        let sentinel = |machine| Node { machine, ..node(&sentinel::KIND, vec![]) };
        let proxy = |machine| Node { part: Part::Proxy, ..sentinel(machine) };
        // A Sentinel on the machine of one of three servers.
        let service = vec![
            server(None, Some(0)),
            server(None, None),
            server(None, None),
            node(&shell::KIND, vec![0]),
            sentinel(Some(0)),
        ];
        // A machine with a primary, two replicas, three Sentinels and a proxy.
        let mut machine: Vec<Node> =
            (0..3).map(|i| server((i > 0).then_some(0), Some(0))).collect();
        machine.extend((0..3).map(|_| sentinel(Some(0))));
        machine.extend([proxy(Some(0)), node(&shell::KIND, vec![0])]);
        // Both on hosts of their own.
        let mut beside = pairs(3);
        beside.extend([sentinel(None), sentinel(None), proxy(None)]);
        for layout in [apart::flow as Layout, replicated::streams] {
            for nodes in [&service, &machine, &beside] {
                for room in [Room::Wide, Room::Tall] {
                    let found = overlaps(nodes, &place(layout, nodes, room));
                    assert!(found.is_empty(), "{} nodes, {room:?}: {found:?}", nodes.len());
                }
            }
        }
    }

    #[test]
    fn the_same_topology_lies_the_same_way() {
        let rows = || place(apart::rows, &pairs(48), Room::Wide);
        assert_eq!(rows(), rows());
    }

    #[test]
    fn a_server_more_moves_the_others_little() {
        let rows = |n| place(apart::rows, &pairs(n), Room::Wide);
        let (before, after) = (rows(41), rows(42));
        for i in 0..41 {
            assert_eq!(before[i].x, after[i].x);
            assert!((before[i].y - after[i].y).abs() <= 56.0);
        }
    }
}
