//! `rebalance`: every master gets its share of the slots, by weight.

use crate::sharding::Slot;

use super::desk::Desk;
use super::fleet::Fleet;
use super::options::Options;
use super::reshard;
use super::slots::Moving;
use super::{Failed, Outcome};

/// A master of a rebalancing.
struct Share {
    index: usize,
    weight: f32,
    /// The slots that it has too many (or, negative, too few).
    balance: i64,
}

pub(super) async fn rebalance(desk: Desk, args: &[String], options: Options) -> Outcome {
    let mut fleet = Fleet::load(desk, args, options).await?;
    let weights = fleet.weights()?;
    let mut shares: Vec<Share> = fleet
        .masters()
        .into_iter()
        .filter(|index| fleet.options.use_empty_masters || !fleet.nodes[*index].slots.is_empty())
        .map(|index| Share { index, weight: weights[index], balance: 0 })
        .collect();
    fleet.check(false).await?;
    if !fleet.errors.is_empty() {
        return fleet.desk.fail("*** Please fix your cluster problems before rebalancing");
    }
    let total: f32 = shares.iter().map(|share| share.weight).sum();
    if !fleet.set_balances(&mut shares, total) {
        let threshold = fleet.options.threshold;
        fleet.desk.warn(format!(
            "*** No rebalancing needed! All nodes are within the {threshold:.2}% threshold."
        ));
        return Ok(());
    }
    shares.sort_by_key(|share| share.balance);
    let count = shares.len();
    fleet.desk.info(format!(">>> Rebalancing across {count} nodes. Total weight = {total:.2}"));
    if fleet.desk.is_verbose() {
        for share in &shares {
            let place = fleet.place(share.index);
            fleet.desk.print(format!("{place} balance is {} slots\n", share.balance));
        }
    }
    // Those that want slots stand in front, those that give them behind.
    let (mut to, mut from) = (0, count.saturating_sub(1));
    while to < from {
        let slots = shares[to].balance.abs().min(shares[from].balance.abs());
        if slots > 0 {
            fleet.hand_over(shares[from].index, shares[to].index, slots as usize).await?;
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

impl Fleet {
    /// The weight of each node: 1, or what was said.
    fn weights(&self) -> Outcome<Vec<f32>> {
        let mut weights = vec![1.0; self.nodes.len()];
        for word in &self.options.weights {
            let Some((name, weight)) = word.split_once('=') else {
                self.desk.complain(format!("*** invalid input {word}"));
                return Err(Failed);
            };
            // A weight of a replica is taken, as redis-cli does, and has no effect.
            let begins = name.to_ascii_lowercase();
            let known = self.nodes.iter().position(|node| node.id.starts_with(&begins));
            let Some(index) = known else {
                return self.desk.fail(format!("*** No such master node {name}"));
            };
            weights[index] = weight.parse().unwrap_or(0.0);
        }
        Ok(weights)
    }

    /// Computes how many slots each master has too many or too few. Returns whether any is beyond
    /// the threshold.
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
        // What rounding left over goes to those that want slots.
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

    async fn hand_over(&mut self, source: usize, target: usize, slots: usize) -> Outcome {
        let (from, to) = (self.place(source), self.place(target));
        self.desk.print(format!("Moving {slots} slots from {from} to {to}\n"));
        let steps = reshard::plan(self, &[source], slots);
        if steps.len() != slots {
            return self.desk.fail("*** Assertion failed: Reshard table != number of slots");
        }
        let slots: Vec<Slot> = steps.into_iter().map(|(slot, _)| slot).collect();
        if self.options.simulate {
            self.desk.print("#".repeat(slots.len()));
        } else {
            let how = Moving { quiet: true, ..Moving::default() };
            if let Err(reason) = self.move_slots(source, target, &slots, how, "#").await {
                return self.desk.fail(format!("*** clusterManagerMoveSlot: {reason}"));
            }
        }
        self.desk.print("\n");
        Ok(())
    }
}
