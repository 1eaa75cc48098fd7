//! One part of the append-only file during loading: bytes read from the disk go in; commands, and
//! the keys of an RDB base, come out. It tracks up to which byte the part is valid.
//!
//! It is independent of the server: `replay` executes the commands and reports back.

use core::mem;

use crate::machine::{DiskDone, DiskError, DiskOp, FileId, LogLevel};
use crate::persist::aof::{BadRecord, Kind, RDB_MAGIC, Record, Records};
use crate::persist::rdb::RdbError;
use crate::resp::request::OwnedArgs;
use crate::server::persistence::intake::Intake;
use crate::server::persistence::source::FileSource;
use crate::store::Keyspace;
use crate::time::Mono;

/// A part that is being loaded.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Base or incremental file.
    pub(super) kind: Kind,
    /// Its name in the directory of the append-only file.
    pub(super) name: String,
    /// When loading it started.
    pub(super) began: Mono,
    source: FileSource,
    form: Form,
    /// Whether the bytes that were read may contain a whole record.
    unread: bool,
    /// The offset up to which everything has been executed.
    valid: u64,
    /// The offset of the open transaction's MULTI.
    transaction: Option<u64>,
}

/// The format of a part.
#[derive(Clone, Debug)]
enum Form {
    /// Not known before its first bytes.
    Unknown(Vec<u8>),
    Rdb(Box<Intake>),
    Commands(Box<Records>),
}

/// The next step of loading a part.
#[derive(Debug)]
pub(super) enum Next {
    /// Wait until the disk has read more.
    Wait,
    /// It is RDB: call [`Part::begin_rdb`].
    RdbBegins,
    /// There are bytes of RDB: call [`Part::take_in`].
    Rdb,
    /// A command: execute it, then call [`Part::carried_out`].
    Command(OwnedArgs),
    /// The part has ended.
    End(End),
}

/// How a part ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// After a whole record.
    Whole,
    /// In the middle of a record.
    Torn,
    /// In the middle of a transaction.
    OpenTransaction,
}

impl Part {
    /// A part with this name and path, and the operation that opens it.
    pub(super) fn open(
        now: Mono,
        (kind, name): (Kind, String),
        file: FileId,
        path: String,
    ) -> (Self, DiskOp) {
        let (source, open) = FileSource::open(file, path);
        let form = Form::Unknown(Vec::new());
        let (unread, valid, transaction) = (false, 0, None);
        (Part { kind, name, began: now, source, form, unread, valid, transaction }, open)
    }

    /// The id of the file.
    pub(super) fn file(&self) -> FileId {
        self.source.file()
    }

    /// Its length in bytes when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.source.len()
    }

    /// Whether the file has been opened.
    pub(super) fn is_open(&self) -> bool {
        self.source.is_open()
    }

    /// The next read from the disk, if one is due.
    pub(super) fn read_ahead(&mut self) -> Option<DiskOp> {
        self.source.read_ahead()
    }

    /// The disk has opened the file, or read a chunk of it.
    pub(super) fn read(&mut self, result: Result<DiskDone, DiskError>) -> Result<(), DiskError> {
        self.source.ended(result)
    }

    /// The operation that closes the file, if it is open.
    pub(super) fn close(&self) -> Option<DiskOp> {
        self.source.close()
    }

    /// Whether [`Part::advance`] has something to return.
    pub(super) fn can_advance(&self) -> bool {
        let has_bytes = match &self.form {
            Form::Unknown(_) => false,
            Form::Rdb(intake) => intake.has_bytes() || intake.is_done(),
            Form::Commands(_) => self.unread,
        };
        has_bytes || self.source.is_ready() || self.is_open() && self.source.is_exhausted()
    }

    /// How many bytes have been consumed.
    pub(super) fn offset(&self) -> u64 {
        match &self.form {
            Form::Unknown(_) => 0,
            Form::Rdb(intake) => intake.offset(),
            Form::Commands(records) => records.offset(),
        }
    }

    /// The offset up to which the part is valid. If the file ends in an open transaction, that is
    /// where the transaction starts: if its beginning stayed in the file, everything appended later
    /// would become a part of it.
    pub(super) fn valid(&self) -> u64 {
        self.transaction.unwrap_or(self.valid)
    }

    /// The next step.
    pub(super) fn advance(&mut self) -> Result<Next, BadRecord> {
        loop {
            match &mut self.form {
                Form::Unknown(first) => {
                    if let Some(bytes) = self.source.take() {
                        first.extend_from_slice(&bytes);
                    }
                    if first.len() < RDB_MAGIC.len() && !self.source.is_exhausted() {
                        return Ok(Next::Wait);
                    }
                    if first.starts_with(RDB_MAGIC) {
                        return Ok(Next::RdbBegins);
                    }
                    let first = mem::take(first);
                    self.expect_commands(0, &first);
                }
                Form::Rdb(_) => return Ok(Next::Rdb),
                Form::Commands(records) => {
                    match records.next_record()? {
                        Some(Record::Command(args)) => return Ok(Next::Command(args.into())),
                        Some(Record::Annotation(_)) => {
                            self.valid = records.offset();
                            continue;
                        }
                        None => self.unread = false,
                    }
                    match self.source.take() {
                        Some(bytes) => {
                            records.feed(&bytes);
                            self.unread = true;
                        }
                        None if self.source.is_exhausted() => return Ok(Next::End(self.end())),
                        None => return Ok(Next::Wait),
                    }
                }
            }
        }
    }

    /// Reports that the last command has been executed, or queued in a transaction.
    pub(super) fn carried_out(&mut self, in_transaction: bool) {
        self.transaction = in_transaction.then(|| self.transaction.unwrap_or(self.valid));
        self.valid = self.offset();
    }

    /// Starts loading an RDB base through `intake`.
    pub(super) fn begin_rdb(&mut self, mut intake: Intake) {
        intake.expect(self.source.len());
        if let Form::Unknown(first) = &mut self.form {
            intake.hand_in(mem::take(first));
        }
        self.form = Form::Rdb(Box::new(intake));
    }

    /// Loads about this many bytes and keys of an RDB base into a keyspace. Returns how many keys,
    /// and the intake once the base has ended; commands may follow.
    pub(super) fn take_in(
        &mut self,
        keyspace: &mut Keyspace,
        bytes: usize,
        keys: usize,
    ) -> Result<(usize, Option<Box<Intake>>), RdbError> {
        let Form::Rdb(intake) = &mut self.form else { return Ok((0, None)) };
        let taken = intake.step(keyspace, bytes, keys)?;
        if intake.is_done() {
            let (rest, offset) = (intake.rest(), intake.offset());
            self.valid = offset;
            let before = self.expect_commands(offset, &rest);
            let Form::Rdb(intake) = before else { return Ok((taken, None)) };
            return Ok((taken, Some(intake)));
        }
        if !intake.has_bytes() && taken < keys {
            match self.source.take() {
                Some(bytes) => intake.hand_in(bytes),
                None if self.source.is_exhausted() => intake.end()?,
                None => {}
            }
        }
        Ok((taken, None))
    }

    /// Log lines that were produced while loading keys.
    pub(super) fn take_lines(&mut self) -> Vec<(LogLevel, String)> {
        match &mut self.form {
            Form::Rdb(intake) => mem::take(&mut intake.lines),
            Form::Unknown(_) | Form::Commands(_) => Vec::new(),
        }
    }

    /// The rest of the part consists of commands, of which these bytes have been read. Returns the
    /// previous format.
    fn expect_commands(&mut self, offset: u64, bytes: &[u8]) -> Form {
        let mut records = Records::starting_at(offset);
        records.feed(bytes);
        self.unread = true;
        mem::replace(&mut self.form, Form::Commands(Box::new(records)))
    }

    fn end(&self) -> End {
        match &self.form {
            Form::Commands(records) if records.is_torn() => End::Torn,
            _ if self.transaction.is_some() => End::OpenTransaction,
            _ => End::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::DiskErrorKind;

    const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
    const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
    const LINE: &[u8] = b"#TS:1700000000\r\n";

    /// How many bytes one read returns.
    const PIECE: usize = 1 << 20;

    fn open(len: usize) -> Part {
        let part = (Kind::Incr, "a.incr.aof".to_owned());
        let (mut part, _) = Part::open(Mono::ZERO, part, FileId(7), "dir/a.incr.aof".to_owned());
        assert!(!part.can_advance(), "it waits to be opened");
        part.read(Ok(DiskDone::Opened { len: len as u64 })).unwrap();
        part
    }

    /// A part with these bytes, all of which have been read.
    fn holding(bytes: &[u8]) -> Part {
        let mut part = open(bytes.len());
        while let Some(DiskOp::Read { offset, len, .. }) = part.read_ahead() {
            let from = bytes.len().min(usize::try_from(offset).unwrap());
            let to = bytes.len().min(from + len as usize);
            part.read(Ok(DiskDone::Data(bytes[from..to].to_vec()))).unwrap();
        }
        part
    }

    /// The names of the commands, and how the part ends.
    fn replay(part: &mut Part) -> Result<(Vec<String>, End), BadRecord> {
        let (mut names, mut in_transaction) = (Vec::new(), false);
        loop {
            assert!(part.can_advance(), "after {names:?}");
            match part.advance()? {
                Next::Command(args) => {
                    let name = String::from_utf8(args.as_args().at(0).to_vec()).unwrap();
                    in_transaction = in_transaction && name != "EXEC" || name == "MULTI";
                    names.push(name);
                    part.carried_out(in_transaction);
                }
                Next::End(end) => return Ok((names, end)),
                next => panic!("{next:?}"),
            }
        }
    }

    #[test]
    fn commands_are_returned_in_order_without_annotations() {
        let bytes = [LINE, SET, LINE, MULTI, SET, EXEC].concat();
        let mut part = holding(&bytes);
        let (names, end) = replay(&mut part).unwrap();
        assert_eq!((names.join(" "), end), ("SET MULTI SET EXEC".to_owned(), End::Whole));
        assert_eq!(part.valid(), bytes.len() as u64);
    }

    #[test]
    fn an_empty_part_ends_at_once() {
        assert_eq!(replay(&mut holding(b"")).unwrap(), (Vec::new(), End::Whole));
    }

    #[test]
    fn a_truncated_part_is_valid_up_to_its_last_complete_command() {
        let bytes = [SET, LINE, SET].concat();
        let ends = [0, SET.len(), SET.len() + LINE.len(), bytes.len()];
        for cut in 0..=bytes.len() {
            let mut part = holding(&bytes[..cut]);
            let (_, end) = replay(&mut part).unwrap();
            let valid = *ends.iter().rfind(|end| **end <= cut).unwrap();
            assert_eq!(part.valid(), valid as u64, "cut at {cut}");
            assert_eq!(end == End::Whole, valid == cut, "cut at {cut}");
        }
    }

    #[test]
    fn an_open_transaction_is_not_valid() {
        let bytes = [SET, MULTI, SET, SET].concat();
        let mut part = holding(&bytes);
        let (names, end) = replay(&mut part).unwrap();
        assert_eq!((names.len(), end), (4, End::OpenTransaction));
        assert_eq!(part.valid(), SET.len() as u64);

        let mut part = holding(&bytes[..bytes.len() - 1]);
        assert_eq!(replay(&mut part).unwrap().1, End::Torn);
        assert_eq!(part.valid(), SET.len() as u64);
    }

    #[test]
    fn a_command_may_be_longer_than_one_read() {
        let value = vec![b'x'; 2 * PIECE + 5];
        let long = [b"*2\r\n$3\r\nGET\r\n$2097157\r\n", &value[..], b"\r\n"].concat();
        let bytes = [SET, &long, SET].concat();
        let mut part = open(bytes.len());
        let mut names = Vec::new();
        loop {
            match part.advance().unwrap() {
                Next::Wait => {
                    let Some(DiskOp::Read { offset, len, .. }) = part.read_ahead() else {
                        panic!("nothing to be read after {names:?}")
                    };
                    let from = usize::try_from(offset).unwrap();
                    let to = bytes.len().min(from + len as usize);
                    part.read(Ok(DiskDone::Data(bytes[from..to].to_vec()))).unwrap();
                }
                Next::Command(args) => {
                    names.push(args.as_args().bytes());
                    part.carried_out(false);
                }
                Next::End(end) => break assert_eq!(end, End::Whole),
                next => panic!("{next:?}"),
            }
        }
        assert_eq!(names.len(), 3);
        assert!(names[1] > 2 * PIECE);
    }

    #[test]
    fn invalid_bytes_are_refused_at_their_offset() {
        let mut part = holding(&[SET, b"hello\r\n"].concat());
        assert!(replay(&mut part).is_err());
        assert_eq!(part.valid(), SET.len() as u64);
    }

    #[test]
    fn a_command_that_was_not_executed_is_not_valid() {
        let mut part = holding(&[SET, SET].concat());
        assert!(matches!(part.advance(), Ok(Next::Command(_))));
        part.carried_out(false);
        assert!(matches!(part.advance(), Ok(Next::Command(_))));
        assert_eq!(part.valid(), SET.len() as u64);
    }

    #[test]
    fn an_rdb_preamble_is_recognized_by_its_first_bytes() {
        assert!(matches!(holding(b"REDIS0011").advance(), Ok(Next::RdbBegins)));
        // A file that only starts like RDB is not a command either.
        assert!(holding(b"REDI").advance().is_err());
    }

    #[test]
    fn disk_errors_are_returned() {
        let error = DiskError { kind: DiskErrorKind::Io, message: "broken".to_owned() };
        assert!(open(10).read(Err(error)).is_err());
    }
}
