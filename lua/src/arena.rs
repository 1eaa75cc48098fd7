//! Arenas: storage for objects of one type, addressed by index, with the marks of the collector.

/// The collector's state of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    /// Not reached in this cycle.
    White,
    /// Reached.
    Black,
    /// Unused.
    Free,
}

/// An arena of objects of one type.
#[derive(Clone, Debug)]
pub(crate) struct Arena<T> {
    items: Vec<T>,
    marks: Vec<Mark>,
    free: Vec<u32>,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Arena { items: Vec::new(), marks: Vec::new(), free: Vec::new() }
    }

    /// Adds an object and returns its index.
    pub(crate) fn add(&mut self, item: T) -> u32 {
        match self.free.pop() {
            Some(id) => {
                self.items[id as usize] = item;
                self.marks[id as usize] = Mark::White;
                id
            }
            None => {
                self.items.push(item);
                self.marks.push(Mark::White);
                (self.items.len() - 1) as u32
            }
        }
    }

    /// Marks an object as reached. Returns whether it was not marked before, so that its references
    /// must be followed as well.
    pub(crate) fn mark(&mut self, id: u32) -> bool {
        let mark = &mut self.marks[id as usize];
        let first = *mark == Mark::White;
        if first {
            *mark = Mark::Black;
        }
        first
    }

    /// Whether the collector has reached an object in this cycle.
    pub(crate) fn is_marked(&self, id: u32) -> bool {
        self.marks[id as usize] == Mark::Black
    }

    /// Frees all objects that were not reached, and clears the marks. `gone` is called for each
    /// freed object and must clear it.
    pub(crate) fn sweep(&mut self, mut gone: impl FnMut(u32, &mut T)) {
        for (id, mark) in self.marks.iter_mut().enumerate() {
            match mark {
                Mark::Black => *mark = Mark::White,
                Mark::White => {
                    gone(id as u32, &mut self.items[id]);
                    *mark = Mark::Free;
                    self.free.push(id as u32);
                }
                Mark::Free => {}
            }
        }
    }
}

impl<T> std::ops::Index<u32> for Arena<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, id: u32) -> &T {
        &self.items[id as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Arena<T> {
    #[inline(always)]
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.items[id as usize]
    }
}
