//! The command line, read as redis-cli reads it: first options, then, from the first argument that
//! is no option, the command with its arguments, which may look like options.

use std::collections::VecDeque;
use std::time::Duration;

use limpid_core::client::Output;
use limpid_core::client::quote::unquote;
use limpid_core::cluster_tools::{Invocation, Options as ToolOptions};

/// The parsed command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) socket: Option<String>,
    pub(super) db: i64,
    pub(super) user: Option<String>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) password_from_env: bool,
    pub(super) ask_password: bool,
    pub(super) no_auth_warning: bool,
    pub(super) repeat: i64,
    pub(super) interval: Duration,
    pub(super) resp2: bool,
    pub(super) resp3: bool,
    /// The output format that an option asked for; without one it follows from where the output
    /// goes.
    pub(super) output: Option<Output>,
    pub(super) element_delimiter: Option<Vec<u8>>,
    pub(super) reply_delimiter: Option<Vec<u8>>,
    pub(super) cluster: bool,
    pub(super) exit_on_error: bool,
    pub(super) quoted_input: bool,
    pub(super) stdin_last: bool,
    pub(super) stdin_tag: Option<Vec<u8>>,
    pub(super) show_pushes: Option<bool>,
    pub(super) verbose: bool,
    pub(super) mode: Option<Mode>,
    pub(super) latency_history: bool,
    pub(super) pattern: Option<Vec<u8>>,
    pub(super) count: u64,
    pub(super) memory_samples: Option<u64>,
    pub(super) pipe_timeout: u64,
    /// Where `--rdb` and `--functions-rdb` write; `-` is the standard output.
    pub(super) rdb_file: Option<String>,
    /// A tool of `--cluster`, which runs instead of commands.
    pub(super) tool: Option<Invocation>,
    /// The options of that tool which stand before its name.
    tool_options: ToolOptions,
    pub(super) command: Vec<Vec<u8>>,
}

/// What to do instead of running commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Latency,
    Replica,
    Rdb,
    FunctionsRdb,
    Pipe,
    BigKeys,
    MemKeys,
    HotKeys,
    Stat,
    Scan,
    IntrinsicLatency(u64),
    Hint(String),
    HintFile(String),
    Eval(String),
}

/// Why the program ends without running anything.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Help,
    Version,
    Refused(String),
}

/// Options of redis-cli that are not supported here.
const ABSENT: &[&str] = &["--latency-dist", "--lru-test", "--ldb", "--ldb-sync-mode", "--tls"];

impl Options {
    pub(super) fn parse(args: Vec<Vec<u8>>) -> Result<Self, Stop> {
        let mut options = Options {
            host: "127.0.0.1".to_string(),
            port: 6379,
            repeat: 1,
            count: 10,
            pipe_timeout: 30,
            ..Options::default()
        };
        let mut args = VecDeque::from(args);
        while let Some(arg) = args.pop_front() {
            if !arg.starts_with(b"-") {
                args.push_front(arg);
                break;
            }
            options.option(&String::from_utf8_lossy(&arg), &mut args)?;
        }
        if let Some(tool) = &mut options.tool {
            with_text(&mut args, |args| tool.complete(args)).map_err(Stop::Refused)?;
        }
        options.command = args.into();
        options.check()?;
        if options.password.is_none()
            && let Some(password) = std::env::var_os("REDISCLI_AUTH")
        {
            options.password = Some(password.into_encoded_bytes());
            options.password_from_env = true;
        }
        Ok(options)
    }

    fn option(&mut self, name: &str, rest: &mut VecDeque<Vec<u8>>) -> Result<(), Stop> {
        match name {
            "--help" => return Err(Stop::Help),
            "-h" if rest.is_empty() => return Err(Stop::Help),
            "-v" | "--version" => return Err(Stop::Version),
            "-x" => self.stdin_last = true,
            "--no-auth-warning" => self.no_auth_warning = true,
            "--askpass" => self.ask_password = true,
            "--raw" => self.output = Some(Output::Raw),
            "--no-raw" => self.output = Some(Output::Standard),
            "--csv" => self.output = Some(Output::Csv),
            "--json" => self.output = Some(Output::Json),
            "--quoted-json" => self.output = Some(Output::QuotedJson),
            "--quoted-input" => self.quoted_input = true,
            "--latency" => self.set_mode(Mode::Latency),
            "--latency-history" => {
                self.latency_history = true;
                self.set_mode(Mode::Latency);
            }
            "--replica" | "--slave" => self.set_mode(Mode::Replica),
            "--stat" => self.set_mode(Mode::Stat),
            "--scan" => self.set_mode(Mode::Scan),
            "--pipe" => self.set_mode(Mode::Pipe),
            "--bigkeys" => self.set_mode(Mode::BigKeys),
            "--memkeys" => self.set_mode(Mode::MemKeys),
            "--hotkeys" => self.set_mode(Mode::HotKeys),
            "-c" => self.cluster = true,
            "-e" => self.exit_on_error = true,
            "-2" => self.resp2 = true,
            "-3" => self.resp3 = true,
            "--verbose" => self.verbose = true,
            "--cluster" if self.tool.is_some() || rest.is_empty() => return Err(Stop::Help),
            "--cluster" => {
                let mut tool = with_text(rest, Invocation::take).map_err(Stop::Refused)?;
                tool.options = std::mem::take(&mut self.tool_options);
                self.tool = Some(tool);
            }
            name if name.starts_with("--cluster-") => {
                let options = match &mut self.tool {
                    Some(tool) => &mut tool.options,
                    None => &mut self.tool_options,
                };
                let known = with_text(rest, |rest| options.take(name, rest));
                if !known {
                    return refuse(format!(
                        "Unrecognized option or bad number of args for: '{name}'"
                    ));
                }
            }
            name if ABSENT.contains(&name) => {
                return refuse(format!("This redis-cli has no {name}."));
            }
            name => {
                let known = WITH_VALUE.contains(&name);
                let Some(value) = rest.pop_front().filter(|_| known) else {
                    return refuse(format!(
                        "Unrecognized option or bad number of args for: '{name}'"
                    ));
                };
                return self.option_with_value(name, value);
            }
        }
        Ok(())
    }

    fn option_with_value(&mut self, name: &str, value: Vec<u8>) -> Result<(), Stop> {
        let text = String::from_utf8_lossy(&value).into_owned();
        match name {
            "-h" => self.host = text,
            "-p" => self.port = port(integer(&text))?,
            "-s" => self.socket = Some(text),
            "-r" => self.repeat = integer(&text),
            "-i" => {
                let seconds = text.parse::<f64>().unwrap_or(0.0);
                self.interval = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            }
            "-n" => self.db = integer(&text),
            "-a" | "--pass" => self.password = Some(value),
            "--user" => self.user = Some(text),
            "-u" => self.uri(&text)?,
            "-d" => self.element_delimiter = Some(value),
            "-D" => self.reply_delimiter = Some(value),
            "-X" => self.stdin_tag = Some(value),
            "--pattern" => self.pattern = Some(value),
            "--quoted-pattern" => match unquote(&value) {
                Some(pattern) => self.pattern = Some(pattern),
                None => {
                    return refuse("Invalid quoted string specified for --quoted-pattern.".into());
                }
            },
            "--count" => self.count = positive(&text),
            "--memkeys-samples" => {
                self.memory_samples = Some(positive(&text));
                self.set_mode(Mode::MemKeys);
            }
            "--pipe-timeout" => self.pipe_timeout = positive(&text),
            "--intrinsic-latency" => self.set_mode(Mode::IntrinsicLatency(positive(&text))),
            "--rdb" => {
                self.rdb_file = Some(text);
                self.set_mode(Mode::Rdb);
            }
            "--functions-rdb" => {
                self.rdb_file = Some(text);
                self.set_mode(Mode::FunctionsRdb);
            }
            "--eval" => self.set_mode(Mode::Eval(text)),
            "--test_hint" => self.set_mode(Mode::Hint(text)),
            "--test_hint_file" => self.set_mode(Mode::HintFile(text)),
            "--show-pushes" => match text.as_bytes().first() {
                Some(b'n' | b'N') => self.show_pushes = Some(false),
                Some(b'y' | b'Y') => self.show_pushes = Some(true),
                _ => eprintln!("Unknown --show-pushes value '{text}' (valid: '[y]es', '[n]o')"),
            },
            _ => return refuse(format!("Unrecognized option or bad number of args for: '{name}'")),
        }
        Ok(())
    }

    /// Sets the mode. Of several, the one that comes first in redis-cli's order wins.
    fn set_mode(&mut self, mode: Mode) {
        let rank = |mode: &Mode| match mode {
            Mode::Latency => 0,
            Mode::Replica => 1,
            Mode::Rdb | Mode::FunctionsRdb => 2,
            Mode::Pipe => 3,
            Mode::BigKeys => 4,
            Mode::MemKeys => 5,
            Mode::HotKeys => 6,
            Mode::Stat => 7,
            Mode::Scan => 8,
            Mode::IntrinsicLatency(_) => 9,
            Mode::Hint(_) => 10,
            Mode::HintFile(_) => 11,
            Mode::Eval(_) => 12,
        };
        if self.mode.as_ref().is_none_or(|old| rank(&mode) <= rank(old)) {
            self.mode = Some(mode);
        }
    }

    fn check(&self) -> Result<(), Stop> {
        if self.socket.is_some() && self.cluster {
            return refuse("Options -c and -s are mutually exclusive.".into());
        }
        if self.resp2 && self.resp3 {
            return refuse("Options -2 and -3 are mutually exclusive.".into());
        }
        if self.stdin_last && self.stdin_tag.is_some() {
            return refuse("Options -x and -X are mutually exclusive.".into());
        }
        Ok(())
    }

    /// Reads a URI: `redis://[[user:]password@][host[:port]][/db]`.
    fn uri(&mut self, uri: &str) -> Result<(), Stop> {
        let scheme =
            uri.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        let rest = match &scheme {
            Some((scheme, rest)) if scheme == "redis" => *rest,
            Some((scheme, _)) if scheme == "rediss" => {
                return refuse("This redis-cli has no TLS: rediss:// cannot be used.".into());
            }
            _ => return refuse("Invalid URI scheme".into()),
        };
        let (who, rest) = match rest.split_once('@') {
            Some((who, rest)) => (Some(who), rest),
            None => (None, rest),
        };
        if let Some(who) = who {
            let password = match who.split_once(':') {
                Some((user, password)) => {
                    let user = percent_decode(user)?;
                    self.user = Some(String::from_utf8_lossy(&user).into_owned());
                    password
                }
                None => who,
            };
            self.password = Some(percent_decode(password)?);
        }
        let (address, db) = match rest.split_once('/') {
            Some((address, db)) => (address, db),
            None => (rest, ""),
        };
        if !address.is_empty() {
            let (host, after) = match address.strip_prefix('[').and_then(|a| a.split_once(']')) {
                Some((host, after)) => (host, after),
                None => address.split_at(address.find(':').unwrap_or(address.len())),
            };
            self.host = host.to_string();
            if let Some(number) = after.strip_prefix(':') {
                self.port = port(integer(number))?;
            }
        }
        if !db.is_empty() {
            self.db = integer(db);
        }
        Ok(())
    }
}

/// Options that take a value.
const WITH_VALUE: &[&str] = &[
    "-h",
    "-p",
    "-s",
    "-r",
    "-i",
    "-n",
    "-a",
    "--pass",
    "--user",
    "-u",
    "-d",
    "-D",
    "-X",
    "--pattern",
    "--quoted-pattern",
    "--count",
    "--memkeys-samples",
    "--pipe-timeout",
    "--intrinsic-latency",
    "--rdb",
    "--functions-rdb",
    "--eval",
    "--test_hint",
    "--test_hint_file",
    "--show-pushes",
];

/// Lets a cluster tool take arguments, converted to text.
fn with_text<T>(words: &mut VecDeque<Vec<u8>>, take: impl FnOnce(&mut VecDeque<String>) -> T) -> T {
    let mut texts: VecDeque<String> =
        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let taken = take(&mut texts);
    words.drain(..words.len().saturating_sub(texts.len()));
    taken
}

fn refuse<T>(message: String) -> Result<T, Stop> {
    Err(Stop::Refused(message))
}

/// Reads a number as C's `atoi` does: it ends at the first character that is no digit, and no
/// digits are 0.
fn integer(text: &str) -> i64 {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let end = text
        .char_indices()
        .skip(sign)
        .find(|(_, c)| !c.is_ascii_digit())
        .map_or(text.len(), |(i, _)| i);
    text.get(..end).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn positive(text: &str) -> u64 {
    u64::try_from(integer(text)).unwrap_or(0)
}

fn port(number: i64) -> Result<u16, Stop> {
    u16::try_from(number).or_else(|_| refuse("Invalid server port.".into()))
}

fn percent_decode(text: &str) -> Result<Vec<u8>, Stop> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let [high, low, after @ ..] = after else {
            return refuse("Incomplete URI encoding".into());
        };
        let digit = |c: u8| char::from(c).to_digit(16);
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
            return refuse("Illegal character in URI encoding".into());
        };
        out.push((high << 4 | low) as u8);
        rest = after;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Stop> {
        Options::parse(line.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect())
    }

    fn refusal(line: &str) -> String {
        match parse(line) {
            Err(Stop::Refused(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_stand_before_the_command() {
        let options = parse("-h example -p 7000 -n 2 -c set -p --raw").unwrap();
        assert_eq!((options.host.as_str(), options.port, options.db), ("example", 7000, 2));
        assert_eq!(options.command, [b"set".to_vec(), b"-p".to_vec(), b"--raw".to_vec()]);
        assert!(options.cluster && options.output.is_none());
    }

    #[test]
    fn options_of_a_cluster_tool_stand_before_or_behind_its_name() {
        let behind = parse("--cluster create a:1 b:2 c:3 --cluster-replicas 0 --cluster-yes");
        let before = parse("--cluster-yes --cluster-replicas 0 --cluster create a:1 b:2 c:3");
        assert_eq!(before.unwrap().tool, behind.unwrap().tool);
    }

    #[test]
    fn the_last_word_is_no_option_with_a_value() {
        let message = "Unrecognized option or bad number of args for: ";
        assert_eq!(refusal("-p"), format!("{message}'-p'"));
        assert_eq!(refusal("-X"), format!("{message}'-X'"));
        assert_eq!(refusal("--nothing x"), format!("{message}'--nothing'"));
        assert_eq!(parse("-h").unwrap_err(), Stop::Help);
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(refusal("-x -X tag set"), "Options -x and -X are mutually exclusive.");
        assert_eq!(refusal("-2 -3"), "Options -2 and -3 are mutually exclusive.");
        assert_eq!(refusal("-p 70000"), "Invalid server port.");
        assert!(refusal("--latency-dist").contains("--latency-dist"));
    }

    #[test]
    fn uris_name_everything() {
        let options = parse("-u redis://al:p%40ss@[::1]:7001/3 ping").unwrap();
        assert_eq!(options.user.as_deref(), Some("al"));
        assert_eq!(options.password.as_deref(), Some(&b"p@ss"[..]));
        assert_eq!((options.host.as_str(), options.port, options.db), ("::1", 7001, 3));
        let options = parse("-u redis://secret@host").unwrap();
        assert_eq!(options.password.as_deref(), Some(&b"secret"[..]));
        assert_eq!((options.user, options.host.as_str(), options.port), (None, "host", 6379));
        assert_eq!(refusal("-u http://x"), "Invalid URI scheme");
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        assert_eq!((integer(" 12abc"), integer("-3"), integer("x")), (12, -3, 0));
        assert_eq!(parse("-i 0.5 ping").unwrap().interval, Duration::from_millis(500));
    }
}
