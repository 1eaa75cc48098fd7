//! `add-node`, `del-node`, and what is said to every node: `call`, `set-timeout`.

use crate::client::format::{Format, Output};
use crate::resp::value::Value;
use crate::time::Duration;

use super::create::{meet, replicate};
use super::desk::{Desk, Place, error_text, words};
use super::fleet::{Fleet, load_node, must_be_empty, place_of};
use super::options::{Dialect, Options};
use super::{Failed, Outcome};

pub(super) async fn add_node(desk: Desk, args: &[String], options: Options) -> Outcome {
    let [new, existing] = args else { return Err(Failed) };
    let new = place_of(&desk, core::slice::from_ref(new))?;
    let existing = place_of(&desk, core::slice::from_ref(existing))?;
    desk.info(format!(">>> Adding node {new} to cluster {existing}"));
    let mut fleet = Fleet::new(desk, options);
    fleet.load_from(&existing).await?;
    if !fleet.check(true).await? {
        return Err(Failed);
    }
    let master = fleet.master_of_new_replica()?;
    let desk = fleet.desk.clone();
    if desk.call(&new, words("PING")).await.is_err() {
        return desk.fail(format!("[ERR] Sorry, can't connect to node {new}"));
    }
    let (node, _) = load_node(&desk, &new).await?;
    must_be_empty(&desk, &new).await?;
    // A replica gets the functions with the data, and Redis 4 had none.
    if master.is_none() && desk.dialect() == Dialect::Cli {
        copy_functions(&desk, &existing, &new).await?;
    }
    let first = fleet.nodes[0].clone();
    desk.info(format!(">>> Send CLUSTER MEET to node {new} to make it join the cluster."));
    desk.expect(&new, meet(&first.place, first.bus_port)).await?;
    if let Some(master) = master {
        desk.sleep(Duration::from_secs(1)).await;
        let master = fleet.nodes[master].clone();
        fleet.nodes.push(node);
        fleet.wait_for_join().await;
        desk.info(format!(">>> Configure node as replica of {}.", master.place));
        replicate(&desk, &new, &master.id).await?;
    }
    desk.success("[OK] New node added correctly.");
    Ok(())
}

pub(super) async fn del_node(desk: Desk, args: &[String], options: Options) -> Outcome {
    let [known, id] = args else { return Err(Failed) };
    let place = place_of(&desk, core::slice::from_ref(known))?;
    desk.info(format!(">>> Removing node {id} from cluster {place}"));
    let mut fleet = Fleet::new(desk, options);
    fleet.load_from(&place).await?;
    let desk = fleet.desk.clone();
    let Some(index) = fleet.by_id(id) else {
        return desk.fail(format!("[ERR] No such node ID {id}"));
    };
    let node = fleet.nodes.remove(index);
    if !node.slots.is_empty() {
        let place = node.place;
        let what = "is not empty! Reshard data away and try again.";
        return desk.fail(format!("[ERR] Node {place} {what}"));
    }
    desk.info(">>> Sending CLUSTER FORGET messages to the cluster...");
    for index in 0..fleet.nodes.len() {
        let place = fleet.place(index);
        if fleet.nodes[index].replicates.as_ref() == Some(&node.id) {
            let Some(master) = fleet.least_replicated() else { return Err(Failed) };
            let (to, id) = (fleet.place(master), fleet.nodes[master].id.clone());
            desk.info(format!(">>> {place} as replica of {to}"));
            desk.expect(&place, words(&format!("CLUSTER REPLICATE {id}"))).await?;
            let replicas = fleet.nodes[master].replicas.unwrap_or(0);
            fleet.nodes[master].replicas = Some(replicas + 1);
        }
        desk.expect(&place, words(&format!("CLUSTER FORGET {}", node.id))).await?;
    }
    if desk.dialect() == Dialect::Trib {
        desk.info(">>> SHUTDOWN the node.");
        // It ends without an answer.
        let _ = desk.call(&node.place, words("SHUTDOWN")).await;
        return Ok(());
    }
    desk.info(">>> Sending CLUSTER RESET SOFT to the deleted node.");
    desk.expect(&node.place, words("CLUSTER RESET SOFT")).await.map(|_| ())
}

pub(super) async fn call(desk: Desk, args: &[String], options: Options) -> Outcome {
    let Some((known, command)) = args.split_first() else { return Err(Failed) };
    let fleet = Fleet::load(desk, core::slice::from_ref(known), options).await?;
    let desk = &fleet.desk;
    let line = command.join(" ");
    desk.info(format!(">>> Calling {line}"));
    let format = Format::new(Output::Raw);
    for node in &fleet.nodes {
        let options = &fleet.options;
        if options.only_masters && node.is_replica() || options.only_replicas && !node.is_replica()
        {
            continue;
        }
        let words = command.iter().map(|word| word.clone().into_bytes()).collect();
        let mut out = format!("{}: ", node.place).into_bytes();
        match desk.call(&node.place, words).await {
            Ok(reply) => {
                out.extend(format.reply(&reply));
                if !out.ends_with(b"\n") || error_text(&reply).is_some() {
                    out.push(b'\n');
                }
            }
            Err(_) => out.extend(b"Failed!\n"),
        }
        desk.print(out);
    }
    Ok(())
}

pub(super) async fn set_timeout(desk: Desk, args: &[String], options: Options) -> Outcome {
    let [known, timeout] = args else { return Err(Failed) };
    let timeout: u64 = timeout.parse().unwrap_or(0);
    if timeout < 100 {
        desk.complain("Setting a node timeout of less than 100 milliseconds is a bad idea.");
        return Err(Failed);
    }
    let fleet = Fleet::load(desk, core::slice::from_ref(known), options).await?;
    let desk = &fleet.desk;
    desk.info(">>> Reconfiguring node timeout in every cluster node...");
    let (mut set, mut failed) = (0, 0);
    for node in &fleet.nodes {
        let place = &node.place;
        let commands =
            [words(&format!("CONFIG SET cluster-node-timeout {timeout}")), words("CONFIG REWRITE")];
        let mut error = None;
        for command in commands {
            error = match desk.call(place, command).await {
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
                desk.warn(format!("*** New timeout set for {place}"));
            }
            Some(error) => {
                failed += 1;
                desk.error(format!("ERR setting node-timeout for {place}: {error}"));
            }
        }
    }
    desk.info(format!(">>> New node timeout set. {set} OK, {failed} ERR."));
    Ok(())
}

impl Fleet {
    /// The master that the new node is to replicate, if it is to replicate one.
    fn master_of_new_replica(&self) -> Outcome<Option<usize>> {
        if !self.options.replica {
            return Ok(None);
        }
        if let Some(id) = &self.options.master_id {
            return match self.by_id(id) {
                Some(index) => Ok(Some(index)),
                None => self.desk.fail(format!("[ERR] No such master ID {id}")),
            };
        }
        let Some(index) = self.least_replicated() else { return Err(Failed) };
        let place = self.place(index);
        self.desk.print(format!("Automatically selected master {place}\n"));
        Ok(Some(index))
    }
}

/// Gives a new node the functions of the cluster.
async fn copy_functions(desk: &Desk, from: &Place, to: &Place) -> Outcome {
    desk.info(">>> Getting functions from cluster");
    let dump = desk.reply(from, words("FUNCTION DUMP")).await?;
    if let Some(error) = error_text(&dump) {
        desk.info(format!(
            ">>> Failed retrieving Functions from the cluster, skip this step as Redis version do \
             not support function command (error = '{error}')"
        ));
        return Ok(());
    }
    let what = "to verify there is no functions in it";
    desk.info(format!(">>> Send FUNCTION LIST to {to} {what}"));
    let list = desk.reply(to, words("FUNCTION LIST")).await?;
    if let Some(error) = error_text(&list) {
        return desk.fail(format!(">>> Failed on CLUSTER LIST (error = '{error}')\r"));
    }
    if !list.items().unwrap_or_default().is_empty() {
        return desk.fail(
            ">>> New node already contains functions and can not be added to the cluster. Use \
             FUNCTION FLUSH and try again.\r",
        );
    }
    desk.info(format!(">>> Send FUNCTION RESTORE to {to}"));
    let mut restore = words("FUNCTION RESTORE");
    restore.extend(match dump {
        Value::Bulk(bytes) => Some(bytes),
        _ => None,
    });
    let restored = desk.reply(to, restore).await?;
    match error_text(&restored) {
        None => Ok(()),
        Some(error) => {
            desk.fail(format!(">>> Failed loading functions to the new node (error = '{error}')\r"))
        }
    }
}
