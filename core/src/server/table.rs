//! The server's command table.

use std::sync::OnceLock;

use super::{Command, Redis};
use crate::command;
use crate::front::table::{DataGroups, Groups};
use crate::front::{Rows, Table};
use crate::persist;

/// Rows of commands on data, a slice for each group.
const DATA: DataGroups = &[
    command::strings::ROWS,
    command::keys::ROWS,
    command::lists::ROWS,
    command::sets::ROWS,
    command::hashes::ROWS,
    command::zsets::ROWS,
    command::bitmaps::ROWS,
    command::hyperloglog::ROWS,
    command::geo::ROWS,
    command::streams::ROWS,
    command::sort::ROWS,
    command::blocking::ROWS,
    persist::rdb::commands::ROWS,
];

/// Rows of commands that do not work on data.
const ADMINISTRATION: Groups<Redis> = &[
    Rows::<Redis>::CONNECTION,
    super::select::ROWS,
    Rows::<Redis>::ACL,
    Rows::<Redis>::CLIENT,
    Rows::<Redis>::CONFIG,
    Rows::<Redis>::COMMAND,
    Rows::<Redis>::INFO,
    super::basics::ROWS,
    super::lolwut::ROWS,
    Rows::<Redis>::SLOWLOG,
    Rows::<Redis>::LATENCY,
    super::modules::ROWS,
    super::memory::ROWS,
    super::debug::ROWS,
    super::transactions::ROWS,
    Rows::<Redis>::PUBSUB,
    Rows::<Redis>::MONITOR,
    super::persistence::save::ROWS,
    Rows::<Redis>::SHUTDOWN,
    super::replication::ROWS,
    super::replication::GENERIC_ROWS,
    super::aof::ROWS,
    super::migrate::ROWS,
    super::cluster::CONNECTION_ROWS,
    super::cluster::ROWS,
    super::scripting::ROWS,
    super::scripting::FUNCTION_ROWS,
];

/// All commands of a server.
pub(super) fn table() -> &'static Table<Redis> {
    static TABLE: OnceLock<Table<Redis>> = OnceLock::new();
    TABLE.get_or_init(|| Table::new(DATA, ADMINISTRATION))
}

/// All commands in the order of the table, each followed by its subcommands.
pub fn all() -> &'static [Command] {
    table().all()
}

/// Finds a command by its original full name, whatever `rename-command` says.
pub fn by_name(name: &str) -> Option<&'static Command> {
    table().by_name(name)
}

/// Whether there is a command of this name.
pub fn exists(name: &str) -> bool {
    by_name(name).is_some_and(|command| command.parent.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::find_keys;
    use crate::front::Names;
    use crate::resp::request::OwnedArgs;

    #[test]
    fn commands_are_found_in_any_case_and_only_by_their_new_name() {
        let names = Names::new(table(), &[]);
        assert_eq!(names.find(b"PiNg").map(|c| c.name.as_str()), Some("ping"));
        assert!(names.find(b"pin").is_none() && names.find(&[b'x'; 100]).is_none());
        let renames = [("ping".into(), "POng".into()), ("echo".into(), String::new())];
        let names = Names::new(table(), &renames);
        assert_eq!(names.find(b"pong").map(|c| c.name.as_str()), Some("ping"));
        assert!(names.find(b"ping").is_none() && names.find(b"echo").is_none());
        assert!(names.find(b"select").is_some());
    }

    #[test]
    fn names_are_unique_and_short_enough_to_be_found() {
        for command in all() {
            let found = by_name(&command.name).map(|c| c.id);
            assert_eq!(found, Some(command.id), "{}", command.name);
        }
    }

    fn keys_of(line: &str) -> Option<Vec<usize>> {
        let args: OwnedArgs = line.split(' ').collect();
        let command = by_name(args.as_args().at(0).escape_ascii().to_string().as_str());
        let found = find_keys::keys(command.expect("a command").meta, args.as_args())?;
        Some(found.into_iter().map(|(at, _)| at).collect())
    }

    #[test]
    fn keys_are_found_by_the_key_specs() {
        assert_eq!(keys_of("get a"), Some(vec![1]));
        assert_eq!(keys_of("mset a 1 b 2"), Some(vec![1, 3]));
        assert_eq!(keys_of("del a b c"), Some(vec![1, 2, 3]));
        assert_eq!(keys_of("ping x"), Some(vec![]));
        assert_eq!(keys_of("zunionstore d 2 a b weights 1 2"), Some(vec![1, 3, 4]));
        assert_eq!(keys_of("sort a by store store x get # store b"), Some(vec![1, 9]));
    }
}
