//! What the inspector shows of a body, read from the machines of the World.

use core::time::Duration;

use limpid_core::front::config::Schema;
use limpid_core::lab::Traffic;
use limpid_core::machine::LogLevel;
use limpid_core::server::Server;
use limpid_core::server::config::ServerSchema;
use limpid_core::sim::{EndView, ProcId, ProcView};
use limpid_core::sorted::sort_by_key;
use limpid_core::store::{Entry, Keyed, StringRef, ValueRef};

use crate::lab::Lab;

/// A key, as the inspector lists it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct KeyRow {
    /// Its database.
    pub db: usize,
    /// Its name.
    pub key: String,
    /// Its type.
    pub kind: String,
    /// Its value, in short.
    pub value: String,
    /// How long it lives yet, if not for ever.
    pub expires_in: Option<Duration>,
}

/// A connection, as the inspector lists it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ConnRow {
    /// Its number in the World.
    pub number: u64,
    /// Who is at the other end.
    pub peer: String,
    /// Since when it stands.
    pub age: Duration,
    /// Bytes sent to the peer.
    pub sent: u64,
    /// Bytes read from the peer.
    pub read: u64,
}

/// A line of a log.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct LogRow {
    /// When, in nanoseconds.
    pub at: u64,
    /// The level's mark.
    pub mark: char,
    /// Whether it is a warning.
    pub is_warning: bool,
    /// What it says.
    pub text: String,
}

/// A section of INFO: its title, and its lines.
pub(crate) type Section = (String, Vec<(String, String)>);

/// Characters of a value that are shown.
const VALUE: usize = 60;
/// Commands of a client that may wait before somebody should be told: at twenty a second, one or
/// two are under way at any time.
const WAITING: usize = 6;
/// Lines of a log that are shown.
const LINES: usize = 300;

impl Lab {
    /// The connections of a body's processes.
    pub(crate) fn connections(&self, body: usize) -> Vec<ConnRow> {
        let world = self.world();
        let Some(unit) = self.units().get(body) else { return Vec::new() };
        let own_process = |end: &EndView<'_>| match unit.shares {
            true => end.proc == unit.process,
            false => end.host == unit.host,
        };
        let mut rows = Vec::new();
        for conn in world.conns() {
            for side in [0, 1] {
                let (own, peer) = (&conn.ends[side], &conn.ends[1 - side]);
                if !own_process(own) || !own.open {
                    continue;
                }
                let name = world.host(peer.host).map_or("?", |host| host.name);
                rows.push(ConnRow {
                    number: conn.id.0,
                    peer: format!("{name} {}", peer.addr),
                    age: world.now().since(conn.opened),
                    sent: own.sent,
                    read: own.read,
                });
            }
        }
        rows
    }

    /// What a body's processes have logged, oldest first.
    pub(crate) fn log(&self, body: usize) -> Vec<LogRow> {
        let world = self.world();
        let Some(unit) = self.units().get(body) else { return Vec::new() };
        let mut rows = Vec::new();
        let own = |proc: &ProcView<'_>| match unit.shares {
            true => unit.process == Some(proc.id),
            false => proc.host == unit.host,
        };
        for proc in world.procs().filter(own) {
            let Some(log) = world.log(proc.id) else { continue };
            rows.extend(log.iter().map(|line| LogRow {
                at: line.at.0,
                mark: line.level.mark(),
                is_warning: line.level == LogLevel::Warning,
                text: line.text.clone(),
            }));
        }
        sort_by_key(&mut rows, |row| row.at);
        let skipped = rows.len().saturating_sub(LINES);
        rows.split_off(skipped)
    }

    /// What INFO says, by section.
    pub(crate) fn info(&self, body: usize) -> Option<Vec<Section>> {
        let text = match self.server(body) {
            // It is a clone that tells, so that looking changes nothing.
            Some(server) => server.clone().info(&[]),
            None => self.client_info(body)?,
        };
        let mut sections: Vec<Section> = Vec::new();
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("# ") {
                sections.push((title.to_owned(), Vec::new()));
            } else if let (Some((key, value)), Some((_, lines))) =
                (line.split_once(':'), sections.last_mut())
            {
                lines.push((key.to_owned(), value.to_owned()));
            }
        }
        Some(sections)
    }

    /// One section of INFO.
    pub(crate) fn info_section(&self, body: usize, section: &str) -> Option<Vec<(String, String)>> {
        let text = self.server(body)?.clone().info(&[section]);
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Some(lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// What a client that makes traffic has seen, in the form of INFO.
    fn client_info(&self, body: usize) -> Option<String> {
        let traffic = self.world().machine::<Traffic>(self.main_of(body)?)?.client();
        let stats = traffic.stats();
        let millis = |d: Duration| format!("{:.3} ms", d.as_secs_f64() * 1e3);
        let answered = stats.replies + stats.errors;
        let mean = stats.latency.total / u32::try_from(answered.max(1)).unwrap_or(u32::MAX);
        Some(format!(
            "# Client\ntarget:{}\nconnected:{}\nwaiting:{}\n# Traffic\nsent:{}\nreplies:{}\n\
             errors:{}\nlost:{}\nskipped:{}\nconnections:{}\nfailures:{}\n# Latency\nlast:{}\n\
             mean:{}\np99:{}\nmax:{}\n",
            traffic.config().target,
            if traffic.is_connected() { "yes" } else { "no" },
            traffic.pending(),
            stats.sent,
            stats.replies,
            stats.errors,
            stats.lost,
            stats.skipped,
            stats.connects,
            stats.failures,
            millis(stats.latency.last),
            millis(mean),
            millis(stats.latency.quantile(0.99)),
            millis(stats.latency.max),
        ))
    }

    /// Keys whose name holds `filter`, no more than so many, and how many keys there are.
    pub(crate) fn keys(
        &self,
        body: usize,
        filter: &str,
        most: usize,
    ) -> Option<(Vec<KeyRow>, usize)> {
        let server = self.server(body)?;
        let host = self.units().get(body)?.host;
        let now = self.world().host(host)?.wall.as_millis();
        let total = server.keyspace().summary().map(|(_, keys, ..)| keys).sum();
        let mut rows = Vec::new();
        // A clone may be looked at in ways that an original would remember.
        let mut keyspace = server.keyspace().clone();
        for db in 0..keyspace.count() {
            let db_view = keyspace.db(db);
            let fits = |entry: &&Entry| String::from_utf8_lossy(entry.key()).contains(filter);
            let alive = |entry: &&Entry| entry.expire().is_none_or(|at| at > now);
            for entry in db_view.iter().filter(alive).filter(fits).take(most - rows.len()) {
                rows.push(key_row(db, entry, now));
            }
        }
        sort_by_key(&mut rows, |row| (row.db, natural(&row.key)));
        Some((rows, total))
    }

    /// The directives with their values; what differs from its default comes first.
    pub(crate) fn config(&self, body: usize) -> Option<Vec<(String, String)>> {
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

    /// How many keys a body's server holds.
    pub(crate) fn key_count(&self, body: usize) -> u64 {
        let server = self.server(body);
        server.map_or(0, |s| s.keyspace().summary().map(|(_, keys, ..)| keys as u64).sum())
    }

    /// Whether a client waits for a reply or a connection, and has for longer than is usual.
    pub(crate) fn is_stuck(&self, body: usize) -> bool {
        let machine = self.main_of(body).and_then(|id| self.world().machine::<Traffic>(id));
        machine.is_some_and(|traffic| {
            let client = traffic.client();
            !client.is_connected() || client.pending() >= WAITING
        })
    }

    /// The server of a body, if it runs.
    pub(crate) fn server(&self, body: usize) -> Option<&Server> {
        self.world().machine(self.main_of(body)?)
    }

    /// The process that a body is there for.
    fn main_of(&self, body: usize) -> Option<ProcId> {
        self.units().process(self.world(), body)
    }
}

fn key_row(db: usize, entry: &Entry, now: u64) -> KeyRow {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        match text.chars().count() > VALUE {
            true => text.chars().take(VALUE - 1).collect::<String>() + "…",
            false => text.into_owned(),
        }
    };
    let (kind, value) = match entry.value() {
        ValueRef::String(StringRef::Bytes(bytes)) => ("string", text(bytes)),
        ValueRef::String(StringRef::Int(number)) => ("string", number.to_string()),
        other => (other.kind().name(), String::new()),
    };
    KeyRow {
        db,
        key: text(entry.key()),
        kind: kind.to_owned(),
        value,
        expires_in: entry.expire().map(|at| Duration::from_millis(at.saturating_sub(now))),
    }
}

/// `key:9` before `key:10`.
fn natural(name: &str) -> (String, u64) {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (text, number) = name.split_at(name.len() - digits);
    (text.to_owned(), number.parse().unwrap_or_default())
}
