//! Reading configuration files and command-line arguments as Redis reads them.

use core::fmt;

use super::table::{DIRECTIVES, FORGOTTEN, Kind};
use super::{Config, Settings, value};
use crate::resp::quote::split_args;
use crate::server::VERSION;

/// How deep files may include each other.
const MAX_DEPTH: usize = 16;

/// Gives the text of a file that a configuration includes. A path with `*`, `?` or `[` is a
/// pattern: the files that it finds follow each other in the order of their names, and none is no
/// error. The error is the operating system's word for what is wrong.
pub type Loader<'l> = &'l mut dyn FnMut(&str) -> Result<Vec<u8>, String>;

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A line is wrong.
    Line {
        /// Its number, from 1.
        number: usize,
        /// Its text.
        line: String,
        /// What is wrong with it.
        message: String,
    },
    /// The lines do not go together.
    Whole(String),
    /// A file cannot be read.
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        message: String,
    },
}

impl fmt::Display for ConfigError {
    /// What Redis prints before it gives up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { path, message } => {
                write!(f, "Fatal error, can't open config file '{path}': {message}")
            }
            ConfigError::Whole(message) => {
                write!(f, "\n*** FATAL CONFIG FILE ERROR (Redis {VERSION}) ***\n{message}")
            }
            ConfigError::Line { number, line, message } => write!(
                f,
                "\n*** FATAL CONFIG FILE ERROR (Redis {VERSION}) ***\n\
                 Reading the configuration file, at line {number}\n>>> '{line}'\n{message}"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads a configuration out of the text of a file and the arguments that follow it on the
    /// command line (`["--port", "6380"]`), which count as lines at its end.
    pub fn parse(
        text: &[u8],
        arguments: &[String],
        loader: Loader<'_>,
    ) -> Result<Self, ConfigError> {
        let mut config = Config::default();
        let mut text = text.to_vec();
        text.push(b'\n');
        text.extend(arguments_as_lines(arguments).bytes());
        let mut reader = Reader { config: &mut config, loader, saves: false };
        reader.read(&text, 0)?;
        config.settings = Settings::of(&config);
        if config.settings.replicaof.is_some() && config.get("cluster-enabled") == Some(b"yes") {
            return Err(ConfigError::Whole(
                "replicaof directive not allowed in cluster mode".into(),
            ));
        }
        Ok(config)
    }
}

struct Reader<'r> {
    config: &'r mut Config,
    loader: Loader<'r>,
    /// Whether a `save` line was seen: the first one replaces the defaults, the others add.
    saves: bool,
}

impl Reader<'_> {
    fn read(&mut self, text: &[u8], depth: usize) -> Result<(), ConfigError> {
        for (i, line) in text.split(|&c| c == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let words = split_args(line);
            let at = |message: String| ConfigError::Line {
                number: i + 1,
                line: String::from_utf8_lossy(line).into_owned(),
                message,
            };
            let words =
                words.ok_or_else(|| at("Unbalanced quotes in configuration line".into()))?;
            let [name, values @ ..] = words.as_slice() else { continue };
            if name.eq_ignore_ascii_case(b"include") && values.len() == 1 {
                self.include(&String::from_utf8_lossy(&values[0]), depth)?;
                continue;
            }
            self.directive(name, values).map_err(at)?;
        }
        Ok(())
    }

    fn include(&mut self, path: &str, depth: usize) -> Result<(), ConfigError> {
        let unreadable =
            |message: String| ConfigError::Unreadable { path: path.to_owned(), message };
        if depth >= MAX_DEPTH {
            return Err(unreadable("Too many levels of included files".into()));
        }
        let text = (self.loader)(path).map_err(unreadable)?;
        self.read(&text, depth + 1)
    }

    fn directive(&mut self, name: &[u8], values: &[Vec<u8>]) -> Result<(), String> {
        if let Some(at) = super::table::find(name) {
            let directive = &DIRECTIVES[at];
            let old = self.config.values[at].clone();
            let mut text = value::from_line(directive, values, &old)?;
            if directive.kind == Kind::Save {
                if self.saves && !text.is_empty() && !old.is_empty() {
                    text = [old.as_slice(), &text].join(&b' ');
                }
                self.saves = true;
            }
            self.config.put(at, text);
            return Ok(());
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let text = |i: usize| {
            String::from_utf8_lossy(values.get(i).map(Vec::as_slice).unwrap_or_default())
                .into_owned()
        };
        match (name.as_str(), values.len()) {
            (name, 1) if FORGOTTEN.contains(&name) => Ok(()),
            ("rename-command", 2) => self.rename(text(0).to_ascii_lowercase(), text(1)),
            ("user", 1..) if values[0] == b"default" => self.default_user(&values[1..]),
            ("user", 1..) => Err("ACL users other than the default one are not supported. \
                                  Use requirepass to set the default user's password."
                .into()),
            ("loadmodule", 1..) => Err("Modules are not supported. Remove this line.".into()),
            ("sentinel", 1..) => Err("sentinel directive while not in sentinel mode".into()),
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }

    /// What CONFIG REWRITE of Redis writes about the one user that there is.
    fn default_user(&mut self, rules: &[Vec<u8>]) -> Result<(), String> {
        for rule in rules {
            match rule.as_slice() {
                b"on"
                | b"~*"
                | b"&*"
                | b"+@all"
                | b"allkeys"
                | b"allchannels"
                | b"allcommands"
                | b"sanitize-payload"
                | b"skip-sanitize-payload" => {}
                b"nopass" => self.set_password(b""),
                [b'>', password @ ..] => self.set_password(password),
                other => {
                    return Err(format!(
                        "The rule '{}' for the default user is not supported. Use requirepass to \
                         set its password.",
                        String::from_utf8_lossy(other)
                    ));
                }
            }
        }
        Ok(())
    }

    fn set_password(&mut self, password: &[u8]) {
        if let Some(at) = super::table::find(b"requirepass") {
            self.config.put(at, password.to_vec());
        }
    }

    fn rename(&mut self, from: String, to: String) -> Result<(), String> {
        let renames = &self.config.renames;
        if !crate::server::table::exists(&from) || renames.iter().any(|(old, _)| *old == from) {
            return Err("No such command in rename-command".into());
        }
        let lower = to.to_ascii_lowercase();
        let still_there = crate::server::table::exists(&lower)
            && !renames.iter().any(|(old, _)| *old == lower)
            && lower != from;
        let taken = renames.iter().any(|(_, new)| new.eq_ignore_ascii_case(&to));
        if !to.is_empty() && (still_there || taken) {
            return Err("Target command name already exists".into());
        }
        self.config.renames.push((from, to));
        Ok(())
    }
}

/// Turns arguments into lines: a name behind two dashes begins one, and what follows a name is its
/// value even if it begins with dashes.
fn arguments_as_lines(arguments: &[String]) -> String {
    let mut out = String::new();
    let mut name_expected = true;
    for (i, argument) in arguments.iter().enumerate() {
        match argument.strip_prefix("--") {
            Some(name) if name_expected => {
                out.push('\n');
                out.push_str(name);
                // `--save` alone means that there are no save points.
                let next_is_name = arguments.get(i + 1).is_none_or(|next| next.starts_with("--"));
                if name.eq_ignore_ascii_case("save") && next_is_name {
                    out.push_str(" \"\"");
                } else {
                    // `"--port 6380"` in one argument holds its value already.
                    name_expected = name.trim().contains(' ');
                }
            }
            _ => {
                out.push(' ');
                out.push_str(&quoted(argument.as_bytes()));
                name_expected = true;
            }
        }
    }
    out
}

/// A word in double quotes, with escapes for what cannot stand in a line.
pub(crate) fn quoted(word: &[u8]) -> String {
    let mut out = String::from("\"");
    for &c in word {
        match c {
            b'\\' | b'"' => out.extend(['\\', char::from(c)]),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            b' '..=b'~' => out.push(char::from(c)),
            _ => out.push_str(&format!("\\x{c:02x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, arguments: &[&str]) -> Result<Config, ConfigError> {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        Config::parse(text.as_bytes(), &arguments, &mut |path| match path {
            "more.conf" => Ok(b"maxclients 7\ninclude more.conf2".to_vec()),
            "more.conf2" => Ok(b"timeout 9".to_vec()),
            "self.conf" => Ok(b"include self.conf".to_vec()),
            _ => Err("No such file or directory".into()),
        })
    }

    fn get(config: &Config, name: &str) -> String {
        String::from_utf8(config.get(name).expect("a directive").to_vec()).expect("text")
    }

    #[test]
    fn a_file_is_read_as_redis_reads_it() {
        let config = parse(
            "# comment\n  PORT 7000\nbind 127.0.0.1 -::1\r\nrequirepass \"a b\\x21\"\n\
             maxmemory 2gb\nsave 900 1\nsave 300 10\nactivedefrag yes\nslave-priority 5\n\
             client-output-buffer-limit replica 1mb 512kb 30\ninclude more.conf\n",
            &["--port", "7001", "--dir", "--odd", "--loglevel", "verbose"],
        )
        .expect("a good file");
        assert_eq!(config.settings().port, 7001);
        assert_eq!(config.settings().bind, ["127.0.0.1", "-::1"]);
        assert_eq!(config.settings().requirepass.as_deref(), Some(&b"a b!"[..]));
        assert_eq!(get(&config, "maxmemory"), "2147483648");
        assert_eq!(get(&config, "save"), "900 1 300 10");
        assert_eq!(get(&config, "replica-priority"), "5");
        assert_eq!(get(&config, "dir"), "--odd");
        assert_eq!(get(&config, "loglevel"), "verbose");
        assert_eq!((config.settings().maxclients, config.settings().timeout), (7, 9));
        assert_eq!(
            get(&config, "client-output-buffer-limit"),
            "normal 0 0 0 slave 1048576 524288 30 pubsub 33554432 8388608 60"
        );
        assert!(config.warnings().iter().any(|w| w.contains("'activedefrag'")));
        assert!(!config.warnings().iter().any(|w| w.contains("'port'")));
    }

    #[test]
    fn arguments_may_leave_save_empty() {
        for arguments in [&["--save", "", "--port", "1"][..], &["--save", "--port", "1"]] {
            let config = parse("", arguments).expect("good arguments");
            assert_eq!((get(&config, "save"), config.settings().port), (String::new(), 1));
        }
        let config = parse("", &["--save", "60 1 5 7"]).expect("good arguments");
        assert_eq!(get(&config, "save"), "60 1 5 7");
        let config = parse("", &["--replicaof", "127.0.0.1", "6379"]).expect("good arguments");
        assert_eq!(config.settings().replicaof, Some(("127.0.0.1".into(), 6379)));
    }

    #[test]
    fn the_one_user_may_be_described() {
        let config = parse("user default on >secret ~* &* +@all", &[]).expect("a good line");
        assert_eq!(config.settings().requirepass.as_deref(), Some(&b"secret"[..]));
        let config = parse("user default on nopass ~* &* +@all", &[]).expect("a good line");
        assert_eq!(config.settings().requirepass, None);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = parse("port 1\nfoo bar\n", &[]).expect_err("an error");
        assert_eq!(
            error.to_string(),
            format!(
                "\n*** FATAL CONFIG FILE ERROR (Redis {VERSION}) ***\n\
                 Reading the configuration file, at line 2\n>>> 'foo bar'\n\
                 Bad directive or wrong number of arguments"
            )
        );
        for (text, message) in [
            ("port 70000", "argument must be between 0 and 65535 inclusive"),
            ("port x", "argument couldn't be parsed into an integer"),
            ("port 1 2", "wrong number of arguments"),
            ("maxmemory 1x", "argument must be a memory value"),
            ("daemonize maybe", "argument must be 'yes' or 'no'"),
            ("requirepass \"a", "Unbalanced quotes in configuration line"),
            ("save 1", "Invalid save parameters"),
            ("user default on -@all", "The rule '-@all' for the default user is not supported"),
            ("user alice on", "ACL users other than the default one are not supported"),
            ("rename-command nonsense x", "No such command in rename-command"),
            ("rename-command ping echo", "Target command name already exists"),
            (
                "include nowhere.conf",
                "Fatal error, can't open config file 'nowhere.conf': No such file or directory",
            ),
            ("include self.conf", "Too many levels"),
        ] {
            let error = parse(text, &[]).expect_err(text).to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
