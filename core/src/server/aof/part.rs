//! One part of the append-only file while it is loaded: bytes read from the disk go in; commands,
//! and the keys of a base that is RDB, come out. It knows up to which byte the part is in order.
//!
//! It knows no server: `replay` carries out what it yields, and says so.

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
    /// Base or increment.
    pub(super) kind: Kind,
    /// Its name in the directory of the append-only file.
    pub(super) name: String,
    /// When it was begun.
    pub(super) began: Mono,
    source: FileSource,
    form: Form,
    /// Whether there may be whole records among the bytes that have been taken in.
    unread: bool,
    /// Up to which byte everything has been carried out.
    valid: u64,
    /// Where the transaction begins that has not ended.
    transaction: Option<u64>,
}

/// In what form a part is.
#[derive(Clone, Debug)]
enum Form {
    /// The first bytes will show it.
    Unknown(Vec<u8>),
    Rdb(Box<Intake>),
    Commands(Box<Records>),
}

/// What a part yields.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing before the disk has read more.
    Wait,
    /// It is RDB: [`Part::begin_rdb`] is to be called.
    RdbBegins,
    /// Bytes of RDB wait: [`Part::take_in`] is to be called.
    Rdb,
    /// A command: it is to be carried out, and [`Part::carried_out`] to be called.
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
    /// A part of this name at this path, and the operation that opens it.
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

    /// The machine's name for the file.
    pub(super) fn file(&self) -> FileId {
        self.source.file()
    }

    /// Its length when it was opened, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.source.len()
    }

    /// Whether the file has been opened.
    pub(super) fn is_open(&self) -> bool {
        self.source.is_open()
    }

    /// The next piece that the disk is to read, if it is time for one.
    pub(super) fn read_ahead(&mut self) -> Option<DiskOp> {
        self.source.read_ahead()
    }

    /// The disk has opened the file, or read a piece of it.
    pub(super) fn read(&mut self, result: Result<DiskDone, DiskError>) -> Result<(), DiskError> {
        self.source.ended(result)
    }

    /// The operation that closes the file, if it is open.
    pub(super) fn close(&self) -> Option<DiskOp> {
        self.source.close()
    }

    /// Whether [`Part::advance`] has something to yield.
    pub(super) fn can_advance(&self) -> bool {
        let has_bytes = match &self.form {
            Form::Unknown(_) => false,
            Form::Rdb(intake) => intake.has_bytes() || intake.is_done(),
            Form::Commands(_) => self.unread,
        };
        has_bytes || self.source.is_ready() || self.is_open() && self.source.is_exhausted()
    }

    /// How many bytes have been taken in and used up.
    pub(super) fn offset(&self) -> u64 {
        match &self.form {
            Form::Unknown(_) => 0,
            Form::Rdb(intake) => intake.offset(),
            Form::Commands(records) => records.offset(),
        }
    }

    /// Up to which byte the part is in order. What stands before the end, if a transaction is open
    /// there, ends before that transaction: were its beginning left, all that is appended later
    /// would become a part of it.
    pub(super) fn valid(&self) -> u64 {
        self.transaction.unwrap_or(self.valid)
    }

    /// What comes next.
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

    /// The command that was yielded last has been carried out, or queued in a transaction.
    pub(super) fn carried_out(&mut self, in_transaction: bool) {
        self.transaction = in_transaction.then(|| self.transaction.unwrap_or(self.valid));
        self.valid = self.offset();
    }

    /// The keys of an RDB base are to be taken in by this.
    pub(super) fn begin_rdb(&mut self, mut intake: Intake) {
        intake.expect(self.source.len());
        if let Form::Unknown(first) = &mut self.form {
            intake.hand_in(mem::take(first));
        }
        self.form = Form::Rdb(Box::new(intake));
    }

    /// Takes keys of an RDB base into a keyspace: about as many bytes and keys as this. Returns how
    /// many, and what took them in when the base has come to its end; commands may follow.
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

    /// Lines for the log that came up while keys were taken in.
    pub(super) fn take_lines(&mut self) -> Vec<(LogLevel, String)> {
        match &mut self.form {
            Form::Rdb(intake) => mem::take(&mut intake.lines),
            Form::Unknown(_) | Form::Commands(_) => Vec::new(),
        }
    }

    /// From here on the part consists of commands, of which these bytes have been read. Returns
    /// the form before.
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

    /// The bytes that one read of the disk brings.
    const PIECE: usize = 1 << 20;

    fn open(len: usize) -> Part {
        let part = (Kind::Incr, "a.incr.aof".to_owned());
        let (mut part, _) = Part::open(Mono::ZERO, part, FileId(7), "dir/a.incr.aof".to_owned());
        assert!(!part.can_advance(), "it waits to be opened");
        part.read(Ok(DiskDone::Opened { len: len as u64 })).unwrap();
        part
    }

    /// A part of these bytes, of which the disk has read all.
    fn holding(bytes: &[u8]) -> Part {
        let mut part = open(bytes.len());
        while let Some(DiskOp::Read { offset, len, .. }) = part.read_ahead() {
            let from = bytes.len().min(usize::try_from(offset).unwrap());
            let to = bytes.len().min(from + len as usize);
            part.read(Ok(DiskDone::Data(bytes[from..to].to_vec()))).unwrap();
        }
        part
    }

    /// The names of the commands that come out, and how the part ends.
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
    fn commands_come_out_in_order_and_lines_of_annotation_do_not() {
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
    fn a_part_that_is_cut_anywhere_is_in_order_up_to_the_last_whole_command() {
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
    fn a_transaction_without_its_end_does_not_count() {
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
    fn a_command_may_be_longer_than_what_the_disk_reads_at_once() {
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
    fn bytes_that_are_no_command_are_refused_where_they_begin() {
        let mut part = holding(&[SET, b"hello\r\n"].concat());
        assert!(replay(&mut part).is_err());
        assert_eq!(part.valid(), SET.len() as u64);
    }

    #[test]
    fn a_command_that_was_not_carried_out_is_not_in_order() {
        let mut part = holding(&[SET, SET].concat());
        assert!(matches!(part.advance(), Ok(Next::Command(_))));
        part.carried_out(false);
        assert!(matches!(part.advance(), Ok(Next::Command(_))));
        assert_eq!(part.valid(), SET.len() as u64);
    }

    #[test]
    fn an_rdb_preamble_is_known_by_its_first_bytes() {
        assert!(matches!(holding(b"REDIS0011").advance(), Ok(Next::RdbBegins)));
        // What only begins like it is no command either.
        assert!(holding(b"REDI").advance().is_err());
    }

    #[test]
    fn errors_of_the_disk_are_passed_on() {
        let error = DiskError { kind: DiskErrorKind::Io, message: "broken".to_owned() };
        assert!(open(10).read(Err(error)).is_err());
    }
}
