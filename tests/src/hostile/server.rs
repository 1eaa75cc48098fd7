//! A server without a network, with one client, that is discarded after a case.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};

use limpid_core::machine::{
    ConnId, DiskDone, DiskError, DiskErrorKind, DiskOp, Endpoint, Input, Machine, Output,
};
use limpid_core::resp::value::encode_command;
use limpid_core::server::{Config, Facts, Server};
use limpid_core::time::{Duration, Mono, Now, Wall};

/// The most turns that a request may take before it counts as an endless loop.
const TURNS: u32 = 400;

/// The path of the ACL file, if a server is given one.
pub(super) const USERS: &str = "users.acl";

/// A server and its client.
#[derive(Clone)]
pub(super) struct Asked {
    server: Server,
    mono: Mono,
    exited: bool,
    /// The last line of its log.
    said: String,
    /// The bytes that the client got; `None` if they are not recorded.
    replies: Option<Vec<u8>>,
}

impl Asked {
    const CLIENT: ConnId = ConnId(0);

    /// A fresh server.
    pub(super) fn new() -> Asked {
        thread_local! {
            static FRESH: RefCell<Option<Asked>> = const { RefCell::new(None) };
        }
        FRESH.with_borrow_mut(|fresh| {
            let config = "save \"\"\nenable-debug-command yes\nbusy-reply-threshold 1\n";
            let started = fresh.get_or_insert_with(|| {
                let mut asked = Asked::with(config, None);
                asked.ask(&[b"debug", b"set-skip-checksum-validation", b"1"]);
                // Creates the script interpreters before the cases start.
                asked.ask(&[b"eval", b"return 1", b"0"]);
                asked
            });
            started.clone()
        })
    }

    /// A server with a configuration, for which [`USERS`] is the only existing file.
    pub(super) fn with(config: &str, file: Option<&[u8]>) -> Asked {
        let config = Config::parse(config.as_bytes(), &[], &mut |_| Err(String::new()));
        let server = Server::new(config.expect("a good configuration"), Facts::default());
        let mut asked = Asked {
            server,
            mono: Mono(1_000_000_000),
            exited: false,
            said: String::new(),
            replies: None,
        };
        let outputs = asked.turn(Input::Start, file);
        let mut listener = None;
        for output in outputs {
            if let Output::Listen { listener: name, at, .. } = output {
                listener.get_or_insert(name);
                asked.turn(Input::Listening { listener: name, result: Ok(at) }, file);
            }
        }
        if let Some(listener) = listener {
            let at = |port| Endpoint::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let (peer, local) = (at(50_000), at(6_379));
            asked.turn(Input::Accepted { conn: Self::CLIENT, listener, peer, local }, None);
        }
        asked
    }

    /// The last log line of the server, if it has ended.
    pub(super) fn ended(&self) -> Option<&str> {
        self.exited.then_some(&self.said)
    }

    /// Sends a command.
    pub(super) fn ask(&mut self, words: &[&[u8]]) {
        let mut request = Vec::new();
        encode_command(words, &mut request);
        self.send(&request);
    }

    /// Sends a command, and returns the reply.
    pub(super) fn reply(&mut self, words: &[&[u8]]) -> Vec<u8> {
        self.replies = Some(Vec::new());
        self.ask(words);
        self.replies.take().unwrap_or_default()
    }

    /// Sends bytes, and runs the server until it is idle or has used up its turns.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.exited {
            return;
        }
        self.turn(Input::Received { conn: Self::CLIENT, bytes }, None);
        for _ in 0..TURNS {
            let Some(at) = self.server.poll_timeout() else { return };
            if self.exited || at > self.mono + Duration::from_millis(1) {
                return;
            }
            self.mono = self.mono.max(at);
            self.turn(Input::Wake, None);
        }
    }

    fn turn(&mut self, input: Input<'_>, file: Option<&[u8]>) -> Vec<Output> {
        let wall = Wall::from_millis(1_700_000_000_000 + self.mono.as_millis());
        self.server.handle(Now::instantaneous(self.mono, wall), input);
        let mut outputs = Vec::new();
        while let Some(output) = self.server.poll_output() {
            match &output {
                Output::Exit { .. } => self.exited = true,
                Output::Log(line) => self.said.clone_from(&line.text),
                Output::Disk { op, what } => {
                    let (op, result) = (*op, answer(what, file));
                    let now = Now::instantaneous(self.mono, wall);
                    self.server.handle(now, Input::Disk { op, result });
                }
                _ => outputs.push(output),
            }
        }
        if let Some(outbox) = self.server.outbox(Self::CLIENT) {
            if let Some(replies) = &mut self.replies {
                outbox.slices().for_each(|slice| replies.extend_from_slice(slice));
            }
            outbox.consume(outbox.len());
        }
        outputs
    }
}

fn answer(what: &DiskOp, file: Option<&[u8]>) -> Result<DiskDone, DiskError> {
    match (what, file) {
        (DiskOp::Load { path }, Some(bytes)) if path == USERS => Ok(DiskDone::Data(bytes.to_vec())),
        _ => {
            let message = "No such file or directory".to_owned();
            Err(DiskError { kind: DiskErrorKind::NotFound, message })
        }
    }
}
