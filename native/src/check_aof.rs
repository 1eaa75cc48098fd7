//! `limpid check-aof`, also as `redis-check-aof`: checks an append-only file. `--fix` cuts off an
//! incomplete end, `--truncate-to-timestamp` everything that was written after that time.
//!
//! The output is that of Redis's program, since scripts read it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::ExitCode;

use limpid_core::persist::aof::{MAX_LINE, Manifest, RDB_MAGIC, TIMESTAMP};
use limpid_core::persist::rdb::{ReadOptions, Reader};

/// The longest line that holds a number, in bytes: the buffer of Redis's program without the NUL.
const NUMBER_LINE: u64 = 127;

/// What the program was told to do.
#[derive(Clone, Copy, Default)]
struct Task {
    fix: bool,
    /// Unix time in seconds after which the file is cut off; 0 means that it is not.
    to_timestamp: i64,
}

/// The result of checking a file.
enum Verdict {
    Valid,
    Empty,
    Truncated,
    TimestampTruncated,
}

/// A failure that ends the program. Its message has been printed.
struct Failed;

/// Runs the program with the arguments that follow its name.
pub(crate) fn main(program: &str, args: &[String]) -> ExitCode {
    let (task, path) = match args {
        [path] => (Task::default(), path),
        [option, path] if option == "--fix" => (Task { fix: true, ..Task::default() }, path),
        [option, seconds, path] if option == "--truncate-to-timestamp" => {
            let Ok(to_timestamp) = seconds.parse() else {
                println!("Invalid timestamp, aborting...");
                return ExitCode::FAILURE;
            };
            (Task { to_timestamp, ..Task::default() }, path)
        }
        _ => {
            println!(
                "Usage: {program} [--fix|--truncate-to-timestamp $timestamp] \
                 <file.manifest|file.aof>"
            );
            return ExitCode::FAILURE;
        }
    };
    match check(task, Path::new(path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

fn check(task: Task, path: &Path) -> Result<(), Failed> {
    if is_manifest(path)? {
        return check_parts(task, path);
    }
    let rdb = is_rdb(path)?;
    println!("Start checking Old-Style AOF");
    let name = path.display().to_string();
    let verdict = Part { task, name: &name, path, last: true, rdb }.check()?;
    tell(&verdict, &name, "AOF", task);
    Ok(())
}

/// Checks all files that a manifest names.
fn check_parts(task: Task, manifest: &Path) -> Result<(), Failed> {
    println!("Start checking Multi Part AOF");
    let text = std::fs::read(manifest).map_err(|e| cannot_open(manifest, &e))?;
    let parts = Manifest::parse(&text).map_err(|error| {
        for line in error.log_lines() {
            println!("{line}");
        }
        Failed
    })?;
    let directory = manifest.parent().unwrap_or(Path::new(""));
    let last = parts.parts().count();
    let mut number = 0;
    if let Some(base) = &parts.base {
        number += 1;
        let path = directory.join(&base.name);
        let rdb = is_rdb(&path)?;
        println!("Start to check BASE AOF ({} format).", if rdb { "RDB" } else { "RESP" });
        let part = Part { task, name: &base.name, path: &path, last: number == last, rdb };
        tell(&part.check()?, &base.name, "BASE AOF", task);
    }
    if !parts.incr.is_empty() {
        println!("Start to check INCR files.");
    }
    for incr in &parts.incr {
        number += 1;
        let path = directory.join(&incr.name);
        let part = Part { task, name: &incr.name, path: &path, last: number == last, rdb: false };
        tell(&part.check()?, &incr.name, "INCR AOF", task);
    }
    println!("All AOF files and manifest are valid");
    Ok(())
}

fn tell(verdict: &Verdict, name: &str, kind: &str, task: Task) {
    match verdict {
        Verdict::Valid => println!("{kind} {name} is valid"),
        Verdict::Empty => println!("{kind} {name} is empty"),
        Verdict::Truncated => println!("Successfully truncated AOF {name}"),
        Verdict::TimestampTruncated => {
            println!("Successfully truncated AOF {name} to timestamp {}", task.to_timestamp);
        }
    }
}

/// Whether a file is a manifest: comments and lines that begin with `file`.
fn is_manifest(path: &Path) -> Result<bool, Failed> {
    let file = File::open(path).map_err(|e| cannot_open(path, &e))?;
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    let mut is_manifest = false;
    loop {
        line.clear();
        match (&mut lines).take(MAX_LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(is_manifest),
            Ok(_) if line.starts_with(b"#") => {}
            Ok(_) if line.starts_with(b"file") => is_manifest = true,
            Ok(_) => return Ok(is_manifest),
            Err(_) => {
                println!("Cannot read file: {}", path.display());
                return Err(Failed);
            }
        }
    }
}

fn is_rdb(path: &Path) -> Result<bool, Failed> {
    let mut file = File::open(path).map_err(|e| cannot_open(path, &e))?;
    let mut head = [0; 8];
    Ok(file.read_exact(&mut head).is_ok() && head.starts_with(RDB_MAGIC))
}

fn cannot_open(path: &Path, error: &io::Error) -> Failed {
    println!("Cannot open file {}: {}", path.display(), strerror(error));
    Failed
}

/// The text that `strerror` has for an error, without the error number.
fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A file to check: one of those that a manifest names, or an append-only file by itself.
struct Part<'a> {
    task: Task,
    name: &'a str,
    path: &'a Path,
    /// Whether it is the last file. Only that one may be truncated.
    last: bool,
    /// Whether it begins with an RDB preamble.
    rdb: bool,
}

impl Part<'_> {
    fn check(&self) -> Result<Verdict, Failed> {
        let file = OpenOptions::new().read(true).write(true).open(self.path).map_err(|e| {
            println!("Cannot open file {}: {}, aborting...", self.path.display(), strerror(&e));
            Failed
        })?;
        let size = file.metadata().map_err(|_| self.failed("Cannot stat file:"))?.len();
        if size == 0 {
            return Ok(Verdict::Empty);
        }
        let mut scan = Scan::new(&file);
        if self.rdb {
            scan.position = self.check_preamble()?;
            scan.input.seek(SeekFrom::Start(scan.position)).map_err(|_| self.failed("Seek in"))?;
        }
        let mut sane;
        loop {
            sane = scan.sane.unwrap_or(scan.position);
            match scan.peek().map_err(|_| self.failed("Failed to read from AOF"))? {
                None => break,
                Some(b'#') => {
                    if let Some(at) = self.annotation(&mut scan)? {
                        return self.cut(&file, at).map(|()| Verdict::TimestampTruncated);
                    }
                }
                Some(b'*') => {
                    if scan
                        .record(self.path)
                        .map_err(|_| self.failed("Failed to read from AOF"))?
                        .is_none()
                    {
                        break;
                    }
                }
                Some(_) => {
                    println!("AOF {} format error", self.name);
                    break;
                }
            }
        }
        if scan.ended && scan.sane.is_some() && scan.error.is_empty() {
            scan.fail("Reached EOF before reading EXEC for MULTI");
        }
        if !scan.error.is_empty() {
            println!("{}", scan.error);
        }
        let diff = size.saturating_sub(sane);
        if diff == 0 && self.task.to_timestamp != 0 {
            let (name, timestamp) = (self.name, self.task.to_timestamp);
            println!("Truncate nothing in AOF {name} to timestamp {timestamp}");
            return Ok(Verdict::Valid);
        }
        println!(
            "AOF analyzed: filename={}, size={size}, ok_up_to={sane}, ok_up_to_line={}, \
             diff={diff}",
            self.name, scan.line
        );
        if diff == 0 {
            return Ok(Verdict::Valid);
        }
        if !self.task.fix {
            println!("AOF {} is not valid. Use the --fix option to try fixing it.", self.name);
            return Err(Failed);
        }
        if !self.last {
            println!("Failed to truncate AOF {} because it is not the last file", self.name);
            return Err(Failed);
        }
        println!(
            "This will shrink the AOF {} from {size} bytes, with {diff} bytes, to {sane} bytes",
            self.name
        );
        if !confirmed() {
            println!("Aborting...");
            return Err(Failed);
        }
        self.cut(&file, sane).map(|()| Verdict::Truncated)
    }

    fn failed(&self, what: &str) -> Failed {
        println!("{what} {}, aborting...", self.name);
        Failed
    }

    fn cut(&self, file: &File, len: u64) -> Result<(), Failed> {
        file.set_len(len).and_then(|()| file.sync_all()).map_err(|_| {
            match self.task.to_timestamp {
                0 => println!("Failed to truncate AOF {}", self.name),
                timestamp => {
                    println!("Failed to truncate AOF {} to timestamp {timestamp}", self.name);
                }
            }
            Failed
        })
    }

    /// Checks the RDB preamble. Returns the offset at which it ends.
    fn check_preamble(&self) -> Result<u64, Failed> {
        println!("[offset 0] Checking RDB file {}", self.path.display());
        let insane = |offset: u64, reason: &str| {
            println!("--- RDB ERROR DETECTED ---");
            println!("[offset {offset}] {reason}");
            println!("RDB preamble of AOF file is not sane, aborting.");
            Failed
        };
        let mut file = File::open(self.path).map_err(|e| cannot_open(self.path, &e))?;
        let mut reader = Reader::new(ReadOptions::default());
        let mut buffer = vec![0; 64 * 1024];
        while !reader.is_done() {
            match reader.next_record() {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let n = file.read(&mut buffer).map_err(|e| cannot_open(self.path, &e))?;
                    if n == 0 {
                        return Err(insane(reader.offset(), "Unexpected EOF reading RDB file"));
                    }
                    reader.feed(buffer.get(..n).unwrap_or_default());
                }
                Err(error) => return Err(insane(error.offset, &error.reason)),
            }
        }
        println!("[offset {}] \\o/ RDB looks OK! \\o/", reader.offset());
        println!("RDB preamble is OK, proceeding with AOF tail...");
        Ok(reader.offset())
    }

    /// Reads a timestamp annotation. Returns its offset if the file is to be cut there.
    fn annotation(&self, scan: &mut Scan<'_>) -> Result<Option<u64>, Failed> {
        let start = scan.position;
        let line = scan
            .read_line(MAX_LINE as u64 - 1)
            .map_err(|_| self.failed("Failed to read annotations from AOF"))?;
        let to = self.task.to_timestamp;
        let Some(text) = line.strip_prefix(TIMESTAMP).filter(|_| to != 0) else { return Ok(None) };
        let digits = text.split(|c| *c == b'\r').next().unwrap_or_default();
        let seconds = std::str::from_utf8(digits).ok().and_then(|t| t.parse::<i64>().ok());
        let Some(seconds) = seconds.filter(|_| text.contains(&b'\r')) else {
            println!("Invalid timestamp annotation");
            return Err(Failed);
        };
        let path = self.path.display();
        if seconds <= to {
            return Ok(None);
        }
        if start == 0 {
            println!("AOF {path} has nothing before timestamp {to}, aborting...");
            return Err(Failed);
        }
        if !self.last {
            println!(
                "Failed to truncate AOF {path} to timestamp {to} to offset {start} because it is \
                 not the last file."
            );
            println!(
                "If you insist, please delete all files after this file according to the manifest \
                 file and delete the corresponding records in manifest file manually. Then re-run \
                 redis-check-aof."
            );
            return Err(Failed);
        }
        Ok(Some(start))
    }
}

fn confirmed() -> bool {
    print!("Continue? [y/N]: ");
    // If the question cannot be printed, it counts as answered with no.
    let _ = io::stdout().flush();
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok() && answer.to_ascii_lowercase().starts_with('y')
}

/// Reads the records of a file one after another.
struct Scan<'a> {
    input: BufReader<&'a File>,
    position: u64,
    line: u64,
    /// The offset at which the current read began, for error messages.
    began: u64,
    error: String,
    ended: bool,
    /// The offset of a MULTI that no EXEC has ended yet: the file is sane up to there.
    sane: Option<u64>,
}

impl<'a> Scan<'a> {
    fn new(file: &'a File) -> Self {
        let input = BufReader::new(file);
        let error = String::new();
        Scan { input, position: 0, line: 1, began: 0, error, ended: false, sane: None }
    }

    fn fail(&mut self, why: &str) {
        self.error = format!("0x{:16x}: {why}", self.began);
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        let next = self.input.fill_buf()?.first().copied();
        self.ended |= next.is_none();
        Ok(next)
    }

    fn read_line(&mut self, most: u64) -> io::Result<Vec<u8>> {
        self.began = self.position;
        let mut line = Vec::new();
        let n = (&mut self.input).take(most).read_until(b'\n', &mut line)?;
        self.position += n as u64;
        self.ended |= n == 0 || line.last() != Some(&b'\n') && (n as u64) < most;
        Ok(line)
    }

    /// Reads a command; `None` at the end of the file or after an error.
    fn record(&mut self, path: &Path) -> io::Result<Option<()>> {
        let start = self.position;
        let Some(count) = self.number(b'*')? else { return Ok(None) };
        for index in 0..count.max(0) {
            let Some(text) = self.string()? else { return Ok(None) };
            let (multi, exec) =
                (text.eq_ignore_ascii_case(b"multi"), text.eq_ignore_ascii_case(b"exec"));
            if index > 0 || !(multi || exec) {
                continue;
            }
            if multi == self.sane.is_some() {
                let name = if multi { "MULTI" } else { "EXEC" };
                self.fail(&format!("Unexpected {name} in AOF {}", path.display()));
                return Ok(None);
            }
            self.sane = multi.then_some(start);
        }
        Ok(Some(()))
    }

    fn number(&mut self, prefix: u8) -> io::Result<Option<i64>> {
        let line = self.read_line(NUMBER_LINE)?;
        let Some(&first) = line.first() else { return Ok(None) };
        if first != prefix {
            let (prefix, first) = (char::from(prefix), char::from(first));
            self.fail(&format!("Expected prefix '{prefix}', got: '{first}'"));
            return Ok(None);
        }
        let text = line.get(1..).unwrap_or_default();
        let digits = text.iter().take_while(|c| c.is_ascii_digit() || **c == b'-').count();
        let number = text.get(..digits).and_then(|t| std::str::from_utf8(t).ok());
        let number = number.and_then(|t| t.parse().ok()).unwrap_or(0);
        let end = text.get(digits..).unwrap_or_default();
        Ok(self.newline(end).then_some(number))
    }

    fn newline(&mut self, end: &[u8]) -> bool {
        if end.starts_with(b"\r\n") {
            self.line += 1;
            return true;
        }
        let byte = |at: usize| end.get(at).copied().unwrap_or_default();
        self.fail(&format!("Expected \\r\\n, got: {:02x}{:02x}", byte(0), byte(1)));
        false
    }

    /// Reads an argument. Returns only the beginning of a long one.
    fn string(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(len) = self.number(b'$')? else { return Ok(None) };
        let Ok(whole) = u64::try_from(len).map(|len| len.saturating_add(2)) else {
            self.fail(&format!(
                "Expected to read string of {len} bytes, which is not in the suitable range"
            ));
            return Ok(None);
        };
        self.began = self.position;
        let (mut first, mut end, mut got) = (Vec::new(), [0; 2], 0);
        while got < whole {
            let bytes = self.input.fill_buf()?;
            let left = usize::try_from(whole - got).unwrap_or(usize::MAX);
            let bytes = bytes.get(..left).unwrap_or(bytes);
            if bytes.is_empty() {
                self.ended = true;
                break;
            }
            for byte in bytes.iter().rev().take(2).rev() {
                end = [end[1], *byte];
            }
            if first.len() < 8 {
                first.extend(bytes.iter().take(8));
            }
            let n = bytes.len();
            self.input.consume(n);
            got += n as u64;
        }
        self.position += got;
        if got < whole {
            self.fail(&format!("Expected to read {whole} bytes, got {got} bytes"));
            return Ok(None);
        }
        first.truncate(usize::try_from(whole - 2).unwrap_or(usize::MAX));
        Ok(self.newline(&end).then_some(first))
    }
}
