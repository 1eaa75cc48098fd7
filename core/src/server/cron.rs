//! Periodic tasks, and when they want to run next.

use super::Server;
use super::propagate::Atomic;
use crate::time::{Duration, Mono, Now, Wall, earliest};

/// How many keys are expired, or freed, per slice.
const SLICE: usize = 200;

/// The longest wait for a wall clock time without checking again, since that clock may jump.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// When tasks are due.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
    /// When the next keys expire.
    expiry: Option<Mono>,
}

impl Server {
    /// Runs the periodic tasks that are due.
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
                self.serve_pending(now);
                return self.aof_cron(now);
            }
        }
        self.serve_pending(now);
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
        if self.service.eviction.incomplete {
            self.make_room(now, None);
        }
        self.check_save_points(now);
        self.time_out_blocked(now);
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

    /// When the next task is due.
    pub(super) fn next_wake(&self) -> Option<Mono> {
        let copies = if self.has_copies() { self.copies_wake() } else { None };
        let background = [self.background_wake(), self.shutdown.until, self.cluster_wake(), copies];
        let background = earliest(background);
        if let Some(at) = self.migration_wake() {
            return earliest([background, Some(at)]);
        }
        let clients_wait = self.has_pending_requests();
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
            || self.service.eviction.incomplete
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

    /// While clients are paused, expired keys are hidden and not deleted.
    pub(super) fn pause_changed(&mut self, now: Mono) {
        let paused = self.pause.is_on(now);
        self.update_expire_mode_as(paused);
    }

    /// Recomputes whether expired keys are deleted or only hidden. On a replica they are hidden
    /// until the primary sends a DEL.
    pub(super) fn update_expire_mode(&mut self) {
        let paused = self.pause.is_on(self.now.0);
        self.update_expire_mode_as(paused);
    }

    fn update_expire_mode_as(&mut self, paused: bool) {
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
            // Not sooner than the next slice: a wake-up for each of a million keys that expire in
            // the same second would cost more than the keys.
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
        self.propagate_as(Atomic::No);
        self.service.schedule.expiry = Some(now.mono);
    }
}
