//! Redis's own programs as clients of Limpid, and as a mirror for it.

mod cli;
mod differential;
mod native;
mod programs;
