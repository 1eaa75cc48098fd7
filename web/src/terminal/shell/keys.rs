//! The bytes that a terminal sends for a key, as in xterm.

/// A key with its modifiers, as the browser names it.
#[derive(Clone, Copy, Default)]
pub(super) struct Pressed<'a> {
    /// Its name or its character.
    pub key: &'a str,
    pub ctrl: bool,
    pub alt: bool,
    pub shift: bool,
}

/// The bytes of a key; `None` if it is not for the terminal. `application` is whether the program
/// has switched to application cursor keys.
pub(super) fn bytes(pressed: Pressed<'_>, application: bool) -> Option<String> {
    let Pressed { key, ctrl, alt, shift } = pressed;
    let mut chars = key.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        // Characters arrive by the field's `input` event, so that input methods work.
        return match (ctrl, alt) {
            (false, false) => None,
            (true, _) => control(c).map(|byte| with_alt(alt, byte.into())),
            (false, true) => Some(with_alt(true, c)),
        };
    }
    let cursor = |letter: char| {
        let modifiers = 1 + u8::from(shift) + 2 * u8::from(alt) + 4 * u8::from(ctrl);
        match (modifiers, application) {
            (1, false) => format!("\x1b[{letter}"),
            (1, true) => format!("\x1bO{letter}"),
            (modifiers, _) => format!("\x1b[1;{modifiers}{letter}"),
        }
    };
    let text = match key {
        "Enter" => "\r".to_owned(),
        "Tab" if shift => "\x1b[Z".to_owned(),
        "Tab" => "\t".to_owned(),
        "Backspace" => with_alt(alt, '\x7f'),
        "Escape" => "\x1b".to_owned(),
        "ArrowUp" => cursor('A'),
        "ArrowDown" => cursor('B'),
        "ArrowRight" => cursor('C'),
        "ArrowLeft" => cursor('D'),
        "Home" => cursor('H'),
        "End" => cursor('F'),
        "Insert" => "\x1b[2~".to_owned(),
        "Delete" => "\x1b[3~".to_owned(),
        "PageUp" => "\x1b[5~".to_owned(),
        "PageDown" => "\x1b[6~".to_owned(),
        _ => return None,
    };
    Some(text)
}

/// The bytes for pasted text: lines end as with Enter, and `bracketed` marks the text as pasted
/// (bracketed paste mode).
pub(super) fn pasted(text: &str, bracketed: bool) -> String {
    // Escape characters are removed, since they would act as keys.
    let text = text.replace("\r\n", "\r").replace('\n', "\r").replace('\x1b', "");
    match bracketed {
        true => format!("\x1b[200~{text}\x1b[201~"),
        false => text,
    }
}

fn control(c: char) -> Option<u8> {
    match c.to_ascii_lowercase() {
        c @ 'a'..='z' => Some(c as u8 - b'a' + 1),
        ' ' | '@' => Some(0),
        '[' => Some(0x1b),
        '\\' => Some(0x1c),
        ']' => Some(0x1d),
        '_' | '/' => Some(0x1f),
        _ => None,
    }
}

fn with_alt(alt: bool, c: char) -> String {
    if alt { format!("\x1b{c}") } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(key: &str) -> Option<String> {
        bytes(Pressed { key, ..Pressed::default() }, false)
    }

    #[test]
    fn keys_are_what_a_terminal_sends() {
        assert_eq!(plain("a"), None);
        assert_eq!(plain("Enter").as_deref(), Some("\r"));
        assert_eq!(plain("ArrowUp").as_deref(), Some("\x1b[A"));
        assert_eq!(plain("F5"), None);
        let ctrl = |key| bytes(Pressed { key, ctrl: true, ..Pressed::default() }, false);
        assert_eq!(ctrl("c").as_deref(), Some("\x03"));
        assert_eq!(ctrl("R").as_deref(), Some("\x12"));
        assert_eq!(ctrl("ArrowLeft").as_deref(), Some("\x1b[1;5D"));
        let up = Pressed { key: "ArrowUp", ..Pressed::default() };
        assert_eq!(bytes(up, true).as_deref(), Some("\x1bOA"));
    }

    #[test]
    fn what_is_pasted_ends_its_lines_as_by_enter_and_presses_no_escape() {
        assert_eq!(pasted("a\r\nb\nc\x1b[A", false), "a\rb\rc[A");
        assert_eq!(pasted("x", true), "\x1b[200~x\x1b[201~");
    }
}
