//! x
pub(super) fn open(_: &mut crate::vm::Lua) {}
