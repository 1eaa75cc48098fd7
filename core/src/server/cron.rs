//! What is done because time passes, and the reasons to be woken.

use super::Server;
use super::propagate::Together;
use crate::time::{Duration, Mono, Now, Wall, earliest};

/// Keys that are expired, and freed, in one slice.
const SLICE: usize = 200;

/// The longest that a wall clock time is waited for without looking again, since that clock jumps.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What is to be done when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
    /// When keys expire next.
    expiry: Option<Mono>,
}

impl Server {
    /// Does what is due.
    #[inline]
    pub(super) fn server_cron(&mut self, now: Now<'_>) {
        self.stats.sample(now.mono);
        self.cluster_cron(now);
        self.limit_client_memory(now.mono);
        if self.has_copies() {
            self.copies_cron(now);
        }
        if self.is_migrating() {
            self.migration_cron(now);
            if self.is_migrating() {
                return self.aof_cron(now);
            }
        }
        if self.script_is_paused() {
            self.script_cron(now);
            if self.script_is_paused() {
                self.take_turns(now);
                return self.aof_cron(now);
            }
        }
        self.take_turns(now);
        self.end_pause_if_due(now);
        self.replicate(now);
        self.aof_cron(now);
        if self.service.cron_paused {
            return;
        }
        self.rewrite_cron(now);
        if self.service.replication.is_replica() {
            self.service.schedule.expiry = None;
            self.expire_own(now);
        } else if self.service.active_expire && !self.pause.is_on(now.mono) && !self.is_loading() {
            self.expire(now);
        }
        if self.service.keyspace.has_pending_frees() {
            self.service.keyspace.free_step(SLICE);
        }
        if self.service.eviction.going_on {
            self.make_room(now, None);
        }
        self.look_at_save_points(now);
        self.end_waits(now);
        if self.service.waiting.has_ready() {
            self.serve_waiting(now);
        }
        self.deliver_queued_for_others(now);
        self.deliver_queued_invalidations(now);
        let limit = self.config.settings().tracking_table_max_keys;
        if self.tracking.exceeds(limit) {
            self.limit_tracking(now, None, limit);
        }
        self.watch_clients(now);
        self.replication_cron(now);
        self.close_idle_migrate_conns(now);
    }

    /// When there is something to do next.
    pub(super) fn next_wake(&self) -> Option<Mono> {
        let copies = if self.has_copies() { self.copies_wake() } else { None };
        let background = [self.background_wake(), self.shutdown.until, self.cluster_wake(), copies];
        let background = earliest(background);
        if let Some(at) = self.migration_wake() {
            return earliest([background, Some(at)]);
        }
        let clients_wait = self.has_turns();
        if let Some(at) = self.script_wake() {
            let turns = clients_wait.then_some(self.now.0);
            return earliest([background, Some(at), turns]);
        }
        if self.service.cron_paused {
            let pending = clients_wait.then_some(self.now.0);
            return earliest([background, self.pause.until(), pending]);
        }
        if clients_wait
            || self.service.keyspace.has_pending_frees()
            || self.service.waiting.has_ready()
            || self.service.eviction.going_on
            || self.tracking.exceeds(self.config.settings().tracking_table_max_keys)
        {
            return Some(self.now.0);
        }
        let waits = self.service.waiting.next_deadline();
        let replication = self.replication_wake();
        earliest([
            self.clients_due,
            self.service.schedule.expiry,
            self.pause.until(),
            waits,
            background,
            replication,
            self.migrate_conns_wake(),
        ])
    }

    /// While clients are paused no key disappears.
    pub(super) fn pause_changed(&mut self, now: Mono) {
        let paused = self.pause.is_on(now);
        self.rest_expiry_as(paused);
    }

    /// Brings up to date whether keys disappear when their time has come. On a replica they do
    /// when the primary says so.
    pub(super) fn rest_expiry(&mut self) {
        let paused = self.pause.is_on(self.now.0);
        self.rest_expiry_as(paused);
    }

    fn rest_expiry_as(&mut self, paused: bool) {
        use crate::store::ExpireMode;
        let hide = paused || self.service.replication.is_replica();
        self.service.keyspace.env.expire_mode =
            if hide { ExpireMode::Hide } else { ExpireMode::Delete };
    }

    fn expire(&mut self, now: Now<'_>) {
        let Some(next) = self.service.keyspace.next_expiry() else {
            self.service.schedule.expiry = None;
            return;
        };
        let ms = now.wall.as_millis();
        if next > ms {
            // Not sooner than the next slice, however soon: a wake for each of a million keys that
            // expire in the same second would cost more than the keys.
            let wait = Wall::from_millis(next).0.saturating_sub(now.wall.0);
            let wait = Duration::from_micros(wait).clamp(Duration::from_millis(1), LONGEST_WAIT);
            self.service.schedule.expiry = Some(now.mono + wait);
            return;
        }
        let began = now.nanos();
        self.service.keyspace.env.now_ms = ms;
        self.service.effects.begin(self.service.consumers);
        self.service.keyspace.expire_step(SLICE);
        self.note_latency("expire-cycle", now.nanos().saturating_sub(began));
        self.after_effects(now, None);
        self.propagate_as(Together::No);
        self.service.schedule.expiry = Some(now.mono);
    }
}
