//! The part of a program's command table that ACL rules depend on.

use crate::command::Meta;

/// The commands of a program, as ACL rules see them. Rules use the original names, whatever
/// `rename-command` has made of them.
pub trait Catalog {
    /// Finds a command by its full name (`get`, `client|list`), ignoring case.
    fn find(&self, name: &[u8]) -> Option<CommandInfo<'_>>;

    /// The command of this id. Ids count from 0 without gaps.
    fn get(&self, id: u16) -> Option<CommandInfo<'_>>;
}

/// One command, or one subcommand.
#[derive(Clone, Copy)]
pub struct CommandInfo<'a> {
    /// Its number among all commands.
    pub id: u16,
    /// Its full name in lower case.
    pub name: &'a str,
    /// Arity, flags, categories and key positions.
    pub meta: &'static Meta,
    /// Whether it is a subcommand.
    pub is_subcommand: bool,
    /// The ids of its subcommands.
    pub subcommands: &'a [u16],
}

impl dyn Catalog + '_ {
    /// All commands, each followed by its subcommands.
    pub fn all(&self) -> impl Iterator<Item = CommandInfo<'_>> {
        (0..).map_while(|id| self.get(id))
    }
}
