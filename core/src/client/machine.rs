//! redis-cli as a process of a World: a [`Session`] as a [`Machine`].
//!
//! Typed lines come in through methods, since only a person types them. After each call the driver
//! has to poll outputs and the timeout, as after an input.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use crate::machine::{Close, ConnId, Endpoint, Input, Machine, NetError, Outbox, Output, Signal};
use crate::sorted::SortedMap;
use crate::time::{Mono, Now};

use super::session::{Action, Answer, Session, Target, Waiting};

/// A redis-cli session as a machine.
#[derive(Clone, Debug)]
pub struct CliMachine {
    session: Session,
    connections: u64,
    conn: Option<ConnId>,
    /// Host names that are resolved without DNS.
    names: Arc<SortedMap<String, IpAddr>>,
    outbox: Outbox,
    outputs: VecDeque<Output>,
    printed: VecDeque<Printed>,
    /// The number of bytes in `printed`.
    kept: usize,
}

/// Output for the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Printed {
    /// Standard output.
    Text(Vec<u8>),
    /// Standard error.
    Error(Vec<u8>),
    /// Clear the screen.
    Clear,
}

impl CliMachine {
    /// The maximum of output that is kept until it is taken, in bytes. The oldest are dropped
    /// first.
    pub const SCROLLBACK: usize = 1 << 20;

    /// A machine that runs this session.
    pub fn new(session: Session) -> Self {
        CliMachine {
            session,
            connections: 0,
            conn: None,
            names: Arc::default(),
            outbox: Outbox::default(),
            outputs: VecDeque::new(),
            printed: VecDeque::new(),
            kept: 0,
        }
    }

    /// Adds host names that it can resolve, like those of `/etc/hosts`.
    #[must_use]
    pub fn with_names(mut self, names: Arc<SortedMap<String, IpAddr>>) -> Self {
        self.names = names;
        self
    }

    /// The session, with its prompt, its hints and its state.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Whether it waits for a line, so that the prompt has to be shown.
    pub fn wants_line(&self) -> bool {
        self.session.waiting() == Waiting::Line
    }

    /// Takes a typed line.
    pub fn line(&mut self, now: Mono, line: &[u8]) {
        self.session.line(now, line);
        self.carry_out(now);
    }

    /// Runs one command, like the arguments of a `redis-cli` command line.
    pub fn run(&mut self, now: Mono, args: Vec<Vec<u8>>, repeat: i64) {
        self.session.run(now, args, repeat);
        self.carry_out(now);
    }

    /// Takes a key that was pressed while messages of subscriptions were shown.
    pub fn key(&mut self, now: Mono) {
        self.session.key();
        self.carry_out(now);
    }

    /// Takes Ctrl-C.
    pub fn interrupt(&mut self, now: Mono) {
        self.session.interrupt(now);
        self.carry_out(now);
    }

    /// Takes Ctrl-D on an empty line.
    pub fn end(&mut self, now: Mono) {
        self.session.end();
        self.carry_out(now);
    }

    /// Takes the output printed since the last call.
    pub fn take_printed(&mut self) -> impl Iterator<Item = Printed> + use<> {
        self.kept = 0;
        core::mem::take(&mut self.printed).into_iter()
    }

    /// Takes the commands replied to since the last call: see [`Session::take_answers`].
    pub fn take_answers(&mut self) -> Vec<Answer> {
        self.session.take_answers()
    }

    fn carry_out(&mut self, now: Mono) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect(target) => self.connect(now, target),
                Action::Disconnect => {
                    if let Some(conn) = self.conn.take() {
                        self.outputs.push_back(Output::Close { conn, how: Close::Now });
                    }
                }
                Action::Send(bytes) => {
                    if let Some(conn) = self.conn {
                        self.outbox.write(&bytes);
                        self.outputs.push_back(Output::Send { conn });
                    }
                }
                Action::Print(bytes) => self.print(Printed::Text(bytes)),
                Action::PrintError(bytes) => self.print(Printed::Error(bytes)),
                Action::ClearScreen => self.print(Printed::Clear),
                Action::Exit(code) => {
                    if let Some(conn) = self.conn.take() {
                        self.outputs.push_back(Output::Close { conn, how: Close::Now });
                    }
                    self.outputs.push_back(Output::Exit { code });
                }
            }
        }
    }

    fn connect(&mut self, now: Mono, target: Target) {
        let to = match target {
            Target::Unix(path) => Endpoint::Unix(path),
            Target::Tcp(host, port) => {
                let ip = match host.as_str() {
                    "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
                    host => self.names.get(host).copied().map_or_else(|| host.parse(), Ok),
                };
                match ip {
                    Ok(ip) => Endpoint::Ip((ip, port).into()),
                    Err(_) => {
                        return self.session.connect_failed(now, "Name or service not known");
                    }
                }
            }
        };
        let conn = ConnId::connected(self.connections);
        self.connections += 1;
        self.conn = Some(conn);
        self.outbox.clear();
        self.outputs.push_back(Output::Connect { conn, to: to.into(), from: None });
    }

    fn print(&mut self, printed: Printed) {
        let size = |printed: &Printed| match printed {
            Printed::Text(bytes) | Printed::Error(bytes) => bytes.len(),
            Printed::Clear => 0,
        };
        self.kept += size(&printed);
        self.printed.push_back(printed);
        while self.kept > Self::SCROLLBACK && self.printed.len() > 1 {
            self.kept -= self.printed.pop_front().map_or(0, |oldest| size(&oldest));
        }
    }
}

/// The text of hiredis for a connection error.
pub(crate) fn reason(error: NetError) -> String {
    match error {
        NetError::Eof => "Server closed the connection".to_string(),
        error => error.to_string(),
    }
}

impl Machine for CliMachine {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        let t = now.mono;
        let ours = |conn| self.conn == Some(conn);
        match input {
            Input::Start if self.session.is_interactive() => self.session.start(),
            Input::Connected { conn, .. } if ours(conn) => self.session.connected(t),
            Input::ConnectFailed { conn, error } if ours(conn) => {
                self.conn = None;
                self.session.connect_failed(t, &error.to_string());
            }
            Input::Received { conn, bytes } if ours(conn) => self.session.received(t, bytes),
            Input::Ended { conn } if ours(conn) => {
                self.conn = None;
                self.outputs.push_back(Output::Close { conn, how: Close::Now });
                self.session.closed(t, &reason(NetError::Eof));
            }
            Input::Closed { conn, error } if ours(conn) => {
                self.conn = None;
                self.session.closed(t, &reason(error));
            }
            Input::Wake => self.session.wake(t),
            Input::Signal(Signal::Interrupt) => self.session.interrupt(t),
            Input::Signal(Signal::Terminate) => self.session.quit(),
            _ => {}
        }
        self.carry_out(t);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.session.poll_timeout()
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        (self.conn == Some(conn)).then_some(&mut self.outbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::SessionConfig;
    use crate::time::Wall;

    fn handle(cli: &mut CliMachine, input: Input<'_>) {
        cli.handle(Now::instantaneous(Mono::ZERO, Wall(0)), input);
    }

    fn cli(host: &str) -> CliMachine {
        let config = SessionConfig::interactive(host, 6379);
        let mut cli = CliMachine::new(Session::new(config, Arc::default()));
        handle(&mut cli, Input::Start);
        cli
    }

    fn screen(cli: &mut CliMachine) -> String {
        cli.take_printed()
            .map(|printed| match printed {
                Printed::Text(bytes) | Printed::Error(bytes) => String::from_utf8(bytes).unwrap(),
                Printed::Clear => String::new(),
            })
            .collect()
    }

    #[test]
    fn it_connects_sends_and_prints() {
        let mut cli = cli("10.0.0.1");
        let conn = ConnId::connected(0);
        let to = Endpoint::Ip(([10, 0, 0, 1], 6379).into());
        assert_eq!(
            cli.poll_output(),
            Some(Output::Connect { conn, to: to.clone().into(), from: None })
        );
        handle(&mut cli, Input::Connected { conn, local: to.clone(), peer: to });
        assert!(cli.wants_line());
        cli.line(Mono::ZERO, b"ping");
        assert_eq!(cli.poll_output(), Some(Output::Send { conn }));
        let sent: Vec<u8> = cli.outbox(conn).unwrap().slices().flatten().copied().collect();
        assert_eq!(sent, b"*1\r\n$4\r\nping\r\n");
        handle(&mut cli, Input::Received { conn, bytes: b"+PONG\r\n" });
        assert_eq!(screen(&mut cli), "PONG\n");
        handle(&mut cli, Input::Closed { conn, error: NetError::Reset });
        cli.line(Mono::ZERO, b"ping");
        assert_eq!(screen(&mut cli), "Error: Connection reset by peer\n");
        cli.end(Mono::ZERO);
        assert_eq!(cli.poll_output(), Some(Output::Exit { code: 0 }));
    }

    #[test]
    fn an_unknown_host_name_is_reported() {
        let mut cli = cli("nowhere");
        assert_eq!(
            screen(&mut cli),
            "Could not connect to Redis at nowhere:6379: Name or service not known\n"
        );
        assert_eq!(cli.poll_output(), None);
    }
}
