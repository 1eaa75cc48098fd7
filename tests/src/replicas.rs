//! A world of a primary and its replicas with random cuts and crashes; in the end all servers must
//! have the same data.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use limpid_core::lab::{Terminal, programs};
use limpid_core::rng::Rng;
use limpid_core::server::Server;
use limpid_core::sim::{Action, HostSpec, ProcessSpec, Scenario, World};

/// The result of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The virtual time that was simulated.
    pub virtual_time: Duration,
    /// The numbers of full and of partial resyncs.
    pub syncs: (u64, u64),
}

/// The number of steps with faults.
const STEPS: u64 = 120;

/// How long the servers may take to agree: longer than the timeouts of the World's TCP.
const RECOVERY: Duration = Duration::from_secs(90);

/// Runs a world of this seed. In the end all servers must have the same data, and the same offset
/// of the same stream. The error says what differs.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let mut soak = Soak::new(seed);
    for _ in 0..STEPS {
        soak.step()?;
    }
    soak.mend()?;
    soak.agree()
}

struct Soak {
    world: World,
    rng: Rng,
    servers: u8,
    /// The number of the primary; `parents` has the server that each one replicates.
    primary: u8,
    parents: Vec<u8>,
    terminals: u64,
}

impl Soak {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let servers = 2 + rng.below(4) as u8;
        let mut hosts = Vec::new();
        let mut parents = vec![0];
        for n in 1..=servers {
            // A star, a chain, or a mixture.
            let parent = if n == 1 { 0 } else { 1 + rng.below(u64::from(n) - 1) as u8 };
            if n > 1 {
                parents.push(parent);
            }
            hosts.push(host(&mut rng, n, parent));
        }
        let scenario = Scenario {
            name: "replicas".into(),
            epoch_ms: 1_704_067_200_000,
            hosts,
            link: Default::default(),
            links: Vec::new(),
            tcp: Default::default(),
        };
        let mut world = World::new(Arc::new(scenario), seed, programs);
        world.run_for(Duration::from_millis(500));
        Self { world, rng, servers, primary: 1, parents, terminals: 0 }
    }

    fn act(&mut self, line: &str) -> Result<(), String> {
        let action: Action = line.parse().map_err(|error| format!("`{line}`: {error}"))?;
        // A refused action, such as killing a process that does not run, is no failure.
        let _ = self.world.apply(&action);
        Ok(())
    }

    /// Sends one command from a client on a server's own host. Returns the printed reply.
    fn command(&mut self, server: u8, words: &str) -> Result<String, String> {
        self.terminals += 1;
        let name = format!("t{}", self.terminals);
        self.act(&format!("run redis-{server} {name} redis-cli -h 10.0.0.{server} {words}"))?;
        self.world.run_for(Duration::from_millis(3));
        let proc = self.world.proc_named(&name).map(|proc| proc.id);
        let text = proc.and_then(|id| self.world.machine::<Terminal>(id)).map(Terminal::text);
        Ok(text.unwrap_or_default())
    }

    fn step(&mut self) -> Result<(), String> {
        let servers = u64::from(self.servers);
        let any = |rng: &mut Rng| 1 + rng.below(servers) as u8;
        match self.rng.below(48) {
            0 => {
                let (a, b) = (any(&mut self.rng), any(&mut self.rng));
                self.act(&format!("partition redis-{a} | redis-{b}"))?;
            }
            1 | 2 => self.act("heal")?,
            3 => {
                let n = any(&mut self.rng);
                self.act(&format!("kill redis-{n}"))?;
            }
            4 => {
                let n = any(&mut self.rng);
                self.act(&format!("stop redis-{n}"))?;
            }
            5..=7 => {
                let n = any(&mut self.rng);
                self.act(&format!("start redis-{n}"))?;
            }
            8 => {
                let n = any(&mut self.rng);
                self.act(&format!("restart redis-{n}"))?;
            }
            9 | 10 => {
                let n = any(&mut self.rng);
                let class = ["replica", "master"][self.rng.below(2) as usize];
                self.command(n, &format!("client kill type {class}"))?;
            }
            11 => {
                let n = any(&mut self.rng);
                self.command(n, "bgsave")?;
            }
            12 => {
                // Time passes, perhaps long enough for links to time out.
                let millis = 1 + self.rng.below(4_000);
                self.world.run_for(Duration::from_millis(millis));
            }
            13 => self.promote()?,
            14 => {
                let (a, b) = (any(&mut self.rng), any(&mut self.rng));
                let millis = 1 + self.rng.below(100);
                self.act(&format!("latency redis-{a} redis-{b} {millis}ms 1ms"))?;
            }
            15 => self.fail_over()?,
            16 => {
                // A server is frozen for a while, perhaps long enough to time out.
                let n = any(&mut self.rng);
                self.act(&format!("pause redis-{n}"))?;
                let millis = 1 + self.rng.below(9_000);
                self.world.run_for(Duration::from_millis(millis));
                self.act(&format!("resume redis-{n}"))?;
            }
            17 => {
                // A link is too slow for the writes, so that buffer limits are reached.
                let (a, b) = (any(&mut self.rng), any(&mut self.rng));
                let rate = ["32kbit", "256kbit", "unlimited"][self.rng.below(3) as usize];
                self.act(&format!("bandwidth redis-{a} redis-{b} {rate}"))?;
            }
            18 => {
                let n = any(&mut self.rng);
                let faults = ["full", "fail-writes", "fail-syncs", "fail-renames", "slow 50ms"];
                let fault = faults[self.rng.below(5) as usize];
                self.act(&format!("disk redis-{n} {fault}"))?;
            }
            19 | 20 => {
                let n = any(&mut self.rng);
                self.act(&format!("disk redis-{n} ok"))?;
            }
            21 => {
                let wanted = self.rng.below(2);
                self.command(self.primary, &format!("config set min-replicas-to-write {wanted}"))?;
            }
            _ => {
                self.find_primary();
                let line = write(&mut self.rng);
                self.command(self.primary, &line)?;
            }
        }
        Ok(())
    }

    /// Starts or aborts a FAILOVER of the primary.
    fn fail_over(&mut self) -> Result<(), String> {
        let next = 1 + self.rng.below(u64::from(self.servers)) as u8;
        let millis = 1 + self.rng.below(3_000);
        let line = match self.rng.below(4) {
            0 => format!("failover timeout {millis}"),
            1 => format!("failover to 10.0.0.{next} 6379 timeout {millis}"),
            2 => format!("failover to 10.0.0.{next} 6379 timeout {millis} force"),
            _ => "failover abort".to_owned(),
        };
        self.command(self.primary, &line)?;
        Ok(())
    }

    /// Updates the primary, if a failover has promoted another server.
    fn find_primary(&mut self) {
        let is_primary = |n: &u8| self.field(*n, "replication", "role") == "master";
        if self.field(self.primary, "replication", "role") != "slave" {
            return;
        }
        let Some(next) = (1..=self.servers).find(is_primary) else { return };
        self.primary = next;
        self.parents = vec![next; usize::from(self.servers)];
        self.parents[usize::from(next) - 1] = 0;
    }

    /// Promotes another server, and makes all others follow it.
    fn promote(&mut self) -> Result<(), String> {
        let next = 1 + self.rng.below(u64::from(self.servers)) as u8;
        if next == self.primary {
            return Ok(());
        }
        self.primary = next;
        self.parents = vec![0; usize::from(self.servers)];
        self.command(next, "replicaof no one")?;
        for n in (1..=self.servers).filter(|n| *n != next) {
            self.parents[usize::from(n) - 1] = next;
            self.command(n, &format!("replicaof 10.0.0.{next} 6379"))?;
        }
        Ok(())
    }

    /// Ends all faults and sends every server its REPLICAOF.
    fn mend(&mut self) -> Result<(), String> {
        self.act("heal")?;
        self.act("latency * * 1ms 0ms")?;
        self.act("bandwidth * * unlimited")?;
        for n in 1..=self.servers {
            self.act(&format!("disk redis-{n} ok"))?;
        }
        // A server that is shutting down waits for its replicas first.
        self.world.run_for(Duration::from_secs(15));
        for n in 1..=self.servers {
            let on = self.world.host_named(&format!("redis-{n}")).is_some_and(|host| host.on);
            self.act(&format!("{} redis-{n}", if on { "start" } else { "restart" }))?;
        }
        self.world.run_for(Duration::from_secs(3));
        for n in 1..=self.servers {
            self.command(n, "failover abort")?;
            self.command(n, "config set min-replicas-to-write 0")?;
            // A server whose save failed refuses even a replica's PING until one succeeds.
            self.command(n, "save")?;
            match self.parents[usize::from(n) - 1] {
                0 => self.command(n, "replicaof no one")?,
                parent => self.command(n, &format!("replicaof 10.0.0.{parent} 6379"))?,
            };
        }
        for _ in 0..10 {
            let line = write(&mut self.rng);
            self.command(self.primary, &line)?;
        }
        Ok(())
    }

    /// Waits until all servers agree.
    fn agree(&mut self) -> Result<Outcome, String> {
        let end = self.world.now() + RECOVERY;
        let mut states = Vec::new();
        while self.world.now() < end {
            self.world.run_for(Duration::from_millis(4_870));
            // No message may be in flight during the comparison.
            states.clear();
            for n in 1..=self.servers {
                let offset = self.field(n, "replication", "master_repl_offset");
                states.push((offset, self.digest(n)));
            }
            if states.iter().all(|state| *state == states[0] && state.1.len() >= 40) {
                let mut syncs = (0, 0);
                for n in 1..=self.servers {
                    let count = |text: String| text.parse::<u64>().unwrap_or(0);
                    syncs.0 += count(self.field(n, "stats", "sync_full"));
                    syncs.1 += count(self.field(n, "stats", "sync_partial_ok"));
                }
                let virtual_time = self.world.now().since(Default::default());
                return Ok(Outcome { virtual_time, syncs });
            }
        }
        Err(format!(
            "servers do not agree (primary {}, parents {:?}): {states:#?}\n{}",
            self.primary,
            self.parents,
            self.logs()
        ))
    }

    fn digest(&self, n: u8) -> String {
        self.server(n).map(Server::data_digest).unwrap_or_default()
    }

    fn server(&self, n: u8) -> Option<&Server> {
        let proc = self.world.proc_named(&format!("redis-{n}:6379"))?;
        self.world.machine::<Server>(proc.id)
    }

    fn field(&self, n: u8, section: &str, name: &str) -> String {
        let text = self.server(n).map(|server| server.info(&[section])).unwrap_or_default();
        crate::client::field(&text, name)
    }

    /// The last lines of the logs.
    fn logs(&self) -> String {
        let mut out = String::new();
        for n in 1..=self.servers {
            let proc = self.world.proc_named(&format!("redis-{n}:6379")).map(|proc| proc.id);
            let Some(log) = proc.and_then(|id| self.world.log(id)) else { continue };
            let lines: Vec<String> = log.iter().map(|entry| format!("{entry:?}")).collect();
            out.push_str(&format!("redis-{n}:\n"));
            for line in &lines[lines.len().saturating_sub(25)..] {
                out.push_str(&format!("  {line}\n"));
            }
        }
        out
    }
}

fn host(rng: &mut Rng, n: u8, parent: u8) -> HostSpec {
    let yes = |rng: &mut Rng| ["yes", "no"][rng.below(2) as usize];
    let mut conf = format!(
        "port 6379\nprotected-mode no\nenable-debug-command yes\nrepl-timeout 5\n\
         client-output-buffer-limit replica {}\nmin-replicas-max-lag 3\n\
         repl-ping-replica-period 1\nrepl-diskless-sync-delay {}\nrepl-diskless-sync {}\n\
         repl-diskless-load {}\nrepl-backlog-size {}\nappendonly {}\nsave {}\n\
         rdb-del-sync-files {}\n",
        ["256mb 64mb 60", "64kb 0 0", "0 32kb 1"][rng.below(3) as usize],
        rng.below(2),
        yes(rng),
        ["disabled", "on-empty-db", "swapdb"][rng.below(3) as usize],
        ["16kb", "1mb"][rng.below(2) as usize],
        ["no", "no", "yes"][rng.below(3) as usize],
        ["\"\"", "1 1", "3600 1"][rng.below(3) as usize],
        yes(rng),
    );
    if parent > 0 {
        conf.push_str(&format!("replicaof 10.0.0.{parent} 6379\n"));
    }
    let mut host = HostSpec::new(&format!("redis-{n}"), Ipv4Addr::new(10, 0, 0, n));
    let file = "/data/redis.conf".to_owned();
    let mut process = ProcessSpec::new(&format!("redis-{n}:6379"), "redis-server", &[&file]);
    process.dir = "/data".to_owned();
    host.files.insert(file, conf);
    host.with(process)
}

/// A random write command on any type.
pub fn write(rng: &mut Rng) -> String {
    let key = rng.below(12);
    let (a, b) = (rng.below(30), rng.below(1_000));
    // Sometimes larger than a small backlog.
    let long = "x".repeat(if rng.below(12) == 0 { 9_000 } else { rng.below(60) as usize + 1 });
    match rng.below(30) {
        0 => format!("set s:{key} {long}"),
        1 => format!("set s:{key} {b} px {}", 1 + rng.below(3_000)),
        2 => format!("incrby n:{key} {b}"),
        3 => format!("incrbyfloat f:{key} 0.{b}"),
        4 => format!("append s:{key} {long}"),
        5 => format!("setrange s:{key} {a} {long}"),
        6 => format!("rpush l:{key} {a} {b} {long}"),
        7 => format!("lpush l:{key} {a} {b}"),
        8 => format!("lpop l:{key} {}", 1 + a % 3),
        9 => format!("lmove l:{key} l:{} left right", a % 12),
        10 => format!("sadd t:{key} {a} {b} {long}"),
        11 => format!("spop t:{key} {}", 1 + a % 2),
        12 => format!("srem t:{key} {a}"),
        13 => format!("sunionstore t:{key} t:{} t:{}", a % 12, b % 12),
        14 => format!("hset h:{key} {a} {long}"),
        15 => format!("hincrby h:{key} n{a} {b}"),
        16 => format!("hdel h:{key} {a}"),
        17 => format!("zadd z:{key} {b}.5 {a}"),
        18 => format!("zincrby z:{key} {b} {a}"),
        19 => format!("zpopmin z:{key}"),
        20 => format!("zrangestore z:{key} z:{} 0 3", a % 12),
        21 => format!("setbit b:{key} {b} 1"),
        22 => format!("bitop or b:{key} b:{} b:{}", a % 12, b % 12),
        23 => format!("pexpire l:{key} {}", 1 + rng.below(5_000)),
        24 => format!("del s:{key} h:{}", a % 12),
        25 => format!("rename l:{key} l:{}", a % 12),
        26 => format!("copy h:{key} h:{} replace", a % 12),
        27 => format!("-n {} set s:{key} {b}", a % 4),
        28 if a == 0 => "flushall".to_owned(),
        28 => format!("swapdb 0 {}", 1 + a % 3),
        _ => format!("move s:{key} {}", 1 + a % 3),
    }
}
