//! Reads the state of a server as plain data. Only this file and the ledger access the machine.

use core::time::Duration;

use limpid_core::front::config::Schema;
use limpid_core::server::config::ServerSchema;
#[cfg(feature = "whole")]
use limpid_core::server::inspect::{DenialView, UserView};
use limpid_core::server::{ReplicationView, Server};
use limpid_core::sorted::sort_by_key;
use limpid_core::store::{Entry, Keyed, StringRef, ValueRef};

use super::{ClusterNode, ServerNode, Stream};
use crate::kinds::NodeView;
use crate::lab::Lab;
use crate::units::{BodyId, Unit};

/// A key, as the inspector lists it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct KeyRow {
    /// Its database.
    pub db: usize,
    /// Its name.
    pub name: Vec<u8>,
    /// Its name as text.
    pub key: String,
    /// Its type.
    pub kind: String,
    /// Its value, in short.
    pub value: String,
    /// Its remaining time to live, if it expires.
    pub expires_in: Option<Duration>,
}

/// A directive with its value.
pub(crate) type ConfigRow = (String, String);

/// The most characters of a value that are shown.
const VALUE: usize = 60;

/// What the map shows of a server.
pub(super) fn node(lab: &Lab, unit: &Unit) -> NodeView {
    let server = lab.server(unit.id);
    let replication = server.map(Server::replication_view);
    let follows = replication.as_ref().is_some_and(|view| view.primary.is_some());
    // The replication offset of a server without primary and replicas is not shown.
    let replicates =
        |view: &ReplicationView| follows || unit.home.is_some() || !view.replicas.is_empty();
    let keys = server.map(|server| server.keyspace().summary().map(|(_, keys, ..)| keys as u64));
    NodeView::Server(ServerNode {
        // A server that does not run reports nothing: its role is that of the scenario.
        is_replica: follows || replication.is_none() && unit.home.is_some(),
        keys: keys.map_or(0, Iterator::sum),
        rate: lab.rate(unit.id),
        stream: replication
            .filter(replicates)
            .map(|view| Stream { offset: view.offset, follows: None }),
        cluster: server.and_then(Server::cluster).map(|cluster| {
            let summary = cluster.summary();
            ClusterNode {
                epoch: summary.config_epoch,
                slots: cluster.my_slots().len(),
                up: summary.up,
                election: summary.election,
            }
        }),
    })
}

/// The text of INFO.
pub(super) fn info(lab: &Lab, unit: &Unit) -> Option<String> {
    Some(lab.server(unit.id)?.info(&[]))
}

impl Lab {
    /// The machine of a server, if it runs.
    pub(crate) fn server(&self, body: BodyId) -> Option<&Server> {
        self.machine(self.units().get(body)?)
    }

    /// What a server reports about its stream, its primary and its replicas, if it runs.
    pub(crate) fn replication(&self, body: BodyId) -> Option<ReplicationView> {
        self.server(body).map(Server::replication_view)
    }

    /// One section of a server's INFO.
    pub(crate) fn info_section(&self, body: BodyId, section: &str) -> Option<Vec<ConfigRow>> {
        let text = self.server(body)?.info(&[section]);
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Some(lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// Keys whose name contains `filter`, at most `most`, and the number of all keys.
    pub(crate) fn keys(
        &self,
        body: BodyId,
        filter: &str,
        most: usize,
    ) -> Option<(Vec<KeyRow>, usize)> {
        let keyspace = self.server(body)?.keyspace();
        let now = self.world().host(self.units().get(body)?.host)?.wall.as_millis();
        let mut rows = Vec::new();
        let mut total = 0;
        for (db, keys, ..) in keyspace.summary() {
            total += keys;
            let fits = |entry: &&Entry| String::from_utf8_lossy(entry.key()).contains(filter);
            let alive = |entry: &&Entry| entry.expire().is_none_or(|at| at > now);
            let entries = keyspace.entries(db).filter(alive).filter(fits);
            rows.extend(entries.take(most - rows.len()).map(|entry| key_row(db, entry, now)));
        }
        sort_by_key(&mut rows, |row| (row.db, natural(&row.key)));
        Some((rows, total))
    }

    /// Whether any server has users besides the default one, or has denied something.
    pub(crate) fn has_users(&self) -> bool {
        let servers = self.units().servers();
        servers.filter_map(|unit| self.server(unit.id)).any(Server::has_users)
    }

    /// Whether any server has a record of a script that it ran.
    #[cfg(feature = "whole")]
    pub(crate) fn has_run_scripts(&self) -> bool {
        let mut servers = self.units().servers().filter_map(|unit| self.server(unit.id));
        servers.any(|server| server.script_views().next().is_some())
    }

    /// The clock of a body's host, as Unix time in milliseconds.
    #[cfg(feature = "whole")]
    pub(crate) fn wall_of(&self, body: BodyId) -> u64 {
        let host = self.units().get(body).and_then(|unit| self.world().host(unit.host));
        host.map_or(0, |host| host.wall.as_millis())
    }

    /// The users of a server, and its latest denials.
    #[cfg(feature = "whole")]
    pub(crate) fn users(&self, body: BodyId) -> Option<(Vec<UserView>, Vec<DenialView>)> {
        let server = self.server(body)?;
        Some((server.users_view(), server.denials_view()))
    }

    /// The directives with their values; those that differ from the default come first.
    pub(crate) fn config(&self, body: BodyId) -> Option<Vec<ConfigRow>> {
        let config = self.server(body)?.config();
        let (mut changed, mut usual) = (Vec::new(), Vec::new());
        for directive in ServerSchema::directives().all() {
            let value = config.get(directive.name).unwrap_or_default();
            let list = match value == directive.default.as_bytes() {
                true => &mut usual,
                false => &mut changed,
            };
            list.push((directive.name.to_owned(), String::from_utf8_lossy(value).into_owned()));
        }
        changed.append(&mut usual);
        Some(changed)
    }
}

fn key_row(db: usize, entry: &Entry, now: u64) -> KeyRow {
    let text = |bytes: &[u8]| shortened(bytes, VALUE);
    let (kind, value) = match entry.value() {
        ValueRef::String(StringRef::Bytes(bytes)) => ("string", text(bytes)),
        ValueRef::String(StringRef::Int(number)) => ("string", number.to_string()),
        other => (other.kind().name(), format!("{} · {}", other.kind().name(), size(other))),
    };
    KeyRow {
        db,
        name: entry.key().to_vec(),
        key: text(entry.key()),
        kind: kind.to_owned(),
        value,
        expires_in: entry.expire().map(|at| Duration::from_millis(at.saturating_sub(now))),
    }
}

/// The number of elements of a value, or of bytes of a string.
pub(super) fn size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::String(StringRef::Bytes(bytes)) => bytes.len(),
        ValueRef::String(StringRef::Int(number)) => number.to_string().len(),
        ValueRef::List(list) => list.len(),
        ValueRef::Set(set) => set.len(),
        ValueRef::Hash(hash) => hash.len(),
        ValueRef::ZSet(zset) => zset.len(),
        ValueRef::Stream(stream) => stream.len(),
    }
}

/// A text cut to at most `most` characters.
pub(super) fn shortened(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).collect::<String>() + "…",
        None => text.into_owned(),
    }
}

/// The sort key for natural order: `key:9` before `key:10`.
fn natural(name: &str) -> (String, u64) {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (text, number) = name.split_at(name.len() - digits);
    (text.to_owned(), number.parse().unwrap_or_default())
}
