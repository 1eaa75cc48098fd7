//! Error replies of commands, in Redis's words, which clients match on.

use core::fmt;
use std::borrow::Cow;

use crate::store::WrongType;

/// The error reply of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds a value of another type.
    WrongType,
    /// The arguments do not fit the command's syntax.
    Syntax,
    /// A value is not an integer, or does not fit into 64 bits.
    NotAnInteger,
    /// A value is not a number.
    NotAFloat,
    /// An index or count lies outside what is allowed.
    OutOfRange,
    /// The key does not exist, where it must.
    NoSuchKey,
    /// Any other, with its code: `ERR …`. Bytes, since it may quote what a client sent.
    Text(Cow<'static, [u8]>),
}

impl CommandError {
    /// An error with a fixed text, code first.
    pub const fn text(text: &'static str) -> Self {
        CommandError::Text(Cow::Borrowed(text.as_bytes()))
    }

    /// An error with a formatted text, code first.
    pub fn composed(text: String) -> Self {
        CommandError::Text(Cow::Owned(text.into_bytes()))
    }

    /// An error that quotes an argument, byte for byte up to the first NUL, as Redis does. `before`
    /// starts with the code.
    pub fn quoting(before: &str, given: &[u8], after: &str) -> Self {
        CommandError::Text(Cow::Owned(
            [before.as_bytes(), up_to_nul(given), after.as_bytes()].concat(),
        ))
    }

    /// The number of arguments is wrong. `name` is the full name of the command (`client|kill`).
    pub fn arity(name: &str) -> Self {
        Self::composed(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// The subcommand is unknown. `command` is the container's name in capitals.
    pub fn subcommand(command: &str, given: &[u8]) -> Self {
        let given = &given[..given.len().min(128)];
        Self::quoting("ERR unknown subcommand '", given, &format!("'. Try {command} HELP."))
    }

    /// The subcommand does not take these arguments, or is unknown to a container that checks its
    /// own subcommands.
    pub fn subcommand_syntax(container: &str, given: &[u8]) -> Self {
        let before = "ERR unknown subcommand or wrong number of arguments for '";
        let given = &given[..given.len().min(128)];
        Self::quoting(before, given, &format!("'. Try {container} HELP."))
    }

    /// The text that is sent, without the leading dash.
    pub fn as_bytes(&self) -> &[u8] {
        let text = match self {
            CommandError::WrongType => {
                "WRONGTYPE Operation against a key holding the wrong kind of value"
            }
            CommandError::Syntax => "ERR syntax error",
            CommandError::NotAnInteger => "ERR value is not an integer or out of range",
            CommandError::NotAFloat => "ERR value is not a valid float",
            CommandError::OutOfRange => "ERR index out of range",
            CommandError::NoSuchKey => "ERR no such key",
            CommandError::Text(text) => return text,
        };
        text.as_bytes()
    }
}

/// The bytes before the first NUL: what a C string keeps of them.
pub(crate) fn up_to_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl core::error::Error for CommandError {}

impl From<WrongType> for CommandError {
    fn from(_: WrongType) -> Self {
        CommandError::WrongType
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_bytes_are_unchanged_even_if_not_utf8() {
        let error = CommandError::subcommand("CONFIG", b"\xff\xfe");
        assert_eq!(error.as_bytes(), b"ERR unknown subcommand '\xff\xfe'. Try CONFIG HELP.");
        assert_eq!(CommandError::quoting("ERR ", b"a\0b", "!").as_bytes(), b"ERR a!");
        assert!(error.to_string().starts_with("ERR unknown subcommand '"));
    }
}
