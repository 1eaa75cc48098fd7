//! Configuration: directives with their values, read from files and arguments as Redis reads them,
//! changed by CONFIG SET and written back by CONFIG REWRITE.
//!
//! This is the mechanism. What a program can be told is its [`Schema`]: a table of [`Directive`]s,
//! its typed `Settings`, and *state lines*, which have a key and may stand in a file many times
//! (`sentinel monitor <name> …`). Lines about users (`user <name> …`) are kept for those who know what
//! they mean ([`acl`](crate::acl)).
//!
//! * [`directive`]: one directive, and a table of them; [`shared`]: the directives of every program
//!   that serves clients, and [`FrontSettings`], their typed values;
//! * [`value`]: words into the one form in which a value is kept: the text that CONFIG GET shows;
//! * [`file`](mod@file): reading files and arguments; [`rewrite`]: writing a file back;
//! * `change`: changes that take time. CONFIG itself is next door, in `config_commands`.

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

/// What a program can be told by its configuration.
pub trait Schema: Clone + Debug + Send + Sync + Sized + 'static {
    /// The values that only this program uses, typed.
    type Settings: Clone + Debug + Send + Sync;
    /// What stands beside the directives: what state lines say, and switches that no line sets.
    type State: Clone + Debug + Default + Send + Sync;

    /// Directives of older versions that are read and ignored.
    const IGNORED: &'static [&'static str] = &[];

    /// All directives: [`FRONT_DIRECTIVES`] and the program's own.
    fn directives() -> &'static Directives;

    /// The typed values.
    fn settings(values: &Values<Self>) -> Self::Settings;

    /// The commands of the program.
    fn commands() -> &'static dyn Catalog;

    /// Whether the program has a command of this name, in lower case.
    fn is_command(name: &str) -> bool {
        Self::commands().find(name.as_bytes()).is_some_and(|command| !command.is_subcommand)
    }

    /// Reads a line that is no directive of the table. `name` is its first word in lower case.
    fn read_line(
        _config: &mut Config<Self>,
        _name: &str,
        _words: &[Vec<u8>],
    ) -> Result<(), String> {
        Err("Bad directive or wrong number of arguments".into())
    }

    /// What is wrong with the configuration as a whole.
    fn check(_config: &Config<Self>) -> Result<(), String> {
        Ok(())
    }

    /// Whether CONFIG REWRITE writes a directive that this program has. Lines of others go.
    fn is_written(_name: &str) -> bool {
        true
    }

    /// The key of a state line, by which CONFIG REWRITE finds the lines to replace: its first word,
    /// or its first two. `None` if the line is none. Lines of one key are replaced in their order.
    fn state_key(_words: &[Vec<u8>]) -> Option<String> {
        None
    }

    /// All state lines as they are to stand in the file, each with its key.
    fn state_lines(_config: &Config<Self>) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// The configuration of a program.
#[derive(Clone, Debug)]
pub struct Config<C: Schema> {
    values: Values<C>,
    front: FrontSettings,
    settings: C::Settings,
    renames: Vec<(String, String)>,
    users: Vec<Declaration>,
    /// The file that it was read from, as an absolute path.
    pub file: Option<String>,
}

/// The values of all directives, from which the typed settings are made.
#[derive(Clone, Debug)]
pub struct Values<C: Schema> {
    /// One for each directive, in the order of the table.
    texts: Vec<Vec<u8>>,
    /// Which of them were given in a file or as an argument.
    given: Vec<bool>,
    /// What stands beside the directives.
    pub state: C::State,
}

impl<C: Schema> Values<C> {
    /// A directive's value, in the form that CONFIG GET shows.
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

    /// A value that is one of these words, as what the word means.
    pub fn word<T: Copy + Default>(&self, name: &str, words: &[(&str, T)]) -> T {
        let text = self.get(name).unwrap_or_default();
        let found = words.iter().find(|(word, _)| word.as_bytes() == text);
        found.map_or(T::default(), |(_, value)| *value)
    }

    /// Whether a value is `yes`.
    pub fn yes(&self, name: &str) -> bool {
        self.get(name) == Some(b"yes")
    }

    /// A value as a number, negative if it is a percentage; 0 if it is none.
    pub fn number(&self, name: &str) -> i64 {
        let text = self.text(name);
        match text.strip_suffix('%') {
            Some(percent) => -percent.parse::<i64>().unwrap_or_default(),
            None => text.parse().unwrap_or_default(),
        }
    }

    /// A value as a number of bytes or things; 0 if it is none.
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
    /// The typed values of the directives that every program has which serves clients.
    #[inline]
    pub fn front(&self) -> &FrontSettings {
        &self.front
    }

    /// The typed values of the program's own directives.
    #[inline]
    pub fn settings(&self) -> &C::Settings {
        &self.settings
    }

    /// What stands beside the directives.
    pub fn state(&self) -> &C::State {
        &self.values.state
    }

    /// Changes what stands beside the directives.
    pub fn change_state(&mut self, change: impl FnOnce(&mut C::State)) {
        change(&mut self.values.state);
        self.changed();
    }

    /// A directive's value, in the form that CONFIG GET shows.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.values.get(name)
    }

    /// Sets one directive, as CONFIG SET does. The error says what is wrong with the value.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        let place = C::directives().place(name.as_bytes()).ok_or("no such directive")?;
        let directive = C::directives().all()[place];
        let text = value::from_one(directive, value, self.value(place).unwrap_or_default())?;
        self.put(place, text);
        self.changed();
        Ok(())
    }

    /// Gives a directive a value that the program itself has found.
    pub(crate) fn replace(&mut self, name: &str, value: Vec<u8>) {
        if let Some(place) = C::directives().place(name.as_bytes()) {
            self.put(place, value);
            self.changed();
        }
    }

    /// Commands that were given other names: the old one and the new one, which is empty if the
    /// command was taken away.
    pub fn renames(&self) -> &[(String, String)] {
        &self.renames
    }

    /// The lines about users.
    pub fn users(&self) -> &[Declaration] {
        &self.users
    }

    /// What a person should be told of directives that are known but have no effect yet: one line
    /// for each that was given a value other than its default.
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

    /// The value of the directive at this place.
    pub(in crate::front) fn value(&self, place: usize) -> Option<&[u8]> {
        self.values.at(place)
    }

    /// Gives the directive at this place a value; [`Config::changed`] has to follow.
    pub(in crate::front) fn put(&mut self, place: usize, text: Vec<u8>) {
        self.values.texts[place] = text;
        self.values.given[place] = true;
    }

    /// This configuration without what a change from `old` to `new` has changed in it.
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

    /// Brings the typed values up to date.
    pub(in crate::front) fn changed(&mut self) {
        self.front = FrontSettings::of(&self.values);
        self.settings = C::settings(&self.values);
    }
}
