//! The register-based virtual machine: its state, and the interface for hosts.
//!
//! `run` executes instructions, `call` enters and leaves functions, `coroutine` switches stacks,
//! `closure` has the upvalues, `ops` the slow paths of instructions (metamethods), `error` the
//! error messages, `gc` is the garbage collector.

mod args;
mod call;
mod closure;
mod coroutine;
mod debug;
mod error;
mod gc;
mod ops;
mod run;

use std::sync::Arc;

use crate::arena::Arena;
use crate::compile;
use crate::compile::proto::Proto;
use crate::stdlib;
use crate::strings::Strings;
use crate::table::TableData;
use crate::value::{Function, Native, Str, Table, Userdata, Value};

pub(crate) use args::Args;
pub(crate) use call::{Cont, Out};
pub use debug::Level;
pub(crate) use error::Raise;
pub(crate) use ops::arith;

/// The default memory limit of scripts, in bytes.
const DEFAULT_MEMORY_LIMIT: u64 = 256 << 20;
/// The number of registers in a window onto the stack; a function has at most 250.
const WINDOW: usize = 256;
/// The number of stack slots that stay allocated between two runs.
const KEPT_STACK: usize = 4 * WINDOW;
/// The maximum depth of calls between Lua functions.
const MAX_CALLS: usize = 20_000;
/// The maximum depth of calls that PUC makes through C: `pcall`, metamethods, callbacks.
const MAX_C_CALLS: u32 = 200;
/// The maximum number of values that a library function may push at once.
pub(crate) const MAX_C_STACK: usize = 8_000;
/// The memory use at which the first collection happens.
const FIRST_COLLECTION: u64 = 64 << 10;
/// The accounted size of a closure, besides its upvalues, with spare capacity for twice as many.
const CLOSURE_COST: u64 = 72;
const _: () = assert!(CLOSURE_COST as usize >= 2 * (size_of::<Closure>() + 1));
const UPVALUE_COST: u64 = 56;
const _: () = assert!(UPVALUE_COST as usize >= 2 * (size_of::<Upvalue>() + 1));
const THREAD_COST: u64 = 1024;
const SLOT_COST: u64 = 16;

/// The outcome of one call of [`Lua::run`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The function has returned; [`Lua::results`] are its results.
    Done,
    /// The budget is used up; call `run` again to continue.
    Paused,
    /// The script calls the host function with this tag. [`Lua::host_args`] are its arguments;
    /// [`Lua::host_return`] or [`Lua::host_raise`] answers, and the next `run` continues.
    Host(u32),
    /// A new line begins in a chunk that was compiled by [`Lua::load_with_lines`] (see
    /// [`Lua::levels`]); call `run` again to continue.
    Line,
    /// An uncaught error.
    Failed(Failure),
}

/// An uncaught error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Failure {
    /// The error value.
    pub value: Value,
    /// The line in the innermost running Lua function; 0 if there was none.
    pub line: u32,
    /// The name of that function's chunk, as messages show it.
    pub source: Option<Str>,
}

/// A Lua function, with its upvalues.
#[derive(Clone, Debug)]
struct Closure {
    proto: Arc<Proto>,
    /// The chunk that it belongs to.
    chunk: u32,
    env: Table,
    upvalues: Box<[u32]>,
}

/// The code of a library function.
pub(crate) type NativeCode = fn(&mut Lua, Args) -> Result<Out, Raise>;

/// A native function, of a library or of the host.
#[derive(Clone, Debug)]
pub(crate) struct NativeData {
    pub(crate) code: NativeCode,
    pub(crate) upvalues: Vec<Value>,
    /// Whether it is `next`, which generic loops execute without a call.
    pub(crate) is_next: bool,
}

/// A variable that closures share.
#[derive(Clone, Copy, Debug)]
enum Upvalue {
    /// Open: still in a register, given by its coroutine and the slot of that stack.
    Open { thread: u32, slot: u32 },
    /// Closed: it has its own value.
    Closed(Value),
}

/// A frame of the call stack.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// The slot of its function, where the results go.
    func: u32,
    /// Its first register or argument.
    base: u32,
    /// The first slot that it does not use.
    top: u32,
    /// The next instruction.
    pc: u32,
    /// The index of its closure or native function.
    id: u32,
    /// The number of wanted results; -1 for all.
    results: i32,
    native: bool,
    /// The number of tail calls that led here, which error levels count.
    tail_calls: u32,
    ret: Ret,
}

/// What happens to the results of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ret {
    /// They replace the function on the stack, for the Lua function that called it.
    Plain,
    /// They are the results of the coroutine, or of the whole run.
    Entry,
    /// The library function below continues with them.
    Native,
    /// The first is stored in this slot.
    Slot(u32),
    /// The instruction was a comparison: skip one instruction unless the first result is as true as
    /// this.
    Test(bool),
    /// As `Test`, with the negation of the first result.
    TestNot(bool),
    /// They are discarded.
    Drop,
    /// The first is an operand of the concatenation from one slot to the other.
    Concat(u32, u32),
    /// They are the next values of a generic loop whose registers begin at this slot.
    Loop(u32),
}

/// The stack of a coroutine.
#[derive(Clone, Debug, Default)]
struct State {
    stack: Vec<Value>,
    frames: Vec<Frame>,
    /// The continuations of library functions that wait for a call, with the index of their frame,
    /// the innermost last.
    conts: Vec<(u32, Cont)>,
    /// Open upvalues as (slot, upvalue), by slot.
    open: Vec<(u32, u32)>,
    /// The number of frames that PUC would have entered through C.
    c_calls: u32,
    /// The end of an open list of values, between the instruction that produces it and the one that
    /// uses it.
    top: usize,
}

/// The status of a coroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It has not started, or has yielded.
    Suspended,
    /// It is the current one.
    Running,
    /// It has resumed another.
    Normal,
    /// It has ended.
    Dead,
}

/// A coroutine.
#[derive(Clone, Debug)]
pub(crate) struct Coroutine {
    state: State,
    pub(crate) status: Status,
    started: bool,
    /// The coroutine that resumed it.
    resumer: u32,
}

/// A userdata, which consists of a metatable only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UserdataData {
    pub(crate) meta: Option<Table>,
}

/// What the next call of `run` begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// Nothing is running.
    Idle,
    /// The next instruction of the top frame.
    Execute,
    /// The top frame is a library function that was suspended.
    Continue,
    /// The top frame is a host function that has returned the values in `out`.
    Answer,
    /// The top frame is a host function that has raised this error.
    Raise(Value),
    /// A started function, which has not been entered.
    Enter(u32),
}

/// How execution continues after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flow {
    /// With the next instruction of the same frame.
    Next,
    /// With another frame, or the same one at another instruction.
    Frame,
    /// `run` ends.
    Exit(Exit),
}

/// Why `run` ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Exit {
    Done,
    Paused,
    Line,
    Host(u32),
}

/// The metamethods, in the order of their bits in a table's `lacks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Event {
    Index,
    NewIndex,
    Eq,
    Call,
    Mode,
    Lt,
    Le,
    Concat,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Unm,
    Len,
    ToString,
    Metatable,
}

const EVENTS: [&str; 18] = [
    "__index",
    "__newindex",
    "__eq",
    "__call",
    "__mode",
    "__lt",
    "__le",
    "__concat",
    "__add",
    "__sub",
    "__mul",
    "__div",
    "__mod",
    "__pow",
    "__unm",
    "__len",
    "__tostring",
    "__metatable",
];

/// An interpreter with all objects of its scripts. See the crate documentation.
#[derive(Clone, Debug)]
pub struct Lua {
    pub(crate) strings: Strings,
    pub(crate) tables: Arena<TableData>,
    closures: Arena<Closure>,
    pub(crate) natives: Arena<NativeData>,
    upvalues: Arena<Upvalue>,
    pub(crate) threads: Arena<Coroutine>,
    pub(crate) userdata: Arena<UserdataData>,
    /// The string constants of the compiled chunks.
    chunks: Arena<Vec<Str>>,
    /// The current coroutine's stack; its entry in `threads` is empty meanwhile.
    st: State,
    pub(crate) current: u32,
    pub(crate) globals: Table,
    pub(crate) string_meta: Option<Table>,
    events: [Str; EVENTS.len()],
    /// The field that `pcall` returns in place of an error table that has it.
    caught_field: Option<Str>,
    /// Values that the host keeps alive.
    pins: Vec<Value>,
    pub(crate) mem: u64,
    collect_at: u64,
    pub(crate) collector_stopped: bool,
    limit: u64,
    /// The rest of the budget of this run.
    pub(crate) budget: i64,
    next: Next,
    /// A list of values in transit: results of a library function, answers of the host.
    pub(crate) out: Vec<Value>,
    /// A buffer for strings that are being built.
    pub(crate) buffer: Vec<u8>,
    /// The state of `math.random`.
    pub(crate) random: u64,
}

impl Default for Lua {
    fn default() -> Self {
        Self::new()
    }
}

/// The error of a program that was built without the feature `interpreter`.
const NO_INTERPRETER: &[u8] = b"this program was built without the interpreter of scripts; the \
    native server (`limpid server`) has it";

impl Lua {
    /// An interpreter with its libraries as globals.
    pub fn new() -> Lua {
        let mut strings = Strings::new();
        let mut mem = 0;
        let events = EVENTS.map(|name| strings.intern(name.as_bytes(), &mut mem));
        let mut tables = Arena::new();
        let globals = Table(tables.add(TableData::default()));
        let mut threads = Arena::new();
        threads.add(Coroutine {
            state: State::default(),
            status: Status::Running,
            started: true,
            resumer: 0,
        });
        let mut lua = Lua {
            strings,
            tables,
            closures: Arena::new(),
            natives: Arena::new(),
            upvalues: Arena::new(),
            threads,
            userdata: Arena::new(),
            chunks: Arena::new(),
            st: State::default(),
            current: 0,
            globals,
            string_meta: None,
            events,
            caught_field: None,
            pins: Vec::new(),
            mem,
            collect_at: FIRST_COLLECTION,
            collector_stopped: false,
            limit: DEFAULT_MEMORY_LIMIT,
            budget: 0,
            next: Next::Idle,
            out: Vec::new(),
            buffer: Vec::new(),
            random: 0,
        };
        lua.seed_random(0);
        if cfg!(feature = "interpreter") {
            stdlib::open(&mut lua);
        }
        lua
    }

    /// Compiles a chunk to a function. `name` is `=name` (shown unchanged), `@file`, or the source
    /// itself, as for `loadstring`. The error is the message.
    pub fn load(&mut self, source: &[u8], name: &[u8]) -> Result<Value, Vec<u8>> {
        if !cfg!(feature = "interpreter") {
            return Err(NO_INTERPRETER.to_vec());
        }
        self.load_chunk(source, name, false)
    }

    /// As [`Lua::load`], for a debugger: executing it reports each line with [`Step::Line`].
    pub fn load_with_lines(&mut self, source: &[u8], name: &[u8]) -> Result<Value, Vec<u8>> {
        if !cfg!(feature = "interpreter") {
            return Err(NO_INTERPRETER.to_vec());
        }
        self.load_chunk(source, name, true)
    }

    fn load_chunk(&mut self, source: &[u8], name: &[u8], lines: bool) -> Result<Value, Vec<u8>> {
        let compiled = compile::compile(source, name, lines, &mut self.strings, &mut self.mem)?;
        let chunk = self.chunks.add(compiled.strings);
        let env = self.globals;
        Ok(self.new_closure(compiled.main, chunk, env, Box::new([])))
    }

    fn new_closure(
        &mut self,
        proto: Arc<Proto>,
        chunk: u32,
        env: Table,
        upvalues: Box<[u32]>,
    ) -> Value {
        self.mem += CLOSURE_COST + upvalues.len() as u64 * 4;
        Value::Function(Function(self.closures.add(Closure { proto, chunk, env, upvalues })))
    }

    /// Prepares the call of a function, which [`Lua::run`] then executes. A running script is
    /// aborted.
    pub fn start(&mut self, function: Value, args: &[Value]) {
        self.abort();
        self.grow_stack(args.len() + 1);
        self.st.stack[0] = function;
        self.st.stack[1..=args.len()].copy_from_slice(args);
        self.st.top = args.len() + 1;
        self.next = Next::Enter(args.len() as u32);
    }

    /// Aborts the running script immediately, whatever error handlers it has.
    pub fn abort(&mut self) {
        if self.current != 0 {
            let mut at = self.current;
            while at != 0 {
                self.threads[at].status = Status::Dead;
                at = self.threads[at].resumer;
            }
            self.switch_to(0);
        }
        self.close_upvalues(0);
        self.clear_stack();
        self.out.clear();
        self.next = Next::Idle;
    }

    /// The rest of the budget of the last run; negative if it was exceeded.
    pub fn budget_left(&self) -> i64 {
        self.budget
    }

    /// The chunk and the line of the innermost Lua function that is running.
    pub fn running_line(&mut self) -> (Option<Str>, u32) {
        let Some(frame) = self.st.frames.iter().rev().find(|f| !f.native) else {
            return (None, 0);
        };
        let proto = &self.closures[frame.id].proto;
        let line = proto.line_at((frame.pc as usize).saturating_sub(1));
        let source = proto.source.clone();
        (Some(self.intern(source.as_bytes())), line)
    }

    /// Whether a script has been started and has not ended.
    pub fn is_running(&self) -> bool {
        self.next != Next::Idle
    }

    /// The results, after [`Step::Done`] and until the next start.
    pub fn results(&self) -> &[Value] {
        &self.out
    }

    /// The arguments of the host function that the script calls.
    pub fn host_args(&self) -> &[Value] {
        match self.st.frames.last() {
            Some(f) => &self.st.stack[f.base as usize..f.top as usize],
            None => &[],
        }
    }

    /// Returns results from the host function that the script called.
    pub fn host_return(&mut self, values: &[Value]) {
        self.out.clear();
        self.out.extend_from_slice(values);
        self.next = Next::Answer;
    }

    /// Raises an error from the host function that the script called.
    pub fn host_raise(&mut self, value: Value) {
        self.next = Next::Raise(value);
    }

    /// Raises an error text, prefixed with the position of the call, from the host function that
    /// the script called.
    pub fn host_error(&mut self, text: &str) {
        let raise = self.error(text);
        self.host_raise(raise.0);
    }

    /// `source:line: ` of the Lua function that called the host function; empty if none did.
    pub fn position(&self) -> String {
        self.place(1)
    }

    /// A function that ends [`Lua::run`] with [`Step::Host`] and this tag.
    pub fn host_function(&mut self, tag: u32) -> Value {
        self.native(
            |lua, _| match lua.native_upvalue(0) {
                Value::Light(tag) => Ok(Out::Host(tag)),
                _ => Ok(Out::Zero),
            },
            vec![Value::Light(tag)],
        )
    }

    /// A function for `__index` that raises this text with the quoted key, at the position of the
    /// access.
    pub fn failing_index(&mut self, text: &str) -> Value {
        let text = self.string(text.as_bytes());
        self.native(
            |lua, args| {
                let text = lua.native_upvalue(0);
                let mut message = lua.to_text(text).unwrap_or_default();
                let key = args.get(lua, 1);
                let key = lua.to_text(key).unwrap_or_else(|| key.type_name().into());
                message.extend([b" '", key.as_slice(), b"'"].concat());
                Err(lua.error(&String::from_utf8_lossy(&message)))
            },
            vec![text],
        )
    }

    /// Makes `pcall` return the value of this field in place of an error table that has it.
    pub fn set_caught_field(&mut self, name: &str) {
        let name = self.intern(name.as_bytes());
        self.pin(Value::Str(name));
        self.caught_field = Some(name);
    }

    pub(crate) fn native(&mut self, code: NativeCode, upvalues: Vec<Value>) -> Value {
        self.mem += CLOSURE_COST;
        Value::Native(Native(self.natives.add(NativeData { code, upvalues, is_next: false })))
    }

    /// An upvalue of the running library function.
    pub(crate) fn native_upvalue(&self, at: usize) -> Value {
        let id = self.st.frames.last().map_or(0, |f| f.id);
        self.natives[id].upvalues.get(at).copied().unwrap_or(Value::Nil)
    }

    pub(crate) fn set_native_upvalue(&mut self, at: usize, value: Value) {
        let id = self.st.frames.last().map_or(0, |f| f.id);
        if let Some(slot) = self.natives[id].upvalues.get_mut(at) {
            *slot = value;
        }
    }

    /// A string value.
    pub fn string(&mut self, bytes: &[u8]) -> Value {
        Value::Str(self.intern(bytes))
    }

    /// The handle of a string.
    pub fn intern(&mut self, bytes: &[u8]) -> Str {
        self.strings.intern(bytes, &mut self.mem)
    }

    /// The bytes of a string.
    pub fn bytes(&self, s: Str) -> &[u8] {
        self.strings.get(s)
    }

    /// Converts a value to text, if it is a string, or a number (as `tostring` formats it).
    pub fn to_text(&self, value: Value) -> Option<Vec<u8>> {
        match value {
            Value::Str(s) => Some(self.bytes(s).to_vec()),
            Value::Num(n) => {
                let mut out = Vec::new();
                crate::number::write_number(&mut out, n);
                Some(out)
            }
            _ => None,
        }
    }

    /// An empty table with capacity for this many array elements and pairs.
    pub fn table(&mut self, elements: usize, pairs: usize) -> Table {
        let data = TableData::with_room(elements, pairs);
        self.mem += data.cost();
        Table(self.tables.add(data))
    }

    /// The globals of functions that are loaded from now on.
    pub fn globals(&self) -> Table {
        self.globals
    }

    /// The value of a key, without metamethods.
    pub fn raw_get(&self, table: Table, key: Value) -> Value {
        self.tables[table.0].get(key)
    }

    /// The value of a string key, without metamethods.
    pub fn raw_get_name(&mut self, table: Table, name: &str) -> Value {
        let key = self.intern(name.as_bytes());
        self.tables[table.0].get_str(key)
    }

    /// Sets the value of a key, without metamethods and even in a read-only table. An invalid key
    /// (nil, NaN) is ignored.
    pub fn raw_set(&mut self, table: Table, key: Value, value: Value) {
        let _ = self.tables[table.0].set(key, value, &mut self.mem);
    }

    /// Sets the value of a string key, without metamethods.
    pub fn raw_set_name(&mut self, table: Table, name: &str, value: Value) {
        let key = self.string(name.as_bytes());
        self.raw_set(table, key, value);
    }

    /// A border of a table, as returned by `#`.
    pub fn raw_len(&self, table: Table) -> i64 {
        self.tables[table.0].len()
    }

    /// The entry after a key in the order of `pairs`, or the first after nil.
    pub fn raw_next(&self, table: Table, key: Value) -> Option<(Value, Value)> {
        self.tables[table.0].next(key).ok().flatten()
    }

    /// Makes a table read-only for scripts (`Attempt to modify a readonly table`), or writable
    /// again.
    pub fn set_readonly(&mut self, table: Table, readonly: bool) {
        self.tables[table.0].readonly = readonly;
    }

    /// Sets the metatable of a table.
    pub fn set_metatable(&mut self, table: Table, meta: Option<Table>) {
        self.tables[table.0].meta = meta;
    }

    /// The metatable of a table.
    pub fn metatable(&self, table: Table) -> Option<Table> {
        self.tables[table.0].meta
    }

    /// The metatable of all strings.
    pub fn string_metatable(&self) -> Option<Table> {
        self.string_meta
    }

    /// Keeps a value alive until it is unpinned, whether scripts can reach it or not.
    pub fn pin(&mut self, value: Value) {
        self.pins.push(value);
    }

    /// Unpins a value.
    pub fn unpin(&mut self, value: Value) {
        if let Some(at) = self.pins.iter().rposition(|&v| v == value) {
            self.pins.swap_remove(at);
        }
    }

    /// The memory in use, in bytes, as the interpreter accounts for it: the same on every platform.
    pub fn memory(&self) -> u64 {
        self.mem
    }

    /// Sets the memory limit, beyond which scripts fail with `not enough memory`.
    pub fn set_memory_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// Seeds `math.random`.
    pub fn seed_random(&mut self, seed: u32) {
        self.random = u64::from(seed) << 16 | 0x330e;
    }

    /// A new userdata.
    pub(crate) fn new_userdata(&mut self, meta: Option<Table>) -> Value {
        self.mem += CLOSURE_COST;
        Value::Userdata(Userdata(self.userdata.add(UserdataData { meta })))
    }

    /// A new coroutine that will call a function.
    pub(crate) fn new_thread(&mut self, function: Value) -> u32 {
        self.mem += THREAD_COST + SLOT_COST;
        let state = State { stack: vec![function], top: 1, ..State::default() };
        self.threads.add(Coroutine { state, status: Status::Suspended, started: false, resumer: 0 })
    }

    /// Switches to another coroutine.
    fn switch_to(&mut self, thread: u32) {
        std::mem::swap(&mut self.st, &mut self.threads[self.current].state);
        std::mem::swap(&mut self.st, &mut self.threads[thread].state);
        self.current = thread;
    }

    /// Charges the budget for work that a library function does at once.
    pub(crate) fn charge(&mut self, work: usize) {
        self.budget -= work as i64;
    }
}
