//! Comparing replies of Limpid and Redis.

use limpid_core::persist::rdb;
use limpid_core::resp::number::parse_double;
use limpid_core::resp::value::Value;
use limpid_core::store::value::Limits;
use limpid_tests::client::Reply;

use crate::rdb::contents;

/// How the replies to a command are compared. Errors are always compared word for word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    /// Byte for byte.
    Exact,
    /// The elements of arrays (nested ones, too) may come in any order.
    Unordered,
    /// Integers (within arrays, too) may differ by this much, since they depend on the time.
    Near(i64),
    /// Only errors are compared: for commands with a random mistake, which may have become another
    /// command.
    Errors,
    /// Only types and the keys of maps must agree: for ids, times, sizes.
    Shape,
    /// Texts may be different forms of the same number: Redis 7.2 prints doubles with fewer digits
    /// than 7.0.
    Numbers,
    /// The same, and the elements of an array may come in any order.
    UnorderedNumbers,
    /// The name of an encoding, which differs for collections between Redis 7.2 and 7.0.
    Encoding,
    /// A payload of DUMP: small sets have another encoding in Redis 7.0 than in 7.2, and hash
    /// tables any order.
    Payload,
    /// The reply of XINFO GROUPS, except the number of consumers.
    Groups,
    /// Errors may have different texts: the command has more options in Redis 7.2.
    Loose,
}

impl Compare {
    /// Whether Limpid's reply is equivalent to that of Redis.
    pub(crate) fn same(self, limpid: Option<&Reply>, redis: Option<&Reply>) -> bool {
        let (limpid, redis) = match (limpid, redis) {
            (Some(limpid), Some(redis)) => (limpid, redis),
            (None, None) => return true,
            _ => return false,
        };
        if limpid.raw == redis.raw {
            return true;
        }
        if is_unbalanced(limpid) && is_unbalanced(redis) {
            return true;
        }
        if limpid.value.is_error() || redis.value.is_error() {
            return self == Compare::Loose && limpid.value.is_error() == redis.value.is_error();
        }
        match self {
            Compare::Exact | Compare::Loose => false,
            Compare::Errors => true,
            Compare::Unordered => sorted(&limpid.value) == sorted(&redis.value),
            Compare::Near(by) => near(by.unsigned_abs(), &limpid.value, &redis.value),
            Compare::Groups => groups(&limpid.value) == groups(&redis.value),
            Compare::Shape => shape(&limpid.value) == shape(&redis.value),
            Compare::Payload => payload(&limpid.value) == payload(&redis.value),
            Compare::Numbers => numbers(&limpid.value) == numbers(&redis.value),
            Compare::UnorderedNumbers => {
                sorted(&numbers(&limpid.value)) == sorted(&numbers(&redis.value))
            }
            Compare::Encoding => {
                let collection = |value: &Value| {
                    let names: [&[u8]; 5] =
                        [b"listpack", b"quicklist", b"hashtable", b"intset", b"skiplist"];
                    matches!(value, Value::Bulk(name) if names.contains(&name.as_ref()))
                };
                collection(&limpid.value) && collection(&redis.value)
            }
        }
    }
}

/// Whether a reply is the error for missing IDs in XREAD or XREADGROUP: 7.0 names XREAD for both,
/// in capitals.
pub(crate) fn is_unbalanced(reply: &Reply) -> bool {
    reply.raw.starts_with(b"-ERR Unbalanced ")
}

fn near(by: u64, a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => {
            (a.signum() == b.signum() || a.abs_diff(*b) < 2_000) && a.abs_diff(*b) <= by
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(by, a, b))
        }
        _ => a == b,
    }
}

/// The groups of XINFO GROUPS without the number of their consumers.
fn groups(value: &Value) -> Vec<Vec<(Value, Value)>> {
    let groups = value.items().unwrap_or_default().iter();
    let kept = |(name, _): &(&Value, &Value)| **name != Value::bulk("consumers");
    groups
        .map(|group| {
            let pairs = group.pairs().into_iter().filter(kept);
            pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
        })
        .collect()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) | Value::Set(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(|item| format!("{item:?}"));
            // The type of the aggregate must agree.
            if matches!(value, Value::Set(_)) { Value::Set(items) } else { Value::Array(items) }
        }
        Value::Map(pairs) => {
            let mut pairs: Vec<_> = pairs.iter().map(|(k, v)| (sorted(k), sorted(v))).collect();
            pairs.sort_by_key(|(key, _)| format!("{key:?}"));
            Value::Map(pairs)
        }
        other => other.clone(),
    }
}

/// The sorted contents of a payload.
fn payload(value: &Value) -> Option<Vec<Vec<u8>>> {
    let Value::Bulk(bytes) = value else { return None };
    rdb::restore(bytes, &Limits::default(), true).ok().map(|value| contents(value.view()))
}

/// The value with every number in a canonical form.
pub(crate) fn numbers(value: &Value) -> Value {
    match value {
        Value::Bulk(text) | Value::Double(text) => match parse_double(text) {
            Some(number) => Value::bulk(format!("{number:e}")),
            None => value.clone(),
        },
        Value::Array(items) => Value::Array(items.iter().map(numbers).collect()),
        Value::Push(items) => Value::Push(items.iter().map(numbers).collect()),
        other => other.clone(),
    }
}

/// The value with everything replaced that depends on the server or the time.
fn shape(value: &Value) -> Value {
    let flat_map = |items: &[Value]| {
        // In RESP2 a map is a flat array, whose keys are texts.
        items.len().is_multiple_of(2)
            && items.iter().step_by(2).all(|k| matches!(k, Value::Bulk(b) if b.is_ascii()))
            && items.iter().skip(1).step_by(2).any(|v| !matches!(v, Value::Bulk(_)))
    };
    let pair = |(k, v): (&Value, &Value)| (k.clone(), shape(v));
    match value {
        Value::Bulk(_) => Value::bulk(""),
        Value::Integer(_) => Value::Integer(0),
        Value::Array(items) if flat_map(items) => {
            Value::Map(value.pairs().into_iter().map(pair).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(shape).collect()),
        Value::Map(pairs) => Value::Map(pairs.iter().map(|(k, v)| pair((k, v))).collect()),
        other => other.clone(),
    }
}
