//! Tests of bus messages: encoding round-trips, and malformed bytes are errors.

use proptest::prelude::*;

use super::codec::HEADER_LEN;
use super::{
    BadFrame, Body, Extension, Framer, Gossip, Greeting, Header, Kind, Malformed, Message, decode,
    frames,
};
use crate::cluster::{NodeFlags, NodeId, SlotSet};
use crate::rng::Rng;
use crate::sharding::Slot;

fn id() -> impl Strategy<Value = NodeId> {
    any::<u64>().prop_map(|seed| NodeId::random(&mut Rng::new(seed)))
}

fn slots() -> impl Strategy<Value = SlotSet> {
    prop::collection::vec(0..16384u16, 0..40)
        .prop_map(|numbers| numbers.into_iter().filter_map(Slot::new).collect())
}

fn header() -> impl Strategy<Value = Header> {
    let names = (prop::option::of(id()), prop::option::of(id()), "[0-9.]{0,45}");
    let numbers = (any::<[u16; 4]>(), any::<[u64; 3]>(), any::<[bool; 4]>());
    (names, numbers, slots()).prop_map(|((sender, master, ip), (ports, numbers, bits), slots)| {
        Header {
            sender,
            port: ports[0],
            other_port: ports[1],
            bus_port: ports[2],
            ip,
            current_epoch: numbers[0],
            config_epoch: numbers[1],
            offset: numbers[2],
            slots,
            master,
            flags: NodeFlags(ports[3]),
            down: bits[0],
            paused: bits[1],
            force_ack: bits[2],
            extensions: bits[3],
        }
    })
}

fn gossip() -> impl Strategy<Value = Gossip> {
    (id(), any::<[u32; 2]>(), "[0-9a-f:]{0,45}", any::<[u16; 4]>()).prop_map(
        |(node, [ping_sent, pong_received], ip, ports)| Gossip {
            node,
            ping_sent,
            pong_received,
            ip,
            port: ports[0],
            other_port: ports[1],
            bus_port: ports[2],
            flags: NodeFlags(ports[3]),
        },
    )
}

fn extension() -> impl Strategy<Value = Extension> {
    prop_oneof![
        "[a-z.]{0,80}".prop_map(Extension::Hostname),
        "[a-z.]{0,80}".prop_map(Extension::HumanNodename),
        (id(), any::<u64>()).prop_map(|(node, ttl)| Extension::Forgotten { node, ttl }),
        id().prop_map(Extension::Shard),
        (4..100u16).prop_map(Extension::Unknown),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..50);
    let greeting = prop_oneof![Just(Greeting::Ping), Just(Greeting::Pong), Just(Greeting::Meet)];
    let greetings =
        (greeting, prop::collection::vec(gossip(), 0..5), prop::collection::vec(extension(), 0..4));
    prop_oneof![
        greetings.prop_map(|(greeting, about, extensions)| Body::Gossip {
            greeting,
            about,
            extensions
        }),
        id().prop_map(Body::Fail),
        (bytes(), bytes(), any::<bool>()).prop_map(|(channel, message, sharded)| Body::Publish {
            channel,
            message,
            sharded
        }),
        Just(Body::AuthRequest),
        Just(Body::AuthAck),
        Just(Body::ManualFailover),
        (id(), any::<u64>(), slots()).prop_map(|(node, config_epoch, slots)| Body::Update {
            node,
            config_epoch,
            slots
        }),
        (any::<u64>(), any::<u8>(), bytes()).prop_map(|(module, kind, payload)| Body::Module {
            module,
            kind,
            payload
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_round_trip(mut header in header(), body in body()) {
        if let Body::Gossip { extensions, .. } = &body {
            header.extensions |= !extensions.is_empty();
        }
        let message = Message { header, body };
        prop_assert_eq!(decode(&message.encode()), Ok(message));
    }

    #[test]
    fn truncated_messages_are_refused(header in header(), body in body(), cut in any::<prop::sample::Index>()) {
        let bytes = Message { header, body }.encode();
        let mut short = bytes[..cut.index(bytes.len())].to_vec();
        prop_assert!(decode(&short).is_err());
        // A length field that matches the truncated length does not help.
        if let Some(length) = short.get_mut(4..8) {
            let real = u32::try_from(cut.index(bytes.len())).unwrap_or(0);
            length.copy_from_slice(&real.to_be_bytes());
            let decoded = decode(&short);
            prop_assert!(decoded.is_err() || short.len() >= HEADER_LEN);
        }
    }

    #[test]
    fn any_bytes_end_in_a_message_or_an_error(
        header in header(),
        body in body(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = Message { header, body }.encode();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = decode(&bytes);
    }
}

#[test]
fn frames_gives_the_types_of_the_complete_messages_in_a_piece_of_a_stream() {
    let bytes = |body| Message { header: Header::default(), body }.encode();
    let (ping, request) = (bytes(Body::bare(Greeting::Ping)), bytes(Body::AuthRequest));
    let stream = [&ping[..], &request[..]].concat();
    let kinds = |piece| frames(piece).map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(kinds(&stream), [Kind::Ping, Kind::AuthRequest]);
    assert!(frames(&stream).map(|(_, frame)| frame).eq([&ping[..], &request[..]]));
    assert_eq!(kinds(&stream[..stream.len() - 1]), [Kind::Ping]);
    assert_eq!(kinds(&ping[1..]), []);
    for end in 0..ping.len() {
        assert_eq!(kinds(&ping[..end]), []);
    }
}

#[test]
fn a_stream_is_split_into_messages_however_its_bytes_arrive() {
    let body = || Body::Publish { channel: b"c".to_vec(), message: vec![7; 900], sharded: false };
    let one = Message { header: Header::default(), body: body() }.encode();
    let stream: Vec<u8> = [&one[..], &one[..], &one[..]].concat();
    for piece in [1, 7, 8, 9, 2256, 5000, stream.len()] {
        let (mut framer, mut frames) = (Framer::default(), 0);
        for piece in stream.chunks(piece) {
            framer.push(piece);
            while let Some(frame) = framer.next_frame().expect("a good stream") {
                assert_eq!(frame, one);
                frames += 1;
            }
        }
        assert_eq!(frames, 3);
    }
}

#[test]
fn invalid_bytes_end_the_stream() {
    for bytes in [&b"GET / HT"[..], b"RCmb\0\0\0\x08", b"RCmb\xff\xff\xff\xff"] {
        let mut framer = Framer::default();
        framer.push(bytes);
        assert_eq!(framer.next_frame(), Err(BadFrame));
    }
}

#[test]
fn fields_are_at_the_offsets_that_redis_uses() {
    let sender = NodeId::random(&mut Rng::new(1));
    let header = Header {
        sender: Some(sender),
        port: 0x1122,
        bus_port: 0x3344,
        current_epoch: 5,
        config_epoch: 6,
        ip: "10.0.0.1".into(),
        flags: NodeFlags::MYSELF.and(NodeFlags::MASTER),
        down: true,
        ..Header::default()
    };
    let bytes = Message { header, body: Body::bare(Greeting::Meet) }.encode();
    assert_eq!(bytes.len(), HEADER_LEN);
    assert_eq!(&bytes[..16], b"RCmb\0\0\x08\xd0\0\x01\x11\x22\0\x02\0\0");
    assert_eq!((bytes[23], bytes[31]), (5, 6));
    assert_eq!(&bytes[40..80], sender.as_bytes());
    assert_eq!(&bytes[2168..2177], b"10.0.0.1\0");
    assert_eq!(&bytes[2248..2254], [0x33, 0x44, 0, 17, 1, 0]);
}

#[test]
fn unknown_versions_types_and_names_are_distinct_errors() {
    let good = Message { header: Header::default(), body: Body::bare(Greeting::Ping) }.encode();
    let with = |place: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[place] = value;
        decode(&bytes).map(|_| ())
    };
    assert_eq!(with(9, 2), Err(Malformed::Version(2)));
    assert_eq!(with(13, 11), Err(Malformed::Kind(11)));
    assert_eq!(with(13, 3), Err(Malformed::Length(Kind::Fail)));
    assert_eq!(with(15, 1), Err(Malformed::Length(Kind::Ping)));
    let message =
        Message { header: Header::default(), body: Body::Fail(NodeId::random(&mut Rng::new(1))) };
    let mut fail = message.encode();
    fail[HEADER_LEN] = b'/';
    assert_eq!(decode(&fail), Err(Malformed::Name(Kind::Fail)));
}

#[test]
fn a_message_of_redis_server_is_understood_and_written_as_it_wrote_it() {
    // A PONG of redis-server 7.0.15, a primary of a cluster of six.
    let bytes = include_bytes!("pong.bin");
    let message = decode(bytes).expect("a good message");
    assert_eq!(message.header.slots.len(), 5462);
    assert_eq!(message.header.bus_port, 27101);
    assert!(message.header.flags.any(NodeFlags::MASTER) && !message.header.down);
    let Body::Gossip { greeting: Greeting::Pong, about, .. } = &message.body else {
        panic!("no PONG: {message:?}");
    };
    let flags: Vec<String> = about.iter().map(|gossip| gossip.flags.to_string()).collect();
    assert_eq!(flags, ["slave", "slave", "master"]);
    assert_eq!(about[1].ip, "127.0.0.1");
    assert_eq!(message.encode(), bytes);
}
