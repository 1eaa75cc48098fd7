//! Errors that commands answer, in Redis's words, which clients match on.

use core::fmt;
use std::borrow::Cow;

use crate::store::AnotherKind;

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another type.
    WrongType,
    /// The arguments do not fit the command's syntax.
    Syntax,
    /// A value is no integer, or does not fit into 64 bits.
    NotAnInteger,
    /// A value is no number.
    NotAFloat,
    /// An index or count lies outside what is allowed.
    OutOfRange,
    /// The key does not exist, where it must.
    NoSuchKey,
    /// Any other, with its code: `ERR …`.
    Text(Cow<'static, str>),
}

impl CommandError {
    /// An error with a fixed text, code first.
    pub const fn text(text: &'static str) -> Self {
        CommandError::Text(Cow::Borrowed(text))
    }

    /// An error with a composed text, code first.
    pub fn composed(text: String) -> Self {
        CommandError::Text(Cow::Owned(text))
    }

    /// The number of arguments is wrong. `name` is the full name of the command (`client|kill`).
    pub fn arity(name: &str) -> Self {
        Self::composed(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// The subcommand is unknown. `command` is the container's name in capitals.
    pub fn subcommand(command: &str, given: &[u8]) -> Self {
        let given = String::from_utf8_lossy(&given[..given.len().min(128)]).into_owned();
        Self::composed(format!("ERR unknown subcommand '{given}'. Try {command} HELP."))
    }

    /// What is sent, without the leading dash.
    pub fn as_str(&self) -> &str {
        match self {
            CommandError::WrongType => {
                "WRONGTYPE Operation against a key holding the wrong kind of value"
            }
            CommandError::Syntax => "ERR syntax error",
            CommandError::NotAnInteger => "ERR value is not an integer or out of range",
            CommandError::NotAFloat => "ERR value is not a valid float",
            CommandError::OutOfRange => "ERR index out of range",
            CommandError::NoSuchKey => "ERR no such key",
            CommandError::Text(text) => text,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for CommandError {}

impl From<AnotherKind> for CommandError {
    fn from(_: AnotherKind) -> Self {
        CommandError::WrongType
    }
}
