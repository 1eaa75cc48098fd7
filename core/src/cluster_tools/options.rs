//! The command line of the cluster tools.

use std::collections::VecDeque;

use super::trib;

/// The program that is imitated, which decides about output and options.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// `redis-cli --cluster` of Redis 7.
    #[default]
    Cli,
    /// `redis-trib.rb` of Redis 4.
    Trib,
}

impl Dialect {
    /// The output of `help`.
    pub fn help(self) -> String {
        match self {
            Dialect::Cli => cli_help(),
            Dialect::Trib => trib::help(),
        }
    }
}

/// The tools.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// Builds a cluster from empty nodes.
    Create,
    /// Checks for nodes that disagree, open slots and uncovered slots.
    Check,
    /// Prints the masters with their numbers of keys, slots and replicas.
    Info,
    /// Repairs what `check` finds.
    Fix,
    /// Moves slots to a master.
    Reshard,
    /// Moves slots so that every master gets its share.
    Rebalance,
    /// Adds a node to the cluster.
    AddNode,
    /// Removes a node from the cluster.
    DelNode,
    /// Sends a command to every node.
    Call,
    /// Sets `cluster-node-timeout` in every node.
    SetTimeout,
    /// Moves the keys of a standalone server into the cluster.
    Import,
    /// Saves the data of every master, and a description of the nodes.
    Backup,
    /// Prints the usage of the other tools.
    Help,
}

/// A tool of `redis-cli --cluster`: its name, the number of its arguments (if negative: the
/// minimum), their description, and its options.
struct Row {
    name: &'static str,
    tool: Name,
    arity: i32,
    args: &'static str,
    options: &'static [&'static str],
}

const fn row(
    name: &'static str,
    tool: Name,
    arity: i32,
    args: &'static str,
    options: &'static [&'static str],
) -> Row {
    Row { name, tool, arity, args, options }
}

const ANY_NODE: &str = "<host:port> or <host> <port> - separated by either colon or space";

const ROWS: &[Row] = &[
    row("create", Name::Create, -1, "host1:port1 ... hostN:portN", &["replicas <arg>"]),
    row("check", Name::Check, -1, ANY_NODE, &["search-multiple-owners"]),
    row("info", Name::Info, -1, ANY_NODE, &[]),
    row(
        "fix",
        Name::Fix,
        -1,
        ANY_NODE,
        &["search-multiple-owners", "fix-with-unreachable-masters"],
    ),
    row(
        "reshard",
        Name::Reshard,
        -1,
        ANY_NODE,
        &[
            "from <arg>",
            "to <arg>",
            "slots <arg>",
            "yes",
            "timeout <arg>",
            "pipeline <arg>",
            "replace",
        ],
    ),
    row(
        "rebalance",
        Name::Rebalance,
        -1,
        ANY_NODE,
        &[
            "weight <node1=w1...nodeN=wN>",
            "use-empty-masters",
            "timeout <arg>",
            "simulate",
            "pipeline <arg>",
            "threshold <arg>",
            "replace",
        ],
    ),
    row(
        "add-node",
        Name::AddNode,
        2,
        "new_host:new_port existing_host:existing_port",
        &["slave", "master-id <arg>"],
    ),
    row("del-node", Name::DelNode, 2, "host:port node_id", &[]),
    row(
        "call",
        Name::Call,
        -2,
        "host:port command arg arg .. arg",
        &["only-masters", "only-replicas"],
    ),
    row("set-timeout", Name::SetTimeout, 2, "host:port milliseconds", &[]),
    row(
        "import",
        Name::Import,
        1,
        "host:port",
        &["from <arg>", "from-user <arg>", "from-pass <arg>", "from-askpass", "copy", "replace"],
    ),
    row("backup", Name::Backup, 2, "host:port backup_directory", &[]),
    row("help", Name::Help, 0, "", &[]),
];

/// The options of all tools, with Redis's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Do not ask for confirmation.
    pub yes: bool,
    /// Number of replicas of each master.
    pub replicas: usize,
    /// Source nodes of `reshard`, or the source server of `import`.
    pub from: Option<String>,
    /// The user for the source server.
    pub from_user: Option<String>,
    /// The password for the source server.
    pub from_pass: Option<String>,
    /// Prompt for the password for the source server.
    pub from_askpass: bool,
    /// The node that gets the slots.
    pub to: Option<String>,
    /// The number of slots to move.
    pub slots: Option<usize>,
    /// The weights of `rebalance`, as `node=weight`.
    pub weights: Vec<String>,
    /// The timeout of MIGRATE in milliseconds.
    pub timeout: u64,
    /// The number of keys in one MIGRATE.
    pub pipeline: u64,
    /// The imbalance in percent below which a master is left alone.
    pub threshold: f32,
    /// Give a share to masters without slots, too.
    pub use_empty_masters: bool,
    /// Only print what would be moved.
    pub simulate: bool,
    /// Overwrite keys that the target has already.
    pub replace: bool,
    /// Copy the keys instead of moving them.
    pub copy: bool,
    /// Add the new node as a replica.
    pub replica: bool,
    /// The master of the new replica.
    pub master_id: Option<String>,
    /// Check for slots that several nodes claim.
    pub search_multiple_owners: bool,
    /// Repair even if masters cannot be reached.
    pub fix_with_unreachable_masters: bool,
    /// `call`: only to masters.
    pub only_masters: bool,
    /// `call`: only to replicas.
    pub only_replicas: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            yes: false,
            replicas: 0,
            from: None,
            from_user: None,
            from_pass: None,
            from_askpass: false,
            to: None,
            slots: None,
            weights: Vec::new(),
            timeout: 60_000,
            pipeline: 10,
            threshold: 2.0,
            use_empty_masters: false,
            simulate: false,
            replace: false,
            copy: false,
            replica: false,
            master_id: None,
            search_multiple_owners: false,
            fix_with_unreachable_masters: false,
            only_masters: false,
            only_replicas: false,
        }
    }
}

impl Options {
    /// Parses a `--cluster-...` option that comes before `--cluster`; otherwise like
    /// [`Invocation::option`].
    pub fn take(&mut self, name: &str, rest: &mut VecDeque<String>) -> bool {
        match name.strip_prefix("--cluster-") {
            Some("weight") => {
                let at = self.weights.len();
                while let Some(word) = rest.pop_front_if(|word| !word.starts_with('-')) {
                    self.weights.push(word);
                }
                self.weights.len() > at
            }
            Some(name) => self.set(name, rest).is_some(),
            None => false,
        }
    }

    /// Sets an option by its name without dashes and prefix. `None` if it is unknown or its value
    /// is missing.
    pub(super) fn set(&mut self, name: &str, rest: &mut VecDeque<String>) -> Option<()> {
        match name {
            "yes" => self.yes = true,
            "from-askpass" => self.from_askpass = true,
            "use-empty-masters" => self.use_empty_masters = true,
            "simulate" => self.simulate = true,
            "replace" => self.replace = true,
            "copy" => self.copy = true,
            "slave" => self.replica = true,
            "search-multiple-owners" => self.search_multiple_owners = true,
            "fix-with-unreachable-masters" => self.fix_with_unreachable_masters = true,
            "only-masters" => self.only_masters = true,
            "only-replicas" => self.only_replicas = true,
            "replicas" => self.replicas = number(rest)?,
            "slots" => self.slots = Some(number(rest)?),
            "timeout" => self.timeout = number(rest)? as u64,
            "pipeline" => self.pipeline = (number(rest)? as u64).max(1),
            "threshold" => self.threshold = rest.pop_front()?.parse().unwrap_or(0.0),
            "from" => self.from = Some(rest.pop_front()?),
            "from-user" => self.from_user = Some(rest.pop_front()?),
            "from-pass" => self.from_pass = Some(rest.pop_front()?),
            "to" => self.to = Some(rest.pop_front()?),
            "master-id" => self.master_id = Some(rest.pop_front()?),
            _ => return None,
        }
        Some(())
    }
}

/// A number, parsed like C's `atoi`.
fn number(rest: &mut VecDeque<String>) -> Option<usize> {
    let word = rest.pop_front()?;
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    Some(word.get(..digits).and_then(|digits| digits.parse().ok()).unwrap_or(0))
}

/// A parsed command line: the tool, its arguments and its options.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// The tool.
    pub name: Name,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its options.
    pub options: Options,
}

impl Invocation {
    /// Parses what follows `--cluster` on the command line of redis-cli: a name, and arguments up
    /// to the next option. Removes them from `rest`.
    ///
    /// # Errors
    ///
    /// The error message to print.
    pub fn take(rest: &mut VecDeque<String>) -> Result<Invocation, String> {
        let name = rest.pop_front().unwrap_or_default();
        let row = ROWS.iter().find(|row| row.name == name);
        let row = row.ok_or("Unknown --cluster subcommand")?;
        let mut it = Invocation { name: row.tool, args: Vec::new(), options: Options::default() };
        it.take_args(rest);
        Ok(it)
    }

    /// Parses a `--cluster-...` option of redis-cli, whose values are removed from `rest`. False if
    /// the option is unknown, or a value is missing.
    pub fn option(&mut self, name: &str, rest: &mut VecDeque<String>) -> bool {
        self.options.take(name, rest)
    }

    /// Ends the parsing: arguments are accepted behind the options as well.
    ///
    /// # Errors
    ///
    /// The error message to print.
    pub fn complete(&mut self, rest: &mut VecDeque<String>) -> Result<(), String> {
        if self.args.is_empty() {
            self.take_args(rest);
        }
        let row = ROWS.iter().find(|row| row.tool == self.name);
        let arity = row.map_or(0, |row| row.arity);
        let count = i32::try_from(self.args.len()).unwrap_or(i32::MAX);
        if count == arity || arity < 0 && count >= -arity {
            return Ok(());
        }
        Err("[ERR] Wrong number of arguments for specified --cluster sub command".into())
    }

    fn take_args(&mut self, rest: &mut VecDeque<String>) {
        while let Some(word) = rest.pop_front_if(|word| !word.starts_with('-')) {
            self.args.push(word);
        }
    }
}

fn cli_help() -> String {
    let mut help = String::from("Cluster Manager Commands:\n");
    for row in ROWS {
        help.push_str(&format!("  {:<15}{}\n", row.name, row.args));
        for option in row.options {
            help.push_str(&format!("{:17}--cluster-{option}\n", ""));
        }
    }
    help.push_str(
        "\nFor check, fix, reshard, del-node, set-timeout, info, rebalance, call, import, backup \
         you can specify the host and port of any working node in the cluster.\n\
         \nCluster Manager Options:\n  --cluster-yes  Automatic yes to cluster commands prompts\n\n",
    );
    help
}
