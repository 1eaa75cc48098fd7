//! `add-node` and `del-node`, and the commands sent to every node: `call`, `set-timeout`.

use crate::client::format::{Format, Output};
use crate::resp::value::Value;
use crate::time::Duration;

use super::create::{meet, replicate};
use super::io::{Io, Place, error_text, words};
use super::manager::{ClusterManager, check_empty, load_node, place_from_args};
use super::options::{Dialect, Options};
use super::{Failed, Outcome};

pub(super) async fn add_node(io: Io, args: &[String], options: Options) -> Outcome {
    let [new, existing] = args else { return Err(Failed) };
    let new = place_from_args(&io, core::slice::from_ref(new))?;
    let existing = place_from_args(&io, core::slice::from_ref(existing))?;
    io.info(format!(">>> Adding node {new} to cluster {existing}"));
    let mut manager = ClusterManager::new(io, options);
    manager.load_from(&existing).await?;
    if !manager.check(true).await? {
        return Err(Failed);
    }
    let master = manager.master_of_new_replica()?;
    let io = manager.io.clone();
    if io.call(&new, words("PING")).await.is_err() {
        return io.fail(format!("[ERR] Sorry, can't connect to node {new}"));
    }
    let (node, _) = load_node(&io, &new).await?;
    check_empty(&io, &new).await?;
    // A replica gets the functions by replication, and Redis 4 had no functions.
    if master.is_none() && io.dialect() == Dialect::Cli {
        copy_functions(&io, &existing, &new).await?;
    }
    let first = manager.nodes[0].clone();
    io.info(format!(">>> Send CLUSTER MEET to node {new} to make it join the cluster."));
    io.expect(&new, meet(&first.place, first.bus_port)).await?;
    if let Some(master) = master {
        io.sleep(Duration::from_secs(1)).await;
        let master = manager.nodes[master].clone();
        manager.nodes.push(node);
        manager.wait_for_join().await;
        io.info(format!(">>> Configure node as replica of {}.", master.place));
        replicate(&io, &new, &master.id).await?;
    }
    io.success("[OK] New node added correctly.");
    Ok(())
}

pub(super) async fn del_node(io: Io, args: &[String], options: Options) -> Outcome {
    let [known, id] = args else { return Err(Failed) };
    let place = place_from_args(&io, core::slice::from_ref(known))?;
    io.info(format!(">>> Removing node {id} from cluster {place}"));
    let mut manager = ClusterManager::new(io, options);
    manager.load_from(&place).await?;
    let io = manager.io.clone();
    let Some(index) = manager.by_id(id) else {
        return io.fail(format!("[ERR] No such node ID {id}"));
    };
    let node = manager.nodes.remove(index);
    if !node.slots.is_empty() {
        let place = node.place;
        let what = "is not empty! Reshard data away and try again.";
        return io.fail(format!("[ERR] Node {place} {what}"));
    }
    io.info(">>> Sending CLUSTER FORGET messages to the cluster...");
    for index in 0..manager.nodes.len() {
        let place = manager.place(index);
        if manager.nodes[index].replicates.as_ref() == Some(&node.id) {
            let Some(master) = manager.least_replicated() else { return Err(Failed) };
            let (to, id) = (manager.place(master), manager.nodes[master].id.clone());
            io.info(format!(">>> {place} as replica of {to}"));
            io.expect(&place, words(&format!("CLUSTER REPLICATE {id}"))).await?;
            let replicas = manager.nodes[master].replicas.unwrap_or(0);
            manager.nodes[master].replicas = Some(replicas + 1);
        }
        io.expect(&place, words(&format!("CLUSTER FORGET {}", node.id))).await?;
    }
    if io.dialect() == Dialect::Trib {
        io.info(">>> SHUTDOWN the node.");
        // SHUTDOWN closes the connection without a reply.
        let _ = io.call(&node.place, words("SHUTDOWN")).await;
        return Ok(());
    }
    io.info(">>> Sending CLUSTER RESET SOFT to the deleted node.");
    io.expect(&node.place, words("CLUSTER RESET SOFT")).await.map(|_| ())
}

pub(super) async fn call(io: Io, args: &[String], options: Options) -> Outcome {
    let Some((known, command)) = args.split_first() else { return Err(Failed) };
    let manager = ClusterManager::load(io, core::slice::from_ref(known), options).await?;
    let io = &manager.io;
    let line = command.join(" ");
    io.info(format!(">>> Calling {line}"));
    let format = Format::new(Output::Raw);
    for node in &manager.nodes {
        let options = &manager.options;
        if options.only_masters && node.is_replica() || options.only_replicas && !node.is_replica()
        {
            continue;
        }
        let words = command.iter().map(|word| word.clone().into_bytes()).collect();
        let mut out = format!("{}: ", node.place).into_bytes();
        match io.call(&node.place, words).await {
            Ok(reply) => {
                out.extend(format.reply(&reply));
                if !out.ends_with(b"\n") || error_text(&reply).is_some() {
                    out.push(b'\n');
                }
            }
            Err(_) => out.extend(b"Failed!\n"),
        }
        io.print(out);
    }
    Ok(())
}

pub(super) async fn set_timeout(io: Io, args: &[String], options: Options) -> Outcome {
    let [known, timeout] = args else { return Err(Failed) };
    let timeout: u64 = timeout.parse().unwrap_or(0);
    if timeout < 100 {
        io.print_error("Setting a node timeout of less than 100 milliseconds is a bad idea.");
        return Err(Failed);
    }
    let manager = ClusterManager::load(io, core::slice::from_ref(known), options).await?;
    let io = &manager.io;
    io.info(">>> Reconfiguring node timeout in every cluster node...");
    let (mut set, mut failed) = (0, 0);
    for node in &manager.nodes {
        let place = &node.place;
        let commands =
            [words(&format!("CONFIG SET cluster-node-timeout {timeout}")), words("CONFIG REWRITE")];
        let mut error = None;
        for command in commands {
            error = match io.call(place, command).await {
                Ok(reply) => error_text(&reply),
                Err(trouble) => Some(format!("{trouble:?}")),
            };
            if error.is_some() {
                break;
            }
        }
        match error {
            None => {
                set += 1;
                io.warn(format!("*** New timeout set for {place}"));
            }
            Some(error) => {
                failed += 1;
                io.error(format!("ERR setting node-timeout for {place}: {error}"));
            }
        }
    }
    io.info(format!(">>> New node timeout set. {set} OK, {failed} ERR."));
    Ok(())
}

impl ClusterManager {
    /// The master that the new node is to replicate; `None` if it becomes a master.
    fn master_of_new_replica(&self) -> Outcome<Option<usize>> {
        if !self.options.replica {
            return Ok(None);
        }
        if let Some(id) = &self.options.master_id {
            return match self.by_id(id) {
                Some(index) => Ok(Some(index)),
                None => self.io.fail(format!("[ERR] No such master ID {id}")),
            };
        }
        let Some(index) = self.least_replicated() else { return Err(Failed) };
        let place = self.place(index);
        self.io.print(format!("Automatically selected master {place}\n"));
        Ok(Some(index))
    }
}

/// Copies the functions of the cluster to a new node.
async fn copy_functions(io: &Io, from: &Place, to: &Place) -> Outcome {
    io.info(">>> Getting functions from cluster");
    let dump = io.reply(from, words("FUNCTION DUMP")).await?;
    if let Some(error) = error_text(&dump) {
        io.info(format!(
            ">>> Failed retrieving Functions from the cluster, skip this step as Redis version do \
             not support function command (error = '{error}')"
        ));
        return Ok(());
    }
    let what = "to verify there is no functions in it";
    io.info(format!(">>> Send FUNCTION LIST to {to} {what}"));
    let list = io.reply(to, words("FUNCTION LIST")).await?;
    if let Some(error) = error_text(&list) {
        return io.fail(format!(">>> Failed on CLUSTER LIST (error = '{error}')\r"));
    }
    if !list.items().unwrap_or_default().is_empty() {
        return io.fail(
            ">>> New node already contains functions and can not be added to the cluster. Use \
             FUNCTION FLUSH and try again.\r",
        );
    }
    io.info(format!(">>> Send FUNCTION RESTORE to {to}"));
    let mut restore = words("FUNCTION RESTORE");
    restore.extend(match dump {
        Value::Bulk(bytes) => Some(bytes),
        _ => None,
    });
    let restored = io.reply(to, restore).await?;
    match error_text(&restored) {
        None => Ok(()),
        Some(error) => {
            io.fail(format!(">>> Failed loading functions to the new node (error = '{error}')\r"))
        }
    }
}
