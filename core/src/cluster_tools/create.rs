//! `create`: a cluster of empty nodes.

use crate::sharding::Slot;
use crate::time::Duration;

use super::affinity;
use super::desk::{Desk, Place, Words, words};
use super::fleet::{Fleet, load_node, must_be_empty};
use super::options::{Dialect, Options};
use super::{Failed, Outcome};

/// A cluster has at least so many masters.
const MASTERS: usize = 3;

pub(super) async fn create(desk: Desk, args: &[String], options: Options) -> Outcome {
    let trib = desk.dialect() == Dialect::Trib;
    if trib {
        desk.info(">>> Creating cluster");
    }
    let mut fleet = Fleet::new(desk, options);
    fleet.gather(args).await?;
    let masters = fleet.enough_masters()?;
    let count = fleet.nodes.len();
    fleet.desk.info(format!(">>> Performing hash slots allocation on {count} nodes..."));
    fleet.plan(masters);
    if !trib {
        fleet.optimize().await;
    }
    fleet.show();
    if !fleet.options.yes && !fleet.desk.confirm("Can I set the above configuration?").await {
        return Ok(());
    }
    fleet.configure().await
}

impl Fleet {
    async fn gather(&mut self, args: &[String]) -> Outcome {
        for arg in args {
            let Some(place) = Place::parse(arg) else {
                self.desk.complain(format!("Invalid address format: {arg}"));
                return Err(Failed);
            };
            let (node, _) = load_node(&self.desk, &place).await?;
            must_be_empty(&self.desk, &place).await?;
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
        self.desk.error(format!(
            "*** ERROR: Invalid configuration for cluster creation.\n\
             *** Redis Cluster requires at least {MASTERS} master nodes.\n\
             *** This is not possible with {nodes} nodes and {replicas} replicas per node."
        ));
        let needed = MASTERS * (replicas + 1);
        self.desk.fail(format!("*** At least {needed} nodes are required."))
    }

    /// Gives every master its slots, and its replicas: on other hosts where there are any.
    fn plan(&mut self, masters: usize) {
        let order = affinity::interleaved(&self.nodes);
        let (masters, others) = order.split_at(masters);
        if self.desk.dialect() == Dialect::Trib {
            self.desk.print(format!("Using {} masters:\n", masters.len()));
            let each = masters.iter().map(|index| self.nodes[*index].place.to_string() + "\n");
            self.desk.print(each.collect::<String>());
        }
        let share = f32::from(Slot::COUNT) / masters.len() as f32;
        let (mut first, mut cursor) = (0, 0.0_f32);
        for (number, index) in masters.iter().enumerate() {
            let end = (cursor + share - 1.0).round() as u16;
            let is_last = number + 1 == masters.len();
            let last = if is_last { Slot::COUNT - 1 } else { end.min(Slot::COUNT - 1).max(first) };
            if self.desk.dialect() == Dialect::Cli {
                self.desk.print(format!("Master[{number}] -> Slots {first} - {last}\n"));
            }
            let node = &mut self.nodes[*index];
            node.slots = (first..=last).filter_map(Slot::new).collect();
            node.is_planned = true;
            (first, cursor) = (last + 1, cursor + share);
        }
        // To begin with the second helps when masters and replicas come from the same hosts.
        let mut free: Vec<usize> = others.to_vec();
        if !free.is_empty() {
            free.rotate_left(1);
        }
        for master in masters {
            for _ in 0..self.options.replicas {
                self.give_replica(*master, &mut free);
            }
        }
        if free.is_empty() {
            return;
        }
        self.desk.print("Adding extra replicas...\n");
        for master in masters {
            self.give_replica(*master, &mut free);
        }
    }

    fn give_replica(&mut self, master: usize, free: &mut Vec<usize>) {
        let host = &self.nodes[master].place.host;
        let elsewhere = free.iter().position(|index| self.nodes[*index].place.host != *host);
        if free.is_empty() {
            return;
        }
        let index = free.remove(elsewhere.unwrap_or(0));
        let (replica, master) = (self.nodes[index].place.clone(), self.nodes[master].clone());
        self.desk.print(format!("Adding replica {replica} to {}\n", master.place));
        self.nodes[index].replicates = Some(master.id);
        self.nodes[index].is_planned = true;
    }

    async fn optimize(&mut self) {
        if affinity::score(&self.nodes) == 0 {
            return;
        }
        self.desk.info(">>> Trying to optimize slaves allocation for anti-affinity");
        let seed = self.desk.seed().await;
        affinity::optimize(&mut self.nodes, seed);
        match affinity::score(&self.nodes) {
            0 => self.desk.success("[OK] Perfect anti-affinity obtained!"),
            score if affinity::shares_with_master(score) => {
                self.desk.warn("[WARNING] Some slaves are in the same host as their master");
            }
            _ => self.desk.warn("[WARNING] Some slaves of the same master are in the same host"),
        }
    }

    /// Makes the plan true.
    async fn configure(mut self) -> Outcome {
        for node in &mut self.nodes {
            if node.is_planned && node.replicates.is_none() {
                self.desk.expect(&node.place, add_slots(node.slots.iter())).await?;
                node.is_planned = false;
            }
        }
        self.desk.info(">>> Nodes configuration updated");
        self.desk.info(">>> Assign a different config epoch to each node");
        for (epoch, node) in (1..).zip(&self.nodes) {
            let command = words(&format!("CLUSTER SET-CONFIG-EPOCH {epoch}"));
            // A node that has an epoch already keeps it, which is as good.
            self.desk.reply(&node.place, command).await?;
        }
        self.desk.info(">>> Sending CLUSTER MEET messages to join the cluster");
        let first = self.nodes[0].clone();
        for node in self.nodes.iter().skip(1) {
            if self.desk.expect(&node.place, meet(&first.place, first.bus_port)).await.is_err() {
                return self.desk.fail("Failed to send CLUSTER MEET command.");
            }
        }
        // Nodes that do not know each other yet agree as well.
        self.desk.sleep(Duration::from_secs(1)).await;
        self.wait_for_join().await;
        for node in self.nodes.iter().filter(|node| node.is_planned) {
            if let Some(master) = &node.replicates {
                replicate(&self.desk, &node.place, master).await?;
            }
        }
        let place = first.place;
        self.load_from(&place).await?;
        if self.check(true).await? { Ok(()) } else { Err(Failed) }
    }
}

/// `CLUSTER ADDSLOTS` with these slots.
pub(super) fn add_slots(slots: impl Iterator<Item = Slot>) -> Words {
    let mut command = words("CLUSTER ADDSLOTS");
    command.extend(slots.map(|slot| slot.to_string().into_bytes()));
    command
}

/// `CLUSTER MEET` with the port of the bus if it is not the usual one.
pub(super) fn meet(place: &Place, bus_port: u16) -> Words {
    let mut line = format!("CLUSTER MEET {} {}", place.host, place.port);
    if bus_port != 0 && u32::from(bus_port) != u32::from(place.port) + 10_000 {
        line.push_str(&format!(" {bus_port}"));
    }
    words(&line)
}

/// `CLUSTER REPLICATE`. The owners of slots are known to all before every node is, so a node that
/// does not know the master yet is asked again.
pub(super) async fn replicate(desk: &Desk, place: &Place, master: &str) -> Outcome {
    const TRIES: usize = 50;
    let command = words(&format!("CLUSTER REPLICATE {master}"));
    for _ in 0..TRIES {
        let reply = desk.reply(place, command.clone()).await?;
        match super::desk::error_text(&reply) {
            None => return Ok(()),
            Some(error) if error.contains("nknown node") => {
                desk.sleep(Duration::from_millis(100)).await;
            }
            Some(error) => return desk.replied_with_error(place, &error),
        }
    }
    desk.expect(place, command).await.map(|_| ())
}
