//! CLUSTER, ASKING, READONLY, READWRITE.

use super::{handover, replies};
use crate::cluster::state::{ManualFailover, Reset, SetSlot};
use crate::cluster::{BUS_PORT_OFFSET, Cluster, Local, SlotSet};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::resp::number::parse_i64;
use crate::server::{Call, Handler, Server, container, row};
use crate::sharding::Slot;

/// Rows of the command table in the group of connection commands.
pub(in crate::server) static CONNECTION_ROWS: &[Row<Handler>] = &[
    row(Group::Cluster, "asking", 1, asking)
        .flags(flag::FAST)
        .acl(acl::CONNECTION)
        .since("3.0.0")
        .summary("Lets the next command work on a slot that is on its way to this node."),
    row(Group::Cluster, "readonly", 1, readonly)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(acl::CONNECTION)
        .since("3.0.0")
        .summary("Lets this connection read from a replica."),
    row(Group::Cluster, "readwrite", 1, readwrite)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .acl(acl::CONNECTION)
        .since("3.0.0")
        .summary("Takes READONLY back."),
];

/// Rows of the command table.
pub(in crate::server) static ROWS: &[Row<Handler>] =
    &[row(Group::Cluster, "cluster", -2, container)
        .since("3.0.0")
        .complexity("Depends on the subcommand.")
        .summary("A container for commands about the cluster.")
        .subcommands(SUBCOMMANDS)];

const CHANGES: u32 = flag::ADMIN | flag::STALE | flag::NO_ASYNC_LOADING;
const TELLS: u32 = flag::LOADING | flag::STALE;

static SUBCOMMANDS: &[Row<Handler>] = &[
    sub("addslots", -3, add_slots, CHANGES)
        .complexity("O(N), N being the number of slots.")
        .summary("Gives slots to this node.")
        .syntax("slot#integer ..."),
    sub("addslotsrange", -4, add_slots_range, CHANGES)
        .since("7.0.0")
        .complexity("O(N), N being the number of slots.")
        .summary("Gives ranges of slots to this node.")
        .syntax("<range: start-slot#integer end-slot#integer> ..."),
    sub("bumpepoch", 2, bump_epoch, CHANGES)
        .summary("Gives this node a new configuration epoch.")
        .tips(&["nondeterministic_output"]),
    sub("cancelslotmigrations", 2, handover::cancel, CHANGES)
        .since("7.2.0")
        .summary("Calls off the moves of slots from this node."),
    sub("count-failure-reports", 3, count_failure_reports, flag::ADMIN | flag::STALE)
        .complexity("O(N), N being the number of reports.")
        .summary("Counts the nodes that report another as failing.")
        .syntax("node-id")
        .tips(&["nondeterministic_output"]),
    sub("countkeysinslot", 3, count_keys_in_slot, flag::STALE)
        .summary("Counts the keys in a slot.")
        .syntax("slot#integer"),
    sub("delslots", -3, delete_slots, CHANGES)
        .complexity("O(N), N being the number of slots.")
        .summary("Takes slots from their owners, in the eyes of this node.")
        .syntax("slot#integer ..."),
    sub("delslotsrange", -4, delete_slots_range, CHANGES)
        .since("7.0.0")
        .complexity("O(N), N being the number of slots.")
        .summary("Takes ranges of slots from their owners, in the eyes of this node.")
        .syntax("<range: start-slot#integer end-slot#integer> ..."),
    sub("failover", -2, failover, CHANGES)
        .summary("Makes this replica take its primary's place.")
        .syntax("[<options: FORCE | TAKEOVER>]"),
    sub("flushslots", 2, flush_slots, CHANGES)
        .summary("Takes all slots from this node."),
    sub("forget", 3, forget, CHANGES)
        .summary("Forgets a node, and does not let it back for a minute.")
        .syntax("node-id"),
    sub("getkeysinslot", 4, get_keys_in_slot, flag::STALE)
        .complexity("O(N), N being the number of keys asked for.")
        .summary("Lists keys in a slot.")
        .syntax("slot#integer count#integer")
        .tips(&["nondeterministic_output"]),
    sub("getslotmigrations", 2, handover::migrations, flag::ADMIN | TELLS)
        .since("7.2.0")
        .complexity("O(N), N being the number of moves.")
        .summary("Lists the moves of slots from and to this node.")
        .tips(&["nondeterministic_output"]),
    sub("help", 2, help, TELLS)
        .since("5.0.0")
        .summary("Tells what the subcommands do."),
    sub("info", 2, info, TELLS)
        .summary("Tells the state of the cluster.")
        .tips(&["nondeterministic_output"]),
    sub("keyslot", 3, key_slot, TELLS)
        .complexity("O(N), N being the length of the key.")
        .summary("Tells the slot of a key.")
        .syntax("key#string"),
    sub("links", 2, links, TELLS)
        .since("7.0.0")
        .complexity("O(N), N being the number of nodes.")
        .summary("Lists the connections to and from other nodes.")
        .tips(&["nondeterministic_output"]),
    sub("meet", -4, meet, CHANGES)
        .summary("Makes this node meet another.")
        .syntax("ip port#integer [cluster-bus-port#integer@4.0.0]")
        .history(&[("4.0.0", "New: `cluster-bus-port`.")]),
    sub("migrateslots", -7, handover::migrate_slots, CHANGES)
        .since("7.2.0")
        .complexity("O(N), N being the number of slots. The keys move afterwards.")
        .summary("Moves slots with their keys to another node, without redirections meanwhile.")
        .syntax(
            "<move: SLOTSRANGE ranges=<range: start-slot#integer end-slot#integer> ... \
             NODE node-id> ...",
        ),
    sub("myid", 2, my_id, TELLS).summary("Tells the name of this node."),
    sub("myshardid", 2, my_shard_id, TELLS)
        .since("7.2.0")
        .summary("Tells the name of this node's shard.")
        .tips(&["nondeterministic_output"]),
    sub("nodes", 2, nodes, TELLS)
        .complexity("O(N), N being the number of nodes.")
        .summary("Lists the nodes as this one sees them.")
        .tips(&["nondeterministic_output"]),
    sub("replicas", 3, replicas, flag::ADMIN | flag::STALE)
        .since("5.0.0")
        .complexity("O(N), N being the number of replicas.")
        .summary("Lists the replicas of a node.")
        .syntax("node-id")
        .tips(&["nondeterministic_output"]),
    sub("replicate", 3, replicate, CHANGES)
        .summary("Makes this node a replica of another.")
        .syntax("node-id"),
    sub("reset", -2, reset, flag::ADMIN | flag::STALE | flag::NOSCRIPT)
        .complexity("O(N), N being the number of nodes; O(keys) besides on a replica.")
        .summary("Makes this node forget the cluster.")
        .syntax("[<reset-type: HARD | SOFT>]"),
    sub("saveconfig", 2, save_config, CHANGES).summary("Writes nodes.conf."),
    sub("set-config-epoch", 3, set_config_epoch, CHANGES)
        .summary("Gives a new node its configuration epoch.")
        .syntax("config-epoch#integer"),
    sub("setslot", -4, set_slot, CHANGES)
        .summary("Says to which node a slot belongs, or is on its way.")
        .syntax("slot#integer <subcommand: IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>"),
    sub("shards", 2, shards, TELLS)
        .since("7.0.0")
        .complexity("O(N), N being the number of nodes.")
        .summary("Lists primaries with their replicas and slots.")
        .tips(&["nondeterministic_output"]),
    sub("slaves", 3, replicas, flag::ADMIN | flag::STALE)
        .complexity("O(N), N being the number of replicas.")
        .summary("Lists the replicas of a node.")
        .syntax("node-id")
        .tips(&["nondeterministic_output"])
        .deprecated("5.0.0", "`CLUSTER REPLICAS`"),
    sub("slots", 2, slots, TELLS)
        .complexity("O(N), N being the number of nodes.")
        .summary("Lists ranges of slots with the nodes that serve them.")
        .tips(&["nondeterministic_output"])
        .history(&[
            ("4.0.0", "A node tells its name."),
            ("7.0.0", "A node tells more about where it is."),
        ])
        .deprecated("7.0.0", "`CLUSTER SHARDS`"),
    sub("syncslots", -3, handover::sync_slots, CHANGES | flag::NOSCRIPT | flag::NO_MULTI)
        .since("7.2.0")
        .summary("By this a node that gives slots away speaks to the one that gets them.")
        .syntax("step#string [argument#string ...]"),
];

const fn sub(name: &'static str, arity: i16, handler: Handler, flags: u32) -> Row<Handler> {
    row(Group::Cluster, name, arity, handler).flags(flags).since("3.0.0")
}

const DISABLED: CommandError = CommandError::text("ERR This instance has cluster support disabled");

impl Server {
    /// The state of the cluster, or an error if cluster support is disabled.
    pub(super) fn cluster_or_error(&self) -> Result<&Cluster, CommandError> {
        self.cluster_state().ok_or(DISABLED)
    }

    /// Lets a command change the state of the cluster.
    fn change_cluster<R>(
        &mut self,
        call: &mut Call<'_>,
        change: impl FnOnce(&mut Cluster, Local) -> Result<R, String>,
    ) -> Result<R, CommandError> {
        let result = self.with_cluster(call.now, change).ok_or(DISABLED)?;
        result.map_err(|text| CommandError::composed(format!("ERR {text}")))
    }
}

fn asking(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    call.client.state.asking = true;
    call.ok()
}

fn readonly(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    call.client.state.readonly = true;
    call.ok()
}

fn readwrite(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    call.client.state.readonly = false;
    call.ok()
}

fn meet(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    if call.args.len() > 5 {
        return Err(CommandError::subcommand_syntax("CLUSTER", call.arg(1)));
    }
    let port = parse_i64(call.arg(3)).ok_or_else(|| {
        CommandError::quoting("ERR Invalid base port specified: ", call.arg(3), "")
    })?;
    let bus_port = match call.args.get(4) {
        None => port.saturating_add(BUS_PORT_OFFSET.into()),
        Some(word) => parse_i64(word)
            .ok_or_else(|| CommandError::quoting("ERR Invalid bus port specified: ", word, ""))?,
    };
    let ip = String::from_utf8_lossy(call.arg(2)).into_owned();
    server.change_cluster(call, |state, local| state.meet(local, &ip, port, bus_port))?;
    call.ok()
}

/// Parses a slot number.
pub(super) fn slot(word: &[u8]) -> Result<Slot, CommandError> {
    parse_i64(word)
        .and_then(|number| u16::try_from(number).ok())
        .and_then(Slot::new)
        .ok_or(CommandError::text("ERR Invalid or out of range slot"))
}

fn listed_slots(call: &Call<'_>) -> Result<SlotSet, CommandError> {
    // All arguments are parsed before any slot is checked.
    let listed: Vec<Slot> = call.args.from(2).iter().map(slot).collect::<Result<_, _>>()?;
    let mut slots = SlotSet::new();
    for slot in listed {
        add_once(&mut slots, slot)?;
    }
    Ok(slots)
}

fn ranges_of_slots(call: &Call<'_>) -> Result<SlotSet, CommandError> {
    if !call.args.len().is_multiple_of(2) {
        return Err(CommandError::arity(&call.command.name));
    }
    let mut slots = SlotSet::new();
    for at in (2..call.args.len()).step_by(2) {
        let (first, last) = (slot(call.arg(at))?, slot(call.arg(at + 1))?);
        if first > last {
            return Err(CommandError::composed(format!(
                "ERR start slot number {first} is greater than end slot number {last}"
            )));
        }
        for number in first.number()..=last.number() {
            if let Some(slot) = Slot::new(number) {
                add_once(&mut slots, slot)?;
            }
        }
    }
    Ok(slots)
}

pub(super) fn add_once(slots: &mut SlotSet, slot: Slot) -> Result<(), CommandError> {
    match slots.insert(slot) {
        true => Ok(()),
        false => Err(CommandError::composed(format!("ERR Slot {slot} specified multiple times"))),
    }
}

fn add_slots(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let slots = listed_slots(call)?;
    server.change_cluster(call, |state, local| state.add_slots(local, &slots))?;
    call.ok()
}

fn add_slots_range(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let slots = ranges_of_slots(call)?;
    server.change_cluster(call, |state, local| state.add_slots(local, &slots))?;
    call.ok()
}

fn delete_slots(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let slots = listed_slots(call)?;
    server.change_cluster(call, |state, local| state.delete_slots(local, &slots))?;
    call.ok()
}

fn delete_slots_range(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let slots = ranges_of_slots(call)?;
    server.change_cluster(call, |state, local| state.delete_slots(local, &slots))?;
    call.ok()
}

fn flush_slots(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    if server.has_keys() {
        return Err(CommandError::text("ERR DB must be empty to perform CLUSTER FLUSHSLOTS."));
    }
    server.change_cluster(call, |state, local| {
        state.flush_slots(local);
        Ok(())
    })?;
    call.ok()
}

fn set_slot(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if server.cluster_or_error()?.is_replica() {
        return Err(CommandError::text("ERR Please use SETSLOT only with masters."));
    }
    let slot = slot(call.arg(2))?;
    let word = call.arg(3).to_ascii_lowercase();
    let what = match (word.as_slice(), call.args.get(4), call.args.len()) {
        (b"migrating", Some(node), 5) => SetSlot::Migrating(node),
        (b"importing", Some(node), 5) => SetSlot::Importing(node),
        (b"node", Some(node), 5) => SetSlot::Node(node),
        (b"stable", None, _) => SetSlot::Stable,
        _ => {
            return Err(CommandError::text(
                "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP",
            ));
        }
    };
    if what != SetSlot::Stable && server.is_moving_as_a_whole(slot) {
        return Err(CommandError::composed(format!(
            "ERR Slot {slot} is being moved already. See CLUSTER GETSLOTMIGRATIONS, or end it with \
             CLUSTER CANCELSLOTMIGRATIONS"
        )));
    }
    if matches!(what, SetSlot::Importing(_)) {
        server.drop_lost_slot(call.now, slot);
    }
    let keys = server.service.keyspace.count_in_slot(slot);
    server.change_cluster(call, |state, local| state.set_slot(local, slot, what, keys))?;
    call.ok()
}

fn bump_epoch(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let (bumped, epoch) = server.change_cluster(call, |state, local| Ok(state.bump(local)))?;
    let word = if bumped { "BUMPED" } else { "STILL" };
    call.reply().simple(&format!("{word} {epoch}"));
    Ok(())
}

fn set_config_epoch(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let epoch = parse_i64(call.arg(2)).ok_or(CommandError::NotAnInteger)?;
    let Ok(epoch) = u64::try_from(epoch) else {
        return Err(CommandError::composed(format!("ERR Invalid config epoch specified: {epoch}")));
    };
    server.change_cluster(call, |state, local| state.set_config_epoch(local, epoch))?;
    call.ok()
}

fn forget(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let name = call.arg(2);
    server.change_cluster(call, |state, local| state.forget(local, name))?;
    call.ok()
}

fn replicate(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let (name, has_keys) = (call.arg(2), server.has_keys());
    server.change_cluster(call, |state, local| state.replicate(local, name, has_keys))?;
    call.ok()
}

fn failover(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let how = match call.args.get(2) {
        _ if call.args.len() > 3 => return Err(CommandError::Syntax),
        None => ManualFailover::Agreed,
        Some(word) if word.eq_ignore_ascii_case(b"force") => ManualFailover::Force,
        Some(word) if word.eq_ignore_ascii_case(b"takeover") => ManualFailover::Takeover,
        Some(_) => return Err(CommandError::Syntax),
    };
    server.change_cluster(call, |state, local| state.failover(local, how))?;
    call.ok()
}

fn reset(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let how = match call.args.get(2) {
        _ if call.args.len() > 3 => return Err(CommandError::Syntax),
        None => Reset::Soft,
        Some(word) if word.eq_ignore_ascii_case(b"soft") => Reset::Soft,
        Some(word) if word.eq_ignore_ascii_case(b"hard") => Reset::Hard,
        Some(_) => return Err(CommandError::Syntax),
    };
    let has_keys = server.has_keys();
    server.change_cluster(call, |state, local| state.reset(local, how, has_keys))?;
    call.ok()
}

fn save_config(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    server.change_cluster(call, |state, local| {
        state.save_config(local);
        Ok(())
    })?;
    call.client.waiting = true;
    server.answer_when_saved(call.client.id);
    Ok(())
}

fn info(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let text = server.cluster_or_error()?.info_text();
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn nodes(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let text = server.cluster_or_error()?.nodes_text();
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn my_id(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let id = server.cluster_or_error()?.my_id();
    call.reply().bulk(id.as_bytes());
    Ok(())
}

fn my_shard_id(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let id = server.cluster_or_error()?.my_shard();
    call.reply().bulk(id.as_bytes());
    Ok(())
}

fn slots(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    replies::slots(server, call);
    Ok(())
}

fn shards(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    replies::shards(server, call);
    Ok(())
}

fn links(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    replies::links(server, call);
    Ok(())
}

fn replicas(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let lines = server.cluster_or_error()?.replicas_text(call.arg(2));
    let lines = lines.map_err(|text| CommandError::composed(format!("ERR {text}")))?;
    let mut reply = call.reply();
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.bulk(line.as_bytes()));
    Ok(())
}

fn count_failure_reports(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let name = call.arg(2);
    let count = server.change_cluster(call, |state, _| state.count_failure_reports(name))?;
    call.reply().integer(count as i64);
    Ok(())
}

fn key_slot(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let slot = Slot::of(call.arg(2));
    call.reply().integer(slot.number().into());
    Ok(())
}

fn count_keys_in_slot(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let number = parse_i64(call.arg(2)).ok_or(CommandError::NotAnInteger)?;
    let slot = u16::try_from(number).ok().and_then(Slot::new);
    let slot = slot.ok_or(CommandError::text("ERR Invalid slot"))?;
    let count = server.service.keyspace.count_in_slot(slot);
    call.reply().integer(count as i64);
    Ok(())
}

fn get_keys_in_slot(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    let number = |at: usize| parse_i64(call.arg(at)).ok_or(CommandError::NotAnInteger);
    let (slot, count) = (number(2)?, number(3)?);
    let slot = u16::try_from(slot).ok().and_then(Slot::new);
    let (Some(slot), Ok(count)) = (slot, usize::try_from(count)) else {
        return Err(CommandError::text("ERR Invalid slot or number of keys"));
    };
    let count = count.min(server.service.keyspace.count_in_slot(slot));
    let mut reply = call.reply();
    reply.array(count);
    server.service.keyspace.keys_in_slot(slot).take(count).for_each(|key| reply.bulk(key));
    Ok(())
}

fn help(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.cluster_or_error()?;
    call.reply().help("CLUSTER", HELP);
    Ok(())
}

const HELP: &[&str] = &[
    "ADDSLOTS <slot> [<slot> ...]",
    "    Give slots to this node.",
    "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
    "    Give ranges of slots to this node.",
    "BUMPEPOCH",
    "    Give this node a new configuration epoch.",
    "CANCELSLOTMIGRATIONS",
    "    Call off the moves of slots from this node.",
    "COUNT-FAILURE-REPORTS <node-id>",
    "    Count the nodes that report <node-id> as failing.",
    "COUNTKEYSINSLOT <slot>",
    "    Count the keys in a slot.",
    "DELSLOTS <slot> [<slot> ...]",
    "    Take slots from their owners, in the eyes of this node.",
    "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
    "    Take ranges of slots from their owners, in the eyes of this node.",
    "FAILOVER [FORCE|TAKEOVER]",
    "    Make this replica take its primary's place.",
    "FORGET <node-id>",
    "    Forget a node.",
    "GETKEYSINSLOT <slot> <count>",
    "    List keys in a slot.",
    "GETSLOTMIGRATIONS",
    "    List the moves of slots from and to this node, with their states.",
    "FLUSHSLOTS",
    "    Take all slots from this node.",
    "INFO",
    "    Tell the state of the cluster.",
    "KEYSLOT <key>",
    "    Tell the slot of a key.",
    "MEET <ip> <port> [<bus-port>]",
    "    Make this node meet another.",
    "MIGRATESLOTS SLOTSRANGE <start> <end> [<start> <end> ...] NODE <node-id> [SLOTSRANGE ...]",
    "    Move slots with their keys to another node. Its owner changes at one moment.",
    "MYID",
    "    Tell the name of this node.",
    "MYSHARDID",
    "    Tell the name of this node's shard.",
    "NODES",
    "    List the nodes as this one sees them. Format:",
    "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
    "REPLICATE <node-id>",
    "    Make this node a replica of another.",
    "RESET [HARD|SOFT]",
    "    Make this node forget the cluster (default: soft).",
    "SET-CONFIG-EPOCH <epoch>",
    "    Give a new node its configuration epoch.",
    "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
    "    Say to which node a slot belongs, or is on its way.",
    "REPLICAS <node-id>",
    "    List the replicas of a node.",
    "SAVECONFIG",
    "    Write nodes.conf.",
    "SLOTS",
    "    List ranges of slots with the nodes that serve them: start, end,",
    "    and addresses, ports and names of the primary and its replicas.",
    "SHARDS",
    "    List primaries with their replicas and slots.",
    "LINKS",
    "    List the connections to and from other nodes.",
];
