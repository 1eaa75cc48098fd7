//! The terminal: whether there is one, reading single keys, asking for passwords.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Whether standard output is a terminal. Tests set `FAKETTY` in the environment.
pub(super) fn stdout_is_tty() -> bool {
    io::stdout().is_terminal() || std::env::var_os("FAKETTY").is_some()
}

/// Whether standard input is a terminal.
pub(super) fn stdin_is_tty() -> bool {
    io::stdin().is_terminal()
}

/// Whether the terminal is known to support colours.
pub(super) fn has_colors() -> bool {
    std::env::var("TERM").is_ok_and(|term| term.contains("xterm"))
}

/// The terminal in raw input mode: each key arrives at once and is not echoed, until this is
/// dropped.
pub(super) struct KeyMode {
    before: Termios,
}

impl KeyMode {
    /// `None` if standard input is no terminal.
    pub(super) fn enter() -> Option<Self> {
        Self::without(LocalModes::ECHO | LocalModes::ICANON)
    }

    fn without(modes: LocalModes) -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut now = before.clone();
        now.local_modes.remove(modes);
        tcsetattr(io::stdin(), OptionalActions::Now, &now).ok()?;
        Some(KeyMode { before })
    }
}

impl Drop for KeyMode {
    fn drop(&mut self) {
        // If it fails there is nowhere left to report it.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Asks for a password, which is not echoed.
pub(super) fn ask_password(prompt: &str) -> io::Result<Vec<u8>> {
    let hidden = KeyMode::without(LocalModes::ECHO);
    let mut out = io::stdout().lock();
    out.write_all(prompt.as_bytes())?;
    out.flush()?;
    let mut line = Vec::new();
    io::stdin().lock().read_until(b'\n', &mut line)?;
    if hidden.is_some() {
        out.write_all(b"\n")?;
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(line)
}
