//! A small editor with the names `vi`, `vim` and `nano`.
//!
//! It supports the most common keys of vi: moving, inserting, deleting and putting lines,
//! searching, undo, and the `:` commands `w`, `q`, `wq`, `x`, `q!`, `set nu`, a line number, and
//! ranges with `s`, `d` and `y`.

use crate::machine::TerminalMode;

use super::super::edit::{Key, Keys, width};
use super::super::os::Os;
use super::regex;
use super::screen::ask;

pub(super) async fn vi(os: Os) -> i32 {
    let path = os.args.iter().find(|arg| !arg.starts_with(['-', '+'])).cloned();
    run(&os, path, false).await
}

pub(super) async fn nano(os: Os) -> i32 {
    let path = os.args.iter().find(|arg| !arg.starts_with('-')).cloned();
    run(&os, path, true).await
}

/// The maximum number of undo steps.
const UNDO: usize = 50;

#[derive(Clone, Debug, Default)]
struct Buffer {
    lines: Vec<String>,
    row: usize,
    /// In characters.
    column: usize,
    top: usize,
    yanked: Vec<String>,
    changed: bool,
    undo: Vec<(Vec<String>, usize)>,
    message: String,
    numbers: bool,
    wanted: String,
    inserting: bool,
}

async fn run(os: &Os, path: Option<String>, nano: bool) -> i32 {
    let mut path = path.unwrap_or_default();
    let mut buffer = Buffer { inserting: nano, ..Buffer::default() };
    match os.load(&path).await {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            buffer.lines = text.lines().map(str::to_owned).collect();
            buffer.message = format!("\"{path}\" {}L, {}B", buffer.lines.len(), bytes.len());
        }
        Err(_) if os.is_dir(&path).await => return os.fail(format!("{path} is a directory")).await,
        Err(_) => buffer.message = format!("\"{path}\" [New]"),
    }
    if buffer.lines.is_empty() {
        buffer.lines.push(String::new());
    }
    if !os.facts.stdin_is_terminal {
        return os.fail("the standard input is not a terminal").await;
    }
    os.set_mode(TerminalMode::Raw).await;
    os.print("\x1b[?1049h");
    let mut keys = Keys::default();
    loop {
        buffer.draw(os, nano).await;
        let Some(key) = keys.next_or_resized(os).await else { break };
        if key == Key::Resized {
            continue;
        }
        buffer.message.clear();
        let over = if nano {
            nano_key(os, &mut buffer, &path, key, &mut keys).await
        } else if buffer.inserting {
            buffer.insert_key(key);
            false
        } else {
            vi_key(os, &mut buffer, &mut path, key, &mut keys).await
        };
        buffer.settle();
        if over {
            break;
        }
    }
    os.print("\x1b[?1049l");
    os.flush().await;
    os.set_mode(TerminalMode::Cooked).await;
    0
}

async fn save(os: &Os, buffer: &mut Buffer, path: &str) -> bool {
    if path.is_empty() {
        buffer.message = "E32: No file name".into();
        return false;
    }
    let mut text = buffer.lines.join("\n");
    if !(buffer.lines.len() == 1 && buffer.lines[0].is_empty()) {
        text.push('\n');
    }
    let len = text.len();
    match os.save(path, text.into_bytes()).await {
        Ok(()) => {
            buffer.changed = false;
            buffer.message = format!("\"{path}\" {}L, {len}B written", buffer.lines.len());
            true
        }
        Err(error) => {
            buffer.message = format!("E212: Can't open file for writing: {error}");
            false
        }
    }
}

async fn nano_key(os: &Os, buffer: &mut Buffer, path: &str, key: Key, keys: &mut Keys) -> bool {
    match key {
        Key::Ctrl('o') => {
            save(os, buffer, path).await;
        }
        Key::Ctrl('x') => {
            if !buffer.changed {
                return true;
            }
            let (_, rows) = os.size().await;
            let answer = ask(os, keys, "Save modified buffer? (y/n) ", rows).await;
            return match answer.as_str() {
                "y" | "Y" => save(os, buffer, path).await,
                "n" | "N" => true,
                _ => false,
            };
        }
        Key::Ctrl('k') => buffer.delete_lines(1),
        Key::Ctrl('u') => buffer.put(false),
        Key::Ctrl('w') => {
            let (_, rows) = os.size().await;
            buffer.wanted = ask(os, keys, "Search: ", rows).await;
            buffer.search(true);
        }
        Key::Escape => {}
        key => buffer.insert_key(key),
    }
    false
}

async fn vi_key(
    os: &Os,
    buffer: &mut Buffer,
    path: &mut String,
    key: Key,
    keys: &mut Keys,
) -> bool {
    let mut count = 0usize;
    let mut key = key;
    while let Key::Char(digit @ '0'..='9') = key {
        if digit == '0' && count == 0 {
            break;
        }
        count = (count * 10 + (digit as usize - '0' as usize)).min(100_000);
        match keys.next(os).await {
            Some(next) => key = next,
            None => return true,
        }
    }
    let times = count.max(1);
    let (_, rows) = os.size().await;
    match key {
        Key::Char('i') => buffer.begin_insert(),
        Key::Char('I') => {
            buffer.column = 0;
            buffer.begin_insert();
        }
        Key::Char('a') => {
            buffer.column = (buffer.column + 1).min(buffer.len());
            buffer.begin_insert();
        }
        Key::Char('A') => {
            buffer.column = buffer.len();
            buffer.begin_insert();
        }
        Key::Char(c @ ('o' | 'O')) => {
            buffer.begin_insert();
            buffer.row += usize::from(c == 'o');
            buffer.lines.insert(buffer.row, String::new());
            buffer.column = 0;
        }
        Key::Char('h') | Key::Left | Key::Backspace => {
            buffer.column = buffer.column.saturating_sub(times);
        }
        Key::Char('l' | ' ') | Key::Right => buffer.column += times,
        Key::Char('j') | Key::Down | Key::Enter => buffer.row += times,
        Key::Char('k') | Key::Up => buffer.row = buffer.row.saturating_sub(times),
        Key::Char('0' | '^') | Key::Home => buffer.column = 0,
        Key::Char('$') | Key::End => buffer.column = buffer.len(),
        Key::Char('w') => (0..times).for_each(|_| buffer.word(true)),
        Key::Char('b') => (0..times).for_each(|_| buffer.word(false)),
        Key::Char('G') => buffer.row = if count == 0 { usize::MAX } else { count - 1 },
        Key::Char('g') => {
            let second = keys.next(os).await;
            if second == Some(Key::Char('g')) {
                buffer.row = count.saturating_sub(1);
            }
        }
        Key::Ctrl('f') | Key::PageDown => buffer.row += rows,
        Key::Ctrl('b') | Key::PageUp => buffer.row = buffer.row.saturating_sub(rows),
        Key::Ctrl('d') => buffer.row += rows / 2,
        Key::Ctrl('u') => buffer.row = buffer.row.saturating_sub(rows / 2),
        Key::Char('x') | Key::Delete => {
            buffer.remember();
            for _ in 0..times {
                buffer.delete_char();
            }
        }
        Key::Char('D') => {
            buffer.remember();
            let at = buffer.byte();
            let column = buffer.column;
            buffer.line_mut().truncate(at);
            buffer.column = column;
        }
        Key::Char('d') => match keys.next(os).await {
            Some(Key::Char('d')) => {
                buffer.remember();
                buffer.delete_lines(times);
            }
            Some(Key::Char('w')) => {
                buffer.remember();
                let start = buffer.byte();
                let row = buffer.row;
                buffer.word(true);
                let end = if buffer.row == row { buffer.byte() } else { buffer.lines[row].len() };
                buffer.row = row;
                buffer.lines[row].replace_range(start..end.max(start), "");
                buffer.column = buffer.lines[row][..start].chars().count();
            }
            Some(Key::Char('G')) => {
                buffer.remember();
                buffer.delete_lines(usize::MAX);
            }
            _ => {}
        },
        Key::Char('y') => {
            let second = keys.next(os).await;
            if second == Some(Key::Char('y')) {
                let end = (buffer.row + times).min(buffer.lines.len());
                buffer.yanked = buffer.lines[buffer.row..end].to_vec();
            }
        }
        Key::Char(c @ ('p' | 'P')) => {
            buffer.remember();
            (0..times.min(1_000)).for_each(|_| buffer.put(c == 'p'));
        }
        Key::Char('J') if buffer.row + 1 < buffer.lines.len() => {
            buffer.remember();
            let next = buffer.lines.remove(buffer.row + 1);
            let line = buffer.line_mut();
            line.push(' ');
            line.push_str(next.trim_start());
        }
        Key::Char('r') => {
            if let Some(Key::Char(c)) = keys.next(os).await {
                buffer.remember();
                buffer.delete_char();
                let at = buffer.byte();
                buffer.line_mut().insert(at, c);
            }
        }
        Key::Char('u') => buffer.go_back(),
        Key::Char('Z') => {
            let second = keys.next(os).await;
            if second == Some(Key::Char('Z')) {
                return save(os, buffer, path).await;
            }
        }
        Key::Char('/') => {
            buffer.wanted = ask(os, keys, "/", rows).await;
            buffer.search(true);
        }
        Key::Char('n') => buffer.search(true),
        Key::Char('N') => buffer.search(false),
        Key::Char(':') => {
            let text = ask(os, keys, ":", rows).await;
            return command(os, buffer, path, &text).await;
        }
        _ => {}
    }
    false
}

/// Runs a `:` command. Returns whether to leave the editor.
async fn command(os: &Os, buffer: &mut Buffer, path: &mut String, text: &str) -> bool {
    let text = text.trim();
    let (name, file) = text.split_once(' ').unwrap_or((text, ""));
    match name {
        "" => false,
        "w" | "w!" | "wq" | "wq!" | "x" => {
            let target = if file.is_empty() { path.clone() } else { file.trim().to_owned() };
            let saved = save(os, buffer, &target).await;
            if saved && path.is_empty() {
                *path = target;
            }
            saved && (name == "x" || name.contains('q'))
        }
        "q" | "qa" if buffer.changed => {
            buffer.message = "E37: No write since last change (add ! to override)".into();
            false
        }
        "q" | "q!" | "qa" | "qa!" => true,
        "set" => {
            match file.trim() {
                "nu" | "number" => buffer.numbers = true,
                "nonu" | "nonumber" => buffer.numbers = false,
                other => buffer.message = format!("E518: Unknown option: {other}"),
            }
            false
        }
        "noh" | "nohlsearch" => false,
        _ => {
            if let Err(error) = buffer.edit(text) {
                buffer.message = error;
            }
            false
        }
    }
}

impl Buffer {
    fn len(&self) -> usize {
        self.lines[self.row].chars().count()
    }

    fn line_mut(&mut self) -> &mut String {
        self.changed = true;
        &mut self.lines[self.row]
    }

    /// The byte offset of the cursor in its line.
    fn byte(&self) -> usize {
        let line = &self.lines[self.row];
        line.char_indices().nth(self.column).map_or(line.len(), |(at, _)| at)
    }

    fn remember(&mut self) {
        self.undo.push((self.lines.clone(), self.row));
        if self.undo.len() > UNDO {
            self.undo.remove(0);
        }
    }

    fn go_back(&mut self) {
        match self.undo.pop() {
            Some((lines, row)) => {
                (self.lines, self.row) = (lines, row);
                self.changed = true;
            }
            None => self.message = "Already at oldest change".into(),
        }
    }

    fn begin_insert(&mut self) {
        self.remember();
        self.inserting = true;
        self.changed = true;
    }

    fn insert_key(&mut self, key: Key) {
        match key {
            Key::Escape | Key::Ctrl('c') => {
                self.inserting = false;
                self.column = self.column.saturating_sub(1);
            }
            Key::Char(c) => {
                let at = self.byte();
                self.line_mut().insert(at, c);
                self.column += 1;
            }
            Key::Enter => {
                let at = self.byte();
                let rest = self.line_mut().split_off(at);
                self.row += 1;
                self.lines.insert(self.row, rest);
                self.column = 0;
            }
            Key::Backspace | Key::Ctrl('h') => {
                if self.column > 0 {
                    self.column -= 1;
                    self.delete_char();
                } else if self.row > 0 {
                    let line = self.lines.remove(self.row);
                    self.row -= 1;
                    self.column = self.len();
                    self.line_mut().push_str(&line);
                }
            }
            Key::Delete => self.delete_char(),
            Key::Left => self.column = self.column.saturating_sub(1),
            Key::Right => self.column += 1,
            Key::Up => self.row = self.row.saturating_sub(1),
            Key::Down => self.row += 1,
            Key::Home => self.column = 0,
            Key::End => self.column = self.len(),
            Key::PageUp => self.row = self.row.saturating_sub(20),
            Key::PageDown => self.row += 20,
            Key::Ctrl(_) | Key::Resized => {}
        }
    }

    fn delete_char(&mut self) {
        let at = self.byte();
        if at < self.lines[self.row].len() {
            self.line_mut().remove(at);
        }
    }

    fn delete_lines(&mut self, count: usize) {
        let end = self.row.saturating_add(count).min(self.lines.len());
        self.yanked = self.lines.drain(self.row..end).collect();
        self.changed = true;
        if self.lines.is_empty() {
            self.lines.push(String::new());
        }
    }

    fn put(&mut self, below: bool) {
        let at = (self.row + usize::from(below)).min(self.lines.len());
        self.lines.splice(at..at, self.yanked.iter().cloned());
        if !self.yanked.is_empty() {
            self.row = at;
            self.changed = true;
        }
    }

    /// Moves to the beginning of the next or previous word.
    fn word(&mut self, forward: bool) {
        let chars: Vec<char> = self.lines[self.row].chars().collect();
        let mut at = self.column.min(chars.len());
        if forward {
            while at < chars.len() && !chars[at].is_whitespace() {
                at += 1;
            }
            while at < chars.len() && chars[at].is_whitespace() {
                at += 1;
            }
            if at >= chars.len() && self.row + 1 < self.lines.len() {
                self.row += 1;
                at = 0;
            }
        } else {
            if at == 0 && self.row > 0 {
                self.row -= 1;
                self.column = self.len();
                return;
            }
            while at > 0 && chars[at - 1].is_whitespace() {
                at -= 1;
            }
            while at > 0 && !chars[at - 1].is_whitespace() {
                at -= 1;
            }
        }
        self.column = at;
    }

    fn search(&mut self, forward: bool) {
        if self.wanted.is_empty() {
            return;
        }
        let Ok(regex) = regex::compile(&self.wanted, false, false) else {
            self.message = format!("E486: Pattern not found: {}", self.wanted);
            return;
        };
        let count = self.lines.len();
        for step in 1..=count {
            let row =
                if forward { (self.row + step) % count } else { (self.row + count - step) % count };
            if let Some(found) = regex.find(&self.lines[row]) {
                self.column = self.lines[row][..found.start()].chars().count();
                self.row = row;
                return;
            }
        }
        self.message = format!("E486: Pattern not found: {}", self.wanted);
    }

    /// Runs a line number, or a range with `s`, `d`, `y` or `p`.
    fn edit(&mut self, text: &str) -> Result<(), String> {
        let wrong = || format!("E492: Not an editor command: {text}");
        let mut rest = text;
        let (mut from, mut to) = (self.row, self.row);
        if let Some(after) = rest.strip_prefix('%') {
            (from, to, rest) = (0, self.lines.len() - 1, after);
        } else if let Some((first, after)) = self.address(rest) {
            (from, to, rest) = (first, first, after);
            if let Some(after) = rest.strip_prefix(',') {
                if let Some((last, after)) = self.address(after) {
                    (to, rest) = (last, after);
                } else {
                    // A range without its second address, such as `:5,y`, ends at the cursor.
                    (to, rest) = (self.row, after);
                }
            }
        }
        if from > to || to >= self.lines.len() {
            return Err("E16: Invalid range".into());
        }
        match rest.trim() {
            "" => self.row = from,
            "d" => {
                self.remember();
                self.row = from;
                self.delete_lines(to - from + 1);
            }
            "y" => {
                self.yanked = self.lines[from..=to].to_vec();
                self.message = format!("{} lines yanked", self.yanked.len());
            }
            "p" | "pu" => {
                self.remember();
                self.row = to;
                self.put(true);
            }
            substitute if substitute.starts_with('s') => {
                let mut chars = substitute.chars().skip(1);
                let delimiter = chars.next().filter(|c| !c.is_alphanumeric()).ok_or_else(wrong)?;
                let body: String = chars.collect();
                let mut parts = vec![String::new()];
                let mut escaped = false;
                for c in body.chars() {
                    if c == delimiter && !escaped {
                        parts.push(String::new());
                    } else if let Some(part) = parts.last_mut() {
                        if escaped && c != delimiter {
                            part.push('\\');
                        }
                        if c != '\\' || escaped {
                            part.push(c);
                        }
                    }
                    escaped = c == '\\' && !escaped;
                }
                let pattern = parts.first().cloned().unwrap_or_default();
                let with = parts.get(1).cloned().unwrap_or_default();
                let all = parts.get(2).is_some_and(|flags| flags.contains('g'));
                let with = with.replace('$', "$$").replace('&', "$0");
                let regex = regex::compile(&pattern, false, false)?;
                self.remember();
                let mut count = 0;
                for row in from..=to {
                    let line = regex.replacen(&self.lines[row], usize::from(!all), with.as_str());
                    if line != self.lines[row] {
                        self.lines[row] = line.into_owned();
                        (self.row, self.changed) = (row, true);
                        count += 1;
                    }
                }
                if count == 0 {
                    self.undo.pop();
                    return Err(format!("E486: Pattern not found: {pattern}"));
                }
                self.message = format!("{count} substitutions on {count} lines");
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    fn address<'a>(&self, text: &'a str) -> Option<(usize, &'a str)> {
        if let Some(rest) = text.strip_prefix('.') {
            return Some((self.row, rest));
        }
        if let Some(rest) = text.strip_prefix('$') {
            return Some((self.lines.len() - 1, rest));
        }
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let line: usize = text[..end].parse().ok()?;
        Some((line.clamp(1, self.lines.len()) - 1, &text[end..]))
    }

    /// Clamps the cursor to the text.
    fn settle(&mut self) {
        self.row = self.row.min(self.lines.len() - 1);
        let last = if self.inserting { self.len() } else { self.len().saturating_sub(1) };
        self.column = self.column.min(last);
    }

    async fn draw(&mut self, os: &Os, nano: bool) {
        let (columns, rows) = os.size().await;
        let page = rows.saturating_sub(1).max(1);
        self.top = self.top.min(self.row).max((self.row + 1).saturating_sub(page));
        let gutter = if self.numbers { 4 } else { 0 };
        let mut text = String::from("\x1b[H");
        for n in 0..page {
            text.push_str("\x1b[2K");
            match self.lines.get(self.top + n) {
                Some(line) => {
                    if self.numbers {
                        text.push_str(&format!("\x1b[33m{:3} \x1b[0m", self.top + n + 1));
                    }
                    let shown = line.chars().map(|c| if c.is_control() { '?' } else { c });
                    text.extend(shown.take(columns.saturating_sub(gutter + 1)));
                }
                None => text.push_str("\x1b[34m~\x1b[0m"),
            }
            text.push('\n');
        }
        let mode = match (nano, self.inserting) {
            (true, _) => "^O Write Out   ^X Exit   ^K Cut   ^U Paste   ^W Search",
            (false, true) => "-- INSERT --",
            (false, false) => "",
        };
        let bottom = if self.message.is_empty() { mode } else { &self.message };
        let before = self.lines[self.row].chars().take(self.column);
        let column = gutter + width(before) + 1;
        text.push_str(&format!(
            "\x1b[2K{bottom:.columns$}\x1b[{};{column}H",
            self.row - self.top + 1
        ));
        os.print(text);
        os.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(text: &str) -> Buffer {
        Buffer { lines: text.lines().map(str::to_owned).collect(), ..Buffer::default() }
    }

    #[test]
    fn ranges_are_yanked_put_and_substituted() {
        let mut it = buffer("port 6379\n#dir\n#log");
        it.row = 1;
        it.edit(".,$s/#//").unwrap();
        assert_eq!(it.lines, ["port 6379", "dir", "log"]);
        it.edit("%s/6379/7001/g").unwrap();
        assert_eq!(it.lines[0], "port 7001");
        it.row = 1;
        it.edit(".,$y").unwrap();
        it.edit("$p").unwrap();
        assert_eq!(it.lines.len(), 5);
        it.go_back();
        assert_eq!(it.lines.len(), 3);
        it.edit("2d").unwrap();
        assert_eq!(it.lines, ["port 7001", "log"]);
        assert!(it.edit("nonsense").is_err());
        assert_eq!(it.edit("s/zzz/y/").unwrap_err(), "E486: Pattern not found: zzz");
    }

    #[test]
    fn keys_insert_and_join() {
        let mut it = buffer("ab");
        it.inserting = true;
        for key in [Key::Char('x'), Key::Enter, Key::Char('y'), Key::Backspace, Key::Backspace] {
            it.insert_key(key);
        }
        assert_eq!(it.lines, ["xab"]);
        it.insert_key(Key::Escape);
        assert!(!it.inserting && it.changed);
    }
}
