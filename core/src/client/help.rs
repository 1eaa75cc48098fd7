//! Completion, hints and `help`, derived from what is known about the commands.
//!
//! That is the command table, or the server's reply to `COMMAND DOCS`, so that redis-cli describes
//! the commands that this server has.

use crate::command::meta::{Meta, Row};
use crate::command::syntax::{self, Argument, Kind};
use crate::resp::value::Value;
use crate::sorted::{SortedSet, sort_by};

use super::hint;
use super::quote::{is_blank, split_args};

/// Documentation of the commands and their groups, in alphabetical order.
#[derive(Clone, Debug, Default)]
pub struct Help {
    entries: Vec<Entry>,
    groups: SortedSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    /// The words of the command's name, in upper case.
    words: Vec<String>,
    arguments: Vec<Argument>,
    /// The arguments in the notation of hints.
    parameters: String,
    summary: String,
    since: String,
    group: String,
}

impl Entry {
    fn name(&self) -> String {
        self.words.join(" ")
    }
}

impl Help {
    /// From the rows of a command table.
    pub fn of_table<H: 'static>(rows: impl IntoIterator<Item = &'static Row<H>>) -> Self {
        let mut entries = Vec::new();
        for row in rows {
            entries.push(entry_of(&row.meta, None));
            for subcommand in row.subcommands {
                entries.push(entry_of(&subcommand.meta, Some(row.meta.name)));
            }
        }
        Self::of_entries(entries)
    }

    /// From metadata of commands, each with its container command if it is a subcommand.
    pub fn of_metas<'a>(metas: impl IntoIterator<Item = (&'a Meta, Option<&'a str>)>) -> Self {
        Self::of_entries(metas.into_iter().map(|(m, container)| entry_of(m, container)).collect())
    }

    /// Whether it contains no commands.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// From a reply to `COMMAND DOCS`; `None` if it is not a valid one.
    pub fn of_docs(reply: &Value) -> Option<Self> {
        let mut entries = Vec::new();
        for (name, docs) in reply.plain().pairs() {
            entries_of_docs(&mut entries, text(name)?, None, docs)?;
        }
        (!entries.is_empty()).then(|| Self::of_entries(entries))
    }

    /// Adds the unknown commands of a reply to `COMMAND`: those of an old server without `COMMAND
    /// DOCS` that the table does not have.
    pub fn add_unknown(&mut self, reply: &Value) {
        for command in reply.items().unwrap_or_default() {
            let Some([name, Value::Integer(arity), _, Value::Integer(first_key), ..]) =
                command.items()
            else {
                continue;
            };
            let Some(name) = text(name).map(|name| name.to_ascii_uppercase()) else { continue };
            if self.entries.iter().any(|entry| entry.words.first() == Some(&name)) {
                continue;
            }
            let mut parameters = String::new();
            let mut left = arity.unsigned_abs().min(100).saturating_sub(1);
            if *first_key == 1 {
                parameters.push_str("key ");
                left = left.saturating_sub(1);
            }
            parameters.push_str(&"arg ".repeat(left as usize));
            if *arity < 0 {
                parameters.push_str("...options...");
            }
            self.entries.push(Entry {
                words: vec![name],
                arguments: Vec::new(),
                parameters,
                summary: "Help not available".into(),
                since: "Not known".into(),
                group: "generic".into(),
            });
        }
        sort_by(&mut self.entries, |a, b| a.name().cmp(&b.name()));
    }

    /// The hint: what may follow `line`. `None` if its command is unknown.
    pub fn hint(&self, line: &str) -> Option<String> {
        let args = split_args(line.as_bytes())?;
        // A word counts as complete once a blank follows it.
        let complete = match line.bytes().last() {
            Some(last) if is_blank(last) => args.len(),
            _ => args.len().checked_sub(1)?,
        };
        let words = args.get(..complete)?;
        let entry = self.find(words)?;
        let rest = words.get(entry.words.len()..)?;
        if entry.arguments.is_empty() {
            return rest.is_empty().then(|| entry.parameters.clone());
        }
        hint::hint(&entry.arguments, rest)
    }

    /// The completions of `line`: names of commands or, after `help`, topics.
    pub fn complete(&self, line: &str) -> Vec<String> {
        let (before, typed) = match line.get(..5) {
            Some(help) if help.eq_ignore_ascii_case("help ") => {
                let topic = line.trim_start_matches(|c: char| !c.is_ascii_whitespace());
                let topic = topic.trim_ascii_start();
                line.split_at(line.len() - topic.len())
            }
            _ => ("", line),
        };
        let begins = |name: &str| {
            name.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed))
        };
        let groups = self.groups.iter().map(|group| format!("@{group}"));
        groups
            .filter(|_| !before.is_empty())
            .chain(self.entries.iter().map(Entry::name))
            .filter(|name| begins(name))
            .map(|name| format!("{before}{name}"))
            .collect()
    }

    /// The output of `help`: its usage without topics, a group's commands for `@group`, or else the
    /// commands whose names begin with the topics.
    pub fn text(&self, topics: &[&str], version: &str, color: bool) -> String {
        let Some(first) = topics.first() else { return introduction(version) };
        let mut out = String::new();
        for entry in &self.entries {
            match first.strip_prefix('@') {
                Some(group) if entry.group.eq_ignore_ascii_case(group) => {
                    describe(&mut out, entry, false, color);
                }
                None if entry.begins_with(topics) => describe(&mut out, entry, true, color),
                _ => {}
            }
        }
        out.push_str("\r\n");
        out
    }

    fn of_entries(mut entries: Vec<Entry>) -> Self {
        sort_by(&mut entries, |a, b| a.name().cmp(&b.name()));
        let groups = entries.iter().map(|entry| entry.group.clone()).collect();
        Help { entries, groups }
    }

    /// The command with the longest name that is a prefix of the words.
    fn find(&self, words: &[Vec<u8>]) -> Option<&Entry> {
        self.entries
            .iter()
            .filter(|entry| {
                entry.words.len() <= words.len()
                    && entry
                        .words
                        .iter()
                        .zip(words)
                        .all(|(name, word)| name.as_bytes().eq_ignore_ascii_case(word))
            })
            .max_by_key(|entry| entry.words.len())
    }
}

impl Entry {
    fn begins_with(&self, topics: &[&str]) -> bool {
        topics.len() <= self.words.len()
            && topics.iter().zip(&self.words).all(|(topic, word)| word.eq_ignore_ascii_case(topic))
    }
}

fn describe(out: &mut String, entry: &Entry, with_group: bool, color: bool) {
    let paint = |code: &str, text: &str| {
        if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    };
    let name = paint("1", &entry.name());
    let parameters = paint("90", &entry.parameters);
    out.push_str(&format!("\r\n  {name} {parameters}\r\n"));
    let mut fact = |label: &str, text: &str| {
        if !text.is_empty() {
            out.push_str(&format!("  {} {text}\r\n", paint("33", label)));
        }
    };
    fact("summary:", &entry.summary);
    fact("since:", &entry.since);
    if with_group {
        fact("group:", &entry.group);
    }
}

fn introduction(version: &str) -> String {
    format!(
        "redis-cli {version}\n\
         To get help about Redis commands type:\n\
         \x20     \"help @<group>\" to get a list of commands in <group>\n\
         \x20     \"help <command>\" for help on <command>\n\
         \x20     \"help <tab>\" to get a list of possible help topics\n\
         \x20     \"quit\" to exit\n\
         \n\
         To set redis-cli preferences:\n\
         \x20     \":set hints\" enable online hints\n\
         \x20     \":set nohints\" disable online hints\n\
         Set your preferences in ~/.redisclirc\n"
    )
}

fn entry_of(meta: &Meta, container: Option<&str>) -> Entry {
    let arguments = syntax::parse(meta.syntax);
    Entry {
        words: container.into_iter().chain([meta.name]).map(str::to_ascii_uppercase).collect(),
        parameters: hint::syntax(&arguments),
        arguments,
        summary: meta.summary.to_string(),
        since: meta.since.to_string(),
        group: meta.group.name().to_string(),
    }
}

fn entries_of_docs(
    entries: &mut Vec<Entry>,
    name: &str,
    container: Option<&str>,
    docs: &Value,
) -> Option<()> {
    // The name of a subcommand may include its container: `config|get`.
    let own = name.rsplit('|').next().unwrap_or(name);
    let mut entry = Entry {
        words: container.into_iter().chain([own]).map(str::to_ascii_uppercase).collect(),
        ..Entry::default()
    };
    let mut subcommands = Vec::new();
    for (key, value) in docs.plain().pairs() {
        match key.bytes()? {
            b"summary" => entry.summary = text(value)?.to_string(),
            b"since" => entry.since = text(value)?.to_string(),
            b"group" => entry.group = text(value)?.to_string(),
            b"arguments" => {
                entry.arguments = value.items()?.iter().map(argument).collect();
                entry.parameters = hint::syntax(&entry.arguments);
            }
            b"subcommands" if container.is_none() => subcommands = value.plain().pairs(),
            _ => {}
        }
    }
    entries.push(entry);
    for (own, docs) in subcommands {
        entries_of_docs(entries, text(own)?, Some(name), docs)?;
    }
    Some(())
}

fn argument(docs: &Value) -> Argument {
    let mut argument = Argument::default();
    for (key, value) in docs.plain().pairs() {
        match key.bytes().unwrap_or_default() {
            b"name" => argument.name = text(value).unwrap_or_default().to_string(),
            b"display_text" => argument.display = text(value).unwrap_or_default().to_string(),
            b"token" => argument.token = text(value).map(str::to_string),
            b"type" => argument.kind = Kind::of_name(text(value).unwrap_or_default()),
            b"flags" => {
                for flag in value.items().unwrap_or_default() {
                    match flag.bytes().unwrap_or_default() {
                        b"optional" => argument.optional = true,
                        b"multiple" => argument.multiple = true,
                        b"multiple_token" => argument.multiple_token = true,
                        _ => {}
                    }
                }
            }
            b"arguments" => {
                argument.parts =
                    value.items().unwrap_or_default().iter().map(self::argument).collect();
            }
            _ => {}
        }
    }
    argument
}

fn text(value: &Value) -> Option<&str> {
    core::str::from_utf8(value.plain().bytes()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::meta::Group;
    use crate::resp::value::decode;

    static CONFIG: &[Row<()>] = &[
        Row::new(Group::Server, "get", -3, ()).syntax("parameter ..."),
        Row::new(Group::Server, "set", -4, ()).syntax("<data: parameter value> ..."),
    ];
    static TABLE: &[Row<()>] = &[
        Row::new(Group::String, "set", -3, ()).syntax("key value").summary("Sets a key."),
        Row::new(Group::String, "get", 2, ()).syntax("key"),
        Row::new(Group::Server, "config", -2, ()).subcommands(CONFIG),
    ];

    #[test]
    fn completion_knows_commands_subcommands_and_topics() {
        let help = Help::of_table(TABLE);
        assert_eq!(help.complete("co"), ["CONFIG", "CONFIG GET", "CONFIG SET"]);
        assert_eq!(help.complete("config s"), ["CONFIG SET"]);
        assert_eq!(help.complete("help  @s"), ["help  @server", "help  @string"]);
        assert_eq!(help.complete("help g"), ["help GET"]);
        assert_eq!(help.complete("数"), [""; 0]);
    }

    #[test]
    fn hints_wait_for_the_blank() {
        let help = Help::of_table(TABLE);
        assert_eq!(help.hint("set"), None);
        assert_eq!(help.hint("set ").as_deref(), Some("key value"));
        assert_eq!(help.hint("set k").as_deref(), Some("key value"));
        assert_eq!(help.hint("set k ").as_deref(), Some("value"));
        assert_eq!(help.hint("config set p ").as_deref(), Some("value [parameter value ...]"));
        assert_eq!(help.hint("nothing "), None);
        assert_eq!(help.hint("set \"unbalanced"), None);
    }

    #[test]
    fn help_describes_commands_and_groups() {
        let help = Help::of_table(TABLE);
        assert_eq!(
            help.text(&["set"], "7.2", false),
            "\r\n  SET key value\r\n  summary: Sets a key.\r\n  since: 1.0.0\r\n  group: string\r\n\r\n"
        );
        assert!(help.text(&["@server"], "7.2", true).contains("\x1b[1mCONFIG GET\x1b[0m"));
        assert!(help.text(&[], "7.2", false).starts_with("redis-cli 7.2\n"));
    }

    #[test]
    fn a_servers_docs_are_understood() {
        let docs = "*2\r\n$4\r\nlpop\r\n*6\r\n$7\r\nsummary\r\n$4\r\nPops\r\n$5\r\ngroup\r\n$4\r\nlist\r\n\
            $9\r\narguments\r\n*2\r\n*4\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n\
            *6\r\n$4\r\nname\r\n$5\r\ncount\r\n$4\r\ntype\r\n$7\r\ninteger\r\n$5\r\nflags\r\n*1\r\n+optional\r\n";
        let (docs, _) = decode(docs.as_bytes()).unwrap().unwrap();
        let mut help = Help::of_docs(&docs).unwrap();
        assert_eq!(help.hint("lpop k ").as_deref(), Some("[count]"));
        let command = "*1\r\n*4\r\n$3\r\nfoo\r\n:-3\r\n*0\r\n:1\r\n";
        help.add_unknown(&decode(command.as_bytes()).unwrap().unwrap().0);
        assert_eq!(help.hint("foo ").as_deref(), Some("key arg ...options..."));
        assert_eq!(help.hint("foo x "), None);
    }
}
