//! Objects of one kind, named by their index, with the collector's marks beside them.

/// What the collector knows of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    /// Not reached so far.
    White,
    /// Reached.
    Black,
    /// Holds no object.
    Free,
}

/// Objects of one kind.
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

    /// Keeps an object and names it.
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

    /// Marks an object as reached. Whether it was not before, so that what it refers to has to be
    /// reached as well.
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

    /// Frees what was not reached and forgets the marks. `gone` clears each object that goes.
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
