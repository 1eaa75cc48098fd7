//! The output formats of redis-cli: for people, raw, CSV, JSON.

use crate::resp::value::Value;

use super::quote::{push_json, push_repr};

/// The output formats of redis-cli.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Output {
    /// For people: with types, numbered elements and quoted strings.
    #[default]
    Standard,
    /// The bytes as they are (`--raw`, or when the output is not a terminal).
    Raw,
    /// `--csv`
    Csv,
    /// `--json`: bytes unescaped where possible.
    Json,
    /// `--quoted-json`: unprintable bytes as `\xHH`.
    QuotedJson,
}

/// An output format with its delimiters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The format.
    pub output: Output,
    /// The separator of elements in raw output (`-d`).
    pub element_delimiter: Vec<u8>,
    /// The terminator of a reply in raw output (`-D`).
    pub reply_delimiter: Vec<u8>,
}

impl Default for Format {
    fn default() -> Self {
        Self::new(Output::Standard)
    }
}

impl Format {
    /// A format with newlines as its delimiters.
    pub fn new(output: Output) -> Self {
        Format { output, element_delimiter: b"\n".to_vec(), reply_delimiter: b"\n".to_vec() }
    }

    /// A reply as redis-cli prints it, including the line end.
    pub fn reply(&self, value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        match self.output {
            Output::Standard => standard(&mut out, value, 0),
            Output::Raw => {
                self.raw(&mut out, value);
                out.extend_from_slice(&self.reply_delimiter);
            }
            Output::Csv => {
                csv(&mut out, value);
                out.push(b'\n');
            }
            Output::Json | Output::QuotedJson => {
                self.json(&mut out, value);
                out.push(b'\n');
            }
        }
        out
    }

    /// A reply that is a report for people (INFO, CLIENT LIST, ...) as redis-cli prints it: the
    /// bytes as they are, without a line end.
    pub fn report(&self, value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        self.raw(&mut out, value);
        out
    }

    /// A push message that arrives between replies, as redis-cli prints it.
    pub fn push(&self, value: &Value) -> Vec<u8> {
        if self.output == Output::Standard
            && let Value::Push(items) = value
            && let [Value::Bulk(kind), Value::Array(keys)] = items.as_slice()
            && kind.starts_with(b"invalidate")
        {
            let mut out = b"-> invalidate: ".to_vec();
            for (i, key) in keys.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                out.push(b'\'');
                out.extend_from_slice(key.bytes().unwrap_or_default());
                out.push(b'\'');
            }
            out.push(b'\n');
            return out;
        }
        self.reply(value)
    }

    fn raw(&self, out: &mut Vec<u8>, value: &Value) {
        match value {
            Value::Null => {}
            Value::Error(text) => {
                out.extend_from_slice(text);
                out.push(b'\n');
            }
            Value::Simple(text)
            | Value::Bulk(text)
            | Value::Double(text)
            | Value::BigNumber(text)
            | Value::Verbatim { text, .. } => out.extend_from_slice(text),
            Value::Integer(n) => push_integer(out, *n),
            Value::Bool(yes) => {
                out.extend_from_slice(if *yes { b"(true)" } else { b"(false)" });
            }
            Value::Array(items) | Value::Set(items) | Value::Push(items) => {
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(&self.element_delimiter);
                    }
                    self.raw(out, item);
                }
            }
            Value::Map(pairs) => {
                for (i, (key, value)) in pairs.iter().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(&self.element_delimiter);
                    }
                    self.raw(out, key);
                    out.push(b' ');
                    self.raw(out, value);
                }
            }
            Value::Attributed(attributed) => self.raw(out, &attributed.value),
        }
    }

    fn json(&self, out: &mut Vec<u8>, value: &Value) {
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Error(text) => {
                out.extend_from_slice(b"error:");
                self.json_string(out, text);
            }
            Value::Simple(text) | Value::Bulk(text) | Value::Verbatim { text, .. } => {
                self.json_string(out, text);
            }
            Value::Double(text) | Value::BigNumber(text) => out.extend_from_slice(text),
            Value::Integer(n) => push_integer(out, *n),
            Value::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
            Value::Array(items) | Value::Set(items) | Value::Push(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    self.json(out, item);
                }
                out.push(b']');
            }
            Value::Map(pairs) => {
                out.push(b'{');
                for (i, (key, value)) in pairs.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    self.json_key(out, key);
                    out.push(b':');
                    self.json(out, value);
                }
                out.push(b'}');
            }
            Value::Attributed(attributed) => self.json(out, &attributed.value),
        }
    }

    /// Keys of objects must be strings in JSON, but not in RESP.
    fn json_key(&self, out: &mut Vec<u8>, key: &Value) {
        match key.plain() {
            Value::Error(_) | Value::Simple(_) | Value::Bulk(_) | Value::Verbatim { .. } => {
                self.json(out, key);
            }
            _ => {
                out.push(b'"');
                self.json(out, key);
                out.push(b'"');
            }
        }
    }

    fn json_string(&self, out: &mut Vec<u8>, bytes: &[u8]) {
        if self.output != Output::QuotedJson {
            return push_json(out, bytes);
        }
        let mut quoted = Vec::with_capacity(bytes.len() + 2);
        push_repr(&mut quoted, bytes);
        for byte in quoted {
            if byte == b'\\' {
                out.push(b'\\');
            }
            out.push(byte);
        }
    }
}

/// Writes the standard format. `indent` is the number of blanks before the elements of an
/// aggregate.
fn standard(out: &mut Vec<u8>, value: &Value, indent: usize) {
    match value {
        Value::Error(text) => {
            out.extend_from_slice(b"(error) ");
            out.extend_from_slice(text);
        }
        Value::Simple(text) | Value::BigNumber(text) | Value::Verbatim { text, .. } => {
            out.extend_from_slice(text);
        }
        Value::Integer(n) => {
            out.extend_from_slice(b"(integer) ");
            push_integer(out, *n);
        }
        Value::Double(text) => {
            out.extend_from_slice(b"(double) ");
            out.extend_from_slice(text);
        }
        Value::Bulk(bytes) => push_repr(out, bytes),
        Value::Null => out.extend_from_slice(b"(nil)"),
        Value::Bool(yes) => out.extend_from_slice(if *yes { b"(true)" } else { b"(false)" }),
        Value::Array(items) if items.is_empty() => out.extend_from_slice(b"(empty array)"),
        Value::Set(items) if items.is_empty() => out.extend_from_slice(b"(empty set)"),
        Value::Push(items) if items.is_empty() => out.extend_from_slice(b"(empty push)"),
        Value::Map(pairs) if pairs.is_empty() => out.extend_from_slice(b"(empty hash)"),
        Value::Array(items) | Value::Push(items) => {
            return numbered(out, items.iter().map(|v| (v, None)), items.len(), b')', indent);
        }
        Value::Set(items) => {
            return numbered(out, items.iter().map(|v| (v, None)), items.len(), b'~', indent);
        }
        Value::Map(pairs) => {
            let entries = pairs.iter().map(|(k, v)| (k, Some(v)));
            return numbered(out, entries, pairs.len(), b'#', indent);
        }
        Value::Attributed(attributed) => return standard(out, &attributed.value, indent),
    }
    out.push(b'\n');
}

fn numbered<'a>(
    out: &mut Vec<u8>,
    entries: impl Iterator<Item = (&'a Value, Option<&'a Value>)>,
    count: usize,
    mark: u8,
    indent: usize,
) {
    let width = count.to_string().len();
    let inner = indent + width + 2;
    for (i, (item, paired)) in entries.enumerate() {
        // The first element is on the line that the outer aggregate has begun.
        let before = if i == 0 { 0 } else { indent };
        let number = format!("{:before$}{:>width$}{} ", "", i + 1, char::from(mark));
        out.extend_from_slice(number.as_bytes());
        standard(out, item, inner);
        if let Some(value) = paired {
            // The value goes on the same line as the key.
            out.pop();
            out.extend_from_slice(b" => ");
            if is_multiline(value) {
                out.push(b'\n');
                out.resize(out.len() + inner, b' ');
            }
            standard(out, value, inner);
        }
    }
}

fn is_multiline(value: &Value) -> bool {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => match items.as_slice() {
            [] => false,
            [only] => is_multiline(only),
            _ => true,
        },
        Value::Map(pairs) => match pairs.as_slice() {
            [] => false,
            [(_, value)] => is_multiline(value),
            _ => true,
        },
        Value::Attributed(attributed) => is_multiline(&attributed.value),
        _ => false,
    }
}

fn csv(out: &mut Vec<u8>, value: &Value) {
    let mut list = |values: &mut dyn Iterator<Item = &Value>| {
        for (i, value) in values.enumerate() {
            if i > 0 {
                out.push(b',');
            }
            csv(out, value);
        }
    };
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => list(&mut items.iter()),
        Value::Map(pairs) => list(&mut pairs.iter().flat_map(|(k, v)| [k, v])),
        Value::Error(text) => {
            out.extend_from_slice(b"ERROR,");
            push_repr(out, text);
        }
        Value::Simple(text) | Value::Bulk(text) | Value::Verbatim { text, .. } => {
            push_repr(out, text);
        }
        Value::Double(text) | Value::BigNumber(text) => out.extend_from_slice(text),
        Value::Integer(n) => push_integer(out, *n),
        Value::Null => out.extend_from_slice(b"NULL"),
        Value::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        Value::Attributed(attributed) => csv(out, &attributed.value),
    }
}

fn push_integer(out: &mut Vec<u8>, n: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::value::decode;

    fn shown(output: Output, resp: &str) -> String {
        let (value, _) = decode(resp.as_bytes()).unwrap().unwrap();
        String::from_utf8(Format::new(output).reply(&value)).unwrap()
    }

    #[test]
    fn the_standard_format_has_types_numbers_and_quotes() {
        let shown = |resp| shown(Output::Standard, resp);
        assert_eq!(shown("+OK\r\n"), "OK\n");
        assert_eq!(shown("-ERR no\r\n"), "(error) ERR no\n");
        assert_eq!(shown(":3\r\n"), "(integer) 3\n");
        assert_eq!(shown("$-1\r\n"), "(nil)\n");
        assert_eq!(shown("$5\r\na\"\x01\nb\r\n"), "\"a\\\"\\x01\\nb\"\n");
        assert_eq!(shown("*0\r\n"), "(empty array)\n");
        assert_eq!(shown("%0\r\n"), "(empty hash)\n");
        assert_eq!(shown("~0\r\n"), "(empty set)\n");
        assert_eq!(shown(",1.5\r\n"), "(double) 1.5\n");
        assert_eq!(shown("#t\r\n"), "(true)\n");
        assert_eq!(shown("=7\r\ntxt:a\nb\r\n"), "a\nb\n");
    }

    #[test]
    fn nested_arrays_are_aligned() {
        let resp = "*2\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n:2\r\n";
        assert_eq!(
            shown(Output::Standard, resp),
            "1) 1) (integer) 1\n   2) 1) \"x\"\n2) (integer) 2\n"
        );
        let ten = format!("*10\r\n{}", ":7\r\n".repeat(10));
        let lines = shown(Output::Standard, &ten);
        assert!(lines.starts_with(" 1) (integer) 7\n 2) "), "{lines}");
        assert!(lines.ends_with("10) (integer) 7\n"), "{lines}");
    }

    #[test]
    fn maps_and_sets_have_marks_of_their_own() {
        let resp = "%2\r\n+a\r\n:1\r\n+b\r\n~2\r\n:1\r\n:2\r\n";
        assert_eq!(
            shown(Output::Standard, resp),
            "1# a => (integer) 1\n2# b => \n   1~ (integer) 1\n   2~ (integer) 2\n"
        );
    }

    #[test]
    fn the_raw_format_prints_bytes() {
        assert_eq!(shown(Output::Raw, "*3\r\n$1\r\na\r\n:2\r\n$-1\r\n"), "a\n2\n\n");
        assert_eq!(shown(Output::Raw, "%1\r\n+a\r\n:1\r\n"), "a 1\n");
        assert_eq!(shown(Output::Raw, "-ERR no\r\n"), "ERR no\n\n");
    }

    #[test]
    fn the_csv_format_separates_with_commas() {
        assert_eq!(shown(Output::Csv, "*3\r\n$1\r\na\r\n:2\r\n$-1\r\n"), "\"a\",2,NULL\n");
        assert_eq!(shown(Output::Csv, "-ERR no\r\n"), "ERROR,\"ERR no\"\n");
    }

    #[test]
    fn the_json_formats_print_json() {
        let resp = "%2\r\n:1\r\n$2\r\n\u{f0}\r\n+b\r\n*2\r\n#f\r\n_\r\n";
        assert_eq!(shown(Output::Json, resp), "{\"1\":\"\u{f0}\",\"b\":[false,null]}\n");
        assert_eq!(
            shown(Output::QuotedJson, resp),
            "{\"1\":\"\\\\xc3\\\\xb0\",\"b\":[false,null]}\n"
        );
    }
}
