//! Parses requests only as far as a proxy needs: the name and the keys. The bytes are forwarded
//! unchanged.
//!
//! A request is parsed in place: in the driver's buffer if it arrived completely, or else in a
//! buffer of the connection, into which only incomplete requests are copied.

use memchr::memchr;

use crate::resp::quote::split_args;

/// The maximum number of arguments of a request, as in Redis.
const MAX_ARGS: u32 = 1024 * 1024;

/// The maximum length of an argument: Redis's `proto-max-bulk-len`.
const MAX_BULK: u32 = 512 << 20;

/// The maximum size of a buffered request in bytes.
const MAX_REQUEST: usize = 1 << 30;

/// The maximum length of an inline request.
const MAX_INLINE: usize = 64 * 1024;

/// The maximum number of digits of a length.
const MAX_DIGITS: usize = 10;

/// The maximum capacity that an idle connection's buffer keeps.
const KEEP: usize = 16 * 1024;

/// The request parser of a connection.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// The bytes left over from earlier input.
    buffer: Vec<u8>,
    /// How much of `buffer` was consumed.
    start: usize,
    /// The length of the last request that was taken from `buffer`.
    last: usize,
    /// How far the request at `start` was parsed.
    progress: Progress,
    /// Whether inline requests are accepted.
    inline: bool,
}

/// A complete request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// All of its bytes, for forwarding.
    pub bytes: &'r [u8],
    args: &'r [Span],
}

/// An incomplete request.
#[derive(Clone, Copy, Debug)]
pub struct PartialRequest<'r> {
    /// The number of arguments that it announces.
    pub len: usize,
    /// The arguments that have arrived.
    pub request: Request<'r>,
}

/// The connection violates the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    /// The announced number of arguments; 0 before that was parsed.
    count: u32,
    /// The position to continue at, relative to the request's first byte.
    at: usize,
    args: Vec<Span>,
    /// Whether the last call returned a complete request, so that the next call starts a new one.
    done: bool,
    /// An inline request, converted to an array.
    array: Vec<u8>,
}

impl Requests {
    /// A parser that accepts inline requests as well.
    pub fn with_inline() -> Requests {
        Requests { inline: true, ..Requests::default() }
    }

    /// The next complete request from the buffer and `bytes`, which is advanced. If there is none,
    /// all of `bytes` was buffered.
    #[inline]
    pub fn next<'s, 'b: 's>(
        &'s mut self,
        bytes: &mut &'b [u8],
    ) -> Result<Option<Request<'s>>, Malformed> {
        if self.buffer.is_empty() {
            let request = *bytes;
            if request.is_empty() {
                return Ok(None);
            }
            return match self.progress.parse(request, self.inline)? {
                Some(used) => {
                    *bytes = &request[used..];
                    Ok(Some(self.progress.request(&request[..used])))
                }
                None => {
                    self.keep(core::mem::take(bytes));
                    Ok(None)
                }
            };
        }
        self.keep(core::mem::take(bytes));
        let Some(used) = self.progress.parse(&self.buffer[self.start..], self.inline)? else {
            if self.start == self.buffer.len() {
                self.release();
            } else if self.waiting() > MAX_REQUEST {
                return Err(Malformed);
            }
            return Ok(None);
        };
        let request = &self.buffer[self.start..self.start + used];
        self.start += used;
        self.last = used;
        Ok(Some(self.progress.request(request)))
    }

    /// The incomplete request in the buffer, after [`Requests::next`] has returned `None`.
    pub fn partial(&self) -> Option<PartialRequest<'_>> {
        let progress = &self.progress;
        if progress.done || progress.count == 0 || self.buffer.is_empty() {
            return None;
        }
        let request = progress.request(&self.buffer[self.start..]);
        Some(PartialRequest { len: progress.count as usize, request })
    }

    /// Buffers bytes without parsing them.
    pub fn keep(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start >= self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Makes the next call return the last request again. Only valid if that came from the buffer.
    pub fn put_back(&mut self) {
        self.start -= core::mem::take(&mut self.last);
    }

    /// Enables or disables inline requests on a new connection.
    pub fn set_inline(&mut self, inline: bool) {
        self.inline = inline;
    }

    /// Whether nothing of a next request has arrived.
    pub fn is_idle(&self) -> bool {
        self.buffer.is_empty() && (self.progress.done || self.progress.count == 0)
    }

    /// Whether the next request is in the buffer.
    pub fn is_buffered(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The number of buffered bytes.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn release(&mut self) {
        self.start = 0;
        self.buffer.clear();
        if self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
    }
}

impl Progress {
    /// Continues to parse `request`, which starts at the request's first byte. Returns the length
    /// of the request if it is complete.
    #[inline]
    fn parse(&mut self, request: &[u8], inline: bool) -> Result<Option<usize>, Malformed> {
        if self.done {
            self.done = false;
            self.count = 0;
            self.at = 0;
            self.args.clear();
            self.array.clear();
        }
        if self.count == 0 {
            match request.first() {
                None => return Ok(None),
                Some(b'*') => {}
                Some(_) if inline => return self.parse_inline(request),
                Some(_) => return Err(Malformed),
            }
            let Some((count, next)) = head(request, 0, b'*')? else { return Ok(None) };
            if count == 0 || count > MAX_ARGS {
                return Err(Malformed);
            }
            self.count = count;
            self.at = next;
        }
        while self.args.len() < self.count as usize {
            let Some((len, start)) = head(request, self.at, b'$')? else { return Ok(None) };
            if len > MAX_BULK {
                return Err(Malformed);
            }
            let end = start + len as usize;
            match request.get(end..).unwrap_or_default() {
                [b'\r', b'\n', ..] => {}
                [] | [b'\r'] => return Ok(None),
                _ => return Err(Malformed),
            }
            let start = u32::try_from(start).map_err(|_| Malformed)?;
            self.args.push(Span { start, len });
            self.at = end + 2;
        }
        self.done = true;
        Ok(Some(self.at))
    }

    /// Converts an inline request to an array of bulk strings.
    fn parse_inline(&mut self, request: &[u8]) -> Result<Option<usize>, Malformed> {
        let Some(end) = memchr(b'\n', request) else {
            return if request.len() > MAX_INLINE { Err(Malformed) } else { Ok(None) };
        };
        let line = &request[..end];
        let words = split_args(line.strip_suffix(b"\r").unwrap_or(line)).ok_or(Malformed)?;
        let mut array = Vec::new();
        if !words.is_empty() {
            write(&mut array, words.iter().map(|word| word.as_ref()));
            self.parse(&array, false)?;
        }
        self.array = array;
        self.done = true;
        Ok(Some(end + 1))
    }

    fn request<'r>(&'r self, bytes: &'r [u8]) -> Request<'r> {
        let inline = bytes.first() != Some(&b'*');
        Request { bytes: if inline { &self.array } else { bytes }, args: &self.args }
    }
}

impl<'r> Request<'r> {
    /// The number of arguments including the name; 0 for an empty line.
    #[inline]
    pub fn len(&self) -> usize {
        self.args.len()
    }

    /// Whether it is an empty line.
    pub fn is_empty(&self) -> bool {
        self.args.is_empty()
    }

    /// The argument at an index; empty if there is none.
    #[inline]
    pub fn arg(&self, index: usize) -> &'r [u8] {
        let span = self.args.get(index).copied().unwrap_or(Span { start: 0, len: 0 });
        let start = span.start as usize;
        self.bytes.get(start..start + span.len as usize).unwrap_or_default()
    }

    /// All arguments from an index on.
    pub fn args_from(&self, index: usize) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        let this = *self;
        (index..this.len()).map(move |i| this.arg(i))
    }

    /// The arguments in an index range, as bulk strings exactly as they arrived.
    pub fn bulks(&self, from: usize, to: usize) -> &'r [u8] {
        let ends = |index: usize| {
            let span = self.args.get(index)?;
            Some((span.start + span.len) as usize + 2)
        };
        let (Some(start), Some(end)) = (from.checked_sub(1).and_then(ends), ends(to - 1)) else {
            return &[];
        };
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// Parses the line at `at`, which has a length after its type `mark`. Returns the length, and the
/// position of the next line; `None` if the line is incomplete.
#[inline]
fn head(request: &[u8], at: usize, mark: u8) -> Result<Option<(u32, usize)>, Malformed> {
    let line = request.get(at..).unwrap_or_default();
    let Some((&first, rest)) = line.split_first() else { return Ok(None) };
    if first != mark {
        return Err(Malformed);
    }
    let mut value = 0u32;
    for (i, &byte) in rest.iter().enumerate() {
        match byte {
            b'0'..=b'9' if i < MAX_DIGITS => {
                let digit = u32::from(byte - b'0');
                value = value
                    .checked_mul(10)
                    .and_then(|value| value.checked_add(digit))
                    .ok_or(Malformed)?;
            }
            b'\r' if i > 0 => {
                return match rest.get(i + 1) {
                    None => Ok(None),
                    Some(b'\n') => Ok(Some((value, at + i + 3))),
                    Some(_) => Err(Malformed),
                };
            }
            _ => return Err(Malformed),
        }
    }
    Ok(None)
}

/// Encodes a request.
pub fn write<'a>(out: &mut Vec<u8>, args: impl IntoIterator<Item = &'a [u8]> + Clone) {
    let count = args.clone().into_iter().count();
    write_head(out, b'*', count);
    for arg in args {
        write_bulk(out, arg);
    }
}

/// Writes a bulk string.
pub fn write_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    write_head(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Writes a line with a type and a length.
pub fn write_head(out: &mut Vec<u8>, mark: u8, len: usize) {
    out.push(mark);
    out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Parsed = Result<Vec<Vec<Vec<u8>>>, Malformed>;

    fn parse<'c>(chunks: impl IntoIterator<Item = &'c [u8]>, mut requests: Requests) -> Parsed {
        let mut out = Vec::new();
        for mut chunk in chunks {
            while let Some(request) = requests.next(&mut chunk)? {
                out.push(request.args_from(0).map(<[u8]>::to_vec).collect());
            }
            assert!(chunk.is_empty());
        }
        Ok(out)
    }

    #[test]
    fn an_invalid_request_is_an_error() {
        for text in ["*0\r\n", "*-1\r\n", "GET k\r\n", "*1\r\n$-1\r\n", "*x\r\n", "*1\r\n+a\r\n"] {
            assert_eq!(parse([text.as_bytes()], Requests::default()), Err(Malformed), "{text:?}");
        }
        let inline = parse([&b"get  k\r\n\r\n*0\r\n"[..]], Requests::with_inline());
        assert_eq!(inline, Err(Malformed));
        let inline = parse([&b"get  k\r\n\r\nping\n"[..]], Requests::with_inline());
        let words: Vec<Vec<&[u8]>> = vec![vec![b"get", b"k"], vec![], vec![b"ping"]];
        assert_eq!(inline.expect("requests"), words);
    }

    #[test]
    fn parts_of_a_request_are_passed_on_as_they_came() {
        let text = b"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$2\r\n22\r\n";
        let (mut requests, mut rest) = (Requests::default(), &text[..]);
        let request = requests.next(&mut rest).expect("well formed").expect("whole");
        assert_eq!(request.bytes, text);
        assert_eq!(request.bulks(1, 3), b"$1\r\na\r\n$1\r\n1\r\n");
        assert_eq!(request.bulks(3, 5), b"$1\r\nb\r\n$2\r\n22\r\n");
    }

    #[test]
    fn an_incomplete_request_can_be_inspected() {
        let mut requests = Requests::default();
        let mut rest = &b"*2\r\n$4\r\nkeys\r\n$1"[..];
        assert!(requests.next(&mut rest).expect("well formed").is_none());
        let partial = requests.partial().expect("a beginning");
        assert_eq!(
            (partial.len, partial.request.len(), partial.request.arg(0)),
            (2, 1, &b"keys"[..])
        );
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_requests(
            pipeline in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 1..20),
            size in 1usize..60,
        ) {
            let mut text = Vec::new();
            for args in &pipeline {
                write(&mut text, args.iter().map(Vec::as_slice));
            }
            prop_assert_eq!(parse(text.chunks(size), Requests::default()), Ok(pipeline));
        }

        #[test]
        fn invalid_bytes_give_the_same_result_however_they_are_split(
            text in "([*$]{1,2}-?[0-9]{0,3}\r?\n?|[ -~]{0,9}|\r\n){0,30}",
            cut in 1usize..20,
        ) {
            let text = text.as_bytes();
            for requests in [Requests::default(), Requests::with_inline()] {
                let whole = parse([text], requests.clone());
                prop_assert_eq!(parse(text.chunks(cut), requests), whole);
            }
        }
    }
}
