//! `backup`: saves an RDB file of every master, and `nodes.json`, which describes the nodes.

use super::io::{ConnectionError, Io};
use super::manager::{ClusterManager, place_from_args};
use super::node::Node;
use super::options::Options;
use super::{Failed, Outcome};

pub(super) async fn backup(io: Io, args: &[String], options: Options) -> Outcome {
    let [known, directory] = args else { return Err(Failed) };
    let place = place_from_args(&io, core::slice::from_ref(known))?;
    let mut manager = ClusterManager::new(io, options);
    manager.load_from(&place).await?;
    let well = manager.check(true).await?;
    let io = &manager.io;
    let mut complete = true;
    for node in manager.nodes.iter().filter(|node| !node.is_replica() && !node.slots.is_empty()) {
        let place = &node.place;
        io.info(format!(">>> Node {place} -> Saving RDB..."));
        let path = format!("{directory}/redis-node-{}-{}-{}.rdb", place.host, place.port, node.id);
        complete &= fetch(io, place, path).await;
    }
    let path = format!("{directory}/nodes.json");
    io.print(format!("Saving cluster configuration to: {path}\n"));
    if let Err(reason) = io.save(path.clone(), manager.as_json().into_bytes()).await {
        complete = false;
        io.error(format!("Could not save nodes to: {path}: {reason}"));
    }
    if !complete {
        return io.fail("[ERR] Failed to back cluster!");
    }
    if !well {
        io.warn(
            "*** Cluster seems to have some problems, please be aware of it if you're going to \
             restore this backup.",
        );
    }
    io.success(format!("[OK] Backup created into: {directory}"));
    Ok(())
}

/// Saves a node's data. Returns whether that succeeded.
async fn fetch(io: &Io, from: &super::Place, path: String) -> bool {
    let dump = match io.dump(from).await {
        Ok(replies) => replies,
        Err(ConnectionError::NotConnected(reason) | ConnectionError::Lost(reason)) => {
            io.print_error(format!("SYNC with master failed: {reason}"));
            return false;
        }
    };
    let Some(bytes) = dump.first().and_then(|value| value.bytes()) else { return false };
    let length = bytes.len();
    io.print_error(format!("SYNC sent to master, writing {length} bytes to '{path}'"));
    match io.save(path.clone(), bytes.to_vec()).await {
        Ok(()) => {
            io.print_error("Transfer finished with success.");
            true
        }
        Err(reason) => {
            io.print_error(format!("Error opening '{path}': {reason}"));
            false
        }
    }
}

impl ClusterManager {
    fn as_json(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(json).collect();
        format!("[\n{}\n]", nodes.join(",\n"))
    }
}

/// A node as an object of `nodes.json`, with one line for each field. IDs, addresses and flags need
/// no escaping.
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
