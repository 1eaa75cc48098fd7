//! Unions, intersections and differences of sets.

use crate::command::collection::{Operation, positive, write_item};
use crate::command::walk::{self, Walk};
use crate::command::{Class, CommandError, Ctx};
use crate::resp::reply::Aggregate;
use crate::resp::request::Args;
use crate::sorted::sort_by_key;
use crate::store::value::{Item, Limits, Set, SetRef};
use crate::store::{AccessClock, Collection, Entry, Value, ValueRef};

pub(super) fn sinter(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    combine(ctx, Operation::Intersection, ctx.args.from(1), None)
}

pub(super) fn sunion(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    combine(ctx, Operation::Union, ctx.args.from(1), None)
}

pub(super) fn sdiff(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    combine(ctx, Operation::Difference, ctx.args.from(1), None)
}

pub(super) fn sinterstore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    combine(ctx, Operation::Intersection, ctx.args.from(2), Some("sinterstore"))
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    combine(ctx, Operation::Union, ctx.args.from(2), Some("sunionstore"))
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    combine(ctx, Operation::Difference, ctx.args.from(2), Some("sdiffstore"))
}

pub(super) fn sintercard(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let numkeys = positive(ctx.args.at(1), "ERR numkeys should be greater than 0")?;
    if numkeys == 0 {
        return Err(CommandError::text("ERR numkeys should be greater than 0"));
    }
    if numkeys > ctx.args.len() - 2 {
        return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = 0;
    let mut options = ctx.args.from(2 + numkeys).iter();
    while let Some(option) = options.next() {
        let value = options.next().ok_or(CommandError::Syntax)?;
        if !option.eq_ignore_ascii_case(b"limit") {
            return Err(CommandError::Syntax);
        }
        limit = positive(value, "ERR LIMIT can't be negative")?;
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut db = ctx.keyspace.db(ctx.db);
    let names: Vec<&[u8]> = ctx.args.from(2).iter().take(numkeys).collect();
    for name in &names {
        db.view::<Set>(db.key(name))?;
    }
    let sets: Vec<_> = names.iter().map(|name| db.peek(db.key(name)).and_then(Set::read)).collect();
    let mut count = 0;
    intersect(&sets, |_| {
        count += 1;
        count < limit
    });
    ctx.reply.integer(count as i64);
    Ok(())
}

fn combine(
    ctx: &mut Ctx<'_>,
    operation: Operation,
    names: Args<'_>,
    store: Option<&'static str>,
) -> Result<(), CommandError> {
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    for name in names.iter() {
        db.view::<Set>(db.key(name))?;
    }
    let sets: Vec<Option<SetRef<'_>>> = names
        .iter()
        .map(|name| match db.peek(db.key(name)) {
            Some(ValueRef::Set(set)) => Some(set),
            _ => None,
        })
        .collect();
    let Some(event) = store else {
        let reply = &mut ctx.reply;
        match operation {
            Operation::Union => {
                let made = match sets.len() {
                    1 => None,
                    _ => Some(unite(&sets, Some(Set::new_table(&limits)), &limits)),
                };
                // The union of one set is that set.
                let union = made.as_ref().map(Set::view).or(sets[0]);
                let len = union.map_or(0, SetRef::len);
                reply.set(len);
                if let Some(union) = union {
                    let value = ValueRef::Set(union);
                    walk::write(reply, &mut ctx.rest, ctx.rng, value, Walk::Elements, (0, len));
                }
                if let Some(union) = made {
                    let union = Entry::new(b"", Value::Set(union), None, AccessClock::default());
                    ctx.keyspace.free_copy_later(union);
                }
            }
            _ => {
                let list = reply.begin(Aggregate::Set);
                let mut count = 0;
                let show = |member: Item<'_>| {
                    write_item(reply, member);
                    count += 1;
                    true
                };
                if operation == Operation::Intersection {
                    intersect(&sets, show);
                } else {
                    subtract(&sets, show);
                }
                ctx.reply.end(list, count);
            }
        }
        return Ok(());
    };
    let result = match operation {
        Operation::Union => unite(&sets, None, &limits),
        Operation::Intersection => {
            let mut result = Builder::new(smallest(&sets).and_then(|(_, set)| set));
            intersect(&sets, |member| result.add(member, &limits));
            result.finish(&limits)
        }
        Operation::Difference => {
            let mut result = Builder::new(None);
            subtract(&sets, |member| result.add(member, &limits));
            result.finish(&limits)
        }
    };
    let name = ctx.args.at(1);
    let len = result.view().len();
    store_result(ctx, name, event, (len > 0).then_some(Value::Set(result)), Class::Set);
    ctx.reply.integer(len as i64);
    Ok(())
}

/// Stores the result of an operation, or deletes the key if the result is empty.
pub(in crate::command) fn store_result(
    ctx: &mut Ctx<'_>,
    name: &[u8],
    event: &'static str,
    value: Option<Value>,
    class: Class,
) {
    let mut db = ctx.keyspace.db(ctx.db);
    let key = db.key(name);
    match value {
        Some(value) => {
            let created = !db.contains(key);
            db.set_value(key, value);
            ctx.stored(name, created);
            ctx.changed(class, event, name);
            ctx.effects.ready(ctx.db, name);
        }
        None => {
            if db.discard(key) {
                ctx.changed(Class::Generic, "del", name);
            }
        }
    }
}

/// Collects a result whose members are all different.
struct Builder(Option<Set>);

impl Builder {
    /// An empty result, with the encoding of the smallest set as a good guess.
    fn new(like: Option<SetRef<'_>>) -> Self {
        match like {
            Some(SetRef::Ints(_)) => Self(Some(Set::Ints(Default::default()))),
            _ => Self(None),
        }
    }

    fn add(&mut self, member: Item<'_>, limits: &Limits) -> bool {
        let mut digits = itoa::Buffer::new();
        let text = member.bytes(&mut digits);
        let set = self.0.get_or_insert_with(|| Set::new(text, 1, limits));
        set.insert(text, limits);
        true
    }

    fn finish(self, limits: &Limits) -> Set {
        let mut set = self.0.unwrap_or_else(|| Set::Pack(Default::default()));
        set.compact_to_ints(limits);
        set
    }
}

fn unite(sets: &[Option<SetRef<'_>>], into: Option<Set>, limits: &Limits) -> Set {
    let mut union = Builder(into);
    for member in sets.iter().flatten().flat_map(|set| set.iter()) {
        union.add(member, limits);
    }
    union.0.unwrap_or_else(|| Set::Pack(Default::default()))
}

fn smallest<'s>(sets: &[Option<SetRef<'s>>]) -> Option<(usize, Option<SetRef<'s>>)> {
    sets.iter().copied().enumerate().min_by_key(|(_, set)| set.map_or(0, SetRef::len))
}

/// Calls `f` with the members that all sets have, until it returns false.
fn intersect(sets: &[Option<SetRef<'_>>], mut f: impl FnMut(Item<'_>) -> bool) {
    let Some((smallest, Some(set))) = smallest(sets) else { return };
    // The smaller a set, the sooner it excludes a member.
    let mut others: Vec<SetRef<'_>> =
        sets.iter().enumerate().filter(|(i, _)| *i != smallest).filter_map(|(_, s)| *s).collect();
    sort_by_key(&mut others, |set| set.len());
    for member in set.iter() {
        if others.iter().all(|other| other.contains_item(member)) && !f(member) {
            return;
        }
    }
}

/// Calls `f` with every member of the first set that no other has; its result is ignored.
fn subtract(sets: &[Option<SetRef<'_>>], mut f: impl FnMut(Item<'_>) -> bool) {
    let Some((Some(first), others)) = sets.split_first() else { return };
    let mut others: Vec<SetRef<'_>> = others.iter().flatten().copied().collect();
    // The larger a set, the sooner it contains a member.
    sort_by_key(&mut others, |set| core::cmp::Reverse(set.len()));
    for member in first.iter() {
        if !others.iter().any(|other| other.contains_item(member)) {
            f(member);
        }
    }
}
