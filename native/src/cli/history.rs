//! The history file and the preferences file, where redis-cli keeps them.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// The number of lines that are kept.
pub(super) const KEPT: usize = 1_000;

/// The history of typed lines, with its file.
pub(super) struct History {
    file: Option<PathBuf>,
    lines: VecDeque<String>,
}

impl History {
    /// Reads the file.
    pub(super) fn load() -> Self {
        let file = dotfile("REDISCLI_HISTFILE", ".rediscli_history");
        let text = file.as_ref().and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut lines: VecDeque<String> = text.lines().map(str::to_string).collect();
        while lines.len() > KEPT {
            lines.pop_front();
        }
        History { file, lines }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Adds a line and writes the file; errors in writing are ignored.
    pub(super) fn add(&mut self, line: &str) {
        if self.lines.back().is_some_and(|last| last == line) {
            return;
        }
        self.lines.push_back(line.to_string());
        if self.lines.len() > KEPT {
            self.lines.pop_front();
        }
        let Some(path) = &self.file else { return };
        // Typed lines are private, so only the owner may read the file.
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        if let Ok(mut file) = file {
            let mut text = String::new();
            for line in &self.lines {
                text.push_str(line);
                text.push('\n');
            }
            let _ = file.write_all(text.as_bytes());
        }
    }
}

/// The lines of `~/.redisclirc`, or of the file that `REDISCLI_RCFILE` names.
pub(super) fn preferences() -> Vec<Vec<u8>> {
    dotfile("REDISCLI_RCFILE", ".redisclirc")
        .and_then(|file| std::fs::read(file).ok())
        .map(|text| text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect())
        .unwrap_or_default()
}

/// The path of a file in the home directory, unless an environment variable names another;
/// `None` for `/dev/null`.
fn dotfile(variable: &str, name: &str) -> Option<PathBuf> {
    let not_empty = |path: &std::ffi::OsString| !path.is_empty();
    match std::env::var_os(variable).filter(not_empty) {
        Some(path) if path == "/dev/null" => None,
        Some(path) => Some(path.into()),
        None => {
            let home = std::env::var_os("HOME").filter(not_empty)?;
            Some(PathBuf::from(home).join(name))
        }
    }
}
