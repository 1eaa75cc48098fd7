//! Converts a screen of cells to runs of text with the same style.

use core::ops::Range;

use limpid_core::sim::{Color, Screen};

/// The style of cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Look {
    pub front: Color,
    pub back: Color,
    pub bold: bool,
    pub dim: bool,
    pub italic: bool,
    pub underlined: bool,
    pub inverse: bool,
    /// Whether the cursor is here.
    pub cursor: bool,
    /// Whether the character takes two cells.
    pub wide: bool,
    /// The address that this is a part of, by its index in [`Row::addresses`].
    pub address: Option<usize>,
}

/// A run of adjacent cells with the same style.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub text: String,
    pub look: Look,
}

/// A row of a screen: its runs, and the addresses (`host:port`) in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Row {
    pub runs: Vec<Run>,
    pub addresses: Vec<(String, u16)>,
}

/// Converts the rows of a screen.
pub(super) fn rows(screen: &Screen) -> Vec<Row> {
    let (height, width) = screen.size();
    let cursor = match screen.hide_cursor() || screen.scrollback() > 0 {
        true => None,
        false => Some(screen.cursor_position()),
    };
    (0..height.get()).map(|row| one(screen, row, width.get(), cursor)).collect()
}

fn one(screen: &Screen, row: u16, width: u16, cursor: Option<(u16, u16)>) -> Row {
    let mut cells: Vec<(String, Look)> = Vec::new();
    for column in 0..width {
        let Some(cell) = screen.cell(row, column) else { continue };
        if cell.is_wide_continuation() {
            continue;
        }
        let text = if cell.has_contents() { cell.contents().to_owned() } else { " ".to_owned() };
        let look = Look {
            front: cell.fgcolor(),
            back: cell.bgcolor(),
            bold: cell.bold(),
            dim: cell.dim(),
            italic: cell.italic(),
            underlined: cell.underline(),
            inverse: cell.inverse(),
            // A cursor after the last column is shown on that column.
            cursor: cursor.is_some_and(|(y, x)| y == row && x.min(width - 1) == column),
            wide: cell.is_wide(),
            address: None,
        };
        cells.push((text, look));
    }
    let text: Vec<char> =
        cells.iter().map(|(text, _)| text.chars().next().unwrap_or(' ')).collect();
    let mut addresses = Vec::new();
    for (number, (range, host, port)) in find_addresses(&text).into_iter().enumerate() {
        for (_, look) in &mut cells[range] {
            look.address = Some(number);
        }
        addresses.push((host, port));
    }
    // Trailing blanks without a style are not drawn.
    let blank = |(text, look): &(String, Look)| text == " " && *look == Look::default();
    let end = cells.iter().rposition(|cell| !blank(cell)).map_or(0, |at| at + 1);
    cells.truncate(end);
    let mut runs: Vec<Run> = Vec::new();
    for (text, look) in cells {
        match runs.last_mut() {
            Some(last) if last.look == look && !look.wide => last.text.push_str(&text),
            _ => runs.push(Run { text, look }),
        }
    }
    Row { runs, addresses }
}

/// Finds addresses (`host:port`) in a text.
fn find_addresses(text: &[char]) -> Vec<(Range<usize>, String, u16)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if !is_part(text[at]) {
            at += 1;
            continue;
        }
        let end = text[at..].iter().position(|&c| !is_part(c)).map_or(text.len(), |n| at + n);
        let word: String = text[at..end].iter().collect();
        if let Some((host, port)) = word.trim_end_matches(['.', ':']).split_once(':') {
            // The address of a cluster node is followed by @ and its bus port.
            if let (false, Ok(port)) = (host.is_empty(), port.parse::<u16>()) {
                let length = host.len() + 1 + port.to_string().len();
                found.push((at..at + length, host.to_owned(), port));
            }
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<(Range<usize>, String, u16)> {
        find_addresses(&text.chars().collect::<Vec<_>>())
    }

    #[test]
    fn addresses_are_found_where_they_stand() {
        assert_eq!(addresses("at 10.0.0.1:6379."), [(3..16, "10.0.0.1".to_owned(), 6379)]);
        assert_eq!(addresses("10.0.0.1:6379@16379 x").len(), 1);
        assert_eq!(addresses("12:30:05 a:b : :1"), []);
        assert_eq!(addresses("redis-1:6380>")[0].0, 0..12);
    }
}
