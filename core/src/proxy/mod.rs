//! Proxies between clients and the backends that have the keys.
//!
//! * [`engine`] handles connections, the order of replies, and limits, in the same way for both
//!   proxies.
//! * [`twemproxy`] and [`predixy`] are two [`Rule`]s for it: the supported commands, the
//!   distribution of keys, the treatment of failed backends, and the originals' configuration files
//!   and statistics.
//! * [`View`] is the state of a proxy as plain data.
//! * [`request`] and [`reply`] find the ends of requests and replies in streams of bytes.
//!
//! Hashing of keys is in `sharding`; commands are executed by the backends.

pub mod engine;
pub mod predixy;
pub mod reply;
pub mod request;
pub mod twemproxy;
mod view;

pub use engine::{Engine, Proxy, Rule};
pub use view::{PoolView, ServerView, View};

use crate::machine::{ConnId, Input, Machine, Outbox, Output};
use crate::time::{Mono, Now};

impl<R: Rule> Machine for Proxy<R> {
    #[inline]
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        match input {
            Input::Received { conn, bytes } => self.received(now, conn, bytes),
            Input::Start => self.rule.start(&mut self.engine, now),
            Input::Wake => {
                self.serve_resumable(now);
                self.wake(now);
            }
            Input::Listening { listener, result } => {
                self.rule.listening(&mut self.engine, now, listener, result);
            }
            Input::Accepted { conn, listener, peer, .. } => {
                self.accepted(now, conn, listener, peer);
            }
            Input::Connected { conn, .. } => self.connected(now, conn),
            Input::ConnectFailed { conn, error } | Input::Closed { conn, error } => {
                self.closed(now, conn, error);
            }
            Input::Ended { conn } => self.ended(now, conn),
            Input::Drained { conn } => self.drained(now, conn),
            Input::Disk { op, result } => self.rule.disk(&mut self.engine, now, op, result),
            Input::Signal(signal) => self.rule.signal(&mut self.engine, now, signal),
            Input::Vitals(vitals) => self.rule.vitals(vitals),
            // The other inputs are for programs that start processes or read streams.
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.next_output()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.next_timeout()
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.outbox_of(conn)
    }
}
