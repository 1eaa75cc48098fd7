//! The command line of `redis-trib.rb` of Redis 4.

use std::collections::VecDeque;

use super::options::{Invocation, Name, Options};

/// Parses the words behind `redis-trib.rb`: a command, its options, its arguments.
///
/// # Errors
///
/// The error message to print.
pub fn parse_trib(words: &[String]) -> Result<Invocation, String> {
    let mut words: VecDeque<String> = words.iter().cloned().collect();
    let command = words.pop_front().unwrap_or_else(|| "help".into());
    let (name, arity) = match command.as_str() {
        "create" => (Name::Create, -1),
        "check" => (Name::Check, 1),
        "info" => (Name::Info, 1),
        "fix" => (Name::Fix, 1),
        "reshard" => (Name::Reshard, 1),
        "rebalance" => (Name::Rebalance, -1),
        "add-node" => (Name::AddNode, 2),
        "del-node" => (Name::DelNode, 2),
        "set-timeout" => (Name::SetTimeout, 2),
        "call" => (Name::Call, -2),
        "import" => (Name::Import, 1),
        "help" => (Name::Help, -1),
        _ => return Err(format!("Unknown redis-trib subcommand '{command}'")),
    };
    let mut it = Invocation { name, args: Vec::new(), options: Options::default() };
    while let Some(word) = words.pop_front() {
        let option = word.strip_prefix("--").filter(|_| name != Name::Call);
        match option {
            None => it.args.push(word),
            Some("weight") => {
                let weight = words.pop_front().ok_or_else(|| unknown(&word))?;
                it.options.weights.push(weight);
            }
            // Needs no action: without weights, Redis 4 gives every master the weight of its slots.
            Some("auto-weights") if name == Name::Rebalance => {}
            Some(option) => {
                it.options.set(option, &mut words).ok_or_else(|| unknown(&word))?;
            }
        }
    }
    let count = i32::try_from(it.args.len()).unwrap_or(i32::MAX);
    let fits = count == arity || arity < 0 && count >= -arity || name == Name::Help;
    if !fits {
        return Err("[ERR] Wrong number of arguments for specified sub command".into());
    }
    Ok(it)
}

fn unknown(option: &str) -> String {
    format!("Unknown option '{option}', or its value is missing")
}

/// The commands of Redis 4, with their arguments and options.
const COMMANDS: &[(&str, &str, &[&str])] = &[
    ("create", "host1:port1 ... hostN:portN", &["replicas <arg>"]),
    ("check", "host:port", &[]),
    ("info", "host:port", &[]),
    ("fix", "host:port", &["timeout <arg>"]),
    (
        "reshard",
        "host:port",
        &["from <arg>", "to <arg>", "slots <arg>", "yes", "timeout <arg>", "pipeline <arg>"],
    ),
    (
        "rebalance",
        "host:port",
        &[
            "weight <arg>",
            "auto-weights",
            "use-empty-masters",
            "timeout <arg>",
            "simulate",
            "pipeline <arg>",
            "threshold <arg>",
        ],
    ),
    ("add-node", "new_host:new_port existing_host:existing_port", &["slave", "master-id <arg>"]),
    ("del-node", "host:port node_id", &[]),
    ("set-timeout", "host:port milliseconds", &[]),
    ("call", "host:port command arg arg .. arg", &[]),
    ("import", "host:port", &["from <arg>", "copy", "replace"]),
    ("help", "(show this help)", &[]),
];

pub(super) fn help() -> String {
    let mut help = String::from("Usage: redis-trib <command> <options> <arguments ...>\n\n");
    for (name, args, options) in COMMANDS {
        help.push_str(&format!("  {name:<16}{args}\n"));
        for option in *options {
            help.push_str(&format!("{:18}--{option}\n", ""));
        }
    }
    help.push_str(
        "\nFor check, fix, reshard, del-node, set-timeout you can specify the host and port of any \
         working node in the cluster.\n",
    );
    help
}
