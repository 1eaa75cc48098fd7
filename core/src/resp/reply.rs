//! Encoding replies straight into a connection's [`Outbox`].

use super::Proto;
use super::number::format_double;
use crate::machine::Outbox;

/// Writes the reply to one command, in the protocol version of its connection.
pub struct Reply<'a> {
    out: &'a mut Outbox,
    scratch: &'a mut Scratch,
    proto: Proto,
    muted: bool,
    errors: u32,
}

/// A buffer for aggregates whose length is not known yet. One serves a whole server.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    bytes: Vec<u8>,
    depth: u32,
}

impl Scratch {
    /// The capacity that an idle scratch buffer may keep, in bytes.
    const KEEP: usize = 64 * 1024;
}

/// The kinds of aggregate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aggregate {
    /// `*`
    Array,
    /// `%`; a flat array in version 2.
    Map,
    /// `~`; an array in version 2.
    Set,
    /// `>`; an array in version 2.
    Push,
    /// `|`; only in version 3.
    Attribute,
}

/// An aggregate whose length is not known until its end. It must be passed to [`Reply::end`].
#[must_use = "an aggregate that is begun must be ended"]
#[derive(Debug)]
pub struct Deferred {
    start: usize,
    kind: Aggregate,
}

impl<'a> Reply<'a> {
    /// A writer into `out`.
    pub fn new(out: &'a mut Outbox, scratch: &'a mut Scratch, proto: Proto) -> Self {
        scratch.depth = 0;
        scratch.bytes.clear();
        Self { out, scratch, proto, muted: false, errors: 0 }
    }

    /// The same writer, which discards everything if `muted` (CLIENT REPLY OFF).
    pub fn muted(mut self, muted: bool) -> Self {
        self.muted = muted;
        self
    }

    /// Whether it discards everything.
    pub fn is_muted(&self) -> bool {
        self.muted
    }

    /// Bytes that wait in the outbox, including those written by this writer.
    #[inline]
    pub fn written(&self) -> usize {
        self.out.len()
    }

    /// The protocol version.
    #[inline]
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// Switches the protocol version, as HELLO does.
    pub fn set_proto(&mut self, proto: Proto) {
        self.proto = proto;
    }

    /// How many error replies were written.
    pub fn errors(&self) -> u32 {
        self.errors
    }

    /// Bytes that are already in protocol form.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.parts([bytes]);
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A simple string. It must not hold line breaks.
    pub fn simple(&mut self, text: &str) {
        self.parts([b"+", text.as_bytes(), b"\r\n"]);
    }

    /// An error: its code, a space, and its text. Line breaks become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        let mut text = text.as_ref();
        self.errors += 1;
        let breaks = |c: &u8| matches!(c, b'\r' | b'\n');
        if text.iter().any(breaks) {
            while let [rest @ .., b'\r' | b'\n'] = text {
                text = rest;
            }
            let clean: Vec<u8> = text.iter().map(|c| if breaks(c) { b' ' } else { *c }).collect();
            self.parts([b"-", &clean, b"\r\n"]);
        } else {
            self.parts([b"-", text, b"\r\n"]);
        }
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        match value {
            0 => self.raw(b":0\r\n"),
            1 => self.raw(b":1\r\n"),
            _ => self.head(b':', value),
        }
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if !self.muted && self.scratch.depth == 0 && bytes.len() < 1_000 {
            return self.out.write_bulk(bytes);
        }
        self.any_bulk(bytes);
    }

    #[inline(never)]
    fn any_bulk(&mut self, bytes: &[u8]) {
        let mut buffer = itoa::Buffer::new();
        let len = buffer.format(bytes.len() as u64).as_bytes();
        self.parts([b"$", len, b"\r\n", bytes, b"\r\n"]);
    }

    /// The header of a bulk string of `len` bytes; the bytes and CRLF must follow.
    pub fn bulk_header(&mut self, len: usize) {
        self.head(b'$', i64::try_from(len).unwrap_or(i64::MAX));
    }

    /// An integer as a bulk string.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Null: `$-1` in version 2, `_` in version 3.
    #[inline]
    pub fn null(&mut self) {
        self.raw(match self.proto {
            Proto::Resp2 => b"$-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// Null in place of an array: `*-1` in version 2, `_` in version 3.
    pub fn null_array(&mut self) {
        self.raw(match self.proto {
            Proto::Resp2 => b"*-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// The header of an array of `len` elements.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.aggregate(Aggregate::Array, len);
    }

    /// The header of a map of `len` pairs.
    #[inline]
    pub fn map(&mut self, len: usize) {
        self.aggregate(Aggregate::Map, len);
    }

    /// The header of a set of `len` members.
    #[inline]
    pub fn set(&mut self, len: usize) {
        self.aggregate(Aggregate::Set, len);
    }

    /// The header of a push of `len` elements.
    pub fn push(&mut self, len: usize) {
        self.aggregate(Aggregate::Push, len);
    }

    /// The header of an attribute of `len` pairs. Only for version 3.
    pub fn attribute(&mut self, len: usize) {
        self.aggregate(Aggregate::Attribute, len);
    }

    /// The header of any aggregate; `len` counts pairs in a map or an attribute.
    #[inline]
    pub fn aggregate(&mut self, kind: Aggregate, len: usize) {
        let (mark, len) = header(self.proto, kind, len);
        self.head(mark, len);
    }

    /// Begins an aggregate whose length is not known yet.
    pub fn begin(&mut self, kind: Aggregate) -> Deferred {
        self.scratch.depth += 1;
        Deferred { start: self.scratch.bytes.len(), kind }
    }

    /// Ends a deferred aggregate; `len` counts pairs in a map or an attribute.
    pub fn end(&mut self, deferred: Deferred, len: usize) {
        let (mark, len) = header(self.proto, deferred.kind, len);
        let mut buffer = itoa::Buffer::new();
        let len = buffer.format(len).as_bytes();
        self.scratch.depth = self.scratch.depth.saturating_sub(1);
        if self.scratch.depth == 0 {
            let bytes = core::mem::take(&mut self.scratch.bytes);
            self.parts([&[mark], len, b"\r\n", &bytes]);
            self.scratch.bytes = bytes;
            self.scratch.bytes.clear();
            self.scratch.bytes.shrink_to(Scratch::KEEP);
        } else {
            let head = [mark].into_iter().chain(len.iter().copied()).chain(*b"\r\n");
            let at = deferred.start.min(self.scratch.bytes.len());
            self.scratch.bytes.splice(at..at, head);
        }
    }

    /// A double: `,` in version 3, a bulk string in version 2.
    pub fn double(&mut self, value: f64) {
        let text = format_double(value);
        match self.proto {
            Proto::Resp2 => self.bulk(&text),
            Proto::Resp3 => self.parts([b",", &text, b"\r\n"]),
        }
    }

    /// A boolean: `#` in version 3, 1 or 0 in version 2.
    pub fn bool(&mut self, value: bool) {
        self.raw(match (self.proto, value) {
            (Proto::Resp2, true) => b":1\r\n",
            (Proto::Resp2, false) => b":0\r\n",
            (Proto::Resp3, true) => b"#t\r\n",
            (Proto::Resp3, false) => b"#f\r\n",
        });
    }

    /// A big number: `(` in version 3, a bulk string in version 2.
    pub fn big_number(&mut self, digits: &str) {
        match self.proto {
            Proto::Resp2 => self.bulk(digits.as_bytes()),
            Proto::Resp3 => self.parts([b"(", digits.as_bytes(), b"\r\n"]),
        }
    }

    /// A text with a format of three letters, such as `txt`: `=` in version 3, a bulk string in
    /// version 2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => {
                let mut buffer = itoa::Buffer::new();
                let len = buffer.format(text.len() as u64 + 4).as_bytes();
                self.parts([b"=", len, b"\r\n", format.as_bytes(), b":", text, b"\r\n"]);
            }
        }
    }

    /// An array of simple strings, one a line: what the HELP subcommands answer.
    pub fn help(&mut self, command: &str, lines: &[&str]) {
        self.array(lines.len() + 3);
        self.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
        for line in lines {
            self.simple(line);
        }
        self.simple("HELP");
        self.simple("    Print this help.");
    }

    #[inline]
    fn head(&mut self, mark: u8, value: i64) {
        if let 0..10 = value {
            return self.raw(&[mark, b'0' + value as u8, b'\r', b'\n']);
        }
        self.long_head(mark, value);
    }

    #[inline(never)]
    fn long_head(&mut self, mark: u8, value: i64) {
        let mut buffer = itoa::Buffer::new();
        self.parts([&[mark], buffer.format(value).as_bytes(), b"\r\n"]);
    }

    #[inline]
    fn parts<const N: usize>(&mut self, parts: [&[u8]; N]) {
        if self.muted {
            return;
        }
        if self.scratch.depth == 0 {
            self.out.write_parts(parts);
        } else {
            for part in parts {
                self.scratch.bytes.extend_from_slice(part);
            }
        }
    }
}

/// The type byte and the count of an aggregate's header.
fn header(proto: Proto, kind: Aggregate, len: usize) -> (u8, i64) {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    match (proto, kind) {
        (_, Aggregate::Array) => (b'*', len),
        (Proto::Resp3, Aggregate::Map) => (b'%', len),
        (Proto::Resp3, Aggregate::Set) => (b'~', len),
        (Proto::Resp3, Aggregate::Push) => (b'>', len),
        (_, Aggregate::Attribute) => (b'|', len),
        (Proto::Resp2, Aggregate::Map) => (b'*', len.saturating_mul(2)),
        (Proto::Resp2, Aggregate::Set | Aggregate::Push) => (b'*', len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(proto: Proto, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let (mut out, mut scratch) = (Outbox::default(), Scratch::default());
        write(&mut Reply::new(&mut out, &mut scratch, proto));
        String::from_utf8(out.slices().flatten().copied().collect()).expect("text")
    }

    #[test]
    fn each_type_has_its_form_in_each_version() {
        let all = |r: &mut Reply<'_>| {
            r.null();
            r.null_array();
            r.map(1);
            r.set(2);
            r.double(1.5);
            r.bool(true);
            r.verbatim("txt", b"hi");
            r.big_number("123");
            r.bulk(b"");
            r.integer(-7);
            r.integer(i64::MIN);
            r.integer(1_234_567_890);
        };
        assert_eq!(
            written(Proto::Resp2, all),
            "$-1\r\n*-1\r\n*2\r\n*2\r\n$3\r\n1.5\r\n:1\r\n$2\r\nhi\r\n$3\r\n123\r\n$0\r\n\r\n:-7\r\n\
             :-9223372036854775808\r\n:1234567890\r\n"
        );
        assert_eq!(
            written(Proto::Resp3, all),
            "_\r\n_\r\n%1\r\n~2\r\n,1.5\r\n#t\r\n=6\r\ntxt:hi\r\n(123\r\n$0\r\n\r\n:-7\r\n\
             :-9223372036854775808\r\n:1234567890\r\n"
        );
    }

    #[test]
    fn a_deferred_length_comes_first_however_deep() {
        let text = written(Proto::Resp3, |r| {
            let outer = r.begin(Aggregate::Array);
            r.integer(1);
            let inner = r.begin(Aggregate::Map);
            r.bulk(b"k");
            r.integer(2);
            r.end(inner, 1);
            r.end(outer, 2);
            r.ok();
        });
        assert_eq!(text, "*2\r\n:1\r\n%1\r\n$1\r\nk\r\n:2\r\n+OK\r\n");
    }

    #[test]
    fn an_error_stays_on_one_line() {
        let text = written(Proto::Resp2, |r| r.error("ERR a\r\nb"));
        assert_eq!(text, "-ERR a  b\r\n");
        let text = written(Proto::Resp2, |r| r.error(b"ERR \nb\r\n"));
        assert_eq!(text, "-ERR  b\r\n");
    }
}
