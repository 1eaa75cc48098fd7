//! Sharding compared with the original proxies: twemproxy and predixy put keys on the same nodes.

use super::*;

const TWEMPROXY: &str = include_str!("tests/twemproxy.txt");
const PREDIXY: &str = include_str!("tests/predixy.txt");

fn unhex(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| core::str::from_utf8(pair).expect("text"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

/// The rows of a table that begin with `kind`, as the words behind it.
fn rows<'t>(table: &'t str, kind: &'t str) -> impl Iterator<Item = &'t str> {
    table.lines().filter_map(move |line| line.strip_prefix(kind)?.strip_prefix(' '))
}

fn tag(text: &str) -> Option<HashTag> {
    HashTag::parse(text.as_bytes())
}

fn digit(index: u32) -> char {
    const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    DIGITS[index as usize].into()
}

/// The servers of a twemproxy pool in its order, each with its place in the list.
fn pool(servers: &str) -> Vec<(Node, usize)> {
    let mut nodes: Vec<(Node, usize)> = servers
        .split('|')
        .enumerate()
        .map(|(place, server)| {
            let (address, name) = match server.split_once(' ') {
                Some((address, name)) => (address, Some(name)),
                None => (server, None),
            };
            let (address, weight) = address.rsplit_once(':').expect("a weight");
            let name = name.unwrap_or(address.strip_suffix(":11211").unwrap_or(address));
            let weight = weight.parse().expect("a number");
            (Node { name: name.into(), weight }, place)
        })
        .collect();
    nodes.sort_by(|(a, _), (b, _)| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    nodes
}

#[test]
fn hashes_are_those_of_twemproxy() {
    let keys: Vec<Vec<u8>> = rows(TWEMPROXY, "key").map(unhex).collect();
    let mut seen = 0;
    for row in rows(TWEMPROXY, "hash") {
        let mut words = row.split(' ');
        let name = words.next().expect("a name");
        let hash = Hash::parse(name).expect("a hash of twemproxy");
        for (key, value) in keys.iter().zip(words) {
            assert_eq!(format!("{:x}", hash.of(key)), value, "{name} {}", key.escape_ascii());
            seen += 1;
        }
    }
    assert_eq!(seen, 12 * 180);
}

#[test]
fn keys_are_where_twemproxy_puts_them() {
    let keys: Vec<Vec<u8>> = rows(TWEMPROXY, "key").map(unhex).collect();
    let mut seen = 0;
    for row in rows(TWEMPROXY, "set") {
        let words: Vec<&str> = row.splitn(5, ' ').collect();
        let [distribution, hash, hash_tag, indexes, servers] = words[..] else { panic!("{row}") };
        let (nodes, places): (Vec<_>, Vec<_>) = pool(servers).into_iter().unzip();
        let hash = Hash::parse(hash).expect("a hash");
        let rule = match distribution {
            "ketama" => Rule::Ketama(hash),
            "modula" => Rule::Modula(hash),
            other => panic!("{other}"),
        };
        let sharding = Sharding::new(nodes, rule, tag(hash_tag));
        let found: String = keys
            .iter()
            .map(|key| match sharding.locate(key) {
                Place::Node(node) => digit(places[node as usize] as u32),
                place => panic!("{place:?}"),
            })
            .collect();
        assert_eq!(found, indexes, "{row}");
        seen += 1;
    }
    assert_eq!(seen, 144);
}

#[test]
fn keys_are_where_predixy_puts_them() {
    let mut seen = 0;
    for (keys, sets) in [("key", "set"), ("number-key", "number-set")] {
        let keys: Vec<Vec<u8>> = rows(PREDIXY, keys).map(unhex).collect();
        for row in rows(PREDIXY, sets) {
            let words: Vec<&str> = row.split(' ').collect();
            let [hash, hash_tag, groups, indexes] = words[..] else { panic!("{row}") };
            let groups = groups.parse::<u32>().expect("a number");
            let nodes = (0..groups).map(|i| Node::new(format!("shard{i}"))).collect();
            let rule = Rule::Groups(GroupHash::parse(hash).expect("a hash of predixy"));
            let sharding = Sharding::new(nodes, rule, tag(hash_tag));
            let found: String = keys
                .iter()
                .map(|key| match sharding.locate(key) {
                    Place::Node(node) => digit(node),
                    place => panic!("{place:?}"),
                })
                .collect();
            assert_eq!(found, indexes, "{row}");
            seen += 1;
        }
    }
    assert_eq!(seen, 17);
}

#[test]
fn a_node_that_joins_a_ring_takes_keys_from_all_and_moves_no_others() {
    let node = |i: u32| Node::new(format!("10.0.0.{i}:6379"));
    let ring = |n| Sharding::new((1..=n).map(node).collect(), Rule::Ketama(Hash::Md5), None);
    let (four, five) = (ring(4), ring(5));
    let keys: Vec<Vec<u8>> = (0..2_000).map(|i| format!("key:{i}").into_bytes()).collect();
    let keys = || keys.iter().map(Vec::as_slice);
    let moved = moves::of_keys(&four, &five, keys());
    assert_eq!(moved.len(), 4, "{moved:?}");
    assert!(moved.iter().all(|one| one.to == b"10.0.0.5:6379"));
    let total: u64 = moved.iter().map(|one| one.amount).sum();
    assert!((300..500).contains(&total), "about a fifth of 2,000 keys moves, not {total}");

    // The ring says the same of its arcs.
    let arcs: u64 = moves::of_ring(&four, &five).iter().map(|one| one.amount).sum();
    assert!((Ring::PLACES / 100 * 15..Ring::PLACES / 100 * 25).contains(&arcs));
    for sharding in [&four, &five] {
        let arcs = sharding.ring().expect("a ring").arcs();
        assert_eq!(arcs.iter().map(|arc| arc.len).sum::<u64>(), Ring::PLACES);
    }

    // With a modulo nearly everything moves.
    let modula = |n| Sharding::new((1..=n).map(node).collect(), Rule::Modula(Hash::Md5), None);
    let moved = moves::of_keys(&modula(4), &modula(5), keys());
    let total: u64 = moved.iter().map(|one| one.amount).sum();
    assert!(total > 1_500, "{total}");
}

#[test]
fn keys_of_an_ejected_node_are_spread_over_the_others_and_come_back() {
    let nodes: Vec<Node> = (0..4).map(|i| Node::new(format!("node{i}"))).collect();
    for rule in [Rule::Ketama(Hash::Fnv1a64), Rule::Modula(Hash::Fnv1a64), Rule::Random] {
        let mut sharding = Sharding::new(nodes.clone(), rule, None);
        let mut rng = crate::rng::Rng::new(1);
        let before: Vec<_> = (0..200u32).map(|i| sharding.locate(&i.to_be_bytes())).collect();
        sharding.spread(|node| node != 2);
        for i in 0..200u32 {
            assert_ne!(sharding.pick(&i.to_be_bytes(), &mut rng), Some(2));
        }
        sharding.spread(|_| false);
        assert_eq!(sharding.pick(b"k", &mut rng), None);
        sharding.spread(|_| true);
        let after: Vec<_> = (0..200u32).map(|i| sharding.locate(&i.to_be_bytes())).collect();
        assert_eq!(before, after);
    }
}

#[test]
fn slots_are_dealt_out_as_redis_cli_does() {
    let nodes = |n: u32| (0..n).map(|i| Node::new(format!("node{i}"))).collect();
    let sharding = Sharding::new(nodes(3), Rule::Slots, None);
    let mut firsts = vec![None; 3];
    let mut lasts = vec![None; 3];
    for i in 0..40_000u32 {
        let key = i.to_string();
        let Place::Node(node) = sharding.locate(key.as_bytes()) else { panic!("{key}") };
        let slot = Slot::of(key.as_bytes()).number();
        let (first, last) = (&mut firsts[node as usize], &mut lasts[node as usize]);
        *first = Some(first.map_or(slot, |first: u16| first.min(slot)));
        *last = Some(last.map_or(slot, |last: u16| last.max(slot)));
    }
    let of = |ends: Vec<Option<u16>>| ends.into_iter().map(|end| end.expect("keys")).collect();
    let (firsts, lasts): (Vec<u16>, Vec<u16>) = (of(firsts), of(lasts));
    // Masters of `--cluster create` with three nodes: 0-5460, 5461-10922, 10923-16383.
    assert!(firsts[0] < 20 && lasts[0] <= 5460 && lasts[0] > 5440);
    assert!(firsts[1] >= 5461 && lasts[1] <= 10922);
    assert!(firsts[2] >= 10923);
}

#[test]
fn modula_takes_weights_as_large_as_their_sum_fits_into_32_bits() {
    let node = |name: &str, weight| Node { name: name.into(), weight };
    let weights = [2_000_000_000, 7, 2_000_000_000];
    let nodes = weights.iter().enumerate().map(|(i, weight)| node(&i.to_string(), *weight));
    let sharding = Sharding::new(nodes.collect(), Rule::Modula(Hash::Crc32a), None);
    let mut found = [0; 3];
    for n in 0..100_u32 {
        let key = format!("key:{n}");
        let index = u64::from(Hash::Crc32a.of(key.as_bytes())) % 4_000_000_007;
        let expected = match index {
            0..2_000_000_000 => 0,
            2_000_000_000..2_000_000_007 => 1,
            _ => 2,
        };
        assert_eq!(sharding.locate(key.as_bytes()), Place::Node(expected), "{key}");
        found[expected as usize] += 1;
    }
    assert!(found[0] > 20 && found[2] > 20, "{found:?}");
}
