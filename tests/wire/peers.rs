//! Clients that are slow, greedy, many, or gone.

use std::io::{Read, Write};

use limpid_core::resp::value::{Value, encode_command};
use limpid_tests::client::{Client, field, text};
use limpid_tests::process::Process;
use limpid_tests::wait::until;

#[test]
fn a_command_may_arrive_byte_by_byte() {
    let server = Process::server(&[]);
    let mut stream = server.connect();
    let mut bytes = Vec::new();
    encode_command(&["SET", "k", "v"], &mut bytes);
    bytes.extend_from_slice(b"GET k\r\n");
    for byte in bytes {
        stream.write_all(&[byte]).expect("sent");
    }
    let mut replies = [0; 12];
    stream.read_exact(&mut replies).expect("replies");
    assert_eq!(&replies, b"+OK\r\n$1\r\nv\r\n");
}

#[test]
fn a_long_pipeline_is_answered_in_order_although_its_sender_reads_late() {
    const COMMANDS: usize = 400_000;
    let server = Process::server(&[]);
    let mut client = Client::new(server.connect());
    client.call(&["SET", "n", "-1"]);
    let mut sender = server.connect();
    let mut reader = Client::new(sender.try_clone().expect("a second handle"));
    std::thread::scope(|scope| {
        scope.spawn(|| sender.write_all(&b"INCR n\r\n".repeat(COMMANDS)).expect("sent"));
        for n in 0..COMMANDS {
            assert_eq!(reader.read().expect("a reply").value, Value::Integer(n as i64));
        }
    });
}

#[test]
fn values_of_many_megabytes_go_in_and_out() {
    let server = Process::server(&[]);
    let mut client = Client::new(server.connect());
    let value: Vec<u8> = (0..32 << 20).map(|i: u32| (i / 7) as u8).collect();
    assert_eq!(client.call(&[b"SET", &b"big"[..], &value]), Value::Simple(b"OK".to_vec()));
    assert!(client.call(&["GET", "big"]) == Value::Bulk(value));
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    let server = Process::server(&[]);
    for n in 0..300 {
        let mut stream = server.connect();
        match n % 4 {
            0 => {}
            1 => stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nhalf").expect("sent"),
            // Closing with unread replies resets the connection.
            2 => stream.write_all(&b"PING\r\n".repeat(1_000)).expect("sent"),
            _ => stream.write_all(b"PING").expect("sent"),
        }
    }
    let mut client = Client::new(server.connect());
    until(
        || "the clients that vanished are still counted".into(),
        || field(&client.info("clients"), "connected_clients") == "1",
    );
    assert_eq!(client.call(&["GET", "k"]), Value::Null);
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_others_are_served() {
    let server = Process::server(&["--client-output-buffer-limit", "normal", "8mb", "0", "0"]);
    let mut client = Client::new(server.connect());
    // Small enough to be in the output buffer as a whole: larger replies are generated as fast as
    // they are read.
    client.call(&["SET", "big", &"x".repeat(512 << 10)]);

    let mut greedy = server.connect();
    // The server may disconnect before all is sent, which is what is tested.
    let _ = greedy.write_all(&b"GET big\r\n".repeat(200));
    until(
        || "the greedy client is still there".into(),
        || text(&client.call(&["CLIENT", "LIST"])).lines().count() == 1,
    );
    assert_eq!(client.call(&["PING"]), Value::Simple(b"PONG".to_vec()));
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = Process::server(&["--maxclients", "3"]);
    let mut there: Vec<Client> = (0..3).map(|_| Client::new(server.connect())).collect();
    for client in &mut there {
        client.call(&["PING"]);
    }
    let mut refused = Client::new(server.connect());
    let reply = refused.read().expect("a reason").value;
    assert_eq!(reply, Value::Error(b"ERR max number of clients reached".to_vec()));
    assert_eq!(refused.read(), None);
    drop(there.pop());
    until(
        || "the place that became free is not given".into(),
        || {
            let mut next = Client::new(server.connect());
            next.send(&["PING"]);
            next.read().is_some_and(|reply| reply.value == Value::Simple(b"PONG".to_vec()))
        },
    );
}
