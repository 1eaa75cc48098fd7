use super::*;
use crate::machine::Address;
use crate::resp::value::decode;
use crate::time::{Duration, Wall};

/// A scripted node: it is given the words of a command, and returns the bytes of the reply.
type Node<'n> = &'n mut dyn FnMut(u16, &[String]) -> Vec<u8>;

fn node(port: u16) -> Endpoint {
    Endpoint::Ip(([10, 0, 0, 1], port).into())
}

fn client(routing: Routing) -> ClusterTraffic {
    ClusterTraffic::new(ClusterTrafficConfig::new(vec![node(1)], routing, "k".into(), 1))
}

fn handle(client: &mut ClusterTraffic, t: Mono, input: Input<'_>) {
    client.handle(Now::instantaneous(t, Wall(t.0 / 1_000)), input);
}

/// Runs a client for some virtual seconds; `answer` plays all nodes, which differ by port.
fn run(client: &mut ClusterTraffic, seconds: u64, answer: Node<'_>) {
    let mut t = client.now;
    let end = t + Duration::from_secs(seconds);
    let mut ports = Vec::new();
    if t == Mono::ZERO {
        handle(client, t, Input::Start);
    }
    while t < end {
        while let Some(output) = client.poll_output() {
            match output {
                Output::Connect { conn, to: Address::Endpoint(to), .. } => {
                    ports.push((conn, to.port()));
                    let peer = to.clone();
                    handle(client, t, Input::Connected { conn, local: to, peer });
                }
                Output::Send { conn } => {
                    let port = ports.iter().find(|(known, _)| *known == conn);
                    let port = port.map_or(0, |(_, port)| *port);
                    let Some(outbox) = client.outbox(conn) else { continue };
                    let bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
                    outbox.consume(bytes.len());
                    let mut rest = &bytes[..];
                    let mut replies = Vec::new();
                    while let Ok(Some((command, used))) = decode(rest) {
                        let words: Vec<String> = command
                            .items()
                            .into_iter()
                            .flatten()
                            .filter_map(|word| {
                                Some(String::from_utf8_lossy(word.bytes()?).into_owned())
                            })
                            .collect();
                        replies.extend(answer(port, &words));
                        rest = &rest[used..];
                    }
                    if !replies.is_empty() {
                        handle(client, t, Input::Received { conn, bytes: &replies });
                    }
                }
                _ => {}
            }
        }
        t = client.poll_timeout().map_or(end, |at| at.max(t));
        handle(client, t, Input::Wake);
    }
}

/// A node that stores values; slots from 8000 on are served by port 2.
fn keeps(port: u16, words: &[String], kept: &mut Vec<(String, String)>) -> Vec<u8> {
    let slots = |first: u16, last: u16, port: u16| {
        format!("*3\r\n:{first}\r\n:{last}\r\n*2\r\n$8\r\n10.0.0.1\r\n:{port}\r\n")
    };
    match &words[0][..] {
        "CLUSTER" => format!("*2\r\n{}{}", slots(0, 7_999, 1), slots(8_000, 16_383, 2)).into(),
        "ASKING" => b"+OK\r\n".to_vec(),
        word => {
            let slot = Slot::of(words[1].as_bytes()).number();
            let owner = if slot < 8_000 { 1 } else { 2 };
            if owner != port {
                return format!("-MOVED {slot} 10.0.0.1:{owner}\r\n").into();
            }
            kept.retain(|(key, _)| word != "SET" || *key != words[1]);
            if word == "SET" {
                kept.push((words[1].clone(), words[2].clone()));
                return b"+OK\r\n".to_vec();
            }
            match kept.iter().find(|(key, _)| *key == words[1]) {
                None => b"$-1\r\n".to_vec(),
                Some((_, value)) => format!("${}\r\n{value}\r\n", value.len()).into(),
            }
        }
    }
}

#[test]
fn a_client_that_learns_slots_is_hardly_ever_redirected() {
    let (mut client, mut kept) = (client(Routing::Learned), Vec::new());
    run(&mut client, 60, &mut |port, words| keeps(port, words, &mut kept));
    let stats = client.stats();
    assert!(stats.traffic.replies > 500, "{stats:?}");
    assert!(stats.moved <= 2 && stats.learned >= 1, "{stats:?}");
    assert_eq!((stats.gone, stats.wrong, stats.traffic.errors), (0, 0, 0));
    assert_eq!(
        client.owner_of(Slot::of(b"k")),
        Some(&node(if Slot::of(b"k").number() < 8_000 { 1 } else { 2 }))
    );
}

#[test]
fn a_plain_client_is_redirected_and_stays_where_it_was_sent() {
    let (mut client, mut kept) = (client(Routing::Redirected), Vec::new());
    let mut asked = 0;
    run(&mut client, 60, &mut |port, words| {
        asked += usize::from(words[0] == "CLUSTER");
        keeps(port, words, &mut kept)
    });
    let stats = client.stats();
    assert!(stats.moved > 100 && asked == 0, "{stats:?}");
    assert!(stats.traffic.replies > 500, "{stats:?}");
    assert_eq!((stats.gone, stats.wrong), (0, 0));
}

#[test]
fn asking_comes_before_a_command_that_is_redirected_by_ask() {
    let mut client = client(Routing::Redirected);
    let mut seen = Vec::new();
    run(&mut client, 2, &mut |port, words| {
        seen.push((port, words[0].clone()));
        match (port, &words[0][..]) {
            (1, _) => b"-ASK 5 10.0.0.1:2\r\n".to_vec(),
            (_, "GET") => b"$-1\r\n".to_vec(),
            _ => b"+OK\r\n".to_vec(),
        }
    });
    assert!(client.stats().asked > 0);
    let at = seen.iter().position(|(port, _)| *port == 2).expect("it went to the other node");
    assert_eq!(seen[at].1, "ASKING");
}

#[test]
fn temporary_errors_are_retried_until_the_command_succeeds() {
    let (mut client, mut kept, mut refusals) = (client(Routing::Learned), Vec::new(), 20);
    run(&mut client, 30, &mut |port, words| {
        if words[0] != "CLUSTER" && refusals > 0 {
            refusals -= 1;
            return match refusals % 2 {
                0 => b"-CLUSTERDOWN The cluster is down\r\n".to_vec(),
                _ => b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n".to_vec(),
            };
        }
        keeps(port, words, &mut kept)
    });
    let stats = client.stats();
    assert_eq!((stats.retries, stats.traffic.errors), (20, 0));
}

#[test]
fn a_write_counts_as_acknowledged_when_enough_replicas_have_it() {
    let (mut client, mut kept) = (client(Routing::Learned), Vec::new());
    client.config.wait = 2;
    let (mut asked, mut confirmed) = (0, 0);
    run(&mut client, 60, &mut |port, words| {
        if words[0] != "WAIT" {
            assert_ne!(words[0], "GET");
            return keeps(port, words, &mut kept);
        }
        assert_eq!(words[1], "2");
        asked += 1;
        // At first only one replica acknowledges.
        let replicas = if asked <= 20 { 1 } else { 2 };
        confirmed += u64::from(replicas == 2);
        format!(":{replicas}\r\n").into()
    });
    let stats = client.stats();
    assert_eq!(stats.traffic.errors + stats.wrong + stats.gone, 0, "{stats:?}");
    assert!(stats.unconfirmed <= 20 && stats.unconfirmed > 10, "{stats:?}");
    assert!(stats.traffic.replies - stats.unconfirmed <= confirmed, "{stats:?}");
    assert!(client.acknowledged().count() > 50);
    for (name, number) in client.acknowledged() {
        let value = kept.iter().find(|(key, _)| *key == name).expect("it was set");
        assert_eq!(value.1, format!("{name}={number}"));
    }
}

#[test]
fn lost_writes_and_mismatched_replies_are_counted() {
    let (mut client, mut kept) = (client(Routing::Learned), Vec::new());
    let mut asked = 0;
    run(&mut client, 40, &mut |port, words| {
        asked += 1;
        if asked == 200 {
            kept.clear();
        }
        keeps(port, words, &mut kept)
    });
    assert!(client.stats().gone > 0 && client.stats().wrong == 0, "{:?}", client.stats());
    let mut client = self::client(Routing::Redirected);
    run(&mut client, 5, &mut |_, _| b"$5\r\nk99=1\r\n".to_vec());
    assert!(client.stats().wrong > 0);
}
