//! `sed`: the most common commands, on whole files and in place.

use super::super::os::Os;
use super::print::unescape;
use super::text::lines_of;
use super::{parse, path_error, regex};
use regex_lite::Regex;

/// Where a command applies.
#[derive(Clone, Debug)]
enum Address {
    Line(usize),
    Last,
    Match(Regex),
}

#[derive(Clone, Debug)]
struct Command {
    from: Option<Address>,
    to: Option<Address>,
    negated: bool,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Substitute { regex: Regex, with: String, nth: usize, all: bool, print: bool },
    Delete,
    Print,
    Quit,
    Number,
    Append(String),
    Insert(String),
    Change(String),
    Translate(Vec<char>, Vec<char>),
}

pub(super) async fn sed(os: Os) -> i32 {
    let parsed = match parse(&os, "inEr", "e").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let mut operands = parsed.operands.clone();
    let mut scripts: Vec<String> = parsed.values.iter().map(|(_, text)| text.clone()).collect();
    if scripts.is_empty() {
        if operands.is_empty() {
            return os.fail("usage: sed [OPTION]... script [FILE]...").await;
        }
        scripts.push(operands.remove(0));
    }
    let mut commands = Vec::new();
    for (n, script) in scripts.iter().enumerate() {
        match read_script(script, parsed.has('E') || parsed.has('r')) {
            Ok(more) => commands.extend(more),
            Err((at, error)) => {
                return os.fail(format!("-e expression #{}, char {at}: {error}", n + 1)).await;
            }
        }
    }
    if !parsed.has('i') {
        let (lines, status) = lines_of(&os, &operands).await;
        os.print(run(&commands, &lines, parsed.has('n')));
        return status;
    }
    let mut status = 0;
    for path in operands {
        match os.load(&path).await {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                let done = run(&commands, &lines, parsed.has('n')).into_bytes();
                if let Err(error) = os.save(&path, done).await {
                    status = path_error(&os, "couldn't write", &path, error).await;
                }
            }
            Err(error) => status = path_error(&os, "", &format!("can't read {path}"), error).await,
        }
    }
    status
}

/// Parses the commands of a script. An error has its position and its reason.
fn read_script(script: &str, extended: bool) -> Result<Vec<Command>, (usize, String)> {
    let chars: Vec<char> = script.chars().collect();
    let mut reader = Reader { chars: &chars, at: 0, extended };
    let mut commands = Vec::new();
    loop {
        while reader.peek().is_some_and(|c| c.is_whitespace() || c == ';') {
            reader.at += 1;
        }
        if reader.peek().is_none() {
            return Ok(commands);
        }
        let command = reader.command();
        commands.push(command.map_err(|error| (reader.at.min(chars.len()), error))?);
    }
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
    extended: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += 1;
        c
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.at += 1;
        }
    }

    /// The text up to a delimiter, which can be escaped by a backslash.
    fn until(&mut self, delimiter: char, what: &str) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.take() {
                None => return Err(format!("unterminated {what}")),
                Some(c) if c == delimiter => return Ok(text),
                Some('\\') => match self.take() {
                    Some(c) if c == delimiter => text.push(c),
                    Some(c) => text.extend(['\\', c]),
                    None => return Err(format!("unterminated {what}")),
                },
                Some(c) => text.push(c),
            }
        }
    }

    fn address(&mut self) -> Result<Option<Address>, String> {
        match self.peek() {
            Some('$') => {
                self.at += 1;
                Ok(Some(Address::Last))
            }
            Some('.') => Err("unknown command: `.'; `.` is an address of vi".into()),
            Some(c) if c.is_ascii_digit() => {
                let mut number = 0usize;
                while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
                    number = number.saturating_mul(10).saturating_add(digit as usize);
                    self.at += 1;
                }
                Ok(Some(Address::Line(number)))
            }
            Some('/') => {
                self.at += 1;
                let pattern = self.until('/', "address regex")?;
                Ok(Some(Address::Match(regex::compile(&pattern, self.extended, false)?)))
            }
            _ => Ok(None),
        }
    }

    fn command(&mut self) -> Result<Command, String> {
        let from = self.address()?;
        self.blanks();
        let mut to = None;
        if from.is_some() && self.peek() == Some(',') {
            self.at += 1;
            self.blanks();
            to = self.address()?;
            if to.is_none() {
                return Err("unexpected `,'".into());
            }
        }
        self.blanks();
        let negated = self.peek() == Some('!');
        self.at += usize::from(negated);
        let kind = match self.take() {
            Some('s') => self.substitute()?,
            Some('y') => {
                let delimiter = self.take().ok_or("unterminated `y' command")?;
                let from = self.until(delimiter, "`y' command")?.chars().collect::<Vec<_>>();
                let to = self.until(delimiter, "`y' command")?.chars().collect::<Vec<_>>();
                if from.len() != to.len() {
                    return Err("strings for `y' command are different lengths".into());
                }
                Kind::Translate(from, to)
            }
            Some('d') => Kind::Delete,
            Some('p') => Kind::Print,
            Some('q') => Kind::Quit,
            Some('=') => Kind::Number,
            Some(c @ ('a' | 'i' | 'c')) => {
                self.blanks();
                if self.peek() == Some('\\') {
                    self.at += 1;
                    if self.peek() == Some('\n') {
                        self.at += 1;
                    }
                }
                let text: String = self.chars[self.at.min(self.chars.len())..].iter().collect();
                self.at = self.chars.len();
                if text.is_empty() {
                    return Err(format!("expected \\ after `a', `c' or `i', at `{c}'"));
                }
                let text = unescape(&text);
                match c {
                    'a' => Kind::Append(text),
                    'i' => Kind::Insert(text),
                    _ => Kind::Change(text),
                }
            }
            Some(c) => return Err(format!("unknown command: `{c}'")),
            None => return Err("missing command".into()),
        };
        self.blanks();
        match self.peek() {
            None | Some(';' | '\n' | '}') => Ok(Command { from, to, negated, kind }),
            Some(_) => Err("extra characters after command".into()),
        }
    }

    fn substitute(&mut self) -> Result<Kind, String> {
        let delimiter = self.take().ok_or("unterminated `s' command")?;
        let pattern = self.until(delimiter, "`s' command")?;
        let with = self.until(delimiter, "`s' command")?;
        let (mut all, mut print, mut ignore_case, mut nth) = (false, false, false, 1);
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric()) {
            self.at += 1;
            match c {
                'g' => all = true,
                'p' => print = true,
                'i' | 'I' => ignore_case = true,
                '1'..='9' => nth = c.to_digit(10).unwrap_or(1) as usize,
                _ => return Err("unknown option to `s'".into()),
            }
        }
        let regex = regex::compile(&pattern, self.extended, ignore_case)?;
        Ok(Kind::Substitute { regex, with, nth, all, print })
    }
}

fn run(commands: &[Command], lines: &[String], quiet: bool) -> String {
    let mut out = String::new();
    let mut inside = vec![false; commands.len()];
    'lines: for (n, line) in lines.iter().enumerate() {
        let number = n + 1;
        let last = number == lines.len();
        let mut space = line.clone();
        let mut after = String::new();
        let mut quit = false;
        let mut shown = true;
        for (c, command) in commands.iter().enumerate() {
            if command.applies(&mut inside[c], number, last, &space) == command.negated {
                continue;
            }
            match &command.kind {
                Kind::Substitute { regex, with, nth, all, print } => {
                    let (new, changed) = replace(&space, regex, with, *nth, *all);
                    space = new;
                    if changed && *print {
                        out.push_str(&format!("{space}\n"));
                    }
                }
                Kind::Delete => {
                    out.push_str(&after);
                    continue 'lines;
                }
                Kind::Print => out.push_str(&format!("{space}\n")),
                Kind::Number => out.push_str(&format!("{number}\n")),
                Kind::Append(text) => after.push_str(&format!("{text}\n")),
                Kind::Insert(text) => out.push_str(&format!("{text}\n")),
                Kind::Change(text) => {
                    if command.to.is_none() || !inside[c] {
                        after.push_str(&format!("{text}\n"));
                    }
                    shown = false;
                    break;
                }
                Kind::Translate(from, to) => {
                    let change =
                        |c: char| from.iter().position(|f| *f == c).map_or(c, |place| to[place]);
                    space = space.chars().map(change).collect();
                }
                Kind::Quit => {
                    quit = true;
                    break;
                }
            }
        }
        if shown && !quiet {
            out.push_str(&format!("{space}\n"));
        }
        out.push_str(&after);
        if quit {
            break;
        }
    }
    out
}

impl Command {
    fn applies(&self, inside: &mut bool, number: usize, last: bool, line: &str) -> bool {
        let fits = |address: &Address| match address {
            Address::Line(n) => *n == number,
            Address::Last => last,
            Address::Match(regex) => regex.is_match(line),
        };
        let Some(from) = &self.from else { return true };
        let Some(to) = &self.to else { return fits(from) };
        if *inside {
            *inside = match to {
                Address::Line(n) => *n > number,
                to => !fits(to),
            };
            return true;
        }
        if fits(from) {
            *inside = match to {
                Address::Line(n) => *n > number,
                Address::Last => !last,
                Address::Match(_) => true,
            };
            return true;
        }
        false
    }
}

fn replace(line: &str, regex: &Regex, with: &str, nth: usize, all: bool) -> (String, bool) {
    let (mut out, mut end, mut changed) = (String::new(), 0, false);
    for (n, found) in regex.captures_iter(line).enumerate() {
        if n + 1 < nth || n + 1 > nth && !all {
            continue;
        }
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&line[end..whole.start()]);
        let mut chars = with.chars();
        while let Some(c) = chars.next() {
            match c {
                '&' => out.push_str(whole.as_str()),
                '\\' => match chars.next() {
                    Some(digit) if digit.is_ascii_digit() => {
                        let group = digit.to_digit(10).unwrap_or(0) as usize;
                        out.push_str(found.get(group).map_or("", |group| group.as_str()));
                    }
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some(c) => out.push(c),
                    None => {}
                },
                c => out.push(c),
            }
        }
        end = whole.end();
        changed = true;
    }
    out.push_str(&line[end..]);
    (out, changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(script: &str, text: &str) -> String {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        run(&read_script(script, false).unwrap(), &lines, false)
    }

    #[test]
    fn scripts_edit_as_gnu_sed_does() {
        for (script, text, expected) in [
            ("s/6379/7001/g", "port 6379 6379", "port 7001 7001\n"),
            (r"s/dir .\//dir \/tmp\/7001\//g", "dir ./", "dir /tmp/7001/\n"),
            ("1a replica-announce-ip 1.2.3.4", "a\nb", "a\nreplica-announce-ip 1.2.3.4\nb\n"),
            ("2d", "a\nb\nc", "a\nc\n"),
            ("/b/,$d", "a\nb\nc", "a\n"),
            ("s|/a|&b|", "/a", "/ab\n"),
            (r"s/\(x\)\(y\)/\2\1/", "xy", "yx\n"),
            ("$!d", "a\nb", "b\n"),
            ("1!s/a/b/2", "aa\naa", "aa\nab\n"),
        ] {
            assert_eq!(edited(script, text), expected, "{script}");
        }
        let error = |script: &str| read_script(script, false).unwrap_err();
        assert_eq!(error("s/a/b"), (5, "unterminated `s' command".into()));
        assert_eq!(error("k"), (1, "unknown command: `k'".into()));
    }
}
