//! Read-only views of a server, for the page, the simulated World and tests.

use super::Server;
use crate::acl::{Context, Reason, has_blanks};
use crate::machine::Endpoint;
use crate::time::Duration;

/// A server's key figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// The run id: forty hexadecimal digits, new for every start.
    pub run_id: String,
    /// `master` or `slave`.
    pub role: &'static str,
    /// Time since the start.
    pub uptime: Duration,
    /// Number of connected clients.
    pub clients: usize,
    /// Number of executed commands.
    pub commands: u64,
    /// Bytes received and sent.
    pub traffic: (u64, u64),
    /// Keyspace hits and misses.
    pub hits: (u64, u64),
    /// Number of expired keys.
    pub expired: u64,
    /// Number of error replies.
    pub errors: u64,
    /// Changes since the last save.
    pub dirty: u64,
    /// Bytes used by keys and values.
    pub memory: usize,
    /// The addresses of the listeners.
    pub listening: Vec<Endpoint>,
    /// The databases that have keys.
    pub databases: Vec<Database>,
}

/// One database's key figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its number.
    pub index: usize,
    /// Number of keys.
    pub keys: usize,
    /// Number of keys with an expiry.
    pub expiring: usize,
}

/// A user, for observers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// Its name.
    pub name: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether any password is accepted (`nopass`).
    pub needs_no_password: bool,
    /// Number of passwords.
    pub passwords: usize,
    /// Number of clients logged in as this user.
    pub clients: usize,
    /// Its selectors: a command is allowed if one of them allows all of it.
    pub selectors: Vec<SelectorView>,
}

/// A selector's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorView {
    /// Rules about commands.
    pub commands: String,
    /// Patterns of keys.
    pub keys: String,
    /// Patterns of channels.
    pub channels: String,
}

/// An entry of ACL LOG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenialView {
    /// Its number.
    pub id: u64,
    /// What was not allowed.
    pub reason: Reason,
    /// Where the command came from.
    pub context: Context,
    /// The user's name.
    pub user: String,
    /// The command.
    pub command: String,
    /// The command, key or channel.
    pub object: String,
    /// A rule that would allow it, if one can be determined.
    pub missing: Option<String>,
    /// The address of the client that was last denied.
    pub client: String,
    /// How often it was denied.
    pub count: u64,
    /// How long ago it was denied last.
    pub ago: Duration,
}

impl Server {
    /// The server's key figures.
    pub fn overview(&self) -> Overview {
        let env = &self.service.keyspace.env;
        Overview {
            run_id: String::from_utf8_lossy(&self.run_id).into_owned(),
            role: if self.service.replication.is_replica() { "slave" } else { "master" },
            uptime: self.uptime(),
            clients: self.clients.connected(),
            commands: self.stats.commands_processed,
            traffic: (self.stats.net_input, self.stats.net_output),
            hits: (env.hits, env.misses),
            expired: env.expired,
            errors: self.stats.error_replies,
            dirty: self.service.dirty,
            memory: self.service.keyspace.memory(),
            listening: self.listeners.addresses().cloned().collect(),
            databases: self
                .service
                .keyspace
                .summary()
                .map(|(index, keys, expiring)| Database { index, keys, expiring })
                .collect(),
        }
    }

    /// Whether there are users besides the default one, or entries in ACL LOG.
    pub fn has_users(&self) -> bool {
        self.acl.users().iter().len() > 1 || self.acl.log().entries().len() > 0
    }

    /// All users, in the order of their names.
    pub fn users_view(&self) -> Vec<UserView> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let is = |client: &super::Client, id| client.user.as_ref().is_some_and(|u| u.id() == id);
        self.acl
            .users()
            .iter()
            .map(|user| UserView {
                name: text(user.name()),
                enabled: user.is_enabled(),
                needs_no_password: user.needs_no_password(),
                passwords: user.passwords().len(),
                clients: self.clients.iter().filter(|client| is(client, user.id())).count(),
                selectors: user
                    .selectors()
                    .iter()
                    .map(|selector| SelectorView {
                        commands: text(&selector.describe_commands()),
                        keys: text(&selector.describe_keys()),
                        channels: text(&selector.describe_channels()),
                    })
                    .collect(),
            })
            .collect()
    }

    /// The entries of ACL LOG, newest first.
    pub fn denials_view(&self) -> Vec<DenialView> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let now = self.now.1.as_millis();
        self.acl
            .log()
            .entries()
            .map(|entry| {
                let sign = match entry.reason {
                    Reason::Command => Some('+'),
                    Reason::Key => Some('~'),
                    Reason::Channel => Some('&'),
                    Reason::Login => None,
                };
                let object = text(&entry.object);
                let sign = sign.filter(|_| !has_blanks(&entry.object));
                let address = entry.client.split(' ').find_map(|f| f.strip_prefix("addr="));
                DenialView {
                    id: entry.id,
                    reason: entry.reason,
                    context: entry.context,
                    user: text(&entry.user),
                    command: entry.command.clone(),
                    missing: sign.map(|sign| format!("{sign}{object}")),
                    object,
                    client: address.unwrap_or_default().to_owned(),
                    count: entry.count,
                    ago: Duration::from_millis(now.saturating_sub(entry.updated)),
                }
            })
            .collect()
    }
}
