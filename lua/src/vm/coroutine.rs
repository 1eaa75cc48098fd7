//! Coroutines: resuming, yielding and ending.

use super::{Cont, Lua, MAX_C_CALLS, Out, Raise, State, Status};
use crate::value::{Thread, Value};

impl Lua {
    /// Ends the current coroutine and switches back to its resumer.
    pub(super) fn end_coroutine(&mut self) {
        self.close_upvalues(0);
        let ended = self.current;
        self.mem = self.mem.saturating_sub(self.st.cost());
        self.st = State::default();
        self.threads[ended].status = Status::Dead;
        self.back_to_resumer(ended);
    }

    pub(super) fn back_to_resumer(&mut self, from: u32) {
        let resumer = self.threads[from].resumer;
        self.switch_to(resumer);
        self.threads[resumer].status = Status::Running;
    }

    /// The result of `resume` or of a wrapping function, with the values in `out`.
    pub(super) fn back_in_resumer(&mut self, ok: bool) -> Result<Out, Raise> {
        match self.st.conts.pop().map(|(_, cont)| cont) {
            Some(Cont::Resume) => {
                self.out.insert(0, Value::Bool(ok));
                Ok(Out::List)
            }
            _ if ok => Ok(Out::List),
            _ => {
                // A wrapping function propagates an error, prefixed with the position of its
                // caller.
                let mut value = self.out.first().copied().unwrap_or(Value::Nil);
                if let Some(text) = self.as_string(value) {
                    let mut bytes = self.place(1).into_bytes();
                    bytes.extend_from_slice(self.bytes(text));
                    value = self.string(&bytes);
                }
                Err(Raise(value))
            }
        }
    }

    /// Resumes a coroutine with the values in `out`.
    pub(crate) fn resume(&mut self, thread: Thread, cont: Cont) -> Result<Out, Raise> {
        let status = match self.threads[thread.0].status {
            Status::Suspended => None,
            Status::Dead => Some("dead"),
            Status::Running => Some("running"),
            Status::Normal => Some("normal"),
        };
        let mut refused = status.map(|s| format!("cannot resume {s} coroutine"));
        let mut depth = 0;
        let mut at = self.current;
        while at != 0 {
            depth += 1;
            at = self.threads[at].resumer;
        }
        if depth >= MAX_C_CALLS {
            refused = Some("C stack overflow".to_owned());
        }
        if let Some(text) = refused {
            self.out.clear();
            let text = self.string(text.as_bytes());
            self.out.push(text);
            self.push_cont(cont);
            return self.back_in_resumer(false);
        }
        self.push_cont(cont);
        let from = self.current;
        self.threads[from].status = Status::Normal;
        let coroutine = &mut self.threads[thread.0];
        coroutine.status = Status::Running;
        coroutine.resumer = from;
        let started = std::mem::replace(&mut coroutine.started, true);
        self.switch_to(thread.0);
        if started {
            return Ok(Out::List);
        }
        let args = std::mem::take(&mut self.out);
        self.grow_stack(args.len() + 1);
        self.st.stack[1..=args.len()].copy_from_slice(&args);
        let count = args.len();
        self.out = args;
        self.out.clear();
        Ok(Out::Enter(count))
    }

    /// Yields the values in `out` from the current coroutine.
    pub(crate) fn yield_values(&mut self) -> Result<Out, Raise> {
        if self.current == 0 || self.st.c_calls > 0 {
            return Err(self.machine_error("attempt to yield across metamethod/C-call boundary"));
        }
        let from = self.current;
        self.threads[from].status = Status::Suspended;
        self.back_to_resumer(from);
        self.back_in_resumer(true)
    }

    pub(super) fn resumer_cont(&self) -> Option<&Cont> {
        self.threads[self.threads[self.current].resumer].state.conts.last().map(|(_, cont)| cont)
    }

    /// Whether an error that leaves the current coroutine will be caught by one of its resumers.
    pub(super) fn is_caught_outside(&self) -> bool {
        let mut at = self.current;
        while at != 0 {
            at = self.threads[at].resumer;
            let conts = &self.threads[at].state.conts;
            if conts.iter().any(|(_, c)| {
                matches!(c, Cont::Pcall | Cont::Xpcall(_) | Cont::Handler | Cont::Resume)
            }) {
                return true;
            }
        }
        false
    }
}
