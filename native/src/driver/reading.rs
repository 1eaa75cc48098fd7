//! Reading from sockets, and giving the machine what arrived.

use super::*;

impl<M: Machine, L: FnMut(LogLine)> Driver<M, L> {
    /// Reads from connections that one read of the last turn did not empty, and from those where
    /// the machine has resumed reading.
    pub(super) fn read_again(&mut self) {
        let n = self.again.len();
        for i in 0..n {
            let slot = self.again[i];
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            connection.in_again = false;
            if connection.readable && connection.may_read() {
                self.read(slot);
            }
        }
        self.again.drain(..n);
    }

    /// Gives the machine the bytes that have been read.
    pub(super) fn tell_arrived(&mut self) {
        if self.arrived.len() > 1 {
            let mut start = 0;
            self.machine.prefetch(self.arrived.iter().map(|&(conn, end)| {
                let bytes = self.buffer.get(start..end).unwrap_or_default();
                start = end;
                (conn, bytes)
            }));
        }
        let mut start = 0;
        for (conn, end) in self.arrived.drain(..) {
            let watch = self.clock.stopwatch();
            let now = Now::new(self.clock.mono(), self.clock.wall(), &watch);
            let bytes = self.buffer.get(start..end).unwrap_or_default();
            self.machine.handle(now, Input::Received { conn, bytes });
            start = end;
        }
    }

    /// Reads once from a connection.
    pub(super) fn read(&mut self, slot: Slot) {
        if self.arrived.last().is_some_and(|(_, end)| GATHERED - end < READ_BUFFER) {
            self.tell_arrived();
        }
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let conn = connection.id;
        let start = self.arrived.last().map_or(0, |(_, end)| *end);
        let room = self.buffer.get_mut(start..start + READ_BUFFER).unwrap_or_default();
        match connection.socket.read(room) {
            Ok(0) => {
                connection.readable = false;
                connection.ended = true;
                self.deliver(Input::Ended { conn });
            }
            Ok(n) => {
                // A short read has emptied the socket, unless its end is still to be read.
                if n == READ_BUFFER || connection.hung_up {
                    mark(slot, &mut connection.in_again, &mut self.again);
                } else {
                    connection.readable = false;
                }
                self.moderation.heard(&mut connection.heard_in);
                self.arrived.push((conn, start + n));
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => connection.readable = false,
            Err(e) if e.kind() == ErrorKind::Interrupted => {
                mark(slot, &mut connection.in_again, &mut self.again);
            }
            Err(e) => self.on_failed(slot, net_error(&e)),
        }
    }
}
