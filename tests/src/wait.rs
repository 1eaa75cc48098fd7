//! Waiting for a condition, with the same timeout and polling interval in all tests.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process::PATIENCE;

/// The polling interval: short compared with the waiting time, but long enough to leave the
/// processor to the servers.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until `holds` returns true.
///
/// # Panics
///
/// After [`PATIENCE`], with the text that `why` makes.
pub fn until(why: impl FnOnce() -> String, mut holds: impl FnMut() -> bool) {
    until_some(why, || holds().then_some(()));
}

/// Waits until `look` finds something, and returns that.
///
/// # Panics
///
/// After [`PATIENCE`], with the text that `why` makes.
pub fn until_some<T>(why: impl FnOnce() -> String, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain: {}", why()))
}

/// Waits until `look` finds something, and returns that; `None` if it finds nothing within
/// `patience`.
pub fn within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        sleep(PAUSE);
    }
}
