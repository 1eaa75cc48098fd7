//! The command line of `limpid server` and `redis-server`.

use std::io::{self, Read};
use std::path::Path;

use limpid_core::server::VERSION;
use limpid_core::server::config::{Config, ConfigError};

/// What the command line asks for: to run a server, or to print something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Run(Sources),
    Version,
    Help,
    TestMemory,
    CheckSystem,
}

/// The sources of the configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    file: Option<String>,
    stdin: bool,
    directives: Vec<String>,
}

/// The text of a configuration.
#[derive(Debug)]
pub(crate) struct Text {
    /// The file, followed by standard input.
    pub(crate) text: Vec<u8>,
    /// Standard input by itself, which cannot be read again.
    pub(crate) stdin: Vec<u8>,
}

/// A configuration, with the standard input that was read for it, which cannot be read again.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) stdin: Vec<u8>,
}

impl Request {
    /// Parses the arguments that follow the program's name.
    pub(crate) fn parse(args: Vec<String>) -> Self {
        match args.first().map(String::as_str) {
            Some("-v" | "--version") if args.len() == 1 => return Request::Version,
            Some("-h" | "--help") if args.len() == 1 => return Request::Help,
            Some("--test-memory") => return Request::TestMemory,
            Some("--check-system") if args.len() == 1 => return Request::CheckSystem,
            _ => {}
        }
        let mut sources = Sources::default();
        let mut args = args.into_iter().peekable();
        sources.file = args.next_if(|arg| !arg.starts_with('-'));
        sources.stdin = args.next_if(|arg| arg == "-").is_some();
        sources.directives = args.collect();
        Request::Run(sources)
    }
}

impl Sources {
    /// Reads the configuration of a server.
    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        let Text { text, stdin } = self.read()?;
        let mut config = Config::parse(&text, &self.directives, &mut load_included)?;
        config.file = self.path();
        Ok(Loaded { config, stdin })
    }

    /// The absolute path of the configuration file.
    pub(crate) fn path(&self) -> Option<String> {
        self.file.as_ref().map(|path| absolute(path))
    }

    /// The directives given as arguments, which count as lines of the file.
    pub(crate) fn directives(&self) -> &[String] {
        &self.directives
    }

    /// Whether a Sentinel is to be started. Removes the argument that says so.
    pub(crate) fn take_sentinel(&mut self) -> bool {
        let before = self.directives.len();
        self.directives.retain(|word| word != "--sentinel");
        self.directives.len() < before
    }

    /// Reads the file and standard input.
    pub(crate) fn read(&self) -> Result<Text, ConfigError> {
        let mut text = Vec::new();
        if let Some(path) = &self.file {
            text = std::fs::read(path).map_err(|e| unreadable(path, &e))?;
            text.push(b'\n');
        }
        let mut stdin = Vec::new();
        if self.stdin {
            io::stdin().read_to_end(&mut stdin).map_err(|e| unreadable("-", &e))?;
            text.extend_from_slice(&stdin);
        }
        Ok(Text { text, stdin })
    }
}

/// What `--version` prints. Scripts look for `v=`.
pub(crate) fn version() -> String {
    format!(
        "Redis server v={VERSION} sha=00000000:0 malloc=mimalloc bits={} build=limpid-{}",
        usize::BITS,
        env!("CARGO_PKG_VERSION")
    )
}

/// What `--help` prints.
pub(crate) fn help(program: &str) -> String {
    format!(
        "\
Usage: {program} [redis.conf] [-] [--directive value ...]
       {program} -v | --version
       {program} -h | --help
       {program} --check-system

The configuration is read from the file, then from standard input if there is
a lone dash, then from the arguments; what comes later wins. Every directive
of redis.conf may be given as an argument.

Examples:
       {program}
       {program} /etc/redis/6379.conf
       {program} --port 7777
       {program} --port 7777 --requirepass secret
       {program} redis.conf --loglevel verbose
       echo 'maxmemory 128mb' | {program} -
"
    )
}

pub(crate) fn load_included(path: &str) -> Result<Vec<u8>, String> {
    if !path.contains(['*', '?', '[']) {
        return std::fs::read(path).map_err(|e| strerror(&e));
    }
    let mut text = Vec::new();
    // The iterator is in alphabetical order.
    for found in glob::glob(path).map_err(|e| e.to_string())? {
        let found = found.map_err(|e| strerror(e.error()))?;
        text.extend(std::fs::read(&found).map_err(|e| strerror(&e))?);
        text.push(b'\n');
    }
    Ok(text)
}

fn unreadable(path: &str, error: &io::Error) -> ConfigError {
    ConfigError::Unreadable { path: path.to_owned(), message: strerror(error) }
}

/// The text that `strerror` has for an error, as Redis prints it.
pub(super) fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn absolute(path: &str) -> String {
    let absolute = std::path::absolute(Path::new(path)).unwrap_or_else(|_| path.into());
    absolute.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Request {
        Request::parse(args.iter().map(ToString::to_string).collect())
    }

    fn run(file: Option<&str>, stdin: bool, directives: &[&str]) -> Request {
        Request::Run(Sources {
            file: file.map(Into::into),
            stdin,
            directives: directives.iter().map(ToString::to_string).collect(),
        })
    }

    #[test]
    fn a_command_line_is_read_as_redis_reads_it() {
        assert_eq!(parse(&[]), run(None, false, &[]));
        assert_eq!(parse(&["a.conf"]), run(Some("a.conf"), false, &[]));
        assert_eq!(parse(&["-", "--port", "1"]), run(None, true, &["--port", "1"]));
        assert_eq!(parse(&["a.conf", "-"]), run(Some("a.conf"), true, &[]));
        assert_eq!(
            parse(&["a.conf", "--port", "1", "-"]),
            run(Some("a.conf"), false, &["--port", "1", "-"])
        );
        assert_eq!(parse(&["-v"]), Request::Version);
        assert_eq!(parse(&["--test-memory", "100"]), Request::TestMemory);
    }

    #[test]
    fn included_patterns_give_their_files_in_order() {
        let dir = tempfile::TempDir::new().expect("a directory");
        for (name, text) in [("b.conf", "port 2"), ("a.conf", "port 1"), ("c.txt", "port 3")] {
            std::fs::write(dir.path().join(name), text).expect("a file");
        }
        let pattern = dir.path().join("*.conf");
        let text = load_included(pattern.to_str().expect("UTF-8"));
        assert_eq!(text.as_deref(), Ok(&b"port 1\nport 2\n"[..]));
        let missing = load_included("/nowhere/at.all");
        assert_eq!(missing, Err("No such file or directory".into()));
    }
}
