//! Nodes and the rule by which keys are spread over them.

use super::{GroupHash, Hash, HashTag, Ring, Slot};
use crate::rng::Rng;

/// A shard: a server, or a group of a primary and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name. A ring hashes this name.
    pub name: Vec<u8>,
    /// Its share of the keys in relation to the weights of the other nodes.
    pub weight: u32,
}

impl Node {
    /// A node of weight 1.
    pub fn new(name: impl Into<Vec<u8>>) -> Node {
        Node { name: name.into(), weight: 1 }
    }
}

/// How keys are spread over nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// By prefix: the first prefix that a key begins with selects its node, by index.
    Table(Vec<(Vec<u8>, u32)>),
    /// The hash modulo the sum of the weights.
    Modula(Hash),
    /// The hash of predixy modulo the number of nodes.
    Groups(GroupHash),
    /// The next point on a ketama ring.
    Ketama(Hash),
    /// The slots of Redis Cluster, in equal ranges.
    Slots,
    /// Any node, chosen anew each time. A reader has to ask all of them, as with a queue.
    Random,
}

/// Where a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this node, by index.
    Node(u32),
    /// On any node: [`Sharding::pick`] chooses one at random.
    Anywhere,
    /// On none: there is no node, or no prefix matches.
    Nowhere,
}

/// Which node has a key: nodes, a rule, and a hash tag.
#[derive(Clone, Debug)]
pub struct Sharding {
    nodes: Vec<Node>,
    rule: Rule,
    tag: Option<HashTag>,
    /// For [`Rule::Ketama`].
    ring: Ring,
    /// For [`Rule::Modula`] and [`Rule::Random`]: the live nodes, each with the cumulative weight
    /// up to and including it.
    cumulative: Vec<(u64, u32)>,
}

impl Sharding {
    /// A sharding over all of `nodes`.
    pub fn new(nodes: Vec<Node>, rule: Rule, tag: Option<HashTag>) -> Sharding {
        let mut sharding =
            Sharding { nodes, rule, tag, ring: Ring::default(), cumulative: Vec::new() };
        sharding.spread(|_| true);
        sharding
    }

    /// The same with one more node, over all nodes.
    pub fn joined(&self, node: Node) -> Sharding {
        let nodes = self.nodes.iter().cloned().chain([node]).collect();
        Sharding::new(nodes, self.rule.clone(), self.tag)
    }

    /// Spreads keys over the nodes for which `live` holds, as twemproxy does when it ejects a
    /// server. Nodes keep their indexes.
    pub fn spread(&mut self, live: impl Fn(usize) -> bool) {
        let indexes = || (0..self.nodes.len()).filter(|&i| live(i)).map(|i| i as u32);
        match self.rule {
            Rule::Ketama(_) => self.ring = Ring::new(&self.nodes, live),
            Rule::Random | Rule::Modula(_) => {
                let mut sum = 0;
                let weight = |index: u32| self.nodes.get(index as usize).map_or(0, |n| n.weight);
                let part = |index| {
                    sum += u64::from(weight(index));
                    (sum, index)
                };
                self.cumulative = indexes().map(part).collect();
            }
            // With these three, the keys of a node that is down stay on it.
            Rule::Table(_) | Rule::Groups(_) | Rule::Slots => {}
        }
    }

    /// The node of a key.
    #[inline]
    pub fn locate(&self, key: &[u8]) -> Place {
        let part = match &self.tag {
            Some(tag) => tag.part(key),
            None => key,
        };
        let node = match &self.rule {
            Rule::Ketama(hash) => match self.nodes.len() {
                // Twemproxy does not hash if the pool has one server.
                1 => self.ring.points().first().map(|point| point.node),
                _ => self.ring.node(hash.of(part)),
            },
            Rule::Modula(hash) => match self.cumulative.last().map_or(0, |(sum, _)| *sum) {
                0 => None,
                1 => self.cumulative.first().map(|(_, node)| *node),
                total => {
                    // As if each node stood in a list as often as its weight says.
                    let index = u64::from(hash.of(part)) % total;
                    let at = self.cumulative.partition_point(|(sum, _)| *sum <= index);
                    self.cumulative.get(at).map(|(_, node)| *node)
                }
            },
            Rule::Groups(hash) => match self.nodes.len() as u64 {
                0 => None,
                1 => Some(0),
                len => Some((hash.of(part) % len) as u32),
            },
            Rule::Slots => self.node_of_slot(Slot::of(key)),
            Rule::Table(rows) => {
                rows.iter().find(|(prefix, _)| key.starts_with(prefix)).map(|&(_, node)| node)
            }
            Rule::Random if self.cumulative.is_empty() => None,
            Rule::Random => return Place::Anywhere,
        };
        node.map_or(Place::Nowhere, Place::Node)
    }

    /// The node of a key, chosen at random if the key may be on any node.
    pub fn pick(&self, key: &[u8], rng: &mut Rng) -> Option<u32> {
        match self.locate(key) {
            Place::Node(node) => Some(node),
            Place::Anywhere => {
                let at = rng.below(self.cumulative.len() as u64) as usize;
                self.cumulative.get(at).map(|(_, node)| *node)
            }
            Place::Nowhere => None,
        }
    }

    /// The hash of a key, from which the rule chooses the node; `None` if the rule does not hash.
    pub fn hash(&self, key: &[u8]) -> Option<u64> {
        let part = self.tag.map_or(key, |tag| tag.part(key));
        match &self.rule {
            Rule::Ketama(hash) | Rule::Modula(hash) => Some(hash.of(part).into()),
            Rule::Groups(hash) => Some(hash.of(part)),
            Rule::Slots => Some(Slot::of(key).number().into()),
            Rule::Table(_) | Rule::Random => None,
        }
    }

    /// The nodes, to which the indexes of [`Place::Node`] refer.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The hash tag, if there is one.
    pub fn tag(&self) -> Option<HashTag> {
        self.tag
    }

    /// The ring, if the rule has one.
    pub fn ring(&self) -> Option<&Ring> {
        matches!(self.rule, Rule::Ketama(_)).then_some(&self.ring)
    }

    /// Equal ranges, as `redis-cli --cluster create` deals them out: each ends at the rounded
    /// multiple of the exact share.
    fn node_of_slot(&self, slot: Slot) -> Option<u32> {
        let nodes = self.nodes.len() as u64;
        let slots = u64::from(Slot::COUNT);
        // The last slot of node i is round((i + 1) * slots / nodes - 1).
        let last = |i: u64| ((i + 1) * slots * 2 + nodes) / (nodes * 2) - 1;
        (0..nodes).find(|&i| u64::from(slot.number()) <= last(i)).map(|i| i as u32)
    }
}
