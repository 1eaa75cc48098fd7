//! One user: passwords and selectors.

use sha2::{Digest, Sha256};

use super::selector::allows_channel;
use super::{Denied, Env, Request, RuleError, Selector};
use crate::resp::quote::split_args;

/// The identity of a user: a later user of the same name has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserId(pub(super) u64);

/// One user.
#[derive(Clone, Debug)]
pub struct User {
    pub(super) id: UserId,
    pub(super) name: Vec<u8>,
    enabled: bool,
    no_password: bool,
    /// Whether `skip-sanitize-payload` is set. Limpid checks payloads of RESTORE all the same.
    skips_sanitizing: bool,
    /// SHA-256 digests in hexadecimal.
    passwords: Vec<String>,
    /// The first one is the root selector.
    selectors: Vec<Selector>,
}

impl User {
    /// A user that is disabled and has no permissions.
    pub(super) fn new(id: UserId, name: &[u8], env: Env<'_>) -> Self {
        Self {
            id,
            name: name.to_vec(),
            enabled: false,
            no_password: false,
            skips_sanitizing: false,
            passwords: Vec::new(),
            selectors: vec![Selector::new(env.all_channels)],
        }
    }

    /// The identity, which stays the same when the rules change.
    pub fn id(&self) -> UserId {
        self.id
    }

    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether it can log in.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether any password is accepted (`nopass`).
    pub fn needs_no_password(&self) -> bool {
        self.no_password
    }

    /// SHA-256 digests of the passwords, in hexadecimal.
    pub fn passwords(&self) -> &[String] {
        &self.passwords
    }

    /// All selectors, the root selector first.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// The flags that ACL GETUSER shows: `on`, `nopass`, `sanitize-payload`.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> + Clone {
        let no_password = self.no_password.then_some("nopass");
        let payload =
            if self.skips_sanitizing { "skip-sanitize-payload" } else { "sanitize-payload" };
        [Some(if self.enabled { "on" } else { "off" }), no_password, Some(payload)]
            .into_iter()
            .flatten()
    }

    /// Whether every request is allowed.
    pub fn allows_everything(&self) -> bool {
        self.selectors.iter().any(Selector::allows_everything)
    }

    /// Whether this password is accepted; never if the user is disabled.
    pub fn accepts(&self, password: &[u8]) -> bool {
        if !self.enabled || self.no_password {
            return self.enabled;
        }
        let digest = digest(password);
        self.passwords.iter().any(|known| same(known.as_bytes(), digest.as_bytes()))
    }

    /// Applies one rule.
    pub fn apply(&mut self, rule: &[u8], env: Env<'_>) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"" => {}
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"skip-sanitize-payload" => self.skips_sanitizing = true,
            b"sanitize-payload" => self.skips_sanitizing = false,
            b"nopass" => {
                self.no_password = true;
                self.passwords.clear();
            }
            b"resetpass" => {
                self.no_password = false;
                self.passwords.clear();
            }
            b"clearselectors" => self.selectors.truncate(1),
            b"reset" => *self = Self::new(self.id, &self.name, env),
            _ => match rule {
                [b'>', password @ ..] => self.add_password(digest(password)),
                [b'#', hash @ ..] => self.add_password(checked_digest(hash)?),
                [b'<', password @ ..] => self.remove_password(&digest(password))?,
                [b'!', hash @ ..] => self.remove_password(&checked_digest(hash)?)?,
                [b'(', rules @ .., b')'] => {
                    let mut selector = Selector::new(env.all_channels);
                    for rule in split_args(rules).ok_or(RuleError::Syntax)? {
                        selector.apply(&rule, env)?;
                    }
                    self.selectors.push(selector);
                }
                rule => match self.selectors.first_mut() {
                    Some(root) => root.apply(rule, env)?,
                    None => return Err(RuleError::Syntax),
                },
            },
        }
        Ok(())
    }

    fn add_password(&mut self, digest: String) {
        if !self.passwords.contains(&digest) {
            self.passwords.push(digest);
        }
        self.no_password = false;
    }

    fn remove_password(&mut self, digest: &str) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| known == digest);
        self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    /// Checks a request against all selectors. If all deny it, the greatest reason is returned.
    pub fn check(&self, request: &mut Request<'_>) -> Result<(), Denied> {
        let mut denied = None;
        for selector in &self.selectors {
            match selector.check(request) {
                Ok(()) => return Ok(()),
                Err(why) => denied = denied.max(Some(why)),
            }
        }
        denied.map_or(Ok(()), Err)
    }

    /// Whether it may call this command and access every possible key in this way (bits of
    /// [`key`](crate::command::meta::key)).
    pub fn may_with_all_keys(&self, request: &mut Request<'_>, flags: u32) -> bool {
        self.selectors
            .iter()
            .any(|selector| selector.check(request).is_ok() && selector.allows_all_keys(flags))
    }

    /// Whether it allows every channel that `before` allowed.
    pub fn allows_channels_of(&self, before: &User) -> bool {
        let known = self.channels();
        self.selectors.iter().any(Selector::allows_all_channels)
            || before.selectors.iter().all(|selector| {
                !selector.allows_all_channels()
                    && selector.channels().iter().all(|pattern| known.contains(pattern))
            })
    }

    /// Whether it may subscribe to a channel, or to a pattern.
    pub fn may_subscribe(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors.iter().any(Selector::allows_all_channels)
            || allows_channel(&self.channels(), channel, is_pattern)
    }

    fn channels(&self) -> Vec<Vec<u8>> {
        self.selectors.iter().flat_map(|selector| selector.channels().to_vec()).collect()
    }

    /// The rules, in the syntax of `ACL SETUSER`.
    pub fn describe(&self) -> Vec<u8> {
        let mut words: Vec<Vec<u8>> = self.flags().map(|flag| flag.as_bytes().to_vec()).collect();
        words.extend(self.passwords.iter().map(|digest| format!("#{digest}").into_bytes()));
        for (at, selector) in self.selectors.iter().enumerate() {
            let rules = selector.describe();
            words.push(if at == 0 { rules } else { [b"(", rules.as_slice(), b")"].concat() });
        }
        words.join(&b' ')
    }
}

/// The SHA-256 digest of a password in hexadecimal.
fn digest(password: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(password))
}

const DIGEST_LEN: usize = 64;

fn checked_digest(text: &[u8]) -> Result<String, RuleError> {
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != DIGEST_LEN || !text.iter().all(is_hex) {
        return Err(RuleError::NotAHash);
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// Compares digests in constant time.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0u8, |differ, (a, b)| differ | (a ^ b));
    a.len() == b.len() && differ == 0
}
