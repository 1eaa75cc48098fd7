//! Listening, accepting, and connecting to other servers.

use super::*;

impl<M: Machine, L: FnMut(LogLine)> Driver<M, L> {
    pub(super) fn listen(&mut self, id: ListenerId, at: &Endpoint, backlog: u32) {
        let result = self.open_listener(id, at, backlog).map_err(|e| net_error(&e));
        self.deliver(Input::Listening { listener: id, result });
    }

    pub(super) fn open_listener(
        &mut self,
        id: ListenerId,
        at: &Endpoint,
        backlog: u32,
    ) -> io::Result<Endpoint> {
        let mut listener = Listener::open(at, backlog, &self.options)?;
        let index = self.listeners.iter().position(Option::is_none).unwrap_or(self.listeners.len());
        listener.register(self.poll.registry(), Token(FIRST_LISTENER + index))?;
        let endpoint = listener.endpoint().clone();
        let open = Some(OpenListener { id, listener, ready: false });
        match self.listeners.get_mut(index) {
            Some(free) => *free = open,
            None => self.listeners.push(open),
        }
        Ok(endpoint)
    }

    pub(super) fn unlisten(&mut self, id: ListenerId) {
        for open in &mut self.listeners {
            if open.as_ref().is_some_and(|open| open.id == id) {
                *open = None;
            }
        }
    }

    pub(super) fn connect(&mut self, conn: ConnId, to: Address, from: Option<Endpoint>) {
        let error = match to {
            Address::Endpoint(to) => match self.begin_to_connect(conn, &to, from.as_ref()) {
                Ok(()) => return,
                Err(e) => net_error(&e),
            },
            Address::Name { host, port } => {
                if self.names.look_up(conn, &host, port, from) {
                    return;
                }
                NetError::UnknownName
            }
        };
        self.deliver(Input::ConnectFailed { conn, error });
    }

    /// Starts connecting to the next address of a host. `error` is why the previous one failed.
    pub(super) fn try_next(&mut self, mut wanted: Wanted, mut error: NetError) {
        let conn = wanted.conn;
        while let Some(to) = wanted.next() {
            match self.begin_to_connect(conn, &to, wanted.from.as_ref()) {
                Ok(()) => return self.names.keep(wanted),
                Err(e) => error = net_error(&e),
            }
        }
        self.deliver(Input::ConnectFailed { conn, error });
    }

    pub(super) fn begin_to_connect(
        &mut self,
        conn: ConnId,
        to: &Endpoint,
        from: Option<&Endpoint>,
    ) -> io::Result<()> {
        let mut socket = Socket::connect(to, from)?;
        let token = Connections::token(self.connections.next_slot());
        let both = Interest::READABLE | Interest::WRITABLE;
        socket.register(self.poll.registry(), token, both)?;
        self.connections.insert(Connection::new(conn, socket, true));
        Ok(())
    }

    pub(super) fn accept_waiting(&mut self) {
        if self.accept_pause.is_some_and(|until| until <= self.clock.mono()) {
            self.accept_pause = None;
        }
        for index in 0..self.listeners.len() {
            for _ in 0..MAX_ACCEPTS {
                if self.accept_pause.is_some() || !self.accept_one(index) {
                    break;
                }
            }
        }
    }

    /// Accepts one waiting peer. False if there was none, or no file descriptor for it.
    pub(super) fn accept_one(&mut self, index: usize) -> bool {
        let Some(Some(open)) = self.listeners.get_mut(index) else { return false };
        if !open.ready {
            return false;
        }
        let listener = open.id;
        match open.listener.accept(&self.options) {
            Ok((mut socket, peer, local)) => {
                let token = Connections::token(self.connections.next_slot());
                if socket.register(self.poll.registry(), token, Interest::READABLE).is_err() {
                    // A socket that the poll cannot watch could never be served.
                    return true;
                }
                self.accepted += 1;
                let conn = ConnId::accepted(self.accepted);
                self.connections.insert(Connection::new(conn, socket, false));
                self.deliver(Input::Accepted { conn, listener, peer, local });
                true
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                open.ready = false;
                // Nobody waits any more, so the shortage of descriptors is over.
                self.exhausted = false;
                false
            }
            Err(e) if is_exhaustion(&e) => {
                self.accept_pause = Some(self.clock.mono() + ACCEPT_PAUSE);
                if !std::mem::replace(&mut self.exhausted, true) {
                    let text = format!("Accepting client connection: accept: {}", net_error(&e));
                    (self.log)(LogLine { level: LogLevel::Warning, role: 'M', text });
                }
                false
            }
            // This peer is gone already; the next may not be.
            Err(_) => true,
        }
    }
}
