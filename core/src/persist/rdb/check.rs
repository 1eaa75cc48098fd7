//! Checks an RDB file and reports on it as `redis-check-rdb` does.

use super::reader::{Checksum, Doing, Modules, RdbError, ReadOptions, Reader, Record};
use super::{kind_name, reader};

/// A checker of an RDB file, whose bytes are fed in pieces.
#[derive(Clone, Debug)]
pub struct Checker {
    reader: Reader,
    now_ms: u64,
    report: Vec<u8>,
    keys: u64,
    expires: u64,
    already_expired: u64,
    verdict: Option<bool>,
}

impl Checker {
    /// A checker for the file called `name`. Expiry times are compared with `now_ms`, in
    /// milliseconds since 1970.
    pub fn new(name: &[u8], now_ms: u64) -> Self {
        let options = ReadOptions { modules: Modules::Skip, now_ms, ..ReadOptions::default() };
        let mut checker = Self {
            reader: Reader::new(options),
            now_ms,
            report: Vec::new(),
            keys: 0,
            expires: 0,
            already_expired: 0,
            verdict: None,
        };
        checker.tell(&[b"Checking RDB file ", name]);
        checker
    }

    /// Checks the next bytes. Returns whether more are needed.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        self.reader.feed(bytes);
        while self.verdict.is_none() {
            match self.reader.next_record() {
                Ok(Some(record)) => self.record(record),
                Ok(None) => return true,
                Err(error) => self.fail(&error),
            }
        }
        false
    }

    /// Ends the check at the end of the file. Returns whether the file is valid.
    pub fn end(&mut self) -> bool {
        if self.verdict.is_none()
            && let Err(error) = self.reader.end()
        {
            self.fail(&error);
        }
        if self.verdict == Some(true) {
            self.tell(&[b"\\o/ RDB looks OK! \\o/"]);
            self.print_summary();
        }
        self.verdict.unwrap_or(false)
    }

    /// The bytes after the end of the RDB data.
    pub fn unread(&self) -> &[u8] {
        self.reader.unread()
    }

    /// Takes the text to print.
    pub fn take_report(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.report)
    }

    fn record(&mut self, record: Record) {
        match record {
            Record::Aux { name, value } => {
                self.tell(&[b"AUX FIELD ", &name, b" = '", &value, b"'"]);
            }
            Record::Select(db) => self.tell(&[b"Selecting DB ID ", db.to_string().as_bytes()]),
            Record::ModuleAux { module } => self.tell(&[b"MODULE AUX for: ", module.as_bytes()]),
            Record::Entry(entry) => self.key(entry.expire()),
            Record::ModuleValue { expire, .. } => self.key(expire),
            Record::EmptyKey(key) => {
                self.tell(&[b"Empty key: ", &key, b" (it is left out when the file is loaded)"]);
            }
            Record::Version(_) | Record::Function(_) | Record::Resize { .. } => {}
            Record::End(sum) => {
                match sum {
                    Checksum::Right => self.tell(&[b"Checksum OK"]),
                    Checksum::Disabled => self
                        .tell(&[b"RDB file was saved with checksum disabled: no check performed."]),
                    Checksum::Unchecked | Checksum::Absent => {}
                }
                self.verdict = Some(true);
            }
        }
    }

    fn key(&mut self, expire: Option<u64>) {
        self.keys += 1;
        if let Some(at) = expire {
            self.expires += 1;
            self.already_expired += u64::from(at < self.now_ms);
        }
    }

    fn fail(&mut self, error: &RdbError) {
        self.verdict = Some(false);
        self.line(&[b"--- RDB ERROR DETECTED ---"]);
        let reason = match error.doing {
            Doing::Checksum if error.reason.starts_with(reader::WRONG_CHECKSUM) => {
                reader::WRONG_CHECKSUM
            }
            _ => &error.reason,
        };
        self.line(&[b"[offset ", error.offset.to_string().as_bytes(), b"] ", reason.as_bytes()]);
        self.line(&[b"[additional info] While doing: ", error.doing.name().as_bytes()]);
        if let Some(key) = self.reader.key().map(<[u8]>::to_vec) {
            self.keys += 1;
            self.line(&[b"[additional info] Reading key '", &key, b"'"]);
        }
        if let Some(kind) = self.reader.kind() {
            let text = format!("[additional info] Reading type {kind} ({})", kind_name(kind));
            self.line(&[text.as_bytes()]);
        }
        self.print_summary();
    }

    fn print_summary(&mut self) {
        let text = format!(
            "[info] {} keys read\n[info] {} expires\n[info] {} already expired",
            self.keys, self.expires, self.already_expired
        );
        self.line(&[text.as_bytes()]);
    }

    fn tell(&mut self, parts: &[&[u8]]) {
        let offset = format!("[offset {}] ", self.reader.offset());
        self.report.extend_from_slice(offset.as_bytes());
        self.line(parts);
    }

    fn line(&mut self, parts: &[&[u8]]) {
        self.report.extend(parts.iter().copied().flatten());
        self.report.push(b'\n');
    }
}
