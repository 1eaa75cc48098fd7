//! Decodes collections that are encoded as one string, with full validation.

use super::cursor::Stop;
use crate::resp::number::{parse_double, parse_i64};
use crate::sorted::sort_by_key;
use crate::store::value::intset::IntSet;
use crate::store::value::listpack::Listpack;
use crate::store::value::{Hash, HashRef, Item, Limits, Set, SetRef, ZSet};

/// Decodes a listpack, converting elements that read as integers to integers.
pub(super) fn listpack(bytes: Vec<u8>, broken: &'static str) -> Result<Listpack, Stop> {
    let pack = Listpack::from_bytes(bytes).map_err(|_| Stop::Bad(broken.into()))?;
    let odd = |item| matches!(item, Item::Str(text) if parse_i64(text).is_some());
    if !pack.view().iter().any(|(_, item)| odd(item)) {
        return Ok(pack);
    }
    let mut clean = Listpack::with_capacity(pack.size());
    for (_, item) in pack.view().iter() {
        clean.insert_item(clean.end(), item);
    }
    Ok(clean)
}

/// Converts a listpack of fields and values to a hash.
pub(super) fn hash(
    pack: Listpack,
    limits: &Limits,
    broken: &'static str,
    twice: &'static str,
) -> Result<Hash, Stop> {
    let view = pack.view();
    if !view.len().is_multiple_of(2) {
        return Stop::bad(broken);
    }
    if repeats(view.iter().step_by(2).map(|(_, item)| item)) {
        return Stop::bad(twice);
    }
    if view.is_empty() {
        return Err(Stop::Empty);
    }
    if view.len() / 2 <= limits.hash_max_listpack_entries {
        return Ok(Hash::Pack(pack));
    }
    let mut hash = Hash::new_table(limits);
    let (mut a, mut b) = (itoa::Buffer::new(), itoa::Buffer::new());
    for (field, value) in HashRef::Pack(view).iter() {
        hash.set(field.bytes(&mut a), value.bytes(&mut b), limits);
    }
    Ok(hash)
}

/// Converts a listpack of members to a set.
pub(super) fn set(pack: Listpack, limits: &Limits, broken: &'static str) -> Result<Set, Stop> {
    let view = pack.view();
    if repeats(view.iter().map(|(_, item)| item)) {
        return Stop::bad(broken);
    }
    if view.is_empty() {
        return Err(Stop::Empty);
    }
    if view.len() <= limits.set_max_listpack_entries {
        return Ok(Set::Pack(pack));
    }
    Ok(table_of(SetRef::Pack(view), limits))
}

/// Decodes an intset.
pub(super) fn intset(bytes: Vec<u8>, limits: &Limits) -> Result<Set, Stop> {
    let broken = "Intset integrity check failed.";
    let ints = IntSet::from_bytes(bytes).map_err(|_| Stop::Bad(broken.into()))?;
    if ints.view().len() <= limits.set_max_intset_entries {
        return Ok(Set::Ints(ints));
    }
    Ok(table_of(SetRef::Ints(ints.view()), limits))
}

fn table_of(members: SetRef<'_>, limits: &Limits) -> Set {
    let mut set = Set::new_table(limits);
    let mut text = itoa::Buffer::new();
    for member in members.iter() {
        set.insert(member.bytes(&mut text), limits);
    }
    set
}

/// Converts a listpack of members and scores to a sorted set.
pub(super) fn zset(pack: Listpack, limits: &Limits, broken: &'static str) -> Result<ZSet, Stop> {
    let view = pack.view();
    if !view.len().is_multiple_of(2) || repeats(view.iter().step_by(2).map(|(_, item)| item)) {
        return Stop::bad(broken);
    }
    if view.is_empty() {
        return Err(Stop::Empty);
    }
    let score = |item| match item {
        Item::Int(n) => Some(n as f64),
        Item::Str(text) => parse_double(text),
    };
    let mut ordered = true;
    let mut before: Option<(f64, Vec<u8>)> = None;
    for (member, value) in HashRef::Pack(view).iter() {
        let Some(value) = score(value) else { return Stop::bad(broken) };
        let this = (value, member.to_vec());
        ordered &= before.is_none_or(|before| before < this);
        before = Some(this);
    }
    if ordered && view.len() / 2 <= limits.zset_max_listpack_entries {
        return Ok(ZSet::Pack(pack));
    }
    let mut zset = ZSet::new(view.len() / 2, 0, limits);
    let mut text = itoa::Buffer::new();
    for (member, value) in HashRef::Pack(view).iter() {
        zset.insert(member.bytes(&mut text), score(value).unwrap_or(0.0), limits);
    }
    Ok(zset)
}

/// Whether any element occurs twice.
fn repeats<'a>(items: impl Iterator<Item = Item<'a>>) -> bool {
    let order = |item: &Item<'a>| match *item {
        Item::Int(n) => (Some(n), &[][..]),
        Item::Str(text) => (None, text),
    };
    let mut items: Vec<Item<'_>> = items.collect();
    sort_by_key(&mut items, order);
    items.windows(2).any(|pair| pair[0] == pair[1])
}
