//! CONFIG.
