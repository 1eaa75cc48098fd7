//! The command line of the tools.

use std::collections::VecDeque;

use super::trib;

/// Whose tool it is: what it prints, and how it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// `redis-cli --cluster` of Redis 7.
    #[default]
    Cli,
    /// `redis-trib.rb` of Redis 4.
    Trib,
}

impl Dialect {
    /// What `help` prints.
    pub fn help(self) -> String {
        match self {
            Dialect::Cli => cli_help(),
            Dialect::Trib => trib::help(),
        }
    }
}

/// Which tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// Builds a cluster of empty nodes.
    Create,
    /// Looks for disagreement, open slots and slots without an owner.
    Check,
    /// Tells the masters with their keys, slots and replicas.
    Info,
    /// Mends what `check` finds.
    Fix,
    /// Moves slots.
    Reshard,
    /// Moves slots until every master has its share.
    Rebalance,
    /// Lets a node join.
    AddNode,
    /// Takes a node out.
    DelNode,
    /// Sends a command to every node.
    Call,
    /// Sets `cluster-node-timeout` everywhere.
    SetTimeout,
    /// Moves the keys of a server that is no cluster.
    Import,
    /// Saves the data of every master and a description of the nodes.
    Backup,
    /// Prints how to use the others.
    Help,
}

/// A tool of `redis-cli --cluster`: its name, how many arguments (negative: at least so many), what
/// they are, and its options.
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
    /// Do not ask.
    pub yes: bool,
    /// Replicas for each master.
    pub replicas: usize,
    /// Source nodes of a resharding, or the server to import from.
    pub from: Option<String>,
    /// The user at that server.
    pub from_user: Option<String>,
    /// The password at that server.
    pub from_pass: Option<String>,
    /// Ask for that password.
    pub from_askpass: bool,
    /// The node that is to have the slots.
    pub to: Option<String>,
    /// How many slots.
    pub slots: Option<usize>,
    /// `node=weight` of a rebalancing.
    pub weights: Vec<String>,
    /// Patience of MIGRATE, in milliseconds.
    pub timeout: u64,
    /// Keys that one MIGRATE takes along.
    pub pipeline: u64,
    /// Percent by which a master's share may be off.
    pub threshold: f32,
    /// Masters without slots get their share.
    pub use_empty_masters: bool,
    /// Only say what would be moved.
    pub simulate: bool,
    /// Overwrite keys of the target.
    pub replace: bool,
    /// Leave the keys at their source.
    pub copy: bool,
    /// The new node becomes a replica.
    pub replica: bool,
    /// Of this master.
    pub master_id: Option<String>,
    /// Look for slots that several nodes claim.
    pub search_multiple_owners: bool,
    /// Mend although masters cannot be reached.
    pub fix_with_unreachable_masters: bool,
    /// Only to masters.
    pub only_masters: bool,
    /// Only to replicas.
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
    /// Takes a `--cluster-...` option of redis-cli, as [`Invocation::option`] does. It may stand
    /// before `--cluster`.
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

    /// Takes an option by its name without dashes and prefix. `None` if there is no such option or
    /// its value is missing.
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

/// A number as C's `atoi` reads it.
fn number(rest: &mut VecDeque<String>) -> Option<usize> {
    let word = rest.pop_front()?;
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    Some(word.get(..digits).and_then(|digits| digits.parse().ok()).unwrap_or(0))
}

/// Which tool to run, on what and how.
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
    /// What follows `--cluster` on a command line of redis-cli: a name, and arguments up to the next
    /// option. Takes them from `rest`.
    ///
    /// # Errors
    ///
    /// What to say instead of running anything.
    pub fn take(rest: &mut VecDeque<String>) -> Result<Invocation, String> {
        let name = rest.pop_front().unwrap_or_default();
        let row = ROWS.iter().find(|row| row.name == name);
        let row = row.ok_or("Unknown --cluster subcommand")?;
        let mut it = Invocation { name: row.tool, args: Vec::new(), options: Options::default() };
        it.take_args(rest);
        Ok(it)
    }

    /// Takes a `--cluster-...` option of redis-cli, whose values are taken from `rest`. False if
    /// there is no such option, or a value is missing.
    pub fn option(&mut self, name: &str, rest: &mut VecDeque<String>) -> bool {
        self.options.take(name, rest)
    }

    /// The end of the command line: arguments may stand behind the options as well.
    ///
    /// # Errors
    ///
    /// What to say instead of running anything.
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
