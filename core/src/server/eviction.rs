//! `maxmemory`: evicting keys when memory is full, and refusing commands when none can be evicted.

use super::Client;
use super::Command;
use super::Server;
use super::propagate::Atomic;
use crate::command::context::MaxmemoryPolicy;
use crate::command::meta::{flag, special};
use crate::command::{Class, CommandError};
use crate::sorted::sort_by_key;
use crate::store::{AccessClock, Keyed};
use crate::time::{Duration, Mono, Now};

/// Size of the pool of eviction candidates, which is kept from one search to the next.
const POOL: usize = 16;

/// How many keys one command, or one slice, evicts at most. If that is not enough, the rest is
/// evicted in further slices, and the command is executed meanwhile.
const SLICE: usize = 100;

/// How long the computed memory of clients may be reused.
const CLIENTS_PERIOD: Duration = Duration::from_millis(10);

/// The state of eviction.
#[derive(Clone, Debug, Default)]
pub(super) struct Eviction {
    /// The best candidates found so far, the best one last.
    pool: Vec<Candidate>,
    /// The database from which the next random key is taken.
    next_db: usize,
    /// Memory of clients in bytes, and when it was computed.
    clients: (usize, Option<Mono>),
    /// Whether memory still exceeds the limit, and there are keys to evict.
    pub(super) incomplete: bool,
}

#[derive(Clone, Debug)]
struct Candidate {
    /// The key with the highest score is evicted first.
    score: u64,
    db: usize,
    key: Box<[u8]>,
}

impl Eviction {
    /// Drops the candidates, which were found under another configuration.
    pub(super) fn forget(&mut self) {
        self.pool.clear();
        self.clients.1 = None;
    }

    fn consider(&mut self, score: u64, db: usize, key: &[u8]) {
        let at = self.pool.partition_point(|candidate| candidate.score < score);
        if at == 0 && self.pool.len() >= POOL
            || self.pool.iter().any(|known| known.db == db && *known.key == *key)
        {
            return;
        }
        self.pool.insert(at, Candidate { score, db, key: key.into() });
        if self.pool.len() > POOL {
            self.pool.remove(0);
        }
    }
}

impl Server {
    /// Evicts keys before a command, if `maxmemory` is set. Returns the error for a command that
    /// would use more memory, if there is none.
    pub(super) fn check_memory(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &Command,
        flags: u32,
    ) -> Result<(), CommandError> {
        if self.make_room(now, Some(client)) {
            return Ok(());
        }
        let takes_more = match &client.state.transaction {
            // EXEC is checked by its queued commands.
            Some(transaction) if command.meta.is(special::EXEC) => {
                transaction.flags() & flag::DENYOOM != 0
            }
            Some(_) => !command.meta.is(special::DROPS_QUEUE),
            None => flags & flag::DENYOOM != 0,
        };
        if takes_more {
            return Err(CommandError::text(
                "OOM command not allowed when used memory > 'maxmemory'.",
            ));
        }
        Ok(())
    }

    /// Evicts keys until memory is within its limit, or for one slice. Returns whether it is, or
    /// will be.
    pub(super) fn make_room(&mut self, now: Now<'_>, client: Option<&mut Client>) -> bool {
        self.service.eviction.incomplete = false;
        let limit = self.config.settings().maxmemory;
        // A replica leaves eviction to its primary.
        if self.service.replication.is_replica() && self.config.settings().replica_ignore_maxmemory
        {
            return true;
        }
        if limit == 0 || self.is_loading() || self.used_memory(now.mono, client.as_deref()) <= limit
        {
            return true;
        }
        if self.pause.is_on(now.mono) {
            return true;
        }
        // Clients above `maxmemory-clients` are disconnected before keys are evicted.
        if self.client_memory.is_some() {
            self.limit_client_memory(now.mono);
            if self.used_memory(now.mono, client.as_deref()) <= limit {
                return true;
            }
        }
        if self.config.settings().data.maxmemory_policy == MaxmemoryPolicy::NoEviction {
            return false;
        }
        self.service.keyspace.env.now_ms = now.wall.as_millis();
        let began = now.nanos();
        self.service.effects.begin(self.service.consumers);
        let mut fits = false;
        for _ in 0..SLICE {
            let Some(victim) = self.choose() else { break };
            self.evict(victim);
            fits = self.used_memory(now.mono, client.as_deref()) <= limit;
            if fits {
                break;
            }
        }
        self.note_latency("eviction-cycle", now.nanos().saturating_sub(began));
        let any_left = !fits && self.has_evictable_key();
        self.service.eviction.incomplete = any_left;
        self.after_effects(now, client);
        self.propagate_as(Atomic::No);
        fits || any_left
    }

    /// Disconnects the clients that use the most memory while all together exceed
    /// `maxmemory-clients`, except for those with CLIENT NO-EVICT.
    #[inline]
    pub(super) fn limit_client_memory(&mut self, now: Mono) {
        if let Some(total) = self.client_memory
            && let Some(limit) = self.client_memory_limit()
            && total > limit
        {
            self.evict_clients(now, limit);
        }
    }

    /// Recomputes whether the memory of clients is limited.
    pub(super) fn client_limit_changed(&mut self) {
        self.count_client_memory(self.client_memory_limit().is_some());
    }

    fn client_memory_limit(&self) -> Option<u64> {
        let settings = self.config.settings();
        match settings.maxmemory_clients {
            0 => None,
            percent if percent < 0 => {
                let part = settings.maxmemory as u128 * u128::from(percent.unsigned_abs()) / 100;
                u64::try_from(part).ok().filter(|part| *part > 0)
            }
            bytes => u64::try_from(bytes).ok(),
        }
    }

    #[cold]
    fn evict_clients(&mut self, now: Mono, limit: u64) {
        let mut victims: Vec<(usize, u32)> = self
            .clients
            .iter()
            .filter(|client| !client.no_evict && client.counted_memory > 0)
            .map(|client| (client.counted_memory, client.slot))
            .collect();
        sort_by_key(&mut victims, |victim| *victim);
        while self.client_memory.is_some_and(|total| total > limit) {
            let Some((_, slot)) = victims.pop() else { break };
            if let Some(client) = self.clients.get(slot) {
                let text = crate::front::clients::describe(client, Some(now));
                self.notice(|| format!("Evicting client: {text}"));
            }
            self.cut_off(slot);
            self.stats.evicted_clients += 1;
        }
        self.service.eviction.clients.1 = None;
    }

    /// Memory that counts against `maxmemory`: everything used except [`Server::uncounted_memory`].
    fn used_memory(&mut self, now: Mono, client: Option<&Client>) -> u64 {
        let (clients, counted) = self.service.eviction.clients;
        let clients = match counted {
            Some(at) if now < at + CLIENTS_PERIOD => clients,
            _ => {
                let unread = self.unread_by_replicas(client);
                let clients = self.client_memory(client).saturating_sub(unread);
                self.service.eviction.clients = (clients, Some(now));
                clients
            }
        };
        let backlog = self.backlog_memory().0;
        super::info::STARTUP_MEMORY + (self.service.keyspace.memory() + clients + backlog) as u64
    }

    /// Memory that must not cause evictions: the output buffers of replicas and of the append-only
    /// file. Evictions are propagated to both, so they would cause further evictions.
    pub(super) fn uncounted_memory(&self, caller: Option<&Client>) -> usize {
        self.backlog_memory().1 + self.unread_by_replicas(caller) + self.aof_memory()
    }

    /// Bytes in the outboxes of replicas.
    fn unread_by_replicas(&self, caller: Option<&Client>) -> usize {
        let replicas = self.all_replicas().map(|(client, _)| client);
        let caller = caller.filter(|client| client.is_replica());
        replicas.chain(caller).map(|client| client.outbox.capacity()).sum()
    }

    /// Whether there is a key to evict, without evicting it.
    fn has_evictable_key(&mut self) -> bool {
        match self.choose() {
            Some(candidate) => {
                self.service.eviction.pool.push(candidate);
                true
            }
            None => false,
        }
    }

    /// The next key to evict.
    fn choose(&mut self) -> Option<Candidate> {
        use MaxmemoryPolicy as Policy;
        let policy = self.config.settings().data.maxmemory_policy;
        let volatile = matches!(
            policy,
            Policy::VolatileLru
                | Policy::VolatileLfu
                | Policy::VolatileRandom
                | Policy::VolatileTtl
        );
        let databases: Vec<usize> = self
            .service
            .keyspace
            .summary()
            .filter(|(_, _, expiring)| !volatile || *expiring > 0)
            .map(|summary| summary.0)
            .collect();
        match policy {
            Policy::NoEviction => None,
            Policy::VolatileRandom | Policy::AllkeysRandom => self.any(&databases, volatile),
            Policy::VolatileTtl => self.sample_ttl(&databases),
            Policy::VolatileLru | Policy::VolatileLfu | Policy::AllkeysLru | Policy::AllkeysLfu => {
                self.sample_by_score(&databases, volatile, policy.is_lfu())
            }
        }
    }

    /// A random key, taking turns between databases.
    fn any(&mut self, databases: &[usize], volatile: bool) -> Option<Candidate> {
        let next = databases.iter().find(|db| **db >= self.service.eviction.next_db);
        let db = *next.or(databases.first())?;
        self.service.eviction.next_db = db + 1;
        let mut found = None;
        self.service.keyspace.db(db).sample(volatile, 1, |entry| {
            found = Some(Candidate { score: 0, db, key: entry.key().into() });
        });
        found
    }

    fn sample_ttl(&mut self, databases: &[usize]) -> Option<Candidate> {
        let mut first: Option<Candidate> = None;
        for &db in databases {
            let db_mut = self.service.keyspace.db(db);
            let Some(entry) = db_mut.first_to_expire() else { continue };
            let score = u64::MAX - entry.expire().unwrap_or(u64::MAX);
            if first.as_ref().is_none_or(|first| score > first.score) {
                first = Some(Candidate { score, db, key: entry.key().into() });
            }
        }
        first
    }

    /// The best of a few samples of each database and the pool.
    fn sample_by_score(
        &mut self,
        databases: &[usize],
        volatile: bool,
        lfu: bool,
    ) -> Option<Candidate> {
        let settings = self.config.settings();
        let decay = u32::try_from(settings.data.lfu_decay_time).unwrap_or(u32::MAX);
        let samples = settings.maxmemory_samples;
        let now_ms = self.service.keyspace.env.now_ms;
        let score = |clock: AccessClock| match lfu {
            true => 255 - u64::from(clock.freq(decay, now_ms)),
            false => clock.idle_seconds(now_ms),
        };
        // Twice, since in the first round all keys of the pool may turn out to be gone.
        for _ in 0..2 {
            for &db in databases {
                let eviction = &mut self.service.eviction;
                self.service.keyspace.db(db).sample(volatile, samples, |entry| {
                    eviction.consider(score(entry.clock()), db, entry.key());
                });
            }
            // A candidate may have been deleted since, or lost its expiry.
            while let Some(candidate) = self.service.eviction.pool.pop() {
                let entry = self.service.keyspace.peek(candidate.db, &candidate.key);
                if entry.is_some_and(|entry| !volatile || entry.expire().is_some()) {
                    return Some(candidate);
                }
            }
        }
        None
    }

    fn evict(&mut self, victim: Candidate) {
        let lazy = self.config.settings().data.lazyfree_lazy_eviction;
        let delete: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
        let mut db = self.service.keyspace.db(victim.db);
        if !db.remove(db.key(&victim.key)) {
            // The key had already expired, and is reported as such.
            return;
        }
        self.stats.evicted_keys += 1;
        self.service.effects.also_propagate(victim.db, [delete, &victim.key]);
        self.service.effects.expired_or_evicted(victim.db, &victim.key);
        self.service.effects.event(victim.db, Class::Evicted, "evicted", &victim.key);
    }
}
