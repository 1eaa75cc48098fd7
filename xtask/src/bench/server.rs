//! A server that is measured: its process, CPU time and memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::on_path;

/// A running server on a free port of 127.0.0.1, with a directory of its own.
pub(crate) struct Server {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Server {
    /// Starts `program` on the first processor, with Redis's own options after `first` and without
    /// persistence.
    pub(crate) fn start(program: &Path, first: &[&str]) -> Result<Self> {
        Self::spawn(pinned(program, 0), program, first, &[])
    }

    /// The same with more options, and allowed to use all processors, so that background work
    /// (threads, a child) does not share one with the event loop.
    pub(crate) fn start_free(program: &Path, first: &[&str], options: &[&str]) -> Result<Self> {
        Self::spawn(Command::new(program), program, first, options)
    }

    fn spawn(mut command: Command, program: &Path, first: &[&str], more: &[&str]) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let dir = std::env::temp_dir().join(format!("limpid-bench-{port}"));
        std::fs::create_dir_all(&dir)?;
        command.args(first).args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no"]).arg("--dir").arg(&dir).args(more);
        let child = command.current_dir(&dir).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.with_context(|| format!("cannot start {program:?}"))?;
        let mut server = Server { child, port, dir };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{program:?} ended at once ({status})");
            }
            ensure!(Instant::now() < deadline, "{program:?} does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A new connection to it.
    pub(crate) fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The CPU time (user and system) of the process and of its children that have ended.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu_of(self.child.id())
    }

    /// The CPU time of the present threads, with a resolution of nanoseconds. If the kernel does
    /// not provide that, the same as [`Server::cpu`].
    pub(crate) fn cpu_of_threads(&self) -> Result<Duration> {
        let mut sum = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
                return self.cpu();
            };
            sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        resident_of(self.child.id())
    }

    /// Memory of the process and its children in bytes, shared pages counted once (PSS).
    pub(crate) fn with_children(&self) -> Result<u64> {
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        // A child may have ended meanwhile.
        Ok(proportional(own)? + children.filter_map(|pid| proportional(pid).ok()).sum::<u64>())
    }

    /// Sends one command. Returns its reply without the type byte.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<String> {
        let mut stream = BufReader::new(self.connect()?);
        let mut request = Vec::new();
        encode(&mut request, &words.iter().map(|w| w.as_bytes()).collect::<Vec<_>>());
        stream.get_mut().write_all(&request)?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let head = line.trim_end();
        ensure!(!head.starts_with('-') && !head.is_empty(), "{words:?}: {head}");
        let Some(len) = head.strip_prefix('$') else { return Ok(head[1..].to_owned()) };
        let mut text = vec![0; len.parse()?];
        stream.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// A field of INFO.
    pub(crate) fn info(&self, section: &str, field: &str) -> Result<String> {
        let text = self.ask(&["INFO", section])?;
        let mut values =
            text.lines().filter_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(values.next().with_context(|| format!("no {field}"))?.to_owned())
    }

    /// Sets keys in one long pipeline and waits until all are set.
    pub(crate) fn fill(&self, keys: u64, name: impl Fn(u64) -> String, value: &[u8]) -> Result<()> {
        self.pipeline(keys, |key, batch| encode(batch, &[b"SET", name(key).as_bytes(), value]))
    }

    /// Adds elements to one key, a hundred per command: `command key`, and the arguments that
    /// `element` gives for each number.
    pub(crate) fn grow(
        &self,
        command: &str,
        key: &str,
        elements: u64,
        element: impl Fn(u64) -> Vec<String>,
    ) -> Result<()> {
        const EACH: u64 = 100;
        self.pipeline(elements.div_ceil(EACH), |n, batch| {
            let numbers = n * EACH..elements.min((n + 1) * EACH);
            let words: Vec<String> = numbers.flat_map(&element).collect();
            let mut all = vec![command.as_bytes(), key.as_bytes()];
            all.extend(words.iter().map(String::as_bytes));
            encode(batch, &all);
        })
    }

    /// Deletes a key.
    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        self.pipeline(1, |_, batch| encode(batch, &[b"DEL", key.as_bytes()]))
    }

    /// Sends commands with single-line replies in one long pipeline, and waits for all replies.
    pub(crate) fn pipeline(
        &self,
        commands: u64,
        command: impl FnMut(u64, &mut Vec<u8>),
    ) -> Result<()> {
        self.pipeline_of(commands, 1, command)
    }

    /// The same for commands whose replies have `lines_each` lines.
    pub(crate) fn pipeline_of(
        &self,
        commands: u64,
        lines_each: u64,
        mut command: impl FnMut(u64, &mut Vec<u8>),
    ) -> Result<()> {
        let mut stream = self.connect()?;
        let mut replies = BufReader::with_capacity(1 << 16, stream.try_clone()?);
        let reader = std::thread::spawn(move || -> Result<()> {
            let mut line = Vec::new();
            for _ in 0..commands * lines_each {
                line.clear();
                let n = replies.read_until(b'\n', &mut line)?;
                ensure!(n > 0, "the server closed the connection");
                ensure!(line[0] != b'-', "{}", String::from_utf8_lossy(&line));
            }
            Ok(())
        });
        let mut batch = Vec::new();
        for n in 0..commands {
            command(n, &mut batch);
            if batch.len() > 1 << 16 {
                stream.write_all(&batch)?;
                batch.clear();
            }
        }
        stream.write_all(&batch)?;
        reader.join().map_err(|_| anyhow::anyhow!("the reader of replies panicked"))?
    }
}

/// Appends a command in the form of the protocol.
pub(crate) fn encode(batch: &mut Vec<u8>, words: &[&[u8]]) {
    batch.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        batch.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        batch.extend_from_slice(word);
        batch.extend_from_slice(b"\r\n");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The proportional set size of a process in bytes.
fn proportional(pid: u32) -> Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
    let kb = line.split_whitespace().next().context("no Pss")?;
    Ok(kb.parse::<u64>()? * 1024)
}

/// A command pinned to one processor, if there is more than one: servers on the first, the load on
/// the second, so that they do not disturb each other.
pub(crate) fn pinned(program: &Path, processor: usize) -> Command {
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
    match on_path("taskset") {
        Some(taskset) if processors > 1 => {
            let mut command = Command::new(taskset);
            command.arg("--cpu-list").arg(processor.to_string()).arg(program);
            command
        }
        _ => Command::new(program),
    }
}

/// Resident memory of a process in bytes.
pub(crate) fn resident_of(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("no VmRSS")?;
    let kb = line.split_whitespace().nth(1).context("no VmRSS")?;
    Ok(kb.parse::<u64>()? * 1024)
}

/// The CPU time (user and system) of a process and of its children that have ended.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid))?;
    // The name, in parentheses, may contain spaces. utime and stime are the 12th and 13th field
    // after it, followed by those of children.
    let fields = stat.rsplit_once(')').context("/proc/…/stat")?.1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(4).map(|n| n.parse::<u64>().unwrap_or(0)).sum();
    // USER_HZ is 100 on all common Linux platforms.
    Ok(Duration::from_millis(ticks * 10))
}

/// The first line of `--version`.
pub(crate) fn version(program: &Path) -> Result<String> {
    let out = Command::new(program).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&out.stdout).lines().next().unwrap_or_default().to_owned())
}
