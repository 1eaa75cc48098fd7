//! `--bigkeys`, `--memkeys` and `--hotkeys`: the largest and most used keys.

use limpid_core::client::quote::repr;
use limpid_core::resp::value::Value;

use super::client::{Client, strerror};
use super::options::Options;
use super::scan::{Scan, database_size};
use super::{fail, print};

/// How many hot keys are reported.
const HOTTEST: usize = 16;

/// SCAN calls between two pauses (`-i`).
const SCANS_PER_PAUSE: u64 = 100;

/// Finds the keys with the most elements.
pub(super) fn biggest_by_length(client: &mut Client, options: &Options) -> i32 {
    finish(biggest(client, options, false))
}

/// Finds the keys that take the most memory.
pub(super) fn biggest_by_memory(client: &mut Client, options: &Options) -> i32 {
    finish(biggest(client, options, true))
}

/// Finds the keys that are used most.
pub(super) fn hottest(client: &mut Client, options: &Options) -> i32 {
    finish(hot(client, options))
}

fn finish(result: Result<(), String>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(message) => fail(&message),
    }
}

/// The statistics of one data type.
struct Kind {
    name: String,
    /// The command that returns a key's length, and the unit of that.
    measure: Option<(&'static str, &'static str)>,
    count: u64,
    total: u64,
    biggest: u64,
    biggest_key: Option<String>,
}

impl Kind {
    fn new(name: &str, measure: Option<(&'static str, &'static str)>) -> Self {
        let name = name.to_string();
        Kind { name, measure, count: 0, total: 0, biggest: 0, biggest_key: None }
    }

    fn unit(&self, memory: bool) -> &'static str {
        match self.measure {
            _ if memory => "bytes",
            Some((_, unit)) => unit,
            None => "?",
        }
    }
}

fn biggest(client: &mut Client, options: &Options, memory: bool) -> Result<(), String> {
    let mut kinds = vec![
        Kind::new("string", Some(("STRLEN", "bytes"))),
        Kind::new("list", Some(("LLEN", "items"))),
        Kind::new("set", Some(("SCARD", "members"))),
        Kind::new("hash", Some(("HLEN", "fields"))),
        Kind::new("zset", Some(("ZCARD", "members"))),
        Kind::new("stream", Some(("XLEN", "entries"))),
    ];
    let total = database_size(client)?;
    introduce("biggest keys");
    let (mut sampled, mut key_bytes) = (0, 0);
    let mut walk = PacedScan::new(options);
    while let Some(keys) = walk.scan.step(client) {
        let keys = keys?;
        let done = percent(sampled, total);
        let of = types(client, &keys, &mut kinds)?;
        let sizes = sizes(client, &keys, &of, &kinds, memory, options.memory_samples)?;
        for ((key, kind), size) in keys.iter().zip(of).zip(sizes) {
            let Some(kind) = kind.and_then(|kind| kinds.get_mut(kind)) else { continue };
            kind.total += size;
            kind.count += 1;
            key_bytes += key.len() as u64;
            sampled += 1;
            if kind.biggest < size {
                let shown = repr(key);
                print(&format!(
                    "[{done:05.2}%] Biggest {:<6} found so far '{shown}' with {size} {}\n",
                    kind.name,
                    kind.unit(memory)
                ));
                kind.biggest = size;
                kind.biggest_key = Some(shown);
            }
            progress(sampled, done);
        }
        walk.pause();
    }
    walk.summary(sampled, total);
    print(&format!(
        "Total key length in bytes is {key_bytes} (avg len {:.2})\n\n",
        ratio(key_bytes, sampled)
    ));
    for kind in &kinds {
        if let Some(key) = &kind.biggest_key {
            print(&format!(
                "Biggest {:>6} found '{key}' has {} {}\n",
                kind.name,
                kind.biggest,
                kind.unit(memory)
            ));
        }
    }
    print("\n");
    for kind in &kinds {
        print(&format!(
            "{} {}s with {} {} ({:05.2}% of keys, avg size {:.2})\n",
            kind.count,
            kind.name,
            kind.total,
            kind.unit(memory),
            100.0 * ratio(kind.count, sampled),
            ratio(kind.total, kind.count)
        ));
    }
    Ok(())
}

/// The type of each key as an index into the kinds; `None` for keys that are gone.
fn types(
    client: &mut Client,
    keys: &[Vec<u8>],
    kinds: &mut Vec<Kind>,
) -> Result<Vec<Option<usize>>, String> {
    let commands: Vec<Vec<&[u8]>> = keys.iter().map(|key| vec![&b"TYPE"[..], key]).collect();
    let replies =
        client.pipeline(&commands).map_err(|e| format!("\nI/O error: {}", strerror(&e)))?;
    let mut of = Vec::new();
    for reply in replies {
        let name = match &reply {
            Value::Simple(name) => String::from_utf8_lossy(name).into_owned(),
            Value::Error(text) => {
                return Err(format!("TYPE returned an error: {}", String::from_utf8_lossy(text)));
            }
            _ => return Err("Invalid reply type for TYPE!".into()),
        };
        if name == "none" {
            of.push(None);
            continue;
        }
        let place = kinds.iter().position(|kind| kind.name == name).unwrap_or_else(|| {
            kinds.push(Kind::new(&name, None));
            kinds.len() - 1
        });
        of.push(Some(place));
    }
    Ok(of)
}

fn sizes(
    client: &mut Client,
    keys: &[Vec<u8>],
    of: &[Option<usize>],
    kinds: &[Kind],
    memory: bool,
    samples: Option<u64>,
) -> Result<Vec<u64>, String> {
    let samples = samples.filter(|&n| n > 0).map(|n| n.to_string());
    let (mut commands, mut places) = (Vec::new(), Vec::new());
    for (place, (key, kind)) in keys.iter().zip(of).enumerate() {
        let Some(kind) = kind.and_then(|kind| kinds.get(kind)) else { continue };
        let mut command: Vec<&[u8]> = match kind.measure {
            _ if memory => vec![b"MEMORY", b"USAGE", key],
            Some((command, _)) => vec![command.as_bytes(), key],
            None => continue,
        };
        if let (true, Some(samples)) = (memory, &samples) {
            command.extend([&b"SAMPLES"[..], samples.as_bytes()]);
        }
        commands.push(command);
        places.push(place);
    }
    let replies =
        client.pipeline(&commands).map_err(|e| format!("\nI/O error: {}", strerror(&e)))?;
    let mut sizes = vec![0; keys.len()];
    for ((place, reply), command) in places.into_iter().zip(replies).zip(&commands) {
        match (reply, sizes.get_mut(place)) {
            (Value::Integer(n), Some(size)) => *size = u64::try_from(n).unwrap_or(0),
            _ => {
                let command = command.first().copied().unwrap_or_default();
                let key = keys.get(place).map(|key| String::from_utf8_lossy(key).into_owned());
                eprintln!(
                    "Warning:  {} on '{}' failed (may have changed type)",
                    if memory { "MEMORY USAGE".into() } else { String::from_utf8_lossy(command) },
                    key.unwrap_or_default()
                );
            }
        }
    }
    Ok(sizes)
}

fn hot(client: &mut Client, options: &Options) -> Result<(), String> {
    let total = database_size(client)?;
    introduce("hot keys");
    let mut sampled = 0;
    // Sorted by frequency, lowest first.
    let mut found: Vec<(u64, String)> = Vec::new();
    let mut walk = PacedScan::new(options);
    while let Some(keys) = walk.scan.step(client) {
        let keys = keys?;
        let done = percent(sampled, total);
        let commands: Vec<Vec<&[u8]>> =
            keys.iter().map(|key| vec![&b"OBJECT"[..], b"FREQ", key]).collect();
        let replies =
            client.pipeline(&commands).map_err(|e| format!("\nI/O error: {}", strerror(&e)))?;
        for (key, reply) in keys.iter().zip(replies) {
            let shown = repr(key);
            let counter = match reply {
                Value::Integer(n) => u64::try_from(n).unwrap_or(0),
                Value::Error(text) => {
                    return Err(format!("Error: {}", String::from_utf8_lossy(&text)));
                }
                _ => {
                    eprintln!("Warning: OBJECT freq on '{shown}' failed (may have been deleted)");
                    0
                }
            };
            sampled += 1;
            progress(sampled, done);
            let place = found.partition_point(|(other, _)| *other < counter);
            if counter == 0 || place == 0 && found.len() == HOTTEST {
                continue;
            }
            print(&format!(
                "[{done:05.2}%] Hot key '{shown}' found so far with counter {counter}\n"
            ));
            found.insert(place, (counter, shown));
            if found.len() > HOTTEST {
                found.remove(0);
            }
        }
        walk.pause();
    }
    walk.summary(sampled, total);
    for (counter, key) in found.iter().rev() {
        print(&format!("hot key found with counter: {counter}\tkeyname: {key}\n"));
    }
    Ok(())
}

/// A scan of the keyspace with pauses (`-i`).
struct PacedScan<'a> {
    scan: Scan<'a>,
    options: &'a Options,
    scans: u64,
}

impl<'a> PacedScan<'a> {
    fn new(options: &'a Options) -> Self {
        PacedScan { scan: Scan::new(options), options, scans: 0 }
    }

    fn pause(&mut self) {
        self.scans += 1;
        if self.scans.is_multiple_of(SCANS_PER_PAUSE) && !self.options.interval.is_zero() {
            std::thread::sleep(self.options.interval);
        }
    }

    fn summary(&self, sampled: u64, total: i64) {
        print("\n-------- summary -------\n\n");
        if self.scan.is_cancelled() {
            print(&format!("[{:05.2}%] ", percent(sampled, total)));
        }
        print(&format!("Sampled {sampled} keys in the keyspace!\n"));
    }
}

fn introduce(what: &str) {
    print(&format!(
        "\n# Scanning the entire keyspace to find {what} as well as\n\
         # average sizes per key type.  You can use -i 0.1 to sleep 0.1 sec\n\
         # per 100 SCAN commands (not usually needed).\n\n"
    ));
}

fn progress(sampled: u64, done: f64) {
    if sampled.is_multiple_of(1_000_000) {
        print(&format!("[{done:05.2}%] Sampled {sampled} keys so far\n"));
    }
}

fn percent(sampled: u64, total: i64) -> f64 {
    100.0 * ratio(sampled, u64::try_from(total).unwrap_or(0))
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
