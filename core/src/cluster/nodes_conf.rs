//! `nodes.conf`: a node's view of its cluster, which survives restarts.
//!
//! One line for each node, in the format of `CLUSTER NODES`, and one line of variables. The format
//! is that of Redis, and each program reads the other's files. The file is replaced atomically, so
//! that a reader finds either the old or the new one.

use core::fmt::{self, Write};

use super::{NodeFlags, NodeId, SlotSet};
use crate::sharding::Slot;

/// The contents of `nodes.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodesConf {
    /// The nodes.
    pub nodes: Vec<NodeLine>,
    /// The largest epoch that was seen.
    pub current_epoch: u64,
    /// The epoch of this node's last vote.
    pub last_vote_epoch: u64,
    /// Slots whose keys were arriving in an atomic slot migration (see `state::handover`). A
    /// variable of Limpid's own, which Redis ignores.
    pub arriving: SlotSet,
}

/// A line of `nodes.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLine {
    /// The node's ID.
    pub id: NodeId,
    /// Its address; may be empty.
    pub ip: String,
    /// Its port for clients.
    pub port: u16,
    /// Its other port for clients.
    pub tls_port: u16,
    /// Its port of the bus.
    pub bus_port: u16,
    /// Its host name for clients; may be empty.
    pub hostname: String,
    /// Its human-readable name; may be empty.
    pub human_nodename: String,
    /// The ID of its shard, if the file names it.
    pub shard: Option<NodeId>,
    /// Its flags.
    pub flags: NodeFlags,
    /// The ID of its primary.
    pub master: Option<NodeId>,
    /// When it was sent the ping that it has not answered, in milliseconds since 1970; else 0.
    pub ping_sent: u64,
    /// When its last pong came, in milliseconds since 1970; else 0.
    pub pong_received: u64,
    /// The config epoch of its slots, or of its primary's slots.
    pub config_epoch: u64,
    /// Whether there is a connection to it. Written, but ignored when read.
    pub connected: bool,
    /// Its slots.
    pub slots: SlotSet,
    /// Its slots that are being migrated or imported; only in the line of the node itself.
    pub open: Vec<OpenSlot>,
}

/// A slot that is being moved between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSlot {
    /// Which slot.
    pub slot: Slot,
    /// The direction of the move.
    pub direction: Direction,
    /// The other node.
    pub node: NodeId,
}

/// The direction in which a slot moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `MIGRATING`: to the other node.
    To,
    /// `IMPORTING`: from the other node.
    From,
}

/// A line that cannot be parsed. The server refuses to start with such a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The line's number, from 1.
    pub number: usize,
    /// The line; empty if a line is missing.
    pub line: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: \"{}\"", self.number, self.reason, self.line)
    }
}

impl core::error::Error for Damaged {}

impl NodesConf {
    /// Parses the file. `None` if it is empty: there is no configuration yet.
    pub fn parse(text: &str) -> Result<Option<NodesConf>, Damaged> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let mut conf = NodesConf::default();
        for (number, line) in (1..).zip(text.lines()) {
            let damaged = |reason| Damaged { number, line: shortened(line), reason };
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words.split_first() {
                None => {}
                Some((word, variables)) if word.eq_ignore_ascii_case("vars") => {
                    conf.set_variables(variables).map_err(damaged)?;
                }
                Some(_) => {
                    let node = NodeLine::parse(&words).map_err(damaged)?;
                    if conf.nodes.iter().any(|other| other.id == node.id) {
                        return Err(damaged("a node appears twice"));
                    }
                    conf.nodes.push(node);
                }
            }
        }
        let myself = conf.nodes.iter().filter(|node| node.flags.any(NodeFlags::MYSELF)).count();
        if myself != 1 {
            let number = text.lines().count();
            let reason = "exactly one node must have the flag myself";
            return Err(Damaged { number, line: String::new(), reason });
        }
        Ok(Some(conf))
    }

    fn set_variables(&mut self, words: &[&str]) -> Result<(), &'static str> {
        let (pairs, rest) = words.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a variable has no value");
        }
        for [name, text] in pairs {
            let value = text.parse().map_err(|_| "a variable is not a number");
            if name.eq_ignore_ascii_case("currentEpoch") {
                self.current_epoch = value?;
            } else if name.eq_ignore_ascii_case("lastVoteEpoch") {
                self.last_vote_epoch = value?;
            } else if name.eq_ignore_ascii_case(ARRIVING) {
                self.arriving =
                    SlotSet::from_text(text, ',').ok_or("the arriving slots are not slots")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for NodesConf {
    /// The text of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            node.write(f, true)?;
            f.write_char('\n')?;
        }
        let (current, vote) = (self.current_epoch, self.last_vote_epoch);
        write!(f, "vars currentEpoch {current} lastVoteEpoch {vote}")?;
        if !self.arriving.is_empty() {
            write!(f, " {ARRIVING} {}", self.arriving.to_text(","))?;
        }
        f.write_char('\n')
    }
}

/// The variable that stores [`NodesConf::arriving`].
const ARRIVING: &str = "limpidArriving";

impl NodeLine {
    /// Writes the line without a line end. The shard and the fields that clients do not need are
    /// only written with `in_file`.
    pub fn write(&self, f: &mut impl Write, in_file: bool) -> fmt::Result {
        write!(f, "{} {}:{}@{}", self.id, self.ip, self.port, self.bus_port)?;
        if in_file || !self.hostname.is_empty() {
            write!(f, ",{}", self.hostname)?;
        }
        if in_file {
            write!(f, ",tls-port={}", self.tls_port)?;
            if !self.human_nodename.is_empty() {
                write!(f, ",nodename={}", self.human_nodename)?;
            }
            if let Some(shard) = self.shard {
                write!(f, ",shard-id={shard}")?;
            }
        }
        write!(f, " {} ", self.flags)?;
        match self.master {
            Some(master) => f.write_str(master.as_str())?,
            None => f.write_char('-')?,
        }
        let link = if self.connected { "connected" } else { "disconnected" };
        let Self { ping_sent, pong_received, config_epoch, .. } = self;
        write!(f, " {ping_sent} {pong_received} {config_epoch} {link}")?;
        for (first, last) in self.slots.ranges() {
            match first == last {
                true => write!(f, " {first}")?,
                false => write!(f, " {first}-{last}")?,
            }
        }
        for OpenSlot { slot, direction, node } in &self.open {
            let arrow = match direction {
                Direction::To => "->-",
                Direction::From => "-<-",
            };
            write!(f, " [{slot}{arrow}{node}]")?;
        }
        Ok(())
    }

    fn parse(words: &[&str]) -> Result<NodeLine, &'static str> {
        let [id, address, flags, master, ping, pong, epoch, _link, slots @ ..] = words else {
            return Err("a node's line has at least eight fields");
        };
        let mut line = NodeLine {
            id: NodeId::parse(id.as_bytes()).ok_or("a node's name has 40 hexadecimal digits")?,
            ip: String::new(),
            port: 0,
            tls_port: 0,
            bus_port: 0,
            hostname: String::new(),
            human_nodename: String::new(),
            shard: None,
            flags: parse_flags(flags)?,
            master: match *master {
                "-" => None,
                name => {
                    Some(NodeId::parse(name.as_bytes()).ok_or("the primary is not a node's name")?)
                }
            },
            ping_sent: ping.parse().map_err(|_| "the time of the ping is not a number")?,
            pong_received: pong.parse().map_err(|_| "the time of the pong is not a number")?,
            config_epoch: epoch.parse().map_err(|_| "the epoch is not a number")?,
            connected: false,
            slots: SlotSet::new(),
            open: Vec::new(),
        };
        line.parse_address(address)?;
        slots.iter().try_for_each(|word| line.parse_slots(word))?;
        Ok(line)
    }

    /// `ip:port@busport,hostname,name=value,…`; old files have less of it.
    fn parse_address(&mut self, text: &str) -> Result<(), &'static str> {
        let mut parts = text.split(',');
        let place = parts.next().unwrap_or_default();
        let (ip, ports) = place.rsplit_once(':').ok_or("the address has no port")?;
        let port = |text: &str| text.parse::<u16>().map_err(|_| "a port is not a number");
        self.ip = ip.to_owned();
        match ports.split_once('@') {
            Some((clients, bus)) => {
                self.port = port(clients)?;
                self.bus_port = port(bus)?;
            }
            None => {
                self.port = port(ports)?;
                self.bus_port = self.port.saturating_add(super::BUS_PORT_OFFSET);
            }
        }
        self.hostname = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, value) = part.split_once('=').ok_or("a field is not name=value")?;
            match name {
                "shard-id" => {
                    let shard = NodeId::parse(value.as_bytes());
                    self.shard = Some(shard.ok_or("a shard's name has 40 hexadecimal digits")?);
                }
                "nodename" => self.human_nodename = value.to_owned(),
                "tls-port" => self.tls_port = port(value)?,
                "tcp-port" => self.port = port(value)?,
                _ => return Err("a field of the address is unknown"),
            }
        }
        Ok(())
    }

    fn parse_slots(&mut self, word: &str) -> Result<(), &'static str> {
        const NO_SLOT: &str = "a slot is a number from 0 to 16383";
        let slot = |text: &str| text.parse().ok().and_then(Slot::new).ok_or(NO_SLOT);
        if let Some(open) = word.strip_prefix('[') {
            let open = open.strip_suffix(']').ok_or("an open slot has no closing bracket")?;
            let (number, direction, node) = match (open.split_once("->-"), open.split_once("-<-")) {
                (Some((number, node)), _) => (number, Direction::To, node),
                (_, Some((number, node))) => (number, Direction::From, node),
                _ => return Err("an open slot has no direction"),
            };
            let node = NodeId::parse(node.as_bytes()).ok_or("an open slot names no node")?;
            self.open.push(OpenSlot { slot: slot(number)?, direction, node });
            return Ok(());
        }
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        for number in slot(first)?.number()..=slot(last)?.number() {
            self.slots.insert(Slot::new(number).ok_or(NO_SLOT)?);
        }
        Ok(())
    }
}

fn parse_flags(text: &str) -> Result<NodeFlags, &'static str> {
    text.split(',').try_fold(NodeFlags::default(), |flags, name| {
        Ok(flags.and(NodeFlags::from_name(name).ok_or("a flag is unknown")?))
    })
}

/// The start of a line, short enough for a log.
fn shortened(line: &str) -> String {
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:30004@31004,,tls-port=0,\
shard-id=92fd7c2a7b7b8933d1019e72a852f621f6b4faff slave \
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 0 1426238317239 4 connected
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 127.0.0.1:30002@31002,there.example,tls-port=0,\
nodename=second,shard-id=82f76c2a7b7b8933d1019e72a852f621f6b4faff master - 0 1426238316232 2 \
connected 5461-10922
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 127.0.0.1:30001@31001,,tls-port=0,\
shard-id=92fd7c2a7b7b8933d1019e72a852f621f6b4faff myself,master - 0 0 1 connected 0-5460 7000 \
[42->-67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1] [9000-<-67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1]
vars currentEpoch 6 lastVoteEpoch 5
";

    #[test]
    fn a_file_of_redis_is_read_and_written_as_it_was() {
        let mut conf = NodesConf::parse(FILE).expect("a good file").expect("a configuration");
        assert_eq!((conf.current_epoch, conf.last_vote_epoch), (6, 5));
        assert_eq!(conf.nodes[1].hostname, "there.example");
        assert_eq!(conf.nodes[1].human_nodename, "second");
        assert_eq!(conf.nodes[2].slots.len(), 5462);
        assert_eq!(conf.nodes[2].open.len(), 2);
        conf.nodes.iter_mut().for_each(|node| node.connected = true);
        assert_eq!(conf.to_string(), FILE);
    }

    #[test]
    fn arriving_slots_are_kept() {
        let text = FILE.replace("lastVoteEpoch 5", "lastVoteEpoch 5 limpidArriving 0-2,7");
        let conf = NodesConf::parse(&text).expect("a good file").expect("a configuration");
        let arriving: Vec<u16> = conf.arriving.iter().map(Slot::number).collect();
        assert_eq!(arriving, [0, 1, 2, 7]);
        assert!(conf.to_string().ends_with("lastVoteEpoch 5 limpidArriving 0-2,7\n"));
        let bad = text.replace("0-2,7", "0-2,16384");
        assert!(NodesConf::parse(&bad).is_err());
    }

    #[test]
    fn files_of_older_versions_are_read() {
        let text = "e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 10.0.0.1:6379 myself,master - 0 0 1 \
                    connected 0\n\nvars currentEpoch 1 lastVoteEpoch 0 later 7\n";
        let conf = NodesConf::parse(text).expect("a good file").expect("a configuration");
        assert_eq!((conf.nodes[0].port, conf.nodes[0].bus_port), (6379, 16379));
        assert_eq!(conf.nodes[0].shard, None);
        assert_eq!(NodesConf::parse("\n\n"), Ok(None));
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_line() {
        let damages = [
            ("vars currentEpoch", "vars currentEpoch x"),
            ("lastVoteEpoch 5", "lastVoteEpoch"),
            ("myself,master", "master"),
            ("slave e7d1", "slave E7d1"),
            ("5461-10922", "5461-16384"),
            ("master - 0 0", "master - 0"),
            ("[42->-", "[42-"),
            ("myself,master", "myself,baker"),
            ("127.0.0.1:30004@31004", "127.0.0.1"),
        ];
        for (from, to) in damages {
            let text = FILE.replacen(from, to, 1);
            let damaged = NodesConf::parse(&text).expect_err(to);
            let line = text.lines().nth(damaged.number - 1).expect("a line");
            assert!(line.starts_with(&damaged.line), "{damaged}");
        }
        // A truncated file is parsed or refused, but never panics.
        for end in 0..FILE.len() {
            let _ = NodesConf::parse(&FILE[..end]);
        }
    }
}
