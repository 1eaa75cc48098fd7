//! Reflow of a terminal screen for a new size: long lines are rewrapped.
//!
//! The `vt100` crate truncates rows when a screen becomes narrower. So the text of the screen and
//! its scrollback is read back as lines, with colours, and written to a new screen.

use core::num::NonZeroU16;

use unicode_width::UnicodeWidthChar;
use vt100::capture::{
    BasicFormattedCaptureRange, BasicFormattedCaptureState, RowContents, basic_formatted_to_plain,
};
use vt100::{Callbacks, Parser, Screen};

/// Marks the cursor while the text before it is read. No program of a World prints this character.
const CURSOR: char = '\u{f8ff}';

/// Fills the cell that is left over before a wide character: a blank that no program of a World
/// prints.
const FILLER: char = '\u{a0}';
/// The smallest first byte of characters that are two cells wide: they have at least three bytes in
/// UTF-8.
const THREE_BYTES: u8 = 0xe0;

/// The same content with another number of rows and columns.
pub(super) fn reflowed(old: &Screen, rows: NonZeroU16, columns: NonZeroU16) -> Screen {
    // A full-screen program such as `vi` redraws its screen itself; the main screen below is
    // reflowed.
    let mut main = CountingScreen::of(old.clone());
    if old.alternate_screen() {
        main.write("\x1b[?1049l");
    }
    let all = main.lines();
    let mut before = CountingScreen::of(main.screen().clone());
    // Two marks: an erase begins at the last cell of a row if the cursor is behind it.
    before.write(&format!("\x1b[m{CURSOR}{CURSOR}\x1b[J"));
    let before = before.lines();
    let before = before.split(CURSOR).next().unwrap_or_default();
    let kept = old.scrollback_capacity() + usize::from(rows.get());
    let start = last_rows(&all, kept, columns).min(before.len());
    let all = all.get(start..).unwrap_or(&all);
    let before = before.get(start..).unwrap_or(before);

    let above = main.lines_above(all);
    let laid_out = |text: &str| {
        let mut paper = CountingScreen::new(rows, columns, old.scrollback_capacity());
        let (above, shown) = text.split_at_checked(above).unwrap_or(("", text));
        paper.write(above);
        if !above.is_empty() {
            let (row, _) = paper.screen().cursor_position();
            paper.write(&format!("\x1b[{row}S\x1b[H"));
        }
        paper.write(shown);
        paper
    };
    let mut new = laid_out(before);
    let (row, column) = new.place();
    let all = all.trim_end_matches('\n');
    if let Some(behind) = all.get(before.len()..).filter(|behind| !behind.is_empty()) {
        // There is text after the cursor: a hint, or the rest of the line.
        new = laid_out(all);
        let goes_on = column == columns.get() && !behind.starts_with('\n');
        let (row, column) = if goes_on { (row + 1, 0) } else { (row, column) };
        let row = row.saturating_sub(new.scrolled()) + 1;
        new.write(&format!("\x1b[{row};{}H", column + 1));
    }
    if old.alternate_screen() {
        let mut drawn = old.clone();
        drawn.set_size(rows, columns);
        new.write("\x1b[?1049h");
        new.write(&drawn.contents_formatted());
    }
    new.write(&old.attributes_formatted());
    new.write(&old.input_mode_formatted());
    new.write(if old.hide_cursor() { "\x1b[?25l" } else { "\x1b[?25h" });
    new.screen().clone()
}

/// The text of a screen and its scrollback, with colours. Rows that were wrapped only at the
/// screen's edge are joined to one line.
pub(super) fn lines(screen: &Screen) -> String {
    let mut text = String::new();
    let mut state = BasicFormattedCaptureState::new();
    // Writing into a `String` cannot fail.
    let _ = screen
        .write_contents_formatted_basic(&mut text, BasicFormattedCaptureRange::Full(&mut state));
    let mut pieces = text.split(FILLER);
    let mut lines = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let character = piece.chars().find(|c| c.width().is_some_and(|width| width > 0));
        if !character.is_some_and(is_wide) {
            lines.push(FILLER);
        }
        lines.push_str(piece);
    }
    lines
}

/// The start of the lines that fill the last `rows` rows of a text. Text before them would be lost,
/// and scrolling it off would take long.
fn last_rows(text: &str, rows: usize, columns: NonZeroU16) -> usize {
    let mut filled = 0;
    for (at, _) in text.rmatch_indices('\n') {
        if filled >= rows {
            return at + 1;
        }
        let line = text[at + 1..].lines().next().unwrap_or_default();
        let plain = basic_formatted_to_plain(line).flat_map(str::chars);
        let cells: usize = plain.map(|c| c.width().unwrap_or(0)).sum();
        filled += cells.div_ceil(columns.get().into()).max(1);
    }
    0
}

/// Writes bytes to a screen. If only one cell is left in a row, a wide character is preceded by a
/// filler, since `vt100` treats a row as wrapped only if its last cell is used.
pub(super) fn show<C: Callbacks>(parser: &mut Parser<C>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|byte| *byte >= THREE_BYTES) {
        let (before, text) = rest.split_at(start);
        parser.process(before);
        let length = text[1..].iter().take_while(|byte| *byte & 0xc0 == 0x80).count() + 1;
        let (character, after) = text.split_at(length);
        let character_is_wide =
            core::str::from_utf8(character).is_ok_and(|text| text.chars().all(is_wide));
        let (_, column) = parser.screen().cursor_position();
        if character_is_wide && column + 1 == parser.screen().size().1.get() {
            parser.process(FILLER.encode_utf8(&mut [0; 4]).as_bytes());
        }
        parser.process(character);
        rest = after;
    }
    parser.process(rest);
}

fn is_wide(c: char) -> bool {
    c.width() == Some(2)
}

/// A screen that counts the rows that it has lost.
struct CountingScreen(Parser<LostRows>);

/// The number of rows that were dropped from the scrollback.
#[derive(Default)]
struct LostRows(usize);

impl Callbacks for LostRows {
    fn on_scroll(&mut self, _: RowContents<'_>, _: bool) {
        self.0 += 1;
    }
}

impl CountingScreen {
    fn new(rows: NonZeroU16, columns: NonZeroU16, scrollback: usize) -> Self {
        CountingScreen(Parser::new_with_callbacks(rows, columns, scrollback, LostRows::default()))
    }

    fn of(screen: Screen) -> Self {
        let (rows, columns) = screen.size();
        let mut paper = CountingScreen::new(rows, columns, 0);
        *paper.0.screen_mut() = screen;
        paper
    }

    fn screen(&self) -> &Screen {
        self.0.screen()
    }

    fn write(&mut self, text: &str) {
        show(&mut self.0, text.replace('\n', "\r\n").as_bytes());
    }

    /// Its text with colours; rows that were wrapped only at the screen's edge are joined to one
    /// line.
    fn lines(&self) -> String {
        lines(self.screen())
    }

    /// How much of the text is to stay above the screen: the part before the screen was cleared, if
    /// there is a scrollback and room below the cursor.
    fn lines_above(&self, all: &str) -> usize {
        let screen = self.screen();
        let (row, _) = screen.cursor_position();
        let has_room = row + 1 < screen.size().0.get() && all.ends_with('\n');
        if screen.scrollback_len() == 0 || !has_room {
            return 0;
        }
        let shown = screen.contents_formatted_basic().matches('\n').count();
        all.rmatch_indices('\n').nth(shown).map_or(0, |(at, _)| at + 1)
    }

    /// The number of rows above the screen.
    fn scrolled(&self) -> usize {
        self.0.callbacks().0 + self.screen().scrollback_len()
    }

    /// The position of the cursor: its row, counted from the first row ever written, and its
    /// column.
    fn place(&self) -> (usize, u16) {
        let (row, column) = self.screen().cursor_position();
        (self.scrolled() + usize::from(row), column)
    }
}
