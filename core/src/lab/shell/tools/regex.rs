//! The regular expressions of grep, sed and awk, translated for the `regex-lite` crate.

use regex_lite::{Regex, RegexBuilder};

/// Compiles a pattern of grep or sed: a basic one, unless `extended`.
pub(super) fn compile(pattern: &str, extended: bool, ignore_case: bool) -> Result<Regex, String> {
    let pattern = translate(pattern, extended);
    let built =
        RegexBuilder::new(&pattern).case_insensitive(ignore_case).size_limit(1 << 20).build();
    built.map_err(|error| format!("invalid regular expression: {error}"))
}

/// Compiles a pattern that matches a literal text.
pub(super) fn literal(text: &str, ignore_case: bool) -> Result<Regex, String> {
    compile(&regex_lite::escape(text), true, ignore_case)
}

/// Translates POSIX syntax: in a basic pattern `+ ? | ( ) { }` are literal, and special after a
/// backslash.
fn translate(pattern: &str, extended: bool) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut at_start = true;
    while let Some(c) = chars.next() {
        let begins = core::mem::take(&mut at_start);
        match c {
            '\\' => match chars.next() {
                Some(c @ ('+' | '?' | '|' | '(' | ')' | '{' | '}')) if !extended => {
                    at_start = matches!(c, '(' | '|');
                    out.push(c);
                }
                Some('<' | '>') => out.push_str("\\b"),
                Some(c) if c.is_alphanumeric() && !"bBdDsSwWnrt".contains(c) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push_str("\\\\"),
            },
            '[' => {
                out.push('[');
                if chars.peek() == Some(&'^') {
                    out.extend(chars.next());
                }
                if chars.peek() == Some(&']') {
                    chars.next();
                    out.push_str("\\]");
                }
                while let Some(c) = chars.next() {
                    match c {
                        ']' => {
                            out.push(']');
                            break;
                        }
                        '[' if chars.peek() == Some(&':') => {
                            out.push('[');
                            for c in chars.by_ref() {
                                out.push(c);
                                if c == ']' {
                                    break;
                                }
                            }
                        }
                        '[' | '\\' | '&' | '~' => out.extend(['\\', c]),
                        c => out.push(c),
                    }
                }
            }
            '+' | '?' | '|' | '(' | ')' | '{' | '}' if !extended => out.extend(['\\', c]),
            '*' if begins && !extended => out.push_str("\\*"),
            '^' if begins => {
                out.push('^');
                at_start = true;
            }
            c => {
                at_start = extended && matches!(c, '(' | '|');
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_and_extended_patterns_differ() {
        let basic =
            |pattern: &str, text: &str| compile(pattern, false, false).unwrap().is_match(text);
        assert!(basic(r"a\{2\}", "aa"));
        assert!(basic("a+b", "a+b"));
        assert!(basic(r"dir .\/", "dir ./"));
        assert!(basic("[[:digit:]]", "7"));
        assert!(basic("[]x]", "]"));
        assert!(compile("a|b", true, false).unwrap().is_match("b"));
        assert!(compile("(", true, false).is_err());
    }
}
