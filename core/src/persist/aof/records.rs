//! The records of an AOF file: commands in the form of requests, and annotations.

use super::MAX_LINE;
use crate::resp::request::{Args, Span};

/// Parses records from the bytes of a file, which arrive in pieces of any length.
#[derive(Clone, Debug, Default)]
pub struct Records {
    buffer: Vec<u8>,
    /// How much of `buffer` has been parsed.
    start: usize,
    /// The number of bytes of the file before `buffer`.
    before: u64,
    spans: Vec<Span>,
    /// The missing arguments of the current record; 0 before its header was read.
    missing: u64,
    /// The position within the current record, from `start`.
    at: usize,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A line that begins with `#`, without its line end.
    Annotation(&'a [u8]),
    /// A command.
    Command(Args<'a>),
}

/// The error that bytes are neither a record nor the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRecord;

impl Records {
    /// A parser whose first byte is the one at `offset` of its file.
    pub fn starting_at(offset: u64) -> Self {
        Records { before: offset, ..Records::default() }
    }

    /// Appends bytes of the file, which follow those before.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.before += self.start as u64;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The offset of the next record in the file.
    pub fn offset(&self) -> u64 {
        self.before + self.start as u64
    }

    /// The offset of the end of the bytes that were fed.
    pub fn end(&self) -> u64 {
        self.before + self.buffer.len() as u64
    }

    /// Whether an incomplete record is buffered: if the file ends here, it is truncated.
    pub fn is_torn(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// The next record, or `None` if it is not complete.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, BadRecord> {
        let (start, at) = (self.start, self.at);
        if self.missing == 0 {
            let rest = self.buffer.get(start..).unwrap_or_default();
            match rest.first() {
                None => return Ok(None),
                Some(b'#') => {
                    let Some(end) = line_end(rest)? else { return Ok(None) };
                    self.start = start + end;
                    let line = self.buffer.get(start..start + end).unwrap_or_default();
                    return Ok(Some(Record::Annotation(line.trim_ascii_end())));
                }
                Some(b'*') => {}
                Some(_) => return Err(BadRecord),
            }
            let Some(end) = line_end(rest)? else { return Ok(None) };
            self.missing = number(rest.get(1..end).unwrap_or_default())
                .filter(|count| *count > 0)
                .ok_or(BadRecord)?;
            self.at = end;
            self.spans.clear();
            return self.next_arguments();
        }
        debug_assert!(at > 0, "a head was read");
        self.next_arguments()
    }

    fn next_arguments(&mut self) -> Result<Option<Record<'_>>, BadRecord> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        while self.missing > 0 {
            let line = rest.get(self.at..).unwrap_or_default();
            match line.first() {
                None => return Ok(None),
                Some(b'$') => {}
                Some(_) => return Err(BadRecord),
            }
            let Some(end) = line_end(line)? else { return Ok(None) };
            let len = number(line.get(1..end).unwrap_or_default()).ok_or(BadRecord)?;
            let len = usize::try_from(len).ok().filter(|len| *len < usize::MAX / 4);
            let len = len.ok_or(BadRecord)?;
            let behind = line.get(end + len..).unwrap_or_default();
            let ended = behind.get(..2);
            // Redis does not check these two bytes, but its redis-check-aof does. If they are
            // wrong, the bytes before them are not what was written: a page may have been lost.
            if !b"\r\n".starts_with(ended.unwrap_or(behind)) {
                return Err(BadRecord);
            }
            if ended.is_none() {
                return Ok(None);
            }
            self.spans.push(Span::new(self.at + end, len));
            self.at += end + len + 2;
            self.missing -= 1;
        }
        let start = self.start;
        self.start += core::mem::take(&mut self.at);
        let record = self.buffer.get(start..self.start).unwrap_or_default();
        Ok(Some(Record::Command(Args::new(record, &self.spans))))
    }
}

/// The length of the first line, including its end; `None` if the end has not arrived.
fn line_end(bytes: &[u8]) -> Result<Option<usize>, BadRecord> {
    let most = bytes.len().min(MAX_LINE);
    match memchr::memchr(b'\n', bytes.get(..most).unwrap_or_default()) {
        Some(end) => Ok(Some(end + 1)),
        None if most == MAX_LINE => Err(BadRecord),
        None => Ok(None),
    }
}

/// The number at the beginning of a line.
fn number(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|c| c.is_ascii_digit()).count();
    crate::resp::number::parse_u64(line.get(..digits)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::command::feed::write_words;

    type Words = Vec<Vec<u8>>;

    fn read(pieces: &[&[u8]]) -> Result<(Vec<Words>, Records), BadRecord> {
        let (mut records, mut out) = (Records::default(), Vec::new());
        for piece in pieces {
            records.feed(piece);
            while let Some(record) = records.next_record()? {
                out.push(match record {
                    Record::Annotation(line) => vec![line.to_vec()],
                    Record::Command(args) => args.iter().map(<[u8]>::to_vec).collect(),
                });
            }
        }
        Ok((out, records))
    }

    #[test]
    fn commands_and_annotations_follow_each_other() {
        let text = b"#TS:1628217470\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n#x\r\n*1\r\n$4\r\nPING\r\n";
        let (got, records) = read(&[text]).expect("records");
        let want: Vec<Vec<&[u8]>> =
            vec![vec![b"#TS:1628217470"], vec![b"GET", b""], vec![b"#x"], vec![b"PING"]];
        assert_eq!(got, want);
        assert!(!records.is_torn());
        assert_eq!(records.offset(), text.len() as u64);
    }

    #[test]
    fn invalid_records_are_refused() {
        for text in
            ["PING\r\n", "*0\r\n", "*x\r\n", "*1\r\nGET\r\n", "*1\r\n$x\r\n", "*1\r\n$-1\r\n"]
        {
            assert!(read(&[text.as_bytes()]).is_err(), "{text:?}");
        }
        assert!(read(&[&[b'#'; 2000]]).is_err());
    }

    #[test]
    fn a_lost_page_is_detected_at_any_offset() {
        let mut text = Vec::new();
        write_words(&mut text, [&b"SET"[..], b"key", b"value"]);
        let whole = text.len();
        write_words(&mut text, [&b"SET"[..], b"key", &[b'v'; 300]]);
        for from in whole..text.len() {
            let mut text = text.clone();
            text[from..].fill(0);
            text.extend([0; 2000]);
            let mut records = Records::default();
            records.feed(&text);
            assert!(records.next_record().is_ok_and(|first| first.is_some()));
            assert!(records.next_record().is_err(), "{from}");
            assert_eq!(records.offset(), whole as u64, "{from}");
        }
    }

    #[test]
    fn truncation_is_detected_at_every_byte() {
        let mut text = Vec::new();
        write_words(&mut text, [&b"SET"[..], b"key", b"value"]);
        let whole = text.len();
        write_words(&mut text, [&b"APPEND"[..], b"key", b"v\r\nw"]);
        for cut in whole + 1..text.len() {
            let (got, records) = read(&[&text[..cut]]).expect("no bad record");
            assert_eq!((got.len(), records.offset()), (1, whole as u64), "{cut}");
            assert!(records.is_torn());
            assert_eq!(records.end(), cut as u64);
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            commands in prop::collection::vec(prop::collection::vec(any::<Vec<u8>>(), 1..5), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut text = Vec::new();
            for command in &commands {
                write_words(&mut text, command.iter().map(Vec::as_slice));
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            let (got, records) = read(&pieces).expect("records");
            prop_assert_eq!(got, commands);
            prop_assert!(!records.is_torn());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read(&[&bytes]);
        }
    }
}
