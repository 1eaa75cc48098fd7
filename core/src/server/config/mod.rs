//! The server's configuration: all directives of Redis 7.2, and the typed values of those that only
//! the server has. The mechanism is in [`crate::front::config`].

mod forms;
pub mod settings;
mod table;

use std::sync::OnceLock;

use crate::acl::Catalog;
pub use crate::front::config::{ConfigError, FrontSettings, OutputLimit, Permission};
use crate::front::config::{DirectiveError, Directives, FRONT_DIRECTIVES, Schema, Values};
pub use settings::{DisklessLoad, Fsync, PropagationError, Settings};

/// The configuration of a server.
pub type Config = crate::front::Config<ServerSchema>;

/// The directives of a server.
#[derive(Clone, Debug)]
pub struct ServerSchema;

/// Configuration of the server besides its directives.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Whether invalid checksums of RDB files and payloads are accepted, for tests.
    pub skip_checksum_validation: bool,
}

impl Schema for ServerSchema {
    type Settings = Settings;
    type State = State;

    const IGNORED: &'static [&'static str] = table::IGNORED;

    fn directives() -> &'static Directives {
        static ALL: OnceLock<Directives> = OnceLock::new();
        ALL.get_or_init(|| Directives::new(&[FRONT_DIRECTIVES, table::SERVER_DIRECTIVES]))
    }

    fn settings(values: &Values<Self>) -> Settings {
        Settings::of(values)
    }

    fn commands() -> &'static dyn Catalog {
        super::table::table()
    }

    fn read_line(_: &mut Config, name: &str, words: &[Vec<u8>]) -> Result<(), DirectiveError> {
        match (name, words) {
            ("loadmodule", [_, ..]) => Err("Modules are not supported. Remove this line.".into()),
            ("sentinel", [_, ..]) => Err("sentinel directive while not in sentinel mode".into()),
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }

    fn check(config: &Config) -> Result<(), DirectiveError> {
        if config.settings().replicaof.is_some() && config.get("cluster-enabled") == Some(b"yes") {
            return Err("replicaof directive not allowed in cluster mode".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
