//! Finds the ends of replies in a stream, without decoding them.

use memchr::memchr;

/// Finds the ends of replies, whatever their size and nesting. Its state is a few numbers and the
/// beginning of a line, never a reply.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    /// Number of elements missing from the current reply; 0 between replies.
    missing: u64,
    /// Bytes missing from the current bulk string, including its line end.
    skip: u64,
    /// The beginning of an incomplete line.
    line: Line,
}

/// The result of [`Scanner::scan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Number of bytes that belong to the reply.
    pub used: usize,
    /// Whether the reply is complete with them.
    pub done: bool,
}

/// The peer violates the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The maximum number of elements of a reply, on all levels together.
const MAX_ELEMENTS: u64 = 1 << 32;

/// The maximum length of a line with a length: type, sign, digits, line end.
const MAX_LINE: usize = 24;

/// The first bytes of an incomplete line.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    bytes: [u8; MAX_LINE],
    len: u8,
}

impl Line {
    fn extend(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let Some(place) = self.bytes.get_mut(usize::from(self.len)) else { return };
            *place = byte;
            self.len += 1;
        }
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Scanner {
    /// Whether no reply has started.
    pub fn is_idle(&self) -> bool {
        self.missing == 0
    }

    /// Looks for the end of the current reply, which starts or continues at the beginning of
    /// `bytes`.
    #[inline]
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Scan, Malformed> {
        if self.missing == 0 {
            self.missing = 1;
        }
        let mut at = 0;
        loop {
            if self.skip > 0 {
                let here = (bytes.len() - at) as u64;
                let n = self.skip.min(here);
                at += n as usize;
                self.skip -= n;
                if self.skip > 0 {
                    return Ok(Scan { used: at, done: false });
                }
                self.missing -= 1;
            }
            if self.missing == 0 {
                return Ok(Scan { used: at, done: true });
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(end) = memchr(b'\n', rest) else {
                self.line.extend(rest);
                if let Some(mark) = self.line.get().first()
                    && usize::from(self.line.len) == MAX_LINE
                    && tells_length(*mark)
                {
                    return Err(Malformed);
                }
                return Ok(Scan { used: bytes.len(), done: false });
            };
            at += end + 1;
            if self.line.len == 0 {
                self.take(&rest[..=end])?;
            } else {
                self.line.extend(&rest[..=end]);
                let line = core::mem::take(&mut self.line);
                self.take(line.get())?;
            }
        }
    }

    /// Handles a line, which may be incomplete unless it contains a length.
    fn take(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let (&mark, text) = line.split_first().ok_or(Malformed)?;
        match mark {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => self.missing -= 1,
            _ if !tells_length(mark) => return Err(Malformed),
            _ => match length(text)? {
                // A null.
                None => self.missing -= 1,
                Some(len) => match mark {
                    b'$' | b'!' | b'=' => self.skip = len + 2,
                    b'%' => self.expect(len * 2)?,
                    // Attributes precede the actual reply.
                    b'|' => {
                        self.missing += 1;
                        self.expect(len * 2)?;
                    }
                    _ => self.expect(len)?,
                },
            },
        }
        Ok(())
    }

    fn expect(&mut self, elements: u64) -> Result<(), Malformed> {
        self.missing = self.missing - 1 + elements;
        if self.missing > MAX_ELEMENTS { Err(Malformed) } else { Ok(()) }
    }
}

fn tells_length(mark: u8) -> bool {
    matches!(mark, b'$' | b'*' | b'!' | b'=' | b'%' | b'~' | b'>' | b'|')
}

/// The number on a line after its type; `None` for -1.
fn length(text: &[u8]) -> Result<Option<u64>, Malformed> {
    let digits = text.strip_suffix(b"\r\n").ok_or(Malformed)?;
    if digits == b"-1" {
        return Ok(None);
    }
    if digits.is_empty() || digits.len() > 10 {
        return Err(Malformed);
    }
    digits
        .iter()
        .try_fold(0, |n, &b| match b {
            b'0'..=b'9' => Ok(n * 10 + u64::from(b - b'0')),
            _ => Err(Malformed),
        })
        .map(Some)
}

/// Iterates over the elements of an array; `None` if `reply` is not an array.
pub fn elements(reply: &[u8]) -> Option<Elements<'_>> {
    let end = memchr(b'\n', reply)?;
    let text = reply.strip_prefix(b"*").or_else(|| reply.strip_prefix(b"~"))?;
    let len = length(text.get(..end)?).ok()??;
    Some(Elements { rest: reply.get(end + 1..)?, left: len })
}

/// The elements of an array, each as a complete reply.
#[derive(Clone, Debug)]
pub struct Elements<'r> {
    rest: &'r [u8],
    left: u64,
}

impl<'r> Iterator for Elements<'r> {
    type Item = &'r [u8];

    fn next(&mut self) -> Option<&'r [u8]> {
        if self.left == 0 {
            return None;
        }
        let scan = Scanner::default().scan(self.rest).ok().filter(|scan| scan.done)?;
        let (element, rest) = self.rest.split_at(scan.used);
        self.left -= 1;
        self.rest = rest;
        Some(element)
    }
}

/// The bytes of a bulk string, or the text of a simple string.
pub fn text(reply: &[u8]) -> Option<&[u8]> {
    let end = memchr(b'\n', reply)?;
    let line = reply.get(1..end)?.strip_suffix(b"\r")?;
    match reply.first()? {
        b'$' => {
            let start = end + 1;
            reply.get(start..start + usize::try_from(length(reply.get(1..=end)?).ok()??).ok()?)
        }
        _ => Some(line),
    }
}

/// The value of an integer.
pub fn integer(reply: &[u8]) -> Option<i64> {
    let digits = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The replies of a stream that arrives in pieces.
    fn replies<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Result<Vec<Vec<u8>>, Malformed> {
        let (mut scanner, mut all, mut part) = (Scanner::default(), Vec::new(), Vec::new());
        for mut chunk in chunks {
            while !chunk.is_empty() {
                let scan = scanner.scan(chunk)?;
                let (piece, rest) = chunk.split_at(scan.used);
                part.extend_from_slice(piece);
                if scan.done {
                    all.push(core::mem::take(&mut part));
                }
                chunk = rest;
            }
        }
        Ok(all)
    }

    #[test]
    fn the_end_of_every_kind_of_reply_is_found() {
        let all: [&[u8]; 13] = [
            b"+OK\r\n",
            b"-ERR a long line that is longer than any line that tells a length\r\n",
            b":-12\r\n",
            b"$5\r\nhello\r\n",
            b"$0\r\n\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*2\r\n*2\r\n:1\r\n$1\r\n\n\r\n+x\r\n",
            b"%1\r\n+a\r\n*1\r\n#t\r\n",
            b"_\r\n",
            b"|1\r\n+a\r\n+b\r\n:3\r\n",
            b"~1\r\n,1.5\r\n",
        ];
        let text = all.concat();
        for size in 1..text.len() {
            assert_eq!(replies(text.chunks(size)).expect("well formed"), all, "{size}");
        }
    }

    #[test]
    fn an_invalid_reply_is_an_error() {
        for text in ["x\r\n", "$x\r\n", "$5\n", "*99999999999\r\n", "$$\r\n", "\r\n"] {
            assert_eq!(replies([text.as_bytes()]), Err(Malformed), "{text:?}");
        }
        assert_eq!(replies([&[b'$'; 40][..]]), Err(Malformed));
    }

    #[test]
    fn an_array_is_split_into_its_elements() {
        let reply = b"*3\r\n$1\r\na\r\n$-1\r\n*1\r\n:7\r\n";
        let parts: Vec<&[u8]> = elements(reply).expect("an array").collect();
        assert_eq!(parts, [&b"$1\r\na\r\n"[..], b"$-1\r\n", b"*1\r\n:7\r\n"]);
        assert_eq!(text(parts[0]), Some(&b"a"[..]));
        assert_eq!(text(parts[1]), None);
        assert_eq!(elements(parts[2]).and_then(|mut parts| integer(parts.next()?)), Some(7));
    }

    proptest! {
        #[test]
        fn invalid_bytes_give_the_same_result_however_they_are_split(
            text in "([*$+:-]{1,2}-?[0-9]{0,3}\r?\n?|[ -~]{0,9}|\r\n){0,30}",
            cut in 1usize..20,
        ) {
            let text = text.as_bytes();
            prop_assert_eq!(replies(text.chunks(cut)).is_err(), replies([text]).is_err());
        }
    }
}
