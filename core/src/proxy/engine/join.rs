//! Putting the replies of several backends together into one.

use crate::proxy::reply::{elements, integer};
use crate::proxy::request::write_head;

/// How the parts of one request become one reply.
#[derive(Clone, Debug)]
pub struct Join {
    kind: Joined,
    /// The replies to the parts, as far as they have come.
    parts: Vec<Vec<u8>>,
    /// Parts whose replies are not complete.
    left: usize,
    /// Whether the client's connection is closed after the reply.
    last: bool,
}

/// The kind of the whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// An array: its elements come from these parts in this order.
    Array(Vec<u32>),
    /// The sum of integers.
    Sum,
    /// 1 if all parts say so, else 0.
    All,
    /// The reply to the first part, if no other is an error.
    First,
}

/// A reply that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    /// Whether the connection ends behind it.
    pub(super) last: bool,
}

impl Join {
    /// A reply that is put together from so many parts.
    pub fn new(kind: Joined, parts: usize) -> Join {
        Join { kind, parts: vec![Vec::new(); parts], left: parts, last: false }
    }

    /// The client's connection is closed after the reply.
    pub(super) fn set_last(&mut self) {
        self.last = true;
    }

    /// Adds a piece of the reply to one part. The whole reply if it was the last piece of the last.
    pub(super) fn add(&mut self, part: u32, bytes: &[u8], end: bool) -> Option<Whole> {
        self.parts.get_mut(part as usize)?.extend_from_slice(bytes);
        if end {
            self.left = self.left.saturating_sub(1);
        }
        (self.left == 0).then(|| self.whole())
    }

    /// Bytes of replies that are kept.
    pub(super) fn held(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    fn whole(&self) -> Whole {
        if let Some(error) = self.parts.iter().find(|part| part.first() == Some(&b'-')) {
            return Whole { bytes: error.clone(), last: self.last };
        }
        let bytes = match &self.kind {
            Joined::Array(order) => self.array(order),
            Joined::Sum => {
                let values = self.parts.iter().map(|part| integer(part));
                let sum = values.sum::<Option<i64>>();
                sum.map(|sum| format!(":{sum}\r\n").into_bytes())
            }
            Joined::All => {
                let mut values = self.parts.iter().map(|part| integer(part));
                let all = values.try_fold(true, |all, value| Some(all && value? == 1));
                all.map(|all| if all { b":1\r\n".to_vec() } else { b":0\r\n".to_vec() })
            }
            Joined::First => self.parts.first().cloned(),
        };
        match bytes {
            Some(bytes) => Whole { bytes, last: self.last },
            None => Whole { bytes: b"-ERR Invalid argument\r\n".to_vec(), last: self.last },
        }
    }

    fn array(&self, order: &[u32]) -> Option<Vec<u8>> {
        let mut sources = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            sources.push(elements(part)?);
        }
        let mut out = Vec::with_capacity(self.held());
        write_head(&mut out, b'*', order.len());
        for &part in order {
            out.extend_from_slice(sources.get_mut(part as usize)?.next()?);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(kind: Joined, parts: &[&str]) -> String {
        let mut join = Join::new(kind, parts.len());
        let mut result = None;
        for (i, part) in parts.iter().enumerate().rev() {
            let (head, tail) = part.as_bytes().split_at(part.len() / 2);
            assert_eq!(join.add(i as u32, head, false), None);
            result = join.add(i as u32, tail, true);
        }
        String::from_utf8(result.expect("a whole reply").bytes).expect("text")
    }

    #[test]
    fn parts_come_together_whatever_order_they_arrive_in() {
        let array =
            whole(Joined::Array(vec![1, 0, 1]), &["*1\r\n$1\r\na\r\n", "*2\r\n$1\r\nb\r\n$-1\r\n"]);
        assert_eq!(array, "*3\r\n$1\r\nb\r\n$1\r\na\r\n$-1\r\n");
        assert_eq!(whole(Joined::Sum, &[":1\r\n", ":2\r\n"]), ":3\r\n");
        assert_eq!(whole(Joined::All, &[":1\r\n", ":0\r\n"]), ":0\r\n");
        assert_eq!(whole(Joined::First, &["+OK\r\n", "+OK\r\n"]), "+OK\r\n");
        assert_eq!(whole(Joined::Sum, &[":1\r\n", "-ERR no\r\n"]), "-ERR no\r\n");
        assert_eq!(whole(Joined::Sum, &[":1\r\n", "+OK\r\n"]), "-ERR Invalid argument\r\n");
    }
}
