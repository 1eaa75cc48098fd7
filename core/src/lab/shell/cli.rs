//! redis-cli on a terminal or in a pipeline: a [`Session`] with the line editor.

use std::sync::Arc;

use crate::client::Session;
use crate::client::format::{Format, Output as Style};
use crate::client::session::{Action, Target, Waiting};
use crate::cluster_tools::{Dialect, Login};
use crate::conversation::{Either, first};
use crate::lab::programs::help;
use crate::lab::terminal::parse_args;
use crate::machine::{ConnId, NetError, Stream};

use super::cluster;
use super::edit::{Completer, Typed, read_line};
use super::os::{End, Os, Reply, Run};

/// The maximum number of lines in the history.
const HISTORY: usize = 500;

/// After how many events a new conversation is started, so that its log stays short.
const EVENTS: usize = 100;

/// The state that is kept between prompts.
#[derive(Clone)]
struct Cli {
    session: Session,
    conn: Option<ConnId>,
    history: Vec<String>,
    status: i32,
}

pub(super) fn start(os: Os) -> Run {
    Box::pin(async move {
        let mut args = os.args.to_vec();
        let x = args.iter().position(|arg| arg == "-x");
        if let Some(place) = x {
            args.remove(place);
        }
        let tool = match cluster::take_tool(&mut args) {
            None => None,
            Some(Ok(tool)) => Some(tool),
            Some(Err(message)) => return End::Exit(cluster::refuse(&os, message).await),
        };
        let verbose = args.iter().position(|arg| arg == "--verbose" && tool.is_some());
        verbose.map(|place| args.remove(place));
        let (mut config, mut command) = match parse_args(&args) {
            Ok(parsed) => parsed,
            Err(error) => {
                os.print_error(error).await;
                return End::Exit(1);
            }
        };
        if let Some(tool) = tool {
            let login = Login { user: config.user, password: config.password };
            return cluster::run(&os, tool, Dialect::Cli, login, verbose.is_some()).await;
        }
        if x.is_some() {
            command.push(os.read_all(Stream::Stdin).await);
        }
        let format_given = args.iter().any(|arg| {
            matches!(arg.as_str(), "--raw" | "--no-raw" | "--csv" | "--json" | "--quoted-json")
        });
        if !os.facts.stdout_is_terminal && !format_given {
            config.format = Format::new(Style::Raw);
        }
        let typed = command.is_empty() && os.facts.stdin_is_terminal;
        config.interactive = typed;
        let session = Session::new(config, help());
        let mut cli = Cli { session, conn: None, history: Vec::new(), status: 0 };
        if !command.is_empty() {
            cli.session.run(os.now().await.0, command, 1);
            cli.settle(&os, true).await;
            return End::Exit(cli.status);
        }
        if typed {
            os.catch_interrupts(true).await;
            cli.session.start();
            return again(cli);
        }
        let text = os.read_all(Stream::Stdin).await;
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            cli.session.line(os.now().await.0, line);
            cli.settle(&os, true).await;
            if cli.session.waiting() == Waiting::Ended {
                break;
            }
        }
        End::Exit(cli.status)
    })
}

fn again(cli: Cli) -> End {
    End::Again(Arc::new(move |os| {
        let cli = cli.clone();
        Box::pin(prompt(os, cli))
    }))
}

async fn prompt(os: Os, mut cli: Cli) -> End {
    cli.settle(&os, false).await;
    match cli.session.waiting() {
        Waiting::Ended => return End::Exit(cli.status),
        Waiting::Line => {}
        _ => return again(cli),
    }
    let (prompt, history) = (cli.session.prompt(), cli.history.clone());
    let typed = read_line(&os, &prompt, &history, &mut Hints(&cli.session)).await;
    let now = os.now().await.0;
    match typed {
        Typed::Line(line) => {
            let worth = !line.trim().is_empty() && Session::may_remember(line.as_bytes());
            if worth && cli.history.last() != Some(&line) {
                cli.history.push(line.clone());
                if cli.history.len() > HISTORY {
                    cli.history.remove(0);
                }
            }
            cli.session.line(now, line.as_bytes());
        }
        // Like redis-cli: Ctrl-C at the prompt exits.
        Typed::Interrupt => return End::Exit(0),
        Typed::End => cli.session.end(),
    }
    cli.settle(&os, false).await;
    if cli.session.waiting() == Waiting::Ended {
        return End::Exit(cli.status);
    }
    again(cli)
}

impl Cli {
    /// Carries out the actions of the session until it waits for a line or, with `once`, until its
    /// command is done.
    async fn settle(&mut self, os: &Os, once: bool) {
        for events in 0.. {
            self.act(os).await;
            if events >= EVENTS && !once {
                return;
            }
            match self.session.waiting() {
                Waiting::Ended | Waiting::Line => return,
                _ if once && self.conn.is_none() => return,
                _ => {}
            }
            let Some(conn) = self.conn else { return };
            let (now, _) = os.now().await;
            let happened = match self.session.poll_timeout() {
                Some(at) => {
                    let arrival = first(os.receive(conn), os.ask_sleep(at.since(now)));
                    first(core::pin::pin!(arrival), os.ask_interrupt()).await
                }
                None => match first(os.receive(conn), os.ask_interrupt()).await {
                    Either::First(reply) => Either::First(Either::First(reply)),
                    Either::Second(reply) => Either::Second(reply),
                },
            };
            let (now, _) = os.now().await;
            match happened {
                Either::Second(_) => self.session.interrupt(now),
                Either::First(Either::Second(_)) => self.session.wake(now),
                Either::First(Either::First(Reply::Received(Ok(bytes)))) if !bytes.is_empty() => {
                    self.session.received(now, &bytes);
                }
                Either::First(Either::First(reply)) => {
                    let error = match reply {
                        Reply::Received(Err(error)) => error,
                        _ => NetError::Eof,
                    };
                    os.close_conn(conn).await;
                    self.conn = None;
                    self.session.closed(now, &crate::client::machine::reason(error));
                }
            }
        }
    }

    async fn act(&mut self, os: &Os) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect(target) => {
                    let result = match target {
                        Target::Tcp(host, port) => os.connect(&host, port).await,
                        Target::Unix(_) => Err(NetError::Refused),
                    };
                    let (now, _) = os.now().await;
                    match result {
                        Ok(conn) => {
                            self.conn = Some(conn);
                            self.session.connected(now);
                        }
                        Err(error) => {
                            self.status = 1;
                            self.session.connect_failed(now, &error.to_string());
                        }
                    }
                }
                Action::Disconnect => {
                    if let Some(conn) = self.conn.take() {
                        os.close_conn(conn).await;
                    }
                }
                Action::Send(bytes) => {
                    if let Some(conn) = self.conn {
                        os.send(conn, bytes).await;
                    }
                }
                Action::Print(bytes) => os.print(bytes),
                Action::PrintError(bytes) => {
                    os.flush().await;
                    let _ = os.write(Stream::Stderr, bytes).await;
                }
                Action::ClearScreen => os.print("\x1b[H\x1b[2J"),
                Action::Exit(code) => self.status = code,
            }
        }
        os.flush().await;
    }
}

struct Hints<'a>(&'a Session);

impl Completer for Hints<'_> {
    async fn complete(&mut self, _: &Os, line: &str) -> (usize, Vec<String>) {
        (0, self.0.help().complete(line))
    }

    fn hint(&self, line: &str) -> Option<String> {
        self.0.hint(line)
    }
}
