//! The line editor: the keys of readline, history, search, completion.

use super::os::Os;
use core::future::Future;

use crate::conversation::{Either, first};
use crate::machine::{Stream, TerminalMode};
use crate::time::Duration;

/// Completion and hints of the program that reads the line.
pub(super) trait Completer {
    /// Completions of the word before the cursor: the position where the word begins, and the
    /// candidates, each with the text to append if it is the only one.
    fn complete(
        &mut self,
        os: &Os,
        line: &str,
    ) -> impl Future<Output = (usize, Vec<String>)> + Send;

    /// The hint to show in grey after the line.
    fn hint(&self, line: &str) -> Option<String>;
}

/// The result of reading a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Typed {
    /// A line and Enter.
    Line(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D on an empty line, or the terminal was closed.
    End,
}

/// The state of a line that is being edited. Positions are in characters.
#[derive(Clone, Debug, Default)]
struct Editor {
    line: Vec<char>,
    cursor: usize,
    /// The index in the history; its length for the line being edited.
    place: usize,
    /// The line being edited, while another line of the history is shown.
    kept: Vec<char>,
    cut: Vec<char>,
    /// The width of the text before the cursor when the line was last drawn. If the terminal has
    /// become narrower since, it now takes several rows.
    drawn: usize,
}

/// Reads a line from a terminal in raw mode.
pub(super) async fn read_line(
    os: &Os,
    prompt: &str,
    history: &[String],
    program: &mut impl Completer,
) -> Typed {
    os.set_mode(TerminalMode::Raw).await;
    let typed = edit(os, prompt, history, program).await;
    os.set_mode(TerminalMode::Cooked).await;
    typed
}

async fn edit(os: &Os, prompt: &str, history: &[String], program: &mut impl Completer) -> Typed {
    let drawn = width(prompt.chars());
    let mut editor = Editor { place: history.len(), drawn, ..Editor::default() };
    let mut keys = Keys::default();
    os.print(prompt);
    os.flush().await;
    let mut tabs = 0;
    loop {
        let Some(key) = keys.next_or_resized(os).await else { return Typed::End };
        tabs = if key == Key::Char('\t') { tabs + 1 } else { 0 };
        match key {
            Key::Enter => {
                editor.leave(os, prompt).await;
                os.print("\n");
                os.flush().await;
                return Typed::Line(editor.text());
            }
            Key::Ctrl('c') => {
                editor.leave(os, prompt).await;
                os.print("^C\n");
                os.flush().await;
                return Typed::Interrupt;
            }
            Key::Ctrl('d') if editor.line.is_empty() => return Typed::End,
            Key::Ctrl('r') => {
                if let Some(typed) = search(os, prompt, history, &mut keys, &mut editor).await {
                    return typed;
                }
            }
            Key::Char('\t') => {
                let before: String = editor.line[..editor.cursor].iter().collect();
                let (start, choices) = program.complete(os, &before).await;
                complete(os, &mut editor, start, &choices, tabs > 1).await;
            }
            Key::Ctrl('l') => {
                os.print("\x1b[H\x1b[2J");
                editor.drawn = 0;
            }
            key => editor.press(&key, history),
        }
        let hint = program.hint(&editor.text()).filter(|_| editor.cursor == editor.line.len());
        editor.draw(os, prompt, hint.as_deref()).await;
    }
}

impl Editor {
    fn text(&self) -> String {
        self.line.iter().collect()
    }

    fn show(&mut self, line: Vec<char>) {
        self.line = line;
        self.cursor = self.line.len();
    }

    fn press(&mut self, key: &Key, history: &[String]) {
        match key {
            Key::Char(c) => {
                self.line.insert(self.cursor, *c);
                self.cursor += 1;
            }
            Key::Ctrl('a') | Key::Home => self.cursor = 0,
            Key::Ctrl('e') | Key::End => self.cursor = self.line.len(),
            Key::Ctrl('b') | Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Ctrl('f') | Key::Right => self.cursor = (self.cursor + 1).min(self.line.len()),
            Key::Ctrl('h') | Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.line.remove(self.cursor);
            }
            Key::Ctrl('d') | Key::Delete if self.cursor < self.line.len() => {
                self.line.remove(self.cursor);
            }
            Key::Ctrl('k') => self.cut = self.line.split_off(self.cursor),
            Key::Ctrl('u') => {
                self.cut = self.line.drain(..self.cursor).collect();
                self.cursor = 0;
            }
            Key::Ctrl('w') => {
                let head = &self.line[..self.cursor];
                let word = head.iter().rposition(|c| *c != ' ').map_or(0, |end| {
                    head[..end].iter().rposition(|c| *c == ' ').map_or(0, |at| at + 1)
                });
                self.cut = self.line.drain(word..self.cursor).collect();
                self.cursor = word;
            }
            Key::Ctrl('y') => {
                for c in self.cut.clone() {
                    self.line.insert(self.cursor, c);
                    self.cursor += 1;
                }
            }
            Key::Ctrl('t') if self.cursor > 0 && self.line.len() > 1 => {
                let at = self.cursor.min(self.line.len() - 1);
                self.line.swap(at - 1, at);
                self.cursor = at + 1;
            }
            Key::Ctrl('p') | Key::Up if self.place > 0 => {
                if self.place == history.len() {
                    self.kept = self.line.clone();
                }
                self.place -= 1;
                self.show(history[self.place].chars().collect());
            }
            Key::Ctrl('n') | Key::Down if self.place < history.len() => {
                self.place += 1;
                let line = match history.get(self.place) {
                    Some(line) => line.chars().collect(),
                    None => core::mem::take(&mut self.kept),
                };
                self.show(line);
            }
            _ => {}
        }
    }

    /// The escape sequence that clears the line and moves the cursor to its beginning.
    fn clear_sequence(&self, columns: usize) -> String {
        match self.drawn.saturating_sub(1) / columns.max(1) {
            0 => "\r\x1b[J".to_owned(),
            rows => format!("\x1b[{rows}A\r\x1b[J"),
        }
    }

    /// Draws the whole line, on several rows if necessary, before it is left.
    async fn leave(&mut self, os: &Os, prompt: &str) {
        let (columns, _) = os.size().await;
        self.cursor = self.line.len();
        if width(prompt.chars()) + width(self.line.iter().copied()) < columns {
            return self.draw(os, prompt, None).await;
        }
        os.print(format!("{}{prompt}{}", self.clear_sequence(columns), self.text()));
        os.flush().await;
    }

    /// Redraws the line, on one row or on as many as necessary.
    async fn draw(&mut self, os: &Os, prompt: &str, hint: Option<&str>) {
        let (columns, _) = os.size().await;
        let before: usize = width(prompt.chars()) + width(self.line[..self.cursor].iter().copied());
        let all = width(prompt.chars()) + width(self.line.iter().copied());
        let mut text = self.clear_sequence(columns);
        if all < columns {
            self.drawn = before;
            text.push_str(prompt);
            text.extend(&self.line);
            if let Some(hint) = hint {
                let room = columns.saturating_sub(all + 1);
                let shown: String = hint.chars().take(room).collect();
                text.push_str(&format!("\x1b[90m{shown}\x1b[0m"));
            }
            text.push_str(&format!("\r\x1b[{}C", before.max(1)));
            if before == 0 {
                text.push_str("\x1b[1D");
            }
        } else {
            // Of a line longer than a row, shows the part around the cursor, as linenoise does.
            let room = columns.saturating_sub(width(prompt.chars()) + 1).max(1);
            let wide = |from: usize, to: usize| width(self.line[from..to].iter().copied());
            let mut start = self.cursor;
            while start > 0 && wide(start - 1, self.cursor) <= room {
                start -= 1;
            }
            let mut end = self.cursor;
            while end < self.line.len() && wide(start, end + 1) <= room {
                end += 1;
            }
            text.push_str(prompt);
            text.extend(&self.line[start..end]);
            let at = width(prompt.chars()) + width(self.line[start..self.cursor].iter().copied());
            text.push_str(&format!("\r\x1b[{}C", at.max(1)));
            self.drawn = at;
        }
        os.print(text);
        os.flush().await;
    }
}

/// Ranges of characters two columns wide: East Asian ones, and emoji.
const WIDE: [(u32, u32); 9] = [
    (0x1100, 0x115f),
    (0x2e80, 0xa4cf),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe30, 0xfe6f),
    (0xff00, 0xff60),
    (0xffe0, 0xffe6),
    (0x1_f300, 0x1_faff),
    (0x2_0000, 0x3_fffd),
];

/// The width of characters in columns.
pub(super) fn width(chars: impl Iterator<Item = char>) -> usize {
    let is_wide = |c: char| WIDE.iter().any(|(from, to)| (*from..=*to).contains(&(c as u32)));
    chars.map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// Inserts the common prefix of all candidates, or shows them.
async fn complete(os: &Os, editor: &mut Editor, start: usize, choices: &[String], show: bool) {
    let typed: String = editor.line[start.min(editor.cursor)..editor.cursor].iter().collect();
    let Some(first) = choices.first() else { return };
    let common = choices.iter().fold(first.as_str(), |common, choice| {
        let same = common.char_indices().zip(choice.chars()).take_while(|((_, a), b)| a == b);
        let end = same.last().map_or(0, |((at, c), _)| at + c.len_utf8());
        &common[..end]
    });
    if common.chars().count() > typed.chars().count() {
        let tail: Vec<char> = editor.line.split_off(editor.cursor);
        editor.line.truncate(start);
        editor.line.extend(common.chars());
        editor.cursor = editor.line.len();
        editor.line.extend(tail);
    } else if show && choices.len() > 1 {
        let (columns, _) = os.size().await;
        let names: Vec<&str> = choices
            .iter()
            .map(|choice| {
                choice.trim_end().trim_end_matches('/').rsplit('/').next().unwrap_or(choice)
            })
            .collect();
        let cell = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) + 2;
        let per_row = (columns / cell).max(1);
        os.print("\n");
        for row in names.chunks(per_row) {
            let line: String = row.iter().map(|name| format!("{name:<cell$}")).collect();
            os.println(line.trim_end());
        }
        editor.drawn = 0;
    }
}

/// Ctrl-R: searches the history.
async fn search(
    os: &Os,
    prompt: &str,
    history: &[String],
    keys: &mut Keys,
    editor: &mut Editor,
) -> Option<Typed> {
    let (mut wanted, mut from) = (String::new(), history.len());
    loop {
        let found = history[..from].iter().rposition(|line| line.contains(&wanted));
        let shown = found.map_or("", |at| history[at].as_str());
        let failing = if found.is_none() && !wanted.is_empty() { "failing " } else { "" };
        let (columns, _) = os.size().await;
        let line = format!("({failing}reverse-i-search)`{wanted}': {shown}");
        os.print(format!("{}{line}", editor.clear_sequence(columns)));
        os.flush().await;
        editor.drawn = width(line.chars());
        match keys.next(os).await {
            None => return Some(Typed::End),
            Some(Key::Ctrl('r')) => from = found.unwrap_or(from),
            Some(Key::Ctrl('h') | Key::Backspace) => {
                wanted.pop();
                from = history.len();
            }
            Some(Key::Char(c)) => {
                wanted.push(c);
                from = history.len().min(found.map_or(history.len(), |at| at + 1));
            }
            Some(Key::Ctrl('c' | 'g')) => {
                editor.show(Vec::new());
                return None;
            }
            Some(key) => {
                if let Some(at) = found {
                    editor.show(history[at].chars().collect());
                    editor.place = at;
                }
                if key == Key::Enter {
                    editor.draw(os, prompt, None).await;
                    os.print("\n");
                    os.flush().await;
                    return Some(Typed::Line(editor.text()));
                }
                editor.press(&key, history);
                return None;
            }
        }
    }
}

/// A key press.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Key {
    Char(char),
    Ctrl(char),
    Enter,
    Backspace,
    Delete,
    Escape,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    /// Not a key: the terminal was resized, so that the line has to be redrawn.
    Resized,
}

/// Parses bytes from a terminal as keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    bytes: std::collections::VecDeque<u8>,
}

impl Keys {
    async fn byte(&mut self, os: &Os) -> Option<u8> {
        if let Some(byte) = self.bytes.pop_front() {
            return Some(byte);
        }
        // Reads single bytes, since bytes typed ahead may be for the next program. More arrive only
        // if a lone escape had left a longer read pending.
        self.bytes.extend(os.read(Stream::Stdin, 1).await.iter());
        self.bytes.pop_front()
    }

    /// The next key, or the event that the terminal was resized; `None` at the end of the input.
    pub(super) async fn next_or_resized(&mut self, os: &Os) -> Option<Key> {
        let resize = os.ask_resize();
        let key = core::pin::pin!(self.next(os));
        match first(key, resize).await {
            Either::First(key) => key,
            // The pending read is taken over by the next one.
            Either::Second(_) => Some(Key::Resized),
        }
    }

    /// The next key; `None` at the end of the input.
    pub(super) async fn next(&mut self, os: &Os) -> Option<Key> {
        let byte = self.byte(os).await?;
        Some(match byte {
            b'\r' | b'\n' => Key::Enter,
            b'\t' => Key::Char('\t'),
            0x7f => Key::Backspace,
            0x1b => self.sequence(os).await?,
            0..=0x1f => Key::Ctrl(char::from(byte + 0x60)),
            byte if byte.is_ascii() => Key::Char(char::from(byte)),
            byte => {
                let len = match byte {
                    0xc0..=0xdf => 2,
                    0xe0..=0xef => 3,
                    _ => 4,
                };
                let mut bytes = vec![byte];
                while bytes.len() < len {
                    bytes.push(self.byte(os).await?);
                }
                let text = String::from_utf8_lossy(&bytes);
                Key::Char(text.chars().next().unwrap_or('?'))
            }
        })
    }

    /// Parses what follows an escape. Without further bytes it was the Escape key.
    async fn sequence(&mut self, os: &Os) -> Option<Key> {
        if self.bytes.is_empty() {
            let read = os.ask_read(Stream::Stdin);
            let timer = os.ask_sleep(Duration::from_millis(25));
            match first(read, timer).await {
                Either::First(super::os::Reply::Bytes(Ok(bytes))) => {
                    self.bytes.extend(bytes.iter())
                }
                _ => return Some(Key::Escape),
            }
        }
        if !matches!(self.bytes.front(), Some(b'[' | b'O')) {
            return Some(Key::Escape);
        }
        self.bytes.pop_front();
        let mut number = 0u32;
        loop {
            let byte = self.byte(os).await?;
            match byte {
                b'0'..=b'9' => number = number.saturating_mul(10) + u32::from(byte - b'0'),
                b';' => number = 0,
                b'A' => return Some(Key::Up),
                b'B' => return Some(Key::Down),
                b'C' => return Some(Key::Right),
                b'D' => return Some(Key::Left),
                b'H' => return Some(Key::Home),
                b'F' => return Some(Key::End),
                b'~' => {
                    return Some(match number {
                        1 | 7 => Key::Home,
                        3 => Key::Delete,
                        4 | 8 => Key::End,
                        5 => Key::PageUp,
                        6 => Key::PageDown,
                        _ => Key::Escape,
                    });
                }
                _ => return Some(Key::Escape),
            }
        }
    }
}
