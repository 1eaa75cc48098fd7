//! Long replies about one large value, written in slices.
//!
//! The first slice is written by the command itself. If more is left, the caller gets a [`Rest`]: a
//! copy-on-write copy of the value (see [`crate::store::value`]) and the position reached. So the
//! reply shows the value at one moment, no client waits for more than a slice of it, and it takes
//! memory only as fast as it is read.
//!
//! Replies that combine several values or read the keyspace (SDIFF, SORT, MGET, KEYS) are written
//! in one go, except for a union, which is a set of its own.

use super::collection::write_item;
use super::streams::write_entry;
use crate::resp::Proto;
use crate::resp::reply::Reply;
use crate::rng::Rng;
use crate::store::value::stream::Entry as StreamEntry;
use crate::store::value::{Item, Stream, StringRef, ValueRef};
use crate::store::{AccessClock, Entry};

/// Elements in a slice.
const ITEMS: usize = 1024;

/// Bytes after which a slice ends.
const BYTES: usize = 64 * 1024;

/// Strings from this length on are written in slices.
pub(super) const LONG_TEXT: usize = 1024 * 1024;

/// Bytes of a string in one slice.
const TEXT_SLICE: usize = 256 * 1024;

/// Which parts of the elements are written, and in which order.
#[derive(Clone, Copy, Debug)]
pub enum Walk {
    /// The elements of a list, or the members of a set.
    Elements,
    /// The fields of a hash, or their values, or both.
    Fields {
        /// Whether the field is written.
        field: bool,
        /// Whether its value is written.
        value: bool,
        /// Whether each pair is an array of its own.
        nested: bool,
    },
    /// The members of a sorted set.
    Ranks {
        /// Whether it is in descending order.
        reverse: bool,
        /// Whether the scores are written, too.
        scores: bool,
    },
    /// The entries of a stream.
    Entries {
        /// Whether it is in descending order.
        reverse: bool,
    },
    /// Random elements, which may repeat.
    Random {
        /// Whether its value or score is written, too.
        both: bool,
    },
    /// The bytes of a string.
    Text,
}

/// The unwritten rest of a long reply.
#[derive(Clone, Debug)]
pub struct Rest {
    of: Source,
    walk: Walk,
    at: usize,
    left: usize,
    proto: Proto,
}

/// The data that the rest is written from.
#[derive(Clone, Debug)]
enum Source {
    Value(Entry),
    /// A text that is still being rendered: nothing can be written before its length is known.
    Rendering(Box<dyn Render>),
    /// The rendered text, and the copy of the value that it was rendered from.
    Rendered(Vec<u8>, Option<Entry>),
}

/// A text that is rendered in slices.
pub trait Render: Send + Sync {
    /// Renders one more slice. Returns the text when it is complete.
    fn step(&mut self) -> Option<Vec<u8>>;

    /// The copy of the value that is rendered, to be freed in slices.
    fn take_copy(&mut self) -> Option<Entry>;

    /// A clone of this renderer.
    fn boxed(&self) -> Box<dyn Render>;
}

impl core::fmt::Debug for dyn Render {
    // Without the content: that would bring the formatting of all values into every program.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Render")
    }
}

impl Clone for Box<dyn Render> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

impl Rest {
    /// The rest of a reply with a long string, of which only the header was written.
    pub(super) fn text(value: Entry, len: usize, proto: Proto) -> Self {
        Self { of: Source::Value(value), walk: Walk::Text, at: 0, left: len, proto }
    }

    /// A reply with a text that must be rendered first. Nothing of it was written.
    pub fn rendered(renderer: Box<dyn Render>, proto: Proto) -> Self {
        Self { of: Source::Rendering(renderer), walk: Walk::Text, at: 0, left: 0, proto }
    }

    /// The protocol version in which the reply began.
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// A lower bound of the bytes to come: an empty element takes six.
    pub fn min_bytes(&self) -> usize {
        match self.walk {
            Walk::Text => self.left,
            _ => self.left.saturating_mul(6),
        }
    }

    /// Writes a slice. Returns true if it was the last.
    pub fn write(&mut self, reply: &mut Reply<'_>, rng: &mut Rng) -> bool {
        let done = match &mut self.of {
            Source::Rendering(renderer) => {
                if let Some(text) = renderer.step() {
                    reply.bulk_header(text.len());
                    self.left = text.len();
                    self.of = Source::Rendered(text, renderer.take_copy());
                }
                return false;
            }
            Source::Rendered(text, _) => text_slice(reply, text, self.at, self.left),
            Source::Value(value) => slice(reply, rng, value.value(), self.walk, self.at, self.left),
        };
        self.left -= done;
        match self.walk {
            Walk::Ranks { reverse: true, .. } | Walk::Entries { reverse: true } => {
                self.at = self.at.saturating_sub(done);
            }
            _ => self.at += done,
        }
        // If no progress is possible, end instead of looping forever.
        self.left == 0 || done == 0
    }

    /// The value, to be freed in slices.
    pub fn into_value(self) -> Option<Entry> {
        match self.of {
            Source::Value(value) => Some(value),
            Source::Rendering(mut renderer) => renderer.take_copy(),
            Source::Rendered(_, copy) => copy,
        }
    }
}

/// Writes `count` elements of a value from `at` on, after a header that has been written. What does
/// not fit into one slice is left to `rest`.
pub(super) fn write(
    reply: &mut Reply<'_>,
    rest: &mut Option<Rest>,
    rng: &mut Rng,
    value: ValueRef<'_>,
    walk: Walk,
    (at, count): (usize, usize),
) {
    if reply.is_muted() {
        return;
    }
    let done = slice(reply, rng, value, walk, at, count);
    leave(reply, rest, value, walk, (at, count), done);
}

/// The same for stream entries that were found already: `entries` begins with the entry whose rank
/// is `at`.
pub(super) fn write_entries<'a>(
    reply: &mut Reply<'_>,
    rest: &mut Option<Rest>,
    (stream, entries): (&Stream, impl Iterator<Item = StreamEntry<'a>>),
    (at, count): (usize, usize),
) {
    if reply.is_muted() {
        return;
    }
    let entries = entries.take(count.min(ITEMS));
    let done = each(reply, entries, |reply, entry| write_entry(reply, &entry));
    let (value, walk) = (ValueRef::Stream(stream), Walk::Entries { reverse: false });
    leave(reply, rest, value, walk, (at, count), done);
}

/// Leaves to `rest` the elements after the first `done` of `count` from `at` on.
fn leave(
    reply: &Reply<'_>,
    rest: &mut Option<Rest>,
    value: ValueRef<'_>,
    walk: Walk,
    (at, count): (usize, usize),
    done: usize,
) {
    if done < count && done > 0 {
        let at = match walk {
            Walk::Ranks { reverse: true, .. } | Walk::Entries { reverse: true } => {
                at.saturating_sub(done)
            }
            _ => at + done,
        };
        let value = Entry::new(b"", value.frozen(), None, AccessClock::default());
        let of = Source::Value(value);
        *rest = Some(Rest { of, walk, at, left: count - done, proto: reply.proto() });
    }
}

/// Writes a slice of the `left` elements from `at` on, and returns how many it wrote.
fn slice(
    reply: &mut Reply<'_>,
    rng: &mut Rng,
    value: ValueRef<'_>,
    walk: Walk,
    at: usize,
    left: usize,
) -> usize {
    let n = left.min(ITEMS);
    match (value, walk) {
        (ValueRef::List(list), Walk::Elements) => {
            each(reply, list.iter_from(at).take(n), write_item)
        }
        (ValueRef::Set(set), Walk::Elements) => each(reply, set.iter_from(at).take(n), write_item),
        (ValueRef::Hash(hash), Walk::Fields { field: true, value, nested }) => {
            each(reply, hash.iter_from(at).take(n), |reply, pair| {
                write_field(reply, pair, value, nested);
            })
        }
        (ValueRef::Hash(hash), Walk::Fields { .. }) => {
            each(reply, hash.iter_from(at).take(n), |reply, (_, value)| write_item(reply, value))
        }
        (ValueRef::ZSet(set), Walk::Ranks { reverse: false, scores }) => {
            each(reply, set.iter_from(at).take(n), |reply, pair| write_score(reply, pair, scores))
        }
        (ValueRef::ZSet(set), Walk::Ranks { reverse: true, scores }) => {
            each(reply, set.iter_back_from(at).take(n), |reply, pair| {
                write_score(reply, pair, scores);
            })
        }
        (ValueRef::Stream(stream), Walk::Entries { reverse: false }) => {
            each(reply, stream.iter_from(at).take(n), |reply, entry| write_entry(reply, &entry))
        }
        (ValueRef::Stream(stream), Walk::Entries { reverse: true }) => {
            let entries = stream.iter_back_from(at).take(n);
            each(reply, entries, |reply, entry| write_entry(reply, &entry))
        }
        (ValueRef::Set(set), Walk::Random { .. }) => {
            each(reply, (0..n).map_while(|_| set.random(rng)), write_item)
        }
        (ValueRef::Hash(hash), Walk::Random { both }) => {
            let nested = reply.proto() == Proto::Resp3;
            each(reply, (0..n).map_while(|_| hash.random(rng)), |reply, pair| {
                write_field(reply, pair, both, nested);
            })
        }
        (ValueRef::ZSet(set), Walk::Random { both }) => {
            let any = |_| set.nth(rng.below(set.len() as u64) as usize);
            each(reply, (0..n).map_while(any), |reply, pair| write_score(reply, pair, both))
        }
        (ValueRef::String(StringRef::Bytes(bytes)), Walk::Text) => {
            text_slice(reply, bytes, at, left)
        }
        _ => 0,
    }
}

/// Writes a slice of the last `left` bytes of a text, and returns how many it wrote.
fn text_slice(reply: &mut Reply<'_>, text: &[u8], at: usize, left: usize) -> usize {
    let part = text.get(at..).unwrap_or_default();
    let part = part.get(..left.min(TEXT_SLICE)).unwrap_or(part);
    reply.raw(part);
    if part.len() == left {
        reply.raw(b"\r\n");
    }
    part.len()
}

#[inline]
fn each<T>(
    reply: &mut Reply<'_>,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Reply<'_>, T),
) -> usize {
    let start = reply.written();
    let mut done = 0;
    for item in items {
        write(reply, item);
        done += 1;
        if reply.written() - start >= BYTES {
            break;
        }
    }
    done
}

/// Writes a field and, if asked for, its value; both in an array of their own if `nested`.
pub(super) fn write_field(
    reply: &mut Reply<'_>,
    (field, value): (Item<'_>, Item<'_>),
    both: bool,
    nested: bool,
) {
    if both && nested {
        reply.array(2);
    }
    write_item(reply, field);
    if both {
        write_item(reply, value);
    }
}

/// Writes a member and, if asked for, its score; in version 3 both in an array of their own.
#[inline]
pub(super) fn write_score(
    reply: &mut Reply<'_>,
    (member, score): (Item<'_>, f64),
    with_scores: bool,
) {
    if with_scores && reply.proto() == Proto::Resp3 {
        reply.array(2);
    }
    write_item(reply, member);
    if with_scores {
        reply.double(score);
    }
}
