//! `create`: builds a cluster of empty nodes.

use crate::sharding::Slot;
use crate::time::Duration;

use super::affinity;
use super::io::{Io, Place, Words, words};
use super::manager::{ClusterManager, check_empty, load_node};
use super::options::{Dialect, Options};
use super::{Failed, Outcome};

/// The minimum number of masters.
const MASTERS: usize = 3;

pub(super) async fn create(io: Io, args: &[String], options: Options) -> Outcome {
    let trib = io.dialect() == Dialect::Trib;
    if trib {
        io.info(">>> Creating cluster");
    }
    let mut manager = ClusterManager::new(io, options);
    manager.load_nodes(args).await?;
    let masters = manager.enough_masters()?;
    let count = manager.nodes.len();
    manager.io.info(format!(">>> Performing hash slots allocation on {count} nodes..."));
    manager.plan(masters);
    if !trib {
        manager.optimize().await;
    }
    manager.show();
    if !manager.options.yes && !manager.io.confirm("Can I set the above configuration?").await {
        return Ok(());
    }
    manager.configure().await
}

impl ClusterManager {
    async fn load_nodes(&mut self, args: &[String]) -> Outcome {
        for arg in args {
            let Some(place) = Place::parse(arg) else {
                self.io.print_error(format!("Invalid address format: {arg}"));
                return Err(Failed);
            };
            let (node, _) = load_node(&self.io, &place).await?;
            check_empty(&self.io, &place).await?;
            self.nodes.push(node);
        }
        Ok(())
    }

    fn enough_masters(&self) -> Outcome<usize> {
        let (nodes, replicas) = (self.nodes.len(), self.options.replicas);
        let masters = nodes / (replicas + 1);
        if masters >= MASTERS {
            return Ok(masters);
        }
        self.io.error(format!(
            "*** ERROR: Invalid configuration for cluster creation.\n\
             *** Redis Cluster requires at least {MASTERS} master nodes.\n\
             *** This is not possible with {nodes} nodes and {replicas} replicas per node."
        ));
        let needed = MASTERS * (replicas + 1);
        self.io.fail(format!("*** At least {needed} nodes are required."))
    }

    /// Assigns slots and replicas to every master, with replicas on other hosts where possible.
    fn plan(&mut self, masters: usize) {
        let order = affinity::interleaved(&self.nodes);
        let (masters, others) = order.split_at(masters);
        if self.io.dialect() == Dialect::Trib {
            self.io.print(format!("Using {} masters:\n", masters.len()));
            let each = masters.iter().map(|index| self.nodes[*index].place.to_string() + "\n");
            self.io.print(each.collect::<String>());
        }
        let share = f32::from(Slot::COUNT) / masters.len() as f32;
        let (mut first, mut cursor) = (0, 0.0_f32);
        for (number, index) in masters.iter().enumerate() {
            let end = (cursor + share - 1.0).round() as u16;
            let is_last = number + 1 == masters.len();
            let last = if is_last { Slot::COUNT - 1 } else { end.min(Slot::COUNT - 1).max(first) };
            if self.io.dialect() == Dialect::Cli {
                self.io.print(format!("Master[{number}] -> Slots {first} - {last}\n"));
            }
            let node = &mut self.nodes[*index];
            node.slots = (first..=last).filter_map(Slot::new).collect();
            node.is_planned = true;
            (first, cursor) = (last + 1, cursor + share);
        }
        // Starting with the second one helps when masters and replicas come from the same hosts.
        let mut free: Vec<usize> = others.to_vec();
        if !free.is_empty() {
            free.rotate_left(1);
        }
        for master in masters {
            for _ in 0..self.options.replicas {
                self.assign_replica(*master, &mut free);
            }
        }
        if free.is_empty() {
            return;
        }
        self.io.print("Adding extra replicas...\n");
        for master in masters {
            self.assign_replica(*master, &mut free);
        }
    }

    fn assign_replica(&mut self, master: usize, free: &mut Vec<usize>) {
        let host = &self.nodes[master].place.host;
        let elsewhere = free.iter().position(|index| self.nodes[*index].place.host != *host);
        if free.is_empty() {
            return;
        }
        let index = free.remove(elsewhere.unwrap_or(0));
        let (replica, master) = (self.nodes[index].place.clone(), self.nodes[master].clone());
        self.io.print(format!("Adding replica {replica} to {}\n", master.place));
        self.nodes[index].replicates = Some(master.id);
        self.nodes[index].is_planned = true;
    }

    async fn optimize(&mut self) {
        if affinity::score(&self.nodes) == 0 {
            return;
        }
        self.io.info(">>> Trying to optimize slaves allocation for anti-affinity");
        let seed = self.io.seed().await;
        affinity::optimize(&mut self.nodes, seed);
        match affinity::score(&self.nodes) {
            0 => self.io.success("[OK] Perfect anti-affinity obtained!"),
            score if affinity::shares_with_master(score) => {
                self.io.warn("[WARNING] Some slaves are in the same host as their master");
            }
            _ => self.io.warn("[WARNING] Some slaves of the same master are in the same host"),
        }
    }

    /// Applies the plan to the nodes.
    async fn configure(mut self) -> Outcome {
        for node in &mut self.nodes {
            if node.is_planned && node.replicates.is_none() {
                self.io.expect(&node.place, add_slots(node.slots.iter())).await?;
                node.is_planned = false;
            }
        }
        self.io.info(">>> Nodes configuration updated");
        self.io.info(">>> Assign a different config epoch to each node");
        for (epoch, node) in (1..).zip(&self.nodes) {
            let command = words(&format!("CLUSTER SET-CONFIG-EPOCH {epoch}"));
            // A node that already has an epoch refuses and keeps it, which is fine.
            self.io.reply(&node.place, command).await?;
        }
        self.io.info(">>> Sending CLUSTER MEET messages to join the cluster");
        let first = self.nodes[0].clone();
        for node in self.nodes.iter().skip(1) {
            if self.io.expect(&node.place, meet(&first.place, first.bus_port)).await.is_err() {
                return self.io.fail("Failed to send CLUSTER MEET command.");
            }
        }
        // Nodes that do not know each other yet also count as consistent, so wait first.
        self.io.sleep(Duration::from_secs(1)).await;
        self.wait_for_join().await;
        for node in self.nodes.iter().filter(|node| node.is_planned) {
            if let Some(master) = &node.replicates {
                replicate(&self.io, &node.place, master).await?;
            }
        }
        let place = first.place;
        self.load_from(&place).await?;
        if self.check(true).await? { Ok(()) } else { Err(Failed) }
    }
}

/// The command `CLUSTER ADDSLOTS` for these slots.
pub(super) fn add_slots(slots: impl Iterator<Item = Slot>) -> Words {
    let mut command = words("CLUSTER ADDSLOTS");
    command.extend(slots.map(|slot| slot.to_string().into_bytes()));
    command
}

/// The command `CLUSTER MEET`, with the bus port if it is not the default one.
pub(super) fn meet(place: &Place, bus_port: u16) -> Words {
    let mut line = format!("CLUSTER MEET {} {}", place.host, place.port);
    if bus_port != 0 && u32::from(bus_port) != u32::from(place.port) + 10_000 {
        line.push_str(&format!(" {bus_port}"));
    }
    words(&line)
}

/// Sends `CLUSTER REPLICATE`, and again while the node does not know the master yet: nodes agree on
/// the owners of slots before every node knows every other.
pub(super) async fn replicate(io: &Io, place: &Place, master: &str) -> Outcome {
    const TRIES: usize = 50;
    let command = words(&format!("CLUSTER REPLICATE {master}"));
    for _ in 0..TRIES {
        let reply = io.reply(place, command.clone()).await?;
        match super::io::error_text(&reply) {
            None => return Ok(()),
            Some(error) if error.contains("nknown node") => {
                io.sleep(Duration::from_millis(100)).await;
            }
            Some(error) => return io.replied_with_error(place, &error),
        }
    }
    io.expect(place, command).await.map(|_| ())
}
