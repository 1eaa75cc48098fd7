//! Measures the memory of collections: many small ones, and a large one of each kind.

use anyhow::Result;

use super::server::{Server, encode};
use super::{Programs, median};

/// The total number of elements in all collections of a row.
const ELEMENTS: u64 = 1_000_000;

/// The highest memory of a collection, as a multiple of Redis's.
const GOAL: f64 = 1.0;

/// A kind of collection: its name, the command that adds to it, and the arguments for the element
/// with a number.
type Kind = (&'static str, &'static str, fn(u64) -> Vec<String>);

const KINDS: [Kind; 5] = [
    ("list", "RPUSH", |n| vec![element(n)]),
    ("set", "SADD", |n| vec![element(n)]),
    ("hash", "HSET", |n| vec![element(n), format!("value:{n}")]),
    ("sorted set", "ZADD", |n| vec![n.to_string(), element(n)]),
    (STREAM, "XADD", |n| vec!["*".to_owned(), "field".to_owned(), element(n)]),
];

/// The kind whose command adds a single entry, and replies with its ID.
const STREAM: &str = "stream";

fn element(n: u64) -> String {
    format!("element:{n}")
}

/// Prints the memory per element. Returns the rows that missed their goal.
pub(crate) fn memory(programs: &Programs, rounds: usize) -> Result<Vec<String>> {
    println!(
        "\n{:22} {:>8} {:>8} {:>6} {:>5}",
        "memory, bytes/element", "Limpid", "Redis", "ratio", "goal"
    );
    let mut missed = Vec::new();
    for each in [10, ELEMENTS] {
        for kind in KINDS {
            let mut results = [Vec::new(), Vec::new()];
            for _ in 0..rounds {
                for (i, server) in programs.start()?.iter().enumerate() {
                    let before = server.resident()?;
                    fill(server, kind, each)?;
                    let grown = server.resident()?.saturating_sub(before);
                    results[i].push(grown as f64 / ELEMENTS as f64);
                }
            }
            let [limpid, redis] = results.map(median);
            let name = match each {
                ELEMENTS => format!("one {} of 1M", kind.0),
                _ => format!("100k {}s of {each}", kind.0),
            };
            let mark = if limpid <= redis * GOAL { ' ' } else { '!' };
            println!("{name:22} {limpid:>8.1} {redis:>8.1} {:>6.2}{mark}{GOAL:>5}", limpid / redis);
            if limpid > redis * GOAL {
                missed.push(name);
            }
        }
    }
    Ok(missed)
}

/// Creates collections of `each` elements.
fn fill(server: &Server, (name, command, element): Kind, each: u64) -> Result<()> {
    if name == STREAM {
        return server.pipeline_of(ELEMENTS, 2, |n, batch| {
            let key = format!("{name}:{}", n / each);
            let words = element(n);
            let mut all = vec![command.as_bytes(), key.as_bytes()];
            all.extend(words.iter().map(String::as_bytes));
            encode(batch, &all);
        });
    }
    if each == ELEMENTS {
        return server.grow(command, name, each, element);
    }
    server.pipeline(ELEMENTS / each, |n, batch| {
        let words: Vec<String> = (n * each..(n + 1) * each).flat_map(element).collect();
        let key = format!("{name}:{n}");
        let mut all = vec![command.as_bytes(), key.as_bytes()];
        all.extend(words.iter().map(String::as_bytes));
        encode(batch, &all);
    })
}
