//! Redis's quoting: splitting a command line into arguments, and escaping bytes so that they can be
//! typed again.

use core::fmt::Write as _;

/// Splits a line into arguments as Redis does for typed lines and configuration files.
///
/// Blanks separate arguments. Double quotes know `\n \r \t \b \a`, `\xHH`, and a backslash before
/// any other byte; single quotes know `\'` only. After a closing quote there must be a blank or the
/// end. `None` if quotes are not balanced.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start_and_vt();
        if rest.first().is_none_or(|&b| b == 0) {
            return Some(args);
        }
        let mut arg = Vec::new();
        loop {
            match rest {
                [] | [0, ..] => break,
                [blank, ..] if is_blank(*blank) => break,
                [b'"', after @ ..] => rest = double_quoted(after, &mut arg)?,
                [b'\'', after @ ..] => rest = single_quoted(after, &mut arg)?,
                [byte, after @ ..] => {
                    arg.push(*byte);
                    rest = after;
                }
            }
        }
        args.push(arg);
    }
}

/// Parses one argument that may be quoted, as `--quoted-input` takes it.
/// `None` if the quotes are not balanced or hold more or less than one argument.
pub fn unquote(word: &[u8]) -> Option<Vec<u8>> {
    let mut args = split_args(word)?;
    match args.len() {
        1 => args.pop(),
        _ => None,
    }
}

/// Appends bytes in double quotes, with everything escaped that is not printable ASCII.
pub fn push_repr(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

/// Bytes in double quotes, as [`push_repr`] writes them.
pub fn repr(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    push_repr(&mut out, bytes);
    // Only printable ASCII was written.
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends bytes as a JSON string: control characters escaped, everything else as it is.
pub(crate) fn push_json(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x08 => out.extend_from_slice(b"\\b"),
            0..=0x1f => {
                let mut escape = String::new();
                let _ = write!(escape, "\\u{byte:04x}");
                out.extend_from_slice(escape.as_bytes());
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Whether C's `isspace` accepts the byte: ASCII whitespace and the vertical tab.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

trait TrimStart {
    fn trim_ascii_start_and_vt(&self) -> &[u8];
}

impl TrimStart for [u8] {
    fn trim_ascii_start_and_vt(&self) -> &[u8] {
        let start = self.iter().position(|&b| !is_blank(b)).unwrap_or(self.len());
        self.get(start..).unwrap_or_default()
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                arg.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            [b'\\', byte, after @ ..] => {
                arg.push(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                rest = after;
            }
            [b'"', after @ ..] => return closed(after),
            [] | [0, ..] => return None,
            [byte, after @ ..] => {
                arg.push(*byte);
                rest = after;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [b'\\', b'\'', after @ ..] => {
                arg.push(b'\'');
                rest = after;
            }
            [b'\'', after @ ..] => return closed(after),
            [] | [0, ..] => return None,
            [byte, after @ ..] => {
                arg.push(*byte);
                rest = after;
            }
        }
    }
}

/// What follows a closing quote; `None` if it is neither a blank nor the end.
fn closed(rest: &[u8]) -> Option<&[u8]> {
    match rest.first() {
        None | Some(0) => Some(rest),
        Some(&byte) if is_blank(byte) => Some(rest),
        Some(_) => None,
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or(0) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(line: &str) -> Option<Vec<String>> {
        let args = split_args(line.as_bytes())?;
        Some(args.into_iter().map(|a| String::from_utf8_lossy(&a).into_owned()).collect())
    }

    fn words(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lines_split_as_in_redis() {
        assert_eq!(split("  set  k\tv \r\n"), words(&["set", "k", "v"]));
        assert_eq!(split(r#"set k "a b\n\x41\q""#), words(&["set", "k", "a b\nAq"]));
        assert_eq!(split(r#"set k '\n it\'s'"#), words(&["set", "k", r"\n it's"]));
        assert_eq!(split(r#"set key"" bar"#), words(&["set", "key", "bar"]));
        assert_eq!(split(r#"x "" ''"#), words(&["x", "", ""]));
        assert_eq!(split("   "), words(&[]));
        assert_eq!(split(r#""\xzz""#), words(&["xzz"]));
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in [r#"get ""key"#, r#"get "key"x"#, "get 'key", r#"get "key"#, r#"get "key\"#] {
            assert_eq!(split(line), None, "{line}");
        }
    }

    #[test]
    fn quoted_words_are_one_argument() {
        assert_eq!(unquote(br#""\x00\x00""#), Some(vec![0, 0]));
        assert_eq!(unquote(br#""arg1" "arg2""#), None);
        assert_eq!(unquote(br#""Unterminated"#), None);
    }

    proptest! {
        #[test]
        fn quoting_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(split_args(repr(&bytes).as_bytes()), Some(vec![bytes]));
        }

        #[test]
        fn any_line_is_split_or_refused(line in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = split_args(&line);
        }
    }
}
