//! A screen of cells laid out anew for another size: a line is broken where the new rows end.
//!
//! The `vt100` crate cuts rows off when a screen becomes narrower. So what stands on the screen and
//! above it is read back as lines, with their colours, and written to a new screen.

use core::num::NonZeroU16;

use unicode_width::UnicodeWidthChar;
use vt100::capture::{
    BasicFormattedCaptureRange, BasicFormattedCaptureState, RowContents, basic_formatted_to_plain,
};
use vt100::{Callbacks, Parser, Screen};

/// Stands where the cursor is while the text before it is read. No program of a World prints it.
const CURSOR: char = '\u{f8ff}';

/// Fills a cell that is left over before a wide character: a blank that no program of a World prints.
const FILLER: char = '\u{a0}';
/// Characters that are two cells wide have three bytes at least, and so begin with this byte or a greater one.
const THREE_BYTES: u8 = 0xe0;

/// The same screen with so many rows and columns.
pub(super) fn reflowed(old: &Screen, rows: NonZeroU16, columns: NonZeroU16) -> Screen {
    // What `vi` and its like have drawn is theirs to draw anew; the lines below it are laid out.
    let mut main = Paper::of(old.clone());
    if old.alternate_screen() {
        main.write("\x1b[?1049l");
    }
    let all = main.lines();
    let mut before = Paper::of(main.screen().clone());
    // Two marks: what is erased begins with the last cell of a row, if the cursor stands behind it.
    before.write(&format!("\x1b[m{CURSOR}{CURSOR}\x1b[J"));
    let before = before.lines();
    let before = before.split(CURSOR).next().unwrap_or_default();
    let kept = old.scrollback_capacity() + usize::from(rows.get());
    let start = last_rows(&all, kept, columns).min(before.len());
    let all = all.get(start..).unwrap_or(&all);
    let before = before.get(start..).unwrap_or(before);

    let above = main.lines_above(all);
    let laid_out = |text: &str| {
        let mut paper = Paper::new(rows, columns, old.scrollback_capacity());
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
        // Something stands behind the cursor: a hint, or the rest of the line.
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

/// All text of a screen and of what has scrolled off it, with colours: one line for rows that were broken
/// only by the screen's end.
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

/// Where the lines begin that fill so many rows at the end of a text. What is before them would be lost, and
/// to scroll it off takes long.
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

/// Lets a screen show bytes. A wide character for which a row has one cell left is preceded by a filler, since
/// `vt100` takes a row for a part of the next one only if its last cell is used.
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
struct Paper(Parser<Lost>);

/// Rows that were dropped from the scrollback.
#[derive(Default)]
struct Lost(usize);

impl Callbacks for Lost {
    fn on_scroll(&mut self, _: RowContents<'_>, _: bool) {
        self.0 += 1;
    }
}

impl Paper {
    fn new(rows: NonZeroU16, columns: NonZeroU16, scrollback: usize) -> Self {
        Paper(Parser::new_with_callbacks(rows, columns, scrollback, Lost::default()))
    }

    fn of(screen: Screen) -> Self {
        let (rows, columns) = screen.size();
        let mut paper = Paper::new(rows, columns, 0);
        *paper.0.screen_mut() = screen;
        paper
    }

    fn screen(&self) -> &Screen {
        self.0.screen()
    }

    fn write(&mut self, text: &str) {
        show(&mut self.0, text.replace('\n', "\r\n").as_bytes());
    }

    /// All its text with its colours: one line for rows that were broken only by the screen's end.
    fn lines(&self) -> String {
        lines(self.screen())
    }

    /// How much of the text is to stay above the screen: that from before the screen was cleared, which is
    /// so if there are lines above it and it has room below the cursor.
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

    /// Rows above the screen.
    fn scrolled(&self) -> usize {
        self.0.callbacks().0 + self.screen().scrollback_len()
    }

    /// Rows above the cursor, from the first one ever written, and its column.
    fn place(&self) -> (usize, u16) {
        let (row, column) = self.screen().cursor_position();
        (self.scrolled() + usize::from(row), column)
    }
}
