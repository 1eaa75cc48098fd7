//! Starts a Sentinel: reads and checks its configuration, then runs its machine.

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use anyhow::Result;
use limpid_core::machine::{LogLevel, LogLine};
use limpid_core::sentinel::SentinelServer;

use super::options::{Sources, Text, load_included, strerror};
use super::{crash, drive, facts, limits, prepare, socket_options};

/// Reads the configuration and runs the Sentinel until it ends.
pub(super) fn start(sources: &Sources) -> Result<ExitCode> {
    let Text { text, stdin } = sources.read()?;
    let path = sources.path();
    let machine = SentinelServer::configured(
        path.clone(),
        &text,
        sources.directives(),
        facts(),
        &mut load_included,
        &mut is_executable,
    )?;
    let settings = machine.config().front().clone();
    prepare(&settings, &stdin, |log, milestones| {
        // A Sentinel keeps its state in the file, so it does not start without one.
        if let Some(path) = path
            && let Err(error) = OpenOptions::new().append(true).open(&path)
        {
            let text = format!(
                "Sentinel config file {path} is not writable: {}. Exiting...",
                strerror(&error)
            );
            log.write(&LogLine { level: LogLevel::Warning, role: 'X', text });
            return Ok(ExitCode::FAILURE);
        }
        crash::report_to(log.clone());
        if limits::make_room_for(settings.maxclients, &log).is_none() {
            return Ok(ExitCode::FAILURE);
        }
        drive(machine, socket_options(&settings), log, milestones)
    })
}

/// Whether a script exists and is executable.
fn is_executable(path: &str) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
