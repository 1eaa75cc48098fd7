//! Tests of the driver with an echo machine, over real sockets and files.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use limpid_core::machine::{
    Address, Close, ConnId, DiskDone, DiskError, DiskErrorKind, DiskOp, Endpoint, FileId, Input,
    ListenerId, Machine, NetError, OpId, OpenMode, Outbox, Output, Signal,
};
use limpid_core::time::{Mono, Now};
use socket2::SockRef;
use tempfile::TempDir;

use super::{Driver, Mailbox, Message, SocketOptions};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of echo waiting at which [`Echo`] stops reading, and at which it goes on.
const HIGH: usize = 1 << 20;
const LOW: usize = 1 << 18;

/// Bytes that begin so are sent back by [`Output::SendSoon`].
const SOON: &[u8] = b"soon";

/// A machine that echoes, reports its inputs to the test, and emits the outputs that the test
/// orders.
#[derive(Default)]
struct Echo {
    outboxes: BTreeMap<ConnId, Outbox>,
    outputs: VecDeque<Output>,
    orders: Arc<Mutex<Vec<Output>>>,
    told: Option<Sender<Told>>,
    wake_at: Option<Mono>,
}

/// An input of the machine, as far as tests look at it.
#[derive(Debug, PartialEq)]
enum Told {
    Listening(Result<Endpoint, NetError>),
    Accepted(ConnId),
    Connected(Endpoint),
    ConnectFailed(NetError),
    Ended,
    Paused,
    Drained,
    Closed(NetError),
    Disk(u64, Result<DiskDone, DiskError>),
    Woken,
    /// Bytes arrived that are sent back by [`Output::SendSoon`].
    Soon,
}

impl Echo {
    fn tell(&self, told: Told) {
        // The test may drop its receiver before the machine ends.
        let _ = self.told.as_ref().map(|sender| sender.send(told));
    }
}

impl Machine for Echo {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        match input {
            Input::Listening { result, .. } => self.tell(Told::Listening(result)),
            Input::Accepted { conn, .. } => {
                self.outboxes.insert(conn, Outbox::default());
                self.tell(Told::Accepted(conn));
            }
            Input::Connected { conn, local, .. } => {
                self.outboxes.entry(conn).or_default();
                self.tell(Told::Connected(local));
            }
            Input::ConnectFailed { error, .. } => self.tell(Told::ConnectFailed(error)),
            Input::Received { conn, bytes } => {
                let outbox = self.outboxes.get_mut(&conn).expect("a known connection");
                outbox.write(bytes);
                self.outputs.push_back(match bytes.starts_with(SOON) {
                    true => {
                        let _ = self.told.as_ref().map(|sender| sender.send(Told::Soon));
                        Output::SendSoon { conn }
                    }
                    false => Output::Send { conn },
                });
                assert!(outbox.len() < HIGH + 4 * super::READ_BUFFER, "back-pressure holds");
                if outbox.len() > HIGH {
                    outbox.set_low_water(LOW);
                    self.outputs.push_back(Output::Reading { conn, on: false });
                    self.tell(Told::Paused);
                }
            }
            Input::Ended { conn } => {
                self.tell(Told::Ended);
                self.outputs.push_back(Output::Close { conn, how: Close::AfterSending });
            }
            Input::Drained { conn } => {
                self.tell(Told::Drained);
                self.outputs.push_back(Output::Reading { conn, on: true });
            }
            Input::Closed { conn, error } => {
                assert!(self.outboxes.remove(&conn).is_some(), "told once");
                self.tell(Told::Closed(error));
            }
            Input::Disk { op, result } => self.tell(Told::Disk(op.0, result)),
            Input::Wake => {
                self.wake_at = None;
                self.tell(Told::Woken);
            }
            Input::Signal(Signal::Interrupt) => {
                self.outputs.extend(self.orders.lock().expect("not poisoned").drain(..));
                self.wake_at = Some(now.mono + Duration::from_millis(3));
            }
            Input::Signal(Signal::Terminate) => self.outputs.push_back(Output::Exit { code: 7 }),
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.wake_at
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.outboxes.get_mut(&conn)
    }
}

/// A test harness: a driver in a thread of its own, which ends when this is dropped.
struct Harness {
    mailbox: Arc<Mailbox>,
    orders: Arc<Mutex<Vec<Output>>>,
    told: Receiver<Told>,
    thread: Option<JoinHandle<i32>>,
}

impl Harness {
    fn new() -> Self {
        let (sender, told) = channel();
        let orders = Arc::default();
        let echo = Echo { told: Some(sender), orders: Arc::clone(&orders), ..Echo::default() };
        let options =
            SocketOptions { keepalive: Some(Duration::from_secs(300)), unix_mode: Some(0o700) };
        let driver = Driver::new(echo, options, |line| panic!("{line:?}")).expect("a driver");
        let mailbox = driver.mailbox();
        let thread =
            std::thread::spawn(|| driver.run(|| {}).expect("a loop that ends in good order"));
        Harness { mailbox, orders, told, thread: Some(thread) }
    }

    fn order(&self, outputs: impl IntoIterator<Item = Output>) {
        self.orders.lock().expect("not poisoned").extend(outputs);
        self.mailbox.put([Message::Signal(Signal::Interrupt)]);
    }

    /// Waits until the machine gets an input that `wanted` recognises.
    fn wait<T>(&self, mut wanted: impl FnMut(Told) -> Option<T>) -> T {
        loop {
            let told = self.told.recv_timeout(TIMEOUT).expect("something more happens");
            if let Some(it) = wanted(told) {
                return it;
            }
        }
    }

    fn wait_for(&self, expected: &Told) {
        self.wait(|told| (told == *expected).then_some(()));
    }

    fn listen_at(&self, at: Endpoint) -> Result<Endpoint, NetError> {
        self.order([Output::Listen { listener: ListenerId(1), at, backlog: 4096 }]);
        self.wait(|told| match told {
            Told::Listening(result) => Some(result),
            _ => None,
        })
    }

    fn listen(&self) -> SocketAddr {
        match self.listen_at(Endpoint::Ip((Ipv4Addr::LOCALHOST, 0).into())) {
            Ok(Endpoint::Ip(address)) => address,
            other => panic!("{other:?}"),
        }
    }

    fn disk(&self, op: u64, what: DiskOp) -> Result<DiskDone, DiskError> {
        self.order([Output::Disk { op: OpId(op), what }]);
        self.disk_result(op)
    }

    fn disk_result(&self, op: u64) -> Result<DiskDone, DiskError> {
        self.wait(|told| match told {
            Told::Disk(of, result) if of == op => Some(result),
            _ => None,
        })
    }

    fn stop(&mut self) -> i32 {
        self.mailbox.put([Message::Signal(Signal::Terminate)]);
        self.thread.take().map_or(0, |thread| thread.join().expect("no panic on the way"))
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if self.thread.is_some() && !std::thread::panicking() {
            assert_eq!(self.stop(), 7);
        }
    }
}

fn client(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    stream
}

fn echoes(stream: &mut (impl Read + Write), text: &[u8]) {
    stream.write_all(text).expect("sent");
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).expect("echoed");
    assert_eq!(back, text);
}

/// Bytes in which a loss, a duplicate or a wrong order shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

#[test]
fn many_connections_are_served_and_numbered_in_order() {
    let harness = Harness::new();
    let address = harness.listen();
    let mut clients: Vec<_> = (0..200).map(|_| client(address)).collect();
    for round in 0..5 {
        for (i, stream) in clients.iter_mut().enumerate() {
            echoes(stream, format!("round {round} of {i}").as_bytes());
        }
    }
    for n in 1..=200 {
        harness.wait_for(&Told::Accepted(ConnId::accepted(n)));
    }
}

#[test]
fn pushed_messages_leave_before_long() {
    let harness = Harness::new();
    let address = harness.listen();
    let (mut a, mut b) = (client(address), client(address));
    for _ in 0..50 {
        echoes(&mut a, b"soon, alone");
        a.write_all(b"soon, ").expect("a write");
        echoes(&mut b, b"at once");
        a.write_all(b"then at once").expect("a write");
        let mut got = [0; 18];
        a.read_exact(&mut got).expect("both");
        assert_eq!(&got, b"soon, then at once");
    }
    // The message arrives while others are answered; its own connection need not send anything
    // more.
    for _ in 0..500 {
        a.write_all(b"soon").expect("a write");
        echoes(&mut b, b"at once");
        let mut got = [0; 4];
        a.read_exact(&mut got).expect("it has come");
        assert_eq!(&got, b"soon");
    }
    // Busy connections do not hold it back.
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let busy = [0; 3].map(|_| {
        let (mut other, done) = (client(address), Arc::clone(&done));
        std::thread::spawn(move || {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                echoes(&mut other, b"at once");
            }
        })
    });
    for _ in 0..50 {
        echoes(&mut a, b"soon");
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    busy.into_iter().for_each(|thread| thread.join().expect("echoes"));
    // All earlier ones have arrived; this one arrives before the order to exit.
    while harness.told.try_recv().is_ok() {}
    a.write_all(b"soon").expect("a write");
    harness.wait_for(&Told::Soon);
    drop(harness);
    let mut rest = Vec::new();
    a.read_to_end(&mut rest).expect("an end");
    assert_eq!(rest, b"soon");
}

#[test]
fn a_storm_of_connections_is_let_in() {
    let harness = Harness::new();
    let address = harness.listen();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    echoes(&mut client(address), b"hello");
                }
            });
        }
    });
    harness.wait_for(&Told::Accepted(ConnId::accepted(2_000)));
}

#[test]
fn a_deep_pipeline_comes_back_whole() {
    let harness = Harness::new();
    let mut stream = client(harness.listen());
    let sent = pattern(32 << 20);
    let mut writer = stream.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&sent).expect("sent");
            writer.shutdown(Shutdown::Write).expect("ended");
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).expect("all of it and an end");
        assert!(back == sent, "the bytes that came back are those that went out");
    });
}

#[test]
fn a_peer_that_ends_its_side_gets_the_rest_and_then_an_end() {
    let harness = Harness::new();
    let address = harness.listen();
    // The end may come with the bytes or after them.
    for _ in 0..100 {
        let mut stream = client(address);
        stream.write_all(b"last words").expect("sent");
        stream.shutdown(Shutdown::Write).expect("ended");
        let mut back = String::new();
        stream.read_to_string(&mut back).expect("the echo and an end");
        assert_eq!(back, "last words");
        harness.wait_for(&Told::Ended);
        harness.wait_for(&Told::Closed(NetError::Eof));
    }
}

#[test]
fn a_reset_connection_does_not_affect_others() {
    let harness = Harness::new();
    let address = harness.listen();
    let mut other = client(address);
    for _ in 0..20 {
        let mut stream = client(address);
        echoes(&mut stream, b"one");
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a hard close");
        drop(stream);
        harness.wait_for(&Told::Closed(NetError::Reset));
        echoes(&mut other, b"still here");
    }
}

#[test]
fn a_slow_reader_is_not_read_from_and_others_are() {
    let harness = Harness::new();
    let address = harness.listen();
    let (mut slow, mut other) = (client(address), client(address));
    let sent = pattern(24 << 20);
    let mut writer = slow.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent).expect("sent when there is room"));
        harness.wait_for(&Told::Paused);
        echoes(&mut other, b"served meanwhile");
        let mut back = vec![0; sent.len()];
        slow.read_exact(&mut back).expect("all of it");
        assert!(back == sent, "nothing was lost on the way");
    });
    harness.wait_for(&Told::Drained);
}

#[test]
fn a_reset_is_noticed_on_a_connection_that_is_not_read() {
    let harness = Harness::new();
    let mut stream = client(harness.listen());
    let flood = pattern(1 << 20);
    stream.set_nonblocking(true).expect("non-blocking");
    // Write until the machine has stopped reading and both socket buffers are full.
    harness.wait(|told| {
        assert!(!matches!(told, Told::Closed(_)));
        while stream.write(&flood).is_ok() {}
        (told == Told::Paused).then_some(()).or_else(|| {
            harness.order([]);
            None
        })
    });
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a hard close");
    drop(stream);
    harness.wait_for(&Told::Closed(NetError::Reset));
}

#[test]
fn outbound_connections_stand_or_fail_with_a_reason() {
    let harness = Harness::new();
    let peer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let to = Endpoint::Ip(peer.local_addr().expect("its address"));
    let from = Endpoint::Ip((Ipv4Addr::new(127, 0, 0, 2), 0).into());
    let conn = ConnId::connected(1);
    harness.order([Output::Connect { conn, to: to.clone().into(), from: Some(from) }]);
    let (mut stream, address) = peer.accept().expect("the driver connects");
    assert_eq!(address.ip(), Ipv4Addr::new(127, 0, 0, 2));
    harness.wait_for(&Told::Connected(Endpoint::Ip(address)));
    echoes(&mut stream, b"hello");
    drop((stream, peer));
    harness.wait_for(&Told::Ended);
    harness.order([Output::Connect { conn: ConnId::connected(2), to: to.into(), from: None }]);
    harness.wait_for(&Told::ConnectFailed(NetError::Refused));
    let to = Endpoint::Unix("/nowhere/at/all.sock".into());
    harness.order([Output::Connect { conn: ConnId::connected(3), to: to.into(), from: None }]);
    harness.wait_for(&Told::ConnectFailed(NetError::Refused));
}

#[test]
fn a_host_may_be_named_and_all_its_addresses_are_tried() {
    let harness = Harness::new();
    // Where localhost is also ::1, nothing listens on that address.
    let peer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let port = peer.local_addr().expect("its address").port();
    let named = |host: &str| Address::Name { host: host.to_owned(), port };
    let conn = ConnId::connected(1);
    harness.order([Output::Connect { conn, to: named("localhost"), from: None }]);
    let (mut stream, address) = peer.accept().expect("the driver connects");
    harness.wait_for(&Told::Connected(Endpoint::Ip(address)));
    echoes(&mut stream, b"hello");
    // An invalid name, so that no name server is asked.
    let conn = ConnId::connected(2);
    harness.order([Output::Connect { conn, to: named(&"x".repeat(300)), from: None }]);
    harness.wait_for(&Told::ConnectFailed(NetError::UnknownName));
    // A cancelled connection is not reported.
    let conn = ConnId::connected(3);
    let close = Output::Close { conn, how: Close::Now };
    harness.order([Output::Connect { conn, to: named("localhost"), from: None }, close]);
    drop(peer);
    let conn = ConnId::connected(4);
    harness.order([Output::Connect { conn, to: named("localhost"), from: None }]);
    harness.wait_for(&Told::ConnectFailed(NetError::Refused));
}

#[test]
fn a_taken_address_is_told_and_a_closed_listener_frees_it() {
    let harness = Harness::new();
    // An address that no other test uses: one of those could take the port while it is free.
    let own = Endpoint::Ip((Ipv4Addr::new(127, 0, 0, 77), 0).into());
    let Ok(Endpoint::Ip(address)) = harness.listen_at(own) else { panic!("no free port") };
    let other = Harness::new();
    assert_eq!(other.listen_at(Endpoint::Ip(address)), Err(NetError::AddrInUse));
    let foreign = Endpoint::Ip((Ipv4Addr::new(192, 0, 2, 1), 0).into());
    assert_eq!(other.listen_at(foreign), Err(NetError::AddrNotAvailable));
    let mut stream = client(address);
    echoes(&mut stream, b"before");
    harness.order([Output::Unlisten { listener: ListenerId(1) }]);
    harness.wait_for(&Told::Woken);
    // The echo was read after the order had been carried out.
    echoes(&mut stream, b"between");
    assert!(other.listen_at(Endpoint::Ip(address)).is_ok());
    echoes(&mut stream, b"and after");
}

#[test]
fn a_unix_socket_has_its_mode_and_goes_with_its_listener() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("limpid.sock");
    std::fs::write(&path, b"left behind").expect("a file in the way");
    let mut harness = Harness::new();
    let at = Endpoint::Unix(path.to_str().expect("UTF-8").into());
    assert_eq!(harness.listen_at(at.clone()), Ok(at.clone()));
    assert_eq!(std::fs::metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o700);
    let mut stream = UnixStream::connect(&path).expect("a connection");
    echoes(&mut stream, b"hello");
    harness.order([Output::Connect { conn: ConnId::connected(1), to: at.into(), from: None }]);
    harness.wait_for(&Told::Connected(Endpoint::Unix(String::new())));
    assert_eq!(harness.stop(), 7);
    assert!(!path.exists());
}

#[test]
fn the_machine_is_woken_when_it_asked_to_be() {
    let harness = Harness::new();
    for _ in 0..3 {
        harness.order([]);
        harness.wait_for(&Told::Woken);
    }
}

#[test]
fn files_are_written_read_and_listed_in_order() {
    let dir = TempDir::new().expect("a directory");
    let at = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_string();
    let harness = Harness::new();
    let file = FileId(1);
    let append = |bytes: &[u8]| DiskOp::Append { file, bytes: bytes.to_vec() };
    // All at once: the driver keeps the order.
    let ops = [
        DiskOp::MakeDir { path: at("sub/deep") },
        DiskOp::Open { file, path: at("sub/temp"), mode: OpenMode::Create },
        append(b"hello "),
        append(b"world"),
        DiskOp::Sync { file },
        append(b"!!!"),
        DiskOp::Truncate { file, len: 12 },
        append(b"\n"),
        DiskOp::Sync { file },
        DiskOp::Read { file, offset: 6, len: 100 },
        DiskOp::Close { file },
        DiskOp::Rename { from: at("sub/temp"), to: at("sub/kept") },
        DiskOp::SyncDir { path: at("sub") },
        DiskOp::Load { path: at("sub/kept") },
        DiskOp::Replace { path: at("sub/small"), bytes: b"new".to_vec() },
        DiskOp::List { path: at("sub") },
        DiskOp::Remove { path: at("sub/small") },
    ];
    let count = ops.len() as u64;
    harness.order((0..).zip(ops).map(|(op, what)| Output::Disk { op: OpId(op), what }));
    let mut results: BTreeMap<u64, Result<DiskDone, DiskError>> = BTreeMap::new();
    harness.wait(|told| {
        if let Told::Disk(op, result) = told {
            assert!(results.insert(op, result).is_none(), "one answer each");
        }
        (results.len() as u64 == count).then_some(())
    });
    assert!(results.values().all(Result::is_ok), "{results:?}");
    assert_eq!(results[&1], Ok(DiskDone::Opened { len: 0 }));
    assert_eq!(results[&9], Ok(DiskDone::Data(b"world!\n".to_vec())));
    assert_eq!(results[&13], Ok(DiskDone::Data(b"hello world!\n".to_vec())));
    let names = ["deep", "kept", "small"].map(String::from).to_vec();
    assert_eq!(results[&15], Ok(DiskDone::Names(names)));
}

#[test]
fn an_append_mode_file_grows_from_its_end_and_errors_have_a_kind_and_words() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("log").to_str().expect("UTF-8").to_string();
    std::fs::write(&path, b"old").expect("a file");
    let harness = Harness::new();
    let file = FileId(1);
    let open = DiskOp::Open { file, path: path.clone(), mode: OpenMode::Append };
    assert_eq!(harness.disk(1, open), Ok(DiskDone::Opened { len: 3 }));
    assert_eq!(harness.disk(2, DiskOp::Append { file, bytes: b" new".into() }), Ok(DiskDone::Done));
    assert_eq!(std::fs::read(&path).expect("the file"), b"old new");
    let missing =
        DiskError { kind: DiskErrorKind::NotFound, message: "No such file or directory".into() };
    assert_eq!(harness.disk(3, DiskOp::Load { path: format!("{path}.not") }), Err(missing));
    let under_a_file = DiskOp::MakeDir { path: format!("{path}/sub") };
    assert_eq!(
        harness.disk(4, under_a_file).map_err(|e| e.kind),
        Err(DiskErrorKind::NotADirectory)
    );
    let closed = DiskOp::Sync { file: FileId(9) };
    assert_eq!(harness.disk(5, closed).map_err(|e| e.kind), Err(DiskErrorKind::Io));
}

#[test]
fn symbolic_links_are_made_read_and_told_from_what_they_lead_to() {
    let dir = TempDir::new().expect("a directory");
    let at = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_string();
    std::fs::write(at("file"), b"12345").expect("a file");
    let harness = Harness::new();
    let link = || DiskOp::MakeLink { target: "file".into(), path: at("link") };
    assert_eq!(harness.disk(1, link()), Ok(DiskDone::Done));
    assert_eq!(harness.disk(2, link()).map_err(|e| e.message), Err("File exists".to_owned()));
    let read = DiskOp::ReadLink { path: at("link") };
    assert_eq!(harness.disk(3, read), Ok(DiskDone::Data(b"file".to_vec())));
    let told = |op: u64, what: DiskOp| match harness.disk(op, what) {
        Ok(DiskDone::Stat(stat)) => (stat.link, stat.len),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(4, DiskOp::StatLink { path: at("link") }), (true, 4));
    assert_eq!(told(5, DiskOp::Stat { path: at("link") }), (false, 5));
    let no_link = DiskOp::ReadLink { path: at("file") };
    assert_eq!(harness.disk(6, no_link).map_err(|e| e.message), Err("Invalid argument".to_owned()));
}

#[test]
fn what_is_done_to_one_file_is_told_in_order() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("log").to_str().expect("UTF-8").to_string();
    let harness = Harness::new();
    let file = FileId(1);
    let open = DiskOp::Open { file, path, mode: OpenMode::Append };
    assert_eq!(harness.disk(0, open), Ok(DiskDone::Opened { len: 0 }));
    for round in 0..300 {
        // Each round ends with an append that is carried out at once if nothing else is pending.
        let whats = [
            DiskOp::Read { file, offset: 0, len: 1 << 16 },
            DiskOp::Append { file, bytes: vec![b'x'; 70_000] },
            DiskOp::Read { file, offset: 1 << 16, len: 1 },
            DiskOp::Truncate { file, len: 10 },
            DiskOp::Append { file, bytes: b"short".to_vec() },
        ];
        let first = 1 + round * whats.len() as u64;
        for (op, what) in (first..).zip(whats) {
            harness.order([Output::Disk { op: OpId(op), what }]);
        }
        for op in first..first + 5 {
            let told = harness.wait(|told| match told {
                Told::Disk(of, _) => Some(of),
                _ => None,
            });
            assert_eq!(told, op);
        }
    }
}

#[test]
fn nothing_is_written_behind_an_append_that_failed_until_the_machine_knows() {
    let harness = Harness::new();
    let file = FileId(1);
    // `/dev/full`: a device on which every write fails with ENOSPC.
    let open = DiskOp::Open { file, path: "/dev/full".into(), mode: OpenMode::Append };
    assert_eq!(harness.disk(1, open), Ok(DiskDone::Opened { len: 0 }));
    let append =
        |op| Output::Disk { op: OpId(op), what: DiskOp::Append { file, bytes: b"x".to_vec() } };
    harness.order([append(2), append(3)]);
    for op in [2, 3] {
        assert_eq!(harness.disk_result(op).map_err(|e| e.kind), Err(DiskErrorKind::NoSpace));
    }
}

#[test]
fn what_was_asked_of_the_disk_is_done_before_the_process_ends() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("kept").to_str().expect("UTF-8").to_string();
    let mut harness = Harness::new();
    let what = DiskOp::Replace { path: path.clone(), bytes: b"safe".to_vec() };
    harness.order([Output::Disk { op: OpId(1), what }]);
    assert_eq!(harness.stop(), 7);
    assert_eq!(std::fs::read(&path).expect("the file"), b"safe");
}
