//! Lists of strings.

use super::limits::Limits;
use super::listpack::{self, Item, Listpack, PackRef};
use super::seq::{self, Cursor, Seq};
use crate::store::size::allocated;
use triomphe::Arc;

/// A list, as it is changed.
#[derive(Clone, Debug)]
pub enum List {
    /// One run of elements.
    Pack(Listpack),
    /// Many runs.
    Quick(Box<Runs>),
}

/// A list, as it is read.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// One run of elements.
    Pack(PackRef<'a>),
    /// Many runs.
    Quick(&'a Runs),
}

/// The two ends of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head.
    Left,
    /// The tail.
    Right,
}

/// A part of a long list: at least one element.
#[derive(Clone, Debug)]
pub struct Run(Arc<Listpack>);

impl seq::Item for Run {
    type Key = ();
    const UNIT: bool = false;

    fn key(&self) {}

    #[inline]
    fn weight(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A long list: runs, and what they take.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    seq: Seq<Run>,
    bytes: usize,
}

impl Runs {
    #[inline]
    fn weight(&self) -> u64 {
        self.seq.weight()
    }

    #[inline]
    fn get(&self, offset: u64) -> Option<(&Run, u64)> {
        self.seq.get(offset)
    }

    #[inline]
    fn update<R>(&mut self, offset: u64, f: impl FnOnce(&mut Run, u64) -> R) -> Option<R> {
        let bytes = &mut self.bytes;
        self.seq.update(offset, |run, rem| {
            *bytes -= run.memory();
            let result = f(run, rem);
            *bytes += run.memory();
            result
        })
    }

    fn insert(&mut self, offset: u64, run: Run) {
        self.bytes += run.memory();
        self.seq.insert(offset, run);
    }

    fn remove(&mut self, offset: u64) -> Option<Run> {
        let run = self.seq.remove(offset)?;
        self.bytes -= run.memory();
        Some(run)
    }

    fn cursor(&self, offset: u64) -> Option<Cursor<'_, Run>> {
        self.seq.cursor(offset)
    }

    /// How many runs there are about, to weigh the work of freeing them.
    pub(in crate::store) fn count(&self) -> usize {
        self.bytes / 4096
    }

    /// Frees about `budget` runs, or all if there are fewer, and says how many.
    pub(in crate::store) fn free_some(&mut self, budget: usize) -> usize {
        self.seq.free_some(budget)
    }
}

impl Run {
    fn of(pack: Listpack) -> Self {
        Run(Arc::new(pack))
    }

    /// The run's listpack, to change it.
    #[inline]
    fn pack(&mut self) -> &mut Listpack {
        Arc::make_mut(&mut self.0)
    }

    /// The run's listpack.
    pub fn view(&self) -> PackRef<'_> {
        self.0.view()
    }

    #[inline]
    fn memory(&self) -> usize {
        allocated(self.0.end()) + 56
    }

    fn takes(&self, text: &[u8], limits: &Limits) -> bool {
        takes(&self.0, text, limits)
    }
}

impl Default for List {
    fn default() -> Self {
        List::Pack(Listpack::new())
    }
}

impl List {
    /// The list as it is read.
    #[inline]
    pub fn view(&self) -> ListRef<'_> {
        match self {
            List::Pack(pack) => ListRef::Pack(pack.view()),
            List::Quick(runs) => ListRef::Quick(runs),
        }
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives up the compact form if it becomes too large with these elements, which are about to
    /// be added.
    pub fn grow<'t>(&mut self, texts: impl IntoIterator<Item = &'t [u8]>, limits: &Limits) {
        let List::Pack(pack) = self else { return };
        let (mut bytes, mut count) = (pack.size(), pack.len());
        for text in texts {
            bytes = bytes.saturating_add(text.len());
            count += 1;
        }
        if limits.list_run_exceeds(bytes, count) {
            self.expand();
        }
    }

    /// Takes the compact form again if the list has become small enough, as Redis does: at half of
    /// the limit when it has been shortened, at the limit itself when it was built anew.
    pub fn shrink(&mut self, limits: &Limits) {
        let List::Quick(runs) = self else { return };
        let lone = match runs.get(0) {
            Some((run, _)) if run.0.len() as u64 == runs.weight() => run,
            _ => return,
        };
        if limits.list_run_is_small(lone.0.size(), lone.0.len())
            && let Some(run) = runs.remove(0)
        {
            *self = List::Pack(Arc::unwrap_or_clone(run.0));
        }
    }

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, text: &[u8], limits: &Limits) {
        let runs = match self {
            List::Pack(pack) => {
                return match end {
                    End::Left => pack.push_front(text),
                    End::Right => pack.push_back(text),
                };
            }
            List::Quick(runs) => runs,
        };
        let at = match end {
            End::Left => 0,
            End::Right => runs.weight().saturating_sub(1),
        };
        let done = runs.update(at, |run, _| {
            let fits = run.takes(text, limits);
            if fits {
                match end {
                    End::Left => run.pack().push_front(text),
                    End::Right => run.pack().push_back(text),
                }
            }
            fits
        });
        if done != Some(true) {
            let at = match end {
                End::Left => 0,
                End::Right => runs.weight(),
            };
            runs.insert(at, Run::of([text].iter().collect()));
        }
    }

    /// Removes the element at an end and lets `f` see it. [`List::shrink`] shall follow.
    pub fn pop<R>(&mut self, end: End, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self {
            List::Pack(pack) => pop(pack, end, f),
            List::Quick(runs) => {
                let at = match end {
                    End::Left => 0,
                    End::Right => runs.weight().checked_sub(1)?,
                };
                let (run, _) = runs.get(at)?;
                if run.0.len() == 1 {
                    let mut run = runs.remove(at)?;
                    pop(run.pack(), end, f)
                } else {
                    runs.update(at, |run, _| pop(run.pack(), end, f))?
                }
            }
        }
    }

    /// Puts `text` in the place of the element at `index`; false if there is none. [`List::grow`]
    /// shall come before.
    pub fn set(&mut self, index: usize, text: &[u8], limits: &Limits) -> bool {
        match self {
            List::Pack(pack) => match pack.view().seek(index) {
                Some(at) => {
                    pack.replace(at, text);
                    true
                }
                None => false,
            },
            List::Quick(runs) => {
                let fits = runs.update(index as u64, |run, rem| {
                    let old = run.view().seek(rem as usize);
                    let fits = run.0.len() == 1 || run.takes(text, limits);
                    if let Some(at) = old
                        && fits
                    {
                        run.pack().replace(at, text);
                    }
                    fits
                });
                match fits {
                    None => false,
                    Some(true) => true,
                    Some(false) => {
                        self.insert(index, text, limits);
                        self.remove(index + 1, 1, limits);
                        true
                    }
                }
            }
        }
    }

    /// Inserts before the element at `index`, or at the end. [`List::grow`] shall come before.
    pub fn insert(&mut self, index: usize, text: &[u8], limits: &Limits) {
        match self {
            List::Pack(pack) => {
                let at = pack.view().seek(index).unwrap_or(pack.end());
                pack.insert(at, text);
            }
            List::Quick(_) if index == 0 => self.push(End::Left, text, limits),
            List::Quick(runs) if index as u64 >= runs.weight() => {
                self.push(End::Right, text, limits);
            }
            List::Quick(runs) => {
                let index = index as u64;
                // At the beginning of a run the run before is as good a place.
                for (offset, after) in [(index, 0), (index - 1, 1)] {
                    let done = runs.update(offset, |run, rem| {
                        let rem = rem as usize + after;
                        if (after == 1 && rem != run.0.len()) || !run.takes(text, limits) {
                            return false;
                        }
                        let at = run.view().seek(rem).unwrap_or(run.0.end());
                        run.pack().insert(at, text);
                        true
                    });
                    if done == Some(true) {
                        return;
                    }
                }
                let right = runs.update(index, |run, rem| {
                    let at = (rem > 0).then(|| run.view().seek(rem as usize))??;
                    Some(run.pack().split_off(at))
                });
                if let Some(Some(right)) = right {
                    runs.insert(index, Run::of(right));
                }
                runs.insert(index, Run::of([text].iter().collect()));
                join(runs, index, limits);
                join(runs, index - 1, limits);
            }
        }
    }

    /// Removes `count` elements from `index` on. [`List::shrink`] shall follow.
    pub fn remove(&mut self, index: usize, count: usize, limits: &Limits) {
        match self {
            List::Pack(pack) => {
                if let Some(at) = pack.view().seek(index) {
                    pack.remove_range(at, count);
                }
            }
            List::Quick(runs) => {
                let index = index as u64;
                let mut left = (count as u64).min(runs.weight().saturating_sub(index));
                while left > 0 {
                    let Some((run, rem)) = runs.get(index) else { return };
                    let len = run.0.len() as u64;
                    let n = left.min(len - rem);
                    if n == len {
                        runs.remove(index);
                    } else {
                        runs.update(index, |run, rem| {
                            if let Some(at) = run.view().seek(rem as usize) {
                                run.pack().remove_range(at, n as usize);
                            }
                        });
                    }
                    left -= n;
                }
                join(runs, index, limits);
                join(runs, index.saturating_sub(1), limits);
            }
        }
    }

    /// Removes up to `limit` elements equal to `text`, beginning at `from`: how many they were.
    /// [`List::shrink`] shall follow.
    pub fn remove_equal(&mut self, text: &[u8], from: End, limit: usize, limits: &Limits) -> usize {
        match self {
            List::Pack(pack) => remove_equal(pack, text, from, limit),
            List::Quick(runs) => {
                let gone = remove_equal_in_runs(runs, text, from, limit);
                let mut offset = 0;
                while gone > 0
                    && let Some((run, _)) = runs.get(offset)
                {
                    let len = run.0.len() as u64;
                    if !join(runs, offset, limits) {
                        offset += len;
                    }
                }
                gone
            }
        }
    }

    /// Appends a run, for a list that is built from what another server saved: as it is, unless
    /// it is so large that changing it would take long.
    pub fn push_run(&mut self, pack: Listpack, limits: &Limits) {
        if pack.is_empty() {
            return;
        }
        if self.is_empty() && !limits.list_run_exceeds(pack.size(), pack.len()) {
            *self = List::Pack(pack);
            return;
        }
        self.expand();
        if pack.size() > LARGEST_RUN && pack.len() > 1 {
            let mut text = itoa::Buffer::new();
            for (_, item) in pack.view().iter() {
                self.push(End::Right, item.bytes(&mut text), limits);
            }
            return;
        }
        if let List::Quick(runs) = self {
            runs.insert(runs.weight(), Run::of(pack));
        }
    }

    fn expand(&mut self) {
        if let List::Pack(pack) = self {
            let mut runs = Runs::default();
            if !pack.is_empty() {
                // A copy, since the listpack may share its allocation with a key.
                let mut copy = Listpack::with_capacity(pack.size());
                copy.append(pack.view());
                runs.insert(0, Run::of(copy));
            }
            *self = List::Quick(Box::new(runs));
        }
    }
}

impl<'a> ListRef<'a> {
    /// How many elements there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            ListRef::Pack(pack) => pack.len(),
            ListRef::Quick(runs) => runs.weight() as usize,
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at `index`.
    pub fn get(self, index: usize) -> Option<Item<'a>> {
        match self {
            ListRef::Pack(pack) => pack.seek(index).map(|at| pack.get(at)),
            ListRef::Quick(runs) => {
                let (run, rem) = runs.get(index as u64)?;
                run.view().seek(rem as usize).map(|at| run.view().get(at))
            }
        }
    }

    /// The elements from `index` on.
    pub fn iter_from(self, index: usize) -> Forward<'a> {
        let (pack, rem, cursor) = match self {
            ListRef::Pack(pack) => (pack, index, None),
            ListRef::Quick(runs) => match (runs.get(index as u64), runs.cursor(index as u64)) {
                (Some((run, rem)), cursor) => (run.view(), rem as usize, cursor),
                _ => (EMPTY, 0, None),
            },
        };
        let at = pack.seek(rem).unwrap_or(pack.end());
        Forward { items: pack.iter_from(at), cursor }
    }

    /// All elements.
    pub fn iter(self) -> Forward<'a> {
        self.iter_from(0)
    }

    /// The elements from `index` back to the first.
    pub fn iter_back_from(self, index: usize) -> Backward<'a> {
        let (pack, rem, cursor) = match self {
            ListRef::Pack(pack) => (pack, index, None),
            ListRef::Quick(runs) => match (runs.get(index as u64), runs.cursor(index as u64)) {
                (Some((run, rem)), cursor) => (run.view(), rem as usize, cursor),
                _ => (EMPTY, 0, None),
            },
        };
        let at = match pack.seek(rem) {
            Some(at) => pack.next(at).unwrap_or(pack.end()),
            None => 0,
        };
        Backward { pack, at, cursor }
    }

    /// The runs, as they go to disk, from the one that the element at `index` is in.
    pub fn runs_from(self, index: usize) -> impl Iterator<Item = PackRef<'a>> {
        let (one, many) = match self {
            ListRef::Pack(pack) => (Some(pack), None),
            ListRef::Quick(runs) => (None, Some(runs.seq.iter_from(index as u64).map(Run::view))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// A copy, which shares all runs.
    pub fn frozen(self) -> List {
        match self {
            ListRef::Pack(pack) => List::Pack(pack.to_owned()),
            ListRef::Quick(runs) => List::Quick(Box::new(runs.clone())),
        }
    }

    /// The memory that it takes, in bytes.
    pub fn memory(self) -> usize {
        match self {
            ListRef::Pack(pack) => pack.size(),
            ListRef::Quick(runs) => runs.bytes + 64,
        }
    }
}

/// The largest run that the classes of `list-max-listpack-size` allow, in bytes.
const LARGEST_RUN: usize = 64 * 1024;

/// An empty listpack.
const EMPTY: PackRef<'static> = PackRef::new(&[0, 0]);

/// Elements from head to tail.
#[derive(Debug)]
pub struct Forward<'a> {
    items: listpack::Iter<'a>,
    cursor: Option<Cursor<'a, Run>>,
}

impl<'a> Iterator for Forward<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some((_, item)) = self.items.next() {
                return Some(item);
            }
            let cursor = self.cursor.as_mut()?;
            if !cursor.forward() {
                self.cursor = None;
                return None;
            }
            self.items = cursor.get().view().iter();
        }
    }
}

/// Elements from tail to head.
#[derive(Debug)]
pub struct Backward<'a> {
    pack: PackRef<'a>,
    at: usize,
    cursor: Option<Cursor<'a, Run>>,
}

impl<'a> Iterator for Backward<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some(at) = self.pack.prev(self.at) {
                self.at = at;
                return Some(self.pack.get(at));
            }
            let cursor = self.cursor.as_mut()?;
            if !cursor.backward() {
                self.cursor = None;
                return None;
            }
            self.pack = cursor.get().view();
            self.at = self.pack.end();
        }
    }
}

/// Whether a run may take one more element. Redis reckons with eight bytes around it.
fn takes(pack: &Listpack, text: &[u8], limits: &Limits) -> bool {
    !limits.list_run_exceeds(pack.size().saturating_add(text.len() + 8), pack.len() + 1)
}

fn pop<R>(pack: &mut Listpack, end: End, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
    let at = match end {
        End::Left => pack.view().first()?,
        End::Right => pack.view().last()?,
    };
    let result = f(pack.view().get(at));
    pack.remove(at);
    Some(result)
}

fn remove_equal(pack: &mut Listpack, text: &[u8], from: End, limit: usize) -> usize {
    let mut gone = 0;
    match from {
        End::Left => {
            let mut at = pack.view().first();
            while gone < limit
                && let Some(found) = at.and_then(|at| pack.view().find(text, at, 0))
            {
                at = pack.remove(found);
                gone += 1;
            }
        }
        End::Right => {
            let wanted = Item::of(text);
            let mut at = pack.end();
            while gone < limit {
                let mut before = pack.view().iter_back_from(at);
                let Some((found, _)) = before.find(|(_, item)| *item == wanted) else { break };
                drop(before);
                pack.remove(found);
                at = found;
                gone += 1;
            }
        }
    }
    gone
}

fn remove_equal_in_runs(runs: &mut Runs, text: &[u8], from: End, limit: usize) -> usize {
    let wanted = Item::of(text);
    let mut gone = 0;
    // The part that is still to be searched.
    let (mut begin, mut end) = (0, runs.weight());
    while gone < limit && begin < end {
        let at = match from {
            End::Left => begin,
            End::Right => end - 1,
        };
        let Some((run, rem)) = runs.get(at) else { break };
        let len = run.0.len() as u64;
        let start = at - rem;
        let equal = run.view().iter().filter(|(_, item)| *item == wanted).count();
        let n = equal.min(limit - gone);
        if n as u64 == len {
            runs.remove(start);
        } else if n > 0 {
            runs.update(start, |run, _| remove_equal(run.pack(), text, from, n));
        }
        gone += n;
        match from {
            End::Left => {
                begin += len - n as u64;
                end -= n as u64;
            }
            End::Right => end = start,
        }
    }
    gone
}

/// Joins the run at `offset` with the next one if both together fill less than half of a run.
fn join(runs: &mut Runs, offset: u64, limits: &Limits) -> bool {
    let Some((run, rem)) = runs.get(offset) else { return false };
    let start = offset - rem;
    let next = start + run.0.len() as u64;
    let Some((right, _)) = runs.get(next) else { return false };
    let (bytes, count) = (run.0.size() + right.0.size(), run.0.len() + right.0.len());
    if !limits.list_run_is_small(bytes, count) || limits.list_run_exceeds(bytes, count) {
        return false;
    }
    let Some(right) = runs.remove(next) else { return false };
    runs.update(start, |run, _| run.pack().append(right.view())).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[derive(Clone, Debug)]
    enum Op {
        Push(End, Vec<u8>),
        Pop(End),
        Insert(usize, Vec<u8>),
        Set(usize, Vec<u8>),
        Remove(usize, usize),
        RemoveEqual(Vec<u8>, End, usize),
    }

    fn end() -> impl Strategy<Value = End> {
        prop_oneof![Just(End::Left), Just(End::Right)]
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => (0u8..5).prop_map(|n| n.to_string().into_bytes()),
            2 => "[a-c]{1,3}".prop_map(String::into_bytes),
            1 => (0usize..9_000).prop_map(|n| vec![b'x'; n]),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (end(), text()).prop_map(|(e, t)| Op::Push(e, t)),
            1 => end().prop_map(Op::Pop),
            4 => (any::<usize>(), text()).prop_map(|(i, t)| Op::Insert(i, t)),
            2 => (any::<usize>(), text()).prop_map(|(i, t)| Op::Set(i, t)),
            1 => (any::<usize>(), 0usize..5).prop_map(|(i, n)| Op::Remove(i, n)),
            1 => (text(), end(), 1usize..4).prop_map(|(t, e, n)| Op::RemoveEqual(t, e, n)),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_list(size in -2i32..5, ops in proptest::collection::vec(op(), 0..120)) {
            let limits = Limits { list_max_listpack_size: size, ..Limits::default() };
            let (mut list, mut model) = (List::default(), VecDeque::<Vec<u8>>::new());
            for op in ops {
                match op {
                    Op::Push(end, text) => {
                        list.grow([&text[..]], &limits);
                        list.push(end, &text, &limits);
                        match end {
                            End::Left => model.push_front(text),
                            End::Right => model.push_back(text),
                        }
                    }
                    Op::Pop(end) => {
                        let wanted = match end {
                            End::Left => model.pop_front(),
                            End::Right => model.pop_back(),
                        };
                        prop_assert_eq!(list.pop(end, |item| item.to_vec()), wanted);
                        list.shrink(&limits);
                    }
                    Op::Insert(i, text) => {
                        let i = i % (model.len() + 1);
                        list.grow([&text[..]], &limits);
                        list.insert(i, &text, &limits);
                        model.insert(i, text);
                    }
                    Op::Set(i, text) if !model.is_empty() => {
                        let i = i % model.len();
                        list.grow([&text[..]], &limits);
                        prop_assert!(list.set(i, &text, &limits));
                        model[i] = text;
                    }
                    Op::Remove(i, n) if !model.is_empty() => {
                        let i = i % model.len();
                        list.remove(i, n, &limits);
                        list.shrink(&limits);
                        model.drain(i..(i + n).min(model.len()));
                    }
                    Op::RemoveEqual(text, end, limit) => {
                        let gone = list.remove_equal(&text, end, limit, &limits);
                        list.shrink(&limits);
                        let before = model.len();
                        for _ in 0..limit {
                            let found = match end {
                                End::Left => model.iter().position(|t| *t == text),
                                End::Right => model.iter().rposition(|t| *t == text),
                            };
                            found.map(|i| model.remove(i));
                        }
                        prop_assert_eq!(gone, before - model.len());
                    }
                    _ => {}
                }
                prop_assert_eq!(list.len(), model.len());
            }
            let view = list.view();
            prop_assert!(view.iter().map(Item::to_vec).eq(model.iter().cloned()));
            for i in 0..model.len() {
                prop_assert_eq!(view.get(i).map(Item::to_vec), model.get(i).cloned());
                let back = view.iter_back_from(i).map(Item::to_vec);
                prop_assert!(back.eq(model.iter().take(i + 1).rev().cloned()));
                let forth = view.iter_from(i).map(Item::to_vec);
                prop_assert!(forth.eq(model.iter().skip(i).cloned()));
            }
        }
    }

    #[test]
    fn a_long_list_is_many_runs_and_a_short_one_is_one_again() {
        let limits = Limits::default();
        let mut list = List::default();
        for n in 0..5_000 {
            let text = format!("element:{n}");
            list.grow([text.as_bytes()], &limits);
            list.push(End::Right, text.as_bytes(), &limits);
        }
        assert!(matches!(list, List::Quick(_)));
        assert!(list.view().runs_from(0).all(|run| run.size() <= 8192));
        assert!(list.view().runs_from(0).count() < 12);
        while list.pop(End::Left, |_| ()).is_some() {
            list.shrink(&limits);
        }
        assert!(matches!(list, List::Pack(_)));
    }
}
