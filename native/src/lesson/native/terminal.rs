//! A pseudo-terminal with a program running in it, and the text that it has shown.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Rows: so many that nothing scrolls away during a lesson.
const ROWS: NonZero<u16> = NonZero::new(2_000).unwrap();
/// Columns: wide enough for the longest lines that servers print.
const COLUMNS: NonZero<u16> = NonZero::new(200).unwrap();

/// A program in a pseudo-terminal.
pub(super) struct Terminal {
    /// The host on which its program runs.
    pub(super) host: String,
    screen: Arc<Mutex<vt100::Parser>>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    // Closing this end of the terminal ends the program.
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts a program in a terminal of its own.
    pub(super) fn start(host: &str, command: CommandBuilder) -> Result<Self> {
        let size =
            PtySize { rows: ROWS.get(), cols: COLUMNS.get(), pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size)?;
        let child = pair.slave.spawn_command(command)?;
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader()?;
        let keys = pair.master.take_writer()?;
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // When the program ends, reading returns end of file or an error.
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                shown.lock().unwrap_or_else(PoisonError::into_inner).process(&buffer[..length]);
            }
        });
        Ok(Terminal { host: host.to_owned(), screen, keys, child, _master: pair.master })
    }

    /// The whole text that the terminal has shown.
    pub(super) fn text(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    /// Whether the program is still running.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends keys to the program.
    pub(super) fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes())?;
        Ok(self.keys.flush()?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
