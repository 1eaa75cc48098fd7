//! Joins the replies of several backends.

use crate::proxy::reply::{elements, integer};
use crate::proxy::request::write_head;

/// The state of joining the parts' replies into one reply.
#[derive(Clone, Debug)]
pub struct Join {
    kind: JoinKind,
    /// The replies to the parts, as far as they have arrived.
    parts: Vec<Vec<u8>>,
    /// The number of parts without a complete reply.
    left: usize,
    /// Whether the client's connection is closed after the reply.
    last: bool,
}

/// How the joined reply is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// An array of the elements of the replies; the list names the part of each element.
    Array(Vec<u32>),
    /// The sum of integers.
    Sum,
    /// 1 if all replies are 1, else 0.
    All,
    /// The reply to the first part, unless another one is an error.
    First,
}

/// A joined reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JoinedReply {
    pub(super) bytes: Vec<u8>,
    /// Whether the connection is closed after it.
    pub(super) last: bool,
}

impl Join {
    /// A join of this many parts.
    pub fn new(kind: JoinKind, parts: usize) -> Join {
        Join { kind, parts: vec![Vec::new(); parts], left: parts, last: false }
    }

    /// Closes the client's connection after the reply.
    pub(super) fn set_last(&mut self) {
        self.last = true;
    }

    /// Adds a piece of the reply to a part. Returns the joined reply if that was the last piece.
    pub(super) fn add(&mut self, part: u32, bytes: &[u8], end: bool) -> Option<JoinedReply> {
        self.parts.get_mut(part as usize)?.extend_from_slice(bytes);
        if end {
            self.left = self.left.saturating_sub(1);
        }
        (self.left == 0).then(|| self.whole())
    }

    /// The number of buffered bytes.
    pub(super) fn held(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    fn whole(&self) -> JoinedReply {
        if let Some(error) = self.parts.iter().find(|part| part.first() == Some(&b'-')) {
            return JoinedReply { bytes: error.clone(), last: self.last };
        }
        let bytes = match &self.kind {
            JoinKind::Array(order) => self.array(order),
            JoinKind::Sum => {
                let values = self.parts.iter().map(|part| integer(part));
                let sum = values.sum::<Option<i64>>();
                sum.map(|sum| format!(":{sum}\r\n").into_bytes())
            }
            JoinKind::All => {
                let mut values = self.parts.iter().map(|part| integer(part));
                let all = values.try_fold(true, |all, value| Some(all && value? == 1));
                all.map(|all| if all { b":1\r\n".to_vec() } else { b":0\r\n".to_vec() })
            }
            JoinKind::First => self.parts.first().cloned(),
        };
        match bytes {
            Some(bytes) => JoinedReply { bytes, last: self.last },
            None => JoinedReply { bytes: b"-ERR Invalid argument\r\n".to_vec(), last: self.last },
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

    fn whole(kind: JoinKind, parts: &[&str]) -> String {
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
    fn parts_are_joined_in_any_order_of_arrival() {
        let array = whole(
            JoinKind::Array(vec![1, 0, 1]),
            &["*1\r\n$1\r\na\r\n", "*2\r\n$1\r\nb\r\n$-1\r\n"],
        );
        assert_eq!(array, "*3\r\n$1\r\nb\r\n$1\r\na\r\n$-1\r\n");
        assert_eq!(whole(JoinKind::Sum, &[":1\r\n", ":2\r\n"]), ":3\r\n");
        assert_eq!(whole(JoinKind::All, &[":1\r\n", ":0\r\n"]), ":0\r\n");
        assert_eq!(whole(JoinKind::First, &["+OK\r\n", "+OK\r\n"]), "+OK\r\n");
        assert_eq!(whole(JoinKind::Sum, &[":1\r\n", "-ERR no\r\n"]), "-ERR no\r\n");
        assert_eq!(whole(JoinKind::Sum, &[":1\r\n", "+OK\r\n"]), "-ERR Invalid argument\r\n");
    }
}
