use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LIMITS: NodeLimits = NodeLimits { bytes: 4096, entries: 5 };

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The reference model: a sorted map.
type Model = BTreeMap<StreamId, Pairs>;

fn append(stream: &mut Stream, id: StreamId, pairs: &Pairs) {
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(f, v)| (&f[..], &v[..])).collect();
    stream.append(id, &pairs, LIMITS);
}

fn contents(stream: &Stream) -> Vec<(StreamId, Pairs)> {
    stream.iter_from(0).map(read).collect()
}

fn read(entry: Entry<'_>) -> (StreamId, Pairs) {
    let fields = entry.fields().map(|(field, value)| (field.to_vec(), value.to_vec()));
    (entry.id, fields.collect())
}

/// Compares the result of every query with that of the model.
fn check(stream: &Stream, model: &Model) {
    let all: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(contents(stream), all);
    assert_eq!(stream.len(), model.len());
    assert_eq!(stream.top_id(), model.keys().next_back().copied());
    let backwards: Vec<_> = (0..stream.len().min(1))
        .flat_map(|_| stream.iter_back_from(stream.len() - 1).map(read))
        .collect();
    assert!(backwards.iter().rev().eq(all.iter()));
    for (rank, (id, pairs)) in all.iter().enumerate() {
        assert_eq!(stream.rank(*id), rank);
        let found = stream.find(*id).map(|(at, entry)| (at, read(entry)));
        assert_eq!(found, Some((rank, (*id, pairs.clone()))));
        assert_eq!(stream.iter_from(rank).next().map(|entry| entry.id), Some(*id));
    }
    assert_eq!(stream.nodes_from(0).count(), stream.node_count());
    let bytes: usize = stream.nodes_from(0).map(Node::memory).sum();
    assert_eq!(stream.node_bytes, bytes);
    for node in stream.nodes_from(0) {
        let again = Node::from_pack(node.id(), node.pack().to_owned());
        assert_eq!(again.map(|node| node.live()), Ok(node.live()));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8, Pairs),
    Delete(u16),
    MaxLen(u8, bool),
    MinId(u8, bool),
}

fn pairs() -> impl Strategy<Value = Pairs> {
    let text = prop_oneof![
        Just(b"f".to_vec()),
        Just(b"17".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec((text.clone(), text), 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), pairs()).prop_map(|(ahead, pairs)| Step::Append(ahead, pairs)),
        3 => any::<u16>().prop_map(Step::Delete),
        1 => (0u8..30, any::<bool>()).prop_map(|(n, whole)| Step::MaxLen(n, whole)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(n, whole)| Step::MinId(n, whole)),
    ]
}

proptest! {
    #[test]
    fn a_stream_is_a_sorted_map(steps in prop::collection::vec(step(), 0..120)) {
        let (mut stream, mut model) = (Stream::new(), Model::new());
        for step in steps {
            match step {
                Step::Append(ahead, pairs) => {
                    let last = stream.counters().last_id;
                    let id = StreamId::new(last.ms + u64::from(ahead) / 64, last.seq + 1);
                    append(&mut stream, id, &pairs);
                    model.insert(id, pairs);
                }
                Step::Delete(n) => {
                    let at = usize::from(n) % (model.len() + 1);
                    let id = model.keys().nth(at).copied().unwrap_or(StreamId::MAX);
                    prop_assert_eq!(stream.delete(id), model.remove(&id).is_some());
                }
                Step::MaxLen(max, whole) => {
                    let removed = stream.trim(Trim::MaxLen(max.into()), whole, 0);
                    let excess = model.len().saturating_sub(max.into()) as u64;
                    prop_assert!(removed == excess || whole && removed < excess);
                    (0..removed).for_each(|_| drop(model.pop_first()));
                }
                Step::MinId(ms, whole) => {
                    let min = StreamId::new(ms.into(), 0);
                    let removed = stream.trim(Trim::MinId(min), whole, 0);
                    let excess = model.range(..min).count() as u64;
                    prop_assert!(removed == excess || whole && removed < excess);
                    (0..removed).for_each(|_| drop(model.pop_first()));
                }
            }
            let first = model.keys().next().copied().unwrap_or_default();
            prop_assert_eq!(stream.counters().first_id, first);
        }
        check(&stream, &model);
    }

    #[test]
    fn any_listpack_is_refused_or_read(
        words in prop::collection::vec(prop_oneof![(-3i64..9).prop_map(|n| n.to_string()), "[a-c]{1,3}"], 0..40),
    ) {
        let pack: crate::store::value::listpack::Listpack = words.iter().collect();
        if let Ok(node) = Node::from_pack(StreamId::new(5, 5), pack) {
            let forwards: Vec<_> = node.entries().map(|entry| read(entry).0).collect();
            let mut backwards: Vec<_> = node.entries_back().map(|entry| read(entry).0).collect();
            backwards.reverse();
            prop_assert_eq!(forwards.len(), node.live());
            prop_assert_eq!(forwards, backwards);
            let mut stream = Stream::new();
            stream.push_node(node);
            stream.trim(Trim::MaxLen(1), false, 0);
            stream.delete(StreamId::new(5, 5));
        }
    }
}

#[test]
fn a_node_is_filled_up_to_its_limits() {
    let mut stream = Stream::new();
    for n in 1..=12 {
        append(&mut stream, StreamId::new(n, 0), &vec![(b"f".to_vec(), b"v".to_vec())]);
    }
    assert_eq!(stream.node_count(), 3);
    let large = vec![(b"f".to_vec(), vec![b'v'; 5000])];
    append(&mut stream, StreamId::new(13, 0), &large);
    append(&mut stream, StreamId::new(14, 0), &large);
    assert_eq!(stream.node_count(), 5);
}

#[test]
fn deliveries_have_one_owner() {
    let mut group = Group::new(b"g", StreamId::MIN, None);
    assert!(group.add_consumer(b"one", 7) && group.add_consumer(b"two", 8));
    assert!(!group.add_consumer(b"one", 9));
    let id = StreamId::new(1, 1);
    group.deliver(id, b"one", 10, 1);
    group.deliver(id, b"two", 11, 2);
    let pending = |name: &[u8]| group.consumer(name).map(Consumer::pending_count);
    assert_eq!((pending(b"one"), pending(b"two")), (Some(0), Some(1)));
    assert_eq!(group.delivery(id).map(|delivery| (delivery.time, delivery.count)), Some((11, 2)));
    assert_eq!(group.remove_consumer(b"two"), Some(1));
    assert_eq!(group.pending_count(), 0);
    assert!(group.add_consumer(b"three", 12));
    group.deliver(id, b"three", 13, 1);
    assert!(group.acknowledge(id) && !group.acknowledge(id));
    assert_eq!(group.consumers().map(Consumer::name).collect::<Vec<_>>(), [&b"one"[..], b"three"]);
}

#[test]
fn a_copy_is_not_changed_with_the_original() {
    let mut stream = Stream::new();
    for n in 1..=100 {
        append(&mut stream, StreamId::new(n, 0), &vec![(b"f".to_vec(), b"v".to_vec())]);
    }
    let mut group = Group::new(b"g", StreamId::MIN, None);
    group.add_consumer(b"c", 0);
    assert!(stream.add_group(group));
    let (copy, before) = (stream.clone(), contents(&stream));
    stream.trim(Trim::MaxLen(3), false, 0);
    stream.change_group(b"g", |group| group.deliver(StreamId::new(99, 0), b"c", 1, 1));
    assert_eq!(contents(&copy), before);
    assert_eq!(copy.group(b"g").map(Group::pending_count), Some(0));
    assert_eq!(stream.group(b"g").map(Group::pending_count), Some(1));
}

#[test]
fn it_is_freed_in_slices() {
    let mut stream = Stream::new();
    for n in 1..=5000 {
        append(&mut stream, StreamId::new(n, 0), &vec![(b"f".to_vec(), b"v".to_vec())]);
    }
    let mut group = Group::new(b"g", StreamId::MIN, None);
    group.add_consumer(b"c", 0);
    (1..=1000).for_each(|n| group.deliver(StreamId::new(n, 0), b"c", 0, 1));
    stream.add_group(group);
    let mut freed = 0;
    loop {
        let n = stream.free_some(300);
        freed += n;
        if n < 300 {
            break;
        }
    }
    assert_eq!(freed, 1000 + 1000 + 1000, "nodes, deliveries, and what the consumer has");
}
