//! A `limpid` or `redis-server` process for a test, which is killed when dropped.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The timeout for things that should happen at once, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running `limpid` with a working directory of its own. Dropping it kills the process and
/// removes the directory.
#[derive(Debug)]
pub struct Process {
    child: Child,
    port: u16,
    dir: TempDir,
    output: Arc<Output>,
    /// The program and its arguments, to start it again.
    command: (PathBuf, Vec<OsString>),
    /// The log line that says that it is ready.
    ready: &'static str,
}

/// The log line of a server that is ready.
const SERVES: &str = "Ready to accept connections";

/// The implementation of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Limpid.
    Limpid,
    /// The `redis-server` from PATH.
    Redis,
}

impl Process {
    /// Starts a server on a free port of 127.0.0.1 and waits until it is ready. `directives` follow
    /// the port on the command line, as in `&["--requirepass", "secret"]`. By default it saves
    /// nothing.
    pub fn server(directives: &[&str]) -> Self {
        let directives = [&["--save", ""], directives].concat();
        Self::ready(binary(), &["server"], &directives)
    }

    /// The same with `redis-server` from PATH, without persistence.
    pub fn redis_server(directives: &[&str]) -> Self {
        let directives = [&["--save", "", "--appendonly", "no"], directives].concat();
        Self::ready(Path::new("redis-server"), &[], &directives)
    }

    /// Starts a server of this kind.
    pub fn of(kind: Kind, directives: &[&str]) -> Self {
        match kind {
            Kind::Limpid => Self::server(directives),
            Kind::Redis => Self::redis_server(directives),
        }
    }

    /// Starts a cluster node of this kind on a port whose bus port, 10,000 above, is free, too.
    pub fn node(kind: Kind, directives: &[&str]) -> Self {
        let (program, first) = match kind {
            Kind::Limpid => (binary(), &["server"][..]),
            Kind::Redis => (Path::new("redis-server"), &[][..]),
        };
        let cluster = ["--cluster-enabled", "yes", "--save", ""];
        let directives = [&cluster, directives].concat();
        Self::ready_on(free_bus_port, program, first, &directives)
    }

    fn ready(program: &Path, first: &[&str], directives: &[&str]) -> Self {
        Self::ready_on(free_port, program, first, directives)
    }

    fn ready_on(
        find_port: impl Fn() -> u16,
        program: &Path,
        first: &[&str],
        directives: &[&str],
    ) -> Self {
        let mut dir = TempDir::new().expect("a temporary directory");
        // Another process may take the port between finding it and listening on it, so this is
        // retried.
        for _ in 0..5 {
            let port = find_port();
            let port_text = port.to_string();
            let own = ["--port", &port_text, "--bind", "127.0.0.1"];
            let args = [first, &own, directives].concat();
            let (child, output) = spawn(Command::new(program).args(&args), dir.path());
            let words = args.iter().map(OsString::from).collect();
            let command = (program.to_owned(), words);
            let mut process = Process { child, port, dir, output, command, ready: SERVES };
            match process.wait_for_line(SERVES) {
                Ok(_) => return process,
                Err(lines) if lines.contains("Address already in use") => dir = process.into_dir(),
                Err(lines) => panic!("{program:?} {args:?} did not become ready:\n{lines}"),
            }
        }
        panic!("every port that was free was taken a moment later")
    }

    /// Starts `limpid` with these arguments, in a new working directory with `files` (name and
    /// content), without waiting. Its port is `port`, for [`Process::address`].
    pub fn start<S: AsRef<OsStr>>(args: &[S], files: &[(&str, &str)], port: u16) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).expect("a file for the process");
        }
        let (child, output) = spawn(Command::new(binary()).args(args), dir.path());
        let words = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
        Process { child, port, dir, output, command: (binary().to_owned(), words), ready: SERVES }
    }

    /// Starts `limpid` under another name, such as `redis-server`, without waiting.
    pub fn named(name: &str, args: &[&str], port: u16) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let program = dir.path().join(name);
        std::os::unix::fs::symlink(binary(), &program).expect("a link");
        let (child, output) = spawn(Command::new(&program).args(args), dir.path());
        let words = args.iter().map(OsString::from).collect();
        Process { child, port, dir, output, command: (program, words), ready: SERVES }
    }

    /// Starts a Sentinel of this kind with a configuration file of these lines and its port, and
    /// waits until it monitors its masters.
    pub fn sentinel(kind: Kind, lines: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let port = free_port();
        let file = format!("port {port}\nbind 127.0.0.1\n{lines}");
        std::fs::write(dir.path().join("sentinel.conf"), file).expect("a configuration file");
        let (program, args) = Self::sentinel_command(kind);
        let (child, output) = spawn(Command::new(&program).args(&args), dir.path());
        let ready = "+monitor master";
        let mut process = Process { child, port, dir, output, command: (program, args), ready };
        if let Err(lines) = process.wait_for_line(ready) {
            panic!("the Sentinel did not begin to watch:\n{lines}");
        }
        process
    }

    /// Stops a Sentinel, and starts one of this kind with the same file.
    pub fn become_sentinel(&mut self, kind: Kind) {
        self.terminate();
        self.command = Self::sentinel_command(kind);
        self.restart(true);
    }

    /// Stops a cluster node, and starts one of this kind on its port with the same files.
    pub fn become_node(&mut self, kind: Kind) {
        self.terminate();
        let (_, args) = &self.command;
        let directives = args.iter().filter(|word| *word != "server").cloned();
        self.command = match kind {
            Kind::Limpid => {
                let first = [OsString::from("server")].into_iter();
                (binary().to_owned(), first.chain(directives).collect())
            }
            Kind::Redis => (PathBuf::from("redis-server"), directives.collect()),
        };
        self.restart(true);
    }

    fn sentinel_command(kind: Kind) -> (PathBuf, Vec<OsString>) {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect();
        match kind {
            Kind::Limpid => (binary().to_owned(), words(&["sentinel", "sentinel.conf"])),
            Kind::Redis => (PathBuf::from("redis-sentinel"), words(&["sentinel.conf"])),
        }
    }

    /// Stops it with SIGTERM, or with SIGKILL if `kill`, starts it again with the same arguments in
    /// the same directory, and waits until it is ready.
    pub fn restart(&mut self, kill: bool) {
        if kill {
            // It may have ended already, which is fine.
            let _ = self.child.kill();
            let _ = self.child.wait();
        } else {
            self.terminate();
        }
        let (program, args) = self.command.clone();
        (self.child, self.output) = spawn(Command::new(&program).args(&args), self.dir.path());
        if let Err(lines) = self.wait_for_line(self.ready) {
            panic!("{program:?} {args:?} did not become ready again:\n{lines}");
        }
    }

    /// Runs the program again with the same arguments in the same directory, and waits for its end,
    /// which must be a success.
    pub fn restart_to_its_end(&mut self) {
        let (program, args) = self.command.clone();
        (self.child, self.output) = spawn(Command::new(&program).args(&args), self.dir.path());
        let status = self.wait();
        assert!(status.success(), "{program:?} {args:?}: {status}\n{}", self.output());
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The working directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Opens a connection, with a timeout of [`PATIENCE`] on reads and writes.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("a connection to limpid");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream
    }

    /// Waits for a line of its output (standard output and standard error) that contains `text`,
    /// and returns it. The error, if the process ends or [`PATIENCE`] is over, is its whole output.
    pub fn wait_for_line(&mut self, text: &str) -> Result<String, String> {
        self.output.wait(|lines| lines.iter().find(|l| l.contains(text)).cloned())
    }

    /// Its output up to now.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Sends SIGTERM and waits for its end.
    pub fn terminate(&mut self) -> ExitStatus {
        let status = Command::new("kill").arg(self.pid().to_string()).status();
        assert!(status.is_ok_and(|s| s.success()), "cannot signal process {}", self.pid());
        self.wait()
    }

    /// Waits for the end of the process and of its output.
    pub fn wait(&mut self) -> ExitStatus {
        if self.output.wait(|_| None::<()>).is_err() && self.output.is_closed() {
            return self.child.wait().expect("the status of a child");
        }
        panic!("limpid did not end; it printed:\n{}", self.output())
    }

    fn into_dir(mut self) -> TempDir {
        let empty = TempDir::new().expect("a temporary directory");
        std::mem::replace(&mut self.dir, empty)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is no failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `limpid` binary: `LIMPID_BIN` if set, otherwise that of the running test's build, which is
/// rebuilt first so that it is up to date.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("LIMPID_BIN") {
            return PathBuf::from(path);
        }
        // target/<profile>/deps/<test>
        let test = std::env::current_exe().expect("the path of the running test");
        let profile = test.ancestors().nth(2).expect("a profile directory around the test");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        build.args(["build", "--quiet", "--package", "limpid"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(status.is_ok_and(|s| s.success()), "`cargo build -p limpid` failed");
        profile.join("limpid")
    })
}

/// A free port of 127.0.0.1 below the ephemeral ports, so that no outgoing connection takes it
/// before the server does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 21_000 + (first_of(4_000) + NEXT.fetch_add(1, Ordering::Relaxed)) % 4_000;
        if is_free(port) {
            return port;
        }
    }
}

/// A free port of 127.0.0.1 whose bus port, 10,000 above, is free, too; below the ephemeral ports,
/// and above the numbers of slots: tests that compare what tools print take the port out of it.
pub fn free_bus_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 16_500 + (first_of(4_500) + NEXT.fetch_add(1, Ordering::Relaxed)) % 4_500;
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

/// The first port of this process in a range, since other test processes use the same range.
fn first_of(range: u16) -> u16 {
    (std::process::id() as u16).wrapping_mul(397) % range
}

/// Whether a port is free on all addresses.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// The growing output of a process.
#[derive(Debug, Default)]
struct Output {
    state: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    /// The number of streams that have not ended.
    open: usize,
}

impl Output {
    fn wait<T>(&self, mut found: impl FnMut(&[String]) -> Option<T>) -> Result<T, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().expect("no reader panics");
        loop {
            if let Some(it) = found(&state.lines) {
                return Ok(it);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.open == 0 || left.is_zero() {
                return Err(state.lines.join("\n"));
            }
            state = self.grown.wait_timeout(state, left).expect("no reader panics").0;
        }
    }

    fn is_closed(&self) -> bool {
        self.state.lock().expect("no reader panics").open == 0
    }

    fn text(&self) -> String {
        self.state.lock().expect("no reader panics").lines.join("\n")
    }

    fn read(self: Arc<Self>, stream: impl Read + Send + 'static) {
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                self.state.lock().expect("no reader panics").lines.push(line);
                self.grown.notify_all();
            }
            self.state.lock().expect("no reader panics").open -= 1;
            self.grown.notify_all();
        });
    }
}

fn spawn(command: &mut Command, dir: &Path) -> (Child, Arc<Output>) {
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("limpid starts");
    let output = Arc::new(Output::default());
    output.state.lock().expect("no reader panics").open = 2;
    output.clone().read(child.stdout.take().expect("piped"));
    output.clone().read(child.stderr.take().expect("piped"));
    (child, output)
}
