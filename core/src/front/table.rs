//! The command table of a service, assembled from rows that are defined beside their handlers.

use core::marker::PhantomData;

use super::call::Handler;
use super::names::Index;
use super::{Front, Service};
use crate::acl::{Catalog, CommandInfo};
use crate::command::{self, Meta, Row};

/// Rows of commands on data: a slice for each group.
pub type DataGroups = &'static [&'static [Row<command::Handler>]];

/// Rows of commands that do not work on data: a slice for each group.
pub type Groups<S> = &'static [&'static [Row<Handler<S>>]];

/// The command table of a service. One value serves all its instances.
#[derive(Debug)]
pub struct Table<S: Service> {
    commands: Vec<Command<S>>,
    names: Index,
}

/// The rows of the front's own commands: one associated constant for each group. A service adds
/// those that it offers to its table.
#[derive(Debug)]
pub struct Rows<S>(PhantomData<S>);

/// One command, or one subcommand.
#[derive(Debug)]
pub struct Command<S: Service> {
    /// Index in [`Table::all`] and in the statistics.
    pub id: u16,
    /// Its full name in lower case: `get`, `client|list`.
    pub name: String,
    /// Arity, flags, key positions and documentation.
    pub meta: &'static Meta,
    /// The handler.
    pub run: Run<S>,
    /// Whether the fast path may call it: it works on keys only, also in a cluster, and has no
    /// subcommands, so it changes no state that the checks depend on.
    pub plain: bool,
    /// The container, for a subcommand.
    pub parent: Option<u16>,
    /// Its subcommands.
    pub subcommands: Vec<u16>,
}

/// The handler of a command.
#[derive(Debug)]
pub enum Run<S: Service> {
    /// A command on data.
    Data(command::Handler),
    /// A command that does not work on data.
    Service(Handler<S>),
}

impl<S: Service> Clone for Run<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Service> Copy for Run<S> {}

impl<S: Service> Table<S> {
    /// The table of these groups of rows.
    pub fn new(data: DataGroups, groups: Groups<S>) -> Self {
        Self::selected(data, groups, |_| true)
    }

    /// The table of those commands of these groups whose name (`container|subcommand` for a
    /// subcommand) `offered` accepts. Where two have the same name, the later group wins.
    pub fn selected(data: DataGroups, groups: Groups<S>, offered: impl Fn(&str) -> bool) -> Self {
        let mut commands = Vec::new();
        for row in data.iter().copied().flatten().filter(|row| offered(row.meta.name)) {
            add(&mut commands, row, Run::Data, None, &offered);
        }
        for (at, group) in groups.iter().enumerate() {
            let replaced = |name| {
                groups[at + 1..].iter().copied().flatten().any(|later| later.meta.name == name)
            };
            for row in group.iter().filter(|row| offered(row.meta.name)) {
                if !replaced(row.meta.name) {
                    add(&mut commands, row, Run::Service, None, &offered);
                }
            }
        }
        let names = Index::new(
            commands.iter().filter(|c| c.parent.is_none()).map(|c| (c.name.clone(), c.id)),
        );
        Self { commands, names }
    }

    /// All commands in the order of the rows, each followed by its subcommands.
    #[inline]
    pub fn all(&self) -> &[Command<S>] {
        &self.commands
    }

    /// The command of this id.
    #[inline]
    pub fn get(&self, id: u16) -> Option<&Command<S>> {
        self.commands.get(usize::from(id))
    }

    /// Finds a command by its original full name, whatever `rename-command` says.
    pub fn by_name(&self, name: &str) -> Option<&Command<S>> {
        let (container, sub) = match name.split_once('|') {
            Some((container, sub)) => (container, Some(sub)),
            None => (name, None),
        };
        let command = self.get(self.names.place(container.as_bytes())?)?;
        match sub {
            None => Some(command),
            Some(sub) => self.subcommand(command, sub.as_bytes()),
        }
    }

    /// Finds a subcommand by name, ignoring case.
    pub fn subcommand(&self, container: &Command<S>, name: &[u8]) -> Option<&Command<S>> {
        self.subcommands(container).find(|sub| sub.meta.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The subcommands of a container.
    pub fn subcommands(&self, container: &Command<S>) -> impl Iterator<Item = &Command<S>> {
        container.subcommands.iter().filter_map(|id| self.get(*id))
    }

    #[inline]
    pub(super) fn names(&self) -> &Index {
        &self.names
    }
}

impl<S: Service> Catalog for Table<S> {
    fn find(&self, name: &[u8]) -> Option<CommandInfo<'_>> {
        let name = core::str::from_utf8(name).ok()?;
        self.by_name(name).map(Command::info)
    }

    fn get(&self, id: u16) -> Option<CommandInfo<'_>> {
        self.commands.get(usize::from(id)).map(Command::info)
    }
}

impl<S: Service> Command<S> {
    /// The command as ACL rules see it.
    pub(crate) fn info(&self) -> CommandInfo<'_> {
        CommandInfo {
            id: self.id,
            name: &self.name,
            meta: self.meta,
            is_subcommand: self.parent.is_some(),
            subcommands: &self.subcommands,
        }
    }
}

impl<S: Service> Front<S> {
    /// The name of a client's last command.
    pub(crate) fn name_of(id: Option<u16>) -> Option<&'static str> {
        Some(S::table().get(id?)?.name.as_str())
    }
}

fn add<S: Service, H: Copy>(
    commands: &mut Vec<Command<S>>,
    row: &'static Row<H>,
    run: fn(H) -> Run<S>,
    parent: Option<u16>,
    offered: &impl Fn(&str) -> bool,
) {
    let id = commands.len() as u16;
    let name = match parent.and_then(|p| commands.get(usize::from(p))) {
        Some(parent) => format!("{}|{}", parent.name, row.meta.name),
        None => row.meta.name.to_owned(),
    };
    let run_as = run(row.handler);
    let on_data = matches!(run_as, Run::Data(_)) && row.meta.group != command::Group::Server;
    commands.push(Command {
        id,
        name,
        meta: &row.meta,
        run: run_as,
        plain: on_data
            && row.subcommands.is_empty()
            && parent.is_none()
            && row.meta.not_in_cluster.is_none(),
        parent,
        subcommands: Vec::new(),
    });
    for sub in row.subcommands {
        let full = format!("{}|{}", commands[usize::from(id)].name, sub.meta.name);
        if !offered(&full) {
            continue;
        }
        let sub_id = commands.len() as u16;
        commands[usize::from(id)].subcommands.push(sub_id);
        add(commands, sub, run, Some(id), offered);
    }
}
