//! Anti-affinity: assigns replicas to masters on other hosts.

use crate::rng::Rng;

use super::node::Node;

/// The penalty for a replica on its master's host.
const WITH_MASTER: usize = 10_000;

/// The indices of all nodes, taking one node of each host in turn.
pub(super) fn interleaved(nodes: &[Node]) -> Vec<usize> {
    let mut hosts: Vec<(&str, Vec<usize>)> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        match hosts.iter_mut().find(|(host, _)| *host == node.place.host) {
            Some((_, those)) => those.push(index),
            None => hosts.push((&node.place.host, vec![index])),
        }
    }
    let most = hosts.iter().map(|(_, those)| those.len()).max().unwrap_or(0);
    (0..most)
        .flat_map(|round| hosts.iter().filter_map(move |(_, those)| those.get(round).copied()))
        .collect()
}

/// Swaps the masters of random replicas as long as that does not worsen the score.
pub(super) fn optimize(nodes: &mut [Node], seed: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..500 * nodes.len() {
        let (score, offenders) = evaluate(nodes);
        if score == 0 || offenders.is_empty() {
            return;
        }
        let Some(first) = pick(&mut rng, &offenders) else { return };
        let others: Vec<usize> = (0..nodes.len())
            .filter(|index| *index != first && nodes[*index].replicates.is_some())
            .collect();
        let Some(second) = pick(&mut rng, &others) else { return };
        swap(nodes, first, second);
        if evaluate(nodes).0 > score {
            swap(nodes, first, second);
        }
    }
}

/// The penalty of the arrangement: 0 is perfect; [`WITH_MASTER`] or more means that a replica
/// shares its master's host.
pub(super) fn score(nodes: &[Node]) -> usize {
    evaluate(nodes).0
}

/// Whether a score means that a replica shares its master's host.
pub(super) fn shares_with_master(score: usize) -> bool {
    score >= WITH_MASTER
}

/// The score, and the replicas that contribute to it.
fn evaluate(nodes: &[Node]) -> (usize, Vec<usize>) {
    // For each host and master: whether the master is on the host, and which of its replicas are.
    let mut groups: Vec<(&str, &str, bool, Vec<usize>)> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let host = node.place.host.as_str();
        let master = node.replicates.as_deref().unwrap_or(&node.id);
        let known = groups.iter().position(|(h, m, ..)| *h == host && *m == master);
        let place = known.unwrap_or_else(|| {
            groups.push((host, master, false, Vec::new()));
            groups.len() - 1
        });
        match node.replicates {
            None => groups[place].2 = true,
            Some(_) => groups[place].3.push(index),
        }
    }
    let (mut score, mut offenders) = (0, Vec::new());
    for (_, _, with_master, replicas) in groups {
        let count = usize::from(with_master) + replicas.len();
        if count < 2 {
            continue;
        }
        score += if with_master { WITH_MASTER * (count - 1) } else { count };
        offenders.extend(replicas);
    }
    (score, offenders)
}

fn pick(rng: &mut Rng, from: &[usize]) -> Option<usize> {
    let index = rng.below((from.len() as u64).max(1));
    from.get(index as usize).copied()
}

fn swap(nodes: &mut [Node], a: usize, b: usize) {
    let master = nodes[a].replicates.take();
    nodes[a].replicates = core::mem::replace(&mut nodes[b].replicates, master);
}
