//! Parsing requests from a stream of bytes.
//!
//! A request is parsed in place: in the driver's buffer if it arrived complete, otherwise in a
//! query buffer of the connection, to which only incomplete requests are copied.

use core::fmt;

use memchr::memchr;

use super::quote::split_args;

/// The longest line: an inline request, or the header of an array or of a bulk string. Redis's
/// `PROTO_INLINE_MAX_SIZE`.
pub const MAX_LINE: usize = 64 * 1024;

/// How far the buffer may grow for an announced bulk string before its bytes arrive.
const MAX_RESERVE: usize = 16 << 20;

/// The capacity that an idle connection's buffer may keep.
const KEEP: usize = 32 * 1024;

/// The query buffer and parser of one connection.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// Bytes of earlier input that are not parsed yet.
    buffer: Vec<u8>,
    /// How much of `buffer` has been parsed.
    start: usize,
    parser: Parser,
}

/// Limits on the requests of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest bulk string (`proto-max-bulk-len`).
    pub bulk: u64,
    /// Whether the peer must still authenticate, and is trusted with short requests only.
    pub unauthenticated: bool,
}

/// Why a request cannot be parsed. The connection gets this error and is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The number of arguments is not a number or too large.
    MultibulkLength,
    /// This many arguments are allowed only after AUTH.
    UnauthenticatedMultibulkLength,
    /// The length of an argument is not a number or too large.
    BulkLength,
    /// An argument of this length is allowed only after AUTH.
    UnauthenticatedBulkLength,
    /// An argument begins with this instead of a dollar sign.
    ExpectedDollar(u8),
    /// The line with the number of arguments is too long.
    MultibulkLine,
    /// The line with the length of an argument is too long.
    BulkLine,
    /// An inline request is too long.
    InlineLine,
    /// A quote in an inline request is not closed.
    Quotes,
}

impl core::error::Error for ProtocolError {}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        f.write_str(match self {
            ProtocolError::MultibulkLength => "invalid multibulk length",
            ProtocolError::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            ProtocolError::BulkLength => "invalid bulk length",
            ProtocolError::UnauthenticatedBulkLength => "unauthenticated bulk length",
            ProtocolError::ExpectedDollar(got) => {
                return write!(f, "expected '$', got '{}'", char::from(*got));
            }
            ProtocolError::MultibulkLine => "too big mbulk count string",
            ProtocolError::BulkLine => "too big bulk count string",
            ProtocolError::InlineLine => "too big inline request",
            ProtocolError::Quotes => "unbalanced quotes in request",
        })
    }
}

impl Requests {
    /// The next complete request, from buffered bytes and `bytes`, which is cut from the front.
    /// When there is none, all of `bytes` has been buffered.
    #[inline]
    pub fn next<'s, 'b: 's>(
        &'s mut self,
        bytes: &mut &'b [u8],
        limits: Limits,
    ) -> Result<Option<Args<'s>>, ProtocolError> {
        if !self.buffer.is_empty() {
            self.keep(core::mem::take(bytes));
            let Some(used) = self.parser.parse(&self.buffer[self.start..], limits)? else {
                if self.start == self.buffer.len() {
                    self.release();
                } else {
                    self.make_room();
                }
                return Ok(None);
            };
            let request = &self.buffer[self.start..];
            self.start += used;
            return Ok(Some(self.parser.args(request)));
        }
        let request = *bytes;
        if request.is_empty() {
            return Ok(None);
        }
        match self.parser.parse(request, limits)? {
            Some(used) => {
                *bytes = &request[used..];
                Ok(Some(self.parser.args(request)))
            }
            None => {
                self.keep(core::mem::take(bytes));
                self.make_room();
                Ok(None)
            }
        }
    }

    /// Whether no earlier input is buffered.
    #[inline]
    pub fn is_idle(&self) -> bool {
        let parser = &self.parser;
        self.buffer.is_empty() && (parser.done || parser.at == 0 && parser.missing == 0)
    }

    /// Buffers bytes without parsing them.
    pub fn keep(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start >= self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that are buffered for a request.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Buffered bytes that are not yet part of a parsed argument: all that arrived of an argument
    /// that is incomplete.
    pub fn unread(&self) -> usize {
        let read = if self.parser.done { 0 } else { self.parser.at };
        self.waiting().saturating_sub(read)
    }

    /// Memory held, in bytes.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Memory held by argument spans, in bytes, as it is where addresses have 64 bits. Those of a
    /// few short arguments count as a part of the client, so that an ordinary request does not
    /// change the memory of its client.
    pub fn argv_capacity(&self) -> usize {
        let spans = self.parser.spans.capacity().saturating_sub(FEW) * 16;
        spans + self.parser.inline.capacity().saturating_sub(FEW * 16)
    }

    /// Drops everything that is buffered.
    pub fn clear(&mut self) {
        *self = Requests::default();
    }

    fn release(&mut self) {
        self.start = 0;
        self.buffer.clear();
        if self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
    }

    /// Grows the buffer once for an announced long argument, instead of step by step.
    fn make_room(&mut self) {
        let Some(len) = self.parser.bulk else { return };
        if len < KEEP {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let end = self.parser.at.saturating_add(len).saturating_add(2);
        let missing = end.saturating_sub(self.buffer.len());
        if missing <= MAX_RESERVE {
            self.buffer.reserve_exact(missing);
        } else {
            self.buffer.reserve(MAX_RESERVE.max(self.buffer.len()).min(missing));
        }
    }
}

/// The parse state of the current request. Positions count from its first byte.
#[derive(Clone, Debug, Default)]
struct Parser {
    /// Arguments that are still missing; 0 before the header has been read.
    missing: usize,
    /// The length of the argument whose bytes begin at `at`, once its header has been read.
    bulk: Option<usize>,
    /// The position to continue at.
    at: usize,
    /// Whether the last call returned a complete request, so that the next begins a new one.
    done: bool,
    spans: Vec<Span>,
    /// The arguments of an inline request, without their quotes.
    inline: Vec<u8>,
    is_inline: bool,
}

impl Parser {
    /// Argument spans to allocate before the arguments are seen.
    const MAX_SPANS_AHEAD: usize = 1024;
    /// Argument spans to keep between requests.
    const MAX_SPANS_KEPT: usize = 4096;

    /// Continues to parse `request`, which begins with the request's first byte. Returns the
    /// request's length if it is complete.
    #[inline]
    fn parse(&mut self, request: &[u8], limits: Limits) -> Result<Option<usize>, ProtocolError> {
        if self.done || self.at == 0 && self.missing == 0 {
            if !limits.unauthenticated
                && let Some(used) = self.parse_plain(request, limits.bulk)
            {
                return Ok(Some(used));
            }
            self.begin();
        }
        loop {
            if self.missing == 0 {
                match request.get(self.at) {
                    None => return Ok(None),
                    Some(b'*') => {
                        let line = match line(request, self.at, ProtocolError::MultibulkLine)? {
                            Some(line) => line,
                            None => return Ok(None),
                        };
                        let count = line
                            .value
                            .filter(|&count| count <= i64::from(i32::MAX))
                            .ok_or(ProtocolError::MultibulkLength)?;
                        if limits.unauthenticated && count > 10 {
                            return Err(ProtocolError::UnauthenticatedMultibulkLength);
                        }
                        self.at = line.next;
                        if count <= 0 {
                            continue;
                        }
                        self.missing = count as usize;
                        self.spans.reserve(self.missing.min(Self::MAX_SPANS_AHEAD));
                    }
                    Some(_) => match self.parse_inline(request)? {
                        Inline::Incomplete => return Ok(None),
                        Inline::Empty => continue,
                        Inline::Whole => {
                            self.done = true;
                            return Ok(Some(self.at));
                        }
                    },
                }
            }
            while self.missing > 0 {
                let len = match self.bulk {
                    Some(len) => len,
                    None => {
                        // The line is read first, so that one that is too long gets its own error.
                        let line = line(request, self.at, ProtocolError::BulkLine)?;
                        match request.get(self.at) {
                            None | Some(b'$') => {}
                            Some(&got) if line.is_some() => {
                                return Err(ProtocolError::ExpectedDollar(got));
                            }
                            Some(_) => {}
                        }
                        let Some(line) = line else { return Ok(None) };
                        let len = line
                            .value
                            .and_then(|len| u64::try_from(len).ok())
                            .filter(|&len| len <= limits.bulk)
                            .and_then(|len| usize::try_from(len).ok())
                            .ok_or(ProtocolError::BulkLength)?;
                        if limits.unauthenticated && len > 16384 {
                            return Err(ProtocolError::UnauthenticatedBulkLength);
                        }
                        self.at = line.next;
                        len
                    }
                };
                if request.len() - self.at < len.saturating_add(2) {
                    self.bulk = Some(len);
                    return Ok(None);
                }
                self.bulk = None;
                self.spans.push(Span { start: self.at, len });
                self.at += len + 2;
                self.missing -= 1;
            }
            self.done = true;
            return Ok(Some(self.at));
        }
    }

    /// The fast path: parses a complete request in canonical form (as clients write it) in one
    /// pass. `None` leaves it to the general parser.
    #[inline]
    fn parse_plain(&mut self, request: &[u8], longest: u64) -> Option<usize> {
        let (count, mut at) = plain_line(request, b'*')?;
        self.spans.clear();
        if count > Self::MAX_SPANS_AHEAD || self.spans.capacity() > Self::MAX_SPANS_KEPT {
            return None;
        }
        self.spans.reserve(count);
        for _ in 0..count {
            let span = plain_argument(request, at, longest)?;
            at = span.start + span.len + 2;
            self.spans.push(span);
        }
        self.is_inline = false;
        self.done = true;
        self.at = at;
        Some(at)
    }

    fn args<'s>(&'s self, request: &'s [u8]) -> Args<'s> {
        let buffer = if self.is_inline { &self.inline } else { request };
        Args { buffer, spans: &self.spans }
    }

    fn begin(&mut self) {
        self.done = false;
        self.is_inline = false;
        self.at = 0;
        self.spans.clear();
        if self.spans.capacity() > Self::MAX_SPANS_KEPT {
            self.spans = Vec::new();
        }
        if self.inline.capacity() > 0 {
            self.inline = Vec::new();
        }
    }

    fn parse_inline(&mut self, request: &[u8]) -> Result<Inline, ProtocolError> {
        let rest = &request[self.at..];
        let Some(end) = memchr(b'\n', rest) else {
            return if rest.len() > MAX_LINE {
                Err(ProtocolError::InlineLine)
            } else {
                Ok(Inline::Incomplete)
            };
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        let words = split_args(line).ok_or(ProtocolError::Quotes)?;
        self.at += end + 1;
        if words.is_empty() {
            return Ok(Inline::Empty);
        }
        self.is_inline = true;
        for word in words {
            self.spans.push(Span { start: self.inline.len(), len: word.len() });
            self.inline.extend_from_slice(&word);
        }
        Ok(Inline::Whole)
    }
}

enum Inline {
    Incomplete,
    Empty,
    Whole,
}

struct Line {
    /// The number in the line, if it is one.
    value: Option<i64>,
    /// Where the next line begins.
    next: usize,
}

/// The most arguments that [`plain`] parses.
pub const FEW: usize = 8;

/// The fast path for short requests: parses the request at the beginning of `bytes` if it is
/// complete, has few arguments and is in canonical form. Returns the number of arguments, whose
/// places are then in `spans`, and the length of the request. No argument may be longer than
/// `longest`. `None` leaves it to the general parser.
#[inline]
pub fn plain(bytes: &[u8], spans: &mut [Span; FEW], longest: u64) -> Option<(usize, usize)> {
    let (count, at) = plain_line(bytes, b'*')?;
    let used = plain_arguments(bytes, at, spans.get_mut(..count)?, longest)?;
    Some((count, used))
}

/// Parses consecutive arguments from `at` on, as many as `spans` has room for. Returns where they
/// end, or `None` as [`plain`] does.
#[inline]
pub fn plain_arguments(
    bytes: &[u8],
    mut at: usize,
    places: &mut [Span],
    longest: u64,
) -> Option<usize> {
    for place in places {
        *place = plain_argument(bytes, at, longest)?;
        at = place.end();
    }
    Some(at)
}

/// The argument whose header begins at `at`, if it is complete.
#[inline]
fn plain_argument(request: &[u8], at: usize, longest: u64) -> Option<Span> {
    let (len, head) = plain_line(request.get(at..)?, b'$')?;
    let start = at + head;
    let whole = start + len + 2 <= request.len() && len as u64 <= longest;
    whole.then_some(Span { start, len })
}

/// The number in a line of a type byte and one to six digits, and the line's length. `None` if the
/// line has another form, if the number is 0 or has leading zeros, or if fewer bytes follow than an
/// argument takes.
#[inline]
fn plain_line(request: &[u8], mark: u8) -> Option<(usize, usize)> {
    let digit = |byte: u8| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then_some(usize::from(digit))
    };
    let [first, a, b, c, _, _] = *request.first_chunk::<6>()?;
    let high = digit(a)?;
    if first != mark || high == 0 {
        return None;
    }
    if b == b'\r' {
        return Some((high, 4));
    }
    let two = high * 10 + digit(b)?;
    if c == b'\r' {
        return Some((two, 5));
    }
    let mut number = two;
    for (i, &byte) in request.iter().enumerate().skip(3).take(5) {
        if byte == b'\r' {
            return (request.len() > i + 1).then_some((number, i + 2));
        }
        number = number * 10 + digit(byte)?;
    }
    None
}

/// Reads a line of a type byte and a number. `None` if it is incomplete.
#[inline]
fn line(request: &[u8], at: usize, too_long: ProtocolError) -> Result<Option<Line>, ProtocolError> {
    let rest = request.get(at..).unwrap_or_default();
    // The common case: a few digits, then the end of the line.
    let mut value = 0i64;
    for (i, &c) in rest.iter().skip(1).take(9).enumerate() {
        match c {
            b'0'..=b'9' if i == 0 || value > 0 => value = value * 10 + i64::from(c - b'0'),
            b'\r' if i > 0 && rest.len() > i + 2 => {
                return Ok(Some(Line { value: Some(value), next: at + i + 3 }));
            }
            _ => break,
        }
    }
    match memchr(b'\r', rest) {
        Some(end) if rest.len() > end + 1 => {
            let digits = rest.get(1..end).unwrap_or_default();
            Ok(Some(Line { value: super::number::parse_i64(digits), next: at + end + 2 }))
        }
        None if rest.len() > MAX_LINE => Err(too_long),
        _ => Ok(None),
    }
}

/// The arguments of one command, the command's name first, as spans of a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
}

/// Where an argument lies in its buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: usize,
    len: usize,
}

impl Span {
    /// `len` bytes from `start` on.
    pub fn new(start: usize, len: usize) -> Self {
        Span { start, len }
    }

    /// The end of the argument, including its CRLF.
    #[inline]
    pub fn end(self) -> usize {
        self.start + self.len + 2
    }

    /// The bytes at this place of `buffer`; empty if the place is out of bounds.
    #[inline]
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl<'a> Args<'a> {
    /// Arguments from their spans of `buffer`.
    pub fn new(buffer: &'a [u8], spans: &'a [Span]) -> Self {
        Args { buffer, spans }
    }

    /// How many arguments there are, with the command's name.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`, 0 being the command's name. Empty if there is none, so that no
    /// input can make a handler panic; the table's arity says which there are.
    #[inline]
    pub fn at(&self, index: usize) -> &'a [u8] {
        self.get(index).unwrap_or_default()
    }

    /// The argument at `index`, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        self.buffer.get(span.start..span.start + span.len)
    }

    /// The arguments from `index` on.
    pub fn from(&self, index: usize) -> Args<'a> {
        Args { buffer: self.buffer, spans: self.spans.get(index..).unwrap_or_default() }
    }

    /// All arguments in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + use<'a> {
        let Args { buffer, spans } = *self;
        spans.iter().map(move |s| buffer.get(s.start..s.start + s.len).unwrap_or_default())
    }

    /// Bytes in all arguments together.
    pub fn bytes(&self) -> usize {
        self.spans.iter().map(|s| s.len).sum()
    }
}

/// Arguments that own their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    buffer: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// A view of the arguments.
    pub fn as_args(&self) -> Args<'_> {
        Args { buffer: &self.buffer, spans: &self.spans }
    }

    /// Adds an argument at the end.
    pub fn push(&mut self, argument: &[u8]) {
        self.spans.push(Span { start: self.buffer.len(), len: argument.len() });
        self.buffer.extend_from_slice(argument);
    }
}

impl<A: AsRef<[u8]>> FromIterator<A> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = A>>(arguments: I) -> Self {
        let mut owned = OwnedArgs::default();
        for argument in arguments {
            owned.push(argument.as_ref());
        }
        owned
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        let mut owned = OwnedArgs {
            buffer: Vec::with_capacity(args.bytes()),
            spans: Vec::with_capacity(args.len()),
        };
        args.iter().for_each(|argument| owned.push(argument));
        owned
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { bulk: 512 << 20, unauthenticated: false };

    type Parsed = Result<Vec<Vec<Vec<u8>>>, ProtocolError>;

    /// Feeds chunks, and gives all requests, or the error that ended the stream.
    fn parse<'c>(chunks: impl IntoIterator<Item = &'c [u8]>, limits: Limits) -> Parsed {
        let mut requests = Requests::default();
        let mut out = Vec::new();
        for mut chunk in chunks {
            while let Some(args) = requests.next(&mut chunk, limits)? {
                out.push(args.iter().map(<[u8]>::to_vec).collect());
            }
            assert!(chunk.is_empty());
        }
        Ok(out)
    }

    fn error(text: &[u8]) -> String {
        parse([text], LIMITS).expect_err("an error").to_string()
    }

    #[test]
    fn the_fast_path_reads_lines_as_the_general_parser_does_or_not_at_all() {
        let numbers = [0, 1, 9, 10, 99, 100, 4_321, 999_999, 1_000_000];
        let texts = numbers.map(|n: u32| n.to_string());
        let odd = ["", "-1", "+1", "01", "1x", "x", "12x", "123x"].map(String::from);
        for text in texts.iter().chain(&odd) {
            for end in ["\r\n", "\r", "\n", "", "\r\nmore"] {
                let bytes = format!("${text}{end}").into_bytes();
                let long = line(&bytes, 0, ProtocolError::BulkLine).ok().flatten();
                let long =
                    long.and_then(|line| Some((usize::try_from(line.value?).ok()?, line.next)));
                let short = plain_line(&bytes, b'$');
                assert!(short.is_none() || short == long, "{text:?} {end:?}");
                let plain = text.len() <= 6 && text.starts_with(|c| matches!(c, '1'..='9'));
                if plain && !text.ends_with('x') && end.len() > 1 && bytes.len() >= 6 {
                    assert_eq!(short, long, "{text:?} {end:?}");
                }
                assert_eq!(plain_line(&bytes, b'*'), None);
            }
        }
    }

    #[test]
    fn requests_of_both_forms_follow_each_other() {
        let text = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nping\r\n\r\n*0\r\n*-1\r\nset k \"a\\x41 b\"\n";
        let got = parse([&text[..]], LIMITS).expect("requests");
        let want: Vec<Vec<&[u8]>> =
            vec![vec![b"GET", b"k"], vec![b"ping"], vec![b"set", b"k", b"aA b"]];
        assert_eq!(got, want);
    }

    #[test]
    fn protocol_errors_have_the_texts_of_redis() {
        assert_eq!(error(b"*x\r\n"), "Protocol error: invalid multibulk length");
        assert_eq!(error(b"*2147483648\r\n"), "Protocol error: invalid multibulk length");
        assert_eq!(error(b"*1\r\n$x\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(error(b"*1\r\n$-1\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(error(b"*1\r\n$536870913\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(error(b"*3\r\n$3\r\nSET\r\nfoo\r\n"), "Protocol error: expected '$', got 'f'");
        assert_eq!(error(b"set \"a\r\n"), "Protocol error: unbalanced quotes in request");
        assert_eq!(error(b"set 'a'b\r\n"), "Protocol error: unbalanced quotes in request");
        let long = vec![b'1'; MAX_LINE + 2];
        assert_eq!(error(&long), "Protocol error: too big inline request");
        assert_eq!(
            error(&[b"*", &long[..]].concat()),
            "Protocol error: too big mbulk count string"
        );
        assert_eq!(
            error(&[b"*1\r\n$", &long[..]].concat()),
            "Protocol error: too big bulk count string"
        );
    }

    #[test]
    fn unauthenticated_clients_get_lower_limits() {
        let strict = Limits { unauthenticated: true, ..LIMITS };
        assert_eq!(
            parse([&b"*11\r\n"[..]], strict),
            Err(ProtocolError::UnauthenticatedMultibulkLength)
        );
        assert_eq!(
            parse([&b"*1\r\n$16385\r\n"[..]], strict),
            Err(ProtocolError::UnauthenticatedBulkLength)
        );
    }

    #[test]
    fn a_long_argument_does_not_stay_in_the_buffer() {
        let mut requests = Requests::default();
        let value = vec![b'v'; 1 << 20];
        let text = [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\n", &value[..], b"\r\n"].concat();
        let mut seen = 0;
        for chunk in text.chunks(16 * 1024) {
            let mut chunk = chunk;
            while let Some(args) = requests.next(&mut chunk, LIMITS).expect("well formed") {
                assert_eq!(args.at(2), value);
                seen += 1;
            }
        }
        assert_eq!((seen, requests.waiting(), requests.capacity()), (1, 0, 0));
    }

    fn request() -> impl Strategy<Value = Vec<u8>> {
        let multibulk = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6)
            .prop_map(|args| {
                let mut out = format!("*{}\r\n", args.len()).into_bytes();
                for arg in args {
                    out.extend(format!("${}\r\n", arg.len()).bytes());
                    out.extend(arg);
                    out.extend(b"\r\n");
                }
                out
            });
        let inline = "[a-z]{1,5}( [a-z0-9]{0,6}){0,3}\r\n".prop_map(String::into_bytes);
        prop_oneof![4 => multibulk, 1 => inline]
    }

    proptest! {
        #[test]
        fn any_split_of_a_pipeline_gives_the_same_requests(
            pipeline in prop::collection::vec(request(), 1..20),
            cuts in prop::collection::vec(1usize..50, 1..50),
        ) {
            let text = pipeline.concat();
            let whole = parse([&text[..]], LIMITS);
            prop_assert_eq!(whole.as_ref().map(Vec::len), Ok(pipeline.len()));
            let (mut chunks, mut rest) = (Vec::new(), &text[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, tail) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = tail;
            }
            prop_assert_eq!(parse(chunks, LIMITS), whole);
        }

        #[test]
        fn the_fast_path_gives_what_the_general_parser_gives(
            text in prop_oneof![
                "([*$]{1,2}-?[0-9]{0,3}\r?\n?|[ -~]{0,9}|\r\n){0,30}".prop_map(String::into_bytes),
                request(),
            ],
            cut in 0usize..200,
        ) {
            let text = &text[..text.len() - cut.min(text.len())];
            let mut spans = [Span::default(); FEW];
            if let Some((count, used)) = plain(text, &mut spans, LIMITS.bulk) {
                let (mut requests, mut rest) = (Requests::default(), text);
                let args = requests.next(&mut rest, LIMITS);
                let args = args.ok().flatten().expect("a request");
                prop_assert!(args.iter().eq(Args::new(text, &spans[..count]).iter()));
                prop_assert_eq!(rest.len(), text.len() - used);
            }
        }

        #[test]
        fn hostile_bytes_give_requests_or_an_error_however_they_are_split(
            text in "([*$]{1,2}-?[0-9]{0,3}\r?\n?|[ -~]{0,9}|\r\n){0,30}",
            cut in 1usize..20,
        ) {
            let text = text.into_bytes();
            prop_assert_eq!(parse(text.chunks(cut), LIMITS), parse([&text[..]], LIMITS));
        }
    }
}
