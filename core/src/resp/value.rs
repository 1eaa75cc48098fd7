//! Decoded replies: RESP values for clients, proxies, replicas and the page.
//!
//! A server never builds these (it writes replies straight into an outbox, and reads requests in
//! place); code that must inspect a reply does. All types of RESP2 and RESP3 that Redis sends are
//! supported; the streamed types of the RESP3 document, which Redis never sent, are refused.

use core::fmt;

use memchr::memchr;

/// One complete RESP value, of protocol version 2 or 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `+`: a status such as `OK`.
    Simple(Vec<u8>),
    /// `-`, or the `!` of RESP3 whose text may hold any bytes: an error with its code in front.
    Error(Vec<u8>),
    /// `:`
    Integer(i64),
    /// `$`: any bytes.
    Bulk(Vec<u8>),
    /// `_`, and RESP2's `$-1` and `*-1`.
    Null,
    /// `*`
    Array(Vec<Value>),
    /// `%`: pairs, in the order in which they came.
    Map(Vec<(Value, Value)>),
    /// `~`
    Set(Vec<Value>),
    /// `>`: out of band data, such as a published message.
    Push(Vec<Value>),
    /// `|`: a value with attributes.
    Attributed(Box<Attributed>),
    /// `,`: the number as it was written, so that printing it loses nothing.
    Double(Vec<u8>),
    /// `#`
    Bool(bool),
    /// `(`: an integer of any size, as it was written.
    BigNumber(Vec<u8>),
    /// `=`: a text with its format.
    Verbatim {
        /// Three letters: `txt`, `mkd`.
        format: [u8; 3],
        /// The text.
        text: Vec<u8>,
    },
}

/// A value and the attributes that preceded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributed {
    /// The attributes.
    pub attributes: Vec<(Value, Value)>,
    /// The value itself.
    pub value: Value,
}

impl Value {
    /// A bulk string.
    pub fn bulk(bytes: impl Into<Vec<u8>>) -> Self {
        Value::Bulk(bytes.into())
    }

    /// The bytes of a status, an error, a string or a number that came as text.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Simple(b)
            | Value::Error(b)
            | Value::Bulk(b)
            | Value::Double(b)
            | Value::BigNumber(b)
            | Value::Verbatim { text: b, .. } => Some(b),
            _ => None,
        }
    }

    /// The elements of an array, a set or a push.
    pub fn items(&self) -> Option<&[Value]> {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs of a map, or of the flat array that represents a map in RESP2.
    pub fn pairs(&self) -> Vec<(&Value, &Value)> {
        match self {
            Value::Map(pairs) => pairs.iter().map(|(k, v)| (k, v)).collect(),
            Value::Array(items) => items
                .chunks_exact(2)
                .filter_map(|pair| Some((pair.first()?, pair.get(1)?)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The value without its attributes, if it has any.
    pub fn plain(&self) -> &Value {
        let mut value = self;
        while let Value::Attributed(attributed) = value {
            value = &attributed.value;
        }
        value
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        matches!(self.plain(), Value::Error(_))
    }

    /// The number, if this is a double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Double(text) => core::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// Writes the value as RESP3.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Value::Simple(text) => line(out, b'+', text),
            Value::Error(text) if memchr::memchr2(b'\r', b'\n', text).is_none() => {
                line(out, b'-', text);
            }
            Value::Error(text) => blob(out, b'!', text),
            Value::Integer(n) => header(out, b':', *n),
            Value::Bulk(bytes) => blob(out, b'$', bytes),
            Value::Null => out.extend_from_slice(b"_\r\n"),
            Value::Array(items) => aggregate(out, b'*', items),
            Value::Set(items) => aggregate(out, b'~', items),
            Value::Push(items) => aggregate(out, b'>', items),
            Value::Map(pairs) => map(out, b'%', pairs),
            Value::Attributed(attributed) => {
                map(out, b'|', &attributed.attributes);
                attributed.value.encode(out);
            }
            Value::Double(text) => line(out, b',', text),
            Value::Bool(yes) => line(out, b'#', if *yes { b"t" } else { b"f" }),
            Value::BigNumber(text) => line(out, b'(', text),
            Value::Verbatim { format, text } => {
                header(out, b'=', text.len() as i64 + 4);
                out.extend_from_slice(format);
                out.push(b':');
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// Writes a command as clients send it: an array of bulk strings.
pub fn encode_command<A: AsRef<[u8]>>(args: &[A], out: &mut Vec<u8>) {
    header(out, b'*', args.len() as i64);
    for arg in args {
        blob(out, b'$', arg.as_ref());
    }
}

/// The limits of a [`Decoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Levels of nested aggregates.
    pub depth: usize,
    /// Bytes of one string.
    pub string: u64,
    /// Elements of one aggregate; a pair counts as two.
    pub elements: u64,
    /// Bytes of a line: a status, an error, a number.
    pub line: usize,
}

impl Default for Limits {
    /// More than any Redis server sends by default, but finite: strings up to 4 GiB
    /// (`proto-max-bulk-len` is 512 MB unless raised), aggregates up to 2³² elements.
    fn default() -> Self {
        Limits { depth: 128, string: (1 << 32) - 1, elements: (1 << 32) - 1, line: 1 << 20 }
    }
}

/// An incremental decoder: turns bytes that arrive in pieces of any size into values.
///
/// Every byte is scanned once, whatever the pieces, and nothing is reserved for an announced
/// length: memory grows only with the bytes that arrived.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    limits: Limits,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are decoded.
    read: usize,
    /// Bytes of the current line that are known to hold no CRLF.
    scanned: usize,
    /// Unfinished aggregates, outermost first.
    open: Vec<Aggregate>,
    /// Bytes dropped from the buffer's front since the start.
    dropped: u64,
    failed: Option<DecodeError>,
}

impl Decoder {
    /// A decoder with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder with limits of its own.
    pub fn with_limits(limits: Limits) -> Self {
        Decoder { limits, ..Self::default() }
    }

    /// Takes in bytes that have arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.read > 0 {
            self.buffer.drain(..self.read);
            self.dropped += self.read as u64;
            self.read = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete value, or `None` until more bytes arrive. Errors are permanent: after the
    /// first, every call returns it.
    pub fn next_value(&mut self) -> Result<Option<Value>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.advance();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.buffer = Vec::new();
            self.open = Vec::new();
            self.read = 0;
        }
        result
    }

    /// The number of bytes that the values returned so far took up. Meaningful right after
    /// [`Decoder::next_value`] has returned a value.
    pub fn consumed(&self) -> u64 {
        self.dropped + self.read as u64
    }

    /// Whether a value has arrived in part.
    pub fn is_partial(&self) -> bool {
        !self.open.is_empty() || self.read < self.buffer.len()
    }

    /// Resets the decoder for a new connection.
    pub fn reset(&mut self) {
        *self = Self::with_limits(self.limits);
    }

    fn advance(&mut self) -> Result<Option<Value>, DecodeError> {
        while let Some(item) = self.item()? {
            let mut value = match item {
                Item::Value(value) => value,
                Item::Open(aggregate)
                    if aggregate.left == 0 && aggregate.kind != Kind::Attribute =>
                {
                    aggregate.close()
                }
                Item::Open(aggregate) => {
                    if self.open.len() >= self.limits.depth {
                        return Err(DecodeError::TooDeep(self.limits.depth));
                    }
                    self.open.push(aggregate);
                    continue;
                }
            };
            loop {
                let Some(parent) = self.open.last_mut() else {
                    return Ok(Some(value));
                };
                let complete = parent.add(value);
                if !complete {
                    break;
                }
                match self.open.pop() {
                    Some(parent) => value = parent.close(),
                    None => break,
                }
            }
        }
        Ok(None)
    }

    /// The next scalar, or the header of the next aggregate.
    fn item(&mut self) -> Result<Option<Item>, DecodeError> {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let Some((&kind, after)) = rest.split_first() else {
            return Ok(None);
        };
        if !b"+-:$*%~>|_,#(=!".contains(&kind) {
            return Err(DecodeError::UnknownType(kind));
        }
        let unscanned = after.get(self.scanned..).unwrap_or_default();
        let Some(end) = memchr(b'\n', unscanned) else {
            if after.len() > self.limits.line {
                return Err(DecodeError::LineTooLong(self.limits.line));
            }
            self.scanned = after.len();
            return Ok(None);
        };
        let end = self.scanned + end;
        let text = match after.get(..end) {
            Some([text @ .., b'\r']) => text,
            _ => return Err(DecodeError::Malformed("line end")),
        };
        if text.len() > self.limits.line {
            return Err(DecodeError::LineTooLong(self.limits.line));
        }
        let header = end + 2;
        let item = match kind {
            b'+' => Item::Value(Value::Simple(text.to_vec())),
            b'-' => Item::Value(Value::Error(text.to_vec())),
            b':' => Item::Value(Value::Integer(integer(text)?)),
            b'_' if text.is_empty() => Item::Value(Value::Null),
            b'_' => return Err(DecodeError::Malformed("null")),
            b'#' => match text {
                b"t" => Item::Value(Value::Bool(true)),
                b"f" => Item::Value(Value::Bool(false)),
                _ => return Err(DecodeError::Malformed("boolean")),
            },
            b',' => Item::Value(double(text)?),
            b'(' => Item::Value(big_number(text)?),
            b'$' | b'!' | b'=' => match integer(text)? {
                -1 if kind == b'$' => Item::Value(Value::Null),
                len => {
                    let len = u64::try_from(len)
                        .ok()
                        .filter(|&len| len <= self.limits.string)
                        .ok_or(DecodeError::StringTooLong(len))?;
                    // More than the address space holds cannot have arrived.
                    let Ok(len) = usize::try_from(len) else { return Ok(None) };
                    let body = rest.get(header..).unwrap_or_default();
                    let Some(ending) = body.get(len..len.saturating_add(2)) else {
                        return Ok(None);
                    };
                    if ending != b"\r\n" {
                        return Err(DecodeError::Malformed("string end"));
                    }
                    let body = body.get(..len).unwrap_or_default();
                    let value = match kind {
                        b'$' => Value::Bulk(body.to_vec()),
                        b'!' => Value::Error(body.to_vec()),
                        _ => verbatim(body)?,
                    };
                    self.read += header + len + 2;
                    self.scanned = 0;
                    return Ok(Some(Item::Value(value)));
                }
            },
            _ => match integer(text)? {
                -1 if kind == b'*' => Item::Value(Value::Null),
                n => {
                    let left = u64::try_from(n)
                        .ok()
                        .and_then(|n| {
                            n.checked_mul(if kind == b'%' || kind == b'|' { 2 } else { 1 })
                        })
                        .filter(|&n| n <= self.limits.elements)
                        .ok_or(DecodeError::TooManyElements(n))?;
                    Item::Open(Aggregate::new(kind, left))
                }
            },
        };
        self.read += header;
        self.scanned = 0;
        Ok(Some(item))
    }
}

/// Decodes the first value in `bytes`, and returns it with its length; `None` if it is incomplete.
pub fn decode(bytes: &[u8]) -> Result<Option<(Value, usize)>, DecodeError> {
    let mut decoder = Decoder::new();
    decoder.feed(bytes);
    Ok(decoder.next_value()?.map(|value| (value, decoder.read)))
}

/// Why bytes are not valid RESP, or exceed a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The type byte is unknown.
    UnknownType(u8),
    /// The named part of a value is malformed.
    Malformed(&'static str),
    /// A line is longer than this many bytes.
    LineTooLong(usize),
    /// A string announces a length that is negative or beyond the limit.
    StringTooLong(i64),
    /// An aggregate announces a count that is negative or beyond the limit.
    TooManyElements(i64),
    /// Aggregates are nested deeper than this.
    TooDeep(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::UnknownType(byte) => {
                let shown = core::ascii::escape_default(*byte);
                write!(f, "Protocol error, got \"{shown}\" as reply type byte")
            }
            DecodeError::Malformed(what) => write!(f, "Protocol error, bad {what}"),
            DecodeError::LineTooLong(max) => {
                write!(f, "Protocol error, a line is longer than {max} bytes")
            }
            DecodeError::StringTooLong(len) => {
                write!(f, "Protocol error, string length {len} is out of range")
            }
            DecodeError::TooManyElements(n) => {
                write!(f, "Protocol error, aggregate length {n} is out of range")
            }
            DecodeError::TooDeep(max) => {
                write!(f, "Protocol error, aggregates are nested deeper than {max}")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

enum Item {
    Value(Value),
    Open(Aggregate),
}

/// An aggregate whose elements are still arriving.
#[derive(Clone, Debug)]
struct Aggregate {
    kind: Kind,
    /// Values still to come.
    left: u64,
    items: Vec<Value>,
    pairs: Vec<(Value, Value)>,
    key: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Array,
    Set,
    Push,
    Map,
    Attribute,
}

impl Aggregate {
    fn new(kind: u8, left: u64) -> Self {
        let kind = match kind {
            b'~' => Kind::Set,
            b'>' => Kind::Push,
            b'%' => Kind::Map,
            b'|' => Kind::Attribute,
            _ => Kind::Array,
        };
        // After the attributes' pairs comes the value that they describe.
        let left = if kind == Kind::Attribute { left.saturating_add(1) } else { left };
        Aggregate { kind, left, items: Vec::new(), pairs: Vec::new(), key: None }
    }

    /// Adds the next value. True when that was the last.
    fn add(&mut self, value: Value) -> bool {
        self.left = self.left.saturating_sub(1);
        match self.kind {
            Kind::Array | Kind::Set | Kind::Push => self.items.push(value),
            Kind::Attribute if self.left == 0 => self.items.push(value),
            Kind::Map | Kind::Attribute => match self.key.take() {
                None => self.key = Some(value),
                Some(key) => self.pairs.push((key, value)),
            },
        }
        self.left == 0
    }

    fn close(mut self) -> Value {
        match self.kind {
            Kind::Array => Value::Array(self.items),
            Kind::Set => Value::Set(self.items),
            Kind::Push => Value::Push(self.items),
            Kind::Map => Value::Map(self.pairs),
            Kind::Attribute => Value::Attributed(Box::new(Attributed {
                attributes: self.pairs,
                value: self.items.pop().unwrap_or(Value::Null),
            })),
        }
    }
}

fn integer(text: &[u8]) -> Result<i64, DecodeError> {
    // The format is checked first, since `parse` would also accept a plus sign.
    let digits = match text {
        [b'-' | b'+', digits @ ..] => digits,
        digits => digits,
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecodeError::Malformed("integer"));
    }
    core::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(DecodeError::Malformed("integer"))
}

fn double(text: &[u8]) -> Result<Value, DecodeError> {
    core::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .map(|_| Value::Double(text.to_vec()))
        .ok_or(DecodeError::Malformed("double"))
}

fn big_number(text: &[u8]) -> Result<Value, DecodeError> {
    let digits = match text {
        [b'-' | b'+', digits @ ..] => digits,
        digits => digits,
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecodeError::Malformed("big number"));
    }
    Ok(Value::BigNumber(text.to_vec()))
}

fn verbatim(body: &[u8]) -> Result<Value, DecodeError> {
    match body {
        [a, b, c, b':', text @ ..] => {
            Ok(Value::Verbatim { format: [*a, *b, *c], text: text.to_vec() })
        }
        _ => Err(DecodeError::Malformed("verbatim string")),
    }
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn header(out: &mut Vec<u8>, kind: u8, n: i64) {
    line(out, kind, itoa::Buffer::new().format(n).as_bytes());
}

fn blob(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    header(out, kind, bytes.len() as i64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn aggregate(out: &mut Vec<u8>, kind: u8, items: &[Value]) {
    header(out, kind, items.len() as i64);
    for item in items {
        item.encode(out);
    }
}

fn map(out: &mut Vec<u8>, kind: u8, pairs: &[(Value, Value)]) {
    header(out, kind, pairs.len() as i64);
    for (key, value) in pairs {
        key.encode(out);
        value.encode(out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let text = "[ -~]{0,12}".prop_map(String::into_bytes);
        let bytes = prop::collection::vec(any::<u8>(), 0..20);
        let leaf = prop_oneof![
            text.clone().prop_map(Value::Simple),
            bytes.clone().prop_map(Value::Error),
            any::<i64>().prop_map(Value::Integer),
            bytes.clone().prop_map(Value::Bulk),
            Just(Value::Null),
            any::<f64>().prop_map(|x| Value::Double(x.to_string().into_bytes())),
            any::<bool>().prop_map(Value::Bool),
            "-?[0-9]{1,40}".prop_map(|digits| Value::BigNumber(digits.into_bytes())),
            (bytes, any::<[u8; 3]>()).prop_map(|(text, format)| Value::Verbatim { format, text }),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let items = prop::collection::vec(inner.clone(), 0..5);
            let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..4);
            prop_oneof![
                items.clone().prop_map(Value::Array),
                items.clone().prop_map(Value::Set),
                items.prop_map(Value::Push),
                pairs.clone().prop_map(Value::Map),
                (pairs, inner).prop_map(|(attributes, value)| {
                    Value::Attributed(Box::new(Attributed { attributes, value }))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_round_trip_however_they_are_split(
            values in prop::collection::vec(any_value(), 1..4),
            cuts in prop::collection::vec(1usize..9, 1..20),
        ) {
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            for value in &values {
                value.encode(&mut bytes);
                ends.push(bytes.len() as u64);
            }
            let (mut decoder, mut got, mut got_ends) = (Decoder::new(), Vec::new(), Vec::new());
            let (mut rest, mut cuts) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                decoder.feed(piece);
                rest = after;
                while let Some(value) = decoder.next_value().unwrap() {
                    got.push(value);
                    got_ends.push(decoder.consumed());
                }
            }
            prop_assert_eq!(got, values);
            prop_assert_eq!(got_ends, ends);
            prop_assert!(!decoder.is_partial());
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(b"*$%~>|:,#(=!_+-0123456789\r\n".to_vec())], 0..200,
        )) {
            let mut decoder = Decoder::new();
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next_value() {}
        }
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { depth: 2, string: 3, elements: 4, line: 24 };
        let fails = |bytes: &[u8]| {
            let mut decoder = Decoder::with_limits(limits);
            decoder.feed(bytes);
            decoder.next_value().unwrap_err()
        };
        assert_eq!(fails(b"*1\r\n*1\r\n*1\r\n"), DecodeError::TooDeep(2));
        assert_eq!(fails(b"$4\r\n"), DecodeError::StringTooLong(4));
        assert_eq!(fails(b"$-2\r\n"), DecodeError::StringTooLong(-2));
        assert_eq!(fails(b"%3\r\n"), DecodeError::TooManyElements(3));
        assert_eq!(fails(b"*9223372036854775807\r\n"), DecodeError::TooManyElements(i64::MAX));
        assert_eq!(fails(&[b"+".as_slice(), &[b'a'; 40]].concat()), DecodeError::LineTooLong(24));
        assert_eq!(fails(b"HTTP/1.1 200 OK\r\n"), DecodeError::UnknownType(b'H'));
        assert_eq!(fails(b"+x\n"), DecodeError::Malformed("line end"));
    }

    #[test]
    fn the_nulls_of_both_protocols_are_one() {
        for bytes in [&b"$-1\r\n"[..], b"*-1\r\n", b"_\r\n"] {
            assert_eq!(decode(bytes), Ok(Some((Value::Null, bytes.len()))));
        }
    }

    #[test]
    fn an_error_is_final() {
        let mut decoder = Decoder::new();
        decoder.feed(b"?");
        assert!(decoder.next_value().is_err());
        decoder.feed(b"+OK\r\n");
        assert!(decoder.next_value().is_err());
        decoder.reset();
        decoder.feed(b"+OK\r\n");
        assert_eq!(decoder.next_value(), Ok(Some(Value::Simple(b"OK".to_vec()))));
    }

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let mut out = Vec::new();
        encode_command(&["GET", "k"], &mut out);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}
