//! The limit of open files (`RLIMIT_NOFILE`).

use limpid_core::machine::LogLevel;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::log::Log;

/// File descriptors besides those of clients: files, listeners, the event loop. Redis's
/// `CONFIG_MIN_RESERVED_FDS`.
const RESERVED: u64 = 32;

/// Raises the limit of open files to make room for `clients`. Returns how many clients the limit
/// allows, or `None` if that is too few to start.
pub(crate) fn make_room_for(clients: u64, log: &Log) -> Option<u64> {
    let wanted = clients.saturating_add(RESERVED);
    let limit = getrlimit(Resource::Nofile);
    // No limit is more than enough.
    let Some(now) = limit.current else { return Some(clients) };
    if now >= wanted {
        return Some(clients);
    }
    let mut error = None;
    let reached = raise(wanted, now, limit.maximum, |e| error = Some(e));
    if reached >= wanted {
        let text = format!(
            "Increased maximum number of open files to {wanted} (it was originally set to {now})."
        );
        log.own(LogLevel::Notice, text);
        return Some(clients);
    }
    if reached <= RESERVED {
        let text = format!(
            "Your current 'ulimit -n' of {now} is not enough for the server to start. Please \
             increase your open file limit to at least {wanted}. Exiting."
        );
        log.own(LogLevel::Warning, text);
        return None;
    }
    let fit = reached - RESERVED;
    let why = error.map(|e: rustix::io::Errno| std::io::Error::from(e).to_string());
    for text in [
        format!(
            "You requested maxclients of {clients} requiring at least {wanted} max file \
             descriptors."
        ),
        format!(
            "Server can't set maximum open files to {wanted} because of OS error: {}.",
            why.as_deref()
                .and_then(|w| w.split(" (os").next())
                .unwrap_or("Operation not permitted")
        ),
        format!(
            "Current maximum open files is {reached}. maxclients has been reduced to {fit} to \
             compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'."
        ),
    ] {
        log.own(LogLevel::Warning, text);
    }
    Some(fit)
}

/// Raises the limit to `wanted`, or as far as the system allows. Returns the new limit.
fn raise(
    wanted: u64,
    now: u64,
    hard: Option<u64>,
    mut failed: impl FnMut(rustix::io::Errno),
) -> u64 {
    // A privileged process may raise the hard limit too; others may raise the soft limit up to it.
    let candidates = [
        Rlimit { current: Some(wanted), maximum: hard.map(|h| h.max(wanted)) },
        Rlimit { current: Some(wanted.min(hard.unwrap_or(wanted))), maximum: hard },
    ];
    for candidate in candidates {
        match setrlimit(Resource::Nofile, candidate) {
            Ok(()) => return candidate.current.unwrap_or(now),
            Err(e) => failed(e),
        }
    }
    now
}
