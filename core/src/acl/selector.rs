//! ACL selectors: one set of permissions for commands, keys and channels.

use super::check::Channels;
use super::{CommandInfo, Denied, Env, Reason, Request, RuleError, has_blanks};
use crate::command::meta::{acl, flag, key};
use crate::glob;
use crate::resp::request::Args;

/// An ACL selector: one set of permissions. A user has a root selector and any number of others; a
/// request is allowed if a single selector allows all of it.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// Whether every command is allowed, including unknown ones.
    all_commands: bool,
    /// Whether the command rules begin with `+@all` instead of `-@all`.
    from_all: bool,
    commands: CommandSet,
    /// Allowed first arguments of commands that are otherwise denied (`+select|0`), by command id.
    first_arguments: Vec<(u16, Vec<u8>)>,
    /// The rules after `+@all` or `-@all` that no later rule has superseded: whether each one
    /// allows, and the command or category.
    rules: Vec<(bool, Vec<u8>)>,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<Vec<u8>>,
}

/// Keys that may be read, written, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyPattern {
    pattern: Vec<u8>,
    /// Bits [`READ`] and [`WRITE`].
    access: u8,
}

const READ: u8 = 1;
const WRITE: u8 = 2;

/// A set of commands, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct CommandSet([u64; WORDS]);

/// Room for 512 commands; commands beyond that are always denied.
const WORDS: usize = 8;

impl CommandSet {
    fn has(&self, id: u16) -> bool {
        let word = self.0.get(usize::from(id) / 64);
        word.is_some_and(|word| word >> (id % 64) & 1 != 0)
    }

    fn put(&mut self, id: u16, allowed: bool) {
        if let Some(word) = self.0.get_mut(usize::from(id) / 64) {
            let bit = 1 << (id % 64);
            *word = if allowed { *word | bit } else { *word & !bit };
        }
    }
}

impl Selector {
    /// A selector that allows nothing, except perhaps all channels.
    pub fn new(all_channels: bool) -> Self {
        Self { all_channels, ..Self::default() }
    }

    /// Whether it allows every command on all keys and channels.
    pub fn allows_everything(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    /// Whether it allows all channels.
    pub(super) fn allows_all_channels(&self) -> bool {
        self.all_channels
    }

    /// The patterns of channels.
    pub(super) fn channels(&self) -> &[Vec<u8>] {
        &self.channels
    }

    /// Applies one rule.
    pub fn apply(&mut self, rule: &[u8], env: Env<'_>) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => {
                self.all_keys = true;
                self.keys.clear();
            }
            b"resetkeys" => {
                self.all_keys = false;
                self.keys.clear();
            }
            b"allchannels" | b"&*" => {
                self.all_channels = true;
                self.channels.clear();
            }
            b"resetchannels" => {
                self.all_channels = false;
                self.channels.clear();
            }
            b"allcommands" | b"+@all" => self.begin_commands(true),
            b"nocommands" | b"-@all" => self.begin_commands(false),
            _ => match rule {
                [b'~', pattern @ ..] => self.add_keys(pattern, READ | WRITE)?,
                [b'%', rest @ ..] => {
                    if self.all_keys {
                        return Err(RuleError::KeysAfterAll);
                    }
                    let (access, pattern) = access_and_pattern(rest).ok_or(RuleError::Syntax)?;
                    self.add_keys(pattern, access)?;
                }
                [b'&', pattern @ ..] => self.add_channels(pattern)?,
                [sign @ (b'+' | b'-'), b'@', category @ ..] => {
                    self.change_category(category, *sign == b'+', env)?;
                }
                [b'+', name @ ..] => self.allow_command(name, env)?,
                [b'-', name @ ..] => {
                    let command = env.commands.find(name).ok_or(RuleError::Unknown)?;
                    self.change_command(command, false);
                    self.note_rule(command.name.as_bytes(), false);
                }
                _ => return Err(RuleError::Syntax),
            },
        }
        Ok(())
    }

    fn begin_commands(&mut self, all: bool) {
        self.all_commands = all;
        self.from_all = all;
        self.commands = CommandSet([if all { u64::MAX } else { 0 }; WORDS]);
        self.first_arguments.clear();
        self.rules.clear();
    }

    fn add_keys(&mut self, pattern: &[u8], access: u8) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => known.access |= access,
            None => self.keys.push(KeyPattern { pattern: pattern.to_vec(), access }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsAfterAll);
        }
        if has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| known == pattern) {
            self.channels.push(pattern.to_vec());
        }
        Ok(())
    }

    /// `+name`: a command, a subcommand, or a first argument of a command.
    fn allow_command(&mut self, name: &[u8], env: Env<'_>) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|byte| *byte == b'|') else {
            let command = env.commands.find(name).ok_or(RuleError::Unknown)?;
            self.change_command(command, true);
            self.note_rule(command.name.as_bytes(), true);
            return Ok(());
        };
        let (container, argument) = (&name[..bar], &name[bar + 1..]);
        let command = env.commands.find(container).ok_or(RuleError::Unknown)?;
        if command.is_subcommand {
            return Err(RuleError::FirstArgument);
        }
        if argument.is_empty() {
            return Err(RuleError::Syntax);
        }
        if command.subcommands.is_empty() {
            let known = |(id, known): &(u16, Vec<u8>)| {
                *id == command.id && known.eq_ignore_ascii_case(argument)
            };
            if !self.first_arguments.iter().any(known) {
                self.first_arguments.push((command.id, argument.to_vec()));
            }
        } else {
            let subcommand = env.commands.find(name).ok_or(RuleError::Unknown)?;
            self.change_command(subcommand, true);
        }
        self.note_rule(&name.to_ascii_lowercase(), true);
        Ok(())
    }

    /// Allows or denies a command with all its subcommands.
    fn change_command(&mut self, command: CommandInfo<'_>, allowed: bool) {
        self.first_arguments.retain(|(id, _)| *id != command.id);
        for id in [command.id].iter().chain(command.subcommands) {
            self.commands.put(*id, allowed);
        }
        self.all_commands &= allowed;
    }

    fn change_category(
        &mut self,
        name: &[u8],
        allowed: bool,
        env: Env<'_>,
    ) -> Result<(), RuleError> {
        let category = category(name).ok_or(RuleError::Unknown)?;
        let mut rule = b"@".to_vec();
        rule.extend(name.to_ascii_lowercase());
        self.note_rule(&rule, allowed);
        for command in env.commands.all().filter(|c| c.meta.categories() & category != 0) {
            self.change_command(command, allowed);
        }
        Ok(())
    }

    /// Records a rule, which supersedes earlier ones about the same command and its subcommands.
    fn note_rule(&mut self, rule: &[u8], allowed: bool) {
        self.rules.retain(|(_, old)| {
            !(old.starts_with(rule) && matches!(old.get(rule.len()), None | Some(b'|')))
        });
        self.rules.push((allowed, rule.to_vec()));
    }

    /// Checks a request.
    pub fn check(&self, request: &mut Request<'_>) -> Result<(), Denied> {
        let (command, args) = (request.command, request.args);
        if !self.all_commands
            && !command.meta.has(flag::NO_AUTH)
            && !self.commands.has(command.id)
            && !self.allows_first_argument(command, args)
        {
            return Err(Denied { reason: Reason::Command, at: 0 });
        }
        if !self.all_keys && !command.meta.keys.is_empty() {
            for &(at, flags) in request.keys() {
                if !self.allows_key(args.get(at).unwrap_or_default(), flags) {
                    return Err(Denied { reason: Reason::Key, at });
                }
            }
        }
        if !self.all_channels
            && let Some(channels) = request.channels()
        {
            let last = if channels == Channels::First { 2 } else { args.len() };
            let is_pattern = channels == Channels::Patterns;
            for at in 1..last.min(args.len()) {
                if !allows_channel(&self.channels, args.at(at), is_pattern) {
                    return Err(Denied { reason: Reason::Channel, at });
                }
            }
        }
        Ok(())
    }

    fn allows_first_argument(&self, command: CommandInfo<'_>, args: Args<'_>) -> bool {
        self.first_arguments.iter().any(|(id, argument)| {
            *id == command.id && args.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(argument))
        })
    }

    fn allows_key(&self, name: &[u8], flags: u32) -> bool {
        let access = access(flags);
        self.keys
            .iter()
            .any(|keys| keys.access & access == access && glob::matches(&keys.pattern, name))
    }

    /// Whether it allows this use (bits of [`key`]) of every possible key.
    pub fn allows_all_keys(&self, flags: u32) -> bool {
        let access = access(flags);
        self.all_keys
            || self.keys.iter().any(|keys| keys.access & access == access && keys.pattern == b"*")
    }

    /// The rules about commands, in the syntax of `ACL SETUSER`.
    pub fn describe_commands(&self) -> Vec<u8> {
        let mut out = if self.from_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for (allowed, rule) in &self.rules {
            out.extend_from_slice(if *allowed { b" +" } else { b" -" });
            out.extend_from_slice(rule);
        }
        out
    }

    /// The rules about keys.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let pattern = |keys: &KeyPattern| {
            let before: &[u8] = match keys.access {
                READ => b"%R~",
                WRITE => b"%W~",
                _ => b"~",
            };
            [before, &keys.pattern].concat()
        };
        self.keys.iter().map(pattern).collect::<Vec<_>>().join(&b' ')
    }

    /// The rules about channels.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let pattern = |pattern: &Vec<u8>| [b"&", pattern.as_slice()].concat();
        self.channels.iter().map(pattern).collect::<Vec<_>>().join(&b' ')
    }

    /// All rules.
    pub fn describe(&self) -> Vec<u8> {
        let mut parts = vec![self.describe_keys()];
        if !self.all_channels {
            parts.push(b"resetchannels".to_vec());
        }
        parts.extend([self.describe_channels(), self.describe_commands()]);
        parts.retain(|part| !part.is_empty());
        parts.join(&b' ')
    }
}

/// Whether one of the patterns matches a channel or, for PSUBSCRIBE, is the same pattern.
pub(super) fn allows_channel(patterns: &[Vec<u8>], channel: &[u8], is_pattern: bool) -> bool {
    patterns.iter().any(|pattern| match is_pattern {
        true => pattern == channel,
        false => glob::matches(pattern, channel),
    })
}

/// The bit of a category by its name, in any case.
pub fn category(name: &[u8]) -> Option<u32> {
    let known = acl::NAMES.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name));
    known.map(|(bit, _)| *bit)
}

/// The access bits that a use of a key (bits of [`key`]) requires.
fn access(flags: u32) -> u8 {
    let reads = flags & key::ACCESS != 0;
    let writes = flags & (key::INSERT | key::DELETE | key::UPDATE) != 0;
    (u8::from(reads) * READ) | (u8::from(writes) * WRITE)
}

/// Parses what follows `%`: `R` and `W`, then a pattern after `~`.
fn access_and_pattern(rule: &[u8]) -> Option<(u8, &[u8])> {
    let tilde = rule.iter().position(|byte| *byte == b'~')?;
    let mut access = 0;
    for letter in &rule[..tilde] {
        let bit = match letter.to_ascii_uppercase() {
            b'R' => READ,
            b'W' => WRITE,
            _ => return None,
        };
        if access & bit != 0 {
            return None;
        }
        access |= bit;
    }
    (access != 0).then_some((access, &rule[tilde + 1..]))
}
