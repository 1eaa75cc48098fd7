//! The routes of a scene's links on the map.

use limpid_core::sorted::{SortedMap, SortedSet};

use crate::layout::{self, Bend, Course, Point};
use crate::scene::Scene;
use crate::units::BodyId;

/// The bend of each link of a scene, chosen so that it crosses no body but those at its ends.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Routes(SortedMap<(BodyId, BodyId), Bend>);

impl Routes {
    /// Computes the routes of a scene; `places` are the positions of its bodies, in their order.
    pub(crate) fn of(scene: &Scene, places: &[Point]) -> Self {
        let index = |id: BodyId| scene.bodies.iter().position(|body| body.id == id);
        let nodes = scene.layout_nodes();
        let pairs = pairs(scene);
        let links = pairs.iter().filter_map(|&(a, b)| Some((index(a)?, index(b)?)));
        let bends = layout::bends(&nodes, places, links);
        let id = |index: usize| scene.bodies[index].id;
        Routes(bends.into_iter().map(|((a, b), bend)| ((id(a), id(b)), bend)).collect())
    }

    /// Whether these are the routes of all links of a scene.
    pub(crate) fn are_of(&self, scene: &Scene) -> bool {
        pairs(scene).iter().eq(self.0.keys())
    }

    /// The course between two bodies. It is straight if there is no link.
    pub(crate) fn course(&self, a: (BodyId, Point), b: (BodyId, Point)) -> Course {
        let forth = self.0.get(&(a.0, b.0)).copied();
        let back = || self.0.get(&(b.0, a.0)).map(|bend| bend.back());
        Course::bent(a.1, b.1, forth.or_else(back).unwrap_or(Bend::STRAIGHT))
    }
}

/// The pairs of bodies between which something is drawn: links, and replication without a link.
fn pairs(scene: &Scene) -> SortedSet<(BodyId, BodyId)> {
    let links = scene.links.iter().map(|link| (link.a, link.b));
    let follows = scene.follows.iter().map(|follow| (follow.from, follow.to));
    links.chain(follows).map(|(a, b)| (a.min(b), a.max(b))).collect()
}

#[cfg(all(test, feature = "whole"))]
mod tests {
    use std::path::Path;

    use limpid_core::lesson::Lesson;

    use super::*;
    use crate::lab::{Lab, Topology};
    use crate::layout::{Node, Part, Room};

    /// Every topology, and the World of every lesson.
    fn stages() -> Vec<Topology> {
        let mut stages: Vec<Topology> = Topology::all().collect();
        let lessons = Path::new(env!("CARGO_MANIFEST_DIR")).join("../static/lessons/en");
        let entries = |folder: &Path| std::fs::read_dir(folder).expect("lessons").flatten();
        for chapter in entries(&lessons) {
            for file in entries(&chapter.path()) {
                let text = std::fs::read_to_string(file.path()).expect("a lesson");
                let lesson = Lesson::parse(&text).expect("a lesson that can be read");
                stages.push(Topology::of_lesson(&file.path().display().to_string(), &lesson));
            }
        }
        stages
    }

    /// Whether there may be a link between two bodies: by the scenario, by a terminal, or because a
    /// server becomes the replica of another or is watched.
    fn may_be_linked(a: &Node, b: &Node) -> bool {
        let serves = |node: &Node| matches!(node.part, Part::Server | Part::Sentinel | Part::Proxy);
        let asks = |node: &Node| matches!(node.part, Part::Shell | Part::Sentinel | Part::Proxy);
        let shared = a.machine.is_some() && a.machine == b.machine;
        let follows = a.part == Part::Server && b.part == Part::Server;
        !shared && (follows || asks(a) && serves(b) || asks(b) && serves(a))
    }

    #[test]
    fn no_link_runs_through_a_body_in_any_topology_or_lesson() {
        /// With more than `FEW` bodies, only the links of the scenario are checked; with more than
        /// `CROWD`, none, since lines stay straight.
        const FEW: usize = 16;
        const CROWD: usize = 64;
        let mut through = Vec::new();
        for topology in stages() {
            let scene = Lab::open(topology, Lab::SEED).scene();
            let nodes = scene.layout_nodes();
            if nodes.len() > CROWD {
                continue;
            }
            let proxied = nodes.iter().any(|node| node.part == Part::Proxy);
            let index = |id: BodyId| scene.bodies.iter().position(|body| body.id == id);
            let ends = |(a, b): (BodyId, BodyId)| Some((index(a)?, index(b)?));
            let mut links: Vec<(usize, usize)> =
                pairs(&scene).iter().copied().filter_map(ends).collect();
            for a in (0..nodes.len()).filter(|_| nodes.len() <= FEW) {
                let others = (a + 1..nodes.len()).filter(|b| may_be_linked(&nodes[a], &nodes[*b]));
                links.extend(others.map(|b| (a, b)));
            }
            for room in [Room::Wide, Room::Tall] {
                let places = layout::place(topology.layout(), &nodes, room);
                // On a narrow screen a row of servers behind a proxy leaves no gap for a line from
                // a terminal to the row behind it.
                let hidden = |a: usize, b: usize| {
                    let behind = |a: usize, b: usize| {
                        nodes[a].part == Part::Shell && nodes[b].home.is_some()
                    };
                    proxied && room == Room::Tall && (behind(a, b) || behind(b, a))
                };
                let bends = layout::bends(
                    &nodes,
                    &places,
                    links.iter().copied().filter(|&(a, b)| !hidden(a, b)),
                );
                for ((a, b), bend) in bends.iter() {
                    let course = Course::bent(places[*a], places[*b], *bend);
                    let crossed = (0..nodes.len()).filter(|other| other != a && other != b).filter(
                        |&other| course.crosses(layout::area(&nodes[other], places[other])),
                    );
                    let name = |i: usize| scene.bodies[i].name.clone();
                    through.extend(crossed.map(|other| {
                        let [a, b, other] = [*a, *b, other].map(name);
                        format!("{}, {room:?}: {a} to {b} through {other}", topology.name())
                    }));
                }
            }
        }
        assert!(through.is_empty(), "{}:\n{}", through.len(), through.join("\n"));
    }
}
