//! All users, their lines in configuration files, and the `aclfile`.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Env, RuleError, User, UserId, has_blanks};
use crate::sorted::SortedMap;

/// The user that a client is logged in as until it authenticates as another.
pub const DEFAULT: &[u8] = b"default";

/// All users, in the order of their names. There is always a default user.
#[derive(Clone, Debug)]
pub struct Users {
    default: Arc<User>,
    by_name: SortedMap<Vec<u8>, Arc<User>>,
    last_id: u64,
}

impl Users {
    /// Just the default user, with all permissions and no password.
    pub fn new(env: Env<'_>) -> Self {
        let default = Arc::new(default_user(env));
        let mut users =
            Self { default: Arc::clone(&default), by_name: SortedMap::new(), last_id: 0 };
        users.put(default);
        users
    }

    /// The default user.
    pub fn default_user(&self) -> &Arc<User> {
        &self.default
    }

    /// The user of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// The user of this name, if it accepts this password.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<&Arc<User>> {
        self.get(name).filter(|user| user.accepts(password))
    }

    /// All users in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.by_name.iter().map(|(_, user)| user)
    }

    /// Whether new clients are logged in as the default user without a password.
    pub fn is_open(&self) -> bool {
        self.default.is_enabled() && self.default.needs_no_password()
    }

    fn put(&mut self, user: Arc<User>) {
        if user.name == DEFAULT {
            self.default = Arc::clone(&user);
        }
        self.by_name.insert(user.name.clone(), user);
    }

    fn create(&mut self, name: &[u8], env: Env<'_>) -> User {
        self.last_id += 1;
        User::new(UserId(self.last_id), name, env)
    }

    /// Creates or changes a user: all rules are applied, or none. The error is the message for the
    /// client.
    pub fn set(&mut self, name: &[u8], rules: &[&[u8]], env: Env<'_>) -> Result<(), Vec<u8>> {
        let rules = merged(rules).map_err(|start| {
            [b"Unmatched parenthesis in acl selector starting at '", start, b"'."].concat()
        })?;
        let mut user = match self.get(name) {
            Some(user) => User::clone(user),
            None => self.create(name, env),
        };
        for rule in rules {
            user.apply(&rule, env).map_err(|error| {
                let error = error.to_string();
                [b"Error in ACL SETUSER modifier '", &rule[..], b"': ", error.as_bytes()].concat()
            })?;
        }
        self.put(Arc::new(user));
        Ok(())
    }

    /// Removes a user. False if it does not exist, or is the default user, which cannot be removed.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        name != DEFAULT && self.by_name.remove(name).is_some()
    }

    /// Sets the only password of the default user, or `nopass`.
    pub fn set_default_password(&mut self, password: Option<&[u8]>, env: Env<'_>) {
        let rule = match password {
            Some(password) => [b">", password].concat(),
            None => b"nopass".to_vec(),
        };
        let mut user = User::clone(&self.default);
        for rule in [&b"resetpass"[..], &rule] {
            // Rules about passwords in clear text cannot fail.
            let _ = user.apply(rule, env);
        }
        self.put(Arc::new(user));
    }

    /// Applies the `user` lines of a configuration file, which were checked when they were read:
    /// the name and the rules of each. Returns the names of the disabled users. The error is a line
    /// for the log.
    pub fn declare(
        &mut self,
        lines: &[Declaration],
        env: Env<'_>,
    ) -> Result<Vec<Vec<u8>>, Vec<u8>> {
        let mut disabled = Vec::new();
        for Declaration { name, rules } in lines {
            if has_blanks(name) {
                return Err(b"Spaces not allowed in ACL usernames".to_vec());
            }
            let mut user = match name.as_slice() {
                DEFAULT => User::new(self.default.id, name, env),
                name => self.create(name, env),
            };
            for rule in rules {
                user.apply(rule, env).map_err(|error| {
                    let error = error.to_string();
                    let of = b"' for the user named '";
                    [b"Error loading ACL rule '", &rule[..], of, name, b"': ", error.as_bytes()]
                        .concat()
                })?;
            }
            if !user.is_enabled() {
                disabled.push(name.clone());
            }
            self.put(Arc::new(user));
        }
        Ok(disabled)
    }

    /// Parses an `aclfile`. Every user in it but the default one gets a new identity, even if there
    /// was one of the same name. The error lists everything that is wrong, in one line.
    pub fn read_file(&self, path: &str, text: &[u8], env: Env<'_>) -> Result<Self, Vec<u8>> {
        let mut users = Self { last_id: self.last_id, ..Self::new(env) };
        let mut errors = Vec::new();
        let mut seen: SortedMap<Vec<u8>, ()> = SortedMap::new();
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            if let Err(error) = users.read_line(line, &mut seen, env) {
                let place = format!("{path}:{number}");
                errors.extend(match error {
                    LineError::NoUser => {
                        format!("{place} should start with user keyword followed by the username. ")
                            .into_bytes()
                    }
                    LineError::Name(name) => {
                        let place = format!("'{place}: username '").into_bytes();
                        [&place, &name[..], b"' contains invalid characters. "].concat()
                    }
                    LineError::Duplicate(name) => {
                        let place = format!("' found on line {number}. ").into_bytes();
                        [b"WARNING: Duplicate user '", &name[..], &place].concat()
                    }
                    LineError::Unmatched => {
                        format!("{place}: Unmatched parenthesis in selector definition.")
                            .into_bytes()
                    }
                    LineError::Rules(errors) => errors
                        .into_iter()
                        .flat_map(|error| [format!("{place}: ").as_bytes(), &error, b". "].concat())
                        .collect(),
                });
            }
        }
        if errors.is_empty() {
            return Ok(users);
        }
        errors.extend_from_slice(
            b"WARNING: ACL errors detected, no change to the previously active ACL rules was \
              performed",
        );
        Err(errors)
    }

    fn read_line(
        &mut self,
        line: &[u8],
        seen: &mut SortedMap<Vec<u8>, ()>,
        env: Env<'_>,
    ) -> Result<(), LineError> {
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let [b"user", name, rules @ ..] = words.as_slice() else {
            return Err(LineError::NoUser);
        };
        if has_blanks(name) {
            return Err(LineError::Name(name.to_vec()));
        }
        if seen.insert(name.to_vec(), ()).is_some() {
            return Err(LineError::Duplicate(name.to_vec()));
        }
        let mut user = match *name {
            DEFAULT => User::new(self.default.id, name, env),
            name => self.create(name, env),
        };
        let mut errors = Vec::new();
        let mut told = false;
        for rule in merged(rules).map_err(|_| LineError::Unmatched)? {
            let rule = rule.trim_ascii();
            match user.apply(rule, env) {
                Ok(()) => {}
                Err(error @ RuleError::Unknown) => {
                    let error = error.to_string();
                    errors.push(
                        [b"Error in applying operation '", rule, b"': ", error.as_bytes()].concat(),
                    );
                }
                // Only the first of other errors is reported: those after it follow from it, and
                // the rules themselves may be secret.
                Err(error) if !told => {
                    told = true;
                    errors.push(error.to_string().into_bytes());
                }
                Err(_) => {}
            }
        }
        if !errors.is_empty() {
            return Err(LineError::Rules(errors));
        }
        self.put(Arc::new(user));
        Ok(())
    }

    /// Each user as a line of the `aclfile` and of `ACL LIST`.
    pub fn lines(&self) -> impl Iterator<Item = Vec<u8>> {
        self.iter().map(|user| [b"user ", user.name(), b" ", &user.describe()].concat())
    }

    /// The text of the `aclfile`.
    pub fn file_text(&self) -> Vec<u8> {
        self.lines().flat_map(|line| [&line[..], b"\n"].concat()).collect()
    }
}

/// Errors in a line of the `aclfile`.
enum LineError {
    NoUser,
    Name(Vec<u8>),
    Duplicate(Vec<u8>),
    Unmatched,
    Rules(Vec<Vec<u8>>),
}

/// A `user` line of a configuration file.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// The user's name.
    pub name: Vec<u8>,
    /// Its rules.
    pub rules: Vec<Vec<u8>>,
}

impl Declaration {
    /// Parses the words after `user`. Unknown commands are reported only when the rules are
    /// applied.
    pub fn read(name: &[u8], rules: &[Vec<u8>], env: Env<'_>) -> Result<Self, String> {
        let wrong = |rule: &[u8], error: &str| {
            format!("Error in user declaration '{}': {error}", String::from_utf8_lossy(rule))
        };
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let rules = merged(&rules)
            .map_err(|start| wrong(start, "Unmatched parenthesis in acl selector"))?;
        let mut user = User::new(UserId(0), name, env);
        for rule in &rules {
            match user.apply(rule, env) {
                Ok(()) | Err(RuleError::Unknown) => {}
                Err(error) => return Err(wrong(rule, &error.to_string())),
            }
        }
        let rules = rules.into_iter().map(Cow::into_owned).collect();
        Ok(Self { name: name.to_vec(), rules })
    }
}

fn default_user(env: Env<'_>) -> User {
    let mut user = User::new(UserId(0), DEFAULT, env);
    for rule in [&b"+@all"[..], b"~*", b"&*", b"on", b"nopass"] {
        // These are rules.
        let _ = user.apply(rule, env);
    }
    user
}

/// Joins the words of each selector into one rule. The error is the word with the unmatched opening
/// parenthesis.
fn merged<'r>(words: &[&'r [u8]]) -> Result<Vec<Cow<'r, [u8]>>, &'r [u8]> {
    let mut rules = Vec::with_capacity(words.len());
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for &word in words {
        match &mut open {
            None if word.starts_with(b"(") && !word.ends_with(b")") => {
                open = Some((word, word.to_vec()));
            }
            None => rules.push(Cow::Borrowed(word)),
            Some((_, selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if word.ends_with(b")") {
                    rules.push(Cow::Owned(core::mem::take(selector)));
                    open = None;
                }
            }
        }
    }
    match open {
        Some((start, _)) => Err(start),
        None => Ok(rules),
    }
}
