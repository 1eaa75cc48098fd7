//! The binary format of bus messages.
//!
//! Numbers are big-endian. A message is a header of [`HEADER_LEN`] bytes and a body that depends on
//! its type. The length in the header must be exactly the length of the message.

use super::message::{Body, Extension, Gossip, Greeting, Header, Kind, Message};
use crate::cluster::{NodeFlags, NodeId, SlotSet};

/// The magic bytes at the start of every message.
pub(super) const SIGNATURE: [u8; 4] = *b"RCmb";

/// Length of the header in bytes.
pub(super) const HEADER_LEN: usize = 2256;

const VERSION: u16 = 1;

/// Length of an address field in bytes, including at least one terminating zero byte.
const IP_LEN: usize = 46;

/// Length of the reserved bytes between the number of extensions and the second port.
const UNUSED: usize = 30;

/// Length of a gossip entry in bytes.
const GOSSIP_LEN: usize = 104;

/// Length of an extension's header in bytes: length, type, two unused bytes.
const EXTENSION_HEAD: usize = 8;

const PAUSED: u8 = 1;
const FORCE_ACK: u8 = 1 << 1;
const EXTENSIONS: u8 = 1 << 2;

/// Why a message cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Another version of the protocol.
    Version(u16),
    /// A type that this version does not have.
    Kind(u16),
    /// Its length does not fit its contents.
    Length(Kind),
    /// An extension is not padded to a multiple of eight bytes.
    Padding(Kind),
    /// It is about a node whose ID is not valid.
    Name(Kind),
}

/// Decodes one message, which must be all of `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Message, Malformed> {
    let mut reader = Reader { bytes };
    let fields = read_header(&mut reader).ok_or(Malformed::Length(Kind::Ping))?;
    if fields.version != VERSION {
        return Err(Malformed::Version(fields.version));
    }
    let kind = Kind::ALL.get(usize::from(fields.kind)).copied();
    let kind = kind.ok_or(Malformed::Kind(fields.kind))?;
    if fields.length as usize != bytes.len() {
        return Err(Malformed::Length(kind));
    }
    let body = match kind {
        Kind::Ping => read_gossip(&mut reader, &fields, Greeting::Ping, kind)?,
        Kind::Pong => read_gossip(&mut reader, &fields, Greeting::Pong, kind)?,
        Kind::Meet => read_gossip(&mut reader, &fields, Greeting::Meet, kind)?,
        Kind::Fail => {
            let name = reader.take(NodeId::LEN).ok_or(Malformed::Length(kind))?;
            Body::Fail(NodeId::parse(name).ok_or(Malformed::Name(kind))?)
        }
        Kind::Publish | Kind::PublishShard => {
            read_publish(&mut reader, kind == Kind::PublishShard).ok_or(Malformed::Length(kind))?
        }
        Kind::AuthRequest => Body::AuthRequest,
        Kind::AuthAck => Body::AuthAck,
        Kind::ManualFailover => Body::ManualFailover,
        Kind::Update => {
            let (config_epoch, name, slots) =
                read_update(&mut reader).ok_or(Malformed::Length(kind))?;
            let node = NodeId::parse(name).ok_or(Malformed::Name(kind))?;
            Body::Update { node, config_epoch, slots }
        }
        Kind::Module => read_module(&mut reader).ok_or(Malformed::Length(kind))?,
    };
    if !reader.bytes.is_empty() {
        return Err(Malformed::Length(kind));
    }
    Ok(Message { header: fields.header, body })
}

/// The complete messages in a piece of a stream that starts at a message boundary, each with its
/// type. Their bodies are not checked. Stops at the first message that is incomplete or invalid.
pub fn frames(bytes: &[u8]) -> impl Iterator<Item = (Kind, &[u8])> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        let mut head = Reader { bytes: rest.strip_prefix(&SIGNATURE)? };
        let length = head.u32()? as usize;
        let [_version, _port, kind] = [head.u16()?, head.u16()?, head.u16()?];
        let kind = Kind::ALL.get(usize::from(kind)).copied()?;
        let (frame, after) = rest.split_at_checked(length.max(HEADER_LEN))?;
        rest = after;
        Some((kind, frame))
    })
}

impl Message {
    /// Encodes the message for the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + 1024);
        let (entries, extensions) = match &self.body {
            Body::Gossip { about, extensions, .. } => (about.len() as u16, extensions.len() as u16),
            _ => (0, 0),
        };
        self.header.write(&mut out, self.body.kind(), entries, extensions);
        debug_assert_eq!(out.len(), HEADER_LEN);
        match &self.body {
            Body::Gossip { about, extensions, .. } => {
                about.iter().for_each(|entry| entry.write(&mut out));
                extensions.iter().for_each(|extension| extension.write(&mut out));
            }
            Body::Fail(node) => out.extend_from_slice(node.as_bytes()),
            Body::Publish { channel, message, .. } => {
                out.extend((channel.len() as u32).to_be_bytes());
                out.extend((message.len() as u32).to_be_bytes());
                out.extend_from_slice(channel);
                out.extend_from_slice(message);
            }
            Body::AuthRequest | Body::AuthAck | Body::ManualFailover => {}
            Body::Update { node, config_epoch, slots } => {
                out.extend(config_epoch.to_be_bytes());
                out.extend_from_slice(node.as_bytes());
                slots.write(&mut out);
            }
            Body::Module { module, kind, payload } => {
                out.extend(module.to_be_bytes());
                out.extend((payload.len() as u32).to_be_bytes());
                out.push(*kind);
                out.extend_from_slice(payload);
            }
        }
        let length = (out.len() as u32).to_be_bytes();
        out[4..8].copy_from_slice(&length);
        out
    }
}

impl Header {
    fn write(&self, out: &mut Vec<u8>, kind: Kind, entries: u16, extensions: u16) {
        out.extend_from_slice(&SIGNATURE);
        out.extend([0; 4]);
        out.extend(VERSION.to_be_bytes());
        out.extend(self.port.to_be_bytes());
        out.extend((kind as u16).to_be_bytes());
        out.extend(entries.to_be_bytes());
        out.extend(self.current_epoch.to_be_bytes());
        out.extend(self.config_epoch.to_be_bytes());
        out.extend(self.offset.to_be_bytes());
        write_name(out, self.sender);
        self.slots.write(out);
        write_name(out, self.master);
        write_text(out, &self.ip, IP_LEN);
        out.extend(extensions.to_be_bytes());
        out.extend([0; UNUSED]);
        out.extend(self.other_port.to_be_bytes());
        out.extend(self.bus_port.to_be_bytes());
        out.extend(self.flags.0.to_be_bytes());
        out.push(self.down.into());
        let bits = [
            (self.paused, PAUSED),
            (self.force_ack, FORCE_ACK),
            (self.extensions || extensions > 0, EXTENSIONS),
        ];
        out.push(bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
        out.extend([0; 2]);
    }
}

impl Gossip {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.node.as_bytes());
        out.extend(self.ping_sent.to_be_bytes());
        out.extend(self.pong_received.to_be_bytes());
        write_text(out, &self.ip, IP_LEN);
        out.extend(self.port.to_be_bytes());
        out.extend(self.bus_port.to_be_bytes());
        out.extend(self.flags.0.to_be_bytes());
        out.extend(self.other_port.to_be_bytes());
        out.extend([0; 2]);
    }

    /// `None` if the message is too short; an entry with an invalid node ID is skipped.
    fn read(reader: &mut Reader<'_>) -> Option<Option<Gossip>> {
        let node = NodeId::parse(reader.take(NodeId::LEN)?);
        let (ping_sent, pong_received) = (reader.u32()?, reader.u32()?);
        let ip = text(reader.take(IP_LEN)?);
        let [port, bus_port, flags, other_port, _] =
            [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let flags = NodeFlags(flags);
        Some(node.map(|node| Gossip {
            node,
            ping_sent,
            pong_received,
            ip,
            port,
            other_port,
            bus_port,
            flags,
        }))
    }
}

impl Extension {
    fn number(&self) -> u16 {
        match self {
            Extension::Hostname(_) => 0,
            Extension::HumanNodename(_) => 1,
            Extension::Forgotten { .. } => 2,
            Extension::Shard(_) => 3,
            Extension::Unknown(number) => *number,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        out.extend(self.number().to_be_bytes());
        out.extend([0; 2]);
        match self {
            Extension::Hostname(text) | Extension::HumanNodename(text) => {
                out.extend_from_slice(text.as_bytes());
                out.push(0);
            }
            Extension::Forgotten { node, ttl } => {
                out.extend_from_slice(node.as_bytes());
                out.extend(ttl.to_be_bytes());
            }
            Extension::Shard(shard) => out.extend_from_slice(shard.as_bytes()),
            Extension::Unknown(_) => {}
        }
        let length = (out.len() - start).next_multiple_of(8);
        out.resize(start + length, 0);
        out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
    }

    fn read(number: u16, data: &[u8]) -> Extension {
        let mut reader = Reader { bytes: data };
        let known = match number {
            0 => Some(Extension::Hostname(text(data))),
            1 => Some(Extension::HumanNodename(text(data))),
            2 => reader
                .take(NodeId::LEN)
                .and_then(NodeId::parse)
                .and_then(|node| Some(Extension::Forgotten { node, ttl: reader.u64()? })),
            3 => reader.take(NodeId::LEN).and_then(NodeId::parse).map(Extension::Shard),
            _ => None,
        };
        known.unwrap_or(Extension::Unknown(number))
    }
}

/// A header, and the fields that only say how to read the rest of the message.
struct Fields {
    header: Header,
    length: u32,
    version: u16,
    kind: u16,
    entries: u16,
    extensions: u16,
}

fn read_header(reader: &mut Reader<'_>) -> Option<Fields> {
    reader.take(SIGNATURE.len())?;
    let length = reader.u32()?;
    let [version, port, kind, entries] =
        [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    let [current_epoch, config_epoch, offset] = [reader.u64()?, reader.u64()?, reader.u64()?];
    let sender = NodeId::parse(reader.take(NodeId::LEN)?);
    let slots = SlotSet::from_bytes(reader.take(SlotSet::BYTES)?.try_into().ok()?);
    let master = NodeId::parse(reader.take(NodeId::LEN)?);
    let ip = text(reader.take(IP_LEN)?);
    let extensions = reader.u16()?;
    reader.take(UNUSED)?;
    let [other_port, bus_port, flags] = [reader.u16()?, reader.u16()?, reader.u16()?];
    let [state, bits, _, _] = *reader.take(4)? else { return None };
    let header = Header {
        sender,
        port,
        other_port,
        bus_port,
        ip,
        current_epoch,
        config_epoch,
        offset,
        slots,
        master,
        flags: NodeFlags(flags),
        down: state != 0,
        paused: bits & PAUSED != 0,
        force_ack: bits & FORCE_ACK != 0,
        extensions: bits & EXTENSIONS != 0,
    };
    Some(Fields { header, length, version, kind, entries, extensions })
}

fn read_gossip(
    reader: &mut Reader<'_>,
    fields: &Fields,
    greeting: Greeting,
    kind: Kind,
) -> Result<Body, Malformed> {
    let too_short = Malformed::Length(kind);
    // Before anything is allocated: the bytes of all announced entries must be there.
    if reader.bytes.len() < usize::from(fields.entries) * GOSSIP_LEN {
        return Err(too_short);
    }
    let mut about = Vec::with_capacity(fields.entries.into());
    for _ in 0..fields.entries {
        about.extend(Gossip::read(reader).ok_or(too_short)?);
    }
    let mut extensions = Vec::new();
    for _ in 0..if fields.header.extensions { fields.extensions } else { 0 } {
        let length = reader.u32().ok_or(too_short)? as usize;
        let number = reader.u16().ok_or(too_short)?;
        reader.u16().ok_or(too_short)?;
        if !length.is_multiple_of(8) {
            return Err(Malformed::Padding(kind));
        }
        let data = length.checked_sub(EXTENSION_HEAD).and_then(|length| reader.take(length));
        extensions.push(Extension::read(number, data.ok_or(too_short)?));
    }
    Ok(Body::Gossip { greeting, about, extensions })
}

fn read_publish(reader: &mut Reader<'_>, sharded: bool) -> Option<Body> {
    let (channel, message) = (reader.u32()? as usize, reader.u32()? as usize);
    let channel = reader.take(channel)?.to_vec();
    let message = reader.take(message)?.to_vec();
    Some(Body::Publish { channel, message, sharded })
}

fn read_update<'b>(reader: &mut Reader<'b>) -> Option<(u64, &'b [u8], SlotSet)> {
    let config_epoch = reader.u64()?;
    let name = reader.take(NodeId::LEN)?;
    let slots = SlotSet::from_bytes(reader.take(SlotSet::BYTES)?.try_into().ok()?);
    Some((config_epoch, name, slots))
}

fn read_module(reader: &mut Reader<'_>) -> Option<Body> {
    let module = reader.u64()?;
    let length = reader.u32()? as usize;
    let [kind] = *reader.take(1)? else { return None };
    let payload = reader.take(length)?.to_vec();
    Some(Body::Module { module, kind, payload })
}

fn write_name(out: &mut Vec<u8>, name: Option<NodeId>) {
    match name {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => out.extend([0; NodeId::LEN]),
    }
}

/// Writes text into a field of fixed length, padded with at least one zero byte.
fn write_text(out: &mut Vec<u8>, text: &str, len: usize) {
    let end = out.len() + len;
    let text = &text.as_bytes()[..text.len().min(len - 1)];
    out.extend_from_slice(text);
    out.resize(end, 0);
}

/// The text in a field: the printable characters up to the first zero byte.
fn text(field: &[u8]) -> String {
    let bytes = field.iter().take_while(|byte| **byte != 0);
    bytes.filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect()
}

/// The bytes of a message that have not been read yet.
struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, left) = self.bytes.split_at_checked(len)?;
        self.bytes = left;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}
