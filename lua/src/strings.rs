//! Interned strings: equal strings are stored once, so that equality is equality of handles.

use std::sync::Arc;

use crate::arena::Arena;
use crate::value::Str;

/// The accounted size of a string besides its bytes: its slots in the vector of strings and in the
/// hash buckets, both with spare capacity for twice as many, and its reference counts.
pub(crate) const STRING_COST: u64 = 80;

// The accounted size is the same on every platform, and at least the real size on this one.
const _: () = assert!(STRING_COST as usize >= 2 * (size_of::<Interned>() + 1 + 4) + 16);

const NONE: u32 = u32::MAX;

/// An interned string.
#[derive(Clone, Debug)]
struct Interned {
    bytes: Option<Arc<[u8]>>,
    hash: u32,
    next: u32,
}

/// The string table of an interpreter.
#[derive(Clone, Debug)]
pub(crate) struct Strings {
    items: Arena<Interned>,
    buckets: Vec<u32>,
    count: usize,
}

/// The string hash of PUC Lua 5.1: its seed is the length, and of a long string only about 32 bytes
/// are hashed. It determines the order in which `pairs` visits string keys.
fn hash(bytes: &[u8]) -> u32 {
    let mut h = bytes.len() as u32;
    let step = (bytes.len() >> 5) + 1;
    let mut at = bytes.len();
    while at >= step {
        h ^= (h << 5).wrapping_add(h >> 2).wrapping_add(u32::from(bytes[at - 1]));
        at -= step;
    }
    h
}

impl Strings {
    pub(crate) fn new() -> Self {
        Strings { items: Arena::new(), buckets: vec![NONE; 64], count: 0 }
    }

    /// Interns a string. `mem` is increased if it is new.
    pub(crate) fn intern(&mut self, bytes: &[u8], mem: &mut u64) -> Str {
        let hash = hash(bytes);
        let mut at = self.buckets[hash as usize & (self.buckets.len() - 1)];
        while at != NONE {
            let item = &self.items[at];
            if item.hash == hash && item.bytes.as_deref() == Some(bytes) {
                return Str { id: at, hash };
            }
            at = item.next;
        }
        if self.count >= self.buckets.len() {
            self.grow();
        }
        let bucket = hash as usize & (self.buckets.len() - 1);
        let next = self.buckets[bucket];
        let id = self.items.add(Interned { bytes: Some(Arc::from(bytes)), hash, next });
        self.buckets[bucket] = id;
        self.count += 1;
        *mem += STRING_COST + bytes.len() as u64;
        Str { id, hash }
    }

    fn grow(&mut self) {
        let size = self.buckets.len() * 2;
        let old = std::mem::replace(&mut self.buckets, vec![NONE; size]);
        for mut at in old {
            while at != NONE {
                let bucket = self.items[at].hash as usize & (size - 1);
                let next = self.items[at].next;
                self.items[at].next = self.buckets[bucket];
                self.buckets[bucket] = at;
                at = next;
            }
        }
    }

    pub(crate) fn get(&self, s: Str) -> &[u8] {
        self.items[s.id].bytes.as_deref().unwrap_or(b"")
    }

    /// The bytes as a shared reference.
    pub(crate) fn share(&self, s: Str) -> Arc<[u8]> {
        self.items[s.id].bytes.clone().unwrap_or_else(|| Arc::from(&b""[..]))
    }

    pub(crate) fn mark(&mut self, s: Str) {
        self.items.mark(s.id);
    }

    pub(crate) fn is_marked(&self, s: Str) -> bool {
        self.items.is_marked(s.id)
    }

    /// Frees the strings that were not marked.
    pub(crate) fn sweep(&mut self, mem: &mut u64) {
        // Unlink first, since a chain may lead through strings that are about to be freed.
        for bucket in 0..self.buckets.len() {
            let mut kept = NONE;
            let mut at = self.buckets[bucket];
            while at != NONE {
                let next = self.items[at].next;
                if self.items.is_marked(at) {
                    self.items[at].next = kept;
                    kept = at;
                }
                at = next;
            }
            self.buckets[bucket] = kept;
        }
        let count = &mut self.count;
        self.items.sweep(|_, item| {
            *count -= 1;
            *mem -= STRING_COST + item.bytes.as_ref().map_or(0, |b| b.len() as u64);
            item.bytes = None;
        });
    }
}
