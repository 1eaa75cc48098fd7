//! Errors in ACL rules, in Redis's words.

use core::fmt;

/// Why an ACL rule was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// It names a command or category that does not exist.
    Unknown,
    /// It cannot be parsed, or its pattern contains blanks.
    Syntax,
    /// It adds a key pattern although all keys are allowed already.
    KeysAfterAll,
    /// It adds a channel pattern although all channels are allowed already.
    ChannelsAfterAll,
    /// It removes a password that the user does not have.
    NoSuchPassword,
    /// It gives a password hash that is not a SHA-256 digest.
    NotAHash,
    /// A user is declared twice.
    Duplicate,
    /// It allows a first argument of a subcommand (`+config|get|x`), which is not supported.
    FirstArgument,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::Syntax => "Syntax error",
            RuleError::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and \
                 does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and \
                 does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            RuleError::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            RuleError::NotAHash => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            RuleError::Duplicate => {
                "Duplicate user found. A user can only be defined once in config files"
            }
            RuleError::FirstArgument => "Allowing first-arg of a subcommand is not supported",
        })
    }
}

impl core::error::Error for RuleError {}
