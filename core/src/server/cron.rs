//! What is done because time passes, and the reasons to be woken.

use super::Server;
use super::clients::Standing;
use super::propagate::Together;
use crate::machine::LogLevel;
use crate::time::{Duration, Mono, Now, Wall};

/// Keys that are expired, and freed, in one slice.
const SLICE: usize = 200;

/// How many clients with more to do get their turn in one slice.
const TURNS: usize = 16;

/// How often the clients are looked over.
const CLIENTS_PERIOD: Duration = Duration::from_secs(1);

/// The longest that a wall clock time is waited for without looking again, since that clock jumps.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What is to be done when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
    /// When the clients are looked over next.
    clients: Option<Mono>,
    /// When keys expire next.
    expiry: Option<Mono>,
}

impl Server {
    /// Does what is due.
    #[inline]
    pub(super) fn cron(&mut self, now: Now<'_>) {
        self.stats.sample(now.mono);
        if self.is_migrating() {
            self.migration_cron(now);
            if self.is_migrating() {
                return self.aof_cron(now);
            }
        }
        if !self.pending.is_empty() && !self.holds_all() {
            self.take_turns(now);
        }
        if self.pause.until().is_some_and(|until| now.mono >= until) {
            self.end_pause(now);
        }
        self.replicate(now);
        self.aof_cron(now);
        if self.cron_paused {
            return;
        }
        self.rewrite_cron(now);
        if self.replication.is_replica() {
            self.schedule.expiry = None;
            self.expire_own(now);
        } else if self.active_expire && !self.pause.is_on(now.mono) && !self.is_loading() {
            self.expire(now);
        }
        if self.keyspace.free_waits() {
            self.keyspace.free_step(SLICE);
        }
        if self.eviction.going_on {
            self.make_room(now, None);
        }
        let limited = self.config.settings().maxmemory_clients != 0;
        if limited || self.eviction.clients_due.is_some() {
            self.watch_client_memory(now);
        }
        self.look_at_save_points(now);
        self.end_waits(now);
        if self.waiting.has_ready() {
            self.serve_waiting(now);
        }
        self.deliver_queued_for_others(now);
        self.watch_clients(now);
        self.replication_cron(now);
        self.close_idle_migrate_conns(now);
    }

    /// When there is something to do next.
    pub(super) fn next_wake(&self) -> Option<Mono> {
        let background = [self.background_wake(), self.shutdown_wake()].into_iter().flatten().min();
        if let Some(at) = self.migration_wake() {
            return background.into_iter().chain([at]).min();
        }
        let clients_wait = !self.pending.is_empty() && !self.holds_all();
        if self.cron_paused {
            let pending = clients_wait.then_some(self.now.0);
            return [background, self.pause.until(), pending].into_iter().flatten().min();
        }
        if clients_wait
            || self.keyspace.free_waits()
            || self.waiting.has_ready()
            || self.eviction.going_on
        {
            return Some(self.now.0);
        }
        let waits = self.waiting.next_deadline();
        let clients = self.eviction.clients_due;
        let replication = self.replication_wake();
        let schedule = &self.schedule;
        [
            schedule.clients,
            schedule.expiry,
            self.pause.until(),
            waits,
            clients,
            background,
            replication,
            self.migrate_conns_wake(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Clients with more to do than one turn allows go on.
    fn take_turns(&mut self, now: Now<'_>) {
        for _ in 0..TURNS.min(self.pending.len()) {
            let Some(slot) = self.pending.pop_front() else { return };
            let Some(mut client) = self.clients.take(slot) else { continue };
            if !core::mem::take(&mut client.pending) {
                self.clients.put(client);
                continue;
            }
            self.serve_and_leave(now, &mut client);
            self.clients.put(client);
        }
    }

    /// Lets those go on who were held back.
    pub(super) fn end_pause(&mut self, now: Now<'_>) {
        self.pause.end();
        self.pause_changed(now.mono);
        self.let_paused_go_on(now);
    }

    /// Carries out what paused clients asked for, unless it has to wait still.
    pub(super) fn let_paused_go_on(&mut self, now: Now<'_>) {
        for slot in self.clients.slots() {
            if self.is_migrating() {
                // One of them has begun to move keys.
                return self.unpause_later();
            }
            let Some(mut client) = self.clients.take(slot) else { continue };
            if core::mem::take(&mut client.paused) {
                if let Some(args) = client.held.take() {
                    self.execute(now, &mut client, args.as_args());
                    self.held_carried_out(&client);
                }
                self.serve_and_leave(now, &mut client);
            }
            self.clients.put(client);
        }
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
        let hide = paused || self.replication.is_replica();
        self.keyspace.env.expire_mode = if hide { ExpireMode::Hide } else { ExpireMode::Delete };
    }

    fn expire(&mut self, now: Now<'_>) {
        let Some(next) = self.keyspace.next_expiry() else {
            self.schedule.expiry = None;
            return;
        };
        let ms = now.wall.as_millis();
        if next > ms {
            // Not sooner than the next slice, however soon: a wake for each of a million keys that
            // expire in the same second would cost more than the keys.
            let wait = Wall::from_millis(next).0.saturating_sub(now.wall.0);
            let wait = Duration::from_micros(wait).clamp(Duration::from_millis(1), LONGEST_WAIT);
            self.schedule.expiry = Some(now.mono + wait);
            return;
        }
        self.keyspace.env.now_ms = ms;
        self.effects.begin(self.listeners);
        self.keyspace.expire_step(SLICE);
        self.after_effects(now, None);
        self.propagate_as(Together::No);
        self.schedule.expiry = Some(now.mono);
    }

    /// Cuts off clients that have been idle, or too slow, for too long.
    fn watch_clients(&mut self, now: Now<'_>) {
        let timeout = self.config.settings().timeout;
        if timeout == 0 && !self.watch_outboxes || self.clients.connected() == 0 {
            self.schedule.clients = None;
            return;
        }
        match self.schedule.clients {
            Some(at) if now.mono < at => return,
            Some(_) => {}
            None => {
                self.schedule.clients = Some(now.mono + CLIENTS_PERIOD);
                return;
            }
        }
        self.schedule.clients = Some(now.mono + CLIENTS_PERIOD);
        self.watch_outboxes = false;
        for slot in self.clients.slots() {
            let Some(mut client) = self.clients.take(slot) else { continue };
            if client.standing == Standing::Open {
                let idle = now.mono.since(client.last_heard).as_secs();
                let waits =
                    client.paused || client.blocked.is_some() || client.subscriptions.is_some();
                let waits = waits || client.from_primary || client.is_replica();
                if timeout > 0 && idle > timeout && !waits {
                    self.log(LogLevel::Verbose, || "Closing idle client".to_owned());
                    client.standing = Standing::Closing;
                }
                self.flush(now, &mut client);
            }
            self.clients.put(client);
        }
    }
}
