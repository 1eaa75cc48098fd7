//! Waiting for a condition, with one deadline and one pause between two looks for all tests.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process::PATIENCE;

/// The pause between two looks: short beside what is waited for, long enough that a test does not
/// take the processor away from the servers that it waits for.
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

/// Waits until `look` finds something, and returns that; `None` if it finds nothing for so long.
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
