//! The cluster tools (`redis-cli --cluster`, `redis-trib.rb`) as programs of a shell: carries out
//! the requests of their conversations by calls of the operating system.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::cluster_tools::{
    ConnectionError, Dialect, Dump, Invocation, Login, Place, Request, Response, Settings,
    conversation, parse_trib,
};
use crate::conversation::RequestId;
use crate::machine::{ConnId, Stream};
use crate::resp::value::{Decoder, Value, encode_command};
use crate::sorted::SortedMap;

use super::os::{End, Os, Reply, Run};

/// The program `redis-trib.rb`.
pub(super) fn trib(os: Os) -> Run {
    Box::pin(async move {
        match parse_trib(&os.args) {
            Ok(invocation) => run(&os, invocation, Dialect::Trib, Login::default(), false).await,
            Err(message) => End::Exit(refuse(&os, message).await),
        }
    })
}

/// Removes the arguments of a `--cluster` tool from a command line of redis-cli, if there are any.
pub(super) fn take_tool(args: &mut Vec<String>) -> Option<Result<Invocation, String>> {
    let mut rest = VecDeque::from(core::mem::take(args));
    let mut tool: Option<Result<Invocation, String>> = None;
    while let Some(word) = rest.pop_front_if(|word| word.starts_with('-')) {
        match &mut tool {
            None if word == "--cluster" => tool = Some(Invocation::take(&mut rest)),
            Some(Ok(known)) if word.starts_with("--cluster-") => {
                if !known.option(&word, &mut rest) {
                    let what = "Unrecognized option or bad number of args for";
                    return Some(Err(format!("{what}: '{word}'")));
                }
            }
            _ => {
                let with_value =
                    ["-h", "-p", "-n", "-a", "--pass", "--user", "-s"].contains(&word.as_str());
                args.push(word);
                args.extend(rest.pop_front_if(|_| with_value));
            }
        }
    }
    let completed = match &mut tool {
        Some(Ok(known)) => known.complete(&mut rest),
        _ => Ok(()),
    };
    args.extend(rest);
    match completed {
        Err(message) => Some(Err(message)),
        Ok(()) => tool,
    }
}

/// Prints an error instead of running a tool. Returns the exit status.
pub(super) async fn refuse(os: &Os, message: String) -> i32 {
    let _ = os.write(Stream::Stderr, (message + "\n").into_bytes()).await;
    1
}

/// Runs a tool until it ends.
pub(super) async fn run(
    os: &Os,
    invocation: Invocation,
    dialect: Dialect,
    login: Login,
    verbose: bool,
) -> End {
    let color = os.var("TERM").is_some_and(|terminal| terminal.contains("xterm"));
    let mut talk = conversation(invocation, Settings { dialect, color, verbose, login });
    let mut handler = RequestHandler { os, connections: SortedMap::new(), input: Vec::new() };
    let mut waiting: VecDeque<(RequestId, Waiting)> = VecDeque::new();
    loop {
        while let Some((id, ask)) = talk.poll_request() {
            waiting.extend(handler.begin(ask).await.map(|begun| (id, begun)));
        }
        let Some((id, begun)) = waiting.pop_front() else { break };
        let told = handler.finish(begun).await;
        talk.answer(id, told);
    }
    os.flush().await;
    End::Exit(talk.take_result().unwrap_or(1))
}

/// Carries out the requests of a tool. Commands are sent at once; replies are read in the order of
/// the requests.
struct RequestHandler<'o> {
    os: &'o Os,
    connections: SortedMap<Place, (ConnId, Decoder)>,
    /// Bytes of the standard input that are not a complete line yet.
    input: Vec<u8>,
}

/// A request in progress.
enum Waiting {
    Response(Response),
    Replies { from: Place, count: usize },
}

impl RequestHandler<'_> {
    async fn begin(&mut self, ask: Request) -> Option<Waiting> {
        let os = self.os;
        Some(Waiting::Response(match ask {
            Request::Print(bytes) => {
                os.print(bytes);
                os.flush_if_full().await;
                return None;
            }
            Request::PrintError(bytes) => {
                os.flush().await;
                let _ = os.write(Stream::Stderr, bytes).await;
                return None;
            }
            Request::Commands { to, commands } => {
                let count = commands.len();
                match self.send(&to, &commands).await {
                    Ok(()) => return Some(Waiting::Replies { from: to, count }),
                    Err(trouble) => Response::Replies(Err(trouble)),
                }
            }
            Request::Line => {
                os.flush().await;
                Response::Line(self.line().await)
            }
            Request::Sleep(time) => {
                os.flush().await;
                os.sleep(time).await;
                Response::Done
            }
            Request::Seed => {
                let (mono, wall) = os.now().await;
                Response::Seed(mono.0 ^ wall.0 << 20 ^ u64::from(os.facts.pid))
            }
            Request::Save { path, bytes } => {
                Response::Saved(os.save(&path, bytes).await.map_err(|error| error.to_string()))
            }
            Request::Dump { from, preamble } => {
                os.flush().await;
                let file = self.dump(&from, &preamble).await;
                Response::Replies(file.map(|bytes| Arc::new(vec![Value::Bulk(bytes)])))
            }
        }))
    }

    async fn finish(&mut self, waiting: Waiting) -> Response {
        let (from, count) = match waiting {
            Waiting::Response(response) => return response,
            Waiting::Replies { from, count } => (from, count),
        };
        let mut replies = Vec::new();
        while replies.len() < count {
            match self.reply(&from).await {
                Ok(reply) => replies.push(reply),
                Err(reason) => {
                    if let Some((conn, _)) = self.connections.remove(&from) {
                        self.os.close_conn(conn).await;
                    }
                    return Response::Replies(Err(ConnectionError::Lost(reason)));
                }
            }
        }
        Response::Replies(Ok(Arc::new(replies)))
    }

    async fn send(&mut self, to: &Place, commands: &[Vec<Vec<u8>>]) -> Result<(), ConnectionError> {
        let known = self.connections.get(to).map(|(conn, _)| *conn);
        let conn = match known {
            Some(conn) => conn,
            None => {
                let conn = self.os.connect(&to.host, to.port).await;
                let conn =
                    conn.map_err(|error| ConnectionError::NotConnected(error.to_string()))?;
                self.connections.insert(to.clone(), (conn, Decoder::new()));
                conn
            }
        };
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| encode_command(command, &mut bytes));
        self.os.send(conn, bytes).await;
        Ok(())
    }

    async fn reply(&mut self, from: &Place) -> Result<Value, String> {
        let closed = || "Server closed the connection".to_owned();
        loop {
            let (conn, decoder) = self.connections.get_mut(from).ok_or_else(closed)?;
            if let Some(value) = decoder.next_value().map_err(|error| error.to_string())? {
                return Ok(value);
            }
            match self.os.receive(*conn).await {
                Reply::Received(Ok(bytes)) if !bytes.is_empty() => decoder.feed(&bytes),
                Reply::Received(Err(error)) => return Err(error.to_string()),
                _ => return Err(closed()),
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let bytes = self.os.read(Stream::Stdin, 4096).await;
            if bytes.is_empty() {
                let rest = core::mem::take(&mut self.input);
                return (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned());
            }
            self.input.extend_from_slice(&bytes);
        }
    }

    async fn dump(
        &self,
        from: &Place,
        preamble: &[Vec<Vec<u8>>],
    ) -> Result<Vec<u8>, ConnectionError> {
        let conn = self.os.connect(&from.host, from.port).await;
        let conn = conn.map_err(|error| ConnectionError::NotConnected(error.to_string()))?;
        let mut bytes = Vec::new();
        preamble.iter().for_each(|command| encode_command(command, &mut bytes));
        encode_command(&["SYNC"], &mut bytes);
        self.os.send(conn, bytes).await;
        let mut dump = Dump::after(preamble.len());
        let result = loop {
            match self.os.receive(conn).await {
                Reply::Received(Ok(bytes)) if !bytes.is_empty() => {
                    if let Some(result) = dump.feed(&bytes) {
                        break result;
                    }
                }
                Reply::Received(Err(error)) => break Err(error.to_string()),
                _ => break Err("Server closed the connection".into()),
            }
        };
        self.os.close_conn(conn).await;
        result.map_err(ConnectionError::Lost)
    }
}
