//! A load of consumer groups, which redis-benchmark does not have: reads and acknowledges entries.

use std::io::{Read, Write};

use anyhow::{Result, ensure};

use super::server::{Server, encode};

/// The number of connections, as in redis-benchmark. Each has a stream of its own, so that the ID
/// of the next entry is known before it is read.
const CLIENTS: u64 = 50;

const GROUP: &[u8] = b"workers";

/// The longest pipeline: the last batch of a load reads up to this many entries too many.
const LONGEST: u64 = 16;

fn stream(client: u64) -> String {
    format!("jobs:{client}")
}

/// The ID of an entry. All IDs have the same length.
fn id(entry: u64) -> String {
    format!("{}-0", 1_000_000_000 + entry)
}

/// Adds the entries that `operations` will read.
pub(crate) fn prepare(server: &Server, operations: u64) -> Result<()> {
    let each = operations.div_ceil(CLIENTS) + LONGEST;
    for client in 0..CLIENTS {
        let stream = stream(client);
        server.delete(&stream)?;
        server.ask(&[
            "XGROUP",
            "CREATE",
            &stream,
            &String::from_utf8_lossy(GROUP),
            "0",
            "MKSTREAM",
        ])?;
    }
    // Each reply has a length line and an ID.
    server.pipeline_of(each * CLIENTS, 2, |n, batch| {
        let (client, entry) = (n % CLIENTS, n / CLIENTS);
        let (stream, id) = (stream(client), id(entry));
        encode(batch, &[b"XADD", stream.as_bytes(), id.as_bytes(), b"field", b"value:0123456789"]);
    })
}

/// Reads and acknowledges `operations` entries over several connections, each of which sends
/// `pipeline` pairs of requests before it reads the replies.
pub(crate) fn work(server: &Server, operations: u64, pipeline: u32) -> Result<()> {
    ensure!(u64::from(pipeline) <= LONGEST, "a pipeline of {pipeline}, and {LONGEST} is the most");
    let mut clients = (0..CLIENTS).map(|_| server.connect()).collect::<Result<Vec<_>>>()?;
    let (mut batch, mut entry, mut buffer) = (Vec::new(), 0, Vec::new());
    while entry * CLIENTS < operations {
        let mut expected = Vec::with_capacity(clients.len());
        for (client, connection) in (0..).zip(&mut clients) {
            let name = stream(client);
            batch.clear();
            let mut bytes = 0;
            for at in entry..entry + u64::from(pipeline) {
                let id = id(at);
                let read: &[&[u8]] = &[
                    b"XREADGROUP",
                    b"GROUP",
                    GROUP,
                    b"one",
                    b"COUNT",
                    b"1",
                    b"STREAMS",
                    name.as_bytes(),
                    b">",
                ];
                encode(&mut batch, read);
                encode(&mut batch, &[b"XACK", name.as_bytes(), GROUP, id.as_bytes()]);
                bytes += reply(&name, &id).len();
            }
            connection.write_all(&batch)?;
            expected.push(bytes);
        }
        for (connection, bytes) in clients.iter_mut().zip(expected) {
            buffer.resize(bytes, 0);
            connection.read_exact(&mut buffer)?;
            ensure!(buffer.ends_with(b":1\r\n"), "{}", String::from_utf8_lossy(&buffer));
        }
        entry += u64::from(pipeline);
    }
    Ok(())
}

/// The replies to a pair of requests.
fn reply(stream: &str, id: &str) -> String {
    format!(
        "*1\r\n*2\r\n${}\r\n{stream}\r\n*1\r\n*2\r\n${}\r\n{id}\r\n*2\r\n$5\r\nfield\r\n$16\r\n\
         value:0123456789\r\n:1\r\n",
        stream.len(),
        id.len()
    )
}
