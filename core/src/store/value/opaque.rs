//! Values of types that no command works on here.

use super::Type;

/// A value that is kept as RDB writes it, so that it is not lost: it can be named, moved, copied,
/// dumped and saved, but not looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque {
    form: u8,
    payload: Vec<u8>,
}

impl Opaque {
    /// A stream: the byte that tells RDB's form, and what follows the key.
    pub fn stream(form: u8, payload: Vec<u8>) -> Self {
        Self { form, payload }
    }

    /// The type that TYPE names.
    pub fn kind(&self) -> Type {
        Type::Stream
    }

    /// The byte that tells in which form RDB writes it.
    pub fn form(&self) -> u8 {
        self.form
    }

    /// The value as RDB writes it.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}
