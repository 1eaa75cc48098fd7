//! `table.sort`: the quicksort of PUC Lua 5.1 with the same sequence of comparisons, since a
//! script's comparison function can observe it. It suspends at every call of such a function, and
//! when the budget is used up.

use crate::value::{Table, Value};
use crate::vm::{Args, Cont, Lua, Out, Raise};

type Done = Result<Out, Raise>;

/// The comparison to be made next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// The last element with the first one.
    Ends,
    /// The middle one with the first.
    Low,
    /// The last one with the middle one.
    High,
    /// Scanning upwards: the next element with the pivot.
    Up,
    /// Scanning downwards: the pivot with the next element.
    Down,
}

/// A sort in progress.
#[derive(Clone, Debug)]
pub(crate) struct Sort {
    table: Table,
    /// The comparison function; nil for `<`.
    by: Value,
    low: i64,
    high: i64,
    i: i64,
    j: i64,
    pivot: Value,
    phase: Phase,
    /// Ranges to be sorted after this one.
    later: Vec<(i64, i64)>,
}

pub(super) fn sort(lua: &mut Lua, args: Args) -> Done {
    let table = args.table(lua, 0)?;
    let by = match args.get(lua, 1) {
        Value::Nil => Value::Nil,
        _ => args.function(lua, 1)?,
    };
    let high = lua.raw_len(table);
    let sort = Sort {
        table,
        by,
        low: 1,
        high,
        i: 0,
        j: 0,
        pivot: Value::Nil,
        phase: Phase::Ends,
        later: Vec::new(),
    };
    if high < 2 {
        return Ok(Out::Zero);
    }
    Box::new(sort).resume(lua, None)
}

impl Sort {
    /// The values that it references, for the collector.
    pub(crate) fn values(&self) -> [Value; 3] {
        [Value::Table(self.table), self.by, self.pivot]
    }

    fn at(&self, lua: &Lua, i: i64) -> Value {
        lua.tables[self.table.0].get_int(i)
    }

    fn swap(&self, lua: &mut Lua, i: i64, j: i64) -> Result<(), Raise> {
        if lua.tables[self.table.0].swap(i, j) {
            return Ok(());
        }
        let (x, y) = (self.at(lua, i), self.at(lua, j));
        lua.write(self.table, Value::Num(i as f64), y)?;
        lua.write(self.table, Value::Num(j as f64), x)
    }

    fn middle(&self) -> i64 {
        (self.low + self.high) / 2
    }

    /// The two values of the next comparison.
    fn compared(&self, lua: &Lua) -> (Value, Value) {
        match self.phase {
            Phase::Ends => (self.at(lua, self.high), self.at(lua, self.low)),
            Phase::Low => (self.at(lua, self.middle()), self.at(lua, self.low)),
            Phase::High => (self.at(lua, self.high), self.at(lua, self.middle())),
            Phase::Up => (self.at(lua, self.i), self.pivot),
            Phase::Down => (self.pivot, self.at(lua, self.j)),
        }
    }

    /// The result of the next comparison, if it is of two numbers in an array part.
    fn less_numbers(&self, lua: &Lua) -> Option<bool> {
        let array = lua.tables[self.table.0].array();
        let number = |i: i64| match array.get((i as usize).wrapping_sub(1))? {
            Value::Num(n) => Some(*n),
            _ => None,
        };
        let pivot = || match self.pivot {
            Value::Num(n) => Some(n),
            _ => None,
        };
        Some(match self.phase {
            Phase::Ends => number(self.high)? < number(self.low)?,
            Phase::Low => number(self.middle())? < number(self.low)?,
            Phase::High => number(self.high)? < number(self.middle())?,
            Phase::Up => number(self.i)? < pivot()?,
            Phase::Down => pivot()? < number(self.j)?,
        })
    }

    /// Continues the sort, given the result of the pending comparison if there is one.
    pub(crate) fn resume(mut self: Box<Self>, lua: &mut Lua, mut answer: Option<bool>) -> Done {
        loop {
            let less = match answer.take() {
                Some(less) => less,
                None => {
                    if self.by.is_nil()
                        && lua.budget >= 0
                        && let Some(less) = self.less_numbers(lua)
                    {
                        lua.charge(4);
                        if !self.advance(lua, less)? {
                            return Ok(Out::Zero);
                        }
                        continue;
                    }
                    let (x, y) = self.compared(lua);
                    if lua.budget < 0 {
                        lua.push_cont(Cont::Sort(self));
                        return Ok(Out::Pause);
                    }
                    lua.charge(4);
                    let function = match self.by {
                        Value::Nil => match lua.less_handler(x, y)? {
                            Ok(less) => Ok(less),
                            Err(handler) => Err(handler),
                        },
                        by => Err(by),
                    };
                    match function {
                        Ok(less) => less,
                        Err(function) => {
                            lua.push_cont(Cont::Sort(self));
                            let at = lua.push_call(function, &[x, y]);
                            return Ok(Out::Call(at, 2, 1));
                        }
                    }
                }
            };
            if !self.advance(lua, less)? {
                return Ok(Out::Zero);
            }
        }
    }

    /// Processes the result of a comparison and determines the next one. False if the sort is
    /// complete.
    fn advance(&mut self, lua: &mut Lua, less: bool) -> Result<bool, Raise> {
        match self.phase {
            Phase::Ends => {
                if less {
                    self.swap(lua, self.low, self.high)?;
                }
                if self.high - self.low == 1 {
                    return Ok(self.next_range());
                }
                self.phase = Phase::Low;
            }
            Phase::Low => {
                if less {
                    self.swap(lua, self.middle(), self.low)?;
                    return self.partition(lua);
                }
                self.phase = Phase::High;
            }
            Phase::High => {
                if less {
                    self.swap(lua, self.middle(), self.high)?;
                }
                return self.partition(lua);
            }
            Phase::Up => {
                if less {
                    if self.i > self.high {
                        return Err(lua.error("invalid order function for sorting"));
                    }
                    self.i += 1;
                } else {
                    self.phase = Phase::Down;
                    self.j -= 1;
                }
            }
            Phase::Down => {
                if less {
                    if self.j < self.low {
                        return Err(lua.error("invalid order function for sorting"));
                    }
                    self.j -= 1;
                } else if self.j < self.i {
                    self.swap(lua, self.high - 1, self.i)?;
                    return Ok(self.split());
                } else {
                    self.swap(lua, self.i, self.j)?;
                    self.phase = Phase::Up;
                    self.i += 1;
                }
            }
        }
        Ok(true)
    }

    /// Starts to partition the range, after the three samples have been ordered: sets the pivot
    /// aside.
    fn partition(&mut self, lua: &mut Lua) -> Result<bool, Raise> {
        if self.high - self.low == 2 {
            return Ok(self.next_range());
        }
        self.pivot = self.at(lua, self.middle());
        self.swap(lua, self.middle(), self.high - 1)?;
        self.i = self.low + 1;
        self.j = self.high - 1;
        self.phase = Phase::Up;
        Ok(true)
    }

    /// Splits the range at `i` after partitioning; the smaller part is sorted first.
    fn split(&mut self) -> bool {
        let (below, above) = ((self.low, self.i - 1), (self.i + 1, self.high));
        if self.i - self.low < self.high - self.i {
            self.later.push(above);
            self.begin(below)
        } else {
            self.later.push(below);
            self.begin(above)
        }
    }

    fn begin(&mut self, range: (i64, i64)) -> bool {
        if range.0 >= range.1 {
            return self.next_range();
        }
        (self.low, self.high) = range;
        self.phase = Phase::Ends;
        true
    }

    fn next_range(&mut self) -> bool {
        match self.later.pop() {
            Some(range) => self.begin(range),
            None => false,
        }
    }
}
