//! `--attach`: polls the nodes of a real deployment, for the page to draw.
//!
//! All other nodes are discovered from the given addresses. Each node has a task with one
//! connection, which only reads: INFO, CLUSTER NODES, the tables of SENTINEL. Nodes are polled only
//! while a page is open.

use std::collections::BTreeMap;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use limpid_core::deployment::{Inquiry, Report};
use limpid_core::resp::value::{Decoder, Value, encode_command};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The time between two polls of a node.
const PERIOD: Duration = Duration::from_millis(500);
/// How long to wait for a node's replies.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// After this time without a request of a page, the nodes are no longer polled.
const IDLE_AFTER: Duration = Duration::from_secs(10);
/// The most nodes that are watched: addresses come from replies, which may name any number.
const MAX_NODES: usize = 512;
/// The name of our connections in CLIENT LIST.
const NAME: &str = "limpid-attach";

/// An address to start from, with a login: `host`, `host:port` or
/// `redis://[user][:password@]host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seed {
    address: String,
    login: Option<Login>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Login {
    user: Option<String>,
    password: String,
}

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = match text.split_once("://") {
            None => format!("redis://{text}"),
            Some(("redis", _)) => text.to_owned(),
            Some((scheme, _)) => {
                return Err(format!(
                    "'{scheme}://' is not supported; write redis://host:port, without TLS"
                ));
            }
        };
        let wrong = "write host:port or redis://user:password@host:port";
        let url = url::Url::parse(&url).map_err(|error| format!("{error}; {wrong}"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(wrong)?;
        // An IPv6 address has brackets in a URL, and none in INFO.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let decoded = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(decoded) => Ok(decoded.into_owned()),
            Err(_) => Err(format!("the user or the password is not UTF-8; {wrong}")),
        };
        let login = match url.password() {
            None => None,
            Some(password) => Some(Login {
                user: Some(decoded(url.username())?).filter(|user| !user.is_empty()),
                password: decoded(password)?,
            }),
        };
        Ok(Seed { address: format!("{host}:{}", url.port().unwrap_or(6379)), login })
    }
}

/// The last reports of all nodes of the deployment.
#[derive(Clone)]
pub(super) struct Attached(Arc<Shared>);

struct Shared {
    logins: Vec<Login>,
    state: Mutex<Watched>,
}

struct Watched {
    reports: BTreeMap<String, Report>,
    /// When a page last asked for the reports.
    asked: Instant,
}

impl Attached {
    /// Starts polling the nodes at the given addresses, and all that their replies name, in tasks
    /// of the current runtime.
    ///
    /// # Errors
    /// If none of the addresses answers.
    pub(super) async fn start(seeds: &[Seed]) -> Result<Self> {
        let mut logins: Vec<Login> = Vec::new();
        for login in seeds.iter().filter_map(|seed| seed.login.as_ref()) {
            if !logins.contains(login) {
                logins.push(login.clone());
            }
        }
        let state = Watched { reports: BTreeMap::new(), asked: Instant::now() };
        let attached = Attached(Arc::new(Shared { logins, state: Mutex::new(state) }));
        let mut refused = Vec::new();
        for seed in seeds {
            if let Err(reason) = attached.session(&seed.address).await {
                refused.push(format!("{}: {reason}", seed.address));
            }
        }
        if refused.len() == seeds.len() {
            bail!("nothing to attach to. {}", refused.join("; "));
        }
        for seed in seeds {
            attached.watch(&seed.address);
        }
        Ok(attached)
    }

    /// Serves all reports as `attached.json`.
    pub(super) fn router(self) -> Router {
        Router::new().route("/attached.json", get(reports)).with_state(self)
    }

    fn state<T>(&self, change: impl FnOnce(&mut Watched) -> T) -> T {
        change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts polling a node, unless it is polled already.
    fn watch(&self, address: &str) {
        let is_new = self.state(|state| {
            let room = state.reports.len() < MAX_NODES && !state.reports.contains_key(address);
            if room {
                let report = Report::unanswered(address, "not asked yet");
                state.reports.insert(address.to_owned(), report);
            }
            room
        });
        if is_new {
            let (attached, address) = (self.clone(), address.to_owned());
            tokio::spawn(async move { attached.ask_for_ever(&address).await });
        }
    }

    async fn ask_for_ever(&self, address: &str) {
        let mut session = None;
        loop {
            let open = match session.take() {
                Some(open) => Ok(open),
                None => self.session(address).await,
            };
            let answered = match open {
                Err(reason) => Err(reason),
                Ok(mut open) => match open.report(address).await {
                    Err(reason) => Err(reason),
                    Ok(report) => {
                        session = Some(open);
                        Ok(report)
                    }
                },
            };
            match answered {
                Ok(report) => {
                    report.named().iter().for_each(|other| self.watch(other));
                    self.state(|state| state.reports.insert(address.to_owned(), report));
                }
                // The last report is kept.
                Err(reason) => self.state(|state| {
                    if let Some(report) = state.reports.get_mut(address) {
                        report.error = Some(reason);
                    }
                }),
            }
            sleep(PERIOD).await;
            while self.state(|state| state.asked.elapsed()) > IDLE_AFTER {
                session = None;
                sleep(PERIOD).await;
            }
        }
    }

    /// Connects and authenticates. The error is the text of the operating system or of the node.
    async fn session(&self, address: &str) -> Result<Session, String> {
        let opening = async {
            let stream =
                TcpStream::connect(resolved(address)).await.map_err(|error| strerror(&error))?;
            let mut session = Session { stream, decoder: Decoder::new() };
            for login in &self.0.logins {
                let mut auth = vec!["AUTH".to_owned()];
                auth.extend(login.user.clone());
                auth.push(login.password.clone());
                // A Sentinel often has a different password than the servers, or none.
                if !session.call(&auth).await?.is_error() {
                    break;
                }
            }
            let name = ["CLIENT", "SETNAME", NAME].map(str::to_owned);
            session.call(&name).await?;
            Ok(session)
        };
        timeout(ANSWER_TIMEOUT, opening).await.unwrap_or_else(|_| Err(SILENT.to_owned()))
    }
}

const SILENT: &str = "it does not answer within 2 seconds";

struct Session {
    stream: TcpStream,
    decoder: Decoder,
}

impl Session {
    /// Polls the node once.
    async fn report(&mut self, address: &str) -> Result<Report, String> {
        let asking = async {
            let mut inquiry = Inquiry::new(address);
            while let Some(command) = inquiry.next() {
                let reply = self.call(&command).await?;
                inquiry.answer(&reply).map_err(|error| match error.starts_with("NOAUTH") {
                    true => {
                        format!("{error} Give the password as --attach redis://:password@{address}")
                    }
                    false => error,
                })?;
            }
            Ok(inquiry.report())
        };
        timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(|_| Err(SILENT.to_owned()))
    }

    async fn call(&mut self, command: &[String]) -> Result<Value, String> {
        let mut bytes = Vec::new();
        encode_command(command, &mut bytes);
        self.stream.write_all(&bytes).await.map_err(|error| strerror(&error))?;
        loop {
            if let Some(value) = self.decoder.next_value().map_err(|error| error.to_string())? {
                return Ok(value);
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer).await.map_err(|error| strerror(&error))? {
                0 => return Err("it closed the connection".to_owned()),
                n => self.decoder.feed(buffer.get(..n).unwrap_or_default()),
            }
        }
    }
}

/// An address in the form that `connect` takes: IPv6 in brackets.
fn resolved(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((host, port)) if host.contains(':') => format!("[{host}]:{port}"),
        _ => address.to_owned(),
    }
}

/// The text that `strerror` has for an error, without the error number.
fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// All reports as JSON. Pages of other origins must not read these data of a real deployment: no
/// CORS header allows it, and the Host header must be a name of this machine or an address, which
/// protects from DNS rebinding.
async fn reports(State(attached): State<Attached>, headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !is_own_name(host) {
        return (StatusCode::FORBIDDEN, "ask for this by an address or as localhost\n")
            .into_response();
    }
    let reports: Vec<Report> = attached.state(|state| {
        state.asked = Instant::now();
        state.reports.values().cloned().collect()
    });
    match serde_json::to_string(&reports).context("cannot write the reports") {
        Ok(text) => {
            let about = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
            (about, text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

fn is_own_name(host: &str) -> bool {
    let Ok(url) = url::Url::parse(&format!("http://{host}/")) else { return false };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(text: &str) -> (String, Option<(Option<String>, String)>) {
        let seed: Seed = text.parse().expect("an address");
        (seed.address, seed.login.map(|login| (login.user, login.password)))
    }

    #[test]
    fn an_address_may_have_a_port_a_user_and_a_password() {
        assert_eq!(seed("redis-1"), ("redis-1:6379".into(), None));
        assert_eq!(seed("127.0.0.1:26379"), ("127.0.0.1:26379".into(), None));
        assert_eq!(seed("[::1]:7000"), ("::1:7000".into(), None));
        let password = Some((None, "a+b:c@d".into()));
        assert_eq!(seed("redis://:a+b%3Ac%40d@10.0.0.1"), ("10.0.0.1:6379".into(), password));
        let user = Some((Some("eve".into()), "x".into()));
        assert_eq!(seed("redis://eve:x@h:1"), ("h:1".into(), user));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_form() {
        for wrong in ["rediss://h:1", "redis://", "h:99999", ""] {
            let error = wrong.parse::<Seed>().expect_err(wrong);
            assert!(error.contains("host:port"), "{wrong}: {error}");
        }
    }

    #[test]
    fn only_addresses_and_localhost_are_names_of_this_machine() {
        for own in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "192.168.1.7"] {
            assert!(is_own_name(own), "{own}");
        }
        for other in ["evil.example:8080", "localhost.evil.example", ""] {
            assert!(!is_own_name(other), "{other}");
        }
    }
}
