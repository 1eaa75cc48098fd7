//! Redaction: which arguments of commands are secrets (passwords, ACL rules). MONITOR and SLOWLOG
//! hide them, and clients keep them out of their histories.

use super::migrate;
use crate::resp::request::Args;

/// The text shown in place of a secret.
pub(crate) const REDACTED: &str = "(redacted)";

/// Configuration directives whose values are secret, including their aliases.
const DIRECTIVES: [&str; 5] =
    ["masterauth", "masteruser", "requirepass", "tls-client-key-file-pass", "tls-key-file-pass"];

/// Whether the value of a configuration directive is secret.
pub(crate) fn is_secret_directive(name: &[u8]) -> bool {
    DIRECTIVES.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether an argument of a command is secret. `command` is its full name in lower case, such as
/// `config|set`.
pub(crate) fn is_secret(command: &str, args: Args<'_>, index: usize) -> bool {
    let before = |n: usize, word: &[u8]| {
        index.checked_sub(n).is_some_and(|i| i > 0 && args.at(i).eq_ignore_ascii_case(word))
    };
    match command {
        "auth" => index > 0,
        "acl|setuser" => index > 1,
        "hello" => before(1, b"auth") || before(2, b"auth"),
        "config|set" => index >= 3 && index % 2 == 1 && is_secret_directive(args.at(index - 1)),
        "migrate" => migrate::is_secret(args, index),
        _ => false,
    }
}
