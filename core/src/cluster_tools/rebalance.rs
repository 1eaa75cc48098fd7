//! `rebalance`: moves slots so that every master gets its share, by weight.

use crate::sharding::Slot;

use super::io::Io;
use super::manager::ClusterManager;
use super::options::Options;
use super::reshard;
use super::slots::MoveOptions;
use super::{Failed, Outcome};

/// A master that takes part in a rebalancing.
struct Share {
    index: usize,
    weight: f32,
    /// The number of surplus slots; negative if slots are missing.
    balance: i64,
}

pub(super) async fn rebalance(io: Io, args: &[String], options: Options) -> Outcome {
    let mut manager = ClusterManager::load(io, args, options).await?;
    let weights = manager.weights()?;
    let mut shares: Vec<Share> = manager
        .masters()
        .into_iter()
        .filter(|index| {
            manager.options.use_empty_masters || !manager.nodes[*index].slots.is_empty()
        })
        .map(|index| Share { index, weight: weights[index], balance: 0 })
        .collect();
    manager.check(false).await?;
    if !manager.errors.is_empty() {
        return manager.io.fail("*** Please fix your cluster problems before rebalancing");
    }
    let total: f32 = shares.iter().map(|share| share.weight).sum();
    if !manager.set_balances(&mut shares, total) {
        let threshold = manager.options.threshold;
        manager.io.warn(format!(
            "*** No rebalancing needed! All nodes are within the {threshold:.2}% threshold."
        ));
        return Ok(());
    }
    shares.sort_by_key(|share| share.balance);
    let count = shares.len();
    manager.io.info(format!(">>> Rebalancing across {count} nodes. Total weight = {total:.2}"));
    if manager.io.is_verbose() {
        for share in &shares {
            let place = manager.place(share.index);
            manager.io.print(format!("{place} balance is {} slots\n", share.balance));
        }
    }
    // Sorted by balance: masters that need slots come first, those with a surplus last.
    let (mut to, mut from) = (0, count.saturating_sub(1));
    while to < from {
        let slots = shares[to].balance.abs().min(shares[from].balance.abs());
        if slots > 0 {
            manager.move_surplus(shares[from].index, shares[to].index, slots as usize).await?;
        }
        shares[to].balance += slots;
        shares[from].balance -= slots;
        let (gets, gives) = (shares[to].balance, shares[from].balance);
        if gets != 0 && gives != 0 && slots == 0 {
            break;
        }
        if gets == 0 {
            to += 1;
        }
        if gives == 0 {
            from -= 1;
        }
    }
    Ok(())
}

impl ClusterManager {
    /// The weight of each node, by default 1.
    fn weights(&self) -> Outcome<Vec<f32>> {
        let mut weights = vec![1.0; self.nodes.len()];
        for word in &self.options.weights {
            let Some((name, weight)) = word.split_once('=') else {
                self.io.print_error(format!("*** invalid input {word}"));
                return Err(Failed);
            };
            // As in redis-cli, a replica may be given a weight, which has no effect.
            let begins = name.to_ascii_lowercase();
            let known = self.nodes.iter().position(|node| node.id.starts_with(&begins));
            let Some(index) = known else {
                return self.io.fail(format!("*** No such master node {name}"));
            };
            weights[index] = weight.parse().unwrap_or(0.0);
        }
        Ok(weights)
    }

    /// Computes each master's balance. Returns whether any exceeds the threshold.
    fn set_balances(&self, shares: &mut [Share], total: f32) -> bool {
        let threshold = self.options.threshold;
        let (mut reached, mut sum) = (false, 0);
        for share in &mut *shares {
            let owned = self.nodes[share.index].slots.len() as i64;
            let expected = (f32::from(Slot::COUNT) / total * share.weight) as i64;
            share.balance = owned - expected;
            sum += share.balance;
            if threshold <= 0.0 {
                continue;
            }
            reached |= if owned > 0 {
                let off = (100.0 - 100.0 * expected as f64 / owned as f64).abs() as f32;
                off > threshold
            } else {
                expected > 1
            };
        }
        // The remainder of the rounding goes to masters that need slots.
        while sum > 0 && shares.iter().any(|share| share.balance <= 0) {
            for share in shares.iter_mut().filter(|share| share.balance <= 0) {
                if sum > 0 {
                    share.balance -= 1;
                    sum -= 1;
                }
            }
        }
        reached
    }

    async fn move_surplus(&mut self, source: usize, target: usize, slots: usize) -> Outcome {
        let (from, to) = (self.place(source), self.place(target));
        self.io.print(format!("Moving {slots} slots from {from} to {to}\n"));
        let steps = reshard::plan(self, &[source], slots);
        if steps.len() != slots {
            return self.io.fail("*** Assertion failed: Reshard table != number of slots");
        }
        let slots: Vec<Slot> = steps.into_iter().map(|(slot, _)| slot).collect();
        if self.options.simulate {
            self.io.print("#".repeat(slots.len()));
        } else {
            let how = MoveOptions { quiet: true, ..MoveOptions::default() };
            if let Err(reason) = self.move_slots(source, target, &slots, how, "#").await {
                return self.io.fail(format!("*** clusterManagerMoveSlot: {reason}"));
            }
        }
        self.io.print("\n");
        Ok(())
    }
}
