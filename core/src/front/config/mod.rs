//! Configuration: directives with their values, read from files and arguments as Redis reads them,
//! changed by CONFIG SET and written back by CONFIG REWRITE.
//!
//! This is the mechanism. The directives of a program are defined by its [`Schema`]: a table of
//! [`Directive`]s, its typed `Settings`, and *state lines*, which have a key and may occur in a
//! file many times (`sentinel monitor <name> …`). `user <name> …` lines are kept for
//! [`acl`](crate::acl) to interpret.
//!
//! * [`directive`]: directives, and tables of them; [`shared`]: the directives of every program
//!   that serves clients, and [`FrontSettings`], their typed values;
//! * [`value`]: parsing words into the one form in which a value is stored: the text that CONFIG
//!   GET shows;
//! * [`file`](mod@file): reading files and arguments; [`rewrite`]: writing a file back;
//! * `change`: changes that complete asynchronously. The CONFIG command is in `config_commands`.

mod change;
pub mod directive;
pub mod file;
pub mod rewrite;
pub mod shared;
pub mod value;

use core::fmt::Debug;

use crate::acl::Catalog;
use crate::acl::users::Declaration;

pub use change::Change;
pub(crate) use change::{ConfigSaves, Rewriter};
pub use directive::{Directive, Directives, Form, FormLines, Kind, Unit};
pub use file::ConfigError;
pub use shared::{FRONT_DIRECTIVES, FrontSettings, OutputLimit, Permission, ShutdownOptions};
pub use value::DirectiveError;

/// The configuration of a program: its directives, and how they become typed settings.
pub trait Schema: Clone + Debug + Send + Sync + Sized + 'static {
    /// The typed values of the directives that only this program has.
    type Settings: Clone + Debug + Send + Sync;
    /// Configuration besides the directives: the contents of state lines, and switches that no line
    /// sets.
    type State: Clone + Debug + Default + Send + Sync;

    /// Directives of older versions that are read and ignored.
    const IGNORED: &'static [&'static str] = &[];

    /// All directives: [`FRONT_DIRECTIVES`] and the program's own.
    fn directives() -> &'static Directives;

    /// The typed values.
    fn settings(values: &Values<Self>) -> Self::Settings;

    /// The commands of the program.
    fn commands() -> &'static dyn Catalog;

    /// Whether the program has a command with this name, given in lower case.
    fn is_command(name: &str) -> bool {
        Self::commands().find(name.as_bytes()).is_some_and(|command| !command.is_subcommand)
    }

    /// Parses a line whose first word, `name` in lower case, is not a directive of the table.
    fn read_line(
        _config: &mut Config<Self>,
        _name: &str,
        _words: &[Vec<u8>],
    ) -> Result<(), DirectiveError> {
        Err("Bad directive or wrong number of arguments".into())
    }

    /// Checks the configuration as a whole; the error says what is wrong.
    fn check(_config: &Config<Self>) -> Result<(), DirectiveError> {
        Ok(())
    }

    /// Whether CONFIG REWRITE writes this directive. Lines of others are removed.
    fn is_written(_name: &str) -> bool {
        true
    }

    /// The key by which CONFIG REWRITE finds the lines to replace: a state line's first word, or
    /// its first two. `None` if this is not a state line. Lines of the same key are replaced in
    /// order.
    fn state_key(_words: &[Vec<u8>]) -> Option<String> {
        None
    }

    /// All state lines for the file, each with its key.
    fn state_lines(_config: &Config<Self>) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// A program's configuration.
#[derive(Clone, Debug)]
pub struct Config<C: Schema> {
    values: Values<C>,
    front: FrontSettings,
    settings: C::Settings,
    renames: Vec<(String, String)>,
    users: Vec<Declaration>,
    /// The absolute path of the file that it was read from.
    pub file: Option<String>,
}

/// The values of all directives, from which the typed settings are made.
#[derive(Clone, Debug)]
pub struct Values<C: Schema> {
    /// One text per directive, in the order of the table.
    texts: Vec<Vec<u8>>,
    /// Which of them were set by a file or an argument.
    given: Vec<bool>,
    /// Configuration besides the directives.
    pub state: C::State,
}

impl<C: Schema> Values<C> {
    /// The value of a directive, in the form that CONFIG GET shows.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let place = C::directives().place(name.as_bytes());
        debug_assert!(place.is_some(), "no directive is called {name}");
        self.at(place?)
    }

    fn at(&self, place: usize) -> Option<&[u8]> {
        self.texts.get(place).map(Vec::as_slice)
    }

    /// A value as text.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.get(name).unwrap_or_default()).into_owned()
    }

    /// A value as text, if it is not empty.
    pub fn some_text(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A value as bytes, if it is not empty.
    pub fn some_bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.get(name).filter(|text| !text.is_empty()).map(<[u8]>::to_vec)
    }

    /// A value that is one of these words, converted to what the word stands for.
    pub fn word<T: Copy + Default>(&self, name: &str, words: &[(&str, T)]) -> T {
        let text = self.get(name).unwrap_or_default();
        let found = words.iter().find(|(word, _)| word.as_bytes() == text);
        found.map_or(T::default(), |(_, value)| *value)
    }

    /// Whether a value is `yes`.
    pub fn yes(&self, name: &str) -> bool {
        self.get(name) == Some(b"yes")
    }

    /// A value as a number, negative if it is a percentage; 0 if it cannot be parsed.
    pub fn number(&self, name: &str) -> i64 {
        let text = self.text(name);
        match text.strip_suffix('%') {
            Some(percent) => -percent.parse::<i64>().unwrap_or_default(),
            None => text.parse().unwrap_or_default(),
        }
    }

    /// A value as a number of bytes or items; 0 if it cannot be parsed.
    pub fn size(&self, name: &str) -> u64 {
        u64::try_from(self.number(name)).unwrap_or_default()
    }
}

impl<C: Schema> Default for Config<C> {
    fn default() -> Self {
        let all = C::directives().all();
        let values = Values {
            texts: all.iter().map(|d| d.default.as_bytes().to_vec()).collect(),
            given: vec![false; all.len()],
            state: C::State::default(),
        };
        Self {
            front: FrontSettings::of(&values),
            settings: C::settings(&values),
            values,
            renames: Vec::new(),
            users: Vec::new(),
            file: None,
        }
    }
}

impl<C: Schema> Config<C> {
    /// The typed values of the directives that all programs share.
    #[inline]
    pub fn front(&self) -> &FrontSettings {
        &self.front
    }

    /// The typed values of the program's own directives.
    #[inline]
    pub fn settings(&self) -> &C::Settings {
        &self.settings
    }

    /// Configuration besides the directives.
    pub fn state(&self) -> &C::State {
        &self.values.state
    }

    /// Changes the configuration besides the directives.
    pub fn change_state(&mut self, change: impl FnOnce(&mut C::State)) {
        change(&mut self.values.state);
        self.changed();
    }

    /// The value of a directive, in the form that CONFIG GET shows.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.values.get(name)
    }

    /// Sets one directive, as CONFIG SET does. The error says what is wrong with the value.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), DirectiveError> {
        let place = C::directives().place(name.as_bytes()).ok_or("no such directive")?;
        let directive = C::directives().all()[place];
        let text = value::from_one(directive, value, self.value(place).unwrap_or_default())?;
        self.put(place, text);
        self.changed();
        Ok(())
    }

    /// Sets a directive to a value that the program has determined itself.
    pub(crate) fn replace(&mut self, name: &str, value: Vec<u8>) {
        if let Some(place) = C::directives().place(name.as_bytes()) {
            self.put(place, value);
            self.changed();
        }
    }

    /// `rename-command` lines: the old name and the new one, which is empty if the command was
    /// removed.
    pub fn renames(&self) -> &[(String, String)] {
        &self.renames
    }

    /// The `user` lines.
    pub fn users(&self) -> &[Declaration] {
        &self.users
    }

    /// Warnings about directives that are accepted but have no effect yet: one line for each that
    /// has a value other than its default.
    pub fn warnings(&self) -> Vec<String> {
        let all = C::directives().all().iter().enumerate();
        all.filter(|(place, d)| {
            d.has_no_effect()
                && self.values.given[*place]
                && self.values.texts[*place] != d.default.as_bytes()
        })
        .map(|(_, d)| format!("The directive '{}' is accepted but has no effect yet.", d.name))
        .collect()
    }

    /// The value of the directive at this index.
    pub(in crate::front) fn value(&self, place: usize) -> Option<&[u8]> {
        self.values.at(place)
    }

    /// Sets the directive at this index; [`Config::changed`] must be called afterwards.
    pub(in crate::front) fn put(&mut self, place: usize, text: Vec<u8>) {
        self.values.texts[place] = text;
        self.values.given[place] = true;
    }

    /// This configuration with the change from `old` to `new` undone.
    pub(in crate::front) fn without(&self, old: &Self, new: &Self) -> Self {
        let mut config = self.clone();
        for at in 0..C::directives().all().len() {
            if old.value(at) != new.value(at) && new.value(at) == self.value(at) {
                config.values.texts[at].clone_from(&old.values.texts[at]);
                config.values.given[at] = old.values.given[at];
            }
        }
        config.changed();
        config
    }

    /// Recomputes the typed values.
    pub(in crate::front) fn changed(&mut self) {
        self.front = FrontSettings::of(&self.values);
        self.settings = C::settings(&self.values);
    }
}
