//! Sends the same bytes to Limpid and to Redis, and compares everything that they send back.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use limpid_core::rng::Rng;
use limpid_tests::client::Client;
use limpid_tests::process::Process;

/// Sends `pieces` to a server. Returns everything that it sends back until it closes the
/// connection.
fn answer(server: &Process, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = server.connect();
    let mut copy = stream.try_clone().expect("a second handle");
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| send(&mut copy, pieces));
        // A reset after the answer also counts as the end.
        let _ = stream.read_to_end(&mut all);
    });
    all
}

fn send(stream: &mut TcpStream, pieces: &[&[u8]]) {
    for piece in pieces {
        // The server may close the connection in the middle.
        if stream.write_all(piece).is_err() {
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// Compares the answers, and panics with a readable difference.
fn compare(limpid: &Process, redis: &Process, pieces: &[&[u8]]) {
    let (ours, theirs) = (answer(limpid, pieces), answer(redis, pieces));
    let shown = |bytes: &[u8]| {
        let text = bytes.escape_ascii().to_string();
        if text.len() > 600 { format!("{}… {} bytes", &text[..600], bytes.len()) } else { text }
    };
    let sent = pieces.concat();
    assert!(
        ours == theirs,
        "to      {}\nLimpid  {}\nRedis   {}",
        shown(&sent),
        shown(&ours),
        shown(&theirs)
    );
}

#[test]
fn errors_in_the_protocol_are_told_in_the_words_of_redis() {
    let (limpid, redis) = (Process::server(&[]), Process::redis_server(&[]));
    let long = |n: usize| vec![b'a'; n];
    let cases: &[&[u8]] = &[
        b"",
        b"\r\n",
        b"\n\n  \r\nPING\n",
        b"PING\r\nPING\n",
        b"*0\r\nPING\r\n",
        b"*-1\r\nPING\r\n",
        b"*-2147483648\r\nPING\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"*1\r\n$4\r\nPINGxxPING\r\n",
        b"*\r\nPING\r\n",
        b"*x\r\n",
        b"*1x\r\n",
        b"* 1\r\n",
        b"*+1\r\n",
        b"*01\r\n$4\r\nPING\r\n",
        b"*2147483648\r\n",
        b"*9223372036854775808\r\n",
        b"*1\r\n:4\r\n",
        b"*1\r\nPING\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$\r\n",
        b"*1\r\n$04\r\nPING\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$9223372036854775808\r\n",
        b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
        b"*1\r\n$0\r\n\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-5\r\n",
        b"SET \"a b\" 'c d'\r\nGET \"a b\"\r\n",
        b"ECHO \"\\x41\\n\\\"\"\r\n",
        b"ECHO 'it\\'s'\r\n",
        b"ECHO \"open\r\n",
        b"ECHO \"a\"b\r\n",
        b"ECHO 'a\r\n",
        b"ECHO a'b'c\r\n",
        b"\xff\xfe\x01\x02\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"get k\r\nHost: x\r\nPING\r\n",
        b"NOSUCH a b\r\nPING\r\n",
        b"QUIT\r\nPING\r\n",
        b"*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n",
        b"PING",
        b"*2\r\n$4\r\nECHO\r\n$5\r\nab",
    ];
    for case in cases {
        compare(&limpid, &redis, &[case]);
    }
    for n in [65_536, 70_000, 200_000] {
        compare(&limpid, &redis, &[&long(n)]);
        // A line that is slightly too long passes if its end arrives before its length is checked,
        // which depends on the network, as in Redis.
        if n != 70_000 {
            compare(&limpid, &redis, &[b"PING\r\n", &long(n), b"\r\nPING\r\n"]);
        }
        compare(&limpid, &redis, &[b"*", &vec![b'1'; n]]);
        compare(&limpid, &redis, &[b"*1\r\n$", &vec![b'1'; n]]);
        let unknown = [b"*1\r\n$", n.to_string().as_bytes(), b"\r\n", &long(n), b"\r\n"].concat();
        compare(&limpid, &redis, &[&unknown]);
    }
}

#[test]
fn an_unauthenticated_client_may_send_little() {
    let secret = ["--requirepass", "secret"];
    let (limpid, redis) = (Process::server(&secret), Process::redis_server(&secret));
    let cases: &[&[u8]] = &[
        b"PING\r\n",
        b"GET k\r\nAUTH secret\r\nGET k\r\n",
        b"AUTH wrong\r\nPING\r\nAUTH default secret\r\nPING\r\n",
        b"HELLO 3\r\nHELLO 3 AUTH default secret SETNAME me\r\nCLIENT GETNAME\r\n",
        b"*10\r\n$4\r\nPING\r\n",
        b"*11\r\n$4\r\nPING\r\n",
        b"*2\r\n$4\r\nAUTH\r\n$16384\r\n",
        b"*2\r\n$4\r\nAUTH\r\n$16385\r\n",
        b"QUIT\r\n",
        b"RESET\r\nCOMMAND COUNT\r\n",
    ];
    for case in cases {
        // The reply to HELLO has values that differ.
        if case.starts_with(b"HELLO") {
            continue;
        }
        compare(&limpid, &redis, &[case]);
    }
}

#[test]
fn bytes_with_mistakes_in_them_are_understood_alike() {
    let (limpid, redis) = (Process::server(&[]), Process::redis_server(&[]));
    for seed in 0..400 {
        for server in [&limpid, &redis] {
            Client::new(server.connect()).call(&["FLUSHALL"]);
        }
        let mut rng = Rng::new(seed);
        let bytes = spoiled_pipeline(&mut rng);
        let cut = rng.below(bytes.len() as u64) as usize;
        println!("seed {seed}");
        compare(&limpid, &redis, &[&bytes[..cut], &bytes[cut..]]);
    }
}

/// A pipeline of valid commands with a few bytes changed.
fn spoiled_pipeline(rng: &mut Rng) -> Vec<u8> {
    let commands: [&[u8]; 8] = [
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nvalue\r\n",
        b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"*2\r\n$4\r\nECHO\r\n$3\r\n\r\n\x01\r\n",
        b"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$2\r\n22\r\n",
        b"*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"INCR b\r\n",
        b"SET \"a\" 'x y'\r\n",
    ];
    let mut bytes = Vec::new();
    for _ in 0..1 + rng.below(12) {
        bytes.extend_from_slice(commands[rng.below(commands.len() as u64) as usize]);
    }
    for _ in 0..rng.below(4) {
        let at = rng.below(bytes.len() as u64) as usize;
        // Mostly bytes with a meaning in the protocol. Never a NUL: Redis finds the end of an
        // inline command with strchr, which stops there, so it waits without end; Limpid answers.
        let new = match rng.below(3) {
            0 => 1 + rng.below(255) as u8,
            _ => b"*$\r\n0129-: \"'"[rng.below(13) as usize],
        };
        match rng.below(3) {
            0 => bytes[at] = new,
            1 => bytes.insert(at, new),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}
