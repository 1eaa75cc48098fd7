//! The initial files of an installed machine, in addition to those of its scenario.

use crate::lab::programs::{EXECUTABLES, WORLDS};
use crate::sim::EXECUTABLE;

use super::os::Facts;
use super::proxy_sources;
use super::tools;
use super::tools::{SHARED, init_script};

/// Programs in `/usr/local/bin` instead of `/bin`.
const LOCAL: [&str; 3] = ["limpid", "vim", "install_server.sh"];

/// Source trees of Redis on the machine.
const SOURCES: [&str; 4] =
    ["/root/soft/redis-5.0.5", "/root/redis-3.2.9", "/root/redis-4.0.8", "/tmp/redis-6.2.4"];

/// The script that creates a small cluster on one machine; `limpid create-cluster` runs it, too.
pub const CREATE_CLUSTER: &str = include_str!("create-cluster.sh");

type File = (String, Vec<u8>, u16);

/// All files, with their modes.
pub(super) fn files(facts: &Facts) -> Vec<File> {
    let mut files: Vec<File> = Vec::new();
    let text = |path: &str, text: String| (path.to_owned(), text.into_bytes(), 0o644);
    let program = |dir: &str, name: &str| {
        let content = [EXECUTABLE, name.as_bytes(), b"\n"].concat();
        (format!("{dir}/{name}"), content, 0o755)
    };
    for name in tools::names().chain(["sh"]) {
        if name == "configure" {
            continue;
        }
        let dir = if LOCAL.contains(&name) { "/usr/local/bin" } else { "/usr/bin" };
        files.push(program(dir, name));
    }
    files.push(("/bin/sh".into(), [EXECUTABLE, b"sh\n"].concat(), 0o755));
    files.push(("/bin/bash".into(), [EXECUTABLE, b"sh\n"].concat(), 0o755));
    files.push(("/bin/cat".into(), [EXECUTABLE, b"cat\n"].concat(), 0o755));
    for name in EXECUTABLES {
        files.push(program("/usr/local/bin", name));
    }
    files.push(program("/usr/local/bin", WORLDS));
    let names: String = facts.names.iter().map(|(name, ip)| format!("{ip}\t{name}\n")).collect();
    files.push(text("/etc/hosts", format!("127.0.0.1\tlocalhost\n{names}")));
    files.push(text("/etc/hostname", format!("{}\n", facts.host)));
    files.push(text("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n".into()));
    files.push(text("/etc/os-release", "NAME=\"Limpid lab\"\nID=limpid\n".into()));
    files.push(text("/etc/redis.conf", redis_conf().replace("dir ./", "dir /var/lib/redis")));
    files.push(text("/etc/redis-sentinel.conf", sentinel_conf()));
    files.push(text("/etc/redis/README", "Configuration files of installed instances.\n".into()));
    files.push(text(&format!("/etc/init.d/{SHARED}"), "# Functions for init scripts.\n".into()));
    files.push(text("/var/log/README", "This directory has the log files.\n".into()));
    files.push(text("/var/lib/redis/README", "The data of /etc/redis.conf.\n".into()));
    files.push(text("/run/utmp", String::new()));
    files.push(text("/home/README", "The homes of people.\n".into()));
    for (name, command) in [
        ("redis", "/usr/local/bin/redis-server /etc/redis.conf"),
        ("redis-sentinel", "/usr/local/bin/redis-sentinel /etc/redis-sentinel.conf"),
    ] {
        let unit = format!(
            "[Unit]\nDescription=Redis ({name})\nAfter=network.target\n\n[Service]\n\
             ExecStart={command}\nRestart=no\n\n[Install]\nWantedBy=multi-user.target\n"
        );
        files.push(text(&format!("/usr/lib/systemd/system/{name}.service"), unit));
    }
    for dir in SOURCES {
        files.push(text(&format!("{dir}/redis.conf"), redis_conf()));
        files.push(text(&format!("{dir}/sentinel.conf"), sentinel_conf()));
        files.push(text(
            &format!("{dir}/README.md"),
            "The sources of Redis, built already.\n".into(),
        ));
        let utils = format!("{dir}/utils");
        files.push(program(&utils, "install_server.sh"));
        let script =
            (format!("{utils}/create-cluster/create-cluster"), CREATE_CLUSTER.into(), 0o755);
        files.push(script);
        files.push(text(
            &format!("{utils}/redis_init_script"),
            init_script(6379, "/etc/redis/6379.conf", "redis-server", "redis-cli"),
        ));
        for name in EXECUTABLES {
            files.push(program(&format!("{dir}/src"), name));
        }
    }
    files.extend(proxy_sources::files());
    files
}

/// A configuration file with the most frequently changed directives.
pub fn redis_conf() -> String {
    "\
# A configuration file for Redis: one directive a line.

# --- Network ---
bind 127.0.0.1
protected-mode yes
port 6379
tcp-backlog 511
timeout 0
tcp-keepalive 300

# --- General ---
daemonize no
pidfile /var/run/redis_6379.pid
loglevel notice
logfile \"\"
databases 16

# --- Snapshots ---
save 900 1
save 300 10
save 60 10000
stop-writes-on-bgsave-error yes
rdbcompression yes
dbfilename dump.rdb
dir ./

# --- Replication ---
# replicaof <host> <port>
# masterauth <password>
replica-serve-stale-data yes
replica-read-only yes
repl-diskless-sync no
replica-priority 100
# min-replicas-to-write 3
# min-replicas-max-lag 10

# --- Security ---
# requirepass foobared

# --- Limits ---
# maxclients 10000
# maxmemory <bytes>

# --- Append-only file ---
appendonly no
appendfilename \"appendonly.aof\"
appendfsync everysec
no-appendfsync-on-rewrite no
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb

# --- Cluster ---
# cluster-enabled yes
# cluster-config-file nodes-6379.conf
# cluster-node-timeout 15000

# --- Slow log ---
slowlog-log-slower-than 10000
slowlog-max-len 128
"
    .into()
}

fn sentinel_conf() -> String {
    "\
# A configuration file for a Sentinel.
port 26379
daemonize no
logfile \"\"
dir /tmp
sentinel monitor mymaster 127.0.0.1 6379 2
sentinel down-after-milliseconds mymaster 30000
sentinel parallel-syncs mymaster 1
sentinel failover-timeout mymaster 180000
"
    .into()
}
