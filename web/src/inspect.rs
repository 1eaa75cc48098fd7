//! Data for the inspector that all kinds of bodies have: connections, log lines, INFO.

use core::time::Duration;

use limpid_core::machine::LogLevel;
use limpid_core::sorted::sort_by_key;

use crate::lab::Lab;
use crate::units::BodyId;

/// A connection, as the inspector lists it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ConnRow {
    /// Its number in the World.
    pub number: u64,
    /// The node at the other end.
    pub peer: String,
    /// How long it has been open.
    pub age: Duration,
    /// Bytes sent to the peer.
    pub sent: u64,
    /// Bytes read from the peer.
    pub read: u64,
}

/// A line of a log.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct LogRow {
    /// Its time, in nanoseconds.
    pub at: u64,
    /// The character of its level (`.`, `-`, `*`, `#`).
    pub mark: char,
    /// Whether it is a warning.
    pub is_warning: bool,
    /// Its message.
    pub text: String,
}

/// A section of INFO: its title, and its lines.
pub(crate) type Section = (String, Vec<(String, String)>);

/// The most log lines that are shown.
const LINES: usize = 300;

impl Lab {
    /// The connections of a body's processes.
    pub(crate) fn connections(&self, body: BodyId) -> Vec<ConnRow> {
        let world = self.world();
        let Some(unit) = self.units().get(body) else { return Vec::new() };
        let mut rows = Vec::new();
        for conn in world.conns() {
            for side in [0, 1] {
                let (own, peer) = (&conn.ends[side], &conn.ends[1 - side]);
                if !unit.owns(own.proc, own.host) || !own.open {
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

    /// The log lines of a body's processes, oldest first.
    pub(crate) fn log(&self, body: BodyId) -> Vec<LogRow> {
        let world = self.world();
        let Some(unit) = self.units().get(body) else { return Vec::new() };
        let mut rows = Vec::new();
        for proc in world.procs().filter(|proc| unit.owns(Some(proc.id), proc.host)) {
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

    /// INFO's sections.
    pub(crate) fn info(&self, body: BodyId) -> Option<Vec<Section>> {
        let unit = self.units().get(body)?;
        let text = (unit.kind.info)(self, unit)?;
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
}
