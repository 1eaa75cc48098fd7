//! Non-blocking TCP and Unix sockets behind one type.

use std::fs::Permissions;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use limpid_core::machine::{Endpoint, NetError};
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token, event};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, SockAddr, SockRef, Socket as RawSocket, TcpKeepalive, Type};

/// Socket settings of the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct SocketOptions {
    /// The TCP keepalive time of accepted connections; `None`: no keepalive.
    pub(crate) keepalive: Option<Duration>,
    /// The permissions of listening Unix sockets; `None` leaves them to the umask.
    pub(crate) unix_mode: Option<u32>,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Starts to connect. [`Socket::outcome`] has the result once the socket is writable.
    pub(super) fn connect(to: &Endpoint, from: Option<&Endpoint>) -> io::Result<Socket> {
        let (domain, address) = match to {
            Endpoint::Ip(ip) => (Domain::for_address(*ip), SockAddr::from(*ip)),
            Endpoint::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let socket = RawSocket::new(domain, Type::STREAM.nonblocking().cloexec(), None)?;
        if let Some(Endpoint::Ip(ip)) = from {
            socket.set_reuse_address(true)?;
            socket.bind(&SockAddr::from(*ip))?;
        }
        match socket.connect(&address) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(e) => return Err(e),
        }
        Ok(match to {
            Endpoint::Ip(_) => {
                socket.set_tcp_nodelay(true)?;
                Socket::Tcp(TcpStream::from_std(socket.into()))
            }
            Endpoint::Unix(_) => Socket::Unix(UnixStream::from_std(socket.into())),
        })
    }

    /// The result of connecting: the local address and the peer's, or an error;
    /// [`ErrorKind::WouldBlock`] while it is pending.
    pub(super) fn outcome(&self) -> io::Result<(Endpoint, Endpoint)> {
        if let Some(error) = self.take_error()? {
            return Err(error);
        }
        let not_yet = |e: io::Error| match e.kind() {
            ErrorKind::NotConnected => ErrorKind::WouldBlock.into(),
            _ => e,
        };
        match self {
            Socket::Tcp(s) => {
                let peer = s.peer_addr().map_err(not_yet)?;
                Ok((Endpoint::Ip(s.local_addr()?), Endpoint::Ip(peer)))
            }
            Socket::Unix(s) => {
                s.peer_addr().map_err(not_yet)?;
                Ok((Endpoint::Unix(String::new()), Endpoint::Unix(String::new())))
            }
        }
    }

    /// Takes the socket's pending error (`SO_ERROR`).
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Socket::Tcp(s) => s.take_error(),
            Socket::Unix(s) => s.take_error(),
        }
    }

    /// Reads by a direct system call: the C library's wrapper takes longer, since it is a
    /// cancellation point for threads.
    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (_, n) = rustix::net::recv(self.as_fd(), buffer, RecvFlags::empty())?;
        Ok(n)
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.as_fd(), bytes, SendFlags::NOSIGNAL)?)
    }

    #[inline]
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.write_vectored(slices),
            Socket::Unix(s) => s.write_vectored(slices),
        }
    }

    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(s) => s.as_fd(),
            Socket::Unix(s) => s.as_fd(),
        }
    }

    fn source(&mut self) -> &mut dyn event::Source {
        match self {
            Socket::Tcp(s) => s,
            Socket::Unix(s) => s,
        }
    }

    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        registry.register(self.source(), token, interest)
    }

    pub(super) fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        registry.reregister(self.source(), token, interest)
    }
}

/// A socket that peers connect to.
#[derive(Debug)]
pub(super) struct Listener {
    socket: ListenerSocket,
    /// Where it listens, with the port that the kernel chose if 0 was asked for.
    endpoint: Endpoint,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Opens a listener.
    pub(super) fn open(at: &Endpoint, backlog: u32, options: &SocketOptions) -> io::Result<Self> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        match at {
            Endpoint::Ip(ip) => {
                let socket = RawSocket::new(
                    Domain::for_address(*ip),
                    Type::STREAM.nonblocking().cloexec(),
                    None,
                )?;
                if ip.is_ipv6() {
                    // `IPV6_V6ONLY`, so that `bind * -::*` can have both families on one port.
                    socket.set_only_v6(true)?;
                }
                socket.set_reuse_address(true)?;
                socket.bind(&SockAddr::from(*ip))?;
                socket.listen(backlog)?;
                let listener = TcpListener::from_std(socket.into());
                let endpoint = Endpoint::Ip(listener.local_addr()?);
                Ok(Listener { socket: ListenerSocket::Tcp(listener), endpoint })
            }
            Endpoint::Unix(path) => {
                let socket =
                    RawSocket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
                // Removes the socket file that a crashed process left behind, since bind would
                // fail.
                let _ = std::fs::remove_file(path);
                socket.bind(&SockAddr::unix(path)?)?;
                if let Some(mode) = options.unix_mode {
                    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
                }
                socket.listen(backlog)?;
                let listener = UnixListener::from_std(socket.into());
                Ok(Listener { socket: ListenerSocket::Unix(listener), endpoint: at.clone() })
            }
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            ListenerSocket::Tcp(l) => registry.register(l, token, Interest::READABLE),
            ListenerSocket::Unix(l) => registry.register(l, token, Interest::READABLE),
        }
    }

    /// Accepts one waiting peer. Returns the connection, the peer's address and the local one.
    pub(super) fn accept(
        &self,
        options: &SocketOptions,
    ) -> io::Result<(Socket, Endpoint, Endpoint)> {
        match &self.socket {
            ListenerSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                // If the peer is gone already, these fail; reading reports that soon enough.
                let _ = stream.set_nodelay(true);
                if let Some(time) = options.keepalive {
                    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive(time));
                }
                let local = match &self.endpoint {
                    Endpoint::Ip(ip) if !ip.ip().is_unspecified() => *ip,
                    _ => stream.local_addr().unwrap_or_else(|_| unspecified_like(&peer)),
                };
                Ok((Socket::Tcp(stream), Endpoint::Ip(peer), Endpoint::Ip(local)))
            }
            ListenerSocket::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), Endpoint::Unix(String::new()), self.endpoint.clone()))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Endpoint::Unix(path) = &self.endpoint {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Converts an error of the operating system to one for a machine.
pub(super) fn net_error(error: &io::Error) -> NetError {
    use rustix::io::Errno;
    match error.kind() {
        // The socket file does not exist: nothing listens on the Unix socket.
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => NetError::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            NetError::Reset
        }
        ErrorKind::TimedOut => NetError::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            NetError::Unreachable
        }
        ErrorKind::AddrInUse => NetError::AddrInUse,
        ErrorKind::AddrNotAvailable => NetError::AddrNotAvailable,
        ErrorKind::PermissionDenied => NetError::Denied,
        _ => match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE | Errno::NFILE) => NetError::TooManyFiles,
            _ => NetError::Other,
        },
    }
}

/// Whether accepting failed for lack of a resource that may soon be available again.
pub(super) fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

/// Keepalive settings as in Redis: three probes, at a third of the time each.
fn keepalive(time: Duration) -> TcpKeepalive {
    let interval = (time / 3).max(Duration::from_secs(1));
    TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(3)
}

fn unspecified_like(peer: &SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
