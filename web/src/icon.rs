//! The icons of the page: strokes on a 16-unit square, in the colour of the surrounding text.

use yew::prelude::*;

/// An icon of the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Icon {
    /// A triangle.
    Play,
    /// Two bars.
    Pause,
    /// A bar and a triangle.
    StepForward,
    /// The same, mirrored.
    StepBack,
    /// To the end.
    ToLive,
    /// To the marker on the left.
    JumpBack,
    /// To the marker on the right.
    JumpForward,
    /// An open book.
    Lesson,
    /// A sun.
    Sun,
    /// A moon.
    Moon,
    /// Half of each.
    Half,
    /// An arrow out of a box.
    Share,
    /// A question mark.
    Help,
    /// A cross.
    Close,
    /// A plus.
    Plus,
    /// A minus.
    Minus,
    /// Four corners.
    Fit,
    /// A loop.
    Lasso,
    /// Rows.
    Table,
    /// A caret.
    Terminal,
    /// A box with a line down its middle.
    Split,
    /// A magnifying glass.
    Inspect,
    /// A bolt.
    Crash,
    /// An arrow in a circle.
    Restart,
    /// Scissors.
    Cut,
    /// Two joined links.
    Heal,
    /// A clock.
    Clock,
    /// Drops.
    Loss,
    /// A fork in the road.
    Branch,
    /// A map.
    Map,
    /// Lines with ticks.
    Ledger,
    /// Three dots.
    More,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Icon::Play => "M5 3.2v9.6L12.8 8z",
            Icon::Pause => "M5.2 3.5v9M10.8 3.5v9",
            Icon::StepForward => "M4 3.8v8.4L10.4 8zM12.2 3.8v8.4",
            Icon::StepBack => "M12 3.8v8.4L5.6 8zM3.8 3.8v8.4",
            Icon::ToLive => "M3 4v8l5-4zM8 4v8l5-4z",
            Icon::JumpBack => "M9.8 3.6 5.4 8l4.4 4.4",
            Icon::JumpForward => "M6.2 3.6 10.6 8l-4.4 4.4",
            Icon::Sun => {
                "M8 5.2a2.8 2.8 0 1 0 0 5.6a2.8 2.8 0 0 0 0-5.6M8 1.6v1.2M8 13.2v1.2M1.6 8h1.2M13.2 8h1.2M3.5 3.5l.9.9M11.6 11.6l.9.9M12.5 3.5l-.9.9M4.4 11.6l-.9.9"
            }
            Icon::Moon => "M13 9.6A5.4 5.4 0 0 1 6.4 3a5.4 5.4 0 1 0 6.6 6.6z",
            Icon::Half => {
                "M8 2.4a5.6 5.6 0 1 0 0 11.2a5.6 5.6 0 0 0 0-11.2zM8 2.4v11.2M8 5h4.6M8 8h5.6M8 11h4.6"
            }
            Icon::Share => "M8 10V2.4M5 5l3-2.8L11 5M3.4 8v5.2h9.2V8",
            Icon::Help => "M5.6 5.9a2.4 2.4 0 1 1 3.7 2.1C8.4 8.600 8 9 8 10M8 12.600v.2",
            Icon::Close => "M4 4l8 8M12 4l-8 8",
            Icon::Plus => "M8 3.2v9.6M3.2 8h9.6",
            Icon::Minus => "M3.2 8h9.6",
            Icon::Fit => "M2.8 6V2.8H6M10 2.800h3.200V6M13.200 10v3.200H10M6 13.200H2.800V10",
            Icon::Lasso => {
                "M8 2.800c3.400 0 5.800 1.600 5.800 3.800S11.400 10.400 8 10.400S2.200 8.800 2.200 6.600S4.600 2.800 8 2.800M4.400 9.600c-.8 1.400.2 2.200 1.200 2c1.200-.2 1.200-1.600.2-1.700M5.600 11.600c0 1.200-.6 1.800-1.600 2.200"
            }
            Icon::Table => {
                "M2.400 3.600h11.200v8.800H2.400zM2.400 6.800h11.200M2.400 9.600h11.200M6.200 6.800v5.600"
            }
            Icon::Split => "M2.800 3.600h10.400v8.800H2.800zM8 3.600v8.800",
            Icon::Terminal => "M3.200 4.400 6.800 8l-3.600 3.600M8.400 11.800h4.400",
            Icon::Inspect => {
                "M7 2.800a4.200 4.200 0 1 0 0 8.400a4.200 4.200 0 0 0 0-8.400M10.100 10.100l3.300 3.300"
            }
            Icon::Crash => "M9 1.800 3.600 9h3.800L6.600 14.200 12.400 7H8.400z",
            Icon::Restart => "M12.800 8a4.800 4.800 0 1 1-1.600-3.600M11.600 1.800v2.900H8.700",
            Icon::Cut => {
                "M5 10.200a1.800 1.800 0 1 0 0 3.600a1.800 1.800 0 0 0 0-3.600M11 10.200a1.800 1.800 0 1 0 0 3.600a1.800 1.800 0 0 0 0-3.600M6 10.400 11.600 2.200M10 10.400 4.400 2.200"
            }
            Icon::Heal => {
                "M6.800 5.200 8.400 3.600a2.830 2.830 0 0 1 4 4L10.800 9.200M9.200 10.800 7.600 12.400a2.830 2.830 0 0 1-4-4L5.200 6.800M6.400 9.600l3.200-3.200"
            }
            Icon::Clock => {
                "M8 2.400a5.600 5.600 0 1 0 0 11.200a5.600 5.600 0 0 0 0-11.200M8 5v3.200l2.200 1.400"
            }
            Icon::Loss => {
                "M2.400 8h2.200M6.800 8H9M11.400 8h2.200M7.200 4.400l1.600-1.600M7.200 13.200l1.600-1.600"
            }
            Icon::Branch => {
                "M4.400 2.600v10.800M4.400 9.400c0-3 6.800-1.600 6.800-6M9 5.200l2.200-2.400 2.200 2.400"
            }
            Icon::Lesson => {
                "M8 4.400C6.600 3.400 4.600 3 2.400 3.200v9.400c2.200-.2 4.200.2 5.600 1.200 1.400-1 3.400-1.400 5.600-1.200V3.200c-2.200-.2-4.200.2-5.600 1.200zM8 4.400v9.400"
            }
            Icon::Ledger => {
                "M3 2.600h10v10.800H3zM5.400 6l.9.9 1.500-1.700M9.400 6H11M5.400 10l.9.9 1.500-1.700M9.400 10H11"
            }
            Icon::More => {
                "M2.500 8a.5.5 0 1 0 1 0a.5.5 0 1 0-1 0zM7.500 8a.5.5 0 1 0 1 0a.5.5 0 1 0-1 0zM12.500 8a.5.5 0 1 0 1 0a.5.5 0 1 0-1 0z"
            }
            Icon::Map => {
                "M2.400 4.200 6 2.800l4 1.400 3.600-1.400v9L10 13.200l-4-1.400-3.600 1.400zM6 2.800v9M10 4.200v9"
            }
        }
    }
}

/// Draws an icon. It is hidden from screen readers: the control that it is on has a label.
pub(crate) fn glyph(icon: Icon) -> Html {
    let filled = matches!(icon, Icon::Play);
    html! {
        <svg class={classes!("glyph", filled.then_some("filled"))} viewBox="0 0 16 16"
            width="16" height="16" aria-hidden="true" focusable="false">
            <path d={icon.path()} />
        </svg>
    }
}
