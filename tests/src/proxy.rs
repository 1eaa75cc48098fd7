//! A TCP proxy between two processes, which can cut their connections.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Forwards connections to another address. Dropping it cuts all of them.
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
    /// Starts a proxy in front of `to`, on a free port of 127.0.0.1.
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

    /// Cuts all connections, and refuses new ones until [`Proxy::open`].
    pub fn close(&self) {
        self.set(true);
    }

    /// Allows new connections again.
    pub fn open(&self) {
        self.set(false);
    }

    fn set(&self, closed: bool) {
        let mut state = self.state.lock().expect("no holder panics");
        state.closed = closed;
        for connection in state.connections.drain(..) {
            // The connection may have ended already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
        self.state.lock().expect("no holder panics").ended = true;
        // Wakes the thread, so that it ends.
        let _ = TcpStream::connect(self.at);
    }
}

/// Forwards bytes in one direction until either side closes.
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
