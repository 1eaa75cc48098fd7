//! LOLWUT: a picture drawn with the server's random numbers, and the version.
//!
//! As in Redis, each version has a picture of its own, and VERSION asks for an older one. Only
//! arithmetic that gives the same result on every platform is used: sums, products and square
//! roots, no sines.

use super::{Call, Handler, row};
use super::{LIMPID_VERSION, Server, VERSION};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};
use crate::resp::number::parse_i64;
use crate::rng::Rng;

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[row(Group::Server, "lolwut", -1, lolwut)
    .flags(flag::READONLY | flag::FAST)
    .since("5.0.0")
    .summary("Draws a little picture and tells the version.")
    .syntax("[VERSION version]")];

/// The most characters in a line.
const MAX_COLUMNS: i64 = 1000;
/// The most lines.
const MAX_LINES: i64 = 1000;
/// The most squares in a row or a column of version 5's picture.
const MAX_SQUARES: i64 = 200;

fn lolwut(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let chosen = call.args.len() > 2 && call.arg(1).eq_ignore_ascii_case(b"version");
    let number = |at| parse_i64(call.arg(at)).ok_or(CommandError::NotAnInteger);
    let version = if chosen { number(2)? } else { 7 };
    // A size argument, if given.
    let size = |at: usize, usual: i64, most: i64| match call.args.get(at) {
        Some(_) => number(at).map(|number| number.clamp(1, most)),
        None => Ok(usual),
    };
    let rng = &mut server.rng;
    let picture = match version {
        5 => {
            let columns = size(3, 66, MAX_COLUMNS)?;
            schotter(rng, columns, size(4, 8, MAX_SQUARES)?, size(5, 12, MAX_SQUARES)?)
        }
        6 => skyline(rng, size(3, 80, MAX_COLUMNS)?, size(4, 20, MAX_LINES)?),
        _ => ripples(rng),
    };
    let text = format!("{picture}\nRedis ver. {VERSION} (Limpid {LIMPID_VERSION})\n");
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

/// Ripples on clear water, different every time.
fn ripples(rng: &mut Rng) -> String {
    let drops: Vec<(f64, f64)> = (0..3).map(|_| (rng.unit() * 60.0, rng.unit() * 24.0)).collect();
    let mut picture = String::new();
    for y in 0..12 {
        let line: String = (0..60)
            .map(|x| {
                let distance = |&(cx, cy): &(f64, f64)| {
                    let (dx, dy) = (f64::from(x) - cx, f64::from(y) * 2.0 - cy);
                    (dx * dx + dy * dy).sqrt()
                };
                let nearest = drops.iter().map(distance).fold(f64::MAX, f64::min);
                match (nearest / 3.0) as u32 {
                    0 => 'o',
                    ring if ring <= 6 && ring % 2 == 0 => '~',
                    _ => ' ',
                }
            })
            .collect();
        picture += line.trim_end();
        picture.push('\n');
    }
    picture
}

/// "Schotter" after Georg Nees (1968): rows of squares that fall into disorder from the top down.
fn schotter(rng: &mut Rng, columns: i64, across: i64, down: i64) -> String {
    let width = columns * 2;
    let padding = if columns > 4 { 2 } else { 0 };
    let side = ((width - padding * 2) as f64 / across as f64).max(1.0);
    let most = (MAX_LINES * 4) as f64 / side;
    let down = down.min(most as i64).max(1);
    let height = (side * down as f64) as i64 + padding * 2;
    let mut canvas = Canvas::new(width, height);
    for row in 0..down {
        let disorder = row as f64 / down as f64;
        for column in 0..across {
            let mut shaken = |by: f64| (rng.unit() * 2.0 - 1.0) * by * disorder;
            let x = padding as f64 + (column as f64 + 0.5) * side + shaken(side / 3.0);
            let y = padding as f64 + (row as f64 + 0.5) * side + shaken(side / 3.0);
            // The tangent of half of the angle gives sine and cosine without either.
            let half = shaken(0.4);
            let (sin, cos) =
                (2.0 * half / (1.0 + half * half), (1.0 - half * half) / (1.0 + half * half));
            let reach = side / 2.0;
            let corners = [(-reach, -reach), (reach, -reach), (reach, reach), (-reach, reach)]
                .map(|(dx, dy)| (x + dx * cos - dy * sin, y + dx * sin + dy * cos));
            for (i, &from) in corners.iter().enumerate() {
                canvas.line(from, corners[(i + 1) % 4]);
            }
        }
    }
    canvas.text()
}

/// Houses in front of each other at night, some windows lit.
fn skyline(rng: &mut Rng, columns: i64, lines: i64) -> String {
    let (columns, lines) = (columns as usize, lines as usize);
    let mut sky = vec![vec![' '; columns]; lines];
    for (shade, least, most) in [('░', 0.5, 0.9), ('▒', 0.3, 0.7), ('█', 0.1, 0.5)] {
        let mut x = 0;
        while x < columns {
            let width = 4 + rng.below(8) as usize;
            let part = least + rng.unit() * (most - least);
            let top = lines - ((lines as f64 * part) as usize).clamp(1, lines);
            for (y, line) in sky.iter_mut().enumerate().skip(top) {
                for (at, place) in line.iter_mut().enumerate().skip(x).take(width) {
                    let is_window = shade == '█' && (at - x) % 2 == 1 && (y - top) % 2 == 1;
                    let is_lit = is_window && at + 1 < x + width && rng.chance(0.4);
                    *place = if is_lit { '·' } else { shade };
                }
            }
            x += width + rng.below(6) as usize;
        }
    }
    let line = |line: Vec<char>| line.into_iter().collect::<String>().trim_end().to_owned() + "\n";
    sky.into_iter().map(line).collect()
}

/// A picture of dots, eight to a character: Unicode's Braille patterns.
struct Canvas {
    width: i64,
    height: i64,
    /// The dots of each character, row by row, as the patterns number them.
    cells: Vec<u8>,
}

impl Canvas {
    /// Sizes are in dots.
    fn new(width: i64, height: i64) -> Self {
        let (width, height) = ((width + 1) / 2 * 2, (height + 3) / 4 * 4);
        Canvas { width, height, cells: vec![0; (width / 2 * (height / 4)) as usize] }
    }

    fn dot(&mut self, x: i64, y: i64) {
        if !(0..self.width).contains(&x) || !(0..self.height).contains(&y) {
            return;
        }
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let cell = (y / 4 * (self.width / 2) + x / 2) as usize;
        if let Some(cell) = self.cells.get_mut(cell) {
            *cell |= BITS[(y % 4) as usize][(x % 2) as usize];
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let steps = dx.abs().max(dy.abs()).ceil().max(1.0);
        for step in 0..=steps as i64 {
            let part = step as f64 / steps;
            self.dot((from.0 + dx * part) as i64, (from.1 + dy * part) as i64);
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for line in self.cells.chunks((self.width / 2).max(1) as usize) {
            let pattern = |&dots: &u8| char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ');
            text.extend(line.iter().map(pattern));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of lines, and the length of the longest.
    fn measure(picture: &str) -> (usize, usize) {
        let widest = picture.lines().map(|line| line.chars().count()).max();
        (picture.lines().count(), widest.unwrap_or_default())
    }

    #[test]
    fn pictures_have_the_size_that_is_asked_for() {
        let mut rng = Rng::new(7);
        let usual = schotter(&mut rng, 66, 8, 12);
        assert_eq!(measure(&usual), (49, 66), "{usual}");
        assert!(usual.chars().any(|c| !matches!(c, '\u{2800}' | '\n')));
        let night = skyline(&mut rng, 80, 20);
        assert_eq!(measure(&night), (20, 80), "{night}");
        assert!(['░', '▒', '█', '·'].iter().all(|shade| night.contains(*shade)), "{night}");
        assert_eq!(measure(&ripples(&mut rng)).0, 12);
    }

    #[test]
    fn the_smallest_and_the_largest_pictures_are_drawn() {
        let mut rng = Rng::new(7);
        assert!(measure(&schotter(&mut rng, 1, 1, 1)).1 == 1);
        assert!(measure(&schotter(&mut rng, 1, 200, 200)).1 == 1);
        let largest = schotter(&mut rng, 1000, 1, 200);
        assert!(measure(&largest).0 <= 1002, "{:?}", measure(&largest));
        assert_eq!(measure(&skyline(&mut rng, 1, 1)), (1, 1));
        assert_eq!(measure(&skyline(&mut rng, 1000, 1000)).0, 1000);
    }
}
