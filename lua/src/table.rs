//! Tables: an array part and a hash part, laid out as in PUC Lua 5.1.5, since scripts can observe
//! the layout: by the order of `pairs`, and by the border that `#` finds in an array with holes.

use crate::value::{Table, Value};

/// The accounted size of an empty table: its slot in the arena, which has spare capacity for twice
/// as many.
pub(crate) const TABLE_COST: u64 = 136;
const _: () = assert!(TABLE_COST as usize >= 2 * (size_of::<TableData>() + 1));
const NODE_COST: u64 = 40;
const SLOT_COST: u64 = 16;

/// The largest size of either part, as a power of two.
const MAX_BITS: usize = 26;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    key: Value,
    value: Value,
    next: u32,
}

const EMPTY: Node = Node { key: Value::Nil, value: Value::Nil, next: NONE };

/// The contents of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableData {
    array: Vec<Value>,
    /// A power of two of nodes, or none.
    nodes: Vec<Node>,
    /// All nodes from here on are in use.
    last_free: u32,
    pub(crate) meta: Option<Table>,
    /// A cache with one bit for each of the first metamethods: set if this table, as a metatable,
    /// is known to lack it.
    pub(crate) lacks: u8,
    /// Whether scripts cannot write to it (`redis`, and the globals of the sandbox).
    pub(crate) readonly: bool,
}

/// Why a table operation was refused; the texts are PUC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// An invalid key, or a table that cannot grow.
    Text(&'static str),
}

fn hash_number(n: f64) -> u32 {
    if n == 0.0 {
        return 0;
    }
    let bits = n.to_bits();
    (bits as u32).wrapping_add((bits >> 32) as u32)
}

/// The index of a key in the array part, if it can be one.
#[inline]
fn array_index(key: Value) -> Option<u32> {
    match key {
        Value::Num(n) => {
            let k = n as u32;
            (f64::from(k) == n && k != 0).then_some(k)
        }
        _ => None,
    }
}

fn ceil_log2(x: usize) -> u32 {
    x.next_power_of_two().trailing_zeros()
}

impl TableData {
    /// A table with capacity for this many elements and pairs.
    pub(crate) fn with_room(array: usize, pairs: usize) -> TableData {
        let mut t = TableData::default();
        t.array.resize(array.min(1 << MAX_BITS), Value::Nil);
        t.set_node_count(pairs.min(1 << MAX_BITS));
        t
    }

    pub(crate) fn cost(&self) -> u64 {
        TABLE_COST + self.array.len() as u64 * SLOT_COST + self.nodes.len() as u64 * NODE_COST
    }

    fn set_node_count(&mut self, count: usize) {
        let size = if count == 0 { 0 } else { 1 << ceil_log2(count) };
        self.nodes.clear();
        self.nodes.shrink_to(size);
        self.nodes.resize(size, EMPTY);
        self.last_free = size as u32;
    }

    #[inline]
    fn main_position(&self, key: Value) -> usize {
        let size = self.nodes.len();
        let modulo = |h: u32| h as usize % ((size - 1) | 1);
        match key {
            Value::Str(s) => s.hash as usize & (size - 1),
            Value::Bool(b) => usize::from(b) & (size - 1),
            Value::Num(0.0) => 0,
            Value::Num(n) => modulo(hash_number(n)),
            Value::Table(t) => modulo(t.0),
            Value::Function(f) => modulo(f.0),
            Value::Native(f) => modulo(f.0),
            Value::Thread(t) => modulo(t.0),
            Value::Userdata(u) => modulo(u.0),
            Value::Light(n) => modulo(n),
            Value::Nil | Value::Dead(..) => 0,
        }
    }

    #[inline]
    fn find(&self, key: Value) -> Option<usize> {
        if self.nodes.is_empty() {
            return None;
        }
        let mut at = self.main_position(key);
        loop {
            let node = &self.nodes[at];
            if node.key == key {
                return Some(at);
            }
            if node.next == NONE {
                return None;
            }
            at = node.next as usize;
        }
    }

    /// The value of a string key.
    #[inline]
    pub(crate) fn get_str(&self, key: crate::value::Str) -> Value {
        if self.nodes.is_empty() {
            return Value::Nil;
        }
        let mut at = key.hash as usize & (self.nodes.len() - 1);
        loop {
            let node = &self.nodes[at];
            if let Value::Str(s) = node.key
                && s.id == key.id
            {
                return node.value;
            }
            if node.next == NONE {
                return Value::Nil;
            }
            at = node.next as usize;
        }
    }

    /// The value of an integer key.
    #[inline]
    pub(crate) fn get_int(&self, key: i64) -> Value {
        match self.array.get((key as usize).wrapping_sub(1)) {
            Some(&v) if key > 0 => v,
            _ => match self.find(Value::Num(key as f64)) {
                Some(at) => self.nodes[at].value,
                None => Value::Nil,
            },
        }
    }

    /// The value of a key.
    #[inline]
    pub(crate) fn get(&self, key: Value) -> Value {
        match key {
            Value::Str(s) => self.get_str(s),
            Value::Nil => Value::Nil,
            Value::Num(_) => match array_index(key) {
                Some(k) if (k as usize) <= self.array.len() => self.array[k as usize - 1],
                _ => self.find(key).map_or(Value::Nil, |at| self.nodes[at].value),
            },
            _ => self.find(key).map_or(Value::Nil, |at| self.nodes[at].value),
        }
    }

    /// Replaces the value of a key with a value that is not nil, if the table has a slot for the
    /// key. Returns whether it has.
    #[inline]
    pub(crate) fn replace(&mut self, key: Value, value: Value) -> bool {
        if let Some(slot) = self.slot(key)
            && !slot.is_nil()
        {
            *slot = value;
            return true;
        }
        false
    }

    /// Sets the value of a key, if the table has a slot for it. Returns whether it has.
    #[inline]
    pub(crate) fn assign(&mut self, key: Value, value: Value) -> bool {
        match self.slot(key) {
            Some(slot) => {
                *slot = value;
                self.lacks = 0;
                true
            }
            None => false,
        }
    }

    #[inline]
    fn slot(&mut self, key: Value) -> Option<&mut Value> {
        if let Some(k) = array_index(key)
            && (k as usize) <= self.array.len()
        {
            return Some(&mut self.array[k as usize - 1]);
        }
        match self.find(key) {
            Some(at) => Some(&mut self.nodes[at].value),
            None => None,
        }
    }

    /// Sets the value of a key. `mem` is adjusted by the change of the table's accounted size.
    pub(crate) fn set(&mut self, key: Value, value: Value, mem: &mut u64) -> Result<(), Refused> {
        self.lacks = 0;
        if let Some(slot) = self.slot(key) {
            *slot = value;
            return Ok(());
        }
        match key {
            Value::Nil => return Err(Refused::Text("table index is nil")),
            Value::Num(n) if n.is_nan() => return Err(Refused::Text("table index is NaN")),
            _ => {}
        }
        self.insert(key, value, mem)
    }

    /// Sets the value of an integer key.
    pub(crate) fn set_int(&mut self, key: i64, value: Value, mem: &mut u64) -> Result<(), Refused> {
        self.set(Value::Num(key as f64), value, mem)
    }

    /// Adds a key that has no slot. If its main position is taken by a key that belongs elsewhere,
    /// that key moves to a free node; otherwise the new key goes to a free node.
    fn insert(&mut self, key: Value, value: Value, mem: &mut u64) -> Result<(), Refused> {
        if self.nodes.is_empty() {
            self.rehash(key, mem)?;
            return self.set(key, value, mem);
        }
        let mut at = self.main_position(key);
        if !self.nodes[at].value.is_nil() {
            let Some(free) = self.free_node() else {
                self.rehash(key, mem)?;
                return self.set(key, value, mem);
            };
            let mut other = self.main_position(self.nodes[at].key);
            if other != at {
                while self.nodes[other].next != at as u32 {
                    other = self.nodes[other].next as usize;
                }
                self.nodes[other].next = free as u32;
                self.nodes[free] = self.nodes[at];
                self.nodes[at] = EMPTY;
            } else {
                self.nodes[free].next = self.nodes[at].next;
                self.nodes[at].next = free as u32;
                at = free;
            }
        }
        self.nodes[at].key = key;
        self.nodes[at].value = value;
        Ok(())
    }

    fn free_node(&mut self) -> Option<usize> {
        while self.last_free > 0 {
            self.last_free -= 1;
            if self.nodes[self.last_free as usize].key.is_nil() {
                return Some(self.last_free as usize);
            }
        }
        None
    }

    /// Resizes both parts to fit the current entries and one more key: the array gets the largest
    /// power of two of which more than half is in use.
    fn rehash(&mut self, extra: Value, mem: &mut u64) -> Result<(), Refused> {
        // counts[i]: the number of keys in (2^(i-1), 2^i]
        let mut counts = [0usize; MAX_BITS + 1];
        let mut candidates = 0;
        let mut total = 0;
        let mut count = |key: u32| {
            if key as usize > 1 << MAX_BITS {
                return 0;
            }
            counts[ceil_log2(key as usize) as usize] += 1;
            1
        };
        for (i, v) in self.array.iter().enumerate() {
            if !v.is_nil() {
                total += 1;
                candidates += count(i as u32 + 1);
            }
        }
        for node in &self.nodes {
            if !node.value.is_nil() {
                total += 1;
                candidates += array_index(node.key).map_or(0, &mut count);
            }
        }
        total += 1;
        candidates += array_index(extra).map_or(0, &mut count);

        let (mut size, mut in_array, mut sum, mut power) = (0, 0, 0, 1);
        for n in counts {
            if power / 2 >= candidates {
                break;
            }
            sum += n;
            if n > 0 && sum > power / 2 {
                size = power;
                in_array = sum;
            }
            if sum == candidates {
                break;
            }
            power *= 2;
        }
        self.resize(size, total - in_array, mem)
    }

    fn resize(&mut self, array: usize, pairs: usize, mem: &mut u64) -> Result<(), Refused> {
        if pairs > 1 << MAX_BITS {
            return Err(Refused::Text("table overflow"));
        }
        let before = self.cost();
        let spilled = match self.array.len() > array {
            true => self.array.split_off(array),
            false => {
                self.array.resize(array, Value::Nil);
                Vec::new()
            }
        };
        let old = std::mem::take(&mut self.nodes);
        self.set_node_count(pairs);
        *mem = (*mem + self.cost()).saturating_sub(before);
        for (i, v) in spilled.into_iter().enumerate() {
            if !v.is_nil() {
                self.set_int((array + i) as i64 + 1, v, mem)?;
            }
        }
        for node in old.into_iter().rev() {
            if !node.value.is_nil() {
                self.set(node.key, node.value, mem)?;
            }
        }
        Ok(())
    }

    /// Grows the array part to at least this size, for a constructor with a known number of
    /// elements.
    pub(crate) fn reserve_array(&mut self, size: usize, mem: &mut u64) -> Result<(), Refused> {
        if size > self.array.len() && size <= 1 << MAX_BITS {
            self.resize(size, self.nodes.len(), mem)?;
        }
        Ok(())
    }

    /// A border: an index whose element exists while the next one's does not (`#`).
    pub(crate) fn len(&self) -> i64 {
        let n = self.array.len();
        if n > 0 && self.array[n - 1].is_nil() {
            let (mut low, mut high) = (0, n);
            while high - low > 1 {
                let middle = (low + high) / 2;
                if self.array[middle - 1].is_nil() {
                    high = middle;
                } else {
                    low = middle;
                }
            }
            return low as i64;
        }
        if self.nodes.is_empty() {
            return n as i64;
        }
        let mut low = n as i64;
        let mut high = low + 1;
        while !self.get_int(high).is_nil() {
            low = high;
            high *= 2;
            if high > i64::from(i32::MAX) {
                // A pathological table (as in PUC's `unbound_search`): search linearly.
                let mut i = 1;
                while !self.get_int(i).is_nil() {
                    i += 1;
                }
                return i - 1;
            }
        }
        while high - low > 1 {
            let middle = (low + high) / 2;
            if self.get_int(middle).is_nil() {
                high = middle;
            } else {
                low = middle;
            }
        }
        low
    }

    /// The entry after a key, or the first one after nil. `Err` if there is no such key.
    pub(crate) fn next(&self, key: Value) -> Result<Option<(Value, Value)>, Refused> {
        let from = match key {
            Value::Nil => 0,
            _ => match array_index(key) {
                Some(k) if (k as usize) <= self.array.len() => k as usize,
                _ => self.array.len() + self.find_for_next(key)? + 1,
            },
        };
        self.entry_from(from)
    }

    /// The first entry at or after a position; positions count through both parts.
    fn entry_from(&self, from: usize) -> Result<Option<(Value, Value)>, Refused> {
        let n = self.array.len();
        for i in from..n {
            if !self.array[i].is_nil() {
                return Ok(Some((Value::Num((i + 1) as f64), self.array[i])));
            }
        }
        for node in self.nodes.iter().skip(from.saturating_sub(n)) {
            if !node.value.is_nil() {
                return Ok(Some((node.key, node.value)));
            }
        }
        Ok(None)
    }

    fn find_for_next(&self, key: Value) -> Result<usize, Refused> {
        let invalid = Refused::Text("invalid key to 'next'");
        if self.nodes.is_empty() {
            return Err(invalid);
        }
        let dead = key.dead();
        let mut at = self.main_position(key);
        loop {
            let node = &self.nodes[at];
            if node.key == key || node.key == dead {
                return Ok(at);
            }
            if node.next == NONE {
                return Err(invalid);
            }
            at = node.next as usize;
        }
    }

    /// The entries, in the order of `next`.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Value, Value)> + '_ {
        let array = self.array.iter().enumerate().map(|(i, &v)| (Value::Num((i + 1) as f64), v));
        array.chain(self.nodes.iter().map(|n| (n.key, n.value))).filter(|(_, v)| !v.is_nil())
    }

    /// The largest positive numeric key (`table.maxn`).
    pub(crate) fn max_number(&self) -> f64 {
        self.entries().fold(0.0, |most, (k, _)| match k {
            Value::Num(n) if n > most => n,
            _ => most,
        })
    }

    /// The array part.
    #[inline]
    pub(crate) fn array(&self) -> &[Value] {
        &self.array
    }

    /// Exchanges two elements, if both are in the array part. Returns whether they are.
    pub(crate) fn swap(&mut self, i: i64, j: i64) -> bool {
        let inside = |i: i64| i >= 1 && i as u64 <= self.array.len() as u64;
        let can = !self.readonly && inside(i) && inside(j);
        if can {
            self.array.swap(i as usize - 1, j as usize - 1);
        }
        can
    }

    /// For the collector: removes entries for which `drop` returns true, and turns the keys of
    /// removed entries into [`Value::Dead`].
    pub(crate) fn traverse(&mut self, mut drop: impl FnMut(Value, Value) -> bool) {
        for (i, v) in self.array.iter_mut().enumerate() {
            if !v.is_nil() && drop(Value::Num((i + 1) as f64), *v) {
                *v = Value::Nil;
            }
        }
        for node in &mut self.nodes {
            if !node.value.is_nil() && drop(node.key, node.value) {
                node.value = Value::Nil;
            }
            if node.value.is_nil() {
                node.key = node.key.dead();
            }
        }
    }
}
