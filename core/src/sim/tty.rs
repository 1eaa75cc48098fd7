//! Terminals: size, mode, line editing, and a screen of cells.
//!
//! The screen is that of the `vt100` crate. Its parser cannot be cloned but its screen can, so a
//! terminal keeps the screen, and the beginning of an incomplete escape sequence.

use core::fmt;
use core::num::NonZeroU16;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::machine::{Signal, TerminalMode};

use super::ids::{HostId, ProcId};
use super::reflow;

/// The id of a terminal: its index in the order of opening.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TtyId(pub u32);

/// A terminal of a World.
#[derive(Clone)]
pub struct Tty {
    name: String,
    host: HostId,
    mode: TerminalMode,
    columns: NonZeroU16,
    rows: NonZeroU16,
    /// The line that is being edited in a cooked mode.
    line: Vec<u8>,
    /// Input that is complete and not read yet.
    pub(super) input: VecDeque<u8>,
    /// Whether Ctrl-D on an empty line is pending (end of file).
    pub(super) ended: bool,
    /// The host and the process id of the leader of the foreground group.
    pub(super) foreground: (HostId, u32),
    /// The process that was started with the terminal.
    pub(super) session: Option<ProcId>,
    /// The screen, shared between checkpoints.
    screen: Arc<vt100::Screen>,
    /// The beginning of an incomplete escape sequence or character.
    incomplete: Vec<u8>,
    /// The total number of bytes written to the screen.
    shown: u64,
}

/// The effect of a typed key besides adding input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keyed {
    /// Nothing.
    Nothing,
    /// There is more input to read.
    Readable,
    /// A signal for the foreground group.
    Signal(Signal),
}

impl Tty {
    /// The number of lines in the scrollback.
    const SCROLLBACK: usize = 2_000;
    /// The maximum size of the unread input in bytes.
    const INPUT: usize = 64 << 10;
    /// The longest incomplete escape sequence that is kept.
    const SEQUENCE: usize = 64;
    /// Whether anything is ever shown: only shells, and programs started by them, run at terminals.
    const SHOWS: bool = cfg!(feature = "shell");

    pub(super) fn new(name: &str, host: HostId, columns: u16, rows: u16) -> Self {
        let (columns, rows) = (at_least_one(columns), at_least_one(rows));
        let screen = vt100::Parser::new(rows, columns, Self::SCROLLBACK).screen().clone();
        Tty {
            name: name.into(),
            host,
            mode: TerminalMode::Cooked,
            columns,
            rows,
            line: Vec::new(),
            input: VecDeque::new(),
            ended: false,
            foreground: (host, 0),
            session: None,
            screen: Arc::new(screen),
            incomplete: Vec::new(),
            shown: 0,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host whose terminal it is.
    pub fn host(&self) -> HostId {
        self.host
    }

    /// Its columns and rows.
    pub fn size(&self) -> (u16, u16) {
        (self.columns.get(), self.rows.get())
    }

    /// Its mode.
    pub fn mode(&self) -> TerminalMode {
        self.mode
    }

    /// The screen: coloured cells, the cursor, and the scrollback.
    pub fn screen(&self) -> &vt100::Screen {
        &self.screen
    }

    /// The total number of bytes written to the screen, which changes whenever there is something
    /// new to display.
    pub fn shown(&self) -> u64 {
        self.shown
    }

    /// Whether it has a session.
    pub fn is_alive(&self) -> bool {
        self.session.is_some()
    }

    /// The text of the screen and the scrollback, without trailing blanks.
    pub fn text(&self) -> String {
        if !Self::SHOWS {
            return String::new();
        }
        let formatted = reflow::lines(&self.screen);
        let plain: String = vt100::capture::basic_formatted_to_plain(&formatted).collect();
        let mut text = String::new();
        for line in plain.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }

    pub(super) fn set_mode(&mut self, mode: TerminalMode) {
        if mode == TerminalMode::Raw && self.mode != TerminalMode::Raw {
            self.input.extend(self.line.drain(..));
        }
        self.mode = mode;
    }

    pub(super) fn set_size(&mut self, columns: u16, rows: u16) {
        (self.columns, self.rows) = (at_least_one(columns), at_least_one(rows));
        if Self::SHOWS && self.screen.size() != (self.rows, self.columns) {
            self.screen = Arc::new(reflow::reflowed(&self.screen, self.rows, self.columns));
        }
    }

    /// Writes bytes to the screen. A line feed implies a carriage return.
    pub(super) fn show(&mut self, bytes: &[u8]) {
        if !Self::SHOWS {
            return;
        }
        self.shown += bytes.len() as u64;
        let mut all = core::mem::take(&mut self.incomplete);
        for &byte in bytes {
            if byte == b'\n' {
                all.push(b'\r');
            }
            all.push(byte);
        }
        let complete = all.len() - incomplete_len(&all, Self::SEQUENCE);
        self.incomplete = all.split_off(complete);
        let mut parser = vt100::Parser::new(self.rows, self.columns, 0);
        let screen = Arc::make_mut(&mut self.screen);
        core::mem::swap(parser.screen_mut(), screen);
        reflow::show(&mut parser, &all);
        core::mem::swap(parser.screen_mut(), screen);
    }

    /// Handles a typed byte.
    pub(super) fn key(&mut self, byte: u8) -> Keyed {
        if self.input.len() + self.line.len() >= Self::INPUT {
            return Keyed::Nothing;
        }
        if self.mode == TerminalMode::Raw {
            self.input.push_back(byte);
            return Keyed::Readable;
        }
        let echo = self.mode == TerminalMode::Cooked;
        let signal = match byte {
            0x03 => Some((Signal::Interrupt, "^C")),
            0x1a => Some((Signal::Suspend, "^Z")),
            0x1c => Some((Signal::Quit, "^\\")),
            _ => None,
        };
        if let Some((signal, shown)) = signal {
            self.line.clear();
            self.show(shown.as_bytes());
            return Keyed::Signal(signal);
        }
        match byte {
            0x04 if self.line.is_empty() => {
                self.ended = true;
                Keyed::Readable
            }
            0x04 => {
                self.input.extend(self.line.drain(..));
                Keyed::Readable
            }
            b'\r' | b'\n' => {
                self.input.extend(self.line.drain(..));
                self.input.push_back(b'\n');
                self.show(b"\n");
                Keyed::Readable
            }
            0x7f | 0x08 => {
                self.erase(echo);
                Keyed::Nothing
            }
            0x15 => {
                while !self.line.is_empty() {
                    self.erase(echo);
                }
                Keyed::Nothing
            }
            0x17 => {
                while self.line.last() == Some(&b' ') {
                    self.erase(echo);
                }
                while self.line.last().is_some_and(|&byte| byte != b' ') {
                    self.erase(echo);
                }
                Keyed::Nothing
            }
            byte => {
                self.line.push(byte);
                if echo {
                    match byte {
                        0..=8 | 11..=31 => self.show(&[b'^', byte + 64]),
                        byte => self.show(&[byte]),
                    }
                }
                Keyed::Nothing
            }
        }
    }

    /// Deletes the last character of the line.
    fn erase(&mut self, echo: bool) {
        let start = self.line.iter().rposition(|byte| byte & 0xc0 != 0x80);
        let Some(start) = start else { return };
        let erased = self.line.split_off(start);
        if echo {
            // Heuristic: characters of more than two bytes in UTF-8 are two cells wide.
            let cells = if erased.len() > 2 { 2 } else { 1 };
            for _ in 0..cells {
                self.show(b"\x08 \x08");
            }
        }
    }
}

impl fmt::Debug for Tty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tty").field("name", &self.name).field("mode", &self.mode).finish()
    }
}

fn at_least_one(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN)
}

/// The length of an incomplete escape sequence or character at the end.
fn incomplete_len(bytes: &[u8], most: usize) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(most)..];
    if let Some(start) = tail.iter().rposition(|&byte| byte == 0x1b) {
        let sequence = &tail[start..];
        let ends = match sequence.get(1) {
            None => false,
            Some(b'[') => sequence[2..].iter().any(|byte| (0x40..=0x7e).contains(byte)),
            Some(b']') => sequence.contains(&0x07),
            Some(b'(' | b')') => sequence.len() > 2,
            Some(_) => true,
        };
        if !ends {
            return sequence.len();
        }
    }
    let start = tail.iter().rposition(|byte| byte & 0xc0 != 0x80).unwrap_or(tail.len());
    let character = &tail[start..];
    let len = match character.first() {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..) => 4,
        _ => 0,
    };
    if character.len() < len { character.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tty() -> Tty {
        Tty::new("tty1", HostId(0), 20, 4)
    }

    fn typed(tty: &mut Tty, keys: &[u8]) -> Vec<Keyed> {
        keys.iter().map(|&key| tty.key(key)).filter(|keyed| *keyed != Keyed::Nothing).collect()
    }

    #[test]
    fn a_cooked_line_is_edited_echoed_and_read_at_enter() {
        let mut tty = tty();
        assert_eq!(typed(&mut tty, "lsx\x7f 你\x7f-l\r".as_bytes()), [Keyed::Readable]);
        assert_eq!(tty.input.make_contiguous(), b"ls -l\n");
        assert_eq!(tty.text(), "ls -l");
        assert_eq!(typed(&mut tty, b"rest\x03"), [Keyed::Signal(Signal::Interrupt)]);
        assert_eq!(tty.text(), "ls -l\nrest^C");
    }

    #[test]
    fn a_raw_terminal_passes_every_key_on() {
        let mut tty = tty();
        tty.set_mode(TerminalMode::Raw);
        typed(&mut tty, b"\x03\r");
        assert_eq!(tty.input.make_contiguous(), b"\x03\r");
        assert_eq!(tty.text(), "");
    }

    #[test]
    fn lines_are_rewrapped_when_the_width_changes_and_nothing_is_lost() {
        let mut tty = tty();
        let text =
            "one two three four five six\n\x1b[31m\u{4f60}\u{597d}, 0123456789 abcdef\x1b[m\nend";
        tty.show(text.as_bytes());
        let plain = text.replace("\x1b[31m", "").replace("\x1b[m", "");
        for (columns, rows) in [(7, 4), (3, 2), (40, 10), (13, 3), (20, 4)] {
            tty.set_size(columns, rows);
            assert_eq!(tty.text(), plain, "{columns} columns");
            tty.show(b"!");
            assert_eq!(tty.text(), format!("{plain}!"), "{columns} columns");
            tty.show(b"\x08 \x08");
        }
        let mut screen = tty.screen().clone();
        screen.set_scrollback(1);
        let red =
            (0..4).find_map(|row| screen.cell(row, 0).filter(|cell| cell.contents() == "\u{4f60}"));
        assert_eq!(red.map(|cell| cell.fgcolor()), Some(crate::sim::Color::Idx(1)));
    }

    #[test]
    fn the_cursor_stays_at_its_character_when_the_width_changes() {
        let mut tty = tty();
        tty.show(b"first\n# get a-long-name\x1b[8D");
        tty.set_size(8, 4);
        tty.show(b"N");
        assert_eq!(tty.text(), "first\n# get a-lNng-name");
    }

    #[test]
    fn a_cleared_screen_stays_clear_when_the_size_changes() {
        let mut tty = tty();
        tty.show(b"1\n2\n3\n4\n5\n\x1b[H\x1b[2J# now");
        let shown = |tty: &Tty| tty.screen().contents();
        for (columns, rows) in [(10, 4), (30, 3), (20, 8)] {
            tty.set_size(columns, rows);
            assert_eq!(shown(&tty), "# now", "{columns} columns and {rows} rows");
            assert!(tty.text().starts_with("1\n2\n"), "{}", tty.text());
        }
    }

    #[test]
    fn leaving_the_alternate_screen_restores_the_main_screen() {
        let mut tty = tty();
        tty.show(b"# cat a-file-with-a-long-name\n# \x1b[?1049h\x1b[Hdrawn");
        tty.set_size(10, 4);
        assert_eq!(tty.screen().contents(), "drawn");
        tty.show(b"\x1b[?1049l");
        assert_eq!(tty.text(), "# cat a-file-with-a-long-name\n#");
        tty.show(b"ls");
        assert_eq!(tty.text(), "# cat a-file-with-a-long-name\n# ls");
    }

    #[test]
    fn sequences_may_come_in_pieces_and_scrolled_lines_are_kept() {
        let mut tty = tty();
        for piece in [&b"\x1b[3"[..], b"1mred\x1b", b"[0m\n", "\u{4f60}".as_bytes()[..2].as_ref()] {
            tty.show(piece);
        }
        tty.show(&"\u{4f60}".as_bytes()[2..]);
        assert_eq!(tty.text(), "red\n\u{4f60}");
        tty.show(b"\n3\n4\n5\n6");
        assert_eq!(tty.text(), "red\n\u{4f60}\n3\n4\n5\n6");
        let colour = tty.clone();
        assert_eq!(colour.text(), tty.text());
    }
}
