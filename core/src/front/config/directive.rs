//! Directives, and the table of a program's directives.

use super::value::DirectiveError;
use crate::command::secrets::is_secret_directive;

/// One configuration directive.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: &'static str,
    /// Its older name, or empty.
    pub alias: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Its default, in the form that CONFIG GET shows.
    pub default: &'static str,
    flags: u8,
}

/// The kinds of values, with their bounds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// Any text.
    Text,
    /// Text that this function accepts.
    TextIf(fn(&[u8]) -> Result<(), &'static str>),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several of these words.
    Choices(&'static [&'static str]),
    /// A number between these bounds, inclusive.
    Number(i64, i64, Unit),
    /// A directory, which becomes the working directory.
    Dir,
    /// `client-output-buffer-limit`: four words for each class of clients.
    OutputLimits,
    /// `bind`: addresses.
    Bind,
    /// `latency-tracking-info-percentiles`: numbers from 0 to 100.
    Percentiles,
    /// A value with its own parser and writer.
    Custom(&'static Form),
}

/// The words of a [`Kind::Choice`], taken from the table that maps them to the setting's type, so
/// that there is only one list.
pub const fn words<const N: usize, T: Copy>(all: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        words[at] = all[at].0;
        at += 1;
    }
    words
}

/// How a value in an unusual form is parsed and written.
#[derive(Debug)]
pub struct Form {
    /// Parses words into the text in which the value is stored.
    pub read: ReadForm,
    /// Writes the lines of a configuration file for `value`. `forced` says whether the value
    /// differs from the default.
    pub write: fn(value: &[u8], forced: bool) -> FormLines,
}

/// Reads the words of a value; the error says what is wrong with them.
pub type ReadForm = fn(words: &[&[u8]]) -> Result<Vec<u8>, DirectiveError>;

/// The lines of a configuration file for one directive.
#[derive(Debug)]
pub struct FormLines {
    /// The lines, without the directive's name.
    pub lines: Vec<String>,
    /// Whether they must be in the file; otherwise they only replace existing lines.
    pub forced: bool,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// In decimal digits.
    Plain,
    /// With a unit such as `kb` (1024) or `k` (1000).
    Memory,
    /// Like memory, or a percentage, which is kept as a negative number.
    MemoryOrPercent,
    /// In octal digits.
    Octal,
}

impl Directive {
    /// Whether it can be set only when the server starts.
    pub fn is_immutable(&self) -> bool {
        self.flags & flags::IMMUTABLE != 0
    }

    /// Whether patterns do not match it; only its exact name does.
    pub fn is_hidden(&self) -> bool {
        self.flags & flags::HIDDEN != 0
    }

    /// Whether its value is kept out of logs.
    pub fn is_sensitive(&self) -> bool {
        is_secret_directive(self.name.as_bytes())
    }

    /// Whether it is guarded by `enable-protected-configs`.
    pub fn is_protected(&self) -> bool {
        self.flags & flags::PROTECTED != 0
    }

    /// Whether it takes several words.
    pub fn takes_several(&self) -> bool {
        self.flags & flags::MULTI != 0
    }

    /// Whether its first line in a file replaces the default and further lines add to it.
    pub fn adds(&self) -> bool {
        self.flags & flags::ADDS != 0
    }

    /// Whether it is known, but setting it changes nothing yet.
    pub fn has_no_effect(&self) -> bool {
        self.flags & flags::NO_EFFECT != 0
    }
}

/// Defines a directive: name, older name or empty, kind of value, default, and bits of [`flags`].
pub const fn directive(
    name: &'static str,
    alias: &'static str,
    kind: Kind,
    default: &'static str,
    flags: u8,
) -> Directive {
    Directive { name, alias, kind, default, flags }
}

/// Properties of directives, as bits.
pub mod flags {
    /// Nothing unusual.
    pub const NONE: u8 = 0;
    /// It can be set only when the program starts.
    pub const IMMUTABLE: u8 = 1;
    /// Patterns do not match it; only its exact name does.
    pub const HIDDEN: u8 = 2;
    /// It is guarded by `enable-protected-configs`.
    pub const PROTECTED: u8 = 8;
    /// It takes several words.
    pub const MULTI: u8 = 16;
    /// It is known, but setting it changes nothing yet.
    pub const NO_EFFECT: u8 = 32;
    /// Its first line in a file replaces the default, the others add to it.
    pub const ADDS: u8 = 64;
}

/// The directives of a program, in the order of their names.
#[derive(Debug)]
pub struct Directives {
    all: Vec<&'static Directive>,
}

impl Directives {
    /// A table of these groups. Where two groups define the same name, the later one wins.
    pub fn new(groups: &[&'static [Directive]]) -> Self {
        Self { all: Vec::new() }.with(groups)
    }

    /// This table with more directives, which win where the name is already defined.
    #[must_use]
    pub fn with(&self, groups: &[&'static [Directive]]) -> Self {
        let mut all = self.all.clone();
        for directive in groups.iter().copied().flatten() {
            match all.binary_search_by(|d| d.name.cmp(directive.name)) {
                Ok(at) => all[at] = directive,
                Err(at) => all.insert(at, directive),
            }
        }
        Self { all }
    }

    /// All directives.
    pub fn all(&self) -> &[&'static Directive] {
        &self.all
    }

    /// The index in [`Directives::all`] of a name or an alias, ignoring case.
    pub fn place(&self, name: &[u8]) -> Option<usize> {
        let name = core::str::from_utf8(name).ok()?.to_ascii_lowercase();
        self.all
            .binary_search_by(|d| d.name.cmp(&name))
            .ok()
            .or_else(|| self.all.iter().position(|d| !d.alias.is_empty() && d.alias == name))
    }

    /// The directive with this name or alias, ignoring case.
    pub fn find(&self, name: &[u8]) -> Option<&'static Directive> {
        self.all.get(self.place(name)?).copied()
    }
}
