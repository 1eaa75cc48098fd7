//! What an observer sees of a server: the page, the simulated World, tests. Nothing here changes
//! anything.

use super::Server;
use super::config::ServerSchema;
use crate::acl::{Context, Reason, has_blanks};
use crate::front::Standing;
use crate::front::config::Schema;
use crate::machine::{ConnId, Endpoint};
use crate::store::value::StreamId;
use crate::store::{Encoding, Entry, Keyed, Type, ValueRef};
use crate::time::Duration;

/// What a server tells about itself at a glance.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// Forty hexadecimal digits that name this life of the server.
    pub run_id: String,
    /// `master` or `slave`.
    pub role: &'static str,
    /// How long it has been up.
    pub uptime: Duration,
    /// How many clients are connected.
    pub clients: usize,
    /// How many commands it has carried out.
    pub commands: u64,
    /// Bytes received and sent.
    pub traffic: (u64, u64),
    /// Lookups that found their key, and those that did not.
    pub hits: (u64, u64),
    /// Keys that expired.
    pub expired: u64,
    /// Errors answered.
    pub errors: u64,
    /// Changes since the last save.
    pub dirty: u64,
    /// Bytes that keys and values take.
    pub memory: usize,
    /// Where it listens.
    pub listening: Vec<Endpoint>,
    /// The databases that hold keys.
    pub databases: Vec<Database>,
}

/// One database at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its number.
    pub index: usize,
    /// How many keys it holds.
    pub keys: usize,
    /// How many of them expire.
    pub expiring: usize,
}

/// One client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientView {
    /// Its id.
    pub id: u64,
    /// Its connection.
    pub conn: ConnId,
    /// Its address.
    pub peer: Endpoint,
    /// The name that it gave itself.
    pub name: String,
    /// The database that it selected.
    pub db: usize,
    /// The version of the protocol: 2 or 3.
    pub proto: u8,
    /// The command that it called last.
    pub last_command: Option<&'static str>,
    /// How long it has been connected, and idle.
    pub age: Duration,
    /// How long it has been idle.
    pub idle: Duration,
    /// Bytes that wait for it to read them.
    pub unsent: usize,
    /// Bytes that wait to become a request.
    pub unread: usize,
    /// Whether it is held back by CLIENT PAUSE.
    pub paused: bool,
}

/// A user, as an observer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// Its name.
    pub name: String,
    /// Whether it can log in.
    pub enabled: bool,
    /// Whether it logs in with any password.
    pub needs_no_password: bool,
    /// How many passwords it has.
    pub passwords: usize,
    /// How many clients are logged in as it.
    pub clients: usize,
    /// What it may do: a command is allowed if one of these allows all of it.
    pub selectors: Vec<SelectorView>,
}

/// One set of permissions, as rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorView {
    /// Rules about commands.
    pub commands: String,
    /// Patterns of keys.
    pub keys: String,
    /// Patterns of channels.
    pub channels: String,
}

/// Something that was denied to a user.
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
    /// A rule that would allow it, where one can be told.
    pub missing: Option<String>,
    /// The address of the client that was denied it last.
    pub client: String,
    /// How often it was denied.
    pub count: u64,
    /// How long ago it was denied last.
    pub ago: Duration,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyView {
    /// Its name.
    pub name: Vec<u8>,
    /// The type of its value.
    pub kind: Type,
    /// How its value is kept.
    pub encoding: Encoding,
    /// How many elements the value has; bytes of a string.
    pub len: usize,
    /// When it expires, in milliseconds since 1970.
    pub expires_at: Option<u64>,
    /// The beginning of its value.
    pub value: Preview,
}

/// The beginning of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Preview {
    /// Of a string.
    Text(Vec<u8>),
    /// Elements of a list or members of a set.
    Elements(Vec<Vec<u8>>),
    /// Fields and values of a hash.
    Pairs(Vec<(Vec<u8>, Vec<u8>)>),
    /// Members of a sorted set with their scores.
    Scores(Vec<(Vec<u8>, f64)>),
    /// Entries of a stream: their IDs, and their fields with their values.
    Entries(Vec<(StreamId, Fields)>),
}

/// Fields of an entry with their values.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Bytes of a string, and elements of a collection, that a preview shows.
const PREVIEW_BYTES: usize = 256;
const PREVIEW_ELEMENTS: usize = 32;

impl Server {
    /// The server at a glance.
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

    /// All clients, by id.
    pub fn client_views(&self) -> Vec<ClientView> {
        let now = self.now.0;
        self.clients
            .iter()
            .filter(|client| client.standing == Standing::Open)
            .map(|client| ClientView {
                id: client.id,
                conn: client.conn,
                peer: client.peer.clone(),
                name: String::from_utf8_lossy(&client.name).into_owned(),
                db: client.state.db,
                proto: client.proto.number(),
                last_command: Self::name_of(client.last_command),
                age: now.since(client.created),
                idle: now.since(client.last_heard),
                unsent: client.outbox.len(),
                unread: client.requests.waiting(),
                paused: client.paused,
            })
            .collect()
    }

    /// Whether there are users besides the default one, or something was denied to somebody.
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

    /// What was denied lately, newest first.
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

    /// All directives with their values, in the order of their names. Passwords are left out.
    pub fn config_view(&self) -> Vec<(&'static str, String)> {
        ServerSchema::directives()
            .all()
            .iter()
            .filter(|d| !d.is_hidden() && !d.is_sensitive())
            .filter_map(|d| {
                let value = self.config.get(d.name)?;
                Some((d.name, String::from_utf8_lossy(value).into_owned()))
            })
            .collect()
    }

    /// A page of the keys of a database: those behind `skip` others, `count` at most, in the order
    /// in which SCAN gives them. What has expired is left out.
    pub fn keys_view(&self, db: usize, skip: usize, count: usize) -> Vec<KeyView> {
        let now = self.now.1.as_millis();
        self.service
            .keyspace
            .entries(db)
            .filter(|entry| entry.expire().is_none_or(|at| at >= now))
            .skip(skip)
            .take(count)
            .map(view)
            .collect()
    }

    /// One key, if it is there.
    pub fn key_view(&self, db: usize, name: &[u8]) -> Option<KeyView> {
        let now = self.now.1.as_millis();
        self.service
            .keyspace
            .peek(db, name)
            .filter(|entry| entry.expire().is_none_or(|at| at >= now))
            .map(view)
    }
}

fn view(entry: &Entry) -> KeyView {
    let (len, value) = match entry.value() {
        ValueRef::String(string) => {
            let mut text = string.to_vec();
            let len = text.len();
            text.truncate(PREVIEW_BYTES);
            (len, Preview::Text(text))
        }
        ValueRef::List(list) => {
            let items = list.iter().take(PREVIEW_ELEMENTS);
            (list.len(), Preview::Elements(items.map(|item| item.to_vec()).collect()))
        }
        ValueRef::Set(set) => {
            let items = set.iter().take(PREVIEW_ELEMENTS);
            (set.len(), Preview::Elements(items.map(|item| item.to_vec()).collect()))
        }
        ValueRef::Hash(hash) => {
            let pairs = hash.iter().take(PREVIEW_ELEMENTS);
            let pairs = pairs.map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
            (hash.len(), Preview::Pairs(pairs))
        }
        ValueRef::ZSet(zset) => {
            let scores = zset.iter_from(0).take(PREVIEW_ELEMENTS);
            let scores = scores.map(|(member, score)| (member.to_vec(), score)).collect();
            (zset.len(), Preview::Scores(scores))
        }
        ValueRef::Stream(stream) => {
            let entries = stream.iter_from(0).take(PREVIEW_ELEMENTS).map(|entry| {
                let fields = entry.fields().take(PREVIEW_ELEMENTS);
                (entry.id, fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
            });
            (stream.len(), Preview::Entries(entries.collect()))
        }
    };
    KeyView {
        name: entry.key().to_vec(),
        kind: entry.value().kind(),
        encoding: entry.encoding(),
        len,
        expires_at: entry.expire(),
        value,
    }
}
