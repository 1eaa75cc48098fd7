//! MIGRATESLOTS, CANCELSLOTMIGRATIONS, GETSLOTMIGRATIONS, and SYNCSLOTS, by which the source of a
//! migration talks to the target.

use super::Record;
use super::export::Export;
use crate::cluster::{NodeId, SlotSet};
use crate::command::CommandError;
use crate::resp::number::parse_i64;
use crate::server::cluster::commands::{add_once, slot};
use crate::server::{Call, ReplyMode, Server};
use crate::sharding::Slot;
use crate::time::Duration;

/// `CLUSTER MIGRATESLOTS SLOTSRANGE start end [start end ...] NODE id [SLOTSRANGE ... NODE ...]`
pub(in crate::server::cluster) fn migrate_slots(
    server: &mut Server,
    call: &mut Call<'_>,
) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let mut moves: Vec<(SlotSet, NodeId)> = Vec::new();
    let mut all = SlotSet::new();
    let mut at = 2;
    while at < call.args.len() {
        let (slots, node) = one_move(call, &mut at, &mut all)?;
        moves.push((slots, node));
    }
    for (slots, node) in &moves {
        server.move_refusal(slots, *node)?;
    }
    let Some(source) = server.cluster_state().map(|state| state.my_id()) else { return Ok(()) };
    let records: Vec<Record> = moves
        .into_iter()
        .map(|(slots, target)| Record {
            name: String::from_utf8_lossy(&server.rng.hex40()).into_owned(),
            is_export: true,
            slots,
            source,
            target,
            created: call.now.wall,
            updated: call.now.wall,
            state: "queued",
            message: String::new(),
        })
        .collect();
    if let Some(node) = &mut server.service.cluster {
        node.handover.exports.extend(records.into_iter().map(Export::new));
    }
    call.ok()
}

/// Parses one group: ranges of slots and the target node.
fn one_move(
    call: &Call<'_>,
    at: &mut usize,
    all: &mut SlotSet,
) -> Result<(SlotSet, NodeId), CommandError> {
    let word = |at: usize| call.args.get(at).unwrap_or_default();
    if !word(*at).eq_ignore_ascii_case(b"slotsrange") {
        return Err(CommandError::Syntax);
    }
    *at += 1;
    let mut slots = SlotSet::new();
    while *at + 1 < call.args.len() && !word(*at).eq_ignore_ascii_case(b"node") {
        if word(*at + 1).eq_ignore_ascii_case(b"node") {
            return Err(CommandError::Syntax);
        }
        let (first, last) = (slot(word(*at))?, slot(word(*at + 1))?);
        if first > last {
            return Err(CommandError::composed(format!(
                "ERR start slot number {first} is greater than end slot number {last}"
            )));
        }
        for slot in (first.number()..=last.number()).filter_map(Slot::new) {
            add_once(all, slot)?;
            slots.insert(slot);
        }
        *at += 2;
    }
    if slots.is_empty() || !word(*at).eq_ignore_ascii_case(b"node") {
        return Err(CommandError::Syntax);
    }
    let name = word(*at + 1);
    *at += 2;
    let node =
        NodeId::parse(name).ok_or_else(|| CommandError::quoting("ERR Unknown node ", name, ""))?;
    Ok((slots, node))
}

/// `CLUSTER CANCELSLOTMIGRATIONS`
pub(in crate::server::cluster) fn cancel(
    server: &mut Server,
    call: &mut Call<'_>,
) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    server.cancel_exports(call.now).map_err(CommandError::text)?;
    call.ok()
}

/// `CLUSTER GETSLOTMIGRATIONS`
pub(in crate::server::cluster) fn migrations(
    server: &mut Server,
    call: &mut Call<'_>,
) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let Some(node) = &server.service.cluster else { return Ok(()) };
    let records: Vec<Record> = node.handover.records().cloned().collect();
    let mut reply = call.reply();
    reply.array(records.len());
    for record in records {
        let texts = [
            ("name", record.name.clone()),
            ("operation", if record.is_export { "EXPORT" } else { "IMPORT" }.to_owned()),
            ("slot_ranges", record.slots.to_text(" ")),
            ("source_node", record.source.to_string()),
            ("target_node", record.target.to_string()),
            ("state", record.state.to_owned()),
            ("message", record.message.clone()),
        ];
        reply.map(texts.len() + 2);
        for (name, text) in texts {
            reply.bulk(name.as_bytes());
            reply.bulk(text.as_bytes());
        }
        for (name, at) in [("create_time", record.created), ("last_update_time", record.updated)] {
            reply.bulk(name.as_bytes());
            reply.integer(i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
        }
    }
    Ok(())
}

/// `CLUSTER SYNCSLOTS`: only these subcommands are answered on a connection that imports slots, so
/// each reply confirms that everything before it was executed.
pub(in crate::server::cluster) fn sync_slots(
    server: &mut Server,
    call: &mut Call<'_>,
) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    call.client.replies = ReplyMode::On;
    let word = call.arg(2).to_ascii_lowercase();
    match (word.as_slice(), call.args.len()) {
        (b"establish", 10..) => establish(server, call),
        (b"snapshot-eof", 3) => server.import_awaits_replicas(call.now, call.client, false),
        (b"drain", 3) => server.import_awaits_replicas(call.now, call.client, true),
        (b"takeover", 4) => {
            let millis = parse_i64(call.arg(3)).ok_or(CommandError::NotAnInteger)?;
            let within = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
            server.import_takes_over(call.now, call.client, within)
        }
        _ => Err(CommandError::subcommand_syntax("CLUSTER", call.arg(1))),
    }
}

/// `ESTABLISH SOURCE <node-id> NAME <name> SLOTSRANGE <start> <end> [<start> <end> ...]`
fn establish(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let is = |at: usize, name: &[u8]| call.arg(at).eq_ignore_ascii_case(name);
    if !is(3, b"source") || !is(5, b"name") || !is(7, b"slotsrange") {
        return Err(CommandError::Syntax);
    }
    let source = NodeId::parse(call.arg(4))
        .ok_or_else(|| CommandError::quoting("ERR Unknown node ", call.arg(4), ""))?;
    let name = String::from_utf8_lossy(call.arg(6)).into_owned();
    let mut slots = SlotSet::new();
    let mut at = 8;
    while at + 1 < call.args.len() {
        let (first, last) = (slot(call.arg(at))?, slot(call.arg(at + 1))?);
        (first.number()..=last.number()).filter_map(Slot::new).for_each(|slot| {
            slots.insert(slot);
        });
        at += 2;
    }
    server.begin_import(call.now, call.client, name, source, slots)
}

impl Server {
    /// Whether MIGRATESLOTS is moving this slot from or to this node.
    pub(in crate::server::cluster) fn is_moving_as_a_whole(&self, slot: Slot) -> bool {
        let slots: SlotSet = core::iter::once(slot).collect();
        let node = self.service.cluster.as_ref();
        node.is_some_and(|node| node.handover.busy_slot(&slots).is_some())
    }

    /// Why slots cannot be migrated from here to another node, if they cannot.
    fn move_refusal(&self, slots: &SlotSet, target: NodeId) -> Result<(), CommandError> {
        let composed = |text: String| Err(CommandError::composed(format!("ERR {text}")));
        let state = self.cluster_or_error()?;
        if state.is_replica() {
            return composed("This node is a replica. Send MIGRATESLOTS to the owner".to_owned());
        }
        let Some(view) = state.node_view_of(target) else {
            return composed(format!("I don't know about node {target}"));
        };
        if view.replica {
            return composed("Target node is not a master".to_owned());
        }
        if target == state.my_id() {
            return composed("The target is this node, which has the slots already".to_owned());
        }
        if let Some(slot) = slots.iter().find(|slot| !state.owns(*slot)) {
            return composed(format!("I'm not the owner of hash slot {slot}"));
        }
        let open = state.open_slot_views();
        if let Some((slot, ..)) = open.iter().find(|(slot, ..)| slots.contains(*slot)) {
            return composed(format!(
                "Slot {slot} is being moved key by key. Close it with CLUSTER SETSLOT {slot} STABLE"
            ));
        }
        let node = self.service.cluster.as_ref();
        match node.and_then(|node| node.handover.busy_slot(slots)) {
            Some(slot) => composed(format!("Slot {slot} is being moved already")),
            None => Ok(()),
        }
    }
}
