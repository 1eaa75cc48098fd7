//! The configuration of a Sentinel: all directives of a server are accepted, and those about
//! clients have an effect; the lines `sentinel ...` contain settings and the saved state.

use std::sync::OnceLock;

use super::config::Line;
use crate::acl::Catalog;
use crate::front::config::directive::{directive, flags};
use crate::front::config::{Directive, DirectiveError, Directives, Kind, Schema, Unit, Values};
use crate::server::config::ServerSchema;

/// The configuration file of a Sentinel.
pub type Config = crate::front::Config<SentinelSchema>;

/// The configuration schema of a Sentinel.
#[derive(Clone, Debug)]
pub struct SentinelSchema;

/// The lines `sentinel ...` of the file.
#[derive(Clone, Debug, Default)]
pub struct SentinelLines {
    /// The lines as read. Their numbers count only these lines.
    pub read: Vec<Line>,
    /// The lines to write, each with the key of its directive.
    pub written: Vec<(String, String)>,
}

/// Directives whose defaults differ from a server's.
static OWN: &[Directive] = &[
    directive("port", "", Kind::Number(0, 65_535, Unit::Plain), "26379", flags::NONE),
    // Sentinels on other hosts have to connect.
    directive("protected-mode", "", Kind::Bool, "no", flags::NONE),
];

impl Schema for SentinelSchema {
    type Settings = ();
    type State = SentinelLines;

    fn directives() -> &'static Directives {
        static ALL: OnceLock<Directives> = OnceLock::new();
        ALL.get_or_init(|| ServerSchema::directives().with(&[OWN]))
    }

    fn settings(_: &Values<Self>) {}

    fn commands() -> &'static dyn Catalog {
        super::commands::table()
    }

    fn read_line(config: &mut Config, name: &str, words: &[Vec<u8>]) -> Result<(), DirectiveError> {
        match (name, words) {
            ("sentinel", [_, ..]) => {
                let words: Vec<String> =
                    words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
                config.change_state(|lines| {
                    let number = lines.read.len() + 1;
                    let text = format!("sentinel {}", words.join(" "));
                    lines.read.push(Line { number, text, words });
                });
                Ok(())
            }
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }

    fn is_written(name: &str) -> bool {
        // There is no dataset to save.
        name != "save"
    }

    fn state_key(words: &[Vec<u8>]) -> Option<String> {
        let [first, second, ..] = words else { return None };
        let second = String::from_utf8_lossy(second).to_ascii_lowercase();
        let known = super::config::DIRECTIVES.contains(&second.as_str());
        (first.eq_ignore_ascii_case(b"sentinel") && known).then(|| key(&second))
    }

    fn state_lines(config: &Config) -> Vec<(String, String)> {
        config.state().written.clone()
    }
}

/// The key of a directive's lines. Old and new name of a directive have the same key.
pub(super) fn key(directive: &str) -> String {
    match directive {
        "known-slave" => "sentinel known-replica".to_owned(),
        other => format!("sentinel {other}"),
    }
}
