//! What is allowed on a replica, by a replica, and without enough replicas; and how keys expire on
//! a replica.

use std::collections::BTreeSet;

use super::primary::{Replica, State};
use crate::command::CommandError;
use crate::command::find_keys;
use crate::command::meta::flag;
use crate::machine::LogLevel;
use crate::resp::quote::repr;
use crate::resp::request::Args;
use crate::server::Command;
use crate::server::Server;
use crate::server::config::PropagationError;
use crate::server::propagate::Atomic;
use crate::server::{Client, CloseState};
use crate::store::{ExpireMode, Presence};
use crate::time::{Duration, Mono, Now, Wall};

/// How many keys are expired per slice.
const SLICE: usize = 64;

/// The longest wait for a wall clock time without checking again, since that clock may jump.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Keys with an expiry that clients of a writable replica have set. The primary does not know them,
/// so the replica has to delete them itself. By expiry time, in milliseconds since 1970, with their
/// databases.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnKeys {
    by_time: BTreeSet<(u64, u32, Box<[u8]>)>,
}

impl OwnKeys {
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }
}

/// The error of a replica that must not serve data which may be stale.
pub(in crate::server) const MASTERDOWN: &str =
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";

impl Server {
    /// Whether clients may not write, since this is a read-only replica.
    pub(in crate::server) fn refuses_writes_as_replica(&self) -> bool {
        self.service.replication.primary.is_some() && self.config.settings().replica_read_only
    }

    /// Whether this is a replica without its primary, and must not serve data that may be stale.
    pub(in crate::server) fn is_stale(&self) -> bool {
        let primary = self.service.replication.primary.as_ref();
        primary.is_some_and(|primary| primary.stream.is_none())
            && !self.config.settings().replica_serve_stale_data
    }

    /// Why a command is refused because of the roles of this server and of the client. For EXEC,
    /// `queued` is the union of its commands' flags, and `lacking` the flags that one of them
    /// lacks.
    pub(in crate::server) fn check_role(
        &self,
        now: Mono,
        client: &Client,
        flags: u32,
        (queued, lacking): (u32, u32),
    ) -> Option<CommandError> {
        let settings = self.config.settings();
        let writes = (flags | queued) & flag::WRITE != 0;
        if self.service.replication.primary.is_some() {
            if writes && settings.replica_read_only && !client.state.from_primary {
                return Some(CommandError::text(
                    "READONLY You can't write against a read only replica.",
                ));
            }
            let wants_fresh = flags & flag::STALE == 0 || lacking & flag::STALE != 0;
            if wants_fresh && self.is_stale() {
                return Some(CommandError::text(MASTERDOWN));
            }
        } else if writes
            && settings.min_replicas_to_write > 0
            && settings.min_replicas_max_lag > 0
            && self.replicas_within_lag(now) < settings.min_replicas_to_write
        {
            return Some(CommandError::text("NOREPLICAS Not enough good replicas to write."));
        }
        let on_data = flag::WRITE | flag::READONLY | flag::MAY_REPLICATE;
        if (flags | queued) & on_data != 0 && client.is_replica() {
            return Some(CommandError::text("ERR Replica can't interact with the keyspace"));
        }
        None
    }

    /// A replica was sent a reply, which it would take for a part of the stream.
    pub(in crate::server) fn replica_replied_to(&mut self, client: &mut Client, name: &str) {
        let text = crate::front::clients::describe(client, Some(self.now.0));
        self.log(LogLevel::Warning, || {
            format!("Replica generated a reply to command '{name}', disconnecting it: {text}")
        });
        client.outbox.clear();
        client.close_state = CloseState::AfterReply;
    }

    /// Logs an error reply to a replica or the primary, which should not happen.
    #[cold]
    pub(in crate::server) fn error_between_servers(&mut self, client: &Client, error: &[u8]) {
        if client.state.imports {
            let now = crate::time::Now::instantaneous(self.now.0, self.now.1);
            let why = format!("a command of the source failed: {}", String::from_utf8_lossy(error));
            return self.import_failed(now, client.id, &why);
        }
        let (from, to) =
            if client.state.from_primary { ("replica", "master") } else { ("master", "replica") };
        let error = String::from_utf8_lossy(error.get(..4096).unwrap_or(error)).into_owned();
        let command = Self::name_of(client.last_command).unwrap_or("<unknown>");
        self.log(LogLevel::Warning, || {
            format!(
                "== CRITICAL == This {from} is sending an error to its {to}: '-{error}' after \
                 processing the command '{command}'"
            )
        });
        self.service.replication.stats.unexpected_error_replies += 1;
        if !client.state.from_primary {
            return;
        }
        if let Some(backlog) = &self.service.replication.backlog
            && backlog.len() > 0
        {
            let latest = repr(&backlog.latest(256));
            let latest = latest.trim_matches('"').to_owned();
            self.notice(|| format!("Latest backlog is: '{latest}'"));
        }
        let settings = self.config.settings();
        let fatal = settings.propagation_error_behavior != PropagationError::Ignore;
        if fatal && settings.replica_read_only {
            self.log(LogLevel::Warning, || {
                format!(
                    "This {from} panicked sending an error to its {to} after processing the \
                     command '{command}'. Set 'propagation-error-behavior' to 'ignore' to go on \
                     in spite of such errors."
                )
            });
            self.exit(1);
        }
    }

    /// Sets how keys expire for a command on a replica: for the primary's commands not at all, for
    /// others they are hidden; a writable replica may also delete them.
    #[inline]
    pub(in crate::server) fn expire_as(&mut self, client: &Client, command: &Command) {
        let read_only = self.config.settings().replica_read_only;
        self.service.keyspace.env.expire_mode = if client.state.from_primary {
            ExpireMode::Ignore
        } else if !read_only && command.meta.has(flag::WRITE) {
            ExpireMode::Delete
        } else {
            ExpireMode::Hide
        };
    }

    /// Records keys with an expiry that a client of a writable replica has set.
    pub(in crate::server) fn note_own_keys(
        &mut self,
        client: &Client,
        command: &Command,
        args: Args<'_>,
    ) {
        let read_only = self.config.settings().replica_read_only;
        if read_only || client.state.from_primary || !command.meta.has(flag::WRITE) {
            return;
        }
        let db = client.state.db as u32;
        let places = find_keys::keys(command.meta, args).unwrap_or_default();
        for key in places.into_iter().map(|(at, _)| args.at(at)) {
            let expire =
                self.service.keyspace.peek(client.state.db, key).and_then(|entry| entry.expire());
            if let Some(at) = expire {
                self.service.replication.own_keys.by_time.insert((at, db, key.into()));
            }
        }
    }

    /// Deletes the expired keys that clients of a writable replica have set.
    pub(in crate::server) fn expire_own(&mut self, now: Now<'_>) {
        if self.service.replication.own_keys.by_time.is_empty() {
            return;
        }
        let ms = now.wall.as_millis();
        self.service.keyspace.env.now_ms = ms;
        self.service.keyspace.env.expire_mode = ExpireMode::Delete;
        self.service.effects.begin(self.service.consumers);
        for _ in 0..SLICE {
            let Some((at, db, key)) = self.service.replication.own_keys.by_time.first().cloned()
            else {
                break;
            };
            if at >= ms {
                break;
            }
            self.service.replication.own_keys.by_time.pop_first();
            let mut db = self.service.keyspace.db(db as usize);
            let hashed = db.key(&key);
            if db.presence(hashed) == Presence::Expired {
                db.contains(hashed);
            }
        }
        self.after_effects(now, None);
        self.propagate_as(Atomic::No);
        self.update_expire_mode();
    }

    /// When the next of those keys expires.
    pub(super) fn next_own_expiry(&self) -> Option<Mono> {
        let (at, ..) = self.service.replication.own_keys.by_time.first()?;
        let (mono, wall) = self.now;
        let wait = Wall::from_millis(at.saturating_add(1)).0.saturating_sub(wall.0);
        Some(mono + Duration::from_micros(wait).min(LONGEST_WAIT))
    }

    /// Number of those keys.
    pub(in crate::server) fn own_keys(&self) -> usize {
        self.service.replication.own_keys.len()
    }

    /// Updates what depends on the configuration.
    pub(in crate::server) fn replication_config_changed(&mut self) {
        // WAITAOF may wait for an append-only file that no longer exists.
        self.offsets_changed();
        // The backlog may have become smaller.
        self.service.replication.has_unsent |= self.service.replication.backlog.is_some();
        let waits = |replica: &Replica| replica.state == State::WaitsForBegin;
        let arrived = self.all_replicas().any(|(_, replica)| waits(replica));
        self.service.replication.arrived |= arrived;
    }
}
