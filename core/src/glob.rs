//! Glob patterns with `*`, `?`, `[…]` and `\`, as in KEYS, SCAN, PSUBSCRIBE and CONFIG GET.

/// Whether `text` matches `pattern`, by Redis's rules. The time is at most proportional to the
/// product of their lengths.
///
/// * `*` is any bytes, `?` is one byte, `\x` is `x` itself.
/// * `[abc]`, `[a-z]` and `[^a]` are one byte. An unclosed class ends with the pattern; the
///   bounds of a range may be in either order; `\` escapes in a class too.
/// * A pattern with more than a thousand stars matches nothing.
/// * Nothing but the empty pattern matches the empty text.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    compare(pattern, text, |byte| byte)
}

/// As [`matches()`], with ASCII letters of either case being equal.
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    compare(pattern, text, |byte| byte.to_ascii_lowercase())
}

fn compare(pattern: &[u8], text: &[u8], fold: impl Fn(u8) -> u8) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (pattern, text);
    // Where to retry after a mismatch: after the last star, one byte further in the text. Earlier
    // stars need no retry, since the last star can skip everything that they could.
    let mut retry: Option<(&[u8], &[u8])> = None;
    let mut stars = 0;
    while let [byte, rest_of_text @ ..] = t {
        if let [b'*', after @ ..] = p {
            if after.is_empty() {
                return true;
            }
            // As in Redis, which recurses at each star.
            if !after.starts_with(b"*") {
                stars += 1;
                if stars > MAX_STARS {
                    return false;
                }
            }
            p = after;
            retry = Some((p, t));
            continue;
        }
        match one(p, *byte, &fold) {
            Some(rest_of_pattern) => {
                p = rest_of_pattern;
                t = rest_of_text;
            }
            None => match &mut retry {
                Some((behind_star, from)) => {
                    *from = from.get(1..).unwrap_or_default();
                    p = behind_star;
                    t = from;
                }
                None => return false,
            },
        }
    }
    p.iter().all(|&byte| byte == b'*')
}

/// The maximum number of stars, with runs counted once; longer patterns match nothing.
const MAX_STARS: usize = 1000;

/// Compares one byte with the first element of the pattern, which is not a star. Returns the rest
/// of the pattern if they match.
fn one<'p>(pattern: &'p [u8], byte: u8, fold: &impl Fn(u8) -> u8) -> Option<&'p [u8]> {
    let (matched, rest) = match pattern {
        [] => (false, pattern),
        [b'?', rest @ ..] => (true, rest),
        [b'[', class @ ..] => class_matches(class, byte, fold),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (fold(*literal) == fold(byte), rest),
    };
    matched.then_some(rest)
}

/// Whether a byte is in a character class, and the pattern after it. `class` starts after the
/// bracket.
fn class_matches<'p>(class: &'p [u8], byte: u8, fold: &impl Fn(u8) -> u8) -> (bool, &'p [u8]) {
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    loop {
        let (low, high, after) = match rest {
            [] => return (found != negated, rest),
            [b']', after @ ..] => return (found != negated, after),
            [b'\\', literal, after @ ..] => (*literal, *literal, after),
            [from, b'-', to, after @ ..] => (*from.min(to), *from.max(to), after),
            [literal, after @ ..] => (*literal, *literal, after),
        };
        found |= (fold(low)..=fold(high)).contains(&fold(byte));
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_documentation_of_keys_says() {
        let cases = [
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "hllo", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hillo", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hbllo", true),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h[a-b]llo", "hcllo", false),
            ("h\\?llo", "h?llo", true),
            ("h\\?llo", "hello", false),
            ("*", "anything", true),
            ("**a**", "a", true),
            ("*a*b*c", "xxaxxbxxbxc", true),
            ("*a*b*c", "xxaxxbxxbxcx", false),
            ("a*", "a", true),
            ("a**", "a", true),
            ("", "a", false),
            ("", "", true),
            ("*", "", false),
            ("a\\", "a\\", true),
            ("[a", "a", true),
            ("[^a", "b", true),
            ("[\\]]", "]", true),
            ("[a-]", "-", false),
            ("[a-]", "]", true),
            ("[a-", "-", true),
            ("x[]y", "xy", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
        assert!(matches_ignoring_case(b"MAX[A-M]em*", b"maxMEMORY"));
        assert!(!matches(b"MAX*", b"maxmemory"));
    }

    #[test]
    fn many_stars_take_no_longer_than_few() {
        let pattern = b"a*".repeat(1_000);
        let text = b"a".repeat(20_000);
        assert!(matches(&pattern, &text));
        assert!(!matches(&b"*a".repeat(1_001), &text));
        let pattern = [pattern, b"b".to_vec()].concat();
        assert!(!matches(&pattern, &text));
    }
}
