//! `redis-cli --cluster` and `redis-trib.rb`: the conversation of a cluster tool, carried out on
//! blocking sockets.
//!
//! Commands are sent as soon as the tool asks for them, and replies are read in the order of the
//! requests, so that several nodes work at the same time.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use limpid_core::client::Target;
use limpid_core::cluster_tools::{
    ConnectionError, Dialect, Dump, Invocation, Login, Place, Request, Response, Settings,
    conversation, parse_trib,
};
use limpid_core::conversation::RequestId;
use limpid_core::resp::value::{Decoder, Value, encode_command};

use super::client::{Client, Stream, strerror};

/// Runs `redis-trib.rb` with these arguments.
pub(crate) fn trib_main(args: &[String]) -> ExitCode {
    let status = match parse_trib(args) {
        Ok(invocation) => run(invocation, Dialect::Trib, Login::default(), false),
        Err(message) => {
            eprintln!("{message}");
            1
        }
    };
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}

/// Runs a tool; returns its exit status.
pub(super) fn run(invocation: Invocation, dialect: Dialect, login: Login, verbose: bool) -> i32 {
    let color = std::env::var("TERM").is_ok_and(|terminal| terminal.contains("xterm"));
    let settings = Settings { dialect, color, verbose, login };
    let mut talk = conversation(invocation, settings);
    let mut executor = Executor::default();
    loop {
        while let Some((id, ask)) = talk.poll_request() {
            if let Some(told) = executor.begin(id, ask) {
                executor.waiting.push_back((id, Waiting::Response(told)));
            }
        }
        let Some((id, waiting)) = executor.waiting.pop_front() else { break };
        let told = executor.finish(waiting);
        talk.answer(id, told);
    }
    let _ = io::stdout().flush();
    talk.take_result().unwrap_or(1)
}

/// Carries out a tool's requests on blocking connections.
#[derive(Default)]
struct Executor {
    connections: BTreeMap<Place, Client>,
    waiting: VecDeque<(RequestId, Waiting)>,
}

/// A request in flight.
enum Waiting {
    Response(Response),
    Replies { from: Place, count: usize },
}

impl Executor {
    /// Begins what is asked for. What takes no time is told at once.
    fn begin(&mut self, id: RequestId, ask: Request) -> Option<Response> {
        match ask {
            Request::Print(bytes) => {
                write(&mut io::stdout(), &bytes);
                return None;
            }
            Request::PrintError(bytes) => {
                let _ = io::stdout().flush();
                write(&mut io::stderr(), &bytes);
                return None;
            }
            Request::Commands { to, commands } => {
                let count = commands.len();
                if let Err(trouble) = self.send(&to, &commands) {
                    return Some(Response::Replies(Err(trouble)));
                }
                self.waiting.push_back((id, Waiting::Replies { from: to, count }));
                return None;
            }
            _ => {}
        }
        let _ = io::stdout().flush();
        Some(match ask {
            Request::Line => Response::Line(read_line()),
            Request::Sleep(time) => {
                std::thread::sleep(time);
                Response::Done
            }
            // The standard library's hashers are seeded by the operating system.
            Request::Seed => Response::Seed(RandomState::new().hash_one(std::process::id())),
            Request::Save { path, bytes } => {
                Response::Saved(std::fs::write(path, bytes).map_err(|error| strerror(&error)))
            }
            Request::Dump { from, preamble } => {
                Response::Replies(dump(&from, &preamble).map(|bytes| Arc::new(vec![bytes])))
            }
            _ => Response::Done,
        })
    }

    fn finish(&mut self, waiting: Waiting) -> Response {
        let (from, count) = match waiting {
            Waiting::Response(response) => return response,
            Waiting::Replies { from, count } => (from, count),
        };
        let lost = |reason: &str| Response::Replies(Err(ConnectionError::Lost(reason.into())));
        let Some(client) = self.connections.get_mut(&from) else {
            return lost("Server closed the connection");
        };
        let replies: io::Result<Vec<Value>> = (0..count).map(|_| client.reply()).collect();
        match replies {
            Ok(replies) => Response::Replies(Ok(Arc::new(replies))),
            Err(error) => {
                self.connections.remove(&from);
                lost(&strerror(&error))
            }
        }
    }

    fn send(&mut self, to: &Place, commands: &[Vec<Vec<u8>>]) -> Result<(), ConnectionError> {
        if !self.connections.contains_key(to) {
            let client =
                connect(to).map_err(|error| ConnectionError::NotConnected(strerror(&error)))?;
            self.connections.insert(to.clone(), client);
        }
        let Some(client) = self.connections.get_mut(to) else {
            return Err(ConnectionError::NotConnected("no connection".into()));
        };
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| encode_command(command, &mut bytes));
        client.stream.write_all(&bytes).map_err(|error| {
            self.connections.remove(to);
            ConnectionError::Lost(strerror(&error))
        })
    }
}

fn connect(to: &Place) -> io::Result<Client> {
    let stream = Stream::connect(&Target::Tcp(to.host.clone(), to.port))?;
    Ok(Client { stream, decoder: Decoder::new() })
}

/// Writes to an output; an error, such as a closed pipe, is ignored.
fn write(to: &mut impl Write, bytes: &[u8]) {
    let _ = to.write_all(bytes);
}

fn read_line() -> Option<String> {
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(read) if read > 0 => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
        _ => None,
    }
}

/// Fetches a node's data by SYNC.
fn dump(from: &Place, preamble: &[Vec<Vec<u8>>]) -> Result<Value, ConnectionError> {
    let mut client =
        connect(from).map_err(|error| ConnectionError::NotConnected(strerror(&error)))?;
    let mut bytes = Vec::new();
    preamble.iter().for_each(|command| encode_command(command, &mut bytes));
    encode_command(&["SYNC"], &mut bytes);
    let mut file = Dump::after(preamble.len());
    let mut work = || -> io::Result<Result<Vec<u8>, String>> {
        client.stream.write_all(&bytes)?;
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = match client.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => buffer.get(..read).unwrap_or_default(),
            };
            if let Some(result) = file.feed(read) {
                return Ok(result);
            }
        }
    };
    match work() {
        Ok(Ok(file)) => Ok(Value::Bulk(file)),
        Ok(Err(said)) => Err(ConnectionError::Lost(said)),
        Err(error) => Err(ConnectionError::Lost(strerror(&error))),
    }
}
