//! Lua pattern matching.

/// The most captures of a pattern.
pub(super) const MAX_CAPTURES: usize = 32;
/// The maximum recursion depth, which grows by one with each repeated item of a pattern.
const MAX_DEPTH: u32 = 200;
/// The maximum number of steps, after which matching fails, so that no pattern blocks the process.
const MAX_STEPS: u64 = 100_000_000;

/// The state of a capture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Capture {
    /// Opened, and not closed yet.
    Open,
    /// `()`: a position capture.
    Position,
    /// A captured range with this length.
    Length(usize),
}

/// The matcher of a pattern against a source string.
pub(super) struct Matcher<'a> {
    pub(super) source: &'a [u8],
    pattern: &'a [u8],
    pub(super) captures: Vec<(usize, Capture)>,
    depth: u32,
    pub(super) steps: u64,
}

/// The error of a malformed pattern.
pub(super) type Malformed = &'static str;

type Matched = Result<Option<usize>, Malformed>;

/// The bytes before the first NUL: patterns end there, like C strings.
pub(super) fn c_string(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len())]
}

impl<'a> Matcher<'a> {
    pub(super) fn new(source: &'a [u8], pattern: &'a [u8]) -> Self {
        Matcher { source, pattern: c_string(pattern), captures: Vec::new(), depth: 0, steps: 0 }
    }

    /// Matches at a position. Returns the end of the match.
    pub(super) fn match_at(&mut self, at: usize) -> Matched {
        self.captures.clear();
        self.depth = 0;
        self.run(at, 0)
    }

    fn run(&mut self, s: usize, p: usize) -> Matched {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("pattern too complex");
        }
        let matched = self.run_items(s, p);
        self.depth -= 1;
        matched
    }

    fn run_items(&mut self, mut s: usize, mut p: usize) -> Matched {
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err("pattern too complex");
            }
            let Some(&item) = self.pattern.get(p) else { return Ok(Some(s)) };
            let next = self.pattern.get(p + 1).copied();
            match (item, next) {
                (b'(', Some(b')')) => return self.open(s, p + 2, Capture::Position),
                (b'(', _) => return self.open(s, p + 1, Capture::Open),
                (b')', _) => return self.close(s, p + 1),
                (b'%', Some(b'b')) => match self.balance(s, p + 2)? {
                    Some(end) => {
                        s = end;
                        p += 4;
                        continue;
                    }
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => {
                    p += 2;
                    if self.pattern.get(p) != Some(&b'[') {
                        return Err("missing '[' after '%f' in pattern");
                    }
                    let end = self.class_end(p)?;
                    let before = if s == 0 { 0 } else { self.source[s - 1] };
                    let here = self.source.get(s).copied().unwrap_or(0);
                    if self.in_set(before, p, end - 1) || !self.in_set(here, p, end - 1) {
                        return Ok(None);
                    }
                    p = end;
                    continue;
                }
                (b'%', Some(digit @ b'0'..=b'9')) => match self.match_capture(s, digit)? {
                    Some(end) => {
                        s = end;
                        p += 2;
                        continue;
                    }
                    None => return Ok(None),
                },
                (b'$', None) => return Ok((s == self.source.len()).then_some(s)),
                _ => {}
            }
            let end = self.class_end(p)?;
            let here = self.single(s, p, end);
            match self.pattern.get(end) {
                Some(b'?') => {
                    if here && let Some(matched) = self.run(s + 1, end + 1)? {
                        return Ok(Some(matched));
                    }
                    p = end + 1;
                }
                Some(b'*') => return self.most(s, p, end),
                Some(b'+') => return if here { self.most(s + 1, p, end) } else { Ok(None) },
                Some(b'-') => return self.least(s, p, end),
                _ if here => {
                    s += 1;
                    p = end;
                }
                _ => return Ok(None),
            }
        }
    }

    /// Matches as many repetitions as possible, then fewer (greedy).
    fn most(&mut self, s: usize, p: usize, end: usize) -> Matched {
        let mut count = 0;
        while self.single(s + count, p, end) {
            count += 1;
        }
        self.steps += count as u64;
        loop {
            if let Some(matched) = self.run(s + count, end + 1)? {
                return Ok(Some(matched));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    /// Matches as few repetitions as possible, then more (lazy).
    fn least(&mut self, mut s: usize, p: usize, end: usize) -> Matched {
        loop {
            if let Some(matched) = self.run(s, end + 1)? {
                return Ok(Some(matched));
            }
            if !self.single(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn open(&mut self, s: usize, p: usize, what: Capture) -> Matched {
        if self.captures.len() >= MAX_CAPTURES {
            return Err("too many captures");
        }
        self.captures.push((s, what));
        let level = self.captures.len();
        let matched = self.run(s, p)?;
        if matched.is_none() {
            self.captures.truncate(level - 1);
        }
        Ok(matched)
    }

    fn close(&mut self, s: usize, p: usize) -> Matched {
        let Some(at) = self.captures.iter().rposition(|c| c.1 == Capture::Open) else {
            return Err("invalid pattern capture");
        };
        self.captures[at].1 = Capture::Length(s - self.captures[at].0);
        let matched = self.run(s, p)?;
        if matched.is_none() {
            self.captures[at].1 = Capture::Open;
        }
        Ok(matched)
    }

    /// `%bxy`: a balanced match.
    fn balance(&mut self, s: usize, p: usize) -> Matched {
        let (Some(&open), Some(&close)) = (self.pattern.get(p), self.pattern.get(p + 1)) else {
            return Err("unbalanced pattern");
        };
        if self.source.get(s) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for (i, &b) in self.source.iter().enumerate().skip(s + 1) {
            self.steps += 1;
            if b == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(i + 1));
                }
            } else if b == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%1`: a back reference to a capture.
    fn match_capture(&mut self, s: usize, digit: u8) -> Matched {
        let at = usize::from(digit).wrapping_sub(usize::from(b'1'));
        match self.captures.get(at) {
            Some(&(start, Capture::Length(length))) => {
                let captured = &self.source[start..start + length];
                Ok(self.source[s..].starts_with(captured).then_some(s + length))
            }
            Some((_, Capture::Position)) => Ok(None),
            _ => Err("invalid capture index"),
        }
    }

    /// The end of the single item that begins at `p`.
    fn class_end(&self, p: usize) -> Result<usize, Malformed> {
        match self.pattern.get(p) {
            Some(b'%') => match self.pattern.get(p + 1) {
                Some(_) => Ok(p + 2),
                None => Err("malformed pattern (ends with '%')"),
            },
            Some(b'[') => {
                let mut at = p + 1;
                if self.pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                // A `]` at the beginning is literal.
                loop {
                    let Some(&b) = self.pattern.get(at) else {
                        return Err("malformed pattern (missing ']')");
                    };
                    at += 1;
                    if b == b'%' {
                        if self.pattern.get(at).is_none() {
                            return Err("malformed pattern (missing ']')");
                        }
                        at += 1;
                    }
                    if self.pattern.get(at) == Some(&b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether the byte at `s` matches the single item from `p` to `end`.
    fn single(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&b) = self.source.get(s) else { return false };
        match self.pattern[p] {
            b'.' => true,
            b'%' => in_class(b, self.pattern[p + 1]),
            b'[' => self.in_set(b, p, end - 1),
            literal => literal == b,
        }
    }

    /// Whether a byte is in the set that begins with `[` at `p` and whose `]` is at `end`.
    fn in_set(&self, b: u8, mut p: usize, end: usize) -> bool {
        let set = self.pattern;
        let mut sense = true;
        if set.get(p + 1) == Some(&b'^') {
            sense = false;
            p += 1;
        }
        p += 1;
        while p < end {
            if set[p] == b'%' {
                p += 1;
                if in_class(b, set[p]) {
                    return sense;
                }
                p += 1;
            } else if set.get(p + 1) == Some(&b'-') && p + 2 < end {
                if (set[p]..=set[p + 2]).contains(&b) {
                    return sense;
                }
                p += 3;
            } else {
                if set[p] == b {
                    return sense;
                }
                p += 1;
            }
        }
        !sense
    }
}

/// Whether a byte is in a class such as `%a`. An upper-case letter negates the class.
fn in_class(b: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => b.is_ascii_alphabetic(),
        b'c' => b.is_ascii_control(),
        b'd' => b.is_ascii_digit(),
        b'l' => b.is_ascii_lowercase(),
        b'p' => b.is_ascii_punctuation(),
        b's' => crate::number::is_space(b),
        b'u' => b.is_ascii_uppercase(),
        b'w' => b.is_ascii_alphanumeric(),
        b'x' => b.is_ascii_hexdigit(),
        b'z' => b == 0,
        _ => return class == b,
    };
    is != class.is_ascii_uppercase()
}
