//! The command `shard`: which node has each key by a rule, and what moves when nodes join or leave.
//!
//! It uses neither terminal nor files, so that the native command line and the page's shell share
//! it.

use core::fmt::Write;

use lexopt::prelude::*;

use super::plot::{Plot, Share};
use super::{GroupHash, Hash, HashTag, Node, Ring, Rule, Sharding, moves};
use crate::rng::Rng;

/// The most nodes that one call accepts.
const MAX_NODES: usize = 1_000;

/// What `shard --help` says.
pub const USAGE: &str = "\
Says which node has each key, and what moves when nodes join or leave

Usage: limpid shard [OPTIONS] --node <NAME[=WEIGHT]>... [KEY]...

Arguments:
  [KEY]...  Keys to place

Options:
  -n, --node <NAME[=WEIGHT]>  A node that has keys, for example 127.0.0.1:6379 or cache1=2
  -r, --rule <RULE>           How keys are spread [default: ketama]
                              ketama  the next virtual node on a hash ring
                              modula  the hash modulo the sum of the weights
                              group   the hash of predixy modulo the number of nodes
                              slots   the slots of Redis Cluster in equal ranges
                              random  anywhere, as LPUSH to a queue on many nodes
                              table   by business: the prefix of a key names its node
      --hash <HASH>           Hash function [default: fnv1a_64; crc16 with group]
                              one_at_a_time, md5, crc16, crc32, crc32a, fnv1_64, fnv1a_64,
                              fnv1_32, fnv1a_32, hsieh, murmur, jenkins; with group: atol, crc16
      --tag <TWO CHARACTERS>  Hash only what stands between these two in a key, for example {}
  -t, --table <PREFIX=NODE>   A row of the business table
      --add <NAME[=WEIGHT]>   A node that joins: shows what moves
      --remove <NAME>         A node that leaves: shows what moves
  -k, --keys <FILE>           More keys, one a line; - for the standard input
  -c, --count <N>             More keys: key:0, key:1, and so on
      --seed <N>              Where random begins [default: 1]
      --plot <FILE>           Write a drawing of the ring (SVG), after --add and --remove
  -h, --help                  Print help
";

/// The most keys that `--count` generates.
const MAX_COUNT: u64 = 10_000_000;

/// How many keys are listed individually; of more, only totals are shown.
const MAX_LISTED: usize = 1_000;

/// The parsed command line of `shard`.
#[derive(Clone, Debug, Default)]
pub struct Request {
    nodes: Vec<Node>,
    rule: Option<String>,
    hash: Option<String>,
    tag: Option<HashTag>,
    table: Vec<(Vec<u8>, String)>,
    add: Vec<Node>,
    remove: Vec<String>,
    keys: Vec<Vec<u8>>,
    count: u64,
    seed: u64,
    /// Whether the help was asked for.
    pub help: bool,
    /// Files of keys, to be read by the caller and given to [`Request::add_keys`].
    pub files: Vec<String>,
    /// The file that the drawing is written to.
    pub plot: Option<String>,
}

/// The output of `shard`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The text for the terminal.
    pub text: String,
    /// The drawing as SVG, if one was asked for.
    pub svg: Option<String>,
}

impl Request {
    /// Reads the arguments behind the command's name.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Request, String> {
        let mut request = Request { seed: 1, ..Request::default() };
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
            let mut option = None;
            match arg {
                Short('h') | Long("help") => request.help = true,
                Value(key) => request.keys.push(key.into_encoded_bytes()),
                Short(letter) => option = Some(letter.to_string()),
                Long(name) => option = Some(name.to_owned()),
            }
            let Some(option) = option else { continue };
            let known = [
                "n", "node", "r", "rule", "hash", "tag", "t", "table", "add", "remove", "k",
                "keys", "c", "count", "seed", "plot",
            ];
            if !known.contains(&option.as_str()) {
                return Err(format!("unknown option '{option}'; see 'limpid shard --help'"));
            }
            let value = parser.value().map_err(|e| e.to_string())?;
            let value = value.string().map_err(|e| e.to_string())?;
            request.set(&option, value)?;
        }
        Ok(request)
    }

    /// The number of keys to generate.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds keys, one per line.
    pub fn add_keys(&mut self, text: &[u8]) {
        let lines =
            text.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        self.keys.extend(lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
    }

    /// Places the keys on nodes and reports it.
    pub fn run(mut self) -> Result<Report, String> {
        if self.nodes.is_empty() {
            return Err("there is no node; name some with --node, for example \
                        --node 127.0.0.1:6379 --node 127.0.0.1:6380"
                .into());
        }
        self.keys.extend((0..self.count).map(|i| format!("key:{i}").into_bytes()));
        let before = self.sharding(self.nodes.clone(), false)?;
        let mut nodes = self.nodes.clone();
        for name in &self.remove {
            let place = nodes.iter().position(|node| node.name == name.as_bytes());
            let place = place.ok_or_else(|| format!("--remove {name}: there is no such node"))?;
            nodes.remove(place);
        }
        nodes.extend(self.add.iter().cloned());
        check(&nodes)?;
        let changed = !self.add.is_empty() || !self.remove.is_empty();
        let after = self.sharding(nodes, changed)?;
        let mut text = String::new();
        let mut rng = Rng::new(self.seed);
        let old: Vec<Option<u32>> =
            self.keys.iter().map(|key| before.pick(key, &mut rng)).collect();
        self.list(&mut text, &before, &old);
        totals(&mut text, &before, &old);
        if changed {
            self.changes(&mut text, &before, &after);
        }
        let svg = match &self.plot {
            None => None,
            Some(_) if after.ring().is_none() => {
                return Err("--plot draws a ring, so it needs --rule ketama".into());
            }
            Some(_) => Some(Plot { sharding: &after, keys: &self.keys }.to_string()),
        };
        Ok(Report { text, svg })
    }

    fn set(&mut self, option: &str, value: String) -> Result<(), String> {
        match option {
            "n" | "node" => {
                self.nodes.push(node(&value)?);
                check(&self.nodes)?;
            }
            "add" => self.add.push(node(&value)?),
            "remove" => self.remove.push(value),
            "r" | "rule" => self.rule = Some(value),
            "hash" => self.hash = Some(value),
            "tag" => {
                let tag = HashTag::parse(value.as_bytes());
                self.tag = Some(tag.ok_or_else(|| {
                    format!("--tag '{value}': a tag is exactly two characters, for example {{}}")
                })?);
            }
            "t" | "table" => {
                let row = value.rsplit_once('=').ok_or_else(|| {
                    format!("--table '{value}': a row is PREFIX=NODE, for example user:=node1")
                })?;
                self.table.push((row.0.into(), row.1.into()));
            }
            "k" | "keys" => self.files.push(value),
            "c" | "count" => {
                self.count = number(option, &value)?;
                if self.count > MAX_COUNT {
                    return Err(format!("--count {value}: at most {MAX_COUNT} keys are made"));
                }
            }
            "seed" => self.seed = number(option, &value)?,
            _ => self.plot = Some(value),
        }
        Ok(())
    }

    fn sharding(&self, nodes: Vec<Node>, changed: bool) -> Result<Sharding, String> {
        let rule = self.rule.as_deref();
        let hash = || match self.hash.as_deref() {
            None => Ok(Hash::default()),
            Some(name) => Hash::parse(name).ok_or_else(|| {
                let names: Vec<&str> = Hash::ALL.iter().map(|hash| hash.name()).collect();
                format!("--hash {name}: choose one of {}", names.join(", "))
            }),
        };
        let rule = match rule.unwrap_or(if self.table.is_empty() { "ketama" } else { "table" }) {
            "ketama" => Rule::Ketama(hash()?),
            "modula" => Rule::Modula(hash()?),
            "group" => {
                let name = self.hash.as_deref().unwrap_or("crc16");
                let hash = GroupHash::parse(name);
                Rule::Groups(
                    hash.ok_or_else(|| format!("--hash {name}: choose one of atol, crc16"))?,
                )
            }
            "slots" => Rule::Slots,
            "random" => Rule::Random,
            "table" => {
                let mut rows = Vec::new();
                for (prefix, name) in &self.table {
                    let place = nodes.iter().position(|node| node.name == name.as_bytes());
                    match place {
                        Some(place) => rows.push((prefix.clone(), place as u32)),
                        // The node of this key has left.
                        None if changed => {}
                        None => {
                            return Err(format!(
                                "--table: there is no node '{name}'; name it with --node"
                            ));
                        }
                    }
                }
                Rule::Table(rows)
            }
            other => {
                return Err(format!(
                    "--rule {other}: choose one of ketama, modula, group, slots, random, table"
                ));
            }
        };
        Ok(Sharding::new(nodes, rule, self.tag))
    }

    fn list(&self, text: &mut String, sharding: &Sharding, places: &[Option<u32>]) {
        let shown = self.keys.len().saturating_sub(self.count as usize).min(MAX_LISTED);
        let shown = if shown == 0 && self.keys.len() <= 50 { self.keys.len() } else { shown };
        let width = self.keys.iter().take(shown).map(|key| printable(key).len()).max();
        for (key, place) in self.keys.iter().zip(places).take(shown) {
            let key_text = printable(key);
            let width = width.unwrap_or_default();
            let _ = write!(text, "{key_text:width$}  ");
            if let Some(hash) = sharding.hash(key) {
                let _ = write!(text, "{hash:>10}  ");
            }
            let _ = writeln!(text, "{}", place.map_or_else(nowhere, |node| label(sharding, node)));
        }
        if shown > 0 {
            text.push('\n');
        }
    }

    fn changes(&self, text: &mut String, before: &Sharding, after: &Sharding) {
        let whole = self.keys.len() as u64;
        let keys = || self.keys.iter().map(Vec::as_slice);
        let moved = moves::of_keys(before, after, keys());
        let total: u64 = moved.iter().map(|one| one.amount).sum();
        let share = Share { part: total, whole };
        let _ = writeln!(text, "\n{total} of {whole} keys move ({share})");
        for one in &moved {
            let (from, to) = (printable(&one.from), printable(&one.to));
            let _ = writeln!(text, "  {from} -> {to}: {}", one.amount);
        }
        let arcs = moves::of_ring(before, after);
        if !arcs.is_empty() {
            let total: u64 = arcs.iter().map(|one| one.amount).sum();
            let share = Share { part: total, whole: Ring::PLACES };
            let _ = writeln!(text, "{share} of the ring changes hands");
            for one in &arcs {
                let share = Share { part: one.amount, whole: Ring::PLACES };
                let (from, to) = (printable(&one.from), printable(&one.to));
                let _ = writeln!(text, "  {from} -> {to}: {share}");
            }
        }
    }
}

fn totals(text: &mut String, sharding: &Sharding, places: &[Option<u32>]) {
    let whole = places.len() as u64;
    let arcs = sharding.ring().map(|ring| (ring.arcs(), ring.points()));
    for i in 0..sharding.nodes().len() as u32 {
        let keys = places.iter().filter(|place| **place == Some(i)).count() as u64;
        let _ = write!(text, "{}: {keys} keys", label(sharding, i));
        if whole > 0 {
            let _ = write!(text, " ({})", Share { part: keys, whole });
        }
        if let Some((arcs, points)) = &arcs {
            let part = arcs.iter().filter(|arc| arc.node == i).map(|arc| arc.len).sum();
            let points = points.iter().filter(|point| point.node == i).count();
            let share = Share { part, whole: Ring::PLACES };
            let _ = write!(text, ", {points} points, {share} of the ring");
        }
        text.push('\n');
    }
    let lost = places.iter().filter(|place| place.is_none()).count();
    if lost > 0 {
        let _ = writeln!(text, "{}: {lost} keys", nowhere());
    }
}

fn nowhere() -> String {
    "(no node)".to_owned()
}

fn label(sharding: &Sharding, node: u32) -> String {
    sharding.nodes().get(node as usize).map(|node| printable(&node.name)).unwrap_or_default()
}

fn printable(bytes: &[u8]) -> String {
    match core::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

fn node(text: &str) -> Result<Node, String> {
    let (name, weight) = match text.rsplit_once('=') {
        None => (text, 1),
        Some((name, weight)) => match weight.parse() {
            Ok(weight @ 1..=1_000) => (name, weight),
            _ => {
                return Err(format!("node '{text}': a weight is a number from 1 to 1000"));
            }
        },
    };
    if name.is_empty() {
        return Err(format!("node '{text}': a node needs a name"));
    }
    Ok(Node { name: name.into(), weight })
}

fn check(nodes: &[Node]) -> Result<(), String> {
    for (i, node) in nodes.iter().enumerate() {
        if nodes.iter().take(i).any(|other| other.name == node.name) {
            return Err(format!("node '{}' is named twice", printable(&node.name)));
        }
    }
    if nodes.len() > MAX_NODES {
        return Err(format!("at most {MAX_NODES} nodes are supported"));
    }
    Ok(())
}

fn number(option: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("--{option} {value}: a number was expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Report, String> {
        Request::parse(line.split_whitespace().map(str::to_owned))?.run()
    }

    #[test]
    fn keys_are_placed_by_every_rule() {
        let text = run("-r group --tag {} -n ooxx -n xxoo k1 k2 {oo}k1 {oo}k2").expect("text").text;
        // As the course notes observed it behind predixy.
        let lines: Vec<&str> = text.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(lines[..4], ["ooxx", "xxoo", "xxoo", "xxoo"]);

        let text = run("-t user:=a -t order:=b -n a -n b user:1 order:7 x").expect("text").text;
        assert!(text.starts_with("user:1   a\norder:7  b\nx        (no node)\n"), "{text}");

        let text = run("-r slots -n a -n b -n c foo").expect("text").text;
        assert!(text.starts_with("foo       12182  c\n"), "{text}");

        let text = run("-r random -n a -n b -c 100").expect("text").text;
        assert!(text.contains("a: ") && text.contains("b: "), "{text}");
    }

    #[test]
    fn moves_are_reported_in_keys_and_in_shares_of_the_ring() {
        let report = run("-n a -n b -c 1000 --add c --plot ring.svg").expect("a report");
        let text = &report.text;
        assert!(text.contains(" of 1000 keys move ("), "{text}");
        assert!(text.contains("  a -> c: ") && text.contains("  b -> c: "), "{text}");
        assert!(!text.contains("  a -> b: "), "{text}");
        assert!(text.contains(" of the ring changes hands"), "{text}");
        let svg = report.svg.expect("a drawing");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<line ").count(), 3 * 160);

        let report = run("-n a -n b -n c -c 1000 --remove b").expect("a report");
        assert!(report.text.contains("  b -> a: ") && report.text.contains("  b -> c: "));
        assert!(!report.text.contains("  a -> c: "));
    }

    #[test]
    fn errors_name_the_problem() {
        let error = |line| run(line).expect_err("an error");
        assert!(error("k").contains("--node"));
        assert!(error("-n a -n a").contains("'a' is named twice"));
        assert!(error("-n a=0").contains("weight"));
        assert!(error("-n a --hash sha1").contains("fnv1a_64"));
        assert!(error("-n a --tag {").contains("two characters"));
        assert!(error("-n a --rule best").contains("ketama"));
        assert!(error("-n a --remove b").contains("no such node"));
        assert!(error("-n a --bogus 1").contains("bogus"));
        assert!(error("-n a -t x=b").contains("no node 'b'"));
        assert!(error("-r modula -n a --plot x.svg").contains("--rule ketama"));
    }
}
