//! The ledger of writes for a lesson's conditions: the writes that clients and terminals got
//! acknowledged, and those of them that no running server has.

use crate::lab::{Kept, Terminal, Traffic};
use crate::server::Server;
use crate::sim::{ProcState, ProcView, World};
use crate::store::{StringRef, ValueRef};

use super::model::Column;

/// The number of writes of these clients and terminals in a column; of all, if none is named.
pub(super) fn count(world: &World, column: Column, at: &[String]) -> u64 {
    let servers: Vec<&Server> = world
        .procs()
        .filter(|proc| matches!(proc.state, ProcState::Running | ProcState::Paused))
        .filter_map(|proc| world.machine::<Server>(proc.id))
        .collect();
    let is_meant = |proc: &ProcView<'_>| {
        let host = world.host(proc.host).map_or("", |host| host.name);
        at.is_empty() || at.iter().any(|name| name == proc.name || name == host)
    };
    let of_proc = |proc: ProcView<'_>| {
        if let Some(traffic) = world.machine::<Traffic>(proc.id) {
            return of_traffic(traffic, column, &servers);
        }
        let terminal = world.machine::<Terminal>(proc.id);
        terminal.map_or(0, |terminal| of_terminal(world, terminal, column, &servers))
    };
    world.procs().filter(is_meant).map(of_proc).sum()
}

/// A traffic client sets marks, the bits of a string of its own.
fn of_traffic(traffic: &Traffic, column: Column, servers: &[&Server]) -> u64 {
    let client = traffic.client();
    let Some(key) = client.config().marks.as_deref() else { return 0 };
    if column == Column::Acknowledged {
        return client.marks().count();
    }
    let strings: Vec<&[u8]> = servers
        .iter()
        .filter_map(|server| match server.keyspace().peek(0, key.as_bytes())?.value() {
            ValueRef::String(StringRef::Bytes(bytes)) => Some(bytes),
            _ => None,
        })
        .collect();
    let held = |at: usize| {
        strings.iter().fold(0, |all, string| all | string.get(at).copied().unwrap_or_default())
    };
    let acknowledged = client.marks().acknowledged.iter().enumerate();
    acknowledged.map(|(at, byte)| u64::from((byte & !held(at)).count_ones())).sum()
}

/// A terminal records the acknowledged writes that were typed into it.
fn of_terminal(world: &World, terminal: &Terminal, column: Column, servers: &[&Server]) -> u64 {
    let writes = terminal.writes();
    let is_latest = |write: &crate::lab::Write| {
        let others = world.procs().filter_map(|proc| world.machine::<Terminal>(proc.id));
        let mut others = others.flat_map(|terminal| &terminal.writes().list);
        !others.any(|other| other.db == write.db && other.key == write.key && other.at > write.at)
    };
    let is_lost = |write: &crate::lab::Write| {
        servers.iter().all(|server| writes.kept(server, write) == Kept::No) && is_latest(write)
    };
    let list = writes.list.iter().filter(|write| !write.replaced);
    let found = list.filter(|write| column == Column::Acknowledged || is_lost(write));
    u64::try_from(found.count()).unwrap_or(u64::MAX)
}
