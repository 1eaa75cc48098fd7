//! Skips the data of modules, which cannot be interpreted.

use super::cursor::{Cursor, Stop};

/// The characters of module type names.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The opcodes of a module's data, from Redis's `rdb.h`.
mod part {
    pub(super) const EOF: u64 = 0;
    pub(super) const SINT: u64 = 1;
    pub(super) const UINT: u64 = 2;
    pub(super) const FLOAT: u64 = 3;
    pub(super) const DOUBLE: u64 = 4;
    pub(super) const STRING: u64 = 5;
}

/// The state of skipping a module's data.
#[derive(Clone, Debug)]
pub(super) struct ModuleReader {
    /// Whether it is auxiliary data that belongs to no key.
    aux: bool,
    name: Option<String>,
}

impl ModuleReader {
    pub(super) fn new(aux: bool) -> Self {
        Self { aux, name: None }
    }

    /// Continues to skip. Returns the name of the module type at the end.
    pub(super) fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<String, Stop> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                let name = type_name(cursor.len()?);
                if self.aux {
                    // When the data is to be loaded: before or after the keys.
                    if cursor.len()? != part::UINT {
                        return Stop::bad("bad when_opcode");
                    }
                    cursor.len()?;
                }
                cursor.commit();
                self.name.insert(name).clone()
            }
        };
        loop {
            match cursor.len()? {
                part::EOF => {
                    cursor.commit();
                    return Ok(name);
                }
                part::SINT | part::UINT => {
                    cursor.len()?;
                }
                part::FLOAT => {
                    cursor.array::<4>()?;
                }
                part::DOUBLE => {
                    cursor.array::<8>()?;
                }
                part::STRING => {
                    cursor.text()?;
                }
                other => {
                    return Stop::bad(format!(
                        "Error reading part of kind {other} from module {name} value"
                    ));
                }
            }
            cursor.commit();
        }
    }
}

/// The nine-letter name encoded in the upper 54 bits of a module type's id.
pub(super) fn type_name(id: u64) -> String {
    let letter = |n: u32| char::from(LETTERS[(id >> (10 + 6 * n)) as usize & 63]);
    (0..9).rev().map(letter).collect()
}
