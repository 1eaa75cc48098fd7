//! A drawing of a hash ring, as SVG.
//!
//! Angles are given as rotations, and lengths along the circle as multiples of `pathLength`, so the
//! drawing needs no trigonometry and is the same to the last byte everywhere.

use core::fmt::{self, Write};

use super::{Arc, Sharding};

/// A ring with keys on it, to be displayed as SVG.
#[derive(Debug)]
pub struct Plot<'p> {
    /// The sharding whose ring is drawn.
    pub sharding: &'p Sharding,
    /// Keys to mark, each where its hash is.
    pub keys: &'p [Vec<u8>],
}

/// Colours of the nodes, used in turn and repeated: bright enough on a dark background, dark enough
/// on a bright one.
const COLOURS: [&str; 8] =
    ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2", "#9c755f", "#edc948"];

/// The circumference of the circle in its own unit (`pathLength`).
const CIRCLE: u64 = 3_600_000;

/// Half of the drawing's width.
const HALF: u32 = 300;
/// The ring's radius.
const RADIUS: u32 = 240;

impl fmt::Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.sharding.nodes();
        let height = 2 * HALF + 24 * nodes.len() as u32 + 16;
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-{HALF} -{HALF} {} {height}\" \
             font-family=\"sans-serif\" font-size=\"14\">",
            2 * HALF
        )?;
        writeln!(f, "<title>Hash ring of {} nodes</title>", nodes.len())?;
        let ring = self.sharding.ring();
        let arcs = ring.map(|ring| ring.arcs()).unwrap_or_default();
        for arc in &arcs {
            self.arc(f, arc)?;
        }
        for point in ring.map(|ring| ring.points()).unwrap_or_default() {
            writeln!(
                f,
                "<line y1=\"-{}\" y2=\"-{}\" stroke=\"{}\" transform=\"rotate({})\"/>",
                RADIUS - 14,
                RADIUS + 14,
                colour(point.node),
                Degrees(point.at)
            )?;
        }
        for key in self.keys {
            let Some(hash) = self.sharding.hash(key) else { continue };
            let node = ring.and_then(|ring| ring.node(hash as u32)).unwrap_or_default();
            writeln!(
                f,
                "<circle cy=\"-{}\" r=\"4\" fill=\"{}\" transform=\"rotate({})\"><title>{}</title>\
                 </circle>",
                RADIUS + 28,
                colour(node),
                Degrees(hash as u32),
                Escaped(key)
            )?;
        }
        for (i, node) in nodes.iter().enumerate() {
            let y = HALF + 24 * i as u32;
            let places: u64 =
                arcs.iter().filter(|arc| arc.node == i as u32).map(|arc| arc.len).sum();
            let share = Share { part: places, whole: super::Ring::PLACES };
            writeln!(
                f,
                "<rect x=\"-{x}\" y=\"{y}\" width=\"14\" height=\"14\" fill=\"{}\"/>\
                 <text x=\"-{}\" y=\"{}\">{} ({share})</text>",
                colour(i as u32),
                RADIUS - 24,
                y + 12,
                Escaped(&node.name),
                x = RADIUS,
            )?;
        }
        f.write_str("</svg>\n")
    }
}

impl Plot<'_> {
    fn arc(&self, f: &mut fmt::Formatter<'_>, arc: &Arc) -> fmt::Result {
        let len = arc.len * CIRCLE / super::Ring::PLACES;
        // A circle begins at three o'clock; the ring begins at the top.
        writeln!(
            f,
            "<circle r=\"{RADIUS}\" fill=\"none\" stroke=\"{}\" stroke-width=\"12\" \
             pathLength=\"{CIRCLE}\" stroke-dasharray=\"{len} {CIRCLE}\" \
             transform=\"rotate(-90) rotate({})\"/>",
            colour(arc.node),
            Degrees(arc.start)
        )
    }
}

fn colour(node: u32) -> &'static str {
    COLOURS[node as usize % COLOURS.len()]
}

/// A position on the ring as an angle.
struct Degrees(u32);

impl fmt::Display for Degrees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = u64::from(self.0) * 360_000 / super::Ring::PLACES;
        write!(f, "{}.{:03}", thousandths / 1_000, thousandths % 1_000)
    }
}

/// A part of a whole in percent with one decimal, rounded.
pub(super) struct Share {
    pub(super) part: u64,
    pub(super) whole: u64,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (part, whole) = (u128::from(self.part), u128::from(self.whole.max(1)));
        let tenths = (part * 1_000 + whole / 2) / whole;
        write!(f, "{}.{} %", tenths / 10, tenths % 10)
    }
}

/// Text inside an element.
struct Escaped<'t>(&'t [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in String::from_utf8_lossy(self.0).chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                c if c.is_control() => f.write_str("\u{fffd}")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
