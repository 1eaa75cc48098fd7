//! Test fixtures: a small World, and a scriptable machine.
//!
//! ```
//! use limpid_core::sim::testing::{Probe, tiny};
//!
//! let mut world = tiny(1, &[("a", "probe"), ("b", "probe")]);
//! for line in ["type b listen 7000", "type a connect b:7000", "type a send 0 hello"] {
//!     world.apply(&line.parse().unwrap()).unwrap();
//!     world.run_for(std::time::Duration::from_millis(10));
//! }
//! let b = world.machine::<Probe>(world.proc_named("b").unwrap().id).unwrap();
//! assert_eq!(b.received(0), b"hello");
//! ```

use core::fmt::Write;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::machine::{
    Address, Close, ConnId, DiskDone, DiskError, DiskOp, Endpoint, FileId, Input, ListenerId,
    Machine, NetError, OpId, OpenMode, Outbox, Output, Signal,
};
use crate::time::{Duration, Mono, Now};

use super::process::{Console, Launch, LaunchError, Process};
use super::scenario::{HostSpec, ProcessSpec, Scenario};
use super::world::World;

/// A scenario of hosts with one process each, named after its host.
///
/// The first host is 10.0.0.1, the second 10.0.0.2, and so on.
pub fn scenario(hosts: &[(&str, &str)]) -> Scenario {
    let host = |(i, (name, program)): (usize, &(&str, &str))| {
        let ip = Ipv4Addr::from(0x0a00_0001 + u32::try_from(i).unwrap_or(0));
        HostSpec::new(name, ip).with(ProcessSpec::new(name, program, &[]))
    };
    Scenario {
        name: "test".into(),
        epoch_ms: 1_700_000_000_000,
        hosts: hosts.iter().enumerate().map(host).collect(),
        link: Default::default(),
        links: Vec::new(),
        tcp: Default::default(),
    }
}

/// A World of hosts with one probe (or echo) each, after all have started.
pub fn tiny(seed: u64, hosts: &[(&str, &str)]) -> World {
    let mut world = World::new(Arc::new(scenario(hosts)), seed, programs);
    world.run_for(Duration::from_millis(1));
    world
}

/// The programs of this World: `probe`, and `echo`, which returns what it receives on port 7.
pub fn programs(launch: &Launch<'_>) -> Result<Box<dyn Process>, LaunchError> {
    match launch.program {
        "probe" | "echo" => {
            Ok(Box::new(Probe { echo: launch.program == "echo", ..Probe::default() }))
        }
        other => Err(LaunchError(format!("{other}: command not found"))),
    }
}

/// A scriptable machine, which executes typed lines and records its inputs.
///
/// Connections are counted from 0 in the order in which the probe made or accepted them. Lines:
/// `listen <port>`, `connect <host>:<port>`, `send <n> <text>`, `fill <n> <bytes>`,
/// `read <n> on|off`, `close <n>`, `finish <n>`, `wake <ms>`, `stall <ms>`, `exit <code>`,
/// `open <n> <path>`, `append <n> <text>`, `sync <n>`, `load <path>`, `replace <path> <text>`,
/// `rename <a> <b>`, `remove <path>`, `mkdir <path>`, `syncdir <path>`.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    echo: bool,
    conns: Vec<Conn>,
    outputs: VecDeque<Output>,
    /// The inputs so far, one line each, with the time in microseconds.
    pub told: Vec<String>,
    wake: Option<Mono>,
    connects: u64,
    operations: u64,
    listeners: u32,
}

#[derive(Clone, Debug)]
struct Conn {
    name: ConnId,
    received: Vec<u8>,
    outbox: Outbox,
}

impl Probe {
    /// The bytes received over its `n`th connection.
    pub fn received(&self, n: usize) -> &[u8] {
        self.conns.get(n).map_or(&[], |conn| &conn.received)
    }

    /// Whether any recorded input contains `text`.
    pub fn was_told(&self, text: &str) -> bool {
        self.told.iter().any(|line| line.contains(text))
    }

    fn tell(&mut self, now: Now<'_>, text: &str) {
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = write!(line, "{} {text}", now.mono.0 / 1_000);
        self.told.push(line);
    }

    fn place(&self, name: ConnId) -> Option<usize> {
        self.conns.iter().position(|conn| conn.name == name)
    }

    fn add(&mut self, name: ConnId) {
        self.conns.push(Conn { name, received: Vec::new(), outbox: Outbox::default() });
    }

    fn disk(&mut self, what: DiskOp) {
        self.operations += 1;
        self.outputs.push_back(Output::Disk { op: OpId(self.operations), what });
    }

    fn listen(&mut self, port: u16) {
        self.listeners += 1;
        let at = Endpoint::Ip(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
        let listener = ListenerId(self.listeners);
        self.outputs.push_back(Output::Listen { listener, at, backlog: 2 });
    }

    /// Executes a line; `None` if it is not a valid command of a probe.
    fn execute_line(&mut self, now: Now<'_>, line: &str) -> Option<()> {
        let mut words = line.splitn(3, ' ');
        let (verb, first) = (words.next()?, words.next().unwrap_or(""));
        let rest = words.next().unwrap_or("");
        let number = || first.parse::<usize>().ok();
        let millis = || first.parse().ok().map(Duration::from_millis);
        let file = || first.parse().ok().map(FileId);
        let conn = number().and_then(|n| self.conns.get(n)).map(|conn| conn.name);
        match verb {
            "listen" => self.listen(first.parse().ok()?),
            "connect" => {
                let (host, port) = first.split_once(':')?;
                let port = port.parse().ok()?;
                let conn = ConnId::connected(self.connects);
                self.connects += 1;
                self.add(conn);
                let to = match host.parse() {
                    Ok(ip) => Endpoint::Ip(SocketAddr::new(ip, port)).into(),
                    Err(_) => Address::Name { host: host.to_owned(), port },
                };
                self.outputs.push_back(Output::Connect { conn, to, from: None });
            }
            "send" => {
                self.conns.get_mut(number()?)?.outbox.write(rest.as_bytes());
                self.outputs.push_back(Output::Send { conn: conn? });
            }
            "fill" => {
                let outbox = &mut self.conns.get_mut(number()?)?.outbox;
                outbox.write(&vec![b'x'; rest.parse().ok()?]);
                outbox.set_low_water(0);
                self.outputs.push_back(Output::Send { conn: conn? });
            }
            "read" => self.outputs.push_back(Output::Reading { conn: conn?, on: rest == "on" }),
            "close" => self.outputs.push_back(Output::Close { conn: conn?, how: Close::Now }),
            "finish" => {
                self.outputs.push_back(Output::Close { conn: conn?, how: Close::AfterSending });
            }
            "wake" => self.wake = Some(now.mono + millis()?),
            "stall" => self.outputs.push_back(Output::Stall(millis()?)),
            "exit" => self.outputs.push_back(Output::Exit { code: first.parse().ok()? }),
            "open" => {
                self.disk(DiskOp::Open {
                    file: file()?,
                    path: rest.into(),
                    mode: OpenMode::Append,
                });
            }
            "append" => self.disk(DiskOp::Append { file: file()?, bytes: rest.into() }),
            "sync" => self.disk(DiskOp::Sync { file: file()? }),
            "load" => self.disk(DiskOp::Load { path: first.into() }),
            "replace" => self.disk(DiskOp::Replace { path: first.into(), bytes: rest.into() }),
            "rename" => self.disk(DiskOp::Rename { from: first.into(), to: rest.into() }),
            "remove" => self.disk(DiskOp::Remove { path: first.into() }),
            "mkdir" => self.disk(DiskOp::MakeDir { path: first.into() }),
            "syncdir" => self.disk(DiskOp::SyncDir { path: first.into() }),
            _ => return None,
        }
        Some(())
    }
}

impl Machine for Probe {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        match input {
            Input::Start => {
                self.tell(now, "start");
                if self.echo {
                    self.listen(7);
                }
            }
            Input::Wake => {
                self.wake = None;
                self.tell(now, "wake");
            }
            Input::Listening { result: Ok(at), .. } => self.tell(now, &format!("listening {at}")),
            Input::Listening { result: Err(e), .. } => {
                self.tell(now, &format!("not listening: {e}"))
            }
            Input::Accepted { conn, peer, .. } => {
                self.add(conn);
                self.tell(now, &format!("accepted {peer}"));
            }
            Input::Connected { local, .. } => self.tell(now, &format!("connected {local}")),
            Input::ConnectFailed { error, .. } => {
                self.tell(now, &format!("not connected: {error}"))
            }
            Input::Received { conn, bytes } => {
                let Some(place) = self.place(conn) else { return };
                let found = &mut self.conns[place];
                found.received.extend_from_slice(bytes);
                if self.echo && conn.is_accepted() {
                    found.outbox.write(bytes);
                    self.outputs.push_back(Output::Send { conn });
                }
                self.tell(now, &format!("received {place} {}", bytes.len()));
            }
            Input::Ended { conn } => {
                let place = self.place(conn).unwrap_or(usize::MAX);
                self.tell(now, &format!("ended {place}"));
                if self.echo {
                    self.outputs.push_back(Output::Close { conn, how: Close::AfterSending });
                }
            }
            Input::Drained { conn } => {
                let place = self.place(conn).unwrap_or(usize::MAX);
                self.tell(now, &format!("drained {place}"));
            }
            Input::Closed { conn, error } => {
                let place = self.place(conn).unwrap_or(usize::MAX);
                let ours = error == NetError::Eof;
                let text = if ours { "closed".into() } else { error.to_string() };
                self.tell(now, &format!("closed {place}: {text}"));
            }
            Input::Disk { op, result } => {
                self.tell(now, &format!("disk {}: {}", op.0, say(result)))
            }
            Input::Signal(Signal::Terminate) => {
                self.tell(now, "terminate");
                self.outputs.push_back(Output::Exit { code: 0 });
            }
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.wake
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        let place = self.place(conn)?;
        Some(&mut self.conns[place].outbox)
    }
}

impl Console for Probe {
    fn line(&mut self, now: Now<'_>, line: &str) {
        if self.execute_line(now, line).is_none() {
            self.tell(now, &format!("unknown: {line}"));
        }
    }

    fn interrupt(&mut self, now: Now<'_>) {
        self.tell(now, "interrupt");
    }
}

impl Process for Probe {
    fn console(&mut self) -> Option<&mut dyn Console> {
        Some(self)
    }
}

fn say(result: Result<DiskDone, DiskError>) -> String {
    match result {
        Ok(DiskDone::Done) => "done".into(),
        Ok(DiskDone::Opened { len }) => format!("opened {len}"),
        Ok(DiskDone::Data(bytes)) => format!("data {}", String::from_utf8_lossy(&bytes)),
        Ok(DiskDone::Names(names)) => format!("names {}", names.join(" ")),
        Ok(DiskDone::Stat(stat)) => format!("stat {} {:o}", stat.len, stat.mode),
        Err(error) => error.to_string(),
    }
}
