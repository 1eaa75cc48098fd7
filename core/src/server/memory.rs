//! The MEMORY command.

use super::Server;
use super::{Call, Handler, container, row};
use crate::command::meta::{flag, key};
use crate::command::{CommandError, Group, KeySpec, Row};
use crate::resp::number::parse_i64;
use crate::resp::reply::Aggregate;
use crate::store::Keyed;

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Server, "memory", -2, container)
    .since("4.0.0")
    .complexity("That of the subcommand.")
    .summary("A container for commands on memory.")
    .subcommands(SUBCOMMANDS)];

const REPORT: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

static SUBCOMMANDS: &[Row<Handler>] = &[
    row(Group::Server, "doctor", 2, doctor)
        .since("4.0.0")
        .summary("Looks for trouble with memory.")
        .tips(REPORT),
    row(Group::Server, "help", 2, help)
        .flags(flag::LOADING | flag::STALE)
        .since("4.0.0")
        .summary("Tells what the subcommands do."),
    row(Group::Server, "malloc-stats", 2, malloc_stats)
        .since("4.0.0")
        .complexity("O(N), N being the memory that the allocator holds.")
        .summary("Tells what the allocator says about itself.")
        .tips(REPORT),
    row(Group::Server, "purge", 2, purge)
        .since("4.0.0")
        .complexity("O(N), N being the memory that the allocator holds.")
        .summary("Asks the allocator to give memory back.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row(Group::Server, "stats", 2, stats)
        .since("4.0.0")
        .summary("Tells where memory goes.")
        .tips(REPORT),
    row(Group::Server, "usage", -3, usage)
        .flags(flag::READONLY)
        .since("4.0.0")
        .complexity("O(N), N being the number of elements looked at.")
        .summary("Estimates the memory that a key takes.")
        .syntax("key [SAMPLES count]")
        .keys(&[KeySpec::one(2, key::RO)]),
];

fn usage(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let mut at = 3;
    while at < call.args.len() {
        if !call.arg(at).eq_ignore_ascii_case(b"samples") || at + 1 >= call.args.len() {
            return Err(CommandError::Syntax);
        }
        let samples = parse_i64(call.arg(at + 1)).ok_or(CommandError::NotAnInteger)?;
        if samples < 0 {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    let entry = server.service.keyspace.peek(call.client.state.db, call.arg(2));
    match entry.map(Keyed::memory) {
        Some(bytes) => call.reply().integer(bytes as i64),
        None => call.reply().null(),
    }
    Ok(())
}

fn stats(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    server.note_memory(Some(call.client));
    let memory = server.memory(Some(call.client));
    let databases: Vec<usize> = server.service.keyspace.summary().map(|s| s.0).collect();
    let overheads: Vec<(usize, [usize; 2])> =
        databases.into_iter().map(|db| (db, server.service.keyspace.overheads(db))).collect();
    let net = memory.used.saturating_sub(memory.startup);
    let scripts = server.service.scripting.usage();
    let per_key = net.checked_div(memory.keys as u64).unwrap_or_default();
    let mut reply = call.reply();
    let map = reply.begin(Aggregate::Map);
    let mut fields = 0;
    let numbers = [
        ("peak.allocated", memory.peak as i64),
        ("total.allocated", memory.used as i64),
        ("startup.allocated", memory.startup as i64),
        ("replication.backlog", memory.backlog as i64),
        ("clients.slaves", memory.replicas as i64),
        ("clients.normal", memory.clients as i64),
        ("cluster.links", server.cluster_links_memory() as i64),
        ("aof.buffer", memory.aof as i64),
        ("lua.caches", scripts.script_bytes as i64),
        ("functions.caches", scripts.library_bytes as i64),
    ];
    for (name, value) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(value);
        fields += 1;
    }
    for (db, [main, expires]) in overheads {
        reply.bulk(format!("db.{db}").as_bytes());
        reply.map(3);
        reply.bulk(b"overhead.hashtable.main");
        reply.integer(main as i64);
        reply.bulk(b"overhead.hashtable.expires");
        reply.integer(expires as i64);
        reply.bulk(b"overhead.hashtable.slot-to-keys");
        reply.integer(0);
        fields += 1;
    }
    enum Value {
        Number(i64),
        Ratio(f64),
    }
    let rest = [
        ("overhead.total", Value::Number(memory.overhead as i64)),
        ("keys.count", Value::Number(memory.keys as i64)),
        ("keys.bytes-per-key", Value::Number(per_key as i64)),
        ("dataset.bytes", Value::Number(memory.dataset() as i64)),
        ("dataset.percentage", Value::Ratio(memory.dataset_percentage())),
        ("peak.percentage", Value::Ratio(memory.peak_percentage())),
        ("allocator.allocated", Value::Number(memory.used as i64)),
        ("allocator.active", Value::Number(memory.held() as i64)),
        ("allocator.resident", Value::Number(memory.held() as i64)),
        ("allocator-fragmentation.ratio", Value::Ratio(memory.fragmentation())),
        ("allocator-fragmentation.bytes", Value::Number(memory.unused())),
        ("allocator-rss.ratio", Value::Ratio(1.0)),
        ("allocator-rss.bytes", Value::Number(0)),
        ("rss-overhead.ratio", Value::Ratio(1.0)),
        ("rss-overhead.bytes", Value::Number(0)),
        ("fragmentation", Value::Ratio(memory.fragmentation())),
        ("fragmentation.bytes", Value::Number(memory.unused())),
    ];
    for (name, value) in rest {
        reply.bulk(name.as_bytes());
        match value {
            Value::Number(number) => reply.integer(number),
            Value::Ratio(ratio) => reply.double(ratio),
        }
        fields += 1;
    }
    reply.end(map, fields);
    Ok(())
}

fn doctor(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let memory = server.memory(Some(call.client));
    let clients = server.clients.connected().max(1) as u64;
    let mut found = String::new();
    if memory.used < 5 << 20 {
        found.push_str("This instance holds so little that nothing can be said about it.\n");
    } else {
        if memory.peak > memory.used / 2 * 3 {
            found.push_str(
                " * Peak: more than one and a half times as much memory was in use before. \
                 The allocator may not have given it back; what is free will be used again.\n",
            );
        }
        if memory.fragmentation() > 1.4 && memory.resident > memory.used + (10 << 20) {
            found.push_str(
                " * Resident memory: the process takes more than 1.4 times what its data takes. \
                 A peak in the past, or many keys of changing size, are the usual reasons.\n",
            );
        }
        if (memory.clients + memory.replicas) / clients > 200 << 10 {
            found.push_str(
                " * Client buffers: clients take more than 200 KB each. CLIENT LIST tells which \
                 read slowly or ask much at once.\n",
            );
        }
        if found.is_empty() {
            found.push_str("No trouble with memory was found.\n");
        }
    }
    call.reply().verbatim("txt", found.as_bytes());
    Ok(())
}

fn malloc_stats(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    call.reply().verbatim("txt", b"Stats not supported for the current allocator");
    Ok(())
}

fn purge(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    call.ok()
}

fn help(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    call.reply().help(
        "MEMORY",
        &[
            "DOCTOR",
            "    Look for trouble with memory.",
            "MALLOC-STATS",
            "    Tell what the allocator says about itself.",
            "PURGE",
            "    Ask the allocator to give memory back.",
            "STATS",
            "    Tell where memory goes.",
            "USAGE <key> [SAMPLES <count>]",
            "    Estimate the memory that a key and its value take.",
        ],
    );
    Ok(())
}
