//! Periodic tasks of replication.

use super::handshake::Step;
use super::primary::State;
use crate::machine::{LogLevel, Output};
use crate::server::Server;
use crate::time::{Duration, Mono, Now, earliest};

/// The interval.
const PERIOD: Duration = Duration::from_secs(1);

/// The interval during a failover.
const FAILOVER_PERIOD: Duration = Duration::from_millis(100);

/// When tasks are due.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
    next: Option<Mono>,
    /// The second of uptime in which replicas were last sent a PING.
    pinged: u64,
    /// Whether clients that a failover has paused have to be resumed.
    pub(super) unpause: bool,
}

impl Server {
    /// Makes the periodic tasks due from now on.
    pub(super) fn wake_replication(&mut self, now: Mono) {
        let next = &mut self.service.replication.schedule.next;
        *next = Some(next.map_or(now + PERIOD, |next| next.min(now + PERIOD)));
    }

    /// The server is ready: schedules the connection to its primary.
    pub(in crate::server) fn replication_ready(&mut self) {
        self.service.replication.schedule.next = Some(self.now.0);
    }

    /// When the next task is due.
    pub(in crate::server) fn replication_wake(&self) -> Option<Mono> {
        let replication = &self.service.replication;
        if replication.is_alone() {
            return None;
        }
        let until = replication.failover.as_ref().and_then(|failover| failover.until);
        let schedule = &replication.schedule;
        let unpause = schedule.unpause.then_some(self.now.0);
        let waits = replication.primary.is_some()
            || !replication.replicas.is_empty()
            || replication.failover.is_some();
        let next = if waits { schedule.next } else { self.backlog_ends() };
        let sync = if waits { self.sync_due() } else { None };
        earliest([next, until, unpause, sync, self.next_own_expiry()])
    }

    /// When the backlog is freed because there are no replicas (`repl-backlog-ttl`).
    fn backlog_ends(&self) -> Option<Mono> {
        let ttl = self.config.settings().repl_backlog_ttl;
        let replication = &self.service.replication;
        let waits = replication.backlog.is_some()
            && replication.replicas.is_empty()
            && !replication.is_replica()
            && ttl > 0;
        waits.then(|| replication.no_replicas_since + Duration::from_secs(ttl + 1))
    }

    /// Runs the tasks that are due.
    #[inline]
    pub(in crate::server) fn replication_cron(&mut self, now: Now<'_>) {
        if self.replication_wake().is_some_and(|at| at <= now.mono) {
            self.replication_tick(now);
        }
    }

    #[cold]
    fn replication_tick(&mut self, now: Now<'_>) {
        if core::mem::take(&mut self.service.replication.schedule.unpause) {
            self.resume_paused(now);
        }
        self.update_failover(now);
        self.begin_sync(now);
        if self.backlog_ends().is_some_and(|at| at <= now.mono) {
            self.drop_backlog();
        }
        if self.service.replication.schedule.next.is_some_and(|next| next <= now.mono) {
            let period = match self.service.replication.failover {
                Some(_) => FAILOVER_PERIOD,
                None => PERIOD,
            };
            self.service.replication.schedule.next = Some(now.mono + period);
            self.check_primary(now);
            self.check_replicas(now);
            self.remove_sync_file();
        }
        self.replicate(now);
    }

    fn check_primary(&mut self, now: Now<'_>) {
        let patience = self.config.settings().repl_timeout;
        let timeout = Duration::from_secs(patience + 1);
        let Some(primary) = &self.service.replication.primary else { return };
        if let Some(stream) = &primary.stream {
            let slot = stream.slot;
            let Some(mut client) = self.clients.take(slot) else { return };
            let late = now.mono.since(client.last_heard) >= timeout;
            if !late {
                self.send_ack(now, &mut client);
            }
            self.clients.put(client);
            if late {
                self.log(LogLevel::Warning, || {
                    "MASTER timeout: no data nor PING received...".to_owned()
                });
                self.cut_off(slot);
            }
            return;
        }
        let Some(link) = &primary.link else {
            let rest = Duration::from_secs(patience);
            let rests = primary.left_at.is_some_and(|since| now.mono.since(since) < rest);
            if self.service.persistence.ready && !rests {
                let name = primary.name();
                self.notice(|| format!("Connecting to MASTER {name}"));
                self.connect_to_primary(now);
            }
            return;
        };
        let late = now.mono.since(link.last_io) >= timeout;
        match &link.step {
            Step::Transfer(transfer) if transfer.has_all() => self.send_keepalive(),
            Step::Transfer(_) if late => {
                self.log(LogLevel::Warning, || {
                    "Timeout receiving bulk data from MASTER... If the problem persists try to set \
                     the 'repl-timeout' parameter in redis.conf to a larger value."
                        .to_owned()
                });
                self.abandon_link(now, true);
            }
            Step::Transfer(_) => {}
            _ if late => {
                self.log(LogLevel::Warning, || "Timeout connecting to the MASTER...".to_owned());
                self.abandon_link(now, true);
            }
            _ => {}
        }
    }

    /// Sends the primary a newline while a full sync is being loaded, so that it does not time out.
    fn send_keepalive(&mut self) {
        let Some(link) = self.service.replication.link_mut().filter(|link| !link.is_closed) else {
            return;
        };
        link.outbox.write(b"\n");
        let conn = link.conn;
        self.outputs.push_back(Output::Send { conn });
    }

    fn check_replicas(&mut self, now: Now<'_>) {
        if self.service.replication.replicas.is_empty() {
            return;
        }
        let second = now.mono.since(self.started).as_secs();
        let period = self.config.settings().repl_ping_replica_period.max(1);
        if second.is_multiple_of(period) && self.service.replication.schedule.pinged != second {
            self.service.replication.schedule.pinged = second;
            let halted = self.service.replication.failover.is_some() && self.pause.is_on(now.mono);
            if !halted {
                self.feed_words(&[b"PING"]);
            }
        }
        let timeout = Duration::from_secs(self.config.settings().repl_timeout + 1);
        let diskless = self.service.replication.sync.is_diskless();
        for slot in self.service.replication.replicas.clone() {
            let Some(mut client) = self.clients.take(slot) else { continue };
            let waiting = client.outbox.len();
            let Some(replica) = client.state.replica.as_deref_mut() else {
                self.clients.put(client);
                continue;
            };
            let copying = replica.state == State::WaitsForEnd && diskless;
            let late = match replica.state {
                State::Online if !replica.old => now.mono.since(replica.acked_at) >= timeout,
                _ if copying => replica.is_stuck(now.mono, waiting, timeout),
                _ => false,
            };
            let waits = replica.state == State::WaitsForBegin
                || replica.state == State::WaitsForEnd && !diskless;
            if late {
                let name = client.replica_name();
                let what = if copying { "full sync" } else { "streaming sync" };
                self.log(LogLevel::Warning, || {
                    format!("Disconnecting timedout replica ({what}): {name}")
                });
            } else if waits {
                client.outbox.write(b"\n");
                self.flush(now, &mut client);
            }
            self.clients.put(client);
            if late {
                self.cut_off(slot);
            }
        }
    }

    /// Frees the backlog, since no replica has connected. No replica can resume this stream then,
    /// because its bytes are no longer counted.
    fn drop_backlog(&mut self) {
        self.change_stream_id();
        self.service.replication.backlog = None;
        self.followers_changed();
        let ttl = self.config.settings().repl_backlog_ttl;
        self.notice(|| {
            format!("Replication backlog freed after {ttl} seconds without connected replicas.")
        });
    }
}
