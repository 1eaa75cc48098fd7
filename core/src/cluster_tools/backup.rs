//! `backup`: an RDB file of every master, and `nodes.json`, which describes the nodes.

use super::desk::{Desk, Trouble};
use super::fleet::{Fleet, place_of};
use super::node::Node;
use super::options::Options;
use super::{Failed, Outcome};

pub(super) async fn backup(desk: Desk, args: &[String], options: Options) -> Outcome {
    let [known, directory] = args else { return Err(Failed) };
    let place = place_of(&desk, core::slice::from_ref(known))?;
    let mut fleet = Fleet::new(desk, options);
    fleet.load_from(&place).await?;
    let well = fleet.check(true).await?;
    let desk = &fleet.desk;
    let mut complete = true;
    for node in fleet.nodes.iter().filter(|node| !node.is_replica() && !node.slots.is_empty()) {
        let place = &node.place;
        desk.info(format!(">>> Node {place} -> Saving RDB..."));
        let path = format!("{directory}/redis-node-{}-{}-{}.rdb", place.host, place.port, node.id);
        complete &= fetch(desk, place, path).await;
    }
    let path = format!("{directory}/nodes.json");
    desk.print(format!("Saving cluster configuration to: {path}\n"));
    if let Err(reason) = desk.save(path.clone(), fleet.as_json().into_bytes()).await {
        complete = false;
        desk.error(format!("Could not save nodes to: {path}: {reason}"));
    }
    if !complete {
        return desk.fail("[ERR] Failed to back cluster!");
    }
    if !well {
        desk.warn(
            "*** Cluster seems to have some problems, please be aware of it if you're going to \
             restore this backup.",
        );
    }
    desk.success(format!("[OK] Backup created into: {directory}"));
    Ok(())
}

/// Saves a node's data. Says whether that went well.
async fn fetch(desk: &Desk, from: &super::Place, path: String) -> bool {
    let dump = match desk.dump(from).await {
        Ok(replies) => replies,
        Err(Trouble::NotConnected(reason) | Trouble::Lost(reason)) => {
            desk.complain(format!("SYNC with master failed: {reason}"));
            return false;
        }
    };
    let Some(bytes) = dump.first().and_then(|value| value.bytes()) else { return false };
    let length = bytes.len();
    desk.complain(format!("SYNC sent to master, writing {length} bytes to '{path}'"));
    match desk.save(path.clone(), bytes.to_vec()).await {
        Ok(()) => {
            desk.complain("Transfer finished with success.");
            true
        }
        Err(reason) => {
            desk.complain(format!("Error opening '{path}': {reason}"));
            false
        }
    }
}

impl Fleet {
    fn as_json(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(json).collect();
        format!("[\n{}\n]", nodes.join(",\n"))
    }
}

/// A node of `nodes.json`: a line for each field. Ids, addresses and flags need no escaping.
fn json(node: &Node) -> String {
    let replicate = node.replicates.as_ref().map_or("null".into(), |id| format!("\"{id}\""));
    let slots: Vec<String> =
        node.slots.ranges().map(|(first, last)| format!("[{first},{last}]")).collect();
    let flags = node.flags.iter().map(String::as_str).filter(|flag| *flag != "myself");
    let mut fields = vec![
        format!("\"name\": \"{}\"", node.id),
        format!("\"host\": \"{}\"", node.place.host),
        format!("\"port\": {}", node.place.port),
        format!("\"replicate\": {replicate}"),
        format!("\"slots\": [{}]", slots.join(",")),
        format!("\"slots_count\": {}", node.slots.len()),
        format!("\"flags\": \"{}\"", flags.collect::<Vec<_>>().join(",")),
        format!("\"current_epoch\": {}", node.epoch),
    ];
    for (name, open) in [("migrating", &node.migrating), ("importing", &node.importing)] {
        if !open.is_empty() {
            let open = open.iter().map(|(slot, id)| format!("\"{slot}\": \"{id}\""));
            let open = open.collect::<Vec<_>>().join(",");
            fields.push(format!("\"{name}\": {{{open}}}"));
        }
    }
    format!("  {{\n    {}\n  }}", fields.join(",\n    "))
}
