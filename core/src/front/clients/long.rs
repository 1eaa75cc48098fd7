//! What is still to be written to a client whose reply is long.

use std::collections::VecDeque;

use super::Client;
use crate::command::Rest;
use crate::front::Service;
use crate::machine::Outbox;
use crate::resp::reply::{Reply, Scratch};
use crate::rng::Rng;
use crate::store::Entry;

/// The rest of a long reply, and all that was said to the client since: messages, and the replies
/// to the other commands of a transaction, which may be long again.
#[derive(Clone, Debug)]
pub struct LongReply {
    rest: Rest,
    behind: Outbox,
    later: VecDeque<(Rest, Outbox)>,
    /// Bytes of the reply that have been written, with those that waited when it began.
    written: usize,
}

impl LongReply {
    /// Bytes that would wait for the client at the least if the reply had been written at once.
    pub fn whole(&self) -> usize {
        self.written.saturating_add(self.rest.min_bytes())
    }

    /// Bytes of what was said since.
    pub fn behind(&self) -> usize {
        self.behind.len() + self.later.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }

    /// Gives the copies that it holds to `free`.
    pub fn end(self, mut free: impl FnMut(Entry)) {
        let later = self.later.into_iter().map(|(rest, _)| rest);
        [self.rest].into_iter().chain(later).filter_map(Rest::into_value).for_each(&mut free);
    }
}

impl<S: Service> Client<S> {
    /// Where what is said to the client now goes.
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

    /// The reply that has begun in [`Self::out`] goes on with `rest`.
    pub fn goes_on(&mut self, rest: Rest) {
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

    /// Writes the next slice of a long reply. Gives the copy of a value that was written from and
    /// is not needed any more.
    pub fn go_on(&mut self, scratch: &mut Scratch, rng: &mut Rng) -> Option<Entry> {
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
