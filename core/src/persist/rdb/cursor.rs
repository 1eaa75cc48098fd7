//! A cursor that decodes lengths, strings and numbers from a buffer that may still grow.

use std::borrow::Cow;

use super::{lzf, string};

/// Why decoding stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The buffer ends here; more bytes are needed.
    More,
    /// The bytes are invalid.
    Bad(Cow<'static, str>),
    /// The collection is empty. Old versions of Redis could write such; they are skipped.
    Empty,
}

impl Stop {
    pub(super) fn bad<T>(reason: impl Into<Cow<'static, str>>) -> Result<T, Stop> {
        Err(Stop::Bad(reason.into()))
    }
}

/// The longest string that is accepted: keys, fields, members and elements cannot be longer here.
const LONGEST: u64 = u32::MAX as u64;

/// A position in a buffer that is being decoded.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The position up to which everything is decoded and need not be decoded again.
    done: usize,
}

/// An encoded string.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Plain(&'a [u8]),
    Int(i64),
    Packed { bytes: &'a [u8], len: u64 },
}

/// The forms of a length, selected by its first byte.
enum Length {
    Len(u64),
    Form(u8),
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, done: 0 }
    }

    /// Marks everything up to the current position as decoded.
    pub(super) fn commit(&mut self) {
        self.done = self.at;
    }

    /// The position up to which everything is decoded.
    pub(super) fn committed(&self) -> usize {
        self.done
    }

    /// The current position, which may be behind the committed one.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let end = self.at.checked_add(count).ok_or(Stop::More)?;
        let bytes = self.bytes.get(self.at..end).ok_or(Stop::More)?;
        self.at = end;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.take(N)?.first_chunk().copied().ok_or(Stop::More)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn len(&mut self) -> Result<u64, Stop> {
        match self.length()? {
            Length::Len(len) => Ok(len),
            // Redis takes the number of the encoding for a length here; no file contains this.
            Length::Form(form) => Stop::bad(format!("Unknown length encoding {form}")),
        }
    }

    pub(super) fn text(&mut self) -> Result<Text<'a>, Stop> {
        match self.length()? {
            Length::Len(len) => Ok(Text::Plain(self.bytes_of(len)?)),
            Length::Form(string::INT_8) => {
                self.array().map(|b| Text::Int(i64::from(i8::from_le_bytes(b))))
            }
            Length::Form(string::INT_16) => {
                self.array().map(|b| Text::Int(i64::from(i16::from_le_bytes(b))))
            }
            Length::Form(string::INT_32) => {
                self.array().map(|b| Text::Int(i64::from(i32::from_le_bytes(b))))
            }
            Length::Form(string::LZF) => {
                let (packed, len) = (self.len()?, self.len()?);
                if len > LONGEST {
                    return Stop::bad(format!("String of {len} bytes is longer than {LONGEST}"));
                }
                Ok(Text::Packed { bytes: self.bytes_of(packed)?, len })
            }
            Length::Form(form) => {
                Stop::bad(format!("Unknown RDB string encoding type {}", form & 0x3F))
            }
        }
    }

    fn bytes_of(&mut self, len: u64) -> Result<&'a [u8], Stop> {
        if len > LONGEST {
            return Stop::bad(format!("String of {len} bytes is longer than {LONGEST}"));
        }
        self.take(usize::try_from(len).map_err(|_| Stop::More)?)
    }

    fn length(&mut self) -> Result<Length, Stop> {
        let first = self.byte()?;
        Ok(match first {
            0..0x40 => Length::Len(u64::from(first)),
            0x40..0x80 => Length::Len(u64::from(u16::from_be_bytes([first & 0x3F, self.byte()?]))),
            string::LEN_32 => Length::Len(u64::from(u32::from_be_bytes(self.array()?))),
            string::LEN_64 => Length::Len(u64::from_be_bytes(self.array()?)),
            0xC0.. => Length::Form(first),
            _ => return Stop::bad(format!("Unknown length encoding {first}")),
        })
    }
}

impl<'a> Text<'a> {
    /// The bytes of the string.
    pub(super) fn bytes(self) -> Result<Cow<'a, [u8]>, Stop> {
        match self {
            Text::Plain(bytes) => Ok(Cow::Borrowed(bytes)),
            Text::Int(n) => Ok(Cow::Owned(itoa::Buffer::new().format(n).as_bytes().to_vec())),
            Text::Packed { bytes, len } => match lzf::decompress(bytes, len) {
                Some(text) => Ok(Cow::Owned(text)),
                None => Stop::bad("Invalid LZF compressed string"),
            },
        }
    }
}
