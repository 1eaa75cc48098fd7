//! keepalived: an address shared by several hosts, one of which has it at a time (VRRP).
//!
//! The host that has the address advertises that every second. If no advertisement has arrived for
//! three seconds, the remaining host with the highest priority takes the address. The packets are
//! those of VRRP version 2. They are sent to the addresses of `unicast_peer`, over TCP, since a
//! World has no datagrams. The receiver echoes each packet, so that the sender detects a broken
//! connection and opens a new one, and no packet arrives long after it was sent.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::machine::{
    Close, ConnId, Endpoint, Input, ListenerId, LogLevel, LogLine, Machine, Outbox, Output, Signal,
};
use crate::sim::{Launch, LaunchError, Process, WorldRequest, resolve_path};
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono, Now};

/// The port for packets: the protocol number of VRRP, which itself has no ports.
const PORT: u16 = 112;
/// Length of a packet in bytes: header, one address, authentication data.
const PACKET: usize = 20;
/// The priority with which a master announces that it gives up the address.
const STOP_PRIORITY: u8 = 0;

/// A keepalived process with one `vrrp_instance`.
#[derive(Clone, Debug)]
pub struct Keepalived {
    config: Config,
    /// The address of the host itself.
    own: Ipv4Addr,
    state: State,
    /// When the next advertisement is due (master), or the silence has lasted too long (backup).
    due: Mono,
    /// Connections to the other keepalived processes.
    peers: Vec<PeerLink>,
    /// Connections from the other keepalived processes.
    accepted: SortedMap<ConnId, Accepted>,
    connections: u64,
    outputs: VecDeque<Output>,
    world_requests: VecDeque<WorldRequest>,
}

/// Whether the process has the shared address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Master,
    Backup,
}

/// The settings in `keepalived.conf`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Config {
    /// The name of the `vrrp_instance`.
    name: String,
    begins: State,
    router_id: u8,
    priority: u8,
    interval: Duration,
    peers: Vec<Ipv4Addr>,
    address: Ipv4Addr,
}

/// The connection to another keepalived.
#[derive(Clone, Debug)]
struct PeerLink {
    to: Ipv4Addr,
    conn: Option<(ConnId, Outbox)>,
    up: bool,
    /// Number of packets that have not been echoed.
    unanswered: u32,
}

/// A connection from another keepalived.
#[derive(Clone, Debug)]
struct Accepted {
    from: Ipv4Addr,
    outbox: Outbox,
    /// The bytes of an incomplete packet.
    part: Vec<u8>,
}

impl Keepalived {
    /// Parses `keepalived [-f <file>]`.
    pub(super) fn launch(launch: &Launch<'_>) -> Result<Self, LaunchError> {
        let file = match launch.args {
            [] => "/etc/keepalived/keepalived.conf",
            [option, file] if option == "-f" || option == "--use-file" => file,
            _ => return Err(LaunchError("usage: keepalived [-f <file>]".into())),
        };
        let bytes = launch.disk.read_file(&resolve_path(launch.dir, file)).map_err(|error| {
            LaunchError(format!("Unable to find configuration file {file}: {}", error.message))
        })?;
        let config = Config::parse(&String::from_utf8_lossy(&bytes))
            .map_err(|(line, what)| LaunchError(format!("({file}: Line {line}) {what}")))?;
        let link = |to: &Ipv4Addr| PeerLink { to: *to, conn: None, up: false, unanswered: 0 };
        Ok(Keepalived {
            peers: config.peers.iter().map(link).collect(),
            config,
            own: launch.ip,
            state: State::Backup,
            due: Mono::ZERO,
            accepted: SortedMap::new(),
            connections: 0,
            outputs: VecDeque::new(),
            world_requests: VecDeque::new(),
        })
    }

    /// The shared address.
    pub fn address(&self) -> Ipv4Addr {
        self.config.address
    }

    /// Whether its host has the address now.
    pub fn is_master(&self) -> bool {
        self.state == State::Master
    }

    fn start(&mut self, now: Mono) {
        let at = Endpoint::Ip(SocketAddr::new(self.own.into(), PORT));
        self.outputs.push_back(Output::Listen { listener: ListenerId(0), at, backlog: 16 });
        self.log(format!("({}) Entering BACKUP STATE (init)", self.config.name));
        // The configured MASTER takes the address at once, without listening for others first.
        self.due = match self.config.begins {
            State::Master => now + self.config.interval,
            State::Backup => now + self.silence(),
        };
    }

    /// The master-down interval: how long no advertisement may arrive before the address is free.
    fn silence(&self) -> Duration {
        self.config.interval * 3 + self.skew()
    }

    /// The skew time, so that the host with the highest priority takes over first.
    fn skew(&self) -> Duration {
        self.config.interval * (256 - u32::from(self.config.priority)) / 256
    }

    fn become_master(&mut self, now: Mono) {
        self.state = State::Master;
        self.log(format!("({}) Entering MASTER STATE", self.config.name));
        self.world_requests.push_back(WorldRequest::Claim(self.config.address));
        self.advertise(self.config.priority);
        self.due = now + self.config.interval;
    }

    fn become_backup(&mut self, now: Mono, why: &str) {
        if self.state == State::Master {
            self.world_requests.push_back(WorldRequest::Release(self.config.address));
            self.log(format!("({}) {why}", self.config.name));
            self.log(format!("({}) Entering BACKUP STATE", self.config.name));
        }
        self.state = State::Backup;
        self.due = now + self.silence();
    }

    /// Sends an advertisement to all others.
    fn advertise(&mut self, priority: u8) {
        let packet = Packet { router_id: self.config.router_id, priority };
        let bytes = packet.encode(self.config.address, self.config.interval);
        for peer in &mut self.peers {
            // After three packets without an echo the connection is considered broken.
            if peer.unanswered >= 3
                && let Some((conn, _)) = peer.conn.take()
            {
                self.outputs.push_back(Output::Close { conn, how: Close::Now });
            }
            let conn = match &mut peer.conn {
                Some((conn, outbox)) => {
                    outbox.write(&bytes);
                    *conn
                }
                None => {
                    self.connections += 1;
                    let conn = ConnId::connected(self.connections);
                    let to = Endpoint::Ip(SocketAddr::new(peer.to.into(), PORT)).into();
                    let from = Some(Endpoint::Ip(SocketAddr::new(self.own.into(), 0)));
                    self.outputs.push_back(Output::Connect { conn, to, from });
                    let mut outbox = Outbox::default();
                    outbox.write(&bytes);
                    peer.conn = Some((conn, outbox));
                    (peer.up, peer.unanswered) = (false, 0);
                    conn
                }
            };
            peer.unanswered += 1;
            if peer.up {
                self.outputs.push_back(Output::Send { conn });
            }
        }
    }

    /// Handles a packet of another keepalived.
    fn receive_packet(&mut self, now: Mono, from: Ipv4Addr, packet: Packet) {
        if packet.router_id != self.config.router_id {
            return;
        }
        let name = &self.config.name;
        let own = self.config.priority;
        let above = (packet.priority, from) > (own, self.own);
        match self.state {
            State::Backup if packet.priority == STOP_PRIORITY => self.due = now + self.skew(),
            // A master with a lower priority is ignored, so this host takes over after the silence.
            State::Backup if above || packet.priority == own => self.due = now + self.silence(),
            State::Backup => {}
            State::Master if packet.priority == STOP_PRIORITY => self.advertise(own),
            State::Master if above => {
                let why = format!(
                    "Master received advert from {from} with higher priority {}, ours {own}",
                    packet.priority
                );
                self.become_backup(now, &why);
            }
            State::Master => {
                let text = format!(
                    "({name}) Received advert from {from} with lower priority {}, ours {own}, forcing new election",
                    packet.priority
                );
                self.log(text);
                self.advertise(own);
                // A host that was partitioned may have taken the address meanwhile, so take it
                // back.
                self.world_requests.push_back(WorldRequest::Claim(self.config.address));
            }
        }
    }

    fn received(&mut self, now: Mono, conn: ConnId, bytes: &[u8]) {
        if let Some(Accepted { from, outbox, part }) = self.accepted.get_mut(&conn) {
            let from = *from;
            part.extend_from_slice(bytes);
            let mut packets = Vec::new();
            while part.len() >= PACKET {
                let packet: Vec<u8> = part.drain(..PACKET).collect();
                outbox.write(&packet);
                packets.push(packet);
            }
            if !packets.is_empty() {
                self.outputs.push_back(Output::Send { conn });
            }
            for bytes in packets {
                match Packet::decode(&bytes) {
                    Some(packet) => self.receive_packet(now, from, packet),
                    None => self.log(format!("({}) Invalid VRRP packet", self.config.name)),
                }
            }
            return;
        }
        let own = |peer: &&mut PeerLink| peer.conn.as_ref().is_some_and(|(own, _)| *own == conn);
        if let Some(peer) = self.peers.iter_mut().find(own) {
            peer.unanswered = 0;
        }
    }

    fn closed(&mut self, conn: ConnId) {
        self.accepted.remove(&conn);
        for peer in &mut self.peers {
            if peer.conn.as_ref().is_some_and(|(own, _)| *own == conn) {
                (peer.conn, peer.up) = (None, false);
            }
        }
    }

    fn log(&mut self, text: String) {
        self.outputs.push_back(Output::Log(LogLine { level: LogLevel::Notice, role: 'K', text }));
    }
}

impl Machine for Keepalived {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        let now = now.mono;
        match input {
            Input::Start => self.start(now),
            Input::Accepted { conn, peer: Endpoint::Ip(peer), .. } => {
                let IpAddr::V4(from) = peer.ip() else { return };
                let accepted = Accepted { from, outbox: Outbox::default(), part: Vec::new() };
                self.accepted.insert(conn, accepted);
            }
            Input::Connected { conn, .. } => {
                for peer in &mut self.peers {
                    if peer.conn.as_ref().is_some_and(|(own, _)| *own == conn) {
                        peer.up = true;
                        self.outputs.push_back(Output::Send { conn });
                    }
                }
            }
            Input::Received { conn, bytes } => self.received(now, conn, bytes),
            Input::Ended { conn } => {
                self.outputs.push_back(Output::Close { conn, how: Close::Now });
                self.closed(conn);
            }
            Input::ConnectFailed { conn, .. } | Input::Closed { conn, .. } => self.closed(conn),
            Input::Signal(Signal::Terminate | Signal::Interrupt) => {
                if self.state == State::Master {
                    self.log(format!("({}) sent 0 priority", self.config.name));
                    self.advertise(STOP_PRIORITY);
                    self.world_requests.push_back(WorldRequest::Release(self.config.address));
                }
                self.log("Stopped Keepalived".to_owned());
                self.outputs.push_back(Output::Exit { code: 0 });
                return;
            }
            _ => {}
        }
        if self.due <= now {
            match self.state {
                State::Backup => self.become_master(now),
                State::Master => {
                    self.advertise(self.config.priority);
                    self.due = now + self.config.interval;
                }
            }
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        Some(self.due)
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        if let Some(accepted) = self.accepted.get_mut(&conn) {
            return Some(&mut accepted.outbox);
        }
        let own = |peer: &PeerLink| peer.conn.as_ref().is_some_and(|(own, _)| *own == conn);
        let peer = self.peers.iter_mut().find(|peer| own(peer))?;
        peer.conn.as_mut().map(|(_, outbox)| outbox)
    }
}

impl Process for Keepalived {
    fn log_file(&self) -> Option<String> {
        Some("/var/log/keepalived.log".to_owned())
    }

    fn poll_world_request(&mut self) -> Option<WorldRequest> {
        self.world_requests.pop_front()
    }
}

/// The variable fields of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Packet {
    router_id: u8,
    priority: u8,
}

impl Packet {
    /// Encodes a packet by RFC 3768.
    fn encode(self, shared: Ipv4Addr, interval: Duration) -> [u8; PACKET] {
        let seconds = u8::try_from(interval.as_secs()).unwrap_or(u8::MAX);
        let mut bytes = [0; PACKET];
        // Version 2, advertisement; one address; no authentication.
        bytes[..6].copy_from_slice(&[0x21, self.router_id, self.priority, 1, 0, seconds]);
        bytes[8..12].copy_from_slice(&shared.octets());
        let sum = checksum(&bytes);
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Packet> {
        let bytes: &[u8; PACKET] = bytes.try_into().ok()?;
        let [0x21, router_id, priority, 1, ..] = *bytes else { return None };
        (checksum(bytes) == 0).then_some(Packet { router_id, priority })
    }
}

impl Config {
    /// Parses the `vrrp_instance`; the rest of the file configures what a World does not have. An
    /// error comes with its line number.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut config = Config {
            name: String::new(),
            begins: State::Backup,
            router_id: 0,
            priority: 100,
            interval: Duration::from_secs(1),
            peers: Vec::new(),
            address: Ipv4Addr::UNSPECIFIED,
        };
        let mut blocks: Vec<&str> = Vec::new();
        let mut last = 0;
        for (number, line) in text.lines().enumerate() {
            last = number + 1;
            let line = line.split(['#', '!']).next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] => {}
                ["}"] => {
                    blocks.pop().ok_or_else(|| (last, "'}' closes no block".to_owned()))?;
                }
                ["vrrp_instance", name, "{"] => {
                    config.name = name.to_owned();
                    blocks.push("vrrp_instance");
                }
                [block, .., "{"] => blocks.push(block),
                [keyword, value, ..] if blocks == ["vrrp_instance"] => {
                    config.set(keyword, value).map_err(|what| (last, what))?;
                }
                [address, ..] if blocks == ["vrrp_instance", "unicast_peer"] => {
                    config.peers.push(ip(address).map_err(|what| (last, what))?);
                }
                [address, ..] if blocks == ["vrrp_instance", "virtual_ipaddress"] => {
                    config.address = ip(address).map_err(|what| (last, what))?;
                }
                _ => {}
            }
        }
        if config.address.is_unspecified() {
            return Err((last, "no vrrp_instance has a virtual_ipaddress".to_owned()));
        }
        Ok(config)
    }

    fn set(&mut self, keyword: &str, value: &str) -> Result<(), String> {
        let number = |least: u8| {
            let number = value.parse().ok().filter(|number| *number >= least);
            number.ok_or_else(|| format!("{keyword} '{value}' is not between {least} and 255"))
        };
        match keyword {
            "state" => {
                self.begins = match value {
                    "MASTER" => State::Master,
                    "BACKUP" => State::Backup,
                    _ => return Err(format!("unknown state '{value}'; write MASTER or BACKUP")),
                };
            }
            "virtual_router_id" => self.router_id = number(1)?,
            "priority" => self.priority = number(1)?,
            "advert_int" => self.interval = Duration::from_secs(number(1)?.into()),
            // Settings without a meaning in a World: interface, garp_master_delay, mcast_src_ip.
            _ => {}
        }
        Ok(())
    }
}

/// An address, with or without the length of its prefix.
fn ip(text: &str) -> Result<Ipv4Addr, String> {
    let address = text.split('/').next().unwrap_or_default();
    address.parse().map_err(|_| format!("'{text}' is no IPv4 address"))
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
! Configuration File for keepalived
global_defs {
    router_id one
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 200
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    unicast_peer {
        10.0.3.2
    }
    virtual_ipaddress {
        10.0.3.100/24 dev eth0
    }
}
";

    #[test]
    fn a_file_is_read_and_a_mistake_is_told_with_its_line() {
        let config = Config::parse(FILE).expect("a file");
        let wanted = Config {
            name: "VI_1".into(),
            begins: State::Master,
            router_id: 51,
            priority: 200,
            interval: Duration::from_secs(1),
            peers: vec![Ipv4Addr::new(10, 0, 3, 2)],
            address: Ipv4Addr::new(10, 0, 3, 100),
        };
        assert_eq!(config, wanted);
        let wrong = |text: &str, by: &str| Config::parse(&FILE.replace(text, by));
        let error = (9, "priority '0' is not between 1 and 255".to_owned());
        assert_eq!(wrong("priority 200", "priority 0"), Err(error));
        let error = (16, "'here' is no IPv4 address".to_owned());
        assert_eq!(wrong("10.0.3.2\n", "here\n"), Err(error));
        let error = (21, "no vrrp_instance has a virtual_ipaddress".to_owned());
        assert_eq!(wrong("10.0.3.100/24 dev eth0", ""), Err(error));
    }

    #[test]
    fn a_packet_is_read_and_a_damaged_one_is_not() {
        let packet = Packet { router_id: 51, priority: 100 };
        let mut bytes = packet.encode(Ipv4Addr::new(10, 0, 3, 100), Duration::from_secs(1));
        assert_eq!(Packet::decode(&bytes), Some(packet));
        bytes[2] ^= 1;
        assert_eq!(Packet::decode(&bytes), None);
    }
}
