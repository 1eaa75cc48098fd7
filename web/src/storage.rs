//! The browser's storage, which keeps entries between two visits.
//!
//! Inside a sandboxed frame of another origin a page has no storage. Entries are then kept until
//! the page is closed.

use core::cell::RefCell;

use limpid_core::sorted::SortedMap;

thread_local! {
    /// The entries of a page without storage.
    static MEMORY: RefCell<SortedMap<String, String>> = RefCell::default();
}

/// The value of an entry.
pub(crate) fn get(key: &str) -> Option<String> {
    match storage() {
        Some(storage) => storage.get_item(key).ok().flatten(),
        None => MEMORY.with_borrow(|memory| memory.get(key).cloned()),
    }
}

/// Sets an entry. False if the browser refuses, for instance because its quota is used up.
pub(crate) fn set(key: &str, value: &str) -> bool {
    match storage() {
        Some(storage) => storage.set_item(key, value).is_ok(),
        None => {
            MEMORY.with_borrow_mut(|memory| memory.insert(key.to_owned(), value.to_owned()));
            true
        }
    }
}

fn storage() -> Option<web_sys::Storage> {
    gloo::utils::window().local_storage().ok().flatten()
}
