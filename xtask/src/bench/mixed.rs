//! A mixed load of reads and writes, which redis-benchmark does not have.

use std::io::{Read, Write};

use anyhow::{Result, ensure};

use super::server::{Server, encode};

/// The number of connections, as in redis-benchmark.
const CLIENTS: u64 = 50;

/// Sends `operations` requests, every fifth a SET and the others GETs, of random ones of `keys`
/// keys, over several connections, each of which sends `pipeline` requests before it reads the
/// replies.
pub(crate) fn mixed(
    server: &Server,
    operations: u64,
    pipeline: u32,
    keys: u64,
    value: usize,
) -> Result<()> {
    let value = vec![b'x'; value];
    let got = format!("${}\r\n\r\n", value.len()).len() + value.len();
    let set = b"+OK\r\n".len();
    let mut clients = (0..CLIENTS).map(|_| server.connect()).collect::<Result<Vec<_>>>()?;
    let (mut done, mut seed) = (0, 1u64);
    let (mut batch, mut buffer) = (Vec::new(), vec![0; (got * pipeline as usize).max(1)]);
    while done < operations {
        let mut expected = Vec::with_capacity(clients.len());
        for client in &mut clients {
            batch.clear();
            let mut bytes = 0;
            for _ in 0..pipeline {
                // Knuth's linear congruential generator: good enough to choose keys.
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let key = format!("key:{:012}", (seed >> 33) % keys);
                if done % 5 == 0 {
                    encode(&mut batch, &[b"SET", key.as_bytes(), &value]);
                    bytes += set;
                } else {
                    encode(&mut batch, &[b"GET", key.as_bytes()]);
                    bytes += got;
                }
                done += 1;
            }
            client.write_all(&batch)?;
            expected.push(bytes);
        }
        for (client, bytes) in clients.iter_mut().zip(expected) {
            let replies = &mut buffer[..bytes];
            client.read_exact(replies)?;
            ensure!(matches!(replies[0], b'+' | b'$'), "{}", String::from_utf8_lossy(replies));
        }
    }
    Ok(())
}
