//! `--scan`, and the scan of the keyspace that `--bigkeys`, `--memkeys` and `--hotkeys` use.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use limpid_core::client::Output;
use limpid_core::client::quote::push_repr;
use limpid_core::resp::value::Value;
use signal_hook::consts::SIGINT;

use super::client::{Client, strerror};
use super::options::Options;
use super::{fail, format};

/// Lists the keys.
pub(super) fn list(client: &mut Client, options: &Options) -> i32 {
    let standard = format(options).output == Output::Standard;
    let mut scan = Scan::new(options);
    let mut out = io::stdout().lock();
    while let Some(keys) = scan.step(client) {
        let keys = match keys {
            Ok(keys) => keys,
            Err(message) => return fail(&message),
        };
        let mut text = Vec::new();
        for key in keys {
            if standard {
                push_repr(&mut text, &key);
            } else {
                text.extend_from_slice(&key);
            }
            text.push(b'\n');
        }
        if out.write_all(&text).and_then(|()| out.flush()).is_err() {
            return 1;
        }
        if !options.interval.is_zero() {
            std::thread::sleep(options.interval);
        }
    }
    0
}

/// A scan of the keyspace, which Ctrl-C ends early.
pub(super) struct Scan<'a> {
    cursor: Option<Vec<u8>>,
    options: &'a Options,
    cancelled: Arc<AtomicBool>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        let cancelled = Arc::new(AtomicBool::new(false));
        // If Ctrl-C cannot be caught, it ends the program, which is acceptable.
        let _ = signal_hook::flag::register(SIGINT, Arc::clone(&cancelled));
        Scan { cursor: Some(b"0".to_vec()), options, cancelled }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Returns the next keys; `None` when there are no more.
    pub(super) fn step(&mut self, client: &mut Client) -> Option<Result<Vec<Vec<u8>>, String>> {
        if self.is_cancelled() {
            return None;
        }
        let cursor = self.cursor.take()?;
        Some(self.scan(client, cursor))
    }

    fn scan(&mut self, client: &mut Client, cursor: Vec<u8>) -> Result<Vec<Vec<u8>>, String> {
        let count = self.options.count.to_string();
        let mut args: Vec<&[u8]> = vec![b"SCAN", &cursor];
        if let Some(pattern) = &self.options.pattern {
            args.extend([&b"MATCH"[..], pattern]);
        }
        args.extend([&b"COUNT"[..], count.as_bytes()]);
        let reply = client.command(&args).map_err(|e| format!("\nI/O error: {}", strerror(&e)))?;
        let items = match &reply {
            Value::Error(text) => {
                return Err(format!("SCAN error: {}", String::from_utf8_lossy(text)));
            }
            Value::Array(items) => items,
            _ => return Err("Non ARRAY response from SCAN!".into()),
        };
        let [Value::Bulk(next), Value::Array(keys)] = items.as_slice() else {
            return Err("Invalid element count from SCAN!".into());
        };
        if next != b"0" {
            self.cursor = Some(next.clone());
        }
        Ok(keys.iter().filter_map(|key| key.bytes().map(<[u8]>::to_vec)).collect())
    }
}

/// The number of keys in the database (DBSIZE).
pub(super) fn database_size(client: &mut Client) -> Result<i64, String> {
    match client.command(&["DBSIZE"]) {
        Ok(Value::Integer(n)) => Ok(n),
        Ok(Value::Error(text)) => {
            Err(format!("Couldn't determine DBSIZE: {}", String::from_utf8_lossy(&text)))
        }
        Ok(_) => Err("Non INTEGER response from DBSIZE!".into()),
        Err(error) => Err(format!("\nI/O error: {}", strerror(&error))),
    }
}
