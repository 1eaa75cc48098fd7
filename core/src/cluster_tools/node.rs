//! A cluster node as the tools see it.

use std::collections::BTreeMap;

use crate::cluster::SlotSet;
use crate::sharding::Slot;

use super::io::Place;
use super::options::Dialect;

/// A node as it describes itself in CLUSTER NODES, or as another node describes it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) place: Place,
    /// The port of the bus; 0 if it is not known.
    pub(crate) bus_port: u16,
    pub(crate) flags: Vec<String>,
    /// The ID of the master that it replicates.
    pub(crate) replicates: Option<String>,
    pub(crate) slots: SlotSet,
    /// Slots that are migrating, with the ID of the target.
    pub(crate) migrating: BTreeMap<u16, String>,
    /// Slots that are being imported, with the ID of the source.
    pub(crate) importing: BTreeMap<u16, String>,
    pub(crate) epoch: u64,
    /// Whether the node that was asked is connected to it.
    pub(crate) connected: bool,
    /// The number of its replicas, once it has been counted.
    pub(crate) replicas: Option<usize>,
    /// Whether its planned role or slots have not been sent to it yet.
    pub(crate) is_planned: bool,
}

impl Node {
    /// Parses a line of CLUSTER NODES.
    pub(crate) fn parse(line: &str) -> Option<Node> {
        let mut words = line.split(' ');
        let id = words.next()?.to_owned();
        let address = words.next()?;
        // host:port@busport,hostname,shard-id=...
        let address = address.split(',').next().unwrap_or(address);
        let (client, bus) = address.split_once('@').unwrap_or((address, "0"));
        let (host, port) = client.rsplit_once(':')?;
        let place = Place { host: host.to_owned(), port: port.parse().ok()? };
        let flags = words.next()?.split(',').map(str::to_owned).collect();
        let master = words.next()?;
        let replicates = (master != "-").then(|| master.to_owned());
        let epoch = words.nth(2)?.parse().ok()?;
        let connected = words.next()? == "connected";
        let mut node = Node {
            id,
            place,
            bus_port: bus.parse().unwrap_or(0),
            flags,
            replicates,
            slots: SlotSet::new(),
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
            epoch,
            connected,
            replicas: None,
            is_planned: false,
        };
        for word in words {
            node.parse_slots(word);
        }
        Some(node)
    }

    /// Parses `5`, `0-100`, `[5->-id]` or `[5-<-id]`.
    fn parse_slots(&mut self, word: &str) {
        if let Some(open) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
            if let Some((slot, id)) = open.split_once("->-") {
                self.migrating.extend(slot.parse::<u16>().map(|slot| (slot, id.to_owned())));
            } else if let Some((slot, id)) = open.split_once("-<-") {
                self.importing.extend(slot.parse::<u16>().map(|slot| (slot, id.to_owned())));
            }
            return;
        }
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            (first..=last).filter_map(Slot::new).for_each(|slot| {
                self.slots.insert(slot);
            });
        }
    }

    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    pub(super) fn is_replica(&self) -> bool {
        self.replicates.is_some() || self.has_flag("slave")
    }

    /// The first eight characters of its ID.
    pub(super) fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    /// The lines that the tools print for it.
    pub(super) fn describe(&self, indent: usize, dialect: Dialect) -> String {
        let pad = " ".repeat(indent);
        let role = if self.is_replica() { 'S' } else { 'M' };
        let head = format!("{pad}{role}: {} {}\n{pad}   ", self.id, self.place);
        if let (true, Some(master)) = (self.is_planned, &self.replicates) {
            return format!("{head}replicates {master}\n");
        }
        let count = self.slots.len();
        let flags: Vec<&str> =
            self.flags.iter().map(String::as_str).filter(|flag| *flag != "myself").collect();
        let (slots, flags) = (self.slots_text(dialect), flags.join(","));
        let body = format!("{head}slots:{slots} ({count} slots) {flags}\n");
        match (&self.replicates, self.replicas) {
            (Some(master), _) => format!("{body}{pad}   replicates {master}\n"),
            (None, Some(replicas)) if replicas > 0 || dialect == Dialect::Trib => {
                format!("{body}{pad}   {replicas} additional replica(s)\n")
            }
            _ => body,
        }
    }

    fn slots_text(&self, dialect: Dialect) -> String {
        let ranges: Vec<String> = self
            .slots
            .ranges()
            .map(|(first, last)| match (dialect, first == last) {
                (Dialect::Cli, true) => format!("[{first}]"),
                (Dialect::Cli, false) => format!("[{first}-{last}]"),
                (Dialect::Trib, true) => format!("{first}"),
                (Dialect::Trib, false) => format!("{first}-{last}"),
            })
            .collect();
        if ranges.is_empty() { " ".trim().into() } else { ranges.join(",") }
    }
}
