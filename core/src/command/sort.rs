//! SORT and SORT_RO: sort the elements of a list, a set or a sorted set, or values that patterns
//! find for them.

use core::cmp::Ordering;
use core::ops::Range;

use super::collection::lenient_double;
use super::meta::{acl, flag, key, special};
use super::sets::store_result;
use super::{Class, CommandError, Ctx, Group, Handler, KeySpec, Row};
use crate::resp::number::parse_i64;
use crate::store::value::{End, Hash, Limits, List};
use crate::store::{Collection, DbMut, Value, ValueRef};

/// The rows of the sort commands.
pub static ROWS: &[Row<Handler>] = &[
    row("sort", -2, sort)
        .special(special::SORT)
        .flags(flag::WRITE | flag::DENYOOM | flag::MOVABLEKEYS)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS), KeySpec::unknown(key::RO | key::ACCESS).notes("For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort"), KeySpec::unknown(key::OW | key::UPDATE).notes("For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array")])
        .complexity("O(N + M*log(M)), N being the number of elements and M the number of those given.")
        .summary("Sorts a list, a set or a sorted set, by its elements or by values found with them, and gives or stores the result.")
        .syntax("key [BY by-pattern=pattern#pattern:1] [LIMIT <limit: offset count>] [GET get-pattern=pattern#pattern:1] ... [order: ASC | DESC] [sorting=ALPHA] [STORE destination#key:2]"),
    row("sort_ro", -2, sort_ro)
        .flags(flag::READONLY | flag::MOVABLEKEYS)
        .keys(&[KeySpec::one(1, key::RO | key::ACCESS), KeySpec::unknown(key::RO | key::ACCESS).notes("For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort")])
        .since("7.0.0")
        .complexity("O(N + M*log(M)), N being the number of elements and M the number of those given.")
        .summary("Sorts a list, a set or a sorted set, by its elements or by values found with them.")
        .syntax("key [BY by-pattern=pattern#pattern:1] [LIMIT <limit: offset count>] [GET get-pattern=pattern#pattern:1] ... [order: ASC | DESC] [sorting=ALPHA]"),
];

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::Generic, name, arity, handler)
        .acl(acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS)
}

fn sort(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let query = Query::parse(ctx, true)?;
    run(ctx, &query)
}

fn sort_ro(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let query = Query::parse(ctx, false)?;
    run(ctx, &query)
}

struct Query<'a> {
    descending: bool,
    alpha: bool,
    limit: (i64, i64),
    by: Option<&'a [u8]>,
    get: Vec<&'a [u8]>,
    store: Option<&'a [u8]>,
}

/// Patterns name keys that ACL rules cannot be checked against beforehand.
const DENIED_BY: CommandError =
    CommandError::text("ERR BY option of SORT denied due to insufficient ACL permissions.");
const DENIED_GET: CommandError =
    CommandError::text("ERR GET option of SORT denied due to insufficient ACL permissions.");

/// Nor can the slots of these keys be known beforehand.
const IN_CLUSTER_BY: CommandError =
    CommandError::text("ERR BY option of SORT denied in Cluster mode.");
const IN_CLUSTER_GET: CommandError =
    CommandError::text("ERR GET option of SORT denied in Cluster mode.");

/// Whether a pattern may refer to keys that the command does not name.
fn may_name_keys(
    ctx: &Ctx<'_>,
    in_cluster: CommandError,
    denied: CommandError,
) -> Result<(), CommandError> {
    match (ctx.keyspace.is_by_slot(), ctx.caller.reads_all_keys) {
        (true, _) => Err(in_cluster),
        (false, false) => Err(denied),
        (false, true) => Ok(()),
    }
}

impl<'a> Query<'a> {
    fn parse(ctx: &Ctx<'a>, may_store: bool) -> Result<Self, CommandError> {
        let mut query = Query {
            descending: false,
            alpha: false,
            limit: (0, -1),
            by: None,
            get: Vec::new(),
            store: None,
        };
        let mut words = ctx.args.from(2).iter();
        while let Some(word) = words.next() {
            let left = words.len();
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let mut next = || words.next().unwrap_or_default();
            if is(b"asc") {
                query.descending = false;
            } else if is(b"desc") {
                query.descending = true;
            } else if is(b"alpha") {
                query.alpha = true;
            } else if is(b"limit") && left >= 2 {
                let mut number = || parse_i64(next()).ok_or(CommandError::NotAnInteger);
                query.limit = (number()?, number()?);
            } else if may_store && is(b"store") && left >= 1 {
                query.store = Some(next());
            } else if is(b"by") && left >= 1 {
                let pattern = next();
                if pattern.contains(&b'*') {
                    may_name_keys(ctx, IN_CLUSTER_BY, DENIED_BY)?;
                }
                query.by = Some(pattern);
            } else if is(b"get") && left >= 1 {
                may_name_keys(ctx, IN_CLUSTER_GET, DENIED_GET)?;
                query.get.push(next());
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(query)
    }

    /// Whether the elements are not sorted at all: BY is a pattern without `*`.
    fn keeps_order(&self) -> bool {
        self.by.is_some_and(|pattern| !pattern.contains(&b'*'))
    }

    /// The range of `len` elements that LIMIT selects.
    fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.limit.0.max(0)).unwrap_or(usize::MAX).min(len);
        let count = usize::try_from(self.limit.1).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}

/// The sort key of an element.
enum Weight {
    Number(f64),
    Text(Option<Vec<u8>>),
    Itself,
}

fn run(ctx: &mut Ctx<'_>, query: &Query<'_>) -> Result<(), CommandError> {
    let limits = ctx.limits();
    let mut db = ctx.keyspace.db(ctx.db);
    let value = db.read(db.key(ctx.args.at(1)));
    let is_set = matches!(value, Some(ValueRef::Set(_)));
    // A set has no order to keep, and a result that is stored, or used by a script, must be
    // deterministic.
    let force_alpha =
        query.keeps_order() && is_set && (query.store.is_some() || ctx.caller.in_script);
    let keeps_order = query.keeps_order() && !force_alpha;
    let elements = match value {
        None => Vec::new(),
        Some(value) => load(value, query, keeps_order)?,
    };
    let elements = if keeps_order {
        // A list or a sorted set was already cut to the range while it was loaded.
        let range = if is_set { query.range(elements.len()) } else { 0..elements.len() };
        elements.into_iter().skip(range.start).take(range.len()).collect()
    } else {
        let by = query.by.filter(|_| !force_alpha);
        let sorted = sorted(&mut db, elements, query, by, query.alpha || force_alpha)?;
        let range = query.range(sorted.len());
        sorted.into_iter().skip(range.start).take(range.len()).collect::<Vec<_>>()
    };
    match query.store {
        None => show(ctx, &elements, &query.get),
        Some(name) => store(ctx, name, &elements, &query.get, &limits),
    }
    Ok(())
}

fn load(
    value: ValueRef<'_>,
    query: &Query<'_>,
    keeps_order: bool,
) -> Result<Vec<Vec<u8>>, CommandError> {
    Ok(match value {
        ValueRef::List(list) if keeps_order => {
            let range = query.range(list.len());
            match list.len().checked_sub(range.start + 1) {
                None => Vec::new(),
                Some(from) if query.descending => {
                    list.iter_back_from(from).take(range.len()).map(|item| item.to_vec()).collect()
                }
                Some(_) => {
                    let items = list.iter_from(range.start).take(range.len());
                    items.map(|item| item.to_vec()).collect()
                }
            }
        }
        ValueRef::ZSet(set) if keeps_order => {
            let range = query.range(set.len());
            match set.len().checked_sub(range.start + 1) {
                None => Vec::new(),
                Some(from) if query.descending => {
                    let members = set.iter_back_from(from).take(range.len());
                    members.map(|(member, _)| member.to_vec()).collect()
                }
                Some(_) => {
                    let members = set.iter_from(range.start).take(range.len());
                    members.map(|(member, _)| member.to_vec()).collect()
                }
            }
        }
        ValueRef::List(list) => list.iter().map(|item| item.to_vec()).collect(),
        ValueRef::Set(set) => set.iter().map(|item| item.to_vec()).collect(),
        ValueRef::ZSet(set) => set.iter_from(0).map(|(member, _)| member.to_vec()).collect(),
        _ => return Err(CommandError::WrongType),
    })
}

fn sorted(
    db: &mut DbMut<'_>,
    elements: Vec<Vec<u8>>,
    query: &Query<'_>,
    by: Option<&[u8]>,
    alpha: bool,
) -> Result<Vec<Vec<u8>>, CommandError> {
    let number = |text: &[u8]| {
        lenient_double(text)
            .ok_or(CommandError::text("ERR One or more scores can't be converted into double"))
    };
    let mut weighted = Vec::with_capacity(elements.len());
    for element in elements {
        let weight = match by {
            Some(pattern) => {
                let found = lookup(db, pattern, &element);
                match (alpha, found) {
                    (true, found) => Weight::Text(found),
                    (false, None) => Weight::Number(0.0),
                    (false, Some(text)) => Weight::Number(number(&text)?),
                }
            }
            None if alpha => Weight::Itself,
            None => Weight::Number(number(&element)?),
        };
        weighted.push((weight, element));
    }
    weighted.sort_by(|(a, x), (b, y)| {
        let order = match (a, b) {
            (Weight::Number(a), Weight::Number(b)) => {
                a.partial_cmp(b).unwrap_or(Ordering::Equal).then_with(|| x.cmp(y))
            }
            (Weight::Text(a), Weight::Text(b)) => a.cmp(b),
            _ => x.cmp(y),
        };
        if query.descending { order.reverse() } else { order }
    });
    Ok(weighted.into_iter().map(|(_, element)| element).collect())
}

fn show(ctx: &mut Ctx<'_>, elements: &[Vec<u8>], get: &[&[u8]]) {
    let reply = &mut ctx.reply;
    if get.is_empty() {
        reply.array(elements.len());
        elements.iter().for_each(|element| reply.bulk(element));
        return;
    }
    let mut db = ctx.keyspace.db(ctx.db);
    reply.array(elements.len() * get.len());
    for element in elements {
        for pattern in get {
            match lookup(&mut db, pattern, element) {
                Some(text) => reply.bulk(&text),
                None => reply.null(),
            }
        }
    }
}

fn store(ctx: &mut Ctx<'_>, name: &[u8], elements: &[Vec<u8>], get: &[&[u8]], limits: &Limits) {
    let mut db = ctx.keyspace.db(ctx.db);
    let mut list = List::default();
    let mut push = |text: &[u8]| {
        list.grow([text], limits);
        list.push(End::Right, text, limits);
    };
    for element in elements {
        if get.is_empty() {
            push(element);
        }
        for pattern in get {
            push(&lookup(&mut db, pattern, element).unwrap_or_default());
        }
    }
    let len = list.len();
    let value = (len > 0).then_some(Value::List(list));
    store_result(ctx, name, "sortstore", value, Class::List);
    // Every element counts as a change.
    ctx.effects.dirty += (len as u64).saturating_sub(1);
    ctx.reply.integer(len as i64);
}

/// Looks up the value of a pattern for an element: the element replaces the first `*`, and what
/// follows `->` is a field of a hash. `#` is the element itself.
fn lookup(db: &mut DbMut<'_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|b| *b == b'*')?;
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = after.windows(2).position(|w| w == b"->").filter(|at| at + 2 < after.len());
    let (after, field) = match arrow {
        Some(at) => (&after[..at], Some(&after[at + 2..])),
        None => (after, None),
    };
    let name = [before, element, after].concat();
    let value = db.read(db.key(&name))?;
    match field {
        Some(field) => Hash::read(value)?.get(field).map(|item| item.to_vec()),
        None => value.string().map(|string| string.to_vec()),
    }
}
