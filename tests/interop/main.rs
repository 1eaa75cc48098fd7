//! Redis's own programs as clients of Limpid, and as a mirror for it.

mod differential;
mod native;
mod programs;
