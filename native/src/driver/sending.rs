//! Writing outboxes to sockets.

use super::*;

impl<M: Machine, L: FnMut(LogLine)> Driver<M, L> {
    /// Hands gathered messages to the next [`Self::flush`].
    pub(super) fn release_gathered(&mut self) {
        for slot in self.gathering.drain(..) {
            // Replies on the same connection may have taken the messages along.
            if let Some(connection) = self.connections.get_mut(slot)
                && std::mem::take(&mut connection.in_gathering)
            {
                mark(slot, &mut connection.in_dirty, &mut self.dirty);
            }
        }
    }

    /// Writes once to every connection that has something to send.
    pub(super) fn flush(&mut self) {
        let n = self.dirty.len();
        for i in 0..n {
            let slot = self.dirty[i];
            self.write(slot);
        }
        self.dirty.drain(..n);
    }

    pub(super) fn write(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.in_dirty = false;
        connection.in_gathering = false;
        if connection.blocked || connection.connecting {
            return;
        }
        let Some(outbox) = self.machine.outbox(connection.id) else { return };
        let (offered, taken) = match offer(&mut connection.socket, outbox) {
            (offered, Ok(n)) => (offered, n),
            (offered, Err(e)) if e.kind() == ErrorKind::WouldBlock => (offered, 0),
            (_, Err(e)) if e.kind() == ErrorKind::Interrupted => {
                return mark(slot, &mut connection.in_dirty, &mut self.dirty);
            }
            (_, Err(e)) => return self.on_failed(slot, net_error(&e)),
        };
        if outbox.consume(taken) {
            self.notices.push(Notice::Drained(connection.id));
        }
        if outbox.is_empty() {
            if connection.closing {
                self.on_failed(slot, NetError::Eof);
            }
        } else if taken < offered {
            connection.blocked = true;
            if !connection.writable_watched {
                connection.writable_watched = true;
                let both = Interest::READABLE | Interest::WRITABLE;
                let token = Connections::token(slot);
                if connection.socket.reregister(self.poll.registry(), token, both).is_err() {
                    self.on_failed(slot, NetError::Other);
                }
            }
        } else if outbox.ready() > 0 {
            mark(slot, &mut connection.in_dirty, &mut self.dirty);
        }
    }
}

/// Offers a socket as much of an outbox as one system call takes. Returns how many bytes that was,
/// and how many the socket took.
#[inline(always)]
fn offer(socket: &mut Socket, outbox: &Outbox) -> (usize, io::Result<usize>) {
    if let Some(whole) = outbox.whole() {
        return (whole.len(), socket.write(whole));
    }
    let mut slices = outbox.slices();
    let Some(first) = slices.next() else { return (0, Ok(0)) };
    let Some(second) = slices.next() else { return (first.len(), socket.write(first)) };
    let mut vector = [IoSlice::new(&[]); MAX_SLICES];
    let (mut count, mut offered) = (0, 0);
    for (place, slice) in vector.iter_mut().zip([first, second].into_iter().chain(slices)) {
        *place = IoSlice::new(slice);
        count += 1;
        offered += slice.len();
    }
    (offered, socket.write_vectored(&vector[..count]))
}
