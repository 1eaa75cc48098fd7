//! The rest of a long reply, which is written in slices.

use std::collections::VecDeque;

use super::Client;
use crate::command::Rest;
use crate::front::Service;
use crate::machine::Outbox;
use crate::resp::reply::{Reply, Scratch};
use crate::rng::Rng;
use crate::store::Entry;

/// The rest of a long reply, and all output that was produced since: messages, and the replies to
/// further commands of a transaction, which may be long again.
#[derive(Clone, Debug)]
pub struct LongReply {
    rest: Rest,
    behind: Outbox,
    later: VecDeque<(Rest, Outbox)>,
    /// Bytes of the reply written so far, and those that were in the outbox before it.
    written: usize,
}

impl LongReply {
    /// A lower bound of the outbox size, in bytes, if the reply had been written at once.
    pub fn whole(&self) -> usize {
        self.written.saturating_add(self.rest.min_bytes())
    }

    /// Bytes of output produced since.
    pub fn behind(&self) -> usize {
        self.behind.len() + self.later.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }

    /// Passes the copies of values that it holds to `free`.
    pub fn end(self, mut free: impl FnMut(Entry)) {
        let later = self.later.into_iter().map(|(rest, _)| rest);
        [self.rest].into_iter().chain(later).filter_map(Rest::into_value).for_each(&mut free);
    }
}

impl<S: Service> Client<S> {
    /// The buffer for new output.
    #[inline]
    pub fn out(&mut self) -> &mut Outbox {
        match &mut self.long {
            None => &mut self.outbox,
            Some(long) => match long.later.back_mut() {
                Some((_, bytes)) => bytes,
                None => &mut long.behind,
            },
        }
    }

    /// Continues the reply that has begun in [`Self::out`] with `rest`, in slices.
    pub fn continue_with(&mut self, rest: Rest) {
        match &mut self.long {
            Some(long) => long.later.push_back((rest, Outbox::default())),
            None => {
                self.long = Some(Box::new(LongReply {
                    rest,
                    behind: Outbox::default(),
                    later: VecDeque::new(),
                    written: self.outbox.len(),
                }));
            }
        }
    }

    /// Writes the next slice of a long reply. Returns the copy of a value that is no longer needed.
    pub fn write_slice(&mut self, scratch: &mut Scratch, rng: &mut Rng) -> Option<Entry> {
        let mut long = self.long.take()?;
        let before = self.outbox.len();
        let mut reply = Reply::new(&mut self.outbox, scratch, long.rest.proto());
        let ended = long.rest.write(&mut reply, rng);
        long.written += self.outbox.len() - before;
        if !ended {
            self.long = Some(long);
            return None;
        }
        self.outbox.append(core::mem::take(&mut long.behind));
        let spent = match long.later.pop_front() {
            Some((rest, behind)) => {
                long.behind = behind;
                let spent = core::mem::replace(&mut long.rest, rest);
                self.long = Some(long);
                spent
            }
            None => long.rest,
        };
        spent.into_value()
    }
}
