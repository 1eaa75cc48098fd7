//! Word expansion: braces, `~`, variables, `$( )`, `$(( ))`, field splitting, file names.

use super::arith;
use super::os::Os;
use super::run::Shell;
use super::syntax::{Part, SyntaxError, VarOp, Word, parse_text};
use crate::glob;

/// A character, and whether it was quoted.
type Char = (char, bool);

/// The maximum number of words that one brace expansion may produce.
const BRACES: usize = 10_000;

impl Shell {
    /// Expands words to arguments.
    pub(super) async fn expand_all(
        &mut self,
        os: &Os,
        words: &[Word],
    ) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        for word in words {
            for word in expand_braces(word) {
                for field in self.fields(os, &word).await? {
                    self.expand_names(os, field, &mut all).await;
                }
            }
        }
        Ok(all)
    }

    /// Expands a word to one string, for an assignment, a redirection or a here-document.
    pub(super) async fn expand_one(&mut self, os: &Os, word: &Word) -> Result<String, String> {
        let chars = self.chars(os, word).await?;
        Ok(chars.into_iter().map(|(c, _)| c).collect())
    }

    /// Expands a word to a pattern, in which quoted characters are escaped.
    pub(super) async fn expand_pattern(&mut self, os: &Os, word: &Word) -> Result<String, String> {
        Ok(as_pattern(&self.chars(os, word).await?))
    }

    async fn chars(&mut self, os: &Os, word: &Word) -> Result<Vec<Char>, String> {
        let mut chars = Vec::new();
        for (n, part) in word.0.iter().enumerate() {
            match part {
                Part::Bare(text) => {
                    let text = if n == 0 { self.tilde(text) } else { text.clone() };
                    chars.extend(text.chars().map(|c| (c, false)));
                }
                Part::Quoted(text) => chars.extend(text.chars().map(|c| (c, true))),
                part => {
                    let (text, quoted) = self.value(os, part).await?;
                    chars.extend(text.chars().map(|c| (c, quoted)));
                }
            }
        }
        Ok(chars)
    }

    /// Expands a word to fields: unquoted values are split at blanks.
    async fn fields(&mut self, os: &Os, word: &Word) -> Result<Vec<Vec<Char>>, String> {
        let mut fields: Vec<Vec<Char>> = Vec::new();
        // The current field; it may be empty, as with empty quotes.
        let mut open: Option<Vec<Char>> = None;
        for (n, part) in word.0.iter().enumerate() {
            match part {
                Part::Bare(text) => {
                    let text = if n == 0 { self.tilde(text) } else { text.clone() };
                    let field = open.get_or_insert_default();
                    field.extend(text.chars().map(|c| (c, false)));
                }
                Part::Quoted(text) => {
                    let field = open.get_or_insert_default();
                    field.extend(text.chars().map(|c| (c, true)));
                }
                Part::Var { name, op: None, quoted } if name == "@" || name == "*" && !quoted => {
                    let params = self.params.clone();
                    if *quoted && params.is_empty() && word.0.iter().all(is_empty_quote_or_at) {
                        return Ok(Vec::new());
                    }
                    for (n, param) in params.iter().enumerate() {
                        if n > 0 {
                            fields.extend(open.take());
                        }
                        let field = open.get_or_insert_default();
                        field.extend(param.chars().map(|c| (c, *quoted)));
                    }
                }
                part => {
                    let (text, quoted) = self.value(os, part).await?;
                    if quoted {
                        let field = open.get_or_insert_default();
                        field.extend(text.chars().map(|c| (c, true)));
                        continue;
                    }
                    let blanks = self.var("IFS").unwrap_or(" \t\n").to_owned();
                    for c in text.chars() {
                        if blanks.contains(c) {
                            fields.extend(open.take());
                        } else {
                            open.get_or_insert_default().push((c, false));
                        }
                    }
                }
            }
        }
        fields.extend(open);
        Ok(fields)
    }

    fn tilde(&self, text: &str) -> String {
        let Some(rest) = text.strip_prefix('~') else { return text.into() };
        let home = self.var("HOME").unwrap_or("/root");
        if rest.is_empty() || rest.starts_with('/') {
            return format!("{home}{rest}");
        }
        let (user, rest) = rest.split_once('/').map_or((rest, ""), |(user, rest)| (user, rest));
        match user {
            "root" => format!("/root/{rest}"),
            user => format!("/home/{user}/{rest}"),
        }
        .trim_end_matches('/')
        .to_owned()
    }

    /// The value of a variable, a command substitution or an arithmetic expansion.
    async fn value(&mut self, os: &Os, part: &Part) -> Result<(String, bool), String> {
        match part {
            Part::Command { text, quoted } => {
                let bytes = self.substitute(os, text).await?;
                let text = String::from_utf8_lossy(&bytes);
                Ok((text.trim_end_matches('\n').to_owned(), *quoted))
            }
            Part::Arith { text, quoted } => {
                let word = parse_text(text).map_err(|error| error.to_string())?;
                let text = Box::pin(self.expand_one(os, &word)).await?;
                Ok((arith::eval(&text, self)?.to_string(), *quoted))
            }
            Part::Var { name, op: None, quoted } => match self.special(name) {
                Some(value) => Ok((value, *quoted)),
                None if self.unset_is_error => Err(format!("{name}: unbound variable")),
                None => Ok((String::new(), *quoted)),
            },
            Part::Var { name, op: Some(op), quoted } => {
                let value = self.special(name);
                Ok((Box::pin(self.operate(os, name, value, op)).await?, *quoted))
            }
            Part::Bare(text) => Ok((text.clone(), false)),
            Part::Quoted(text) => Ok((text.clone(), true)),
        }
    }

    async fn operate(
        &mut self,
        os: &Os,
        name: &str,
        value: Option<String>,
        op: &VarOp,
    ) -> Result<String, String> {
        let text = value.clone().unwrap_or_default();
        Ok(match op {
            VarOp::Len => text.chars().count().to_string(),
            VarOp::Default { sign, colon, word } => {
                let missing = value.is_none() || *colon && text.is_empty();
                match sign {
                    '+' if missing => String::new(),
                    '+' => self.expand_one(os, word).await?,
                    _ if !missing => text,
                    '-' => self.expand_one(os, word).await?,
                    '=' => {
                        let word = self.expand_one(os, word).await?;
                        self.set(name, &word);
                        word
                    }
                    _ => {
                        let word = self.expand_one(os, word).await?;
                        let why = if word.is_empty() { "parameter null or not set" } else { &word };
                        return Err(format!("{name}: {why}"));
                    }
                }
            }
            VarOp::Strip { front, longest, pattern } => {
                let pattern = self.expand_pattern(os, pattern).await?;
                strip(&text, &pattern, *front, *longest)
            }
            VarOp::Replace { all, pattern, with } => {
                let pattern = self.expand_pattern(os, pattern).await?;
                let with = self.expand_one(os, with).await?;
                replace(&text, &pattern, &with, *all)
            }
            VarOp::Slice { from, len } => {
                let from = self.expand_one(os, from).await?;
                let from = arith::eval(&from, self)?;
                let len = match len {
                    Some(len) => {
                        let len = self.expand_one(os, len).await?;
                        Some(arith::eval(&len, self)?)
                    }
                    None => None,
                };
                let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
                let from = if from < 0 { (count + from).max(0) } else { from.min(count) };
                let end = match len {
                    Some(len) if len < 0 => (count + len).max(from),
                    Some(len) => from.saturating_add(len).min(count),
                    None => count,
                };
                let (from, len) = (from as usize, (end - from) as usize);
                text.chars().skip(from).take(len).collect()
            }
        })
    }

    /// Appends the names of the files that a field matches, or else the field itself.
    async fn expand_names(&mut self, os: &Os, field: Vec<Char>, all: &mut Vec<String>) {
        let wild = |c: &Char| !c.1 && matches!(c.0, '*' | '?' | '[');
        let plain = || field.iter().map(|(c, _)| *c).collect::<String>();
        if !field.iter().any(wild) {
            all.push(plain());
            return;
        }
        let absolute = field.first().is_some_and(|c| c.0 == '/');
        let mut found = vec![if absolute { "/".to_owned() } else { String::new() }];
        for piece in field.split(|(c, _)| *c == '/') {
            if piece.is_empty() {
                continue;
            }
            let mut next = Vec::new();
            for base in found {
                let join = |name: &str| match base.as_str() {
                    "" => name.to_owned(),
                    base if base.ends_with('/') => format!("{base}{name}"),
                    base => format!("{base}/{name}"),
                };
                if !piece.iter().any(wild) {
                    let path = join(&piece.iter().map(|(c, _)| *c).collect::<String>());
                    if os.exists(&path).await {
                        next.push(path);
                    }
                    continue;
                }
                let pattern = as_pattern(piece);
                let hidden = piece.first().is_some_and(|c| c.0 == '.');
                let dir = if base.is_empty() { "." } else { &base };
                for name in os.list(dir).await.unwrap_or_default() {
                    if (hidden || !name.starts_with('.')) && matches(&pattern, &name) {
                        next.push(join(&name));
                    }
                }
            }
            found = next;
        }
        if found.is_empty() {
            all.push(plain());
        } else {
            all.append(&mut found);
        }
    }
}

fn is_empty_quote_or_at(part: &Part) -> bool {
    match part {
        Part::Quoted(text) => text.is_empty(),
        Part::Var { name, .. } => name == "@",
        _ => false,
    }
}

/// A glob pattern in which quoted characters are literal.
fn as_pattern(chars: &[Char]) -> String {
    let mut pattern = String::new();
    let mut last = None;
    for &(c, quoted) in chars {
        match c {
            c if quoted && matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') => {
                pattern.extend(['\\', c]);
            }
            '!' if last == Some('[') => pattern.push('^'),
            c => pattern.push(c),
        }
        last = (!quoted).then_some(c);
    }
    pattern
}

pub(super) fn matches(pattern: &str, text: &str) -> bool {
    // In a shell, `*` also matches the empty string.
    if text.is_empty() {
        return pattern.bytes().all(|byte| byte == b'*');
    }
    glob::matches(pattern.as_bytes(), text.as_bytes())
}

fn strip(text: &str, pattern: &str, front: bool, longest: bool) -> String {
    let mut ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    // From the front the shortest match comes first, from the back last.
    if front == longest {
        ends.reverse();
    }
    for at in ends {
        let (head, tail) = text.split_at(at);
        if front && matches(pattern, head) {
            return tail.into();
        }
        if !front && matches(pattern, tail) {
            return head.into();
        }
    }
    text.into()
}

fn replace(text: &str, pattern: &str, with: &str, all: bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    'next: while !rest.is_empty() {
        let ends: Vec<usize> =
            rest.char_indices().map(|(at, _)| at).skip(1).chain([rest.len()]).collect();
        for end in ends.into_iter().rev() {
            if matches(pattern, &rest[..end]) {
                out.push_str(with);
                rest = &rest[end..];
                if all {
                    continue 'next;
                }
                break 'next;
            }
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        out.push_str(&rest[..first]);
        rest = &rest[first..];
    }
    out + rest
}

/// Brace expansion: the words that `700{0,1}` or `{1..3}` stands for.
pub(super) fn expand_braces(word: &Word) -> Vec<Word> {
    let mut done: Vec<Vec<Part>> = vec![Vec::new()];
    for part in &word.0 {
        let forms = match part {
            Part::Bare(text) => brace_forms(text),
            _ => Vec::new(),
        };
        if forms.len() <= 1 || forms.len() * done.len() > BRACES {
            done.iter_mut().for_each(|parts| parts.push(part.clone()));
            continue;
        }
        done = done
            .iter()
            .flat_map(|parts| {
                forms.iter().map(move |form| {
                    let mut parts = parts.clone();
                    parts.push(Part::Bare(form.clone()));
                    parts
                })
            })
            .collect();
    }
    done.into_iter().map(Word).collect()
}

fn brace_forms(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    for open in (0..chars.len()).filter(|&at| chars[at] == '{') {
        let (mut depth, mut commas, mut close) = (0, vec![open], None);
        for (at, c) in chars.iter().enumerate().skip(open) {
            match c {
                '{' => depth += 1,
                '}' => {
                    depth -= 1;
                    if depth == 0 {
                        close = Some(at);
                        break;
                    }
                }
                ',' if depth == 1 => commas.push(at),
                _ => {}
            }
        }
        let Some(close) = close else { continue };
        let text = |range: core::ops::Range<usize>| chars[range].iter().collect::<String>();
        commas.push(close);
        let choices: Vec<String> = if commas.len() > 2 {
            commas.windows(2).map(|pair| text(pair[0] + 1..pair[1])).collect()
        } else {
            match range(&text(open + 1..close)) {
                Some(range) => range,
                None => continue,
            }
        };
        let head = text(0..open);
        let mut all = Vec::new();
        let tails = brace_forms(&text(close + 1..chars.len()));
        for choice in choices {
            for middle in brace_forms(&choice) {
                for tail in &tails {
                    if all.len() >= BRACES {
                        return vec![chars.iter().collect()];
                    }
                    all.push(format!("{head}{middle}{tail}"));
                }
            }
        }
        return all;
    }
    vec![text.to_owned()]
}

/// Expands `1..3`, `a..e` or `01..10..2`.
fn range(text: &str) -> Option<Vec<String>> {
    let mut ends = text.split("..");
    let (from, to) = (ends.next()?, ends.next()?);
    let step = ends.next().map_or(Some(1), |step| step.parse::<i64>().ok())?.unsigned_abs().max(1);
    let one = |text: &str| {
        let mut chars = text.chars();
        chars.next().filter(|c| c.is_ascii_alphabetic() && chars.next().is_none())
    };
    let (first, last, letters) = match (one(from), one(to)) {
        (Some(a), Some(b)) => (i64::from(a as u32), i64::from(b as u32), true),
        _ => (from.parse().ok()?, to.parse().ok()?, false),
    };
    let count = first.abs_diff(last) / step + 1;
    if count > BRACES as u64 {
        return None;
    }
    let padded = [from, to].iter().any(|end| {
        let digits = end.trim_start_matches('-');
        digits.len() > 1 && digits.starts_with('0')
    });
    let width = if padded { from.len().max(to.len()) } else { 0 };
    let at = |n: u64| {
        let far = i64::try_from(n * step).unwrap_or(0);
        let value = if first <= last { first + far } else { first - far };
        match u8::try_from(value) {
            Ok(letter) if letters => char::from(letter).to_string(),
            _ => format!("{value:0width$}"),
        }
    };
    Some((0..count).map(at).collect())
}

/// A syntax error inside a word is reported as its text.
impl From<SyntaxError> for String {
    fn from(error: SyntaxError) -> String {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_give_words() {
        for (text, words) in [
            ("700{0,1,2}", vec!["7000", "7001", "7002"]),
            ("{1..3}{a,b}", vec!["1a", "1b", "2a", "2b", "3a", "3b"]),
            ("a{b,c{1,2}}d", vec!["abd", "ac1d", "ac2d"]),
            ("{x}", vec!["{x}"]),
            ("{08..10}", vec!["08", "09", "10"]),
            ("{c..a}", vec!["c", "b", "a"]),
        ] {
            assert_eq!(brace_forms(text), words, "{text}");
        }
    }

    #[test]
    fn parts_are_cut_off_and_replaced() {
        assert_eq!(strip("a.b.c", "*.", true, false), "b.c");
        assert_eq!(strip("a.b.c", "*.", true, true), "c");
        assert_eq!(strip("a.b.c", ".*", false, false), "a.b");
        assert_eq!(strip("a.b.c", ".*", false, true), "a");
        assert_eq!(replace("6379.conf", "6379", "7001", false), "7001.conf");
        assert_eq!(replace("aXbX", "X", "-", true), "a-b-");
    }
}
