//! `--test_hint` and `--test_hint_file`: hints without a terminal, for tests.

use std::process::exit;

use limpid_core::client::Help;
use limpid_core::client::quote::split_args;
use limpid_core::resp::value::Value;

use super::client::Client;
use super::options::Options;
use super::{fail, known_commands, print};

/// Prints the hint for a line.
pub(super) fn show(options: &Options, line: &str) -> i32 {
    let hint = help(options).hint(line).unwrap_or_default();
    print(&format!("{hint}\n"))
}

/// Checks hints against a file with a line and its expected hint, both in quotes, in each row.
/// The exit status is the number of differences.
pub(super) fn check(options: &Options, path: &str) -> i32 {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            return fail(&format!("Can't open file '{path}': {}", super::client::strerror(&error)));
        }
    };
    let help = help(options);
    let (mut passed, mut failed) = (0, 0);
    for row in text.lines().filter(|row| !row.starts_with('#')) {
        let words = split_args(row.as_bytes()).unwrap_or_default();
        let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
        let (input, expected) = match words.as_slice() {
            [] => continue,
            [input] => return fail(&format!("Missing expected hint for input '{input}'")),
            [input, expected, ..] => (input, expected),
        };
        let hint = help.hint(input).unwrap_or_default();
        if options.verbose {
            print(&format!("Input: '{input}', Expected: '{expected}', Hint: '{hint}'\n"));
        }
        // Trailing blanks are invisible.
        let hint = hint.trim_end();
        if hint == expected {
            passed += 1;
        } else {
            eprintln!("Test case '{input}' FAILED: expected '{expected}', got '{hint}'");
            failed += 1;
        }
    }
    let verdict = if failed == 0 { "SUCCESS" } else { "FAILURE" };
    print(&format!("{verdict}: {passed}/{} passed\n", passed + failed));
    exit(failed)
}

/// The commands of the server, or those that this program knows if the server cannot be asked.
fn help(options: &Options) -> Help {
    let known = || Help::clone(&known_commands());
    let Ok(mut client) = Client::open(options) else { return known() };
    let mut ask = |args: &[&str]| client.command(args).unwrap_or(Value::Null);
    Help::of_docs(&ask(&["COMMAND", "DOCS"])).unwrap_or_else(|| {
        let mut help = known();
        help.add_unknown(&ask(&["COMMAND"]));
        help
    })
}
