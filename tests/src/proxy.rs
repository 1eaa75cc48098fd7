//! A network between two processes that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Passes connections on to another address until it is told not to. Dropping it cuts them all.
#[derive(Debug)]
pub struct Proxy {
    at: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    ended: bool,
    connections: Vec<TcpStream>,
}

impl Proxy {
    /// A proxy in front of `to`, on a free port of 127.0.0.1.
    pub fn new(to: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let at = listener.local_addr().expect("its address");
        let state = Arc::new(Mutex::new(State::default()));
        let proxy = Proxy { at, state: state.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut state = state.lock().expect("no holder panics");
                if state.ended {
                    return;
                }
                let (Ok(client), false) = (client, state.closed) else { continue };
                let Ok(server) = TcpStream::connect(to) else { continue };
                pass(&client, &server);
                pass(&server, &client);
                state.connections.extend([client, server]);
            }
        });
        proxy
    }

    /// The port of 127.0.0.1 on which it listens.
    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// Cuts every connection, and new ones as well until [`Proxy::open`].
    pub fn close(&self) {
        self.set(true);
    }

    /// Lets new connections through again.
    pub fn open(&self) {
        self.set(false);
    }

    fn set(&self, closed: bool) {
        let mut state = self.state.lock().expect("no holder panics");
        state.closed = closed;
        for connection in state.connections.drain(..) {
            // It may have ended by itself.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
        self.state.lock().expect("no holder panics").ended = true;
        // Wakes the thread, so that it sees the end.
        let _ = TcpStream::connect(self.at);
    }
}

/// Passes bytes on in one direction until either side ends.
fn pass(from: &TcpStream, to: &TcpStream) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    std::thread::spawn(move || {
        let mut chunk = [0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut chunk) {
            if to.write_all(&chunk[..n]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}
