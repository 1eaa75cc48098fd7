//! The ledger of a server: which writes must be there after a restart, and whether they are.

use std::collections::BTreeSet;
use std::time::Duration;

use limpid_core::server::Server;
use limpid_core::store::{Entry, ValueRef};
use limpid_core::time::Mono;

use super::writer::{Answer, Write, is_transaction, value};

/// The highest age of a write that may be lost with `appendfsync everysec`.
pub(super) const EVERYSEC: Duration = Duration::from_secs(2);

/// How long the disk must have worked before [`EVERYSEC`] holds again.
const WELL: Duration = Duration::from_secs(3);

/// A value of `appendfsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Always,
    Everysec,
    No,
}

impl Policy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Policy::Always => "always",
            Policy::Everysec => "everysec",
            Policy::No => "no",
        }
    }
}

/// The writes that must be there, as moments: everything acknowledged before one must be there.
#[derive(Debug, Clone)]
pub(super) struct Owed {
    /// The moment for the append-only file.
    pub(super) aof: Mono,
    /// The moment for the dump.
    pub(super) rdb: Mono,
    /// Whether writes go to an append-only file now.
    pub(super) follows: bool,
    pub(super) policy: Policy,
    /// Since when the policy is in force. With `always`, a write that was sent after this and
    /// acknowledged is durable, and so are all writes before it, under whatever policy these were
    /// acknowledged.
    pub(super) policy_since: Mono,
    /// Since when the disk has worked without faults.
    pub(super) well_since: Option<Mono>,
    /// When the disk was last very slow.
    pub(super) slow: Option<Mono>,
}

impl Owed {
    /// Updates the moment for the append-only file. `last` is when the last acknowledgement
    /// arrived; with `always`, that of a write that was sent under this policy.
    pub(super) fn advance(&mut self, now: Mono, last: Mono) {
        if !self.follows {
            return;
        }
        match self.policy {
            // Holds whether the disk fails or not.
            Policy::Always => self.aof = self.aof.max(last),
            Policy::Everysec => {
                // With a disk that is too slow replies are delayed, so the age of a write counts
                // from the last reply.
                let slow = self.slow.is_some_and(|at| now.since(at) < Duration::from_secs(8));
                let end = if slow { last } else { now };
                if self.well_since.is_some_and(|since| now.since(since) >= WELL) {
                    self.owe_before(end);
                }
            }
            Policy::No => {}
        }
    }

    /// Notes that the disk starts to fail: only writes that are old enough at this moment must be
    /// kept.
    pub(super) fn disk_fails(&mut self, now: Mono, last: Mono) {
        self.advance(now, last);
        self.well_since = None;
    }

    fn owe_before(&mut self, end: Mono) {
        let before = Mono(end.0.saturating_sub(EVERYSEC.as_nanos() as u64));
        self.aof = self.aof.max(before);
    }
}

/// The result of a check.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    /// Acknowledged writes that are lost and may be.
    pub(super) lost: u64,
    /// Writes that are there.
    pub(super) present: u64,
}

/// Checks the data of a server after it has started. The error says what is wrong.
///
/// * All writes that were acknowledged before `owed` are there, and if `durable`, those
///   acknowledged as durable.
/// * No write is there that was not sent, was refused, or was found lost before.
/// * No write is missing that was acknowledged before one that is there was sent, or that came
///   before it on the same connection.
/// * Transactions are there completely or not at all.
pub(super) fn settle(
    server: &Server,
    writers: &mut [(String, Vec<Write>)],
    owed: Mono,
    durable: bool,
) -> Result<Found, String> {
    let mut found = Found::default();
    let mut held = Vec::new();
    for (name, writes) in writers.iter() {
        held.push(numbers(server, name, writes)?);
    }
    // When the latest write that is there was sent.
    let latest = writers.iter().zip(&held).flat_map(|((_, writes), held)| {
        writes.iter().filter(|write| held.contains(&write.number)).map(|write| write.sent)
    });
    let latest = latest.max().unwrap_or(Mono::ZERO);
    for ((name, writes), held) in writers.iter_mut().zip(&held) {
        let last = held.last().copied().unwrap_or(0);
        // The writer and the connection of a missing write.
        let mut missing = None;
        for write in writes.iter_mut() {
            let (number, there) = (write.number, held.contains(&write.number));
            if there {
                found.present += 1;
                if write.gone {
                    return Err(format!("{name}: {number} was lost, and is there again"));
                }
                if write.answer == Answer::Refused {
                    return Err(format!("{name}: {number} was refused, and is there"));
                }
                if missing == Some(write.connection) {
                    return Err(format!("{name}: {number} is there, but not all before it"));
                }
                continue;
            }
            if write.gone || write.answer == Answer::Refused {
                continue;
            }
            missing = Some(write.connection);
            if let Answer::Done(at) = write.answer {
                if at <= owed || durable && write.durable {
                    return Err(format!(
                        "{name}: {number} is lost; it was sent at {}, acknowledged at {}{}; all \
                         is owed that was before {}; the last one there is {last}",
                        show(write.sent),
                        show(at),
                        if write.durable { " and then as durable" } else { "" },
                        show(owed),
                    ));
                }
                if at < latest {
                    return Err(format!(
                        "{name}: {number} is lost, which was acknowledged at {}, before something \
                         was sent that is there ({})",
                        show(at),
                        show(latest),
                    ));
                }
                found.lost += 1;
            }
            write.gone = true;
        }
    }
    Ok(found)
}

/// Formats a moment as in logs: seconds and microseconds.
pub(super) fn show(at: Mono) -> String {
    format!("{}.{:06}", at.0 / 1_000_000_000, at.0 / 1_000 % 1_000_000)
}

/// The numbers of a writer that a server has, in order.
fn numbers(server: &Server, name: &str, writes: &[Write]) -> Result<BTreeSet<u64>, String> {
    let peek = |key: String| server.keyspace().peek(0, key.as_bytes()).map(Entry::value);
    let mut held = BTreeSet::new();
    match peek(format!("log:{name}")) {
        None => {}
        Some(ValueRef::List(list)) => {
            for item in list.iter() {
                let text = String::from_utf8_lossy(&item.to_vec()).into_owned();
                let number: u64 = text
                    .split_once(':')
                    .and_then(|(number, _)| number.parse().ok())
                    .ok_or_else(|| format!("{name}: '{text}' was never sent"))?;
                let sent = (1..=writes.len() as u64).contains(&number);
                if !sent || text != value(number) {
                    return Err(format!("{name}: '{text}' was never sent"));
                }
                if held.last().is_some_and(|last| *last >= number) {
                    return Err(format!("{name}: {number} stands behind {:?}", held.last()));
                }
                held.insert(number);
            }
        }
        Some(_) => return Err(format!("log:{name} is no list")),
    }
    let of_transactions: Vec<u64> =
        held.iter().copied().filter(|number| is_transaction(*number)).collect();
    let last = match peek(format!("last:{name}")) {
        Some(ValueRef::String(text)) => String::from_utf8_lossy(&text.to_vec()).parse().ok(),
        _ => None,
    };
    let (count, lacks) = match peek(format!("all:{name}")) {
        Some(ValueRef::Hash(hash)) => {
            let lacks = |number: &&u64| hash.get(number.to_string().as_bytes()).is_none();
            (hash.len(), of_transactions.iter().find(lacks))
        }
        _ => (0, of_transactions.first()),
    };
    if last != of_transactions.last().copied() || count != of_transactions.len() || lacks.is_some()
    {
        return Err(format!(
            "{name}: half a transaction: last is {last:?}, the list's is {:?}; the hash has \
             {count} of {}, and not {lacks:?}",
            of_transactions.last(),
            of_transactions.len()
        ));
    }
    Ok(held)
}
